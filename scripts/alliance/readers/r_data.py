"""R files: a data frame saved with saveRDS (.rds) or save (.RData, .rda)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyreadr

from alliance.problems import Problem, StudyError, suggest
from alliance.readers.broken import unreadable
from alliance.readers.raw import RawTable
from alliance.readers.text import no_rows
from alliance.study import Table

EXPECTED = "an R file (.rds or .RData) with a data frame"


def read_r(name: str, table: Table, path: Path) -> RawTable:
    """Read the data frame of an R file; factors become text.

    Raises
    ------
    StudyError
        For a damaged file, one without data frame, or one with several when none is named.
    """
    try:
        objects = pyreadr.read_r(str(path))
    except (pyreadr.PyreadrError, pyreadr.LibrdataError, ValueError, OSError):
        raise StudyError([unreadable(table.path, path, "rdata", EXPECTED)]) from None
    frames = {str(key): value for key, value in objects.items() if isinstance(value, pd.DataFrame)}
    chosen = _choose(table, frames)
    frame = frames[chosen].reset_index(drop=True)
    if frame.empty:
        raise StudyError([no_rows(table.path)])
    for column in frame.columns:
        if isinstance(frame[column].dtype, pd.CategoricalDtype):
            frame[column] = frame[column].astype("str")
    frame.columns = [str(column) for column in frame.columns]
    return RawTable(name, table.path, table, frame, first_row=1, notes=_notes(chosen, frames))


def _choose(table: Table, frames: dict[str, pd.DataFrame]) -> str:
    if table.object is not None and "None" not in frames:  # .rds holds one nameless object
        if table.object in frames:
            return table.object
        raise StudyError([_unknown_object(table, list(frames))])
    if len(frames) == 1:
        return next(iter(frames))
    raise StudyError([_no_data_frame(table) if not frames else _several(table, list(frames))])


def _notes(chosen: str, frames: dict[str, pd.DataFrame]) -> list[str]:
    return [] if "None" in frames else [f"data frame '{chosen}'"]


def _unknown_object(table: Table, names: list[str]) -> Problem:
    return Problem(
        "UNKNOWN_OBJECT", "error", table.path, "key object", f"'{table.object}'",
        f"one of {', '.join(names) or 'no data frame'}",
        suggest(str(table.object), names) or "Name the data frame as R's load() prints it.",
    )  # fmt: skip


def _no_data_frame(table: Table) -> Problem:
    return Problem(
        "NO_DATA_FRAME", "error", table.path, "", "no data frame", EXPECTED,
        "Save it from R with saveRDS(as.data.frame(your_data), 'your_data.rds').",
    )  # fmt: skip


def _several(table: Table, names: list[str]) -> Problem:
    return Problem(
        "SEVERAL_OBJECTS", "error", table.path, "key object", f"{len(names)} data frames",
        f"the name of one of them: {', '.join(names)}", f"Add object: {names[0]}, or another.",
    )  # fmt: skip
