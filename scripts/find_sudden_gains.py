"""Find sudden gains and losses in the scores of a study."""

from typing import TYPE_CHECKING

import pandas as pd

from alliance.estimates import to_frame, write_estimates
from alliance.instruments import load_instruments
from alliance.running import stage
from alliance.ruptures.gain_rows import gain_analysis, gain_rows, gains_and_losses
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("sudden gains", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    name = snakemake.wildcards.gains
    spec = study.sudden_gains[name]
    measure = study.measures[spec.measure]
    instruments = load_instruments("config/instruments", instruments_of(study))
    analysis = gain_analysis(
        name, spec, measure, instruments.get(measure.instrument or ""), study.privacy.smallest_cell
    )
    sessions = pd.read_parquet(snakemake.input.sessions)
    found = gains_and_losses(sessions, spec, analysis.higher_is)
    changes = [result.gains.assign(direction=what) for what, result in found.items()]
    filled = [table for table in changes if len(table)] or changes[:1]
    pd.concat(filled, ignore_index=True).to_parquet(snakemake.output.changes, index=False)
    rows = gain_rows(found, analysis)
    frame = to_frame(rows).assign(code_hash=snakemake.params.code)
    write_estimates(frame, snakemake.output.estimates)
    say(f"{name}: {len(frame)} rows")
