"""Autoregressive series of many groups whose innovations have heavy, skewed or shifted tails.

Model of group i at its j-th observation, time t::

    y_ij = mu_i + b t_ij + w_ij,   mu_i ~ N(m, tau^2),   w_i1 ~ N(0, s1^2),
    w_ij = phi^g w_i,j-1 + c_g e_ij,   g = steps since the last observation,

with innovations e of one of four families, all with scale s:

=========  =====================================================================
gaussian   N(0, s^2)
student    s times Student t with nu degrees of freedom
skewed     the two-piece t of Fernandez & Steel (1998): scale s g below zero, s / g above
shifted    (1 - p) N(0, s^2) + p N(-d, s^2)
=========  =====================================================================

The group means are integrated out by the trapezoid rule on 25 points over +-6.7 standard deviations
of their distribution given the data under Gaussian innovations, so the likelihood is that of whole
groups.

Approximations: over a gap of g > 1 steps the innovation is one draw of the same family with scale
``c_g = sqrt((1 - phi^2g) / (1 - phi^2))`` and the same shift (exact for gaussian only);
observations carry no error of measurement of their own; groups share slope, autoregression and
scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma, pi

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
FAMILIES: tuple[str, ...] = ("gaussian", "student", "skewed", "shifted")
GAUSSIAN, STUDENT, SKEWED, SHIFTED = range(4)
COMMON: tuple[str, ...] = ("mean", "tau", "slope", "phi", "first_sd", "scale")
EXTRA: dict[str, tuple[str, ...]] = {
    "gaussian": (), "student": ("df",), "skewed": ("df", "skew"), "shifted": ("share", "shift"),
}  # fmt: skip
LARGEST_SHARE = 0.30
SMALLEST_SHIFT, LARGEST_SHIFT = 1.0, 8.0  # in scales of the innovations
STARTS: dict[str, tuple[tuple[float, ...], ...]] = {  # unconstrained extra parameters
    "gaussian": ((),),
    "student": ((1.5,),),
    "skewed": ((1.5, 0.1),),
    "shifted": ((-1.6, -0.9), (-1.6, 0.0), (-0.5, -2.0)),
}
POINTS, REACH = 25, 6.7


@dataclass(frozen=True)
class GroupedSeries:
    """Observations of groups in contiguous blocks.

    Attributes
    ----------
    start : (n_groups + 1,) first row of each group, then the number of rows.
    y : (n,) observations. time : (n,) for the slope. gap : (n,) steps since the observation before;
        of a group's first one without meaning.
    """

    start: IntArray
    y: FloatArray
    time: FloatArray
    gap: FloatArray

    @property
    def n_groups(self) -> int:
        return self.start.size - 1

    def take(self, groups: IntArray) -> GroupedSeries:
        """The chosen groups, in the order given."""
        rows = [np.arange(self.start[i], self.start[i + 1]) for i in groups]
        sizes = np.array([len(row) for row in rows])
        at = np.concatenate(rows).astype(np.int64)
        start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return GroupedSeries(start, self.y[at], self.time[at], self.gap[at])


@dataclass(frozen=True)
class InnovationFit:
    """A fitted family: ``theta`` unconstrained, ``numbers`` by name, log likelihood per group."""

    family: str
    theta: FloatArray
    numbers: dict[str, float]
    by_group: FloatArray
    converged: bool

    @property
    def log_likelihood(self) -> float:
        return float(self.by_group.sum())


def natural(theta: FloatArray, family: str) -> FloatArray:
    """Parameters in the order of ``COMMON`` and ``EXTRA`` from unconstrained ones."""
    mean, log_tau, slope, z, log_first, log_scale, *extra = theta
    values = [mean, np.exp(log_tau), slope, np.tanh(z), np.exp(log_first), np.exp(log_scale)]
    if family in ("student", "skewed"):
        values.append(2.0 + np.exp(extra[0]))
    if family == "skewed":
        values.append(np.exp(extra[1]))
    if family == "shifted":
        values.append(LARGEST_SHARE * _logistic(extra[0]))
        values.append(SMALLEST_SHIFT + (LARGEST_SHIFT - SMALLEST_SHIFT) * _logistic(extra[1]))
    return np.array(values, dtype=float)


def _logistic(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def group_log_likelihoods(theta: FloatArray, family: str, data: GroupedSeries) -> FloatArray:
    """(n_groups,) log likelihoods; the shift of ``shifted`` is in scales of the innovations."""
    found, _ = _integrate(natural(theta, family), FAMILIES.index(family), *_arrays(data), False)
    return found


def shift_probabilities(fit: InnovationFit, data: GroupedSeries) -> FloatArray:
    """(n,) posterior probability that an observation's innovation was a shifted one.

    Averaged over the group mean, parameters at their estimates; NaN at each group's first
    observation, which has no innovation.

    Raises
    ------
    ValueError
        For another family than ``shifted``.
    """
    if fit.family != "shifted":
        raise ValueError("only the family 'shifted' has shifted innovations")
    _, found = _integrate(natural(fit.theta, "shifted"), SHIFTED, *_arrays(data), True)
    return found


def _arrays(data: GroupedSeries) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
    return data.start, data.y, data.time, data.gap


def fit_innovations(
    data: GroupedSeries, family: str, start: FloatArray | None = None
) -> InnovationFit:
    """Maximum likelihood; from ``start`` if given, else from several starting points."""
    starts = [start] if start is not None else _starting_points(data, family)

    def loss(theta: FloatArray) -> float:
        total = group_log_likelihoods(theta, family, data).sum()
        return -float(total) / data.y.size if np.isfinite(total) else 1e10

    best = None
    for theta in starts:
        n_extra = len(theta) - len(COMMON)
        # The SD of group means may be zero, but a step must not make it so small that it divides.
        bounds = [(None, None), (-7, 4), (None, None), (-3, 3), (-7, 4), (-7, 4)]
        bounds += [(-6, 6)] * n_extra
        found = minimize(loss, theta, method="L-BFGS-B", bounds=bounds,
                         options={"maxiter": 200, "ftol": 1e-11, "gtol": 1e-7})  # fmt: skip
        best = found if best is None or found.fun < best.fun else best
    values = dict(zip((*COMMON, *EXTRA[family]), natural(best.x, family), strict=True))
    if family == "shifted":
        values["shift"] *= values["scale"]
    by_group = group_log_likelihoods(best.x, family, data)
    return InnovationFit(family, best.x, values, by_group, bool(best.success))


def _starting_points(data: GroupedSeries, family: str) -> list[FloatArray]:
    sd = float(np.std(data.y))
    common = [float(data.y.mean()), np.log(0.7 * sd), 0.0, 0.3, np.log(0.6 * sd), np.log(0.5 * sd)]
    gaussian = np.array(common)
    if family != "gaussian":
        gaussian = fit_innovations(data, "gaussian", gaussian).theta
    return [np.concatenate([gaussian, extra]) for extra in STARTS[family]]


@dataclass(frozen=True)
class CrossValidation:
    """Log predictive density of left-out groups: family -> (n_groups,); and fits to all groups."""

    densities: dict[str, FloatArray]
    fits: dict[str, InnovationFit]

    def difference(self, better: str, worse: str) -> tuple[float, float]:
        """Sum over groups of the difference, and its standard error sqrt(n var)."""
        apart = self.densities[better] - self.densities[worse]
        return float(apart.sum()), float(np.sqrt(apart.size * apart.var(ddof=1)))


def cross_validate(data: GroupedSeries, folds: IntArray) -> CrossValidation:
    """All families, whole groups left out in turn.

    Parameters
    ----------
    folds : (n_groups,) the fold in which each group is left out.
    """
    fits = {family: fit_innovations(data, family) for family in FAMILIES}
    densities = {family: np.full(data.n_groups, np.nan) for family in FAMILIES}
    for fold in np.unique(folds):
        out, kept = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        for family, fit in fits.items():
            without = fit_innovations(data.take(kept), family, fit.theta)
            densities[family][out] = group_log_likelihoods(without.theta, family, data.take(out))
    return CrossValidation(densities, fits)


def standard_errors(fit: InnovationFit, data: GroupedSeries, step: float = 1e-3) -> FloatArray:
    """(p, p) covariance of ``theta`` from the numerical Hessian; NaN where it is not positive."""
    p = fit.theta.size

    def value(*moves: tuple[int, float]) -> float:
        theta = fit.theta.copy()
        for at, by in moves:
            theta[at] += by
        return float(group_log_likelihoods(theta, fit.family, data).sum())

    hessian = np.empty((p, p))
    for i in range(p):
        for j in range(i + 1):
            hessian[i, j] = hessian[j, i] = (
                value((i, step), (j, step)) - value((i, step), (j, -step))
                - value((i, -step), (j, step)) + value((i, -step), (j, -step))
            ) / (4 * step**2)  # fmt: skip
    try:
        np.linalg.cholesky(-hessian)
    except np.linalg.LinAlgError:
        return np.full((p, p), np.nan)
    return np.linalg.inv(-hessian)


@numba.njit(cache=True)
def _integrate(
    values: FloatArray,
    family: int,
    start: IntArray,
    y: FloatArray,
    time: FloatArray,
    gap: FloatArray,
    with_shift: bool,
) -> tuple[FloatArray, FloatArray]:
    """Log likelihood of each group, and the probability of a shift of each observation."""
    n_groups = start.size - 1
    found = np.empty(n_groups)
    shifted = np.full(y.size, np.nan)
    mean, tau, slope, phi, first_sd, scale = values[:6]
    constant = _constant(values, family)
    grid = np.linspace(-REACH, REACH, POINTS)
    log_at = np.empty(POINTS)
    for i in range(n_groups):
        first, stop = start[i], start[i + 1]
        precision = 1 / tau**2 + 1 / first_sd**2
        centre = mean / tau**2 + (y[first] - slope * time[first]) / first_sd**2
        for t in range(first + 1, stop):
            step = phi ** gap[t]
            sd = scale * np.sqrt((1 - step**2) / (1 - phi**2))
            rest = y[t] - slope * time[t] - step * (y[t - 1] - slope * time[t - 1])
            precision += (1 - step) ** 2 / sd**2
            centre += (1 - step) * rest / sd**2
        centre /= precision
        width = 1 / np.sqrt(precision)
        part = np.zeros((stop - first, POINTS))
        for k in range(POINTS):
            mu = centre + width * grid[k]
            total = _log_normal(mu - mean, tau)
            before = y[first] - mu - slope * time[first]
            total += _log_normal(before, first_sd)
            for t in range(first + 1, stop):
                step = phi ** gap[t]
                stretch = np.sqrt((1 - step**2) / (1 - phi**2))
                now = y[t] - mu - slope * time[t]
                density, share = _log_density(now - step * before, stretch, values, family)
                total += density + constant
                part[t - first, k] = share
                before = now
            log_at[k] = total
        highest = log_at.max()
        weight = np.exp(log_at - highest)
        found[i] = highest + np.log(weight.sum() * width * (grid[1] - grid[0]))
        if with_shift:
            weight /= weight.sum()
            for t in range(first + 1, stop):
                shifted[t] = (weight * part[t - first]).sum()
    return found, shifted


@numba.njit(cache=True)
def _log_normal(x: float, sd: float) -> float:
    return -0.5 * (x / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * pi)


@numba.njit(cache=True)
def _constant(values: FloatArray, family: int) -> float:
    """What the log density of an innovation holds that is the same for all of them."""
    scale = values[5]
    if family in (STUDENT, SKEWED):
        df = values[6]
        found = lgamma((df + 1) / 2) - lgamma(df / 2) - 0.5 * np.log(df * pi) - np.log(scale)
        if family == SKEWED:
            found += np.log(2 / (values[7] + 1 / values[7]))
        return found
    return -0.5 * np.log(2 * pi) - np.log(scale)


@numba.njit(cache=True)
def _log_density(
    innovation: float, stretch: float, values: FloatArray, family: int
) -> tuple[float, float]:
    """Log density without its constant, and the probability that the innovation is shifted."""
    z = innovation / (values[5] * stretch)
    if family == GAUSSIAN:
        return -0.5 * z * z - np.log(stretch), 0.0
    if family == SHIFTED:
        share, away = values[6], z + values[7] / stretch
        usual = np.log1p(-share) - 0.5 * z * z
        moved = np.log(share) - 0.5 * away * away
        high = max(usual, moved)
        both = high + np.log(np.exp(usual - high) + np.exp(moved - high))
        return both - np.log(stretch), np.exp(moved - both)
    if family == SKEWED:
        z = z / values[7] if z < 0 else z * values[7]
    df = values[6]
    return -0.5 * (df + 1) * np.log1p(z * z / df) - np.log(stretch), 0.0
