"""The Bayesian twin: its density by hand, its draws against maximum likelihood, its rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from test_dynamics import CONTEXT, RECURSIVE, sample

from alliance.estimation import dynamics_loo
from alliance.estimation.dynamics import fit_var
from alliance.estimation.dynamics_bayes import (
    VarPriors,
    bayes_rows,
    build_model,
    coefficient_priors,
    compile_var,
    fit_var_bayes,
    sample_var,
)
from alliance.estimation.dynamics_effects import coefficients
from alliance.estimation.dynamics_layout import VarSpec
from alliance.estimation.dynamics_loo import (
    _reliable,
    client_log_likelihoods,
    leave_one_client_out,
    loo_rows,
    trend_comparison,
)
from alliance.estimation.dynamics_op import value_and_gradients
from alliance.estimation.refusal import Refusal
from alliance.likelihood.random_intercept_var import log_likelihood_and_gradient
from alliance.likelihood.var_data import pack


def fitted(spec=RECURSIVE, n=150, sessions=6):
    return fit_var(sample(n, sessions, 2, missing=0.05), spec)


def some_point(model, seed):
    rng = np.random.default_rng(seed)
    start = model.initial_point()
    return {name: 0.3 * rng.normal(size=np.shape(value)) for name, value in start.items()}


def density_by_hand(fit, point):
    """Likelihood and priors at an unconstrained point, written out for two series."""
    layout, s, priors = fit.layout, fit.layout.structure, VarPriors()
    blocks = []
    for part, name in ((0, "y_mean"), (1, "y_coefficients")):
        where = layout.slices[part]
        values, vectors = np.linalg.eigh(fit.x_cov[where, where])
        blocks.append(fit.x[where] + vectors * np.sqrt(values) @ point[name])
    mean = layout.course @ blocks[0].reshape(-1, 2)
    value = stats.norm(0, priors.mean).logpdf(blocks[0]).sum()
    center, sd = coefficient_priors(fit, priors)
    value += stats.norm(center, sd).logpdf(blocks[1]).sum()
    factors = []
    for part, name, scale in ((2, "innovation", 1.0), (3, "first", 1.5), (4, "client", 1.5)):
        x, estimated = point[f"sd_{name}_scaled_softplus__"], fit.parts[part]
        bend = np.clip(np.sqrt(np.diag(estimated @ estimated.T)) / 3, 0.1 * scale, scale)
        sds, slope = bend * np.log1p(np.exp(x)), bend / (1 + np.exp(-x))
        value += (stats.halfnorm(0, scale).logpdf(sds) + np.log(slope)).sum()
        r = 0.0
        if f"unit_{name}_logodds__" in point:
            unit = 1 / (1 + np.exp(-point[f"unit_{name}_logodds__"][0]))
            value += stats.beta(2, 2).logpdf(unit) + np.log(unit * (1 - unit))
            r = 2 * unit - 1
        factors.append(np.diag(sds) @ np.array([[1, 0], [r, np.sqrt(1 - r**2)]]))
    B = blocks[1].reshape(1, 2, 2)
    data = pack(fit.series.scores / fit.scale)
    return value + log_likelihood_and_gradient(mean, B, *factors, *s.arrays(), *data.arrays())[0]


def test_density_is_likelihood_times_priors():
    fit = fitted(VarSpec((0, 0)))
    model = build_model(fit, VarPriors(), pack(fit.series.scores / fit.scale))
    density = model.compile_logp()
    for seed in range(3):
        point = some_point(model, seed)
        assert float(density(point)) == pytest.approx(density_by_hand(fit, point), abs=1e-7)


SPECS = {
    "recursive": RECURSIVE,
    "trends": VarSpec((0, 0), random_trend=True, reliability=(0.9, 0.8)),
    "phases": VarSpec((0, 1), phase_from=4, trend="linear"),
}


@pytest.mark.parametrize("name", SPECS)
def test_gradient_of_the_operation_is_that_of_finite_differences(name):
    fit = fitted(SPECS[name])
    s, rng = fit.layout.structure, np.random.default_rng(1)
    data = pack(fit.series.scores / fit.scale)
    arrays = (fit.layout.course, *s.arrays(), *data.arrays())
    sizes = (2, 2, s.n_effects)
    parameters = [
        rng.normal(size=(fit.layout.course.shape[1], 2)),
        0.3 * rng.normal(size=(s.n_phases, 2, 2)),
    ]
    for q in sizes:
        parameters += [rng.uniform(0.5, 1.5, q), rng.uniform(0.2, 0.8, q * (q - 1) // 2)]
    gradients = value_and_gradients(*parameters, *arrays)[1:]
    for which, gradient in enumerate(gradients):
        for index in np.ndindex(gradient.shape):
            values = []
            for step in (1e-5, -1e-5):
                moved = [p.copy() for p in parameters]
                moved[which][index] += step
                values.append(float(value_and_gradients(*moved, *arrays)[0]))
            slope = (values[0] - values[1]) / 2e-5
            assert gradient[index] == pytest.approx(slope, rel=1e-5, abs=1e-4), (which, index)


@pytest.fixture(scope="module")
def posterior():
    fit = fitted(n=600, sessions=8)
    wide = VarPriors(cross_lag=5.0, autoregression=(0.0, 5.0))
    compiled = compile_var(fit, wide)
    return fit, compiled, sample_var(fit, wide, compiled, "draft", seed=3)


def test_draws_agree_with_maximum_likelihood_where_data_are_many(posterior):
    fit, _, sampled = posterior
    assert sampled.diagnostics.passed, sampled.diagnostics.failures
    ml = coefficients(fit)
    draws = sampled.tree["posterior"]["coefficients"].to_numpy().reshape(-1, 2, 2)
    ratio = fit.scale[:, None] / fit.scale[None, :]
    distance = (draws.mean(axis=0) * ratio - ml.estimate[0]) / ml.se[0]
    assert np.abs(distance).max() < 0.25  # Monte Carlo error about .04
    assert draws.std(axis=0) * ratio == pytest.approx(ml.se[0], rel=0.15)
    assert sampled.pct_stationary == 100.0


def test_the_same_seed_gives_the_same_draws_on_one_core(posterior):
    fit, compiled, sampled = posterior
    again = sample_var(fit, sampled.priors, compiled, "draft", seed=3, cores=1)
    term = "cross_lag_alliance_outcome"
    np.testing.assert_array_equal(again.draws(term), sampled.draws(term))


def test_rows_of_the_posterior(posterior):
    _, _, sampled = posterior
    rows = {row.term: row for row in bayes_rows(sampled, CONTEXT)}
    forward = rows["cross_lag_alliance_outcome"]
    assert forward.status == "ok"
    assert forward.ci_low < forward.estimate < forward.ci_high
    assert forward.pd > 0.5
    assert forward.estimator == "Random-intercept VAR(1), NUTS"
    first = rows["response_alliance_outcome_1"]
    assert (first.estimate, first.ci_low) == pytest.approx((forward.estimate, forward.ci_low))
    now, reverse = rows["response_outcome_alliance_0"], rows["cross_lag_outcome_alliance"]
    assert now.estimate == pytest.approx(reverse.estimate)
    assert rows["long_run_held_alliance_outcome"].interval.endswith("median")
    assert rows["long_run_held_outcome_alliance"].estimate < 0
    assert len([t for t in rows if t.startswith("response_")]) == 13


def test_a_refusal_is_passed_on_as_rows():
    refusal = fit_var(sample(1, 6), RECURSIVE)
    assert fit_var_bayes(refusal, seed=1) is refusal
    assert isinstance(refusal, Refusal)
    rows = bayes_rows(refusal, CONTEXT)
    assert {row.status for row in rows} == {"not_estimated"}


# Leave-one-client-out


def test_log_likelihoods_of_clients_add_up_to_that_of_all(posterior):
    fit, _, sampled = posterior
    values = client_log_likelihoods(sampled, max_draws=20)
    draws = sampled.tree["posterior"].to_dataset()
    step = draws.sizes["draw"] // values.shape[1]
    data = pack(fit.series.scores / fit.scale)
    for at in ((0, 0), (1, values.shape[1] - 1)):
        point = (at[0], at[1] * step)
        factors = []
        for name in ("innovation", "first", "client"):
            sd = draws[f"sd_{name}"].to_numpy()[point]
            unit = draws[f"unit_{name}"].to_numpy()[point] if f"unit_{name}" in draws else 0.5
            r = 2 * float(np.squeeze(unit)) - 1
            factors.append(np.diag(sd) @ np.array([[1, 0], [r, np.sqrt(1 - r**2)]]))
        mean = fit.layout.course @ draws["mean"].to_numpy()[point]
        B = draws["coefficients"].to_numpy()[point]
        structure = fit.layout.structure.arrays()
        total = log_likelihood_and_gradient(mean, B, *factors, *structure, *data.arrays())[0]
        assert values[at].sum() == pytest.approx(total, abs=1e-6)


def test_leaving_clients_out_costs_about_the_number_of_parameters(posterior):
    fit, _, sampled = posterior
    found = leave_one_client_out(sampled)
    assert found.pointwise.shape == (fit.series.n_clients,)
    assert found.elpd == pytest.approx(found.pointwise.sum())
    assert 0.6 * fit.n_parameters < found.p < 1.4 * fit.n_parameters
    assert found.n_bad == 0
    rows = {row.term: row for row in loo_rows(sampled, sampled, CONTEXT)}
    assert rows["elpd_loo_1"].estimate == pytest.approx(found.elpd)
    assert rows["elpd_loo_difference"].estimate == 0
    assert "undecided" in rows["elpd_loo_difference"].estimand


def test_the_other_course_of_clients_is_sampled_and_compared(posterior, monkeypatch):
    *_, sampled = posterior
    asked = []

    def same(start, *_, **__):
        asked.append(start.spec.random_trend)
        return sampled

    monkeypatch.setattr(dynamics_loo, "fit_var_bayes", same)
    rows = trend_comparison(sampled, VarPriors(), "draft", CONTEXT, seed=1)
    assert asked == [not sampled.fit.spec.random_trend]
    assert [row.term for row in rows][-1] == "elpd_loo_difference"


def test_too_many_bad_clients_are_said():
    assert _reliable(3, 100) == {"converged": "yes"}
    assert _reliable(6, 100)["status"] == "diagnostics_failed"
