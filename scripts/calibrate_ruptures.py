"""Hold every rupture rule and outcome test against data sets without ruptures."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from alliance.instruments import load_instruments
from alliance.running import stage
from alliance.rupture_null import null_study
from alliance.rupture_null.calibrate import calibrate
from alliance.ruptures import load_rules
from alliance.ruptures.thresholds import with_thresholds
from alliance.seeds import derive_seed
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("null data sets", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    name = snakemake.wildcards.rupture
    spec = study.ruptures[name]
    thresholds = pd.read_csv(snakemake.input.thresholds)
    rules = with_thresholds(load_rules(Path("config/ruptures"), spec.rules), thresholds)
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
    made = calibrate(
        prepared,
        rules,
        pd.read_csv(snakemake.input.summary),
        spec.null_datasets,
        derive_seed(study.seed, "ruptures", name, "null"),
        study.privacy.smallest_cell,
    )
    for part in ("noise", "model"):
        getattr(made, part).to_csv(
            snakemake.output[part], index=False, float_format="%.10g", lineterminator="\n"
        )
    made.statistics.to_parquet(snakemake.output.statistics, index=False)
    say(f"{name}: {made.words}")
