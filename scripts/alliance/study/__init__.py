"""The typed model of a study file: the only place that knows configuration keys."""

from alliance.study.excerpt import read_excerpt, write_excerpt
from alliance.study.load import load_study, load_yaml_with_lines
from alliance.study.model import (
    CleaningRules,
    Column,
    Covariate,
    Download,
    Measure,
    ModelSpec,
    PrivacyRules,
    RuptureSpec,
    Study,
    Table,
    Timing,
)
from alliance.study.run import RunConfig, read_run_config

__all__ = [
    "CleaningRules",
    "Column",
    "Covariate",
    "Download",
    "Measure",
    "ModelSpec",
    "PrivacyRules",
    "RunConfig",
    "RuptureSpec",
    "Study",
    "Table",
    "Timing",
    "load_study",
    "load_yaml_with_lines",
    "read_excerpt",
    "read_run_config",
    "write_excerpt",
]
