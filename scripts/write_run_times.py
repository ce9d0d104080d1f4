"""Write how long each step of a study took, beside the report."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from alliance.report.run_times import build_run_times, run_times
from alliance.running import stage
from alliance.study import read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("run times", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    files = sorted(Path(snakemake.output.page).parent.glob("*.tsv"))
    times = run_times({file.stem: pd.read_csv(file, sep="\t") for file in files})
    times.to_csv(snakemake.output.times, index=False)
    Path(snakemake.output.page).write_text(build_run_times(times, study.title), encoding="utf-8")
    say(snakemake.output.page)
