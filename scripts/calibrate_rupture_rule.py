"""Print the calibrated threshold table of a rupture rule, as it stands in its file.

    PYTHONPATH=scripts python scripts/calibrate_rupture_rule.py mean_prior

The noise is that of ``alliance.ruptures.calibration.NoiseModel``. Takes some seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from alliance.ruptures import load_rules
from alliance.ruptures.calibration import calibrated_thresholds

LENGTHS = (4, 5, 6, 8, 10, 12, 16, 20, 25, 30, 40, 60)


def main() -> None:
    """Simulate treatments of each length and print ``sessions: threshold``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rule", help="a file of config/ruptures/, without its ending")
    parser.add_argument("--false-alarm", type=float, default=0.10)
    parser.add_argument("--clients", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=20261122)
    asked = parser.parse_args()
    rule = load_rules(Path("config/ruptures"), [asked.rule])[asked.rule]
    table = calibrated_thresholds(
        rule, LENGTHS, asked.false_alarm, n_clients=asked.clients, seed=asked.seed
    )
    for length, threshold in table.items():
        print(f"  {length}: {threshold:.2f}")


if __name__ == "__main__":
    main()
