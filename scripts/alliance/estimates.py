"""The tidy estimates table: one row per estimate, the only source of figures, tables and text.

A row says what was estimated, at which level, in which units, from how much data, and whether its
diagnostics passed. What could not be estimated has a row too, with the reason and no number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal

import numpy as np
import pandas as pd

from alliance.small_cells import few_in_words, is_small

Level = Literal["within_client", "between_client", "between_therapist", "client", "total"]
LEVELS: tuple[str, ...] = (
    "within_client",
    "between_client",
    "between_therapist",
    "client",
    "total",
)
STATUSES: tuple[str, ...] = ("ok", "diagnostics_failed", "not_estimated")


@dataclass(frozen=True)
class Estimate:
    """One row of the estimates table; absent numbers are NaN, absent words are empty.

    Attributes
    ----------
    analysis : id of the analysis in the study file (key of ``models`` or ``ruptures``).
    kind : ``fixed``, ``variance``, ``standard_deviation``, ``correlation``, ``proportion``,
        ``contrast``, ``landmark``, ``session``, ``hazard``, ``count``, ``fit``, ``test`` (a test
        statistic), ``bootstrap`` (a fixed effect with the standard error of a cluster bootstrap).
    term : machine name of the quantity, e.g. ``within``, ``between``, ``time``, ``sd_intercept``.
    level : one of LEVELS.
    estimand : the quantity in words.
    units : units of ``estimate``, e.g. ``CORE-10 points per WAI-SR point``.
    estimator : e.g. ``REML``, ``MixedLM (statsmodels)``, ``NUTS``.
    lag : sessions from predictor to outcome; NaN where there is none.
    std_within : the estimate in pooled within-client SDs of outcome per SD of predictor.
    interval : how the interval was made, e.g. ``95% Wald``, ``95% equal-tailed posterior``.
    p : two-sided p value (frequentist). p_adjusted : the same, adjusted for the number of tests in
        its family (Holm); of contrasts of ruptures it is ``p_null`` that is adjusted, over the
        three contrasts of the first rule. pd : posterior probability of the estimate's sign.
    p_null : two-sided p against null data sets drawn from the study's own model without the
        effect; null_mean, null_low, null_high : mean and 95 % band of the estimate in them;
        n_null : how many of them could be used.
    p_rope : posterior probability of practical equivalence with zero (within effects).
    prior_sensitivity : power-scaling index of the prior; above .05 the prior matters.
    status : one of STATUSES; ``reason`` says why when it is not ``ok``.
    code_hash : hash of the code that made the row.
    """

    analysis: str
    term: str
    level: str
    estimand: str
    estimator: str
    kind: str = "fixed"
    predictor: str = ""
    outcome: str = ""
    rater: str = ""
    component: str = ""
    timing_order: str = ""
    lag: float = np.nan
    clock: str = ""
    trend: str = ""
    known_bias: str = ""
    n_obs: float = np.nan
    n_clients: float = np.nan
    n_therapists: float = np.nan
    median_sessions: float = np.nan
    units: str = ""
    estimate: float = np.nan
    se: float = np.nan
    df: float = np.nan
    ci_low: float = np.nan
    ci_high: float = np.nan
    interval: str = ""
    p: float = np.nan
    p_adjusted: float = np.nan
    pd: float = np.nan
    p_null: float = np.nan
    null_mean: float = np.nan
    null_low: float = np.nan
    null_high: float = np.nan
    n_null: float = np.nan
    p_rope: float = np.nan
    prior_sensitivity: float = np.nan
    std_within: float = np.nan
    std_within_low: float = np.nan
    std_within_high: float = np.nan
    sd_random_slope: float = np.nan
    pct_clients_same_sign: float = np.nan
    reliability_assumed: float = np.nan
    missing_rule: str = ""
    converged: str = ""
    rhat_max: float = np.nan
    ess_min: float = np.nan
    divergences: float = np.nan
    seed: float = np.nan
    code_hash: str = ""
    status: str = "ok"
    reason: str = ""

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"level {self.level!r} is none of {', '.join(LEVELS)}")
        if self.status not in STATUSES:
            raise ValueError(f"status {self.status!r} is none of {', '.join(STATUSES)}")
        if self.status != "ok" and not self.reason:
            raise ValueError("a row that is not ok must give its reason")
        if self.status == "ok" and not np.isfinite(self.estimate):
            raise ValueError(
                f"an ok row must hold a finite estimate ({self.analysis}, {self.term})"
            )
        if self.status == "not_estimated" and np.isfinite(self.estimate):
            raise ValueError("a row that is not estimated must not hold a number")


MANY_DF = 60  # from which quantiles of t hardly differ


def without_sizes(row: Estimate) -> Estimate:
    """The row without its numbers of clients, rows and degrees of freedom.

    Error, limits and p keep three significant digits, two with few degrees of freedom: from more
    of them the degrees of freedom, and so the number of clients, could be worked out as a quantile
    of t.
    """
    digits = 3 if row.df >= MANY_DF else 2
    coarse = {n: float(f"{getattr(row, n):.{digits}g}") for n in ("se", "ci_low", "ci_high", "p")}
    return replace(row, n_obs=np.nan, n_clients=np.nan, df=np.nan, **coarse)


COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Estimate))
TEXT_COLUMNS: tuple[str, ...] = tuple(
    field.name for field in fields(Estimate) if field.type == "str"
)


def to_frame(rows: Iterable[Estimate | Mapping[str, object]]) -> pd.DataFrame:
    """The rows as a table with exactly the columns of the contract, in order."""
    records = [asdict(r if isinstance(r, Estimate) else Estimate(**r)) for r in rows]  # type: ignore[arg-type]
    return pd.DataFrame.from_records(records, columns=list(COLUMNS))


def without_few_clients(frame: pd.DataFrame, smallest_cell: int) -> pd.DataFrame:
    """The table without a number of clients below the smallest cell, in figures or in words."""
    n_clients = frame["n_clients"].astype(float)
    return frame.assign(
        n_clients=n_clients.mask(n_clients.map(lambda n: is_small(n, smallest_cell))),
        **{
            column: [few_in_words(text, smallest_cell) for text in frame[column]]
            for column in ("reason", "missing_rule")
        },
    )


def write_estimates(frame: pd.DataFrame, path: str) -> None:
    """Write with ten significant digits: enough for any use, stable between machines."""
    frame.to_csv(path, index=False, float_format="%.10g", lineterminator="\n")


def read_estimates(path: str) -> pd.DataFrame:
    """Read a table written by :func:`write_estimates`; empty words stay empty words."""
    frame = pd.read_csv(path, dtype=dict.fromkeys(TEXT_COLUMNS, str))
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise ValueError(f"{path}: not an estimates table, without {', '.join(missing)}")
    frame[list(TEXT_COLUMNS)] = frame[list(TEXT_COLUMNS)].fillna("")
    return frame[list(COLUMNS)]
