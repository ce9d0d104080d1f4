"""Null data sets, rates of noise and calibrated tests of ruptures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import optimize, stats

from alliance.estimates import Estimate, to_frame
from alliance.estimation.dynamics import VarFit, fit_var
from alliance.estimation.dynamics_layout import VarSpec
from alliance.estimation.dynamics_series import VarSeries
from alliance.estimation.refusal import Refusal
from alliance.report.rupture_sentences import rupture_verdict, sentence_on_number_of_tests
from alliance.rupture_null import calibrate as calibration
from alliance.rupture_null.courses import CourseColumns, Courses, courses_of
from alliance.rupture_null.drop_out_null import DropOutNull
from alliance.rupture_null.noise import find, noise_table, runnable, summarise_null
from alliance.rupture_null.null_model import (
    Candidate,
    _best,
    _with_positive_diagonal,
    fit_null_model,
    null_scores,
)
from alliance.rupture_null.null_tests import null_distributions, observed_terms, plan_tests
from alliance.rupture_null.outcome_tests import (
    Term,
    _mark_term,
    client_numbers,
    client_terms,
    drop_out_terms,
    risk_rows,
    session_pairs,
    session_terms,
    spline_columns,
)
from alliance.rupture_null.regression import (
    hazard_regression,
    hazard_scores,
    least_squares,
    within_least_squares,
)
from alliance.rupture_null.rows import (
    CALIBRATED_P,
    LOOKS_AHEAD,
    NullResults,
    further_rows,
    number_of_tests,
    with_holm,
    with_null,
)
from alliance.rupture_null.scanning import pooled_of, scan
from alliance.rupture_null.study import NullStudy
from alliance.ruptures import (
    PooledScale,
    client_outcome_rows,
    detect,
    kernel,
    load_rules,
    pooled_scale,
    summarise,
)
from alliance.ruptures.calibration import NoiseModel, noise_scale, simulate_noise
from alliance.ruptures.episodes import LABELS
from alliance.ruptures.outcome_tests import NOMINAL_P, RuptureAnalysis, first_and_last
from alliance.simulation.rupture_studies import (
    DESIGNS,
    StudyPlan,
    attainable_size,
    draw_study,
    randomised_p,
    rejection_table,
    try_drop_out,
    try_one_study,
)
from alliance.tables.ruptures import rupture_outcome_table

RULES = load_rules(Path(__file__).parent.parent / "config" / "ruptures")
FEW = {name: RULES[name] for name in ("mean_prior", "mean_prior_fixed", "previous_drop")}
KNOWN = PooledScale(np.nan, np.nan, 0.7, 0.9)
ANALYSIS = RuptureAnalysis("client_rated", "alliance", "client", "symptoms", "symptoms", "points")
N_SETS = 120


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    drawn = draw_study(StudyPlan(n_clients=120), seed=3, number=0)
    return drawn.sessions, drawn.clients


@pytest.fixture(scope="module")
def made(tables) -> tuple[Courses, VarSeries]:
    found = courses_of(*tables, CourseColumns("alliance", "symptoms"))
    assert not isinstance(found, Refusal)
    return found


def test_forms_before_missed_appointments_leave_the_courses_as_they_are(tables, made):
    sessions, clients = tables
    missed = sessions["attendance"] != "attended"
    assert missed.sum() > 20
    waited = sessions.assign(symptoms=sessions["symptoms"].where(~missed, 12.0))
    found = courses_of(waited, clients, CourseColumns("alliance", "symptoms"))
    assert not isinstance(found, Refusal)
    np.testing.assert_array_equal(found[0].outcome, made[0].outcome)
    np.testing.assert_array_equal(found[0].session, made[0].session)


@pytest.fixture(scope="module")
def model(made):
    fitted = fit_null_model(made[1], (1, 0), seed=5)
    assert not isinstance(fitted, Refusal)
    return fitted


@pytest.fixture(scope="module")
def plan(made):
    return plan_tests(made[0], FEW, KNOWN, 10)


@pytest.fixture(scope="module")
def null(made, plan, model):
    return null_distributions(made[0], plan, model, N_SETS, seed=5)


def as_table(courses: Courses) -> pd.DataFrame:
    client, step = np.nonzero(courses.rated)
    return pd.DataFrame(
        {
            "client": np.array(courses.clients)[client],
            "session": courses.session[client, step],
            "score": courses.alliance[client, step],
        }
    )


# --- null data sets ----------------------------------------------------------------------------


def test_null_data_keep_sessions_gaps_ceiling_and_rounding(made, model):
    courses, series = made
    scores = null_scores(model, 5, 0)
    for j in range(2):
        seen = series.seen[:, :, j]
        drawn, observed = scores[:, :, j][seen], series.scores[:, :, j][seen]
        assert np.array_equal(np.sort(drawn), np.sort(observed))
    data = courses.with_scores(scores[:, :, 0], scores[:, :, 1])
    assert np.array_equal(data.rated, courses.rated)
    assert np.array_equal(np.isnan(data.outcome), np.isnan(courses.outcome))
    assert np.array_equal(data.session_of_row, courses.session_of_row)


def test_null_data_follow_from_the_seed(model):
    assert np.array_equal(null_scores(model, 5, 7), null_scores(model, 5, 7))
    assert not np.array_equal(null_scores(model, 5, 7), null_scores(model, 5, 8))
    assert not np.array_equal(null_scores(model, 5, 7), null_scores(model, 6, 7))


def test_null_data_have_the_dynamics_of_the_study(made, model):
    """A refit of null data finds the autoregressions and the shares between clients again."""
    _, series = made
    fits = []
    for number in range(6):
        scores = np.where(series.seen, null_scores(model, 5, number), np.nan)
        again = fit_null_model(VarSeries(scores, series.names, series.client_ids), (1, 0), 5)
        fits.append(np.append(np.diag(again.reduced), np.diag(again.client @ again.client.T)[:2]))
    wanted = np.append(np.diag(model.reduced), np.diag(model.client @ model.client.T)[:2])
    assert np.allclose(np.mean(fits, axis=0)[:2], wanted[:2], atol=0.08)
    assert np.allclose(np.mean(fits, axis=0)[2:], wanted[2:], rtol=0.25)


def test_the_spread_of_the_clients_sds_is_found(made):
    """Clients that differ in SD are told from clients that do not."""
    rng = np.random.default_rng(11)

    def fitted(spread: float) -> float:
        n, n_sessions = 200, 14
        sd = np.exp(spread * rng.standard_normal((n, 1, 1)) - spread**2)
        values = rng.standard_normal((n, n_sessions, 1)) * sd + rng.standard_normal((n, 1, 1))
        series = VarSeries(values, ("alliance",), tuple(map(str, range(n))))
        return float(np.sqrt(fit_null_model(series, (0,), 1).spread[0, 0]))

    assert fitted(0.0) < 0.12
    assert 0.30 < fitted(0.4) < 0.50


def with_error(reliability: float, seed: int = 2) -> VarSeries:
    """250 clients, 14 ratings: states with autoregression .8, and error of measurement."""
    rng = np.random.default_rng(seed)
    n, n_sessions = 250, 14
    state = np.empty((n, n_sessions))
    state[:, 0] = rng.standard_normal(n)
    for t in range(1, n_sessions):
        state[:, t] = 0.8 * state[:, t - 1] + 0.6 * rng.standard_normal(n)
    error = np.sqrt(1 / reliability - 1) * rng.standard_normal(state.shape)
    scores = state + error + rng.standard_normal((n, 1))
    return VarSeries(scores[:, :, None], ("alliance",), tuple(map(str, range(n))))


def test_error_of_measurement_is_in_the_null_model_where_it_fits_better():
    noisy = fit_null_model(with_error(0.5), (0,), 1, (0.4,))
    assert noisy.reliability == (0.4,)
    assert noisy.error_sd[0] > 0
    assert noisy.reduced[0, 0] > 0.6  # of the states; that of the ratings is about half
    exact = fit_null_model(with_error(1.0), (0,), 1, (0.4,))
    assert exact.reliability == (1.0,)
    assert exact.error_sd[0] == 0
    # The ratings of drawn clients carry the error: neighbours are less alike than the states are.
    drawn = np.concatenate([null_scores(noisy, 1, b)[:, :, 0] for b in range(4)])
    steps = np.diff(drawn, axis=1)
    alike = np.corrcoef(steps[:, :-1].ravel(), steps[:, 1:].ravel())[0, 1]
    observed = np.diff(with_error(0.5).scores[:, :, 0], axis=1)
    assert alike == pytest.approx(
        np.corrcoef(observed[:, :-1].ravel(), observed[:, 1:].ravel())[0, 1], abs=0.05
    )


def test_every_null_model_that_was_tried_is_told(made):
    model = fit_null_model(made[1], (1, 0), 5, (0.6, 0.5))
    assert {(c.reliability, c.random_trend) for c in model.tried} == {
        (given, trend) for given in ((1.0, 1.0), (0.6, 1.0), (0.6, 0.5)) for trend in (False, True)
    }
    usable = {(c.reliability, c.random_trend): c.aic for c in model.tried if not c.problem}
    assert (model.reliability, model.random_trend) == min(usable, key=usable.get)
    table = calibration.model_table(model, 1000)
    told = table[table["term"] == "aic_above_smallest"]
    assert len(told) == 6
    assert told.loc[told["value"] == 0, "note"].tolist() == [model.words]
    given = table.set_index("term").loc["reliability_alliance", "value"]
    assert given == model.reliability[0]
    # What is not known, or no share of variance, assumes no error.
    for unknown in ((np.nan, np.nan), (0.0, 1.0), None):
        alone = fit_null_model(made[1], (1, 0), 5, unknown)
        assert {c.reliability for c in alone.tried} == {(1.0, 1.0)}
    outcome = fit_null_model(made[1], (1, 0), 5, (np.nan, 0.5))
    assert {c.reliability for c in outcome.tried} == {(1.0, 1.0), (1.0, 0.5)}


def test_a_model_that_does_not_fit_is_not_taken_whatever_its_aic(made):
    found = fit_var(made[1], VarSpec((1, 0)))
    assert isinstance(found, VarFit)
    better = replace(found, log_likelihood=found.log_likelihood + 50, problems=("no convergence",))
    assert better.aic < found.aic - 99
    assert _best([found, better, Refusal("too few", "")]) is found
    refused = _best([replace(found, problems=("no convergence",)), better])
    assert isinstance(refused, Refusal)
    assert "no convergence" in refused.reason
    model = fit_null_model(made[1], (1, 0), 5)
    spoilt = replace(
        model, tried=(*model.tried, Candidate((0.2, 1.0), True, 1.0, "no convergence"))
    )
    last = calibration.model_table(spoilt, 10).iloc[-1]
    assert last["note"].endswith("not used: no convergence")
    assert last["value"] == pytest.approx(1.0 - min(c.aic for c in model.tried))


def test_the_factor_of_client_effects_has_one_sign(made):
    """Two descents to the same maximum may differ in it; null data must not."""
    model = fit_null_model(made[1], (1, 0), 5, (0.6, 0.5))
    assert (np.diag(model.client) >= 0).all()
    turned = np.array([[-1.0, 0.0], [0.5, 2.0]])
    same = _with_positive_diagonal(turned)
    assert np.array_equal(same, [[1.0, 0.0], [-0.5, 2.0]])
    assert np.array_equal(same @ same.T, turned @ turned.T)


# --- randomised ranks ----------------------------------------------------------------------------


def test_the_plain_p_rejects_as_often_as_its_steps_allow():
    # 119: 3 of 120 ranks on each side; 100 and 118: 2 of 101 and 119; 1,000: 25 of 1,001.
    sizes = attainable_size(np.array([100, 118, 119, 1000]))
    assert sizes == pytest.approx([4 / 101, 4 / 119, 6 / 120, 50 / 1001])
    for n in (100, 118, 119):
        null = np.arange(1.0, n + 1)
        p = [summarise_null(rank + 0.5, null).p for rank in range(n + 1)]  # every rank once
        assert np.mean(np.array(p) <= 0.05) == pytest.approx(attainable_size(n))


def test_randomised_ranks_reject_at_the_nominal_rate_with_any_number_of_sets():
    grid = (np.arange(2000) + 0.5) / 2000
    for n in (100, 118, 119):
        null = np.arange(1.0, n + 1)
        p = [randomised_p(rank + 0.5, null, u) for rank in range(n + 1) for u in grid[::20]]
        assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=5e-4)
    # Ties share their ranks: 1 below, tied with 2 and itself, of 5: 1 to 4 fifths.
    tied = np.array([1.0, 3.0, 3.0, 4.0])
    assert randomised_p(3.0, tied, 0.0) == pytest.approx(2 * 1 / 5)
    assert randomised_p(3.0, tied, 0.9) == pytest.approx(2 * (1 - (1 + 0.9 * 3) / 5))


def test_rejections_of_simulated_studies_are_counted_with_their_limits():
    tests = pd.DataFrame({
        "study": range(4), "rule": "a", "test": "client", "term": "t",
        "estimate": [1.0, 2.0, 3.0, 90.0], "p_nominal": [0.01, 0.2, 0.05, 0.01],
        "p_null": [0.05, 0.06, 0.5, np.nan], "p_randomised": [0.04, 0.05, 0.5, np.nan],
        "n_null": [119, 118, 100, 40],
    })  # fmt: skip
    (row,) = rejection_table(tests).to_dict("records")
    assert row["n_studies"] == 3  # the last had too few null data sets
    assert row["pct_nominal"] == pytest.approx(200 / 3)
    assert row["pct_null"] == pytest.approx(100 / 3)
    assert row["pct_null_randomised"] == pytest.approx(200 / 3)
    assert row["pct_attainable"] == pytest.approx(100 * (6 / 120 + 4 / 119 + 4 / 101) / 3)
    assert row["mean_estimate"] == 2.0


def test_simulated_studies_know_the_reliability_of_their_items():
    drawn = draw_study(StudyPlan(), seed=3, number=0)
    forms = drawn.sessions["alliance"].notna().sum()
    assert forms > 2000
    alliance, symptoms = drawn.reliability
    assert 0.4 < alliance < 0.7
    assert 0.3 < symptoms < 0.6
    deeper = draw_study(DESIGNS["planted_no_effect"], seed=3, number=0)
    assert deeper.reliability[0] > alliance + 0.05  # planted ruptures are true variation


def test_a_study_without_enough_sessions_has_no_null_model():
    values = np.full((30, 2, 1), 1.0)
    refused = fit_null_model(VarSeries(values, ("alliance",), tuple("a" * 30)), (0,), 1)
    assert isinstance(refused, Refusal)


# --- rules on arrays ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(runnable(RULES, KNOWN)))
def test_arrays_give_the_labels_and_episodes_of_the_tables(made, name):
    courses, rule = made[0], RULES[name]
    table = as_table(courses)
    result = detect(table, rule, pooled_scale(table, 0.7, 0.9))
    score = courses.alliance[courses.rated]
    pooled = pooled_of(courses.start, score, KNOWN)
    got = scan(courses.start, courses.session_of_row, score, rule, pooled)
    labels = dict(zip(courses.clients, (LABELS[code] for code in got.label), strict=True))
    wanted = dict(zip(result.clients["client"], result.clients["label"].astype(str), strict=True))
    assert {name: labels[name] for name in wanted} == wanted
    assert np.allclose(got.depth, result.episodes["depth"])
    repaired = (result.episodes["status"] == "repaired").to_numpy()
    assert np.array_equal(np.isfinite(got.latency), repaired)
    assert np.array_equal(got.latency[repaired], result.episodes["latency"][repaired])


def test_repaired_rows_are_the_ratings_that_end_a_rupture():
    score = np.array([10.0, 10.0, 7.0, 10.0, 10.0])
    rule = RULES["previous_drop"].model_copy(update={"scale": "points", "threshold": 2.0})
    found = scan(np.array([0, 5]), np.arange(1.0, 6.0), score, rule, PooledScale(1.0, 1.0))
    assert found.flag.tolist() == [False, False, True, False, False]
    assert found.repaired_rows().tolist() == [False, False, False, True, False]


@pytest.mark.parametrize("length", [8, 16, 30])
def test_the_calibrated_rule_flags_ten_percent_of_rupture_free_clients(length):
    noise = NoiseModel()
    scores = simulate_noise(noise, 20_000, length, np.random.default_rng(length))
    start = np.arange(0, len(scores) + 1, length)
    found = scan(
        start, scores["session"].to_numpy(float), scores["score"].to_numpy(), RULES["mean_prior"],
        noise_scale(noise),
    )  # fmt: skip
    assert 8.5 <= 100 * np.mean(found.label > 0) <= 11.5


# --- regressions -------------------------------------------------------------------------------


def regression_data(n=200, seed=1):
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.standard_normal((n, 3))])
    y = x @ [1.0, 0.5, 0.0, -1.0] + rng.standard_normal(n) * np.exp(0.3 * x[:, 1])
    return x, y, np.sort(rng.integers(0, 25, n))


def test_robust_errors_are_those_of_statsmodels():
    x, y, clusters = regression_data()
    by_cluster = {"cov_type": "cluster", "cov_kwds": {"groups": clusters}}
    for groups, kind in ((None, {"cov_type": "HC3"}), (clusters, by_cluster)):
        wanted = sm.OLS(y, x).fit(**kind, use_t=True)
        got = least_squares(x, y, groups)
        assert np.allclose(got.coefficients, wanted.params)
        assert np.allclose(got.covariance, wanted.cov_params())
        assert got.df == wanted.t_test(np.eye(4)[1]).df_denom


def test_fixed_effects_are_those_of_dummies():
    x, y, client = regression_data()
    x, y, client = np.vstack([x, np.ones(4)]), np.append(y, 9.0), np.append(client, 99)
    got = within_least_squares(x[:, 1:], y, client)
    dummies = (client[:, None] == np.unique(client)).astype(float)
    keep = client != 99  # a client with a single row tells nothing
    wanted = sm.OLS(y[keep], np.column_stack([x[keep, 1:], dummies[keep, :-1]])).fit(
        cov_type="cluster", cov_kwds={"groups": client[keep]}
    )
    assert np.allclose(got.coefficients, wanted.params[:3])
    n, clients = int(keep.sum()), len(np.unique(client)) - 1
    factor = (n - clients - 3) / (n - 3)  # intercepts of clients do not count as parameters
    assert np.allclose(got.covariance, factor * wanted.cov_params()[:3, :3])


def test_the_hazard_is_that_of_statsmodels():
    x, _, _ = regression_data(2000, 4)
    rng = np.random.default_rng(2)
    event = (rng.random(2000) < -np.expm1(-np.exp(x @ [-2.5, 0.4, 0.0, -0.3]))).astype(float)
    family = sm.families.Binomial(link=sm.families.links.CLogLog())
    wanted = sm.GLM(event, x, family=family).fit(tol=1e-12)
    got = hazard_regression(x, event)
    assert np.allclose(got.coefficients, wanted.params, atol=1e-6)
    assert np.allclose(np.sqrt(np.diag(got.covariance)), wanted.bse, rtol=1e-4)
    assert hazard_regression(x, np.zeros(2000)) is None


def hazard_data(n_marked=40, n=2000):
    """Design, events and a mark of sessions after which nobody left."""
    x, _, _ = regression_data(n, 4)
    rng = np.random.default_rng(2)
    event = (rng.random(n) < -np.expm1(-np.exp(x @ [-2.5, 0.4, 0.0, -0.3]))).astype(float)
    mark = np.zeros(n)
    mark[rng.choice(np.flatnonzero(event == 0), n_marked, replace=False)] = 1.0
    return x, event, mark


def test_penalised_hazards_are_the_maximum_of_the_penalised_likelihood():
    x, event, mark = hazard_data()
    design = np.column_stack([x, mark])
    family = sm.families.Binomial(link=sm.families.links.CLogLog())
    model = sm.GLM(event, design, family=family)

    def loss(beta):
        information = -model.hessian(beta, observed=False)
        return -model.loglike(beta) - 0.5 * np.linalg.slogdet(information)[1]

    got = hazard_regression(design, event, penalised=True)
    wanted = optimize.minimize(loss, np.append(got.coefficients[:-1], 0.0), method="BFGS")
    assert np.allclose(got.coefficients, wanted.x, atol=2e-4)
    assert np.all(np.abs(optimize.approx_fprime(got.coefficients, loss, 1e-6)) < 1e-2)
    assert got.coefficients[-1] < -1
    assert np.isfinite(got.covariance).all()
    information = -model.hessian(got.coefficients, observed=False)
    assert np.allclose(got.covariance, np.linalg.inv(information), rtol=1e-3)


def test_score_tests_are_those_of_statsmodels():
    x, event, mark = hazard_data()
    other = (np.arange(event.size) % 7 == 0) * (1.0 - mark)
    family = sm.families.Binomial(link=sm.families.links.CLogLog())
    model = sm.GLM(event, x, family=family)
    at = model.fit(tol=1e-13).params
    fit = hazard_regression(x, event)
    for column in (mark, other):
        wanted, _, _ = model.score_test(at, exog_extra=column[:, None], observed=False)
        z, guess = hazard_scores(x, event, fit, column[:, None])
        assert z[0] ** 2 == pytest.approx(wanted.item(), rel=1e-5)
        assert np.sign(z[0]) == np.sign(guess[0])
    # Two columns: U' V^-1 U of both is Rao's test on two degrees of freedom. V^-1 U is solved from
    # z and the information, by their definition.
    both = np.column_stack([mark, other])
    z, _ = hazard_scores(x, event, fit, both)
    full = -sm.GLM(event, np.column_stack([x, both]), family=family).hessian(
        np.append(at, [0.0, 0.0]), observed=False
    )
    inverse = np.linalg.inv(full)[-2:, -2:]
    step = z * np.sqrt(np.diag(inverse))
    wanted, _, _ = model.score_test(at, exog_extra=both, observed=False)
    assert step @ np.linalg.inv(inverse) @ step == pytest.approx(wanted.item(), rel=1e-5)
    assert np.isnan(hazard_scores(x, event, fit, x[:, :1])[0]).all()  # nothing of its own


def test_score_tests_of_few_events_keep_five_percent():
    # .6 events expected after 24 marked sessions of 2,000: estimate over standard error, possible
    # only where there is one, would reject in a tenth of these.
    rng = np.random.default_rng(3)
    x = np.column_stack([np.ones(2000), rng.standard_normal(2000)])
    mark = np.zeros((2000, 1))
    mark[rng.choice(2000, 24, replace=False)] = 1.0
    hazard = -np.expm1(-np.exp(x @ [-3.8, 0.5]))
    rejected = 0
    for _ in range(1000):
        event = (rng.random(2000) < hazard).astype(float)
        z, _ = hazard_scores(x, event, hazard_regression(x, event), mark)
        rejected += abs(z[0]) > 1.96
    assert 20 <= rejected <= 80


def test_the_spline_is_linear_outside_its_knots():
    x = np.linspace(-3, 3, 601)
    columns = spline_columns(x)
    assert columns.shape == (601, 2)
    assert np.allclose(columns[x < -2.8], 0)
    assert np.allclose(np.diff(columns[x > 2.8], n=2, axis=0), 0, atol=1e-9)
    assert spline_columns(np.repeat([0.0, 1.0], 50)).shape[1] == 0


# --- tests against outcome ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["previous_drop", "own_mean", "mean_prior"])
def test_client_contrasts_are_those_of_the_tables(made, name):
    courses = made[0]
    table = as_table(courses)
    result = detect(table, RULES[name], pooled_scale(table))
    client, step = np.nonzero(np.isfinite(courses.outcome))
    names = np.array(courses.clients)
    outcomes = first_and_last(
        pd.DataFrame({"client": names[client], "session": courses.session[client, step],
                      "y": courses.outcome[client, step]}), "y",
    )  # fmt: skip
    outcomes["therapist"] = outcomes["client"].map(
        dict(zip(courses.clients, courses.therapist, strict=True))
    )
    wanted = client_outcome_rows(result, RULES[name], outcomes, ANALYSIS)
    found = find(courses, {name: RULES[name]}, KNOWN)[name].drops.label
    got = client_terms(found, client_numbers(courses), courses.therapist)
    for row in wanted:
        term = got[row.term.partition("[")[0]]
        assert (row.status == "ok") == (term.reason == "")
        assert np.allclose([term.estimate, term.se], [row.estimate, row.se], equal_nan=True)


def test_a_landmark_knows_nothing_of_what_comes_later(made):
    courses = made[0]
    later = ~courses.until(8)
    changed = courses.with_scores(
        np.where(later, courses.alliance + 1.0, courses.alliance),
        np.where(later, courses.outcome, courses.outcome),
    )
    before, after = client_numbers(courses, 8), client_numbers(changed, 8)
    for name in ("baseline", "n_rated", "mean", "slope", "last"):
        assert np.array_equal(getattr(before, name), getattr(after, name), equal_nan=True)
    still_there = np.isfinite(before.last)
    assert np.array_equal(still_there, (np.isfinite(courses.outcome) & later).any(axis=1))
    worse = courses.with_scores(
        courses.alliance, np.where(later, courses.outcome + 5, courses.outcome)
    )
    assert np.allclose((client_numbers(worse, 8).last - before.last)[still_there], 5)


def test_a_planted_session_effect_is_found_and_its_size_is_right():
    """Outcome of the next session rises by 2 after each onset, whatever the rating."""
    rng = np.random.default_rng(3)
    n, n_steps = 150, 12
    alliance = rng.standard_normal((n, n_steps))
    session = np.tile(np.arange(1.0, n_steps + 1), (n, 1))
    names = tuple(f"c{i:03d}" for i in range(n))
    courses = Courses(alliance, np.zeros((n, n_steps)), session, names)
    rule = RULES["mean_prior_fixed"].model_copy(update={"threshold": 1.5})
    found = find(courses, {"rule": rule}, KNOWN)["rule"].drops
    onset = np.zeros((n, n_steps))
    onset[courses.rated] = found.flag
    outcome = 0.3 * rng.standard_normal((n, n_steps)) + rng.standard_normal((n, 1))
    outcome[:, 1:] += 2.0 * onset[:, :-1] - 0.5 * alliance[:, :-1]
    courses = replace(courses, outcome=outcome)
    terms = session_terms(courses, session_pairs(courses), found)
    for name in ("onset", "onset_beyond_curve"):
        assert abs(terms[name].estimate - 2.0) < 4 * terms[name].se
        assert terms[name].statistic > 10
    assert abs(terms["in_rupture"].statistic) < 3.5


def test_clients_with_one_row_are_not_counted_as_used():
    """An intercept of its own explains a single row, which the regression drops."""
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((21, 2)), rng.standard_normal(21)
    client = np.array([*np.repeat(np.arange(5), 4), 5])
    fit = within_least_squares(x, y, client)
    assert (fit.n_obs, fit.n_clients) == (20, 5)
    assert fit.df == fit.n_clients - 1
    term = _mark_term("onset", ["onset", "in_rupture"], fit, {"onset": 12}, client, "")
    assert (term.n_obs, term.n_clients) == (20, 5)


def test_small_groups_are_refused(made):
    courses = made[0]
    found = find(courses, FEW, KNOWN)
    label = np.zeros(len(courses.clients), dtype=np.int8)
    label[:9] = 1
    terms = client_terms(label, client_numbers(courses), courses.therapist)
    assert terms["repaired_vs_none"].reason == "fewer than 10 clients: repaired"
    label[:] = 1
    label[:9] = 0
    terms = client_terms(label, client_numbers(courses), courses.therapist)
    assert terms["repaired_vs_none"].reason == "fewer than 10 clients: without rupture"
    pairs = session_pairs(courses)
    few = session_terms(courses, pairs, found["mean_prior_fixed"].drops, 10_000)
    assert all(np.isnan(term.estimate) for term in few.values())
    assert {term.reason.split(" have ")[0] for term in few.values()} == {
        "fewer than 10000 clients"  # those that were asked for, not those of methods 2.4
    }


def test_rules_that_look_ahead_predict_nothing(made, plan):
    terms = observed_terms(made[0], plan, find(made[0], FEW, KNOWN))
    tested = {(rule, test) for rule, test, _ in terms}
    assert ("mean_prior", "client") in tested
    assert ("mean_prior", "session") not in tested
    assert ("mean_prior", "drop_out") not in tested
    assert {("previous_drop", "session"), ("previous_drop", "drop_out")} <= tested
    nothing = NullResults(pd.DataFrame(columns=["rule", "quantity"]),
                          pd.DataFrame(columns=["rule", "test", "term"]), "none drawn")  # fmt: skip
    rows = further_rows(terms, FEW, {}, ANALYSIS, nothing, endings=True)
    ahead = [row for row in rows if row.reason == LOOKS_AHEAD]
    assert {row.term for row in ahead} == {
        "session_onset[mean_prior]",
        "drop_out_onset[mean_prior]",
    }


def test_drop_out_of_null_data_ends_treatments_as_often_as_in_the_study(made):
    courses = made[0]
    null = DropOutNull.of(courses, courses.dropped_out)
    rng = np.random.default_rng(1)
    alliance = np.where(courses.rated, courses.alliance, np.nanmean(courses.alliance))
    outcome = np.where(np.isfinite(courses.outcome), courses.outcome, np.nanmean(courses.outcome))
    shares = []
    for _ in range(40):
        drawn = null.draw(alliance, outcome, rng)
        assert drawn.rows.event.size == drawn.kept.sum()
        last = np.append(np.diff(drawn.rows.client) > 0, True)
        assert not drawn.rows.event[~last].any()
        shares.append(drawn.rows.event.sum())
    assert abs(np.mean(shares) / courses.dropped_out.sum() - 1) < 0.15


def test_drop_out_alone_is_tested_as_with_all_other_tests():
    rules = {name: RULES[name] for name in ("mean_prior_study_fixed", "previous_drop")}
    whole = try_one_study(DESIGNS["no_ruptures"], rules, 119, seed=30, number=5)
    alone = try_drop_out(DESIGNS["no_ruptures"], rules, 119, seed=30, number=5)
    whole = whole[whole["test"] == "drop_out"].reset_index(drop=True)
    assert alone["rule"].nunique() == 2
    assert (alone["n_null"] > 0).all()
    assert alone["p_null"].notna().any()
    ranks = ["p_randomised"]  # of the tie with itself, drawn in another order
    pd.testing.assert_frame_equal(alone.drop(columns=ranks), whole.drop(columns=ranks))


# --- calibrated p ------------------------------------------------------------------------------


def test_p_against_the_null_by_hand():
    null = np.arange(1.0, 200.0)  # 199 data sets
    assert summarise_null(500.0, null).p == pytest.approx(2 * 1 / 200)
    assert summarise_null(-500.0, null).p == pytest.approx(2 * 1 / 200)
    assert summarise_null(196.0, null).p == pytest.approx(2 * 5 / 200)
    assert summarise_null(100.0, null).p == 1.0
    assert summarise_null(100.0, null).mean == 100.0
    assert np.isnan(summarise_null(100.0, null[:99]).p)  # too few data sets
    with_gaps = np.append(null, [np.nan] * 50)
    assert summarise_null(196.0, with_gaps).n == 199


def test_p_by_size_by_hand():
    null = np.concatenate([-np.arange(1.0, 100.0), np.arange(101.0, 201.0)])  # sizes 1-99, 101-200
    assert summarise_null(500.0, null, by_size=True).p == pytest.approx(1 / 200)
    assert summarise_null(-500.0, null, by_size=True).p == pytest.approx(1 / 200)
    assert summarise_null(-99.5, null, by_size=True).p == pytest.approx(101 / 200)
    assert summarise_null(199.0, null, by_size=True).p == pytest.approx(3 / 200)  # a tie counts
    assert np.isnan(summarise_null(1.0, null[:99], by_size=True).p)
    sizes = attainable_size(np.array([100, 118, 119, 199]), by_size=True)
    assert sizes == pytest.approx([5 / 101, 5 / 119, 6 / 120, 10 / 200])
    grid = (np.arange(2000) + 0.5) / 2000
    ranks = np.arange(1.0, 101.0)
    p = [randomised_p(-r - 0.5, ranks, u, by_size=True) for r in range(101) for u in grid[::20]]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=5e-4)


def test_drop_out_is_tested_where_nobody_left_after_a_rupture(made):
    courses = made[0]
    rows = risk_rows(courses, courses.dropped_out)
    state = np.full(rows.event.size, kernel.INTACT, dtype=np.int8)
    stayed = np.flatnonzero(rows.event == 0)
    flag = np.zeros(rows.event.size, dtype=bool)
    flag[stayed[:: stayed.size // 40]] = True
    state[flag] = kernel.RUPTURED
    found = find(courses, {"previous_drop": RULES["previous_drop"]}, KNOWN)["previous_drop"].drops
    terms = drop_out_terms(replace(found, flag=flag, state=state), rows)
    onset = terms["onset"]
    assert onset.reason == ""
    assert np.isfinite(onset.estimate)
    assert onset.se > 0
    assert onset.estimate < 0
    assert onset.statistic == onset.score < 0
    assert terms["in_rupture"].reason == "fewer than 10 clients have such a session"
    assert np.isnan(terms["in_rupture"].statistic)


def test_rows_get_the_p_of_the_null(made, plan, null):
    terms = observed_terms(made[0], plan, find(made[0], FEW, KNOWN))
    noise = pd.DataFrame(columns=["rule", "quantity"])
    results = NullResults(noise, null.statistics)
    rows = {row.term: row for row in further_rows(terms, FEW, {}, ANALYSIS, results, endings=True)}
    row = rows["session_onset[previous_drop]"]
    own = results.of(("previous_drop", "session", "onset"))
    assert row.n_null == len(own) == N_SETS
    above = (own["statistic"] >= row.estimate / row.se).sum()
    below = (own["statistic"] <= row.estimate / row.se).sum()
    assert row.p_null == pytest.approx(min(1.0, 2 * (1 + min(above, below)) / (N_SETS + 1)))
    assert row.null_mean == pytest.approx(own["estimate"].mean())
    assert "is the one to be read" in row.known_bias
    row = rows["drop_out_onset[previous_drop]"]  # tested by its score, and by size
    own = results.of(("previous_drop", "drop_out", "onset"))["statistic"].abs()
    score = terms["previous_drop", "drop_out", "onset"].score
    assert row.p == pytest.approx(2 * stats.norm.sf(abs(score)))
    assert row.p_null == pytest.approx((1 + (own >= abs(score)).sum()) / (len(own) + 1))


def test_a_term_that_noise_rarely_allows_has_no_p(made, plan):
    term = {("previous_drop", "session", "onset"): Term(1.0, 0.5, 20, 100, 50)}
    statistics = pd.DataFrame(
        {"rule": "previous_drop", "test": "session", "term": "onset", "set": range(20),
         "estimate": 0.0, "statistic": 0.0}
    )  # fmt: skip
    results = NullResults(pd.DataFrame(columns=["rule", "quantity"]), statistics)
    rule = {"previous_drop": RULES["previous_drop"]}
    row = next(
        r for r in further_rows(term, rule, {}, ANALYSIS, results, endings=False)
        if r.term == "session_onset[previous_drop]"
    )  # fmt: skip
    assert row.status == "ok"
    assert np.isnan(row.p_null)
    assert "fewer than 100" in row.known_bias


@pytest.mark.parametrize(
    ("n_therapists", "errors"), [(24, "cluster-robust by therapist"), (8, "HC3")]
)
def test_landmark_rows_name_the_errors_that_they_have(made, n_therapists, errors):
    courses = made[0]
    label = np.zeros(len(courses.clients), dtype=np.int8)
    label[::3] = 1
    therapist = np.arange(label.size) % n_therapists
    terms = client_terms(label, client_numbers(courses, 8), therapist)
    term = terms["repaired_vs_none"]
    assert (term.df == n_therapists - 1) == (errors != "HC3")
    nothing = NullResults(pd.DataFrame(columns=["rule", "quantity"]),
                          pd.DataFrame(columns=["rule", "test", "term"]), "none drawn")  # fmt: skip
    found = {("previous_drop", "landmark_8", "repaired_vs_none"): term}
    rule = {"previous_drop": RULES["previous_drop"]}
    rows = further_rows(found, rule, {}, ANALYSIS, nothing, endings=False)
    assert rows[0].estimator == f"OLS ({errors})"


def contrasts(**p_null: float) -> list[Estimate]:
    """Client-level contrasts, ``repaired_vs_none`` and so on, of the first and of another rule."""
    return [
        Estimate("client_rated", f"{name}[{rule}]", "client", "a contrast", "OLS", kind="contrast",
                 estimate=1.0, se=0.5, p=0.05, p_null=p)
        for rule in ("first", "second")
        for name, p in p_null.items()
    ]  # fmt: skip


def test_contrasts_of_the_first_rule_are_adjusted_by_holm():
    rows = with_holm(
        contrasts(repaired_vs_none=0.04, unrepaired_vs_none=0.5, repaired_vs_unrepaired=0.03),
        "first",
    )
    adjusted = [row.p_adjusted for row in rows]
    assert adjusted[:3] == pytest.approx([0.09, 0.5, 0.09])  # 2 x .04 is raised to 3 x .03
    assert np.isnan(adjusted[3:]).all()
    alone = with_holm(contrasts(repaired_vs_none=0.04, unrepaired_vs_none=np.nan), "first")
    assert alone[0].p_adjusted == 0.04
    assert np.isnan(alone[1].p_adjusted)


@pytest.mark.parametrize(("smallest", "begins"), [(0.03, "Not clear"), (0.01, "Possibly")])
def test_one_of_three_uncorrected_p_below_05_is_no_verdict(smallest, begins):
    found = contrasts(repaired_vs_none=smallest, unrepaired_vs_none=0.5, repaired_vs_unrepaired=0.6)
    table = to_frame(with_holm(found, "first"))
    assert rupture_verdict(table[table["term"].str.contains("first")]).startswith(begins)


def test_the_report_says_how_many_tests_were_made():
    found = contrasts(repaired_vs_none=0.2, unrepaired_vs_none=0.5)
    table = to_frame([*found, number_of_tests(found, ANALYSIS)])
    said = " ".join(sentence_on_number_of_tests(table.assign(quantity=table["term"])))
    assert "4 tests of ruptures against outcome and drop-out" in said


def test_sizes_do_not_tell_a_small_number_by_subtraction(made, plan):
    terms = {
        ("previous_drop", "landmark_6", "repaired_vs_none"): Term(1.0, 0.5, 20, 100, 50),
        ("previous_drop", "landmark_8", "repaired_vs_none"): Term(1.0, 0.512345, 20, 100, 48),
        ("previous_drop", "landmark_10", "repaired_vs_none"): Term(1.0, 0.5, 20, 100, 40),
        ("previous_drop", "session", "onset"): Term(1.0, 0.5, 20, 100, 3),
    }
    nothing = NullResults(pd.DataFrame(columns=["rule", "quantity"]),
                          pd.DataFrame(columns=["rule", "test", "term"]), "none drawn")  # fmt: skip
    rule = {"previous_drop": RULES["previous_drop"]}
    careful = replace(ANALYSIS, smallest_cell=5)
    rows = further_rows(terms, rule, {}, careful, nothing, endings=False, told=[60])
    sizes = {row.term.partition("[")[0]: row.n_clients for row in rows}
    assert sizes["landmark_6_repaired_vs_none"] == 50
    assert np.isnan(sizes["landmark_8_repaired_vs_none"])  # two fewer than at session 6
    assert sizes["landmark_10_repaired_vs_none"] == 40
    assert np.isnan(sizes["session_onset"])
    hidden = next(row for row in rows if row.term.startswith("landmark_8"))
    assert np.isnan(hidden.df)
    # A quantile of t worked out from error and limits fits many degrees of freedom.
    assert (hidden.se, hidden.ci_low, hidden.ci_high) == (0.51, -0.069, 2.1)
    reach = [
        (hidden.ci_high - hidden.ci_low + a) / (2 * (hidden.se + b))
        for a in (-0.05, 0.05) for b in (-0.005, 0.005)
    ]  # fmt: skip
    fits = [df for df in range(5, 200) if min(reach) <= stats.t.ppf(0.975, df) <= max(reach)]
    assert len(fits) > 2 * careful.smallest_cell


def test_without_null_data_sets_rows_stay_nominal(made):
    done = calibration.calibrate(Refusal("no ratings", ""), FEW, pd.DataFrame(), 1000, 1, 5)
    assert done.noise.empty
    assert calibration.reason_of(done.model) == "no ratings"
    off = calibration.calibrate(Refusal("no ratings", ""), FEW, pd.DataFrame(), 0, 1, 5)
    assert "null_datasets: 0" in calibration.reason_of(off.model)
    results = NullResults(done.noise, done.statistics, "no ratings")
    table = as_table(made[0])
    result = detect(table, RULES["previous_drop"], pooled_scale(table))
    outcomes = pd.DataFrame({"client": result.clients["client"], "baseline": 1.0, "last": 2.0})
    rows = client_outcome_rows(result, RULES["previous_drop"], outcomes, ANALYSIS)
    assert with_null(rows, results) == rows


# --- the noise table ---------------------------------------------------------------------------


def test_the_noise_table_holds_observed_rates_against_the_null(made, plan, null):
    courses = made[0]
    table = as_table(courses)
    results = {name: detect(table, rule, pooled_scale(table)) for name, rule in FEW.items()}
    summary = pd.DataFrame([summarise(results[n], rule, 1) for n, rule in FEW.items()])
    found = find(courses, FEW, KNOWN)
    noise = noise_table(found, null.noise, {}, FEW, summary, 1).set_index(["rule", "quantity"])
    for name in FEW:
        wanted = summary.set_index("rule").loc[name]
        assert noise.loc[(name, "prevalence"), "observed"] == pytest.approx(wanted["pct_ruptured"])
        assert noise.loc[(name, "repaired_share"), "observed"] == pytest.approx(
            wanted["pct_repaired"], nan_ok=True
        )
        row = noise.loc[(name, "prevalence")]
        assert row["ratio"] == pytest.approx(row["observed"] / row["null_mean"])
        assert row["null_low"] <= row["null_mean"] <= row["null_high"]


def test_hidden_numbers_stay_hidden_in_the_noise_table(made, null):
    courses = made[0]
    table = as_table(courses)
    result = detect(table, RULES["mean_prior"], pooled_scale(table))
    rule = {"mean_prior": RULES["mean_prior"]}
    few = 1 + int((result.clients["n_ruptures"] > 0).sum())
    summary = pd.DataFrame([summarise(result, RULES["mean_prior"], few)])
    noise = noise_table(find(courses, rule, KNOWN), null.noise, {}, rule, summary, few)
    told = noise.set_index("quantity").loc[["prevalence", "repaired_share", "median_depth"]]
    assert told[["observed", "ratio", "excess", "p"]].isna().all(axis=None)
    assert told["reason"].str.contains("hidden").all()
    assert told["null_mean"].notna().all()


def test_the_whole_analysis_is_reproducible(made, plan, model):
    prepared = NullStudy(made[0], made[1], (1, 0), find(made[0], FEW, KNOWN), plan)
    table = as_table(made[0])
    summary = pd.DataFrame(
        [summarise(detect(table, rule, pooled_scale(table)), rule, 5) for rule in FEW.values()]
    )
    once, again = (
        calibration.calibrate(prepared, FEW, summary, 5, seed=9, smallest_cell=5) for _ in range(2)
    )
    pd.testing.assert_frame_equal(once.noise, again.noise)
    pd.testing.assert_frame_equal(once.statistics, again.statistics)


def test_the_note_of_the_outcome_table_does_not_deny_the_null_that_it_shows():
    """Contrasts that could not be estimated carry the words of nominal p: not for the note."""
    done = replace(contrasts(repaired_vs_none=0.2)[0], known_bias=CALIBRATED_P, null_mean=0.1)
    refused = Estimate(
        "client_rated", "unrepaired_vs_none[first]", "client", "a contrast", "OLS",
        kind="contrast", known_bias=NOMINAL_P, status="not_estimated", reason="too few clients",
    )  # fmt: skip
    table = rupture_outcome_table(to_frame([refused, done]), "client_rated", "Alliance", {})
    assert "Not calibrated" not in " ".join(table.notes)
    assert "is the one to be read" in " ".join(table.notes)
