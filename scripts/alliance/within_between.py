"""The model frame: every predictor split into its within- and between-client parts.

Cluster-mean centring as in the hybrid (random effects within-between) model: the within part is
the deviation of a rating from the client's own mean, the between part the client's mean. Means are
taken over the rows of the frame, so that the within estimate of a random-intercept model equals
the fixed-effects estimate exactly (methods specification, section 1.1).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from alliance.instruments import Instrument
from alliance.study import Measure, ModelSpec, Timing
from alliance.timing import lag_rule, pair_with_outcome


def direction(measure: Measure, instrument: Instrument | None) -> tuple[str, tuple[float, float]]:
    """Direction and possible range of a measure's total, declared or of its instrument.

    The range is (0, 0) where neither says; it is only needed when higher is better.
    """
    higher_is = measure.higher_is or (instrument.higher_is if instrument else None)
    score_range = measure.range
    if score_range is None and instrument is not None:
        score_range = instrument.range_of("total", measure.response_range)
    return str(higher_is), score_range or (0.0, 0.0)


def possible_range(measure: Measure, instrument: Instrument | None) -> tuple[float, float] | None:
    """Lowest and highest possible score of a measure's total; None where neither says."""
    low, high = direction(measure, instrument)[1]
    return (low, high) if high > low else None


def orient(score: pd.Series, higher_is: str, score_range: tuple[float, float]) -> pd.Series:
    """Turn an outcome so that higher is worse: ``low + high - score`` where higher was better.

    Reflecting within the range of the scale keeps its units; a zero stays the best possible score
    of a scale that starts at zero.
    """
    if higher_is == "worse":
        return score
    if higher_is != "better":
        raise ValueError(f"higher_is must be 'better' or 'worse', not {higher_is!r}")
    low, high = score_range
    return low + high - score


def pooled_within_sd(values: pd.Series, client: pd.Series) -> float:
    """Pooled within-client SD: root of within sum of squares over ``sum(T_i - 1)``.

    NaN where no client has two values.
    """
    present = values.notna()
    values, client = values[present].astype(float), client[present]
    deviations = values - values.groupby(client).transform("mean")
    degrees = len(values) - client.nunique()
    return float(np.sqrt((deviations**2).sum() / degrees)) if degrees > 0 else float("nan")


def split_within_between(frame: pd.DataFrame, therapists: bool) -> pd.DataFrame:
    """Add ``within``, ``between`` (and ``between_therapist``) to a frame with ``predictor``.

    Returns
    -------
    DataFrame
        ``within`` sums to zero in every client. Without therapists ``between`` is the client mean
        minus the mean of client means; with therapists it is the client mean minus the mean of the
        therapist's client means, and ``between_therapist`` that mean minus the mean over
        therapists. A client without a known therapist stands alone.
    """
    frame = frame.copy()
    client_mean = frame.groupby("client")["predictor"].transform("mean")
    frame["within"] = frame["predictor"] - client_mean
    one_per_client = client_mean[~frame["client"].duplicated()]
    if not therapists:
        frame["between"] = client_mean - one_per_client.mean()
        return frame
    group = frame["therapist"].fillna("alone: " + frame["client"].astype(str))
    client_group = group[~frame["client"].duplicated()]
    therapist_means = one_per_client.groupby(client_group).mean()
    therapist_mean = group.map(therapist_means).astype(float)
    frame["between"] = client_mean - therapist_mean
    frame["between_therapist"] = therapist_mean - therapist_means.mean()
    return frame


def model_frame(
    sessions: pd.DataFrame,
    clients: pd.DataFrame,
    spec: ModelSpec,
    timing: Timing,
    covariates: list[str],
    outcome_direction: tuple[str, tuple[float, float]],
) -> pd.DataFrame:
    """One row per outcome observation that the model uses.

    Parameters
    ----------
    sessions, clients : scored tables. covariates : names of all covariates the model uses.
    outcome_direction : ``(higher_is, score_range)`` of the outcome, for :func:`orient`.

    Returns
    -------
    DataFrame
        ``client, therapist, session, outcome_session, gap, time``, ``predictor, within, between``
        (and ``between_therapist``) unless the model is a course, ``outcome`` (higher is worse) and
        the covariates. ``time`` counts sessions of the outcome from the first session of the
        study's numbering. Rows with a missing covariate are left out; the caller reports how many.
    """
    higher_is, score_range = outcome_direction
    oriented = sessions.assign(
        **{spec.outcome: orient(sessions[spec.outcome], higher_is, score_range)}
    )
    first = int(sessions["session"].min()) if len(sessions) else 0
    frame = _observations(oriented, spec, timing)
    frame["time"] = (frame["outcome_session"] - first).astype(float)
    frame = _add_covariates(frame, oriented, clients, covariates)
    if spec.kind == "within_between":
        frame = split_within_between(frame, spec.therapists)
    return frame.sort_values(["client", "outcome_session"], ignore_index=True)


def _observations(sessions: pd.DataFrame, spec: ModelSpec, timing: Timing) -> pd.DataFrame:
    if spec.kind == "course":
        seen = sessions.loc[sessions[spec.outcome].notna(), ["client", "session", spec.outcome]]
        return seen.rename(columns={spec.outcome: "outcome"}).assign(
            outcome_session=seen["session"], gap=0
        )
    predictor = f"{spec.predictor}_{spec.component}" if spec.component else str(spec.predictor)
    return pair_with_outcome(sessions, predictor, spec.outcome, lag_rule(timing, spec.lag).lag)


def _add_covariates(
    frame: pd.DataFrame, sessions: pd.DataFrame, clients: pd.DataFrame, covariates: list[str]
) -> pd.DataFrame:
    of_client = [name for name in covariates if name in clients.columns]
    of_session = [name for name in covariates if name not in of_client]
    frame = frame.merge(
        clients[["client", "therapist", *of_client]], on="client", how="left", validate="m:1"
    )
    if of_session:
        rows = sessions[["client", "session", *of_session]]
        frame = frame.merge(rows, on=["client", "session"], how="left", validate="m:1")
    return frame.dropna(subset=covariates, ignore_index=True)
