"""Sentences on the dynamic models: each direction, what shortcuts say, what the sample can show."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from alliance.study import Study
from alliance.tables.dynamics import ML, NUTS, cross_lags, rows_by
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
EXPLAINED = (
    "The dynamic model (random-intercept VAR(1)) follows alliance and outcome together from "
    "session to session. It sets apart how clients differ in level and course, and asks whether a "
    "session's deviation from the client's own course goes with a deviation of the other at the "
    "next occasion, given the earlier values of both. It is fitted by full-information maximum "
    "likelihood, so the bias of centring by hand with a lagged outcome does not arise."
)
TWIN = " The Bayesian twin is the same model with priors."
ENOUGH_POWER = 0.8
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


def _answer(
    estimates: pd.DataFrame, study: Study, key: str, term: str
) -> tuple[str, str, list[str]]:
    spec = study.dynamics[key]
    measures = [study.measures[name].label for name in (spec.alliance, spec.outcome)]
    if spec.component:
        measures[0] += f", {spec.component.replace('_', ' ')}"
    source, target = measures if term == FORWARD else measures[::-1]
    row = _row(estimates, key, term, ML)
    question = f"Beyond the client's own course: does {source} predict {target} {_when(row)}?"
    if row is None or row["status"] == "not_estimated":
        reason = str(row["reason"]) if row is not None else "there is no row for it"
        return question, "Not estimated.", [f"{reason[:1].upper()}{reason[1:].rstrip('.')}."]
    sentences = [_found(row, source, target, term), _twin(_row(estimates, key, term, NUTS))]
    sentences += [_lasting(estimates, key, term, source, target)]
    sentences += [_can_show(estimates, key, term)]
    return question, _verdict(row, term), [text for text in sentences if text]


def _row(estimates: pd.DataFrame, key: str, term: str, estimator: str) -> pd.Series | None:
    own = rows_by(estimates, key, estimator)
    own = own[own["term"] == term]
    return own.iloc[0] if len(own) else None


def _when(row: pd.Series | None) -> str:
    same = row is not None and row["lag"] == 0
    return "later in the same session" if same else "at the next session"


def _verdict(row: pd.Series, term: str) -> str:
    if row["status"] == "diagnostics_failed":
        return "Not to be relied on: diagnostics failed."
    if row["ci_low"] <= 0 <= row["ci_high"]:
        return "Not clear: the interval includes zero."
    source = "a higher rating" if term == FORWARD else "a worse outcome"
    target = "outcome" if term == FORWARD else "rating"
    return f"Yes: {source} goes with a {_way(row, term)} {target}."


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


def _lasting(estimates: pd.DataFrame, key: str, term: str, source: str, target: str) -> str:
    row = _row(estimates, key, f"long_run_held_{term.removeprefix('cross_lag_')}", ML)
    if row is None or row["status"] != "ok":
        return ""
    digits = digits_for(row["se"])
    return (
        f"If {source} stayed one point {'higher' if term == FORWARD else 'worse'} for good, the "
        f"model expects {target} to settle {number(abs(row['estimate']), digits)} points "
        f"{_way(row, term)} (long-run b = {number(row['estimate'], digits)}, 95% CI "
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
        return f"{text}; one of .10, as often published, in {found} of them."
    return (
        f"{text}. What they cannot show: a slope of .10, as often published, is found in only "
        f"{found} of such studies, so that not finding one says little about it."
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
    twin = any(len(rows_by(estimates, key, NUTS)) for key in study.dynamics)
    return (EXPLAINED + (TWIN if twin else ""), *absent)


def _reason(estimates: pd.DataFrame, key: str) -> str:
    lags = cross_lags(estimates, key)
    reason = str(lags.loc[lags["status"].ne("ok"), "reason"].iloc[0]).rstrip(".")
    return f"{reason[:1].upper()}{reason[1:]}."


def sensitivity_words(estimates: pd.DataFrame, study: Study) -> tuple[str, ...]:
    """Said below tables and figures: courses of clients, first session, phases."""
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
        "first ratings vary as much as later ones",
        "first ratings vary otherwise than later ones, which the model allows",
    ),
}
