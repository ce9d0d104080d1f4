"""Size and power of the outcome tests of ruptures, nominal and against the null."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from alliance.running import stage
from alliance.ruptures import load_rules
from alliance.simulation.rupture_studies import (
    DESIGNS,
    TRIED_RULES,
    rejection_table,
    try_one_study,
)

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("ruptures against outcome", snakemake.log[0]) as say:
    design, n_studies = snakemake.wildcards.design, snakemake.params.studies
    rules = load_rules(Path("config/ruptures"), TRIED_RULES)
    plan, n_sets, seed = DESIGNS[design], snakemake.params.null_datasets, snakemake.params.seed
    step = max(1, n_studies // 10)
    parts = []
    for number in range(n_studies):
        parts.append(try_one_study(plan, rules, n_sets, seed, number))
        if (number + 1) % step == 0:
            say(f"{design}: {number + 1} of {n_studies} studies")
    tests = pd.concat(parts, ignore_index=True)
    for name, table in (("tests", tests), ("summary", rejection_table(tests))):
        table.to_csv(snakemake.output[name], index=False, float_format="%.6g", lineterminator="\n")
