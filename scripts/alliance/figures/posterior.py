"""Posterior densities of the coefficients people ask about, with the prior behind them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alliance.figures.saving import FigureText, NotDrawn, spoken
from alliance.figures.style import (
    BAND_ALPHA,
    FULL_WIDTH_MM,
    INK,
    LEVEL_COLOUR,
    MUTED,
    new_figure,
    sheet,
    wrap,
)

NUMBERS: tuple[str, ...] = ("analysis", "term", "level", "label", "units", "curve", "x", "density")
_POINTS, _MOST_DRAWS = 201, 4000
TERM_NAME: dict[str, str] = {
    "within": "Within clients",
    "between": "Between clients",
    "between_therapist": "Between therapists",
    "time": "Course over time",
}


def numbers_posterior(
    draws: pd.DataFrame, priors: pd.DataFrame, estimates: pd.DataFrame, analyses: dict[str, str]
) -> pd.DataFrame:
    """Curves "posterior" and "prior" on a common grid, in the units of the estimate.

    Parameters
    ----------
    draws : ``analysis, term, value``: posterior draws. priors : ``analysis, term, mean, sd`` of
        normal priors in the same units; a term without prior row gets no prior curve.
    estimates : estimates table, for levels, units and intervals (its NUTS rows).
    analyses : key of each model to draw -> its label.
    """
    parts = []
    for key, label in analyses.items():
        own = draws[draws["analysis"] == key]
        for term in (t for t in TERM_NAME if t in set(own["term"])):
            values = own.loc[own["term"] == term, "value"].to_numpy(float)
            prior = priors[(priors["analysis"] == key) & (priors["term"] == term)]
            row = _nuts_row(estimates, key, term)
            if row is not None and np.ptp(values) > 0:
                parts.append(_curves(values, prior).assign(
                    analysis=key, term=term, level=row["level"], label=label, units=row["units"]
                ))  # fmt: skip
    if not parts:
        return pd.DataFrame(columns=list(NUMBERS))
    return pd.concat(parts, ignore_index=True)[list(NUMBERS)]


def _nuts_row(estimates: pd.DataFrame, analysis: str, term: str) -> pd.Series | None:
    rows = estimates[
        (estimates["analysis"] == analysis)
        & (estimates["term"] == term)
        & estimates["estimator"].str.startswith("NUTS")
    ]
    return rows.iloc[0] if len(rows) else None


def _curves(values: np.ndarray, prior: pd.DataFrame) -> pd.DataFrame:
    low, high = np.quantile(values, [0.001, 0.999])
    margin = 0.35 * (high - low)
    x = np.linspace(min(low - margin, -margin / 2), max(high + margin, margin / 2), _POINTS)
    step = max(1, values.size // _MOST_DRAWS)
    curves = [
        pd.DataFrame(
            {"curve": "posterior", "x": x, "density": scipy.stats.gaussian_kde(values[::step])(x)}
        )
    ]
    if len(prior):
        density = scipy.stats.norm.pdf(x, prior["mean"].iloc[0], prior["sd"].iloc[0])
        curves.append(pd.DataFrame({"curve": "prior", "x": x, "density": density}))
    return pd.concat(curves, ignore_index=True)


def draw_posterior(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """One row per model, one panel per coefficient."""
    if numbers.empty:
        return NotDrawn("no model was fitted with Bayesian methods")
    with sheet():
        models = list(dict.fromkeys(numbers["analysis"]))
        terms = [t for t in TERM_NAME if t in set(numbers["term"])]
        figure = new_figure(FULL_WIDTH_MM, 14 + 46 * len(models))
        grid = figure.subplots(len(models), len(terms), squeeze=False)
        for line, model in zip(grid, models, strict=True):
            for axes, term in zip(line, terms, strict=True):
                own = numbers[(numbers["analysis"] == model) & (numbers["term"] == term)]
                _panel(axes, own, 100 // len(terms))
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
        return figure


def _panel(axes: Axes, rows: pd.DataFrame, width: int) -> None:
    if rows.empty:
        axes.set_axis_off()
        return
    colour = LEVEL_COLOUR.get(rows["level"].iloc[0], MUTED)
    posterior, prior = (rows[rows["curve"] == name] for name in ("posterior", "prior"))
    axes.fill_between(posterior["x"], posterior["density"], color=colour, alpha=BAND_ALPHA, lw=0)
    axes.plot(posterior["x"], posterior["density"], color=colour, label="Posterior")
    axes.plot(prior["x"], prior["density"], color=MUTED, ls="--", lw=1, label="Prior")
    axes.axvline(0, color=INK, lw=0.6, zorder=0)
    axes.set_title(TERM_NAME[rows["term"].iloc[0]])
    axes.set_xlabel(wrap(rows["units"].iloc[0], width))
    axes.locator_params(axis="x", nbins=5)
    axes.set(yticks=[], ylim=(0, None))
    axes.spines["left"].set_visible(False)


def describe_posterior(numbers: pd.DataFrame, estimates: pd.DataFrame) -> FigureText:
    """Caption and alt text: estimate, interval and probability of direction."""
    title = "What the Bayesian models say"
    models = list(dict.fromkeys(numbers["label"])) if len(numbers) else []
    caption = f"{'; '.join(models)}. " if models else ""
    caption += (
        "Posterior density of each coefficient (solid) and its prior (dashed). The outcome is "
        "oriented so that higher is worse."
    )
    parts = []
    for own in numbers.drop_duplicates(["analysis", "term"]).itertuples():
        row = _nuts_row(estimates, own.analysis, own.term)
        if row is not None and np.isfinite(row["estimate"]):
            parts.append(
                f"{own.label}, {TERM_NAME[own.term].lower()}: {row['estimate']:.2f} "
                f"({row['ci_low']:.2f} to {row['ci_high']:.2f})."
            )
    return FigureText(title, caption, spoken("Density curves.", parts))
