"""Clients with dynamics of their own, for tests of the models that look for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BURN_IN = 30


@dataclass(frozen=True)
class RandomTruth:
    """Population of clients in the order symptoms before, alliance after the session.

    Attributes
    ----------
    coefficients : (target, source) means for alliance, outcome. sd : their SDs between clients.
    correlation : between the two cross-lags of a client; the other pairs are independent.
    innovation_sd : of the typical client. sd_log : SD of log innovation SDs.
    client_sd, client_r : of the levels. trend : mean change per session. trend_sd : its SD
        between clients.
    """

    coefficients: tuple[tuple[float, float], tuple[float, float]] = ((0.35, -0.15), (-0.15, 0.30))
    sd: tuple[tuple[float, float], tuple[float, float]] = ((0.10, 0.15), (0.20, 0.10))
    correlation: float = 0.5
    innovation_sd: tuple[float, float] = (0.9, 0.9)
    sd_log: tuple[float, float] = (0.3, 0.3)
    client_sd: tuple[float, float] = (1.2, 1.2)
    client_r: float = -0.4
    trend: tuple[float, float] = (0.0, 0.0)
    trend_sd: tuple[float, float] = (0.0, 0.0)


def simulate_random_dynamics(
    truth: RandomTruth, n_clients: int, n_sessions: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Scores (n, T, 2) and coefficients of clients (n, 2, 2), drawn again where they explode."""
    B = _coefficients(truth, n_clients, rng)
    log_sd = np.log(truth.innovation_sd) + truth.sd_log * rng.normal(size=(n_clients, 2))
    noise = np.exp(log_sd)
    w = np.empty((n_clients, n_sessions, 2))
    a, y = np.zeros(n_clients), np.zeros(n_clients)
    for t in range(-BURN_IN, n_sessions):
        y = B[:, 1, 1] * y + B[:, 1, 0] * a + noise[:, 1] * rng.normal(size=n_clients)
        a = B[:, 0, 0] * a + B[:, 0, 1] * y + noise[:, 0] * rng.normal(size=n_clients)
        if t >= 0:
            w[:, t, 0], w[:, t, 1] = a, y
    first, second = rng.normal(size=(2, n_clients))
    mixed = truth.client_r * first + np.sqrt(1 - truth.client_r**2) * second
    levels = np.column_stack([first, mixed]) * truth.client_sd
    slopes = np.array(truth.trend) + truth.trend_sd * rng.normal(size=(n_clients, 2))
    time = np.arange(n_sessions)[:, None]
    return w + levels[:, None, :] + slopes[:, None, :] * time, B


def _coefficients(truth: RandomTruth, n: int, rng: np.random.Generator) -> FloatArray:
    R = np.eye(4)
    R[1, 2] = R[2, 1] = truth.correlation
    sd = np.ravel(truth.sd)
    B = np.empty((n, 2, 2))
    waiting = np.arange(n)
    while waiting.size:
        drawn = rng.multivariate_normal(
            np.ravel(truth.coefficients), R * np.outer(sd, sd), waiting.size
        )
        B[waiting] = drawn.reshape(-1, 2, 2)
        now = B[waiting] * [[0.0, 1.0], [0.0, 0.0]]
        A = np.linalg.solve(np.eye(2) - now, B[waiting] - now)
        waiting = waiting[np.abs(np.linalg.eigvals(A)).max(axis=1) >= 0.98]
    return B
