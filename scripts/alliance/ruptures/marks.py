"""Marks of ruptures from any source on one grid of sessions, so that they can be held together.

A mark is a rule on some rating, a report, an observer's code or a behaviour. It says of a session,
and of a client, whether there was a rupture, and whether it could have said so at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alliance.ruptures.agreement import pair_agreement, tells_few
from alliance.ruptures.episodes import STATUSES
from alliance.ruptures.result import RuptureResult
from alliance.ruptures.sources import SOURCES
from alliance.small_cells import is_small

LEVELS: tuple[str, ...] = ("onset", "session", "client")
COLUMNS: tuple[str, ...] = (
    "mark_a", "mark_b", "label_a", "label_b", "kind_a", "kind_b", "level", "n", "n_clients",
    "n_a", "n_b", "n_both", "jaccard", "jaccard_low", "jaccard_high", "kappa", "kappa_low",
    "kappa_high", "n_resamples", "reason",
)  # fmt: skip
LEAST_DEFINED = 0.95  # share of resamples in which a coefficient must exist to have an interval


@dataclass(frozen=True)
class Mark:
    """One way of marking ruptures.

    Attributes
    ----------
    id : ``analysis/rule``, or a key of ``SOURCES``. kind : ``rule`` or the kind of the source.
    sessions : ``client, session, evaluated, onset, marked``. A source has no episodes: its onsets
        are its marks.
    clients : ``client, evaluated, marked``.
    refused : why there is nothing, if so.
    """

    id: str
    label: str
    kind: str
    sessions: pd.DataFrame
    clients: pd.DataFrame
    refused: str = ""


def mark_of_rule(result: RuptureResult, analysis: str, label: str) -> Mark:
    """The mark of a rule on the rating of one rupture analysis."""
    state = result.sessions["state"]
    ruptured = (state == "ruptured").to_numpy()
    sessions = result.sessions[["client", "session"]].assign(
        evaluated=ruptured | (state == "intact").to_numpy(),
        onset=result.sessions["flag"].to_numpy(dtype=bool),
        marked=ruptured,
    )
    own = result.clients["label"]
    clients = result.clients[["client"]].assign(
        evaluated=(own != "not_evaluable").to_numpy(), marked=own.isin(STATUSES).to_numpy()
    )
    return Mark(f"{analysis}/{result.rule}", label, "rule", sessions, clients, result.refused)


def mark_of_source(name: str, marks: pd.DataFrame) -> Mark:
    """The mark of a source; a client is marked who is so in any session, evaluated if in one."""
    said = marks[name]
    yes = said.fillna(False).to_numpy(dtype=bool)
    sessions = marks[["client", "session"]].assign(
        evaluated=said.notna().to_numpy(), onset=yes, marked=yes
    )
    clients = sessions.groupby("client")[["evaluated", "marked"]].any().reset_index()
    return Mark(name, SOURCES[name].label, SOURCES[name].kind, sessions, clients)


def compare_marks(
    marks: Iterable[Mark], smallest_cell: int = 1, n_resamples: int = 1000, seed: int = 1
) -> pd.DataFrame:
    """Agreement of every pair of marks, with percentile intervals over resampled clients.

    Parameters
    ----------
    smallest_cell : pairs with fewer clients in a cell of their two-by-two table (marked by both, by
        one, by neither) have a reason and no numbers. Where only the number of clients compared
        would tell how few one mark could not evaluate, counts are NaN, coefficients at level
        ``client`` have two decimals, and ``reason`` says so.
    n_resamples : samples of clients, drawn with replacement, all sessions of a client together.

    Returns
    -------
    DataFrame
        ``COLUMNS``, one row per pair and level. Level ``onset``: the session starts a rupture;
        ``session``: it lies in an episode (for sources without episodes: it is marked); ``client``:
        any. ``n`` counts what both could evaluate: sessions, or clients. Jaccard: marked by both of
        those marked by either; kappa: Cohen's, agreement beyond chance. An interval is missing
        where more than 5% of the resamples leave its coefficient undefined.
    """
    listed = list(marks)
    run = [mark for mark in listed if not mark.refused]
    grids = {level: _grid(run, level) for level in LEVELS}
    rng = np.random.default_rng(seed)
    n_people = len(next(iter(grids.values()))[0]) if run else 0
    weights = _resampling_weights(n_people, n_resamples, rng)
    rows = [
        _pair(a, b, level, grids[level], weights, smallest_cell)
        for position, a in enumerate(listed)
        for b in listed[position + 1 :]
        for level in LEVELS
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


Grid = tuple[pd.Index, np.ndarray, Mapping[str, tuple[np.ndarray, np.ndarray]]]


def _grid(marks: list[Mark], level: str) -> Grid:
    """All clients, the client (position) of each unit, and per mark what it evaluated and marked.

    Units are sessions or clients that any mark knows.
    """
    keys = ["client"] if level == "client" else ["client", "session"]
    column = "onset" if level == "onset" else "marked"
    tables = [mark.clients if level == "client" else mark.sessions for mark in marks]
    if not tables:
        return pd.Index([]), np.empty(0, dtype=np.int64), {}
    units = pd.concat([table[keys] for table in tables]).drop_duplicates().sort_values(keys)
    units = units.reset_index(drop=True)
    people = pd.Index(units["client"].unique())
    found = {}
    for mark, table in zip(marks, tables, strict=True):
        joined = units.merge(table, on=keys, how="left", validate="1:1")
        found[mark.id] = tuple(
            joined[part].astype("boolean").fillna(False).to_numpy(dtype=bool)
            for part in ("evaluated", column)
        )
    return people, people.get_indexer(units["client"]), found


def _resampling_weights(n_people: int, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """(n_resamples, n_people) how often each client is drawn."""
    if n_people == 0:
        return np.empty((n_resamples, 0))
    equal = np.full(n_people, 1 / n_people)
    return rng.multinomial(n_people, equal, size=n_resamples).astype(float)


def _pair(
    a: Mark, b: Mark, level: str, grid: Grid, weights: np.ndarray, smallest_cell: int
) -> dict[str, object]:
    names: dict[str, object] = {
        "mark_a": a.id, "mark_b": b.id, "label_a": a.label, "label_b": b.label,
        "kind_a": a.kind, "kind_b": b.kind, "level": level,
    }  # fmt: skip
    refused = "; ".join(f"{mark.label}: {mark.refused}" for mark in (a, b) if mark.refused)
    if refused:
        return {**names, "reason": refused}
    people, client, found = grid
    (evaluated_a, marked_a), (evaluated_b, marked_b) = found[a.id], found[b.id]
    both = evaluated_a & evaluated_b
    if not both.any():
        unit = "client" if level == "client" else "session"
        return {**names, "n": 0, "reason": f"no {unit} that both could evaluate"}
    who, x, y = client[both], marked_a[both], marked_b[both]
    if tells_few(who, x, y, smallest_cell):
        reason = f"fewer than {smallest_cell} clients in a cell of the two-by-two table"
        return {**names, "reason": reason}
    found_here = {
        **names,
        "n_clients": len(np.unique(who)),
        **pair_agreement(x, y),
        **_intervals(who, x, y, len(people), weights),
        "reason": "",
    }
    compared = [len(np.unique(client[some])) for some in (evaluated_a, evaluated_b)]
    tells = any(is_small(n - len(np.unique(who)), smallest_cell) for n in (*compared, len(people)))
    return _without_counts(found_here, level, smallest_cell) if tells else found_here


def _without_counts(row: dict[str, object], level: str, smallest_cell: int) -> dict[str, object]:
    """The row without what would tell how few clients only one of the two could evaluate."""
    hidden = {"n_clients": np.nan}
    if level == "client":
        hidden |= dict.fromkeys(("n", "n_a", "n_b", "n_both"), np.nan)
        names = [f"{part}{end}" for part in ("jaccard", "kappa") for end in ("", "_low", "_high")]
        hidden |= {name: round(float(row[name]), 2) for name in names}
    reason = f"numbers that would tell of fewer than {smallest_cell} clients are hidden"
    return {**row, **hidden, "reason": reason}


def _intervals(
    who: np.ndarray, x: np.ndarray, y: np.ndarray, n_people: int, weights: np.ndarray
) -> dict[str, float]:
    """Percentile intervals of Jaccard and kappa from per-client counts."""
    parts = (np.ones(x.size), x, y, x & y)
    counts = np.column_stack([np.bincount(who, part, minlength=n_people) for part in parts])
    n, n_a, n_b, n_both = (weights @ counts).T
    with np.errstate(divide="ignore", invalid="ignore"):
        jaccard = n_both / (n_a + n_b - n_both)
        chance = (n_a * n_b + (n - n_a) * (n - n_b)) / n**2
        kappa = ((n - n_a - n_b + 2 * n_both) / n - chance) / (1 - chance)
    kappa[~(chance < 1)] = np.nan
    found: dict[str, float] = {"n_resamples": len(weights)}
    for name, values in (("jaccard", jaccard), ("kappa", kappa)):
        defined = values[np.isfinite(values)]
        enough = len(values) > 0 and len(defined) >= LEAST_DEFINED * len(values)
        low, high = np.quantile(defined, [0.025, 0.975]) if enough else (np.nan, np.nan)
        found |= {f"{name}_low": float(low), f"{name}_high": float(high)}
    return found
