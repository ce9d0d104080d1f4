"""Ratings of several series, client by session, as the dynamic models need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.estimation.refusal import Refusal
from alliance.study import Timing
from alliance.within_between import orient

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Direction = tuple[str, tuple[float, float]]
MAX_SESSIONS = 100


@dataclass(frozen=True)
class VarSeries:
    """Scores of n clients at T sessions on k series.

    Attributes
    ----------
    scores : (n, T, k), NaN where missing; every client has at least one score.
    names : (k,) what the series are called in terms, e.g. ``alliance`` and ``outcome``.
    client_ids : (n,), sorted. first_session : number of the first session of the grid.
    cluster : (n,) codes of therapists for a cluster bootstrap; a client without a known therapist
        has a code of its own.
    notes : what was left out, in words.
    days : (n, T) day of each session since the client's first one, NaN where unknown; None where
        no day is known.
    """

    scores: FloatArray
    names: tuple[str, ...]
    client_ids: tuple[str, ...]
    first_session: int = 1
    cluster: IntArray | None = None
    notes: tuple[str, ...] = ()
    days: FloatArray | None = None

    @property
    def n_clients(self) -> int:
        return int(self.scores.shape[0])

    @property
    def n_sessions(self) -> int:
        return int(self.scores.shape[1])

    @property
    def numbers(self) -> IntArray:
        """(T,) numbers of the sessions of the grid, which need not start at 1."""
        return np.arange(self.first_session, self.first_session + self.n_sessions)

    @property
    def n_series(self) -> int:
        return int(self.scores.shape[2])

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(n, T, k) whether a score is there."""
        return ~np.isnan(self.scores)

    @property
    def sessions_per_client(self) -> IntArray:
        """(n,) sessions at which a client has all series."""
        return self.seen.all(axis=2).sum(axis=1)

    def within_sd(self) -> FloatArray:
        """(k,) pooled within-client SDs; NaN where no client has two scores of a series."""
        counts = self.seen.sum(axis=1)
        totals = np.nansum(self.scores, axis=1)
        means = totals / np.maximum(counts, 1)
        squares = np.nansum((self.scores - means[:, None, :]) ** 2, axis=(0, 1))
        freedom = np.maximum(counts - 1, 0).sum(axis=0)
        return np.sqrt(
            np.divide(squares, freedom, np.full(len(squares), np.nan), where=freedom > 0)
        )

    def take(self, clients: IntArray) -> VarSeries:
        """The series of some clients, possibly repeated (for a bootstrap)."""
        ids = tuple(self.client_ids[i] for i in clients)
        cluster = None if self.cluster is None else self.cluster[clients]
        days = None if self.days is None else self.days[clients]
        return VarSeries(
            self.scores[clients], self.names, ids, self.first_session, cluster, days=days
        )


def occasions(timing: Timing) -> tuple[int, int]:
    """Rank of alliance and outcome within a session, by the timing rule; equal on one occasion."""
    place = {"pre": 0, "post": 1}
    return place[timing.alliance_when], place[timing.outcome_when]


def var_series(
    sessions: pd.DataFrame,
    columns: Mapping[str, str],
    directions: Mapping[str, Direction] | None = None,
    *,
    clients: pd.DataFrame | None = None,
    attended_clock: bool = True,
    max_sessions: int = MAX_SESSIONS,
) -> VarSeries | Refusal:
    """Arrange scored sessions client by session.

    Parameters
    ----------
    sessions : scored sessions. columns : name of a series -> column of ``sessions``.
    directions : name of a series -> ``(higher_is, range)``; these are turned so that higher is
        worse (:func:`within_between.orient`).
    clients : table with ``client`` and ``therapist``, for clusters.
    attended_clock : count attended sessions only (methods 1.6): a missed appointment is not a step
        of time, and has no place for a form filled in before it; a session without forms is.
    max_sessions : later sessions are left out, with a note.
    """
    known = ["day"] if "day" in sessions.columns else []
    table = sessions[["client", "session", *columns.values(), *known]].copy()
    for name, direction in (directions or {}).items():
        table[columns[name]] = orient(table[columns[name]], *direction)
    table["came"] = True
    if attended_clock and "attendance" in sessions.columns:
        table["came"] = _came(sessions)
        table["session"] = _attended_number(sessions)
    rated = table.dropna(subset=list(columns.values()), how="all")
    table = rated[rated["came"]]
    if table.empty:
        return Refusal(
            "no session has a rating of any of the series",
            "Check that the measures were scored and that sessions are numbered.",
        )
    first = int(table["session"].min())
    kept = table[table["session"] < first + max_sessions]
    notes = (
        *_left_out(rated[~rated["came"]], "made for appointments that did not take place"),
        *_left_out(table.drop(kept.index), f"after session {first + max_sessions - 1}"),
    )
    codes, ids = pd.factorize(kept["client"], sort=True)
    step = kept["session"].to_numpy(dtype=np.int64) - first
    if pd.Series(list(zip(codes, step, strict=True))).duplicated().any():
        raise ValueError("a client has two rows for one session; clean the sessions first")
    scores = np.full((len(ids), int(step.max()) + 1, len(columns)), np.nan)
    scores[codes, step] = kept[list(columns.values())].to_numpy(dtype=np.float64)
    days = None
    if known and kept["day"].notna().any():
        days = np.full(scores.shape[:2], np.nan)
        days[codes, step] = kept["day"].to_numpy(dtype=np.float64, na_value=np.nan)
    names = tuple(str(value) for value in ids)
    cluster = None if clients is None else _clusters(clients, names)
    return VarSeries(scores, tuple(columns), names, first, cluster, notes, days)


def _came(sessions: pd.DataFrame) -> pd.Series:
    """Whether the session took place; one without an entry did, as in cleaning."""
    entry = sessions["attendance"]
    return (entry.isna() | entry.eq("attended")).astype(bool)


def _attended_number(sessions: pd.DataFrame) -> pd.Series:
    """Session number less the appointments of the client that were missed before it."""
    ordered = sessions.sort_values(["client", "session"])
    missed = (~_came(ordered)).astype(int)
    before = missed.groupby(ordered["client"]).cumsum()
    return (ordered["session"] - before).reindex(sessions.index)


def _left_out(lost: pd.DataFrame, which: str) -> tuple[str, ...]:
    n = lost["client"].nunique()
    owners = "1 client" if n == 1 else f"{n} clients"
    return (f"ratings of {owners} {which} are left out",) if n else ()


def _clusters(clients: pd.DataFrame, names: Sequence[str]) -> IntArray | None:
    owner = clients.drop_duplicates("client").set_index("client")["therapist"].reindex(names)
    if owner.isna().all():
        return None
    alone = pd.Series([f"alone: {name}" for name in names], index=owner.index)
    return pd.factorize(owner.astype(object).where(owner.notna(), alone), sort=True)[0].astype(
        np.int64
    )
