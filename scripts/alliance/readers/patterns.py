"""Column names with ``{item}`` and ``{session}`` in them."""

from __future__ import annotations

import re
from collections.abc import Iterable

SESSION_FIELD = re.compile(r"\{session(?::([^}]*))?\}")
ITEM_FIELD = re.compile(r"\{item(?::([^}]*))?\}")


def fill_item(pattern: str, item: int) -> str:
    """``wai_{item:02d}`` with item 3 is ``wai_03``; a ``{session}`` stays."""
    return ITEM_FIELD.sub(lambda field: format(item, field.group(1) or ""), pattern)


def fill_session(pattern: str, session: int) -> str:
    """``bdi_s{session}`` with session 3 is ``bdi_s3``."""
    return SESSION_FIELD.sub(lambda field: format(session, field.group(1) or ""), pattern)


def has_session(pattern: str) -> bool:
    """Whether the name holds a ``{session}``."""
    return SESSION_FIELD.search(pattern) is not None


def match_sessions(pattern: str, columns: Iterable[str]) -> dict[int, str]:
    """Columns that ``pattern`` names, by session number, in the order of the sessions.

    Only whole numbers are sessions: ``bdi_{session}`` does not take in ``bdi_fu1``; and only as
    the pattern writes them: ``s{session}`` does not take in ``s01``.
    """
    before, after = SESSION_FIELD.split(pattern)[0], SESSION_FIELD.split(pattern)[-1]
    number = re.compile(f"{re.escape(before)}(\\d+)(?:{re.escape(after)}|.*{re.escape(after)})")
    found = {}
    for column in columns:
        match = number.fullmatch(column)
        if match and fill_session(pattern, int(match.group(1))) == column:
            found[int(match.group(1))] = column
    return dict(sorted(found.items()))


def not_sessions(pattern: str, columns: Iterable[str]) -> list[str]:
    """Columns that begin and end like ``pattern`` but have no session number in the middle."""
    before, after = SESSION_FIELD.split(pattern)[0], SESSION_FIELD.split(pattern)[-1]
    taken = set(match_sessions(pattern, columns := list(columns)).values())
    if not before:
        return []
    return [c for c in columns if c.startswith(before) and c.endswith(after) and c not in taken]
