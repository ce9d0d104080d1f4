"""Reliable change of single clients from their first to their last score."""

from typing import TYPE_CHECKING

import pandas as pd

from alliance.instruments import load_instruments
from alliance.reliability import coefficient_of
from alliance.reliable_change import change_table
from alliance.running import stage
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("reliable change", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    instruments = load_instruments("config/instruments", instruments_of(study))
    reliability = pd.read_csv(snakemake.input.reliability)
    omega = {name: coefficient_of(reliability, name, "total", "omega") for name in study.measures}
    table = change_table(pd.read_parquet(snakemake.input.sessions), study, instruments, omega)
    table.to_csv(snakemake.output.change, index=False, float_format="%.10g", lineterminator="\n")
    say(f"{len(table)} outcomes")
