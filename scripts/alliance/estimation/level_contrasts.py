"""Differences between levels that are not coefficients themselves, as weights of coefficients."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def level_contrasts(names: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """Differences between levels that are not coefficients themselves, as weights of ``names``.

    In the contextual form the differences are coefficients, and the effects between clients and
    therapists are their sums with the within effect.
    """
    for term, plus, minus in (
        ("contextual", "between", "within"),
        ("contextual_therapist", "between_therapist", "between"),
    ):
        if plus in names and minus in names:
            yield term, np.array([float(n == plus) - float(n == minus) for n in names])
    for term, parts in (
        ("between", ("within", "contextual")),
        ("between_therapist", ("within", "contextual", "contextual_therapist")),
    ):
        if set(parts) <= set(names):
            yield term, np.array([float(name in parts) for name in names])


def between_weights(names: tuple[str, ...]) -> np.ndarray | None:
    """The between effect as weights: a coefficient, or within + contextual."""
    parts = ("between",) if "between" in names else ("within", "contextual")
    if not set(parts) <= set(names):
        return None
    return np.array([float(name in parts) for name in names])
