"""Flawed rows and answers, treated by declared rules; every change is logged and counted.

Raw files are never changed. Each step takes the tables of the step before; the flow counts sessions
and clients before and after it, so the numbers in the report must close.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from alliance.problems import Problem, StudyError
from alliance.readers.variables import check_columns_of
from alliance.study import Study
from alliance.study.rupture_sources import RUPTURE_REPORTS
from alliance.validation.ranges import AnswerColumn, answer_columns, present_answers
from alliance.validation.showing import show_number

if TYPE_CHECKING:
    from alliance.instruments import Instrument

LOG_COLUMNS = (
    "order", "rule", "client", "session", "source_row", "column", "before", "after", "reason",
)  # fmt: skip
FLOW_COLUMNS = (
    "order", "step", "sessions_in", "sessions_out", "clients_in", "clients_out", "reason",
)  # fmt: skip
NOT_COMPARED = ("source_row",)  # where a row stood in the file is no part of its content


@dataclass(frozen=True)
class Cleaned:
    """The cleaned tables and the account of what was done.

    Attributes
    ----------
    sessions : one row per client and session, sorted by both.
    clients : one row per client that has sessions, sorted.
    log : one row per change (``LOG_COLUMNS``).
    flow : one row per step (``FLOW_COLUMNS``); the first is what was read, the last what is
        analysed.
    """

    sessions: pd.DataFrame
    clients: pd.DataFrame
    log: pd.DataFrame
    flow: pd.DataFrame


@dataclass
class _Work:
    """The tables between two steps, and the account so far."""

    sessions: pd.DataFrame
    clients: pd.DataFrame
    study: Study
    log: list[pd.DataFrame] = field(default_factory=list)
    flow: list[tuple[object, ...]] = field(default_factory=list)

    def count(self) -> tuple[int, int]:
        ids = pd.Index(self.sessions["client"].dropna().unique())
        return len(self.sessions), len(ids.union(self.clients["client"].dropna().unique()))

    def step(self, name: str, before: tuple[int, int], reason: str) -> None:
        after = self.count()
        self.flow.append(
            (len(self.flow) + 1, name, before[0], after[0], before[1], after[1], reason)
        )

    def note(
        self,
        rule: str,
        rows: pd.DataFrame,
        column: str,
        before: pd.Series | str,
        after: pd.Series | str,
        reason: str,
    ) -> None:
        if rows.empty:
            return
        self.log.append(
            pd.DataFrame(
                {
                    "order": len(self.flow) + 1,
                    "rule": rule,
                    "client": rows["client"].to_numpy(),
                    "session": rows["session"].to_numpy() if "session" in rows else pd.NA,
                    "source_row": rows["source_row"].to_numpy() if "source_row" in rows else pd.NA,
                    "column": column,
                    "before": _as_text(before),
                    "after": _as_text(after),
                    "reason": reason,
                }
            )
        )

    def drop(self, rule: str, flawed: pd.Series, reason: str) -> None:
        """Leave out sessions; a client without any session left goes too."""
        if not flawed.any():
            return
        self.note(rule, self.sessions[flawed], "", "row", "left out", reason)
        touched = pd.Index(self.sessions.loc[flawed, "client"].dropna().unique())
        self.sessions = self.sessions[~flawed]
        gone = touched.difference(self.sessions["client"].unique())
        self.clients = self.clients[~self.clients["client"].isin(gone)]


def clean(
    sessions: pd.DataFrame,
    clients: pd.DataFrame,
    study: Study,
    instruments: Mapping[str, Instrument],
) -> Cleaned:
    """Apply the study's cleaning rules in their fixed order.

    Order: rows without client; clients without sessions; rows without session number; exact
    duplicates; conflicting duplicates; failed attention checks; answers out of range; ratings on
    sessions that did not take place; dates against the order of sessions; changes of therapist;
    minimum number of sessions.

    Parameters
    ----------
    sessions, clients : de-identified tables; missing columns of the contract are tolerated.

    Raises
    ------
    StudyError
        Where a rule is declared ``error`` and a row breaks it.
    """
    ordered = clients.sort_values("client", ignore_index=True)
    work = _Work(_complete(sessions), ordered, study)
    work.step("read", work.count(), "sessions and clients as read")
    _rows_without_client(work)
    _clients_without_sessions(work)
    _rows_without_session(work)
    _exact_duplicates(work)
    _conflicting_duplicates(work)
    _attention_checks(work)
    _out_of_range(work, answer_columns(study, instruments))
    _unattended(work)
    _dates_against_order(work)
    _therapist_changes(work)
    _minimum_sessions(work)
    work.step("analysed", work.count(), "sessions and clients that enter the analyses")
    return Cleaned(
        work.sessions.sort_values(["client", "session"], ignore_index=True),
        work.clients.sort_values("client", ignore_index=True),
        _one_log(work.log),
        pd.DataFrame(work.flow, columns=list(FLOW_COLUMNS)),
    )


def treatment_ends(sessions: pd.DataFrame, clients: pd.DataFrame) -> pd.DataFrame:
    """How and when each treatment ended, coded for analyses of drop-out.

    Returns
    -------
    DataFrame
        ``client, ending, n_attended, last_session`` (last attended), ``dropout`` (1 for
        ``dropout``, 0 for ``agreed``; missing where unknown) and ``censored`` (1 for ``transfer``
        and ``ongoing``: the treatment might have gone on, so neither kind of end was seen).
    """
    attended = sessions[_attended(sessions)].groupby("client")["session"]
    ends = clients[["client"]].copy()
    ends["ending"] = clients.get("ending", pd.NA)
    ends["n_attended"] = ends["client"].map(attended.size()).fillna(0).astype("Int64")
    ends["last_session"] = ends["client"].map(attended.max()).astype("Int64")
    ends["dropout"] = ends["ending"].map({"dropout": 1.0, "agreed": 0.0}).astype(float)
    known = ends["ending"].notna()
    ends["censored"] = ends["ending"].isin(["transfer", "ongoing"]).astype(float).where(known)
    return ends.sort_values("client", ignore_index=True)


def _complete(sessions: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order of the file, so that 'the first' means the same in every run."""
    if "source_row" not in sessions:
        return sessions.reset_index(drop=True)
    return sessions.sort_values("source_row", kind="stable", ignore_index=True)


def _rows_without_client(work: _Work) -> None:
    before = work.count()
    work.drop("rows_without_client", work.sessions["client"].isna(), "no client identifier")
    work.step("rows_without_client", before, "rows without a client identifier are left out")


def _clients_without_sessions(work: _Work) -> None:
    before = work.count()
    absent = ~work.clients["client"].isin(work.sessions["client"].dropna().unique())
    work.note(
        "clients_without_sessions", work.clients[absent], "", "client", "left out",
        "in the client table but without any session",
    )  # fmt: skip
    work.clients = work.clients[~absent]
    work.step("clients_without_sessions", before, "clients without any session are left out")


def _rows_without_session(work: _Work) -> None:
    before = work.count()
    work.drop("rows_without_session", work.sessions["session"].isna(), "no session number")
    work.step("rows_without_session", before, "rows without a session number are left out")


def _exact_duplicates(work: _Work) -> None:
    before = work.count()
    repeated = work.sessions.duplicated(["client", "session"], keep=False)
    compared = [name for name in work.sessions.columns if name not in NOT_COMPARED]
    copies = work.sessions[repeated].duplicated(compared, keep="first")
    flawed = pd.Series(False, index=work.sessions.index)
    flawed[copies.index] = copies
    _refuse_if(
        work.study.cleaning.exact_duplicates == "error", flawed, work, "exact_duplicates",
        "identical rows",
    )  # fmt: skip
    work.drop("exact_duplicates", flawed, "identical to an earlier row")
    work.step("exact_duplicates", before, "second and further copies of a row are left out")


def _conflicting_duplicates(work: _Work) -> None:
    before = work.count()
    rule = work.study.cleaning.conflicting_duplicates
    repeated = work.sessions.duplicated(["client", "session"], keep=False)
    _refuse_if(
        rule == "error", repeated, work, "conflicting_duplicates",
        "rows for one client and session that differ",
    )  # fmt: skip
    if rule == "drop_all":
        reason = "another row for this client and session differs; all of them are left out"
        work.drop("conflicting_duplicates", repeated, reason)
    else:
        reason = "a more complete (or earlier) row for this client and session is kept"
        work.drop("conflicting_duplicates", _less_complete(work.sessions, repeated), reason)
    words = {"drop_all": "all are left out"}.get(rule, "the most complete row is kept")
    work.step(
        "conflicting_duplicates", before, f"differing rows for one client and session: {words}"
    )


def _less_complete(sessions: pd.DataFrame, repeated: pd.Series) -> pd.Series:
    """Of the repeated rows, all but the most complete one (of equals, the first in the file)."""
    rows = sessions[repeated]
    ranked = rows[["client", "session"]].assign(filled=rows.notna().sum(axis=1))
    ranked = ranked.sort_values("filled", ascending=False, kind="stable")
    flawed = pd.Series(False, index=sessions.index)
    surplus = ranked.duplicated(["client", "session"], keep="first")
    flawed[surplus[surplus].index] = True
    return flawed


def _attention_checks(work: _Work) -> None:
    """Forms whose checking items were answered otherwise than asked for; unanswered ones pass."""
    before = work.count()
    sessions, declared = work.sessions, False
    for name, measure in work.study.measures.items():
        checks = check_columns_of(name, measure)
        declared = declared or bool(checks)
        failed = pd.Series(False, index=sessions.index)
        for check, wanted in zip(checks, measure.attention_checks.values(), strict=True):
            failed |= (sessions[check].notna() & (sessions[check] != wanted)).fillna(False)
        sessions = sessions.drop(columns=checks)
        items = [c for c in sessions if c.rpartition("__")[0] == name] if failed.any() else []
        for item in items:
            lost = failed & sessions[item].notna()
            work.note(
                "attention_checks", sessions[lost], item, sessions.loc[lost, item], "",
                "the form's attention check was not answered as asked for",
            )  # fmt: skip
            sessions = sessions.assign(**{item: sessions[item].mask(lost)})
    work.sessions = sessions
    if declared:
        work.step("attention_checks", before, "forms that fail an attention check are set missing")


def _out_of_range(work: _Work, columns: list[AnswerColumn]) -> None:
    before = work.count()
    sessions = work.sessions.copy()
    for column in columns:
        if column.name not in sessions or column.low is None or column.high is None:
            continue
        values = sessions[column.name]
        flawed = (values.notna() & ~values.between(column.low, column.high)).astype(bool)
        if not flawed.any():
            continue
        _refuse_if(
            work.study.cleaning.out_of_range == "error", flawed, work, "out_of_range",
            f"answers outside {column.low:g} to {column.high:g} in column '{column.source}'",
        )  # fmt: skip
        work.note(
            "out_of_range", sessions[flawed], column.name, values[flawed], "",
            f"outside {column.low:g} to {column.high:g}",
        )  # fmt: skip
        sessions[column.name] = values.mask(flawed)
    work.sessions = sessions
    work.step("out_of_range", before, "answers outside the response range are set to missing")


def _unattended(work: _Work) -> None:
    """A rating made after a session cannot exist for a session that did not take place.

    Forms filled in before it (waiting room, sent home) can, and are kept.
    """
    before = work.count()
    missed = ~_attended(work.sessions)
    sessions = work.sessions.copy()
    for name in _rated_after_session(work.study, sessions) if missed.any() else []:
        flawed = missed & sessions[name].notna()
        work.note(
            "unattended", sessions[flawed], name, sessions.loc[flawed, name], "",
            "rated after the session, but the session did not take place",
        )  # fmt: skip
        sessions[name] = sessions[name].mask(flawed)
    work.sessions = sessions
    work.step(
        "unattended", before,
        "ratings made after a session that did not take place are set to missing; "
        "forms filled in before it are kept",
    )  # fmt: skip


def _attended(sessions: pd.DataFrame) -> pd.Series:
    if "attendance" not in sessions:
        return pd.Series(True, index=sessions.index)
    return (sessions["attendance"].isna() | (sessions["attendance"] == "attended")).astype(bool)


def _rated_after_session(study: Study, sessions: pd.DataFrame) -> list[str]:
    def when(measure: str) -> str:
        outcome = study.measures[measure].role == "outcome"
        return study.timing.outcome_when if outcome else study.timing.alliance_when

    answers = present_answers(sessions, study)
    after = [
        name for name in answers if when(name.rpartition("__")[0] or name) == "post"
    ]  # a score column has no "__", so its own name is the measure
    return after + [name for name in RUPTURE_REPORTS if name in sessions]


def _dates_against_order(work: _Work) -> None:
    before = work.count()
    if "day" in work.sessions and work.sessions["day"].notna().any():
        flawed = contradicting_days(work.sessions)
        work.note(
            "dates_against_order", work.sessions[flawed], "day", work.sessions.loc[flawed, "day"],
            "", "the date contradicts the order of the session numbers; the number is kept",
        )  # fmt: skip
        work.sessions = work.sessions.assign(day=work.sessions["day"].mask(flawed))
    work.step(
        "dates_against_order", before,
        "dates that contradict the session numbers are set to missing",
    )  # fmt: skip


def contradicting_days(sessions: pd.DataFrame, day: str = "day") -> pd.Series:
    """The fewest dates whose removal lets time run forward over a client's sessions.

    Returns
    -------
    Series of bool
        Aligned to ``sessions``; True where the date contradicts the session numbers.
    """
    flawed = pd.Series(False, index=sessions.index)
    dated = sessions.loc[sessions[day].notna(), ["client", "session", day]]
    dated = dated.dropna().sort_values(["client", "session"], kind="stable")
    days = dated[day].to_numpy(dtype=float)
    _, number = np.unique(dated["client"].to_numpy(dtype=object), return_inverse=True)
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    back = (np.diff(days, prepend=-np.inf) < 0) & (np.diff(number, prepend=-1) == 0)
    wrong = np.zeros(len(days), dtype=bool)
    ends = np.append(starts[1:], len(days))
    for at in np.unique(np.searchsorted(starts, np.flatnonzero(back), side="right") - 1):
        rows = slice(starts[at], ends[at])
        wrong[rows] = ~_longest_rise(days[rows])
    flawed[dated.index[wrong]] = True
    return flawed


def _longest_rise(values: np.ndarray) -> np.ndarray:
    """Membership in a longest non-decreasing subsequence (patience sorting)."""
    tops: list[float] = []
    top_at: list[int] = []
    parent = np.full(len(values), -1)
    for at, value in enumerate(values):
        pile = bisect_right(tops, value)
        parent[at] = top_at[pile - 1] if pile else -1
        if pile == len(tops):
            tops.append(value)
            top_at.append(at)
        else:
            tops[pile], top_at[pile] = value, at
    member = np.zeros(len(values), dtype=bool)
    at = top_at[-1] if top_at else -1
    while at >= 0:
        member[at] = True
        at = parent[at]
    return member


def _therapist_changes(work: _Work) -> None:
    before = work.count()
    rule = work.study.cleaning.therapist_changes
    if "therapist" in work.sessions and work.sessions["therapist"].notna().any():
        chosen = _therapist_of_clients(work.sessions, rule)
        if rule != "keep":
            _one_therapist_per_client(work, chosen)
        own = (
            work.clients["therapist"]
            if "therapist" in work.clients
            else pd.Series(pd.NA, index=work.clients.index, dtype="str")
        )
        work.clients = work.clients.assign(
            therapist=work.clients["client"].map(chosen).fillna(own).astype("str")
        )
    words = {
        "first": "each client counts for the therapist of the first session",
        "most_sessions": "each client counts for the therapist of most sessions",
        "keep": "therapists are kept as given; a client counts for the first one",
    }
    work.step("therapist_changes", before, words[rule])


def _therapist_of_clients(sessions: pd.DataFrame, rule: str) -> pd.Series:
    known = sessions.dropna(subset=["therapist"]).sort_values(["client", "session"], kind="stable")
    if rule == "most_sessions":
        counts = known.groupby(["client", "therapist"])["session"].agg(["size", "min"])
        ranked = counts.reset_index().sort_values(
            ["client", "size", "min", "therapist"], ascending=[True, False, True, True]
        )
        return ranked.drop_duplicates("client").set_index("client")["therapist"]
    return known.drop_duplicates("client").set_index("client")["therapist"]


def _one_therapist_per_client(work: _Work, chosen: pd.Series) -> None:
    sessions = work.sessions
    wanted = sessions["client"].map(chosen)
    changed = (wanted.notna() & sessions["therapist"].ne(wanted).fillna(True)).astype(bool)
    filled = changed & sessions["therapist"].isna()
    for flawed, reason in (
        (changed & ~filled, "client had several therapists"),
        (filled, "therapist missing in this row; known from the client's other sessions"),
    ):
        work.note(
            "therapist_changes", sessions[flawed], "therapist", sessions.loc[flawed, "therapist"],
            wanted[flawed], reason,
        )  # fmt: skip
    work.sessions = sessions.assign(therapist=sessions["therapist"].where(~changed, wanted))


def _minimum_sessions(work: _Work) -> None:
    before = work.count()
    wanted = work.study.cleaning.min_sessions
    answers = present_answers(work.sessions, work.study)
    usable = _attended(work.sessions) & work.sessions[answers].notna().any(axis=1)
    counts = usable.groupby(work.sessions["client"]).sum()
    few = work.sessions["client"].map(counts).lt(wanted).astype(bool)
    fewer = f"fewer than {wanted} attended sessions" if wanted > 1 else "no attended session"
    work.drop("min_sessions", few, f"client has {fewer} with data")
    work.step("min_sessions", before, f"clients with {fewer} with data are left out")


def _refuse_if(refuse: bool, flawed: pd.Series, work: _Work, rule: str, found: str) -> None:
    if refuse and flawed.any():
        raise StudyError([
            Problem(
                "RULE_BROKEN", "error", "study file", f"key cleaning.{rule}",
                f"{found}: {int(flawed.sum())} rows", "none, because the rule is 'error'",
                f"Correct the rows, or choose another rule for cleaning.{rule}.",
            )
        ])  # fmt: skip


def _as_text(values: pd.Series | str) -> np.ndarray | str:
    if isinstance(values, str):
        return values
    if pd.api.types.is_numeric_dtype(values):
        return np.array([show_number(value) for value in values.to_numpy(float)], dtype=object)
    return values.astype("str").fillna("").to_numpy(object)


def _one_log(parts: list[pd.DataFrame]) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame(columns=list(LOG_COLUMNS))
    types = {"session": "Int64", "source_row": "Int64"}
    return pd.concat([part.astype(types) for part in parts], ignore_index=True)[list(LOG_COLUMNS)]
