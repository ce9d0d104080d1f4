"""The likelihood of the random-intercept VAR against dense normal densities and differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from alliance.likelihood.random_intercept_var import (
    covariance,
    log_likelihood_and_gradient,
    mean_information,
)
from alliance.likelihood.var_data import pack, structure_of

CASES = [
    pytest.param((1, 0), False, False, id="recursive"),
    pytest.param((0, 1), True, False, id="recursive-trends"),
    pytest.param((0, 0), True, True, id="same-occasion-trends-phases"),
    pytest.param((1, 1, 0), False, True, id="three-series-phases"),
    pytest.param((2, 0, 1), True, False, id="three-series-three-occasions"),
    pytest.param((0,), False, False, id="one-series"),
]
N_SESSIONS = 5


def lower(rng, size, scale=0.4):
    return np.tril(scale * rng.normal(size=(size, size)), -1) + np.diag(rng.uniform(0.5, 1.2, size))


def example(occasions, trends, phases, seed=3):
    rng = np.random.default_rng(seed)
    k = len(occasions)
    time = np.linspace(-1, 1, N_SESSIONS) if trends else None
    phase = np.array([0, 0, 1, 1, 1]) if phases else None
    structure = structure_of(
        occasions, N_SESSIONS, time=time, error=rng.uniform(0.1, 0.3, k), phase=phase
    )
    parameters = [
        rng.normal(size=(N_SESSIONS, k)),
        0.3 * rng.normal(size=(structure.n_phases, k, k)),
        lower(rng, k) * structure.correlated,
        lower(rng, k),
        lower(rng, structure.n_effects),
    ]
    return structure, parameters


def scores(k, n=60, seed=5):
    """Complete, ended early, gaps, single scores missing, late starts; some patterns shared."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, N_SESSIONS, k))
    z[20:34, 3:] = np.nan
    z[34:46][rng.random((12, N_SESSIONS, k)) < 0.3] = np.nan
    z[46:50, 1] = np.nan
    z[50:52, 0] = np.nan
    z[52, 1:] = np.nan
    z[:, :1][np.isnan(z).all(axis=(1, 2))] = 0.0
    return z


def recursion(structure, parameters):
    """V by simulating the definition with unit shocks, one linear map from all of them."""
    _, coefficients, innovation, first, client = parameters
    k, T = structure.n_series, structure.n_sessions
    shocks, w = [], None
    rows = []
    n_shocks = structure.n_effects + T * k
    for t in range(T):
        shock = np.zeros((k, n_shocks))
        start = structure.n_effects + t * k
        shock[:, start : start + k] = first if t == 0 else innovation
        if t == 0:
            w = shock
        else:
            B = coefficients[structure.phase[t]]
            now = B * structure.same_session
            w = np.linalg.solve(np.eye(k) - now, (B - now) @ w + shock)
        effects = np.zeros((k, n_shocks))
        for g, loading in enumerate(structure.loadings[t]):
            effects[:, : structure.n_effects] += loading * client[g * k : (g + 1) * k]
        rows.append(w + effects)
        shocks.append(w)
    L, W = np.vstack(rows), np.vstack(shocks)
    return L @ L.T + np.diag(np.tile(structure.error, T)), W @ W.T


@pytest.mark.parametrize(("occasions", "trends", "phases"), CASES)
def test_covariance_is_that_of_the_process(occasions, trends, phases):
    structure, parameters = example(occasions, trends, phases)
    V, within = covariance(*parameters[1:], *structure.arrays())
    expected_V, expected_within = recursion(structure, parameters)
    np.testing.assert_allclose(V, expected_V, atol=1e-13)
    np.testing.assert_allclose(within, expected_within, atol=1e-13)


@pytest.mark.parametrize(("occasions", "trends", "phases"), CASES)
def test_value_is_the_dense_normal_density_of_the_observed_scores(occasions, trends, phases):
    structure, parameters = example(occasions, trends, phases)
    z = scores(structure.n_series)
    V, _ = recursion(structure, parameters)
    expected = 0.0
    for row in z.reshape(len(z), -1):
        seen = ~np.isnan(row)
        mean = parameters[0].ravel()[seen]
        expected += multivariate_normal(mean, V[np.ix_(seen, seen)]).logpdf(row[seen])
    value = log_likelihood_and_gradient(*parameters, *structure.arrays(), *pack(z).arrays())[0]
    assert value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("occasions", "trends", "phases"), CASES)
def test_gradient_is_that_of_finite_differences(occasions, trends, phases):
    structure, parameters = example(occasions, trends, phases)
    data = pack(scores(structure.n_series)).arrays()

    def value_at(which, index, step):
        moved = [p.copy() for p in parameters]
        moved[which][index] += step
        return log_likelihood_and_gradient(*moved, *structure.arrays(), *data)[0]

    gradients = log_likelihood_and_gradient(*parameters, *structure.arrays(), *data)[1:]
    for which, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
        for index in np.ndindex(parameter.shape):
            if which >= 2 and index[1] > index[0]:
                continue
            h = 1e-5
            slope = (value_at(which, index, h) - value_at(which, index, -h)) / (2 * h)
            assert gradient[index] == pytest.approx(slope, abs=2e-6, rel=1e-6), (which, index)


def test_shared_patterns_enter_as_mean_and_root_and_do_not_change_the_value():
    structure, parameters = example((1, 0), False, False)
    z = scores(2, n=200)
    together = pack(z)
    assert together.values.shape[0] < 200
    args = (*parameters, *structure.arrays())
    one_by_one = sum(log_likelihood_and_gradient(*args, *pack(row[None]).arrays())[0] for row in z)
    assert log_likelihood_and_gradient(*args, *together.arrays())[0] == pytest.approx(
        one_by_one, abs=1e-9
    )
    assert together.n_clients.sum() == 200
    assert together.scores_per_client @ together.n_clients == (~np.isnan(z)).sum()


def test_mean_information_is_the_generalised_least_squares_system():
    structure, parameters = example((1, 0), True, False)
    z = scores(2)
    V, _ = covariance(*parameters[1:], *structure.arrays())
    information, score = mean_information(V, pack(z))
    expected, right = np.zeros_like(V), np.zeros(len(V))
    for row in z.reshape(len(z), -1):
        seen = np.flatnonzero(~np.isnan(row))
        inverse = np.linalg.inv(V[np.ix_(seen, seen)])
        expected[np.ix_(seen, seen)] += inverse
        right[seen] += inverse @ row[seen]
    np.testing.assert_allclose(information, expected, atol=1e-9)
    np.testing.assert_allclose(score, right, atol=1e-9)


def test_a_covariance_that_is_not_positive_gives_nan():
    structure, parameters = example((1, 0), False, False)
    structure.error[:] = -10.0
    value = log_likelihood_and_gradient(
        *parameters, *structure.arrays(), *pack(scores(2)).arrays()
    )[0]
    assert np.isnan(value)


def test_clients_without_scores_and_infinite_scores_are_refused():
    z = scores(2)
    z[3] = np.nan
    with pytest.raises(ValueError, match="every client needs a score"):
        pack(z)
    z[3] = np.inf
    with pytest.raises(ValueError, match="finite"):
        pack(z)
