"""Sufficient statistics of a nested Gaussian model: data enter the likelihood once.

For rows in clients in therapists the marginal likelihood depends on the data only through the
cross-products of ``[X, y]`` within each client, because every random-effect column is also a
fixed-effect column (an intercept, the within-client predictor, time). The cost of one evaluation
is then independent of the number of sessions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class NestedStatistics:
    """Cross-products per client, clients sorted by therapist.

    Attributes
    ----------
    cross : (n_clients, p + 1, p + 1), ``[X_i, y_i]' [X_i, y_i]`` for client i.
    n_rows : (n_clients,), rows of each client.
    therapist : (n_clients,), code 0..n_therapists-1, ascending; all zero without therapists.
    client_columns : (q,), columns of X with a client-level random effect (correlated).
    therapist_columns : (r,), columns of X with a therapist-level random effect; r = 0 without.
    """

    cross: FloatArray
    n_rows: IntArray
    therapist: IntArray
    client_columns: IntArray
    therapist_columns: IntArray

    @property
    def n_clients(self) -> int:
        return int(self.cross.shape[0])

    @property
    def n_fixed(self) -> int:
        return int(self.cross.shape[1]) - 1

    @property
    def n_therapists(self) -> int:
        return int(self.therapist.max()) + 1 if self.therapist_columns.size else 0


def accumulate(
    X: FloatArray,
    y: FloatArray,
    client: IntArray,
    client_columns: IntArray,
    therapist: IntArray | None = None,
    therapist_columns: IntArray | None = None,
) -> NestedStatistics:
    """Sufficient statistics of rows in clients (in therapists).

    Parameters
    ----------
    X : (n, p) fixed-effect design. y : (n,) outcome. Both finite.
    client : (n,) client codes in any order. therapist : (n,) therapist codes, constant in a client.
    client_columns, therapist_columns : columns of X that also have random effects.

    Raises
    ------
    ValueError
        If shapes differ, values are not finite, or a client has more than one therapist.
    """
    if X.ndim != 2 or y.shape != (X.shape[0],) or client.shape != y.shape:
        raise ValueError(f"shapes do not agree: X {X.shape}, y {y.shape}, client {client.shape}")
    if not (np.isfinite(X).all() and np.isfinite(y).all()):
        raise ValueError("X and y must be finite; drop incomplete rows first")
    place, owner = client_places(client, therapist)
    n_clients = owner.size
    return NestedStatistics(
        cross=_cross_products(
            np.ascontiguousarray(X, dtype=np.float64),
            np.ascontiguousarray(y, dtype=np.float64),
            place,
            n_clients,
        ),
        n_rows=np.bincount(place, minlength=n_clients).astype(np.int64),
        therapist=owner,
        client_columns=np.asarray(client_columns, dtype=np.int64),
        therapist_columns=np.asarray(
            [] if therapist is None or therapist_columns is None else therapist_columns,
            dtype=np.int64,
        ),
    )


def client_places(client: IntArray, therapist: IntArray | None) -> tuple[IntArray, IntArray]:
    """Where the client of every row stands in the statistics, and every client's therapist.

    Parameters
    ----------
    client, therapist : (n,) codes; clients are sorted by therapist, then by code.

    Returns
    -------
    (n,) places and (n_clients,) therapist codes in that order, zero without therapists.
    """
    codes, n_clients = _dense_codes(client)
    if therapist is None:
        return codes, np.zeros(n_clients, dtype=np.int64)
    owner = _therapist_of_client(codes, therapist, n_clients)
    order = np.argsort(owner, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(n_clients)
    return rank[codes], owner[order]


def take_groups(
    statistics: NestedStatistics, clients: IntArray, copies: IntArray
) -> NestedStatistics:
    """Statistics of a sample of clients, e.g. for a cluster bootstrap.

    Parameters
    ----------
    clients : (m,) clients taken, possibly repeatedly.
    copies : (m,) which copy of its therapist a client belongs to, so that a therapist drawn twice
        counts as two therapists.
    """
    pairs = statistics.therapist[clients] * (int(copies.max()) + 1) + copies
    owner = np.unique(pairs, return_inverse=True)[1].astype(np.int64)
    order = np.argsort(owner, kind="stable")
    return NestedStatistics(
        cross=statistics.cross[clients[order]],
        n_rows=statistics.n_rows[clients[order]],
        therapist=owner[order],
        client_columns=statistics.client_columns,
        therapist_columns=statistics.therapist_columns,
    )


def _dense_codes(values: IntArray) -> tuple[IntArray, int]:
    """Codes 0..n-1 in the order of the values; without sorting where they are such codes."""
    if values.dtype.kind == "i" and values.size and values.min() == 0:
        size = int(values.max()) + 1
        if size <= values.size and np.bincount(values, minlength=size).all():
            return values.astype(np.int64, copy=False), size
    levels, codes = np.unique(values, return_inverse=True)
    return codes.astype(np.int64), int(levels.size)


def _therapist_of_client(codes: IntArray, therapist: IntArray, n_clients: int) -> IntArray:
    owner = np.zeros(n_clients, dtype=np.int64)
    therapist_codes, _ = _dense_codes(therapist)
    owner[codes] = therapist_codes
    if not np.array_equal(owner[codes], therapist_codes):
        raise ValueError("a client has more than one therapist; decide on one first")
    return owner


@njit(cache=True, fastmath=False)
def _cross_products(X: FloatArray, y: FloatArray, code: IntArray, n_clients: int) -> FloatArray:
    """Sum of the outer products of the rows ``[x, y]`` of each client."""
    n, p = X.shape
    cross = np.zeros((n_clients, p + 1, p + 1))
    for i in range(n):
        block = cross[code[i]]
        for a in range(p):
            for b in range(a + 1):
                block[a, b] += X[i, a] * X[i, b]
            block[p, a] += y[i] * X[i, a]
        block[p, p] += y[i] * y[i]
    for i in range(n_clients):
        for a in range(p + 1):
            for b in range(a):
                cross[i, b, a] = cross[i, a, b]
    return cross
