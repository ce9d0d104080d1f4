"""Checks of the files' columns against the study file, before anything is put together.

What is absent, ambiguous or repeated is told by the readers, who have to find every column; here
stands what they have no reason to notice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alliance.problems import Problem
from alliance.readers.assemble import find_columns
from alliance.readers.convert import client_column, session_column
from alliance.readers.patterns import fill_item
from alliance.readers.raw import RawTable
from alliance.readers.variables import Places, Variable, is_column
from alliance.study import Study
from alliance.validation.catalogue import tell

if TYPE_CHECKING:
    from alliance.instruments import Instrument


@dataclass(frozen=True)
class ColumnReport:
    """What was found out about the columns.

    Attributes
    ----------
    problems : of the readers and of this module.
    declared : ``{column or pattern: key that names it}``.
    used : columns of the files that are read.
    lost : keys that cannot be read, such as ``columns.date`` or ``measures.alliance``.
    keys_found : whether every file has its client and session columns, so that the rest can be
        checked without what is lost.
    variables, places : what the study declares, and where each of it stands.
    """

    problems: list[Problem]
    declared: dict[str, str]
    used: set[str]
    lost: set[str]
    keys_found: bool
    variables: list[Variable]
    places: Places


def check_columns(
    study: Study,
    instruments: Mapping[str, Instrument],
    tables: Mapping[str, RawTable],
    study_file: str,
) -> ColumnReport:
    """Look every declared column up in the files that could be read."""
    variables, places, problems = find_columns(study, instruments, tables)
    keys = _key_columns(study, tables)
    declared = {v.pattern: v.key for v in variables} | keys
    used = {c for found in places.values() for place in found for c in place.columns.values()}
    named = [*((v.pattern, v.key) for v in variables), *keys.items()]
    problems = [
        *problems,
        *_check_roles(named, study_file),
        *_check_separators(tables, declared),
        *_check_clients(study, tables),
        *_check_more_items(study, variables, tables, set(declared), study_file),
    ]
    return ColumnReport(
        problems,
        declared,
        used | set(keys),
        {_section(p) for p in problems if p.severity == "error"} - {""},
        all(_has_keys(study, table) for table in tables.values()),
        variables,
        places,
    )


def _section(problem: Problem) -> str:
    """``measures.alliance`` of a problem at ``key measures.alliance.items``."""
    key = problem.where.removeprefix("key ") if problem.where.startswith("key ") else ""
    return ".".join(key.split(".")[:2])


def _key_columns(study: Study, tables: Mapping[str, RawTable]) -> dict[str, str]:
    columns = {client_column(study, raw): "columns.client" for raw in tables.values()}
    if study.data.layout == "long":
        for raw in tables.values():
            session = session_column(study, raw)
            if session is not None and raw.table.level == "session":
                columns[session] = "columns.session"
    return columns


def _has_keys(study: Study, raw: RawTable) -> bool:
    wanted = [client_column(study, raw)]
    if raw.table.level == "session" and study.data.layout == "long":
        date = study.columns.date.column if study.columns.date else None
        wanted.append(session_column(study, raw) or date or "")
    return set(wanted) <= set(raw.frame.columns)


def _check_roles(named: Iterable[tuple[str, str]], study_file: str) -> Iterable[Problem]:
    keys: dict[str, set[str]] = {}
    for column, key in named:
        keys.setdefault(column, set()).add(key)
    for column, named_by in keys.items():
        if len(named_by) > 1:
            found = f"column '{column}' named by {' and '.join(sorted(named_by))}"
            yield tell("TWO_ROLES", study_file, f"key {min(named_by)}", found)


def _check_separators(
    tables: Mapping[str, RawTable], declared: Mapping[str, str]
) -> Iterable[Problem]:
    for table in tables.values():
        if table.frame.shape[1] == 1 and len(tables) == 1 and len(declared) > 2:
            yield tell("ONE_COLUMN", table.file, "", "one column", wanted=len(declared))


def _check_clients(study: Study, tables: Mapping[str, RawTable]) -> Iterable[Problem]:
    for table in tables.values():
        column = client_column(study, table)
        if column in table.frame and table.frame[column].isna().all():
            yield tell("NO_CLIENTS", table.file, f"column '{column}'", "no identifier in any row")


def _check_more_items(
    study: Study,
    variables: Iterable[Variable],
    tables: Mapping[str, RawTable],
    declared: set[str],
    study_file: str,
) -> Iterable[Problem]:
    """The first items of a longer form would be scored as the shorter form without a word."""
    items = Counter(v.measure for v in variables if v.key == f"measures.{v.measure}.items")
    for name, measure in study.measures.items():
        if not isinstance(measure.items, str) or name not in items:
            continue
        table, _, rest = measure.items.partition(".")
        pattern = rest if table in tables else measure.items
        read = [tables[table]] if table in tables else list(tables.values())
        present = {column for raw in read for column in raw.frame.columns} - declared
        further: list[str] = []
        if fill_item(pattern, 1) == fill_item(pattern, 2):
            continue  # without {item} every number is the same column, and none is the last
        while is_column(after := fill_item(pattern, items[name] + len(further) + 1), present):
            further.append(after)
        if further:
            shown = f"'{further[0]}'" + (f" to '{further[-1]}'" if len(further) > 1 else "")
            found = f"{items[name]} items as declared, and further columns {shown}"
            yield tell("MORE_ITEMS", study_file, f"key measures.{name}.items", found,
                       instrument=measure.instrument, n_items=items[name])  # fmt: skip
