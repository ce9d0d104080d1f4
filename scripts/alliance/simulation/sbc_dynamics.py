"""Simulation-based calibration of the Bayesian random-intercept VAR (Talts et al. 2018).

As :mod:`alliance.simulation.sbc`, whose ranks and tests of uniformity are used: parameters from the
priors, scores from them, the posterior sampled, the rank of what was drawn. The model is compiled
once; each replication changes the scores only. Which scores are missing is the same throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import nutpie
from numpy.typing import NDArray

from alliance.estimation.dynamics import VarFit, fit_var
from alliance.estimation.dynamics_bayes import (
    VarPriors,
    build_model,
    coefficient_priors,
    filled_units,
)
from alliance.estimation.dynamics_layout import VarSpec
from alliance.estimation.dynamics_maker import term_name
from alliance.estimation.dynamics_series import VarSeries
from alliance.estimation.refusal import Refusal
from alliance.likelihood.partial_correlation import factor_from_partial
from alliance.likelihood.random_intercept_var import covariance, log_likelihood_and_gradient
from alliance.likelihood.var_data import VarData, pack
from alliance.simulation.recovery import NAMES, Truth, simulate
from alliance.simulation.sbc import LIKELIHOOD, Chain, Ranks, rank

FloatArray = NDArray[np.float64]

N_CLIENTS = 60
N_SESSIONS = 6
MISSING = 0.05
HAZARD = -2.0
NAME = "random_intercept_var"
LABEL = "random-intercept VAR, 60 clients x up to 6 sessions, drop-out and missing scores"
SHORT = Chain(tune=500, thin=10)
COVARIANCES = ("innovation", "first", "client")


@dataclass(frozen=True)
class _Prepared:
    """The compiled model and what does not change between replications.

    Attributes
    ----------
    reference : a fit whose layout and coordinates the model uses. seen : (n, T, 2).
    """

    reference: VarFit
    priors: VarPriors
    compiled: Any
    seen: NDArray[np.bool_]


def calibrate(
    n_fits: int,
    seed: int,
    *,
    first: int = 0,
    chain: Chain | None = None,
    progress: Callable[[int], None] | None = None,
) -> Ranks:
    """Ranks of ``n_fits`` replications; the same numbers give the same ranks.

    Parameters
    ----------
    first : number of the first replication. Each is drawn from its own seed, so that parts of a
        long calibration can be run apart.
    """
    prepared = _prepare(np.random.default_rng([seed, N_CLIENTS, N_SESSIONS]))
    found: list[dict[str, int]] = []
    divergent = np.zeros(n_fits, dtype=np.int64)
    for number in range(n_fits):
        rng = np.random.default_rng([seed, N_CLIENTS, N_SESSIONS, first + number])
        ranks, divergent[number] = _replicate(prepared, chain or SHORT, rng)
        found.append(ranks)
        if progress:
            progress(number + 1)
    return Ranks({name: np.array([f[name] for f in found]) for name in found[0]}, divergent)


def _prepare(rng: np.random.Generator) -> _Prepared:
    truth = Truth(hazard=HAZARD)
    scores = simulate(truth, N_CLIENTS, N_SESSIONS, rng)
    scores[:, 2:][rng.random((N_CLIENTS, N_SESSIONS - 2, 2)) < MISSING] = np.nan
    series = VarSeries(scores, NAMES, tuple(str(i) for i in range(N_CLIENTS)))
    reference = fit_var(series, VarSpec((1, 0), trend="none"))
    if isinstance(reference, Refusal):
        raise RuntimeError(reference.reason)
    priors = VarPriors()
    model = build_model(reference, priors, pack(scores))
    return _Prepared(reference, priors, nutpie.compile_pymc_model(model), series.seen)


def _replicate(
    prepared: _Prepared, length: Chain, rng: np.random.Generator
) -> tuple[dict[str, int], int]:
    true = draw_parameters(prepared.reference, prepared.priors, rng)
    data = pack(np.where(prepared.seen, draw_scores(prepared.reference, true, rng), np.nan))
    compiled = prepared.compiled.with_data(data_values=data.values)
    kept, divergent = length.sample(compiled, int(rng.integers(2**31)))
    structure = prepared.reference.layout.structure
    masks = {
        "innovation": structure.correlated,
        "first": np.ones((2, 2)),
        "client": np.ones((2, 2)),
    }
    drawn = {"mean": kept["mean"].to_numpy()[0], "coefficients": kept["coefficients"].to_numpy()[0]}
    for name, mask in masks.items():
        drawn[f"sd_{name}"] = kept[f"sd_{name}"].to_numpy()[0]
        drawn[f"unit_{name}"] = filled_units(kept, name, mask)[0]
    posterior = [
        quantities(prepared.reference, {name: values[d] for name, values in drawn.items()}, data)
        for d in range(kept.sizes["draw"])
    ]
    truth = quantities(prepared.reference, true, data)
    ranks = {q: rank(np.array([draw[q] for draw in posterior]), truth[q]) for q in truth}
    return ranks, divergent


def draw_parameters(
    fit: VarFit, priors: VarPriors, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """One draw from the priors of a model of two series without random trends, in its own units."""
    layout, s = fit.layout, fit.layout.structure
    k = s.n_series
    center, sd = coefficient_priors(fit, priors)
    coefficients = np.zeros((s.n_phases, k, k))
    coefficients[:, layout.free] = rng.normal(center, sd).reshape(s.n_phases, -1)
    out = {"mean": rng.normal(0.0, priors.mean, (layout.course.shape[1], k))}
    out["coefficients"] = coefficients
    scales = {"innovation": priors.innovation, "first": priors.first, "client": priors.level}
    for name, scale in scales.items():
        out[f"sd_{name}"] = np.abs(rng.normal(0.0, scale, k))
        held = name == "innovation" and not s.correlated[1, 0]
        unit = 0.5 if held else rng.beta(priors.correlation, priors.correlation)
        out[f"unit_{name}"] = np.array([unit])
    return out


def draw_scores(
    fit: VarFit, parameters: Mapping[str, FloatArray], rng: np.random.Generator
) -> FloatArray:
    """(n, T, k) scores of as many clients as the fit has."""
    mean, coefficients, *factors = _arguments(fit, parameters)
    V, _ = covariance(coefficients, *factors, *fit.layout.structure.arrays())
    n, T, k = fit.series.scores.shape
    noise = rng.normal(size=(n, T * k)) @ np.linalg.cholesky(V).T
    return mean + noise.reshape(n, T, k)


def quantities(
    fit: VarFit, parameters: Mapping[str, FloatArray], data: VarData
) -> dict[str, float]:
    """What is ranked: coefficients, means, SDs, correlations, and the log-likelihood."""
    names = fit.names
    out = {
        term_name(names, target, source): float(parameters["coefficients"][0, target, source])
        for target in (0, 1)
        for source in (0, 1)
    }
    for j, name in enumerate(names):
        out[f"mean_{name}"] = float(parameters["mean"][0, j])
        for part in COVARIANCES:
            out[f"sd_{part}_{name}"] = float(parameters[f"sd_{part}"][j])
    for part in ("first", "client"):
        out[f"cor_{part}"] = float(2.0 * parameters[f"unit_{part}"][0] - 1.0)
    arguments = (*_arguments(fit, parameters), *fit.layout.structure.arrays(), *data.arrays())
    return out | {LIKELIHOOD: float(log_likelihood_and_gradient(*arguments)[0])}


def _arguments(fit: VarFit, parameters: Mapping[str, FloatArray]) -> tuple[FloatArray, ...]:
    """Means, coefficients and the three factors as the likelihood takes them."""
    factors = [
        factor_from_partial(parameters[f"sd_{name}"], parameters[f"unit_{name}"])
        for name in COVARIANCES
    ]
    return fit.layout.course @ parameters["mean"], parameters["coefficients"], *factors
