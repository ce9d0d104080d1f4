"""What a rule calls a rupture and a repair, in words, from its keys."""

from __future__ import annotations

from alliance.ruptures.rules import RuptureRule

REFERENCES: dict[str, str] = {
    "previous": "the previous rating",
    "max_prior": "the client's best rating so far",
    "mean_prior": "the mean of the client's earlier ratings",
    "person_mean": "the client's mean over the whole treatment",
    "trend_line": "the straight line through the client's ratings",
}
SCALES: dict[str, str] = {
    "sd_total": "SD of all ratings",
    "sd_within": "pooled within-client SD",
    "sd_own": "SD of the client's own ratings over the whole treatment",
    "sd_own_prior": "SD of the client's own earlier ratings",
    "moving_range": "SD of the client's own ratings by their mean moving range",
    "sem_difference": "standard error of a difference within clients (from Rcn)",
    "sem_difference_total": "standard error of a difference (from alpha)",
    "points": "points",
}
RUN_RULES: dict[str, str] = {
    "eight_on_one_side": "when it is the eighth rating in a row below it",
    "two_of_three": "when it and one of the two ratings before it lie at least two units below it",
}
TARGETS: dict[str, str] = {
    "pre_rupture": "the rating before the rupture",
    "person_mean": "the client's mean over the whole treatment",
    "half_of_drop": "half of the drop",
}


def rupture_in_words(rule: RuptureRule) -> str:
    """When a session is a rupture, as a sentence."""
    words = f"A session is a rupture when the rating lies {_drop(rule)}"
    words += f" below {REFERENCES[rule.reference]}"
    for name in rule.run_rules:
        words += f", or {RUN_RULES[name]}"
    if rule.minimum_drop:
        words += f", and at least {rule.minimum_drop:g} points"
    words += f", from the {ordinal(rule.t_min)} rating on"
    if rule.min_sessions > rule.t_min:
        words += f", in clients with at least {rule.min_sessions} ratings"
    if rule.reference == "previous" and rule.on_gap == "exclude":
        words += "; drops across a missing session do not count"
    if rule.false_alarm is not None:
        share = f"{100 * rule.false_alarm:g}%"
        words += (
            f". The threshold is such that noise alone flags about {share} of this study's clients"
        )
    return words + "."


def _drop(rule: RuptureRule) -> str:
    unit = SCALES[rule.scale]
    if isinstance(rule.threshold, dict):
        short, long = min(rule.threshold), max(rule.threshold)
        size = (
            f"{rule.threshold[short]:.2f} (treatments of {short} ratings) to "
            f"{rule.threshold[long]:.2f} ({long} ratings) times the {unit}"
        )
    elif rule.scale == "points":
        size = f"{rule.threshold:g} points"
    else:
        size = f"{rule.threshold:.3g} times the {unit}"
    if rule.scale_floor:
        floor = SCALES[rule.scale_floor_of]
        size += f" (taken as at least {rule.scale_floor:g} times the {floor})"
    return f"at least {size}"


def repair_in_words(rule: RuptureRule) -> str:
    """When a rupture is repaired, unrepaired or undecided, as sentences."""
    target = TARGETS[rule.target]
    if rule.target_margin:
        unit = "the unit of the drop" if rule.target_margin_of == "scale" else SCALES["sd_within"]
        target += f" (less {rule.target_margin:g} times {unit})"
    times = f" for {rule.sustained} ratings in a row" if rule.sustained > 1 else ""
    if rule.horizon is None:
        return f"It is repaired when a later rating regains {target}{times}, else not decided."
    if rule.horizon_unit == "weeks":
        weeks = "a week" if rule.horizon == 1 else f"{rule.horizon} weeks"
        return (
            f"It is repaired when a rating at most {weeks} later regains {target}{times}, not "
            f"repaired when none does although ratings go on for {weeks} or longer, and not "
            "decided when they end earlier or dates that would decide are missing."
        )
    if rule.horizon == 1:
        return (
            f"It is repaired when the next rating regains {target}{times}, not repaired when it "
            "does not, and not decided when none follows."
        )
    return (
        f"It is repaired when one of the next {rule.horizon} ratings regains {target}{times}, not "
        f"repaired when none does, and not decided when fewer than {rule.horizon} follow."
    )


def definition(rule: RuptureRule) -> str:
    """Rupture and repair in words; for a rule that refuses, that it cannot be run."""
    if rule.refuses:
        return "This rule cannot be run."
    return f"{rupture_in_words(rule)} {repair_in_words(rule)}"


def in_brief(rule: RuptureRule) -> str:
    """Rupture and repair in one line, without sizes; empty for a rule that refuses."""
    if rule.refuses:
        return ""
    within = {None: "a later rating", 1: "the next rating"}.get(
        rule.horizon, f"one of the next {rule.horizon} ratings"
    )
    times = f" for {rule.sustained} ratings in a row" if rule.sustained > 1 else ""
    nearly = " (or nearly)" if rule.target_margin else ""
    run = ", or a run of low ratings" if rule.run_rules else ""
    target = f"{TARGETS[rule.target]}{nearly}{times}"
    return (
        f"a rupture is a rating below {REFERENCES[rule.reference]} by at least the rule's "
        f"threshold{run}; it is repaired when {within} regains {target}"
    )


def ordinal(number: int) -> str:
    """``2nd``, ``3rd``, ``11th``."""
    last = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if 10 <= number % 100 <= 20 else last}"
