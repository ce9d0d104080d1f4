"""Further questions to the models: trends, components, moderators, two raters, resampling, R2.

Each pair of functions describes one step and what it gave; both look at the rows that the step
left, so that a step that was not run has no sentence.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from alliance.study import ModelSpec
from alliance.tables.format import number, p_value
from alliance.tables.variants import variants_of
from alliance.text.document import Passage, passage
from alliance.text.inputs import TextInputs
from alliance.text.words import listed, statistics

_LEVELS = (("within", "within clients"), ("between", "between clients"))
_FORKS = {
    "trend_none": "no course at all",
    "trend_session_effects": "one effect per session common to all clients",
    "trend_random_time": "a linear course of each client's outcome",
    "trend_own_line": "the predictor as deviations from each client's own line",
}


def variants_methods(x: TextInputs) -> Passage | None:
    """What was changed in which model; nothing when nothing was asked further."""
    said = [_model_methods(x, key, spec) for key, spec in x.study.models.items()]
    general = " ".join(filter(None, [_resampling(x), _explained(x)]))
    return passage("Sensitivity and further questions", [*said, general])


def _model_methods(x: TextInputs, key: str, spec: ModelSpec) -> str:
    steps = (
        _trend_methods(x, key),
        _component_methods(x, key),
        _moderator_methods(x, key),
        _rater_methods(x, key, spec),
    )
    said = " ".join(filter(None, steps))
    return f"*{spec.label}.* {said}" if said else ""


def variants_results(x: TextInputs) -> list[Passage | None]:
    """One passage per model that was asked further."""
    found = [
        passage(
            spec.label,
            [
                " ".join(_trend_results(x, key)),
                " ".join(_component_results(x, key)),
                " ".join(_moderator_results(x, key)),
                " ".join(_rater_results(x, key)),
            ],
            level=3,
        )
        for key, spec in x.study.models.items()
    ]
    said = [one for one in found if one is not None]
    return [Passage("Sensitivity and further questions"), *said] if said else []


def _table(x: TextInputs, name: str) -> str:
    found = x.table(name)
    return f" ({found})" if found else ""


def _pick(own: pd.DataFrame, term: str) -> pd.Series | None:
    rows = own[(own["term"] == term) & (own["status"] == "ok")]
    return rows.iloc[0] if len(rows) else None


def _levels(own: pd.DataFrame, pattern: str) -> Iterator[str]:
    """``within clients b = ..., CI, p``, and the same between clients."""
    for part, words in _LEVELS:
        row = _pick(own, pattern.format(part))
        if row is not None:
            yield f"{words} {statistics(row)}"


# The course over time


def _forks(x: TextInputs, key: str) -> list[tuple[str, pd.DataFrame]]:
    """Words of each way of taking the course out that was run, with its rows."""
    own = variants_of(x.estimates, key, "trend_")
    return [
        (_FORKS.get(str(name).partition(".")[2], str(fork["trend"].iloc[0])), fork)
        for name, fork in own.groupby("analysis", sort=False)
    ]


def _trend_methods(x: TextInputs, key: str) -> str:
    forks = [words for words, _ in _forks(x, key)]
    if not forks:
        return ""
    return (
        "Because a shared course over time can look like an association within "
        "clients, the model was refitted with other ways of taking the course out: "
        f"{_and(forks)} [@curran2011; @wang2015]."
    )


def _and(forks: list[str]) -> str:
    """Ways that are told in several words each, and so are set apart by more than a comma."""
    return "; ".join([*forks[:-2], "; and ".join(forks[-2:])])


def _trend_results(x: TextInputs, key: str) -> Iterator[str]:
    said = [
        f"with {words} {statistics(row)}"
        for words, fork in _forks(x, key)
        if (row := _pick(fork, "within")) is not None
    ]
    if said:
        table = _table(x, f"trend_{key}")
        yield f"Other ways of taking out the course over time gave within clients{table}:"
        yield f"{'; '.join(said)}."


# Components


def _component_methods(x: TextInputs, key: str) -> str:
    separate = variants_of(x.estimates, key, "component_")
    if separate.empty:
        return ""
    names = [name.replace("_", " ") for name in dict.fromkeys(separate["component"])]
    return (
        f"The components {listed(names)} were entered in a model each and "
        "together. That one counts more than another is judged by contrasts of their coefficients "
        "in the joint model, with their intervals, not by which of them is significant."
    )


def _component_results(x: TextInputs, key: str) -> Iterator[str]:
    separate = variants_of(x.estimates, key, "component_")
    for name in dict.fromkeys(separate["component"]):
        own = "; ".join(_levels(separate[separate["component"] == name], "{}"))
        if own:
            yield f"{str(name).replace('_', ' ').capitalize()} in a model of its own: {own}."
    joint = variants_of(x.estimates, key, "components")
    for term in joint.loc[joint["kind"] == "contrast", "term"].unique():
        part, _, rest = str(term).partition("_")
        row = _pick(joint, str(term))
        if part == "within" and "_minus_" in rest and row is not None:
            first, _, others = rest.partition("_minus_")
            against = others.replace("_", " and ")
            mean = "the mean of " if "_" in others else ""
            yield f"{first.capitalize()} minus {mean}{against} within clients: {statistics(row)}."


# Moderators


def _moderators(x: TextInputs, key: str) -> list[tuple[str, pd.DataFrame]]:
    """Each moderator as readers know it, with its rows."""
    own = variants_of(x.estimates, key, "by_")
    return [(_moderator(x, str(name)), one) for name, one in own.groupby("analysis", sort=False)]


def _moderator(x: TextInputs, analysis: str) -> str:
    name = analysis.partition(".by_")[2]
    if name == "own_mean":
        return "the client's own mean of the predictor"
    spec = x.study.covariates.get(name)
    return (spec.label if spec else "") or name.replace("_", " ")


def _moderator_methods(x: TextInputs, key: str) -> str:
    names = [words for words, _ in _moderators(x, key)]
    if not names:
        return ""
    return (
        f"Whether the effects differ by {listed(names)} was tested by products "
        "with the within-client and the between-client part, one moderator at a time, always with "
        "a random slope of the within-client effect. *p* values were adjusted for the number of "
        "moderators after Holm, within and between clients separately."
    )


def _moderator_results(x: TextInputs, key: str) -> Iterator[str]:
    tests = [
        (words, part, row)
        for words, one in _moderators(x, key)
        for part, _ in _LEVELS
        if (row := _pick(one, f"test_{part}")) is not None
    ]
    for part, where in _LEVELS:
        said = [f"{words}, {_test(row)}" for words, found, row in tests if found == part]
        if said:
            table = _table(x, f"moderators_{key}") if part == "within" else ""
            yield f"Tests of moderators of the effect {where}{table}: {'; '.join(said)}."
    for words, one in _moderators(x, key):
        yield from _not_tested(words, one)


def _test(row: pd.Series) -> str:
    """``*F*(1, 159) = 5.81, *p* = .017, adjusted *p* = .051``."""
    shown = [_p("*p*", row["p"]), _p("adjusted *p*", row["p_adjusted"])]
    statistic = f"*F*{str(row['units']).removeprefix('F')} = {number(row['estimate'])}"
    return ", ".join([statistic, *filter(None, shown)])


def _p(symbol: str, value: float) -> str:
    if not np.isfinite(value):
        return ""
    text = p_value(value)
    return f"{symbol} {text}" if text[0] in "<>" else f"{symbol} = {text}"


def _not_tested(words: str, one: pd.DataFrame) -> Iterator[str]:
    refused = one[(one["status"] == "not_estimated") & one["term"].str.startswith("test_")]
    if len(refused):
        reason = str(refused["reason"].iloc[0]).rstrip(".")
        yield f"{words[:1].upper()}{words[1:]} was not tested: {reason}."


# Two raters


def _rater_methods(x: TextInputs, key: str, spec: ModelSpec) -> str:
    other = x.study.models.get(spec.compare_with or "")
    if other is None or variants_of(x.estimates, key, "compared_with_").empty:
        return ""
    names = [x.label(model.predictor) for model in (spec, other) if model.predictor]
    return (
        f"The coefficients of {listed(names)}, each from a model of its own, were "
        "compared on the rows that have both, in standard deviations of their level; the interval "
        "of the difference allows for the shared outcome and the shared clients."
    )


def _rater_results(x: TextInputs, key: str) -> Iterator[str]:
    own = variants_of(x.estimates, key, "compared_with_")
    for which in ("first", "second"):
        row = _pick(own, f"within_{which}")
        said = "; ".join(_levels(own, f"{{}}_{which}"))
        if row is not None and said:
            yield f"{x.label(str(row['predictor']))}, standardised on the shared rows: {said}."
    said = "; ".join(_levels(own, "{}_difference"))
    if said:
        yield f"First minus second{_table(x, f'raters_{key}')}: {said}."


# Resampling and explained variance


def _resampling(x: TextInputs) -> str:
    done = x.estimates["term"].str.startswith("boot_") & (x.estimates["status"] == "ok")
    if not done.any():
        return ""
    by = {term.split("_")[1] for term in x.estimates.loc[done, "term"]}
    drawn = [f"{one}s" for one in ("client", "therapist") if one in by]
    times = [spec.bootstrap for spec in x.study.models.values() if spec.bootstrap]
    return (
        f"Intervals were checked by a bootstrap that draws whole {listed(drawn, 'or')} with all "
        f"their sessions ({number(max(times), 0)} samples)."
    )


def _explained(x: TextInputs) -> str:
    if not x.estimates["term"].str.startswith("r2_").any():
        return ""
    return (
        "Explained variance is given by level, as the share of the variance within and between "
        "clients [@rights2019]."
    )
