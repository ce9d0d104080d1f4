"""Describe the sample and the scales of a study."""

from typing import TYPE_CHECKING

import pandas as pd

from alliance.describe import (
    correlations_within_between,
    describe_measures,
    missingness,
    sample_table,
    trajectories,
)
from alliance.instruments import load_instruments
from alliance.running import stage
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake
