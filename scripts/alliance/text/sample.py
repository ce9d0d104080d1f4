"""Who took part and how the data were prepared."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from alliance.small_cells import shown_flow
from alliance.tables.format import count, counted, number, percent
from alliance.text.document import Passage, passage
from alliance.text.inputs import TextInputs
from alliance.text.words import listed, sentence
from alliance.timing import one_occasion

AUTHORS = "[Authors: setting, recruitment, treatment, therapists, consent, ethics approval.]"
_LAYOUT = {
    "exact_duplicates": {"drop": "exact copies of rows were left out",
                         "error": "exact copies of rows were not tolerated"},
    "conflicting_duplicates": {
        "keep_most_complete": "of differing rows for one client and session the most complete one "
        "was kept",
        "drop_all": "differing rows for one client and session were all left out",
        "error": "differing rows for one client and session were not tolerated"},
    "out_of_range": {"missing": "answers outside the response range were set to missing",
                     "error": "answers outside the response range were not tolerated"},
    "therapist_changes": {
        "first": "a client of several therapists counted for the first",
        "most_sessions": "a client of several therapists counted for the one with most sessions",
        "keep": "changes of therapist were kept"},
}  # fmt: skip


def participants_methods(x: TextInputs) -> Passage | None:
    """Design, source, numbers read and analysed."""
    study = x.study
    nature = (
        "The data are simulated; nothing below is a finding about people."
        if study.simulated
        else f"The design was {'randomised' if study.design == 'randomised' else 'observational'}."
    )
    place = {"pre": "before", "post": "after"}
    timing = (
        f"Process measures were taken {place[study.timing.alliance_when]} and outcomes "
        f"{place[study.timing.outcome_when]} each session; every lag below follows from that order."
    )
    if all(measure.role == "outcome" for measure in study.measures.values()):
        timing = ""  # no lag follows from the order of forms where there is one kind of them
    elif one_occasion(study.timing):
        timing = (
            "Process measures and outcomes of a session were taken on one occasion; which came "
            "first is not known, so that only values of earlier sessions can predict."
        )
    return passage(
        "Participants and data",
        [
            " ".join(filter(None, [nature, sentence(study.description), timing])),
            AUTHORS,
            _source(x),
        ],
    )


def _source(x: TextInputs) -> str:
    return f"Source of the data: {sentence(x.study.source)}" if x.study.source else ""


def preparation_methods(x: TextInputs) -> Passage | None:
    """The cleaning rules as declared, and what de-identification did."""
    rules = x.study.cleaning
    done = [words[getattr(rules, key)] for key, words in _LAYOUT.items()]
    text = f"Rules for flawed rows were declared before the analysis: {listed(done)}."
    if rules.min_sessions > 1:
        text += (
            f" Clients with fewer than {rules.min_sessions} attended sessions with data were left "
            "out."
        )
    keyed = x.study.privacy.pseudonyms == "keyed"
    ids = (
        "Identifiers were replaced by keyed pseudonyms"
        if keyed
        else "The identifiers in the files were pseudonyms already"
    )
    privacy = (
        f"{ids}; dates were replaced by days since the first session, and counts of fewer than "
        f"{x.study.privacy.smallest_cell} clients are not shown."
    )
    return passage("Data preparation", [f"{text} {privacy}", _missing(x)])


def _missing(x: TextInputs) -> str:
    if not x.study.models:
        return ""
    of_items = any(measure.items is not None for measure in x.study.measures.values())
    imputed = "Beyond the replacement of single answers no" if of_items else "No"
    return (
        f"{imputed} score was imputed. Models use all observed pairs of predictor and outcome; "
        "likelihood estimates are valid if scores are missing at random given what was observed."
    )


def participants_results(x: TextInputs) -> Passage | None:
    """How many were analysed, and who they were."""
    return passage("Participants", [" ".join(filter(None, [_flow(x), *_composition(x)]))])


def _flow(x: TextInputs) -> str:
    if x.flow is None or x.flow.empty:
        return ""
    steps = shown_flow(x.flow, x.study.privacy.smallest_cell)
    first, last = steps.iloc[0], steps.iloc[-1]
    read = f"{counted(first['sessions_in'], 'session')}"
    if np.isfinite(first["clients_in"]):
        read += f" of {counted(first['clients_in'], 'client')}"
    return (
        f"Of {read} read, {counted(last['sessions_out'], 'session')} of "
        f"{counted(last['clients_out'], 'client')} were analysed"
        f"{_attended(x, last['sessions_out'])}."
    )


def _attended(x: TextInputs, analysed: float) -> str:
    """How many of the sessions took place, where some did not."""
    if x.sample is None:
        return ""
    n = x.sample.loc[x.sample["variable"] == "sessions", "n"]
    if n.empty or not np.isfinite(n.iloc[0]) or n.iloc[0] >= analysed:
        return ""
    return f"; {counted(n.iloc[0], 'session')} took place"


def _composition(x: TextInputs) -> Iterator[str]:
    """One sentence per client variable; hidden cells are passed over."""
    if x.sample is None:
        return
    for _, own in x.sample.groupby("variable", sort=False):
        shown = own[~own["suppressed"].astype(bool)]
        if shown.empty:
            continue
        label = str(shown["label"].iloc[0])
        if str(shown["statistic"].iloc[0]).startswith("mean"):
            row = shown.iloc[0]
            yield f"{label}: *M* = {number(row['mean'])}, *SD* = {number(row['sd'])}."
        elif shown["category"].astype(bool).any():
            parts = [
                f"{r.category} {count(r.n)} ({percent(r.percent)})" for r in shown.itertuples()
            ]
            yield f"{label}: {', '.join(parts)}."


def change_results(x: TextInputs) -> Passage | None:
    """Reliable change from the first to the last score, where the numbers may be shown."""
    if x.change is None:
        return None
    said = []
    for row in x.change.itertuples():
        if not (np.isfinite(row.limit) and np.isfinite(row.n_improved)):
            continue
        worse = f" and {count(row.n_deteriorated)} worse" if np.isfinite(row.n_deteriorated) else ""
        said.append(
            f"{x.label(row.measure)}: {count(row.n_improved)} of "
            f"{counted(row.n_clients, 'client')} were reliably better at the last score than at "
            f"the first{worse} (limit {number(row.limit, 1)} points) [@jacobson1991]."
        )
    return passage("Change over treatment", said)
