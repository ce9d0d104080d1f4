"""The Bayesian model of a design: units of sampling, priors and the compiled likelihood.

Inside, outcome and predictors are in pooled within-client SDs (the units of the priors) and
columns are centred.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import nutpie
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray

from alliance.estimation.bayes_op import MarginalLogLikelihood, shared_data
from alliance.estimation.design import ModelDesign
from alliance.estimation.positive import ScaledSoftplus
from alliance.estimation.priors import Priors
from alliance.likelihood.marginal import MarginalData, pack
from alliance.likelihood.statistics import NestedStatistics, accumulate

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Standard:
    """Units of sampling: ``y = offset + outcome * y*`` and ``X = columns * X*``.

    Attributes
    ----------
    outcome : pooled within-client SD of the outcome. offset : its grand mean.
    columns : (p,) scale of every column, 1 for the intercept and 0/1 columns.
    centre : (p,) means of the columns of X*, 0 for the intercept.
    """

    outcome: float
    offset: float
    columns: FloatArray
    centre: FloatArray

    def raw_coefficients(self, beta: FloatArray) -> FloatArray:
        """(..., p) coefficients of sampling to coefficients of the design's own columns."""
        raw = beta * (self.outcome / self.columns)
        raw[..., 0] = self.offset + self.outcome * (beta[..., 0] - beta @ self.centre)
        return raw


@dataclass(frozen=True)
class BayesModel:
    """A model ready to be sampled, again and again with new outcomes if need be.

    Attributes
    ----------
    model : the PyMC model. compiled : what nutpie made of it.
    statistics, data : sufficient statistics in units of sampling.
    """

    design: ModelDesign
    priors: Priors
    standard: Standard
    statistics: NestedStatistics
    data: MarginalData
    model: pm.Model
    compiled: Any


def standardise(design: ModelDesign) -> Standard:
    """Units of sampling of a design (see :class:`Standard`)."""
    if design.names[0] != "intercept" or not design.client_columns.size:
        raise ValueError("the Bayesian model needs an intercept that varies between clients")
    outcome = _pooled_sd(design.y, design.client)
    scales: dict[str, float] = {}
    for name, column in zip(design.names, design.X.T, strict=True):
        scales[name] = _column_scale(name, column, design, scales)
    columns = np.array([scales[name] for name in design.names])
    centre = design.X.mean(axis=0) / columns
    centre[0] = 0.0
    return Standard(outcome, float(design.y.mean()), columns, centre)


def _column_scale(
    name: str, column: FloatArray, design: ModelDesign, known: Mapping[str, float]
) -> float:
    """Unit in which the prior of a column speaks."""
    if name == "intercept" or (name.endswith("]") and ":" not in name):
        return 1.0
    if ":" in name and all(factor in known for factor in name.split(":")):
        return float(np.prod([known[factor] for factor in name.split(":")]))
    if name.startswith(("within", "between", "contextual")):
        return design.sd_within_predictor
    within = _pooled_sd(column, design.client) if name == "time" else 0.0
    return within or float(column.std()) or 1.0


def _pooled_sd(values: FloatArray, client: IntArray) -> float:
    """Pooled within-client SD; the SD over all rows where no client varies."""
    rows = np.bincount(client)
    deviations = values - (np.bincount(client, values) / rows)[client]
    freedom = (rows - 1).sum()
    pooled = np.sqrt(deviations @ deviations / freedom) if freedom else 0.0
    return float(pooled) or float(values.std()) or 1.0


def standard_statistics(
    design: ModelDesign, standard: Standard, y: FloatArray | None = None
) -> NestedStatistics:
    """Sufficient statistics in units of sampling, of the observed or of another outcome."""
    outcome = design.y if y is None else y
    return accumulate(
        design.X / standard.columns,
        (outcome - standard.offset) / standard.outcome,
        design.client,
        design.client_columns,
        design.therapist,
        design.therapist_columns,
    )


def build_model(
    design: ModelDesign, priors: Priors, standard: Standard, data: MarginalData
) -> pm.Model:
    """The PyMC model: five vectors of parameters and one operation for the likelihood."""
    scales = prior_scales(design, priors)
    with pm.Model() as model:
        beta = pm.Normal("beta", 0.0, scales["beta"], shape=scales["beta"].shape)
        sigma = pm.HalfNormal("sigma", priors.sd_residual)
        groups = []
        for level in ("client", "therapist"):
            sd, shape = scales[f"sd_{level}"], scales[f"unit_{level}"]
            groups.append(
                pm.HalfNormal(
                    f"sd_{level}", sd, shape=sd.shape, default_transform=ScaledSoftplus(sd)
                )
                if sd.size
                else pt.zeros(0)
            )
            groups.append(
                pm.Beta(f"unit_{level}", shape, shape, shape=shape.shape)
                if shape.size
                else pt.zeros(0)
            )
        inputs = (beta, sigma, *groups, *shared_data(data, standard.centre))
        pm.Potential("log_likelihood", MarginalLogLikelihood()(*inputs)[0])
    return model


def prior_scales(design: ModelDesign, priors: Priors) -> dict[str, FloatArray]:
    """Scales of the priors of every parameter vector, in units of sampling."""
    random = design.random_names
    upper = [design.names[k] for k in design.therapist_columns]
    return {
        "beta": np.array([priors.coefficient(name) for name in design.names]),
        "sigma": np.array(priors.sd_residual),
        "sd_client": np.array([priors.client_sd(name) for name in random]),
        "unit_client": partial_shapes(len(random), priors.correlation),
        "sd_therapist": np.array([priors.therapist_sd(name) for name in upper]),
        "unit_therapist": partial_shapes(len(upper), priors.correlation),
    }


def partial_shapes(q: int, eta: float) -> FloatArray:
    """Beta shapes of partial correlations under LKJ(eta), row by row (Lewandowski et al. 2009)."""
    return np.array([eta + (q - 2 - column) / 2 for row in range(q) for column in range(row)])


def compile_model(design: ModelDesign, priors: Priors) -> BayesModel:
    """Build and compile; the compiled code is cached and serves all designs of the same shape."""
    standard = standardise(design)
    statistics = standard_statistics(design, standard)
    data = pack(statistics)
    model = build_model(design, priors, standard, data)
    compiled = nutpie.compile_pymc_model(model)
    return BayesModel(design, priors, standard, statistics, data, model, compiled)


def with_outcome(prepared: BayesModel, y: FloatArray) -> BayesModel:
    """The same compiled model for another outcome (raw units), e.g. one simulated from the prior.

    Units and priors stay those of the original design.
    """
    statistics = standard_statistics(prepared.design, prepared.standard, y)
    return with_data(prepared, statistics, pack(statistics))


def with_data(prepared: BayesModel, statistics: NestedStatistics, data: MarginalData) -> BayesModel:
    """The same compiled model on other data, in units of sampling."""
    names = ("total", "n_rows", "zx", "gram", "zw", "therapist", "wx", "ww")
    in_use = {variable.name for variable in prepared.compiled.shared_var_keys}
    updates = {
        f"data_{name}": value
        for name, value in zip(names, data.arrays(), strict=True)
        if f"data_{name}" in in_use
    }
    compiled = prepared.compiled.with_data(**updates)
    return replace(prepared, statistics=statistics, data=data, compiled=compiled)


def log_prior(
    design: ModelDesign, priors: Priors, parameters: Mapping[str, FloatArray]
) -> FloatArray:
    """(chain, draw) log density of the priors of all parameters, in units of sampling."""
    total = np.zeros(parameters["sigma"].shape)
    for name, scale in prior_scales(design, priors).items():
        values = parameters[name]
        if name.startswith("unit"):
            density = (scale - 1.0) * (np.log(values) + np.log1p(-values))
        else:
            density = -0.5 * (values / scale) ** 2 - np.log(scale)
        total += density if name == "sigma" else density.sum(axis=-1)
    return total
