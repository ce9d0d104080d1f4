"""Likelihood of VAR(1) processes whose coefficients differ between clients, given the clients.

For client i at session t, with everything that belongs to the client given::

    w[i,t] = z[i,t] - mean[t] - level[i] - trend[i] * time[t],   w[i,1] ~ N(0, F F')
    w[i,t,j] = sum_s B[i,j,s] * (latest w[i,.,s]) + sigma[i,j] * eta[i,t,j],   eta ~ N(0, M M')

"latest" is the same session's value where s is measured before j in a session. Missing scores up to
a client's last session are arguments: a sampler draws them with the rest, which is exact. One pass
over the scores gives the value and all derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_compiled = njit(cache=True, fastmath=False, error_model="numpy", nogil=True)


@dataclass(frozen=True)
class GapData:
    """Scores with their gaps.

    Attributes
    ----------
    scores : (n, T, k); missing scores before a client's last session hold a first guess.
    n_sessions : (n,) sessions up to the last with a score.
    client, session, series : (g,) where the missing scores are, sorted by client.
    """

    scores: FloatArray
    n_sessions: IntArray
    client: IntArray
    session: IntArray
    series: IntArray

    def arrays(self) -> tuple[FloatArray | IntArray, ...]:
        """The fields as :func:`log_likelihood_and_gradient` takes them."""
        return self.scores, self.n_sessions, self.client, self.session, self.series


def with_gaps(scores: FloatArray) -> GapData:
    """Arrange scores (n, T, k), NaN where missing; guesses are interpolated per client and series.

    Raises
    ------
    ValueError
        If a client lacks every score of a series.
    """
    seen = ~np.isnan(scores)
    if not seen.any(axis=1).all():
        raise ValueError("every client needs a score of every series")
    T = scores.shape[1]
    last = T - seen.any(axis=2)[:, ::-1].argmax(axis=1)
    filled = np.zeros(scores.shape)
    time = np.arange(T)
    for i, j in np.ndindex(scores.shape[0], scores.shape[2]):
        known = seen[i, :, j]
        stop = last[i]
        filled[i, :stop, j] = np.interp(time[:stop], time[known], scores[i, known, j])
    open_cells = ~seen & (time[None, :, None] < last[:, None, None])
    client, session, series = np.nonzero(open_cells)
    return GapData(filled, last.astype(np.int64), client, session, series)


Gradients = tuple[
    float, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray
]


@_compiled
def log_likelihood_and_gradient(
    mean: FloatArray,
    coefficients: FloatArray,
    log_sd: FloatArray,
    level: FloatArray,
    mixing: FloatArray,
    first: FloatArray,
    added: FloatArray,
    same_session: FloatArray,
    loadings: FloatArray,
    scores: FloatArray,
    n_sessions: IntArray,
    client: IntArray,
    session: IntArray,
    series: IntArray,
) -> Gradients:
    """Log-likelihood of scores given clients, and its derivatives by the first seven arguments.

    Parameters
    ----------
    mean : (T, k). coefficients : (n, k, k), effect of the latest value of the column series on the
        row series. log_sd : (n, k) logs of the innovation SDs.
    level : (n, q k), levels and, where ``loadings`` (T, q) has a second column, trends.
    mixing, first : lower Cholesky factors (k, k) of the correlation of innovations and of the
        covariance of the first session.
    added : (g,) what is added to the first guesses of missing scores.
    same_session : (k, k), see ``VarStructure``. scores ... series : :class:`GapData`.
    """
    n, T, k = scores.shape
    q = loadings.shape[1]
    by_mean, by_B = np.zeros((T, k)), np.zeros((n, k, k))
    by_log_sd, by_level = np.zeros((n, k)), np.zeros((n, q * k))
    by_mixing, by_first = np.zeros((k, k)), np.zeros((k, k))
    by_added = np.zeros(added.size)
    w, by_w = np.empty((T, k)), np.empty((T, k))
    gap, value, eta = 0, 0.0, np.empty(2 * k)
    for i in range(n):
        last, before = n_sessions[i], gap
        _deviations(w, scores[i], mean, loadings, level[i], last)
        while gap < added.size and client[gap] == i:
            w[session[gap], series[gap]] += added[gap]
            gap += 1
        by_w[:last] = 0.0
        value += _normal(w[0], first, by_w[0], by_first, eta)
        value += _transitions(
            w, coefficients[i], log_sd[i], mixing, same_session, last, by_w, by_B[i], by_log_sd[i],
            by_mixing,
        )  # fmt: skip
        _back_to_levels(by_w, loadings, last, by_mean, by_level[i])
        for g in range(before, gap):
            by_added[g] = by_w[session[g], series[g]]
    return value, by_mean, by_B, by_log_sd, by_level, by_mixing, by_first, by_added


@_compiled
def _deviations(
    w: FloatArray,
    scores: FloatArray,
    mean: FloatArray,
    loadings: FloatArray,
    level: FloatArray,
    last: int,
) -> None:
    """Fill w (T, k) with what is left of a client's scores without means, level and trend."""
    k = mean.shape[1]
    for t in range(last):
        for j in range(k):
            w[t, j] = scores[t, j] - mean[t, j]
            for g in range(loadings.shape[1]):
                w[t, j] -= loadings[t, g] * level[g * k + j]


@_compiled
def _back_to_levels(
    by_w: FloatArray, loadings: FloatArray, last: int, by_mean: FloatArray, by_level: FloatArray
) -> None:
    """Reverse of :func:`_deviations`."""
    k = by_mean.shape[1]
    for t in range(last):
        for j in range(k):
            by_mean[t, j] -= by_w[t, j]
            for g in range(loadings.shape[1]):
                by_level[g * k + j] -= loadings[t, g] * by_w[t, j]


@_compiled
def _transitions(
    w: FloatArray,
    B: FloatArray,
    log_sd: FloatArray,
    mixing: FloatArray,
    same_session: FloatArray,
    last: int,
    by_w: FloatArray,
    by_B: FloatArray,
    by_log_sd: FloatArray,
    by_mixing: FloatArray,
) -> float:
    """Log-density of sessions 2 to ``last`` of one client; adds its derivatives."""
    k = B.shape[0]
    sd, eps, by_eps, eta = np.exp(log_sd), np.empty(k), np.empty(k), np.empty(2 * k)
    value = 0.0
    for t in range(1, last):
        for j in range(k):
            rest = w[t, j]
            for s in range(k):
                rest -= B[j, s] * (w[t, s] if same_session[j, s] else w[t - 1, s])
            eps[j] = rest / sd[j]
            by_eps[j] = 0.0
            value -= log_sd[j]
        value += _normal(eps, mixing, by_eps, by_mixing, eta)
        for j in range(k):
            by_log_sd[j] -= by_eps[j] * eps[j] + 1.0
            slope = by_eps[j] / sd[j]
            by_w[t, j] += slope
            for s in range(k):
                at = t if same_session[j, s] else t - 1
                by_w[at, s] -= slope * B[j, s]
                by_B[j, s] -= slope * w[at, s]
    return value


@_compiled
def _normal(
    x: FloatArray, factor: FloatArray, by_x: FloatArray, by_factor: FloatArray, eta: FloatArray
) -> float:
    """Log-density of N(0, factor factor') at x; adds its derivatives by x and by the factor.

    eta : (2 k,), working memory.
    """
    k = x.size
    value = -0.5 * k * np.log(2.0 * np.pi)
    for a in range(k):
        rest = x[a]
        for b in range(a):
            rest -= factor[a, b] * eta[b]
        eta[a] = rest / factor[a, a]
        value -= 0.5 * eta[a] * eta[a] + np.log(factor[a, a])
    for a in range(k - 1, -1, -1):
        rest = eta[a]
        for b in range(a + 1, k):
            rest -= factor[b, a] * eta[k + b]
        eta[k + a] = rest / factor[a, a]
    for a in range(k):
        by_x[a] -= eta[k + a]
        by_factor[a, a] -= 1.0 / factor[a, a]
        for b in range(a + 1):
            by_factor[a, b] += eta[k + a] * eta[b]
    return value


@_compiled
def add_normal_effects(
    effects: FloatArray, factor: FloatArray, by_effects: FloatArray, by_factor: FloatArray
) -> float:
    """Log-density of rows (n, q) under N(0, factor factor'); adds its derivatives."""
    value, eta = 0.0, np.empty(2 * effects.shape[1])
    for i in range(effects.shape[0]):
        value += _normal(effects[i], factor, by_effects[i], by_factor, eta)
    return value
