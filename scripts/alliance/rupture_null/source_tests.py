"""Ruptures told by questionnaires, observers or behaviour, and the outcome (methods 2.4).

The tests are those of ruptures by rule: the next outcome within clients beyond the effect of the
rating itself, and the last outcome of clients with and without a marked session. Reports, codes
and absences are no ratings and cannot be drawn from the study's dynamic model, so there is no null
to hold these tests against: their p is nominal, and every row says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.estimates import Estimate
from alliance.rupture_null.courses import Courses
from alliance.rupture_null.outcome_tests import (
    SessionPairs,
    Term,
    client_clusters,
    client_numbers,
    deviations,
    session_pairs,
    spline_columns,
)
from alliance.rupture_null.regression import least_squares, within_least_squares
from alliance.rupture_null.rows import term_numbers, without_telling_sizes
from alliance.ruptures.outcome_tests import SMALLEST_GROUP, RuptureAnalysis
from alliance.ruptures.source_rows import ANALYSIS, UNVALIDATED
from alliance.ruptures.sources import CELLS, SOURCES

FloatArray = NDArray[np.float64]
NO_NULL_OF_SOURCES = (
    "Nominal p and interval: reports, codes and absences cannot be drawn from the study's dynamic "
    "model, so there is no null to hold them against."
)
CELL_WORDS = {
    "client_only": "a session in which only the client reported a rupture",
    "therapist_only": "a session in which only the therapist reported a rupture",
    "both": "a session in which both reported a rupture",
}
SELF = "beyond the linear effect of the rating itself, the outcome before and time"


def source_grid(courses: Courses, marks: pd.DataFrame, name: str) -> FloatArray:
    """(n, T) 1 where a source marks the session, 0 where not, NaN where it says nothing.

    Parameters
    ----------
    marks : ``ruptures.sources.source_marks``.
    """
    told = marks.dropna(subset=[name])
    keys = zip(told["client"].astype(str), told["session"].astype(float), strict=True)
    value = dict(zip(keys, told[name].astype(float), strict=True))
    clients = np.array(courses.clients)[:, None]
    flat = [
        value.get(key, np.nan)
        for key in zip(
            np.broadcast_to(clients, courses.session.shape).ravel().tolist(),
            courses.session.ravel().tolist(),
            strict=True,
        )
    ]
    return np.array(flat).reshape(courses.session.shape)


def session_source_terms(
    courses: Courses,
    pairs: SessionPairs,
    marked: Mapping[str, FloatArray],
    smallest_group: int = SMALLEST_GROUP,
) -> dict[str, Term]:
    """Next outcome after marked sessions: each kind of mark, all in one regression.

    Parameters
    ----------
    marked : name -> (n, T) of 1, 0 and NaN; only sessions in which none is NaN are used.

    Returns
    -------
    dict
        ``name`` beside a linear, ``name_beyond_curve`` beside a curved effect of the rating.
    """
    columns = {name: grid.ravel()[pairs.cell] for name, grid in marked.items()}
    used = np.all([np.isfinite(column) for column in columns.values()], axis=0)
    client, cell = pairs.client[used], pairs.cell[used]
    columns = {name: column[used] for name, column in columns.items()}
    counts = {name: len(np.unique(client[c > 0])) for name, c in columns.items()}
    unmarked = len(np.unique(client[np.all([c == 0 for c in columns.values()], axis=0)]))
    kept = [name for name in columns if counts[name] >= smallest_group <= unmarked]
    fits = {"": None, "_beyond_curve": None}
    if kept:
        keep = np.all([columns[n] == 0 for n in columns if n not in kept] or [True], axis=0)
        keep = np.broadcast_to(keep, client.shape)
        client, cell = client[keep], cell[keep]
        outcome = courses.outcome.ravel()
        rating, step = courses.alliance.ravel()[cell], pairs.step[used][keep].astype(float)
        base = np.column_stack([
            *(columns[name][keep] for name in kept), outcome[cell + courses.lead - 1], rating,
            step, step**2,
        ])  # fmt: skip
        after = outcome[cell + courses.lead]
        curve = np.column_stack([base, spline_columns(deviations(rating, client))])
        fits = {
            "": within_least_squares(base, after, client),
            "_beyond_curve": within_least_squares(curve, after, client),
        }
    n = len(np.unique(client))
    few = f"fewer than {smallest_group} clients have such a session with a next outcome"
    rest = f"fewer than {smallest_group} clients have a session without such a mark"
    terms = {}
    for name in columns:
        why = "" if name in kept else (few if counts[name] < smallest_group else rest)
        for ending, fit in fits.items():
            cells = ((name, counts[name]),)
            if why or fit is None:
                why = why or "such sessions cannot be told apart from the other predictors"
                terms[name + ending] = Term(n_obs=client.size, n_clients=n, cells=cells, reason=why)
                continue
            weights = np.zeros(fit.coefficients.size)
            weights[kept.index(name)] = 1.0
            terms[name + ending] = Term(
                *fit.contrast(weights), fit.df, fit.n_obs, fit.n_clients, cells
            )
    return terms


def client_source_term(
    courses: Courses, grid: FloatArray, smallest_group: int = SMALLEST_GROUP
) -> Term:
    """Last outcome of clients with at least one marked session minus those without any.

    OLS on baseline, the mark, the logarithm of the number of sessions that the source tells of,
    mean and slope of the alliance; errors as for ruptures by rule.
    """
    numbers = client_numbers(courses)
    told = np.isfinite(grid).sum(axis=1)
    used = numbers.complete & (told > 0)
    ever = (np.nan_to_num(grid).sum(axis=1) > 0)[used]
    n = int(used.sum())
    sizes = {"with": int(ever.sum()), "without": int((~ever).sum())}
    small = [name for name, size in sizes.items() if size < smallest_group]
    if small:
        why = f"fewer than {smallest_group} clients {' and '.join(small)} such a session"
        return Term(n_obs=n, n_clients=n, cells=tuple(sizes.items()), reason=why)
    covariates = [
        numbers.baseline[used], np.log(told[used]), numbers.mean[used], numbers.slope[used],
    ]  # fmt: skip
    varying = [c for c in covariates if np.ptp(c) > 0]
    design = np.column_stack([ever.astype(float), np.ones(n), *varying])
    fit = least_squares(design, numbers.last[used], client_clusters(courses.therapist, used))
    if fit is None:
        why = "the groups cannot be told apart from the covariates (rank deficiency)"
        return Term(n_obs=n, n_clients=n, cells=tuple(sizes.items()), reason=why)
    weights = np.zeros(fit.coefficients.size)
    weights[0] = 1.0
    return Term(*fit.contrast(weights), fit.df, n, n, tuple(sizes.items()))


def source_outcome_rows(
    courses: Courses,
    marks: pd.DataFrame,
    analysis: RuptureAnalysis,
    told: tuple[float, ...] = (),
) -> list[Estimate]:
    """Next and last outcome by every source of the study; none without an outcome.

    Parameters
    ----------
    analysis : names and units of the rating and outcome that the tests hold equal and explain.
    told : numbers of clients that readers know from other tables.
    """
    if not courses.has_outcome:
        return []
    pairs = session_pairs(courses)
    smallest = max(SMALLEST_GROUP, analysis.smallest_cell)
    rows: list[Estimate] = []
    for name in [source for source in SOURCES if source in marks]:
        grid = source_grid(courses, marks, name)
        words = f"a session of which this is true: {SOURCES[name].definition}"
        for term, found in session_source_terms(courses, pairs, {name: grid}, smallest).items():
            rows.append(_session_row(term, found, words, name, analysis))
        rows.append(_client_row(client_source_term(courses, grid, smallest), name, analysis))
    rows += _cell_rows(courses, pairs, marks, analysis, smallest)
    return without_telling_sizes(rows, told, analysis.smallest_cell)


def _cell_rows(
    courses: Courses,
    pairs: SessionPairs,
    marks: pd.DataFrame,
    analysis: RuptureAnalysis,
    smallest_group: int,
) -> list[Estimate]:
    """The four cells of two reports on one session, against neither reporting."""
    if not {"psq_client", "psq_therapist"} <= set(marks.columns):
        return []
    client, therapist = (source_grid(courses, marks, n) for n in ("psq_client", "psq_therapist"))
    cells = {
        "client_only": client * (1 - therapist),
        "therapist_only": therapist * (1 - client),
        "both": client * therapist,
    }
    if set(cells) != set(CELLS) - {"none"}:
        raise AssertionError("the cells are those of the reports")
    terms = session_source_terms(courses, pairs, cells, smallest_group)
    return [
        _session_row(name, terms[name], f"{words}, against neither", "psq", analysis)
        for name, words in CELL_WORDS.items()
    ]


def _session_row(
    term: str, found: Term, mark: str, source: str, analysis: RuptureAnalysis
) -> Estimate:
    curved = ", and its curved (restricted cubic spline) effect" if "curve" in term else ""
    words = _words(source, analysis) | {
        "term": f"session[{term}]",
        "kind": "session",
        "level": "within_client",
        "estimand": f"Next {analysis.outcome_label} (higher = worse) after {mark}; {SELF}{curved}",
        "estimator": "fixed effects of clients (cluster-robust)",
        "lag": 1.0,
    }
    return _estimate(words, found)


def _client_row(found: Term, source: str, analysis: RuptureAnalysis) -> Estimate:
    words = _words(source, analysis) | {
        "term": f"client[{source}]",
        "kind": "contrast",
        "level": "client",
        "estimand": f"Last {analysis.outcome_label} (higher = worse) of clients with at least one "
        f"session of which this is true: {SOURCES[source].definition}; minus clients without any, "
        "at equal baseline, number of sessions that the source tells of, mean and slope of "
        "alliance",
        "estimator": "OLS (robust errors)",
    }
    return _estimate(words, found)


def _words(source: str, analysis: RuptureAnalysis) -> dict[str, Any]:
    proxy = source in SOURCES and SOURCES[source].kind == "behaviour"
    return {
        "analysis": ANALYSIS,
        "predictor": analysis.measure,
        "outcome": analysis.outcome,
        "units": analysis.outcome_units,
        "rater": {"psq_client": "client", "psq_therapist": "therapist"}.get(source, ""),
        "known_bias": f"{NO_NULL_OF_SOURCES} {UNVALIDATED}" if proxy else NO_NULL_OF_SOURCES,
    }


def _estimate(words: dict[str, Any], found: Term) -> Estimate:
    size = {"n_obs": float(found.n_obs), "n_clients": float(found.n_clients)}
    if found.reason or not found.se > 0:
        reason = found.reason or "the standard error is zero"
        return Estimate(**words, **size, status="not_estimated", reason=reason)
    return Estimate(**words, **size, **term_numbers(found))
