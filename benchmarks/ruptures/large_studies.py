"""Size of the outcome tests of the calibrated rules in large studies without ruptures.

    python benchmarks/ruptures/large_studies.py FIRST COUNT FOLDER  # some studies, one part
    python benchmarks/ruptures/large_studies.py FOLDER              # all parts, large_studies.csv

In studies of 240 clients these rules flag too few for most of their comparisons; with 720 they are
usually possible. Otherwise as `size.py`.
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
    StudyPlan,
    rejection_table,
    try_one_study,
)

SEED, N_CLIENTS, N_SETS = 20261130, 720, 199
RULES = ("mean_prior_study", "mean_prior_study_fixed")


def run(first: int, count: int, folder: Path) -> None:
    """Simulate and test some studies."""
    rules, plan = load_rules(ROOT / "config/ruptures", RULES), StudyPlan(n_clients=N_CLIENTS)
    numbers = range(first, first + count)
    parts = [try_one_study(plan, rules, N_SETS, SEED, number) for number in numbers]
    folder.mkdir(parents=True, exist_ok=True)
    pd.concat(parts).to_csv(folder / f"large_{first:05d}.csv", index=False)


def summarise(folder: Path) -> None:
    """Rejection rates over all parts."""
    tests = pd.concat([pd.read_csv(path) for path in sorted(folder.glob("large_*.csv"))])
    table = rejection_table(tests)
    table.insert(0, "n_simulated", tests["study"].nunique())
    target = Path(__file__).with_suffix(".csv")
    table.to_csv(target, index=False, float_format="%.4g", lineterminator="\n")


if __name__ == "__main__":
    asked = sys.argv[1:]
    if len(asked) > 1:
        run(int(asked[0]), int(asked[1]), Path(asked[2]))
    else:
        summarise(Path(asked[0]))
