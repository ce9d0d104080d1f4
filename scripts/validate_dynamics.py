"""Recovery study of the dynamic models: a table of bias, coverage and power.

Usage: python scripts/validate_dynamics.py --replications 1000 --processes 2 --output recovery.csv
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from functools import partial

from alliance.simulation.recovery import CONDITIONS, LENGTHS, Cell, Found, replicate, summarise

SEED = 20261122


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replications", type=int, default=1000, help="samples per design")
    parser.add_argument("--clients", type=int, default=150, help="clients per sample")
    parser.add_argument("--sessions", type=int, nargs="+", default=list(LENGTHS))
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS), choices=CONDITIONS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--output", required=True, help="csv file to write")
    return parser.parse_args()


def one_sample(task: tuple[Cell, int], seed: int) -> list[Found]:
    return replicate(*task, seed)


def main() -> None:
    asked = arguments()
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # for new processes
    cells = [
        Cell(condition, length, asked.clients)
        for condition in asked.conditions
        for length in asked.sessions
    ]
    found: list[Found] = []
    with multiprocessing.get_context("spawn").Pool(asked.processes) as pool:
        for cell in cells:
            tasks = [(cell, number) for number in range(asked.replications)]
            for sample in pool.imap(partial(one_sample, seed=asked.seed), tasks, chunksize=20):
                found += sample
            print(f"  {cell.condition}, {cell.n_sessions} sessions: done", file=sys.stderr)
    table = summarise(found)
    table.to_csv(asked.output, index=False, float_format="%.4f", lineterminator="\n")


if __name__ == "__main__":
    main()
