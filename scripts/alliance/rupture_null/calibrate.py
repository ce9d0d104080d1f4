"""All null data sets of one rupture analysis, and what is kept of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alliance.estimation.refusal import Refusal
from alliance.rupture_null.noise import NOISE_COLUMNS, noise_table, shuffled_prevalence
from alliance.rupture_null.null_model import NullModel, model_words
from alliance.rupture_null.null_tests import STATISTIC_COLUMNS, null_distributions
from alliance.rupture_null.study import NullStudy
from alliance.ruptures.rules import RuptureRule

SHUFFLES = 200
MODEL_COLUMNS = ("term", "value", "note")


@dataclass(frozen=True)
class Calibration:
    """Tables of the null data sets.

    Attributes
    ----------
    noise : ``noise.NOISE_COLUMNS``. statistics : ``null_tests.STATISTIC_COLUMNS``.
    model : ``MODEL_COLUMNS``, the model they were drawn from. words : what was done.
    """

    noise: pd.DataFrame
    statistics: pd.DataFrame
    model: pd.DataFrame
    words: str


def calibrate(
    prepared: NullStudy | Refusal,
    rules: Mapping[str, RuptureRule],
    summary: pd.DataFrame,
    n_sets: int,
    seed: int,
    smallest_cell: int,
) -> Calibration:
    """Draw the null data sets and hold rules and tests against them.

    Parameters
    ----------
    summary : of the rupture engine. n_sets : 0 for none; the tables then hold no rows but the
        reason.
    """
    if n_sets == 0:
        return _without("the study file asks for no null data sets (null_datasets: 0)")
    if isinstance(prepared, Refusal):
        return _without(prepared.reason)
    model = prepared.null_model(seed)
    if isinstance(model, Refusal):
        return _without(model.reason)
    null = null_distributions(prepared.courses, prepared.plan, model, n_sets, seed)
    run = prepared.plan.rules
    shuffled = shuffled_prevalence(
        prepared.courses, run, prepared.plan.known, min(SHUFFLES, n_sets), seed
    )
    noise = noise_table(
        prepared.found, null.noise, shuffled, rules, summary, smallest_cell, model.words
    )
    words = f"{n_sets} null data sets ({model.words}), {len(run)} rules"
    return Calibration(noise, null.statistics, model_table(model, n_sets), words)


def _without(reason: str) -> Calibration:
    noise = pd.DataFrame(columns=list(NOISE_COLUMNS))
    statistics = pd.DataFrame(columns=list(STATISTIC_COLUMNS))
    model = pd.DataFrame([("none", np.nan, reason)], columns=list(MODEL_COLUMNS))
    return Calibration(noise, statistics, model, f"no null data sets: {reason}")


def model_table(model: NullModel, n_sets: int) -> pd.DataFrame:
    """What readers need to know of the model behind the null data sets."""
    names = ("alliance", "outcome")[: len(model.marginal)]
    rows: list[tuple[str, float, str]] = [
        ("data_sets", n_sets, "null data sets drawn"),
        ("random_trends", float(model.random_trend), "1: clients have trends of their own"),
    ]
    for i, target in enumerate(names):
        for j, source in enumerate(names):
            words = f"{target} on {source} of the session before, points per point"
            rows.append((f"{target}_on_{source}", float(model.reduced[i, j]), words))
        spread = float(np.sqrt(model.spread[i, i]))
        rows.append((f"sd_log_sd_{target}", spread, "SD of the clients' log SDs of innovations"))
        words = "within-client reliability in the model; 1: no error of measurement"
        rows.append((f"reliability_{target}", model.reliability[i], words))
    rows += _models_tried(model)
    return pd.DataFrame(rows, columns=list(MODEL_COLUMNS))


def _models_tried(model: NullModel) -> list[tuple[str, float, str]]:
    """AIC of every model beside the smallest of those that may be used."""
    smallest = min(c.aic for c in model.tried if not c.problem)
    return [
        (
            "aic_above_smallest",
            c.aic - smallest,
            model_words(c.reliability, c.random_trend)
            + (f"; not used: {c.problem}" if c.problem else ""),
        )
        for c in model.tried
    ]


def reason_of(model: pd.DataFrame) -> str:
    """Why there are no null data sets, from the table of the model; empty when there are."""
    if len(model) and str(model["term"].iloc[0]) == "none":
        return str(model["note"].iloc[0])
    return ""
