"""Rules applied to arrays of ratings, without building a table: for many data sets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numba
import numpy as np
from numpy.typing import NDArray

from alliance.ruptures import kernel
from alliance.ruptures.engine import rule_codes, rule_numbers
from alliance.ruptures.episodes import LABELS, STATUSES
from alliance.ruptures.horizon import (
    INDETERMINATE,
    REPAIRED,
    UNREPAIRED,
    WEEKS,
    end_row,
    status_of,
)
from alliance.ruptures.result import PooledScale
from alliance.ruptures.rules import RuptureRule

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NONE, LABEL_REPAIRED, LABEL_UNREPAIRED, LABEL_INDETERMINATE, NO_VARIANCE, NOT_EVALUABLE = range(6)
if LABELS[LABEL_REPAIRED : LABEL_INDETERMINATE + 1] != STATUSES:
    raise AssertionError("the codes of the labels follow those of the statuses")


@dataclass(frozen=True)
class Scan:
    """What one rule finds in one set of ratings.

    Attributes
    ----------
    flag : (rows,) onsets. state : (rows,) codes of ``kernel.STATES``. close_row : (rows,) at an
        onset the row that reached the target. label : (n,) codes of ``LABELS``.
    depth, latency : (episodes,); latency is NaN for episodes that were not repaired.
    """

    flag: NDArray[np.bool_]
    state: NDArray[np.int8]
    close_row: IntArray
    label: NDArray[np.int8]
    depth: FloatArray
    latency: FloatArray

    def repaired_rows(self) -> NDArray[np.bool_]:
        """(rows,) the rating that counts as repair of a rupture, within the horizon."""
        found = np.zeros(self.flag.size, dtype=bool)
        onset = np.flatnonzero(self.flag)
        found[self.close_row[onset[np.isfinite(self.latency)]]] = True
        return found


def scan(
    start: IntArray,
    session: FloatArray,
    score: FloatArray,
    rule: RuptureRule,
    pooled: PooledScale,
    day: FloatArray | None = None,
) -> Scan:
    """Apply a rule to clients given as contiguous rows (``kernel.scan``).

    Parameters
    ----------
    day : (rows,) NaN where unknown; only rules with a horizon in weeks need it.

    Raises
    ------
    ValueError
        For such a rule without days.
    """
    horizon, unit = rule.horizon_codes
    if day is None:
        if unit == WEEKS:
            raise ValueError(f"rule {rule.id} counts weeks and needs the days of the ratings")
        day = np.full(session.size, np.nan)
    threshold = rule.thresholds(np.diff(start))
    reference, scale, flag, state, close_row = kernel.scan(
        start, session, day, score, threshold, rule_codes(rule), rule_numbers(rule, pooled)
    )
    label, depth, latency = _tally(
        start, day, score, reference, scale, flag, state, close_row, horizon, unit,
        rule.client_label == "last_episode",
    )  # fmt: skip
    return Scan(flag, state, close_row, label, depth, latency)


@numba.njit(cache=True)
def _tally(
    start: np.ndarray,
    day: np.ndarray,
    score: np.ndarray,
    reference: np.ndarray,
    scale: np.ndarray,
    flag: np.ndarray,
    state: np.ndarray,
    close_row: np.ndarray,
    horizon: int,
    unit: int,
    by_last: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of clients as ``episodes.client_table`` gives them, depth and latency of episodes."""
    n = start.size - 1
    label = np.full(n, NOT_EVALUABLE, dtype=np.int8)
    n_episodes = flag.sum()
    depth, latency = np.empty(n_episodes), np.full(n_episodes, np.nan)
    episode = 0
    for client in range(n):
        evaluated, constant, worst, last = False, False, -1, -1
        for t in range(start[client], start[client + 1]):
            evaluated |= state[t] == kernel.INTACT or state[t] == kernel.RUPTURED
            constant |= state[t] == kernel.NO_VARIANCE
            if not flag[t]:
                continue
            close, stop = close_row[t], start[client + 1]
            lowest = score[t]
            for later in range(t, end_row(t, close, stop, day, horizon, unit)):
                lowest = min(lowest, score[later])
            depth[episode] = (reference[t] - lowest) / scale[t]
            last = status_of(t, close, start[client], stop, day, horizon, unit)
            if last == REPAIRED:
                latency[episode] = close - t
            worst = _worse(worst, last)
            episode += 1
        status = last if by_last else worst
        if status >= 0:
            label[client] = status + 1
        elif evaluated:
            label[client] = NONE
        elif constant:
            label[client] = NO_VARIANCE
    return label, depth, latency


@numba.njit(cache=True)
def _worse(one: int, other: int) -> int:
    """Any unrepaired, else any repaired, else indeterminate."""
    if UNREPAIRED in (one, other):
        return UNREPAIRED
    if REPAIRED in (one, other):
        return REPAIRED
    return INDETERMINATE


def pooled_of(start: IntArray, score: FloatArray, known: PooledScale) -> PooledScale:
    """The SDs of these ratings, with the reliabilities of ``known``."""
    count = np.diff(start)
    filled = count > 0
    sums = np.add.reduceat(score, start[:-1][filled])
    means = np.repeat(sums / count[filled], count[filled])
    squares = float(((score - means) ** 2).sum())
    within = np.sqrt(squares / max(score.size - int(filled.sum()), 1))
    return replace(known, sd_total=float(score.std(ddof=1)), sd_within=float(within))
