"""Thresholds at which a rule flags a given share of a study's clients by noise alone.

The noise is that of the study: null data sets drawn from its own dynamic model, with its sessions,
gaps, ceiling and rounding (methods specification, 2.3). A threshold made for some other noise can
flag more: near the ceiling a client's own earlier ratings hardly vary, and then a small step down
is many of the client's own SDs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.estimation.refusal import Refusal
from alliance.rupture_null.courses import Courses
from alliance.rupture_null.null_model import NullModel, null_scores
from alliance.rupture_null.scanning import pooled_of
from alliance.rupture_null.study import NullStudy
from alliance.ruptures import kernel
from alliance.ruptures.calibration import NEVER
from alliance.ruptures.engine import rule_codes, rule_numbers
from alliance.ruptures.result import PooledScale
from alliance.ruptures.rules import RuptureRule
from alliance.ruptures.thresholds import THRESHOLD_COLUMNS, asking

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
NULL_CLIENTS = 100_000  # drawn in all; the standard error of 10 % of a tenth of them is .3 points
FEWEST_SETS, MOST_SETS = 100, 2_000
FEWEST_DRAWN = 1_000  # null clients of one length, below which it has no threshold of its own


def n_data_sets(n_clients: int) -> int:
    """How many null data sets of ``n_clients`` give ``NULL_CLIENTS``."""
    return int(np.clip(np.ceil(NULL_CLIENTS / max(n_clients, 1)), FEWEST_SETS, MOST_SETS))


def study_thresholds(
    prepared: NullStudy | Refusal,
    rules: Mapping[str, RuptureRule],
    n_asked: int,
    seed: int,
    smallest_cell: int,
) -> pd.DataFrame:
    """Thresholds of the rules that ask for their own, ``THRESHOLD_COLUMNS``.

    Parameters
    ----------
    n_asked : null data sets that the study asks for; 0 leaves every rule its published threshold.
    smallest_cell : lengths of treatment of fewer clients get no threshold of their own.
    """
    wanted = asking(rules)
    if not wanted:
        return pd.DataFrame(columns=list(THRESHOLD_COLUMNS))
    if n_asked == 0:
        return _without(wanted, "the study file asks for no null data sets (null_datasets: 0)")
    if isinstance(prepared, Refusal):
        return _without(wanted, prepared.reason)
    model = prepared.null_model(seed)
    if isinstance(model, Refusal):
        return _without(wanted, model.reason)
    run = {name: rule for name, rule in wanted.items() if name in prepared.plan.rules}
    n_sets = n_data_sets(len(prepared.courses.clients))
    return thresholds_of_courses(
        prepared.courses, run, prepared.plan.known, model, n_sets, seed, smallest_cell
    )


def thresholds_of_courses(
    courses: Courses,
    rules: Mapping[str, RuptureRule],
    known: PooledScale,
    model: NullModel,
    n_sets: int,
    seed: int,
    smallest_cell: int,
) -> pd.DataFrame:
    """``THRESHOLD_COLUMNS`` of rules that ask for their own, from ``n_sets`` null data sets."""
    deviations = null_deviations(courses, rules, known, model, n_sets, seed)
    lengths = np.diff(courses.start)
    rows = [
        {"rule": name, **row, "false_alarm": rule.false_alarm, "n_null": n_sets}
        for name, rule in rules.items()
        for row in rule_thresholds(rule, deviations[name], lengths, smallest_cell)
    ]
    return pd.DataFrame(rows, columns=list(THRESHOLD_COLUMNS))


def _without(rules: Mapping[str, RuptureRule], reason: str) -> pd.DataFrame:
    rows = [
        {"rule": n, "false_alarm": r.false_alarm, "n_null": 0, "reason": reason}
        for n, r in rules.items()
    ]
    return pd.DataFrame(rows, columns=list(THRESHOLD_COLUMNS))


def null_deviations(
    courses: Courses,
    rules: Mapping[str, RuptureRule],
    known: PooledScale,
    model: NullModel,
    n_sets: int,
    seed: int,
) -> dict[str, FloatArray]:
    """Rule -> (n_sets, n) largest deviation of each client in each null data set, in units."""
    largest = {name: np.empty((n_sets, len(courses.clients))) for name in rules}
    for number in range(n_sets):
        drawn = null_scores(model, seed, number)[:, :, 0]
        score = drawn[courses.rated]
        pooled = pooled_of(courses.start, score, known)
        for name, rule in rules.items():
            largest[name][number] = largest_deviation(
                courses.start, courses.session_of_row, score, rule, pooled
            )
    return largest


def largest_deviation(
    start: IntArray, session: FloatArray, score: FloatArray, rule: RuptureRule, pooled: PooledScale
) -> FloatArray:
    """(n,) largest deviation of each client, in units of the rule; NaN where none was evaluated.

    Until its first flag a client's baseline holds every earlier session whatever the threshold, so
    a client is flagged exactly when the threshold is not above this deviation.
    """
    never = np.full(start.size - 1, NEVER)
    no_day = np.full(session.size, np.nan)  # without a rupture no horizon begins
    reference, scale, _, state, _ = kernel.scan(
        start, session, no_day, score, never, rule_codes(rule), rule_numbers(rule, pooled)
    )
    evaluated = state == kernel.INTACT
    units = np.where(evaluated, scale, 1.0)
    deviation = np.where(evaluated, (reference - score) / units, -np.inf)
    filled = np.diff(start) > 0
    largest = np.full(start.size - 1, -np.inf)
    largest[filled] = np.maximum.reduceat(deviation, start[:-1][filled])
    return np.where(np.isfinite(largest), largest, np.nan)


def rule_thresholds(
    rule: RuptureRule, deviations: FloatArray, lengths: IntArray, smallest_cell: int
) -> Iterator[dict[str, object]]:
    """``n_sessions, threshold, published, origin, reason`` of one rule: per length, or one for all.

    Lengths of which the study has too few clients get the published threshold, changed by as much
    as that of the nearest length that was found.

    Parameters
    ----------
    deviations : (n_sets, n). lengths : (n,) rated sessions of each client.
    """
    share = float(rule.false_alarm or 0.0)
    if not isinstance(rule.threshold, dict):
        usable = deviations[np.isfinite(deviations)]
        if usable.size < FEWEST_DRAWN:
            yield {"reason": "too few clients with enough ratings"}
            return
        value = threshold_of(usable, share)
        yield {"threshold": value, "published": rule.threshold, "reason": "",
               "origin": "null data sets"}  # fmt: skip
        return
    found: dict[int, float] = {}
    grid = sorted(rule.threshold)
    for length, members in zip(grid, by_length(lengths, grid), strict=True):
        usable = deviations[:, members][np.isfinite(deviations[:, members])]
        if members.sum() >= smallest_cell and usable.size >= FEWEST_DRAWN:
            found[length] = threshold_of(usable, share)
    if not found:
        yield {"reason": "too few clients with as many ratings as any length of the rule's table"}
    for length in grid if found else ():
        scaled = rule.threshold[length] * _ratio(length, found, rule.threshold)
        yield {
            "n_sessions": length, "threshold": found.get(length, scaled),
            "published": rule.threshold[length], "reason": "",
            "origin": "null data sets" if length in found else "published, scaled",
        }  # fmt: skip


def _ratio(length: int, found: Mapping[int, float], published: Mapping[int, float]) -> float:
    """Found by published threshold at the lengths that were found, interpolated as thresholds."""
    known = sorted(found)
    ratios = [found[k] / published[k] for k in known]
    return float(np.interp(np.log(length), np.log(known), ratios))


def by_length(lengths: IntArray, grid: list[int]) -> Iterator[NDArray[np.bool_]]:
    """For each length of the table the clients nearest to it, by the ratio of lengths."""
    middles = np.sqrt(np.array(grid[:-1]) * np.array(grid[1:], dtype=float))
    nearest = np.searchsorted(middles, lengths)
    for position in range(len(grid)):
        yield (nearest == position) & (lengths >= grid[0])


def threshold_of(deviations: FloatArray, share: float) -> float:
    """The lowest threshold that flags no more than ``share`` of the deviations.

    Deviations of ratings in steps have ties, all of which a threshold at that value would flag.
    """
    ordered = np.sort(deviations)
    allowed = int(np.floor(share * ordered.size + 1e-9))
    highest_left = ordered[ordered.size - allowed - 1]  # this one and its ties are not flagged
    flagged = ordered[ordered > highest_left + kernel.TIE]
    between = flagged[0] if flagged.size else highest_left + 1.0
    return float((highest_left + between) / 2)
