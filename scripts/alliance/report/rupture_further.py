"""Further sentences on ruptures: discrete drops or heavy tails, and repair beside the field."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from alliance.figures.registry import FIGURES
from alliance.tables.format import counted, digits_for, interval, number, percent

_RIVALS: dict[str, str] = {
    "discrete_drops_vs_student": "a symmetric heavy tail",
    "discrete_drops_vs_skewed": "a skewed heavy tail",
}


def discrete_drop_sentences(own: pd.DataFrame) -> Iterable[str]:
    """Whether the rating falls in discrete drops; nothing where that was not asked for.

    Parameters
    ----------
    own : rows of one rupture analysis with ``quantity``.
    """
    rows = {str(r["quantity"]): r for _, r in own.iterrows()}
    share, size = rows.get("drop_share"), rows.get("drop_size")
    if share is None or size is None:
        return
    compared = [
        f"{number(rows[name]['estimate'], 1)} "
        f"{interval(rows[name]['ci_low'], rows[name]['ci_high'], 1)} against {words}"
        for name, words in _RIVALS.items()
        if name in rows and rows[name]["status"] == "ok"
    ]
    if not compared:
        yield f"Whether the rating falls in discrete drops could not be told: {share['reason']}."
        return
    difference = (
        "difference in log predictive density, ordinary changes with occasional discrete drops "
        f"minus the rival, 95% CI: {', '.join(compared)}"
    )
    if share["status"] != "ok":
        why = str(share["reason"])
        yield f"Session by session, {why[:1].lower()}{why[1:]} ({difference})."
        return
    yield (
        "Session by session, left-out clients are predicted best by ordinary changes with "
        f"occasional discrete drops, better than by heavy tails alone ({difference}; "
        f"{counted(share['n_clients'], 'client')}). A drop precedes {_percent(share['estimate'])} "
        f"of ratings after the first (95% CI [{_percent(share['ci_low'])}, "
        f"{_percent(share['ci_high'])}]), of {_points(size)} on average. Figure "
        f"'{FIGURES['drop_probabilities'].title}' shows how likely sessions are to be one."
    )


def _percent(share: float) -> str:
    return percent(round(100 * share, 8), 1)


def _points(row: pd.Series) -> str:
    width = (row["ci_high"] - row["ci_low"]) / (2 * 1.96)
    digits = digits_for(width) if np.isfinite(width) else 2
    limits = interval(row["ci_low"], row["ci_high"], digits)
    return f"{number(row['estimate'], digits)} {row['units']} (95% CI {limits})"


def repair_sentences(own: pd.DataFrame, rule: str) -> Iterable[str]:
    """Repair and last outcome as a correlation under ``rule``, beside the published one."""
    rows = own[(own["kind"] == "correlation") & (own["status"] == "ok")]
    mine = rows[(rows["quantity"] == "r_repair_baseline") & (rows["rule"] == rule)]
    published = rows[rows["quantity"] == "r_repair_published"]
    for (_, r), (_, field) in zip(mine.iterrows(), published.iterrows(), strict=False):
        source = str(field["estimator"]).removeprefix("meta-analysis: ")
        yield (
            f"As a correlation at equal baseline, repair (against no repair) and the last outcome "
            f"go together with r = {_correlation(r)}; published studies together: r = "
            f"{_correlation(field)} ({source}; below zero: clients with repair ended better)."
        )


def _correlation(row: pd.Series) -> str:
    limits = interval(row["ci_low"], row["ci_high"], 2, bounded=True)
    return f"{number(row['estimate'], 2, bounded=True)}, 95% CI {limits}"
