"""Rows and groups of a design: who belongs to whom, and whether that is enough for a model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.estimation.refusal import RefusedError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
MIN_CLIENTS_PER_THERAPIST = 3


@dataclass(frozen=True)
class Groups:
    """Codes of clients and therapists of every row."""

    client: IntArray
    client_ids: tuple[str, ...]
    therapist_of_client: IntArray | None
    n_therapists: int

    @cached_property
    def rows(self) -> IntArray:
        return np.bincount(self.client, minlength=len(self.client_ids))

    def mean(self, values: FloatArray) -> FloatArray:
        """Client means, (n_clients,)."""
        return np.bincount(self.client, values, len(self.client_ids)) / self.rows

    def deviations(self, values: FloatArray) -> FloatArray:
        return values - self.mean(values)[self.client]


def groups_of(frame: pd.DataFrame) -> Groups:
    client, ids = pd.factorize(frame["client"], sort=True)
    names = tuple(ids.astype(str).tolist())
    codes = client.astype(np.int64)
    if "therapist" not in frame.columns or frame["therapist"].isna().all():
        return Groups(codes, names, None, 0)
    therapist = pd.factorize(frame["therapist"], sort=True)[0]
    first = np.full(len(names), -1, dtype=np.int64)
    first[codes] = therapist
    alone = first < 0
    first[alone] = first.max() + 1 + np.arange(alone.sum())
    owner = np.unique(first, return_inverse=True)[1].astype(np.int64)
    return Groups(codes, names, owner, int(owner.max()) + 1 if owner.size else 0)


def check_rows(groups: Groups) -> None:
    """Refuses too few clients; how few of how many there are is not told."""
    if len(groups.client_ids) < 2:
        raise RefusedError(
            "too few clients have a row for the model; at least 2 are needed",
            "Check that the client column is right and that predictor and outcome were measured.",
        )
    if (groups.rows >= 2).sum() < 2:
        raise RefusedError(
            "too few clients have two or more rows (at least 2 are needed), so differences within "
            "clients cannot be told from differences between them",
            "The model needs repeated sessions; use `lag: same_session` if ratings are sparse.",
        )


def check_outcome(y: FloatArray, groups: Groups) -> None:
    if np.ptp(y) == 0:
        raise RefusedError(
            "the outcome has the same value in every row", "Check the scoring of the outcome."
        )
    if pooled_sd(y, groups) <= 1e-9 * np.std(y):
        raise RefusedError(
            "the outcome never changes within a client",
            "Check that the outcome was measured at every session, not copied from intake.",
        )


def check_therapists(groups: Groups, min_therapists: int) -> None:
    owner = groups.therapist_of_client
    panels = np.zeros(0) if owner is None else np.bincount(owner)
    enough = int((panels >= MIN_CLIENTS_PER_THERAPIST).sum())
    if enough < min_therapists:
        raise RefusedError(
            f"{enough} therapists have {MIN_CLIENTS_PER_THERAPIST} or more clients each; "
            f"differences between therapists need {min_therapists}",
            "Use the two-level model (therapists: false); its standard errors can be "
            "bootstrapped by therapist.",
        )


def pooled_sd(values: FloatArray, groups: Groups) -> float:
    degrees = len(values) - len(groups.client_ids)
    return float(np.sqrt(np.sum(groups.deviations(values) ** 2) / degrees)) if degrees else np.nan
