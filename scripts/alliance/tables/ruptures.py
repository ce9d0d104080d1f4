"""Rupture tables: what each rule finds, and how clients with and without ruptures end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import pandas as pd

from alliance.tables.apa import ApaTable, Column, Row, section
from alliance.tables.format import (
    ABSENT,
    count,
    digits_for,
    number,
    p_value,
    percent,
    with_interval,
)
from alliance.tables.titles import title_of

VERIFIED_WORDS: dict[str, str] = {
    "abstract": "abstract",
    "secondary": "secondary source",
    "recalled": "recalled only",
    "project": "this project",
}
CONTRAST_WORDS: dict[str, str] = {
    "repaired_vs_none": "Repaired minus no rupture",
    "unrepaired_vs_none": "Not repaired minus no rupture",
    "repaired_vs_unrepaired": "Repaired minus not repaired",
}
_FURTHER_WORDS: dict[str, str] = {
    "session_onset": "Onset of a rupture",
    "session_in_rupture": "Inside an open rupture",
    "session_repaired": "Session that repairs a rupture",
    "session_onset_beyond_curve": "Onset of a rupture, beside a curved effect of the rating",
    "drop_out_onset": "Drop-out after the onset of a rupture",
    "drop_out_in_rupture": "Drop-out inside an open rupture",
    "prevalence": "Share of clients with a rupture",
    "repaired_share": "Share of clients with repair",
    "indeterminate_share": "Share of clients with an undecided rupture",
    "r_repair_baseline": "Repair and last outcome as a correlation",
    "r_repair": "Repair and last outcome as a correlation",
    "discrete_drops_vs_student": "Discrete drops against a symmetric heavy tail",
    "discrete_drops_vs_skewed": "Discrete drops against a skewed heavy tail",
    "discrete_drops_vs_gaussian": "Discrete drops against normal changes",
    "drop_share": "Share of ratings with a discrete drop",
    "drop_size": "Size of a discrete drop",
}


NULL_LEAVES_OUT = (
    "The model of the null data sets has no differences between therapists; error of measurement "
    "(from Rcn) and trends of the clients' own are in it where it fits better with them (AIC)."
)
LOOKS_AHEAD_EXPLAINED = (
    "Looks ahead: whether a session is called a rupture depends on later sessions of the client, "
    "given the SDs of the sample (which pool all sessions of the study)."
)


def rule_definitions(
    summaries: Mapping[str, pd.DataFrame], labels: Mapping[str, str]
) -> Iterable[str]:
    """What each rule of the study calls a rupture and a repair.

    A rule is told once, or once per rating that is searched where its thresholds differ.

    Parameters
    ----------
    summaries, labels : key of each rupture analysis -> its summary, its name for readers.
    """
    told: dict[tuple[str, str], list[str]] = {}
    for name, summary in summaries.items():
        known = summary[summary["definition"].notna()] if "definition" in summary else summary[:0]
        for row in known.itertuples():
            said = told.setdefault((str(row.label), str(row.definition)), [])
            said.append(labels.get(name, name))
    of_rule = [label for label, _ in told]
    full: set[str] = set()
    for (label, definition), ratings in told.items():
        several = f" ({'; '.join(ratings)})" if of_rule.count(label) > 1 else ""
        size = _SIZE_OF_DROP.search(definition)
        if label in full and size:
            yield f"{label}{several}: the same with {size[1]} times the unit."
        else:
            yield f"{label}{several}: {definition}"
        full.add(label)


_SIZE_OF_DROP = re.compile(r"lies (at least [^;]*?) times the ")


def term_in_words(quantity: str) -> str:
    """A contrast or a further test of ruptures for readers; the name itself where unknown."""
    known = CONTRAST_WORDS | _FURTHER_WORDS
    if quantity.startswith("landmark_"):
        _, session, contrast = quantity.split("_", 2)
        return f"After session {session}: {known.get(contrast, contrast).lower()}"
    return known.get(quantity, quantity.replace("_", " "))


def split_term(term: str) -> tuple[str, str]:
    """Quantity and rule of a term such as ``prevalence[mean_prior]``."""
    quantity, _, rule = term.partition("[")
    return quantity, rule.rstrip("]")


def with_rules(own: pd.DataFrame) -> pd.DataFrame:
    """The rows with ``quantity`` and ``rule``, the two parts of their term."""
    parts = own["term"].map(split_term)
    return own.assign(quantity=parts.str[0], rule=parts.str[1])


def rows_by_rule(
    own: pd.DataFrame, rule_labels: Mapping[str, str], make: Callable[[object], Row]
) -> list[Row]:
    """A row for each of ``own``, under a heading for each rule."""
    rows: list[Row] = []
    for rule, group in own.groupby("rule", sort=False):
        rows.append(section(f"Rule: {rule_labels.get(str(rule), str(rule))}"))
        rows += [make(r) for r in group.itertuples()]
    return rows


def _by_weeks(summary: pd.DataFrame) -> str:
    """What is said of rules that count weeks, which alone have that number; empty without any."""
    if "median_latency_weeks" not in summary:
        return ""
    known = summary[summary["median_latency_weeks"].notna()]
    medians = [f"{r.label} {number(r.median_latency_weeks, 1)}" for r in known.itertuples()]
    said = " Under rules that count weeks, also what missing dates leave open counts as not seen"
    return f"{said}; median latency in weeks: {'; '.join(medians)}." if medians else f"{said}."


def rupture_rules_table(summary: pd.DataFrame, name: str, label: str) -> ApaTable:
    """One row per rule.

    Parameters
    ----------
    summary : table of the rupture engine. name : key of the analysis. label : its measure.
    """
    rows = []
    for r in summary.itertuples():
        ahead = "yes" if bool(r.lookahead) else "no"
        rows.append(
            Row((
                str(r.label), VERIFIED_WORDS.get(str(r.verified), str(r.verified)), ahead,
                count(r.n_evaluable), count(r.n_ruptured), percent(r.pct_ruptured),
                count(r.n_repaired), count(r.n_unrepaired), count(r.n_indeterminate),
                number(r.median_latency, 1), number(r.median_depth),
            ))
        )  # fmt: skip
    headings = (
        ("Rule", ""), ("wording from", "Rule"), ("looks ahead", "Rule"), ("evaluable", "Clients"),
        ("ruptured", "Clients"), ("%", "Clients"), ("repaired", "Ruptures end"),
        ("not repaired", "Ruptures end"), ("not seen", "Ruptures end"),
        ("latency", "Median"), ("depth", "Median"),
    )  # fmt: skip
    notes = (
        f"Measure: {label}. All counts are clients, each counted once by the label the rule gives. "
        "Latency: rated sessions until repair; depth: in units of the rule. Not seen: treatment or "
        f"data ended before it could be decided. {LOOKS_AHEAD_EXPLAINED} Rules differ in what they "
        "call a rupture; ratings "
        f"that vary by chance alone also produce some.{_at_ceiling(summary)}{_by_weeks(summary)}",
    )
    return ApaTable(
        f"ruptures_{name}", title_of("Ruptures and Repairs by Rule", label),
        tuple(Column(*h) for h in headings), tuple(rows), notes, summary,
    )  # fmt: skip


def _at_ceiling(summary: pd.DataFrame) -> str:
    """Share of ratings that cannot be any higher, from which only drops can follow."""
    if "pct_ceiling" not in summary or summary["pct_ceiling"].isna().all():
        return ""
    share = percent(float(summary["pct_ceiling"].dropna().iloc[0]), 1)
    return f" {share} of the ratings are at the highest possible score."


def rupture_outcome_table(
    estimates: pd.DataFrame, name: str, label: str, rule_labels: Mapping[str, str]
) -> ApaTable | None:
    """Contrasts of the last outcome between clients by label; None when there are no such rows.

    Parameters
    ----------
    name : key of the rupture analysis. label : its measure. rule_labels : rule -> its name.
    """
    own = estimates[(estimates["analysis"] == name) & (estimates["kind"] == "contrast")]
    if own.empty:
        return None
    own = with_rules(own)
    rows = rows_by_rule(own, rule_labels, _contrast_row)
    refused = own.loc[own["status"] == "not_estimated"]
    calibrated = own["p_null"].notna().any()
    shown = own[own["p_null"].notna()] if calibrated else own
    bias = [text for text in shown["known_bias"].unique() if text]
    notes = [
        f"Measure: {label}. Difference in the last observed outcome (oriented so that higher is "
        f"worse, {own['units'].iloc[0]}) at equal baseline, number of sessions, and mean and slope "
        "of the rating.",
        *(f"{text.rstrip('.')}." for text in sorted(bias, key=len)[:1]),  # without remarks on rules
        *errors_in_words(own),
        *([_NULL_EXPLAINED] if calibrated else []),
        *_not_estimated(refused, rule_labels),
    ]
    columns = (
        Column("Contrast"), Column("Difference [95% CI]"), Column("SE"), Column("p"),
        Column("Noise alone [95% band]"), Column("p (null)"), Column("p (null, Holm)"), Column("n"),
    )  # fmt: skip
    title = title_of("Last Outcome With and Without Ruptures", label, own["level"])
    return ApaTable(
        f"rupture_outcome_{name}", title, columns, tuple(rows), tuple(notes), own,
    )  # fmt: skip


def _not_estimated(refused: pd.DataFrame, rule_labels: Mapping[str, str]) -> Iterator[str]:
    """One sentence per rule and reason."""
    for (rule, reason), own in refused.groupby(["rule", "reason"], sort=False):
        words = [CONTRAST_WORDS.get(name, name).lower() for name in own["quantity"]]
        yield f"Not estimated, {rule_labels.get(rule, rule)}, {', '.join(words)}: {reason}."


_ERRORS = {  # part of the name of an estimator -> how its intervals were made
    "robust by therapist": "95% t, errors robust by therapist, on therapists less one degrees of "
    "freedom",
    "HC3": "95% t, errors robust to unequal variances (HC3)",
    "fixed effects of clients": "95% t, fixed effects of clients, errors robust by client",
    "discrete-time hazard": "95% z around Jeffreys-penalised estimates, while p is that of score "
    "tests, against the null by size (few clients may leave after ruptures)",
}


def errors_in_words(own: pd.DataFrame) -> list[str]:
    """How the intervals of tests of ruptures were made, one sentence; empty where unknown."""
    names = own.loc[own["status"] == "ok", "estimator"].unique()
    used = [words for part, words in _ERRORS.items() if any(part in name for name in names)]
    return [f"Intervals: {'; '.join(used)}."] if used else []


_NULL_EXPLAINED = (
    "Noise alone: mean and 95% band of the same difference in the null data sets; p (null): "
    "two-sided p against them (a dash: fewer than 100 of them allowed the comparison). "
    f"{NULL_LEAVES_OUT} Holm: adjusted for the three comparisons of the first rule; the other "
    "rules are shown beside it and not adjusted."
)


def _contrast_row(r: object) -> Row:
    words = CONTRAST_WORDS.get(r.quantity, str(r.quantity).replace("_", " "))
    if r.status == "not_estimated":
        return Row((words, "not estimated", *[ABSENT] * 5, count(r.n_clients)), indent=True)
    digits = digits_for(r.se)
    cells = (
        with_interval(r.estimate, r.ci_low, r.ci_high, digits), number(r.se, digits),
        p_value(r.p), with_interval(r.null_mean, r.null_low, r.null_high, digits),
        p_value(r.p_null), p_value(r.p_adjusted), count(r.n_clients),
    )  # fmt: skip
    return Row((words, *cells), indent=True)
