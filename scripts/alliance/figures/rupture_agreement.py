"""How far the ways of marking ruptures agree: one cell per pair, legible in grey."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from alliance.figures.saving import MOST_ALT, FigureText, NotDrawn
from alliance.figures.style import (
    BETWEEN,
    FULL_WIDTH_MM,
    INK,
    MUTED,
    bounded,
    bounded_ticks,
    new_figure,
    sheet,
    wrap,
)

NUMBERS: tuple[str, ...] = (
    "row", "column", "row_label", "column_label", "level", "kappa", "kappa_low", "kappa_high",
    "jaccard", "n", "reason",
)  # fmt: skip
MOST_MARKS = 14
SHADES = LinearSegmentedColormap.from_list("agreement", ["#f5f7f9", "#8fb8de", BETWEEN])
_WHITE_FROM = 0.55  # kappa from which the shade needs white letters


def numbers_rupture_agreement(agreement: pd.DataFrame) -> pd.DataFrame:
    """Cells: below the diagonal sessions, above it clients; marks numbered in the order given.

    Parameters
    ----------
    agreement : ``mark_a, mark_b, label_a, label_b, kind_a, kind_b, level, kappa, jaccard, ...`` of
        every pair. With more than ``MOST_MARKS`` marks, sources and the first rule of each rating
        stay, then further rules while there is room.
    """
    labels = _labels(agreement)
    shown = _shown(labels)
    position = {mark: number for number, mark in enumerate(shown, start=1)}
    pairs = agreement[agreement["mark_a"].isin(shown) & agreement["mark_b"].isin(shown)]
    rows = []
    for pair in pairs[pairs["level"].isin(["session", "client"])].itertuples():
        low, high = sorted([position[pair.mark_a], position[pair.mark_b]])
        row, column = (high, low) if pair.level == "session" else (low, high)
        names = {number: labels[mark][0] for mark, number in position.items()}
        rows.append(
            (row, column, names[row], names[column], pair.level, pair.kappa, pair.kappa_low,
             pair.kappa_high, pair.jaccard, pair.n, pair.reason)
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(NUMBERS)).sort_values(
        ["row", "column"], ignore_index=True
    )


def _labels(agreement: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Mark -> its label and kind, in order."""
    found: dict[str, tuple[str, str]] = {}
    for end in ("a", "b"):
        for row in agreement.drop_duplicates(f"mark_{end}").itertuples():
            mark = getattr(row, f"mark_{end}")
            found.setdefault(mark, (getattr(row, f"label_{end}"), getattr(row, f"kind_{end}")))
    return found


def _shown(labels: dict[str, tuple[str, str]]) -> list[str]:
    if len(labels) <= MOST_MARKS:
        return list(labels)
    rules = [mark for mark, (_, kind) in labels.items() if kind == "rule"]
    first = list({mark.partition("/")[0]: mark for mark in reversed(rules)}.values())
    kept = [mark for mark in labels if mark not in rules or mark in first]
    kept += [mark for mark in rules if mark not in kept]
    return [mark for mark in labels if mark in kept[:MOST_MARKS]]


def draw_rupture_agreement(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """A square of kappas: sessions below the diagonal, clients above."""
    if numbers.empty:
        return NotDrawn("there is only one way of marking ruptures, so nothing to compare")
    if not numbers["kappa"].notna().any():
        return NotDrawn("no agreement can be shown, because few clients stand in some cell")
    labels = _numbered(numbers)
    n = len(labels)
    with sheet():
        figure = new_figure(FULL_WIDTH_MM, 30 + max(9.0 * n, 40))
        axes = figure.add_subplot()
        square = np.full((n, n), np.nan)
        for cell in numbers.itertuples():
            square[cell.row - 1, cell.column - 1] = cell.kappa
        image = axes.imshow(square, cmap=SHADES, vmin=0, vmax=1, aspect="auto")
        _letter(axes, square)
        axes.set_xticks(range(n), [str(number) for number in labels])
        axes.set_yticks(range(n), [f"{wrap(name, 46)}  {k}" for k, name in labels.items()])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.xaxis.tick_top()
        axes.set_title("above the diagonal: clients (any rupture)", loc="right", fontsize=7,
                       fontweight="normal", color=MUTED)  # fmt: skip
        axes.set_xlabel("below the diagonal: sessions (in a rupture)", loc="left", color=MUTED)
        bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
        bounded_ticks(bar.ax.yaxis)
        bar.set_label("Cohen's kappa (below 0 as 0)")
        bar.outline.set_visible(False)
        return figure


def _numbered(numbers: pd.DataFrame) -> dict[int, str]:
    names = {r.row: r.row_label for r in numbers.itertuples()}
    names |= {r.column: r.column_label for r in numbers.itertuples()}
    return {int(key): str(names[key]) for key in sorted(names)}


def _letter(axes: Axes, square: np.ndarray) -> None:
    for (row, column), kappa in np.ndenumerate(square):
        if row == column:
            continue
        shown = "\u2013" if np.isnan(kappa) else bounded(kappa)
        shown = shown.replace("-", "\u2212")
        colour = "white" if kappa >= _WHITE_FROM else INK
        axes.text(column, row, shown, ha="center", va="center", color=colour, fontsize=6.5)


def describe_rupture_agreement(numbers: pd.DataFrame, n_marks: int) -> FigureText:
    """Caption and alt text.

    Parameters
    ----------
    n_marks : how many marks there are, shown or not.
    """
    title = "Do rules, reports and behaviour agree on ruptures?"
    labels = _numbered(numbers) if len(numbers) else {}
    caption = (
        "Cohen's kappa of every pair, of what both could evaluate: 1 is perfect agreement, 0 that "
        "expected by chance. Below the diagonal sessions: a rule's session lies in a rupture, a "
        "report or a behaviour belongs to that session (missed sessions and gaps to the session "
        "before them). Above it clients: any rupture. Intervals by resampling clients stand in "
        "the table of agreement. A dash: too few clients in some cell to be shown, or not defined."
    )
    if n_marks > len(labels) > 0:
        caption += f" {n_marks - len(labels)} further rules stand in the table only."
    told = numbers[numbers["kappa"].notna() & (numbers["level"] == "session")]
    return FigureText(title, caption, f"Square of agreements, by session. {_highest(told)}")


_MOST_PAIRS = 5  # at most named one by one in the alternative text; the CSV has all


def _highest(told: pd.DataFrame) -> str:
    """The pairs that agree most, and what the others come to."""
    ranked = told.sort_values("kappa", ascending=False, kind="stable")
    said = [_pairs(ranked, n) for n in range(min(_MOST_PAIRS, len(ranked)), 0, -1)]
    return next((text for text in said if len(text) <= MOST_ALT - 40), said[-1] if said else "")


def _pairs(ranked: pd.DataFrame, n: int) -> str:
    first, others = ranked.iloc[:n], ranked.iloc[n:]
    parts = [f"{r.column_label} and {r.row_label}: {r.kappa:.2f}." for r in first.itertuples()]
    if len(others):
        low, high = others["kappa"].agg(["min", "max"])
        noun = f"further pair{'' if len(others) == 1 else 's'}"
        parts.append(f"{len(others)} {noun}: {low:.2f} to {high:.2f}.")
    return " ".join(parts)
