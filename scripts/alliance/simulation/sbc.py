"""Simulation-based calibration of the Bayesian multilevel models (Talts et al. 2018).

Parameters are drawn from the priors, an outcome is drawn from them, the posterior is sampled, and
the rank of the drawn value among the posterior draws is noted. If sampler, likelihood and priors
agree, ranks are uniform. The definition is that of the package ``simuk``, which is not used: it
makes each replication a new PyMC model with an observed variable, to be compiled anew, while our
likelihood is a potential on sufficient statistics that is compiled once and given new data.
Uniformity is judged by the ECDF with simultaneous bands (Säilynoja, Bürkner & Vehtari 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import nutpie
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from alliance.estimation.bayes import likelihood_arguments, parameters_of_posterior
from alliance.estimation.bayes_model import BayesModel, compile_model, with_outcome
from alliance.estimation.bayes_predictive import draw_from_priors, simulate_outcome
from alliance.estimation.bayes_terms import estimates_of_draws
from alliance.estimation.priors import Priors
from alliance.likelihood.marginal import log_likelihood_and_gradient
from alliance.simulation.multilevel import Size, draw_design

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SIZES: tuple[Size, ...] = (
    Size("two_level", "two levels, 40 clients x 4 to 8 sessions", 40, (4, 8)),
    Size(
        "three_level", "three levels, 20 therapists x 4 clients x 3 to 6 sessions", 80, (3, 6), 20
    ),
)
N_RANKS = 100  # ranks 0..99: 99 draws are kept
BINS = 20
LIKELIHOOD = "log_likelihood"
_DERIVED = ("contextual", "contextual_therapist", "icc_therapist")
_SIMULATED_BANDS = 4000


@dataclass(frozen=True)
class Chain:
    """How one replication is sampled: one chain, every ``thin``-th draw kept."""

    tune: int = 1000
    thin: int = 20

    @property
    def draws(self) -> int:
        return self.thin * (N_RANKS - 1)

    def sample(self, compiled: Any, seed: int) -> tuple[xr.Dataset, int]:
        """The kept draws of a compiled model, and the number of divergent transitions."""
        trace = nutpie.sample(
            compiled,
            draws=self.draws,
            tune=self.tune,
            chains=1,
            cores=1,
            seed=seed,
            save_warmup=False,
            progress_bar=False,
        )
        kept = trace["posterior"].to_dataset().isel(draw=slice(self.thin - 1, None, self.thin))
        return kept, int(trace["sample_stats"]["diverging"].sum())


@dataclass(frozen=True)
class Ranks:
    """Ranks of one model.

    Attributes
    ----------
    ranks : quantity -> (n_fits,) number of kept draws below the true value, 0 to 99.
    divergences : (n_fits,) divergent transitions. No fit is left out for them, which would bias.
    """

    ranks: Mapping[str, IntArray]
    divergences: IntArray


def prepare(size: Size, rng: np.random.Generator, priors: Priors | None = None) -> BayesModel:
    """The compiled model of a design with drawn predictors."""
    return compile_model(draw_design(size, rng), priors or Priors())


def calibrate(
    size: Size,
    n_fits: int,
    seed: int,
    *,
    chain: Chain | None = None,
    prepared: BayesModel | None = None,
    priors: Priors | None = None,
    progress: Callable[[int], None] | None = None,
) -> Ranks:
    """Ranks of ``n_fits`` replications of one design.

    Predictors and units stay the same; parameters, outcome and chain are new in each replication.

    Parameters
    ----------
    prepared : an already compiled model, used instead of a new one of this size.
    """
    rng = np.random.default_rng([seed, size.clients, size.therapists])
    prepared = prepared or prepare(size, rng, priors)
    length = chain or Chain()
    true = draw_from_priors(prepared.design, prepared.priors, n_fits, rng)
    found: list[dict[str, int]] = []
    divergent = np.zeros(n_fits, dtype=np.int64)
    for k in range(n_fits):
        ranks, divergent[k] = _replicate(prepared, true, k, length, rng)
        found.append(ranks)
        if progress:
            progress(k + 1)
    ranks = {name: np.array([f[name] for f in found]) for name in found[0]}
    return Ranks(ranks, divergent)


def _replicate(
    prepared: BayesModel,
    true: Mapping[str, FloatArray],
    k: int,
    length: Chain,
    rng: np.random.Generator,
) -> tuple[dict[str, int], int]:
    y = simulate_outcome(prepared.design, prepared.standard, true, (0, k), rng)
    model = with_outcome(prepared, y)
    kept, divergent = length.sample(model.compiled, int(rng.integers(2**31)))
    drawn = quantities(model, parameters_of_posterior(model.design, kept))
    truth = quantities(model, {name: values[:, k : k + 1] for name, values in true.items()})
    ranks = {name: rank(drawn[name].ravel(), truth[name].item()) for name in drawn}
    return ranks, divergent


def quantities(model: BayesModel, parameters: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Reported terms and the log-likelihood of the data, each (chain, draw)."""
    found = dict(estimates_of_draws(model.design, model.standard, parameters))
    arrays = model.data.arrays()
    values = np.empty(parameters["sigma"].shape)
    for at in np.ndindex(*values.shape):
        point = likelihood_arguments(parameters, at, model.standard)
        values[at] = log_likelihood_and_gradient(*point, *arrays)[0]
    return {n: v for n, v in found.items() if n not in _DERIVED} | {LIKELIHOOD: values}


def rank(draws: FloatArray, true: float) -> int:
    """Number of draws below the true value."""
    return int((draws < true).sum())


# Uniformity


def summarise(model: str, found: Ranks, seed: int) -> pd.DataFrame:
    """One row per quantity: tests of uniformity and coverage of central credible intervals.

    Returns
    -------
    ``model, quantity, fits, divergent_fits, ecdf_p, chi2_p, mean_rank_z, coverage_50, coverage_80,
    coverage_94``, the coverages in percent. Intervals hold whole ranks, therefore 94 and not 95.
    """
    reference = _most_extreme_of_uniform(next(iter(found.ranks.values())).size, seed)
    rows = []
    for name, ranks in found.ranks.items():
        counts = np.bincount(ranks, minlength=N_RANKS)
        observed = _most_extreme(counts[None, :])[0]
        rows.append(
            {
                "model": model,
                "quantity": name,
                "fits": ranks.size,
                "divergent_fits": int((found.divergences > 0).sum()),
                "ecdf_p": float((np.sum(reference <= observed) + 1) / (reference.size + 1)),
                "chi2_p": float(stats.chisquare(counts.reshape(BINS, -1).sum(axis=1)).pvalue),
                "mean_rank_z": _mean_rank_z(ranks),
                **{f"coverage_{c}": _coverage(ranks, c) for c in (50, 80, 94)},
            }
        )
    return pd.DataFrame(rows)


def _mean_rank_z(ranks: IntArray) -> float:
    """Mean rank as a z value: positive where true values lie above the posterior."""
    sd = np.sqrt((N_RANKS**2 - 1) / 12)
    return float((ranks.mean() - (N_RANKS - 1) / 2) / (sd / np.sqrt(ranks.size)))


def _coverage(ranks: IntArray, percent: int) -> float:
    """Percentage of true values in the central interval that should hold ``percent`` of them."""
    outside = N_RANKS * (100 - percent) // 200
    inside = (ranks >= outside) & (ranks < N_RANKS - outside)
    return 100.0 * float(inside.mean())


def histogram(model: str, found: Ranks) -> pd.DataFrame:
    """``model, quantity, rank, count``: how often each rank occurred."""
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "model": model,
                    "quantity": name,
                    "rank": np.arange(N_RANKS),
                    "count": np.bincount(ranks, minlength=N_RANKS),
                }
            )
            for name, ranks in found.ranks.items()
        ],
        ignore_index=True,
    )


def _most_extreme(counts: IntArray) -> FloatArray:
    """(m,) smallest two-sided pointwise probability of the ECDF over the ranks, of m samples."""
    below = np.cumsum(counts, axis=1)[:, :-1]
    n = counts.sum(axis=1, keepdims=True)
    share = np.arange(1, N_RANKS) / N_RANKS
    tails = np.minimum(stats.binom.cdf(below, n, share), stats.binom.sf(below - 1, n, share))
    return 2.0 * tails.min(axis=1)


def _most_extreme_of_uniform(n: int, seed: int) -> FloatArray:
    """What :func:`_most_extreme` is for uniform ranks, by simulation."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n, np.full(N_RANKS, 1.0 / N_RANKS), size=_SIMULATED_BANDS)
    return _most_extreme(counts)


def bands(n: int, seed: int, level: float = 0.95) -> pd.DataFrame:
    """``rank, low, high``: simultaneous band of the ECDF less the uniform one, for n fits."""
    gamma = np.quantile(_most_extreme_of_uniform(n, seed), 1.0 - level)
    share = np.arange(1, N_RANKS) / N_RANKS
    low = stats.binom.ppf(gamma / 2, n, share) / n - share
    high = stats.binom.ppf(1.0 - gamma / 2, n, share) / n - share
    return pd.DataFrame({"rank": np.arange(N_RANKS - 1), "low": low, "high": high})


def verdicts(table: pd.DataFrame) -> Iterator[tuple[str, int, int, float]]:
    """Model, quantities, how many have ECDF p < .05, and the smallest p times their number."""
    for model, own in table.groupby("model", sort=False):
        p = own["ecdf_p"]
        yield str(model), len(own), int((p < 0.05).sum()), min(1.0, float(p.min() * len(own)))
