"""Write the page of a verification: figure by figure, number by number."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import yaml

from alliance.provenance import versions
from alliance.report.verification import VerifiedStudy, build_verification
from alliance.running import stage

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("verify", snakemake.log[0]) as say:
    given, names = snakemake.input, snakemake.params.studies
    studies = tuple(
        VerifiedStudy(
            name,
            pd.read_csv(comparison, dtype={"published": str, "obtained": str, "row": str}),
            pd.read_csv(parts),
            yaml.safe_load(Path(f"data/published/{name}/run.yaml").read_text("utf-8")),
        )
        for name, comparison, parts in zip(names, given.comparisons, given.parts, strict=True)
    )
    software = versions("numpy", "scipy", "pandas", "statsmodels", "pymc", "nutpie")
    page = build_verification(studies, snakemake.params.without, software)
    Path(snakemake.output.page).write_text(page, encoding="utf-8")
    say(f"page {snakemake.output.page}")
