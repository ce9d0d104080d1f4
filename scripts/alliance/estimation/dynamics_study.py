"""One dynamic analysis of a study file, from scored sessions to rows of the estimates table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from alliance.estimates import Estimate
from alliance.estimation.dynamics import VarFit, fit_var
from alliance.estimation.dynamics_layout import VarSpec
from alliance.estimation.dynamics_maker import VarContext, var_context
from alliance.estimation.dynamics_rows import dynamics_rows
from alliance.estimation.dynamics_series import VarSeries, occasions, var_series
from alliance.estimation.refusal import Refusal
from alliance.instruments import Instrument
from alliance.reliability import coefficient_of
from alliance.study import DynamicsSpec, Study
from alliance.within_between import direction

# How terms of rows end -> coefficient of the study's own reliability, within clients.
OWN_RELIABILITIES = {"reliability_omega": "omega", "reliability_own": "Rcn"}


@dataclass(frozen=True)
class DynamicAnalysis:
    """What one entry of ``dynamics:`` asks for.

    Attributes
    ----------
    asked : the entry. series : client by session, or why there is none. spec : the model.
    context : what all rows share. own_reliabilities : the study's own within-client reliabilities
        of the series, by coefficient (:data:`OWN_RELIABILITIES`), where they are known.
    """

    asked: DynamicsSpec
    series: VarSeries | Refusal
    spec: VarSpec
    context: VarContext
    own_reliabilities: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def dynamic_analysis(
    study: Study,
    name: str,
    instruments: Mapping[str, Instrument],
    sessions: pd.DataFrame,
    clients: pd.DataFrame,
    reliability: pd.DataFrame | None = None,
    code_hash: str = "",
) -> DynamicAnalysis:
    """One analysis of the study file.

    Parameters
    ----------
    name : key of the entry of ``dynamics:``. sessions, clients : scored sessions and clients.
    reliability : table of :mod:`alliance.reliability`, for the study's own reliabilities.
    """
    asked = study.dynamics[name]
    series = var_series(
        sessions, columns_of(asked), _directions(study, asked, instruments), clients=clients
    )
    context = var_context(study, name, asked.series, dict(instruments), code_hash)
    return DynamicAnalysis(
        asked,
        series,
        spec_of(study, asked),
        _with_component(context, asked),
        {} if reliability is None else own_reliabilities(asked, reliability),
    )


def columns_of(asked: DynamicsSpec) -> dict[str, str]:
    """Name of each series -> column of the scored sessions."""
    columns = dict(asked.series)
    if asked.component:
        columns["alliance"] = f"{asked.alliance}_{asked.component}"
    return columns


def spec_of(study: Study, asked: DynamicsSpec) -> VarSpec:
    """The dynamic model; the order of measurement is that of the timing rule."""
    alliance, outcome = occasions(study.timing)
    ranks = tuple(
        outcome if study.measures[measure].role == "outcome" else alliance
        for measure in asked.series.values()
    )
    return VarSpec(ranks, trend=asked.trend, random_trend=asked.random_trend)


def _directions(
    study: Study, asked: DynamicsSpec, instruments: Mapping[str, Instrument]
) -> dict[str, tuple[str, tuple[float, float]]]:
    """Outcomes are turned so that higher is worse."""
    measures = {series: study.measures[measure] for series, measure in asked.series.items()}
    return {
        series: direction(measure, instruments.get(measure.instrument or ""))
        for series, measure in measures.items()
        if measure.role == "outcome"
    }


def _with_component(context: VarContext, asked: DynamicsSpec) -> VarContext:
    """The alliance's label names its subscale, where one is asked for."""
    if not asked.component:
        return context
    whole = context.labels["alliance"]
    part = f"{whole.label}, {asked.component.replace('_', ' ')}"
    named = replace(whole, label=part, component=asked.component)
    return replace(context, labels={**context.labels, "alliance": named})


def own_reliabilities(asked: DynamicsSpec, table: pd.DataFrame) -> dict[str, tuple[float, ...]]:
    """Suffix of the terms -> reliability of change within clients of each series.

    Omega is the share of common variance in deviations from the client's own level, which is what
    the model splits. Rcn counts lasting differences between items as error too; they do not disturb
    such deviations, so that it assumes more error than there is where items differ.
    """
    found = {
        suffix: _own_reliability(asked, table, coefficient)
        for suffix, coefficient in OWN_RELIABILITIES.items()
    }
    return {suffix: values for suffix, values in found.items() if values is not None}


def _own_reliability(
    asked: DynamicsSpec, table: pd.DataFrame, coefficient: str
) -> tuple[float, ...] | None:
    """One coefficient of each series; 1 where it is not known, None where none is."""
    scales = [asked.component or "total", *["total"] * (len(asked.series) - 1)]
    found = [
        coefficient_of(table, measure, "within_client", coefficient, scale)
        for measure, scale in zip(asked.series.values(), scales, strict=True)
    ]
    if not any(0.0 < value <= 1.0 for value in found):
        return None
    return tuple(value if 0.0 < value <= 1.0 else 1.0 for value in found)


def analysis_rows(analysis: DynamicAnalysis, seed: int) -> list[Estimate]:
    """All rows by maximum likelihood: model, tests, comparators, sensitivity, bootstrap.

    Parameters
    ----------
    seed : of the bootstrap.
    """
    asked = analysis.asked
    width = len(asked.series)
    return dynamics_rows(
        analysis.series,
        analysis.spec,
        analysis.context,
        reliabilities=[(value,) * width for value in asked.reliability if value < 1.0],
        own_reliabilities=analysis.own_reliabilities,
        phase_from=asked.phase_from,
        comparators=asked.comparators,
        continuous=asked.comparators,
        n_bootstrap=asked.bootstrap,
        seed=seed,
    )


def fit_for_sampling(analysis: DynamicAnalysis) -> VarFit | Refusal:
    """The maximum-likelihood fit around which the posterior is sampled, or why there is none."""
    if isinstance(analysis.series, Refusal):
        return analysis.series
    fit = fit_var(analysis.series, analysis.spec)
    if isinstance(fit, VarFit) and not (fit.converged and np.isfinite(fit.x_cov).all()):
        return Refusal("the maximum-likelihood fit did not converge", "; ".join(fit.problems))
    return fit
