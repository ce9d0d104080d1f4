"""Time REML of this project, lme4 and statsmodels on the same simulated studies, in one run.

Usage, from the project's folder (needs R with lme4; a few minutes):

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONPATH=scripts python benchmarks/reml/compare.py

Every program gets the finished table (within and between parts included) and is timed from the
table to the estimates: ours builds the design, fits, and computes Satterthwaite degrees of freedom;
lme4 and statsmodels run with their defaults. Processor seconds are
counted, because the machine may be shared, and the median of the repetitions. Estimates are
compared as well, so that speed is not bought with accuracy.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from statsmodels.regression.mixed_linear_model import MixedLM

from alliance.estimation.design import build_design
from alliance.estimation.reml import fit_lmm
from alliance.study import ModelSpec
from alliance.within_between import split_within_between

HERE = Path(__file__).parent
SESSIONS = 10
CLIENTS_PER_THERAPIST = 20


def simulate(n_clients: int, therapists: bool, seed: int = 1) -> pd.DataFrame:
    """About ten sessions per client, every client with slope and level of their own."""
    rng = np.random.default_rng(seed)
    client = np.repeat(np.arange(n_clients), rng.integers(5, 2 * SESSIONS - 4, n_clients))
    n = client.size
    therapist = client // CLIENTS_PER_THERAPIST
    time_of_row = np.arange(n) - np.searchsorted(client, client)
    predictor = 3.5 + 0.5 * rng.normal(size=n_clients)[client] + 0.4 * rng.normal(size=n)
    slope, level = rng.normal(size=(2, n_clients))
    upper = rng.normal(size=therapist.max() + 1)[therapist] if therapists else 0.0
    outcome = 20 - 0.4 * time_of_row + (-1 + 0.8 * slope[client]) * (predictor - 3.5)
    outcome += 4 * level[client] + upper + 3 * rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "client": np.char.add("C", client.astype(str)),
            "therapist": np.char.add("T", therapist.astype(str)),
            "time": time_of_row.astype(float),
            "predictor": predictor,
            "outcome": outcome,
        }
    )
    return split_within_between(frame, therapists)


def spec(therapists: bool) -> ModelSpec:
    return ModelSpec(
        label="benchmark",
        outcome="y",
        predictor="x",
        covariates=["time"],
        random_slopes=["within"],
        therapists=therapists,
    )


def ours(frame: pd.DataFrame, therapists: bool, repeats: int) -> tuple[float, np.ndarray]:
    seconds = []
    for _ in range(repeats + 1):  # the first run loads the compiled code
        start = time.process_time()
        design = build_design(frame, spec(therapists), {})
        fit = fit_lmm(design)
        seconds.append(time.process_time() - start)
    assert fit.converged
    return float(np.median(seconds[1:])), fit.beta


def statsmodels(frame: pd.DataFrame, therapists: bool) -> tuple[float, np.ndarray]:
    fixed = ["within", "between", *(["between_therapist"] if therapists else []), "time"]
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        formula = f"outcome ~ {' + '.join(fixed)}"
        if therapists:  # statsmodels cannot correlate slopes below therapists
            parts = {"level": "0 + C(client)", "slope": "0 + C(client):within"}
            model = MixedLM.from_formula(formula, frame, groups="therapist", vc_formula=parts)
        else:
            model = MixedLM.from_formula(formula, frame, groups="client", re_formula="1 + within")
        result = model.fit(reml=True)
    return time.process_time() - start, np.asarray(result.fe_params)


def lme4(frame: pd.DataFrame, therapists: bool, repeats: int) -> tuple[float, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.csv"
        frame.to_csv(data, index=False)
        command = ["Rscript", str(HERE / "lme4.R"), str(data), str(int(therapists)), str(repeats)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    answer = json.loads(told.strip().splitlines()[-1])
    return float(np.median(answer["seconds"])), np.array(answer["beta"])


def peak_memory(frame: pd.DataFrame, therapists: bool) -> float:
    """Megabytes allocated at the peak of design and fit, the table itself not counted."""
    tracemalloc.start()
    fit_lmm(build_design(frame, spec(therapists), {}))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def main() -> None:
    rows = []
    for n_clients, therapists, peer in (
        (1_000, False, "statsmodels"),
        (1_000, True, "statsmodels"),
        (1_000, False, "lme4"),
        (1_000, True, "lme4"),
        (10_000, False, "lme4"),
        (10_000, True, "lme4"),
    ):
        frame = simulate(n_clients, therapists)
        mine, beta = ours(frame, therapists, 9)
        if peer == "lme4":
            theirs, other = lme4(frame, therapists, 3)
        else:
            theirs, other = statsmodels(frame, therapists)
        again, _ = ours(frame, therapists, 9)
        best = float(np.median([mine, again]))
        apart = float(np.abs(beta - other).max())
        rows.append((n_clients, len(frame), 3 if therapists else 2, peer, theirs, best, apart))
        print(rows[-1], file=sys.stderr)
    print("| clients | rows | levels | peer | peer, s | ours, s | ratio | largest difference |")
    print("|---:|---:|---:|---|---:|---:|---:|---:|")
    for n, size, levels, peer, theirs, best, apart in rows:
        ratio = theirs / best
        print(
            f"| {n:,} | {size:,} | {levels} | {peer} | {theirs:.2f} | {best:.4f} | {ratio:.0f} | "
            f"{apart:.1e} |"
        )
    print("\n| clients | levels | peak memory of design and fit, MB |\n|---:|---:|---:|")
    for n_clients in (2_500, 5_000, 10_000, 20_000):
        for therapists in (False, True):
            peak = peak_memory(simulate(n_clients, therapists), therapists)
            print(f"| {n_clients:,} | {3 if therapists else 2} | {peak:.0f} |")


if __name__ == "__main__":
    main()
