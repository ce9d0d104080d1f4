"""Normal log-densities of clients one by one, whatever is missing of their scores."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@njit(cache=True, fastmath=False, error_model="numpy", nogil=True)
def client_densities(
    V: FloatArray,
    deviations: FloatArray,
    cells: IntArray,
    first_cell: IntArray,
    members: IntArray,
    first_member: IntArray,
) -> FloatArray:
    """Log-density of each client's observed scores under N(0, V).

    Parameters
    ----------
    V : (d, d). deviations : (n, d) scores less their means; missing cells are not read.
    cells, first_cell : observed cells of each pattern, one after the other, and (p + 1,) offsets.
    members, first_member : clients of each pattern likewise.

    Returns
    -------
    (n,) log-densities; NaN where V is not positive definite.
    """
    out = np.empty(deviations.shape[0])
    for g in range(first_cell.size - 1):
        own = cells[first_cell[g] : first_cell[g + 1]]
        d = own.size
        L, rest, log_det = np.zeros((d, d)), np.empty(d), 0.0
        for a in range(d):
            for b in range(a + 1):
                value = V[own[a], own[b]]
                for c in range(b):
                    value -= L[a, c] * L[b, c]
                if b < a:
                    L[a, b] = value / L[b, b]
                else:
                    L[a, a] = np.sqrt(value) if value > 0.0 else np.nan
            log_det += 2.0 * np.log(L[a, a])
        for i in members[first_member[g] : first_member[g + 1]]:
            squares = 0.0
            for a in range(d):
                value = deviations[i, own[a]]
                for c in range(a):
                    value -= L[a, c] * rest[c]
                rest[a] = value / L[a, a]
                squares += rest[a] * rest[a]
            out[i] = -0.5 * (d * np.log(2.0 * np.pi) + log_det + squares)
    return out
