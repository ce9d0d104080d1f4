"""Obtain published numbers from the original data, and put ours beside them."""

from pathlib import Path
from typing import TYPE_CHECKING

from alliance.estimation.published import obtain
from alliance.running import stage
from alliance.verification import compare, read_benchmarks, read_open_data, tally

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("reproduce", snakemake.log[0]) as say:
    benchmarks = read_benchmarks(snakemake.input.benchmarks)
    frames = read_open_data(benchmarks, Path())
    comparison = compare(benchmarks, obtain(benchmarks.models, frames))
    comparison.to_csv(
        snakemake.output.comparison, index=False, float_format="%.10g", lineterminator="\n"
    )
    counts = tally(comparison)
    say(f"{counts.reproduced} of {counts.expected} numbers reproduced")
