"""Checks of who and when: clients, sessions, dates, duplicates, therapists."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

import pandas as pd

from alliance.personal_data import looks_like_date
from alliance.problems import Problem
from alliance.validation.catalogue import tell
from alliance.validation.identifiers import origin_of
from alliance.validation.showing import Look, show_entries, show_numbers

LARGEST_SESSION = 1000
LARGE_GAP = 20
EARLIEST = pd.Timestamp("1950-01-01")
NOT_COMPARED = ("source_row", "source_table")


def check_keys(look: Look, today: datetime.date) -> list[Problem]:
    """Everything about identifiers, session numbers and dates that can be wrong.

    Parameters
    ----------
    today : dates after it are refused.
    """
    return [
        *_check_clients(look),
        *_check_spelling(look, "client"),
        *_check_spelling(look, "therapist"),
        *_check_sessions(look),
        *_check_gaps(look),
        *_check_dates(look, today),
        *_check_dates_against_sessions(look),
        *_check_duplicates(look),
        *_check_client_table(look),
        *_check_therapists(look),
    ]


def _check_clients(look: Look) -> Iterable[Problem]:
    sessions = look.raw.sessions
    absent = sessions["client"].isna()
    if absent.any():
        file, where = look.place(sessions, "client", absent)
        yield tell("CLIENT_MISSING", file, where, _count(absent, "empty cell"))


def _check_spelling(look: Look, role: str) -> Iterable[Problem]:
    sessions = look.raw.sessions
    texts = sessions[role].dropna().astype("str")
    distinct = pd.Series(texts.unique(), dtype="str")
    plain = distinct.str.lower().str.replace(r"[\s_.-]", "", regex=True)
    plain = plain.str.replace(r"(?<![0-9])0+(?=[0-9])", "", regex=True)
    alike = distinct[plain.duplicated(keep=False)]
    if len(alike):
        # The rarer spellings are the likely slips: their rows are the useful ones.
        common = texts.value_counts()
        first = alike.sort_values(key=lambda names: -names.map(common)).groupby(plain).first()
        slips = sessions[role].isin(set(alike) - set(first))
        file, where = look.place(sessions, role, slips)
        found = f"{len(first)} identifiers written in several ways"
        yield tell("SPELLED_DIFFERENTLY", file, where, found)


def _check_sessions(look: Look) -> Iterable[Problem]:
    sessions = look.raw.sessions
    if look.study.data.layout == "wide" or look.study.columns.session is None:
        return
    given = sessions["session"]
    numbers = _numbers(given)
    words = given.notna() & numbers.isna()
    flaws = (
        ("SESSION_MISSING", given.isna(), "empty cells"),
        ("SESSION_NOT_NUMBER", words, show_entries(given[words])),
        ("SESSION_NOT_WHOLE", (numbers % 1 != 0) & numbers.notna(), ""),
        ("SESSION_NEGATIVE", numbers < 0, ""),
        ("SESSION_TOO_LARGE", numbers > LARGEST_SESSION, ""),
    )
    for code, flawed, found in flaws:
        at = flawed.fillna(False).astype(bool)
        if at.any():
            file, where = look.place(sessions, "session", at)
            shown = found or show_numbers(numbers[at])
            yield tell(code, file, where, shown, limit=LARGEST_SESSION)


def _check_gaps(look: Look) -> Iterable[Problem]:
    """A number far from its neighbours is rather a slip than a long pause."""
    sessions = look.raw.sessions
    if look.study.data.layout == "wide" or look.study.columns.session is None:
        return
    keys = sessions[["client"]].assign(session=_numbers(sessions["session"])).dropna()
    keys = keys[keys["session"].between(0, LARGEST_SESSION)]
    keys = keys.sort_values(["client", "session"], kind="stable")
    gap = keys["session"].diff().where(keys["client"].eq(keys["client"].shift()))
    far = gap.index[gap > LARGE_GAP]
    if len(far):
        flawed = pd.Series(sessions.index.isin(far), index=sessions.index)
        file, where = look.place(sessions, "session", flawed)
        found = f"{_count(flawed, 'number')} more than {LARGE_GAP} above the client's last one"
        yield tell("SESSION_GAPS", file, where, found)


def _numbers(column: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        return column.astype("Float64")
    return pd.to_numeric(column, errors="coerce").astype("Float64")


def _check_dates(look: Look, today: datetime.date) -> Iterable[Problem]:
    sessions = look.raw.sessions
    if look.study.columns.date is None:
        return
    given = sessions["date"]
    dates = _as_dates(given)
    unreadable = (given.notna() & dates.isna()).astype(bool)
    if unreadable.any():
        yield _tell_unreadable(look, given, unreadable)
    flaws = (
        ("DATE_IN_FUTURE", dates > pd.Timestamp(today), "after today"),
        ("DATE_TOO_EARLY", dates < EARLIEST, "before 1950"),
    )
    for code, flawed, words in flaws:
        if flawed.any():
            file, where = look.place(sessions, "date", flawed)
            yield tell(code, file, where, f"{_count(flawed, 'date')} {words}")


def _tell_unreadable(look: Look, given: pd.Series, unreadable: pd.Series) -> Problem:
    file, where = look.place(look.raw.sessions, "date", unreadable)
    found = _count(unreadable, "entry", "entries")
    entries = given[unreadable].astype("str")
    if entries.map(looks_like_date).mean() > 0.5 and not unreadable.all():
        return tell("DATE_FORMATS_MIXED", file, where, f"{found} in another form than the others")
    return tell("DATE_UNREADABLE", file, where, f"{found} that cannot be read as dates")


def _as_dates(given: pd.Series) -> pd.Series:
    if pd.api.types.is_datetime64_any_dtype(given):
        return given
    # The readers leave dates as dates beside the entries that are none.
    is_date = given.map(lambda entry: isinstance(entry, datetime.date), na_action="ignore")
    return pd.to_datetime(given.where(is_date.fillna(False).astype(bool)), errors="coerce")


def _check_dates_against_sessions(look: Look) -> Iterable[Problem]:
    if look.study.columns.date is None or look.study.columns.session is None:
        return
    sessions = look.raw.sessions
    frame = pd.DataFrame({
        "client": sessions["client"], "session": _numbers(sessions["session"]),
        "date": _as_dates(sessions["date"]),
    }).dropna().sort_values(["client", "session", "date"], kind="stable")  # fmt: skip
    back = frame["client"].eq(frame["client"].shift()) & (
        frame["date"] < frame.groupby("client")["date"].cummax().shift()
    )
    if back.any():
        flawed = pd.Series(False, index=sessions.index)
        flawed[back[back].index] = True
        file, where = look.place(sessions, "date", flawed)
        found = f"{_count(flawed, 'date')} earlier than that of an earlier session"
        yield tell("DATES_AGAINST_SESSIONS", file, where, found)


def _check_duplicates(look: Look) -> Iterable[Problem]:
    sessions, rules = look.raw.sessions, look.study.cleaning
    known = sessions["client"].notna() & sessions["session"].notna()
    repeated = sessions[known & sessions.duplicated(["client", "session"], keep=False)]
    compared = [name for name in sessions.columns if name not in NOT_COMPARED]
    copies = repeated.duplicated(compared, keep="first")
    left = repeated[~copies]
    differing = left.duplicated(["client", "session"], keep=False)
    for code, index, rule, words in (
        ("EXACT_DUPLICATES", copies[copies].index, rules.exact_duplicates,
         "that {} an earlier row"),
        ("CONFLICTING_DUPLICATES", differing[differing].index, rules.conflicting_duplicates,
         "with other values for the same client and session"),
    ):  # fmt: skip
        if len(index):
            flawed = pd.Series(sessions.index.isin(index), index=sessions.index)
            file = origin_of(look.raw, "client")[0]
            one = len(index) == 1
            found = f"{len(index)} {'row' if one else 'rows'} "
            found += words.format("repeats" if one else "repeat")
            severity = "error" if rule == "error" else None
            where = look.rows(sessions, flawed, file)
            yield tell(code, file, where, found, severity=severity, rule=rule)


def _check_client_table(look: Look) -> Iterable[Problem]:
    sessions, clients = look.raw.sessions, look.raw.clients
    tables = list(look.raw.files("client").values())
    if not tables or clients["source_row"].isna().all():
        return
    listed = clients.loc[clients["source_row"].notna(), "client"]
    unlisted = sessions["client"].notna() & ~sessions["client"].isin(listed)
    if unlisted.any():
        file, where = look.place(sessions, "client", unlisted)
        n_clients = sessions.loc[unlisted, "client"].nunique()
        yield tell("NOT_IN_CLIENT_TABLE", file, where, _clients(n_clients))
    absent = clients["source_row"].notna() & ~clients["client"].isin(sessions["client"])
    if absent.any():
        where = look.rows(clients, absent)
        yield tell("WITHOUT_SESSIONS", ", ".join(tables), where, _clients(int(absent.sum())))


def _check_therapists(look: Look) -> Iterable[Problem]:
    if look.study.columns.therapist is None:
        return
    sessions = look.raw.sessions
    file, column = origin_of(look.raw, "therapist")
    known = sessions[["client", "therapist"]].dropna().drop_duplicates()
    if len(known["therapist"].unique()) == 1:
        yield tell("ONE_THERAPIST", file, f"column '{column}'", "one therapist in all rows")
    several = int((known.groupby("client").size() > 1).sum())
    if several:
        rule = look.study.cleaning.therapist_changes
        found = f"{_clients(several)} with several therapists"
        yield tell("SEVERAL_THERAPISTS", file, f"column '{column}'", found, rule=rule)
    clients = sessions["client"].dropna()
    without = clients[~clients.isin(known["client"])].nunique()
    if without:
        found = f"{_clients(without)} without a therapist"
        yield tell("THERAPIST_MISSING", file, f"column '{column}'", found)


def _count(flawed: pd.Series, noun: str, plural: str = "") -> str:
    number = int(flawed.sum())
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def _clients(number: int) -> str:
    return f"{number} {'client' if number == 1 else 'clients'}"
