"""Every number that readers see stands in the estimates or in a table of a stage.

Two proofs. On made-up results every number of the estimates is replaced by one that occurs nowhere
else; the text must then hold these numbers and no others. On a finished run a walker reads report,
tables and text, and looks each number up among all values of the run as APA style prints them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from conftest import Project
from test_manuscript import fixed_study, inputs

from alliance.estimation.agreement import compare_estimators
from alliance.report import build_report
from alliance.tables.format import number
from alliance.text import markdown, results_text

NUMBER = re.compile(r"(?<![\w.,/-])[−]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?![\w/])%?")
NUMBERING = re.compile(r"(Figure|Table) \d+")
# 95% intervals, one point, session t+1, limits of p, "about 10%", "more than 99%", an r of .10:
# words of the sentences themselves.
CONSTANTS = {"95%", "0", "1", "2", "3", "10", "10%", "99%", "1%", ".10", ".001", ".999", "99.9%"}
CONSTANTS |= {"0.1%", "−2"}  # limit of a posterior probability; "−2 log-likelihood"
CONSTANTS |= {"4", ".025", ".975", ".05"}  # limits of elpd, predictive p, prior sensitivity


class Words(HTMLParser):
    """The visible text of a page without navigation, numbering and provenance.

    ``prose``: what stands outside of tables; ``cells``: in tables; ``answers``: the first screen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.prose: list[str] = []
        self.answers: list[str] = []
        self._skipped: list[str] = []
        self._sections: list[str] = []
        self._tables = 0

    def handle_starttag(self, tag, attrs):
        if tag in ("style", "title", "nav"):
            self._skipped.append(tag)
        if tag == "section":
            self._sections.append(dict(attrs).get("id", ""))
        self._tables += tag == "table"

    def handle_endtag(self, tag):
        if self._skipped and self._skipped[-1] == tag:
            self._skipped.pop()
        if tag == "section" and self._sections:
            self._sections.pop()
        self._tables -= tag == "table"

    def handle_data(self, data):
        if self._skipped or "provenance" in self._sections:
            return
        if "glance" in self._sections:
            self.answers.append(data)
        else:
            (self.cells if self._tables else self.prose).append(data)


def words_of(page: str) -> Words:
    reader = Words()
    reader.feed(page)
    return reader


def numbers_in(text: str) -> set[str]:
    """Numbers as written, with a true minus sign and the percent sign; WAI-12 or T2 hold none."""
    plain = NUMBERING.sub("", text.replace("\u00a0", " "))
    found = (match[0] for match in NUMBER.finditer(plain))
    return {n for n in found if any(ch.isdigit() for ch in n)}


def written(values: Iterable[float]) -> set[str]:
    """Every way in which the values may be printed: as they are, as size, as percentage.

    A share becomes a percentage only before a percent sign.
    """
    forms: set[str] = set()
    for value in filter(np.isfinite, values):
        for digits in range(5):
            for shown in (value, abs(value)):
                forms.add(number(shown, digits))
                forms.add(number(shown, digits, bounded=True))
                forms.add(f"{number(shown, digits)}%")
            forms.add(f"{number(100 * value, digits)}%")
    return forms


def in_tables(values: Iterable[float]) -> set[str]:
    """As in sentences, and shares as percentages without a sign, which stands in the heading."""
    finite = [value for value in values if np.isfinite(value)]
    return written(finite) | {number(100 * v, digits) for v in finite for digits in range(5)}


def with_numbers_of_their_own() -> pd.DataFrame:
    """The made-up estimates, each number replaced by one that occurs nowhere else."""
    rows = synthetic.estimates()
    numeric = rows.select_dtypes("number").columns.drop(["seed", "lag"])
    at = 0
    for name in numeric:
        rows[name] = rows[name].astype(float)
        for index in rows.index[rows[name].notna()]:
            at += 1
            bounded = name in ("p", "pd")
            rows.loc[index, name] = at / 9999 if bounded else 2000 + 11.37 * at
            if name.startswith("n_"):
                rows.loc[index, name] = 200_000 + 37 * at
    rows["se"] = rows["se"].where(rows["se"].isna(), 3.0 + rows.index / 100)  # two decimals
    return rows


def test_text_and_report_hold_the_numbers_of_the_estimates_and_no_others():
    rows = with_numbers_of_their_own()
    study = fixed_study()
    without = dict.fromkeys(("flow", "sample", "reliability"))
    text = markdown(results_text(inputs(study, estimates=rows, **without)))
    others = ("measures", "correlations", "validation", "cleaning_log", "truth", "bayes_checks")
    page = build_report(
        synthetic.report_inputs(
            study=study,
            estimates=rows,
            ruptures={},
            noise={},
            rupture_sources={},
            **without,
            **dict.fromkeys(others),
        )
    )
    compared = compare_estimators(rows).select_dtypes("number").to_numpy().ravel()
    known = written([*rows.select_dtypes("number").to_numpy().ravel(), *compared]) | CONSTANTS
    for name in ("reason", "estimand", "trend", "known_bias"):
        known |= {n for words in rows[name].dropna().unique() for n in numbers_in(str(words))}
    seen = words_of(page)
    prose = [text, *seen.answers, *seen.prose]
    shown = numbers_in(" | ".join([*prose, *seen.cells]))
    assert len(shown & written(rows["estimate"])) > 20
    assert untraced(prose, known) == {}
    values = [*rows.select_dtypes("number").to_numpy().ravel(), *compared]
    assert untraced(seen.cells, known | in_tables(values)) == {}


def values_of(root: Path, *names: str) -> set[float]:
    """All numbers of all tables of a run, or of those of these names.

    Printed tables and the numbers of figures do not count: they are made of the others.
    """
    files = [path for pattern in names or ("*.csv", "*.tsv") for path in root.rglob(pattern)]
    values: set[float] = set()
    for path in files:
        if {"apa", "figures", "logs", "benchmarks"} & set(path.relative_to(root).parts):
            continue
        frame = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
        for name in frame.columns:
            if pd.api.types.is_numeric_dtype(frame[name]):
                values |= set(frame[name].dropna().astype(float))
            else:  # numbers in words of the tables, such as the reason of a refusal
                words = " ".join(frame[name].dropna().astype(str).unique())
                values |= {plain(number) for number in numbers_in(words)}
    return values


def plain(shown: str) -> float:
    return float(shown.replace(",", "").replace("−", "-").rstrip("%"))


def numbers_declared(project: Project, study: str) -> set[float]:
    """Numbers of the study file, of instruments, rules and priors, and versions of software."""
    config = project.root / "config"
    files = [config / f"studies/{study}.yaml", config / "priors.yaml"]
    files += [project.root / "data/published/effects.csv"]
    files += [*(config / "instruments").glob("*.yaml"), *(config / "ruptures").glob("*.yaml")]
    content = " ".join(path.read_text("utf-8") for path in files)
    found = re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", content)
    signed = {float(n) for n in found if len(n) < 12}
    return signed | {abs(n) for n in signed}


def untraced(texts: Iterable[str], known: set[str]) -> dict[str, str]:
    """Number -> the text it stands in, for numbers that no table holds."""
    return {n: text.strip()[:120] for text in texts for n in numbers_in(text) - known}


VERSION = re.compile(
    r"(?:workflow|Python|nutpie|PyMC|ArviZ|pandas|NumPy|SciPy|statsmodels) [\d.]+\d"
    r"|random numbers is \d+"
)
YEAR = re.compile(r"(?:, | \(|[a-z.] )(?:19|20)\d\d\b")  # of a citation


@pytest.mark.workflow
def test_every_number_of_a_finished_run_is_in_its_tables(finished: Project):
    walk(finished, "mini")


def walk(project: Project, study: str) -> None:
    """Every number that readers see, with what it may come from; the narrower, the earlier.

    The first screen shows estimates and the flow of data alone, results what stages found; only
    methods and explanations may name what was declared.
    """
    base = project.root / f"results/{study}"
    first = written(values_of(base, "estimates.csv", "flow.tsv")) | CONSTANTS
    found = values_of(base)
    stages = written(found) | CONSTANTS
    declared = stages | written(numbers_declared(project, study))
    page = words_of((base / "report.html").read_text("utf-8"))
    printed = [words_of(p.read_text("utf-8")) for p in (base / "tables/apa").glob("*.html")]
    cells = [text for one in (page, *printed) for text in one.cells]
    told = {name: (base / f"manuscript/{name}.md").read_text("utf-8") for name in TEXTS}
    parts = {
        "first screen": (page.answers, first),
        "results": ([told["results"]], stages),
        "tables": (cells, stages | in_tables(found)),
        "report": ([text for one in (page, *printed) for text in one.prose], declared),
        "methods": ([VERSION.sub("", told["methods"])], declared),
        "checklists": ([VERSION.sub("", told["checklists"])], declared),
    }
    assert sum(len(numbers_in(text)) for texts, _ in parts.values() for text in texts) > 300
    astray = {
        part: untraced([YEAR.sub("", text) for text in texts], known)
        for part, (texts, known) in parts.items()
    }
    assert {part: numbers for part, numbers in astray.items() if numbers} == {}


TEXTS = ("methods", "results", "checklists")


def test_the_walker_finds_a_number_that_nobody_estimated():
    known = written([-2.084, 0.61]) | CONSTANTS
    assert untraced(["b = −2.08, 95% CI", "ICC .61", "61.0%"], known) == {}
    assert set(untraced(["b = −2.09", "ICC .62"], known)) == {"−2.09", ".62"}
