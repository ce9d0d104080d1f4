"""Ruptures against noise: rates of each rule, and tests against next outcome and drop-out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from alliance.tables.apa import ApaTable, Column, Row
from alliance.tables.format import (
    ABSENT,
    count,
    counted,
    digits_for,
    interval,
    number,
    p_value,
    percent,
    with_interval,
)
from alliance.tables.ruptures import (
    LOOKS_AHEAD_EXPLAINED,
    NULL_LEAVES_OUT,
    VERIFIED_WORDS,
    errors_in_words,
    rows_by_rule,
    term_in_words,
    with_rules,
)
from alliance.tables.titles import title_of

_NOISE_HEADINGS = (
    ("Rule", ""), ("wording from", "Rule"), ("looks ahead", "Rule"),
    ("n", "Clients with a rupture"),
    ("observed", "Clients with a rupture"), ("noise alone [95% band]", "Clients with a rupture"),
    ("ratio", "Clients with a rupture"), ("p", "Clients with a rupture"),
    ("observed", "Of decided ones, repaired"), ("noise alone", "Of decided ones, repaired"),
    ("p", "Of decided ones, repaired"), ("observed", "Drops per surge"),
    ("noise alone", "Drops per surge"), ("p", "Drops per surge"),
)  # fmt: skip


def rupture_noise_table(noise: pd.DataFrame, name: str, label: str) -> ApaTable | None:
    """One row per rule: what was observed beside what null data sets gave.

    Parameters
    ----------
    noise : ``rupture_null.noise.NOISE_COLUMNS``. name : key of the analysis. label : its measure.
    """
    run = noise[noise["n_null"] > 0]
    if run.empty:
        return None
    rows = tuple(_noise_row(own) for _, own in run.groupby("rule", sort=False))
    hidden = run["reason"].fillna("").str.contains("hidden").any()
    sets = int(run["n_null"].max())
    notes = (
        f"Measure: {label}. Noise alone: mean over {sets:,} null data sets drawn from the study's "
        "own dynamic model, in which no session is a rupture; clients, sessions, gaps and the "
        "distribution of scores are those of the study. p: two-sided, of the observed value in "
        "them. Surges: the rule applied upside down; half a client is added to both counts. A "
        "p above .05 is no evidence of more or fewer ruptures, or repairs, than noise alone gives. "
        "Ruptures in the study also widen its model, which makes the comparison cautious. "
        f"{NULL_LEAVES_OUT} Here: {_model_in_words(run)}. {LOOKS_AHEAD_EXPLAINED}",
        *(("A dash: the number is of too few clients to be shown.",) if hidden else ()),
    )
    columns = tuple(Column(*heading) for heading in _NOISE_HEADINGS)
    title = title_of("Ruptures and Noise Alone, by Rule", label)
    return ApaTable(f"rupture_noise_{name}", title, columns, rows, notes, noise)


def _model_in_words(run: pd.DataFrame) -> str:
    """``no error of measurement; trends of the clients' own``: what is in the null model."""
    return str(run["null_model"].iloc[0]).replace(", ", "; ")


def _noise_row(own: pd.DataFrame) -> Row:
    by = own.set_index("quantity")
    had, repaired, mirror = (by.loc[q] for q in ("prevalence", "repaired_share", "asymmetry"))
    verified = str(had["verified"])
    return Row((
        str(had["label"]), VERIFIED_WORDS.get(verified, verified),
        "yes" if bool(had["lookahead"]) else "no", count(had["n_clients"]),
        percent(had["observed"]), _band(had), number(had["ratio"]), p_value(had["p"]),
        percent(repaired["observed"], 0), percent(repaired["null_mean"], 0),
        p_value(repaired["p"]), number(mirror["observed"]), number(mirror["null_mean"]),
        p_value(mirror["p"]),
    ))  # fmt: skip


def _band(row: pd.Series) -> str:
    if not np.isfinite(row["null_mean"]):
        return ABSENT
    return f"{percent(row['null_mean'])} {interval(row['null_low'], row['null_high'], 1)}"


_TESTS: dict[str, tuple[str, str]] = {
    "session": (
        "Next Outcome After Ruptures",
        "Difference in the next outcome (oriented so that higher is worse) after such a session, "
        "within clients: beside the linear effect of the rating, the outcome before and time. Only "
        "rules that do not look ahead, given the SDs of the sample.",
    ),
    "landmark": (
        "Later Outcome by Ruptures Until a Landmark",
        "Difference in the last outcome after the landmark session, of clients still in treatment, "
        "by the label that the ratings up to it give; at equal baseline, number of sessions, mean "
        "and slope of the rating until then.",
    ),
    "hazard": (
        "Drop-out After Ruptures",
        "Log hazard ratio of leaving after such a session, beside the rating, the mean of ratings "
        "so far, time and the latest outcome. Above zero: drop-out is likelier. Only rules that do "
        "not look ahead, given the SDs of the sample.",
    ),
}


def rupture_test_table(
    estimates: pd.DataFrame, name: str, label: str, rule_labels: Mapping[str, str], kind: str
) -> ApaTable | None:
    """The rows of one kind (``session``, ``landmark``, ``hazard``) of one analysis; None without.

    Rows that could not be estimated are not listed here: the report names them with their reasons.
    """
    own = estimates[(estimates["analysis"] == name) & (estimates["kind"] == kind)]
    shown = own[own["status"] == "ok"]
    if shown.empty:
        return None
    shown = with_rules(shown)
    rows = rows_by_rule(shown, rule_labels, _test_row)
    what, words = _TESTS[kind]
    title = title_of(what, label, shown["level"])
    left_out = len(own) - len(shown)
    further = counted(left_out, "further comparison")
    was = "was" if left_out == 1 else "were"
    said = f" {further} {was} not possible; the report says why."
    errors = "".join(f" {text}" for text in errors_in_words(shown))
    notes = (
        f"Measure: {label}. {words}{errors} {P_EXPLAINED}{said if left_out else ''}",
    )  # fmt: skip
    columns = (
        Column("Comparison"), Column("Estimate [95% CI]"), Column("SE"), Column("p"),
        Column("Noise alone [95% band]"), Column("p (null)"), Column("n"),
    )  # fmt: skip
    return ApaTable(f"rupture_{kind}_{name}", title, columns, tuple(rows), notes, own)


P_EXPLAINED = (
    "p is nominal. Noise alone: mean and 95% band of the same estimate in null data sets, in which "
    "ruptures have no effect of their own; p (null) compares with them and is the one to be read "
    f"(a dash: fewer than 100 of them allowed the comparison). {NULL_LEAVES_OUT}"
)


def _test_row(r: object) -> Row:
    digits = digits_for(r.se)
    return Row((
        term_in_words(r.quantity), with_interval(r.estimate, r.ci_low, r.ci_high, digits),
        number(r.se, digits), p_value(r.p),
        with_interval(r.null_mean, r.null_low, r.null_high, digits), p_value(r.p_null),
        count(r.n_clients),
    ), indent=True)  # fmt: skip
