"""Checks of answers and scores: what is no number, impossible, suspicious or without variation."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from alliance.personal_data import looks_like_date
from alliance.problems import Problem
from alliance.readers.variables import check_columns_of
from alliance.validation.catalogue import tell
from alliance.validation.direction import FORMS_FOR_A_PATTERN, check_direction
from alliance.validation.identifiers import origin_of
from alliance.validation.ranges import AnswerColumn, answer_columns
from alliance.validation.showing import Look, show_entries, show_numbers

MANY_OUT_OF_RANGE = 0.20
LARGEST_STRETCH = 10  # points beyond the published range that another form may have
SENTINELS = (-999, -99, -98, -97, -9, -8, -7, -1, 77, 88, 97, 98, 99, 777, 888, 997, 998, 999, 9999)
SHOWN_COLUMNS = 12
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
SPREADSHEET_ERROR = re.compile(r"#(?:REF!|N/A|DIV/0!|VALUE!|NAME\?|NUM!|NULL!|NV|WERT!|BEZUG!)")

Numbers = dict[str, pd.Series]


def check_values(look: Look) -> list[Problem]:
    """Everything about answers, scores and numeric covariates that can be wrong."""
    sessions = look.raw.sessions
    columns = [c for c in answer_columns(look.study, look.instruments) if c.name in sessions]
    numbers = {column.name: _numbers(sessions[column.name]) for column in columns}
    groups: dict[str, list[AnswerColumn]] = {}
    for column in columns:
        groups.setdefault(column.measure, []).append(column)
    checks = [
        check
        for name, measure in look.study.measures.items()
        for check in check_columns_of(name, measure)
        if check in sessions
    ]
    told = [column.name for column in columns] + checks
    problems = [p for name in told for p in check_text(look, sessions, name)]
    for measure, members in groups.items():
        problems += _check_measure(look, measure, members, numbers)
    problems += _check_numeric_covariates(look)
    return [*problems, *_check_unattended(look, columns)]


def _numbers(column: pd.Series) -> pd.Series:
    if not pd.api.types.is_numeric_dtype(column):
        column = pd.to_numeric(column, errors="coerce")
    return pd.Series(column.to_numpy(dtype=float, na_value=np.nan), index=column.index)


def check_text(look: Look, frame: pd.DataFrame, name: str) -> Iterable[Problem]:
    """Entries of a column of numbers that are none, by what they seem to be."""
    column = frame[name]
    if pd.api.types.is_numeric_dtype(column):
        return
    if pd.api.types.is_datetime64_any_dtype(column):
        yield _tell_text(look, frame, name, "DATE_IN_NUMBER", column.notna())
        return
    entries = column[column.notna() & _numbers(column).isna()].astype("str").str.strip()
    kinds = entries.map({entry: _kind_of_text(entry) for entry in entries.unique()})
    for code in dict.fromkeys(kinds):
        flawed = pd.Series(False, index=frame.index)
        flawed[kinds.index[kinds == code]] = True
        yield _tell_text(look, frame, name, code, flawed)


def _kind_of_text(entry: str) -> str:
    if DECIMAL_COMMA.fullmatch(entry):
        return "DECIMAL_COMMA"
    if SPREADSHEET_ERROR.fullmatch(entry):
        return "SPREADSHEET_ERROR"
    months = r"\d{1,2}[. -]+(?:jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])\w*"
    if looks_like_date(entry) or re.fullmatch(months, entry, re.IGNORECASE):
        return "DATE_IN_NUMBER"
    return "TEXT_IN_NUMBER"


def _tell_text(look: Look, frame: pd.DataFrame, name: str, code: str, flawed: pd.Series) -> Problem:
    file, where = look.place(frame, name, flawed)
    count = int(flawed.sum())
    shown = f"{count} {'entry' if count == 1 else 'entries'}"
    if code in ("TEXT_IN_NUMBER", "DECIMAL_COMMA"):
        shown += f": {show_entries(frame.loc[flawed, name])}"
    return tell(code, file, where, shown)


def _check_measure(
    look: Look, measure: str, members: list[AnswerColumn], numbers: Numbers
) -> Iterable[Problem]:
    file, _ = origin_of(look.raw, members[0].name)
    values = pd.DataFrame({column.name: numbers[column.name] for column in members})
    if not values.notna().to_numpy().any():
        # Words in every cell were told already; they are not missing.
        if look.raw.sessions[list(values)].isna().to_numpy().all():
            where = f"measure '{measure}', {_column_names(members)}"
            yield tell("ALL_MISSING", file, where, "not a single value")
        return
    yield from _check_range(look, measure, members, numbers)
    yield from _check_single_columns(look, members, numbers)
    yield from _check_variation(look, measure, members, values)
    if members[0].item is not None:
        yield from check_direction(look, measure, _without_codes(values, members[0]), file)
    else:
        yield from _check_score(look, measure, members[0], values[measure], file)


def _without_codes(values: pd.DataFrame, column: AnswerColumn) -> pd.DataFrame:
    """Undeclared codes for missing answers are told already; correlations are those of answers."""
    if column.low is None or column.high is None:
        return values
    outside = (values < column.low) | (values > column.high)
    return values.mask(outside & values.isin(SENTINELS))


def _column_names(members: list[AnswerColumn]) -> str:
    if len(members) == 1:
        return f"column '{members[0].source}'"
    return f"columns '{members[0].source}' to '{members[-1].source}'"


def _check_range(
    look: Look, measure: str, members: list[AnswerColumn], numbers: Numbers
) -> Iterable[Problem]:
    low, high = members[0].low, members[0].high
    if low is None or high is None:
        yield from _check_unranged(look, members, numbers)
        return
    outside = {c.name: (numbers[c.name] < low) | (numbers[c.name] > high) for c in members}
    everything = np.concatenate([numbers[c.name].to_numpy() for c in members])
    everything = everything[~np.isnan(everything)]
    wrong = everything[(everything < low) | (everything > high)]
    is_code = np.isin(wrong, SENTINELS)
    # Codes for missing answers may be frequent without the form being another one.
    if len(wrong) - is_code.sum() > MANY_OUT_OF_RANGE * (len(everything) - is_code.sum()):
        file, _ = origin_of(look.raw, members[0].name)
        found = (
            f"{100 * len(wrong) / len(everything):.0f}% of {len(everything)} values outside; "
            f"they run from {everything.min():g} to {everything.max():g}"
        )
        where = f"measure '{measure}', {_column_names(members)}"
        hint = _range_hint(everything, low, high, members[0].item is None)
        yield tell("WRONG_RESPONSE_RANGE", file, where, found, low=low, high=high, hint=hint)
        return
    for code, of_code in (("SENTINEL_CODE", True), ("OUT_OF_RANGE", False)):
        flawed = {n: mask & (numbers[n].isin(SENTINELS) == of_code) for n, mask in outside.items()}
        yield from _tell_outside(look, measure, members, numbers, flawed, code)


def _range_hint(values: np.ndarray, low: float, high: float, is_score: bool) -> str:
    """The likely reason: other scale points, counted from 0 or 1, or another metric."""
    least, most = float(values.min()), float(values.max())
    if is_score:
        return (
            "Is the score a mean where the instrument has a sum (or the reverse), or scaled "
            "otherwise? Declare its range under the measure, or convert it. Or is it the score of "
            "another instrument?"
        )
    if least == low - 1 and most == high - 1:
        return (
            f"The answers look as if they were counted from {least:g} instead of {low:g}: add 1 to "
            f"every answer, or declare response_range: [{least:g}, {most:g}]."
        )
    if least == low + 1 and most == high + 1:
        return (
            f"The answers look as if they were counted from {least:g} instead of {low:g}: subtract "
            f"1, or declare response_range: [{least:g}, {most:g}]."
        )
    if most > high + LARGEST_STRETCH:
        return (
            f"Is {most:g} a code for no answer? Then list it under data.missing_codes. If answers "
            "really run so far, another instrument is meant."
        )
    if most > high and least >= low:
        points = f"{int(most - low + 1)}-point instead of a {int(high - low + 1)}-point"
        return (
            f"Was this a {points} form? Then declare response_range: [{low:g}, {most:g}] under the "
            "measure."
        )
    return "Check the columns and the instrument, or declare response_range under the measure."


def _tell_outside(
    look: Look, measure: str, members: list[AnswerColumn], numbers: Numbers, flawed: Numbers,
    code: str,
) -> Iterable[Problem]:  # fmt: skip
    """One problem for all items of a measure, each with its rows."""
    columns = [column for column in members if flawed[column.name].any()]
    if not columns:
        return
    places = [look.place(look.raw.sessions, c.name, flawed[c.name]) for c in columns]
    where = "; ".join(place[1].removeprefix("column ") for place in places[:SHOWN_COLUMNS])
    if len(columns) > SHOWN_COLUMNS:
        where += f"; and {len(columns) - SHOWN_COLUMNS} more columns"
    wrong = pd.concat([numbers[c.name][flawed[c.name]] for c in columns])
    found = f"{len(wrong)} {'answer' if len(wrong) == 1 else 'answers'}: {show_numbers(wrong)}"
    severity = "error" if look.study.cleaning.out_of_range == "error" else None
    noun = "column" if len(columns) == 1 else f"measure '{measure}', columns"
    yield tell(
        code, places[0][0], f"{noun} {where}", found, severity=severity,
        low=members[0].low, high=members[0].high,
    )  # fmt: skip


def _times(values: pd.Series) -> str:
    count = len(values)
    return f"{count} {'entry' if count == 1 else 'entries'}: {show_numbers(values)}"


def _check_unranged(look: Look, members: list[AnswerColumn], numbers: Numbers) -> Iterable[Problem]:
    for column in members:
        file, name = origin_of(look.raw, column.name)
        measure = look.study.measures[column.measure]
        if measure.rater != "none":  # a laboratory value has no fixed ends
            yield tell("NO_RANGE", file, f"column '{name}'", "no range declared")
        yield from tell_isolated_codes(look, look.raw.sessions, column.name, numbers[column.name])


def tell_isolated_codes(
    look: Look, frame: pd.DataFrame, name: str, values: pd.Series
) -> Iterable[Problem]:
    """Typical missing codes that lie far outside all other values of an unlimited number."""
    present = values.dropna()
    others = present[~present.isin(SENTINELS)]
    if others.empty:
        return
    spread = max(float(others.max() - others.min()), 1.0)
    far = (values > others.max() + spread) | (values < others.min() - min(spread, 5.0))
    flawed = values.isin(SENTINELS) & far
    if others.min() >= 0:  # a negative code among numbers that are never negative
        flawed |= values.isin(SENTINELS) & (values < 0)
    if flawed.any():
        file, where = look.place(frame, name, flawed)
        found = _times(values[flawed])
        yield tell("SENTINEL_CODE_USED", file, where, found)


def _check_single_columns(
    look: Look, members: list[AnswerColumn], numbers: Numbers
) -> Iterable[Problem]:
    sessions = look.raw.sessions
    for column in members:
        values = numbers[column.name]
        file, name = origin_of(look.raw, column.name)
        if column.item is None:
            continue
        distinct = values.nunique()
        if distinct == 0 and sessions[column.name].isna().all():
            yield tell("ITEM_ALL_MISSING", file, f"column '{name}'", "no answer in any row")
        if distinct == 1 and values.notna().sum() >= FORMS_FOR_A_PATTERN and len(members) > 1:
            found = _times(values.dropna())
            yield tell("ITEM_CONSTANT", file, f"column '{name}'", found)
        decimals = values.notna() & (values % 1 != 0) if column.whole else None
        if decimals is not None and decimals.any():
            file, where = look.place(sessions, column.name, decimals)
            found = _times(values[decimals])
            yield tell("NOT_WHOLE", file, where, found)


def _check_variation(
    look: Look, measure: str, members: list[AnswerColumn], values: pd.DataFrame
) -> Iterable[Problem]:
    file, _ = origin_of(look.raw, members[0].name)
    where = f"measure '{measure}', {_column_names(members)}"
    score = values.mean(axis=1).round(9)
    if score.notna().sum() < 2:
        return
    if values.apply(_is_constant).all():
        found = f"the same answers in all {score.notna().sum()} forms"
        yield tell("CONSTANT_MEASURE", file, where, found)
        return
    if not any(m.predictor == measure for m in look.study.models.values()):
        return
    per_client = score.groupby(look.raw.sessions["client"]).agg(["count", "nunique"])
    repeated = per_client[per_client["count"] > 1]
    if len(repeated) and (repeated["nunique"] == 1).all():
        found = f"the same value at every session, for all {len(repeated)} clients with several"
        yield tell("CONSTANT_WITHIN_CLIENTS", file, where, found)


def _is_constant(values: pd.Series) -> bool:
    present = values.dropna()
    return bool((present == present.iloc[0]).all()) if len(present) else True


def _check_score(
    look: Look, measure: str, column: AnswerColumn, values: pd.Series, file: str
) -> Iterable[Problem]:
    """Item means given where the published total is a sum pass every range check."""
    instrument = look.instruments.get(look.study.measures[measure].instrument or "")
    if instrument is None or column.low is None or look.study.measures[measure].range:
        return
    ends = instrument.response_min, instrument.response_max
    present = values.dropna()
    has_decimals = bool((present % 1 != 0).any())
    within_item = bool(present.between(*ends).all())
    low, high = float(column.low), float(column.high or 0)
    if within_item and has_decimals and high > 3 * ends[1]:
        found = f"numbers with decimals from {present.min():g} to {present.max():g}"
        where = f"column '{column.source}'"
        yield tell("OTHER_METRIC", file, where, found, low=low, high=high)


def _check_numeric_covariates(look: Look) -> Iterable[Problem]:
    for name, covariate in look.study.covariates.items():
        frame = look.frame_with(name)
        if frame is None or covariate.type != "number":
            continue
        yield from check_text(look, frame, name)
        values = _numbers(frame[name])
        if values.notna().any():
            yield from tell_isolated_codes(look, frame, name, values)


def _check_unattended(look: Look, columns: list[AnswerColumn]) -> Iterable[Problem]:
    sessions, study = look.raw.sessions, look.study
    if study.columns.attendance is None:
        return
    missed = sessions["attendance"].isin(["no_show", "late_cancel", "therapist_cancel"])
    for measure in dict.fromkeys(column.measure for column in columns):
        is_outcome = study.measures[measure].role == "outcome"
        when = study.timing.outcome_when if is_outcome else study.timing.alliance_when
        members = [c for c in columns if c.measure == measure]
        rated = sessions[[c.name for c in members]].notna().any(axis=1) & missed
        if when == "post" and rated.any():
            file, _ = origin_of(look.raw, members[0].name)
            where = f"measure '{measure}', {look.rows(sessions, rated, file)}"
            found = f"{int(rated.sum())} ratings of sessions that did not take place"
            yield tell("RATED_UNATTENDED", file, where, found)
