"""Let the data of a study in, without anything that identifies a person."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from alliance.deidentification import deidentify, key_from
from alliance.instruments import load_instruments
from alliance.readers import assemble, read_tables
from alliance.running import stage
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake


with stage("de-identify", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    instruments = load_instruments("config/instruments", instruments_of(study))
    raw = assemble(study, instruments, read_tables(study, Path()))
    safe = deidentify(raw, study, key_from(os.environ))
    safe.sessions.to_parquet(snakemake.output.sessions, index=False)
    safe.clients.to_parquet(snakemake.output.clients, index=False)
    raw.join_report.to_csv(snakemake.output.joins, sep="\t", index=False, lineterminator="\n")
    Path(snakemake.output.reading).write_text("\n".join(raw.notes) + "\n", encoding="utf-8")
    say(f"{len(safe.sessions)} session rows of {safe.sessions['client'].nunique()} clients let in")
