"""Fit the variants of one model that the study file asks for."""

from typing import TYPE_CHECKING

import pandas as pd

from alliance.estimates import to_frame, write_estimates
from alliance.estimation.components import component_rows
from alliance.estimation.context import row_context
from alliance.estimation.detrending import trend_rows
from alliance.estimation.moderators import moderator_rows
from alliance.estimation.rater_comparison import comparison_rows
from alliance.instruments import load_instruments
from alliance.running import stage
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("variants", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    model = snakemake.wildcards.model
    spec, covariates = study.models[model], study.covariates
    instruments = load_instruments("config/instruments", instruments_of(study))
    context = row_context(study, model, instruments, spec.likelihood, snakemake.params.code)
    frame = pd.read_parquet(snakemake.input.frame)
    rows = []
    if snakemake.params.trend:
        rows += trend_rows(frame, spec, covariates, context)
    if spec.components:
        key = instruments.get(study.measures[spec.predictor].instrument or "")
        sessions = pd.read_parquet(snakemake.input.sessions)
        subscales = list(key.subscales) if key else []
        rows += component_rows(frame, sessions, spec, subscales, covariates, context)
    if spec.moderators:
        clients = pd.read_parquet(snakemake.input.clients)
        cell = study.privacy.smallest_cell
        rows += moderator_rows(frame, clients, spec, covariates, context, cell)
    if spec.compare_with:
        other = spec.compare_with
        second = row_context(study, other, instruments, spec.likelihood, snakemake.params.code)
        frames = frame, pd.read_parquet(snakemake.input.other)
        specs = spec, study.models[other]
        rows += comparison_rows(frames, specs, (context, second), covariates)
    write_estimates(to_frame(rows), snakemake.output.estimates)
    say(f"{model}: {len(rows)} rows")
