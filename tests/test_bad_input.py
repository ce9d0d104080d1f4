"""Every kind of bad input, told in plain words: one case per issue, with a test on its message.

All cases start from one small study in which nothing is wrong, and change one thing. Whatever is
wrong, no message shows an identifier or any entry that might belong to a person.
"""

from __future__ import annotations

import copy
import datetime
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alliance.deidentification import check_key, deidentify
from alliance.instruments import known_instruments, load_instruments
from alliance.problems import Problem, StudyError, describe_problems
from alliance.study import Study
from alliance.validation import CATALOGUE, check_marks, validate
from alliance.validation.catalogue import tell

ROOT = Path(__file__).parents[1]
INSTRUMENTS = ROOT / "config" / "instruments"
TODAY = datetime.date(2026, 1, 31)
N_CLIENTS, N_SESSIONS = 30, 5
KEY = b"a key long enough for tests, no more"
WAI = [f"wai_{item}" for item in range(1, 13)]
CORE = [f"core_{item}" for item in range(1, 11)]

STUDY = {
    "id": "mini",
    "title": "Mini",
    "data": {
        "tables": {
            "sessions": {"path": "sessions.csv", "separator": ",", "decimal": "."},
            "clients": {"path": "clients.csv", "level": "client"},
        },
    },
    "columns": {
        "client": "id",
        "session": "session_no",
        "date": "session_date",
        "therapist": "therapist_id",
        "attendance": {"column": "came", "labels": {"yes": "attended"}},
        "ending": {"column": "how_ended", "labels": {"agreed": "agreed", "left": "dropout"}},
        "rupture_client": "rupture",
    },
    "timing": {"alliance_when": "post", "outcome_when": "pre"},
    "measures": {
        "alliance": {
            "role": "alliance",
            "label": "Alliance",
            "instrument": "waisr_client",
            "items": "wai_{item}",
        },
        "symptoms": {
            "role": "outcome",
            "label": "Symptoms",
            "instrument": "core10",
            "items": "core_{item}",
        },
    },
    "covariates": {
        "arm": {"column": "arm", "type": "category", "labels": {"c": "CBT", "p": "PDT"},
                "reference": "CBT"},
        "age_group": {"column": "age_group", "type": "category", "quasi_identifier": True},
        "hope": {"column": "hope", "type": "number"},
    },
    "privacy": {"pseudonyms": "as_given", "smallest_cell": 5},
    "models": {
        "main": {"label": "Main", "outcome": "symptoms", "predictor": "alliance",
                 "covariates": ["time", "arm"]},
    },
}  # fmt: skip


@dataclass
class Bad:
    """A study that is about to be spoilt: its file, its two tables, its raw text."""

    study: dict
    sessions: pd.DataFrame
    clients: pd.DataFrame
    files: dict[str, str | bytes | None] = field(default_factory=dict)

    def set(self, row: int, column: str, value: object) -> None:
        """Put an entry into a spreadsheet row (the header is row 1) of the sessions."""
        self.sessions[column] = self.sessions[column].astype(object)
        self.sessions.loc[row - 2, column] = value


def _good() -> Bad:
    rng = np.random.default_rng(20260131)
    number = np.repeat(np.arange(N_CLIENTS), N_SESSIONS)
    session = np.tile(np.arange(1, N_SESSIONS + 1), N_CLIENTS)
    start = np.datetime64("2025-01-06") + 3 * number
    sessions = pd.DataFrame({
        "id": [f"K{n:03d}" for n in number], "session_no": session,
        "session_date": (start + 7 * session).astype(str),
        "therapist_id": [f"T{n % 10:02d}" for n in number], "came": "yes",
        "rupture": (rng.random(len(number)) < 0.1).astype(int),
    })  # fmt: skip
    bond, distress = (rng.normal(size=len(number)) for _ in range(2))
    for item in WAI:
        sessions[item] = _answers(3.5 + bond, rng, 1, 5)
    for at, item in enumerate(CORE, start=1):
        sign = -1 if at in (2, 3) else 1
        sessions[item] = _answers(2 + sign * distress, rng, 0, 4)
    # Nobody who looks only at whether a number occurs should see a constant or a gap.
    clients = pd.DataFrame({
        "id": [f"K{n:03d}" for n in range(N_CLIENTS)],
        "how_ended": ["agreed", "agreed", "left"] * (N_CLIENTS // 3),
        "arm": ["c", "p"] * (N_CLIENTS // 2),
        "age_group": np.repeat(["18-35", "36-55", "56+"], N_CLIENTS // 3),
        "hope": rng.integers(1, 11, N_CLIENTS),
    })  # fmt: skip
    return Bad(copy.deepcopy(STUDY), sessions, clients)


def _answers(mean: np.ndarray, rng: np.random.Generator, low: int, high: int) -> np.ndarray:
    return np.clip(np.round(mean + rng.normal(0, 0.7, len(mean))), low, high).astype(int)


def _problems(bad: Bad, folder: Path) -> list[Problem]:
    """What a user is told, from the first look at the files to the gate."""
    _write(bad, folder)
    study = Study.model_validate(bad.study)
    wanted = [m.instrument for m in study.measures.values() if m.instrument]
    known = [name for name in wanted if (INSTRUMENTS / f"{name}.yaml").exists()]
    problems, raw = validate(
        study, _instruments(frozenset(known)), folder, "config/studies/mini.yaml", TODAY,
        known_instruments(INSTRUMENTS),
    )  # fmt: skip
    if raw is None:
        return problems
    try:
        problems += deidentify(raw, study, KEY).problems
    except StudyError as error:
        problems += error.problems
    return problems


@functools.cache
def _instruments(names: frozenset[str]) -> dict:
    return load_instruments(INSTRUMENTS, names)


def _write(bad: Bad, folder: Path) -> None:
    bad.sessions.to_csv(folder / "sessions.csv", index=False)
    bad.clients.to_csv(folder / "clients.csv", index=False)
    for name, content in bad.files.items():
        if content is None:
            (folder / name).unlink()
        elif isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            (folder / name).write_text(content, encoding="utf-8")


@dataclass(frozen=True)
class Case:
    """One way to be wrong."""

    name: str
    code: str
    spoil: Callable[[Bad], object]
    words: tuple[str, ...]
    severity: str = ""


CASES: list[Case] = []


def case(code: str, *words: str, severity: str = "") -> Callable[[Callable], Callable]:
    """Register a function that spoils the good study, with words its message must hold."""

    def register(spoil: Callable[[Bad], object]) -> Callable:
        CASES.append(Case(spoil.__name__, code, spoil, words, severity))
        return spoil

    return register


# ---- files -------------------------------------------------------------------------------------


@case("MISSING_FILE", "sessions.csv", "no file of that name", severity="error")
def file_missing(bad):
    bad.files["sessions.csv"] = None


@case("MISSING_FILE", "Did you mean 'clients.csv'?", severity="error")
def file_misspelt(bad):
    bad.study["data"]["tables"]["clients"]["path"] = "client.csv"


@case("EMPTY_FILE", "sessions.csv", severity="error")
def file_empty(bad):
    bad.files["sessions.csv"] = ""


@case("NO_ROWS", "clients.csv", severity="error")
def file_with_header_only(bad):
    bad.files["clients.csv"] = "id,how_ended,arm,age_group,hope\n"


@case("WRONG_FORMAT", "sessions.csv", "zip file", severity="error")
def file_of_another_kind(bad):
    bad.files["sessions.csv"] = b"PK\x03\x04" + bytes(range(256)) * 20


@case("UNKNOWN_FORMAT", "sessions.ods", "Save it as .xlsx or .csv", severity="error")
def file_format_unknown(bad):
    bad.study["data"]["tables"]["sessions"] = {"path": "sessions.ods"}
    bad.files["sessions.ods"] = "x"


@case("SAME_FILE_TWICE", "data.tables.more", "'sessions.csv' again", severity="error")
def file_declared_twice(bad):
    bad.study["data"]["tables"]["more"] = {"path": "sessions.csv"}


@case("ONE_COLUMN", "sessions.csv", "one column", "separator", severity="error")
def separator_wrong(bad):
    del bad.study["data"]["tables"]["clients"]
    bad.study["data"]["tables"]["sessions"]["separator"] = ";"


# ---- columns -----------------------------------------------------------------------------------


@case("MISSING_COLUMN", "columns.therapist", "'therapist_id'", "Did you mean 'therapistid'?")
def column_missing(bad):
    bad.sessions = bad.sessions.rename(columns={"therapist_id": "therapistid"})


@case("MISSING_COLUMN", "measures.alliance.items", "'wai_4', 'wai_9'", severity="error")
def items_missing(bad):
    bad.sessions = bad.sessions.drop(columns=["wai_4", "wai_9"])


@case("MISSING_COLUMN", "measures.alliance.items", "'wai1'", "Did you mean 'wai_1'?")
def pattern_matches_nothing(bad):
    bad.study["measures"]["alliance"]["items"] = "wai{item}"


@case("MISSING_COLUMN", "columns.client", severity="error")
def client_column_missing(bad):
    bad.sessions = bad.sessions.drop(columns="id")


@case("TWO_ROLES", "column 'session_no'", "columns.rupture_client and columns.session")
def column_with_two_roles(bad):
    bad.study["columns"]["rupture_client"] = "session_no"


@case("REPEATED_COLUMN", "column 'wai_1'", severity="error")
def column_name_twice(bad):
    bad.sessions = bad.sessions.rename(columns={"rupture": "wai_1"})
    del bad.study["columns"]["rupture_client"]


@case("AMBIGUOUS_COLUMN", "'rupture' in 2 files", "sessions.rupture or more.rupture")
def column_in_two_files(bad):
    more = bad.sessions[["id", "session_no", "rupture"]]
    bad.study["data"]["tables"]["more"] = {"path": "more.csv"}
    bad.files["more.csv"] = more.to_csv(index=False)


@case("ITEM_COUNT", "10 columns", "12, the items of waisr_client", severity="error")
def item_list_too_short(bad):
    bad.study["measures"]["alliance"]["items"] = WAI[:10]


@case("WRONG_LEVEL", "'hope'", "one row per client", severity="error")
def covariate_at_wrong_level(bad):
    bad.study["covariates"]["hope"]["level"] = "session"


@case("IDENTIFIER_COLUMN", "covariates.born", "column 'Geburtsdatum'", "a birth date", "age group")
def declared_column_is_a_birth_date(bad):
    bad.clients["Geburtsdatum"] = "1980-01-31"
    bad.study["covariates"]["born"] = {"column": "Geburtsdatum", "type": "category"}


@case("IDENTIFIER_COLUMN", "columns.client", "column 'patient_name'", "P001")
def client_column_is_a_name(bad):
    bad.sessions = bad.sessions.rename(columns={"id": "patient_name"})
    bad.clients = bad.clients.rename(columns={"id": "patient_name"})
    bad.study["columns"]["client"] = "patient_name"


@case("UNDECLARED_IDENTIFIER", "clients.csv, columns 'Nachname', 'E-Mail'", severity="warning")
def undeclared_columns_are_personal(bad):
    bad.clients["Nachname"] = "Musterfrau"
    bad.clients["E-Mail"] = "k.m@example.org"


# ---- the study file against instruments --------------------------------------------------------


@case("NO_OUTCOME", "no measure with role outcome", severity="error")
def no_outcome(bad):
    del bad.study["measures"]["symptoms"]
    bad.study["models"] = {}


@case("NO_ALLIANCE", "outcomes only", "left out", severity="warning")
def no_alliance(bad):
    del bad.study["measures"]["alliance"]
    bad.study["models"] = {}


@case("INSTRUMENT_NOT_LOADED", "'waisr_cleint'", "Did you mean", severity="error")
def instrument_unknown(bad):
    bad.study["measures"]["alliance"]["instrument"] = "waisr_cleint"
    bad.study["measures"]["more"] = dict(STUDY["measures"]["alliance"], items="core_{item}")


@case(
    "INSTRUMENT_REFUSES",
    "measures.alliance.instrument",
    "not checked against a source",
    "accept_unverified: true",
    severity="error",
)
def instrument_from_memory(bad):
    bad.study["measures"]["alliance"]["instrument"] = _instrument_from_memory()


@case("RESPONSE_RANGE_REVERSED", "measures.alliance.response_range", "[5, 1]", severity="error")
def response_range_reversed(bad):
    bad.study["measures"]["alliance"]["response_range"] = [5, 1]


@case("LABELS_OUT_OF_RANGE", "measures.alliance.labels", "0, 6", "1 to 5", severity="error")
def labels_out_of_range(bad):
    bad.study["measures"]["alliance"]["labels"] = {"Seldom": 0, "Always": 6}


@case("DIRECTION_CONTRADICTS", "higher_is", "worse", "turns the sign", severity="error")
def direction_contradicts(bad):
    bad.study["measures"]["symptoms"]["higher_is"] = "better"


@case("RATER_CONTRADICTS", "measures.alliance.rater", "rater: client", severity="warning")
def rater_contradicts(bad):
    bad.study["measures"]["alliance"]["rater"] = "therapist"


@case("UNKNOWN_COMPONENT", "models.main.component", "'bonds'", "Did you mean 'bond'?")
def component_unknown(bad):
    bad.study["models"]["main"]["component"] = "bonds"


@case("MISSING_CODE_IS_POSSIBLE", "measures.symptoms", "0 to 4", severity="warning")
def missing_code_is_an_answer(bad):
    bad.study["data"]["missing_codes"] = [0]


# ---- clients, sessions, dates ------------------------------------------------------------------


@case("NO_CLIENTS", "column 'id'", severity="error")
def clients_all_empty(bad):
    bad.sessions["id"] = ""


@case("CLIENT_MISSING", "column 'id', rows 3, 9", "2 empty cells", severity="warning")
def client_missing(bad):
    bad.set(3, "id", None)
    bad.set(9, "id", None)


@case("SPELLED_DIFFERENTLY", "row 4", "1 identifiers written in several ways", severity="warning")
def client_spelled_differently(bad):
    bad.set(4, "id", "k000")


@case("SESSION_MISSING", "column 'session_no', row 5", severity="warning")
def session_missing(bad):
    bad.set(5, "session_no", None)


@case("SESSION_NOT_NUMBER", "row 6", "1 entry not shown here", "labels", severity="error")
def session_in_words(bad):
    bad.set(6, "session_no", "Intake")


@case("SESSION_NOT_WHOLE", "row 7", "1.5", severity="error")
def session_with_decimals(bad):
    bad.set(7, "session_no", 1.5)


@case("SESSION_NEGATIVE", "row 8", "-9", "missing codes", severity="error")
def session_negative(bad):
    bad.set(8, "session_no", -9)


@case("SESSION_TOO_LARGE", "row 2", "a number of 8 digits", "date", severity="error")
def session_is_a_date(bad):
    bad.set(2, "session_no", 20250113)


@case("SESSION_GAPS", "column 'session_no', row 6", "1 number more than 20", severity="warning")
def session_numbers_jump(bad):
    bad.set(6, "session_no", 55)


@case("DATE_UNREADABLE", "column 'session_date', row 3", "1 entry", severity="error")
def date_unreadable(bad):
    bad.set(3, "session_date", "last week")


@case("DATE_FORMATS_MIXED", "rows 3, 4", "in another form", "2024-01-31", severity="error")
def date_formats_mixed(bad):
    bad.set(3, "session_date", "20.01.2025")
    bad.set(4, "session_date", "27.01.2025")


@case("AMBIGUOUS_DATES", "session_date", "day/month", severity="warning")
def dates_ambiguous(bad):
    bad.sessions["session_date"] = [f"0{1 + n % 9}/0{1 + n // 9 % 9}/2025" for n in range(150)]


@case("DATE_IN_FUTURE", "row 6", "1 date after today", severity="error")
def date_in_future(bad):
    bad.set(6, "session_date", "2052-02-03")


@case("DATE_TOO_EARLY", "row 2", "before 1950", "spreadsheets", severity="error")
def date_too_early(bad):
    bad.set(2, "session_date", "1900-01-01")


@case("DATES_AGAINST_SESSIONS", "row 5", "1 date earlier", severity="warning")
def dates_against_sessions(bad):
    bad.set(5, "session_date", "2025-01-14")


@case("EXACT_DUPLICATES", "rows 152, 153", "2 rows", "drop", severity="warning")
def exact_duplicates(bad):
    bad.sessions = pd.concat([bad.sessions, bad.sessions.iloc[[3, 8]]])


@case("EXACT_DUPLICATES", "error", severity="error")
def exact_duplicates_refused(bad):
    bad.study["cleaning"] = {"exact_duplicates": "error"}
    exact_duplicates(bad)


@case("CONFLICTING_DUPLICATES", "rows 5, 152", "keep_most_complete", severity="warning")
def conflicting_duplicates(bad):
    bad.sessions = pd.concat([bad.sessions, bad.sessions.iloc[[3]].assign(wai_1=1, wai_2=5)])


@case("CLIENT_TWICE", "clients.csv, rows 2, 32", severity="error")
def client_table_conflicts(bad):
    bad.clients = pd.concat([bad.clients, bad.clients.iloc[[0]].assign(hope=0)])


@case("NOT_IN_CLIENT_TABLE", "sessions.csv", "rows 2, 3, 4, 5, 6", "1 client", severity="warning")
def client_not_in_client_table(bad):
    bad.clients = bad.clients.iloc[1:]


@case("WITHOUT_SESSIONS", "clients.csv, row 2", "1 client", severity="warning")
def client_without_sessions(bad):
    bad.sessions = bad.sessions.iloc[N_SESSIONS:]


@case("NOTHING_MATCHED", "'007' and 7", severity="error")
def client_tables_do_not_match(bad):
    bad.clients["id"] = [f"{n}" for n in range(N_CLIENTS)]


@case("SEVERAL_THERAPISTS", "1 client with several", "first", severity="warning")
def several_therapists(bad):
    bad.set(6, "therapist_id", "T07")


@case("ONE_THERAPIST", "column 'therapist_id'", severity="warning")
def one_therapist(bad):
    bad.sessions["therapist_id"] = "T01"


@case("THERAPIST_MISSING", "1 client without a therapist", severity="warning")
def therapist_missing(bad):
    bad.sessions.loc[bad.sessions["id"] == "K003", "therapist_id"] = None


# ---- answers -----------------------------------------------------------------------------------


@case("TEXT_IN_NUMBER", "column 'wai_3', rows 4, 5", "'often'", "1 entry not shown here", "labels")
def text_in_item(bad):
    bad.set(4, "wai_3", "often")
    bad.set(5, "wai_3", "ask Mrs Meyer")


@case("TEXT_IN_NUMBER", "column 'hope', row 2", severity="error")
def text_in_covariate(bad):
    bad.clients["hope"] = bad.clients["hope"].astype(object)
    bad.clients.loc[0, "hope"] = "high"


@case("DECIMAL_COMMA", "column 'hope', rows 2, 3", "'3,5'", "decimal", severity="error")
def decimal_comma(bad):
    bad.study["data"]["tables"]["clients"]["decimal"] = "."
    bad.clients["hope"] = bad.clients["hope"].astype(object)
    bad.clients.loc[[0, 1], "hope"] = ["3,5", "4,25"]


@case("SPREADSHEET_ERROR", "column 'core_1', row 7", "formulas", severity="error")
def spreadsheet_error(bad):
    bad.set(7, "core_1", "#REF!")


@case("DATE_IN_NUMBER", "column 'core_2', rows 7, 8", "spreadsheet", severity="error")
def date_in_item(bad):
    bad.set(7, "core_2", "03. Mai")
    bad.set(8, "core_2", "2025-02-01")


@case("OUT_OF_RANGE", "columns 'wai_3', row 4; 'wai_5', rows 6, 7", "3 answers: 0, 6", "1 to 5")
def out_of_range(bad):
    bad.set(4, "wai_3", 6)
    bad.set(6, "wai_5", 0)
    bad.set(7, "wai_5", 6)


@case("OUT_OF_RANGE", "6", severity="error")
def out_of_range_refused(bad):
    bad.study["cleaning"] = {"out_of_range": "error"}
    bad.set(4, "wai_3", 6)


@case("WRONG_RESPONSE_RANGE", "7-point instead of a 5-point", "response_range: [1, 7]")
def seven_points_instead_of_five(bad):
    bad.sessions[WAI] = (bad.sessions[WAI] - 1) * 6 // 4 + 1


@case("WRONG_RESPONSE_RANGE", "counted from 0 instead of 1", "add 1", severity="error")
def counted_from_zero(bad):
    bad.sessions[WAI] -= 1
    bad.sessions[WAI] = bad.sessions[WAI].mask(bad.sessions[WAI] == 3, 0)


@case("WRONG_RESPONSE_RANGE", "counted from 1 instead of 0", "subtract", severity="error")
def counted_from_one(bad):
    bad.sessions[CORE] += 1
    bad.sessions[CORE] = bad.sessions[CORE].mask(bad.sessions[CORE] == 3, 5)


@case("WRONG_RESPONSE_RANGE", "Is the score a mean", "10 to 40", severity="error")
def score_in_another_metric(bad):
    _as_score(bad, 2.5, range=[10, 40])


@case("NOT_WHOLE", "column 'wai_2', row 4", "1 entry: 3.25", "imputed", severity="warning")
def item_with_decimals(bad):
    bad.set(4, "wai_2", 3.25)


@case("SENTINEL_CODE", "columns 'wai_1', row 4; 'wai_2', row 5", "-9, 99", "missing_codes")
def missing_code_not_declared(bad):
    bad.set(4, "wai_1", 99)
    bad.set(5, "wai_2", -9)


@case("SENTINEL_CODE_USED", "column 'score', row 4", "999", severity="error")
def missing_code_in_score(bad):
    _as_score(bad, 2.5)
    bad.set(4, "score", 999)


@case("SENTINEL_CODE_USED", "column 'hope', row 3", "-99", severity="error")
def missing_code_in_covariate(bad):
    bad.clients.loc[1, "hope"] = -99


@case("NO_RANGE", "column 'score'", "range: [lowest, highest]", severity="warning")
def score_without_range(bad):
    _as_score(bad, 2.5)


@case("OTHER_METRIC", "column 'score'", "0 to 40", "decimals", severity="warning")
def score_is_a_mean(bad):
    _as_score(bad, 0.1, instrument="core10")


@case("ALL_MISSING", "measure 'symptoms', columns 'core_1' to 'core_10'", severity="error")
def measure_all_missing(bad):
    bad.sessions[CORE] = np.nan


@case("ITEM_ALL_MISSING", "column 'core_4'", severity="warning")
def item_all_missing(bad):
    bad.sessions["core_4"] = np.nan


@case("ITEM_CONSTANT", "column 'core_4'", "150 entries: 2", severity="warning")
def item_constant(bad):
    bad.sessions["core_4"] = 2


@case("CONSTANT_MEASURE", "measure 'alliance'", "the same answers in all 150", severity="error")
def alliance_constant(bad):
    bad.sessions[WAI] = 4


@case("CONSTANT_MEASURE", "measure 'symptoms'", severity="error")
def outcome_constant(bad):
    bad.sessions[CORE] = 2


@case("CONSTANT_WITHIN_CLIENTS", "measure 'alliance'", "all 30 clients", severity="error")
def alliance_rated_once_and_copied(bad):
    bad.sessions[WAI] = bad.sessions.groupby("id")[WAI].transform("first")


@case("LOOKS_REVERSED", "'core_2', 'core_3'", "items_already_reversed: true", severity="error")
def items_already_reversed(bad):
    bad.sessions[["core_2", "core_3"]] = 4 - bad.sessions[["core_2", "core_3"]]


@case("LOOKS_REVERSED", "'core_2', 'core_3'", severity="warning")
def items_that_the_user_says_are_not_reversed(bad):
    items_already_reversed(bad)
    bad.study["measures"]["symptoms"]["items_already_reversed"] = False


@case("LOOKS_REVERSED", "'core_2', 'core_3'", severity="warning")
def items_that_seem_reversed_in_few_clients(bad):
    items_already_reversed(bad)
    ids = sorted(bad.sessions["id"].unique())[:7]
    bad.sessions = bad.sessions[bad.sessions["id"].isin(ids)].reset_index(drop=True)


@case("LOOKS_REVERSED", "really wais_client?", "names fit waisr_client", severity="error")
def another_form_of_the_family(bad):
    names = {item: f"WAI-SR_{at:02d}" for at, item in enumerate(WAI, start=1)}
    bad.sessions = bad.sessions.rename(columns=names)
    bad.study["measures"]["alliance"] |= {
        "instrument": "wais_client", "items": "WAI-SR_{item:02d}", "response_range": [1, 5],
    }  # fmt: skip


@case("OTHER_INSTRUMENT_NAMED", "'WAI-SR_01' to 'WAI-SR_12'", "instrument arm12",
      severity="warning")  # fmt: skip
def another_instrument_named(bad):
    another_form_of_the_family(bad)
    bad.study["measures"]["alliance"]["instrument"] = "arm12"


@case("ITEMS_DISAGREE", "of 12 items run against", "really waisr_client?", "waisr_therapist12",
      severity="error")  # fmt: skip
def items_of_a_two_sided_scale(bad):
    bad.sessions[WAI[::2]] = 6 - bad.sessions[WAI[::2]]


@case("ITEMS_DISAGREE", "of 12 items run against", severity="warning")
def items_disagree_in_few_clients(bad):
    items_of_a_two_sided_scale(bad)
    ids = sorted(bad.sessions["id"].unique())[:6]
    bad.sessions = bad.sessions[bad.sessions["id"].isin(ids)].reset_index(drop=True)


@case("LOOKS_UNREVERSED", "'core_2', 'core_3'", "items_already_reversed: false")
def items_not_reversed_though_declared(bad):
    bad.study["measures"]["symptoms"]["items_already_reversed"] = True


@case("STRAIGHT_LINING", "measure 'symptoms', rows 2, 3", "% of 150", severity="warning")
def straight_lining(bad):
    for column in CORE:
        bad.sessions.loc[:39, column] = 1


@case("RATED_UNATTENDED", "measure 'alliance', row 5", "1 ratings", severity="warning")
def alliance_on_missed_session(bad):
    bad.study["columns"]["attendance"]["labels"]["no"] = "no_show"
    bad.set(5, "came", "no")


@case("NOT_YES_NO", "column 'rupture', row 9", "'2'", "labels", severity="error")
def rupture_not_yes_no(bad):
    bad.set(9, "rupture", 2)


@case("NOT_A_RATING", "column 'tense', row 9", "'7'", "1 (not at all) to 5", severity="error")
def rupture_intensity_out_of_range(bad):
    bad.sessions["tense"] = 2
    bad.study["columns"]["rupture_client_intensity"] = "tense"
    bad.set(9, "tense", 7)


@case("NOT_A_COUNT", "column 'withdrew', row 4", "'1.5'", "0, 1, 2", severity="error")
def observer_markers_not_counted(bad):
    bad.sessions["withdrew"] = 0
    bad.study["columns"]["observer_withdrawal"] = "withdrew"
    bad.set(4, "withdrew", 1.5)


@case("RESOLVED_NOTHING", "column 'solved'", "1 entry where 'rupture_client' is 0",
      severity="warning")  # fmt: skip
def resolution_without_a_rupture(bad):
    bad.sessions["solved"] = np.nan
    bad.study["columns"]["rupture_client_resolution"] = "solved"
    bad.set(5, "rupture", 0)
    bad.set(5, "solved", 3)


# ---- categories --------------------------------------------------------------------------------


@case("UNKNOWN_ATTENDANCE", "rows 3, 4, 5", "'ill'", "columns.attendance.labels", severity="error")
def attendance_unmapped(bad):
    for row in (3, 4, 5):
        bad.set(row, "came", "ill")


@case("ATTENDANCE_MISSING", "column 'came', row 7", "1 empty cell", "count as attended")
def attendance_missing(bad):
    bad.set(7, "came", None)


@case("UNKNOWN_ENDING", "column 'how_ended', row 2", "1 entry not shown here", severity="error")
def ending_unmapped(bad):
    bad.clients.loc[0, "how_ended"] = "moved to Hamburg"


@case("UNUSED_LABEL", "columns.attendance.labels", "'late'", severity="warning")
def label_unused(bad):
    bad.study["columns"]["attendance"]["labels"]["late"] = "late_cancel"


@case("UNKNOWN_CATEGORY", "column 'arm', rows 2, 4, 6", "'x'", "one of: CBT, PDT", severity="error")
def category_not_in_labels(bad):
    bad.clients.loc[[0, 2, 4], "arm"] = "x"


@case("NO_REFERENCE", "covariates.age_group.reference", "'18-36'", "Did you mean '18-35'?")
def reference_not_present(bad):
    bad.study["covariates"]["age_group"]["reference"] = "18-36"


@case("MANY_CATEGORIES", "column 'hope'", "25 different entries", severity="warning")
def number_declared_as_category(bad):
    bad.clients["hope"] = [n % 25 for n in range(N_CLIENTS)]
    bad.study["covariates"]["hope"]["type"] = "category"


@case("CLIENT_VARIABLE_VARIES", "'arm'", "1 clients", severity="warning")
def covariate_varies_within_client(bad):
    bad.sessions["arm"] = bad.sessions["id"].map(bad.clients.set_index("id")["arm"])
    bad.clients = bad.clients.drop(columns="arm")
    bad.set(3, "arm", "p")


@case("COVARIATE_EMPTY", "column 'hope'", severity="error")
def covariate_empty(bad):
    bad.clients["hope"] = None


@case("SMALL_CELLS", "column 'age_group'", "1 category with fewer than 5", severity="warning")
def category_too_small(bad):
    bad.clients.loc[:2, "age_group"] = "under 18"


@case("FEW_ALIKE", "columns 'age_group'", "fewer than 5 clients in groups", severity="warning")
def quasi_identifiers_single_out(bad):
    bad.clients.loc[:2, "age_group"] = "under 18"


@case("FEW_ALIKE", "columns 'arm' x 'age_group'", "6 clients in groups of", severity="warning")
def quasi_identifiers_combined_single_out(bad):
    bad.study["covariates"]["arm"]["quasi_identifier"] = True
    bad.clients["arm"] = (["c"] * 8 + ["p"] * 2) * 3


# ---- size and models ---------------------------------------------------------------------------


@case("ONE_CLIENT", "one client in all rows", severity="error")
def one_client(bad):
    bad.sessions = bad.sessions[bad.sessions["id"] == "K000"]


@case("FEW_CLIENTS", "12 clients", "at least 20", severity="warning")
def few_clients(bad):
    bad.sessions = bad.sessions[bad.sessions["id"] < "K012"]
    bad.clients = bad.clients[bad.clients["id"] < "K012"]


@case("ONE_SESSION_EACH", "one session for every client", severity="error")
def one_session_each(bad):
    bad.sessions = bad.sessions[bad.sessions["session_no"] == 1]


@case("NOBODY_LEFT", "at most 5 attended sessions", "6 or more", severity="error")
def minimum_leaves_nobody(bad):
    bad.study["cleaning"] = {"min_sessions": 6}


@case("NO_PAIRS", "models.main", "no pair of 'alliance' and 'symptoms'", "1 session after")
def outcome_never_follows(bad):
    bad.sessions.loc[bad.sessions["session_no"] != 3, WAI] = np.nan
    bad.sessions.loc[bad.sessions["session_no"] != 1, CORE] = np.nan


@case("TERM_CONSTANT", "models.main.covariates", "'arm' has the same value", severity="error")
def term_without_variation(bad):
    bad.clients["arm"] = "c"


@case("FEW_THERAPISTS", "3 therapists", "at least 20", "will not be estimated", severity="warning")
def few_therapists(bad):
    bad.study["models"]["main"]["therapists"] = True
    number = bad.sessions["id"].str[1:].astype(int)
    bad.sessions["therapist_id"] = "T0" + (number % 3).astype(str)


# ---- persons -----------------------------------------------------------------------------------


@case("EMAIL_FOUND", "column 'age_group', row 2", "1 entry, not shown here", severity="error")
def email_in_covariate(bad):
    bad.clients.loc[0, "age_group"] = "k.musterfrau@example.org"


@case("PHONE_FOUND", "column 'age_group', row 3", severity="error")
def telephone_in_covariate(bad):
    bad.clients.loc[1, "age_group"] = "+49 40 123456"


@case("PHONE_FOUND", "column 'wai_3', row 4", severity="error")
def telephone_number_in_item(bad):
    bad.set(4, "wai_3", 491712345678)


@case("INSURANCE_NUMBER_FOUND", "column 'id', rows 2, 3, 4, 5, 6", "P001", severity="error")
def insurance_number_as_id(bad):
    bad.sessions["id"] = bad.sessions["id"].replace("K000", "A123456780")


@case("BIRTH_DATE_FOUND", "column 'age_group', row 2", "age group instead", severity="error")
def birth_date_in_covariate(bad):
    bad.clients.loc[0, "age_group"] = "31.01.1980"


@case("BIRTH_DATE_FOUND", "column 'session_date'", "as a birth date is", severity="error")
def birth_dates_as_session_dates(bad):
    year = 1950 + bad.sessions["id"].str[1:].astype(int)
    bad.sessions["session_date"] = year.astype(str) + "-03-04"


@case("BIRTH_DATE_FOUND", "column 'hope'", "30 entries", severity="error")
def birth_dates_packed_in_numbers(bad):
    bad.clients["hope"] = [19600101 + 10000 * n for n in range(N_CLIENTS)]


@case("ADDRESS_FOUND", "column 'age_group', row 2", severity="error")
def address_in_covariate(bad):
    bad.clients.loc[0, "age_group"] = "Hauptstraße 12"


@case(
    "NAMES_FOUND", "column 'id', rows 2, 3, 4, 5, 6", "Give every client a code", severity="error"
)
def name_as_id(bad):
    bad.sessions["id"] = bad.sessions["id"].replace("K000", "Hannah M.")


@case("NAMES_FOUND", "column 'therapist_id'", "150 entries", severity="error")
def surnames_as_therapist_ids(bad):
    names = ["Vogelsang", "Kaltenbach", "Obermayr", "Dr. Lindqvist"]
    number = bad.sessions["id"].str[1:].astype(int)
    bad.sessions["therapist_id"] = [names[n % 4] for n in number]


@case("FREE_TEXT_FOUND", "column 'age_group', row 2", severity="error")
def free_text_in_covariate(bad):
    bad.clients.loc[0, "age_group"] = "says that she has lived alone since the divorce in spring"


@case("UNIQUE_ENTRIES", "column 'job'", "30 different entries for 30 clients", severity="error")
def entry_of_ones_own(bad):
    bad.clients["job"] = [f"occupation {chr(97 + n % 26)}{n}" for n in range(N_CLIENTS)]
    bad.study["covariates"]["job"] = {"column": "job", "type": "category"}


@case("NOT_PSEUDONYMS", "column 'id', rows 2, 3, 4, 5, 6", "privacy.pseudonyms: keyed")
def ids_are_no_pseudonyms(bad):
    bad.sessions["id"] = bad.sessions["id"].replace("K000", "obermayr_1980_ward3")
    bad.clients["id"] = bad.clients["id"].replace("K000", "obermayr_1980_ward3")


# ---- wide files --------------------------------------------------------------------------------


def _widen(bad: Bad) -> None:
    scores = bad.sessions.assign(a=bad.sessions[WAI].sum(axis=1), s=bad.sessions[CORE].sum(axis=1))
    wide = scores.pivot_table(index="id", columns="session_no", values=["a", "s"])
    wide.columns = [f"{name}_s{session}" for name, session in wide.columns]
    bad.files["wide.csv"] = wide.reset_index().to_csv(index=False)
    bad.study["data"] = {"layout": "wide", "tables": {"all": {"path": "wide.csv"}}}
    bad.study["columns"] = {"client": "id"}
    bad.study["covariates"] = {}
    bad.study["models"] = {}
    bad.study["measures"] = {
        name: {"role": role, "label": name, "column": pattern, "range": [0, 60],
               "higher_is": higher}
        for name, role, pattern, higher in (
            ("alliance", "alliance", "a_s{session}", "better"),
            ("symptoms", "outcome", "s_s{session}", "worse"),
        )
    }  # fmt: skip


@case("MISSING_COLUMN", "measures.alliance.column", "'b_s{session}'", severity="error")
def wide_pattern_matches_nothing(bad):
    _widen(bad)
    bad.study["measures"]["alliance"]["column"] = "b_s{session}"


@case("MISSING_SESSIONS", "sessions 6, 7", severity="error")
def wide_sessions_not_in_file(bad):
    _widen(bad)
    bad.study["data"]["wide"] = {"sessions": [1, 2, 6, 7]}


@case("OUT_OF_RANGE", "column 'a_s{session}', row 2 session 1", "1 answer: 72", severity="warning")
def wide_out_of_range(bad):
    bad.sessions.loc[0, WAI] = 6
    _widen(bad)


@case("MISSING_COLUMN", "'wai_1', 'wai_2'", 'Write items: "wai_{item:02d}"', severity="error")
def items_written_with_a_zero(bad):
    bad.sessions = bad.sessions.rename(columns={f"wai_{i}": f"wai_{i:02d}" for i in range(1, 10)})


@case("MISSING_COLUMN", 'Write items: "wai_{item}_s{session:02d}"', severity="error")
def items_and_sessions_written_otherwise(bad):
    _wide_items(bad, lambda item, session: f"{item}_s{session:02d}")


@case("MISSING_COLUMN", "no column 'wai_3'", "Did you mean 'wai3'?", severity="error")
def item_without_its_underscore_beside_a_similar_name(bad):
    bad.sessions = bad.sessions.rename(columns={"wai_3": "wai3"})
    bad.sessions["wait_3"] = 1
    bad.study["covariates"]["wait"] = {"column": "wait_3", "type": "number", "level": "session"}


@case("MISSING_COLUMN", "items 1 to 10, waisr_client has 12", "is it really", severity="error")
def a_shorter_form(bad):
    bad.sessions = bad.sessions.drop(columns=["wai_11", "wai_12"])


@case("MORE_ITEMS", "further columns 'wai_13' to 'wai_14'", "waisr_client has items, 12")
def a_longer_form(bad):
    bad.sessions[["wai_13", "wai_14"]] = bad.sessions[["wai_1", "wai_2"]]


@case("MISSING_COLUMN", "{item} and {session} exchanged", '"wai_{item}_s{session}"')
def item_and_session_exchanged(bad):
    _wide_items(bad, lambda item, session: f"{item}_s{session}")
    bad.study["measures"]["alliance"]["items"] = "wai_{session}_s{item}"


@case("SAME_ITEM_TWICE", severity="error")
def items_without_item_in_a_wide_file(bad):
    _wide_items(bad, lambda item, session: f"{item}_s{session}")
    bad.study["measures"]["alliance"]["items"] = "wai_1_s{session}"


@case("SAME_ITEM_TWICE", severity="error")
def items_without_item_in_a_named_table(bad):
    bad.study["measures"]["alliance"]["items"] = "sessions.wai_1"


@case("SESSION_NOT_NUMBER", "column 'therapist_id'", "entries not shown here", severity="error")
def the_session_is_a_column_of_text(bad):
    bad.study["columns"]["session"] = "therapist_id"


@case("OTHER_INSTRUMENT_NAMED", "instrument waisr_client; the names fit core10", severity="warning")
def a_shorter_form_of_another_name(bad):
    bad.study["measures"]["alliance"]["items"] = "core10_{item}"
    names = {f"wai_{item}": f"core10_{item}" for item in range(1, 11)}
    bad.sessions = bad.sessions.rename(columns=names)


@case("MISSING_COLUMN", "wai_2_s{session} for session 2", severity="error")
def wide_items_incomplete(bad):
    _wide_items(bad, lambda item, session: f"{item}_s{session}", dropped="wai_2_s2")


def _wide_items(bad: Bad, name: Callable[[str, int], str], dropped: str = "") -> None:
    items = bad.sessions.pivot_table(index="id", columns="session_no", values=WAI)
    items.columns = [name(item, session) for item, session in items.columns]
    _widen(bad)
    items = items[[column for column in items if column != dropped]]
    bad.files["wide.csv"] = items.reset_index().to_csv(index=False)
    bad.study["measures"]["alliance"] = dict(STUDY["measures"]["alliance"],
                                             items="wai_{item}_s{session}")  # fmt: skip
    bad.study["measures"].pop("symptoms")


def _as_score(bad: Bad, factor: float, **more: object) -> None:
    """Replace the outcome's items by a score computed elsewhere."""
    bad.sessions["score"] = (bad.sessions[CORE].sum(axis=1) * factor).round(2)
    measure = {"role": "outcome", "label": "Symptoms", "column": "score", **more}
    if "instrument" not in more:
        measure["higher_is"] = "worse"
    bad.study["measures"]["symptoms"] = measure


def _instrument_from_memory() -> str:
    for path in sorted(INSTRUMENTS.glob("*.yaml")):
        loaded = load_instruments(INSTRUMENTS, [path.stem])[path.stem]
        if loaded.verification == "memory_only" and not loaded.not_scorable:
            return path.stem
    raise AssertionError("no instrument rests on memory alone: make one up for these tests")


# ---- the tests ---------------------------------------------------------------------------------


def test_nothing_is_wrong_with_the_good_study(tmp_path):
    assert describe_problems(_problems(_good(), tmp_path)) == "0 errors, 0 warnings"


@pytest.mark.parametrize("bad_case", CASES, ids=[c.name for c in CASES])
def test_bad_input_is_told(bad_case, tmp_path):
    bad = _good()
    bad_case.spoil(bad)
    problems = _problems(bad, tmp_path)
    told = [p for p in problems if p.code == bad_case.code]
    everything = describe_problems(problems)
    assert told, f"{bad_case.code} is not among:\n{everything}"
    fitting = [p for p in told if all(word in p.as_text() for word in bad_case.words)]
    assert fitting, f"{bad_case.words} not in:\n{describe_problems(told)}"
    if bad_case.severity:
        assert {p.severity for p in fitting} == {bad_case.severity}
    assert all(p.expected and p.fix and p.file for p in problems), everything
    _assert_no_person_in(everything)


def _assert_no_person_in(text: str) -> None:
    personal = re.findall(
        r"\bk\d{3}\b|Hannah|Musterfrau|Vogelsang|Obermayr|Lindqvist|Meyer|example\.org|123456|"
        r"Hauptstra|divorce|1980|Hamburg|\bT\d\d\b|occupation [a-z]",
        text.replace("T01, T02", ""),  # codes that a fix proposes
        re.IGNORECASE,
    )
    assert not personal


def test_key_for_pseudonyms_is_missing_or_weak():
    study = Study.model_validate({**STUDY, "privacy": {"pseudonyms": "keyed"}})
    missing = check_key(study, None)[0]
    assert missing.code == "NO_PSEUDONYM_KEY"
    assert "secrets.token_hex" in missing.fix
    assert "export ALLIANCE_PSEUDONYM_KEY" in missing.fix
    weak = check_key(study, b"secret")[0]
    assert weak.code == "WEAK_PSEUDONYM_KEY"
    assert "secret" not in weak.found
    assert check_key(study, KEY) == []


def test_every_issue_of_the_catalogue_has_a_case():
    elsewhere = {"NO_PSEUDONYM_KEY", "WEAK_PSEUDONYM_KEY", "DRAFT_MARKS"}  # tests of their own
    assert set(CATALOGUE) - elsewhere <= {c.code for c in CASES}


def test_every_code_that_is_told_is_in_the_catalogue():
    sources = [*(ROOT / "scripts/alliance/validation").glob("*.py"),
               ROOT / "scripts/alliance/deidentification.py"]  # fmt: skip
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    told = set(re.findall(r'tell\(\s*"([A-Z_]+)"', text))
    told |= set(re.findall(r'return "([A-Z]+_[A-Z_]+)"', text))
    assert len(told) > 40
    assert told <= set(CATALOGUE)


def test_at_least_forty_kinds():
    assert len({c.code for c in CASES}) >= 40


def test_everything_at_once(tmp_path):
    bad = _good()
    for spoil in (column_missing, text_in_item, date_in_future, reference_not_present,
                  email_in_covariate, component_unknown):  # fmt: skip
        spoil(bad)
    codes = {p.code for p in _problems(bad, tmp_path)}
    assert codes >= {"MISSING_COLUMN", "TEXT_IN_NUMBER", "DATE_IN_FUTURE", "NO_REFERENCE",
                     "EMAIL_FOUND", "UNKNOWN_COMPONENT"}  # fmt: skip


def test_an_absent_item_does_not_hide_what_is_wrong_with_the_others(tmp_path):
    bad = _good()
    bad.set(7, "core_4", "often")
    bad.set(9, "core_6", 31)
    bad.sessions = bad.sessions.rename(columns={"core_8": "cor_8"})
    told = {(p.code, p.where) for p in _problems(bad, tmp_path)}
    assert ("MISSING_COLUMN", "key measures.symptoms.items") in told
    assert ("TEXT_IN_NUMBER", "column 'core_4', row 7") in told
    assert ("OUT_OF_RANGE", "column 'core_6', row 9") in told


def test_an_absent_session_column_does_not_hide_words_among_answers(tmp_path):
    bad = _good()
    bad.set(7, "core_4", "often")
    bad.sessions = bad.sessions.rename(columns={"session_no": "sesion_no"})
    told = {(p.code, p.where) for p in _problems(bad, tmp_path)}
    assert told == {
        ("MISSING_COLUMN", "key columns.session"),
        ("TEXT_IN_NUMBER", "column 'core_4', row 7"),
    }


def test_codes_for_missing_answers_do_not_upset_the_order_of_items(tmp_path):
    """Undeclared codes are told as such, not as items that run against each other."""
    bad = _good()
    drawn = np.random.default_rng(3).random(bad.sessions[WAI].shape)
    bad.sessions[WAI] = bad.sessions[WAI].mask(drawn < 0.02, 999)
    codes = {problem.code for problem in _problems(bad, tmp_path)}
    assert "SENTINEL_CODE" in codes
    assert not codes & {"ITEMS_DISAGREE", "LOOKS_REVERSED", "WRONG_RESPONSE_RANGE"}


def test_sheets_of_one_workbook_are_told_apart_in_messages(tmp_path):
    """A row number means nothing without its sheet; what both rooms notice is told once."""
    bad = _good()
    bad.clients = pd.concat([bad.clients, bad.clients.tail(1).assign(id="K999")])
    bad.sessions.loc[3, "wai_3"] = 9
    book = tmp_path / "book.xlsx"
    with pd.ExcelWriter(book) as writer:
        bad.sessions.to_excel(writer, sheet_name="Visits", index=False)
        bad.clients.to_excel(writer, sheet_name="People", index=False)
    bad.files["book.xlsx"] = book.read_bytes()
    bad.study["data"]["tables"] = {
        "sessions": {"path": "book.xlsx", "sheet": "Visits"},
        "clients": {"path": "book.xlsx", "sheet": "People", "level": "client"},
    }
    assert sorted((p.code, p.file, p.where) for p in _problems(bad, tmp_path)) == [
        ("OUT_OF_RANGE", "book.xlsx, sheet 'Visits'", "column 'wai_3', row 5"),
        ("WITHOUT_SESSIONS", "book.xlsx, sheet 'People'", "row 32"),
    ]


def test_marks_of_a_draft_are_told():
    (problem,) = check_marks([3, 8, 9], "config/studies/mini.yaml")
    assert (problem.code, problem.severity) == ("DRAFT_MARKS", "warning")
    assert problem.where == "lines 3, 8, 9"
    assert check_marks([], "config/studies/mini.yaml") == []


def test_one_odd_item_of_a_small_sample_is_no_error(tmp_path):
    bad = _good()
    bad.sessions["wai_5"] = 6 - bad.sessions["wai_5"]
    assert "error" not in {p.severity for p in _problems(bad, tmp_path)}


def test_straight_lining_cannot_be_seen_in_items_reversed_before(tmp_path):
    bad = _good()
    straight_lining(bad)
    bad.study["measures"]["symptoms"]["items_already_reversed"] = True
    assert "STRAIGHT_LINING" not in {p.code for p in _problems(bad, tmp_path)}


def test_errors_stop_the_study_and_come_first(tmp_path):
    bad = _good()
    out_of_range(bad)
    text_in_item(bad)
    _write(bad, tmp_path)
    study = Study.model_validate(bad.study)
    instruments = load_instruments(INSTRUMENTS, ["waisr_client", "core10"])
    problems, raw = validate(study, instruments, tmp_path, "mini.yaml", TODAY)
    assert raw is None
    assert [(p.severity, p.code) for p in problems] == [
        ("error", "TEXT_IN_NUMBER"),
        ("error", "NAMES_FOUND"),
        ("warning", "OUT_OF_RANGE"),
    ]


def test_a_code_outside_the_catalogue_is_a_programming_error():
    with pytest.raises(ValueError, match="no issue 'NONSENSE'"):
        tell("NONSENSE", "file", "", "")
    with pytest.raises(ValueError, match="needs the word 'low'"):
        tell("OUT_OF_RANGE", "file", "", "")
