"""Size of the drop-out tests of the rule with one threshold, with the workflow's number of null
data sets.

    python benchmarks/ruptures/drop_out.py FIRST COUNT FOLDER
    python benchmarks/ruptures/drop_out.py FOLDER

Few of 240 clients without ruptures are flagged and drop out: these tests are possible in two
studies of five, and in as many null data sets. ``size.py`` draws 199 of them and counts a test that
100 allow, so that it counts few studies, each with a p of coarse steps. The workflow draws 1,000
and asks for the same 100. Here the studies of ``size.py``, FIRST .. FIRST + COUNT - 1, get 999; the
first 199 are those of ``size.py``. Without COUNT, the parts in FOLDER are summarised in
drop_out.csv beside this file.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pandas as pd
from size import ROOT, SEED

from alliance.ruptures import load_rules
from alliance.simulation.rupture_studies import DESIGNS, rejection_table, try_drop_out

RULE, N_SETS = "mean_prior_study_fixed", 999


def run(first: int, count: int, folder: Path) -> None:
    """Simulate and test some studies."""
    rules = load_rules(ROOT / "config/ruptures", [RULE])
    parts = [
        try_drop_out(DESIGNS["no_ruptures"], rules, N_SETS, SEED, number)
        for number in range(first, first + count)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    pd.concat(parts).to_csv(folder / f"drop_out_{first:05d}.csv", index=False)


def summarise(folder: Path) -> None:
    """Rejection rates over all parts."""
    tests = pd.concat([pd.read_csv(path) for path in sorted(folder.glob("drop_out_*.csv"))])
    table = rejection_table(tests)
    table.insert(0, "n_simulated", tests["study"].nunique())
    out = Path(__file__).with_name("drop_out.csv")
    table.to_csv(out, index=False, float_format="%.4g", lineterminator="\n")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        run(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
    else:
        summarise(Path(sys.argv[1]))
