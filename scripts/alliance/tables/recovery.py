"""Planted ruptures found, and false alarms, by rule: simulated studies only."""

from __future__ import annotations

import pandas as pd

from alliance.tables.apa import ApaTable, Column, Row
from alliance.tables.format import count, number, percent
from alliance.tables.titles import title_of

_HEADINGS = (
    ("Rule", ""), ("n", "Planted ruptures"), ("unrated", "Planted ruptures"),
    ("found", "Planted ruptures"), ("% found", "Planted ruptures"),
    ("n", "Clients without one"), ("% flagged", "Clients without one"),
    ("flags per client", "Clients without one"),
)  # fmt: skip


def recovery_table(recovery: pd.DataFrame, name: str, label: str) -> ApaTable:
    """One row per rule.

    Parameters
    ----------
    recovery : ``label`` and the keys of ``ruptures.sensitivity``. name : key of the analysis.
    label : the measure that was searched.
    """
    rows = tuple(
        Row((
            str(r.label), count(r.n_planted), count(r.n_unrated), count(r.n_found),
            percent(100 * r.sensitivity), count(r.n_rupture_free), percent(r.pct_clients_alarmed),
            number(r.false_alarms_per_client),
        ))
        for r in recovery.itertuples()
    )  # fmt: skip
    notes = (
        f"Measure: {label}. Found: a flag within one session of the planted onset. Unrated: no "
        "rating within one session of the onset, so that no rule can find it. Clients without one: "
        "clients in whose course no rupture was planted; their flags are false alarms.",
    )
    columns = tuple(Column(*heading) for heading in _HEADINGS)
    title = title_of("Planted Ruptures Found by Each Rule", label)
    return ApaTable(f"recovery_{name}", title, columns, rows, notes, recovery)
