"""Search alliance ratings for ruptures and repairs by each declared rule."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from alliance.describe import highest_score
from alliance.instruments import load_instruments
from alliance.reliability import coefficient_of
from alliance.running import stage
from alliance.ruptures import (
    agreement_matrix,
    detect_all,
    load_rules,
    pooled_scale,
    ratings_of,
    summarise,
)
from alliance.ruptures.thresholds import with_thresholds
from alliance.study import instruments_of, read_excerpt

if TYPE_CHECKING:
    from snakemake.script import snakemake


def stacked(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The tables of all rules as one; empty ones give only their columns."""
    filled = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(filled, ignore_index=True)


def reliability_of(
    table: pd.DataFrame, scale: tuple[str, str], level: str, coefficient: str
) -> float:
    """A coefficient of the scale that is searched."""
    return coefficient_of(table, scale[0], level, coefficient, scale[1])


with stage("ruptures", snakemake.log[0]) as say:
    study = read_excerpt(snakemake.params.study)
    spec = study.ruptures[snakemake.wildcards.rupture]
    thresholds = pd.read_csv(snakemake.input.thresholds)
    rules = with_thresholds(load_rules(Path("config/ruptures"), spec.rules), thresholds)
    sessions = pd.read_parquet(snakemake.input.sessions)
    scores = ratings_of(sessions, spec.score)
    reliability = pd.read_csv(snakemake.input.reliability)
    scale = (spec.measure, spec.component or "total")
    measure = study.measures[spec.measure]
    instruments = load_instruments("config/instruments", instruments_of(study))
    pooled = pooled_scale(
        scores,
        reliability_within=reliability_of(reliability, scale, "within_client", "Rcn"),
        reliability_total=reliability_of(reliability, scale, "total", "alpha"),
        ceiling=highest_score(measure, instruments.get(str(measure.instrument)), scale[1]),
    )
    results = detect_all(scores, rules, pooled)
    for part in ("sessions", "episodes", "clients"):
        table = stacked([getattr(result, part) for result in results.values()])
        table.to_parquet(snakemake.output[part], index=False)
    smallest = study.privacy.smallest_cell
    summary = pd.DataFrame(
        [summarise(results[name], rule, smallest) for name, rule in rules.items()]
    )
    summary.to_csv(snakemake.output.summary, index=False, lineterminator="\n")
    agreement_matrix(results, smallest).to_csv(
        snakemake.output.agreement, index=False, float_format="%.10g", lineterminator="\n"
    )
    say(f"{snakemake.wildcards.rupture}: {len(rules)} rules")
