"""The report of a study: one self-contained page, rendered from tables and figures.

    inputs = ReportInputs(study, estimates, figures=(...), flow=..., measures=..., ...)
    page = build_report(inputs)

A figure's words travel beside its picture: ``figure_words(drawn)`` gives the JSON text to write,
``read_figure(words, png)`` reads both back. Sentences live in :mod:`alliance.report.sentences`.
The page also depends on ``report/templates/*.html``, ``report/style.css`` and
``tables/table.css``, which no import shows: rules that build it name them as inputs.
"""

from alliance.report.build import build_report
from alliance.report.inputs import ReportFigure, ReportInputs, figure_words, read_figure

__all__ = ["ReportFigure", "ReportInputs", "build_report", "figure_words", "read_figure"]
