"""What the checks of the Bayesian models say, in sentences for report and manuscript."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from alliance.tables.bayes import bayes_factor
from alliance.tables.format import direction, interval, number, p_text, percent
from alliance.tables.models import term_words


def bayes_sentences(checks: pd.DataFrame, key: str, label: str) -> list[str]:
    """The checks of one model, a sentence each; nothing for a model without checks."""
    own = checks[checks["analysis"] == key]
    if own.empty:
        return []
    if (own["status"] == "diagnostics_failed").any():
        return [f"{label}: the sample failed its diagnostics, so its checks are not told here."]
    return [
        f"Checks of: {label}.",
        *_prediction(own),
        *_comparison(own),
        *_sensitivity(own),
        *_decision(own),
        *_factors(own),
    ]


def _prediction(own: pd.DataFrame) -> Iterator[str]:
    part = own[own["check"] == "posterior_predictive"]
    missed = part[part["flag"] != ""]
    if missed.empty:
        yield "Data simulated from the model are like the observed in every statistic looked at."
    else:
        named = "; ".join(
            f"{row.words} (observed {_value(row)}, posterior predictive {p_text(row.p)})"
            for row in missed.itertuples()
        )
        yield (
            f"The model does not reproduce: {named}. Where the spread of "
            "clients, skewness or autocorrelation is concerned, standard errors of within effects "
            "can be off."
        )
    prior = own[(own["check"] == "prior_predictive") & (own["flag"] != "")]
    if len(prior):
        yield f"The priors allow what the scale does not: {'; '.join(prior['words'])}."


def _value(row: object) -> str:
    return percent(100 * row.observed) if row.term == "beyond_scale" else number(row.observed)


def _comparison(own: pd.DataFrame) -> Iterator[str]:
    for row in own[own["check"] == "comparison"].itertuples():
        if row.status != "ok":
            yield f"{row.words}: not estimated ({row.reason})."
            continue
        found = f"{number(row.estimate, 1)} (SE {number(row.se, 1)})"
        verdict = "this decides nothing" if row.flag == "undecided" else row.flag
        yield f"{row.words}: {found}; {verdict}."
    for row in own[own["check"] == "leave_one_out"].itertuples():
        if row.flag:
            yield f"Leave-one-out: {row.flag}."


def _sensitivity(own: pd.DataFrame) -> Iterator[str]:
    part = own[own["check"] == "prior_sensitivity"]
    flagged = part[part["flag"] != ""]
    if flagged.empty:
        yield "No reported quantity is sensitive to its prior (power-scaling below .05)."
        return
    named = "; ".join(
        f"{term_words(row.term).lower()} ({number(row.estimate, 2, True)}, {row.flag})"
        for row in flagged.itertuples()
    )
    yield f"Sensitive to the prior: {named}."


def _decision(own: pd.DataFrame) -> Iterator[str]:
    part = own[own["check"] == "decision"].set_index("term")
    if "within" not in part.index:
        return
    within, rope = part.loc["within"], part.loc["rope"]
    yield (
        f"The within effect is {number(within['estimate'], 3)} {within['units']}, 95% "
        f"highest-density interval {interval(within['low'], within['high'], 3)}; it is negative "
        f"with probability {direction(part.loc['negative', 'p'])} and practically zero "
        f"(between {rope['words'].partition('between ')[2].replace('-', '−')}) with probability "
        f"{direction(rope['p'])}."
    )


def _factors(own: pd.DataFrame) -> Iterator[str]:
    part = own[(own["check"] == "bayes_factor") & np.isfinite(own["estimate"])]
    if part.empty:
        return
    named = ", ".join(
        f"{bayes_factor(row.estimate)} (prior SD {number(float(row.term), 2, True)})"
        for row in part.itertuples()
    )
    yield f"Bayes factor for a within effect against none, which depends on the prior: {named}."
