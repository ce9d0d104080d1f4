"""How the variance of each measure divides over sessions, clients and therapists."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alliance.figures.saving import FigureText, NotDrawn
from alliance.figures.style import (
    FULL_WIDTH_MM,
    INK,
    LEVEL_COLOUR,
    LEVEL_NAME,
    new_figure,
    sheet,
    wrap,
)

NUMBERS: tuple[str, ...] = ("bar", "source", "level", "variance", "share", "n_clients")
_LEVELS = ("within_client", "between_client", "between_therapist")
_HATCH = {"within_client": "", "between_client": "", "between_therapist": "////"}


def numbers_variance_decomposition(
    measures: pd.DataFrame, estimates: pd.DataFrame, models: dict[str, str]
) -> pd.DataFrame:
    """Variance and share per level: each measure as it is, and three-level models' remainder.

    Parameters
    ----------
    measures : with ``scale, label, sd_within, sd_between, n_clients``; only totals are drawn.
    estimates : estimates table; models with an estimated ``sd_therapist`` give a bar.
    models : key of each model -> its label.
    """
    rows: list[tuple] = []
    for m in measures[measures["scale"] == "total"].itertuples():
        if pd.notna(m.sd_within) and pd.notna(m.sd_between):
            parts = {"within_client": m.sd_within**2, "between_client": m.sd_between**2}
            rows += _bar(str(m.label), "measure", parts, m.n_clients)
    for key, label in models.items():
        rows += _model_bar(estimates[estimates["analysis"] == key], label)
    return pd.DataFrame(rows, columns=list(NUMBERS))


def _model_bar(rows: pd.DataFrame, label: str) -> list[tuple]:
    terms = {
        "sd_residual": "within_client",
        "sd_intercept": "between_client",
        "sd_therapist": "between_therapist",
    }
    fitted = rows[rows["term"].isin(terms) & (rows["status"] == "ok")]
    fitted = fitted[fitted["estimator"].str.startswith(("REML", "ML"))]
    if set(fitted["term"]) != set(terms):
        return []
    parts = {terms[r.term]: r.estimate**2 for r in fitted.itertuples()}
    return _bar(f"Unexplained by: {label}", "model", parts, fitted["n_clients"].iloc[0])


def _bar(name: str, source: str, parts: dict[str, float], n_clients: float) -> list[tuple]:
    total = sum(parts.values())
    if total <= 0:
        return []
    return [
        (name, source, level, parts[level], parts[level] / total, n_clients)
        for level in _LEVELS
        if level in parts
    ]


def draw_variance_decomposition(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """One bar per measure or model, from 0 to 100 per cent."""
    if numbers.empty:
        return NotDrawn("no measure has variance both within and between clients")
    with sheet():
        bars = list(dict.fromkeys(numbers["bar"]))
        figure = new_figure(FULL_WIDTH_MM, 26 + 10 * len(bars))
        axes = figure.add_subplot()
        for position, bar in enumerate(bars):
            _stack(axes, position, numbers[numbers["bar"] == bar])
        axes.set_yticks(range(len(bars)), [wrap(bar, 38) for bar in bars])
        axes.set(xlim=(0, 100), ylim=(len(bars) - 0.5, -0.5), xlabel="Share of variance (%)")
        axes.tick_params(axis="y", length=0)
        _legend(figure, axes, set(numbers["level"]))
        return figure


def _stack(axes: Axes, position: int, rows: pd.DataFrame) -> None:
    left = 0.0
    for row in rows.itertuples():
        width = 100 * row.share
        axes.barh(
            position, width, left=left, height=0.62, color=LEVEL_COLOUR[row.level],
            hatch=_HATCH[row.level], edgecolor="white", lw=0.6,
        )  # fmt: skip
        if width >= 7:
            box = {"fc": LEVEL_COLOUR[row.level], "ec": "none", "pad": 1.2}
            colour = INK if row.level == "between_therapist" else "white"
            axes.text(
                left + width / 2, position, f"{width:.0f}%", ha="center", va="center",
                color=colour, bbox=box,
            )  # fmt: skip
        left += width


def _legend(figure: Figure, axes: Axes, present: set[str]) -> None:
    handles = [
        axes.barh(-5, 0, color=LEVEL_COLOUR[level], hatch=_HATCH[level], ec="white")
        for level in _LEVELS
        if level in present
    ]
    names = [LEVEL_NAME[level].capitalize() for level in _LEVELS if level in present]
    figure.legend(handles, names, loc="outside upper left", ncols=3)


def describe_variance_decomposition(numbers: pd.DataFrame) -> FigureText:
    """Caption and alt text: the between share of every bar."""
    title = "Where the variance lies"
    caption = (
        "Share of the variance of each total score that lies within clients (from session to "
        "session, measurement error included) and between clients (intraclass correlation)."
    )
    if (numbers["source"] == "model").any():
        caption += (
            " Bars named 'Unexplained by' divide what a three-level model leaves unexplained, "
            "between therapists included (REML)."
        )
    parts = [
        f"{bar}: "
        + ", ".join(f"{100 * r.share:.0f}% {LEVEL_NAME[r.level]}" for r in rows.itertuples())
        + "."
        for bar, rows in numbers.groupby("bar", sort=False)
    ]
    return FigureText(title, caption, "Stacked bars. " + " ".join(parts))
