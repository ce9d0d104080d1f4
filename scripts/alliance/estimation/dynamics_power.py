"""What a study of this size can show: the smallest cross-lag that would usually be found.

From the standard error of the fitted model: a two-sided test at .05 finds an effect of
``(1.96 + 0.84)`` standard errors in four studies of five like this one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import stats

from alliance.estimates import Estimate
from alliance.estimation.dynamics import VarFit
from alliance.estimation.dynamics_effects import coefficients, within_sd
from alliance.estimation.dynamics_maker import RowMaker, VarContext, term_name

POWER, SIGNIFICANCE = 0.80, 0.05
SMALL_EFFECT = 0.10  # within-client SDs per SD; published effects are .05 to .21


def power_rows(fit: VarFit, context: VarContext) -> Iterator[Estimate]:
    """Detectable effect, and power for an effect of .10, of each cross-lag in within-client SDs."""
    maker = RowMaker(context, fit)
    sd = within_sd(fit)
    raw = coefficients(fit)
    for target, source in maker.pairs():
        se = float(raw.se[0, target, source] * sd[source] / sd[target])
        if fit.problems or not np.isfinite(se) or se <= 0.0:
            continue
        to, by = maker.labels(target, source)
        term, ends = term_name(maker.names, target, source), maker.ends(target, source)
        arrow = f"{by.label} on {to.label}"
        words = f"Smallest effect of {arrow} found in 80% of studies of this size"
        yield maker.row(
            f"detectable_{term}",
            "fit",
            words,
            "within-client SDs per SD",
            estimate=detectable_effect(se),
            **ends,
        )
        words = f"Share of studies of this size that find an effect of {arrow} of .10"
        yield maker.row(
            f"power_{term}", "fit", words, "proportion", estimate=power(SMALL_EFFECT, se), **ends
        )


def detectable_effect(se: float, wanted: float = POWER) -> float:
    """Effect that a two-sided test at .05 finds with the wanted probability."""
    limit = float(stats.norm.isf(SIGNIFICANCE / 2))
    return (limit + float(stats.norm.ppf(wanted))) * se


def power(effect: float, se: float) -> float:
    """Probability that a two-sided test at .05 finds an effect."""
    limit = float(stats.norm.isf(SIGNIFICANCE / 2))
    size = abs(effect) / se
    return float(stats.norm.sf(limit - size) + stats.norm.cdf(-limit - size))
