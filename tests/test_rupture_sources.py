"""Ruptures from questionnaires, observers and behaviour: every mark worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alliance.ruptures.engine import detect
from alliance.ruptures.marks import LEVELS, Mark, compare_marks
from alliance.ruptures.result import PooledScale, RuptureResult
from alliance.ruptures.rules import RuptureRule
from alliance.ruptures.source_rows import agreement_rows, source_rows
from alliance.ruptures.source_tables import (
    cell_table,
    component_table,
    fallen_components,
    source_table,
)
from alliance.ruptures.sources import report_cells, report_details, source_marks

A, N, L, T = "attended", "no_show", "late_cancel", "therapist_cancel"


def study(attendance, days=None, **columns):
    n = len(attendance)
    return pd.DataFrame(
        {
            "client": "a",
            "session": pd.array(range(1, n + 1), dtype="Int64"),
            "day": pd.array(days if days is not None else [pd.NA] * n, dtype="Float64"),
            "attendance": attendance,
            **{name: pd.array(values, dtype="Float64") for name, values in columns.items()},
        }
    )


def told(marks, name):
    """1, 0 or None per session."""
    return [None if pd.isna(value) else int(value) for value in marks[name]]


def test_a_missed_session_is_noted_at_the_session_before_it():
    marks = source_marks(study([A, N, A, L, L, A, A]), attendance_known=True)
    # The last session has no later appointment: nothing is known of what followed it.
    assert told(marks, "missed") == [1, None, 1, None, None, 0, None]


def test_a_session_after_which_the_client_never_came_back_is_marked():
    assert told(source_marks(study([A, A, N]), True), "missed") == [0, 1, None]


def test_cancelling_by_the_therapist_is_neither_missed_nor_scheduled():
    assert told(source_marks(study([A, T, A, A]), True), "missed") == [0, None, 0, None]
    # Scheduled: A N A A N; within four scheduled sessions two were missed only with the T left out.
    marks = source_marks(study([A, N, T, A, A, N]), True)
    assert told(marks, "repeatedly_missed") == [0, None, None, 0, 1, None]


def test_two_of_four_scheduled_sessions():
    # Missed: 2nd and 6th: five scheduled sessions apart, so never two of four.
    assert told(source_marks(study([A, N, A, A, A, N]), True), "repeatedly_missed") == [
        0, None, 0, 0, 0, None,
    ]  # fmt: skip
    assert told(source_marks(study([A, N, N, A, A]), True), "repeatedly_missed") == [
        1, None, None, 0, None,
    ]  # fmt: skip


def test_a_missed_session_before_the_first_attended_one_belongs_to_none():
    assert told(source_marks(study([N, A, A]), True), "missed") == [None, 0, None]


def test_long_gap_is_beyond_twice_the_clients_median():
    # Gaps 7, 7, 14, 15: median 10.5, twice that is 21: none.
    marks = source_marks(study([A] * 5, [0, 7, 14, 28, 43]), True)
    assert told(marks, "long_gap") == [0, 0, 0, 0, None]
    # Gaps 7, 7, 7, 14, 15: median 7; 14 is not more than twice 7, 15 is.
    marks = source_marks(study([A] * 6, [0, 7, 14, 21, 35, 50]), True)
    assert told(marks, "long_gap") == [0, 0, 0, 0, 1, None]


def test_a_gap_in_which_the_therapist_cancelled_is_not_unplanned():
    marks = source_marks(study([A, A, A, A, T, A], [0, 7, 14, 21, 30, 50]), True)
    assert told(marks, "long_gap") == [0, 0, 0, 0, None, None]
    marks = source_marks(study([A, A, A, A, N, A], [0, 7, 14, 21, 30, 50]), True)
    assert told(marks, "long_gap") == [0, 0, 0, 1, None, None]


def test_three_gaps_are_needed_for_a_median():
    assert told(source_marks(study([A] * 3, [0, 7, 70]), True), "long_gap") == [None] * 3


def test_clients_do_not_touch_each_other():
    two = pd.concat([study([A, A, A]), study([N, A, A]).assign(client="b")])
    assert told(source_marks(two, True), "missed") == [0, 0, None, None, 0, None]


def test_without_attendance_nothing_is_said_of_missed_sessions():
    assert list(source_marks(study([A, A]), attendance_known=False).columns) == [
        "client", "session",
    ]  # fmt: skip


def test_reports_and_codes_keep_their_gaps():
    marks = source_marks(
        study([A] * 4, rupture_client=[1, 0, pd.NA, 0], observer_withdrawal=[0, 3, pd.NA, 1]),
        False,
    )
    assert told(marks, "psq_client") == [1, 0, None, 0]
    assert told(marks, "observer_withdrawal") == [0, 1, None, 1]
    assert "psq_therapist" not in marks


def test_four_cells_of_two_reports():
    marks = source_marks(
        study([A] * 5, rupture_client=[0, 1, 0, 1, pd.NA], rupture_therapist=[0, 0, 1, 1, 1]), False
    )
    assert report_cells(marks)["cell"].tolist() == ["none", "client_only", "therapist_only", "both"]
    assert report_cells(marks.drop(columns="psq_client")).empty


def test_resolution_counts_only_where_a_rupture_was_reported():
    details = report_details(
        study([A] * 3, rupture_client=[1, 0, 1], rupture_client_resolution=[4, 2, pd.NA],
              observer_resolution=[np.nan, 5, 3])
    )  # fmt: skip
    own = details[details["source"] == "psq_client"]
    assert own[["session", "value"]].to_numpy().tolist() == [[1, 4]]
    observed = details[details["source"] == "observer"]
    assert observed["value"].tolist() == [5, 3]
    assert set(observed["quantity"]) == {"resolution"}


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2]])
def test_the_order_of_rows_does_not_matter(order):
    rows = study([A, N, A, A], [0, 7, 14, 60])
    marks = source_marks(rows.iloc[order], True)
    assert told(marks, "missed") == [1, None, 0, None]


# --- agreement ---------------------------------------------------------------------------------


def mark(name, units, kind="rule"):
    """A mark from ``(client, session): True, False or None``."""
    rows = [(c, s, v is not None, bool(v), bool(v)) for (c, s), v in units.items()]
    sessions = pd.DataFrame(rows, columns=["client", "session", "evaluated", "onset", "marked"])
    clients = sessions.groupby("client")[["evaluated", "marked"]].any().reset_index()
    return Mark(name, name.upper(), kind, sessions, clients)


def drawn(seed, n_clients=40, n_sessions=8, agree=0.7):
    rng = np.random.default_rng(seed)
    units = [(f"c{i:02d}", s) for i in range(n_clients) for s in range(1, n_sessions + 1)]
    first = rng.random(len(units)) < 0.3
    second = np.where(rng.random(len(units)) < agree, first, rng.random(len(units)) < 0.3)
    return mark("a", dict(zip(units, first, strict=True))), mark(
        "b", dict(zip(units, second, strict=True))
    )


def test_agreement_by_hand():
    x, y, z = ([(client, s) for s in (1, 2, 3)] for client in "xyz")
    a = mark("a", {x[0]: True, x[1]: True, x[2]: False, y[0]: False, y[1]: None})
    b = mark("b", {x[0]: True, x[1]: False, x[2]: True, y[0]: False, z[0]: True})
    rows = compare_marks([a, b]).set_index("level")
    # First session of x both, second only a, third only b, y neither; the others one alone knows.
    counts = ["n", "n_clients", "n_a", "n_b", "n_both"]
    assert rows.loc["session", counts].tolist() == [4, 2, 2, 2, 1]
    assert rows.loc["session", "jaccard"] == pytest.approx(1 / 3)
    assert rows.loc["session", "kappa"] == pytest.approx(0)  # half agree, half by chance
    # Clients: x marked by both, y by neither; z unknown to a.
    assert rows.loc["client", ["n", "n_a", "n_b", "n_both"]].tolist() == [2, 1, 1, 1]
    assert rows.loc["client", ["jaccard", "kappa"]].tolist() == [1, 1]


def test_intervals_hold_the_estimate_and_repeat_themselves():
    rows = compare_marks(drawn(1), n_resamples=500, seed=3)
    again = compare_marks(drawn(1), n_resamples=500, seed=3)
    pd.testing.assert_frame_equal(rows, again)
    session = rows.set_index("level").loc["session"]
    assert session["kappa_low"] < session["kappa"] < session["kappa_high"]
    assert session["jaccard_low"] < session["jaccard"] < session["jaccard_high"]
    assert 0.1 < session["kappa_high"] - session["kappa_low"] < 0.4


def test_whole_clients_are_resampled():
    # Every client's eight sessions are alike: the effective number is that of clients.
    rng = np.random.default_rng(5)
    units = [(f"c{i:02d}", s) for i in range(40) for s in range(8)]
    of = {f"c{i:02d}": rng.random(2) < 0.4 for i in range(40)}
    a = mark("a", {u: of[u[0]][0] for u in units})
    b = mark("b", {u: of[u[0]][1] for u in units})
    rows = compare_marks([a, b], n_resamples=500, seed=3).set_index("level")
    session, client = rows.loc["session"], rows.loc["client"]
    assert session["kappa"] == pytest.approx(client["kappa"])
    assert session["kappa_low"] == pytest.approx(client["kappa_low"])
    assert session["kappa_high"] == pytest.approx(client["kappa_high"])


def test_few_clients_in_a_cell_are_not_told():
    a, b = drawn(2)
    alone = {(c, s): (c, s) == ("c00", 1) for c, s, *_ in a.sessions.itertuples(index=False)}
    rows = compare_marks([a, mark("one", alone)], smallest_cell=5)
    assert rows["reason"].str.contains("fewer than 5 clients in a cell").all()
    assert rows[["n", "n_a", "n_b", "n_both", "jaccard", "kappa"]].isna().all(axis=None)
    assert (compare_marks([a, b], smallest_cell=5).set_index("level").loc["session", "n"]) == 320


def test_how_few_only_one_could_evaluate_is_not_told():
    rng = np.random.default_rng(9)
    people = [f"c{i:02d}" for i in range(60)]
    a = mark("a", {(c, 1): bool(rng.random() < 0.5) for c in people})
    b = mark("b", {(c, 1): None if c < "c03" else bool(rng.random() < 0.5) for c in people})
    for row in compare_marks([a, b], smallest_cell=5).itertuples():
        assert np.isnan(row.n_clients)
        assert "hidden" in row.reason
        assert np.isfinite(row.kappa)
        if row.level == "client":
            assert np.isnan([row.n, row.n_a, row.n_b, row.n_both]).all()
            assert row.kappa == round(row.kappa, 2)


def test_a_refused_rule_has_rows_with_its_reason():
    a, b = drawn(3)
    gone = Mark("g", "G", "rule", b.sessions.iloc[:0], b.clients.iloc[:0], "threshold not found")
    rows = compare_marks([a, gone])
    assert rows["reason"].tolist() == ["G: threshold not found"] * len(LEVELS)
    assert compare_marks([gone]).empty


def test_marks_without_common_sessions_say_so():
    a = mark("a", {("x", 1): True, ("x", 2): None})
    b = mark("b", {("x", 1): None, ("x", 2): True})
    rows = compare_marks([a, b]).set_index("level")
    assert rows.loc["session", "reason"] == "no session that both could evaluate"


def test_rows_of_agreement_carry_level_and_unit():
    rows = agreement_rows(compare_marks(drawn(1), n_resamples=200), {"a", "b"})
    assert [row.level for row in rows] == ["total", "total", "client"]
    assert all(row.status == "ok" and row.ci_low < row.estimate < row.ci_high for row in rows[:2])
    assert agreement_rows(compare_marks(drawn(1), n_resamples=20), {"a"}) == []


# --- tables ------------------------------------------------------------------------------------


def many(n_yes, n_no, n_untold=0):
    """Clients with one session each."""
    values = [1.0] * n_yes + [0.0] * n_no + [pd.NA] * n_untold
    return pd.DataFrame(
        {
            "client": [f"c{i:03d}" for i in range(len(values))],
            "session": 1,
            "attendance": "attended",
            "rupture_client": pd.array(values, dtype="Float64"),
        }
    )


def test_shares_of_sources():
    table = source_table(source_marks(many(10, 30, 10), False), smallest_cell=5).iloc[0]
    assert table[["n_sessions", "n_marked", "n_clients", "n_clients_marked"]].tolist() == [
        40, 10, 40, 10,
    ]  # fmt: skip
    assert (table["pct_sessions"], table["pct_clients"], table["hidden"]) == (25, 25, "")


@pytest.mark.parametrize(("yes", "no", "untold"), [(3, 37, 0), (37, 3, 0), (20, 20, 3)])
def test_small_groups_of_sources_are_hidden(yes, no, untold):
    table = source_table(source_marks(many(yes, no, untold), False), smallest_cell=5).iloc[0]
    assert np.isnan(table["pct_clients"])
    assert "hidden" in table["hidden"]
    if untold == 0:
        assert np.isnan([table["n_marked"], table["n_clients_marked"]]).all()
    rows = source_rows(table.to_frame().T, source_marks(many(yes, no, untold), False), 50, 1)
    assert rows[1].status == "not_estimated"


def test_rows_of_sources():
    marks = source_marks(many(10, 30), False)
    session, client = source_rows(source_table(marks), marks, n_resamples=400, seed=1)
    assert (session.estimate, client.estimate) == (0.25, 0.25)
    assert (session.level, client.level, client.n_clients) == ("total", "client", 40)
    assert session.ci_low == pytest.approx(client.ci_low, abs=0.05)


def test_four_cells_hide_small_numbers_together_with_the_next():
    cells = pd.DataFrame(
        {
            "client": [f"c{i}" for i in range(40)],
            "session": 1,
            "cell": ["none"] * 20 + ["client_only"] * 10 + ["therapist_only"] * 7 + ["both"] * 3,
        }
    )
    table = cell_table(cells, smallest_cell=5).set_index("cell")
    assert table["n_clients"].fillna(-1).tolist() == [20, 10, -1, -1]
    assert cell_table(cells.iloc[:0]).empty


# --- components --------------------------------------------------------------------------------

DROP = RuptureRule(
    id="drop", label="d", source="s", verified="project", scale="points", threshold=2.0
)


def search(scores) -> RuptureResult:
    table = pd.DataFrame({"client": "a", "session": range(1, len(scores) + 1), "score": scores})
    return detect(table, DROP, PooledScale(1.0, 1.0))


def test_components_are_named_for_what_fell():
    # Session 2: bond alone; 4: task alone; 6: bond and goal; 8: the total, no component by itself.
    total = search([9.0, 9, 9, 9, 9, 7, 9, 7])
    alone = {
        "bond": search([9.0, 6, 9, 9, 9, 6, 9, 8]),
        "task": search([9.0, 9, 9, 6, 9, 9, 9, 8]),
        "goal": search([9.0, 9, 9, 9, 9, 6, 9, 8]),
    }
    fallen = fallen_components(total, alone)
    assert fallen[["session", "components"]].to_numpy().tolist() == [
        [2, "bond_only"], [4, "task_goal_only"], [6, "bond_and_task_goal"], [8, "total_only"],
    ]  # fmt: skip
    table = component_table(fallen, "main", "drop")
    assert table["n_sessions"].tolist() == [1, 1, 1, 1]
    hidden = component_table(fallen, "main", "drop", smallest_cell=5)
    assert hidden[["n_sessions", "n_clients"]].isna().all(axis=None)


def test_a_component_without_ratings_falls_nowhere():
    total = search([9.0, 6, 9])
    unrated = search([np.nan, np.nan, np.nan])
    fallen = fallen_components(total, {"bond": search([9.0, 6, 9]), "task": unrated})
    assert fallen["components"].tolist() == ["bond_only"]
