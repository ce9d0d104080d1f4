"""Fit one multilevel model by restricted maximum likelihood."""

from typing import TYPE_CHECKING

import pandas as pd

from alliance.estimates import to_frame, write_estimates
from alliance.estimation.context import row_context
from alliance.estimation.design import DESIGN_FORM, build_design
from alliance.estimation.effect_sizes import effect_rows
from alliance.estimation.further_rows import further_rows
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import fit_lmm
from alliance.estimation.rows import reml_rows
from alliance.instruments import load_instruments
from alliance.running import stage
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("REML", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    model = snakemake.wildcards.model
    spec = study.models[model]
    instruments = load_instruments("config/instruments", instruments_of(study))
    estimator = "Within (client fixed effects)" if spec.form == "within_only" else spec.likelihood
    context = row_context(study, model, instruments, estimator, snakemake.params.code)
    form = DESIGN_FORM[spec.form]
    design = build_design(pd.read_parquet(snakemake.input.frame), spec, study.covariates, form)
    fit = design if isinstance(design, Refusal) else fit_lmm(design, spec.likelihood)
    rows = reml_rows(fit, design, context)
    rows += further_rows(fit, design, context, spec.bootstrap, study.seed)
    rows += effect_rows(fit, design, context)
    write_estimates(to_frame(rows), snakemake.output.estimates)
    say(f"{model}: {'not estimated' if isinstance(fit, Refusal) else fit.message}")
