"""Sentences on interactions: for whom a coefficient holds, and how much it differs for others."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from alliance.study import Study
from alliance.tables.format import digits_for, interval, number, p_text
from alliance.tables.models import FREQUENTIST, rows_of


def interaction_sentences(
    estimates: pd.DataFrame, study: Study, key: str, term: str
) -> Iterator[str]:
    """What the covariates multiplied with ``term`` say; nothing for a model without products.

    With a category in the product, the coefficient of ``term`` is that of the reference alone.
    """
    own = rows_of(estimates[estimates["analysis"] == key], key, FREQUENTIST)
    products = own[own["term"].str.startswith(f"{term}:") & (own["status"] == "ok")]
    names = [str(found).split(":")[1].split("[")[0] for found in products["term"]]
    for name in dict.fromkeys(names):
        part = products[products["term"].str.startswith(f"{term}:{name}")]
        covariate = study.covariates.get(name)
        label = (covariate.label if covariate else None) or name.replace("_", " ")
        reference = covariate.reference if covariate else None
        if part["term"].str.endswith("]").all():
            who = f"{label} {reference}" if reference is not None else f"the reference of {label}"
            yield f"This number is for {who}."
        for _, row in part.iterrows():
            yield _difference(row, label)


def _difference(row: pd.Series, label: str) -> str:
    digits = digits_for(row["se"])
    group = str(row["term"]).partition("[")[2].rstrip("]")
    who = f"With {label} {group}" if group else f"With each further point of {label}"
    found = [f"difference {number(row['estimate'], digits)} {row['units']}"]
    limits = interval(row["ci_low"], row["ci_high"], digits)
    found += [f"95% CI {limits}"] if limits.startswith("[") else []
    found += [p_text(row["p"])] if p_text(row["p"]) else []
    open_ = row["ci_low"] <= 0 <= row["ci_high"]
    way = "more towards worse" if row["estimate"] > 0 else "more towards better"
    words = "it does not clearly differ" if open_ else f"it is {way}"
    return f"{who} {words} ({', '.join(found)})."
