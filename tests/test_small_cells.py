"""Counts that tell a small number are hidden, and no more than needed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alliance.estimates import Estimate, to_frame, without_few_clients
from alliance.figures.flow import numbers_data_flow
from alliance.ruptures import agreement_matrix, detect, prevalence_rows, summarise
from alliance.ruptures.episodes import CLIENT_COUNTS
from alliance.ruptures.outcome_tests import RuptureAnalysis, client_outcome_rows
from alliance.ruptures.result import PooledScale
from alliance.ruptures.rules import RuptureRule
from alliance.small_cells import count_in_words, shown_counts, shown_flow

RULE = RuptureRule(
    id="test",
    label="test",
    source="test",
    verified="project",
    scale="points",
    threshold=2.0,
    target="half_of_drop",
)
SHAPES = {
    "none": [10.0] * 8,
    "repaired": [10, 10, 5, 10, 10, 10, 10, 10],
    "unrepaired": [10, 10, 5, 5, 5, 5, 5, 5],
}
ANALYSIS = RuptureAnalysis("ruptures", "alliance", "client", "symptoms", smallest_cell=5)


def found_with(seed: int = 1, **sizes: int):
    """A result with so many clients by label, and their outcomes."""
    rng = np.random.default_rng(seed)
    series = [SHAPES[name] for name, n in sizes.items() for _ in range(n)]
    scores = pd.DataFrame(
        [
            (f"c{number:03d}", session, score + 0.2 * rng.normal())
            for number, shape in enumerate(series)
            for session, score in enumerate(shape, 1)
        ],
        columns=["client", "session", "score"],
    )
    clients = sorted(set(scores["client"]))
    first, last = rng.normal(20, 5, (2, len(clients)))
    outcomes = pd.DataFrame({"client": clients, "baseline": first, "last": last})
    return detect(scores, RULE, PooledScale(2.0, 1.0, 0.75, 0.9)), outcomes


def test_words():
    assert [count_in_words(n, 5) for n in (0, 1, 4, 5, 1200)] == [
        "0", "fewer than 5", "fewer than 5", "5", "1,200",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sizes", "hidden"),
    [
        ({"a": 20, "b": 20, "c": 0}, set()),
        ({"a": 20, "b": 20, "c": 3}, {"b", "c"}),  # with all, a and b, c would follow
        ({"a": 20, "b": 2, "c": 2}, {"a", "b", "c"}),  # b + c is 4
        ({"a": 20, "b": 3, "c": 3}, {"b", "c"}),
        ({"a": 3, "b": 0, "c": 0}, {"all", "a"}),
    ],
)
def test_small_counts_and_their_complements(sizes, hidden):
    sums = {"all": set(sizes)} | {name: {name} for name in sizes}
    assert set(sums) - shown_counts(sizes, sums, 5) == hidden


def test_what_is_known_anyway_counts():
    sizes = {"a": 20, "b": 3}
    assert shown_counts(sizes, {"a": {"a"}}, 5) == {"a"}
    assert shown_counts(sizes, {"a": {"a"}}, 5, given=[{"a", "b"}]) == set()


def flow_of(*left: int) -> pd.DataFrame:
    """Steps after which so many clients are left; the first is what was read."""
    before = (left[0], *left[:-1])
    return pd.DataFrame(
        {"order": range(1, len(left) + 1), "step": "s", "sessions_in": 900, "sessions_out": 900,
         "clients_in": before, "clients_out": left, "reason": ""}
    )  # fmt: skip


def test_a_flow_shows_what_is_analysed_first():
    flow = shown_flow(flow_of(60, 60, 57, 57), 5)
    assert np.isnan(flow["clients_in"].iloc[0])
    assert flow["clients_out"].tolist()[-2:] == [57, 57]
    assert flow["lost_in_words"].tolist() == ["0", "0", "fewer than 5", "0"]
    assert np.isnan(flow["clients_lost"].iloc[2])


def test_a_flow_hides_a_small_loss_between_large_ones():
    flow = shown_flow(flow_of(60, 52, 50, 40, 40), 5)
    assert (flow["clients_in"].iloc[0], flow["clients_out"].iloc[-1]) == (60, 40)
    assert flow["lost_in_words"].tolist() == ["0", "8", "fewer than 5", "5 or more", "0"]
    assert flow["clients_out"].isna().tolist() == [False, False, True, False, False]
    plain = shown_flow(flow_of(60, 52, 50, 40, 40), 1)
    assert plain["clients_lost"].tolist() == [0, 8, 2, 10, 0]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=6, max_size=6))
def test_no_small_number_follows_from_a_rupture_summary(sizes):
    """Against another method: ranks of exact integer matrices."""
    labels = CLIENT_COUNTS["n_clients"]
    groups = dict(zip(labels, sizes, strict=True))
    shown = shown_counts(groups, CLIENT_COUNTS, 5)
    filled = [name for name in labels if groups[name]]
    rows = [[int(name in CLIENT_COUNTS[count]) for name in filled] for count in sorted(shown)]
    rank = np.linalg.matrix_rank(rows) if rows and filled else 0
    for number in range(1, 2 ** len(filled)):
        chosen = [number >> i & 1 for i in range(len(filled))]
        total = sum(groups[name] for name, one in zip(filled, chosen, strict=True) if one)
        if 0 < total < 5:
            assert np.linalg.matrix_rank([*rows, chosen]) == rank + 1


def test_a_rupture_summary_hides_small_counts_and_what_tells_them():
    result, _ = found_with(none=30, repaired=20, unrepaired=3)
    row = summarise(result, RULE, 5)
    assert (row["n_clients"], row["n_ruptured"], row["n_none"]) == (53, 23, 30)
    hidden = ("n_repaired", "n_unrepaired", "pct_repaired")
    assert all(np.isnan(row[name]) for name in hidden)
    assert "fewer than 5 clients" in row["hidden"]
    assert summarise(result, RULE)["n_unrepaired"] == 3  # the numbers were there


def test_few_ruptured_clients_hide_their_share_episodes_and_medians():
    row = summarise(found_with(none=30, repaired=2)[0], RULE, 5)
    for name in ("n_ruptured", "pct_ruptured", "n_episodes", "median_depth", "median_latency"):
        assert np.isnan(row[name]), name
    assert np.isnan(row["n_none"])
    assert row["n_clients"] == 32


def test_large_groups_hide_nothing():
    result, _ = found_with(none=30, repaired=20, unrepaired=10)
    row, plain = (pd.Series(summarise(result, RULE, n)) for n in (5, 1))
    pd.testing.assert_series_equal(row, plain)
    assert row["hidden"] == ""


def test_prevalence_rows_give_the_reason_instead_of_a_small_number():
    had, repaired, open_ = prevalence_rows(
        found_with(none=30, repaired=20, unrepaired=3)[0], RULE, ANALYSIS
    )
    assert (had.status, open_.status) == ("ok", "ok")
    assert (repaired.status, np.isnan(repaired.n_clients)) == ("not_estimated", True)
    assert "fewer than 5 clients" in repaired.reason


def test_contrasts_do_not_tell_the_size_of_a_small_group():
    result, outcomes = found_with(none=30, repaired=20, unrepaired=3)
    rows = client_outcome_rows(result, RULE, outcomes, ANALYSIS)
    assert [row.status for row in rows] == ["ok", "not_estimated", "not_estimated"]
    assert "unrepaired (fewer than 5)" in rows[1].reason
    text = to_frame(rows).to_csv()
    assert "unrepaired 3" not in text
    assert np.isnan([rows[0].n_clients, rows[0].df]).all()  # 53 less 50
    assert "repaired 20" not in text.replace("unrepaired", "")
    plain = RuptureAnalysis("ruptures", "alliance", "client", "symptoms")
    assert client_outcome_rows(result, RULE, outcomes, plain)[0].n_clients == 50


def test_clients_without_outcomes_are_not_told_by_subtraction():
    result, outcomes = found_with(none=30, repaired=20, unrepaired=12)
    outcomes.loc[outcomes["client"].isin(result.clients.query("label == 'repaired'")["client"][:2]),
                 "last"] = np.nan  # fmt: skip
    row = client_outcome_rows(result, RULE, outcomes, ANALYSIS)[0]
    assert "repaired 18" not in row.missing_rule.replace("unrepaired", "")
    result, outcomes = found_with(none=30, repaired=20, unrepaired=12)
    assert "repaired 20" in client_outcome_rows(result, RULE, outcomes, ANALYSIS)[0].missing_rule


def test_agreement_of_rules_that_differ_in_few_clients_is_hidden():
    result, _ = found_with(none=30, repaired=20, unrepaired=3)
    other = detect(
        result.sessions[["client", "session", "score"]],
        RuptureRule(id="deep", label="deep", source="test", verified="project", scale="points",
                    threshold=5.0),
        PooledScale(2.0, 1.0, 0.75, 0.9),
    )  # fmt: skip
    both = {"test": result, "deep": other}
    plain = agreement_matrix(both).set_index("level")
    cells = plain.loc["client"]
    few = {cells["n_a"] - cells["n_both"], cells["n_b"] - cells["n_both"]} & {1, 2, 3, 4}
    table = agreement_matrix(both, 100).set_index("level")
    assert table[["n_a", "n_b", "n_both", "jaccard", "kappa"]].isna().all(axis=None)
    assert table["reason"].str.contains("fewer than 100 clients").all()
    short = result.sessions["client"].isin(["c000", "c001"]) & (result.sessions["session"] > 1)
    scores = result.sessions.loc[~short, ["client", "session", "score"]]
    pooled = PooledScale(2.0, 1.0, 0.75, 0.9)
    lacking = {name: detect(scores, RULE.model_copy(update={"id": name}), pooled) for name in "ab"}
    assert agreement_matrix(lacking).set_index("level").loc["client", "n"] == 51
    hidden = agreement_matrix(lacking, 5).set_index("level").loc["client"]
    assert np.isnan(hidden["n"])
    assert hidden["reason"] == "fewer than 5 clients could not be evaluated"
    strict = agreement_matrix(both, 5).set_index("level").loc["client"]
    assert bool(strict["reason"]) == bool(few)


def test_estimates_tell_no_number_of_few_clients():
    rows = [
        Estimate("m", "within", "within_client", "e", "REML", estimate=1.0, n_clients=4,
                 missing_rule="ratings of 1 client after session 40 are left out"),
        Estimate("m", "between", "between_client", "e", "REML", n_clients=9,
                 status="not_estimated", reason="3 clients with two sessions; 10 are needed"),
    ]  # fmt: skip
    told = without_few_clients(to_frame(rows), 5)
    assert told["n_clients"].isna().tolist() == [True, False]
    assert told["reason"][1] == "fewer than 5 clients with two sessions; 10 are needed"
    assert (
        told["missing_rule"][0] == "ratings of fewer than 5 clients after session 40 are left out"
    )
    boxes = numbers_data_flow(FLOW_OF_FEW, to_frame(rows), {"m": "M"}, 5)
    assert np.isnan(boxes.loc[boxes["kind"] == "model", "clients"].iloc[0])


FLOW_OF_FEW = pd.DataFrame(
    {
        "order": [1, 2], "step": ["read", "analysed"], "sessions_in": [90, 90],
        "sessions_out": [90, 90], "clients_in": [30, 30], "clients_out": [30, 30],
        "reason": ["", ""],
    }
)  # fmt: skip
