"""How often intervals by therapist miss a true correlation of zero: ordinary, CR1 and CR2 errors.

    python benchmarks/reml/by_therapist.py [SAMPLES]   # -> by_therapist.csv

Panels are very uneven (one client and a geometric number more, seven on average); both variables
differ between therapists by the given intraclass correlation.
"""

import os
import sys
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # small matrices: a second thread only waits

import numpy as np
import pandas as pd
from scipy import stats

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from alliance.estimation.association import partial_correlation  # noqa: E402

SEED, SAMPLES = 20261130, 4000
THERAPISTS, CORRELATIONS = (10, 15, 20, 30), (0.0, 0.05, 0.15, 0.4)


def draw(rng: np.random.Generator, n_therapists: int, icc: float) -> tuple[np.ndarray, ...]:
    """Codes of therapists and two unrelated variables of their clients."""
    codes = np.repeat(np.arange(n_therapists), 1 + rng.negative_binomial(1, 1 / 7, n_therapists))
    own = (
        np.sqrt(icc) * rng.normal(size=n_therapists)[codes]
        + np.sqrt(1 - icc) * rng.normal(size=len(codes))
        for _ in range(2)
    )
    return codes, *own


def cr1_p(x: np.ndarray, y: np.ndarray, codes: np.ndarray) -> float:
    """The errors that most programs give: CR1, therapists - 1 degrees of freedom."""
    a, b = x - x.mean(), y - y.mean()
    slope = a @ b / (a @ a)
    scores = np.bincount(codes, a * (b - slope * a))
    n, groups = len(x), len(scores)
    factor = groups / (groups - 1) * (n - 1) / (n - 2)
    se = np.sqrt(factor * (scores @ scores)) / (a @ a)
    return float(2 * stats.t.sf(abs(slope) / se, groups - 1))


def one_sample(rng: np.random.Generator, n_therapists: int, icc: float) -> tuple[bool, ...]:
    """Whether zero is rejected: ordinary, CR1, CR2; whether the CR2 interval of r misses it."""
    codes, x, y = draw(rng, n_therapists, icc)
    nothing = np.zeros((len(x), 0))
    plain, robust = (partial_correlation(x, y, nothing, by) for by in (None, codes))
    return (
        plain.p < 0.05, cr1_p(x, y, codes) < 0.05, robust.p < 0.05,
        not robust.r_low < 0 < robust.r_high,
    )  # fmt: skip


if __name__ == "__main__":
    n_samples = int(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES
    rng, rows = np.random.default_rng(SEED), []
    for n_therapists in THERAPISTS:
        for icc in CORRELATIONS:
            missed = np.mean([one_sample(rng, n_therapists, icc) for _ in range(n_samples)], axis=0)
            rows.append((n_therapists, icc, n_samples, *(100 * missed)))
    names = ["n_therapists", "icc", "n_samples", "ordinary", "cr1", "cr2", "cr2_interval_of_r"]
    table = pd.DataFrame(rows, columns=names)
    target = Path(__file__).with_suffix(".csv")
    table.to_csv(target, index=False, float_format="%.4g", lineterminator="\n")
    print(table.to_string())
