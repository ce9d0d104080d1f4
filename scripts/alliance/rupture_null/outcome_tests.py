"""Tests of ruptures against outcome and drop-out, on arrays: the same code for the study and for
each null data set (methods specification, 2.4).

Every test returns terms with an estimate and its standard error; a term that cannot be estimated
has NaN and, for the study itself, a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np
from numpy.typing import NDArray

from alliance.rupture_null.courses import UNKNOWN_THERAPIST, Courses
from alliance.rupture_null.regression import (
    Regression,
    hazard_regression,
    hazard_scores,
    least_squares,
    within_least_squares,
)
from alliance.rupture_null.scanning import (
    LABEL_INDETERMINATE,
    LABEL_REPAIRED,
    LABEL_UNREPAIRED,
    NO_VARIANCE,
    NONE,
    NOT_EVALUABLE,
    Scan,
)
from alliance.ruptures import kernel
from alliance.ruptures.outcome_tests import CONTRASTS, FEWEST_CLUSTERS, GROUP_WORDS, SMALLEST_GROUP

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
LANDMARKS: tuple[int, ...] = (6, 8, 10)
MARKS: tuple[str, ...] = ("onset", "in_rupture", "repaired")
SPLINE_QUANTILES = (0.05, 0.35, 0.65, 0.95)  # knots of Harrell (2015) for a spline of four
FEWEST_EVENTS = 10
NO_HAZARD = "the hazard model did not converge"
BY_SIZE = frozenset({"drop_out"})  # tests whose statistics are compared by size, not by rank
GROUPS = {"none": NONE, "repaired": LABEL_REPAIRED, "unrepaired": LABEL_UNREPAIRED}


@dataclass(frozen=True)
class Term:
    """One estimate of one test. ``n_clients``, ``n_obs`` are of the regression: within clients
    without those who have a single row. Of a term without estimate, they are what was at hand.

    Attributes
    ----------
    cells : sizes behind the term, e.g. clients per group, by name. reason : why there is no
        estimate. by_therapist : whether the errors are cluster-robust by therapist.
    score : z of a score test, where that is the test and not estimate / se.
    """

    estimate: float = np.nan
    se: float = np.nan
    df: float = np.nan
    n_obs: int = 0
    n_clients: int = 0
    cells: tuple[tuple[str, int], ...] = ()
    reason: str = ""
    by_therapist: bool = False
    score: float | None = None

    @property
    def statistic(self) -> float:
        if self.score is not None:
            return self.score
        return self.estimate / self.se if self.se > 0 else np.nan


Terms = dict[str, Term]


# Client level: last outcome of clients by label


@dataclass(frozen=True)
class ClientNumbers:
    """Per client: first and last outcome, number of ratings, mean and slope of the alliance."""

    baseline: FloatArray
    last: FloatArray
    n_rated: FloatArray
    mean: FloatArray
    slope: FloatArray

    @cached_property
    def complete(self) -> BoolArray:
        known = np.isfinite(self.baseline) & np.isfinite(self.last)
        return known & np.isfinite(self.mean) & np.isfinite(self.slope)

    @cached_property
    def covariates(self) -> FloatArray:
        """(n, 4) baseline, log number of ratings, mean and slope; NaN where unknown."""
        number = np.log(np.maximum(self.n_rated, 1.0))
        return np.column_stack([self.baseline, number, self.mean, self.slope])


def client_numbers(courses: Courses, landmark: int | None = None) -> ClientNumbers:
    """What the client-level regression needs.

    With a landmark, baseline, number, mean and slope are of sessions up to it, and the last outcome
    is that of a later session.
    """
    seen = np.isfinite(courses.outcome)
    before = seen if landmark is None else seen & courses.until(landmark)
    after = seen if landmark is None else seen & ~courses.until(landmark)
    baseline = _edge(courses.outcome, before, last=False)
    last = _edge(courses.outcome, after, last=True)
    if landmark is None:
        last = np.where(seen.sum(axis=1) > 1, last, np.nan)
    rated = courses.rated if landmark is None else courses.rated & courses.until(landmark)
    return ClientNumbers(baseline, last, *_course(courses, rated))


def _edge(values: FloatArray, seen: BoolArray, *, last: bool) -> FloatArray:
    """The first or last of the values that are seen."""
    mask = seen[:, ::-1] if last else seen
    at = mask.argmax(axis=1)
    at = values.shape[1] - 1 - at if last else at
    return np.where(seen.any(axis=1), values[np.arange(len(values)), at], np.nan)


def _course(courses: Courses, rated: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    count = rated.sum(axis=1).astype(float)
    safe = np.where(count > 0, count, np.nan)
    x = np.where(rated, courses.session, 0.0)
    a = np.where(rated, courses.alliance, 0.0)
    mean, middle = a.sum(axis=1) / safe, x.sum(axis=1) / safe
    dx = np.where(rated, courses.session - middle[:, None], 0.0)
    squares = (dx**2).sum(axis=1)
    slope = (dx * a).sum(axis=1) / np.where(squares > 0, squares, np.nan)
    return count, mean, slope


def client_terms(
    label: NDArray[np.int8],
    numbers: ClientNumbers,
    therapist: IntArray | None,
    smallest_group: int = SMALLEST_GROUP,
) -> Terms:
    """The three contrasts of the last outcome, ``repaired_vs_none`` and so on.

    OLS on baseline, labels, logarithm of the number of ratings, mean and slope of the alliance; as
    ``ruptures.outcome_tests.client_outcome_rows``.
    """
    group = np.where(label == NO_VARIANCE, NONE, label)
    used = numbers.complete & (label != NOT_EVALUABLE)
    names = {**GROUPS, "indeterminate": LABEL_INDETERMINATE}
    counts = np.bincount(group[used], minlength=NOT_EVALUABLE + 1)
    sizes = {name: int(counts[code]) for name, code in names.items()}
    kept = [name for name in names if sizes[name] >= smallest_group]
    wanted = np.zeros(counts.size, dtype=bool)
    wanted[[names[name] for name in kept]] = True
    used &= wanted[group]
    clusters = client_clusters(therapist, used)
    fit = _contrast_fit(group, used, kept, names, numbers, clusters) if len(kept) > 1 else None
    terms = {}
    for pair in CONTRASTS:
        cells = tuple((name, sizes[name]) for name in pair)
        small = [GROUP_WORDS.get(name, name) for name in pair if name not in kept]
        why = f"fewer than {smallest_group} clients: {', '.join(small)}" if small else ""
        if not why and fit is None:
            why = "the groups cannot be told apart from the covariates (rank deficiency)"
        terms["_vs_".join(pair)] = _contrast_term(
            pair, kept, fit, cells, int(used.sum()), why, clusters is not None
        )
    return terms


def _contrast_fit(
    group: IntArray,
    used: BoolArray,
    kept: list[str],
    names: dict[str, int],
    numbers: ClientNumbers,
    clusters: IntArray | None,
) -> Regression | None:
    reference = _reference(kept)
    codes = np.array([names[n] for n in kept if n != reference])
    own, covariates = group[used], numbers.covariates[used]
    covariates = covariates[:, (covariates != covariates[0]).any(axis=0)]
    covariates = covariates - covariates.mean(axis=0)  # far from the intercept's direction
    dummies = (own[:, None] == codes).astype(float)
    design = np.concatenate([dummies, np.ones((own.size, 1)), covariates], axis=1)
    return least_squares(design, numbers.last[used], clusters)


def _reference(kept: list[str]) -> str:
    return "none" if "none" in kept else sorted(kept)[0]


def client_clusters(therapist: IntArray | None, used: BoolArray) -> IntArray | None:
    """Therapists where there are enough of them; a client without a known one stands alone."""
    if therapist is None:
        return None
    codes, n_known = _clusters(therapist[used], int(therapist.max(initial=0)) + 1)
    return codes if n_known >= FEWEST_CLUSTERS else None


@numba.njit(cache=True)
def _clusters(therapist: np.ndarray, n_codes: int) -> tuple[np.ndarray, int]:
    """Therapists numbered as they come, each unknown one by itself; how many are known."""
    number = np.full(n_codes, -1, dtype=np.int64)
    out = np.empty(therapist.size, dtype=np.int64)
    found, known = 0, 0
    for i in range(therapist.size):
        code = therapist[i]
        if code == UNKNOWN_THERAPIST or number[code] < 0:
            out[i] = found
            if code != UNKNOWN_THERAPIST:
                number[code] = found
                known += 1
            found += 1
        else:
            out[i] = number[code]
    return out, known


def n_different(codes: IntArray) -> int:
    """How many of the codes (from 0) occur."""
    return int(np.count_nonzero(np.bincount(codes)))


def _contrast_term(
    pair: tuple[str, str],
    kept: list[str],
    fit: Regression | None,
    cells: tuple[tuple[str, int], ...],
    n: int,
    why: str,
    by_therapist: bool,
) -> Term:
    if why or fit is None:
        return Term(n_obs=n, n_clients=n, cells=cells, reason=why, by_therapist=by_therapist)
    weights = np.zeros(fit.coefficients.size)
    dummies = [name for name in kept if name != _reference(kept)]
    for name, sign in zip(pair, (1.0, -1.0), strict=True):
        if name in dummies:
            weights[dummies.index(name)] = sign
    return Term(*fit.contrast(weights), fit.df, n, n, cells, by_therapist=by_therapist)


# Session level: the next outcome after an onset, beyond the linear effect of the alliance


@dataclass(frozen=True)
class SessionPairs:
    """Ratings whose next outcome, and the outcome before that, were observed.

    Attributes
    ----------
    row : (m,) rated row of each pair. client : (m,) codes in ascending order.
    step : (m,) step of the rating. cell : (m,) position in the flattened grid.
    """

    row: IntArray
    client: IntArray
    step: IntArray
    cell: IntArray


def session_pairs(courses: Courses) -> SessionPairs:
    """Which ratings have a next outcome; the same for every null data set."""
    n_steps = courses.rated.shape[1]
    seen = np.isfinite(courses.outcome)
    padded = np.pad(seen, ((0, 0), (1, 1)))
    following = padded[:, 1 + courses.lead : 1 + courses.lead + n_steps]
    before = padded[:, courses.lead : courses.lead + n_steps]
    client, step = np.nonzero(courses.rated & following & before)
    return SessionPairs(courses.row_of[client, step], client, step, client * n_steps + step)


def session_terms(
    courses: Courses,
    pairs: SessionPairs,
    scan: Scan,
    smallest_group: int = SMALLEST_GROUP,
) -> Terms:
    """``onset``, ``in_rupture``, ``repaired`` beside a linear effect of the alliance, and the same
    ``onset_beyond_curve`` beside a restricted cubic spline.

    Fixed effects of clients, outcome before, linear and squared time; errors clustered by client.
    Sessions that the rule could not evaluate are left out.
    """
    state = scan.state[pairs.row]
    used = (state == kernel.INTACT) | (state == kernel.RUPTURED)
    marks = _marks(scan, pairs, used)
    client, cell = pairs.client[used], pairs.cell[used]
    counts = {name: n_different(client[mark > 0]) for name, mark in marks.items()}
    kept = [name for name in MARKS if counts[name] >= smallest_group]
    outcome = courses.outcome.ravel()
    a, y = courses.alliance.ravel()[cell], outcome[cell + courses.lead]
    previous, step = outcome[cell + courses.lead - 1], pairs.step[used].astype(float)
    base = np.column_stack([*(marks[name] for name in kept), previous, a, step, step**2])
    fits = {"": None, "curve": None}
    if kept and used.any():
        fits[""] = within_least_squares(base, y, client)
        curve = np.column_stack([base, spline_columns(deviations(a, client))])
        fits["curve"] = within_least_squares(curve, y, client)
    few = f"fewer than {smallest_group} clients have such a session with a next outcome"
    terms = {name: _mark_term(name, kept, fits[""], counts, client, few) for name in MARKS}
    terms["onset_beyond_curve"] = _mark_term("onset", kept, fits["curve"], counts, client, few)
    return terms


def _marks(scan: Scan, pairs: SessionPairs, used: BoolArray) -> dict[str, FloatArray]:
    row = pairs.row[used]
    onset = scan.flag[row]
    return {
        "onset": onset.astype(float),
        "in_rupture": ((scan.state[row] == kernel.RUPTURED) & ~onset).astype(float),
        "repaired": scan.repaired_rows()[row].astype(float),
    }


def _mark_term(
    name: str,
    kept: list[str],
    fit: Regression | None,
    counts: dict[str, int],
    client: IntArray,
    few: str,
) -> Term:
    n = n_different(client)
    cells = ((name, counts[name]),)
    if name not in kept:
        return Term(n_obs=client.size, n_clients=n, cells=cells, reason=few)
    if fit is None:
        why = "such sessions cannot be told apart from the other predictors"
        return Term(n_obs=client.size, n_clients=n, cells=cells, reason=why)
    weights = np.zeros(fit.coefficients.size)
    weights[kept.index(name)] = 1.0
    return Term(*fit.contrast(weights), fit.df, fit.n_obs, fit.n_clients, cells)


def deviations(values: FloatArray, client: IntArray) -> FloatArray:
    """Deviations from the clients' means."""
    count = np.bincount(client)
    mean = np.bincount(client, values) / np.maximum(count, 1)
    return values - mean[client]


def spline_columns(x: FloatArray) -> FloatArray:
    """(n, 2) non-linear columns of a restricted cubic spline with four knots (Harrell 2015)."""
    knots = np.unique(np.quantile(x, SPLINE_QUANTILES))
    if knots.size < 3:
        return np.empty((x.size, 0))
    last, before, span = knots[-1], knots[-2], knots[-1] - knots[0]

    def cubed(knot: float) -> FloatArray:
        above = np.maximum(x - knot, 0.0)
        return above * above * above

    of_before, of_last = cubed(before), cubed(last)
    columns = [
        (
            cubed(knot)
            - of_before * (last - knot) / (last - before)
            + of_last * (before - knot) / (last - before)
        )
        / span**2
        for knot in knots[:-2]
    ]
    return np.column_stack(columns)


# Drop-out


@dataclass(frozen=True)
class RiskRows:
    """Rated sessions at which a client could leave, in the order of the rated rows.

    Attributes
    ----------
    covariates : (rows, p) ones, logarithm and number of the rating, deviation from the mean of the
        ratings so far, that mean, and the latest outcome where the study has one.
    event : (rows,) 1.0 at a client's last rating where the client dropped out.
    client : (rows,).
    """

    covariates: FloatArray
    event: FloatArray
    client: IntArray


def risk_rows(courses: Courses, dropped_out: BoolArray) -> RiskRows:
    """Rows at risk of all clients with a rating."""
    rated = courses.rated
    client = np.nonzero(rated)[0]
    covariates = hazard_covariates(courses.alliance, courses.outcome, rated)[rated]
    event = np.zeros(client.size)
    present = np.diff(courses.start) > 0
    event[courses.start[1:][present & dropped_out] - 1] = 1.0
    return RiskRows(covariates, event, client)


def hazard_covariates(alliance: FloatArray, outcome: FloatArray, rated: BoolArray) -> FloatArray:
    """(n, T, p) covariates of the hazard; meaningful where rated."""
    number = np.cumsum(rated, axis=1).astype(float)
    so_far = np.cumsum(np.where(rated, alliance, 0.0), axis=1) / np.maximum(number, 1.0)
    deviation = np.where(rated, alliance - so_far, 0.0)
    columns = [np.ones_like(number), np.log(np.maximum(number, 1.0)), number, deviation, so_far]
    if np.isfinite(outcome).any():
        columns.append(_carried_forward(outcome))
    return np.stack(columns, axis=2)


def _carried_forward(outcome: FloatArray) -> FloatArray:
    """The latest observed outcome; before the first one, the first one; else the sample's mean."""
    seen = np.isfinite(outcome)
    at = np.where(seen, np.arange(outcome.shape[1]), -1)
    latest = np.maximum.accumulate(at, axis=1)
    first = np.where(seen.any(axis=1), seen.argmax(axis=1), -1)
    at = np.where(latest >= 0, latest, first[:, None])
    values = outcome[np.arange(len(outcome))[:, None], np.maximum(at, 0)]
    return np.where(at >= 0, values, np.nanmean(outcome))


def drop_out_terms(
    scan: Scan,
    rows: RiskRows,
    smallest_group: int = SMALLEST_GROUP,
    known: FloatArray | None = None,
) -> Terms:
    """Log hazard ratios of leaving after an ``onset`` session and after one ``in_rupture``.

    Beside number of the session, expanding mean of the alliance, deviation from it, and latest
    outcome. Sessions that the rule could not evaluate are left out. As few clients, or none, may
    leave after ruptures of a rare kind, estimates are Jeffreys-penalised and tests are score tests.

    Parameters
    ----------
    known : (p,) coefficients of ``rows.covariates`` without ruptures, at which to begin.
    """
    used = (scan.state == kernel.INTACT) | (scan.state == kernel.RUPTURED)
    marks = {"onset": scan.flag, "in_rupture": (scan.state == kernel.RUPTURED) & ~scan.flag}
    counts = {name: n_different(rows.client[mark & used]) for name, mark in marks.items()}
    kept = [name for name in marks if counts[name] >= smallest_group]
    client, event, covariates = rows.client[used], rows.event[used], rows.covariates[used]
    base = fit = None
    scores: dict[str, float] = {}
    if kept and event.sum() >= FEWEST_EVENTS:
        base = hazard_regression(covariates, event, known)
    if base is not None:
        columns = np.column_stack([marks[name][used].astype(float) for name in kept])
        z, guess = hazard_scores(covariates, event, base, columns)
        scores = dict(zip(kept, z.tolist(), strict=True))
        start = np.concatenate([base.coefficients, guess])
        fit = hazard_regression(
            np.column_stack([covariates, columns]), event, start, penalised=True
        )  # fmt: skip
    n = n_different(client)
    terms = {}
    for name in marks:
        cells = ((name, counts[name]),)
        score = scores.get(name, np.nan)
        why = _why_no_hazard(event, counts[name], smallest_group, score)
        if why or fit is None:
            terms[name] = Term(n_obs=client.size, n_clients=n, cells=cells, reason=why or NO_HAZARD)
            continue
        weights = np.zeros(fit.coefficients.size)
        weights[covariates.shape[1] + kept.index(name)] = 1.0
        terms[name] = Term(*fit.contrast(weights), fit.df, client.size, n, cells, score=score)
    return terms


def _why_no_hazard(event: FloatArray, n_clients: int, smallest_group: int, score: float) -> str:
    if event.sum() < FEWEST_EVENTS:
        return f"fewer than {FEWEST_EVENTS} clients dropped out"
    if n_clients < smallest_group:
        return f"fewer than {smallest_group} clients have such a session"
    return "" if np.isfinite(score) else NO_HAZARD
