"""Tables as Word documents: real tables in APA style, the same bytes for the same content."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby

from docx import Document
from docx.document import Document as WordDocument
from docx.enum.section import WD_ORIENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Pt
from docx.table import Table, _Cell
from docx.text.paragraph import Paragraph

from alliance.tables.apa import ApaTable, Column, Row, with_statistics

FONT = "Times New Roman"
_THICK, _THIN = "12", "6"  # eighths of a point
_CHARACTER, _MARGIN = Cm(0.19), Cm(2.2)  # about one digit at the size of the tables
_UPRIGHT = Cm(21.0) - 2 * _MARGIN
_ON_ITS_SIDE = Cm(29.7) - 2 * _MARGIN
_SHORT = 6  # characters of a cell that is never broken
_LONGEST = 36  # characters, before a cell is broken into lines
_LONG_AGO = datetime(2000, 1, 1)
_SIZE = Pt(9.5)
_INDENT = Pt(9.5)  # of a row under a heading, and of the further lines of a long name


def tables_document(tables: Iterable[ApaTable], title: str) -> WordDocument:
    """All tables, numbered, each on a page of its own."""
    document = new_document(title)
    for number, table in enumerate(tables, 1):
        if number > 1:
            document.add_section()
        turn_page(document, landscape=is_wide(table))
        add_table(document, table, f"Table {number}")
    return document


def table_document(table: ApaTable) -> WordDocument:
    """One table alone."""
    document = new_document(table.title)
    turn_page(document, landscape=is_wide(table))
    add_table(document, table)
    return document


def new_document(title: str) -> WordDocument:
    """An empty document on A4 in Times New Roman, 11 points, without an author or a date."""
    document = Document()
    properties = document.core_properties
    properties.title, properties.author, properties.comments = title, "", ""
    properties.created = properties.modified = _LONG_AGO
    for name in ("Normal", "Title", "Heading 1", "Heading 2", "Heading 3", "List Bullet"):
        _set_font(document.styles[name])
    document.styles["Normal"].font.size = Pt(11)
    return document


def document_bytes(document: WordDocument) -> bytes:
    """The .docx file; the times inside are fixed, so that the same content gives the same bytes."""
    first, second = io.BytesIO(), io.BytesIO()
    document.save(first)
    with zipfile.ZipFile(first) as parts, zipfile.ZipFile(second, "w") as fixed:
        for name in sorted(parts.namelist()):
            entry = zipfile.ZipInfo(name, _LONG_AGO.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            fixed.writestr(entry, parts.read(name))
    return second.getvalue()


def turn_page(document: WordDocument, landscape: bool) -> None:
    """Set the last section to A4, upright or on its side."""
    page = document.sections[-1]
    short, long = Cm(21.0), Cm(29.7)
    page.orientation = WD_ORIENT.LANDSCAPE if landscape else WD_ORIENT.PORTRAIT
    page.page_width, page.page_height = (long, short) if landscape else (short, long)
    page.left_margin = page.right_margin = page.top_margin = page.bottom_margin = _MARGIN


def is_wide(table: ApaTable) -> bool:
    """Whether the table needs a page turned on its side."""
    return sum(_wanted(table)) > _UPRIGHT


def add_table(document: WordDocument, table: ApaTable, label: str = "") -> None:
    """Append number, title, table and note to ``document``."""
    if label:
        _keep_with_next(_paragraph(document, label, bold=True))
    _keep_with_next(_paragraph(document, table.title, italic=True))
    spanned = any(column.span for column in table.columns)
    grid = document.add_table(1 + spanned + len(table.rows), len(table.columns))
    _set_widths(grid, table)
    if spanned:
        _write_spans(grid, table.columns)
    _write_headings(grid, spanned, table.columns)
    for at, row in enumerate(table.rows, 1 + spanned):
        _write_row(grid, at, row)
    for cell in grid.rows[-1].cells:
        _rule(cell, "bottom", _THICK)
    if table.notes:
        note = document.add_paragraph()
        note.add_run("Note. ").italic = True
        for part, is_symbol in with_statistics(" ".join(table.notes)):
            note.add_run(part).italic = is_symbol
        _small(note, 9)


def _set_font(style: object) -> None:
    style.font.name = FONT
    style.font.color.rgb = None
    fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
    for kind in ("w:ascii", "w:hAnsi", "w:eastAsia", "w:cs"):
        fonts.set(qn(kind), FONT)
    for kind in ("w:asciiTheme", "w:hAnsiTheme", "w:eastAsiaTheme", "w:cstheme"):
        fonts.attrib.pop(qn(kind), None)


def _paragraph(
    document: WordDocument, text: str, bold: bool = False, italic: bool = False
) -> Paragraph:
    paragraph = document.add_paragraph()
    run = paragraph.add_run(text)
    run.bold, run.italic = bold, italic
    return paragraph


def _keep_with_next(paragraph: Paragraph) -> None:
    paragraph.paragraph_format.keep_with_next = True
    paragraph.paragraph_format.space_after = Pt(2)


def _small(paragraph: Paragraph, points: int) -> None:
    for run in paragraph.runs:
        run.font.size = Pt(points)
    paragraph.paragraph_format.space_before = Pt(3)


def _wanted(table: ApaTable) -> list[int]:
    """The width that each column would like to have."""
    cells = [row.cells for row in table.rows if not row.section]
    columns = zip(*cells, [column.heading for column in table.columns], strict=True)
    return [(min(max(map(len, column)), _LONGEST) + 3) * _CHARACTER for column in columns]


def _set_widths(grid: Table, table: ApaTable) -> None:
    """Wide enough for the longest entry; together not wider than the page."""
    grid.autofit = False
    for column, width in zip(grid.columns, _widths(table), strict=True):
        column.width = width
        for cell in column.cells:
            cell.width = width


def _widths(table: ApaTable) -> list[int]:
    """What each column wants; where the page is too narrow, text gives way before numbers do."""
    wanted, least = _wanted(table), _least(table)
    page = _ON_ITS_SIDE if is_wide(table) else _UPRIGHT
    if sum(wanted) <= page:
        return wanted
    if sum(least) >= page:
        return [int(page / sum(wanted) * width) for width in wanted]
    left, room = page - sum(least), sum(wanted) - sum(least)
    return [
        small + int(left / room * (wish - small)) for wish, small in zip(wanted, least, strict=True)
    ]


def _least(table: ApaTable) -> list[int]:
    """The width in which nothing of a column is broken inside a word or a short number."""
    cells = [row.cells for row in table.rows if not row.section]
    columns = zip(*cells, [column.heading for column in table.columns], strict=True)
    return [(max(map(_unbroken, column)) + 3) * _CHARACTER for column in columns]


def _unbroken(text: str) -> int:
    """Length of the longest piece that stays on one line; ``< .001`` is one."""
    return len(text) if len(text) <= _SHORT else max(map(len, text.split()))


def _write_spans(grid: Table, columns: Sequence[Column]) -> None:
    at = 0
    cells = grid.rows[0].cells
    for span, group in groupby(columns, key=lambda column: column.span):
        last = at + len(list(group)) - 1
        cell = cells[at].merge(cells[last])
        _fill(cell, span, WD_ALIGN_PARAGRAPH.CENTER, statistics=True)
        _rule(cell, "top", _THICK)
        if span:
            _rule(cell, "bottom", _THIN)
        at = last + 1
    _repeat_on_every_page(grid, 0)


def _write_headings(grid: Table, at: int, columns: Sequence[Column]) -> None:
    for place, (cell, column) in enumerate(zip(grid.rows[at].cells, columns, strict=True)):
        _fill(cell, column.heading, _alignment(place), statistics=True)
        _rule(cell, "bottom", _THIN)
        if at == 0:
            _rule(cell, "top", _THICK)
    _repeat_on_every_page(grid, at)


def _write_row(grid: Table, at: int, row: Row) -> None:
    cells = grid.rows[at].cells
    if row.section:
        _fill(cells[0].merge(cells[-1]), row.cells[0], WD_ALIGN_PARAGRAPH.LEFT, bold=True)
        return
    for place, (cell, text) in enumerate(zip(cells, row.cells, strict=True)):
        _fill(cell, text, _alignment(place), statistics=place > 0)
    name = cells[0].paragraphs[0].paragraph_format
    name.left_indent = 2 * _INDENT if row.indent else _INDENT
    name.first_line_indent = -_INDENT


def _alignment(place: int) -> WD_ALIGN_PARAGRAPH:
    return WD_ALIGN_PARAGRAPH.RIGHT if place else WD_ALIGN_PARAGRAPH.LEFT


def _fill(
    cell: _Cell, text: str, align: WD_ALIGN_PARAGRAPH, bold: bool = False, statistics: bool = False
) -> None:
    """Write into a cell; with ``statistics``, statistical symbols are set in italics."""
    paragraph = cell.paragraphs[0]
    paragraph.alignment = align
    paragraph.paragraph_format.space_after = Pt(1)
    _small_mark(paragraph)
    for part, is_symbol in with_statistics(text) if statistics else [(text, False)]:
        run = paragraph.add_run(part)
        run.bold, run.italic, run.font.size = bold, is_symbol, _SIZE


def _small_mark(paragraph: Paragraph) -> None:
    """The paragraph's own mark in the size of the text, or empty cells make their row higher."""
    mark, size = OxmlElement("w:rPr"), OxmlElement("w:sz")
    size.set(qn("w:val"), str(int(2 * _SIZE.pt)))  # half points
    mark.append(size)
    paragraph._p.get_or_add_pPr().append(mark)


def _rule(cell: _Cell, edge: str, size: str) -> None:
    """A line above (``top``) or below (``bottom``) a cell."""
    properties = cell._tc.get_or_add_tcPr()
    borders = properties.find(qn("w:tcBorders"))
    if borders is None:
        borders = OxmlElement("w:tcBorders")
        properties.append(borders)
    line = OxmlElement(f"w:{edge}")
    for name, value in (("val", "single"), ("sz", size), ("space", "0"), ("color", "000000")):
        line.set(qn(f"w:{name}"), value)
    borders.append(line)


def _repeat_on_every_page(grid: Table, at: int) -> None:
    mark = OxmlElement("w:tblHeader")
    mark.set(qn("w:val"), "true")
    grid.rows[at]._tr.get_or_add_trPr().append(mark)
