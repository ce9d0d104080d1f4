"""Which counts may be shown, so that none of few clients is shown or can be worked out.

A count is small when it is above zero and below the study's smallest cell. Hiding the small counts
is not enough: one can be the difference of two that are shown.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
EXACT = 1e-8
# A rule such as "at least 3 clients each are needed" counts nobody.
_NUMBER_OF_CLIENTS = re.compile(r"(?<!at least )(?<!fewer than )(?<![\w.,])(\d+) client(s?)\b")
# The steps of cleaning, as readers of the flow are told them.
STEP_WORDS: dict[str, str] = {
    "rows_without_client": "Rows without client",
    "rows_without_session": "Rows without session number",
    "exact_duplicates": "Identical rows",
    "conflicting_duplicates": "Differing rows for one session",
    "out_of_range": "Impossible answers",
    "attention_checks": "Attention checks failed",
    "unattended": "Ratings of sessions that did not take place",
    "dates_against_order": "Dates against the order of sessions",
    "therapist_changes": "Changes of therapist",
    "min_sessions": "Fewer sessions than asked for",
}


def step_words(step: str) -> str:
    """A step of cleaning in plain words."""
    plain = step.replace("_", " ")
    return STEP_WORDS.get(step, plain[:1].upper() + plain[1:])


def is_small(count: float, smallest_cell: int) -> bool:
    """Above zero and below the smallest cell."""
    return 0 < count < smallest_cell


def few_in_words(text: str, smallest_cell: int) -> str:
    """A text in which no number of few clients stands: ``3 clients`` is fewer than 5 clients."""

    def told(found: re.Match[str]) -> str:
        few = is_small(int(found[1]), smallest_cell)
        return f"fewer than {smallest_cell} clients" if few else found[0]

    return _NUMBER_OF_CLIENTS.sub(told, text)


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


def shown_flow(flow: pd.DataFrame, smallest_cell: int) -> pd.DataFrame:
    """The flow of sessions and clients without numbers of few clients.

    Parameters
    ----------
    flow : ``order, step, sessions_in, sessions_out, clients_in, clients_out, reason``.

    Returns
    -------
    DataFrame
        The same in order, with ``sessions_lost``, ``clients_lost`` and ``lost_in_words``. Numbers
        of clients are NaN where a step that lost few would follow; the number analysed comes
        first, then the number read, then the others. Sessions are rows, not clients, and are shown.
    """
    steps = flow.sort_values("order", ignore_index=True)
    lost = (steps["clients_in"] - steps["clients_out"]).astype(int)
    names = [str(at) for at in steps.index]
    groups = dict(zip(names, lost, strict=True)) | {"left": int(steps["clients_out"].iloc[-1])}
    after = {f"out {at}": {"left", *names[int(at) + 1 :]} for at in names}
    first = {"analysed": {"left"}, "in 0": {"left", *names}}
    shown = shown_counts(groups, first | after | {f"lost {n}": {n} for n in names}, smallest_cell)
    told = {part: pd.Series([f"{part} {at}" in shown for at in names]) for part in ("out", "lost")}
    told["in"] = told["out"].shift(fill_value="in 0" in shown)
    return steps.assign(
        sessions_lost=steps["sessions_in"] - steps["sessions_out"],
        clients_in=steps["clients_in"].where(told["in"]),
        clients_out=steps["clients_out"].where(told["out"]),
        clients_lost=lost.where(told["lost"] | (lost == 0)),
        lost_in_words=[
            f"{n:,}" if known or n == 0 else _roughly(n, smallest_cell)
            for n, known in zip(lost, told["lost"], strict=True)
        ],
    )


def _roughly(count: int, smallest_cell: int) -> str:
    few = is_small(count, smallest_cell)
    return f"fewer than {smallest_cell}" if few else f"{smallest_cell} or more"
