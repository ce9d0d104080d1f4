"""The Bayesian twin of the multilevel models: the same exact likelihood, sampled by NUTS.

Random effects are integrated out, so the sampler sees fixed effects, SDs and correlations only.
Inside, outcome and predictors are in pooled within-client SDs (the units of the priors) and
columns are centred; everything that leaves is back in raw units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import nutpie
import xarray as xr
from numpy.typing import NDArray

from alliance.estimation.bayes_model import BayesModel, Standard, compile_model, log_prior
from alliance.estimation.bayes_terms import estimates_of_draws
from alliance.estimation.design import ModelDesign
from alliance.estimation.diagnostics import Diagnostics, diagnose, parameter_words
from alliance.estimation.effort import EFFORTS, Effort, EffortName
from alliance.estimation.priors import Priors
from alliance.likelihood.conditional_effects import log_likelihood_of_clusters
from alliance.likelihood.marginal import log_likelihood_and_gradient, pack
from alliance.likelihood.partial_correlation import factor_from_partial
from alliance.likelihood.statistics import NestedStatistics

FloatArray = NDArray[np.float64]
Progress = Callable[[str], None]

_LARGEST_POINTWISE = 8_000_000  # numbers of pointwise log-likelihood kept


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
    progress : called with lines of plain text, e.g. ``sampling main: chain 2, 40%``.

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
    of = {"beta": prepared.design.names, "sd_client": prepared.design.random_names}
    of["sd_therapist"] = prepared.design.therapist_names
    quantities = {
        parameter_words(name, place, of.get(name, ())): values
        for name, place, values in _scalars(parameters)
    } | estimate
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
                progress(f"sampling {label}: chain {number}, {step}%")

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


# Files


def save_tree(tree: xr.DataTree, path: str | Path) -> None:
    """Write the draws as NetCDF; the same draws give the same bytes."""
    tree.to_netcdf(path, engine="h5netcdf")


def load_tree(path: str | Path) -> xr.DataTree:
    """Read what :func:`save_tree` wrote, into memory."""
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        return tree.load()
