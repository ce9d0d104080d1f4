"""Thresholds that are found in a study's own null data sets, and which rating they belong to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alliance.estimation.refusal import Refusal
from alliance.instruments import load_instruments
from alliance.rupture_null.courses import CourseColumns, courses_of
from alliance.rupture_null.noise import find
from alliance.rupture_null.null_model import null_scores
from alliance.rupture_null.null_tests import plan_tests
from alliance.rupture_null.scanning import NOT_EVALUABLE, scan
from alliance.rupture_null.study import NullStudy, null_study
from alliance.rupture_null.thresholds import (
    by_length,
    largest_deviation,
    n_data_sets,
    rule_thresholds,
    study_thresholds,
    threshold_of,
)
from alliance.ruptures import PooledScale, RuptureRule, load_rules
from alliance.ruptures.thresholds import not_found, with_thresholds
from alliance.ruptures.wording import definition
from alliance.simulation.rupture_studies import StudyPlan, draw_study
from alliance.study import instruments_of, load_study

ROOT = Path(__file__).parent.parent
RULES = load_rules(ROOT / "config" / "ruptures")
OWN = {name: RULES[name] for name in ("mean_prior_study", "mean_prior_study_fixed")}
KNOWN = PooledScale(np.nan, np.nan)


def rule(**keys):
    defaults = {"id": "test", "label": "test", "source": "test", "verified": "project"}
    return RuptureRule(**{**defaults, "scale": "points", "threshold": 2.0, **keys})


@pytest.fixture(scope="module")
def prepared() -> NullStudy:
    drawn = draw_study(StudyPlan(n_clients=120), seed=3, number=0)
    made = courses_of(drawn.sessions, drawn.clients, CourseColumns("alliance", "symptoms"))
    assert not isinstance(made, Refusal)
    courses, series = made
    plan = plan_tests(courses, OWN, KNOWN, 10)
    return NullStudy(courses, series, (1, 0), find(courses, OWN, KNOWN), plan)


@pytest.fixture(scope="module")
def table(prepared) -> pd.DataFrame:
    return study_thresholds(prepared, OWN, 1000, seed=5, smallest_cell=5)


def test_the_threshold_is_the_lowest_that_flags_no_more_than_the_share():
    # Ten clients, share .2: a threshold between 7 and 8 flags 8 and 9, two of ten.
    assert threshold_of(np.arange(10.0), 0.2) == 7.5
    # Three tie at the top: flagging them would be three of ten, so nobody is.
    tied = np.array([1.0, 1, 1, 1, 1, 1, 1, 4, 4, 4])
    assert threshold_of(tied, 0.2) == 4.5
    assert (tied >= threshold_of(tied, 0.3)).sum() == 3


def test_a_client_is_flagged_exactly_from_the_largest_deviation_down():
    # Drops from the rating before: 1, 3, -, 2 points; the largest is 3.
    score = np.array([10.0, 9.0, 6.0, 8.0, 6.0])
    session, start, unit = np.arange(1.0, 6.0), np.array([0, 5]), PooledScale(1.0, 1.0)
    largest = largest_deviation(start, session, score, rule(), unit)
    assert largest.tolist() == [3.0]
    for threshold, flagged in ((3.0, True), (3.01, False)):
        asked = rule().model_copy(update={"threshold": threshold})
        assert scan(start, session, score, asked, unit).flag.any() == flagged


def test_drops_across_gaps_and_clients_without_ratings_give_no_deviation():
    # The drop of 5 lies across missed sessions; the second client has no ratings.
    session, score = np.array([1.0, 2.0, 5.0]), np.array([10.0, 9.0, 4.0])
    largest = largest_deviation(np.array([0, 3, 3]), session, score, rule(), PooledScale(1.0, 1.0))
    assert largest[0] == 1.0
    assert np.isnan(largest[1])


def test_clients_belong_to_the_nearest_length_of_the_table():
    # Middles by ratio: sqrt(32) = 5.66 and sqrt(128) = 11.3.
    groups = list(by_length(np.array([3, 4, 5, 6, 11, 12, 40]), [4, 8, 16]))
    assert [np.flatnonzero(group).tolist() for group in groups] == [[1, 2], [3, 4], [5, 6]]


def test_lengths_of_few_clients_get_the_published_threshold_scaled():
    deviations = np.random.default_rng(1).random((2000, 9))
    lengths = np.array([4, 4, 4, 4, 4, 8, 8, 8, 8])
    asked = OWN["mean_prior_study"]
    told = {row["n_sessions"]: row for row in rule_thresholds(asked, deviations, lengths, 5)}
    assert told[4]["threshold"] == pytest.approx(0.9, abs=0.01)
    assert [n for n, row in told.items() if row["origin"] == "null data sets"] == [4]
    # Published 1.74 at 4 and 3.23 at 16 sessions: 16 gets 3.23 x .9 / 1.74.
    assert told[16]["threshold"] == pytest.approx(told[4]["threshold"] * 3.23 / 1.74)
    nobody = list(rule_thresholds(asked, deviations, lengths, smallest_cell=6))
    assert "too few clients" in str(nobody[0]["reason"])


def test_a_tenth_of_other_null_data_is_flagged_at_any_length(prepared, table):
    model = prepared.null_model(5)
    rules = with_thresholds(OWN, table)
    short = np.diff(prepared.courses.start) <= 11
    flagged, evaluable = np.zeros((2, 2)), np.zeros((2, 2))
    for number in range(300):
        drawn = null_scores(model, 99, number)
        data = prepared.courses.with_scores(drawn[:, :, 0], drawn[:, :, 1])
        for i, found in enumerate(find(data, rules, KNOWN).values()):
            for j, group in enumerate((short, ~short)):
                label = found.drops.label[group]
                evaluable[i, j] += (label != NOT_EVALUABLE).sum()
                flagged[i, j] += ((label >= 1) & (label <= 3)).sum()
    shares = 100 * flagged / evaluable
    assert np.allclose(shares[0], 10, atol=1.0)  # by length: short and long alike
    assert 100 * flagged[1].sum() / evaluable[1].sum() == pytest.approx(10, abs=0.7)
    assert shares[1, 0] + 0.7 < shares[1, 1]  # one threshold: long treatments more often


def test_thresholds_of_a_study_take_the_place_of_the_published_ones(table):
    rules = with_thresholds(OWN | {"mean_prior": RULES["mean_prior"]}, table)
    assert rules["mean_prior"] == RULES["mean_prior"]
    by_length_found = rules["mean_prior_study"].threshold
    assert set(by_length_found) == set(RULES["mean_prior_study"].threshold)
    assert by_length_found[16] > by_length_found[8]
    assert isinstance(rules["mean_prior_study_fixed"].threshold, float)
    assert "noise alone flags about 10% of this study's clients" in definition(
        rules["mean_prior_study"]
    )


def test_without_null_data_the_published_threshold_stands_in_and_says_so(prepared):
    for asked, given in ((0, prepared), (1000, Refusal("no ratings", ""))):
        table = study_thresholds(given, OWN, asked, seed=5, smallest_cell=5)
        assert set(not_found(table)) == set(OWN)
        stand_in = with_thresholds(OWN, table)["mean_prior_study"]
        assert stand_in.threshold == RULES["mean_prior"].threshold
        assert "not for that of this study" in stand_in.note
        assert "noise alone flags" not in definition(stand_in)


def test_no_rule_that_asks_means_nothing_is_drawn(prepared):
    assert study_thresholds(prepared, {"a": RULES["previous_drop"]}, 1000, 5, 5).empty


def test_thresholds_follow_from_the_seed(prepared, table):
    pd.testing.assert_frame_equal(study_thresholds(prepared, OWN, 1000, 5, 5), table)


def test_small_studies_draw_more_data_sets():
    assert (n_data_sets(10_000), n_data_sets(250), n_data_sets(5)) == (100, 400, 2000)


def test_a_share_of_false_alarms_needs_a_threshold_in_units_alone():
    for wrong in ({"minimum_drop": 1.0}, {"false_alarm": 1.0}):
        with pytest.raises(ValueError, match=r"false_alarm|less than 1"):
            rule(**{"false_alarm": 0.1, **wrong})


def test_null_data_are_of_the_component_that_is_searched():
    study = load_study(ROOT / "config" / "studies" / "clinic.yaml")
    rng = np.random.default_rng(1)
    n, t = 30, 8
    sessions = pd.DataFrame({
        "client": np.repeat([f"c{i:02d}" for i in range(n)], t),
        "session": np.tile(np.arange(1, t + 1), n),
        "attendance": "attended",
        "alliance_client": rng.normal(size=n * t),
        "alliance_client_bond": rng.normal(size=n * t) + 7.0,
        "symptoms": rng.normal(size=n * t),
    })  # fmt: skip
    clients = pd.DataFrame({"client": sessions["client"].unique(), "therapist": pd.NA})
    keys = load_instruments(ROOT / "config" / "instruments", instruments_of(study))
    reliability = pd.DataFrame(
        [("alliance_client", "total", "within_client", "Rcn", 0.7),
         ("alliance_client", "bond", "within_client", "Rcn", 0.4),
         ("alliance_client", "bond", "total", "alpha", 0.8),
         ("symptoms", "total", "within_client", "Rcn", 0.5)],
        columns=["measure", "scale", "level", "coefficient", "estimate"],
    )  # fmt: skip
    prepared = null_study(study, "bond", keys, sessions, clients, OWN, reliability)
    assert isinstance(prepared, NullStudy)
    assert prepared.reliability == (0.4, 0.5)  # of the component, and of the outcome's total
    known = prepared.plan.known
    assert (known.reliability_within, known.reliability_total) == (0.4, 0.8)
    assert prepared.courses.alliance.min() > 2.0
    assert prepared.plan.known.sd_total == pytest.approx(sessions["alliance_client_bond"].std())
