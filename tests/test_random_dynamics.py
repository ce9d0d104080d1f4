"""Random dynamics: derivatives, the exact integral over clients, recovery, refusals, rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_dynamics import CONTEXT, RECURSIVE, sample, series_of

from alliance.estimation.dynamics import fit_var
from alliance.estimation.dynamics_layout import VarSpec
from alliance.estimation.random_dynamics import (
    client_coefficients,
    fit_random_dynamics,
    going_together,
    partial_factors,
)
from alliance.estimation.random_dynamics_op import value_and_gradients
from alliance.estimation.random_dynamics_rows import random_dynamics_rows
from alliance.estimation.refusal import Refusal
from alliance.likelihood import random_intercept_var as marginal
from alliance.likelihood.partial_correlation import factor_from_partial
from alliance.likelihood.random_dynamics import with_gaps
from alliance.likelihood.var_data import pack, structure_of
from alliance.simulation.random_dynamics import RandomTruth, simulate_random_dynamics

CASES = {
    "recursive": ((1, 0), None),
    "same occasion, trends": ((0, 0), np.arange(5) - 2.0),
}


def few_scores(seed=0, n=7):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 5, 2))
    z[rng.random(z.shape) < 0.2] = np.nan
    z[:, 0] = np.where(np.isnan(z[:, 0]), 0.3, z[:, 0])
    z[0, 3:] = np.nan
    return z


def arguments(case, z, spread=1.0, seed=1):
    """Parameters at some point, and the data, as the operation takes them."""
    occasions, time = CASES[case]
    s, data, rng, n = structure_of(occasions, 5, time=time), with_gaps(z), *[None] * 2
    rng, n = np.random.default_rng(seed), len(z)
    q = s.n_effects
    together = np.array([0.6 if s.correlated[0, 1] else 0.5])
    parameters = [
        rng.normal(size=(5, 2)), 0.3 * rng.normal(size=(2, 2)),
        spread * rng.uniform(0.1, 0.5, 4), rng.uniform(0.2, 0.8, 6), rng.normal(size=(n, 4)),
        rng.uniform(0.5, 1, 2), together, spread * rng.uniform(0.1, 0.5, 2),
        rng.normal(size=(n, 2)), rng.uniform(0.5, 1.0, q),
        rng.uniform(0.3, 0.7, q * (q - 1) // 2), rng.uniform(0.5, 1, 2), np.array([0.6]),
        0.3 * rng.normal(size=data.client.size),
    ]  # fmt: skip
    known = (np.eye(5), s.same_session, s.loadings, *data.arrays())
    return parameters, known


@pytest.mark.parametrize("case", CASES)
def test_gradient_is_that_of_finite_differences(case):
    parameters, known = arguments(case, few_scores())
    gradients = value_and_gradients(*parameters, *known)[1:]
    for which, gradient in enumerate(gradients):
        for index in np.ndindex(gradient.shape):
            values = []
            for step in (1e-6, -1e-6):
                moved = [p.copy() for p in parameters]
                moved[which][index] += step
                values.append(float(value_and_gradients(*moved, *known)[0]))
            slope = (values[0] - values[1]) / 2e-6
            assert gradient[index] == pytest.approx(slope, rel=1e-5, abs=1e-5), (which, index)


@pytest.mark.parametrize("case", CASES)
def test_integral_over_levels_and_gaps_is_the_marginal_likelihood(case):
    """Without spread between clients the density is Gaussian in missing scores."""
    z = few_scores(n=5)
    parameters, known = arguments(case, z, spread=0.0)
    gaps = parameters.pop()

    def gradient(x):
        found = value_and_gradients(*parameters, x, *known)
        return float(found[0]), found[-1]

    zero = np.zeros(gaps.size)
    base = gradient(zero)[1]
    curvature = np.array([base - gradient(unit)[1] for unit in np.eye(zero.size)])
    mode = np.linalg.solve(curvature, base)
    log_det = np.linalg.slogdet(curvature)[1]
    integral = gradient(mode)[0] + 0.5 * (zero.size * np.log(2 * np.pi) - log_det)
    occasions, time = CASES[case]
    s = structure_of(occasions, 5, time=time)
    pairs = ((5, 6), (11, 12), (9, 10))
    factors = [factor_from_partial(parameters[a], parameters[b]) for a, b in pairs]
    expected = marginal.log_likelihood_and_gradient(
        parameters[0], parameters[1][None], *factors, *s.arrays(), *pack(z).arrays()
    )[0]
    assert integral == pytest.approx(expected, abs=1e-6)


def test_factors_of_many_draws_are_those_of_each():
    rng = np.random.default_rng(3)
    sd, unit = rng.uniform(0.1, 2, (3, 5, 4)), rng.uniform(0, 1, (3, 5, 6))
    found = partial_factors(sd, unit)
    for at in np.ndindex(3, 5):
        np.testing.assert_allclose(found[at], factor_from_partial(sd[at], unit[at]), atol=1e-12)


def test_only_the_two_cross_lags_of_a_pair_go_together():
    found = going_together(2)
    assert found[1, 2] == found[2, 1] == 1
    assert found.sum() == 6  # the diagonal besides
    assert going_together(3).sum() == 9 + 6


@pytest.fixture(scope="module")
def sampled():
    """Clients have trends of their own, which without integration do not mix."""
    truth = RandomTruth(trend=(0.05, -0.10), trend_sd=(0.05, 0.08))
    scores, B = simulate_random_dynamics(truth, 90, 12, np.random.default_rng(3))
    scores[np.random.default_rng(4).random(scores.shape) < 0.02] = np.nan
    fit = fit_var(series_of(scores), replace(RECURSIVE, random_trend=True))
    return truth, B, fit_random_dynamics(fit, effort="draft", seed=1)


def test_finds_means_and_spread_that_were_put_in(sampled):
    truth, B, fitted = sampled
    assert fitted.diagnostics.passed, fitted.diagnostics.failures
    for term, cell in (("cross_lag_alliance_outcome", (1, 0)), ("autoregression_outcome", (1, 1))):
        draws = fitted.draws(term)
        assert abs(draws.mean() - B[:, *cell].mean()) < 4 * draws.std()
    spread = fitted.draws("sd_cross_lag_alliance_outcome")
    assert abs(spread.mean() - truth.sd[1][0]) < 4 * spread.std()
    assert spread.mean() > 0.1  # the prior alone has a mean of .12, and zero is its mode
    share = fitted.draws("share_cross_lag_alliance_outcome")
    assert abs(share.mean() - 100 * (B[:, 1, 0] < 0).mean()) < 4 * share.std()
    logs = fitted.draws("sd_log_innovation_outcome")
    assert abs(logs.mean() - 0.3) < 4 * logs.std()


def test_rows(sampled):
    *_, fitted = sampled
    rows = {row.term: row for row in random_dynamics_rows(fitted, CONTEXT)}
    forward = rows["cross_lag_alliance_outcome"]
    assert forward.status == "ok"
    assert forward.estimator.endswith("random dynamics, NUTS")
    assert forward.sd_random_slope == pytest.approx(rows["sd_" + forward.term].estimate)
    assert forward.pct_clients_same_sign == pytest.approx(rows["share_" + forward.term].estimate)
    assert "negative" in rows["share_" + forward.term].estimand
    assert "positive" in rows["share_autoregression_outcome"].estimand
    assert rows["cor_cross_lags_alliance_outcome"].level == "between_client"
    assert "SDs per SD" in rows[forward.term + "_person_standardised"].units
    assert all(row.ci_low <= row.estimate <= row.ci_high for row in rows.values())


def test_too_few_clients_are_a_reason_and_other_models_an_error():
    few = fit_random_dynamics(fit_var(sample(25, 8), RECURSIVE), seed=1)
    assert isinstance(few, Refusal)
    rows = random_dynamics_rows(few, CONTEXT)
    assert {row.status for row in rows} == {"not_estimated"}
    assert rows[0].reason.startswith("fewer than 30 clients have all series at 5 or more")
    phases = fit_var(sample(100, 10), VarSpec((1, 0), phase_from=5))
    with pytest.raises(ValueError, match="one phase"):
        fit_random_dynamics(phases, seed=1)
    with pytest.raises(ValueError, match="every series"):
        with_gaps(np.full((1, 3, 2), np.nan))


def test_client_coefficients_are_mean_plus_factor_times_deviation(sampled):
    *_, fitted = sampled
    posterior = fitted.tree["posterior"].to_dataset()
    assert "z_coefficients" not in posterior  # no client leaves the fit
    rng = np.random.default_rng(1)
    z = rng.normal(size=(*posterior["coefficients"].shape[:2], 3, 4))
    found = client_coefficients(posterior.assign(z_coefficients=(["chain", "draw", "n", "p"], z)))
    sd, unit = (posterior[f"{name}_coefficients"].to_numpy()[0, 5] for name in ("sd", "unit"))
    full = np.full(6, 0.5)
    full[2] = unit[0]
    L = factor_from_partial(sd, full)
    mean = posterior["coefficients"].to_numpy()[0, 5].ravel()
    np.testing.assert_allclose(found[0, 5], mean + z[0, 5] @ L.T, atol=1e-12)
