"""The typed model of a study file: the only place that knows configuration keys."""

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

__all__ = [
    "CleaningRules",
    "Column",
    "Covariate",
    "Download",
    "Measure",
    "ModelSpec",
    "PrivacyRules",
    "RuptureSpec",
    "Study",
    "Table",
    "Timing",
    "load_study",
    "load_yaml_with_lines",
]
