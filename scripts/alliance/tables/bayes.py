"""Table of the checks of one Bayesian model: predictions, leave-one-out, priors, decisions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from alliance.stage_tables import fill_words
from alliance.tables.apa import ApaTable, Column, Row, section
from alliance.tables.format import ABSENT, direction, interval, number, p_value, percent
from alliance.tables.models import term_words

_LARGEST_FACTOR = 100.0  # Bayes factors beyond it (or below its inverse) are not told apart
_SHARES = ("beyond_scale",)
_BOUNDED = ("icc", "autocorrelation")

SECTIONS: dict[str, str] = {
    "posterior_predictive": "Does the model reproduce the data? (posterior predictive)",
    "prior_predictive": "Do the priors imply possible data? (prior predictive)",
    "leave_one_out": "Prediction of new clients (leave-one-out)",
    "comparison": "Prediction of new clients (leave-one-out)",
    "prior_sensitivity": "Does the prior matter? (power-scaling)",
    "decision": "Size and direction of the within effect",
    "bayes_factor": "Bayes factor of the within effect against zero, by prior SD",
    "slopes": "Clients' own slopes",
}


def read_checks(paths: Sequence[str]) -> pd.DataFrame | None:
    """The checks of all Bayesian models of a study; None without any."""
    parts = [pd.read_csv(path, dtype={"term": str}) for path in paths]
    filled = [part for part in parts if len(part)]
    return fill_words(pd.concat(filled, ignore_index=True)) if filled else None


def bayes_checks_table(checks: pd.DataFrame, key: str, label: str) -> ApaTable:
    """All checks of one model.

    Parameters
    ----------
    checks : rows of ``alliance.estimation.bayes_summary.Check``; missing words are empty.
    key, label : the model.
    """
    own = checks[checks["analysis"] == key]
    rows: list[Row] = []
    heading = ""
    for check, title in SECTIONS.items():
        part = own[own["check"] == check]
        if check == "prior_sensitivity":
            part = part[part["flag"].ne("") | part["term"].isin(["within", "between", "time"])]
        if part.empty:
            continue
        if title != heading:
            rows.append(section(title))
            heading = title
        rows += [Row(_cells(row), indent=True) for row in part.itertuples()]
    columns = (
        Column("Check"), Column("Observed"), Column("Model [95%]"), Column("Probability"),
        Column("To be looked at"),
    )  # fmt: skip
    return ApaTable(
        f"bayes_checks_{key}", f"Bayesian Checks: {label}", columns, tuple(rows),
        tuple(_notes(own)), own,
    )  # fmt: skip


def _cells(row: object) -> tuple[str, ...]:
    if row.status == "not_estimated":
        return (row.words, ABSENT, "not estimated", ABSENT, row.reason)
    if row.check.endswith("predictive"):
        return _of_prediction(row)
    if row.check == "prior_sensitivity":
        words = f"{term_words(row.term)}: sensitivity to prior (to data)"
        value = f"{number(row.estimate, 3, True)} ({number(row.observed, 3, True)})"
        return (words, ABSENT, value, ABSENT, row.flag or ABSENT)
    if row.check == "bayes_factor":
        words = f"Prior SD {number(float(row.term), 2, True)} within-client SDs"
        return (words, ABSENT, bayes_factor(row.estimate), ABSENT, ABSENT)
    return _of_number(row)


def _of_prediction(row: object) -> tuple[str, ...]:
    share, bounded = row.term in _SHARES, row.term in _BOUNDED

    def shown(value: float) -> str:
        return percent(100 * value) if share else number(value, 2, bounded)

    limits = f"[{shown(row.low)}, {shown(row.high)}]"
    observed = shown(row.observed)
    prior = row.check == "prior_predictive"
    probability = percent(100 * row.p, 0) if prior else p_value(row.p)
    return (row.words, observed, f"{shown(row.estimate)} {limits}", probability, row.flag or ABSENT)


def _of_number(row: object) -> tuple[str, ...]:
    """Leave-one-out, comparison, decisions, slopes."""
    digits = {"leave_one_out": 1, "comparison": 1, "slopes": 0}.get(row.check, 3)
    digits = 0 if row.term == "pareto_k_bad" else digits
    value = number(row.estimate, digits)
    if np.isfinite(row.low):
        value += f" {interval(row.low, row.high, digits)}"
    elif np.isfinite(row.se):
        value += f" (SE {number(row.se, digits)})"
    return (row.words, ABSENT, value, direction(row.p), row.flag or ABSENT)


def bayes_factor(value: float) -> str:
    """``3.2``, ``0.24``, ``> 100`` or ``< 0.01``: more digits would not be meant."""
    if not np.isfinite(value):
        return ABSENT
    if value > _LARGEST_FACTOR:
        return f"> {_LARGEST_FACTOR:.0f}"
    return f"< {1 / _LARGEST_FACTOR:g}" if value < 1 / _LARGEST_FACTOR else number(value, 2)


def _notes(own: pd.DataFrame) -> Iterator[str]:
    failed = own[own["status"] == "diagnostics_failed"]
    if len(failed):
        yield f"The sample did not pass the gate ({failed['reason'].iloc[0]}): do not use these."
    yield (
        "Statistics are of the outcome (higher is worse). Model: median and central 95% of data "
        "sets simulated with the observed predictors, or estimate with interval or standard error. "
        "Probability: posterior predictive, share of simulated data sets with a value at least as "
        "large as the observed (below .025 or above .975 is to be looked at); prior predictive, "
        "share of simulated data sets that the scale allows (for scores beyond the scale: of "
        "scores on it; the prior of the mean level is wide on purpose); else posterior probability."
    )
    yield (
        "elpd: expected log predictive density, for clients (with therapists: all clients of a "
        "therapist) who were left out; differences below 4 or below two standard errors decide "
        "nothing. Sensitivity above .05: the prior matters. Bayes factors (Savage-Dickey, with the "
        "exact normal density given variances) depend on the prior and are shown over a sweep only."
    )
