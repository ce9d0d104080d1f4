"""The gate: planted identifiers are searched for in every byte that comes out of it."""

from __future__ import annotations

import datetime
import functools
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from alliance.cleaning import clean
from alliance.deidentification import (
    KEY_VARIABLE,
    deidentify,
    k_anonymity,
    key_from,
    looks_like_pseudonym,
    pseudonyms,
)
from alliance.instruments import load_instruments
from alliance.personal_data import identifying_kind, name_looks_like
from alliance.problems import StudyError
from alliance.readers.raw import RawStudy
from alliance.study import Study
from alliance.validation import validate

INSTRUMENTS = Path(__file__).parents[1] / "config" / "instruments"
KEY = b"thirty-two bytes of secret, or so"
STUDY = {
    "id": "mini",
    "title": "Mini",
    "data": {"tables": {"sessions": {"path": "s.csv"},
                        "clients": {"path": "c.csv", "level": "client"}}},
    "columns": {"client": "id", "session": "n", "date": "day", "therapist": "th",
                "ending": {"column": "end", "labels": {"a": "agreed", "d": "dropout"}}},
    "timing": {"alliance_when": "post", "outcome_when": "pre"},
    "measures": {
        "bond": {"role": "alliance", "label": "Bond", "column": "bond", "range": [0, 10],
                 "higher_is": "better"},
        "distress": {"role": "outcome", "label": "Distress", "instrument": "core10",
                     "items": "core_{item}"},
    },
    "covariates": {
        "sex": {"column": "sex", "type": "category", "quasi_identifier": True},
        "age": {"column": "age", "type": "number", "quasi_identifier": True},
        "place": {"column": "place", "level": "session", "type": "category"},
    },
    "privacy": {"pseudonyms": "keyed", "smallest_cell": 3},
}  # fmt: skip
DECLARED = {"sessions": ["id", "th", "day", "bond", "core_1", "place"], "clients": ["sex", "age"]}

NAMES = st.sampled_from(["Hannah Obermayr", "Kaltenbach, Jonas", "Wolfgang", "Dr. Lindqvist",
                         "Frau Vogelsang", "Zwetschkenbaum"])  # fmt: skip
MAILS = st.from_regex(r"[a-z]{4,9}\.[a-z]{4,9}@[a-z]{4,9}\.(org|de)", fullmatch=True)
PHONES = st.from_regex(r"(\+49|0049|0)[ ]?[1-9][0-9]{2}[ /-][0-9]{5,7}", fullmatch=True)
BIRTHDAYS = st.dates(datetime.date(1940, 1, 1), datetime.date(2005, 12, 31)).flatmap(
    lambda day: st.sampled_from([day.strftime("%d.%m.%Y"), day.isoformat()])
)
ADDRESSES = st.sampled_from(["Lindenstraße 12", "Am Markt 3, 20095 Hamburg", "14 Kings Road"])
INSURANCE = st.from_regex(r"[A-Z][0-9]{9}", fullmatch=True)
NOTES = st.just("reports quarrels with her brother in law since the wedding last summer")
DIGITS = st.from_regex(r"49[1-9][0-9]{8}", fullmatch=True)
PLANTS = st.one_of(NAMES, MAILS, PHONES, DIGITS, BIRTHDAYS, ADDRESSES, INSURANCE, NOTES)


def _tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(5)
    number = np.repeat(np.arange(24), 4)
    session = np.tile(np.arange(1, 5), 24)
    sessions = pd.DataFrame({
        "id": [f"88{n:03d}" for n in number], "n": session,
        "day": (np.datetime64("2024-02-05") + 2 * number + 7 * session).astype(str),
        "th": [f"S-{n % 6}" for n in number], "bond": rng.integers(0, 11, len(number)),
        "place": rng.choice(["room", "video"], len(number)),
        **{f"core_{i}": rng.integers(0, 5, len(number)) for i in range(1, 11)},
    })  # fmt: skip
    clients = pd.DataFrame({
        "id": [f"88{n:03d}" for n in range(24)], "end": ["a", "d"] * 12,
        "sex": ["f", "m", "f"] * 8, "age": rng.integers(20, 60, 24),
    })  # fmt: skip
    return sessions, clients


@functools.cache
def _instruments() -> dict:
    return load_instruments(INSTRUMENTS, ["core10"])


def _through_the_gate(sessions, clients, folder: Path, study: Study) -> tuple[bytes, str]:
    """Every byte that is written, and every word that is told, up to the cleaned data."""
    sessions.to_csv(folder / "s.csv", index=False)
    clients.to_csv(folder / "c.csv", index=False)
    today = datetime.date(2026, 1, 1)
    problems, raw = validate(study, _instruments(), folder, "mini.yaml", today)
    told = "\n".join(problem.as_text() for problem in problems)
    if raw is None:
        return b"", told
    try:
        passed = deidentify(raw, study, KEY)
    except StudyError as error:
        return b"", told + str(error)
    cleaned = clean(passed.sessions, passed.clients, study, _instruments())
    frames = [passed.sessions, passed.clients, passed.k_anonymity, cleaned.sessions,
              cleaned.clients, cleaned.log, cleaned.flow, raw.join_report]  # fmt: skip
    told += "\n".join(problem.as_text() for problem in passed.problems)
    return b"".join(map(_bytes, frames)), told


def _bytes(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    # Not compressed, so that a search of the bytes would find what is there.
    frame.to_parquet(buffer, compression=None, use_dictionary=False)
    return buffer.getvalue() + frame.to_csv(sep="\t", index=False).encode()


def test_clean_data_pass_and_the_search_would_find_what_is_there(tmp_path):
    written, told = _through_the_gate(*_tables(), tmp_path, Study.model_validate(STUDY))
    assert b"video" in written
    assert "WARNING FEW_ALIKE" in told
    assert "ERROR" not in told


def test_ids_and_dates_do_not_pass(tmp_path):
    sessions, clients = _tables()
    written, told = _through_the_gate(sessions, clients, tmp_path, Study.model_validate(STUDY))
    for planted in [*sessions["id"].unique(), *sessions["th"].unique(), *sessions["day"].unique()]:
        assert planted.encode() not in written
        assert planted not in told
    assert KEY not in written


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    plant=PLANTS,
    column=st.sampled_from([(t, c) for t, names in DECLARED.items() for c in names]),
    row=st.integers(0, 23),
    everywhere=st.booleans(),
)
def test_what_is_planted_in_a_declared_column_never_comes_out(
    tmp_path_factory, plant, column, row, everywhere
):
    # A bare surname that many clients share is a word like any other; only labels can tell.
    assume(not (everywhere and plant == "Zwetschkenbaum" and column[1] in ("sex", "place")))
    sessions, clients = _tables()
    frame = sessions if column[0] == "sessions" else clients
    frame[column[1]] = frame[column[1]].astype(object)
    rows = frame.index if everywhere else [row]
    frame.loc[rows, column[1]] = plant
    folder = tmp_path_factory.mktemp("gate")
    written, told = _through_the_gate(sessions, clients, folder, Study.model_validate(STUDY))
    assert plant.encode() not in written
    assert plant not in told
    for part in plant.replace(",", " ").split():
        if len(part) > 5 and part not in "reports brother":
            assert part.encode() not in written
            assert part not in told


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plant=PLANTS, name=st.sampled_from(["Nachname", "notes", "x17", "phone no", "Adresse"]))
def test_undeclared_columns_never_come_out(tmp_path_factory, plant, name):
    sessions, clients = _tables()
    sessions[name] = plant
    clients[name] = plant
    folder = tmp_path_factory.mktemp("gate")
    written, told = _through_the_gate(sessions, clients, folder, Study.model_validate(STUDY))
    assert written
    assert plant.encode() not in written
    assert plant not in told


def _raw(ids: list[str], dates: list[str] | None = None, therapist: str = "T1") -> RawStudy:
    sessions = pd.DataFrame({
        "client": ids, "session": pd.array(range(1, len(ids) + 1), dtype="Int64"),
        "date": pd.to_datetime(dates) if dates else pd.NaT, "therapist": therapist,
        "attendance": "attended", "bond": 3.0, "source_row": range(2, len(ids) + 2),
    })  # fmt: skip
    clients = pd.DataFrame({"client": sorted(set(ids)), "therapist": None, "ending": None})
    return RawStudy(sessions, clients, pd.DataFrame(), {"client": ("s.csv", "id")})


def _study(**privacy: object) -> Study:
    return Study.model_validate({**STUDY, "privacy": {"smallest_cell": 1, **privacy}})


def test_the_gate_needs_a_key():
    with pytest.raises(StudyError, match=KEY_VARIABLE):
        deidentify(_raw(["1", "2"]), _study(), None)
    with pytest.raises(StudyError, match="WEAK_PSEUDONYM_KEY"):
        deidentify(_raw(["1", "2"]), _study(), b"short")


def test_the_key_comes_from_the_environment():
    assert key_from({KEY_VARIABLE: " abc "}) == b"abc"
    assert key_from({KEY_VARIABLE: " "}) is None
    assert key_from({}) is None


def test_pseudonyms_are_stable_unique_and_depend_on_the_key():
    ids = [str(n) for n in range(2000)]
    first = pseudonyms(ids, KEY, "C")
    assert first == pseudonyms(reversed(ids), KEY, "C")
    assert len(set(first.values())) == len(ids)
    assert all(name.startswith("C") and len(name) == 9 for name in first.values())
    other = pseudonyms(ids, KEY + b"!", "C")
    assert not set(first.values()) & set(other.values())
    therapists = pseudonyms(ids, KEY, "T")
    assert not {n[1:] for n in first.values()} & {n[1:] for n in therapists.values()}


def test_pseudonyms_are_lengthened_where_two_would_be_the_same(monkeypatch):
    monkeypatch.setattr("alliance.deidentification.SHORTEST_PSEUDONYM", 1)
    names = pseudonyms([str(n) for n in range(200)], KEY, "C")
    assert len(set(names.values())) == 200
    assert len({len(name) for name in names.values()}) == 1


def test_known_value_of_a_pseudonym():
    # python -c "import base64,hashlib,hmac; print(base64.b32encode(hmac.new(b'k'*16,
    #   b'C:101', hashlib.sha256).digest())[:8])"
    assert pseudonyms(["101"], b"k" * 16, "C") == {"101": "C" + _reference(b"k" * 16, b"C:101")}


def _reference(key: bytes, message: bytes) -> str:
    """HMAC-SHA256 spelt out as in RFC 2104, for comparison."""
    import base64  # noqa: PLC0415
    import hashlib  # noqa: PLC0415

    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in block) + message).digest()
    outer = hashlib.sha256(bytes(b ^ 0x5C for b in block) + inner).digest()
    return base64.b32encode(outer).decode()[:8]


def test_rows_are_sorted_by_pseudonym_whatever_their_order():
    ids = [f"{n}" for n in range(50)]
    one = deidentify(_raw(ids), _study(), KEY)
    assert one.sessions["client"].is_monotonic_increasing
    assert one.clients["client"].is_monotonic_increasing
    assert list(one.sessions["source_row"]) != sorted(one.sessions["source_row"])


def test_dates_become_days_since_the_first_session():
    raw = _raw(["1", "1", "2", "1"], ["2024-01-10", "2024-01-17", "2024-03-01", None])
    day = deidentify(raw, _study(), KEY).sessions.set_index("source_row")["day"]
    assert day.fillna(-1).to_dict() == {2: 0, 3: 7, 4: 0, 5: -1}


@pytest.mark.parametrize(
    "name",
    ["P017", "101", "KL-03-12", "c12a", "client_004", "AB", "a3f09c2e81", "CK7QX2ABC", "0000123"],
)
def test_codes_are_pseudonyms(name):
    assert looks_like_pseudonym(name)


@pytest.mark.parametrize(
    "name",
    ["Anna", "anna1", "Meyer", "Anna Meyer", "meyer1980", "k.m@example.org", "0171 2345678",
     "491712345678", "A123456780", "1980-01-31", "31.01.1980", "Lindenstr. 3", "J. Meyer"],
)  # fmt: skip
def test_what_tells_a_person_is_no_pseudonym(name):
    assert not looks_like_pseudonym(name)


def test_ids_as_given_are_kept_or_refused():
    kept = deidentify(_raw(["P2", "P1"]), _study(pseudonyms="as_given"), None)
    assert list(kept.sessions["client"]) == ["P1", "P2"]
    with pytest.raises(StudyError, match="NOT_PSEUDONYMS") as error:
        deidentify(_raw(["P2", "meyer1980"]), _study(pseudonyms="as_given"), None)
    assert "meyer" not in str(error.value)


def test_only_declared_columns_pass():
    raw = _raw(["1", "2"])
    raw.sessions["secret"] = "x"
    raw.clients["secret"] = "x"
    passed = deidentify(raw, _study(), KEY)
    assert list(passed.sessions.columns) == [
        "client", "session", "day", "therapist", "attendance", "bond", "source_row",
    ]  # fmt: skip
    assert list(passed.clients.columns) == ["client", "therapist", "ending"]


def test_k_anonymity_counts_groups_of_each_size():
    clients = pd.DataFrame({"sex": list("ffffmmm"), "age": [1, 1, 1, 1, 1, 1, 2]})
    table = k_anonymity(clients, ["sex", "age"])
    assert table[["group_size", "n_groups", "n_clients"]].to_numpy().tolist() == [
        [1, 1, 1], [2, 1, 2], [4, 1, 4],
    ]  # fmt: skip
    assert table["percent"].sum() == pytest.approx(100)
    assert k_anonymity(clients, []).empty


def test_small_groups_are_put_together_and_their_number_hidden_where_it_is_small():
    clients = pd.DataFrame({"sex": list("fffffmmmdx")})
    table = k_anonymity(clients, ["sex"], smallest_cell=5)
    assert table[["group_size", "n_groups", "n_clients"]].to_numpy().tolist() == [
        [4, 3, 5], [5, 1, 5],
    ]  # fmt: skip
    hidden = k_anonymity(clients.iloc[:8], ["sex"], smallest_cell=5)
    assert hidden["n_clients"].isna().tolist() == [True, True]
    assert hidden["group_size"].tolist() == [4, 5]


def test_a_missing_quasi_identifier_is_a_value_of_its_own():
    clients = pd.DataFrame({"sex": ["f", "f", None]})
    assert list(k_anonymity(clients, ["sex"])["group_size"]) == [1, 2]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("Name", "a name"), ("patient_name", "a name"), ("LastName", "a name"),
        ("Nachname", "a name"), ("Vorname Patient", "a name"), ("Patientenname", "a name"),
        ("therapist.name", "a name"), ("E-Mail", "an e-mail address"),
        ("eMail", "an e-mail address"),
        ("Tel.", "a telephone number"), ("Handy-Nr", "a telephone number"),
        ("DOB", "a birth date"), ("Geburtsdatum", "a birth date"), ("geb_datum", "a birth date"),
        ("Straße", "an address"), ("PLZ", "an address"), ("zip code", "an address"),
        ("Versicherten-Nr", "an insurance or registration number"),
        ("SSN", "an insurance or registration number"), ("Bemerkungen", "free text"),
        ("session notes", "free text"), ("ip_address", "an account or network address"),
    ],
)  # fmt: skip
def test_personal_columns_are_known_by_name(column, kind):
    assert name_looks_like(column) == kind


@pytest.mark.parametrize(
    "column",
    ["id", "client", "patient_id", "wai_3", "session", "therapist", "group_name", "site",
     "age_group", "geburtsjahr", "core_total", "modality", "mailing_wave", "telehealth",
     "denomination", "notable", "srs_s3", "condition"],
)  # fmt: skip
def test_other_columns_are_left_alone(column):
    assert name_looks_like(column) == ""


@pytest.mark.parametrize(
    "entry",
    ["CBT", "Psychodynamic", "18-35", "female", "Waiting list", "T03", "2", "3.5", "no-show",
     "Upper Austria", "2024", "single", "65+", "less than 1 year", "Christian", "Victoria"],
)  # fmt: skip
def test_categories_identify_nobody(entry):
    assert identifying_kind(entry) == ""
