"""Clean the sessions by the declared rules and keep an account of every change."""

from typing import TYPE_CHECKING

import pandas as pd

from alliance.cleaning import clean
from alliance.instruments import load_instruments
from alliance.running import stage
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("clean", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    instruments = load_instruments("config/instruments", instruments_of(study))
    cleaned = clean(
        pd.read_parquet(snakemake.input.sessions),
        pd.read_parquet(snakemake.input.clients),
        study,
        instruments,
    )
    cleaned.sessions.to_parquet(snakemake.output.sessions, index=False)
    cleaned.clients.to_parquet(snakemake.output.clients, index=False)
    cleaned.log.to_csv(snakemake.output.log, sep="\t", index=False, lineterminator="\n")
    cleaned.flow.to_csv(snakemake.output.flow, sep="\t", index=False, lineterminator="\n")
    say(
        f"{len(cleaned.sessions)} sessions of {len(cleaned.clients)} clients remain; "
        f"{len(cleaned.log)} changes logged"
    )
