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
from alliance.reliability import client_sums, generalizability
from alliance.rupture_null.courses import CourseColumns, Courses, courses_of
from alliance.rupture_null.noise import FEWEST_NULLS, find, summarise_null
from alliance.rupture_null.null_model import NullModel, fit_null_model, null_scores
from alliance.rupture_null.null_tests import (
    OutcomePlan,
    null_distributions,
    null_drop_out_terms,
    observed_terms,
    plan_tests,
)
from alliance.rupture_null.outcome_tests import BY_SIZE
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
UNKNOWN_SCALE = PooledScale(np.nan, np.nan)
TRIAL_COLUMNS: tuple[str, ...] = (
    "study", "rule", "test", "term", "estimate", "p_nominal", "p_null", "p_randomised", "n_null",
)  # fmt: skip
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


@dataclass(frozen=True)
class DrawnStudy:
    """One simulated study, without flaws.

    Attributes
    ----------
    sessions, clients : scored sessions and clients. reliability : of change within clients (Rcn),
        of alliance and symptoms, from the answers to their items.
    """

    sessions: pd.DataFrame
    clients: pd.DataFrame
    reliability: tuple[float, float]


def draw_study(plan: StudyPlan, seed: int, number: int) -> DrawnStudy:
    """Simulated study ``number``."""
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
    filled = client[here], column[here]
    return DrawnStudy(sessions, clients, (_rcn(alliance, *filled), _rcn(items, *filled)))


def _rcn(answers: np.ndarray, client: np.ndarray, column: np.ndarray) -> float:
    """Rcn of the forms that were filled in; answers (n, T, items)."""
    sums = client_sums(answers[client, column].astype(float), client, column + 1)
    return float(generalizability(sums)["within_client", "Rcn"][0])


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
        ``study, rule, test, term, estimate, p_nominal, p_null, p_randomised, n_null,
        null_model``, and rows of test ``noise`` with rates; NaN where a term was refused.
    """
    trial = _begin(plan, rules, seed, number)
    rules, tests, model = trial.tests.rules, trial.tests, trial.model
    found = find(trial.courses, rules, UNKNOWN_SCALE)
    null = null_distributions(trial.courses, tests, model, n_sets, seed + number)
    grouped = dict(list(null.statistics.groupby(["rule", "test", "term"], observed=True)))
    rng = stream(seed, "randomised ranks", number)
    rows = []
    for key, term in observed_terms(trial.courses, tests, found).items():
        own = grouped.get(key)
        null_statistics = np.empty(0) if own is None else own["statistic"].to_numpy()
        held = _held_against(key[1], term.statistic, null_statistics, rng, n_sets)
        rows.append((number, *key, term.estimate, nominal_p(term), *held))
    for name, rule in rules.items():
        shares = found[name].numbers(rule)
        for quantity in ("prevalence", "repaired_share", "asymmetry"):
            sets = null.noise[name][quantity].to_numpy()
            held = _held_against("noise", shares[quantity], sets, rng, n_sets)
            rows.append((number, name, "noise", quantity, shares[quantity], np.nan, *held))
    return pd.DataFrame(rows, columns=list(TRIAL_COLUMNS)).assign(null_model=_kind_of(model))


def try_drop_out(
    plan: StudyPlan,
    rules: Mapping[str, RuptureRule],
    n_sets: int,
    seed: int,
    number: int,
) -> pd.DataFrame:
    """Drop-out tests alone of the study that :func:`try_one_study` draws, for many null data sets.

    The first null data sets are those of ``try_one_study``; ranks are randomised anew. Where no
    term could be estimated, none is drawn.

    Returns
    -------
    DataFrame
        As from ``try_one_study``, test ``drop_out`` only.
    """
    trial = _begin(plan, rules, seed, number)
    tests, model, courses = trial.tests, trial.model, trial.courses
    found = find(courses, tests.rules, UNKNOWN_SCALE)
    observed = {
        key: term
        for key, term in observed_terms(courses, tests, found).items()
        if key[1] == "drop_out"
    }
    possible = any(np.isfinite(term.statistic) for term in observed.values())
    null = np.full((n_sets, len(observed)), np.nan)
    for position in range(n_sets if possible else 0):
        scores = null_scores(model, seed + number, position)
        alliance, outcome = scores[:, :, 0], scores[:, :, 1]
        data = courses.with_scores(alliance, outcome)
        got = null_drop_out_terms(data, tests, alliance, outcome, seed + number, position)
        null[position] = [got[key].statistic if key in got else np.nan for key in observed]
    rng = stream(seed, "randomised ranks of drop-out", number)
    rows = [
        (number, *key, term.estimate, nominal_p(term),
         *_held_against("drop_out", term.statistic, sets[np.isfinite(sets)], rng, n_sets))
        for (key, term), sets in zip(observed.items(), null.T, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(TRIAL_COLUMNS)).assign(null_model=_kind_of(model))


@dataclass(frozen=True)
class _Trial:
    """A simulated study, its null model and its tests, thresholds of the study filled in."""

    courses: Courses
    model: NullModel
    tests: OutcomePlan


def _begin(plan: StudyPlan, rules: Mapping[str, RuptureRule], seed: int, number: int) -> _Trial:
    drawn = draw_study(plan, seed, number)
    made = courses_of(drawn.sessions, drawn.clients, CourseColumns("alliance", "symptoms"))
    if isinstance(made, Refusal):
        raise ValueError(made.reason)
    courses, series = made
    model = fit_null_model(series, (1, 0), seed + number, drawn.reliability)
    if isinstance(model, Refusal):
        raise ValueError(model.reason)
    table = thresholds_of_courses(
        courses, asking(rules), UNKNOWN_SCALE, model, THRESHOLD_SETS, seed - 1 - number,
        SMALLEST_CELL,
    )  # fmt: skip  # as in the workflow: other null data sets than those of the tests
    filled = with_thresholds(rules, table)
    return _Trial(courses, model, plan_tests(courses, filled, UNKNOWN_SCALE, SMALLEST_GROUP))


def _held_against(
    test: str, observed: float, null: np.ndarray, rng: np.random.Generator, n_sets: int
) -> tuple[float, float, int]:
    """p against the null as the workflow gives it, the randomised p, usable null data sets."""
    by_size = test in BY_SIZE
    got = summarise_null(observed, null, by_size=by_size)
    usable = null[np.isfinite(null)]
    randomised = randomised_p(observed, usable, rng.random(), by_size=by_size)
    if got.n < min(FEWEST_NULLS, n_sets) or not np.isfinite(observed):
        return np.nan, np.nan, got.n
    return got.p, randomised, got.n


def _kind_of(model: NullModel) -> str:
    """Which series carry error of measurement, and whether clients have trends of their own."""
    error = "+".join(
        name for name, r in zip(("alliance", "outcome"), model.reliability, strict=True) if r < 1.0
    )
    return f"error: {error or 'none'}; trends: {'yes' if model.random_trend else 'no'}"


def randomised_p(
    observed: float, null: np.ndarray, uniform: float, *, by_size: bool = False
) -> float:
    """Two-sided p from a randomised rank: uniform under the null for any number of data sets.

    The rank of the observed value among itself and n null values takes n + 1 values only, so that
    a test at 5 % by the plain p rejects 2 floor(.025 (n + 1)) / (n + 1) of the time: exactly 5 %
    with n = 119 (3 ranks on each side of 120) but 3.4 to 4.0 % with any n from 100 to 118 (2 on
    each side). Where few null data sets allow a test, that looks like a test that is too cautious.
    The randomised rank (number below + U (ties with itself)) / (n + 1), U uniform, has no such
    steps; it serves to measure the size, not to test one study.

    Parameters
    ----------
    null : (n,) without missing values. uniform : U, in [0, 1).
    by_size : p is the share of absolute values as large as the observed one, ties randomised.
    """
    if by_size:
        observed, null = -abs(observed), -np.abs(null)
    tie = 1e-9 * max(1.0, abs(observed))
    below = int((null < observed - tie).sum())
    ties = 1 + int((np.abs(null - observed) <= tie).sum())
    share = (below + uniform * ties) / (null.size + 1)
    return share if by_size else 2.0 * min(share, 1.0 - share)


def attainable_size(n_null: int | np.ndarray, *, by_size: bool = False) -> np.ndarray:
    """Share of rejections at 5 % by the plain p that ``n_null`` null data sets without ties allow,
    where the null is true (see :func:`randomised_p`)."""
    ranks, sides = np.asarray(n_null) + 1, 1 if by_size else 2
    return sides * np.floor(0.05 / sides * ranks + 1e-9) / ranks


def rejection_table(tests: pd.DataFrame) -> pd.DataFrame:
    """Share of studies in which each test rejects at 5 %, nominal and against the null.

    ``n_studies`` counts those in which the test could be done with a null-calibrated p.
    ``pct_attainable`` is what the number of usable null data sets lets ``pct_null`` be where the
    null is true and nothing ties, ``pct_null_randomised`` the share without that limit
    (:func:`randomised_p`). ``mean_estimate`` is over the same studies.
    """
    rows = []
    for key, own in tests.groupby(["rule", "test", "term"], sort=False):
        usable = own[own["p_null"].notna()]
        rows.append(
            {
                "rule": key[0],
                "test": key[1],
                "term": key[2],
                "n_studies": len(usable),
                "pct_nominal": _rejected(usable["p_nominal"]),
                "pct_null": _rejected(usable["p_null"]),
                "pct_null_randomised": _rejected(usable["p_randomised"]),
                "pct_attainable": _attainable(key[1], usable["n_null"]),
                "mean_n_null": usable["n_null"].mean(),
                "mean_estimate": usable["estimate"].mean(),
            }
        )
    return pd.DataFrame(rows)


def _attainable(test: str, n_null: pd.Series) -> float:
    """Mean attainable size, percent; NaN where there is no study."""
    sizes = attainable_size(n_null.to_numpy(), by_size=test in BY_SIZE)
    return 100 * float(sizes.mean()) if len(sizes) else np.nan


def _rejected(p: pd.Series) -> float:
    """Percent of studies with p at most .05; NaN where there is none."""
    return 100 * float((p <= 0.05).mean()) if p.notna().any() else np.nan
