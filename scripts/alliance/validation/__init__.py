"""Everything that is wrong with a study's files, told at once, in the manner of a validator."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from alliance.problems import Problem, StudyError
from alliance.readers import RawStudy, RawTable, assemble
from alliance.readers.convert import client_column, session_column
from alliance.study import Study
from alliance.validation.catalogue import CATALOGUE, Issue
from alliance.validation.categories import check_categories
from alliance.validation.columns import check_columns
from alliance.validation.declarations import check_declarations, check_marks
from alliance.validation.files import read_all
from alliance.validation.identifiers import check_column_names, check_content
from alliance.validation.keys import check_keys
from alliance.validation.partial import with_found_items
from alliance.validation.showing import Look
from alliance.validation.size import check_size
from alliance.validation.values import check_values

if TYPE_CHECKING:
    from alliance.instruments import Instrument

__all__ = ["CATALOGUE", "Issue", "check_marks", "check_study", "validate"]


def validate(
    study: Study,
    instruments: Mapping[str, Instrument],
    root: Path,
    study_file: str,
    today: datetime.date | None = None,
    known_instruments: Iterable[str] = (),
) -> tuple[list[Problem], RawStudy | None]:
    """Read the files of a study and check everything about them.

    Parameters
    ----------
    instruments : by id, those the study names; one that could not be loaded may be absent.
    root : folder of the project, which the paths in the study file start from.
    study_file : the study file as the user knows it, for messages.
    today : dates after it are refused; left out, the computer's date.
    known_instruments : ids of all instruments that there are, for suggestions.

    Returns
    -------
    problems, raw
        All problems, errors first. ``raw`` is the assembled study, None when there are errors.
    """
    problems = check_declarations(study, instruments, study_file)
    tables, of_files = read_all(study, root, study_file)
    problems += of_files
    raw = None
    if tables:
        day = today or datetime.date.today()
        known = tuple(known_instruments)
        found, raw = _check_tables(study, instruments, tables, study_file, day, known)
        problems += found
    problems = list(dict.fromkeys(problems))  # a problem that two checks noticed is told once
    problems.sort(key=lambda problem: problem.severity != "error")
    has_errors = any(problem.severity == "error" for problem in problems)
    return problems, None if has_errors else raw


def check_study(look: Look, tables: Mapping[str, RawTable], today: datetime.date) -> list[Problem]:
    """Every check of an assembled study, in the order in which a reader would ask."""
    return [
        *check_keys(look, today),
        *check_values(look),
        *check_categories(look, tables),
        *check_size(look),
        *check_content(look.study, look.raw),
    ]


def _check_tables(
    study: Study,
    instruments: Mapping[str, Instrument],
    tables: Mapping[str, RawTable],
    study_file: str,
    today: datetime.date,
    known_instruments: tuple[str, ...],
) -> tuple[list[Problem], RawStudy | None]:
    study = _without(study, _unknown_instruments(study, instruments))
    report = check_columns(study, instruments, tables, study_file)
    complete = len(tables) == len(study.data.tables)
    # A column that is absent here may stand in the file that could not be read.
    problems = report.problems if complete else []
    problems += check_column_names(report.declared, report.used, tables, study_file)
    if not complete:
        return problems, None
    if not report.keys_found:
        return problems + _look_without_keys(study, instruments, tables, study_file), None
    present, known, lost = with_found_items(
        study, instruments, report.lost, report.variables, report.places, tables
    )
    readable = _without(present, lost)
    if not readable.measures:
        return problems, None
    try:
        raw = assemble(readable, known, tables)
    except StudyError as error:
        return problems + error.problems, None
    look = Look(readable, known, raw, study_file, known_instruments)
    problems += _told_by_readers(raw)
    return problems + check_study(look, tables, today), raw


# What can be said of an answer without knowing whose it is, and of which session.
OF_SINGLE_ANSWERS = ("TEXT_IN_NUMBER", "DECIMAL_COMMA", "SPREADSHEET_ERROR", "DATE_IN_NUMBER",
                     "OUT_OF_RANGE", "SENTINEL_CODE", "WRONG_RESPONSE_RANGE")  # fmt: skip


def _look_without_keys(
    study: Study,
    instruments: Mapping[str, Instrument],
    tables: Mapping[str, RawTable],
    study_file: str,
) -> list[Problem]:
    """Problems of single answers in a file whose client or session column was not found."""
    of_sessions = [name for name, raw in tables.items() if raw.table.level == "session"]
    if len(of_sessions) != 1 or study.data.layout == "wide":
        return []  # rows of several files cannot be put together
    raw = tables[of_sessions[0]]
    stand_ins = (client_column(study, raw), session_column(study, raw))
    absent = [name for name in stand_ins if name and name not in raw.frame]
    frame = raw.frame.assign(**{name: range(1, len(raw.frame) + 1) for name in absent})
    alone = {of_sessions[0]: replace(raw, frame=frame)}
    data = study.data.model_copy(update={"tables": {of_sessions[0]: raw.table}})
    # Only the answers: what else is declared may stand in the other files.
    only = {f"columns.{n}" for n in type(study.columns).model_fields} | {
        f"covariates.{name}" for name in study.covariates
    }
    reduced = _without(study, only).model_copy(update={"data": data})
    report = check_columns(reduced, instruments, alone, study_file)
    present, known, lost = with_found_items(
        reduced, instruments, report.lost, report.variables, report.places, alone
    )
    readable = _without(present, lost)
    try:
        looked_at = assemble(readable, known, alone) if readable.measures else None
    except StudyError:
        return []
    if looked_at is None:
        return []
    told = check_values(Look(readable, known, looked_at, study_file))
    return [problem for problem in told if problem.code in OF_SINGLE_ANSWERS]


def _unknown_instruments(study: Study, instruments: Mapping[str, Instrument]) -> set[str]:
    return {
        f"measures.{name}"
        for name, measure in study.measures.items()
        if measure.instrument is not None and measure.instrument not in instruments
    }


def _without(study: Study, lost: set[str]) -> Study:
    """The study without measures, covariates and columns that cannot be read.

    Only for looking at the rest: models that need them are left out as well.
    """
    if not lost:
        return study
    measures = {k: v for k, v in study.measures.items() if f"measures.{k}" not in lost}
    covariates = {k: v for k, v in study.covariates.items() if f"covariates.{k}" not in lost}
    models = {
        name: model
        for name, model in study.models.items()
        if {model.outcome, model.predictor or model.outcome} <= set(measures)
        and {p for term in model.covariates for p in term.split(":")} <= {"time", *covariates}
        and model.residuals.variance_by in (None, "phase", *covariates)
    }
    gone = {key.removeprefix("columns.") for key in lost if key.startswith("columns.")}
    columns = study.columns.model_copy(update=dict.fromkeys(gone - {"client", "session"}))
    return study.model_copy(
        update={
            "measures": measures, "covariates": covariates, "models": models, "columns": columns,
        }
    )  # fmt: skip


def _told_by_readers(raw: RawStudy) -> list[Problem]:
    """The readers' warnings, but for what is told here with row numbers."""
    of_clients = set(raw.files("client").values())
    return [p for p in raw.problems if not (p.code == "UNMATCHED_ROWS" and p.file in of_clients)]
