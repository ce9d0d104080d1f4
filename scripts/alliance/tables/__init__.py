"""Tables in APA style, rendered from stage tables and the estimates; nothing is estimated here.

    tables = make_tables(TableInputs(study, estimates=..., measures=..., ...))   # name -> ApaTable
    table_html(tables["descriptives"], "Table 2")   # one <table>, for a page or the clipboard
    table_page(tables["descriptives"], TABLE_STYLE) # a page of its own
    table_csv(tables["descriptives"])               # the numbers
    table_latex(tables["descriptives"])             # a table environment
    document_bytes(table_document(tables["descriptives"]))  # a .docx file

``format`` is the one place that knows how a number is written.
"""

from pathlib import Path

from alliance.tables.apa import ApaTable, Column, Row, table_csv, table_html, table_page
from alliance.tables.latex import latex_text, table_latex
from alliance.tables.models import truth_frame
from alliance.tables.registry import TableInputs, make_tables
from alliance.tables.word import (
    add_table,
    document_bytes,
    new_document,
    table_document,
    tables_document,
    turn_page,
)

TABLE_STYLE: str = (Path(__file__).parent / "table.css").read_text(encoding="utf-8")

__all__ = [
    "TABLE_STYLE",
    "ApaTable",
    "Column",
    "Row",
    "TableInputs",
    "add_table",
    "document_bytes",
    "latex_text",
    "make_tables",
    "new_document",
    "table_csv",
    "table_document",
    "table_html",
    "table_latex",
    "table_page",
    "tables_document",
    "truth_frame",
    "turn_page",
]
