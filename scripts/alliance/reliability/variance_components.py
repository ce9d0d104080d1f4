"""Reliability of change and of client means: Rcn and RkRn from variance components.

Components of ``answer = client + session(client) + error`` (Cranford et al., 2006; Shrout & Lane,
2012; the nested model of ``psych::mlr``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alliance.reliability.sums import ClientSums

Array = NDArray[np.float64]


def one_way_reml(
    n: Array, means: Array, within_ss: Array, weights: Array | None = None
) -> tuple[Array, Array]:
    """REML variance components of ``score = group + error`` from sums by group, unbalanced too.

    Parameters
    ----------
    n, means, within_ss : (G,) observations, mean, and sum of squares around it, by group.
    weights : (B, G) how often each group counts; left out: once (B = 1).

    Returns
    -------
    (between, within)
        (B,) variances. The restricted likelihood is profiled over the ratio of the two, found by
        golden section on its logarithm; a ratio of zero is allowed. NaN without repeated measures.
    """
    weights = np.ones((1, len(n))) if weights is None else weights
    sizes, group = np.unique(n, return_inverse=True)
    by_size = np.zeros((len(n), len(sizes)))
    by_size[np.arange(len(n)), group] = 1.0
    centred = means - np.average(means, weights=n)
    # The likelihood needs only count, sum and sum of squares of the means of equally large groups.
    moments = [weights @ (by_size * v[:, None]) for v in (np.ones(len(n)), centred, centred**2)]
    rest, total_n = weights @ within_ss, weights @ n
    deviance = _OneWay(sizes, moments, rest, total_n)
    low, high = np.full(len(weights), -16.0), np.full(len(weights), 10.0)
    golden = (np.sqrt(5) - 1) / 2
    for _ in range(70):
        a, b = high - golden * (high - low), low + golden * (high - low)
        left = deviance(np.exp(a))[0] < deviance(np.exp(b))[0]
        low, high = np.where(left, low, a), np.where(left, b, high)
    ratio = np.exp((low + high) / 2)
    ratio = np.where(deviance(np.zeros_like(ratio))[0] <= deviance(ratio)[0], 0.0, ratio)
    _, within = deviance(ratio)
    enough = (total_n > weights.sum(axis=1)) & (rest > 0) & (weights.sum(axis=1) > 1)
    within = np.where(enough, within, np.nan)
    return ratio * within, within


@dataclass(frozen=True)
class _OneWay:
    """-2 restricted log-likelihood (without constant) and the error variance, given the ratio."""

    sizes: Array
    moments: list[Array]
    within_ss: Array
    total_n: Array

    def __call__(self, ratio: Array) -> tuple[Array, Array]:
        count, first, second = self.moments
        variance = 1 / self.sizes + ratio[:, None]
        information = (count / variance).sum(axis=1)
        mean = (first / variance).sum(axis=1) / information
        spread = second - 2 * mean[:, None] * first + mean[:, None] ** 2 * count
        squares = self.within_ss + (spread / variance).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            error = squares / (self.total_n - 1)
            value = (
                (self.total_n - 1) * np.log(error)
                + (count * np.log1p(ratio[:, None] * self.sizes)).sum(axis=1)
                + np.log(information)
            )
        return value, error


@dataclass(frozen=True)
class Components:
    """Variance components of ``answer = client + session(client) + error``; each (B,).

    ``form`` is the within-client variance of form means, ``session + error / p``, before the
    session component is kept from becoming negative; ``form_detrended`` is the same around each
    client's own straight line.
    """

    client: Array
    session: Array
    error: Array
    form: Array
    form_detrended: Array
    sessions_per_client: Array


def components(sums: ClientSums, weights: Array | None = None) -> Components:
    """REML components on item-long data, by an exact short cut for complete forms.

    With every form complete the restricted likelihood falls into two parts: the variance of
    answers around their form's mean, and a one-way model of the form means. The session component
    is their difference. Equal to REML on item-long data unless that difference is negative; then
    it is zero here and there, and the client component may differ slightly.

    As in ``psych::mlr``, lasting differences between items, also those of a single client, count
    as error, so Rcn is lower than omega where items differ.
    """
    weights = np.ones((1, len(sums.n))) if weights is None else weights
    p = sums.n_items
    means = sums.means + sums.centre
    client_mean = means.mean(axis=1)
    form_ss = sums.within.sum(axis=(1, 2)) / p**2
    answers_ss = np.trace(sums.within, axis1=1, axis2=2) + sums.n * (means**2).sum(axis=1)
    error_ss = answers_ss - p * (form_ss + sums.n * client_mean**2)
    error = (weights @ error_ss) / ((weights @ sums.n) * (p - 1))
    client, form = one_way_reml(sums.n, client_mean, form_ss, weights)
    df = weights @ sums.detrended_df
    detrended = np.divide(
        weights @ sums.detrended_ss, df, out=np.full_like(df, np.nan), where=df > 0
    )
    k = weights.sum(axis=1) / (weights @ (1 / sums.n))
    return Components(client, np.maximum(form - error / p, 0.0), error, form, detrended, k)


def generalizability(
    sums: ClientSums, weights: Array | None = None
) -> dict[tuple[str, str], Array]:
    """Rcn, Rcn without each client's linear trend, and RkRn; each (B,).

    With components c (client), s (session), e (error): ``Rcn = s / (s + e/p)``, the reliability of
    change within clients; ``RkRn = c / (c + s/k + e/(kp))``, the reliability of a client's mean
    over k sessions, k the harmonic mean.
    """
    part = components(sums, weights)
    p, k = sums.n_items, part.sessions_per_client
    noise = part.error / p
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            ("within_client", "Rcn"): part.session / (part.session + noise),
            ("within_client", "Rcn_detrended"): np.maximum(1 - noise / part.form_detrended, 0.0),
            ("between_client", "RkRn"): part.client / (part.client + (part.session + noise) / k),
        }
