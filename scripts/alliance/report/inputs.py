"""What a report is made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from alliance.figures import Drawn, NotDrawn
from alliance.instruments import Instrument
from alliance.stage_tables import fill_words
from alliance.study import Study


@dataclass(frozen=True)
class ReportFigure:
    """One figure as the report shows it; without ``png`` the reason stands in its place."""

    name: str
    title: str
    caption: str
    alt: str
    png: bytes | None = None
    reason: str = ""


def figure_words(drawn: Drawn) -> str:
    """The words of a figure as JSON, for the file beside its picture."""
    reason = drawn.figure.reason if isinstance(drawn.figure, NotDrawn) else ""
    words = {
        "name": drawn.name, "title": drawn.text.title, "caption": drawn.text.caption,
        "alt": drawn.text.alt, "reason": reason,
    }  # fmt: skip
    return json.dumps(words, ensure_ascii=False, indent=1) + "\n"


def read_figure(words: str, png: bytes | None) -> ReportFigure:
    """A figure of the report from the file of its words and its picture."""
    content = json.loads(words)
    return ReportFigure(**content, png=None if content["reason"] else png)


@dataclass(frozen=True)
class ReportInputs:
    """Everything a report shows; a table that does not exist is None.

    Attributes
    ----------
    study : the study file. instruments : measure's instrument id -> scoring key.
    estimates : the tidy table. figures : in the order of the report (see ``figures.FIGURES``).
    validation : columns of ``Problem``. cleaning_log, flow, sample, measures, correlations,
        reliability, ceiling, change : tables of the contract. scoring_notes :
        ``qc/scoring.tsv``, columns of ``Problem``.
    ruptures : key of each rupture analysis -> its summary. noise : the same -> its rates held
        against noise.
    truth : ``analysis, term, value, mc_se`` (``tables.truth_frame``), simulated studies only.
    recoveries : key of each rupture analysis -> planted ruptures found; simulated studies only.
    rupture_sources : ``sources, details, cells, agreement, components``: ruptures by other sources.
    versions : software -> version. hashes : file as the user knows it -> sha256.
    run_times : address of the page of run times, relative to the report; empty: none.
    citation : how to cite the pipeline. bayes_checks : checks of all Bayesian models.
    extra_notes : further sentences for the section on data quality.
    """

    study: Study
    estimates: pd.DataFrame
    figures: tuple[ReportFigure, ...] = ()
    instruments: Mapping[str, Instrument] = field(default_factory=dict)
    flow: pd.DataFrame | None = None
    validation: pd.DataFrame | None = None
    cleaning_log: pd.DataFrame | None = None
    scoring_notes: pd.DataFrame | None = None
    sample: pd.DataFrame | None = None
    measures: pd.DataFrame | None = None
    correlations: pd.DataFrame | None = None
    reliability: pd.DataFrame | None = None
    ceiling: pd.DataFrame | None = None
    change: pd.DataFrame | None = None
    ruptures: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    truth: pd.DataFrame | None = None
    recoveries: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    noise: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    rupture_sources: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    run_times: str = ""
    citation: str = ""
    bayes_checks: pd.DataFrame | None = None
    extra_notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, pd.DataFrame):
                object.__setattr__(self, name, fill_words(value))
