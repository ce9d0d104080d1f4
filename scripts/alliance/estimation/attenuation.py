"""How well the client means of the predictor are known, and what that does to the between effect.

An observed client mean is the true one plus error of the sessions that happened to be rated, so
that the between effect is drawn towards the within effect (Luedtke et al. 2008; methods 1.1). The
error is larger when neighbouring ratings are alike, because a run of sessions then tells less.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alliance.estimation.design import ModelDesign

FloatArray = NDArray[np.float64]
_GRID = np.linspace(-0.9, 0.95, 75)  # lag-1 autocorrelations that are told apart


@dataclass(frozen=True)
class Attenuation:
    """Reliability of the client means with its standard error.

    Attributes
    ----------
    reliability : lambda = tau^2 / (tau^2 + error variance of the means).
    se : jackknife over clients. autocorrelation : lag-1 correlation of the deviations from a
        client's true mean that was allowed for; zero in the simple version.
    """

    reliability: float
    se: float
    autocorrelation: float


@dataclass(frozen=True)
class _Totals:
    """Sums over clients; arrays when one client each is left out."""

    squares: FloatArray
    products: FloatArray
    expected_squares: FloatArray
    expected_products: FloatArray
    error: FloatArray
    between: FloatArray
    degrees: FloatArray
    clients: FloatArray


def attenuation(design: ModelDesign, ar1: bool = False) -> Attenuation | None:
    """Reliability of the client means of the predictor; None where it cannot be worked out.

    Parameters
    ----------
    design : hybrid or contextual form, rows of a client in order of time.
    ar1 : deviations follow a first-order autoregression over the rated sessions (one step each),
        its coefficient found by matching the expected lag-1 product of deviations from the
        observed client mean, which is biased downwards, to the one that is found.

    Notes
    -----
    Without ``ar1``: ``1 - s_w^2 mean(1 / T_i) / s_b^2``, s_b^2 the variance of the observed means
    (around their therapist's in three-level models).
    """
    if "within" not in design.names or design.form == "within" or design.n_clients < 4:
        return None
    grid = _GRID if ar1 else np.zeros(1)
    whole, without = _totals(design, grid)
    value, phi = _reliability(whole, grid)
    resampled, _ = _reliability(without, grid)
    n = design.n_clients
    if not np.isfinite(value[0]) or (ar1 and _flat(whole)):
        return None
    spread = resampled[np.isfinite(resampled)]
    se = float(np.sqrt((n - 1) / n * np.sum((spread - spread.mean()) ** 2)))
    return Attenuation(float(value[0]), se, float(phi[0]))


def _flat(sums: _Totals) -> bool:
    """With two ratings each, deviations from the own mean say nothing of autocorrelation."""
    curve = (sums.expected_products / sums.expected_squares)[0]
    return not bool((np.diff(curve) > 1e-6).all())


def _totals(design: ModelDesign, grid: FloatArray) -> tuple[_Totals, _Totals]:
    """Sums over all clients, and over all but each."""
    n = design.n_clients
    within, means = _deviations_and_means(design)
    order = np.argsort(design.client, kind="stable")
    x, client = within[order], design.client[order]
    rows = np.bincount(client, minlength=n)
    neighbours = client[1:] == client[:-1]
    products = np.bincount(client[1:][neighbours], (x[1:] * x[:-1])[neighbours], n)
    between, lost = _between_parts(means, design)
    degrees, freed = _degrees(design)
    parts = [
        np.bincount(client, x**2, n)[:, None],
        products[:, None],
        *(part[rows] for part in _expectations(int(rows.max()), grid)),
    ]
    whole = [part.sum(axis=0, keepdims=True) for part in parts]
    rest = [total - part for total, part in zip(whole, parts, strict=True)]
    one = np.ones((n, 1))
    return (
        _Totals(*whole, np.array([[between]]), np.array([[degrees]]), n * one[:1]),
        _Totals(*rest, between - lost[:, None], degrees - freed[:, None], (n - 1) * one),
    )


def _deviations_and_means(design: ModelDesign) -> tuple[FloatArray, FloatArray]:
    """Deviations from the client's mean per row, and that mean per client, in either form."""
    predictor = design.X[:, design.names.index("within")]
    if "between" in design.names:
        predictor = predictor + design.X[:, design.names.index("between")]
    n = design.n_clients
    means = np.bincount(design.client, predictor, n) / np.bincount(design.client, minlength=n)
    return predictor - means[design.client], means


def _owner(design: ModelDesign) -> NDArray[np.int64]:
    """Group around whose mean the client means are taken: the therapist, or all clients."""
    if design.therapist is None or design.therapist_of_client is None:
        return np.zeros(design.n_clients, dtype=np.int64)
    return design.therapist_of_client


def _between_parts(means: FloatArray, design: ModelDesign) -> tuple[float, FloatArray]:
    """Sum of squares of the client means, and by how much it falls without each client.

    A sum of squares falls by m^2 n / (n - 1) when a client leaves a group of n.
    """
    owner = _owner(design)
    size = np.bincount(owner)[owner]
    own = means - (np.bincount(owner, means) / np.bincount(owner))[owner]
    share = np.where(size == 1, 0.0, size / np.maximum(size - 1, 1))
    return float(np.sum(own**2)), own**2 * share


def _degrees(design: ModelDesign) -> tuple[float, FloatArray]:
    """Degrees of freedom of that sum, and by how many they fall without each client."""
    owner = _owner(design)
    alone = np.bincount(owner)[owner] == 1
    return float(design.n_clients - len(np.unique(owner))), np.where(alone, 0.0, 1.0)


def _expectations(longest: int, grid: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Per number of rows 0..longest and autocorrelation, at unit variance of the deviations.

    Expected sum of squares and of lag-1 products of deviations from the observed mean, and the
    error variance of that mean; each (longest + 1, len(grid)).
    """
    squares, products, error = (np.zeros((longest + 1, len(grid))) for _ in range(3))
    for rows in range(1, longest + 1):
        steps = np.abs(np.subtract.outer(np.arange(rows), np.arange(rows)))
        for k, phi in enumerate(grid):
            correlation = np.power(phi, steps) if phi else np.eye(rows)
            column = correlation.mean(axis=0)
            centred = correlation - column - column[:, None] + column.mean()
            squares[rows, k] = np.trace(centred)
            products[rows, k] = np.trace(centred, offset=1)
            error[rows, k] = column.mean()
    return squares, products, error


def _reliability(sums: _Totals, grid: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lambda and the autocorrelation for each row of ``sums``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        phi = np.zeros(len(sums.squares))
        expected, error = sums.expected_squares[:, 0], sums.error[:, 0]
        if len(grid) > 1:
            ratio = (sums.products / sums.squares)[:, 0]
            curves = sums.expected_products / sums.expected_squares
            phi = _each(lambda i: np.interp(ratio[i], curves[i], grid), len(ratio))
            expected = _each(lambda i: np.interp(phi[i], grid, sums.expected_squares[i]), len(phi))
            error = _each(lambda i: np.interp(phi[i], grid, sums.error[i]), len(phi))
        variance = sums.squares[:, 0] / expected
        observed = (sums.between / sums.degrees)[:, 0]
        value = 1 - variance * error / sums.clients[:, 0] / observed
    return np.where(value < 0, 0.0, value), phi


def _each(value: Callable[[int], float], n: int) -> FloatArray:
    return np.array([value(i) for i in range(n)])
