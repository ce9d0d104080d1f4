"""The design of one multilevel model: numbers for the estimators, or the reason there are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.estimation.design_columns import (
    Column,
    Form,
    check_columns,
    fixed_columns,
    single_terms,
    variables_of,
    within_only,
)
from alliance.estimation.design_groups import (
    Groups,
    check_outcome,
    check_rows,
    check_therapists,
    groups_of,
    pooled_sd,
)
from alliance.estimation.design_slopes import client_slopes, therapist_slopes
from alliance.estimation.refusal import Refusal, RefusedError
from alliance.estimation.residual_design import ResidualDesign, residual_design
from alliance.likelihood.statistics import NestedStatistics, accumulate
from alliance.study import Covariate, ModelSpec
from alliance.within_between import split_within_between

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
# Names of the forms in a study file -> here.
DESIGN_FORM: dict[str, Form] = {
    "hybrid": "hybrid",
    "contextual": "contextual",
    "within_only": "within",
}


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
    therapist_of_client : (n_clients,) therapist codes for a cluster bootstrap, also in two-level
        models; a client without a known therapist has a code of its own. None without the column.
    column_levels : per column, the level its coefficient is about.
    labels : covariate or category column -> words.
    residuals : their structure; None where they are independent and of one size.
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
    therapist_of_client: IntArray | None = None
    column_levels: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    residuals: ResidualDesign | None = None
    dropped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def n_obs(self) -> int:
        return int(self.y.size)

    @property
    def random_names(self) -> tuple[str, ...]:
        """Names of the client-level random effects, in their order."""
        return tuple(self.names[k] for k in self.client_columns)

    @property
    def therapist_names(self) -> tuple[str, ...]:
        """Names of the therapist-level random effects, in their order."""
        return tuple(self.names[k] for k in self.therapist_columns)

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


SMALLEST_CELL = 3
MIN_THERAPISTS = 20
_EXACT = 1e-12


def build_design(
    frame: pd.DataFrame,
    spec: ModelSpec,
    covariates: Mapping[str, Covariate],
    form: Form = "hybrid",
    *,
    min_therapists: int = MIN_THERAPISTS,
    smallest_cell: int = SMALLEST_CELL,
) -> ModelDesign | Refusal:
    """Turn a model frame into numbers, or say why the model cannot be estimated.

    Parameters
    ----------
    frame : ``within_between.model_frame`` of the model.
    form : ``hybrid`` (within and between effect), ``contextual`` (within effect and the difference
        of the two) or ``within`` (fixed effects of clients, no random effects).
    min_therapists : therapists with three clients each that a three-level model needs (methods
        1.8). smallest_cell : clients a category needs.

    Notes
    -----
    Continuous covariates are centred on their mean (over clients for client-level covariates).
    A product of terms brings its main effects along.
    """
    try:
        return _build(frame, spec, covariates, form, min_therapists, smallest_cell)
    except RefusedError as refused:
        return refused.refusal


def _build(
    frame: pd.DataFrame,
    spec: ModelSpec,
    covariates: Mapping[str, Covariate],
    form: Form,
    min_therapists: int,
    smallest_cell: int,
) -> ModelDesign:
    factors = variables_of(spec)
    frame, notes = _complete_rows(frame, spec, [f for f in factors if f in covariates])
    groups = groups_of(frame)
    y = frame["outcome"].to_numpy(dtype=np.float64)
    check_rows(groups)
    check_outcome(y, groups)
    if spec.therapists:
        check_therapists(groups, min_therapists)
    columns, dropped = fixed_columns(frame, spec, covariates, form, groups, smallest_cell)
    if form == "within":
        columns, y, more = within_only(columns, y, groups)
        dropped += more
    X = np.column_stack([column.data for column in columns])
    check_columns(X, columns)
    slopes, more = client_slopes(spec, columns, groups, form)
    upper, more_upper = therapist_slopes(spec, columns, groups, form)
    residuals, more_residuals = _residuals(frame, spec, covariates, groups, form, smallest_cell)
    more += more_upper + more_residuals
    _check_freedom(X, y, columns, groups, len(slopes))
    return ModelDesign(
        y=y,
        X=X,
        names=tuple(column.name for column in columns),
        client=groups.client,
        therapist=groups.therapist_of_client[groups.client] if _nested(spec, groups) else None,
        client_columns=np.array([] if form == "within" else [0, *slopes], dtype=np.int64),
        therapist_columns=np.array([0, *upper] if spec.therapists else [], dtype=np.int64),
        form=form,
        residuals=residuals,
        n_clients=len(groups.client_ids),
        n_therapists=groups.n_therapists if spec.therapists else 0,
        median_sessions=float(np.median(groups.rows)),
        sd_within_outcome=pooled_sd(frame["outcome"].to_numpy(dtype=np.float64), groups),
        **_predictor_facts(frame, spec, groups),
        client_ids=groups.client_ids,
        therapist_of_client=groups.therapist_of_client,
        column_levels=tuple(column.level for column in columns),
        labels={column.name: column.label for column in columns if column.label},
        dropped=(*dropped, *more),
        notes=notes,
    )


def _nested(spec: ModelSpec, groups: Groups) -> bool:
    return spec.therapists and groups.therapist_of_client is not None


def _complete_rows(
    frame: pd.DataFrame, spec: ModelSpec, covariates: list[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rows without a gap in what the model uses, centred anew when any row had to go."""
    needed = ["outcome", *covariates, *(["within"] if spec.kind == "within_between" else [])]
    if spec.residuals.variance_by not in (None, "phase"):
        needed.append(str(spec.residuals.variance_by))
    if "time" in single_terms(spec):
        needed.append("time")
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise ValueError(f"the model frame lacks the columns {', '.join(missing)}")
    complete = frame[needed].notna().all(axis=1)
    if complete.all():
        return frame, ()
    kept = frame[complete]
    if "predictor" in kept.columns and spec.kind == "within_between":
        kept = split_within_between(kept, spec.therapists)
    lost = int((~complete).sum())
    clients = frame["client"].nunique() - kept["client"].nunique()
    return kept, (f"{lost} rows ({clients} clients) left out for a missing covariate or outcome",)


def _residuals(
    frame: pd.DataFrame,
    spec: ModelSpec,
    covariates: Mapping[str, Covariate],
    groups: Groups,
    form: Form,
    smallest_cell: int,
) -> tuple[ResidualDesign | None, list[tuple[str, str]]]:
    if spec.residuals.simple:
        return None, []
    if form == "within":
        return None, [("residual correlation", "the within-only form has robust errors instead")]
    covariate = covariates.get(spec.residuals.variance_by or "")
    return residual_design(frame, spec, covariate, groups.client, smallest_cell)


def _check_freedom(
    X: FloatArray, y: FloatArray, columns: list[Column], groups: Groups, n_slopes: int
) -> None:
    n_parameters = X.shape[1] + (n_slopes + 1) * (n_slopes + 2) // 2 + 1
    upper = sum(c.level in ("between_client", "between_therapist") for c in columns) + 1
    if len(y) <= n_parameters or len(groups.client_ids) <= upper:
        raise RefusedError(
            f"{len(y)} rows of {len(groups.client_ids)} clients are too few for {X.shape[1]} "
            f"fixed effects, {upper - 1} of them about differences between clients",
            "Leave covariates out or add clients.",
        )
    moved = np.column_stack([groups.deviations(column) for column in X.T])
    target = groups.deviations(y)
    fitted = moved @ np.linalg.lstsq(moved.T @ moved, moved.T @ target, rcond=1e-10)[0]
    if np.sum((target - fitted) ** 2) <= _EXACT * np.sum(target**2):
        raise RefusedError(
            "the outcome is an exact linear function of the predictors within clients",
            "Check whether a variable was computed from the outcome.",
        )


def _predictor_facts(frame: pd.DataFrame, spec: ModelSpec, groups: Groups) -> dict[str, float]:
    """Pooled within SD, SD of true client means, and the reliability of the client means.

    ``lambda = tau^2 / (tau^2 + s_w^2 mean(1 / T_i))`` (Luedtke et al. 2008; methods 1.1), where
    ``tau^2`` is the observed variance of the means (around their therapist's) minus their error.
    """
    if spec.kind != "within_between":
        return {"sd_within_predictor": np.nan}
    within = pooled_sd(frame["within"].to_numpy(dtype=np.float64), groups)
    means = groups.mean(frame["between"].to_numpy(dtype=np.float64))
    degrees = len(means) - (groups.n_therapists if spec.therapists else 1)
    if degrees < 1:
        return {"sd_within_predictor": within}
    observed = float(np.sum((means - (0 if spec.therapists else means.mean())) ** 2) / degrees)
    true = max(observed - within**2 * float(np.mean(1 / groups.rows)), 0.0)
    return {
        "sd_within_predictor": within,
        "sd_between_predictor": float(np.sqrt(true)),
        "predictor_reliability": true / observed if observed > 0 else np.nan,
    }


def plain_design(
    y: FloatArray,
    X: FloatArray,
    names: Sequence[str],
    client: NDArray[np.generic],
    *,
    random: Sequence[str] = ("intercept",),
    therapist: NDArray[np.generic] | None = None,
    random_therapist: Sequence[str] = ("intercept",),
    residuals: ResidualDesign | None = None,
) -> ModelDesign:
    """A design from finished columns, for published models that no study file describes.

    Parameters
    ----------
    random : names of the columns with client-level random effects; ``therapist`` (one per row)
        adds random effects of therapists on the columns ``random_therapist``.
    """
    ids, codes = np.unique(client, return_inverse=True)
    owner = None
    if therapist is not None:
        owner = np.zeros(len(ids), dtype=np.int64)
        owner[codes] = np.unique(therapist, return_inverse=True)[1]
    return ModelDesign(
        y=np.asarray(y, dtype=np.float64),
        X=np.asarray(X, dtype=np.float64),
        names=tuple(names),
        client=codes.astype(np.int64),
        therapist=None if owner is None else owner[codes],
        client_columns=np.array([list(names).index(name) for name in random], dtype=np.int64),
        therapist_columns=np.array(
            [] if owner is None else [list(names).index(name) for name in random_therapist],
            dtype=np.int64,
        ),
        form="hybrid",
        n_clients=len(ids),
        n_therapists=0 if owner is None else int(owner.max()) + 1,
        median_sessions=float(np.median(np.bincount(codes))),
        sd_within_predictor=np.nan,
        sd_within_outcome=np.nan,
        client_ids=tuple(str(value) for value in ids),
        therapist_of_client=owner,
        column_levels=("total",) * len(names),
        residuals=residuals,
    )


def for_independent_residuals(
    design: ModelDesign | Refusal, estimator: str
) -> ModelDesign | Refusal:
    """The design for an estimator that knows only independent residuals of one size, or why not."""
    if isinstance(design, Refusal) or design.residuals is None:
        return design
    return Refusal(
        f"{estimator} has no such model: residuals correlated or of different size",
        "The REML or ML estimates of the model are given without this check.",
    )


def pairs(design: ModelDesign) -> Iterator[tuple[int, int]]:
    """Index pairs (a < b) of the client-level random effects."""
    q = len(design.client_columns)
    return ((a, b) for a in range(q) for b in range(a + 1, q))
