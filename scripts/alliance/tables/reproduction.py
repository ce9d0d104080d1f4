"""Published numbers beside ours, one table per data set."""

from __future__ import annotations

import math

import pandas as pd

from alliance.tables.apa import ApaTable, Column, Row, section
from alliance.tables.format import ABSENT as NONE
from alliance.tables.format import MINUS, number

_COLUMNS = tuple(
    Column(heading)
    for heading in ("Number", "Published", "Obtained", "Difference", "Tolerance", "Verdict")
)
_MORE_DIGITS = 2  # of our number than were printed
_NOTE = (
    "Tolerance: half a unit of the last digit printed; counts must be equal. Difference: obtained "
    "minus published."
)


def reproduction_tables(comparison: pd.DataFrame) -> list[ApaTable]:
    """One table per data set, a section per model and source.

    Parameters
    ----------
    comparison : table of :func:`alliance.verification.compare`.
    """
    return [
        _table(str(data), own.reset_index(drop=True))
        for data, own in comparison.groupby("data", sort=False)
    ]


def _table(data: str, own: pd.DataFrame) -> ApaTable:
    rows: list[Row] = []
    notes = [_NOTE]
    for _, block in own.groupby(["model", "source", "expected"], sort=False):
        first = block.iloc[0]
        rows.append(section(f"{first['model_title']} ({first['status']}: {first['source']})"))
        for row in block.itertuples():
            rows.append(_row(row, notes))
    title = str(own["data_title"].iloc[0])
    return ApaTable(f"reproduce_{data}", title, _COLUMNS, tuple(rows), tuple(notes), own)


def _row(row: object, notes: list[str]) -> Row:
    """One number; its note, if any, is added to ``notes`` once and marked by a letter."""
    digits = len(row.printed.partition(".")[2])
    bounded = row.printed.lstrip("-").startswith(".")
    more = digits if row.tolerance == 0 else digits + _MORE_DIGITS
    verdict = row.verdict
    if row.note and math.isfinite(row.obtained):
        verdict += f" ({_letter(row, notes)})"
    cells = (
        row.quantity,
        row.printed.replace("-", MINUS),
        number(row.obtained, more, bounded).replace(",", ""),  # as they are printed elsewhere
        number(row.difference, more, bounded).replace(",", ""),
        _tolerance(row, digits),
        verdict,
    )
    return Row(cells, indent=True)


def _tolerance(row: object, digits: int) -> str:
    if not row.expected:
        return NONE
    return "equal" if row.tolerance == 0 else f"{row.tolerance:.{digits + 1}f}"


def _letter(row: object, notes: list[str]) -> str:
    text = f"{row.note[0].upper()}{row.note[1:]}."
    known = [note.partition(" ")[2] for note in notes[1:]]
    if text not in known:
        known.append(text)
        notes.append(f"({chr(96 + len(known))}) {text}")
    return chr(97 + known.index(text))
