"""How the chances of a discrete drop are spread over ratings, and whether they are right.

The chances come from the mixture of ``alliance.estimation.innovations``. Whether they separate
planted ruptures from other ratings can be known in simulated studies only.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from alliance.ruptures.recovery import TOLERANCE, sensitivity
from alliance.ruptures.result import RuptureResult
from alliance.small_cells import is_small

EDGES: tuple[float, ...] = (0.0, 0.01, 0.05, 0.2, 0.5, 0.8, 1.0)
LIKELY = 0.5  # a drop is likelier than not
N_RESAMPLES = 1000
CLASS_COLUMNS: tuple[str, ...] = (
    "low", "high", "n_sessions", "pct_sessions", "n_clients", "mean_probability",
)  # fmt: skip
RECOVERY_COLUMNS: tuple[str, ...] = (
    "quantity", "low", "high", "n", "n_onsets", "mean_probability", "estimate", "ci_low", "ci_high",
    "reason",
)  # fmt: skip


def chance_classes(probabilities: pd.DataFrame, smallest_cell: int) -> pd.DataFrame:
    """Ratings by their chance of being a discrete drop, in classes of enough clients.

    Parameters
    ----------
    probabilities : ``client, session, probability``; NaN at first ratings, which are left out.
    smallest_cell : a class of fewer clients is put together with the next lower one, so that no
        number of few clients is told nor follows from the total.

    Returns
    -------
    DataFrame
        ``CLASS_COLUMNS``, from the lowest class up: ratings with ``low <= probability < high`` (of
        the highest class also ``high`` itself). ``n_clients`` is NaN where the number of clients
        without such a rating would be small. Empty if all ratings are of too few clients.
    """
    known = probabilities.dropna(subset=["probability"])
    total = known["client"].nunique()
    if total == 0 or is_small(total, smallest_cell):
        return pd.DataFrame(columns=list(CLASS_COLUMNS))
    edges = _merged_edges(known, smallest_cell)
    rows = []
    for at, own in _by_class(known, edges):
        n_clients = own["client"].nunique()
        told = not is_small(total - n_clients, smallest_cell)
        rows.append(
            (edges[at], edges[at + 1], len(own), 100 * len(own) / len(known),
             n_clients if told else np.nan, own["probability"].mean())
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(CLASS_COLUMNS))


def _merged_edges(known: pd.DataFrame, smallest_cell: int) -> list[float]:
    """Limits of classes none of which has few clients: from the top, each joins the one below."""
    edges = list(EDGES)
    for at in range(len(edges) - 2, 0, -1):
        inside = known["probability"] >= edges[at]
        if at + 1 < len(edges) - 1:
            inside &= known["probability"] < edges[at + 1]
        if is_small(known.loc[inside, "client"].nunique(), smallest_cell):
            del edges[at]
    lowest = known.loc[known["probability"] < edges[1], "client"].nunique()
    while len(edges) > 2 and is_small(lowest, smallest_cell):
        del edges[1]
        lowest = known.loc[known["probability"] < edges[1], "client"].nunique()
    return edges


def _by_class(known: pd.DataFrame, edges: list[float]) -> list[tuple[int, pd.DataFrame]]:
    place = np.searchsorted(edges[1:-1], known["probability"].to_numpy(), side="right")
    return [(at, known[place == at]) for at in range(len(edges) - 1)]


def chance_recovery(
    probabilities: pd.DataFrame, planted: pd.DataFrame, classes: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """Chances held against the ruptures planted in a simulated study.

    Parameters
    ----------
    probabilities : ``client, session, probability``; NaN at first ratings.
    planted : ``client, onset``, one row per planted rupture.
    classes : of :func:`chance_classes`. seed : of the resampling.

    Returns
    -------
    DataFrame
        ``RECOVERY_COLUMNS``, one row per ``quantity``, and for ``calibration`` one per class:

        ``calibration``: share of the ``n`` ratings of the class that are planted onsets, with
        Wilson's 95 % interval (ratings taken as independent), beside their ``mean_probability``.
        ``auc``: chance that a rating at a planted onset has the higher probability than another
        rating, ties counting half; percentile interval over 1,000 resamples of clients.
        ``found``: share of planted ruptures with a probability of at least .5 within one session,
        as rupture rules are held against them. ``false_alarms``: such ratings per client without a
        planted rupture; ``n`` is then clients.
    """
    known = probabilities.dropna(subset=["probability"])
    if known.empty:
        nothing = {"quantity": "auc", "reason": "no rating has a probability of a drop"}
        return pd.DataFrame([nothing], columns=list(RECOVERY_COLUMNS))
    at_onset = _marked(known, planted)
    rows = [
        *_calibration_rows(known.assign(onset=at_onset), classes),
        _auc_row(known, at_onset, seed),
        *_likely_rows(probabilities, planted),
    ]
    return pd.DataFrame(rows, columns=list(RECOVERY_COLUMNS))


def _marked(known: pd.DataFrame, planted: pd.DataFrame) -> NDArray[np.bool_]:
    onsets = set(zip(planted["client"], planted["onset"], strict=True))
    pairs = zip(known["client"], known["session"], strict=True)
    return np.array([pair in onsets for pair in pairs], dtype=bool)


def _calibration_rows(known: pd.DataFrame, classes: pd.DataFrame) -> list[dict[str, object]]:
    if classes.empty:
        return []
    edges = [*classes["low"], classes["high"].iloc[-1]]
    rows = []
    for at, own in _by_class(known, edges):
        n, hits = len(own), int(own["onset"].sum())
        low, high = wilson(hits, n)
        rows.append({
            "quantity": "calibration", "low": edges[at], "high": edges[at + 1], "n": n,
            "n_onsets": hits, "mean_probability": own["probability"].mean(),
            "estimate": hits / n if n else np.nan, "ci_low": low, "ci_high": high, "reason": "",
        })  # fmt: skip
    return rows


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's (1927) 95 % interval of a share; NaN without trials."""
    if n == 0:
        return np.nan, np.nan
    z = float(norm.ppf(0.975))
    centre = (hits + z**2 / 2) / (n + z**2)
    half = z * np.sqrt(hits * (n - hits) / n + z**2 / 4) / (n + z**2)
    return max(0.0, centre - half), min(1.0, centre + half)


def _auc_row(known: pd.DataFrame, at_onset: NDArray[np.bool_], seed: int) -> dict[str, object]:
    row: dict[str, object] = {
        "quantity": "auc", "n": len(known), "n_onsets": int(at_onset.sum()), "reason": "",
    }  # fmt: skip
    if not at_onset.any() or at_onset.all():
        return row | {"reason": "no rating is at a planted onset, or every one is"}
    value = known["probability"].to_numpy()
    low, high = _resampled_auc(value, at_onset, pd.factorize(known["client"])[0], seed)
    return row | {"estimate": auc(value, at_onset), "ci_low": low, "ci_high": high}


def auc(value: NDArray[np.float64], marked: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: Mann and Whitney's U over the number of pairs."""
    n_marked = int(marked.sum())
    ranks = rankdata(value)[marked].sum() - n_marked * (n_marked + 1) / 2
    return float(ranks / (n_marked * (marked.size - n_marked)))


def _resampled_auc(
    value: NDArray[np.float64], marked: NDArray[np.bool_], client: NDArray[np.int64], seed: int
) -> tuple[float, float]:
    """Percentile limits over resamples of whole clients; resamples without onsets are left out."""
    rows_of = [np.flatnonzero(client == one) for one in range(client.max() + 1)]
    random = np.random.default_rng(seed)
    found = []
    for _ in range(N_RESAMPLES):
        drawn = random.integers(len(rows_of), size=len(rows_of))
        rows = np.concatenate([rows_of[one] for one in drawn])
        if marked[rows].any() and not marked[rows].all():
            found.append(auc(value[rows], marked[rows]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _likely_rows(probabilities: pd.DataFrame, planted: pd.DataFrame) -> list[dict[str, object]]:
    """Likely drops counted as the flags of a rule are."""
    flags = probabilities["probability"] >= LIKELY
    counts = flags.groupby(probabilities["client"]).sum()
    clients = counts.rename_axis("client").reset_index(name="n_ruptures")
    result = RuptureResult(
        "discrete_drop", probabilities.assign(flag=flags), pd.DataFrame(), clients, ""
    )
    found = sensitivity(result, planted, TOLERANCE)
    return [
        {"quantity": "found", "low": LIKELY, "high": 1.0, "n": found["n_planted"],
         "n_onsets": found["n_found"], "estimate": found["sensitivity"], "reason": ""},
        {"quantity": "false_alarms", "low": LIKELY, "high": 1.0, "n": found["n_rupture_free"],
         "estimate": found["false_alarms_per_client"], "reason": ""},
    ]  # fmt: skip
