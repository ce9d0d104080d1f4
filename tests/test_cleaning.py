"""Cleaning: what each rule does, that every change is logged, that the flow closes."""

from __future__ import annotations

import copy
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alliance.cleaning import (
    FLOW_COLUMNS,
    LOG_COLUMNS,
    clean,
    contradicting_days,
    treatment_ends,
)
from alliance.deidentification import deidentify
from alliance.instruments import load_instruments
from alliance.problems import StudyError
from alliance.study import Study, load_study
from alliance.validation import validate

INSTRUMENTS = load_instruments(
    Path(__file__).parents[1] / "config" / "instruments", ["core10", "waisr_client"]
)
STUDY = {
    "id": "mini",
    "title": "Mini",
    "data": {"tables": {"sessions": {"path": "sessions.csv"}}},
    "columns": {"client": "id", "session": "s", "therapist": "t"},
    "timing": {"alliance_when": "post", "outcome_when": "pre"},
    "measures": {
        "bond": {"role": "alliance", "label": "Bond", "instrument": "waisr_client",
                 "items": "wai_{item}"},
        "distress": {"role": "outcome", "label": "Distress", "column": "d", "range": [0, 40],
                     "higher_is": "worse"},
    },
}  # fmt: skip
EVERY_STEP = [
    "read", "rows_without_client", "clients_without_sessions", "rows_without_session",
    "exact_duplicates", "conflicting_duplicates", "out_of_range", "unattended",
    "dates_against_order", "therapist_changes", "min_sessions", "analysed",
]  # fmt: skip


def study_with(**rules: object) -> Study:
    return Study.model_validate({**copy.deepcopy(STUDY), "cleaning": rules})


def sessions_of(rows: list[tuple[object, ...]]) -> pd.DataFrame:
    """Rows of client, session, day, therapist, attendance, bond__1, distress."""
    columns = ["client", "session", "day", "therapist", "attendance", "bond__1", "distress"]
    frame = pd.DataFrame(rows, columns=columns)
    types = {"client": "str", "session": "Int64", "day": "Float64", "therapist": "str",
             "attendance": "str", "bond__1": "Float64", "distress": "Float64"}  # fmt: skip
    return frame.astype(types).assign(source_row=pd.array(range(2, len(rows) + 2), dtype="Int64"))


def clients_of(*names: str) -> pd.DataFrame:
    return pd.DataFrame({"client": list(names), "therapist": pd.NA, "ending": pd.NA}, dtype="str")


def plain(client: str, session: object, **more: object) -> tuple[object, ...]:
    values = {"day": None, "therapist": None, "attendance": "attended", "bond": 3, "distress": 20}
    return (client, session, *(values | more).values())


def cleaned(rows: list[tuple[object, ...]], names: str = "", **rules: object):
    known = names.split() or sorted({str(row[0]) for row in rows if row[0] is not None})
    return clean(sessions_of(rows), clients_of(*known), study_with(**rules), INSTRUMENTS)


def test_tables_have_the_columns_of_the_contract():
    result = cleaned([plain("C2", 1), plain("C1", 2), plain("C1", 1)])
    assert tuple(result.flow.columns) == FLOW_COLUMNS
    assert tuple(result.log.columns) == LOG_COLUMNS
    assert list(result.flow["step"]) == EVERY_STEP
    assert list(result.flow["order"]) == list(range(1, len(EVERY_STEP) + 1))
    assert result.log.empty
    assert result.sessions[["client", "session"]].to_numpy().tolist() == [
        ["C1", 1], ["C1", 2], ["C2", 1],
    ]  # fmt: skip


def test_rows_without_client_or_session_and_clients_without_sessions_are_left_out():
    result = cleaned([plain(None, 1), plain("C1", None), plain("C1", 1)], "C1 C9")
    assert len(result.sessions) == 1
    assert list(result.clients["client"]) == ["C1"]
    assert list(result.log["rule"]) == [
        "rows_without_client", "clients_without_sessions", "rows_without_session",
    ]  # fmt: skip
    assert list(result.log["source_row"].fillna(-1)) == [2, -1, 3]


def test_exact_duplicates_keep_the_first_row():
    result = cleaned([plain("C1", 1), plain("C1", 1), plain("C1", 2)])
    assert list(result.sessions["source_row"]) == [2, 4]
    assert result.log[["rule", "source_row"]].to_numpy().tolist() == [["exact_duplicates", 3]]


def test_of_conflicting_duplicates_the_most_complete_row_is_kept():
    rows = [plain("C1", 1, bond=None), plain("C1", 1), plain("C1", 2, bond=1), plain("C1", 2)]
    result = cleaned(rows)
    assert list(result.sessions["source_row"]) == [3, 4]  # of equally complete ones, the first
    assert list(result.log["source_row"]) == [5, 2] or list(result.log["source_row"]) == [2, 5]


def test_conflicting_duplicates_can_all_be_dropped():
    rows = [plain("C1", 1, bond=1), plain("C1", 1), plain("C1", 2)]
    assert list(cleaned(rows, conflicting_duplicates="drop_all").sessions["session"]) == [2]


@pytest.mark.parametrize(
    ("rule", "rows"),
    [
        ("exact_duplicates", [plain("C1", 1), plain("C1", 1)]),
        ("conflicting_duplicates", [plain("C1", 1), plain("C1", 1, bond=1)]),
        ("out_of_range", [plain("C1", 1, bond=6)]),
    ],
)
def test_a_rule_set_to_error_stops(rule, rows):
    with pytest.raises(StudyError, match=f"cleaning.{rule}"):
        cleaned(rows, **{rule: "error"})


def test_answers_out_of_range_become_missing_and_are_logged_with_their_value():
    result = cleaned([plain("C1", 1, bond=6), plain("C1", 2, distress=-0.5)])
    assert result.sessions["bond__1"].isna().tolist() == [True, False]
    assert result.sessions["distress"].isna().tolist() == [False, True]
    assert result.log[["column", "session", "before", "after"]].to_numpy().tolist() == [
        ["bond__1", 1, "6", ""], ["distress", 2, "-0.5", ""],
    ]  # fmt: skip


def test_of_a_missed_session_only_forms_filled_in_before_it_are_kept():
    result = cleaned([plain("C1", 1), plain("C1", 2, attendance="no_show")])
    assert result.sessions["bond__1"].isna().tolist() == [False, True]
    assert result.sessions["distress"].notna().all()
    assert list(result.log["rule"]) == ["unattended"]
    assert len(result.sessions) == 2  # the missed session itself is data


def test_the_fewest_dates_are_removed_so_that_time_runs_forward():
    days = [0, 7, 700, 21, 28, 28, 35]
    rows = [plain("C1", n, day=day) for n, day in enumerate(days, start=1)]
    result = cleaned(rows)
    assert list(result.sessions["day"].isna()) == [False, False, True] + [False] * 4
    assert result.log[["column", "before"]].to_numpy().tolist() == [["day", "700"]]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=9))
@settings(max_examples=25, deadline=None)
def test_remaining_days_rise_and_none_could_be_spared(days):
    frame = sessions_of([plain("C1", n, day=day) for n, day in enumerate(days)])
    flawed = contradicting_days(frame)
    kept = [day for day, bad in zip(days, flawed, strict=True) if not bad]
    assert kept == sorted(kept)
    best = max(
        bin(mask).count("1")
        for mask in range(1, 2 ** len(days))
        if (part := [d for i, d in enumerate(days) if mask >> i & 1]) == sorted(part)
    )
    assert len(kept) == best


def test_therapist_of_the_first_session_counts():
    rows = [plain("C1", 2, therapist="T2"), plain("C1", 1, therapist="T1"),
            plain("C1", 3, therapist="T2"), plain("C1", 4)]  # fmt: skip
    first = cleaned(rows)
    assert set(first.sessions["therapist"]) == {"T1"}
    assert list(first.clients["therapist"]) == ["T1"]
    assert sorted(first.log["before"]) == ["", "T2", "T2"]
    most = cleaned(rows, therapist_changes="most_sessions")
    assert set(most.sessions["therapist"]) == {"T2"}
    kept = cleaned(rows, therapist_changes="keep")
    assert kept.sessions["therapist"].fillna("none").tolist() == ["T1", "T2", "T2", "none"]
    assert list(kept.clients["therapist"]) == ["T1"]
    assert kept.log.empty


def test_minimum_counts_attended_sessions_with_data():
    rows = [plain("C1", 1), plain("C1", 2), plain("C2", 1), plain("C2", 2, attendance="no_show"),
            plain("C3", 1), plain("C3", 2, bond=None, distress=None)]  # fmt: skip
    result = cleaned(rows, min_sessions=2)
    assert list(result.clients["client"]) == ["C1"]
    assert result.log.query("rule == 'min_sessions'")["client"].tolist() == ["C2", "C2", "C3", "C3"]


def test_ends_of_treatment_are_coded():
    rows = [plain("C1", 1), plain("C1", 2, attendance="no_show"), plain("C2", 3), plain("C3", 1),
            plain("C4", 1)]  # fmt: skip
    clients = clients_of("C1", "C2", "C3", "C4").assign(
        ending=["dropout", "agreed", "ongoing", None]
    )
    ends = treatment_ends(sessions_of(rows), clients).set_index("client")
    assert ends["last_session"].tolist() == [1, 3, 1, 1]
    assert ends["n_attended"].tolist() == [1, 1, 1, 1]
    assert ends["dropout"].fillna(-1).tolist() == [1, 0, -1, -1]
    assert ends["censored"].fillna(-1).tolist() == [0, 0, 1, -1]


def _rows() -> st.SearchStrategy:
    row = st.tuples(
        st.sampled_from(["C1", "C2", "C3", None]),
        st.sampled_from([1, 2, 3, None]),
        st.sampled_from([0.0, 7.0, 14.0, None]),
        st.sampled_from(["T1", "T2", None]),
        st.sampled_from(["attended", "no_show"]),
        st.sampled_from([1, 5, 6, None]),
        st.sampled_from([0, 40, 99, None]),
    )
    return st.lists(row, min_size=1, max_size=25)


@given(_rows(), st.integers(1, 3), st.sampled_from(["keep_most_complete", "drop_all"]))
@settings(max_examples=25, deadline=None)
def test_the_flow_closes_and_every_left_out_row_is_logged(rows, least, duplicates):
    raw = sessions_of(rows)
    before = raw.copy(deep=True)
    result = clean(
        raw, clients_of("C1", "C2", "C9"),
        study_with(min_sessions=least, conflicting_duplicates=duplicates), INSTRUMENTS,
    )  # fmt: skip
    pd.testing.assert_frame_equal(raw, before)  # the tables given are never changed
    flow, log = result.flow, result.log
    for kind in ("sessions", "clients"):
        assert (flow[f"{kind}_in"].iloc[1:].to_numpy() == flow[f"{kind}_out"].iloc[:-1]).all()
        assert (flow[f"{kind}_out"] <= flow[f"{kind}_in"]).all()
    assert flow["sessions_in"].iloc[0] == len(rows)
    assert flow["sessions_out"].iloc[-1] == len(result.sessions)
    assert flow["clients_out"].iloc[-1] == result.sessions["client"].nunique()
    left_out = log[log["before"] == "row"]
    assert len(left_out) == len(rows) - len(result.sessions)
    assert sorted([*left_out["source_row"], *result.sessions["source_row"]]) == sorted(
        raw["source_row"]
    )
    per_step = (flow["sessions_in"] - flow["sessions_out"]).to_numpy()
    logged = left_out.groupby("order").size().reindex(flow["order"], fill_value=0).to_numpy()
    assert (per_step == logged).all()
    assert not result.sessions.duplicated(["client", "session"]).any()
    assert set(result.clients["client"]) <= set(result.sessions["client"])
    for name, low, high in (("bond__1", 1, 5), ("distress", 0, 40)):
        assert result.sessions[name].dropna().between(low, high).all()


@given(_rows(), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_the_order_of_rows_makes_no_difference(rows, random):
    raw = sessions_of(rows)
    order = list(range(len(rows)))
    random.shuffle(order)
    one = clean(raw, clients_of("C1", "C2"), study_with(), INSTRUMENTS)
    other = clean(raw.iloc[order], clients_of("C2", "C1"), study_with(), INSTRUMENTS)
    pd.testing.assert_frame_equal(one.sessions, other.sessions)
    pd.testing.assert_frame_equal(one.log, other.log)
    pd.testing.assert_frame_equal(one.flow, other.flow)


def test_every_flaw_planted_in_the_bundled_study_is_found():
    root = Path(__file__).parents[1]
    planted = root / "data/simulated/clinic/flaws.csv"
    flaws = pd.read_csv(planted)["flaw"].value_counts()
    study = load_study(root / "config/studies/clinic.yaml")
    wanted = [m.instrument for m in study.measures.values() if m.instrument]
    instruments = load_instruments(root / "config/instruments", wanted)
    raw = validate(study, instruments, root, "clinic.yaml")[1]
    passed = deidentify(raw, study, None)
    log = clean(passed.sessions, passed.clients, study, instruments).log
    for rule, flaw in (
        ("exact_duplicates", "exact_duplicate"),
        ("conflicting_duplicates", "conflicting_duplicate"),
        ("out_of_range", "out_of_range"),
        ("dates_against_order", "dates_out_of_order"),
    ):
        assert (log["rule"] == rule).sum() == flaws[flaw]
    changed = log.loc[log["rule"] == "therapist_changes", "client"].nunique()
    assert changed == flaws["second_therapist"]
