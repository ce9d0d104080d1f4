"""Hold the ruptures that each rule found against those planted in a simulated study."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from alliance.running import stage
from alliance.ruptures import RuptureResult, load_rules, sensitivity
from alliance.study import read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("planted ruptures", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    name = snakemake.wildcards.rupture
    planted = pd.read_csv(snakemake.input.planted)
    sessions, clients = (pd.read_parquet(snakemake.input[part]) for part in ("found", "labels"))
    rows = []
    for key, rule in load_rules(Path("config/ruptures"), study.ruptures[name].rules).items():
        found = sessions[sessions["rule"] == key]
        labels = clients[clients["rule"] == key]
        refused = "" if len(labels) else "the rule was not run"
        result = RuptureResult(key, found, pd.DataFrame(), labels, refused)
        rows.append({"label": rule.label, **sensitivity(result, planted)})
    pd.DataFrame(rows).to_csv(
        snakemake.output.recovery, index=False, float_format="%.10g", lineterminator="\n"
    )
    say(f"{name}: {len(planted)} planted ruptures, {len(rows)} rules")
