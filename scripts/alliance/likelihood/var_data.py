"""What the random-intercept VAR(1) is told: its structure, and scores arranged by pattern.

Clients who share a pattern of missing scores enter the likelihood through their mean and the
triangular root of their cross-products: never more vectors than scores, however many clients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class VarStructure:
    """What does not depend on parameters or scores.

    Attributes
    ----------
    same_session : (k, k), 1.0 where row series depends on the *same* session's value of column
        series (measured earlier in the session), 0.0 where it depends on the previous session's.
    correlated : (k, k), 1.0 where innovations may correlate (series of the same occasion).
    phase : (T,), which set of coefficients leads into session t (entry 0 is not used).
    loadings : (T, q), columns of the client effects: ones, and time for random trends.
    error : (k,), known variances of measurement error.
    """

    same_session: FloatArray
    correlated: FloatArray
    phase: IntArray
    loadings: FloatArray
    error: FloatArray

    @property
    def n_series(self) -> int:
        return int(self.error.size)

    @property
    def n_sessions(self) -> int:
        return int(self.phase.size)

    @property
    def n_phases(self) -> int:
        return int(self.phase.max(initial=0)) + 1

    @property
    def n_effects(self) -> int:
        """Client effects in all: intercepts of the k series, then their trends."""
        return self.n_series * int(self.loadings.shape[1])

    def arrays(self) -> tuple[FloatArray | IntArray, ...]:
        """The fields as the likelihood takes them."""
        return self.same_session, self.phase, self.loadings, self.error


def structure_of(
    occasions: Sequence[int],
    n_sessions: int,
    *,
    time: FloatArray | None = None,
    error: Sequence[float] | None = None,
    phase: IntArray | None = None,
) -> VarStructure:
    """Structure that follows from the order of measurement within a session.

    Parameters
    ----------
    occasions : (k,) rank of each series within a session, e.g. ``(1, 0)`` for an alliance rated
        after and symptoms rated before the session. A series depends on the latest value of every
        other one: the same session's where that was measured earlier. Innovations of series of the
        same occasion correlate; of others they do not (what they share is the path).
    time : (n_sessions,) column of random trends; none when left out.
    error : (k,) known error variances, 0 when left out. phase : see :class:`VarStructure`.
    """
    rank = np.asarray(occasions)
    ones = np.ones(n_sessions)
    return VarStructure(
        same_session=(rank[None, :] < rank[:, None]).astype(np.float64),
        correlated=(rank[None, :] == rank[:, None]).astype(np.float64),
        phase=np.zeros(n_sessions, np.int64) if phase is None else np.asarray(phase, np.int64),
        loadings=ones[:, None] if time is None else np.column_stack([ones, time]),
        error=np.zeros(rank.size) if error is None else np.asarray(error, np.float64),
    )


@dataclass(frozen=True)
class VarData:
    """Scores as vectors grouped by pattern of missing scores, patterns sorted by length.

    Attributes
    ----------
    n_series : k. values : (n_vectors, T k), 0 where missing; cell ``t k + j`` is series j at t.
    weight : (n_vectors,), clients a vector stands for. centred : (n_vectors,), 1.0 for vectors from
        which the mean has still to be taken (0.0 for roots of cross-products).
    first_vector : (n_patterns + 1,). length : (n_patterns,), sessions up to the last observed one.
    n_clients : (n_patterns,), as floats.
    missing : cells missing before the end of the pattern. first_missing : (n_patterns + 1,).
    """

    n_series: int
    values: FloatArray
    weight: FloatArray
    centred: FloatArray
    first_vector: IntArray
    length: IntArray
    n_clients: FloatArray
    missing: IntArray
    first_missing: IntArray

    @property
    def n_sessions(self) -> int:
        return int(self.values.shape[1]) // self.n_series

    @property
    def scores_per_client(self) -> IntArray:
        """(n_patterns,) scores observed in a client of each pattern."""
        return self.length * self.n_series - np.diff(self.first_missing)

    def arrays(self) -> tuple[FloatArray | IntArray, ...]:
        """The fields as the likelihood takes them."""
        return (
            self.values,
            self.weight,
            self.centred,
            self.first_vector,
            self.length,
            self.n_clients,
            self.missing,
            self.first_missing,
        )


def pack(scores: FloatArray) -> VarData:
    """Arrange scores (n_clients, T, k), NaN where missing, for the likelihood.

    Raises
    ------
    ValueError
        If a client has no score at all or a score is infinite.
    """
    n, n_sessions, k = scores.shape
    flat = np.ascontiguousarray(scores, dtype=np.float64).reshape(n, -1)
    seen = ~np.isnan(flat)
    if not seen.any(axis=1).all() or np.isinf(flat).any():
        raise ValueError("every client needs a score, and scores must be finite or NaN")
    length = n_sessions - seen.reshape(n, n_sessions, k).any(axis=2)[:, ::-1].argmax(axis=1)
    keys = np.column_stack([length, seen])
    patterns, member = np.unique(keys, axis=0, return_inverse=True)
    order = np.argsort(member.ravel(), kind="stable")
    sizes = np.bincount(member.ravel(), minlength=len(patterns))
    groups = np.split(flat[order], np.cumsum(sizes)[:-1])
    blocks = [_vectors(g, pattern[1:] > 0) for g, pattern in zip(groups, patterns, strict=True)]
    gaps = [np.flatnonzero(p[1 : 1 + p[0] * k] == 0) for p in patterns]
    values, weight, centred = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return VarData(
        n_series=k,
        values=_read_only(values),
        weight=_read_only(weight),
        centred=_read_only(centred),
        first_vector=_offsets([len(block[1]) for block in blocks]),
        length=_read_only(patterns[:, 0].astype(np.int64)),
        n_clients=_read_only(sizes.astype(np.float64)),
        missing=_read_only(np.concatenate(gaps).astype(np.int64)),
        first_missing=_offsets([gap.size for gap in gaps]),
    )


def _vectors(
    group: FloatArray, seen: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Values, weights and flags of the clients of one pattern, as few vectors as possible."""
    n, d = len(group), int(seen.sum())
    scores = group[:, seen]
    if n > d + 1:
        mean = scores.mean(axis=0)
        scores = np.vstack([mean, np.linalg.qr(scores - mean, mode="r")])
    values = np.zeros((len(scores), seen.size))
    values[:, seen] = scores
    weight, centred = np.ones(len(scores)), np.ones(len(scores))
    if n > d + 1:
        weight[0], centred[1:] = n, 0.0
    return values, weight, centred


def _offsets(sizes: Sequence[int]) -> IntArray:
    return _read_only(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))


def _read_only(array: NDArray) -> NDArray:
    """PyTensor's data are read-only too: one compiled version serves both callers."""
    array = np.array(array, order="C")
    array.flags.writeable = False
    return array
