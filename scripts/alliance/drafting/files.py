"""Read a file of which nothing is declared yet."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import openpyxl
import pandas as pd

from alliance.drafting.roles import find_client
from alliance.problems import StudyError
from alliance.readers import RawTable, format_of, read_table
from alliance.readers.excel import sheet_key, sheet_name
from alliance.study import Table

NUMBER = re.compile(r"[-+]?\d*[.,]?\d+( \(\d+\))?")
COMMA_NUMBER = re.compile(r"[-+]?\d*,\d+")


def read_undeclared(name: str, file: str, root: Path) -> RawTable:
    """The file as its study file would first describe it.

    Of a workbook the largest sheet is taken; a text file whose first row holds only numbers has
    no header row, and its columns get names.

    Raises
    ------
    StudyError
        When the file is absent or cannot be read.
    """
    table = Table(path=file)
    path = root / file
    if path.is_file() and format_of(table, path) == "xlsx":
        table = _with_largest_sheet(table, path)
    raw = read_table(name, table, root)
    columns = list(raw.frame.columns)
    if format_of(table, path) != "csv" or not all(NUMBER.fullmatch(c) for c in columns):
        return _with_numbers(raw)
    names = [f"column_{position}" for position in range(1, len(columns) + 1)]
    return read_table(name, Table(path=file, header=False, column_names=names), root)


def further_sheets(main: RawTable, root: Path) -> tuple[list[RawTable], list[str]]:
    """The other sheets of a workbook that hold the client column, and the names of those without.

    Each sheet is named after its tab, or by its number where a person may be named there. A sheet
    that cannot be read as a table counts as one without.
    """
    path = root / main.table.path
    if not path.is_file() or format_of(main.table, path) != "xlsx" or main.table.sheet is None:
        return [], []
    client = find_client(main).column
    read: list[RawTable] = []
    left: list[str] = []
    book = openpyxl.load_workbook(path, read_only=True)
    for title in (sheet.title for sheet in book.worksheets):
        key, name = sheet_key(book, title), sheet_name(book, title)
        if key == main.table.sheet:
            continue
        table_name = title if key == title else name
        try:
            raw = read_table(table_name, main.table.model_copy(update={"sheet": key}), root)
        except StudyError:
            left.append(name)
            continue
        if client in raw.frame.columns:
            read.append(_with_numbers(raw))
        else:
            left.append(name)
    return read, left


def _with_numbers(raw: RawTable) -> RawTable:
    """Numbers with a decimal comma that stand as text in cells of a workbook, as numbers."""
    if raw.decimal != ",":
        return raw
    texts = [c for c in raw.frame if not pd.api.types.is_numeric_dtype(raw.frame[c].dtype)]
    changed = {column: _from_commas(raw.frame[column]) for column in texts}
    return replace(raw, frame=raw.frame.assign(**changed))


def _from_commas(values: pd.Series) -> pd.Series:
    """The numbers of a column that has some with a comma; other entries stay as they are."""
    read = [_number(entry) for entry in values]
    commas = any(isinstance(entry, str) and COMMA_NUMBER.fullmatch(entry) for entry in values)
    if not commas:
        return values
    all_numbers = all(pd.isna(entry) or isinstance(entry, int | float) for entry in read)
    return pd.Series(read, index=values.index, dtype="float64" if all_numbers else "object")


def _number(entry: object) -> object:
    is_number = isinstance(entry, str) and (COMMA_NUMBER.fullmatch(entry) or entry.isdecimal())
    return float(str(entry).replace(",", ".")) if is_number else entry


def _with_largest_sheet(table: Table, path: Path) -> Table:
    try:
        book = openpyxl.load_workbook(path)
    except Exception:  # a broken workbook is told by the reader itself
        return table
    if len(book.worksheets) == 1:
        return table
    largest = max(book.worksheets, key=lambda sheet: sheet.max_row * sheet.max_column)
    return table.model_copy(update={"sheet": sheet_key(book, largest.title)})
