"""Which random slopes the data can carry, for clients and for therapists."""

from __future__ import annotations

import numpy as np

from alliance.estimation.design_columns import Column, Form
from alliance.estimation.design_groups import MIN_CLIENTS_PER_THERAPIST, Groups
from alliance.study import ModelSpec

MIN_CLIENTS_FOR_SLOPE = 5
MIN_THERAPISTS_FOR_SLOPE = 10


def client_slopes(
    spec: ModelSpec, columns: list[Column], groups: Groups, form: Form
) -> tuple[list[int], list[tuple[str, str]]]:
    """Positions of the columns with random slopes; slopes the data cannot carry are dropped."""
    names = [column.name for column in columns]
    slopes: list[int] = []
    dropped: list[tuple[str, str]] = []
    for name in spec.random_slopes:
        if form == "within":
            dropped.append((f"random slope of {name}", "the within-only form has none"))
            continue
        if name not in names:
            dropped.append((f"random slope of {name}", "the term itself is not in the model"))
            continue
        position = names.index(name)
        moves = np.bincount(groups.client, groups.deviations(columns[position].data) ** 2) > 0
        rows = 3 + len(slopes)
        able = int((moves & (groups.rows >= rows)).sum())
        if able >= MIN_CLIENTS_FOR_SLOPE:
            slopes.append(position)
        else:
            reason = f"{able} clients have {rows} or more rows; {MIN_CLIENTS_FOR_SLOPE} are needed"
            dropped.append((f"random slope of {name}", reason))
    return slopes, dropped


def therapist_slopes(
    spec: ModelSpec, columns: list[Column], groups: Groups, form: Form
) -> tuple[list[int], list[tuple[str, str]]]:
    """Positions of the columns whose slopes differ between therapists, if the data carry them."""
    names = [column.name for column in columns]
    owner = groups.therapist_of_client
    slopes: list[int] = []
    dropped: list[tuple[str, str]] = []
    for name in dict.fromkeys(spec.therapist_slopes):
        what = f"therapist slope of {name}"
        if form == "within" or owner is None:
            dropped.append((what, "the within-only form has none"))
            continue
        if name not in names:
            dropped.append((what, "the term itself is not in the model"))
            continue
        position = names.index(name)
        able = _therapists_with_variation(columns[position], groups)
        if able >= MIN_THERAPISTS_FOR_SLOPE:
            slopes.append(position)
        else:
            need = f"{MIN_CLIENTS_PER_THERAPIST} or more clients on whom {name} varies"
            reason = f"{able} therapists have {need}; {MIN_THERAPISTS_FOR_SLOPE} are needed"
            dropped.append((what, reason))
    return slopes, dropped


def _therapists_with_variation(column: Column, groups: Groups) -> int:
    """Therapists with enough clients on whom a column varies (within them, or between them)."""
    owner = groups.therapist_of_client
    assert owner is not None
    if column.level == "between_client":
        moves = np.abs(groups.mean(column.data)) > 0
    else:
        moves = np.bincount(groups.client, groups.deviations(column.data) ** 2) > 0
    return int((np.bincount(owner[moves]) >= MIN_CLIENTS_PER_THERAPIST).sum())
