"""Find the thresholds of rules that flag a given share of a study's clients by noise alone."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from alliance.instruments import load_instruments
from alliance.running import stage
from alliance.rupture_null import null_study
from alliance.rupture_null.thresholds import study_thresholds
from alliance.ruptures import load_rules
from alliance.ruptures.thresholds import asking
from alliance.seeds import derive_seed
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("thresholds", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    name = snakemake.wildcards.rupture
    spec = study.ruptures[name]
    rules = asking(load_rules(Path("config/ruptures"), spec.rules))
    sessions, clients = (pd.read_parquet(snakemake.input[part]) for part in ("sessions", "clients"))
    prepared = null_study(
        study,
        name,
        load_instruments("config/instruments", instruments_of(study)),
        sessions,
        clients,
        rules,
        pd.read_csv(snakemake.input.reliability),
    )
    table = study_thresholds(
        prepared,
        rules,
        spec.null_datasets,
        derive_seed(study.seed, "ruptures", name, "thresholds"),
        study.privacy.smallest_cell,
    )
    table.to_csv(
        snakemake.output.thresholds, index=False, float_format="%.10g", lineterminator="\n"
    )
    say(f"{name}: thresholds of {len(rules)} rules")
