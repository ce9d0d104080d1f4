"""Keep the numbers of a run as the published reference values of its studies."""

import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from alliance.estimates import read_estimates
from alliance.provenance import file_hash, versions
from alliance.published_run import PUBLISHED_COLUMNS, may_be_published
from alliance.running import stage
from alliance.study import read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

SOFTWARE = ("numpy", "scipy", "pandas", "statsmodels", "pymc", "nutpie")

with stage("publish", snakemake.log[0]) as say:
    for excerpt in snakemake.params.studies:
        study = read_excerpt(excerpt)
        results, folder = Path("results") / study.id, Path("data/published") / study.id
        fresh = folder.with_name(f".{study.id}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        for part in ("figures", "tables"):
            (fresh / part).mkdir(parents=True)
        estimates = read_estimates(str(results / "estimates.csv"))[list(PUBLISHED_COLUMNS)]
        estimates.to_csv(
            fresh / "estimates.csv", index=False, float_format="%.10g", lineterminator="\n"
        )
        for file in sorted((results / "figures").glob("*.csv")):
            if may_be_published(file.stem, study.simulated):
                shutil.copy(file, fresh / "figures" / file.name)
            else:
                say(f"{study.id}: figure {file.stem} left out, it shows single clients")
        for file in sorted((results / "tables/apa").glob("*.csv")):
            shutil.copy(file, fresh / "tables" / file.name)
        data = [Path(table.path) for table in study.data.tables.values()]
        run = {
            "study": study.id,
            "seed": study.seed,
            "effort": snakemake.params.effort,
            "data": {p.as_posix(): file_hash(p) for p in data if p.is_file()},
            "versions": {"python": platform.python_version(), **versions(*SOFTWARE)},
        }
        (fresh / "run.yaml").write_text(yaml.safe_dump(run, sort_keys=False), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
        say(f"{study.id}: {folder.as_posix()}/, {len(estimates)} rows of estimates")
