"""Likelihood of VAR(1) processes whose coefficients differ between clients, given the coefficients.

For client i at session t, with coefficients and innovation variances of the client given::

    w[i,t] = z[i,t] - mean[t] - level[i] - trend[i] * time[t],   w[i,1] ~ N(0, F F')
    w[i,t,j] = sum_s B[i,j,s] * (latest w[i,.,s]) + sigma[i,j] * eta[i,t,j],   eta ~ N(0, M M')

"latest" is the same session's value where s is measured before j in a session. Levels and trends
are normal and the process is linear, so they are integrated out exactly: scores and the columns
of the client effects go through the same filter, which leaves a regression with independent errors
of variance 1 and normal coefficients. Missing scores up to a client's last session are arguments: a
sampler draws them with the rest, which is exact. One pass over the scores gives the value and all
derivatives.
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
    mixing: FloatArray,
    first: FloatArray,
    effects: FloatArray,
    added: FloatArray,
    same_session: FloatArray,
    loadings: FloatArray,
    scores: FloatArray,
    n_sessions: IntArray,
    client: IntArray,
    session: IntArray,
    series: IntArray,
) -> Gradients:
    """Log-likelihood of scores given clients' coefficients, and derivatives by seven arguments.

    Parameters
    ----------
    mean : (T, k). coefficients : (n, k, k), effect of the latest value of the column series on the
        row series. log_sd : (n, k) logs of the innovation SDs.
    mixing, first, effects : lower Cholesky factors of the correlation of innovations (k, k), of the
        covariance of the first session (k, k), and of that of levels and, where ``loadings``
        (T, q) has a second column, trends (q k, q k).
    added : (g,) what is added to the first guesses of missing scores.
    same_session : (k, k), see ``VarStructure``. scores ... series : :class:`GapData`.
    """
    n, T, k = scores.shape
    by_mean, by_B, by_log_sd = np.zeros((T, k)), np.zeros((n, k, k)), np.zeros((n, k))
    by_mixing, by_first = np.zeros((k, k)), np.zeros((k, k))
    by_effects, by_added = np.zeros(effects.shape), np.zeros(added.size)
    size = 1 + effects.shape[0]
    w, eta, by_eta = np.empty((size, T, k)), np.empty((size, T, k)), np.empty((size, T, k))
    by_w, gap, value = np.empty((T, k)), 0, 0.0
    for i in range(n):
        last, before = n_sessions[i], gap
        _columns(w, scores[i], mean, loadings, last)
        while gap < added.size and client[gap] == i:
            w[0, session[gap], series[gap]] += added[gap]
            gap += 1
        value += _filter(w, coefficients[i], log_sd[i], mixing, first, same_session, last, eta)
        value += _integral(eta, effects, last, by_eta, by_effects)
        _back_through_filter(
            w, eta, by_eta, coefficients[i], log_sd[i], mixing, first, same_session, last, by_w,
            by_B[i], by_log_sd[i], by_mixing, by_first,
        )  # fmt: skip
        by_mean[:last] -= by_w[:last]
        for g in range(before, gap):
            by_added[g] = by_w[session[g], series[g]]
    return value, by_mean, by_B, by_log_sd, by_mixing, by_first, by_effects, by_added


@_compiled
def _columns(
    w: FloatArray, scores: FloatArray, mean: FloatArray, loadings: FloatArray, last: int
) -> None:
    """Fill w (1 + q k, T, k): scores less means, then what each client effect adds to a score."""
    k = mean.shape[1]
    for t in range(last):
        for j in range(k):
            w[0, t, j] = scores[t, j] - mean[t, j]
            for c in range(1, w.shape[0]):
                w[c, t, j] = loadings[t, (c - 1) // k] if (c - 1) % k == j else 0.0


@_compiled
def _filter(
    w: FloatArray,
    B: FloatArray,
    log_sd: FloatArray,
    mixing: FloatArray,
    first: FloatArray,
    same_session: FloatArray,
    last: int,
    eta: FloatArray,
) -> float:
    """Fill eta (columns, T, k) with standardised innovations; minus the log determinant of it."""
    k, sd, value = B.shape[0], np.exp(log_sd), 0.0
    for a in range(k):
        value -= np.log(first[a, a]) + (last - 1) * (log_sd[a] + np.log(mixing[a, a]))
    for c in range(w.shape[0]):
        for t in range(last):
            for j in range(k):
                rest = w[c, t, j]
                if t > 0:
                    for s in range(k):
                        rest -= B[j, s] * (w[c, t, s] if same_session[j, s] else w[c, t - 1, s])
                    rest /= sd[j]
                for s in range(j):
                    rest -= (mixing[j, s] if t > 0 else first[j, s]) * eta[c, t, s]
                eta[c, t, j] = rest / (mixing[j, j] if t > 0 else first[j, j])
    return value


@_compiled
def _integral(
    eta: FloatArray,
    effects: FloatArray,
    last: int,
    by_eta: FloatArray,
    by_effects: FloatArray,
) -> float:
    """Log-density of column 0 of eta, client effects integrated out; its derivatives.

    With y column 0 and X the others, y ~ N(X L u, I) and u ~ N(0, I) for the factor L of the client
    effects. by_eta is filled, by_effects (lower triangle) is added to.
    """
    k, d = eta.shape[2], effects.shape[0]
    design = _design(eta, effects, last)
    precision, weighted, squares = np.eye(d), np.zeros(d), 0.0
    for row in range(last * k):
        y = eta[0, row // k, row % k]
        squares += y * y
        for a in range(d):
            weighted[a] += design[row, a] * y
            for b in range(d):
                precision[a, b] += design[row, a] * design[row, b]
    spread, log_det = _inverse(precision)
    u, fit = np.zeros(d), 0.0
    for a in range(d):
        for b in range(d):
            u[a] += spread[a, b] * weighted[b]
        fit += weighted[a] * u[a]
    _back_through_integral(eta, effects, design, spread, u, by_eta, by_effects)
    return -0.5 * (last * k * np.log(2.0 * np.pi) + squares - fit + log_det)


@_compiled
def _design(eta: FloatArray, effects: FloatArray, last: int) -> FloatArray:
    """(last k, d) columns X L of the whitened client effects."""
    k, d = eta.shape[2], effects.shape[0]
    design = np.zeros((last * k, d))
    for row in range(last * k):
        for b in range(d):
            for a in range(b, d):
                design[row, b] += eta[1 + a, row // k, row % k] * effects[a, b]
    return design


@_compiled
def _back_through_integral(
    eta: FloatArray,
    effects: FloatArray,
    design: FloatArray,
    spread: FloatArray,
    u: FloatArray,
    by_eta: FloatArray,
    by_effects: FloatArray,
) -> None:
    """Reverse of :func:`_integral`; u and spread: mean and covariance of the effects given y."""
    k, d = eta.shape[2], u.size
    by_row = np.empty(d)
    for row in range(design.shape[0]):
        t, j = row // k, row % k
        rest = eta[0, t, j]
        for a in range(d):
            rest -= design[row, a] * u[a]
        by_eta[0, t, j] = -rest
        for a in range(d):
            by_row[a] = rest * u[a]
            for b in range(d):
                by_row[a] -= design[row, b] * spread[b, a]
        for a in range(d):
            by_eta[1 + a, t, j] = 0.0
            for b in range(a + 1):
                by_eta[1 + a, t, j] += by_row[b] * effects[a, b]
                by_effects[a, b] += eta[1 + a, t, j] * by_row[b]


@_compiled
def _inverse(matrix: FloatArray) -> tuple[FloatArray, float]:
    """Inverse and log determinant of a small positive definite matrix (Gauss-Jordan)."""
    d = matrix.shape[0]
    rest, inverse, log_det = matrix.copy(), np.eye(d), 0.0
    for a in range(d):
        pivot = rest[a, a]
        log_det += np.log(pivot)
        rest[a] /= pivot
        inverse[a] /= pivot
        for b in range(d):
            if b != a:
                share = rest[b, a]
                rest[b] -= share * rest[a]
                inverse[b] -= share * inverse[a]
    return inverse, log_det


@_compiled
def _back_through_filter(
    w: FloatArray,
    eta: FloatArray,
    by_eta: FloatArray,
    B: FloatArray,
    log_sd: FloatArray,
    mixing: FloatArray,
    first: FloatArray,
    same_session: FloatArray,
    last: int,
    by_w: FloatArray,
    by_B: FloatArray,
    by_log_sd: FloatArray,
    by_mixing: FloatArray,
    by_first: FloatArray,
) -> None:
    """Reverse of :func:`_filter`: fills by_w (T, k) of the scores, adds to the others."""
    k, sd, by_eps = B.shape[0], np.exp(log_sd), np.empty(B.shape[0])
    by_w[:last] = 0.0
    for a in range(k):
        by_first[a, a] -= 1.0 / first[a, a]
        by_mixing[a, a] -= (last - 1) / mixing[a, a]
        by_log_sd[a] -= last - 1
    for c in range(w.shape[0]):
        _back_through_factor(eta[c, 0], by_eta[c, 0], first, by_eps, by_first)
        if c == 0:
            by_w[0] += by_eps
        for t in range(1, last):
            _back_through_factor(eta[c, t], by_eta[c, t], mixing, by_eps, by_mixing)
            for a in range(k):
                slope = by_eps[a] / sd[a]
                if c == 0:
                    by_w[t, a] += slope
                for b in range(a + 1):
                    by_log_sd[a] -= by_eps[a] * mixing[a, b] * eta[c, t, b]
                for s in range(k):
                    at = t if same_session[a, s] else t - 1
                    by_B[a, s] -= slope * w[c, at, s]
                    if c == 0:
                        by_w[at, s] -= slope * B[a, s]


@_compiled
def _back_through_factor(
    eta: FloatArray, by_eta: FloatArray, factor: FloatArray, by_x: FloatArray, by_factor: FloatArray
) -> None:
    """Reverse of eta = factor^-1 x: fills by_x, adds to by_factor (lower triangle)."""
    k = eta.size
    for a in range(k - 1, -1, -1):
        by_x[a] = by_eta[a]
        for b in range(a + 1, k):
            by_x[a] -= factor[b, a] * by_x[b]
        by_x[a] /= factor[a, a]
        for b in range(a + 1):
            by_factor[a, b] -= by_x[a] * eta[b]
