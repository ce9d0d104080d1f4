"""Sample the posterior of one dynamic model around its maximum-likelihood fit."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # small matrices; chains take the cores instead

import pandas as pd
import yaml

from alliance.estimates import to_frame, write_estimates
from alliance.estimation.dynamics_bayes import bayes_rows, fit_var_bayes
from alliance.estimation.dynamics_loo import trend_comparison
from alliance.estimation.dynamics_priors import draws_table, priors_table, var_priors_from_mapping
from alliance.estimation.dynamics_study import dynamic_analysis, fit_for_sampling
from alliance.estimation.random_dynamics import RandomDynamicsPriors, fit_random_dynamics
from alliance.estimation.random_dynamics_rows import random_dynamics_rows
from alliance.estimation.refusal import Refusal
from alliance.instruments import load_instruments
from alliance.running import stage
from alliance.seeds import derive_seed
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("dynamics, Bayes", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    name = snakemake.wildcards.dynamics
    priors = var_priors_from_mapping(
        yaml.safe_load(Path(snakemake.input.priors).read_text("utf-8"))
    )
    analysis = dynamic_analysis(
        study,
        name,
        load_instruments("config/instruments", instruments_of(study)),
        pd.read_parquet(snakemake.input.sessions),
        pd.read_parquet(snakemake.input.clients),
        pd.read_csv(snakemake.input.reliability),
        snakemake.params.code,
    )
    start = fit_for_sampling(analysis)
    fitted = fit_var_bayes(
        start,
        priors,
        snakemake.params.effort,
        seed=derive_seed(study.seed, "dynamics_bayes", name),
        cores=snakemake.threads,
    )
    out = snakemake.output
    if isinstance(fitted, Refusal):
        say(f"{name}: not estimated")
        Path(out.posterior).write_bytes(b"")
    else:
        say(f"{name}: {fitted.pct_stationary:.0f}% of the draws stationary")
        fitted.tree.to_netcdf(out.posterior, engine="h5netcdf")
    draws_table(fitted, name).to_parquet(out.draws, index=False)
    priors_table(fitted, priors, name).to_csv(
        out.priors, index=False, float_format="%.10g", lineterminator="\n"
    )
    rows = bayes_rows(fitted, analysis.context)
    if analysis.asked.compare_trends:
        say(f"{name}: the other course of clients, for comparison")
        rows += trend_comparison(
            fitted,
            priors,
            snakemake.params.effort,
            analysis.context,
            seed=derive_seed(study.seed, "compare_trends", name),
            cores=snakemake.threads,
        )
    if analysis.asked.random_dynamics:
        say(f"{name}: coefficients of clients")
        varying = fit_random_dynamics(
            start,
            RandomDynamicsPriors(fixed=priors),
            snakemake.params.effort,
            seed=derive_seed(study.seed, "random_dynamics", name),
            cores=snakemake.threads,
        )
        rows += random_dynamics_rows(varying, analysis.context)
    write_estimates(to_frame(rows), out.estimates)
