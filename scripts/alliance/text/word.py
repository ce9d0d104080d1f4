"""The text as a Word document, citations written out."""

from __future__ import annotations

import re

from docx.document import Document as WordDocument
from docx.shared import Cm
from docx.text.paragraph import Paragraph

from alliance.tables import new_document, turn_page
from alliance.text.document import TextDocument
from alliance.text.references import with_citations

_ITALIC = re.compile(r"\*([^*]+)\*")


def word_document(document: TextDocument) -> WordDocument:
    """The document in Times New Roman with its list of references."""
    word = new_document(document.title)
    turn_page(word, landscape=False)
    known = {reference.key: reference for reference in document.references}
    word.add_heading(document.title, level=1)
    for part in document.passages:
        word.add_heading(part.heading, level=part.level)
        for text in part.paragraphs:
            _write(word.add_paragraph(), with_citations(text, known))
        for text in part.bullets:
            _write(word.add_paragraph(style="List Bullet"), with_citations(text, known))
    if document.references:
        word.add_heading("References", level=2)
        for reference in document.references:
            _hanging(word.add_paragraph(reference.text))
    return word


def _write(paragraph: Paragraph, text: str) -> None:
    """``text`` with its ``*italic*`` parts as runs of their own."""
    for at, part in enumerate(_ITALIC.split(text)):
        if part:
            paragraph.add_run(part).italic = bool(at % 2)


def _hanging(paragraph: Paragraph) -> None:
    paragraph.paragraph_format.left_indent = Cm(1.0)
    paragraph.paragraph_format.first_line_indent = Cm(-1.0)
