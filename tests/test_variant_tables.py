"""Tables and sentences of variants and associations, from rows of made-up studies."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest
import synthetic_results as synthetic
from test_association import CONTEXT as EARLY
from test_association import COVARIATES as EARLY_COVARIATES
from test_association import PUBLISHED, made_up
from test_association import spec as association_spec
from test_variants import CONTEXT, COVARIATES, fitted, spec, study, two_raters

from alliance.estimates import to_frame
from alliance.estimation.association import association_rows
from alliance.estimation.components import component_rows
from alliance.estimation.detrending import trend_rows
from alliance.estimation.effect_sizes import effect_rows
from alliance.estimation.moderators import moderator_rows
from alliance.estimation.rater_comparison import comparison_rows
from alliance.estimation.rows import reml_rows
from alliance.report.sentences import association_answer, left_out, model_answer
from alliance.study import Study
from alliance.tables.apa import table_html
from alliance.tables.format import number
from alliance.tables.models import model_table
from alliance.tables.variants import (
    analysis_words,
    association_table,
    components_table,
    moderators_table,
    raters_table,
    trend_table,
)
from alliance.text import TextInputs, variants
from alliance.text.words import statistics


def renamed(rows: list, analysis: str) -> pd.DataFrame:
    table = to_frame(rows)
    return table.assign(analysis=table["analysis"].str.replace("early", analysis))


@pytest.fixture(scope="module")
def estimates() -> pd.DataFrame:
    frame, sessions, clients = study(n=60)
    frames, specs, contexts = two_raters(n=60)
    model = spec(moderators=["arm", "severity", "own_mean"])
    early = association_rows(made_up(), association_spec(), EARLY_COVARIATES, EARLY, PUBLISHED)
    rows = [
        *trend_rows(frame, model, {}, CONTEXT),
        *component_rows(frame, sessions, model, ["goal", "task", "bond"], {}, CONTEXT),
        *moderator_rows(frame, clients, model, COVARIATES, CONTEXT),
        *comparison_rows(frames, specs, contexts, {}),
    ]
    return pd.concat([to_frame(rows), renamed(early, "early_alliance")], ignore_index=True)


def text_of(table) -> str:
    return table_html(table)


def test_every_table_has_a_row_per_question(estimates):
    trend = trend_table(estimates, "main", "Main")
    assert trend.rows[0].cells[0] == "None"
    assert len(trend.rows) == 4
    components = text_of(components_table(estimates, "main", "Main"))
    for words in ("Bond minus mean of task and goal", "Goal minus task", "Variance inflation"):
        assert words in components
    moderators = moderators_table(estimates, "main", "Main")
    sections = [row.cells[0] for row in moderators.rows if row.section]
    assert sections == ["Arm", "Severity", "The client's own mean of Alliance"]
    assert "Effect at: usual" in text_of(moderators)
    assert "random slope" in text_of(moderators)
    (against,) = {r.cells[0] for r in moderators.rows if " versus " in r.cells[0]}
    assert against == "Difference: new versus usual"  # the reference is named
    raters = raters_table(estimates, "main", "Main", {"alliance": "Client's view"})
    assert [row.cells[0] for row in raters.rows][-1] == "First minus second"
    early = text_of(association_table(estimates, "early_alliance", "Early", True))
    assert "−.278 [−.299, −.256]" in early
    assert "equal change up to the rating" in early
    assert "At equal outcome before treatment" in early
    first = text_of(association_table(estimates, "early_alliance", "Early", False))
    assert "At equal first outcome" in first
    assert "before treatment" not in first


def test_nothing_asked_gives_no_table(estimates):
    for make in (trend_table, components_table, moderators_table):
        assert make(estimates, "other", "Other") is None
    assert raters_table(estimates, "other", "Other", {}) is None
    assert association_table(estimates, "other", "Other", True) is None


def test_refusals_are_told_under_the_table():
    frame, sessions, clients = study(n=60)
    empty = clients.assign(arm=["rare"] + ["usual"] * (len(clients) - 1))
    rows = [
        *moderator_rows(frame, empty, spec(moderators=["arm"]), COVARIATES, CONTEXT),
        *component_rows(frame, sessions, spec(), [], {}, CONTEXT),
    ]
    table = to_frame(rows)
    assert "too few clients" in text_of(moderators_table(table, "main", "Main"))
    assert "fewer than two scored subscales" in text_of(components_table(table, "main", "Main"))
    told = left_out(table, synthetic.study())
    assert any("moderator arm" in sentence for sentence in told)


def test_the_first_screen_tells_the_association(estimates):
    content = synthetic.study().model_dump()
    answer = association_answer(estimates, Study.model_validate(content), "early_alliance")
    assert answer.verdict.startswith("Yes")
    assert "240 clients still in treatment" in answer.sentences[0]
    assert "r = −.278, 95% CI [−.299, −.256]" in answer.sentences[2]
    assert "sign is turned" in answer.sentences[2]
    few = association_rows(
        made_up().head(5), association_spec(), EARLY_COVARIATES, EARLY, PUBLISHED
    )
    answer = association_answer(
        renamed(few, "early_alliance"), Study.model_validate(content), "early_alliance"
    )
    assert answer.verdict == "Not estimated."
    assert "Fewer than 20 clients" in answer.sentences[0]


def test_a_within_only_model_has_its_table_and_says_what_it_leaves_out():
    frame, _, _ = study(n=40)
    design, fit = fitted(frame, "within_only")
    context = replace(CONTEXT, estimator=fit.estimator)
    rows = to_frame([*reml_rows(fit, design, context), *effect_rows(fit, design, context)])
    text = text_of(model_table(rows, "main", "Main"))
    assert "Client fixed effects" in text
    assert "cluster-robust by client" in text
    assert "does not vary within clients (within-only form)" in text
    told = model_answer(rows, synthetic.study(), "main", "between")
    assert told.verdict == "Not estimated."
    assert "within-only form" in told.sentences[0]


def test_analyses_have_names_for_readers():
    own = synthetic.study()
    main = own.models["main"].label
    assert analysis_words(own, "main.by_arm") == f"{main}: moderator arm"
    assert analysis_words(own, "main.components") == f"{main}: all components"
    other = own.models["therapist_rated"].label
    assert analysis_words(own, "main.compared_with_therapist_rated") == (
        f"{main}: compared with {other}"
    )


def test_a_refusal_is_not_a_table_of_numbers():
    rows = trend_rows(study(n=60)[0].assign(outcome=1.0), spec(), {}, CONTEXT)
    table = trend_table(to_frame(rows), "main", "Main")
    assert all("not estimated" in row.cells for row in table.rows)


# Text


def text_inputs(estimates: pd.DataFrame, **changes) -> TextInputs:
    """The bundled study with the variants of the made-up one."""
    content = synthetic.study().model_dump()
    main = content["models"]["main"]
    other = main | {"predictor": "alliance_therapist", "label": "Therapists"}
    content["models"] = {"main": main | {"compare_with": "other"}, "other": other}
    content |= {"dynamics": {}, "associations": {}, "ruptures": {}}
    given = TextInputs(Study.model_validate(content), renamed_to_main(estimates))
    return replace(given, **changes)


def renamed_to_main(estimates: pd.DataFrame) -> pd.DataFrame:
    names = estimates["analysis"].str.replace(r"^[a-z]+\.", "main.", regex=True)
    known = estimates["predictor"].where(
        estimates["predictor"].isin(["alliance_client", "alliance_therapist"]), "alliance_client"
    )
    return estimates.assign(analysis=names, predictor=known)


def words(passages: list) -> str:
    return "\n".join(text for part in passages if part for text in part.paragraphs)


def test_methods_name_each_further_question_that_was_asked(estimates: pd.DataFrame) -> None:
    text = words([variants.variants_methods(text_inputs(estimates))])
    for said in ("no course at all", "one effect per session", "were entered in a model each",
                 "after Holm", "the client's own mean",
                 "compared on the rows that have both"):  # fmt: skip
        assert said in text
    without = estimates[~estimates["analysis"].str.contains(r"\.by_|component")]
    text = words([variants.variants_methods(text_inputs(without))])
    assert "Holm" not in text
    assert "were entered" not in text
    assert "no course at all" in text


def test_results_hold_the_numbers_of_each_variant(estimates: pd.DataFrame) -> None:
    x = text_inputs(estimates, numbers={"moderators_main": 9})
    text = words(variants.variants_results(x))
    assert "within clients (Table 9)" in text
    for analysis, term in (("trend_none", "within"), ("component_goal", "between"),
                           ("components", "within_goal_minus_task"),
                           ("compared_with_", "within_difference")):  # fmt: skip
        own = x.estimates[x.estimates["analysis"].str.startswith(f"main.{analysis}")]
        row = own[own["term"] == term].iloc[0]
        assert statistics(row) in text, (analysis, term)
    test = x.estimates[x.estimates["term"] == "test_within"].iloc[0]
    assert f"*F*{test['units'][1:]} = {number(test['estimate'])}" in text
    assert not re.search(r"\bnan\b|\(\)|  ", text)


def test_a_moderator_that_could_not_be_tested_has_its_reason(estimates: pd.DataFrame) -> None:
    refused = estimates["analysis"].str.endswith(".by_arm")
    rows = estimates.copy()
    rows.loc[refused, ["status", "reason"]] = ["not_estimated", "only 4 clients have 'b'"]
    text = words(variants.variants_results(text_inputs(rows)))
    assert "was not tested: only 4 clients have 'b'." in text


def test_a_study_that_asked_nothing_further_has_no_such_section() -> None:
    x = text_inputs(synthetic.estimates())
    plain = replace(
        x, estimates=x.estimates[~x.estimates["analysis"].str.contains(".", regex=False)]
    )
    assert variants.variants_methods(plain) is None
    assert variants.variants_results(plain) == []
