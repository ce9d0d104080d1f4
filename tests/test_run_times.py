"""Run times stand beside the report: whole, plain, and without touching its bytes."""

from __future__ import annotations

import pandas as pd
import pytest
import synthetic_results as synthetic
from conftest import Project

from alliance.report import build_report
from alliance.report.run_times import build_run_times, run_times, sentence


@pytest.fixture
def times() -> pd.DataFrame:
    """Three steps as Snakemake measures them; one was too short."""
    return run_times(
        {
            "clean": pd.DataFrame({"s": [0.4], "max_rss": ["NA"], "cpu_time": ["NA"]}),
            "fit_bayes_main": pd.DataFrame(
                {"s": [99.0, 42.44], "max_rss": [300.0, 512.3], "cpu_time": [1.0, 80.0]}
            ),
            "fit_reml_main": pd.DataFrame({"s": [10.4], "max_rss": [327.3], "cpu_time": [3.22]}),
        }
    )


def test_each_step_stands_with_its_last_run_the_longest_first(times):
    assert times["step"].tolist() == ["fit_bayes_main", "fit_reml_main", "clean"]
    assert times["seconds"].tolist() == [42.44, 10.4, 0.4]
    assert times["peak_memory_mib"].isna().tolist() == [False, False, True]


def test_sum_longest_and_peak_in_words(times):
    assert sentence(times) == (
        "3 steps took 53 s one after the other; the longest, fit_bayes_main, took 42 s. No step "
        "used more than 512 MiB."
    )
    assert sentence(run_times({})) == "No step was measured."


def test_the_page_escapes_the_title_and_shows_what_was_not_measured(times):
    page = build_run_times(times, "<b>x</b>")
    assert "<b>" not in page
    assert "42.4" in page
    assert ">nan<" not in page


def test_the_report_links_to_the_times_and_does_not_hold_them():
    page = build_report(synthetic.report_inputs(run_times="benchmarks/run_times.html"))
    assert '<a href="benchmarks/run_times.html">' in page
    assert "run_times" not in build_report(synthetic.report_inputs())


@pytest.mark.workflow
def test_a_finished_study_has_the_time_of_every_step(finished: Project):
    folder = finished.root / "results/mini/benchmarks"
    told = set(pd.read_csv(folder / "run_times.csv")["step"])
    later = {"write_run_times", "write_report", "write_manuscript"}
    assert {file.stem for file in folder.glob("*.tsv")} - later <= told
    assert len(told) > 20
