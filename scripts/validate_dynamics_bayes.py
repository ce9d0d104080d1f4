"""Simulation-based calibration of the Bayesian random-intercept VAR."""

import os
from typing import TYPE_CHECKING

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # small matrices

from alliance.running import stage
from alliance.seeds import derive_seed
from alliance.simulation.sbc import bands, histogram, summarise
from alliance.simulation.sbc_dynamics import LABEL, NAME, calibrate

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("calibration", snakemake.log[0]) as say:
    n_fits = snakemake.params.fits
    seed = derive_seed(snakemake.params.seed, "sbc", NAME)
    step = max(1, n_fits // 5)

    def tell(done: int) -> None:
        if done % step == 0 or done == n_fits:
            say(f"{LABEL}: {done} of {n_fits} fits")

    found = calibrate(n_fits, seed, progress=tell)
    tables = {
        "summary": summarise(NAME, found, seed),
        "ranks": histogram(NAME, found),
        "bands": bands(n_fits, seed).assign(model=NAME),
    }
    for part, table in tables.items():
        table.to_csv(snakemake.output[part], index=False, float_format="%.6g", lineterminator="\n")
