"""Fit one dynamic model by maximum likelihood, with its tests, comparators and sensitivity."""

from typing import TYPE_CHECKING

import pandas as pd

from alliance.estimates import to_frame, write_estimates
from alliance.estimation.dynamics_study import analysis_rows, dynamic_analysis
from alliance.instruments import load_instruments
from alliance.running import stage
from alliance.seeds import derive_seed
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("dynamics", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    name = snakemake.wildcards.dynamics
    analysis = dynamic_analysis(
        study,
        name,
        load_instruments("config/instruments", instruments_of(study)),
        pd.read_parquet(snakemake.input.sessions),
        pd.read_parquet(snakemake.input.clients),
        pd.read_csv(snakemake.input.reliability),
        snakemake.params.code,
    )
    table = to_frame(analysis_rows(analysis, derive_seed(study.seed, "dynamics", name)))
    write_estimates(table, snakemake.output.estimates)
    say(f"{name}: {len(table)} rows, {(table['status'] != 'ok').sum()} of them with a reason")
