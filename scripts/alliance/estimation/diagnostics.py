"""The diagnostics gate: which samples of a posterior may be reported.

Limits after Vehtari et al. (2021) for R-hat and effective sample sizes and Betancourt (2016) for
the energy; a draft run has weaker limits and is called a draft.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import arviz as az
import numpy as np
import xarray as xr
from numpy.typing import NDArray


@dataclass(frozen=True)
class Limits:
    """What a sample must reach; ``label`` is shown with every number of a draft."""

    rhat: float
    ess: float
    bfmi: float = 0.3
    label: str = ""


REPORT = Limits(rhat=1.01, ess=400)
DRAFT = Limits(rhat=1.05, ess=100, label="draft")


_PARAMETERS: dict[str, str] = {
    "beta": "coefficient", "sigma": "residual SD", "mean": "mean", "coefficients": "coefficient",
    "sd_client": "SD between clients", "unit_client": "correlation between clients",
    "sd_therapist": "SD between therapists", "unit_therapist": "correlation between therapists",
    "sd_innovation": "SD of what is new at a session",
    "unit_innovation": "correlation of what is new at a session",
    "sd_first": "SD at the first session", "unit_first": "correlation at the first session",
    "sd_coefficients": "SD between clients of coefficient",
    "unit_coefficients": "correlation between clients of coefficients",
    "sd_log": "SD between clients of how much is new at a session (logarithm)",
    "y_mean": "mean as sampled", "y_coefficients": "coefficient as sampled",
}  # fmt: skip


def parameter_words(name: str, place: int, of: Sequence[str] = ()) -> str:
    """What a reader is told of an entry of a parameter vector: ``SD between clients of time``.

    Parameters
    ----------
    place : of the entry, from 0. of : what each entry is about; without it they are counted.
    """
    words = _PARAMETERS.get(name, name)
    if name == "sigma":
        return words
    return f"{words} of {of[place]}" if of else f"{words} no. {place + 1}"


@dataclass(frozen=True)
class Diagnostics:
    """What the sample reached.

    Attributes
    ----------
    rhat, ess_bulk, ess_tail : by quantity.
    divergences : number of divergent transitions after tuning. bfmi : (n_chains,).
    limits : what was required. failures : what was not reached, in words; empty when all was.
    """

    rhat: Mapping[str, float]
    ess_bulk: Mapping[str, float]
    ess_tail: Mapping[str, float]
    divergences: int
    bfmi: NDArray[np.float64]
    limits: Limits
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.failures

    @property
    def rhat_max(self) -> float:
        return _extreme(self.rhat, np.max)

    @property
    def ess_min(self) -> float:
        """Smallest of all bulk and tail effective sample sizes."""
        return min(_extreme(self.ess_bulk, np.min), _extreme(self.ess_tail, np.min))


def diagnose(
    quantities: Mapping[str, NDArray], sample_stats: xr.Dataset, limits: Limits
) -> Diagnostics:
    """Judge a sample.

    Parameters
    ----------
    quantities : name -> (n_chains, n_draws), every parameter and every reported quantity.
    sample_stats : ``diverging`` and ``energy``, each (chain, draw).
    """
    rhat = {name: _number(az.rhat(values)) for name, values in quantities.items()}
    bulk = {name: _number(az.ess(v, method="bulk")) for name, v in quantities.items()}
    tail = {
        name: _number(az.ess(v, method="tail", prob=(0.05, 0.95))) for name, v in quantities.items()
    }
    divergences = int(sample_stats["diverging"].sum())
    bfmi = energy_fraction(sample_stats["energy"].to_numpy())
    failures = (
        *_outside(rhat, limits.rhat, "R-hat", above=True),
        *_outside(bulk, limits.ess, "bulk effective sample size", above=False),
        *_outside(tail, limits.ess, "tail effective sample size", above=False),
        *([f"{divergences} divergent transitions"] if divergences else []),
        *(
            [f"BFMI {bfmi.min():.2f} (at least {limits.bfmi} required)"]
            if not bfmi.min() >= limits.bfmi
            else []
        ),
    )
    return Diagnostics(rhat, bulk, tail, divergences, bfmi, limits, failures)


def energy_fraction(energy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bayesian fraction of missing information per chain (Betancourt 2016); energy is (c, d)."""
    return np.square(np.diff(energy, axis=1)).mean(axis=1) / energy.var(axis=1)


def _number(value: object) -> float:
    return float(np.asarray(value))


def _extreme(values: Mapping[str, float], pick: object) -> float:
    numbers = np.array(list(values.values()))
    return float(pick(numbers)) if np.isfinite(numbers).all() else np.nan  # type: ignore[operator]


def _outside(values: Mapping[str, float], limit: float, name: str, above: bool) -> list[str]:
    """One sentence with the worst quantity; a value that is not a number fails as well."""
    bad = [k for k, v in values.items() if not (v <= limit if above else v >= limit)]
    if not bad:
        return []
    severity = {k: values[k] if above else -values[k] for k in bad}
    worst = max(bad, key=lambda k: np.inf if np.isnan(severity[k]) else severity[k])
    digits = ".3f" if above else ".0f"
    rule = "at most" if above else "at least"
    more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
    return [f"{name} {values[worst]:{digits}} for {worst}{more} ({rule} {limit:g} required)"]
