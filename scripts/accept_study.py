"""Stop a study whose file or data have errors, with all of them."""

from typing import TYPE_CHECKING

import pandas as pd

from alliance.problems import Problem, StudyError
from alliance.running import stage

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("accept", snakemake.log[0]) as say:
    file = snakemake.input.problems
    table = pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False)
    errors = [Problem(**row) for row in table.to_dict("records") if row["severity"] == "error"]
    if errors:
        raise StudyError(errors, f"The study cannot be reported yet (this list is also in {file})")
    say("no errors")
