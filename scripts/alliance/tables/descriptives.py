"""Means, variance at each level and correlations within and between clients; reliability."""

from __future__ import annotations

import pandas as pd

from alliance.tables.apa import ApaTable, Column, Row
from alliance.tables.format import ABSENT, count, number, percent, with_interval

LEVEL_SPAN: dict[str, str] = {
    "within_client": "Within clients",
    "between_client": "Between clients",
    "total": "Single ratings",
}


def descriptives_table(measures: pd.DataFrame, correlations: pd.DataFrame) -> ApaTable:
    """Descriptives with ICC, and one triangle of correlations for each level.

    Parameters
    ----------
    measures : table of measures and subscales. correlations : ``measure_a, measure_b, level, r``
        (and interval) of the totals.
    """
    totals = [str(name) for name in measures.loc[measures["scale"] == "total", "measure"]]
    pairs = _pairs(correlations)
    rows = []
    for m in measures.itertuples():
        is_total = m.scale == "total"
        name = f"{totals.index(m.measure) + 1}. {m.label}" if is_total else str(m.scale)
        cells = _correlation_cells(m.measure, totals, pairs) if is_total else [""] * len(totals)
        rows.append(Row((name, *_statistics(m), *cells), indent=not is_total))
    statistics = ("n", "M", "SD", "within", "between", "ICC", "Lag-1 r", "Range", "Missing")
    spans = ("", "", "", "SD", "SD", "", "", "", "")
    columns = [Column("Measure")] + [
        Column(heading, span) for heading, span in zip(statistics, spans, strict=True)
    ]
    columns += [Column(str(i + 1), "Correlations") for i in range(len(totals))]
    return ApaTable(
        "descriptives", "Descriptive Statistics and Correlations Within and Between Clients",
        tuple(columns), tuple(rows), _notes(measures), measures,
    )  # fmt: skip


def _pairs(correlations: pd.DataFrame) -> dict[tuple[str, str, str], float]:
    found = {}
    for r in correlations.itertuples():
        found[r.measure_a, r.measure_b, r.level] = r.r
        found[r.measure_b, r.measure_a, r.level] = r.r
    return found


def _correlation_cells(
    measure: str, totals: list[str], pairs: dict[tuple[str, str, str], float]
) -> list[str]:
    """Above the diagonal within clients, below it between clients."""
    own = totals.index(measure)
    cells = []
    for position, other in enumerate(totals):
        level = "within_client" if position > own else "between_client"
        r = pairs.get((measure, other, level), float("nan"))
        cells.append("" if position == own else number(r, bounded=True))
    return cells


def _statistics(m: object) -> tuple[str, ...]:
    return (
        count(m.n_sessions), number(m.mean), number(m.sd_total), number(m.sd_within),
        number(m.sd_between), number(m.icc, bounded=True),
        number(m.lag1_autocorrelation, bounded=True),
        f"{number(m.minimum, 1)} to {number(m.maximum, 1)}", percent(m.pct_missing),
    )  # fmt: skip


def _notes(measures: pd.DataFrame) -> tuple[str, ...]:
    n_clients = measures["n_clients"].max()
    return (
        f"n: sessions with a score, of up to {count(n_clients)} clients. M and SD are over "
        "sessions, in points of the scale as published. ICC: share of the variance that lies "
        "between clients. Lag-1 r: correlation of a session with the next within clients.",
        "Correlations above the diagonal are within clients, below it between clients. Missing: "
        "share of attended sessions without a score.",
    )


def reliability_table(reliability: pd.DataFrame, labels: dict[str, str]) -> ApaTable:
    """Coefficients with 95% intervals: a row per scale, a column per level and coefficient.

    Parameters
    ----------
    reliability : ``measure, scale, level, coefficient, estimate, ci_low, ci_high, n_clients,
        n_sessions, status, reason``. labels : measure -> its name for readers.
    """
    if reliability["estimate"].isna().all():
        return ApaTable("reliability", "Reliability", (Column("Scale"),), ())
    present = reliability.drop_duplicates(["level", "coefficient"])
    order = [level for level in LEVEL_SPAN if level in set(present["level"])]
    keys = [
        (level, c) for level in order for c in present.loc[present["level"] == level, "coefficient"]
    ]
    rows, notes = [], []
    for (measure, scale), own in reliability.groupby(["measure", "scale"], sort=False):
        values = {(r.level, r.coefficient): r for r in own.itertuples()}
        label = labels.get(str(measure), str(measure))
        name = label if scale == "total" else f"{label}: {scale}"
        rows.append(Row((name, *(_coefficient(values.get(key)) for key in keys))))
        failed = own[(own["status"] != "ok") & (own["reason"].fillna("") != "")]
        for reason, same in failed.groupby("reason", sort=False):
            which = [
                f"{_words(r.coefficient)} {LEVEL_SPAN.get(r.level, r.level).lower()}"
                for r in same.itertuples()
            ]
            notes.append(f"{name}, {', '.join(which)}: {reason}.")
    columns = [Column("Scale")] + [Column(_words(c), LEVEL_SPAN[level]) for level, c in keys]
    first = (
        "Estimates with 95% bootstrap intervals, approximate with few clients. Rcn: reliability of "
        "change within clients; RkRn: of a client's mean over sessions. From forms without a "
        f"missing answer, up to {count(reliability['n_clients'].max())} clients and "
        f"{count(reliability['n_sessions'].max())} sessions."
    )
    return ApaTable(
        "reliability", "Reliability Within and Between Clients", tuple(columns), tuple(rows),
        (first, *notes), reliability,
    )  # fmt: skip


def _words(coefficient: str) -> str:
    return str(coefficient).replace("_", ", ")


def _coefficient(row: object | None) -> str:
    if row is None:
        return ABSENT
    return with_interval(row.estimate, row.ci_low, row.ci_high, bounded=True)
