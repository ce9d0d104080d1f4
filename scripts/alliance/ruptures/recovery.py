"""How well a rule finds planted ruptures, in studies simulated with known truth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alliance.ruptures.result import RuptureResult

TOLERANCE = 1  # sessions between a planted onset and the flag that may claim it


def sensitivity(
    result: RuptureResult, planted: pd.DataFrame, tolerance: int = TOLERANCE
) -> dict[str, object]:
    """Planted ruptures found, and false alarms where none was planted.

    Parameters
    ----------
    result : of :func:`alliance.ruptures.detect`.
    planted : ``client, onset``, one row per planted rupture; ``onset`` is a session number.
    tolerance : sessions by which a flag may miss the onset.

    Returns
    -------
    dict
        ``sensitivity`` is the share of planted ruptures with a flag within the tolerance, of all
        planted ruptures whose client is in the data (``n_planted``); each flag can claim one.
        ``n_unrated``: planted ruptures of clients none of whose sessions within the tolerance was
        rated, which no rule can find. ``false_alarms_per_client`` and ``pct_clients_alarmed`` are
        over clients without a planted rupture (``n_rupture_free``). NaN without a denominator.
    """
    base: dict[str, object] = {"rule": result.rule, "tolerance": tolerance}
    if result.refused:
        return {**base, "reason": result.refused}
    known = planted[planted["client"].isin(result.clients["client"])]
    flags = result.sessions.loc[result.sessions["flag"], ["client", "session"]]
    free = result.clients.loc[~result.clients["client"].isin(planted["client"]), "n_ruptures"]
    n_found = _count_matches(known.rename(columns={"onset": "session"}), flags, tolerance)
    n_rated = _count_near(known, result.sessions, tolerance)
    return {
        **base,
        "n_planted": len(known),
        "n_unrated": len(known) - n_rated,
        "n_found": n_found,
        "sensitivity": n_found / len(known) if len(known) else np.nan,
        "n_rupture_free": len(free),
        "false_alarms_per_client": float(free.mean()),
        "pct_clients_alarmed": 100 * float((free > 0).mean()) if len(free) else np.nan,
        "reason": "",
    }


def _count_matches(planted: pd.DataFrame, flags: pd.DataFrame, tolerance: int) -> int:
    """Planted onsets that get a flag of their own, matched in order of time.

    Taking the earliest unclaimed flag within reach of each onset in turn finds the largest
    possible number of matches, because all windows have the same width.
    """
    flags_of = {client: sorted(group) for client, group in flags.groupby("client")["session"]}
    n_found = 0
    for client, onsets in planted.groupby("client")["session"]:
        free = list(flags_of.get(client, []))
        for onset in sorted(onsets):
            claimed = next((flag for flag in free if abs(flag - onset) <= tolerance), None)
            if claimed is not None:
                free.remove(claimed)
                n_found += 1
    return n_found


def _count_near(planted: pd.DataFrame, sessions: pd.DataFrame, tolerance: int) -> int:
    """Planted onsets with at least one rated session within the tolerance."""
    rows = planted[["client", "onset"]].reset_index(drop=True).reset_index()
    pairs = rows.merge(sessions[["client", "session"]], on="client")
    near = (pairs["session"] - pairs["onset"]).abs() <= tolerance
    return int(pairs.loc[near, "index"].nunique())
