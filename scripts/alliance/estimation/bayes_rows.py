"""A sampled posterior as rows of the estimates table, under the same names as REML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from alliance.estimates import Estimate
from alliance.estimation.bayes import BayesFit
from alliance.estimation.bayes_checks import practical_equivalence
from alliance.estimation.bayes_effects import client_effects
from alliance.estimation.design import ModelDesign
from alliance.estimation.diagnostics import Diagnostics
from alliance.estimation.refusal import Refusal
from alliance.estimation.row_maker import refused_rows
from alliance.estimation.terms import RowContext, describe_term

ESTIMATOR = "NUTS (PyMC, nutpie)"
INTERVAL = "95% equal-tailed posterior"
_LEVEL = (0.025, 0.975)


def bayes_rows(
    fit: BayesFit | Refusal,
    design: ModelDesign | Refusal,
    context: RowContext,
    sensitivity: Mapping[str, float] | None = None,
) -> list[Estimate]:
    """All rows of a Bayesian fit: fixed effects, contrasts between levels, variance parameters.

    ``estimate`` is the posterior mean and ``se`` the posterior SD; SDs, correlations and shares
    have the posterior median, which a boundary distorts less. ``pct_clients_same_sign`` is the
    share of clients whose own slope, recovered after sampling, has the sign of the average slope.
    When the diagnostics gate is not passed the rows keep their numbers under the status
    ``diagnostics_failed``, with the reason.

    Parameters
    ----------
    sensitivity : term -> power-scaling index of the prior (``bayes_checks.prior_sensitivity``).
    """
    if isinstance(design, Refusal):
        return refused_rows(design, context, ESTIMATOR)
    if isinstance(fit, Refusal):
        return refused_rows(fit, context, ESTIMATOR, design)
    shared = _shared(fit, design, context)
    rows = [
        replace(
            _row(fit, term, design, context, shared),
            prior_sensitivity=(sensitivity or {}).get(term, np.nan),
        )
        for term in fit.terms
    ]
    if "within" in design.random_names:
        rows.append(_same_sign_row(rows, fit, design, context, shared))
    return rows + _dropped_rows(design, context, shared)


def _shared(fit: BayesFit, design: ModelDesign, context: RowContext) -> dict[str, object]:
    """What all rows of the fit have in common."""
    names = ("analysis", "predictor", "outcome", "rater", "component", "timing_order", "lag")
    more = ("clock", "trend", "known_bias", "missing_rule", "code_hash")
    shared: dict[str, object] = {name: getattr(context, name) for name in (*names, *more)}
    status, reason = verdict(fit.diagnostics)
    return shared | {
        "estimator": f"{ESTIMATOR}, draft" if fit.effort == "draft" else ESTIMATOR,
        "n_obs": design.n_obs,
        "n_clients": design.n_clients,
        "n_therapists": design.n_therapists or np.nan,
        "median_sessions": design.median_sessions,
        "rhat_max": fit.diagnostics.rhat_max,
        "ess_min": fit.diagnostics.ess_min,
        "divergences": fit.diagnostics.divergences,
        "seed": fit.seed,
        "converged": "yes" if fit.diagnostics.passed else "no",
        "status": status,
        "reason": reason,
    }


def verdict(diagnostics: Diagnostics) -> tuple[str, str]:
    """Status and reason of rows from a sample with these diagnostics."""
    if diagnostics.passed:
        return "ok", ""
    return "diagnostics_failed", f"sampling is not trustworthy: {'; '.join(diagnostics.failures)}"


def _row(
    fit: BayesFit,
    term: str,
    design: ModelDesign,
    context: RowContext,
    shared: dict[str, object],
) -> Estimate:
    level, estimand, units = describe_term(term, design, context)
    draws = fit.draws(term).ravel()
    low, high = np.quantile(draws, _LEVEL)
    kind = _kind(term, design)
    signed = kind in ("fixed", "contrast", "correlation")
    located = draws.mean() if kind in ("fixed", "contrast") else np.median(draws)
    numbers = {
        "estimate": float(located),
        "se": float(draws.std(ddof=1)),
        "ci_low": float(low),
        "ci_high": float(high),
        "interval": INTERVAL,
        "pd": probability_of_direction(draws) if signed else np.nan,
    }
    words = {"term": term, "kind": kind, "level": level, "estimand": estimand, "units": units}
    return Estimate(**(shared | words | numbers | _of_slope(fit, term, design, numbers)))


def _kind(term: str, design: ModelDesign) -> str:
    if term in design.names:
        return "fixed"
    if term.startswith("sd_"):
        return "standard_deviation"
    if term.startswith("cor_"):
        return "correlation"
    return "proportion" if term.startswith("icc") else "contrast"


def probability_of_direction(draws: np.ndarray) -> float:
    """Posterior probability that the quantity has the sign of its median."""
    return float(max((draws > 0).mean(), (draws < 0).mean()))


def _of_slope(
    fit: BayesFit, term: str, design: ModelDesign, numbers: dict[str, float]
) -> dict[str, float]:
    """Standardised effect, spread and common sign of a slope; empty for anything else."""
    more: dict[str, float] = {}
    if term == "within":
        ratio = design.sd_within_predictor / design.sd_within_outcome
        more = {
            "std_within": numbers["estimate"] * ratio,
            "std_within_low": numbers["ci_low"] * ratio,
            "std_within_high": numbers["ci_high"] * ratio,
            "p_rope": practical_equivalence(fit),
        }
    if term in design.random_names and term != "intercept":
        more["sd_random_slope"] = float(np.median(fit.draws(f"sd_{term}")))
        more["pct_clients_same_sign"] = float(same_sign_draws(fit, term).mean())
    return more


def same_sign_draws(fit: BayesFit, term: str) -> np.ndarray:
    """Percentage of clients whose slope has the sign of the average slope, per draw.

    The slopes are those of the clients in the study, drawn given parameters and data; the sign is
    that of the posterior median of the average slope.
    """
    effects = client_effects(fit, seed=fit.seed)
    average = np.ravel(fit.draws(term))[effects.attrs["flat_draws"]]
    slopes = average[:, None] + effects.sel(effect=term).to_numpy()
    return percent_same_sign(slopes, fit.draws(term))


def percent_same_sign(slopes: np.ndarray, average: np.ndarray) -> np.ndarray:
    """(draws,) percentage of clients whose slope has the sign of the median average slope.

    Parameters
    ----------
    slopes : (draws, clients). average : draws of the average slope, of any shape.
    """
    sign = np.sign(np.median(average))
    return 100.0 * (np.sign(slopes) == sign).mean(axis=1)


def _same_sign_row(
    rows: list[Estimate],
    fit: BayesFit,
    design: ModelDesign,
    context: RowContext,
    shared: dict[str, object],
) -> Estimate:
    """The share of clients as a row of its own, with its interval."""
    slope = next(row for row in rows if row.term == "within")
    share = same_sign_draws(fit, "within")
    low, high = np.quantile(share, _LEVEL)
    level, estimand, units = describe_term("pct_same_sign", design, context)
    numbers = {
        "estimate": slope.pct_clients_same_sign,
        "se": float(share.std(ddof=1)),
        "ci_low": float(low),
        "ci_high": float(high),
        "interval": INTERVAL,
        "sd_random_slope": slope.sd_random_slope,
        "pct_clients_same_sign": slope.pct_clients_same_sign,
    }
    words = {
        "term": "pct_same_sign",
        "kind": "proportion",
        "level": level,
        "estimand": estimand,
        "units": units,
    }
    return Estimate(**(shared | words | numbers))


def _dropped_rows(
    design: ModelDesign, context: RowContext, shared: dict[str, object]
) -> list[Estimate]:
    """Terms that were asked for and had to be left out of the design."""
    rows = []
    for name, reason in design.dropped:
        slope = name.removeprefix("random slope of ")
        term = f"sd_{slope}" if slope != name else name
        level, estimand, units = describe_term(term, design, context)
        words = {"term": term, "level": level, "estimand": estimand, "units": units}
        kind = "standard_deviation" if slope != name else "fixed"
        verdict_ = {"kind": kind, "status": "not_estimated", "reason": f"left out: {reason}"}
        rows.append(Estimate(**(shared | words | verdict_)))
    return rows
