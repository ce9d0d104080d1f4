"""Renders docs/validation.md from the tables beside this script.

Usage, from the project's folder, after a full `snakemake validate` whose tables (sbc, sbc_ranks,
sbc_bands, reml .csv of results/validation) were copied here::

    PYTHONPATH=scripts python benchmarks/calibration/publish.py

The dynamic models come from benchmarks/dynamics: recovery.csv, and sbc, sbc_ranks, sbc_bands .csv;
the tests of ruptures from benchmarks/ruptures, one table per design.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from alliance.figures import figure_bytes
from alliance.figures.calibration import draw_calibration
from alliance.report.validation import ValidationInputs, validation_page
from alliance.simulation import reml_calibration, sbc, sbc_dynamics
from alliance.simulation.rupture_studies import DESIGNS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DYNAMICS = ROOT / "benchmarks/dynamics"
NOTES = [HERE / "note.md"]  # where tables need explanation
PICTURE = "validation_sbc.png"


def models() -> dict[str, str]:
    """Bayesian models and what they are, in the order of the page."""
    names = {size.name: size.label for size in sbc.SIZES}
    names[sbc_dynamics.NAME] = sbc_dynamics.LABEL
    run = set(table("sbc")["model"])
    return {name: label for name, label in names.items() if name in run}


def table(name: str) -> pd.DataFrame:
    """One table of the multilevel models and of the dynamic model."""
    files = [folder / f"{name}.csv" for folder in (HERE, DYNAMICS)]
    return pd.concat([pd.read_csv(file) for file in files if file.is_file()], ignore_index=True)


def ruptures() -> dict[str, Path]:
    """Tables of the designs that were run."""
    files = {name: ROOT / f"benchmarks/ruptures/{name}.csv" for name in DESIGNS}
    return {name: file for name, file in files.items() if file.is_file()}


def page() -> str:
    """The text of docs/validation.md."""
    inputs = ValidationInputs(
        table("sbc"),
        pd.read_csv(HERE / "reml.csv"),
        pd.read_csv(DYNAMICS / "recovery.csv"),
        models(),
        {size.name: size.label for size in reml_calibration.SIZES},
        "\n".join(note.read_text(encoding="utf-8") for note in NOTES if note.is_file()),
        {name: pd.read_csv(file) for name, file in ruptures().items()},
    )
    return validation_page(inputs, PICTURE)


def picture() -> bytes:
    """The figure of the page."""
    figure = draw_calibration(table("sbc_ranks"), table("sbc_bands"), models())
    return figure_bytes(figure, "png")


if __name__ == "__main__":
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs/validation.md").write_text(page(), encoding="utf-8")
    (ROOT / "docs" / PICTURE).write_bytes(picture())
