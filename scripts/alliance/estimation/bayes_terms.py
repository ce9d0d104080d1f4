"""Reported quantities from draws of the parameters, in raw units and under the names of REML."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from alliance.estimation.bayes_model import Standard
from alliance.estimation.design import ModelDesign, pairs
from alliance.estimation.level_contrasts import level_contrasts
from alliance.likelihood.partial_correlation import factor_from_partial

FloatArray = NDArray[np.float64]


def estimates_of_draws(
    design: ModelDesign, standard: Standard, parameters: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """Term -> (chain, draw), in raw units, under the names that REML uses."""
    beta = standard.raw_coefficients(parameters["beta"])
    found = {name: beta[..., k] for k, name in enumerate(design.names)}
    found |= {term: beta @ weights for term, weights in level_contrasts(design.names)}
    random = parameters["sd_client"] * standard.outcome / standard.columns[design.client_columns]
    found |= {f"sd_{name}": random[..., k] for k, name in enumerate(design.random_names)}
    found |= _correlations(design, parameters)
    upper = parameters["sd_therapist"] * standard.outcome
    upper = upper / standard.columns[design.therapist_columns]
    for k, column in enumerate(design.therapist_columns):
        name = design.names[column]
        found["sd_therapist" if name == "intercept" else f"sd_therapist_{name}"] = upper[..., k]
    found["sd_residual"] = parameters["sigma"] * standard.outcome
    return found | _shares(found)


def _correlations(
    design: ModelDesign, parameters: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    unit = parameters["unit_client"]
    q = len(design.random_names)
    if q < 2:
        return {}
    R = np.empty((*unit.shape[:2], q, q))
    for at in np.ndindex(*unit.shape[:2]):
        L = factor_from_partial(np.ones(q), unit[at])
        R[at] = L @ L.T
    names = design.random_names
    return {f"cor_{names[a]}_{names[b]}": R[..., a, b] for a, b in pairs(design)}


def _shares(found: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Intraclass correlations at the reference values of the random slopes."""
    client, residual = found["sd_intercept"] ** 2, found["sd_residual"] ** 2
    upper = found["sd_therapist"] ** 2 if "sd_therapist" in found else 0.0
    total = client + upper + residual
    shares = {"icc": client / total}
    if "sd_therapist" in found:
        shares["icc_therapist"] = upper / total
    return shares
