"""Results are a function of data, configuration, code, lock file and seed: no more, no less."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Project, copy_project, environment

pytestmark = pytest.mark.workflow

PREPARED = {"accept_data", "deidentify", "clean", "score"}
SPLIT = {"split_within_between", "fit_reml", "fit_mixedlm"}
RUPTURES = {"detect_ruptures", "test_ruptures"}
READ = {"collect_estimates", "draw_figure", "write_tables", "write_report"}


def test_a_finished_study_has_nothing_to_do(finished_copy: Project) -> None:
    assert finished_copy.planned() == set()
    done = finished_copy.snakemake()
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout


def test_comments_and_time_stamps_rerun_nothing(finished_copy: Project) -> None:
    for file in ("scripts/fit_reml.py", "scripts/alliance/estimation/reml.py"):
        path = finished_copy.root / file
        path.write_text("# a comment\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    for file in ("scripts/score_scales.py", "data/mini/sessions.csv"):
        os.utime(finished_copy.root / file)
    assert finished_copy.planned() == set()


def test_an_edited_function_reruns_what_imports_it(finished_copy: Project) -> None:
    finished_copy.edit(
        "scripts/alliance/ruptures/outcome_tests.py", "SMALLEST_GROUP = 10", "SMALLEST_GROUP = 11"
    )
    planned = finished_copy.planned()
    assert "test_ruptures" in planned
    assert not planned & (PREPARED | SPLIT)


def test_an_edited_estimator_reruns_the_estimates_and_what_is_rendered(
    finished_copy: Project,
) -> None:
    finished_copy.edit(
        "scripts/alliance/estimation/mixedlm.py", "import numpy", "import math\nimport numpy"
    )
    planned = finished_copy.planned()
    assert {"fit_mixedlm", "collect_estimates", "write_report"} <= planned
    assert not planned & (PREPARED | RUPTURES | {"fit_reml", "split_within_between"})


def test_an_edited_instrument_reruns_from_validation_on(finished_copy: Project) -> None:
    finished_copy.edit("config/instruments/core10.yaml", "min_answered: 9", "min_answered: 10")
    assert finished_copy.planned() >= PREPARED | SPLIT


def test_an_instrument_that_no_study_uses_reruns_nothing(finished_copy: Project) -> None:
    finished_copy.edit("config/instruments/phq9.yaml", "min_answered: 7", "min_answered: 8")
    assert finished_copy.planned() == set()


def test_an_edited_rupture_rule_reruns_the_ruptures(finished_copy: Project) -> None:
    finished_copy.edit("config/ruptures/previous_drop.yaml", "horizon: 3", "horizon: 4")
    planned = finished_copy.planned()
    assert planned >= RUPTURES
    assert not planned & (PREPARED | SPLIT)


def test_an_edited_data_file_reruns_everything(finished_copy: Project) -> None:
    path = finished_copy.root / "data/mini/sessions.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    assert finished_copy.planned() >= PREPARED | SPLIT | RUPTURES


@pytest.mark.parametrize(
    ("section", "key", "value", "reruns", "spares"),
    [
        ("cleaning", "min_sessions", 3, {"clean", *SPLIT}, {"deidentify"}),
        ("models", "main", "new label", {"fit_reml", "write_report"}, PREPARED | RUPTURES),
        ("privacy", "smallest_cell", 6, {"describe"}, {"score", *SPLIT}),
    ],
)
def test_an_edited_key_reruns_what_depends_on_it(
    finished_copy: Project, section: str, key: str, value: object, reruns: set, spares: set
) -> None:
    def change(study: dict) -> None:
        if section == "models":
            study["models"][key]["label"] = value
        else:
            study[section][key] = value

    finished_copy.study(change)
    planned = finished_copy.planned()
    assert planned >= reruns
    assert not planned & spares


def test_a_changed_lock_file_reruns_everything(finished_copy: Project) -> None:
    finished_copy.edit("requirements.lock", "pandas==", "pandas==0")
    assert finished_copy.planned() >= PREPARED | SPLIT | RUPTURES


def test_a_rerun_after_an_edit_and_its_return_gives_the_same_bytes(
    finished_copy: Project,
) -> None:
    before = finished_copy.results()
    finished_copy.edit("config/ruptures/previous_drop.yaml", "horizon: 3", "horizon: 2")
    assert finished_copy.snakemake().returncode == 0
    assert finished_copy.results() != before
    finished_copy.edit("config/ruptures/previous_drop.yaml", "horizon: 2", "horizon: 3")
    assert finished_copy.snakemake().returncode == 0
    assert finished_copy.results() == before


def test_two_runs_in_two_folders_give_the_same_bytes(finished: Project, tmp_path: Path) -> None:
    again = copy_project(tmp_path / "elsewhere", finished)
    assert again.snakemake("--cores", "1").returncode == 0
    assert again.results() == finished.results()


def test_a_killed_run_resumes_to_the_same_bytes(finished: Project, project: Project) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "snakemake"],
        cwd=project.root,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    half_way = project.root / "results/mini/data/scored/sessions.parquet"
    deadline = time.monotonic() + 120
    while not half_way.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    assert running.poll() is None, "the run ended before it could be killed"
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not (project.root / "results/mini/report.html").exists()
    done = project.snakemake()
    assert done.returncode == 0, done.stdout
    assert project.results() == finished.results()


def test_a_clone_without_memory_of_runs_is_complete(finished: Project, tmp_path: Path) -> None:
    """Results are never committed, so a fresh clone simply has everything to do."""
    shutil.copytree(finished.root, tmp_path / "clone", ignore=shutil.ignore_patterns(".snakemake"))
    clone = Project(tmp_path / "clone")
    shutil.rmtree(clone.root / "results")
    assert clone.planned() >= PREPARED | SPLIT | RUPTURES | READ - {"write_tables"}
