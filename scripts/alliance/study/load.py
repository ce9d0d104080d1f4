"""Read a study file and tell everything that is wrong with it at once, with line numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from alliance.problems import Problem, StudyError, suggest
from alliance.study.model import Study

KeyPath = tuple[str | int, ...]


def load_yaml_with_lines(
    path: str | Path, shown_as: str | None = None
) -> tuple[Any, dict[KeyPath, int]]:
    """A YAML file and the line on which each key stands (from 1).

    Raises
    ------
    StudyError
        If the file is absent, is not YAML, or repeats a key.
    """
    name = shown_as or str(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise StudyError([_unreadable(name)]) from None
    lines: dict[KeyPath, int] = {}
    repeated: list[Problem] = []
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        _walk(node, (), lines, repeated, name)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise StudyError([_not_yaml(name, error)]) from None
    if repeated:
        raise StudyError(repeated)
    return content, lines


def load_study(path: str | Path, shown_as: str | None = None) -> Study:
    """The study described by ``path``; problems name the file ``shown_as``.

    Raises
    ------
    StudyError
        With every problem of the file: unknown keys (with the likely meant one), wrong values,
        references to measures or covariates that are not declared.
    """
    name = shown_as or str(path)
    content, lines = load_yaml_with_lines(path, name)
    if not isinstance(content, Mapping):
        raise StudyError([_not_a_mapping(name)])
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        raise StudyError(
            [problem_from(e, name, lines) for e in error.errors()], "The study file"
        ) from None
    problems = [*_check_name(study, name, lines), *_check_references(study, name, lines)]
    if problems:
        raise StudyError(problems, "The study file")
    return study


def _walk(
    node: yaml.Node | None,
    path: KeyPath,
    lines: dict[KeyPath, int],
    repeated: list[Problem],
    name: str,
) -> None:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            here = (*path, key_node.value)
            if here in lines:
                repeated.append(_repeated_key(name, here, key_node.start_mark.line + 1))
            lines[here] = key_node.start_mark.line + 1
            _walk(value_node, here, lines, repeated, name)
    elif isinstance(node, yaml.SequenceNode):
        for position, child in enumerate(node.value):
            here = (*path, position)
            lines[here] = child.start_mark.line + 1
            _walk(child, here, lines, repeated, name)


def _where(path: KeyPath, lines: Mapping[KeyPath, int]) -> str:
    """``line 12, key models.main.outcome``; the nearest known line for a key that is absent."""
    key = ".".join(str(part) for part in path)
    nearest = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
    at_line = f"line {nearest}, " if nearest else ""
    return f"{at_line}key {key}" if key else at_line.rstrip(", ")


def problem_from(
    error: Any, name: str, lines: Mapping[KeyPath, int], root: type[BaseModel] = Study
) -> Problem:
    """One pydantic error of a configuration file with the model ``root``, in a user's words."""
    location = tuple(part for part in error["loc"] if not str(part).startswith("function-"))
    where = _where(location, lines)
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
            f"Add '{location[-1]}' (config/README.md explains every key).",
        )
    found = error.get("input")
    shown = repr(found) if isinstance(found, str | int | float | bool | None) else "a section"
    fix = _description_of(location, root) or "config/README.md explains every key."
    message = error["msg"].removeprefix("Value error, ")
    if kind == "literal_error" and isinstance(found, str):
        hint = suggest(
            found, error["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        )
        fix = f"{hint} {fix}".strip()
    return Problem("WRONG_VALUE", "error", name, where, shown, message, fix)


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


def _check_name(study: Study, name: str, lines: Mapping[KeyPath, int]) -> Iterable[Problem]:
    stem = Path(name).stem
    if study.id != stem:
        yield Problem(
            "STUDY_ID",
            "error",
            name,
            _where(("id",), lines),
            f"'{study.id}'",
            f"'{stem}', the name of the file",
            f"Write id: {stem}, or rename the file to {study.id}.yaml.",
        )


def _check_references(study: Study, name: str, lines: Mapping[KeyPath, int]) -> Iterable[Problem]:
    """Every name that points at another section of the file must be found there."""
    predictors = study.measures_with_role("alliance", "process")
    outcomes = study.measures_with_role("outcome")

    def check(path: KeyPath, wanted: str, known: Iterable[str], what: str) -> Iterable[Problem]:
        known = list(known)
        if wanted not in known:
            listed = ", ".join(known) or "none is declared"
            yield Problem(
                "UNKNOWN_NAME", "error", name, _where(path, lines), f"'{wanted}'",
                f"{what} ({listed})", suggest(wanted, known) or "Declare it, or correct the name.",
            )  # fmt: skip

    for key, model in study.models.items():
        at: KeyPath = ("models", key)
        yield from check((*at, "outcome"), model.outcome, outcomes, "a measure with role outcome")
        if model.predictor:
            yield from check(
                (*at, "predictor"), model.predictor, predictors,
                "a measure with role alliance or process",
            )  # fmt: skip
        for position, term in enumerate(model.covariates):
            for part in term.split(":"):
                yield from check(
                    (*at, "covariates", position), part, ["time", *study.covariates],
                    "time or a covariate",
                )  # fmt: skip
        if model.therapists and study.columns.therapist is None:
            yield Problem(
                "NO_THERAPIST", "error", name, _where((*at, "therapists"), lines), "true",
                "a therapist column", "Declare columns.therapist, or set therapists: false.",
            )  # fmt: skip
    for key, rupture in study.ruptures.items():
        at = ("ruptures", key)
        yield from check(
            (*at, "measure"), rupture.measure, predictors, "a measure with role alliance"
        )
        if rupture.outcome:
            yield from check(
                (*at, "outcome"), rupture.outcome, outcomes, "a measure with role outcome"
            )
    if study.data.layout == "long" and study.columns.session is None and study.columns.date is None:
        yield Problem(
            "NO_SESSION", "error", name, _where(("columns",), lines), "neither session nor date",
            "a session number or a date", "Add columns.session (or columns.date).",
        )  # fmt: skip
    if study.data.layout == "wide":
        for key, measure in study.measures.items():
            patterns = (
                measure.items
                if isinstance(measure.items, list)
                else [measure.items or measure.column]
            )
            if not all(
                "{session}" in str(pattern) or "{session:" in str(pattern) for pattern in patterns
            ):
                yield Problem(
                    "NO_SESSION_IN_PATTERN", "error", name, _where(("measures", key), lines),
                    ", ".join(map(str, patterns)), "a name with {session}, because layout is wide",
                    "Write for example bdi_s{session} for the columns bdi_s1, bdi_s2, ...",
                )  # fmt: skip


def _unreadable(name: str) -> Problem:
    return Problem(
        "MISSING_FILE", "error", name, "", "no readable file of that name", "a YAML file",
        "Check the name and the folder.",
    )  # fmt: skip


def _not_yaml(name: str, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return Problem(
        "NOT_YAML", "error", name, where, str(getattr(error, "problem", error)), "valid YAML",
        "Look at this line and the one above: indentation, a missing colon or quotation mark. "
        "Indent with spaces, not tabs.",
    )  # fmt: skip


def _not_a_mapping(name: str) -> Problem:
    return Problem(
        "EMPTY_FILE", "error", name, "", "no keys", "a study description",
        "Copy config/studies/clinic.yaml and change it.",
    )  # fmt: skip


def _repeated_key(name: str, path: KeyPath, line: int) -> Problem:
    return Problem(
        "REPEATED_KEY", "error", name, f"line {line}, key {'.'.join(map(str, path))}",
        "the key a second time", "each key once", "Remove or rename one of the two.",
    )  # fmt: skip
