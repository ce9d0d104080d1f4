"""One table of the user under canonical names, with labels and missing codes applied."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from alliance.problems import Problem, list_rows
from alliance.readers.answers import (
    Converted,
    as_id,
    keyed,
    to_categories,
    to_numbers,
    to_sessions,
)
from alliance.readers.dates import AMBIGUOUS, to_dates
from alliance.readers.raw import RawTable
from alliance.readers.variables import Place, Places, Variable
from alliance.study import Column, Study

WORDS_FOR_MISSING = (
    "missing",
    "no answer",
    "not answered",
    "refused",
    "not applicable",
    "keine angabe",
    "fehlend",
    "geen antwoord",
    "manquant",
    "sin respuesta",
)


@dataclass
class Sheet:
    """One table under canonical names, and what happened on the way.

    Attributes
    ----------
    name, file : the table.
    frame : ``client``, ``session`` (session tables), its variables, ``source_row``,
        ``source_table``.
    n_read, n_empty, n_dropped : rows of the file, rows without any entry, rows that a ``null``
        label of client or session leaves out.
    """

    name: str
    file: str
    frame: pd.DataFrame
    n_read: int
    n_empty: int = 0
    n_dropped: int = 0
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    missing_codes: dict[str, Counter[str]] = field(default_factory=dict)


def variables_in(
    table: str, variables: list[Variable], places: Places
) -> list[tuple[Variable, Place]]:
    """The variables that are taken from ``table``, with their columns there."""
    return [
        (variable, place)
        for variable in variables
        for place in places[variable.name]
        if place.table == table
    ]


def client_column(study: Study, raw: RawTable) -> str:
    """Name of the client column in this table."""
    return raw.table.client or study.columns.client.column


def session_column(study: Study, raw: RawTable) -> str | None:
    """Name of the session column in this table; ``None`` when sessions are numbered by date."""
    declared = study.columns.session
    return raw.table.session or (declared.column if declared else None)


def to_sheet(study: Study, raw: RawTable, found: list[tuple[Variable, Place]]) -> Sheet:
    """The table under canonical names, long.

    Parameters
    ----------
    study : the study file.
    raw : the table as read.
    found : its variables and their columns.
    """
    rows = np.arange(len(raw.frame)) + raw.first_row
    filled = raw.frame.notna().any(axis=1).to_numpy()
    sheet = Sheet(raw.name, raw.file, pd.DataFrame(), len(rows), n_empty=int((~filled).sum()))
    source = raw.frame.loc[filled].reset_index(drop=True)
    frame, dropped = _keys(study, raw, source)
    frame["source_row"] = pd.array(rows[filled], dtype="Int64")
    frame["source_table"] = pd.array([raw.name] * len(frame), dtype="str")
    sheet.n_dropped = int(dropped.sum())
    source, frame = source.loc[~dropped], frame.loc[~dropped]
    is_wide = study.data.layout == "wide" and raw.table.level == "session"
    build = _melted if is_wide else _straight
    sheet.frame = build(study, raw, source, frame, found, sheet)
    sheet.problems += _likely_missing_codes(study, raw, found)
    return sheet


def _keys(study: Study, raw: RawTable, source: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    clients = _ids(source[client_column(study, raw)], study.columns.client, raw.decimal)
    frame = pd.DataFrame({"client": clients.column})
    dropped = clients.dropped
    column = session_column(study, raw)
    if raw.table.level == "session" and study.data.layout == "long" and column is not None:
        labels = keyed(study.columns.session.labels) if study.columns.session else {}
        sessions = to_sessions(source[column], labels, raw.decimal)
        frame["session"] = sessions.column
        dropped = dropped | sessions.dropped
    return frame, dropped


def _ids(values: pd.Series, column: Column, decimal: str) -> Converted:
    labels = keyed(column.labels)
    if labels or not pd.api.types.is_numeric_dtype(values.dtype):
        return to_categories(values, labels, decimal=decimal)
    numbers = values.astype("Float64")
    whole = bool((numbers.dropna() % 1 == 0).all())
    texts = numbers.astype("Int64").astype("str") if whole else numbers.map(as_id).astype("str")
    return Converted(texts.where(numbers.notna()), dropped=np.zeros(len(values), dtype=bool))


def _straight(
    study: Study,
    raw: RawTable,
    source: pd.DataFrame,
    frame: pd.DataFrame,
    found: list[tuple[Variable, Place]],
    sheet: Sheet,
) -> pd.DataFrame:
    columns = {
        variable.name: _converted(study, raw, variable, place, source[place.columns[None]], sheet)
        for variable, place in found
    }
    return pd.concat([frame, pd.DataFrame(columns, index=frame.index)], axis=1).reset_index(
        drop=True
    )


def _melted(
    study: Study,
    raw: RawTable,
    source: pd.DataFrame,
    frame: pd.DataFrame,
    found: list[tuple[Variable, Place]],
    sheet: Sheet,
) -> pd.DataFrame:
    """One row per client and session with at least one entry in a column of that session."""
    varying = [(variable, place) for variable, place in found if None not in place.columns]
    constant = [(variable, place) for variable, place in found if None in place.columns]
    frame = _straight(study, raw, source, frame, constant, sheet)
    source = source.reset_index(drop=True)
    sessions = sorted({s for _, place in varying for s in place.columns if s is not None})
    long = {
        variable.name: _converted(
            study, raw, variable, place, _stacked(source, place, sessions), sheet
        )
        for variable, place in varying
    }
    repeated = pd.concat([frame] * len(sessions), ignore_index=True)
    repeated.insert(
        1, "session", pd.array(np.repeat(sessions, len(frame)).astype("int64"), dtype="Int64")
    )
    melted = pd.concat([repeated, pd.DataFrame(long)], axis=1)
    has_entry = melted[list(long)].notna().any(axis=1)
    return (
        melted.loc[has_entry]
        .sort_values(["source_row", "session"], kind="stable")
        .reset_index(drop=True)
    )


def _stacked(source: pd.DataFrame, place: Place, sessions: list[int]) -> pd.Series:
    """The columns of a variable below each other, session by session."""
    kinds = {str(source[column].dtype) for column in place.columns.values()}
    kind = kinds.pop() if len(kinds) == 1 else "object"
    empty = pd.Series([None] * len(source), index=source.index).astype(kind)
    columns = [
        source[place.columns[session]].astype(kind) if session in place.columns else empty
        for session in sessions
    ]
    return pd.concat(columns, ignore_index=True)


def _converted(
    study: Study,
    raw: RawTable,
    variable: Variable,
    place: Place,
    values: pd.Series,
    sheet: Sheet,
) -> pd.Series:
    """Convert one column by its kind and note what was done."""
    codebook = raw.value_labels.get(next(iter(place.columns.values())), {})
    converted = _convert(study, variable, values, codebook, raw.decimal)
    if converted.missing_codes:
        group = variable.measure or variable.name
        sheet.missing_codes.setdefault(group, Counter()).update(converted.missing_codes)
    sheet.notes += [f"{variable.name}: {note}" for note in converted.notes]
    if any(note == AMBIGUOUS for note in converted.notes):
        sheet.problems.append(_ambiguous_dates(raw, variable))
    return converted.column.rename(variable.name)


def _convert(
    study: Study,
    variable: Variable,
    values: pd.Series,
    codebook: dict[object, str],
    decimal: str,
) -> Converted:
    codes = study.data.missing_codes
    if variable.kind == "date":
        return to_dates(values)
    if variable.kind == "number":
        is_text = not pd.api.types.is_numeric_dtype(values.dtype)
        words = _numbers_of_words(codebook) if is_text else {}
        return to_numbers(values, {**words, **variable.labels}, codes, decimal)
    if variable.kind == "id":
        return to_categories(values, variable.labels, codes, decimal)
    return to_categories(values, variable.labels or keyed(codebook), codes, decimal)


def _numbers_of_words(codebook: dict[object, str]) -> dict[str, object]:
    """The file's own value labels the other way round, for answers stored as words."""
    by_word = keyed({word: code for code, word in codebook.items()})
    return {word: code for word, code in by_word.items() if not word[:1].isdigit()}


def _likely_missing_codes(
    study: Study, raw: RawTable, found: list[tuple[Variable, Place]]
) -> list[Problem]:
    """Codes that the file's own labels call missing but that nobody declared."""
    declared = keyed(dict.fromkeys(study.data.missing_codes, None))
    problems = []
    for variable, place in found:
        for column in place.columns.values():
            codes = [
                code
                for code, label in raw.value_labels.get(column, {}).items()
                if label.strip().casefold().startswith(WORDS_FOR_MISSING)
                and as_id(code) not in declared
                and variable.kind == "number"
                and variable.labels.get(as_id(code), 0) is not None
            ]
            rows = raw.first_row + np.flatnonzero(raw.frame[column].isin(codes).to_numpy())
            if len(rows):
                problems.append(_likely_missing(raw, column, codes, rows))
    return problems


def _likely_missing(raw: RawTable, column: str, codes: list[object], rows: np.ndarray) -> Problem:
    shown = ", ".join(as_id(code) for code in codes)
    return Problem(
        "LIKELY_MISSING_CODE", "warning", raw.file, f"column '{column}', {list_rows(list(rows))}",
        f"{shown}, which the file labels as missing", "an answer",
        f"Add {shown} to data.missing_codes, or declare it user-missing in the file.",
    )  # fmt: skip


def _ambiguous_dates(raw: RawTable, variable: Variable) -> Problem:
    return Problem(
        "AMBIGUOUS_DATES", "warning", raw.file, f"column '{variable.pattern}'",
        "dates that may be day/month or month/day; read as day/month", "dates such as 2026-03-14",
        "Check the days between sessions in the report; better write the dates as "
        "year-month-day.",
    )  # fmt: skip
