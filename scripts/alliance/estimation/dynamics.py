"""Maximum likelihood of the random-intercept VAR(1): what one session does to the next.

The model and its likelihood are in :mod:`alliance.likelihood.random_intercept_var`. Here scores
are put in pooled within-client SDs, the parameters in one unrestricted vector (logs of the diagonal
of the factors of innovations and of the first session; plain factors of the client effects, so that
a variance of zero is a point inside the space), and the descent runs in coordinates in which the
expected information is the identity. Standard errors are from the observed information.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from alliance.estimation.design import Refusal
from alliance.estimation.dynamics_series import VarSeries
from alliance.likelihood.descent import Criterion, minimise
from alliance.likelihood.random_intercept_var import (
    VarData,
    VarStructure,
    covariance,
    log_likelihood_and_gradient,
    mean_information,
    pack,
    structure_of,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Trend = Literal["none", "linear", "session_effects"]

MIN_CLIENTS = 10
MIN_SESSIONS = 3
MIN_SESSIONS_TREND = 5
MIN_PER_SESSION = 5
CLIENTS_FOR_STARTS = 500
_TOLERANCE = 1e-4  # of the gradient, in standard errors
_FLAT = 1e-5  # curvature relative to the expected information
_STEP = 1e-3  # of differences, in standard errors
_NEAR = 1e-2
_GUESSES = ((0.3, 1.0), (0.0, 1.0), (0.6, 0.5), (0.8, 0.1), (-0.2, 1.0))
_NEWTON_STEPS = 10
_NEWTON_ROUNDS = 6
_LARGEST_LOG = 50.0
_LEAST_INNOVATION = 1e-2
_LEAST_INFORMATION = 1e-2  # per client: a variance of zero has no expected information


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


@dataclass(frozen=True)
class VarFit:
    """A fitted model; parameters in raw units.

    Attributes
    ----------
    mean : (T, k). coefficients : (phases, k, k), effect of the latest value of the column series
        on the row series (the same session's where it was measured earlier in the session).
    innovation_cov, first_cov : (k, k). client_cov : (q k, q k), levels, then trends per session.
    within_cov : (T k, T k), implied covariance of the within-client process.
    x, x_cov : the unrestricted vector in units of fitting, and its covariance (NaN if unknown).
    scale : (k,) pooled within-client SDs, the units of fitting. error : (k,) raw error variances.
    log_likelihood : of the raw scores. n_parameters : free parameters.
    gradient : largest entry of the gradient, in standard errors. eigenvalue : smallest curvature
        relative to the expected information.
    spectral_radius : largest over phases; below one is stationary.
    boundary : client effects estimated without a variance of their own: an SD of zero, or fully
        determined by the effects before them.
    problems : why the fit must not be used as it is, each with advice; empty when all is well.
    """

    spec: VarSpec
    series: VarSeries
    layout: VarLayout
    x: FloatArray
    x_cov: FloatArray
    scale: FloatArray
    log_likelihood: float
    converged: bool
    gradient: float
    eigenvalue: float
    boundary: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return self.series.names

    @property
    def n_parameters(self) -> int:
        return self.layout.size

    @cached_property
    def parts(self) -> tuple[FloatArray, ...]:
        return self.layout.unpack(self.x)

    @property
    def coefficients(self) -> FloatArray:
        return self.raw_coefficients(self.x)

    def raw_coefficients(self, x: FloatArray) -> FloatArray:
        """(phases, k, k) coefficients of a parameter vector, in raw units."""
        return self.layout.unpack(x)[1] * (self.scale[:, None] / self.scale[None, :])

    @property
    def mean(self) -> FloatArray:
        return self.parts[0] * self.scale

    @property
    def innovation_cov(self) -> FloatArray:
        return self._raw(self.parts[2], self.scale)

    @property
    def first_cov(self) -> FloatArray:
        return self._raw(self.parts[3], self.scale)

    @property
    def client_cov(self) -> FloatArray:
        return self._raw(
            self.parts[4], np.tile(self.scale, self.layout.structure.loadings.shape[1])
        )

    @staticmethod
    def _raw(factor: FloatArray, scale: FloatArray) -> FloatArray:
        return np.outer(scale, scale) * (factor @ factor.T)

    @property
    def within_cov(self) -> FloatArray:
        within = covariance(*self.parts[1:], *self.layout.structure.arrays())[1]
        scale = np.tile(self.scale, self.series.n_sessions)
        return np.outer(scale, scale) * within

    @property
    def error(self) -> FloatArray:
        return self.layout.structure.error * self.scale**2

    @property
    def spectral_radius(self) -> float:
        return spectral_radius(self.parts[1], self.layout.structure.same_session)

    @property
    def innovation_share(self) -> float:
        """Smallest share of innovations in the within-client variance of any mix of the series.

        Near zero, some mix of the series is a deterministic function of the past: a degenerate
        solution, which too much assumed measurement error leads to.
        """
        k = self.series.n_series
        lead = np.linalg.inv(np.eye(k) - self.parts[1][-1] * self.layout.structure.same_session)
        new = lead @ self.parts[2]
        within = covariance(*self.parts[1:], *self.layout.structure.arrays())[1][-k:, -k:]
        size = np.sqrt(np.diag(within))
        return float(np.linalg.eigvalsh(new @ new.T / np.outer(size, size))[0])

    @property
    def aic(self) -> float:
        return 2.0 * self.n_parameters - 2.0 * self.log_likelihood


def fit_var(
    series: VarSeries,
    spec: VarSpec,
    *,
    start: FloatArray | None = None,
    more_starts: bool = True,
) -> VarFit | Refusal:
    """Full-information maximum likelihood of a random-intercept VAR(1).

    Parameters
    ----------
    start : parameter vector of a fit of a similar model, tried too.
    more_starts : False: only ``start`` is tried.

    Returns
    -------
    VarFit, whose ``problems`` say when it must not be used; or the reason there is none.
    """
    refusal = _check(series, spec)
    if refusal:
        return refusal
    scale = series.within_sd()
    working = series.scores / scale
    layout = layout_of(series, spec)
    data = pack(working)
    x = start if start is not None and not more_starts else _best_start(working, layout, start)
    x, _ = _descend(x, layout, data)
    fit = _Judgement.of(x, layout, data)
    log_likelihood = fit.value - float(series.seen.sum(axis=(0, 1)) @ np.log(scale))
    made = VarFit(
        spec=spec,
        series=series,
        layout=layout,
        x=fit.x,
        x_cov=fit.cov,
        scale=scale,
        log_likelihood=log_likelihood,
        converged=fit.converged,
        gradient=fit.gradient,
        eigenvalue=fit.eigenvalue,
        boundary=_boundary(fit.x, layout, series.names),
        problems=(),
    )
    return replace(made, problems=tuple(_problems(made)))


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


# Refusals and problems


def _check(series: VarSeries, spec: VarSpec) -> Refusal | None:
    if len(spec.occasions) != series.n_series:
        raise ValueError(f"{series.n_series} series but {len(spec.occasions)} occasions")
    if spec.reliability is not None and not all(0.0 < r <= 1.0 for r in spec.reliability):
        raise ValueError("reliabilities must lie above 0 and not above 1")
    needed = MIN_SESSIONS_TREND if spec.random_trend else MIN_SESSIONS
    enough = int((series.sessions_per_client >= needed).sum())
    if enough < MIN_CLIENTS:
        shorter = ", or the dynamic model without random trends (random_trend: false)"
        other = shorter if spec.random_trend else ""
        return Refusal(
            f"fewer than {MIN_CLIENTS} clients (of {series.n_clients}) have all series at {needed} "
            "or more sessions",
            f"Use the multilevel model without lagged outcome{other}.",
        )
    spread = series.within_sd()
    total = np.nanstd(series.scores, axis=(0, 1))
    for name, within, whole in zip(series.names, spread, total, strict=True):
        if not within > 1e-9 * max(float(whole), 1e-300):
            return Refusal(
                f"the series '{name}' never changes within a client",
                "Check that it was measured at every session, not copied from intake.",
            )
    return None


def _boundary(x: FloatArray, layout: VarLayout, names: tuple[str, ...]) -> tuple[str, ...]:
    factor = layout.unpack(x)[4]
    k = len(names)
    labels = [f"{'level' if j < k else 'trend'} of {names[j % k]}" for j in range(len(factor))]
    sd = np.sqrt((factor**2).sum(axis=1))
    residual = np.abs(np.diag(factor))
    return tuple(
        label
        for label, own, whole in zip(labels, residual, sd, strict=True)
        if own < 1e-3 * max(float(whole), 1e-2)
    )


def _problems(fit: VarFit) -> Iterator[str]:
    if not fit.converged:
        yield (
            f"the fit did not converge (gradient {fit.gradient:.1e} standard errors, smallest "
            f"relative curvature {fit.eigenvalue:.1e}). Try a simpler model: no random trends "
            "(random_trend: false), a linear course (trend: linear), or no assumed measurement "
            "error"
        )
    if fit.innovation_share < _LEAST_INNOVATION:
        yield (
            "the estimated process leaves nothing new to happen at a session (share of the "
            f"within-client variance {fit.innovation_share:.0e}), so its coefficients mean "
            "nothing. Assume less measurement error, or fewer series"
        )
    if fit.spectral_radius >= 1.0:
        yield (
            f"the estimated process is not stationary (spectral radius "
            f"{fit.spectral_radius:.2f}): deviations grow instead of fading. Allow random trends "
            "(random_trend: true), "
            "or check for a change that lasts, such as a new scale or a late start of ratings"
        )


# Descent


def objective(x: FloatArray, layout: VarLayout, data: VarData) -> tuple[float, FloatArray]:
    """Minus log-likelihood and its gradient."""
    value, *parts = log_likelihood_and_gradient(
        *layout.unpack(x), *layout.structure.arrays(), *data.arrays()
    )
    if not np.isfinite(value):
        return np.inf, np.zeros_like(x)
    return -value, -layout.gradient(x, parts)


def _descend(x: FloatArray, layout: VarLayout, data: VarData) -> tuple[FloatArray, float]:
    """Descent in coordinates that make the expected information the identity, renewed twice."""
    value = np.inf
    for n_steps in (15, 30, 200):
        root = _whitening(x, layout, data)
        whitened = _in_coordinates(x, root, layout, data)
        y, value = minimise(whitened, np.zeros(x.size), np.full(x.size, -np.inf), 1e-9, n_steps)
        x = x + root @ y
        if np.abs(whitened(y)[1]).max() < 0.1 * _TOLERANCE:
            break
    return x, value


def _in_coordinates(
    origin: FloatArray, root: FloatArray, layout: VarLayout, data: VarData
) -> Criterion:
    """The objective as a function of y where x = origin + root y."""

    def whitened(y: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = objective(origin + root @ y, layout, data)
        return value, root.T @ gradient

    return whitened


def expected_information(x: FloatArray, layout: VarLayout, data: VarData) -> FloatArray:
    """Expected information: exact for means; for the rest as if nothing were missing before a
    client's last session (it only guides the descent)."""
    V, roots = _derivatives(x, layout)
    k, m = layout.structure.n_series, layout.course.shape[1]
    columns = np.kron(layout.course, np.eye(k))
    information = np.zeros((x.size, x.size))
    information[: m * k, : m * k] = columns.T @ mean_information(V, data)[0] @ columns
    reached = np.array([data.n_clients[data.length > t].sum() for t in range(data.n_sessions)])
    cells = np.repeat(reached, k)
    later = np.minimum(cells[:, None], cells[None, :])
    flat = roots.reshape(len(roots), -1)
    information[m * k :, m * k :] = 0.5 * (flat * later.ravel()) @ flat.T
    return information


def _derivatives(x: FloatArray, layout: VarLayout) -> tuple[FloatArray, FloatArray]:
    """V and its derivatives, each multiplied by the inverse root of V from both sides."""
    V = _covariance(x, layout)
    whiten = np.linalg.inv(np.linalg.cholesky(V))
    slopes = []
    for j in range(layout.n_mean, x.size):
        step = np.zeros_like(x)
        step[j] = 1e-5
        slopes.append((_covariance(x + step, layout) - _covariance(x - step, layout)) / 2e-5)
    return V, whiten @ np.array(slopes) @ whiten.T


def _covariance(x: FloatArray, layout: VarLayout) -> FloatArray:
    return covariance(*layout.unpack(x)[1:], *layout.structure.arrays())[0]


def _whitening(x: FloatArray, layout: VarLayout, data: VarData) -> FloatArray:
    """R with ``R R'`` the inverse of the expected information, flat directions held short."""
    information = expected_information(x, layout, data)
    floor = _LEAST_INFORMATION * float(data.n_clients.sum())
    size = np.sqrt(np.maximum(np.diag(information), floor))
    values, vectors = np.linalg.eigh(information / np.outer(size, size))
    return (vectors / np.sqrt(np.maximum(values, 1e-4))) / size[:, None]


# Starts


def _best_start(working: FloatArray, layout: VarLayout, similar: FloatArray | None) -> FloatArray:
    """The best of several descents; with many clients they are tried on some of them."""
    step = max(1, len(working) // CLIENTS_FOR_STARTS)
    data = pack(working[::step])
    starts = [_start(working, layout, data, *guess) for guess in _GUESSES]
    starts += [] if similar is None else [similar]
    possible = [x for x in starts if np.isfinite(objective(x, layout, data)[0])]
    found = [_descend(x, layout, data) for x in possible]
    return min(found, key=lambda pair: pair[1])[0]


def _start(
    working: FloatArray, layout: VarLayout, data: VarData, autoregression: float, share: float
) -> FloatArray:
    """Moments: within and between covariances, the same autoregression for all, no cross-lags."""
    k, q = layout.structure.n_series, layout.structure.n_effects
    within, between = _moments(working)
    error = np.diag(layout.structure.error)
    within = _positive(within - error, 0.05)
    client = np.eye(q) * (0.05**2)
    client[:k, :k] = _positive(share * between, 0.05)
    coefficients = np.zeros((layout.structure.n_phases, k, k))
    coefficients[:] = autoregression * np.eye(k) * layout.free
    structural = (1.0 - autoregression**2) * within * layout.structure.correlated
    factors = [np.linalg.cholesky(matrix) for matrix in (structural, within, client)]
    x = layout.pack(np.zeros((layout.course.shape[1], k)), coefficients, *factors)
    information, score = mean_information(_covariance(x, layout), data)
    columns = np.kron(layout.course, np.eye(k))
    system = columns.T @ information @ columns
    x[: layout.n_mean] = np.linalg.lstsq(system, columns.T @ score, rcond=None)[0]
    return x


def _moments(working: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pooled within-client covariance and covariance of true client means, pairwise complete."""
    counts = (~np.isnan(working)).sum(axis=1)
    means = np.nansum(working, axis=1) / np.where(counts > 0, counts, np.nan)
    deviations = (working - means[:, None, :]).reshape(-1, working.shape[2])
    complete = deviations[~np.isnan(deviations).any(axis=1)]
    n_clients = max(int((counts.min(axis=1) > 0).sum()), 2)
    within = complete.T @ complete / max(len(complete) - n_clients, 1)
    known = means[~np.isnan(means).any(axis=1)]
    typical = max(float(np.median(counts)), 1.0)
    return within, np.atleast_2d(np.cov(known.T)) - within / typical


def _positive(matrix: FloatArray, floor: float) -> FloatArray:
    """The matrix with eigenvalues of at least ``floor``."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    return (vectors * np.maximum(values, floor)) @ vectors.T


# Curvature


@dataclass(frozen=True)
class _Judgement:
    """The end of the descent after a few Newton steps, and what its curvature says."""

    x: FloatArray
    value: float
    cov: FloatArray
    converged: bool
    gradient: float
    eigenvalue: float

    @classmethod
    def of(cls, x: FloatArray, layout: VarLayout, data: VarData) -> _Judgement:
        curvature = _Curvature.at(x, layout, data)
        for _ in range(_NEWTON_ROUNDS):
            before = curvature.size(objective(x, layout, data)[1])
            x = _chord_steps(x, curvature, layout, data)
            after = curvature.size(objective(x, layout, data)[1])
            if after < _TOLERANCE and before < _NEAR and curvature.values.min() > -_FLAT:
                break
            x = _damped_step(x, curvature, layout, data)
            curvature = _Curvature.at(x, layout, data)
        loss, gradient = objective(x, layout, data)
        size, lowest = curvature.size(gradient), float(curvature.values.min())
        flat = int((~curvature.kept).sum()) - _flat_by_boundary(x, layout)
        converged = size < _TOLERANCE and lowest > -_FLAT and flat <= 0
        return cls(x, -loss, curvature.half @ curvature.half.T, converged, size, lowest)


@dataclass(frozen=True)
class _Curvature:
    """Eigenvalues and vectors of the observed information, relative to the expected one."""

    root: FloatArray
    values: FloatArray
    vectors: FloatArray

    @classmethod
    def at(cls, x: FloatArray, layout: VarLayout, data: VarData) -> _Curvature:
        root = _whitening(x, layout, data)
        relative = root.T @ observed_information(x, layout, data, root) @ root
        return cls(root, *np.linalg.eigh(0.5 * (relative + relative.T)))

    @property
    def kept(self) -> NDArray[np.bool_]:
        return self.values > _FLAT

    @property
    def half(self) -> FloatArray:
        """H with ``H H'`` the inverse of the observed information, flat directions left out."""
        return (self.root @ self.vectors[:, self.kept]) / np.sqrt(self.values[self.kept])

    def size(self, gradient: FloatArray) -> float:
        """Largest entry of the gradient, in standard errors."""
        return float(np.abs(self.half.T @ gradient).max())


def _chord_steps(
    x: FloatArray, curvature: _Curvature, layout: VarLayout, data: VarData
) -> FloatArray:
    """Newton steps with one curvature, as long as the gradient shrinks."""
    half = curvature.half
    gradient = objective(x, layout, data)[1]
    for _ in range(_NEWTON_STEPS):
        moved = x - half @ (half.T @ gradient)
        slope = objective(moved, layout, data)[1]
        if not curvature.size(slope) < curvature.size(gradient) or not slope.any():
            break
        x, gradient = moved, slope
    return x


def _damped_step(
    x: FloatArray, curvature: _Curvature, layout: VarLayout, data: VarData
) -> FloatArray:
    """A step that lowers the criterion whatever the signs of the curvature."""
    loss, gradient = objective(x, layout, data)
    along = curvature.vectors.T @ (curvature.root.T @ gradient)
    step = -along / np.maximum(np.abs(curvature.values), 1e-3)
    if curvature.values[0] < -_FLAT:  # leave a saddle
        step[0] += -1.0 if along[0] > 0 else 1.0
    direction = curvature.root @ (curvature.vectors @ step)
    for length in 0.5 ** np.arange(20):
        if objective(x + length * direction, layout, data)[0] < loss:
            return x + length * direction
    return x


def _flat_by_boundary(x: FloatArray, layout: VarLayout) -> int:
    """Directions that are flat because a client effect has no variance."""
    factor = layout.unpack(x)[4]
    zero = np.abs(np.diag(factor)) < 1e-3
    return int(sum(len(factor) - j for j in np.flatnonzero(zero)))


def observed_information(
    x: FloatArray, layout: VarLayout, data: VarData, root: FloatArray | None = None
) -> FloatArray:
    """Minus second derivatives of the log-likelihood.

    Those by the means are exact; the others are central differences of the gradient, with steps of
    a thousandth of a standard error.
    """
    m = layout.n_mean
    columns = np.kron(layout.course, np.eye(layout.structure.n_series))
    information = np.zeros((x.size, x.size))
    means = mean_information(_covariance(x, layout), data)[0]
    information[:m, :m] = columns.T @ means @ columns
    root = _whitening(x, layout, data) if root is None else root
    steps = _STEP * np.sqrt((root**2).sum(axis=1))
    for j in range(m, x.size):
        step = np.zeros_like(x)
        step[j] = steps[j]
        ahead, behind = (objective(x + s, layout, data)[1] for s in (step, -step))
        information[:, j] = (ahead - behind) / (2.0 * steps[j])
    information[m:, :m] = information[:m, m:].T
    lower = information[m:, m:]
    information[m:, m:] = 0.5 * (lower + lower.T)
    return information


# Tests and bootstrap


@dataclass(frozen=True)
class LikelihoodRatio:
    """Twice the gain in log-likelihood of the larger model. ``p`` refers to chi-squared(df)."""

    chi2: float
    df: int
    p: float


def likelihood_ratio(larger: VarFit, smaller: VarFit) -> LikelihoodRatio:
    """Compare nested fits of the same scores."""
    chi2 = max(2.0 * (larger.log_likelihood - smaller.log_likelihood), 0.0)
    df = larger.n_parameters - smaller.n_parameters
    if df <= 0:
        raise ValueError("the first model must have more parameters than the second")
    return LikelihoodRatio(chi2, df, float(stats.chi2.sf(chi2, df)))


def without(fit: VarFit, cells: Sequence[tuple[int, int]]) -> VarFit | Refusal:
    """The fit with some coefficients (target, source) held at zero."""
    spec = replace(fit.spec, zero=tuple(dict.fromkeys([*fit.spec.zero, *cells])))
    layout = layout_of(fit.series, spec)
    _, coefficients, *factors = fit.parts
    course = fit.x[: fit.layout.n_mean].reshape(-1, fit.series.n_series)
    start = layout.pack(course, coefficients, *factors)
    return fit_var(fit.series, spec, start=start, more_starts=False)


@dataclass(frozen=True)
class VarBootstrap:
    """Coefficients of refits to resampled clients or therapists.

    Attributes
    ----------
    coefficients : (n_replications, phases, k, k), raw units; only of fits that converged.
    n_failed : replications without a usable fit.
    """

    coefficients: FloatArray
    n_failed: int

    @property
    def se(self) -> FloatArray:
        return self.coefficients.std(axis=0, ddof=1)


def bootstrap(
    fit: VarFit, n_replications: int, seed: int, *, by_cluster: bool = False
) -> VarBootstrap:
    """Case bootstrap of whole clients, or of therapists with all their clients.

    Raises
    ------
    ValueError
        If therapists are asked for and the series know none.
    """
    rng = np.random.default_rng(seed)
    groups = fit.series.cluster if by_cluster else np.arange(fit.series.n_clients)
    if groups is None:
        raise ValueError("the series know no therapists")
    members = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    found, failed = [], 0
    for _ in range(n_replications):
        drawn = rng.integers(0, len(members), len(members))
        sample = fit.series.take(np.concatenate([members[g] for g in drawn]))
        refit = _refit(fit, sample)
        if refit is None:
            failed += 1
        else:
            found.append(refit)
    shape = (0, *fit.coefficients.shape)
    return VarBootstrap(np.array(found) if found else np.zeros(shape), failed)


def _refit(fit: VarFit, sample: VarSeries) -> FloatArray | None:
    """Coefficients of the same model for another sample in the units of the first one."""
    if _check(sample, fit.spec):
        return None
    data = pack(sample.scores / fit.scale)
    x, _ = _descend(fit.x, fit.layout, data)
    root = _whitening(x, fit.layout, data)
    size = np.abs(root.T @ objective(x, fit.layout, data)[1]).max()
    return fit.raw_coefficients(x) if size < _NEAR else None
