"""Ruptures and repairs: the rules, and what they found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from alliance.study import RuptureSpec
from alliance.tables.format import ABSENT, clients_or_why, counted, p_value, percent
from alliance.tables.ruptures import (
    CONTRAST_WORDS,
    NULL_LEAVES_OUT,
    VERIFIED_WORDS,
    rule_definitions,
    split_term,
)
from alliance.text.document import Passage, passage
from alliance.text.inputs import TextInputs
from alliance.text.words import sentence, statistics

if TYPE_CHECKING:
    from alliance.ruptures import RuptureRule


def ruptures_methods(x: TextInputs) -> Passage | None:
    """Which rules were applied to which ratings, and where their wording is from."""
    if not x.study.ruptures:
        return None
    said = [
        "A rupture was called where a rating dropped from its reference by at least the threshold "
        "of a declared rule, a repair where it came back to the target of the rule within the "
        f"rule's number of {_horizons(x)} are "
        "indeterminate, not unrepaired. Several rules are reported, because ratings "
        "that vary by chance alone also give ruptures and repairs."
    ]
    for name, spec in x.study.ruptures.items():
        labels = [_rule(x, r) for r in spec.rules]
        said.append(f"{_source(x, spec)}: {'; '.join(labels)}." if labels else name)
    said.append(" ".join([*_outcome_methods(x), *_errors(x)]))
    if x.estimates["p_null"].notna().any():
        said.append(
            "Each rule was also applied to data sets drawn from the study's own dynamic model, in "
            "which there are no ruptures, with the same sessions, gaps, ceiling and rounding. The "
            f"{_sets(x)}p under the null is two-sided, from the share of these data sets with a "
            "test statistic as extreme; for the comparisons of the last outcome under the first "
            f"rule it is also adjusted for their number (Holm). {NULL_LEAVES_OUT}"
        )
    names = {name: _source(x, spec) for name, spec in x.study.ruptures.items()}
    return passage("Ruptures and repairs", said, list(rule_definitions(x.ruptures, names)))


def _horizons(x: TextInputs) -> str:
    """What the rules of the study count, and which ruptures that leaves undecided."""
    named = {rule for spec in x.study.ruptures.values() for rule in spec.rules}
    by_weeks = {r for r in named if r in x.rules and x.rules[r].horizon_unit == "weeks"}
    if not by_weeks:
        return "rated sessions; ruptures that could not be followed that long"
    units = "weeks" if by_weeks == named else "rated sessions or, by rule, weeks"
    return f"{units}; ruptures that could not be followed that long, or lack the dates for it,"


_TESTS = {
    "contrast": "Clients with repaired, with unrepaired and without ruptures were compared in "
    "their last outcome by linear regression at equal first outcome, number of sessions "
    "and mean and slope of the rating.",
    "landmark": "So that long treatments have no more time for ruptures, this was repeated with "
    "ruptures up to given sessions and the outcome after them, among clients still in treatment.",
    "session": "Within clients, the outcome at the next session after a rupture was compared with "
    "what is expected from the rating itself (fixed effects of clients, errors robust by client), "
    "by rules that use no later session.",
    "hazard": "Dropping out after a rupture was modelled as a discrete-time hazard (complementary "
    "log-log). As few clients, or none, may leave after ruptures, log hazard ratios are estimated "
    "with Jeffreys' penalty [@kosmidis2021] and tested by their scores.",
}


def _outcome_methods(x: TextInputs) -> Iterator[str]:
    """One sentence for each kind of test that left an estimate."""
    own = x.estimates[x.estimates["analysis"].isin(list(x.study.ruptures))]
    made = set(own.loc[own["status"] == "ok", "kind"])
    yield from (words for kind, words in _TESTS.items() if kind in made)


def _sets(x: TextInputs) -> str:
    """How many null data sets there were, where all analyses have as many."""
    asked = {spec.null_datasets for spec in x.study.ruptures.values() if spec.null_datasets}
    return f"number of data sets was {asked.pop():,}; the " if len(asked) == 1 else ""


def _errors(x: TextInputs) -> Iterator[str]:
    """How the comparisons of clients were tested, and from how many clients on."""
    own = x.estimates[x.estimates["analysis"].isin(list(x.study.ruptures))]
    own = own[(own["status"] == "ok") & own["kind"].isin(["contrast", "landmark"])]
    if own.empty:
        return
    from alliance.ruptures.outcome_tests import (  # noqa: PLC0415, slow to load
        FEWEST_CLUSTERS,
        SMALLEST_GROUP,
    )

    by_therapist = own[own["estimator"].str.contains("robust by therapist")]
    if len(by_therapist):
        n = by_therapist["n_therapists"].max()
        known = f"; {counted(n, 'therapist')}" if np.isfinite(n) else ""
        yield (
            f"Comparisons of clients have standard errors robust by therapist (CR1{known}), tested "
            "on as many degrees of freedom as therapists less one."
        )
    if own["estimator"].str.contains("HC3").any():
        of = "Where therapists are too few for that, comparisons" if len(by_therapist) else (
            "Comparisons of clients"
        )  # fmt: skip
        yield (
            f"{of} have heteroscedasticity-consistent standard errors (HC3); errors robust by "
            f"therapist need {FEWEST_CLUSTERS} of them."
        )
    yield f"Groups of fewer than {SMALLEST_GROUP} clients were not compared."


def _source(x: TextInputs, spec: RuptureSpec) -> str:
    """The measure that was searched, and the subscale if it was one."""
    return f"{x.label(spec.measure)}{f', {spec.component}' if spec.component else ''}"


def _rule(x: TextInputs, rule: str) -> str:
    found: RuptureRule | None = x.rules.get(rule)
    if found is None:
        return rule.replace("_", " ")
    if found.verified == "project":
        return f"{found.label} (a rule of this project)"
    origin = VERIFIED_WORDS.get(found.verified, found.verified)
    return f"{found.label} ({found.source.rstrip('.')}; wording: {origin})"


def ruptures_results(x: TextInputs) -> Passage | None:
    """Prevalence under each rule, and the contrasts of the first rule."""
    said = []
    for name, spec in x.study.ruptures.items():
        own = x.estimates[x.estimates["analysis"] == name]
        parts = own["term"].map(split_term)
        own = own.assign(quantity=parts.str[0], rule=parts.str[1])
        shares, compared = _prevalence(x, own, spec.rules), _contrasts(own, spec.rules[0])
        text = " ".join([*shares, *compared, *_next_session(x, own)])
        said.append(f"*{_source(x, spec)}.* {text}" if text else "")
    return passage("Ruptures and repairs", said)


def _prevalence(x: TextInputs, own: pd.DataFrame, rules: list[str]) -> Iterator[str]:
    for rule in rules:
        row = own[(own["rule"] == rule) & (own["quantity"] == "prevalence")]
        if row.empty:
            continue
        label = x.rules[rule].label if rule in x.rules else rule.replace("_", " ")
        r = row.iloc[0]
        if r["status"] == "not_estimated":
            yield sentence(f"{label}: no share can be given, {_because(r['reason'])}")
        else:
            of = counted(r["n_clients"], "client")
            yield (
                f"{label}: {percent(100 * r['estimate'])} of {of} had at least one rupture"
                f"{_noise(r)}."
            )


def _because(reason: str) -> str:
    return f"as it {reason}" if reason.startswith("would ") else reason


def _noise(row: pd.Series) -> str:
    """What the null data sets give; nothing where there are none."""
    if not np.isfinite(row["null_mean"]):
        return ""
    band = f"[{percent(100 * row['null_low'])}, {percent(100 * row['null_high'])}]"
    return f"; noise alone gives {percent(100 * row['null_mean'])}, 95% band {band}"


def _null(row: pd.Series) -> str:
    p = p_value(row["p_null"])
    if p == ABSENT:
        return ""
    adjusted = p_value(row["p_adjusted"])
    after = f", after Holm {_with_sign(adjusted)}" if adjusted != ABSENT else ""
    return f", *p* under the null {_with_sign(p)}{after}"


def _with_sign(p: str) -> str:
    return p if p[0] in "<>" else f"= {p}"


def _next_session(x: TextInputs, own: pd.DataFrame) -> Iterator[str]:
    """The outcome after an onset, by the first rule that does not look ahead."""
    rows = own[(own["quantity"] == "session_onset") & (own["status"] == "ok")]
    for _, row in rows.head(1).iterrows():
        rule = str(row["rule"])
        label = x.rules[rule].label if rule in x.rules else rule.replace("_", " ")
        yield (
            f"Within clients, next outcome after an onset ({label}), beyond the rating as a "
            f"straight line: {statistics(row)}{_null(row)}."
        )


def _contrasts(own: pd.DataFrame, rule: str) -> Iterator[str]:
    rows = own[(own["rule"] == rule) & own["quantity"].isin(CONTRAST_WORDS)]
    for _, row in rows.iterrows():
        words = CONTRAST_WORDS[row["quantity"]]
        if row["status"] == "not_estimated":
            yield sentence(f"{words}: not estimated, {row['reason']}")
        elif np.isfinite(row["estimate"]):
            yield (
                f"{words}, last outcome at equal baseline, number of sessions, and mean and slope "
                f"of the rating: {statistics(row)}{_null(row)} "
                f"({clients_or_why(row['n_clients'])})."
            )
