"""Which columns a measure has in the study's own tables, and which numbers they may hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from alliance.readers.patterns import fill_item
from alliance.study import Measure, Study

if TYPE_CHECKING:
    from alliance.instruments import Instrument


@dataclass(frozen=True)
class AnswerColumn:
    """One column of answers or scores in the assembled tables.

    Attributes
    ----------
    name : canonical name, ``alliance_client__3`` for items, the measure's name for scores.
    measure : the measure it belongs to.
    item : number of the item (from 1), None for a score computed elsewhere.
    low, high : lowest and highest possible number, None where nobody declared it.
    whole : whether only whole numbers are possible.
    source : how the user calls the column, ``wai_3`` or ``wai_3_s{session}``.
    """

    name: str
    measure: str
    item: int | None
    low: float | None
    high: float | None
    whole: bool
    source: str


def answer_columns(study: Study, instruments: Mapping[str, Instrument]) -> list[AnswerColumn]:
    """Every column of answers the study declares, in the order of the study file.

    A measure whose instrument is not in ``instruments`` is left out; that is a problem of its own.
    """
    found: list[AnswerColumn] = []
    for name, measure in study.measures.items():
        instrument = instruments.get(measure.instrument or "")
        if measure.column is not None:
            found.append(_score_column(name, measure, instrument))
        elif instrument is not None:
            found.extend(_item_columns(name, measure, instrument))
    return found


def item_sources(measure: Measure, n_items: int) -> list[str]:
    """The item columns as the user names them, in item order (``{session}`` stays in place)."""
    if isinstance(measure.items, list):
        return list(measure.items)
    return [fill_item(str(measure.items), number) for number in range(1, n_items + 1)]


def present_answers(sessions: pd.DataFrame, study: Study) -> list[str]:
    """The columns of answers and scores that an assembled table really has."""
    return [
        column
        for column in sessions.columns
        if column in study.measures or column.rpartition("__")[0] in study.measures
    ]


def _score_column(name: str, measure: Measure, instrument: Instrument | None) -> AnswerColumn:
    limits = measure.range or (instrument.score_range if instrument else None) or (None, None)
    return AnswerColumn(name, name, None, *limits, whole=False, source=str(measure.column))


def _item_columns(name: str, measure: Measure, instrument: Instrument) -> list[AnswerColumn]:
    if instrument.n_items is None:
        return []
    low, high = measure.response_range or (instrument.response_min, instrument.response_max)
    whole = instrument.response_type == "integer"
    return [
        AnswerColumn(f"{name}__{number}", name, number, low, high, whole, source)
        for number, source in enumerate(item_sources(measure, instrument.n_items), start=1)
    ]
