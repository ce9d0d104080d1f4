"""Whole studies without ruptures, or with planted ones, for size and power of the rupture tests.

They come from the generator of the bundled clinic, not from the null model of the analysis: items
with their steps and ceilings, therapists, trends, missed sessions, and drop-out that depends on
alliance and symptoms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from alliance.estimation.refusal import Refusal
from alliance.rupture_null.courses import CourseColumns, courses_of
from alliance.rupture_null.noise import FEWEST_NULLS, find, summarise_null
from alliance.rupture_null.null_model import fit_null_model
from alliance.rupture_null.null_tests import (
    null_distributions,
    observed_terms,
    plan_tests,
)
from alliance.rupture_null.rows import nominal_p
from alliance.rupture_null.thresholds import thresholds_of_courses
from alliance.ruptures.outcome_tests import SMALLEST_GROUP
from alliance.ruptures.result import PooledScale
from alliance.ruptures.rules import RuptureRule
from alliance.ruptures.thresholds import asking, with_thresholds
from alliance.simulation.clinic import CORE_10, PROCESS, WAI_SR, draw_attendance
from alliance.simulation.items import answer
from alliance.simulation.planted import PlantingPlan
from alliance.simulation.process import Process, simulate_process
from alliance.simulation.streams import stream

NO_RUPTURES = PlantingPlan(0.0, 0.0, (2.5, 4.5))
PLANTED = PlantingPlan(0.18, 0.13, (2.5, 4.5))
TRIED_RULES = ("mean_prior_study", "mean_prior_study_fixed", "previous_drop", "own_mean")
THRESHOLD_SETS, SMALLEST_CELL = 150, 5
N_CLIENTS, N_THERAPISTS = 240, 30


@dataclass(frozen=True)
class StudyPlan:
    """One design of simulated studies.

    Attributes
    ----------
    planting : ruptures to plant. rupture_effect : their own effect on the next symptoms, SDs.
    n_clients : with ``N_THERAPISTS`` therapists.
    """

    planting: PlantingPlan = NO_RUPTURES
    rupture_effect: float = 0.0
    n_clients: int = N_CLIENTS

    @property
    def process(self) -> Process:
        return replace(PROCESS, ruptures=self.planting, rupture_effect=self.rupture_effect)


DESIGNS: dict[str, StudyPlan] = {
    "no_ruptures": StudyPlan(),
    "planted_no_effect": StudyPlan(PLANTED),
    "planted_effect_0_5": StudyPlan(PLANTED, rupture_effect=0.5),
}


def draw_study(plan: StudyPlan, seed: int, number: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scored sessions and clients of simulated study ``number``, without flaws."""
    latent = simulate_process(
        plan.process, plan.n_clients, N_THERAPISTS, stream(seed, "rupture studies", number)
    )
    rng = stream(seed, "items of rupture studies", number)
    alliance = answer(WAI_SR, latent.alliance, rng)
    items = answer(CORE_10, latent.symptoms, rng)
    turned = np.array(CORE_10.reversed_items) - 1
    items[:, :, turned] = CORE_10.low + CORE_10.high - items[:, :, turned]
    came, became, _ = draw_attendance(latent, stream(seed, "attendance", number))
    client, column = np.nonzero(came | (became != "attended"))
    within = column < latent.last[client]
    client, column = client[within], column[within]
    here = came[client, column]
    names = np.array([f"C{position:04d}" for position in range(plan.n_clients)])
    sessions = pd.DataFrame(
        {
            "client": names[client],
            "session": column + 1,
            "attendance": became[client, column],
            "alliance": np.where(here, alliance.mean(axis=2)[client, column], np.nan),
            "symptoms": np.where(here, items.sum(axis=2)[client, column], np.nan),
        }
    )
    therapists = [f"T{position:02d}" for position in latent.therapist]
    clients = pd.DataFrame({"client": names, "therapist": therapists, "ending": latent.ending})
    return sessions, clients


def try_one_study(
    plan: StudyPlan,
    rules: Mapping[str, RuptureRule],
    n_sets: int,
    seed: int,
    number: int,
) -> pd.DataFrame:
    """Nominal and null-calibrated p of every outcome test in one simulated study.

    Rules that ask for thresholds of the study get them from ``THRESHOLD_SETS`` null data sets.

    Returns
    -------
    DataFrame
        ``study, rule, test, term, estimate, p_nominal, p_null, n_null``, and rows of test
        ``prevalence`` with the share of clients flagged; NaN where a term was refused.
    """
    sessions, clients = draw_study(plan, seed, number)
    made = courses_of(sessions, clients, CourseColumns("alliance", "symptoms"))
    if isinstance(made, Refusal):
        raise ValueError(made.reason)
    courses, series = made
    known = PooledScale(np.nan, np.nan)
    model = fit_null_model(series, (1, 0), seed + number)
    if isinstance(model, Refusal):
        raise ValueError(model.reason)
    table = thresholds_of_courses(
        courses, asking(rules), known, model, THRESHOLD_SETS, seed - 1 - number, SMALLEST_CELL
    )  # as in the workflow: other null data sets than those of the tests
    rules = with_thresholds(rules, table)
    tests = plan_tests(courses, rules, known, SMALLEST_GROUP)
    found = find(courses, rules, known)
    null = null_distributions(courses, tests, model, n_sets, seed + number)
    grouped = dict(list(null.statistics.groupby(["rule", "test", "term"], observed=True)))
    rows = []
    for key, term in observed_terms(courses, tests, found).items():
        own = grouped.get(key)
        null_statistics = np.empty(0) if own is None else own["statistic"].to_numpy()
        got = summarise_null(term.statistic, null_statistics)
        usable = got.n >= min(FEWEST_NULLS, n_sets)
        rows.append((number, *key, term.estimate, nominal_p(term), got.p if usable else np.nan,
                     got.n))  # fmt: skip
    for name, rule in rules.items():
        shares = found[name].numbers(rule)
        for quantity in ("prevalence", "repaired_share", "asymmetry"):
            got = summarise_null(shares[quantity], null.noise[name][quantity].to_numpy())
            rows.append((number, name, "noise", quantity, shares[quantity], np.nan, got.p, got.n))
    columns = ["study", "rule", "test", "term", "estimate", "p_nominal", "p_null", "n_null"]
    return pd.DataFrame(rows, columns=columns)


def rejection_table(tests: pd.DataFrame) -> pd.DataFrame:
    """Share of studies in which each test rejects at 5 %, nominal and against the null.

    ``n_studies`` counts those in which the test could be done with a null-calibrated p.
    """
    rows = []
    for key, own in tests.groupby(["rule", "test", "term"], sort=False):
        usable = own[own["p_null"].notna()]
        nominal, calibrated = usable["p_nominal"], usable["p_null"]
        n = len(usable)
        rows.append(
            {
                "rule": key[0],
                "test": key[1],
                "term": key[2],
                "n_studies": n,
                "pct_nominal": 100 * (nominal <= 0.05).mean() if nominal.notna().any() else np.nan,
                "pct_null": 100 * (calibrated <= 0.05).mean() if n else np.nan,
                "mean_estimate": own["estimate"].mean(),
            }
        )
    return pd.DataFrame(rows)
