"""Next and last outcome by ruptures of other sources than ratings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from alliance.tables.apa import ApaTable, Column, Row, section
from alliance.tables.format import ABSENT, count, digits_for, p_value, with_interval
from alliance.tables.ruptures import split_term

ANALYSIS = "rupture_sources"
CELLS = {
    "client_only": "Client only", "therapist_only": "Therapist only", "both": "Both",
}  # fmt: skip


def source_label(name: str, labels: Mapping[str, str]) -> str:
    """A source, or a cell of two reports, for readers."""
    if name in CELLS:
        return f"{CELLS[name]} reported a rupture (against neither)"
    return labels.get(name, name.replace("_", " "))


def source_outcome_table(estimates: pd.DataFrame, labels: Mapping[str, str]) -> ApaTable | None:
    """One row per source, and one per cell of two reports; None without any estimate.

    Parameters
    ----------
    labels : source -> its name for readers, in the order of the rows.
    """
    own = estimates[
        (estimates["analysis"] == ANALYSIS) & estimates["kind"].isin(["session", "contrast"])
    ]
    if not (own["status"] == "ok").any():
        return None
    parts = own["term"].map(split_term)
    by = {key: row for key, (_, row) in zip(parts, own.iterrows(), strict=True)}
    names = [name for name in labels if ("session", name) in by]
    rows = [_row(by, name, labels[name]) for name in names]
    cells = [name for name in CELLS if ("session", name) in by]
    if cells:
        rows.append(section("Client and therapist on the same session, against neither"))
        rows += [_row(by, name, CELLS[name], indent=True) for name in cells]
    headings = (
        ("Source", ""), ("difference [95% CI]", "Next outcome, within clients"),
        ("p", "Next outcome, within clients"), ("beside a curve", "Next outcome, within clients"),
        ("n", "Next outcome, within clients"), ("difference [95% CI]", "Last outcome, clients"),
        ("p", "Last outcome, clients"), ("n", "Last outcome, clients"),
    )  # fmt: skip
    return ApaTable(
        "rupture_source_outcomes",
        "Next Outcome Within and Last Outcome Between Clients, by Ruptures of Other Sources",
        tuple(Column(*h) for h in headings), tuple(rows), tuple(_notes(own, labels)), own,
    )  # fmt: skip


def _row(
    by: dict[tuple[str, str], pd.Series], name: str, label: str, *, indent: bool = False
) -> Row:
    after = by[("session", name)]
    curve = by.get(("session", f"{name}_beyond_curve"))
    last = by.get(("client", name))
    return Row((
        label, _shown(after), p_value(after["p"]), _shown(curve),
        count(after["n_clients"]), _shown(last), ABSENT if last is None else p_value(last["p"]),
        ABSENT if last is None else count(last["n_clients"]),
    ), indent=indent)  # fmt: skip


def _shown(row: pd.Series | None) -> str:
    if row is None:
        return ABSENT
    if row["status"] == "not_estimated":
        return "not estimated"
    return with_interval(row["estimate"], row["ci_low"], row["ci_high"], digits_for(row["se"]))


def _notes(own: pd.DataFrame, labels: Mapping[str, str]) -> Iterator[str]:
    units = own["units"].iloc[0]
    yield (
        f"Units: {units}; higher is worse. Next outcome: after a marked session, beside a linear "
        "or curved effect of the rating, the outcome before and time, within clients. Last "
        "outcome: clients with at least one marked session minus clients without any, at equal "
        "baseline, number of sessions that the source tells of, mean and slope of the rating. A "
        "dash for n: the number would tell of few clients."
    )
    yield (
        "p is nominal: reports, codes and absences cannot be drawn from the study's dynamic model, "
        "so there is no null to hold them against. Who stays longer has more sessions to be marked "
        "in."
    )
    refused = own[own["status"] == "not_estimated"]
    for reason, rows in refused.groupby("reason", sort=False):
        names = [name.removesuffix("_beyond_curve") for _, name in rows["term"].map(split_term)]
        told = dict.fromkeys(source_label(name, labels) for name in names)
        yield f"Not estimated, {'; '.join(told)}: {reason}."
