"""Reliability of every scale within and between clients."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alliance.figures.saving import FigureText, NotDrawn, spoken
from alliance.figures.style import (
    FULL_WIDTH_MM,
    MUTED,
    SERIES,
    bounded_ticks,
    grid_lines,
    new_figure,
    sheet,
    wrap,
)

NUMBERS: tuple[str, ...] = (
    "row", "level", "coefficient", "estimate", "ci_low", "ci_high", "n_clients", "status", "reason",
)  # fmt: skip
COEFFICIENT_NAME: dict[str, str] = {
    "alpha": "alpha",
    "omega": "omega",
    "Rcn": "Rcn (change within clients)",
    "Rcn_detrended": "Rcn, detrended",
    "RkRn": "RkRn (mean over sessions)",
}
_LEVELS = {
    "within_client": "Within clients",
    "between_client": "Between clients",
    "total": "Single ratings",
}


def numbers_reliability(reliability: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """One row per scale, level and coefficient.

    Parameters
    ----------
    reliability : ``measure, scale, level, coefficient, estimate, ci_low, ci_high, n_clients,
        status, reason``.
    labels : measure -> its name for readers.
    """
    if reliability.empty:
        return pd.DataFrame(columns=list(NUMBERS))
    name = reliability["measure"].map(labels).fillna(reliability["measure"])
    scale = np.where(reliability["scale"] == "total", "", ": " + reliability["scale"].astype(str))
    return reliability.assign(row=name + scale)[list(NUMBERS)].reset_index(drop=True)


def draw_reliability(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """Scales from top to bottom, one panel per level."""
    if numbers.empty or numbers["estimate"].isna().all():
        return NotDrawn("no scale has items, so no reliability can be computed")
    with sheet():
        rows = list(dict.fromkeys(numbers["row"]))
        levels = [level for level in _LEVELS if level in set(numbers["level"])]
        names = list(dict.fromkeys(numbers["coefficient"]))
        figure = new_figure(FULL_WIDTH_MM, 26 + 9 * len(rows))
        panels = figure.subplots(1, len(levels), sharey=True, squeeze=False)[0]
        for axes, level in zip(panels, levels, strict=True):
            _panel(axes, numbers[numbers["level"] == level], rows, names)
            axes.set_title(_LEVELS[level])
        panels[0].set_yticks(range(len(rows)), [wrap(row, 36) for row in rows])
        panels[0].set_ylim(len(rows) - 0.4, -0.6)  # room for the outer marks
        _legend(figure, panels[0], names)
        return figure


def _panel(axes: Axes, numbers: pd.DataFrame, rows: list[str], names: list[str]) -> None:
    here = [name for name in names if name in set(numbers["coefficient"])]
    for value in numbers.itertuples():
        if not np.isfinite(value.estimate):
            continue
        index = names.index(value.coefficient)
        colour, _, marker = SERIES[index % len(SERIES)]
        at = rows.index(value.row) + 0.22 * (here.index(value.coefficient) - (len(here) - 1) / 2)
        if np.isfinite(value.ci_low):
            axes.plot([value.ci_low, value.ci_high], [at, at], color=colour, lw=1.1)
        axes.plot(value.estimate, at, marker, color=colour, ms=4)
    axes.axvline(0.7, color=MUTED, lw=0.6, ls=":")
    axes.set_xlim(min(0.0, float(numbers["estimate"].min(skipna=True) or 0)), 1)
    bounded_ticks(axes.xaxis)
    axes.set_xlabel("Reliability")
    for position in range(1, len(rows), 2):
        axes.axhspan(position - 0.5, position + 0.5, color="#f4f6f8", lw=0, zorder=0)
    grid_lines(axes, "x")
    axes.tick_params(axis="y", length=0)


def _legend(figure: Figure, axes: Axes, names: list[str]) -> None:
    handles = [
        axes.plot([], [], SERIES[i % len(SERIES)][2], color=SERIES[i % len(SERIES)][0])[0]
        for i in range(len(names))
    ]
    words = [COEFFICIENT_NAME.get(name, name) for name in names]
    figure.legend(handles, words, loc="outside upper left", ncols=4)


def describe_reliability(numbers: pd.DataFrame) -> FigureText:
    """Caption and alt text: the range of each coefficient; figures/reliability.csv has all."""
    title = "Reliability within and between clients"
    caption = (
        "Reliability coefficients with 95% intervals. Within clients: how dependably a change from "
        "session to session is measured. Between clients: how dependably clients are told apart. "
        "The dotted line at .70 is a common rule of thumb, not a verdict."
    )
    shown = numbers[numbers["estimate"].notna()]
    parts = [
        f"{_LEVELS.get(str(level), level)}: {_ranges(own)}."
        for level, own in shown.groupby("level", sort=False)
    ]
    n = len(set(shown["row"]))
    scales = f"{n} scale{'s' if n > 1 else ''}"
    return FigureText(title, caption, spoken(f"Dot plot of {scales}.", parts))


def _ranges(own: pd.DataFrame) -> str:
    """``alpha .62 to .85, omega .62 (Alliance: bond) to .85``: lowest and highest of the scales."""
    said = []
    for name, rows in own.groupby("coefficient", sort=False):
        low, high = (f"{value:.2f}" for value in rows["estimate"].agg(["min", "max"]))
        least = rows.loc[rows["estimate"].idxmin(), "row"]
        many = f" ({least}) to {high}" if low != high else ""
        said.append(f"{COEFFICIENT_NAME.get(str(name), name)} {low}{many}")
    return ", ".join(said)
