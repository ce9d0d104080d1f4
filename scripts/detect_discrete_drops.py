"""Does the alliance fall in discrete ruptures? Tails of its changes, and chances by session."""

from typing import TYPE_CHECKING

import pandas as pd

from alliance.estimates import to_frame, write_estimates
from alliance.estimation.innovations import innovation_rows, study_innovations
from alliance.instruments import load_instruments, scale_name
from alliance.running import stage
from alliance.ruptures.drop_chances import chance_classes
from alliance.seeds import derive_seed
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("discrete drops", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    name = snakemake.wildcards.rupture
    spec = study.ruptures[name]
    measure = study.measures[spec.measure]
    sessions = pd.read_parquet(snakemake.input.sessions)
    scores = sessions[["client", "session"]].assign(score=sessions[spec.score].astype(float))
    found = study_innovations(scores, derive_seed(study.seed, "discrete drops", name))
    classes = chance_classes(found.probabilities, study.privacy.smallest_cell)
    for table, path in ((found.models, "models"), (classes, "classes")):
        table.to_csv(snakemake.output[path], index=False, float_format="%.10g", lineterminator="\n")
    supported = found.verdict == "discrete"
    found.probabilities.assign(supported=supported).to_parquet(
        snakemake.output.probabilities, index=False
    )
    instruments = load_instruments("config/instruments", instruments_of(study))
    units = f"{scale_name(measure, instruments)} points"
    rows = innovation_rows(found, name, spec.measure, measure.rater, spec.component or "", units)
    frame = to_frame(rows).assign(code_hash=snakemake.params.code)
    write_estimates(frame, snakemake.output.estimates)
    say(f"{name}: {found.verdict or found.refused}")
