"""Sudden gains and losses: how many, in how many clients, how large, how many reversed."""

from __future__ import annotations

import pandas as pd

from alliance.tables.apa import ApaTable, Column, Row
from alliance.tables.format import ABSENT, count, number, percent, with_interval
from alliance.tables.titles import title_of

_CRITERIA = (
    "A change between two neighbouring sessions counts when it is at least {cutoff:g} points, at "
    "least a quarter of the score before it, and when the means of up to three sessions "
    "on each side differ by more than the critical value of t times their pooled SD. Reversed: "
    "half or more was given back later. Scores that vary by chance alone also give such changes."
)
_WAYS = (("gain", "gains", "Gains (for the better)"), ("loss", "losses", "Losses (for the worse)"))


def sudden_gains_table(
    estimates: pd.DataFrame, key: str, label: str, cutoff: float
) -> ApaTable | None:
    """One row for gains and one for losses of one analysis; None without rows of it.

    Parameters
    ----------
    key : under ``sudden_gains``. label : its measure. cutoff : points.
    """
    own = estimates[estimates["analysis"] == key]
    if own.empty:
        return None
    by = own.set_index("term")
    rows = tuple(_row(by, *way) for way in _WAYS)
    columns = (
        Column("Sudden"), Column("n", "Clients"), Column("with any [95% CI]", "Clients"),
        Column("with several", "Clients"), Column("with a reversed one", "Clients"),
        Column("number", "Changes"), Column("reversed", "Changes"), Column("M", "Changes"),
        Column("SD", "Changes"),
    )  # fmt: skip
    few = own["reason"].str.contains("would tell a number of").any()
    hidden = "A dash: the number is of too few clients to be shown." if few else ""
    notes = (
        f"Measure: {label}; M and SD in {_units(own)}. {_CRITERIA.format(cutoff=cutoff)}",
        *filter(None, [hidden]),
    )
    title = title_of("Sudden Gains and Losses", label)
    return ApaTable(f"sudden_gains_{key}", title, columns, rows, notes, own)


def _units(own: pd.DataFrame) -> str:
    return str(own.loc[own["term"] == "gain_size", "units"].iloc[0])


def _row(by: pd.DataFrame, what: str, many: str, words: str) -> Row:
    some = by.loc[f"clients_with_{what}"]
    return Row((
        words, count(some["n_clients"]), _share(some),
        _share(by.loc[f"clients_with_several_{many}"], interval=False),
        _share(by.loc[f"clients_with_reversed_{what}"], interval=False),
        count(by.loc[many, "estimate"]), count(by.loc[f"reversed_{many}", "estimate"]),
        number(by.loc[f"{what}_size", "estimate"]), number(by.loc[f"{what}_size_sd", "estimate"]),
    ))  # fmt: skip


def _share(row: pd.Series, *, interval: bool = True) -> str:
    """Clients, percent and its interval; a dash where they may not be told."""
    if row["status"] != "ok":
        return ABSENT
    clients = count(row["estimate"] * row["n_clients"])
    share = 100 * row["estimate"]
    if not interval:
        return f"{clients} ({percent(share)})"
    limits = with_interval(share, 100 * row["ci_low"], 100 * row["ci_high"], 1)
    return f"{clients} ({limits.replace(' [', '% [', 1)})"
