"""Checks around a Bayesian fit: predictions, leave-one-client-out, priors, decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import stats
from scipy.special import logsumexp

from alliance.estimation.bayes import (
    BayesFit,
    Standard,
    likelihood_arguments,
    log_likelihood_of_draws,
    parameters_of,
    prior_scales,
    spread_draws,
    standardise,
)
from alliance.estimation.design import ModelDesign
from alliance.estimation.priors import Priors
from alliance.likelihood.marginal import log_likelihood_and_gradient, pack

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SENSITIVE = 0.05  # power-scaling sensitivity that deserves a look (Kallioinen et al. 2024)
BAD_PARETO_K = 0.7
SWEEP = (0.05, 0.1, 0.2, 0.4)


# Predictions


def posterior_predictive(fit: BayesFit, *, seed: int, n_replications: int = 200) -> pd.DataFrame:
    """Statistics of data replicated from the posterior beside the observed ones.

    New clients (and therapists) with the observed predictors are simulated from the marginal
    model; see :func:`compare_statistics` for the columns.
    """
    parameters = parameters_of(fit)
    points = spread_draws(parameters["sigma"].shape, n_replications)
    rng = np.random.default_rng(seed)
    replicated = [simulate_outcome(fit.design, fit.standard, parameters, at, rng) for at in points]
    return compare_statistics(fit.design, replicated)


def prior_predictive(
    design: ModelDesign, priors: Priors, *, seed: int, n_replications: int = 500
) -> pd.DataFrame:
    """The same statistics of data simulated from the priors alone: is what they imply possible?"""
    standard, rng = standardise(design), np.random.default_rng(seed)
    parameters = draw_from_priors(design, priors, n_replications, rng)
    replicated = [
        simulate_outcome(design, standard, parameters, (0, k), rng) for k in range(n_replications)
    ]
    return compare_statistics(design, replicated)


def draw_from_priors(
    design: ModelDesign, priors: Priors, n: int, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """(1, n, ...) draws of all parameters, in units of sampling."""
    drawn = {}
    for name, scale in prior_scales(design, priors).items():
        shape = (1, n, *scale.shape)
        if name.startswith("unit"):
            drawn[name] = rng.beta(scale, scale, size=shape) if scale.size else np.zeros(shape)
        else:
            values = scale * rng.normal(size=shape)
            drawn[name] = values if name == "beta" else np.abs(values)
    return drawn


def simulate_outcome(
    design: ModelDesign,
    standard: Standard,
    parameters: Mapping[str, FloatArray],
    at: tuple[int, int],
    rng: np.random.Generator,
) -> FloatArray:
    """(n_obs,) outcome in raw units of new clients and therapists with the same predictors."""
    beta, log_sigma, Lc, Lt = likelihood_arguments(parameters, at, standard)
    X = design.X / standard.columns
    u = rng.normal(size=(design.n_clients, Lc.shape[0])) @ Lc.T
    y = X @ beta + (X[:, design.client_columns] * u[design.client]).sum(axis=1)
    if design.therapist is not None:
        w = rng.normal(size=(design.therapist.max() + 1, Lt.shape[0])) @ Lt.T
        y += (X[:, design.therapist_columns] * w[design.therapist]).sum(axis=1)
    y += np.exp(log_sigma) * rng.normal(size=y.size)
    return standard.offset + standard.outcome * y


def compare_statistics(design: ModelDesign, replicated: list[FloatArray]) -> pd.DataFrame:
    """Observed statistics of the outcome against their distribution in replicated data.

    Returns
    -------
    One row per statistic with ``observed``, the quantiles ``low`` (2.5 %), ``median`` and ``high``
    (97.5 %) of the replications and ``tail``, the share of them at least as large as the observed.
    """
    observed = outcome_statistics(design.y, design.client)
    found = pd.DataFrame([outcome_statistics(y, design.client) for y in replicated])
    return pd.DataFrame(
        {
            "statistic": list(observed),
            "observed": list(observed.values()),
            "low": found.quantile(0.025).to_numpy(),
            "median": found.median().to_numpy(),
            "high": found.quantile(0.975).to_numpy(),
            "tail": [float((found[name] >= value).mean()) for name, value in observed.items()],
        }
    )


def outcome_statistics(y: FloatArray, client: IntArray) -> dict[str, float]:
    """ICC(1), pooled within-client SD and lag-1 autocorrelation within clients.

    Rows of a client count as consecutive in the order in which they stand. The autocorrelation is
    of deviations from client means and carries its downward bias in short series, in the observed
    and in the replicated data alike.
    """
    order = np.argsort(client, kind="stable")
    y, code = y[order], client[order]
    rows = np.bincount(code)
    means = np.bincount(code, y) / rows
    deviations = y - means[code]
    n, k = y.size, rows.size
    within = deviations @ deviations / (n - k)
    between = (rows * (means - y.mean()) ** 2).sum() / (k - 1)
    size = (n - (rows**2).sum() / n) / (k - 1)
    follows = code[1:] == code[:-1]
    before, after = deviations[:-1][follows], deviations[1:][follows]
    return {
        "icc": float((between - within) / (between + (size - 1) * within)),
        "sd_within": float(np.sqrt(within)),
        "autocorrelation": float(before @ after / np.sqrt((before @ before) * (after @ after))),
    }


# Leave-one-client-out


@dataclass(frozen=True)
class LeaveOneOut:
    """Expected log predictive density for a new client (therapist in three-level models).

    Attributes
    ----------
    elpd, se : sum over clients and its standard error. p : effective number of parameters.
    n_bad : clients with Pareto k above 0.7, for whom the approximation is not reliable.
    pointwise : (n,) contributions; pareto_k : (n,).
    """

    elpd: float
    se: float
    p: float
    n_bad: int
    pointwise: FloatArray
    pareto_k: FloatArray
    unit: str


def leave_one_out(fit: BayesFit) -> LeaveOneOut:
    """Pareto-smoothed importance sampling leave-one-client-out (Vehtari, Gelman & Gabry 2017)."""
    pointwise = fit.tree["log_likelihood"].to_dataset()
    unit = str(pointwise["outcome"].dims[-1])
    posterior = fit.tree["posterior"].to_dataset().sel(draw=pointwise["draw"])
    tree = xr.DataTree.from_dict({"posterior": posterior, "log_likelihood": pointwise})
    efficiency = min(1.0, _relative_efficiency(pointwise["outcome"].to_numpy()))
    loo = az.loo(tree, pointwise=True, var_name="outcome", reff=efficiency)
    k = np.asarray(loo.pareto_k, dtype=np.float64)
    return LeaveOneOut(
        elpd=float(loo.elpd),
        se=float(loo.se),
        p=float(loo.p),
        n_bad=int((k > BAD_PARETO_K).sum()),
        pointwise=np.asarray(loo.elpd_i, dtype=np.float64),
        pareto_k=k,
        unit=unit,
    )


def _relative_efficiency(values: FloatArray) -> float:
    total = values.sum(axis=-1)
    return float(np.asarray(az.ess(total, method="mean"))) / total.size


@dataclass(frozen=True)
class Comparison:
    """Difference of two models in expected log predictive density, first minus second."""

    difference: float
    se: float
    decided: bool


def compare(first: LeaveOneOut, second: LeaveOneOut) -> Comparison:
    """Below 4, or below two standard errors, a difference is called undecided (methods.md 3)."""
    each = first.pointwise - second.pointwise
    difference, se = float(each.sum()), float(np.sqrt(each.size * each.var(ddof=1)))
    return Comparison(difference, se, abs(difference) >= max(4.0, 2 * se))


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


def practical_equivalence(fit: BayesFit, term: str = "within") -> float:
    """Posterior probability that a standardised effect lies inside the ROPE of the priors.

    For coefficients of the predictor (``within``, ``between``, ``contextual``), in within-client
    SDs of outcome per within-client SD of predictor.
    """
    ratio = fit.design.sd_within_predictor / fit.standard.outcome
    return float((np.abs(fit.draws(term) * ratio) < fit.priors.rope).mean())


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
