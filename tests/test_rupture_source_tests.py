"""Outcome after ruptures told by questionnaires, observers and behaviour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from alliance.estimates import to_frame
from alliance.report.rupture_left_out import refused_of_rules, refused_of_sources
from alliance.rupture_null.courses import Courses
from alliance.rupture_null.outcome_tests import client_numbers, session_pairs
from alliance.rupture_null.source_tests import (
    NO_NULL_OF_SOURCES,
    client_source_term,
    session_source_terms,
    source_grid,
    source_outcome_rows,
)
from alliance.ruptures.outcome_tests import RuptureAnalysis
from alliance.ruptures.sources import SOURCES
from alliance.tables.rupture_source_outcomes import source_outcome_table
from alliance.tables.rupture_sources import source_details_table

N, T = 150, 10
LABELS = {name: source.label for name, source in SOURCES.items()}
ANALYSIS = RuptureAnalysis("client_rated", "alliance", "client", "", "symptoms", "symptoms", "p", 5)


@pytest.fixture(scope="module")
def courses() -> Courses:
    rng = np.random.default_rng(1)
    session = np.tile(np.arange(1.0, T + 1), (N, 1))
    names = tuple(f"c{i:03d}" for i in range(N))
    outcome = 0.5 * rng.standard_normal((N, T)) + rng.standard_normal((N, 1))
    return Courses(rng.standard_normal((N, T)), outcome, session, names)


def marks_of(courses: Courses, **grids: np.ndarray) -> pd.DataFrame:
    client, step = np.nonzero(np.isfinite(courses.session))
    columns = {
        name: pd.array(np.where(np.isnan(g[client, step]), None, g[client, step] > 0), "boolean")
        for name, g in grids.items()
    }
    names = np.array(courses.clients)[client]
    return pd.DataFrame({"client": names, "session": courses.session[client, step], **columns})


def some(share: float, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random((N, T)) < share).astype(float)


def test_marks_come_back_on_the_grid_of_the_courses(courses):
    grid = some(0.2, 2)
    grid[3, 4] = np.nan
    marks = marks_of(courses, psq_client=grid).sample(frac=1, random_state=1)
    assert np.array_equal(source_grid(courses, marks, "psq_client"), grid, equal_nan=True)


def test_a_planted_effect_after_marked_sessions_is_found_with_its_size(courses):
    grid = some(0.15, 3)
    outcome = courses.outcome.copy()
    outcome[:, 1:] += 1.5 * grid[:, :-1] - 0.4 * courses.alliance[:, :-1]
    terms = session_source_terms(
        replace(courses, outcome=outcome), session_pairs(courses), {"a": grid}
    )
    for term in (terms["a"], terms["a_beyond_curve"]):
        assert abs(term.estimate - 1.5) < 4 * term.se
        assert term.statistic > 10
    nothing = session_source_terms(courses, session_pairs(courses), {"a": grid})["a"]
    assert abs(nothing.statistic) < 3


def test_cells_of_two_reports_are_told_apart(courses):
    client, therapist = some(0.2, 4), some(0.2, 5)
    outcome = courses.outcome.copy()
    outcome[:, 1:] += 2.0 * (client * therapist)[:, :-1]
    marks = marks_of(courses, psq_client=client, psq_therapist=therapist)
    rows = source_outcome_rows(replace(courses, outcome=outcome), marks, ANALYSIS)
    by = {row.term: row for row in rows}
    assert abs(by["session[both]"].estimate - 2.0) < 4 * by["session[both]"].se
    assert abs(by["session[client_only]"].estimate) < 4 * by["session[client_only]"].se
    assert abs(by["session[therapist_only]"].estimate) < 4 * by["session[therapist_only]"].se


def test_the_client_level_is_a_regression_written_out(courses):
    grid = some(0.06, 6)
    grid[::7, 2:] = np.nan  # some clients filled in fewer forms
    term = client_source_term(courses, grid)
    numbers = client_numbers(courses)
    ever = (np.nan_to_num(grid) > 0).any(axis=1).astype(float)
    told = np.log(np.isfinite(grid).sum(axis=1))
    x = np.column_stack([ever, np.ones(N), numbers.baseline, told, numbers.mean, numbers.slope])
    wanted = sm.OLS(numbers.last, x).fit(cov_type="HC3", use_t=True)
    assert term.estimate == pytest.approx(wanted.params[0])
    assert term.se == pytest.approx(wanted.bse[0])


def test_small_cells_are_refused_at_both_levels(courses):
    few = np.zeros((N, T))
    few[:9, 3] = 1.0
    everyone = np.ones((N, T))
    assert "fewer than 10 clients with such" in client_source_term(courses, few).reason
    assert "without such" in client_source_term(courses, everyone).reason
    pairs = session_pairs(courses)
    for grid, why in ((few, "have such a session"), (everyone, "without such a mark")):
        terms = session_source_terms(courses, pairs, {"a": grid})
        assert all(why in term.reason for term in terms.values())
        assert all(np.isnan(term.estimate) for term in terms.values())


def test_every_row_says_that_its_p_is_nominal(courses):
    marks = marks_of(courses, psq_client=some(0.2, 7), missed=some(0.1, 8))
    frame = to_frame(source_outcome_rows(courses, marks, ANALYSIS))
    assert frame["known_bias"].str.startswith(NO_NULL_OF_SOURCES).all()
    assert frame["p_null"].isna().all()
    assert set(frame["analysis"]) == {"rupture_sources"}
    table = source_outcome_table(frame, LABELS)
    assert table is not None
    assert "no null to hold them against" in " ".join(table.notes)
    assert [row.cells[0] for row in table.rows] == [
        "Client's report after the session", "Next session missed",
    ]  # fmt: skip
    assert source_outcome_table(frame.iloc[:0], LABELS) is None


def test_sizes_near_a_known_number_of_clients_are_not_told(courses):
    marks = marks_of(courses, psq_client=some(0.2, 9))
    shown = source_outcome_rows(courses, marks, ANALYSIS, told=(float(N),))
    hidden = source_outcome_rows(courses, marks, ANALYSIS, told=(float(N + 3),))
    assert {row.n_clients for row in shown} == {float(N)}
    assert all(np.isnan(row.n_clients) for row in hidden)


def test_a_study_without_an_outcome_has_no_such_tests(courses):
    silent = replace(courses, outcome=np.full((N, T), np.nan))
    assert source_outcome_rows(silent, marks_of(courses, missed=some(0.1, 1)), ANALYSIS) == []


def test_details_are_told_by_source():
    details = pd.DataFrame([
        ("psq_client", "intensity", 40.0, 22.0, 2.5, 1.0, ""),
        ("observer", "resolution", np.nan, np.nan, np.nan, np.nan, "ratings of few"),
    ], columns=["source", "quantity", "n", "n_clients", "mean", "sd", "hidden"])  # fmt: skip
    table = source_details_table(details, {"psq_client": "Client's report"})
    assert table is not None
    assert table.rows[1].cells[:4] == ("Intensity of the rupture (1 to 5)", "40", "22", "2.50")
    assert source_details_table(details.iloc[:0], {}) is None


# --- what was left out -------------------------------------------------------------------------


def refused(term: str, reason: str) -> dict[str, str]:
    return {"term": term, "reason": reason, "status": "not_estimated", "kind": "session"}


def test_refused_landmarks_stand_in_one_sentence():
    contrasts = ("repaired_vs_none", "unrepaired_vs_none", "repaired_vs_unrepaired")
    rows = [
        refused(f"landmark_{session}_{contrast}[{rule}]", "fewer than 10 clients: unrepaired")
        for rule in ("one", "two")
        for session in (6, 8)
        for contrast in contrasts
    ]
    rows.append(refused("landmark_10_repaired_vs_none[two]", "fewer than 10 clients: repaired"))
    rows.append(refused("session_onset[one]", "it looks ahead"))
    rows.append(refused("session_onset[two]", "it looks ahead"))
    assert list(refused_of_rules(pd.DataFrame(rows), "Ruptures, X", {"one": "First"})) == [
        "Ruptures, X, outcome after a landmark session, not estimated as fewer than 10 clients "
        "were in a group. Rule 'First': sessions 6 and 8, all comparisons. Rule 'two': sessions 6 "
        "and 8, all comparisons; session 10, repaired minus no rupture.",
        "Ruptures, X, onset of a rupture (rules 'First' and 'two'): not estimated. It looks ahead.",
    ]


def test_refused_sources_have_names_for_readers():
    rows = [refused("session[psq_client]", "few"), refused("session[both]", "few")]
    rows.append(refused("session[psq_client_beyond_curve]", "few"))
    told = list(refused_of_sources(pd.DataFrame(rows), LABELS))
    assert told == [
        "Ruptures by other sources, next outcome, Client's report after the session; Both reported "
        "a rupture (against neither): not estimated. Few.",
    ]
