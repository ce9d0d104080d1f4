"""Study files: every mistake is told with line, key, what was found and how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from alliance.problems import Problem, StudyError
from alliance.study import (
    collect_studies,
    load_study,
    parts_of_model,
    read_excerpt,
    read_run_config,
    write_excerpt,
)

ROOT = Path(__file__).parents[1]
CLINIC = (ROOT / "config/studies/clinic.yaml").read_text(encoding="utf-8")


def problems_of(tmp_path: Path, text: str) -> list[Problem]:
    path = tmp_path / "clinic.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError) as caught:
        load_study(path, shown_as="config/studies/clinic.yaml")
    return caught.value.problems


def only_problem(tmp_path: Path, old: str, new: str) -> Problem:
    assert old in CLINIC
    problems = problems_of(tmp_path, CLINIC.replace(old, new, 1))
    assert len(problems) == 1, [p.as_text() for p in problems]
    return problems[0]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "config/studies").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_study_file_that_we_ship_is_sound(path: Path) -> None:
    assert load_study(path).id == path.stem


@pytest.mark.parametrize("number", [1, 99])
def test_too_few_null_data_sets_for_a_p_value_are_refused(tmp_path: Path, number: int) -> None:
    problem = only_problem(tmp_path, "null_datasets: 1000", f"null_datasets: {number}")
    assert "null_datasets" in problem.where
    assert "0 (no comparison with noise) or at least 100" in problem.expected + problem.fix


@pytest.mark.parametrize("number", [0, 100])
def test_none_or_enough_null_data_sets_are_allowed(tmp_path: Path, number: int) -> None:
    path = tmp_path / "clinic.yaml"
    path.write_text(CLINIC.replace("null_datasets: 1000", f"null_datasets: {number}"), "utf-8")
    assert load_study(path).ruptures["client_rated"].null_datasets == number


def test_sudden_gains_need_a_declared_measure(tmp_path: Path) -> None:
    entry = "sudden_gains:\n  falls: {measure: symptom, cutoff: 5}\n"
    problems = problems_of(tmp_path, f"{CLINIC}\n{entry}")
    assert [(p.code, p.found) for p in problems] == [("UNKNOWN_NAME", "'symptom'")]


def test_a_misspelt_key_gets_line_and_suggestion(tmp_path: Path) -> None:
    problem = only_problem(tmp_path, "exact_duplicates:", "exact_duplicate:")
    assert problem.code == "UNKNOWN_KEY"
    line = CLINIC.splitlines().index("  exact_duplicates: drop") + 1
    assert problem.where == f"line {line}, key cleaning.exact_duplicate"
    assert "exact_duplicates" in problem.fix


@pytest.mark.parametrize(
    ("old", "new", "code", "in_fix"),
    [
        ("role: outcome", "role: outcom", "WRONG_VALUE", "outcome"),
        ("predictor: alliance_th", "predictor: aliance_th", "UNKNOWN_NAME", "alliance_therapist"),
        ("covariates: [time]", "covariates: [tme]", "UNKNOWN_NAME", "time"),
        ("seed: 20261122", "seed: soon", "WRONG_VALUE", ""),
        ("id: clinic\n", "id: klinik\n", "STUDY_ID", "clinic"),
        ("seed: 20261122", "seed: 1\nseed: 2", "REPEATED_KEY", "Remove"),
        ("    items: \"core_{item}\"\n", "", "WRONG_VALUE", ""),
        ("  therapist: therapist_id\n", "", "NO_THERAPIST", "therapist"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_problem(
    tmp_path: Path, old: str, new: str, code: str, in_fix: str
) -> None:
    problem = only_problem(tmp_path, old, new)
    assert problem.code == code
    assert in_fix in problem.fix
    assert problem.file == "config/studies/clinic.yaml"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("alliance_when: post", "alliance_when: later", "'pre' or 'post'"),
        ("seed: 20261122", "seed: soon", "a whole number"),
        ("  main:\n    label", "  Main Model:\n    label", "small letters a to z, digits and _"),
    ],
)
def test_what_is_expected_is_said_without_the_words_of_programs(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    problems = problems_of(tmp_path, CLINIC.replace(old, new))
    wrong = [p for p in problems if p.code == "WRONG_VALUE"]
    assert wrong[0].expected.startswith(expected)


@pytest.mark.parametrize(
    ("file", "given", "fix"),
    [
        ("my study.yaml", "my_study", "Rename the file to my_study.yaml."),
        ("my_study.yaml", "my study", "Write id: my_study."),
        ("my study.yaml", "My Study", "Give both one name of small letters"),
        ("one.yaml", "two", "Write id: one, or rename the file to two.yaml."),
    ],
)
def test_a_name_that_no_id_may_have_is_never_recommended(
    tmp_path: Path, file: str, given: str, fix: str
) -> None:
    path = tmp_path / file
    path.write_text(CLINIC.replace("id: clinic", f"id: {given}", 1), encoding="utf-8")
    with pytest.raises(StudyError) as raised:
        load_study(path)
    (problem,) = [p for p in raised.value.problems if p.code == "STUDY_ID"]
    assert problem.fix.startswith(fix)


def test_all_mistakes_are_told_at_once_whatever_their_kind(tmp_path: Path) -> None:
    text = (
        CLINIC.replace("exact_duplicates:", "exact_duplicate:")
        .replace("alliance_when: post", "alliance_when: later")
        .replace("predictor: alliance_therapist", "predictor: aliance_therapist")
    )
    assert {p.code for p in problems_of(tmp_path, text)} == {
        "UNKNOWN_KEY",
        "WRONG_VALUE",
        "UNKNOWN_NAME",
    }


def test_what_is_no_yaml_gets_line_and_advice(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, "id: clinic\n\tdata: x\n")
    assert problem.code == "NOT_YAML"
    assert "line 2" in problem.where
    assert "tabs" in problem.fix


def test_a_colon_in_a_title_is_told_in_plain_words(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, "id: clinic\ntitle: Study 2: a replication\n")
    assert problem.code == "NOT_YAML"
    assert "line 2" in problem.where
    assert "second colon" in problem.found
    assert "quotation marks" in problem.fix


def test_wide_patterns_in_a_long_study_are_told(tmp_path: Path) -> None:
    """The likeliest reason for an absent session column: the file is wide."""
    text = yaml.safe_load(CLINIC)
    del text["columns"]["session"], text["columns"]["date"]
    told = [p.fix for p in problems_of(tmp_path, yaml.safe_dump(text)) if p.code == "NO_SESSION"]
    assert told == ["Add columns.session (or columns.date)."]
    for measure in text["measures"].values():
        if "items" in measure:
            measure["items"] += "_s{session}"
    told = [p.fix for p in problems_of(tmp_path, yaml.safe_dump(text)) if p.code == "NO_SESSION"]
    assert len(told) == 1
    assert "layout: wide" in told[0]


def test_an_empty_study_file_is_told(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, "# nothing yet\n")
    assert problem.code == "EMPTY_FILE"


def test_an_unknown_study_and_missing_parts_are_told_together(tmp_path: Path) -> None:
    folder = tmp_path / "config/studies"
    folder.mkdir(parents=True)
    (folder / "clinic.yaml").write_text(
        CLINIC.replace("sessions.csv", "sesions.csv")
        .replace("instrument: core10", "instrument: core11")
        .replace("rules: [mean_prior_study,", "rules: [mean_prior_stdy,"),
        encoding="utf-8",
    )
    for kind, name in (("instruments", "core10"), ("ruptures", "mean_prior_study")):
        (tmp_path / "config" / kind).mkdir()
        (tmp_path / "config" / kind / f"{name}.yaml").write_text("")
    data = tmp_path / "data/simulated/clinic"
    data.mkdir(parents=True)
    (data / "sessions.csv").write_text("")
    with pytest.raises(StudyError) as caught:
        collect_studies(["clinic", "clinics"], tmp_path)
    told = [(p.code, p.fix) for p in caught.value.problems]
    assert ("MISSING_FILE", "Did you mean 'sessions.csv'?") in told
    assert ("UNKNOWN_INSTRUMENT", "Did you mean 'core10'?") in told
    assert ("UNKNOWN_RUPTURE", "Did you mean 'mean_prior_study'?") in told
    assert ("UNKNOWN_STUDY", "Did you mean 'clinic'?") in told


def test_missing_parts_are_told_beside_other_mistakes_of_the_same_file(tmp_path: Path) -> None:
    folder = tmp_path / "config/studies"
    folder.mkdir(parents=True)
    text = (
        CLINIC.replace("exact_duplicates:", "exact_duplicate:")
        .replace("instrument: waisr_client", "instrument: wai_sr")
        .replace("rules: [mean_prior_study,", "rules: [mean_prior_stdy,")
    )
    (folder / "clinic.yaml").write_text(text, encoding="utf-8")
    for kind in ("instruments", "ruptures"):
        (tmp_path / "config" / kind).symlink_to(ROOT / "config" / kind)
    with pytest.raises(StudyError) as caught:
        collect_studies(["clinic"], tmp_path)
    told = {p.code: p for p in caught.value.problems}
    assert set(told) == {"UNKNOWN_KEY", "UNKNOWN_INSTRUMENT", "UNKNOWN_RUPTURE", "MISSING_FILE"}
    line = text.splitlines().index("    instrument: wai_sr") + 1
    assert told["UNKNOWN_INSTRUMENT"].where.startswith(f"line {line}, key measures.")
    assert "waisr_client, waisr_therapist12" in told["UNKNOWN_INSTRUMENT"].fix
    assert "Did you mean 'mean_prior_study'?" in told["UNKNOWN_RUPTURE"].fix


def test_an_absent_section_is_given_to_be_pasted(tmp_path: Path) -> None:
    start, end = CLINIC.index("timing:"), CLINIC.index("measures:")
    (problem,) = problems_of(tmp_path, CLINIC[:start] + CLINIC[end:])
    assert "timing: {alliance_when: post, outcome_when: pre}" in problem.fix


def test_an_excerpt_holds_the_declared_sections_and_no_others() -> None:
    study = load_study(ROOT / "config/studies/clinic.yaml")
    again = read_excerpt(write_excerpt(study, "measures", "covariates"))
    assert again.measures == study.measures
    assert again.covariates["feedback"].labels == {0: "no feedback", 1: "feedback"}
    with pytest.raises(AttributeError):
        _ = again.cleaning
    with pytest.raises(ValueError, match="no such section"):
        write_excerpt(study, "measure")


def test_an_excerpt_changes_only_with_what_it_depends_on() -> None:
    study = load_study(ROOT / "config/studies/clinic.yaml")
    renamed = study.model_copy(
        update={
            "measures": {
                **study.measures,
                "symptoms": study.measures["symptoms"].model_copy(update={"label": "Distress"}),
            }
        }
    )
    assert write_excerpt(study, "measures") != write_excerpt(renamed, "measures")
    assert write_excerpt(study, "measures", labels=False) == write_excerpt(
        renamed, "measures", labels=False
    )
    parts = parts_of_model(study, "therapist_rated")
    only = {"measures": parts["measures"]}
    assert list(read_excerpt(write_excerpt(study, "measures", only=only)).measures) == [
        "alliance_therapist",
        "symptoms",
    ]


def test_run_config_tells_all_problems() -> None:
    with pytest.raises(StudyError) as caught:
        read_run_config({"studys": ["clinic"], "effort": "drafty"}, "config/config.yaml")
    assert {p.code for p in caught.value.problems} == {
        "MISSING_KEY", "UNKNOWN_KEY", "WRONG_VALUE",
    }  # fmt: skip


def test_a_model_and_a_rupture_analysis_must_not_share_a_name(tmp_path: Path) -> None:
    problem = only_problem(tmp_path, "ruptures:\n  client_rated:", "ruptures:\n  main:")
    assert problem.code == "SAME_ID"
    assert "main_ruptures" in problem.fix
