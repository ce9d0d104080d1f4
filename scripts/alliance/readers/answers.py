"""Entries of a file turned into the values they stand for: numbers, categories, ids, dates."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from alliance.readers.text import MARKS_AMONG_NUMBERS, NUMBER

Entry = str | int | float | bool
WHOLE_NUMBER_AS_DECIMAL = re.compile(r"([-+]?\d+)\.0+")
# YAML reads yes and on as true, no and off as false; files hold the words.
WORDS_OF_BOOL = {True: ("true", "yes", "on"), False: ("false", "no", "off")}
KEEP = object()


@dataclass(frozen=True)
class Converted:
    """A converted column.

    Attributes
    ----------
    column : the converted column, index as given.
    missing_codes : how often each declared missing code stood there.
    dropped : rows whose entry a ``null`` label marks as missing.
    notes : what was assumed, in plain words.
    """

    column: pd.Series
    missing_codes: Counter[str] = field(default_factory=Counter)
    dropped: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    notes: list[str] = field(default_factory=list)


def entry_key(entry: object, decimal: str = ".") -> str:
    """An entry in the form in which entries are compared: 1, 1.0 and '1' are one and the same.

    Upper and lower case, and white space around and between words, make no difference.
    """
    if isinstance(entry, bool | np.bool_):
        return str(bool(entry)).lower()
    if isinstance(entry, int | float | np.number):
        return _number_key(float(entry))
    text = " ".join(str(entry).split()).casefold()
    number = _number_in(text, decimal)
    return text if number is None else _number_key(number)


def keyed(labels: Mapping[Entry, object] | None) -> dict[str, object]:
    """Labels of a study file by :func:`entry_key`."""
    by_key: dict[str, object] = {}
    for entry, meaning in (labels or {}).items():
        keys = WORDS_OF_BOOL[entry] if isinstance(entry, bool) else (entry_key(entry),)
        by_key.update(dict.fromkeys(keys, meaning))
    return by_key


def to_numbers(
    values: pd.Series,
    labels: Mapping[str, object] | None = None,
    codes: Iterable[Entry] = (),
    decimal: str = ".",
) -> Converted:
    """Entries as numbers.

    Parameters
    ----------
    values : one entry per row.
    labels : numbers by :func:`entry_key` of the entry; ``None`` marks an entry missing.
    codes : entries that mean `no answer`.
    decimal : decimal mark of numbers that stand as text.

    Returns
    -------
    Converted
        Float64 where every entry is a number; else object, with numbers, None and the entries
        that are none, for validation to report.
    """
    missing = {entry_key(code) for code in codes}
    if not labels and pd.api.types.is_numeric_dtype(values.dtype):
        return _numbers_without_codes(values, missing)

    def number(entry: object) -> object:
        meaning = (labels or {}).get(entry_key(entry, decimal), KEEP)
        if meaning is not KEEP:
            return _as_number(meaning, decimal)
        return None if _is_mark(entry) else _as_number(entry, decimal)

    converted, counts, dropped = _translate(values, number, missing, labels or {}, decimal)
    return Converted(_float_or_object(converted), counts, dropped)


def to_categories(
    values: pd.Series,
    labels: Mapping[str, object] | None = None,
    codes: Iterable[Entry] = (),
    decimal: str = ".",
) -> Converted:
    """Entries as text, renamed by ``labels``; whole numbers lose their ``.0``."""
    missing = {entry_key(code) for code in codes}

    def name(entry: object) -> object:
        meaning = (labels or {}).get(entry_key(entry, decimal), KEEP)
        if meaning is not KEEP:
            return None if meaning is None else as_id(meaning)
        return as_id(entry)

    converted, counts, dropped = _translate(values, name, missing, labels or {}, decimal)
    return Converted(converted.astype("str"), counts, dropped)


def to_sessions(values: pd.Series, labels: Mapping[str, object] | None, decimal: str) -> Converted:
    """Session numbers as Int64; left as they are where one is no whole number."""
    numbers = to_numbers(values, labels, decimal=decimal)
    series = numbers.column
    is_numeric = pd.api.types.is_numeric_dtype(series.dtype)
    if is_numeric and bool((series.dropna() % 1 == 0).all()):
        series = series.astype("Int64")
    return Converted(series, numbers.missing_codes, numbers.dropped, numbers.notes)


def as_id(entry: object) -> str:
    """An identifier as text: 101, 101.0 and '101.0' are all ``101``."""
    if isinstance(entry, float | np.floating) and float(entry).is_integer():
        return str(int(entry))
    text = " ".join(str(entry).split())
    decimal = WHOLE_NUMBER_AS_DECIMAL.fullmatch(text)
    return decimal.group(1) if decimal else text


def _translate(
    values: pd.Series,
    meaning: Callable[[object], object],
    missing: set[str],
    labels: Mapping[str, object],
    decimal: str,
) -> tuple[pd.Series, Counter[str], np.ndarray]:
    """Every different entry is translated once, however many rows hold it."""
    position, entries = pd.factorize(values.astype(object), use_na_sentinel=True)
    keys = [entry_key(entry, decimal) for entry in entries]
    is_code = np.array([key in missing for key in keys], dtype=bool)
    is_dropped = np.array([labels.get(key, KEEP) is None for key in keys], dtype=bool)
    new = np.empty(len(entries) + 1, dtype=object)
    for at, entry in enumerate(entries):
        new[at] = None if is_code[at] else meaning(entry)
    new[-1] = None  # factorize marks empty cells by -1
    counts = np.bincount(position[position >= 0], minlength=len(entries))
    seen = Counter({keys[at]: int(counts[at]) for at in np.flatnonzero(is_code)})
    dropped = np.append(is_dropped, False)[position]
    return pd.Series(new[position], index=values.index, name=values.name), seen, dropped


def _numbers_without_codes(values: pd.Series, missing: set[str]) -> Converted:
    numbers = values.to_numpy(dtype="float64", na_value=np.nan, copy=True)
    counts: Counter[str] = Counter()
    for key in sorted(missing):
        code = _number_in(key, ".")
        is_code = numbers == code if code is not None else np.zeros(len(numbers), dtype=bool)
        if is_code.any():
            counts[key] = int(is_code.sum())
            numbers[is_code] = np.nan
    series = pd.Series(pd.array(numbers, dtype="Float64"), index=values.index, name=values.name)
    return Converted(series, counts, np.zeros(len(numbers), dtype=bool))


def _float_or_object(values: pd.Series) -> pd.Series:
    if all(entry is None or isinstance(entry, float) for entry in values.unique()):
        return pd.Series(
            pd.array(values.to_numpy(dtype="float64", na_value=np.nan), dtype="Float64"),
            index=values.index,
            name=values.name,
        )
    return values


def _as_number(entry: object, decimal: str) -> object:
    """The number that ``entry`` is, or the entry itself."""
    if entry is None:
        return None
    if isinstance(entry, bool | np.bool_ | int | float | np.number):
        return float(entry)
    number = _number_in(str(entry).strip(), decimal)
    return entry if number is None else number


def _is_mark(entry: object) -> bool:
    return isinstance(entry, str) and entry.strip().lower() in (*MARKS_AMONG_NUMBERS, "")


def _number_in(text: str, decimal: str) -> float | None:
    if decimal == "," and "." not in text:
        text = text.replace(",", ".")
    return float(text) if NUMBER.fullmatch(text) else None


def _number_key(number: float) -> str:
    return str(int(number)) if number.is_integer() else repr(number)
