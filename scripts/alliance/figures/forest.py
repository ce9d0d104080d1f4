"""Effects of all models side by side, and published values of the field drawn apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alliance.figures.saving import FigureText, NotDrawn
from alliance.figures.style import (
    FULL_WIDTH_MM,
    INK,
    LEVEL_COLOUR,
    LEVEL_NAME,
    MUTED,
    bounded_ticks,
    grid_lines,
    new_figure,
    sheet,
    wrap,
)

NUMBERS: tuple[str, ...] = (
    "panel", "row", "level", "estimator", "metric", "estimate", "ci_low", "ci_high",
    "n_obs", "n_clients", "status", "reason",
)  # fmt: skip
_TERMS = ("within", "between", "between_therapist")
_MARKER = {"REML": "o", "ML": "o", "Within": "o", "NUTS": "D"}
STUDY, PUBLISHED = "study", "published"
_NAME_WIDTH = 44  # characters of a model's name in one line


def numbers_forest(
    estimates: pd.DataFrame, models: dict[str, str], published: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Standardised effects of the study, and published ones in their own metric.

    Parameters
    ----------
    estimates : rows of terms ``within``, ``between``, ``between_therapist``; ``std_within`` and
        its interval are drawn (REML or ML, and NUTS).
    models : key of each model -> its label, in the order of the rows.
    published : ``label, level, metric, estimate, ci_low, ci_high, n`` (further columns ignored);
        see :func:`published_rows`.
    """
    rows = [row for key, label in models.items() for row in _model_rows(estimates, key, label)]
    frame = pd.DataFrame(rows, columns=list(NUMBERS))
    if published is None or published.empty:
        return frame
    outside = pd.DataFrame(
        {
            "panel": PUBLISHED, "row": published["label"], "level": published["level"],
            "estimator": "published", "metric": published["metric"],
            "estimate": published["estimate"], "ci_low": published["ci_low"],
            "ci_high": published["ci_high"], "n_obs": np.nan, "n_clients": published["n"],
            "status": "ok", "reason": "",
        }
    )  # fmt: skip
    return outside if frame.empty else pd.concat([frame, outside], ignore_index=True)


def _model_rows(estimates: pd.DataFrame, key: str, label: str) -> list[tuple]:
    rows = estimates[(estimates["analysis"] == key) & estimates["term"].isin(_TERMS)]
    rows = rows[rows["estimator"].map(_family).isin(_MARKER)]
    found = []
    for r in rows.itertuples():
        drawable = r.status != "not_estimated" and np.isfinite(r.std_within)
        if not drawable and r.status == "ok":
            continue  # estimated, but without a standardised form: it stands in the table
        numbers = (r.std_within, r.std_within_low, r.std_within_high)
        found.append(
            (STUDY, label, r.level, _family(r.estimator), "within-client SD", *numbers,
             r.n_obs, r.n_clients, r.status, r.reason)
        )  # fmt: skip
    return sorted(found, key=lambda row: (_level_rank(row[2]), row[3] == "NUTS"))


def _family(estimator: str) -> str:
    """``NUTS`` of ``NUTS (PyMC, nutpie)``."""
    return estimator.split(" ", maxsplit=1)[0] if estimator else ""


def _level_rank(level: str) -> int:
    order = ("within_client", "between_client", "between_therapist")
    return order.index(level) if level in order else len(order)


def published_rows(effects: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``data/published/effects.csv`` a forest shows: correlations and within values.

    Parameters
    ----------
    effects : ``construct, level, estimate_type, n, estimate, ci_low, ci_high, source``.

    Returns
    -------
    DataFrame
        ``label, level, metric, estimate, ci_low, ci_high, n``.
    """
    pooled = effects["construct"].str.startswith("alliance-outcome")
    pooled &= effects["estimate_type"] == "r"
    chosen = effects[pooled | (effects["level"] == "within_client")]
    cited = (
        chosen["source"]
        .str.extract(r"^(.*?\b(?:19|20)\d\d)\b", expand=False)
        .fillna(chosen["source"])
    )
    words = chosen["construct"].str.removeprefix("alliance-outcome ")
    metric = np.where(chosen["estimate_type"] == "r", "correlation", "raw points")
    columns = ["level", "estimate", "ci_low", "ci_high", "n"]
    named = chosen[columns].assign(label=words + ": " + cited.str.slice(0, 70), metric=metric)
    return named.reset_index(drop=True)


def draw_forest(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """The study above, level by level; published correlations below on their own axis."""
    study = numbers[numbers["panel"] == STUDY]
    if study.empty:
        return NotDrawn("no model has a standardised effect")
    outside = numbers[(numbers["panel"] == PUBLISHED) & (numbers["metric"] == "correlation")]
    with sheet():
        lines = _lines(study)
        heights = [_MM_PER_UNIT * lines[-1].bottom, _MM_PER_UNIT * 1.3 * len(outside)]
        figure = new_figure(FULL_WIDTH_MM, sum(heights) + (44 if len(outside) else 24))
        if len(outside):
            above, below = figure.subplots(2, 1, height_ratios=heights)
            _published_panel(below, outside)
        else:
            above = figure.add_subplot()
        _study_panel(above, study, lines)
        return figure


_MM_PER_UNIT = 6.5  # height of a row with one line of text


@dataclass(frozen=True)
class _Line:
    """A row of the study's panel: where it stands, and its text; a heading has no model."""

    top: float
    height: float
    level: str
    model: str = ""

    @property
    def middle(self) -> float:
        return self.top + self.height / 2

    @property
    def bottom(self) -> float:
        return self.top + self.height


def _lines(study: pd.DataFrame) -> list[_Line]:
    """Headings of levels and rows of models from top to bottom; long names get more room."""
    lines: list[_Line] = []
    top = 0.0
    for level in sorted(set(study["level"]), key=_level_rank):
        lines.append(_Line(top, 0.8, level))
        top += 0.8
        for model in dict.fromkeys(study.loc[study["level"] == level, "row"]):
            height = 0.55 + 0.55 * (1 + wrap(model, _NAME_WIDTH).count("\n"))
            lines.append(_Line(top, height, level, model))
            top += height
    return lines


def _study_panel(axes: Axes, study: pd.DataFrame, lines: list[_Line]) -> None:
    for line in (line for line in lines if line.model):
        own = study[(study["row"] == line.model) & (study["level"] == line.level)]
        drawn = own[own["estimate"].notna()]
        for offset, row in zip(_offsets(len(drawn)), drawn.itertuples(), strict=True):
            _whisker(axes, line.middle + offset, row)
        if drawn.empty:
            axes.text(
                0.01, line.middle, "not estimated", va="center", color=MUTED, style="italic",
                transform=axes.get_yaxis_transform(),
            )  # fmt: skip
    words = [
        wrap(line.model, _NAME_WIDTH) if line.model else LEVEL_NAME[line.level].capitalize()
        for line in lines
    ]
    axes.set_ylim(lines[-1].bottom, 0)  # first, since only ticks in view have labels
    axes.set_yticks([line.middle for line in lines], words)
    for line, tick in zip(lines, axes.get_yticklabels(), strict=True):
        tick.set_fontweight("normal" if line.model else "bold")
    _finish(axes, "Difference in the outcome (within-client SDs) per within-client SD of the "
            "predictor\nleft of 0: a higher rating goes with a better outcome")  # fmt: skip
    axes.set_title("This study")
    _legend(axes, study)


def _offsets(count: int) -> np.ndarray:
    return np.linspace(-0.2, 0.2, count) if count > 1 else np.zeros(count)


def _whisker(axes: Axes, position: float, row: object) -> None:
    colour = LEVEL_COLOUR[row.level] if row.level != "between_therapist" else "#3f7fb5"
    if np.isfinite(row.ci_low) and np.isfinite(row.ci_high):
        axes.plot([row.ci_low, row.ci_high], [position] * 2, color=colour, lw=1.3)
    filled = row.estimator != "NUTS" and row.status == "ok"
    axes.plot(
        row.estimate, position, _MARKER.get(row.estimator, "s"), color=colour,
        mfc=colour if filled else "white", ms=4.5,
    )  # fmt: skip
    if row.status == "diagnostics_failed":
        axes.annotate("diagnostics failed", (row.estimate, position), (4, 3),
                      textcoords="offset points", color=MUTED, fontsize=6)  # fmt: skip


def _published_panel(axes: Axes, outside: pd.DataFrame) -> None:
    for position, row in enumerate(outside.itertuples()):
        _whisker(axes, position, row)
    axes.set_yticks(range(len(outside)), [wrap(name, _NAME_WIDTH + 4) for name in outside["row"]])
    axes.set_ylim(len(outside) - 0.4, -0.6)
    _finish(axes, "Correlation of alliance and outcome between clients (another metric)\n"
            "right of 0: a better alliance goes with a better outcome")  # fmt: skip
    bounded_ticks(axes.xaxis)
    axes.set_title("Published, for orientation")


def _finish(axes: Axes, label: str) -> None:
    axes.axvline(0, color=INK, lw=0.7, zorder=0)
    axes.set_xlabel(label)
    axes.margins(x=0.04)
    grid_lines(axes, "x")
    axes.tick_params(axis="y", length=0)


def _legend(axes: Axes, study: pd.DataFrame) -> None:
    names = {
        "REML": "REML (filled)",
        "ML": "ML (filled)",
        "Within": "client fixed effects (filled)",
        "NUTS": "Bayesian, NUTS (open)",
    }
    present = [e for e in names if e in set(study["estimator"])]
    handles = [
        axes.plot([], [], _MARKER[e], color=INK, mfc="white" if e == "NUTS" else INK, ls="none")[0]
        for e in present
    ]
    axes.legend(handles, [names[e] for e in present], loc="lower right",
                bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.1)  # fmt: skip


def describe_forest(numbers: pd.DataFrame) -> FigureText:
    """Caption and alt text: every standardised effect."""
    title = "Effects of all models"
    caption = (
        "Points: estimates in pooled within-client SDs of the outcome per within-client SD of the "
        "predictor; whiskers: 95% intervals. The outcome is oriented so that higher is worse."
    )
    if (numbers["panel"] == PUBLISHED).any():
        caption += (
            " The published correlations are between clients, pooled over studies, and in another "
            "metric: they are drawn apart and must not be compared point by point."
        )
    within = numbers[(numbers["panel"] == PUBLISHED) & (numbers["level"] == "within_client")]
    for row in within.itertuples():
        shown = f"{row.estimate:.2f} [{row.ci_low:.2f}, {row.ci_high:.2f}]".replace("-", "−")
        caption += f" Published within clients: {row.row}, {shown} {row.metric}."
    shown = numbers[(numbers["panel"] == STUDY) & numbers["estimate"].notna()]
    parts = [
        f"{r.row}, {LEVEL_NAME[r.level]}, {r.estimator}: {r.estimate:.2f} "
        f"({r.ci_low:.2f} to {r.ci_high:.2f})."
        for r in shown.itertuples()
    ]
    return FigureText(title, caption, "Forest plot. " + " ".join(parts))
