"""Data flow: which sessions and clients came in, which left, and why."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from alliance.figures.saving import FigureText, NotDrawn
from alliance.figures.style import (
    BETWEEN,
    FAINT,
    FULL_WIDTH_MM,
    MUTED,
    SINGLE_COLUMN_MM,
    new_figure,
    sheet,
    wrap,
)
from alliance.small_cells import is_small, shown_flow, step_words

NUMBERS: tuple[str, ...] = (
    "kind", "step", "sessions", "clients", "sessions_lost", "clients_lost", "lost_in_words",
    "reason",
)  # fmt: skip
_MAIN_CHARACTERS, _SIDE_CHARACTERS = 42, 58
_LINE, _PAD, _GAP = 3.6, 4.0, 5.5  # millimetres: a line of text, the padding of a box, an arrow


def numbers_data_flow(
    flow: pd.DataFrame,
    estimates: pd.DataFrame | None = None,
    models: dict[str, str] | None = None,
    smallest_cell: int = 1,
) -> pd.DataFrame:
    """The boxes: ``read``, every step that lost rows, ``analysed``, and one per model.

    Parameters
    ----------
    flow : ``order, step, sessions_in, sessions_out, clients_in, clients_out, reason``.
    estimates : estimates table, for the observations that each model used.
    models : key of each model -> its label.
    smallest_cell : numbers that would tell a smaller one of clients are absent.
    """
    if flow.empty:
        return pd.DataFrame(columns=list(NUMBERS))
    lost = shown_flow(flow, smallest_cell)
    changed = lost[(lost["sessions_lost"] != 0) | (lost["clients_lost"] != 0)]
    first, last = lost.iloc[0], lost.iloc[-1]
    rows = [("read", "Read from the files", first.sessions_in, first.clients_in, 0, 0, "", "")]
    rows += [
        (
            "step",
            step_words(r.step),
            r.sessions_out,
            r.clients_out,
            r.sessions_lost,
            r.clients_lost,
            r.lost_in_words,
            r.reason,
        )
        for r in changed.itertuples()
    ]
    rows += [("analysed", "Analysed", last.sessions_out, last.clients_out, 0, 0, "", "")]
    rows += _model_boxes(estimates, models or {}, smallest_cell)
    return pd.DataFrame(rows, columns=list(NUMBERS))


def _model_boxes(
    estimates: pd.DataFrame | None, models: dict[str, str], smallest_cell: int
) -> list[tuple]:
    """One box per model: its observations and clients, or why it has none."""
    if estimates is None:
        return []
    boxes: list[tuple] = []
    for key, label in models.items():
        rows = estimates[estimates["analysis"] == key]
        used = rows[(rows["status"] != "not_estimated") & rows["n_obs"].notna()]
        if len(used):
            row = used.iloc[0]
            few = is_small(row.n_clients, smallest_cell)
            n_clients = float("nan") if few else row.n_clients
            boxes.append(("model", label, row.n_obs, n_clients, 0, 0, "", ""))
        elif len(rows):
            absent = (float("nan"), float("nan"), 0, 0, "")
            boxes.append(("model", label, *absent, rows.iloc[0].reason))
    return boxes


def draw_data_flow(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """Boxes from top to bottom; what left the study stands to the right."""
    if numbers.empty:
        return NotDrawn("the table of the data flow is empty")
    with sheet():
        boxes = [_Box(row) for row in numbers.itertuples()]
        width = FULL_WIDTH_MM if any(box.side for box in boxes) else SINGLE_COLUMN_MM
        height = sum(box.height for box in boxes) + _GAP * (len(boxes) - 1) + 4
        figure = new_figure(width, height, layout="none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        top, trunk = 2.0, 0.0
        for index, box in enumerate(boxes):
            box.draw(axes, top)
            if box.kind == "model":
                _branch(axes, trunk, top + box.height / 2)
            elif index:
                _arrow(axes, (_Box.CENTRE, top - _GAP), (_Box.CENTRE, top))
            top += box.height + _GAP
            trunk = top - _GAP if box.kind != "model" else trunk
        return figure


def _branch(axes: Axes, start: float, middle: float) -> None:
    """From the box of what is analysed down and to the right, to a model."""
    x = _Box.LEFT + 4
    axes.plot([x, x], [start, middle], color=MUTED, lw=0.8)
    _arrow(axes, (x, middle), (_Box.LEFT + _Box.INDENT, middle))


class _Box:
    """One main box with, where something left, its box at the side; lengths in millimetres."""

    LEFT, WIDTH, INDENT = 3.0, 76.0, 10.0
    CENTRE = LEFT + WIDTH / 2
    SIDE_LEFT, SIDE_WIDTH = 89.0, 88.0

    def __init__(self, row: object) -> None:
        self.kind = row.kind
        self.main = wrap(str(row.step), _MAIN_CHARACTERS) + "\n" + _counts(row)
        self.side = _side_text(row)
        self.lines = max(self.main.count("\n"), self.side.count("\n")) + 1
        self.height = self.lines * _LINE + _PAD

    def draw(self, axes: Axes, top: float) -> None:
        middle, right = top + self.height / 2, self.LEFT + self.WIDTH
        left = self.LEFT + (self.INDENT if self.kind == "model" else 0)
        axes.add_patch(Rectangle((left, top), right - left, self.height, **self._look()))
        axes.text((left + right) / 2, middle, self.main, ha="center", va="center", linespacing=1.3)
        if self.side:
            look = {"ec": FAINT, "fc": "white", "lw": 0.9}
            axes.add_patch(Rectangle((self.SIDE_LEFT, top), self.SIDE_WIDTH, self.height, **look))
            axes.text(self.SIDE_LEFT + 3, middle, self.side, va="center", linespacing=1.3)
            _arrow(axes, (right, middle), (self.SIDE_LEFT, middle))

    def _look(self) -> dict[str, object]:
        if self.kind in ("read", "analysed"):
            return {"ec": BETWEEN, "fc": "#eaf1f7", "lw": 0.9}
        return {"ec": MUTED, "fc": "white", "lw": 0.9, "ls": "--" if self.kind == "model" else "-"}


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    look = {"arrowstyle": "-|>", "color": MUTED, "lw": 0.8, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=end, xytext=start, arrowprops=look)


def _counts(row: object) -> str:
    if pd.isna(row.sessions):
        return "not estimated"
    noun = "observation" if row.kind == "model" else "session"
    return f"{_count(row.sessions, noun)}, {_count(row.clients, 'client')}"


def _side_text(row: object) -> str:
    if row.kind == "model":
        return wrap(row.reason, _SIDE_CHARACTERS)
    if row.kind != "step":
        return ""
    lost = [_count(row.sessions_lost, "session")] if row.sessions_lost else []
    if row.lost_in_words != "0":
        lost.append(f"{row.lost_in_words} client{'' if row.lost_in_words == '1' else 's'}")
    return wrap(f"{' and '.join(lost)} left out: {row.reason}", _SIDE_CHARACTERS)


def _count(number: float, noun: str) -> str:
    if pd.isna(number):
        return f"{noun}s not counted here"
    return f"{int(number):,} {noun}" + ("" if int(number) == 1 else "s")


def describe_data_flow(numbers: pd.DataFrame) -> FigureText:
    """Caption and alt text."""
    title = "Data flow"
    if numbers.empty:
        return FigureText(title, "Sessions and clients from the files to the analyses.", title)
    read = numbers[numbers["kind"] == "read"].iloc[0]
    used = numbers[numbers["kind"] == "analysed"].iloc[0]
    steps = int((numbers["kind"] == "step").sum())
    caption = (
        "Sessions and clients from the files to the analyses. Boxes on the right say what was left "
        "out at each step and why; steps that left nothing out are not drawn. Dashed boxes: "
        "observations (predictor paired with an outcome) that each model used."
    )
    if numbers.loc[numbers["kind"] != "model", "clients"].isna().any():
        caption += " Clients are not counted where the number would tell that of a few."
    left = f"; {_count(steps, 'step')} left something out" if steps else ", nothing was left out"
    alt = (
        f"Flow chart: of {_count(read.sessions, 'session')} of {_count(read.clients, 'client')} "
        f"read, {_count(used.sessions, 'session')} of {_count(used.clients, 'client')} were "
        f"analysed{left}."
    )
    return FigureText(title, caption, alt)
