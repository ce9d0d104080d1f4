"""Reliability of item scores within clients, between clients and in total.

Alpha and omega come from the pooled within-client covariance of the items, the latent
between-client covariance ``(S_between - S_within) / c`` and the plain covariance of all forms
(methods specification, section 4; Geldhof, Preacher & Zyphur, 2014). Rcn and RkRn come from the
variance components of ``answer = client + session(client) + error`` (Cranford et al., 2006;
Shrout & Lane, 2012; the nested model of ``psych::mlr``).

Everything is a function of sums by client, so the bootstrap over clients needs no second look at
the answers. Complete forms only; forms with a missing answer are left out and the counts say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from alliance.instruments import Instrument
from alliance.scoring import item_columns, reversed_items, scales_of
from alliance.study import Measure, Study

Array = NDArray[np.float64]

COLUMNS = (
    "measure", "scale", "rater", "level", "coefficient", "estimate", "ci_low", "ci_high",
    "n_clients", "n_sessions", "status", "reason",
)  # fmt: skip
LEVELS = ("within_client", "between_client", "total")
COEFFICIENTS = (
    *((level, coefficient) for level in LEVELS for coefficient in ("alpha", "omega")),
    ("within_client", "Rcn"),
    ("within_client", "Rcn_detrended"),
    ("between_client", "RkRn"),
)
MIN_CLIENTS = 10
EXPLORATORY_BELOW = 0.60
# Smallest share of unique variance of an item, as in factanal and psych::fa.
SMALLEST_UNIQUENESS = 0.005
# Largest slope of the discrepancy (in correlations) at which the one-factor model has converged.
SMALLEST_SLOPE = 1e-4
# Share of bootstrap samples that must give a coefficient before an interval is told.
MIN_BOOTSTRAP_SHARE = 0.90


@dataclass(frozen=True)
class ClientSums:
    """What reliability needs to know of each client: sums over his or her complete forms.

    Attributes
    ----------
    n : (G,) forms. means : (G, p) item means, as deviations from ``centre``.
    within : (G, p, p) sums of squares and products around the client's own means.
    centre : (p,) grand means of the items.
    detrended_ss, detrended_df : (G,) residual sum of squares of the form means around the client's
        own straight line over sessions, and its degrees of freedom.
    """

    n: Array
    means: Array
    within: Array
    centre: Array
    detrended_ss: Array
    detrended_df: Array

    @property
    def n_items(self) -> int:
        """Number of items p."""
        return self.means.shape[1]


def client_sums(answers: Array, client: NDArray, session: Array) -> ClientSums:
    """Sums by client of complete, reversed answers.

    Parameters
    ----------
    answers : (n, p) without missing values. client : (n,) labels. session : (n,) numbers.
    """
    codes, _ = pd.factorize(client, sort=True)
    order = np.argsort(codes, kind="stable")
    codes, answers, session = codes[order], answers[order], session[order].astype(float)
    starts = np.flatnonzero(np.r_[True, np.diff(codes) > 0])
    n = np.diff(np.r_[starts, len(codes)]).astype(float)
    centre = answers.mean(axis=0)
    answers = answers - centre
    means = np.add.reduceat(answers, starts) / n[:, None]
    deviations = answers - means[codes]
    within = np.stack(
        [np.add.reduceat(deviations * deviations[:, [j]], starts) for j in range(len(centre))],
        axis=1,
    )
    score = deviations.mean(axis=1)
    time = session - (np.add.reduceat(session, starts) / n)[codes]
    detrended_ss, detrended_df = _around_own_lines(score, time, starts, n)
    return ClientSums(n, means, within, centre, detrended_ss, detrended_df)


def _around_own_lines(score: Array, time: Array, starts: NDArray, n: Array) -> tuple[Array, Array]:
    """Residual sums of squares by client; both inputs are centred within clients."""
    s_tt = np.add.reduceat(time * time, starts)
    s_ty = np.add.reduceat(time * score, starts)
    s_yy = np.add.reduceat(score * score, starts)
    usable = (n >= 3) & (s_tt > 0)
    explained = np.divide(s_ty**2, s_tt, out=np.zeros_like(s_tt), where=usable)
    return np.where(usable, s_yy - explained, 0.0), np.where(usable, n - 2, 0.0)


def covariances(sums: ClientSums, weights: Array | None = None) -> dict[str, Array]:
    """Item covariances at the three levels, for the sample and for weighted samples of clients.

    Parameters
    ----------
    weights : (B, G) how often each client counts; left out: everyone once (B = 1).

    Returns
    -------
    dict
        ``within_client`` ``S_pw``; ``between_client`` ``(S_b - S_pw) / c`` with
        ``c = (N - sum T_i^2 / N) / (G - 1)``; ``total``: each (B, p, p).
    """
    weights = np.ones((1, len(sums.n))) if weights is None else weights
    p = sums.n_items
    n_clients, n = weights.sum(axis=1), weights @ sums.n
    within_ss = (weights @ sums.within.reshape(len(sums.n), -1)).reshape(-1, p, p)
    products = sums.n[:, None, None] * sums.means[:, :, None] * sums.means[:, None, :]
    mean = (weights @ (sums.n[:, None] * sums.means)) / n[:, None]
    between_ss = (weights @ products.reshape(len(sums.n), -1)).reshape(-1, p, p)
    between_ss = between_ss - n[:, None, None] * mean[:, :, None] * mean[:, None, :]
    size = (n - (weights @ sums.n**2) / n) / (n_clients - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        within = within_ss / (n - n_clients)[:, None, None]
        plain = between_ss / (n_clients - 1)[:, None, None]
        latent = (plain - within) / size[:, None, None]
    total = (within_ss + between_ss) / (n - 1)[:, None, None]
    return {"within_client": within, "between_client": latent, "total": total}


def alpha(covariance: Array) -> Array:
    """Coefficient alpha of (..., p, p) covariances: ``p/(p-1) (1 - trace/sum)``.

    NaN where the variance of the sum is not positive.
    """
    p = covariance.shape[-1]
    whole = covariance.sum(axis=(-2, -1))
    trace = np.trace(covariance, axis1=-2, axis2=-1)
    share = np.divide(trace, whole, out=np.full_like(whole, np.nan), where=whole > 0)
    return p / (p - 1) * (1 - share)


@dataclass(frozen=True)
class OneFactor:
    """Maximum likelihood solution of one factor.

    Attributes
    ----------
    loadings, uniquenesses : (p,) in the units of the covariance. heywood : a uniqueness is at its
        lower bound. converged : the discrepancy is flat there (up to bounds).
    """

    loadings: Array
    uniquenesses: Array
    heywood: bool
    converged: bool

    @property
    def omega(self) -> float:
        """``(sum of loadings)^2 / ((sum of loadings)^2 + sum of uniquenesses)``."""
        return float(_omega(self.loadings, self.uniquenesses))


def fit_one_factor(covariance: Array) -> OneFactor:
    """Maximum likelihood one-factor model of a (p, p) covariance with positive variances, p >= 3.

    Works on the correlations, as the model does not depend on the scale; uniquenesses are bounded
    below at 0.005 of the item's variance.
    """
    sd = np.sqrt(np.diag(covariance))
    r = covariance / np.outer(sd, sd)
    p = len(sd)
    _, vectors = np.linalg.eigh(r)
    start = np.r_[0.7 * vectors[:, -1] * np.sign(vectors[:, -1].sum() or 1) * np.sqrt(p),
                  np.full(p, 0.5)]  # fmt: skip
    start[:p] = np.clip(start[:p], -0.95, 0.95)
    bounds = [(None, None)] * p + [(SMALLEST_UNIQUENESS, 10.0)] * p
    result = scipy.optimize.minimize(
        _discrepancy, start, args=(r,), jac=True, method="L-BFGS-B", bounds=bounds,
        options={"ftol": 1e-14, "gtol": 1e-8, "maxiter": 2000},
    )  # fmt: skip
    loadings, uniquenesses = result.x[:p], result.x[p:]
    at_bound = uniquenesses <= SMALLEST_UNIQUENESS * 1.001
    slope = np.r_[result.jac[:p], np.where(at_bound, np.minimum(result.jac[p:], 0), result.jac[p:])]
    # The optimiser's own flag also reports a line search stopped by rounding at the optimum.
    converged = bool(np.abs(slope).max() < SMALLEST_SLOPE)
    return OneFactor(loadings * sd, uniquenesses * sd**2, bool(at_bound.any()), converged)


def _discrepancy(parameters: Array, r: Array) -> tuple[float, Array]:
    """``log|Sigma| + trace(R Sigma^-1)`` and its gradient; Sigma = loading loading' + diag."""
    p = len(r)
    loading, unique = parameters[:p], parameters[p:]
    scaled = loading / unique
    m = 1 + loading @ scaled
    inverse = np.diag(1 / unique) - np.outer(scaled, scaled) / m
    product = inverse @ r
    value = np.log(unique).sum() + np.log(m) + np.trace(product)
    slope = inverse - product @ inverse
    return float(value), np.r_[2 * slope @ loading, np.diag(slope)]


def omega_many(covariance: Array, start: OneFactor, max_iterations: int = 400) -> Array:
    """Omega of many (B, p, p) covariances by EM from a common start, all at once.

    For bootstrap samples. Rubin & Thayer's (1982) EM for one factor; uniquenesses bounded as in
    :func:`fit_one_factor`. NaN where an item has no variance or EM has not come to rest.
    """
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    usable = (variance > 0).all(axis=1) & np.isfinite(covariance).all(axis=(1, 2))
    result = np.full(len(covariance), np.nan)
    s, variance = covariance[usable], variance[usable]
    loading = np.broadcast_to(start.loadings, variance.shape).copy()
    unique = np.maximum(
        np.broadcast_to(start.uniquenesses, variance.shape), SMALLEST_UNIQUENESS * variance
    )
    now = _omega(loading, unique)
    step = np.full(len(s), np.inf)
    for _ in range(max_iterations):
        scaled = loading / unique
        beta = scaled / (1 + (loading * scaled).sum(axis=1, keepdims=True))
        s_beta = np.einsum("bij,bj->bi", s, beta)
        factor = 1 - (beta * loading).sum(axis=1) + (beta * s_beta).sum(axis=1)
        loading = s_beta / np.maximum(factor, 1e-8)[:, None]
        unique = np.maximum(variance - loading * s_beta, SMALLEST_UNIQUENESS * variance)
        before, now = now, _omega(loading, unique)
        step = np.abs(now - before)
        if step.max(initial=0.0) < 1e-7:
            break
    # Steps of EM shrink slowly: 1e-5 here is far below what an interval of two decimals shows.
    result[usable] = np.where(step < 1e-5, now, np.nan)
    return result


def _omega(loadings: Array, uniquenesses: Array) -> Array:
    common = loadings.sum(axis=-1) ** 2
    return common / (common + uniquenesses.sum(axis=-1))


def one_way_reml(
    n: Array, means: Array, within_ss: Array, weights: Array | None = None
) -> tuple[Array, Array]:
    """REML variance components of ``score = group + error`` from sums by group, unbalanced too.

    Parameters
    ----------
    n, means, within_ss : (G,) observations, mean, and sum of squares around it, by group.
    weights : (B, G) how often each group counts; left out: once (B = 1).

    Returns
    -------
    (between, within)
        (B,) variances. The restricted likelihood is profiled over the ratio of the two, found by
        golden section on its logarithm; a ratio of zero is allowed. NaN without repeated measures.
    """
    weights = np.ones((1, len(n))) if weights is None else weights
    sizes, group = np.unique(n, return_inverse=True)
    by_size = np.zeros((len(n), len(sizes)))
    by_size[np.arange(len(n)), group] = 1.0
    centred = means - np.average(means, weights=n)
    # The likelihood needs only count, sum and sum of squares of the means of equally large groups.
    moments = [weights @ (by_size * v[:, None]) for v in (np.ones(len(n)), centred, centred**2)]
    rest, total_n = weights @ within_ss, weights @ n
    deviance = _OneWay(sizes, moments, rest, total_n)
    low, high = np.full(len(weights), -16.0), np.full(len(weights), 10.0)
    golden = (np.sqrt(5) - 1) / 2
    for _ in range(70):
        a, b = high - golden * (high - low), low + golden * (high - low)
        left = deviance(np.exp(a))[0] < deviance(np.exp(b))[0]
        low, high = np.where(left, low, a), np.where(left, b, high)
    ratio = np.exp((low + high) / 2)
    ratio = np.where(deviance(np.zeros_like(ratio))[0] <= deviance(ratio)[0], 0.0, ratio)
    _, within = deviance(ratio)
    enough = (total_n > weights.sum(axis=1)) & (rest > 0) & (weights.sum(axis=1) > 1)
    within = np.where(enough, within, np.nan)
    return ratio * within, within


@dataclass(frozen=True)
class _OneWay:
    """-2 restricted log-likelihood (without constant) and the error variance, given the ratio."""

    sizes: Array
    moments: list[Array]
    within_ss: Array
    total_n: Array

    def __call__(self, ratio: Array) -> tuple[Array, Array]:
        count, first, second = self.moments
        variance = 1 / self.sizes + ratio[:, None]
        information = (count / variance).sum(axis=1)
        mean = (first / variance).sum(axis=1) / information
        spread = second - 2 * mean[:, None] * first + mean[:, None] ** 2 * count
        squares = self.within_ss + (spread / variance).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            error = squares / (self.total_n - 1)
            value = (
                (self.total_n - 1) * np.log(error)
                + (count * np.log1p(ratio[:, None] * self.sizes)).sum(axis=1)
                + np.log(information)
            )
        return value, error


@dataclass(frozen=True)
class Components:
    """Variance components of ``answer = client + session(client) + error``; each (B,).

    ``form`` is the within-client variance of form means, ``session + error / p``, before the
    session component is kept from becoming negative; ``form_detrended`` is the same around each
    client's own straight line.
    """

    client: Array
    session: Array
    error: Array
    form: Array
    form_detrended: Array
    sessions_per_client: Array


def components(sums: ClientSums, weights: Array | None = None) -> Components:
    """REML components on item-long data, by an exact short cut for complete forms.

    With every form complete the restricted likelihood falls into two parts: the variance of
    answers around their form's mean, and a one-way model of the form means. The session component
    is their difference. Equal to REML on item-long data unless that difference is negative; then
    it is zero here and there, and the client component may differ slightly.

    As in ``psych::mlr``, lasting differences between items, also those of a single client, count
    as error, so Rcn is lower than omega where items differ.
    """
    weights = np.ones((1, len(sums.n))) if weights is None else weights
    p = sums.n_items
    means = sums.means + sums.centre
    client_mean = means.mean(axis=1)
    form_ss = sums.within.sum(axis=(1, 2)) / p**2
    answers_ss = np.trace(sums.within, axis1=1, axis2=2) + sums.n * (means**2).sum(axis=1)
    error_ss = answers_ss - p * (form_ss + sums.n * client_mean**2)
    error = (weights @ error_ss) / ((weights @ sums.n) * (p - 1))
    client, form = one_way_reml(sums.n, client_mean, form_ss, weights)
    df = weights @ sums.detrended_df
    detrended = np.divide(
        weights @ sums.detrended_ss, df, out=np.full_like(df, np.nan), where=df > 0
    )
    k = weights.sum(axis=1) / (weights @ (1 / sums.n))
    return Components(client, np.maximum(form - error / p, 0.0), error, form, detrended, k)


def generalizability(
    sums: ClientSums, weights: Array | None = None
) -> dict[tuple[str, str], Array]:
    """Rcn, Rcn without each client's linear trend, and RkRn; each (B,).

    With components c (client), s (session), e (error): ``Rcn = s / (s + e/p)``, the reliability of
    change within clients; ``RkRn = c / (c + s/k + e/(kp))``, the reliability of a client's mean
    over k sessions, k the harmonic mean.
    """
    part = components(sums, weights)
    p, k = sums.n_items, part.sessions_per_client
    noise = part.error / p
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            ("within_client", "Rcn"): part.session / (part.session + noise),
            ("within_client", "Rcn_detrended"): np.maximum(1 - noise / part.form_detrended, 0.0),
            ("between_client", "RkRn"): part.client / (part.client + (part.session + noise) / k),
        }


def reliability_table(
    sessions: pd.DataFrame,
    study: Study,
    instruments: Mapping[str, Instrument],
    n_bootstrap: int = 400,
    seed: int | None = None,
) -> pd.DataFrame:
    """Reliability of every scale of every measure at every level.

    Parameters
    ----------
    sessions : clean or scored sessions with item columns, ``client`` and ``session``.
    n_bootstrap : samples of clients for the intervals; 0: no intervals. seed : the study's if None.

    Returns
    -------
    DataFrame
        ``COLUMNS``: per scale nine rows (``COEFFICIENTS``). 95% bootstrap intervals. ``status``
        is ``ok``, ``diagnostics_failed`` (Heywood case, session variance of zero: the number is
        given, with the reason) or ``not_estimated``. Subscales that must not be scored are absent.
    """
    rows: list[dict[str, object]] = []
    for position, (name, measure) in enumerate(study.measures.items()):
        rng = np.random.default_rng([study.seed if seed is None else seed, position])
        if measure.items is None:
            results = _refuse_all("scored elsewhere, without items")
            rows += _rows(name, "total", measure, results, (0, 0))
            continue
        instrument = instruments[str(measure.instrument)]
        forms = complete_forms(sessions, name, measure, instrument)
        counts = (int(forms["client"].nunique()), len(forms))
        weights = _resampled_clients(counts[0], n_bootstrap, rng)
        for scale in scales_of(name, study, instruments):
            if scale == "total" and instrument.total_rule == "none":
                continue
            sums = _scale_sums(forms, instrument.items_of(scale))
            rows += _rows(name, scale, measure, scale_reliability(sums, weights), counts)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def complete_forms(
    sessions: pd.DataFrame, name: str, measure: Measure, instrument: Instrument
) -> pd.DataFrame:
    """``client``, ``session`` and the reversed answers (columns 1..p) of forms without gaps."""
    keyed = reversed_items(sessions[item_columns(name, instrument)], instrument, measure)
    keyed.columns = instrument.items_of("total")
    forms = pd.concat([sessions[["client", "session"]], keyed], axis=1)
    return forms.dropna(ignore_index=True)


def _scale_sums(forms: pd.DataFrame, items: list[int]) -> ClientSums | None:
    if forms.empty:
        return None
    return client_sums(
        forms[items].to_numpy(float), forms["client"].to_numpy(), forms["session"].to_numpy(float)
    )


def _resampled_clients(n_clients: int, n_bootstrap: int, rng: np.random.Generator) -> Array:
    if n_clients == 0:
        return np.empty((n_bootstrap, 0))
    chances = np.full(n_clients, 1 / n_clients)
    return rng.multinomial(n_clients, chances, size=n_bootstrap).astype(float)


@dataclass(frozen=True)
class Coefficient:
    """One coefficient with its interval, or the reason why there is none."""

    estimate: float = np.nan
    ci_low: float = np.nan
    ci_high: float = np.nan
    status: str = "ok"
    reason: str = ""


def scale_reliability(
    sums: ClientSums | None, weights: Array
) -> dict[tuple[str, str], Coefficient]:
    """All coefficients of one scale, by (level, coefficient).

    Parameters
    ----------
    sums : of the scale's items; None where no form is complete.
    weights : (B, G) bootstrap weights of the clients; B = 0 gives no intervals.
    """
    refusal = _why_not(sums)
    if sums is None or refusal:
        return _refuse_all(refusal)
    at_levels, resampled = covariances(sums), covariances(sums, weights)
    results: dict[tuple[str, str], Coefficient] = {}
    for level in LEVELS:
        one, many = at_levels[level][0], resampled[level]
        results[level, "alpha"] = _alpha_row(one, many, len(sums.n))
        results[level, "omega"] = _omega_row(one, many, len(sums.n))
    single, repeated = generalizability(sums), generalizability(sums, weights)
    for key, value in single.items():
        results[key] = _component_row(key[1], float(value[0]), repeated[key], len(sums.n))
    return results


def _why_not(sums: ClientSums | None) -> str:
    if sums is None:
        return "no complete form"
    if sums.n_items < 2:
        return "a single item has no internal consistency"
    repeated = int((sums.n >= 2).sum())
    if repeated < MIN_CLIENTS:
        return f"{repeated} clients with two complete forms; {MIN_CLIENTS} are needed"
    return ""


def _refuse_all(reason: str) -> dict[tuple[str, str], Coefficient]:
    return {key: Coefficient(status="not_estimated", reason=reason) for key in COEFFICIENTS}


def _alpha_row(one: Array, many: Array, n_clients: int) -> Coefficient:
    estimate = float(alpha(one))
    if not np.isfinite(estimate):
        reason = "the variance of the sum is not positive at this level"
        return Coefficient(status="not_estimated", reason=reason)
    return _with_interval(estimate, alpha(many), n_clients)


def _omega_row(one: Array, many: Array, n_clients: int) -> Coefficient:
    if len(one) < 3:
        return Coefficient(status="not_estimated", reason="one factor needs three items")
    flat = int((np.diag(one) <= 0).sum())
    if flat:
        reason = f"no positive variance of {flat} of {len(one)} items at this level"
        return Coefficient(status="not_estimated", reason=reason)
    fit = fit_one_factor(one)
    if not fit.converged:
        return Coefficient(status="not_estimated", reason="the one-factor model did not converge")
    row = _with_interval(fit.omega, omega_many(many, fit), n_clients)
    if fit.heywood:
        reason = "Heywood case: an item without unique variance at this level"
        return Coefficient(row.estimate, row.ci_low, row.ci_high, "diagnostics_failed", reason)
    return row


def _component_row(coefficient: str, estimate: float, many: Array, n_clients: int) -> Coefficient:
    if not np.isfinite(estimate):
        reason = (
            "no client with three forms"
            if coefficient == "Rcn_detrended"
            else "no variance within clients"
        )
        return Coefficient(status="not_estimated", reason=reason)
    row = _with_interval(estimate, many, n_clients)
    if estimate == 0:
        reason = "a variance component was estimated as zero"
        return Coefficient(row.estimate, row.ci_low, row.ci_high, "diagnostics_failed", reason)
    return row


def _with_interval(estimate: float, many: Array, n_clients: int) -> Coefficient:
    """t interval with the bootstrap's standard error, on the scale of log(1 - coefficient).

    Feldt (1965) and Hakstian & Whalen (1976) work on such a scale; the factor G / (G - 1) undoes
    that resampled clients vary less than clients. ``benchmarks/reliability`` holds its coverage
    against that of percentiles, which are used where coefficients of one or more occur.
    """
    good = many[np.isfinite(many)]
    if len(many) == 0:
        return Coefficient(estimate)
    if len(good) < MIN_BOOTSTRAP_SHARE * len(many):
        reason = f"no interval: {len(good)} of {len(many)} bootstrap samples gave a number"
        return Coefficient(estimate, reason=reason)
    if estimate >= 1 or good.max() >= 1 or n_clients < 2:
        low, high = np.quantile(good, [0.025, 0.975])
        return Coefficient(estimate, float(low), float(high))
    se = np.log1p(-good).std(ddof=1) * np.sqrt(n_clients / (n_clients - 1))
    half = float(scipy.stats.t.ppf(0.975, n_clients - 1) * se)
    middle = float(np.log1p(-estimate))
    low, high = -np.expm1(middle + half), -np.expm1(middle - half)
    # A coefficient that cannot be negative has no negative end either.
    return Coefficient(estimate, float(max(low, 0.0) if good.min() >= 0 else low), float(high))


def _rows(
    name: str,
    scale: str,
    measure: Measure,
    results: Mapping[tuple[str, str], Coefficient],
    counts: tuple[int, int],
) -> Iterable[dict[str, object]]:
    for level, coefficient in COEFFICIENTS:
        r = results[level, coefficient]
        yield {
            "measure": name, "scale": scale, "rater": measure.rater, "level": level,
            "coefficient": coefficient, "estimate": r.estimate, "ci_low": r.ci_low,
            "ci_high": r.ci_high, "n_clients": counts[0], "n_sessions": counts[1],
            "status": r.status, "reason": r.reason,
        }  # fmt: skip


def coefficient_of(
    table: pd.DataFrame, measure: str, level: str, coefficient: str, scale: str = "total"
) -> float:
    """One estimate of a reliability table; NaN where there is none."""
    found = table[
        (table["measure"] == measure)
        & (table["scale"] == scale)
        & (table["level"] == level)
        & (table["coefficient"] == coefficient)
    ]
    return float(found["estimate"].iloc[0]) if len(found) else float("nan")


def is_exploratory(table: pd.DataFrame, measure: str, scale: str = "total") -> bool:
    """Whether within-client analyses of a scale must be labelled exploratory.

    True where within-client omega (Rcn where there is none) is below .60; False where neither is
    known, e.g. for scores made elsewhere.
    """
    within = coefficient_of(table, measure, "within_client", "omega", scale)
    if np.isnan(within):
        within = coefficient_of(table, measure, "within_client", "Rcn", scale)
    return bool(within < EXPLORATORY_BELOW)
