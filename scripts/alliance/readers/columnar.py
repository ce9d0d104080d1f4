"""Parquet files: columns with their types, fast enough for a million sessions."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from alliance.problems import StudyError
from alliance.readers.broken import unreadable
from alliance.readers.raw import RawTable
from alliance.readers.text import no_rows
from alliance.study import Table


def read_parquet(name: str, table: Table, path: Path) -> RawTable:
    """Read a Parquet file; a stored pandas index that has a name becomes a column.

    Raises
    ------
    StudyError
        For a file that is no Parquet file, is damaged, or holds no rows.
    """
    try:
        content = pq.ParquetFile(path).read(use_threads=False)
        frame = content.to_pandas(use_threads=False)
    except (pa.ArrowException, ValueError, OSError):
        raise StudyError([unreadable(table.path, path, "parquet", "a Parquet file")]) from None
    named = [level for level in frame.index.names if level is not None]
    frame = frame.reset_index() if named else frame.reset_index(drop=True)
    if frame.empty:
        raise StudyError([no_rows(table.path)])
    for column in frame.columns:
        if isinstance(frame[column].dtype, pd.CategoricalDtype):
            frame[column] = frame[column].astype(frame[column].cat.categories.dtype)
    frame.columns = [str(column) for column in frame.columns]
    return RawTable(name, table.path, table, frame, first_row=1)
