"""The Bayesian twin of the random-intercept VAR: the same exact likelihood, sampled by NUTS.

Client effects are integrated out. Scores are in pooled within-client SDs, the units of the priors.
Means and coefficients are sampled in coordinates around the maximum-likelihood fit in which they
are nearly independent standard normal; that changes the sampling, not the posterior.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import nutpie
import pymc as pm
import pytensor.tensor as pt
import xarray as xr
from numpy.typing import NDArray

from alliance.estimates import Estimate
from alliance.estimation.diagnostics import Diagnostics, diagnose, parameter_words
from alliance.estimation.dynamics import VarFit
from alliance.estimation.dynamics_effects import (
    HORIZON,
    equilibrium_effects,
    held_effects,
    reduced,
    responses_of,
)
from alliance.estimation.dynamics_maker import (
    RowMaker,
    VarContext,
    coefficient_estimand,
    first_response,
    long_run_estimand,
    response_estimand,
    term_name,
)
from alliance.estimation.dynamics_op import VarLogLikelihood, shared_data
from alliance.estimation.effort import EFFORTS, EffortName
from alliance.estimation.positive import ScaledSoftplus
from alliance.estimation.refusal import Refusal
from alliance.likelihood.partial_correlation import factor_from_partial
from alliance.likelihood.random_intercept_var import covariance
from alliance.likelihood.var_data import VarData, pack

FloatArray = NDArray[np.float64]
ESTIMATOR = "Random-intercept VAR(1), NUTS"
LEAST_BEND = 0.1  # of the prior's scale: where an SD of zero is estimated
MOST_TUNING = 500  # the coordinates are tuned by the maximum-likelihood fit already


@dataclass(frozen=True)
class VarPriors:
    """Priors in pooled within-client SDs (methods specification, section 3).

    Attributes
    ----------
    mean : SD of the normal priors of the course, around the grand mean.
    cross_lag : SD around zero; 95 % within .39 covers the published .05 to .21.
    autoregression : mean and SD.
    innovation, first, level, trend : scales of half-normal priors of SDs.
    correlation : shape of the LKJ priors.
    rope : half width of the region of practical equivalence of cross-lags.
    """

    mean: float = 5.0
    cross_lag: float = 0.2
    autoregression: tuple[float, float] = (0.3, 0.25)
    innovation: float = 1.0
    first: float = 1.5
    level: float = 1.5
    trend: float = 0.1
    correlation: float = 2.0
    rope: float = 0.05


@dataclass(frozen=True)
class VarBayes:
    """A sampled posterior.

    Attributes
    ----------
    tree : group ``posterior`` with ``coefficients`` (phase, target, source), ``mean``, the SDs and
        partial correlations in units of fitting, and ``estimate`` by ``term`` in raw units;
        ``sample_stats``.
    pct_stationary : share of draws whose process is stationary.
    """

    tree: xr.DataTree
    fit: VarFit
    priors: VarPriors
    diagnostics: Diagnostics
    effort: str
    seed: int
    pct_stationary: float

    def draws(self, term: str) -> FloatArray:
        """(chains, draws) of a reported quantity in raw units."""
        return self.tree["posterior"]["estimate"].sel(term=term).to_numpy()


def fit_var_bayes(
    fit: VarFit | Refusal,
    priors: VarPriors | None = None,
    effort: EffortName = "standard",
    *,
    seed: int,
    cores: int = 2,
) -> VarBayes | Refusal:
    """Sample the posterior of the model of a maximum-likelihood fit.

    Parameters
    ----------
    fit : gives scores, layout and the coordinates of sampling. A refusal is passed on.
    seed : the same seed gives the same draws, whatever the number of cores.
    """
    if isinstance(fit, Refusal):
        return fit
    given = priors or VarPriors()
    return sample_var(fit, given, compile_var(fit, given), effort, seed=seed, cores=cores)


def compile_var(fit: VarFit, priors: VarPriors) -> Any:
    """What nutpie makes of the model of a fit."""
    return nutpie.compile_pymc_model(build_model(fit, priors, pack(fit.series.scores / fit.scale)))


def sample_var(
    fit: VarFit,
    priors: VarPriors,
    compiled: Any,
    effort: EffortName,
    *,
    seed: int,
    cores: int = 2,
) -> VarBayes:
    """Sample a compiled model; parameters as in :func:`fit_var_bayes`."""
    length = EFFORTS[effort]
    trace = nutpie.sample(
        compiled,
        draws=length.draws,
        tune=min(length.tune, MOST_TUNING),
        chains=length.chains,
        cores=min(cores, length.chains),
        seed=seed,
        save_warmup=False,
        progress_bar=False,
    )
    posterior = trace["posterior"].to_dataset()
    estimate, stationary = estimates_of_draws(fit, posterior)
    stats = trace["sample_stats"].to_dataset()[["diverging", "energy", "n_steps"]]
    quantities = {str(name): posterior[name].to_numpy() for name in posterior.data_vars}
    kinds = ("level", "trend")[: 1 + (fit.layout.structure.n_effects > fit.series.n_series)]
    of = {"sd_client": [f"{kind} of {name}" for kind in kinds for name in fit.names]}
    of |= {"sd_innovation": list(fit.names), "sd_first": list(fit.names)}
    scalars = {
        parameter_words(n, i, of.get(n, ())): v
        for n, values in quantities.items()
        for i, v in _scalars(values)
    }
    diagnostics = diagnose(scalars | estimate, stats, length.limits)
    tree = _tree(posterior, estimate, stats)
    share = 100.0 * float(stationary.mean())
    return VarBayes(tree, fit, priors, diagnostics, effort, seed, share)


def _scalars(values: FloatArray) -> list[tuple[int, FloatArray]]:
    """(chain, draw) slices that vary: coefficients held at zero do not."""
    flat = values.reshape(*values.shape[:2], -1)
    return [(i, flat[..., i]) for i in range(flat.shape[-1]) if np.ptp(flat[..., i]) > 0]


# The model


def build_model(fit: VarFit, priors: VarPriors, data: VarData) -> pm.Model:
    """The PyMC model; the likelihood is one operation."""
    layout, s = fit.layout, fit.layout.structure
    k, q = s.n_series, s.n_effects
    with pm.Model() as model:
        mean = pm.Deterministic(
            "mean", sampled_around(fit, 0, "mean").reshape((layout.course.shape[1], k))
        )
        free = sampled_around(fit, 1, "coefficients")
        center, sd = coefficient_priors(fit, priors)
        around = pm.Normal.dist(np.zeros(1), np.array([priors.mean]))  # arrays keep their precision
        pm.Potential("prior_mean", pm.logp(around, mean.ravel()).sum())
        pm.Potential("prior_coefficients", pm.logp(pm.Normal.dist(center, sd), free).sum())
        cells = np.flatnonzero(np.tile(layout.free.ravel(), s.n_phases))
        flat = pt.set_subtensor(pt.zeros(s.n_phases * k * k)[cells], free)
        coefficients = pm.Deterministic("coefficients", flat.reshape((s.n_phases, k, k)))
        eta = priors.correlation
        scales = {
            "innovation": np.full(k, priors.innovation),
            "first": np.full(k, priors.first),
            "client": np.repeat([priors.level, priors.trend], k)[:q],
        }
        correlated = {"innovation": s.correlated, "first": np.ones((k, k))}
        correlated["client"] = np.ones((q, q))
        covariances = [
            part
            for name, factor in zip(scales, fit.parts[2:5], strict=True)
            for part in covariance_priors(name, scales[name], correlated[name], eta, factor)
        ]
        inputs = (mean, coefficients, *covariances, *shared_data(s, layout.course, data))
        pm.Potential("log_likelihood", VarLogLikelihood()(*inputs)[0])
    return model


def sampled_around(fit: VarFit, part: int, name: str) -> pt.TensorVariable:
    """A block of parameters as the fit plus its root covariance times a flat vector."""
    where = fit.layout.slices[part]
    values, vectors = np.linalg.eigh(fit.x_cov[where, where])
    root = vectors * np.sqrt(np.maximum(values, 1e-12))
    y = pm.Flat(f"y_{name}", shape=root.shape[0])
    return pt.as_tensor(fit.x[where]) + pt.dot(pt.as_tensor(root), y)


def coefficient_priors(fit: VarFit, priors: VarPriors) -> tuple[FloatArray, FloatArray]:
    """Means and SDs of the priors of the free coefficients, over phases."""
    k = fit.series.n_series
    own = np.eye(k, dtype=bool)
    center = np.where(own, priors.autoregression[0], 0.0)[fit.layout.free]
    sd = np.where(own, priors.autoregression[1], priors.cross_lag)[fit.layout.free]
    n = fit.layout.structure.n_phases
    return np.tile(center, n), np.tile(sd, n)


def covariance_priors(
    name: str, scales: FloatArray, correlated: FloatArray, eta: float, factor: FloatArray
) -> tuple[pt.TensorVariable, pt.TensorVariable]:
    """SDs, and partial correlations as :func:`partial_correlation_priors`.

    SDs are sampled on a line that is straight around their maximum-likelihood estimate and bends
    towards zero below a third of it: on a logarithm the trends of clients, whose SD is small but
    seldom near zero, had fewer than the 400 effective draws asked for in one of three runs of the
    bundled clinic (of six: 299 to 815; on this line 850 to 1,580).

    Parameters
    ----------
    scales : (q,) of the half-normal priors. factor : (q, q) of the covariance at the estimate.
    """
    near = np.linalg.norm(factor, axis=1) / 3
    bend = np.clip(near, LEAST_BEND * scales, scales)
    sd = pm.HalfNormal(
        f"sd_{name}", scales, shape=scales.size, default_transform=ScaledSoftplus(bend)
    )
    return sd, partial_correlation_priors(name, correlated, eta)


def partial_correlation_priors(name: str, correlated: FloatArray, eta: float) -> pt.TensorVariable:
    """Partial correlations on (0, 1): Beta where ``correlated``, one half elsewhere (zero)."""
    rows, columns = np.tril_indices(len(correlated), -1)
    cells = np.flatnonzero(correlated[rows, columns] > 0)
    held = pt.as_tensor(np.full(rows.size, 0.5))
    if not cells.size:
        return held
    size = (correlated[rows] > 0).sum(axis=1)[cells]
    rank = np.array([(correlated[r, :c] > 0).sum() for r, c in zip(rows, columns, strict=True)])
    shape = eta + (size - 2 - rank[cells]) / 2
    unit = pm.Beta(f"unit_{name}", shape, shape, shape=cells.size)
    return pt.set_subtensor(held[cells], unit)


# Draws


def estimates_of_draws(
    fit: VarFit, posterior: xr.Dataset
) -> tuple[dict[str, FloatArray], NDArray[np.bool_]]:
    """Reported quantities in raw units, each (chains, draws), and which draws are stationary."""
    working = posterior["coefficients"].to_numpy()
    A, _ = reduced(working, fit.layout.structure.same_session)
    stationary = (np.abs(np.linalg.eigvals(A)).max(axis=-1) < 1.0).all(axis=-1)
    ratio = fit.scale[:, None] / fit.scale[None, :]
    raw = working * ratio
    out: dict[str, FloatArray] = {}
    n_phases = raw.shape[2]
    within = _within_sds(fit, posterior)
    for phase in range(n_phases):
        suffix = f"_phase_{phase + 1}" if n_phases > 1 else ""
        _add(out, fit, raw[:, :, phase], "{term}" + suffix, with_own=True)
        scaled = working[:, :, phase] * (within[..., None, :] / within[..., :, None])
        _add(out, fit, scaled, "{term}_standardised" + suffix)
        _add(out, fit, held_effects(raw[:, :, phase]), "long_run_held_{pair}" + suffix)
        lasting = equilibrium_effects(raw[:, :, phase])
        _add(out, fit, lasting, "long_run_equilibrium_{pair}" + suffix)
        same_session = fit.layout.structure.same_session
        responses = responses_of(working[:, :, phase], same_session, HORIZON)
        for h, response in enumerate(responses):
            cells = same_session > 0 if h == 0 else None
            _add(out, fit, response * ratio, f"response_{{pair}}_{h}" + suffix, cells=cells)
    for j, name in enumerate(fit.names):
        out[f"sd_within_{name}"] = within[..., j] * fit.scale[j]
        out[f"sd_level_{name}"] = posterior["sd_client"].to_numpy()[..., j] * fit.scale[j]
    return out, stationary


def _add(
    out: dict[str, FloatArray],
    fit: VarFit,
    values: FloatArray,
    pattern: str,
    with_own: bool = False,
    cells: NDArray[np.bool_] | None = None,
) -> None:
    """File (chains, draws, k, k) under the terms of their cells, of some (k, k) if given."""
    names = fit.names
    kept = fit.layout.free if cells is None else fit.layout.free & cells
    for target in range(len(names)):
        for source in range(len(names)):
            if (target == source and not with_own) or not kept[target, source]:
                continue
            pair = f"{names[source]}_{names[target]}"
            term = pattern.format(term=term_name(names, target, source), pair=pair)
            out[term] = values[..., target, source]


def _within_sds(fit: VarFit, posterior: xr.Dataset) -> FloatArray:
    """(chains, draws, k) implied within-client SDs in units of fitting."""
    structure, weights = fit.layout.structure, fit.series.seen.sum(axis=0)
    k = structure.n_series
    coefficients = posterior["coefficients"].to_numpy()
    masks = {"innovation": structure.correlated, "first": np.ones((k, k))}
    parts = {
        name: (posterior[f"sd_{name}"].to_numpy(), filled_units(posterior, name, mask))
        for name, mask in masks.items()
    }
    out = np.empty((*coefficients.shape[:2], k))
    no_client = np.zeros((structure.n_effects, structure.n_effects))
    for draw in np.ndindex(*coefficients.shape[:2]):
        factors = [factor_from_partial(sd[draw], unit[draw]) for sd, unit in parts.values()]
        within = covariance(coefficients[draw], *factors, no_client, *structure.arrays())[1]
        variances = np.diag(within).reshape(-1, k)
        out[draw] = np.sqrt((variances * weights).sum(axis=0) / weights.sum(axis=0))
    return out


def filled_units(posterior: xr.Dataset, name: str, correlated: FloatArray) -> FloatArray:
    """Partial correlations on (0, 1), with those that are held at zero (one half) filled in."""
    rows, columns = np.tril_indices(len(correlated), -1)
    sd = posterior[f"sd_{name}"].to_numpy()
    unit = np.full((*sd.shape[:2], rows.size), 0.5)
    if f"unit_{name}" in posterior:
        unit[..., correlated[rows, columns] > 0] = posterior[f"unit_{name}"].to_numpy()
    return unit


def _tree(
    posterior: xr.Dataset, estimate: Mapping[str, FloatArray], stats: xr.Dataset
) -> xr.DataTree:
    base = {"chain": posterior["chain"].to_numpy(), "draw": posterior["draw"].to_numpy()}
    variables = {}
    for name, array in posterior.data_vars.items():
        dims = ["chain", "draw", *(f"{name}_{i}" for i in range(array.ndim - 2))]
        variables[str(name)] = (dims, array.to_numpy())
    variables["estimate"] = (["chain", "draw", "term"], np.stack(list(estimate.values()), -1))
    groups = {
        "posterior": xr.Dataset(variables, base | {"term": list(estimate)}),
        "sample_stats": xr.Dataset(
            {str(k): (("chain", "draw"), v.to_numpy()) for k, v in stats.data_vars.items()}, base
        ),
    }
    return xr.DataTree.from_dict(groups)


# Rows


def bayes_rows(fitted: VarBayes | Refusal, context: VarContext) -> list[Estimate]:
    """Cross-lags and autoregressions, long-run effects and responses; terms as in the ML rows."""
    if isinstance(fitted, Refusal):
        maker = RowMaker(_named(context, np.nan), None)
        reason = f"{fitted.reason}. {fitted.advice}"
        return [
            maker.absent(
                term_name(maker.names, *cell), "fixed", coefficient_estimand(maker, *cell), reason
            )
            for cell in maker.pairs()
        ]
    maker = RowMaker(_named(context, float(fitted.seed)), fitted.fit)
    k = len(maker.names)
    rows = []
    for target, source in [*maker.pairs(), *((j, j) for j in range(k))]:
        if fitted.fit.layout.free[target, source] and fitted.fit.layout.structure.n_phases == 1:
            rows += _rows_of_cell(fitted, maker, target, source)
    return rows


def _named(context: VarContext, seed: float) -> VarContext:
    return VarContext(
        context.analysis,
        context.labels,
        context.order,
        context.clock,
        seed,
        context.code_hash,
        ESTIMATOR,
    )


def _rows_of_cell(fitted: VarBayes, maker: RowMaker, target: int, source: int) -> list[Estimate]:
    to, by = maker.labels(target, source)
    name = term_name(maker.names, target, source)
    words = coefficient_estimand(maker, target, source)
    units = f"{to.units} per {by.unit}"
    more: dict[str, object] = maker.ends(target, source) | {"lag": maker.lag(target, source)}
    if target == source:
        return [_posterior_row(fitted, maker, name, "fixed", words, units, more)]
    scaled = fitted.draws(f"{name}_standardised")
    low, high = np.percentile(scaled, [2.5, 97.5])
    standard = {
        "std_within": float(scaled.mean()),
        "std_within_low": float(low),
        "std_within_high": float(high),
    }
    rows = [_posterior_row(fitted, maker, name, "fixed", words, units, more | standard)]
    pair = f"{maker.names[source]}_{maker.names[target]}"
    derived = [
        (
            f"response_{pair}_{h}",
            response_estimand(maker, target, source, h),
            {"lag": float(h)},
        )
        for h in range(first_response(maker, target, source), HORIZON + 1)
    ]
    derived += [
        (f"long_run_{kind}_{pair}", long_run_estimand(maker, target, source, kind), {"lag": np.nan})
        for kind in ("held", "equilibrium")
    ]
    for term, estimand, lag in derived:
        rows.append(
            _posterior_row(fitted, maker, term, "contrast", estimand, units, more | dict(lag))
        )
    return rows


def _posterior_row(
    fitted: VarBayes,
    maker: RowMaker,
    term: str,
    kind: str,
    words: str,
    units: str,
    more: Mapping[str, object],
) -> Estimate:
    draws = fitted.draws(term)
    lasting = term.startswith(("long_run", "response"))
    if lasting and fitted.pct_stationary < 97.5:
        reason = f"only {fitted.pct_stationary:.0f}% of the draws are stationary"
        return maker.absent(term, kind, words, reason, **more)
    low, high = np.percentile(draws, [2.5, 97.5])
    ratio = term.startswith("long_run")  # heavy tails, so that a mean is no summary
    center = float(np.median(draws)) if ratio else float(draws.mean())
    diagnostics = fitted.diagnostics
    found: dict[str, object] = {
        "estimate": center,
        "se": float(draws.std(ddof=1)),
        "ci_low": float(low),
        "ci_high": float(high),
        "interval": "95% equal-tailed posterior" + (", median" if ratio else ""),
        "pd": float(max((draws > 0).mean(), (draws < 0).mean())),
        "rhat_max": diagnostics.rhat_max,
        "ess_min": diagnostics.ess_min,
        "divergences": float(diagnostics.divergences),
        "converged": "yes" if diagnostics.passed else "no",
        "status": "ok" if diagnostics.passed else "diagnostics_failed",
        "reason": "; ".join(diagnostics.failures),
    }
    return maker.row(term, kind, words, units, **(dict(more) | found))
