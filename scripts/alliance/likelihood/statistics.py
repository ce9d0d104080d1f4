"""Sufficient statistics of a nested Gaussian model: data enter the likelihood once.

For rows in clients in therapists the marginal likelihood depends on the data only through the
cross-products of ``[X, y]`` within each client, because every random-effect column is also a
fixed-effect column (an intercept, the within-client predictor, time). The cost of one evaluation
is then independent of the number of sessions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
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
    codes = np.unique(client, return_inverse=True)[1]
    n_clients = int(codes.max()) + 1
    owner = _therapist_of_client(codes, therapist, n_clients)
    order = np.argsort(owner, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(n_clients)
    return NestedStatistics(
        cross=_cross_products(np.column_stack([X, y]), rank[codes], n_clients),
        n_rows=np.bincount(rank[codes], minlength=n_clients).astype(np.int64),
        therapist=owner[order],
        client_columns=np.asarray(client_columns, dtype=np.int64),
        therapist_columns=np.asarray(
            [] if therapist is None or therapist_columns is None else therapist_columns,
            dtype=np.int64,
        ),
    )


def _therapist_of_client(codes: IntArray, therapist: IntArray | None, n_clients: int) -> IntArray:
    if therapist is None:
        return np.zeros(n_clients, dtype=np.int64)
    therapist_codes = np.unique(therapist, return_inverse=True)[1]
    pairs = np.unique(np.column_stack([codes, therapist_codes]), axis=0)
    if len(pairs) != n_clients:
        raise ValueError("a client has more than one therapist; decide on one first")
    return pairs[:, 1].astype(np.int64)


def _cross_products(columns: FloatArray, code: IntArray, n_clients: int) -> FloatArray:
    """Sum of outer products of the rows of each client, one pair of columns at a time."""
    d = columns.shape[1]
    cross = np.empty((n_clients, d, d))
    for a in range(d):
        for b in range(a + 1):
            sums = np.bincount(code, weights=columns[:, a] * columns[:, b], minlength=n_clients)
            cross[:, a, b] = cross[:, b, a] = sums
    return cross
