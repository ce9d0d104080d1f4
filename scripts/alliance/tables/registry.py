"""All tables of a study, in the order of the report: one numbering for all that shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from alliance.stage_tables import fill_words
from alliance.study import Study
from alliance.tables.apa import ApaTable
from alliance.tables.bayes import bayes_checks_table
from alliance.tables.descriptives import descriptives_table, reliability_table
from alliance.tables.dynamics import (
    dynamics_table,
    estimators_table,
    phases_table,
    reliability_grid_table,
)
from alliance.tables.models import diagnostics_table, model_table, triangulation_table, truth_table
from alliance.tables.recovery import recovery_table
from alliance.tables.rupture_noise import rupture_noise_table, rupture_test_table
from alliance.tables.rupture_repair import rupture_repair_table
from alliance.tables.rupture_source_outcomes import source_outcome_table
from alliance.tables.rupture_sources import (
    fallen_components_table,
    source_agreement_table,
    source_details_table,
    sources_table,
)
from alliance.tables.ruptures import rupture_outcome_table, rupture_rules_table
from alliance.tables.sample import flow_table, sample_table
from alliance.tables.sudden_gains import sudden_gains_table
from alliance.tables.titles import told_apart
from alliance.tables.variants import (
    association_table,
    components_table,
    moderators_table,
    raters_table,
    trend_table,
)


@dataclass(frozen=True)
class TableInputs:
    """What the tables are made from; a table that does not exist is None.

    Attributes
    ----------
    ruptures : key of each rupture analysis -> its summary. truth : see
        :func:`alliance.tables.models.truth_frame`. recoveries : key of each rupture analysis ->
        planted ruptures found; simulated studies only. bayes_checks : of all Bayesian models.
        noise : key of each rupture analysis -> its rates held against noise.
        rupture_sources : ``sources, details, cells, agreement, components`` of all sources.
    """

    study: Study
    estimates: pd.DataFrame | None = None
    flow: pd.DataFrame | None = None
    sample: pd.DataFrame | None = None
    measures: pd.DataFrame | None = None
    correlations: pd.DataFrame | None = None
    reliability: pd.DataFrame | None = None
    ruptures: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    truth: pd.DataFrame | None = None
    recoveries: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    bayes_checks: pd.DataFrame | None = None
    noise: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    rupture_sources: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, pd.DataFrame):
                object.__setattr__(self, name, fill_words(value))
        filled = {key: fill_words(summary) for key, summary in self.ruptures.items()}
        object.__setattr__(self, "ruptures", filled)


# Names of tables, or with a final underscore their beginnings, as the report goes through them.
# "{main}" stands for the main model; Bayesian checks of other models are not in the report and come
# last, so that the numbers in it have no gap.
_ORDER: tuple[str, ...] = (
    "flow", "reliability", "sample", "descriptives", "model_", "triangulation", "trend_",
    "components_", "moderators_", "raters_", "association_", "diagnostics", "bayes_checks_{main}",
    "dynamics_", "ruptures_", "rupture_noise_", "rupture_outcome_", "rupture_landmark_",
    "rupture_session_", "rupture_hazard_", "rupture_repair", "rupture_components",
    "rupture_sources", "rupture_details", "rupture_source_outcomes", "rupture_agreement",
    "sudden_gains_", "truth", "recovery_", "bayes_checks_",
)  # fmt: skip


def make_tables(x: TableInputs) -> dict[str, ApaTable]:
    """Every table that has something to show, by name, in the order of the report.

    The place in this order is the number of the table wherever it has one: in the report, in
    ``tables.docx``, in ``tables/index.html`` and in the text of the manuscript.

    Raises
    ------
    ValueError
        For a table that has no place in the order.
    """
    tables = [*_data_tables(x), *_model_tables(x), *_dynamic_tables(x), *_rupture_tables(x)]
    tables += _source_tables(x)
    if _present(x.estimates):
        tables += [
            sudden_gains_table(x.estimates, name, x.study.gains_label(name), spec.cutoff)
            for name, spec in x.study.sudden_gains.items()
        ]
    present = [table for table in tables if table is not None and table.rows]
    main = _main_model(x.study)
    present.sort(key=lambda table: _place(table.name, main))
    return {table.name: table for table in told_apart(present, _keys(x.study))}


def _main_model(study: Study) -> str:
    """The model whose Bayesian checks the report shows; empty in a study without models."""
    ranked = sorted(
        study.models.items(),
        key=lambda pair: (pair[1].kind != "within_between", not pair[1].headline),
    )
    return ranked[0][0] if ranked else ""


def _place(name: str, main: str) -> int:
    for at, template in enumerate(_ORDER):
        start = template.format(main=main)
        if name == start or (start.endswith("_") and name.startswith(start)):
            return at
    raise ValueError(f"table {name}: it has no place in the order of the tables")


def _keys(study: Study) -> list[str]:
    """Names of all analyses in the study file."""
    parts = (study.models, study.dynamics, study.associations, study.ruptures, study.sudden_gains)
    return [name for part in parts for name in part]


def _source_tables(x: TableInputs) -> list[ApaTable | None]:
    found: list[ApaTable | None] = []
    parts = x.rupture_sources
    if _present(parts.get("sources")):
        found.append(sources_table(parts["sources"], parts.get("cells")))
        labels = dict(zip(parts["sources"]["source"], parts["sources"]["label"], strict=True))
        if _present(parts.get("details")):
            found.append(source_details_table(parts["details"], labels))
        if _present(x.estimates):
            found.append(source_outcome_table(x.estimates, labels))
    if _present(parts.get("agreement")):
        found.append(source_agreement_table(parts["agreement"]))
    if _present(parts.get("components")):
        labels = {name: x.study.rupture_label(name) for name in x.study.ruptures}
        found.append(fallen_components_table(parts["components"], labels))
    return found


def _present(frame: pd.DataFrame | None) -> bool:
    return frame is not None and not frame.empty


def _data_tables(x: TableInputs) -> list[ApaTable]:
    labels = {name: measure.label for name, measure in x.study.measures.items()}
    tables = []
    if _present(x.flow):
        tables.append(flow_table(x.flow, x.study.privacy.smallest_cell))
    if _present(x.sample):
        tables.append(sample_table(x.sample, x.study.privacy.smallest_cell))
    if _present(x.measures) and x.correlations is not None:
        tables.append(descriptives_table(x.measures, x.correlations))
    if _present(x.reliability):
        tables.append(reliability_table(x.reliability, labels))
    return tables


def _measure_labels(x: TableInputs) -> dict[str, str]:
    return {name: measure.label for name, measure in x.study.measures.items()}


def _model_tables(x: TableInputs) -> list[ApaTable | None]:
    if not _present(x.estimates):
        return []
    models = {name: model.label for name, model in x.study.models.items()}
    known = set(x.estimates["analysis"])
    tables: list[ApaTable | None] = [
        model_table(x.estimates, name, label) for name, label in models.items() if name in known
    ]
    for name, label in models.items():
        tables += [
            trend_table(x.estimates, name, label),
            components_table(x.estimates, name, label),
            moderators_table(x.estimates, name, label),
            raters_table(x.estimates, name, label, _measure_labels(x)),
        ]
    tables.append(triangulation_table(x.estimates, models))
    both = models | {name: dynamic.label for name, dynamic in x.study.dynamics.items()}
    tables.append(diagnostics_table(x.estimates, both))
    tables += [
        association_table(x.estimates, name, spec.label, spec.baseline is not None)
        for name, spec in x.study.associations.items()
    ]
    if _present(x.bayes_checks):
        checked = [name for name in models if name in set(x.bayes_checks["analysis"])]
        tables += [bayes_checks_table(x.bayes_checks, name, models[name]) for name in checked]
    if _present(x.truth):
        tables.append(truth_table(x.estimates, x.truth, both))
    return tables


def _dynamic_tables(x: TableInputs) -> list[ApaTable | None]:
    if not _present(x.estimates):
        return []
    labels = {name: measure.label for name, measure in x.study.measures.items()}
    makers = (dynamics_table, phases_table, reliability_grid_table, estimators_table)
    return [
        make(x.estimates, name, dynamic.label, labels)
        for name, dynamic in x.study.dynamics.items()
        for make in makers
        if name in set(x.estimates["analysis"])
    ]


def _rupture_tables(x: TableInputs) -> list[ApaTable | None]:
    tables: list[ApaTable | None] = []
    for name in x.study.ruptures:
        label = x.study.rupture_label(name)
        if _present(x.ruptures.get(name)):
            tables.append(rupture_rules_table(x.ruptures[name], name, label))
        if _present(x.recoveries.get(name)):
            tables.append(recovery_table(x.recoveries[name], name, label))
        if _present(x.noise.get(name)):
            tables.append(rupture_noise_table(x.noise[name], name, label))
        if _present(x.estimates):
            named = _rule_labels(x, name)
            tables.append(rupture_outcome_table(x.estimates, name, label, named))
            tables += [
                rupture_test_table(x.estimates, name, label, named, kind)
                for kind in ("landmark", "session", "hazard")
            ]
    if _present(x.estimates) and x.study.ruptures:
        ratings = {name: x.study.rupture_label(name) for name in x.study.ruptures}
        named = {k: v for name in ratings for k, v in _rule_labels(x, name).items()}
        tables.append(rupture_repair_table(x.estimates, ratings, named))
    return tables


def _rule_labels(x: TableInputs, name: str) -> dict[str, str]:
    """Rule -> its name for readers, from the summary of the analysis."""
    if not _present(x.ruptures.get(name)):
        return {}
    summary = x.ruptures[name]
    return dict(zip(summary["rule"].astype(str), summary["label"].astype(str), strict=True))
