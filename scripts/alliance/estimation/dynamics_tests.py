"""Likelihood-ratio tests of dynamic models, and the bootstrap of whole clients or therapists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from alliance.estimation.dynamics import VarFit, fit_var, refusal_of
from alliance.estimation.dynamics_descent import NEAR, Judgement, descend, objective, whitening
from alliance.estimation.dynamics_layout import layout_of
from alliance.estimation.dynamics_series import VarSeries
from alliance.estimation.refusal import Refusal
from alliance.likelihood.var_data import pack

FloatArray = NDArray[np.float64]


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
    """The fit with some coefficients (target, source) held at zero.

    Begun at the larger model's estimates, and afresh where that does not converge: with a variance
    near zero the way there can be a dead end.
    """
    spec = replace(fit.spec, zero=tuple(dict.fromkeys([*fit.spec.zero, *cells])))
    layout = layout_of(fit.series, spec)
    _, coefficients, *factors = fit.parts
    course = fit.x[: fit.layout.n_mean].reshape(-1, fit.series.n_series)
    start = layout.pack(course, coefficients, *factors)
    smaller = fit_var(fit.series, spec, start=start, more_starts=False)
    if isinstance(smaller, Refusal) or smaller.converged:
        return smaller
    return fit_var(fit.series, spec)


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
    if refusal_of(sample, fit.spec):
        return None
    data = pack(sample.scores / fit.scale)
    x, _ = descend(fit.x, fit.layout, data)
    root = whitening(x, fit.layout, data)
    if np.abs(root.T @ objective(x, fit.layout, data)[1]).max() < NEAR:
        return fit.raw_coefficients(x)
    ended = Judgement.of(x, fit.layout, data)  # near a variance of zero the descent stops short
    return fit.raw_coefficients(ended.x) if ended.converged else None
