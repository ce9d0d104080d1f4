"""Dates as people write them; day-month order worked out from the whole column."""

from __future__ import annotations

import pandas as pd

from alliance.readers.answers import Converted

FORMATS: tuple[str, ...] = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y%m%d",
    "%d.%m.%Y",
    "%d.%m.%y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d-%b-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
)
OTHER_ORDER = {
    "%d/%m/%Y": "%m/%d/%Y",
    "%d/%m/%y": "%m/%d/%y",
    "%d-%m-%Y": "%m-%d-%Y",
}
EXCEL_EPOCH = "1899-12-30"
# Excel's day numbers of 1 January 1990 and 1 January 2050.
EXCEL_DAYS = (32874, 54789)
AMBIGUOUS = "day and month cannot be told apart; read as day/month"


def to_dates(values: pd.Series) -> Converted:
    """Entries as dates without time of day.

    Returns
    -------
    Converted
        datetime64 where every entry is a date; else object, with dates and the entries that are
        none, for validation to report. ``notes`` tells the format, and begins with AMBIGUOUS
        where day and month could be either way round.
    """
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return Converted(_days(values))
    if pd.api.types.is_numeric_dtype(values.dtype):
        return _from_numbers(values)
    texts = values.map(_text, na_action="ignore").astype("str")
    entries = pd.Series(texts.dropna().unique(), dtype="str")
    if entries.empty:
        return Converted(pd.to_datetime(pd.Series(pd.NaT, index=values.index)))
    chosen, parsed = _best_format(entries)
    dates = texts.map(dict(zip(entries, parsed, strict=True)))
    notes = [_format_in_words(chosen)] if parsed.notna().any() else []
    if _is_ambiguous(entries, chosen, parsed):
        notes = [AMBIGUOUS, *notes]
    not_dates = texts.notna() & dates.isna()
    if not_dates.any():
        return Converted(dates.astype(object).where(~not_dates, values), notes=notes)
    return Converted(pd.to_datetime(dates), notes=notes)


def _days(values: pd.Series) -> pd.Series:
    without_zone = values.dt.tz_localize(None) if values.dt.tz is not None else values
    return without_zone.dt.normalize()


def _text(entry: object) -> str:
    """The date part of an entry; a time of day after it is left out."""
    text = " ".join(str(entry).split())
    head, separator, tail = text.replace("T", " ", 1).partition(" ")
    return head if separator and ":" in tail and tail[:1].isdigit() else text


def _best_format(entries: pd.Series) -> tuple[str, pd.Series]:
    parsed = {form: pd.to_datetime(entries, format=form, errors="coerce") for form in FORMATS}
    best = max(FORMATS, key=lambda form: parsed[form].notna().sum())
    return best, parsed[best]


def _is_ambiguous(entries: pd.Series, chosen: str, parsed: pd.Series) -> bool:
    if chosen not in OTHER_ORDER or parsed.isna().any():
        return False
    other = pd.to_datetime(entries, format=OTHER_ORDER[chosen], errors="coerce")
    return bool(other.notna().all() and (other != parsed).any())


def _from_numbers(values: pd.Series) -> Converted:
    numbers = values.astype("Float64")
    filled = numbers.dropna()
    if len(filled) and bool(filled.between(*EXCEL_DAYS).all()):
        dates = pd.to_datetime(numbers.astype("float64"), unit="D", origin=EXCEL_EPOCH)
        return Converted(_days(dates), notes=["numbers read as Excel's count of days"])
    whole = numbers.astype("Int64") if bool((filled % 1 == 0).all()) else numbers
    dates = pd.to_datetime(whole.astype("str"), format="%Y%m%d", errors="coerce")
    if len(filled) and bool(dates[numbers.notna()].notna().all()):
        return Converted(dates, notes=["dates written as year-month-day without separators"])
    return Converted(values.astype(object))


def _format_in_words(form: str) -> str:
    words = {"%Y": "year", "%y": "year", "%m": "month", "%d": "day", "%b": "month", "%B": "month"}
    for code, word in words.items():
        form = form.replace(code, word)
    return f"dates read as {form}"
