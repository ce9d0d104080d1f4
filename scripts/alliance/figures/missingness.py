"""What is missing: forms per session and measure, and how many clients are still there."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alliance.figures.saving import FigureText, NotDrawn
from alliance.figures.style import (
    FAINT,
    FULL_WIDTH_MM,
    GRID,
    MUTED,
    SERIES,
    grid_lines,
    new_figure,
    sheet,
    whole_sessions,
    wrap,
)

NUMBERS: tuple[str, ...] = ("measure", "label", "session", "n_attended", "n_present", "pct_missing")


def numbers_missingness(missingness: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """The missingness table with the names of the measures, in their order.

    Parameters
    ----------
    missingness : ``measure, session, n_attended, n_present, pct_missing``.
    labels : measure -> its name for readers.
    """
    known = missingness[missingness["measure"].isin(labels)]
    named = known.assign(label=known["measure"].map(labels))
    order = named["measure"].map(list(labels).index)
    return named.assign(_order=order).sort_values(["_order", "session"], ignore_index=True)[
        list(NUMBERS)
    ]


_ASIDE = 0.14  # sessions between the marks of neighbouring measures


def draw_missingness(numbers: pd.DataFrame, time_unit: str = "session") -> Figure | NotDrawn:
    """Above, the share of attended sessions without a score; below, the clients with one."""
    if numbers.empty:
        return NotDrawn("no session was attended")
    with sheet():
        figure = new_figure(FULL_WIDTH_MM, 96)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
        _shares(above, numbers)
        _hidden(above, numbers)
        rated = numbers.groupby("session")["n_present"].max()
        below.bar(rated.index.astype(float), rated.astype(float), color=FAINT, width=0.8)
        below.set(ylabel="Clients with a score", xlabel=time_unit.capitalize())
        below.yaxis.set_major_formatter("{x:,.0f}")
        below.set_xlim(float(rated.index.min()) - 0.6, float(rated.index.max()) + 0.6)
        grid_lines(below, "y")
        whole_sessions(below)
        figure.legend(*above.get_legend_handles_labels(), loc="outside upper left", ncols=2)
        return figure


def _shares(axes: Axes, numbers: pd.DataFrame) -> None:
    if numbers["pct_missing"].isna().all():
        axes.text(0.5, 0.5, "too few clients lack a score at any session to say how many",
                  transform=axes.transAxes, ha="center", color=MUTED)  # fmt: skip
    sessions = range(int(numbers["session"].min()), int(numbers["session"].max()) + 1)
    measures = numbers["measure"].nunique()
    for index, (_, own) in enumerate(numbers.groupby("measure", sort=False)):
        # Beside each other: two measures of one share would hide one another.
        aside = _ASIDE * (index - (measures - 1) / 2)
        # A session without a number breaks the line: nothing is drawn across what is hidden.
        rows = own.set_index("session").reindex(sessions).reset_index()
        colour, line, marker = SERIES[index % len(SERIES)]
        axes.plot(
            rows["session"] + aside, rows["pct_missing"].astype(float), color=colour, ls=line,
            marker=marker, ms=3.5, label=wrap(own["label"].iloc[0], 60), clip_on=False,
        )  # fmt: skip
    axes.set_ylabel("Score missing (% of attended)")
    axes.set_ylim(0, max(5.0, 1.08 * float(numbers["pct_missing"].max())))
    grid_lines(axes, "y")


def _hidden(axes: Axes, numbers: pd.DataFrame) -> None:
    """Sessions without a number are shaded, so that nobody takes them for a fault."""
    label = "too few scores missing to say how many"
    for session in sorted(numbers.loc[numbers["pct_missing"].isna(), "session"].unique()):
        axes.axvspan(session - 0.5, session + 0.5, color=GRID, lw=0, zorder=0, label=label)
        label = "_"


def _range(low: float, high: float) -> str:
    """``2.4% to 7.3%``; once where both round to the same."""
    first, last = f"{low:.1f}%", f"{high:.1f}%"
    return first if first == last else f"{first} to {last}"


def describe_missingness(numbers: pd.DataFrame) -> FigureText:
    """Caption and alt text: the range of the share missing of every measure."""
    title = "Missing scores"
    caption = (
        "Above: share of attended sessions without a usable score, by measure. Below: clients with "
        "a score of the measure that most of them filled in; sessions after the end of treatment "
        "are not missing, they are over."
    )
    if numbers["pct_missing"].isna().any():
        caption += (
            " Shaded: sessions at which so few clients lack a score that their number is not told; "
            "the share is small there, and lines are broken."
        )
    parts = []
    for label, rows in numbers.groupby("label", sort=False):
        shares = rows["pct_missing"].dropna()
        parts.append(
            f"{label}: {_range(shares.min(), shares.max())} missing."
            if len(shares)
            else f"{label}: too few clients lack a score at any session to say how many."
        )
    return FigureText(title, caption, "Line chart and bars. " + " ".join(parts))
