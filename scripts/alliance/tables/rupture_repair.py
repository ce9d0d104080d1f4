"""Repaired or not, and the last outcome, as correlations beside the pooled one of the field."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from alliance.tables.apa import ApaTable, Column, Row, section
from alliance.tables.format import ABSENT, count, p_value, with_interval
from alliance.tables.ruptures import with_rules

_TERMS = ("r_repair_baseline", "r_repair")
PUBLISHED = "r_repair_published"


def rupture_repair_table(
    estimates: pd.DataFrame, ratings: Mapping[str, str], rule_labels: Mapping[str, str]
) -> ApaTable | None:
    """One row per rating and rule; None without any such estimate.

    Parameters
    ----------
    ratings : key of each rupture analysis -> what it searches. rule_labels : rule -> its name.
    """
    own = estimates[estimates["analysis"].isin(list(ratings)) & estimates["term"].notna()]
    own = with_rules(own)
    own = own[own["quantity"].isin([*_TERMS, PUBLISHED])]
    if own.empty:
        return None
    rows: list[Row] = []
    for name, rating in ratings.items():
        here = own[(own["analysis"] == name) & (own["quantity"] != PUBLISHED)]
        if len(here):
            rows.append(section(f"Measure: {rating}"))
        for rule, group in here.groupby("rule", sort=False):
            label = rule_labels.get(str(rule), str(rule).replace("_", " "))
            rows.append(_row(label, group.set_index("quantity")))
    published = own[own["quantity"] == PUBLISHED].head(1)
    for r in published.itertuples():
        rows.append(Row(("Published, pooled over studies", *[_shown(r)], *[ABSENT] * 4)))
    headings = (
        ("Rule", ""), ("r [95% CI]", "At equal baseline"), ("p", "At equal baseline"),
        ("r [95% CI]", "Also at equal sessions, mean and slope of the rating"),
        ("p", "Also at equal sessions, mean and slope of the rating"), ("n", ""),
    )  # fmt: skip
    columns = tuple(Column(*heading) for heading in headings)
    return ApaTable(
        "rupture_repair",
        "Repair and Last Outcome as Correlations Between Clients, Beside the Published One",
        columns, tuple(rows), _notes(own, published), own.drop(columns=["quantity", "rule"]),
    )  # fmt: skip


def _row(label: str, group: pd.DataFrame) -> Row:
    first, second = (group.loc[term] for term in _TERMS)
    if first["status"] == "not_estimated":
        return Row((label, "not estimated", *[ABSENT] * 3, count(first["n_clients"])), indent=True)
    return Row((
        label, _shown(first), p_value(first["p"]), _shown(second), p_value(second["p"]),
        count(first["n_clients"]),
    ), indent=True)  # fmt: skip


def _shown(row: object) -> str:
    if getattr(row, "status", "ok") == "not_estimated":
        return "not estimated"
    return with_interval(row.estimate, row.ci_low, row.ci_high, 2, bounded=True)


def _notes(own: pd.DataFrame, published: pd.DataFrame) -> tuple[str, ...]:
    refused = own[own["status"] == "not_estimated"].drop_duplicates(["analysis", "rule"])
    reasons = dict.fromkeys(str(reason) for reason in refused["reason"])
    return (
        "Partial correlation of repair (clients whose ruptures were repaired, against those whose "
        "ruptures were not) and the last outcome; higher outcomes are worse, so below zero clients "
        "with repair ended better. p is nominal; whether a difference goes beyond noise is told by "
        "the p (null) of the same comparison in points.",
        "Intervals follow from those of the difference in points and its robust errors.",
        *([f"Not estimated: {'; '.join(reasons)}."] if reasons else []),
        *(
            f"{r.estimand} ({str(r.estimator).removeprefix('meta-analysis: ')}): {r.known_bias}."
            for r in published.itertuples()
        ),
    )
