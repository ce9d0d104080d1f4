"""Checks of whether the data can carry what the study file asks of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from alliance.problems import Problem
from alliance.study import ModelSpec, Study
from alliance.validation.catalogue import tell
from alliance.validation.identifiers import origin_of
from alliance.validation.ranges import present_answers
from alliance.validation.showing import Look

FEW_CLIENTS = 20
# What a model with therapists needs to be fitted at all; a test holds these to the model's own.
FEW_THERAPISTS, CLIENTS_PER_THERAPIST = 20, 3


def check_size(look: Look) -> list[Problem]:
    """Too few clients, sessions or therapists, and models that nothing can be estimated of."""
    return [*_check_clients(look), *_check_sessions(look), *_check_models(look)]


def _check_clients(look: Look) -> Iterable[Problem]:
    file, column = origin_of(look.raw, "client")
    n_clients = look.raw.sessions["client"].nunique()
    if n_clients == 1:
        yield tell("ONE_CLIENT", file, f"column '{column}'", "one client in all rows")
    elif 1 < n_clients < FEW_CLIENTS:
        found = f"{n_clients} clients"
        yield tell("FEW_CLIENTS", file, f"column '{column}'", found, wanted=FEW_CLIENTS)


def _check_sessions(look: Look) -> Iterable[Problem]:
    sessions = look.raw.sessions
    file, column = origin_of(look.raw, "client")
    keys = sessions[["client", "session"]].dropna().drop_duplicates()
    if keys.empty:
        return
    if not keys.duplicated("client").any() and len(keys) > 1:
        yield tell("ONE_SESSION_EACH", file, f"column '{column}'", "one session for every client")
    wanted = look.study.cleaning.min_sessions
    answers = present_answers(sessions, look.study)
    usable = sessions[answers].notna().any(axis=1) & sessions["session"].notna()
    if look.study.columns.attendance is not None:
        usable &= sessions["attendance"].isna() | sessions["attendance"].eq("attended")
    counts = sessions[usable].drop_duplicates(["client", "session"]).groupby("client").size()
    if len(counts) and counts.max() < wanted:
        found = f"at most {counts.max()} attended sessions with data"
        yield tell("NOBODY_LEFT", file, f"column '{column}'", found, wanted=wanted)


def _check_models(look: Look) -> Iterable[Problem]:
    for name, model in look.study.models.items():
        key = f"key models.{name}"
        yield from _check_terms(look, key, model)
        yield from _check_pairs(look, key, model)
    if any(model.therapists for model in look.study.models.values()):
        yield from _check_therapists(look)


def _check_terms(look: Look, key: str, model: ModelSpec) -> Iterable[Problem]:
    parts = dict.fromkeys(part for term in model.covariates for part in term.split(":"))
    for part in parts:
        frame = look.frame_with(part)
        if part == "time" or frame is None:
            continue
        if len(frame[part].dropna().astype("str").unique()) == 1:
            found = f"'{part}' has the same value throughout"
            yield tell("TERM_CONSTANT", look.study_file, f"{key}.covariates", found)


def _check_pairs(look: Look, key: str, model: ModelSpec) -> Iterable[Problem]:
    """Whether any outcome follows a rating at the model's lag."""
    if model.predictor is None:
        return
    lag = _lag(look.study, model)
    rated = _occasions(look, model.predictor)
    outcome = _occasions(look, model.outcome)
    if rated.empty or outcome.empty:
        return  # told as ALL_MISSING
    rated = rated.assign(session=rated["session"] + lag)
    if rated.merge(outcome, on=["client", "session"]).empty:
        found = f"no pair of '{model.predictor}' and '{model.outcome}'"
        after = f"{lag} {'session' if lag == 1 else 'sessions'} after"
        steps = "in the same session as" if lag == 0 else after
        yield tell("NO_PAIRS", look.study_file, key, found, lag=steps)


def _lag(study: Study, model: ModelSpec) -> int:
    # The rule of alliance.timing, a later room: a rating made before the session precedes the
    # outcome after it; in every other order the next session is the first to follow.
    if model.lag == "same_session":
        return 0
    if model.lag == "forward":
        before = (study.timing.alliance_when, study.timing.outcome_when) == ("pre", "post")
        return 0 if before else 1
    return int(model.lag)


def _occasions(look: Look, measure: str) -> pd.DataFrame:
    sessions = look.raw.sessions
    names = [c for c in present_answers(sessions, look.study)
             if (c.rpartition("__")[0] or c) == measure]  # fmt: skip
    filled = sessions[names].notna().any(axis=1)
    keys = sessions.loc[filled, ["client", "session"]].dropna()
    numbers = pd.to_numeric(keys["session"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return keys.assign(session=numbers).dropna().drop_duplicates()


def _check_therapists(look: Look) -> Iterable[Problem]:
    known = look.raw.sessions[["client", "therapist"]].dropna().drop_duplicates("client")
    counts = known.groupby("therapist").size()
    able = int((counts >= CLIENTS_PER_THERAPIST).sum())
    if len(counts) and able < FEW_THERAPISTS:
        file, column = origin_of(look.raw, "therapist")
        asked = [f"'{name}'" for name, model in look.study.models.items() if model.therapists]
        found = f"{able} therapists with {CLIENTS_PER_THERAPIST} or more clients each"
        yield tell(
            "FEW_THERAPISTS", file, f"column '{column}'", found, wanted=FEW_THERAPISTS,
            each=CLIENTS_PER_THERAPIST, models=", ".join(asked),
        )  # fmt: skip
