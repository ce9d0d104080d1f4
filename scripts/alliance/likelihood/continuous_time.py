"""Exact likelihood of a random-intercept process in continuous time, seen at uneven intervals.

Between sessions the within-client process follows ``dw = D w dt + dB`` with ``Cov(dB) = G dt``.
Over an interval d it is a VAR(1) with ``A(d) = expm(D d)`` and
``Q(d) = integral of expm(D s) G expm(D' s) ds``, taken from one matrix exponential (Van Loan 1978,
IEEE Transactions on Automatic Control 23(3)). Intervals are few distinct numbers (days), so that A
and Q are made once each; a client's intervals then play the part that phases play in the discrete
model, and its kernels serve both. Clients with the same intervals share a covariance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from alliance.likelihood.incomplete_normal import over_clients
from alliance.likelihood.small_matrices import by_factor, product
from alliance.likelihood.var_covariance import (
    back_through_sessions,
    by_client_covariance,
    total_covariance,
    within_covariance,
)
from alliance.likelihood.var_data import pack

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_compiled = njit(cache=True, fastmath=False, error_model="numpy", nogil=True)
_TERMS = 10


@dataclass(frozen=True)
class Group:
    """Clients with the same intervals.

    Attributes
    ----------
    phase : (T,) position of the interval that leads to each observation; entry 0 is not used.
    course : (T, m) columns of the course of the means at their observations.
    data : their scores as arrays of ``VarData``.
    """

    phase: IntArray
    course: FloatArray
    data: tuple[FloatArray | IntArray, ...]


@dataclass(frozen=True)
class TimedData:
    """All clients. ``intervals`` (u,) are the distinct intervals, sorted."""

    n_series: int
    intervals: FloatArray
    groups: tuple[Group, ...]
    n_clients: int
    n_scores: int


def timed_data(
    scores: Sequence[FloatArray], times: Sequence[FloatArray], courses: Sequence[FloatArray]
) -> TimedData:
    """Group clients by their intervals.

    Parameters
    ----------
    scores : per client (T_i, k), NaN where missing. times : per client (T_i,), rising.
    courses : per client (T_i, m).

    Raises
    ------
    ValueError
        If times do not rise.
    """
    steps = [np.round(np.diff(time), 9) for time in times]
    if any((step <= 0).any() for step in steps):
        raise ValueError("times of a client must rise")
    intervals = np.unique(np.concatenate([*steps, [1.0]]))
    members: dict[tuple[bytes, ...], list[int]] = {}
    for i, step in enumerate(steps):
        members.setdefault((step.tobytes(), courses[i].tobytes()), []).append(i)
    groups = []
    for clients in members.values():
        first = clients[0]
        phase = np.concatenate([[0], np.searchsorted(intervals, steps[first])]).astype(np.int64)
        data = pack(np.stack([scores[i] for i in clients]))
        groups.append(Group(phase, courses[first], data.arrays()))
    k = scores[0].shape[1]
    total = int(sum((~np.isnan(z)).sum() for z in scores))
    return TimedData(k, intervals, tuple(groups), len(scores), total)


@_compiled
def transition(D: FloatArray, G: FloatArray, interval: float) -> tuple[FloatArray, FloatArray]:
    """A(d) and Q(d): Van Loan's block exponential of a small part of the interval, then doubled.

    Doubling (``Q(2d) = Q(d) + A(d) Q(d) A(d)'``) adds up positive parts and stays exact where
    deviations fade many times within the interval.

    Parameters
    ----------
    D : (k, k) drift. G : (k, k) covariance of what is new per unit of time.
    """
    k = D.shape[0]
    doublings, part = 0, interval
    while np.abs(D).sum() * part > 0.125 and doublings < 60:
        part *= 0.5
        doublings += 1
    block = np.zeros((2 * k, 2 * k))
    for a in range(k):
        for b in range(k):
            block[a, b] = -D[a, b] * part
            block[a, k + b] = G[a, b] * part
            block[k + a, k + b] = D[b, a] * part
    total, term = np.eye(2 * k), np.eye(2 * k)
    for order in range(1, _TERMS + 1):
        term = product(term, block) / order
        total += term
    A = np.ascontiguousarray(total[k:, k:].T)
    Q = product(A, np.ascontiguousarray(total[:k, k:]))
    for _ in range(doublings):
        moved = product(product(A, Q), np.ascontiguousarray(A.T))
        for a in range(k):
            for b in range(k):
                Q[a, b] += moved[a, b]
        A = product(A, A)
    for a in range(k):
        for b in range(a):
            Q[a, b] = Q[b, a] = 0.5 * (Q[a, b] + Q[b, a])
    return A, Q


@dataclass(frozen=True)
class TimedLikelihood:
    """Value and derivatives by the course (m, k), drift, lower factors of G, P1 and the levels."""

    value: float
    by_course: FloatArray
    by_drift: FloatArray
    by_diffusion: FloatArray
    by_first: FloatArray
    by_client: FloatArray


def timed_likelihood(
    course: FloatArray,
    drift: FloatArray,
    diffusion: FloatArray,
    first: FloatArray,
    client: FloatArray,
    data: TimedData,
) -> TimedLikelihood:
    """Log-likelihood and derivatives; value NaN where a covariance is not positive definite.

    Parameters
    ----------
    course : (m, k) coefficients of the columns of the course.
    drift : (k, k). diffusion, first, client : lower factors (k, k) of G, of the covariance of the
        first observation and of the client levels.
    """
    k = data.n_series
    G = diffusion @ diffusion.T
    A, Q = _moves(drift, G, data.intervals)
    by_A, by_Q = np.zeros_like(A), np.zeros_like(Q)
    by_P, by_levels = np.zeros((k, k)), np.zeros((k, k))
    by_course, value = np.zeros(course.shape), 0.0
    P, levels, error = first @ first.T, client @ client.T, np.zeros(k)
    for group in data.groups:
        mean = np.ascontiguousarray(group.course @ course)
        found = _one_group(A, Q, P, levels, error, group.phase, mean, *group.data)
        value += found[0]
        by_course += group.course.T @ found[1].reshape(-1, k)
        by_A += found[3]
        by_Q += found[4]
        by_P += found[5]
        by_levels += found[6]
    by_drift, by_G = _back_to_rates(drift, G, data.intervals, by_A, by_Q)
    return TimedLikelihood(
        value, by_course, by_drift, by_factor(by_G, diffusion), by_factor(by_P, first),
        by_factor(by_levels, client),
    )  # fmt: skip


def course_information(
    drift: FloatArray,
    diffusion: FloatArray,
    first: FloatArray,
    client: FloatArray,
    data: TimedData,
) -> tuple[FloatArray, FloatArray]:
    """Information (m k, m k) of the course and the score (m k,) at a course of zero."""
    k = data.n_series
    A, Q = _moves(drift, diffusion @ diffusion.T, data.intervals)
    P, levels, error = first @ first.T, client @ client.T, np.zeros(k)
    size = data.groups[0].course.shape[1] * k
    information, score = np.zeros((size, size)), np.zeros(size)
    for group in data.groups:
        zero = np.zeros((len(group.phase), k))
        found = _one_group(A, Q, P, levels, error, group.phase, zero, *group.data)
        columns = np.kron(group.course, np.eye(k))
        information += columns.T @ found[2] @ columns
        score += columns.T @ found[1]
    return information, score


@_compiled
def _moves(
    drift: FloatArray, G: FloatArray, intervals: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """A and Q (u, k, k) of every interval."""
    k = drift.shape[0]
    A, Q = np.empty((intervals.size, k, k)), np.empty((intervals.size, k, k))
    for u in range(intervals.size):
        A[u], Q[u] = transition(drift, G, intervals[u])
    return A, Q


@_compiled
def _one_group(
    A: FloatArray,
    Q: FloatArray,
    P: FloatArray,
    levels: FloatArray,
    error: FloatArray,
    phase: IntArray,
    mean: FloatArray,
    values: FloatArray,
    weight: FloatArray,
    centred: FloatArray,
    first_vector: IntArray,
    length: IntArray,
    n_clients: FloatArray,
    missing: IntArray,
    first_missing: IntArray,
) -> tuple[float, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Value, score of the means, their information, derivatives by A, Q, P1 and levels."""
    k = error.size
    loadings = np.ones((phase.size, 1))
    within = within_covariance(A, Q, P, phase)
    V = total_covariance(within, levels, loadings, error)
    value, score, by_V, information = over_clients(
        V, mean.copy().reshape(-1), k, values, weight, centred, first_vector, length, n_clients,
        missing, first_missing,
    )  # fmt: skip
    by_A, by_Q, by_P = back_through_sessions(by_V, within, A, phase)
    by_levels = by_client_covariance(by_V, loadings, k)
    return value, score, information, by_A, by_Q, by_P, by_levels


def _back_to_rates(
    D: FloatArray, G: FloatArray, intervals: FloatArray, by_A: FloatArray, by_Q: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Derivatives by the drift and by G (symmetric), through central differences of A and Q.

    Both are analytic in D and G: differences of 1e-5 are exact to ten digits.
    """
    k, h = len(D), 1e-5
    by_D, by_G = np.zeros((k, k)), np.zeros((k, k))

    def total(drift: FloatArray, noise: FloatArray) -> float:
        A, Q = _moves(drift, noise, intervals)
        return float((A * by_A).sum() + (Q * by_Q).sum())

    for a in range(k):
        for b in range(k):
            step = np.zeros((k, k))
            step[a, b] = h
            by_D[a, b] = (total(D + step, G) - total(D - step, G)) / (2.0 * h)
            both = 0.5 * (step + step.T)
            by_G[a, b] = (total(D, G + both) - total(D, G - both)) / (2.0 * h)
    return by_D, by_G
