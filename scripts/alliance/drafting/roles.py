"""Which column is the client, the session, the date: guessed from names and contents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from alliance.readers.dates import to_dates
from alliance.readers.raw import RawTable

# Words of column names in the languages the authors read, most telling first.
CLIENT = (
    *("client", "patient", "klient", "pasient", "participant", "deltagar", "deltaker", "proband"),
    *("paciente", "consultante", "sujeto", "clave"),
    *("subject", "pseudonym", "chiffre", "patnr", "case", "pat", "vp", "pid", "tn"),
    *("code", "código", "codigo", "id", "nr"),
)
SESSION = (
    *("session", "sitzung", "sess", "sitz", "visit", "appointment", "termin", "occasion", "wave"),
    *("samtal", "besök", "sesión", "sesion", "welle", "zeitpunkt", "week", "woche", "vecka"),
    *("semana", "month", "monat", "månad", "måned", "time", "zeit", "t"),
)
DATE = ("date", "datum", "dato", "day", "tag", "fecha", "when")
THERAPIST = ("therapist", "therapeut", "terapeut", "clinician", "counsellor", "counselor",
             "practitioner", "behandler", "behandlar", "provider", "ther", "thid",
             "beh")  # fmt: skip
ATTENDANCE = ("attendance", "attended", "attend", "noshow", "dna", "anwesenheit", "erschienen",
              "teilnahme", "status")  # fmt: skip
ENDING = ("ending", "termination", "dropout", "discharge", "completion", "completed", "abbruch",
          "beendigung", "therapieende", "abschluss", "abandono", "alta",
          "outcome_status")  # fmt: skip
RUPTURE = ("rupture", "krise", "bruch", "tension")
MEANINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "attendance": (
        (r"therap|clinic|counsel|behandler", "therapist_cancel"),
        (r"no[ _-]?show|dna|did not|unentschuldigt|absent|missed", "no_show"),
        (r"cancel|late|abgesagt", "late_cancel"),
        (r"attend|present|yes|ja|came|anwesend|erschienen|^1$", "attended"),
    ),
    "ending": (
        (r"drop|abbruch|abgebrochen|abandon|premature|unilateral|quit", "dropout"),
        (r"transfer|referred|verlegt|moved|ueberwiesen", "transfer"),
        (r"ongoing|still|laufend|open|current|in treatment", "ongoing"),
        (r"agree|complet|planned|mutual|regular|regul|finished|einvernehm", "agreed"),
    ),
}
MOST_CATEGORIES = 12
UNITS = (("week", r"week|woche|vecka|semana"), ("month", r"month|monat|månad|måned"),
         ("day", r"^day|^tag"))  # fmt: skip


@dataclass(frozen=True)
class Role:
    """A column that plays a part.

    Attributes
    ----------
    column : its name in the file.
    sure : false when the user has to look.
    labels : meaning of its entries, where one was guessed for every entry or for some.
    """

    column: str
    sure: bool
    labels: Mapping[str, str] | None = None


def words_of(column: str) -> list[str]:
    """The words of a column name: ``clientID_no`` is client, id, no."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column)
    return [word for word in re.split(r"[\W\d_]+", parted.lower()) if word]


def named_like(columns: Iterable[str], hints: Iterable[str]) -> list[str]:
    """Columns one of whose words begins with a hint (is one, for hints of up to 4 letters)."""
    columns = list(columns)
    found = [
        column
        for hint in hints
        for column in columns
        for word in words_of(column)
        if word == hint or (len(hint) > 4 and word.startswith(hint))
    ]
    return list(dict.fromkeys(found))


def find_client(raw: RawTable) -> Role:
    """The client column; the first column, marked, when no name tells."""
    others = set(named_like(raw.frame.columns, (*THERAPIST, *SESSION, *DATE)))
    named = named_like(raw.frame.columns, CLIENT)
    alone = [column for column in named if column not in others]
    filled = [column for column in alone if raw.frame[column].notna().mean() > 0.9]
    if filled:
        return Role(filled[0], sure=True)
    return Role(str(raw.frame.columns[0]), sure=False)


def find_session(raw: RawTable, client: str) -> Role | None:
    """A column of small numbers that differ within clients."""
    for column in named_like(raw.frame.columns, SESSION):
        if column == client or _is_date(raw.frame[column]):
            continue
        numbers = pd.to_numeric(raw.frame[column], errors="coerce")
        if numbers.notna().mean() < 0.5 or not (numbers.dropna() % 1 == 0).all():
            continue
        if numbers.groupby(raw.frame[client]).nunique().max() > 1:
            all_numbers = bool(numbers.notna().equals(raw.frame[column].notna()))
            others = raw.frame.loc[numbers.isna(), column].dropna().astype("str").unique()
            labels = None if all_numbers else dict.fromkeys(sorted(others), "")
            return Role(column, all_numbers, labels)
    return _nameless_session(raw, client)


def _nameless_session(raw: RawTable, client: str) -> Role | None:
    """The smallest whole numbers of which each client has each once: perhaps the session."""
    found = []
    for column in raw.frame.columns:
        values = raw.frame[column]
        if column == client or not pd.api.types.is_numeric_dtype(values.dtype):
            continue
        counts = bool(((values % 1 == 0) & (values >= 0)).all()) and values.min() < values.max()
        if counts and not raw.frame.duplicated([client, column]).any():
            found.append((float(values.max()), str(column)))
    return Role(min(found)[1], sure=False) if found else None


def find_date(raw: RawTable) -> Role | None:
    """The column of session dates."""
    dated = [column for column in raw.frame.columns if _is_date(raw.frame[column])]
    named = named_like(dated, DATE)
    return Role((named or dated)[0], sure=bool(named)) if dated else None


def _is_date(values: pd.Series) -> bool:
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return True
    texts = values.dropna().head(200)
    if pd.api.types.is_numeric_dtype(values.dtype) or texts.empty:
        return False
    return bool(pd.api.types.is_datetime64_any_dtype(to_dates(texts).column.dtype))


def find_therapist(raw: RawTable) -> Role | None:
    """A column of therapists: fewer of them than rows."""
    for column in named_like(raw.frame.columns, THERAPIST):
        n_different = raw.frame[column].nunique()
        if 1 < n_different < 0.8 * len(raw.frame) and not _is_scale(raw.frame[column]):
            return Role(column, sure=True)
    return None


def _is_scale(values: pd.Series) -> bool:
    return bool(pd.api.types.is_float_dtype(values.dtype) and (values.dropna() % 1 != 0).any())


def find_coded(raw: RawTable, part: str, hints: Iterable[str]) -> Role | None:
    """Attendance or ending: a few categories, each with a guessed meaning."""
    for column in named_like(raw.frame.columns, hints):
        entries = raw.frame[column].dropna()
        if not 1 <= entries.nunique() <= MOST_CATEGORIES:
            continue
        labels = {str(entry): _meaning(part, str(entry)) for entry in sorted(entries.unique())}
        if any(labels.values()):
            return Role(column, all(labels.values()), labels)
    return None


def _meaning(part: str, entry: str) -> str:
    patterns = MEANINGS[part]
    found = (name for pattern, name in patterns if re.search(pattern, entry.lower()))
    return next(found, "")


def find_rupture(raw: RawTable, rater: str) -> Role | None:
    """A yes/no report of a rupture by ``client`` or ``therapist``."""
    for column in named_like(raw.frame.columns, RUPTURE):
        by_therapist = bool(named_like([column], THERAPIST))
        values = set(pd.to_numeric(raw.frame[column], errors="coerce").dropna().unique())
        if values and values <= {0.0, 1.0} and by_therapist == (rater == "therapist"):
            return Role(column, sure=True)
    return None


def unit_of(column: str) -> str:
    """``week``, ``month`` or ``day`` when the session column counts these, else ``session``."""
    found = (unit for unit, pattern in UNITS if re.search(pattern, column.lower()))
    return next(found, "session")
