"""What later stages read from a reliability table."""

from __future__ import annotations

import numpy as np
import pandas as pd

EXPLORATORY_BELOW = 0.60


def coefficient_of(
    table: pd.DataFrame, measure: str, level: str, coefficient: str, scale: str = "total"
) -> float:
    """One estimate of a reliability table; NaN where there is none."""
    found = table[
        (table["measure"] == measure)
        & (table["scale"] == scale)
        & (table["level"] == level)
        & (table["coefficient"] == coefficient)
    ]
    return float(found["estimate"].iloc[0]) if len(found) else float("nan")


def is_exploratory(table: pd.DataFrame, measure: str, scale: str = "total") -> bool:
    """Whether within-client analyses of a scale must be labelled exploratory.

    True where within-client omega (Rcn where there is none) is below .60; False where neither is
    known, e.g. for scores made elsewhere.
    """
    within = coefficient_of(table, measure, "within_client", "omega", scale)
    if np.isnan(within):
        within = coefficient_of(table, measure, "within_client", "Rcn", scale)
    return bool(within < EXPLORATORY_BELOW)
