"""Data sets without ruptures, as like the study as its own dynamic model can make them.

The random-intercept (and, where it fits better, random-trend) VAR(1) of alliance and outcome is
fitted to the study. Each data set draws new clients from it, whose SDs of innovations differ as
much as those of the real clients, keeps every client's observed sessions and gaps, and gives the
drawn values the study's own scores in order of rank, so that ceiling, rounding and skew stay
(methods specification, 2.3). In such data no session is a rupture: low ratings are only the low end
of what varies from session to session.

Whether the ratings carry an error of measurement as large as their reliability says (Rcn) is
decided by the fit, as are trends of the clients' own. It is not taken for granted, because Rcn
counts lasting differences between items as error too, so that it can ask for more error than the
session-to-session dependence of the scores leaves room for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from alliance.estimation.dynamics import VarFit, fit_var
from alliance.estimation.dynamics_layout import VarSpec
from alliance.estimation.dynamics_series import VarSeries
from alliance.estimation.refusal import Refusal

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
SPREAD_SESSIONS = 4  # ratings from which a client's SD tells something
SPREAD_FLOOR = 0.1  # pooled SDs added before the logarithm: some clients never vary
SPREAD_ROUNDS = 4
SPREAD_SETS = 40
_BEFORE_THE_FIRST = 2**20  # numbers of data sets that only serve to match the spread


@dataclass(frozen=True)
class Candidate:
    """One model that was tried.

    Attributes
    ----------
    reliability : (k,) assumed within clients; 1: no error of measurement.
    aic : NaN where the model could not be fitted. problem : why it must not be used, else empty.
    """

    reliability: tuple[float, ...]
    random_trend: bool
    aic: float
    problem: str = ""


@dataclass(frozen=True)
class NullModel:
    """A random-intercept VAR(1) to draw from, raw units; k series, T sessions, n clients.

    Attributes
    ----------
    mean : (T, k). lead_in : (k, k), inverse of ``I - A0``, where A0 are effects within a session.
    lagged : (k, k), effects of the session before (structural). innovation, first : (k, k) factors
        of the structural innovations and of the first deviation. client : (q k, q k) factor of the
        client effects. loadings : (T, q). error_sd : (k,).
    spread : (k, k) covariance of the logarithms of the clients' SDs of innovations.
    seen : (n, T, k). marginal : (k) sorted observed scores of each series.
    random_trend : whether clients have trends of their own. reliability : (k,) assumed within
        clients; 1: no error of measurement. tried : the models it was chosen from.
    """

    mean: FloatArray
    lead_in: FloatArray
    lagged: FloatArray
    innovation: FloatArray
    first: FloatArray
    client: FloatArray
    loadings: FloatArray
    error_sd: FloatArray
    spread: FloatArray
    seen: NDArray[np.bool_]
    marginal: tuple[FloatArray, ...]
    random_trend: bool = False
    reliability: tuple[float, ...] = ()
    tried: tuple[Candidate, ...] = ()

    @cached_property
    def cells(self) -> tuple[tuple[IntArray, IntArray], ...]:
        """(k) positions, clients by sessions, of the cells that were observed and of all others."""
        seen = self.seen.reshape(-1, self.seen.shape[2]).T
        return tuple((np.flatnonzero(own), np.flatnonzero(~own)) for own in seen)

    @property
    def words(self) -> str:
        """Which of the models it is."""
        return model_words(self.reliability, self.random_trend)

    @property
    def reduced(self) -> FloatArray:
        """(k, k) autoregression of the reduced form."""
        return self.lead_in @ self.lagged


def fit_null_model(
    series: VarSeries,
    occasions: tuple[int, ...],
    seed: int,
    reliability: tuple[float, ...] | None = None,
) -> NullModel | Refusal:
    """The null model of a study: of all that are tried the one with the smallest AIC.

    Tried are models with and without trends of the clients' own, each without error of
    measurement, with that of the alliance, and with that of every series whose reliability is
    known. Error variances are fixed, so that they cost no parameter.

    Parameters
    ----------
    series : one series (alliance) or two (alliance, outcome). occasions : rank of each within a
        session. seed : of the data sets to which the spread of the clients' SDs is matched.
    reliability : (k,) within-client reliabilities of the study (Rcn); NaN where not known. None:
        of no series.
    """
    fits = [
        (given, trend, fit)
        for trend in (False, True)
        for given, fit in _with_errors(series, VarSpec(occasions, random_trend=trend), reliability)
    ]
    best = _best(fit for *_, fit in fits)
    if isinstance(best, Refusal):
        return best
    tried = tuple(_candidate(*one) for one in fits)
    model = replace(_from_fit(best, series), tried=tried)
    return replace(model, spread=_matched_spread(model, series, seed))


def _assumed(reliability: tuple[float, ...] | None, n_series: int) -> tuple[tuple[float, ...], ...]:
    """Sets of reliabilities to try, the one without error first; each once."""
    none = (1.0,) * n_series
    known = none if reliability is None else tuple(r if 0.0 < r < 1.0 else 1.0 for r in reliability)
    of_alliance = (known[0], *none[1:])
    return tuple(dict.fromkeys((none, of_alliance, known)))


def _with_errors(
    series: VarSeries, spec: VarSpec, reliability: tuple[float, ...] | None
) -> Iterator[tuple[tuple[float, ...], VarFit | Refusal]]:
    """Reliabilities to try and the fit of a model with each, the one without error first.

    The other descents begin where that one ended; should one end too early, it only loses.
    """
    start = None
    for given in _assumed(reliability, series.n_series):
        error = given if min(given) < 1.0 else None
        fit = fit_var(
            series, replace(spec, reliability=error), start=start, more_starts=start is None
        )
        yield given, fit
        if start is None and isinstance(fit, VarFit):
            start = fit.x


def _best(fits: Iterable[VarFit | Refusal]) -> VarFit | Refusal:
    """The smallest AIC of the fits without problem; else why the first cannot be used."""
    every = list(fits)
    usable = [f for f in every if isinstance(f, VarFit) and not f.problems]
    if usable:
        return min(usable, key=lambda f: f.aic)
    plain = every[0]
    if isinstance(plain, Refusal):
        return plain
    return Refusal(
        f"the model without ruptures could not be fitted: {'; '.join(plain.problems)}",
        "Null data sets need the dynamic model; look at its diagnostics first.",
    )


def model_words(reliability: tuple[float, ...], random_trend: bool) -> str:
    """Error of measurement and trends of a model, for tables."""
    names = ("alliance", "outcome")[: len(reliability)]
    given = [
        f"{name} (reliability {value:.2f})"
        for name, value in zip(names, reliability, strict=True)
        if value < 1.0
    ]
    error = f"error of measurement of {' and '.join(given)}" if given else "no error of measurement"
    return f"{error}, {'trends' if random_trend else 'no trends'} of the clients' own"


def _candidate(reliability: tuple[float, ...], trend: bool, fit: VarFit | Refusal) -> Candidate:
    if isinstance(fit, Refusal):
        return Candidate(reliability, trend, np.nan, fit.reason)
    return Candidate(reliability, trend, fit.aic, "; ".join(fit.problems))


def _from_fit(fit: VarFit, series: VarSeries) -> NullModel:
    k = series.n_series
    coefficients = fit.coefficients[-1]
    same = coefficients * fit.layout.structure.same_session
    scale, parts = fit.scale, fit.parts
    loadings = fit.layout.structure.loadings
    return NullModel(
        mean=fit.mean,
        lead_in=np.linalg.inv(np.eye(k) - same),
        lagged=coefficients - same,
        innovation=scale[:, None] * parts[2],
        first=scale[:, None] * parts[3],
        client=np.tile(scale, loadings.shape[1])[:, None] * _with_positive_diagonal(parts[4]),
        loadings=loadings,
        error_sd=np.sqrt(fit.error),
        spread=np.zeros((k, k)),
        seen=series.seen,
        marginal=tuple(np.sort(series.scores[:, :, j][series.seen[:, :, j]]) for j in range(k)),
        random_trend=fit.spec.random_trend,
        reliability=fit.spec.reliability or (1.0,) * k,
    )


def _with_positive_diagonal(factor: FloatArray) -> FloatArray:
    """The same covariance by the one triangular factor that does not depend on where a descent
    began, so that neither do the data that are drawn."""
    return factor * np.where(np.diag(factor) < 0, -1.0, 1.0)


def draw_latent(model: NullModel, rng: np.random.Generator) -> FloatArray:
    """(n, T, k) values of every client at every session, before they are given scores."""
    n, n_sessions, k = model.seen.shape
    effects = rng.standard_normal((n, len(model.client))) @ model.client.T
    effects = effects.reshape(n, -1, k)
    log_sd = rng.standard_normal((n, k)) @ _root(model.spread).T - np.diag(model.spread)
    sd = np.exp(log_sd)  # mean square 1: the fitted innovations are those of the average client
    fresh = rng.standard_normal((n_sessions, n, k))
    values = np.empty((n_sessions, n, k))
    values[0] = sd * (fresh[0] @ model.first.T)
    step, new = model.reduced.T, sd * (fresh[1:] @ model.innovation.T) @ model.lead_in.T
    for t in range(1, n_sessions):
        values[t] = values[t - 1] @ step + new[t - 1]
    error = model.error_sd * rng.standard_normal(values.shape) if model.error_sd.any() else 0.0
    by_effect = effects.transpose(1, 0, 2).reshape(effects.shape[1], -1)
    steady = (model.loadings @ by_effect).reshape(values.shape) + model.mean[:, None, :]
    return np.ascontiguousarray((values + error + steady).transpose(1, 0, 2))


def as_scores(model: NullModel, latent: FloatArray) -> FloatArray:
    """The study's own scores in the order of the drawn values, (n, T, k).

    The drawn values of the cells that were observed get the observed scores, the lowest the lowest;
    any other cell gets the score that its value would have had.
    """
    scores = np.empty(latent.shape)
    flat = scores.reshape(-1, latent.shape[2])
    values = latent.reshape(flat.shape).T.copy()
    for j, (marginal, (seen, other)) in enumerate(zip(model.marginal, model.cells, strict=True)):
        drawn = values[j, seen]
        order = np.argsort(drawn)
        flat[seen[order], j] = marginal
        rank = np.searchsorted(drawn[order], values[j, other])
        flat[other, j] = marginal[np.minimum(rank, marginal.size - 1)]
    return scores


def null_scores(model: NullModel, seed: int, number: int) -> FloatArray:
    """Null data set ``number`` of a study, (n, T, k), with scores also where none were observed."""
    return as_scores(model, draw_latent(model, np.random.default_rng([seed, number])))


def _root(covariance: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))


# How much clients differ in their SDs


def _matched_spread(model: NullModel, series: VarSeries, seed: int) -> FloatArray:
    """Covariance of the log SDs at which simulated clients differ as much as the observed ones."""
    k = series.n_series
    observed = _spread_of_sds(series.scores, model.seen)
    spread = np.zeros((k, k))
    for _ in range(SPREAD_ROUNDS):
        trial = replace(model, spread=spread)
        sets = [null_scores(trial, seed, _BEFORE_THE_FIRST + b) for b in range(SPREAD_SETS)]
        found = np.mean([_spread_of_sds(s, model.seen) for s in sets], axis=0)
        root = _root(spread + observed - found)
        spread = root @ root.T
    return spread


def _spread_of_sds(scores: FloatArray, seen: NDArray[np.bool_]) -> FloatArray:
    """(k, k) covariance over clients of the logarithms of their own SDs."""
    count = seen.sum(axis=1)
    present = np.where(seen, scores, 0.0)
    mean = present.sum(axis=1) / np.maximum(count, 1)
    squares = (np.where(seen, scores - mean[:, None, :], 0.0) ** 2).sum(axis=1)
    enough = (count >= SPREAD_SESSIONS).all(axis=1)
    pooled = np.sqrt(squares.sum(axis=0) / np.maximum(count - 1, 0).sum(axis=0))
    own = np.sqrt(squares[enough] / (count[enough] - 1))
    if enough.sum() < 2:
        return np.zeros((scores.shape[2], scores.shape[2]))
    return np.atleast_2d(np.cov(np.log(own + SPREAD_FLOOR * pooled), rowvar=False))
