"""Lags follow the order in which the forms are filled in."""

from __future__ import annotations

import pandas as pd
import pytest

from alliance.study import Timing
from alliance.timing import forward_lag, lag_rule, pair_with_outcome


@pytest.mark.parametrize(
    ("alliance_when", "outcome_when", "lag"),
    [("post", "pre", 1), ("post", "post", 1), ("pre", "pre", 1), ("pre", "post", 0)],
)
def test_forward_lag_is_the_first_outcome_after_the_rating(
    alliance_when: str, outcome_when: str, lag: int
) -> None:
    assert forward_lag(Timing(alliance_when=alliance_when, outcome_when=outcome_when)) == lag


def test_the_order_is_told_in_words() -> None:
    usual = Timing(alliance_when="post", outcome_when="pre")
    assert lag_rule(usual, "forward").order == (
        "predictor after session t, outcome before session t+1"
    )
    same = lag_rule(usual, "same_session")
    assert same.concurrent
    assert "outcome rated first" in same.order
    for when in ("pre", "post"):  # one occasion: neither before nor after the other
        one = Timing(alliance_when=when, outcome_when=when)
        assert lag_rule(one, "forward").order == (
            "predictor of session t, outcome of session t+1 (order within a session not known)"
        )
        assert "same occasion: no order" in lag_rule(one, "same_session").order
    assert not lag_rule(Timing(alliance_when="pre", outcome_when="post"), 0).concurrent


def test_a_negative_lag_is_refused() -> None:
    with pytest.raises(ValueError, match="before its predictor"):
        lag_rule(Timing(alliance_when="post", outcome_when="pre"), -1)


def test_no_pair_spans_a_missing_session() -> None:
    sessions = pd.DataFrame(
        {
            "client": ["a"] * 4 + ["b"] * 2,
            "session": [1, 2, 4, 5, 1, 2],
            "alliance": [1.0, 2.0, 4.0, 5.0, None, 7.0],
            "symptoms": [10.0, 20.0, 40.0, None, 70.0, 80.0],
        }
    )
    pairs = pair_with_outcome(sessions, "alliance", "symptoms", lag=1)
    # a: 1 -> 2 only; session 3 is missing, symptoms at 5 too. b: alliance at 1 is missing.
    assert pairs.to_dict("records") == [
        {
            "client": "a", "session": 1, "outcome_session": 2, "gap": 1, "predictor": 1.0,
            "outcome": 20.0,
        }
    ]  # fmt: skip


def test_same_session_pairs_keep_every_complete_session() -> None:
    sessions = pd.DataFrame(
        {"client": ["a", "a"], "session": [1, 3], "x": [1.0, 2.0], "y": [3.0, 4.0]}
    )
    pairs = pair_with_outcome(sessions, "x", "y", lag=0)
    assert pairs["outcome"].tolist() == [3.0, 4.0]
    assert pairs["gap"].tolist() == [0, 0]
