"""A simulated study of many clients through the whole workflow: time, memory, size of the report.

Run from the project's folder (10,000 clients need about 2 GB of disk while it runs)::

    PYTHONPATH=scripts python benchmarks/rendering/run.py 10000 /some/empty/folder

The folder holds a copy of the project with the study ``large`` and its results; delete it when you
have looked at ``results/large/report.html``. Bayesian twins and the cluster bootstrap are switched
off, because this is about reading, tables, figures and pages; null data sets of ruptures are few,
and of several dynamic models and rupture analyses the first is run. Everything else is the bundled
study 'clinic'.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import yaml

from alliance.simulation import clinic
from alliance.simulation.bundled import csv_text

ROOT = Path(__file__).parents[2]
CLIENTS_PER_THERAPIST = 8
NULL_DATASETS = 100


def main() -> None:
    """Make the study, run the workflow, say what it took."""
    n_clients, folder = int(sys.argv[1]), Path(sys.argv[2])
    copy_project(folder)
    write_data(folder / "data/large", n_clients)
    write_study(folder)
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "all"],
        cwd=folder,
        check=False,
    )
    seconds = time.perf_counter() - started
    print(f"exit status {done.returncode}, {seconds:.0f} s by the clock")
    if done.returncode == 0:
        tell(folder / "results/large")


def copy_project(folder: Path) -> None:
    """Code and configuration as they are."""
    for name in ("workflow", "scripts", "config", "data/published"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements.lock", "environment.yml"):
        shutil.copy(ROOT / name, folder / name)


def write_data(folder: Path, n_clients: int) -> None:
    """Sessions and clients as the generator of 'clinic' draws them, without planted flaws."""
    folder.mkdir(parents=True)
    drawn = clinic.draw_clinic(clinic.SEED, n_clients, n_clients // CLIENTS_PER_THERAPIST)
    sessions, clients = clinic.clinic_tables(drawn, clinic.SEED)
    (folder / "sessions.csv").write_text(csv_text(sessions), encoding="utf-8", newline="\n")
    (folder / "clients.csv").write_text(csv_text(clients), encoding="utf-8", newline="\n")
    print(f"{len(sessions):,} scheduled sessions of {len(clients):,} clients")


def write_study(folder: Path) -> None:
    """The study file of 'clinic' with other data and without what only takes time here."""
    content = yaml.safe_load((folder / "config/studies/clinic.yaml").read_text("utf-8"))
    content |= {"id": "large", "title": "A study of many clients"}
    content.pop("truth")
    for name, table in content["data"]["tables"].items():
        table["path"] = f"data/large/{name}.csv"
    for part in ("dynamics", "ruptures"):
        content[part] = dict(list(content[part].items())[:1])
    for spec in content["models"].values():
        spec |= {"bayes": False, "bootstrap": 0}
    for spec in content["dynamics"].values():
        spec |= {"bayes": False, "bootstrap": 0}
    for spec in content["ruptures"].values():
        spec |= {"discrete_drops": False, "null_datasets": NULL_DATASETS}
    path = folder / "config/studies/large.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    (folder / "config/config.yaml").write_text(
        "studies: [large]\neffort: draft\nfigure_formats: [png]\n", encoding="utf-8"
    )


def tell(results: Path) -> None:
    """The longest steps, the highest memory, and the size of what readers open."""
    times = pd.read_csv(results / "benchmarks/run_times.csv")
    print(times.head(12).to_string(index=False))
    print(f"highest memory of one step: {times['peak_memory_mib'].max():,.0f} MiB")
    size = (results / "report.html").stat().st_size / 1e6
    print(f"report.html: {size:.1f} MB")
    largest = max((results / "figures").glob("*.csv"), key=lambda path: path.stat().st_size)
    print(f"largest table behind a figure: {largest.name}, {largest.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
