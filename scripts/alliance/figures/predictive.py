"""Data simulated from the model beside the observed data, one panel per statistic."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alliance.figures.saving import FigureText, NotDrawn
from alliance.figures.style import (
    BETWEEN,
    FULL_WIDTH_MM,
    MUTED,
    WITHIN,
    new_figure,
    sheet,
    wrap,
)

NUMBERS: tuple[str, ...] = ("statistic", "words", "units", "kind", "low", "high", "count")
_COLUMNS, _BINS = 3, 24
_MM_PER_ROW = 36


def numbers_predictive(predictive: pd.DataFrame, checks: pd.DataFrame) -> pd.DataFrame:
    """Histograms of the replicated statistics, and the observed values.

    Parameters
    ----------
    predictive : ``analysis, source, statistic, value`` of one model.
    checks : its checks, for words and units.

    Returns
    -------
    ``kind`` is ``replicated`` (a bin from ``low`` to ``high`` with its ``count``) or ``observed``
    (``low`` equals ``high``).
    """
    known = checks[checks["check"] == "posterior_predictive"]
    parts = []
    for row in known.itertuples():
        own = predictive[predictive["statistic"] == row.term]
        values = own.loc[own["source"] == "posterior", "value"].to_numpy(float)
        observed = own.loc[own["source"] == "observed", "value"].to_numpy(float)
        ends = np.append(values, observed)
        if np.ptp(ends) == 0:
            continue
        counts, edges = np.histogram(values, _BINS, (ends.min(), ends.max()))
        bins = pd.DataFrame(
            {"kind": "replicated", "low": edges[:-1], "high": edges[1:], "count": counts}
        )
        line = pd.DataFrame({"kind": "observed", "low": observed, "high": observed})
        both = pd.concat([bins, line], ignore_index=True)
        parts.append(both.assign(statistic=row.term, words=row.words, units=row.units))
    if not parts:
        return pd.DataFrame(columns=list(NUMBERS))
    return pd.concat(parts, ignore_index=True)[list(NUMBERS)]


def draw_predictive(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """Small histograms in a grid."""
    if numbers.empty:
        return NotDrawn("no Bayesian model was checked")
    statistics = list(dict.fromkeys(numbers["statistic"]))
    lines = -(-len(statistics) // _COLUMNS)
    with sheet():
        figure = new_figure(FULL_WIDTH_MM, 10 + _MM_PER_ROW * lines)
        grid = figure.subplots(lines, _COLUMNS, squeeze=False).ravel()
        for axes, statistic in zip(grid, statistics, strict=False):
            _panel(axes, numbers[numbers["statistic"] == statistic])
        for axes in grid[len(statistics) :]:
            axes.set_axis_off()
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)
        return figure


def _panel(axes: Axes, own: pd.DataFrame) -> None:
    bins, observed = own[own["kind"] == "replicated"], own[own["kind"] == "observed"]
    axes.bar(
        bins["low"], bins["count"], bins["high"] - bins["low"], align="edge", color=BETWEEN,
        alpha=0.35, lw=0, label="Simulated from the model",
    )  # fmt: skip
    axes.axvline(observed["low"].iloc[0], color=WITHIN, lw=1.6, label="Observed")
    axes.set_title(wrap(own["words"].iloc[0], 36), fontsize=7.5)
    axes.set_xlabel(own["units"].iloc[0], color=MUTED)
    axes.locator_params(axis="x", nbins=5)
    axes.set(yticks=[], ylim=(0, None))
    axes.spines["left"].set_visible(False)


def describe_predictive(checks: pd.DataFrame, label: str) -> FigureText:
    """Caption and alt text: which statistics the model reproduces."""
    own = checks[checks["check"] == "posterior_predictive"]
    missed = own.loc[own["flag"].ne(""), "words"].tolist()
    caption = (
        f"{label}. Statistics of the outcome in data sets simulated from the posterior with the "
        "observed predictors (bars) and in the observed data (line). The outcome is oriented so "
        "that higher is worse."
    )
    found = (
        f"Not reproduced: {'; '.join(missed)}."
        if missed
        else "All observed values lie among the simulated ones."
    )
    return FigureText("Does the model reproduce the data?", caption, f"Histograms. {found}")
