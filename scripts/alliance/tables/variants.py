"""Tables of further questions to a model, and of early ratings and the last outcome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from alliance.study import Study
from alliance.tables.apa import ApaTable, Column, Row, section
from alliance.tables.format import ABSENT, counted, digits_for, number, p_value, with_interval
from alliance.tables.titles import title_of, title_of_model

_PARTS = (("within", "Within clients"), ("between", "Between clients"))
_ROBUST = (
    "Standard errors robust by therapist (CR2, Satterthwaite degrees of freedom); intervals of r "
    "on Fisher's z scale."
)
_ORDINARY = (
    "Ordinary standard errors, in which clients of one therapist count as independent: fewer than "
    "10 therapists are known; intervals of r on Fisher's z scale."
)
_HIGHER = "Outcome oriented so that higher is worse."


def analysis_words(study: Study, analysis: str) -> str:
    """The name of an analysis for readers; ``main.by_arm`` is a variant of the model ``main``."""
    labels = {name: model.label for name, model in study.models.items()}
    labels |= {name: spec.label for name, spec in study.associations.items()}
    labels |= {name: f"Sudden gains, {study.gains_label(name)}" for name in study.sudden_gains}
    model, _, variant = analysis.partition(".")
    label = labels.get(model, model)
    if not variant:
        return label
    for start, words in (
        ("trend_", "sensitivity to trend"),
        ("component_", "component"),
        ("components", "all components"),
        ("by_", "moderator"),
        ("compared_with_", "compared with"),
    ):
        if variant.startswith(start):
            rest = variant.removeprefix(start)
            if start == "compared_with_":
                rest = labels.get(rest, rest)
            return f"{label}: {words} {rest.replace('_', ' ')}".strip()
    return f"{label}: {variant.replace('_', ' ')}"


def variants_of(estimates: pd.DataFrame, model: str, start: str) -> pd.DataFrame:
    """Rows of the variants of a model whose names begin with ``start``."""
    return estimates[estimates["analysis"].str.startswith(f"{model}.{start}")]


def _shown(row: pd.Series, digits: int | None = None) -> str:
    """Estimate with interval; a mark where diagnostics failed, words where there is no number."""
    if row["status"] == "not_estimated":
        return "not estimated"
    bounded = row["units"] in ("correlation", "proportion")
    places = digits_for(row["se"]) if digits is None else digits
    text = with_interval(row["estimate"], row["ci_low"], row["ci_high"], places, bounded)
    return text + ("*" if row["status"] == "diagnostics_failed" else "")


def _pick(own: pd.DataFrame, term: str) -> pd.Series | None:
    rows = own[own["term"] == term]
    return rows.iloc[0] if len(rows) else None


def _cells(own: pd.DataFrame, terms: Sequence[str]) -> tuple[str, ...]:
    """Estimate and p of each term; dashes where the model does not have it."""
    cells: list[str] = []
    for term in terms:
        row = _pick(own, term)
        cells += [ABSENT, ABSENT] if row is None else [_shown(row), p_value(row["p"])]
    return tuple(cells)


def _reasons(own: pd.DataFrame) -> tuple[str, ...]:
    """Why rows have no number, each reason once."""
    reasons = own.loc[own["status"] == "not_estimated", "reason"].unique()
    failed = own.loc[own["status"] == "diagnostics_failed", "reason"].unique()
    return (
        *(f"Not estimated: {reason.rstrip('.')}." for reason in reasons),
        *(f"* Diagnostics failed: {reason.rstrip('.')}." for reason in failed),
    )


def _sample(own: pd.DataFrame) -> str:
    """Observations and clients of the largest part; how few less is nobody's business."""
    used = own[own["n_obs"].notna() & (own["status"] == "ok")]
    if used.empty:
        return ""
    words = counted(used["n_obs"].max(), "observation")
    words += f" of {counted(used['n_clients'].max(), 'client')}"
    same = used["n_obs"].min() == used["n_obs"].max()
    return f"{words if same else f'Up to {words}'}. {_HIGHER}"


def _intervals(own: pd.DataFrame) -> str:
    kinds = [kind for kind in own["interval"].unique() if kind]
    return f"Intervals: {'; '.join(kinds)}." if kinds else ""


def _units(own: pd.DataFrame) -> str:
    kinds = [u for u in own["units"].unique() if u and not u.startswith("F(")]
    kinds = [unit for unit in kinds if unit not in ("correlation", "ratio", "proportion")]
    return f"Units: {'; '.join(kinds)}." if kinds else ""


def _table(
    name: str,
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Row],
    own: pd.DataFrame,
    *notes: str,
) -> ApaTable:
    shown = (_sample(own), *notes, _units(own), _intervals(own), *_reasons(own))
    filled = tuple(note for note in shown if note)
    return ApaTable(name, title, tuple(columns), tuple(rows), filled, own)


def _part_columns(first: str) -> list[Column]:
    columns = [Column(first)]
    for _, words in _PARTS:
        columns += [Column("Estimate [95% CI]", words), Column("p", words)]
    return columns


# Trend


def trend_table(estimates: pd.DataFrame, model: str, label: str) -> ApaTable | None:
    """One line per way of taking the course over time out."""
    own = variants_of(estimates, model, "trend_")
    rows, numbers = [], []
    for _, fork in own.groupby("analysis", sort=False):
        within = _pick(fork, "within")
        if within is None:
            continue
        words = str(within["trend"])
        standard = ABSENT
        if np.isfinite(within["std_within"]):
            limits = within["std_within_low"], within["std_within_high"]
            standard = with_interval(within["std_within"], *limits)
        cells = _cells(fork, ("within", "between"))
        rows.append(Row((words[:1].upper() + words[1:], *cells[:2], standard, *cells[2:])))
        numbers.append(fork)
    if not rows:
        return None
    columns = [
        Column("Course over time taken out"),
        Column("Estimate [95% CI]", "Within clients"),
        Column("p", "Within clients"),
        Column("In within-client SDs", "Within clients"),
        Column("Estimate [95% CI]", "Between clients"),
        Column("p", "Between clients"),
    ]
    note = (
        "Taking the course out may take part of the effect out with it: the estimate is then about "
        "deviations from the course. Deviations from each client's own line lose most, and leave "
        "out clients with fewer than three sessions."
    )
    title = title_of("Sensitivity to Trend", label, own["level"])
    return _table(f"trend_{model}", title, columns, rows, own, note)


# Components


def components_table(estimates: pd.DataFrame, model: str, label: str) -> ApaTable | None:
    """Separate models, the joint model, contrasts, and how much the components overlap."""
    separate = variants_of(estimates, model, "component_")
    joint = variants_of(estimates, model, "components")
    if separate.empty and joint.empty:
        return None
    names = list(dict.fromkeys(separate["component"]))
    rows = [section("Each component in a model of its own")] if names else []
    for name in names:
        cells = _cells(separate[separate["component"] == name], ("within", "between"))
        rows.append(Row((name.capitalize(), *cells), indent=True))
    rows += [section("All components in one model"), *_joint_rows(joint, names)]
    note = (
        "That one component counts more than another is said by a contrast whose interval leaves "
        "out zero, not by one effect being significant and another not. Components are less "
        "reliable than the total and overlap within clients, which widens the joint intervals."
    )
    own = pd.concat([separate, joint])
    title = title_of("Components", label, own["level"])
    return _table(f"components_{model}", title, _part_columns("Component"), rows, own, note)


def _joint_rows(joint: pd.DataFrame, names: Sequence[str]) -> Iterator[Row]:
    if (joint["status"] == "not_estimated").all():
        yield Row(("Not estimated", "", "", "", ""), indent=True)
        return
    for name in names:
        cells = _cells(joint, (f"within_{name}", f"between_{name}"))
        yield Row((name.capitalize(), *cells), indent=True)
    yield section("Contrasts in that model")
    for term in joint.loc[joint["kind"] == "contrast", "term"].unique():
        part, _, rest = str(term).partition("_")
        if part == "within" and "_minus_" in rest:
            first, _, others = rest.partition("_minus_")
            against = others.replace("_", " and ")
            words = f"{first.capitalize()} minus {'mean of ' if '_' in others else ''}{against}"
            yield Row((words, *_cells(joint, (f"within_{rest}", f"between_{rest}"))), indent=True)
    yield section("Overlap within clients")
    for _, row in joint[joint["term"].str.startswith(("r_", "vif_"))].iterrows():
        digits = 2 if row["kind"] == "correlation" else 1
        value = number(row["estimate"], digits, row["kind"] == "correlation")
        words = str(row["estimand"]).replace(" within clients", "")
        yield Row((words, value, "", "", ""), indent=True)


# Moderators


def moderators_table(estimates: pd.DataFrame, model: str, label: str) -> ApaTable | None:
    """Per moderator: the tests with adjusted p, the products, the simple slopes."""
    own = variants_of(estimates, model, "by_")
    if own.empty:
        return None
    rows: list[Row] = []
    for analysis, one in own.groupby("analysis", sort=False):
        rows.append(section(_moderator_words(one, str(analysis))))
        rows += _moderator_rows(one)
    columns = [Column("")]
    for _, words in _PARTS:
        columns += [Column(heading, words) for heading in ("Estimate [95% CI]", "p", "p (Holm)")]
    note = (
        "Every model has a random slope of the within effect, also where the study file did not "
        "ask for one, because the test would otherwise reject too often. p (Holm) is adjusted for "
        "all moderators of this model; tests within and between clients are families of their own."
    )
    title = title_of("Moderators", label, own["level"])
    return _table(f"moderators_{model}", title, columns, rows, own, note)


def _moderator_words(one: pd.DataFrame, analysis: str) -> str:
    """Name of the moderator, from the words of its test."""
    test = _pick(one, "test_within")
    words = str(test["estimand"]) if test is not None else ""
    named = words.partition("differ by ")[2].partition("?")[0]
    return (named[:1].upper() + named[1:]) or analysis.partition(".by_")[2]


def _moderator_rows(one: pd.DataFrame) -> Iterator[Row]:
    cells: list[str] = []
    for part, _ in _PARTS:
        test = _pick(one, f"test_{part}")
        if test is None:
            cells += [ABSENT] * 3
        elif test["status"] == "not_estimated":
            cells += ["not estimated", ABSENT, ABSENT]
        else:
            text = f"{test['units']} = {number(test['estimate'])}"
            cells += [text, p_value(test["p"]), p_value(test["p_adjusted"])]
    yield Row(("Does the effect differ?", *cells), indent=True)
    for words, terms in (*_products(one), *_slopes(one)):
        cells = []
        for term in terms:
            row = _pick(one, term) if term else None
            shown = (ABSENT, ABSENT) if row is None else (_shown(row), p_value(row["p"]))
            cells += [*shown, ""]
        yield Row((words, *cells), indent=True)


def _products(one: pd.DataFrame) -> Iterator[tuple[str, tuple[str, str]]]:
    """Difference of the effect per unit of the moderator, or against its reference."""
    for term in one.loc[one["term"].str.startswith("within:"), "term"]:
        rest = str(term).removeprefix("within:")
        where = rest[rest.index("[") + 1 : -1] if rest.endswith("]") else ""
        words = f"Difference: {_against(one, str(term), where)}" if where else "Difference per unit"
        yield words, (str(term), "" if rest == "between" else f"between:{rest}")


def _against(one: pd.DataFrame, term: str, where: str) -> str:
    """``DBT versus CBT``, as the estimand of the product names its reference."""
    words = str(one.loc[one["term"] == term, "estimand"].iloc[0])
    _, _, reference = words.partition(f" {where} versus ")
    return f"{where} versus {reference.partition(')')[0] or 'reference'}"


def _slopes(one: pd.DataFrame) -> Iterator[tuple[str, tuple[str, str]]]:
    """The effect where the moderator has this value."""
    for term in one.loc[one["term"].str.startswith("slope_within@"), "term"]:
        where = str(term).partition("@")[2]
        value = where.rpartition(" is ")[2]
        yield f"Effect at: {value}", (str(term), f"slope_between@{where}")


# Two raters


def raters_table(
    estimates: pd.DataFrame, model: str, label: str, labels: dict[str, str]
) -> ApaTable | None:
    """Standardised effects of two predictors on the same rows, and their difference.

    Parameters
    ----------
    labels : measure -> its name for readers.
    """
    own = variants_of(estimates, model, "compared_with_")
    if own.empty:
        return None
    rows = []
    for which in ("first", "second"):
        row = _pick(own, f"within_{which}")
        if row is not None:
            name = labels.get(str(row["predictor"]), str(row["predictor"]))
            rows.append(Row((name, *_cells(own, (f"within_{which}", f"between_{which}")))))
    words = "First minus second" if rows else "Difference"
    rows.append(Row((words, *_cells(own, ("within_difference", "between_difference")))))
    note = (
        "Both predictors in models of their own on the same rows; the difference allows for their "
        "sharing the outcome and the clients. Negative: goes with a better outcome; a negative "
        "difference: the first does so more strongly."
    )
    title = title_of("Two Ratings Side by Side", label, own["level"])
    return _table(f"raters_{model}", title, _part_columns("Rating"), rows, own, note)


# Early ratings and the last outcome


_VERSIONS = (
    ("r", "slope", "Not adjusted"),
    ("r_baseline", "slope_baseline", "At equal {baseline}"),
    (
        "r_prior_change",
        "slope_prior_change",
        "At equal {baseline} and equal change up to the rating",
    ),
)


def association_table(
    estimates: pd.DataFrame, key: str, label: str, before_treatment: bool
) -> ApaTable | None:
    """Correlations and slopes of early ratings and the last outcome, beside the field.

    Parameters
    ----------
    before_treatment : whether the baseline was taken before treatment, not the first score.
    """
    own = estimates[estimates["analysis"] == key]
    if own.empty:
        return None
    rows = []
    baseline = "outcome before treatment" if before_treatment else "first outcome"
    for r, slope, words in _VERSIONS:
        found, raw = _pick(own, r), _pick(own, slope)
        if found is not None:
            cells = (_shown(found, 2), ABSENT if raw is None else _shown(raw), p_value(found["p"]))
            rows.append(Row((words.format(baseline=baseline), *cells)))
    for term, words in (
        ("slope_within_therapist", "Between clients of the same therapist, baseline equal"),
        ("slope_between_therapists", "Between therapists, baseline equal"),
    ):
        raw = _pick(own, term)
        if raw is not None:
            rows.append(Row((words, ABSENT, _shown(raw), p_value(raw["p"]))))
    published = _pick(own, "r_published")
    robust = own["interval"].str.contains("robust by therapist").any()
    notes = [
        "r: (partial) correlation; negative: a better early rating goes with a better last "
        "outcome. Only clients still in treatment after the rating.",
        _ROBUST if robust else _ORDINARY,
    ]
    if published is not None:
        rows.append(Row(("Published, pooled over studies", _shown(published, 3), ABSENT, ABSENT)))
        source = str(published["estimator"]).removeprefix("meta-analysis: ")
        notes.append(f"{published['estimand']} ({source}): {published['known_bias']}.")
    columns = [Column("Version"), Column("r [95% CI]"), Column("Slope [95% CI]"), Column("p")]
    title = title_of_model(label, own["level"])
    return _table(f"association_{key}", title, columns, rows, own, *notes)
