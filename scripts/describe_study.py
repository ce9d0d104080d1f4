"""Describe the sample and the scales of a study."""

from typing import TYPE_CHECKING

import pandas as pd

from alliance.deidentification import k_anonymity
from alliance.describe import (
    ceiling_by_session,
    correlations_within_between,
    describe_measures,
    missingness,
    sample_table,
    trajectories,
)
from alliance.instruments import load_instruments
from alliance.running import stage
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("describe", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    instruments = load_instruments("config/instruments", instruments_of(study))
    sessions = pd.read_parquet(snakemake.input.sessions)
    clients = pd.read_parquet(snakemake.input.clients)
    tables = {
        "measures": describe_measures(sessions, study, instruments),
        "correlations": correlations_within_between(sessions, study),
        "missingness": missingness(sessions, study),
        "sample": sample_table(clients, sessions, study),
        "trajectories": trajectories(sessions, study),
        "ceiling": ceiling_by_session(sessions, study, instruments),
    }
    for name, table in tables.items():
        table.to_csv(snakemake.output[name], index=False, float_format="%.10g", lineterminator="\n")
    quasi = [name for name, c in study.covariates.items() if c.quasi_identifier]
    k_anonymity(clients, quasi, study.privacy.smallest_cell).to_csv(
        snakemake.output.anonymity, sep="\t", index=False, lineterminator="\n"
    )
    say(f"{len(tables)} tables")
