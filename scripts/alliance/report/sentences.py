"""Sentences of the report, filled from rows of the estimates table.

A sentence says what was found, at which level, with its interval and from how much data. Words
stay with what an observational study can say: ratings go with outcomes, or come before them. What
is missing gives a sentence that says so, never a gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alliance.report.dynamics import dynamic_questions, leads
from alliance.report.interactions import interaction_sentences
from alliance.report.rupture_further import discrete_drop_sentences, repair_sentences
from alliance.report.rupture_left_out import refused_of_rules, refused_of_sources
from alliance.report.rupture_sentences import (
    contrast_sentences,
    prevalence_sentences,
    rupture_verdict,
    sentence_on_number_of_tests,
    session_sentences,
)
from alliance.small_cells import few_in_words, shown_flow
from alliance.study import ModelSpec, Study
from alliance.tables.format import (
    counted,
    digits_for,
    direction,
    inside_sentence,
    interval,
    number,
    p_text,
    percent,
)
from alliance.tables.models import BAYESIAN, FREQUENTIST, family, rows_of, term_words
from alliance.tables.rupture_source_outcomes import ANALYSIS as SOURCES
from alliance.tables.ruptures import split_term
from alliance.tables.variants import analysis_words
from alliance.text.models import FEW_DF, slope_spread
from alliance.timing import lag_rule

MOST_TERMS = 3  # quantities left out for one reason that are named one by one


@dataclass(frozen=True)
class Answer:
    """The answer to one question of the study.

    Attributes
    ----------
    question : as a reader would ask it. verdict : a few words. sentences : with the numbers.
    ruptures : whether the question is about ruptures and repairs.
    """

    question: str
    verdict: str
    sentences: tuple[str, ...]
    ruptures: bool = False


def first_screen(answers: Sequence[Answer]) -> int:
    """How many answers stand open: up to the first on ruptures; three without any."""
    at = [place for place, answer in enumerate(answers, start=1) if answer.ruptures]
    return at[0] if at else min(3, len(answers))


LEVEL_QUESTION = {
    "within": "Within clients",
    "between": "Between clients",
    "between_therapist": "Between therapists",
}


def study_answers(
    estimates: pd.DataFrame,
    study: Study,
    rule_labels: dict[str, str],
    briefs: Mapping[str, str] | None = None,
) -> list[Answer]:
    """The questions of the first screen: within and between clients, ruptures; then the others.

    Within clients, the dynamic model comes first where it was estimated for the same measures: it
    holds the earlier outcome equal, which the multilevel model does not; what that one says within
    clients follows the first screen.

    Parameters
    ----------
    rule_labels : rupture rule -> its name for readers. briefs : :func:`rules_in_brief`.
    """
    answers: list[Answer] = []
    later: list[Answer] = []
    dynamic = [
        Answer(question, verdict, tuple(said))
        for question, verdict, said in dynamic_questions(estimates, study)
    ]
    for key, spec in _main_models(study):
        if leads(estimates, study, spec.predictor, spec.outcome):
            answers.append(dynamic.pop(0))
        terms = ("within", "between") if spec.kind == "within_between" else ("time",)
        for term in terms:
            led = bool(answers) and term == "within"
            (later if led else answers).append(model_answer(estimates, study, key, term))
    totals = [key for key, spec in study.ruptures.items() if not spec.component]
    ruptures = [
        rupture_answer(estimates, study, key, rule_labels, briefs or {})
        for key in totals or study.ruptures
    ]
    answers += ruptures[:1]
    answers += later
    answers += dynamic
    answers += ruptures[1:]
    for key, spec in study.models.items():
        if spec.therapists and spec.kind == "within_between":
            answers.append(model_answer(estimates, study, key, "between_therapist"))
    answers += [association_answer(estimates, study, key) for key in study.associations]
    return answers


def _main_models(study: Study) -> list[tuple[str, ModelSpec]]:
    """The model marked as headline, else the first; nothing in a study without models."""
    models = list(study.models.items())
    return ([pair for pair in models if pair[1].headline] or models)[:1]


def model_answer(estimates: pd.DataFrame, study: Study, key: str, term: str) -> Answer:
    """What one coefficient of one model says, by REML and by its Bayesian twin."""
    question = model_question(study, key, term)
    rows = estimates[(estimates["analysis"] == key) & (estimates["term"] == term)]
    first = _first(rows_of(rows, key, FREQUENTIST))
    twin = _first(rows_of(rows, key, BAYESIAN))
    main = first if first is not None else twin
    if main is None or main["status"] == "not_estimated":
        return Answer(question, "Not estimated.", (_why_not(estimates, key, main),))
    sentences = [association_sentence(main, study, key, term)]
    sentences += interaction_sentences(estimates, study, key, term)
    if term == "within":
        sentences.append(not_held_equal(study, key))
    if np.isfinite(main["std_within"]):
        sentences.append(_standardised(main))
    if first is not None and twin is not None:
        sentences.append(twin_sentence(twin))
    if term == "within":
        of_model = estimates[estimates["analysis"] == key]
        families = FREQUENTIST if first is not None else BAYESIAN
        sentences += [
            spread_sentence(rows_of(of_model, key, families)),
            exploratory_sentence(main),
        ]
    predictor = study.measures.get(study.models[key].predictor or "")
    rated = predictor is None or predictor.rater != "none"
    sentences.insert(1, precision_sentence(main))
    return Answer(question, verdict(main, term, rated), tuple(text for text in sentences if text))


def precision_sentence(row: pd.Series) -> str:
    """Said where so few degrees of freedom are left that the interval tells next to nothing."""
    if not np.isfinite(row["df"]) or row["df"] >= FEW_DF:
        return ""
    return (
        f"Read this as not answered: the interval rests on {number(row['df'], 1)} degrees of "
        "freedom, as too few clients show how much the effect differs between them."
    )


def association_answer(estimates: pd.DataFrame, study: Study, key: str) -> Answer:
    """Early ratings and the last outcome: at equal baseline, with prior change, and the field."""
    spec = study.associations[key]
    predictor, outcome = study.measures[spec.predictor].label, study.measures[spec.outcome].label
    question = f"Between clients: does early {predictor} go with the last {outcome}?"
    own = estimates[estimates["analysis"] == key].set_index("term", drop=False)
    main = own.loc["r_baseline"] if "r_baseline" in own.index else None
    if main is None or main["status"] == "not_estimated":
        return Answer(question, "Not estimated.", (_why_not(estimates, key, main),))
    sentences = [
        f"At equal {outcome} before treatment the correlation is {_correlation(main)}; "
        f"{counted(main['n_clients'], 'client')} still in treatment after the rating."
    ]
    change = own.loc["r_prior_change"] if "r_prior_change" in own.index else None
    if change is not None and change["status"] == "ok":
        sentences.append(
            f"At equal change up to the rating, too, it is {_correlation(change)}: improvement "
            "before the rating can raise both."
        )
    if "r_published" in own.index:
        field = own.loc["r_published"]
        limits = interval(field["ci_low"], field["ci_high"], 3, bounded=True)
        source = str(field["estimator"]).removeprefix("meta-analysis: ")
        sentences.append(
            f"Published studies together: r = {number(field['estimate'], 3, bounded=True)}, "
            f"95% CI {limits} ({source}; the sign is turned as here)."
        )
    return Answer(question, verdict(main, "r_baseline"), tuple(sentences))


def _correlation(row: pd.Series) -> str:
    limits = interval(row["ci_low"], row["ci_high"], 2, bounded=True)
    return f"r = {number(row['estimate'], 2, bounded=True)}, 95% CI {limits}, {p_text(row['p'])}"


def _first(rows: pd.DataFrame) -> pd.Series | None:
    return rows.iloc[0] if len(rows) else None


def _why_not(estimates: pd.DataFrame, key: str, row: pd.Series | None) -> str:
    """The reason of the row, else of any refused row of the model, else that there is no row."""
    if row is not None and row["reason"]:
        return _sentence(row["reason"])
    refused = estimates[(estimates["analysis"] == key) & (estimates["status"] == "not_estimated")]
    if len(refused):
        return _sentence(str(refused["reason"].iloc[0]))
    return "The estimates table has no row for it."


def model_question(study: Study, key: str, term: str) -> str:
    """``Within clients: does A predict B at the next session?``"""
    spec = study.models[key]
    outcome = study.measures[spec.outcome].label
    if term == "time" or spec.predictor is None:
        return f"How does {outcome} change over time?"
    predictor = study.measures[spec.predictor].label
    if term == "within":
        rule = lag_rule(study.timing, spec.lag)
        verb = "go with" if rule.concurrent else "predict"
        return f"Within clients: does {predictor} {verb} {outcome} {when(study, spec)}?"
    return f"{LEVEL_QUESTION[term]}: does {predictor} go with {outcome}?"


_AT = {"session": "at", "day": "on"}


def when(study: Study, spec: ModelSpec) -> str:
    """``at the next session``, ``two weeks later``, ``in the same week``."""
    lag, unit = lag_rule(study.timing, spec.lag).lag, study.timing.unit
    if lag == 0:
        return f"{_AT.get(unit, 'in')} the same {unit}"
    if unit == "session":
        return "at the next session" if lag == 1 else f"{_small(lag)} sessions later"
    return f"{_small(lag)} {unit}{'' if lag == 1 else 's'} later"


def _small(value: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return words[value] if value < len(words) else str(value)


def verdict(row: pd.Series, term: str, rated: bool = True) -> str:
    """A few words: the direction if the interval leaves out zero, else that it is not clear.

    ``rated`` is False for predictors that nobody rated, such as a blood level.
    """
    if row["status"] == "diagnostics_failed":
        return "Not to be relied on: diagnostics failed."
    low, high = row["ci_low"], row["ci_high"]
    if not (np.isfinite(low) and np.isfinite(high)):
        return "Estimated without an interval."
    if row["df"] < FEW_DF:
        return "Not answered: too few clients for a usable interval."
    if low <= 0 <= high:
        return "Not clear: the interval includes zero."
    better = row["estimate"] < 0
    if term == "time":
        return "It gets better on average." if better else "It gets worse on average."
    words = "a better outcome" if better else "a worse outcome"
    return f"Yes: a higher {'rating' if rated else 'value'} goes with {words}."


def association_sentence(row: pd.Series, study: Study, key: str, term: str) -> str:
    """The coefficient in words with interval, p and n."""
    spec = study.models[key]
    outcome = study.measures[spec.outcome].label
    outcome_units, _, per = row["units"].partition(" per ")
    size = f"{number(abs(row['estimate']), _digits(row))} {outcome_units} {_better(row)}"
    if term == "time" or spec.predictor is None:
        return (
            f"{outcome} was {size} with each further {per or study.timing.unit} ({_numbers(row)})."
        )
    measure = study.measures[spec.predictor]
    predictor = measure.label
    if term == "within":
        above = (
            f"When a client rated {predictor} one {per} above their own mean"
            if measure.rater == "client"
            else f"When {predictor} was one {per} above the client's own mean"
        )
        return f"{above}, {outcome} {when(study, spec)} was {size} on average ({_numbers(row)})."
    who = "Therapists" if term == "between_therapist" else "Clients"
    return (
        f"{who} with a mean {predictor} one {per} higher had {outcome} {size} on average "
        f"({_numbers(row)})."
    )


def _digits(row: pd.Series) -> int:
    return digits_for(row["se"])


def _better(row: pd.Series) -> str:
    """Outcomes are oriented so that higher is worse."""
    return "better" if row["estimate"] < 0 else "worse"


def _numbers(row: pd.Series) -> str:
    """``b = −0.56, 95% CI [−0.83, −0.29], p < .001, REML; 2,190 observations of 228 clients``."""
    digits = _digits(row)
    bayes = family(row["estimator"]) in BAYESIAN
    found = [f"b = {number(row['estimate'], digits)}"]
    if np.isfinite(row["ci_low"]) and np.isfinite(row["ci_high"]):
        limits = interval(row["ci_low"], row["ci_high"], digits)
        found.append(f"95% {'CrI' if bayes else 'CI'} {limits}")
    found += [text for text in (p_text(row["p"]),) if text]
    if bayes and np.isfinite(row["pd"]):
        found.append(f"probability of the direction {direction(row['pd'])}")
    n = f"{counted(row['n_obs'], 'observation')} of {counted(row['n_clients'], 'client')}"
    if np.isfinite(row["n_therapists"]) and row["n_therapists"] > 0:
        n += f" of {counted(row['n_therapists'], 'therapist')}"
    return f"{', '.join(found)}, {family(row['estimator'])}; {n}"


def _standardised(row: pd.Series) -> str:
    limits = interval(row["std_within_low"], row["std_within_high"])
    limits = f" {limits}" if limits.startswith("[") else ""
    return (
        f"Standardised within clients: {number(row['std_within'])}{limits} SDs of the outcome per "
        "SD of the predictor."
    )


def not_held_equal(study: Study, key: str) -> str:
    """The known limit of a within-client coefficient without the earlier outcome."""
    outcome = study.measures[study.models[key].outcome].label
    return (
        f"Earlier {outcome} is not held equal here: what carries over from it is part of this "
        "number."
    )


def twin_sentence(row: pd.Series) -> str:
    """The Bayesian twin in one sentence; says so where it failed or was not fitted."""
    if row["status"] == "not_estimated":
        return f"The Bayesian twin was not fitted: {_sentence(row['reason'])}"
    digits = _digits(row)
    text = f"The Bayesian twin: b = {number(row['estimate'], digits)}"
    limits = interval(row["ci_low"], row["ci_high"], digits)
    text += f", 95% CrI {limits}" if limits.startswith("[") else ""
    if np.isfinite(row["pd"]):
        text += f", probability of the direction {direction(row['pd'])}"
    if row["status"] == "diagnostics_failed":
        return f"{text}; its diagnostics failed ({row['reason']}), so it does not count."
    return f"{text}."


def spread_sentence(rows: pd.DataFrame) -> str:
    """How much clients differ in their within-client slope; empty without random slopes.

    Parameters
    ----------
    rows : of one model, by one kind of estimator.
    """
    found = slope_spread(rows)
    if found is None:
        return ""
    known = ", ".join(filter(None, [found.limits, p_text(found.p)]))
    size = f"{found.sd}{f' ({known})' if known else ''}"
    if found.unclear:
        return f"Whether clients differ is not clear: the SD of their slopes is {size}."
    share = f"; {found.share} of clients are estimated to have a slope of the average sign"
    return f"The SD of clients' slopes is {size}{share if found.share else ''}."


def exploratory_sentence(row: pd.Series) -> str:
    """Said where the scale measures change within clients too badly; else empty."""
    bias = str(row["known_bias"])
    if not bias.startswith("exploratory"):
        return ""
    return f"This within-client result is {bias.partition(';')[0]}."


def change_sentences(change: pd.DataFrame | None, labels: dict[str, str]) -> list[str]:
    """How many clients changed reliably, by outcome."""
    if change is None:
        return []
    return [_change_sentence(row, labels) for row in change.itertuples()]


_ORIGIN = {"published": "as published", "sample": "from this sample"}


def _change_sentence(row: object, labels: dict[str, str]) -> str:
    label = labels.get(str(row.measure), str(row.measure))
    if not np.isfinite(row.limit):
        return f"{label}: no limit of reliable change ({row.note})."
    limit = (
        f"limit {number(row.limit, 1)} points, {_ORIGIN.get(row.origin, row.origin)}: {row.note}"
    )
    if not np.isfinite(row.n_improved):
        return (
            f"{label}: how many clients changed reliably is not shown, because one of the numbers "
            f"is too small ({limit})."
        )
    text = (
        f"{label}: from the first to the last score, {counted(row.n_improved, 'client')} got "
        f"reliably better, {counted(row.n_deteriorated, 'client')} reliably worse and "
        f"{counted(row.n_unchanged, 'client')} neither ({limit})."
    )
    if np.isfinite(row.n_recovered) and np.isfinite(row.n_clinical_before):
        text += (
            f" Of {counted(row.n_clinical_before, 'client')} in the clinical range at first "
            f"(cut-off {number(row.cutoff, 1)}), {counted(row.n_recovered, 'client')} also left it."
        )
    return text


MUCH_AT_CEILING = 15.0  # percent; Terwee et al. (2007, J Clin Epidemiol 60, 34-42)


def ceiling_sentences(ceiling: pd.DataFrame | None, labels: dict[str, str]) -> list[str]:
    """Measures that many clients rate at the highest possible score at some session."""
    if ceiling is None or ceiling["pct_ceiling"].isna().all():
        return []
    top = ceiling.sort_values("pct_ceiling", ascending=False).drop_duplicates("measure")
    return [
        f"{labels.get(str(row.measure), str(row.measure))}: up to {percent(row.pct_ceiling, 0)} of "
        f"clients gave the highest possible score (session {int(row.session)}), so that further "
        "rises could not be seen."
        for row in top.itertuples()
        if row.pct_ceiling >= MUCH_AT_CEILING
    ]


def rupture_answer(
    estimates: pd.DataFrame,
    study: Study,
    key: str,
    rule_labels: dict[str, str],
    briefs: Mapping[str, str],
) -> Answer:
    """Ruptures and repairs under the study's first rule, and the last outcome."""
    spec = study.ruptures[key]
    question = f"{study.rupture_label(key)}: do ruptures and repairs go with the outcome?"
    own = estimates[estimates["analysis"] == key]
    parts = own["term"].map(split_term)
    own = own.assign(quantity=parts.str[0], rule=parts.str[1])
    first = own[own["rule"] == spec.rules[0]]
    if first.empty:
        return Answer(
            question, "Not estimated.", ("The estimates table has no row for it.",), ruptures=True
        )
    rule = rule_labels.get(spec.rules[0], spec.rules[0].replace("_", " "))
    found, *against_noise = prevalence_sentences(first, rule)
    brief = briefs.get(spec.rules[0])
    defined = [f"By this rule {brief}."] if brief else []
    # What the verdict rests on stands first, so that it is seen without scrolling.
    sentences = [found, *contrast_sentences(first), *defined, *against_noise]
    tested = own[(own["quantity"] == "session_onset") & (own["status"] == "ok")]
    for _, row in tested.head(1).iterrows():  # the first rule that does not look ahead
        name = rule_labels.get(row["rule"], row["rule"].replace("_", " "))
        sentences += session_sentences(row.to_frame().T, name)
    sentences += sentence_on_number_of_tests(own)
    sentences += [*repair_sentences(own, spec.rules[0]), *discrete_drop_sentences(own)]
    return Answer(question, rupture_verdict(first), tuple(sentences), ruptures=True)


def rules_in_brief(summaries: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Rule -> what it calls a rupture and a repair, in one line.

    Parameters
    ----------
    summaries : key of each rupture analysis -> its summary.
    """
    told = [s[s["brief"].notna()] for s in summaries.values() if "brief" in s]
    return {
        str(row.rule): str(row.brief) for rows in told for row in rows.itertuples() if row.brief
    }


def reading_sentences(notes: str) -> tuple[str, ...]:
    """What was worked out while the files were read, ``file: note`` lines, one sentence a file."""
    by_file: dict[str, list[str]] = {}
    for line in notes.splitlines():
        file, _, note = line.partition(": ")
        by_file.setdefault(file, []).append(note)
    return tuple(f"{file} was read as: {'; '.join(said)}." for file, said in by_file.items())


def anonymity_sentence(groups: pd.DataFrame, names: list[str], smallest_cell: int) -> str:
    """How many clients share their combination of quasi-identifiers; empty without any.

    Parameters
    ----------
    groups : ``deidentification.k_anonymity``. names : the quasi-identifiers, for readers.
    """
    if groups.empty:
        return ""
    smallest, shared = int(groups["group_size"].iloc[0]), " and ".join(names)
    if smallest < smallest_cell:
        return (
            f"Some clients share {shared} with fewer than {smallest_cell - 1} others and could be "
            "recognised by it: join categories before records of single clients are passed on."
        )
    return f"Each client shares {shared} with at least {smallest - 1} others (k = {smallest})."


def left_out(
    estimates: pd.DataFrame, study: Study, rule_labels: Mapping[str, str] | None = None
) -> list[str]:
    """What the rows that are not ok are, in words; those with the same reason share a sentence."""
    bad = estimates[estimates["status"] != "ok"]
    names = {name: model.label for name, model in study.models.items()}
    names |= {name: dynamic.label for name, dynamic in study.dynamics.items()}
    ruptures = {name: f"Ruptures, {study.rupture_label(name)}" for name in study.ruptures}
    sentences = []
    for key, rows in bad.groupby("analysis", sort=False):
        analysis = str(key)
        if analysis in ruptures:
            sentences += refused_of_rules(rows, ruptures[analysis], rule_labels or {})
        elif analysis == SOURCES:
            sentences += refused_of_sources(rows, rule_labels or {})
        else:
            name = names.get(analysis) or analysis_words(study, analysis)
            sentences += _refused(rows, name, estimates[estimates["analysis"] == analysis])
    return sentences


def _refused(bad: pd.DataFrame, name: str, rows: pd.DataFrame) -> Iterable[str]:
    """``rows``: all of the analysis, so that a fit of which nothing is left is told briefly."""
    n_rows = rows["estimator"].value_counts()
    told: dict[tuple[str, str], list[str]] = {}
    for (estimator, status, reason), own in bad.groupby(
        ["estimator", "status", "reason"], sort=False
    ):
        words = (inside_sentence(term_words(r.term, r.estimand)) for r in own.itertuples())
        terms = _the_first(list(dict.fromkeys(words)))
        if len(own) > MOST_TERMS and len(own) == n_rows[estimator]:
            terms = f"all {len(own)} estimates"
        said = "not estimated" if status == "not_estimated" else "estimated, but diagnostics failed"
        told.setdefault((terms, f"{said}. {_sentence(str(reason))}"), []).append(str(estimator))
    for (terms, what), estimators in told.items():
        by = f" ({', '.join(estimators)})" if any(estimators) else ""
        yield f"{name}{by}, {terms}: {what}"


def _the_first(terms: list[str]) -> str:
    """Quantities as a list; of very many the first ones, as the reason is the same for all."""
    if len(terms) <= MOST_TERMS:
        return ", ".join(terms)
    further = counted(len(terms) - MOST_TERMS, "further quantity", "further quantities")
    return f"{', '.join(terms[:MOST_TERMS])} and {further}, which estimates.csv names"


def absent_bayes(study: Study, estimates: pd.DataFrame) -> list[str]:
    """Models of the study file without any row at all, and models without a Bayesian twin."""
    sentences = []
    for key, model in study.models.items():
        own = estimates[estimates["analysis"] == key]
        if own.empty:
            sentences.append(f"{model.label}: not run; the estimates table has no row for it.")
        elif not model.bayes:
            sentences.append(f"{model.label}: no Bayesian twin, as the study file says.")
    return sentences


def data_sentence(flow: pd.DataFrame | None, smallest_cell: int = 1) -> str:
    """How much data there is, after cleaning; empty without a flow."""
    if flow is None or flow.empty:
        return ""
    steps = shown_flow(flow, smallest_cell)
    first, last = steps.iloc[0], steps.iloc[-1]
    if np.isnan(first["clients_in"]):
        return (
            f"{counted(last['sessions_out'], 'session')} of "
            f"{counted(last['clients_out'], 'client')} analysed, of "
            f"{counted(first['sessions_in'], 'session')} read; fewer than {smallest_cell} clients "
            "were left out."
        )
    return (
        f"{counted(last['sessions_out'], 'session')} of {counted(last['clients_out'], 'client')} "
        f"analysed, of {counted(first['sessions_in'], 'session')} of "
        f"{counted(first['clients_in'], 'client')} read."
    )


def validation_sentence(
    validation: pd.DataFrame | None, scoring_notes: pd.DataFrame | None = None
) -> str:
    """How many warnings the data gave, and how many notes the scoring keys."""
    if validation is None:
        return "No record of the validation was found."
    warnings = int((validation["severity"] == "warning").sum())
    of_keys = 0 if scoring_notes is None else int((scoring_notes["severity"] == "warning").sum())
    if warnings + of_keys == 0:
        return "The files passed validation without warnings."
    told = f"with {counted(warnings, 'warning')}" if warnings else "without warnings"
    keys = f"; scoring keys gave {counted(of_keys, 'warning')}" if of_keys else ""
    return f"The files passed validation {told}{keys}:"


_ROWS = re.compile(
    r"(,| of|;)? ?\brows? \d+(?: session \d+)?(?:, (?:row )?\d+(?: session \d+)?)*"
    r"(?: and \d+ more)?"
)


def without_few(text: str, smallest_cell: int) -> str:
    """A sentence of the validation for readers of a report: no row numbers, no few clients."""
    return few_in_words(_ROWS.sub("", text), smallest_cell)


def truth_sentence(truth: pd.DataFrame | None) -> str:
    """Said on top of every simulated study."""
    text = "These data are simulated. Nothing here is a finding about real people."
    if truth is not None and len(truth):
        text += " Estimated values stand beside the true ones further down."
    return text


def _sentence(text: str) -> str:
    """With a capital and a full stop."""
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
