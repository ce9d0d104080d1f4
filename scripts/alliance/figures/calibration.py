"""Simulation-based calibration: where the ranks of true values lie, against uniform ranks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from alliance.figures.style import (
    FULL_WIDTH_MM,
    INK,
    MUTED,
    grid_lines,
    new_figure,
    sheet,
    wrap,
)


def draw_calibration(ranks: pd.DataFrame, bands: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """One panel per model: ECDF of the ranks less the uniform one, a line per quantity.

    Parameters
    ----------
    ranks : ``model, quantity, rank, count``. bands : ``model, rank, low, high``,
        simultaneous 95 % for one quantity. labels : model -> its name.
    """
    with sheet():
        figure = new_figure(FULL_WIDTH_MM, 78)
        grid = figure.subplots(1, len(labels), squeeze=False, sharey=True)[0]
        width = 96 // len(labels)  # characters of a title over its panel
        for axes, (model, label) in zip(grid, labels.items(), strict=True):
            band, own = (part[part["model"] == model] for part in (bands, ranks))
            n_ranks = int(own["rank"].max()) + 1
            at = (band["rank"] + 1) / n_ranks
            axes.fill_between(at, band["low"], band["high"], color=MUTED, alpha=0.2, lw=0)
            for _, counts in own.groupby("quantity", sort=False):
                share = counts["count"].cumsum().to_numpy() / counts["count"].sum()
                uniform = np.arange(1, n_ranks + 1) / n_ranks
                axes.plot(uniform, share - uniform, color=INK, lw=0.7, alpha=0.8)
            axes.axhline(0, color=MUTED, lw=0.6)
            axes.set_title(wrap(label, width), fontsize=7.5)
            grid_lines(axes, "y")
        figure.supxlabel("Rank of the true value among the draws, as a share", fontsize=7.5)
        grid[0].set_ylabel("ECDF minus uniform ECDF")
        return figure
