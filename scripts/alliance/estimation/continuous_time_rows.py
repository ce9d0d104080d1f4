"""Continuous time as rows: drift, effects over one to eight units, and which clock fits better."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from alliance.estimates import Estimate
from alliance.estimation.continuous_time import Clock, TimedFit, fit_timed
from alliance.estimation.dynamics_effects import Effects
from alliance.estimation.dynamics_layout import VarSpec
from alliance.estimation.dynamics_maker import TRENDS, RowMaker, VarContext, numbers, term_name
from alliance.estimation.dynamics_series import VarSeries
from alliance.estimation.refusal import Refusal

ESTIMATOR = "Continuous-time random-intercept VAR, ML"
CLOCKS: dict[Clock, str] = {"session": "attended session", "week": "week"}
INTERVALS = np.arange(1.0, 9.0)
KNOWN_BIAS = (
    "both series are placed at the session itself: what one does to the other within a session is "
    "not seen as an effect"
)
TREND_BIAS = "trends of clients' own are left in"


def continuous_time_rows(
    series: VarSeries, spec: VarSpec, context: VarContext, seed: int = 0
) -> list[Estimate]:
    """Both clocks on the same ratings, and their comparison; reasons where days are not known.

    ``seed`` is that of the draws behind the intervals of effects over time.
    """
    weeks = fit_timed(series, spec, "week")
    dated = not isinstance(weeks, Refusal)
    sessions = fit_timed(series, spec, "session", dated_only=dated)
    rows = [
        *_clock_rows(sessions, "session", series, spec, context, seed),
        *_clock_rows(weeks, "week", series, spec, context, seed),
    ]
    return [*rows, _comparison(sessions, weeks, series, spec, context)]


def _maker(series: VarSeries, spec: VarSpec, context: VarContext, clock: str) -> RowMaker:
    # one occasion: effects reach from one observation to the next, whatever the order
    together = (0,) * series.n_series
    named = replace(context, estimator=f"{ESTIMATOR}, clock: {clock}", clock=clock)
    return RowMaker(named, None, series, together)


def _clock_rows(
    fit: TimedFit | Refusal,
    clock: Clock,
    series: VarSeries,
    spec: VarSpec,
    context: VarContext,
    seed: int,
) -> Iterator[Estimate]:
    used = series if isinstance(fit, Refusal) else fit.series
    maker = _maker(used, spec, context, CLOCKS[clock])
    bias = known_bias(spec)
    k = len(maker.names)
    cells = [*maker.pairs(), *((j, j) for j in range(k))]
    curve = None if isinstance(fit, Refusal) else fit.discrete_effects(INTERVALS, seed)
    for target, source in cells:
        shared = maker.ends(target, source) | {"known_bias": bias, "trend": TRENDS[spec.trend]}
        words = _rate_in_words(maker, target, source, clock)
        term = _rate_name(maker, target, source)
        if isinstance(fit, Refusal):
            yield maker.absent(term, "fixed", words, f"{fit.reason}. {fit.advice}", **shared)
            continue
        shared |= _verdict(fit)
        to, by = maker.labels(target, source)
        rate = f"{to.units} per {by.unit} and {clock}"
        found = fit.effects(lambda drift: drift)
        values = numbers(found, (target, source)) | {"p": float(found.p[target, source])}
        yield maker.row(term, "fixed", words, rate, **values, **shared)
        assert curve is not None
        more = shared | {"seed": float(seed)}
        yield from _curve_rows(curve, maker, clock, (target, source), more)
    if not isinstance(fit, Refusal):
        more = {"estimate": fit.aic, "level": "total"} | _verdict(fit)
        words = f"Akaike's information criterion with the {clock} as the clock"
        yield maker.row(f"aic_{clock}", "fit", words, "", **more)


def known_bias(spec: VarSpec) -> str:
    """What continuous time leaves out of this model; empty where nothing."""
    parts = [KNOWN_BIAS] if len(set(spec.occasions)) > 1 else []
    return "; ".join([*parts, *([TREND_BIAS] if spec.random_trend else [])])


def _rate_name(maker: RowMaker, target: int, source: int) -> str:
    name = term_name(maker.names, target, source)
    return f"drift_{name}"


def _rate_in_words(maker: RowMaker, target: int, source: int, clock: Clock) -> str:
    to, by = maker.labels(target, source)
    if target == source:
        return f"Within clients: rate per {clock} at which a deviation of {to.label} fades"
    return (
        f"Within clients: rate of change in {to.label} per {clock} while {by.label} is one point "
        "above what is usual for the client"
    )


def _curve_rows(
    curve: Effects, maker: RowMaker, clock: Clock, cell: tuple[int, int], shared: dict[str, object]
) -> Iterator[Estimate]:
    """What the drift comes to after 1 to 8 units of the clock."""
    to, by = maker.labels(*cell)
    for place, interval in enumerate(INTERVALS):
        unit = clock if interval == 1 else f"{clock}s"
        words = (
            f"Within clients: change in {to.label} {interval:g} {unit} after {by.label} was one "
            "point above what is usual for the client"
        )
        if cell[0] == cell[1]:
            left = f"what is left of a deviation of {to.label}"
            words = f"Within clients: {left} after {interval:g} {unit}"
        term = f"after_{interval:g}_{clock}_{term_name(maker.names, *cell)}"
        units = f"{to.units} per {by.unit}"
        values = numbers(curve, (place, *cell))
        yield maker.row(term, "contrast", words, units, lag=float(interval), **values, **shared)


def _verdict(fit: TimedFit) -> dict[str, object]:
    if fit.problems:
        return {
            "converged": "yes" if fit.converged else "no",
            "status": "diagnostics_failed",
            "reason": "; ".join(fit.problems),
        }
    return {"converged": "yes"}


def _comparison(
    sessions: TimedFit | Refusal,
    weeks: TimedFit | Refusal,
    series: VarSeries,
    spec: VarSpec,
    context: VarContext,
) -> Estimate:
    """AIC by weeks minus AIC by sessions, on the same ratings."""
    maker = _maker(series, spec, context, "week against attended session")
    words = (
        "AIC with the week as the clock minus AIC with the session as the clock, on the same "
        "ratings; below zero the week fits better"
    )
    term = "aic_week_minus_session"
    for fit in (sessions, weeks):
        if isinstance(fit, Refusal):
            return maker.absent(term, "fit", words, f"{fit.reason}. {fit.advice}", level="total")
        if not fit.converged:
            return maker.absent(term, "fit", words, "; ".join(fit.problems), level="total")
    assert isinstance(weeks, TimedFit)
    assert isinstance(sessions, TimedFit)
    maker = replace(maker, series=weeks.series)
    value = weeks.aic - sessions.aic
    length = f"{weeks.median_interval:.2g}"
    note = f"median interval {length} {'week' if length == '1' else 'weeks'}"
    return maker.row(term, "fit", words, "", estimate=value, level="total", interval=note)
