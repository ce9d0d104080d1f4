"""Long simulations of the dynamic model, in parts that can be stopped and taken up again.

Usage, from the project's folder::

    python benchmarks/dynamics/recover.py run --seconds 3600
    python benchmarks/dynamics/recover.py publish

``run`` works through the designs of the recovery study (1,000 samples each) and the calibration of
the Bayesian model; what is finished lies in results/validation/parts and is not done twice.
``publish`` puts designs with all their samples into recovery.csv, and a calibration of at least 200
fits into sbc.csv, sbc_ranks.csv and sbc_bands.csv, beside this script. The samples are those of
``python scripts/validate_dynamics.py --replications 1000``: each is drawn from its own seed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from alliance.seeds import derive_seed  # noqa: E402
from alliance.simulation import sbc, sbc_dynamics  # noqa: E402
from alliance.simulation.recovery import (  # noqa: E402
    CONDITIONS,
    KEYS,
    LENGTHS,
    Cell,
    Found,
    replicate,
    summarise,
)

HERE = Path(__file__).parent
PARTS = ROOT / "results/validation/parts"
SEED = 20261122
SAMPLES, BLOCK = 1000, 50
FITS, FITS_BLOCK, FEWEST_FITS = 1000, 40, 200
SBC_SEED = derive_seed(SEED, "sbc", sbc_dynamics.NAME)


def designs() -> Iterator[Cell]:
    """The designs that the criteria of the project name come first."""
    first = ("opposite_trends", "plain")
    for condition in (*first, *(c for c in CONDITIONS if c not in first)):
        for length in LENGTHS:
            yield Cell(condition, length)


def recovery_part(cell: Cell, first: int) -> Path:
    return PARTS / f"{cell.condition}_{cell.n_sessions}_{first}.parquet"


def sbc_part(first: int) -> Path:
    return PARTS / f"sbc_{first}.parquet"


def missing_parts() -> Iterator[tuple[Path, Cell | None, int]]:
    """Calibration up to the fewest fits, then the designs, then the rest of the calibration."""
    fits = range(0, FITS, FITS_BLOCK)
    queue: list[tuple[Path, Cell | None, int]] = [
        (sbc_part(first), None, first) for first in fits if first < FEWEST_FITS
    ]
    queue += [
        (recovery_part(cell, first), cell, first)
        for cell in designs()
        for first in range(0, SAMPLES, BLOCK)
    ]
    queue += [(sbc_part(first), None, first) for first in fits if first >= FEWEST_FITS]
    return (entry for entry in queue if not entry[0].exists())


def simulated(cell: Cell, first: int) -> pd.DataFrame:
    found: list[Found] = []
    for number in range(first, first + BLOCK):
        found += replicate(cell, number, SEED)
    return pd.DataFrame(found)


def calibrated(first: int) -> pd.DataFrame:
    found = sbc_dynamics.calibrate(FITS_BLOCK, SBC_SEED, first=first)
    return pd.DataFrame(dict(found.ranks)).assign(divergences=found.divergences)


def run(seconds: float) -> None:
    PARTS.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    for path, cell, first in missing_parts():
        if time.monotonic() > end:
            return
        table = calibrated(first) if cell is None else simulated(cell, first)
        half = path.with_suffix(".half")
        table.to_parquet(half)
        half.replace(path)
        print(path.stem, file=sys.stderr, flush=True)


def publish() -> None:
    publish_recovery()
    publish_calibration()


def publish_recovery() -> None:
    path = HERE / "recovery.csv"
    table = pd.read_csv(path)
    for cell in designs():
        parts = [recovery_part(cell, first) for first in range(0, SAMPLES, BLOCK)]
        if not all(part.exists() for part in parts):
            continue
        found = pd.concat([pd.read_parquet(part) for part in parts]).to_dict("records")
        new = summarise(Found(**row) for row in found)
        same = (table["condition"] == cell.condition) & (table["n_sessions"] == cell.n_sessions)
        table = pd.concat([table[~same], new])
        print(f"{cell.condition}, {cell.n_sessions} sessions: replaced", file=sys.stderr)
    place = {condition: number for number, condition in enumerate(CONDITIONS)}
    table = table.sort_values(KEYS, kind="stable", key=lambda column: column.replace(place))
    table.to_csv(path, index=False, float_format="%.4f", lineterminator="\n")


def publish_calibration() -> None:
    parts = []
    for first in range(0, FITS, FITS_BLOCK):
        if not sbc_part(first).exists():
            break
        parts.append(pd.read_parquet(sbc_part(first)))
    n_fits = sum(map(len, parts))
    print(f"calibration: {n_fits} fits", file=sys.stderr)
    if n_fits < FEWEST_FITS:
        return
    all_fits = pd.concat(parts, ignore_index=True)
    divergences = all_fits.pop("divergences").to_numpy(np.int64)
    found = sbc.Ranks({name: all_fits[name].to_numpy() for name in all_fits}, divergences)
    name = sbc_dynamics.NAME
    tables = {
        "sbc": sbc.summarise(name, found, SBC_SEED),
        "sbc_ranks": sbc.histogram(name, found),
        "sbc_bands": sbc.bands(n_fits, SBC_SEED).assign(model=name),
    }
    for stem, table in tables.items():
        table.to_csv(HERE / f"{stem}.csv", index=False, float_format="%.6g", lineterminator="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("run", "publish"))
    parser.add_argument("--seconds", type=float, default=3600.0, help="start no part after these")
    asked = parser.parse_args()
    if asked.what == "run":
        run(asked.seconds)
    else:
        publish()


if __name__ == "__main__":
    main()
