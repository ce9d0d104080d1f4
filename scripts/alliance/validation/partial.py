"""Measures some of whose item columns are absent: the items that are there are still checked.

Otherwise a user would mend the absent column only to be told, in the next run, of words among the
answers of the same questionnaire.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from alliance.readers.raw import RawTable
from alliance.readers.variables import Place, Places, Variable, check_columns_of
from alliance.study import Measure, Study

if TYPE_CHECKING:
    from alliance.instruments import Instrument


def with_found_items(
    study: Study,
    instruments: Mapping[str, Instrument],
    lost: set[str],
    variables: Iterable[Variable],
    places: Places,
    tables: Mapping[str, RawTable],
) -> tuple[Study, dict[str, Instrument], set[str]]:
    """The study with the measures in ``lost`` cut down to the item columns that were found.

    Parameters
    ----------
    lost : keys that cannot be read as declared, such as ``measures.alliance``.
    variables, places : what the study declares, and where each stands.

    Returns
    -------
    study, instruments
        As given, but such a measure lists its columns, and has an instrument of its own with as
        many items; only for looking at the answers, never for scoring.
    lost : the keys that still cannot be read.
    """
    known, measures, still = dict(instruments), dict(study.measures), set(lost)
    variables = list(variables)
    for key in sorted(lost):
        name = key.removeprefix("measures.")
        measure = study.measures.get(name) if name != key else None
        if measure is None or measure.items is None or measure.instrument not in known:
            continue
        items = _found_columns(name, variables, places, tables)
        if items:
            # The items keep no numbers here, so nothing can be said about reversed ones.
            cut = {"n_items": len(items), "reverse": None, "subscales": {}}
            own = f"{measure.instrument}{_suffix(name)}"
            known[own] = known[measure.instrument].model_copy(update=cut)
            measures[name] = measure.model_copy(update={
                "items": items, "instrument": own,
                "attention_checks": _found_checks(name, measure, places),
            })  # fmt: skip
            still.discard(key)
    return study.model_copy(update={"measures": measures}), known, still


def published_id(study: Study, measure: str) -> str:
    """The id of a measure's instrument as the user wrote it, also where it was cut down."""
    return str(study.measures[measure].instrument).removesuffix(_suffix(measure))


def _suffix(measure: str) -> str:
    return f"_of_{measure}"


def _found_columns(
    name: str, variables: Iterable[Variable], places: Places, tables: Mapping[str, RawTable]
) -> list[str]:
    """Item columns that stand in one place only, all with the same sessions, each once."""
    found = {
        variable.pattern: places[variable.name][0]
        for variable in variables
        if variable.measure == name and len(places.get(variable.name, [])) == 1
    }
    usable = {column: place for column, place in found.items() if not _repeated(place, tables)}
    if not usable:
        return []
    shapes = Counter((place.table, frozenset(place.columns)) for place in usable.values())
    usual = shapes.most_common(1)[0][0]
    return [c for c, place in usable.items() if (place.table, frozenset(place.columns)) == usual]


def _repeated(place: Place, tables: Mapping[str, RawTable]) -> bool:
    return bool(tables[place.table].repeated & set(place.columns.values()))


def _found_checks(name: str, measure: Measure, places: Places) -> dict[str, float]:
    checks = zip(check_columns_of(name, measure), measure.attention_checks.items(), strict=True)
    return {column: answer for key, (column, answer) in checks if len(places.get(key, [])) == 1}
