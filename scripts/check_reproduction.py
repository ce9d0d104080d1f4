"""End with exit status 1 if a published number that should be reproduced is not."""

from typing import TYPE_CHECKING

from alliance.problems import StudyError
from alliance.report.reproduction import by_status, headline, rest_of
from alliance.running import stage
from alliance.verification import failures, read_comparison, tally

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("reproduce", snakemake.log[0]) as say:
    comparison = read_comparison(snakemake.input.comparison)
    counts = tally(comparison)
    say(headline(counts))
    for sentence in [by_status(counts), *rest_of(counts), f"Page: {snakemake.input.page}"]:
        say(sentence)
    wrong = failures(comparison, snakemake.input.page)
    if wrong:
        raise StudyError(wrong, "Published numbers")
