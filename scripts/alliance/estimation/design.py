"""The design of one multilevel model: numbers for the estimators, or the reason there are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.estimation.residual_design import ResidualDesign, residual_design
from alliance.likelihood.statistics import NestedStatistics, accumulate
from alliance.study import Covariate, ModelSpec
from alliance.within_between import split_within_between

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Form = Literal["hybrid", "contextual", "within"]
# Names of the forms in a study file -> here.
DESIGN_FORM: dict[str, Form] = {
    "hybrid": "hybrid",
    "contextual": "contextual",
    "within_only": "within",
}


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


Level = Literal["within_client", "between_client", "between_therapist", "total"]
SMALLEST_CELL = 3
MIN_THERAPISTS = 20
MIN_CLIENTS_PER_THERAPIST = 3
MIN_CLIENTS_FOR_SLOPE = 5
MIN_THERAPISTS_FOR_SLOPE = 10
_COLLINEAR = 1e-9
_EXACT = 1e-12


class _RefusedError(Exception):
    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.refusal = Refusal(reason, advice)


@dataclass(frozen=True)
class _Column:
    name: str
    data: FloatArray
    level: Level
    label: str = ""


@dataclass(frozen=True)
class _Groups:
    """Codes of clients and therapists of every row."""

    client: IntArray
    client_ids: tuple[str, ...]
    therapist_of_client: IntArray | None
    n_therapists: int

    @cached_property
    def rows(self) -> IntArray:
        return np.bincount(self.client, minlength=len(self.client_ids))

    def mean(self, values: FloatArray) -> FloatArray:
        """Client means, (n_clients,)."""
        return np.bincount(self.client, values, len(self.client_ids)) / self.rows

    def deviations(self, values: FloatArray) -> FloatArray:
        return values - self.mean(values)[self.client]


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
    except _RefusedError as refused:
        return refused.refusal


def _build(
    frame: pd.DataFrame,
    spec: ModelSpec,
    covariates: Mapping[str, Covariate],
    form: Form,
    min_therapists: int,
    smallest_cell: int,
) -> ModelDesign:
    factors = _factors(spec)
    frame, notes = _complete_rows(frame, spec, [f for f in factors if f in covariates])
    groups = _groups(frame)
    y = frame["outcome"].to_numpy(dtype=np.float64)
    _check_rows(groups)
    _check_outcome(y, groups)
    if spec.therapists:
        _check_therapists(groups, min_therapists)
    columns, dropped = _columns(frame, spec, covariates, form, groups, smallest_cell)
    if form == "within":
        columns, y, more = _within_only(columns, y, groups)
        dropped += more
    X = np.column_stack([column.data for column in columns])
    _check_columns(X, columns)
    slopes, more = _random_slopes(spec, columns, groups, form)
    upper, more_upper = _therapist_slopes(spec, columns, groups, form)
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
        sd_within_outcome=_pooled_sd(frame["outcome"].to_numpy(dtype=np.float64), groups),
        **_predictor_facts(frame, spec, groups),
        client_ids=groups.client_ids,
        therapist_of_client=groups.therapist_of_client,
        column_levels=tuple(column.level for column in columns),
        labels={column.name: column.label for column in columns if column.label},
        dropped=(*dropped, *more),
        notes=notes,
    )


def _nested(spec: ModelSpec, groups: _Groups) -> bool:
    return spec.therapists and groups.therapist_of_client is not None


# Rows and groups


def _factors(spec: ModelSpec) -> list[str]:
    """Single variables named in the covariates, each once, in order of appearance."""
    names = [part for term in spec.covariates for part in term.split(":")]
    return list(dict.fromkeys(names))


def _complete_rows(
    frame: pd.DataFrame, spec: ModelSpec, covariates: list[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rows without a gap in what the model uses, centred anew when any row had to go."""
    needed = ["outcome", *covariates, *(["within"] if spec.kind == "within_between" else [])]
    if spec.residuals.variance_by not in (None, "phase"):
        needed.append(str(spec.residuals.variance_by))
    if "time" in _single_terms(spec):
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


def _groups(frame: pd.DataFrame) -> _Groups:
    client, ids = pd.factorize(frame["client"], sort=True)
    names = tuple(ids.astype(str).tolist())
    codes = client.astype(np.int64)
    if "therapist" not in frame.columns or frame["therapist"].isna().all():
        return _Groups(codes, names, None, 0)
    therapist = pd.factorize(frame["therapist"], sort=True)[0]
    first = np.full(len(names), -1, dtype=np.int64)
    first[codes] = therapist
    alone = first < 0
    first[alone] = first.max() + 1 + np.arange(alone.sum())
    owner = np.unique(first, return_inverse=True)[1].astype(np.int64)
    return _Groups(codes, names, owner, int(owner.max()) + 1 if owner.size else 0)


def _check_rows(groups: _Groups) -> None:
    n_clients = len(groups.client_ids)
    if n_clients < 2:
        raise _RefusedError(
            f"the model has {n_clients} client(s); at least 2 are needed",
            "Check that the client column is right and that predictor and outcome were measured.",
        )
    repeated = int((groups.rows >= 2).sum())
    if repeated < 2:
        raise _RefusedError(
            f"{repeated} of {n_clients} clients have two or more rows, so differences within "
            "clients cannot be told from differences between them",
            "The model needs repeated sessions; use `lag: same_session` if ratings are sparse.",
        )


def _check_outcome(y: FloatArray, groups: _Groups) -> None:
    if np.ptp(y) == 0:
        raise _RefusedError(
            "the outcome has the same value in every row", "Check the scoring of the outcome."
        )
    if _pooled_sd(y, groups) <= 1e-9 * np.std(y):
        raise _RefusedError(
            "the outcome never changes within a client",
            "Check that the outcome was measured at every session, not copied from intake.",
        )


def _check_therapists(groups: _Groups, min_therapists: int) -> None:
    owner = groups.therapist_of_client
    panels = np.zeros(0) if owner is None else np.bincount(owner)
    enough = int((panels >= MIN_CLIENTS_PER_THERAPIST).sum())
    if enough < min_therapists:
        raise _RefusedError(
            f"{enough} therapists have {MIN_CLIENTS_PER_THERAPIST} or more clients each; "
            f"differences between therapists need {min_therapists}",
            "Use the two-level model (therapists: false); its standard errors can be "
            "bootstrapped by therapist.",
        )


# Columns


def _columns(
    frame: pd.DataFrame,
    spec: ModelSpec,
    covariates: Mapping[str, Covariate],
    form: Form,
    groups: _Groups,
    smallest_cell: int,
) -> tuple[list[_Column], list[tuple[str, str]]]:
    """All fixed-effect columns, and the covariates that had to be left out."""
    columns = [_Column("intercept", np.ones(len(frame)), "total")]
    if spec.kind == "within_between":
        columns += _predictor_columns(frame, spec, form, groups)
    available: dict[str, list[_Column]] = {column.name: [column] for column in columns}
    dropped: list[tuple[str, str]] = []
    for name in _single_terms(spec):
        if name in available:
            continue
        made = _variable_columns(frame, name, covariates, groups, smallest_cell)
        available[name] = made
        columns += made
        if not made:
            dropped.append((name, "has the same value in every row"))
    for term in (term for term in spec.covariates if ":" in term):
        made, reason = _product_columns(term, available, groups, smallest_cell)
        columns += made
        if reason:
            dropped.append((term, reason))
    return columns, dropped


def _single_terms(spec: ModelSpec) -> list[str]:
    slopes = [*spec.random_slopes, *spec.therapist_slopes]
    implied = ["time"] if spec.kind == "course" or "time" in slopes else []
    return list(dict.fromkeys([*implied, *_factors(spec)]))


def _predictor_columns(
    frame: pd.DataFrame, spec: ModelSpec, form: Form, groups: _Groups
) -> list[_Column]:
    within = frame["within"].to_numpy(dtype=np.float64)
    between = frame["between"].to_numpy(dtype=np.float64)
    upper = np.zeros_like(within)
    if spec.therapists:
        upper = frame["between_therapist"].to_numpy(dtype=np.float64)
    _check_predictor(within, between, upper, form, spec.therapists)
    columns = [
        _Column("within", within, "within_client"),
        _Column("between", between, "between_client"),
        _Column("between_therapist", upper, "between_therapist"),
    ]
    if form == "contextual":
        columns = [
            _Column("within", within + between + upper, "within_client"),
            _Column("contextual", between + upper, "between_client"),
            _Column("contextual_therapist", upper, "between_therapist"),
        ]
    return columns if spec.therapists else columns[:2]


def _check_predictor(
    within: FloatArray, between: FloatArray, upper: FloatArray, form: Form, therapists: bool
) -> None:
    spread = np.std(within + between + upper)
    advice = "Check the scoring of the predictor; a constant rating can predict nothing."
    if spread == 0:
        raise _RefusedError("the predictor has the same value in every row", advice)
    if np.std(within) <= 1e-9 * spread:
        raise _RefusedError("the predictor never changes within a client", advice)
    if form != "within" and np.std(between) <= 1e-9 * spread:
        raise _RefusedError(
            "all clients have the same mean of the predictor, so it has no between-client part",
            "Use the within-only form, or check whether the scores were centred before.",
        )
    if therapists and np.std(upper) <= 1e-9 * spread:
        raise _RefusedError(
            "all therapists have the same mean of the predictor", "Use the two-level model."
        )


def _variable_columns(
    frame: pd.DataFrame,
    name: str,
    covariates: Mapping[str, Covariate],
    groups: _Groups,
    smallest_cell: int,
) -> list[_Column]:
    if name == "time":
        time = frame["time"].to_numpy(dtype=np.float64)
        return [_Column("time", time, "within_client")] if np.ptp(time) else []
    if name not in covariates:
        raise ValueError(f"{name!r} is neither `time` nor a declared covariate")
    covariate = covariates[name]
    level: Level = "between_client" if covariate.level == "client" else "total"
    label = covariate.label or name
    if covariate.type == "category":
        values = frame[name].astype(str).to_numpy(dtype=object)
        return _dummies(name, values, covariate, level, groups, smallest_cell)
    numbers = frame[name].to_numpy(dtype=np.float64)
    centre = groups.mean(numbers).mean() if level == "between_client" else numbers.mean()
    return [_Column(name, numbers - centre, level, label)] if np.ptp(numbers) else []


def _dummies(
    name: str,
    values: NDArray[np.object_],
    covariate: Covariate,
    level: Level,
    groups: _Groups,
    smallest_cell: int,
) -> list[_Column]:
    """0/1 columns against the declared reference, else the category with the most clients."""
    label = covariate.label or name
    sizes = {c: _clients_in(values == c, groups) for c in sorted(set(values))}
    small = [f"'{c}'" for c, size in sizes.items() if size < smallest_cell]
    if small and len(sizes) > 1:
        raise _RefusedError(
            f"{label}: too few clients in {', '.join(small)}; at least {smallest_cell} are needed",
            "Merge small categories (`labels` of the covariate) or leave the covariate out.",
        )
    reference = covariate.reference
    if reference is not None and reference not in sizes:
        raise _RefusedError(
            f"{label}: no client of the model is in the reference category '{reference}'",
            f"Choose `reference` among {', '.join(repr(c) for c in sizes)}.",
        )
    reference = reference or max(sizes, key=lambda c: (sizes[c], c))
    return [
        _Column(
            f"{name}[{c}]", (values == c).astype(float), level, f"{label} {c} versus {reference}"
        )
        for c in sizes
        if c != reference
    ]


def _clients_in(rows: NDArray[np.bool_], groups: _Groups) -> int:
    return int(np.unique(groups.client[rows]).size)


def _product_columns(
    term: str, available: dict[str, list[_Column]], groups: _Groups, smallest_cell: int
) -> tuple[list[_Column], str]:
    """Columns of an interaction; refused when it has a cell (almost) without clients."""
    parts = term.split(":")
    unknown = [part for part in parts if part not in available]
    if unknown:
        raise ValueError(f"{term!r} multiplies {', '.join(unknown)}, not in the model")
    if not all(available[part] for part in parts):
        return [], "one of its factors has the same value in every row"
    return [
        _one_product(factors, groups, smallest_cell)
        for factors in product(*(available[part] for part in parts))
    ], ""


def _one_product(factors: tuple[_Column, ...], groups: _Groups, smallest_cell: int) -> _Column:
    name = ":".join(factor.name for factor in factors)
    values = np.prod([factor.data for factor in factors], axis=0)
    cell = _clients_in(values != 0, groups)
    if cell < smallest_cell:
        raise _RefusedError(
            f"the interaction {name} rests on fewer than {smallest_cell} clients",
            "Merge categories or leave the interaction out.",
        )
    levels = {factor.level for factor in factors}
    order: tuple[Level, ...] = ("within_client", "total", "between_client", "between_therapist")
    level = next(level for level in order if level in levels)
    return _Column(name, values, level, " x ".join(f.label or f.name for f in factors))


def _within_only(
    columns: list[_Column], y: FloatArray, groups: _Groups
) -> tuple[list[_Column], FloatArray, list[tuple[str, str]]]:
    """Deviations from client means: what is left when every client has an intercept of its own."""
    kept: list[_Column] = []
    dropped: list[tuple[str, str]] = []
    for column in columns:
        moved = groups.deviations(column.data)
        if np.std(moved) > 1e-9 * max(np.std(column.data), 1e-300):
            kept.append(_Column(column.name, moved, "within_client", column.label))
        else:
            dropped.append((column.name, "does not vary within clients (within-only form)"))
    return kept, groups.deviations(y), dropped


# Checks on the finished columns


def _check_columns(X: FloatArray, columns: list[_Column]) -> None:
    """Refuse collinear columns, naming those in the dependency."""
    norms = np.sqrt(np.einsum("ij,ij->j", X, X))
    values, vectors = np.linalg.eigh((X.T @ X) / np.outer(norms, norms))
    if values[0] > _COLLINEAR:
        return
    involved = [
        c.name for c, weight in zip(columns, vectors[:, 0], strict=True) if abs(weight) > 1e-3
    ]
    raise _RefusedError(
        f"{', '.join(involved)} are collinear: one is a linear function of the others",
        "Leave one of them out of the model.",
    )


def _random_slopes(
    spec: ModelSpec, columns: list[_Column], groups: _Groups, form: Form
) -> tuple[list[int], list[tuple[str, str]]]:
    """Positions of the columns with random slopes; slopes the data cannot carry are dropped."""
    names = [column.name for column in columns]
    slopes: list[int] = []
    dropped: list[tuple[str, str]] = []
    for name in spec.random_slopes:
        if form == "within":
            dropped.append((f"random slope of {name}", "the within-only form has none"))
            continue
        if name not in names:
            dropped.append((f"random slope of {name}", "the term itself is not in the model"))
            continue
        position = names.index(name)
        moves = np.bincount(groups.client, groups.deviations(columns[position].data) ** 2) > 0
        rows = 3 + len(slopes)
        able = int((moves & (groups.rows >= rows)).sum())
        if able >= MIN_CLIENTS_FOR_SLOPE:
            slopes.append(position)
        else:
            reason = f"{able} clients have {rows} or more rows; {MIN_CLIENTS_FOR_SLOPE} are needed"
            dropped.append((f"random slope of {name}", reason))
    return slopes, dropped


def _therapist_slopes(
    spec: ModelSpec, columns: list[_Column], groups: _Groups, form: Form
) -> tuple[list[int], list[tuple[str, str]]]:
    """Positions of the columns whose slopes differ between therapists, if the data carry them."""
    names = [column.name for column in columns]
    owner = groups.therapist_of_client
    slopes: list[int] = []
    dropped: list[tuple[str, str]] = []
    for name in dict.fromkeys(spec.therapist_slopes):
        what = f"therapist slope of {name}"
        if form == "within" or owner is None:
            dropped.append((what, "the within-only form has none"))
            continue
        if name not in names:
            dropped.append((what, "the term itself is not in the model"))
            continue
        position = names.index(name)
        able = _therapists_with_variation(columns[position], groups)
        if able >= MIN_THERAPISTS_FOR_SLOPE:
            slopes.append(position)
        else:
            need = f"{MIN_CLIENTS_PER_THERAPIST} or more clients on whom {name} varies"
            reason = f"{able} therapists have {need}; {MIN_THERAPISTS_FOR_SLOPE} are needed"
            dropped.append((what, reason))
    return slopes, dropped


def _therapists_with_variation(column: _Column, groups: _Groups) -> int:
    """Therapists with enough clients on whom a column varies (within them, or between them)."""
    owner = groups.therapist_of_client
    assert owner is not None
    if column.level == "between_client":
        moves = np.abs(groups.mean(column.data)) > 0
    else:
        moves = np.bincount(groups.client, groups.deviations(column.data) ** 2) > 0
    return int((np.bincount(owner[moves]) >= MIN_CLIENTS_PER_THERAPIST).sum())


def _residuals(
    frame: pd.DataFrame,
    spec: ModelSpec,
    covariates: Mapping[str, Covariate],
    groups: _Groups,
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
    X: FloatArray, y: FloatArray, columns: list[_Column], groups: _Groups, n_slopes: int
) -> None:
    n_parameters = X.shape[1] + (n_slopes + 1) * (n_slopes + 2) // 2 + 1
    upper = sum(c.level in ("between_client", "between_therapist") for c in columns) + 1
    if len(y) <= n_parameters or len(groups.client_ids) <= upper:
        raise _RefusedError(
            f"{len(y)} rows of {len(groups.client_ids)} clients are too few for {X.shape[1]} "
            f"fixed effects, {upper - 1} of them about differences between clients",
            "Leave covariates out or add clients.",
        )
    moved = np.column_stack([groups.deviations(column) for column in X.T])
    target = groups.deviations(y)
    fitted = moved @ np.linalg.lstsq(moved.T @ moved, moved.T @ target, rcond=1e-10)[0]
    if np.sum((target - fitted) ** 2) <= _EXACT * np.sum(target**2):
        raise _RefusedError(
            "the outcome is an exact linear function of the predictors within clients",
            "Check whether a variable was computed from the outcome.",
        )


# What is known about the predictor


def _pooled_sd(values: FloatArray, groups: _Groups) -> float:
    degrees = len(values) - len(groups.client_ids)
    return float(np.sqrt(np.sum(groups.deviations(values) ** 2) / degrees)) if degrees else np.nan


def _predictor_facts(frame: pd.DataFrame, spec: ModelSpec, groups: _Groups) -> dict[str, float]:
    """Pooled within SD, SD of true client means, and the reliability of the client means.

    ``lambda = tau^2 / (tau^2 + s_w^2 mean(1 / T_i))`` (Luedtke et al. 2008; methods 1.1), where
    ``tau^2`` is the observed variance of the means (around their therapist's) minus their error.
    """
    if spec.kind != "within_between":
        return {"sd_within_predictor": np.nan}
    within = _pooled_sd(frame["within"].to_numpy(dtype=np.float64), groups)
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
