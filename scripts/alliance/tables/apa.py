"""A table as journals print it: spanned headings, few rules, a note underneath.

The same object is written as HTML here; other formats read the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby

import pandas as pd

_STATISTICS = frozenset({"n", "N", "M", "SD", "SE", "p", "pd", "r", "df", "t"})  # set in italics


@dataclass(frozen=True)
class Column:
    """A column: its heading, and the heading it shares with its neighbours (``span``)."""

    heading: str
    span: str = ""


@dataclass(frozen=True)
class Row:
    """A row of finished text; a ``section`` row is a heading over the following rows."""

    cells: tuple[str, ...]
    section: bool = False
    indent: bool = False


@dataclass(frozen=True)
class ApaTable:
    """One table of the report.

    Attributes
    ----------
    name : file name without ending. title : in title case, without number.
    columns : the first holds the names of the rows. rows : as many cells as columns, except
        section rows, which have one.
    notes : sentences under the table; level, units and n are named there.
    numbers : the same content as numbers, for the CSV file.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    numbers: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False)

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != (1 if row.section else len(self.columns)):
                raise ValueError(f"table {self.name}: a row does not have as many cells as columns")


def section(text: str) -> Row:
    """A heading inside the table."""
    return Row((text,), section=True)


def table_csv(table: ApaTable) -> str:
    """The numbers of a table as text of a CSV file, ten significant digits."""
    return table.numbers.to_csv(index=False, float_format="%.10g", lineterminator="\n")


def table_html(table: ApaTable, label: str = "") -> str:
    """The table as an HTML ``<table>``; ``label`` is e.g. ``Table 3``. All text is escaped."""
    number = f'<span class="table-number">{escape(label)}</span> ' if label else ""
    parts = [
        f'<table class="apa" id="table-{escape(table.name, quote=True)}">',
        f'<caption>{number}<span class="table-title">{escape(table.title)}</span></caption>',
        "<thead>",
        *_head(table.columns),
        "</thead>",
        "<tbody>",
        *(_body_row(row, len(table.columns)) for row in table.rows),
        "</tbody>",
        _foot(table),
        "</table>",
    ]
    return "\n".join(part for part in parts if part)


def table_page(table: ApaTable, style: str) -> str:
    """A page that holds the table alone, to be opened by Word or a browser."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(table.title)}</title>\n<style>\n{style}\n</style>\n</head>\n<body>\n"
        f"{table_html(table)}\n</body>\n</html>\n"
    )


def _head(columns: Sequence[Column]) -> Iterator[str]:
    spanned = any(column.span for column in columns)
    if spanned:
        cells = []
        for span, group in groupby(columns, key=lambda column: column.span):
            width = len(list(group))
            cells.append(
                f'<th colspan="{width}" scope="colgroup" class="span">{escape(span)}</th>'
                if span
                else f'<td colspan="{width}"></td>'
            )
        yield f"<tr>{''.join(cells)}</tr>"
    cells = [f'<th scope="col">{_heading(column.heading)}</th>' for column in columns]
    yield f"<tr>{''.join(cells)}</tr>"


def _heading(text: str) -> str:
    return f"<i>{escape(text)}</i>" if text in _STATISTICS else escape(text)


def _body_row(row: Row, width: int) -> str:
    if row.section:
        return (
            f'<tr class="section"><th colspan="{width}" scope="rowgroup">'
            f"{escape(row.cells[0])}</th></tr>"
        )
    kind = ' class="indent"' if row.indent else ""
    first, *others = row.cells
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in others)
    return f'<tr><th scope="row"{kind}>{escape(first)}</th>{cells}</tr>'


def _foot(table: ApaTable) -> str:
    if not table.notes:
        return ""
    text = " ".join(escape(note) for note in table.notes)
    return f'<tfoot><tr><td colspan="{len(table.columns)}"><i>Note.</i> {text}</td></tr></tfoot>'
