"""End with exit status 1 if a published number is not reproduced or missing."""

from typing import TYPE_CHECKING

import pandas as pd

from alliance.problems import StudyError
from alliance.published_run import failures, headline
from alliance.running import stage

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("verify", snakemake.log[0]) as say:
    problems = []
    for name, path in zip(snakemake.params.studies, snakemake.input.comparisons, strict=True):
        text = dict.fromkeys(("published", "obtained", "row", "column"), str)
        comparison = pd.read_csv(path, dtype=text, keep_default_na=True)
        say(headline(name, comparison))
        problems += failures(name, comparison, snakemake.input.page)
    for name in snakemake.params.without:
        say(f"{name}: nothing was published, so nothing can be verified (snakemake publish)")
    say(f"Page: {snakemake.input.page}")
    if problems:
        raise StudyError(problems, "This run differs from the published one")
