"""A YAML file with the line on which every key stands, so that problems can name it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from alliance.problems import Problem, StudyError

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


def _repeated_key(name: str, path: KeyPath, line: int) -> Problem:
    return Problem(
        "REPEATED_KEY", "error", name, f"line {line}, key {'.'.join(map(str, path))}",
        "the key a second time", "each key once", "Remove or rename one of the two.",
    )  # fmt: skip
