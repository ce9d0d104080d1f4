"""Checks of Bayesian fits: predictive statistics, leave-one-out, table, figures, words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from test_bayes import CONTEXT, make_design

from alliance.estimates import to_frame
from alliance.estimation.bayes import load_tree, sample_model, save_tree
from alliance.estimation.bayes_checks import highest_density
from alliance.estimation.bayes_loo import (
    compare,
    exact_contribution,
    leave_one_out,
    refit_bad,
    sample_without_slope,
)
from alliance.estimation.bayes_model import compile_model
from alliance.estimation.bayes_predictive import (
    Predictive,
    compare_statistics,
    outcome_statistics,
    possible_shares,
    prior_predictive,
)
from alliance.estimation.bayes_rows import bayes_rows
from alliance.estimation.bayes_summary import COLUMNS, BayesChecks, Given, check_fit
from alliance.estimation.diagnostics import DRAFT
from alliance.estimation.effort import Effort
from alliance.estimation.priors import Priors
from alliance.figures import NotDrawn
from alliance.figures.client_slopes import (
    describe_client_slopes,
    draw_client_slopes,
    numbers_client_slopes,
)
from alliance.figures.predictive import describe_predictive, draw_predictive, numbers_predictive
from alliance.tables.bayes import bayes_checks_table, bayes_factor, read_checks
from alliance.text.bayes_words import bayes_sentences

GIVEN = Given("main", "points", (0.0, 40.0), 5)
SHORT = Effort(2, 600, 500, DRAFT)


# Statistics of the outcome


def test_statistics_of_a_small_example_by_hand():
    y = np.array([1.0, 3.0, 2.0, 10.0, 14.0, 6.0])
    client = np.array([0, 0, 0, 1, 1, 1])
    found = outcome_statistics(y, client, (0.0, 12.0))
    assert found["sd_within"] == pytest.approx(np.sqrt((2 + 32) / 4))
    assert found["sd_spread"] == pytest.approx(np.std([1.0, 4.0], ddof=1))
    assert found["range_within"] == pytest.approx((2 + 8) / 2)
    assert found["largest_fall"] == pytest.approx((1 + 8) / 2)
    assert found["trend"] == pytest.approx((1 * 2 + -4 * 2) / 2 / 4 * 1.0, abs=2)
    slope = np.polyfit([-1, 0, 1, -1, 0, 1], [-1, 1, 0, 0, 4, -4], 1)[0]
    assert found["trend"] == pytest.approx(slope)
    assert found["beyond_scale"] == pytest.approx(1 / 6)
    assert "beyond_scale" not in outcome_statistics(y, client)


def test_clients_with_one_row_do_not_disturb_the_statistics():
    y = np.array([5.0, 1.0, 3.0, 2.0, 9.0, 4.0, 6.0])
    client = np.array([0, 1, 1, 1, 2, 3, 3])
    found = outcome_statistics(y, client)
    assert found["largest_fall"] == pytest.approx((1 - 2) / 2)
    assert found["range_within"] == pytest.approx((2 + 2) / 2)
    assert all(np.isfinite(value) for value in found.values())


def test_predictive_p_counts_ties_half():
    found = Predictive({"icc": 2.0}, pd.DataFrame({"icc": [1.0, 2.0, 3.0, 4.0]}))
    assert compare_statistics(found)["tail"].item() == pytest.approx(0.625)


def test_priors_that_allow_the_impossible_are_noticed():
    design = make_design()
    wide = replace(Priors(), sd_residual=50.0)
    for priors, possible in ((Priors(), True), (wide, False)):
        found = prior_predictive(design, priors, seed=1, n_replications=150, scale=(0.0, 40.0))
        shares = possible_shares(found, (0.0, 40.0), design.median_sessions)
        assert (shares["sd_within"] > 0.98) == possible
        assert (shares["range_within"] > 0.98) == possible
        assert 0.0 < shares["beyond_scale"] < 1.0


def test_highest_density_interval_is_the_shortest():
    draws = np.random.default_rng(1).exponential(size=40_000)
    low, high = highest_density(draws)
    assert low == pytest.approx(0.0, abs=0.01)
    assert high == pytest.approx(-np.log(0.05), abs=0.1)


# A fit and its checks (one compilation)


@pytest.fixture(scope="module")
def prepared():
    return compile_model(make_design(n_clients=50, n_rows=6, slope_sd=3.0), Priors())


@pytest.fixture(scope="module")
def fit(prepared):
    return sample_model(prepared, SHORT, effort="draft", seed=3)


@pytest.fixture(scope="module")
def checks(prepared, fit) -> BayesChecks:
    return check_fit(prepared, fit, GIVEN)


def test_every_check_has_its_rows(checks, fit):
    table = checks.table
    assert tuple(table.columns) == COLUMNS
    assert set(table["check"]) == {
        "prior_predictive", "posterior_predictive", "leave_one_out", "comparison",
        "prior_sensitivity", "decision", "bayes_factor", "slopes",
    }  # fmt: skip
    assert list(table.loc[table["check"] == "bayes_factor", "term"]) == [
        "0.05",
        "0.1",
        "0.2",
        "0.4",
    ]
    posterior = table[table["check"] == "posterior_predictive"]
    assert len(posterior) == 9
    assert posterior["p"].between(0, 1).all()
    rope = table[table["term"] == "rope"]["p"].item()
    ratio = fit.design.sd_within_predictor / fit.standard.outcome
    assert rope == pytest.approx(np.mean(np.abs(fit.draws("within") * ratio) < 0.05))


def test_the_checks_are_the_same_when_made_again(prepared, fit, checks):
    again = check_fit(prepared, fit, GIVEN, cores=1)
    pd.testing.assert_frame_equal(again.table, checks.table)
    pd.testing.assert_frame_equal(again.slopes, checks.slopes)


def test_checks_stand_in_the_file_beside_the_sample(checks, fit, tmp_path):
    groups = {name: node.to_dataset() for name, node in fit.tree.children.items()}
    tree = xr.DataTree.from_dict(groups | checks.groups)
    save_tree(tree, tmp_path / "fit.nc")
    names = set(load_tree(tmp_path / "fit.nc").children)
    assert {"posterior", "log_likelihood", "prior_predictive", "posterior_predictive"} <= names
    assert {"leave_one_out", "prior_sensitivity", "client_effects", "observed_data"} <= names


def test_rows_carry_equivalence_and_sensitivity(checks, fit):
    rows = {r.term: r for r in bayes_rows(fit, fit.design, CONTEXT, checks.sensitivity)}
    assert rows["within"].p_rope == checks.table.set_index("term").loc["rope", "p"]
    assert np.isnan(rows["between"].p_rope)
    assert rows["sd_within"].prior_sensitivity == checks.sensitivity["sd_within"]
    assert np.isnan(
        {r.term: r for r in bayes_rows(fit, fit.design, CONTEXT)}["time"].prior_sensitivity
    )


def test_slopes_that_vary_much_help_to_predict_new_clients(prepared, fit):
    without = sample_without_slope(prepared, "within", SHORT, seed=5)
    found = compare(leave_one_out(fit), leave_one_out(without))
    assert found.difference > 4
    assert found.decided
    with pytest.raises(ValueError, match="not a random slope"):
        sample_without_slope(prepared, "time", SHORT, seed=5)


def test_the_model_without_slope_is_that_of_a_design_without_slope(prepared):
    without = sample_without_slope(prepared, "within", SHORT, seed=5)
    design = replace(prepared.design, client_columns=np.array([0]))
    apart = sample_model(compile_model(design, Priors()), SHORT, effort="draft", seed=6)
    for term in ("within", "between", "sd_intercept", "sd_residual"):
        a, b = without.draws(term), apart.draws(term)
        assert a.mean() == pytest.approx(b.mean(), abs=0.15 * b.std())
        assert a.std() == pytest.approx(b.std(), rel=0.12)
    assert leave_one_out(without).elpd == pytest.approx(leave_one_out(apart).elpd, abs=0.4)


def test_leaving_a_client_out_in_a_fit_agrees_with_the_approximation(prepared, fit):
    loo = leave_one_out(fit)
    for k in (0, 7):
        exact = exact_contribution(prepared, k, seed=1, length=Effort(1, 1500, 500, DRAFT))
        assert exact == pytest.approx(loo.pointwise[k], abs=0.08)


def test_a_bad_pareto_k_is_replaced_by_a_fit(prepared, fit):
    loo = leave_one_out(fit)
    spoiled = loo.pointwise.copy()
    spoiled[4] = -1000.0
    k = np.zeros_like(loo.pareto_k)
    k[4] = 0.9
    mended = refit_bad(replace(loo, pointwise=spoiled, pareto_k=k, n_bad=1), prepared, seed=2)
    assert mended.n_refitted == 1
    assert mended.elpd == pytest.approx(loo.elpd, abs=0.2)
    many = replace(loo, pareto_k=np.full_like(k, 0.9), n_bad=50)
    assert refit_bad(many, prepared, seed=2) is many


def test_the_gate_holds_for_checks(prepared):
    broken = sample_model(prepared, Effort(4, 12, 12, DRAFT), effort="draft", seed=1)
    checks = check_fit(prepared, broken, GIVEN)
    assert set(checks.table["status"]) <= {"diagnostics_failed", "not_estimated"}
    table = bayes_checks_table(checks.table.fillna({"flag": "", "reason": ""}), "main", "Main")
    assert "did not pass the gate" in table.notes[0]
    said = bayes_sentences(checks.table, "main", "Main")
    assert said == ["Main: the sample failed its diagnostics, so its checks are not told here."]


# What readers see


def test_no_single_client_of_a_small_study_is_shown(fit, prepared):
    few = check_fit(prepared, fit, replace(GIVEN, smallest_cell=60))
    assert few.slopes.empty
    shown = check_fit(prepared, fit, GIVEN).slopes
    assert len(shown) == 30
    assert list(shown.columns) == ["analysis", "position", "median", "low", "high"]
    assert shown["median"].is_monotonic_increasing


def test_table_words_and_figures(checks, fit, tmp_path):
    path = tmp_path / "checks.csv"
    checks.table.to_csv(path, index=False)
    read = read_checks([str(path)])
    table = bayes_checks_table(read, "main", "Main model")
    assert any("Range within a client" in row.cells[0] for row in table.rows)
    said = " ".join(bayes_sentences(read, "main", "Main model"))
    for word in ("practically zero", "Bayes factor", "elpd", "prior SD"):
        assert word in said
    assert "nan" not in said
    numbers = numbers_predictive(checks.predictive, read)
    assert numbers.loc[numbers["kind"] == "replicated", "count"].sum() == 9 * 300
    assert not isinstance(draw_predictive(numbers), NotDrawn)
    assert "Main model" in describe_predictive(read, "Main model").caption
    rows = to_frame(bayes_rows(fit, fit.design, replace(CONTEXT, analysis="main")))
    slopes = numbers_client_slopes(checks.slopes, rows, "main")
    assert (slopes["kind"] == "client").sum() == 30
    assert not isinstance(draw_client_slopes(slopes), NotDrawn)
    assert "30 clients" in describe_client_slopes(slopes, rows, "main", "Main").caption
    assert isinstance(draw_client_slopes(numbers_client_slopes(checks.slopes, rows, "x")), NotDrawn)


@pytest.mark.parametrize(
    ("value", "told"), [(3.2, "3.20"), (1e6, "> 100"), (0.002, "< 0.01"), (np.nan, "–")]
)
def test_bayes_factors_are_not_told_more_finely_than_they_mean(value, told):
    assert bayes_factor(value) == told
