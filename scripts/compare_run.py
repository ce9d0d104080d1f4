"""Compare a run of a study with its published reference values, number by number."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from alliance.published_run import compare_runs, read_run, summarise_comparison
from alliance.running import stage

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("verify", snakemake.log[0]) as say:
    name = snakemake.wildcards.study
    published = read_run(Path("data/published") / name, "figures", "tables")
    results = Path("results") / name
    obtained = read_run(results, "figures", "tables/apa")
    comparison = compare_runs(published, obtained)
    comparison.to_csv(
        snakemake.output.comparison, index=False, float_format="%.10g", lineterminator="\n"
    )
    parts: pd.DataFrame = summarise_comparison(comparison)
    parts.to_csv(snakemake.output.parts, index=False, float_format="%.6g", lineterminator="\n")
    say(f"{name}: {len(comparison)} numbers and words compared")
