"""One line per rupture rule, under the name of its rating where there are several ratings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from alliance.figures.style import wrap

_ROOM_FOR_NAME = 0.7  # lines


@dataclass(frozen=True)
class RuleLines:
    """Where the lines of rules stand, from top to bottom.

    Attributes
    ----------
    lines : the first row of each rating and rule, in the order of the numbers. place : (n,) y.
    """

    lines: pd.DataFrame
    place: np.ndarray

    @property
    def height(self) -> float:
        """In lines, with the names of ratings."""
        return float(self.place[-1]) + 1

    @property
    def order(self) -> dict[tuple[str, str], float]:
        """Rating and rule -> y."""
        keys = zip(self.lines["rating"], self.lines["rule"], strict=True)
        return dict(zip(keys, self.place, strict=True))

    def name(self, axes: Axes, words: list[str], width: int, left: float) -> None:
        """Write the names of rules as ticks, and of ratings over their first rule if several."""
        several = len(set(self.lines["rating"])) > 1
        axes.set_yticks(self.place, words)
        axes.set_ylim(self.place[-1] + 0.5, self.place[0] - (1.0 if several else 0.5))
        axes.tick_params(axis="y", length=0)
        if several:
            first = _starts(self.lines)
            for at, rating in zip(self.place[first], self.lines["rating"][first], strict=True):
                axes.text(left, at - 0.66, wrap(str(rating), width), va="center", weight="bold")


def rule_lines(numbers: pd.DataFrame) -> RuleLines:
    """Lines of ``numbers``, which have ``rating`` and ``rule``."""
    lines = numbers.drop_duplicates(["rating", "rule"])
    several = len(set(lines["rating"])) > 1
    room = _ROOM_FOR_NAME * np.cumsum(_starts(lines)) if several else 0.0
    return RuleLines(lines, np.arange(len(lines)) + room)


def _starts(lines: pd.DataFrame) -> np.ndarray:
    """Whether a line is the first of its rating."""
    return (lines["rating"] != lines["rating"].shift()).to_numpy()
