"""One pass over the scores of all clients: numbers in, numbers out (methods specification 2.1).

Clients are contiguous blocks of rated sessions in order. A rupture opens when a score lies at
least ``threshold`` units below its reference; the sessions of an open episode stay out of the
baseline. The episode ends at the first session (of ``sustained`` in a row) back at the target, or,
unrepaired, when the horizon has passed. Later sessions are compared anew and may rupture again, but
ratings that stay below the line without a break are one stretch and no second rupture.
"""

from __future__ import annotations

import numba
import numpy as np

from alliance.ruptures.horizon import NO_ROW, last_row

PREVIOUS, MAX_PRIOR, MEAN_PRIOR, PERSON_MEAN, TREND_LINE = range(5)
SAMPLE_SCALE, SD_OWN, SD_OWN_PRIOR, MOVING_RANGE = range(4)
PRE_RUPTURE, TARGET_PERSON_MEAN, HALF_OF_DROP = range(3)
INTACT, RUPTURED, NOT_EVALUABLE, NO_VARIANCE, GAP = range(5)
STATES: tuple[str, ...] = ("intact", "ruptured", "not_evaluable", "no_variance", "gap")
EIGHT_ON_ONE_SIDE, TWO_OF_THREE = 1, 2  # may be added
RUN_LENGTH, BEYOND_SIGMAS = 8, 2.0
TIE = 1e-9  # scores of questionnaires are sums of whole numbers: smaller differences are rounding
MOVING_RANGE_TO_SD = 1.128  # mean range of two normal observations, in SDs


@numba.njit(cache=True)
def own_line(session: np.ndarray, score: np.ndarray, trend: bool) -> tuple[float, float, float]:
    """Level, slope and SD of one client's scores: around the mean, or around the OLS line.

    Returns
    -------
    (float, float, float)
        Value at session 0, change per session, and SD with as many degrees of freedom as remain
        (NaN where none do).
    """
    n = score.size
    mean_score = score.mean()
    mean_session = session.mean()
    slope = 0.0
    if trend:
        spread = ((session - mean_session) ** 2).sum()
        slope = ((session - mean_session) * (score - mean_score)).sum() / spread
    squares = 0.0
    for i in range(n):
        squares += (score[i] - mean_score - slope * (session[i] - mean_session)) ** 2
    degrees = n - 2 if trend else n - 1
    sd = np.sqrt(squares / degrees) if degrees > 0 else np.nan
    return mean_score - slope * mean_session, slope, sd


@numba.njit(cache=True)
def moving_range_sd(score: np.ndarray) -> float:
    """Mean difference of neighbouring scores over 1.128, the sigma of an individuals chart."""
    if score.size < 2:
        return np.nan
    total = 0.0
    for i in range(1, score.size):
        total += abs(score[i] - score[i - 1])
    return total / (score.size - 1) / MOVING_RANGE_TO_SD


@numba.njit(cache=True)
def scan(
    start: np.ndarray,
    session: np.ndarray,
    day: np.ndarray,
    score: np.ndarray,
    threshold: np.ndarray,
    codes: np.ndarray,
    numbers: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """Flag ruptures and follow episodes in every client.

    Parameters
    ----------
    start : (n_clients + 1,) first row of each client, then the number of rows.
    session, score : (n_rows,) floats; ``session`` increases within a client.
    day : (n_rows,) days, never falling within a client, NaN where unknown; read only for a horizon
        in weeks.
    threshold : (n_clients,) units.
    codes : (10,) integers: reference, scale, target, t_min, min_sessions, sustained, exclude gaps,
        run rules, horizon (``horizon.NO_HORIZON``: none), its unit (``SESSIONS``, ``WEEKS``).
    numbers : (5,) floats: sample scale, floor of the scale, smallest drop in points, margin of the
        target in units, margin of the target in points.

    Returns
    -------
    reference, scale : (n_rows,) NaN where not evaluable; those of the onset during an episode and
        at the session that ends it.
    flag : (n_rows,) bool, the onsets. state : (n_rows,) code of STATES.
    close_row : (n_rows,) at an onset the row that reached the target, ``NO_ROW`` if none did before
        the next onset; later than the horizon it is a late return of an unrepaired episode.
    """
    n = score.size
    reference = np.full(n, np.nan)
    scale = np.full(n, np.nan)
    flag = np.zeros(n, dtype=np.bool_)
    state = np.full(n, NOT_EVALUABLE, dtype=np.int8)
    close_row = np.full(n, NO_ROW, dtype=np.int64)
    for client in range(start.size - 1):
        first, stop = start[client], start[client + 1]
        if stop - first < codes[4]:
            continue
        _scan_client(
            session[first:stop],
            day[first:stop],
            score[first:stop],
            threshold[client],
            codes,
            numbers,
            reference[first:stop],
            scale[first:stop],
            flag[first:stop],
            state[first:stop],
            close_row[first:stop],
            first,
        )
    return reference, scale, flag, state, close_row


@numba.njit(cache=True)
def _scan_client(
    session: np.ndarray,
    day: np.ndarray,
    score: np.ndarray,
    threshold: float,
    codes: np.ndarray,
    numbers: np.ndarray,
    reference: np.ndarray,
    scale: np.ndarray,
    flag: np.ndarray,
    state: np.ndarray,
    close_row: np.ndarray,
    first: int,
) -> None:
    level, slope, own_sd = own_line(session, score, codes[0] == TREND_LINE)
    if codes[1] == MOVING_RANGE:
        own_sd = moving_range_sd(score)
    person_mean = score.mean()
    count, mean, squares, highest = 0, 0.0, 0.0, -np.inf
    open_at, last, run, target, line = NO_ROW, NO_ROW, 0, np.nan, np.nan
    late = NO_ROW  # the onset of an unrepaired episode whose return has not come yet
    held = False  # whether ratings are below the line since such an episode, without a break
    fresh = 0  # ratings before it belong to an earlier episode: no run goes back behind it
    for t in range(score.size):
        now = score[t]
        if open_at != NO_ROW and t > last:
            late, open_at = open_at, NO_ROW
            held = score[t - 1] <= line + TIE
        if open_at != NO_ROW or late != NO_ROW:
            run = run + 1 if now >= target - TIE else 0
        if open_at != NO_ROW:
            reference[t], scale[t] = reference[open_at], scale[open_at]
            if run < codes[5]:
                state[t] = RUPTURED
                continue
            state[t] = INTACT
            close_row[open_at] = first + t
            open_at, fresh = NO_ROW, t + 1
        else:
            if late != NO_ROW and run >= codes[5]:
                close_row[late] = first + t
                late, fresh = NO_ROW, t + 1
            if t + 1 >= codes[3]:
                reference[t] = _reference(codes[0], score, t, mean, highest, level, session, slope)
                scale[t] = _scale(codes[1], numbers, own_sd, count, squares)
                gap = codes[6] == 1 and session[t] - session[t - 1] > 1
                signal = (
                    codes[7] > 0
                    and late == NO_ROW
                    and fresh <= t
                    and _runs(score[fresh : t + 1], reference[t], scale[t], codes[7])
                )
                state[t] = _state(now, reference[t], scale[t], threshold, numbers[2], gap, signal)
                held = held and state[t] != INTACT and codes[0] != PREVIOUS
                if held and state[t] == RUPTURED:
                    state[t] = INTACT  # the stretch of the episode that was not repaired
            if state[t] == RUPTURED:
                flag[t] = True
                open_at, late, run = t, NO_ROW, 0
                last = last_row(t, score.size, day, codes[8], codes[9])
                line = reference[t] - max(threshold * scale[t], numbers[2])
                target = _target(codes[2], numbers, score, t, reference[t], scale[t], person_mean)
                if codes[2] == PRE_RUPTURE:
                    # A score that would itself be a rupture is no repair, however low the session
                    # before the onset was (slow declines).
                    target = max(target, line + 2 * TIE)
                continue
        count += 1
        step = now - mean
        mean += step / count
        squares += step * (now - mean)
        highest = max(highest, now)


@numba.njit(cache=True)
def _reference(
    kind: int,
    score: np.ndarray,
    t: int,
    mean: float,
    highest: float,
    level: float,
    session: np.ndarray,
    slope: float,
) -> float:
    if kind == PREVIOUS:
        return score[t - 1]
    if kind == MAX_PRIOR:
        return highest
    if kind == MEAN_PRIOR:
        return mean
    return level + slope * session[t]


@numba.njit(cache=True)
def _scale(kind: int, numbers: np.ndarray, own_sd: float, count: int, squares: float) -> float:
    if kind == SAMPLE_SCALE:
        unit = numbers[0]
    elif kind == SD_OWN_PRIOR:
        unit = np.sqrt(squares / (count - 1)) if count > 1 else np.nan
    else:
        unit = own_sd
    return max(unit, numbers[1]) if np.isfinite(unit) else np.nan


@numba.njit(cache=True)
def _runs(score: np.ndarray, centre: float, sigma: float, asked: int) -> bool:
    """Whether a run rule gives a signal at the last of the scores (low side only)."""
    last = score.size - 1
    if asked & EIGHT_ON_ONE_SIDE and score.size >= RUN_LENGTH:
        low = 0
        for t in range(last - RUN_LENGTH + 1, last + 1):
            low += score[t] < centre - TIE
        if low == RUN_LENGTH:
            return True
    limit = centre - BEYOND_SIGMAS * sigma + TIE
    if asked & TWO_OF_THREE and score[last] <= limit:
        for t in range(max(last - 2, 0), last):
            if score[t] <= limit:
                return True
    return False


@numba.njit(cache=True)
def _state(
    now: float,
    reference: float,
    scale: float,
    threshold: float,
    minimum_drop: float,
    gap: bool,
    signal: bool,
) -> int:
    if not np.isfinite(reference) or not np.isfinite(scale):
        return NOT_EVALUABLE
    if scale <= TIE:
        return NO_VARIANCE
    if gap:
        return GAP
    drop = reference - now
    if (signal or drop >= threshold * scale - TIE) and drop >= minimum_drop - TIE:
        return RUPTURED
    return INTACT


@numba.njit(cache=True)
def _target(
    kind: int,
    numbers: np.ndarray,
    score: np.ndarray,
    t: int,
    reference: float,
    scale: float,
    person_mean: float,
) -> float:
    margin = numbers[3] * scale + numbers[4]
    if kind == TARGET_PERSON_MEAN:
        return person_mean - margin
    if kind == HALF_OF_DROP:
        return (reference + score[t]) / 2 - margin
    return score[t - 1] - margin
