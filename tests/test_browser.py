"""Every page in a browser: nothing overflows, every picture loads, every link resolves."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import synthetic_results as synthetic
from browser import WIDTHS, look_at, needs_browser
from conftest import ROOT, Project

from alliance.estimation.published import obtain
from alliance.figures import FIGURES, figure_bytes, make_figure
from alliance.figures.reproduction import make_reproduction
from alliance.instruments import load_instruments
from alliance.published_run import compare_runs, summarise_comparison
from alliance.report import build_report, figure_words, read_figure
from alliance.report.reproduction import ReproductionInputs, build_reproduction, data_file
from alliance.report.run_times import build_run_times, run_times
from alliance.report.verification import VerifiedStudy, build_verification
from alliance.verification import compare, read_benchmarks, read_open_data

pytestmark = needs_browser
SCREEN = 900  # pixels: the height of a usual window
PAPER = 717  # pixels: an A4 sheet between the usual margins of a browser


def write(page: Path, text: str) -> Path:
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")
    return page


def report_page(folder: Path) -> Path:
    """The report of made-up results, with every figure that can be drawn from them."""
    inputs = synthetic.figure_inputs()
    drawn = [make_figure(name, inputs) for name in FIGURES]
    figures = tuple(read_figure(figure_words(d), figure_bytes(d.figure, "png")) for d in drawn)
    keys = load_instruments(ROOT / "config" / "instruments", ["core10"])
    return write(
        folder / "report.html", build_report(synthetic.report_inputs(figures, instruments=keys))
    )


def reproduction_page(folder: Path) -> Path:
    """The page of published results; the data may be absent, which is a page as well."""
    path = ROOT / "data/published/benchmarks.yaml"
    benchmarks = read_benchmarks(path)
    table = compare(benchmarks, obtain(benchmarks.models, read_open_data(benchmarks, ROOT)))
    drawn = make_reproduction(table)
    figure = read_figure(figure_words(drawn), figure_bytes(drawn.figure, "png"))
    files = tuple(data_file(entry, path) for entry in benchmarks.data.values())
    table.to_csv(folder / "comparison.csv", index=False)
    page = build_reproduction(ReproductionInputs(table, figure, files, {"numpy": "2.5.5"}))
    return write(folder / "index.html", page)


def verification_page(folder: Path) -> Path:
    """A page on which numbers differ, so that both kinds of tables are there."""
    run = {("estimates", "estimates"): synthetic.estimates()}
    table = synthetic.estimates()
    table.loc[:9, "estimate"] += 1.0
    comparison = compare_runs(run, {("estimates", "estimates"): table})
    (folder / "clinic").mkdir()
    comparison.to_csv(folder / "clinic/comparison.csv", index=False)
    study = VerifiedStudy(
        "clinic", comparison, summarise_comparison(comparison), {"versions": {"numpy": "2.0"}}
    )
    return write(folder / "index.html", build_verification([study], ["brief"], {"numpy": "2.5"}))


def run_times_page(folder: Path) -> Path:
    """The page of run times, a folder below its report."""
    write(folder / "report.html", "")
    steps = {f"step_with_a_long_name_{i}": pd.DataFrame({"s": [float(i)]}) for i in range(40)}
    write(folder / "benchmarks/run_times.csv", "")
    page = build_run_times(run_times(steps), "A study with a long title " * 5)
    return write(folder / "benchmarks/run_times.html", page)


PAGES = (report_page, reproduction_page, verification_page, run_times_page)


@pytest.mark.parametrize("make", PAGES)
def test_a_page_is_whole_in_a_browser(make, tmp_path):
    seen = look_at(make(tmp_path), tmp_path)
    assert seen.faults() == []
    assert set(seen.overflow) == set(WIDTHS)
    assert len(seen.links) > 1
    assert seen.n_letters > 1000


def test_no_column_of_a_table_is_lost_on_paper(tmp_path):
    """What is beyond the sheet is cut off: the widest tables fit A4 between its margins."""
    page = build_report(synthetic.report_inputs())
    assert "@media print" in page
    printed = page.replace("@media print", "@media all")
    seen = look_at(write(tmp_path / "printed.html", printed), tmp_path, (PAPER,))
    assert seen.overflow == {PAPER: 0}
    cut = printed.replace(".scroll.table table { font-size: 7pt", ".none { font-size: 7pt")
    assert cut != printed
    cut = cut.replace(".scroll.table :is(td, th) { white-space: normal;", ".none {")
    seen = look_at(write(tmp_path / "cut.html", cut), tmp_path, (PAPER,))
    assert seen.overflow[PAPER] > 0


def test_the_answers_with_their_numbers_stand_on_the_first_screen(tmp_path):
    """Within clients, between clients, ruptures and repairs: seen without scrolling.

    Within clients, the dynamic model leads where it was estimated.
    """
    answers = look_at(report_page(tmp_path), tmp_path).answers[:3]
    starts = ("Within clients, earlier", "Between clients", "")
    for answer, start in zip(answers, starts, strict=True):
        assert answer["question"].startswith(start)
        text, end = answer["said"][0]
        assert "95% CI" in text.replace("\u00a0", " ")
        assert "clients" in text
        assert end < SCREEN
    assert "ruptures and repairs" in answers[2]["question"]
    repaired = [end for text, end in answers[2]["said"] if text.startswith("Clients with repaired")]
    assert repaired[0] < SCREEN


def test_each_kind_of_fault_is_found(tmp_path):
    """The test can fail: a page with one fault of each kind."""
    good = write(tmp_path / "beside.csv", "a\n")
    page = write(
        tmp_path / "bad.html",
        '<!DOCTYPE html><meta charset="utf-8"><div style="width:700px">wide</div>'
        '<img alt="gone" src="gone.png"><a href="#nowhere">a</a><a href="gone.csv">b</a>'
        f'<a href="{good.name}">c</a><h1 id="here">x</h1><a href="#here">d</a>'
        "<script>console.error('complaint')</script>",
    )
    faults = look_at(page, tmp_path).faults()
    assert [fault for fault in faults if "beyond" in fault] != []
    assert all("400 px" in fault for fault in faults if "beyond" in fault)
    assert any("picture not loaded: gone" in fault for fault in faults)
    assert sum("dead link" in fault for fault in faults) == 2
    assert any("complaint" in fault for fault in faults)


@pytest.mark.workflow
def test_the_pages_of_a_finished_study_are_whole(finished: Project, tmp_path):
    folder = finished.root / "results/mini"
    for number, name in enumerate(
        ("report.html", "tables/index.html", "benchmarks/run_times.html")
    ):
        scratch = tmp_path / str(number)
        scratch.mkdir()
        seen = look_at(folder / name, scratch)
        assert seen.faults() == [], name
