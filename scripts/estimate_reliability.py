"""Reliability of every scale within clients, between clients and in total."""

from typing import TYPE_CHECKING

import pandas as pd

from alliance.instruments import load_instruments
from alliance.reliability import reliability_table
from alliance.running import stage
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("reliability", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    instruments = load_instruments("config/instruments", instruments_of(study))
    table = reliability_table(pd.read_parquet(snakemake.input.sessions), study, instruments)
    table.to_csv(
        snakemake.output.reliability, index=False, float_format="%.10g", lineterminator="\n"
    )
    say(f"{len(table)} coefficients")
