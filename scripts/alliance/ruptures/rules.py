"""Rupture rules as data: what a file of ``config/ruptures/`` may say, and how it is read.

A rule says what a score is compared with, in which units, how large a drop must be, and what
counts as repair. Rules of published studies carry how well their wording could be checked
(``verified``); a rule whose threshold is not known refuses to run and says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from alliance.problems import Problem, StudyError, suggest
from alliance.ruptures.horizon import NO_HORIZON, SESSIONS, WEEKS

Reference = Literal["previous", "max_prior", "mean_prior", "person_mean", "trend_line"]
Scale = Literal[
    "sd_total",
    "sd_within",
    "sd_own",
    "sd_own_prior",
    "moving_range",
    "sem_difference",
    "sem_difference_total",
    "points",
]
RunRule = Literal["eight_on_one_side", "two_of_three"]
LOOKAHEAD_REFERENCES = ("person_mean", "trend_line")
LOOKAHEAD_SCALES = ("sd_own", "moving_range")
# The least number of rated sessions that a look-ahead rule may ask for (methods 2.1).
LEAST_SESSIONS = {"person_mean": 5, "trend_line": 5, "sd_own": 5, "moving_range": 8}
# The first rated session that can be compared: a mean of earlier scores needs three of them.
EARLIEST_SESSION = {"mean_prior": 4, "sd_own_prior": 4}
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class RuptureRule(BaseModel):
    """One rule of ``config/ruptures/``; ``config/ruptures/README.md`` explains every key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = Field(
        description="Name of the file without its ending."
    )
    label: str = Field(description="Name shown in tables and figures.")
    source: str = Field(description="Publication the rule comes from, or this project.")
    instrument: str = Field("", description="Alliance measure of the publication.")
    verified: Literal["abstract", "secondary", "recalled", "project"] = Field(
        description="How the wording of the rule was checked: in the abstract, in another paper, "
        "only recalled, or made by this project."
    )
    note: str = Field("", description="What is known, inferred or not found. Shown in tables.")
    refuses: str = Field("", description="Why the rule cannot be run; then no further key.")
    reference: Reference = Field("previous", description="What a score is compared with.")
    scale: Scale = Field("sd_within", description="Unit of a drop.")
    scale_floor: NotNegative = Field(
        0.0, description="The unit is at least this many `scale_floor_of`."
    )
    scale_floor_of: Literal["sd_within", "sd_total"] = Field(
        "sd_within", description="Sample SD of which `scale_floor` is a multiple."
    )
    threshold: Positive | dict[int, Positive] = Field(
        1.0,
        description="Smallest drop, in units; or a table from a client's number of rated "
        "sessions to the smallest drop (interpolated in the logarithm of the number).",
    )
    false_alarm: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Share of clients without ruptures that the rule may flag. The threshold is "
        "then found in data sets without ruptures drawn from the study's own dynamic model: one "
        "per number of rated sessions where `threshold` is a table, else one. `threshold` stands "
        "in where the study has no such data sets.",
    )
    run_rules: tuple[RunRule, ...] = Field(
        (),
        description="Signals of a control chart beside the threshold: `eight_on_one_side` (eight "
        "ratings in a row below the centre), `two_of_three` (two of three beyond two units below). "
        "Only for `reference` and `target: person_mean`.",
    )
    minimum_drop: NotNegative = Field(0.0, description="Smallest drop in scale points as well.")
    t_min: Annotated[int, Field(ge=2)] = Field(
        2, description="First rated session (counted from 1) that can be a rupture."
    )
    min_sessions: Annotated[int, Field(ge=2)] = Field(
        2, description="Rated sessions a client needs before the rule applies."
    )
    horizon: Annotated[int, Field(ge=1)] | None = Field(
        3, description="Rated sessions (or weeks) within which repair must come; null = no limit."
    )
    horizon_unit: Literal["sessions", "weeks"] = Field(
        "sessions",
        description="What `horizon` counts: rated sessions, or weeks from the date of the onset. "
        "Weeks need dates of sessions.",
    )
    target: Literal["pre_rupture", "person_mean", "half_of_drop"] = Field(
        "pre_rupture", description="Level that counts as repair."
    )
    target_margin: NotNegative = Field(
        0.0, description="Repair may fall short of the target by this many `target_margin_of`."
    )
    target_margin_of: Literal["scale", "sd_within"] = Field(
        "scale", description="Unit of `target_margin`: that of the drop, or the within-client SD."
    )
    sustained: Annotated[int, Field(ge=1)] = Field(
        1, description="Rated sessions in a row that must reach the target."
    )
    on_gap: Literal["exclude", "allow"] = Field(
        "exclude",
        description="A drop from the previous rating across a missing session: not counted, or "
        "counted. Only for `reference: previous`.",
    )
    client_label: Literal["any_unrepaired", "last_episode"] = Field(
        "any_unrepaired", description="How a client with several ruptures is labelled."
    )
    lookahead: bool = Field(
        False, description="Whether a flag depends on what comes later. Must say the truth."
    )

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if self.refuses:
            return self
        _refuse_unsound(self)
        return self

    @property
    def uses_future(self) -> bool:
        """Whether later sessions can change an earlier flag.

        Sessions of the same client, given the SDs of the sample: pooled SDs are of all sessions.
        Repair at the client's own mean decides when an episode ends, hence when the next may
        begin; a threshold by number of sessions knows how long the treatment will last.
        """
        return (
            self.reference in LOOKAHEAD_REFERENCES
            or self.scale in LOOKAHEAD_SCALES
            or self.target == "person_mean"
            or self.min_sessions > self.t_min
            or isinstance(self.threshold, dict)
        )

    @property
    def horizon_codes(self) -> tuple[int, int]:
        """The horizon and its unit as :mod:`alliance.ruptures.horizon` takes them."""
        unit = WEEKS if self.horizon_unit == "weeks" else SESSIONS
        return (NO_HORIZON if self.horizon is None else self.horizon), unit

    def thresholds(self, n_sessions: np.ndarray) -> np.ndarray:
        """The threshold of clients with ``n_sessions`` rated sessions, shape as given."""
        if not isinstance(self.threshold, dict):
            return np.full(n_sessions.shape, self.threshold, dtype=float)
        lengths = sorted(self.threshold)
        known = [self.threshold[length] for length in lengths]
        return np.interp(np.log(np.maximum(n_sessions, 1)), np.log(lengths), known)


def _refuse_unsound(rule: RuptureRule) -> None:
    earliest = max(EARLIEST_SESSION.get(part, 2) for part in (rule.reference, rule.scale))
    if rule.t_min < earliest:
        raise ValueError(f"t_min must be at least {earliest} for this reference and scale")
    least = max(LEAST_SESSIONS.get(part, 2) for part in (rule.reference, rule.scale))
    if rule.min_sessions < least:
        raise ValueError(f"min_sessions must be at least {least} for this reference and scale")
    if rule.run_rules and (rule.reference, rule.target) != ("person_mean", "person_mean"):
        raise ValueError("run_rules need reference: person_mean and target: person_mean")
    if rule.false_alarm is not None and (rule.minimum_drop or rule.run_rules):
        raise ValueError("false_alarm cannot go with minimum_drop or run_rules")
    if rule.horizon is None and rule.horizon_unit == "weeks":
        raise ValueError("horizon_unit: weeks needs a number of weeks under horizon")
    if rule.lookahead != rule.uses_future:
        raise ValueError(f"lookahead must be {str(rule.uses_future).lower()} for this rule")


def load_rules(folder: str | Path, ids: Iterable[str] | None = None) -> dict[str, RuptureRule]:
    """The rules named ``ids`` (all of the folder if None), in the order asked for.

    Raises
    ------
    StudyError
        With every unknown name, every unreadable file and every wrong key at once.
    """
    known = sorted(path.stem for path in Path(folder).glob("*.yaml"))
    problems: list[Problem] = []
    rules: dict[str, RuptureRule] = {}
    for name in known if ids is None else list(ids):
        if name not in known:
            problems.append(_unknown_rule(name, known))
            continue
        rule, found = _read_rule(Path(folder) / f"{name}.yaml")
        problems.extend(found)
        if rule is not None:
            rules[name] = rule
    if problems:
        raise StudyError(problems, "The rupture rules")
    return rules


def _unknown_rule(name: str, known: list[str]) -> Problem:
    return Problem(
        "UNKNOWN_RUPTURE_RULE",
        "error",
        "config/ruptures",
        "key rules",
        f"'{name}'",
        "a file of config/ruptures/, without its ending",
        suggest(name, known) or f"Known rules: {', '.join(known)}.",
    )


def _read_rule(path: Path) -> tuple[RuptureRule | None, list[Problem]]:
    shown = f"config/ruptures/{path.name}"
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return None, [_wrong(shown, "the file", "text that is not YAML", "a YAML file of UTF-8")]
    if not isinstance(content, dict):
        return None, [_wrong(shown, "the file", "no keys", "keys with values")]
    try:
        rule = RuptureRule.model_validate(content)
    except ValidationError as error:
        return None, [_as_problem(shown, entry) for entry in error.errors()]
    if rule.id != path.stem:
        return None, [_wrong(shown, "key id", f"'{rule.id}'", f"'{path.stem}', as the file")]
    return rule, []


def _as_problem(shown: str, entry: Any) -> Problem:
    key = ".".join(str(part) for part in entry["loc"]) or "the rule"
    if entry["type"] == "extra_forbidden":
        fix = suggest(key, RuptureRule.model_fields) or "config/ruptures/README.md lists the keys."
        return Problem("UNKNOWN_KEY", "error", shown, f"key {key}", key, "a known key", fix)
    found = "nothing" if entry["type"] == "missing" else _short(entry["input"])
    return _wrong(shown, f"key {key}", found, entry["msg"].removeprefix("Value error, "))


def _short(value: object) -> str:
    return repr(value) if isinstance(value, str | int | float | bool | None) else "the rule"


def _wrong(shown: str, where: str, found: str, expected: str) -> Problem:
    fix = "config/ruptures/README.md explains every key."
    return Problem("WRONG_VALUE", "error", shown, where, found, expected, fix)
