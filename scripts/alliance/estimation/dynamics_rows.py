"""The dynamic models as rows of the estimates table, both directions side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from alliance.estimates import Estimate
from alliance.estimation.continuous_time_rows import continuous_time_rows
from alliance.estimation.dynamics import MIN_CLIENTS, VarFit, fit_var
from alliance.estimation.dynamics_comparators import ESTIMATORS, KNOWN_BIAS, Comparator, compare
from alliance.estimation.dynamics_effects import (
    HORIZON,
    Effects,
    coefficients,
    delta,
    equilibrium_effects,
    first_session_test,
    held_effects,
    impulse_responses,
    is_cross_lag,
    long_run,
    person_ratio,
    standardised,
    within_sd,
)
from alliance.estimation.dynamics_layout import VarSpec
from alliance.estimation.dynamics_maker import (
    TRENDS,
    RowMaker,
    VarContext,
    absent_cross_lags,
    coefficient_estimand,
    first_response,
    long_run_estimand,
    numbers,
    response_estimand,
    term_name,
)
from alliance.estimation.dynamics_power import power_rows
from alliance.estimation.dynamics_series import VarSeries
from alliance.estimation.dynamics_tests import VarBootstrap, bootstrap, likelihood_ratio, without
from alliance.estimation.ml_sem_rows import ml_sem_rows
from alliance.estimation.refusal import Refusal

FloatArray = NDArray[np.float64]

REJECT_BELOW = 0.01


def dynamics_rows(
    series: VarSeries | Refusal,
    spec: VarSpec,
    context: VarContext,
    *,
    reliabilities: Iterable[tuple[float, ...]] = (),
    own_reliabilities: Mapping[str, tuple[float, ...]] | None = None,
    phase_from: int | None = None,
    comparators: bool = True,
    continuous: bool = False,
    n_bootstrap: int = 0,
    seed: int = 0,
) -> list[Estimate]:
    """All rows of one dynamic analysis: model, tests, comparators and sensitivity.

    Parameters
    ----------
    reliabilities : sets of assumed within-client reliabilities, one number per series.
    own_reliabilities : the study's own estimates of them, tried too; key: how the terms end.
    phase_from : first session of the later phase of the test of equal coefficients.
    comparators : whether to add the second estimator and what usual shortcuts give.
    continuous : whether to add continuous time, with sessions and with weeks as the clock.
    n_bootstrap : replications of the case bootstrap, by therapist where twenty or more are known
        and by client otherwise; 0 for none.
    seed : of the draws behind intervals and of the bootstrap.
    """
    fit = series if isinstance(series, Refusal) else fit_var(series, spec)
    rows = var_rows(fit, context, seed=seed)
    if isinstance(series, Refusal) or isinstance(fit, Refusal):
        return rows
    if not fit.problems:
        rows += [*test_rows(fit, context), *random_trend_rows(fit, context)]
        rows += power_rows(fit, context)
    if phase_from is not None:
        rows += phase_rows(series, spec, context, phase_from)
    for reliability in reliabilities:
        rows += reliability_rows(fit, context, reliability)
    for suffix, reliability in (own_reliabilities or {}).items():
        rows += reliability_rows(fit, context, reliability, suffix)
    if comparators:
        rows += comparator_rows(series, spec, context)
    if continuous:
        rows += continuous_time_rows(series, spec, context, seed)
    if n_bootstrap and not fit.problems:
        rows += bootstrap_rows(fit, context, n_bootstrap, seed)
    return rows


# Rows of one fit


def var_rows(
    fit: VarFit | Refusal, context: VarContext, horizon: int = HORIZON, seed: int = 0
) -> list[Estimate]:
    """Coefficients, standardised effects, long-run effects, impulse responses, variances, fit.

    ``seed`` is that of the draws behind the intervals of long-run effects and responses.
    """
    maker = RowMaker(context, fit if isinstance(fit, VarFit) else None)
    if isinstance(fit, Refusal):
        return list(absent_cross_lags(maker, f"{fit.reason}. {fit.advice}"))
    if fit.layout.structure.n_phases > 1:
        raise ValueError("a model with phases has rows of its own: phase_rows")
    return [
        *_coefficient_rows(fit, maker),
        *_lasting_rows(fit, maker, seed),
        *_response_rows(fit, maker, horizon, seed),
        *_variance_rows(fit, maker),
        *_fit_rows(fit, maker),
    ]


def _coefficient_rows(fit: VarFit, maker: RowMaker) -> Iterator[Estimate]:
    raw, scaled = coefficients(fit), standardised(fit)
    k = len(maker.names)
    order = [*maker.pairs(), *((j, j) for j in range(k))]
    for target, source in order:
        index = (0, target, source)
        if not fit.layout.free[target, source]:
            continue
        to, by = maker.labels(target, source)
        term = term_name(maker.names, target, source)
        words = coefficient_estimand(maker, target, source)
        more = numbers(raw, index) | maker.ends(target, source)
        more |= {
            "p": float(raw.p[index]),
            "lag": maker.lag(target, source),
            "std_within": float(scaled.estimate[index]),
            "std_within_low": float(scaled.low[index]),
            "std_within_high": float(scaled.high[index]),
        }
        yield maker.row(term, "fixed", words, f"{to.units} per {by.unit}", **more)
        if target != source:
            yield _person_row(fit, maker, raw, target, source)


def _person_row(fit: VarFit, maker: RowMaker, raw: Effects, target: int, source: int) -> Estimate:
    """The mean of the coefficient in each client's own within-client SDs."""
    term = f"{term_name(maker.names, target, source)}_person_standardised"
    ratio, n = person_ratio(fit, target, source)
    words = (
        f"{coefficient_estimand(maker, target, source)}; in the client's own SDs, mean over clients"
    )
    if n < MIN_CLIENTS:
        reason = (
            f"fewer than {MIN_CLIENTS} clients have five scores of both series that vary enough"
        )
        return maker.absent(term, "contrast", words, reason, **maker.ends(target, source))
    index = (0, target, source)
    values = {
        "estimate": ratio * float(raw.estimate[index]),
        "se": ratio * float(raw.se[index]),
        "ci_low": ratio * float(raw.low[index]),
        "ci_high": ratio * float(raw.high[index]),
        "interval": (
            "95% Wald, SDs of clients taken as known (five scores of both, own SD at least a fifth "
            "of the median client's)"
        ),
        "lag": maker.lag(target, source),
    }
    return maker.row(term, "contrast", words, "SDs per SD", **values, **maker.ends(target, source))


def _lasting_rows(fit: VarFit, maker: RowMaker, seed: int) -> Iterator[Estimate]:
    """Long-run effects: the source lastingly higher; one unit more of it at every session."""
    kinds = (("held", held_effects), ("equilibrium", equilibrium_effects))
    for name, function in kinds:
        effects = None if fit.problems else long_run(fit, function, seed)
        for target, source in maker.pairs():
            to, by = maker.labels(target, source)
            term = f"long_run_{name}_{maker.names[source]}_{maker.names[target]}"
            words = long_run_estimand(maker, target, source, name)
            if effects is None:
                reason = "there is no long run: " + "; ".join(fit.problems)
                yield maker.absent(term, "contrast", words, reason, **maker.ends(target, source))
                continue
            more = numbers(effects, (0, target, source)) | maker.ends(target, source)
            units = f"{to.units} per {by.unit}"
            yield maker.row(term, "contrast", words, units, seed=float(seed), **more)


def _response_rows(fit: VarFit, maker: RowMaker, horizon: int, seed: int) -> Iterator[Estimate]:
    """Impulse responses; one reason row per direction where the process explodes.

    They start within the session where the source is measured earlier in it than the target. A
    response that is the cross-lag itself has the interval of the cross-lag: normal draws of it
    would say the same, but for their noise.
    """
    effects = None if fit.problems else impulse_responses(fit, horizon, seed)
    direct = coefficients(fit)
    for target, source in maker.pairs():
        to, by = maker.labels(target, source)
        stem = f"response_{maker.names[source]}_{maker.names[target]}"
        if effects is None:
            reason = "; ".join(fit.problems)
            estimand = response_estimand(maker, target, source, None)
            yield maker.absent(stem, "contrast", estimand, reason, **maker.ends(target, source))
            continue
        cell = (0, target, source)
        first = first_response(maker, target, source)
        for h in range(first, horizon + 1):
            same = h == first and is_cross_lag(fit, target, source, first)
            more = numbers(direct, cell) if same else numbers(effects, (h, *cell))
            more |= maker.ends(target, source)
            more |= {} if same else {"seed": float(seed)}
            yield maker.row(
                f"{stem}_{h}",
                "contrast",
                response_estimand(maker, target, source, h),
                f"{to.units} per {by.unit}",
                lag=float(h),
                **more,
            )


def _variance_rows(fit: VarFit, maker: RowMaker) -> Iterator[Estimate]:
    sds = delta(fit, lambda x: within_sd(fit, x))
    labels = [maker.context.labels[name] for name in maker.names]
    for j, (name, label) in enumerate(zip(maker.names, labels, strict=True)):
        words = f"Model-implied within-client SD of {label.label}"
        more = numbers(sds, (j,)) | {"outcome": label.measure}
        yield maker.row(f"sd_within_{name}", "standard_deviation", words, label.units, **more)
    k = len(labels)
    groups = [("level", "level", 0), ("trend", "slope per session", k)]
    for stem, what, start in groups[: fit.client_cov.shape[0] // k]:
        yield from _between_rows(fit, maker, stem, what, start)
    innovation = fit.innovation_cov
    for j, (name, label) in enumerate(zip(maker.names, labels, strict=True)):
        words = f"SD of what is new in {label.label} at a session"
        value = float(np.sqrt(innovation[j, j]))
        yield maker.row(
            f"sd_innovation_{name}",
            "standard_deviation",
            words,
            label.units,
            estimate=value,
            outcome=label.measure,
        )


def _between_rows(
    fit: VarFit, maker: RowMaker, stem: str, what: str, start: int
) -> Iterator[Estimate]:
    """SDs of clients' levels (or trends) and their correlations."""
    k = len(maker.names)
    plural = what.replace("level", "levels").replace("slope", "slopes")
    block = fit.client_cov[start : start + k, start : start + k]
    sd = np.sqrt(np.maximum(np.diag(block), 0.0))
    for j, name in enumerate(maker.names):
        label = maker.context.labels[name]
        words = f"SD between clients of the {what} of {label.label}"
        yield maker.row(
            f"sd_{stem}_{name}",
            "standard_deviation",
            words,
            label.units,
            estimate=float(sd[j]),
            level="between_client",
            outcome=label.measure,
        )
    for target, source in ((t, s) for t, s in maker.pairs() if s < t):
        to, by = maker.labels(target, source)
        term = f"cor_{stem}_{maker.names[source]}_{maker.names[target]}"
        words = f"Correlation between clients of the {plural} of {by.label} and {to.label}"
        size = float(sd[target] * sd[source])
        if size <= 1e-8 * float(fit.scale[target] * fit.scale[source]):
            reason = "an SD between clients is estimated as zero"
            yield maker.absent(term, "correlation", words, reason, level="between_client")
            continue
        value = float(np.clip(block[target, source] / size, -1.0, 1.0))
        yield maker.row(
            term,
            "correlation",
            words,
            "correlation",
            estimate=value,
            level="between_client",
            **maker.ends(target, source),
        )


def _fit_rows(fit: VarFit, maker: RowMaker) -> Iterator[Estimate]:
    total = {"level": "total"}
    yield maker.row(
        "log_likelihood", "fit", "Log-likelihood", "", estimate=fit.log_likelihood, **total
    )
    yield maker.row("aic", "fit", "Akaike's information criterion", "", estimate=fit.aic, **total)
    yield maker.row(
        "spectral_radius",
        "fit",
        "Largest eigenvalue of the process; below 1 it is stationary",
        "",
        estimate=fit.spectral_radius,
    )


# Tests


def test_rows(fit: VarFit, context: VarContext) -> Iterator[Estimate]:
    """Likelihood-ratio tests of each cross-lag, and of a settled first session."""
    maker = RowMaker(context, fit)
    for target, source in maker.pairs():
        if not fit.layout.free[target, source]:
            continue
        name = term_name(maker.names, target, source)
        to, by = maker.labels(target, source)
        words = f"Likelihood-ratio test of no path from {by.label} to {to.label}"
        smaller = without(fit, [(target, source)])
        if isinstance(smaller, Refusal) or not smaller.converged:
            reason = "the model without the effect did not converge"
            yield maker.absent(f"lr_{name}", "fit", words, reason, **maker.ends(target, source))
            continue
        test = likelihood_ratio(fit, smaller)
        more = maker.ends(target, source)
        more |= {"estimate": test.chi2, "df": float(test.df), "p": test.p}
        yield maker.row(f"lr_{name}", "fit", words, "chi-squared", **more)
    start = first_session_test(fit)
    words = "Wald test that the first session has the variances the process settles to"
    more = {"estimate": start.chi2, "df": float(start.df), "p": start.p}
    yield maker.row("first_session_settled", "fit", words, "chi-squared", **more)


def random_trend_rows(fit: VarFit, context: VarContext) -> Iterator[Estimate]:
    """Test of clients' own trends: the other of the two models is fitted beside this one."""
    other = fit_var(fit.series, replace(fit.spec, random_trend=not fit.spec.random_trend))
    maker = RowMaker(context, fit)
    words = "Likelihood-ratio test of clients' own linear trends"
    if isinstance(other, Refusal):
        reason = f"{other.reason}. {other.advice}"
        yield maker.absent("lr_random_trend", "fit", words, reason)
        return
    if not other.converged:
        yield maker.absent("lr_random_trend", "fit", words, "; ".join(other.problems))
        return
    larger, smaller = (fit, other) if fit.spec.random_trend else (other, fit)
    test = likelihood_ratio(larger, smaller)
    more = {"estimate": test.chi2, "df": float(test.df), "p": test.p}
    note = "p conservative: variances are tested at their boundary"
    yield maker.row("lr_random_trend", "fit", words, "chi-squared", interval=note, **more)


def phase_rows(
    series: VarSeries, spec: VarSpec, context: VarContext, phase_from: int
) -> list[Estimate]:
    """Coefficients before and from a session on, their differences, and a test of equality."""
    single = fit_var(series, spec)
    both = fit_var(series, replace(spec, phase_from=phase_from))
    maker = RowMaker(context, both if isinstance(both, VarFit) else None, series)
    reason = _phase_refusal(series, both, phase_from)
    if reason or isinstance(both, Refusal):
        return list(absent_cross_lags(maker, reason, "_phase_2"))
    sessions = {1: f"sessions before {phase_from}", 2: f"sessions from {phase_from} on"}
    raw = coefficients(both)
    rows = []
    for target, source in maker.pairs():
        to, by = maker.labels(target, source)
        name = term_name(maker.names, target, source)
        words = coefficient_estimand(maker, target, source)
        more = maker.ends(target, source) | {"lag": maker.lag(target, source)}
        units = f"{to.units} per {by.unit}"
        for number, when in sessions.items():
            index = (number - 1, target, source)
            values = numbers(raw, index) | more | {"p": float(raw.p[index])}
            rows.append(
                maker.row(f"{name}_phase_{number}", "fixed", f"{words} ({when})", units, **values)
            )
        rows.append(
            _phase_difference(both, maker, (target, source), f"{words} (later minus earlier)")
        )
    return [*rows, _phase_test(maker, both, single, phase_from)]


def _phase_test(
    maker: RowMaker, both: VarFit, single: VarFit | Refusal, phase_from: int
) -> Estimate:
    words = f"Likelihood-ratio test of equal coefficients before and from session {phase_from}"
    if isinstance(single, Refusal) or not single.converged:
        return maker.absent("lr_phases", "fit", words, "the model without phases did not converge")
    test = likelihood_ratio(both, single)
    more = {"estimate": test.chi2, "df": float(test.df), "p": test.p}
    return maker.row("lr_phases", "fit", words, "chi-squared", **more)


def _phase_refusal(series: VarSeries, both: VarFit | Refusal, phase_from: int) -> str:
    if isinstance(both, Refusal):
        return f"{both.reason}. {both.advice}"
    later = series.numbers >= phase_from
    for name, part in (("earlier", ~later), ("later", later)):
        enough = int((series.seen[:, part].all(axis=2).sum(axis=1) >= 2).sum())
        if enough < MIN_CLIENTS:
            return f"fewer than {MIN_CLIENTS} clients have two or more sessions in the {name} phase"
    return ""


def _phase_difference(fit: VarFit, maker: RowMaker, cell: tuple[int, int], words: str) -> Estimate:
    effects = delta(fit, lambda x: np.diff(fit.raw_coefficients(x), axis=0)[0])
    to, by = maker.labels(*cell)
    more = numbers(effects, cell) | {"p": float(effects.p[cell])} | maker.ends(*cell)
    term = f"{term_name(maker.names, *cell)}_phase_difference"
    return maker.row(term, "contrast", words, f"{to.units} per {by.unit}", **more)


# Sensitivity, comparators, bootstrap


def reliability_rows(
    fit: VarFit,
    context: VarContext,
    reliability: tuple[float, ...],
    suffix: str = "reliability",
) -> list[Estimate]:
    """Cross-lags when the scores have the given within-client reliabilities.

    Parameters
    ----------
    fit : the fit without measurement error. Where it is better by more than chance, the data
        contradict the assumption, and the rows say so.
    suffix : how the terms of the rows end.
    """
    spec = replace(fit.spec, reliability=reliability)
    assumed = fit_var(fit.series, spec, start=fit.x)
    if isinstance(assumed, Refusal):
        maker = RowMaker(context, None, fit.series)
        return list(absent_cross_lags(maker, f"{assumed.reason}. {assumed.advice}", f"_{suffix}"))
    contradiction = _contradiction(fit, assumed)
    assumed = replace(assumed, problems=(*assumed.problems, *contradiction))
    maker = RowMaker(context, assumed)
    given = ", ".join(
        f"{label.label} {r:.3g}"
        for label, r in zip(context.labels.values(), reliability, strict=True)
    )
    raw = coefficients(assumed)
    rows = []
    for target, source in maker.pairs():
        to, by = maker.labels(target, source)
        index = (0, target, source)
        words = f"{coefficient_estimand(maker, target, source)}; reliabilities taken as {given}"
        more = numbers(raw, index) | maker.ends(target, source)
        more |= {"p": float(raw.p[index]), "reliability_assumed": reliability[source]}
        term = f"{term_name(maker.names, target, source)}_{suffix}"
        units = f"{to.units} per {by.unit}"
        rows.append(maker.row(term, "fixed", words, units, lag=maker.lag(target, source), **more))
    return rows


def _contradiction(fit: VarFit, assumed: VarFit) -> tuple[str, ...]:
    """A likelihood-ratio bound: free error variances would fit at least as well as none."""
    chi2 = 2.0 * (fit.log_likelihood - assumed.log_likelihood)
    if chi2 <= stats.chi2.isf(REJECT_BELOW, fit.series.n_series):
        return ()
    return (
        f"the data contradict so much measurement error (chi-squared at least {chi2:.1f}, df "
        f"{fit.series.n_series}). Assume a higher reliability",
    )


def comparator_rows(series: VarSeries, spec: VarSpec, context: VarContext) -> list[Estimate]:
    """The second estimator, then the usual shortcuts, each labelled with its known bias."""
    rows = ml_sem_rows(series, spec, context)
    for method, bias in KNOWN_BIAS.items():
        named = replace(context, estimator=ESTIMATORS[method])
        maker = RowMaker(named, None, series, spec.occasions)
        course = "each client's own line" if method == "person_detrended" else TRENDS[spec.trend]
        shared = {"known_bias": bias, "trend": course}
        for target, own in _own_first(len(maker.names)):
            found = compare(series, spec, target, method)
            for source in own:
                rows.append(_comparator_row(maker, found, target, source, shared))
    return rows


def _own_first(k: int) -> Iterator[tuple[int, list[int]]]:
    for target in reversed(range(k)):
        yield target, [*(s for s in range(k) if s != target), target]


def _comparator_row(
    maker: RowMaker,
    found: Comparator | Refusal,
    target: int,
    source: int,
    shared: Mapping[str, object],
) -> Estimate:
    term = term_name(maker.names, target, source)
    words = coefficient_estimand(maker, target, source)
    more = dict(shared) | maker.ends(target, source) | {"lag": maker.lag(target, source)}
    if isinstance(found, Refusal):
        return maker.absent(term, "fixed", words, f"{found.reason}. {found.advice}", **more)
    to, by = maker.labels(target, source)
    estimate, half = found.coefficients[source], found.half_width[source]
    more |= {
        "estimate": float(estimate),
        "se": float(found.se[source]),
        "ci_low": float(estimate - half),
        "ci_high": float(estimate + half),
        "df": found.df,
        "p": float(found.p[source]),
        "interval": "95% t, cluster-robust by client",
        "n_obs": float(found.n_obs),
        "n_clients": float(found.n_clients),
        "missing_rule": "; ".join(("transitions with all scores present", *maker.notes)),
    }
    return maker.row(term, "fixed", words, f"{to.units} per {by.unit}", **more)


def bootstrap_rows(
    fit: VarFit, context: VarContext, n_replications: int, seed: int, min_clusters: int = 20
) -> list[Estimate]:
    """Percentile intervals of all coefficients from resampled therapists or clients."""
    groups = fit.series.cluster
    by_cluster = groups is not None and np.unique(groups).size >= min_clusters
    found = bootstrap(fit, n_replications, seed, by_cluster=by_cluster)
    what = "therapists" if by_cluster else "clients"
    maker = RowMaker(replace(context, seed=float(seed)), fit)
    cells = [*maker.pairs(), *((j, j) for j in range(len(maker.names)))]
    return [
        _bootstrap_row(fit, maker, found, cell, what) for cell in cells if fit.layout.free[cell]
    ]


def _bootstrap_row(
    fit: VarFit, maker: RowMaker, found: VarBootstrap, cell: tuple[int, int], what: str
) -> Estimate:
    term = f"{term_name(maker.names, *cell)}_bootstrap"
    words = f"{coefficient_estimand(maker, *cell)} (bootstrap of {what})"
    n = len(found.coefficients)
    if n < 2 or found.n_failed > 0.1 * (n + found.n_failed):
        reason = f"{found.n_failed} of {n + found.n_failed} replications could not be fitted"
        return maker.absent(term, "fixed", words, reason, **maker.ends(*cell))
    to, by = maker.labels(*cell)
    draws = found.coefficients[:, 0, cell[0], cell[1]]
    low, high = np.percentile(draws, [2.5, 97.5])
    more = {
        "estimate": float(fit.coefficients[0, cell[0], cell[1]]),
        "se": float(draws.std(ddof=1)),
        "ci_low": float(low),
        "ci_high": float(high),
        "interval": f"95% percentile, bootstrap of {what}, {n} replications",
    }
    units = f"{to.units} per {by.unit}"
    return maker.row(term, "fixed", words, units, lag=maker.lag(*cell), **more, **maker.ends(*cell))
