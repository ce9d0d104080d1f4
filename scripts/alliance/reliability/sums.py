"""Sums by client of item answers, and item covariances within, between clients and in total.

Covariances are the pooled within-client one, the latent between-client one
``(S_between - S_within) / c`` and the plain covariance of all forms (methods specification,
section 4; Geldhof, Preacher & Zyphur, 2014).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ClientSums:
    """What reliability needs to know of each client: sums over his or her complete forms.

    Attributes
    ----------
    n : (G,) forms. means : (G, p) item means, as deviations from ``centre``.
    within : (G, p, p) sums of squares and products around the client's own means.
    centre : (p,) grand means of the items.
    detrended_ss, detrended_df : (G,) residual sum of squares of the form means around the client's
        own straight line over sessions, and its degrees of freedom.
    """

    n: Array
    means: Array
    within: Array
    centre: Array
    detrended_ss: Array
    detrended_df: Array

    @property
    def n_items(self) -> int:
        """Number of items p."""
        return self.means.shape[1]


def client_sums(answers: Array, client: NDArray, session: Array) -> ClientSums:
    """Sums by client of complete, reversed answers.

    Parameters
    ----------
    answers : (n, p) without missing values. client : (n,) labels. session : (n,) numbers.
    """
    codes, _ = pd.factorize(client, sort=True)
    order = np.argsort(codes, kind="stable")
    codes, answers, session = codes[order], answers[order], session[order].astype(float)
    starts = np.flatnonzero(np.r_[True, np.diff(codes) > 0])
    n = np.diff(np.r_[starts, len(codes)]).astype(float)
    centre = answers.mean(axis=0)
    answers = answers - centre
    means = np.add.reduceat(answers, starts) / n[:, None]
    deviations = answers - means[codes]
    within = np.stack(
        [np.add.reduceat(deviations * deviations[:, [j]], starts) for j in range(len(centre))],
        axis=1,
    )
    score = deviations.mean(axis=1)
    time = session - (np.add.reduceat(session, starts) / n)[codes]
    detrended_ss, detrended_df = _around_own_lines(score, time, starts, n)
    return ClientSums(n, means, within, centre, detrended_ss, detrended_df)


def _around_own_lines(score: Array, time: Array, starts: NDArray, n: Array) -> tuple[Array, Array]:
    """Residual sums of squares by client; both inputs are centred within clients."""
    s_tt = np.add.reduceat(time * time, starts)
    s_ty = np.add.reduceat(time * score, starts)
    s_yy = np.add.reduceat(score * score, starts)
    usable = (n >= 3) & (s_tt > 0)
    explained = np.divide(s_ty**2, s_tt, out=np.zeros_like(s_tt), where=usable)
    return np.where(usable, s_yy - explained, 0.0), np.where(usable, n - 2, 0.0)


def covariances(sums: ClientSums, weights: Array | None = None) -> dict[str, Array]:
    """Item covariances at the three levels, for the sample and for weighted samples of clients.

    Parameters
    ----------
    weights : (B, G) how often each client counts; left out: everyone once (B = 1).

    Returns
    -------
    dict
        ``within_client`` ``S_pw``; ``between_client`` ``(S_b - S_pw) / c`` with
        ``c = (N - sum T_i^2 / N) / (G - 1)``; ``total``: each (B, p, p).
    """
    weights = np.ones((1, len(sums.n))) if weights is None else weights
    p = sums.n_items
    n_clients, n = weights.sum(axis=1), weights @ sums.n
    within_ss = (weights @ sums.within.reshape(len(sums.n), -1)).reshape(-1, p, p)
    products = sums.n[:, None, None] * sums.means[:, :, None] * sums.means[:, None, :]
    mean = (weights @ (sums.n[:, None] * sums.means)) / n[:, None]
    between_ss = (weights @ products.reshape(len(sums.n), -1)).reshape(-1, p, p)
    between_ss = between_ss - n[:, None, None] * mean[:, :, None] * mean[:, None, :]
    size = (n - (weights @ sums.n**2) / n) / (n_clients - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        within = within_ss / (n - n_clients)[:, None, None]
        plain = between_ss / (n_clients - 1)[:, None, None]
        latent = (plain - within) / size[:, None, None]
    total = (within_ss + between_ss) / (n - 1)[:, None, None]
    return {"within_client": within, "between_client": latent, "total": total}
