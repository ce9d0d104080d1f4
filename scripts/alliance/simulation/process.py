"""Alliance and symptoms of simulated clients, session by session, before any form is filled in.

A random-intercept and random-trend VAR(1) in the order symptoms before the session, alliance after
it (methods specification, sections 0 and 1.4)::

    w_y[t+1] = phi_symptoms * w_y[t] + cross_lag_i * (w_a[t] + rupture[t])
               + rupture_effect * (rupture[t] < 0) + e_y
    w_a[t+1] = phi_alliance * w_a[t] + same_session * w_y[t+1] + e_a

Everything is in units of the within-client SD: without ruptures, both w have variance 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.simulation.planted import PlantingPlan, plant_ruptures, what_can_be_seen

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ENDINGS = ("agreed", "dropout", "ongoing")


@dataclass(frozen=True)
class Pair:
    """Two correlated normal effects: one on the alliance, one on symptoms."""

    sd_alliance: float
    sd_symptoms: float
    r: float = 0.0


@dataclass(frozen=True)
class DropOut:
    """Complementary log-log hazard of not coming back after a session.

    ``alliance`` and ``symptoms`` are log hazard ratios per total SD of the latent variable.
    """

    intercept: float
    alliance: float
    symptoms: float


@dataclass(frozen=True)
class Process:
    """Structural parameters, in within-client SDs and sessions.

    Attributes
    ----------
    n_sessions : scheduled sessions at most. planned : shortest and longest planned treatment;
        one planned to be longer than ``n_sessions`` is still in treatment at the end.
    phi_alliance, phi_symptoms : autoregressions. cross_lag : effect of the alliance after session
        t on symptoms before t+1 (mean over clients). sd_cross_lag : its SD between clients.
    cross_lag_feedback : by how much the cross-lag of the feedback arm differs from the other's.
    same_session : effect of symptoms before a session on the alliance after it.
    clients, therapists : random intercepts. trends : random linear trends per session, around
        ``trend_alliance`` and ``trend_symptoms``.
    pretreatment_change : symptoms at referral minus symptoms at intake, mean.
    rupture_effect : what an open rupture adds to the next session's symptoms beyond the effect of
        the alliance as such; zero in the bundled studies.
    """

    n_sessions: int
    planned: tuple[int, int]
    phi_alliance: float
    phi_symptoms: float
    cross_lag: float
    sd_cross_lag: float
    cross_lag_feedback: float
    same_session: float
    clients: Pair
    therapists: Pair
    trend_alliance: float
    trend_symptoms: float
    trends: Pair
    pretreatment_change: float
    drop_out: DropOut
    ruptures: PlantingPlan
    rupture_effect: float = 0.0


@dataclass(frozen=True)
class Innovations:
    """What makes both processes stationary with variance 1 (closed form)."""

    variance_alliance: float
    variance_symptoms: float
    covariance: float


@dataclass(frozen=True)
class Latent:
    """Simulated clients before measurement; (n,) per client, (n, n_sessions) per session.

    ``before`` (n, 2) holds symptoms at referral and at intake. ``stable_alliance`` is the client's
    own level (client plus therapist), ``ruptures`` as in ``planted.what_can_be_seen``.
    """

    alliance: FloatArray
    symptoms: FloatArray
    deflection: FloatArray
    before: FloatArray
    stable_alliance: FloatArray
    cross_lag: FloatArray
    feedback: IntArray
    therapist: IntArray
    last: IntArray
    ending: NDArray[np.str_]
    ruptures: pd.DataFrame


def innovations(process: Process) -> Innovations:
    """Innovation variances that give both processes variance 1 at stationarity.

    Raises
    ------
    ValueError
        If no positive variance does, that is, if the coefficients leave no room for innovations.
    """
    phi_a, phi_y = process.phi_alliance, process.phi_symptoms
    beta, gamma = process.cross_lag, process.same_session
    covariance = (phi_a * beta + gamma) / (1 - phi_a * phi_y)
    ahead = phi_y * covariance + beta  # alliance after t with symptoms before t+1
    of_symptoms = 1 - phi_y**2 - beta**2 - 2 * phi_y * beta * covariance
    of_alliance = 1 - phi_a**2 - gamma**2 - 2 * phi_a * gamma * ahead
    if min(of_symptoms, of_alliance) <= 0:
        raise ValueError("these coefficients leave no variance for the innovations")
    return Innovations(of_alliance, of_symptoms, covariance)


def simulate_process(
    process: Process, n_clients: int, n_therapists: int, rng: np.random.Generator
) -> Latent:
    """Draw ``n_clients`` treatments with ``n_therapists`` therapists."""
    therapist = assign_therapists(n_clients, n_therapists, rng)
    feedback = rng.permutation(np.arange(n_clients) % 2)
    cross_lag = process.cross_lag + process.cross_lag_feedback * (feedback - 0.5)
    cross_lag = cross_lag + process.sd_cross_lag * rng.standard_normal(n_clients)
    planned = rng.integers(process.planned[0], process.planned[1] + 1, n_clients)
    deflection, planted = plant_ruptures(process.ruptures, planned, process.n_sessions, rng)
    stable = _pairs(process.clients, n_clients, rng)
    stable += _pairs(process.therapists, n_therapists, rng)[therapist]
    within_a, within_y, at_intake = _fluctuations(process, cross_lag, deflection, rng)
    trend = _pairs(process.trends, n_clients, rng)
    trend += [process.trend_alliance, process.trend_symptoms]
    time = np.arange(process.n_sessions)
    alliance = stable[:, [0]] + trend[:, [0]] * time + within_a + deflection
    symptoms = stable[:, [1]] + trend[:, [1]] * time + within_y
    at_referral = process.pretreatment_change + rng.standard_normal(n_clients)
    before = stable[:, [1]] + np.column_stack([at_referral, at_intake])
    last, ending = _endings(process, alliance, symptoms, planned, rng)
    return Latent(
        alliance, symptoms, deflection, before, stable[:, 0], cross_lag, feedback, therapist, last,
        ending, what_can_be_seen(planted, last),
    )  # fmt: skip


def assign_therapists(n_clients: int, n_therapists: int, rng: np.random.Generator) -> IntArray:
    """Therapist of each client: half of the clients spread evenly, the others at random."""
    even = np.arange(n_clients // 2) % n_therapists
    drawn = rng.integers(0, n_therapists, n_clients - even.size)
    return rng.permutation(np.concatenate([even, drawn]))


def _pairs(pair: Pair, n: int, rng: np.random.Generator) -> FloatArray:
    """(n, 2) draws of the two effects."""
    first, second = rng.standard_normal((2, n))
    correlated = pair.r * first + np.sqrt(1 - pair.r**2) * second
    return np.column_stack([pair.sd_alliance * first, pair.sd_symptoms * correlated])


def _fluctuations(
    process: Process, cross_lag: FloatArray, deflection: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The two within-client processes, started at intake from their stationary distribution."""
    n, n_sessions = deflection.shape
    noise = innovations(process)
    sd_a, sd_y = np.sqrt(noise.variance_alliance), np.sqrt(noise.variance_symptoms)
    y = rng.standard_normal(n)
    a = noise.covariance * y + np.sqrt(1 - noise.covariance**2) * rng.standard_normal(n)
    at_intake, felt, open_before = y, a, np.zeros(n, dtype=bool)
    within_a, within_y = np.empty((n, n_sessions)), np.empty((n, n_sessions))
    for t in range(n_sessions):
        y = process.phi_symptoms * y + cross_lag * felt + sd_y * rng.standard_normal(n)
        y = y + process.rupture_effect * open_before
        a = process.phi_alliance * a + process.same_session * y + sd_a * rng.standard_normal(n)
        felt, open_before = a + deflection[:, t], deflection[:, t] < 0
        within_a[:, t], within_y[:, t] = a, y
    return within_a, within_y, at_intake


def _endings(
    process: Process,
    alliance: FloatArray,
    symptoms: FloatArray,
    planned: IntArray,
    rng: np.random.Generator,
) -> tuple[IntArray, NDArray[np.str_]]:
    """Last session of each client and how treatment ended."""
    hazard = drop_out_hazard(process, alliance, symptoms)
    leaves = rng.random(hazard.shape) < hazard
    n_sessions = process.n_sessions
    left_after = np.where(leaves.any(axis=1), leaves.argmax(axis=1) + 1, n_sessions + 1)
    planned_here = np.minimum(planned, n_sessions)
    dropped = left_after < planned_here
    last = np.where(dropped, left_after, planned_here)
    by_plan = np.where(planned > n_sessions, "ongoing", "agreed")
    return last, np.where(dropped, "dropout", by_plan)


def drop_out_hazard(process: Process, alliance: FloatArray, symptoms: FloatArray) -> FloatArray:
    """(n, n_sessions) probability of not coming back after each session."""
    spread_a = np.sqrt(1 + process.clients.sd_alliance**2 + process.therapists.sd_alliance**2)
    spread_y = np.sqrt(1 + process.clients.sd_symptoms**2 + process.therapists.sd_symptoms**2)
    effects = process.drop_out
    linear = effects.intercept + effects.alliance * alliance / spread_a
    linear = linear + effects.symptoms * symptoms / spread_y
    return -np.expm1(-np.exp(linear))
