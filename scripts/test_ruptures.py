"""Prevalence of ruptures, and contrasts of clients by rupture and repair, as estimates."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from alliance.estimates import Estimate, to_frame, write_estimates
from alliance.instruments import load_instruments
from alliance.running import stage
from alliance.ruptures import RuptureResult, client_outcome_rows, load_rules, prevalence_rows
from alliance.ruptures.outcome_tests import RuptureAnalysis, first_and_last
from alliance.study import instruments_of, read_excerpt
from alliance.within_between import direction, orient

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("ruptures and outcome", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    name = snakemake.wildcards.rupture
    spec = study.ruptures[name]
    measure = study.measures[spec.measure]
    tables = {part: pd.read_parquet(snakemake.input[part]) for part in ("found", "labels")}
    refused = pd.read_csv(snakemake.input.summary, keep_default_na=False).set_index("rule")
    analysis = RuptureAnalysis(id=name, measure=spec.measure, rater=measure.rater)
    outcomes = None
    if spec.outcome:
        outcome = study.measures[spec.outcome]
        instruments = load_instruments("config/instruments", instruments_of(study))
        sessions = pd.read_parquet(snakemake.input.sessions)
        turned = direction(outcome, instruments.get(outcome.instrument or ""))
        sessions[spec.outcome] = orient(sessions[spec.outcome], *turned)
        outcomes = first_and_last(sessions, spec.outcome)
        clients = pd.read_parquet(snakemake.input.clients)[["client", "therapist"]]
        if clients["therapist"].notna().any():
            outcomes = outcomes.merge(clients, on="client", how="left")
        analysis = RuptureAnalysis(
            id=name,
            measure=spec.measure,
            rater=measure.rater,
            outcome=spec.outcome,
            outcome_label=outcome.label,
        )
    rows: list[Estimate] = []
    for rule_name, rule in load_rules(Path("config/ruptures"), spec.rules).items():
        result = RuptureResult(
            rule=rule_name,
            sessions=tables["found"].query("rule == @rule_name"),
            episodes=pd.DataFrame(),
            clients=tables["labels"].query("rule == @rule_name"),
            refused=str(refused.loc[rule_name, "reason"]),
        )
        rows.extend(prevalence_rows(result, rule, analysis))
        if outcomes is not None:
            rows.extend(client_outcome_rows(result, rule, outcomes, analysis))
    frame = to_frame(rows).assign(code_hash=snakemake.params.code)
    write_estimates(frame, snakemake.output.estimates)
    say(f"{name}: {len(frame)} rows")
