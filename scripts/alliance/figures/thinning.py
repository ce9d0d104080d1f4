"""Which clients are drawn one by one: never more than thirty, chosen by seed or by a rule."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

MOST_CLIENTS = 30
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # in place of the pseudonyms of single clients


def thin_clients(clients: pd.Series, seed: int, most: int = MOST_CLIENTS) -> list[str]:
    """At most ``most`` of the clients named in ``clients``, sorted; the same for the same seed.

    Raises
    ------
    ValueError
        If more than thirty are asked for.
    """
    if most > MOST_CLIENTS:
        raise ValueError(f"no figure shows more than {MOST_CLIENTS} single clients")
    names = np.array(sorted(clients.dropna().astype(str).unique()), dtype=object)
    if names.size <= most:
        return [str(name) for name in names]
    chosen = np.random.default_rng(seed).choice(names.size, size=most, replace=False)
    return [str(name) for name in names[np.sort(chosen)]]


def example_clients(
    clients: pd.DataFrame, quota: Mapping[str, int], smallest_cell: int
) -> list[tuple[str, str]]:
    """Examples of each label: client and label, evenly spaced over the number of ratings.

    Parameters
    ----------
    clients : ``client, label, n_sessions``. quota : label -> how many at most.
    smallest_cell : a label that fewer clients have gives no example, lest it point at someone.
    """
    chosen: list[tuple[str, str]] = []
    for label, wanted in quota.items():
        having = clients[clients["label"] == label].sort_values(["n_sessions", "client"])
        if len(having) < max(smallest_cell, 1):
            continue
        n = min(wanted, len(having))
        evenly = ((np.arange(n) + 0.5) * len(having) / n).astype(int)
        chosen += [(name, label) for name in having["client"].iloc[evenly]]
    return chosen


def numbered(clients: list[str]) -> dict[str, str]:
    """Client -> ``client 01`` and so on: the numbers of a figure travel, pseudonyms must not."""
    return {name: f"client {position:02d}" for position, name in enumerate(clients, start=1)}


def chosen_clients(n: int) -> str:
    """How many single clients a figure shows, and how they were chosen where there are more."""
    how = " (where there are more, drawn at random with a fixed seed)" if n == MOST_CLIENTS else ""
    return f"{n} clients{how}"
