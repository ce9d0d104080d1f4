"""Residuals that are correlated from session to session or whose size differs between categories.

The residual covariance of a client is ``s2 * S C S`` with ``S`` diagonal (one relative SD per
category; nlme's ``varIdent``) and ``C[t, u] = rho ** |t - u|`` over the positions of the rows
(nlme's ``corAR1`` with gaps, which for rho > 0 is ``corCAR1``). ``C`` is that of a Markov chain, so
a row minus ``rho ** gap`` times the row before it, divided by ``sqrt(1 - rho ** (2 gap))``, is
white: gaps are exact and one pass over the rows gives the cross-products of the independent case
(Pinheiro & Bates 2000, Mixed-Effects Models in S and S-PLUS, section 5.1).

Parameters ``phi``: ``atanh(rho)`` first if there is serial correlation, then the logarithms of the
residual SDs of the second, third, ... category relative to the first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.linalg import LinAlgError

from alliance.likelihood.profiled import (
    Evaluation,
    ProfiledModel,
    cross_derivative,
    evaluate,
    prepare,
)
from alliance.likelihood.statistics import NestedStatistics

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_FARTHEST = 5.0  # |atanh(rho)| beyond which rho is 1 for every purpose
_SMALLEST = 12.0  # |log of a relative SD|


@dataclass(frozen=True)
class StructuredRows:
    """The rows of a model with structured residuals.

    Attributes
    ----------
    rows : (n, d) ``[X, y]``, sorted by client and position.
    client : (n,) positions of the clients in ``template``.
    gap : (n,) steps since the client's row before; 0 at a client's first row.
    group : (n,) category of the residual SD. weights : (n_groups,) non-negative, sum one: sigma^2
        is the residual variance averaged with them (the shares of the rows: the mean variance).
    serial : whether there is a correlation to estimate.
    template : statistics of the same clients with independent residuals.
    """

    rows: FloatArray
    client: IntArray
    gap: IntArray
    group: IntArray
    weights: FloatArray
    serial: bool
    template: NestedStatistics

    @property
    def n_extra(self) -> int:
        return int(self.serial) + len(self.weights) - 1

    def rho(self, phi: FloatArray) -> float:
        return float(np.tanh(phi[0])) if self.serial else 0.0

    def scales(self, phi: FloatArray) -> FloatArray:
        """Residual SDs of the categories relative to sigma."""
        free = np.exp(np.append(0.0, phi[int(self.serial) :]))
        return free / np.sqrt(self.weights @ free**2)

    def statistics(self, phi: FloatArray) -> NestedStatistics:
        """Cross-products of the whitened rows."""
        cross, _ = self._pass(phi)
        return replace(self.template, cross=cross)

    def log_det(self, phi: FloatArray) -> float:
        """Log-determinant of the residual covariance of all rows, relative to sigma^2."""
        return self._pass(phi)[1]

    def _pass(self, phi: FloatArray) -> tuple[FloatArray, float]:
        return _whitened_products(
            self.rows, self.client, self.gap, self.group, self.rho(phi), self.scales(phi),
            self.template.n_clients,
        )  # fmt: skip

    def gradient(self, phi: FloatArray, by_cross: FloatArray) -> FloatArray:
        """Derivative with respect to phi of ``sum_i <by_cross_i, C_i(phi)> + log_det(phi)``."""
        scales = self.scales(phi)
        rho = self.rho(phi)
        by_rho, by_log_scale = _derivative(
            self.rows, self.client, self.gap, self.group, rho, scales, by_cross
        )
        # every log scale also falls with the average that the scales are divided by
        shares = self.weights * scales**2
        slopes = by_log_scale[1:] - shares[1:] * by_log_scale.sum()
        return np.append((1 - rho**2) * by_rho, slopes) if self.serial else slopes


@dataclass(frozen=True)
class StructuredModel:
    """What the criterion needs of the data when residuals have a structure.

    Takes the place of a :class:`ProfiledModel`; theta is followed by phi.
    """

    source: StructuredRows
    client_columns: IntArray
    therapist_columns: IntArray

    @cached_property
    def plain(self) -> ProfiledModel:
        """The model with independent residuals of one size."""
        return self.at(np.zeros(self.source.n_extra))[0]

    def at(self, phi: FloatArray) -> tuple[ProfiledModel, float]:
        """The whitened model and the log-determinant that belongs to it."""
        cross, log_det = self.source._pass(phi)
        statistics = replace(
            self.source.template,
            cross=cross,
            client_columns=self.client_columns,
            therapist_columns=self.therapist_columns,
        )
        return prepare(statistics), log_det

    @property
    def n_rows(self) -> int:
        return len(self.source.rows)

    @property
    def n_fixed(self) -> int:
        return self.source.rows.shape[1] - 1

    @property
    def n_theta(self) -> int:
        return self.plain.n_theta + self.source.n_extra

    def split(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Parameters of the random effects, parameters of the residuals."""
        cut = len(theta) - self.source.n_extra
        return theta[:cut], theta[cut:]

    def factors(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self.plain.factors(theta)

    def diagonal(self) -> NDArray[np.bool_]:
        return np.append(self.plain.diagonal(), np.zeros(self.source.n_extra, dtype=bool))


Model = ProfiledModel | StructuredModel


def structured_rows(
    statistics: NestedStatistics,
    rows: FloatArray,
    client: IntArray,
    position: IntArray,
    group: IntArray | None = None,
    serial: bool = True,
) -> StructuredRows:
    """Bring rows into the order of clients and positions.

    Parameters
    ----------
    statistics : of the same rows, with independent residuals.
    rows : (n, d) ``[X, y]``. client : (n,) places of the rows' clients in ``statistics``.
    position : (n,) whole numbers, different within a client. group : (n,) codes 0, 1, ...

    Raises
    ------
    ValueError
        If a client has two rows at one position.
    """
    order = np.lexsort((position, client))
    client, position = client[order], position[order]
    gap = np.diff(position, prepend=position[:1])
    gap[np.diff(client, prepend=-1) != 0] = 0
    if (gap[1:][np.diff(client) == 0] <= 0).any():
        raise ValueError("a client has two rows at the same position")
    codes = np.zeros(len(client), dtype=np.int64) if group is None else group[order]
    return StructuredRows(
        rows=np.ascontiguousarray(rows[order]),
        client=client.astype(np.int64),
        gap=gap.astype(np.int64),
        group=codes.astype(np.int64),
        weights=np.bincount(codes) / len(codes),
        serial=serial,
        template=statistics,
    )


def criterion_at(
    model: Model, theta: FloatArray, reml: bool = True, sigma: float | None = None
) -> Evaluation:
    """Criterion, gradient and generalised least squares estimates, whatever the residuals.

    Parameters
    ----------
    theta : (n_theta,) row-wise lower triangles of the relative factors, client level first; for a
        :class:`StructuredModel` followed by the parameters of the residuals.
    sigma : residual SD; left out, the criterion is profiled over it.

    Raises
    ------
    scipy.linalg.LinAlgError
        If the fixed-effect columns are collinear.
    """
    if isinstance(model, ProfiledModel):
        return evaluate(model, theta, reml, sigma)
    random, phi = model.split(theta)
    bounds = np.full(phi.size, _SMALLEST)
    bounds[: int(model.source.serial)] = _FARTHEST
    if (np.abs(phi) > bounds).any():
        raise LinAlgError("the parameters of the residuals have left every sensible range")
    white, log_det = model.at(phi)
    at = evaluate(white, random, reml, sigma)
    by_cross = cross_derivative(white, random, at, reml, sigma)
    return replace(
        at,
        deviance=at.deviance + log_det,
        gradient=np.append(at.gradient, model.source.gradient(phi, by_cross)),
    )


@njit(cache=True, fastmath=False, error_model="numpy")
def _step(gap: int, rho: float) -> tuple[float, float]:
    """``rho ** gap`` and the residual variance it leaves; (0, 1) at a client's first row."""
    if gap == 0:
        return 0.0, 1.0
    kept = rho**gap
    return kept, 1.0 - kept * kept


@njit(cache=True, fastmath=False, error_model="numpy")
def _whitened_products(
    rows: FloatArray,
    client: IntArray,
    gap: IntArray,
    group: IntArray,
    rho: float,
    scales: FloatArray,
    n_clients: int,
) -> tuple[FloatArray, float]:
    """Per client the sum of outer products of the whitened rows, and the log-determinant."""
    n, d = rows.shape
    cross = np.zeros((n_clients, d, d))
    white = np.empty(d)
    log_det = 0.0
    for i in range(n):
        kept, left = _step(gap[i], rho)
        own = 1.0 / (scales[group[i]] * np.sqrt(left))
        before = kept / (scales[group[i - 1]] * np.sqrt(left)) if gap[i] > 0 else 0.0
        log_det += 2 * np.log(scales[group[i]]) + np.log(left)
        block = cross[client[i]]
        for a in range(d):
            white[a] = own * rows[i, a]
            if gap[i] > 0:
                white[a] -= before * rows[i - 1, a]
            for b in range(a + 1):
                block[a, b] += white[a] * white[b]
    for i in range(n_clients):
        for a in range(d):
            for b in range(a):
                cross[i, b, a] = cross[i, a, b]
    return cross, log_det


@njit(cache=True, fastmath=False, error_model="numpy")
def _derivative(
    rows: FloatArray,
    client: IntArray,
    gap: IntArray,
    group: IntArray,
    rho: float,
    scales: FloatArray,
    by_cross: FloatArray,
) -> tuple[float, FloatArray]:
    """Derivatives with respect to rho and to the logarithms of the scales.

    With the whitened row ``w = (v - k v_before) / sqrt(1 - k^2)``, ``k = rho^gap``, a change of k
    moves it by ``(k v - v_before) / (1 - k^2)^(3/2)``.
    """
    n, d = rows.shape
    by_rho = 0.0
    by_log_scale = np.zeros(scales.size)
    own, before, weighted = np.empty(d), np.zeros(d), np.empty(d)
    for i in range(n):
        kept, left = _step(gap[i], rho)
        root = np.sqrt(left)
        for a in range(d):
            own[a] = rows[i, a] / scales[group[i]]
            before[a] = rows[i - 1, a] / scales[group[i - 1]] if gap[i] > 0 else 0.0
        by_own, by_before = 0.0, 0.0
        for a in range(d):
            value = 0.0
            for b in range(d):
                value += by_cross[client[i], a, b] * (own[b] - kept * before[b]) / root
            weighted[a] = value
            by_own += value * own[a]
            by_before += value * before[a]
        by_log_scale[group[i]] += 2.0 - 2.0 * by_own / root
        if gap[i] > 0:
            by_log_scale[group[i - 1]] += 2.0 * kept * by_before / root
            moved = 2.0 * (kept * by_own - by_before) / (left * root) - 2.0 * kept / left
            by_rho += moved * (gap[i] * rho ** (gap[i] - 1))
    return by_rho, by_log_scale
