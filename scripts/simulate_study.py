"""Write the files of a bundled simulated study: data, planted ruptures and flaws, truth.

python scripts/simulate_study.py clinic --out data/simulated/clinic
"""

from __future__ import annotations

import argparse
from pathlib import Path

from alliance.simulation.bundled import STUDIES


def main() -> None:
    """Write every file of the study named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=sorted(STUDIES))
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, text in STUDIES[arguments.study]({}).items():
        (arguments.out / name).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
