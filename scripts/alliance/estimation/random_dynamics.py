"""Random dynamics: how much the lagged effects differ between clients, sampled by NUTS.

Every client has cross-lags, autoregressions and innovation variances of their own, drawn from a
normal distribution over clients (logs for variances), beside levels and, if asked for, trends.
The sampler draws coefficients and log SDs of clients as standard normal deviations; levels and
trends, which are normal given these, are integrated out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import nutpie
import pymc as pm
import pytensor.tensor as pt
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from alliance.estimation.diagnostics import DRAFT, REPORT, Diagnostics, diagnose, parameter_words
from alliance.estimation.dynamics import VarFit
from alliance.estimation.dynamics_bayes import (
    VarPriors,
    covariance_priors,
    filled_units,
    partial_correlation_priors,
    sampled_around,
)
from alliance.estimation.dynamics_effects import own_ratios
from alliance.estimation.dynamics_maker import term_name
from alliance.estimation.effort import Effort, EffortName
from alliance.estimation.random_dynamics_op import RandomDynamicsLogLikelihood, shared_data
from alliance.estimation.refusal import Refusal
from alliance.likelihood.random_dynamics import with_gaps

FloatArray = NDArray[np.float64]

MIN_CLIENTS = 30
MIN_SESSIONS = 5
OUTCOME = "outcome"
TARGET_ACCEPT = 0.9
# SDs between clients mix slowly: more draws than the models with client effects integrated out.
EFFORTS: Mapping[str, Effort] = {
    "draft": Effort(2, 1000, 500, DRAFT),
    "standard": Effort(4, 2000, 1000, REPORT),
    "final": Effort(4, 5000, 2000, REPORT),
}


@dataclass(frozen=True)
class RandomDynamicsPriors:
    """Priors in pooled within-client SDs.

    Attributes
    ----------
    fixed : those of the model without random dynamics.
    coefficient_sd : scale of the half-normal priors of the SDs between clients of coefficients.
    log_sd : scale of the half-normal priors of the SDs between clients of log innovation SDs.
    """

    fixed: VarPriors = field(default_factory=VarPriors)
    coefficient_sd: float = 0.15
    log_sd: float = 0.4


@dataclass(frozen=True)
class RandomDynamicsFit:
    """A sampled posterior.

    Attributes
    ----------
    tree : group ``posterior`` with ``estimate`` by ``term`` (coefficients in raw units, shares in
        per cent) and the parameters over clients in units of fitting; ``sample_stats``.
    base : the maximum-likelihood fit without random dynamics.
    n_ratio : clients with SDs of their own in the person-specific standardisation, per cross-lag.
    """

    tree: xr.DataTree
    base: VarFit
    priors: RandomDynamicsPriors
    diagnostics: Diagnostics
    effort: str
    seed: int
    n_ratio: Mapping[str, int]

    def draws(self, term: str) -> FloatArray:
        """(chains, draws) of a reported quantity."""
        return self.tree["posterior"]["estimate"].sel(term=term).to_numpy()


def fit_random_dynamics(
    fit: VarFit | Refusal,
    priors: RandomDynamicsPriors | None = None,
    effort: EffortName = "standard",
    *,
    seed: int,
    cores: int = 2,
) -> RandomDynamicsFit | Refusal:
    """Sample the model with random dynamics.

    Parameters
    ----------
    fit : maximum likelihood of the same model without them; gives scores, layout and start. A
        refusal is passed on.

    Raises
    ------
    ValueError
        If the model has phases, assumed measurement error or coefficients held at zero.
    """
    if isinstance(fit, Refusal):
        return fit
    if fit.layout.structure.n_phases > 1 or fit.layout.structure.error.any() or fit.spec.zero:
        raise ValueError("random dynamics: one phase, no assumed error and free coefficients")
    base = _rated_clients(fit)
    enough = int((base.series.sessions_per_client >= MIN_SESSIONS).sum())
    if enough < MIN_CLIENTS:
        return Refusal(
            f"fewer than {MIN_CLIENTS} clients have all series at {MIN_SESSIONS} or more sessions, "
            "which is what it takes to say how effects differ between clients",
            "Report the mean effect of the random-intercept VAR.",
        )
    given = priors or RandomDynamicsPriors()
    length = EFFORTS[effort]
    trace = nutpie.sample(
        nutpie.compile_pymc_model(build_model(base, given)),
        draws=length.draws,
        tune=length.tune,
        chains=length.chains,
        cores=min(cores, length.chains),
        seed=seed,
        save_warmup=False,
        progress_bar=False,
        target_accept=TARGET_ACCEPT,
    )
    return _summarised(trace, base, given, effort, seed)


def _rated_clients(fit: VarFit) -> VarFit:
    """The fit with the series of clients who have at least one score of every series."""
    kept = np.flatnonzero(fit.series.seen.any(axis=1).all(axis=1))
    return replace(fit, series=fit.series.take(kept))


# The model


def build_model(fit: VarFit, priors: RandomDynamicsPriors) -> pm.Model:
    """The PyMC model; scores and clients' dynamics are one operation."""
    s, fixed = fit.layout.structure, priors.fixed
    n, k, q = fit.series.n_clients, s.n_series, s.n_effects
    data = with_gaps(fit.series.scores / fit.scale)
    with pm.Model() as model:
        own = np.eye(k, dtype=bool)
        center = np.where(own, fixed.autoregression[0], 0.0)
        spread = np.where(own, fixed.autoregression[1], fixed.cross_lag)
        coefficients = pm.Normal("coefficients", center, spread, initval=fit.parts[1][0])
        # an SD may change its sign with the deviations: zero is a point inside, not a far corner
        signed = pm.Normal("signed_coefficients", 0.0, priors.coefficient_sd, shape=k * k)
        unit_c = partial_correlation_priors("coefficients", going_together(k), fixed.correlation)
        z_coefficients = pm.Normal("z_coefficients", 0.0, 1.0, shape=(n, k * k))
        eta, factors = fixed.correlation, fit.parts[2:5]
        innovation = np.full(k, fixed.innovation)
        sd_i, unit_i = covariance_priors("innovation", innovation, s.correlated, eta, factors[0])
        sd_log = pm.HalfNormal("sd_log", priors.log_sd, shape=k)
        z_log = pm.Normal("z_log", 0.0, 1.0, shape=(n, k))
        scales = np.repeat([fixed.level, fixed.trend], k)[:q]
        sd_u, unit_u = covariance_priors("client", scales, np.ones((q, q)), eta, factors[2])
        mean = pm.Deterministic("mean", sampled_around(fit, 0, "mean").reshape((-1, k)))
        around = pm.Normal.dist(np.zeros(1), np.array([fixed.mean]))
        pm.Potential("prior_mean", pm.logp(around, mean.ravel()).sum())
        first = np.full(k, fixed.first)
        sd_f, unit_f = covariance_priors("first", first, np.ones((k, k)), eta, factors[1])
        gaps = data.client.size
        added = pm.Flat("added", shape=gaps) if gaps else pt.zeros(0)
        parameters = (
            mean, coefficients, signed, unit_c, z_coefficients, sd_i, unit_i, sd_log, z_log,
            sd_u, unit_u, sd_f, unit_f, added,
        )  # fmt: skip
        known = shared_data(s, fit.layout.course, data)
        pm.Potential("log_likelihood", RandomDynamicsLogLikelihood()(*parameters, *known)[0])
    return model


def going_together(k: int) -> FloatArray:
    """(k k, k k), 1.0 for coefficients that may correlate between clients.

    The two cross-lags of a pair of series may; the others, whose correlations short series hardly
    inform, are independent between clients.
    """
    places = [(target, source) for target in range(k) for source in range(k)]
    return np.array([[float(a in (b, b[::-1])) for b in places] for a in places])


# Draws

OVER_CLIENTS = (
    "mean", "coefficients", "sd_coefficients", "unit_coefficients", "sd_innovation",
    "unit_innovation", "sd_log", "sd_client", "unit_client", "sd_first", "unit_first",
)  # fmt: skip


def _summarised(
    trace: xr.DataTree, fit: VarFit, priors: RandomDynamicsPriors, effort: EffortName, seed: int
) -> RandomDynamicsFit:
    posterior = _with_positive_sds(trace["posterior"].to_dataset())
    estimate, n_ratio = _estimates(fit, posterior)
    sampling = trace["sample_stats"].to_dataset()[["diverging", "energy", "n_steps"]]
    kept = {name: posterior[name].to_numpy() for name in OVER_CLIENTS if name in posterior}
    scalars = {
        parameter_words(name, i): values.reshape(*values.shape[:2], -1)[..., i]
        for name, values in kept.items()
        for i in range(int(np.prod(values.shape[2:])))
    }
    diagnostics = diagnose(scalars | estimate, sampling, EFFORTS[effort].limits)
    base = {"chain": posterior["chain"].to_numpy(), "draw": posterior["draw"].to_numpy()}
    variables = {
        name: (["chain", "draw", *(f"{name}_{i}" for i in range(values.ndim - 2))], values)
        for name, values in kept.items()
    }
    variables["estimate"] = (["chain", "draw", "term"], np.stack(list(estimate.values()), -1))
    groups = {
        "posterior": xr.Dataset(variables, base | {"term": list(estimate)}),
        "sample_stats": xr.Dataset(
            {str(k): (("chain", "draw"), v.to_numpy()) for k, v in sampling.data_vars.items()}, base
        ),
    }
    tree = xr.DataTree.from_dict(groups)
    return RandomDynamicsFit(tree, fit, priors, diagnostics, effort, seed, n_ratio)


def _with_positive_sds(posterior: xr.Dataset) -> xr.Dataset:
    """SDs of coefficients without their signs, which go to deviations and correlations."""
    signed = posterior["signed_coefficients"].to_numpy()
    sign = np.where(signed < 0, -1.0, 1.0)
    dims = ("chain", "draw")
    names = {"sd_coefficients": ((*dims, "coefficient"), np.abs(signed))}
    z = posterior["z_coefficients"]
    names["z_coefficients"] = (z.dims, z.to_numpy() * sign[..., None, :])
    if "unit_coefficients" in posterior:
        unit = posterior["unit_coefficients"]
        rows, columns = _pairs_together(posterior["coefficients"].shape[-1])
        turned = 0.5 + (unit.to_numpy() - 0.5) * sign[..., rows] * sign[..., columns]
        names["unit_coefficients"] = (unit.dims, turned)
    return posterior.drop_vars("signed_coefficients").assign(names)


def _pairs_together(k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the free partial correlations, in the order of their vector."""
    rows, columns = np.tril_indices(k * k, -1)
    free = going_together(k)[rows, columns] > 0
    return rows[free], columns[free]


def expected_sign(names: tuple[str, ...], target: int, source: int) -> int:
    """-1 for effects between the outcome (higher is worse) and another series, 1 for others."""
    return -1 if (names[target] == OUTCOME) != (names[source] == OUTCOME) else 1


def client_coefficients(posterior: xr.Dataset) -> FloatArray:
    """(chains, draws, n, k k) coefficients of clients in units of fitting, row by row."""
    sd = posterior["sd_coefficients"].to_numpy()
    k = posterior["coefficients"].shape[-1]
    factor = partial_factors(sd, filled_units(posterior, "coefficients", going_together(k)))
    deviations = np.einsum(
        "cdab,cdnb->cdna", factor, posterior["z_coefficients"].to_numpy(), optimize=True
    )
    mean = posterior["coefficients"].to_numpy()
    return deviations + mean.reshape(*mean.shape[:2], 1, -1)


def partial_factors(sd: FloatArray, unit: FloatArray) -> FloatArray:
    """(..., q, q) factors of many draws, as ``partial_correlation.factor_from_partial``."""
    q = sd.shape[-1]
    L = np.zeros((*sd.shape, q))
    place = 0
    for row in range(q):
        left = sd[..., row].copy()
        for column in range(row):
            partial = 2.0 * unit[..., place] - 1.0
            L[..., row, column] = left * partial
            left = left * np.sqrt(np.maximum(1.0 - partial**2, 0.0))
            place += 1
        L[..., row, row] = left
    return L


def _estimates(
    fit: VarFit, posterior: xr.Dataset
) -> tuple[dict[str, FloatArray], Mapping[str, int]]:
    """Reported quantities, each (chains, draws)."""
    names, k = fit.names, len(fit.names)
    ratio = (fit.scale[:, None] / fit.scale[None, :]).ravel()
    mean = posterior["coefficients"].to_numpy().reshape(*posterior["coefficients"].shape[:2], -1)
    sd = posterior["sd_coefficients"].to_numpy()
    clients = client_coefficients(posterior)
    out: dict[str, FloatArray] = {}
    counted: dict[str, int] = {}
    for place, (target, source) in enumerate(np.ndindex(k, k)):
        term = term_name(names, target, source)
        out[term] = mean[..., place] * ratio[place]
        out[f"sd_{term}"] = sd[..., place] * ratio[place]
        sign = expected_sign(names, target, source)
        out[f"share_{term}"] = 100.0 * stats.norm.cdf(sign * mean[..., place] / sd[..., place])
        if target != source:
            out[f"{term}_standardised"] = mean[..., place]
            own = own_ratios(fit, target, source)
            known = np.isfinite(own)
            counted[term] = int(known.sum())
            weights = own[known] * ratio[place]
            person = (clients[..., known, place] * weights).mean(axis=-1) if known.any() else np.nan
            out[f"{term}_person_standardised"] = np.broadcast_to(person, mean.shape[:2])
    units = filled_units(posterior, "coefficients", going_together(k))
    factor = partial_factors(np.ones_like(sd), units)
    r = factor @ np.swapaxes(factor, -1, -2)
    for target in range(k):
        for source in range(target):
            pair = f"{names[source]}_{names[target]}"
            out[f"cor_cross_lags_{pair}"] = r[..., target * k + source, source * k + target]
    for j, name in enumerate(names):
        out[f"sd_log_innovation_{name}"] = posterior["sd_log"].to_numpy()[..., j]
    return {t: v for t, v in out.items() if np.isfinite(v).all()}, counted
