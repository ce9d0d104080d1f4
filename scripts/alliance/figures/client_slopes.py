"""Within slopes of single clients, recovered after sampling: how much do clients differ?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from alliance.figures.saving import FigureText, NotDrawn
from alliance.figures.style import (
    BAND_ALPHA,
    FULL_WIDTH_MM,
    INK,
    WITHIN,
    grid_lines,
    new_figure,
    sheet,
    wrap,
)
from alliance.figures.thinning import MOST_CLIENTS

NUMBERS: tuple[str, ...] = ("kind", "position", "median", "low", "high", "units")


def numbers_client_slopes(
    slopes: pd.DataFrame, estimates: pd.DataFrame, analysis: str
) -> pd.DataFrame:
    """The clients' slopes and the average slope.

    Parameters
    ----------
    slopes : ``analysis, position, median, low, high``, at most thirty clients without ids.
    estimates : estimates table, for the average slope of the Bayesian model and its units.
    """
    own = slopes[slopes["analysis"] == analysis].head(MOST_CLIENTS)
    average = estimates[
        (estimates["analysis"] == analysis)
        & (estimates["term"] == "within")
        & estimates["estimator"].str.startswith("NUTS")
        & estimates["estimate"].notna()
    ]
    if own.empty or average.empty:
        return pd.DataFrame(columns=list(NUMBERS))
    row = average.iloc[0]
    line = pd.DataFrame(
        {"position": [np.nan], "median": [row["estimate"]], "low": [row["ci_low"]],
         "high": [row["ci_high"]], "kind": ["average"]}
    )  # fmt: skip
    both = pd.concat([own.assign(kind="client"), line], ignore_index=True)
    return both.assign(units=row["units"])[list(NUMBERS)]


def draw_client_slopes(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """One point with its interval per client, in order; the average as a band."""
    if numbers.empty:
        return NotDrawn("no Bayesian model lets the within effect vary between clients")
    clients, average = (numbers[numbers["kind"] == kind] for kind in ("client", "average"))
    with sheet():
        figure = new_figure(FULL_WIDTH_MM, 72)
        axes = figure.subplots()
        line = average.iloc[0]
        axes.axhspan(line["low"], line["high"], color=WITHIN, alpha=BAND_ALPHA, lw=0)
        axes.axhline(line["median"], color=WITHIN, label="Average slope with 95% interval")
        axes.axhline(0, color=INK, lw=0.6)
        axes.errorbar(
            clients["position"], clients["median"],
            [clients["median"] - clients["low"], clients["high"] - clients["median"]],
            fmt="o", color=INK, ms=3, elinewidth=0.8, label="A client's slope with 95% interval",
        )  # fmt: skip
        axes.set(xticks=[], xlim=(0, clients["position"].max() + 1))
        axes.set_xlabel("Clients, in the order of their slopes")
        axes.set_ylabel(wrap(numbers["units"].iloc[0], 34))
        grid_lines(axes, "y")
        figure.legend(loc="outside upper left", ncols=2)
        return figure


def describe_client_slopes(
    numbers: pd.DataFrame, estimates: pd.DataFrame, analysis: str, label: str
) -> FigureText:
    """Caption and alt text: how many clients have the sign of the average."""
    own = estimates[
        (estimates["analysis"] == analysis)
        & (estimates["term"] == "pct_same_sign")
        & estimates["estimator"].str.startswith("NUTS")
        & estimates["estimate"].notna()
    ]
    n = int((numbers["kind"] == "client").sum()) if len(numbers) else 0
    caption = (
        f"{label}. Within-client slopes of {n} clients, spread evenly over all clients in the "
        "order of their slopes. Each is drawn towards the average, the more so the fewer sessions; "
        "the interval is for the single client."
    )
    share = ""
    if len(own):
        row = own.iloc[0]
        share = (
            f" Of all {row['n_clients']:.0f} clients an estimated {row['estimate']:.0f}% "
            f"({row['ci_low']:.0f}% to {row['ci_high']:.0f}%) have a slope of the average's sign."
        )
    return FigureText(
        "How much do clients differ?",
        caption,
        f"Points with intervals, one per client, in order.{share}",
    )
