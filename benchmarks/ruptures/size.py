"""Size and power of the outcome tests of ruptures in simulated clinics.

    python benchmarks/ruptures/size.py DESIGN FIRST COUNT [N_NULL] [FOLDER]

DESIGN is one of DESIGNS. Studies FIRST .. FIRST + COUNT - 1 are simulated, each tested against
N_NULL null data sets, and written to FOLDER/DESIGN_FIRST.csv; without COUNT the parts in FOLDER are
summarised in DESIGN.csv beside this file.
"""

import os
import sys
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # small matrices: a second thread only waits

import pandas as pd

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from alliance.ruptures import load_rules  # noqa: E402
from alliance.simulation.rupture_studies import (  # noqa: E402
    DESIGNS,
    TRIED_RULES,
    rejection_table,
    try_one_study,
)

SEED = 20261122


def run(design: str, first: int, count: int, n_sets: int, folder: Path) -> None:
    """Simulate and test some studies."""
    rules = load_rules(ROOT / "config/ruptures", TRIED_RULES)
    parts = [
        try_one_study(DESIGNS[design], rules, n_sets, SEED, number)
        for number in range(first, first + count)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    pd.concat(parts).to_csv(folder / f"{design}_{first:05d}.csv", index=False)


def summarise(design: str, folder: Path) -> None:
    """Rejection rates over all parts."""
    tests = pd.concat([pd.read_csv(path) for path in sorted(folder.glob(f"{design}_*.csv"))])
    table = rejection_table(tests)
    table.insert(0, "n_simulated", tests["study"].nunique())
    table.to_csv(
        Path(__file__).with_name(f"{design}.csv"), index=False, float_format="%.4g",
        lineterminator="\n",
    )  # fmt: skip


if __name__ == "__main__":
    asked = sys.argv[1:]
    parts_in = Path(asked[4]) if len(asked) > 4 else ROOT / "results/benchmarks/ruptures"
    if len(asked) > 2:
        n_null = int(asked[3]) if len(asked) > 3 else 199
        run(asked[0], int(asked[1]), int(asked[2]), n_null, parts_in)
    else:
        summarise(asked[0], Path(asked[1]) if len(asked) > 1 else parts_in)
