"""Rupture and repair by declared rules, their agreement, their tests, and sudden gains."""

from alliance.ruptures.agreement import agreement_matrix
from alliance.ruptures.engine import (
    detect,
    detect_all,
    pooled_scale,
    prepare,
    ratings_of,
)
from alliance.ruptures.episodes import summarise
from alliance.ruptures.outcome_tests import client_outcome_rows, prevalence_rows
from alliance.ruptures.recovery import sensitivity
from alliance.ruptures.result import PooledScale, RuptureResult
from alliance.ruptures.rules import RuptureRule, load_rules
from alliance.ruptures.study_rows import rupture_analysis, rupture_outcomes, rupture_rows
from alliance.ruptures.sudden_gains import SuddenGains, find_sudden_gains

__all__ = [
    "PooledScale",
    "RuptureResult",
    "RuptureRule",
    "SuddenGains",
    "agreement_matrix",
    "client_outcome_rows",
    "detect",
    "detect_all",
    "find_sudden_gains",
    "load_rules",
    "pooled_scale",
    "prepare",
    "prevalence_rows",
    "ratings_of",
    "rupture_analysis",
    "rupture_outcomes",
    "rupture_rows",
    "sensitivity",
    "summarise",
]
