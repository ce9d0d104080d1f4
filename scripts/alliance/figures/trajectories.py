"""Course over sessions: the mean of each measure with its interval, and some single clients."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alliance.figures.saving import FigureText, NotDrawn
from alliance.figures.style import (
    BAND_ALPHA,
    BETWEEN,
    FAINT,
    FULL_WIDTH_MM,
    grid_lines,
    new_figure,
    sheet,
    whole_sessions,
    wrap,
)
from alliance.figures.thinning import chosen_clients, numbered, thin_clients

NUMBERS: tuple[str, ...] = (
    "measure", "label", "series", "session", "value", "ci_low", "ci_high", "n_clients",
)  # fmt: skip


def numbers_trajectories(
    trajectories: pd.DataFrame, labels: dict[str, str], sessions: pd.DataFrame | None, seed: int
) -> pd.DataFrame:
    """Rows of ``series`` "mean" (with interval and n) and one series per drawn client,
    numbered within each measure.

    Parameters
    ----------
    trajectories : ``measure, session, n_clients, mean, sd, ci_low, ci_high``.
    labels : measure -> its name for readers; also the order of the panels.
    sessions : scored sessions, for at most 30 single clients; None draws no clients.
    """
    parts = []
    for measure, label in labels.items():
        means = trajectories[trajectories["measure"] == measure]
        if means.empty:
            continue
        mean_rows = means.rename(columns={"mean": "value"}).assign(label=label, series="mean")
        lines = _client_rows(measure, label, sessions, seed)
        if not _is_sample(lines, sessions):
            # Lines of (almost) everybody would tell how few are left at sessions without a mean.
            lines = lines[lines["session"].isin(means["session"])]
        parts += [mean_rows[list(NUMBERS)], lines]
    if not parts:
        return pd.DataFrame(columns=list(NUMBERS))
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def _is_sample(lines: pd.DataFrame, sessions: pd.DataFrame | None) -> bool:
    """Whether at most half of the clients with a score are drawn.

    Of a sample that leaves out one or two, the lines of late sessions are all that there are.
    """
    if lines.empty or sessions is None:
        return True
    rated = sessions.loc[sessions[lines["measure"].iloc[0]].notna(), "client"]
    return 2 * lines["series"].nunique() <= rated.nunique()


def _client_rows(
    measure: str, label: str, sessions: pd.DataFrame | None, seed: int
) -> pd.DataFrame:
    if sessions is None or measure not in sessions.columns:
        return pd.DataFrame(columns=list(NUMBERS))
    rated = sessions.loc[sessions[measure].notna(), ["client", "session", measure]]
    names = numbered(thin_clients(rated["client"], seed))
    series = rated["client"].astype(str).map(names)
    rows = rated.rename(columns={measure: "value"}).assign(
        series=series, measure=measure, label=label, ci_low=np.nan, ci_high=np.nan, n_clients=1
    )[series.notna()]
    return rows.sort_values(["series", "session"])[list(NUMBERS)]


def draw_trajectories(numbers: pd.DataFrame, time_unit: str = "session") -> Figure | NotDrawn:
    """One panel per measure: mean with band, single clients as thin lines behind it."""
    if numbers.empty:
        return NotDrawn("no measure has enough clients at any session to show a mean")
    with sheet():
        measures = list(dict.fromkeys(numbers["measure"]))
        columns = min(len(measures), 3 if len(measures) > 4 else 2)
        rows = -(-len(measures) // columns)
        figure = new_figure(FULL_WIDTH_MM, 62 * rows if columns > 1 else 80)
        panels = figure.subplots(rows, columns, squeeze=False)
        for axes, measure in zip(panels.flat, measures, strict=False):
            _panel(axes, numbers[numbers["measure"] == measure], 50 if columns < 3 else 32)
            axes.set_xlabel(time_unit.capitalize())
        for axes in panels.flat[len(measures) :]:
            axes.set_axis_off()
        return figure


def _panel(axes: Axes, rows: pd.DataFrame, title_width: int) -> None:
    mean = rows[rows["series"] == "mean"].sort_values("session")
    for _, client in rows[rows["series"] != "mean"].groupby("series"):
        axes.plot(client["session"], client["value"], color=FAINT, lw=0.6, zorder=1)
    axes.fill_between(
        mean["session"].astype(float), mean["ci_low"].astype(float), mean["ci_high"].astype(float),
        color=BETWEEN, alpha=BAND_ALPHA, lw=0, zorder=2,
    )  # fmt: skip
    axes.plot(mean["session"], mean["value"], color=BETWEEN, marker="o", ms=3, zorder=3)
    axes.set_title(wrap(rows["label"].iloc[0], title_width))
    axes.set_ylabel("Score (points)")
    grid_lines(axes, "y")
    whole_sessions(axes)


def describe_trajectories(numbers: pd.DataFrame) -> FigureText:
    """Caption and alt text: first and last mean of every measure."""
    title = "Course over sessions"
    means = numbers[numbers["series"] == "mean"]
    shown = numbers.loc[numbers["series"] != "mean"].groupby("measure")["series"].nunique()
    most = int(shown.max()) if len(shown) else 0
    caption = "Mean score at each session (points of the scale) with 95% interval."
    if most:
        caption += f" Thin lines: {chosen_clients(most)}, for illustration."
    caption += (
        " Clients leave over time, so later means rest on fewer and different clients; sessions "
        "with too few clients are not shown."
    )
    parts = [
        _from_to(rows.sort_values("session")) for _, rows in means.groupby("label", sort=False)
    ]
    return FigureText(title, caption, "Line charts. " + " ".join(parts))


def _from_to(rows: pd.DataFrame) -> str:
    first, last = rows.iloc[0], rows.iloc[-1]
    return (
        f"{first.label}: mean {first.value:.2f} at session {int(first.session)} "
        f"({int(first.n_clients)} clients), {last.value:.2f} at session {int(last.session)} "
        f"({int(last.n_clients)} clients)."
    )
