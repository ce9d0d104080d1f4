"""Sudden gains: large, stable changes of a score from one session to the next.

The three criteria of Tang & DeRubeis (1999, doi:10.1037/0022-006X.67.6.894), with the critical
value adjusted to the scores present as in Lutz et al. (2013, doi:10.1080/10503307.2012.693837) and
in the R package suddengains (Wiedemann et al. 2020, doi:10.1371/journal.pone.0230276).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import scipy

WINDOW = 3  # sessions before and after that show whether a change is stable
TIE = 1e-9
GAIN_COLUMNS = [
    "client",
    "before_session",
    "after_session",
    "before",
    "after",
    "magnitude",
    "mean_before",
    "mean_after",
    "reversed",
]


@dataclass(frozen=True)
class SuddenGains:
    """The gains found.

    Attributes
    ----------
    gains : one row per gain: ``client, before_session, after_session, before, after, magnitude,
        mean_before, mean_after, reversed``; ``magnitude`` is positive for a gain.
    clients : one row per client: ``client, n_scores, n_gains, n_reversed``.
    """

    gains: pd.DataFrame
    clients: pd.DataFrame


def find_sudden_gains(
    scores: pd.DataFrame,
    cutoff: float,
    direction: Literal["decrease", "increase"] = "decrease",
    share: float = 0.25,
    alpha: float = 0.05,
) -> SuddenGains:
    """Find sudden gains in every client.

    A change between two neighbouring sessions n and n+1 is a sudden gain if (1) it is at least
    ``cutoff`` points, (2) it is at least ``share`` of the score at n, and (3) the means of the
    three sessions up to n and the three from n+1 differ by more than the critical value of t
    times the pooled SD of the two, ``sqrt(((n1 - 1) s1^2 + (n2 - 1) s2^2) / (n1 + n2 - 2))``.
    Each side needs two scores. A gain is reversed when a later score gives back half of it.

    Parameters
    ----------
    scores : ``client, session, score``; sessions are whole numbers, missing scores are allowed.
    cutoff : points. direction : ``decrease`` for symptoms; ``increase`` for scores that are better
        when higher. The other direction finds sudden losses.

    Raises
    ------
    ValueError
        For a cut-off, share or alpha out of range, or a client with a session twice.
    """
    _check_arguments(cutoff, share, alpha)
    wide = _wide(scores)
    sign = 1.0 if direction == "decrease" else -1.0
    grid = wide.to_numpy(dtype=float)
    sessions = wide.columns.to_numpy(dtype=int)
    rows = [
        (wide.index[i], *gain)
        for i in range(grid.shape[0])
        for gain in _gains_of_client(grid[i], sessions, cutoff, sign, share, alpha)
    ]
    gains = pd.DataFrame(rows, columns=GAIN_COLUMNS)
    return SuddenGains(gains, _client_counts(wide, gains))


def describe_gains(found: SuddenGains) -> dict[str, float]:
    """Counts and magnitudes as they are published: of clients, of gains and of reversals."""
    n_gains = found.clients["n_gains"]
    n_clients = len(found.clients)
    return {
        "n_clients": n_clients,
        "n_gains": len(found.gains),
        "n_clients_with_gain": int((n_gains > 0).sum()),
        "pct_clients_with_gain": 100 * float((n_gains > 0).mean()) if n_clients else np.nan,
        "n_clients_with_several": int((n_gains > 1).sum()),
        "n_reversed": int(found.gains["reversed"].sum()),
        "mean_magnitude": float(found.gains["magnitude"].mean()),
        "sd_magnitude": float(found.gains["magnitude"].std(ddof=1)),
    }


def _check_arguments(cutoff: float, share: float, alpha: float) -> None:
    if cutoff <= 0:
        raise ValueError("the cut-off must be above 0 points; use direction for losses")
    if not 0 <= share < 1 or not 0 < alpha < 1:
        raise ValueError("share must be in [0, 1) and alpha between 0 and 1")


def _wide(scores: pd.DataFrame) -> pd.DataFrame:
    """Clients by all sessions from the first to the last number, so that neighbours touch."""
    if scores.duplicated(["client", "session"]).any():
        raise ValueError("a client has two rows for the same session; clean the data first")
    wide = scores.set_index(["client", "session"])["score"].astype(float).unstack()  # noqa: PD010
    if wide.shape[1] == 0:
        return wide
    return wide.reindex(columns=range(int(wide.columns.min()), int(wide.columns.max()) + 1))


def _gains_of_client(
    score: np.ndarray,
    sessions: np.ndarray,
    cutoff: float,
    sign: float,
    share: float,
    alpha: float,
) -> list[tuple[object, ...]]:
    return [
        _describe(score, sessions, n, sign)
        for n in range(score.size - 1)
        if _is_gain(score, n, cutoff, sign, share, alpha)
    ]


def _windows(score: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    before = score[max(0, n + 1 - WINDOW) : n + 1]
    after = score[n + 1 : n + 1 + WINDOW]
    return before[~np.isnan(before)], after[~np.isnan(after)]


def _is_gain(
    score: np.ndarray, n: int, cutoff: float, sign: float, share: float, alpha: float
) -> bool:
    change = sign * (score[n] - score[n + 1])
    if not change >= cutoff - TIE or not change >= share * abs(score[n]) - TIE:
        return False  # also where one of the two scores is missing
    before, after = _windows(score, n)
    if min(before.size, after.size) < 2:
        return False
    degrees = before.size + after.size - 2
    squares = before.var(ddof=1) * (before.size - 1) + after.var(ddof=1) * (after.size - 1)
    critical = scipy.stats.t.ppf(1 - alpha / 2, degrees) * np.sqrt(squares / degrees)
    return bool(sign * (before.mean() - after.mean()) > critical)


def _describe(score: np.ndarray, sessions: np.ndarray, n: int, sign: float) -> tuple[object, ...]:
    before, after = _windows(score, n)
    magnitude = sign * (score[n] - score[n + 1])
    half_way = score[n + 1] + sign * magnitude / 2
    is_reversed = bool((sign * (score[n + 2 :] - half_way) >= -TIE).any())
    return (
        int(sessions[n]),
        int(sessions[n + 1]),
        float(score[n]),
        float(score[n + 1]),
        float(magnitude),
        float(before.mean()),
        float(after.mean()),
        is_reversed,
    )


def _client_counts(wide: pd.DataFrame, gains: pd.DataFrame) -> pd.DataFrame:
    by_client = gains.groupby("client")["reversed"].agg(["size", "sum"]).reindex(wide.index)
    return pd.DataFrame(
        {
            "client": wide.index,
            "n_scores": wide.notna().sum(axis=1).to_numpy(dtype=int),
            "n_gains": by_client["size"].fillna(0).to_numpy(dtype=int),
            "n_reversed": by_client["sum"].fillna(0).to_numpy(dtype=int),
        }
    )
