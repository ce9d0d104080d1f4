"""Prevalence of ruptures, and their tests against outcome and drop-out, as estimates."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from alliance.estimates import to_frame, write_estimates
from alliance.instruments import load_instruments
from alliance.running import stage
from alliance.rupture_null import (
    NullResults,
    NullStudy,
    further_rows,
    null_study,
    number_of_tests,
    with_holm,
    with_null,
)
from alliance.rupture_null.calibrate import reason_of
from alliance.ruptures import load_rules, rupture_analysis, rupture_outcomes, rupture_rows
from alliance.ruptures.repair_correlation import all_repair_rows
from alliance.ruptures.study_rows import results_of
from alliance.ruptures.thresholds import with_thresholds
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("ruptures and outcome", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    name = snakemake.wildcards.rupture
    spec = study.ruptures[name]
    instruments = load_instruments("config/instruments", instruments_of(study))
    tables = {
        part: pd.read_parquet(snakemake.input[part])
        for part in ("sessions", "clients", "found", "labels", "statistics")
    }
    thresholds = pd.read_csv(snakemake.input.thresholds)
    rules = with_thresholds(load_rules(Path("config/ruptures"), spec.rules), thresholds)
    summary = pd.read_csv(snakemake.input.summary, keep_default_na=False)
    analysis = rupture_analysis(study, name, instruments)
    null = NullResults(
        pd.read_csv(snakemake.input.noise),
        tables["statistics"],
        reason_of(pd.read_csv(snakemake.input.model, keep_default_na=False)),
    )
    outcomes = rupture_outcomes(study, name, instruments, tables["sessions"], tables["clients"])
    rows = with_null(
        rupture_rows(rules, tables["found"], tables["labels"], summary, outcomes, analysis), null
    )
    rows += all_repair_rows(
        results_of(rules, tables["found"], tables["labels"], summary),
        rules,
        outcomes,
        analysis,
        pd.read_csv(snakemake.input.published),
    )
    prepared = null_study(
        study,
        name,
        instruments,
        tables["sessions"],
        tables["clients"],
        rules,
        pd.read_csv(snakemake.input.reliability),
    )
    if isinstance(prepared, NullStudy):
        refused = dict(zip(summary["rule"], summary["reason"].astype(str), strict=True))
        endings = prepared.courses.dropped_out is not None
        told = [len(tables["clients"]), *(row.n_clients for row in rows)]
        rows += further_rows(
            prepared.terms(), rules, refused, analysis, null, endings=endings, told=told
        )
    rows = with_holm(rows, spec.rules[0])
    rows.append(number_of_tests(rows, analysis))
    frame = to_frame(rows).assign(code_hash=snakemake.params.code)
    write_estimates(frame, snakemake.output.estimates)
    say(f"{name}: {len(frame)} rows")
