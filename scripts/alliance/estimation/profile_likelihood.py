"""Profile-likelihood intervals of variance parameters."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.linalg import LinAlgError
from scipy.optimize import brentq

from alliance.estimation.reml import LmmFit
from alliance.estimation.solving import semidefinite_factor
from alliance.likelihood.descent import minimise
from alliance.likelihood.profiled import ProfiledModel, prepare
from alliance.likelihood.residuals import Model, StructuredModel, criterion_at

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def profile_interval(fit: LmmFit, term: str, level: float = 0.95) -> tuple[float, float]:
    """Profile-likelihood interval of a variance parameter.

    All values whose deviance, minimised over everything else, lies within the chi-square quantile
    of the minimum. A lower limit of zero (or a correlation of 1) is reached when the data do not
    exclude it.

    Parameters
    ----------
    term : ``sd_intercept``, ``sd_within``, ``sd_time``, ``sd_residual``, ``sd_therapist``,
        ``cor_intercept_within`` (any two of ``fit.random_names``); ``sd_therapist_within`` for a
        slope that differs between therapists; ``residual_correlation`` and ``sd_residual[k]``
        (category number k) for residuals with a structure.
    """
    if fit.statistics is None or fit.solution is None:
        raise ValueError("a within-only fit has no variance parameters to profile")
    profile = _Profile(fit, term)
    limit = fit.solution.at.deviance + float(stats.chi2.ppf(level, 1))
    low, high = profile.search(limit)
    if profile.kind == "serial":
        low, high = (float(np.sign(z)) if abs(z) >= _FARTHEST else np.tanh(z) for z in (low, high))
    return float(low * profile.unit), float(high * profile.unit)


_FARTHEST = 4.0  # atanh of a residual correlation of 0.9993


def _rearranged(
    fit: LmmFit,
    base: ProfiledModel,
    client_columns: IntArray,
    therapist_columns: IntArray,
    category: int | None,
) -> Model:
    """The fitted model with its random effects in another order.

    With ``category``, sigma is the residual SD of that category instead of the average one.
    """
    if fit.residuals is not None:
        rows = fit.residuals.rows
        if category is not None:
            rows = replace(rows, weights=np.eye(len(rows.weights))[category])
        return StructuredModel(rows, client_columns, therapist_columns)
    assert fit.statistics is not None
    statistics = replace(
        fit.statistics, client_columns=client_columns, therapist_columns=therapist_columns
    )
    return prepare(statistics)


class _Profile:
    """Deviance as a function of one variance parameter, in scaled units.

    The parameter is made a single element of the absolute Cholesky factor by putting its random
    effect first (for a correlation: its two effects first).
    """

    def __init__(self, fit: LmmFit, term: str) -> None:
        assert fit.statistics is not None
        assert fit.scale is not None
        self.reml = fit.reml
        self.category: int | None = None
        self.kind, first = self._read(fit, term)
        base = prepare(fit.statistics)
        orders = [list(range(base.client_columns.size)), list(range(base.therapist_columns.size))]
        side = int(self.kind == "therapist")
        orders[side] = [*first, *(k for k in orders[side] if k not in first)]
        columns = base.client_columns[orders[0]], base.therapist_columns[orders[1]]
        self.model = _rearranged(fit, base, *columns, self.category)
        stretch = fit.scale.size / fit.scale.columns
        self.unit = 1.0 if self.kind in ("correlation", "serial") else fit.scale.size
        if self.kind in ("client", "therapist"):
            self.unit = float(stretch[columns[side][0]])
        self._start(fit, base, orders)

    def _read(self, fit: LmmFit, term: str) -> tuple[str, list[int]]:
        names = list(fit.random_names)
        upper = ["sd_therapist", *(f"sd_therapist_{name}" for name in fit.therapist_names[1:])]
        if term in upper:
            if not fit.therapist_cov.size:
                raise ValueError("the model has no therapist level")
            return "therapist", [upper.index(term)]
        if term == "sd_residual":
            return "residual", []
        if fit.residuals is not None and term == "residual_correlation":
            return "serial", []
        if fit.residuals is not None and term.startswith("sd_residual["):
            self.category = int(term.removeprefix("sd_residual[").rstrip("]"))
            return "residual", []
        if term.startswith("sd_") and term.removeprefix("sd_") in names:
            return "client", [names.index(term.removeprefix("sd_"))]
        for a, first in enumerate(names):
            for b, second in enumerate(names):
                if term == f"cor_{first}_{second}":
                    return "correlation", [a, b]
        raise ValueError(f"{term!r} is not a variance parameter of the model")

    def _start(self, fit: LmmFit, base: ProfiledModel, orders: list[list[int]]) -> None:
        """Absolute factors, parameters of the residuals and log sigma at the estimate."""
        assert fit.solution is not None
        assert fit.scale is not None
        sigma = fit.sigma / fit.scale.size
        packed = []
        for f, order in zip(base.factors(fit.solution.theta), orders, strict=True):
            matrix = (f @ f.T)[np.ix_(order, order)]
            packed.append(semidefinite_factor(matrix)[np.tril_indices(len(f))] * sigma)
        structure = np.zeros(0) if fit.residuals is None else fit.residuals.phi
        if self.category is not None and fit.residuals is not None:
            sigma = float(fit.residuals.sd[self.category]) / fit.scale.size
        self.phi = np.concatenate([*packed, structure, [np.log(sigma)]])
        self.n_random = sum(map(len, packed))
        self.position = {
            "residual": len(self.phi) - 1,
            "serial": self.n_random,
            "therapist": len(packed[0]),
            "client": 0,
            "correlation": 1,
        }[self.kind]
        self.estimate = float(self.phi[self.position])
        if self.kind == "residual":
            self.estimate = sigma
        if self.kind == "correlation":
            row = self.phi[1:3]
            length = float(np.hypot(*row))
            self.estimate = float(row[0] / length) if length > 0 else 0.0
            self.phi[2] = length

    def deviance(self, value: float) -> float:
        """Minimum over everything else."""
        phi = self.phi.copy()
        phi[self.position] = np.log(value) if self.kind == "residual" else value
        free = np.arange(len(phi)) != self.position
        low = np.where(np.append(self.model.diagonal(), False), 0.0, -np.inf)

        def criterion(part: FloatArray) -> tuple[float, FloatArray]:
            full = phi.copy()
            full[free] = part
            try:
                result, slope = self._evaluate(full)
            except (LinAlgError, OverflowError, ZeroDivisionError):
                # so far off that nothing can be computed: too large
                return np.inf, np.zeros(int(free.sum()))
            return result, slope[free]

        start = np.maximum(phi[free], low[free] + np.where(low[free] == 0, 1e-3, 0))
        return minimise(criterion, start, low[free])[1]

    def _evaluate(self, phi: FloatArray) -> tuple[float, FloatArray]:
        absolute, own = phi[: self.n_random].copy(), phi[self.n_random : -1]
        sigma = math.exp(phi[-1])  # raises where it is too large, which NumPy would only warn of
        rho = phi[1] if self.kind == "correlation" else 0.0
        rest = np.sqrt(max(1 - rho**2, 0.0))
        if self.kind == "correlation":
            absolute[1:3] = rho * phi[2], rest * phi[2]
        at = criterion_at(self.model, np.append(absolute / sigma, own), self.reml, sigma)
        slope, by_own = at.gradient[: self.n_random] / sigma, at.gradient[self.n_random :]
        freedom = self.model.n_rows - (self.model.n_fixed if self.reml else 0)
        by_log_sigma = 2 * freedom - 2 * at.rss / sigma**2 - slope @ absolute
        if self.kind == "correlation":
            slope[2] = rho * slope[1] + rest * slope[2]
            slope[1] = 0.0
        return at.deviance, np.concatenate([slope, by_own, [by_log_sigma]])

    def search(self, limit: float) -> tuple[float, float]:
        """The two values at which the profile crosses ``limit``."""
        if self.kind == "correlation":
            return self._cross(-1.0, limit), self._cross(1.0, limit)
        if self.kind == "serial":
            return self._cross(-_FARTHEST, limit), self._cross(_FARTHEST, limit)
        if self.kind == "residual":
            return self._expand(0.7, limit), self._expand(1.4, limit)
        return self._cross(0.0, limit), self._expand(2.0, limit)

    def _cross(self, end: float, limit: float) -> float:
        """Crossing between the estimate and an end of the range, or that end."""
        if abs(end - self.estimate) < 1e-8 or self.deviance(end) <= limit:
            return end
        return self._root(self.estimate, end, limit)

    def _expand(self, factor: float, limit: float) -> float:
        """Crossing beyond the estimate, looked for in growing steps; 0 or infinity without one."""
        inside, end = self.estimate, max(self.estimate, 0.05) * factor
        for _ in range(40):
            if self.deviance(end) >= limit:
                return self._root(inside, end, limit)
            inside, end = end, end * factor
        return 0.0 if factor < 1 else np.inf

    def _root(self, inside: float, outside: float, limit: float) -> float:
        def above(value: float) -> float:
            return min(self.deviance(value) - limit, 1e6)

        return float(brentq(above, inside, outside, xtol=1e-6, rtol=1e-6))
