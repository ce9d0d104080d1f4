"""Names in a study file that point at another section of it, and what must go with what.

Works on the file as written, so that these problems are told together with wrong values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from alliance.problems import Problem, suggest
from alliance.study.yaml_lines import KeyPath, where_in

RESERVED = "rupture_sources"  # analysis under which sources of ruptures are compared
Entry = Mapping[str, Any]


def check_references(content: Entry, name: str, lines: Mapping[KeyPath, int]) -> Iterable[Problem]:
    """Every name that points at another section of the file must be found there."""
    file = _File(name, lines)
    names = _Declared.in_content(content)
    for key, model in entries_of(content, "models").items():
        yield from _check_model(file, names, key, model)
        yield from _check_variants(file, names, key, model, content)
    for key, association in entries_of(content, "associations").items():
        yield from _check_association(file, names, key, association)
    for key, rupture in entries_of(content, "ruptures").items():
        at = ("ruptures", key)
        alliance = names.predictors.called("a measure with role alliance")
        yield from file.check(rupture, at, "measure", alliance)
        yield from file.check(rupture, at, "outcome", names.outcomes)
    for key, gains in entries_of(content, "sudden_gains").items():
        yield from file.check(gains, ("sudden_gains", key), "measure", names.measures)
    for key, dynamics in entries_of(content, "dynamics").items():
        yield from _check_dynamics(file, names, key, dynamics)
    yield from _check_same_ids(file, content)
    yield from _check_reserved(file, content)
    yield from _check_layout(file, content)


class _Kind(NamedTuple):
    """What a name may point at: the names of that kind, and the kind in words."""

    known: list[str]
    words: str

    def called(self, words: str) -> _Kind:
        return _Kind(self.known, words)

    def or_else(self, *known: str, words: str) -> _Kind:
        return _Kind([*known, *self.known], words)


@dataclass(frozen=True)
class _File:
    """The file that problems name, and the line of each of its keys."""

    name: str
    lines: Mapping[KeyPath, int]

    def problem(self, code: str, at: KeyPath, found: str, expected: str, fix: str) -> Problem:
        return Problem(code, "error", self.name, where_in(at, self.lines), found, expected, fix)

    def check(self, entry: Entry, at: KeyPath, key: str, kind: _Kind) -> Iterable[Problem]:
        """The name under a key must be of this kind; an absent one is not checked here."""
        return self.check_name(entry.get(key), (*at, key), kind)

    def check_list(self, entry: Entry, at: KeyPath, key: str, kind: _Kind) -> Iterable[Problem]:
        """Every name of a list; what stands in place of a list is told elsewhere."""
        for position, wanted in enumerate(_list(entry.get(key))):
            yield from self.check_name(wanted, (*at, key, position), kind)

    def check_name(self, wanted: Any, at: KeyPath, kind: _Kind) -> Iterable[Problem]:
        if not isinstance(wanted, str) or wanted in kind.known:
            return
        listed = ", ".join(kind.known) or "none is declared"
        fix = suggest(wanted, kind.known) or "Declare it, or correct the name."
        yield self.problem("UNKNOWN_NAME", at, f"'{wanted}'", f"{kind.words} ({listed})", fix)


@dataclass(frozen=True)
class _Declared:
    """Names that a study file declares; a measure whose role is misspelt counts for any role."""

    measures: _Kind
    predictors: _Kind
    outcomes: _Kind
    covariates: _Kind
    of_client: _Kind
    numbers: list[str]
    therapist: bool

    @classmethod
    def in_content(cls, content: Entry) -> _Declared:
        roles = {key: m.get("role") for key, m in entries_of(content, "measures").items()}
        covariates = entries_of(content, "covariates")
        known = ("alliance", "process", "outcome")
        predictors = [key for key, role in roles.items() if role != "outcome"]
        outcomes = [k for k, role in roles.items() if role == "outcome" or role not in known]
        of_client = [k for k, c in covariates.items() if c.get("level", "client") == "client"]
        return cls(
            measures=_Kind(list(roles), "a measure"),
            predictors=_Kind(predictors, "a measure with role alliance or process"),
            outcomes=_Kind(outcomes, "a measure with role outcome"),
            covariates=_Kind(list(covariates), "a covariate"),
            of_client=_Kind(of_client, "a client-level covariate"),
            numbers=[k for k, c in covariates.items() if c.get("type") == "number"],
            therapist="therapist" in _mapping(content.get("columns")),
        )


def entries_of(content: Entry, section: str) -> dict[str, Entry]:
    """The entries of a section that are sections themselves."""
    entries = _mapping(content.get(section))
    return {str(key): entry for key, entry in entries.items() if isinstance(entry, Mapping)}


def _mapping(value: Any) -> Entry:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _check_model(file: _File, names: _Declared, key: str, model: Entry) -> Iterable[Problem]:
    at = ("models", key)
    yield from file.check(model, at, "outcome", names.outcomes)
    yield from file.check(model, at, "predictor", names.predictors)
    kind = names.covariates.or_else("time", words="time or a covariate")
    for position, term in enumerate(_list(model.get("covariates"))):
        for part in str(term).split(":"):
            yield from file.check_name(part, (*at, "covariates", position), kind)
    yield from _check_residuals(file, names, model, at)
    if model.get("therapists") is True and not names.therapist:
        yield file.problem(
            "NO_THERAPIST", (*at, "therapists"), "true", "a therapist column",
            "Declare columns.therapist, or set therapists: false.",
        )  # fmt: skip


def _check_residuals(file: _File, names: _Declared, model: Entry, at: KeyPath) -> Iterable[Problem]:
    residuals, place = _mapping(model.get("residuals")), (*at, "residuals")
    words = "phase or a covariate of type category"
    kind = names.covariates.or_else("phase", words=words)
    yield from file.check(residuals, place, "variance_by", kind)
    by = residuals.get("variance_by")
    if by in names.numbers:
        yield file.problem(
            "NOT_A_CATEGORY", (*place, "variance_by"), f"'{by}', a number", words,
            "Residual SDs differ between categories: name a covariate with categories.",
        )  # fmt: skip


def _check_variants(
    file: _File, names: _Declared, key: str, model: Entry, content: Entry
) -> Iterable[Problem]:
    """Names in ``moderators`` and ``compare_with``."""
    at = ("models", key)
    words = "time, own_mean or a client-level covariate"
    moderators = names.of_client.or_else("time", "own_mean", words=words)
    yield from file.check_list(model, at, "moderators", moderators)
    models = {k: m for k, m in entries_of(content, "models").items() if k != key}
    yield from file.check(model, at, "compare_with", _Kind(list(models), "another model"))
    other = model.get("compare_with")
    differs = [
        part
        for part, default in (("outcome", None), ("lag", "forward"))
        if other in models and models[other].get(part, default) != model.get(part, default)
    ]
    if differs:
        yield file.problem(
            "NOT_COMPARABLE", (*at, "compare_with"), f"'{other}'",
            f"a model with the same {' and '.join(differs)}",
            "Compare models that differ in the predictor only.",
        )  # fmt: skip


def _check_association(file: _File, names: _Declared, key: str, spec: Entry) -> Iterable[Problem]:
    at = ("associations", key)
    yield from file.check(spec, at, "predictor", names.predictors)
    yield from file.check(spec, at, "outcome", names.outcomes)
    yield from file.check(spec, at, "baseline", names.of_client)
    yield from file.check_list(spec, at, "covariates", names.of_client)


def _check_dynamics(file: _File, names: _Declared, key: str, spec: Entry) -> Iterable[Problem]:
    at = ("dynamics", key)
    yield from file.check(spec, at, "alliance", names.predictors)
    yield from file.check(spec, at, "outcome", names.outcomes)
    known = dict.fromkeys([*names.predictors.known, *names.outcomes.known])
    yield from file.check_list(spec, at, "further", _Kind(list(known), "a measure"))


_OTHER_ANALYSES = {
    "associations": "association",
    "dynamics": "dynamic model",
    "ruptures": "rupture analysis",
    "sudden_gains": "search for sudden gains",
}


def _check_same_ids(file: _File, content: Entry) -> Iterable[Problem]:
    """All analyses share one table of estimates."""
    taken = set(entries_of(content, "models"))
    for section, what in _OTHER_ANALYSES.items():
        own = set(entries_of(content, section))
        for key in sorted(taken & own):
            yield file.problem(
                "SAME_ID", (section, key), f"'{key}' twice",
                "different names for all analyses, which share one table of estimates",
                f"Rename the {what}, for example to {key}_{section}.",
            )  # fmt: skip
        taken |= own


def _check_reserved(file: _File, content: Entry) -> Iterable[Problem]:
    for section in ("models", "dynamics", "ruptures", "sudden_gains"):
        if RESERVED in entries_of(content, section):
            yield file.problem(
                "SAME_ID", (section, RESERVED), f"'{RESERVED}'",
                "another name: this one stands for the comparison of all sources of ruptures",
                "Rename it, for example to my_ruptures.",
            )  # fmt: skip


def _check_layout(file: _File, content: Entry) -> Iterable[Problem]:
    columns = _mapping(content.get("columns"))
    layout = _mapping(content.get("data")).get("layout", "long")
    patterns_of = {
        key: _patterns(measure) for key, measure in entries_of(content, "measures").items()
    }
    if layout == "long" and columns and "session" not in columns and "date" not in columns:
        is_wide = any(_names_session(p) for patterns in patterns_of.values() for p in patterns)
        yield file.problem(
            "NO_SESSION", ("columns",), "neither session nor date", "a session number or a date",
            "The names of the measures' columns have {session}: write layout: wide under data."
            if is_wide else "Add columns.session (or columns.date).",
        )  # fmt: skip
    if layout != "wide":
        return
    for key, patterns in patterns_of.items():
        if not all(_names_session(pattern) for pattern in patterns):
            yield file.problem(
                "NO_SESSION_IN_PATTERN", ("measures", key), ", ".join(patterns),
                "a name with {session}, because layout is wide",
                "Write for example bdi_s{session} for the columns bdi_s1, bdi_s2, ...",
            )  # fmt: skip


def _patterns(measure: Entry) -> list[str]:
    given = measure.get("items") or measure.get("column") or []
    return [str(pattern) for pattern in (given if isinstance(given, list) else [given])]


def _names_session(pattern: str) -> bool:
    return "{session}" in pattern or "{session:" in pattern
