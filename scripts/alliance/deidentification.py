"""The gate: nothing that identifies a person passes it.

Identifiers become keyed pseudonyms, dates become days since the first session, and only columns
that the study file declares go on. The key comes from the environment and is never written.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from alliance.personal_data import identifying_kind, looks_like_surname
from alliance.problems import Problem, StudyError, list_rows
from alliance.readers.raw import RawStudy
from alliance.study import Study
from alliance.study.rupture_sources import RUPTURE_REPORTS
from alliance.validation.catalogue import tell
from alliance.validation.identifiers import check_content, origin_of, row_numbers
from alliance.validation.ranges import present_answers

KEY_VARIABLE = "ALLIANCE_PSEUDONYM_KEY"
SHORTEST_KEY = 16
SHORTEST_PSEUDONYM = 8  # characters of 5 bits; lengthened until no two persons share one
ATTENDANCE = ("attended", "no_show", "late_cancel", "therapist_cancel")
ENDINGS = ("agreed", "dropout", "transfer", "ongoing")
# A few letters and a number (P017, KL-03-12), or what programs make: hexadecimal, base 32.
_CODE = re.compile(
    r"(?:[A-Za-z]{0,4}|client|patient|klient|therapist|therapeut)[-_.]?\d{1,8}"
    r"(?:[-_.]?[A-Za-z]{1,4})?(?:[-_.]\d{1,6})?"
    r"|[A-Za-z]{1,3}|(?=[^a-f]*[a-f])(?=\D*\d)[0-9a-f-]{6,64}|(?=\D*\d)[A-Z2-7]{8,32}",
)


@dataclass(frozen=True)
class Deidentified:
    """The study's tables without anything that identifies a person.

    Attributes
    ----------
    sessions, clients : tables of the data contract, sorted by pseudonym.
    k_anonymity : see :func:`k_anonymity`; empty without quasi-identifiers.
    problems : warnings for the report.
    """

    sessions: pd.DataFrame
    clients: pd.DataFrame
    k_anonymity: pd.DataFrame
    problems: list[Problem]


def key_from(environment: Mapping[str, str]) -> bytes | None:
    """The key for pseudonyms from environment variables; None where it is not set."""
    value = environment.get(KEY_VARIABLE, "").strip()
    return value.encode() if value else None


def check_key(study: Study, key: bytes | None, study_file: str = "study file") -> list[Problem]:
    """What is wrong with the key, told before any long work begins."""
    if study.privacy.pseudonyms == "as_given":
        return []
    where = "key privacy.pseudonyms"
    if not key:
        return [tell("NO_PSEUDONYM_KEY", study_file, where, f"{KEY_VARIABLE} is not set")]
    if len(key) < SHORTEST_KEY:
        found = f"{KEY_VARIABLE} has {len(key)} characters"
        return [tell("WEAK_PSEUDONYM_KEY", study_file, where, found, wanted=SHORTEST_KEY)]
    return []


def deidentify(raw: RawStudy, study: Study, key: bytes | None) -> Deidentified:
    """Replace identifiers and dates, and let only declared columns pass.

    Parameters
    ----------
    raw : assembled tables with the study's own identifiers and dates.
    key : secret for ``privacy.pseudonyms: keyed``; ignored for ``as_given``.

    Raises
    ------
    StudyError
        Without a key, for identifiers that are no pseudonyms though declared so, and for
        personal data in any column that would pass.
    """
    problems = [*check_key(study, key), *check_content(study, raw)]
    if study.privacy.pseudonyms == "as_given":
        told = {p.where for p in problems}  # what is a name or number of a person was told above
        problems += [p for p in _check_given(raw) if p.where not in told]
    if any(problem.severity == "error" for problem in problems):
        raise StudyError(problems, "De-identification")
    names = _pseudonyms(raw, study, key)
    sessions = _sessions(raw.sessions, study, names)
    clients = _clients(raw.clients, study, names)
    quasi = [name for name, c in study.covariates.items() if c.quasi_identifier and name in clients]
    table = k_anonymity(clients, quasi, study.privacy.smallest_cell)
    return Deidentified(sessions, clients, table, problems)


def pseudonyms(ids: Iterable[str], key: bytes, prefix: str) -> dict[str, str]:
    """Short keyed pseudonyms: base 32 of HMAC-SHA256 (RFC 2104), after a prefix.

    Parameters
    ----------
    ids : identifiers; repeated ones are taken once.
    prefix : ``C`` for clients, ``T`` for therapists; the same id gives unrelated pseudonyms.

    Returns
    -------
    dict
        Of unique pseudonyms. All are lengthened together where two persons would share one.
    """
    digests = {
        name: base64.b32encode(
            hmac.new(key, f"{prefix}:{name}".encode(), hashlib.sha256).digest()
        ).decode()
        for name in sorted(set(ids))
    }
    length = SHORTEST_PSEUDONYM
    while len({digest[:length] for digest in digests.values()}) < len(digests):
        length += 1
    return {name: prefix + digest[:length] for name, digest in digests.items()}


def looks_like_pseudonym(text: str) -> bool:
    """Whether an identifier is a short code and nothing that identifies a person."""
    return (
        _CODE.fullmatch(text) is not None
        and not identifying_kind(text)
        and not looks_like_surname(text)
    )


def k_anonymity(clients: pd.DataFrame, names: list[str], smallest_cell: int = 1) -> pd.DataFrame:
    """How many clients share their combination of quasi-identifiers.

    Parameters
    ----------
    clients : one row per client. names : its quasi-identifying columns.
    smallest_cell : smaller groups are put together in one row; where even together they are
        fewer clients than this, the numbers of this row and the next are not given.

    Returns
    -------
    DataFrame
        ``group_size, n_groups, n_clients, percent``: one row per size of group, smallest first;
        ``group_size`` of groups put together is the largest size among them that is possible,
        ``smallest_cell - 1``. Without them the data are k-anonymous for k = the first
        ``group_size`` (Sweeney 2002). A missing value counts as a value of its own.
    """
    columns = ["group_size", "n_groups", "n_clients", "percent"]
    if not names or clients.empty:
        return pd.DataFrame(columns=columns)
    sizes = clients.groupby(names, dropna=False, observed=True).size()
    shown = sizes.where(sizes >= smallest_cell, smallest_cell - 1)
    grouped = sizes.groupby(shown.to_numpy())
    table = grouped.agg(n_groups="size", n_clients="sum").rename_axis("group_size").reset_index()
    table["percent"] = 100 * table["n_clients"] / len(clients)
    table = table.astype({"n_groups": "Int64", "n_clients": "Int64", "percent": "Float64"})
    if table["n_clients"].iloc[0] < smallest_cell:
        # The next row as well, or subtraction from the total would tell the hidden number.
        table.loc[:1, ["n_groups", "n_clients", "percent"]] = pd.NA
    return table[columns]


def _check_given(raw: RawStudy) -> list[Problem]:
    problems = []
    for role in ("client", "therapist"):
        for frame in (raw.sessions, raw.clients):
            if role not in frame:
                continue
            texts = frame[role].dropna().astype("str").str.strip()
            wrong = {text for text in texts.unique() if not looks_like_pseudonym(text)}
            at = texts.index[texts.isin(wrong)]
            if len(at):
                file, column = origin_of(raw, role)
                where = f"column '{column}', {list_rows(row_numbers(frame, at))}"
                found = f"{len(wrong)} identifiers, not shown here"
                problems.append(tell("NOT_PSEUDONYMS", file, where, found))
                break
    return problems


def _pseudonyms(raw: RawStudy, study: Study, key: bytes | None) -> dict[str, dict[str, str]]:
    tables = {}
    for role, prefix in (("client", "C"), ("therapist", "T")):
        parts = [frame[role] for frame in (raw.sessions, raw.clients) if role in frame]
        ids = pd.concat(parts).dropna().astype("str").str.strip().unique() if parts else []
        as_given = study.privacy.pseudonyms == "as_given"
        tables[role] = {i: i for i in ids} if as_given else pseudonyms(ids, key or b"", prefix)
    return tables


def _replaced(column: pd.Series, names: Mapping[str, str]) -> pd.Series:
    return column.astype("str").str.strip().map(names).astype("str")


def _sessions(
    raw: pd.DataFrame, study: Study, names: Mapping[str, Mapping[str, str]]
) -> pd.DataFrame:
    frame = pd.DataFrame({"client": _replaced(raw["client"], names["client"])})
    frame["session"] = _numbers(raw["session"]).round().astype("Int64")
    frame["day"] = _days(raw)
    frame["therapist"] = _therapist(raw, names["therapist"])
    frame["attendance"] = _vocabulary(raw, "attendance", ATTENDANCE).fillna("attended")
    for role in RUPTURE_REPORTS:
        if role in raw:
            frame[role] = _numbers(raw[role])
    for name in present_answers(raw, study):
        frame[name] = _numbers(raw[name])
    frame = _with_covariates(frame, raw, study, "session")
    frame["source_row"] = raw["source_row"].astype("Int64") if "source_row" in raw else pd.NA
    return frame.sort_values(["client", "session", "source_row"], ignore_index=True)


def _clients(
    raw: pd.DataFrame, study: Study, names: Mapping[str, Mapping[str, str]]
) -> pd.DataFrame:
    frame = pd.DataFrame({"client": _replaced(raw["client"], names["client"])})
    frame["therapist"] = _therapist(raw, names["therapist"])
    frame["ending"] = _vocabulary(raw, "ending", ENDINGS)
    frame = _with_covariates(frame, raw, study, "client")
    return frame.dropna(subset="client").sort_values("client", ignore_index=True)


def _with_covariates(
    frame: pd.DataFrame, raw: pd.DataFrame, study: Study, level: str
) -> pd.DataFrame:
    for name, covariate in study.covariates.items():
        if covariate.level != level or name not in raw:
            continue
        is_number = covariate.type == "number"
        frame[name] = _numbers(raw[name]) if is_number else _words(raw[name])
    return frame


def _therapist(raw: pd.DataFrame, names: Mapping[str, str]) -> pd.Series:
    if "therapist" not in raw:
        return pd.Series(pd.NA, index=raw.index, dtype="str")
    return _replaced(raw["therapist"], names)


def _words(column: pd.Series) -> pd.Series:
    """Categories as text; the number 1.0 of a file with gaps is the category ``1``."""
    if pd.api.types.is_numeric_dtype(column):
        column = column.map(lambda value: f"{value:g}", na_action="ignore")
    return column.astype("str").str.strip()


def _numbers(column: pd.Series) -> pd.Series:
    """Numbers; words cannot pass, validation has stopped the study for them."""
    if pd.api.types.is_numeric_dtype(column):
        return column.astype("Float64")
    return pd.to_numeric(column, errors="coerce").astype("Float64")


def _vocabulary(raw: pd.DataFrame, name: str, words: tuple[str, ...]) -> pd.Series:
    if name not in raw:
        return pd.Series(pd.NA, index=raw.index, dtype="str")
    column = raw[name].astype("str")
    unknown = column.notna() & ~column.isin(words)
    if unknown.any():
        raise ValueError(
            f"{name} holds {int(unknown.sum())} entries without meaning: validate first"
        )
    return column


def _days(raw: pd.DataFrame) -> pd.Series:
    """Days since the client's first dated session, by session number."""
    if "date" not in raw or not raw["date"].notna().any():
        return pd.Series(pd.NA, index=raw.index, dtype="Float64")
    dates = pd.to_datetime(raw["date"], errors="coerce")
    ordered = pd.DataFrame({"client": raw["client"], "session": _numbers(raw["session"]),
                            "date": dates}).dropna()  # fmt: skip
    first = ordered.sort_values(["session", "date"]).drop_duplicates("client")
    start = raw["client"].map(first.set_index("client")["date"])
    return (dates - start).dt.days.astype("Float64")
