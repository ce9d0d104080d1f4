"""All rows of one rupture analysis of a study, from its tables."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from alliance.estimates import Estimate
from alliance.instruments import Instrument, scale_name
from alliance.ruptures.outcome_tests import (
    SMALLEST_GROUP,
    RuptureAnalysis,
    client_outcome_rows,
    first_and_last,
    prevalence_rows,
)
from alliance.ruptures.result import RuptureResult
from alliance.ruptures.rules import RuptureRule
from alliance.study import Study
from alliance.within_between import direction, orient


def rupture_analysis(
    study: Study, name: str, instruments: Mapping[str, Instrument]
) -> RuptureAnalysis:
    """The names and units of one entry under ``ruptures``."""
    spec = study.ruptures[name]
    common = {
        "id": name,
        "measure": spec.measure,
        "rater": study.measures[spec.measure].rater,
        "component": spec.component or "",
        "smallest_cell": study.privacy.smallest_cell,
    }
    if spec.outcome is None:
        return RuptureAnalysis(**common)
    outcome = study.measures[spec.outcome]
    return RuptureAnalysis(
        **common,
        outcome=spec.outcome,
        outcome_label=outcome.label,
        outcome_units=f"{scale_name(outcome, instruments)} points",
    )


def rupture_outcomes(
    study: Study,
    name: str,
    instruments: Mapping[str, Instrument],
    sessions: pd.DataFrame,
    clients: pd.DataFrame,
) -> pd.DataFrame | None:
    """``client, baseline, last`` (higher is worse) and, if known, ``therapist``.

    None where the analysis names no outcome.
    """
    outcome = study.ruptures[name].outcome
    if outcome is None:
        return None
    measure = study.measures[outcome]
    turned = orient(
        sessions[outcome], *direction(measure, instruments.get(measure.instrument or ""))
    )
    table = first_and_last(sessions.assign(**{outcome: turned}), outcome)
    if clients["therapist"].notna().any():
        return table.merge(clients[["client", "therapist"]], on="client", how="left")
    return table


def results_of(
    rules: Mapping[str, RuptureRule],
    found: pd.DataFrame,
    labels: pd.DataFrame,
    summary: pd.DataFrame,
) -> dict[str, RuptureResult]:
    """What each rule found, from the tables of all rules; without episodes."""
    refused = summary.set_index("rule")["reason"].fillna("").astype(str)
    return {
        name: RuptureResult(
            rule=name,
            sessions=found[found["rule"] == name],
            episodes=pd.DataFrame(),
            clients=labels[labels["rule"] == name],
            refused=refused[name],
        )
        for name in rules
    }


def rupture_rows(
    rules: Mapping[str, RuptureRule],
    found: pd.DataFrame,
    labels: pd.DataFrame,
    summary: pd.DataFrame,
    outcomes: pd.DataFrame | None,
    analysis: RuptureAnalysis,
) -> list[Estimate]:
    """Prevalence and, with outcomes, contrasts under each rule.

    Parameters
    ----------
    found, labels, summary : sessions, clients and summary of all rules, by ``rule``.
    """
    rows: list[Estimate] = []
    for name, result in results_of(rules, found, labels, summary).items():
        rule = rules[name]
        rows += prevalence_rows(result, rule, analysis)
        if outcomes is not None:
            smallest = max(SMALLEST_GROUP, analysis.smallest_cell)
            rows += client_outcome_rows(result, rule, outcomes, analysis, smallest)
    return rows
