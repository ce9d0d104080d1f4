"""Real, openly licensed data through the configuration alone, as it is shipped."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, Project, copy_code

SHARED = ROOT.parent / "shared/data"
STUDIES = ("sgdata", "reisby", "refra_med")

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(
        not SHARED.is_dir(),
        reason="the real data are not beside the project; `snakemake download` fetches them",
    ),
]


@pytest.fixture(scope="module")
def real(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project beside the real data in which all three studies ran with short chains."""
    base = tmp_path_factory.mktemp("real")
    (base / "shared").symlink_to(SHARED.parent)
    root = base / "project"
    project = copy_code(root, finished)
    (root / "config/config.yaml").write_text(
        f"studies: [{', '.join(STUDIES)}]\neffort: draft\nfigure_formats: [png]\n"
    )
    done = project.snakemake()
    assert done.returncode == 0, done.stdout
    return project


def estimate(project: Project, study: str, analysis: str, term: str) -> pd.Series:
    table = pd.read_csv(project.root / f"results/{study}/estimates.csv")
    rows = table[
        (table["analysis"] == analysis)
        & (table["term"] == term)
        & table["estimator"].isin(["REML", "ML"])
    ]
    assert len(rows) == 1
    return rows.iloc[0]


def report(project: Project, study: str) -> str:
    return (project.root / f"results/{study}/report.html").read_text(encoding="utf-8")


def test_sgdata_gives_the_sudden_gains_of_the_tutorial(real: Project):
    """24 gains in 15 of 43 clients, 8 with several; 4 were reversed, too few clients to be told."""
    table = pd.read_csv(real.root / "results/sgdata/estimates.csv")
    found = table[table["analysis"] == "depression_gains"].set_index("term")
    numbers = found["estimate"] * found["n_clients"]
    assert found.loc["gains", "estimate"] == 24
    assert numbers["clients_with_gain"] == pytest.approx(15)
    assert numbers["clients_with_several_gains"] == pytest.approx(8)
    assert found.loc["reversed_gains", "status"] == "not_estimated"
    assert "24 sudden gains were found in 15 of 43 clients" in report(real, "sgdata")


@pytest.mark.parametrize(
    ("term", "value", "se"),
    [("time", -0.806, 0.075), ("within", 0.660, 0.034), ("between", 0.722, 0.050)],
)
def test_sgdata_gives_the_numbers_of_an_independent_fit(
    real: Project, term: str, value: float, se: float
) -> None:
    row = estimate(real, "sgdata", "same_session", term)
    assert row["estimate"] == pytest.approx(value, abs=6e-4)
    assert row["se"] == pytest.approx(se, abs=6e-4)


@pytest.mark.parametrize(
    ("term", "value", "se"),
    [("time", -0.432, 0.046), ("time:arm[TAU]", 0.145, 0.078)],
)
def test_refra_med_gives_the_course_without_therapists(
    real: Project, term: str, value: float, se: float
) -> None:
    """The fitted benchmark has therapists as well; slopes hardly depend on them."""
    row = estimate(real, "refra_med", "main", term)
    assert row["estimate"] == pytest.approx(value, abs=0.003)
    assert row["se"] == pytest.approx(se, abs=0.002)


def test_reisby_has_a_within_and_a_between_part(real: Project) -> None:
    within = estimate(real, "reisby", "main", "within")
    assert within["n_clients"] == 66
    assert within["n_obs"] == 250
    assert "same occasion" in within["timing_order"]


def test_an_outcome_only_study_says_what_it_left_out_and_why(real: Project) -> None:
    page = report(real, "refra_med")
    assert "What was left out, and why" in page
    assert "the study file has no within/between model" in page
    assert "The study file asks for no rupture analysis." in page


def test_what_cannot_be_estimated_is_a_row_with_the_reason(real: Project) -> None:
    table = pd.read_csv(real.root / "results/refra_med/estimates.csv")
    refused = table[table["analysis"] == "therapists"]
    assert set(refused["status"]) == {"not_estimated"}
    assert refused["reason"].str.contains("18 therapists").all()


@pytest.mark.parametrize("study", STUDIES)
def test_nothing_calls_a_real_study_simulated(real: Project, study: str) -> None:
    assert "Simulated data" not in report(real, study)


def test_absent_open_data_are_skipped_with_the_reason(real: Project, tmp_path: Path) -> None:
    shutil.copytree(real.root, tmp_path / "alone", ignore=shutil.ignore_patterns(".snakemake"))
    alone = Project(tmp_path / "alone")
    shutil.rmtree(alone.root / "results")
    done = alone.snakemake()
    assert done.returncode == 0, done.stdout
    for study in STUDIES:
        assert f"Skipped '{study}'" in done.stdout
    assert "snakemake download" in done.stdout
    assert not (alone.root / "results/sgdata").exists()
