"""Maximum likelihood of the random-intercept VAR(1): what one session does to the next.

The model and its likelihood are in :mod:`alliance.likelihood.random_intercept_var`. Here scores
are put in pooled within-client SDs, the parameters in one unrestricted vector (logs of the diagonal
of the factors of innovations and of the first session; plain factors of the client effects, so that
a variance of zero is a point inside the space), and the descent runs in coordinates in which the
expected information is the identity. Standard errors are from the observed information.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from alliance.estimation.dynamics_descent import Judgement, best_start, descend
from alliance.estimation.dynamics_layout import VarLayout, VarSpec, layout_of, spectral_radius
from alliance.estimation.dynamics_series import VarSeries
from alliance.estimation.refusal import Refusal
from alliance.likelihood.random_intercept_var import covariance
from alliance.likelihood.var_data import pack

FloatArray = NDArray[np.float64]

MIN_CLIENTS = 10
MIN_SESSIONS = 3
MIN_SESSIONS_TREND = 5
_LEAST_INNOVATION = 1e-2


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
    refusal = refusal_of(series, spec)
    if refusal:
        return refusal
    scale = series.within_sd()
    working = series.scores / scale
    layout = layout_of(series, spec)
    data = pack(working)
    x = start if start is not None and not more_starts else best_start(working, layout, start)
    x, _ = descend(x, layout, data)
    fit = Judgement.of(x, layout, data)
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


# Refusals and problems


def refusal_of(series: VarSeries, spec: VarSpec) -> Refusal | None:
    """Why these series are too few or too short for the model; None where they are not."""
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
            f"fewer than {MIN_CLIENTS} clients have all series at {needed} or more sessions",
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
