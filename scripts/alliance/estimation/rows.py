"""Fits as rows of the estimates table; the names of terms are given here for every estimator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from alliance.estimates import Estimate
from alliance.estimation.attenuation import Attenuation, attenuation
from alliance.estimation.bootstrap import parametric_bootstrap
from alliance.estimation.design import ModelDesign, pairs
from alliance.estimation.profile_likelihood import profile_interval
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import Contrast, LmmFit, contrast

MIN_RELIABILITY = 0.3


@dataclass(frozen=True)
class RowContext:
    """What the rows of one analysis have in common.

    Attributes
    ----------
    analysis : key of the model in the study file.
    outcome, predictor : keys of the measures; ``*_label`` their names for readers.
    outcome_units : plural, e.g. ``CORE-10 points``. predictor_unit : singular, ``WAI-SR point``.
    time_unit : what one step of ``time`` is, e.g. ``session``.
    """

    analysis: str
    outcome: str
    outcome_label: str
    outcome_units: str
    predictor: str = ""
    predictor_label: str = ""
    predictor_unit: str = ""
    time_unit: str = "session"
    rater: str = ""
    component: str = ""
    timing_order: str = ""
    lag: float = np.nan
    clock: str = ""
    trend: str = ""
    known_bias: str = ""
    missing_rule: str = ""
    estimator: str = ""
    seed: float = np.nan
    code_hash: str = ""


def describe_term(
    name: str, design: ModelDesign | None, context: RowContext
) -> tuple[str, str, str]:
    """Level, estimand in words and units of a term; the same for every estimator.

    Parameters
    ----------
    name : a column of the design (``within``, ``time:arm[TAU]``), or a derived term:
        ``contextual``, ``contextual_therapist``, ``sd_intercept``, ``sd_within``, ``sd_time``,
        ``sd_therapist``, ``sd_residual``, ``cor_intercept_within`` (any two random effects),
        ``icc``, ``icc_therapist``, ``pct_same_sign``, ``attenuation``, ``between_corrected``,
        ``deviance``.
    design : None for a model that was refused before it had one.
    """
    if name in _DERIVED:
        level, words, units = _DERIVED[name]
        return level, words.format(**_words(context)), units.format(**_words(context))
    if name.startswith("sd_"):
        return _describe_sd(name.removeprefix("sd_"), design, context)
    if name.startswith("cor_"):
        return _describe_correlation(name.removeprefix("cor_"), design, context)
    if name in ("between", "contextual", "contextual_therapist"):
        return _describe_between(name, design, context)
    if ":" in name:
        return _describe_product(name, design, context)
    return _describe_column(name, design, context)


_PER_PREDICTOR = "{outcome_units} per {predictor_unit}"
_DERIVED: dict[str, tuple[str, str, str]] = {
    "intercept": ("total", "Expected {outcome} at the reference values", "{outcome_units}"),
    "within": (
        "within_client",
        "Within clients: difference in {outcome} when a client's {predictor} is one point above "
        "the client's own mean",
        _PER_PREDICTOR,
    ),
    "between_therapist": (
        "between_therapist",
        "Between therapists: difference in {outcome} per point of the therapist's mean {predictor}",
        _PER_PREDICTOR,
    ),
    "time": (
        "within_client",
        "Change in {outcome} per {time_unit}",
        "{outcome_units} per {time_unit}",
    ),
    "between_corrected": (
        "between_client",
        "Between clients, corrected for the unreliability of the client means of {predictor}",
        _PER_PREDICTOR,
    ),
    "attenuation": (
        "between_client",
        "Reliability of the client means of {predictor} (attenuation factor of the between effect)",
        "proportion",
    ),
    "between_corrected_ar1": (
        "between_client",
        "Between clients, corrected for the unreliability of the client means of {predictor} with "
        "autocorrelated ratings",
        _PER_PREDICTOR,
    ),
    "attenuation_ar1": (
        "between_client",
        "Reliability of the client means of {predictor} with autocorrelated ratings",
        "proportion",
    ),
    "sd_therapist": (
        "between_therapist",
        "SD of therapists' mean {outcome}, beyond what the predictors explain",
        "{outcome_units}",
    ),
    "residual_correlation": (
        "within_client",
        "Correlation of the residuals of {outcome} one {time_unit} apart within clients",
        "correlation",
    ),
    "sd_residual": (
        "within_client",
        "Residual SD of {outcome} from session to session within clients",
        "{outcome_units}",
    ),
    "icc": (
        "between_client",
        "Share of the unexplained variance of {outcome} that lies between clients (at the "
        "reference values of the random slopes)",
        "proportion",
    ),
    "icc_therapist": (
        "between_therapist",
        "Share of the unexplained variance of {outcome} that lies between therapists",
        "proportion",
    ),
    "pct_same_sign": (
        "between_client",
        "Percentage of clients whose within-client effect of {predictor} has the sign of the "
        "average one (normal distribution of slopes assumed)",
        "%",
    ),
    "deviance": ("total", "Deviance of the model of {outcome} (-2 log-likelihood)", "deviance"),
}


def _words(context: RowContext) -> dict[str, str]:
    return {
        "outcome": context.outcome_label,
        "predictor": context.predictor_label,
        "outcome_units": context.outcome_units,
        "predictor_unit": context.predictor_unit,
        "time_unit": context.time_unit,
    }


def _describe_between(
    name: str, design: ModelDesign | None, context: RowContext
) -> tuple[str, str, str]:
    """The between effect and the differences between levels; words depend on the levels present."""
    where = (
        "between clients of the same therapist"
        if design and design.n_therapists
        else "between clients"
    )
    units = f"{context.outcome_units} per {context.predictor_unit}"
    if name == "contextual_therapist":
        words = f"Effect of {context.predictor_label}: between therapists minus {where}"
        return "between_therapist", words, units
    if name == "contextual":
        words = (
            f"Difference of the effect of {context.predictor_label}: {where} minus within clients"
        )
        return "between_client", words, units
    words = (
        f"{where.capitalize()}: difference in {context.outcome_label} per point of the client's "
        f"mean {context.predictor_label}"
    )
    return "between_client", words, units


def _describe_sd(
    effect: str, design: ModelDesign | None, context: RowContext
) -> tuple[str, str, str]:
    if effect.startswith("residual_by_"):
        words = f"Residual SD of {context.outcome_label} by {effect.removeprefix('residual_by_')}"
        return "within_client", words, context.outcome_units
    if effect.startswith("therapist_"):
        _, words, units = describe_term(effect.removeprefix("therapist_"), design, context)
        words = f"SD between therapists of the mean slope: {_lower_first(words)}"
        return "between_therapist", words, units
    if effect == "intercept":
        words = (
            f"SD of clients' level of {context.outcome_label}, beyond what the predictors explain"
        )
        return "between_client", words, context.outcome_units
    _, words, units = describe_term(effect, design, context)
    return "between_client", f"SD between clients of the slope: {_lower_first(words)}", units


def _describe_correlation(
    pair: str, design: ModelDesign | None, context: RowContext
) -> tuple[str, str, str]:
    first, second = pair.split("_", 1)
    named = {"intercept": "level", "within": "within-client slope", "time": "slope over time"}
    words = (
        f"Correlation between clients of {named.get(first, first)} and "
        f"{named.get(second, second)} ({context.outcome_label})"
    )
    return "between_client", words, "correlation"


def _describe_column(
    name: str, design: ModelDesign | None, context: RowContext
) -> tuple[str, str, str]:
    """A covariate: a number, or a category against its reference."""
    level = _column_level(name, design)
    label = _label(name, design)
    if name.endswith("]"):
        return level, f"Difference in {context.outcome_label}: {label}", context.outcome_units
    words = f"Difference in {context.outcome_label} per unit of {label}"
    return level, words, f"{context.outcome_units} per unit of {label}"


def _describe_product(
    name: str, design: ModelDesign | None, context: RowContext
) -> tuple[str, str, str]:
    """An interaction: by how much the effect of the first factor differs along the others."""
    first, *others = sorted(name.split(":"), key=_focal_rank)
    _, words, units = describe_term(first, design, context)
    labels = [_factor_label(other, design, context) for other in others]
    per = [f"per {_factor_unit(o, design, context)}" for o in others if not o.endswith("]")]
    estimand = f"Moderation ({' x '.join(labels)}) of: {_lower_first(words)}"
    return _column_level(name, design), estimand, ", ".join([units, *per])


def _focal_rank(factor: str) -> int:
    """The alliance effect is the one that is moderated, then the course over time."""
    order = ("within", "between", "between_therapist", "contextual", "time")
    return order.index(factor) if factor in order else len(order)


def _factor_label(name: str, design: ModelDesign | None, context: RowContext) -> str:
    special = {
        "within": f"within-client {context.predictor_label}",
        "between": f"client mean of {context.predictor_label}",
        "between_therapist": f"therapist mean of {context.predictor_label}",
        "contextual": f"client mean of {context.predictor_label}",
        "time": context.time_unit,
    }
    return special.get(name) or _label(name, design)


def _factor_unit(name: str, design: ModelDesign | None, context: RowContext) -> str:
    if name == "time":
        return context.time_unit
    if name in ("within", "between", "between_therapist", "contextual"):
        return context.predictor_unit
    return f"unit of {_label(name, design)}"


def _column_level(name: str, design: ModelDesign | None) -> str:
    position = design.column(name) if design else None
    if design is None or position is None or not design.column_levels:
        return "total"
    return design.column_levels[position]


def _label(name: str, design: ModelDesign | None) -> str:
    return design.labels.get(name, name) if design else name


def _lower_first(words: str) -> str:
    return words[:1].lower() + words[1:]


# Rows of REML and ML fits


def reml_rows(
    fit: LmmFit | Refusal, design: ModelDesign | Refusal, context: RowContext, profile: bool = True
) -> list[Estimate]:
    """All rows of a fit: fixed effects, contrasts between levels, variance parameters, deviance.

    Parameters
    ----------
    fit, design : either may be a refusal, which becomes rows without numbers.
    profile : profile-likelihood intervals of the variance parameters (a few hundred evaluations).

    Notes
    -----
    The standardised within effect is ``estimate * s_w(predictor) / s_w(outcome)`` with pooled
    within-client SDs taken as known. A fit that did not converge keeps its numbers under the
    status ``diagnostics_failed``.
    """
    if isinstance(design, Refusal):
        return refused_rows(design, context, context.estimator or "REML")
    if isinstance(fit, Refusal):
        return refused_rows(fit, context, context.estimator or "REML", design)
    maker = maker_of(fit, design, context)
    return [
        *_fixed_rows(fit, maker),
        *_contrast_rows(fit, maker),
        *_variance_rows(fit, maker, profile),
        *_dropped_rows(maker),
        maker.row("deviance", "fit", estimate=fit.deviance),
    ]


def refused_rows(
    refusal: Refusal, context: RowContext, estimator: str, design: ModelDesign | None = None
) -> list[Estimate]:
    """Rows that say why there is no estimate, one per main effect of the model."""
    terms = ["within", "between"] if context.predictor else ["time"]
    maker = RowMaker(design, context, estimator, ("", "ok", ""))
    reason = f"{refusal.reason}. {refusal.advice}"
    return [maker.absent(term, "fixed", reason) for term in terms]


@dataclass(frozen=True)
class RowMaker:
    """Fills in what all rows of a fit share.

    ``verdict`` is (converged in words, status, reason).
    """

    design: ModelDesign | None
    context: RowContext
    estimator: str
    verdict: tuple[str, str, str]

    def row(self, term: str, kind: str, **numbers: object) -> Estimate:
        level, estimand, units = describe_term(term, self.design, self.context)
        converged, status, reason = self.verdict
        shared = self._shared() | {"converged": converged, "status": status, "reason": reason}
        words = {"term": term, "kind": kind, "level": level, "estimand": estimand, "units": units}
        return Estimate(**(shared | words | numbers))

    def absent(self, term: str, kind: str, reason: str) -> Estimate:
        return self.row(term, kind, status="not_estimated", reason=reason)

    def inference(
        self, term: str, kind: str, found: Contrast, interval: str, **more: object
    ) -> Estimate:
        numbers = {
            "estimate": found.estimate,
            "se": found.se,
            "df": found.df if np.isfinite(found.df) else np.nan,
            "ci_low": found.ci_low,
            "ci_high": found.ci_high,
            "p": found.p,
            "interval": interval,
        }
        return self.row(term, kind, **(numbers | self._standardised(term, found) | more))

    def _standardised(self, term: str, found: Contrast) -> dict[str, float]:
        """Within effect in within-client SDs; for nothing but the within effect."""
        if term != "within" or self.design is None:
            return {}
        ratio = self.design.sd_within_predictor / self.design.sd_within_outcome
        return {
            "std_within": found.estimate * ratio,
            "std_within_low": found.ci_low * ratio,
            "std_within_high": found.ci_high * ratio,
        }

    def _shared(self) -> dict[str, object]:
        context, design = self.context, self.design
        shared: dict[str, object] = {
            "analysis": context.analysis,
            "estimator": context.estimator or self.estimator,
            "predictor": context.predictor,
            "outcome": context.outcome,
            "rater": context.rater,
            "component": context.component,
            "timing_order": context.timing_order,
            "lag": context.lag,
            "clock": context.clock,
            "trend": context.trend,
            "known_bias": context.known_bias,
            "missing_rule": context.missing_rule,
            "seed": context.seed,
            "code_hash": context.code_hash,
        }
        if design is not None:
            shared |= {
                "n_obs": design.n_obs,
                "n_clients": design.n_clients,
                "n_therapists": design.n_therapists or np.nan,
                "median_sessions": design.median_sessions,
            }
        return shared


def maker_of(fit: LmmFit, design: ModelDesign, context: RowContext) -> RowMaker:
    """What all rows of a fit share."""
    return RowMaker(design, context, fit.estimator, verdict(fit))


def verdict(fit: LmmFit) -> tuple[str, str, str]:
    """Converged in words, status and reason, for a :class:`RowMaker`."""
    if not fit.converged:
        return "no", "diagnostics_failed", f"the fit did not converge: {fit.message}"
    if fit.singular:
        return f"yes, on the boundary: {'; '.join(fit.singular)}", "ok", ""
    return "yes", "ok", ""


def _fixed_rows(fit: LmmFit, maker: RowMaker) -> list[Estimate]:
    robust = fit.estimator.startswith("Within")
    interval = "95% t, cluster-robust by client" if robust else "95% t, Satterthwaite"
    rows = []
    for name, weights in zip(fit.names, np.eye(len(fit.names)), strict=True):
        more = _slope_spread(fit, name)
        rows.append(maker.inference(name, "fixed", contrast(fit, weights), interval, **more))
    return rows


def _slope_spread(fit: LmmFit, name: str) -> dict[str, float]:
    """SD of the clients' slopes and share of them with the sign of the average slope."""
    if name not in fit.random_names or name == "intercept":
        return {}
    return {
        "sd_random_slope": fit.sd(name),
        "pct_clients_same_sign": same_sign_percentage(fit.coefficient(name), fit.sd(name)),
    }


def same_sign_percentage(slope: float, sd: float) -> float:
    """Percentage of a normal distribution of slopes on the side of zero where its mean is."""
    return 100.0 if sd == 0 else float(100 * stats.norm.cdf(abs(slope) / sd))


def _contrast_rows(fit: LmmFit, maker: RowMaker) -> list[Estimate]:
    """Differences between levels with intervals of their own; the corrected between effect."""
    interval = "95% t, Satterthwaite"
    rows = []
    for term, weights in level_contrasts(fit.names):
        rows.append(maker.inference(term, "contrast", contrast(fit, weights), interval))
    return rows + corrected_rows(fit, maker)


NO_SPREAD = (
    "client means differ no more than ratings that vary like these within clients make them, so "
    "that the reliability of the means cannot be told from zero"
)


def corrected_rows(fit: LmmFit, maker: RowMaker) -> list[Estimate]:
    """Reliability of the client means, and the between effect corrected for it, two versions.

    The corrected effect is ``within + (between - within) / lambda`` (Luedtke et al. 2008), its
    standard error by the delta method from the fixed effects and the jackknife error of lambda.
    """
    design, between = maker.design, _between_weights(fit.names)
    if design is None or between is None:
        return []
    rows = []
    for suffix, found in (("", attenuation(design)), ("_ar1", attenuation(design, ar1=True))):
        if found is None:
            reason = "the ratings are too few per client to tell the reliability of their mean"
            rows.append(maker.absent(f"attenuation{suffix}", "proportion", reason))
            continue
        if found.reliability <= 0:
            rows.append(maker.absent(f"attenuation{suffix}", "proportion", NO_SPREAD))
            rows.append(maker.absent(f"between_corrected{suffix}", "contrast", NO_SPREAD))
            continue
        rows.append(_attenuation_row(maker, suffix, found))
        rows.append(_corrected_row(fit, maker, between, suffix, found))
    return rows


def _attenuation_row(maker: RowMaker, suffix: str, found: Attenuation) -> Estimate:
    half = float(stats.norm.ppf(0.975)) * found.se
    return maker.row(
        f"attenuation{suffix}",
        "proportion",
        estimate=found.reliability,
        se=found.se,
        ci_low=max(found.reliability - half, 0.0),
        ci_high=min(found.reliability + half, 1.0),
        interval="95% Wald, jackknife over clients",
    )


def _corrected_row(
    fit: LmmFit, maker: RowMaker, between: np.ndarray, suffix: str, found: Attenuation
) -> Estimate:
    term = f"between_corrected{suffix}"
    if found.reliability < MIN_RELIABILITY:
        reason = f"the reliability of the client means is only {found.reliability:.2f}"
        return maker.absent(term, "contrast", reason)
    within = np.array([1.0 if name == "within" else 0.0 for name in fit.names])
    difference = contrast(fit, between - within)
    known = contrast(fit, within + (between - within) / found.reliability)
    se = float(np.hypot(known.se, difference.estimate / found.reliability**2 * found.se))
    half = float(stats.t.ppf(0.975, known.df)) * se
    p = float(2 * stats.t.sf(abs(known.estimate) / se, known.df))
    low, high = known.estimate - half, known.estimate + half
    corrected = Contrast(known.estimate, se, known.df, low, high, p)
    interval = "95% t, delta method with the jackknife error of the reliability"
    return maker.inference(term, "contrast", corrected, interval)


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


def _between_weights(names: tuple[str, ...]) -> np.ndarray | None:
    """The between effect as weights: a coefficient, or within + contextual."""
    parts = ("between",) if "between" in names else ("within", "contextual")
    if not set(parts) <= set(names):
        return None
    return np.array([float(name in parts) for name in names])


def _variance_rows(fit: LmmFit, maker: RowMaker, profile: bool) -> list[Estimate]:
    rows = [
        _variance_row(fit, maker, f"sd_{name}", fit.sd(name), profile) for name in fit.random_names
    ]
    if "within" in fit.random_names:
        spread = _slope_spread(fit, "within")
        share = spread["pct_clients_same_sign"]
        rows.append(maker.row("pct_same_sign", "proportion", estimate=share, **spread))
    rows += _correlation_rows(fit, maker, profile)
    rows += _therapist_correlation_rows(fit, maker)
    for name, variance in zip(fit.therapist_names, np.diag(fit.therapist_cov), strict=True):
        term = "sd_therapist" if name == "intercept" else f"sd_therapist_{name}"
        rows.append(_variance_row(fit, maker, term, float(np.sqrt(variance)), profile))
    rows.append(_variance_row(fit, maker, "sd_residual", fit.sigma, profile))
    return rows + _icc_rows(fit, maker)


def _variance_row(fit: LmmFit, maker: RowMaker, term: str, value: float, profile: bool) -> Estimate:
    kind = "correlation" if term.startswith("cor_") else "standard_deviation"
    if not profile or fit.solution is None or not fit.converged:
        return maker.row(term, kind, estimate=value)
    low, high = profile_interval(fit, term)
    interval = "95% profile likelihood"
    if not np.isfinite([low, high]).all():
        return _bootstrapped_row(fit, maker, term, kind, value)
    return maker.row(term, kind, estimate=value, ci_low=low, ci_high=high, interval=interval)


def _bootstrapped_row(fit: LmmFit, maker: RowMaker, term: str, kind: str, value: float) -> Estimate:
    """A variance parameter whose profile never rises to its limit: outcomes drawn from the fit."""
    draws = np.zeros(0)
    if maker.design is not None and fit.residuals is None:
        draws = parametric_bootstrap(fit, maker.design).get(term, draws)
    if not draws.size:
        return maker.row(term, kind, estimate=value)
    low, high = np.quantile(draws, [0.025, 0.975])
    interval = f"95% parametric bootstrap ({draws.size} resamples)"
    limits = {"ci_low": float(low), "ci_high": float(high), "interval": interval}
    return maker.row(term, kind, estimate=value, **limits)


def _correlation_rows(fit: LmmFit, maker: RowMaker, profile: bool) -> list[Estimate]:
    if maker.design is None:
        return []
    rows = []
    for a, b in pairs(maker.design):
        term = f"cor_{fit.random_names[a]}_{fit.random_names[b]}"
        size = float(np.sqrt(fit.client_cov[a, a] * fit.client_cov[b, b]))
        if {fit.random_names[a], fit.random_names[b]} & set(fit.zero_sd) or size == 0:
            reason = "a correlation with a random effect whose SD is estimated as zero"
            rows.append(maker.absent(term, "correlation", reason))
            continue
        value = float(np.clip(fit.client_cov[a, b] / size, -1, 1))
        rows.append(_variance_row(fit, maker, term, value, profile))
    return rows


def _therapist_correlation_rows(fit: LmmFit, maker: RowMaker) -> list[Estimate]:
    """Correlations of random effects of therapists, where therapists have slopes."""
    rows = []
    for b, name in enumerate(fit.therapist_names):
        for a, first in enumerate(fit.therapist_names[:b]):
            term = f"cor_therapist_{first}_{name}"
            words = f"Correlation between therapists of {first} and {name} effects"
            size = float(np.sqrt(fit.therapist_cov[a, a] * fit.therapist_cov[b, b]))
            numbers: dict[str, object] = {"level": "between_therapist", "estimand": words}
            numbers["units"] = "correlation"
            if size > 0:
                numbers["estimate"] = float(np.clip(fit.therapist_cov[a, b] / size, -1, 1))
            else:
                reason = "a correlation with a random effect whose SD is estimated as zero"
                numbers |= {"status": "not_estimated", "reason": reason}
            rows.append(maker.row(term, "correlation", **numbers))
    return rows


def _icc_rows(fit: LmmFit, maker: RowMaker) -> list[Estimate]:
    if "intercept" not in fit.random_names:
        return []
    client = fit.sd("intercept") ** 2
    upper = float(fit.therapist_cov[0, 0]) if fit.therapist_cov.size else 0.0
    total = client + upper + fit.sigma**2
    limits = icc_interval(fit)
    interval = "95% Wald on the logit scale" if np.isfinite(limits[0]) else ""
    rows = [
        maker.row(
            "icc",
            "proportion",
            estimate=client / total,
            ci_low=limits[0],
            ci_high=limits[1],
            interval=interval,
        )
    ]
    if fit.therapist_cov.size:
        rows.append(maker.row("icc_therapist", "proportion", estimate=upper / total))
    return rows


_DROPPED_SD = {  # how the name of a dropped random effect begins -> the name of its row
    "random slope of ": "sd_",
    "therapist slope of ": "sd_therapist_",
    "residual SD by ": "sd_residual_by_",
}


def icc_interval(fit: LmmFit, level: float = 0.95) -> tuple[float, float]:
    """Interval of the clients' share of the unexplained variance, Wald on the logit scale.

    With theta the relative Cholesky factor, the odds of the share are
    ``theta_00^2 / (1 + theta_T^2)``, whose logarithm is well behaved; its error follows from the
    Hessian of the deviance in theta. NaN on the boundary, and where residuals have a structure.
    """
    missing = (np.nan, np.nan)
    if fit.solution is None or fit.residuals is not None or fit.singular:
        return missing
    theta = fit.solution.theta
    hessian = fit.solution.curvature.profiled()
    if np.linalg.eigvalsh(hessian)[0] <= 0:
        return missing
    k = len(fit.random_names)
    upper = theta[k * (k + 1) // 2] if fit.therapist_cov.size else 0.0
    slope = np.zeros_like(theta)
    slope[0] = 2 / theta[0]
    if fit.therapist_cov.size:
        slope[k * (k + 1) // 2] = -2 * upper / (1 + upper**2)
    logit = float(np.log(theta[0] ** 2 / (1 + upper**2)))
    se = float(np.sqrt(2 * slope @ np.linalg.solve(hessian, slope)))
    half = float(stats.norm.ppf(0.5 + level / 2)) * se
    low, high = (float(1 / (1 + np.exp(-(logit + sign * half)))) for sign in (-1, 1))
    return low, high


def _dropped_rows(maker: RowMaker) -> list[Estimate]:
    """Terms that were asked for and had to be left out."""
    rows = []
    for term, reason in maker.design.dropped if maker.design else ():
        beginning = next((words for words in _DROPPED_SD if term.startswith(words)), None)
        if beginning is not None:
            name = _DROPPED_SD[beginning] + term.removeprefix(beginning)
            rows.append(maker.absent(name, "standard_deviation", f"left out: {reason}"))
        elif term == "residual correlation":
            name = "residual_correlation"
            rows.append(maker.absent(name, "correlation", f"left out: {reason}"))
        else:
            rows.append(maker.absent(term, "fixed", f"left out: {reason}"))
    return rows
