"""Pair each rating with the outcome it may predict and split it into its levels."""

from typing import TYPE_CHECKING

import pandas as pd

from alliance.instruments import load_instruments
from alliance.running import stage
from alliance.study import instruments_of, read_excerpt
from alliance.within_between import direction, model_frame

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("within/between", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    spec = study.models[snakemake.wildcards.model]
    instruments = load_instruments("config/instruments", instruments_of(study))
    outcome = study.measures[spec.outcome]
    frame = model_frame(
        pd.read_parquet(snakemake.input.sessions),
        pd.read_parquet(snakemake.input.clients),
        spec,
        study.timing,
        list(study.covariates),
        direction(outcome, instruments.get(outcome.instrument or "")),
    )
    frame.to_parquet(snakemake.output.frame, index=False)
    say(f"{snakemake.wildcards.model}: {len(frame)} rows of {frame['client'].nunique()} clients")
