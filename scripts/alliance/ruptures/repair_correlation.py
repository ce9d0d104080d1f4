"""Repaired or not and the last outcome, as a correlation: the metric of the meta-analyses.

Each rule's comparison of clients whose ruptures were repaired with clients whose ruptures were not
is turned into a partial correlation, so that it can stand beside the pooled correlation of the
field (Eubanks, Muran & Safran 2018).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from alliance.estimates import Estimate, without_sizes
from alliance.ruptures.outcome_tests import (
    SMALLEST_GROUP,
    RuptureAnalysis,
    outcome_frame,
    robust_fit,
    shown_groups,
)
from alliance.ruptures.result import RuptureResult
from alliance.ruptures.rules import RuptureRule

PUBLISHED = "eubanks2018_repair"
GROUPS = ("repaired", "unrepaired")
HELD_EQUAL: dict[str, tuple[tuple[str, ...], str]] = {
    "r_repair_baseline": (("baseline",), "baseline"),
    "r_repair": (
        ("baseline", "log_sessions", "mean", "slope"),
        "baseline, number of sessions, mean and slope of alliance",
    ),
}
OTHER_STUDIES = "other clients, raters, measures and rules: for orientation only"
NOMINAL = (
    "Nominal interval: repaired and unrepaired clients differ by such an amount in data without "
    "any effect of ruptures, too. The p against the null of the same comparison in points is the "
    "one to be read."
)


def repair_correlation_rows(
    result: RuptureResult,
    rule: RuptureRule,
    outcomes: pd.DataFrame,
    analysis: RuptureAnalysis,
    smallest_group: int = SMALLEST_GROUP,
) -> list[Estimate]:
    """Partial correlations of *repaired* (1) or not (0) with the last outcome.

    Only clients whose ruptures were repaired or not; below zero: those with repair ended better,
    as higher outcomes are worse. The correlation is ``t / sqrt(t^2 + df)`` of the ordinary
    regression; its limits are those of the robust interval of the difference, turned in the same
    way.

    Parameters
    ----------
    outcomes : ``client, baseline, last`` (higher is worse) and, if known, ``therapist``.

    Returns
    -------
    list of Estimate
        Terms ``r_repair_baseline[rule]`` and ``r_repair[rule]``; none for a rule that was refused.
    """
    if result.refused:
        return []
    frame = outcome_frame(result, outcomes)
    sizes = frame["group"].value_counts()
    small = [name for name in GROUPS if sizes.get(name, 0) < smallest_group]
    n = _shown_size(result, frame, smallest_group, analysis.smallest_cell)
    used = frame[frame["group"].isin(GROUPS)]
    used = used.assign(log_sessions=np.log(used["n_rated"].astype(float)))
    rows = []
    for term, (columns, words) in HELD_EQUAL.items():
        named = _words(result, rule, analysis, term, words) | {"n_obs": n, "n_clients": n}
        if small:
            reason = f"fewer than {smallest_group} clients: {', '.join(small)}"
            rows.append(Estimate(**named, status="not_estimated", reason=reason))
            continue
        rows.append(_row(named, used, columns))
    return rows


def _shown_size(
    result: RuptureResult, frame: pd.DataFrame, smallest_group: int, smallest_cell: int
) -> float:
    """Number of clients compared, where the sizes of both groups may be told."""
    shown = shown_groups(result, frame, smallest_group, smallest_cell)
    if not set(GROUPS) <= shown:
        return np.nan
    return float(frame["group"].isin(GROUPS).sum())


def _row(named: dict[str, Any], used: pd.DataFrame, columns: Iterable[str]) -> Estimate:
    varying = [name for name in columns if np.ptp(used[name].astype(float)) > 0]
    design = pd.DataFrame(
        {
            "constant": 1.0,
            "repaired": used["group"] == "repaired",
            **{name: used[name] for name in varying},
        }
    ).astype(float)
    if np.linalg.matrix_rank(design.to_numpy()) < design.shape[1] or len(used) <= design.shape[1]:
        reason = "the groups cannot be told apart from the covariates (rank deficiency)"
        return Estimate(**named, status="not_estimated", reason=reason)
    from statsmodels.regression.linear_model import OLS  # noqa: PLC0415, slow to load

    model = OLS(used["last"].astype(float), design)
    robust, plain = robust_fit(model, used), model.fit()
    low, high = robust.conf_int().loc["repaired"]
    limits = [_correlation(b, plain) for b in (robust.params["repaired"], low, high)]
    row = Estimate(
        **named,
        estimate=limits[0],
        ci_low=limits[1],
        ci_high=limits[2],
        interval="95%, from the robust interval of the difference",
        p=float(robust.pvalues["repaired"]),
        known_bias=NOMINAL,
    )
    return without_sizes(row) if np.isnan(row.n_clients) else row


def _correlation(difference: float, plain: Any) -> float:
    t = difference / plain.bse["repaired"]
    return float(t / np.sqrt(t**2 + plain.df_resid))


def _words(
    result: RuptureResult, rule: RuptureRule, analysis: RuptureAnalysis, term: str, held: str
) -> dict[str, Any]:
    return {
        "analysis": analysis.id,
        "term": f"{term}[{result.rule}]",
        "kind": "correlation",
        "level": "client",
        "estimand": f"Partial correlation of repair (clients with label repaired against "
        f"unrepaired) and last {analysis.outcome_label} (higher = worse), at equal {held}; rule "
        f"'{rule.label}' ({rule.verified})",
        "estimator": "partial correlation",
        "units": "correlation",
        "predictor": analysis.measure,
        "outcome": analysis.outcome,
        "rater": analysis.rater,
        "component": analysis.component,
    }


def published_repair_rows(published: pd.DataFrame, analysis: RuptureAnalysis) -> list[Estimate]:
    """The pooled correlation of repair and outcome, sign turned so that higher is worse as here.

    Parameters
    ----------
    published : ``data/published/effects.csv``.
    """
    return [
        Estimate(
            analysis=analysis.id,
            term="r_repair_published",
            level="client",
            estimand="Published: correlation of repair of ruptures and outcome, pooled over "
            f"{int(entry.k)} studies, sign turned so that a higher outcome is worse",
            estimator=f"meta-analysis: {entry.source}",
            kind="correlation",
            units="correlation",
            estimate=-float(entry.estimate),
            ci_low=-float(entry.ci_high),
            ci_high=-float(entry.ci_low),
            interval="95%, as published",
            known_bias=OTHER_STUDIES,
        )
        for entry in published[published["id"] == PUBLISHED].itertuples()
    ]


def all_repair_rows(
    results: Mapping[str, RuptureResult],
    rules: Mapping[str, RuptureRule],
    outcomes: pd.DataFrame | None,
    analysis: RuptureAnalysis,
    published: pd.DataFrame,
) -> list[Estimate]:
    """Correlations of every rule, and the published one beside them; none without an outcome."""
    if outcomes is None:
        return []
    smallest = max(SMALLEST_GROUP, analysis.smallest_cell)
    rows = [
        row
        for name, rule in rules.items()
        for row in repair_correlation_rows(results[name], rule, outcomes, analysis, smallest)
    ]
    return [*rows, *published_repair_rows(published, analysis)] if rows else []
