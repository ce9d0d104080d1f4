"""Excel workbooks (.xlsx, .xlsm): one sheet, cell values as Excel last computed them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
from openpyxl.worksheet.worksheet import Worksheet

from alliance.personal_data import identifying_kind
from alliance.problems import Problem, StudyError, suggest
from alliance.readers.broken import unreadable
from alliance.readers.names import tidy_names
from alliance.readers.raw import RawTable
from alliance.readers.text import DECIMAL_COMMA, DECIMAL_POINT
from alliance.study import Table

# A header row with a single entry above wider rows is a title, not a header.
FEWEST_NAMES = 2
EXPECTED = "an Excel workbook (.xlsx)"


def read_excel(name: str, table: Table, path: Path) -> RawTable:
    """Read one sheet of a workbook; the first row that is not empty holds the column names.

    Raises
    ------
    StudyError
        For a broken or protected file, an unknown sheet, a title above the header row, header
        cells that are merged, or formulas that were never computed.
    """
    try:
        book = openpyxl.load_workbook(path, data_only=True)
    except Exception:  # openpyxl, zipfile, zlib and expat each have their own
        raise StudyError([unreadable(table.path, path, "xlsx", EXPECTED)]) from None
    sheet, notes = _sheet(table, book)
    rows = [list(row) for row in sheet.iter_rows(values_only=True)]
    filled = [number for number, row in enumerate(rows) if _is_filled(row)]
    if len(filled) < (2 if table.header else 1):
        raise StudyError([_no_rows(table, sheet_name(book, sheet.title))])
    first, last = filled[0], filled[-1]
    problems = _header_problems(table, sheet, rows, first) if table.header else []
    problems += _formulas_without_value(table, path, sheet)
    if problems:
        raise StudyError(problems)
    header, body = _split(table, rows[first : last + 1])
    names, repeated, more = tidy_names(header)
    frame, decimal, marks = _frame(names, body)
    first_row = first + (2 if table.header else 1)
    # Row 7 is a different row on each sheet, so messages have to name the sheet.
    several = len(book.worksheets) > 1
    file = f"{table.path}, {sheet_name(book, sheet.title)}" if several else table.path
    return RawTable(
        name, file, table, frame, first_row, notes=[*notes, *more, *marks],
        decimal=decimal, repeated=repeated,
    )  # fmt: skip


def _is_filled(row: Sequence[Any]) -> bool:
    return any(not _is_blank(cell) for cell in row)


def _is_blank(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _sheet(table: Table, book: openpyxl.Workbook) -> tuple[Worksheet, list[str]]:
    titles = [sheet.title for sheet in book.worksheets]
    wanted = 1 if table.sheet is None else table.sheet
    if isinstance(wanted, int) and 1 <= wanted <= len(titles):
        title = titles[wanted - 1]
    elif isinstance(wanted, str) and wanted in titles:
        title = wanted
    else:
        raise StudyError([_unknown_sheet(table, book)])
    others = f", the first of {len(titles)}" if table.sheet is None and len(titles) > 1 else ""
    return book[title], [f"{sheet_name(book, title)}{others}"]


def sheet_key(book: openpyxl.Workbook, title: str) -> str | int:
    """What to write under ``sheet:``: the title, or its number if a person may be named in it.

    A workbook may have a sheet for every client, and titles go into messages and the report.
    """
    titles = [sheet.title for sheet in book.worksheets]
    return titles.index(title) + 1 if identifying_kind(title) else title


def sheet_name(book: openpyxl.Workbook, title: str) -> str:
    """How messages name a sheet: ``sheet 'Sessions'``, or ``sheet 3``; see `sheet_key`."""
    return f"sheet {sheet_key(book, title)!r}"


def _split(table: Table, rows: list[list[Any]]) -> tuple[list[Any], list[list[Any]]]:
    if table.header:
        used = max(_width(row) for row in rows)
        return rows[0][:used], [row[:used] for row in rows[1:]]
    names = list(table.column_names or [])
    return names, [(row + [None] * len(names))[: len(names)] for row in rows]


def _width(row: list[Any]) -> int:
    """Number of cells up to the last that holds something."""
    return max((at for at, cell in enumerate(row, start=1) if not _is_blank(cell)), default=0)


def _header_problems(
    table: Table, sheet: Worksheet, rows: list[list[Any]], first: int
) -> list[Problem]:
    """Titles and merged cells above the data: their names belong to no single column."""
    named = sum(not _is_blank(cell) for cell in rows[first])
    widest = max(sum(not _is_blank(cell) for cell in row) for row in rows[first + 1 : first + 51])
    row_number = first + 1
    merged = [str(area) for area in sheet.merged_cells.ranges if area.min_row <= row_number]
    if merged:
        return [_merged_header(table, merged, row_number)]
    if named < FEWEST_NAMES <= widest:
        return [_title_row(table, row_number)]
    return []


def _formulas_without_value(table: Table, path: Path, sheet: Worksheet) -> list[Problem]:
    """Formulas whose result was never stored would be read as empty cells."""
    formulas = openpyxl.load_workbook(path, data_only=False)[sheet.title]
    places = [
        cell.coordinate
        for row in formulas.iter_rows()
        for cell in row
        if cell.data_type == "f" and sheet[cell.coordinate].value is None
    ]
    return [_not_computed(table, places)] if places else []


def _frame(names: list[str], body: list[list[Any]]) -> tuple[pd.DataFrame, str, list[str]]:
    series: dict[str, pd.Series] = {}
    notes: list[str] = []
    texts: set[str] = set()
    for position, name in enumerate(names):
        cells = [_cell(row[position]) for row in body]
        errors = sum(isinstance(c, str) and c.startswith("#") and c[1:2].isupper() for c in cells)
        if errors:
            notes.append(f"column '{name}': {errors} Excel error values (#...) read as empty")
            cells = [None if isinstance(c, str) and c.startswith("#") else c for c in cells]
        texts.update(cell for cell in cells if isinstance(cell, str))
        series[name] = _typed(cells)
    commas = sum(DECIMAL_COMMA.fullmatch(text) is not None for text in texts)
    points = sum(DECIMAL_POINT.fullmatch(text) is not None for text in texts)
    if commas > points:
        notes.append("numbers with decimal comma stand as text in some cells: read as numbers")
    return pd.DataFrame(series, columns=names), "," if commas > points else ".", notes


def _cell(value: object) -> object:
    if isinstance(value, str):
        return value.strip() or None
    return value


def _typed(cells: list[Any]) -> pd.Series:
    """Numbers, dates or text where the column holds only these, else a mixture as it stands."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds and kinds <= {int, float}:
        return pd.Series(cells, dtype="float64")
    if kinds == {str}:
        return pd.Series(cells, dtype="str")
    series = pd.Series(cells, dtype="object")
    is_date = bool(kinds) and all(kind.__module__ == "datetime" for kind in kinds)
    if is_date and not any(kind.__name__ in ("time", "timedelta") for kind in kinds):
        return pd.to_datetime(series)
    return series


def _no_rows(table: Table, sheet: str) -> Problem:
    return Problem(
        "NO_ROWS", "error", table.path, sheet, "no rows of data",
        "a header row and rows of data",
        "Name the sheet that holds the data (sheet: ...), or save the workbook again.",
    )  # fmt: skip


def _unknown_sheet(table: Table, book: openpyxl.Workbook) -> Problem:
    wanted = str(table.sheet)
    titles = [sheet.title for sheet in book.worksheets]
    shown = [title for title in titles if sheet_key(book, title) == title]
    listed = f"one of {', '.join(repr(title) for title in shown)}, or " if shown else ""
    return Problem(
        "UNKNOWN_SHEET", "error", table.path, "key sheet", f"'{wanted}'",
        f"{listed}a number from 1 to {len(titles)}",
        suggest(wanted, shown) or "Write the name as it stands on the sheet's tab.",
    )  # fmt: skip


def _merged_header(table: Table, areas: list[str], row: int) -> Problem:
    return Problem(
        "MERGED_HEADER", "error", table.path, f"row {row}, cells {', '.join(sorted(areas)[:6])}",
        "merged cells in or above the header row", "one name per column in a single header row",
        "Unmerge them (Excel: Home, Merge & Center), write one name into each column and delete "
        "the rows above.",
    )  # fmt: skip


def _title_row(table: Table, row: int) -> Problem:
    return Problem(
        "TITLE_ROW", "error", table.path, f"row {row}", "a single entry above a wider table",
        "the column names in the first row", "Delete the rows above the column names.",
    )  # fmt: skip


def _not_computed(table: Table, places: list[str]) -> Problem:
    more = f" and {len(places) - 6} more" if len(places) > 6 else ""
    return Problem(
        "FORMULA_WITHOUT_VALUE", "error", table.path, f"cells {', '.join(places[:6])}{more}",
        "formulas whose results are not stored in the file", "values",
        "Open the workbook in Excel and save it, or paste the results as values.",
    )  # fmt: skip
