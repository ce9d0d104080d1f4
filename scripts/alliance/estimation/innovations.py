"""Does the alliance fall in discrete ruptures, or only with heavy tails? Models compared, in rows.

Four families of innovations of an autoregressive process around client means (see
``alliance.likelihood.heavy_tails`` for the likelihood and what it approximates) are compared by
leaving out whole clients. Discrete ruptures are claimed only if a mixture with a shift downwards
predicts left-out clients better than a symmetric heavy tail (methods specification 2.3) and also
better than a skewed heavy tail, since ceilings alone make drops larger than rises.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from alliance.estimates import Estimate
from alliance.likelihood.heavy_tails import (
    EXTRA,
    FAMILIES,
    CrossValidation,
    GroupedSeries,
    InnovationFit,
    cross_validate,
    natural,
    shift_probabilities,
    standard_errors,
)

N_FOLDS = 5
BEYOND = 2.0  # standard errors by which a model must predict better to be preferred
FEWEST_CLIENTS, FEWEST_INNOVATIONS = 30, 300
SUPPORTED, ASYMMETRIC, NOT_SUPPORTED = "discrete", "asymmetric", "not_supported"
FAMILY_WORDS: dict[str, str] = {
    "gaussian": "Gaussian innovations",
    "student": "symmetric heavy tail (Student t)",
    "skewed": "skewed heavy tail (two-piece t)",
    "shifted": "mixture with discrete drops",
}
VERDICT_WORDS: dict[str, str] = {
    SUPPORTED: "the mixture with discrete drops predicts left-out clients better than any heavy "
    "tail",
    ASYMMETRIC: "drops are larger than rises, but a continuous skew, such as a ceiling makes, "
    "predicts left-out clients as well as discrete drops do",
    NOT_SUPPORTED: "a mixture with discrete drops does not predict left-out clients better than a "
    "symmetric heavy tail",
}
APPROXIMATIONS = (
    "the model is of the alliance alone, without effects of symptoms, with client means integrated "
    "out, one slope, autoregression and scale for all, no measurement error and one innovation per "
    "gap"
)


@dataclass(frozen=True)
class InnovationStudy:
    """What was found, or ``refused``: why nothing was.

    Attributes
    ----------
    models : one row per family: ``family, label, n_parameters, log_likelihood, elpd,
        difference_from_shifted, se_difference, converged``, elpd and differences in sums of log
        predictive density over left-out clients.
    probabilities : ``client, session, probability`` that the rating's innovation was a discrete
        drop; NaN at first ratings. Meaningful only if ``verdict`` is ``discrete``.
    """

    verdict: str
    models: pd.DataFrame
    probabilities: pd.DataFrame
    validation: CrossValidation | None = None
    covariance: np.ndarray | None = None
    unit: float = np.nan
    n_clients: int = 0
    n_ratings: int = 0
    refused: str = ""


MODEL_COLUMNS: tuple[str, ...] = (
    "family", "label", "n_parameters", "log_likelihood", "elpd", "difference_from_shifted",
    "se_difference", "converged",
)  # fmt: skip
PROBABILITY_COLUMNS: tuple[str, ...] = ("client", "session", "probability")


def study_innovations(scores: pd.DataFrame, seed: int, n_folds: int = N_FOLDS) -> InnovationStudy:
    """Fit and compare the families.

    Parameters
    ----------
    scores : ``client, session, score`` (higher = better alliance); missing scores are gaps. Clients
        with a single rating are left out, for they hold no innovation.
    seed : of the assignment of clients to ``n_folds`` folds.
    """
    data, rows, unit = _series(scores)
    n_innovations = len(rows) - data.n_groups
    if data.n_groups < FEWEST_CLIENTS or n_innovations < FEWEST_INNOVATIONS:
        return _refused(
            f"fewer than {FEWEST_CLIENTS} clients with two ratings, or fewer than "
            f"{FEWEST_INNOVATIONS} changes from rating to rating: too few to see rare drops"
        )
    if not unit > 0:
        return _refused("all ratings are alike")
    folds = np.random.default_rng(seed).permutation(np.arange(data.n_groups) % n_folds)
    found = cross_validate(data, folds)
    fit = found.fits["shifted"]
    return InnovationStudy(
        verdict=verdict(found),
        models=_model_table(found, unit, len(rows)),
        probabilities=rows.assign(probability=shift_probabilities(fit, data)),
        validation=found,
        covariance=standard_errors(fit, data),
        unit=unit,
        n_clients=data.n_groups,
        n_ratings=len(rows),
    )


def _refused(reason: str) -> InnovationStudy:
    nothing = [pd.DataFrame(columns=list(names)) for names in (MODEL_COLUMNS, PROBABILITY_COLUMNS)]
    return InnovationStudy("", *nothing, refused=reason)


def _series(scores: pd.DataFrame) -> tuple[GroupedSeries, pd.DataFrame, float]:
    """Ratings of clients with at least two, in SDs around the mean; their rows; the SD."""
    rated = scores.dropna(subset=["score"]).sort_values(["client", "session"])
    size = rated.groupby("client")["score"].transform("size")
    rated = rated[size > 1].reset_index(drop=True)
    y = rated["score"].to_numpy(dtype=float)
    session = rated["session"].to_numpy(dtype=float)
    codes, clients = pd.factorize(rated["client"])
    start = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(clients)))])
    unit = float(y.std()) if y.size else np.nan
    first = session[start[:-1]][codes] if y.size else session
    data = GroupedSeries(
        start.astype(np.int64),
        (y - y.mean()) / unit if unit > 0 else y,
        (session - first) / 10.0,
        np.diff(session, prepend=session[:1]),
    )
    return data, rated[["client", "session"]], unit


def verdict(found: CrossValidation) -> str:
    """``discrete`` only if the shifted family beats both heavy tails by two standard errors."""

    def beats(family: str) -> bool:
        difference, se = found.difference("shifted", family)
        return difference > BEYOND * se

    if not beats("student"):
        return NOT_SUPPORTED
    return SUPPORTED if beats("skewed") else ASYMMETRIC


def _model_table(found: CrossValidation, unit: float, n_ratings: int) -> pd.DataFrame:
    rescale = n_ratings * np.log(unit)  # densities per point instead of per SD
    rows = []
    for family in FAMILIES:
        fit = found.fits[family]
        apart, se = found.difference("shifted", family) if family != "shifted" else (np.nan, np.nan)
        rows.append(
            (family, FAMILY_WORDS[family], fit.theta.size, fit.log_likelihood - rescale,
             float(found.densities[family].sum()) - rescale, apart, se, fit.converged)
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(MODEL_COLUMNS))


def innovation_rows(
    study: InnovationStudy, analysis: str, measure: str, rater: str, component: str, units: str
) -> list[Estimate]:
    """Comparisons of the models and, if discrete drops are supported, their share and size.

    Parameters
    ----------
    units : of the rating, e.g. ``WAI-SR points``.
    """
    common = {
        "analysis": analysis, "level": "within_client", "predictor": measure, "rater": rater,
        "component": component, "n_obs": study.n_ratings or np.nan,
        "n_clients": study.n_clients or np.nan, "known_bias": APPROXIMATIONS,
    }  # fmt: skip
    rows = [_comparison_row(study, common, family) for family in ("student", "skewed", "gaussian")]
    return [*rows, *_drop_rows(study, common, units)]


def _comparison_row(study: InnovationStudy, common: dict[str, object], family: str) -> Estimate:
    words = common | {
        "kind": "fit",
        "term": f"discrete_drops_vs_{family}",
        "estimand": f"Log predictive density of left-out clients: {FAMILY_WORDS['shifted']} minus "
        f"{FAMILY_WORDS[family]}",
        "units": "log density, summed over clients",
        "estimator": f"ML, {N_FOLDS}-fold cross-validation by client",
    }
    if study.validation is None:
        return Estimate(**words, status="not_estimated", reason=study.refused)
    difference, se = study.validation.difference("shifted", family)
    return Estimate(
        **words,
        estimate=difference,
        se=se,
        ci_low=difference - 1.96 * se,
        ci_high=difference + 1.96 * se,
        interval="95% normal, over clients",
    )


def _drop_rows(study: InnovationStudy, common: dict[str, object], units: str) -> list[Estimate]:
    parts = {
        "drop_share": ("Share of ratings (after the first) that a discrete drop precedes",
                       "proportion of ratings"),
        "drop_size": ("Mean size of a discrete drop of the alliance", units),
    }  # fmt: skip
    rows = []
    for term, (estimand, unit) in parts.items():
        words = common | {
            "kind": "fixed", "term": term, "estimand": estimand, "units": unit,
            "estimator": "ML, contaminated Gaussian innovations",
        }  # fmt: skip
        if study.validation is None or study.verdict != SUPPORTED:
            reason = (
                study.refused or f"no discrete ruptures are claimed: {VERDICT_WORDS[study.verdict]}"
            )
            rows.append(Estimate(**words, status="not_estimated", reason=reason))
            continue
        value, low, high = _with_interval(
            study.validation.fits["shifted"], study.covariance, term, study.unit
        )
        interval = "95% Wald on the unconstrained scale" if np.isfinite(low) else ""
        rows.append(Estimate(**words, estimate=value, ci_low=low, ci_high=high, interval=interval))
    return rows


def _with_interval(
    fit: InnovationFit, covariance: np.ndarray | None, term: str, unit: float
) -> tuple[float, float, float]:
    """Estimate and Wald limits of the share, or of the size in points at the estimated scale."""
    at = fit.theta.size - len(EXTRA["shifted"]) + (term == "drop_size")
    factor = 1.0 if term == "drop_share" else fit.numbers["scale"] * unit
    se = float(np.sqrt(covariance[at, at])) if covariance is not None else np.nan

    def value(shift: float) -> float:
        theta = fit.theta.copy()
        theta[at] += shift
        return float(natural(theta, "shifted")[at] * factor)

    if not np.isfinite(se):
        return value(0.0), np.nan, np.nan
    return value(0.0), value(-1.96 * se), value(1.96 * se)
