"""Multilevel models by REML or ML: estimates, Satterthwaite degrees of freedom, intervals, tests.

The criterion (``likelihood.profiled``) is minimised in units in which every column has size one, so
that no decision depends on the scale of an instrument. Convergence is judged by the gradient and
the Hessian at the solution, not by the optimiser's word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.linalg import LinAlgError, qr

from alliance.estimation.design import ModelDesign, Refusal, pairs
from alliance.likelihood.descent import minimise
from alliance.likelihood.profiled import (
    Evaluation,
    ProfiledModel,
    evaluate,
    predict_effects,
    prepare,
)
from alliance.likelihood.statistics import NestedStatistics, accumulate, take_groups

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_SINGULAR = 1e-4  # relative Cholesky diagonal below which lme4 calls a fit singular
_DECREMENT = 1e-7  # deviance still to be gained by a Newton step at a converged fit
_MANY_CLIENTS = 500  # above, a pilot fit and the optimality conditions replace further starts
_PILOT_THERAPISTS = 25
_PILOT_GAIN = 1e-2  # deviance; a fraction of what chance moves the optimum of a part
_PILOT_CLIENTS = (200, 1000)  # a tenth of the clients, within these limits
_NO_RESIDUAL = 1e-10  # residual variance relative to the outcome's


@dataclass(frozen=True)
class Scale:
    """Units of the optimisation: y = centre + size * y_scaled, X = X_scaled * columns."""

    centre: float
    size: float
    columns: FloatArray


@dataclass(frozen=True)
class Curvature:
    """Second-order facts at theta, in scaled units, with sigma as a parameter of its own.

    Attributes
    ----------
    hessian : (k + 1, k + 1) of the deviance in (theta, sigma).
    vcov_slopes : (k + 1, p, p) derivative of the covariance matrix of beta.
    """

    hessian: FloatArray
    vcov_slopes: FloatArray

    def profiled(self) -> FloatArray:
        """Hessian in theta after profiling sigma out."""
        H = self.hessian
        return H[:-1, :-1] - np.outer(H[:-1, -1], H[-1, :-1]) / H[-1, -1]


@dataclass(frozen=True)
class Solution:
    """Where the criterion is smallest, in scaled units."""

    theta: FloatArray
    at: Evaluation
    curvature: Curvature
    converged: bool
    message: str


@dataclass(frozen=True)
class LmmFit:
    """A fitted multilevel model in the units of the design.

    Attributes
    ----------
    estimator : ``REML``, ``ML`` or ``Within (client fixed effects)``.
    beta, se, df : (p,) fixed effects ``names``; ``df`` Satterthwaite. vcov : (p, p).
    client_cov : (q, q) covariance of the client-level effects ``random_names``.
    therapist_cov : (r, r). sigma : residual SD.
    deviance : -2 (restricted) log-likelihood. n_parameters : fixed effects, (co)variances, sigma.
    converged : from gradient and Hessian. message : in words. singular : boundary in words.
    zero_sd : client-level effects whose SD is estimated as zero.
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
    model = prepare(statistics)
    reml = criterion == "REML"
    many = statistics.n_clients > _MANY_CLIENTS
    try:
        solution = solve(model, reml, n_starts, _pilot(statistics, reml) if many else None)
    except LinAlgError:
        return Refusal(
            "the model leaves no residual variance: every client's outcome is fitted exactly",
            "Leave out random slopes, or check whether a variable was computed from the outcome.",
        )
    return _in_units(design, scale, statistics, model, solution, reml)


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
    model: ProfiledModel,
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
            if np.linalg.norm(row) < _SINGULAR
        ),
        solution=solution,
        statistics=statistics,
        scale=scale,
    )


def residual_sd(at: Evaluation, model: ProfiledModel, reml: bool) -> float:
    return float(np.sqrt(at.rss / (model.n_rows - (model.n_fixed if reml else 0))))


def _name_singular(design: ModelDesign, inner: FloatArray, outer: FloatArray) -> tuple[str, ...]:
    """Boundary estimates in words."""
    found = []
    spread = np.sqrt(np.einsum("ij,ij->i", inner, inner))
    for k, name in enumerate(design.random_names):
        if spread[k] < _SINGULAR:
            what = "level" if name == "intercept" else f"slope of {name}"
            found.append(f"the SD of clients' {what} is estimated as zero")
    for a, b in pairs(design):
        if min(spread[a], spread[b]) >= _SINGULAR:
            correlation = inner[a] @ inner[b] / (spread[a] * spread[b])
            if abs(correlation) > 1 - _SINGULAR**2:
                first, second = design.random_names[a], design.random_names[b]
                found.append(f"the correlation of {first} and {second} is estimated as "
                             f"{'+1' if correlation > 0 else '-1'}")  # fmt: skip
    if not found and inner.size and np.diag(inner).min() < _SINGULAR:
        found.append("the random effects of clients are linearly dependent")
    if outer.size and np.diag(outer).min() < _SINGULAR:
        found.append("the SD between therapists is estimated as zero")
    return tuple(found)


# Minimising the criterion


def solve(
    model: ProfiledModel, reml: bool, n_starts: int = 3, pilot: Pilot | None = None
) -> Solution:
    """Minimise the criterion from several starts, polish by Newton steps, judge the result."""
    if pilot is not None:
        at = _descend(model, pilot.theta, reml, pilot.inverse)
        return _judge(model, *_polish(model, *at, reml), reml)
    starts = _starts(model)
    values = [evaluate(model, start, reml).deviance for start in starts]
    found = [_descend(model, starts[index], reml) for index in np.argsort(values)[:n_starts]]
    best = min(found, key=lambda entry: entry[1].deviance)
    return _judge(model, *_polish(model, *best, reml), reml)


@dataclass(frozen=True)
class Pilot:
    """Where to start a large study: the optimum of a part of it, and the inverse Hessian there."""

    theta: FloatArray
    inverse: FloatArray | None


def _pilot(statistics: NestedStatistics, reml: bool) -> Pilot | None:
    """Fit every n-th client (or all clients of every n-th therapist); None if that fails."""
    size = np.clip(statistics.n_clients // 10, *_PILOT_CLIENTS)
    step = statistics.n_clients // int(size)
    if statistics.n_therapists:
        step = max(min(step, statistics.n_therapists // _PILOT_THERAPISTS), 1)
    codes = statistics.therapist if statistics.n_therapists else np.arange(statistics.n_clients)
    clients = np.flatnonzero(codes % step == 0)
    part = prepare(take_groups(statistics, clients, np.zeros(len(clients), dtype=np.int64)))
    start = _starts(part)[0]
    try:
        theta, at = _descend(part, start, reml, gain=_PILOT_GAIN)
        curvature = _curvature(part, theta, at, reml)
    except LinAlgError:
        return None
    inside = np.where(part.diagonal(), np.maximum(theta, 0.05), theta)
    hessian = curvature.profiled() * statistics.n_clients / len(clients)
    if not np.array_equal(theta, inside) or np.linalg.eigvalsh(hessian)[0] <= 0:
        return Pilot(inside, None)
    return Pilot(theta, np.linalg.inv(hessian))


def solve_from(
    model: ProfiledModel, theta: FloatArray, reml: bool
) -> tuple[FloatArray, Evaluation]:
    """Minimise from one start, without second-order facts; for resampling."""
    return _descend(model, theta, reml)


def _starts(model: ProfiledModel) -> list[FloatArray]:
    """Moderate, small and large random effects, in units of the residual SD."""
    q, r = model.client_columns.size, model.therapist_columns.size
    sizes = [(1.0, 0.3, 0.3), (0.4, 0.1, 0.1), (2.0, 1.0, 0.6)]
    starts = []
    for level, slope, therapist in sizes:
        inner = np.diag([level, *[slope] * (q - 1)])[np.tril_indices(q)]
        outer = np.diag([therapist, *[0.3 * therapist] * (r - 1)] if r else [])
        starts.append(np.concatenate([inner, outer[np.tril_indices(r)]]))
    return starts


def _descend(
    model: ProfiledModel,
    start: FloatArray,
    reml: bool,
    inverse: FloatArray | None = None,
    gain: float = 1e-8,
) -> tuple[FloatArray, Evaluation]:
    """Quasi-Newton descent; escapes from zeros that are not optima (at most three times)."""
    lower = np.where(model.diagonal(), 0.0, -np.inf)
    seen: dict[bytes, Evaluation] = {}

    def criterion(theta: FloatArray) -> tuple[float, FloatArray]:
        at = seen[theta.tobytes()] = evaluate(model, theta, reml)
        if at.rss < _NO_RESIDUAL * model.n_rows:
            raise LinAlgError("no residual variance is left")
        return at.deviance, at.gradient

    theta = start
    for _ in range(4):
        theta, _ = minimise(criterion, theta, lower, gain, inverse=inverse)
        at, inverse = seen[theta.tobytes()], None
        escape = _escape(model, theta, at)
        if escape is None:
            break
        theta = escape
    return theta, at


def _escape(model: ProfiledModel, theta: FloatArray, at: Evaluation) -> FloatArray | None:
    """A start off the boundary if the deviance falls in that direction, else None.

    At a singular covariance matrix the derivative with respect to theta vanishes, optimum or not;
    the derivative with respect to the matrix, on its null space, tells.
    """
    moved = False
    packed = []
    derivatives = (at.client_gradient, at.therapist_gradient)
    for factor, derivative in zip(model.factors(theta), derivatives, strict=True):
        direction = _downhill(factor, derivative)
        matrix = factor @ factor.T
        if direction is not None:
            matrix = matrix + 0.05 * np.outer(direction, direction)
            moved = True
        packed.append(semidefinite_factor(matrix)[np.tril_indices(len(factor))])
    return np.concatenate(packed) if moved else None


def _downhill(factor: FloatArray, derivative: FloatArray) -> FloatArray | None:
    if not factor.size:
        return None
    values, vectors = np.linalg.eigh(factor @ factor.T)
    null = vectors[:, values < _SINGULAR**2]
    if not null.size:
        return None
    slopes, directions = np.linalg.eigh(null.T @ derivative @ null)
    return null @ directions[:, 0] if slopes[0] < -1e-4 else None


def semidefinite_factor(matrix: FloatArray) -> FloatArray:
    """Lower triangular L with L L' = matrix, also for singular matrices."""
    if not matrix.size:
        return matrix
    values, vectors = np.linalg.eigh(matrix)
    upper = qr((vectors * np.sqrt(np.maximum(values, 0))).T, mode="r")[0]
    signs = np.where(np.diag(upper) < 0, -1.0, 1.0)
    return (upper * signs[:, None]).T


def _polish(
    model: ProfiledModel, theta: FloatArray, at: Evaluation, reml: bool
) -> tuple[FloatArray, Evaluation, Curvature, float]:
    """Newton steps until the deviance has nothing left to gain; returns that gain as well."""
    theta, at = _snap(model, theta, at, reml)
    for _ in range(8):
        curvature = _curvature(model, theta, at, reml)
        step, gain = _newton_step(curvature.profiled(), at.gradient)
        if gain < _DECREMENT:
            break
        for shrink in (1.0, 0.5, 0.1, 0.01):
            trial = theta + shrink * step
            after = evaluate(model, trial, reml)
            if after.deviance < at.deviance:
                theta = _non_negative(model, trial)
                same = np.array_equal(theta, trial)
                at = after if same else evaluate(model, theta, reml)
                break
        else:
            break
    return theta, at, curvature, gain


def _newton_step(hessian: FloatArray, gradient: FloatArray) -> tuple[FloatArray, float]:
    """Newton step and the fall of the deviance it promises; flat directions are left alone."""
    values, vectors = np.linalg.eigh(hessian)
    slopes = vectors.T @ gradient
    useful = np.abs(values) > 1e-6 * max(float(np.abs(values).max()), 1e-12)
    scaled = np.where(useful, slopes / np.where(useful, np.abs(values), 1.0), 0.0)
    return -vectors @ scaled, float(0.5 * np.sum(scaled * slopes))


def _snap(
    model: ProfiledModel, theta: FloatArray, at: Evaluation, reml: bool
) -> tuple[FloatArray, Evaluation]:
    """Put diagonal elements that are all but zero on the boundary, if nothing is lost."""
    small = model.diagonal() & (np.abs(theta) < 3e-3) & (theta != 0)
    if not small.any():
        return theta, at
    snapped = np.where(small, 0.0, theta)
    there = evaluate(model, snapped, reml)
    return (snapped, there) if there.deviance < at.deviance + 1e-8 else (theta, at)


def _non_negative(model: ProfiledModel, theta: FloatArray) -> FloatArray:
    """The same covariance matrices by factors with a non-negative diagonal."""
    signed = [f * np.where(np.diag(f) < 0, -1.0, 1.0) for f in model.factors(theta)]
    return np.concatenate([f[np.tril_indices(len(f))] for f in signed])


def _curvature(model: ProfiledModel, theta: FloatArray, at: Evaluation, reml: bool) -> Curvature:
    """Hessian in (theta, sigma) by differences of the analytic gradient.

    At the profiled sigma the gradient in theta is the same whether sigma is profiled or fixed.
    """
    k, p = model.n_theta, model.n_fixed
    sigma = residual_sd(at, model, reml)
    inverse = np.linalg.inv(at.information)
    hessian = np.empty((k + 1, k + 1))
    slopes = np.empty((k + 1, p, p))
    rss_slope = np.empty(k)
    for a in range(k):
        h = 1e-5 * max(abs(theta[a]), 0.1)
        up = evaluate(model, theta + h * np.eye(k)[a], reml, sigma)
        hessian[a, :k] = (up.gradient - at.gradient) / h
        rss_slope[a] = (up.rss - at.rss) / h
        slopes[a] = sigma**2 * (np.linalg.inv(up.information) - inverse) / h
    hessian[:k, :k] = (hessian[:k, :k] + hessian[:k, :k].T) / 2
    hessian[k, :k] = hessian[:k, k] = -2 * rss_slope / sigma**3
    hessian[k, k] = 4 * at.rss / sigma**4
    slopes[k] = 2 * sigma * inverse
    return Curvature(hessian, slopes)


def _judge(
    model: ProfiledModel,
    theta: FloatArray,
    at: Evaluation,
    curvature: Curvature,
    gain: float,
    reml: bool,
) -> Solution:
    values = np.linalg.eigvalsh(curvature.profiled())
    problems = []
    if gain >= 1e-5:
        problems.append(f"the deviance could still fall by about {gain:.2g}")
    if values[0] < -1e-3 * max(values[-1], 1.0):
        problems.append("the solution is a saddle point, not a minimum")
    if _escape(model, theta, at) is not None:
        problems.append("a variance was held at zero although a larger one fits better")
    message = "; ".join(problems) or "gradient and Hessian are those of a minimum"
    return Solution(theta, at, curvature, not problems, message)


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
