"""Clients that calibrated rules flag in rupture-free studies of the clinic's generator.

    python benchmarks/ruptures/own_noise.py DESIGN FIRST COUNT FOLDER   # some studies, one part
    python benchmarks/ruptures/own_noise.py FOLDER                      # all parts -> own_noise.csv

DESIGN is ``clinic`` (8 to 20 sessions, drop-out, missed sessions), or a length: every treatment is
planned for so many sessions. Each study's thresholds come from null data sets of its own.
"""

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # small matrices: a second thread only waits

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from alliance.rupture_null.courses import CourseColumns, courses_of  # noqa: E402
from alliance.rupture_null.noise import find  # noqa: E402
from alliance.rupture_null.null_model import fit_null_model  # noqa: E402
from alliance.rupture_null.scanning import NOT_EVALUABLE  # noqa: E402
from alliance.rupture_null.thresholds import null_deviations, rule_thresholds  # noqa: E402
from alliance.ruptures import PooledScale, load_rules  # noqa: E402
from alliance.ruptures.thresholds import with_thresholds  # noqa: E402
from alliance.simulation.process import Process  # noqa: E402
from alliance.simulation.rupture_studies import StudyPlan, draw_study  # noqa: E402

SEED, N_SETS, SMALLEST_CELL = 20261122, 150, 5
RULES = load_rules(
    ROOT / "config/ruptures",
    ["mean_prior_study", "mean_prior_study_fixed", "mean_prior", "mean_prior_fixed"],
)
BANDS = {"all": (0, 99), "4-8": (4, 8), "9-14": (9, 14), "15-20": (15, 20), "21-30": (21, 30)}


@dataclass(frozen=True)
class PlannedLength(StudyPlan):
    """Rupture-free clinics with all treatments planned for ``length`` sessions (0: as there)."""

    length: int = 0

    @property
    def process(self) -> Process:
        """The clinic's process."""
        if not self.length:
            return super().process
        planned = (self.length, self.length)
        return replace(super().process, n_sessions=self.length, planned=planned)


PLANS = {"clinic": PlannedLength()} | {str(n): PlannedLength(length=n) for n in (8, 16, 30)}


def one_study(design: str, number: int) -> list[tuple]:
    """``design, study, rule, band, evaluable, flagged``."""
    drawn = draw_study(PLANS[design], SEED, number)
    columns = CourseColumns("alliance", "symptoms")
    courses, series = courses_of(drawn.sessions, drawn.clients, columns)
    known = PooledScale(np.nan, np.nan)
    model = fit_null_model(series, (1, 0), SEED + number, drawn.reliability)
    own = {n: r for n, r in RULES.items() if r.false_alarm is not None}
    lengths = np.diff(courses.start)
    deviations = null_deviations(courses, own, known, model, N_SETS, SEED + number)
    table = pd.DataFrame(
        {"rule": name, "n_sessions": np.nan, **row}
        for name, rule in own.items()
        for row in rule_thresholds(rule, deviations[name], lengths, SMALLEST_CELL)
    )
    found = find(courses, with_thresholds(RULES, table), known)
    rows = []
    for name in RULES:
        label = found[name].drops.label
        for band, (low, high) in BANDS.items():
            here = (lengths >= low) & (lengths <= high) & (label != NOT_EVALUABLE)
            flagged = int(((label[here] >= 1) & (label[here] <= 3)).sum())
            rows.append((design, number, name, band, int(here.sum()), flagged))
    return rows


def summarise(folder: Path) -> pd.DataFrame:
    """Percent of clients flagged over all studies, and its spread between studies."""
    table = pd.concat(pd.read_csv(path) for path in sorted(folder.glob("own_noise_*.csv")))
    rows = []
    for key, own in table.groupby(["design", "rule", "band"], sort=False):
        if not own["evaluable"].sum():
            continue
        shares = 100 * own["flagged"] / own["evaluable"].where(own["evaluable"] > 0)
        pooled = 100 * own["flagged"].sum() / own["evaluable"].sum()
        error = shares.std(ddof=1) / np.sqrt(shares.notna().sum())
        rows.append((*key, own["study"].nunique(), own["evaluable"].sum(), pooled, error))
    names = ["design", "rule", "sessions", "n_studies", "n_clients", "pct_flagged", "mc_error"]
    return pd.DataFrame(rows, columns=names)


if __name__ == "__main__":
    asked = sys.argv[1:]
    if len(asked) > 1:
        first, count, folder = int(asked[1]), int(asked[2]), Path(asked[3])
        folder.mkdir(parents=True, exist_ok=True)
        made = [
            row for number in range(first, first + count) for row in one_study(asked[0], number)
        ]
        names_of = ["design", "study", "rule", "band", "evaluable", "flagged"]
        path = folder / f"own_noise_{asked[0]}_{first:05d}.csv"
        pd.DataFrame(made, columns=names_of).to_csv(path, index=False)
    else:
        result = summarise(Path(asked[0]))
        target = Path(__file__).with_name("own_noise.csv")
        result.to_csv(target, index=False, float_format="%.4g", lineterminator="\n")
        print(result.to_string())
