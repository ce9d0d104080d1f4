"""Repair and last outcome under every rule, beside the pooled correlation of the field."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alliance.figures.saving import FigureText, NotDrawn, spoken
from alliance.figures.style import (
    BETWEEN,
    FULL_WIDTH_MM,
    INK,
    MUTED,
    bounded_ticks,
    grid_lines,
    new_figure,
    sheet,
    wrap,
)

REPAIR_NUMBERS: tuple[str, ...] = (
    "rating", "rule", "label", "held_equal", "estimate", "ci_low", "ci_high", "n_clients",
)  # fmt: skip
PUBLISHED = "r_repair_published"
_HELD = {
    "r_repair_baseline": "At equal baseline",
    "r_repair": "Also at equal sessions, mean and slope of the rating",
}
_SHIFT = 0.17  # of the two estimates of a rule, in rows


def numbers_rupture_repair(
    estimates: pd.DataFrame, ratings: Mapping[str, str], rule_labels: Mapping[str, str]
) -> pd.DataFrame:
    """Correlations of every rating and rule, and one row for the published one.

    Parameters
    ----------
    ratings : key of each rupture analysis -> what it searches. rule_labels : rule -> its name.
    """
    rows: list[tuple] = []
    for name, rating in ratings.items():
        own = estimates[(estimates["analysis"] == name) & (estimates["status"] == "ok")]
        for r in own.itertuples():
            quantity, _, rule = str(r.term).partition("[")
            if quantity in _HELD:
                rule = rule.rstrip("]")
                label = rule_labels.get(rule, rule.replace("_", " "))
                rows.append((rating, rule, label, _HELD[quantity], r.estimate, r.ci_low, r.ci_high,
                             r.n_clients))  # fmt: skip
    if rows:
        published = estimates[estimates["term"] == PUBLISHED].head(1)
        for r in published.itertuples():
            label = str(r.estimator).removeprefix("meta-analysis: ")
            rows.append(("Published", "published", label, "", r.estimate, r.ci_low, r.ci_high,
                         np.nan))  # fmt: skip
    return pd.DataFrame(rows, columns=list(REPAIR_NUMBERS))


def draw_rupture_repair(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """One line per rule with two estimates; the published one below, its interval as a band."""
    if numbers.empty:
        return NotDrawn(
            "under no rule are there enough clients with repaired and with unrepaired ruptures"
        )
    with sheet():
        lines = numbers.drop_duplicates(["rating", "rule"])
        new_rating = (lines["rating"] != lines["rating"].shift()).to_numpy()
        place = np.arange(len(lines)) + 0.7 * np.cumsum(new_rating)
        at = dict(zip(zip(lines["rating"], lines["rule"], strict=True), place, strict=True))
        figure = new_figure(FULL_WIDTH_MM, 30 + 8.5 * (place[-1] + 1))
        axes = figure.add_subplot()
        published = numbers[numbers["rule"] == "published"]
        for r in published.itertuples():
            axes.axvspan(r.ci_low, r.ci_high, color="#eef1f4", lw=0, zorder=0)
        axes.axvline(0, color=MUTED, lw=0.8)
        for r in numbers.itertuples():
            _estimate(axes, r, at[(r.rating, r.rule)])
        axes.set_yticks(place, [_name(r) for r in lines.itertuples()])
        for y, rating in zip(place[new_rating], lines["rating"][new_rating], strict=True):
            axes.annotate(
                wrap(rating, 90), (0, y - 0.68), (3, 0), weight="bold", va="center",
                xycoords=("axes fraction", "data"), textcoords="offset points",
            )  # fmt: skip
        axes.set_ylim(place[-1] + 0.5, place[0] - 1.0)
        axes.set_xlabel("Partial correlation of repair and last outcome (below 0: ended better)")
        bounded_ticks(axes.xaxis)
        grid_lines(axes, "x")
        axes.tick_params(axis="y", length=0)
        _legend(figure, axes)
        return figure


def _name(line: object) -> str:
    n = f"\nn = {int(line.n_clients):,}" if np.isfinite(line.n_clients) else ""
    return f"{wrap(str(line.label), 40)}{n}"


def _estimate(axes: Axes, row: object, y: float) -> None:
    if row.rule == "published":
        marker, shift, colour, face = "D", 0.0, INK, INK
    elif row.held_equal == _HELD["r_repair"]:
        marker, shift, colour, face = "o", _SHIFT, BETWEEN, BETWEEN
    else:
        marker, shift, colour, face = "o", -_SHIFT, BETWEEN, "white"
    axes.plot([row.ci_low, row.ci_high], [y + shift] * 2, color=colour, lw=1.2)
    axes.plot(row.estimate, y + shift, marker, color=colour, mfc=face, ms=5)


def _legend(figure: Figure, axes: Axes) -> None:
    handles = [
        axes.plot([], [], "o-", color=BETWEEN, mfc="white", ms=5, lw=1.2)[0],
        axes.plot([], [], "o-", color=BETWEEN, ms=5, lw=1.2)[0],
        axes.plot([], [], "D-", color=INK, ms=5, lw=1.2)[0],
    ]
    names = [*_HELD.values(), "Published"]
    figure.legend(handles, names, loc="outside upper left", ncols=3, labelcolor=INK)


def describe_rupture_repair(numbers: pd.DataFrame) -> FigureText:
    """Caption and alt text: the first rule, the range of all, the field; the CSV has every one."""
    title = "Repair and last outcome, beside the field"
    caption = (
        "Clients whose ruptures were repaired against those whose ruptures were not: partial "
        "correlation with the last outcome, with 95% intervals; below zero, clients with repair "
        "ended better. The band is the interval of the published correlation, pooled over studies "
        "of other clients and measures. Intervals are nominal: differences of this size also arise "
        "without any effect of ruptures, see the p (null) in the table of last outcomes. Rules "
        "with too few repaired or unrepaired clients have no line."
    )
    return FigureText(title, caption, spoken("Points with intervals per rule.", _told(numbers)))


def _told(numbers: pd.DataFrame) -> list[str]:
    """The first rule and the field, and what all estimates of the study come to."""
    if numbers.empty:
        return []
    own = numbers[numbers["rule"] != "published"]
    first = own[(own["rating"] == own["rating"].iloc[0]) & (own["rule"] == own["rule"].iloc[0])]
    apart = int(((own["ci_low"] > 0) | (own["ci_high"] < 0)).sum())
    low, high = own["estimate"].agg(["min", "max"])
    parts = [
        f"{r.rating}, {r.label}, {r.held_equal[:1].lower()}{r.held_equal[1:]}: {_size(r)}."
        for r in first.itertuples()
    ]
    rules = len(own.drop_duplicates(["rating", "rule"]))
    parts.append(
        f"All {len(own)} estimates under {rules} rule{'' if rules == 1 else 's'}: {low:.2f} to "
        f"{high:.2f}; {apart or 'none'} with an interval that leaves out zero."
    )
    published = numbers[numbers["rule"] == "published"]
    return [*parts, *(f"Published, {r.label}: {_size(r)}." for r in published.itertuples())]


def _size(row: object) -> str:
    return f"{row.estimate:.2f} ({row.ci_low:.2f} to {row.ci_high:.2f})"
