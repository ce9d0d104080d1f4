"""The Bayesian twin: gradients of the operation, posteriors against ML, gate, checks, rows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
import xarray as xr
import yaml
from scipy import stats

from alliance.estimation import bayes_checks as checks
from alliance.estimation import bayes_loo, bayes_predictive
from alliance.estimation.bayes import (
    fit_bayes,
    load_tree,
    log_likelihood_of_draws,
    parameters_of,
    sample_model,
    save_tree,
)
from alliance.estimation.bayes_effects import client_effects, client_order
from alliance.estimation.bayes_model import (
    compile_model,
    log_prior,
    partial_shapes,
    standard_statistics,
    standardise,
    with_outcome,
)
from alliance.estimation.bayes_op import value_and_gradients
from alliance.estimation.bayes_rows import bayes_rows, probability_of_direction
from alliance.estimation.design import ModelDesign
from alliance.estimation.diagnostics import (
    DRAFT,
    REPORT,
    diagnose,
    energy_fraction,
    parameter_words,
)
from alliance.estimation.effort import Effort
from alliance.estimation.priors import NAMES, Priors, kind_of_coefficient, priors_from_mapping
from alliance.estimation.terms import RowContext
from alliance.likelihood.marginal import pack
from alliance.likelihood.partial_correlation import factor_from_partial
from alliance.problems import StudyError

ROOT = Path(__file__).parents[1]
FLAT = Priors(
    intercept=50, within=50, between=50, time=50, sd_intercept=50, sd_within=50, sd_residual=50,
    sd_therapist=50, correlation=1,
)  # fmt: skip
CONTEXT = RowContext(
    analysis="main",
    outcome="symptoms",
    outcome_label="Symptoms",
    outcome_units="points",
    predictor="alliance",
    predictor_label="Alliance",
    predictor_unit="alliance point",
)


def make_design(n_clients=90, n_rows=8, therapists=False, seed=5, slope_sd=2.0) -> ModelDesign:
    """A balanced hybrid model with a random within slope, clients in a shuffled therapist order."""
    rng = np.random.default_rng(seed)
    client = np.repeat(np.arange(n_clients), n_rows)
    noise = rng.normal(size=(n_clients, n_rows)) * 0.6
    within = (noise - noise.mean(axis=1, keepdims=True)).ravel()
    between = rng.normal(size=n_clients)[client]
    between -= between.mean()
    time = np.tile(np.arange(n_rows, dtype=float), n_clients)
    u = rng.normal(size=(n_clients, 2)) * [4, slope_sd]
    owner = rng.permutation(n_clients) % 12
    y = 15 + u[client, 0] + (-1.5 + u[client, 1]) * within - 2 * between - 0.3 * time
    y += 3 * rng.normal(size=y.size)
    if therapists:
        y += 2 * rng.normal(size=12)[owner][client]
    deviations = y.reshape(n_clients, n_rows)
    deviations = deviations - deviations.mean(axis=1, keepdims=True)
    freedom = n_clients * (n_rows - 1)
    return ModelDesign(
        y=y,
        X=np.column_stack([np.ones(y.size), within, between, time]),
        names=("intercept", "within", "between", "time"),
        client=client,
        therapist=owner[client] if therapists else None,
        client_columns=np.array([0, 1]),
        therapist_columns=np.array([0] if therapists else [], dtype=np.int64),
        form="hybrid",
        n_clients=n_clients,
        n_therapists=12 if therapists else 0,
        median_sessions=n_rows,
        sd_within_predictor=float(np.sqrt(within @ within / freedom)),
        sd_within_outcome=float(np.sqrt((deviations**2).sum() / freedom)),
        client_ids=tuple(f"c{k:03d}" for k in range(n_clients)),
        column_levels=("total", "within_client", "between_client", "within_client"),
    )


# The operation


def _op_inputs(therapists: bool, effects: int):
    rng = np.random.default_rng(3)
    design = make_design(n_clients=24, therapists=therapists)
    columns = {1: [0], 2: [0, 1], 3: [0, 1, 3]}[effects]
    design = replace(design, client_columns=np.array(columns))
    standard = standardise(design)
    r = int(therapists)
    parameters = [
        rng.normal(size=4),
        np.array(0.8),
        rng.uniform(0.3, 1.0, effects),
        rng.uniform(0.2, 0.8, effects * (effects - 1) // 2),
        rng.uniform(0.3, 1.0, r),
        np.zeros(0),
    ]
    data = [standard.centre, *pack(standard_statistics(design, standard)).arrays()]
    return parameters, [np.asarray(value) for value in data]


@pytest.mark.parametrize(("therapists", "effects"), [(False, 1), (False, 3), (True, 2)])
def test_gradient_of_the_operation(therapists, effects):
    parameters, data = _op_inputs(therapists, effects)
    _, *gradients = value_and_gradients(*parameters, *data)
    for k, values in enumerate(parameters):
        for at in np.ndindex(*values.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = [v.copy() for v in parameters]
                moved[k][at] += step
                ends.append(float(value_and_gradients(*moved, *data)[0]))
            assert gradients[k][at] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=2e-5, abs=1e-4)


def test_partial_correlations_make_correlation_matrices_with_the_lkj_density():
    unit = np.array([0.7, 0.4, 0.9])
    L = factor_from_partial(np.ones(3), unit)
    R = L @ L.T
    np.testing.assert_allclose(np.diag(R), 1.0)
    assert R[0, 1] == pytest.approx(2 * 0.7 - 1)
    partial = (R[1, 2] - R[0, 1] * R[0, 2]) / np.sqrt((1 - R[0, 1] ** 2) * (1 - R[0, 2] ** 2))
    assert partial == pytest.approx(2 * 0.9 - 1)
    np.testing.assert_allclose(partial_shapes(3, 2.0), [2.5, 2.5, 2.0])
    rng = np.random.default_rng(0)
    shapes = partial_shapes(3, 2.0)
    last = []
    for _ in range(4000):  # every correlation of LKJ(eta) is Beta(eta - 1 + q/2) on (-1, 1)
        L = factor_from_partial(np.ones(3), rng.beta(shapes, shapes))
        last.append((L @ L.T)[2, 1])
    assert stats.kstest((np.array(last) + 1) / 2, stats.beta(2.5, 2.5).cdf).pvalue > 0.01


# Priors and units


def test_priors_file_equals_the_defaults_and_gives_reasons():
    values = yaml.safe_load((ROOT / "config/priors.yaml").read_text(encoding="utf-8"))
    priors = priors_from_mapping(values)
    assert replace(priors, reasons={}) == Priors()
    assert set(priors.reasons) == set(NAMES)


def test_all_problems_of_a_priors_file_are_told_at_once():
    bad = {
        "withn": {"sd": 1, "reason": "x"},
        "between": {"sd": -1, "reason": ""},
        "correlation": {"sd": 2, "reason": "x"},
    }
    with pytest.raises(StudyError) as caught:
        priors_from_mapping(bad)
    assert len(caught.value.problems) == 4
    assert "Did you mean 'within'?" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("within", "within"),
        ("contextual", "between"),
        ("within:arm[TAU]", "moderator"),
        ("time:arm[TAU]", "time_moderator"),
        ("arm[TAU]", "covariate"),
        ("severity", "covariate"),
    ],
)
def test_every_column_has_its_prior(name, kind):
    assert kind_of_coefficient(name) == kind


def test_raw_coefficients_undo_the_units_of_sampling():
    design = make_design()
    standard = standardise(design)
    assert standard.outcome == pytest.approx(design.sd_within_outcome)
    beta = np.array([0.3, -0.2, 0.5, 0.1])
    scaled = design.X / standard.columns
    expected = scaled[:, 1:] @ beta[1:] + beta[0] - standard.centre @ beta
    raw = design.X @ standard.raw_coefficients(beta)
    np.testing.assert_allclose((raw - standard.offset) / standard.outcome, expected, atol=1e-12)


def test_a_design_without_random_intercept_is_refused():
    with pytest.raises(ValueError, match="intercept that varies"):
        standardise(replace(make_design(), client_columns=np.array([], dtype=np.int64)))


# The gate


def _stats(diverging=0, slow=False):
    rng = np.random.default_rng(2)
    energy = rng.normal(size=(4, 1000))
    if slow:
        energy = np.cumsum(energy, axis=1)
    flags = np.zeros((4, 1000), dtype=bool)
    flags[0, :diverging] = True
    return xr.Dataset(
        {"diverging": (("chain", "draw"), flags), "energy": (("chain", "draw"), energy)}
    )


def test_gate_passes_independent_draws():
    draws = np.random.default_rng(1).normal(size=(4, 1000))
    result = diagnose({"within": draws}, _stats(), REPORT)
    assert result.passed
    assert result.ess_min > 3000


def test_gate_names_every_failure():
    rng = np.random.default_rng(1)
    stuck = rng.normal(size=(4, 1000)) + np.arange(4)[:, None]
    result = diagnose({"within": stuck}, _stats(diverging=3, slow=True), REPORT)
    told = "; ".join(result.failures)
    for word in ("R-hat", "bulk", "3 divergent", "BFMI"):
        assert word in told
    assert energy_fraction(_stats(slow=True)["energy"].to_numpy()).max() < 0.3


@pytest.mark.parametrize(
    ("name", "place", "of", "words"),
    [
        ("sd_client", 2, ("intercept", "within", "time"), "SD between clients of time"),
        ("sd_client", 1, (), "SD between clients no. 2"),
        ("sigma", 0, (), "residual SD"),
        ("unit_client", 0, (), "correlation between clients no. 1"),
    ],
)
def test_a_parameter_that_fails_is_named_as_readers_know_it(name, place, of, words):
    assert parameter_words(name, place, of) == words


def test_parameters_of_a_fit_have_names_in_words(fit):
    names = set(fit.diagnostics.rhat)
    assert {"coefficient of within", "SD between clients of within", "residual SD"} <= names
    assert not [name for name in names if re.match(r"(beta|sd_\w+|unit_\w+|sigma) \d", name)]


def test_gate_fails_on_a_constant_quantity_and_weak_draft_limits_are_called_draft():
    assert not diagnose({"within": np.ones((4, 1000))}, _stats(), REPORT).passed
    rng = np.random.default_rng(3)
    few = rng.normal(size=(4, 60))
    assert not diagnose({"within": few}, _stats(), REPORT).passed
    assert diagnose({"within": few}, _stats(), DRAFT).passed
    assert DRAFT.label == "draft"


# Sampling (one compilation for two levels)


@pytest.fixture(scope="module")
def prepared():
    return compile_model(make_design(), FLAT)


@pytest.fixture(scope="module")
def fit(prepared):
    lines: list[str] = []
    found = sample_model(
        prepared, Effort(4, 1000, 1000, REPORT), effort="standard", seed=11, progress=lines.append,
        label="main",
    )  # fmt: skip
    assert any(line.startswith("sampling main: chain ") and line.endswith("%") for line in lines)
    return found


def test_posterior_under_flat_priors_agrees_with_maximum_likelihood(fit):
    design = fit.design
    ml = sm.MixedLM(design.y, design.X, design.client, exog_re=design.X[:, :2]).fit(reml=False)
    assert fit.diagnostics.passed, fit.diagnostics.failures
    for k, name in enumerate(design.names):
        draws = fit.draws(name)
        mcse = draws.std() / np.sqrt(fit.diagnostics.ess_bulk[name])
        # the posterior mean of a slope with a random part moves with the variance parameters
        assert abs(draws.mean() - ml.fe_params[k]) < 4 * mcse + 0.05 * ml.bse_fe[k]
        assert draws.std() == pytest.approx(ml.bse_fe[k], rel=0.12)
    assert np.median(fit.draws("sd_residual")) == pytest.approx(np.sqrt(ml.scale), rel=0.03)


def test_same_seed_same_draws_and_other_seed_other_draws(prepared, fit):
    length = Effort(2, 100, 200, DRAFT)
    runs = [
        sample_model(prepared, length, effort="draft", seed=s, cores=c, pointwise=False)
        for s, c in ((1, 1), (1, 2), (2, 2))
    ]
    first, second, third = (run.tree["posterior"]["beta"].to_numpy() for run in runs)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, third)


def test_broken_fit_keeps_its_numbers_with_a_reason(prepared):
    short = sample_model(
        prepared, Effort(4, 12, 12, REPORT), effort="standard", seed=1, pointwise=False
    )
    rows = bayes_rows(short, short.design, CONTEXT)
    assert {row.status for row in rows} == {"diagnostics_failed"}
    assert all(np.isfinite(row.estimate) and "effective sample size" in row.reason for row in rows)


def test_rows_have_the_terms_of_reml_with_intervals(fit):
    rows = {row.term: row for row in bayes_rows(fit, fit.design, CONTEXT)}
    assert {
        "intercept", "within", "between", "time", "contextual", "sd_intercept", "sd_within",
        "cor_intercept_within", "sd_residual", "icc", "pct_same_sign",
    } == set(rows)  # fmt: skip
    within = rows["within"]
    low, high = np.quantile(fit.draws("within"), [0.025, 0.975])
    assert (within.ci_low, within.ci_high) == (pytest.approx(low), pytest.approx(high))
    ratio = fit.design.sd_within_predictor / fit.design.sd_within_outcome
    assert within.std_within == pytest.approx(within.estimate * ratio)
    assert within.pd == probability_of_direction(fit.draws("within"))
    assert within.estimator == "NUTS (PyMC, nutpie)"
    assert within.sd_random_slope == pytest.approx(2.0, abs=0.8)
    assert 50 < within.pct_clients_same_sign < 100
    assert rows["contextual"].estimate == pytest.approx(
        rows["between"].estimate - rows["within"].estimate
    )
    assert {row.status for row in rows.values()} == {"ok"}


def test_client_slopes_have_the_spread_of_the_model_and_shrink(fit):
    effects = client_effects(fit, seed=1)
    assert effects.dims == ("draw", "client", "effect")
    again = client_effects(fit, seed=1)
    np.testing.assert_array_equal(effects, again)
    spread = effects.std("client").mean("draw").sel(effect="intercept")
    assert float(spread) == pytest.approx(fit.draws("sd_intercept").mean(), rel=0.05)
    own = fit.design.y.reshape(90, 8).mean(axis=1) - fit.design.y.mean()
    recovered = effects.mean("draw").sel(effect="intercept").to_numpy()
    recovered = recovered + fit.draws("between").mean() * fit.design.X[::8, 2]
    assert np.corrcoef(own, recovered)[0, 1] > 0.98


def test_pointwise_log_likelihood_sums_to_the_total(fit):
    pointwise = fit.tree["log_likelihood"]["outcome"].sum("client").to_numpy()
    total = log_likelihood_of_draws(fit) - fit.design.n_obs * np.log(fit.standard.outcome)
    np.testing.assert_allclose(pointwise, total, rtol=1e-10)


def test_log_prior_is_the_density_of_the_model(fit):
    parameters = parameters_of(fit)
    values = log_prior(fit.design, Priors(), parameters)
    scales = np.array([5.0, 0.2, 0.5, 0.5])
    at = (1, 7)
    expected = stats.norm.logpdf(parameters["beta"][at], 0, scales).sum()
    expected += stats.halfnorm.logpdf(parameters["sigma"][at], scale=1.0)
    expected += stats.halfnorm.logpdf(parameters["sd_client"][at], scale=[1.5, 0.15]).sum()
    expected += stats.beta.logpdf(parameters["unit_client"][at], 2, 2).sum()
    other = (2, 30)
    expected_other = stats.norm.logpdf(parameters["beta"][other], 0, scales).sum()
    expected_other += stats.halfnorm.logpdf(parameters["sigma"][other], scale=1.0)
    expected_other += stats.halfnorm.logpdf(parameters["sd_client"][other], scale=[1.5, 0.15]).sum()
    expected_other += stats.beta.logpdf(parameters["unit_client"][other], 2, 2).sum()
    # constants do not matter to power-scaling
    assert values[at] - values[other] == pytest.approx(expected - expected_other)


def test_leave_one_client_out_is_close_to_exact_refits_in_the_easy_case(fit):
    loo = bayes_loo.leave_one_out(fit)
    assert loo.unit == "client"
    assert loo.pointwise.size == 90
    assert loo.elpd == pytest.approx(loo.pointwise.sum())
    assert loo.n_bad == 0
    assert 5 < loo.p < 12  # eight parameters
    undecided = bayes_loo.compare(loo, loo)
    assert undecided.difference == 0
    assert not undecided.decided


def test_flat_priors_are_not_sensitive_and_a_prior_against_the_data_is(fit, prepared):
    table = checks.prior_sensitivity(fit).set_index("term")
    assert table.loc["within", "prior"] < 0.02
    assert table.loc["within", "likelihood"] > 0.05
    tight = replace(fit, priors=replace(FLAT, within=0.02))
    density = log_prior(fit.design, tight.priors, parameters_of(fit))
    groups = {name: fit.tree[name].to_dataset() for name in ("posterior", "log_prior")}
    groups["log_prior"] = groups["log_prior"].assign(parameters=(("chain", "draw"), density))
    tree = xr.DataTree.from_dict(groups)
    table = checks.prior_sensitivity(replace(tight, tree=tree)).set_index("term")
    assert table.loc["within", "verdict"] == "prior and data disagree"


def test_posterior_predictive_covers_data_from_the_model_and_not_other_data(fit):
    found = bayes_predictive.posterior_predictive(fit, seed=1)
    table = bayes_predictive.compare_statistics(found).set_index("statistic")
    assert ((table["low"] <= table["observed"]) & (table["observed"] <= table["high"])).all()
    y = fit.design.y.reshape(90, 8).copy()
    y += 6 * np.cumsum(np.random.default_rng(0).normal(size=y.shape), axis=1)
    drifting = replace(fit, design=replace(fit.design, y=y.ravel()))
    found = bayes_predictive.posterior_predictive(drifting, seed=1)
    table = bayes_predictive.compare_statistics(found).set_index("statistic")
    assert table.loc["autocorrelation", "observed"] > table.loc["autocorrelation", "high"]


def test_prior_predictive_of_the_defaults_is_possible():
    found = bayes_predictive.prior_predictive(make_design(), Priors(), seed=2)
    table = bayes_predictive.compare_statistics(found).set_index("statistic")
    observed = make_design().sd_within_outcome
    assert 0.1 * observed < table.loc["sd_within", "low"]
    assert table.loc["sd_within", "high"] < 5 * observed


def test_rope_and_direction(fit):
    standardised = fit.draws("within") * fit.design.sd_within_predictor / fit.standard.outcome
    share = np.mean(np.abs(standardised) < 0.05)
    assert checks.practical_equivalence(fit) == pytest.approx(share)
    assert probability_of_direction(np.array([-1.0, -2.0, -3.0, 4.0])) == 0.75


def test_bayes_factor_comes_with_its_sweep_and_agrees_with_savage_dickey(prepared, fit):
    small = with_outcome(prepared, fit.design.y + 1.2 * fit.design.X[:, 1])
    near = sample_model(
        small, Effort(4, 1000, 1000, REPORT), effort="standard", seed=5, pointwise=False
    )
    sweep = checks.bayes_factor_sweep(near, prior_sds=(0.1, 0.2, 50.0))
    assert list(sweep["prior_sd"]) == [0.1, 0.2, 50.0]
    draws = near.tree["posterior"]["beta"].sel(coefficient="within").to_numpy().ravel()
    assert abs(draws.mean()) < 2 * draws.std()
    expected = stats.norm.logpdf(0, 0, 50.0) - np.log(stats.gaussian_kde(draws)(0.0)[0])
    assert sweep["log_bf10"].iloc[2] == pytest.approx(expected, abs=0.15)
    assert (sweep["effective_draws"] > 50).all()
    # a narrow prior near the estimate is predicted better than one that spreads over 50 SDs
    assert sweep["bf10"].iloc[2] < sweep["bf10"].iloc[0]


def test_compiled_model_serves_another_outcome(prepared):
    design = prepared.design
    moved = with_outcome(prepared, design.y + 3 * design.X[:, 1])
    length = Effort(2, 500, 500, DRAFT)
    before, after = (
        sample_model(m, length, effort="draft", seed=4, pointwise=False) for m in (prepared, moved)
    )
    shift = after.draws("within").mean() - before.draws("within").mean()
    assert shift == pytest.approx(3.0, abs=0.1)


def test_three_levels_agree_with_the_truth():
    design = make_design(therapists=True, n_clients=120)
    found = fit_bayes(design, Priors(), "draft", seed=3)
    assert "sd_therapist" in found.terms
    assert "icc_therapist" in found.terms
    assert abs(found.draws("within").mean() + 1.5) < 1.0
    assert found.tree["log_likelihood"]["outcome"].dims[-1] == "therapist"
    total = found.tree["log_likelihood"]["outcome"].sum("therapist").to_numpy()
    expected = log_likelihood_of_draws(found) - design.n_obs * np.log(found.standard.outcome)
    np.testing.assert_allclose(total, expected, rtol=1e-10)
    order = client_order(design)
    assert (np.diff(design.therapist[::8][order]) >= 0).all()
    rows = {row.term: row for row in bayes_rows(found, design, CONTEXT)}
    assert rows["sd_therapist"].level == "between_therapist"
    assert rows["within"].estimator.endswith("draft")


_CHILD = """
import hashlib
from test_bayes import FLAT, make_design
from alliance.estimation.effort import Effort
from alliance.estimation.bayes_model import compile_model
from alliance.estimation.bayes import sample_model
from alliance.estimation.diagnostics import DRAFT
fit = sample_model(compile_model(make_design(), FLAT), Effort(2, 100, 200, DRAFT), effort="draft",
                   seed=1, pointwise=False)
print(hashlib.sha256(fit.tree["posterior"]["beta"].to_numpy().tobytes()).hexdigest())
"""


def test_cold_and_warm_caches_give_the_same_draws(tmp_path):
    paths = [str(ROOT / "scripts"), str(ROOT / "tests"), *sys.path]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "NUMBA_CACHE_DIR": str(tmp_path / "numba"),
        "PYTENSOR_FLAGS": f"base_compiledir={tmp_path / 'pytensor'}",
    }
    runs = [
        subprocess.run(
            [sys.executable, "-c", _CHILD], env=environment, capture_output=True, text=True,
            check=True,
        ).stdout.split()[-1]
        for _ in range(2)
    ]  # fmt: skip
    assert runs[0] == runs[1]


def test_netcdf_is_the_same_for_the_same_draws(fit, tmp_path):
    pytest.importorskip("h5netcdf", reason="h5netcdf is not installed")
    for name in ("a.nc", "b.nc"):
        save_tree(fit.tree, tmp_path / name)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()
    assert load_tree(tmp_path / "a.nc").equals(fit.tree)
