"""Look for everything that is wrong with the data files of a study, at once."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from alliance.instruments import load_instruments
from alliance.problems import PROBLEM_COLUMNS, describe_problems
from alliance.running import stage
from alliance.study import instruments_of, read_excerpt
from alliance.validation import validate

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("validate", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    instruments = load_instruments("config/instruments", instruments_of(study))
    file = f"config/studies/{study.id}.yaml"
    problems, _ = validate(study, instruments, Path(), file)
    table = pd.DataFrame([p.as_row() for p in problems], columns=list(PROBLEM_COLUMNS))
    table.to_csv(snakemake.output.problems, sep="\t", index=False, lineterminator="\n")
    say(describe_problems(problems, f"Study '{study.id}'"))
