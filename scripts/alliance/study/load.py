"""Read a study file and tell everything that is wrong with it at once, with line numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from alliance.problems import Problem, StudyError, suggest
from alliance.study.model import Study

KeyPath = tuple[str | int, ...]
RESERVED = "rupture_sources"  # analysis under which sources of ruptures are compared
CHECK = "# CHECK:"  # what a drafted study file marks for its owner to look at


def lines_to_check(text: str) -> list[int]:
    """Lines (from 1) of a study file that still carry the mark of a draft."""
    return [at for at, line in enumerate(text.splitlines(), start=1) if CHECK in line]


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
    problems = [*_check_name(content, name, lines), *_check_references(content, name, lines)]
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        wrong = [problem_from(e, name, lines) for e in error.errors()]
        raise StudyError([*wrong, *problems], "The study file") from None
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


def where_in(path: KeyPath, lines: Mapping[KeyPath, int]) -> str:
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
    message = error["msg"].removeprefix("Value error, ")
    if kind == "literal_error" and isinstance(found, str):
        hint = suggest(
            found, error["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        )
        fix = f"{hint} {fix}".strip()
    return Problem("WRONG_VALUE", "error", name, where, shown, message, fix)


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


def _check_name(
    content: Mapping[str, Any], name: str, lines: Mapping[KeyPath, int]
) -> Iterable[Problem]:
    stem, given = Path(name).stem, content.get("id")
    if isinstance(given, str) and given != stem:
        yield Problem(
            "STUDY_ID", "error", name, where_in(("id",), lines), f"'{given}'",
            f"'{stem}', the name of the file",
            f"Write id: {stem}, or rename the file to {given}.yaml.",
        )  # fmt: skip


def _check_references(
    content: Mapping[str, Any], name: str, lines: Mapping[KeyPath, int]
) -> Iterable[Problem]:
    """Every name that points at another section of the file must be found there.

    Works on the file as written, so that these problems are told together with wrong values.
    """
    names = _Declared.in_content(content)
    for key, model in entries_of(content, "models").items():
        yield from _check_model(names, key, model, name, lines)
        yield from _check_variants(content, names, key, model, name, lines)
    for key, association in entries_of(content, "associations").items():
        yield from _check_association(names, key, association, name, lines)
    for key, rupture in entries_of(content, "ruptures").items():
        at: KeyPath = ("ruptures", key)
        yield from _unless_declared(
            rupture.get("measure"), names.predictors, "a measure with role alliance",
            name, (*at, "measure"), lines,
        )  # fmt: skip
        yield from _unless_declared(
            rupture.get("outcome"), names.outcomes, "a measure with role outcome",
            name, (*at, "outcome"), lines,
        )  # fmt: skip
    for key, gains in entries_of(content, "sudden_gains").items():
        yield from _unless_declared(
            gains.get("measure"), list(entries_of(content, "measures")), "a measure",
            name, ("sudden_gains", key, "measure"), lines,
        )  # fmt: skip
    for key, dynamics in entries_of(content, "dynamics").items():
        yield from _check_dynamics(names, key, dynamics, name, lines)
    yield from _check_same_ids(content, name, lines)
    yield from _check_reserved(content, name, lines)
    yield from _check_layout(content, name, lines)


_OTHER_ANALYSES = {
    "associations": "association",
    "dynamics": "dynamic model",
    "ruptures": "rupture analysis",
    "sudden_gains": "search for sudden gains",
}


def _check_same_ids(
    content: Mapping[str, Any], name: str, lines: Mapping[KeyPath, int]
) -> Iterable[Problem]:
    """All analyses share one table of estimates."""
    taken = set(entries_of(content, "models"))
    for section, what in _OTHER_ANALYSES.items():
        own = set(entries_of(content, section))
        for key in sorted(taken & own):
            yield Problem(
                "SAME_ID", "error", name, where_in((section, key), lines), f"'{key}' twice",
                "different names for all analyses, which share one table of estimates",
                f"Rename the {what}, for example to {key}_{section}.",
            )  # fmt: skip
        taken |= own


@dataclass(frozen=True)
class _Declared:
    """Names that a study file declares; a measure whose role is misspelt counts for any role."""

    predictors: list[str]
    outcomes: list[str]
    covariates: list[str]
    of_client: list[str]
    numbers: list[str]
    therapist: bool

    @classmethod
    def in_content(cls, content: Mapping[str, Any]) -> _Declared:
        roles = {key: m.get("role") for key, m in entries_of(content, "measures").items()}
        known = ("alliance", "process", "outcome")
        return cls(
            predictors=[key for key, role in roles.items() if role != "outcome"],
            outcomes=[k for k, role in roles.items() if role == "outcome" or role not in known],
            covariates=list(entries_of(content, "covariates")),
            of_client=[
                key
                for key, covariate in entries_of(content, "covariates").items()
                if covariate.get("level", "client") == "client"
            ],
            numbers=[
                key
                for key, covariate in entries_of(content, "covariates").items()
                if covariate.get("type") == "number"
            ],
            therapist="therapist" in _mapping(content.get("columns")),
        )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def entries_of(content: Mapping[str, Any], section: str) -> dict[str, Mapping[str, Any]]:
    """The entries of a section that are sections themselves."""
    entries = _mapping(content.get(section))
    return {str(key): entry for key, entry in entries.items() if isinstance(entry, Mapping)}


def _unless_declared(
    wanted: Any,
    known: list[str],
    what: str,
    name: str,
    path: KeyPath,
    lines: Mapping[KeyPath, int],
) -> Iterable[Problem]:
    if not isinstance(wanted, str) or wanted in known:
        return
    listed = ", ".join(known) or "none is declared"
    yield Problem(
        "UNKNOWN_NAME", "error", name, where_in(path, lines), f"'{wanted}'", f"{what} ({listed})",
        suggest(wanted, known) or "Declare it, or correct the name.",
    )  # fmt: skip


def _check_model(
    names: _Declared, key: str, model: Mapping[str, Any], name: str, lines: Mapping[KeyPath, int]
) -> Iterable[Problem]:
    at: KeyPath = ("models", key)
    yield from _unless_declared(
        model.get("outcome"), names.outcomes, "a measure with role outcome",
        name, (*at, "outcome"), lines,
    )  # fmt: skip
    yield from _unless_declared(
        model.get("predictor"), names.predictors, "a measure with role alliance or process",
        name, (*at, "predictor"), lines,
    )  # fmt: skip
    terms = model.get("covariates")
    for position, term in enumerate(terms if isinstance(terms, list) else []):
        for part in str(term).split(":"):
            yield from _unless_declared(
                part, ["time", *names.covariates], "time or a covariate",
                name, (*at, "covariates", position), lines,
            )  # fmt: skip
    yield from _check_residuals(names, model, name, at, lines)
    if model.get("therapists") is True and not names.therapist:
        yield Problem(
            "NO_THERAPIST", "error", name, where_in((*at, "therapists"), lines), "true",
            "a therapist column", "Declare columns.therapist, or set therapists: false.",
        )  # fmt: skip


def _check_variants(
    content: Mapping[str, Any],
    names: _Declared,
    key: str,
    model: Mapping[str, Any],
    name: str,
    lines: Mapping[KeyPath, int],
) -> Iterable[Problem]:
    """Names in ``moderators`` and ``compare_with``."""
    given = model.get("moderators")
    for position, moderator in enumerate(given if isinstance(given, list) else []):
        yield from _unless_declared(
            moderator, ["time", "own_mean", *names.of_client],
            "time, own_mean or a client-level covariate",
            name, ("models", key, "moderators", position), lines,
        )  # fmt: skip
    other = model.get("compare_with")
    models = {k: m for k, m in entries_of(content, "models").items() if k != key}
    at: KeyPath = ("models", key, "compare_with")
    yield from _unless_declared(other, list(models), "another model", name, at, lines)
    differs = [
        part
        for part, default in (("outcome", None), ("lag", "forward"))
        if other in models and models[other].get(part, default) != model.get(part, default)
    ]
    if differs:
        yield Problem(
            "NOT_COMPARABLE", "error", name, where_in(at, lines), f"'{other}'",
            f"a model with the same {' and '.join(differs)}",
            "Compare models that differ in the predictor only.",
        )  # fmt: skip


def _check_association(
    names: _Declared,
    key: str,
    association: Mapping[str, Any],
    name: str,
    lines: Mapping[KeyPath, int],
) -> Iterable[Problem]:
    at: KeyPath = ("associations", key)
    yield from _unless_declared(
        association.get("predictor"), names.predictors, "a measure with role alliance or process",
        name, (*at, "predictor"), lines,
    )  # fmt: skip
    yield from _unless_declared(
        association.get("outcome"), names.outcomes, "a measure with role outcome",
        name, (*at, "outcome"), lines,
    )  # fmt: skip
    yield from _unless_declared(
        association.get("baseline"), names.of_client, "a client-level covariate",
        name, (*at, "baseline"), lines,
    )  # fmt: skip
    given = association.get("covariates")
    for position, covariate in enumerate(given if isinstance(given, list) else []):
        yield from _unless_declared(
            covariate, names.of_client, "a client-level covariate",
            name, (*at, "covariates", position), lines,
        )  # fmt: skip


def _check_dynamics(
    names: _Declared, key: str, spec: Mapping[str, Any], name: str, lines: Mapping[KeyPath, int]
) -> Iterable[Problem]:
    at: KeyPath = ("dynamics", key)
    yield from _unless_declared(
        spec.get("alliance"), names.predictors, "a measure with role alliance or process",
        name, (*at, "alliance"), lines,
    )  # fmt: skip
    yield from _unless_declared(
        spec.get("outcome"), names.outcomes, "a measure with role outcome",
        name, (*at, "outcome"), lines,
    )  # fmt: skip
    further = spec.get("further")
    known = list(dict.fromkeys([*names.predictors, *names.outcomes]))
    for position, measure in enumerate(further if isinstance(further, list) else []):
        yield from _unless_declared(
            measure, known, "a measure", name, (*at, "further", position), lines
        )


def _check_residuals(
    names: _Declared, model: Mapping[str, Any], name: str, at: KeyPath, lines: Mapping[KeyPath, int]
) -> Iterable[Problem]:
    path = (*at, "residuals", "variance_by")
    by = _mapping(model.get("residuals")).get("variance_by")
    yield from _unless_declared(
        by, ["phase", *names.covariates], "phase or a covariate of type category", name, path, lines
    )
    if by in names.numbers:
        yield Problem(
            "NOT_A_CATEGORY", "error", name, where_in(path, lines), f"'{by}', a number",
            "phase or a covariate of type category",
            "Residual SDs differ between categories: name a covariate with categories.",
        )  # fmt: skip


def _check_reserved(
    content: Mapping[str, Any], name: str, lines: Mapping[KeyPath, int]
) -> Iterable[Problem]:
    for section in ("models", "dynamics", "ruptures", "sudden_gains"):
        if RESERVED in entries_of(content, section):
            yield Problem(
                "SAME_ID", "error", name, where_in((section, RESERVED), lines), f"'{RESERVED}'",
                "another name: this one stands for the comparison of all sources of ruptures",
                "Rename it, for example to my_ruptures.",
            )  # fmt: skip


def _check_layout(
    content: Mapping[str, Any], name: str, lines: Mapping[KeyPath, int]
) -> Iterable[Problem]:
    columns = _mapping(content.get("columns"))
    layout = _mapping(content.get("data")).get("layout", "long")
    patterns_of = {
        key: _patterns(measure) for key, measure in entries_of(content, "measures").items()
    }
    if layout == "long" and columns and "session" not in columns and "date" not in columns:
        is_wide = any(_names_session(p) for patterns in patterns_of.values() for p in patterns)
        yield Problem(
            "NO_SESSION", "error", name, where_in(("columns",), lines), "neither session nor date",
            "a session number or a date",
            "The names of the measures' columns have {session}: write layout: wide under data."
            if is_wide else "Add columns.session (or columns.date).",
        )  # fmt: skip
    if layout != "wide":
        return
    for key, patterns in patterns_of.items():
        if not all(_names_session(pattern) for pattern in patterns):
            yield Problem(
                "NO_SESSION_IN_PATTERN", "error", name, where_in(("measures", key), lines),
                ", ".join(patterns), "a name with {session}, because layout is wide",
                "Write for example bdi_s{session} for the columns bdi_s1, bdi_s2, ...",
            )  # fmt: skip


def _patterns(measure: Mapping[str, Any]) -> list[str]:
    given = measure.get("items") or measure.get("column") or []
    return [str(pattern) for pattern in (given if isinstance(given, list) else [given])]


def _names_session(pattern: str) -> bool:
    return "{session}" in pattern or "{session:" in pattern


def _unreadable(name: str) -> Problem:
    return Problem(
        "MISSING_FILE", "error", name, "", "no readable file of that name", "a YAML file",
        "Check the name and the folder.",
    )  # fmt: skip


def _not_yaml(name: str, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    found = str(getattr(error, "problem", error))
    # The parser's words for `title: Study 2: a replication`.
    second_colon = found.startswith("mapping values are not allowed")
    fix = (
        'A text with a colon in it needs quotation marks, such as title: "Study 2: a replication". '
        "Otherwise look at the indentation of this line and the one above."
        if second_colon
        else "Look at this line and the one above: indentation, a missing colon or quotation mark. "
        "Indent with spaces, not tabs."
    )
    found = "a second colon in the line, or a line indented too far" if second_colon else found
    return Problem("NOT_YAML", "error", name, where, found, "valid YAML", fix)


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
