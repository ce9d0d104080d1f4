"""Studies that lack something still give a whole report: few clients, no items, no therapists."""

from __future__ import annotations

import copy

import pandas as pd
import pytest
import yaml
from browser import BROWSER, look_at
from conftest import Project, copy_project

pytestmark = pytest.mark.workflow
STUDIES = ("ten", "scores")


def plain(content: dict, name: str, title: str) -> dict:
    """The small study without anything that takes long."""
    content = copy.deepcopy(content) | {"id": name, "title": title}
    content["models"] = {"main": content["models"]["main"] | {"bayes": False}}
    content["dynamics"] = {"next_session": content["dynamics"]["next_session"] | {"bayes": False}}
    content["ruptures"]["client_rated"] |= {"rules": ["previous_drop"], "null_datasets": 100}
    content["data"]["tables"] = {
        table: entry | {"path": f"data/{name}/{table}.csv"}
        for table, entry in content["data"]["tables"].items()
    }
    return content


def without_items(content: dict, sessions: pd.DataFrame) -> pd.DataFrame:
    """Scores computed elsewhere instead of items, and nobody knows the therapists."""
    content["columns"].pop("therapist")
    content["measures"].pop("alliance_therapist")
    kept = ["client_id", "session_no", "session_date", "attendance", "psq_rupture"]
    table = sessions[kept].copy()
    for measure, stem, high in (("alliance_client", "wai_", 5), ("symptoms", "core_", 4)):
        items = sessions.filter(regex=f"^{stem}").apply(pd.to_numeric, errors="coerce")
        table[stem] = items.where(items.le(high) & items.ge(0)).mean(axis=1).round(3)
        content["measures"][measure].pop("items")
        content["measures"][measure].pop("instrument")
        content["measures"][measure] |= {
            "column": stem, "range": [0, high],
            "higher_is": "worse" if measure == "symptoms" else "better",
        }  # fmt: skip
    content["models"]["main"]["components"] = False
    return table


@pytest.fixture(scope="module")
def unusual(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three studies in one project, made from the small one; two are run to their end."""
    project = copy_project(tmp_path_factory.mktemp("unusual") / "project", finished)
    root = project.root
    mini = yaml.safe_load((root / "config/studies/mini.yaml").read_text("utf-8"))
    clients = pd.read_csv(root / "data/mini/clients.csv", dtype=str)
    sessions = pd.read_csv(root / "data/mini/sessions.csv", dtype=str)
    few = clients.head(10)
    ten = plain(mini, "ten", "Ten clients")
    scores = plain(mini, "scores", "Scores only, therapists unknown")
    once = plain(mini, "once", "One session each")
    once["cleaning"]["min_sessions"] = 1
    first = sessions[sessions["attendance"] == "attended"].drop_duplicates("client_id")
    files = {
        "ten": (ten, few, sessions[sessions["client_id"].isin(few["client_id"])]),
        "scores": (scores, clients, without_items(scores, sessions)),
        "once": (once, clients[clients["client_id"].isin(first["client_id"])], first),
    }
    for name, (content, people, visits) in files.items():
        (root / "data" / name).mkdir()
        people.to_csv(root / "data" / name / "clients.csv", index=False)
        visits.to_csv(root / "data" / name / "sessions.csv", index=False)
        text = yaml.safe_dump(content, sort_keys=False)
        (root / f"config/studies/{name}.yaml").write_text(text, encoding="utf-8")
    (root / "config/config.yaml").write_text(
        f"studies: [{', '.join(STUDIES)}]\neffort: draft\nfigure_formats: [png]\n"
    )
    done = project.snakemake()
    assert done.returncode == 0, done.stdout
    return project


def estimates(project: Project, study: str) -> pd.DataFrame:
    return pd.read_csv(project.root / "results" / study / "estimates.csv")


@pytest.mark.parametrize("study", STUDIES)
def test_the_report_is_whole(unusual: Project, study: str, tmp_path):
    page = unusual.root / f"results/{study}/report.html"
    text = page.read_text("utf-8")
    assert ">nan<" not in text
    assert (page.parent / "manuscript/manuscript.docx").stat().st_size > 5000
    if BROWSER:
        assert look_at(page, tmp_path).faults() == []


@pytest.mark.parametrize("study", STUDIES)
def test_what_could_not_be_estimated_says_why(unusual: Project, study: str):
    rows = estimates(unusual, study)
    refused = rows[rows["status"] == "not_estimated"]
    assert refused["reason"].str.len().gt(10).all()
    assert refused["estimate"].isna().all()


def test_ten_clients_and_scores_alone_have_a_within_estimate(unusual: Project):
    for study in ("ten", "scores"):
        rows = estimates(unusual, study)
        chosen = rows[(rows["term"] == "within") & (rows["estimator"] == "REML")]
        assert chosen["estimate"].notna().any(), study


def test_one_session_each_is_refused_in_plain_words(unusual: Project):
    done = unusual.snakemake("results/once/report.html")
    assert done.returncode != 0
    assert "one session for every client" in done.stdout
    assert "within-client effects cannot be estimated" in done.stdout
    assert "Traceback" not in done.stdout
    assert not (unusual.root / "results/once/report.html").exists()


def test_scores_alone_have_no_reliability_of_items(unusual: Project):
    text = (unusual.root / "results/scores/report.html").read_text("utf-8")
    assert "a score computed elsewhere" in text
