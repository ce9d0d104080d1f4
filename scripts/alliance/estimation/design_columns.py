"""Fixed-effect columns of a design, from the terms of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.estimation.design_groups import Groups
from alliance.estimation.refusal import RefusedError
from alliance.study import Covariate, ModelSpec

FloatArray = NDArray[np.float64]
Form = Literal["hybrid", "contextual", "within"]
Level = Literal["within_client", "between_client", "between_therapist", "total"]
_COLLINEAR = 1e-9


@dataclass(frozen=True)
class Column:
    """One column, (n_obs,) ``data``, and the level its coefficient is about."""

    name: str
    data: FloatArray
    level: Level
    label: str = ""


def variables_of(spec: ModelSpec) -> list[str]:
    """Single variables named in the covariates, each once, in order of appearance."""
    names = [part for term in spec.covariates for part in term.split(":")]
    return list(dict.fromkeys(names))


def fixed_columns(
    frame: pd.DataFrame,
    spec: ModelSpec,
    covariates: Mapping[str, Covariate],
    form: Form,
    groups: Groups,
    smallest_cell: int,
) -> tuple[list[Column], list[tuple[str, str]]]:
    """All fixed-effect columns, and the covariates that had to be left out."""
    columns = [Column("intercept", np.ones(len(frame)), "total")]
    if spec.kind == "within_between":
        columns += _predictor_columns(frame, spec, form, groups)
    available: dict[str, list[Column]] = {column.name: [column] for column in columns}
    dropped: list[tuple[str, str]] = []
    for name in single_terms(spec):
        if name in available:
            continue
        made = _variable_columns(frame, name, covariates, groups, smallest_cell)
        available[name] = made
        columns += made
        if not made:
            dropped.append((name, "has the same value in every row"))
    for term in (term for term in spec.covariates if ":" in term):
        made, reason = _product_columns(term, available, groups, smallest_cell)
        columns += made
        if reason:
            dropped.append((term, reason))
    return columns, dropped


def single_terms(spec: ModelSpec) -> list[str]:
    slopes = [*spec.random_slopes, *spec.therapist_slopes]
    implied = ["time"] if spec.kind == "course" or "time" in slopes else []
    return list(dict.fromkeys([*implied, *variables_of(spec)]))


def _predictor_columns(
    frame: pd.DataFrame, spec: ModelSpec, form: Form, groups: Groups
) -> list[Column]:
    within = frame["within"].to_numpy(dtype=np.float64)
    between = frame["between"].to_numpy(dtype=np.float64)
    upper = np.zeros_like(within)
    if spec.therapists:
        upper = frame["between_therapist"].to_numpy(dtype=np.float64)
    _check_predictor(within, between, upper, form, spec.therapists)
    columns = [
        Column("within", within, "within_client"),
        Column("between", between, "between_client"),
        Column("between_therapist", upper, "between_therapist"),
    ]
    if form == "contextual":
        columns = [
            Column("within", within + between + upper, "within_client"),
            Column("contextual", between + upper, "between_client"),
            Column("contextual_therapist", upper, "between_therapist"),
        ]
    return columns if spec.therapists else columns[:2]


def _check_predictor(
    within: FloatArray, between: FloatArray, upper: FloatArray, form: Form, therapists: bool
) -> None:
    spread = np.std(within + between + upper)
    advice = "Check the scoring of the predictor; a constant rating can predict nothing."
    if spread == 0:
        raise RefusedError("the predictor has the same value in every row", advice)
    if np.std(within) <= 1e-9 * spread:
        raise RefusedError("the predictor never changes within a client", advice)
    if form != "within" and np.std(between) <= 1e-9 * spread:
        raise RefusedError(
            "all clients have the same mean of the predictor, so it has no between-client part",
            "Use the within-only form, or check whether the scores were centred before.",
        )
    if therapists and np.std(upper) <= 1e-9 * spread:
        raise RefusedError(
            "all therapists have the same mean of the predictor", "Use the two-level model."
        )


def _variable_columns(
    frame: pd.DataFrame,
    name: str,
    covariates: Mapping[str, Covariate],
    groups: Groups,
    smallest_cell: int,
) -> list[Column]:
    if name == "time":
        time = frame["time"].to_numpy(dtype=np.float64)
        return [Column("time", time, "within_client")] if np.ptp(time) else []
    if name not in covariates:
        raise ValueError(f"{name!r} is neither `time` nor a declared covariate")
    covariate = covariates[name]
    level: Level = "between_client" if covariate.level == "client" else "total"
    label = covariate.label or name
    if covariate.type == "category":
        values = frame[name].astype(str).to_numpy(dtype=object)
        return _dummies(name, values, covariate, level, groups, smallest_cell)
    numbers = frame[name].to_numpy(dtype=np.float64)
    centre = groups.mean(numbers).mean() if level == "between_client" else numbers.mean()
    return [Column(name, numbers - centre, level, label)] if np.ptp(numbers) else []


def _dummies(
    name: str,
    values: NDArray[np.object_],
    covariate: Covariate,
    level: Level,
    groups: Groups,
    smallest_cell: int,
) -> list[Column]:
    """0/1 columns against the declared reference, else the category with the most clients."""
    label = covariate.label or name
    sizes = {c: _clients_in(values == c, groups) for c in sorted(set(values))}
    small = [f"'{c}'" for c, size in sizes.items() if size < smallest_cell]
    if small and len(sizes) > 1:
        raise RefusedError(
            f"{label}: too few clients in {', '.join(small)}; at least {smallest_cell} are needed",
            "Merge small categories (`labels` of the covariate) or leave the covariate out.",
        )
    reference = covariate.reference
    if reference is not None and reference not in sizes:
        raise RefusedError(
            f"{label}: no client of the model is in the reference category '{reference}'",
            f"Choose `reference` among {', '.join(repr(c) for c in sizes)}.",
        )
    reference = reference or max(sizes, key=lambda c: (sizes[c], c))
    return [
        Column(
            f"{name}[{c}]", (values == c).astype(float), level, f"{label} {c} versus {reference}"
        )
        for c in sizes
        if c != reference
    ]


def _clients_in(rows: NDArray[np.bool_], groups: Groups) -> int:
    return int(np.unique(groups.client[rows]).size)


def _product_columns(
    term: str, available: dict[str, list[Column]], groups: Groups, smallest_cell: int
) -> tuple[list[Column], str]:
    """Columns of an interaction; refused when it has a cell (almost) without clients."""
    parts = term.split(":")
    unknown = [part for part in parts if part not in available]
    if unknown:
        raise ValueError(f"{term!r} multiplies {', '.join(unknown)}, not in the model")
    if not all(available[part] for part in parts):
        return [], "one of its factors has the same value in every row"
    return [
        _one_product(factors, groups, smallest_cell)
        for factors in product(*(available[part] for part in parts))
    ], ""


def _one_product(factors: tuple[Column, ...], groups: Groups, smallest_cell: int) -> Column:
    name = ":".join(factor.name for factor in factors)
    values = np.prod([factor.data for factor in factors], axis=0)
    cell = _clients_in(values != 0, groups)
    if cell < smallest_cell:
        raise RefusedError(
            f"the interaction {name} rests on fewer than {smallest_cell} clients",
            "Merge categories or leave the interaction out.",
        )
    levels = {factor.level for factor in factors}
    order: tuple[Level, ...] = ("within_client", "total", "between_client", "between_therapist")
    level = next(level for level in order if level in levels)
    return Column(name, values, level, " x ".join(f.label or f.name for f in factors))


def within_only(
    columns: list[Column], y: FloatArray, groups: Groups
) -> tuple[list[Column], FloatArray, list[tuple[str, str]]]:
    """Deviations from client means: what is left when every client has an intercept of its own."""
    kept: list[Column] = []
    dropped: list[tuple[str, str]] = []
    for column in columns:
        moved = groups.deviations(column.data)
        if np.std(moved) > 1e-9 * max(np.std(column.data), 1e-300):
            kept.append(Column(column.name, moved, "within_client", column.label))
        else:
            dropped.append((column.name, "does not vary within clients (within-only form)"))
    return kept, groups.deviations(y), dropped


def check_columns(X: FloatArray, columns: list[Column]) -> None:
    """Refuse collinear columns, naming those in the dependency."""
    norms = np.sqrt(np.einsum("ij,ij->j", X, X))
    values, vectors = np.linalg.eigh((X.T @ X) / np.outer(norms, norms))
    if values[0] > _COLLINEAR:
        return
    involved = [
        c.name for c, weight in zip(columns, vectors[:, 0], strict=True) if abs(weight) > 1e-3
    ]
    raise RefusedError(
        f"{', '.join(involved)} are collinear: one is a linear function of the others",
        "Leave one of them out of the model.",
    )
