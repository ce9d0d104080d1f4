"""All runnable rupture rules over many sessions: python benchmarks/ruptures/timing.py [N]."""

import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from alliance.ruptures import detect, load_rules, pooled_scale, prepare, summarise  # noqa: E402
from alliance.ruptures.calibration import NoiseModel, simulate_noise  # noqa: E402

LENGTH = 20

if __name__ == "__main__":
    n_sessions = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rules = load_rules(ROOT / "config/ruptures")
    scores = simulate_noise(NoiseModel(), n_sessions // LENGTH, LENGTH, np.random.default_rng(1))
    pooled = pooled_scale(scores, 0.75, 0.9)
    few = prepare(scores.head(10 * LENGTH))
    for rule in rules.values():  # compiles
        detect(few, rule, pooled)
    began = time.perf_counter()
    series = prepare(scores)
    results = [detect(series, rule, pooled) for rule in rules.values()]
    for result, rule in zip(results, rules.values(), strict=True):
        summarise(result, rule)
    run = sum(not result.refused for result in results)
    print(f"{len(scores):,} sessions, {run} rules: {time.perf_counter() - began:.1f} s")
