"""Checks around a Bayesian fit: leave-one-client-out, sensitivity to priors, decisions."""

from __future__ import annotations

from collections.abc import Mapping

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import stats
from scipy.special import logsumexp

from alliance.estimation.bayes import (
    BayesFit,
    likelihood_arguments,
    log_likelihood_of_draws,
    parameters_of,
)
from alliance.estimation.bayes_effects import spread_draws
from alliance.estimation.bayes_model import prior_scales
from alliance.likelihood.marginal import log_likelihood_and_gradient, pack

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SENSITIVE = 0.05  # power-scaling sensitivity that deserves a look (Kallioinen et al. 2024)
SWEEP = (0.05, 0.1, 0.2, 0.4)


# Priors


def prior_sensitivity(fit: BayesFit) -> pd.DataFrame:
    """Power-scaling sensitivity of every reported quantity to prior and likelihood.

    Returns
    -------
    ``term``, ``prior``, ``likelihood`` and ``verdict``: empty, ``prior matters`` (sensitive to the
    prior, hardly to the data) or ``prior and data disagree`` (sensitive to both).
    """
    base = {"chain": fit.tree["posterior"]["chain"], "draw": fit.tree["posterior"]["draw"]}
    total = xr.Dataset({"total": (("chain", "draw"), log_likelihood_of_draws(fit))}, base)
    tree = xr.DataTree.from_dict(
        {
            "posterior": fit.tree["posterior"].to_dataset()[["estimate"]],
            "log_prior": fit.tree["log_prior"].to_dataset(),
            "log_likelihood": total,
        }
    )
    table = pd.DataFrame({"term": list(fit.terms)})
    for group in ("prior", "likelihood"):
        table[group] = az.psense(tree, group=group)["estimate"].to_numpy()
    table["verdict"] = [
        _sensitivity_verdict(*row) for row in table[["prior", "likelihood"]].to_numpy()
    ]
    return table


def _sensitivity_verdict(prior: float, likelihood: float) -> str:
    if not prior > SENSITIVE:
        return ""
    return "prior and data disagree" if likelihood > SENSITIVE else "prior matters"


# Decisions


def standardised_draws(fit: BayesFit, term: str) -> FloatArray:
    """(chains, draws) of a coefficient of the predictor, in within-client SDs of both."""
    return fit.draws(term) * fit.design.sd_within_predictor / fit.standard.outcome


def practical_equivalence(fit: BayesFit, term: str = "within") -> float:
    """Posterior probability that a standardised effect lies inside the ROPE of the priors.

    For coefficients of the predictor (``within``, ``between``, ``contextual``), in within-client
    SDs of outcome per within-client SD of predictor.
    """
    return float((np.abs(standardised_draws(fit, term)) < fit.priors.rope).mean())


def highest_density(values: FloatArray, share: float = 0.95) -> tuple[float, float]:
    """Shortest interval that holds a share of the draws (Kruschke 2014)."""
    ordered = np.sort(np.ravel(values))
    inside = int(np.ceil(share * ordered.size))
    widths = ordered[inside - 1 :] - ordered[: ordered.size - inside + 1]
    start = int(np.argmin(widths))
    return float(ordered[start]), float(ordered[start + inside - 1])


def bayes_factor_sweep(
    fit: BayesFit,
    term: str = "within",
    prior_sds: tuple[float, ...] = SWEEP,
    max_draws: int = 500,
) -> pd.DataFrame:
    """Savage-Dickey Bayes factors of a fixed effect, always over a sweep of its prior SD.

    Given SDs and correlations the fixed effects are exactly normal, so the posterior density at
    zero is an average of normal densities; for another prior SD the draws are reweighted by
    the exact ratio of marginal likelihoods.

    Returns
    -------
    ``prior_sd`` (within-client SDs), ``bf10``, ``log_bf10`` and ``effective_draws`` of the weights.
    """
    k = fit.design.column(term)
    if k is None:
        raise ValueError(f"{term!r} is not a fixed effect of the model")
    own = prior_scales(fit.design, fit.priors)["beta"]
    parameters = parameters_of(fit)
    points = spread_draws(parameters["sigma"].shape, max_draws)
    quadratics = [_quadratic_form(fit, parameters, at) for at in points]
    reference = np.array([_integrated(*form, own)[0] for form in quadratics])
    rows = []
    for prior_sd in prior_sds:
        scales = own.copy()
        scales[k] = prior_sd
        results = [_integrated(*form, scales) for form in quadratics]
        log_weights = np.array([r[0] for r in results]) - reference
        densities = [stats.norm.logpdf(0.0, r[1][k], np.sqrt(r[2][k, k])) for r in results]
        at_zero = logsumexp(log_weights + densities) - logsumexp(log_weights)
        log_bf = float(stats.norm.logpdf(0.0, 0.0, prior_sd) - at_zero)
        weights = np.exp(log_weights - log_weights.max())
        rows.append(
            {
                "prior_sd": prior_sd,
                "bf10": float(np.exp(log_bf)),
                "log_bf10": log_bf,
                "effective_draws": float(weights.sum() ** 2 / (weights**2).sum()),
            }
        )
    return pd.DataFrame(rows)


def _quadratic_form(
    fit: BayesFit, parameters: Mapping[str, FloatArray], at: tuple[int, int]
) -> tuple[FloatArray, FloatArray]:
    """(A, b) of the log-likelihood ``b'beta - beta'A beta / 2`` in the centred coefficients.

    The gradient is linear in the coefficients: p + 1 evaluations give it exactly.
    """
    _, *rest = likelihood_arguments(parameters, at, fit.standard)
    arrays = pack(fit.statistics).arrays()
    p = fit.design.X.shape[1]
    T = np.eye(p)
    T[0] -= fit.standard.centre

    def gradient(beta: FloatArray) -> FloatArray:
        return log_likelihood_and_gradient(beta, *rest, *arrays)[1]

    b = gradient(np.zeros(p))
    A = np.column_stack([b - gradient(unit) for unit in np.eye(p)])
    return T.T @ A @ T, T.T @ b


def _integrated(
    A: FloatArray, b: FloatArray, scales: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Log marginal likelihood (up to a constant), posterior mean and covariance of beta."""
    covariance = np.linalg.inv(A + np.diag(1.0 / scales**2))
    mean = covariance @ b
    log_det = np.linalg.slogdet(covariance)[1]
    return float(0.5 * log_det - np.log(scales).sum() + 0.5 * b @ mean), mean, covariance
