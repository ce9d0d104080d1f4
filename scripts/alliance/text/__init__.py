"""The text of a manuscript, filled from the tables of a run; nothing is estimated here.

One module per stage of the workflow holds the sentences about that stage. ``document`` is the text
before it has a format; ``markdown`` and ``word`` write it.
"""

from alliance.text.checklists import checklists_text
from alliance.text.document import Passage, TextDocument
from alliance.text.inputs import TextInputs
from alliance.text.manuscript import methods_text, results_text, whole_text
from alliance.text.markdown import markdown
from alliance.text.references import bibtex, csl_json
from alliance.text.word import word_document

__all__ = [
    "Passage",
    "TextDocument",
    "TextInputs",
    "bibtex",
    "checklists_text",
    "csl_json",
    "markdown",
    "methods_text",
    "results_text",
    "whole_text",
    "word_document",
]
