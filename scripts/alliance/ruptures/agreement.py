"""Do rules agree on who ruptured, and when? Rule by rule, by session and by client."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from alliance.ruptures.episodes import STATUSES
from alliance.ruptures.result import RuptureResult
from alliance.small_cells import is_small

LEVELS: tuple[str, ...] = ("onset", "session", "client")
Marks = tuple[np.ndarray, np.ndarray]


def agreement_matrix(results: Mapping[str, RuptureResult], smallest_cell: int = 1) -> pd.DataFrame:
    """Agreement of every pair of rules run on the same scores.

    Parameters
    ----------
    smallest_cell : pairs with fewer clients in a cell of their two-by-two table (marked by both
        rules, by one, by neither), or with few clients that one of them could not evaluate, have a
        reason, and no number that would tell it.

    Returns
    -------
    DataFrame
        ``rule_a, rule_b, level, n, n_a, n_b, n_both, jaccard, kappa, reason``. Level ``onset``:
        the same session starts a rupture; ``session``: the session lies in an episode; ``client``:
        the client has a rupture. ``n`` counts what both rules could evaluate. Jaccard is NaN where
        neither marks anything, Cohen's kappa where chance agreement is perfect. A rule that was
        refused has rows with its reason and no numbers.

    Raises
    ------
    ValueError
        If two results come from different scores.
    """
    run = [result for result in results.values() if not result.refused]
    _same_scores(run)
    marks = {result.rule: _marks(result) for result in run}
    rows = [
        _pair_row(a, b, level, marks, smallest_cell)
        for a, b in combinations(results.values(), 2)
        for level in LEVELS
    ]
    columns = ["rule_a", "rule_b", "level", "n", "n_a", "n_b", "n_both", "jaccard", "kappa"]
    return pd.DataFrame(rows, columns=[*columns, "reason"])


def _same_scores(results: list[RuptureResult]) -> None:
    for result in results[1:]:
        first = results[0].sessions[["client", "session", "score"]]
        if not result.sessions[["client", "session", "score"]].equals(first):
            raise ValueError("agreement needs results of rules run on the same scores")


def _marks(result: RuptureResult) -> dict[str, Marks]:
    """Per level: what the rule could evaluate, and what it marked."""
    state = result.sessions["state"]
    ruptured = (state == "ruptured").to_numpy()
    evaluated = ruptured | (state == "intact").to_numpy()
    label = result.clients["label"]
    return {
        "onset": (evaluated, result.sessions["flag"].to_numpy()),
        "session": (evaluated, ruptured),
        "client": ((label != "not_evaluable").to_numpy(), label.isin(STATUSES).to_numpy()),
    }


def _pair_row(
    a: RuptureResult,
    b: RuptureResult,
    level: str,
    marks: Mapping[str, Mapping[str, Marks]],
    smallest_cell: int,
) -> dict[str, object]:
    names: dict[str, object] = {"rule_a": a.rule, "rule_b": b.rule, "level": level}
    refused = "; ".join(f"{r.rule}: {r.refused}" for r in (a, b) if r.refused)
    if refused:
        return {**names, "jaccard": np.nan, "kappa": np.nan, "reason": refused}
    evaluated_a, marked_a = marks[a.rule][level]
    evaluated_b, marked_b = marks[b.rule][level]
    both = evaluated_a & evaluated_b
    client = (a.clients if level == "client" else a.sessions)["client"].to_numpy()[both]
    found = pair_agreement(marked_a[both], marked_b[both])
    left_out = int((~both).sum()) if level == "client" else 0
    few_left_out = is_small(left_out, smallest_cell)
    if few_left_out or tells_few(client, marked_a[both], marked_b[both], smallest_cell):
        where = "could not be evaluated" if few_left_out else "in a cell of the two-by-two table"
        reason = f"fewer than {smallest_cell} clients {where}"
        n = np.nan if few_left_out or is_small(len(set(client)), smallest_cell) else found["n"]
        return {**names, **dict.fromkeys(found, np.nan), "n": n, "reason": reason}
    return {**names, **found, "reason": ""}


def tells_few(
    client: np.ndarray, marked_a: np.ndarray, marked_b: np.ndarray, smallest_cell: int
) -> bool:
    """Whether a cell of the two-by-two table holds few clients."""
    cell = 2 * marked_a.astype(int) + marked_b
    people = pd.Series(client).groupby(cell).nunique()
    return any(is_small(n, smallest_cell) for n in people)


def pair_agreement(marked_a: np.ndarray, marked_b: np.ndarray) -> dict[str, float]:
    """Counts, Jaccard index and Cohen's kappa of two boolean arrays of equal length."""
    n, n_a, n_b = marked_a.size, int(marked_a.sum()), int(marked_b.sum())
    n_both = int((marked_a & marked_b).sum())
    either = n_a + n_b - n_both
    counts = {"n": n, "n_a": n_a, "n_b": n_b, "n_both": n_both}
    return {
        **counts,
        "jaccard": n_both / either if either else np.nan,
        "kappa": _kappa(n, n_a, n_b, n_both),
    }


def _kappa(n: int, n_a: int, n_b: int, n_both: int) -> float:
    if n == 0:
        return np.nan
    observed = (n - n_a - n_b + 2 * n_both) / n
    chance = (n_a * n_b + (n - n_a) * (n - n_b)) / n**2
    return (observed - chance) / (1 - chance) if chance < 1 else np.nan
