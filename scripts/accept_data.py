"""Let the data of a study through to what follows only if they have no errors."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from alliance.deidentification import check_key, key_from
from alliance.instruments import load_instruments
from alliance.running import RefusedError, stage
from alliance.study import instruments_of, read_excerpt
from alliance.validation import validate

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("accept data", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    instruments = load_instruments("config/instruments", instruments_of(study))
    file = f"config/studies/{study.id}.yaml"
    found, _ = validate(study, instruments, Path(), file)
    problems = [*check_key(study, key_from(os.environ), file), *found]
    if any(problem.severity == "error" for problem in problems):
        raise RefusedError(
            f"The data of '{study.id}' cannot be used yet. What is wrong is listed at the end of "
            f"the run and in results/{study.id}/qc/validation.tsv."
        )
    say("no errors")
