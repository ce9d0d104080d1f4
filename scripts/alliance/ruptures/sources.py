"""Ruptures seen by others than the alliance score: questionnaires, observers, behaviour.

Each source has a column of its own and is never inferred from scores (methods specification 2.1,
2.2). Questionnaires and observer codes tell of the session they belong to. Behaviour (staying away)
is noted at the session *after which* the client stayed away, since a missed session has no rating
with which it could be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

MISSED = ("no_show", "late_cancel")  # by the client, too late to be offered to another
WINDOW, MANY_MISSED = 4, 2  # scheduled sessions looked back upon, and how many missed are many
LONG_GAP = 2.0  # times the client's median gap
FEWEST_GAPS = 3  # gaps that a client needs for a median


@dataclass(frozen=True)
class Source:
    """A source of ruptures: ``kind`` is ``report``, ``observer`` or ``behaviour``."""

    label: str
    kind: str
    definition: str


SOURCES: dict[str, Source] = {
    "psq_client": Source(
        "Client's report after the session", "report", "the client reported a rupture"
    ),
    "psq_therapist": Source(
        "Therapist's report after the session", "report", "the therapist reported a rupture"
    ),
    "observer_withdrawal": Source(
        "Observer: withdrawal", "observer", "at least one withdrawal marker was coded"
    ),
    "observer_confrontation": Source(
        "Observer: confrontation", "observer", "at least one confrontation marker was coded"
    ),
    "missed": Source(
        "Next session missed",
        "behaviour",
        "after this session the client did not come or cancelled late",
    ),
    "repeatedly_missed": Source(
        "Repeatedly missed",
        "behaviour",
        f"after this session {MANY_MISSED} or more of {WINDOW} scheduled sessions were missed by "
        "the client",
    ),
    "long_gap": Source(
        "Long unplanned gap",
        "behaviour",
        f"the gap to the next attended session was more than {LONG_GAP:g} times the client's "
        "median gap of the whole treatment, and no session in it was cancelled by the therapist",
    ),
}
REPORTED: dict[str, str] = {"psq_client": "rupture_client", "psq_therapist": "rupture_therapist"}
CELLS: tuple[str, ...] = ("none", "client_only", "therapist_only", "both")


def source_marks(sessions: pd.DataFrame, attendance_known: bool) -> pd.DataFrame:
    """What each source says of each session.

    Parameters
    ----------
    sessions : scored sessions: ``client, session, day, attendance`` and the columns of
        ``alliance.study.rupture_sources.RUPTURE_REPORTS`` that the study has.
    attendance_known : whether the study declares ``attendance``; without it a missed session cannot
        be told from one that was never scheduled.

    Returns
    -------
    DataFrame
        ``client, session`` and one nullable boolean column per source that the study has (see
        ``SOURCES``); NA where the source says nothing of the session.
    """
    ordered = sessions.sort_values(["client", "session"], ignore_index=True)
    marks = ordered[["client", "session"]].copy()
    for name, column in REPORTED.items():
        if column in ordered:
            marks[name] = _yes(ordered[column])
    for name in ("observer_withdrawal", "observer_confrontation"):
        if name in ordered:
            marks[name] = _yes(ordered[name])
    if attendance_known:
        marks = marks.join(_missed_marks(ordered))
    if "day" in ordered and ordered["day"].notna().any():
        marks["long_gap"] = _long_gaps(ordered)
    return marks


def _yes(entries: pd.Series) -> pd.Series:
    """Above zero; NA where nothing was entered."""
    return (entries.astype("Float64") > 0).astype("boolean")


def _missed_marks(ordered: pd.DataFrame) -> pd.DataFrame:
    """``missed`` and ``repeatedly_missed`` of attended sessions that a scheduled one follows.

    Sessions cancelled by the therapist were not offered: they count neither as missed nor as
    scheduled.
    """
    offered = ordered[ordered["attendance"] != "therapist_cancel"]
    missed = offered["attendance"].isin(MISSED).astype(float)
    recent = (
        missed.groupby(offered["client"]).rolling(WINDOW, min_periods=1).sum().droplevel(0)
    )  # this scheduled session and the three before it
    attended = offered["attendance"] == "attended"
    stretch = attended.groupby(offered["client"]).cumsum()  # an attended session and what follows
    keys = [offered["client"], stretch]
    many = ((recent >= MANY_MISSED) & (missed > 0)).astype(float)
    followed = ~(attended & (stretch == stretch.groupby(offered["client"]).transform("max")))
    frame = pd.DataFrame(
        {
            "missed": missed.groupby(keys).transform("max") > 0,
            "repeatedly_missed": many.groupby(keys).transform("max") > 0,
        },
        dtype="boolean",
    )
    known = attended & (followed | frame["missed"].astype(bool))
    return frame.where(known).reindex(ordered.index)


def _long_gaps(ordered: pd.DataFrame) -> pd.Series:
    """Gaps to the next attended session beyond twice the client's median gap."""
    came = ordered[(ordered["attendance"] == "attended") & ordered["day"].notna()]
    next_day = came.groupby("client")["day"].shift(-1)
    gap = (next_day - came["day"]).astype("Float64")
    by_client = gap.groupby(came["client"])
    median = by_client.transform("median")
    enough = by_client.transform("count") >= FEWEST_GAPS
    cancelled = (ordered["attendance"] == "therapist_cancel").astype(int)
    so_far = cancelled.groupby(ordered["client"]).cumsum()[came.index]
    planned = so_far.groupby(came["client"]).shift(-1) > so_far
    long = ((gap > LONG_GAP * median) & ~planned.fillna(False)).astype("boolean")
    return long.where(gap.notna() & enough).reindex(ordered.index)


def report_details(sessions: pd.DataFrame) -> pd.DataFrame:
    """Intensity and resolution of reported ruptures, and the observer's ratings, in long form.

    Returns
    -------
    DataFrame
        ``source, quantity, client, session, value``. A resolution counts only where the same form
        reports a rupture.
    """
    parts = []
    for rater in ("client", "therapist"):
        happened = _yes(_column(sessions, f"rupture_{rater}")).fillna(False)
        for quantity in ("intensity", "resolution"):
            values = _column(sessions, f"rupture_{rater}_{quantity}")
            parts.append(_detail(sessions, f"psq_{rater}", quantity, values.where(happened)))
    for source, quantity in (
        ("observer_withdrawal", "withdrawal_impact"),
        ("observer_confrontation", "confrontation_impact"),
        ("observer", "resolution"),
        ("observer", "contribution"),
    ):
        parts.append(_detail(sessions, source, quantity, _column(sessions, f"observer_{quantity}")))
    return pd.concat(parts, ignore_index=True)


def _column(sessions: pd.DataFrame, name: str) -> pd.Series:
    if name in sessions:
        return sessions[name].astype("Float64")
    return pd.Series(pd.NA, index=sessions.index, dtype="Float64")


def _detail(sessions: pd.DataFrame, source: str, quantity: str, values: pd.Series) -> pd.DataFrame:
    rows = sessions.loc[values.notna(), ["client", "session"]]
    told = values[values.notna()].to_numpy(dtype=float)
    return rows.assign(source=source, quantity=quantity, value=told)[
        ["source", "quantity", "client", "session", "value"]
    ]


def report_cells(marks: pd.DataFrame) -> pd.DataFrame:
    """The four cells of two reports on the same session: ``client, session, cell``.

    Only sessions on which client and therapist both filled in the form; empty without both.
    """
    if not {"psq_client", "psq_therapist"} <= set(marks.columns):
        return pd.DataFrame(columns=["client", "session", "cell"])
    both = marks.dropna(subset=["psq_client", "psq_therapist"])
    code = both["psq_client"].astype(int) + 2 * both["psq_therapist"].astype(int)
    cell = np.array(CELLS)[code.to_numpy()]
    return both[["client", "session"]].assign(cell=cell)
