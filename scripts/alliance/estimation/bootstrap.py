"""Bootstrap of multilevel models: of whole clients or therapists, or from the fitted model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError

from alliance.estimation.design import ModelDesign
from alliance.estimation.reml import LmmFit, fit_lmm
from alliance.estimation.solving import residual_sd, semidefinite_factor, solve_from
from alliance.likelihood.profiled import ProfiledModel, prepare
from alliance.likelihood.statistics import take_groups

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Bootstrap:
    """Replicates of a cluster bootstrap; rows of failed refits are left out and counted."""

    beta: FloatArray
    sd: FloatArray
    sigma: FloatArray
    failed: int
    unit: str

    def se(self) -> FloatArray:
        return np.std(self.beta, axis=0, ddof=1)

    def interval(self, level: float = 0.95) -> FloatArray:
        """(2, p) percentile limits."""
        tail = (1 - level) / 2
        return np.quantile(self.beta, [tail, 1 - tail], axis=0)


def cluster_bootstrap(
    fit: LmmFit, design: ModelDesign, unit: str = "client", replicates: int = 999, seed: int = 1
) -> Bootstrap:
    """Refit on samples of whole clients or whole therapists, drawn with replacement.

    Parameters
    ----------
    unit : ``client`` or ``therapist``; therapists also work for a two-level model whose frame
        knows them (methods 1.8). Residuals with a structure keep the
        estimated one. Replicate b uses the random stream ``(seed, b)``.
    """
    if fit.statistics is None or fit.solution is None or fit.scale is None:
        raise ValueError("a within-only fit cannot be bootstrapped; its errors are robust already")
    members = _members(design, unit)
    results, failed = [], 0
    for b in range(replicates):
        rng = np.random.default_rng([seed, b])
        drawn = rng.integers(len(members), size=len(members))
        clients = np.concatenate([members[k] for k in drawn])
        copies = np.repeat(np.arange(len(drawn)), [len(members[k]) for k in drawn])
        if unit == "client":
            copies = np.zeros(len(clients), dtype=np.int64)
        sample = take_groups(fit.statistics, clients, copies.astype(np.int64))
        try:
            results.append(_refit(fit, prepare(sample)))
        except LinAlgError:
            failed += 1
    if not results:
        raise ValueError("every refit failed: too few groups for a bootstrap")
    stacked = np.array(results)
    p, q = len(fit.beta), len(fit.random_names)
    return Bootstrap(stacked[:, :p], stacked[:, p : p + q], stacked[:, -1], failed, unit)


def parametric_bootstrap(
    fit: LmmFit, design: ModelDesign, replicates: int = 200, seed: int = 1
) -> dict[str, FloatArray]:
    """SDs refitted to outcomes drawn from the fitted model.

    For intervals of variance parameters where the profile likelihood gives none. Replicate b uses
    the random stream ``(seed, b)``; refits that fail are left out.

    Returns
    -------
    ``sd_<effect>``, ``sd_residual`` (and ``sd_therapist``) -> (replicates,) values.

    Raises
    ------
    ValueError
        For a within-only fit or residuals with a structure.
    """
    if fit.solution is None or fit.residuals is not None:
        raise ValueError("only models with random effects and independent residuals are drawn from")
    criterion = "REML" if fit.reml else "ML"
    found: list[dict[str, float]] = []
    for b in range(replicates):
        y = _drawn_outcome(fit, design, np.random.default_rng([seed, b]))
        again = fit_lmm(replace(design, y=y), criterion, n_starts=1)
        if isinstance(again, LmmFit):
            sds = {f"sd_{name}": again.sd(name) for name in again.random_names}
            if again.therapist_cov.size:
                sds["sd_therapist"] = float(np.sqrt(again.therapist_cov[0, 0]))
            found.append(sds | {"sd_residual": again.sigma})
    return {term: np.array([one[term] for one in found]) for term in (found[0] if found else {})}


def _drawn_outcome(fit: LmmFit, design: ModelDesign, rng: np.random.Generator) -> FloatArray:
    """One outcome per row from the fitted model."""
    b = rng.normal(size=(design.n_clients, len(fit.client_cov)))
    y = design.X @ fit.beta + fit.sigma * rng.normal(size=design.n_obs)
    effects = b @ semidefinite_factor(fit.client_cov).T
    y += np.einsum("ij,ij->i", design.X[:, design.client_columns], effects[design.client])
    if design.therapist is not None:
        a = rng.normal(size=(design.n_therapists, len(fit.therapist_cov)))
        upper = a @ semidefinite_factor(fit.therapist_cov).T
        y += np.einsum("ij,ij->i", design.X[:, design.therapist_columns], upper[design.therapist])
    return y


def _members(design: ModelDesign, unit: str) -> list[IntArray]:
    """Positions (in the order of the statistics) of the clients of each group."""
    owner = design.therapist_of_client
    if unit == "client":
        return [np.array([k]) for k in range(design.n_clients)]
    if unit != "therapist" or owner is None:
        raise ValueError("unit must be 'client', or 'therapist' where therapists are known")
    ordered = np.sort(owner) if design.therapist is not None else owner
    return [np.flatnonzero(ordered == code) for code in range(int(owner.max()) + 1)]


def _refit(fit: LmmFit, model: ProfiledModel) -> FloatArray:
    assert fit.solution is not None
    assert fit.scale is not None
    theta = fit.solution.theta[: model.n_theta]  # the structure of residuals is not estimated anew
    start = np.where(model.diagonal(), np.maximum(theta, 0.05), theta)
    theta, at = solve_from(model, start, fit.reml)
    stretch = fit.scale.size / fit.scale.columns
    beta = at.beta * stretch
    if fit.scale.centre:
        beta[fit.names.index("intercept")] += fit.scale.centre
    sigma = residual_sd(at, model, fit.reml)
    inner, _ = model.factors(theta)
    sd = sigma * np.sqrt(np.einsum("ij,ij->i", inner, inner)) * stretch[model.client_columns]
    return np.concatenate([beta, sd, [sigma * fit.scale.size]])
