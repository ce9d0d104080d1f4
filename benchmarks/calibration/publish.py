"""Renders docs/validation.md from the tables beside this script.

Usage, from the project's folder, after a full `snakemake validate` whose tables (sbc, sbc_ranks,
sbc_bands, reml .csv of results/validation) were copied here::

    PYTHONPATH=scripts python benchmarks/calibration/publish.py

The dynamic models come from benchmarks/dynamics/recovery.csv.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from alliance.figures import figure_bytes
from alliance.figures.calibration import draw_calibration
from alliance.report.validation import ValidationInputs, validation_page
from alliance.simulation import reml_calibration, sbc

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NOTE = HERE / "note.md"  # where the committed tables need an explanation
PICTURE = "validation_sbc.png"


def page() -> str:
    """The text of docs/validation.md."""
    inputs = ValidationInputs(
        pd.read_csv(HERE / "sbc.csv"),
        pd.read_csv(HERE / "reml.csv"),
        pd.read_csv(ROOT / "benchmarks/dynamics/recovery.csv"),
        {size.name: size.label for size in sbc.SIZES},
        {size.name: size.label for size in reml_calibration.SIZES},
        NOTE.read_text(encoding="utf-8") if NOTE.is_file() else "",
    )
    return validation_page(inputs, PICTURE)


def picture() -> bytes:
    """The figure of the page."""
    models = {size.name: size.label for size in sbc.SIZES}
    ranks, bands = (pd.read_csv(HERE / f"sbc_{part}.csv") for part in ("ranks", "bands"))
    return figure_bytes(draw_calibration(ranks, bands, models), "png")


if __name__ == "__main__":
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs/validation.md").write_text(page(), encoding="utf-8")
    (ROOT / "docs" / PICTURE).write_bytes(picture())
