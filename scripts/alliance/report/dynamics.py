"""Sentences on the dynamic models: each direction, what shortcuts say, what the sample can show."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from alliance.study import Study
from alliance.tables.dynamics import ML, NUTS, RANDOM, cross_lags, digits_of, rows_by
from alliance.tables.format import (
    counted,
    digits_for,
    direction,
    interval,
    number,
    p_text,
    share_words,
)

FORWARD, REVERSE = "cross_lag_alliance_outcome", "cross_lag_outcome_alliance"
ENOUGH_POWER = 0.8
SECOND = "ML-SEM with predetermined predictor"
NONE = "The study file asks for no dynamic model."


def dynamic_questions(estimates: pd.DataFrame, study: Study) -> list[tuple[str, str, list[str]]]:
    """Question, verdict and sentences for both directions of every dynamic model."""
    found = [
        (key, *_answer(estimates, study, key, term))
        for key in study.dynamics
        for term in (FORWARD, REVERSE)
    ]
    asked = Counter(question for _, question, *_ in found)
    return [
        (f"{question} ({study.dynamics[key].label})" if asked[question] > 1 else question, *rest)
        for key, question, *rest in found
    ]


def leads(estimates: pd.DataFrame, study: Study, predictor: str | None, outcome: str) -> bool:
    """Whether the first dynamic model answers for two measures and was estimated.

    It then stands before the multilevel model, which does not hold the earlier outcome equal
    (methods specification, 1.3 and 1.4).
    """
    key = next(iter(study.dynamics), None)
    if key is None:
        return False
    spec, row = study.dynamics[key], _row(estimates, key, FORWARD, ML)
    same = (spec.alliance, spec.outcome) == (predictor, outcome) and not spec.component
    return same and row is not None and row["status"] == "ok"


def _answer(
    estimates: pd.DataFrame, study: Study, key: str, term: str
) -> tuple[str, str, list[str]]:
    measures = _series_labels(study, key)[:2]
    source, target = measures if term == FORWARD else measures[::-1]
    row = _row(estimates, key, term, ML)
    question = (
        f"Within clients, earlier {target} held equal: does {source} predict {target} {_when(row)}?"
    )
    if row is None or row["status"] == "not_estimated":
        reason = str(row["reason"]) if row is not None else "there is no row for it"
        return question, "Not estimated.", [f"{reason[:1].upper()}{reason[1:].rstrip('.')}."]
    second = _row(estimates, key, term, SECOND)
    value = _value_word(study, key)
    sentences = [
        _found(row, source, target, term),
        _same_occasion(study),
        _twin(_row(estimates, key, term, NUTS)),
        _second(row, second),
        _differing(estimates, key, term, value),
        _lasting(estimates, key, term, source, target),
        _can_show(estimates, key, term),
    ]
    return question, _verdict(row, second, term, value), [text for text in sentences if text]


def _series_labels(study: Study, key: str) -> list[str]:
    """Names for readers of the series of a dynamic model: alliance, outcome, further ones."""
    spec = study.dynamics[key]
    labels = [study.measures[name].label for name in spec.series.values()]
    if spec.component:
        labels[0] += f", {spec.component.replace('_', ' ')}"
    return labels


def _row(estimates: pd.DataFrame, key: str, term: str, estimator: str) -> pd.Series | None:
    own = rows_by(estimates, key, estimator)
    own = own[own["term"] == term]
    return own.iloc[0] if len(own) else None


def _when(row: pd.Series | None) -> str:
    same = row is not None and row["lag"] == 0
    return "later in the same session" if same else "at the next session"


def _same_occasion(study: Study) -> str:
    if study.timing.alliance_when != study.timing.outcome_when:
        return ""
    return (
        "Both are taken on one occasion and which comes first is not known, so that only values "
        "of the session before predict."
    )


def _value_word(study: Study, key: str) -> str:
    """``rating``, or ``value`` where nobody rated the predictor, such as a blood level."""
    predictor = study.measures[study.dynamics[key].alliance]
    return "value" if predictor.rater == "none" else "rating"


def _verdict(row: pd.Series, second: pd.Series | None, term: str, value: str) -> str:
    if row["status"] == "diagnostics_failed":
        return "Not to be relied on: diagnostics failed."
    if row["ci_low"] <= 0 <= row["ci_high"]:
        return "Not clear: the interval includes zero."
    source = f"a higher {value}" if term == FORWARD else "a worse outcome"
    target = "outcome" if term == FORWARD else value
    open_ = "; the second estimator leaves it open" if _doubt(row, second) else ""
    return f"Yes: {source} goes with a {_way(row, term)} {target}{open_}."


def _doubt(row: pd.Series, second: pd.Series | None) -> str:
    """Why the second estimator does not bear out a clear effect; empty where it does."""
    if second is None or second["status"] != "ok" or row["ci_low"] <= 0 <= row["ci_high"]:
        return ""
    if second["estimate"] * row["estimate"] < 0:
        return "it has the other sign"
    return "its interval includes zero" if second["ci_low"] <= 0 <= second["ci_high"] else ""


def _second(row: pd.Series, second: pd.Series | None) -> str:
    doubt = _doubt(row, second)
    if not doubt or row["status"] != "ok":
        return ""
    digits = digits_for(second["se"])
    return (
        f"The second estimator ({SECOND}) does not bear this out: {doubt} (b = "
        f"{number(second['estimate'], digits)}, 95% CI "
        f"{interval(second['ci_low'], second['ci_high'], digits)})."
    )


def _way(row: pd.Series, term: str) -> str:
    """Outcomes are oriented so that higher is worse, ratings of the alliance are as they are."""
    below, above = ("better", "worse") if term == FORWARD else ("lower", "higher")
    return below if row["estimate"] < 0 else above


def _found(row: pd.Series, source: str, target: str, term: str) -> str:
    digits = digits_for(row["se"])
    units, _, per = str(row["units"]).partition(" per ")
    off = "above" if term == FORWARD else "worse than"
    text = (
        f"When {source} was one {per} {off} the client's own course, {target} {_when(row)} was "
        f"{number(abs(row['estimate']), digits)} {units} {_way(row, term)} (b = "
        f"{number(row['estimate'], digits)}, 95% CI "
        f"{interval(row['ci_low'], row['ci_high'], digits)}, {p_text(row['p'])}, maximum "
        f"likelihood; {counted(row['n_clients'], 'client')})"
    )
    if not np.isfinite(row["std_within"]):
        return f"{text}."
    limits = interval(row["std_within_low"], row["std_within_high"])
    return f"{text}; standardised within clients {number(row['std_within'])} {limits}."


def _twin(row: pd.Series | None) -> str:
    if row is None:
        return ""
    if row["status"] == "not_estimated":
        return f"The Bayesian twin was not fitted: {str(row['reason']).rstrip('.')}."
    digits = digits_for(row["se"])
    text = (
        f"The Bayesian twin: b = {number(row['estimate'], digits)}, 95% CrI "
        f"{interval(row['ci_low'], row['ci_high'], digits)}, probability of the direction "
        f"{direction(row['pd'])}"
    )
    if row["status"] == "diagnostics_failed":
        return f"{text}; its diagnostics failed ({row['reason']}), so it does not count."
    return f"{text}."


def _differing(estimates: pd.DataFrame, key: str, term: str, value: str) -> str:
    """How much the effect differs between clients, where a model lets it."""
    spread = _row(estimates, key, f"sd_{term}", RANDOM)
    share = _row(estimates, key, f"share_{term}", RANDOM)
    if spread is None or share is None or spread["status"] == "not_estimated":
        return ""
    if spread["status"] == "diagnostics_failed":
        return f"How much it differs between clients is not known: {spread['reason']}."
    goes = (
        f"a higher {value} goes with a better outcome"
        if term == FORWARD
        else f"a worse outcome goes with a lower {value}"
    )
    digits = digits_of(spread)
    return (
        f"It may differ between clients: SD {number(spread['estimate'], digits)}, 95% CrI "
        f"{interval(spread['ci_low'], spread['ci_high'], digits)}; in "
        f"{number(share['estimate'], 0)}% of clients (95% CrI "
        f"{interval(share['ci_low'], share['ci_high'], 0)}) {goes}."
    )


def _lasting(estimates: pd.DataFrame, key: str, term: str, source: str, target: str) -> str:
    row = _row(estimates, key, f"long_run_held_{term.removeprefix('cross_lag_')}", ML)
    if row is None or row["status"] != "ok":
        return ""
    digits = digits_for(row["se"])
    units, _, per = str(row["units"]).partition(" per ")
    return (
        f"Over the long run, {source} lastingly one {per or 'point'} "
        f"{'higher' if term == FORWARD else 'worse'} goes with {target} "
        f"{number(abs(row['estimate']), digits)} {units} {_way(row, term)} (long-run b = "
        f"{number(row['estimate'], digits)}, 95% CI "
        f"{interval(row['ci_low'], row['ci_high'], digits)})."
    )


def _can_show(estimates: pd.DataFrame, key: str, term: str) -> str:
    """What a sample of this size can and cannot show, from the standard error."""
    least = _row(estimates, key, f"detectable_{term}", ML)
    share = _row(estimates, key, f"power_{term}", ML)
    if least is None or share is None:
        return ""
    text = (
        f"What {counted(least['n_clients'], 'client')} can show: a slope of "
        f"{number(least['estimate'])} within-client SDs per SD or more is found in four of five "
        "such studies"
    )
    found = share_words(share["estimate"])
    if share["estimate"] >= ENOUGH_POWER:
        return f"{text}; one of 0.10 (published ones are 0.05 to 0.21) in {found} of them."
    return (
        f"{text}. What they cannot show: a slope of 0.10 (published ones are 0.05 to 0.21) is "
        f"found in only {found} of such studies, so that not finding one says little about it."
    )


def section_words(estimates: pd.DataFrame, study: Study) -> tuple[str, ...]:
    """Opening words of the section: the model, and what could not be had."""
    if not study.dynamics:
        return (NONE,)
    absent = [
        f"{spec.label}: not estimated. {_reason(estimates, key)}"
        for key, spec in study.dynamics.items()
        if cross_lags(estimates, key)["status"].ne("ok").any()
    ]
    return (_explained(estimates, study), *absent)


def _explained(estimates: pd.DataFrame, study: Study) -> str:
    """What the models are and how they were fitted, of this study's measures and rows."""
    series = {key: _series_labels(study, key) for key in study.dynamics}
    followed = "; ".join(dict.fromkeys(f"{', '.join(s[:-1])} and {s[-1]}" for s in series.values()))
    text = (
        "The dynamic model (random-intercept VAR(1)) follows several series together from session "
        f"to session: {followed}. It sets apart how clients differ in level and course, and asks "
        "whether a session's deviation from the client's own course goes with a deviation of the "
        "other at the next occasion, given the earlier values of both."
    )
    by_ml = [key for key in series if _estimated(estimates, key, ML)]
    if not by_ml:
        return text
    twins = [study.dynamics[key].label for key in by_ml if _estimated(estimates, key, NUTS)]
    text += (
        " It is fitted by full-information maximum likelihood, so that the bias of centring by "
        "hand with a lagged outcome does not arise."
    )
    if twins and len(twins) < len(by_ml):
        beside = "; ".join(twins)
        return f"{text} A Bayesian twin, the same model with priors, stands beside: {beside}."
    return f"{text} The Bayesian twin is the same model with priors." if twins else text


def _estimated(estimates: pd.DataFrame, key: str, estimator: str) -> bool:
    return bool(cross_lags(estimates, key, estimator)["estimate"].notna().any())


def _reason(estimates: pd.DataFrame, key: str) -> str:
    lags = cross_lags(estimates, key)
    reason = str(lags.loc[lags["status"].ne("ok"), "reason"].iloc[0]).rstrip(".")
    return f"{reason[:1].upper()}{reason[1:]}."


def sensitivity_words(estimates: pd.DataFrame, study: Study) -> tuple[str, ...]:
    """Said below tables and figures: courses of clients, first session, phases, what n can show."""
    said = []
    for key, spec in study.dynamics.items():
        own = rows_by(estimates, key, ML).set_index("term")
        parts = [
            f"{words[bool(own.loc[term, 'p'] < 0.05)]} ({p_text(own.loc[term, 'p'])})"
            for term, words in _TESTS.items()
            if term in own.index and np.isfinite(own.loc[term, "p"])
        ]
        if parts:
            said.append(f"{spec.label}: {'; '.join(parts)}.")
        shown = _can_show(estimates, key, FORWARD)
        if shown:
            said.append(f"{spec.label}, from the alliance to the outcome. {shown}")
    return tuple(said)


_TESTS = {
    "lr_random_trend": (
        "clients' own linear courses are not clearly needed",
        "clients have linear courses of their own, which the model takes out",
    ),
    "lr_phases": (
        "no clear difference between earlier and later sessions",
        "earlier and later sessions differ, so that one number for all is an average",
    ),
    "first_session_settled": (
        "values of the first session vary as much as later ones",
        "values of the first session vary otherwise than later ones, which the model allows",
    ),
}
