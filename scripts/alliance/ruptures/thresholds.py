"""Rules whose threshold was found for one study, put back together with it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from alliance.ruptures.rules import RuptureRule

THRESHOLD_COLUMNS: tuple[str, ...] = (
    "rule", "n_sessions", "threshold", "published", "origin", "false_alarm", "n_null",
    "reason",
)  # fmt: skip


def asking(rules: Mapping[str, RuptureRule]) -> dict[str, RuptureRule]:
    """The rules whose threshold is to be found in each study."""
    return {n: rule for n, rule in rules.items() if rule.false_alarm is not None}


def with_thresholds(
    rules: Mapping[str, RuptureRule], table: pd.DataFrame
) -> dict[str, RuptureRule]:
    """The rules with the thresholds of a study.

    Parameters
    ----------
    table : ``THRESHOLD_COLUMNS``; ``n_sessions`` is missing for a rule with one threshold for all.
        Rules without a row, or whose row gives a reason and no threshold, keep that of their file.
    """
    found = table[table["threshold"].notna()]
    why = not_found(table)
    return {
        name: _with_own(rule, found[found["rule"] == name], why.get(name, ""))
        for name, rule in rules.items()
    }


def _with_own(rule: RuptureRule, rows: pd.DataFrame, why: str) -> RuptureRule:
    if rule.false_alarm is None:
        return rule
    if rows.empty:
        said = f"Threshold for typical noise, not for that of this study: {why or 'not searched'}."
        return rule.model_copy(update={"false_alarm": None, "note": f"{rule.note} {said}".strip()})
    values = rows["threshold"].astype(float).tolist()
    if not isinstance(rule.threshold, dict):
        return rule.model_copy(update={"threshold": values[0]})
    lengths = rows["n_sessions"].astype(int).tolist()
    return rule.model_copy(update={"threshold": dict(zip(lengths, values, strict=True))})


def not_found(table: pd.DataFrame) -> dict[str, str]:
    """Rule -> why its threshold is that of its file and not that of the study."""
    without = table[table["threshold"].isna()]
    return dict(zip(without["rule"].astype(str), without["reason"].astype(str), strict=True))
