"""Titles of tables: what is shown, at which level, about which rating; no two alike in a study."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from alliance.tables.apa import ApaTable

# ``client`` marks comparisons of clients with each other, such as those by rupture.
_PARTS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"within_client"}), "Within Clients"),
    (frozenset({"between_client", "client"}), "Between Clients"),
    (frozenset({"between_therapist"}), "Between Therapists"),
)


def levels_in_words(levels: Iterable[str]) -> str:
    """``Within and Between Clients``; empty where there is none (tests of the whole, counts)."""
    given = set(levels)
    words = [name for names, name in _PARTS if names & given]
    if words[:2] == ["Within Clients", "Between Clients"]:
        words[:2] = ["Within and Between Clients"]
    return " and ".join(words)


def title_of(what: str, about: str = "", levels: Iterable[str] = ()) -> str:
    """``Components, Within and Between Clients: Client-rated alliance``.

    Parameters
    ----------
    what : in title case. about : the model, rating or component, as the study file names it.
    levels : levels of the estimates shown; said once, also where ``about`` says them.
    """
    words = levels_in_words(levels)
    if words and all(part.lower() in about.lower() for part in _single(levels)):
        words = ""
    return ": ".join(filter(None, [", ".join(filter(None, [what, words])), about]))


def _single(levels: Iterable[str]) -> list[str]:
    given = set(levels)
    return [name for names, name in _PARTS if names & given]


def title_of_model(label: str, levels: Iterable[str]) -> str:
    """``Alliance predicting symptoms: Within and Between Clients``."""
    levels = list(levels)
    if all(part.lower() in label.lower() for part in _single(levels)):
        return label
    return f"{label}: {levels_in_words(levels)}"


def told_apart(tables: Iterable[ApaTable], keys: Iterable[str]) -> list[ApaTable]:
    """The tables; those that share a title also name their key in the study file.

    Two analyses of one rating, say by other rules, would otherwise have tables of the same title.

    Parameters
    ----------
    keys : of the analyses of the study; the name of a table ends with that of its analysis.
    """
    tables, ordered = list(tables), sorted(keys, key=len, reverse=True)
    titles = [table.title for table in tables]
    return [
        replace(table, title=f"{table.title} ({_key_of(table, ordered)})")
        if titles.count(table.title) > 1
        else table
        for table in tables
    ]


def _key_of(table: ApaTable, keys: list[str]) -> str:
    return next((key for key in keys if table.name.endswith(f"_{key}")), table.name)
