"""The compiled marginal likelihood against dense normal densities and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from alliance.likelihood.client_blocks import BLOCK
from alliance.likelihood.conditional_effects import (
    effects_given_parameters,
    log_likelihood_of_clusters,
)
from alliance.likelihood.marginal import log_likelihood_and_gradient, pack
from alliance.likelihood.statistics import accumulate

DESIGNS = [(1, 0), (2, 0), (3, 0), (1, 1), (2, 1), (2, 2)]


def _problem(q: int, r: int, n_clients: int = 2 * BLOCK + 9, seed: int = 7):
    """Unbalanced rows in clients in therapists, single-session clients among them."""
    rng = np.random.default_rng(seed + 10 * q + r)
    client = np.repeat(np.arange(n_clients), rng.integers(1, 7, n_clients))
    therapist = (client * 5) // (4 * 7) if r else None
    n = client.size
    X = np.column_stack([np.ones(n), rng.normal(size=n), rng.normal(size=n), rng.normal(size=n)])
    y = rng.normal(size=n) + rng.normal(size=n_clients)[client]
    columns = np.arange(q)
    therapist_columns = np.arange(r)
    statistics = accumulate(X, y, client, columns, therapist, therapist_columns)
    beta = rng.normal(size=4)
    Lc = np.tril(rng.normal(size=(q, q))) * 0.7
    Lt = np.tril(rng.normal(size=(r, r))) * 0.4
    return X, y, client, therapist, statistics, (beta, 0.2, Lc, Lt)


def _dense_covariance(X, client, therapist, parameters):
    _, log_sigma, Lc, Lt = parameters
    q, r = Lc.shape[0], Lt.shape[0]
    same_client = client[:, None] == client[None, :]
    V = np.exp(2 * log_sigma) * np.eye(client.size)
    V += same_client * (X[:, :q] @ Lc @ Lc.T @ X[:, :q].T)
    if r:
        V += (therapist[:, None] == therapist[None, :]) * (X[:, :r] @ Lt @ Lt.T @ X[:, :r].T)
    return V


def _value(parameters, data):
    return log_likelihood_and_gradient(*parameters, *data.arrays())[0]


@pytest.mark.parametrize(("q", "r"), DESIGNS)
def test_value_equals_the_dense_normal_density(q, r):
    X, y, client, therapist, statistics, parameters = _problem(q, r)
    V = _dense_covariance(X, client, therapist, parameters)
    expected = multivariate_normal.logpdf(y, X @ parameters[0], V)
    assert _value(parameters, pack(statistics)) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize(("q", "r"), DESIGNS)
def test_gradient_equals_finite_differences(q, r):
    *_, statistics, (beta, log_sigma, Lc, Lt) = _problem(q, r)
    data = pack(statistics)
    lower_c, lower_t = np.tril_indices(q), np.tril_indices(r)

    def split(theta):
        c, t = np.zeros((q, q)), np.zeros((r, r))
        c[lower_c] = theta[5 : 5 + lower_c[0].size]
        t[lower_t] = theta[5 + lower_c[0].size :]
        return theta[:4], theta[4], c, t

    theta = np.concatenate([beta, [log_sigma], Lc[lower_c], Lt[lower_t]])
    _, g_beta, g_sigma, g_c, g_t = log_likelihood_and_gradient(*split(theta), *data.arrays())
    gradient = np.concatenate([g_beta, [g_sigma], g_c[lower_c], g_t[lower_t]])
    steps = 1e-5 * np.eye(theta.size)
    numeric = [
        (_value(split(theta + h), data) - _value(split(theta - h), data)) / 2e-5 for h in steps
    ]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-5)
    assert np.all(np.triu(g_c, 1) == 0)


@pytest.mark.parametrize(("q", "r"), DESIGNS)
def test_contributions_of_clusters_sum_to_the_whole(q, r):
    *_, statistics, parameters = _problem(q, r)
    parts = log_likelihood_of_clusters(*parameters, statistics)
    assert parts.shape == (statistics.n_therapists or statistics.n_clients,)
    assert parts.sum() == pytest.approx(_value(parameters, pack(statistics)), rel=1e-12)


def test_contribution_of_one_client_is_its_own_normal_density():
    X, y, client, _, statistics, parameters = _problem(2, 0)
    rows = client == 3
    V = _dense_covariance(X[rows], client[rows], None, parameters)
    expected = multivariate_normal.logpdf(y[rows], X[rows] @ parameters[0], V)
    parts = log_likelihood_of_clusters(*parameters, statistics)
    assert parts[3] == pytest.approx(expected, rel=1e-11)


def test_effects_of_a_client_are_the_conditional_normal():
    X, y, client, _, statistics, (beta, log_sigma, Lc, Lt) = _problem(2, 0)
    effects = effects_given_parameters(beta, log_sigma, Lc, Lt, statistics)
    rows = client == 5
    Z, cov = X[rows][:, :2], Lc @ Lc.T
    V = Z @ cov @ Z.T + np.exp(2 * log_sigma) * np.eye(rows.sum())
    mean = cov @ Z.T @ np.linalg.solve(V, y[rows] - X[rows] @ beta)
    spread = cov - cov @ Z.T @ np.linalg.solve(V, Z @ cov)
    np.testing.assert_allclose(effects.D[5] @ effects.projection[5], mean, rtol=1e-9)
    np.testing.assert_allclose(np.exp(2 * log_sigma) * effects.D[5], spread, rtol=1e-9, atol=1e-12)


def test_therapist_effects_are_the_conditional_normal():
    X, y, client, therapist, statistics, (beta, log_sigma, Lc, Lt) = _problem(2, 1)
    effects = effects_given_parameters(beta, log_sigma, Lc, Lt, statistics)
    V = _dense_covariance(X, client, therapist, (beta, log_sigma, Lc, Lt))
    W = (therapist[:, None] == np.arange(therapist.max() + 1)) * 1.0
    mean = Lt[0, 0] ** 2 * W.T @ np.linalg.solve(V, y - X @ beta)
    np.testing.assert_allclose(effects.therapist_mean[:, 0], mean, rtol=1e-8)


def test_zero_random_variance_is_ordinary_regression():
    X, y, *_, statistics, (beta, log_sigma, Lc, Lt) = _problem(2, 0)
    value, *_, g_c, _ = log_likelihood_and_gradient(
        beta, log_sigma, 0 * Lc, Lt, *pack(statistics).arrays()
    )
    sigma = np.exp(log_sigma)
    residual = y - X @ beta
    expected = -0.5 * (residual @ residual) / sigma**2 - y.size * np.log(sigma * np.sqrt(2 * np.pi))
    assert value == pytest.approx(expected, rel=1e-12)
    assert np.all(g_c == 0)


def test_order_of_rows_and_clients_does_not_matter():
    X, y, client, therapist, statistics, parameters = _problem(2, 1)
    shuffled = np.random.default_rng(1).permutation(y.size)
    relabelled = client.max() - client[shuffled]
    other = accumulate(
        X[shuffled], y[shuffled], relabelled, np.arange(2), therapist[shuffled], np.arange(1)
    )
    assert _value(parameters, pack(other)) == pytest.approx(
        _value(parameters, pack(statistics)), rel=1e-12
    )
