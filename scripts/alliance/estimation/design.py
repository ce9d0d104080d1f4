"""The design of one multilevel model: numbers for the estimators, or the reason there are none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from alliance.likelihood.statistics import NestedStatistics, accumulate

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Form = Literal["hybrid", "contextual", "within"]


@dataclass(frozen=True)
class Refusal:
    """Why a model is not estimated, and what the user can do about it."""

    reason: str
    advice: str


@dataclass(frozen=True)
class ModelDesign:
    """Everything an estimator needs to know about one model.

    Attributes
    ----------
    y : (n_obs,) outcome, higher = worse.
    X : (n_obs, p) fixed-effect columns; ``names`` are theirs: ``intercept``, ``within``,
        ``between``, ``between_therapist``, ``time``, ``modality[psychodynamic]``,
        ``time:arm[TAU]``. In the contextual form ``within`` is the predictor itself (its
        coefficient is the within effect) and ``contextual`` the client mean.
    client : (n_obs,) codes 0..n_clients-1 in order of the sorted ids ``client_ids``.
    therapist : (n_obs,) codes 0..n_therapists-1, or None in two-level models.
    client_columns, therapist_columns : columns of X with random effects at that level.
    median_sessions : median number of rows of a client.
    sd_within_predictor, sd_within_outcome : pooled within-client SDs; NaN without predictor.
    sd_between_predictor : SD of the true client means (observed variance minus its error).
    predictor_reliability : lambda of the client means, tau^2 / (tau^2 + s_w^2 / T) (methods 1.1).
    column_levels : per column, the level its coefficient is about.
    labels : covariate or category column -> words.
    dropped : (term, reason) of terms that had to be left out.
    notes : further remarks, e.g. rows left out for a missing covariate.
    """

    y: FloatArray
    X: FloatArray
    names: tuple[str, ...]
    client: IntArray
    therapist: IntArray | None
    client_columns: IntArray
    therapist_columns: IntArray
    form: Form
    n_clients: int
    n_therapists: int
    median_sessions: float
    sd_within_predictor: float
    sd_within_outcome: float
    sd_between_predictor: float = np.nan
    predictor_reliability: float = np.nan
    client_ids: tuple[str, ...] = ()
    column_levels: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    dropped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def n_obs(self) -> int:
        return int(self.y.size)

    @property
    def random_names(self) -> tuple[str, ...]:
        """Names of the client-level random effects, in their order."""
        return tuple(self.names[k] for k in self.client_columns)

    def column(self, name: str) -> int | None:
        """Position of a column, None when the model does not have it."""
        return self.names.index(name) if name in self.names else None

    def statistics(self) -> NestedStatistics:
        """The sufficient statistics of the design."""
        return accumulate(
            self.X,
            self.y,
            self.client,
            self.client_columns,
            self.therapist,
            self.therapist_columns,
        )
