"""Does the dynamic model find what was put in? Bias, coverage and power, shortcuts included.

Clients are drawn from a random-intercept VAR(1) in the order symptoms before, alliance after the
session, with or without opposite trends, drop-out that depends on what was seen, and measurement
error. Each sample is fitted by the random-intercept VAR and by the comparators.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.estimation.dynamics import VarFit, fit_var
from alliance.estimation.dynamics_comparators import KNOWN_BIAS, compare
from alliance.estimation.dynamics_effects import (
    HORIZON,
    Effects,
    coefficients,
    equilibrium_effects,
    held_effects,
    impulse_responses,
    long_run,
    responses_of,
)
from alliance.estimation.dynamics_layout import VarSpec
from alliance.estimation.dynamics_series import VarSeries
from alliance.estimation.ml_sem import fit_ml_sem
from alliance.estimation.refusal import Refusal

FloatArray = NDArray[np.float64]
Condition = Literal["plain", "opposite_trends", "drop_out", "unreliability"]
CONDITIONS: tuple[Condition, ...] = ("plain", "opposite_trends", "drop_out", "unreliability")
LENGTHS: tuple[int, ...] = (5, 8, 12, 20)
NAMES = ("alliance", "outcome")
FORWARD = 1  # the equation of the outcome
BURN_IN = 30
LONG_RUN = {"long_run_held": held_effects, "long_run_equilibrium": equilibrium_effects}


@dataclass(frozen=True)
class Truth:
    """Population values, roughly in within-client SDs.

    Attributes
    ----------
    coefficients : (target, source) for alliance, outcome: effect of the latest earlier value.
    innovation_sd : of the structural innovations. client_sd, client_r : of the client levels.
    trend : mean change per session. trend_sd, trend_r : between clients.
    error_sd : of measurement error.
    hazard, hazard_outcome : log-odds of leaving after a session at an average outcome, and their
        change per point of the outcome observed at that session.
    """

    coefficients: tuple[tuple[float, float], tuple[float, float]] = ((0.35, -0.15), (-0.10, 0.40))
    innovation_sd: tuple[float, float] = (0.9, 0.9)
    client_sd: tuple[float, float] = (1.2, 1.2)
    client_r: float = -0.4
    trend: tuple[float, float] = (0.0, 0.0)
    trend_sd: tuple[float, float] = (0.0, 0.0)
    trend_r: float = -0.5
    error_sd: tuple[float, float] = (0.0, 0.0)
    hazard: float = -np.inf
    hazard_outcome: float = 0.0


TRUTHS: dict[Condition, Truth] = {
    "plain": Truth(),
    "opposite_trends": Truth(trend=(0.12, -0.12), trend_sd=(0.08, 0.08)),
    "drop_out": Truth(hazard=-3.0, hazard_outcome=0.5),
    "unreliability": Truth(error_sd=(0.5, 0.4)),
}


@dataclass(frozen=True)
class Cell:
    """One design of the recovery study."""

    condition: Condition
    n_sessions: int
    n_clients: int = 150

    @property
    def truth(self) -> Truth:
        return TRUTHS[self.condition]

    @property
    def spec(self) -> VarSpec:
        return VarSpec((1, 0), random_trend=self.condition == "opposite_trends")


@dataclass(frozen=True)
class Found:
    """One estimate of one replication; NaN where the estimator refused or failed."""

    condition: str
    n_sessions: int
    n_clients: int
    replication: int
    estimator: str
    term: str
    truth: float
    estimate: float
    se: float
    low: float
    high: float


def simulate(truth: Truth, n_clients: int, n_sessions: int, rng: np.random.Generator) -> FloatArray:
    """(n_clients, n_sessions, 2) scores; everyone is seen at the first two sessions."""
    z = _fluctuations(truth, n_clients, n_sessions, rng)
    z += _pairs(truth.client_sd, truth.client_r, n_clients, rng)[:, None, :]
    slopes = np.array(truth.trend) + _pairs(truth.trend_sd, truth.trend_r, n_clients, rng)
    z += slopes[:, None, :] * np.arange(n_sessions)[:, None]
    z += np.array(truth.error_sd) * rng.normal(size=z.shape)
    odds = truth.hazard + truth.hazard_outcome * z[:, :, 1]
    leaves = rng.random(odds.shape) < 1.0 / (1.0 + np.exp(-odds))
    gone = np.cumsum(leaves, axis=1) - leaves > 0
    gone[:, :2] = False
    z[gone] = np.nan
    return z


def _fluctuations(
    truth: Truth, n_clients: int, n_sessions: int, rng: np.random.Generator
) -> FloatArray:
    (phi_a, gamma), (beta, phi_y) = truth.coefficients
    sd_a, sd_y = truth.innovation_sd
    w = np.empty((n_clients, n_sessions, 2))
    a, y = np.zeros(n_clients), np.zeros(n_clients)
    for t in range(-BURN_IN, n_sessions):
        noise = rng.normal(size=(2, n_clients))
        y = phi_y * y + beta * a + sd_y * noise[0]
        a = phi_a * a + gamma * y + sd_a * noise[1]
        if t >= 0:
            w[:, t, 0], w[:, t, 1] = a, y
    return w


def _pairs(sd: tuple[float, float], r: float, n: int, rng: np.random.Generator) -> FloatArray:
    first, second = rng.normal(size=(2, n))
    return np.column_stack([sd[0] * first, sd[1] * (r * first + np.sqrt(1 - r**2) * second)])


def replicate(cell: Cell, replication: int, seed: int) -> list[Found]:
    """All estimates of one sample; the same numbers give the same sample on any machine."""
    lengths = [seed, CONDITIONS.index(cell.condition), cell.n_sessions, cell.n_clients, replication]
    rng = np.random.default_rng(lengths)
    scores = simulate(cell.truth, cell.n_clients, cell.n_sessions, rng)
    ids = tuple(str(number) for number in range(len(scores)))
    series = VarSeries(scores, NAMES, ids)
    return [
        *_by_likelihood(cell, replication, series),
        *_by_ml_sem(cell, replication, series),
        *_by_comparators(cell, replication, series),
    ]


def _by_likelihood(cell: Cell, replication: int, series: VarSeries) -> Iterator[Found]:
    models = {"RI-VAR (ML)": cell.spec}
    if cell.condition == "unreliability":
        error = np.array(cell.truth.error_sd) ** 2
        known = tuple(float(r) for r in 1.0 - error / series.within_sd() ** 2)
        models = {
            "RI-VAR (ML)": VarSpec(cell.spec.occasions, reliability=known),
            "RI-VAR (ML), error ignored": cell.spec,
        }
    if cell.condition == "opposite_trends":
        models["RI-VAR (ML), random trends ignored"] = VarSpec(cell.spec.occasions)
    for name, spec in models.items():
        fit = fit_var(series, spec)
        if isinstance(fit, Refusal) or not fit.converged:
            yield from _found(cell, replication, name, np.full((4, 2, 2), np.nan))
        else:
            yield from _found(cell, replication, name, _of_first_phase(coefficients(fit)))
            yield from _lasting(cell, replication, name, fit)


def _of_first_phase(effects: Effects) -> FloatArray:
    """(4, k, k) estimate, SE and limits."""
    return np.array([part[0] for part in (effects.estimate, effects.se, effects.low, effects.high)])


def _lasting(cell: Cell, replication: int, estimator: str, fit: VarFit) -> Iterator[Found]:
    """Long-run effects and responses of the cross-lags, as the rows of a study give them.

    Responses that are zero by the order of measurement are left out.
    """
    structure, found = np.array(cell.truth.coefficients), impulse_responses(fit)
    same_session = fit.layout.structure.same_session
    true_responses = responses_of(structure, same_session, HORIZON)
    for target, source in ((1, 0), (0, 1)):
        pair = f"{NAMES[source]}_{NAMES[target]}"
        for stem, function in LONG_RUN.items():
            numbers = _of_first_phase(long_run(fit, function))[:, target, source]
            truth = function(structure)[target, source]
            yield _one(cell, replication, estimator, f"{stem}_{pair}", truth, numbers)
        for h in range(0 if same_session[target, source] else 1, HORIZON + 1):
            parts = (found.estimate, found.se, found.low, found.high)
            numbers = np.array([part[h, 0, target, source] for part in parts])
            truth = true_responses[h, target, source]
            yield _one(cell, replication, estimator, f"response_{pair}_{h}", truth, numbers)


def _one(
    cell: Cell, replication: int, estimator: str, term: str, truth: float, numbers: FloatArray
) -> Found:
    return Found(
        cell.condition,
        cell.n_sessions,
        cell.n_clients,
        replication,
        estimator,
        term,
        float(truth),
        *(float(value) for value in numbers),
    )


def _by_ml_sem(cell: Cell, replication: int, series: VarSeries) -> Iterator[Found]:
    """The equation of the outcome only: the forward effect is what the second estimator is for."""
    numbers = np.full((4, 2, 2), np.nan)
    fit = fit_ml_sem(series, cell.spec, FORWARD)
    if not isinstance(fit, Refusal) and fit.converged:
        b, half = fit.coefficients, fit.half_width
        numbers[:, FORWARD] = b, fit.se, b - half, b + half
    found = _found(cell, replication, "ML-SEM", numbers)
    return (row for row in found if row.term.endswith(NAMES[FORWARD]))


def _by_comparators(cell: Cell, replication: int, series: VarSeries) -> Iterator[Found]:
    for method in KNOWN_BIAS:
        numbers = np.full((4, 2, 2), np.nan)
        for target in (0, 1):
            found = compare(series, cell.spec, target, method)
            if not isinstance(found, Refusal):
                b, half = found.coefficients, found.half_width
                numbers[:, target] = b, found.se, b - half, b + half
        yield from _found(cell, replication, method, numbers)


def _found(cell: Cell, replication: int, estimator: str, numbers: FloatArray) -> Iterator[Found]:
    for target in (0, 1):
        for source in (0, 1):
            yield _one(
                cell,
                replication,
                estimator,
                term_name(NAMES, target, source),
                cell.truth.coefficients[target][source],
                numbers[:, target, source],
            )


def term_name(names: tuple[str, ...], target: int, source: int) -> str:
    """Name of a coefficient in the estimates table."""
    if target == source:
        return f"autoregression_{names[target]}"
    return f"cross_lag_{names[source]}_{names[target]}"


KEYS = ["condition", "n_sessions", "n_clients", "estimator", "term"]


def summarise(found: Iterable[Found]) -> pd.DataFrame:
    """Bias, spread, coverage of 95 % intervals and power, with Monte Carlo standard errors."""
    table = pd.DataFrame(list(found))
    rows = [
        dict(zip(KEYS, key, strict=True)) | _summary(group)
        for key, group in table.groupby(KEYS, sort=True)
    ]
    return pd.DataFrame(rows)


def _summary(group: pd.DataFrame) -> dict[str, float]:
    done = group.dropna(subset=["estimate", "se"])
    truth, n = float(group["truth"].iloc[0]), len(done)
    covered = ((done["low"] <= truth) & (truth <= done["high"])).mean()
    detected = ((done["low"] > 0) | (done["high"] < 0)).mean()
    spread = done["estimate"].std(ddof=1)
    return {
        "truth": truth,
        "replications": len(group),
        "not_converged": len(group) - n,
        "mean": done["estimate"].mean(),
        "bias": done["estimate"].mean() - truth,
        "bias_mc_se": spread / np.sqrt(n),
        "sd": spread,
        "mean_se": done["se"].mean(),
        "coverage": covered,
        "coverage_mc_se": np.sqrt(covered * (1 - covered) / n),
        "power": detected,
    }
