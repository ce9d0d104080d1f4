"""Bias, coverage and type-I error of the REML estimates over simulated studies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alliance.estimation.level_contrasts import level_contrasts
from alliance.estimation.profile_likelihood import profile_interval
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import LmmFit, contrast, fit_lmm
from alliance.simulation.multilevel import NULL, Size, Truth, draw_design, draw_outcome

SIZES: tuple[Size, ...] = (
    Size("two_level", "two levels, 100 clients x 5 to 15 sessions", 100, (5, 15)),
    Size("two_level_small", "two levels, 20 clients x 3 to 6 sessions", 20, (3, 6)),
    Size("three_level", "30 therapists x 6 clients x 4 to 10 sessions", 180, (4, 10), 30),
    Size("three_level_small", "20 therapists x 3 clients x 3 to 6 sessions", 60, (3, 6), 20),
)
TRUTHS: dict[str, Truth] = {"effects": Truth(), "no_effects": NULL}
PROFILED: tuple[str, ...] = ("sd_intercept", "sd_within", "sd_therapist", "sd_residual")
LEVEL = 0.95


@dataclass(frozen=True)
class Found:
    """One estimate of one simulated study; NaN where there was none."""

    size: str
    truth: str
    replication: int
    term: str
    true: float
    estimate: float
    se: float
    df: float
    low: float
    high: float


def replicate(
    size: Size, truth: str, replication: int, seed: int, profile: bool = False
) -> list[Found]:
    """All estimates of one study; the same numbers give the same study on any machine.

    Parameters
    ----------
    profile : also profile-likelihood intervals of standard deviations (slow).
    """
    position = [s.name for s in SIZES].index(size.name)
    rng = np.random.default_rng([seed, position, list(TRUTHS).index(truth), replication])
    parameters = TRUTHS[truth]
    design = draw_outcome(draw_design(size, rng), parameters, rng)
    fit = fit_lmm(design)
    if isinstance(fit, Refusal) or not fit.converged:
        found = [(name, np.nan, np.nan, np.nan, np.nan, np.nan) for name in design.names]
    else:
        found = [*_fixed(fit), *(_spread(fit, profile))]
    return [
        Found(size.name, truth, replication, term, parameters.value(term), *numbers)
        for term, *numbers in found
    ]


def _fixed(fit: LmmFit) -> Iterator[tuple[str, float, float, float, float, float]]:
    """Fixed effects and the difference between levels, with Satterthwaite t intervals."""
    weights = dict(zip(fit.names, np.eye(len(fit.names)), strict=True))
    contextual = {t: w for t, w in level_contrasts(fit.names) if t == "contextual"}
    for term, row in (weights | contextual).items():
        c = contrast(fit, row, LEVEL)
        yield term, c.estimate, c.se, c.df, c.ci_low, c.ci_high


def _spread(fit: LmmFit, profile: bool) -> Iterator[tuple[str, float, float, float, float, float]]:
    """Standard deviations; intervals only where profiles are asked for."""
    values = {f"sd_{name}": fit.sd(name) for name in fit.random_names}
    if fit.therapist_cov.size:
        values["sd_therapist"] = float(np.sqrt(fit.therapist_cov[0, 0]))
    values["sd_residual"] = fit.sigma
    for term, value in values.items():
        limits = (np.nan, np.nan)
        if profile and term in PROFILED:
            limits = profile_interval(fit, term, LEVEL)
        yield term, value, np.nan, np.nan, *limits


def calibrate(
    size: Size,
    n_studies: int,
    seed: int,
    *,
    n_profiled: int = 0,
    progress: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Summary over ``n_studies`` studies of one size, with effects and without any.

    Parameters
    ----------
    n_profiled : in how many of the studies with effects SDs get profile intervals.
    """
    found: list[Found] = []
    for truth in TRUTHS:
        for k in range(n_studies):
            found += replicate(size, truth, k, seed, truth == "effects" and k < n_profiled)
        if progress:
            progress(f"{size.label}, {truth}: {n_studies} studies")
    return summarise(found)


KEYS = ["size", "truth", "term"]


def summarise(found: list[Found]) -> pd.DataFrame:
    """One row per size, truth and term: bias, spread, coverage and rejections in percent.

    Returns
    -------
    ``true, studies, not_converged, bias, bias_mc_se, sd, mean_se, median_df, intervals, coverage,
    coverage_mc_se, rejected`` (share of intervals without zero: the type-I error where the truth
    is zero, else the power).
    """
    table = pd.DataFrame(found)
    return pd.DataFrame(
        [
            dict(zip(KEYS, key, strict=True)) | _summary(own)
            for key, own in table.groupby(KEYS, sort=False)
        ]
    )


def _summary(own: pd.DataFrame) -> dict[str, float]:
    done, true = own.dropna(subset=["estimate"]), float(own["true"].iloc[0])
    shown = done.dropna(subset=["low", "high"])
    covered = ((shown["low"] <= true) & (true <= shown["high"])).mean() if len(shown) else np.nan
    rejected = ((shown["low"] > 0) | (shown["high"] < 0)).mean() if len(shown) else np.nan
    spread = done["estimate"].std(ddof=1)
    return {
        "true": true,
        "studies": len(own),
        "not_converged": len(own) - len(done),
        "bias": done["estimate"].mean() - true,
        "bias_mc_se": spread / np.sqrt(len(done)) if len(done) else np.nan,
        "sd": spread,
        "mean_se": done["se"].mean(),
        "median_df": done["df"].median(),
        "intervals": len(shown),
        "coverage": 100 * covered,
        "coverage_mc_se": 100 * np.sqrt(covered * (1 - covered) / max(len(shown), 1)),
        "rejected": 100 * rejected,
    }
