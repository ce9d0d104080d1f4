"""Likelihood-ratio tests of random effects, corrected for the boundary, as rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from alliance.estimates import Estimate
from alliance.estimation.design import ModelDesign
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import LmmFit, fit_lmm, likelihood_ratio
from alliance.estimation.row_maker import RowMaker

_WORDS = "Likelihood-ratio test that {what} are the same for all {whom}"
_SLOPES = {
    "within": "the within-client slopes",
    "between": "the between-client slopes",
    "time": "the slopes over time",
}


def variance_test_rows(fit: LmmFit, maker: RowMaker) -> list[Estimate]:
    """One row per random slope of clients and per random effect of therapists.

    The statistic is referred to a 50:50 mixture of chi-squares, because the variance under test is
    zero, at the edge of its range (Self & Liang 1987; Stram & Lee 1994).
    """
    design = maker.design
    if design is None or fit.solution is None or not fit.converged:
        return []
    return [
        _row(fit, maker, term, level, words, smaller)
        for term, level, words, smaller in _smaller_models(design)
    ]


def _smaller_models(design: ModelDesign) -> Iterator[tuple[str, str, str, ModelDesign]]:
    """(term, level, words, the design without that random effect)."""
    for k, name in enumerate(design.random_names):
        if name != "intercept":
            words = _WORDS.format(what=_SLOPES.get(name, f"the slopes of {name}"), whom="clients")
            rest = np.delete(design.client_columns, k)
            yield f"lr_sd_{name}", "between_client", words, replace(design, client_columns=rest)
    upper = design.therapist_names
    for k, name in enumerate(upper):
        if name != "intercept":
            what = _SLOPES.get(name, f"the slopes of {name}")
            words = _WORDS.format(what=f"{what}, averaged over their clients,", whom="therapists")
            rest = np.delete(design.therapist_columns, k)
            smaller = replace(design, therapist_columns=rest)
            yield f"lr_sd_therapist_{name}", "between_therapist", words, smaller
    if upper == ("intercept",):
        words = _WORDS.format(what="the mean outcomes, given the predictors,", whom="therapists")
        none = np.zeros(0, dtype=np.int64)
        smaller = replace(design, therapist=None, therapist_columns=none)
        yield "lr_sd_therapist", "between_therapist", words, smaller


def _row(
    fit: LmmFit, maker: RowMaker, term: str, level: str, words: str, smaller: ModelDesign
) -> Estimate:
    named = {"level": level, "estimand": words, "units": "chi-square"}
    other = fit_lmm(smaller, "REML" if fit.reml else "ML")
    if isinstance(other, Refusal) or not other.converged:
        why = other.reason if isinstance(other, Refusal) else other.message
        reason = f"the model without this random effect could not be fitted: {why}"
        return maker.row(term, "test", status="not_estimated", reason=reason, **named)
    found = likelihood_ratio(fit, other)
    named["estimand"] = f"{words} ({found.reference})"
    return maker.row(term, "test", estimate=found.statistic, p=found.p, **named)
