"""The study's tables put together under the names of the data contract."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

import pandas as pd

from alliance.problems import Problem, StudyError
from alliance.readers.answers import entry_key
from alliance.readers.convert import (
    Sheet,
    client_column,
    session_column,
    to_sheet,
    variables_in,
)
from alliance.readers.join import join_clients, join_sessions
from alliance.readers.patterns import has_session, not_sessions
from alliance.readers.raw import RawStudy, RawTable
from alliance.readers.variables import (
    HasItems,
    Place,
    Places,
    Variable,
    declared_variables,
    locate,
    missing_column,
)
from alliance.study import Study

JOIN_REPORT_COLUMNS: tuple[str, ...] = (
    "table",
    "file",
    "level",
    "joined_on",
    "rows_read",
    "rows_empty",
    "rows_left_out_by_label",
    "rows_repeated",
    "rows_matched",
    "rows_only_here",
    "rows_only_elsewhere",
    "detail",
)
FIRST_COLUMNS = ("client", "session", "date", "therapist", "attendance")


class Scored(HasItems, Protocol):
    """What the readers need of an instrument to see that a missing code is a possible answer."""

    @property
    def response_min(self) -> int:
        """Lowest answer."""

    @property
    def response_max(self) -> int:
        """Highest answer."""

    @property
    def score_range(self) -> tuple[float, float] | None:
        """Lowest and highest total."""


def find_columns(
    study: Study, instruments: Mapping[str, Scored], tables: Mapping[str, RawTable]
) -> tuple[list[Variable], Places, list[Problem]]:
    """Every declared column looked up in the files, and everything wrong with that.

    Returns
    -------
    variables : list of Variable
        What the study file declares, in the order of the contract.
    places : dict
        Where each stands, by its name.
    problems : list of Problem
        Absent, ambiguous and repeated columns, wrong numbers of items.
    """
    if all(raw.table.level == "client" for raw in tables.values()):
        return [], {}, [_no_session_table(tables)]
    variables, problems = declared_variables(study, instruments)
    places, more = locate(study, variables, tables)
    problems += _missing_keys(study, tables) + more
    if study.data.layout == "wide":
        problems += _incomplete_sessions(variables, places, tables)
        problems += _absent_sessions(study, places, tables)
    return variables, places, problems


def assemble(
    study: Study, instruments: Mapping[str, Scored], tables: Mapping[str, RawTable]
) -> RawStudy:
    """Put the files of a study together.

    Wide files become long, labels and missing codes are applied, session tables are joined on
    client and session (on client and date where sessions are numbered by date), client tables on
    client. Ids and dates are still the user's own.

    Parameters
    ----------
    study : the study file.
    instruments : by id, those the study names.
    tables : what :func:`alliance.readers.read_tables` returns.

    Raises
    ------
    StudyError
        With every column that is absent or ambiguous, every client who stands twice in a client
        table, every session that stands twice in several files.
    """
    variables, places, problems = find_columns(study, instruments, tables)
    if problems:
        raise StudyError(problems, "The columns of the data files")
    sheets = {
        name: to_sheet(study, raw, variables_in(name, variables, places))
        for name, raw in tables.items()
    }
    sessions, session_rows, session_problems = _join_session_tables(study, tables, sheets)
    clients, client_rows, client_problems = _join_client_tables(tables, sheets, sessions)
    sessions, notes = _with_session_numbers(study, sessions)
    problems = [problem for sheet in sheets.values() for problem in sheet.problems]
    problems += session_problems + client_problems
    clients, varying = _with_client_variables(variables, places, tables, sessions, clients)
    problems += varying + _codes_in_range(study, instruments, sheets)
    if any(problem.severity == "error" for problem in problems):
        raise StudyError(problems, "The data files put together")
    return RawStudy(
        _in_order(study, variables, sessions, clients),
        clients[_client_columns(variables)],
        pd.DataFrame(session_rows + client_rows, columns=list(JOIN_REPORT_COLUMNS)),
        _origins(study, variables, places, tables),
        _notes(study, variables, tables, sheets) + notes,
        problems,
    )


def _missing_keys(study: Study, tables: Mapping[str, RawTable]) -> list[Problem]:
    """Client and session columns have to be in every file they tell the rows of."""
    problems = []
    for raw in tables.values():
        columns = list(raw.frame.columns)
        wanted = [("columns.client", client_column(study, raw))]
        if raw.table.level == "session" and study.data.layout == "long":
            session, date = session_column(study, raw), study.columns.date
            if session is not None:
                wanted.append(("columns.session", session))
            elif date is not None:
                wanted.append(("columns.date", date.column))
        for key, column in wanted:
            if column not in columns:
                problems.append(missing_column(raw.file, key, column, columns))
            elif column in raw.repeated:
                problems.append(_repeated_key_column(raw.file, column))
    return problems


def _incomplete_sessions(
    variables: list[Variable], places: Places, tables: Mapping[str, RawTable]
) -> list[Problem]:
    """Sessions of a wide file for which some items of a measure have a column and others not."""
    problems = []
    for measure in dict.fromkeys(v.measure for v in variables if v.measure):
        items = [v for v in variables if v.measure == measure and len(places[v.name]) == 1]
        at = {v: places[v.name][0] for v in items}
        known = {session for place in at.values() for session in place.columns}
        absent = [
            (v, session) for v in items for session in sorted(known - set(at[v].columns), key=str)
        ]
        if absent:
            file = tables[at[items[0]].table].file
            problems.append(_items_without_column(file, absent))
    return problems


def _absent_sessions(study: Study, places: Places, tables: Mapping[str, RawTable]) -> list[Problem]:
    found = {s for found in places.values() for place in found for s in place.columns}
    absent = [str(s) for s in study.data.wide.sessions or [] if s not in found]
    files = ", ".join(raw.file for raw in tables.values() if raw.table.level == "session")
    return [_sessions_without_column(files, absent)] if absent else []


def _join_session_tables(
    study: Study, tables: Mapping[str, RawTable], sheets: Mapping[str, Sheet]
) -> tuple[pd.DataFrame, list[dict[str, object]], list[Problem]]:
    by_number = study.data.layout == "wide" or study.columns.session is not None
    keys = ["client", "session" if by_number else "date"]
    names = [name for name, raw in tables.items() if raw.table.level == "session"]
    frame = sheets[names[0]].frame
    rows = [_report_row(sheets[names[0]], "session", "", (pd.NA, pd.NA, pd.NA), 0)]
    problems: list[Problem] = []
    for name in names[1:]:
        joined = join_sessions(frame, sheets[name], keys)
        frame = joined.frame
        problems += joined.problems + _poor_match(sheets[name], joined.matched, joined.only_here)
        counts = (joined.matched, joined.only_here, joined.only_elsewhere)
        rows.append(
            _report_row(sheets[name], "session", " + ".join(keys), counts, joined.n_duplicates)
        )
    return frame, rows, problems


def _join_client_tables(
    tables: Mapping[str, RawTable], sheets: Mapping[str, Sheet], sessions: pd.DataFrame
) -> tuple[pd.DataFrame | None, list[dict[str, object]], list[Problem]]:
    """Client tables joined; matches are counted against the clients of the sessions."""
    clients: pd.DataFrame | None = None
    rows: list[dict[str, object]] = []
    problems: list[Problem] = []
    seen = sessions["client"].dropna().drop_duplicates()
    for name, raw in tables.items():
        if raw.table.level != "client":
            continue
        sheet = sheets[name]
        joined = join_clients(clients, sheet)
        clients = joined.frame
        problems += joined.problems
        ids = sheet.frame["client"].dropna().drop_duplicates()
        matched = int(ids.isin(seen).sum())
        counts = (matched, len(ids) - matched, int((~seen.isin(ids)).sum()))
        problems += _poor_match(sheet, matched, len(ids) - matched)
        rows.append(_report_row(sheet, "client", "client", counts, joined.n_duplicates))
    return clients, rows, problems


def _report_row(
    sheet: Sheet, level: str, joined_on: str, counts: tuple[object, ...], repeated: int
) -> dict[str, object]:
    detail = []
    if sheet.n_dropped:
        detail.append(f"{sheet.n_dropped} rows left out because their entry is labelled null")
    if repeated:
        detail.append(f"{repeated} exact repetitions left out before joining")
    values = (
        sheet.name, sheet.file, level, joined_on, sheet.n_read, sheet.n_empty, sheet.n_dropped,
        repeated, *counts, "; ".join(detail),
    )  # fmt: skip
    return dict(zip(JOIN_REPORT_COLUMNS, values, strict=True))


def _with_session_numbers(study: Study, sessions: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Sessions numbered by date within each client when the study declares no session number."""
    if "session" in sessions or study.columns.date is None:
        return sessions, []
    if not pd.api.types.is_datetime64_any_dtype(sessions["date"].dtype):
        # Some entries are no dates: validation reports them, numbers would be wrong.
        return sessions.assign(session=pd.array([pd.NA] * len(sessions), dtype="Int64")), []
    order = sessions.groupby("client", sort=False)["date"].rank(method="dense")
    numbered = sessions.assign(session=pd.array(order, dtype="Float64").astype("Int64"))
    return numbered, ["sessions numbered by date within each client, from 1"]


def _with_client_variables(
    variables: list[Variable],
    places: Places,
    tables: Mapping[str, RawTable],
    sessions: pd.DataFrame,
    clients: pd.DataFrame | None,
) -> tuple[pd.DataFrame, list[Problem]]:
    """One row per client of any file, with what only the session files say of clients."""
    seen = sessions["client"].dropna().drop_duplicates()
    known = clients if clients is not None else pd.DataFrame({"client": pd.Series(dtype="str")})
    new = pd.DataFrame({"client": seen[~seen.isin(known["client"])]})
    complete = pd.concat([known, new], ignore_index=True) if len(known) else new
    complete = complete.reset_index(drop=True)
    problems = []
    for variable in variables:
        if variable.level != "client" or variable.name in complete or variable.name not in sessions:
            continue
        grouped = sessions.groupby("client", sort=False)[variable.name]
        n_varying = int(grouped.nunique().gt(1).sum())
        if n_varying:
            file = tables[places[variable.name][0].table].file
            problems.append(_varies(file, variable, n_varying))
        entries = grouped.last() if variable.name == "ending" else grouped.first()
        complete[variable.name] = complete["client"].map(entries)
    return complete.assign(**_absent_columns(complete)), problems


def _absent_columns(clients: pd.DataFrame) -> dict[str, pd.Series]:
    n_clients = len(clients)
    empty = {
        "therapist": pd.Series([None] * n_clients, dtype="str"),
        "ending": pd.Series([None] * n_clients, dtype="str"),
        "source_row": pd.Series([pd.NA] * n_clients, dtype="Int64"),
    }
    return {name: column for name, column in empty.items() if name not in clients}


def _client_columns(variables: list[Variable]) -> list[str]:
    covariates = [v.name for v in variables if v.level == "client" and v.name != "ending"]
    return ["client", "therapist", "ending", *covariates, "source_row"]


def _in_order(
    study: Study, variables: list[Variable], sessions: pd.DataFrame, clients: pd.DataFrame
) -> pd.DataFrame:
    """The session columns of the contract, with what is not declared filled in."""
    frame = sessions
    if "therapist" not in frame:
        of_client = clients.set_index("client")["therapist"]
        frame = frame.assign(therapist=frame["client"].map(of_client).astype("str"))
    if study.columns.attendance is None:
        frame = frame.assign(attendance=pd.array(["attended"] * len(frame), dtype="str"))
    if "date" not in frame:
        frame = frame.assign(date=pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us]"))
    rest = [v.name for v in variables if v.level == "session" and v.name not in FIRST_COLUMNS]
    return frame[[*FIRST_COLUMNS, *rest, "source_row", "source_table"]]


def _origins(
    study: Study, variables: list[Variable], places: Places, tables: Mapping[str, RawTable]
) -> dict[str, tuple[str, str]]:
    """File and column of every assembled column, for messages to the user."""
    first = next(raw for raw in tables.values() if raw.table.level == "session")
    origins = {"client": (first.file, client_column(study, first))}
    session = session_column(study, first)
    if session is not None and study.data.layout == "long":
        origins["session"] = (first.file, session)
    for variable in variables:
        place: Place = places[variable.name][0]
        column = place.columns.get(None, variable.pattern)
        origins[variable.name] = (tables[place.table].file, column)
    return origins


def _notes(
    study: Study,
    variables: list[Variable],
    tables: Mapping[str, RawTable],
    sheets: Mapping[str, Sheet],
) -> list[str]:
    notes = []
    for name, raw in tables.items():
        sheet = sheets[name]
        notes += [f"{raw.file}: {note}" for note in [*raw.notes, *dict.fromkeys(sheet.notes)]]
        for measure, counts in sheet.missing_codes.items():
            listed = ", ".join(f"{code} ({n})" for code, n in sorted(counts.items()))
            notes.append(f"{raw.file}: {measure}: missing codes read as no answer: {listed}")
        if study.data.layout == "wide" and raw.table.level == "session":
            others = _columns_that_are_no_sessions(variables, raw)
            if others:
                notes.append(f"{raw.file}: not sessions, so left out: {', '.join(others)}")
    return notes


def _columns_that_are_no_sessions(variables: list[Variable], raw: RawTable) -> list[str]:
    found = [
        column
        for variable in variables
        if has_session(variable.pattern)
        for column in not_sessions(variable.pattern, raw.frame.columns)
    ]
    return list(dict.fromkeys(found))


def _codes_in_range(
    study: Study, instruments: Mapping[str, Scored], sheets: Mapping[str, Sheet]
) -> list[Problem]:
    """Missing codes that were found in a measure of which they are also a possible value."""
    problems = []
    for name in study.measures:
        limits = _limits(study, instruments, name)
        for sheet in sheets.values():
            counts = sheet.missing_codes.get(name, Counter())
            inside = {
                code: n
                for code, n in sorted(counts.items())
                if limits is not None and _is_between(code, limits)
            }
            if inside and limits is not None:
                problems.append(_code_is_possible(sheet.file, name, inside, limits))
    return problems


def _limits(
    study: Study, instruments: Mapping[str, Scored], name: str
) -> tuple[float, float] | None:
    measure = study.measures[name]
    instrument = instruments[measure.instrument] if measure.instrument else None
    if measure.column is not None:
        return measure.range or (instrument.score_range if instrument else None)
    if measure.response_range is not None or instrument is None:
        return measure.response_range
    return instrument.response_min, instrument.response_max


def _is_between(code: str, limits: tuple[float, float]) -> bool:
    try:
        number = float(entry_key(code))
    except ValueError:
        return False
    return limits[0] <= number <= limits[1]


def _poor_match(sheet: Sheet, matched: int, only_here: int) -> list[Problem]:
    if matched == 0 and only_here:
        return [
            Problem(
                "NOTHING_MATCHED", "error", sheet.file, "",
                f"none of its {only_here} rows has a partner in the other files",
                "the same client (and session) written the same way in all files",
                "Compare the client columns of the files: '007' and 7 are different clients.",
            )
        ]  # fmt: skip
    if only_here:
        return [
            Problem(
                "UNMATCHED_ROWS", "warning", sheet.file, "",
                f"{only_here} of {matched + only_here} rows without a partner in the other files",
                "a partner for every row", "See the join report; they are kept as they are.",
            )
        ]  # fmt: skip
    return []


def _no_session_table(tables: Mapping[str, RawTable]) -> Problem:
    files = ", ".join(raw.file for raw in tables.values())
    return Problem(
        "NO_SESSION_TABLE", "error", files, "key data.tables", "only tables with level: client",
        "at least one table with the sessions", "Set level: session for the file that has them.",
    )  # fmt: skip


def _repeated_key_column(file: str, column: str) -> Problem:
    return Problem(
        "REPEATED_COLUMN", "error", file, f"column '{column}'", "two columns of that name", "one",
        "Rename or delete one of them in the file.",
    )  # fmt: skip


def _items_without_column(file: str, absent: list[tuple[Variable, int | None]]) -> Problem:
    shown = ", ".join(f"{v.pattern} for session {s}" for v, s in absent[:6])
    more = f" and {len(absent) - 6} more" if len(absent) > 6 else ""
    return Problem(
        "MISSING_COLUMN", "error", file, f"key {absent[0][0].key}", f"no column {shown}{more}",
        "a column for every item in every session in which the measure was given",
        "Correct the names in the file, add empty columns, or list data.wide.sessions.",
    )  # fmt: skip


def _sessions_without_column(files: str, absent: list[str]) -> Problem:
    return Problem(
        "MISSING_SESSIONS", "error", files, "key data.wide.sessions",
        f"no column for sessions {', '.join(absent)}", "columns for every listed session",
        "Take them out of the list, or correct the pattern of the columns.",
    )  # fmt: skip


def _varies(file: str, variable: Variable, n_clients: int) -> Problem:
    used = "last" if variable.name == "ending" else "first"
    return Problem(
        "CLIENT_VARIABLE_VARIES", "warning", file, f"column '{variable.pattern}'",
        f"different entries for one client ({n_clients} clients)", "one entry per client",
        f"The {used} entry was used. Correct the file, or declare level: session.",
    )  # fmt: skip


def _code_is_possible(
    file: str, measure: str, codes: dict[str, int], limits: tuple[float, float]
) -> Problem:
    listed = ", ".join(f"{code} ({n} times)" for code, n in codes.items())
    return Problem(
        "MISSING_CODE_IS_POSSIBLE", "warning", file, f"key measures.{measure}",
        f"missing code {listed}", f"codes outside {limits[0]:g} to {limits[1]:g}",
        "They were read as no answer. If some are real answers, recode the missing ones, e.g. "
        "to -99, and change data.missing_codes.",
    )  # fmt: skip
