"""Write the page and the figure of published and obtained numbers."""

from pathlib import Path
from typing import TYPE_CHECKING

from alliance.figures import figure_bytes, numbers_csv
from alliance.figures.reproduction import make_reproduction
from alliance.provenance import versions
from alliance.report.inputs import figure_words, read_figure
from alliance.report.reproduction import ReproductionInputs, build_reproduction, data_file
from alliance.running import stage
from alliance.study import resolve_path
from alliance.verification import read_benchmarks, read_comparison

if TYPE_CHECKING:
    from snakemake.script import snakemake

SHOWN_VERSIONS = ("pandas", "numpy", "scipy")

with stage("reproduce", snakemake.log[0]) as say:
    benchmarks = read_benchmarks(snakemake.input.benchmarks)
    comparison = read_comparison(snakemake.input.comparison)
    drawn = make_reproduction(comparison)
    for path, file_format in zip(snakemake.output.pictures, snakemake.params.formats, strict=True):
        Path(path).write_bytes(figure_bytes(drawn.figure, file_format))
    Path(snakemake.output.numbers).write_text(numbers_csv(drawn.numbers), encoding="utf-8")
    page = build_reproduction(
        ReproductionInputs(
            comparison,
            read_figure(figure_words(drawn), figure_bytes(drawn.figure, "png")),
            tuple(data_file(d, resolve_path(d, Path())) for d in benchmarks.data.values()),
            versions(*SHOWN_VERSIONS),
        )
    )
    Path(snakemake.output.page).write_text(page, encoding="utf-8")
    say(f"page {snakemake.output.page}")
