"""Hold ruptures by rules, reports, observers and behaviour side by side."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from alliance.estimates import to_frame, write_estimates
from alliance.instruments import load_instruments
from alliance.reliability import coefficient_of
from alliance.running import stage
from alliance.rupture_null import NullStudy, null_study
from alliance.rupture_null.source_tests import source_outcome_rows
from alliance.ruptures import (
    RuptureResult,
    detect,
    load_rules,
    pooled_scale,
    ratings_of,
    rupture_analysis,
)
from alliance.ruptures.marks import compare_marks, mark_of_rule, mark_of_source
from alliance.ruptures.source_rows import agreement_rows, source_rows
from alliance.ruptures.source_tables import (
    COMPONENT_COLUMNS,
    cell_table,
    component_table,
    detail_table,
    fallen_components,
    source_table,
)
from alliance.ruptures.sources import SOURCES, report_cells, report_details, source_marks
from alliance.ruptures.thresholds import with_thresholds
from alliance.seeds import derive_seed
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

RESAMPLES = 1000
COMPONENTS = ("bond", "task", "goal")


def result_of(name: str, position: int) -> RuptureResult:
    """What one rule found in one analysis, from its files."""
    found, labels = (
        pd.read_parquet(snakemake.input[part][position]) for part in ("found", "labels")
    )
    summary = pd.read_csv(snakemake.input.summaries[position], keep_default_na=False)
    refused = str(summary.set_index("rule")["reason"].get(name, ""))
    own, clients = (table[table["rule"] == name] for table in (found, labels))
    return RuptureResult(name, own, pd.DataFrame(), clients, refused)


with stage("sources of ruptures", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    smallest = study.privacy.smallest_cell
    sessions = pd.read_parquet(snakemake.input.sessions)
    reliability = pd.read_csv(snakemake.input.reliability)
    said = source_marks(sessions, attendance_known=study.columns.attendance is not None)
    marks, primary, fallen = [], [], []
    for position, (analysis, spec) in enumerate(study.ruptures.items()):
        thresholds = pd.read_csv(snakemake.input.thresholds[position])
        rules = with_thresholds(load_rules(Path("config/ruptures"), spec.rules), thresholds)
        results = {name: result_of(name, position) for name in rules}
        for name, rule in rules.items():
            label = f"{study.rupture_label(analysis)}: {rule.label}"
            marks.append(mark_of_rule(results[name], analysis, label))
        run = [name for name, result in results.items() if not result.refused]
        primary += [f"{analysis}/{name}" for name in run[:1]]
        parts = [c for c in COMPONENTS if f"{spec.measure}_{c}" in sessions]
        if run and not spec.component and "bond" in parts and len(parts) > 1:
            scores = {part: ratings_of(sessions, f"{spec.measure}_{part}") for part in parts}
            alone = {
                part: detect(
                    scores[part],
                    rules[run[0]],
                    pooled_scale(
                        scores[part],
                        coefficient_of(reliability, spec.measure, "within_client", "Rcn", part),
                        coefficient_of(reliability, spec.measure, "total", "alpha", part),
                    ),
                )
                for part in parts
            }
            together = fallen_components(results[run[0]], alone)
            fallen.append(component_table(together, analysis, run[0], smallest))
    names = [name for name in SOURCES if name in said]
    marks += [mark_of_source(name, said) for name in names]
    seed = derive_seed(study.seed, "rupture sources")
    agreement = compare_marks(marks, smallest, RESAMPLES, seed)
    sources = source_table(said, smallest)
    said.to_parquet(snakemake.output.marks, index=False)
    nothing = pd.DataFrame(columns=list(COMPONENT_COLUMNS))
    tables = {
        "sources": sources,
        "details": detail_table(report_details(sessions), smallest),
        "cells": cell_table(report_cells(said), smallest),
        "components": pd.concat(fallen, ignore_index=True) if fallen else nothing,
        "agreement": agreement,
    }
    for part, table in tables.items():
        table.to_csv(snakemake.output[part], index=False, float_format="%.10g", lineterminator="\n")
    rows = [
        *source_rows(sources, said, RESAMPLES, seed),
        *agreement_rows(agreement, {*primary, *names}),
    ]
    with_outcome = [name for name, spec in study.ruptures.items() if spec.outcome is not None]
    if with_outcome and names:  # the first rating that is searched is held equal
        instruments = load_instruments("config/instruments", instruments_of(study))
        clients = pd.read_parquet(snakemake.input.clients)
        first = with_outcome[0]
        prepared = null_study(study, first, instruments, sessions, clients, {})
        if isinstance(prepared, NullStudy):
            known = sources[["n_clients", "n_clients_marked"]].to_numpy(dtype=float).ravel()
            rows += source_outcome_rows(
                prepared.courses,
                said,
                rupture_analysis(study, first, instruments),
                (len(clients), *known),
            )
    frame = to_frame(rows).assign(code_hash=snakemake.params.code)
    write_estimates(frame, snakemake.output.estimates)
    say(f"{len(marks)} ways of marking ruptures, {len(agreement)} comparisons")
