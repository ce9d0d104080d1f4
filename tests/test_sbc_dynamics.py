"""What the calibration of the Bayesian random-intercept VAR draws; sampling is in the full tier."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from test_dynamics import sample

from alliance.estimation.dynamics import fit_var
from alliance.estimation.dynamics_bayes import VarPriors
from alliance.estimation.dynamics_layout import VarSpec
from alliance.likelihood.random_intercept_var import covariance
from alliance.likelihood.var_data import pack
from alliance.simulation.sbc import LIKELIHOOD
from alliance.simulation.sbc_dynamics import _arguments, draw_parameters, draw_scores, quantities


@pytest.fixture(scope="module")
def fit():
    return fit_var(sample(60, 6), VarSpec((1, 0), trend="none"))


def test_parameters_come_from_the_priors(fit):
    priors, rng = VarPriors(), np.random.default_rng(1)
    drawn = [draw_parameters(fit, priors, rng) for _ in range(4000)]
    cross = np.array([d["coefficients"][0, 1, 0] for d in drawn])
    own = np.array([d["coefficients"][0, 1, 1] for d in drawn])
    level = np.array([d["sd_client"] for d in drawn]).ravel()
    unit = np.array([d["unit_client"] for d in drawn]).ravel()
    assert stats.kstest(cross, stats.norm(0, priors.cross_lag).cdf).pvalue > 1e-3
    assert stats.kstest(own, stats.norm(*priors.autoregression).cdf).pvalue > 1e-3
    assert stats.kstest(level, stats.halfnorm(0, priors.level).cdf).pvalue > 1e-3
    assert stats.kstest(unit, stats.beta(2, 2).cdf).pvalue > 1e-3
    assert all(d["unit_innovation"] == 0.5 for d in drawn)  # the order of measurement decides


def test_scores_have_the_covariance_of_their_parameters(fit):
    rng = np.random.default_rng(2)
    true = draw_parameters(fit, VarPriors(), rng)
    mean, coefficients, *factors = _arguments(fit, true)
    V, _ = covariance(coefficients, *factors, *fit.layout.structure.arrays())
    found = np.concatenate([draw_scores(fit, true, rng) for _ in range(400)]).reshape(24_000, -1)
    size = np.sqrt(np.outer(np.diag(V), np.diag(V)))
    assert np.abs((np.cov(found.T) - V) / size).max() < 0.04  # six standard errors
    assert np.abs((found.mean(axis=0) - mean.ravel()) / np.sqrt(np.diag(V))).max() < 0.04


def test_ranked_likelihood_is_that_of_the_scores(fit):
    rng = np.random.default_rng(3)
    true = draw_parameters(fit, VarPriors(), rng)
    scores = draw_scores(fit, true, rng)
    mean, coefficients, *factors = _arguments(fit, true)
    V, _ = covariance(coefficients, *factors, *fit.layout.structure.arrays())
    expected = stats.multivariate_normal(mean.ravel(), V).logpdf(scores.reshape(60, -1)).sum()
    found = quantities(fit, true, pack(scores))
    assert found[LIKELIHOOD] == pytest.approx(expected, abs=1e-6)
    assert found["cross_lag_alliance_outcome"] == true["coefficients"][0, 1, 0]
    assert len(found) == 15
