"""Tables of sessions, episodes and clients from what the kernel found, and their summary."""

from __future__ import annotations

import numba
import numpy as np
import pandas as pd

from alliance.ruptures import kernel
from alliance.ruptures.horizon import (
    DAYS_PER_WEEK,
    INDETERMINATE,
    REPAIRED,
    UNREPAIRED,
    follow,
)
from alliance.ruptures.result import RuptureResult, Series
from alliance.ruptures.rules import RuptureRule
from alliance.ruptures.wording import definition, in_brief
from alliance.small_cells import is_small, shown_counts

STATUSES: tuple[str, ...] = ("repaired", "unrepaired", "indeterminate")
LABELS: tuple[str, ...] = ("none", *STATUSES, "no_variance", "not_evaluable")
SHAPES: tuple[str, ...] = ("V", "U", "decline", "L", "open")
BOTTOM = 0.5  # sessions within half a unit of the nadir are at the bottom: V has one, U more


def session_table(
    rule: RuptureRule,
    series: Series,
    reference: np.ndarray,
    scale: np.ndarray,
    flag: np.ndarray,
    state: np.ndarray,
) -> tuple[pd.DataFrame, np.ndarray]:
    """The sessions table and each row's episode number within its client (0 = none)."""
    client = series.client_of_row
    onsets_so_far = np.cumsum(flag)
    before_client = np.concatenate([[0], onsets_so_far])[series.start[:-1]]
    number = onsets_so_far - np.repeat(before_client, series.n_sessions)
    episode = np.where(state == kernel.RUPTURED, number, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = (reference - series.score) / np.where(scale > kernel.TIE, scale, np.nan)
    frame = pd.DataFrame(
        {
            "rule": _repeat(rule.id, client.size),
            "client": series.clients.take(client),
            "session": series.session.astype(np.int64),
            "score": series.score,
            "reference": reference,
            "scale": scale,
            "deviation": deviation,
            "flag": flag,
            "state": pd.Categorical.from_codes(state, list(kernel.STATES)),
            "episode": pd.arrays.IntegerArray(episode.astype(np.int64), episode == 0),
        }
    )
    return frame, episode


def episode_table(
    rule: RuptureRule, series: Series, found: tuple[np.ndarray, ...], episode: np.ndarray
) -> pd.DataFrame:
    """One row per episode.

    An episode lasts until the rating before the return, or until its horizon has passed.
    ``depth`` is the largest drop below the reference of the onset, in units; ``duration`` the
    rated sessions of the episode; ``area`` the drops summed over them (units x sessions, drops
    only); ``latency`` the rated sessions from onset to the return, which exceeds the horizon for a
    late return and is missing without one before the next onset. ``latency_weeks`` is the same by
    the dates of onset and return, missing where one of them is not known.
    """
    reference, scale, flag, _, close_row = found
    onset = np.flatnonzero(flag)
    client = series.client_of_row[onset]
    stop = series.start[client + 1]
    close = close_row[onset]
    end, status = follow(onset, close, series.start[client], stop, series.day, *rule.horizon_codes)
    nadir, depth, area, at_bottom, falls = _measure(onset, end, series.score, reference, scale)
    returned = close != kernel.NO_ROW
    latency = np.where(returned, close - onset, np.nan)
    days = np.where(returned, series.day[close] - series.day[onset], np.nan)
    shape = _shape(status, latency, at_bottom, falls)
    return pd.DataFrame(
        {
            "rule": _repeat(rule.id, onset.size),
            "client": series.clients.take(client),
            "episode": episode[onset].astype(np.int64),
            "onset": series.session[onset].astype(np.int64),
            "nadir": series.session[nadir].astype(np.int64),
            "end": series.session[end - 1].astype(np.int64),
            "pre_score": series.score[onset - 1] if onset.size else np.empty(0),
            "depth": depth,
            "duration": (end - onset).astype(np.int64),
            "area": area,
            "latency": latency,
            "latency_weeks": days / DAYS_PER_WEEK,
            "shape": pd.Categorical.from_codes(shape, list(SHAPES)),
            "status": pd.Categorical.from_codes(status, list(STATUSES)),
        }
    )


def _shape(
    status: np.ndarray, latency: np.ndarray, at_bottom: np.ndarray, falls: np.ndarray
) -> np.ndarray:
    """V: one session at the bottom; U: more; decline: the fall took several sessions; L: no return
    was seen although the horizon was; open: the treatment or the data ended before that."""
    returned = np.where(falls, 2, np.where(at_bottom > 1, 1, 0))
    not_returned = np.where(status == INDETERMINATE, 4, 3)
    return np.where(np.isfinite(latency), returned, not_returned)


@numba.njit(cache=True)
def _measure(
    onset: np.ndarray,
    end: np.ndarray,
    score: np.ndarray,
    reference: np.ndarray,
    scale: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Per episode: row of the (first) nadir, depth, area, sessions at the bottom, slow fall."""
    n = onset.size
    nadir = onset.copy()
    depth, area = np.zeros(n), np.zeros(n)
    at_bottom = np.zeros(n, dtype=np.int64)
    falls = np.zeros(n, dtype=np.bool_)
    for e in range(n):
        first = onset[e]
        for t in range(first, end[e]):
            if score[t] < score[nadir[e]]:
                nadir[e] = t
            area[e] += max(reference[first] - score[t], 0.0) / scale[first]
        lowest = score[nadir[e]]
        depth[e] = (reference[first] - lowest) / scale[first]
        bottom = lowest + BOTTOM * scale[first]
        for t in range(first, end[e]):
            at_bottom[e] += score[t] <= bottom
        falls[e] = score[first] > bottom
    return nadir, depth, area, at_bottom, falls


def client_table(
    rule: RuptureRule, series: Series, state: np.ndarray, episodes: pd.DataFrame
) -> pd.DataFrame:
    """One row per client with the client's label and counts.

    The label is the worst episode (any unrepaired, else any repaired, else indeterminate) or the
    last one, by the rule. ``no_variance``: the rule's unit was zero wherever it could be formed;
    such clients stay in the denominator. ``not_evaluable``: too few rated sessions.
    """
    n_clients = series.clients.size
    client = series.client_of_row
    position = series.clients.get_indexer(episodes["client"])
    status = episodes["status"].cat.codes.to_numpy()
    counts = [np.bincount(position[status == code], minlength=n_clients) for code in range(3)]
    if rule.client_label == "last_episode":
        last = np.full(n_clients, -1)
        last[position] = status  # episodes are in order, so the last one stays
        decided = [last == code for code in range(3)]
    else:
        decided = [count > 0 for count in counts]
    evaluated = (state == kernel.INTACT) | (state == kernel.RUPTURED)
    n_evaluated = np.bincount(client[evaluated], minlength=n_clients)
    constant = np.bincount(client[state == kernel.NO_VARIANCE], minlength=n_clients) > 0
    label = np.select(
        [decided[UNREPAIRED], decided[REPAIRED], decided[INDETERMINATE], n_evaluated > 0, constant],
        [2, 1, 3, 0, 4],
        default=5,
    )
    return pd.DataFrame(
        {
            "rule": _repeat(rule.id, n_clients),
            "client": series.clients,
            "label": pd.Categorical.from_codes(label, list(LABELS)),
            "n_sessions": series.n_sessions,
            "n_ruptures": sum(counts),
            "n_repaired": counts[REPAIRED],
            "n_unrepaired": counts[UNREPAIRED],
            "n_indeterminate": counts[INDETERMINATE],
        }
    )


def _repeat(word: str, times: int) -> pd.Categorical:
    return pd.Categorical.from_codes(np.zeros(times, dtype=np.int8), [word])


def label_counts(result: RuptureResult) -> dict[str, int]:
    """Clients per label, with a zero for labels that nobody has."""
    counts = result.clients["label"].value_counts()
    return {label: int(counts.get(label, 0)) for label in LABELS}


# Counts of clients, as sums of labels, in the order in which they matter to readers.
CLIENT_COUNTS: dict[str, tuple[str, ...]] = {
    "n_clients": LABELS,
    "n_evaluable": (*STATUSES, "none", "no_variance"),
    "n_ruptured": STATUSES,
    "n_repaired": ("repaired",),
    "n_unrepaired": ("unrepaired",),
    "n_indeterminate": ("indeterminate",),
    "n_none": ("none",),
    "n_no_variance": ("no_variance",),
    "n_not_evaluable": ("not_evaluable",),
}


def shown_client_counts(result: RuptureResult, smallest_cell: int) -> set[str]:
    """Which of ``CLIENT_COUNTS`` may be shown without telling a number of few clients."""
    return shown_counts(label_counts(result), CLIENT_COUNTS, smallest_cell)


def summarise(
    result: RuptureResult, rule: RuptureRule, smallest_cell: int = 1
) -> dict[str, object]:
    """One row of ``summary.csv``.

    Parameters
    ----------
    smallest_cell : numbers of fewer clients, and others from which they could be worked out, are
        NaN; ``hidden`` then says so.

    Returns
    -------
    dict
        ``n_evaluable`` counts clients without variance, ``pct_ruptured`` is of them.
        ``n_repaired``, ``n_unrepaired``, ``n_indeterminate`` are clients by label;
        ``pct_repaired`` is of the clients whose label is repaired or unrepaired, since a rupture
        near the end of the data is neither (NaN for a rule without a horizon, which never calls a
        rupture unrepaired). Medians are over episodes; of the latency over repaired ones. A rule
        that was refused has its reason and no numbers. Only a rule that counts weeks has
        ``median_latency_weeks``.
    """
    words: dict[str, object] = {
        "rule": rule.id,
        "label": rule.label,
        "verified": rule.verified,
        "lookahead": rule.lookahead,
    }
    numbers = _counts(result, rule)
    if result.refused:
        return {
            **words, **dict.fromkeys(numbers, np.nan), "note": rule.note,
            "reason": result.refused, "hidden": "", "definition": definition(rule),
            "brief": in_brief(rule),
        }  # fmt: skip
    hidden = _hidden(result, smallest_cell) & set(numbers)
    numbers |= dict.fromkeys(hidden, np.nan)
    why = f"numbers of fewer than {smallest_cell} clients, or that would tell one, are hidden"
    return {
        **words, **numbers, "note": rule.note, "reason": "", "hidden": why if hidden else "",
        "definition": definition(rule), "brief": in_brief(rule),
    }  # fmt: skip


def _hidden(result: RuptureResult, smallest_cell: int) -> set[str]:
    """Names of the numbers of a summary that may not be shown."""
    shown = shown_client_counts(result, smallest_cell)
    hidden = set(CLIENT_COUNTS) - shown
    if not {"n_ruptured", "n_evaluable"} <= shown:
        hidden.add("pct_ruptured")
    if not {"n_repaired", "n_unrepaired"} <= shown:
        hidden.add("pct_repaired")
    if "n_ruptured" not in shown:
        hidden |= {"n_episodes", "median_depth"}
    episodes, state = result.episodes, result.sessions["state"]
    repaired = episodes[episodes["status"] == "repaired"]
    people = {
        "median_depth": episodes["client"].nunique(),
        "median_latency": repaired["client"].nunique(),
        "median_latency_weeks": repaired.loc[repaired["latency_weeks"].notna(), "client"].nunique(),
        "n_gap_sessions": result.sessions.loc[state == "gap", "client"].nunique(),
        "pct_ceiling": _clients_at_ceiling(result),
    }
    return hidden | {name for name, n in people.items() if is_small(n, smallest_cell)}


def _clients_at_ceiling(result: RuptureResult) -> int:
    """Clients with a rating at the highest possible score; that is then the highest there is."""
    if not result.pct_ceiling > 0:
        return 0
    score = result.sessions["score"].astype(float)
    return int(result.sessions.loc[score >= score.max() - kernel.TIE, "client"].nunique())


def _counts(result: RuptureResult, rule: RuptureRule) -> dict[str, float]:
    counts = label_counts(result)
    n_ruptured = sum(counts[status] for status in STATUSES)
    n_evaluable = n_ruptured + counts["none"] + counts["no_variance"]
    n_decided = counts["repaired"] + counts["unrepaired"] if rule.horizon else 0
    episodes = result.episodes
    repaired = episodes[episodes["status"] == "repaired"]
    weeks = {"median_latency_weeks": float(repaired["latency_weeks"].median())}
    return {
        "n_clients": len(result.clients),
        "n_evaluable": n_evaluable,
        "n_ruptured": n_ruptured,
        "pct_ruptured": _percent(n_ruptured, n_evaluable),
        "n_repaired": counts["repaired"],
        "pct_repaired": _percent(counts["repaired"], n_decided),
        "n_unrepaired": counts["unrepaired"],
        "n_indeterminate": counts["indeterminate"],
        "median_latency": float(repaired["latency"].median()),
        "median_depth": float(episodes["depth"].median()),
        "n_none": counts["none"],
        "n_no_variance": counts["no_variance"],
        "n_not_evaluable": counts["not_evaluable"],
        "n_episodes": len(episodes),
        "n_gap_sessions": int((result.sessions["state"] == "gap").sum()),
        "pct_ceiling": result.pct_ceiling,
        **(weeks if rule.horizon_unit == "weeks" else {}),
    }


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else float("nan")
