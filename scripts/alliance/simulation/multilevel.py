"""Designs of known truth for the multilevel models: the estimators are calibrated on them.

Predictors are drawn and split as in a study; the outcome is then drawn from the fitted model itself
with known parameters, so that what is tested is the estimator and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.estimation.design import ModelDesign, build_design
from alliance.estimation.refusal import Refusal
from alliance.study import ModelSpec
from alliance.within_between import split_within_between

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """How large a simulated study is.

    Attributes
    ----------
    sessions : fewest and most rows of a client, drawn evenly between them.
    therapists : 0 for two levels; clients are dealt to them in turn.
    """

    name: str
    label: str
    clients: int
    sessions: tuple[int, int]
    therapists: int = 0


@dataclass(frozen=True)
class Truth:
    """Parameters of the outcome, in residual SDs; predictors have an SD of 1 within clients.

    Attributes
    ----------
    intercept, within, between, between_therapist, time : fixed effects.
    sd_intercept, sd_within, correlation : random effects of clients.
    sd_therapist : random intercept of therapists. sd_residual : of single sessions.
    """

    intercept: float = 0.0
    within: float = -0.10
    between: float = -0.30
    between_therapist: float = -0.30
    time: float = -0.05
    sd_intercept: float = 1.2
    sd_within: float = 0.20
    correlation: float = 0.3
    sd_therapist: float = 0.4
    sd_residual: float = 1.0

    def value(self, term: str) -> float:
        """True value of a reported term; NaN for a term without one."""
        if term == "contextual":
            return self.between - self.within
        if term == "cor_intercept_within":
            return self.correlation
        return float(getattr(self, term, np.nan))


NULL = Truth(within=0.0, between=0.0, between_therapist=0.0, time=0.0)


def model_spec(therapists: bool) -> ModelSpec:
    """The headline model: within and between effects, course, random within slope."""
    return ModelSpec(
        label="calibration",
        outcome="outcome",
        predictor="predictor",
        covariates=["time"],
        random_slopes=["within"],
        therapists=therapists,
    )


def draw_design(size: Size, rng: np.random.Generator) -> ModelDesign:
    """A design with new predictors; its outcome is noise, to be replaced.

    Raises
    ------
    ValueError
        If the drawn study is too small for the model.
    """
    low, high = size.sessions
    client = np.repeat(np.arange(size.clients), rng.integers(low, high + 1, size.clients))
    n = client.size
    time = (np.arange(n) - np.searchsorted(client, client)).astype(float)
    level = rng.normal(size=size.clients)
    if size.therapists:
        level += 0.5 * rng.normal(size=size.therapists)[np.arange(size.clients) % size.therapists]
    frame = pd.DataFrame(
        {
            "client": [f"c{k:04d}" for k in client],
            "time": time,
            "predictor": level[client] + rng.normal(size=n),
            "outcome": rng.normal(size=n),
        }
    )
    if size.therapists:
        frame["therapist"] = [f"t{k % size.therapists:03d}" for k in client]
    spec = model_spec(bool(size.therapists))
    design = build_design(split_within_between(frame, spec.therapists), spec, {})
    if isinstance(design, Refusal):
        raise ValueError(f"the simulated study cannot be fitted: {design.reason}")
    return design


def draw_outcome(design: ModelDesign, truth: Truth, rng: np.random.Generator) -> ModelDesign:
    """The same design with an outcome drawn from the model with the parameters of ``truth``."""
    beta = np.array([truth.value(name) for name in design.names])
    first, second = rng.normal(size=(2, design.n_clients))
    r = truth.correlation
    level = truth.sd_intercept * first
    slope = truth.sd_within * (r * first + np.sqrt(1.0 - r**2) * second)
    within = design.X[:, design.names.index("within")]
    y = design.X @ beta + level[design.client] + slope[design.client] * within
    if design.therapist is not None:
        upper = truth.sd_therapist * rng.normal(size=design.n_therapists)
        y += upper[design.therapist]
    y += truth.sd_residual * rng.normal(size=y.size)
    return replace(design, y=y)
