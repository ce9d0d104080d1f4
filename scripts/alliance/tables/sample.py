"""Who took part, and what became of the rows: sample and data flow."""

from __future__ import annotations

import math

import pandas as pd

from alliance.small_cells import shown_flow, step_words
from alliance.tables.apa import ApaTable, Column, Row, section
from alliance.tables.format import count, number

HIDDEN = "not shown"


def sample_table(sample: pd.DataFrame, smallest_cell: int) -> ApaTable:
    """Client variables: numbers and percentages, or means and SDs.

    Parameters
    ----------
    sample : ``variable, label, category, statistic, n, percent, mean, sd, suppressed``.
    """
    rows: list[Row] = []
    for _, own in sample.groupby("variable", sort=False):
        label = str(own["label"].iloc[0])
        if own["statistic"].iloc[0].startswith("mean"):
            rows += [Row((label, *_mean_cells(r))) for r in own.itertuples()]
        elif len(own) == 1 and not own["category"].iloc[0]:
            rows += [Row((label, *_count_cells(r))) for r in own.itertuples()]
        else:
            rows.append(section(label))
            rows += [
                Row((str(r.category), *_count_cells(r)), indent=True) for r in own.itertuples()
            ]
    notes = ["Clients after cleaning."]
    if sample["suppressed"].astype(bool).any():
        notes.append(
            f"{HIDDEN.capitalize()}: fewer than {smallest_cell} clients, or hidden so that such a "
            "number cannot be worked out."
        )
    if sample.loc[~sample["suppressed"].astype(bool), "n"].isna().any():
        notes.append("Dash: would tell a number of few clients.")
    columns = (Column("Variable"), Column("n"), Column("%"), Column("M"), Column("SD"))
    return ApaTable("sample", "Sample", columns, tuple(rows), tuple(notes), sample)


def _count_cells(row: object) -> tuple[str, ...]:
    if bool(row.suppressed):
        return (HIDDEN, "", "", "")
    share = number(row.percent, 1) if math.isfinite(row.percent) else ""
    return (count(row.n), share, "", "")


def _mean_cells(row: object) -> tuple[str, ...]:
    if bool(row.suppressed):
        return (HIDDEN, "", "", "")
    return (count(row.n), "", number(row.mean), number(row.sd))


def flow_table(flow: pd.DataFrame, smallest_cell: int = 1) -> ApaTable:
    """Every step from the files to what is analysed.

    Parameters
    ----------
    flow : ``order, step, sessions_in, sessions_out, clients_in, clients_out, reason``.
    """
    rows, idle = [], []
    steps = shown_flow(flow, smallest_cell)
    for r in steps.itertuples():
        lost = r.sessions_lost, r.clients_lost
        name = step_words(str(r.step))
        if not any(lost) and 0 < r.Index < len(steps) - 1:
            idle.append(name.lower())
            continue
        words = name + (f": {r.reason}" if r.reason else "")
        rows.append(
            Row((words, count(r.sessions_out), count(lost[0]), count(r.clients_out),
                 r.lost_in_words))
        )  # fmt: skip
    columns = (
        Column("Step"), Column("left", "Sessions"), Column("out", "Sessions"),
        Column("left", "Clients"), Column("out", "Clients"),
    )  # fmt: skip
    notes = ["Left: rows that remain after the step. Out: rows that the step removed."]
    if idle:
        notes.append(f"Steps that removed no row: {', '.join(idle)}.")
    if steps["clients_out"].isna().any():
        notes.append("Dash: would tell a number of few clients.")
    return ApaTable(
        "flow", "Sessions and Clients at Each Step", columns, tuple(rows), tuple(notes), steps
    )
