"""The panel model with a predetermined predictor: lavaan, derivatives, recovery, refusals, rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_dynamics import CONTEXT, GOLDEN, RECURSIVE, sample, series_of

from alliance.estimation.dynamics import fit_var
from alliance.estimation.dynamics_layout import VarSpec
from alliance.estimation.ml_sem import PanelFit, _Problem, fit_ml_sem
from alliance.estimation.ml_sem_rows import ml_sem_rows
from alliance.estimation.refusal import Refusal
from alliance.likelihood.predetermined import PanelStructure
from alliance.simulation.recovery import Truth, simulate
from alliance.small_cells import few_in_words

MODELS = {
    "forward": ("balanced", 1, ("beta", "phi")),
    "reverse_same_session": ("balanced", 0, ("phi", "beta")),
    "forward_missing": ("missing", 1, ("beta", "phi")),
}


@pytest.mark.parametrize("name", MODELS)
def test_agrees_with_lavaan(name):
    file, target, terms = MODELS[name]
    wide = pd.read_csv(GOLDEN / f"{file}.csv").to_numpy()
    series = series_of(wide.reshape(len(wide), 2, -1).transpose(0, 2, 1))
    table = pd.read_csv(GOLDEN / "lavaan_ml_sem.csv").query("model == @name").set_index("term")
    fit = fit_ml_sem(series, RECURSIVE, target)
    assert fit.converged
    assert fit.n_parameters == table.loc["n_parameters", "estimate"]
    assert fit.log_likelihood == pytest.approx(table.loc["log_likelihood", "estimate"], abs=1e-4)
    assert fit.coefficients == pytest.approx(table.loc[list(terms), "estimate"], abs=5e-4)
    assert fit.se == pytest.approx(table.loc[list(terms), "se"], abs=5e-4)


@pytest.mark.parametrize(("spec", "target"), [(RECURSIVE, 0), (RECURSIVE, 1), (VarSpec((0, 0)), 1)])
def test_gradient_is_that_of_finite_differences(spec, target):
    series = sample(60, 4, 2, missing=0.1)
    fit = fit_var(series, spec)
    same = fit.layout.structure.same_session[target]
    problem = _Problem.of(series, PanelStructure(2, 4, target, same), fit.scale)
    x = problem.start(fit) + 0.05 * np.random.default_rng(0).normal(size=problem.size)
    gradient = problem.objective(x)[1]
    for j, step in enumerate(1e-5 * np.eye(problem.size)):
        slope = (problem.objective(x + step)[0] - problem.objective(x - step)[0]) / 2e-5
        assert gradient[j] == pytest.approx(slope, rel=1e-5, abs=1e-5)


def test_the_smaller_model_lies_inside():
    """On the same scores (the last alliance is not used) it fits better than the VAR."""
    series = sample(200, 6, 3)
    found = fit_ml_sem(series, RECURSIVE, 1)
    used = series_of(np.where(np.arange(6)[:, None] == [5, -1], np.nan, series.scores))
    same_scores = fit_var(used, RECURSIVE)
    assert found.log_likelihood > same_scores.log_likelihood
    assert found.n_parameters > same_scores.n_parameters


def test_finds_what_was_put_in_where_data_are_many():
    truth = Truth()
    series = sample(20_000, 8, 5, truth=truth)
    for target in (0, 1):
        fit = fit_ml_sem(series, RECURSIVE, target)
        distance = (fit.coefficients - truth.coefficients[target]) / fit.se
        assert np.abs(distance).max() < 4


def test_holds_where_the_random_intercept_var_does_not():
    """Alliance that follows earlier symptoms of two sessions ago breaks the VAR, not this model."""
    rng = np.random.default_rng(4)
    n, T = 20_000, 7
    level = rng.normal(size=(n, 2))
    z = np.empty((n, T, 2))
    y, before, a = rng.normal(size=(3, n))
    for t in range(-20, T):
        before, y = y, 0.4 * y - 0.1 * a + 0.9 * rng.normal(size=n)
        a = 0.35 * a - 0.15 * y - 0.4 * before + 0.9 * rng.normal(size=n)
        if t >= 0:
            z[:, t] = level + np.column_stack([a, y])
    series = series_of(z)
    fit, var = fit_ml_sem(series, RECURSIVE, 1), fit_var(series, RECURSIVE)
    assert abs(fit.coefficients[0] + 0.1) < 4 * fit.se[0]
    assert abs(var.coefficients[0, 1, 0] + 0.1) > 0.02


def test_a_change_of_units_changes_units_only():
    series = sample(150, 6, missing=0.1)
    fit = fit_ml_sem(series, RECURSIVE, 1)
    scaled = replace(series, scores=series.scores * [5.0, 0.2] + [30.0, -4.0])
    again = fit_ml_sem(scaled, RECURSIVE, 1)
    assert again.coefficients == pytest.approx(fit.coefficients * [1 / 25, 1], rel=1e-4)
    assert again.se == pytest.approx(fit.se * [1 / 25, 1], rel=1e-3)


def test_sessions_with_too_few_clients_are_not_used():
    fit = fit_ml_sem(sample(40, 12), RECURSIVE, 1)
    assert isinstance(fit, PanelFit)
    assert fit.n_sessions == 6  # 3 clients for each of 2 x 6 scores
    refusal = fit_ml_sem(sample(15, 12), RECURSIVE, 1)
    assert isinstance(refusal, Refusal)
    assert "random-intercept VAR" in refusal.advice
    # Three is a number needed, not one counted: privacy must not take it for few clients.
    assert few_in_words(refusal.reason, 5) == refusal.reason
    assert "there are so many up to session 2" in refusal.reason


def test_an_intake_with_one_series_only_is_left_out():
    """Symptoms at session 0, alliance from session 1 on: the design of most clinics."""
    series = sample(120, 6)
    intake = np.full((120, 1, 2), np.nan)
    intake[:, 0, 1] = series.scores[:, 0, 1] + 1.0
    scores = np.concatenate([intake, series.scores], axis=1)
    plain = fit_ml_sem(series, RECURSIVE, 1)
    beside = fit_ml_sem(replace(series, scores=scores, first_session=0), RECURSIVE, 1)
    assert isinstance(beside, PanelFit)
    np.testing.assert_allclose(beside.coefficients, plain.coefficients, rtol=1e-8)


def test_three_series():
    rng = np.random.default_rng(2)
    two = simulate(Truth(), 3000, 6, rng)
    third = two[:, :, :1] + rng.normal(size=(3000, 6, 1))
    scores = np.concatenate([two[:, :, :1], third, two[:, :, 1:]], axis=2)
    series = series_of(scores, ("client", "therapist", "outcome"))
    fit = fit_ml_sem(series, VarSpec((1, 1, 0)), 2)
    assert fit.converged
    expected = [-0.1, 0.0, 0.4]
    assert (np.abs(fit.coefficients - expected) < 4 * fit.se).all()


def test_rows_stand_among_the_comparators():
    rows = {row.term: row for row in ml_sem_rows(sample(150, 8), RECURSIVE, CONTEXT)}
    forward = rows["cross_lag_alliance_outcome"]
    assert forward.status == "ok"
    assert forward.estimator.startswith("ML-SEM")
    assert forward.ci_low < forward.estimate < forward.ci_high
    assert (forward.lag, forward.predictor, forward.outcome) == (1, "wai", "core")
    assert "trends of clients' own" in forward.known_bias
    assert rows["cross_lag_outcome_alliance"].lag == 0
    few = ml_sem_rows(sample(15, 8), RECURSIVE, CONTEXT)
    assert {row.status for row in few} == {"not_estimated"}
    assert all("sessions" in row.reason for row in few)
