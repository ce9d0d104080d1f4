"""The dynamic model: paths between sessions, responses over sessions, estimators side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.ticker import MaxNLocator

from alliance.figures.saving import FigureText, NotDrawn, spoken
from alliance.figures.style import (
    BAND_ALPHA,
    BETWEEN,
    FULL_WIDTH_MM,
    INK,
    MUTED,
    WITHIN,
    grid_lines,
    new_figure,
    sheet,
    whole_sessions,
    wrap,
)

ML = "Random-intercept VAR(1), ML"
NUTS = "Random-intercept VAR(1), NUTS"
PATHS: tuple[str, ...] = (
    "autoregression_alliance", "autoregression_outcome", "cross_lag_alliance_outcome",
    "cross_lag_outcome_alliance",
)  # fmt: skip
FORWARD, REVERSE = PATHS[2], PATHS[3]
HORIZON = 6


def _rows(estimates: pd.DataFrame, models: Mapping[str, str], estimator: str) -> pd.DataFrame:
    """Rows of the models by one estimator, models in their order, with ``model``, its label."""
    own = estimates[(estimates["estimator"] == estimator) & estimates["estimate"].notna()]
    parts = [own[own["analysis"] == key].assign(model=label) for key, label in models.items()]
    return pd.concat(parts)


def _panels(
    numbers: pd.DataFrame, height_mm: float
) -> tuple[Figure, list[tuple[Figure | SubFigure, pd.DataFrame]]]:
    """A figure with one part per model, and each part with its numbers; titles where several."""
    models = [own for _, own in numbers.groupby("model", sort=False)]
    figure = new_figure(FULL_WIDTH_MM, height_mm * len(models))
    if len(models) == 1:
        return figure, [(figure, models[0])]
    parts = figure.subfigures(len(models), 1)
    for part, own in zip(parts, models, strict=True):
        part.suptitle(wrap(str(own["model"].iloc[0]), 90), x=0.01, ha="left", fontsize=8.5)
    return figure, list(zip(parts, models, strict=True))


def _of_models(numbers: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Words to put before what is said of a model (none where there is one), and its numbers."""
    several = len(set(numbers["model"])) > 1
    for model, own in numbers.groupby("model", sort=False):
        yield f"{model}: " if several else "", own


def _paths_in_turn(numbers: pd.DataFrame) -> list[tuple[str, tuple[str, str], pd.DataFrame]]:
    """Words of the model, source and target, rows: the first path of every model comes first.

    What is spoken of a figure ends after some sentences, and no model must be left out by that.
    """
    paths = [
        (at, words, ends, rows)
        for words, own in _of_models(numbers)
        for at, (ends, rows) in enumerate(own.groupby(["source", "target"], sort=False))
    ]
    return [path[1:] for path in sorted(paths, key=lambda path: path[0])]


# Paths


def numbers_dynamics_paths(
    estimates: pd.DataFrame, models: Mapping[str, str], labels: dict[str, str]
) -> pd.DataFrame:
    """The four paths between alliance and outcome, standardised within clients.

    Parameters
    ----------
    models : key of each dynamic model -> its label. labels : measure -> its label.

    Returns
    -------
    DataFrame
        ``model, term, source, target, lag, std, std_low, std_high, estimate, ci_low, ci_high,
        units, n_obs, n_clients, timing_order, status``; empty where the model was not estimated.
    """
    own = _rows(estimates, models, ML)
    own = own[own["term"].isin(PATHS) & own["std_within"].notna()]
    named = own.assign(
        source=own["predictor"].map(labels).fillna(own["predictor"]),
        target=own["outcome"].map(labels).fillna(own["outcome"]),
        std=own["std_within"], std_low=own["std_within_low"], std_high=own["std_within_high"],
    )  # fmt: skip
    columns = [
        "model", "term", "source", "target", "lag", "std", "std_low", "std_high", "estimate",
        "ci_low", "ci_high", "units", "n_obs", "n_clients", "timing_order", "status",
    ]  # fmt: skip
    return named[columns].reset_index(drop=True)


@dataclass(frozen=True)
class _Places:
    """x of alliance and outcome in the first session drawn, and of the step to the next."""

    alliance: float
    outcome: float
    step: float = 3.1

    def at(self, series: str, session: int) -> tuple[float, float]:
        x = self.alliance if series == "alliance" else self.outcome
        return x + session * self.step, _LEVEL[series]


_LEVEL = {"alliance": 1.55, "outcome": 0.0}
_BOX = (1.12, 0.52)


def _places(numbers: pd.DataFrame) -> _Places:
    """What is measured earlier in a session stands further left."""
    lags = numbers.set_index("term")["lag"]
    if lags.get(REVERSE, 1.0) == 0:
        return _Places(alliance=1.25, outcome=0.0)
    if lags.get(FORWARD, 1.0) == 0:
        return _Places(alliance=0.0, outcome=1.25)
    return _Places(alliance=0.6, outcome=0.6)


def draw_dynamics_paths(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """Two sessions side by side; each arrow carries its standardised coefficient and interval."""
    complete = numbers.groupby("model", sort=False).filter(lambda m: set(PATHS) <= set(m["term"]))
    if complete.empty:
        return NotDrawn("the dynamic model was not estimated")
    with sheet():
        figure, parts = _panels(complete, 84)
        for part, own in parts:
            _path_diagram(part.add_subplot(), own)
        return figure


def _path_diagram(axes: Axes, numbers: pd.DataFrame) -> None:
    axes.set_axis_off()
    axes.set_aspect("equal")
    places = _places(numbers)
    names = _series_names(numbers)
    for session, words in enumerate(("Session t", "Session t + 1")):
        _session(axes, places, session, words)
        for series, name in names.items():
            _node(axes, places.at(series, session), name)
    for row in numbers.itertuples():
        _path(axes, row, places)
    axes.set_xlim(-0.85, places.step + 2.1)
    axes.set_ylim(-0.95, 2.75)


def _series_names(numbers: pd.DataFrame) -> dict[str, str]:
    own = numbers.set_index("term")
    return {s: str(own.loc[f"autoregression_{s}", "target"]) for s in ("alliance", "outcome")}


def _session(axes: Axes, places: _Places, session: int, words: str) -> None:
    left = -0.72 + session * places.step
    axes.add_patch(
        Rectangle((left, -0.62), 2.69, 2.98, facecolor="#f4f6f8", edgecolor="none", zorder=0)
    )
    axes.text(left + 2.69 / 2, 2.44, words, ha="center", va="bottom", color=MUTED, fontsize=7.5)


def _node(axes: Axes, at: tuple[float, float], name: str) -> None:
    width, height = _BOX
    corner = (at[0] - width / 2, at[1] - height / 2)
    axes.add_patch(
        FancyBboxPatch(
            corner, width, height, boxstyle="round,pad=0,rounding_size=0.08", facecolor="white",
            edgecolor=INK, lw=0.9, zorder=3,
        )
    )  # fmt: skip
    axes.text(*at, wrap(name, 16), ha="center", va="center", fontsize=6.5, zorder=4)


def _path(axes: Axes, row: object, places: _Places) -> None:
    """One arrow; dashed where the interval holds zero."""
    own = row.term.startswith("autoregression")
    source, target = _ends(row.term)
    start = places.at(source, 0)
    end = places.at(target, 0 if row.lag == 0 else 1)
    begin, finish = _anchors(start, end)
    colour = MUTED if own else (WITHIN if row.term == FORWARD else BETWEEN)
    unclear = row.std_low <= 0 <= row.std_high
    axes.add_patch(
        FancyArrowPatch(
            begin, finish, arrowstyle="-|>", mutation_scale=9, color=colour, zorder=2,
            lw=0.9 + 3.0 * min(abs(row.std), 0.8), ls=(0, (4, 2)) if unclear else "-",
            shrinkA=0, shrinkB=0,
        )
    )  # fmt: skip
    x, y = _label_place(row.term, begin, finish, crossing=places.alliance == places.outcome)
    axes.text(
        x, y, f"{row.std:.2f}\n[{row.std_low:.2f}, {row.std_high:.2f}]".replace("-", "−"),
        ha="center", va="center", fontsize=6.8, color=INK if own else colour, zorder=5,
        linespacing=1.15,
        bbox={"facecolor": "white" if not own else "none", "edgecolor": "none", "pad": 1.2},
    )  # fmt: skip


def _ends(term: str) -> tuple[str, str]:
    if term.startswith("autoregression_"):
        own = term.removeprefix("autoregression_")
        return own, own
    source, _, target = term.removeprefix("cross_lag_").partition("_")
    return source, target


def _anchors(
    start: tuple[float, float], end: tuple[float, float]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where an arrow leaves and reaches its boxes."""
    width, height = _BOX
    gap = 0.03
    if start[1] == end[1]:
        return (start[0] + width / 2 + gap, start[1]), (end[0] - width / 2 - gap, end[1])
    up = 1.0 if end[1] > start[1] else -1.0
    if end[0] - start[0] < 2.0:  # within a session
        return (
            (start[0] + 0.18, start[1] + up * (height / 2 + gap)),
            (end[0] - 0.18, end[1] - up * (height / 2 + gap)),
        )
    return (
        (start[0] + width / 2 + gap, start[1] + up * 0.12),
        (end[0] - width / 2 - gap, end[1] - up * 0.12),
    )


def _label_place(
    term: str, begin: tuple[float, float], finish: tuple[float, float], crossing: bool
) -> tuple[float, float]:
    middle = ((begin[0] + finish[0]) / 2, (begin[1] + finish[1]) / 2)
    if term.startswith("autoregression"):
        return middle[0], middle[1] + (0.24 if term.endswith("alliance") else -0.24)
    share = 0.22 if crossing else 0.5  # crossing arrows are labelled before they cross
    return (
        begin[0] + share * (finish[0] - begin[0]),
        begin[1] + share * (finish[1] - begin[1]),
    )


def describe_dynamics_paths(numbers: pd.DataFrame) -> FigureText:
    """Caption with order, units and n; alt text with every path."""
    title = "From session to session"
    if numbers.empty:
        return FigureText(title, "", "")
    first = numbers.iloc[0]
    caption = (
        "Within clients: what a value one within-client SD above the client's own course goes "
        "with, in within-client SDs of the other, given the earlier values of both. Numbers: "
        "random-intercept VAR(1) by maximum likelihood with 95% confidence intervals; dashed "
        f"where the interval holds zero. Order of measurement: {first['timing_order']}. The "
        "outcome is oriented so that higher is worse. "
        f"{_samples(numbers)} Arrows say what predicts what, not what brings what about."
    )
    crossing, carried = [], []  # the paths between the two series are told first
    for words, own in _of_models(numbers):
        for at, r in enumerate(own.itertuples()):
            path = (
                f"{r.source} to {r.target}, {'same' if r.lag == 0 else 'next'} session: "
                f"{r.std:.2f} ({r.std_low:.2f} to {r.std_high:.2f})."
            )
            named = f"{words if at == 0 or r.source == r.target else ''}{path}"
            (carried if r.source == r.target else crossing).append(named)
    parts = [*crossing, *carried]
    return FigureText(title, caption, spoken("Path diagram.", parts))


def _samples(numbers: pd.DataFrame) -> str:
    return " ".join(
        f"{words}{own['n_obs'].iloc[0]:,.0f} scores of {own['n_clients'].iloc[0]:,.0f} clients."
        for words, own in _of_models(numbers)
    )


# Responses


def numbers_impulse_responses(
    estimates: pd.DataFrame, models: Mapping[str, str], labels: dict[str, str]
) -> pd.DataFrame:
    """Responses over six sessions in both directions, by both estimators, in raw points."""
    parts = []
    for estimator, name in ((ML, "ML"), (NUTS, "Bayesian")):
        own = _rows(estimates, models, estimator)
        found = own["term"].str.extract(r"^response_(alliance_outcome|outcome_alliance)_(\d)$")
        own = own.assign(direction=found[0], step=pd.to_numeric(found[1]))
        parts.append(own[own["direction"].notna()].assign(by=name))
    own = pd.concat(parts)
    own = own.assign(
        source=own["predictor"].map(labels).fillna(own["predictor"]),
        target=own["outcome"].map(labels).fillna(own["outcome"]),
    )
    columns = [
        "model", "direction", "source", "target", "by", "step", "estimate", "ci_low", "ci_high",
        "units", "n_clients",
    ]  # fmt: skip
    return own[columns].reset_index(drop=True)


def draw_impulse_responses(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """One panel per direction: maximum likelihood with its band, the Bayesian twin beside it."""
    if numbers.empty:
        return NotDrawn("there is no response to draw: the dynamic model was not estimated")
    with sheet():
        figure, parts = _panels(numbers, 74)
        for part, own in parts:
            directions = list(dict.fromkeys(own["direction"]))
            panels = part.subplots(1, len(directions), squeeze=False)[0]
            for axes, name in zip(panels, directions, strict=True):
                _response_panel(axes, own[own["direction"] == name])
            handles, words = panels[0].get_legend_handles_labels()
            edge = "upper" if len(parts) == 1 else "lower"  # the top holds the name of the model
            part.legend(handles, words, loc=f"outside {edge} right", ncols=2)
        return figure


def _response_panel(axes: Axes, own: pd.DataFrame) -> None:
    looks = {"ML": (WITHIN, "-", "o"), "Bayesian": (BETWEEN, "--", "s")}
    for name, rows in own.groupby("by", sort=False):
        colour, line, marker = looks[str(name)]
        shift = 0.0 if name == "ML" else 0.08
        x = rows["step"].to_numpy(float) + shift
        if name == "ML":
            axes.fill_between(
                x, rows["ci_low"], rows["ci_high"], color=colour, alpha=BAND_ALPHA, lw=0
            )
        else:
            axes.vlines(x, rows["ci_low"], rows["ci_high"], color=colour, lw=0.9)
        words = "Maximum likelihood, 95% CI" if name == "ML" else "Bayesian, 95% CrI"
        axes.plot(x, rows["estimate"], line, marker=marker, color=colour, label=words)
    axes.axhline(0, color=INK, lw=0.7, zorder=0)
    first = own.iloc[0]
    axes.set_title(wrap(f"{first['source']} → {first['target']}", 34))
    axes.set_xlabel("Sessions later")
    axes.set_ylabel(wrap(str(first["units"]), 44))
    whole_sessions(axes)
    grid_lines(axes, "y")


def describe_impulse_responses(numbers: pd.DataFrame) -> FigureText:
    """Caption and alt text: the first and the last response; the CSV has all."""
    title = "What is left of a deviation over six sessions"
    caption = (
        "Within clients: expected difference of the series named second, up to six sessions after "
        "the one named first was one point above the client's own course, in raw points, by the "
        f"dynamic model.{_from_zero(numbers)} Bands and whiskers: 95% intervals, by maximum "
        "likelihood the percentiles of normal draws of the coefficients, which hold the true "
        "value in about 90% of samples where treatments have five sessions. "
        "The outcome is oriented so that higher is worse."
    )
    parts = [
        f"{words}{source} to {target}, {_first_and_last(rows)}."
        for words, (source, target), rows in _paths_in_turn(numbers)
    ]
    return FigureText(title, caption, spoken("Line chart.", parts))


def _first_and_last(rows: pd.DataFrame) -> str:
    """By maximum likelihood, or by the Bayesian model where there is no other."""
    by = str(rows["by"].iloc[0])
    own = rows[rows["by"] == by]
    return f"{by}: {_response(own.iloc[0])}, {_response(own.iloc[-1])}"


def _plain(value: float) -> str:
    """Three digits, never with an exponent, which cannot be read aloud."""
    return np.format_float_positional(value, precision=3, fractional=False, trim="-")


def _response(row: pd.Series) -> str:
    after = f"{row['step']:.0f} session{'' if row['step'] == 1 else 's'} later"
    when = after if row["step"] else "in the same session"
    return f"{when} {_plain(row['estimate'])} ({_plain(row['ci_low'])} to {_plain(row['ci_high'])})"


def _from_zero(numbers: pd.DataFrame) -> str:
    if not (numbers["step"] == 0).any():
        return ""
    return (
        " A line from 0 begins in the same session, where the first is measured before the other."
    )


# Estimators


def numbers_dynamics_estimators(
    estimates: pd.DataFrame, models: Mapping[str, str], labels: dict[str, str]
) -> pd.DataFrame:
    """Both cross-lags by every estimator, continuous time after one unit of its clock; ``biased``
    where theory predicts a bias."""
    own = estimates[estimates["kind"].isin(("fixed", "contrast")) & estimates["estimate"].notna()]
    parts = own["term"].str.extract(r"^(?:after_1_([a-z]+)_)?(cross_lag_\w+)$")
    own = own.assign(term=parts[1], unit=parts[0])
    own = own[own["term"].isin(PATHS[2:]) & (own["unit"].notna() | own["kind"].eq("fixed"))]
    own = pd.concat([own[own["analysis"] == k].assign(model=label) for k, label in models.items()])
    timed = "Continuous time, one " + own["unit"].astype(object) + " later"
    own = own.assign(
        source=own["predictor"].map(labels).fillna(own["predictor"]),
        target=own["outcome"].map(labels).fillna(own["outcome"]),
        biased=own["estimator"].str.contains("OLS") | own["unit"].notna(),
        place=2 * own["unit"].notna() + ~own["estimator"].isin((ML, NUTS)),
        estimator=timed.fillna(own["estimator"]),
    ).sort_values("place", kind="stable")
    columns = [
        "model", "term", "source", "target", "estimator", "estimate", "ci_low", "ci_high", "units",
        "biased", "status", "n_clients",
    ]  # fmt: skip
    return own[columns].reset_index(drop=True)


def draw_dynamics_estimators(numbers: pd.DataFrame) -> Figure | NotDrawn:
    """A forest per direction; shortcuts are open and grey."""
    if numbers.empty or numbers["estimator"].nunique() < 2:
        return NotDrawn("there are no two estimators of the dynamic model to compare")
    with sheet():
        names = list(dict.fromkeys(numbers["estimator"]))
        figure, parts = _panels(numbers, 26 + 8.5 * len(names))
        for part, own in parts:
            _estimator_panels(part, own)
        return figure


def _estimator_panels(part: Figure | SubFigure, numbers: pd.DataFrame) -> None:
    names = list(dict.fromkeys(numbers["estimator"]))
    terms = [term for term in PATHS[2:] if term in set(numbers["term"])]
    panels = part.subplots(1, len(terms), sharey=True, squeeze=False)[0]
    for axes, term in zip(panels, terms, strict=True):
        _forest_panel(axes, numbers[numbers["term"] == term], names)
    panels[0].set_yticks(range(len(names)), [wrap(name, 36) for name in names])
    panels[0].set_ylim(len(names) - 0.5, -0.5)


def _forest_panel(axes: Axes, own: pd.DataFrame, names: list[str]) -> None:
    for row in own.itertuples():
        at = names.index(row.estimator)
        colour = MUTED if row.biased else (WITHIN if row.term == FORWARD else BETWEEN)
        if np.isfinite(row.ci_low):
            axes.plot([row.ci_low, row.ci_high], [at, at], color=colour, lw=1.2)
        axes.plot(
            row.estimate, at, "o", color=colour, mfc="white" if row.biased else colour, ms=4.5
        )
    axes.axvline(0, color=INK, lw=0.7, zorder=0)
    axes.set_title(wrap(f"{own['source'].iloc[0]} → {own['target'].iloc[0]}", 28))
    axes.set_xlabel(wrap(str(own["units"].iloc[0]), 44))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    grid_lines(axes, "x")
    axes.tick_params(axis="y", length=0)


def describe_dynamics_estimators(numbers: pd.DataFrame) -> FigureText:
    """Caption and alt text: the first estimator and the range of the others."""
    title = "The same effects by other estimators"
    caption = (
        "Within clients, from one series to the other, raw points per point with 95% intervals. "
        "Filled: estimators without a known bias when their model holds. Open and grey: usual "
        "shortcuts, and continuous time, which does not know the order within a session; what is "
        "known of their bias stands in the table. They are shown for comparison and are no results."
    )
    parts = [
        f"{words}{ends[0]} to {ends[1]}, {_first_and_others(rows)}."
        for words, ends, rows in _paths_in_turn(numbers)
    ]
    return FigureText(title, caption, spoken("Forest plot.", parts))


def _first_and_others(rows: pd.DataFrame) -> str:
    first, others = rows.iloc[0], rows.iloc[1:]
    text = (
        f"{first['estimator']}: {_plain(first['estimate'])} ({_plain(first['ci_low'])} to "
        f"{_plain(first['ci_high'])})"
    )
    if others.empty:
        return text
    low, high = others["estimate"].agg(["min", "max"])
    return f"{text}; {len(others)} others: {_plain(low)} to {_plain(high)}"
