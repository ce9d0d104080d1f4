"""What a rupture rule works on and what it finds: shapes shared by engine, tables and tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class PooledScale:
    """What a rule needs to know of the whole sample; NaN where unknown.

    Attributes
    ----------
    sd_total : SD of all ratings. sd_within : pooled within-client SD, root of
        ``sum (x_ij - mean_i)^2 / sum (T_i - 1)``.
    reliability_within : reliability of a change within clients (Rcn).
    reliability_total : reliability of a rating between persons (alpha).
    ceiling : highest possible score.
    """

    sd_total: float
    sd_within: float
    reliability_within: float = float("nan")
    reliability_total: float = float("nan")
    ceiling: float = float("nan")


@dataclass(frozen=True)
class RuptureResult:
    """What a rule found. ``refused`` is empty, or says why the rule was not run.

    Attributes
    ----------
    sessions : ``rule, client, session, score, reference, scale, deviation, flag, state, episode``,
        one row per rated session. ``deviation`` is ``(reference - score) / scale``: positive is a
        drop. ``episode`` is the episode a session belongs to, NA outside.
    episodes : ``rule, client, episode, onset, nadir, end, pre_score, depth, duration, area,
        latency, latency_weeks, shape, status``; ``latency`` counts rated sessions.
    clients : ``rule, client, label, n_sessions, n_ruptures, n_repaired, n_unrepaired,
        n_indeterminate``, one row per client, also of those who cannot be evaluated.
    pct_ceiling : percent of ratings at the highest possible score; NaN where that is unknown.
    """

    rule: str
    sessions: pd.DataFrame
    episodes: pd.DataFrame
    clients: pd.DataFrame
    refused: str = ""
    pct_ceiling: float = float("nan")


@dataclass(frozen=True)
class Series:
    """Scores as contiguous blocks of clients, sorted; made once for many rules.

    ``clients`` are all clients in order, ``start`` (n_clients + 1) their first rows; a client
    without a rating has an empty block. ``day`` is NaN where the date is not known.
    """

    clients: pd.Index
    start: np.ndarray
    session: np.ndarray
    day: np.ndarray
    score: np.ndarray

    @property
    def n_sessions(self) -> np.ndarray:
        """Rated sessions of each client."""
        return np.diff(self.start)

    @property
    def dated(self) -> bool:
        """Whether the day of any rating is known."""
        return bool(np.isfinite(self.day).any())

    @property
    def client_of_row(self) -> np.ndarray:
        """Position in ``clients`` of each row."""
        return np.repeat(np.arange(self.clients.size), self.n_sessions)
