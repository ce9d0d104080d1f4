"""Drop-out in null data sets: it may depend on the ratings, but not on ruptures as such."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from alliance.rupture_null.courses import Courses
from alliance.rupture_null.outcome_tests import RiskRows, hazard_covariates, risk_rows
from alliance.rupture_null.regression import hazard_regression
from alliance.rupture_null.scanning import Scan

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class DrawnDropOut:
    """Ratings of treatments with drawn endings.

    ``start, session, day, score`` are of the ratings that could have been given, on which rules are
    run; ``kept`` (rows,) are those given before drop-out, which ``rows`` holds.
    """

    start: IntArray
    session: FloatArray
    day: FloatArray
    score: FloatArray
    kept: BoolArray
    rows: RiskRows

    def cut(self, scan: Scan) -> Scan:
        """What a rule finds before drop-out; rules without look-ahead find the same there."""
        return replace(scan, flag=scan.flag[self.kept], state=scan.state[self.kept])


@dataclass(frozen=True)
class DropOutNull:
    """The hazard of the study without any term of ruptures, and how long treatments could last.

    Attributes
    ----------
    coefficients : of ``hazard_covariates``. rated, session, day : (n, T) of the study; ``day`` is
        NaN where not known. pace : usual days from one session to the next, NaN if not known.
    outcome_seen : (n, T). length : (n,) steps up to the last rating. free : (n,) True for clients
        who dropped out, and whose treatment might have lasted longer.
    """

    coefficients: FloatArray
    rated: BoolArray
    session: FloatArray
    day: FloatArray
    pace: float
    outcome_seen: BoolArray
    length: IntArray
    free: BoolArray

    @classmethod
    def of(cls, courses: Courses, dropped_out: BoolArray) -> DropOutNull | None:
        """None where the hazard cannot be estimated."""
        rows = risk_rows(courses, dropped_out)
        fit = hazard_regression(rows.covariates, rows.event) if rows.event.size else None
        if fit is None:
            return None
        steps = np.arange(1, courses.rated.shape[1] + 1)
        length = (courses.rated * steps).max(axis=1)
        seen = np.isfinite(courses.outcome)
        day = np.full(courses.rated.shape, np.nan) if courses.day is None else courses.day
        return cls(
            fit.coefficients, courses.rated, courses.session, day, usual_pace(courses.rated, day),
            seen, length, dropped_out,
        )  # fmt: skip

    @property
    def needs_outcome(self) -> bool:
        """Whether the hazard depends on the outcome."""
        return bool(self.outcome_seen.any())

    def draw(
        self, alliance: FloatArray, outcome: FloatArray, rng: np.random.Generator
    ) -> DrawnDropOut:
        """Endings for scores (n, T) that are known at every step.

        A client who dropped out could have stayed as long as a client who did not, drawn from those
        whose treatment lasted longer; sessions after the last real one count as rated, and follow
        each other at the usual pace of the study.
        """
        could = self._could_be_rated(rng)
        alliance = np.where(could, alliance, np.nan)
        known = self.outcome_seen | (could & ~self.rated)
        seen = np.where(known & np.isfinite(outcome), outcome, np.nan)
        covariates = hazard_covariates(alliance, seen, could)
        hazard = -np.expm1(-np.exp(np.minimum(covariates @ self.coefficients, 3.0)))
        leaves = could & (rng.random(could.shape) < hazard)
        before = np.cumsum(leaves, axis=1) - leaves == 0
        kept = could & before
        rows = RiskRows(covariates[kept], leaves[kept].astype(float), np.nonzero(kept)[0])
        start = np.concatenate([[0], np.cumsum(could.sum(axis=1))]).astype(np.int64)
        session = self._counted_on(self.session, 1.0)[could]
        day = self._counted_on(self.day, self.pace)[could]
        return DrawnDropOut(start, session, day, alliance[could], kept[could], rows)

    def _could_be_rated(self, rng: np.random.Generator) -> BoolArray:
        length = self.length.copy()
        stayed = np.sort(self.length[~self.free & (self.length > 0)])
        for client in np.flatnonzero(self.free & (self.length > 0)):
            longer = stayed[np.searchsorted(stayed, self.length[client], side="right") :]
            if longer.size:
                length[client] = longer[rng.integers(longer.size)]
        step = np.arange(self.rated.shape[1])
        beyond = (step >= self.length[:, None]) & (step < length[:, None])
        return self.rated | beyond

    def _counted_on(self, values: FloatArray, per_step: float) -> FloatArray:
        """Session numbers or days, counted on from the last rated session."""
        n = len(self.rated)
        last = np.maximum(self.length - 1, 0)
        at_last = values[np.arange(n), last]
        step = np.arange(self.rated.shape[1])
        onward = at_last[:, None] + per_step * (step - last[:, None])
        return np.where(self.rated, values, onward)


def usual_pace(rated: BoolArray, day: FloatArray) -> float:
    """Median of the days per step between neighbouring ratings with a date; NaN without any."""
    client, step = np.nonzero(rated & np.isfinite(day))
    same = np.diff(client) == 0
    apart = np.diff(day[client, step])[same] / np.diff(step)[same]
    return float(np.median(apart)) if apart.size else np.nan
