"""Bias, coverage and type-I error of REML for one size of study."""

from typing import TYPE_CHECKING

from alliance.running import stage
from alliance.seeds import derive_seed
from alliance.simulation.reml_calibration import SIZES, calibrate

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("calibration", snakemake.log[0]) as say:
    size = next(s for s in SIZES if s.name == snakemake.wildcards.size)
    table = calibrate(
        size,
        snakemake.params.studies,
        derive_seed(snakemake.params.seed, "reml", size.name),
        n_profiled=snakemake.params.profiled,
        progress=say,
    )
    table.to_csv(snakemake.output.summary, index=False, float_format="%.6g", lineterminator="\n")
