"""The model with random dynamics as rows of the estimates table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from alliance.estimates import Estimate
from alliance.estimation.dynamics import MIN_CLIENTS
from alliance.estimation.dynamics_maker import (
    RowMaker,
    VarContext,
    absent_cross_lags,
    coefficient_estimand,
    term_name,
)
from alliance.estimation.random_dynamics import RandomDynamicsFit, expected_sign
from alliance.estimation.refusal import Refusal

ESTIMATOR = "Random-intercept VAR(1) with random dynamics, NUTS"


def random_dynamics_rows(
    fitted: RandomDynamicsFit | Refusal, context: VarContext
) -> list[Estimate]:
    """Means, SDs between clients, shares with the expected sign, and how cross-lags go together.

    Terms of the means are those of the other models; the estimator tells them apart.
    """
    named = replace(context, estimator=ESTIMATOR)
    if isinstance(fitted, Refusal):
        maker = RowMaker(named, None)
        return list(absent_cross_lags(maker, f"{fitted.reason}. {fitted.advice}"))
    named = replace(named, seed=float(fitted.seed))
    maker = RowMaker(named, fitted.base, fitted.base.series)
    k = len(maker.names)
    rows: list[Estimate] = []
    for target, source in [*maker.pairs(), *((j, j) for j in range(k))]:
        rows += _rows_of_cell(fitted, maker, target, source)
    for target, source in maker.pairs():
        if source < target:
            rows.append(_correlation_row(fitted, maker, target, source))
    return [*rows, *_variance_rows(fitted, maker)]


def _rows_of_cell(
    fitted: RandomDynamicsFit, maker: RowMaker, target: int, source: int
) -> Iterator[Estimate]:
    to, by = maker.labels(target, source)
    term = term_name(maker.names, target, source)
    words = coefficient_estimand(maker, target, source)
    units = f"{to.units} per {by.unit}"
    more = maker.ends(target, source) | {"lag": maker.lag(target, source)}
    spread, share = fitted.draws(f"sd_{term}"), fitted.draws(f"share_{term}")
    same = expected_sign(maker.names, target, source) * np.sign(fitted.draws(term).mean()) > 0
    columns: dict[str, object] = {
        "sd_random_slope": float(spread.mean()),
        "pct_clients_same_sign": float(share.mean() if same else 100.0 - share.mean()),
    }
    if target != source:
        columns |= _standard(fitted.draws(f"{term}_standardised"))
    mean = f"{words}, mean over clients"
    yield _row(fitted, maker, term, "fixed", mean, units, more | columns)
    between = more | {"level": "between_client"}
    sd_words = f"SD between clients: {words}"
    yield _row(fitted, maker, f"sd_{term}", "standard_deviation", sd_words, units, between)
    sign = "negative" if expected_sign(maker.names, target, source) < 0 else "positive"
    share_words = f"Share of clients in whom this is {sign}: {words}"
    yield _row(fitted, maker, f"share_{term}", "proportion", share_words, "per cent", between)
    if target != source:
        yield _person_row(fitted, maker, term, words, more)


def _standard(draws: np.ndarray) -> dict[str, object]:
    low, high = np.percentile(draws, [2.5, 97.5])
    return {
        "std_within": float(draws.mean()),
        "std_within_low": float(low),
        "std_within_high": float(high),
    }


def _person_row(
    fitted: RandomDynamicsFit, maker: RowMaker, term: str, words: str, more: dict[str, object]
) -> Estimate:
    """Each client's own coefficient in the client's own SDs, averaged over clients."""
    name = f"{term}_person_standardised"
    n = fitted.n_ratio[term]
    estimand = f"{words}; in the client's own SDs, mean over clients"
    if n < MIN_CLIENTS:
        reason = (
            f"fewer than {MIN_CLIENTS} clients have five scores of both series that vary enough"
        )
        return maker.absent(name, "contrast", estimand, reason, **more)
    note = (
        "95% equal-tailed posterior, SDs of clients taken as known (five scores of both, own SD at "
        "least a fifth of the median client's)"
    )
    extra = more | {"interval": note, "n_clients": float(n)}
    return _row(fitted, maker, name, "contrast", estimand, "SDs per SD", extra)


def _correlation_row(
    fitted: RandomDynamicsFit, maker: RowMaker, target: int, source: int
) -> Estimate:
    to, by = maker.labels(target, source)
    words = (
        f"Correlation between clients of the effect of {by.label} on {to.label} with the effect of "
        f"{to.label} on {by.label}"
    )
    term = f"cor_cross_lags_{maker.names[source]}_{maker.names[target]}"
    more = maker.ends(target, source) | {"level": "between_client"}
    return _row(fitted, maker, term, "correlation", words, "correlation", more)


def _variance_rows(fitted: RandomDynamicsFit, maker: RowMaker) -> Iterator[Estimate]:
    for name in maker.names:
        label = maker.context.labels[name]
        words = f"SD between clients of the log SD of what is new in {label.label} at a session"
        more: dict[str, object] = {"level": "between_client", "outcome": label.measure}
        term = f"sd_log_innovation_{name}"
        yield _row(fitted, maker, term, "standard_deviation", words, "log SD", more)


def _row(
    fitted: RandomDynamicsFit,
    maker: RowMaker,
    term: str,
    kind: str,
    words: str,
    units: str,
    more: dict[str, object],
) -> Estimate:
    draws, gate = fitted.draws(term), fitted.diagnostics
    low, high = np.percentile(draws, [2.5, 97.5])
    found: dict[str, object] = {
        "estimate": float(draws.mean()),
        "se": float(draws.std(ddof=1)),
        "ci_low": float(low),
        "ci_high": float(high),
        "interval": "95% equal-tailed posterior",
        "rhat_max": gate.rhat_max,
        "ess_min": gate.ess_min,
        "divergences": float(gate.divergences),
        "converged": "yes" if gate.passed else "no",
        "status": "ok" if gate.passed else "diagnostics_failed",
        "reason": "; ".join(gate.failures),
    }
    if kind in ("fixed", "contrast", "correlation"):
        found["pd"] = float(max((draws > 0).mean(), (draws < 0).mean()))
    return maker.row(term, kind, words, units, **(found | more))
