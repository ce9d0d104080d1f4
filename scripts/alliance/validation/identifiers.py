"""Personal data refused: by the name of a declared column and by what stands in it.

Undeclared columns never pass ingest, so they are only named in a warning. No entry is ever shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from alliance.personal_data import (
    CONTENT_SIGNS,
    REFUSED_AS_KEYED_ID,
    identifying_kind,
    looks_like_surname,
    name_looks_like,
)
from alliance.problems import Problem, list_rows
from alliance.readers.raw import RawStudy, RawTable
from alliance.study import Study
from alliance.study.rupture_sources import RUPTURE_REPORTS
from alliance.validation.catalogue import tell
from alliance.validation.ranges import present_answers

LONG_NUMBER = 10_000_000  # seven digits may be an amount of money


def check_column_names(
    declared: Mapping[str, str],
    used: Iterable[str],
    tables: Mapping[str, RawTable],
    study_file: str,
) -> list[Problem]:
    """Declared columns refused by name; undeclared ones listed in one warning per file.

    Parameters
    ----------
    declared : ``{column or pattern: key that names it}``.
    used : all columns of the files that the study reads.
    """
    problems = [
        tell("IDENTIFIER_COLUMN", study_file, f"key {key}, column '{column}'",
             f"its name announces {kind}", advice=_advice(key))
        for column, key in declared.items()
        if (kind := name_looks_like(re.sub(r"\{[^}]*\}", " ", column)))
    ]  # fmt: skip
    known = set(used)
    for table in tables.values():
        names = [str(name) for name in table.frame.columns]
        telling = [name for name in names if name not in known and name_looks_like(name)]
        if telling:
            where = f"{'column' if len(telling) == 1 else 'columns'} " + ", ".join(
                f"'{name}'" for name in telling
            )
            found = "not read: its name announces personal data or free text"
            problems.append(tell("UNDECLARED_IDENTIFIER", table.file, where, found))
    return problems


def check_content(study: Study, raw: RawStudy) -> list[Problem]:
    """Personal data in the columns that go on: identifiers, categories, and words among numbers."""
    problems = [p for name in ("client", "therapist") for p in _check_ids(study, raw, name)]
    for name, frame, allowed in _text_columns(study, raw):
        problems += _check_texts(study, raw, frame, name, allowed)
    for name in present_answers(raw.sessions, study):
        problems += _check_long_numbers(raw, raw.sessions, name)
    for name, covariate in study.covariates.items():
        frame = raw.clients if name in raw.clients else raw.sessions
        if name in frame:
            of_birth = _check_dates_as_numbers(raw, frame, name)
            problems += of_birth or _check_long_numbers(raw, frame, name)
            if covariate.type == "category" and not covariate.labels:
                problems += _check_unique(raw, frame, name)
    return problems + _check_birth_dates(raw)


def _text_columns(
    study: Study, raw: RawStudy
) -> Iterable[tuple[str, pd.DataFrame, frozenset[str]]]:
    """Columns that may hold words, with the words that the study file itself declares."""
    for frame in (raw.sessions, raw.clients):
        for role in ("session", "attendance", "ending", *RUPTURE_REPORTS):
            if role in frame and not pd.api.types.is_numeric_dtype(frame[role]):
                labels = (getattr(study.columns, role) or _NoLabels).labels or {}
                yield role, frame, frozenset(str(v) for v in labels.values())
        for name in present_answers(frame, study):
            if not pd.api.types.is_numeric_dtype(frame[name]):
                yield name, frame, frozenset()
        for name, covariate in study.covariates.items():
            if name in frame and not pd.api.types.is_numeric_dtype(frame[name]):
                labels = covariate.labels or {}
                yield name, frame, frozenset(str(v) for v in labels.values())


class _NoLabels:
    labels: dict[str, str] | None = None


def _check_texts(
    study: Study, raw: RawStudy, frame: pd.DataFrame, name: str, allowed: frozenset[str]
) -> list[Problem]:
    entries = frame[name].dropna()
    texts = entries.astype("str").str.strip()
    kinds = {text: identifying_kind(text) for text in texts.unique() if text not in allowed}
    if name in present_answers(frame, study):  # a date among answers is a spreadsheet's mistake
        kinds = {text: kind for text, kind in kinds.items() if kind != "BIRTH_DATE_FOUND"}
    if name in study.covariates:
        own = [text for text in _of_one_client(frame, texts) if looks_like_surname(text)]
        unlisted = [text for text in own if text not in allowed and not kinds[text]]
        kinds |= dict.fromkeys(unlisted, "NAMES_FOUND")
    return _tell_kinds(raw, frame, name, texts.map(lambda text: kinds.get(text, "")), _advice(name))


def _of_one_client(frame: pd.DataFrame, texts: pd.Series) -> list[str]:
    """Entries that a single client has: a surname cannot be told from a category otherwise."""
    n_clients = frame.loc[texts.index, "client"].groupby(texts).nunique()
    return list(n_clients.index[n_clients == 1])


def _check_ids(study: Study, raw: RawStudy, role: str) -> list[Problem]:
    frame = raw.clients if role == "therapist" and role not in raw.sessions else raw.sessions
    if role not in frame:
        return []
    texts = frame[role].dropna().astype("str").str.strip()
    kinds = kinds_of_ids(texts.unique(), keyed=study.privacy.pseudonyms == "keyed")
    return _tell_kinds(
        raw, frame, role, texts.map(lambda text: kinds.get(text, "")), _advice(f"columns.{role}")
    )


def kinds_of_ids(distinct: Sequence[str], keyed: bool) -> dict[str, str]:
    """The code of the personal data that each identifier looks like, else empty.

    Parameters
    ----------
    distinct : identifiers of clients or therapists, each once.
    keyed : whether they are replaced by keyed pseudonyms, which numbers of any kind may be.
    """
    kinds = {text: identifying_kind(text) for text in distinct}
    if keyed:
        kinds = {text: k if k in REFUSED_AS_KEYED_ID else "" for text, k in kinds.items()}
    surnames = [text for text in distinct if looks_like_surname(text)]
    if len(surnames) > 0.5 * len(distinct):
        kinds |= {text: "NAMES_FOUND" for text in surnames if not kinds[text]}
    return kinds


def _tell_kinds(
    raw: RawStudy, frame: pd.DataFrame, name: str, kinds: pd.Series, advice: str
) -> list[Problem]:
    problems = []
    for code in CONTENT_SIGNS:
        at = kinds.index[kinds == code]
        if len(at):
            file, column = origin_of(raw, name)
            rows = row_numbers(frame, at)
            # A wide file's entry is in the frame once per session, and so once per row is counted.
            count = len(rows) or len(at)
            found = f"{count} {'entry' if count == 1 else 'entries'}, not shown here"
            where = f"column '{column}', {list_rows(rows)}"
            problems.append(tell(code, file, where, found, advice=advice))
    return problems


def _check_dates_as_numbers(raw: RawStudy, frame: pd.DataFrame, name: str) -> list[Problem]:
    """Birth dates that a reader turned into dates, or that were packed into numbers (19800131)."""
    values = frame[name].dropna()
    if values.empty:
        return []
    if pd.api.types.is_datetime64_any_dtype(values):
        share = 1.0
    elif pd.api.types.is_numeric_dtype(values):
        packed = values.where(values.between(19000101, 20301231))
        share = float(pd.to_datetime(packed.astype("Int64").astype("str"), format="%Y%m%d",
                                     errors="coerce").notna().mean())  # fmt: skip
    else:
        return []
    if share < 0.5:
        return []
    kinds = pd.Series("BIRTH_DATE_FOUND", index=values.index)
    return _tell_kinds(raw, frame, name, kinds, _advice(name))


def _check_long_numbers(raw: RawStudy, frame: pd.DataFrame, name: str) -> list[Problem]:
    """Telephone or record numbers that stand where answers or amounts are expected."""
    if not pd.api.types.is_numeric_dtype(frame[name]):
        return []
    values = frame[name].dropna()
    long = values.index[(values.abs() >= LONG_NUMBER) & (values % 1 == 0)]
    kinds = pd.Series("PHONE_FOUND", index=long)
    return _tell_kinds(raw, frame, name, kinds, _advice(name))


def _check_birth_dates(raw: RawStudy) -> list[Problem]:
    """A column of session dates that is the same at every session of a client is none."""
    sessions = raw.sessions
    if "date" not in sessions or not pd.api.types.is_datetime64_any_dtype(sessions["date"]):
        return []
    dates = sessions["date"].dropna()
    per_client = dates.groupby(sessions.loc[dates.index, "client"]).agg(["size", "nunique"])
    repeated = per_client[per_client["size"] > 1]
    if len(repeated) < 3 or (repeated["nunique"] == 1).mean() < 0.9 or dates.nunique() < 3:
        return []
    kinds = pd.Series("BIRTH_DATE_FOUND", index=dates.index)
    return _tell_kinds(raw, sessions, "date", kinds, (
        "The date is the same at all sessions of a client, as a birth date is. Name the column "
        "of session dates under columns.date, or leave it out."
    ))  # fmt: skip


def _check_unique(raw: RawStudy, frame: pd.DataFrame, name: str) -> list[Problem]:
    entries = frame[["client", name]].dropna().drop_duplicates()
    n_clients, n_entries = entries["client"].nunique(), entries[name].nunique()
    if n_entries < 10 or n_entries <= 0.5 * n_clients:
        return []
    file, column = origin_of(raw, name)
    found = f"{n_entries} different entries for {n_clients} clients"
    return [tell("UNIQUE_ENTRIES", file, f"column '{column}'", found)]


def _advice(key: str) -> str:
    if key == "columns.client":
        return (
            "Give every client a code (P001, P002, ...) in the file and keep the list of names "
            "elsewhere; with privacy.pseudonyms: keyed a record number may serve as well."
        )
    if key == "columns.therapist":
        return "Give every therapist a code (T01, T02, ...) in the file and name that column."
    return (
        "Take this column out of the study file, or replace it in the data by what the analysis "
        "needs (age group instead of birth date, region instead of address, a code instead of "
        "text). If the entries are categories, list them under labels."
    )


def origin_of(raw: RawStudy, name: str) -> tuple[str, str]:
    """File and column of a canonical name, as the user knows them."""
    if name in raw.origins:
        return raw.origins[name]
    return next((file for file, _ in raw.origins.values()), "data"), name


def row_numbers(frame: pd.DataFrame, index: pd.Index) -> list[int]:
    """Spreadsheet rows of some rows of an assembled table, each once, in order."""
    if "source_row" not in frame:
        return sorted({int(at) for at in index})
    rows = frame.loc[index, "source_row"].dropna()
    return [int(row) for row in np.unique(rows.to_numpy(dtype=float))]
