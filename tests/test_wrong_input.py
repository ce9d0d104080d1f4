"""Wrong input as a user meets it: all problems at once, in plain words, nothing half-written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from conftest import Project

pytestmark = pytest.mark.workflow


def run_wrong(project: Project) -> str:
    """What the screen says when the run is refused; nothing may be half-written."""
    done = project.snakemake()
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    assert "mistake of the pipeline" not in done.stdout
    written = {
        str(path.relative_to(project.root / "results"))
        for path in (project.root / "results").rglob("*")
        if path.is_file() and path.parts[-2] not in ("logs", "benchmarks")
    }
    assert written <= {"mini/qc/validation.tsv"}
    return done.stdout


def change_sessions(project: Project, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = project.root / "data/mini/sessions.csv"
    change(pd.read_csv(path, dtype=str)).to_csv(path, index=False)


def missing_file(project: Project) -> None:
    (project.root / "data/mini/sessions.csv").rename(project.root / "data/mini/session.csv")


def missing_column(project: Project) -> None:
    change_sessions(
        project, lambda s: s.rename(columns={"session_no": "sesion_no", "wai_3": "wai3"})
    )


def unknown_instrument(project: Project) -> None:
    project.edit("config/studies/mini.yaml", "instrument: core10", "instrument: core_10")


def misspelt_key(project: Project) -> None:
    project.edit("config/studies/mini.yaml", "min_sessions:", "min_session:")


def text_in_an_item(project: Project) -> None:
    change_sessions(project, lambda s: s.assign(core_4=s["core_4"].mask(s.index == 5, "often")))


def one_client_only(project: Project) -> None:
    change_sessions(project, lambda s: s[s["client_id"] == s["client_id"].iloc[0]])


def constant_alliance(project: Project) -> None:
    items = {f"wai_{i}": "4" for i in range(1, 13)}
    change_sessions(project, lambda s: s.assign(**items))


def no_outcome(project: Project) -> None:
    def drop(study: dict) -> None:
        study["measures"].pop("symptoms")

    project.study(drop)


def empty_outcome(project: Project) -> None:
    items = {f"core_{i}": "" for i in range(1, 11)}
    change_sessions(project, lambda s: s.assign(**items))


CASES: dict[str, tuple[Callable[[Project], None], tuple[str, ...]]] = {
    "missing file": (missing_file, ("data/mini/sessions.csv", "Did you mean 'session.csv'?")),
    "missing column": (missing_column, ("session_no", "sesion_no", "wai_3", "wai3")),
    "unknown instrument": (unknown_instrument, ("core_10", "Did you mean 'core10'?")),
    "misspelt key": (misspelt_key, ("cleaning.min_session", "Did you mean 'min_sessions'?")),
    "text in a numeric item": (text_in_an_item, ("core_4", "row 7", "number")),
    "one client only": (one_client_only, ("one client", "clients")),
    "constant alliance": (constant_alliance, ("alliance_client", "constant")),
    "no outcome": (no_outcome, ("outcome",)),
    "empty outcome": (empty_outcome, ("symptoms",)),
}


@pytest.mark.parametrize("name", CASES)
def test_wrong_input_is_told_in_plain_words(project: Project, name: str) -> None:
    damage, expected = CASES[name]
    damage(project)
    screen = run_wrong(project)
    for words in expected:
        assert words in screen, screen
    assert "fix:" in screen


def test_all_problems_of_the_data_are_told_at_once(project: Project) -> None:
    text_in_an_item(project)
    missing = {"wai_7": "way_7"}
    change_sessions(project, lambda s: s.rename(columns=missing))
    screen = run_wrong(project)
    assert "wai_7" in screen
    assert "core_4" in screen


def test_a_refused_study_runs_once_it_is_mended(project: Project, finished: Project) -> None:
    good = (project.root / "data/mini/sessions.csv").read_bytes()
    text_in_an_item(project)
    run_wrong(project)
    Path(project.root / "data/mini/sessions.csv").write_bytes(good)
    done = project.snakemake()
    assert done.returncode == 0, done.stdout
    assert project.results() == finished.results()


def test_one_broken_study_does_not_stop_the_other(project: Project) -> None:
    text = (project.root / "config/studies/mini.yaml").read_text(encoding="utf-8")
    (project.root / "config/studies/broken.yaml").write_text(
        text.replace("id: mini", "id: broken").replace("core_{item}", "kore_{item}"),
        encoding="utf-8",
    )
    project.edit("config/config.yaml", "studies: [mini]", "studies: [broken, mini]")
    done = project.snakemake()
    assert done.returncode != 0
    assert "kore_" in done.stdout
    assert (project.root / "results/mini/report.html").is_file()
    assert not (project.root / "results/broken/report.html").exists()


def test_the_screen_ends_with_one_list_of_all_problems(project: Project) -> None:
    text_in_an_item(project)
    missing_column(project)
    screen = run_wrong(project)
    count = "The study 'mini' was stopped: 3 errors, "
    assert screen.count(count) == 1
    problems = pd.read_csv(project.root / "results/mini/qc/validation.tsv", sep="\t")
    assert (problems["severity"] == "error").sum() == 3
    assert screen.count("fix:") == len(problems)
    end = screen[screen.index(count) :]
    assert "Error in rule" not in end
    assert "results/mini/qc/validation.tsv" in end


def test_a_user_adds_an_instrument_and_gets_a_report(project: Project) -> None:
    """A scale nobody here has heard of: one YAML file, a few columns, no code."""
    (project.root / "config/instruments/mood6.yaml").write_text(
        "id: mood6\n"
        "name: Mood Scale\n"
        "domain: outcome\n"
        "perspective: client\n"
        "n_items: 6\n"
        "response_min: 1\n"
        "response_max: 6\n"
        "reverse: [2, 5]\n"
        "total_rule: sum\n"
        "min_answered: 5\n"
        "missing_rule: prorate\n"
        "higher_is: worse\n"
        "verification: verified_1\n"
        "references: [Our manual]\n",
        encoding="utf-8",
    )

    def add_items(sessions: pd.DataFrame) -> pd.DataFrame:
        answers = sessions[[f"core_{i}" for i in (1, 2, 4, 5, 3, 6)]].apply(pd.to_numeric)
        answers = answers.where(answers >= 0) + 1
        names = [f"mood item {i}" for i in range(1, 7)]
        return sessions.assign(**dict(zip(names, answers.to_numpy().T, strict=True)))

    def declare(study: dict) -> None:
        study["measures"]["symptoms"] = {
            "role": "outcome", "label": "Mood (MS-6)", "instrument": "mood6",
            "items": "mood item {item}",
        }  # fmt: skip
        study["models"]["main"]["bayes"] = False

    change_sessions(project, add_items)
    project.study(declare)
    done = project.snakemake()
    assert done.returncode == 0, done.stdout
    scored = pd.read_parquet(project.root / "results/mini/data/scored/sessions.parquet")
    given = pd.read_parquet(project.root / "results/mini/data/clean/sessions.parquet")
    items = given[[f"symptoms__{i}" for i in range(1, 7)]].astype(float)
    items[["symptoms__2", "symptoms__5"]] = 7 - items[["symptoms__2", "symptoms__5"]]
    complete = items.notna().all(axis=1).to_numpy()
    naive = items.sum(axis=1).to_numpy()[complete]
    assert complete.sum() > 300
    assert (scored["symptoms"].astype(float).to_numpy()[complete] == naive).all()
    page = (project.root / "results/mini/report.html").read_text(encoding="utf-8")
    assert "MS-6" in page
