"""Put the tables of the calibration together, and write the page and its figure.

As a script of the workflow: for `results/validation`. By hand, ``python scripts/write_validation.py``
renders `docs/validation.md` from the tables that are committed in `benchmarks/`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from alliance.figures import figure_bytes
from alliance.figures.calibration import draw_calibration
from alliance.report.validation import ValidationInputs, validation_page
from alliance.simulation import reml_calibration, sbc

if TYPE_CHECKING:
    from snakemake.script import snakemake


def read_all(paths: Sequence[str]) -> pd.DataFrame:
    """Tables of the same columns, one under the other."""
    return pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)


def render(
    tables: Sequence[pd.DataFrame], ranks: pd.DataFrame, page: str, picture: str
) -> None:
    """Write page and picture; the same tables give the same bytes."""
    fitted, reml, dynamics = tables
    models = {size.name: size.label for size in sbc.SIZES}
    n_fits = fitted.drop_duplicates("model").set_index("model")["fits"]
    bands = {model: sbc.bands(int(n_fits[model]), seed=1) for model in models}
    figure = draw_calibration(ranks, bands, models)
    labels = {size.name: size.label for size in reml_calibration.SIZES}
    Path(picture).write_bytes(figure_bytes(figure, "png"))
    # A model and a size of study may have the same name: each part has labels of its own.
    inputs = ValidationInputs(
        fitted.assign(model="sbc " + fitted["model"]), reml, dynamics,
        labels | {f"sbc {name}": label for name, label in models.items()},
    )  # fmt: skip
    Path(page).write_text(validation_page(inputs, Path(picture).name), encoding="utf-8")


if "snakemake" in globals():
    from alliance.running import stage

    with stage("calibration", snakemake.log[0]) as say:
        given, out = snakemake.input, snakemake.output
        tables = [read_all(given[part]) for part in ("sbc", "reml", "dynamics")]
        ranks = read_all(given.ranks)
        for table, path in zip([*tables[:2], ranks], (out.sbc, out.reml, out.ranks), strict=True):
            table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
        render(tables, ranks, out.page, out.picture)
        say(f"page {out.page}")
elif __name__ == "__main__":
    BASE = Path("benchmarks/calibration")
    DYNAMICS = Path("benchmarks/dynamics/recovery.csv")
    TABLES = [pd.read_csv(p) for p in (BASE / "sbc.csv", BASE / "reml.csv", DYNAMICS)]
    RANKS = pd.read_csv(BASE / "sbc_ranks.csv")
    render(TABLES, RANKS, "docs/validation.md", "docs/validation_sbc.png")
