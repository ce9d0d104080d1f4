"""Which clients are drawn one by one: never more than thirty, chosen by the study's seed."""

from __future__ import annotations

import numpy as np
import pandas as pd

MOST_CLIENTS = 30


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


def numbered(clients: list[str]) -> dict[str, str]:
    """Client -> ``client 01`` and so on: the numbers of a figure travel, pseudonyms must not."""
    return {name: f"client {position:02d}" for position, name in enumerate(clients, start=1)}


def chosen_clients(n: int) -> str:
    """How many single clients a figure shows, and how they were chosen."""
    return f"{n} clients drawn at random (fixed seed)" if n == MOST_CLIENTS else f"{n} clients"
