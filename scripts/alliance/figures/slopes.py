"""Within-client against between-client slopes of one model, drawn from its estimates."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alliance.figures.saving import FigureText, NotDrawn
from alliance.figures.style import (
    BAND_ALPHA,
    FAINT,
    FULL_WIDTH_MM,
    LEVEL_COLOUR,
    LEVEL_NAME,
    MUTED,
    grid_lines,
    new_figure,
    sheet,
    wrap,
)
from alliance.figures.thinning import chosen_clients, numbered, thin_clients

NUMBERS: tuple[str, ...] = ("level", "element", "series", "x", "y", "y_low", "y_high")
_TERM = {
    "within": "within_client",
    "between": "between_client",
    "between_therapist": "between_therapist",
}


def numbers_within_between_slopes(
    estimates: pd.DataFrame, frame: pd.DataFrame | None, analysis: str, seed: int
) -> pd.DataFrame:
    """Lines of the model (``element`` "slope") and, for illustration, raw client lines and means.

    Parameters
    ----------
    estimates : estimates table; the REML rows of ``analysis`` are drawn (else its other rows).
    frame : model frame with ``client, outcome`` and the parts of the predictor; without it the
        lines run over plus and minus one unit and no client is drawn.
    """
    rows = _fixed_rows(estimates, analysis)
    parts = []
    for row in rows.itertuples():
        reach = _reach(frame, row.term)
        parts.append(_slope(row, reach))
        if frame is not None and row.term == "within":
            parts.append(_client_lines(frame, seed))
        if frame is not None and row.term == "between":
            parts.append(_client_means(frame, seed))
    if not parts:
        return pd.DataFrame(columns=list(NUMBERS))
    return pd.concat(parts, ignore_index=True)[list(NUMBERS)]


def _fixed_rows(estimates: pd.DataFrame, analysis: str) -> pd.DataFrame:
    """One row per level: the frequentist one where there is one."""
    rows = estimates[
        (estimates["analysis"] == analysis)
        & estimates["term"].isin(_TERM)
        & (estimates["status"] == "ok")
    ]
    rank = rows["estimator"].map(lambda name: 0 if name.startswith(("REML", "ML")) else 1)
    order = rows["term"].map(list(_TERM).index)
    return (
        rows.assign(_rank=rank, _order=order)
        .sort_values(["_order", "_rank"])
        .drop_duplicates("term")
    )


def _reach(frame: pd.DataFrame | None, term: str) -> tuple[float, float]:
    """The middle 95 per cent of what was observed: no line runs beyond the data."""
    if frame is None or term not in frame.columns:
        return -1.0, 1.0
    values = frame[term].astype(float)
    if term != "within":
        values = values[~frame["client"].duplicated()]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _slope(row: object, reach: tuple[float, float]) -> pd.DataFrame:
    x = np.linspace(*reach, 41)
    low, high = np.sort(np.vstack([row.ci_low * x, row.ci_high * x]), axis=0)
    return pd.DataFrame(
        {
            "level": _TERM[row.term], "element": "slope", "series": row.estimator,
            "x": x, "y": row.estimate * x, "y_low": low, "y_high": high,
        }
    )  # fmt: skip


def _client_lines(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A straight line through each drawn client's own points, as deviations from the own mean."""
    counts = frame.groupby("client")["within"].agg(["size", "std"])
    usable = counts.index[(counts["size"] >= 4) & (counts["std"] > 0)].to_series()
    lines = []
    for client, name in numbered(thin_clients(usable, seed)).items():
        own = frame[frame["client"].astype(str) == client]
        x, y = own["within"].to_numpy(float), own["outcome"].to_numpy(float)
        ends = np.array([x.min(), x.max()])
        lines.append(_points("within_client", "client", name, ends, _straight(x, y) * ends))
    return pd.concat(lines) if lines else pd.DataFrame(columns=list(NUMBERS))


def _straight(x: np.ndarray, y: np.ndarray) -> float:
    centred = x - x.mean()
    return float(centred @ (y - y.mean()) / (centred @ centred))


def _client_means(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    means = frame.groupby("client", sort=True)[["between", "outcome"]].mean()
    x, y = means["between"].astype(float), means["outcome"].astype(float) - means["outcome"].mean()
    x.index = y.index = means.index.astype(str)
    drawn = numbered(thin_clients(means.index.to_series(), seed))
    return pd.concat(
        [_points("between_client", "client", n, [x[c]], [y[c]]) for c, n in drawn.items()],
        ignore_index=True,
    )


def _points(level: str, element: str, series: str, x: object, y: object) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "level": level, "element": element, "series": series, "x": x, "y": y,
            "y_low": np.nan, "y_high": np.nan,
        }
    )  # fmt: skip


def draw_within_between_slopes(
    numbers: pd.DataFrame, predictor: str, outcome: str
) -> Figure | NotDrawn:
    """One panel per level on a common vertical axis.

    Parameters
    ----------
    predictor, outcome : names of the measures for the axes.
    """
    if numbers.empty:
        return NotDrawn("the model has no estimated slope to draw")
    with sheet():
        levels = list(dict.fromkeys(numbers["level"]))
        figure = new_figure(FULL_WIDTH_MM if len(levels) > 1 else 110, 78)
        panels = figure.subplots(1, len(levels), sharey=True, squeeze=False)[0]
        for axes, level in zip(panels, levels, strict=True):
            _panel(axes, numbers[numbers["level"] == level], level)
            origin = "client's own mean" if level == "within_client" else "average"
            axes.set_xlabel(wrap(f"{predictor}: points from the {origin}", 34 + 16 // len(levels)))
        panels[0].set_ylabel(wrap(f"{outcome}: points from the average (higher = worse)", 44))
        return figure


def _panel(axes: Axes, rows: pd.DataFrame, level: str) -> None:
    colour = LEVEL_COLOUR[level]
    for _, client in rows[rows["element"] == "client"].groupby("series"):
        if len(client) > 1:
            axes.plot(client["x"], client["y"], color=FAINT, lw=0.7, zorder=1)
        else:
            axes.plot(client["x"], client["y"], "o", color=FAINT, mec=MUTED, mew=0.4, zorder=1)
    slope = rows[rows["element"] == "slope"]
    axes.fill_between(
        slope["x"], slope["y_low"], slope["y_high"], color=colour, alpha=BAND_ALPHA + 0.1, lw=0,
        zorder=2,
    )  # fmt: skip
    axes.plot(
        slope["x"], slope["y"], color=colour, lw=2, zorder=3,
        ls="--" if level == "within_client" else "-",
    )  # fmt: skip
    axes.axhline(0, color=MUTED, lw=0.5, zorder=0)
    axes.set_title(LEVEL_NAME[level].capitalize())
    axes.locator_params(axis="x", nbins=5)
    grid_lines(axes, "y")


def describe_within_between_slopes(
    numbers: pd.DataFrame, estimates: pd.DataFrame, analysis: str
) -> FigureText:
    """Caption and alt text: the slope of every level with its interval."""
    title = "The same question at each level"
    rows = _fixed_rows(estimates, analysis)
    caption = (
        "Thick lines: expected difference in the outcome (oriented so that higher is worse) along "
        "the predictor, with 95% band, over the middle 95% of what was observed."
    )
    drawn = numbers[numbers["element"] == "client"]
    if len(drawn):
        most = int(drawn.groupby("level")["series"].nunique().max())
        caption += (
            f" Thin lines and dots: {chosen_clients(most)}; the lines run "
            "through each client's own points and do not enter the estimates."
        )
    parts = [
        f"{LEVEL_NAME[_TERM[r.term]].capitalize()}: slope {r.estimate:.2f} "
        f"(95% interval {r.ci_low:.2f} to {r.ci_high:.2f}) {r.units}."
        for r in rows.itertuples()
    ]
    return FigureText(title, caption, "Regression lines. " + " ".join(parts))
