"""Figures: rendered from tables and the estimates; nothing is estimated here.

Every figure ``<name>`` has three functions in the module of its family:

- ``numbers_<name>(tables...) -> DataFrame``: exactly what is drawn, written as CSV beside it;
- ``draw_<name>(numbers, words...) -> Figure | NotDrawn``: the picture of those numbers;
- ``describe_<name>(numbers, ...) -> FigureText``: title, caption and alt text.

The workflow and the report use :data:`registry.FIGURES` and :func:`registry.make_figure`:

    drawn = make_figure("forest", FigureInputs(study, estimates=..., published=...))
    figure_bytes(drawn.figure, "png")     # also "svg", "pdf"; same figure, same bytes
    numbers_csv(drawn.numbers)
"""

from alliance.figures.registry import (
    FIGURES,
    FigureInputs,
    FigureSpec,
    headline_model,
    make_figure,
)
from alliance.figures.saving import (
    FORMATS,
    Drawn,
    FigureText,
    NotDrawn,
    figure_bytes,
    numbers_csv,
)

__all__ = [
    "FIGURES",
    "FORMATS",
    "Drawn",
    "FigureInputs",
    "FigureSpec",
    "FigureText",
    "NotDrawn",
    "figure_bytes",
    "headline_model",
    "make_figure",
    "numbers_csv",
]
