"""The Bayesian twin of the multilevel models: the same exact likelihood, sampled by NUTS.

Random effects are integrated out, so the sampler sees fixed effects, SDs and correlations only.
Inside, outcome and predictors are in pooled within-client SDs (the units of the priors) and
columns are centred; everything that leaves is back in raw units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import nutpie
import pymc as pm
import pytensor.tensor as pt
import xarray as xr
from numpy.typing import NDArray

from alliance.estimation.bayes_op import MarginalLogLikelihood, shared_data
from alliance.estimation.design import ModelDesign, pairs
from alliance.estimation.diagnostics import DRAFT, REPORT, Diagnostics, Limits, diagnose
from alliance.estimation.level_contrasts import level_contrasts
from alliance.estimation.positive import ScaledSoftplus
from alliance.estimation.priors import Priors
from alliance.likelihood.conditional_effects import (
    effects_given_parameters,
    log_likelihood_of_clusters,
)
from alliance.likelihood.marginal import MarginalData, log_likelihood_and_gradient, pack
from alliance.likelihood.partial_correlation import factor_from_partial
from alliance.likelihood.statistics import NestedStatistics, accumulate

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
EffortName = Literal["draft", "standard", "final"]
Progress = Callable[[str], None]

_LARGEST_POINTWISE = 8_000_000  # numbers of pointwise log-likelihood kept


@dataclass(frozen=True)
class Effort:
    """How long to sample."""

    chains: int
    draws: int
    tune: int
    limits: Limits


EFFORTS: Mapping[str, Effort] = {
    "draft": Effort(2, 500, 500, DRAFT),
    "standard": Effort(4, 1000, 1000, REPORT),
    "final": Effort(4, 5000, 2000, REPORT),
}


@dataclass(frozen=True)
class Standard:
    """Units of sampling: ``y = offset + outcome * y*`` and ``X = columns * X*``.

    Attributes
    ----------
    outcome : pooled within-client SD of the outcome. offset : its grand mean.
    columns : (p,) scale of every column, 1 for the intercept and 0/1 columns.
    centre : (p,) means of the columns of X*, 0 for the intercept.
    """

    outcome: float
    offset: float
    columns: FloatArray
    centre: FloatArray

    def raw_coefficients(self, beta: FloatArray) -> FloatArray:
        """(..., p) coefficients of sampling to coefficients of the design's own columns."""
        raw = beta * (self.outcome / self.columns)
        raw[..., 0] = self.offset + self.outcome * (beta[..., 0] - beta @ self.centre)
        return raw


@dataclass(frozen=True)
class BayesModel:
    """A model ready to be sampled, again and again with new outcomes if need be.

    Attributes
    ----------
    model : the PyMC model. compiled : what nutpie made of it.
    statistics, data : sufficient statistics in units of sampling.
    """

    design: ModelDesign
    priors: Priors
    standard: Standard
    statistics: NestedStatistics
    data: MarginalData
    model: pm.Model
    compiled: Any


@dataclass(frozen=True)
class BayesFit:
    """A sampled posterior.

    Attributes
    ----------
    tree : groups ``posterior`` (the parameters in units of sampling, and ``estimate`` by ``term``
        in raw units), ``sample_stats``, ``log_prior``, ``log_likelihood`` (by client; by therapist
        in three-level models; for every ``thinning``-th draw).
    diagnostics : the gate's verdict.
    """

    tree: xr.DataTree
    design: ModelDesign
    priors: Priors
    standard: Standard
    statistics: NestedStatistics
    diagnostics: Diagnostics
    effort: str
    seed: int

    @property
    def terms(self) -> tuple[str, ...]:
        return tuple(str(t) for t in self.tree["posterior"]["term"].to_numpy())

    def draws(self, term: str) -> FloatArray:
        """(chains, draws) of a reported quantity in raw units."""
        return self.tree["posterior"]["estimate"].sel(term=term).to_numpy()


def fit_bayes(
    design: ModelDesign,
    priors: Priors,
    effort: EffortName = "standard",
    *,
    seed: int,
    progress: Progress | None = None,
    label: str = "model",
    cores: int = 2,
) -> BayesFit:
    """Sample the posterior of a two- or three-level model.

    Parameters
    ----------
    design : needs a random intercept; the within-only form has none and is refused.
    seed : the same seed gives the same draws, whatever the number of cores.
    progress : called with lines of plain text, e.g. ``sampling main: chain 2, 40 %``.

    Raises
    ------
    ValueError
        If the design has no random effects.
    """
    if progress:
        progress(f"compiling {label}")
    return sample_model(
        compile_model(design, priors),
        EFFORTS[effort],
        effort=effort,
        seed=seed,
        progress=progress,
        label=label,
        cores=cores,
    )


# The model


def standardise(design: ModelDesign) -> Standard:
    """Units of sampling of a design (see :class:`Standard`)."""
    if design.names[0] != "intercept" or not design.client_columns.size:
        raise ValueError("the Bayesian model needs an intercept that varies between clients")
    outcome = _pooled_sd(design.y, design.client)
    scales: dict[str, float] = {}
    for name, column in zip(design.names, design.X.T, strict=True):
        scales[name] = _column_scale(name, column, design, scales)
    columns = np.array([scales[name] for name in design.names])
    centre = design.X.mean(axis=0) / columns
    centre[0] = 0.0
    return Standard(outcome, float(design.y.mean()), columns, centre)


def _column_scale(
    name: str, column: FloatArray, design: ModelDesign, known: Mapping[str, float]
) -> float:
    """Unit in which the prior of a column speaks."""
    if name == "intercept" or (name.endswith("]") and ":" not in name):
        return 1.0
    if ":" in name and all(factor in known for factor in name.split(":")):
        return float(np.prod([known[factor] for factor in name.split(":")]))
    if name.startswith(("within", "between", "contextual")):
        return design.sd_within_predictor
    within = _pooled_sd(column, design.client) if name == "time" else 0.0
    return within or float(column.std()) or 1.0


def _pooled_sd(values: FloatArray, client: IntArray) -> float:
    """Pooled within-client SD; the SD over all rows where no client varies."""
    rows = np.bincount(client)
    deviations = values - (np.bincount(client, values) / rows)[client]
    freedom = (rows - 1).sum()
    pooled = np.sqrt(deviations @ deviations / freedom) if freedom else 0.0
    return float(pooled) or float(values.std()) or 1.0


def standard_statistics(
    design: ModelDesign, standard: Standard, y: FloatArray | None = None
) -> NestedStatistics:
    """Sufficient statistics in units of sampling, of the observed or of another outcome."""
    outcome = design.y if y is None else y
    return accumulate(
        design.X / standard.columns,
        (outcome - standard.offset) / standard.outcome,
        design.client,
        design.client_columns,
        design.therapist,
        design.therapist_columns,
    )


def build_model(
    design: ModelDesign, priors: Priors, standard: Standard, data: MarginalData
) -> pm.Model:
    """The PyMC model: five vectors of parameters and one operation for the likelihood."""
    scales = prior_scales(design, priors)
    with pm.Model() as model:
        beta = pm.Normal("beta", 0.0, scales["beta"], shape=scales["beta"].shape)
        sigma = pm.HalfNormal("sigma", priors.sd_residual)
        groups = []
        for level in ("client", "therapist"):
            sd, shape = scales[f"sd_{level}"], scales[f"unit_{level}"]
            groups.append(
                pm.HalfNormal(
                    f"sd_{level}", sd, shape=sd.shape, default_transform=ScaledSoftplus(sd)
                )
                if sd.size
                else pt.zeros(0)
            )
            groups.append(
                pm.Beta(f"unit_{level}", shape, shape, shape=shape.shape)
                if shape.size
                else pt.zeros(0)
            )
        inputs = (beta, sigma, *groups, *shared_data(data, standard.centre))
        pm.Potential("log_likelihood", MarginalLogLikelihood()(*inputs)[0])
    return model


def prior_scales(design: ModelDesign, priors: Priors) -> dict[str, FloatArray]:
    """Scales of the priors of every parameter vector, in units of sampling."""
    random = design.random_names
    upper = [design.names[k] for k in design.therapist_columns]
    return {
        "beta": np.array([priors.coefficient(name) for name in design.names]),
        "sigma": np.array(priors.sd_residual),
        "sd_client": np.array([priors.client_sd(name) for name in random]),
        "unit_client": partial_shapes(len(random), priors.correlation),
        "sd_therapist": np.array([priors.therapist_sd(name) for name in upper]),
        "unit_therapist": partial_shapes(len(upper), priors.correlation),
    }


def partial_shapes(q: int, eta: float) -> FloatArray:
    """Beta shapes of partial correlations under LKJ(eta), row by row (Lewandowski et al. 2009)."""
    return np.array([eta + (q - 2 - column) / 2 for row in range(q) for column in range(row)])


def compile_model(design: ModelDesign, priors: Priors) -> BayesModel:
    """Build and compile; the compiled code is cached and serves all designs of the same shape."""
    standard = standardise(design)
    statistics = standard_statistics(design, standard)
    data = pack(statistics)
    model = build_model(design, priors, standard, data)
    compiled = nutpie.compile_pymc_model(model)
    return BayesModel(design, priors, standard, statistics, data, model, compiled)


def with_outcome(prepared: BayesModel, y: FloatArray) -> BayesModel:
    """The same compiled model for another outcome (raw units), e.g. one simulated from the prior.

    Units and priors stay those of the original design.
    """
    statistics = standard_statistics(prepared.design, prepared.standard, y)
    return with_data(prepared, statistics, pack(statistics))


def with_data(prepared: BayesModel, statistics: NestedStatistics, data: MarginalData) -> BayesModel:
    """The same compiled model on other data, in units of sampling."""
    names = ("total", "n_rows", "zx", "gram", "zw", "therapist", "wx", "ww")
    in_use = {variable.name for variable in prepared.compiled.shared_var_keys}
    updates = {
        f"data_{name}": value
        for name, value in zip(names, data.arrays(), strict=True)
        if f"data_{name}" in in_use
    }
    compiled = prepared.compiled.with_data(**updates)
    return replace(prepared, statistics=statistics, data=data, compiled=compiled)


# Sampling


def sample_model(
    prepared: BayesModel,
    length: Effort,
    *,
    effort: str,
    seed: int,
    progress: Progress | None = None,
    label: str = "model",
    cores: int = 2,
    pointwise: bool = True,
) -> BayesFit:
    """Sample a compiled model; parameters as in :func:`fit_bayes`.

    pointwise : also compute the log-likelihood of every client (for leave-one-client-out).
    """
    trace = nutpie.sample(
        prepared.compiled,
        draws=length.draws,
        tune=length.tune,
        chains=length.chains,
        cores=min(cores, length.chains),
        seed=seed,
        save_warmup=False,
        progress_bar=False,
        progress_callback=_reporter(progress, label) if progress else None,
    )
    parameters = parameters_of_posterior(prepared.design, trace["posterior"].to_dataset())
    estimate = estimates_of_draws(prepared.design, prepared.standard, parameters)
    stats = trace["sample_stats"].to_dataset()[["diverging", "energy", "n_steps"]]
    quantities = {f"{k} {i}": v for k, i, v in _scalars(parameters)} | estimate
    diagnostics = diagnose(quantities, stats, length.limits)
    tree = _tree(prepared, parameters, estimate, stats, pointwise)
    tree.attrs = {"sampler": "nutpie", "effort": effort, "seed": seed}
    return BayesFit(
        tree=tree,
        design=prepared.design,
        priors=prepared.priors,
        standard=prepared.standard,
        statistics=prepared.statistics,
        diagnostics=diagnostics,
        effort=effort,
        seed=seed,
    )


def _reporter(progress: Progress, label: str) -> Callable[[list[Any]], None]:
    """A callback that tells each fifth of each chain once."""
    told: dict[int, int] = {}

    def report(chains: list[Any]) -> None:
        for number, chain in enumerate(chains, start=1):
            share = 100 * chain.finished_draws // max(chain.total_draws, 1)
            step = share - share % 20
            if step > told.get(number, 0):
                told[number] = step
                progress(f"sampling {label}: chain {number}, {step} %")

    return report


PARAMETERS = ("beta", "sigma", "sd_client", "unit_client", "sd_therapist", "unit_therapist")


def parameters_of_posterior(design: ModelDesign, posterior: xr.Dataset) -> dict[str, FloatArray]:
    """(chain, draw, ...) of all six parameter vectors, empty ones included."""
    shape = posterior["sigma"].shape
    empty = np.zeros((*shape, 0))
    return {name: posterior[name].to_numpy() if name in posterior else empty for name in PARAMETERS}


def _scalars(parameters: Mapping[str, FloatArray]) -> Iterator[tuple[str, int, FloatArray]]:
    for name, values in parameters.items():
        columns = values[..., None] if name == "sigma" else values
        for k in range(columns.shape[-1]):
            yield name, k, columns[..., k]


def _tree(
    prepared: BayesModel,
    parameters: Mapping[str, FloatArray],
    estimate: Mapping[str, FloatArray],
    stats: xr.Dataset,
    pointwise: bool,
) -> xr.DataTree:
    design = prepared.design
    chains, draws = parameters["sigma"].shape
    coords = {"chain": np.arange(chains), "draw": np.arange(draws)}
    names = {
        "beta": ("coefficient", list(design.names)),
        "sd_client": ("client_effect", list(design.random_names)),
        "unit_client": ("client_pair", np.arange(parameters["unit_client"].shape[-1])),
        "sd_therapist": (
            "therapist_effect",
            [design.names[k] for k in design.therapist_columns],
        ),
        "unit_therapist": ("therapist_pair", np.arange(parameters["unit_therapist"].shape[-1])),
    }
    posterior = {"sigma": (("chain", "draw"), parameters["sigma"])}
    for name, (dim, labels) in names.items():
        if parameters[name].shape[-1]:
            posterior[name] = (("chain", "draw", dim), parameters[name])
            coords[dim] = labels
    posterior["estimate"] = (("chain", "draw", "term"), np.stack(list(estimate.values()), -1))
    coords["term"] = list(estimate)
    sample_stats = {k: (("chain", "draw"), v.to_numpy()) for k, v in stats.data_vars.items()}
    base = {"chain": coords["chain"], "draw": coords["draw"]}
    prior = log_prior(design, prepared.priors, parameters)
    groups = {
        "posterior": xr.Dataset(posterior, coords),
        "sample_stats": xr.Dataset(sample_stats, base),
        "log_prior": xr.Dataset({"parameters": (("chain", "draw"), prior)}, base),
    }
    if pointwise:
        groups["log_likelihood"] = pointwise_log_likelihood(prepared, parameters)
    return xr.DataTree.from_dict(groups)


def pointwise_log_likelihood(
    prepared: BayesModel, parameters: Mapping[str, FloatArray]
) -> xr.Dataset:
    """Log-likelihood of each client (therapist), in units of the raw outcome."""
    design, s = prepared.design, prepared.statistics
    by_therapist = bool(s.n_therapists)
    n = s.n_therapists or s.n_clients
    rows = np.bincount(s.therapist, s.n_rows) if by_therapist else s.n_rows
    chains, draws = parameters["sigma"].shape
    thinning = max(1, -(-n * chains * draws // _LARGEST_POINTWISE))
    kept = np.arange(0, draws, thinning)
    values = np.empty((chains, kept.size, n))
    for c in range(chains):
        for k, d in enumerate(kept):
            point = likelihood_arguments(parameters, (c, d), prepared.standard)
            values[c, k] = log_likelihood_of_clusters(*point, s)
    values -= rows * np.log(prepared.standard.outcome)
    unit = "therapist" if by_therapist else "client"
    labels = np.arange(n) if by_therapist or not design.client_ids else list(design.client_ids)
    return xr.Dataset(
        {"outcome": (("chain", "draw", unit), values)},
        {"chain": np.arange(chains), "draw": kept, unit: labels},
        {"thinning": thinning},
    )


def likelihood_arguments(
    parameters: Mapping[str, FloatArray], at: tuple[int, int], standard: Standard
) -> tuple[FloatArray, float, FloatArray, FloatArray]:
    """One draw as (beta of uncentred columns, log sigma, Lc, Lt), in units of sampling."""
    beta = parameters["beta"][at].copy()
    beta[0] -= standard.centre @ beta
    return (
        beta,
        float(np.log(parameters["sigma"][at])),
        factor_from_partial(parameters["sd_client"][at], parameters["unit_client"][at]),
        factor_from_partial(parameters["sd_therapist"][at], parameters["unit_therapist"][at]),
    )


def parameters_of(fit: BayesFit) -> dict[str, FloatArray]:
    """(chain, draw, ...) of the parameters in units of sampling."""
    return parameters_of_posterior(fit.design, fit.tree["posterior"].to_dataset())


def log_likelihood_of_draws(fit: BayesFit) -> FloatArray:
    """(chain, draw) total log-likelihood in units of sampling."""
    parameters = parameters_of(fit)
    arrays = pack(fit.statistics).arrays()
    values = np.empty(parameters["sigma"].shape)
    for at in np.ndindex(*values.shape):
        point = likelihood_arguments(parameters, at, fit.standard)
        values[at] = log_likelihood_and_gradient(*point, *arrays)[0]
    return values


def log_prior(
    design: ModelDesign, priors: Priors, parameters: Mapping[str, FloatArray]
) -> FloatArray:
    """(chain, draw) log density of the priors of all parameters, in units of sampling."""
    total = np.zeros(parameters["sigma"].shape)
    for name, scale in prior_scales(design, priors).items():
        values = parameters[name]
        if name.startswith("unit"):
            density = (scale - 1.0) * (np.log(values) + np.log1p(-values))
        else:
            density = -0.5 * (values / scale) ** 2 - np.log(scale)
        total += density if name == "sigma" else density.sum(axis=-1)
    return total


# What is reported


def estimates_of_draws(
    design: ModelDesign, standard: Standard, parameters: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """Term -> (chain, draw), in raw units, under the names that REML uses."""
    beta = standard.raw_coefficients(parameters["beta"])
    found = {name: beta[..., k] for k, name in enumerate(design.names)}
    found |= {term: beta @ weights for term, weights in level_contrasts(design.names)}
    random = parameters["sd_client"] * standard.outcome / standard.columns[design.client_columns]
    found |= {f"sd_{name}": random[..., k] for k, name in enumerate(design.random_names)}
    found |= _correlations(design, parameters)
    upper = parameters["sd_therapist"] * standard.outcome
    upper = upper / standard.columns[design.therapist_columns]
    for k, column in enumerate(design.therapist_columns):
        name = design.names[column]
        found["sd_therapist" if name == "intercept" else f"sd_therapist_{name}"] = upper[..., k]
    found["sd_residual"] = parameters["sigma"] * standard.outcome
    return found | _shares(found)


def _correlations(
    design: ModelDesign, parameters: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    unit = parameters["unit_client"]
    q = len(design.random_names)
    if q < 2:
        return {}
    R = np.empty((*unit.shape[:2], q, q))
    for at in np.ndindex(*unit.shape[:2]):
        L = factor_from_partial(np.ones(q), unit[at])
        R[at] = L @ L.T
    names = design.random_names
    return {f"cor_{names[a]}_{names[b]}": R[..., a, b] for a, b in pairs(design)}


def _shares(found: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Intraclass correlations at the reference values of the random slopes."""
    client, residual = found["sd_intercept"] ** 2, found["sd_residual"] ** 2
    upper = found["sd_therapist"] ** 2 if "sd_therapist" in found else 0.0
    total = client + upper + residual
    shares = {"icc": client / total}
    if "sd_therapist" in found:
        shares["icc_therapist"] = upper / total
    return shares


# Client-level slopes


def client_effects(fit: BayesFit, *, seed: int, max_draws: int = 400) -> xr.DataArray:
    """Posterior draws of the clients' random effects, recovered after sampling.

    For each of up to ``max_draws`` draws of the parameters, therapist effects and then client
    effects are drawn from their exact conditional normal distributions.

    Returns
    -------
    (draw, client, effect) in raw units, deviations from the fixed effects; clients in the order of
    ``design.client_ids``. The attribute ``flat_draws`` says which draws of the posterior (chains
    one after the other) they belong to.
    """
    design, s, rng = fit.design, fit.statistics, np.random.default_rng(seed)
    parameters = parameters_of(fit)
    points = spread_draws(parameters["sigma"].shape, max_draws)
    values = np.empty((len(points), s.n_clients, design.client_columns.size))
    for k, at in enumerate(points):
        values[k] = _draw_effects(likelihood_arguments(parameters, at, fit.standard), s, rng)
    own = np.empty_like(values)
    own[:, client_order(design)] = values
    own *= fit.standard.outcome / fit.standard.columns[design.client_columns]
    labels = list(design.client_ids) or list(range(s.n_clients))
    coords = {"client": labels, "effect": list(design.random_names)}
    flat = np.array([chain * parameters["sigma"].shape[1] + draw for chain, draw in points])
    return xr.DataArray(own, coords, dims=("draw", "client", "effect"), attrs={"flat_draws": flat})


def client_order(design: ModelDesign) -> IntArray:
    """Client code of each client of the sufficient statistics (sorted by therapist)."""
    if design.therapist is None:
        return np.arange(design.n_clients)
    owner = np.zeros(design.n_clients, dtype=np.int64)
    owner[design.client] = design.therapist
    return np.argsort(owner, kind="stable")


def spread_draws(shape: tuple[int, ...], max_draws: int) -> list[tuple[int, int]]:
    """At most ``max_draws`` (chain, draw) positions, evenly spread."""
    n = shape[0] * shape[1]
    flat = np.unique(np.linspace(0, n - 1, min(n, max_draws)).round().astype(np.int64))
    return [(int(k) // shape[1], int(k) % shape[1]) for k in flat]


def _draw_effects(
    point: tuple[FloatArray, float, FloatArray, FloatArray],
    s: NestedStatistics,
    rng: np.random.Generator,
) -> FloatArray:
    given = effects_given_parameters(*point, s)
    projection = given.projection
    if s.n_therapists:
        w = given.therapist_mean + _normal(given.therapist_cov, rng)
        projection = projection - np.einsum("icr,ir->ic", given.zw, w[s.therapist])
    mean = np.einsum("icd,id->ic", given.D, projection)
    return mean + _normal(np.exp(2.0 * point[1]) * given.D, rng)


def _normal(cov: FloatArray, rng: np.random.Generator) -> FloatArray:
    """One draw for each of n covariance matrices, which may be singular."""
    values, vectors = np.linalg.eigh(cov)
    scaled = np.sqrt(np.maximum(values, 0.0)) * rng.normal(size=values.shape)
    return np.einsum("nab,nb->na", vectors, scaled)


# Files


def save_tree(tree: xr.DataTree, path: str | Path) -> None:
    """Write the draws as NetCDF; the same draws give the same bytes."""
    tree.to_netcdf(path, engine="h5netcdf")


def load_tree(path: str | Path) -> xr.DataTree:
    """Read what :func:`save_tree` wrote, into memory."""
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        return tree.load()
