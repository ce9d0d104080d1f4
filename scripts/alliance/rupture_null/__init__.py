"""What noise alone gives: null data sets, rates of every rule in them, and calibrated tests."""

from alliance.rupture_null.courses import CourseColumns, Courses, courses_of, lead_of
from alliance.rupture_null.noise import find, noise_table, runnable, shuffled_prevalence
from alliance.rupture_null.null_model import NullModel, fit_null_model, null_scores
from alliance.rupture_null.null_tests import null_distributions, observed_terms, plan_tests
from alliance.rupture_null.rows import (
    NullResults,
    further_rows,
    number_of_tests,
    with_holm,
    with_null,
)
from alliance.rupture_null.study import NullStudy, null_study

__all__ = [
    "CourseColumns",
    "Courses",
    "NullModel",
    "NullResults",
    "NullStudy",
    "courses_of",
    "find",
    "fit_null_model",
    "further_rows",
    "lead_of",
    "noise_table",
    "null_distributions",
    "null_scores",
    "null_study",
    "number_of_tests",
    "observed_terms",
    "plan_tests",
    "runnable",
    "shuffled_prevalence",
    "with_holm",
    "with_null",
]
