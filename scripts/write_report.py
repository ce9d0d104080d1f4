"""Write the report of a study: one page that needs no network."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import yaml

from alliance.estimates import read_estimates
from alliance.instruments import load_instruments
from alliance.provenance import file_hash, versions
from alliance.report import ReportInputs, build_report, read_figure
from alliance.report.sentences import anonymity_sentence, reading_sentences
from alliance.running import stage
from alliance.study import instruments_of, read_excerpt
from alliance.tables import truth_frame
from alliance.tables.bayes import read_checks

if TYPE_CHECKING:
    from snakemake.script import snakemake

SHOWN_VERSIONS = ("snakemake", "pandas", "numpy", "scipy", "statsmodels", "pymc", "nutpie", "arviz")

with stage("report", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    given = snakemake.input
    truth = [yaml.safe_load(Path(path).read_text("utf-8"))["estimands"] for path in given.truth]
    problems = {
        name: pd.read_csv(given[name], sep="\t", dtype=str, keep_default_na=False)
        for name in ("validation", "scoring_notes")
    }
    quasi = [c.label or name for name, c in study.covariates.items() if c.quasi_identifier]
    anonymity = anonymity_sentence(
        pd.read_csv(given.anonymity, sep="\t"), quasi, study.privacy.smallest_cell
    )
    page = build_report(
        ReportInputs(
            study,
            read_estimates(given.estimates),
            figures=tuple(
                read_figure(Path(words).read_text("utf-8"), Path(png).read_bytes())
                for words, png in zip(given.words, given.pictures, strict=True)
            ),
            instruments=load_instruments("config/instruments", instruments_of(study)),
            flow=pd.read_csv(given.flow, sep="\t"),
            cleaning_log=pd.read_csv(given.cleaning_log, sep="\t"),
            sample=pd.read_csv(given.sample),
            measures=pd.read_csv(given.measures),
            correlations=pd.read_csv(given.correlations),
            reliability=pd.read_csv(given.reliability),
            ceiling=pd.read_csv(given.ceiling),
            change=pd.read_csv(given.change),
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
            versions=versions(*SHOWN_VERSIONS),
            hashes={path: file_hash(path) for path in (*given.data, *given.instruments)},
            run_times="benchmarks/run_times.html",
            extra_notes=(
                *reading_sentences(Path(given.reading).read_text("utf-8")),
                *filter(None, [anonymity]),
            ),
            **problems,
        )
    )
    Path(snakemake.output.page).write_text(page, encoding="utf-8")
    say(f"results/{study.id}/report.html")
