"""Every check of one Bayesian fit as one tidy table, and as groups of its NetCDF file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from alliance.estimation.bayes import BayesFit
from alliance.estimation.bayes_checks import (
    SWEEP,
    bayes_factor_sweep,
    highest_density,
    practical_equivalence,
    prior_sensitivity,
    standardised_draws,
)
from alliance.estimation.bayes_effects import client_effects
from alliance.estimation.bayes_loo import (
    LeaveOneOut,
    compare,
    leave_one_out,
    refit_bad,
    sample_without_slope,
)
from alliance.estimation.bayes_model import BayesModel
from alliance.estimation.bayes_predictive import (
    WORDS,
    Predictive,
    Range,
    compare_statistics,
    possible_shares,
    posterior_predictive,
    prior_predictive,
)
from alliance.estimation.bayes_rows import percent_same_sign, verdict
from alliance.estimation.diagnostics import DRAFT
from alliance.estimation.effort import Effort
from alliance.seeds import derive_seed
from alliance.small_cells import count_in_words, is_small

FloatArray = NDArray[np.float64]

POSSIBLE = 0.99  # share of prior replications that should be possible (methods specification, 3)
EXTREME = 0.025  # predictive p values nearer to 0 or 1 than this deserve a look
FEWEST_EFFECTIVE = 100.0  # effective draws that a reweighted Bayes factor needs
MOST_SHOWN = 30  # clients in the figure of slopes
_MOST_EFFECTS = 4_000_000  # numbers of recovered client effects kept in the file
_OF_SLOPES = ["analysis", "position", "median", "low", "high"]
_WITHOUT = Effort(2, 1000, 500, DRAFT)


@dataclass(frozen=True)
class Check:
    """One number of one check.

    Attributes
    ----------
    check : ``prior_predictive``, ``posterior_predictive``, ``leave_one_out``, ``comparison``,
        ``prior_sensitivity``, ``decision``, ``bayes_factor`` or ``slopes``.
    term : what it is about; ``words`` says it for readers, ``units`` its units.
    observed : value in the data. estimate : value, with ``low`` and ``high`` limits of 95 %, or
        ``se``.
    p : predictive p value, or a posterior probability. flag : what deserves a look; empty if
        nothing does. status, reason : as in the estimates table.
    """

    analysis: str
    check: str
    term: str
    words: str
    units: str = ""
    observed: float = np.nan
    estimate: float = np.nan
    se: float = np.nan
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan
    flag: str = ""
    status: str = "ok"
    reason: str = ""


COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Check))


@dataclass(frozen=True)
class Given:
    """What the checks of a model need to know besides the fit.

    Attributes
    ----------
    scale : lowest and highest possible outcome; None when unknown.
    smallest_cell : counts of clients below it are not told.
    """

    analysis: str
    outcome_units: str
    scale: Range | None
    smallest_cell: int


@dataclass(frozen=True)
class BayesChecks:
    """All checks of one fit.

    Attributes
    ----------
    table : one row per number, :data:`COLUMNS`. predictive : ``analysis, source, statistic,
        value``. slopes : ``analysis, position, median, low, high`` of at most thirty clients, in
        order of their slopes and without ids; empty without a random within slope.
    groups : further groups of the NetCDF file. sensitivity : term -> power-scaling by the prior.
    """

    table: pd.DataFrame
    predictive: pd.DataFrame
    slopes: pd.DataFrame
    groups: dict[str, xr.Dataset]
    sensitivity: dict[str, float]

    @staticmethod
    def none() -> BayesChecks:
        """What stands for a model that was not fitted."""
        predictive = pd.DataFrame(columns=["analysis", "source", "statistic", "value"])
        return BayesChecks(to_table([]), predictive, pd.DataFrame(columns=_OF_SLOPES), {}, {})


def check_fit(prepared: BayesModel, fit: BayesFit, given: Given, cores: int = 2) -> BayesChecks:
    """Run every check that applies to a fit; the seed of the fit decides all random numbers."""
    prior = prior_predictive(
        fit.design, fit.priors, seed=derive_seed(fit.seed, "prior"), scale=given.scale
    )
    posterior = posterior_predictive(
        fit, seed=derive_seed(fit.seed, "posterior"), scale=given.scale
    )
    sensitivity = prior_sensitivity(fit)
    loo = refit_bad(leave_one_out(fit), prepared, seed=derive_seed(fit.seed, "loo"))
    checks = [
        *_prior_rows(prior, fit, given),
        *_posterior_rows(posterior, given),
        *_loo_rows(loo, given),
        *_comparison_rows(prepared, fit, loo, given, cores),
        *_sensitivity_rows(sensitivity, given),
        *_decision_rows(fit, given),
    ]
    effects = _effects(fit)
    slopes = shown_slopes(fit, effects, given)
    checks += _slope_rows(fit, effects, given)
    if not fit.diagnostics.passed:
        checks = [_untrusted(check, fit) for check in checks]
    return BayesChecks(
        table=to_table(checks),
        predictive=_predictive_table(prior, posterior, given.analysis),
        slopes=slopes,
        groups=_groups(prior, posterior, loo, sensitivity, effects),
        sensitivity=dict(zip(sensitivity["term"], sensitivity["prior"], strict=True)),
    )


def _untrusted(check: Check, fit: BayesFit) -> Check:
    """The gate holds for the checks as well; what was not estimated stays so."""
    status, reason = verdict(fit.diagnostics)
    return check if check.status != "ok" else replace(check, status=status, reason=reason)


def to_table(checks: list[Check]) -> pd.DataFrame:
    """The checks as a table with all columns, also when there are none."""
    return pd.DataFrame([asdict(check) for check in checks], columns=list(COLUMNS))


# Predictions


def _units(term: str, given: Given) -> str:
    pure = {"icc": "share", "autocorrelation": "correlation", "skewness": "skewness"}
    if term == "trend":
        return f"{given.outcome_units} per session"
    return "share of scores" if term == "beyond_scale" else pure.get(term, given.outcome_units)


def _prior_rows(found: Predictive, fit: BayesFit, given: Given) -> Iterator[Check]:
    """What the priors imply, and which share of it can occur on the instrument."""
    shares: dict[str, float] = {}
    if given.scale is not None:
        shares = possible_shares(found, given.scale, fit.design.median_sessions)
    for row in compare_statistics(found).itertuples():
        share = shares.get(row.statistic, np.nan)
        impossible = share < POSSIBLE and row.statistic != "beyond_scale"
        yield Check(
            given.analysis, "prior_predictive", row.statistic, WORDS[row.statistic],
            _units(row.statistic, given), row.observed, row.median, low=row.low, high=row.high,
            p=share, flag="the prior allows what the scale does not" if impossible else "",
        )  # fmt: skip


def _posterior_rows(found: Predictive, given: Given) -> Iterator[Check]:
    for row in compare_statistics(found).itertuples():
        extreme = not EXTREME <= row.tail <= 1.0 - EXTREME
        yield Check(
            given.analysis, "posterior_predictive", row.statistic, WORDS[row.statistic],
            _units(row.statistic, given), row.observed, row.median, low=row.low, high=row.high,
            p=row.tail, flag="the model does not reproduce it" if extreme else "",
        )  # fmt: skip


def _predictive_table(prior: Predictive, posterior: Predictive, analysis: str) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"statistic": list(posterior.observed), "value": posterior.observed.values()})
        .assign(source="observed")
        .astype({"value": float})
    ]
    for source, found in (("prior", prior), ("posterior", posterior)):
        long = found.replicated.melt(var_name="statistic", value_name="value")
        parts.append(long.assign(source=source))
    table = pd.concat(parts, ignore_index=True).assign(analysis=analysis)
    return table[["analysis", "source", "statistic", "value"]]


# Leave-one-client-out


def _loo_rows(loo: LeaveOneOut, given: Given) -> Iterator[Check]:
    yield Check(
        given.analysis, "leave_one_out", "elpd",
        f"Expected log predictive density of a new {loo.unit}, all {loo.unit}s", "nats",
        estimate=loo.elpd, se=loo.se, flag=_bad_words(loo, given.smallest_cell),
    )  # fmt: skip
    yield Check(
        given.analysis, "leave_one_out", "p_loo", "Effective number of parameters", "parameters",
        estimate=loo.p,
    )  # fmt: skip
    small = is_small(loo.n_bad, given.smallest_cell)
    yield Check(
        given.analysis, "leave_one_out", "pareto_k_bad",
        f"{loo.unit.capitalize()}s with Pareto k above 0.7"
        + (f" ({count_in_words(loo.n_bad, given.smallest_cell)})" if small else ""),
        f"{loo.unit}s", estimate=np.nan if small else float(loo.n_bad),
    )  # fmt: skip


def _bad_words(loo: LeaveOneOut, smallest_cell: int) -> str:
    """Whether the approximation can be trusted."""
    if loo.n_refitted:
        return ""
    n = count_in_words(loo.n_bad, smallest_cell)
    return f"not reliable for {n} {loo.unit}s" if loo.n_bad else ""


def _comparison_rows(
    prepared: BayesModel, fit: BayesFit, loo: LeaveOneOut, given: Given, cores: int
) -> Iterator[Check]:
    """Does a random within slope help to predict new clients?"""
    if "within" not in fit.design.random_names:
        return
    common = (
        given.analysis, "comparison", "random_within_slope",
        f"Gain in elpd for new {loo.unit}s by letting the within slope vary", "nats",
    )  # fmt: skip
    seed = derive_seed(fit.seed, "without")
    without = sample_without_slope(prepared, "within", _WITHOUT, seed=seed, cores=cores)
    if not without.diagnostics.passed:
        reason = "; ".join(without.diagnostics.failures)
        yield Check(*common, status="not_estimated", reason=f"without the slope: {reason}")
        return
    found = compare(loo, leave_one_out(without))
    low, high = found.difference - 1.96 * found.se, found.difference + 1.96 * found.se
    verdict = ("with the slope" if found.difference > 0 else "without the slope") + " is better"
    yield Check(
        *common, estimate=found.difference, se=found.se, low=low, high=high,
        flag=verdict if found.decided else "undecided",
    )  # fmt: skip


# Priors and decisions


def _sensitivity_rows(table: pd.DataFrame, given: Given) -> Iterator[Check]:
    for row in table.itertuples():
        yield Check(
            given.analysis, "prior_sensitivity", row.term, row.term, "power-scaling index",
            observed=row.likelihood, estimate=row.prior, flag=row.verdict,
        )  # fmt: skip


def _decision_rows(fit: BayesFit, given: Given) -> Iterator[Check]:
    """Practical equivalence, direction, highest-density interval and Bayes factors of within."""
    if "within" not in fit.design.names:
        return
    units = "within-client SDs per within-client SD"
    values = standardised_draws(fit, "within").ravel()
    low, high = highest_density(values)
    own = (given.analysis, "decision")
    yield Check(
        *own, "within", "Within effect, 95% highest-density interval", units,
        estimate=float(values.mean()), low=low, high=high,
    )  # fmt: skip
    yield Check(
        *own, "rope", f"Within effect between −{fit.priors.rope:g} and +{fit.priors.rope:g}",
        "probability", p=practical_equivalence(fit),
    )  # fmt: skip
    yield Check(*own, "negative", "Within effect below zero", "probability",
                p=float((values < 0).mean()))  # fmt: skip
    for row in bayes_factor_sweep(fit, "within", SWEEP).itertuples():
        common = (
            given.analysis, "bayes_factor", f"{row.prior_sd:g}",
            f"Bayes factor for a within effect, prior SD {row.prior_sd:g}", "BF10",
        )  # fmt: skip
        if row.effective_draws < FEWEST_EFFECTIVE:
            reason = f"only {row.effective_draws:.0f} effective draws under this prior"
            yield Check(*common, status="not_estimated", reason=reason)
        else:
            yield Check(*common, estimate=row.bf10)


# Slopes of clients


def _effects(fit: BayesFit) -> xr.DataArray:
    size = fit.design.n_clients * fit.design.client_columns.size
    draws = int(np.clip(_MOST_EFFECTS // size, 50, 400))
    return client_effects(fit, seed=fit.seed, max_draws=draws)


def _slopes(fit: BayesFit, effects: xr.DataArray) -> FloatArray | None:
    """(draws, clients) within slopes in raw units; None when they do not vary."""
    if "within" not in fit.design.random_names:
        return None
    average = np.ravel(fit.draws("within"))[effects.attrs["flat_draws"]]
    return average[:, None] + effects.sel(effect="within").to_numpy()


def _slope_rows(fit: BayesFit, effects: xr.DataArray, given: Given) -> list[Check]:
    slopes = _slopes(fit, effects)
    if slopes is None:
        return []
    share = percent_same_sign(slopes, fit.draws("within"))
    low, high = np.quantile(share, [0.025, 0.975])
    words = "Clients whose own slope has the sign of the average slope (%)"
    return [
        Check(given.analysis, "slopes", "pct_same_sign", words, "% of clients",
              estimate=float(share.mean()), low=float(low), high=float(high))
    ]  # fmt: skip


def shown_slopes(fit: BayesFit, effects: xr.DataArray, given: Given) -> pd.DataFrame:
    """Slopes of at most thirty clients, spread evenly over their order; none of a small study."""
    slopes = _slopes(fit, effects)
    if slopes is None or is_small(fit.design.n_clients, given.smallest_cell):
        return pd.DataFrame(columns=_OF_SLOPES)
    low, median, high = np.quantile(slopes, [0.025, 0.5, 0.975], axis=0)
    order = np.argsort(median, kind="stable")
    n = min(MOST_SHOWN, order.size)
    chosen = order[np.linspace(0, order.size - 1, n).round().astype(int)]
    columns = {"median": median[chosen], "low": low[chosen], "high": high[chosen]}
    return pd.DataFrame({"analysis": given.analysis, "position": np.arange(1, n + 1)} | columns)


# The file


def _groups(
    prior: Predictive,
    posterior: Predictive,
    loo: LeaveOneOut,
    sensitivity: pd.DataFrame,
    effects: xr.DataArray,
) -> dict[str, xr.Dataset]:
    """Groups of the NetCDF file beside those of the sample."""
    observed = posterior.observed
    cleaned = effects.drop_attrs().rename("deviation").to_dataset()
    return {
        "prior_predictive": _replications(prior),
        "posterior_predictive": _replications(posterior),
        "observed_data": xr.Dataset(
            {"statistic_value": ("statistic", list(observed.values()))},
            {"statistic": list(observed)},
        ),
        "leave_one_out": xr.Dataset(
            {"elpd": (loo.unit, loo.pointwise), "pareto_k": (loo.unit, loo.pareto_k)}
        ),
        "prior_sensitivity": xr.Dataset(
            {name: ("term", sensitivity[name].to_numpy()) for name in ("prior", "likelihood")},
            {"term": sensitivity["term"].to_list()},
        ),
        "client_effects": cleaned,
    }


def _replications(found: Predictive) -> xr.Dataset:
    values = found.replicated.to_numpy()
    return xr.Dataset(
        {"statistic_value": (("replication", "statistic"), values)},
        {"statistic": list(found.replicated.columns)},
    )
