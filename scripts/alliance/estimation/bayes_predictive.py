"""Data replicated from the prior or the posterior, and statistics to hold them against.

Statistics are of the outcome alone and within clients where they can be, so that each asks about a
part of the model: levels, spread, its equality between clients, dependence over sessions, jumps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.estimation.bayes import BayesFit, likelihood_arguments, parameters_of
from alliance.estimation.bayes_effects import spread_draws
from alliance.estimation.bayes_model import Standard, prior_scales, standardise
from alliance.estimation.design import ModelDesign
from alliance.estimation.priors import Priors

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Range = tuple[float, float]

_MOST_ROWS = 20_000_000  # rows simulated in one check; large studies get fewer replications
_FEWEST = 100
_ROWS_FOR_SPREAD = 3  # sessions from which a client's own SD is taken


@dataclass(frozen=True)
class Statistic:
    """A statistic of the outcome: ``words`` for readers, ``asks`` what it is about."""

    name: str
    words: str
    asks: str


STATISTICS: tuple[Statistic, ...] = (
    Statistic("icc", "Share of variance between clients (ICC)", "levels of clients"),
    Statistic("sd_within", "SD within clients", "spread within clients"),
    Statistic("sd_spread", "SD of clients' own SDs", "equal spread in all clients"),
    Statistic("autocorrelation", "Lag-1 autocorrelation within clients", "independent residuals"),
    Statistic("trend", "Change per session", "course over time"),
    Statistic("range_within", "Range within a client, mean", "extremes of single sessions"),
    Statistic("largest_fall", "Largest fall to the next session, mean", "sudden gains"),
    Statistic("skewness", "Skewness within clients", "normal residuals"),
    Statistic("beyond_scale", "Share of scores beyond the scale", "floor and ceiling"),
)
WORDS: dict[str, str] = {statistic.name: statistic.words for statistic in STATISTICS}


@dataclass(frozen=True)
class Predictive:
    """Statistics of replicated data beside those of the observed data.

    Attributes
    ----------
    observed : statistic -> value. replicated : one row per replication, one column per statistic.
    """

    observed: dict[str, float]
    replicated: pd.DataFrame


def posterior_predictive(
    fit: BayesFit, *, seed: int, n_replications: int = 300, scale: Range | None = None
) -> Predictive:
    """Statistics of data replicated from the posterior beside the observed ones.

    New clients (and therapists) with the observed predictors are simulated from the marginal model.

    Parameters
    ----------
    scale : lowest and highest possible outcome, for the statistics about the scale.
    """
    parameters, n = parameters_of(fit), _affordable(fit.design, n_replications)
    points = spread_draws(parameters["sigma"].shape, n)
    rng = np.random.default_rng(seed)
    replicated = [simulate_outcome(fit.design, fit.standard, parameters, at, rng) for at in points]
    return _predictive(fit.design, replicated, scale)


def prior_predictive(
    design: ModelDesign,
    priors: Priors,
    *,
    seed: int,
    n_replications: int = 500,
    scale: Range | None = None,
) -> Predictive:
    """The same statistics of data simulated from the priors alone: is what they imply possible?"""
    standard, rng = standardise(design), np.random.default_rng(seed)
    n = _affordable(design, n_replications)
    parameters = draw_from_priors(design, priors, n, rng)
    replicated = [simulate_outcome(design, standard, parameters, (0, k), rng) for k in range(n)]
    return _predictive(design, replicated, scale)


def _affordable(design: ModelDesign, n: int) -> int:
    return int(np.clip(_MOST_ROWS // design.n_obs, _FEWEST, n))


def _predictive(
    design: ModelDesign, replicated: list[FloatArray], scale: Range | None
) -> Predictive:
    def statistics(y: FloatArray) -> dict[str, float]:
        return outcome_statistics(y, design.client, scale)

    return Predictive(statistics(design.y), pd.DataFrame([statistics(y) for y in replicated]))


def compare_statistics(found: Predictive) -> pd.DataFrame:
    """Observed statistics against their distribution in replicated data.

    Returns
    -------
    One row per statistic with ``observed``, the quantiles ``low`` (2.5 %), ``median`` and ``high``
    (97.5 %) of the replications and ``tail``, the share of them at least as large as the observed:
    the predictive p value (Gelman, Meng & Stern 1996). Ties count half.
    """
    values, observed = found.replicated, pd.Series(found.observed)
    ties = 0.5 * (values == observed).mean()
    return pd.DataFrame(
        {
            "statistic": list(values.columns),
            "observed": observed.to_numpy(),
            "low": values.quantile(0.025).to_numpy(),
            "median": values.median().to_numpy(),
            "high": values.quantile(0.975).to_numpy(),
            "tail": ((values > observed).mean() + ties).to_numpy(),
        }
    )


def possible_shares(found: Predictive, scale: Range, sessions: float) -> dict[str, float]:
    """Share of prior replications whose statistic can occur on the instrument at all.

    Parameters
    ----------
    scale : lowest and highest possible outcome. sessions : median number of rows of a client.

    Returns
    -------
    For the within-client SD (at most half the scale, with n - 1 in the denominator), the change
    over treatment, the range within a client (both at most the scale), and ``beyond_scale``: the
    share of simulated scores on the scale.
    """
    width, n = scale[1] - scale[0], max(sessions, 2.0)
    values = found.replicated
    return {
        "sd_within": float((values["sd_within"] <= width / 2 * np.sqrt(n / (n - 1))).mean()),
        "trend": float((values["trend"].abs() * (n - 1) <= width).mean()),
        "range_within": float((values["range_within"] <= width).mean()),
        "beyond_scale": float(1.0 - values["beyond_scale"].mean()),
    }


# Simulation


def draw_from_priors(
    design: ModelDesign, priors: Priors, n: int, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """(1, n, ...) draws of all parameters, in units of sampling."""
    drawn = {}
    for name, scale in prior_scales(design, priors).items():
        shape = (1, n, *scale.shape)
        if name.startswith("unit"):
            drawn[name] = rng.beta(scale, scale, size=shape) if scale.size else np.zeros(shape)
        else:
            values = scale * rng.normal(size=shape)
            drawn[name] = values if name == "beta" else np.abs(values)
    return drawn


def simulate_outcome(
    design: ModelDesign,
    standard: Standard,
    parameters: Mapping[str, FloatArray],
    at: tuple[int, int],
    rng: np.random.Generator,
) -> FloatArray:
    """(n_obs,) outcome in raw units of new clients and therapists with the same predictors."""
    beta, log_sigma, Lc, Lt = likelihood_arguments(parameters, at, standard)
    X = design.X / standard.columns
    u = rng.normal(size=(design.n_clients, Lc.shape[0])) @ Lc.T
    y = X @ beta + (X[:, design.client_columns] * u[design.client]).sum(axis=1)
    if design.therapist is not None:
        w = rng.normal(size=(design.therapist.max() + 1, Lt.shape[0])) @ Lt.T
        y += (X[:, design.therapist_columns] * w[design.therapist]).sum(axis=1)
    y += np.exp(log_sigma) * rng.normal(size=y.size)
    return standard.offset + standard.outcome * y


# Statistics


def outcome_statistics(
    y: FloatArray, client: IntArray, scale: Range | None = None
) -> dict[str, float]:
    """The statistics of :data:`STATISTICS`, without ``beyond_scale`` where no scale is given.

    Rows of a client count as consecutive in the order in which they stand. Autocorrelation, trend
    and skewness are of deviations from client means and carry their bias in short series, in the
    observed and in the replicated data alike. ``largest_fall`` is of an outcome of which higher is
    worse: the best step of a client, mean over clients with two rows or more.
    """
    order = np.argsort(client, kind="stable")
    y, code = y[order], client[order]
    rows = np.bincount(code)
    means = np.bincount(code, y) / rows
    deviations = y - means[code]
    icc, sd_within = _levels(y, code, deviations, means, rows)
    found = {"icc": icc, "sd_within": sd_within, "sd_spread": _spread(deviations, code, rows)}
    found |= _course(y, code, deviations, rows)
    found["skewness"] = float((deviations**3).mean() / (deviations**2).mean() ** 1.5)
    if scale is not None:
        found["beyond_scale"] = float(((y < scale[0]) | (y > scale[1])).mean())
    return found


def _levels(
    y: FloatArray, code: IntArray, deviations: FloatArray, means: FloatArray, rows: IntArray
) -> tuple[float, float]:
    """ICC(1) and pooled within-client SD."""
    n, k = y.size, rows.size
    within = deviations @ deviations / (n - k)
    between = (rows * (means - y.mean()) ** 2).sum() / (k - 1)
    size = (n - (rows**2).sum() / n) / (k - 1)
    icc = (between - within) / (between + (size - 1) * within)
    return float(icc), float(np.sqrt(within))


def _spread(deviations: FloatArray, code: IntArray, rows: IntArray) -> float:
    """SD over clients with three rows or more of their own SDs; 0 where fewer than two have."""
    enough = rows >= _ROWS_FOR_SPREAD
    own = np.sqrt(np.bincount(code, deviations**2)[enough] / (rows[enough] - 1))
    return float(own.std(ddof=1)) if own.size > 1 else 0.0


def _course(
    y: FloatArray, code: IntArray, deviations: FloatArray, rows: IntArray
) -> dict[str, float]:
    """What depends on the order of sessions."""
    first = np.cumsum(rows) - rows
    position = np.arange(y.size) - first[code]
    centred = position - ((rows - 1) / 2)[code]
    follows = code[1:] == code[:-1]
    before, after = deviations[:-1][follows], deviations[1:][follows]
    falls = (y[:-1] - y[1:])[follows]
    repeated = rows > 1
    starts = (np.cumsum(rows - 1) - (rows - 1))[repeated]
    ranges = np.maximum.reduceat(y, first) - np.minimum.reduceat(y, first)
    product = np.sqrt((before @ before) * (after @ after))
    return {
        "autocorrelation": float(before @ after / product),
        "trend": float(centred @ deviations / (centred @ centred)),
        "range_within": float(ranges[repeated].mean()),
        "largest_fall": float(np.maximum.reduceat(falls, starts).mean()),
    }
