"""How far numbers of posterior draws may be off in tables and figures of another run.

Another processor draws otherwise from the same posterior. Every number has a tolerance of its own,
never one of its column, in which an expected log density stands beside probabilities:

- Beside an interval: the interval's width is 3.92 SD, and the number may move by Monte Carlo error,
  four standard errors of the difference of two runs, 4 sqrt(2) SD / sqrt(ESS); limits by 2.67 times
  as much, with the SD of the longer tail. A table does not tell its effective size: it is taken as
  the least that the diagnostics gate lets through, 400, or as the number of replications where
  those are independent (300; of studies of more than 66,000 rows there are fewer).
- Clients' own slopes, in order of their medians: other draws put another client, with an interval
  of another width, in the same place, so limits may be off by half the interval.
- The share of clients with the sign of the average slope has a long tail that few draws reach: its
  limits may be off by their distance from the estimate.
- Predictive p values and posterior probabilities: the same with SD = sqrt(p (1 - p)), at least four
  draws.
- Leave-one-out: the log density of all clients varies over draws with a variance of about the
  effective number of parameters (``p_loo``), so elpd, its SE and ``p_loo`` move with SD
  sqrt(p_loo); a difference of two models with sqrt(2) times that.
- Power-scaling indices, distances between weighted distributions of draws: 0.01 and three tenths.
- Bayes factors: on the logarithm, by 0.15 of it, at least 0.3.
- Clients with a high Pareto k: one, or twice the root of their number.
- Predictive checks before the data: seeded draws of the priors, without a sampler, so like maximum
  likelihood; observed values too.
- Histograms and curves, whose bins and grids lie where the draws do: mean and SD, not bin by bin.
- A number without any of these: five hundredths of itself.

Two fits of the main models of the bundled studies, one with another seed, differ by less.

Words are compared as they are: a verdict whose number lies at its threshold may change with the
draws and is told as a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

MC_ERRORS, LIMIT_FACTOR = 4.0, 2.67
LEAST_ESS = 400.0  # what the diagnostics gate asks for
N_REPLICATIONS = 300.0  # of a posterior predictive check; fewer of large studies
OF_VALUE = 0.05
OF_SEEDED = 1e-4
FLOOR = 1e-9
OF_INDEX = (0.01, 0.3)  # an absolute amount, and a share
OF_LOG_FACTOR, LEAST_LOG_FACTOR = 0.15, 0.3
MEDIAN_FACTOR = 1.253  # SE of a median by that of a mean, normal distribution
INTERVALS = (("ci_low", "ci_high"), ("low", "high"), ("nuts_low", "nuts_high"))
CENTRES = ("estimate", "median", "nuts")


@dataclass(frozen=True)
class Summary:
    """One number that stands for a whole histogram or curve, and how far it may be off."""

    row: str
    column: str
    value: float
    tolerance: float


# Cells of tables


def allowed_in_row(row: pd.Series, column: str) -> float:
    """How far one number of draws may be off, from its own interval or, without one, its value."""
    value = float(row[column])
    sd = _own_sd(row, column)
    if np.isfinite(sd) and sd > 0:
        limits = {name for pair in INTERVALS for name in pair}
        if column in limits and "position" in row.index:
            return max(1.96 * sd, _error(sd) * LIMIT_FACTOR)
        return _error(sd) * (LIMIT_FACTOR if column in limits else 1.0)
    if column == "nuts_difference_se":  # in standard errors, of which the posterior SD is one
        return _error(1.0)
    return max(OF_VALUE * abs(value), FLOOR) if np.isfinite(value) else FLOOR


def _own_sd(row: pd.Series, column: str) -> float:
    """Posterior SD of the number of a cell; NaN where the row does not tell it."""
    for low, high in INTERVALS:
        if {low, high} <= set(row.index) and column in {low, high, *CENTRES}:
            return (float(row[high]) - float(row[low])) / 3.92
    if column == "nuts" and {"reml", "nuts_difference_se"} <= set(row.index):
        in_se = float(row["nuts_difference_se"])
        return abs((float(row["nuts"]) - float(row["reml"])) / in_se) if in_se else np.nan
    return np.nan


def _error(sd: float, ess: float = LEAST_ESS) -> float:
    """Largest Monte Carlo difference of two runs of a mean."""
    return float(MC_ERRORS * np.sqrt(2.0 / ess) * sd)


def _share_error(share: float, n: float) -> float:
    return max(_error(float(np.sqrt(max(share * (1.0 - share), 0.0))), n), MC_ERRORS / n)


# Checks of a Bayesian model


def is_table_of_checks(columns: pd.Index) -> bool:
    """Whether a table is that of the checks of Bayesian models."""
    return {"check", "term", "observed", "estimate", "low", "high", "p"} <= set(columns)


def allowed_in_check(table: pd.DataFrame, at: int, column: str) -> float:
    """How far a number of the table of checks may be off.

    Parameters
    ----------
    at : position of the row. column : ``observed, estimate, se, low, high`` or ``p``.

    Raises
    ------
    KeyError
        If the kind of check is not known: it has no tolerance until it gets one here.
    """
    row = table.iloc[at]
    check, value = row["check"], float(row[column])
    if not np.isfinite(value):
        return FLOOR
    if check == "prior_predictive" or (column == "observed" and check != "prior_sensitivity"):
        return max(OF_SEEDED * abs(value), FLOOR)
    if column == "p":
        n = N_REPLICATIONS if check == "posterior_predictive" else LEAST_ESS
        return _share_error(value, n)
    if check in ("leave_one_out", "comparison"):
        return _of_leave_one_out(table, row, column)
    return _WITHOUT_P[check](row, column)


def _of_index(row: pd.Series, column: str) -> float:
    return OF_INDEX[0] + OF_INDEX[1] * abs(float(row[column]))


def _of_bayes_factor(row: pd.Series, column: str) -> float:
    return max(OF_LOG_FACTOR * abs(float(np.log(row[column]))), LEAST_LOG_FACTOR)


def _of_replications(row: pd.Series, column: str) -> float:
    return _of_limits(row, column, N_REPLICATIONS, MEDIAN_FACTOR)


def _of_limits(
    row: pd.Series, column: str, n: float = LEAST_ESS, factor_of_centre: float = 1.0
) -> float:
    sd = (float(row["high"]) - float(row["low"])) / 3.92
    if not sd > 0:
        return max(OF_VALUE * abs(float(row[column])), FLOOR)
    if column not in ("low", "high"):
        return _error(sd, n) * factor_of_centre
    return _error(max(sd, _half(row, column) / 1.96), n) * LIMIT_FACTOR


def _half(row: pd.Series, column: str) -> float:
    """Distance of a limit from its estimate: the SD on the side of the longer tail is larger."""
    return abs(float(row[column]) - float(row["estimate"]))


def _of_share_of_slopes(row: pd.Series, column: str) -> float:
    allowed = _of_limits(row, column)
    return max(allowed, _half(row, column)) if column in ("low", "high") else allowed


_WITHOUT_P: dict[str, Callable[[pd.Series, str], float]] = {
    "posterior_predictive": _of_replications,
    "prior_sensitivity": _of_index,
    "bayes_factor": _of_bayes_factor,
    "decision": _of_limits,
    "slopes": _of_share_of_slopes,
}


def on_the_logarithm(check: str, column: str) -> bool:
    """Whether a number is compared by its logarithm: Bayes factors."""
    return check == "bayes_factor" and column == "estimate"


def _of_leave_one_out(table: pd.DataFrame, row: pd.Series, column: str) -> float:
    if row["term"] == "pareto_k_bad":
        return max(1.0, 2.0 * float(np.sqrt(row["estimate"])))
    own = (table["check"] == "leave_one_out") & (table["term"] == "p_loo")
    error = _error(float(np.sqrt(max(float(table.loc[own, "estimate"].iloc[0]), 0.0))))
    if row["check"] == "leave_one_out":
        return error
    error *= np.sqrt(2.0)
    return float(error * (1.0 + 1.96 if column in ("low", "high") else 1.0))


# Figures whose bins or grid lie where the draws do


def summarise_histograms(table: pd.DataFrame) -> Iterator[Summary]:
    """Simulated statistics: number, mean and SD of each; the observed value tightly.

    Parameters
    ----------
    table : numbers of the figure of predictive checks, ``statistic, kind, low, high, count``.

    Two runs of n replications each differ by four standard errors; a quarter of a bin is for bins
    that are cut elsewhere. The standard error of an SD is SD sqrt((kurtosis - 1) / (4 n)).
    """
    for statistic, own in table.groupby("statistic", sort=False):
        for observed in own.loc[own["kind"] == "observed", "low"]:
            allowed = max(OF_SEEDED * abs(observed), FLOOR)
            yield Summary(str(statistic), "observed", float(observed), allowed)
        bins = own[own["kind"] == "replicated"]
        n = float(bins["count"].sum())
        yield Summary(str(statistic), "number of replications", n, 0.0)
        if n == 0:
            continue
        weights = bins["count"].to_numpy(float) / n
        middle = (bins["low"] + bins["high"]).to_numpy(float) / 2.0
        cut = float((bins["high"] - bins["low"]).mean()) / 4.0
        yield from _moments(str(statistic), middle, weights, n, cut)


def _moments(
    words: str, x: np.ndarray, weights: np.ndarray, n: float, cut: float
) -> Iterator[Summary]:
    mean = float(weights @ x)
    variance = float(weights @ (x - mean) ** 2)
    sd = float(np.sqrt(variance))
    kurtosis = float(weights @ (x - mean) ** 4) / variance**2 if variance > 0 else 1.0
    yield Summary(words, "mean", mean, max(_error(sd, n) + cut, FLOOR))
    of_sd = _error(sd * np.sqrt(max(kurtosis - 1.0, 0.0)) / 2.0, n)
    yield Summary(words, "SD", sd, max(of_sd + cut, FLOOR))


def summarise_curves(table: pd.DataFrame) -> Iterator[Summary]:
    """Posterior densities: mean and SD of each; priors: mean and SD, tightly, from their curve.

    Parameters
    ----------
    table : numbers of the figure of posteriors, ``analysis, term, curve, x, density``.
    """
    for (analysis, term, curve), own in table.groupby(["analysis", "term", "curve"], sort=False):
        words = f"{analysis} / {term} / {curve}"
        x, density = own["x"].to_numpy(float), own["density"].to_numpy(float)
        if curve == "posterior":
            weights = density / density.sum()  # the grid has equal steps
            yield from _moments(words, x, weights, LEAST_ESS, 0.0)
            continue
        seen = density > 0
        middle = float(x[seen].mean())
        squared, linear, _ = np.polyfit(x[seen] - middle, np.log(density[seen]), 2)
        sd = float(np.sqrt(-0.5 / squared))  # the log of a normal density is a parabola
        yield Summary(words, "mean", middle + float(linear * sd**2), OF_SEEDED * sd)
        yield Summary(words, "SD", sd, OF_SEEDED * sd)


SUMMARISED = {
    frozenset({"statistic", "kind", "low", "high", "count"}): summarise_histograms,
    frozenset({"analysis", "term", "curve", "x", "density"}): summarise_curves,
}
