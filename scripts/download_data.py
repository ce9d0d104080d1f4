"""Fetch the openly licensed data of the listed studies."""

from pathlib import Path
from typing import TYPE_CHECKING

from alliance.readers import download
from alliance.running import stage
from alliance.study import read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake

with stage("download", snakemake.log[0]) as say:
    for name, excerpt in snakemake.params.studies.items():
        files = download(read_excerpt(excerpt), Path("data/external"))
        say(f"{name}: {', '.join(file.name for file in files) or 'nothing to download'}")
