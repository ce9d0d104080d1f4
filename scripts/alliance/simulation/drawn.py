"""A drawn study: latent course, recorded answers and attendance, before it becomes a file."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from alliance.simulation.items import FloatArray
from alliance.simulation.process import Latent


@dataclass(frozen=True)
class Drawn:
    """One simulated sample.

    Attributes
    ----------
    answers : measure -> (n, n_sessions, n_items) as recorded on the form.
    attended : (n, n_sessions), false after the client's last session.
    scheduled : (n,) number of scheduled sessions; none after ``latent.last`` was attended.
    before : (n, 2, n_items) outcome form at referral and at intake.
    """

    latent: Latent
    answers: dict[str, FloatArray]
    attended: NDArray[np.bool_]
    scheduled: NDArray[np.int64]
    before: FloatArray | None = None
    extra: dict[str, NDArray[np.generic]] = field(default_factory=dict)
