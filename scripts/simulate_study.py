"""Write the files of a bundled simulated study: data, planted ruptures and flaws, truth.

Run from the project's folder::

    python scripts/simulate_study.py clinic --out data/simulated/clinic
"""

from __future__ import annotations

import argparse
from pathlib import Path

from alliance.instruments import load_instruments
from alliance.simulation.bundled import STUDIES, study_files
from alliance.study import load_study

CONFIG = Path(__file__).parents[1] / "config"


def main() -> None:
    """Write every file of the study named on the command line."""
    parser = argparse.ArgumentParser(description="Write the files of a bundled simulated study.")
    parser.add_argument("study", choices=sorted(STUDIES))
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    arguments = parser.parse_args()
    study = load_study(CONFIG / "studies" / f"{arguments.study}.yaml")
    used = {str(measure.instrument) for measure in study.measures.values()}
    files = study_files(study, load_instruments(CONFIG / "instruments", sorted(used)))
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (arguments.out / name).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
