"""Seconds and peak memory from a parquet file to scored sessions, by number of sessions.

    PYTHONPATH=scripts python benchmarks/ingest/run.py

Every size runs in a process of its own, so that its peak memory is its own. The study is made up:
ten sessions of each client, the twelve items of the WAI-SR (3% of answers missing), one outcome
score, dates, therapists; identifiers are replaced by keyed pseudonyms.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alliance.cleaning import clean
from alliance.deidentification import deidentify
from alliance.instruments import load_instruments
from alliance.readers import assemble, read_tables
from alliance.scoring import score_sessions
from alliance.study import Study
from alliance.validation import validate

ROOT = Path(__file__).parents[2]
SIZES = (100_000, 300_000, 1_000_000)
PER_CLIENT, N_ITEMS = 10, 12


def write_sessions(path: Path, n_sessions: int) -> None:
    """The file of a user: one row per session."""
    rng = np.random.default_rng(1)
    client = np.repeat(np.arange(n_sessions // PER_CLIENT), PER_CLIENT)
    number = np.tile(np.arange(1, PER_CLIENT + 1), n_sessions // PER_CLIENT)
    level = rng.normal(3.5, 0.6, client.max() + 1)[client][:, None]
    answers = np.clip(np.round(level + rng.normal(0, 0.8, (len(client), N_ITEMS))), 1, 5)
    answers[rng.random(answers.shape) < 0.03] = np.nan
    frame = pd.DataFrame(answers, columns=[f"wai_{item}" for item in range(1, N_ITEMS + 1)])
    frame.insert(0, "id", [f"P{c:07d}" for c in client])
    frame.insert(1, "session", number)
    start = np.datetime64("2020-01-06") + 7 * rng.integers(0, 100, client.max() + 1)[client]
    frame.insert(2, "date", start + 7 * number)
    frame.insert(3, "therapist", [f"T{c % 997:03d}" for c in client])
    frame["y"] = np.clip(np.round(rng.normal(18, 6, len(client))), 0, 40)
    frame.to_parquet(path, index=False)


def study_of(path: Path) -> Study:
    return Study.model_validate(
        {
            "id": "speed",
            "title": "speed",
            "data": {"tables": {"sessions": {"path": path.name}}},
            "columns": {"client": "id", "session": "session", "date": "date",
                        "therapist": "therapist"},
            "timing": {"alliance_when": "post", "outcome_when": "pre"},
            "measures": {
                "alliance": {"role": "alliance", "label": "Alliance", "items": "wai_{item}",
                             "instrument": "waisr_client"},
                "symptoms": {"role": "outcome", "label": "Symptoms", "column": "y",
                             "higher_is": "worse", "range": [0, 40]},
            },
        }
    )  # fmt: skip


def measure(path: Path) -> dict[str, float]:
    """Seconds of every stage, in the order of the workflow, and peak memory in GB."""
    study, seconds = study_of(path), {}
    keys = load_instruments(ROOT / "config/instruments", ["waisr_client"])

    def timed(stage: str, work: Callable[..., Any], *given: Any) -> Any:
        began = time.perf_counter()
        result = work(*given)
        seconds[stage] = time.perf_counter() - began
        return result

    problems, _ = timed("validate", validate, study, keys, path.parent, "speed.yaml")
    if any(problem.severity == "error" for problem in problems):
        raise SystemExit("\n".join(f"{p.code} {p.where}: {p.found}" for p in problems))
    tables = timed("read", read_tables, study, path.parent)
    raw = timed("assemble", assemble, study, keys, tables)
    safe = timed("de-identify", deidentify, raw, study, b"a key of sixteen letters")
    cleaned = timed("clean", clean, safe.sessions, safe.clients, study, keys)
    scored, _ = timed("score", score_sessions, cleaned.sessions, study, keys)
    if scored["alliance"].notna().mean() < 0.9:
        raise SystemExit("the sessions were not scored")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return seconds | {"all": sum(seconds.values()), "GB": memory}


def main() -> None:
    """Without a size: all sizes, as rows of the table in the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, help="a file already written: measure it alone")
    file = parser.parse_args().file
    if file:
        print(" | ".join(f"{value:.1f}" for value in measure(file).values()))
        return
    stages = "validate | read | assemble | de-identify | clean | score | all, s | peak, GB"
    print(f"| sessions | {stages} |")
    print("|" + "---:|" * 9)
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sessions.parquet"
            write_sessions(path, size)
            command = [sys.executable, __file__, "--file", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        print(f"| {size:,} | {done.stdout.strip() or done.stderr.strip()} |", flush=True)


if __name__ == "__main__":
    main()
