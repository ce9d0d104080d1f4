"""Read a file of which nothing is declared yet."""

from __future__ import annotations

import re
from pathlib import Path

import openpyxl

from alliance.readers import RawTable, format_of, read_table
from alliance.study import Table

NUMBER = re.compile(r"[-+]?\d*[.,]?\d+( \(\d+\))?")


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
        return raw
    names = [f"column_{position}" for position in range(1, len(columns) + 1)]
    return read_table(name, Table(path=file, header=False, column_names=names), root)


def _with_largest_sheet(table: Table, path: Path) -> Table:
    try:
        book = openpyxl.load_workbook(path)
    except Exception:  # a broken workbook is told by the reader itself
        return table
    if len(book.worksheets) == 1:
        return table
    largest = max(book.worksheets, key=lambda sheet: sheet.max_row * sheet.max_column)
    return table.model_copy(update={"sheet": largest.title})
