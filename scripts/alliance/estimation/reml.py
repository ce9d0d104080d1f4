"""Multilevel models by REML or ML: estimates, Satterthwaite degrees of freedom, intervals, tests.

The criterion (``likelihood.profiled``) is minimised in units in which every column has size one, so
that no decision depends on the scale of an instrument. Convergence is judged by the gradient and
the Hessian at the solution, not by the optimiser's word.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.linalg import LinAlgError

from alliance.estimation.design import ModelDesign, pairs
from alliance.estimation.refusal import Refusal
from alliance.estimation.solving import (
    SINGULAR,
    Curvature,
    Solution,
    pilot_fit,
    residual_sd,
    solve,
)
from alliance.likelihood.profiled import predict_effects, prepare
from alliance.likelihood.residuals import Model, StructuredModel, StructuredRows, structured_rows
from alliance.likelihood.statistics import NestedStatistics, accumulate, client_places

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_MANY_CLIENTS = 500  # above, a pilot fit and the optimality conditions replace further starts


@dataclass(frozen=True)
class Scale:
    """Units of the optimisation: y = centre + size * y_scaled, X = X_scaled * columns."""

    centre: float
    size: float
    columns: FloatArray


@dataclass(frozen=True)
class ResidualFit:
    """Estimated structure of the residuals.

    Attributes
    ----------
    rho : correlation of residuals one step apart; 0 without serial correlation.
    sd : (n_groups,) residual SD of each category, in units of the outcome.
    phi : the parameters of ``likelihood.residuals``. rows : the whitened model's source.
    independent_deviance : of the same model with independent residuals of one size; NaN where
        that could not be fitted.
    """

    rho: float
    sd: FloatArray
    phi: FloatArray
    rows: StructuredRows
    independent_deviance: float


@dataclass(frozen=True)
class LmmFit:
    """A fitted multilevel model in the units of the design.

    Attributes
    ----------
    estimator : ``REML``, ``ML`` or ``Within (client fixed effects)``.
    beta, se, df : (p,) fixed effects ``names``; ``df`` Satterthwaite. vcov : (p, p).
    client_cov : (q, q) covariance of the client-level effects ``random_names``.
    therapist_cov : (r, r), of the effects ``therapist_names``. sigma : residual SD.
    deviance : -2 (restricted) log-likelihood. n_parameters : fixed effects, (co)variances, sigma.
    converged : from gradient and Hessian. message : in words. singular : boundary in words.
    zero_sd : client-level effects whose SD is estimated as zero.
    residuals : their structure, None where they are independent and of one size. ``sigma`` is
        then the root of the mean residual variance, and ``statistics`` are those of the whitened
        rows.
    """

    estimator: str
    names: tuple[str, ...]
    random_names: tuple[str, ...]
    beta: FloatArray
    se: FloatArray
    df: FloatArray
    vcov: FloatArray
    sigma: float
    client_cov: FloatArray
    therapist_cov: FloatArray
    deviance: float
    n_obs: int
    n_parameters: int
    converged: bool
    message: str
    singular: tuple[str, ...]
    zero_sd: tuple[str, ...] = ()
    solution: Solution | None = None
    statistics: NestedStatistics | None = None
    scale: Scale | None = None
    residuals: ResidualFit | None = None
    therapist_names: tuple[str, ...] = ()

    @property
    def reml(self) -> bool:
        return self.estimator == "REML"

    def coefficient(self, name: str) -> float:
        return float(self.beta[self.names.index(name)])

    def sd(self, effect: str) -> float:
        """SD between clients of ``intercept`` or of a slope."""
        k = self.random_names.index(effect)
        return float(np.sqrt(self.client_cov[k, k]))


@dataclass(frozen=True)
class Contrast:
    """A linear combination of fixed effects with its t interval."""

    estimate: float
    se: float
    df: float
    ci_low: float
    ci_high: float
    p: float


def fit_lmm(design: ModelDesign, criterion: str = "REML", n_starts: int = 3) -> LmmFit | Refusal:
    """Fit a two- or three-level model by REML or ML.

    Parameters
    ----------
    design : from :func:`alliance.estimation.design.build_design`. For its within-only form
        client fixed effects are fitted by least squares with cluster-robust standard errors.
    criterion : ``REML`` or ``ML``.
    n_starts : starting values tried. With more than 500 clients the optimum of a part of the
        clients is the only start; in every case the optimality conditions of a covariance matrix
        (which exclude a spurious zero) are checked on all the data.

    Notes
    -----
    A fit that did not converge is returned with ``converged`` False and the reason in
    ``message``. Data that a model fits exactly give a refusal.
    """
    if criterion not in ("REML", "ML"):
        raise ValueError(f"criterion must be 'REML' or 'ML', not {criterion!r}")
    if design.form == "within":
        return _fit_within(design)
    scale = _scale(design)
    statistics = _scaled_statistics(design, scale)
    reml = criterion == "REML"
    try:
        if design.residuals is not None:
            return _fit_structured(design, scale, statistics, reml, n_starts)
        model = prepare(statistics)
        many = statistics.n_clients > _MANY_CLIENTS
        solution = solve(model, reml, n_starts, pilot_fit(statistics, reml) if many else None)
    except LinAlgError:
        structured = design.residuals is not None and len(design.residuals.group_names) > 1
        where = " (or that of one category of the residuals)" if structured else ""
        return Refusal(
            f"the model leaves no residual variance: every client's outcome{where} is fitted "
            "exactly",
            "Leave out random slopes, or check whether a variable was computed from the outcome.",
        )
    return _in_units(design, scale, statistics, model, solution, reml)


def _fit_structured(
    design: ModelDesign, scale: Scale, statistics: NestedStatistics, reml: bool, n_starts: int
) -> LmmFit | Refusal:
    """Correlated or heteroscedastic residuals, started from the fit with independent ones."""
    structure = design.residuals
    assert structure is not None
    simple = fit_lmm(replace(design, residuals=None), "REML" if reml else "ML", n_starts)
    if isinstance(simple, Refusal):
        return simple
    assert simple.solution is not None
    rows = structured_rows(
        statistics,
        np.column_stack([design.X / scale.columns, (design.y - scale.centre) / scale.size]),
        client_places(design.client, design.therapist)[0],
        structure.position,
        structure.group,
        structure.serial,
    )
    model = StructuredModel(rows, statistics.client_columns, statistics.therapist_columns)
    solution = solve(model, reml, n_starts, known=simple.solution.theta)
    phi = model.split(solution.theta)[1]
    fit = _in_units(design, scale, rows.statistics(phi), model, solution, reml)
    found = ResidualFit(rows.rho(phi), fit.sigma * rows.scales(phi), phi, rows, simple.deviance)
    return replace(fit, residuals=found)


# Units


def _scale(design: ModelDesign) -> Scale:
    has_intercept = "intercept" in design.names
    centre = float(design.y.mean()) if has_intercept else 0.0
    columns = np.sqrt(np.einsum("ij,ij->j", design.X, design.X) / design.n_obs)
    return Scale(centre, float(np.std(design.y)), columns)


def _scaled_statistics(design: ModelDesign, scale: Scale) -> NestedStatistics:
    return accumulate(
        design.X / scale.columns,
        (design.y - scale.centre) / scale.size,
        design.client,
        design.client_columns,
        design.therapist,
        design.therapist_columns,
    )


def _in_units(
    design: ModelDesign,
    scale: Scale,
    statistics: NestedStatistics,
    model: Model,
    solution: Solution,
    reml: bool,
) -> LmmFit:
    sigma = residual_sd(solution.at, model, reml)
    stretch = scale.size / scale.columns
    vcov = sigma**2 * np.linalg.inv(solution.at.information)
    beta = solution.at.beta * stretch
    if scale.centre:
        beta[design.names.index("intercept")] += scale.centre
    freedom = model.n_rows - (model.n_fixed if reml else 0)
    shift = 2 * freedom * np.log(scale.size)
    if reml:
        shift += 2 * np.log(scale.columns).sum()
    inner, outer = (factor * sigma for factor in model.factors(solution.theta))
    unit = stretch[model.client_columns, None] * inner
    upper = stretch[model.therapist_columns, None] * outer
    return LmmFit(
        estimator="REML" if reml else "ML",
        names=design.names,
        random_names=design.random_names,
        therapist_names=design.therapist_names,
        beta=beta,
        se=np.sqrt(np.diag(vcov)) * stretch,
        df=np.array([_satterthwaite(row, vcov, solution.curvature) for row in np.eye(len(beta))]),
        vcov=vcov * np.outer(stretch, stretch),
        sigma=sigma * scale.size,
        client_cov=unit @ unit.T,
        therapist_cov=upper @ upper.T,
        deviance=solution.at.deviance + shift,
        n_obs=model.n_rows,
        n_parameters=model.n_fixed + model.n_theta + 1,
        converged=solution.converged,
        message=solution.message,
        singular=_name_singular(design, *model.factors(solution.theta)),
        zero_sd=tuple(
            name
            for name, row in zip(design.random_names, model.factors(solution.theta)[0], strict=True)
            if np.linalg.norm(row) < SINGULAR
        ),
        solution=solution,
        statistics=statistics,
        scale=scale,
    )


def _name_singular(design: ModelDesign, inner: FloatArray, outer: FloatArray) -> tuple[str, ...]:
    """Boundary estimates in words."""
    found = []
    spread = np.sqrt(np.einsum("ij,ij->i", inner, inner))
    for k, name in enumerate(design.random_names):
        if spread[k] < SINGULAR:
            what = "level" if name == "intercept" else f"slope of {name}"
            found.append(f"the SD of clients' {what} is estimated as zero")
    for a, b in pairs(design):
        if min(spread[a], spread[b]) >= SINGULAR:
            correlation = inner[a] @ inner[b] / (spread[a] * spread[b])
            if abs(correlation) > 1 - SINGULAR**2:
                first, second = design.random_names[a], design.random_names[b]
                found.append(f"the correlation of {first} and {second} is estimated as "
                             f"{'+1' if correlation > 0 else '-1'}")  # fmt: skip
    if not found and inner.size and np.diag(inner).min() < SINGULAR:
        found.append("the random effects of clients are linearly dependent")
    return (*found, *_name_singular_therapists(design.therapist_names, outer))


def _name_singular_therapists(names: tuple[str, ...], factor: FloatArray) -> list[str]:
    """Boundary estimates at the therapist level in words."""
    spread = np.sqrt(np.einsum("ij,ij->i", factor, factor))
    found = []
    for name, sd in zip(names, spread, strict=True):
        what = (
            "SD between therapists" if name == "intercept" else f"SD of therapists' {name} slopes"
        )
        if sd < SINGULAR:
            found.append(f"the {what} is estimated as zero")
    if not found and factor.size and np.diag(factor).min() < SINGULAR:
        found.append("the random effects of therapists are linearly dependent")
    return found


# Inference on fixed effects


def _satterthwaite(weights: FloatArray, vcov: FloatArray, curvature: Curvature) -> float:
    """Degrees of freedom of a contrast: 2 v^2 / Var(v), v its variance (Fai & Cornelius 1996).

    Var(v) by the delta method from the Hessian in (theta, sigma), as lmerTest does (Kuznetsova,
    Brockhoff & Christensen 2017); directions without curvature (singular fits) do not count.
    """
    values, vectors = np.linalg.eigh(curvature.hessian)
    keep = values > 1e-6 * max(1.0, float(values.max()) * 1e-3)
    inverse = (vectors[:, keep] / values[keep]) @ vectors[:, keep].T
    slopes = np.einsum("a,kab,b->k", weights, curvature.vcov_slopes, weights)
    variance = float(weights @ vcov @ weights)
    spread = float(2 * slopes @ inverse @ slopes)
    return 2 * variance**2 / spread if spread > 0 else np.inf


def contrast(fit: LmmFit, weights: FloatArray, level: float = 0.95) -> Contrast:
    """Estimate, Satterthwaite t interval and p value of a combination of fixed effects.

    Parameters
    ----------
    weights : (p,), e.g. +1 for ``between`` and -1 for ``within``.
    """
    estimate = float(weights @ fit.beta)
    se = float(np.sqrt(weights @ fit.vcov @ weights))
    df = _contrast_df(fit, weights)
    half = float(stats.t.ppf(0.5 + level / 2, df)) * se
    p = float(2 * stats.t.sf(abs(estimate) / se, df))
    return Contrast(estimate, se, df, estimate - half, estimate + half, p)


def _contrast_df(fit: LmmFit, weights: FloatArray) -> float:
    if fit.solution is None or fit.scale is None:
        return float(fit.df[0])
    stretch = fit.scale.size / fit.scale.columns
    scaled = fit.vcov / np.outer(stretch, stretch)
    return _satterthwaite(weights * stretch, scaled, fit.solution.curvature)


def _fit_within(design: ModelDesign) -> LmmFit:
    """Client fixed effects: least squares on deviations, standard errors robust by client (CR1)."""
    X, y = design.X, design.y
    n, p, clients = design.n_obs, X.shape[1], design.n_clients
    bread = np.linalg.inv(X.T @ X)
    beta = bread @ (X.T @ y)
    residual = y - X @ beta
    scores = np.column_stack(
        [np.bincount(design.client, column * residual, clients) for column in X.T]
    )
    freedom = n - clients - p
    adjust = clients / (clients - 1) * (n - 1) / max(n - p, 1)
    vcov = adjust * bread @ (scores.T @ scores) @ bread
    variance = float(residual @ residual) / freedom
    return LmmFit(
        estimator="Within (client fixed effects)",
        names=design.names,
        random_names=(),
        beta=beta,
        se=np.sqrt(np.diag(vcov)),
        df=np.full(p, clients - 1.0),
        vcov=vcov,
        sigma=float(np.sqrt(variance)),
        client_cov=np.zeros((0, 0)),
        therapist_cov=np.zeros((0, 0)),
        deviance=float(n * np.log(2 * np.pi * variance * freedom / n) + n),
        n_obs=n,
        n_parameters=clients + p + 1,
        converged=True,
        message="least squares",
        singular=(),
    )


# Clients' own effects


@dataclass(frozen=True)
class ClientEffects:
    """Best linear unbiased predictions per client, in the order of ``design.client_ids``.

    Attributes
    ----------
    deviations : (n_clients, q) from the fixed effect. totals : fixed effect + deviation.
    sd : (n_clients, q) conditional SD, with the fixed effects (and therapist) taken as known.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    deviations: FloatArray
    totals: FloatArray
    sd: FloatArray


def client_effects(fit: LmmFit, design: ModelDesign) -> ClientEffects:
    """BLUPs of clients' levels and slopes (shrunken: their spread is less than the SD)."""
    if fit.solution is None or fit.statistics is None or fit.scale is None:
        raise ValueError("a within-only fit has no random effects to predict")
    model = prepare(fit.statistics)
    found = predict_effects(model, fit.solution.theta, fit.solution.at.beta)
    stretch = (fit.scale.size / fit.scale.columns)[design.client_columns]
    sigma = fit.sigma / fit.scale.size
    order = np.arange(design.n_clients)
    if design.therapist is not None and design.therapist_of_client is not None:
        order = np.argsort(design.therapist_of_client, kind="stable")
    deviations, sd = np.empty_like(found.client), np.empty_like(found.client)
    deviations[order] = found.client * stretch
    variances = np.maximum(np.einsum("ikk->ik", found.client_variance), 0)
    sd[order] = np.sqrt(variances) * sigma * stretch
    totals = deviations + fit.beta[design.client_columns]
    return ClientEffects(design.client_ids, design.random_names, deviations, totals, sd)


# Tests between models


@dataclass(frozen=True)
class LikelihoodRatio:
    """Likelihood-ratio test; ``reference`` names the distribution it was referred to."""

    statistic: float
    p: float
    reference: str


def likelihood_ratio(larger: LmmFit, smaller: LmmFit) -> LikelihoodRatio:
    """Test the terms that ``larger`` has and ``smaller`` has not.

    For one more random effect the null value lies on the boundary and the statistic follows a
    50:50 mixture of chi-squares with k - 1 and k degrees of freedom, k its (co)variances (Self &
    Liang 1987; Stram & Lee 1994). Fixed effects need ML fits.

    Raises
    ------
    ValueError
        If the models are not nested in one of these ways, or REML fits differ in fixed effects.
    """
    if larger.n_obs != smaller.n_obs or larger.estimator != smaller.estimator:
        raise ValueError("the models must be fitted to the same rows by the same criterion")
    fixed = len(larger.names) - len(smaller.names)
    extra = larger.n_parameters - smaller.n_parameters - fixed
    statistic = max(smaller.deviance - larger.deviance, 0.0)
    if fixed and larger.reml:
        raise ValueError("REML deviances of models with different fixed effects cannot be compared")
    if fixed < 0 or extra < 0 or fixed + extra == 0 or (fixed and extra):
        raise ValueError("the models differ in neither fixed nor random effects alone")
    if fixed:
        return LikelihoodRatio(statistic, float(stats.chi2.sf(statistic, fixed)), f"chi2({fixed})")
    if _random_count(larger) - _random_count(smaller) != 1:
        raise ValueError("the boundary correction holds for one more random effect at a time")
    upper = float(stats.chi2.sf(statistic, extra))
    lower = float(stats.chi2.sf(statistic, extra - 1)) if extra > 1 else float(statistic <= 0)
    p = 0.5 * (upper + lower)
    return LikelihoodRatio(statistic, p, f"mixture of chi2({extra - 1}) and chi2({extra})")


def _random_count(fit: LmmFit) -> int:
    return len(fit.client_cov) + len(fit.therapist_cov)
