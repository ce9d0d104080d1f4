"""Leave-one-client-out prediction of the Bayesian random-intercept VAR."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import arviz as az
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from alliance.estimates import Estimate
from alliance.estimation.bayes_loo import BAD_PARETO_K, LeaveOneOut, compare
from alliance.estimation.dynamics import fit_var
from alliance.estimation.dynamics_bayes import (
    ESTIMATOR,
    VarBayes,
    VarPriors,
    filled_units,
    fit_var_bayes,
)
from alliance.estimation.dynamics_maker import RowMaker, VarContext, trend_in_words
from alliance.estimation.effort import EffortName
from alliance.estimation.refusal import Refusal
from alliance.likelihood.client_densities import client_densities
from alliance.likelihood.partial_correlation import factor_from_partial
from alliance.likelihood.random_intercept_var import covariance

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MAX_DRAWS = 1000


def client_log_likelihoods(fitted: VarBayes, max_draws: int = MAX_DRAWS) -> FloatArray:
    """(chains, draws, n) log-likelihood of every client's scores, client effects integrated out.

    Parameters
    ----------
    max_draws : about how many draws of all chains to take, evenly spread.

    Notes
    -----
    Scores are in units of fitting; that shifts every model of the same scores by the same constant.
    """
    fit, posterior = fitted.fit, fitted.tree["posterior"].to_dataset()
    chains, draws = posterior["coefficients"].shape[:2]
    step = max(1, -(-chains * draws // max_draws))
    kept = posterior.isel(draw=slice(None, None, step))
    working = (fit.series.scores / fit.scale).reshape(fit.series.n_clients, -1)
    patterns = _patterns(working)
    out = np.empty((chains, kept.sizes["draw"], fit.series.n_clients))
    for at, mean, V in _moments(fitted, kept):
        out[at] = client_densities(V, working - mean, *patterns)
    return out


def _patterns(working: FloatArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Observed cells of each pattern and its clients, as ``client_densities`` takes them."""
    seen, member = np.unique(~np.isnan(working), axis=0, return_inverse=True)
    sizes = np.bincount(member.ravel())
    return (
        np.nonzero(seen)[1],
        np.concatenate([[0], np.cumsum(seen.sum(axis=1))]),
        np.argsort(member.ravel(), kind="stable"),
        np.concatenate([[0], np.cumsum(sizes)]),
    )


def _moments(
    fitted: VarBayes, kept: xr.Dataset
) -> Iterator[tuple[tuple[int, int], FloatArray, FloatArray]]:
    """Mean (T k,) and covariance of a client's scores at each draw."""
    layout = fitted.fit.layout
    s = layout.structure
    k, q = s.n_series, s.n_effects
    masks = {"innovation": s.correlated, "first": np.ones((k, k)), "client": np.ones((q, q))}
    sds = {name: kept[f"sd_{name}"].to_numpy() for name in masks}
    units = {name: filled_units(kept, name, mask) for name, mask in masks.items()}
    coefficients, means = kept["coefficients"].to_numpy(), kept["mean"].to_numpy()
    for at in np.ndindex(*coefficients.shape[:2]):
        factors = [factor_from_partial(sds[name][at], units[name][at]) for name in masks]
        V, _ = covariance(coefficients[at], *factors, *s.arrays())
        yield at, (layout.course @ means[at]).ravel(), V


def leave_one_client_out(fitted: VarBayes, max_draws: int = MAX_DRAWS) -> LeaveOneOut:
    """Pareto-smoothed importance sampling (Vehtari, Gelman & Gabry 2017): a new client's scores."""
    values = client_log_likelihoods(fitted, max_draws)
    base = {"chain": np.arange(values.shape[0]), "draw": np.arange(values.shape[1])}
    names = ["chain", "draw", "client"]
    pointwise = xr.Dataset({"scores": (names, values)}, base)
    total = xr.Dataset({"total": (names[:2], values.sum(axis=-1))}, base)
    efficiency = float(np.asarray(az.ess(values.sum(axis=-1), method="mean"))) / values[..., 0].size
    tree = xr.DataTree.from_dict({"posterior": total, "log_likelihood": pointwise})
    loo = az.loo(tree, pointwise=True, var_name="scores", reff=min(1.0, efficiency))
    k = np.asarray(loo.pareto_k, dtype=np.float64)
    return LeaveOneOut(
        elpd=float(loo.elpd),
        se=float(loo.se),
        p=float(loo.p),
        n_bad=int((k > BAD_PARETO_K).sum()),
        pointwise=np.asarray(loo.elpd_i, dtype=np.float64),
        pareto_k=k,
        unit="client",
    )


def loo_rows(first: VarBayes, second: VarBayes, context: VarContext) -> list[Estimate]:
    """Two models of the same scores: each one's prediction of a new client, and the difference.

    A difference below 4 or below two standard errors is undecided; the estimand says which.

    Raises
    ------
    ValueError
        If the models are not of the same clients.
    """
    if first.fit.series.client_ids != second.fit.series.client_ids:
        raise ValueError("the two models are not of the same clients")
    found = [leave_one_client_out(model) for model in (first, second)]
    trends = [trend_in_words(model.fit.spec) for model in (first, second)]
    maker = RowMaker(replace(context, estimator=ESTIMATOR), None, first.fit.series)
    rows = [
        maker.row(
            f"elpd_loo_{place}",
            "fit",
            f"Expected log predictive density of a new client, model {place}",
            "",
            estimate=loo.elpd,
            se=loo.se,
            level="total",
            trend=trend,
            **_reliable(loo.n_bad, first.fit.series.n_clients),
        )
        for place, (loo, trend) in enumerate(zip(found, trends, strict=True), start=1)
    ]
    difference = compare(*found)
    verdict = "decided" if difference.decided else "undecided"
    worst = max(loo.n_bad for loo in found)
    words = f"Model 1 minus model 2 in predicting a new client's scores ({verdict})"
    last = maker.row(
        "elpd_loo_difference",
        "fit",
        words,
        "",
        estimate=difference.difference,
        se=difference.se,
        level="total",
        trend=" against ".join(trends),
        **_reliable(worst, first.fit.series.n_clients),
    )
    return [*rows, last]


def trend_comparison(
    fitted: VarBayes | Refusal,
    priors: VarPriors,
    effort: EffortName,
    context: VarContext,
    *,
    seed: int,
    cores: int = 2,
) -> list[Estimate]:
    """Does the model predict new clients better with or without clients' own courses?

    Parameters
    ----------
    fitted : model 1, with or without random trends; the other one (model 2) is sampled here.
    """
    if isinstance(fitted, Refusal):
        return [_no_comparison(context, f"{fitted.reason}. {fitted.advice}")]
    spec = fitted.fit.spec
    start = fit_var(fitted.fit.series, replace(spec, random_trend=not spec.random_trend))
    if not isinstance(start, Refusal) and start.problems:
        return [_no_comparison(context, "; ".join(start.problems))]
    other = fit_var_bayes(start, priors, effort, seed=seed, cores=cores)
    if isinstance(other, Refusal):
        return [_no_comparison(context, f"{other.reason}. {other.advice}")]
    failed = [reason for fit in (fitted, other) for reason in fit.diagnostics.failures]
    if failed:
        return [_no_comparison(context, "; ".join(failed))]
    return loo_rows(fitted, other, context)


def _no_comparison(context: VarContext, reason: str) -> Estimate:
    maker = RowMaker(replace(context, estimator=ESTIMATOR), None)
    words = "Model 1 minus model 2 in predicting a new client's scores"
    return maker.absent("elpd_loo_difference", "fit", words, reason, level="total")


def _reliable(n_bad: int, n_clients: int) -> dict[str, object]:
    """Whether the importance sampling can be trusted; more than 5 % of bad clients is too many."""
    if n_bad <= 0.05 * n_clients:
        return {"converged": "yes"}
    return {
        "converged": "no",
        "status": "diagnostics_failed",
        "reason": "Pareto k is above 0.7 for more than 5% of clients: refit without them, or "
        "compare by cross-validation",
    }
