"""SPSS (.sav, .zsav) and Stata (.dta) files: value labels kept, user-missing codes honoured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyreadstat

from alliance.problems import StudyError
from alliance.readers.broken import unreadable
from alliance.readers.raw import RawTable
from alliance.readers.text import no_rows
from alliance.study import Table


def read_spss(name: str, table: Table, path: Path) -> RawTable:
    """Read an SPSS file; codes declared user-missing there become empty and are counted.

    Raises
    ------
    StudyError
        For a file that is no SPSS file, is damaged, or holds no rows.
    """
    frame, meta = _read(pyreadstat.read_sav, table, path, "sav", "an SPSS file (.sav)")
    emptied = {}
    for column, ranges in sorted(meta.missing_ranges.items()):
        is_missing = _in_ranges(frame[column], ranges)
        if is_missing.any():
            emptied[column] = frame.loc[is_missing, column]
            frame[column] = frame[column].mask(is_missing)
    return _raw(name, table, frame, meta, _notes(emptied, "user-missing"))


def read_stata(name: str, table: Table, path: Path) -> RawTable:
    """Read a Stata file; extended missing values (.a to .z) become empty and are counted.

    Raises
    ------
    StudyError
        For a file that is no Stata file, is damaged, or holds no rows.
    """
    frame, meta = _read(pyreadstat.read_dta, table, path, "dta", "a Stata file (.dta)")
    emptied = {}
    for column, letters in sorted(meta.missing_user_values.items()):
        is_missing = frame[column].isin(letters)
        if is_missing.any():
            emptied[column] = frame.loc[is_missing, column]
            frame[column] = pd.to_numeric(frame[column].mask(is_missing))
    return _raw(name, table, frame, meta, _notes(emptied, "extended missing"))


def _read(
    reader: Any,
    table: Table,
    path: Path,
    format_name: str,
    expected: str,
) -> tuple[pd.DataFrame, Any]:
    options = {"encoding": table.encoding} if table.encoding else {}
    try:
        frame, meta = reader(str(path), user_missing=True, **options)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, ValueError, OSError):
        raise StudyError([unreadable(table.path, path, format_name, expected)]) from None
    if frame.empty:
        raise StudyError([no_rows(table.path)])
    return frame, meta


def _in_ranges(values: pd.Series, ranges: list[dict[str, Any]]) -> pd.Series:
    found = pd.Series(False, index=values.index)
    for limits in ranges:
        if isinstance(limits["lo"], str):
            found |= values == limits["lo"]
        else:
            found |= pd.to_numeric(values, errors="coerce").between(limits["lo"], limits["hi"])
    return found


def _notes(emptied: dict[str, pd.Series], kind: str) -> list[str]:
    """One note per code, not per column: items of a wide file make hundreds of columns."""
    counts: dict[str, dict[str, int]] = {}
    for column, entries in emptied.items():
        for entry, count in entries.map(_as_text).value_counts(sort=False).items():
            counts.setdefault(str(entry), {})[column] = int(count)
    return [
        f"{kind} code {code}: {_entries(sum(of.values()))} in {_columns(list(of))} read as empty"
        for code, of in sorted(counts.items())
    ]


def _entries(count: int) -> str:
    return f"{count} {'entry' if count == 1 else 'entries'}"


def _as_text(entry: object) -> str:
    return f"{entry:g}" if isinstance(entry, int | float) else str(entry)


def _columns(columns: list[str], shown: int = 3) -> str:
    listed = ", ".join(f"'{column}'" for column in columns[:shown])
    if len(columns) == 1:
        return f"column {listed}"
    more = f", ... ({len(columns)} columns)" if len(columns) > shown else ""
    return f"columns {listed}{more}"


def _raw(name: str, table: Table, frame: pd.DataFrame, meta: Any, notes: list[str]) -> RawTable:
    labels = {
        column: {code: str(label) for code, label in codes.items()}
        for column, codes in meta.variable_value_labels.items()
    }
    for column in frame.columns:
        if frame[column].dtype == object or pd.api.types.is_string_dtype(frame[column]):
            frame[column] = _blank_to_empty(frame[column])
    encoding = meta.file_encoding or "not stated"
    return RawTable(
        name, table.path, table, frame, first_row=1, value_labels=labels,
        notes=[f"encoding {encoding}", *notes],
    )  # fmt: skip


def _blank_to_empty(values: pd.Series) -> pd.Series:
    is_blank = values.map(lambda entry: isinstance(entry, str) and not entry.strip())
    return values.mask(is_blank.astype(bool), np.nan)
