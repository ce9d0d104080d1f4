"""Text files (.csv, .tsv, .txt, .dat): separator, decimal mark and missing marks worked out."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from alliance.problems import Problem, StudyError, list_rows
from alliance.readers.encoding import decode
from alliance.readers.names import tidy_names
from alliance.readers.raw import RawTable
from alliance.study import Table

# In this order, because a comma is also a decimal mark and part of many texts.
SEPARATORS: tuple[str, ...] = ("\t", ";", "|", ",")
SEPARATOR_WORDS = {"\t": "tab", " ": "white space"}
DECLARED_SEPARATORS = {"tab": "\t", "whitespace": " ", "space": " ", "\\t": "\t"}
SAMPLE_ROWS = 300
# Marks of an empty cell written by SPSS, Stata, SAS (.), R (NA, NaN) and Excel (#N/A, #NULL!).
MARKS_AMONG_NUMBERS = frozenset(
    {".", "na", "n/a", "nan", "<na>", "null", "none", "#n/a", "#null!", "#div/0!", "#value!", "-"}
)
MARKS_IN_TEXT = frozenset({"NA", "NaN", "<NA>", "#N/A", "#NULL!"})
DECIMAL_POINT = re.compile(r"[-+]?(\d+\.\d*|\.\d+)([eE][-+]?\d+)?")
DECIMAL_COMMA = re.compile(r"[-+]?(\d+,\d*|,\d+)([eE][-+]?\d+)?")
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
LEADING_ZERO = re.compile(r"[-+]?0\d+")
EXCEL_HINT = re.compile(r"^sep=(.)\s*$", re.IGNORECASE)


def read_text(name: str, table: Table, path: Path) -> RawTable:
    """Read a delimited text file.

    Every cell is read as text first; a column becomes numeric only when every entry of it is a
    number or a mark for an empty cell. Whatever was worked out is in the notes.

    Raises
    ------
    StudyError
        For an empty file, a wrong encoding, or rows with more entries than there are columns.
    """
    text, notes = _decoded(table, path.read_bytes())
    text, hinted, skipped = _without_excel_hint(text)
    separator = _separator(table, text, hinted)
    notes = [f"separator {_word(separator)}", *notes]
    rows = _rows(text, separator)
    rows, leading = _without_empty_ends(rows)
    if not rows:
        raise StudyError([_empty(table.path)])
    names, body, repeated, more = _header_and_body(table, rows)
    columns = _columns(table, names, body, first_row=_first_row(table, skipped + leading))
    decimal = table.decimal or _decimal(columns, separator)
    frame, marks = _frame(names, columns, decimal)
    notes.insert(1, "decimal comma" if decimal == "," else "decimal point")
    return RawTable(
        name, table.path, table, frame, _first_row(table, skipped + leading),
        notes=[*notes, *more, *marks], decimal=decimal, repeated=repeated,
    )  # fmt: skip


def _first_row(table: Table, rows_above: int) -> int:
    return rows_above + (2 if table.header else 1)


def _decoded(table: Table, content: bytes) -> tuple[str, list[str]]:
    try:
        text, notes = decode(content, table.encoding)
    except LookupError:
        raise StudyError([_no_such_encoding(table)]) from None
    except UnicodeError:
        raise StudyError([_wrong_encoding(table)]) from None
    if not text.strip("\ufeff \t\r\n\0;,"):
        raise StudyError([_empty(table.path)])
    return text.removeprefix("\ufeff"), notes


def _without_excel_hint(text: str) -> tuple[str, str | None, int]:
    """Excel's own first line ``sep=;`` says the separator and is no data."""
    first, _, rest = text.partition("\n")
    hint = EXCEL_HINT.match(first.rstrip("\r"))
    return (rest, hint.group(1), 1) if hint else (text, None, 0)


def _separator(table: Table, text: str, hinted: str | None) -> str:
    if table.separator is not None:
        return DECLARED_SEPARATORS.get(table.separator.lower(), table.separator)
    return hinted or _work_out_separator(text)


def _work_out_separator(text: str) -> str:
    """The separator that cuts the first rows into the most even number of entries."""
    sample = "".join(text.splitlines(keepends=True)[:SAMPLE_ROWS])
    best, best_share = ",", 0.0
    for separator in (*SEPARATORS, " "):
        share = _evenness(sample, separator)
        if share > best_share + 1e-9:
            best, best_share = separator, share
    return best


def _evenness(sample: str, separator: str) -> float:
    """Share of rows with the most frequent number of entries, 0 if that number is one."""
    widths = Counter(len(row) for row in _rows(sample, separator) if any(row))
    if not widths:
        return 0.0
    width, count = widths.most_common(1)[0]
    return count / widths.total() if width > 1 else 0.0


def _rows(text: str, separator: str) -> list[list[str]]:
    if separator == " ":
        lines = (" ".join(line.split()) for line in text.splitlines())
        return [row if any(row) else [] for row in csv.reader(lines, delimiter=" ")]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    return [[cell.strip() for cell in row] for row in reader]


def _without_empty_ends(rows: list[list[str]]) -> tuple[list[list[str]], int]:
    """Rows without the empty ones above and below; empty rows in between keep the numbering."""
    filled = [number for number, row in enumerate(rows) if any(row)]
    if not filled:
        return [], 0
    return rows[filled[0] : filled[-1] + 1], filled[0]


def _header_and_body(
    table: Table, rows: list[list[str]]
) -> tuple[list[str], list[list[str]], frozenset[str], list[str]]:
    if not table.header:
        return list(table.column_names or []), rows, frozenset(), ["no header row, names declared"]
    header, body = rows[0], rows[1:]
    if not body:
        raise StudyError([no_rows(table.path)])
    notes: list[str] = []
    if all(len(row) == len(header) + 1 for row in body if row):
        header = ["row_name", *header]
        notes.append("the first column has no name (row names of R): called 'row_name'")
    names, repeated, more = tidy_names(_without_empty_tail(header, body))
    return names, body, repeated, [*notes, *more]


def _without_empty_tail(header: Sequence[str], body: list[list[str]]) -> list[str]:
    """Drop nameless columns at the right that hold nothing (separators at the line's end)."""
    names = list(header)
    while names and not names[-1]:
        position = len(names) - 1
        if any(len(row) > position and row[position] for row in body):
            break
        names.pop()
    return names


def _columns(
    table: Table, names: list[str], body: list[list[str]], first_row: int
) -> list[list[str]]:
    """Entries by column; short rows end in empty cells, long ones are refused."""
    width = len(names)
    too_long = [first_row + number for number, row in enumerate(body) if any(row[width:])]
    if too_long:
        raise StudyError([_too_many_entries(table, too_long, width)])
    if not table.header and max(len(row) for row in body) < width:
        raise StudyError([_too_many_names(table, max(len(row) for row in body), width)])
    even = [row if len(row) == width else (row + [""] * width)[:width] for row in body]
    return [list(column) for column in zip(*even, strict=True)]


def _decimal(columns: list[list[str]], separator: str) -> str:
    """Decimal mark by majority over the entries that have one.

    In comma-separated files 1,234 is more likely a thousand and more, so it decides nothing: it
    stays text unless other entries show decimal commas, and validation reports it.
    """
    entries = {entry for column in columns for entry in column[: 10 * SAMPLE_ROWS]}
    points = sum(DECIMAL_POINT.fullmatch(entry) is not None for entry in entries)
    commas = sum(
        DECIMAL_COMMA.fullmatch(entry) is not None
        and not (separator == "," and THOUSANDS.fullmatch(entry))
        for entry in entries
    )
    return "," if commas > points else "."


def _frame(
    names: list[str], columns: list[list[str]], decimal: str
) -> tuple[pd.DataFrame, list[str]]:
    series: dict[str, pd.Series] = {}
    notes: list[str] = []
    for name, column in zip(names, columns, strict=True):
        series[name], note = _typed(name, column, decimal)
        notes += note
    return pd.DataFrame(series, columns=names), notes


def _typed(name: str, column: list[str], decimal: str) -> tuple[pd.Series, list[str]]:
    """The column as numbers where every entry is one, else as text."""
    known = {entry: _number(entry, decimal) for entry in set(column)}
    marks = {e for e, n in known.items() if n is None and e.lower() in MARKS_AMONG_NUMBERS}
    others = [e for e, n in known.items() if n is None and e and e not in marks]
    has_number = any(number is not None for number in known.values())
    if not others and has_number:
        values = pd.Series([known[entry] for entry in column], dtype="float64")
        return values, _note_marks(name, column, marks)
    text_marks = marks & MARKS_IN_TEXT if others else marks
    values = pd.Series([None if not e or e in text_marks else e for e in column], dtype="str")
    return values, _note_marks(name, column, text_marks)


def _number(entry: str, decimal: str) -> float | None:
    """The number an entry is; ids such as 007 stay text, because 7 is another id."""
    if decimal == "," and "." not in entry:
        entry = entry.replace(",", ".")
    elif decimal == ",":
        return None
    if not NUMBER.fullmatch(entry) or LEADING_ZERO.fullmatch(entry):
        return None
    return float(entry)


def _note_marks(name: str, column: list[str], marks: set[str]) -> list[str]:
    if not marks:
        return []
    count = sum(entry in marks for entry in column)
    shown = ", ".join(f"'{mark}'" for mark in sorted(marks))
    return [f"column '{name}': {count} entries {shown} read as empty"]


def _word(separator: str) -> str:
    return SEPARATOR_WORDS.get(separator, f"'{separator}'")


def _empty(file: str) -> Problem:
    return Problem(
        "EMPTY_FILE", "error", file, "", "an empty file", "a header row and rows of data",
        "Export the data again.",
    )  # fmt: skip


def no_rows(file: str) -> Problem:
    return Problem(
        "NO_ROWS", "error", file, "row 1", "a single row", "a header row and rows of data",
        "Export the data again; if the file has no header row, set header: false.",
    )  # fmt: skip


def _no_such_encoding(table: Table) -> Problem:
    return Problem(
        "UNKNOWN_ENCODING", "error", table.path, "key encoding", f"'{table.encoding}'",
        "an encoding such as utf-8, latin-1, cp1252, utf-16",
        "Leave encoding out: it is then worked out from the file.",
    )  # fmt: skip


def _wrong_encoding(table: Table) -> Problem:
    return Problem(
        "WRONG_ENCODING", "error", table.path, "key encoding",
        f"bytes that are no {table.encoding or 'text'}", "a text file in that encoding",
        "Leave encoding out: it is then worked out from the file.",
    )  # fmt: skip


def _too_many_entries(table: Table, rows: list[int], width: int) -> Problem:
    return Problem(
        "TOO_MANY_ENTRIES", "error", table.path, list_rows(rows),
        f"more than {width} entries", f"{width} entries, as many as there are column names",
        "Text that holds the separator must stand in quotation marks; or the separator is another "
        "one: declare it (separator: ';').",
    )  # fmt: skip


def _too_many_names(table: Table, found: int, width: int) -> Problem:
    return Problem(
        "WRONG_COLUMN_NAMES", "error", table.path, "key column_names", f"{width} names",
        f"{found} names, as many as the file has columns",
        "List one name per column, in order; or declare the separator.",
    )  # fmt: skip
