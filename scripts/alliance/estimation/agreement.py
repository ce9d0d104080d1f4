"""Do independent estimators agree? Differences in standard errors of the reference.

A posterior mean is not expected where REML is, but where the prior draws it: with a normal prior
``N(m, s)`` and a coefficient known with standard error ``e``, at the average of both weighted by
``1 / s^2`` and ``1 / e^2``, with variance ``1 / (1 / s^2 + 1 / e^2)``. ``e`` is widened by
``df / (df - 2)``, the variance of a t distribution, because the posterior knows that the variances
are estimated. A Bayesian fit is held to that, so that a small study does not fail for having a
prior and a wrong fit does not pass for having one. How much the prior weighs, and whether it
contradicts the data, is told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

COLUMNS: tuple[str, ...] = (
    "analysis",
    "term",
    "level",
    "reference",
    "estimator",
    "estimate_reference",
    "se_reference",
    "estimate",
    "se",
    "difference_in_se",
    "se_ratio",
    "expected",
    "expected_se",
    "prior_weight",
    "difference_from_expected",
    "verdict",
    "remark",
)
REFERENCES = ("REML", "ML")
# Largest difference from what is expected, in its standard errors, before an estimator disagrees;
# by how its name begins. What is left between a posterior mean and its expectation is Monte Carlo
# error and the likelihood not being normal.
TOLERANCES: dict[str, float] = {"MixedLM": 0.05, "NUTS": 0.5}
OTHER_MODEL_TOLERANCE = 0.5  # where a remark says that the estimator's model is not quite the same
SE_TOLERANCE = 0.25  # largest relative difference of the standard errors themselves
# With few clients the variances are poorly known, their priors count and normal theory is rough;
# with weighty priors the coefficients' correlations count, which the expectation leaves out; where
# a variance or correlation of the reference lies on its boundary, the posterior averages over
# values inside. There a Bayesian fit beyond its tolerance is told, and fails only beyond these.
FEW_CLIENTS = 30
ROUGH_TOLERANCE = 1.0
ROUGH_SE_TOLERANCE = 1.0
WEIGHTY_PRIOR = 0.2  # share of the prior in the posterior mean from which it is told
_CONFLICT = 2.0  # distance of prior and data, in standard deviations of their difference
_KEYS = ["analysis", "term"]


def compare_estimators(
    table: pd.DataFrame,
    reference: Collection[str] = REFERENCES,
    priors: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Every fixed effect of every other estimator beside the reference's.

    Parameters
    ----------
    table : estimates (``alliance.estimates``) of several estimators, several analyses.
    reference : names of the reference estimator, in full: other models are not its peers.
    priors : ``analysis, term, mean, sd`` of the normal priors, in the units of the estimates; a
        coefficient without one is taken to have a flat prior.

    Returns
    -------
    DataFrame
        COLUMNS, sorted; ``difference_in_se`` = (estimate - reference) / se of the reference;
        ``expected`` is the reference, drawn towards the prior for a Bayesian estimator. Terms
        that either estimator could not estimate are not compared. ``verdict`` is ``agrees``,
        ``agrees roughly`` (beyond the tolerance, but not more than few clients, a
        weighty prior or a variance on the boundary explain) or
        ``disagrees``. ``remark`` repeats a ``known_bias`` that only the other estimator has, e.g.
        a simplified model, and says where the prior weighs much or contradicts the data.
    """
    fixed = table[(table["kind"] == "fixed") & (table["status"] == "ok")]
    is_reference = fixed["estimator"].isin(reference)
    kept = ["level", "estimator", "estimate", "se", "df", "n_clients", "known_bias", "converged"]
    both = fixed[~is_reference][[*_KEYS, *kept]].merge(
        fixed[is_reference][[*_KEYS, *kept]], on=_KEYS, suffixes=("", "_reference")
    )
    both = both.rename(columns={"estimator_reference": "reference"})
    difference = both["estimate"] - both["estimate_reference"]
    both["difference_in_se"] = difference / both["se_reference"]
    both["se_ratio"] = both["se"] / both["se_reference"]
    both = _with_expectation(both, priors)
    apart = both["estimate"] - both["expected"]
    both["difference_from_expected"] = apart / both["expected_se"]
    same = both["known_bias"] == both["known_bias_reference"]
    both["remark"] = both["known_bias"].where(~same, "")
    both["verdict"] = [_verdict(row) for row in both.itertuples()]
    both["remark"] = [_join(row.remark, _about_prior(row)) for row in both.itertuples()]
    return both[list(COLUMNS)].sort_values([*_KEYS, "estimator"], ignore_index=True)


def _with_expectation(both: pd.DataFrame, priors: pd.DataFrame | None) -> pd.DataFrame:
    """``expected``, ``expected_se`` and ``prior_weight``; NaN weight where there is no prior."""
    bayesian = both["estimator"].str.startswith("NUTS")
    known = pd.DataFrame(columns=[*_KEYS, "mean", "sd"]) if priors is None else priors
    known = known[[*_KEYS, "mean", "sd"]].rename(columns={"mean": "prior_mean", "sd": "prior_sd"})
    both = both.merge(known, on=_KEYS, how="left")
    mean = both["prior_mean"].astype(float).fillna(0.0)
    prior = 1 / both["prior_sd"].astype(float).fillna(np.inf) ** 2
    df = both["df_reference"].astype(float).fillna(np.inf).clip(lower=5)
    variance = both["se_reference"] ** 2 * np.where(np.isinf(df), 1.0, df / (df - 2))
    data = 1 / variance
    drawn = (data * both["estimate_reference"] + prior * mean) / (data + prior)
    both["expected"] = drawn.where(bayesian, both["estimate_reference"])
    both["expected_se"] = np.sqrt(1 / (data + prior)).where(bayesian, both["se_reference"])
    both["prior_weight"] = (prior / (data + prior)).where(bayesian & (prior > 0))
    spread = np.sqrt(variance + both["prior_sd"].astype(float) ** 2)
    both["conflict"] = (both["estimate_reference"] - mean).abs() / spread
    return both


def _verdict(row: object) -> str:
    """Agreement by the rules at the head of this module."""
    bayesian = str(row.estimator).startswith("NUTS")
    limit = next((v for k, v in TOLERANCES.items() if str(row.estimator).startswith(k)), 0.05)
    if row.remark:
        limit = max(limit, OTHER_MODEL_TOLERANCE)
    apart = abs(float(row.difference_from_expected))
    ratio = row.se / row.expected_se
    spread = abs(float(np.log(ratio))) if ratio > 0 else np.inf
    if apart <= limit and spread <= np.log1p(SE_TOLERANCE):
        return "agrees"
    rough = bayesian and (
        row.n_clients_reference < FEW_CLIENTS
        or row.prior_weight > WEIGHTY_PRIOR
        or "boundary" in row.converged_reference
    )
    # statsmodels' standard errors come from the Hessian of all parameters, which is nearly singular
    # close to a boundary; with few clients it is held to the coefficients alone, at full tolerance.
    inexact = row.estimator.startswith("MixedLM") and row.n_clients_reference < FEW_CLIENTS
    allowed = limit if inexact else ROUGH_TOLERANCE
    if (rough or inexact) and apart <= allowed and spread <= np.log1p(ROUGH_SE_TOLERANCE):
        return "agrees roughly"
    return "disagrees"


def _about_prior(row: object) -> str:
    """What a reader must know of the prior; empty where the data outweigh it."""
    if not row.prior_weight > WEIGHTY_PRIOR:
        return ""
    words = f"the prior has {100 * row.prior_weight:.0f}% of the weight in the Bayesian estimate"
    if row.conflict > _CONFLICT:
        words += ", and the data contradict it"
    return words


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def disagreements(comparison: pd.DataFrame) -> list[str]:
    """One sentence per coefficient on which two estimators disagree; empty when all agree.

    Parameters
    ----------
    comparison : from :func:`compare_estimators`.
    """
    return [
        f"{row.analysis}, {row.term}: {row.reference} {row.estimate_reference:.4g} "
        f"(SE {row.se_reference:.3g}), {row.estimator} {row.estimate:.4g} (SE {row.se:.3g}); "
        f"expected {row.expected:.4g} (SE {row.expected_se:.3g}), "
        f"{abs(row.difference_from_expected):.2g} standard errors away"
        for row in comparison[comparison["verdict"] == "disagrees"].itertuples()
    ]


def tell_prior_weight(table: pd.DataFrame, comparison: pd.DataFrame) -> pd.DataFrame:
    """The estimates, Bayesian rows with a weighty prior saying so in ``known_bias``."""
    told: Mapping[tuple[str, str, str], str] = {
        (row.analysis, row.term, row.estimator): row.remark
        for row in comparison.itertuples()
        if row.prior_weight > WEIGHTY_PRIOR
    }
    keys = zip(table["analysis"], table["term"], table["estimator"], strict=True)
    words = [told.get(key, "") for key in keys]
    before = table["known_bias"].fillna("")
    return table.assign(
        known_bias=[
            old if not new or new in old else _join(old, new.removeprefix(f"{old}; "))
            for old, new in zip(before, words, strict=True)
        ]
    )
