"""Look for everything that is wrong with a study's file and data, at once."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from alliance.deidentification import check_key, key_from
from alliance.instruments import load_instruments
from alliance.problems import PROBLEM_COLUMNS, describe_problems
from alliance.running import stage
from alliance.study import instruments_of, read_excerpt
from alliance.validation import check_marks, validate

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("validate", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    instruments = load_instruments("config/instruments", instruments_of(study))
    file = f"config/studies/{study.id}.yaml"
    known = snakemake.params.known_instruments
    found, _ = validate(study, instruments, Path(), file, known_instruments=known)
    problems = [*check_key(study, key_from(os.environ), file), *found]
    problems += check_marks(snakemake.params.marks, file)
    problems.sort(key=lambda problem: problem.severity != "error")
    table = pd.DataFrame([p.as_row() for p in problems], columns=list(PROBLEM_COLUMNS))
    table.to_csv(snakemake.output.problems, sep="\t", index=False, lineterminator="\n")
    count = describe_problems(problems).splitlines()[0]
    say(f"study '{study.id}': {count}, listed in {snakemake.output.problems}")
