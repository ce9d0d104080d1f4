"""Posterior draws and priors of the coefficients as tables, for figures."""

from __future__ import annotations

import pandas as pd

from alliance.estimation.bayes import BayesFit

SHOWN: tuple[str, ...] = ("within", "between", "between_therapist", "time")


def draws_table(fit: BayesFit, analysis: str) -> pd.DataFrame:
    """``analysis, term, value``: draws of the coefficients that readers ask about, raw units."""
    parts = [
        pd.DataFrame({"analysis": analysis, "term": term, "value": fit.draws(term).ravel()})
        for term in SHOWN
        if term in fit.terms
    ]
    return pd.concat(parts, ignore_index=True)


def priors_table(fit: BayesFit, analysis: str) -> pd.DataFrame:
    """``analysis, term, mean, sd``: the normal priors of all coefficients, raw units.

    Without the intercept, whose prior is about the outcome at the means of the columns.
    """
    rows = [
        (analysis, term, 0.0, fit.priors.coefficient(term) * fit.standard.outcome / size)
        for term, size in zip(fit.design.names, fit.standard.columns, strict=True)
        if term != "intercept"
    ]
    return pd.DataFrame(rows, columns=["analysis", "term", "mean", "sd"])
