"""Every outcome test of every rule, on the study and on its null data sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.rupture_null.courses import Courses
from alliance.rupture_null.drop_out_null import DropOutNull
from alliance.rupture_null.noise import QUANTITIES, Found, find
from alliance.rupture_null.null_model import NullModel, null_scores
from alliance.rupture_null.outcome_tests import (
    LANDMARKS,
    SessionPairs,
    Term,
    client_numbers,
    client_terms,
    drop_out_terms,
    risk_rows,
    session_pairs,
    session_terms,
)
from alliance.rupture_null.scanning import pooled_of, scan
from alliance.ruptures.outcome_tests import SMALLEST_GROUP
from alliance.ruptures.result import PooledScale
from alliance.ruptures.rules import RuptureRule

Key = tuple[str, str, str]  # rule, test, term
STATISTIC_COLUMNS: tuple[str, ...] = ("rule", "test", "term", "set", "estimate", "statistic")


@dataclass(frozen=True)
class OutcomePlan:
    """What is tested, and how.

    Attributes
    ----------
    rules : that can be run. known : SDs and reliabilities of the measure.
    smallest_group : clients below which a group is left out. pairs : of the session-level test.
    drop_out : how drop-out is drawn in null data sets; None where it is not tested.
    """

    rules: Mapping[str, RuptureRule]
    known: PooledScale
    pairs: SessionPairs
    smallest_group: int = SMALLEST_GROUP
    drop_out: DropOutNull | None = None

    @property
    def prospective(self) -> dict[str, RuptureRule]:
        """Rules whose flags know nothing of what comes later."""
        return {name: rule for name, rule in self.rules.items() if not rule.lookahead}


def plan_tests(
    courses: Courses,
    rules: Mapping[str, RuptureRule],
    known: PooledScale,
    smallest_group: int = SMALLEST_GROUP,
) -> OutcomePlan:
    """The plan of a study; drop-out is tested where endings are known."""
    drop_out = None
    if courses.dropped_out is not None:
        drop_out = DropOutNull.of(courses, courses.dropped_out)
    return OutcomePlan(rules, known, session_pairs(courses), smallest_group, drop_out)


def observed_terms(
    courses: Courses, plan: OutcomePlan, found: Mapping[str, Found]
) -> dict[Key, Term]:
    """All terms of a study."""
    terms = _outcome_terms(courses, plan, found) if courses.has_outcome else {}
    if courses.dropped_out is not None:
        rows = risk_rows(courses, courses.dropped_out)
        known = None if plan.drop_out is None else plan.drop_out.coefficients
        for name in plan.prospective:
            got = drop_out_terms(found[name].drops, rows, plan.smallest_group, known)
            terms |= {(name, "drop_out", term): value for term, value in got.items()}
    return terms


def _outcome_terms(
    courses: Courses, plan: OutcomePlan, found: Mapping[str, Found]
) -> dict[Key, Term]:
    terms: dict[Key, Term] = {}
    numbers = client_numbers(courses)
    for name in plan.rules:
        got = client_terms(found[name].drops.label, numbers, courses.therapist, plan.smallest_group)
        terms |= {(name, "client", term): value for term, value in got.items()}
    for landmark in LANDMARKS:
        terms |= _landmark_terms(courses, plan, landmark)
    for name in plan.prospective:
        got = session_terms(courses, plan.pairs, found[name].drops, plan.smallest_group)
        terms |= {(name, "session", term): value for term, value in got.items()}
    return terms


def _landmark_terms(courses: Courses, plan: OutcomePlan, landmark: int) -> dict[Key, Term]:
    """Labels from the ratings up to a session, outcome after it."""
    rated = courses.rated & courses.until(landmark)
    start = np.concatenate([[0], np.cumsum(rated.sum(axis=1))]).astype(np.int64)
    score = courses.alliance[rated]
    if score.size < 2:
        return {}
    session, day = courses.session[rated], courses.day_of_row[rated[courses.rated]]
    pooled = pooled_of(start, score, plan.known)
    numbers = client_numbers(courses, landmark)
    terms: dict[Key, Term] = {}
    for name, rule in plan.rules.items():
        label = scan(start, session, score, rule, pooled, day).label
        got = client_terms(label, numbers, courses.therapist, plan.smallest_group)
        terms |= {(name, f"landmark_{landmark}", term): value for term, value in got.items()}
    return terms


@dataclass(frozen=True)
class NullDistributions:
    """What null data sets gave.

    Attributes
    ----------
    noise : rule -> one row per data set, columns ``noise.QUANTITIES``.
    statistics : ``STATISTIC_COLUMNS``, one row per data set and term that could be estimated.
    """

    noise: dict[str, pd.DataFrame]
    statistics: pd.DataFrame


def null_distributions(
    courses: Courses, plan: OutcomePlan, model: NullModel, n_sets: int, seed: int
) -> NullDistributions:
    """Apply all rules and tests to ``n_sets`` null data sets."""
    noise = {name: np.full((n_sets, len(QUANTITIES)), np.nan) for name in plan.rules}
    collected: list[tuple[Key, int, float, float]] = []
    with_outcome = courses.has_outcome and len(model.marginal) > 1
    for number in range(n_sets):
        scores = null_scores(model, seed, number)
        outcome = scores[:, :, 1] if with_outcome else np.full_like(courses.outcome, np.nan)
        data = courses.with_scores(scores[:, :, 0], outcome)
        found = find(data, plan.rules, plan.known)
        for name, rule in plan.rules.items():
            noise[name][number] = list(found[name].numbers(rule).values())
        terms = _outcome_terms(data, plan, found) if with_outcome else {}
        terms |= null_drop_out_terms(data, plan, scores[:, :, 0], outcome, seed, number)
        collected += [
            (key, number, term.estimate, term.statistic)
            for key, term in terms.items()
            if np.isfinite(term.statistic)
        ]
    frames = {n: pd.DataFrame(v, columns=list(QUANTITIES)) for n, v in noise.items()}
    return NullDistributions(frames, _statistics_frame(collected))


def null_drop_out_terms(
    data: Courses,
    plan: OutcomePlan,
    alliance: NDArray[np.float64],
    outcome: NDArray[np.float64],
    seed: int,
    number: int,
) -> dict[Key, Term]:
    """Drop-out terms of null data set ``number``, drop-out drawn from the study's own hazard.

    Parameters
    ----------
    data : the study with the null alliance. alliance, outcome : null scores, (n, T).
    """
    if plan.drop_out is None or (plan.drop_out.needs_outcome and np.isnan(outcome).all()):
        return {}
    drawn = plan.drop_out.draw(alliance, outcome, np.random.default_rng([seed, number, 1]))
    pooled = pooled_of(data.start, data.alliance[data.rated], plan.known)
    terms: dict[Key, Term] = {}
    for name, rule in plan.prospective.items():
        whole = scan(drawn.start, drawn.session, drawn.score, rule, pooled, drawn.day)
        got = drop_out_terms(
            drawn.cut(whole), drawn.rows, plan.smallest_group, plan.drop_out.coefficients
        )
        terms |= {(name, "drop_out", term): value for term, value in got.items()}
    return terms


def _statistics_frame(collected: list[tuple[Key, int, float, float]]) -> pd.DataFrame:
    keys = [row[0] for row in collected]
    columns = [pd.Categorical([key[j] for key in keys]) for j in range(3)]
    numbers = np.array([row[1:] for row in collected], dtype=float).reshape(-1, 3)
    return pd.DataFrame(
        {
            "rule": columns[0], "test": columns[1], "term": columns[2],
            "set": numbers[:, 0].astype(np.int32), "estimate": numbers[:, 1],
            "statistic": numbers[:, 2],
        }
    )  # fmt: skip
