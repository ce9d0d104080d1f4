"""Null data sets of a study as large as the bundled clinic: calibration_timing.py [N_SETS].

Processor time of all runnable rules on all null data sets: rates alone (with surges), and with
every outcome test.
"""

import os
import sys
import time
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # small matrices: a second thread only waits

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from alliance.rupture_null.courses import CourseColumns, courses_of  # noqa: E402
from alliance.rupture_null.noise import find, runnable  # noqa: E402
from alliance.rupture_null.null_model import fit_null_model, null_scores  # noqa: E402
from alliance.rupture_null.null_tests import null_distributions, plan_tests  # noqa: E402
from alliance.ruptures import PooledScale, load_rules  # noqa: E402
from alliance.simulation.rupture_studies import StudyPlan, draw_study  # noqa: E402

KNOWN = PooledScale(np.nan, np.nan, 0.7, 0.9)

if __name__ == "__main__":
    n_sets = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    drawn = draw_study(StudyPlan(), 1, 0)
    columns = CourseColumns("alliance", "symptoms")
    courses, series = courses_of(drawn.sessions, drawn.clients, columns)
    rules = runnable(load_rules(ROOT / "config/ruptures"), KNOWN)
    plan = plan_tests(courses, rules, KNOWN)
    null_distributions(
        courses, plan, fit_null_model(series, (1, 0), 1, drawn.reliability), 2, 1
    )  # compiles
    began = time.process_time()
    model = fit_null_model(series, (1, 0), 1, drawn.reliability)
    fitted = time.process_time()
    for number in range(n_sets):
        scores = null_scores(model, 1, number)
        found = find(courses.with_scores(scores[:, :, 0], scores[:, :, 1]), rules, KNOWN)
        for name, rule in rules.items():
            found[name].numbers(rule)
    rated = time.process_time()
    null_distributions(courses, plan, model, n_sets, 1)
    tested = time.process_time()
    print(
        f"{int(courses.rated.sum()):,} ratings of {len(courses.clients)} clients, {len(rules)} "
        f"rules, {n_sets:,} null data sets, seconds of one processor: model {fitted - began:.1f}, "
        f"rates {rated - fitted:.1f}, rates and all tests {tested - rated:.1f}"
    )
