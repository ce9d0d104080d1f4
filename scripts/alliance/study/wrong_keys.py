"""Errors of the typed model in a user's words: unknown keys, absent keys, wrong values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel

from alliance.problems import Problem, suggest
from alliance.study.model import Study
from alliance.study.section import NAME_PATTERN
from alliance.study.yaml_lines import KeyPath, where_in


def problem_from(
    error: Any, name: str, lines: Mapping[KeyPath, int], root: type[BaseModel] = Study
) -> Problem:
    """One pydantic error of a configuration file with the model ``root``, in a user's words."""
    location = tuple(part for part in error["loc"] if not str(part).startswith("function-"))
    where = where_in(location, lines)
    kind = error["type"]
    if kind == "extra_forbidden":
        known = _keys_at(location[:-1], root)
        fix = suggest(str(location[-1]), known) or f"Known keys here: {', '.join(known)}."
        return Problem("UNKNOWN_KEY", "error", name, where, f"'{location[-1]}'", "a known key", fix)
    if kind == "missing":
        description = _description_of(location, root)
        return Problem(
            "MISSING_KEY",
            "error",
            name,
            where,
            "nothing",
            f"'{location[-1]}': {description}" if description else f"'{location[-1]}'",
            _how_to_add(location),
        )
    found = error.get("input")
    shown = repr(found) if isinstance(found, str | int | float | bool | None) else "a section"
    fix = _description_of(location, root) or "config/README.md explains every key."
    message = _in_plain_words(error)
    if kind == "literal_error" and isinstance(found, str):
        hint = suggest(
            found, error["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        )
        fix = f"{hint} {fix}".strip()
    return Problem("WRONG_VALUE", "error", name, where, shown, message, fix)


# What the checking library says of a wrong value, in words of people who do not program.
_PLAIN: dict[str, str] = {
    "string_pattern_mismatch": "small letters a to z, digits and _, beginning with a letter",
    "string_type": "text",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "list_type": "a list, in brackets: [one, another]",
    "tuple_type": "a list, in brackets: [one, another]",
    "dict_type": "a section of keys",
    "mapping_type": "a section of keys",
}


def _in_plain_words(error: Mapping[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "string_pattern_mismatch" and error["ctx"]["pattern"] != NAME_PATTERN:
        return message
    return _PLAIN.get(str(error["type"]), message.removeprefix("Input should be "))


# What a user may paste for a section that is absent.
_EXAMPLES: dict[str, str] = {
    "timing": "timing: {alliance_when: post, outcome_when: pre}  (pre or post: before or after "
    "the session)",
    "columns": "columns: {client: client_id, session: session_no}  (the names in your file)",
    "data": "data: {tables: {sessions: {path: data/mystudy/sessions.csv}}}",
    "measures": "measures: {outcome: {role: outcome, label: PHQ-9, instrument: phq9, items: "
    '"phq9_{item}"}}',
    "alliance_when": "alliance_when: post  (or pre)",
    "outcome_when": "outcome_when: pre  (or post)",
}


def _how_to_add(location: KeyPath) -> str:
    """What to write for a key that is absent, ready to be pasted where that is possible."""
    key = str(location[-1])
    example = _EXAMPLES.get(key) if location[0] in _EXAMPLES else None
    if example:
        return f"Add, for example: {example}. config/README.md explains every key."
    return f"Add '{key}' (config/README.md explains every key)."


def _model_at(path: KeyPath, root: type[BaseModel]) -> type[BaseModel] | None:
    model: Any = root
    for part in path:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(str(part))
            model = field.annotation if field else None
        elif model is not None:  # the value type of a dict, or the item type of a list
            model = (get_args(model) or (None,))[-1]
        model = _section_in(model)
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _section_in(annotation: Any) -> Any:
    """The section inside ``Annotated``, ``X | None``; dict and list annotations stay."""
    if isinstance(annotation, type) or getattr(annotation, "__origin__", None) in (dict, list):
        return annotation
    for argument in get_args(annotation):
        found = _section_in(argument)
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    return annotation


def _keys_at(path: KeyPath, root: type[BaseModel]) -> list[str]:
    model = _model_at(path, root)
    return list(model.model_fields) if model else []


def _description_of(path: KeyPath, root: type[BaseModel]) -> str:
    model = _model_at(path[:-1], root) if path else None
    field = model.model_fields.get(str(path[-1])) if model else None
    return (field.description or "") if field else ""
