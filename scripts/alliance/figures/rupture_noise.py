"""Observed share of clients with a rupture against the band that noise alone gives, by rule."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alliance.figures.rule_lines import rule_lines
from alliance.figures.saving import FigureText, NotDrawn, spoken
from alliance.figures.style import (
    BETWEEN,
    FULL_WIDTH_MM,
    INK,
    MUTED,
    WITHIN,
    grid_lines,
    new_figure,
    sheet,
    wrap,
)

NOISE_NUMBERS: tuple[str, ...] = (
    "rating", "rule", "label", "panel", "observed", "null_mean", "null_low", "null_high", "p",
    "n_clients",
)  # fmt: skip
_PANELS: dict[str, str] = {
    "prevalence": "Ruptures",
    "surge_prevalence": "Surges: the rule upside down",
}
_CLEAR = 0.05


def numbers_rupture_noise(
    noise: pd.DataFrame, ratings: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Rates of ruptures and of surges, one row per rating, rule and panel.

    Parameters
    ----------
    noise : ``rupture_null.noise.NOISE_COLUMNS``, and ``analysis`` where there are several; rules
        that were not run, or whose shares are hidden, give no row.
    ratings : analysis -> name of the rating it searches.
    """
    known = noise[noise["quantity"].isin(list(_PANELS)) & (noise["n_null"] > 0)]
    known = known.dropna(subset=["observed", "null_mean"])
    ahead = known["lookahead"].astype(bool)
    label = known["label"].astype(str) + np.where(ahead, " (looks ahead)", "")
    rating = known["analysis"].map(dict(ratings or {})) if "analysis" in known else ""
    named = known.assign(label=label, panel=known["quantity"], rating=rating)
    return named[list(NOISE_NUMBERS)].reset_index(drop=True)


def draw_rupture_noise(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """One row per rule; a band for noise alone, a point for what was observed."""
    if numbers.empty:
        return NotDrawn(
            "there are no null data sets, or no share of clients that may be shown (few clients)"
        )
    with sheet():
        placed = rule_lines(numbers)
        panels = [name for name in _PANELS if name in set(numbers["panel"])]
        figure = new_figure(FULL_WIDTH_MM, 30 + 9 * placed.height)
        grid = figure.subplots(1, len(panels), sharey=True, sharex=True, squeeze=False)[0]
        for axes, panel in zip(grid, panels, strict=True):
            _panel(axes, numbers[numbers["panel"] == panel], placed.order)
            axes.set_title(_PANELS[panel])
        names = [wrap(str(label), 38) for label in placed.lines["label"]]
        placed.name(grid[0], names, 50, left=1)
        grid[0].set_xlim(0, 100)
        _legend(figure, grid[0])
        return figure


def _panel(axes: Axes, rows: pd.DataFrame, order: dict[tuple[str, str], float]) -> None:
    for row in rows.itertuples():
        at = order[(row.rating, row.rule)]
        axes.barh(at, row.null_high - row.null_low, left=row.null_low, height=0.5,
                  color="#dde3e8", lw=0, zorder=1)  # fmt: skip
        axes.plot([row.null_mean] * 2, [at - 0.25, at + 0.25], color=MUTED, lw=1.2, zorder=2)
        clear = row.p < _CLEAR
        axes.plot(row.observed, at, "D" if clear else "o", ms=5, zorder=3,
                  color=WITHIN if clear else BETWEEN, mec="white", mew=0.6)  # fmt: skip
    grid_lines(axes, "x")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("Clients who could be evaluated (%)")


def _legend(figure: Figure, axes: Axes) -> None:
    handles = [
        axes.fill_between([], [], color="#dde3e8"),
        axes.plot([], [], color=MUTED, lw=1.2)[0],
        axes.plot([], [], "o", color=BETWEEN, ms=5)[0],
        axes.plot([], [], "D", color=WITHIN, ms=5)[0],
    ]
    names = ["Noise alone, 95% band", "Noise alone, mean", "Observed", "Observed, p (null) < .05"]
    figure.legend(handles, names, loc="outside upper left", ncols=4, labelcolor=INK)


def describe_rupture_noise(numbers: pd.DataFrame) -> FigureText:
    """Caption and alt text: observed share and noise under every rule."""
    title = "Ruptures and what noise alone gives"
    caption = (
        "Points: observed share of clients. Bands: what the same rule finds in null data sets "
        "drawn from the study's own dynamic model, in which no session is a rupture. A point "
        "inside its band is no evidence of ruptures. Right: the same rules turned upside down; "
        "noise gives surges as it gives drops. Numbers that would tell of few clients are not "
        "drawn."
    )
    parts = [
        f"{row.rating + ', ' if row.rating else ''}{row.label}: {row.observed:.0f}% observed, "
        f"{row.null_mean:.0f}% by noise alone "
        f"({row.null_low:.0f} to {row.null_high:.0f}%)."
        for row in numbers[numbers["panel"] == "prevalence"].itertuples()
    ]
    return FigureText(title, caption, spoken("Points and bands per rule.", parts))
