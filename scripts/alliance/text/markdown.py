"""The text as Markdown, with citations that pandoc understands."""

from __future__ import annotations

from alliance.text.document import TextDocument


def markdown(document: TextDocument) -> str:
    """The document; with pandoc: ``--citeproc --bibliography references.bib``."""
    lines = [f"# {document.title}", ""]
    for part in document.passages:
        lines += [f"{'#' * part.level} {part.heading}", ""]
        for text in part.paragraphs:
            lines += [text, ""]
        if part.bullets:
            lines += [*(f"- {text}" for text in part.bullets), ""]
    if document.references:
        lines += ["## References", "", "::: {#refs}", ":::", ""]
    return "\n".join(lines)
