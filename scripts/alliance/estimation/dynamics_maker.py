"""What rows of dynamic models have in common: labels, order of measurement, counts, words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from alliance.estimates import Estimate
from alliance.estimation.dynamics import VarFit
from alliance.estimation.dynamics_effects import Effects
from alliance.estimation.dynamics_layout import VarSpec
from alliance.estimation.dynamics_series import VarSeries
from alliance.instruments import Instrument, scale_name
from alliance.study import Study
from alliance.timing import one_occasion

ESTIMATOR = "Random-intercept VAR(1), ML"
MISSING_RULE = "all observed scores; exact likelihood under missing at random"
TRENDS: Mapping[str, str] = {
    "none": "none",
    "linear": "linear",
    "session_effects": "free mean for each session",
}


@dataclass(frozen=True)
class SeriesLabel:
    """How a series is spoken of.

    Attributes
    ----------
    measure : key in the study file. label : name for readers.
    units, unit : plural and singular, e.g. ``CORE-10 points``, ``CORE-10 point``.
    component : subscale, empty for the total.
    """

    measure: str
    label: str
    units: str
    unit: str
    rater: str = ""
    component: str = ""


@dataclass(frozen=True)
class VarContext:
    """What the rows of one dynamic analysis have in common.

    Attributes
    ----------
    labels : series name -> label. order : order of measurement in words.
    """

    analysis: str
    labels: Mapping[str, SeriesLabel]
    order: str
    clock: str = "attended session"
    seed: float = np.nan
    code_hash: str = ""
    estimator: str = ESTIMATOR


def var_context(
    study: Study,
    analysis: str,
    measures: Mapping[str, str],
    instruments: dict[str, Instrument],
    code_hash: str = "",
    seed: float = np.nan,
) -> VarContext:
    """Context from the study file.

    Parameters
    ----------
    measures : series name -> key of the measure, e.g. ``{"alliance": "wai", "outcome": "core"}``.
    """
    labels = {}
    for name, key in measures.items():
        measure = study.measures[key]
        scale = scale_name(measure, instruments)
        labels[name] = SeriesLabel(
            key, measure.label, f"{scale} points", f"{scale} point", measure.rater
        )
    return VarContext(analysis, labels, order_in_words(study), seed=seed, code_hash=code_hash)


def order_in_words(study: Study) -> str:
    """The order of measurement that the dynamic model follows."""
    place = {"pre": "before", "post": "after"}
    timing = study.timing
    if one_occasion(timing):
        return (
            "outcome and alliance on the same occasion, which first is not known (the session "
            "before predicts, innovations of a session correlate)"
        )
    words = f"outcome {place[timing.outcome_when]}, alliance {place[timing.alliance_when]} session"
    first, second = (
        ("outcome", "alliance") if timing.outcome_when == "pre" else ("alliance", "outcome")
    )
    return f"{words} ({first} to {second} within a session, {second} to {first} to the next)"


def term_name(names: Sequence[str], target: int, source: int) -> str:
    """``autoregression_outcome``, or ``cross_lag_alliance_outcome`` (from alliance to outcome)."""
    if target == source:
        return f"autoregression_{names[target]}"
    return f"cross_lag_{names[source]}_{names[target]}"


@dataclass(frozen=True)
class RowMaker:
    """Fills in what all rows share.

    Attributes
    ----------
    fit, series : give counts and trend. occasions : order of measurement where there is no fit.
    """

    context: VarContext
    fit: VarFit | None
    series: VarSeries | None = None
    occasions: tuple[int, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.context.labels)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out of the series."""
        series = self.series or (self.fit.series if self.fit else None)
        return series.notes if series else ()

    def pairs(self) -> Iterator[tuple[int, int]]:
        """(target, source) of all cross-lags, effects on later series first."""
        k = len(self.names)
        for target in reversed(range(k)):
            for source in range(k):
                if source != target:
                    yield target, source

    def labels(self, target: int, source: int) -> tuple[SeriesLabel, SeriesLabel]:
        return self.context.labels[self.names[target]], self.context.labels[self.names[source]]

    def shared(self) -> dict[str, object]:
        context, fit = self.context, self.fit
        shared: dict[str, object] = {
            "analysis": context.analysis,
            "estimator": context.estimator,
            "level": "within_client",
            "timing_order": context.order,
            "clock": context.clock,
            "seed": context.seed,
            "code_hash": context.code_hash,
        }
        if fit is not None:
            shared |= {"trend": trend_in_words(fit.spec), "converged": _converged(fit)}
            if fit.problems:
                shared |= {"status": "diagnostics_failed", "reason": "; ".join(fit.problems)}
        series = self.series or (fit.series if fit else None)
        return {"missing_rule": MISSING_RULE} | shared | (_counts(series) if series else {})

    def row(self, term: str, kind: str, estimand: str, units: str, **more: object) -> Estimate:
        values = self.shared() | more
        return Estimate(term=term, kind=kind, estimand=estimand, units=units, **values)

    def absent(self, term: str, kind: str, estimand: str, reason: str, **more: object) -> Estimate:
        gone = {"status": "not_estimated", "reason": reason} | more
        return self.row(term, kind, estimand, "", **gone)

    def ends(self, target: int, source: int) -> dict[str, object]:
        to, by = self.labels(target, source)
        return {
            "predictor": by.measure,
            "outcome": to.measure,
            "rater": by.rater,
            "component": by.component,
        }

    def lag(self, target: int, source: int) -> float:
        """Sessions from source to target: 0 where the source is measured earlier in the session."""
        order = self.fit.spec.occasions if self.fit else self.occasions
        if order is None:
            return np.nan
        return 0.0 if order[source] < order[target] else 1.0


def _counts(series: VarSeries) -> dict[str, object]:
    groups = series.cluster
    return {
        "missing_rule": "; ".join((MISSING_RULE, *series.notes)),
        "n_obs": float(series.seen.sum()),
        "n_clients": float(series.n_clients),
        "n_therapists": np.nan if groups is None else float(np.unique(groups).size),
        "median_sessions": float(np.median(series.seen.any(axis=2).sum(axis=1))),
    }


def trend_in_words(spec: VarSpec) -> str:
    """How the course over sessions is taken out."""
    words = TRENDS[spec.trend]
    return f"{words}; clients' own lines" if spec.random_trend else words


def _converged(fit: VarFit) -> str:
    if not fit.converged:
        return "no"
    return f"yes, on the boundary: {', '.join(fit.boundary)}" if fit.boundary else "yes"


def numbers(effects: Effects, index: tuple[int, ...]) -> dict[str, object]:
    """The columns of one entry of an effect."""
    se = float(effects.se[index])
    return {
        "estimate": float(effects.estimate[index]),
        "se": se,
        "ci_low": float(effects.low[index]),
        "ci_high": float(effects.high[index]),
        "interval": effects.interval,
    }


def coefficient_estimand(maker: RowMaker, target: int, source: int) -> str:
    """A coefficient in words."""
    to, by = maker.labels(target, source)
    if target == source:
        return f"Within clients: carry-over of {to.label} from one session to the next"
    when = "later in the same session" if maker.lag(target, source) == 0 else "at the next session"
    return (
        f"Within clients: change in {to.label} {when} when {by.label} is one point above what is "
        f"usual for the client, given the previous {to.label}"
    )


def first_response(maker: RowMaker, target: int, source: int) -> int:
    """Sessions until a source can show in a target: 0 where it is measured earlier in a session."""
    return 0 if maker.lag(target, source) == 0 else 1


def response_estimand(maker: RowMaker, target: int, source: int, sessions: int | None) -> str:
    """An impulse response in words; ``sessions`` is None for any number of them."""
    to, by = maker.labels(target, source)
    after = {None: "1 and more sessions", 1: "1 session"}.get(sessions, f"{sessions} sessions")
    return f"Within clients: {to.label} {after} after {by.label} was one point higher"


def long_run_estimand(maker: RowMaker, target: int, source: int, kind: str) -> str:
    """A long-run effect in words; ``kind`` is ``held`` or ``equilibrium``."""
    to, by = maker.labels(target, source)
    when = {
        "held": "lastingly one point higher, other ratings at the client's own course",
        "equilibrium": "one point more at every session, all that follows from it included",
    }
    return f"Within clients: long-run difference in {to.label} with {by.label} {when[kind]}"


def absent_cross_lags(maker: RowMaker, reason: str, suffix: str = "") -> Iterator[Estimate]:
    """A row with the reason for each cross-lag."""
    for target, source in maker.pairs():
        term = term_name(maker.names, target, source) + suffix
        words = coefficient_estimand(maker, target, source)
        yield maker.absent(term, "fixed", words, reason, **maker.ends(target, source))
