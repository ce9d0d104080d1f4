"""Other draws of the same posterior are reproduced; one number that is off further is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alliance.estimation import bayes_summary
from alliance.estimation.bayes_predictive import WORDS
from alliance.figures.posterior import numbers_posterior
from alliance.figures.predictive import numbers_predictive
from alliance.published_draws import allowed_in_check, on_the_logarithm
from alliance.published_run import compare_runs

PUBLISHED = Path(__file__).resolve().parents[1] / "data" / "published"
CHECKS = ("table", "bayes_checks_main")
NUMBERS = ("observed", "estimate", "se", "low", "high", "p")
SEEDED = ("prior_predictive",)


def wrong_of(key, published, obtained):
    comparison = compare_runs({key: published}, {key: obtained})
    return comparison[comparison["verdict"] != "reproduced"]


@pytest.fixture(scope="module")
def checks():
    return pd.read_csv(PUBLISHED / "clinic/tables/bayes_checks_main.csv")


def moved(checks, at, column, factor):
    """The table with one number off by a multiple of what it may be off by."""
    table = checks.astype(dict.fromkeys(NUMBERS, float))
    by = factor * allowed_in_check(checks, at, column)
    value = table.loc[at, column]
    on_log = on_the_logarithm(table.loc[at, "check"], column)
    table.loc[at, column] = value * np.exp(by) if on_log else value + by
    return table


def cells(checks):
    return [(at, c) for at in checks.index for c in NUMBERS if pd.notna(checks.loc[at, c])]


def test_every_number_of_the_checks_has_a_tolerance_of_its_own(checks):
    """Three times as far in any one number is told, as that number and no other."""
    assert len(cells(checks)) > 100
    for at, column in cells(checks):
        assert wrong_of(CHECKS, checks, moved(checks, at, column, 0.9)).empty
        wrong = wrong_of(CHECKS, checks, moved(checks, at, column, 3.0))
        assert len(wrong) == 1, (at, column)
        assert wrong.iloc[0]["row"].startswith(f"row {at + 1} ("), (at, column)
        assert wrong.iloc[0]["column"].endswith(column)


@pytest.mark.parametrize(
    ("check", "term", "column", "least", "most"),
    [
        ("leave_one_out", "elpd", "estimate", 0.1, 2.0),  # of -7034.5
        ("leave_one_out", "pareto_k_bad", "estimate", 1.0, 1.0),
        ("comparison", "random_within_slope", "estimate", 0.1, 2.0),
        ("posterior_predictive", "icc", "p", 0.1, 0.2),  # 300 replications, p = .48
        ("posterior_predictive", "icc", "estimate", 0.005, 0.03),
        ("posterior_predictive", "icc", "observed", 1e-6, 1e-4),
        ("prior_predictive", "icc", "estimate", 1e-6, 1e-4),
        ("decision", "rope", "p", 0.002, 0.02),
        ("decision", "within", "estimate", 0.001, 0.01),
        ("slopes", "pct_same_sign", "estimate", 0.5, 2.0),
    ],
)
def test_no_tolerance_comes_from_other_rows_of_the_column(checks, check, term, column, least, most):
    at = checks.index[(checks["check"] == check) & (checks["term"] == term)][0]
    assert least <= allowed_in_check(checks, at, column) <= most


def test_every_kind_of_check_that_exists_has_a_rule(checks):
    kinds = set(bayes_summary.Check.__doc__.split("term :")[0].split("``")[1::2])
    assert kinds == set(checks["check"])
    unknown = checks.assign(check="another")
    with pytest.raises(KeyError, match="another"):
        allowed_in_check(unknown, 0, "estimate")


# Histograms and curves


def histograms(seed, shift=0.0, spread=1.0, observed=0.59, n=300):
    """The figure's numbers of one run: replications of a statistic, and the observed value."""
    values = 0.59 + shift + 0.04 * spread * np.random.default_rng(seed).standard_normal(n)
    predictive = pd.DataFrame({
        "analysis": "main", "statistic": "icc", "source": ["posterior"] * n + ["observed"],
        "value": [*values, observed],
    })  # fmt: skip
    known = {"check": ["posterior_predictive"], "term": ["icc"], "words": [WORDS["icc"]]}
    return numbers_predictive(predictive, pd.DataFrame(known | {"units": ["share"]}))


HISTOGRAMS = ("figure", "predictive_checks")


def test_histograms_of_other_replications_are_reproduced():
    first = histograms(0)
    assert all(wrong_of(HISTOGRAMS, first, histograms(seed)).empty for seed in range(1, 60))


@pytest.mark.parametrize("observed", [0.59, 1.2])  # far off, all replications lie in few bins
def test_also_where_the_observed_value_makes_bins_wide(observed):
    runs = [histograms(seed, observed=observed) for seed in range(30)]
    assert all(wrong_of(HISTOGRAMS, runs[0], run).empty for run in runs)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"shift": 0.06}, {"mean"}),  # 1.5 SD; two runs differ by a third of an SD at most
        ({"spread": 2.0}, {"SD"}),
        ({"observed": 0.5905}, {"observed"}),
        ({"n": 299}, {"number of replications"}),
    ],
)
def test_what_is_off_in_a_histogram_is_told_as_such(changed, told):
    wrong = wrong_of(HISTOGRAMS, histograms(0), histograms(1, **changed))
    assert set(wrong["column"]) == told
    assert set(wrong["row"]) == {"icc"}


def test_a_published_histogram_may_be_off_by_a_bit_but_not_by_half_an_sd():
    published = pd.read_csv(PUBLISHED / "clinic/figures/predictive_checks.csv")
    sd = 0.039  # of the share of variance between clients
    for shift, n_wrong in ((0.004 * 0.59, 0), (0.7 * sd, 1)):
        other = published.copy()
        own = (other["statistic"] == "icc") & (other["kind"] == "replicated")
        other.loc[own, ["low", "high"]] += shift
        wrong = wrong_of(HISTOGRAMS, published, other)
        assert len(wrong) == n_wrong
    assert wrong.iloc[0][["row", "column"]].tolist() == ["icc", "mean"]


def curves(seed, shift=0.0, prior_sd=3.0):
    draws = -2.0 + shift + 0.26 * np.random.default_rng(seed).standard_normal(4000)
    own = {"analysis": "main", "term": "within"}
    estimates = pd.DataFrame(
        [own | {"estimator": "NUTS (PyMC)", "level": "within_client", "units": "points"}]
    )
    priors = pd.DataFrame([own | {"mean": 0.0, "sd": prior_sd}])
    table = pd.DataFrame({**own, "value": draws})
    return numbers_posterior(table, priors, estimates, {"main": "Model"})


def test_curves_on_another_grid_are_reproduced_unless_a_density_has_moved():
    key = ("figure", "posterior")
    assert all(wrong_of(key, curves(0), curves(seed)).empty for seed in range(1, 10))
    far = wrong_of(key, curves(0), curves(1, shift=0.26))
    assert far[["row", "column"]].to_numpy().tolist() == [["main / within / posterior", "mean"]]
    prior = wrong_of(key, curves(0), curves(1, prior_sd=3.01))
    assert prior[["row", "column"]].to_numpy().tolist() == [["main / within / prior", "SD"]]


def test_words_of_figures_that_are_summarised_are_compared():
    other = histograms(0).assign(units="points")
    assert wrong_of(HISTOGRAMS, histograms(0), other)["column"].unique().tolist() == ["units"]


# Cells beside an interval


def test_a_number_of_draws_is_measured_by_its_own_interval_not_by_its_column():
    """The intercept of 20 in the same column let a slope of -2 be off by 1.2."""
    truth = pd.DataFrame({
        "term": ["intercept", "within"], "nuts": [20.8, -2.06], "nuts_low": [20.2, -2.57],
        "nuts_high": [21.5, -1.55],
    })  # fmt: skip
    key = ("table", "truth")
    for by, n_wrong in ((0.05, 0), (0.2, 1)):
        other = truth.copy()
        other.loc[1, "nuts"] += by
        wrong = wrong_of(key, truth, other)
        assert len(wrong) == n_wrong
    assert wrong.iloc[0]["row"] == "row 2 (within)"


@pytest.mark.parametrize(("by", "n_wrong"), [(0.4, 0), (1.5, 1)])
def test_limits_of_clients_in_order_may_be_those_of_another_client(by, n_wrong):
    slopes = pd.DataFrame(
        {"position": [1, 2], "median": [-5.0, -1.0], "low": [-9.0, -3.0], "high": [-2.0, 1.0]}
    )
    other = slopes.copy()
    other.loc[1, "high"] += by * 4.0  # of the width of its interval
    wrong = wrong_of(("figure", "client_slopes"), slopes, other)
    assert wrong["column"].tolist() == ["high"] * n_wrong
