"""One look for every figure: sizes of journals, colours that survive colour blindness and grey."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

MM_PER_INCH = 25.4
SINGLE_COLUMN_MM = 85.0
FULL_WIDTH_MM = 180.0

# Dark blue, vermilion and light blue differ in hue for every common colour vision and in
# lightness when printed in grey; lines and points differ in style and marker besides.
INK = "#1f2933"
MUTED = "#66707a"
FAINT = "#c3cad1"
GRID = "#e6e9ec"
WITHIN = "#c2410c"
BETWEEN = "#0b3c5d"
THERAPIST = "#8fb8de"
BAND_ALPHA = 0.22
LEVEL_COLOUR: dict[str, str] = {
    "within_client": WITHIN,
    "between_client": BETWEEN,
    "between_therapist": THERAPIST,
    "client": BETWEEN,
    "total": MUTED,
}
LEVEL_NAME: dict[str, str] = {
    "within_client": "within clients",
    "between_client": "between clients",
    "between_therapist": "between therapists",
    "client": "clients",
    "total": "total",
}
SERIES: tuple[tuple[str, str, str], ...] = (
    (BETWEEN, "-", "o"),
    (WITHIN, "--", "s"),
    ("#5aa7c9", "-.", "^"),
    (INK, ":", "D"),
    ("#b08900", (0, (5, 1, 1, 1)), "v"),
    ("#7d5a9b", (0, (1, 1)), "P"),
)

STYLE: dict[str, object] = {
    "font.family": "DejaVu Sans",  # comes with Matplotlib, so it is the same everywhere
    "font.size": 7.5,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "axes.formatter.use_locale": False,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a user's label is a dollar sign
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "hatch.linewidth": 0.5,
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "alliance",  # ids in the file are the same in every run
    "pdf.fonttype": 42,
}


@contextmanager
def sheet() -> Iterator[None]:
    """Everything drawn or saved inside has the look of the project, and nothing outside has."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def new_figure(width_mm: float, height_mm: float, layout: str = "constrained") -> Figure:
    """An empty figure of a journal's width; no global figure list is touched."""
    size = (width_mm / MM_PER_INCH, height_mm / MM_PER_INCH)
    figure = Figure(figsize=size, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def settle(figure: Figure) -> None:
    """Work out the layout once and keep it: every later save then places things alike.

    How many ticks there are depends on the room, which the layout measures before it is shared
    out: ticks are therefore kept as they came out, and the layout is worked out again for them.
    """
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                if type(axis.get_major_locator()) is mpl.ticker.AutoLocator:
                    axis.set_major_locator(mpl.ticker.FixedLocator(axis.get_majorticklocs()))
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


def wrap(text: str, width: int) -> str:
    """The text broken into lines of at most ``width`` characters; long words are cut."""
    return "\n".join(textwrap.wrap(str(text), width)) or ""


def grid_lines(axes: Axes, axis: str) -> None:
    """Faint lines to read values from, along one axis."""
    axes.grid(visible=True, axis=axis)
    axes.tick_params(axis=axis, length=0)


def whole_sessions(axes: Axes) -> None:
    """Sessions are counted: ticks at whole numbers only."""
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10]))


def runs(marked: np.ndarray) -> list[np.ndarray]:
    """Positions of each unbroken run of marks."""
    at = np.flatnonzero(marked)
    return np.split(at, np.flatnonzero(np.diff(at) > 1) + 1) if at.size else []


def bounded(value: float, digits: int = 2) -> str:
    """A correlation, kappa or share as APA prints it: ``.84``, ``−.03``, ``1.00``."""
    text = f"{abs(round(value, digits)):.{digits}f}"
    sign = "−" if round(value, digits) < 0 else ""
    return sign + text.removeprefix("0")


def bounded_ticks(axis: Axis) -> None:
    """Ticks of a correlation, kappa or share: no zero before the point, a plain 0 and 1."""
    axis.set_major_formatter(
        mpl.ticker.FuncFormatter(lambda x, _: f"{x:.0f}" if float(x).is_integer() else bounded(x))
    )
