"""Prevalence of ruptures, and contrasts of clients by rupture and repair, as estimates."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from alliance.estimates import to_frame, write_estimates
from alliance.instruments import load_instruments
from alliance.running import stage
from alliance.ruptures import load_rules, rupture_analysis, rupture_outcomes, rupture_rows
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("ruptures and outcome", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    name = snakemake.wildcards.rupture
    instruments = load_instruments("config/instruments", instruments_of(study))
    tables = {
        part: pd.read_parquet(snakemake.input[part])
        for part in ("sessions", "clients", "found", "labels")
    }
    rows = rupture_rows(
        load_rules(Path("config/ruptures"), study.ruptures[name].rules),
        tables["found"],
        tables["labels"],
        pd.read_csv(snakemake.input.summary, keep_default_na=False),
        rupture_outcomes(study, name, instruments, tables["sessions"], tables["clients"]),
        rupture_analysis(study, name, instruments),
    )
    frame = to_frame(rows).assign(code_hash=snakemake.params.code)
    write_estimates(frame, snakemake.output.estimates)
    say(f"{name}: {len(frame)} rows")
