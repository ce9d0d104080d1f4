"""The timing rule: which outcome follows which rating (methods specification, section 0).

With symptoms rated before session t and the alliance after it, the order in time is
y_t, a_t, y_(t+1): the forward path spans one session and the reverse path none. Lagging both by
one would misread the order, so every lag of the study is derived here from the declared timing.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from alliance.study import Timing


@dataclass(frozen=True)
class LagRule:
    """How many sessions lie between a rating and the outcome it may predict.

    Attributes
    ----------
    lag : sessions from the predictor to the outcome; 0 is the same session number.
    order : the order of measurement in words, printed in the report.
    concurrent : true where the two belong to the same occasion, so that no order is known.
    """

    lag: int
    order: str
    concurrent: bool


def forward_lag(timing: Timing) -> int:
    """Sessions from an alliance rating to the first outcome rated after it."""
    return 0 if (timing.alliance_when, timing.outcome_when) == ("pre", "post") else 1


def lag_rule(timing: Timing, lag: str | int) -> LagRule:
    """The lag of a model: ``forward`` by the timing rule, ``same_session``, or a number >= 0.

    Raises
    ------
    ValueError
        For a negative lag, which would let the outcome come before its predictor.
    """
    sessions = forward_lag(timing) if lag == "forward" else 0 if lag == "same_session" else int(lag)
    if sessions < 0:
        raise ValueError(f"a lag of {sessions} would put the outcome before its predictor")
    concurrent = sessions == 0 and (timing.alliance_when, timing.outcome_when) != ("pre", "post")
    return LagRule(sessions, _order_in_words(timing, sessions, concurrent), concurrent)


_PLACE = {"pre": "before", "post": "after"}


def one_occasion(timing: Timing) -> bool:
    """Whether process measures and outcomes carry the same time, so that no order is known."""
    return timing.alliance_when == timing.outcome_when


def occasions_in_words(timing: Timing) -> str:
    """When the forms of a session are filled in, as one sentence."""
    if one_occasion(timing):
        return (
            "Process measures and outcomes of a session are taken on one occasion; which comes "
            "first is not known."
        )
    return (
        f"Process measures are taken {_PLACE[timing.alliance_when]} the session, outcomes "
        f"{_PLACE[timing.outcome_when]} it."
    )


def _order_in_words(timing: Timing, lag: int, concurrent: bool) -> str:
    later = "session t" if lag == 0 else f"session t+{lag}"
    if one_occasion(timing):
        if concurrent:
            return "predictor and outcome of session t (same occasion: no order in time)"
        return f"predictor of session t, outcome of {later} (order within a session not known)"
    when = f"predictor {_PLACE[timing.alliance_when]} session t"
    words = f"{when}, outcome {_PLACE[timing.outcome_when]} {later}"
    if not concurrent:
        return words
    return f"{words} (outcome rated first: a reverse or concurrent association)"


def pair_with_outcome(
    sessions: pd.DataFrame, predictor: str, outcome: str, lag: int
) -> pd.DataFrame:
    """Each rating with the outcome ``lag`` sessions later; never across a missing session.

    Parameters
    ----------
    sessions : one row per client and session, columns ``client``, ``session`` and the two scores.
    lag : sessions between the two, >= 0.

    Returns
    -------
    DataFrame
        ``client, session, outcome_session, gap, predictor, outcome`` for pairs in which both are
        present; ``gap`` is the number of sessions between them and always equals ``lag``.
    """
    rated = sessions.loc[sessions[predictor].notna(), ["client", "session", predictor]]
    reached = sessions.loc[sessions[outcome].notna(), ["client", "session", outcome]]
    left = rated.assign(outcome_session=rated["session"] + lag).rename(
        columns={predictor: "predictor"}
    )
    right = reached.rename(columns={"session": "outcome_session", outcome: "outcome"})
    pairs = left.merge(right, on=["client", "outcome_session"], how="inner", validate="1:1")
    pairs["gap"] = pairs["outcome_session"] - pairs["session"]
    columns = ["client", "session", "outcome_session", "gap", "predictor", "outcome"]
    return pairs[columns].sort_values(["client", "session"], ignore_index=True)
