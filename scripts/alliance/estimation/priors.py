"""Priors of the Bayesian models: numbers in within-client SDs, each with its reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from alliance.problems import Problem, StudyError, suggest

_PREDICTOR = ("within", "between", "between_therapist", "contextual", "contextual_therapist")


@dataclass(frozen=True)
class Priors:
    """Scales of the priors.

    Attributes
    ----------
    intercept ... time_moderator : SDs of normal priors around zero of the fixed effects.
    sd_intercept ... sd_residual : scales of half-normal priors of standard deviations.
    correlation : shape of the LKJ prior of correlations between random effects.
    rope : half width of the region of practical equivalence of the within effect.
    reasons : name of a prior -> why.
    """

    intercept: float = 5.0
    within: float = 0.2
    between: float = 0.5
    time: float = 0.5
    covariate: float = 1.0
    moderator: float = 0.1
    time_moderator: float = 0.3
    sd_intercept: float = 1.5
    sd_within: float = 0.15
    sd_time: float = 0.5
    sd_therapist: float = 0.5
    sd_therapist_slope: float = 0.1
    sd_residual: float = 1.0
    correlation: float = 2.0
    rope: float = 0.05
    reasons: Mapping[str, str] = field(default_factory=dict)

    def coefficient(self, name: str) -> float:
        """SD of the prior of a fixed effect, by the name of its column."""
        return float(getattr(self, kind_of_coefficient(name)))

    def client_sd(self, name: str) -> float:
        """Scale of the prior of the SD between clients of a random effect."""
        return float(getattr(self, f"sd_{name}", self.sd_time))

    def therapist_sd(self, name: str) -> float:
        """Scale of the prior of the SD between therapists of a random effect."""
        return self.sd_therapist if name == "intercept" else self.sd_therapist_slope


def kind_of_coefficient(name: str) -> str:
    """Which prior a column gets: the key in ``config/priors.yaml``."""
    factors = name.split(":")
    if len(factors) > 1:
        if any(factor in _PREDICTOR for factor in factors):
            return "moderator"
        return "time_moderator" if "time" in factors else "covariate"
    if name in ("intercept", "within", "time"):
        return name
    return "between" if name in _PREDICTOR else "covariate"


DYNAMICS = "dynamics"  # the section of the dynamic models (alliance.estimation.dynamics_priors)
_NUMBER = {"correlation": "shape", "rope": "half_width"}  # all others: sd
NAMES: tuple[str, ...] = tuple(f.name for f in fields(Priors) if f.name != "reasons")


def priors_from_mapping(values: Mapping[str, Any], file: str = "config/priors.yaml") -> Priors:
    """Priors from the content of ``config/priors.yaml``; keys left out keep their defaults.

    Raises
    ------
    StudyError
        With every unknown key, missing reason and impossible number.
    """
    own = {key: entry for key, entry in values.items() if key != DYNAMICS}
    problems = [
        p for k, e in own.items() for p in check_entry(str(k), e, NAMES, number_of(k), file)
    ]
    if problems:
        raise StudyError(problems, "Priors")
    numbers = {key: float(entry[number_of(key)]) for key, entry in own.items()}
    return Priors(**numbers, reasons={key: str(e["reason"]).strip() for key, e in own.items()})


def number_of(key: str) -> str:
    """What the number of a prior is called."""
    return _NUMBER.get(key, "sd")


def check_entry(
    key: str,
    entry: object,
    names: Collection[str],
    number: str,
    file: str,
    section: str = "",
    others: Collection[str] = (),
) -> list[Problem]:
    """What is wrong with one prior of the file: its name, its keys, its number, its reason.

    Parameters
    ----------
    names : priors that there are. number : key of its scale. others : keys of further numbers.
    section : section of the file that it stands in, with a point after it.
    """
    if key not in names:
        hint = suggest(key, names) or f"Known priors: {', '.join(names)}."
        where = f"{section}{key}"
        return [_problem(file, where, f"unknown prior '{key}'", "a prior of the models", hint)]
    wanted = [*others, number, "reason"]
    if not isinstance(entry, Mapping) or set(entry) != set(wanted):
        found = ", ".join(map(str, entry)) if isinstance(entry, Mapping) else repr(entry)
        expected = f"the keys {', '.join(wanted)}"
        fix = f"Write '{number}: number' and 'reason: ...'"
        return [_problem(file, f"{section}{key}", found, expected, fix)]
    problems = []
    value = entry[number]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        fix = "Smaller numbers make a narrower prior; 0 is not possible."
        where = f"{section}{key}.{number}"
        problems.append(_problem(file, where, repr(value), "a number above 0", fix))
    if not str(entry["reason"] or "").strip():
        fix = "Say in a sentence why: the report prints it beside the prior."
        problems.append(_problem(file, f"{section}{key}.reason", "no text", "a reason", fix))
    return problems


def _problem(file: str, where: str, found: str, expected: str, fix: str) -> Problem:
    return Problem("BAD_PRIOR", "error", file, f"key '{where}'", found, expected, fix)
