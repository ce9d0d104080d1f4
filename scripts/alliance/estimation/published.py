"""Published models from their description: which columns, which random effects, which criterion.

The descriptions stand in ``data/published/benchmarks.yaml``. They are data, so that another
published result is checked by adding lines there, not code here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from alliance.estimation.design import ModelDesign, pairs, plain_design
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import LmmFit, contrast, fit_lmm, likelihood_ratio
from alliance.ruptures.sudden_gains import describe_gains, find_sudden_gains

Values = dict[str, float]


class WideColumns(BaseModel):
    """Columns of a file with one column per session: new name -> name with ``{session}``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    session: str
    first: int
    last: int
    columns: dict[str, str]


class _Described(BaseModel):
    """A part of a description; unknown keys are refused so that typing errors are seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    data: str
    client: str
    wide: WideColumns | None = None
    labels: dict[str, str] = Field(default_factory=dict)


class MultilevelModel(_Described):
    """A two- or three-level model. Terms of ``fixed``: see :func:`term_values`."""

    kind: Literal["multilevel"]
    outcome: str
    fixed: tuple[str, ...]
    random: tuple[str, ...]
    criterion: Literal["REML", "ML"]
    therapist: str | None = None
    alone: str | None = None
    keep: dict[str, tuple[float, float]] = Field(default_factory=dict)
    compared_with: str | None = None


class SuddenGainsModel(_Described):
    """Sudden gains in one score with the criteria of Tang and DeRubeis."""

    kind: Literal["sudden_gains"]
    wide: WideColumns
    score: str
    cutoff: float


PublishedModel = Annotated[MultilevelModel | SuddenGainsModel, Field(discriminator="kind")]


@dataclass(frozen=True)
class Obtained:
    """What one described model gave.

    Attributes
    ----------
    numbers : quantity -> number, e.g. ``b(week)``, ``se(week)``, ``variance(intercept)``,
        ``covariance(intercept, week)``, ``sd(residual)``, ``icc``, ``deviance``, ``n_rows``.
    reason : why there are none. absent : whether the reason is that the data are not here.
    """

    numbers: Values = field(default_factory=dict)
    reason: str = ""
    absent: bool = False


def obtain(
    models: Mapping[str, PublishedModel],
    frames: Mapping[str, pd.DataFrame | None],
) -> dict[str, Obtained]:
    """Compute every described model whose data are here.

    Parameters
    ----------
    models : id -> description. frames : data set -> its rows as read, None where it is absent.

    Raises
    ------
    ValueError
        If a description names a column that the data do not have.
    """
    fits: dict[str, LmmFit] = {}
    found: dict[str, Obtained] = {}
    for name, model in models.items():
        frame = frames[model.data]
        if frame is None:
            found[name] = Obtained(reason="the data are not here", absent=True)
        elif isinstance(model, SuddenGainsModel):
            found[name] = Obtained(gains_values(frame, model))
        else:
            found[name] = _fitted(name, frame, model, fits)
    return found


def _fitted(
    name: str, frame: pd.DataFrame, model: MultilevelModel, fits: dict[str, LmmFit]
) -> Obtained:
    """Fit one model, keep the fit for later comparisons, and name its numbers."""
    design = published_design(frame, model)
    fit = fit_lmm(design, model.criterion)
    if isinstance(fit, Refusal):
        return Obtained(reason=fit.reason)
    if not fit.converged:
        return Obtained(reason=f"the fit did not converge: {fit.message}")
    fits[name] = fit
    values = fit_values(fit, design)
    if model.compared_with is not None:
        values |= _test_values(fit, fits.get(model.compared_with))
    return Obtained(values)


def published_design(frame: pd.DataFrame, model: MultilevelModel) -> ModelDesign:
    """The design of a described model, from the rows of its data that it uses.

    Rows with a gap in the outcome or a predictor are left out before clients' means are taken.
    """
    rows = _used_rows(frame, model)
    client = _groups(rows, model.client, model.alone)
    columns = [np.ones(len(rows)), *(term_values(rows, term, client) for term in model.fixed)]
    therapist = None if model.therapist is None else _groups(rows, model.therapist, model.alone)
    return plain_design(
        pd.to_numeric(rows[model.outcome]).to_numpy(dtype=np.float64),
        np.column_stack(columns),
        ("intercept", *model.fixed),
        client.to_numpy(),
        random=model.random,
        therapist=None if therapist is None else therapist.to_numpy(),
    )


def term_values(rows: pd.DataFrame, term: str, client: pd.Series) -> np.ndarray:
    """Numbers of one fixed effect, one per row.

    A term is a product ``a:b`` of factors: a column, ``mean(x)`` (the client's mean),
    ``deviation(x)`` (from it), or ``x=value`` (1 where the column has that value, else 0).
    """
    return np.prod([_factor_values(rows, part, client) for part in term.split(":")], axis=0)


_PART = re.compile(r"(?:(mean|deviation)\((.+)\)|([^=]+)=(.+)|(.+))")


def _factor_values(rows: pd.DataFrame, factor: str, client: pd.Series) -> np.ndarray:
    part, split_column, coded_column, value, _ = _PART.fullmatch(factor).groups()
    if coded_column:
        return _text(rows[coded_column]).eq(value).to_numpy(dtype=np.float64)
    numbers = pd.to_numeric(rows[split_column or factor]).astype(np.float64)
    if not split_column:
        return numbers.to_numpy()
    means = numbers.groupby(client).transform("mean")
    return (means if part == "mean" else numbers - means).to_numpy()


def column_of(factor: str) -> str:
    """The column of the data that a factor of a term is made from."""
    _, split_column, coded_column, _, plain = _PART.fullmatch(factor).groups()
    return split_column or coded_column or plain


def _text(values: pd.Series) -> pd.Series:
    """Codes as text; whole numbers without decimals, however the file was read."""
    if pd.api.types.is_numeric_dtype(values):
        return values.map(lambda number: f"{number:g}")
    return values.astype("str")


def _used_rows(frame: pd.DataFrame, model: MultilevelModel) -> pd.DataFrame:
    """Rows in the long form, within the limits of ``keep``, without gaps in what the model uses."""
    rows = frame if model.wide is None else long_rows(frame, model.wide, model.client)
    columns = [column_of(part) for term in model.fixed for part in term.split(":")]
    needed = list(dict.fromkeys([model.outcome, *columns]))
    absent = [name for name in [*needed, *model.keep, model.client] if name not in rows.columns]
    if absent:
        raise ValueError(f"the data of '{model.title}' lack the columns {', '.join(absent)}")
    for column, (low, high) in model.keep.items():
        rows = rows[pd.to_numeric(rows[column], errors="coerce").between(low, high)]
    return rows.dropna(subset=needed)


def long_rows(frame: pd.DataFrame, wide: WideColumns, client: str) -> pd.DataFrame:
    """One row per client and session, from a file with one column per session."""
    sessions = [
        pd.DataFrame(
            {
                client: frame[client],
                wide.session: number,
                **{
                    name: frame[pattern.format(session=number)]
                    for name, pattern in wide.columns.items()
                },
            }
        )
        for number in range(wide.first, wide.last + 1)
    ]
    return pd.concat(sessions, ignore_index=True)


def _groups(rows: pd.DataFrame, column: str, alone: str | None) -> pd.Series:
    """Labels of groups; where the group is unknown, one of its own per value of ``alone``."""
    known = rows[column].notna()
    labels = _text(rows[column])
    if known.all():
        return labels
    if alone is None:
        raise ValueError(f"column {column} has gaps and no column says who stands alone")
    return labels.where(known, "alone " + _text(rows[alone]))


# Numbers of a fit


def fit_values(fit: LmmFit, design: ModelDesign) -> Values:
    """Every number of a fit that a publication may print, by the name of its quantity."""
    values: Values = {
        "n_rows": fit.n_obs,
        "n_clients": design.n_clients,
        "deviance": fit.deviance,
        "aic": fit.deviance + 2 * fit.n_parameters,
    }
    for name, weights in zip(fit.names, np.eye(len(fit.names)), strict=True):
        found = contrast(fit, weights)
        values[f"b({name})"] = found.estimate
        values[f"se({name})"] = found.se
        values[f"ci_low({name})"] = found.ci_low
        values[f"ci_high({name})"] = found.ci_high
    return values | _variance_values(fit, design)


def _variance_values(fit: LmmFit, design: ModelDesign) -> Values:
    variances = {name: fit.sd(name) ** 2 for name in fit.random_names}
    if fit.therapist_cov.size:
        variances["therapist"] = float(fit.therapist_cov[0, 0])
    variances["residual"] = fit.sigma**2
    values = {f"variance({name})": value for name, value in variances.items()}
    values |= {f"sd({name})": float(np.sqrt(value)) for name, value in variances.items()}
    for a, b in pairs(design):
        pair = f"{fit.random_names[a]}, {fit.random_names[b]}"
        values[f"covariance({pair})"] = float(fit.client_cov[a, b])
    if fit.random_names == ("intercept",):  # with random slopes it depends on the predictor
        values["icc"] = variances["intercept"] / sum(variances.values())
    return values


def _test_values(larger: LmmFit, smaller: LmmFit | None) -> Values:
    if smaller is None:
        return {}
    test = likelihood_ratio(larger, smaller)
    degrees = larger.n_parameters - smaller.n_parameters
    return {"likelihood_ratio": test.statistic, "likelihood_ratio_df": degrees}


def gains_values(frame: pd.DataFrame, model: SuddenGainsModel) -> Values:
    """Counts and magnitudes of sudden gains, by the name of the quantity."""
    rows = long_rows(frame, model.wide, model.client)
    names = {model.client: "client", model.wide.session: "session", model.score: "score"}
    described = describe_gains(find_sudden_gains(rows.rename(columns=names), model.cutoff))
    several = 100 * described["n_clients_with_several"] / described["n_clients"]
    return described | {"pct_clients_with_several": several}
