"""Rows of the estimates table: outcome tests of ruptures with nominal and null-calibrated p."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from alliance.estimates import Estimate, without_sizes
from alliance.estimation.moderators import holm
from alliance.rupture_null.noise import FEWEST_NULLS, summarise_null
from alliance.rupture_null.null_tests import Key
from alliance.rupture_null.outcome_tests import BY_SIZE, LANDMARKS, MARKS, Term
from alliance.ruptures.outcome_tests import NO_NULL, NOMINAL_P, RuptureAnalysis
from alliance.ruptures.rules import RuptureRule
from alliance.small_cells import is_small

CALIBRATED_P = (
    "Nominal p and interval can reject too often: linearly linked alliance and symptoms alone "
    "yield such contrasts without any effect of ruptures. The p "
    "against the null is the one to be read: it compares with null data sets drawn from the "
    "study's own model, in which ruptures have no effect of their own."
)
CALIBRATED_RATE = (
    "Score-based rates of this size also arise from noise alone: the "
    "null data sets say how large they are in this study without any rupture."
)
LOOKS_AHEAD = (
    "the rule uses later sessions of the client to call a rupture, so that it must not be used to "
    "predict what comes next"
)
MARK_WORDS = {
    "onset": "an onset of a rupture at the session",
    "in_rupture": "a session inside an open rupture",
    "repaired": "a session that repairs a rupture",
    "onset_beyond_curve": "an onset of a rupture at the session, beside a curved (restricted cubic "
    "spline) effect of the alliance",
}


@dataclass(frozen=True)
class NullResults:
    """What the null data sets of one analysis gave, as the later stages read it.

    Attributes
    ----------
    noise : ``noise.NOISE_COLUMNS``. statistics : ``null_tests.STATISTIC_COLUMNS``.
    reason : why there are no null data sets; empty when there are.
    """

    noise: pd.DataFrame
    statistics: pd.DataFrame
    reason: str = ""
    _groups: dict[Key, pd.DataFrame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns = ["rule", "test", "term"]
        grouped = self.statistics.groupby(columns, observed=True, sort=False)
        self._groups.update({tuple(map(str, key)): own for key, own in grouped})

    def of(self, key: Key) -> pd.DataFrame:
        """Estimates and statistics of one term in the null data sets."""
        return self._groups.get(key, self.statistics.iloc[:0])


def null_numbers(key: Key, statistic: float, null: NullResults) -> dict[str, float]:
    """``p_null``, and mean and band of the estimate, for a row of the estimates table.

    p compares the test statistics; the estimates of null data sets say what noise alone gives.
    """
    own = null.of(key)
    by_size = key[1] in BY_SIZE
    tested = summarise_null(statistic, own["statistic"].to_numpy(dtype=float), by_size=by_size)
    sizes = summarise_null(np.nan, own["estimate"].to_numpy(dtype=float))
    return {
        "p_null": tested.p, "null_mean": sizes.mean, "null_low": sizes.low,
        "null_high": sizes.high, "n_null": tested.n,
    }  # fmt: skip


def with_null(rows: Iterable[Estimate], null: NullResults) -> list[Estimate]:
    """Rows of shares and client-level contrasts, held against the null data sets."""
    return [_with_null(row, null) for row in rows]


def _with_null(row: Estimate, null: NullResults) -> Estimate:
    if row.status != "ok" or null.reason:
        return row
    quantity, _, rule = row.term.partition("[")
    if row.kind == "contrast":
        numbers = null_numbers((rule.rstrip("]"), "client", quantity), row.estimate / row.se, null)
        words = row.known_bias.replace(NOMINAL_P, CALIBRATED_P + few_nulls(numbers["n_null"]))
        return replace(row, **numbers, known_bias=words)
    return _share_with_null(row, quantity, rule.rstrip("]"), null.noise)


def with_holm(rows: Iterable[Estimate], rule: str) -> list[Estimate]:
    """The client-level contrasts of the primary rule with their p against the null after Holm."""
    found = list(rows)
    family = [
        k for k, row in enumerate(found)
        if row.kind == "contrast" and row.term.endswith(f"[{rule}]") and np.isfinite(row.p_null)
    ]  # fmt: skip
    adjusted = holm([found[k].p_null for k in family])
    for k, value in zip(family, adjusted, strict=True):
        found[k] = replace(found[k], p_adjusted=value)
    return found


def number_of_tests(rows: Iterable[Estimate], analysis: RuptureAnalysis) -> Estimate:
    """How many tests against outcome and drop-out the analysis holds, of all rules."""
    kinds = ("contrast", "landmark", "session", "hazard")
    return Estimate(
        analysis=analysis.id,
        term="n_tests",
        level="total",
        kind="count",
        estimand="Number of tests of ruptures against outcome and drop-out, all rules",
        estimator="count",
        units="tests",
        predictor=analysis.measure,
        rater=analysis.rater,
        component=analysis.component,
        estimate=float(sum(row.kind in kinds and row.status == "ok" for row in rows)),
    )


def few_nulls(n: float) -> str:
    """Said where too few null data sets could be used; else empty."""
    if n >= FEWEST_NULLS:
        return ""
    return (
        " There is no such p here, as the term could be estimated in fewer than "
        f"{FEWEST_NULLS} of them."
    )


def _share_with_null(row: Estimate, quantity: str, rule: str, noise: pd.DataFrame) -> Estimate:
    own = noise[(noise["rule"] == rule) & (noise["quantity"] == quantity)]
    if own.empty or not np.isfinite(own["p"].iloc[0]):
        return row
    told = own.iloc[0]
    return replace(
        row,
        p_null=float(told["p"]),
        null_mean=float(told["null_mean"]) / 100,
        null_low=float(told["null_low"]) / 100,
        null_high=float(told["null_high"]) / 100,
        n_null=float(told["n_null"]),
        known_bias=row.known_bias.replace(NO_NULL, CALIBRATED_RATE),
    )


def further_rows(
    terms: Mapping[Key, Term],
    rules: Mapping[str, RuptureRule],
    refused: Mapping[str, str],
    analysis: RuptureAnalysis,
    null: NullResults,
    *,
    endings: bool,
    told: Iterable[float] = (),
) -> list[Estimate]:
    """Landmark, session-level and drop-out rows of every rule.

    Parameters
    ----------
    terms : of ``null_tests.observed_terms``. refused : rule -> why it could not be run.
    endings : whether the study says how treatments ended.
    told : numbers of clients that readers know already; sizes that differ from one of them, or
        from each other, by few clients are not told.
    """
    rows: list[Estimate] = []
    for name, rule in rules.items():
        if refused.get(name):
            continue  # said once, by the rows of prevalence
        tests = [f"landmark_{landmark}" for landmark in LANDMARKS] if analysis.outcome else []
        tests += ["session"] if analysis.outcome else []
        tests += ["drop_out"] if endings else []
        for test in tests:
            if rule.lookahead and not test.startswith("landmark"):
                rows.append(_looks_ahead(test, name, rule, analysis))
                continue
            own = {key: term for key, term in terms.items() if key[:2] == (name, test)}
            rows += [_term_row(key, term, rule, analysis, null) for key, term in own.items()]
    return without_telling_sizes(rows, told, analysis.smallest_cell)


def without_telling_sizes(
    rows: Iterable[Estimate], told: Iterable[float], smallest_cell: int
) -> list[Estimate]:
    """Sizes only where no small number of clients follows by subtracting one from another."""
    known = {0.0, *(float(n) for n in told if np.isfinite(n))}
    shown = []
    for row in rows:
        n = row.n_clients
        tells = any(is_small(round(abs(n - k)), smallest_cell) for k in known if np.isfinite(n))
        shown.append(without_sizes(row) if tells else row)
        known |= set() if tells or not np.isfinite(n) else {n}
    return shown


def _looks_ahead(test: str, name: str, rule: RuptureRule, analysis: RuptureAnalysis) -> Estimate:
    words = _words((name, test, "onset"), rule, analysis)
    return Estimate(**words, status="not_estimated", reason=LOOKS_AHEAD)


def _term_row(
    key: Key, term: Term, rule: RuptureRule, analysis: RuptureAnalysis, null: NullResults
) -> Estimate:
    words = _words(key, rule, analysis)
    size = {"n_obs": float(term.n_obs), "n_clients": float(term.n_clients)}
    if term.reason or not term.se > 0:
        reason = term.reason or "the standard error is zero"
        return Estimate(**words, **size, status="not_estimated", reason=reason)
    numbers = {} if null.reason else null_numbers(key, term.statistic, null)
    if words["estimator"] == "OLS":
        words["estimator"] += f" ({'cluster-robust by therapist' if term.by_therapist else 'HC3'})"
    bias = words.pop("known_bias")
    if not null.reason:
        bias = bias.replace(NOMINAL_P, CALIBRATED_P + few_nulls(numbers["n_null"]))
    return Estimate(**words, **size, **numbers, **term_numbers(term), known_bias=bias)


def term_numbers(term: Term) -> dict[str, Any]:
    """Estimate, error, interval and nominal p of a term, for a row of the estimates table."""
    reach = stats.norm.ppf(0.975) if np.isinf(term.df) else stats.t.ppf(0.975, term.df)
    return {
        "estimate": term.estimate,
        "se": term.se,
        "df": np.nan if np.isinf(term.df) else term.df,
        "ci_low": term.estimate - reach * term.se,
        "ci_high": term.estimate + reach * term.se,
        "interval": "95% Wald (z)" if np.isinf(term.df) else "95% Wald (t)",
        "p": nominal_p(term),
    }


def nominal_p(term: Term) -> float:
    """Two-sided p of a t test, or of a z test where ``df`` is infinite."""
    if not np.isfinite(term.statistic):
        return np.nan
    tail = stats.norm.sf if np.isinf(term.df) else stats.t(term.df).sf
    return float(2 * tail(abs(term.statistic)))


def _words(key: Key, rule: RuptureRule, analysis: RuptureAnalysis) -> dict[str, Any]:
    name, test, term = key
    kind = test.partition("_")[0] if test != "drop_out" else "hazard"
    estimand, units, level, estimator = _estimand(test, term, analysis)
    look = " This rule uses later sessions." if rule.lookahead else ""
    return {
        "analysis": analysis.id,
        "term": f"{test}_{term}[{name}]",
        "kind": kind,
        "level": level,
        "estimand": f"{estimand}; rule '{rule.label}' ({rule.verified})",
        "estimator": estimator,
        "predictor": analysis.measure,
        "outcome": "drop-out" if test == "drop_out" else analysis.outcome,
        "rater": analysis.rater,
        "lag": np.nan if test.startswith("landmark") else 1.0,
        "units": units,
        "known_bias": NOMINAL_P + look,
    }


def _estimand(test: str, term: str, analysis: RuptureAnalysis) -> tuple[str, str, str, str]:
    """Quantity in words, units, level, estimator."""
    label = analysis.outcome_label
    if test.startswith("landmark"):
        session = test.partition("_")[2]
        first, _, second = term.partition("_vs_")
        return (
            f"Last {label} (higher = worse) after session {session}, of clients still in "
            f"treatment: label {first} minus {second} by the ratings up to that session, at equal "
            "baseline, number of sessions, mean and slope of alliance until then",
            analysis.outcome_units, "client", "OLS",
        )  # fmt: skip
    if test == "session":
        return (
            f"Next {label} (higher = worse) after {MARK_WORDS[term]}, beyond the linear effect of "
            "the rating itself, the outcome before and time",
            analysis.outcome_units, "within_client", "fixed effects of clients (cluster-robust)",
        )  # fmt: skip
    return (
        f"Log hazard ratio of dropping out after {MARK_WORDS[term]}, beside the rating, the mean "
        "of ratings so far, time and the latest outcome",
        "log hazard ratio", "total",
        "discrete-time hazard (complementary log-log), Jeffreys-penalised; p of the score test",
    )  # fmt: skip


if not set(MARKS) <= set(MARK_WORDS):
    raise AssertionError("every mark of a session has words")
