"""Heavy tails against discrete drops: densities, the integral over means, recovery, verdicts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import quad

from alliance.estimation.innovations import (
    ASYMMETRIC,
    NOT_SUPPORTED,
    SUPPORTED,
    innovation_rows,
    study_innovations,
    verdict,
)
from alliance.likelihood.heavy_tails import (
    FAMILIES,
    CrossValidation,
    GroupedSeries,
    fit_innovations,
    group_log_likelihoods,
    natural,
    shift_probabilities,
    standard_errors,
)

THETA = {
    "gaussian": [0.3, -0.2, 0.4, 0.3, 0.1, -0.5],
    "student": [0.3, -0.2, 0.4, 0.3, 0.1, -0.5, 1.0],
    "skewed": [0.3, -0.2, 0.4, 0.3, 0.1, -0.5, 1.0, 0.2],
    "shifted": [0.3, -0.2, 0.4, 0.3, 0.1, -0.5, -1.0, 0.2],
}


def one_group(y, gap=None):
    n = len(y)
    gaps = np.ones(n) if gap is None else np.asarray(gap, float)
    return GroupedSeries(
        np.array([0, n]), np.asarray(y, float), np.cumsum(gaps) / 10 - gaps[0] / 10, gaps
    )


def innovation_density(x, family, values):
    scale = values[5]
    if family == "gaussian":
        return stats.norm.pdf(x, 0, scale)
    if family == "student":
        return stats.t.pdf(x / scale, values[6]) / scale
    if family == "skewed":
        g = values[7]
        z = np.where(x < 0, x / g, x * g) / scale
        return 2 / (g + 1 / g) * stats.t.pdf(z, values[6]) / scale
    share, shift = values[6], values[7] * scale
    return (1 - share) * stats.norm.pdf(x, 0, scale) + share * stats.norm.pdf(x, -shift, scale)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_likelihood_is_the_integral_over_the_group_mean(family):
    theta = np.array(THETA[family])
    values = natural(theta, family)
    mean, tau, slope, phi, first_sd = values[:5]
    data = one_group([0.5, -0.4, 1.2, -2.5, 0.1])
    rest = data.y - slope * data.time

    def given(mu):
        density = stats.norm.pdf(mu, mean, tau) * stats.norm.pdf(rest[0], mu, first_sd)
        for t in range(1, 5):
            x = rest[t] - mu - phi * (rest[t - 1] - mu)
            density *= innovation_density(x, family, values)
        return density

    exact = np.log(quad(given, -12, 12, epsabs=1e-14, limit=500, points=[0])[0])
    assert group_log_likelihoods(theta, family, data)[0] == pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_innovations_have_a_proper_density(family):
    values = natural(np.array(THETA[family]), family)
    assert quad(lambda x: innovation_density(x, family, values), -np.inf, np.inf)[0] == (
        pytest.approx(1, abs=1e-6)
    )


def test_a_gap_is_exact_for_gaussian_innovations():
    theta = np.array(THETA["gaussian"])
    mean, tau, slope, phi, first_sd, scale = natural(theta, "gaussian")
    data = one_group([0.5, -0.4, 1.2], gap=[1, 3, 1])
    # States at steps 0, 3, 4: w0, phi^3 w0 + noise, ...
    v0, step = first_sd**2, phi**3
    v1 = step**2 * v0 + scale**2 * (1 - phi**6) / (1 - phi**2)
    v2 = phi**2 * v1 + scale**2
    cov = np.array(
        [[v0, step * v0, phi * step * v0], [step * v0, v1, phi * v1],
         [phi * step * v0, phi * v1, v2]]
    )  # fmt: skip
    exact = stats.multivariate_normal.logpdf(data.y - slope * data.time - mean, cov=cov + tau**2)
    assert group_log_likelihoods(theta, "gaussian", data)[0] == pytest.approx(exact, abs=1e-8)


def simulated(kind, seed, n=150, n_sessions=12, share=0.06, drop=4.0, ceiling=np.inf):
    """Ratings, and which innovations were discrete drops."""
    rng = np.random.default_rng(seed)
    noise = (
        rng.standard_t(4, size=(n, n_sessions))
        if kind == "student"
        else rng.normal(size=(n, n_sessions))
    )
    fell = (rng.random((n, n_sessions)) < share) & (kind == "drops")
    fell[:, 0] = False
    state = np.zeros((n, n_sessions))
    state[:, 0] = rng.normal(size=n)
    for t in range(1, n_sessions):
        state[:, t] = 0.3 * state[:, t - 1] + noise[:, t] - drop * fell[:, t]
    score = np.minimum(10 + 2 * (rng.normal(size=(n, 1)) + state), ceiling)
    frame = pd.DataFrame(
        {
            "client": np.repeat([f"c{i:03d}" for i in range(n)], n_sessions),
            "session": np.tile(np.arange(1, n_sessions + 1), n),
            "score": score.ravel(),
        }
    )
    return frame, fell.ravel()


def test_planted_drops_are_found_with_share_size_and_place():
    frame, fell = simulated("drops", 1, n=100)
    study = study_innovations(frame, seed=1, n_folds=2)
    assert study.verdict == SUPPORTED
    rows = {row.term: row for row in innovation_rows(study, "a", "m", "client", "", "points")}
    assert rows["drop_share"].ci_low < 0.06 < rows["drop_share"].ci_high
    assert rows["drop_size"].ci_low < 8 < rows["drop_size"].ci_high
    probability = study.probabilities["probability"].to_numpy()
    assert np.isnan(probability[::12]).all()
    later = ~np.isnan(probability)
    assert probability[later & fell].mean() > 0.75
    assert probability[later & ~fell].mean() < 0.03
    # Calibrated: as many drops as the probabilities say, within three standard errors.
    expected, spread = probability[later].sum(), np.nansum(probability * (1 - probability)) ** 0.5
    assert abs(fell.sum() - expected) < 3 * spread + 0.15 * expected


def test_no_drops_are_claimed_where_none_were_planted():
    frame, _ = simulated("student", 2, n=60)
    study = study_innovations(frame, seed=1, n_folds=2)
    assert study.verdict == NOT_SUPPORTED
    rows = {row.term: row for row in innovation_rows(study, "a", "m", "client", "", "points")}
    assert rows["drop_share"].status == "not_estimated"
    assert "no discrete ruptures are claimed" in rows["drop_share"].reason
    assert rows["discrete_drops_vs_student"].status == "ok"


def test_a_ceiling_is_no_rupture():
    # Ratings cut off above: drops are larger than rises although nothing ruptured.
    frame, _ = simulated("gaussian", 3, n=60, ceiling=11.0)
    assert study_innovations(frame, seed=1, n_folds=2).verdict != SUPPORTED


@pytest.mark.parametrize("family", ["gaussian", "skewed"])
def test_groups_that_do_not_differ_in_their_means_are_no_error(family):
    """On some processors a line search stepped to an SD of means that no division could take."""
    frame, _ = simulated("gaussian", 5, n=60)
    y = frame["score"] - frame.groupby("client")["score"].transform("mean")
    start = np.arange(0, len(y) + 1, 12)
    data = GroupedSeries(
        start, y.to_numpy(), np.tile(np.arange(12.0), len(start) - 1), np.ones(len(y))
    )
    extreme = np.array([0.0, -544.0, 0.0, 0.3, 0.0, 0.0, *[0.0] * (2 * (family == "skewed"))])
    fit = fit_innovations(data, family, extreme)
    assert np.isfinite(fit.log_likelihood)
    assert fit.numbers["tau"] < 0.1


@pytest.mark.parametrize(
    ("student", "skewed", "expected"),
    [(-1, -1, NOT_SUPPORTED), (1, -1, ASYMMETRIC), (-1, 1, NOT_SUPPORTED), (1, 1, SUPPORTED)],
)
def test_discrete_drops_must_beat_both_tails(student, skewed, expected):
    rng = np.random.default_rng(1)
    apart = 1 + 0.1 * rng.normal(size=50)
    densities = {
        "shifted": np.zeros(50), "gaussian": -apart, "student": -student * apart,
        "skewed": -skewed * apart,
    }  # fmt: skip
    assert verdict(CrossValidation(densities, {})) == expected


def test_too_few_ratings_are_refused():
    frame, _ = simulated("gaussian", 4, n=20)
    study = study_innovations(frame, seed=1)
    assert "too few" in study.refused
    rows = innovation_rows(study, "a", "m", "client", "", "points")
    assert len(rows) == 5
    assert all(row.status == "not_estimated" for row in rows)


def test_only_the_mixture_has_probabilities():
    data = one_group([0.0, 1.0, 0.0])
    fit = fit_innovations(data, "gaussian", np.array(THETA["gaussian"]))
    with pytest.raises(ValueError, match="shifted"):
        shift_probabilities(fit, data)
    assert standard_errors(fit, data).shape == (6, 6)
