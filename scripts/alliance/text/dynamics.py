"""From session to session: the dynamic models, and the classic question about early alliance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from alliance.study import AssociationSpec, DynamicsSpec
from alliance.tables.format import counted, number, with_interval
from alliance.tables.models import sample_words
from alliance.text.document import Passage, passage
from alliance.text.inputs import TextInputs
from alliance.text.words import listed, sentence, statistics

_LIKELIHOOD = "Random-intercept VAR(1), ML"
_TWIN = "Random-intercept VAR(1), NUTS"
_SECOND = "ML-SEM"
_TRENDS = {
    "none": "constant means",
    "linear": "a linear course of the means",
    "session_effects": "means of their own at each session",
}


def dynamics_methods(x: TextInputs) -> Passage | None:
    """The random-intercept VAR as it was fitted; nothing when the study asks for none."""
    specs = x.study.dynamics
    if not specs:
        return None
    text = (
        "What alliance and outcome predict of each other from one session to the next was "
        "estimated with random-intercept vector autoregressions [@hamaker2015; @asparouhov2018]: "
        "clients' stable levels are latent, so that the lagged outcome is not centred at an "
        "observed mean, which would bias its coefficient. The order of measurement follows from "
        "the timing of the forms, gaps are bridged exactly, and the first session is left free. "
        "The likelihood integrates clients' levels out and uses all observed sessions. Standard "
        f"errors are from the observed information.{_resampled(x)}"
    )
    return passage(
        "Dynamic models", [text, *(_model(x, spec) for spec in specs.values()), _second(x)]
    )


def _model(x: TextInputs, spec: DynamicsSpec) -> str:
    courses = "; clients had linear courses of their own" if spec.random_trend else ""
    names = [x.label(name) for name in (spec.alliance, spec.outcome, *spec.further)]
    return f"*{spec.label}.* {listed(names)}, with {_TRENDS[spec.trend]}{courses}."


def _resampled(x: TextInputs) -> str:
    """The bootstrap of the coefficients, of which one was asked for."""
    own = x.estimates[x.estimates["analysis"].isin(list(x.study.dynamics))]
    drawn = own.loc[own["interval"].str.startswith("95% percentile, bootstrap of"), "interval"]
    if drawn.empty:
        return ""
    whom = str(drawn.iloc[0]).removeprefix("95% percentile, bootstrap of ").partition(",")[0]
    times = max(spec.bootstrap for spec in x.study.dynamics.values())
    return (
        f" The coefficients were also resampled by drawing whole {whom} with all their sessions "
        f"({counted(times, 'sample')})."
    )


def _second(x: TextInputs) -> str:
    if not x.estimates["estimator"].str.startswith(_SECOND).any():
        return ""
    return (
        "As a second estimator, maximum likelihood for panel models with fixed effects and a "
        "predetermined predictor was used [@allison2017]; usual shortcuts stand in the same table, "
        "each with its known bias."
    )


def dynamics_results(x: TextInputs) -> list[Passage | None]:
    """A heading and one passage per dynamic model."""
    found = [_result(x, name, spec) for name, spec in x.study.dynamics.items()]
    return [Passage("Dynamic models"), *found] if found else []


def _result(x: TextInputs, name: str, spec: DynamicsSpec) -> Passage | None:
    own = x.estimates[x.estimates["analysis"] == name]
    main = own[own["estimator"] == _LIKELIHOOD]
    done = main[main["status"] != "not_estimated"]
    if done.empty:
        refused = own[own["status"] == "not_estimated"]
        reason = refused["reason"].iloc[0] if len(refused) else "there is no row of estimates"
        return passage(spec.label, [sentence(f"Not estimated: {reason}")], level=3)
    first = f"Data: {sample_words(done.iloc[0])}."
    return passage(
        spec.label, [" ".join([first, *_paths(x, done, spec), *_agreement(own)])], level=3
    )


def _paths(x: TextInputs, done: pd.DataFrame, spec: DynamicsSpec) -> Iterator[str]:
    alliance, outcome = x.label(spec.alliance), x.label(spec.outcome)
    turned = " (turned so that higher is worse)"
    outcome += turned if x.change_of(spec.outcome, -1.0) == "better" else ""
    for term, words in (
        ("cross_lag_alliance_outcome", f"Forward, {alliance} to {outcome}"),
        ("cross_lag_outcome_alliance", f"Reverse, {outcome} to {alliance}"),
        ("autoregression_outcome", f"Carry-over of {outcome}"),
        ("autoregression_alliance", f"Carry-over of {alliance}"),
    ):
        row = _first(done, term)
        if row is not None:
            yield f"{words}: {statistics(row)}{_standardised(row)} ({row['units']})."


def _standardised(row: pd.Series) -> str:
    if not np.isfinite(row["std_within"]) or row["term"].startswith("autoregression"):
        return ""
    value = with_interval(row["std_within"], row["std_within_low"], row["std_within_high"])
    return f"; standardised {value}"


def _agreement(own: pd.DataFrame) -> Iterator[str]:
    """The same forward effect by the Bayesian twin and by the second estimator."""
    for start, words in ((_TWIN, "The Bayesian twin"), (_SECOND, "The second estimator")):
        row = _first(own[own["estimator"].str.startswith(start)], "cross_lag_alliance_outcome")
        if row is not None:
            yield f"{words} gave for the forward effect {statistics(row)}."


def _first(rows: pd.DataFrame, term: str) -> pd.Series | None:
    own = rows[(rows["term"] == term) & (rows["status"] == "ok")]
    return own.iloc[0] if len(own) else None


def association_methods(x: TextInputs) -> Passage | None:
    """Early alliance and the last outcome, without and with earlier change held equal."""
    specs = x.study.associations
    if not specs:
        return None
    said = [_association(x, spec) for spec in specs.values()]
    errors = x.estimates.loc[x.estimates["analysis"].isin(specs), "interval"]
    if errors.str.contains("robust by therapist").any():
        said.append(
            "Standard errors are robust by therapist (CR2 with Satterthwaite degrees of freedom) "
            "[@pustejovsky2018]."
        )
    more = (
        "Correlations are given as they are, at equal baseline, and also at equal change up to the "
        "rating, because earlier improvement can precede the alliance; they stand beside the "
        "meta-analytic correlation [@fluckiger2018]."
    )
    return passage("Early alliance and last outcome", [" ".join([*said, more])])


def _association(x: TextInputs, spec: AssociationSpec) -> str:
    low, high = spec.sessions
    when = f"session {low}" if low == high else f"sessions {low} to {high}"
    return (
        f"*{spec.label}.* The mean of {x.label(spec.predictor)} over {when} was correlated with "
        f"the last later score of {x.label(spec.outcome)}."
    )


def association_results(x: TextInputs) -> Passage | None:
    """The three correlations of each association."""
    said = []
    for name, spec in x.study.associations.items():
        own = x.estimates[x.estimates["analysis"] == name]
        found = list(_correlations(own))
        refused = own[own["status"] == "not_estimated"]
        if not found and len(refused):
            found = [sentence(f"not estimated: {refused['reason'].iloc[0]}")]
        found += _published(own)
        said.append(f"*{spec.label}.* {' '.join(found)}" if found else "")
    return passage("Early alliance and last outcome", said)


def _correlations(own: pd.DataFrame) -> Iterator[str]:
    for term, words in (
        ("r", "Unadjusted"),
        ("r_baseline", "At equal baseline"),
        ("r_prior_change", "At equal baseline and equal change up to the rating"),
    ):
        row = _first(own, term)
        if row is not None:
            yield f"{words}: {statistics(row, 'r')} ({counted(row['n_clients'], 'client')})."


def _published(own: pd.DataFrame) -> Iterator[str]:
    row = _first(own, "r_published")
    if row is not None:
        value = number(row["estimate"], 3, bounded=True)
        yield f"Meta-analytic correlation in the same orientation: *r* = {value}."
