"""Checks of entries that stand for something: attendance, endings, categories and their labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from alliance.problems import Problem, suggest
from alliance.readers.answers import entry_key, keyed
from alliance.readers.raw import RawTable
from alliance.study import Covariate
from alliance.study.rupture_sources import HIGHEST_RATING, LOWEST_RATING, RUPTURE_REPORTS
from alliance.validation.catalogue import tell
from alliance.validation.identifiers import origin_of
from alliance.validation.showing import Look, show_codes

VOCABULARIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "attendance": ("UNKNOWN_ATTENDANCE", ("attended", "no_show", "late_cancel",
                                          "therapist_cancel")),
    "ending": ("UNKNOWN_ENDING", ("agreed", "dropout", "transfer", "ongoing")),
}  # fmt: skip
MANY_CATEGORIES = 20


def check_categories(look: Look, tables: Mapping[str, RawTable]) -> list[Problem]:
    """Entries without a meaning, labels without entries, categories that are too small."""
    problems = [*_check_vocabularies(look), *_check_ruptures(look), *_check_labels(look, tables)]
    for name, covariate in look.study.covariates.items():
        frame = look.frame_with(name)
        if frame is not None:
            problems += _check_covariate(look, frame, name, covariate)
    return [*problems, *_check_alike(look)]


def _check_vocabularies(look: Look) -> Iterable[Problem]:
    for role, (code, words) in VOCABULARIES.items():
        frame = look.raw.sessions if role == "attendance" else look.raw.clients
        if getattr(look.study.columns, role) is None or role not in frame:
            continue
        entries = frame[role].astype("str")
        unknown = entries.notna() & ~entries.isin(words)
        if role == "attendance" and entries.isna().any():
            file, where = look.place(frame, role, entries.isna())
            count = int(entries.isna().sum())
            found = f"{count} empty {'cell' if count == 1 else 'cells'}"
            yield tell("ATTENDANCE_MISSING", file, where, found)
        if unknown.any():
            file, where = look.place(frame, role, unknown)
            hints = [suggest(text.lower().replace(" ", "_"), words) for text in
                     entries[unknown].unique()]  # fmt: skip
            hint = next((text for text in hints if text), "")
            yield tell(code, file, where, show_codes(entries[unknown]), hint=hint)


def _check_ruptures(look: Look) -> Iterable[Problem]:
    """Reports of ruptures outside their range, and resolutions of ruptures that were denied."""
    sessions = look.raw.sessions
    for role, report in RUPTURE_REPORTS.items():
        if role not in sessions:
            continue
        entries = sessions[role]
        numbers = pd.to_numeric(entries, errors="coerce")
        wrong = (entries.notna() & ~_allowed(numbers, report.kind)).fillna(False).astype(bool)
        if wrong.any():
            file, where = look.place(sessions, role, wrong)
            shown = entries[wrong].map(_as_text)
            yield tell(NOT_ALLOWED[report.kind], file, where, show_codes(shown))
        if report.occurrence in sessions:
            denied = pd.to_numeric(sessions[report.occurrence], errors="coerce") == 0
            wrong = (denied & numbers.notna()).fillna(False).astype(bool)
            if wrong.any():
                file, where = look.place(sessions, role, wrong)
                n = int(wrong.sum())
                found = f"{n} {'entry' if n == 1 else 'entries'} where '{report.occurrence}' is 0"
                yield tell("RESOLVED_NOTHING", file, where, found)


NOT_ALLOWED = {"yes_no": "NOT_YES_NO", "rating": "NOT_A_RATING", "count": "NOT_A_COUNT"}


def _allowed(numbers: pd.Series, kind: str) -> pd.Series:
    if kind == "yes_no":
        return numbers.isin([0, 1])
    if kind == "count":
        return (numbers >= 0) & (numbers % 1 == 0)
    return numbers.between(LOWEST_RATING, HIGHEST_RATING)


def _as_text(entry: object) -> str:
    return f"{entry:g}" if isinstance(entry, int | float) else str(entry)


def _check_labels(look: Look, tables: Mapping[str, RawTable]) -> Iterable[Problem]:
    """Labels for entries that never occur: mostly a spelling that differs from the file's."""
    study = look.study
    for role in ("attendance", "ending", *RUPTURE_REPORTS):
        column = getattr(study.columns, role)
        if column is not None and column.labels:
            yield from _unused(look, tables, f"columns.{role}", column.column, column.labels)
    for name, covariate in study.covariates.items():
        if covariate.labels:
            key = f"covariates.{name}"
            yield from _unused(look, tables, key, covariate.column, covariate.labels)


def _unused(
    look: Look,
    tables: Mapping[str, RawTable],
    key: str,
    column: str,
    labels: Mapping[str | int | float | bool, object],
) -> Iterable[Problem]:
    frames = [table.frame[column] for table in tables.values() if column in table.frame]
    if not frames:
        return
    entries = {entry_key(value) for frame in frames for value in frame.dropna().unique()}
    # A file with value labels may be labelled by word or by code.
    for table in tables.values():
        entries |= {entry_key(word) for word in table.value_labels.get(column, {}).values()}
    unused = [str(entry) for entry in labels if not set(keyed({entry: 0})) & entries]
    if unused:
        shown = ", ".join(f"'{entry}'" for entry in unused)
        found = f"no entry {shown} in column '{column}'"
        yield tell("UNUSED_LABEL", look.study_file, f"key {key}.labels", found)


def _check_covariate(
    look: Look, frame: pd.DataFrame, name: str, covariate: Covariate
) -> Iterable[Problem]:
    file, column = origin_of(look.raw, name)
    if not frame[name].notna().any():
        yield tell("COVARIATE_EMPTY", file, f"column '{column}'", "not a single value")
        return
    if covariate.type != "category":
        return
    entries = frame[name].dropna().astype("str")
    if covariate.labels:
        yield from _check_known(look, frame, name, covariate)
    if covariate.reference is not None and covariate.reference not in set(entries):
        known = sorted(set(entries)) if entries.nunique() <= MANY_CATEGORIES else []
        words = [text for text in known if (entries == text).sum() >= 3]
        hint = suggest(covariate.reference, words) or "Correct reference, or leave it out."
        yield tell(
            "NO_REFERENCE", look.study_file, f"key covariates.{name}.reference",
            f"'{covariate.reference}'", known=", ".join(words) or "the categories of the file",
            hint=hint,
        )  # fmt: skip
    if entries.nunique() > MANY_CATEGORIES:
        found = f"{entries.nunique()} different entries"
        yield tell("MANY_CATEGORIES", file, f"column '{column}'", found)
    yield from _check_cells(look, frame, name, (file, column))


def _check_known(
    look: Look, frame: pd.DataFrame, name: str, covariate: Covariate
) -> Iterable[Problem]:
    known = {str(meaning) for meaning in (covariate.labels or {}).values()}
    entries = frame[name].astype("str")
    unknown = entries.notna() & ~entries.isin(known)
    if unknown.any():
        file, where = look.place(frame, name, unknown)
        listed = ", ".join(sorted(known))
        yield tell("UNKNOWN_CATEGORY", file, where, show_codes(entries[unknown]), known=listed)


def _check_cells(
    look: Look, frame: pd.DataFrame, name: str, place: tuple[str, str]
) -> Iterable[Problem]:
    smallest = look.study.privacy.smallest_cell
    pairs = frame[["client", name]].dropna().drop_duplicates()
    counts = pairs.groupby(name)["client"].nunique()
    small = counts[counts < smallest]
    # Many small categories are told as MANY_CATEGORIES.
    if len(small) and len(counts) <= MANY_CATEGORIES:
        number = f"{len(small)} {'category' if len(small) == 1 else 'categories'}"
        found = f"{number} with fewer than {smallest} clients"
        yield tell("SMALL_CELLS", place[0], f"column '{place[1]}'", found, smallest=smallest)


def _check_alike(look: Look) -> Iterable[Problem]:
    """Clients whom the combination of quasi-identifiers singles out."""
    clients, smallest = look.raw.clients, look.study.privacy.smallest_cell
    quasi = [
        name
        for name, covariate in look.study.covariates.items()
        if covariate.quasi_identifier and name in clients
    ]
    if not quasi or clients.empty:
        return
    sizes = clients.groupby(quasi, dropna=False).size()
    few = int(sizes[sizes < smallest].sum())
    if few:
        # A count below the smallest cell would itself be one.
        number = f"{few}" if few >= smallest else f"fewer than {smallest}"
        found = f"{number} clients in groups of fewer than {smallest}"
        columns = " x ".join(f"'{origin_of(look.raw, name)[1]}'" for name in quasi)
        file = origin_of(look.raw, quasi[0])[0]
        yield tell("FEW_ALIKE", file, f"columns {columns}", found, smallest=smallest)
