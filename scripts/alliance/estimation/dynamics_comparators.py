"""Simpler estimates of the same lagged effects, each with the bias that theory predicts for it.

They stand beside the random-intercept VAR so that readers can see what the usual shortcuts would
have said; none of them is a result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from alliance.estimation.dynamics_layout import VarSpec, layout_of
from alliance.estimation.dynamics_series import VarSeries
from alliance.estimation.refusal import Refusal

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
MIN_CLIENTS = 10
MIN_SCORES_LINE = 4

KNOWN_BIAS: Mapping[str, str] = {
    "pooled": (
        "levels of clients are left in: the autoregression is too large and the cross-lag mixes "
        "differences between clients with changes within them"
    ),
    "person_mean_centred": (
        "centring on the client's own mean makes the lagged outcome endogenous (Nickell bias): the "
        "autoregression is too small by about (1 + φ)/(transitions − 1) and drags the cross-lag"
    ),
    "person_detrended": (
        "lines fitted client by client take part of the dynamics with them: the autoregression is "
        "too small, more so than by centring alone"
    ),
}
ESTIMATORS: Mapping[str, str] = {
    "pooled": "Pooled OLS",
    "person_mean_centred": "Person-mean-centred OLS with lagged outcome",
    "person_detrended": "OLS after person-wise detrending",
}


@dataclass(frozen=True)
class Comparator:
    """One equation by ordinary least squares, errors clustered by client.

    Attributes
    ----------
    coefficients, se : (k,) of the latest value of every series on the target, raw units.
    """

    method: str
    target: int
    coefficients: FloatArray
    se: FloatArray
    df: float
    n_obs: int
    n_clients: int

    @property
    def half_width(self) -> FloatArray:
        return float(stats.t.ppf(0.975, self.df)) * self.se

    @property
    def p(self) -> FloatArray:
        return 2.0 * stats.t.sf(np.abs(self.coefficients / self.se), self.df)


@dataclass(frozen=True)
class _Rows:
    """One row per transition with everything observed."""

    y: FloatArray
    X: FloatArray
    course: FloatArray
    client: IntArray


def compare(series: VarSeries, spec: VarSpec, target: int, method: str) -> Comparator | Refusal:
    """One comparator for one target series; the lags are those of the dynamic model.

    Parameters
    ----------
    method : ``pooled``, ``person_mean_centred`` or ``person_detrended``. The first two carry the
        course over sessions of ``spec``; detrending replaces it.
    """
    if method not in KNOWN_BIAS:
        raise ValueError(f"method must be one of {', '.join(KNOWN_BIAS)}, not {method!r}")
    used = _detrended(series) if method == "person_detrended" else series
    rows = _transitions(used, spec, target)
    k = series.n_series
    parts = [rows.X] if method == "person_detrended" else [rows.X, rows.course]
    y, X = rows.y, np.column_stack(parts)
    spent = 0
    if method == "person_mean_centred":
        y, X = _centre(y, rows.client), _centre(X, rows.client)
        spent = int(np.unique(rows.client).size)
    X = X[:, _independent(X, k)]
    n_clients = int(np.unique(rows.client).size)
    if n_clients < MIN_CLIENTS or len(y) - spent <= X.shape[1] + 1:
        return Refusal(
            f"too few complete transitions ({len(y)}) or fewer than {MIN_CLIENTS} clients with one",
            "Comparators need ten clients with sessions in a row.",
        )
    beta, se = _clustered(y, X, rows.client)
    return Comparator(method, target, beta[:k], se[:k], n_clients - 1.0, len(y), n_clients)


def _transitions(series: VarSeries, spec: VarSpec, target: int) -> _Rows:
    same = layout_of(series, spec).structure.same_session[target] > 0
    z = series.scores
    latest = np.where(same, z[:, 1:], z[:, :-1])
    y = z[:, 1:, target]
    client, step = np.nonzero(~np.isnan(y) & ~np.isnan(latest).any(axis=2))
    course = layout_of(series, spec).course[1:][step]
    return _Rows(y[client, step], latest[client, step], course, client.astype(np.int64))


def _detrended(series: VarSeries) -> VarSeries:
    """Residuals from each client's own line in each series; fewer than four scores are left out."""
    seen = series.seen
    counts = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    time = np.arange(series.n_sessions, dtype=np.float64)[None, :, None]
    elapsed = np.where(seen, time - (seen * time).sum(axis=1, keepdims=True) / counts, 0.0)
    z = np.where(seen, series.scores, 0.0)
    z = np.where(seen, z - z.sum(axis=1, keepdims=True) / counts, np.nan)
    squares = (elapsed**2).sum(axis=1, keepdims=True)
    slope = np.nansum(elapsed * z, axis=1, keepdims=True) / np.maximum(squares, 1e-12)
    rest = np.where(counts >= MIN_SCORES_LINE, z - slope * elapsed, np.nan)
    return VarSeries(rest, series.names, series.client_ids, series.first_session)


def _centre(values: FloatArray, client: IntArray) -> FloatArray:
    counts = np.maximum(np.bincount(client), 1)
    if values.ndim == 1:
        return values - (np.bincount(client, values) / counts)[client]
    return np.column_stack([_centre(column, client) for column in values.T])


def _independent(X: FloatArray, k: int) -> list[int]:
    """Columns that are not combinations of earlier ones; the first k are always kept."""
    kept: list[int] = []
    basis = np.zeros((X.shape[0], 0))
    for j, column in enumerate(X.T):
        rest = column - basis @ (basis.T @ column)
        size = float(np.linalg.norm(rest))
        if j < k or size > 1e-8 * max(float(np.linalg.norm(column)), 1e-300):
            kept.append(j)
            basis = np.column_stack([basis, rest / size])
    return kept


def _clustered(y: FloatArray, X: FloatArray, client: IntArray) -> tuple[FloatArray, FloatArray]:
    """OLS with cluster-robust errors (CR1)."""
    inverse = np.linalg.inv(X.T @ X)
    beta = inverse @ (X.T @ y)
    scores = X * (y - X @ beta)[:, None]
    groups = np.unique(client, return_inverse=True)[1]
    sums = np.column_stack([np.bincount(groups, column) for column in scores.T])
    n, g = len(y), len(sums)
    factor = g / (g - 1.0) * (n - 1.0) / (n - X.shape[1])
    cov = factor * inverse @ (sums.T @ sums) @ inverse
    return beta, np.sqrt(np.diag(cov))
