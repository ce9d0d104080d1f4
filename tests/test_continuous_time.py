"""Continuous time: transitions, derivatives, the discrete model inside, recovery, clocks, rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import expm
from test_dynamics import CONTEXT, RECURSIVE, sample, series_of

from alliance.estimation.continuous_time import TimedFit, decay, fit_timed
from alliance.estimation.continuous_time_rows import continuous_time_rows
from alliance.estimation.dynamics import fit_var
from alliance.estimation.dynamics_effects import coefficients
from alliance.estimation.dynamics_layout import VarSpec
from alliance.estimation.dynamics_series import var_series
from alliance.estimation.refusal import Refusal
from alliance.likelihood.continuous_time import timed_data, transition

DRIFT = np.array([[-0.5, -0.15], [-0.12, -0.4]])  # per week
NEW = np.array([[0.8, 0.2], [0.2, 0.7]])


def weekly(n=250, sessions=8, seed=1, least=3, most=28):
    """Clients whose process runs by the week, seen at uneven intervals."""
    rng = np.random.default_rng(seed)
    days = np.cumsum(rng.integers(least, most, (n, sessions)), axis=1).astype(float)
    days -= days[:, :1]
    settled = transition(DRIFT, NEW, 200.0)[1]
    z = np.empty((n, sessions, 2))
    z[:, 0] = rng.multivariate_normal([0, 0], settled, n)
    moves = {d: transition(DRIFT, NEW, d / 7) for d in np.unique(np.diff(days))}
    for t in range(1, sessions):
        for i, d in enumerate(days[:, t] - days[:, t - 1]):
            A, Q = moves[d]
            z[i, t] = A @ z[i, t - 1] + np.linalg.cholesky(Q) @ rng.normal(size=2)
    z += rng.multivariate_normal([0, 0], [[1.0, -0.3], [-0.3, 1.2]], n)[:, None, :]
    return replace(series_of(z), days=days)


@pytest.mark.parametrize("interval", [0.1, 2.3, 60.0])
def test_transition_is_the_matrix_exponential_and_its_integral(interval):
    A, Q = transition(DRIFT, NEW, interval)
    np.testing.assert_allclose(A, expm(DRIFT * interval), atol=1e-13)
    block = np.block([[-DRIFT, NEW], [np.zeros((2, 2)), DRIFT.T]]) * interval
    power = expm(block)
    np.testing.assert_allclose(Q, power[2:, 2:].T @ power[:2, 2:], rtol=1e-4, atol=1e-9)
    if interval > 50:  # settled: D P + P D' + G = 0
        np.testing.assert_allclose(DRIFT @ Q + Q @ DRIFT.T, -NEW, atol=1e-10)


def test_many_short_steps_are_one_long_step():
    A, Q = transition(DRIFT, NEW, 3.0)
    a, q = transition(DRIFT, NEW, 1.0)
    np.testing.assert_allclose(A, a @ a @ a, atol=1e-12)
    np.testing.assert_allclose(Q, q + a @ (q + a @ q @ a.T) @ a.T, atol=1e-12)


@pytest.mark.parametrize("clock", ["session", "week"])
def test_gradient_is_that_of_finite_differences(clock):
    fit = fit_timed(weekly(40, 5), RECURSIVE, clock)
    x = fit.x + 0.05 * np.random.default_rng(1).normal(size=fit.x.size)
    gradient = fit.problem.objective(x)[1]
    for j, step in enumerate(1e-5 * np.eye(x.size)):
        slope = (fit.problem.objective(x + step)[0] - fit.problem.objective(x - step)[0]) / 2e-5
        assert gradient[j] == pytest.approx(slope, rel=1e-6, abs=1e-5)


def test_by_sessions_it_is_the_discrete_model_of_one_occasion():
    series = sample(200, 8, 2, missing=0.08)
    discrete = fit_var(series, VarSpec((0, 0)))
    fit = fit_timed(series, RECURSIVE, "session")
    assert fit.log_likelihood == pytest.approx(discrete.log_likelihood, abs=1e-5)
    once = np.array([1.0])
    one, drawn = fit.effects(lambda drift: decay(drift, once)), fit.discrete_effects(once, seed=1)
    known = coefficients(discrete)
    np.testing.assert_allclose(one.estimate[0], known.estimate[0], atol=1e-4)
    np.testing.assert_allclose(one.se[0], known.se[0], rtol=1e-3)
    np.testing.assert_array_equal(drawn.estimate, one.estimate)
    np.testing.assert_allclose(drawn.se, one.se, rtol=0.04)
    # normal in the drift or normal in its exponential: not quite the same distribution
    for side in ("low", "high"):
        ends = getattr(drawn, side)[0], getattr(known, side)[0]
        np.testing.assert_allclose(*ends, atol=0.25 * float(known.se.max()))


def test_decay_is_the_matrix_exponential():
    rng = np.random.default_rng(5)
    drift = rng.normal(size=(4, 3, 3)) - np.eye(3)
    drift[0] = [[-0.5, 1.0, 0.0], [0.0, -0.5, 1.0], [0.0, 0.0, -0.5]]  # not diagonalisable
    intervals = np.array([0.01, 1.0, 8.0])
    expected = [[expm(one * d) for d in intervals] for one in drift]
    np.testing.assert_allclose(decay(drift, intervals), expected, rtol=1e-9, atol=1e-11)


def test_finds_the_drift_that_was_put_in_and_the_right_clock():
    series = weekly(1200, 8, 3)
    weeks = fit_timed(series, VarSpec((1, 0), trend="none"), "week")
    assert weeks.converged
    rates = weeks.effects(lambda drift: drift)
    assert (np.abs(rates.estimate - DRIFT) < 4 * rates.se).all()
    assert rates.se.max() < 0.08
    sessions = fit_timed(series, VarSpec((1, 0), trend="none"), "session", dated_only=True)
    assert weeks.aic < sessions.aic - 20
    by_session = replace(sample(400, 10, 4), days=weekly(400, 10).days)
    fits = [fit_timed(by_session, RECURSIVE, clock) for clock in ("session", "week")]
    assert fits[0].aic < fits[1].aic - 20


def test_units_of_scores_do_not_matter():
    series = weekly(120, 6)
    scaled = replace(series, scores=series.scores * [4.0, 0.5] + [30.0, 9.0])
    first, second = (fit_timed(s, RECURSIVE, "week") for s in (series, scaled))
    np.testing.assert_allclose(
        second.drift, first.drift * [[1, 8], [1 / 8, 1]], rtol=1e-3, atol=1e-5
    )
    assert second.aic - first.aic == pytest.approx(
        2 * float(series.seen.sum(axis=(0, 1)) @ np.log([4.0, 0.5])), abs=1e-3
    )


def test_days_unknown_or_against_the_order():
    plain = sample(100, 6)
    refusal = fit_timed(plain, RECURSIVE, "week")
    assert isinstance(refusal, Refusal)
    assert "days of sessions are not known" in refusal.reason
    series = weekly(100, 6)
    few = series.days.copy()
    few[:50] = np.nan
    assert "only 50%" in fit_timed(replace(series, days=few), RECURSIVE, "week").reason
    series.days[3, 2] = -5.0  # before the first session: left out
    series.days[4, 2] = series.days[4, 1]  # twice on one day: half a day apart
    fit = fit_timed(series, RECURSIVE, "week")
    assert fit.series.seen.sum() == series.seen.sum() - 2
    assert np.isclose(fit.problem.data.intervals.min(), 0.5 / 7)
    with pytest.raises(ValueError, match="must rise"):
        timed_data([np.zeros((2, 2))], [np.array([1.0, 1.0])], [np.ones((2, 1))])


def test_days_come_from_the_sessions_table():
    table = pd.DataFrame(
        {"client": ["A", "A", "B"], "session": [1, 2, 1], "day": [0.0, 9.0, np.nan], "w": [1.0] * 3}
    )
    series = var_series(table, {"alliance": "w"})
    np.testing.assert_array_equal(series.days, [[0.0, 9.0], [np.nan, np.nan]])
    np.testing.assert_array_equal(series.take(np.array([1, 0])).days[1], [0.0, 9.0])
    assert var_series(table.drop(columns="day"), {"alliance": "w"}).days is None


def test_rows_of_both_clocks():
    rows = continuous_time_rows(weekly(150, 6), RECURSIVE, CONTEXT)
    table = {(row.clock, row.term): row for row in rows}
    assert len(table) == len(rows)
    drift = table[("week", "drift_cross_lag_alliance_outcome")]
    assert drift.units == "CORE points per WAI point and week"
    assert drift.known_bias.startswith("both series are placed")
    assert drift.ci_low < drift.estimate < drift.ci_high
    curve = [table[("week", f"after_{h}_week_cross_lag_alliance_outcome")] for h in range(1, 9)]
    assert [row.lag for row in curve] == list(range(1, 9))
    assert "1 week after" in curve[0].estimand
    difference = table[("week against attended session", "aic_week_minus_session")]
    aic = {c: table[(n, f"aic_{c}")].estimate for c, n in
           (("week", "week"), ("session", "attended session"))}  # fmt: skip
    assert difference.estimate == pytest.approx(aic["week"] - aic["session"])


def test_without_days_the_session_clock_stands_alone():
    rows = continuous_time_rows(sample(100, 6), RECURSIVE, CONTEXT)
    weeks = [row for row in rows if row.clock.startswith("week")]
    assert {row.status for row in weeks} == {"not_estimated"}
    assert all("days of sessions are not known" in row.reason for row in weeks)
    sessions = [row for row in rows if row.clock == "attended session"]
    assert {row.status for row in sessions} == {"ok"}
    assert isinstance(fit_timed(sample(5, 6), RECURSIVE, "session"), Refusal)
    assert isinstance(fit_timed(sample(60, 6), RECURSIVE, "session"), TimedFit)
