"""From a latent level to the answers on a form: graded answers, item by item.

An answer is the continuous response rounded to the steps of the form and cut at its ends, i.e. a
graded model with thresholds half-way between neighbouring answers. Items differ in location and
loading; items of a subscale share a client-level and a session-level part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Form:
    """A questionnaire as its items respond to the latent level.

    Attributes
    ----------
    low, high, step : lowest and highest answer, and the step between answers.
    locations : expected response of each item at latent level 0.
    loadings : of each item relative to ``points``, the response per within-client SD.
    subscales : subscale number of each item. reversed_items : item numbers from 1.
    sd_client_subscale, sd_client_item : lasting peculiarities of a client's answers.
    sd_session_subscale, sd_session_item : passing ones.
    """

    low: float
    high: float
    step: float
    locations: tuple[float, ...]
    loadings: tuple[float, ...]
    points: float
    subscales: tuple[int, ...]
    reversed_items: tuple[int, ...]
    sd_client_subscale: float
    sd_client_item: float
    sd_session_subscale: float
    sd_session_item: float

    @property
    def n_items(self) -> int:
        return len(self.locations)


def answer(form: Form, latent: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Answers (n, n_sessions, n_items) as the form records them, reversed items reversed.

    Parameters
    ----------
    latent : (n, n_sessions) level in within-client SDs; higher means more of what the form measures
        (for a form on which higher is better, ``points`` is negative for symptoms).
    """
    n, n_sessions = latent.shape
    n_subscales = max(form.subscales) + 1
    member = np.array(form.subscales)
    response = np.multiply.outer(latent, form.points * np.array(form.loadings))
    response += np.array(form.locations)
    client_subscale = form.sd_client_subscale * rng.standard_normal((n, 1, n_subscales))
    session_subscale = rng.standard_normal((n, n_sessions, n_subscales))
    response += (client_subscale + form.sd_session_subscale * session_subscale)[:, :, member]
    response += form.sd_client_item * rng.standard_normal((n, 1, form.n_items))
    response += form.sd_session_item * rng.standard_normal(response.shape)
    recorded = np.clip(np.rint(response / form.step) * form.step, form.low, form.high)
    turned = np.array(form.reversed_items, dtype=int) - 1
    recorded[:, :, turned] = form.low + form.high - recorded[:, :, turned]
    return recorded
