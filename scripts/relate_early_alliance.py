"""Relate early ratings to the last outcome, between clients."""

from typing import TYPE_CHECKING

import pandas as pd

from alliance.estimates import to_frame, write_estimates
from alliance.estimation.association import association_frame, association_rows
from alliance.estimation.context import association_context
from alliance.instruments import load_instruments
from alliance.running import stage
from alliance.study import instruments_of, read_excerpt
from alliance.within_between import direction

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("early alliance", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    name = snakemake.wildcards.association
    spec = study.associations[name]
    instruments = load_instruments("config/instruments", instruments_of(study))
    outcome = study.measures[spec.outcome]
    frame = association_frame(
        pd.read_parquet(snakemake.input.sessions),
        pd.read_parquet(snakemake.input.clients),
        spec,
        study.timing,
        direction(outcome, instruments.get(outcome.instrument or "")),
    )
    context = association_context(study, name, instruments, snakemake.params.code)
    published = pd.read_csv(snakemake.input.published)
    rows = association_rows(frame, spec, study.covariates, context, published)
    write_estimates(to_frame(rows), snakemake.output.estimates)
    say(f"{name}: {len(rows)} rows")
