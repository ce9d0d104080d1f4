"""Items that only check whether the form was read: found by their names and by their answers."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from alliance.drafting.roles import words_of
from alliance.drafting.scales import Scale
from alliance.readers.raw import RawTable

# Words of column names: attention_1, wai_check, Aufmerksamkeit, instructed_item.
NAMED = ("attention", "attn", "check", "instructed", "bogus", "catch", "aufmerksamkeit", "kontroll")
MOSTLY = 0.8  # share of forms with the answer that was asked for


def named_as_check(column: str) -> bool:
    """Whether a word of the column's name says that it only checks attention."""
    return any(word.startswith(NAMED) for word in words_of(column))


def attention_checks(
    raw: RawTable, scale: Scale, columns: Iterable[str], first_of_file: bool
) -> dict[str, float]:
    """Columns that look like attention checks of a scale, with the answer they ask for.

    A column belongs to the scale whose name it bears, one without any to the first of the file.

    Parameters
    ----------
    columns : columns of the file that play no other part.
    first_of_file : whether the scale is the first one of its file.
    """
    if not scale.group.n_items:
        return {}
    own = set(words_of(scale.group.pattern.replace("{item", " ")))
    found = {}
    for column in columns:
        if not named_as_check(column):
            continue
        words = words_of(column)
        bears = bool(own & set(words))
        alone = first_of_file and all(word.startswith((*NAMED, "item")) for word in words)
        answer = _usual_answer(raw.frame[column])
        if (bears or alone) and answer is not None:
            found[str(column)] = answer
    return found


def _usual_answer(values: pd.Series) -> float | None:
    """The number that most forms hold; None where there is none."""
    numbers = pd.to_numeric(values, errors="coerce").dropna()
    counts = numbers.value_counts(normalize=True)
    return float(counts.index[0]) if len(counts) and counts.iloc[0] >= MOSTLY else None
