"""What the readers hand on: one table as it stands in its file, and the study put together."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from alliance.problems import Problem
from alliance.study import Table


@dataclass(frozen=True)
class RawTable:
    """One data file as it was read, before anything of it is interpreted.

    Attributes
    ----------
    name : short name of the table in the study file.
    file : the file as messages name it: as written in the study file, with the sheet where a
        workbook has several.
    table : the section of the study file that describes it.
    frame : one row per row of the file, columns as named there, empty cells NA. Rows that are
        empty throughout are kept, so that row numbers stay right.
    first_row : row number of the first row of ``frame``, as the program shows it that the file
        is opened with: 2 below the header of a text file or sheet, 1 in SPSS, Stata and R, where
        names of columns are no row. Row ``n`` of the frame is row ``first_row + n`` of the file.
    value_labels : ``{column: {code: label}}`` of SPSS and Stata files; codes stay in ``frame``.
    notes : what was worked out or assumed, in plain words.
    decimal : decimal mark of numbers that stand as text in ``frame``.
    repeated : column names that the file has more than once; the later ones are in ``frame`` as
        ``name (2)``.
    """

    name: str
    file: str
    table: Table
    frame: pd.DataFrame
    first_row: int = 2
    value_labels: dict[str, dict[object, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    decimal: str = "."
    repeated: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RawStudy:
    """The study's files put together under the names of the data contract, still identifiable.

    Attributes
    ----------
    sessions : one row per row of a long file, or per client and session of a wide one. Columns
        ``client, session, date, therapist, attendance``, then ``rupture_client``,
        ``rupture_therapist`` where declared, ``{measure}__{i}`` per item, ``{measure}`` per score
        column, session-level covariates, ``source_row``, ``source_table``. Numbers are Float64
        (``session`` Int64); a column that holds anything else is kept as object, with the
        offending entries as they stand in the file.
    clients : one row per client: ``client, therapist, ending``, client-level covariates,
        ``source_row`` (NA for clients who are in no client table). ``therapist`` is NA where
        only the session files name one.
    join_report : one row per table: what was read, left out and matched.
    origins : ``{column of sessions or clients: (file, column or pattern in that file)}``.
    notes : what was worked out or assumed, in plain words.
    problems : warnings that do not stop the study.
    """

    sessions: pd.DataFrame
    clients: pd.DataFrame
    join_report: pd.DataFrame
    origins: dict[str, tuple[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def files(self, level: str = "") -> dict[str, str]:
        """Table -> its file as messages name it, of all tables or of one level."""
        told = self.join_report
        told = told[told["level"] == level] if level else told
        return dict(zip(told["table"], told["file"], strict=True))
