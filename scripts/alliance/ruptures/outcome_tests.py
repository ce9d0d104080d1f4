"""Are ruptures and repairs related to outcome? Prevalence and client-level contrasts as rows.

The regression is that of the methods specification, 2.4. Its p values are nominal: alliance and
symptoms that are linked linearly can produce contrasts between repaired and unrepaired clients
without any effect of ruptures, so each row carries that warning until it is calibrated against a
null.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from alliance.estimates import Estimate, without_sizes
from alliance.ruptures.episodes import CLIENT_COUNTS, STATUSES, label_counts, shown_client_counts
from alliance.ruptures.result import RuptureResult
from alliance.ruptures.rules import RuptureRule
from alliance.small_cells import count_in_words, is_small, shown_counts

SMALLEST_GROUP = 10  # clients; contrasts with fewer are refused (methods 2.4)
NOT_SHOWN = "number not shown"
# Therapists from which cluster-robust errors (CR1) are trusted: with fewer, of uneven panels, they
# reject 7 to 9 % at 5 %, more than HC3 does.
FEWEST_CLUSTERS = 20
GROUP_WORDS = {"none": "without rupture"}  # groups whose key is no word for readers
CONTRASTS: tuple[tuple[str, str], ...] = (
    ("repaired", "none"),
    ("unrepaired", "none"),
    ("repaired", "unrepaired"),
)
NOMINAL_P = (
    "Nominal p and interval can reject too often: linearly linked alliance and symptoms "
    "alone yield such contrasts without any effect of ruptures, above all where number of sessions "
    "and course of alliance are not held equal. They are not calibrated against "
    "a null."
)
NO_NULL = (
    "Score-based rates of this size also arise from noise alone, and were not compared with a null."
)


@dataclass(frozen=True)
class RuptureAnalysis:
    """Names that the rows of one rupture analysis carry.

    Attributes
    ----------
    id : key under ``ruptures`` in the study file. measure, rater, component : the alliance
        rating searched; ``component`` is empty for its total.
    outcome : name of the outcome. outcome_label, outcome_units : as shown.
    smallest_cell : numbers of fewer clients are not told.
    """

    id: str
    measure: str
    rater: str = ""
    component: str = ""
    outcome: str = ""
    outcome_label: str = "outcome"
    outcome_units: str = "points"
    smallest_cell: int = 1


def first_and_last(sessions: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """Each client's first and last observed outcome: ``client, baseline, last``.

    ``last`` is NA for clients with a single observation. ``sessions`` holds ``client, session``
    and the outcome, already turned so that higher is worse.
    """
    seen = sessions.loc[sessions[outcome].notna(), ["client", "session", outcome]]
    groups = seen.sort_values(["client", "session"]).groupby("client")[outcome]
    table = groups.agg(["first", "last", "size"])
    last = table["last"].astype(float).where(table["size"] > 1)
    frame = pd.DataFrame({"baseline": table["first"].astype(float), "last": last})
    return frame.rename_axis("client").reset_index()


def alliance_course(result: RuptureResult) -> pd.DataFrame:
    """Each client's ``n_rated, mean, slope`` (points per session, OLS; NaN with one rating)."""
    rows = result.sessions[["client", "session", "score"]].astype({"session": float})
    groups = rows.groupby("client")
    x = rows["session"] - groups["session"].transform("mean")
    y = rows["score"] - groups["score"].transform("mean")
    products = pd.DataFrame({"client": rows["client"], "xy": x * y, "xx": x * x})
    sums = products.groupby("client").sum()
    course = groups["score"].agg(n_rated="size", mean="mean")
    course["slope"] = (sums["xy"] / sums["xx"]).where(sums["xx"] > 0)
    return course.reset_index()


def prevalence_rows(
    result: RuptureResult, rule: RuptureRule, analysis: RuptureAnalysis
) -> list[Estimate]:
    """Share of clients with a rupture, and of those decided, with a repair; Wilson intervals."""
    counts = label_counts(result)
    n_ruptured = sum(counts[status] for status in STATUSES)
    n_evaluable = n_ruptured + counts["none"] + counts["no_variance"]
    n_decided = counts["repaired"] + counts["unrepaired"] if rule.horizon else 0
    shares = {
        "prevalence": (n_ruptured, n_evaluable),
        "repaired_share": (counts["repaired"], n_decided),
        "indeterminate_share": (counts["indeterminate"], n_ruptured),
    }
    return [_proportion_row(result, rule, analysis, term, *n) for term, n in shares.items()]


SHARES: dict[str, tuple[str, tuple[str, ...]]] = {  # what is counted, from which numbers
    "prevalence": ("clients with at least one rupture", ("n_ruptured", "n_evaluable")),
    "repaired_share": (
        "clients whose ruptures were repaired, of those with a decided rupture",
        ("n_repaired", "n_unrepaired"),
    ),
    "indeterminate_share": (
        "clients whose rupture lies too near the end of the data to be decided, of those with a "
        "rupture",
        ("n_indeterminate", "n_ruptured"),
    ),
}


def _proportion_row(
    result: RuptureResult,
    rule: RuptureRule,
    analysis: RuptureAnalysis,
    term: str,
    part: int,
    whole: int,
) -> Estimate:
    words, needed = SHARES[term]
    if term == "indeterminate_share" and rule.horizon_unit == "weeks":
        words = words.replace("to be decided", "or lacks the dates to be decided")
    common = _common(result, rule, analysis, term) | {
        "kind": "proportion",
        "estimand": f"Share of {words}; rule '{rule.label}' ({rule.verified})",
        "estimator": "proportion",
        "units": "proportion of clients",
        "known_bias": NO_NULL,
        "n_clients": whole,
    }
    if whole == 0:
        reason = result.refused or _no_denominator(rule, term)
        return Estimate(**common, status="not_estimated", reason=reason)
    if not shown_client_counts(result, analysis.smallest_cell).issuperset(needed):
        return Estimate(
            **common | {"n_clients": np.nan},
            status="not_estimated",
            reason=f"would tell a number of fewer than {analysis.smallest_cell} clients",
        )
    from statsmodels.stats.proportion import proportion_confint  # noqa: PLC0415, slow to load

    low, high = proportion_confint(part, whole, method="wilson")
    return Estimate(
        **common, estimate=part / whole, ci_low=low, ci_high=high, interval="95% Wilson"
    )


def _no_denominator(rule: RuptureRule, term: str) -> str:
    if term == "repaired_share" and rule.horizon is None:
        return "the rule sets no limit of time for repair, so that no rupture is ever unrepaired"
    return "no client to take the share of"


def client_outcome_rows(
    result: RuptureResult,
    rule: RuptureRule,
    outcomes: pd.DataFrame,
    analysis: RuptureAnalysis,
    smallest_group: int = SMALLEST_GROUP,
) -> list[Estimate]:
    """Last outcome of clients with repaired, unrepaired and no ruptures: three contrasts.

    OLS of the last observed outcome on its baseline, the labels, the logarithm of the number of
    rated sessions, and mean and slope of the alliance; HC3 errors, or cluster-robust by therapist
    where there are at least 20 therapists (t with one less degree of freedom than therapists).

    Parameters
    ----------
    outcomes : ``client, baseline, last`` (higher is worse) and, if known, ``therapist``.
    smallest_group : labels with fewer clients leave the regression and their contrasts are refused.

    Returns
    -------
    list of Estimate
        Three rows, each with an estimate or with the reason why there is none.
    """
    if result.refused:
        return [_refused_row(result, rule, analysis, c, result.refused, {}) for c in CONTRASTS]
    frame = outcome_frame(result, outcomes)
    kept = _large_groups(frame, smallest_group)
    used = frame[frame["group"].isin(kept)]
    told = _told_sizes(result, frame, kept, analysis.smallest_cell)
    described = _describe_sample(result, used, told, kept, analysis.smallest_cell)
    fit, problem = _fit(used, kept)
    rows = []
    for contrast in CONTRASTS:
        small = [
            f"{GROUP_WORDS.get(name, name)} ({told.get(name, 0)})"
            for name in contrast
            if name not in kept
        ]
        reason = f"fewer than {smallest_group} clients: {', '.join(small)}" if small else problem
        if reason:
            rows.append(_refused_row(result, rule, analysis, contrast, reason, described))
        else:
            rows.append(_contrast_row(result, rule, analysis, contrast, fit, described))
    return rows


def _large_groups(frame: pd.DataFrame, smallest_group: int) -> list[str]:
    sizes = {str(k): int(v) for k, v in frame["group"].value_counts().items()}
    return sorted(name for name, size in sizes.items() if size >= smallest_group)


def shown_groups(
    result: RuptureResult, frame: pd.DataFrame, smallest_group: int, smallest_cell: int
) -> set[str]:
    """Groups of :func:`outcome_frame` whose size may be told."""
    kept = _large_groups(frame, smallest_group)
    told = _told_sizes(result, frame, kept, smallest_cell)
    return {name for name in kept if told.get(name, NOT_SHOWN) != NOT_SHOWN}


def outcome_frame(result: RuptureResult, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Clients with everything the regression needs; no variance means no drop: group none."""
    labels = result.clients[["client", "label"]].assign(
        group=result.clients["label"].astype(str).replace("no_variance", "none")
    )
    frame = labels.merge(outcomes, on="client", how="inner", validate="1:1")
    frame = frame.merge(alliance_course(result), on="client", how="inner", validate="1:1")
    frame = frame[frame["group"] != "not_evaluable"]
    return frame.dropna(subset=["baseline", "last", "mean", "slope"]).sort_values("client")


def _told_sizes(
    result: RuptureResult, frame: pd.DataFrame, kept: list[str], smallest_cell: int
) -> dict[str, str]:
    """Sizes of the regression (``used``), of all tested (``tested``) and each group, in words.

    Readers also have the summary of the rule; a size that would tell a small number together with
    it is ``number not shown``.
    """
    labels, tested = (t["label"].astype(str) for t in (result.clients, frame))
    sizes = tested.value_counts()
    cells = {f"{name}, tested": int(n) for name, n in sizes.items()} | {
        f"{name}, rest": int(n - sizes.get(name, 0)) for name, n in labels.value_counts().items()
    }
    groups = dict(zip(tested, frame["group"], strict=True))  # label -> group
    members = {
        group: {f"{name}, tested" for name in groups if groups[name] == group}
        for group in sorted(set(groups.values()))
    }
    used = set().union(*(members[g] for g in kept))
    sums = {"used": used, "tested": {f"{name}, tested" for name in groups}} | members
    summary = [
        {f"{name}, {part}" for name in CLIENT_COUNTS[count] for part in ("tested", "rest")}
        for count in shown_client_counts(result, smallest_cell)
    ]
    shown = shown_counts(cells, sums, smallest_cell, given=summary)
    return {
        name: _told(sum(cells[c] for c in cell), name in shown, smallest_cell)
        for name, cell in sums.items()
    }


def _told(count: int, shown: bool, smallest_cell: int) -> str:
    hidden = not shown and not is_small(count, smallest_cell)
    return NOT_SHOWN if hidden else count_in_words(count, smallest_cell)


def _describe_sample(
    result: RuptureResult,
    used: pd.DataFrame,
    told: dict[str, str],
    kept: list[str],
    smallest_cell: int,
) -> dict[str, Any]:
    sizes = {name: told[name] for name in sorted(set(told) - {"used", "tested"})}
    left_out = [name for name in sizes if name not in kept]
    groups = ", ".join(f"{name} {size}" for name, size in sizes.items())
    words = (
        f"{count_in_words(len(result.clients), smallest_cell)} clients; {told['tested']} with a "
        f"label, two outcomes and two ratings ({groups})"
    )
    if left_out:
        words += f"; left out as too few: {', '.join(left_out)}"
    therapists = used["therapist"].nunique() if "therapist" in used else np.nan
    n_used = np.nan if told["used"] == NOT_SHOWN else len(used)
    return {
        "n_obs": n_used,
        "n_clients": n_used,
        "n_therapists": therapists,
        "median_sessions": float(used["n_rated"].median()) if len(used) else np.nan,
        "missing_rule": words,
    }


def _fit(used: pd.DataFrame, kept: list[str]) -> tuple[Any, str]:
    """The fitted regression, or None and why there is none."""
    if len(kept) < 2:
        return None, "fewer than two groups are large enough"
    reference = "none" if "none" in kept else kept[0]
    dummies = {name: (used["group"] == name).astype(float) for name in kept if name != reference}
    design = pd.DataFrame(
        {
            "constant": 1.0,
            "baseline": used["baseline"],
            **dummies,
            "log_sessions": np.log(used["n_rated"].astype(float)),
            "mean_alliance": used["mean"],
            "slope_alliance": used["slope"],
        }
    ).astype(float)
    constant = [name for name in design.columns[1:] if np.ptp(design[name]) == 0]
    design = design.drop(columns=constant)  # e.g. treatments of one fixed length
    if np.linalg.matrix_rank(design.to_numpy()) < design.shape[1]:
        return None, "the groups cannot be told apart from the covariates (rank deficiency)"
    from statsmodels.regression.linear_model import OLS  # noqa: PLC0415, slow to load

    model = OLS(used["last"].astype(float), design)
    return robust_fit(model, used), ""


def robust_fit(model: Any, used: pd.DataFrame) -> Any:
    """Fit with HC3 errors, or clustered by therapist where there are enough of them."""
    if "therapist" in used and used["therapist"].nunique() >= FEWEST_CLUSTERS:
        alone = "alone: " + used["client"].astype(str)  # no known therapist
        names = used["therapist"].astype(object).where(used["therapist"].notna(), alone)
        groups = pd.factorize(names)[0]
        return model.fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    return model.fit(cov_type="HC3", use_t=True)


def _contrast_row(
    result: RuptureResult,
    rule: RuptureRule,
    analysis: RuptureAnalysis,
    contrast: tuple[str, str],
    fit: Any,
    described: dict[str, Any],
) -> Estimate:
    weights = pd.Series(0.0, index=fit.params.index)
    for name, sign in zip(contrast, (1.0, -1.0), strict=True):
        if name in weights.index:
            weights[name] = sign
    test = fit.t_test(weights.to_numpy())
    low, high = np.asarray(test.conf_int()).ravel()
    tells_n = fit.cov_type == "HC3"  # else the degrees of freedom count therapists
    errors = "HC3" if tells_n else "cluster-robust by therapist"
    row = Estimate(
        **_contrast_words(result, rule, analysis, contrast),
        **described,
        estimator=f"OLS ({errors})",
        estimate=float(np.squeeze(test.effect)),
        se=float(np.squeeze(test.sd)),
        df=float(test.df_denom),
        ci_low=float(low),
        ci_high=float(high),
        interval="95% Wald (t)",
        p=float(np.squeeze(test.pvalue)),
    )
    return without_sizes(row) if tells_n and np.isnan(row.n_clients) else row


def _refused_row(
    result: RuptureResult,
    rule: RuptureRule,
    analysis: RuptureAnalysis,
    contrast: tuple[str, str],
    reason: str,
    described: dict[str, Any],
) -> Estimate:
    return Estimate(
        **_contrast_words(result, rule, analysis, contrast),
        **described,
        estimator="OLS",
        status="not_estimated",
        reason=reason,
    )


def _contrast_words(
    result: RuptureResult, rule: RuptureRule, analysis: RuptureAnalysis, contrast: tuple[str, str]
) -> dict[str, Any]:
    first, second = contrast
    look = " This rule uses later sessions." if rule.lookahead else ""
    return _common(result, rule, analysis, f"{first}_vs_{second}") | {
        "kind": "contrast",
        "estimand": f"Last {analysis.outcome_label} (higher = worse): clients with label {first} "
        f"minus {second}, at equal baseline, number of sessions, mean and slope of alliance; "
        f"rule '{rule.label}' ({rule.verified})",
        "units": analysis.outcome_units,
        "known_bias": NOMINAL_P + look,
    }


def _common(
    result: RuptureResult, rule: RuptureRule, analysis: RuptureAnalysis, term: str
) -> dict[str, Any]:
    return {
        "analysis": analysis.id,
        "term": f"{term}[{result.rule}]",
        "level": "client",
        "predictor": analysis.measure,
        "outcome": analysis.outcome if "_vs_" in term else "",
        "rater": analysis.rater,
        "component": analysis.component,
    }
