"""Fit the Bayesian twin of one multilevel model, random effects integrated out, and check it."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr
import yaml

from alliance.estimates import to_frame, write_estimates
from alliance.estimation.bayes import sample_model, save_tree
from alliance.estimation.bayes_model import compile_model
from alliance.estimation.bayes_rows import bayes_rows
from alliance.estimation.bayes_summary import BayesChecks, Given, check_fit
from alliance.estimation.context import row_context
from alliance.estimation.design import DESIGN_FORM, build_design, for_independent_residuals
from alliance.estimation.effort import EFFORTS
from alliance.estimation.posterior_tables import draws_table, priors_table
from alliance.estimation.priors import priors_from_mapping
from alliance.estimation.refusal import Refusal
from alliance.instruments import load_instruments
from alliance.running import stage
from alliance.seeds import derive_seed
from alliance.study import instruments_of, read_excerpt
from alliance.within_between import possible_range

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("Bayes", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    model = snakemake.wildcards.model
    spec = study.models[model]
    instruments = load_instruments("config/instruments", instruments_of(study))
    seed = derive_seed(study.seed, "bayes", model)
    estimator = "NUTS (PyMC, nutpie)"
    context = row_context(study, model, instruments, estimator, snakemake.params.code, seed)
    priors = priors_from_mapping(yaml.safe_load(Path(snakemake.input.priors).read_text("utf-8")))
    form = DESIGN_FORM[spec.form]
    design = build_design(pd.read_parquet(snakemake.input.frame), spec, study.covariates, form)
    out = snakemake.output
    design = for_independent_residuals(design, "the Bayesian twin")
    if isinstance(design, Refusal):
        say(f"{model}: not estimated")
        checks = BayesChecks.none()
        rows = bayes_rows(design, design, context)
        draws = pd.DataFrame(columns=["analysis", "term", "value"])
        prior_rows = pd.DataFrame(columns=["analysis", "term", "mean", "sd"])
        Path(out.posterior).write_bytes(b"")
    else:
        say(f"compiling {model}")
        prepared = compile_model(design, priors)
        effort, cores = snakemake.params.effort, snakemake.threads
        fit = sample_model(
            prepared, EFFORTS[effort], effort=effort, seed=seed, progress=say, label=model,
            cores=cores,
        )  # fmt: skip
        say(f"checking {model}")
        outcome = study.measures[spec.outcome]
        scale = possible_range(outcome, instruments.get(outcome.instrument or ""))
        given = Given(model, context.outcome_units, scale, study.privacy.smallest_cell)
        checks = check_fit(prepared, fit, given, cores)
        groups = {name: node.to_dataset() for name, node in fit.tree.children.items()}
        tree = xr.DataTree.from_dict(groups | checks.groups)
        tree.attrs = fit.tree.attrs
        save_tree(tree, out.posterior)
        rows = bayes_rows(fit, design, context, checks.sensitivity)
        draws, prior_rows = draws_table(fit, model), priors_table(fit, model)
    draws.to_parquet(out.draws, index=False)
    checks.predictive.to_parquet(out.predictive, index=False)
    for path, table in (
        (out.priors, prior_rows),
        (out.checks, checks.table),
        (out.slopes, checks.slopes),
    ):
        table.to_csv(path, index=False, float_format="%.10g", lineterminator="\n")
    write_estimates(to_frame(rows), out.estimates)
