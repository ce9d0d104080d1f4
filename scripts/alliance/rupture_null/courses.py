"""Ratings and outcomes of a study, client by session, as the null data sets and tests need them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.estimation.dynamics_series import VarSeries, var_series
from alliance.estimation.refusal import Refusal
from alliance.ruptures.result import Series
from alliance.study import Timing
from alliance.within_between import orient

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Direction = tuple[str, tuple[float, float]]
UNKNOWN_THERAPIST = -1


@dataclass(frozen=True)
class Courses:
    """n clients at T attended sessions (the clock of the dynamic model).

    Attributes
    ----------
    alliance : (n, T), higher is better; NaN where not rated. outcome : (n, T), higher is worse;
        NaN where not observed, everywhere in a study without outcome.
    session : (n, T) numbers of the sessions in the study, by which gaps are told.
    clients : (n,) names. therapist : (n,) codes, ``UNKNOWN_THERAPIST`` where not known; None in a
        study without therapists. dropped_out : (n,) whether the client left treatment; None where
        the study has no endings.
    lead : steps from a rating to the first outcome observed after it (0 or 1).
    day : (n, T) days since the client's first dated session, NaN where not known; None in a study
        without dates.
    """

    alliance: FloatArray
    outcome: FloatArray
    session: FloatArray
    clients: tuple[str, ...]
    therapist: IntArray | None = None
    dropped_out: BoolArray | None = None
    lead: int = 1
    day: FloatArray | None = None

    @cached_property
    def rated(self) -> BoolArray:
        """(n, T) whether the alliance was rated."""
        return ~np.isnan(self.alliance)

    @cached_property
    def start(self) -> IntArray:
        """(n + 1,) first rated row of each client, then the number of rows."""
        return np.concatenate([[0], np.cumsum(self.rated.sum(axis=1))]).astype(np.int64)

    @cached_property
    def row_of(self) -> IntArray:
        """(n, T) rated row of each cell; of cells without a rating, that of the latest one."""
        return (np.cumsum(self.rated.ravel()) - 1).reshape(self.rated.shape)

    @cached_property
    def session_of_row(self) -> FloatArray:
        return self.session[self.rated]

    @cached_property
    def day_of_row(self) -> FloatArray:
        if self.day is None:
            return np.full(self.session_of_row.size, np.nan)
        return self.day[self.rated]

    @property
    def dated(self) -> bool:
        """Whether the day of any rating is known."""
        return bool(np.isfinite(self.day_of_row).any())

    @property
    def has_outcome(self) -> bool:
        return bool(np.isfinite(self.outcome).any())

    @property
    def series(self) -> Series:
        """The ratings as the rupture engine takes them."""
        scores = self.alliance[self.rated]
        return Series(
            pd.Index(self.clients), self.start, self.session_of_row, self.day_of_row, scores
        )

    def with_scores(self, alliance: FloatArray, outcome: FloatArray) -> Courses:
        """Other scores where there are scores: the same clients, sessions, gaps and days."""
        made = replace(
            self,
            alliance=np.where(self.rated, alliance, np.nan),
            outcome=np.where(np.isnan(self.outcome), np.nan, outcome),
        )
        for name in ("rated", "start", "row_of", "session_of_row", "day_of_row"):  # always the same
            made.__dict__[name] = getattr(self, name)
        return made

    def until(self, session: int) -> BoolArray:
        """(n, T) cells of sessions numbered up to ``session``."""
        return self.session <= session


@dataclass(frozen=True)
class CourseColumns:
    """Where the courses stand in the tables of a study.

    Attributes
    ----------
    measure : column of the alliance. outcome : column of the outcome, or None. direction : of the
        outcome (``within_between.direction``).
    """

    measure: str
    outcome: str | None = None
    direction: Direction = ("worse", (0.0, 0.0))


def courses_of(
    sessions: pd.DataFrame, clients: pd.DataFrame, columns: CourseColumns, lead: int = 1
) -> tuple[Courses, VarSeries] | Refusal:
    """Courses of a study, and the same scores as the dynamic model takes them."""
    table = sessions.copy()
    names = {"alliance": columns.measure}
    if columns.outcome is not None:
        names["outcome"] = columns.outcome
        table[columns.outcome] = orient(table[columns.outcome], *columns.direction)
    present = table[list(names.values())].notna().any(axis=1)
    table["session_number"] = table["session"].astype(float).where(present)
    found = var_series(table, {**names, "number": "session_number"})
    if isinstance(found, Refusal):
        return found
    series = VarSeries(
        found.scores[:, :, : len(names)], tuple(names), found.client_ids, found.first_session
    )
    outcome = (
        series.scores[:, :, 1] if len(names) == 2 else np.full(series.scores.shape[:2], np.nan)
    )
    courses = Courses(
        alliance=series.scores[:, :, 0],
        outcome=outcome,
        session=found.scores[:, :, -1],
        clients=found.client_ids,
        therapist=_therapists(clients, found.client_ids),
        dropped_out=_dropped_out(clients, found.client_ids),
        lead=lead,
        day=found.days,
    )
    return courses, series


def lead_of(timing: Timing) -> int:
    """Steps from a rating to the outcome of the *next* session; 0 when that is the same number."""
    return 0 if (timing.alliance_when, timing.outcome_when) == ("pre", "post") else 1


def _of_client(clients: pd.DataFrame, column: str, names: tuple[str, ...]) -> pd.Series | None:
    if column not in clients or clients[column].isna().all():
        return None
    known = clients.drop_duplicates("client").set_index("client")[column]
    known.index = known.index.astype(str)
    return known.reindex(list(names))


def _therapists(clients: pd.DataFrame, names: tuple[str, ...]) -> IntArray | None:
    known = _of_client(clients, "therapist", names)
    return None if known is None else pd.factorize(known, sort=True)[0].astype(np.int64)


def _dropped_out(clients: pd.DataFrame, names: tuple[str, ...]) -> BoolArray | None:
    known = _of_client(clients, "ending", names)
    return None if known is None else (known == "dropout").to_numpy(dtype=bool)
