"""The parts of one rupture analysis of a study that null data sets and outcome tests share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from alliance.estimation.dynamics_series import VarSeries, occasions
from alliance.estimation.refusal import Refusal
from alliance.instruments import Instrument
from alliance.reliability import COLUMNS, coefficient_of
from alliance.rupture_null.courses import CourseColumns, Courses, courses_of, lead_of
from alliance.rupture_null.noise import Found, find, runnable
from alliance.rupture_null.null_model import NullModel, fit_null_model
from alliance.rupture_null.null_tests import OutcomePlan, observed_terms, plan_tests
from alliance.rupture_null.outcome_tests import Term
from alliance.ruptures.engine import pooled_scale, ratings_of
from alliance.ruptures.outcome_tests import SMALLEST_GROUP
from alliance.ruptures.rules import RuptureRule
from alliance.study import Study
from alliance.within_between import direction


@dataclass(frozen=True)
class NullStudy:
    """Courses of a study, what the rules find in them, and the plan of the tests.

    Attributes
    ----------
    series : the courses as the dynamic model takes them. places : rank of each series within a
        session. reliability : (k,) of each series within clients (Rcn); NaN where not known.
    """

    courses: Courses
    series: VarSeries
    places: tuple[int, ...]
    found: dict[str, Found]
    plan: OutcomePlan
    reliability: tuple[float, ...] | None = None

    def terms(self) -> dict[tuple[str, str, str], Term]:
        """Every outcome test of every rule."""
        return observed_terms(self.courses, self.plan, self.found)

    def null_model(self, seed: int) -> NullModel | Refusal:
        """The dynamic model without ruptures; the reason where it cannot be fitted.

        Where alliance and outcome cannot be modelled together, the model is of the alliance alone:
        rates can still be held against noise, tests against outcome cannot.
        """
        model = fit_null_model(self.series, self.places, seed, self.reliability)
        if isinstance(model, NullModel) or self.series.n_series == 1:
            return model
        series = alliance_alone(self.series)
        own = None if self.reliability is None else self.reliability[:1]
        return fit_null_model(series, self.places[:1], seed, own)


def null_study(
    study: Study,
    name: str,
    instruments: Mapping[str, Instrument],
    sessions: pd.DataFrame,
    clients: pd.DataFrame,
    rules: Mapping[str, RuptureRule],
    reliability: pd.DataFrame | None = None,
) -> NullStudy | Refusal:
    """One entry under ``ruptures`` of a study, ready for null data sets.

    Parameters
    ----------
    sessions, clients : scored sessions and clean clients. reliability : table of
        ``alliance.reliability``, for rules and null data sets; None: nothing is known.
    """
    spec = study.ruptures[name]
    columns = CourseColumns(spec.score)
    if spec.outcome is not None:
        measure = study.measures[spec.outcome]
        towards = direction(measure, instruments.get(measure.instrument or ""))
        columns = CourseColumns(spec.score, spec.outcome, towards)
    made = courses_of(sessions, clients, columns, lead_of(study.timing))
    if isinstance(made, Refusal):
        return made
    courses, series = made
    scores = ratings_of(sessions, spec.score)
    table = pd.DataFrame(columns=list(COLUMNS)) if reliability is None else reliability
    scale = spec.component or "total"
    rcn = coefficient_of(table, spec.measure, "within_client", "Rcn", scale)
    known = pooled_scale(scores, rcn, coefficient_of(table, spec.measure, "total", "alpha", scale))
    runs = runnable(rules, known, courses.dated)
    plan = plan_tests(courses, runs, known, max(SMALLEST_GROUP, study.privacy.smallest_cell))
    outcome = [] if spec.outcome is None else [spec.outcome]
    return NullStudy(
        courses,
        series,
        occasions(study.timing)[: series.n_series],
        find(courses, runs, known),
        plan,
        (rcn, *(coefficient_of(table, name, "within_client", "Rcn") for name in outcome)),
    )


def alliance_alone(series: VarSeries) -> VarSeries:
    """The first of the series; clients without a rating have nothing to model and stay as rows."""
    return VarSeries(series.scores[:, :, :1], series.names[:1], series.client_ids)
