"""Read a study file and tell everything that is wrong with it at once, with line numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from alliance.problems import Problem, StudyError
from alliance.study.model import Study
from alliance.study.references import check_references
from alliance.study.section import NAME_PATTERN
from alliance.study.wrong_keys import problem_from
from alliance.study.yaml_lines import KeyPath, load_yaml_with_lines, where_in

CHECK = "# CHECK:"  # what a drafted study file marks for its owner to look at


def lines_to_check(text: str) -> list[int]:
    """Lines (from 1) of a study file that still carry the mark of a draft."""
    return [at for at, line in enumerate(text.splitlines(), start=1) if CHECK in line]


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
    problems = [*_check_name(content, name, lines), *check_references(content, name, lines)]
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        wrong = [problem_from(e, name, lines) for e in error.errors()]
        raise StudyError([*wrong, *problems], "The study file") from None
    if problems:
        raise StudyError(problems, "The study file")
    return study


def _check_name(
    content: Mapping[str, Any], name: str, lines: Mapping[KeyPath, int]
) -> Iterable[Problem]:
    stem, given = Path(name).stem, content.get("id")
    if isinstance(given, str) and given != stem:
        yield Problem(
            "STUDY_ID", "error", name, where_in(("id",), lines), f"'{given}'",
            f"'{stem}', the name of the file", _same_name(given, stem),
        )  # fmt: skip


def _same_name(given: str, stem: str) -> str:
    """How to make id and file agree, on a name that an id may have."""
    ways = []
    if re.fullmatch(NAME_PATTERN, stem):
        ways.append(f"write id: {stem}")
    if re.fullmatch(NAME_PATTERN, given):
        ways.append(f"rename the file to {given}.yaml")
    if not ways:
        ways = ["give both one name of small letters a to z, digits and _"]
    text = ", or ".join(ways)
    return f"{text[:1].upper()}{text[1:]}."


def _not_a_mapping(name: str) -> Problem:
    return Problem(
        "EMPTY_FILE", "error", name, "", "no keys", "a study description",
        "Copy config/studies/clinic.yaml and change it.",
    )  # fmt: skip
