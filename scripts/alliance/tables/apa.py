"""A table as journals print it: spanned headings, few rules, a note underneath.

The same object is written as HTML here; other formats read the same rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby

import pandas as pd

# Statistical symbols, which APA style sets in italics: p, also in "p (null)" and before "= .03".
# Not r in "r2", the s of "SDs", nor a letter inside a name such as "WAI-M".
_STATISTIC = re.compile(
    r"(?<![\w.’'/-])(?:(?:SD|SE|pd|df|[npr]|[NM](?!\.)|F(?=\()|t(?=\+1\b))(?![\w’'/-]|\.\w)"
    r"|t(?![\w’'/+-]|\.\w))|\bSD(?=s\b)"
)


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


def with_statistics(text: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces, each with whether it is a statistical symbol, to be set in italics."""
    at = 0
    for found in _STATISTIC.finditer(text):
        if found.start() > at:
            yield text[at : found.start()], False
        yield found[0], True
        at = found.end()
    if at < len(text):
        yield text[at:], False


def section(text: str) -> Row:
    """A heading inside the table."""
    return Row((text,), section=True)


def table_csv(table: ApaTable) -> str:
    """The numbers of a table as text of a CSV file, ten significant digits."""
    return table.numbers.to_csv(index=False, float_format="%.10g", lineterminator="\n")


def table_html(table: ApaTable, label: str = "") -> str:
    """The table as an HTML ``<table>``; ``label`` is e.g. ``Table 3``. All text is escaped.

    Rules and alignment stand in the cells themselves, because word processors that open or paste
    the table do not read style sheets.
    """
    number = f'<span class="table-number">{escape(label)}</span> ' if label else ""
    last = len(table.rows) - 1
    parts = [
        f'<table class="apa" id="table-{escape(table.name, quote=True)}">',
        f'<caption align="left">{number}'
        f'<span class="table-title">{escape(table.title)}</span></caption>',
        "<thead>",
        *_head(table.columns),
        "</thead>",
        "<tbody>",
        *(_body_row(row, len(table.columns), at == last) for at, row in enumerate(table.rows)),
        "</tbody>",
        _foot(table),
        "</table>",
    ]
    return "\n".join(part for part in parts if part)


def table_page(table: ApaTable, style: str) -> str:
    """A page that holds the table alone, to be opened by a word processor or a browser."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(table.title)}</title>\n<style>\n{style}\n</style>\n</head>\n<body>\n"
        f"{table_html(table)}\n</body>\n</html>\n"
    )


_THICK, _THIN = "1.5pt solid #000000", "0.75pt solid #000000"


def _cell(
    text: str, tag: str = "td", align: str = "right", rules: str = "", attributes: str = ""
) -> str:
    """One cell; ``text`` is markup already escaped, ``rules`` are borders in CSS."""
    weight = "font-weight: normal; " if tag == "th" else ""
    style = f"{weight}text-align: {align}; {rules}".strip()
    return f'<{tag}{attributes} align="{align}" style="{style}">{text}</{tag}>'


def _head(columns: Sequence[Column]) -> Iterator[str]:
    top = f"border-top: {_THICK};"
    if any(column.span for column in columns):
        cells = []
        for span, group in groupby(columns, key=lambda column: column.span):
            width = f' colspan="{len(list(group))}"'
            rules = f"{top} border-bottom: {_THIN};"
            cells.append(
                _cell(_italic(span), "th", "center", rules, f'{width} scope="colgroup"')
                if span
                else _cell("", rules=top, attributes=width)
            )
        yield f"<tr>{''.join(cells)}</tr>"
        top = ""
    rules = f"{top} border-bottom: {_THIN};"
    cells = [
        _cell(_italic(c.heading), "th", "right" if at else "left", rules, ' scope="col"')
        for at, c in enumerate(columns)
    ]
    yield f"<tr>{''.join(cells)}</tr>"


def _italic(text: str) -> str:
    """Markup of the text, with its statistical symbols in italics."""
    pieces = with_statistics(text)
    return "".join(f"<i>{escape(part)}</i>" if on else escape(part) for part, on in pieces)


def _body_row(row: Row, width: int, last: bool) -> str:
    rules = f"border-bottom: {_THICK};" if last else ""
    first, *others = row.cells
    if row.section:
        span = f' colspan="{width}" scope="rowgroup"'
        heading = _cell(f"<b>{escape(first)}</b>", "th", "left", rules, span)
        return f'<tr class="section">{heading}</tr>'
    kind = ' class="indent"' if row.indent else ""
    head = _cell(escape(first), "th", "left", rules, f' scope="row"{kind}')
    cells = "".join(_cell(_italic(cell), rules=rules) for cell in others)
    return f"<tr>{head}{cells}</tr>"


def _foot(table: ApaTable) -> str:
    if not table.notes:
        return ""
    text = " ".join(_italic(note) for note in table.notes)
    note = f'<div class="note"><i>Note.</i> {text}</div>'
    span = f' colspan="{len(table.columns)}"'
    return f"<tfoot><tr>{_cell(note, align='left', attributes=span)}</tr></tfoot>"
