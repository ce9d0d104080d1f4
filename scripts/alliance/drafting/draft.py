"""The draft put together: layout, roles, scales, covariates, analyses."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from alliance.drafting.checks import attention_checks, named_as_check
from alliance.drafting.roles import (
    ATTENDANCE,
    ENDING,
    MOST_CATEGORIES,
    THERAPIST,
    Role,
    find_client,
    find_coded,
    find_date,
    find_rupture,
    find_session,
    find_therapist,
    named_like,
    unit_of,
)
from alliance.drafting.scales import (
    ColumnGroup,
    Scale,
    item_groups,
    recognise,
    session_groups,
)
from alliance.instruments import Instrument
from alliance.personal_data import looks_like_free_text, name_looks_like
from alliance.readers.patterns import fill_item
from alliance.readers.raw import RawTable
from alliance.validation.identifiers import kinds_of_ids

ROLE_OF_DOMAIN = {"alliance": "alliance", "outcome": "outcome", "satisfaction": "process"}
QUASI_IDENTIFIERS = ("age", "alter", "sex", "gender", "geschlecht", "female", "male", "region",
                     "country", "nationality", "job", "beruf", "education", "marital", "ålder",
                     "kön", "kjønn", "køn", "yrke", "utbildning", "familienstand", "bildung",
                     "schulabschluss", "wohnort", "edad", "sexo", "género", "genero",
                     "nacionalidad", "ocupación", "profesión", "región", "estudios")  # fmt: skip
IN_ASCII = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "a", "ø": "o", "æ": "ae"}
ABBREVIATION = re.compile(r"(?=.*[A-Z0-9].*[A-Z0-9])[A-Za-z0-9.-]+( [0-9.]+)?")
FOLLOW_UP = ("fu", "followup", "follow", "katamnese", "post")


@dataclass(frozen=True)
class DraftTable:
    """One file: its level, and its own client and session columns where they differ."""

    name: str
    raw: RawTable
    level: str
    client: Role
    session: Role | None = None


@dataclass(frozen=True)
class DraftMeasure:
    """One measure of the draft; ``doubts`` become CHECK comments."""

    key: str
    role: str
    rater: str
    label: str
    scale: Scale
    doubts: tuple[str, ...] = ()
    attention_checks: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DraftCovariate:
    """One covariate of the draft."""

    key: str
    column: str
    kind: str
    quasi_identifier: bool
    level: str = "client"


@dataclass
class Draft:
    """Everything that goes into the draft of a study file."""

    study_id: str
    layout: str
    tables: list[DraftTable]
    roles: dict[str, Role] = field(default_factory=dict)
    unit: str = "session"
    measures: list[DraftMeasure] = field(default_factory=list)
    unknown_scales: list[Scale] = field(default_factory=list)
    covariates: list[DraftCovariate] = field(default_factory=list)
    missing_codes: list[int] = field(default_factory=list)
    identifying: dict[str, str] = field(default_factory=dict)
    names_in: set[str] = field(default_factory=set)
    unused: list[str] = field(default_factory=list)


def draft_study(
    study_id: str, tables: Mapping[str, RawTable], instruments: Mapping[str, Instrument]
) -> Draft:
    """A draft of the study file for these data files.

    Parameters
    ----------
    study_id : short name of the study.
    tables : the data files as read, by the short name they get.
    instruments : every instrument that is known, by id.
    """
    layout, drafted = _tables(tables)
    draft = Draft(study_id, layout, drafted)
    draft.roles = _roles(draft)
    draft.names_in = {name for name in ("client", "therapist") if _has_names(draft, name)}
    if "session" in draft.roles:
        draft.unit = unit_of(draft.roles["session"].column)
    taken = _key_columns(draft)
    scales = _scales(draft, instruments, taken)
    draft.measures = _measures(scales)
    used = {m.scale.group for m in draft.measures}
    draft.unknown_scales = [s for s in scales if s.group not in used and s.group.n_items]
    taken |= {column for scale in scales for column in scale.group.columns}
    if layout == "long":
        draft.measures = [with_attention_checks(m, draft, taken) for m in draft.measures]
        taken |= {check for m in draft.measures for check in m.attention_checks}
    draft.measures = [in_own_file(m, draft) for m in draft.measures]
    if not draft.measures:
        draft.measures = _last_resort(draft, taken)
        taken |= {column for m in draft.measures for column in m.scale.group.columns}
    draft.missing_codes = sorted({code for m in draft.measures for code in m.scale.missing_codes})
    _add_covariates(draft, taken)
    return draft


def _tables(tables: Mapping[str, RawTable]) -> tuple[str, list[DraftTable]]:
    """Level of each table; long as soon as one file has several rows per client."""
    clients = {name: find_client(raw) for name, raw in tables.items()}
    repeats = {
        name: bool(raw.frame[clients[name].column].dropna().duplicated().any())
        for name, raw in tables.items()
    }
    wide = {
        name
        for name, raw in tables.items()
        if not repeats[name] and session_groups(_others(raw, clients[name]))
    }
    layout = "wide" if wide and not any(repeats.values()) else "long"
    at_session_level = wide if layout == "wide" else {n for n, again in repeats.items() if again}
    at_session_level = at_session_level or {next(iter(tables))}
    drafted = []
    for name, raw in tables.items():
        level = "session" if name in at_session_level else "client"
        long = level == "session" and layout == "long"
        session = find_session(raw, clients[name].column) if long else None
        drafted.append(DraftTable(name, raw, level, clients[name], session))
    return layout, drafted


def _others(raw: RawTable, client: Role) -> list[str]:
    return [column for column in raw.frame.columns if column != client.column]


def _roles(draft: Draft) -> dict[str, Role]:
    main = next(table for table in draft.tables if table.level == "session")
    found: dict[str, Role | None] = {"client": main.client}
    if draft.layout == "long":
        found["session"] = main.session
        found["date"] = find_date(main.raw)
        if found["session"] is None and found["date"] is None:
            found["session"] = Role("session", sure=False)
        found["attendance"] = find_coded(main.raw, "attendance", ATTENDANCE)
        found["rupture_client"] = find_rupture(main.raw, "client")
        found["rupture_therapist"] = find_rupture(main.raw, "therapist")
    by_level = sorted(draft.tables, key=lambda table: table.level != "session")
    therapists = [find_therapist(table.raw) for table in by_level]
    found["therapist"] = next((role for role in therapists if role), None)
    endings = [find_coded(table.raw, "ending", ENDING) for table in reversed(by_level)]
    found["ending"] = next((role for role in endings if role), None)
    return {name: role for name, role in found.items() if role is not None}


def _has_names(draft: Draft, name: str) -> bool:
    """Whether the column of clients or therapists holds what no key replaces, as names are."""
    column = draft.roles[name].column if name in draft.roles else None
    holders = [t.raw.frame[column] for t in draft.tables if column in t.raw.frame.columns]
    entries = [str(e).strip() for values in holders[:1] for e in values.dropna().unique()]
    return any(kinds_of_ids(entries, keyed=True).values())


def _key_columns(draft: Draft) -> set[str]:
    keys = {role.column for role in draft.roles.values()}
    keys |= {table.client.column for table in draft.tables}
    return keys | {table.session.column for table in draft.tables if table.session}


def _scales(draft: Draft, instruments: Mapping[str, Instrument], taken: set[str]) -> list[Scale]:
    scales = []
    for table in draft.tables:
        if table.level != "session":
            continue
        free = [column for column in table.raw.frame.columns if column not in taken]
        groups = session_groups(free) if draft.layout == "wide" else item_groups(free)
        if draft.layout == "long":
            grouped = {column for group in groups for column in group.columns}
            alone = [c for c in _numeric(table.raw, free) if c not in grouped]
            groups += [ColumnGroup(c, (c,)) for c in alone if not named_as_check(c)]
        for group in groups:
            scale = recognise(table.raw, group, instruments)
            if scale is not None:
                scales.append(scale)
            elif draft.layout == "wide":
                scales.append(Scale(group, table.name))
    return scales


def _numeric(raw: RawTable, columns: list[str]) -> list[str]:
    return [c for c in columns if pd.api.types.is_numeric_dtype(raw.frame[c].dtype)]


def _measures(scales: list[Scale]) -> list[DraftMeasure]:
    """Scales that can be measures: recognised ones, and unknown scores of a wide file."""
    measures: list[DraftMeasure] = []
    has_outcome = any(s.instrument and s.instrument.domain == "outcome" for s in scales)
    for scale in scales:
        instrument = scale.instrument
        if instrument is not None and instrument.domain in ROLE_OF_DOMAIN:
            role = ROLE_OF_DOMAIN[instrument.domain]
            key, label = instrument.id, _short_label(instrument, role, _rater(scale))
        elif instrument is None and not scale.group.n_items:
            role = "process" if has_outcome else "outcome"
            stem = slug(re.sub(r"\{[^}]*\}", "", scale.group.pattern))
            key = label = re.sub(r"_(s|t|w)$", "", stem)
            has_outcome = True
        else:
            continue
        rater = _rater(scale)
        taken = {measure.key for measure in measures}
        if key in taken and rater == "therapist":
            key = f"{key}_therapist"
        unique = key if key not in taken else f"{key}_{len(measures) + 1}"
        measures.append(DraftMeasure(unique, role, rater, label, scale, _doubts(scale)))
    return [_with_twin(measure, measures) for measure in measures]


def _short_label(instrument: Instrument, role: str, rater: str) -> str:
    """What sentences of the report say: ``Alliance, client (WAI-SR)``, ``PHQ-9``.

    The full name stands in the list of measures; in a sentence nobody could read it.
    """
    name = instrument.name
    inside = [re.split(r" / |, ", part)[0] for part in re.findall(r"\(([^()]+)\)", name)]
    short = next((part for part in inside if ABBREVIATION.fullmatch(part)), None)
    short = short or re.split(r" \(|, ", name)[0]
    return f"Alliance, {rater} ({short})" if role == "alliance" else short


def _with_twin(measure: DraftMeasure, measures: list[DraftMeasure]) -> DraftMeasure:
    """Marked where another scale of the same instrument is there: who filled in which?"""
    of = measure.scale.instrument
    twins = [m for m in measures if of is not None and m.scale.instrument == of]
    if len(twins) < 2:
        return measure
    doubt = "the file has this form more than once: are rater and label right?"
    return replace(measure, doubts=(*measure.doubts, doubt))


def with_attention_checks(measure: DraftMeasure, draft: Draft, taken: set[str]) -> DraftMeasure:
    """The measure with the items of its file that only check attention."""
    raw = next(table.raw for table in draft.tables if table.name == measure.scale.table)
    free = [column for column in raw.frame.columns if column not in taken]
    first = next(m for m in draft.measures if m.scale.table == measure.scale.table)
    found = attention_checks(raw, measure.scale, free, first_of_file=measure is first)
    return replace(measure, attention_checks=found) if found else measure


def in_own_file(measure: DraftMeasure, draft: Draft) -> DraftMeasure:
    """The measure with the file before its columns where another file has columns of that name."""
    group = measure.scale.group
    written = in_file(group.columns[0], measure.scale.table, draft)
    if written == group.columns[0]:
        return measure
    pattern = f"{measure.scale.table}.{group.pattern}"
    scale = replace(measure.scale, group=replace(group, pattern=pattern))
    by_therapist = bool(named_like([measure.scale.table], (*THERAPIST, "th", "ther")))
    doubt = "several files have these columns: is this the right file and rater?"
    rater = "therapist" if by_therapist else measure.rater
    doubts = (*measure.doubts, doubt)
    return replace(measure, scale=scale, doubts=doubts, rater=rater)


def in_file(column: str, table: str, draft: Draft) -> str:
    """``by_client.wai_1`` for a column that several session files have, else its name."""
    holders = [t for t in draft.tables if t.level == "session" and column in t.raw.frame.columns]
    return f"{table}.{column}" if len(holders) > 1 and draft.layout == "long" else column


def _rater(scale: Scale) -> str:
    if scale.instrument and scale.instrument.perspective.startswith("observer"):
        return "observer"
    return "therapist" if scale.therapist else "client"


def _doubts(scale: Scale) -> tuple[str, ...]:
    doubts = []
    if scale.instrument is None:
        doubts.append("no known instrument has this name: correct role, rater and higher_is")
    elif not scale.named:
        doubts.append("recognised by the number of items and the answers only")
    elif scale.named == 1:
        doubts.append(f"is it really this form ({scale.instrument.id})?")
    if scale.others and scale.group.n_items:
        doubts.append(f"other instruments that fit: {', '.join(scale.others[:4])}")
    if not scale.group.sure:
        doubts.append("is this number the session?")
    if scale.response_range:
        doubts.append("answers outside the published range")
    if scale.instrument and not scale.instrument.verification.startswith("verified"):
        doubts.append("its scoring key is not verified; see accept_unverified in config/README.md")
    return tuple(doubts)


def _last_resort(draft: Draft, taken: set[str]) -> list[DraftMeasure]:
    """Some outcome, because a study needs one: the last number that differs within clients."""
    main = next(table for table in draft.tables if table.level == "session")
    free = [c for c in _numeric(main.raw, list(main.raw.frame.columns)) if c not in taken]
    varying = [
        column
        for column in free
        if main.raw.frame.groupby(main.client.column)[column].nunique().max() > 1
    ]
    column = (varying or free or _harmless(main, taken))[-1]
    pattern = f"{column}_{{session}}" if draft.layout == "wide" else column
    scale = Scale(ColumnGroup(pattern, (column,), sure=False), main.name)
    doubt = "no known instrument was found: name the column of your outcome here"
    return [DraftMeasure("outcome", "outcome", "client", "Outcome", scale, (doubt,))]


def _harmless(table: DraftTable, taken: set[str]) -> list[str]:
    """Columns that no part takes and that identify nobody, else the client column."""
    frame = table.raw.frame
    free = [str(c) for c in frame.columns if c not in taken]
    return [c for c in free if not name_looks_like(c) and not _free_text(frame[c])] or [
        table.client.column
    ]


def _add_covariates(draft: Draft, taken: set[str]) -> None:
    """Columns that say one thing per client; those that may identify a person are left out."""
    for table in draft.tables:
        for column in table.raw.frame.columns:
            if column in taken or column in draft.identifying:
                continue
            values = table.raw.frame[column]
            identifying = name_looks_like(column) or _free_text(values)
            if identifying:
                draft.identifying[column] = identifying
            elif _is_of_client(draft, table, column) and (kind := _kind(values)):
                quasi = bool(named_like([column], QUASI_IDENTIFIERS))
                _add_covariate(draft, table, column, DraftCovariate("", column, kind, quasi))
            elif _is_of_session(draft, table, column) and (kind := _kind(values)):
                level = DraftCovariate("", column, kind, False, "session")
                _add_covariate(draft, table, column, level)
            else:
                draft.unused.append(column)


def _add_covariate(draft: Draft, table: DraftTable, column: str, covariate: DraftCovariate) -> None:
    """Under a key of its own; a column that several files have is named with its file."""
    keys = {c.key for c in draft.covariates} | {m.key for m in draft.measures}
    key = slug(column) if slug(column) not in keys else f"{slug(column)}_{table.name}"
    written = in_file(column, table.name, draft)
    draft.covariates.append(replace(covariate, key=key, column=written))


def _is_of_session(draft: Draft, table: DraftTable, column: str) -> bool:
    """A column of a long file that changes within clients, and is no date."""
    values = table.raw.frame[column]
    long = draft.layout == "long" and table.level == "session"
    return long and not pd.api.types.is_datetime64_any_dtype(values.dtype)


def _free_text(values: pd.Series) -> str:
    if pd.api.types.is_numeric_dtype(values.dtype):
        return ""
    entries = values.dropna().astype("str").unique()
    return "free text" if any(looks_like_free_text(entry) for entry in entries[:500]) else ""


def _is_of_client(draft: Draft, table: DraftTable, column: str) -> bool:
    """One entry per client, and no later rating of a wide file (``bdi_fu1``)."""
    if draft.layout == "wide" and named_like([column], FOLLOW_UP):
        return False
    return bool(table.raw.frame.groupby(table.client.column)[column].nunique().max() <= 1)


def _kind(values: pd.Series) -> str:
    """``category``, ``number``, or nothing for what is neither (constants, names, dates)."""
    n_different = values.nunique()
    if n_different < 2:
        return ""
    if pd.api.types.is_numeric_dtype(values.dtype):
        return "category" if n_different <= 4 else "number"
    is_date = pd.api.types.is_datetime64_any_dtype(values.dtype)
    return "category" if n_different <= MOST_CATEGORIES and not is_date else ""


def slug(text: str) -> str:
    """A name that a study file allows: ``Age (years)`` is age_years."""
    plain = text.lower().translate(str.maketrans(IN_ASCII))
    plain = "".join(c for c in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(c))
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    return name if name[:1].isalpha() else f"x_{name}".rstrip("_")


def item_columns(scale: Scale) -> list[str]:
    """The item columns that the pattern names, for messages."""
    return [fill_item(scale.group.pattern, item) for item in range(1, scale.group.n_items + 1)]
