"""Snakemake's own report: a caption for every figure and every table that says what is shown."""

from __future__ import annotations

import ast
import re
from types import SimpleNamespace

import pytest
import synthetic_results as synthetic
from conftest import ROOT
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from alliance.figures import FIGURES
from alliance.report.build import _table_inputs
from alliance.tables import make_tables
from alliance.tables.registry import _ORDER

CAPTIONS = ROOT / "workflow/report"


def caption(file: str, **wildcards: str) -> str:
    """A caption as Snakemake fills it."""
    environment = Environment(loader=FileSystemLoader(CAPTIONS), undefined=StrictUndefined)
    snakemake = SimpleNamespace(wildcards=SimpleNamespace(study="clinic", **wildcards))
    return " ".join(environment.get_template(file).render(snakemake=snakemake).split())


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_has_a_caption_of_its_own(figure):
    first = caption("figure.rst", figure=figure).split(" Study *clinic*")[0]
    assert len(first) > 40
    assert first.endswith(".")


def test_the_workflow_draws_every_figure_from_the_tables_that_it_names():
    """A figure that no rule makes is nowhere, and nothing says so."""
    rules = (ROOT / "workflow/rules/report.smk").read_text(encoding="utf-8")
    listed = re.search(r"^FIGURE_TABLES = (\{.*?^\})", rules, re.MULTILINE | re.DOTALL)
    tables = ast.literal_eval(listed[1])
    wanted = {name: {*spec.needs, *spec.uses} for name, spec in FIGURES.items()}
    assert {name: set(names) for name, names in tables.items()} == wanted
    assert list(tables) == list(FIGURES)


def test_every_table_has_a_caption_of_its_own():
    tables = make_tables(_table_inputs(synthetic.report_inputs()))
    assert len(tables) > 8
    for name in tables:
        first = caption("table.rst", table=name).split("Study *clinic*")[0]
        assert len(first) > 20, name


def test_no_two_kinds_of_tables_share_a_caption():
    """``rupture_landmark_`` and others had that of the agreement of rules."""
    said: dict[str, str] = {}
    for start in _ORDER:
        name = start.replace("{main}", "main")
        name += "x" if name.endswith("_") else ""
        first = caption("table.rst", table=name).split("Study *clinic*")[0].strip()
        assert first.endswith("."), f"{name} has no caption"
        kind = start.removesuffix("{main}")
        assert said.setdefault(first, kind) == kind, f"{name} and {said[first]}: {first}"


@pytest.mark.parametrize("file", ["manuscript.rst", "checklists.rst"])
def test_texts_for_word_have_a_caption_that_names_the_study(file):
    assert "study *clinic*" in caption(file)
