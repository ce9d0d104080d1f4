"""The reviewer's check: what is reproduced, what differs by how much, what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
import yaml
from conftest import Project
from scipy import stats

from alliance.published_run import (
    LIMIT_FACTOR,
    MC_ERRORS,
    OF_SE,
    PUBLISHED_COLUMNS,
    compare_runs,
    failures,
    headline,
    is_verified,
    may_be_published,
    summarise_comparison,
    tolerance_of,
)
from alliance.report.verification import VerifiedStudy, build_verification


@pytest.fixture
def run():
    return {
        ("estimates", "estimates"): synthetic.estimates(),
        ("figure", "flow"): pd.DataFrame({"step": ["read", "left"], "n_clients": [240, 234]}),
        ("table", "truth"): pd.DataFrame({"term": ["within"], "true": [-1.15], "nuts": [-1.2]}),
    }


def changed(run, key, row, column, value):
    """A copy of the run with one cell changed."""
    table = run[key].copy()
    if not isinstance(value, str):
        table[column] = table[column].astype(float)
    table.loc[row, column] = value
    return run | {key: table}


def wrong_of(run, other):
    comparison = compare_runs(run, other)
    return comparison[comparison["verdict"] != "reproduced"]


def row_of(run, **wanted):
    table = run["estimates", "estimates"]
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table.index[0]


def test_a_run_is_its_own_published_run(run):
    comparison = compare_runs(run, run)
    assert is_verified(comparison)
    assert set(comparison["verdict"]) == {"reproduced"}
    assert summarise_comparison(comparison)["n_differs"].sum() == 0
    assert len(comparison) > 300


def test_one_number_altered_by_more_than_its_tolerance_is_the_one_line_told(run):
    at = row_of(run, analysis="main", term="within", estimator="REML")
    table = run["estimates", "estimates"]
    allowed = OF_SE * table.loc[at, "se"]
    for factor, expected in ((0.9, 0), (1.1, 1)):
        value = table.loc[at, "estimate"] + factor * allowed
        wrong = wrong_of(run, changed(run, ("estimates", "estimates"), at, "estimate", value))
        assert len(wrong) == expected
    assert wrong.iloc[0][["row", "column", "verdict"]].tolist() == [
        "main / within / REML", "estimate", "differs",
    ]  # fmt: skip
    problem = failures("clinic", compare_runs(run, changed(
        run, ("estimates", "estimates"), at, "estimate", value)), "page.html")[0]  # fmt: skip
    assert "1.1 times the tolerance" in problem.found
    assert "main / within / REML, estimate" in problem.where


def test_summaries_of_draws_may_differ_by_monte_carlo_error_and_limits_by_more(run):
    at = row_of(run, analysis="main", term="within", level="within_client")
    row = run["estimates", "estimates"].loc[at].copy()
    row["estimator"], row["se"], row["ess_min"] = "NUTS (PyMC, nutpie)", 0.5, 2500.0
    expected = MC_ERRORS * np.sqrt(2) * 0.5 / 50
    assert tolerance_of(row, "estimate") == pytest.approx(expected)
    assert tolerance_of(row, "ci_low") == pytest.approx(LIMIT_FACTOR * expected)
    assert tolerance_of(row, "n_obs") == 0


def test_numbers_from_seeded_null_data_sets_are_compared_exactly(run):
    """A p of .044 is not .063: the draws are seeded, so only rounding may differ."""
    key = ("estimates", "estimates")
    at = row_of(run, analysis="main", term="within", estimator="REML")
    null = {"p_null": 0.044, "null_mean": 0.001, "null_low": -0.2, "null_high": 0.2}
    known = run
    for column, value in null.items():
        known = changed(known, key, at, column, value)
    for column, value in null.items():
        other = changed(known, key, at, column, value + 1e-3)
        assert wrong_of(known, other)["column"].tolist() == [column]
        same = changed(known, key, at, column, value + 1e-7)
        assert wrong_of(known, same).empty


@pytest.mark.parametrize(
    "column", ["pd", "sd_random_slope", "pct_clients_same_sign", "std_within_low", "p_adjusted"]
)
def test_every_number_that_readers_see_is_compared(run, column):
    key = ("estimates", "estimates")
    at = row_of(run, analysis="main", term="within", estimator="REML")
    known = changed(run, key, at, column, 0.5)
    assert wrong_of(known, changed(known, key, at, column, 0.6))["column"].tolist() == [column]
    assert column in PUBLISHED_COLUMNS
    older = known | {key: known[key].drop(columns=column)}  # published before it was compared
    assert is_verified(compare_runs(older, known))


@pytest.mark.parametrize("p", [0.0004, 0.044, 0.7])
def test_a_p_value_may_move_as_far_as_its_estimate(run, p):
    row = run["estimates", "estimates"].iloc[0].copy()
    row["estimator"], row["se"], row["p"] = "REML", 1.0, p
    z = stats.norm.isf(p / 2)
    moved = 2 * stats.norm.sf(z * (1 - OF_SE) - OF_SE)  # estimate and SE at their tolerance
    assert tolerance_of(row, "p") == pytest.approx(moved - p, rel=0.02)
    assert p != 0.044 or tolerance_of(row, "p") < 4e-4


def test_an_estimated_reliability_names_no_row_so_its_last_digits_may_move(run):
    at = row_of(run, kind="fixed")
    known = changed(run, ("estimates", "estimates"), at, "reliability_assumed", 0.491155123)
    near = changed(known, ("estimates", "estimates"), at, "reliability_assumed", 0.491155987)
    assert wrong_of(known, near).empty
    far = changed(known, ("estimates", "estimates"), at, "reliability_assumed", 0.492)
    wrong = wrong_of(known, far)
    assert wrong["column"].tolist() == ["reliability_assumed"]
    assert wrong["verdict"].tolist() == ["differs"]


def test_limits_of_intervals_from_two_runs_differ_as_the_tolerance_says():
    """The factor 2.67 holds for draws of a normal distribution."""
    rng = np.random.default_rng(5)
    draws = rng.standard_normal((400, 2, 2000))
    differences = np.diff(np.quantile(draws, 0.025, axis=2), axis=1)
    expected = LIMIT_FACTOR * np.sqrt(2) / np.sqrt(2000)
    assert differences.std() == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("moved", "verdict"), [(0.04, "reproduced"), (0.06, "differs")])
def test_slopes_of_clients_are_of_draws_though_no_word_says_so(moved, verdict):
    """Another processor draws otherwise: they may be off as all posterior numbers may."""
    slopes = pd.DataFrame({"kind": "client", "median": [-5.0, -5.0], "units": "points"})
    other = slopes.assign(median=slopes["median"] * (1 + moved))
    key = ("figure", "client_slopes")
    found = compare_runs({key: slopes}, {key: other})
    assert set(found.loc[found["column"] == "median", "verdict"]) == {verdict}


def test_counts_and_words_must_be_equal(run):
    fewer = changed(run, ("figure", "flow"), 1, "n_clients", 233)
    other = changed(run, ("figure", "flow"), 1, "step", "gone")
    assert wrong_of(run, fewer)["column"].tolist() == ["n_clients"]
    assert wrong_of(run, other)["column"].tolist() == ["step"]


def test_what_is_missing_fails_and_what_is_new_does_not(run):
    without = {key: table for key, table in run.items() if key != ("figure", "flow")}
    assert not is_verified(compare_runs(run, without))
    assert is_verified(compare_runs(without, run))
    rows = run["estimates", "estimates"]
    shorter = run | {("estimates", "estimates"): rows.drop(index=rows.index[3])}
    assert wrong_of(run, shorter)["verdict"].tolist() == ["missing"]
    assert wrong_of(shorter, run)["verdict"].tolist() == ["new"]
    emptied = changed(run, ("estimates", "estimates"), rows.index[1], "estimate", np.nan)
    assert wrong_of(run, emptied)["verdict"].tolist() == ["missing"]


def test_a_table_with_another_number_of_rows_differs(run):
    longer = pd.concat([run["figure", "flow"]] * 2, ignore_index=True)
    wrong = wrong_of(run, run | {("figure", "flow"): longer})
    assert wrong["column"].tolist() == ["number of rows"]


def test_many_differences_are_counted_not_all_printed(run):
    rows = run["estimates", "estimates"].copy()
    rows["estimate"] += 1.0
    comparison = compare_runs(run, run | {("estimates", "estimates"): rows})
    told = failures("clinic", comparison, "page.html")
    assert len(told) == 21
    assert "further differences" in told[-1].found
    assert "published numbers and words are reproduced" in headline("clinic", comparison)


def test_single_clients_are_published_of_simulated_studies_only():
    assert may_be_published("trajectories", simulated=True)
    assert not may_be_published("trajectories", simulated=False)
    assert not may_be_published("drop_probabilities", simulated=False)
    assert may_be_published("forest", simulated=False)


def test_the_page_says_what_is_reproduced_and_which_versions_differ(run):
    at = row_of(run, analysis="main", term="within", estimator="REML")
    for other, verdict in (
        (run, "Reproduced: every published number"),
        (changed(run, ("estimates", "estimates"), at, "estimate", 9.0), "Not reproduced"),
    ):
        comparison = compare_runs(run, other)
        study = VerifiedStudy(
            "clinic", comparison, summarise_comparison(comparison), {"versions": {"numpy": "2.0"}}
        )
        page = build_verification([study], ["brief"], {"numpy": "2.5.5"})
        assert verdict in page
        assert "2.5.5 (published: 2.0)" in page
        assert "brief: nothing was published" in page
    assert "main / within / REML, estimate" in page


@pytest.mark.workflow
def test_publish_and_verify_through_the_workflow(finished_copy: Project):
    project = finished_copy
    before = project.snakemake("verify")
    assert "mini: nothing was published" in before.stdout
    done = project.snakemake("publish")
    assert done.returncode == 0, done.stdout
    folder = project.root / "data/published/mini"
    kept = yaml.safe_load((folder / "run.yaml").read_text("utf-8"))
    assert set(kept["data"]) == {"data/mini/sessions.csv", "data/mini/clients.csv"}
    assert not (folder / "figures/trajectories.csv").exists(), "single clients of a real study"
    verified = project.snakemake("verify")
    assert verified.returncode == 0, verified.stdout
    assert "published numbers and words are reproduced" in verified.stdout

    estimates = pd.read_csv(folder / "estimates.csv")
    at = estimates.index[(estimates["term"] == "within") & (estimates["estimator"] == "REML")][0]
    estimates.loc[at, "estimate"] += 0.01 * estimates.loc[at, "se"]
    estimates.to_csv(folder / "estimates.csv", index=False)
    differs = project.snakemake("verify")
    assert differs.returncode != 0
    assert "main / within / REML" in differs.stdout
    assert "10.0 times the tolerance" in differs.stdout
    assert "Not reproduced" in (project.root / "results/verify/index.html").read_text("utf-8")
    assert Path(project.root / "results/verify/mini/comparison.csv").is_file()
