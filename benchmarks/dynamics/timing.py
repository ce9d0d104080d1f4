"""Times of the dynamic model: maximum likelihood, posterior sampling, and lavaan beside them.

Usage, from the project's folder, on an otherwise idle machine (about six minutes on two cores)::

    python benchmarks/dynamics/timing.py

Writes timing.csv beside this script; ``target`` is the time that was asked for, where one was.
Needs R with lavaan for the last rows; they are left out without it. ``--clients 60`` tries the
script.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from alliance.estimation.continuous_time import fit_timed  # noqa: E402
from alliance.estimation.dynamics import fit_var  # noqa: E402
from alliance.estimation.dynamics_bayes import VarPriors, compile_var, sample_var  # noqa: E402
from alliance.estimation.dynamics_layout import VarSpec  # noqa: E402
from alliance.estimation.dynamics_series import VarSeries  # noqa: E402
from alliance.estimation.ml_sem import fit_ml_sem  # noqa: E402
from alliance.estimation.random_dynamics import fit_random_dynamics  # noqa: E402
from alliance.simulation.recovery import NAMES, Truth, simulate  # noqa: E402

DESIGNS = {
    "balanced": (-np.inf, 0.0),
    "drop-out": (-2.6, 0.0),
    "drop-out, 5 % of scores missing": (-2.6, 0.05),
}


def sample(n_clients: int, hazard: float, missing: float) -> VarSeries:
    rng = np.random.default_rng(20261122)
    scores = simulate(Truth(hazard=hazard), n_clients, 15, rng)
    scores[rng.random(scores.shape) < missing] = np.nan
    scores = scores[~np.isnan(scores).all(axis=(1, 2))]
    return VarSeries(scores, NAMES, tuple(map(str, range(len(scores)))))


SAMPLED = ("balanced", "drop-out, 5 % of scores missing")  # compiling takes most of the time
TARGETS = {("sampling", 600): 30.0, ("sampling", 10_000): 60.0, ("ml", 10_000): 5.0}
COLUMNS = ("what", "clients", "design", "seconds", "target", "note")


class Times:
    """Rows of the table, told as they come."""

    def __init__(self) -> None:
        self.rows: list[tuple[object, ...]] = []

    def add(
        self,
        what: str,
        n_clients: int,
        design: str,
        seconds: float,
        note: str = "",
        target: str = "",
    ) -> None:
        wanted = TARGETS.get((target, n_clients), "")
        self.rows.append((what, n_clients, design, f"{seconds:.2f}", wanted, note))
        print(*self.rows[-1], sep=" | ", file=sys.stderr, flush=True)

    def write(self, path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([COLUMNS, *self.rows])


def time_ours(times: Times, n_clients: int, design: str) -> None:
    series = sample(n_clients, *DESIGNS[design])
    start = time.perf_counter()
    fit = fit_var(series, VarSpec((1, 0)))
    taken = time.perf_counter() - start
    what = "maximum likelihood with standard errors"
    times.add(what, n_clients, design, taken, "several starts", "ml")
    start = time.perf_counter()
    fit_ml_sem(series, VarSpec((1, 0)), 1)
    taken = time.perf_counter() - start
    times.add("ML-SEM, forward equation", n_clients, design, taken, "first 10 sessions")
    if design not in SAMPLED:
        return
    priors = VarPriors()
    start = time.perf_counter()
    compiled = compile_var(fit, priors)
    times.add("compilation of the posterior", n_clients, design, time.perf_counter() - start)
    start = time.perf_counter()
    found = sample_var(fit, priors, compiled, "standard", seed=1)
    taken = time.perf_counter() - start
    ess = min(found.diagnostics.ess_bulk.values())
    note = f"4 x 1000 draws, smallest bulk ESS {ess:.0f}"
    times.add("posterior sampling and summaries", n_clients, design, taken, note, "sampling")


def time_other_models(times: Times, n_clients: int) -> None:
    """Clinic-size: random dynamics at draft effort, and continuous time by the week."""
    design = "drop-out, 5 % of scores missing"
    series = sample(n_clients, *DESIGNS[design])
    days = 7.0 * np.cumsum(np.random.default_rng(1).integers(1, 4, series.scores.shape[:2]), axis=1)
    start = time.perf_counter()
    fit_timed(replace(series, days=days), VarSpec((1, 0)), "week")
    taken = time.perf_counter() - start
    times.add("continuous time by the week, ML", n_clients, design, taken)
    start = time.perf_counter()
    found = fit_random_dynamics(fit_var(series, VarSpec((1, 0))), effort="draft", seed=1)
    taken = time.perf_counter() - start
    ess = min(found.diagnostics.ess_bulk.values())
    note = f"compilation included; 2 x 1000 draws, smallest bulk ESS {ess:.0f}"
    times.add("random dynamics, draft effort", n_clients, design, taken, note)


LAVAAN = """
suppressPackageStartupMessages(library(lavaan))
source_lines <- readLines("tests/golden/r/riclpm.R")
stop_at <- grep("^run <- function", source_lines) - 1
eval(parse(text = source_lines[seq_len(stop_at)]))
n_sessions <- 15
data <- read.csv(commandArgs(TRUE)[1])
taken <- system.time(fit <- lavaan(riclpm("recursive", FALSE), data = data, missing = "fiml",
  information = "observed", estimator = "ML", control = list(iter.max = 5000)))["elapsed"]
cat(taken, lavInspect(fit, "converged"))
"""


def time_lavaan(times: Times, n_clients: int, design: str) -> None:
    scores = sample(n_clients, *DESIGNS[design]).scores
    columns = [f"{name}{t + 1}" for name in ("a", "y") for t in range(15)]
    frame = pd.DataFrame(np.moveaxis(scores, 2, 1).reshape(len(scores), -1), columns=columns)
    with tempfile.TemporaryDirectory() as folder:
        data, script = Path(folder) / "data.csv", Path(folder) / "time.R"
        frame.to_csv(data, index=False, na_rep="NA")
        script.write_text(LAVAAN, encoding="utf-8")
        done = subprocess.run(
            ["Rscript", str(script), str(data)], cwd=ROOT, capture_output=True, text=True,
            check=True, timeout=600,
        )  # fmt: skip
    seconds, converged = done.stdout.split()
    note = "converged" if converged == "TRUE" else "did not converge"
    times.add("lavaan, full-information ML", n_clients, design, float(seconds), note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[600, 10_000])
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("timing.csv"))
    asked = parser.parse_args()
    times = Times()
    fit_var(sample(100, *DESIGNS["balanced"]), VarSpec((1, 0)))  # compiled code is loaded
    for n_clients in asked.clients:
        for design in DESIGNS:
            time_ours(times, n_clients, design)
    time_other_models(times, min(240, *asked.clients))
    if shutil.which("Rscript"):
        for n_clients in asked.clients:
            for design in ("balanced", "drop-out"):
                time_lavaan(times, n_clients, design)
    times.write(asked.output)


if __name__ == "__main__":
    main()
