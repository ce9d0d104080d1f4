"""One way in for every format: find the file, pick its reader, collect what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alliance.problems import Problem, StudyError, suggest
from alliance.readers.broken import kind_of, unreadable
from alliance.readers.raw import RawTable
from alliance.readers.resolve import Format, format_of, resolve_path
from alliance.study import Study, Table

Reader = Callable[[str, Table, Path], RawTable]
TEXT_FILE = "a text file (.csv, .tsv, .txt, .dat)"


def read_table(name: str, table: Table, root: Path) -> RawTable:
    """Read one file of the study.

    Parameters
    ----------
    name : short name of the table in the study file.
    table : its section there.
    root : folder of the project, which relative paths start from.

    Raises
    ------
    StudyError
        When the file is absent, cannot be read, or is not what its name says.
    """
    path = resolve_path(table, root)
    if path is None:
        raise StudyError([_missing_file(table, root)])
    format_name = format_of(table, path)
    kind, formats = kind_of(path)
    if format_name == "csv" and kind and "csv" not in formats:
        raise StudyError([unreadable(table.path, path, "csv", TEXT_FILE)])
    return _reader_of(format_name)(name, table, path)


def _reader_of(format_name: Format) -> Reader:
    """The reader of a format; the libraries of the other formats are not loaded."""
    if format_name == "xlsx":
        from alliance.readers.excel import read_excel as reader  # noqa: PLC0415
    elif format_name == "sav":
        from alliance.readers.labelled import read_spss as reader  # noqa: PLC0415
    elif format_name == "dta":
        from alliance.readers.labelled import read_stata as reader  # noqa: PLC0415
    elif format_name in ("rds", "rdata"):
        from alliance.readers.r_data import read_r as reader  # noqa: PLC0415
    elif format_name == "parquet":
        from alliance.readers.columnar import read_parquet as reader  # noqa: PLC0415
    else:
        from alliance.readers.text import read_text as reader  # noqa: PLC0415
    return reader


def read_tables(study: Study, root: Path) -> dict[str, RawTable]:
    """Read every file of the study, in the order of the study file.

    Raises
    ------
    StudyError
        With the problems of all files at once.
    """
    tables: dict[str, RawTable] = {}
    problems: list[Problem] = []
    for name, table in study.data.tables.items():
        try:
            tables[name] = read_table(name, table, root)
        except StudyError as error:
            problems += error.problems
    if problems:
        raise StudyError(problems, "The data files")
    return tables


def _missing_file(table: Table, root: Path) -> Problem:
    folder = (Path(root) / table.path).parent
    siblings = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    hint = suggest(Path(table.path).name, siblings)
    fix = "Run `snakemake download` to fetch it." if table.download else (
        hint or "Check the name and the folder; paths start from the project's folder."
    )  # fmt: skip
    found = "no file of that name" if folder.is_dir() else "no such folder"
    return Problem("MISSING_FILE", "error", table.path, "", found, "a data file", fix)
