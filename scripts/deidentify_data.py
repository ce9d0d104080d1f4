"""Let the data of a study in, without anything that identifies a person."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from alliance.deidentification import deidentify, k_anonymity, key_from
from alliance.instruments import load_instruments
from alliance.problems import Problem, StudyError
from alliance.readers import assemble, read_tables
from alliance.running import stage
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake


def refuse_on_errors(validation: str) -> None:
    """End the stage with the errors that validation found."""
    table = pd.read_csv(validation, sep="\t", dtype=str, keep_default_na=False)
    errors = [Problem(**row) for row in table.to_dict("records") if row["severity"] == "error"]
    if errors:
        raise StudyError(errors, f"The data cannot be used yet (also in {validation})")


with stage("de-identify", snakemake.log[0]) as say:
    refuse_on_errors(snakemake.input.problems)
    study = read_excerpt(snakemake.params.study)
    instruments = load_instruments("config/instruments", instruments_of(study))
    raw = assemble(study, instruments, read_tables(study, Path()))
    safe = deidentify(raw, study, key_from(os.environ))
    safe.sessions.to_parquet(snakemake.output.sessions, index=False)
    safe.clients.to_parquet(snakemake.output.clients, index=False)
    raw.join_report.to_csv(snakemake.output.joins, sep="\t", index=False, lineterminator="\n")
    quasi = [name for name, c in study.covariates.items() if c.quasi_identifier]
    k_anonymity(safe.clients, quasi).to_csv(
        snakemake.output.anonymity, sep="\t", index=False, lineterminator="\n"
    )
    say(f"{len(safe.sessions)} session rows of {safe.sessions['client'].nunique()} clients let in")
