"""Titles of tables: no two alike in a study, each with its rating, component and level."""

from __future__ import annotations

import pytest
import synthetic_results as synthetic
from conftest import Project

from alliance.report.build import _table_inputs
from alliance.study import Study
from alliance.tables import ApaTable, Column, Row, TableInputs, make_tables
from alliance.tables.titles import levels_in_words, title_of, title_of_model, told_apart


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        (["within_client"], "Within Clients"),
        (["between_client", "within_client", "total"], "Within and Between Clients"),
        (["client"], "Between Clients"),
        (["between_client", "between_therapist"], "Between Clients and Between Therapists"),
        (
            ["within_client", "between_client", "between_therapist"],
            "Within and Between Clients and Between Therapists",
        ),
        (["total"], ""),
    ],
)
def test_levels_in_words(levels, words):
    assert levels_in_words(levels) == words


def test_titles_name_what_which_level_and_which_rating():
    assert title_of("Ruptures", "Alliance, bond") == "Ruptures: Alliance, bond"
    assert title_of("Trend", "A", ["within_client"]) == "Trend, Within Clients: A"
    assert title_of_model("A and B", ["within_client"]) == "A and B: Within Clients"
    said = "A: within clients, between clients"
    assert title_of_model(said, ["within_client", "between_client"]) == said
    assert title_of_model(said, ["between_therapist"]) == f"{said}: Between Therapists"


def a_table(name: str, title: str) -> ApaTable:
    return ApaTable(name, title, (Column("a"),), (Row(("x",)),))


def test_tables_of_the_same_title_also_name_their_analysis():
    tables = [a_table("ruptures_one", "R"), a_table("ruptures_other_one", "R"), a_table("x", "S")]
    assert [t.title for t in told_apart(tables, ["one", "other_one"])] == [
        "R (one)", "R (other_one)", "S",
    ]  # fmt: skip


def test_two_analyses_of_one_rating_have_titles_of_their_own():
    content = synthetic.study().model_dump(mode="json", by_alias=True, exclude_none=True)
    content["ruptures"]["again"] = content["ruptures"]["client_rated"]
    study = Study.model_validate(content)
    summary = synthetic.ruptures()["rupture_summary"]
    tables = make_tables(TableInputs(study, ruptures={"client_rated": summary, "again": summary}))
    titles = [table.title for table in tables.values()]
    assert len(titles) == len(set(titles)) == 2
    assert titles[1].endswith("Alliance, client (WAI-SR) (again)")


def test_no_two_tables_share_a_title():
    tables = make_tables(_table_inputs(synthetic.report_inputs()))
    titles = [table.title for table in tables.values()]
    assert len(titles) > 8
    assert len(titles) == len(set(titles))


LEVELS = {"within_client": "Within", "between_client": "Between", "client": "Between"}


@pytest.mark.workflow
def test_tables_of_a_finished_run_have_titles_of_their_own(finished: Project):
    pages = (finished.root / "results/mini/tables/apa").glob("*.html")
    titles = [page.read_text("utf-8").partition("<title>")[2].partition("<")[0] for page in pages]
    assert len(titles) > 10
    assert len(titles) == len(set(titles))


def test_every_table_of_estimates_names_its_level():
    """Whatever shows estimates within or between clients says so in its title."""
    tables = make_tables(_table_inputs(synthetic.report_inputs()))
    checked = 0
    for table in tables.values():
        if "level" not in table.numbers or table.name in NO_LEVEL:
            continue
        for level in set(table.numbers["level"]) & set(LEVELS):
            checked += 1
            assert LEVELS[level].lower() in table.title.lower(), table.name
    assert checked > 8


NO_LEVEL = {"rupture_agreement"}  # its level is onset, session or client: what was compared
