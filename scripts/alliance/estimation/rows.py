"""REML and ML fits as rows of the estimates table."""

from __future__ import annotations

import numpy as np
from scipy import stats

from alliance.estimates import Estimate
from alliance.estimation.attenuation import Attenuation, attenuation
from alliance.estimation.design import ModelDesign
from alliance.estimation.level_contrasts import between_weights, level_contrasts
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import Contrast, LmmFit, contrast
from alliance.estimation.row_maker import RowMaker, maker_of, refused_rows
from alliance.estimation.terms import RowContext
from alliance.estimation.variance_rows import slope_spread, variance_rows

MIN_RELIABILITY = 0.3


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
        *variance_rows(fit, maker, profile),
        *_dropped_rows(maker),
        maker.row("deviance", "fit", estimate=fit.deviance),
    ]


def _fixed_rows(fit: LmmFit, maker: RowMaker) -> list[Estimate]:
    robust = fit.estimator.startswith("Within")
    interval = "95% t, cluster-robust by client" if robust else "95% t, Satterthwaite"
    rows = []
    for name, weights in zip(fit.names, np.eye(len(fit.names)), strict=True):
        more = slope_spread(fit, name)
        rows.append(maker.inference(name, "fixed", contrast(fit, weights), interval, **more))
    return rows


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
    design, between = maker.design, between_weights(fit.names)
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


_DROPPED_SD = {  # how the name of a dropped random effect begins -> the name of its row
    "random slope of ": "sd_",
    "therapist slope of ": "sd_therapist_",
    "residual SD by ": "sd_residual_by_",
}


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
