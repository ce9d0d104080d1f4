"""Where a file of the study is, what format it has, and how to get it when it is open data."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pooch

from alliance.problems import Problem, StudyError, suggest
from alliance.study import Download, Study, Table
from alliance.study.files import downloaded_name, resolve_path

__all__ = ["Format", "download", "format_of", "resolve_path"]

Format = Literal["csv", "xlsx", "sav", "dta", "rds", "rdata", "parquet"]

FORMAT_OF_ENDING: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".txt": "csv",
    ".dat": "csv",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".sav": "sav",
    ".zsav": "sav",
    ".dta": "dta",
    ".rds": "rds",
    ".rdata": "rdata",
    ".rda": "rdata",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def format_of(table: Table, path: Path) -> Format:
    """Format of the file, declared or by the ending of its name.

    A downloaded original may have another format than the user's copy (R instead of csv), so
    for it the ending decides.

    Raises
    ------
    StudyError
        For an ending that no reader knows.
    """
    ending = path.suffix.lower()
    is_copy = table.download is not None and path.name == downloaded_name(table.download)
    if table.format != "auto" and not is_copy:
        return table.format
    if ending in FORMAT_OF_ENDING:
        return FORMAT_OF_ENDING[ending]
    raise StudyError([_unknown_format(table.path, ending)])


def download(study: Study, folder: Path) -> list[Path]:
    """Fetch every file of the study that has a public address, checked by its sha256.

    Parameters
    ----------
    study : the study whose tables may have a ``download`` section.
    folder : where the copies go (``data/external`` of the project).

    Returns
    -------
    list of Path
        The copies, in the order of the study file.

    Raises
    ------
    StudyError
        With every file that could not be had, or whose content is not what was announced.
    """
    paths: list[Path] = []
    problems: list[Problem] = []
    for table in study.data.tables.values():
        if table.download is None:
            continue
        try:
            paths.append(_fetch(table.download, folder))
        except (OSError, ValueError) as error:
            problems.append(_not_downloaded(table, error))
    if problems:
        raise StudyError(problems, "The download")
    return paths


def _fetch(source: Download, folder: Path) -> Path:
    name = downloaded_name(source)
    known_hash = f"sha256:{source.sha256}"
    return Path(pooch.retrieve(source.url, known_hash, fname=name, path=folder))


def _not_downloaded(table: Table, error: Exception) -> Problem:
    wrong_content = isinstance(error, ValueError)
    return Problem(
        "DOWNLOAD_CHANGED" if wrong_content else "DOWNLOAD_FAILED",
        "error",
        table.path,
        "key download",
        "a file with other content" if wrong_content else "no answer from the address",
        "the file with the announced sha256" if wrong_content else "a file at the address in url",
        "The public file was changed or damaged on the way: try again, then look at the address."
        if wrong_content
        else "Check the internet connection and the address, or put the file at `path` yourself.",
    )


def _unknown_format(file: str, ending: str) -> Problem:
    advice = {
        ".xls": "Open it in Excel and save it as .xlsx.",
        ".ods": "Save it as .xlsx or .csv.",
        ".sas7bdat": "Save it from SAS as .csv or .sav.",
        ".por": "Open it in SPSS and save it as .sav.",
    }
    known = sorted(FORMAT_OF_ENDING)
    fix = advice.get(ending) or suggest(ending, known) or "Save it in one of these formats."
    return Problem(
        "UNKNOWN_FORMAT", "error", file, "", f"a file ending in '{ending}'" if ending else
        "a file name without an ending", ", ".join(known), fix,
    )  # fmt: skip
