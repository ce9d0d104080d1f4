"""The draft as a commented YAML file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from alliance.drafting.draft import Draft, DraftCovariate, DraftMeasure, DraftTable
from alliance.drafting.roles import Role, named_like
from alliance.drafting.scales import Scale
from alliance.study import CHECK

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*")
RESERVED = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}
RUPTURE_RULES = ("mean_prior_study", "previous_drop", "own_mean")
AFTER_TREATMENT = ("post", "after", "nachher", "danach", "katamnese", "followup", "fu", "después",
                   "despues")  # fmt: skip
WHERE_TO_PUT_IT = "see 'before and after treatment only' in config/README.md"
FURTHER = [
    "",
    "# What you can add, with an example of each in config/studies/clinic.yaml: dynamics (alliance",
    "# and outcome from session to session), associations (early alliance and last outcome),",
    "# sudden_gains; further models, such as one for the therapist's rating.",
]


def study_text(draft: Draft) -> str:
    """The study file; everything that the user has to look at is marked ``# CHECK:``."""
    parts = [
        _head(draft),
        _data(draft),
        _columns(draft),
        _timing(draft),
        _measures(draft),
        _covariates(draft.covariates),
        _rules(),
        _models(draft),
        _left_out(draft),
    ]
    return "\n".join(line for part in parts for line in (*part, "")).rstrip("\n") + "\n"


def quoted(text: object) -> str:
    """A scalar as YAML reads it back: plain where that is safe."""
    if isinstance(text, int | float):
        return str(text)
    word = str(text)
    return word if PLAIN.fullmatch(word) and word.lower() not in RESERVED else json.dumps(
        word, ensure_ascii=False
    )  # fmt: skip


def _head(draft: Draft) -> list[str]:
    return [
        "# A first draft, guessed from the data files. Go through every line marked CHECK, then",
        "# delete the mark. config/README.md explains every key; nothing else needs to be changed.",
        f"id: {quoted(draft.study_id)}",
        f"title: {quoted(draft.study_id)}  {CHECK} title of the report",
        f"source: {quoted('')}  {CHECK} where the data come from",
    ]


def _data(draft: Draft) -> list[str]:
    lines = ["data:", f"  layout: {draft.layout}", "  tables:"]
    main = draft.roles["client"].column
    session = draft.roles.get("session")
    for table in draft.tables:
        lines.append(f"    {quoted(table.name)}: {_table(table, main, session)}")
    if draft.missing_codes:
        codes = ", ".join(str(code) for code in draft.missing_codes)
        lines.append(f"  missing_codes: [{codes}]  {CHECK} do these mean 'no answer'?")
    else:
        lines.append("  # missing_codes: [-9, 99]  (none was found)")
    return lines


def _table(table: DraftTable, client: str, session: Role | None) -> str:
    parts = {"path": table.raw.table.path, "level": table.level}
    given = table.raw.table.model_dump(exclude_defaults=True, exclude={"path", "level", "download"})
    parts |= given
    if table.client.column != client:
        parts["client"] = table.client.column
    if table.session and session and table.session.column != session.column:
        parts["session"] = table.session.column
    return _flow(parts)


def _flow(parts: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{key}: {_value(value)}" for key, value in parts.items()) + "}"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(quoted(entry) for entry in value) + "]"
    return quoted(value)


def _columns(draft: Draft) -> list[str]:
    order = ["client", "session", "date", "therapist", "attendance", "ending", "rupture_client",
             "rupture_therapist"]  # fmt: skip
    lines = ["columns:"]
    for name in order:
        role = draft.roles.get(name)
        if role is not None:
            lines += _role(name, role, draft)
        elif name in ("date", "therapist", "attendance", "ending") and draft.layout == "long":
            lines.append(f"  # {name}: (no such column was found)")
    return lines


def _role(name: str, role: Role, draft: Draft) -> list[str]:
    columns = {column for table in draft.tables for column in table.raw.frame.columns}
    mark = "" if role.sure else f"  {CHECK} is this the {name.replace('_', ' ')}?"
    if role.column not in columns:
        mark = f"  {CHECK} no such column was found; write its name"
    if name in draft.names_in:
        mark = f"  {CHECK} names or addresses stand in it: put codes (T01, ...) there instead"
    if not role.labels:
        return [f"  {name}: {quoted(role.column)}{mark}"]
    entries = ", ".join(
        f"{_entry(entry)}: {meaning or 'null'}" for entry, meaning in role.labels.items()
    )
    unknown = [entry for entry, meaning in role.labels.items() if not meaning]
    doubt = f"  {CHECK} null means missing; " if unknown else f"  {CHECK} "
    doubt += "rows with null are left out" if name == "session" else "are these the right meanings?"
    return [f"  {name}:{doubt}", f"    column: {quoted(role.column)}", f"    labels: {{{entries}}}"]


def _entry(entry: str) -> str:
    return entry.removesuffix(".0") if re.fullmatch(r"-?\d+(\.0)?", entry) else json.dumps(
        entry, ensure_ascii=False
    )  # fmt: skip


def _timing(draft: Draft) -> list[str]:
    return [
        "timing:",
        f"  alliance_when: post  {CHECK} rated before (pre) or after (post) the session?",
        f"  outcome_when: pre  {CHECK} the same for the outcome",
        f"  unit: {draft.unit}",
    ]


def _measures(draft: Draft) -> list[str]:
    lines = ["measures:"]
    for measure in draft.measures:
        lines += _measure(measure)
    for scale in draft.unknown_scales:
        lines += _unknown(scale)
    return lines


def _measure(measure: DraftMeasure) -> list[str]:
    scale = measure.scale
    lines = [f"  {CHECK} {doubt}" for doubt in measure.doubts]
    lines += [
        f"  {quoted(measure.key)}:",
        f"    role: {measure.role}",
        f"    rater: {measure.rater}",
        f"    label: {quoted(measure.label)}",
    ]
    if scale.instrument is not None:
        lines.append(f"    instrument: {scale.instrument.id}")
    kind = "items" if scale.group.n_items else "column"
    lines.append(f"    {kind}: {quoted(scale.group.pattern)}")
    if scale.response_range is not None:
        low, high = scale.response_range
        lines.append(f"    response_range: [{low}, {high}]  {CHECK} lowest and highest of the form")
    if measure.attention_checks:
        checks = {column: _plain(answer) for column, answer in measure.attention_checks.items()}
        doubt = "is this the answer that was asked for?"
        lines.append(f"    attention_checks: {_quoted_keys(checks)}  {CHECK} {doubt}")
    if scale.instrument is None or scale.instrument.higher_is is None:
        lines.append(f"    higher_is: worse  {CHECK} better or worse?")
    return lines + _answers_in_words(scale)


def _plain(number: float) -> int | float:
    return int(number) if float(number).is_integer() else number


def _quoted_keys(parts: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{quoted(key)}: {value}" for key, value in parts.items()) + "}"


def _answers_in_words(scale: Scale) -> list[str]:
    if not scale.words:
        return []
    lowest = scale.instrument.response_min if scale.instrument else 1
    labels = scale.labels or {word: lowest + at for at, word in enumerate(scale.words)}
    doubt = "are these the numbers of the form?" if scale.labels else "give each its number"
    entries = ", ".join(f"{json.dumps(w, ensure_ascii=False)}: {n}" for w, n in labels.items())
    return [f"    labels: {{{entries}}}  {CHECK} {doubt}"]


def _unknown(scale: Scale) -> list[str]:
    answers = f"{scale.observed[0]:g} to {scale.observed[1]:g}" if scale.observed else "in words"
    return [
        f"  {CHECK} {scale.group.n_items} columns {scale.group.pattern} look like items (answers",
        f"  # {answers}), but fit no instrument of config/instruments. Add one there, or",
        "  # declare a score computed elsewhere (column: ...).",
    ]


def _covariates(covariates: Iterable[DraftCovariate]) -> list[str]:
    lines = []
    for covariate in covariates:
        parts: dict[str, object] = {
            "column": covariate.column,
            "level": covariate.level,
            "type": covariate.kind,
            "label": covariate.column,
        }
        if covariate.quasi_identifier:
            parts["quasi_identifier"] = True
        doubt = ""
        if covariate.level == "session":
            doubt = f"  {CHECK} does it vary between sessions?"
        elif covariate.kind == "number" and named_like([covariate.column], AFTER_TREATMENT):
            doubt = f"  {CHECK} an outcome after treatment? {WHERE_TO_PUT_IT}"
        lines.append(f"  {quoted(covariate.key)}: {_flow(parts)}{doubt}")
    if not lines:
        return ["# covariates: (none was found)"]
    return [f"covariates:  {CHECK} delete what you do not need", *lines]


def _rules() -> list[str]:
    return [
        "cleaning: {min_sessions: 2}",
        "privacy:",
        "  # keyed: ids are replaced with the help of a secret in the environment variable",
        "  # ALLIANCE_PSEUDONYM_KEY. as_given: your ids are pseudonyms already.",
        f"  pseudonyms: keyed  {CHECK} keyed or as_given",
        "  smallest_cell: 5",
    ]


def _models(draft: Draft) -> list[str]:
    outcome = next((m for m in draft.measures if m.role == "outcome"), None)
    alliances = [m for m in draft.measures if m.role == "alliance"]
    processes = [m for m in draft.measures if m.role == "process"]
    by_client = sorted(alliances, key=lambda m: m.rater != "client")
    predictor = next(iter([*by_client, *processes]), None)
    if outcome is None:
        return [f"{CHECK} no outcome was found, so there is no model"]
    lines = ["models:", "  main:"]
    if predictor is None:
        lines += [f"    label: {quoted('Course of the outcome')}", "    kind: course"]
    else:
        words = f"{predictor.label} predicting the next {outcome.label}"
        lines += [f"    label: {quoted(words)}", f"    predictor: {quoted(predictor.key)}"]
        lines += ["    lag: forward"]
    lines += [f"    outcome: {quoted(outcome.key)}", "    covariates: [time]", "    headline: true"]
    for measure in alliances[:1]:
        lines += ["", "ruptures:", "  client_rated:", f"    measure: {quoted(measure.key)}"]
        lines += [f"    outcome: {quoted(outcome.key)}", f"    rules: [{', '.join(RUPTURE_RULES)}]"]
    if predictor is not None:
        lines += FURTHER
    return lines


def _left_out(draft: Draft) -> list[str]:
    lines = []
    if draft.identifying:
        listed = ", ".join(f"{column} ({kind})" for column, kind in draft.identifying.items())
        lines.append(f"# Left out because they may identify a person: {listed}.")
    if draft.unused:
        lines.append(f"# Columns that are not used: {', '.join(draft.unused)}.")
    return lines
