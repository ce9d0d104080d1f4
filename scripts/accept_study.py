"""Stop a study whose file or data have errors."""

from typing import TYPE_CHECKING

from alliance.problems import read_problems
from alliance.running import RefusedError, stage

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("accept", snakemake.log[0]) as say:
    file = snakemake.input.problems
    if any(problem.severity == "error" for problem in read_problems(file)):
        raise RefusedError(
            f"The study cannot be reported yet. What is wrong is listed at the end of the run and "
            f"in {file}."
        )
    say("no errors")
