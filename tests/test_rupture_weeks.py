"""Rules whose horizon is a number of weeks: by hand, with missing dates, and on arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from alliance.rupture_null.courses import CourseColumns, Courses, courses_of
from alliance.rupture_null.drop_out_null import DropOutNull, usual_pace
from alliance.rupture_null.noise import find, runnable
from alliance.rupture_null.null_model import fit_null_model
from alliance.rupture_null.null_tests import null_distributions, observed_terms, plan_tests
from alliance.rupture_null.scanning import pooled_of, scan
from alliance.ruptures import (
    PooledScale,
    RuptureRule,
    agreement_matrix,
    detect,
    load_rules,
    pooled_scale,
    prevalence_rows,
    ratings_of,
    summarise,
)
from alliance.ruptures.calibration import calibrated_thresholds
from alliance.ruptures.engine import NO_DATES
from alliance.ruptures.episodes import LABELS
from alliance.ruptures.outcome_tests import RuptureAnalysis
from alliance.ruptures.wording import repair_in_words
from alliance.simulation.rupture_studies import StudyPlan, draw_study
from alliance.tables.ruptures import rupture_rules_table

RULES = load_rules(Path(__file__).parent.parent / "config" / "ruptures")
SCALE = PooledScale(2.0, 1.0, 0.75, 0.9)
KNOWN = PooledScale(np.nan, np.nan, 0.7, 0.9)
COLUMNS = CourseColumns("alliance", "symptoms")
NAN = float("nan")


def rule(**keys):
    defaults = {"id": "test", "label": "test", "source": "test", "verified": "project"}
    points = {"scale": "points", "threshold": 2.0, "on_gap": "allow", "horizon_unit": "weeks"}
    return RuptureRule(**{**defaults, **points, **keys})


def in_weeks(name):
    return RULES[name].model_copy(update={"horizon_unit": "weeks"})


def table(scores, days, client="a"):
    return pd.DataFrame(
        {"client": client, "session": range(1, len(scores) + 1), "score": scores, "day": days}
    )


def one(scores, days, **keys):
    return detect(table(scores, days), rule(**keys), SCALE)


def status(scores, days, **keys):
    return one(scores, days, **keys).episodes["status"].tolist()


# --- by hand -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scores",
    [
        [10, 10, 5, 5, 5, 10, 10],  # back in the third week
        [10, 10, 5, 5, 5, 5, 10],  # back in the fourth
        [10, 10, 5, 5, 5],  # ends too early
        [10, 10, 5, 5, 5, 5, 5, 2, 10, 3],
    ],
)
def test_with_a_session_every_week_weeks_are_sessions(scores):
    days = [7 * t for t in range(len(scores))]
    weeks, sessions = (one(scores, days, horizon_unit=unit) for unit in ("weeks", "sessions"))
    for part in ("sessions", "episodes", "clients"):
        pd.testing.assert_frame_equal(getattr(weeks, part), getattr(sessions, part))
    returned = weeks.episodes["latency"].notna()
    assert (weeks.episodes["latency_weeks"] == weeks.episodes["latency"])[returned].all()


def test_a_pause_uses_up_the_horizon_in_weeks_but_not_in_sessions():
    scores, days = [10, 10, 5, 10], [0, 7, 14, 36]  # 22 days until the next session
    late = one(scores, days).episodes.iloc[0]
    assert late[["status", "end", "latency", "duration"]].tolist() == ["unrepaired", 3, 1, 1]
    assert late["latency_weeks"] == pytest.approx(22 / 7)
    assert status(scores, days, horizon_unit="sessions") == ["repaired"]
    assert status(scores, days, horizon=4) == ["repaired"]


def test_many_sessions_in_a_week_do_not_use_up_the_horizon():
    scores, days = [10, 10, 5, 5, 5, 5, 5, 10], [0, 1, 2, 3, 4, 5, 6, 9]
    found = one(scores, days, horizon=1)
    assert found.episodes[["status", "latency"]].to_numpy().tolist() == [["repaired", 5]]
    assert status(scores, days, horizon_unit="sessions") == ["unrepaired"]


@pytest.mark.parametrize(
    ("back_on", "wanted"), [(20, "repaired"), (21, "repaired"), (22, "unrepaired")]
)
def test_the_last_day_of_the_horizon_belongs_to_it(back_on, wanted):
    assert status([10, 5, 10], [0, 0, back_on]) == [wanted]


@pytest.mark.parametrize(
    ("last_seen", "wanted"),
    [(20, "indeterminate"), (21, "unrepaired"), (60, "unrepaired")],
)
def test_unrepaired_needs_a_rating_at_the_end_of_the_horizon_or_later(last_seen, wanted):
    assert status([10, 5, 5, 5], [0, 0, 7, last_seen]) == [wanted]
    assert one([10, 5, 5, 5], [0, 0, 7, last_seen]).clients["label"].tolist() == [wanted]


def test_days_that_are_no_whole_numbers_are_compared_with_a_tolerance():
    third = 21 * (1 / 3)
    assert status([10, 5, 10], [0.1, 0.1, 0.1 + 3 * third]) == ["repaired"]
    assert status([10, 5, 5], [0.1, 0.1, 0.1 + 3 * third]) == ["unrepaired"]


def test_two_sessions_on_one_day():
    same_day = [0, 7, 28, 28]  # both on the last day of the horizon
    assert status([10, 5, 5, 10], same_day) == ["repaired"]
    assert status([10, 5, 5, 5], same_day) == ["unrepaired"]
    assert status([10, 5, 10], [0, 0, 0]) == ["repaired"]


def test_behind_the_horizon_sessions_are_compared_anew():
    scores, days = [10, 10, 5, 9, 6, 10], [0, 7, 14, 42, 49, 56]
    found = one(scores, days)
    assert found.sessions["state"].tolist() == [
        "not_evaluable", "intact", "ruptured", "intact", "ruptured", "intact",
    ]  # fmt: skip
    assert found.episodes[["onset", "end", "status"]].to_numpy().tolist() == [
        [3, 3, "unrepaired"],
        [5, 5, "repaired"],
    ]
    assert np.isnan(found.episodes["latency"].iloc[0])  # a new rupture came before the return


def test_repair_for_two_sessions_in_a_row_is_dated_by_the_second():
    scores = [10, 5, 10, 10]
    assert status(scores, [0, 0, 14, 21], sustained=2) == ["repaired"]
    assert status(scores, [0, 0, 14, 22], sustained=2) == ["unrepaired"]


# --- dates that are missing --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "wanted"),
    [
        ([0, 7, NAN, 21], "repaired"),  # the onset lies from day 7 to day 21: back in time
        ([0, 0, NAN, 22], "indeterminate"),  # onset from day 0 to day 22: perhaps back in time
        ([NAN, NAN, NAN, 22], "indeterminate"),
        ([0, 7, 14, NAN], "indeterminate"),  # the return has no date
    ],
)
def test_a_return_is_repair_only_where_dates_leave_no_doubt(days, wanted):
    assert status([10, 10, 5, 10], days) == [wanted]


@pytest.mark.parametrize(
    ("days", "wanted"),
    [
        ([0, 7, NAN, 14, 35], "unrepaired"),  # onset on day 14 at the latest
        ([0, 7, NAN, 15, 35], "indeterminate"),  # perhaps on day 15, 20 days before the end
        ([0, 7, 7, NAN, 28], "unrepaired"),
        ([0, 7, 7, 28, NAN], "unrepaired"),
        ([0, 7, 7, 27, NAN], "indeterminate"),  # the last rating may have come before day 28
    ],
)
def test_no_return_is_unrepaired_only_where_dates_leave_no_doubt(days, wanted):
    assert status([10, 10, 5, 5, 5], days) == [wanted]


def test_a_client_without_any_date_stays_in_the_denominator():
    scores = pd.concat(
        [table([10, 5, 10, 10], [0, 7, 14, 21]), table([10, 5, 5, 10, 5, 5], [NAN] * 6, "b")]
    )
    found = detect(scores, rule(), SCALE)
    assert found.clients["label"].tolist() == ["repaired", "indeterminate"]
    mine = found.episodes[found.episodes["client"] == "b"]
    assert mine[["onset", "end", "status"]].to_numpy().tolist() == [
        [2, 3, "indeterminate"],
        [5, 6, "indeterminate"],
    ]
    assert mine["latency_weeks"].isna().all()
    told = summarise(found, rule())
    assert (told["n_evaluable"], told["pct_repaired"]) == (2, 100.0)
    assert told["median_latency_weeks"] == 1.0


whole = st.lists(st.integers(0, 10).map(float), min_size=2, max_size=15)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data(), scores=whole)
def test_what_is_decided_without_a_date_holds_whatever_the_date_was(data, scores):
    n = len(scores)
    days = np.cumsum(data.draw(st.lists(st.integers(0, 20), min_size=n, max_size=n))).astype(float)
    lost = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    first = {}
    for name, known in (("full", days), ("lacking", np.where(lost, NAN, days))):
        found = detect(table(scores, known), rule(on_gap="allow"), SCALE)
        first[name] = found.episodes["status"].astype(str).tolist()[:1]
        if found.refused:
            assert np.isnan(known).all()
    if first["lacking"] not in ([], ["indeterminate"]):
        assert first["full"] == first["lacking"]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data(), scores=whole, cut=st.integers(1, 14))
def test_later_sessions_and_dates_never_change_a_prospective_flag(data, scores, cut):
    n, cut = len(scores), min(cut, len(scores))
    days = np.cumsum(data.draw(st.lists(st.integers(0, 20), min_size=n, max_size=n))).astype(float)
    lost = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    score, known, number = np.array(scores), np.where(lost, NAN, days), np.arange(1.0, n + 1)
    for name in ("previous_drop", "mean_prior_fixed"):
        parts = [
            scan(np.array([0, m]), number[:m], score[:m], in_weeks(name), SCALE, known[:m])
            for m in (cut, n)
        ]
        assert parts[0].flag.tolist() == parts[1].flag[:cut].tolist()
        assert parts[0].state.tolist() == parts[1].state[:cut].tolist()
        repaired = [part.repaired_rows()[:cut].tolist() for part in parts]
        assert repaired[0] == repaired[1]


# --- refusals ----------------------------------------------------------------------------------


def test_a_study_without_dates_is_refused_and_told_what_to_do():
    scores = table([10, 10, 5, 10], [NAN] * 4)
    for lacking in (scores, scores.drop(columns="day")):
        found = detect(lacking, rule(), SCALE)
        assert found.refused == NO_DATES
        assert len(found.episodes) == len(found.sessions) == 0
        assert summarise(found, rule())["reason"] == NO_DATES
        assert not detect(lacking, rule(horizon_unit="sessions"), SCALE).refused
    for word in ("horizon_unit: weeks", "columns: date", "no rated session has a date"):
        assert word in NO_DATES
    analysis = RuptureAnalysis("client_rated", "alliance")
    rows = prevalence_rows(detect(scores, rule(), SCALE), rule(), analysis)
    assert {row.reason for row in rows} == {NO_DATES}
    assert runnable({"test": rule()}, SCALE) == {}
    assert runnable({"test": rule()}, SCALE, dated=True) == {"test": rule()}
    other = detect(scores, rule(id="other", horizon_unit="sessions"), SCALE)
    pair = agreement_matrix({"test": detect(scores, rule(), SCALE), "other": other})
    assert pair["reason"].str.contains("horizon_unit: weeks").all()


def test_weeks_need_a_number_of_weeks():
    with pytest.raises(ValidationError, match="needs a number of weeks under horizon"):
        rule(horizon=None)
    with pytest.raises(ValidationError, match="'sessions' or 'weeks'"):
        rule(horizon_unit="months")


def test_days_that_run_backwards_are_no_clean_data():
    with pytest.raises(ValueError, match="clean the data first"):
        one([10, 10, 5, 10], [0, 14, NAN, 7])


def test_ratings_without_days_cannot_be_scanned_in_weeks():
    score = np.array([10.0, 5.0, 10.0])
    with pytest.raises(ValueError, match="needs the days of the ratings"):
        scan(np.array([0, 3]), np.arange(1.0, 4.0), score, rule(), SCALE)


# --- words -------------------------------------------------------------------------------------


def test_the_definition_names_the_unit():
    assert repair_in_words(rule()).startswith(
        "It is repaired when a rating at most 3 weeks later regains the rating before the rupture"
    )
    assert "a rating at most a week later regains" in repair_in_words(rule(horizon=1))
    assert "dates that would decide are missing" in repair_in_words(rule())
    assert "next 3 ratings" in repair_in_words(rule(horizon_unit="sessions"))


def test_the_share_of_undecided_clients_says_that_dates_may_be_lacking():
    scores = table([10, 5, 10], [0, 7, NAN])
    told = {}
    for unit in ("weeks", "sessions"):
        asked = rule(horizon_unit=unit)
        rows = prevalence_rows(
            detect(scores, asked, SCALE), asked, RuptureAnalysis("client_rated", "alliance")
        )
        told[unit] = next(row for row in rows if row.term.startswith("indeterminate_share"))
    assert "or lacks the dates to be decided" in told["weeks"].estimand
    assert told["weeks"].estimate == 1.0
    assert "dates" not in told["sessions"].estimand
    assert told["sessions"].estimate == 0.0


def test_the_table_tells_latencies_in_both_units():
    scores = table([10, 10, 5, 10], [0, 7, 14, 35])
    rules = {"by_weeks": rule(id="by_weeks", label="By weeks"), "other": rule(id="other")}
    rules["other"] = rules["other"].model_copy(update={"horizon_unit": "sessions"})
    rows = [summarise(detect(scores, asked, SCALE), asked) for asked in rules.values()]
    told = rupture_rules_table(pd.DataFrame(rows), "client_rated", "WAI")
    assert "median latency in weeks: By weeks 3.0." in told.notes[0]
    assert "in weeks" not in rupture_rules_table(pd.DataFrame(rows[1:]), "x", "WAI").notes[0]
    hidden = summarise(detect(scores, rules["by_weeks"], SCALE), rules["by_weeks"], 5)
    assert np.isnan(hidden["median_latency_weeks"])


# --- null data sets ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dated():
    """A simulated clinic with sessions a week apart, holidays, and a tenth of dates missing."""
    drawn = draw_study(StudyPlan(n_clients=120), seed=3, number=0)
    sessions = drawn.sessions.sort_values(["client", "session"], ignore_index=True)
    rng = np.random.default_rng(4)
    gap = rng.choice([3.0, 7.0, 14.0, 35.0], len(sessions), p=[0.1, 0.6, 0.2, 0.1])
    day = pd.Series(gap).groupby(sessions["client"]).cumsum()
    sessions["day"] = day.mask(rng.random(len(sessions)) < 0.1)
    courses, series = courses_of(sessions, drawn.clients, COLUMNS)
    return courses, series


def as_table(courses: Courses) -> pd.DataFrame:
    client, step = np.nonzero(courses.rated)
    return pd.DataFrame(
        {
            "client": np.array(courses.clients)[client],
            "session": courses.session[client, step].astype(int),
            "score": courses.alliance[client, step],
            "day": courses.day[client, step],
        }
    )


ALL = {name: in_weeks(name) for name in RULES if RULES[name].horizon and not RULES[name].refuses}


@pytest.mark.parametrize("name", sorted(ALL))
def test_arrays_give_the_labels_and_episodes_of_the_tables(dated, name):
    courses, asked = dated[0], ALL[name]
    scores = as_table(courses)
    result = detect(scores, asked, pooled_scale(scores, 0.7, 0.9))
    assert not result.refused
    score = courses.alliance[courses.rated]
    pooled = pooled_of(courses.start, score, KNOWN)
    got = scan(courses.start, courses.session_of_row, score, asked, pooled, courses.day_of_row)
    assert got.flag.tolist() == result.sessions["flag"].tolist()
    assert [LABELS[k] for k in got.label[np.diff(courses.start) > 0]] == (
        result.clients["label"].tolist()
    )
    repaired = (result.episodes["status"] == "repaired").to_numpy()
    assert np.allclose(got.depth, result.episodes["depth"])
    assert np.array_equal(np.isfinite(got.latency), repaired)
    assert np.array_equal(got.latency[repaired], result.episodes["latency"][repaired])
    sessions = scan(courses.start, courses.session_of_row, score, RULES[name], pooled)
    assert got.label.tolist() != sessions.label.tolist()  # the unit matters in these data


def test_courses_of_the_scored_sessions_keep_their_days(dated):
    courses = dated[0]
    other = courses.with_scores(courses.alliance + 1, courses.outcome)
    np.testing.assert_array_equal(other.day_of_row, courses.day_of_row)
    assert courses.dated
    assert 0.05 < np.isnan(courses.day_of_row).mean() < 0.15
    table_of = as_table(courses)
    assert ratings_of(table_of, "score").columns.tolist() == ["client", "session", "day", "score"]
    series = courses.series
    np.testing.assert_array_equal(series.day, courses.day_of_row)


def test_a_landmark_counts_weeks_up_to_it_only(dated):
    """Labels at session 8 are those of the study as it was after session 8."""
    courses = dated[0]
    asked = {"previous_drop": in_weeks("previous_drop")}
    plan = plan_tests(courses, asked, KNOWN, 5)
    terms = observed_terms(courses, plan, find(courses, asked, KNOWN))
    cells = dict(terms["previous_drop", "landmark_8", "repaired_vs_unrepaired"].cells)
    scores = as_table(courses)
    before = scores[scores["session"] <= 8]
    labels = detect(before, asked["previous_drop"], pooled_scale(before)).clients
    after = (np.isfinite(courses.outcome) & ~courses.until(8)).any(axis=1)
    first = (np.isfinite(courses.outcome) & courses.until(8)).any(axis=1)
    complete = set(np.array(courses.clients)[after & first])
    several = labels["n_sessions"] > 1  # a slope needs two ratings
    kept = labels[labels["client"].isin(complete) & several]
    counts = kept["label"].value_counts()
    assert cells == {"repaired": counts["repaired"], "unrepaired": counts["unrepaired"]}


def test_drawn_treatments_go_on_at_the_usual_pace(dated):
    courses = dated[0]
    null = DropOutNull.of(courses, courses.dropped_out)
    assert null is not None
    assert null.pace == 7.0
    outcome = np.where(np.isnan(courses.outcome), 10.0, courses.outcome)
    alliance = np.where(courses.rated, courses.alliance, 5.0)
    drawn = null.draw(alliance, outcome, np.random.default_rng(1))
    assert drawn.day.shape == drawn.session.shape == drawn.score.shape
    longer = 0
    for i in range(len(courses.clients)):
        rows = slice(drawn.start[i], drawn.start[i + 1])
        own = courses.rated[i]
        n, extra = own.sum(), drawn.start[i + 1] - drawn.start[i] - own.sum()
        np.testing.assert_array_equal(drawn.day[rows][:n], courses.day[i][own])
        if n and extra and np.isfinite(courses.day[i][own][-1]):
            beyond = courses.day[i][own][-1] + 7.0 * np.arange(1, extra + 1)
            np.testing.assert_array_equal(drawn.day[rows][n:], beyond)
            longer += 1
    assert longer > 5
    assert np.isnan(usual_pace(courses.rated, np.full(courses.rated.shape, np.nan)))


def test_null_data_sets_run_with_rules_that_count_weeks(dated):
    courses, series = dated
    asked = {name: in_weeks(name) for name in ("previous_drop", "mean_prior_fixed", "own_mean")}
    plan = plan_tests(courses, asked, KNOWN)
    model = fit_null_model(series, (1, 0), seed=5)
    null = null_distributions(courses, plan, model, 3, seed=1)
    again = {name: RULES[name] for name in asked}
    sessions = null_distributions(courses, plan_tests(courses, again, KNOWN), model, 3, seed=1)
    for name in asked:
        by_weeks, by_sessions = null.noise[name], sessions.noise[name]
        assert by_weeks.notna().all(axis=None)
        assert (by_weeks["repaired_share"] != by_sessions["repaired_share"]).all()
    assert {"client", "landmark_8", "session", "drop_out"} <= set(null.statistics["test"])


def test_calibrated_thresholds_do_not_depend_on_the_unit():
    asked = RULES["mean_prior"]
    sessions, weeks = (
        calibrated_thresholds(one_of, [8], n_clients=500)
        for one_of in (asked, asked.model_copy(update={"horizon_unit": "weeks"}))
    )
    assert sessions == weeks
