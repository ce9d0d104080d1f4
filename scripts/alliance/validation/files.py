"""Every file of the study read, and what is wrong with each told together."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from alliance.problems import Problem, StudyError
from alliance.readers import read_table
from alliance.readers.raw import RawTable
from alliance.study import Study
from alliance.validation.catalogue import tell


def read_all(
    study: Study, root: Path, study_file: str
) -> tuple[dict[str, RawTable], list[Problem]]:
    """The tables that can be read, and the problems of those that cannot.

    Parameters
    ----------
    root : folder of the project, which the paths in the study file start from.
    """
    tables: dict[str, RawTable] = {}
    problems = list(_check_same_file(study, study_file))
    for name, table in study.data.tables.items():
        try:
            tables[name] = read_table(name, table, root)
        except StudyError as error:
            problems += error.problems
    return tables, problems


def _check_same_file(study: Study, study_file: str) -> Iterable[Problem]:
    first: dict[tuple[object, ...], str] = {}
    for name, table in study.data.tables.items():
        content = (table.path, table.sheet, table.object)
        if content in first:
            found = f"'{table.path}' again, as in table {first[content]}"
            yield tell("SAME_FILE_TWICE", study_file, f"key data.tables.{name}", found)
        first.setdefault(content, name)
