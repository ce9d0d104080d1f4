"""Size and power of the outcome tests of ruptures in simulated clinics.

    python benchmarks/ruptures/size.py DESIGN FIRST COUNT [N_NULL] [FOLDER] [drop_out]

DESIGN is one of DESIGNS. Studies FIRST .. FIRST + COUNT - 1 are simulated, each tested against
N_NULL null data sets, and written to FOLDER/DESIGN_FIRST.csv; without COUNT the parts in FOLDER are
summarised in DESIGN.csv beside this file. With ``drop_out`` only the tests of drop-out are done, in
the same studies against the same null data sets; such parts (DESIGN_drop_out_FIRST.csv) replace the
rows of the same tests in the others.
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
    try_drop_out,
    try_one_study,
)

SEED = 20261122


def run(design: str, first: int, count: int, n_sets: int, folder: Path, *, alone: bool) -> None:
    """Simulate and test some studies; ``alone``: tests of drop-out only."""
    rules = load_rules(ROOT / "config/ruptures", TRIED_RULES)
    one = try_drop_out if alone else try_one_study
    parts = [
        one(DESIGNS[design], rules, n_sets, SEED, number) for number in range(first, first + count)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{design}_drop_out" if alone else design
    pd.concat(parts).to_csv(folder / f"{name}_{first:05d}.csv", index=False)


def summarise(design: str, folder: Path) -> None:
    """Rejection rates over all parts."""
    tests = _parts(folder, f"{design}_[0-9]*.csv")
    alone = _parts(folder, f"{design}_drop_out_[0-9]*.csv")
    if len(alone) and set(alone["study"]) != set(tests["study"]):
        raise SystemExit("the tests of drop-out alone are of other studies than the rest")
    key = ["rule", "test", "term"]
    order = tests[key].drop_duplicates()
    if len(alone):
        tests = pd.concat([tests[tests["test"] != "drop_out"], alone])
    table = order.merge(rejection_table(tests), on=key)
    table.insert(0, "n_simulated", tests["study"].nunique())
    table.to_csv(
        Path(__file__).with_name(f"{design}.csv"), index=False, float_format="%.4g",
        lineterminator="\n",
    )  # fmt: skip


def _parts(folder: Path, pattern: str) -> pd.DataFrame:
    found = [pd.read_csv(path) for path in sorted(folder.glob(pattern))]
    return pd.concat(found) if found else pd.DataFrame()


if __name__ == "__main__":
    asked = sys.argv[1:]
    parts_in = Path(asked[4]) if len(asked) > 4 else ROOT / "results/benchmarks/ruptures"
    if len(asked) > 2:
        n_null = int(asked[3]) if len(asked) > 3 else 199
        alone = asked[5:] == ["drop_out"]
        run(asked[0], int(asked[1]), int(asked[2]), n_null, parts_in, alone=alone)
    else:
        summarise(asked[0], Path(asked[1]) if len(asked) > 1 else parts_in)
