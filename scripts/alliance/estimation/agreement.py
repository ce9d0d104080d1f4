"""Do independent estimators agree? Differences in standard errors of the reference."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

COLUMNS: tuple[str, ...] = (
    "analysis",
    "term",
    "level",
    "reference",
    "estimator",
    "estimate_reference",
    "se_reference",
    "estimate",
    "se",
    "difference_in_se",
    "se_ratio",
    "remark",
)
# Largest difference, in standard errors of the reference, before an estimator disagrees; by how
# its name begins. Posterior means differ from REML by prior and Monte Carlo error.
TOLERANCES: dict[str, float] = {"MixedLM": 0.05, "NUTS": 0.5}
OTHER_MODEL_TOLERANCE = 0.5  # where a remark says that the estimator's model is not quite the same


def compare_estimators(table: pd.DataFrame, reference: str = "REML") -> pd.DataFrame:
    """Every fixed effect of every other estimator beside the reference's.

    Parameters
    ----------
    table : estimates (``alliance.estimates``) of several estimators, several analyses.
    reference : how the name of the reference estimator begins.

    Returns
    -------
    DataFrame
        COLUMNS, sorted; ``difference_in_se`` = (estimate - reference) / se of the reference.
        Terms that either estimator could not estimate are not compared. ``remark`` repeats a
        ``known_bias`` that only the other estimator has, e.g. a simplified model.
    """
    fixed = table[(table["kind"] == "fixed") & (table["status"] == "ok")]
    first = fixed[fixed["estimator"].str.startswith(reference)]
    others = fixed[~fixed["estimator"].str.startswith(reference)]
    keys = ["analysis", "term"]
    kept = ["level", "estimator", "estimate", "se", "known_bias"]
    both = others[[*keys, *kept]].merge(
        first[[*keys, "estimator", "estimate", "se", "known_bias"]],
        on=keys,
        suffixes=("", "_reference"),
    )
    both = both.rename(columns={"estimator_reference": "reference"})
    both["difference_in_se"] = (both["estimate"] - both["estimate_reference"]) / both[
        "se_reference"
    ]
    both["se_ratio"] = both["se"] / both["se_reference"]
    same = both["known_bias"] == both["known_bias_reference"]
    both["remark"] = both["known_bias"].where(~same, "")
    return both[list(COLUMNS)].sort_values([*keys, "estimator"], ignore_index=True)


def disagreements(
    comparison: pd.DataFrame,
    tolerances: Mapping[str, float] | None = None,
    se_tolerance: float = 0.25,
) -> list[str]:
    """One sentence per coefficient on which two estimators disagree; empty when all agree.

    Parameters
    ----------
    comparison : from :func:`compare_estimators`.
    tolerances : largest difference in standard errors, by how the estimator's name begins;
        estimators without one are held to 0.05.
    se_tolerance : largest relative difference of the standard errors themselves.
    """
    limits = TOLERANCES if tolerances is None else tolerances
    found = []
    for row in comparison.itertuples():
        limit = next((v for k, v in limits.items() if str(row.estimator).startswith(k)), 0.05)
        if row.remark:
            limit = max(limit, OTHER_MODEL_TOLERANCE)
        apart = abs(float(row.difference_in_se))
        ratio = abs(float(np.log(row.se_ratio))) if row.se_ratio > 0 else np.inf
        if not apart <= limit or not ratio <= np.log1p(se_tolerance):
            found.append(
                f"{row.analysis}, {row.term}: {row.reference} {row.estimate_reference:.4g} "
                f"(SE {row.se_reference:.3g}), {row.estimator} {row.estimate:.4g} "
                f"(SE {row.se:.3g}); {apart:.2g} standard errors apart, {limit:g} allowed"
            )
    return found
