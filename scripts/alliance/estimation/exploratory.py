"""Within-client results of a scale that measures change within clients badly are exploratory."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from alliance.reliability import EXPLORATORY_BELOW, is_exploratory

WORD = "exploratory"


def label_exploratory(
    estimates: pd.DataFrame, reliability: pd.DataFrame, labels: Mapping[str, str]
) -> pd.DataFrame:
    """Mark within-client rows that rest on a scale of low within-client reliability.

    Parameters
    ----------
    estimates : estimates table. reliability : table of :mod:`alliance.reliability`.
    labels : measure -> its name for readers.

    Returns
    -------
    DataFrame
        ``known_bias`` of such rows begins with ``exploratory`` and names the scales.
    """
    within = estimates["level"] == "within_client"
    remarks = [
        _remark(row, reliability, labels) if is_within else ""
        for row, is_within in zip(estimates.itertuples(), within, strict=True)
    ]
    joined = [
        "; ".join(filter(None, (new, old)))
        for new, old in zip(remarks, estimates["known_bias"], strict=True)
    ]
    return estimates.assign(known_bias=joined)


def _remark(row: object, reliability: pd.DataFrame, labels: Mapping[str, str]) -> str:
    scales = {(row.predictor, row.component or "total"), (row.outcome, "total")}
    weak = sorted(
        labels.get(measure, measure) + ("" if scale == "total" else f", {scale}")
        for measure, scale in scales
        if measure and is_exploratory(reliability, measure, scale)
    )
    if not weak:
        return ""
    return f"{WORD}: reliability within clients below {EXPLORATORY_BELOW:.2f} ({', '.join(weak)})"
