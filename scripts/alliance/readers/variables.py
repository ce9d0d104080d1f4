"""Which variables a study declares, and in which file and column each of them stands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from alliance.problems import Problem, suggest
from alliance.readers.answers import keyed
from alliance.readers.patterns import (
    ITEM_FIELD,
    SESSION_FIELD,
    fill_item,
    has_session,
    match_sessions,
)
from alliance.readers.raw import RawTable
from alliance.study import Column, Measure, Study
from alliance.study.rupture_sources import RUPTURE_REPORTS

Kind = Literal["id", "date", "category", "number"]
Level = Literal["session", "client", "either"]
SHOWN_COLUMNS = 12
NUMBER_FORMS = ("", ":02d", ":03d")  # 1, 01, 001


class HasItems(Protocol):
    """What the readers need of an instrument."""

    @property
    def n_items(self) -> int | None:
        """Number of items."""


@dataclass(frozen=True)
class Variable:
    """One column of the assembled tables.

    Attributes
    ----------
    name : its name in the data contract.
    pattern : column in the user's files, with ``{session}`` in wide files.
    key : key of the study file that declares it.
    kind : what its entries are.
    level : ``session`` variables live in session tables, ``client`` ones in either, ``either``
        (therapist) may vary between sessions or not.
    measure : the measure it belongs to, for items and scores.
    labels : meaning of entries by key.
    shared : may stand in several session files, which then complete each other.
    """

    name: str
    pattern: str
    key: str
    kind: Kind
    level: Level = "session"
    measure: str = ""
    labels: dict[str, object] = field(default_factory=dict, hash=False)
    shared: bool = False


@dataclass(frozen=True)
class Place:
    """Where a variable stands in one table: ``columns`` by session, or under ``None``."""

    table: str
    columns: dict[int | None, str]


Places = dict[str, list[Place]]


def declared_variables(
    study: Study, instruments: Mapping[str, HasItems]
) -> tuple[list[Variable], list[Problem]]:
    """The variables of the study file beside client and session, in the contract's order."""
    columns = study.columns
    parts: list[tuple[str, Column | None, Kind, Level, bool]] = [
        ("date", columns.date, "date", "session", True),
        ("therapist", columns.therapist, "id", "either", True),
        ("attendance", columns.attendance, "category", "session", True),
        ("ending", columns.ending, "category", "client", True),
        *((role, getattr(columns, role), "number", "session", False) for role in RUPTURE_REPORTS),
    ]
    variables = [
        Variable(name, ref.column, f"columns.{name}", kind, level, "", keyed(ref.labels), shared)
        for name, ref, kind, level, shared in parts
        if ref is not None
    ]
    problems: list[Problem] = []
    for name, measure in study.measures.items():
        found, wrong = _measure_variables(name, measure, instruments)
        variables += found
        problems += wrong
    variables += [
        Variable(
            name, c.column, f"covariates.{name}", c.type, c.level, "", keyed(c.labels),
            shared=c.level == "client",
        )
        for name, c in study.covariates.items()
    ]  # fmt: skip
    return variables, problems


def _measure_variables(
    name: str, measure: Measure, instruments: Mapping[str, HasItems]
) -> tuple[list[Variable], list[Problem]]:
    labels = keyed(measure.labels)
    if measure.column is not None:
        key = f"measures.{name}.column"
        return [Variable(name, measure.column, key, "number", "session", name, labels)], []
    columns, problems = _item_columns(name, measure, instruments)
    key = f"measures.{name}.items"
    items = [
        Variable(f"{name}__{item}", column, key, "number", "session", name, labels)
        for item, column in enumerate(columns, start=1)
    ]
    key = f"measures.{name}.attention_checks"
    checks = [
        Variable(check, column, key, "number", "session", "", labels)
        for check, column in zip(
            check_columns_of(name, measure), measure.attention_checks, strict=True
        )
    ]
    return items + checks, problems


def check_columns_of(name: str, measure: Measure) -> list[str]:
    """The columns of a measure's attention checks in the study's own tables."""
    return [f"{name}__check{number}" for number in range(1, len(measure.attention_checks) + 1)]


def _item_columns(
    name: str, measure: Measure, instruments: Mapping[str, HasItems]
) -> tuple[list[str], list[Problem]]:
    n_items = instruments[measure.instrument or ""].n_items
    listed = isinstance(measure.items, list)
    columns = (
        list(measure.items or [])
        if listed
        else [fill_item(str(measure.items), item) for item in range(1, (n_items or 0) + 1)]
    )
    if len(set(columns)) < len(columns):
        return columns, [_same_item_twice(name, measure)]
    if listed and n_items is not None and len(columns) != n_items:
        return columns, [_wrong_item_count(name, measure, n_items, len(columns))]
    return columns, []


def locate(
    study: Study, variables: Iterable[Variable], tables: Mapping[str, RawTable]
) -> tuple[Places, list[Problem]]:
    """Where each variable stands.

    A column is found by its name in any table; ``table.column`` picks one table where several
    have a column of that name.

    Returns
    -------
    places : dict of str to list of Place
        By name of the variable; empty for what was not found.
    problems : list of Problem
        Columns that are absent, stand in several files, or in a file of the wrong level. The
        absent items of a measure are one problem.
    """
    places: Places = {}
    problems: list[Problem] = []
    variables = list(variables)
    absent: dict[str, list[Variable]] = {}
    for variable in variables:
        found = _find(study, variable, tables)
        usable = _usable(variable, found, tables)
        places[variable.name] = usable
        if not found:
            absent.setdefault(variable.key, []).append(variable)
        elif not usable:
            problems.append(_wrong_level(variable, found, tables))
        elif len(usable) > 1 and not variable.shared:
            problems.append(_ambiguous(variable, usable, tables))
        problems += _repeated(variable, usable, tables)
    declared = {variable.pattern for variable in variables}
    problems += [
        _missing(study, group, declared, tables, _shorter_form(study, group, variables, tables))
        for group in absent.values()
    ]
    return places, problems


def _find(study: Study, variable: Variable, tables: Mapping[str, RawTable]) -> list[Place]:
    places = [
        Place(name, columns)
        for name, raw in tables.items()
        if (columns := _columns_in(study, variable.pattern, raw))
    ]
    table, _, column = variable.pattern.partition(".")
    if not places and column and table in tables:
        columns = _columns_in(study, column, tables[table])
        places = [Place(table, columns)] if columns else []
    return places


def _columns_in(study: Study, pattern: str, raw: RawTable) -> dict[int | None, str]:
    if study.data.layout == "wide" and raw.table.level == "session" and has_session(pattern):
        wanted = study.data.wide.sessions
        found = match_sessions(pattern, raw.frame.columns)
        return {s: column for s, column in found.items() if wanted is None or s in wanted}
    return {None: pattern} if pattern in raw.frame.columns else {}


def _usable(variable: Variable, found: list[Place], tables: Mapping[str, RawTable]) -> list[Place]:
    """The places at the right level; a client's variable is taken from client tables first."""
    by_level = {
        level: [place for place in found if tables[place.table].table.level == level]
        for level in ("session", "client")
    }
    if variable.level == "session":
        return by_level["session"]
    if variable.level == "client":
        return by_level["client"][:1] or by_level["session"]
    return [*by_level["session"], *by_level["client"][:1]]


def missing_column(
    file: str, key: str, wanted: str, columns: Iterable[str], what: str = "", fix: str = ""
) -> Problem:
    """A declared column that the file does not have, with the likely meant one."""
    columns = list(columns)
    shown = ", ".join(columns[:SHOWN_COLUMNS]) + (
        f" and {len(columns) - SHOWN_COLUMNS} more" if len(columns) > SHOWN_COLUMNS else ""
    )
    likely = fix or suggest(wanted, columns)
    return Problem(
        "MISSING_COLUMN", "error", file, f"key {key}", f"no column {what or repr(wanted)}",
        f"one of the columns of the file: {shown}",
        likely or "Correct the name in the study file, or in the data file.",
    )  # fmt: skip


def _missing(
    study: Study,
    group: list[Variable],
    declared: set[str],
    tables: Mapping[str, RawTable],
    shorter: str,
) -> Problem:
    level = group[0].level
    fitting = [t for t in tables.values() if level != "session" or t.table.level == "session"]
    columns = list(dict.fromkeys(column for raw in fitting for column in raw.frame.columns))
    names = [variable.pattern for variable in group]
    what = ", ".join(f"'{name}'" for name in names[:SHOWN_COLUMNS])
    files = ", ".join(dict.fromkeys(raw.file for raw in fitting))
    # A column that the study names for something else was hardly meant.
    spare = [column for column in columns if column not in declared]
    fix = shorter or _other_padding(study, group[0].measure, columns) or suggest(names[0], spare)
    return missing_column(files, group[0].key, names[0], columns, what, fix)


def _shorter_form(
    study: Study,
    absent: list[Variable],
    variables: list[Variable],
    tables: Mapping[str, RawTable],
) -> str:
    """What to do where the first items are there and all later ones are not: another form."""
    measure = study.measures.get(absent[0].measure)
    if measure is None or not isinstance(measure.items, str):
        return ""
    items = [v for v in variables if v.key == absent[0].key]
    n_found = len(items) - len(absent)
    if n_found < 2 or absent != items[n_found:]:
        return ""
    present = {column for raw in tables.values() for column in raw.frame.columns}
    exchanged = _exchanged(measure.items)
    if exchanged and is_column(fill_item(exchanged, len(items)), present):
        return f'Are {{item}} and {{session}} exchanged? Then write items: "{exchanged}".'
    return (
        f"The file has items 1 to {n_found}, {measure.instrument} has {len(items)}: is it really "
        "this instrument? `ls config/instruments` lists them."
    )


def _exchanged(pattern: str) -> str:
    """The pattern with ``{item}`` and ``{session}`` in each other's place."""
    if not has_session(pattern):
        return ""
    fields = {"item": "session", "session": "item"}
    return re.sub(r"\{(item|session)", lambda field: "{" + fields[field.group(1)], pattern)


def _other_padding(study: Study, measure: str, columns: Iterable[str]) -> str:
    """What to write for items where only the form of the number differs: wai_01 for wai_1."""
    written = study.measures[measure].items if measure else None
    if not isinstance(written, str):
        return ""
    present = set(columns)
    if any(is_column(fill_item(written, number), present) for number in (1, 2)):
        return ""  # written as in the file; what is absent is absent
    for item in NUMBER_FORMS:
        for session in NUMBER_FORMS if has_session(written) else ("",):
            other = SESSION_FIELD.sub(f"{{session{session}}}", written)
            other = ITEM_FIELD.sub(f"{{item{item}}}", other)
            found = [is_column(fill_item(other, number), present) for number in (1, 2)]
            if other != written and all(found):
                return f'Write items: "{other}": the numbers in the file are written like that.'
    return ""


def is_column(name: str, present: set[str]) -> bool:
    """Whether a column of that name, or of that pattern for some session, is there."""
    return name in present or (has_session(name) and bool(match_sessions(name, present)))


def _wrong_level(variable: Variable, found: list[Place], tables: Mapping[str, RawTable]) -> Problem:
    file = tables[found[0].table].file
    fix = (
        "Declare level: client for it."
        if variable.key.startswith("covariates")
        else "Declare level: session for this file, if it has one row per session. A score that "
        "each client has once: before treatment, make it a covariate (the baseline of an "
        "association); after treatment, move it into the file of sessions, into each client's "
        "last row, other rows empty."
    )
    return Problem(
        "WRONG_LEVEL", "error", file, f"key {variable.key}",
        f"'{variable.pattern}' in a file with one row per client",
        "a file with one row per session", fix,
    )  # fmt: skip


def _ambiguous(variable: Variable, places: list[Place], tables: Mapping[str, RawTable]) -> Problem:
    names = [f"{place.table}.{variable.pattern}" for place in places]
    return Problem(
        "AMBIGUOUS_COLUMN", "error", ", ".join(tables[place.table].file for place in places),
        f"key {variable.key}", f"a column '{variable.pattern}' in {len(places)} files",
        "one of them", f"Say which by the name of its table: {' or '.join(names)}.",
    )  # fmt: skip


def _repeated(
    variable: Variable, places: list[Place], tables: Mapping[str, RawTable]
) -> list[Problem]:
    return [
        Problem(
            "REPEATED_COLUMN", "error", tables[place.table].file, f"column '{column}'",
            "two columns of that name", "one", "Rename or delete one of them in the file.",
        )
        for place in places
        for column in place.columns.values()
        if column in tables[place.table].repeated
    ]  # fmt: skip


def _wrong_item_count(name: str, measure: Measure, expected: int, found: int) -> Problem:
    return Problem(
        "ITEM_COUNT", "error", "the study file", f"key measures.{name}.items", f"{found} columns",
        f"{expected}, the items of {measure.instrument}",
        "List one column per item, in the order of the instrument, or choose another instrument.",
    )  # fmt: skip


def _same_item_twice(name: str, measure: Measure) -> Problem:
    shown = measure.items if isinstance(measure.items, str) else "a column listed twice"
    return Problem(
        "SAME_ITEM_TWICE", "error", "the study file", f"key measures.{name}.items", f"{shown}",
        "a different column for each item",
        "Write {item} where the number of the item stands, e.g. wai_{item}, or list the columns.",
    )  # fmt: skip
