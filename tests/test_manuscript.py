"""The manuscript: sentences from the branches really taken, with references that exist."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import docx
import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
import yaml

from alliance.estimates import Estimate, to_frame
from alliance.estimation.bayes import EFFORTS
from alliance.estimation.dynamics_bayes import MOST_TUNING
from alliance.estimation.random_dynamics import EFFORTS as OF_RANDOM_DYNAMICS
from alliance.instruments import load_instruments
from alliance.ruptures import load_rules
from alliance.study import Study, instruments_of
from alliance.tables import document_bytes
from alliance.text import (
    TextInputs,
    bibtex,
    checklists_text,
    csl_json,
    markdown,
    methods_text,
    results_text,
    whole_text,
    word_document,
)
from alliance.text.document import Passage, with_references
from alliance.text.references import (
    citation,
    cited_keys,
    instrument_reference_table,
    methods_references,
    read_reference,
    with_citations,
)

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden" / "text"
HOLE = re.compile(r"\bnan\b|\bNone\b(?! was)|\(\)|\[\]|  |\. \.|\.\.(?!\.)")
CAUSAL = re.compile(
    r"\b(caus|lead to|leads to|led to|effect of (?:the )?alliance on|improves?\b|reduces?\b|"
    r"due to|because of the alliance|impact)", re.IGNORECASE,
)  # fmt: skip


def inputs(study: Study | None = None, **changes) -> TextInputs:
    study = study or synthetic.study()
    names = {name for spec in study.ruptures.values() for name in spec.rules}
    given = {
        "instruments": load_instruments(ROOT / "config" / "instruments", instruments_of(study)),
        "rules": load_rules(ROOT / "config" / "ruptures", sorted(names)) if names else {},
        "flow": synthetic.flow(),
        "sample": synthetic.sample(),
        "measures": synthetic.measures(),
        "reliability": synthetic.reliability(),
        "ruptures": {"client_rated": synthetic.ruptures()["rupture_summary"]},
        "priors": yaml.safe_load((ROOT / "config" / "priors.yaml").read_text("utf-8")),
        "versions": {"snakemake": "9.27.1", "pymc": "6.4.0", "nutpie": "0.16.11"},
        "numbers": {"reliability": 4, "model_main": 5},
    }
    estimates = changes.pop("estimates", synthetic.estimates())
    parts = (study.models, study.ruptures, study.dynamics, study.associations)
    estimates = estimates[estimates["analysis"].isin([name for part in parts for name in part])]
    return TextInputs(study, estimates, **(given | changes))


def fixed_study(**changes) -> Study:
    """The synthetic study with a fixed description, so that edits of the demo change no text."""
    content = synthetic.study().model_dump()
    keep = ("main", "therapist_rated", "three_level")
    content["models"] = {name: content["models"][name] for name in keep}
    content["ruptures"] = {"client_rated": content["ruptures"]["client_rated"]}
    content["ruptures"]["client_rated"]["rules"] = ["mean_prior_study", "previous_drop"]
    content |= {"dynamics": {}, "associations": {}}
    content |= {"title": "A study", "description": "A clinic.", "source": "Made up."}
    return Study.model_validate(content | changes)


def without_bayes_and_ruptures() -> TextInputs:
    study = fixed_study(ruptures={})
    content = study.model_dump()
    content["models"] = {"main": content["models"]["main"] | {"bayes": False}}
    rows = synthetic.estimates()
    rows = rows[(rows["analysis"] == "main") & ~rows["estimator"].str.startswith("NUTS")]
    return inputs(Study.model_validate(content), estimates=rows, ruptures={})


def singular() -> TextInputs:
    rows = synthetic.estimates()
    own = (rows["analysis"] == "main") & (rows["estimator"] == "REML")
    rows.loc[own, "reason"] = "singular: a variance of zero fits best"
    return inputs(fixed_study(), estimates=rows)


def small_sample() -> TextInputs:
    rows = synthetic.estimates()
    numbers = ["estimate", "se", "ci_low", "ci_high", "p", "pd", "std_within", "sd_random_slope"]
    rows[numbers] = np.nan
    rows["status"], rows["reason"] = "not_estimated", "only 6 clients"
    return inputs(fixed_study(), estimates=rows, reliability=None, sample=None)


def dynamics() -> TextInputs:
    """A dynamic model of which one is refused, and an association; nothing else."""
    content = synthetic.study().model_dump()
    spec = {"label": "Session to session", "alliance": "alliance_client", "outcome": "symptoms"}
    early = {
        "label": "Early alliance", "predictor": "alliance_client", "outcome": "symptoms",
        "baseline": "intake",
    }  # fmt: skip
    content |= {
        "models": {}, "ruptures": {}, "description": "", "source": "", "title": "A study",
        "dynamics": {"next": spec, "late": spec | {"label": "Few sessions"}},
        "associations": {"early": early},
    }  # fmt: skip
    common = {"level": "within_client", "estimand": "", "n_obs": 2500, "n_clients": 230}
    paths = [
        ("cross_lag_alliance_outcome", -1.5, 0.21, "CORE-10 points per WAI-SR point"),
        ("cross_lag_outcome_alliance", -0.0105, 0.002, "WAI-SR points per CORE-10 point"),
        ("autoregression_outcome", 0.32, 0.023, "CORE-10 points per CORE-10 point"),
    ]
    rows = [
        Estimate(
            analysis="next", term=term, estimate=b, se=se, ci_low=b - 1.96 * se,
            ci_high=b + 1.96 * se, p=0.0001, units=units, std_within=b / 10,
            std_within_low=b / 10 - 0.04, std_within_high=b / 10 + 0.04,
            estimator="Random-intercept VAR(1), ML", **common,
        )
        for term, b, se, units in paths
    ]  # fmt: skip
    rows.append(
        Estimate(
            analysis="late", term="cross_lag_alliance_outcome", status="not_estimated",
            reason="too few sessions", estimator="Random-intercept VAR(1), ML", **common,
        )
    )  # fmt: skip
    for term, r in (("r", -0.35), ("r_baseline", -0.28), ("r_prior_change", -0.2)):
        rows.append(
            Estimate(
                analysis="early", term=term, estimate=r, ci_low=r - 0.1, ci_high=r + 0.1, p=0.02,
                units="correlation", kind="correlation", estimator="least squares",
                level="between_client", estimand="", n_clients=200,
            )
        )  # fmt: skip
    study = Study.model_validate(content)
    return inputs(study, estimates=to_frame(rows), ruptures={}, flow=None, sample=None)


CASES = {
    "dynamics": dynamics,
    "normal": lambda: inputs(fixed_study()),
    "singular": singular,
    "no_bayes_no_ruptures": without_bayes_and_ruptures,
    "small_sample": small_sample,
}


@pytest.mark.parametrize("case", CASES)
def test_text_is_what_it_was(case):
    """Snapshot; after a wanted change delete the file, run once, and read what was written."""
    x = CASES[case]()
    text = f"{markdown(methods_text(x))}\n{markdown(results_text(x))}"
    golden = GOLDEN / f"{case}.md"
    if not golden.is_file():
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")
        pytest.fail(f"{golden.name} was not there and has been written: read it, run again")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES)
def test_no_sentence_has_a_hole_or_a_causal_word(case):
    x = CASES[case]()
    for document in (whole_text(x), checklists_text(x)):
        for part in document.passages:
            for text in (*part.paragraphs, *part.bullets):
                assert not re.search(
                    r"\bnan\b|\bNone\b(?! was)|\(\)|\[\]|  |\. \.|\.\.(?!\.)", text
                ), text
                assert text.startswith("No causal wording") or not CAUSAL.search(text), text
                assert text[-1] in ".]:", text


def test_what_was_not_estimated_is_said_with_its_reason():
    text = markdown(results_text(small_sample()))
    assert text.count("Not estimated: only 6 clients.") == 3
    assert "*b* =" not in text
    assert "failed" not in text


def test_a_refused_association_says_so_beside_the_published_one():
    whole = dynamics()
    refused = whole.estimates[whole.estimates["analysis"] == "early"].copy()
    published = refused.head(1).assign(term="r_published")
    refused[["estimate", "ci_low", "ci_high", "p"]] = np.nan
    refused = refused.assign(status="not_estimated", reason="fewer than 20 clients have a rating")
    text = markdown(results_text(replace(whole, estimates=pd.concat([refused, published]))))
    assert "*Early alliance.* Not estimated: fewer than 20 clients have a rating. Meta" in text


def test_a_failed_gate_is_told_and_its_numbers_are_not():
    rows = synthetic.estimates()
    failed = (rows["analysis"] == "main") & rows["estimator"].str.startswith("NUTS")
    rows.loc[failed, ["status", "reason"]] = ["diagnostics_failed", "R-hat 1.2"]
    text = markdown(results_text(inputs(fixed_study(), estimates=rows)))
    assert "The Bayesian twin failed its diagnostics (R-hat 1.2)." in text
    main = text.partition("### Client-rated alliance predicting")[2].partition("###")[0]
    assert "CrI" not in main


def test_every_citation_has_its_reference_in_all_formats():
    document = whole_text(inputs(fixed_study()))
    texts = [text for part in document.passages for text in part.paragraphs]
    keys = cited_keys(texts)
    assert len(keys) > 8
    assert sorted(r.key for r in document.references) == keys
    assert re.findall(r"^@\w+\{([^,]+),", bibtex(document.references), re.M) == [
        r.key for r in document.references
    ]
    assert [item["id"] for item in json.loads(csl_json(document.references))] == [
        r.key for r in document.references
    ]
    with pytest.raises(ValueError, match="nobody1900"):
        with_references("T", [Passage("H", ("Said [@nobody1900].",))], methods_references())


def test_word_document_writes_citations_and_italics_out():
    document = whole_text(inputs(fixed_study()))
    written = document_bytes(word_document(document))
    assert written == document_bytes(word_document(document))
    paragraphs = docx.Document(io.BytesIO(written)).paragraphs
    text = "\n".join(p.text for p in paragraphs)
    assert "[@" not in text
    assert "*" not in text
    assert "(Curran & Bauer, 2011; Mundlak, 1978)" in text
    assert any(run.italic and run.text == "b" for p in paragraphs for run in p.runs)
    assert all(r.text in text for r in document.references)


def test_references_are_taken_apart_as_apa_style_writes_them():
    r = read_reference(
        "k",
        "Flückiger, C., Del Re, A. C., Wampold, B. E., & Horvath, A. O. (2018). The alliance in "
        "adult psychotherapy: A meta-analytic synthesis. Psychotherapy, 55(4), 316-340. "
        "https://doi.org/10.1037/pst0000172",
    )
    assert r.authors == (
        ("Flückiger", "C."), ("Del Re", "A. C."), ("Wampold", "B. E."), ("Horvath", "A. O."),
    )  # fmt: skip
    assert (r.container, r.volume, r.issue, r.pages) == ("Psychotherapy", "55", "4", "316-340")
    assert r.doi == "10.1037/pst0000172"
    assert citation(r) == "Flückiger et al., 2018"


def test_a_reference_in_no_known_style_is_cited_by_its_first_words():
    r = read_reference("k", "Our own ward scale, unpublished")
    assert citation(r) == "Our own ward scale, n.d."
    assert "Our own ward scale" in bibtex([r])


def test_every_instrument_can_be_cited():
    folder = ROOT / "config" / "instruments"
    instruments = load_instruments(folder, [p.stem for p in folder.glob("*.yaml")])
    cited = {name: i for name, i in instruments.items() if i.references}
    table = instrument_reference_table(cited)
    texts = {" ".join(i.references[0].split()) for i in cited.values()}
    assert {r.text for r in table.values()} == texts, "two references share a key"
    assert not set(table) & set(methods_references())


def test_all_method_references_are_read_whole():
    for r in methods_references().values():
        assert r.year.isdigit(), r.key
        assert r.container, r.key
        assert r.doi, r.key
        assert all(family and given for family, given in r.authors), r.key


def test_citations_are_written_in_brackets():
    known = methods_references()
    text = with_citations("As said [@curran2011; @rights2019].", known)
    assert text == "As said (Curran & Bauer, 2011; Rights & Sterba, 2019)."


def test_checklists_say_what_was_not_done():
    text = markdown(checklists_text(without_bayes_and_ruptures()))
    assert "Bayesian models: *Does not apply*." in text
    assert "Ruptures held against noise and against other sources: *Does not apply*." in text
    full = markdown(checklists_text(inputs(fixed_study())))
    assert "Pre-registration: *Not done*." in full
    assert "Sampler, version, seed: *Done*." in full
    # Rules beside nothing but each other are no comparison with other sources.
    assert "against other sources: *Partly*." in full
    assert "no other source than ratings." in full


def test_single_answers_are_named_only_where_there_are_any():
    study = fixed_study()
    assert "replacement of single answers" in markdown(methods_text(inputs(study)))
    totals = {name: m.model_copy(update={"items": None}) for name, m in study.measures.items()}
    text = markdown(methods_text(inputs(study.model_copy(update={"measures": totals}))))
    assert "single answers" not in text
    assert "No score was imputed." in text


def test_sessions_that_did_not_take_place_are_told_apart():
    """3,396 sessions of 232 clients beside 13.46 per client: a reader divides and stumbles."""
    x = inputs(fixed_study())
    sessions = x.sample.head(1).assign(variable="sessions", label="Attended sessions", n=2_500.0)
    text = markdown(results_text(replace(x, sample=pd.concat([x.sample, sessions]))))
    assert "were analysed; 2,500 sessions took place." in text
    every = sessions.assign(n=9_999.0)
    text = markdown(results_text(replace(x, sample=pd.concat([x.sample, every]))))
    assert "took place" not in text


def test_a_checklist_does_not_call_a_reliability_done_that_nobody_could_estimate():
    x = inputs(fixed_study())
    assert "of client means: *Done*. Reliability table." in markdown(checklists_text(x))
    without = x.reliability.assign(status="not_estimated", estimate=np.nan)
    text = markdown(checklists_text(replace(x, reliability=without)))
    assert "of client means: *Not done*. Scores without items" in text


def test_simulated_and_real_studies_are_called_what_they_are():
    x = inputs(fixed_study())
    assert "nothing below is a finding about people" in markdown(methods_text(x))
    real = replace(x, study=fixed_study(simulated=False, truth=None))
    assert "The design was observational." in markdown(methods_text(real))


def test_checks_of_the_bayesian_models_are_told_and_ticked_off():
    seen = synthetic.bayes_checks()
    scaled = seen.head(1).assign(check="prior_sensitivity", term="within", flag="")
    x = inputs(fixed_study(), bayes_checks=pd.concat([seen, scaled]))
    told, ticked = markdown(methods_text(x)), markdown(checklists_text(x))
    assert "in replicated data against the observed" in told
    assert "power-scaling [@kallioinen2024]" in told
    assert "over a range of priors" not in told
    assert "Sensitivity to the prior: *Done*" in ticked
    assert "Posterior predictive check: *Done*" in ticked
    assert "Checks of: " in markdown(results_text(x))
    without = inputs(fixed_study())
    assert "Posterior predictive check: *Not done*. No row" in markdown(checklists_text(without))
    assert "power-scaling" not in markdown(methods_text(without))


def test_a_known_bias_of_several_estimators_is_told_once():
    rows = synthetic.estimates()
    rows["known_bias"] = "no lagged outcome"
    rows.loc[rows["estimator"] == "REML", "known_bias"] = "no lagged outcome; short treatments"
    text = markdown(results_text(inputs(fixed_study(), estimates=rows)))
    assert text.lower().count("no lagged outcome") == 1
    assert "- *REML.* Short treatments." in text


def test_a_limit_that_only_adds_a_remark_goes_with_the_one_it_adds_to():
    rows = synthetic.estimates()
    rows["known_bias"] = ""
    plain = "Nominal p can reject too often: see the null."
    rows.loc[rows.index[0], ["estimator", "known_bias"]] = ["OLS (HC3)", plain]
    rows.loc[rows.index[1], ["estimator", "known_bias"]] = [
        "fixed effects of clients (cluster-robust)", f"{plain} This rule uses later sessions.",
    ]  # fmt: skip
    rows.loc[rows.index[2], ["estimator", "known_bias"]] = ["Pooled OLS", "levels are left in"]
    text = markdown(results_text(inputs(fixed_study(), estimates=rows)))
    assert f"- *OLS and fixed effects of clients.* {plain}" in text
    assert "later sessions" not in text
    assert "levels are left in" not in text  # of shortcuts the table of estimators tells it
    assert "stands under their tables" in text


def test_what_was_left_out_is_counted_by_reason_without_the_remedy():
    rows = synthetic.estimates()
    rows["known_bias"] = ""
    reasons = (
        "fewer than 10 clients: repaired (7)", "fewer than 10 clients: unrepaired",
        "the days of sessions are not known. Name the column with the dates of sessions",
        "would tell a number of fewer than 5 clients",
    )  # fmt: skip
    rows["status"], rows["reason"] = "ok", ""
    for place, reason in zip(rows.index, reasons, strict=False):
        rows.loc[place, ["status", "reason"]] = ["not_estimated", reason]
    text = markdown(results_text(inputs(fixed_study(), estimates=rows)))
    said = [line for line in text.splitlines() if line.startswith("- ") and "quantit" in line]
    assert said == [
        "- 2 quantities not estimated: fewer than 10 clients.",
        "- 1 quantity not estimated: the days of sessions are not known.",
        "- 1 quantity not shown, as this would tell a number of fewer than 5 clients.",
    ]


def test_methods_name_the_unit_in_which_repair_is_timed():
    x = inputs(fixed_study())
    plain = markdown(methods_text(x))
    assert "within the rule's number of rated sessions; ruptures that could not be" in plain
    weekly = {k: r.model_copy(update={"horizon_unit": "weeks"}) for k, r in x.rules.items()}
    assert len(weekly) > 1
    text = markdown(methods_text(replace(x, rules=weekly)))
    assert "number of weeks; ruptures that could not be followed that long, or lack the dates" in (
        text
    )
    some = dict(x.rules) | dict(list(weekly.items())[:1])
    assert "number of rated sessions or, by rule, weeks;" in markdown(
        methods_text(replace(x, rules=some))
    )


def test_each_kind_of_rupture_test_has_its_sentence_only_where_it_was_made():
    rows = synthetic.estimates()
    plain = markdown(methods_text(inputs(fixed_study(), estimates=rows)))
    assert "compared in their last outcome" in plain
    own = rows[rows["analysis"].eq("client_rated") & rows["status"].eq("ok")].head(1)
    extra = own.assign(
        kind="session", term="session_onset[previous_drop]", estimate=1.31, se=0.4, ci_low=0.53,
        ci_high=2.09, p=0.001, units="CORE-10 points",
    )  # fmt: skip
    x = inputs(fixed_study(), estimates=pd.concat([rows, extra], ignore_index=True))
    assert "rules that use no later session" in markdown(methods_text(x))
    assert "rules that use no later session" not in markdown(
        methods_text(inputs(fixed_study(), estimates=rows[rows["kind"] != "session"]))
    )
    told = markdown(results_text(x))
    assert "next outcome after an onset (Drop from the previous session)" in told
    assert "*b* = 1.31, 95% CI [0.53, 2.09]" in told


@pytest.mark.parametrize("effort", EFFORTS)
def test_the_sampling_paragraph_says_what_was_run(effort):
    """Chains, draws, tuning and the gate are those of the sampler, whatever the effort."""
    run = EFFORTS[effort]
    text = markdown(methods_text(inputs(effort=effort)))
    chains = f"{run.chains} chains of {run.draws:,} draws each after {run.tune:,} tuning steps"
    assert chains in text
    assert f"R-hat is at most {run.limits.rhat:.2f}" in text
    assert f"sample size at least {run.limits.ess:g} " in text
    assert f"(BFMI) at least {run.limits.bfmi:g}" in text
    if effort == "draft":
        assert run.tune == MOST_TUNING
        assert "in the dynamic models)" not in text
    else:
        assert f"({MOST_TUNING} in the dynamic models)" in text


@pytest.mark.parametrize("effort", OF_RANDOM_DYNAMICS)
def test_models_with_dynamics_of_clients_own_say_how_many_draws_they_took(effort):
    run, usual = OF_RANDOM_DYNAMICS[effort], EFFORTS[effort]
    content = synthetic.study().model_dump()
    for spec in content["dynamics"].values():
        spec |= {"bayes": True, "random_dynamics": True}
    study = Study.model_validate(content)
    assert study.dynamics
    text = markdown(methods_text(inputs(study, effort=effort)))
    own = f"{run.draws:,} draws each after {run.tune:,} tuning steps where clients have dynamics"
    differs = (run.chains, run.draws, run.tune) != (usual.chains, usual.draws, usual.tune)
    assert (own in text) == differs
    assert run.chains == usual.chains


def test_a_measured_value_is_nobodys_rating():
    content = synthetic.study().model_dump()
    content["measures"]["symptoms"] |= {"rater": "none"}
    text = markdown(methods_text(inputs(Study.model_validate(content))))
    assert "A measured value, not a rating, by the CORE-10" in text
    assert "nobody" not in text
    content = synthetic.study().model_dump()
    content["measures"]["alliance_client"] |= {"rater": "none"}
    text = markdown(results_text(inputs(Study.model_validate(content))))
    assert "Within clients, a value of Alliance, client (WAI-SR) one WAI-SR point above" in text
    assert "Between clients, a mean value one WAI-SR point higher" in text
    assert "a rating of Alliance, client" not in text


def test_a_failed_dynamic_model_is_named_as_readers_know_it():
    table = synthetic.estimates()
    name, spec = next(iter(synthetic.study().dynamics.items()))
    nuts = table["analysis"].eq(name) & table["estimator"].str.contains("NUTS")
    assert nuts.any()
    table.loc[nuts, "status"] = "diagnostics_failed"
    text = markdown(results_text(inputs(estimates=table)))
    assert f"The diagnostics gate failed for: {spec.label}." in text


def test_no_reliability_and_no_order_of_forms_where_there_is_none():
    """A study of totals of one outcome: nothing of it was estimated, nothing follows from it."""
    content = synthetic.study().model_dump()
    content["measures"] = {"symptoms": content["measures"]["symptoms"]}
    course = {"label": "Course", "kind": "course", "outcome": "symptoms", "covariates": ["time"]}
    content["models"] = {"main": course}
    for part in ("ruptures", "dynamics", "associations", "sudden_gains"):
        content[part] = {}
    none = synthetic.reliability().assign(status="not_estimated")
    x = inputs(Study.model_validate(content), reliability=none, ruptures={})
    text = f"{markdown(methods_text(x))}{markdown(results_text(x))}"
    assert "Reliability" not in text
    assert "Process measures" not in text
    assert "Reliability" in markdown(methods_text(inputs()))
