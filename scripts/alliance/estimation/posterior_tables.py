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
    """``analysis, term, mean, sd``: the normal priors of the same coefficients, raw units."""
    rows = []
    for term in SHOWN:
        position = fit.design.column(term)
        if position is not None:
            scale = fit.standard.outcome / fit.standard.columns[position]
            rows.append((analysis, term, 0.0, fit.priors.coefficient(term) * scale))
    return pd.DataFrame(rows, columns=["analysis", "term", "mean", "sd"])
