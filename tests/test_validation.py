"""Parts of validation on their own: what is shown, what is hidden, what is told once."""

from __future__ import annotations

import datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alliance.estimation.design import MIN_THERAPISTS
from alliance.estimation.design_groups import MIN_CLIENTS_PER_THERAPIST
from alliance.instruments import load_instruments
from alliance.readers.raw import RawStudy
from alliance.study import Study, load_study
from alliance.validation import CATALOGUE, check_study, size, validate
from alliance.validation.catalogue import tell
from alliance.validation.ranges import answer_columns, present_answers
from alliance.validation.showing import Look, show_codes, show_entries, show_number, show_numbers
from alliance.validation.size import _lag

ROOT = Path(__file__).parents[1]
TODAY = datetime.date(2026, 12, 31)


def _study(**changes: object) -> Study:
    return Study.model_validate({
        "id": "mini", "title": "Mini",
        "data": {"tables": {"s": {"path": "s.csv"}}},
        "columns": {"client": "id", "session": "n"},
        "timing": {"alliance_when": "post", "outcome_when": "pre"},
        "measures": {
            "bond": {"role": "alliance", "label": "Bond", "instrument": "waisr_client",
                     "items": "w{item:02d}_s{session}", "response_range": [1, 7]},
            "distress": {"role": "outcome", "label": "D", "column": "d", "higher_is": "worse",
                         "range": [0, 40]},
        },
        **changes,
    })  # fmt: skip


def _instruments(*names: str) -> dict:
    return load_instruments(ROOT / "config" / "instruments", names)


def test_answer_columns_know_names_ranges_and_sources():
    columns = answer_columns(_study(), _instruments("waisr_client"))
    third = columns[2]
    assert (third.name, third.source, third.item) == ("bond__3", "w03_s{session}", 3)
    assert (third.low, third.high, third.whole) == (1, 7, True)
    assert (columns[-1].name, columns[-1].low, columns[-1].high) == ("distress", 0, 40)
    assert len(columns) == 13


def test_measures_of_unknown_instruments_have_no_columns():
    assert [c.name for c in answer_columns(_study(), {})] == ["distress"]


def test_present_answers_leave_other_columns_out():
    frame = pd.DataFrame(columns=["client", "bond__1", "bond__x__1", "distress", "distress_2"])
    assert present_answers(frame, _study()) == ["bond__1", "distress"]


def test_numbers_are_shown_but_not_long_ones():
    assert show_numbers(pd.Series([6.0, 7.5, 6.0, None])) == "6, 7.5"
    assert show_numbers(pd.Series(range(12), dtype=float)) == (
        "0, 1, 2, 3, 4, 5, 6, 7 and 4 other values"
    )
    assert show_number(99999.5) == "99999.5"
    assert show_number(-491712345678) == "a number of 12 digits"


def test_entries_are_shown_only_where_they_cannot_identify():
    entries = pd.Series(["often", "keine Angabe", "?", "3,5", "Meyer", "0171 234567", "Anna"])
    assert (
        show_entries(entries) == "'3,5', '?', 'keine Angabe', 'often' and 3 entries not shown here"
    )
    assert show_entries(pd.Series(["Meyer"])) == "1 entry not shown here"


@given(st.lists(st.text(min_size=6, max_size=30), max_size=5))
def test_words_that_are_not_of_questionnaires_stay_hidden(words):
    secret = [f"{word}Quastenflosser" for word in words]
    assert "Quastenflosser" not in show_entries(pd.Series(secret, dtype="str"))


def test_frequent_codes_are_shown_and_rare_ones_counted():
    codes = pd.Series(["DNA"] * 3 + ["moved away"] * 2 + ["no"])
    assert show_codes(codes) == "'DNA', 'no' and 1 entry not shown here"
    assert show_codes(pd.Series(["Hannah"] * 9)) == "1 entry not shown here"


def test_severity_follows_the_rule_where_one_decides():
    words = {"rule": "error"}
    assert tell("EXACT_DUPLICATES", "f", "", "", **words).severity == "warning"
    assert tell("EXACT_DUPLICATES", "f", "", "", severity="error", **words).severity == "error"


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_issue_says_what_it_means_and_what_to_do(code):
    issue = CATALOGUE[code]
    assert issue.meaning.endswith(".")
    assert issue.expected
    assert not issue.expected.endswith(".")
    assert issue.fix.endswith((".", "{hint}", "{advice}")), issue.fix
    assert code == code.upper()


@pytest.mark.parametrize("lag", ["forward", "same_session", 2])
@pytest.mark.parametrize("alliance", ["pre", "post"])
@pytest.mark.parametrize("outcome", ["pre", "post"])
def test_the_lag_is_that_of_the_timing_rule(lag, alliance, outcome):
    from alliance.timing import lag_rule  # noqa: PLC0415  a later room; only the test may look

    study = _study(
        timing={"alliance_when": alliance, "outcome_when": outcome},
        models={"m": {"label": "M", "outcome": "distress", "predictor": "bond", "lag": lag}},
    )
    assert _lag(study, study.models["m"]) == lag_rule(study.timing, lag).lag


def _raw(n_clients: int, n_sessions: int) -> RawStudy:
    index = [(c, s) for c in range(n_clients) for s in range(1, n_sessions + 1)]
    sessions = pd.DataFrame({
        "client": [f"P{c}" for c, _ in index],
        "session": pd.array([s for _, s in index], dtype="Int64"),
        "date": pd.NaT, "therapist": None, "attendance": "attended",
        "distress": [float((7 * c + 3 * s) % 41) for c, s in index],
        "source_row": range(2, len(index) + 2), "source_table": "s",
    })  # fmt: skip
    clients = pd.DataFrame({"client": sessions["client"].unique(), "source_row": pd.NA})
    joined = pd.DataFrame({"table": ["s"], "file": ["s.csv"], "level": ["session"]})
    return RawStudy(sessions, clients, joined, {"client": ("s.csv", "id")})


def test_a_sound_study_raises_nothing():
    look = Look(_study(), {}, _raw(25, 4), "mini.yaml")
    assert check_study(look, {}, TODAY) == []


def test_rows_of_another_file_are_named():
    study = _study(data={"tables": {"s": {"path": "s.csv"}, "t": {"path": "t.csv"}}})
    raw = _raw(25, 4)
    raw.sessions.loc[3, "distress"] = 41
    raw.origins["distress"] = ("t.csv", "d")
    told = check_study(Look(study, {}, raw, "mini.yaml"), {}, TODAY)
    assert [(p.file, p.where) for p in told] == [("t.csv", "column 'd', row 5 of s.csv")]


def test_many_rows_are_thinned():
    raw = _raw(25, 4)
    raw.sessions.loc[:11, "distress"] = 41
    told = check_study(Look(_study(), {}, raw, "mini.yaml"), {}, TODAY)
    assert told[0].where == "column 'distress', rows 2, 3, 4, 5, 6, 7, 8, 9 and 4 more"


@pytest.mark.parametrize("name", ["clinic", "brief"])
def test_bundled_studies_have_warnings_only(name):
    """Their flaws are planted; none of them may stop the study."""
    file = f"config/studies/{name}.yaml"
    study = load_study(ROOT / file)
    wanted = [m.instrument for m in study.measures.values() if m.instrument]
    problems, raw = validate(study, _instruments(*wanted), ROOT, file, TODAY)
    assert raw is not None
    assert {p.severity for p in problems} == {"warning"}
    assert "OUT_OF_RANGE" in {p.code for p in problems}
    again, _ = validate(study, _instruments(*wanted), ROOT, file, TODAY)
    assert again == problems


@pytest.mark.parametrize("name", ["sgdata", "reisby", "refra_med"])
def test_real_studies_pass(name):
    file = ROOT / f"config/studies/{name}.yaml"
    if not file.exists():
        pytest.skip("no study file of that name")
    study = load_study(file)
    if not all((ROOT / table.path).exists() for table in study.data.tables.values()):
        pytest.skip("the open data are not on this machine")
    wanted = [m.instrument for m in study.measures.values() if m.instrument]
    problems, raw = validate(study, _instruments(*wanted), ROOT, file.name, TODAY)
    assert raw is not None, [p.code for p in problems]


def test_therapists_asked_for_are_as_many_as_the_model_needs():
    """Validation may not import estimation; a number of its own must not part from the model's."""
    assert size.FEW_THERAPISTS == MIN_THERAPISTS
    assert size.CLIENTS_PER_THERAPIST == MIN_CLIENTS_PER_THERAPIST
