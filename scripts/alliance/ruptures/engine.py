"""Apply a rupture rule to the scores of a study: from tables to tables (methods 2.1)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from alliance.ruptures import kernel
from alliance.ruptures.episodes import client_table, episode_table, session_table
from alliance.ruptures.result import PooledScale, RuptureResult, Series
from alliance.ruptures.rules import RuptureRule
from alliance.within_between import pooled_within_sd

REFERENCE_CODES = {
    "previous": kernel.PREVIOUS,
    "max_prior": kernel.MAX_PRIOR,
    "mean_prior": kernel.MEAN_PRIOR,
    "person_mean": kernel.PERSON_MEAN,
    "trend_line": kernel.TREND_LINE,
}
SCALE_CODES = {
    "sd_own": kernel.SD_OWN,
    "sd_own_prior": kernel.SD_OWN_PRIOR,
    "moving_range": kernel.MOVING_RANGE,
}
RUN_RULE_CODES = {
    "eight_on_one_side": kernel.EIGHT_ON_ONE_SIDE,
    "two_of_three": kernel.TWO_OF_THREE,
}
TARGET_CODES = {
    "pre_rupture": kernel.PRE_RUPTURE,
    "person_mean": kernel.TARGET_PERSON_MEAN,
    "half_of_drop": kernel.HALF_OF_DROP,
}


def pooled_scale(
    scores: pd.DataFrame,
    reliability_within: float = float("nan"),
    reliability_total: float = float("nan"),
    ceiling: float = float("nan"),
) -> PooledScale:
    """The sample's SDs from ``scores`` (``client, session, score``)."""
    return PooledScale(
        sd_total=float(scores["score"].astype(float).std(ddof=1)),
        sd_within=pooled_within_sd(scores["score"], scores["client"]),
        reliability_within=reliability_within,
        reliability_total=reliability_total,
        ceiling=ceiling,
    )


def ratings_of(sessions: pd.DataFrame, column: str) -> pd.DataFrame:
    """``client, session, day, score`` of one column of the scored sessions, for :func:`prepare`."""
    keys = [name for name in ("client", "session", "day") if name in sessions]
    return sessions[keys].assign(score=sessions[column])


def prepare(scores: pd.DataFrame) -> Series:
    """Sort and check the scores; rows without a score are no ratings, their clients stay.

    Parameters
    ----------
    scores : ``client, session, score`` and, if known, ``day``: days since any date of the client.

    Raises
    ------
    ValueError
        If a column is absent, a session has no number, a client has a session twice, or days fall.
    """
    absent = [name for name in ("client", "session", "score") if name not in scores.columns]
    if absent:
        raise ValueError(f"scores need the columns client, session and score; no {absent[0]}")
    if scores["client"].isna().any() or scores["session"].isna().any():
        raise ValueError("every row of scores needs a client and a session number")
    codes, clients = pd.factorize(scores["client"], sort=True)
    session = scores["session"].to_numpy(dtype=float)
    score = scores["score"].to_numpy(dtype=float, na_value=np.nan)
    day = np.full(score.size, np.nan)
    if "day" in scores:
        day = scores["day"].to_numpy(dtype=float, na_value=np.nan)
    order = np.lexsort((session, codes))
    codes, session, day, score = codes[order], session[order], day[order], score[order]
    if np.any((np.diff(codes) == 0) & (np.diff(session) == 0)):
        raise ValueError("a client has two rows for the same session; clean the data first")
    rated = ~np.isnan(score)
    if not np.isfinite(score[rated]).all():
        raise ValueError("a score is infinite; clean the data first")
    _check_days(codes[rated], day[rated])
    counts = np.bincount(codes[rated], minlength=len(clients))
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Series(pd.Index(clients), start, session[rated], day[rated], score[rated])


def _check_days(codes: np.ndarray, day: np.ndarray) -> None:
    known = np.isfinite(day)
    if np.any((np.diff(codes[known]) == 0) & (np.diff(day[known]) < 0)):
        raise ValueError("a session has a day before that of an earlier one; clean the data first")


def detect(scores: pd.DataFrame | Series, rule: RuptureRule, pooled: PooledScale) -> RuptureResult:
    """Find ruptures and repairs by one rule.

    Parameters
    ----------
    scores : ``client, session, score`` (higher = better alliance), one row per client and session,
        or what :func:`prepare` made of it. ``session`` counts sessions; a missing number is a gap.
    pooled : the sample's SDs, from :func:`pooled_scale`.

    Returns
    -------
    RuptureResult
        For a rule that refuses, or that needs a reliability which is not known, empty tables and
        the reason in ``refused``.
    """
    series = scores if isinstance(scores, Series) else prepare(scores)
    refused = refusal(rule, pooled, series.dated)
    if refused:
        return _refused_result(rule, refused)
    threshold = rule.thresholds(series.n_sessions)
    found = kernel.scan(
        series.start,
        series.session,
        series.day,
        series.score,
        threshold,
        rule_codes(rule),
        rule_numbers(rule, pooled),
    )
    sessions, episode = session_table(rule, series, *found[:4])
    episodes = episode_table(rule, series, found, episode)
    clients = client_table(rule, series, found[3], episodes)
    return RuptureResult(
        rule.id, sessions, episodes, clients, "", _pct_ceiling(series.score, pooled)
    )


def detect_all(
    scores: pd.DataFrame, rules: Mapping[str, RuptureRule], pooled: PooledScale
) -> dict[str, RuptureResult]:
    """:func:`detect` for many rules, sorting the scores once."""
    series = prepare(scores)
    return {name: detect(series, rule, pooled) for name, rule in rules.items()}


NO_DATES = (
    "the rule counts its horizon in weeks (horizon_unit: weeks), and no rated session has a date; "
    "name the column of dates under columns: date in the study file, or let a copy of the rule "
    "count sessions (horizon_unit: sessions)"
)


def refusal(rule: RuptureRule, pooled: PooledScale, dated: bool) -> str:
    """Why ``rule`` cannot be run on this sample; empty if it can.

    Parameters
    ----------
    dated : whether the day of any rating is known.
    """
    if rule.refuses:
        return rule.refuses
    needed = {
        "sem_difference": (pooled.reliability_within, "the within-client reliability (Rcn)"),
        "sem_difference_total": (pooled.reliability_total, "the reliability (alpha)"),
    }
    value, name = needed.get(rule.scale, (1.0, ""))
    if not 0 <= value <= 1:
        return f"the rule needs {name} of the measure, which is not known"
    if rule.horizon_unit == "weeks" and not dated:
        return NO_DATES
    return ""


def _refused_result(rule: RuptureRule, reason: str) -> RuptureResult:
    nobody = prepare(pd.DataFrame({"client": [], "session": [], "score": []}))
    nothing = kernel.scan(
        nobody.start, nobody.session, nobody.day, nobody.score, np.empty(0), rule_codes(rule),
        np.zeros(5),
    )  # fmt: skip
    sessions, episode = session_table(rule, nobody, *nothing[:4])
    episodes = episode_table(rule, nobody, nothing, episode)
    clients = client_table(rule, nobody, nothing[3], episodes)
    return RuptureResult(rule.id, sessions, episodes, clients, reason)


def rule_codes(rule: RuptureRule) -> np.ndarray:
    """(10,) integers of a rule as :func:`kernel.scan` takes them."""
    excludes_gaps = rule.reference == "previous" and rule.on_gap == "exclude"
    return np.array(
        [
            REFERENCE_CODES[rule.reference],
            SCALE_CODES.get(rule.scale, kernel.SAMPLE_SCALE),
            TARGET_CODES[rule.target],
            rule.t_min,
            rule.min_sessions,
            rule.sustained,
            int(excludes_gaps),
            sum(RUN_RULE_CODES[name] for name in set(rule.run_rules)),
            *rule.horizon_codes,
        ],
        dtype=np.int64,
    )


def rule_numbers(rule: RuptureRule, pooled: PooledScale) -> np.ndarray:
    """(5,) floats of a rule and a sample as :func:`kernel.scan` takes them."""
    floor = rule.scale_floor * getattr(pooled, rule.scale_floor_of) if rule.scale_floor else 0.0
    of_scale = rule.target_margin if rule.target_margin_of == "scale" else 0.0
    in_points = (
        rule.target_margin * pooled.sd_within if rule.target_margin and not of_scale else 0.0
    )
    return np.array([_sample_scale(rule, pooled), floor, rule.minimum_drop, of_scale, in_points])


def _sample_scale(rule: RuptureRule, pooled: PooledScale) -> float:
    """The unit of rules whose unit is the same for every client.

    The standard error of a difference is ``sqrt(2) * SD * sqrt(1 - reliability)`` (Jacobson &
    Truax 1991), within clients with the pooled within-client SD and Rcn.
    """
    if rule.scale == "sem_difference":
        return pooled.sd_within * np.sqrt(2 * (1 - pooled.reliability_within))
    if rule.scale == "sem_difference_total":
        return pooled.sd_total * np.sqrt(2 * (1 - pooled.reliability_total))
    samples = {"sd_total": pooled.sd_total, "sd_within": pooled.sd_within, "points": 1.0}
    return samples.get(rule.scale, np.nan)


def _pct_ceiling(score: np.ndarray, pooled: PooledScale) -> float:
    if not np.isfinite(pooled.ceiling) or score.size == 0:
        return float("nan")
    return float(100 * np.mean(score >= pooled.ceiling - kernel.TIE))
