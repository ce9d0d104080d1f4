"""The marginal likelihood of the nested model as one PyTensor operation (see ``gradient_op``)."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pytensor.graph.basic import Variable

from alliance.estimation.gradient_op import GradientOp, shared_arrays
from alliance.likelihood import client_blocks, marginal, partial_correlation
from alliance.likelihood.marginal import MarginalData, log_likelihood_and_gradient
from alliance.likelihood.partial_correlation import factor_from_partial, partial_gradient

FloatArray = NDArray[np.float64]

DATA_NAMES = ("centre", "total", "n_rows", "zx", "gram", "zw", "therapist", "wx", "ww")


# Not cached by Numba, which would not notice a change of the likelihood in its own file; PyTensor
# caches it under the hash of all files.
@njit(fastmath=False, error_model="numpy", nogil=True)
def value_and_gradients(
    beta: FloatArray,
    sigma: FloatArray,
    sd_client: FloatArray,
    unit_client: FloatArray,
    sd_therapist: FloatArray,
    unit_therapist: FloatArray,
    centre: FloatArray,
    total: FloatArray,
    n_rows: FloatArray,
    zx: FloatArray,
    gram: FloatArray,
    zw: FloatArray,
    therapist: NDArray[np.int64],
    wx: FloatArray,
    ww: FloatArray,
) -> tuple[FloatArray, ...]:
    """Log-likelihood and its derivatives by the six parameters of the model.

    ``beta[0]`` is the expected outcome at the means ``centre`` of the columns (0 for the intercept
    itself): the constant of the uncentred columns is ``beta[0] - centre @ beta``. Scalars are
    0-dimensional arrays, as in PyTensor; the arrays of data are those of ``MarginalData``.
    """
    Lc = factor_from_partial(sd_client, unit_client)
    Lt = factor_from_partial(sd_therapist, unit_therapist)
    uncentred = beta.copy()
    uncentred[0] -= centre @ beta
    value, by_beta, by_log_sigma, by_Lc, by_Lt = log_likelihood_and_gradient(
        uncentred, np.log(sigma.item()), Lc, Lt, total, n_rows.item(), zx, gram, zw, therapist,
        wx, ww,
    )  # fmt: skip
    by_sd_client, by_unit_client = partial_gradient(sd_client, unit_client, Lc, by_Lc)
    by_sd_therapist, by_unit_therapist = partial_gradient(sd_therapist, unit_therapist, Lt, by_Lt)
    return (
        np.asarray(value),
        by_beta - by_beta[0] * centre,
        np.asarray(by_log_sigma / sigma.item()),
        by_sd_client,
        by_unit_client,
        by_sd_therapist,
        by_unit_therapist,
    )


class MarginalLogLikelihood(GradientOp):
    """Log-likelihood (output 0) and its derivatives by the parameters (outputs 1 to 6)."""

    n_parameters = 6
    function = staticmethod(value_and_gradients)
    sources = (
        marginal.__file__,
        client_blocks.__file__,
        partial_correlation.__file__,
        __file__,
    )


def shared_data(data: MarginalData, centre: FloatArray) -> list[Variable]:
    """The data as shared variables, in the order of :func:`value_and_gradients`."""
    return shared_arrays(DATA_NAMES, (np.asarray(centre, dtype=np.float64), *data.arrays()))
