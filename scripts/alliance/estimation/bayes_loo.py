"""Prediction of a client who was not seen: leave-one-client-out, and models compared by it.

The compiled model serves the refits too: a random slope is taken out by data in which its column is
zero, a client by sums without that client.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import arviz as az
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import logsumexp

from alliance.estimation.bayes import (
    BayesFit,
    likelihood_arguments,
    parameters_of,
    pointwise_log_likelihood,
    sample_model,
)
from alliance.estimation.bayes_model import BayesModel, with_data
from alliance.estimation.diagnostics import DRAFT
from alliance.estimation.effort import Effort
from alliance.likelihood.conditional_effects import log_likelihood_of_clusters
from alliance.likelihood.marginal import pack
from alliance.likelihood.statistics import NestedStatistics, accumulate

FloatArray = NDArray[np.float64]
BAD_PARETO_K = 0.7
MOST_REFITS = 15
UNDECIDED = 4.0  # smaller differences in elpd decide nothing (methods specification, section 3)
REFIT = Effort(1, 1000, 500, DRAFT)


@dataclass(frozen=True)
class LeaveOneOut:
    """Expected log predictive density for a new client (therapist in three-level models).

    Attributes
    ----------
    elpd, se : sum over clients and its standard error. p : effective number of parameters.
    n_bad : clients with Pareto k above 0.7, for whom the approximation is not reliable.
    n_refitted : how many of them were left out in a fit of their own instead.
    pointwise : (n,) contributions; pareto_k : (n,).
    """

    elpd: float
    se: float
    p: float
    n_bad: int
    pointwise: FloatArray
    pareto_k: FloatArray
    unit: str
    n_refitted: int = 0


def leave_one_out(fit: BayesFit) -> LeaveOneOut:
    """Pareto-smoothed importance sampling leave-one-client-out (Vehtari, Gelman & Gabry 2017)."""
    pointwise = fit.tree["log_likelihood"].to_dataset()
    unit = str(pointwise["outcome"].dims[-1])
    posterior = fit.tree["posterior"].to_dataset().sel(draw=pointwise["draw"])
    tree = xr.DataTree.from_dict({"posterior": posterior, "log_likelihood": pointwise})
    efficiency = min(1.0, _relative_efficiency(pointwise["outcome"].to_numpy()))
    with warnings.catch_warnings():  # about Pareto k, which is reported
        warnings.filterwarnings("ignore", message="Estimated shape parameter")
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
    return Comparison(difference, se, abs(difference) >= max(UNDECIDED, 2 * se))


# Refits


def sample_without_slope(
    prepared: BayesModel, effect: str, length: Effort, *, seed: int, cores: int = 2
) -> BayesFit:
    """The model without one random slope; its fixed effect stays.

    The slope's column among the random effects is zero in the data: the likelihood no longer
    depends on the slope's SD and correlations, which follow their priors and count for nothing.

    Raises
    ------
    ValueError
        If the model has no such random slope.
    """
    if effect == "intercept" or effect not in prepared.design.random_names:
        raise ValueError(f"{effect!r} is not a random slope of the model")
    k = prepared.design.random_names.index(effect)
    data = prepared.data
    zx, gram, zw = data.zx.copy(), data.gram.copy(), data.zw.copy()
    zx[:, k] = gram[:, k] = gram[:, :, k] = zw[:, k] = 0.0
    without = with_data(prepared, prepared.statistics, replace(data, zx=zx, gram=gram, zw=zw))
    fit = sample_model(without, length, effort="standard", seed=seed, cores=cores, pointwise=False)
    parameters = parameters_of(fit)
    spread = parameters["sd_client"].copy()
    spread[..., k] = 0.0
    own = pointwise_log_likelihood(prepared, parameters | {"sd_client": spread})
    groups = {name: node.to_dataset() for name, node in fit.tree.children.items()}
    return replace(fit, tree=xr.DataTree.from_dict(groups | {"log_likelihood": own}))


def refit_bad(
    loo: LeaveOneOut, prepared: BayesModel, *, seed: int, length: Effort = REFIT
) -> LeaveOneOut:
    """Exact contributions of clients whose Pareto k is bad, by fits that leave them out.

    With more than ``MOST_REFITS`` of them nothing is refitted.
    """
    bad = np.flatnonzero(loo.pareto_k > BAD_PARETO_K)
    if not 0 < bad.size <= MOST_REFITS:
        return loo
    pointwise = loo.pointwise.copy()
    for k in bad:
        pointwise[k] = exact_contribution(prepared, int(k), seed=seed + int(k), length=length)
    return replace(
        loo,
        elpd=float(pointwise.sum()),
        se=float(np.sqrt(pointwise.size * pointwise.var(ddof=1))),
        pointwise=pointwise,
        n_refitted=int(bad.size),
    )


def exact_contribution(prepared: BayesModel, k: int, *, seed: int, length: Effort) -> float:
    """Log predictive density of client k (therapist in three-level models), fitted without them.

    In units of the raw outcome.
    """
    design = prepared.design
    own = (design.client if design.therapist is None else design.therapist) == k
    rest = _statistics(prepared, ~own)
    refit = sample_model(
        with_data(prepared, rest, pack(rest)), length, effort="draft", seed=seed, cores=1,
        pointwise=False,
    )  # fmt: skip
    left_out, parameters = _statistics(prepared, own), parameters_of(refit)
    values = [
        log_likelihood_of_clusters(
            *likelihood_arguments(parameters, at, prepared.standard), left_out
        ).sum()
        for at in np.ndindex(*parameters["sigma"].shape)
    ]
    density = logsumexp(values) - np.log(len(values))
    return float(density - own.sum() * np.log(prepared.standard.outcome))


def _statistics(prepared: BayesModel, rows: NDArray[np.bool_]) -> NestedStatistics:
    """Sufficient statistics of some rows, in units of sampling."""
    design, standard = prepared.design, prepared.standard
    therapist = None if design.therapist is None else design.therapist[rows]
    return accumulate(
        design.X[rows] / standard.columns,
        (design.y[rows] - standard.offset) / standard.outcome,
        np.unique(design.client[rows], return_inverse=True)[1],
        design.client_columns,
        None if therapist is None else np.unique(therapist, return_inverse=True)[1],
        design.therapist_columns,
    )
