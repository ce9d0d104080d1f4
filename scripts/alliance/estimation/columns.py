"""Variations of a model: without its therapist level, with further columns in its design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from alliance.estimation.design import ModelDesign
from alliance.estimation.refusal import Refusal
from alliance.study import ModelSpec

FloatArray = NDArray[np.float64]
_RANK = 1e-9  # smallest eigenvalue of the correlation-like matrix of the columns


def two_level(spec: ModelSpec) -> ModelSpec:
    """The model without the therapist level."""
    return spec.model_copy(update={"therapists": False, "therapist_slopes": []})


def with_columns(
    design: ModelDesign,
    added: Mapping[str, tuple[FloatArray, str]],
    without: tuple[str, ...] = (),
    slopes: tuple[str, ...] | None = None,
) -> ModelDesign | Refusal:
    """The design with columns added and taken out.

    Parameters
    ----------
    added : name -> (values per row, level). without : names of columns to leave out.
    slopes : columns with client-level random slopes; None keeps those that are still there.

    Returns
    -------
    The design, or a refusal that says that the columns depend on each other.
    """
    kept = [k for k, name in enumerate(design.names) if name not in without]
    columns = [design.X[:, k] for k in kept] + [values for values, _ in added.values()]
    names = (*(design.names[k] for k in kept), *added)
    levels = (*(design.column_levels[k] for k in kept), *(level for _, level in added.values()))
    X = np.column_stack(columns).astype(np.float64)
    if smallest_share(X) <= _RANK:
        return Refusal(
            "the columns of the model are collinear: one is a linear function of the others",
            "Leave covariates out that say the same.",
        )
    wanted = slopes if slopes is not None else design.random_names[1:]
    random = [name for name in ("intercept", *wanted) if name in names]
    of_therapists = [design.names[k] for k in design.therapist_columns if k in kept]
    return replace(
        design,
        X=X,
        names=names,
        column_levels=levels,
        client_columns=np.array([names.index(name) for name in random], dtype=np.int64),
        therapist_columns=np.array([names.index(n) for n in of_therapists], dtype=np.int64),
    )


def smallest_share(X: FloatArray) -> float:
    """Smallest eigenvalue of the cross-products of columns scaled to length one."""
    norms = np.sqrt(np.einsum("ij,ij->j", X, X))
    if (norms == 0).any():
        return 0.0
    return float(np.linalg.eigvalsh((X.T @ X) / np.outer(norms, norms))[0])
