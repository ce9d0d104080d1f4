"""Write methods, results, checklists and references of a study as Markdown and for Word."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import yaml

from alliance.estimates import read_estimates
from alliance.instruments import load_instruments
from alliance.provenance import versions
from alliance.running import stage
from alliance.ruptures import load_rules
from alliance.study import instruments_of, read_excerpt
from alliance.tables import document_bytes
from alliance.tables.bayes import read_checks
from alliance.text import (
    TextInputs,
    bibtex,
    checklists_text,
    csl_json,
    markdown,
    methods_text,
    results_text,
    whole_text,
    word_document,
)

if TYPE_CHECKING:
    from snakemake.script import snakemake

SOFTWARE = ("snakemake", "pandas", "numpy", "scipy", "statsmodels", "pymc", "nutpie", "arviz")

with stage("manuscript", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    given, out = snakemake.input, snakemake.output
    tables = ("sample", "measures", "reliability", "change", "triangulation")
    x = TextInputs(
        study,
        read_estimates(given.estimates),
        instruments=load_instruments("config/instruments", instruments_of(study)),
        rules=load_rules("config/ruptures", [Path(path).stem for path in given.rules]),
        flow=pd.read_csv(given.flow, sep="\t"),
        **{name: pd.read_csv(given[name]) for name in tables},
        ruptures={
            name: pd.read_csv(path)
            for name, path in zip(study.ruptures, given.ruptures, strict=True)
        },
        bayes_checks=read_checks(given.bayes_checks),
        priors=yaml.safe_load(Path(given.priors).read_text("utf-8")),
        effort=snakemake.params.effort,
        versions=versions(*SOFTWARE),
        numbers=json.loads(Path(given.table_numbers).read_text("utf-8")),
    )
    text, checklists = whole_text(x), checklists_text(x)
    Path(out.methods).write_text(markdown(methods_text(x)), encoding="utf-8")
    Path(out.results).write_text(markdown(results_text(x)), encoding="utf-8")
    Path(out.checklists).write_text(markdown(checklists), encoding="utf-8")
    Path(out.document).write_bytes(document_bytes(word_document(text)))
    Path(out.checklists_document).write_bytes(document_bytes(word_document(checklists)))
    Path(out.bibliography).write_text(bibtex(text.references), encoding="utf-8")
    Path(out.csl).write_text(csl_json(text.references), encoding="utf-8")
    say(f"{len(text.passages)} passages, {len(text.references)} references")
