"""Tables: numbers in APA style, cells where they belong, everything escaped."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

import docx
import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
import yaml

from alliance.study import load_study
from alliance.tables import (
    TABLE_STYLE,
    ApaTable,
    Column,
    Row,
    TableInputs,
    document_bytes,
    latex_text,
    make_tables,
    table_csv,
    table_document,
    table_html,
    table_latex,
    table_page,
    tables_document,
    truth_frame,
)
from alliance.tables import format as fmt
from alliance.tables.apa import with_statistics
from alliance.tables.models import term_words, triangulation_table, truth_table


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (fmt.number(-0.834), "−0.83"),
        (fmt.number(-0.834, bounded=True), "−.83"),
        (fmt.number(1.0, bounded=True), "1.00"),
        (fmt.number(-0.0004), "0.00"),
        (fmt.number(1938.0, 0), "1,938"),
        (fmt.number(float("nan")), "–"),
        (fmt.interval(-1.2, 0.3), "[−1.20, 0.30]"),
        (fmt.with_interval(0.5, float("nan"), 1.0), "0.50"),
        (fmt.p_value(0.00004), "< .001"),
        (fmt.p_value(0.0344), ".034"),
        (fmt.p_value(0.9999), "> .999"),
        (fmt.p_text(0.0344), "p = .034"),
        (fmt.p_text(0.0001), "p < .001"),
        (fmt.p_text(float("nan")), ""),
        (fmt.direction(0.99999), "> 99.9%"),
        (fmt.direction(0.93), "93.0%"),
        (fmt.percent(14.66), "14.7%"),
        (fmt.counted(1, "client"), "1 client"),
        (fmt.counted(2190, "observation"), "2,190 observations"),
        (fmt.counted(float("nan"), "client"), "an unknown number of clients"),
    ],
)
def test_numbers_in_apa_style(text, expected):
    assert text == expected


@pytest.mark.parametrize(
    ("se", "digits"), [(0.5, 2), (0.05, 3), (0.0031, 4), (12, 2), (np.nan, 2), (0, 2), (1e-9, 4)]
)
def test_small_standard_errors_get_more_digits(se, digits):
    assert fmt.digits_for(se) == digits


@pytest.fixture(scope="module")
def inputs():
    return TableInputs(
        synthetic.study(), synthetic.estimates(), synthetic.flow(), synthetic.sample(),
        synthetic.measures(), synthetic.correlations(), synthetic.reliability(),
        {"client_rated": synthetic.ruptures()["rupture_summary"]}, synthetic.truth(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def tables(inputs):
    return make_tables(inputs)


def cells(table: ApaTable, name: str) -> tuple[str, ...]:
    return next(row.cells[1:] for row in table.rows if row.cells[0] == name)


def test_all_tables_are_made_in_order(tables):
    assert list(tables) == [
        "flow", "reliability", "sample", "descriptives", "model_main", "model_therapist_rated",
        "model_three_level", "triangulation", "trend_main", "diagnostics",
        "dynamics_next_session", "dynamics_phases_next_session",
        "dynamics_reliability_next_session", "dynamics_estimators_next_session",
        "ruptures_client_rated", "rupture_outcome_client_rated", "truth",
    ]  # fmt: skip


def test_model_table_has_both_estimators_side_by_side(tables):
    table = tables["model_main"]
    assert [c.span for c in table.columns] == ["", *["REML"] * 3, *["Bayesian (NUTS)"] * 3]
    assert cells(table, "Within clients")[:4] == (
        "−1.21 [−1.64, −0.78]", "0.22", "< .001", "−1.20 [−1.63, −0.77]",
    )  # fmt: skip
    note = " ".join(table.notes)
    assert "2,190 observations of 228 clients" in note
    assert "CORE-10 points per WAI-SR point" in note
    assert "higher is worse" in note


def _with_rows(estimates, *rows):
    """The estimates of model ``main`` and further rows of it, by REML unless said otherwise."""
    base = estimates[(estimates["analysis"] == "main") & (estimates["term"] == "intercept")]
    made = [
        base[base["estimator"].str.startswith(row.get("estimator", "REML"))]
        .head(1)
        .assign(**({"ci_low": np.nan, "ci_high": np.nan, "p": np.nan, "interval": ""} | row))
        for row in rows
    ]
    assert all(len(one) == 1 for one in made)
    return pd.concat([estimates, *made], ignore_index=True)


def test_a_row_of_the_model_table_has_as_many_decimals_for_every_estimator(inputs):
    """REML gives a variance no standard error, its twin does: 3.46 beside 3.469 was the result."""
    sd = {"term": "sd_residual", "kind": "standard_deviation", "estimate": 3.4633}
    share = {"term": "icc", "kind": "proportion", "units": "proportion", "estimate": 0.6146}
    rows = [
        sd | {"se": np.nan}, sd | {"se": 0.054, "estimator": "NUTS (PyMC, nutpie)"},
        share | {"se": np.nan}, share | {"se": 0.025, "estimator": "NUTS (PyMC, nutpie)"},
        {"term": "pct_same_sign", "units": "%", "estimate": 84.15, "se": np.nan},
        {"term": "pct_expected_sign", "units": "%", "estimate": 84.15, "se": np.nan},
        {"term": "attenuation", "units": "proportion", "estimate": 0.9593, "se": 0.0050},
    ]  # fmt: skip
    own = inputs.estimates[~inputs.estimates["term"].isin({row["term"] for row in rows})]
    table = make_tables(TableInputs(inputs.study, _with_rows(own, *rows)))["model_main"]
    residual = cells(table, "Residual SD")
    assert (residual[0], residual[3]) == ("3.463", "3.463")
    shown = cells(table, "Intraclass correlation, clients")
    assert (shown[0], shown[3]) == (".61", ".61")
    assert cells(table, "Clients whose slope has the average sign (%)")[0] == "84.2"
    assert cells(table, "Reliability of the client means")[:2] == (".959", ".005")
    named = [row.cells[0] for row in table.rows]
    assert not [name for name in named if "higher predictor goes" in name]  # the same share


def test_a_share_that_is_not_that_of_the_average_sign_is_shown(inputs):
    rows = [
        {"term": "pct_same_sign", "units": "%", "estimate": 84.15, "se": np.nan},
        {"term": "pct_expected_sign", "units": "%", "estimate": 15.85, "se": np.nan},
    ]
    estimates = _with_rows(inputs.estimates, *rows)
    table = make_tables(TableInputs(inputs.study, estimates))["model_main"]
    name = "Clients in whom a higher predictor goes with a better outcome (%)"
    assert cells(table, name)[0] == "15.8"


def test_the_note_of_a_model_table_says_how_intervals_and_tests_were_made(inputs):
    rows = [
        {"term": "sd_within", "ci_low": 0.1, "ci_high": 0.9, "interval": "95% profile likelihood"},
        {"term": "icc", "ci_low": 0.5, "ci_high": 0.7, "interval": "95% Wald on the logit scale"},
        {"term": "lr_sd_within", "p": 0.01, "kind": "test",
         "estimand": "Likelihood-ratio test (mixture of chi2(1) and chi2(2))"},
        {"term": "r2_f1", "units": "proportion", "estimate": 0.1},
    ]  # fmt: skip
    own = inputs.estimates[~inputs.estimates["term"].isin({row["term"] for row in rows})]
    table = make_tables(TableInputs(inputs.study, _with_rows(own, *rows)))["model_main"]
    note = " ".join(table.notes)
    assert "; SDs and correlations: profile likelihood; intraclass correlation: Wald on the" in note
    assert "equal mixtures of χ²(1) and χ²(2), because zero is the smallest" in note
    assert "R²: fixed effects are those of the predictor and of all covariates" in note


def test_random_effects_are_named_in_words():
    assert term_words("cor_intercept_within") == "Correlation of clients' levels and within slopes"
    assert term_words("cor_therapist_intercept_time") == (
        "Correlation of therapists' levels and slopes over time"
    )


def test_refused_model_says_why_and_shows_no_number(tables):
    table = tables["model_three_level"]
    assert [row.cells for row in table.rows] == [("Not estimated", *[""] * 6)]
    assert "only 12 therapists" in " ".join(table.notes)


def test_failed_diagnostics_are_marked(inputs):
    estimates = inputs.estimates.copy()
    failed = (estimates["analysis"] == "main") & estimates["estimator"].str.startswith("NUTS")
    estimates.loc[failed, ["status", "reason"]] = ["diagnostics_failed", "R-hat 1.2"]
    table = make_tables(TableInputs(inputs.study, estimates))["model_main"]
    assert cells(table, "Within clients")[3].endswith("*")
    assert "* Diagnostics failed: R-hat 1.2." in table.notes
    gate = make_tables(TableInputs(inputs.study, estimates))["diagnostics"]
    assert gate.rows[0].cells[-1] == "failed"


def test_descriptives_hold_one_triangle_per_level(tables):
    table = tables["descriptives"]
    first, last = (
        cells(table, "1. Alliance, client (WAI-SR)"),
        cells(table, "3. Symptoms (CORE-10)"),
    )
    assert first[-3:] == ("", ".31", "−.12")  # within clients above the diagonal
    assert last[-3:] == ("−.33", "−.21", "")  # between clients below it
    assert "above the diagonal are within clients" in " ".join(table.notes)


def test_suppressed_cells_show_nothing(tables):
    assert cells(tables["sample"], "80+") == ("not shown", "", "", "")
    assert "fewer than 5 clients" in " ".join(tables["sample"].notes)


def test_triangulation_in_standard_errors(inputs):
    table = triangulation_table(inputs.estimates, {"main": "Main"})
    assert cells(table, "Within clients") == ("−1.21", "−1.21", "0.00", "−1.20", "0.05")
    record = table.numbers.iloc[0]
    assert record["nuts_difference_se"] == pytest.approx(0.01 / 0.22)


def test_a_simpler_form_that_mixedlm_fitted_is_named(inputs):
    estimates = inputs.estimates.copy()
    check = (estimates["analysis"] == "main") & estimates["estimator"].str.startswith("MixedLM")
    assert check.any()
    estimates["known_bias"] = "no lagged outcome"
    assert "MixedLM, Main:" not in " ".join(triangulation_table(estimates, {"main": "Main"}).notes)
    estimates.loc[check, "known_bias"] = "no lagged outcome; level and slope taken as uncorrelated"
    notes = " ".join(triangulation_table(estimates, {"main": "Main"}).notes)
    assert "MixedLM, Main: level and slope taken as uncorrelated." in notes


def test_triangulation_has_columns_for_estimators_that_were_used(inputs):
    estimates = inputs.estimates
    plain = estimates[~estimates["estimator"].str.contains("NUTS")]
    table = triangulation_table(plain, {"main": "Main"})
    assert cells(table, "Within clients") == ("−1.21", "−1.21", "0.00")
    assert "Two Estimators" in table.title
    assert "NUTS" not in " ".join(table.notes) + " ".join(c.span for c in table.columns)
    alone = plain[~plain["estimator"].str.contains("MixedLM")]
    assert triangulation_table(alone, {"main": "Main"}) is None


def test_truth_beside_estimates(inputs):
    table = truth_table(inputs.estimates, inputs.truth, {"main": "Main", "three_level": "Three"})
    assert cells(table, "Between clients") == (
        "−2.10", "−2.40 [−3.40, −1.40]", "yes", "−2.39 [−3.39, −1.39]", "yes",
    )  # fmt: skip
    assert table.rows[-1].cells == (
        "Within clients", "−1.15", "not estimated", "–", "not estimated", "–",
    )  # fmt: skip
    assert "value: 0 of 4 intervals by REML or ML, and 0 of 4 Bayesian intervals." in table.notes[1]
    off = inputs.truth.copy()
    off.loc[off["term"] == "between", "value"] = 9.0
    table = truth_table(inputs.estimates, off, {"main": "Main", "three_level": "Three"})
    assert "1 of 4 intervals by REML or ML (between clients)" in table.notes[1]
    far = inputs.truth.assign(value=99.0)
    assert cells(truth_table(inputs.estimates, far, {"main": "Main"}), "Time")[2] == "no"


def test_truth_of_the_bundled_study_has_the_terms_of_the_estimates():
    path = synthetic.ROOT / "data" / "simulated" / "clinic" / "truth.yaml"
    frame = truth_frame(yaml.safe_load(path.read_text("utf-8"))["estimands"])
    assert {"within", "between", "time", "sd_residual"} <= set(frame["term"])
    study = load_study(synthetic.ROOT / "config/studies/clinic.yaml")
    assert set(frame["analysis"]) == {*study.models, *study.dynamics}
    assert frame["value"].notna().all()


def test_steps_that_removed_nothing_are_a_note(tables):
    table = tables["flow"]
    assert len(table.rows) == 6
    assert table.notes[-1] == "Steps that removed no row: out of range."
    assert len(table.numbers) == 7  # the CSV has them all


def test_scores_without_items_give_no_reliability_table(inputs):
    reliability = synthetic.reliability().assign(estimate=np.nan, status="not_estimated")
    assert make_tables(TableInputs(inputs.study, reliability=reliability)) == {}


def test_a_single_count_is_one_row(inputs):
    names = synthetic.sample().columns
    row = ("clients", "Clients", np.nan, "n (%)", 43, np.nan, np.nan, np.nan, False)
    table = make_tables(TableInputs(inputs.study, sample=pd.DataFrame([row], columns=names)))
    assert [r.cells for r in table["sample"].rows] == [("Clients", "43", "", "", "")]


def test_rupture_contrast_without_estimate_gives_its_reason(tables):
    table = tables["rupture_outcome_client_rated"]
    assert cells(table, "Repaired minus not repaired")[0] == "not estimated"
    assert "fewer than 10 clients: unrepaired (8)" in " ".join(table.notes)


def test_words_absent_from_csv_files_are_not_nan(inputs):
    flow = synthetic.flow().assign(reason=np.nan)
    sample = synthetic.sample().assign(category=np.nan)
    tables = make_tables(TableInputs(inputs.study, flow=flow, sample=sample))
    assert all("nan" not in c.lower() for t in tables.values() for r in t.rows for c in r.cells)


def test_a_study_without_anything_gives_no_tables(inputs):
    assert make_tables(TableInputs(inputs.study)) == {}


class _Grid(HTMLParser):
    """Counts the columns of every row, spans included."""

    def __init__(self) -> None:
        super().__init__()
        self.widths: list[int] = []

    def handle_starttag(self, tag, attrs) -> None:
        if tag == "tr":
            self.widths.append(0)
        elif tag in ("td", "th"):
            self.widths[-1] += int(dict(attrs).get("colspan", 1))


def test_html_rows_are_equally_wide(tables):
    for table in tables.values():
        grid = _Grid()
        grid.feed(table_html(table, "Table 1"))
        assert set(grid.widths) == {len(table.columns)}, table.name


def test_statistical_symbols_are_in_italics_and_letters_of_names_are_not():
    texts = {
        "p (null)": ["p"], "r [95% CI]": ["r"], "SE": ["SE"], "pooled SDs of M": ["SD", "M"],
        "t(12) = 2.1, p = .03": ["t", "p"], "n": ["n"], "Estimate": [], "WAI-M, client's": [],
        "session t+1": ["t"], "F(2, 161) = 0.04": ["F"], "F-test": [], "r2": [],
        "N. N. of St. P": [], "p. 12": ["p"],
    }  # fmt: skip
    for text, symbols in texts.items():
        pieces = list(with_statistics(text))
        assert "".join(part for part, _ in pieces) == text
        assert [part for part, on in pieces if on] == symbols, text


def test_html_is_escaped():
    evil = '<script>alert(1)</script> & "x"'
    table = ApaTable("t", evil, (Column(evil, evil), Column("p")), (Row((evil, "1")),), (evil,))
    page = table_page(table, TABLE_STYLE)
    assert "<script>" not in page
    assert page.count("&lt;script&gt;") == 6


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="as many cells"):
        ApaTable("t", "T", (Column("a"), Column("b")), (Row(("x",)),))


def test_csv_holds_numbers_not_words(tables):
    text = table_csv(tables["model_main"])
    again = pd.read_csv(pd.io.common.StringIO(text))
    assert again["estimate"].iloc[1] == -1.21


def word_tables(document: bytes):
    return docx.Document(io.BytesIO(document)).tables


def test_word_table_holds_the_same_cells_with_a_repeated_heading_and_three_rules(tables):
    table = tables["model_main"]
    written = word_tables(document_bytes(table_document(table)))[0]
    assert len(written.rows) == len(table.rows) + 2  # spans and headings
    assert [cell.text for cell in written.rows[1].cells] == [c.heading for c in table.columns]
    body = [[cell.text.strip() for cell in row.cells] for row in written.rows[2:]]
    for row, cells_ in zip(table.rows, body, strict=True):
        expected = list(row.cells) * len(table.columns) if row.section else list(row.cells)
        assert cells_ == expected
    for row, cells_ in zip(table.rows, written.rows[2:], strict=True):
        if not row.section:  # further lines of a long name stand further in than its first
            name = cells_.cells[0].paragraphs[0].paragraph_format
            assert name.left_indent == (2 if row.indent else 1) * -name.first_line_indent > 0
    for cell in (cell for row in written.rows[1:] for cell in row.cells):
        mark = cell.paragraphs[0]._p.pPr[-1]  # last, as the schema wants it
        assert mark.tag.endswith("}rPr"), "an empty cell would be higher than the text"
        assert mark[0].get(mark[0].tag.replace("}sz", "}val")) == "19"
    xml = written._tbl.xml
    assert xml.count("<w:tblHeader") == 2
    assert 'w:top w:val="single"' in xml
    assert 'w:bottom w:val="single"' in xml
    assert "w:left w:val" not in xml.partition("<w:tr ")[2], "APA tables have no vertical rules"


def test_word_document_of_all_tables_is_the_same_bytes_every_time(tables):
    first = document_bytes(tables_document(tables.values(), "A study"))
    again = document_bytes(tables_document(tables.values(), "A study"))
    assert first == again
    assert len(word_tables(first)) == len(tables)
    text = [p.text for p in docx.Document(io.BytesIO(first)).paragraphs]
    for number, table in enumerate(tables.values(), 1):
        assert f"Table {number}" in text
        assert table.title in text
        assert any(line.startswith("Note. ") for line in text) or not table.notes


def test_latex_table_is_balanced_and_escapes_what_latex_would_read(tables):
    for table in tables.values():
        text = table_latex(table)
        assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
        body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
        assert len(body) == len(table.rows)
        for line, row in zip(body, table.rows, strict=True):
            assert line.endswith(r"\\")
            cells_ = re.findall(r"(?<!\\)&", line)
            assert len(cells_) == (0 if row.section else len(table.columns) - 1)


def test_latex_escapes_every_special_character():
    assert latex_text(r"5% of $x_1 & #2 {a} \b ~^") == (
        r"5\% of \$x\_1 \& \#2 \{a\} \textbackslash{}b \textasciitilde{}\textasciicircum{}"
    )
    assert latex_text("b = −0.56, p < .001") == "b = $-$0.56, p $<$ .001"
    table = ApaTable("t", "T", (Column("a"), Column("b")), (Row(("x", "[0, 1]")),))
    assert r"x & {}[0, 1] \\" in table_latex(table)
