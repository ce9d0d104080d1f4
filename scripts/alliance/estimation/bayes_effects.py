"""Random effects of clients, recovered after sampling."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from alliance.estimation.bayes import BayesFit, likelihood_arguments, parameters_of
from alliance.estimation.design import ModelDesign
from alliance.likelihood.conditional_effects import effects_given_parameters
from alliance.likelihood.statistics import NestedStatistics

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


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
