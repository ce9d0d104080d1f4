"""The dynamic models: lavaan, recovery, tests, refusals, and the rows made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from alliance.estimates import to_frame
from alliance.estimation import dynamics_descent, dynamics_tests
from alliance.estimation.dynamics import fit_var
from alliance.estimation.dynamics_comparators import compare
from alliance.estimation.dynamics_descent import objective, observed_information
from alliance.estimation.dynamics_effects import (
    coefficients,
    delta,
    equilibrium_effects,
    first_session_test,
    held_effects,
    impulse_responses,
    is_cross_lag,
    long_run,
    person_ratio,
    responses_of,
    standardised,
    within_sd,
)
from alliance.estimation.dynamics_layout import VarSpec
from alliance.estimation.dynamics_maker import RowMaker, SeriesLabel, VarContext, order_in_words
from alliance.estimation.dynamics_rows import (
    dynamics_rows,
    phase_rows,
    reliability_rows,
    var_rows,
)
from alliance.estimation.dynamics_series import VarSeries, occasions, var_series
from alliance.estimation.dynamics_tests import bootstrap, likelihood_ratio, without
from alliance.estimation.refusal import Refusal
from alliance.likelihood.var_data import pack
from alliance.simulation.recovery import NAMES, Cell, Truth, replicate, simulate, summarise
from alliance.study import Timing

GOLDEN = Path(__file__).parent / "golden/riclpm"
RECURSIVE = VarSpec((1, 0))
SAME_SESSION = np.array([[0.0, 1.0], [0.0, 0.0]])  # outcome before alliance
CONTEXT = VarContext(
    "dynamics",
    {
        "alliance": SeriesLabel("wai", "Alliance (WAI)", "WAI points", "WAI point", "client"),
        "outcome": SeriesLabel("core", "Symptoms (CORE)", "CORE points", "CORE point", "client"),
    },
    "outcome before, alliance after session",
)


def series_of(scores, names=NAMES, cluster=None) -> VarSeries:
    kept = ~np.isnan(scores).all(axis=(1, 2))
    ids = tuple(f"C{i:03d}" for i in range(int(kept.sum())))
    return VarSeries(scores[kept], names, ids, cluster=cluster)


def sample(n=150, sessions=8, seed=1, missing=0.0, truth=None, **options) -> VarSeries:
    rng = np.random.default_rng(seed)
    scores = simulate(truth or Truth(), n, sessions, rng)
    scores[rng.random(scores.shape) < missing] = np.nan
    return series_of(scores, **options)


def standard_errors(fit) -> np.ndarray:
    return coefficients(fit).se


# Against lavaan

GOLDEN_MODELS = {
    "same_occasion": ("balanced", VarSpec((0, 0))),
    "recursive": ("balanced", RECURSIVE),
    "recursive_trend": ("balanced", replace(RECURSIVE, random_trend=True)),
    "recursive_missing": ("missing", RECURSIVE),
}
COEFFICIENTS = {"phi_a": (0, 0), "gamma": (0, 1), "beta": (1, 0), "phi_y": (1, 1)}
CLIENT = {"ia": 0, "iy": 1, "sa": 2, "sy": 3}
FIRST = {"wa1": 0, "wy1": 1}


@pytest.fixture(scope="module", params=GOLDEN_MODELS)
def golden(request):
    file, spec = GOLDEN_MODELS[request.param]
    wide = pd.read_csv(GOLDEN / f"{file}.csv").to_numpy()
    scores = wide.reshape(len(wide), 2, -1).transpose(0, 2, 1)
    table = pd.read_csv(GOLDEN / "lavaan.csv").query("model == @request.param").set_index("term")
    return fit_var(series_of(scores), spec), table


def test_log_likelihood_is_that_of_lavaan(golden):
    fit, table = golden
    assert fit.log_likelihood == pytest.approx(table.loc["log_likelihood", "estimate"], abs=1e-4)
    assert fit.converged
    assert not fit.problems


def test_coefficients_and_errors_are_those_of_lavaan(golden):
    fit, table = golden
    for term, cell in COEFFICIENTS.items():
        assert fit.coefficients[0][cell] == pytest.approx(table.loc[term, "estimate"], abs=5e-4)
        assert standard_errors(fit)[0][cell] == pytest.approx(table.loc[term, "se"], abs=5e-4)


def test_covariances_are_those_of_lavaan(golden):
    fit, table = golden
    innovation = {"q_a": (0, 0), "q_y": (1, 1), "q_ay": (1, 0)}
    for term, row in table.iterrows():
        if term in innovation:
            found = fit.innovation_cov[innovation[term]]
        elif "_" in term and term.split("_")[0] in CLIENT | FIRST:
            a, b = term.split("_")
            matrix, place = (fit.client_cov, CLIENT) if a in CLIENT else (fit.first_cov, FIRST)
            found = matrix[place[a], place[b]]
        else:
            continue
        assert found == pytest.approx(row["estimate"], rel=2e-5, abs=2e-4), term


# Recovery: 60 samples, bounds of four Monte Carlo standard errors


@pytest.fixture(scope="module")
def recovery() -> pd.DataFrame:
    cell = Cell("plain", 8)
    found = [row for number in range(60) for row in replicate(cell, number, 7)]
    return summarise(found).set_index(["estimator", "term"])


def test_the_model_recovers_what_was_put_in(recovery):
    table = recovery.loc["RI-VAR (ML)"]
    assert (table["not_converged"] == 0).all()
    # (0.35, -0.15), (-0.10, 0.40): what the rows derive from the coefficients is checked as they
    assert table.loc["long_run_held_alliance_outcome", "truth"] == pytest.approx(-0.1 / 0.6)
    feedback = -0.1 / (0.65 * 0.6 - 0.1 * 0.15)
    found = table.loc["long_run_equilibrium_alliance_outcome", "truth"]
    assert found == pytest.approx(feedback)
    later = table.loc["response_alliance_outcome_2", "truth"]
    assert later == pytest.approx(0.4 * -0.1 - 0.1 * (0.35 + 0.15 * 0.1))
    assert table.index.str.startswith("response_").sum() == 13
    assert (table["bias"].abs() < 4 * table["bias_mc_se"]).all()
    # coverage .95 in 60 samples has a Monte Carlo standard error of .028
    assert (table["coverage"] > 0.95 - 4 * 0.028).all()
    ratio = table["mean_se"] / table["sd"]
    assert ratio.between(1 / 1.45, 1.45).all()  # the SD of 60 samples has an error of 9 %


def test_the_second_estimator_agrees_and_is_less_precise(recovery):
    term = "cross_lag_alliance_outcome"
    second, first = recovery.loc[("ML-SEM", term)], recovery.loc[("RI-VAR (ML)", term)]
    assert second["not_converged"] == 0
    assert abs(second["bias"]) < 4 * second["bias_mc_se"]
    assert second["sd"] > first["sd"]


def test_comparators_are_biased_as_theory_predicts(recovery):
    term = "autoregression_outcome"
    expected = -(1 + 0.4) / (7 - 1)  # first order, seven transitions
    centred = recovery.loc[("person_mean_centred", term), "bias"]
    assert centred == pytest.approx(expected, abs=0.06)
    assert recovery.loc[("pooled", term), "bias"] > 0.15
    assert recovery.loc[("person_detrended", term), "bias"] < centred


def test_replications_repeat_themselves():
    cell = Cell("drop_out", 5, 60)
    assert replicate(cell, 3, 7) == replicate(cell, 3, 7)
    assert replicate(cell, 3, 7) != replicate(cell, 4, 7)


def test_measurement_error_is_taken_out_when_it_is_known():
    truth = Truth(error_sd=(0.6, 0.6))
    series = sample(4000, 8, 3, truth=truth)
    known = tuple(1.0 - 0.36 / series.within_sd() ** 2)
    aware = fit_var(series, replace(RECURSIVE, reliability=known))
    blind = fit_var(series, RECURSIVE)
    within = 4 * standard_errors(aware)[0]
    assert (np.abs(aware.coefficients[0] - truth.coefficients) < within).all()
    assert blind.coefficients[0, 1, 1] < 0.4 - 4 * standard_errors(blind)[0, 1, 1]
    assert aware.error == pytest.approx([0.36, 0.36])


def test_trends_are_taken_out_and_make_effects_when_ignored():
    truth = Truth(
        coefficients=((0.35, 0.0), (0.0, 0.4)), trend=(0.12, -0.12), trend_sd=(0.15, 0.15)
    )
    series = sample(1500, 10, 5, truth=truth)
    right = fit_var(series, replace(RECURSIVE, random_trend=True))
    wrong = fit_var(series, replace(RECURSIVE, trend="none"))
    assert abs(right.coefficients[0, 1, 0]) < 4 * standard_errors(right)[0, 1, 0]
    assert wrong.coefficients[0, 1, 0] < -0.05
    assert likelihood_ratio(right, fit_var(series, RECURSIVE)).p < 1e-6


# The fit itself


def test_a_change_of_units_changes_units_only():
    series = sample(missing=0.1)
    fit = fit_var(series, RECURSIVE)
    scaled = fit_var(replace(series, scores=series.scores * [5.0, 0.2] + [30.0, -4.0]), RECURSIVE)
    np.testing.assert_allclose(
        scaled.coefficients[0], fit.coefficients[0] * [[1, 25], [1 / 25, 1]], rtol=1e-5, atol=1e-8
    )
    shift = series.seen.sum(axis=(0, 1)) @ np.log([5.0, 0.2])
    assert scaled.log_likelihood == pytest.approx(fit.log_likelihood - shift, abs=1e-6)
    np.testing.assert_allclose(standardised(scaled).estimate, standardised(fit).estimate, rtol=1e-5)


def test_same_scores_give_the_same_bits():
    series = sample(missing=0.1)
    first, second = fit_var(series, RECURSIVE), fit_var(series, RECURSIVE)
    assert first.x.tobytes() == second.x.tobytes()
    assert first.x_cov.tobytes() == second.x_cov.tobytes()


def test_information_is_the_matrix_of_second_differences():
    series = sample(60, 5, missing=0.1)
    fit = fit_var(series, RECURSIVE)
    data = pack(series.scores / fit.scale)
    information = observed_information(fit.x, fit.layout, data)
    h = 1e-5
    for j in range(fit.x.size):
        step = np.zeros(fit.x.size)
        step[j] = h
        ahead, behind = (objective(fit.x + s, fit.layout, data)[1] for s in (step, -step))
        np.testing.assert_allclose(information[:, j], (ahead - behind) / (2 * h), atol=2e-3)
    assert np.abs(objective(fit.x, fit.layout, data)[1]).max() < 1e-6


def test_clients_without_differences_between_them_are_a_boundary_not_a_failure():
    truth = Truth(client_sd=(0.0, 0.0), client_r=0.0)
    fits = [fit_var(sample(150, 8, seed, truth=truth), RECURSIVE) for seed in range(6)]
    assert any(fit.boundary for fit in fits)
    for fit in fits:
        assert fit.converged
        assert np.isfinite(standard_errors(fit)).all()


def test_three_series_by_the_same_code():
    rng = np.random.default_rng(2)
    two = simulate(Truth(), 400, 8, rng)
    third = two[:, :, :1] + rng.normal(size=(400, 8, 1))
    scores = np.concatenate([two[:, :, :1], third, two[:, :, 1:]], axis=2)
    fit = fit_var(series_of(scores, ("client", "therapist", "outcome")), VarSpec((1, 1, 0)))
    assert fit.converged
    assert fit.coefficients.shape == (1, 3, 3)
    assert fit.innovation_cov[2, 0] == 0.0  # the outcome is measured earlier
    assert fit.innovation_cov[1, 0] > 0.5  # both alliances on one occasion
    assert abs(fit.coefficients[0, 2, 0] + 0.1) < 4 * standard_errors(fit)[0, 2, 0]
    context = replace(CONTEXT, labels={n: SeriesLabel(n, n, "points", "point") for n in fit.names})
    terms = [row.term for row in var_rows(fit, context)]
    assert "cross_lag_therapist_outcome" in terms
    assert len(terms) == len(set(terms))


def test_likelihood_ratio_agrees_with_wald_and_grows_with_the_effect():
    fit = fit_var(sample(400, 10), RECURSIVE)
    test = likelihood_ratio(fit, without(fit, [(1, 0)]))
    z = fit.coefficients[0, 1, 0] / standard_errors(fit)[0, 1, 0]
    assert test.df == 1
    assert test.chi2 == pytest.approx(z**2, rel=0.1)
    both = likelihood_ratio(fit, without(fit, [(1, 0), (0, 1)]))
    assert both.df == 2
    assert both.chi2 >= test.chi2


def test_a_smaller_model_that_does_not_converge_is_begun_afresh(monkeypatch):
    fit = fit_var(sample(60, 6), RECURSIVE)

    def dead_end(series, spec, *, start=None, more_starts=True):
        made = fit_var(series, spec, start=start, more_starts=more_starts)
        return made if more_starts else replace(made, converged=False)

    monkeypatch.setattr(dynamics_tests, "fit_var", dead_end)
    assert without(fit, [(1, 0)]).converged


def test_phases_are_told_by_session_numbers_wherever_they_start():
    """Sessions numbered from 0: the later phase starts at the session with that number."""
    series = sample(200, 10)
    from_zero = replace(series, first_session=0)
    spec = replace(RECURSIVE, phase_from=6)
    assert fit_var(series, spec).layout.structure.phase.tolist() == [0] * 5 + [1] * 5
    assert fit_var(from_zero, spec).layout.structure.phase.tolist() == [0] * 6 + [1] * 4
    same = phase_rows(from_zero, RECURSIVE, CONTEXT, 5)
    assert [row.estimate for row in same] == [
        row.estimate for row in phase_rows(series, RECURSIVE, CONTEXT, 6)
    ]
    assert "(sessions before 5)" in same[0].estimand
    short = replace(series, first_session=4)
    for phase_from, which in ((5, "earlier"), (13, "later")):
        rows = phase_rows(short, RECURSIVE, CONTEXT, phase_from)
        assert {row.status for row in rows} == {"not_estimated"}
        assert f"two or more sessions in the {which} phase" in rows[0].reason


def test_phases_contain_the_model_without_them():
    series = sample(300, 10)
    single = fit_var(series, RECURSIVE)
    phases = fit_var(series, replace(RECURSIVE, phase_from=6))
    assert phases.coefficients.shape == (2, 2, 2)
    test = likelihood_ratio(phases, single)
    assert test.df == 4
    assert test.p > 1e-4  # the process has no phases
    rows = {row.term: row for row in phase_rows(series, RECURSIVE, CONTEXT, 6)}
    difference = rows["cross_lag_alliance_outcome_phase_difference"]
    later, earlier = (rows[f"cross_lag_alliance_outcome_phase_{p}"] for p in (2, 1))
    assert difference.estimate == pytest.approx(later.estimate - earlier.estimate)
    assert rows["lr_phases"].p == pytest.approx(test.p, rel=1e-4)


def test_bootstrap_repeats_itself_and_agrees_with_the_information():
    series = sample(150, 8, cluster=np.arange(150) % 25)
    fit = fit_var(series, RECURSIVE)
    first, second = bootstrap(fit, 60, 5), bootstrap(fit, 60, 5)
    np.testing.assert_array_equal(first.coefficients, second.coefficients)
    ratio = first.se / standard_errors(fit)
    assert ((ratio > 0.65) & (ratio < 1.5)).all()  # 60 replications: error of 9 %
    by_therapist = bootstrap(fit, 60, 5, by_cluster=True)
    assert not np.array_equal(by_therapist.coefficients, first.coefficients)
    with pytest.raises(ValueError, match="no therapists"):
        bootstrap(fit_var(sample(), RECURSIVE), 2, 1, by_cluster=True)


# Refusals


def test_too_little_data_is_refused_with_advice():
    few = fit_var(sample(1, 10), RECURSIVE)
    short = fit_var(sample(100, 2), RECURSIVE)
    trend = fit_var(sample(100, 4), replace(RECURSIVE, random_trend=True))
    for refusal, sessions in ((few, 3), (short, 3), (trend, 5)):
        assert isinstance(refusal, Refusal)
        # How many clients there are is not said: it may be a number too small to be told.
        wanted = f"fewer than 10 clients have all series at {sessions} or more sessions"
        assert refusal.reason == wanted
        assert "multilevel model" in refusal.advice
    rows = dynamics_rows(sample(1, 10), RECURSIVE, CONTEXT)
    assert {row.term for row in rows} == {
        "cross_lag_alliance_outcome",
        "cross_lag_outcome_alliance",
    }
    assert all(row.status == "not_estimated" and row.reason for row in rows)


def test_a_series_that_never_changes_is_refused():
    series = sample()
    series.scores[:, :, 1] = series.scores[:, :1, 1]
    refusal = fit_var(series, RECURSIVE)
    assert isinstance(refusal, Refusal)
    assert "'outcome' never changes" in refusal.reason


def test_an_explosive_process_ends_in_reasons():
    truth = Truth(coefficients=((1.08, -0.1), (-0.1, 1.08)), client_sd=(0.1, 0.1))
    rng = np.random.default_rng(1)
    w = np.zeros((200, 12, 2))
    for t in range(1, 12):
        B = np.array(truth.coefficients)
        w[:, t] = w[:, t - 1] @ B.T + rng.normal(size=(200, 2))
    fit = fit_var(series_of(w + 0.3 * rng.normal(size=(200, 1, 2))), RECURSIVE)
    assert fit.spectral_radius >= 1
    assert any("not stationary" in problem for problem in fit.problems)
    rows = {row.term: row for row in var_rows(fit, CONTEXT)}
    assert rows["cross_lag_alliance_outcome"].status == "diagnostics_failed"
    assert "Allow random trends" in rows["cross_lag_alliance_outcome"].reason
    assert rows["long_run_held_alliance_outcome"].status == "not_estimated"
    assert rows["response_alliance_outcome"].status == "not_estimated"


def test_a_descent_that_does_not_arrive_ends_in_reasons(monkeypatch):
    """Stopped at its start: no number is used, no posterior is sampled around it."""
    monkeypatch.setattr(dynamics_descent, "_NEWTON_ROUNDS", 0)
    monkeypatch.setattr(dynamics_descent, "minimise", lambda f, y, *_: (y, f(y)[0]))
    fit = fit_var(sample(100, 6), RECURSIVE)
    assert not fit.converged
    (problem,) = (text for text in fit.problems if "did not converge" in text)
    assert "simpler model: no random trends" in problem
    rows = {row.term: row for row in var_rows(fit, CONTEXT)}
    forward = rows["cross_lag_alliance_outcome"]
    assert (forward.status, forward.converged) == ("diagnostics_failed", "no")
    assert "did not converge" in forward.reason
    assert rows["long_run_held_alliance_outcome"].status == "not_estimated"
    assert not [t for t in rows if t.startswith("lr_")]


def test_too_much_assumed_error_ends_in_reasons():
    fit = fit_var(sample(150, 10), RECURSIVE)
    rows = reliability_rows(fit, CONTEXT, (0.2, 0.2))
    assert {row.term for row in rows} == {
        "cross_lag_alliance_outcome_reliability",
        "cross_lag_outcome_alliance_reliability",
    }
    for row in rows:
        assert row.status == "diagnostics_failed"
        assert "contradict so much measurement error" in row.reason
    assert all(row.status == "ok" for row in reliability_rows(fit, CONTEXT, (0.9, 0.9)))


# Effects


@pytest.fixture(scope="module")
def fitted():
    return fit_var(sample(200, 9, 4, missing=0.05), RECURSIVE)


def test_impulse_responses_are_those_of_the_recursion(fitted):
    (phi_a, gamma), (beta, phi_y) = fitted.coefficients[0]
    found = impulse_responses(fitted, 6).estimate[:, 0]
    for source in (0, 1):
        y = float(source == 1)
        a = 1.0 if source == 0 else gamma * y
        np.testing.assert_allclose(found[0, :, source], [a, y], atol=1e-12)
        for h in range(1, 7):
            y = phi_y * y + beta * a
            a = phi_a * a + gamma * y
            np.testing.assert_allclose(found[h, :, source], [a, y], atol=1e-12)


def test_intervals_of_responses_are_those_of_draws_of_the_process(fitted):
    """Coefficients drawn anew, each process run by hand; the first response has no noise."""
    found = impulse_responses(fitted, 6, seed=3)
    assert "normal draws" in found.interval
    part = fitted.layout.slices[1]
    moved = np.random.default_rng(11).multivariate_normal(
        fitted.x[part], fitted.x_cov[part, part], 40_000
    )
    units = fitted.scale[:, None] / fitted.scale[None, :]
    (phi_a, gamma), (beta, phi_y) = np.moveaxis(moved.reshape(-1, 2, 2) * units, 0, -1)
    a, y = np.ones(len(moved)), np.zeros(len(moved))
    for h in range(1, 7):
        y = phi_y * y + beta * a
        a = phi_a * a + gamma * y
        low, high = np.percentile(y, [2.5, 97.5])
        width = high - low
        assert found.low[h, 0, 1, 0] == pytest.approx(low, abs=0.03 * width)
        assert found.high[h, 0, 1, 0] == pytest.approx(high, abs=0.03 * width)
    known = delta(fitted, lambda x: responses_of(fitted.raw_coefficients(x), SAME_SESSION, 2))
    np.testing.assert_allclose(found.se[1, 0], known.se[1, 0], rtol=0.05)
    middle = found.estimate[6, 0, 1, 0]
    below, above = (abs(edge[6, 0, 1, 0] - middle) for edge in (found.low, found.high))
    assert below > 1.2 * above  # a small power is skewed away from zero


def test_draws_repeat_themselves_and_follow_the_seed(fitted):
    one, again, other = (impulse_responses(fitted, 3, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.low, again.low)
    assert (one.low[2] != other.low[2]).all()
    np.testing.assert_allclose(one.low, other.low, atol=0.05 * float(np.abs(one.se).max()))


def test_only_a_direct_first_response_is_the_cross_lag(fitted):
    assert is_cross_lag(fitted, 1, 0, 1)  # alliance to outcome, at the next session
    assert is_cross_lag(fitted, 0, 1, 0)  # outcome to alliance, within the session
    assert not is_cross_lag(fitted, 1, 0, 2)
    assert not is_cross_lag(fitted, 0, 1, 1)


def test_long_run_effects_are_the_published_formulas(fitted):
    (phi_a, gamma), (beta, phi_y) = fitted.coefficients[0]
    held = long_run(fitted, held_effects)
    assert held.estimate[0, 1, 0] == pytest.approx(beta / (1 - phi_y))
    equilibrium = long_run(fitted, equilibrium_effects)
    feedback = beta / ((1 - phi_a) * (1 - phi_y) - beta * gamma)
    assert equilibrium.estimate[0, 1, 0] == pytest.approx(feedback)
    assert held.low[0, 1, 0] < held.estimate[0, 1, 0] < held.high[0, 1, 0]
    np.testing.assert_array_equal(held.low, long_run(fitted, held_effects).low)


def test_delta_method_of_a_ratio(fitted):
    """The SE of beta / (1 - phi) by hand against the spread of the draws."""
    part = fitted.layout.slices[1]
    cov = fitted.x_cov[part, part][2:, 2:]  # beta, phi_y in units of fitting
    scale = fitted.scale[1] / fitted.scale[0]
    beta, phi = fitted.parts[1][0, 1]
    slope = np.array([1 / (1 - phi), beta / (1 - phi) ** 2])
    by_hand = np.sqrt(slope @ cov @ slope) * scale
    assert long_run(fitted, held_effects).se[0, 1, 0] == pytest.approx(by_hand, rel=0.05)


def test_standardised_effects_use_model_implied_within_sds(fitted):
    sd = within_sd(fitted)
    assert standardised(fitted).estimate[0, 1, 0] == pytest.approx(
        fitted.coefficients[0, 1, 0] * sd[0] / sd[1]
    )
    settled = np.diag(fitted.within_cov)[-2:]
    assert np.sqrt(settled) == pytest.approx(sd, rel=0.1)
    ratio, n = person_ratio(fitted, 1, 0)
    assert ratio == pytest.approx(1.0, abs=0.2)
    assert 150 < n <= 200


def test_a_client_who_hardly_varies_does_not_carry_the_clients_own_sds(fitted):
    ratio, n = person_ratio(fitted, 1, 0)
    scores = fitted.series.scores.copy()
    scores[0, :, 1] = 5.0 + 1e-4 * np.arange(scores.shape[1])
    flat = replace(fitted, series=replace(fitted.series, scores=scores))
    found, n_left = person_ratio(flat, 1, 0)
    assert n_left == n - 1
    assert found == pytest.approx(ratio, rel=0.02)
    constant = replace(fitted.series, scores=np.where([False, True], 5.0, scores))
    assert person_ratio(replace(fitted, series=constant), 1, 0)[1] == 0


def test_a_settled_process_starts_settled_and_another_does_not():
    assert first_session_test(fit_var(sample(300, 8, 2), RECURSIVE)).p > 0.001
    series = sample(300, 8, 2)
    series.scores[:, 0] *= 3
    assert first_session_test(fit_var(series, RECURSIVE)).p < 1e-6


def test_the_bootstrap_reaches_its_optimum_near_a_variance_of_zero():
    """Clients without trends of their own, and a model that allows them."""
    fit = fit_var(sample(120, 8, 3), replace(RECURSIVE, random_trend=True))
    assert fit.boundary
    assert bootstrap(fit, 10, 1).n_failed <= 2


# Comparators


def test_pooled_comparator_is_ols_with_clustered_errors():
    series = sample(80, 6, missing=0.1)
    found = compare(series, RECURSIVE, 1, "pooled")
    rows = []
    for i, client in enumerate(series.scores):
        for t in range(1, 6):
            row = [client[t, 1], client[t - 1, 0], client[t - 1, 1], t, i]
            if not np.isnan(row).any():
                rows.append(row)
    table = np.array(rows)
    X = np.column_stack([table[:, 1:3], pd.get_dummies(table[:, 3]).astype(float)])
    fit = sm.OLS(table[:, 0], X).fit(cov_type="cluster", cov_kwds={"groups": table[:, 4]})
    np.testing.assert_allclose(found.coefficients, fit.params[:2], atol=1e-10)
    np.testing.assert_allclose(found.se, fit.bse[:2], rtol=1e-8)
    assert found.n_obs == len(table)


def test_the_reverse_comparator_uses_the_same_session():
    series = sample(80, 6)
    found = compare(series, RECURSIVE, 0, "person_mean_centred")
    z = series.scores
    y, X = z[:, 1:, 0], np.stack([z[:, :-1, 0], z[:, 1:, 1]], axis=2)
    session = np.repeat(np.eye(5)[None], len(z), axis=0)
    columns = np.concatenate([X, session], axis=2)
    y, columns = y - y.mean(1, keepdims=True), columns - columns.mean(1, keepdims=True)
    expected = np.linalg.lstsq(columns.reshape(-1, 7), y.ravel(), rcond=None)[0]
    np.testing.assert_allclose(found.coefficients, expected[:2], atol=1e-10)


def test_detrended_comparator_fits_a_line_to_each_client():
    series = sample(80, 8, missing=0.1)
    found = compare(series, RECURSIVE, 1, "person_detrended")
    rest = np.full_like(series.scores, np.nan)
    for i, client in enumerate(series.scores):
        for j in (0, 1):
            when = np.flatnonzero(~np.isnan(client[:, j]))
            if when.size >= 4:
                rest[i, when, j] = client[when, j] - np.polyval(
                    np.polyfit(when, client[when, j], 1), when
                )
    rows = np.concatenate([rest[:, :-1], rest[:, 1:, 1:]], axis=2).reshape(-1, 3)
    rows = rows[~np.isnan(rows).any(axis=1)]
    expected = np.linalg.lstsq(rows[:, :2], rows[:, 2], rcond=None)[0]
    np.testing.assert_allclose(found.coefficients, expected, atol=1e-9)


# From sessions to rows


def table_of_sessions() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "client": ["B", "B", "B", "A", "A", "A", "A"],
            "session": [1, 2, 4, 1, 2, 3, 4],
            "attendance": ["attended", "no_show", *["attended"] * 5],
            "wai": [5.0, np.nan, 6.0, 3.0, 4.0, np.nan, 5.0],
            "wellbeing": [1.0, np.nan, 4.0, 2.0, np.nan, 3.0, 0.0],
        }
    )


def test_missed_appointments_are_no_step_of_time_but_missing_forms_are():
    columns = {"alliance": "wai", "outcome": "wellbeing"}
    series = var_series(table_of_sessions(), columns, {"outcome": ("better", (0.0, 4.0))})
    assert series.client_ids == ("A", "B")
    nan = np.nan
    expected = np.array(
        [[[3, 2], [4, nan], [nan, 1], [5, 4]], [[5, 3], [nan, nan], [6, 0], [nan, nan]]]
    )
    np.testing.assert_array_equal(series.scores, expected)
    plain = var_series(table_of_sessions(), columns, attended_clock=False)
    assert plain.scores[1, 3, 0] == 6.0


def test_a_form_before_a_missed_appointment_has_no_place_in_the_clock():
    """Symptoms filled in at home before a session that was then missed stay in the cleaned data."""
    columns = {"alliance": "wai", "outcome": "wellbeing"}
    table = table_of_sessions()
    table.loc[1, "wellbeing"] = 2.0  # client B, session 2: did not come
    table["attendance"] = table["attendance"].mask(table.index == 2)  # no entry: took place
    series = var_series(table, columns)
    np.testing.assert_array_equal(series.scores[1, [0, 2]], [[5.0, 1.0], [6.0, 4.0]])
    left_out = "ratings of 1 client made for appointments that did not take place are left out"
    assert series.notes == (left_out,)
    maker = RowMaker(CONTEXT, None, series)
    assert maker.absent("x", "fit", "", "why").missing_rule.endswith(left_out)


def test_late_sessions_are_left_out_with_a_note_and_therapists_become_clusters():
    columns = {"alliance": "wai", "outcome": "wellbeing"}
    clients = pd.DataFrame({"client": ["A", "B"], "therapist": ["T1", None]})
    series = var_series(table_of_sessions(), columns, clients=clients, max_sessions=3)
    assert series.n_sessions == 3
    assert series.notes == ("ratings of 1 client after session 3 are left out",)
    assert len(set(series.cluster)) == 2
    empty = table_of_sessions().assign(wai=np.nan, wellbeing=np.nan)
    assert isinstance(var_series(empty, columns), Refusal)
    twice = pd.concat([table_of_sessions()] * 2)
    with pytest.raises(ValueError, match="two rows for one session"):
        var_series(twice.drop(columns="attendance"), columns)


@pytest.mark.parametrize(
    ("alliance", "outcome", "ranks"),
    [("post", "pre", (1, 0)), ("pre", "post", (0, 1)), ("post", "post", (1, 1))],
)
def test_occasions_follow_the_timing_rule(alliance, outcome, ranks):
    timing = Timing(alliance_when=alliance, outcome_when=outcome, unit="session")
    assert occasions(timing) == ranks


@pytest.mark.parametrize(
    ("alliance", "outcome", "words"),
    [
        ("post", "pre", "outcome to alliance within a session, alliance to outcome to the next"),
        ("pre", "post", "alliance to outcome within a session, outcome to alliance to the next"),
        ("post", "post", "same occasion"),
    ],
)
def test_order_is_told_in_words(alliance, outcome, words):
    timing = Timing(alliance_when=alliance, outcome_when=outcome, unit="session")
    assert words in order_in_words(SimpleNamespace(timing=timing))


def test_all_rows_of_an_analysis():
    series = sample(150, 10, missing=0.05, cluster=np.arange(150) % 30)
    rows = dynamics_rows(
        series, RECURSIVE, CONTEXT, reliabilities=[(0.9, 0.9), (0.8, 0.8)], phase_from=7,
        n_bootstrap=20, seed=3,
    )  # fmt: skip
    table = to_frame(rows)
    assert (table["status"] == "ok").all(), table.loc[table["status"] != "ok", "reason"].tolist()
    assert not table.duplicated(["term", "estimator", "reliability_assumed"]).any()
    forward = table.query("term == 'cross_lag_alliance_outcome'")
    assert list(forward["known_bias"] == "") == [True, False, False, False, False]
    assert (forward["lag"] == 1).all()
    head = forward.iloc[0]
    assert head["lag"] == 1
    assert head["units"] == "CORE points per WAI point"
    assert head["level"] == "within_client"
    assert head["ci_low"] < head["estimate"] < head["ci_high"]
    assert (head["predictor"], head["outcome"]) == ("wai", "core")
    reverse = table.query("term == 'cross_lag_outcome_alliance'").iloc[0]
    assert reverse["lag"] == 0
    assert "later in the same session" in reverse["estimand"]
    assert table["estimand"].str.len().min() > 0
    responses = table[table["term"].str.startswith("response_alliance_outcome")]
    assert len(responses) == 6
    assert responses["estimate"].iloc[0] == pytest.approx(head["estimate"])
    assert responses["ci_low"].iloc[0] == head["ci_low"]
    assert list(responses["interval"].str.contains("normal draws")) == [False, *[True] * 5]
    assert (responses["seed"].iloc[1:] == 3).all()
    back = table[table["term"].str.startswith("response_outcome_alliance")]
    assert list(back["lag"]) == [0, 1, 2, 3, 4, 5, 6]  # within the session it begins
    assert back["estimate"].iloc[0] == pytest.approx(reverse["estimate"])
    resampled = table[table["term"].str.endswith("_bootstrap")]
    assert resampled["interval"].str.contains("therapists").all()
    assert list(resampled["term"].str.removesuffix("_bootstrap")) == [
        "cross_lag_alliance_outcome", "cross_lag_outcome_alliance", "autoregression_alliance",
        "autoregression_outcome",
    ]  # fmt: skip
    own = resampled.iloc[3]
    assert own["ci_low"] < own["estimate"] < own["ci_high"]
    assert "carry-over" in own["estimand"]
