"""Tables that one stage writes as text and another reads: absent words are empty, not NaN."""

from __future__ import annotations

import pandas as pd

# A column of words that is empty in every row comes back from a CSV file as numbers that are NaN.
WORD_COLUMNS: tuple[str, ...] = (
    "reason", "category", "label", "instrument", "verification", "rater", "statistic", "status",
    "file", "where", "found", "expected", "fix", "source", "construct", "remark", "flag",
)  # fmt: skip


def fill_words(frame: pd.DataFrame | None) -> pd.DataFrame | None:
    """The table with empty text where words are absent; None stays None."""
    if frame is None:
        return None
    present = [name for name in WORD_COLUMNS if name in frame.columns]
    text = {
        name: frame[name].astype(object).where(frame[name].notna(), "").astype(str)
        for name in present
    }
    return frame.assign(**text)
