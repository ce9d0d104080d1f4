"""Effects of all models side by side, and published values of the field drawn apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alliance.figures.saving import FigureText, NotDrawn, spoken
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
_STANDARDISED = "within-client SD"
_TERMS = ("within", "between", "between_therapist")
_MARKER = {"REML": "o", "ML": "o", "Within": "o", "NUTS": "D"}
STUDY, PUBLISHED, LAGGED = "study", "published", "lagged"
_CROSS_LAG = "cross_lag_alliance_outcome"
_DYNAMIC = {"Random-intercept VAR(1), ML": "ML", "Random-intercept VAR(1), NUTS": "NUTS"}
_NAME_WIDTH = 44  # characters of a model's name in one line


def numbers_forest(
    estimates: pd.DataFrame,
    models: dict[str, str],
    published: pd.DataFrame | None = None,
    dynamics: dict[str, str] | None = None,
) -> pd.DataFrame:
    """Standardised effects of the study, and published ones in their own metric.

    Published standardised effects within clients are of random-intercept cross-lagged models; they
    stand beside the study's own dynamic models (panel ``lagged``) and not beside its multilevel
    models, which do not hold the outcome before equal. Without such a model they are not drawn.

    Parameters
    ----------
    estimates : rows of terms ``within``, ``between``, ``between_therapist``; ``std_within`` and
        its interval are drawn (REML or ML, and NUTS).
    models : key of each model -> its label, in the order of the rows.
    published : ``label, level, metric, estimate, ci_low, ci_high, n`` (further columns ignored);
        see :func:`published_rows`.
    dynamics : key of each dynamic model of the alliance -> its label.
    """
    rows = [row for key, label in models.items() for row in _model_rows(estimates, key, label)]
    frame = pd.DataFrame(rows, columns=list(NUMBERS))
    if published is None or published.empty:
        return frame
    lagged = _lagged_rows(estimates, dynamics or {})
    beside = (published["metric"] == _STANDARDISED).to_numpy() & (not lagged.empty)
    outside = pd.DataFrame(
        {
            "panel": np.where(beside, LAGGED, PUBLISHED),
            "row": published["label"], "level": published["level"],
            "estimator": "published", "metric": published["metric"],
            "estimate": published["estimate"], "ci_low": published["ci_low"],
            "ci_high": published["ci_high"], "n_obs": np.nan, "n_clients": published["n"],
            "status": "ok", "reason": "",
        }
    )  # fmt: skip
    parts = [frame, lagged if beside.any() else lagged.iloc[:0], outside]
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def _lagged_rows(estimates: pd.DataFrame, dynamics: dict[str, str]) -> pd.DataFrame:
    """Cross-lag from alliance to outcome of each dynamic model, in within-client SDs."""
    own = estimates[estimates["term"] == _CROSS_LAG]
    own = own[own["estimator"].isin(list(_DYNAMIC)) & own["std_within"].notna()]
    rows = [
        (LAGGED, label, r.level, _DYNAMIC[r.estimator], _STANDARDISED, r.std_within,
         r.std_within_low, r.std_within_high, r.n_obs, r.n_clients, r.status, r.reason)
        for key, label in dynamics.items()
        for r in own[own["analysis"] == key].itertuples()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(NUMBERS))


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
            (STUDY, label, r.level, _family(r.estimator), _STANDARDISED, *numbers,
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
    cited = chosen["source"].map(_author_and_year)
    words = chosen["construct"].str.removeprefix("alliance-outcome ")
    metrics = {"r": "correlation", "beta": _STANDARDISED}
    metric = chosen["estimate_type"].map(metrics).fillna("raw points")
    columns = ["level", "estimate", "ci_low", "ci_high", "n"]
    named = chosen[columns].assign(label=words + ": " + cited, metric=metric)
    return named.reset_index(drop=True)


def _author_and_year(source: str) -> str:
    """``Probst et al. 2019`` of a source that begins with all authors and the year."""
    found = re.match(r"(.*?)\s((?:19|20)\d\d)\b", source)
    if found is None:
        return source
    authors = re.split(r", | & ", found[1])
    return f"{found[1] if len(authors) < 3 else f'{authors[0]} et al.'} {found[2]}"


def draw_forest(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """The study above, level by level; published correlations below on their own axis."""
    study = numbers[numbers["panel"] == STUDY]
    if study.empty:
        return NotDrawn("no model has a standardised effect")
    outside = numbers[(numbers["panel"] == PUBLISHED) & (numbers["metric"] == "correlation")]
    lagged = numbers[numbers["panel"] == LAGGED]
    with sheet():
        lines = _lines(study)
        heights = [_MM_PER_UNIT * lines[-1].bottom]
        further = [
            (draw, rows)
            for draw, rows in ((_lagged_panel, lagged), (_published_panel, outside))
            if len(rows)
        ]
        heights += [_MM_PER_UNIT * 1.3 * rows["row"].nunique() for _, rows in further]
        figure = new_figure(FULL_WIDTH_MM, sum(heights) + 24 + 20 * len(further))
        above, *below = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        for axes, (draw, rows) in zip(below, further, strict=True):
            draw(axes, rows)
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
            "predictor\nleft of 0: a higher predictor goes with a better outcome")  # fmt: skip
    if study["estimate"].isna().all():
        axes.set_xticks([])  # nothing was estimated: a scale would have no meaning
        axes.set_xlabel("")
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
        end = row.ci_high if np.isfinite(row.ci_high) else row.estimate
        axes.annotate("diagnostics failed", (end, position), (4, -2),
                      textcoords="offset points", color=MUTED, fontsize=6)  # fmt: skip


def _lagged_panel(axes: Axes, rows: pd.DataFrame) -> None:
    """Dynamic models of this study above; the published range as a line without an interval."""
    names = list(dict.fromkeys(rows["row"]))
    words = [
        f"Published: {_cited(own)}" if (own["estimator"] == "published").all() else name
        for name in names
        for own in [rows[rows["row"] == name]]
    ]
    for at, name in enumerate(names):
        own = rows[rows["row"] == name]
        if (own["estimator"] == "published").all():
            axes.plot([own["estimate"].min(), own["estimate"].max()], [at, at], color=INK, lw=4,
                      solid_capstyle="butt")  # fmt: skip
            continue
        for offset, row in zip(_offsets(len(own)), own.itertuples(), strict=True):
            _whisker(axes, at + offset, row)
    axes.set_yticks(range(len(names)), [wrap(word, _NAME_WIDTH) for word in words])
    axes.set_ylim(len(names) - 0.4, -0.6)
    _finish(axes, "Difference in the next outcome per SD of the alliance (within-client SDs),\n"
            "outcome before held equal; thick line: range of published coefficients")  # fmt: skip
    axes.set_title("Session to session, this study and published")


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
    title = "Effects within clients, all models"
    caption = (
        "Points: estimates in pooled within-client SDs of the outcome per within-client SD of the "
        "predictor; whiskers: 95% intervals. The outcome is oriented so that higher is worse."
    )
    if (numbers["panel"] == PUBLISHED).any():
        caption += (
            " The published correlations are between clients, pooled over studies, and in another "
            "metric: they are drawn apart and must not be compared point by point; where there is "
            "no whisker, no interval was read."
        )
    caption += _lagged_words(numbers[numbers["panel"] == LAGGED])
    within = numbers[(numbers["panel"] == PUBLISHED) & (numbers["level"] == "within_client")]
    for row in within[within["metric"] != _STANDARDISED].itertuples():
        shown = f"{row.estimate:.2f} [{row.ci_low:.2f}, {row.ci_high:.2f}]".replace("-", "−")
        caption += f" Published within clients: {row.row}, {shown} {row.metric}."
    shown = numbers[numbers["panel"].isin((STUDY, LAGGED)) & numbers["estimate"].notna()]
    shown = shown[shown["estimator"] != "published"]
    parts = [
        f"{r.row}, {LEVEL_NAME[r.level]}, {r.estimator}: {r.estimate:.2f} "
        f"({r.ci_low:.2f} to {r.ci_high:.2f})."
        for r in shown.itertuples()
    ]
    return FigureText(title, caption, spoken("Forest plot.", parts))


def _cited(rows: pd.DataFrame) -> str:
    return str(rows["row"].iloc[0]).rpartition(": ")[2]


def _lagged_words(rows: pd.DataFrame) -> str:
    """What the published coefficients within clients are, and what they stand beside."""
    outside = rows[rows["estimator"] == "published"]
    if outside.empty:
        return ""
    low, high = (
        f"{value:.2f}".replace("-", "−") for value in outside["estimate"].agg(["min", "max"])
    )
    return (
        f" Session to session: cross-lag of the dynamic models, beside the range ({low} to {high}) "
        "of the standardised coefficients of a published random-intercept cross-lagged panel model "
        f"({_cited(outside)}; {outside['n_clients'].iloc[0]:,.0f} clients, other measures, "
        "no interval read), a model of the same kind. It must not be compared with the panel "
        "above, whose models do not hold the outcome before equal."
    )
