"""How long a repair may take: counted in rated sessions, or in weeks by the dates of sessions.

In weeks the limit is ``7 x horizon`` days after the onset, the last day included. A session without
a date still has its place in the order: an onset lies no earlier than the last date before it and
no later than the first date after it. Only what these limits settle is called repaired or
unrepaired. A limit never comes from a session after the one that is judged, so that nothing known
at a session changes with what comes later.
"""

from __future__ import annotations

import numba
import numpy as np

SESSIONS, WEEKS = range(2)
REPAIRED, UNREPAIRED, INDETERMINATE = range(3)
NO_ROW = -1
NO_HORIZON = 0
NO_END = 2**62  # a row after all others
DAYS_PER_WEEK = 7
SAME_TIME = 1e-9  # days: dates are whole days, smaller differences are rounding


@numba.njit(cache=True)
def last_row(onset: int, stop: int, day: np.ndarray, horizon: int, unit: int) -> int:
    """The last row that may lie within the horizon of an onset; ``NO_END`` if no row is beyond.

    Parameters
    ----------
    onset, stop : row of the onset, and the row after the client's last one. day : (n_rows,) days,
        never falling within a client, NaN where unknown; read for weeks only.
    horizon : sessions or weeks, ``NO_HORIZON`` for none. unit : ``SESSIONS`` or ``WEEKS``.
    """
    if horizon == NO_HORIZON:
        return NO_END
    if unit == SESSIONS:
        return onset + horizon
    latest = np.nan  # day on which the horizon ends, if the onset is as late as it can be
    for t in range(onset, stop):
        if np.isnan(latest):
            latest = day[t] + DAYS_PER_WEEK * horizon
        elif day[t] > latest + SAME_TIME:
            return t - 1
    return NO_END


@numba.njit(cache=True)
def status_of(
    onset: int, close: int, first: int, stop: int, day: np.ndarray, horizon: int, unit: int
) -> int:
    """``REPAIRED``, ``UNREPAIRED`` or ``INDETERMINATE``.

    Parameters
    ----------
    close : row that reached the target, ``NO_ROW`` without one. first : the client's first row;
        else as for :func:`last_row`.
    """
    last = last_row(onset, stop, day, horizon, unit)
    if close != NO_ROW and close <= last:
        counted = horizon == NO_HORIZON or unit == SESSIONS
        if counted or _surely_within(onset, close, first, day, horizon):
            return REPAIRED
        return INDETERMINATE
    if horizon == NO_HORIZON:
        return INDETERMINATE
    if unit == SESSIONS:
        return UNREPAIRED if stop - 1 >= last else INDETERMINATE
    return UNREPAIRED if _surely_watched(onset, stop, day, horizon) else INDETERMINATE


@numba.njit(cache=True)
def _surely_within(onset: int, close: int, first: int, day: np.ndarray, horizon: int) -> bool:
    """Whether the return came in time even if the onset was as early as it can be."""
    for t in range(onset, first - 1, -1):
        if not np.isnan(day[t]):
            return day[close] - day[t] <= DAYS_PER_WEEK * horizon + SAME_TIME
    return False


@numba.njit(cache=True)
def _surely_watched(onset: int, stop: int, day: np.ndarray, horizon: int) -> bool:
    """Whether ratings reach the end of the horizon even if the onset was as late as it can be."""
    began = np.nan
    for t in range(onset, stop):
        if np.isnan(began):
            began = day[t]
        elif day[t] - began >= DAYS_PER_WEEK * horizon - SAME_TIME:
            return True
    return False


@numba.njit(cache=True)
def follow(
    onset: np.ndarray,
    close: np.ndarray,
    first: np.ndarray,
    stop: np.ndarray,
    day: np.ndarray,
    horizon: int,
    unit: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Of each episode the row after its last one, and its status; arguments as above, per episode.

    An episode lasts until the rating before the return, or until its horizon has passed.
    """
    end, status = np.empty(onset.size, dtype=np.int64), np.empty(onset.size, dtype=np.int64)
    for e in range(onset.size):
        end[e] = end_row(onset[e], close[e], stop[e], day, horizon, unit)
        status[e] = status_of(onset[e], close[e], first[e], stop[e], day, horizon, unit)
    return end, status


@numba.njit(cache=True)
def end_row(onset: int, close: int, stop: int, day: np.ndarray, horizon: int, unit: int) -> int:
    """The row after the last one of an episode."""
    end = stop if close == NO_ROW else close
    last = last_row(onset, stop, day, horizon, unit)
    return last + 1 if last < end else end
