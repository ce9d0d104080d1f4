"""Simulation-based calibration of one Bayesian multilevel model."""

from typing import TYPE_CHECKING

from alliance.running import stage
from alliance.seeds import derive_seed
from alliance.simulation.sbc import SIZES, bands, calibrate, histogram, summarise

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("calibration", snakemake.log[0]) as say:
    name, n_fits = snakemake.wildcards.size, snakemake.params.fits
    size = next(s for s in SIZES if s.name == name)
    seed = derive_seed(snakemake.params.seed, "sbc", name)
    step = max(1, n_fits // 5)

    def tell(done: int) -> None:
        if done % step == 0 or done == n_fits:
            say(f"{size.label}: {done} of {n_fits} fits")

    found = calibrate(size, n_fits, seed, progress=tell)
    tables = {
        "summary": summarise(name, found, seed),
        "ranks": histogram(name, found),
        "bands": bands(n_fits, seed).assign(model=name),
    }
    for part, table in tables.items():
        table.to_csv(snakemake.output[part], index=False, float_format="%.6g", lineterminator="\n")
