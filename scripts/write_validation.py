"""Put the tables of the calibration together, and write the page and its figure."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from alliance.figures import figure_bytes
from alliance.figures.calibration import draw_calibration
from alliance.report.validation import ValidationInputs, validation_page
from alliance.running import stage
from alliance.simulation import reml_calibration, sbc, sbc_dynamics

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("calibration", snakemake.log[0]) as say:
    given, out = snakemake.input, snakemake.output
    tables = {
        part: pd.concat([pd.read_csv(path) for path in given[part]], ignore_index=True)
        for part in ("sbc", "ranks", "bands", "reml")
    }
    for part, table in tables.items():
        table.to_csv(out[part], index=False, float_format="%.6g", lineterminator="\n")
    models = {size.name: size.label for size in sbc.SIZES}
    models[sbc_dynamics.NAME] = sbc_dynamics.LABEL
    sizes = {size.name: size.label for size in reml_calibration.SIZES}
    figure = draw_calibration(tables["ranks"], tables["bands"], models)
    Path(out.picture).write_bytes(figure_bytes(figure, "png"))
    page = validation_page(
        ValidationInputs(
            tables["sbc"],
            tables["reml"],
            pd.read_csv(given.dynamics),
            models,
            sizes,
            ruptures={Path(path).stem: pd.read_csv(path) for path in given.ruptures},
        ),
        Path(out.picture).name,
    )
    Path(out.page).write_text(page, encoding="utf-8")
    say(f"page {out.page}")
