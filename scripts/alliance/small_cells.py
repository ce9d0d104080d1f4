"""Which counts may be shown, so that none of few clients is shown or can be worked out.

A count is small when it is above zero and below the study's smallest cell. Hiding the small counts
is not enough: one can be the difference of two that are shown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
EXACT = 1e-8


def is_small(count: float, smallest_cell: int) -> bool:
    """Above zero and below the smallest cell."""
    return 0 < count < smallest_cell


def count_in_words(count: int, smallest_cell: int) -> str:
    """The count, or ``fewer than 5``."""
    return f"fewer than {smallest_cell}" if is_small(count, smallest_cell) else f"{count:,}"


def shown_counts(
    groups: Mapping[str, int],
    sums: Mapping[str, Collection[str]],
    smallest_cell: int,
    given: Iterable[Collection[str]] = (),
) -> set[str]:
    """Names of the sums that can be shown together without telling a small count.

    Each sum is taken in turn, and shown unless the number of some set of groups that is small
    would then follow, by adding and subtracting, from what is shown. The first ones are therefore
    the likeliest to be shown.

    Parameters
    ----------
    groups : sizes of groups that do not overlap. sums : name -> the groups that it counts.
    given : sums that readers know in any case; what follows from them is not hidden in vain.

    Notes
    -----
    Empty groups count as known: a zero is no small cell.
    """
    filled = [name for name, size in groups.items() if size > 0]
    sizes = np.array([groups[name] for name in filled], dtype=float)
    sets = _all_sets(len(filled))
    small = sets[(sets @ sizes < smallest_cell) & (sets @ sizes > 0)]
    known = [_indicator(filled, members) for members in given]
    small = small[~_follows(small, known)]
    shown = set()
    for name, members in sums.items():
        row = _indicator(filled, members)
        if not _follows(small, [*known, row]).any():
            known.append(row)
            shown.add(name)
    return shown


def _all_sets(n: int) -> Array:
    """Every set of n groups as a row of zeros and ones."""
    return ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(float)


def _indicator(names: list[str], members: Collection[str]) -> Array:
    return np.array([float(name in members) for name in names])


def _follows(sets: Array, known: list[Array]) -> NDArray[np.bool_]:
    """Whether each set is a linear combination of the known sums."""
    if not known or sets.size == 0:
        return np.zeros(len(sets), dtype=bool)
    basis = np.array(known)
    rest = sets - sets @ np.linalg.pinv(basis) @ basis
    return np.abs(rest).max(axis=1) < EXACT


def suppressed_cells(counts: list[int], smallest_cell: int) -> set[int]:
    """Positions of the counts to hide, so that none below ``smallest_cell`` can be worked out.

    Small counts first; then, as the total is known, the next smallest until the hidden ones
    together are no small cell either.
    """
    hidden = {i for i, n in enumerate(counts) if is_small(n, smallest_cell)}
    rest = sorted((i for i, n in enumerate(counts) if n >= smallest_cell), key=lambda i: counts[i])
    while hidden and rest and sum(counts[i] for i in hidden) < smallest_cell:
        hidden.add(rest.pop(0))
    return hidden
