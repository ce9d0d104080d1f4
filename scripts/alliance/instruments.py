"""Scoring keys as data: the typed model of a file in ``config/instruments/`` and its loader.

A key says which items form which scale, which are reversed, and how well each of these facts was
checked. What was not found in any source is absent here, never guessed: ``reverse: null`` means
that the reversed items are not known, which is not the same as ``reverse: []``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from alliance.problems import Problem, StudyError, alike, suggest, suggest_family
from alliance.study import Measure, load_yaml_with_lines

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Verification = Literal[
    "verified_2plus",
    "verified_1",
    "derived_1_source",
    "project_decision",
    "memory_only",
    "unknown",
]
Rule = Literal["sum", "mean", "mean_x10", "sum_x4", "none"]
VERIFICATION_IN_WORDS: dict[str, str] = {
    "verified_2plus": "key read in two or more independent sources",
    "verified_1": "key read in one source",
    "derived_1_source": "key derived from one source",
    "project_decision": "no published rule; default chosen for this project",
    "memory_only": "key from memory only, not checked against a source",
    "unknown": "key not found in any source",
}


class Section(BaseModel):
    """A part of an instrument file; unknown keys are refused so that typing errors are seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Cutoff(Section):
    """Where the clinical range (or the range of concern) begins, in the published metric."""

    value: float | None = Field(None, description="The cut-off of the total.")
    clinical_is: Literal["at_or_above", "below"] = Field(
        "at_or_above", description="Which side of `value` is clinical."
    )
    bands: dict[Identifier, float] = Field(
        default_factory=dict, description="Severity bands by their lowest score."
    )
    item_flag_below: float | None = Field(
        None, description="A single answer below this is a concern of its own (SRS)."
    )
    subscales: dict[Identifier, float] = Field(
        default_factory=dict, description="Cut-offs of subscales, same side as `value`."
    )
    other: dict[Identifier, float] = Field(
        default_factory=dict, description="Cut-offs of other groups or authors; never used here."
    )
    verification: Verification = Field("unknown", description="How well `value` was checked.")
    note: str = Field("", description="Disagreement between sources and how it was settled.")


class ReliableChange(Section):
    """Published reliable change: a change is reliable when its size is ``value`` or more."""

    value: float | None = Field(None, description="Points of the total; null: use the sample.")
    subscales: dict[Identifier, float] = Field(
        default_factory=dict, description="Points of subscales."
    )
    verification: Verification = Field("unknown", description="How well `value` was checked.")
    note: str = Field("", description="Other published values, and for whom.")


class Norm(Section):
    """A published number to compare with; never used in scoring."""

    statistic: str
    value: str
    source: str
    verification: Verification


class Instrument(Section):
    """One rating scale: how its answers become scores, and how sure we are of that."""

    id: Identifier = Field(description="Name of the file without its ending.")
    name: str = Field(description="Name in tables and text.")
    domain: Literal["alliance", "rupture", "outcome", "satisfaction"] = Field(
        description="What it measures."
    )
    perspective: str = Field(description="Who fills it in.")
    n_items: int | None = Field(description="Number of items; null where there is no fixed list.")
    response_min: int = Field(description="Lowest answer of the published form.")
    response_max: int = Field(description="Highest answer of the published form.")
    response_type: Literal["integer", "visual_analogue", "counts_and_ratings"] = Field("integer")
    subscales: dict[Identifier, list[int]] = Field(
        default_factory=dict, description="Item numbers of each subscale."
    )
    subscales_without_key: list[Identifier] = Field(
        default_factory=list,
        description="Subscales that exist but whose items were not found in any source.",
    )
    reverse: list[int] | None = Field(
        description="Item numbers to reverse; [] none; null: not found, so never scored."
    )
    total_rule: Rule = Field(description="How the total is made from the items.")
    subscale_rule: Rule = Field("none", description="How a subscale is made from its items.")
    min_answered: int | None = Field(
        None, description="Answers needed for a total; null: all of them."
    )
    min_answered_subscale: int | dict[Identifier, int] | None = Field(
        None, description="Answers needed for a subscale, one number or by subscale; null: all."
    )
    missing_rule: Literal["prorate", "subscale_mean_rounded", "complete_only"] = Field(
        "complete_only",
        description="prorate: mean of the answered items stands for the rest. "
        "subscale_mean_rounded: each gap is filled with its subscale's mean rounded half up.",
    )
    higher_is: Literal["better", "worse"] | None = Field(
        description="Direction of the total; null where parts point different ways."
    )
    cutoff: Cutoff = Field(default_factory=Cutoff)
    reliable_change: ReliableChange = Field(default_factory=ReliableChange)
    verification: Verification = Field(description="Weakest fact that the total rests on.")
    verification_subscales: Verification | None = Field(
        None, description="Weakest fact that the subscales rest on; null: no subscales."
    )
    verification_fields: dict[str, Verification] = Field(
        default_factory=dict, description="How well each single fact was checked."
    )
    not_scorable: str = Field("", description="Why it is never scored; empty if it can be.")
    norms: list[Norm] = Field(default_factory=list)
    references: list[str] = Field(description="Publications; check details before citing.")
    sources: dict[str, str] = Field(
        default_factory=dict, description="What was read for this key, by a short mark."
    )
    notes: list[str] = Field(default_factory=list, description="What a scorer must know.")

    @model_validator(mode="after")
    def _key_is_consistent(self) -> Instrument:
        faults = [*_item_faults(self), *_rule_faults(self)]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def score_range(self) -> tuple[float, float] | None:
        """Lowest and highest possible total in the published form; None without a total."""
        return self.range_of("total")

    def items_of(self, scale: str) -> list[int]:
        """Item numbers (from 1) of ``total`` or of a subscale."""
        return (
            list(range(1, (self.n_items or 0) + 1)) if scale == "total" else self.subscales[scale]
        )

    def rule_of(self, scale: str) -> Rule:
        """The scoring rule of ``total`` or of the subscales."""
        return self.total_rule if scale == "total" else self.subscale_rule

    def minimum_of(self, scale: str) -> int:
        """Answers needed before ``total`` or a subscale is scored."""
        if scale == "total":
            needed = self.min_answered
        elif isinstance(self.min_answered_subscale, dict):
            needed = self.min_answered_subscale.get(scale)
        else:
            needed = self.min_answered_subscale
        size = len(self.items_of(scale))
        return size if needed is None else min(needed, size)

    def range_of(
        self, scale: str, response_range: tuple[float, float] | None = None
    ) -> tuple[float, float] | None:
        """Lowest and highest possible score of a scale, also for another response range.

        Returns None where the scale is not scored.
        """
        low, high = response_range or (self.response_min, self.response_max)
        n_items = len(self.items_of(scale))
        factor = {"sum": n_items, "mean": 1, "mean_x10": 10, "sum_x4": 4 * n_items, "none": 0}
        times = factor[self.rule_of(scale)]
        return (float(low * times), float(high * times)) if times else None


def _item_faults(key: Instrument) -> Iterable[str]:
    if key.response_min >= key.response_max:
        yield "response_min must be below response_max"
    numbers = {"reverse": key.reverse or [], **key.subscales}
    for name, items in numbers.items():
        wrong = [i for i in items if not 1 <= i <= (key.n_items or 0)]
        if wrong:
            yield f"{name} names items {wrong}, but there are {key.n_items} items"
        if len(set(items)) < len(items):
            yield f"{name} names an item twice"
    if "total" in key.subscales:
        yield "a subscale must not be called total"


def _rule_faults(key: Instrument) -> Iterable[str]:
    if not key.not_scorable:
        if key.reverse is None:
            yield "reverse is null, so not_scorable must say why it is never scored"
        if key.n_items is None:
            yield "n_items is null, so not_scorable must say why it is never scored"
        if key.total_rule == "none" and key.subscale_rule == "none":
            yield "neither total_rule nor subscale_rule gives a score; say why in not_scorable"
        if key.higher_is is None:
            yield "higher_is must be better or worse"
    if key.subscale_rule != "none" and not (key.subscales or key.subscales_without_key):
        yield "subscale_rule needs subscales"
    if key.missing_rule == "subscale_mean_rounded":
        members = sorted(i for items in key.subscales.values() for i in items)
        if members != list(range(1, (key.n_items or 0) + 1)):
            yield "subscale_mean_rounded needs every item in exactly one subscale"


def refusal(instrument: Instrument, accept_unverified: bool, scale: str = "total") -> str:
    """Why ``total`` or the subscales must not be scored, in plain words; empty if they may be.

    Parameters
    ----------
    accept_unverified : the study's measure accepts a key that rests on memory alone.
    scale : ``total`` or ``subscales``.
    """
    if instrument.not_scorable:
        return instrument.not_scorable
    is_total = scale == "total"
    if (instrument.total_rule if is_total else instrument.subscale_rule) == "none":
        return f"{instrument.name} has no published {'total' if is_total else 'subscale scores'}."
    if not is_total and not instrument.subscales:
        return "Which items belong to which subscale was not found in any source."
    level = instrument.verification if is_total else instrument.verification_subscales
    if level in (None, "unknown"):
        return f"The key of the {scale} was not found in any source."
    if level == "memory_only" and not accept_unverified:
        return f"The key of the {scale} rests on memory alone and was not checked against a source."
    return ""


def known_instruments(folder: str | Path) -> list[str]:
    """Ids of all instrument files of a folder, sorted."""
    return sorted(path.stem for path in Path(folder).glob("*.yaml"))


def named_by(columns: Iterable[str], known: Iterable[str]) -> list[str]:
    """Ids of the instruments whose whole name (``waisr``, ``core10``) every column bears.

    ``WAI-SR_01`` bears waisr, ``wai_1`` none: wai36 and waisr begin so, but are not named.
    """
    short: dict[str, list[str]] = {}
    for instrument in known:
        short.setdefault(instrument.split("_")[0], []).append(instrument)
    # ``core`` may mean core10, ``wais`` waisr; a ``t`` for the therapist makes no other name.
    names = {
        name: ids
        for name, ids in short.items()
        if not any(other.startswith(name) and other not in (name, f"{name}t") for other in short)
    }
    names |= {i.replace("_", ""): [i] for ids in short.values() for i in ids if "_" in i}
    borne = [_names_in(column) for column in columns]
    common = set.intersection(*borne) & set(names) if borne else set()
    return [i for name in sorted(common, key=len)[-1:] for i in names[name]]


def _names_in(column: str) -> set[str]:
    """Every beginning of the words of a column name: ``WAI-SR_01`` gives wai, waisr, waisr01."""
    words = [word for word in re.split(r"[^a-z0-9]+", column.lower()) if word]
    return {"".join(words[:n]) for n in range(1, len(words) + 1)}


def similar_instruments(instrument: str, known: Iterable[str]) -> list[str]:
    """Other instruments whose ids begin alike: further forms of the same questionnaire."""
    return alike(instrument, [name for name in known if name != instrument])


def load_instrument(path: str | Path) -> Instrument:
    """One instrument file.

    Raises
    ------
    StudyError
        With every problem of the file: unknown keys, wrong values, items that do not exist.
    """
    shown = _shown(Path(path))
    try:
        content, lines = load_yaml_with_lines(path)
    except StudyError as error:
        raise StudyError([replace(p, file=shown) for p in error.problems]) from None
    try:
        key = Instrument.model_validate(content)
    except ValidationError as error:
        raise StudyError([_problem(e, shown, lines) for e in error.errors()]) from None
    if key.id != Path(path).stem:
        fix = f"Write id: {Path(path).stem}, or rename the file to {key.id}.yaml."
        raise StudyError(
            [Problem("INSTRUMENT_ID", "error", shown, "key id", key.id, Path(path).stem, fix)]
        )
    return key


def load_instruments(folder: str | Path, ids: Iterable[str]) -> dict[str, Instrument]:
    """The instruments named by ``ids``, in sorted order.

    Raises
    ------
    StudyError
        With all problems of all files, and a suggestion for every unknown id.
    """
    loaded: dict[str, Instrument] = {}
    problems: list[Problem] = []
    known = known_instruments(folder)
    for name in sorted(set(ids)):
        if name not in known:
            problems.append(_unknown(name, known))
            continue
        try:
            loaded[name] = load_instrument(Path(folder) / f"{name}.yaml")
        except StudyError as error:
            problems.extend(error.problems)
    if problems:
        raise StudyError(problems, "The instruments")
    return loaded


def _shown(path: Path) -> str:
    """The file as the user knows it: never an absolute path."""
    return "/".join(path.parts[-3:]) if path.is_absolute() else path.as_posix()


def _unknown(name: str, known: list[str]) -> Problem:
    hint = suggest_family(name, known)
    fix = f"{hint} Known: {', '.join(known)}. config/instruments/README.md: how to add one."
    return Problem(
        "UNKNOWN_INSTRUMENT", "error", "config/instruments", f"instrument '{name}'",
        f"no file {name}.yaml", "the id of an instrument file", fix.strip(),
    )  # fmt: skip


def _problem(error: ErrorDetails, file: str, lines: Mapping[tuple[str | int, ...], int]) -> Problem:
    path = tuple(error["loc"])
    where = _where(path, lines)
    if error["type"] == "extra_forbidden":
        known = list(Instrument.model_fields)
        fix = suggest(str(path[-1]), known) or f"Known keys: {', '.join(known)}."
        return Problem("UNKNOWN_KEY", "error", file, where, f"'{path[-1]}'", "a known key", fix)
    value = error.get("input")
    found = repr(value) if isinstance(value, str | int | float | bool | None) else "a section"
    if error["type"] == "missing":
        found = "nothing"
    message = error["msg"].removeprefix("Value error, ")
    fix = "config/instruments/README.md explains every key."
    return Problem("WRONG_INSTRUMENT", "error", file, where, found, message, fix)


def _where(path: tuple[str | int, ...], lines: Mapping[tuple[str | int, ...], int]) -> str:
    line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
    key = ".".join(str(part) for part in path)
    return ", ".join(
        part for part in (f"line {line}" if line else "", key and f"key {key}") if part
    )


def scale_name(measure: Measure, instruments: Mapping[str, Instrument]) -> str:
    """The short name of a scale: what stands in brackets in its label, else the whole label."""
    inside = measure.label.partition("(")[2].partition(")")[0].strip()
    if inside:
        return inside
    instrument = instruments.get(measure.instrument or "")
    return instrument.name if instrument else measure.label
