"""Which structure of the residuals a model asks for, and whether the data can carry it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.study import Covariate, ModelSpec

IntArray = NDArray[np.int64]

MIN_CLIENTS_FOR_SERIAL = 5
_ROWS_FOR_SERIAL = 3  # with a random level, two rows do not tell correlation from level


@dataclass(frozen=True)
class ResidualDesign:
    """The structure of the residuals of every row.

    Attributes
    ----------
    position : (n_obs,) session number in steps. step : sessions per step; more than one where
        all gaps between a study's ratings are multiples of it.
    serial : whether residuals are correlated within a client.
    group : (n_obs,) category of the residual SD; all zero with one. group_names : in words.
    by : what the categories are, in words; empty with one.
    """

    position: IntArray
    step: int
    serial: bool
    group: IntArray
    group_names: tuple[str, ...]
    by: str = ""


def residual_design(
    frame: pd.DataFrame,
    spec: ModelSpec,
    covariate: Covariate | None,
    client: IntArray,
    smallest_cell: int,
) -> tuple[ResidualDesign | None, list[tuple[str, str]]]:
    """The structure that the data can carry, and (term, reason) of what they cannot.

    Parameters
    ----------
    frame : model frame without gaps in what the model uses. covariate : that of ``variance_by``.
    client : (n_obs,) codes.
    """
    wanted = spec.residuals
    dropped: list[tuple[str, str]] = []
    session = _sessions(frame)
    serial, step = wanted.correlation == "ar1", 1
    if serial:
        reason, step = _serial_obstacle(session, client)
        if reason:
            serial = False
            dropped.append(("residual correlation", reason))
    group, names, by = _groups(frame, spec, covariate, session)
    reason = _group_obstacle(group, names, client, smallest_cell) if wanted.variance_by else ""
    if reason:
        group, names, by = np.zeros(len(frame), dtype=np.int64), ("all",), ""
        dropped.append((f"residual SD by {wanted.variance_by}", reason))
    if not serial and len(names) < 2:
        return None, dropped
    position = (session - session.min()) // step if step > 1 else session
    return ResidualDesign(position, step, serial, group, names, by), dropped


def _sessions(frame: pd.DataFrame) -> IntArray:
    column = "outcome_session" if "outcome_session" in frame.columns else "time"
    if column not in frame.columns:
        raise ValueError("residuals with a structure need the column outcome_session")
    return np.asarray(np.rint(frame[column].to_numpy(dtype=np.float64)), dtype=np.int64)


def _serial_obstacle(session: IntArray, client: IntArray) -> tuple[str, int]:
    """Why a correlation from session to session cannot be estimated; and the common step."""
    order = np.lexsort((session, client))
    gaps = np.diff(session[order])[np.diff(client[order]) == 0]
    if not gaps.size:
        return "no client has two rows", 1
    if (gaps == 0).any():
        return "some clients have two rows with the same session number", 1
    long = int((np.bincount(client) >= _ROWS_FOR_SERIAL).sum())
    if long < MIN_CLIENTS_FOR_SERIAL:
        need = f"{_ROWS_FOR_SERIAL} or more rows; {MIN_CLIENTS_FOR_SERIAL} are needed"
        return f"{long} clients have {need}", 1
    return "", int(np.gcd.reduce(gaps))


def _groups(
    frame: pd.DataFrame, spec: ModelSpec, covariate: Covariate | None, session: IntArray
) -> tuple[IntArray, tuple[str, ...], str]:
    wanted = spec.residuals
    if wanted.variance_by is None:
        return np.zeros(len(frame), dtype=np.int64), ("all",), ""
    if wanted.variance_by == "phase":
        ends = np.asarray(wanted.phases, dtype=np.int64)
        codes = np.searchsorted(ends, session, side="left").astype(np.int64)
        return *_present(codes, _phase_names(ends)), "phase"
    codes, names = pd.factorize(frame[wanted.variance_by].astype(str), sort=True)
    label = covariate.label if covariate and covariate.label else wanted.variance_by
    return codes.astype(np.int64), tuple(map(str, names)), label


def _phase_names(ends: IntArray) -> list[str]:
    """``sessions to 4``, ``sessions 5 to 10``, ``sessions from 11``."""
    middle = [f"sessions {a + 1} to {b}" for a, b in pairwise(ends)]
    return [f"sessions to {ends[0]}", *middle, f"sessions from {ends[-1] + 1}"]


def _present(codes: IntArray, names: list[str]) -> tuple[IntArray, tuple[str, ...]]:
    """Only categories that occur."""
    found, dense = np.unique(codes, return_inverse=True)
    return dense.astype(np.int64), tuple(names[k] for k in found)


def _group_obstacle(
    group: IntArray, names: tuple[str, ...], client: IntArray, smallest_cell: int
) -> str:
    """Why residual SDs by category cannot be estimated; counts of few clients are not told."""
    if len(names) < 2:
        return "all rows are in one category"
    needed = max(smallest_cell, 2)
    sizes = [np.bincount(client[group == k]) for k in range(len(names))]
    small = [n for n, rows in zip(names, sizes, strict=True) if (rows >= 2).sum() < needed]
    if small:
        return f"fewer than {needed} clients have two or more rows in {', '.join(small)}"
    return ""
