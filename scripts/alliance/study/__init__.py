"""The typed model of a study file: the only place that knows configuration keys."""

from alliance.study.analyses import (
    AssociationSpec,
    DynamicsSpec,
    ModelSpec,
    Residuals,
    RuptureSpec,
    SuddenGainsSpec,
)
from alliance.study.collect import absent_open_data, collect_studies, instruments_of
from alliance.study.data import Column, Download, Table, Timing
from alliance.study.excerpt import (
    parts_of_association,
    parts_of_dynamics,
    parts_of_gains,
    parts_of_model,
    parts_of_rupture,
    parts_of_variants,
    read_excerpt,
    write_excerpt,
)
from alliance.study.files import data_files, resolve_path
from alliance.study.handling import CleaningRules, PrivacyRules
from alliance.study.load import CHECK, lines_to_check, load_study
from alliance.study.model import Study
from alliance.study.run import RunConfig, read_run_config
from alliance.study.variables import Covariate, Measure
from alliance.study.yaml_lines import load_yaml_with_lines

__all__ = [
    "CHECK",
    "AssociationSpec",
    "CleaningRules",
    "Column",
    "Covariate",
    "Download",
    "DynamicsSpec",
    "Measure",
    "ModelSpec",
    "PrivacyRules",
    "Residuals",
    "RunConfig",
    "RuptureSpec",
    "Study",
    "SuddenGainsSpec",
    "Table",
    "Timing",
    "absent_open_data",
    "collect_studies",
    "data_files",
    "instruments_of",
    "lines_to_check",
    "load_study",
    "load_yaml_with_lines",
    "parts_of_association",
    "parts_of_dynamics",
    "parts_of_gains",
    "parts_of_model",
    "parts_of_rupture",
    "parts_of_variants",
    "read_excerpt",
    "read_run_config",
    "resolve_path",
    "write_excerpt",
]
