"""Files put together under the names of the contract: wide, long and joined, and nothing lost."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from alliance.problems import StudyError
from alliance.readers import assemble, read_tables
from alliance.study import Study, load_study

ROOT = Path(__file__).parents[1]
INSTRUMENTS = {
    "short": SimpleNamespace(n_items=3, response_min=1, response_max=5, score_range=(1, 5)),
    "phq9": SimpleNamespace(n_items=9, response_min=0, response_max=3, score_range=(0, 27)),
}
ALLIANCE = {"role": "alliance", "label": "A", "instrument": "short", "items": "wai_{item}"}
OUTCOME = {"role": "outcome", "label": "Y", "column": "y", "higher_is": "worse", "range": [0, 27]}
SESSIONS = "id,s,th,wai_1,wai_2,wai_3,y\n1,1,a,1,2,3,10\n1,2,a,2,2,2,9\n2,1,b,5,4,3,8\n"


def study_of(tables, layout="long", columns=None, measures=None, **more):
    data = {"layout": layout, "tables": tables, **more.pop("data", {})}
    return Study.model_validate(
        {
            "id": "x",
            "title": "x",
            "data": data,
            "columns": columns or {"client": "id", "session": "s"},
            "timing": {"alliance_when": "post", "outcome_when": "pre"},
            "measures": measures or {"a": ALLIANCE, "y": OUTCOME},
            **more,
        }
    )


def put_together(folder, files, study=None, **options):
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    levels = options.pop("levels", {})
    tables = {
        name.split(".")[0]: {"path": name, "level": levels.get(name, "session")} for name in files
    }
    study = study or study_of(tables, **options)
    return assemble(study, INSTRUMENTS, read_tables(study, folder))


def problems_of(*args, **options):
    with pytest.raises(StudyError) as caught:
        put_together(*args, **options)
    assert all(p.file and p.found and p.expected and p.fix for p in caught.value.problems)
    return caught.value.problems


def test_a_long_file_gets_the_names_of_the_contract(tmp_path):
    raw = put_together(tmp_path, {"x.csv": SESSIONS})
    assert list(raw.sessions.columns) == [
        "client", "session", "date", "therapist", "attendance", "a__1", "a__2", "a__3", "y",
        "source_row", "source_table",
    ]  # fmt: skip
    assert raw.sessions["client"].tolist() == ["1", "1", "2"]
    assert raw.sessions["a__1"].tolist() == [1, 2, 5]
    assert raw.sessions["source_row"].tolist() == [2, 3, 4]
    assert set(raw.sessions["attendance"]) == {"attended"}
    assert raw.sessions["therapist"].isna().all()
    assert raw.clients["client"].tolist() == ["1", "2"]
    assert raw.origins["a__2"] == ("x.csv", "wai_2")


def test_wide_patterns_follow_ups_and_covariates_of_both_levels(tmp_path):
    text = (
        "id,sex,th,wai_01_s0,wai_02_s0,wai_03_s0,y0,mood0,wai_01_s2,wai_02_s2,wai_03_s2,y2,mood2,"
        "y_fu1,yfu\n"
        "7.0,1,t1,1,2,3,10,low,,,,,,3,4\n8.0,2,,1,1,1,4,high,5,5,5,2,low,3,4\n"
    )
    raw = put_together(
        tmp_path,
        {"x.csv": text},
        layout="wide",
        columns={"client": "id", "therapist": "th"},
        measures={
            "a": {**ALLIANCE, "items": "wai_{item:02d}_s{session}"},
            "y": {**OUTCOME, "column": "y{session}"},
        },
        covariates={
            "sex": {"column": "sex", "type": "category", "labels": {1: "m", 2: "f"}},
            "mood": {"column": "mood{session}", "level": "session", "type": "category"},
        },
    )
    sessions = raw.sessions
    assert sessions[["client", "session"]].to_numpy().tolist() == [["7", 0], ["8", 0], ["8", 2]]
    assert sessions["a__3"].tolist() == [3, 1, 5]
    assert sessions["y"].tolist() == [10, 4, 2]
    assert sessions["mood"].tolist() == ["low", "high", "low"]
    assert sessions["therapist"].isna().tolist() == [False, True, True]
    assert sessions["source_row"].tolist() == [2, 3, 3]
    assert raw.clients["sex"].tolist() == ["m", "f"]
    assert any("not sessions, so left out: y_fu1, yfu" in note for note in raw.notes)


def test_wide_file_with_an_item_missing_in_one_session(tmp_path):
    text = "id,w1s1,w2s1,w3s1,y1,w1s2,w3s2,y2\n1,1,2,3,4,1,2,3\n"
    measures = {
        "a": {**ALLIANCE, "items": "w{item}s{session}"},
        "y": {**OUTCOME, "column": "y{session}"},
    }
    (problem,) = problems_of(
        tmp_path, {"x.csv": text}, layout="wide", columns={"client": "id"}, measures=measures
    )
    assert problem.code == "MISSING_COLUMN"
    assert "w2s{session} for session 2" in problem.found
    listed = put_together(
        tmp_path, {"x.csv": text}, layout="wide", columns={"client": "id"}, measures=measures,
        data={"wide": {"sessions": [1]}},
    )  # fmt: skip
    assert listed.sessions["session"].tolist() == [1]
    problems = problems_of(
        tmp_path, {"x.csv": text}, layout="wide", columns={"client": "id"}, measures=measures,
        data={"wide": {"sessions": [1, 9]}},
    )  # fmt: skip
    assert [p.code for p in problems] == ["MISSING_SESSIONS"]


def test_several_session_files_and_a_client_file_are_joined_and_reported(tmp_path):
    files = {
        "client_form.csv": "id,s,wai_1,wai_2,wai_3\n1,1,1,2,3\n1,2,2,2,2\n2,1,3,3,3\n",
        "outcomes.csv": "id,s,y\n1,2,9\n1,1,10\n3,1,7\n,4,5\n",
        "people.csv": "id,arm\n1,A\n2,B\n9,A\n9,A\n",
    }
    raw = put_together(
        tmp_path,
        files,
        levels={"people.csv": "client"},
        covariates={"arm": {"column": "arm", "type": "category"}},
    )
    by_key = raw.sessions.set_index(["client", "session"])
    assert by_key.loc[("1", 1), "y"] == 10
    assert by_key.loc[("1", 2), "y"] == 9
    assert pd.isna(by_key.loc[("2", 1), "y"])
    assert len(raw.sessions) == 5  # three, the client only in outcomes, the row without a client
    assert raw.sessions["source_table"].tolist()[-2:] == ["outcomes", "outcomes"]
    assert raw.sessions["source_row"].tolist()[-2:] == [4, 5]
    report = raw.join_report.set_index("table")
    counts = ["rows_matched", "rows_only_here", "rows_only_elsewhere", "rows_repeated"]
    assert report.loc["outcomes", counts].tolist() == [2, 2, 1, 0]
    assert report.loc["people", counts].tolist() == [2, 1, 1, 1]
    assert raw.clients["client"].tolist() == ["1", "2", "9", "3"]
    assert raw.clients["arm"].tolist()[:3] == ["A", "B", "A"]
    assert {p.code for p in raw.problems} == {"UNMATCHED_ROWS"}


def test_sessions_match_although_one_file_holds_an_entry_that_is_no_session(tmp_path):
    files = {
        "a.csv": "id,s,wai_1,wai_2,wai_3\n1,1,1,2,3\n1,intake,1,1,1\n",
        "b.csv": "id,s,y\n1,1,9\n1,2.5,3\n",
    }
    raw = put_together(tmp_path, files)
    assert raw.sessions["y"].tolist()[0] == 9
    assert raw.sessions["session"].tolist() == [1, "intake", 2.5]


def test_duplicates_that_make_a_join_ambiguous(tmp_path):
    files = {
        "a.csv": "id,s,wai_1,wai_2,wai_3\n1,1,1,2,3\n1,1,1,2,3\n2,1,3,3,3\n",
        "b.csv": "id,s,y\n1,1,9\n1,1,8\n2,1,9\n",
    }
    (problem,) = problems_of(tmp_path, files)
    assert (problem.code, problem.file, problem.where) == ("AMBIGUOUS_JOIN", "b.csv", "rows 2, 3")
    files["b.csv"] = "id,s,y\n1,1,9\n1,1,9\n2,1,9\n"
    raw = put_together(tmp_path, files)
    assert raw.sessions["y"].tolist() == [9, 9, 9]
    assert raw.join_report["rows_repeated"].tolist() == [0, 1]


def test_a_client_twice_in_the_client_file_and_ids_that_never_match(tmp_path):
    covariates = {"arm": {"column": "arm", "type": "category"}}
    files = {"x.csv": SESSIONS, "p.csv": "id,arm\n1,A\n1,B\n2,A\n"}
    (problem,) = problems_of(tmp_path, files, levels={"p.csv": "client"}, covariates=covariates)
    assert (problem.code, problem.where) == ("CLIENT_TWICE", "rows 2, 3")
    files["p.csv"] = "id,arm\n001,A\n002,B\n"
    (problem,) = problems_of(tmp_path, files, levels={"p.csv": "client"}, covariates=covariates)
    assert problem.code == "NOTHING_MATCHED"


def test_the_same_column_in_two_files_is_picked_by_the_table_name(tmp_path):
    form = "id,s,wai_1,wai_2,wai_3\n1,1,{0},{0},{0}\n"
    files = {
        "client.csv": form.format(4),
        "therapist.csv": form.format(2),
        "y.csv": "id,s,y\n1,1,3\n",
    }
    problems = problems_of(tmp_path, files)
    assert {p.code for p in problems} == {"AMBIGUOUS_COLUMN"}
    assert "client.wai_1 or therapist.wai_1" in problems[0].fix
    raw = put_together(
        tmp_path,
        files,
        measures={
            "mine": {**ALLIANCE, "items": "client.wai_{item}"},
            "theirs": {**ALLIANCE, "items": "therapist.wai_{item}"},
            "y": OUTCOME,
        },
    )
    assert raw.sessions["mine__1"].tolist() == [4]
    assert raw.sessions["theirs__1"].tolist() == [2]


def test_dates_of_two_files_complete_each_other_and_disagreement_is_told(tmp_path):
    files = {
        "a.csv": "id,s,d,wai_1,wai_2,wai_3\n1,1,,1,2,3\n1,2,2026-02-01,1,1,1\n",
        "b.csv": "id,s,d,y\n1,1,2026-01-01,3\n1,2,2026-02-05,3\n",
    }
    raw = put_together(tmp_path, files, columns={"client": "id", "session": "s", "date": "d"})
    assert raw.sessions["date"].tolist() == [pd.Timestamp(2026, 1, 1), pd.Timestamp(2026, 2, 1)]
    (problem,) = raw.problems
    assert problem.code == "FILES_DISAGREE"
    assert "row 3" in problem.where


def test_sessions_are_numbered_by_date_when_there_is_no_session_column(tmp_path):
    text = "id,d,y\nb,01.03.2026,1\na,15.02.2026,2\na,01.02.2026,3\na,,4\n"
    raw = put_together(
        tmp_path, {"x.csv": text}, columns={"client": "id", "date": "d"}, measures={"y": OUTCOME}
    )
    assert raw.sessions["session"].tolist()[:3] == [1, 2, 1]
    assert raw.sessions["session"].isna().tolist() == [False, False, False, True]
    assert any("numbered by date" in note for note in raw.notes)


def test_a_null_label_leaves_rows_out_and_says_so(tmp_path):
    text = "id,month,y\n1,0,5\n1,Post-Rx,4\n1,1,3\n1,18,2\n"
    raw = put_together(
        tmp_path,
        {"x.csv": text},
        measures={"y": OUTCOME},
        columns={
            "client": "id",
            "session": {"column": "month", "labels": {"Post-Rx": None, 18: None}},
        },
    )
    assert raw.sessions["session"].tolist() == [0, 1]
    assert raw.sessions["source_row"].tolist() == [2, 4]
    assert raw.join_report["rows_left_out_by_label"].tolist() == [2]


def test_text_in_a_numeric_column_and_in_session_stays_for_validation(tmp_path):
    text = "id,s,y\n1,1,ten\n1,second,9\n2,1,-9\n"
    raw = put_together(
        tmp_path, {"x.csv": text}, measures={"y": OUTCOME}, data={"missing_codes": [-9]}
    )
    assert raw.sessions["y"].tolist() == ["ten", 9.0, None]
    assert raw.sessions["session"].tolist() == [1.0, "second", 1.0]
    assert any("missing codes read as no answer: -9 (1)" in note for note in raw.notes)


def test_a_missing_code_that_could_be_an_answer_is_told(tmp_path):
    raw = put_together(tmp_path, {"x.csv": SESSIONS}, data={"missing_codes": [9, 99]})
    (problem,) = raw.problems
    assert problem.code == "MISSING_CODE_IS_POSSIBLE"
    assert problem.severity == "warning"
    assert "9 (1 times)" in problem.found


def test_attendance_ruptures_and_endings(tmp_path):
    text = (
        "id,s,came,rupt,end,y\n1,1,Yes,ja,agreed,1\n1,2,no show,,agreed,\n2,1,yes,nein,DROPPED,2\n"
    )
    raw = put_together(
        tmp_path,
        {"x.csv": text},
        measures={"y": OUTCOME},
        columns={
            "client": "id",
            "session": "s",
            "attendance": {"column": "came", "labels": {True: "attended", "No Show": "no_show"}},
            "rupture_client": {"column": "rupt", "labels": {"ja": 1, "nein": 0}},
            "ending": {"column": "end", "labels": {"agreed": "agreed", "dropped": "dropout"}},
        },
    )
    assert raw.sessions["attendance"].tolist() == ["attended", "no_show", "attended"]
    assert raw.sessions["rupture_client"].tolist()[::2] == [1, 0]
    assert raw.clients["ending"].tolist() == ["agreed", "dropout"]


def test_clients_who_change_and_a_session_covariate_in_a_client_file(tmp_path):
    text = "id,s,arm,y\n1,1,A,1\n1,2,B,1\n2,1,A,1\n"
    raw = put_together(
        tmp_path, {"x.csv": text}, measures={"y": OUTCOME},
        covariates={"arm": {"column": "arm", "type": "category"}},
    )  # fmt: skip
    assert raw.problems[0].code == "CLIENT_VARIABLE_VARIES"
    assert "1 clients" in raw.problems[0].found
    assert raw.clients["arm"].tolist() == ["A", "A"]
    (problem,) = problems_of(
        tmp_path, {"x.csv": SESSIONS, "p.csv": "id,age\n1,30\n2,40\n"},
        levels={"p.csv": "client"},
        covariates={"age": {"column": "age", "level": "session", "type": "number"}},
    )  # fmt: skip
    assert problem.code == "WRONG_LEVEL"
    (problem,) = problems_of(
        tmp_path, {"x.csv": SESSIONS, "p.csv": "id,bdi_post\n1,30\n2,40\n"},
        levels={"p.csv": "client"}, measures={"bdi": OUTCOME | {"column": "bdi_post"}},
    )  # fmt: skip
    assert "into each client's last row" in problem.fix


def test_all_absent_columns_are_told_at_once_with_suggestions(tmp_path):
    text = "ID,s,wai1,wai2,wai3,Y\n1,1,1,2,3,4\n"
    problems = problems_of(tmp_path, {"x.csv": text})
    assert [p.code for p in problems] == ["MISSING_COLUMN"] * 3
    found = {p.where: p for p in problems}
    assert "wai1" in found["key measures.a.items"].fix
    assert "'wai_3'" in found["key measures.a.items"].found


def test_wrong_numbers_of_items_and_repeated_columns(tmp_path):
    measures = {"a": {**ALLIANCE, "items": ["wai_1", "wai_2"]}, "y": OUTCOME}
    assert [p.code for p in problems_of(tmp_path, {"x.csv": SESSIONS}, measures=measures)] == [
        "ITEM_COUNT"
    ]
    measures["a"] = {**ALLIANCE, "items": "wai_1"}
    assert [p.code for p in problems_of(tmp_path, {"x.csv": SESSIONS}, measures=measures)] == [
        "SAME_ITEM_TWICE"
    ]
    twice = "id,s,wai_1,wai_2,wai_3,y,y\n1,1,1,2,3,4,5\n"
    assert [p.code for p in problems_of(tmp_path, {"x.csv": twice})] == ["REPEATED_COLUMN"]


def test_no_session_file_at_all(tmp_path):
    covariates = {"arm": {"column": "arm", "type": "category"}}
    problems = problems_of(
        tmp_path, {"p.csv": "id,arm\n1,A\n"}, levels={"p.csv": "client"}, covariates=covariates
    )
    assert [p.code for p in problems] == ["NO_SESSION_TABLE"]


def one_study_in_four_formats(folder):
    """The same answers as long csv (decimal comma), wide xlsx in words, .sav and .dta."""
    rng = np.random.default_rng(5)
    clients, sessions = np.repeat([11, 12, 13, 14], 3), np.tile([1, 2, 3], 4)
    answers = rng.integers(1, 6, (12, 3)).astype(float)
    answers[rng.random((12, 3)) < 0.15] = np.nan
    long = pd.DataFrame(answers, columns=["wai_1", "wai_2", "wai_3"])
    long.insert(0, "s", sessions)
    long.insert(0, "id", clients)
    long["y"] = np.round(rng.normal(10, 3, 12), 2)
    long.fillna(-9).to_csv(
        folder / "long.csv", sep=";", decimal=",", index=False, encoding="utf-16"
    )
    words = {1.0: "Seldom", 2.0: "Sometimes", 3.0: "Fairly often", 4.0: "Very often", 5.0: "Always"}
    wide = long.copy()
    items = ["wai_1", "wai_2", "wai_3"]
    wide[items] = wide[items].map(lambda x: words.get(x, "no answer"))
    wide = wide.set_index(["id", "s"]).unstack()  # noqa: PD010
    wide.columns = [f"{name}_s{s}" for name, s in wide.columns]
    wide.reset_index().to_excel(folder / "wide.xlsx", index=False)
    coded = long.fillna(dict.fromkeys(items, 8))
    pyreadstat.write_sav(
        coded, folder / "x.sav", variable_value_labels=dict.fromkeys(items, words),
        missing_ranges={item: [8] for item in items},
    )  # fmt: skip
    stata = long.astype(dict.fromkeys(items, object))
    stata[items] = stata[items].map(lambda x: "a" if pd.isna(x) else x)
    pyreadstat.write_dta(
        stata, folder / "x.dta", missing_user_values={item: ["a"] for item in items},
    )  # fmt: skip
    return {word.upper(): int(number) for number, word in words.items()}


def test_one_study_in_four_formats_is_one_and_the_same(tmp_path):
    labels = one_study_in_four_formats(tmp_path)
    frames = []
    for name in ["long.csv", "x.sav", "x.dta", "wide.xlsx"]:
        wide = name == "wide.xlsx"
        end = "_s{session}" if wide else ""
        study = study_of(
            {"t": {"path": name}},
            layout="wide" if wide else "long",
            columns={"client": "id"} if wide else {"client": "id", "session": "s"},
            measures={
                "a": {**ALLIANCE, "items": "wai_{item}" + end, "labels": labels},
                "y": {**OUTCOME, "column": "y" + end},
            },
            data={"missing_codes": [-9, "No answer"]},
        )
        raw = put_together(tmp_path, {}, study)
        assert raw.problems == []
        frames.append(raw.sessions.drop(columns=["source_row"]))
    assert frames[0]["a__1"].isna().any() or frames[0]["a__2"].isna().any()
    for frame in frames[1:]:
        pd.testing.assert_frame_equal(frames[0], frame)


def test_codes_that_the_file_labels_as_missing_but_nobody_declared(tmp_path):
    frame = pd.DataFrame({"id": [1, 1], "s": [1, 2], "y": [5.0, 97.0]})
    pyreadstat.write_sav(
        frame, tmp_path / "x.sav", variable_value_labels={"y": {97.0: "Missing by design"}}
    )
    raw = put_together(tmp_path, {}, study_of({"t": {"path": "x.sav"}}, measures={"y": OUTCOME}))
    (problem,) = raw.problems
    assert problem.code == "LIKELY_MISSING_CODE"
    assert problem.where == "column 'y', row 2"


def test_no_record_is_in_any_message(tmp_path):
    text = "id,s,y\nMaria Muster,1,5\nMaria Muster,second,secret words\n"
    raw = put_together(tmp_path, {"x.csv": text}, measures={"y": OUTCOME})
    told = " ".join([*raw.notes, *(p.as_text() for p in raw.problems), raw.join_report.to_csv()])
    assert "Maria" not in told
    assert "secret" not in told


REAL = {
    "sgdata": (515, 43, {"rumination", "depression"}),
    "reisby": (250, 66, {"desipramine", "hamd_change", "imipramine"}),
    "refra_med": (2422, 250, {"depression"}),
}


@pytest.mark.parametrize("name", REAL)
def test_real_studies_go_in_by_configuration_alone(name):
    study = load_study(ROOT / "config" / "studies" / f"{name}.yaml")
    path = ROOT / next(iter(study.data.tables.values())).path
    if not path.is_file():
        pytest.skip(f"{path.name} is not here: the shared real data are absent")
    raw = assemble(study, INSTRUMENTS, read_tables(study, ROOT))
    n_sessions, n_clients, columns = REAL[name]
    assert (len(raw.sessions), len(raw.clients)) == (n_sessions, n_clients)
    assert columns <= set(raw.sessions.columns)
    assert all(raw.sessions[column].dtype == "Float64" for column in columns)
    assert not any(problem.severity == "error" for problem in raw.problems)
    if name == "refra_med":
        rated = raw.sessions.dropna(subset=["depression"])
        assert (len(rated), rated["client"].nunique()) == (2291, 246)
        assert raw.clients["arm"].nunique() == 2
