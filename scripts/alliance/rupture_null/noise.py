"""How many ruptures, repairs and surges each rule finds, observed and in null data sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.rupture_null.courses import Courses
from alliance.rupture_null.scanning import (
    LABEL_INDETERMINATE,
    LABEL_REPAIRED,
    LABEL_UNREPAIRED,
    NOT_EVALUABLE,
    Scan,
    pooled_of,
    scan,
)
from alliance.ruptures.engine import refusal
from alliance.ruptures.result import PooledScale
from alliance.ruptures.rules import RuptureRule
from alliance.small_cells import is_small

FloatArray = NDArray[np.float64]
QUANTITIES: dict[str, str] = {
    "prevalence": "% of clients",
    "repaired_share": "% of clients with a decided rupture",
    "median_latency": "rated sessions",
    "median_depth": "units of the rule",
    "surge_prevalence": "% of clients",
    "asymmetry": "clients with a drop per client with a surge (half a client added to both)",
}
NOISE_COLUMNS: tuple[str, ...] = (
    "rule", "label", "verified", "lookahead", "quantity", "units", "n_clients", "observed",
    "null_mean", "null_low", "null_high", "ratio", "excess", "p", "n_null", "shuffled_mean",
    "reason", "null_model",
)  # fmt: skip
FEWEST_NULLS = 100  # data sets in which a quantity could be computed, below which no p is given


@dataclass(frozen=True)
class Found:
    """What one rule finds in one data set: in the ratings and in their mirror image."""

    drops: Scan
    surges: Scan

    def numbers(self, rule: RuptureRule) -> dict[str, float]:
        """QUANTITIES of a data set; NaN where there is nothing to count."""
        label, upside = self.drops.label, self.surges.label
        evaluable = int((label != NOT_EVALUABLE).sum())
        repaired = int((label == LABEL_REPAIRED).sum()) if rule.horizon else 0
        decided = repaired + int((label == LABEL_UNREPAIRED).sum()) if rule.horizon else 0
        drops, surges = n_ruptured(label), n_ruptured(upside)
        return {
            "prevalence": _ratio(100 * drops, evaluable),
            "repaired_share": _ratio(100 * repaired, decided),
            "median_latency": _median(self.drops.latency[np.isfinite(self.drops.latency)]),
            "median_depth": _median(self.drops.depth),
            "surge_prevalence": _ratio(100 * surges, evaluable),
            "asymmetry": (drops + 0.5) / (surges + 0.5),
        }


def n_ruptured(label: NDArray[np.int8]) -> int:
    """Clients with a rupture of any status."""
    return int(((label >= LABEL_REPAIRED) & (label <= LABEL_INDETERMINATE)).sum())


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else np.nan


def _median(values: FloatArray) -> float:
    return float(np.median(values)) if values.size else np.nan


def runnable(
    rules: Mapping[str, RuptureRule], pooled: PooledScale, dated: bool = False
) -> dict[str, RuptureRule]:
    """The rules that do not refuse this sample. ``dated``: the day of some rating is known."""
    return {name: rule for name, rule in rules.items() if not refusal(rule, pooled, dated)}


def find(
    courses: Courses, rules: Mapping[str, RuptureRule], known: PooledScale
) -> dict[str, Found]:
    """Every rule on one data set, with the SDs of that data set."""
    score = courses.alliance[courses.rated]
    pooled = pooled_of(courses.start, score, known)
    start, session, day = courses.start, courses.session_of_row, courses.day_of_row
    return {
        name: Found(
            scan(start, session, score, rule, pooled, day),
            scan(start, session, -score, rule, pooled, day),
        )
        for name, rule in rules.items()
    }


def shuffled_prevalence(
    courses: Courses,
    rules: Mapping[str, RuptureRule],
    known: PooledScale,
    n_sets: int,
    seed: int,
) -> dict[str, float]:
    """Mean prevalence (%) when each client's ratings are put in random order.

    A naive contrast only: it removes autocorrelation and trend, which by themselves make and
    unmake ruptures.
    """
    score, start = courses.alliance[courses.rated], courses.start
    session, day = courses.session_of_row, courses.day_of_row
    pooled = pooled_of(start, score, known)
    client = np.repeat(np.arange(start.size - 1), np.diff(start))
    rng = np.random.default_rng([seed, 7])
    found: dict[str, list[float]] = {name: [] for name in rules}
    for _ in range(n_sets):
        order = np.lexsort((rng.random(score.size), client))
        for name, rule in rules.items():
            label = scan(start, session, score[order], rule, pooled, day).label
            evaluable = int((label != NOT_EVALUABLE).sum())
            found[name].append(_ratio(100 * n_ruptured(label), evaluable))
    return {name: float(np.mean(values)) for name, values in found.items() if values}


@dataclass(frozen=True)
class NullSummary:
    """The null distribution of one quantity and where the observed value lies in it.

    ``p`` is two-sided: twice the smaller share of null data sets (the observed one counted in) that
    lie as far out in one direction, or the share with a value of that size.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int


def summarise_null(observed: float, null: FloatArray, *, by_size: bool = False) -> NullSummary:
    """Mean, 95 % band and p; NaN with fewer than ``FEWEST_NULLS`` usable data sets.

    Parameters
    ----------
    by_size : p is the share of null values at least as large as the observed one in absolute value.
        For z statistics of few expected events: their lowest values all come from data sets without
        any, ordered by the number expected, so that a rank among them is not evidence.
    """
    usable = null[np.isfinite(null)]
    n = usable.size
    if n < FEWEST_NULLS:
        return NullSummary(np.nan, np.nan, np.nan, np.nan, n)
    low, high = np.quantile(usable, [0.025, 0.975])
    p = np.nan
    if np.isfinite(observed):
        tie = 1e-9 * max(1.0, abs(observed))
        above = (1 + int((usable >= observed - tie).sum())) / (n + 1)
        below = (1 + int((usable <= observed + tie).sum())) / (n + 1)
        p = min(1.0, 2.0 * min(above, below))
        if by_size:
            p = (1 + int((np.abs(usable) >= abs(observed) - tie).sum())) / (n + 1)
    return NullSummary(float(usable.mean()), float(low), float(high), p, n)


def noise_table(
    observed: Mapping[str, Found],
    null: Mapping[str, pd.DataFrame],
    shuffled: Mapping[str, float],
    rules: Mapping[str, RuptureRule],
    summary: pd.DataFrame,
    smallest_cell: int,
    null_model: str = "",
) -> pd.DataFrame:
    """One row per rule and quantity (``NOISE_COLUMNS``).

    Parameters
    ----------
    null : rule -> one row per null data set, columns QUANTITIES. summary : of the rupture engine
        (``episodes.summarise``), whose hidden numbers stay hidden here. null_model : what the
        model of the null data sets holds, in words.
    """
    told = summary.set_index("rule")
    told[["reason", "hidden"]] = told[["reason", "hidden"]].fillna("")
    rows = []
    for name, rule in rules.items():
        words = {
            "rule": name, "label": rule.label, "verified": rule.verified,
            "lookahead": rule.lookahead, "null_model": null_model,
        }  # fmt: skip
        if name not in observed:
            reason = str(told["reason"].get(name, "")) or "the rule was not run"
            rows += [{**words, "quantity": q, "units": QUANTITIES[q], "n_null": 0,
                      "reason": reason} for q in QUANTITIES]  # fmt: skip
            continue
        found = observed[name].numbers(rule)
        for quantity, units in QUANTITIES.items():
            hidden = _hidden(quantity, observed[name], told.loc[name], smallest_cell)
            row = _noise_row(found[quantity], null[name][quantity].to_numpy(), hidden)
            clients = np.nan if hidden else _clients_of(quantity, told.loc[name])
            is_share = quantity == "prevalence"
            rows.append(
                {**words, "quantity": quantity, "units": units, "n_clients": clients, **row,
                 "shuffled_mean": shuffled.get(name, np.nan) if is_share else np.nan}
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(NOISE_COLUMNS))


def _noise_row(observed: float, null: FloatArray, hidden: str) -> dict[str, object]:
    got = summarise_null(np.nan if hidden else observed, null)
    value = np.nan if hidden else observed
    reason = hidden
    if not reason and not np.isfinite(value):
        reason = "nothing to count in the observed data"
    if not reason and not np.isfinite(got.p):
        reason = f"fewer than {FEWEST_NULLS} null data sets had anything to count"
    return {
        "observed": value,
        "null_mean": got.mean,
        "null_low": got.low,
        "null_high": got.high,
        "ratio": value / got.mean if got.mean else np.nan,
        "excess": value - got.mean,
        "p": got.p,
        "n_null": got.n,
        "reason": reason,
    }


def _clients_of(quantity: str, told: pd.Series) -> float:
    """Clients that a quantity is about, where the summary shows their number."""
    if quantity == "repaired_share":
        return float(told["n_repaired"] + told["n_unrepaired"])
    if quantity in ("median_latency", "median_depth"):
        return float(told["n_repaired" if quantity == "median_latency" else "n_ruptured"])
    return float(told["n_evaluable"])


_TOLD_BY = {
    "prevalence": "pct_ruptured",
    "repaired_share": "pct_repaired",
    "median_latency": "median_latency",
    "median_depth": "median_depth",
}


def _hidden(quantity: str, found: Found, told: pd.Series, smallest_cell: int) -> str:
    """Why the observed value may not be shown; empty if it may."""
    why = f"numbers of fewer than {smallest_cell} clients, or that would tell one, are hidden"
    if quantity in _TOLD_BY:
        few = bool(told.get("hidden", "")) and not np.isfinite(told[_TOLD_BY[quantity]])
        return why if few else ""
    if not np.isfinite(told["pct_ruptured"]):
        return why
    surges = n_ruptured(found.surges.label)
    rest = int((found.drops.label != NOT_EVALUABLE).sum()) - surges
    return why if is_small(surges, smallest_cell) or is_small(rest, smallest_cell) else ""
