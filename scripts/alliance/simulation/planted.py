"""Ruptures that are planted in a simulated alliance, so that their onset and repair are known.

Shapes as in the methods specification, section 2.1: V (lowest for one session, back in one or
two), U (lowest for longer, back at the third session after onset), L (no return).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SHAPES: dict[str, tuple[tuple[float, ...], ...]] = {
    "V": ((1.0,), (1.0, 0.5)),
    "U": ((0.7, 1.0, 0.8), (1.0, 0.9, 0.6)),
    "L": ((1.0, 0.9, 0.8), (0.6, 1.0, 0.9)),
}
LEVEL_AFTER_L = 0.8
FIRST_ONSET = 4
SESSIONS_AFTER_ONSET = 5
OBSERVED_AFTER_UNREPAIRED = 3

RUPTURE_COLUMNS = ("client", "shape", "onset", "nadir", "repair", "depth", "status")


@dataclass(frozen=True)
class PlantingPlan:
    """How many ruptures to plant, how deep.

    Attributes
    ----------
    share_repaired, share_unrepaired : of all clients, before drop-out takes some away.
    depth : lowest and highest depth at the nadir, in within-client SDs of the latent alliance.
    """

    share_repaired: float
    share_unrepaired: float
    depth: tuple[float, float]


def plant_ruptures(
    plan: PlantingPlan, planned: IntArray, n_sessions: int, rng: np.random.Generator
) -> tuple[FloatArray, pd.DataFrame]:
    """Draw the clients, shapes and depths.

    Parameters
    ----------
    planned : (n,) planned number of sessions of each client.

    Returns
    -------
    tuple
        deflection (n, n_sessions), zero or negative, in within-client SDs, and one row per planted
        rupture: ``client`` (position), ``shape, onset, nadir, repair`` (session numbers; repair is
        missing for L), ``depth``.
    """
    n = planned.size
    length = np.minimum(planned, n_sessions)
    eligible = np.flatnonzero(length >= FIRST_ONSET + SESSIONS_AFTER_ONSET)
    order = rng.permutation(eligible)
    n_repaired = min(round(plan.share_repaired * n), order.size)
    n_unrepaired = min(round(plan.share_unrepaired * n), order.size - n_repaired)
    deflection = np.zeros((n, n_sessions))
    rows = []
    for position, client in enumerate(order[: n_repaired + n_unrepaired]):
        shape = "L" if position >= n_repaired else ("V", "U")[int(rng.integers(2))]
        profile = SHAPES[shape][int(rng.integers(len(SHAPES[shape])))]
        onset = int(rng.integers(FIRST_ONSET, length[client] - SESSIONS_AFTER_ONSET + 1))
        depth = float(rng.uniform(*plan.depth))
        deflection[client] = -depth * _course(shape, profile, onset, n_sessions)
        rows.append(
            {
                "client": int(client),
                "shape": shape,
                "onset": onset,
                "nadir": onset + int(np.argmax(profile)),
                "repair": pd.NA if shape == "L" else onset + len(profile),
                "depth": depth,
            }
        )
    table = pd.DataFrame(rows, columns=[c for c in RUPTURE_COLUMNS if c != "status"])
    return deflection, table.astype({"repair": "Int64"}).sort_values("client", ignore_index=True)


def _course(shape: str, profile: tuple[float, ...], onset: int, n_sessions: int) -> FloatArray:
    """The planted drop per session as a share of its depth."""
    course = np.zeros(n_sessions)
    course[onset - 1 : onset - 1 + len(profile)] = profile
    if shape == "L":
        course[onset - 1 + len(profile) :] = LEVEL_AFTER_L
    return course


def what_can_be_seen(planted: pd.DataFrame, last: IntArray) -> pd.DataFrame:
    """Planted ruptures that treatment lasted long enough to hold, with their status.

    A rupture whose onset lies after the client's last session ``last`` (n,) never happened. One
    whose repair (or, unrepaired, whose third later session) was not reached is indeterminate.
    """
    ended = last[planted["client"].to_numpy(dtype=int)]
    decided_at = planted["repair"].fillna(planted["onset"] + OBSERVED_AFTER_UNREPAIRED)
    status = np.where(planted["repair"].notna(), "repaired", "unrepaired")
    status = np.where(decided_at.to_numpy(dtype=int) <= ended, status, "indeterminate")
    seen = planted.assign(status=status)[planted["onset"].to_numpy(dtype=int) <= ended]
    seen = seen.reset_index(drop=True)
    seen.loc[seen["status"] == "indeterminate", "repair"] = pd.NA
    seen["nadir"] = np.minimum(seen["nadir"], last[seen["client"].to_numpy(dtype=int)])
    return seen[list(RUPTURE_COLUMNS)]


def windows(ruptures: pd.DataFrame, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(n, n_sessions) sessions that decide about a planted rupture: one before onset to repair."""
    inside = np.zeros(shape, dtype=bool)
    for row in ruptures.itertuples():
        end = row.onset + OBSERVED_AFTER_UNREPAIRED if pd.isna(row.repair) else int(row.repair)
        inside[row.client, row.onset - 2 : end] = True
    return inside
