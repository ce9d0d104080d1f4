"""What a drawn figure is, and how it is written so that the same figure is the same bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from alliance.figures.style import FULL_WIDTH_MM, MUTED, new_figure, settle, sheet, wrap

FORMATS: tuple[str, ...] = ("png", "svg", "pdf")
PNG_DPI = 200
# Matplotlib writes the time and its version into the files unless told not to.
_NO_TIME: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@dataclass(frozen=True)
class NotDrawn:
    """A figure that was not drawn, and why, in words for the report."""

    reason: str


@dataclass(frozen=True)
class FigureText:
    """The words that go with a figure.

    Attributes
    ----------
    title : what the figure is about. caption : how to read it, level, units and n.
    alt : what it shows, for people who do not see it; states the finding, in about
        ``MOST_ALT`` characters at most (:func:`spoken`).
    """

    title: str
    caption: str
    alt: str


MOST_ALT = 500  # characters; screen readers read an alternative text in one go


def spoken(start: str, parts: Sequence[str]) -> str:
    """Alternative text: ``start``, as many of the parts as are heard out, and how many follow.

    Parameters
    ----------
    parts : whole sentences, the most important first.
    """
    said = start
    for at, part in enumerate(parts):
        left = len(parts) - at
        more = f" {left} more in the numbers of the figure (CSV)."
        if at and len(said) + 1 + len(part) + (len(more) if left > 1 else 0) > MOST_ALT:
            return said + more
        said = f"{said} {part}".strip()
    return said


@dataclass(frozen=True)
class Drawn:
    """One figure of a study: the picture (or why there is none), its numbers and its words."""

    name: str
    figure: Figure | NotDrawn
    numbers: pd.DataFrame
    text: FigureText


def figure_bytes(figure: Figure | NotDrawn, file_format: str) -> bytes:
    """The file of a figure; a figure that was not drawn gives a small card with the reason.

    Parameters
    ----------
    file_format : one of ``FORMATS``.
    """
    if file_format not in FORMATS:
        raise ValueError(f"format {file_format!r} is none of {', '.join(FORMATS)}")
    with sheet():
        picture = reason_card(figure.reason) if isinstance(figure, NotDrawn) else figure
        settle(picture)
        buffer = io.BytesIO()
        picture.savefig(buffer, format=file_format, dpi=PNG_DPI, metadata=_NO_TIME[file_format])
    return buffer.getvalue()


def numbers_csv(numbers: pd.DataFrame) -> str:
    """The numbers behind a figure as text of a CSV file, ten significant digits."""
    return numbers.to_csv(index=False, float_format="%.10g", lineterminator="\n")


def reason_card(reason: str) -> Figure:
    """A picture that only says why there is no figure (workflows expect a file)."""
    figure = new_figure(FULL_WIDTH_MM, 28, layout="none")
    figure.text(0.5, 0.5, wrap(f"Not drawn: {reason}", 105), ha="center", va="center", color=MUTED)
    return figure
