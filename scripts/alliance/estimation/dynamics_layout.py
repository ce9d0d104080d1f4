"""One dynamic model, and how its unrestricted parameter vector becomes the model and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from alliance.estimation.dynamics_series import VarSeries
from alliance.likelihood.var_data import VarStructure, structure_of

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Trend = Literal["none", "linear", "session_effects"]

MIN_PER_SESSION = 5
_LARGEST_LOG = 50.0


@dataclass(frozen=True)
class VarSpec:
    """One dynamic model.

    Attributes
    ----------
    occasions : (k,) rank of each series within a session (``dynamics_series.occasions``).
    trend : means over sessions: constant, linear, or free for each session up to
        ``free_sessions`` and linear after that.
    random_trend : clients have linear trends of their own, correlated with their levels.
    phase_from : session number (``VarSeries.numbers``) from which coefficients may differ.
    reliability : (k,) assumed within-client reliabilities; error variances are
        ``(1 - R)`` times the squared pooled within-client SD. None: no error.
    zero : (target, source) positions of coefficients that are held at zero.
    """

    occasions: tuple[int, ...]
    trend: Trend = "session_effects"
    random_trend: bool = False
    free_sessions: int = 20
    phase_from: int | None = None
    reliability: tuple[float, ...] | None = None
    zero: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class VarLayout:
    """How the unrestricted vector becomes the parameters of the likelihood, and back.

    Attributes
    ----------
    course : (T, m) columns of the course of the means, the same for every series.
    free : (k, k) coefficients to be estimated.
    """

    structure: VarStructure
    course: FloatArray
    free: NDArray[np.bool_]

    @property
    def n_mean(self) -> int:
        return self.course.shape[1] * self.structure.n_series

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Of the means, coefficients, factors of innovations, first session, client effects."""
        k, q = self.structure.n_series, self.structure.n_effects
        sizes = (
            self.n_mean,
            self.structure.n_phases * int(self.free.sum()),
            len(self.innovation_cells[0]),
            k * (k + 1) // 2,
            q * (q + 1) // 2,
        )
        ends = np.cumsum(sizes)
        return tuple(slice(int(e - s), int(e)) for s, e in zip(sizes, ends, strict=True))

    @property
    def size(self) -> int:
        return self.slices[-1].stop

    @cached_property
    def innovation_cells(self) -> tuple[IntArray, IntArray]:
        return np.nonzero(np.tril(self.structure.correlated))

    @cached_property
    def factor_cells(self) -> tuple[tuple[IntArray, IntArray], ...]:
        """Cells of the factors of innovations, first session and client effects."""
        k, q = self.structure.n_series, self.structure.n_effects
        return self.innovation_cells, np.tril_indices(k), np.tril_indices(q)

    @cached_property
    def logs(self) -> NDArray[np.bool_]:
        """(size,) entries that are logs of a diagonal."""
        found = np.zeros(self.size, dtype=bool)
        for part, (rows, columns) in zip(self.slices[2:4], self.factor_cells[:2], strict=True):
            found[part] = rows == columns
        return found

    def unpack(self, x: FloatArray) -> tuple[FloatArray, ...]:
        """Means (T, k), coefficients (phases, k, k) and the three factors."""
        s, values = self.structure, x.copy()
        values[self.logs] = np.exp(np.minimum(x[self.logs], _LARGEST_LOG))
        mean = self.course @ values[self.slices[0]].reshape(-1, s.n_series)
        coefficients = np.zeros((s.n_phases, s.n_series, s.n_series))
        coefficients[:, self.free] = values[self.slices[1]].reshape(s.n_phases, -1)
        sizes = (s.n_series, s.n_series, s.n_effects)
        factors = [np.zeros((n, n)) for n in sizes]
        for factor, cells, part in zip(factors, self.factor_cells, self.slices[2:], strict=True):
            factor[cells] = values[part]
        return mean, coefficients, *factors

    def pack(
        self, course: FloatArray, coefficients: FloatArray, *factors: FloatArray
    ) -> FloatArray:
        """The vector of course parameters (m, k), coefficients and factors."""
        cells = [factor[c] for factor, c in zip(factors, self.factor_cells, strict=True)]
        x = np.concatenate([course.ravel(), coefficients[:, self.free].ravel(), *cells])
        x[self.logs] = np.log(x[self.logs])
        return x

    def gradient(self, x: FloatArray, parts: Sequence[FloatArray]) -> FloatArray:
        """Derivatives by the vector from those by the parameters of the likelihood."""
        by_mean, by_coefficients, *by_factors = parts
        cells = [by[c] for by, c in zip(by_factors, self.factor_cells, strict=True)]
        out = np.concatenate(
            [(self.course.T @ by_mean).ravel(), by_coefficients[:, self.free].ravel(), *cells]
        )
        out[self.logs] *= np.exp(x[self.logs])
        return out


def layout_of(series: VarSeries, spec: VarSpec) -> VarLayout:
    """Layout of the parameters of a model of these series."""
    n_sessions = series.n_sessions
    middle = (np.arange(n_sessions) - (n_sessions - 1) / 2) if spec.random_trend else None
    phase = None
    if spec.phase_from is not None:
        phase = (series.numbers >= spec.phase_from).astype(np.int64)
    error = None if spec.reliability is None else [1.0 - r for r in spec.reliability]
    structure = structure_of(spec.occasions, n_sessions, time=middle, error=error, phase=phase)
    free = np.ones((series.n_series, series.n_series), dtype=bool)
    for target, source in spec.zero:
        free[target, source] = False
    return VarLayout(structure, _course(series, spec), free)


def _course(series: VarSeries, spec: VarSpec) -> FloatArray:
    """Columns of the course of the means."""
    T = series.n_sessions
    time = np.arange(T, dtype=np.float64)
    if spec.trend == "none":
        return np.ones((T, 1))
    if spec.trend == "linear":
        return np.column_stack([np.ones(T), time])
    rated = (series.seen.sum(axis=0) >= MIN_PER_SESSION).all(axis=1)
    free = min(T if rated.all() else int(np.argmin(rated)), spec.free_sessions)
    if free < 2:
        return np.column_stack([np.ones(T), time])
    columns = np.zeros((T, free + (free < T)))
    columns[np.arange(T), np.minimum(np.arange(T), free - 1)] = 1.0
    if free < T:
        columns[free:, -1] = time[free:] - (free - 1)
    return columns


def spectral_radius(coefficients: FloatArray, same_session: FloatArray) -> float:
    """Largest absolute eigenvalue of the reduced form, over phases."""
    radius = 0.0
    for B in coefficients:
        now = B * same_session
        A = np.linalg.solve(np.eye(len(B)) - now, B - now)
        radius = max(radius, float(np.abs(np.linalg.eigvals(A)).max()))
    return radius
