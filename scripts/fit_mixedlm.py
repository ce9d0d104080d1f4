"""Fit the same model by statsmodels, as an independent check."""

from typing import TYPE_CHECKING

import pandas as pd

from alliance.estimates import to_frame, write_estimates
from alliance.estimation.context import row_context
from alliance.estimation.design import DESIGN_FORM, build_design
from alliance.estimation.mixedlm import fit_mixedlm
from alliance.estimation.mixedlm_rows import mixedlm_rows
from alliance.estimation.refusal import Refusal
from alliance.instruments import load_instruments
from alliance.running import stage
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("statsmodels", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    model = snakemake.wildcards.model
    spec = study.models[model]
    instruments = load_instruments("config/instruments", instruments_of(study))
    estimator = "MixedLM (statsmodels)"
    context = row_context(study, model, instruments, estimator, snakemake.params.code)
    form = DESIGN_FORM[spec.form]
    design = build_design(pd.read_parquet(snakemake.input.frame), spec, study.covariates, form)
    fit = design if isinstance(design, Refusal) else fit_mixedlm(design, spec.likelihood)
    write_estimates(to_frame(mixedlm_rows(fit, design, context)), snakemake.output.estimates)
    say(f"{model}: {'not estimated' if isinstance(fit, Refusal) else fit.message}")
