"""Finished pages: no causal word and no counterfactual, whoever wrote the sentence."""

from __future__ import annotations

import html
import re

import pandas as pd
import pytest
import synthetic_dynamics
import synthetic_results as synthetic
from conftest import Project

from alliance.estimates import to_frame
from alliance.report import build_report
from alliance.report.dynamics import dynamic_questions, section_words
from alliance.report.sentences import study_answers
from alliance.study import Study

CAUSAL = re.compile(
    r"\b(caus\w*|leads? to|led to|effects? of|impacts?|improvement|reduc(?:es?|tion|ing)|"
    r"influenc\w*|due to|because of|produc\w*|results? in|for good|pushed|if \w+ stayed|"
    r"points away)\b",
    re.IGNORECASE,
)
# Names of models, what is denied, and a warning about the order of cause and rating.
ALLOWED = re.compile(
    r"(?:fixed|random|linear|curved|session) effects? of|(?:no|without any) effect of|"
    r"effects of all models|improvement before the rating|"
    r"by chance alone also produce|no causal wording|never causes",
    re.IGNORECASE,
)


def causal_words(page: str) -> list[str]:
    """Causal words of the visible text of a page, each with what stands around it."""
    visible = re.sub(r"<style.*?</style>", " ", page, flags=re.DOTALL)
    text = ALLOWED.sub("", html.unescape(re.sub(r"<[^>]+>", "\n", visible)))
    return [text[max(0, m.start() - 60) : m.end() + 40] for m in CAUSAL.finditer(text)]


def test_the_search_finds_what_it_is_for():
    assert causal_words("<p>A rupture leads to drop-out.</p>")
    assert causal_words("<p>If alliance stayed one point higher, it would settle.</p>")
    assert not causal_words("<p>fixed effects of clients</p>")


def test_the_made_up_report_has_no_causal_word():
    rows = to_frame(synthetic_dynamics.dynamics_rows())
    assert causal_words(build_report(synthetic.report_inputs(estimates=rows))) == []
    assert causal_words(build_report(synthetic.report_inputs())) == []


@pytest.mark.workflow
def test_finished_pages_have_no_causal_word(finished: Project):
    folder = finished.root / "results/mini"
    pages = [folder / "report.html", folder / "tables/index.html"]
    assert {page.name: causal_words(page.read_text("utf-8")) for page in pages} == {
        page.name: [] for page in pages
    }


# The dynamic models on the first screen


def changed(estimator: str, term: str, **values: object) -> pd.DataFrame:
    """Made-up rows of the dynamic model, some values of one of them replaced."""
    table = to_frame(synthetic_dynamics.dynamics_rows())
    own = table["estimator"].str.startswith(estimator) & table["term"].eq(term)
    assert own.any()
    table.loc[own, list(values)] = list(values.values())
    return table


FORWARD = "cross_lag_alliance_outcome"


def with_timing(alliance: str, outcome: str) -> Study:
    content = synthetic.study().model_dump()
    content["timing"] |= {"alliance_when": alliance, "outcome_when": outcome}
    return Study.model_validate(content)


def first_screen(estimates: pd.DataFrame) -> list[str]:
    return [answer.question for answer in study_answers(estimates, synthetic.study(), {})]


def test_the_dynamic_answer_comes_first_where_it_was_estimated():
    estimates = synthetic.estimates()
    first, *others = first_screen(estimates)
    assert first.startswith("Within clients, earlier Symptoms (CORE-10) held equal: does Alliance")
    assert others[0].startswith("Between clients")
    assert "ruptures and repairs" in others[1]
    assert others[2].startswith("Within clients: does Alliance")  # the model without carry-over
    rest = 2 * len(synthetic.study().dynamics) - 1  # the other direction, other models
    assert sum("held equal" in question for question in others) == rest
    failed = estimates.copy()
    dynamic = failed["analysis"].eq("next_session")
    failed.loc[dynamic, ["status", "reason"]] = ["diagnostics_failed", "not stationary"]
    assert first_screen(failed)[0].startswith("Within clients: does Alliance")
    assert sum("held equal" in question for question in first_screen(failed)) == rest + 1


def test_a_second_estimator_that_is_not_clear_is_told_with_the_verdict():
    wide = changed("ML-SEM", FORWARD, estimate=-0.4, ci_low=-1.0, ci_high=0.2)
    (_, verdict, said), *_ = dynamic_questions(wide, synthetic.study())
    assert verdict == (
        "Yes: a higher rating goes with a better outcome; the second estimator leaves it open."
    )
    assert any("does not bear this out: its interval includes zero (b = −0.40" in s for s in said)
    other = changed("ML-SEM", FORWARD, estimate=0.4, ci_low=0.1, ci_high=0.7)
    (_, _, said), *_ = dynamic_questions(other, synthetic.study())
    assert any("it has the other sign" in text for text in said)
    agrees = to_frame(synthetic_dynamics.dynamics_rows())
    (_, verdict, said), *_ = dynamic_questions(agrees, synthetic.study())
    assert "second estimator" not in " ".join([verdict, *said])


def test_ratings_of_one_occasion_are_said_to_have_no_known_order():
    estimates = to_frame(synthetic_dynamics.dynamics_rows())
    for when in ("pre", "post"):
        study = with_timing(when, when)
        (_, _, said), *_ = dynamic_questions(estimates, study)
        assert "which comes first is not known" in said[1]
        page = build_report(synthetic.report_inputs(study=study))
        assert "taken on one occasion; which comes first is not known" in page
        assert "the session, outcomes" not in page
    assert "one occasion" not in build_report(synthetic.report_inputs())


def test_the_opening_words_name_this_study_and_how_it_was_fitted():
    study = synthetic.study()
    estimates = to_frame(synthetic_dynamics.dynamics_rows())
    (words, *_) = section_words(estimates, study)
    assert "Alliance, client (WAI-SR) and Symptoms (CORE-10)" in words
    assert words.endswith("The Bayesian twin is the same model with priors.")
    other = estimates[~estimates["estimator"].str.contains("NUTS")]
    both = pd.concat([estimates, other.assign(analysis="next_session_therapist")])
    (words, *_) = section_words(both, study)
    label = study.dynamics["next_session"].label
    assert words.endswith(f"A Bayesian twin, the same model with priors, stands beside: {label}.")
    (words, *_) = section_words(estimates[~estimates["estimator"].str.contains("NUTS")], study)
    assert "maximum likelihood" in words
    assert "Bayesian" not in words
    (words, *_) = section_words(estimates[:0], study)
    assert "fitted" not in words
