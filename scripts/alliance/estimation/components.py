"""Goal, task and bond: which part of the alliance goes with the outcome? (methods 1.12).

One model per component; all components in one model; and that joint model in the form of a mean
and orthogonal contrasts. That one component counts more than another is only said by the interval
of a contrast, never by one effect being significant and another not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.estimates import Estimate
from alliance.estimation.columns import two_level, with_columns
from alliance.estimation.design import ModelDesign, build_design
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import LmmFit, contrast, fit_lmm
from alliance.estimation.row_maker import RowMaker, maker_of, refused_rows
from alliance.estimation.terms import RowContext
from alliance.study import Covariate, ModelSpec
from alliance.within_between import split_within_between

FloatArray = NDArray[np.float64]
_INTERVAL = "95% t, Satterthwaite"
_LEVEL = {"within": "within_client", "between": "between_client"}
_WHERE = {"within": "Within clients", "between": "Between clients"}
# The order makes the contrasts those of the specification: goal - task, bond - (goal + task) / 2.
_ORDER = ("task", "goal", "bond")


def component_rows(
    frame: pd.DataFrame,
    sessions: pd.DataFrame,
    spec: ModelSpec,
    components: Sequence[str],
    covariates: Mapping[str, Covariate],
    context: RowContext,
) -> list[Estimate]:
    """Separate and joint models of the components of one predictor.

    Parameters
    ----------
    frame : ``within_between.model_frame`` of the model of the total.
    sessions : scored table with a column ``<predictor>_<component>`` per component.
    components : names of the subscales.

    Returns
    -------
    Rows of ``<model>.component_<name>`` and ``<model>.components``. All models use the same rows:
    those where every component was scored.
    """
    joint = replace(context, analysis=f"{context.analysis}.components")
    ordered = sorted(components, key=lambda c: (_ORDER.index(c) if c in _ORDER else -1, c))
    scored = [c for c in ordered if f"{spec.predictor}_{c}" in sessions.columns]
    if len(scored) < 2:
        reason = "the predictor has fewer than two scored subscales"
        refusal = Refusal(reason, "Components need an instrument whose subscales have a key.")
        return _marked(refused_rows(refusal, joint, spec.likelihood), joint)
    table = _component_frame(frame, sessions, spec, scored)
    rows: list[Estimate] = []
    for component in scored:
        own = replace(
            context,
            analysis=f"{context.analysis}.component_{component}",
            component=component,
            predictor_label=f"{context.predictor_label}, {component}",
        )
        rows += _separate_rows(table, spec, component, covariates, own)
    return rows + _joint_rows(table, spec, scored, covariates, joint)


def _component_frame(
    frame: pd.DataFrame, sessions: pd.DataFrame, spec: ModelSpec, components: Sequence[str]
) -> pd.DataFrame:
    names = {f"{spec.predictor}_{component}": component for component in components}
    scores = sessions[["client", "session", *names]].rename(columns=names)
    table = frame.merge(scores, on=["client", "session"], how="left", validate="m:1")
    return table.dropna(subset=list(components))


def _separate_rows(
    table: pd.DataFrame,
    spec: ModelSpec,
    component: str,
    covariates: Mapping[str, Covariate],
    context: RowContext,
) -> list[Estimate]:
    own = split_within_between(table.assign(predictor=table[component]), therapists=False)
    design = build_design(own, two_level(spec), covariates)
    fit = design if isinstance(design, Refusal) else fit_lmm(design, spec.likelihood)
    if isinstance(design, Refusal) or isinstance(fit, Refusal):
        refusal = design if isinstance(design, Refusal) else fit
        return refused_rows(refusal, context, spec.likelihood)
    maker = maker_of(fit, design, context)
    return [
        maker.inference(term, "fixed", contrast(fit, _weights(fit, {term: 1.0})), _INTERVAL)
        for term in ("within", "between")
    ]


@dataclass(frozen=True)
class _Joint:
    """The joint model as mean and contrasts, and how its coefficients become components'.

    ``contrasts`` (k, k) turns coefficients of components into (sum, contrasts).
    """

    components: tuple[str, ...]
    contrasts: FloatArray
    parts: dict[str, FloatArray]
    design: ModelDesign
    fit: LmmFit


def helmert(k: int) -> FloatArray:
    """(k, k): the sum of k coefficients, then each minus the mean of those before it."""
    rows = [np.ones(k)]
    for j in range(1, k):
        row = np.zeros(k)
        row[:j], row[j] = -1 / j, 1.0
        rows.append(row)
    return np.array(rows)


def _joint_rows(
    table: pd.DataFrame,
    spec: ModelSpec,
    components: Sequence[str],
    covariates: Mapping[str, Covariate],
    context: RowContext,
) -> list[Estimate]:
    found = _fit_joint(table, spec, components, covariates)
    if isinstance(found, Refusal):
        return _marked(refused_rows(found, context, spec.likelihood), context)
    maker = maker_of(found.fit, found.design, context)
    rows: list[Estimate] = []
    for part in ("within", "between"):
        rows += [*_coefficient_rows(found, maker, part), *_contrast_rows(found, maker, part)]
    return [*rows, *_overlap_rows(found, maker)]


def _fit_joint(
    table: pd.DataFrame,
    spec: ModelSpec,
    components: Sequence[str],
    covariates: Mapping[str, Covariate],
) -> _Joint | Refusal:
    """All components in one model; a random slope, where asked for, is that of their mean."""
    mean = table[list(components)].mean(axis=1)
    base_frame = split_within_between(table.assign(predictor=mean), therapists=False)
    design = build_design(base_frame, two_level(spec), covariates)
    if isinstance(design, Refusal):
        return design
    if design.n_obs != len(base_frame):
        needed = [name for name in covariates if name in base_frame.columns]
        base_frame = base_frame.dropna(subset=["outcome", *needed])
    parts = _parts(base_frame, components)
    contrasts = helmert(len(components))
    inverse = np.linalg.inv(contrasts)
    added = {
        f"{part}_contrast{j}": ((values @ inverse)[:, j], _LEVEL[part])
        for part, values in parts.items()
        for j in range(1, len(components))
    }
    joint = with_columns(design, added)
    if isinstance(joint, Refusal):
        return Refusal(
            "the components are collinear: one is a linear function of the others",
            "Look at how the subscales were scored, or at the separate models.",
        )
    fit = fit_lmm(joint, spec.likelihood)
    if isinstance(fit, Refusal):
        return fit
    return _Joint(tuple(components), contrasts, parts, joint, fit)


def _parts(table: pd.DataFrame, components: Sequence[str]) -> dict[str, FloatArray]:
    """(n, k) within and between parts of the components."""
    scores = table[list(components)]
    means = scores.groupby(table["client"]).transform("mean")
    one_each = means[~table["client"].duplicated()]
    return {
        "within": (scores - means).to_numpy(dtype=np.float64),
        "between": (means - one_each.mean()).to_numpy(dtype=np.float64),
    }


def _weights(fit: LmmFit, given: Mapping[str, float]) -> FloatArray:
    return np.array([given.get(name, 0.0) for name in fit.names])


def _column(part: str, j: int) -> str:
    return part if j == 0 else f"{part}_contrast{j}"


def _coefficient_rows(found: _Joint, maker: RowMaker, part: str) -> Iterator[Estimate]:
    """The coefficient of each component, the others held equal."""
    inverse = np.linalg.inv(found.contrasts)
    sd = found.parts["within"]
    context = maker.context
    for k, component in enumerate(found.components):
        given = {_column(part, j): inverse[k, j] for j in range(len(found.components))}
        words = {
            "level": _LEVEL[part],
            "estimand": f"{_WHERE[part]}: {component}, the other components held equal: "
            f"difference in {context.outcome_label} per point",
            "units": f"{context.outcome_units} per point of the subscale",
            "component": component,
        }
        more = {}
        if part == "within":
            degrees = found.design.n_obs - found.design.n_clients
            own = float(np.sqrt(np.sum(sd[:, k] ** 2) / degrees))
            more = _standardised(found, given, own / found.design.sd_within_outcome)
        yield maker.inference(
            f"{part}_{component}",
            "fixed",
            contrast(found.fit, _weights(found.fit, given)),
            _INTERVAL,
            **words,
            **more,
        )


def _standardised(found: _Joint, given: Mapping[str, float], ratio: float) -> dict[str, float]:
    effect = contrast(found.fit, _weights(found.fit, given))
    return {
        "std_within": effect.estimate * ratio,
        "std_within_low": effect.ci_low * ratio,
        "std_within_high": effect.ci_high * ratio,
    }


def _contrast_rows(found: _Joint, maker: RowMaker, part: str) -> Iterator[Estimate]:
    """Differences between components, in points of the outcome per point of the subscale."""
    for j in range(1, len(found.components)):
        effect = contrast(found.fit, _weights(found.fit, {_column(part, j): 1.0}))
        before = " and ".join(found.components[:j])
        against = before if j == 1 else f"the mean of {before}"
        words = {
            "level": _LEVEL[part],
            "estimand": f"{_WHERE[part]}: effect of {found.components[j]} minus {against}",
            "units": f"{maker.context.outcome_units} per point of the subscale",
        }
        name = f"{found.components[j]}_minus_{'_'.join(found.components[:j])}"
        yield maker.inference(f"{part}_{name}", "contrast", effect, _INTERVAL, **words)


def _overlap_rows(found: _Joint, maker: RowMaker) -> Iterator[Estimate]:
    """Correlations of the components within clients, and the variance inflation that follows."""
    correlations = np.corrcoef(found.parts["within"], rowvar=False)
    inflation = np.diag(np.linalg.inv(correlations))
    shared = {"level": "within_client"}
    for a, first in enumerate(found.components):
        for b in range(a + 1, len(found.components)):
            second = found.components[b]
            yield maker.row(
                f"r_{first}_{second}",
                "correlation",
                **shared,
                estimand=f"Correlation within clients of {first} and {second}",
                units="correlation",
                estimate=float(correlations[a, b]),
            )
    for k, component in enumerate(found.components):
        yield maker.row(
            f"vif_{component}",
            "fit",
            **shared,
            estimand=f"Variance inflation of {component} within clients (1: no overlap)",
            units="ratio",
            component=component,
            estimate=float(inflation[k]),
        )


def _marked(rows: list[Estimate], context: RowContext) -> list[Estimate]:
    """Refusals of the joint model, in words of components."""
    return [
        replace(row, estimand=f"{_WHERE[row.term]}: components of {context.predictor_label}")
        for row in rows
    ]
