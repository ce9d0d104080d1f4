"""Hold the chances of a discrete drop against the ruptures planted in a simulated study."""

from typing import TYPE_CHECKING

import pandas as pd

from alliance.running import stage
from alliance.ruptures.drop_chances import chance_recovery
from alliance.seeds import derive_seed
from alliance.study import read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("planted ruptures and chances of a drop", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    name = snakemake.wildcards.rupture
    planted = pd.read_csv(snakemake.input.planted)
    probabilities = pd.read_parquet(snakemake.input.probabilities)
    classes = pd.read_csv(snakemake.input.classes)
    seed = derive_seed(study.seed, "recovery of discrete drops", name)
    chance_recovery(probabilities, planted, classes, seed).to_csv(
        snakemake.output.recovery, index=False, float_format="%.10g", lineterminator="\n"
    )
    say(f"{name}: {len(planted)} planted ruptures")
