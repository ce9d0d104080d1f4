"""What the rows of one model have in common, from the study file."""

from __future__ import annotations

import numpy as np

from alliance.estimation.association import AssociationContext
from alliance.estimation.terms import RowContext
from alliance.instruments import Instrument, scale_name
from alliance.study import ModelSpec, Study
from alliance.timing import lag_rule

MISSING_RULE = "all observed pairs; exact likelihood under missing at random"
LAGGED_HYBRID = (
    "no lagged outcome: an effect that works through the previous outcome is part of the estimate"
)


def row_context(
    study: Study,
    model: str,
    instruments: dict[str, Instrument],
    estimator: str,
    code_hash: str,
    seed: float = np.nan,
) -> RowContext:
    """The context of all rows of ``model``; labels and units come from measures and instruments."""
    spec = study.models[model]
    outcome = study.measures[spec.outcome]
    common = {
        "analysis": model,
        "outcome": spec.outcome,
        "outcome_label": outcome.label,
        "outcome_units": f"{scale_name(outcome, instruments)} points",
        "time_unit": study.timing.unit,
        "clock": study.timing.unit,
        "trend": _trend(spec),
        "missing_rule": MISSING_RULE,
        "estimator": estimator,
        "seed": seed,
        "code_hash": code_hash,
    }
    if spec.predictor is None:
        return RowContext(**common, rater=outcome.rater)
    predictor = study.measures[spec.predictor]
    rule = lag_rule(study.timing, spec.lag)
    part = f", {spec.component}" if spec.component else ""
    return RowContext(
        **common,
        predictor=spec.predictor,
        predictor_label=predictor.label + part,
        predictor_unit=f"{scale_name(predictor, instruments)} point",
        rater=predictor.rater,
        component=spec.component or "total",
        timing_order=rule.order,
        lag=float(rule.lag),
        known_bias="" if rule.lag == 0 else LAGGED_HYBRID,
    )


def association_context(
    study: Study, association: str, instruments: dict[str, Instrument], code_hash: str
) -> AssociationContext:
    """The words and keys of all rows of one association."""
    spec = study.associations[association]
    predictor, outcome = study.measures[spec.predictor], study.measures[spec.outcome]
    part = f", {spec.component}" if spec.component else ""
    return AssociationContext(
        analysis=association,
        predictor=spec.predictor,
        predictor_label=predictor.label + part,
        predictor_unit=f"{scale_name(predictor, instruments)} point",
        outcome=spec.outcome,
        outcome_label=outcome.label,
        outcome_units=f"{scale_name(outcome, instruments)} points",
        rater=predictor.rater,
        component=spec.component or "total",
        role=predictor.role,
        code_hash=code_hash,
    )


def _trend(spec: ModelSpec) -> str:
    """How the course over time is taken out, in words."""
    if "time" not in spec.covariates:
        return "none"
    return "linear, varying between clients" if "time" in spec.random_slopes else "linear"
