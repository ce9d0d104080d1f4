"""The report: says what the estimates say, escapes everything, needs nothing but itself."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from conftest import Project

from alliance.figures import FIGURES, Drawn, FigureText, NotDrawn, figure_bytes, make_figure
from alliance.instruments import load_instruments
from alliance.report import build_report, figure_words, read_figure, sentences
from alliance.report.build import NOT_ASKED_FOR, _table_inputs
from alliance.report.dynamics import dynamic_questions
from alliance.ruptures import load_rules
from alliance.ruptures.wording import REFERENCES, TARGETS, in_brief
from alliance.study import Study
from alliance.tables import make_tables
from alliance.tables.format import share_words

RULES = {"mean_prior_study": "Below the mean of earlier sessions"}
CAUSAL = re.compile(
    r"\b(caus\w*|leads? to|led to|effects? of|impacts?|improv\w*|reduc\w*|influenc\w*|due to|"
    r"because of|produc\w*|result(s|ed)? in)\b",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def study():
    return synthetic.study()


@pytest.fixture(scope="module")
def estimates():
    return synthetic.estimates()


def change(estimates, analysis, term, **values):
    """The estimates with some values of some rows replaced."""
    table = estimates.copy()
    rows = (table["analysis"] == analysis) & (table["term"] == term)
    assert rows.any()
    for name, value in values.items():
        table.loc[rows, name] = value
    return table


# --- sentences -------------------------------------------------------------------------------


def test_the_within_answer_word_by_word(estimates, study):
    answer = sentences.model_answer(estimates, study, "main", "within")
    assert answer.question == (
        "Within clients: does Alliance, client (WAI-SR) predict Symptoms (CORE-10) at the next "
        "session?"
    )
    assert answer.verdict == "Yes: a higher rating goes with a better outcome."
    assert answer.sentences == (
        "When a client rated Alliance, client (WAI-SR) one WAI-SR point above their own mean, "
        "Symptoms (CORE-10) at the next session was 1.21 CORE-10 points better on average "
        "(b = −1.21, 95% CI [−1.64, −0.78], p < .001, REML; 2,190 observations of 228 clients).",
        "Earlier Symptoms (CORE-10) is not held equal here: what carries over from it is part of "
        "this number.",
        "Standardised within clients: −0.12 [−0.16, −0.07] SDs of the outcome per SD of the "
        "predictor.",
        "The Bayesian twin: b = −1.20, 95% CrI [−1.63, −0.77], probability of the direction 99.9%.",
    )


def test_the_between_answer_word_by_word(estimates, study):
    answer = sentences.model_answer(estimates, study, "main", "between")
    assert answer.sentences[0] == (
        "Clients with a mean Alliance, client (WAI-SR) one WAI-SR point higher had Symptoms "
        "(CORE-10) 2.40 CORE-10 points better on average (b = −2.40, 95% CI [−3.40, −1.40], "
        "p < .001, REML; 2,190 observations of 228 clients)."
    )


def test_an_interval_over_zero_is_not_clear(estimates, study):
    answer = sentences.model_answer(estimates, study, "therapist_rated", "within")
    assert answer.verdict == "Not clear: the interval includes zero."


def test_the_other_direction_is_said(estimates, study):
    table = change(estimates, "main", "within", estimate=1.2, ci_low=0.8, ci_high=1.6)
    answer = sentences.model_answer(table, study, "main", "within")
    assert answer.verdict == "Yes: a higher rating goes with a worse outcome."
    assert "1.20 CORE-10 points worse" in answer.sentences[0]


def test_a_refused_model_gives_its_reason(estimates, study):
    answer = sentences.model_answer(estimates, study, "three_level", "between_therapist")
    assert answer.verdict == "Not estimated."
    assert answer.sentences == ("Only 12 therapists treated three clients or more; 20 are needed.",)


def test_no_row_at_all_is_said(estimates, study):
    answer = sentences.model_answer(estimates.iloc[:0], study, "main", "within")
    assert answer.sentences == ("The estimates table has no row for it.",)


def test_failed_diagnostics_give_no_verdict(estimates, study):
    only_bayes = estimates[estimates["estimator"].str.startswith("NUTS")]
    table = change(only_bayes, "main", "within", status="diagnostics_failed", reason="R-hat 1.2")
    answer = sentences.model_answer(table, study, "main", "within")
    assert answer.verdict == "Not to be relied on: diagnostics failed."
    both = change(estimates, "main", "within", status="diagnostics_failed", reason="R-hat 1.2")
    twin = sentences.model_answer(both, study, "main", "within").sentences[-1]
    assert twin.endswith("; its diagnostics failed (R-hat 1.2), so it does not count.")


def test_a_singular_fit_without_interval_has_no_gap(estimates, study):
    absent = dict.fromkeys(("ci_low", "ci_high", "p", "se", "std_within", "n_obs"), np.nan)
    answer = sentences.model_answer(
        change(estimates, "main", "within", **absent), study, "main", "within"
    )
    assert answer.verdict == "Estimated without an interval."
    assert answer.sentences[0].endswith(
        "(b = −1.21, REML; an unknown number of observations of 228 clients)."
    )
    assert "nan" not in " ".join(answer.sentences).lower()


def test_one_client_is_singular(estimates, study):
    table = change(estimates, "main", "within", n_clients=1, n_obs=1)
    first = sentences.model_answer(table, study, "main", "within").sentences[0]
    assert "1 observation of 1 client)" in first


def test_spread_of_clients_is_told(estimates, study):
    table = change(estimates, "main", "within", sd_random_slope=0.8, pct_clients_same_sign=93.4)
    last = sentences.model_answer(table, study, "main", "within").sentences[-1]
    assert last == (
        "The SD of clients' slopes is 0.80 (95% CI [0.56, 1.04]); 93% of clients are estimated to "
        "have a slope of the average sign."
    )


def test_clients_are_not_said_to_differ_where_the_test_leaves_it_open(estimates, study):
    """An SD near zero goes with a share near one hundred percent, which is not known at all."""
    table = change(estimates, "main", "within", sd_random_slope=0.02, pct_clients_same_sign=99.8)
    test = table[(table["analysis"] == "main") & (table["term"] == "within")].head(1)
    for p, begin in ((0.73, "Whether clients differ is not clear: the SD"), (0.01, "The SD of")):
        tested = pd.concat([table, test.assign(term="lr_sd_within", kind="test", p=p)])
        last = sentences.model_answer(tested, study, "main", "within").sentences[-1]
        assert last.startswith(begin)
        assert ("of clients are estimated" in last) == (p < 0.05)
        assert "of their slopes is 0.02" in last or "of clients' slopes is 0.02" in last


def test_an_estimated_share_is_never_all_or_none(estimates, study):
    table = change(estimates, "main", "within", sd_random_slope=0.02, pct_clients_same_sign=99.8)
    last = sentences.model_answer(table, study, "main", "within").sentences[-1]
    assert "more than 99% of clients are estimated" in last
    assert share_words(0.004) == "less than 1%"
    assert share_words(0.77) == "77%"


def test_dynamic_answers_say_better_and_worse_whatever_the_scale(estimates, study):
    """A higher ORS is better, but is turned for the models: "lower" would mislead."""
    forward, reverse = dynamic_questions(estimates, study)[:2]  # of the first model
    assert forward[1] == "Yes: a higher rating goes with a better outcome."
    assert reverse[1] == "Yes: a worse outcome goes with a lower rating."
    said = " ".join([*forward[2], *reverse[2]])
    assert "points better (b = −" in said
    assert "points lower (b = −" in said
    assert "points away" not in said


def test_rupture_answer_word_by_word(estimates, study):
    answer = sentences.rupture_answer(estimates, study, "client_rated", RULES, {})
    assert answer.verdict == "Possibly: some groups end differently; read with care."
    assert answer.sentences == (
        "Under the rule 'Below the mean of earlier sessions', 34% (95% CI [28%, 40%]) of 234 "
        "clients who could be evaluated had at least one rupture.",
        "Clients with repaired ruptures ended 0.40 CORE-10 points better than clients without "
        "ruptures (difference −0.40, 95% CI [−2.56, 1.76]; 234 clients), at equal baseline, number "
        "of sessions, and mean and slope of the rating.",
        "Clients with unrepaired ruptures ended 3.10 CORE-10 points worse than clients without "
        "ruptures (difference 3.10, 95% CI [0.75, 5.45]; 234 clients), with the same held equal.",
        "Clients with repaired ruptures could not be compared with clients with unrepaired "
        "ruptures: fewer than 10 clients: unrepaired (8).",
        "These intervals do not decide the question: linked courses of rating and outcome give "
        "such differences without any role of ruptures, more often than the intervals allow for.",
        "Ratings that vary by chance alone also give ruptures: in about 10% of clients by the "
        "calibrated rule, in more by most others. This share was not held against pure noise.",
        "Of the 234 clients whose ruptures could be followed up, 55% (95% CI [49%, 61%]) had them "
        "repaired.",
    )


def test_a_refusal_of_several_comparisons_is_said_once(estimates, study):
    table = estimates.copy()
    rows = table["analysis"].eq("client_rated") & table["kind"].eq("contrast")
    table.loc[rows, "status"] = "not_estimated"
    told = {
        "repaired_vs_none": "repaired (fewer than 5)", "unrepaired_vs_none": "unrepaired (7)",
        "repaired_vs_unrepaired": "repaired (fewer than 5), unrepaired (7)",
    }  # fmt: skip
    for quantity, groups in told.items():
        own = rows & table["term"].str.startswith(quantity)
        assert own.any()
        table.loc[own, "reason"] = f"fewer than 10 clients: {groups}"
    answer = sentences.rupture_answer(table, study, "client_rated", RULES, {})
    (said,) = [text for text in answer.sentences if "could not be compared" in text]
    assert said == (
        "Clients with repaired ruptures could not be compared with clients without ruptures or "
        "clients with unrepaired ruptures, nor clients with unrepaired ruptures with clients "
        "without ruptures: fewer than 10 clients: repaired (fewer than 5), unrepaired (7)."
    )


def test_the_first_screen_says_what_a_rupture_and_a_repair_are(study, estimates):
    """From the rule's own keys, for every rule that can be run."""
    rules = load_rules(synthetic.ROOT / "config" / "ruptures")
    briefs = {name: in_brief(rule) for name, rule in rules.items() if not rule.refuses}
    assert len(set(briefs.values())) > 5
    for name, brief in briefs.items():
        assert REFERENCES[rules[name].reference] in brief
        assert TARGETS[rules[name].target] in brief
    summary = synthetic.ruptures()["rupture_summary"]
    first = study.ruptures["client_rated"].rules[0]
    told = summary.assign(brief=briefs["previous_drop"], rule=first)
    page = build_report(
        synthetic.report_inputs(study=study, estimates=estimates, ruptures={"client_rated": told})
    )
    glance = page[page.index('id="glance"') : page.index('id="flow"')]
    assert "By this rule a rupture is a rating below the previous rating by at least" in glance
    asked = glance[glance.index("do ruptures and repairs go with") :]
    assert "By this rule" in asked.partition("<summary>")[0]  # open, not behind a click
    assert "it is repaired when one of the next 3 ratings regains the rating before" in glance


def test_ruptures_without_rows(estimates, study):
    none = estimates[estimates["analysis"] != "client_rated"]
    assert sentences.rupture_answer(none, study, "client_rated", {}, {}).verdict == "Not estimated."


@pytest.mark.parametrize(
    ("timing", "lag", "words", "verb"),
    [
        (("post", "pre", "session"), "forward", "at the next session", "predict"),
        (("pre", "post", "session"), "forward", "at the same session", "predict"),
        (("post", "post", "session"), "same_session", "at the same session", "go with"),
        (("pre", "pre", "week"), "same_session", "in the same week", "go with"),
        (("pre", "pre", "day"), "same_session", "on the same day", "go with"),
        (("post", "pre", "session"), 3, "three sessions later", "predict"),
        (("post", "pre", "week"), "forward", "one week later", "predict"),
        (("post", "pre", "month"), 2, "two months later", "predict"),
    ],
)
def test_the_question_follows_the_timing(study, timing, lag, words, verb):
    when = dict(zip(("alliance_when", "outcome_when", "unit"), timing, strict=True))
    content = study.model_dump()
    content["timing"] = when
    content["models"]["main"]["lag"] = lag
    question = sentences.model_question(Study.model_validate(content), "main", "within")
    assert question.endswith(f"{words}?")
    assert f") {verb} Symptoms" in question


def test_a_course_model_tells_the_change_over_time(estimates, study):
    content = study.model_dump()
    content["models"] = {"main": {"kind": "course", "label": "Course", "outcome": "symptoms"}}
    course = Study.model_validate(content)
    answer = sentences.study_answers(estimates, course, RULES)[0]
    assert answer.question == "How does Symptoms (CORE-10) change over time?"
    assert answer.verdict == "It gets better on average."
    assert answer.sentences[0].startswith(
        "Symptoms (CORE-10) was 0.310 CORE-10 points better with each further session (b = −0.310,"
    )


def test_no_causal_words(estimates, study):
    for answer in sentences.study_answers(estimates, study, RULES):
        for text in (answer.question, answer.verdict, *answer.sentences):
            assert not CAUSAL.search(text), text


def test_every_row_that_is_not_ok_is_listed(estimates, study):
    listed = sentences.left_out(estimates, study)
    assert listed == [
        "Client-rated alliance: within clients, between clients, between therapists (REML, "
        "NUTS (PyMC, nutpie)), within clients: not estimated. Only 12 therapists treated three "
        "clients or more; 20 are needed.",
        "Client-rated alliance and symptoms, session to session (Random-intercept VAR(1), ML), "
        "cross_lag_alliance_outcome; reliabilities taken as Alliance 0.7, Symptoms 0.7, "
        "cross_lag_outcome_alliance; reliabilities taken as Alliance 0.7, Symptoms 0.7: estimated, "
        "but diagnostics failed. The data contradict so much error.",
        "Ruptures, Alliance, client (WAI-SR), repaired minus not repaired "
        "(rule 'mean prior study'): not estimated. Fewer than 10 clients: unrepaired (8).",
    ]


def test_very_many_rows_with_one_reason_are_told_briefly(estimates, study):
    row = estimates[estimates["analysis"] == "main"].head(1)
    weeks = [
        row.assign(term=f"week_{k}", estimand=f"After {k} weeks", status="not_estimated")
        for k in range(1, 20)
    ]
    bad = pd.concat(weeks).assign(reason="no dates")
    told = sentences.left_out(pd.concat([bad, row.assign(status="ok")]), study)
    assert len(told) == 1
    assert "after 3 weeks and 16 further quantities, which estimates.csv names: " in told[0]
    assert "after 4 weeks" not in told[0]
    assert told[0].endswith("not estimated. No dates.")


def test_a_fit_of_which_nothing_is_left_is_told_briefly(estimates, study):
    """Twenty quantities of one fit with one reason."""
    own = estimates[estimates["analysis"] == "main"]
    bad = own.assign(status="diagnostics_failed", reason="no fit by " + own["estimator"])
    terms = [f"response_{n}" for n in range(len(bad))]
    few = bad.assign(term=terms, estimand="Within clients: y 1 session after x")
    told = sentences.left_out(few, study)
    for estimator, n in few["estimator"].value_counts().items():
        (sentence,) = [text for text in told if f"({estimator})" in text]
        brief = f"all {n} estimates" in sentence
        assert brief == (n > 3)
        assert brief or "y 1 session after x" in sentence
    part = pd.concat([few, few.head(1).assign(term="another", status="ok")])
    (first,) = [t for t in sentences.left_out(part, study) if f"({few['estimator'].iloc[0]})" in t]
    assert "all " not in first.split(":")[0]
    assert "y 1 session after x" in first


def test_a_number_of_clients_that_is_kept_back_is_not_called_unknown(estimates, study):
    some = change(estimates, "client_rated", "repaired_vs_none[mean_prior_study]", n_clients=np.nan)
    answer = sentences.rupture_answer(some, study, "client_rated", RULES, {})
    told = " ".join(answer.sentences)
    assert "unknown number" not in told
    assert "number of clients not shown, as it would tell of few" in told


def test_validation_and_data_sentences():
    assert sentences.data_sentence(None) == ""
    assert sentences.data_sentence(synthetic.flow()) == (
        "2,735 sessions of 234 clients analysed, of 3,012 sessions of 240 clients read."
    )
    none = synthetic.validation().iloc[:0]
    assert "without warnings" in sentences.validation_sentence(none)
    assert "1 warning:" in sentences.validation_sentence(synthetic.validation())
    both = sentences.validation_sentence(synthetic.validation(), synthetic.validation())
    assert both == "The files passed validation with 1 warning; scoring keys gave 1 warning:"


def test_the_page_does_not_grow_with_the_number_of_clients():
    """Ten thousand clients with a change each, and tables of figures aside, the same page."""
    few = synthetic.cleaning_log()
    many = pd.concat([few.assign(client=f"C{k}") for k in range(10_000)], ignore_index=True)
    pages = [build_report(synthetic.report_inputs(cleaning_log=log)) for log in (few, many)]
    assert abs(len(pages[1]) - len(pages[0])) < 100


def test_rows_and_few_clients_stay_out_of_sentences():
    say = sentences.without_few
    assert say("column 'wai_3', rows 44, 219 and 3 more: 2 clients without a therapist", 5) == (
        "column 'wai_3': fewer than 5 clients without a therapist"
    )
    assert say("s.csv, row 667: 1 row", 5) == "s.csv: 1 row"
    assert say("w.csv, column 'a', row 3 session 2, row 9 session 1 and 4 more: x", 5) == (
        "w.csv, column 'a': x"
    )
    assert say("columns 'core_3', row 438; 'core_5', row 521: 2 answers", 5) == (
        "columns 'core_3'; 'core_5': 2 answers"
    )
    assert say("one of 12 clients in 40 rows", 5) == "one of 12 clients in 40 rows"


def test_few_clients_left_out_are_not_told():
    few = synthetic.flow()
    few.loc[5, "clients_out"] = 238
    few.loc[6, ["clients_in", "clients_out"]] = 238
    assert sentences.data_sentence(few, 5) == (
        "2,735 sessions of 238 clients analysed, of 3,012 sessions read; fewer than 5 clients were "
        "left out."
    )
    assert "240 clients read" in sentences.data_sentence(few, 2)


# --- the page --------------------------------------------------------------------------------


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if tag == "a" else []
        self.images += [values] if tag == "img" else []


@pytest.fixture(scope="module")
def figures():
    inputs = synthetic.figure_inputs()
    drawn = [make_figure(name, inputs) for name in ("data_flow", "forest")]
    return tuple(read_figure(figure_words(d), figure_bytes(d.figure, "png")) for d in drawn)


@pytest.fixture(scope="module")
def page(figures):
    instruments = load_instruments(synthetic.ROOT / "config" / "instruments", ["core10"])
    return build_report(synthetic.report_inputs(figures, instruments=instruments))


def test_the_page_needs_nothing_else(page):
    parsed = _Page(page)
    assert "script" not in parsed.tags
    assert not re.search(r"(src|href)=[\"'](?!#|data:)", page)
    assert "@import" not in page
    assert "url(" not in page
    assert len(page) < 8_000_000


def test_links_resolve_and_ids_are_unique(page):
    parsed = _Page(page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert all(link.removeprefix("#") in parsed.ids for link in parsed.links)


def test_images_have_text_that_states_the_finding(page):
    images = _Page(page).images
    assert len(images) == 2
    assert "2,735 sessions of 234 clients were analysed" in images[0]["alt"]
    assert "within clients, REML: -0.12" in images[1]["alt"]


def test_headings_go_down_step_by_step(page):
    levels = [int(tag[1]) for tag in _Page(page).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_the_main_finding_comes_first(page):
    body = page[page.index("<main") :]
    assert body.index("Within clients, earlier") < body.index("Between clients: does")
    assert body.index("Between clients: does") < body.index("do ruptures and repairs go with")
    assert body.index("do ruptures and repairs go with") < body.index('id="flow"')
    assert "a negative b goes with a better outcome" in body[: body.index('id="flow"')]


def test_a_simulated_study_says_so_and_shows_the_truth(page, study):
    assert "These data are simulated." in page
    assert 'id="table-truth"' in page
    real = Study.model_validate(study.model_dump() | {"simulated": False, "truth": None})
    other = build_report(synthetic.report_inputs(study=real, truth=None))
    assert "simulated." not in other.split('id="glance"')[0]
    assert 'id="table-truth"' not in other


def test_same_inputs_same_bytes(figures, page):
    instruments = load_instruments(synthetic.ROOT / "config" / "instruments", ["core10"])
    again = build_report(synthetic.report_inputs(figures, instruments=instruments))
    assert again == page


def test_everything_from_data_and_configuration_is_escaped(study):
    evil = "<img src=x onerror=alert(1)>\"'&"
    content = study.model_dump()
    content |= {"title": evil, "description": evil, "source": evil}
    for measure in content["measures"].values():
        measure["label"] = evil
    for model in content["models"].values():
        model["label"] = evil
    drawn = Drawn("forest", NotDrawn(evil), synthetic.flow(), FigureText(evil, evil, evil))
    page = build_report(
        synthetic.report_inputs(
            (read_figure(figure_words(drawn), None),),
            study=Study.model_validate(content),
            estimates=synthetic.estimates().assign(estimand=evil, timing_order=evil, units=evil),
            flow=synthetic.flow().assign(reason=evil, step=evil),
            validation=synthetic.validation().assign(file=evil, where=evil, found=evil),
            cleaning_log=synthetic.cleaning_log().assign(rule=evil),
            sample=synthetic.sample().assign(label=evil, category=evil),
            measures=synthetic.measures().assign(label=evil),
            reliability=synthetic.reliability().assign(scale=evil, reason=evil),
            ruptures={"client_rated": synthetic.ruptures()["rupture_summary"].assign(label=evil)},
            versions={evil: evil}, hashes={evil: evil}, citation=evil, extra_notes=(evil,),
        )
    )  # fmt: skip
    assert "<img" not in page
    assert "onerror" in page  # shown as text


def test_an_almost_empty_study_renders(study):
    content = study.model_dump()
    content |= {"models": {}, "associations": {}, "dynamics": {}, "ruptures": {}}
    content |= {"simulated": False, "truth": None}
    bare = Study.model_validate(content)
    page = build_report(
        synthetic.report_inputs(
            study=bare, estimates=synthetic.estimates().iloc[:0], flow=None, validation=None,
            cleaning_log=None, sample=None, measures=None, correlations=None, reliability=None,
            ruptures={}, truth=None, versions={}, hashes={}, citation="",
        )
    )  # fmt: skip
    assert "The study file asks for no model" in page
    assert "The study file asks for no rupture analysis." in page
    assert ">nan<" not in page
    assert ">None<" not in page
    assert "No Bayesian model was fitted." in page


def test_a_figure_without_picture_is_named_with_its_reason():
    reason = "no measure of the study has items"
    drawn = Drawn("reliability", NotDrawn(reason), synthetic.flow(), FigureText("R", "c", "a"))
    page = build_report(synthetic.report_inputs((read_figure(figure_words(drawn), b"x"),)))
    assert "<img" not in page
    assert f"Figure &#39;R&#39;: {reason}." in page


def test_a_figure_that_nobody_asked_for_was_not_left_out():
    reason = "the study file asks for no rupture analysis"
    drawn = Drawn("rupture_rules", NotDrawn(reason), synthetic.flow(), FigureText("R", "c", "a"))
    page = build_report(synthetic.report_inputs((read_figure(figure_words(drawn), b"x"),)))
    assert "Figure not drawn" not in page
    assert "Figure &#39;R&#39;" not in page
    with_ruptures = drawn.__class__(
        "rupture_rules", NotDrawn("no rule could be applied"), drawn.numbers, drawn.text
    )
    page = build_report(synthetic.report_inputs((read_figure(figure_words(with_ruptures), b"x"),)))
    assert "Figure not drawn, R: no rule could be applied." in page


def test_figures_that_a_study_file_asks_for_say_so_in_the_words_that_the_report_knows():
    """Else a report lists them as left out, though nobody asked for them."""
    told = {name: s.absent for name, s in FIGURES.items() if s.absent.startswith("the study file")}
    assert {"rupture_rules", "dynamics_paths", "drop_probabilities"} <= set(told)
    assert {name for name, why in told.items() if not why.startswith(NOT_ASKED_FOR)} == set()


def test_a_study_of_courses_only_is_not_told_of_within_and_between(study):
    content = study.model_dump()
    for model in content["models"].values():
        kept = ("label", "outcome")
        course = {key: model[key] for key in kept} | {"kind": "course", "covariates": ["time"]}
        model.clear()
        model.update(course)
    content["measures"] = {"symptoms": content["measures"]["symptoms"]}
    for part in ("ruptures", "dynamics", "associations", "sudden_gains"):
        content[part] = {}
    inputs = synthetic.report_inputs(study=Study.model_validate(content), ruptures={})
    page = build_report(inputs)
    assert "Process measures" not in page
    assert "describe the course of the outcome over time" in page
    assert "Within clients compares" not in page


def test_how_the_files_were_read_is_said_file_by_file():
    notes = "a.csv: separator ';'\na.csv: decimal comma\nb.sav: labels used\n"
    assert sentences.reading_sentences(notes) == (
        "a.csv was read as: separator ';'; decimal comma.",
        "b.sav was read as: labels used.",
    )


@pytest.mark.parametrize(
    ("sizes", "words"),
    [([], ""), ([22, 46], "k = 22"), ([4, 30], "fewer than 4 others")],
)
def test_how_recognisable_clients_are_is_said(sizes, words):
    groups = pd.DataFrame({"group_size": sizes})
    told = sentences.anonymity_sentence(groups, ["Age group"], 5)
    assert words in told
    assert bool(told) == bool(sizes)


def test_rupture_answer_uses_the_p_against_noise(estimates, study):
    """Calibrated rows: what noise gives stands beside each number, and decides the verdict."""
    noise = {"null_mean": 0.2, "null_low": 0.12, "null_high": 0.3, "n_null": 1000, "p_null": 0.3}
    own = estimates["analysis"].eq("client_rated") & estimates["status"].eq("ok")
    table = estimates.copy()
    for name, value in noise.items():
        table.loc[own, name] = value
    answer = sentences.rupture_answer(table, study, "client_rated", RULES, {})
    assert answer.verdict == (
        "Not clear: no difference in the last outcome goes beyond what noise alone gives."
    )
    assert answer.sentences[4] == (
        "Ratings that vary without any rupture give ruptures too: in 1,000 data sets drawn from "
        "the study's own dynamic model, the rule flags 20% (95% band [12%, 30%]) of clients on "
        "average; what was observed is within what noise gives (p (null) = .300)."
    )
    assert answer.sentences[5].endswith(
        "had them repaired; noise alone gives 20% (95% band [12%, 30%]), p (null) = .300."
    )
    assert answer.sentences[1].endswith(
        "Noise alone gives a difference of 0.20 on average (95% band [0.12, 0.30]); "
        "p (null) = .300."
    )
    assert not any("do not decide" in text for text in answer.sentences)
    table.loc[own, "p_null"] = 0.01
    clear = sentences.rupture_answer(table, study, "client_rated", RULES, {})
    assert clear.verdict == (
        "Possibly: a difference in the last outcome goes beyond noise; read with care."
    )
    assert "observed was more than noise gives (p (null) = .010)" in clear.sentences[4]


def numbered_tables(page: str) -> dict[str, int]:
    """Name of each table on a page -> the number in its caption."""
    found = re.findall(
        r'<table class="apa" id="table-([^"]+)">\n'
        r'<caption[^>]*><span class="table-number">Table (\d+)</span>',
        page,
    )
    return {name: int(number) for name, number in found}


def test_a_table_has_one_number_in_report_tables_and_manuscript(study):
    """``make_tables`` numbers ``tables.docx`` and the manuscript; the report has no gap."""
    own = synthetic.bayes_checks()
    others = pd.concat([own.assign(analysis="three_level"), own], ignore_index=True)
    inputs = synthetic.report_inputs(study=study, bayes_checks=others)
    shown = numbered_tables(build_report(inputs))
    everywhere = {name: at for at, name in enumerate(make_tables(_table_inputs(inputs)), 1)}
    assert list(shown.values()) == list(range(1, len(shown) + 1))
    assert shown == {name: everywhere[name] for name in shown}
    assert set(everywhere) - set(shown) == {"bayes_checks_three_level"}
    assert len(shown) > 15


@pytest.mark.workflow
def test_tables_of_a_finished_run_have_one_number(finished: Project):
    results = finished.root / "results/mini"
    shown = numbered_tables((results / "report.html").read_text("utf-8"))
    everywhere = json.loads((results / "tables/numbers.json").read_text("utf-8"))
    assert numbered_tables((results / "tables/index.html").read_text("utf-8")) == everywhere
    assert len(shown) > 10
    assert list(shown.values()) == list(range(1, len(shown) + 1))
    assert shown == {name: everywhere[name] for name in shown}


def test_long_tables_are_folded_but_never_that_of_the_main_model(study, estimates, monkeypatch):
    monkeypatch.setattr("alliance.report.build.MOST_ROWS", 4)
    page = build_report(synthetic.report_inputs(study=study, estimates=estimates))
    folded = re.findall(r'<details class="long">\s*<summary>(.*?)</summary>', page)
    assert any("<em>Sample</em>" in summary and "lines)" in summary for summary in folded)
    label = study.models["main"].label
    assert not any(f"<em>{label}</em>" in summary.replace("&#39;", "'") for summary in folded)
    assert "details::details-content" in page  # paper shows them


def test_an_interval_on_hardly_any_degrees_of_freedom_answers_nothing(estimates, study):
    table = change(estimates, "main", "within", df=1.03, ci_low=-26.0, ci_high=24.0)
    answer = sentences.model_answer(table, study, "main", "within")
    assert answer.verdict == "Not answered: too few clients for a usable interval."
    assert "rests on 1.0 degrees of freedom" in answer.sentences[1]
    enough = sentences.model_answer(
        change(estimates, "main", "within", df=40.0), study, "main", "within"
    )
    assert "degrees of freedom" not in " ".join(enough.sentences)


def test_a_coefficient_with_a_product_says_for_whom_it_is(estimates, study):
    """``time`` beside ``time:arm`` is the change in the reference arm, not that of all clients."""
    table = estimates[(estimates["analysis"] == "main") & (estimates["term"] == "within")]
    product = table.assign(
        term="within:feedback[feedback]", estimate=0.14, se=0.08, ci_low=-0.01, ci_high=0.30,
        p=0.065, units="CORE-10 points per WAI-SR point",
    )  # fmt: skip
    told = sentences.model_answer(pd.concat([estimates, product]), study, "main", "within")
    said = " ".join(told.sentences)
    assert "This number is for Feedback arm no feedback." in said
    assert (
        "With Feedback arm feedback it does not clearly differ (difference 0.140 CORE-10 "
        "points per WAI-SR point, 95% CI [−0.010, 0.300], p = .065)."
    ) in said
    plain = sentences.model_answer(estimates, study, "main", "within")
    assert "This number is for" not in " ".join(plain.sentences)
