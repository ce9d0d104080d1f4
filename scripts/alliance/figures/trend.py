"""The same effect under different ways of taking the course over time out."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alliance.figures.saving import FigureText, NotDrawn, spoken
from alliance.figures.style import (
    FULL_WIDTH_MM,
    INK,
    LEVEL_COLOUR,
    LEVEL_NAME,
    MUTED,
    grid_lines,
    new_figure,
    sheet,
    wrap,
)

NUMBERS: tuple[str, ...] = (
    "model", "level", "trend", "estimate", "ci_low", "ci_high", "units", "n_obs", "n_clients",
    "status", "reason",
)  # fmt: skip
_TERMS = {"within": "within_client", "between": "between_client"}
_NAME_WIDTH = 34
_MM_PER_LINE = 7.5


def numbers_trend_sensitivity(estimates: pd.DataFrame, models: dict[str, str]) -> pd.DataFrame:
    """Within and between effects of every fork of every model that has forks.

    Parameters
    ----------
    models : key of each model -> its label.
    """
    parts = []
    for key, label in models.items():
        own = estimates[estimates["analysis"].str.startswith(f"{key}.trend_")]
        own = own[own["term"].isin(_TERMS)]
        parts.append(own.assign(model=label, level=own["term"].map(_TERMS))[list(NUMBERS)])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(NUMBERS))


def draw_trend_sensitivity(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """One panel per level, one line per fork; the first model that was looked at."""
    shown = _first_model(numbers)
    drawable = shown[np.isfinite(shown["estimate"])]
    if drawable.empty:
        return NotDrawn("no model was refitted under other ways of taking the course out")
    forks = list(dict.fromkeys(shown["trend"]))
    with sheet():
        figure = new_figure(FULL_WIDTH_MM, _MM_PER_LINE * len(forks) + 26)
        axes = figure.subplots(1, 2, sharex=True, sharey=True)
        for panel, level in zip(axes, ("within_client", "between_client"), strict=True):
            _panel(panel, shown[shown["level"] == level], level, forks)
        words = [wrap(fork[:1].upper() + fork[1:], _NAME_WIDTH) for fork in forks]
        axes[0].set_yticks(range(len(forks)), words)
        axes[0].set_ylim(len(forks) - 0.4, -0.6)
        return figure


def _first_model(numbers: pd.DataFrame) -> pd.DataFrame:
    return numbers[numbers["model"] == numbers["model"].iloc[0]] if len(numbers) else numbers


def _panel(axes: Axes, own: pd.DataFrame, level: str, forks: list[str]) -> None:
    colour = LEVEL_COLOUR[level]
    for row in own.itertuples():
        position = forks.index(row.trend)
        if not np.isfinite(row.estimate):
            axes.text(
                0.02, position, "not estimated", va="center", color=MUTED, style="italic",
                transform=axes.get_yaxis_transform(),
            )  # fmt: skip
            continue
        axes.plot([row.ci_low, row.ci_high], [position] * 2, color=colour, lw=1.3)
        marker = "o" if level == "within_client" else "s"
        face = colour if row.status == "ok" else "white"
        axes.plot(row.estimate, position, marker, color=colour, mfc=face, ms=4.5)
    axes.axvline(0, color=INK, lw=0.7, zorder=0)
    axes.set_title(LEVEL_NAME[level].capitalize())
    units = own["units"].iloc[0] if len(own) else ""
    axes.set_xlabel(wrap(units, 48))
    axes.margins(x=0.05)
    grid_lines(axes, "x")
    axes.tick_params(axis="y", length=0)


def describe_trend_sensitivity(numbers: pd.DataFrame) -> FigureText:
    """Caption and alt text: the effect under every fork."""
    shown = _first_model(numbers)
    model = str(shown["model"].iloc[0]) if len(shown) else ""
    caption = (
        f"{model}: the same model under four ways of taking the course over time out. Points: "
        "estimates; whiskers: 95% intervals; left of 0: a higher predictor goes with a better "
        "outcome (outcome oriented so that higher is worse)."
    )
    parts = [
        f"{LEVEL_NAME[r.level].capitalize()}, course taken out: {r.trend}: {r.estimate:.2f} "
        f"({r.ci_low:.2f} to {r.ci_high:.2f})."
        for r in shown[np.isfinite(shown["estimate"])].itertuples()
    ]
    return FigureText("Sensitivity to trend", caption, spoken("", parts))
