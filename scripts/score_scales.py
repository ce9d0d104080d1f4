"""Score the instruments of a study by their published keys."""

from typing import TYPE_CHECKING

import pandas as pd

from alliance.instruments import load_instruments
from alliance.problems import PROBLEM_COLUMNS
from alliance.running import stage
from alliance.scoring import score_sessions, scoring_checks
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("score", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    instruments = load_instruments("config/instruments", instruments_of(study))
    sessions = pd.read_parquet(snakemake.input.sessions)
    scored, notes = score_sessions(sessions, study, instruments)
    as_read = pd.read_parquet(snakemake.input.as_read)  # cleaning hides a wrong response range
    notes = [*notes, *scoring_checks(as_read, study, instruments)]
    scored.to_parquet(snakemake.output.sessions, index=False)
    pd.DataFrame([note.as_row() for note in notes], columns=list(PROBLEM_COLUMNS)).to_csv(
        snakemake.output.notes, sep="\t", index=False, lineterminator="\n"
    )
    say(f"{len(study.measures)} measures in {len(scored)} sessions; {len(notes)} notes")
