"""The profiled criterion against dense matrices and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import LinAlgError

from alliance.likelihood.profiled import evaluate, predict_effects, prepare
from alliance.likelihood.statistics import accumulate, take_groups

CASES = [(1, 0), (2, 0), (3, 0), (1, 1), (2, 1), (2, 2)]


def simulate(seed: int, n_clients: int = 24):
    rng = np.random.default_rng(seed)
    client = np.repeat(np.arange(n_clients), rng.integers(1, 6, n_clients))
    n = client.size
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 3))])
    y = 3 + X[:, 1] + 2 * rng.normal(size=n)
    order = rng.permutation(n)
    return X[order], y[order], client[order], (client % 5)[order]


def model_of(q: int, r: int, seed: int = 1):
    X, y, client, therapist = simulate(seed)
    owner = therapist if r else None
    return prepare(accumulate(X, y, client, np.arange(q), owner, np.arange(r)))


def dense_covariance(q, r, inner, outer, X, client, therapist):
    V = np.eye(len(client))
    for codes, factor, k in ((client, inner, q), (therapist, outer, r)):
        for code in np.unique(codes):
            rows = np.flatnonzero(codes == code)
            Z = X[np.ix_(rows, np.arange(k))] @ factor
            V[np.ix_(rows, rows)] += Z @ Z.T
    return V


@pytest.mark.parametrize(("q", "r"), CASES)
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("sigma", [None, 1.3])
def test_criterion_is_that_of_the_dense_normal_density(q, r, reml, sigma):
    X, y, client, therapist = simulate(1)
    model = model_of(q, r)
    theta = np.random.default_rng(2).normal(size=model.n_theta)
    found = evaluate(model, theta, reml, sigma)
    V = dense_covariance(q, r, *model.factors(theta), X, client, therapist)
    information = X.T @ np.linalg.solve(V, X)
    beta = np.linalg.solve(information, X.T @ np.linalg.solve(V, y))
    rss = (y - X @ beta) @ np.linalg.solve(V, y - X @ beta)
    freedom = len(y) - (4 if reml else 0)
    variance = rss / freedom if sigma is None else sigma**2
    deviance = freedom * np.log(2 * np.pi * variance) + rss / variance
    deviance += np.linalg.slogdet(V)[1] + (np.linalg.slogdet(information)[1] if reml else 0)
    assert found.deviance == pytest.approx(deviance, abs=1e-9)
    np.testing.assert_allclose(found.beta, beta, atol=1e-11)
    assert found.rss == pytest.approx(rss)


@pytest.mark.parametrize(("q", "r"), CASES)
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("sigma", [None, 1.3])
def test_gradient_is_that_of_finite_differences(q, r, reml, sigma):
    model = model_of(q, r)
    theta = np.random.default_rng(3).normal(size=model.n_theta)
    found = evaluate(model, theta, reml, sigma).gradient
    steps = 1e-6 * np.eye(model.n_theta)
    up = [evaluate(model, theta + h, reml, sigma).deviance for h in steps]
    down = [evaluate(model, theta - h, reml, sigma).deviance for h in steps]
    np.testing.assert_allclose(found, (np.array(up) - down) / 2e-6, atol=5e-6)


@pytest.mark.parametrize(("q", "r"), [(2, 0), (2, 1)])
def test_singular_factors_are_no_obstacle(q, r):
    model = model_of(q, r)
    found = evaluate(model, np.zeros(model.n_theta))
    assert np.isfinite(found.deviance)
    np.testing.assert_array_equal(found.gradient, 0)


@pytest.mark.parametrize(("q", "r"), [(2, 0), (2, 1)])
def test_predictions_are_the_conditional_means(q, r):
    X, y, client, therapist = simulate(1)
    model = model_of(q, r)
    theta = 0.5 + np.random.default_rng(4).random(model.n_theta)
    inner, outer = model.factors(theta)
    V = dense_covariance(q, r, inner, outer, X, client, therapist)
    beta = evaluate(model, theta).beta
    residual = np.linalg.solve(V, y - X @ beta)
    found = predict_effects(model, theta, beta)
    owner = np.array([therapist[client == c][0] for c in range(client.max() + 1)])
    order = np.argsort(owner, kind="stable") if r else np.arange(len(owner))
    for position, c in enumerate(order):
        rows = client == c
        expected = inner @ inner.T @ X[rows][:, :q].T @ residual[rows]
        np.testing.assert_allclose(found.client[position], expected, atol=1e-10)


def test_collinear_columns_are_refused():
    X, y, client, _ = simulate(1)
    X = np.column_stack([X, X[:, 1] * 2])
    model = prepare(accumulate(X, y, client, np.array([0])))
    with pytest.raises(LinAlgError):
        evaluate(model, np.array([1.0]))


def test_statistics_do_not_depend_on_the_order_of_rows_or_the_kind_of_code():
    X, y, client, therapist = simulate(1)
    first = accumulate(X, y, client, np.array([0]), therapist, np.array([0]))
    order = np.random.default_rng(1).permutation(len(y))
    labels = np.array([f"c{c:02d}" for c in client])[order]
    second = accumulate(
        X[order], y[order], labels, np.array([0]), therapist[order] + 7, np.array([0])
    )
    np.testing.assert_allclose(first.cross, second.cross, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(first.therapist, second.therapist)


def test_a_client_with_two_therapists_is_refused():
    X, y, client, therapist = simulate(1)
    therapist = therapist.copy()
    repeated = np.flatnonzero(client == client[0])
    if len(repeated) < 2:
        repeated = np.flatnonzero(client == np.bincount(client).argmax())
    therapist[repeated[0]] = therapist[repeated[1]] + 1
    with pytest.raises(ValueError, match="more than one therapist"):
        accumulate(X, y, client, np.array([0]), therapist, np.array([0]))


def test_infinite_values_are_refused():
    X, y, client, _ = simulate(1)
    y[3] = np.nan
    with pytest.raises(ValueError, match="finite"):
        accumulate(X, y, client, np.array([0]))


def test_a_therapist_taken_twice_counts_as_two():
    X, y, client, therapist = simulate(1)
    statistics = accumulate(X, y, client, np.array([0]), therapist, np.array([0]))
    members = np.flatnonzero(statistics.therapist == 2)
    clients = np.concatenate([members, members])
    copies = np.repeat([0, 1], len(members))
    taken = take_groups(statistics, clients, copies)
    assert taken.n_therapists == 2
    np.testing.assert_allclose(taken.cross.sum(axis=0), 2 * statistics.cross[members].sum(axis=0))
