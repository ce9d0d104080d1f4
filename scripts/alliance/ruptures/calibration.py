"""Thresholds that hold the false-alarm risk of a rule constant over lengths of treatment.

Longer treatments give noise more chances to look like a rupture. The calibrated threshold of a
treatment of T rated sessions is the one at which a given share of clients without any rupture is
flagged at least once (methods specification, 2.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alliance.ruptures.engine import detect
from alliance.ruptures.result import PooledScale
from alliance.ruptures.rules import RuptureRule

NEVER = 1e6  # units: a threshold that nothing reaches


@dataclass(frozen=True)
class NoiseModel:
    """Ratings without any rupture: stationary AR(1) states plus error of measurement.

    Attributes
    ----------
    autoregression : of the states. reliability : share of a client's variance that is state.
    sd_spread : SD of the logarithm of the clients' SDs. icc : share of variance between clients.
    """

    autoregression: float = 0.3
    reliability: float = 0.75
    sd_spread: float = 0.4
    icc: float = 0.6


def simulate_noise(
    model: NoiseModel, n_clients: int, n_sessions: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Scores without ruptures: ``client, session, score`` of full treatments."""
    innovation = np.sqrt(1 - model.autoregression**2)
    state = np.empty((n_clients, n_sessions))
    state[:, 0] = rng.normal(size=n_clients)
    for t in range(1, n_sessions):
        fresh = innovation * rng.normal(size=n_clients)
        state[:, t] = model.autoregression * state[:, t - 1] + fresh
    error = rng.normal(size=state.shape)
    sd = np.exp(model.sd_spread * rng.normal(size=(n_clients, 1)))
    within = sd * (np.sqrt(model.reliability) * state + np.sqrt(1 - model.reliability) * error)
    between = np.sqrt(model.icc / (1 - model.icc) * np.exp(2 * model.sd_spread**2))
    score = between * rng.normal(size=(n_clients, 1)) + within
    return pd.DataFrame(
        {
            "client": np.repeat(np.arange(n_clients), n_sessions),
            "session": np.tile(np.arange(1, n_sessions + 1), n_clients),
            "score": score.ravel(),
        }
    )


def noise_scale(model: NoiseModel) -> PooledScale:
    """The SDs of a large sample of ``model``, from its parameters.

    The pooled within-client SD of a treatment of T sessions is a little smaller when states are
    autocorrelated; the value here is that of long treatments.
    """
    within = np.exp(2 * model.sd_spread**2)  # mean of squared lognormal SDs
    return PooledScale(
        sd_total=float(np.sqrt(within / (1 - model.icc))),
        sd_within=float(np.sqrt(within)),
        reliability_within=model.reliability,
    )


def calibrated_thresholds(
    rule: RuptureRule,
    lengths: Iterable[int],
    false_alarm: float = 0.10,
    model: NoiseModel | None = None,
    n_clients: int = 100_000,
    seed: int = 1,
) -> dict[int, float]:
    """The threshold per number of rated sessions at which ``false_alarm`` of clients are flagged.

    Until its first flag a client's baseline holds every earlier session whatever the threshold, so
    the wanted threshold is the ``1 - false_alarm`` quantile of the clients' largest deviations.

    Raises
    ------
    ValueError
        For a rule with a smallest drop in points, whose flags do not depend on deviations alone.
    """
    if rule.minimum_drop:
        raise ValueError("a rule with minimum_drop has no threshold in units alone")
    model = model or NoiseModel()
    # Without a rupture no horizon begins, and noise has no dates.
    patient = rule.model_copy(update={"threshold": NEVER, "horizon_unit": "sessions"})
    rng = np.random.default_rng(seed)
    thresholds = {}
    for length in sorted(lengths):
        scores = simulate_noise(model, n_clients, length, rng)
        sessions = detect(scores, patient, noise_scale(model)).sessions
        largest = sessions["deviation"].to_numpy().reshape(n_clients, length)
        highest = np.nanmax(np.where(np.isnan(largest), -np.inf, largest), axis=1)
        thresholds[length] = float(np.quantile(highest, 1 - false_alarm))
    return thresholds
