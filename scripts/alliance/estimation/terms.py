"""Level, words and units of every term: the same for every estimator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alliance.estimation.design import ModelDesign


@dataclass(frozen=True)
class RowContext:
    """What the rows of one analysis have in common.

    Attributes
    ----------
    analysis : key of the model in the study file.
    outcome, predictor : keys of the measures; ``*_label`` their names for readers.
    outcome_units : plural, e.g. ``CORE-10 points``. predictor_unit : singular, ``WAI-SR point``.
    time_unit : what one step of ``time`` is, e.g. ``session``.
    """

    analysis: str
    outcome: str
    outcome_label: str
    outcome_units: str
    predictor: str = ""
    predictor_label: str = ""
    predictor_unit: str = ""
    time_unit: str = "session"
    rater: str = ""
    component: str = ""
    timing_order: str = ""
    lag: float = np.nan
    clock: str = ""
    trend: str = ""
    known_bias: str = ""
    missing_rule: str = ""
    estimator: str = ""
    seed: float = np.nan
    code_hash: str = ""


def describe_term(
    name: str, design: ModelDesign | None, context: RowContext
) -> tuple[str, str, str]:
    """Level, estimand in words and units of a term; the same for every estimator.

    Parameters
    ----------
    name : a column of the design (``within``, ``time:arm[TAU]``), or a derived term:
        ``contextual``, ``contextual_therapist``, ``sd_intercept``, ``sd_within``, ``sd_time``,
        ``sd_therapist``, ``sd_residual``, ``cor_intercept_within`` (any two random effects),
        ``icc``, ``icc_therapist``, ``pct_same_sign``, ``attenuation``, ``between_corrected``,
        ``deviance``.
    design : None for a model that was refused before it had one.
    """
    if name in _DERIVED:
        level, words, units = _DERIVED[name]
        return level, words.format(**_words(context)), units.format(**_words(context))
    if name.startswith("sd_"):
        return _describe_sd(name.removeprefix("sd_"), design, context)
    if name.startswith("cor_"):
        return _describe_correlation(name.removeprefix("cor_"), design, context)
    if name in ("between", "contextual", "contextual_therapist"):
        return _describe_between(name, design, context)
    if ":" in name:
        return _describe_product(name, design, context)
    return _describe_column(name, design, context)


_PER_PREDICTOR = "{outcome_units} per {predictor_unit}"
_DERIVED: dict[str, tuple[str, str, str]] = {
    "intercept": ("total", "Expected {outcome} at the reference values", "{outcome_units}"),
    "within": (
        "within_client",
        "Within clients: difference in {outcome} when a client's {predictor} is one point above "
        "the client's own mean",
        _PER_PREDICTOR,
    ),
    "between_therapist": (
        "between_therapist",
        "Between therapists: difference in {outcome} per point of the therapist's mean {predictor}",
        _PER_PREDICTOR,
    ),
    "time": (
        "within_client",
        "Change in {outcome} per {time_unit}",
        "{outcome_units} per {time_unit}",
    ),
    "between_corrected": (
        "between_client",
        "Between clients, corrected for the unreliability of the client means of {predictor}",
        _PER_PREDICTOR,
    ),
    "attenuation": (
        "between_client",
        "Reliability of the client means of {predictor} (attenuation factor of the between effect)",
        "proportion",
    ),
    "between_corrected_ar1": (
        "between_client",
        "Between clients, corrected for the unreliability of the client means of {predictor} with "
        "autocorrelated ratings",
        _PER_PREDICTOR,
    ),
    "attenuation_ar1": (
        "between_client",
        "Reliability of the client means of {predictor} with autocorrelated ratings",
        "proportion",
    ),
    "sd_therapist": (
        "between_therapist",
        "SD of therapists' mean {outcome}, beyond what the predictors explain",
        "{outcome_units}",
    ),
    "residual_correlation": (
        "within_client",
        "Correlation of the residuals of {outcome} one {time_unit} apart within clients",
        "correlation",
    ),
    "sd_residual": (
        "within_client",
        "Residual SD of {outcome} from session to session within clients",
        "{outcome_units}",
    ),
    "icc": (
        "between_client",
        "Share of the unexplained variance of {outcome} that lies between clients (at the "
        "reference values of the random slopes)",
        "proportion",
    ),
    "icc_therapist": (
        "between_therapist",
        "Share of the unexplained variance of {outcome} that lies between therapists",
        "proportion",
    ),
    "pct_same_sign": (
        "between_client",
        "Percentage of clients whose within-client effect of {predictor} has the sign of the "
        "average one (normal distribution of slopes assumed)",
        "%",
    ),
    "deviance": ("total", "Deviance of the model of {outcome} (-2 log-likelihood)", "deviance"),
}


def _words(context: RowContext) -> dict[str, str]:
    return {
        "outcome": context.outcome_label,
        "predictor": context.predictor_label,
        "outcome_units": context.outcome_units,
        "predictor_unit": context.predictor_unit,
        "time_unit": context.time_unit,
    }


def _describe_between(
    name: str, design: ModelDesign | None, context: RowContext
) -> tuple[str, str, str]:
    """The between effect and the differences between levels; words depend on the levels present."""
    where = (
        "between clients of the same therapist"
        if design and design.n_therapists
        else "between clients"
    )
    units = f"{context.outcome_units} per {context.predictor_unit}"
    if name == "contextual_therapist":
        words = f"Effect of {context.predictor_label}: between therapists minus {where}"
        return "between_therapist", words, units
    if name == "contextual":
        words = (
            f"Difference of the effect of {context.predictor_label}: {where} minus within clients"
        )
        return "between_client", words, units
    words = (
        f"{where.capitalize()}: difference in {context.outcome_label} per point of the client's "
        f"mean {context.predictor_label}"
    )
    return "between_client", words, units


def _describe_sd(
    effect: str, design: ModelDesign | None, context: RowContext
) -> tuple[str, str, str]:
    if effect.startswith("residual_by_"):
        words = f"Residual SD of {context.outcome_label} by {effect.removeprefix('residual_by_')}"
        return "within_client", words, context.outcome_units
    if effect.startswith("therapist_"):
        _, words, units = describe_term(effect.removeprefix("therapist_"), design, context)
        words = f"SD between therapists of the mean slope: {_lower_first(words)}"
        return "between_therapist", words, units
    if effect == "intercept":
        words = (
            f"SD of clients' level of {context.outcome_label}, beyond what the predictors explain"
        )
        return "between_client", words, context.outcome_units
    _, words, units = describe_term(effect, design, context)
    return "between_client", f"SD between clients of the slope: {_lower_first(words)}", units


def _describe_correlation(
    pair: str, design: ModelDesign | None, context: RowContext
) -> tuple[str, str, str]:
    first, second = pair.split("_", 1)
    named = {"intercept": "level", "within": "within-client slope", "time": "slope over time"}
    words = (
        f"Correlation between clients of {named.get(first, first)} and "
        f"{named.get(second, second)} ({context.outcome_label})"
    )
    return "between_client", words, "correlation"


def _describe_column(
    name: str, design: ModelDesign | None, context: RowContext
) -> tuple[str, str, str]:
    """A covariate: a number, or a category against its reference."""
    level = _column_level(name, design)
    label = _label(name, design)
    if name.endswith("]"):
        return level, f"Difference in {context.outcome_label}: {label}", context.outcome_units
    words = f"Difference in {context.outcome_label} per unit of {label}"
    return level, words, f"{context.outcome_units} per unit of {label}"


def _describe_product(
    name: str, design: ModelDesign | None, context: RowContext
) -> tuple[str, str, str]:
    """An interaction: by how much the effect of the first factor differs along the others."""
    first, *others = sorted(name.split(":"), key=_focal_rank)
    _, words, units = describe_term(first, design, context)
    labels = [_factor_label(other, design, context) for other in others]
    per = [f"per {_factor_unit(o, design, context)}" for o in others if not o.endswith("]")]
    estimand = f"Moderation ({' x '.join(labels)}) of: {_lower_first(words)}"
    return _column_level(name, design), estimand, ", ".join([units, *per])


def _focal_rank(factor: str) -> int:
    """The alliance effect is the one that is moderated, then the course over time."""
    order = ("within", "between", "between_therapist", "contextual", "time")
    return order.index(factor) if factor in order else len(order)


def _factor_label(name: str, design: ModelDesign | None, context: RowContext) -> str:
    special = {
        "within": f"within-client {context.predictor_label}",
        "between": f"client mean of {context.predictor_label}",
        "between_therapist": f"therapist mean of {context.predictor_label}",
        "contextual": f"client mean of {context.predictor_label}",
        "time": context.time_unit,
    }
    return special.get(name) or _label(name, design)


def _factor_unit(name: str, design: ModelDesign | None, context: RowContext) -> str:
    if name == "time":
        return context.time_unit
    if name in ("within", "between", "between_therapist", "contextual"):
        return context.predictor_unit
    return f"unit of {_label(name, design)}"


def _column_level(name: str, design: ModelDesign | None) -> str:
    position = design.column(name) if design else None
    if design is None or position is None or not design.column_levels:
        return "total"
    return design.column_levels[position]


def _label(name: str, design: ModelDesign | None) -> str:
    return design.labels.get(name, name) if design else name


def _lower_first(words: str) -> str:
    return words[:1].lower() + words[1:]
