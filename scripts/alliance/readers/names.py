"""Column names as they should be: trimmed, none empty, none twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def tidy_names(header: Iterable[object]) -> tuple[list[str], frozenset[str], list[str]]:
    """Usable column names from a header row.

    Parameters
    ----------
    header : the cells of the header row; ``None`` and blanks are nameless.

    Returns
    -------
    names : list of str
        One per column: nameless ones are called ``column_<position>``, repeated ones get
        `` (2)`` and so on.
    repeated : frozenset of str
        Names that stand there more than once.
    notes : list of str
        What was done, for the user.
    """
    trimmed = [_text(cell) for cell in header]
    counts = Counter(name for name in trimmed if name)
    repeated = frozenset(name for name, count in counts.items() if count > 1)
    seen: Counter[str] = Counter()
    names: list[str] = []
    for position, name in enumerate(trimmed, start=1):
        seen[name] += 1
        if not name:
            names.append(f"column_{position}")
        else:
            names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names, repeated, _notes(trimmed, repeated)


def _text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return " ".join(str(cell).split())


def _notes(trimmed: list[str], repeated: frozenset[str]) -> list[str]:
    notes = []
    nameless = [str(position) for position, name in enumerate(trimmed, start=1) if not name]
    if nameless:
        notes.append(
            f"columns without a name (often left over from merged header cells): position "
            f"{', '.join(nameless)}"
        )
    if repeated:
        notes.append(f"column names that stand there twice: {', '.join(sorted(repeated))}")
    return notes
