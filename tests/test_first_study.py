"""From a workbook nobody has seen to a finished report, with what README tells a new user to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Project, copy_project, environment

from alliance.drafting import CHECK

pytestmark = pytest.mark.workflow


def write_workbook(path: Path, n_clients: int = 40) -> None:
    """An export of a German clinic: items, a missing code, notes in words, a sheet of clients."""
    rng = np.random.default_rng(5)
    rows = []
    for number in range(n_clients):
        bond, distress = rng.normal(size=2)
        for session in range(1, int(rng.integers(4, 10))):
            state = rng.normal()
            wai = 4.5 + bond + 0.6 * state + rng.normal(0, 0.8, 12)
            phq = 1.5 + 0.6 * distress - 0.05 * session - 0.2 * state + rng.normal(0, 0.6, 9)
            answers = [*np.clip(np.round(wai), 1, 7), *np.clip(np.round(phq), 0, 3)]
            rows.append([
                f"P-{7 * number + 101:04d}", session, *(int(answer) for answer in answers),
                "Patientin berichtet von einem Streit mit der Schwester am Wochenende",
            ])  # fmt: skip
    names = ["Chiffre", "Sitzung Nr.", *(f"WAI-SR_{i:02d}" for i in range(1, 13)),
             *(f"PHQ-9 Item {i}" for i in range(1, 10)), "Bemerkung"]  # fmt: skip
    sessions = pd.DataFrame(rows, columns=names)
    sessions.loc[[5, 40, 77], "WAI-SR_03"] = 99
    sessions.loc[[11, 12], "PHQ-9 Item 9"] = 99
    people = pd.DataFrame({
        "Chiffre": sessions["Chiffre"].unique(),
        "Geschlecht": rng.choice(["w", "m"], n_clients),
        "Alter": rng.integers(19, 65, n_clients),
    })  # fmt: skip
    with pd.ExcelWriter(path) as book:
        sessions.to_excel(book, sheet_name="Sitzungen", index=False)
    people.to_excel(path.with_name("klienten.xlsx"), index=False)


def fill_in(project: Project, study: str) -> None:
    """What the user does at the marked lines: looks, agrees, deletes the mark."""
    file = project.root / f"config/studies/{study}.yaml"
    lines = file.read_text(encoding="utf-8").splitlines()
    text = "\n".join(
        line.split(f"  {CHECK}")[0] for line in lines if not line.strip().startswith("#")
    )
    file.write_text(text.replace("pseudonyms: keyed", "pseudonyms: as_given") + "\n")


def start(project: Project, *files: str) -> str:
    done = subprocess.run(
        [sys.executable, "scripts/start_study.py", *files], cwd=project.root, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_an_unknown_workbook_becomes_a_report(finished: Project, tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project", finished)
    folder = project.root / "data/praxis"
    folder.mkdir()
    write_workbook(folder / "praxis.xlsx")
    told = start(project, "data/praxis/praxis.xlsx", "data/praxis/klienten.xlsx")
    assert "results/praxis/report.html" in told
    fill_in(project, "praxis")
    project.study(lambda study: study["models"]["main"].update(bayes=False), "praxis")
    done = project.snakemake("results/praxis/report.html")
    assert done.returncode == 0, done.stdout
    assert "Report: results/praxis/report.html" in done.stdout  # not listed in config.yaml
    page = (project.root / "results/praxis/report.html").read_text(encoding="utf-8")
    assert "answered from 1 to 7 (published form: 1 to 5)" in page
    assert "marked CHECK" not in page
    assert "Schwester" not in page
    assert "verified_" not in page
    scored = pd.read_parquet(project.root / "results/praxis/data/scored/sessions.parquet")
    own = pd.read_excel(folder / "praxis.xlsx")
    items = own[[f"WAI-SR_{i:02d}" for i in range(1, 13)]].replace(99, np.nan)
    merged = scored.sort_values(["client", "session"])["waisr_client"].astype(float).to_numpy()
    naive = items.mean(axis=1)[np.lexsort((own["Sitzung Nr."], own["Chiffre"]))].to_numpy()
    assert np.allclose(merged, naive)


def test_marks_that_were_left_reach_the_report(finished: Project, tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project", finished)
    file = project.root / "config/studies/mini.yaml"
    with file.open("a", encoding="utf-8") as handle:
        handle.write(f"{CHECK} one more look\n")
    done = project.snakemake("results/mini/qc/validation.tsv")
    assert done.returncode == 0, done.stdout
    problems = pd.read_csv(project.root / "results/mini/qc/validation.tsv", sep="\t")
    found = problems[problems["code"] == "DRAFT_MARKS"]
    assert found["found"].tolist() == ["1 line marked CHECK"]
