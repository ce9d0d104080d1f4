"""A second estimator of one lagged effect: maximum likelihood with a predetermined predictor.

The model (``likelihood.predetermined``; as the R package ``dpm``) has an equation for one series
only and leaves everything else free: clients' effects may go along with the other series in any
way, error variances differ between sessions, and symptoms may change the later alliance in any way.
It needs no assumption about how the alliance comes about, and pays with parameters that grow with
the square of the number of sessions. All observed scores enter (missing at random).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from alliance.estimation.dynamics import VarFit, fit_var
from alliance.estimation.dynamics_layout import VarSpec
from alliance.estimation.dynamics_series import VarSeries
from alliance.estimation.refusal import Refusal
from alliance.likelihood.descent import minimise
from alliance.likelihood.predetermined import (
    PanelLikelihood,
    PanelStructure,
    panel_likelihood,
    whitened_slopes,
)
from alliance.likelihood.random_intercept_var import covariance
from alliance.likelihood.var_data import VarData, pack

FloatArray = NDArray[np.float64]

MAX_SESSIONS = 10
CLIENTS_PER_CELL = 3
MIN_SESSIONS = 3
_ROUNDS = 8
_STEPS = 40
_TOLERANCE = 1e-4  # of the gradient, in standard errors
_STEP = 0.3  # of the profile, in standard errors
_LEAST_VARIANCE = 1e-3
_LARGEST_LOG = 20.0


@dataclass(frozen=True)
class PanelFit:
    """One equation, fitted.

    Attributes
    ----------
    coefficients, se : (k,) of the latest value of every series on the target, raw units; the entry
        of the target is its autoregression. Standard errors are from the observed information.
    log_likelihood : of the raw scores used. n_parameters : free parameters.
    n_sessions : leading sessions that were used.
    gradient : largest entry of the gradient, in standard errors.
    """

    target: int
    coefficients: FloatArray
    se: FloatArray
    log_likelihood: float
    n_parameters: int
    n_sessions: int
    n_obs: int
    n_clients: int
    gradient: float

    @property
    def converged(self) -> bool:
        return self.gradient < _TOLERANCE and bool(np.isfinite(self.se).all())

    @property
    def half_width(self) -> FloatArray:
        """(k,) half widths of 95 % Wald intervals."""
        return float(stats.norm.ppf(0.975)) * self.se

    @property
    def p(self) -> FloatArray:
        """(k,) two-sided Wald p values."""
        return 2.0 * stats.norm.sf(np.abs(self.coefficients / self.se))


def fit_ml_sem(
    series: VarSeries, spec: VarSpec, target: int, max_sessions: int = MAX_SESSIONS
) -> PanelFit | Refusal:
    """Maximum likelihood of the equation of one series, the others predetermined.

    Parameters
    ----------
    spec : gives the order of measurement; session means are free, clients' trends and measurement
        error are not modelled.
    max_sessions : leading sessions used at most; fewer where few clients remain.
    """
    series = _from_first_complete(series)
    window = _window(series, max_sessions)
    if window < MIN_SESSIONS:
        return Refusal(
            f"sessions 1 to {MIN_SESSIONS} are needed with at least {CLIENTS_PER_CELL} clients for "
            f"each score up to them; there are so many up to {_reached(window)}",
            "Use the random-intercept VAR, which has fewer parameters.",
        )
    used = _first_sessions(series, window)
    plain = replace(spec, random_trend=False, reliability=None, phase_from=None, zero=())
    start = fit_var(used, replace(plain, trend="session_effects"))
    if isinstance(start, Refusal):
        return start
    same = start.layout.structure.same_session[target]
    structure = PanelStructure(series.n_series, window, target, same)
    problem = _Problem.of(used, structure, start.scale)
    x = problem.descend(problem.start(start), np.ones(problem.size, dtype=bool))
    return _judged(problem, x, used)


def _reached(window: int) -> str:
    return f"session {window}" if window else "no session"


def _from_first_complete(series: VarSeries) -> VarSeries:
    """Without leading sessions at which hardly anybody has all scores, such as an intake.

    The first session is left free in any case, so that the others are modelled as before.
    """
    complete = series.seen.all(axis=2).sum(axis=0) >= CLIENTS_PER_CELL * series.n_series
    first = int(np.argmax(complete))
    if first == 0:
        return series
    later = replace(series, scores=series.scores[:, first:])
    moved = _first_sessions(later, later.n_sessions)
    return replace(moved, first_session=series.first_session + first)


def _window(series: VarSeries, max_sessions: int) -> int:
    """Leading sessions at which there are enough clients for a free covariance of all scores."""
    complete = series.seen.all(axis=2).sum(axis=0)
    needed = CLIENTS_PER_CELL * series.n_series * np.arange(1, series.n_sessions + 1)
    enough = complete >= needed
    leading = series.n_sessions if enough.all() else int(np.argmin(enough))
    return min(leading, max_sessions)


def _first_sessions(series: VarSeries, window: int) -> VarSeries:
    scores = series.scores[:, :window]
    kept = ~np.isnan(scores).all(axis=(1, 2))
    ids = tuple(name for name, keep in zip(series.client_ids, kept, strict=True) if keep)
    return VarSeries(scores[kept], series.names, ids, series.first_session)


# The unrestricted vector: means, coefficients, factor (logs of the diagonal, except the client's)


@dataclass(frozen=True)
class _Problem:
    """The likelihood as a function of one vector, in pooled within-client SDs."""

    structure: PanelStructure
    data: VarData
    scale: FloatArray
    n_clients: int

    @classmethod
    def of(cls, series: VarSeries, structure: PanelStructure, scale: FloatArray) -> _Problem:
        flat = (series.scores / scale).reshape(series.n_clients, -1)
        used = np.full_like(flat, np.nan)
        used[:, structure.cells] = flat[:, structure.cells]
        used = used[~np.isnan(used).all(axis=1)]
        shaped = used.reshape(len(used), structure.n_sessions, structure.n_series)
        return cls(structure, pack(shaped), scale, len(used))

    @property
    def n_means(self) -> int:
        return len(self.structure.cells)

    @property
    def coefficients(self) -> slice:
        return slice(self.n_means, self.n_means + self.structure.n_series)

    @property
    def size(self) -> int:
        return self.coefficients.stop + len(self.structure.factor_cells[0])

    @cached_property
    def logs(self) -> NDArray[np.bool_]:
        rows, columns = self.structure.factor_cells
        found = np.zeros(self.size, dtype=bool)
        found[self.coefficients.stop :] = (rows == columns) & (rows > 0)
        return found

    def unpack(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        values = x.copy()
        values[self.logs] = np.exp(np.minimum(x[self.logs], _LARGEST_LOG))
        factor = np.zeros((self.n_means + 1, self.n_means + 1))
        factor[self.structure.factor_cells] = values[self.coefficients.stop :]
        return values[: self.n_means], values[self.coefficients], factor

    def likelihood(self, x: FloatArray) -> PanelLikelihood:
        return panel_likelihood(self.structure, *self.unpack(x), self.data)

    def objective(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Minus log-likelihood and its gradient."""
        found = self.likelihood(x)
        if not np.isfinite(found.value):
            return np.inf, np.zeros_like(x)
        cells = found.by_factor[self.structure.factor_cells]
        gradient = np.concatenate([found.by_mean, found.by_coefficients, cells])
        gradient[self.logs] *= np.exp(np.minimum(x[self.logs], _LARGEST_LOG))
        return -found.value, -gradient

    def start(self, fit: VarFit) -> FloatArray:
        """The vector that a random-intercept VAR stands for."""
        structure = self.structure
        _, B, *factors = fit.parts
        own = B[0, structure.target]
        V, _ = covariance(*fit.parts[1:], *fit.layout.structure.arrays())
        between = factors[2] @ factors[2].T
        weights = np.eye(structure.n_series)[structure.target] - own
        effect = np.tile(weights @ between, structure.n_sessions)[structure.cells]
        d = self.n_means
        joint = np.empty((d + 1, d + 1))
        joint[0, 0] = weights @ between @ weights
        joint[0, 1:] = joint[1:, 0] = effect
        joint[1:, 1:] = V[np.ix_(structure.cells, structure.cells)]
        back = np.eye(d + 1)
        back[1:, 0] = -structure.is_error[1:].astype(float)
        back[1:, 1:] -= structure.paths(own)
        shocks = back @ joint @ back.T
        shocks[0, 0] += _LEAST_VARIANCE
        factor = np.linalg.cholesky(shocks)
        mean = fit.parts[0].ravel()[structure.cells]
        x = np.concatenate([mean, own, factor[structure.factor_cells]])
        x[self.logs] = np.log(x[self.logs])
        return x

    def whitening(self, x: FloatArray, free: NDArray[np.bool_]) -> FloatArray:
        """R (size, free) with ``R R'`` the inverse of the expected information of free entries."""
        m = self.n_means
        _, coefficients, factor = self.unpack(x)
        slopes = whitened_slopes(self.structure, coefficients, factor)
        slopes[self.logs[m:]] *= np.exp(x[m:][self.logs[m:]])[:, None, None]
        flat = slopes.reshape(len(slopes), -1)
        cells = self._clients_reaching()
        weights = np.minimum(cells[:, None], cells[None, :]).ravel()
        information = np.zeros((self.size, self.size))
        information[:m, :m] = self.likelihood(x).information
        information[m:, m:] = 0.5 * (flat * weights) @ flat.T
        information = information[np.ix_(free, free)]
        size = np.sqrt(np.maximum(np.diag(information), 1e-2 * self.n_clients))
        values, vectors = np.linalg.eigh(information / np.outer(size, size))
        root = np.zeros((self.size, int(free.sum())))
        root[free] = (vectors / np.sqrt(np.maximum(values, 1e-4))) / size[:, None]
        return root

    def _clients_reaching(self) -> FloatArray:
        """(d,) clients in treatment at the session of each cell."""
        data, k = self.data, self.structure.n_series
        reached = np.array([data.n_clients[data.length > t].sum() for t in range(data.n_sessions)])
        return reached[self.structure.cells // k]

    def descend(self, x: FloatArray, free: NDArray[np.bool_]) -> FloatArray:
        """Minimum over the free entries, in coordinates that make the information the identity."""
        for _ in range(_ROUNDS):
            root = self.whitening(x, free)

            def whitened(
                y: FloatArray, origin: FloatArray = x, root: FloatArray = root
            ) -> tuple[float, FloatArray]:
                value, gradient = self.objective(origin + root @ y)
                return value, root.T @ gradient

            n = root.shape[1]
            start, lower = np.zeros(n), np.full(n, -np.inf)
            y, _ = minimise(whitened, start, lower, 1e-9, _STEPS, np.eye(n))
            x = x + root @ y
            if np.abs(whitened(y)[1]).max() < 0.1 * _TOLERANCE:
                break
        return x


def _judged(problem: _Problem, x: FloatArray, used: VarSeries) -> PanelFit:
    """Standard errors from the curvature of the profile likelihood of the coefficients."""
    everything = np.ones(problem.size, dtype=bool)
    root = problem.whitening(x, everything)
    loss, gradient = problem.objective(x)
    cov = _profile_covariance(problem, x, root @ root.T)
    scale, target = problem.scale, problem.structure.target
    counts = problem.data.scores_per_client * problem.data.n_clients
    cells = problem.structure.cells % problem.structure.n_series
    flat = used.seen.reshape(used.n_clients, -1)[:, problem.structure.cells].sum(axis=0)
    ratio = scale[target] / scale
    with np.errstate(invalid="ignore"):
        se = np.sqrt(np.diag(cov)) * ratio
    return PanelFit(
        target=target,
        coefficients=x[problem.coefficients] * ratio,
        se=se,
        log_likelihood=-loss - float(flat @ np.log(scale[cells])),
        n_parameters=problem.size,
        n_sessions=problem.structure.n_sessions,
        n_obs=int(counts.sum()),
        n_clients=problem.n_clients,
        gradient=float(np.abs(root.T @ gradient).max()),
    )


def _profile_covariance(problem: _Problem, x: FloatArray, expected: FloatArray) -> FloatArray:
    """(k, k) inverse curvature of the likelihood with everything else at its best.

    Each coefficient is moved by a fraction of its standard error to either side; the others are
    held, the rest is fitted again.
    """
    where = np.arange(problem.size)[problem.coefficients]
    rest = np.ones(problem.size, dtype=bool)
    rest[where] = False
    profile = np.empty((len(where), len(where)))
    # given the coefficients, how the rest moves with each of them
    among = expected[np.ix_(rest, where)] @ np.linalg.inv(expected[np.ix_(where, where)])
    for j, place in enumerate(where):
        size = _STEP * np.sqrt(expected[place, place])
        slopes = []
        for step in (size, -size):
            moved = x.copy()
            moved[place] += step
            moved[rest] += among[:, j] * step
            moved = problem.descend(moved, rest)
            slopes.append(problem.objective(moved)[1][where])
        profile[:, j] = (slopes[0] - slopes[1]) / (2.0 * size)
    return np.linalg.inv(0.5 * (profile + profile.T))
