"""Published numbers from the original data; and that a number which is not obtained is told."""

from __future__ import annotations

import re

import pandas as pd
import pytest
import yaml
from conftest import ROOT, Project, copy_project

from alliance.estimation.published import Obtained, obtain, published_design, term_values
from alliance.figures import NotDrawn, figure_bytes
from alliance.figures.reproduction import make_reproduction
from alliance.problems import StudyError
from alliance.report.inputs import figure_words, read_figure
from alliance.report.reproduction import (
    ReproductionInputs,
    build_reproduction,
    data_file,
    headline,
    rest_of,
)
from alliance.study import Download
from alliance.verification import (
    ABSENT,
    ANOTHER_MODEL,
    COLUMNS,
    DIFFERS,
    EXPLAINED,
    NOT_OBTAINED,
    REPRODUCED,
    Benchmarks,
    compare,
    failures,
    open_data_as_study,
    quantity_in_words,
    read_benchmarks,
    read_comparison,
    read_open_data,
    tally,
    tolerance_of,
    verdict_of,
)

FILE = ROOT / "data/published/benchmarks.yaml"


@pytest.fixture(scope="module")
def benchmarks() -> Benchmarks:
    return read_benchmarks(FILE)


@pytest.fixture(scope="module")
def compared(benchmarks: Benchmarks) -> pd.DataFrame:
    return compare(benchmarks, obtain(benchmarks.models, read_open_data(benchmarks, ROOT)))


@pytest.fixture(scope="module")
def compared_here(compared: pd.DataFrame) -> pd.DataFrame:
    """As ``compared``, where some of the data are on this machine."""
    if (compared["verdict"] == ABSENT).all():
        pytest.skip("none of the published data are here")
    return compared


def content() -> dict:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def numbers(comparison: pd.DataFrame, model: str) -> pd.DataFrame:
    return comparison[comparison["model"] == model].set_index("key")


# The published results


MODELS = tuple(content()["models"])


@pytest.mark.parametrize("model", MODELS)
def test_published_numbers_are_obtained(compared, model):
    own = compared[compared["model"] == model]
    if (own["verdict"] == ABSENT).all():
        pytest.skip(f"{own['data_title'].iloc[0]}: the data are not here")
    expected = own[own["expected"]]
    assert len(expected) > 0
    wrong = expected[~expected["verdict"].isin([REPRODUCED, EXPLAINED])]
    assert wrong.empty, wrong[["key", "printed", "obtained"]]
    assert own.loc[~own["expected"], "verdict"].isin([ANOTHER_MODEL]).all()


def test_every_model_is_checked_by_at_least_one_number(benchmarks):
    assert {block.model for block in benchmarks.numbers} == set(MODELS)


def test_differences_are_explained_by_no_more_than_one_unit_of_the_last_digit(benchmarks):
    explained = [
        (block.printed[key], known.within)
        for block in benchmarks.numbers
        for key, known in block.explained.items()
    ]
    assert len(explained) == 2
    assert all(within <= 2 * tolerance_of(printed) for printed, within in explained)


def test_a_published_fuller_model_is_shown_and_not_counted(compared):
    own = numbers(compared[~compared["expected"]], "trial_hamd_7")
    assert list(own.index) == ["b(grp=TAU)", "ci_low(grp=TAU)", "ci_high(grp=TAU)"]
    assert own["published"].tolist() == [5.40, 0.94, 9.85]
    assert tally(compared).expected == len(compared) - 9


def test_an_absent_fuller_model_does_not_stand_beside_ours(benchmarks, tmp_path):
    frames = read_open_data(benchmarks, tmp_path)
    assert tally(compare(benchmarks, obtain(benchmarks.models, frames))).another_model == 0


# Comparison


@pytest.mark.parametrize(
    ("printed", "obtained", "verdict"),
    [
        ("-2.377", -2.37749, REPRODUCED),
        ("-2.377", -2.37751, DIFFERS),
        (".650", 0.65049, REPRODUCED),
        (".65", 0.6549, REPRODUCED),
        (".650", 0.6506, DIFFERS),
        ("11", 11.4, REPRODUCED),
        ("0.15", 0.145, REPRODUCED),  # half-way: either neighbour may be printed
    ],
)
def test_comparison_to_the_digits_printed(printed, obtained, verdict):
    assert verdict_of(printed, obtained) == verdict


def test_counts_must_be_equal():
    assert verdict_of("24", 24, is_count=True) == REPRODUCED
    assert verdict_of("24", 23.9, is_count=True) == DIFFERS
    assert tolerance_of("24", is_count=True) == 0


def small(**block: object) -> Benchmarks:
    """One model with one block of numbers."""
    given = content()
    entry = {"model": "reisby_growth", "source": "r_fit", "status": "fitted"} | block
    kept = {"reisby": given["data"]["reisby"]}
    models = {"reisby_growth": given["models"]["reisby_growth"]}
    return Benchmarks.model_validate(
        {"sources": given["sources"], "data": kept, "models": models, "numbers": [entry]}
    )


GIVES = {"reisby_growth": Obtained({"b(week)": -2.3771})}


@pytest.mark.parametrize(
    ("block", "found", "verdict"),
    [
        ({"printed": {"b(week)": "-2.377"}}, GIVES, REPRODUCED),
        ({"printed": {"b(week)": "-2.379"}}, GIVES, DIFFERS),
        (
            {
                "printed": {"b(week)": "-2.379"},
                "explained": {"b(week)": {"within": 0.002, "because": "rounded twice"}},
            },
            GIVES,
            EXPLAINED,
        ),
        (
            {
                "printed": {"b(week)": "-2.389"},
                "explained": {"b(week)": {"within": 0.002, "because": "rounded twice"}},
            },
            GIVES,
            DIFFERS,
        ),
        ({"printed": {"b(week)": "-9"}, "another_model": "a fuller one"}, GIVES, ANOTHER_MODEL),
        ({"printed": {"b(month)": "1"}}, GIVES, NOT_OBTAINED),
        ({"printed": {"b(week)": "1"}}, {"reisby_growth": Obtained(reason="no")}, NOT_OBTAINED),
        (
            {"printed": {"b(week)": "1"}},
            {"reisby_growth": Obtained(reason="the data are not here", absent=True)},
            ABSENT,
        ),
    ],
)
def test_verdicts(block, found, verdict):
    made = compare(small(**block), found)
    assert made["verdict"].tolist() == [verdict]
    problems = failures(made, "index.html")
    assert len(problems) == (verdict in (DIFFERS, NOT_OBTAINED))
    assert tally(made).failed == len(problems)


def test_a_failure_names_the_number_and_both_values():
    made = compare(small(printed={"b(week)": "-2.379"}), GIVES)
    problem = failures(made, "index.html")[0]
    assert "week" in problem.where
    assert problem.found == "-2.3771"
    assert problem.expected.startswith("-2.379 ")


def test_absent_data_are_said_to_be_absent(benchmarks, tmp_path):
    frames = read_open_data(benchmarks, tmp_path)
    assert set(frames.values()) == {None}
    made = compare(benchmarks, obtain(benchmarks.models, frames))
    counts = tally(made)
    assert (made["verdict"] == ABSENT).all()
    assert (counts.reproduced, counts.failed) == (0, 0)
    assert counts.absent == counts.expected > 0
    assert failures(made, "index.html") == []
    assert "download_published" in " ".join(rest_of(counts))


def test_an_unknown_name_is_refused(tmp_path):
    changed = content()
    changed["numbers"][0]["model"] = "reisby_grwth"
    file = tmp_path / "benchmarks.yaml"
    file.write_text(yaml.safe_dump(changed), encoding="utf-8")
    with pytest.raises(StudyError, match="Did you mean 'reisby_growth'"):
        read_benchmarks(file)


def test_a_misspelled_key_is_refused(tmp_path):
    changed = content()
    changed["models"]["plasma"]["randm"] = ["intercept"]
    file = tmp_path / "benchmarks.yaml"
    file.write_text(yaml.safe_dump(changed), encoding="utf-8")
    with pytest.raises(StudyError, match="randm"):
        read_benchmarks(file)


def test_open_data_can_be_downloaded_like_those_of_a_study(benchmarks):
    tables = open_data_as_study(benchmarks.data).data.tables
    assert set(tables) == set(benchmarks.data)
    assert all(isinstance(table.download, Download) for table in tables.values())


# Designs from descriptions

ROWS = pd.DataFrame(
    {
        "id": [1.0, 1.0, 2.0, 2.0],
        "x": [1.0, 3.0, 10.0, 20.0],
        "site": [1.0, 2.0, 2.0, 3.0],
        "arm": ["a", "b", "b", "a"],
        "y": [1.0, 2.0, 3.0, None],
    }
)


@pytest.mark.parametrize(
    ("term", "values"),
    [
        ("x", [1, 3, 10, 20]),
        ("mean(x)", [2, 2, 15, 15]),
        ("deviation(x)", [-1, 1, -5, 5]),
        ("site=2", [0, 1, 1, 0]),
        ("x:arm=b", [0, 3, 10, 0]),
        ("deviation(x):site=2", [0, 1, -5, 0]),
    ],
)
def test_terms(term, values):
    assert term_values(ROWS, term, ROWS["id"]).tolist() == values


def test_means_are_taken_over_the_rows_that_are_used():
    given = content()["models"]["plasma_levels"] | {
        "client": "id", "outcome": "y", "fixed": ["mean(x)"], "random": ["intercept"],
    }  # fmt: skip
    model = small(printed={"n_rows": "1"}).models["reisby_growth"].model_copy(
        update={key: given[key] for key in ("client", "outcome", "fixed", "random")}
    )  # fmt: skip
    design = published_design(ROWS, model)
    assert design.X[:, 1].tolist() == [2, 2, 10]
    with pytest.raises(ValueError, match="lack the columns z"):
        published_design(ROWS, model.model_copy(update={"fixed": ("z",)}))


def test_quantities_in_words():
    assert quantity_in_words("se(a:b)", {"a:b": "a × b"}) == "a × b, SE"
    assert quantity_in_words("covariance(intercept, week)", {}) == "covariance of intercept, week"


# The page


@pytest.fixture
def page(compared, benchmarks):
    def build(table: pd.DataFrame) -> str:
        drawn = make_reproduction(table)
        figure = read_figure(figure_words(drawn), figure_bytes(drawn.figure, "png"))
        files = tuple(data_file(entry, None) for entry in benchmarks.data.values())
        return build_reproduction(ReproductionInputs(table, figure, files, {"numpy": "2"}))

    return build


def altered(compared: pd.DataFrame, verdict: str) -> pd.DataFrame:
    return compared.assign(verdict=[verdict, *compared["verdict"][1:]])


def test_the_page_says_first_how_many_numbers_are_reproduced(compared_here, page):
    text = page(compared_here)
    counts = tally(compared_here)
    assert text.index(headline(counts)) < text.index("<figure")
    assert f"{counts.reproduced} of {counts.expected} numbers" in headline(counts)
    assert text == page(compared_here)


def test_the_page_names_what_is_not_reproduced(compared, page):
    text = page(altered(compared, DIFFERS))
    assert "1 number should be reproduced and is not." in text
    assert not re.search(r"https?://[^\"]*\.(js|css)", text)


def test_every_number_stands_in_a_table_of_the_page(compared, page):
    text = page(compared)
    assert len(re.findall(r'scope="row" class="indent"', text)) == len(compared)


def test_figure_numbers_are_differences_in_half_units(compared_here):
    drawn = make_reproduction(compared_here)
    assert not isinstance(drawn.figure, NotDrawn)
    assert len(drawn.numbers) == len(compared_here)
    inside = drawn.numbers.loc[drawn.numbers["verdict"] == REPRODUCED, "units"]
    assert (inside.abs() <= 1 + 1e-6).all()
    far = make_reproduction(compared_here.assign(difference=1.0, tolerance=0.0, verdict=DIFFERS))
    assert (far.numbers["units"] > 1).all()


def test_the_figure_of_absent_data_says_so(benchmarks, tmp_path):
    frames = read_open_data(benchmarks, tmp_path)
    drawn = make_reproduction(compare(benchmarks, obtain(benchmarks.models, frames)))
    assert "data not here" in drawn.text.alt
    assert drawn.figure == NotDrawn("none of the data are here")


def test_models_without_data_keep_their_line_in_the_figure(compared_here):
    absent = compared_here.assign(
        verdict=compared_here["verdict"].mask(compared_here["data"] == "wagedata", ABSENT),
        obtained=compared_here["obtained"].mask(compared_here["data"] == "wagedata"),
        difference=compared_here["difference"].mask(compared_here["data"] == "wagedata"),
    )
    drawn = make_reproduction(absent)
    words = [text.get_text() for axes in drawn.figure.axes for text in axes.texts]
    assert words.count("data not here") >= 1
    assert figure_bytes(drawn.figure, "png") == figure_bytes(drawn.figure, "png")


def test_the_table_is_read_back_as_it_was_written(compared, tmp_path):
    file = tmp_path / "comparison.csv"
    compared.to_csv(file, index=False, float_format="%.10g", lineterminator="\n")
    back = read_comparison(file)
    assert list(back.columns) == list(COLUMNS)
    pd.testing.assert_series_equal(back["printed"], compared["printed"], check_dtype=False)
    assert tally(back) == tally(compared)


# snakemake reproduce


@pytest.fixture
def reproducing(finished, tmp_path) -> Project:
    """A project with the Reisby data only, given as the files that a download leaves."""
    source = ROOT.parent / "shared/data/reisby/riesby.dat.txt"
    if not source.is_file():
        pytest.skip("riesby.dat.txt is not here")
    project = copy_project(tmp_path / "project", finished)
    copy = project.root / "data/external/f8ca3ff55707-riesby.dat.txt"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(source.read_bytes())
    return project


@pytest.mark.workflow
def test_snakemake_reproduce_ends_well_and_counts_absent_data(reproducing):
    done = reproducing.snakemake("reproduce", "--cores", "1")
    assert done.returncode == 0, done.stdout
    assert "24 of 97 numbers are reproduced" in done.stdout
    assert "73 numbers could not be looked at" in done.stdout
    text = (reproducing.root / "results/reproduce/index.html").read_text(encoding="utf-8")
    assert "The original file was read" in text


@pytest.mark.workflow
def test_an_altered_published_number_differs_and_the_run_fails(reproducing):
    reproducing.edit("data/published/benchmarks.yaml", 'b(week): "-2.377"', 'b(week): "-2.379"')
    done = reproducing.snakemake("reproduce", "--cores", "1")
    assert done.returncode == 1, done.stdout
    assert "NOT_REPRODUCED" in done.stdout
    made = read_comparison(reproducing.root / "results/reproduce/comparison.csv")
    wrong = made[made["verdict"] == DIFFERS]
    assert wrong["key"].tolist() == ["b(week)"]
    text = (reproducing.root / "results/reproduce/index.html").read_text(encoding="utf-8")
    assert "1 number should be reproduced and is not." in text
