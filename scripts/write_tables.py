"""Write every table of a study for Word, LaTeX and the web, and its numbers as CSV."""

import html
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import yaml

from alliance.estimates import read_estimates
from alliance.running import stage
from alliance.study import read_excerpt
from alliance.tables import (
    TABLE_STYLE,
    TableInputs,
    document_bytes,
    make_tables,
    table_csv,
    table_document,
    table_html,
    table_latex,
    table_page,
    tables_document,
    truth_frame,
)
from alliance.tables.bayes import read_checks

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("tables", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    given = snakemake.input
    truth = [yaml.safe_load(Path(path).read_text("utf-8"))["estimands"] for path in given.truth]
    tables = make_tables(
        TableInputs(
            study,
            estimates=read_estimates(given.estimates),
            flow=pd.read_csv(given.flow, sep="\t"),
            sample=pd.read_csv(given.sample),
            measures=pd.read_csv(given.measures),
            correlations=pd.read_csv(given.correlations),
            reliability=pd.read_csv(given.reliability),
            ruptures={
                name: pd.read_csv(path)
                for name, path in zip(study.ruptures, given.ruptures, strict=True)
            },
            bayes_checks=read_checks(given.bayes_checks),
            noise={
                name: pd.read_csv(path)
                for name, path in zip(study.ruptures, given.noise, strict=True)
            },
            truth=truth_frame(truth[0]) if truth else None,
            recoveries={
                name: pd.read_csv(path)
                for name, path in zip(study.ruptures, given.recoveries, strict=False)
            },
            rupture_sources={Path(path).stem: pd.read_csv(path) for path in given.rupture_sources},
        )
    )
    folder = Path(snakemake.output.pages)
    folder.mkdir(parents=True)
    for name, table in tables.items():
        (folder / f"{name}.html").write_text(table_page(table, TABLE_STYLE), encoding="utf-8")
        (folder / f"{name}.csv").write_text(table_csv(table), encoding="utf-8")
        (folder / f"{name}.tex").write_text(table_latex(table), encoding="utf-8")
        (folder / f"{name}.docx").write_bytes(document_bytes(table_document(table)))
    bodies = "\n".join(
        '<div style="overflow-x: auto; margin: 0 0 2em" tabindex="0" role="group" '
        f'aria-label="Table {number}">\n{table_html(table, f"Table {number}")}\n</div>'
        for number, table in enumerate(tables.values(), 1)
    )
    document = tables_document(tables.values(), f"{study.title}: tables")
    Path(snakemake.output.document).write_bytes(document_bytes(document))
    Path(snakemake.output.index).write_text(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(study.title)}: tables</title><style>{TABLE_STYLE}</style></head>\n"
        f"<body>\n{bodies}\n</body></html>\n",
        encoding="utf-8",
    )
    order = {name: number for number, name in enumerate(tables, 1)}
    Path(snakemake.output.numbers).write_text(json.dumps(order, indent=1) + "\n", "utf-8")
    say(f"{len(tables)} tables")
