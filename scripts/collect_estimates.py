"""Put all estimates of a study into one table, and hold the estimators against each other."""

from typing import TYPE_CHECKING

import pandas as pd

from alliance.estimates import (
    COLUMNS,
    read_estimates,
    without_few_clients,
    write_estimates,
)
from alliance.estimation.agreement import (
    compare_estimators,
    disagreements,
    tell_prior_weight,
)
from alliance.estimation.exploratory import label_exploratory
from alliance.problems import Problem, StudyError
from alliance.running import stage
from alliance.study import read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("estimates", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    parts = [read_estimates(part) for part in snakemake.input.parts]
    filled = [part for part in parts if len(part)]
    table = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(COLUMNS))
    known = [pd.read_csv(file) for file in snakemake.input.priors]
    priors = pd.concat(known, ignore_index=True) if known else None
    comparison = compare_estimators(table, priors=priors)
    apart = disagreements(comparison)
    if apart:
        raise StudyError(
            [
                Problem(
                    "ESTIMATORS_DISAGREE",
                    "error",
                    f"results/{study.id}/estimates/",
                    "",
                    sentence,
                    "the same estimate from every estimator",
                    "One of them did not find the maximum: look at the model (few clients? a "
                    "variance of zero?) and simplify it. What the prior explains is allowed for.",
                )
                for sentence in apart
            ],
            "Independent estimators do not agree",
        )
    table = tell_prior_weight(table, comparison)
    labels = {name: measure.label for name, measure in study.measures.items()}
    reliability = pd.read_csv(snakemake.input.reliability)
    table = label_exploratory(table, reliability, labels)
    table = without_few_clients(table, study.privacy.smallest_cell)
    write_estimates(table, snakemake.output.estimates)
    comparison.to_csv(
        snakemake.output.triangulation, index=False, float_format="%.10g", lineterminator="\n"
    )
    say(f"{len(table)} rows of {table['analysis'].nunique()} analyses")
