"""Draw one figure, and write the numbers behind it and its words beside it."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from alliance.estimates import read_estimates
from alliance.figures import FigureInputs, figure_bytes, make_figure, numbers_csv
from alliance.report.inputs import figure_words
from alliance.running import stage
from alliance.study import read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake


def read(name: str, path: str | list[str]) -> pd.DataFrame:
    """A table of an earlier stage, by the ending of its name; several as one, by their folder."""
    if not isinstance(path, str):
        tables = [read(name, one).assign(analysis=Path(one).parent.name) for one in path]
        return pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)
    if name == "estimates":
        return read_estimates(path)
    if path.endswith(".parquet"):
        return pd.read_parquet(path)
    return pd.read_csv(path, sep="\t" if path.endswith(".tsv") else ",")


with stage("figure", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    tables = {name: read(name, path) for name, path in snakemake.input.items()}
    drawn = make_figure(snakemake.wildcards.figure, FigureInputs(study, **tables))
    for path, file_format in zip(snakemake.output.pictures, snakemake.params.formats, strict=True):
        Path(path).write_bytes(figure_bytes(drawn.figure, file_format))
    Path(snakemake.output.numbers).write_text(numbers_csv(drawn.numbers), encoding="utf-8")
    Path(snakemake.output.words).write_text(figure_words(drawn), encoding="utf-8")
    say(drawn.name)
