"""How near the numbers we obtain come to the published ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alliance.figures.saving import Drawn, FigureText, NotDrawn
from alliance.figures.style import (
    BETWEEN,
    FULL_WIDTH_MM,
    GRID,
    INK,
    MUTED,
    THERAPIST,
    WITHIN,
    grid_lines,
    new_figure,
    sheet,
    wrap,
)
from alliance.verification import ABSENT, EXPLAINED, FAILURES, NOT_OBTAINED, REPRODUCED

NUMBERS: tuple[str, ...] = (
    "panel", "data", "row", "key", "quantity", "published", "obtained", "units", "verdict",
)  # fmt: skip
DIGITS, LIMITS = "digits", "another_model"
FARTHEST = 2.0  # units; numbers farther away stand at the edge
_NAME_WIDTH = 52
_MM_PER_LINE = 3.6


def make_reproduction(comparison: pd.DataFrame) -> Drawn:
    """The figure of ``results/reproduce``, its numbers and its words."""
    numbers = numbers_reproduction(comparison)
    picture = draw_reproduction(numbers)
    return Drawn("reproduction", picture, numbers, describe_reproduction(numbers))


def numbers_reproduction(comparison: pd.DataFrame) -> pd.DataFrame:
    """What is drawn: every number, and its difference in units of the tolerance.

    Parameters
    ----------
    comparison : table of :func:`alliance.verification.compare`.

    Returns
    -------
    DataFrame
        ``NUMBERS``. ``units`` is (obtained - published) / half a unit of the last digit printed;
        for a count that differs it is beyond ``FARTHEST``, for a count that does not it is 0.
    """
    exact = comparison["tolerance"] == 0
    tolerance = comparison["tolerance"].mask(exact, np.nan)
    units = comparison["difference"] / tolerance
    counts = np.sign(comparison["difference"]) * 2 * FARTHEST
    return pd.DataFrame(
        {
            "panel": np.where(comparison["expected"], DIGITS, LIMITS),
            "data": comparison["data_title"],
            "row": comparison["model_title"],
            "key": comparison["key"],
            "quantity": comparison["quantity"],
            "published": comparison["published"],
            "obtained": comparison["obtained"],
            "units": units.mask(exact, counts),
            "verdict": comparison["verdict"],
        }
    )


def draw_reproduction(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """One line per model, one point per number; below, intervals of a published fuller model."""
    shown = numbers[numbers["panel"] == DIGITS]
    if shown.empty:
        return NotDrawn("there are no numbers that should be reproduced")
    if (shown["verdict"] == ABSENT).all():
        return NotDrawn("none of the data are here")
    pairs = _pairs(numbers)
    with sheet():
        heights = _heights(shown)
        size = [_MM_PER_LINE * sum(heights.values()), 9.0 * len(pairs)]
        figure = new_figure(FULL_WIDTH_MM, sum(size) + (48 if pairs else 24))
        if pairs:
            above, below = figure.subplots(2, 1, height_ratios=size)
            _intervals(below, pairs)
        else:
            above = figure.add_subplot()
        middles = _lines(above, heights)
        _points(above, shown, middles)
        _counts(above, shown, middles)
        _finish(above, shown)
        return figure


def _heights(shown: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Lines of text of each heading ``(data, "")`` and each model ``(data, row)``."""
    heights: dict[tuple[str, str], float] = {}
    for data, row in shown[["data", "row"]].drop_duplicates().itertuples(index=False):
        heights.setdefault((data, ""), 1.9 + wrap(data, _NAME_WIDTH).count("\n"))
        heights[data, row] = 0.6 + 1 + wrap(row, _NAME_WIDTH).count("\n")
    return heights


def _lines(axes: Axes, heights: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Draw the names of data sets and models; return where each model's line is."""
    ends = np.cumsum(list(heights.values()))
    middles = dict(zip(heights, ends - np.array(list(heights.values())) / 2, strict=True))
    axes.set_ylim(ends[-1] + 0.4, 0)  # first, since only ticks in view have labels
    names = [wrap(row or data, _NAME_WIDTH) for data, row in heights]
    axes.set_yticks(list(middles.values()), names)
    for (_, row), tick in zip(heights, axes.get_yticklabels(), strict=True):
        tick.set_fontweight("normal" if row else "bold")
    return {key: middle for key, middle in middles.items() if key[1]}


def _points(axes: Axes, shown: pd.DataFrame, middles: dict[tuple[str, str], float]) -> None:
    axes.axvspan(-1, 1, color=GRID, lw=0, zorder=0)
    axes.axvline(0, color=INK, lw=0.6, zorder=1)
    for verdicts, _, (marker, colour, face) in _kinds():
        own = shown[shown["verdict"].isin(verdicts) & shown["units"].notna()]
        if own.empty:
            continue  # an empty line that is not clipped would stretch the layout
        x = own["units"].clip(-FARTHEST, FARTHEST)
        y = [middles[key] for key in zip(own["data"], own["row"], strict=True)]
        axes.plot(
            x, y, marker, color=colour, mfc=face, ms=4, mew=0.9, alpha=0.8, clip_on=False, zorder=3
        )


def _kinds() -> tuple[tuple[tuple[str, ...], str, tuple[str, str, str]], ...]:
    """Verdicts drawn, their words, and marker, colour and face."""
    return (
        ((REPRODUCED,), "reproduced", ("o", BETWEEN, THERAPIST)),
        ((EXPLAINED,), "differs, explained in the table", ("D", WITHIN, "white")),
        (FAILURES, "differs", ("X", WITHIN, WITHIN)),
    )


def _counts(axes: Axes, shown: pd.DataFrame, middles: dict[tuple[str, str], float]) -> None:
    """How many of how many, at the right end of each line."""
    for key, own in shown.groupby(["data", "row"], sort=False):
        n_good = int((own["verdict"] == REPRODUCED).sum())
        absent = (own["verdict"] == ABSENT).all()
        text = "data not here" if absent else f"{n_good} of {len(own)}"
        missing = int((own["verdict"] == NOT_OBTAINED).sum())
        text += f" ({missing} not obtained)" if missing else ""
        axes.annotate(
            text, (1, middles[key]), (6, 0), xycoords=axes.get_yaxis_transform(),
            textcoords="offset points", va="center", color=MUTED if absent else INK, fontsize=7,
            style="italic" if absent else "normal",
        )  # fmt: skip


def _finish(axes: Axes, shown: pd.DataFrame) -> None:
    axes.set_xlim(-FARTHEST, FARTHEST)
    axes.set_xticks([-2, -1, 0, 1, 2], ["≤ −2", "−1", "0", "1", "≥ 2"])
    axes.set_xlabel(
        "Obtained minus published, in half units of the last digit printed\n"
        "inside the grey band our number rounds to the one printed"
    )
    grid_lines(axes, "x")
    axes.tick_params(axis="y", length=0)
    present = [k for k in _kinds() if shown["verdict"].isin(k[0]).any()]
    handles = [
        axes.plot([], [], marker, color=colour, mfc=face, ms=4, mew=0.9, ls="none")[0]
        for _, _, (marker, colour, face) in present
    ]
    if handles:
        axes.legend(handles, [words for _, words, _ in present], loc="lower right",
                    bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.1)  # fmt: skip


def _pairs(numbers: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Models with an estimate and an interval of another model: row -> table of the three."""
    other = numbers[(numbers["panel"] == LIMITS) & numbers["obtained"].notna()]
    kinds = other["key"].str.split("(").str[0]
    found = []
    for row, own in other.assign(kind=kinds).groupby("row", sort=False):
        if set(own["kind"]) == {"b", "ci_low", "ci_high"} and len(own) == 3:
            found.append((str(row), own.set_index("kind")))
    return found


def _intervals(axes: Axes, pairs: list[tuple[str, pd.DataFrame]]) -> None:
    """Estimate and interval, ours above and the published one below, model by model."""
    looks = (
        ("obtained", "ours", -0.16, "o", BETWEEN),
        ("published", "published", 0.16, "s", MUTED),
    )
    for column, words, offset, marker, colour in looks:
        for at, (_, own) in enumerate(pairs):
            low, middle, high = own.loc[["ci_low", "b", "ci_high"], column]
            axes.plot([low, high], [at + offset] * 2, color=colour, lw=1.3)
            axes.plot(middle, at + offset, marker, color=colour, label="" if at else words)
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    axes.set_yticks(range(len(pairs)), [wrap(row, _NAME_WIDTH) for row, _ in pairs])
    axes.axvline(0, color=INK, lw=0.7, zorder=0)
    term = pairs[0][1].loc["b", "quantity"]
    axes.set_xlabel(f"{term}: estimate and 95% interval; not expected to match")
    axes.set_title("Beside a fuller model")
    grid_lines(axes, "x")
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.1)


def describe_reproduction(numbers: pd.DataFrame) -> FigureText:
    """Caption and alt text: how many of how many, model by model."""
    shown = numbers[numbers["panel"] == DIGITS]
    caption = (
        "Each point is one number. Its place is our number minus the published one, divided by "
        "half a unit of the last digit printed: between −1 and 1 our number rounds to the one "
        "printed. Counts must be equal. At the right: how many of how many numbers are reproduced."
    )
    if _pairs(numbers):
        caption += (
            " Below: our estimates beside those of a fuller published model, which they are not "
            "expected to match."
        )
    parts = []
    for row, own in shown.groupby("row", sort=False):
        n_good = int((own["verdict"] == REPRODUCED).sum())
        found = "data not here" if (own["verdict"] == ABSENT).all() else f"{n_good} of {len(own)}"
        parts.append(f"{row}: {found}.")
    return FigureText(
        "Published and obtained numbers", caption, "Numbers reproduced. " + " ".join(parts)
    )
