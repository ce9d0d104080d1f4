"""Building blocks of sentences: numbers as APA style prints them, lists, places in tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alliance.tables.format import digits_for, direction, interval, number, p_value
from alliance.tables.models import BAYESIAN, family


def listed(words: Sequence[str], last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def sentence(text: str) -> str:
    """With a capital and a full stop; nothing stays nothing."""
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def statistics(row: pd.Series, symbol: str = "b") -> str:
    """``*b* = −2.08, 95% CI [−2.60, −1.57], *p* < .001`` of one row of the estimates."""
    bounded = row["units"] in ("proportion", "correlation")
    digits = digits_for(row["se"], bounded=bounded)
    bayes = family(row["estimator"]) in BAYESIAN
    parts = [f"*{symbol}* = {number(row['estimate'], digits, bounded)}"]
    limits = interval(row["ci_low"], row["ci_high"], digits, bounded)
    if limits.startswith("["):
        parts.append(f"95% {'CrI' if bayes else 'CI'} {limits}")
    if np.isfinite(row["p"]):
        p = p_value(row["p"])
        parts.append(f"*p* {p}" if p[0] in "<>" else f"*p* = {p}")
    if bayes and np.isfinite(row["pd"]):
        parts.append(f"posterior probability of the sign {direction(row['pd'])}")
    return ", ".join(parts)


def first_ok(
    estimates: pd.DataFrame, analysis: str, term: str, families: Sequence[str]
) -> pd.Series | None:
    """The first row of a term made by one kind of estimator, if it holds a number."""
    own = estimates[(estimates["analysis"] == analysis) & (estimates["term"] == term)]
    own = own[own["estimator"].map(family).isin(families) & (own["status"] != "not_estimated")]
    return own.iloc[0] if len(own) else None
