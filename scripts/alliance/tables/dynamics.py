"""Tables of the dynamic models: both directions, other estimators, reliabilities, phases."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from alliance.tables.apa import ApaTable, Column, Row, section
from alliance.tables.format import (
    ABSENT,
    digits_for,
    direction,
    number,
    p_text,
    p_value,
    with_interval,
)
from alliance.tables.models import sample_words
from alliance.tables.titles import title_of, title_of_model

ML = "Random-intercept VAR(1), ML"
NUTS = "Random-intercept VAR(1), NUTS"
RANDOM = "Random-intercept VAR(1) with random dynamics, NUTS"
TIMED_FULL = "Continuous-time random-intercept VAR, ML"
TIMED = "Continuous time"
TARGETS = ("cross_lag_", "autoregression_")
_OWN = "autoregression_"


def rows_by(estimates: pd.DataFrame, analysis: str, estimator: str) -> pd.DataFrame:
    """Rows of one analysis by one estimator."""
    return estimates[(estimates["analysis"] == analysis) & (estimates["estimator"] == estimator)]


def arrow(row: pd.Series, labels: Mapping[str, str]) -> str:
    """``Alliance → Symptoms``."""
    source, target = labels.get(row["predictor"]), labels.get(row["outcome"])
    source = source or str(row["predictor"])
    part = f", {row['component']}" if row["component"] else ""
    return f"{source}{part} → {target or row['outcome']}"


def when(row: pd.Series) -> str:
    """``next session`` or ``same session``, by the order of measurement."""
    return "same session" if row["lag"] == 0 else "next session"


def cross_lags(estimates: pd.DataFrame, analysis: str, estimator: str = ML) -> pd.DataFrame:
    """The cross-lags of one analysis, effects of the alliance first; those with a phase or an
    assumed reliability are not among them."""
    own = rows_by(estimates, analysis, estimator)
    plain = own["term"].str.fullmatch(r"cross_lag_\w+") & ~own["term"].str.contains(
        r"_(?:phase_\w+|reliability\w*|bootstrap|person_standardised)$"
    )
    return own[plain & own["kind"].eq("fixed")]


# The model


def dynamics_table(
    estimates: pd.DataFrame, analysis: str, label: str, labels: Mapping[str, str]
) -> ApaTable:
    """One dynamic model: effects in both directions by maximum likelihood and its Bayesian twin.

    Parameters
    ----------
    estimates : estimates table. analysis : key of the model. label : its name for readers.
    labels : measure -> its name for readers.
    """
    left, right = (rows_by(estimates, analysis, name) for name in (ML, NUTS))
    rows = [
        *_effects(left, right, labels, "cross_lag_", "From one to the other"),
        *_effects(left, right, labels, _OWN, "Carry-over"),
        *_effects(left, right, labels, "long_run_held_", "Long run, lastingly one point higher"),
        *_effects(
            left,
            right,
            labels,
            "long_run_equilibrium_",
            "Long run, one point more at every session",
        ),
        *_bootstrapped(left, labels),
        *_standardised(left, right, labels),
        *_spreads(left),
        *_between_clients(rows_by(estimates, analysis, RANDOM)),
        *_tests(left, right, labels),
    ]
    columns = [
        Column("Effect"),
        *(Column(h, "Maximum likelihood") for h in ("Estimate [95% CI]", "SE", "p")),
    ]
    if len(right):
        columns += [Column(h, "Bayesian") for h in ("Estimate [95% CrI]", "pd")]
    else:
        rows = [row if row.section else Row(row.cells[:4], indent=row.indent) for row in rows]
    if not rows:
        rows = [Row(("Not estimated", *[""] * (len(columns) - 1)))]
    both = pd.concat([left, right])
    return ApaTable(
        f"dynamics_{analysis}", title_of_model(label, both["level"]), tuple(columns), tuple(rows),
        _notes(left, right), both,
    )  # fmt: skip


def _usable(side: pd.DataFrame, start: str) -> pd.DataFrame:
    plain = ~side["term"].str.contains(r"_(?:phase_|reliability|bootstrap|person_standardised)")
    return side[side["term"].str.startswith(start) & plain & side["estimate"].notna()]


def _effects(
    left: pd.DataFrame, right: pd.DataFrame, labels: Mapping[str, str], start: str, heading: str
) -> list[Row]:
    own = _usable(left, start)
    rows = []
    for _, row in own.iterrows():
        lagged = start in TARGETS
        name = arrow(row, labels) + (f", {when(row)}" if lagged else "")
        rows.append(Row((name, *_by_ml(row), *_by_nuts(right, row["term"])), indent=True))
    return [section(heading), *rows] if rows else []


def _bootstrapped(left: pd.DataFrame, labels: Mapping[str, str]) -> list[Row]:
    own = left[left["term"].str.endswith("_bootstrap") & left["estimate"].notna()]
    rows = [
        Row((f"{arrow(row, labels)}, {when(row)}", *_by_ml(row)[:2], "", "", ""), indent=True)
        for _, row in own.iterrows()
    ]
    what = "therapists" if _by_therapist(own) else "clients"
    return [section(f"The same effects, bootstrap of {what}"), *rows] if rows else []


def _by_therapist(rows: pd.DataFrame) -> bool:
    return bool(rows["interval"].str.contains("bootstrap of therapists").any())


def _nesting(left: pd.DataFrame) -> list[str]:
    """What the intervals make of therapists; nothing where none is known."""
    if not (left["n_therapists"] > 0).any():
        return []
    if not _by_therapist(left[left["estimate"].notna()]):
        return [
            "Standard errors and intervals take clients as independent: that several clients "
            "have the same therapist is ignored."
        ]
    return [
        "That several clients have the same therapist is ignored, except in the bootstrap, which "
        "draws therapists with all their clients."
    ]


def _by_ml(row: pd.Series) -> tuple[str, str, str]:
    digits = digits_for(row["se"])
    mark = "*" if row["status"] == "diagnostics_failed" else ""
    value = with_interval(row["estimate"], row["ci_low"], row["ci_high"], digits)
    return value + mark, number(row["se"], digits), p_value(row["p"])


def _by_nuts(right: pd.DataFrame, term: str) -> tuple[str, str]:
    own = right[(right["term"] == term) & right["estimate"].notna()]
    if own.empty:
        return ABSENT, ABSENT
    row = own.iloc[0]
    mark = "*" if row["status"] == "diagnostics_failed" else ""
    digits = digits_for(row["se"])
    value = with_interval(row["estimate"], row["ci_low"], row["ci_high"], digits)
    return value + mark, direction(row["pd"])


def _standardised(left: pd.DataFrame, right: pd.DataFrame, labels: Mapping[str, str]) -> list[Row]:
    """In SDs of all clients pooled, and in each client's own."""
    rows = []
    for _, row in _usable(left, "cross_lag_").iterrows():
        twin = right[(right["term"] == row["term"]) & right["std_within"].notna()]
        limits = [_limits(r) for _, r in twin.iterrows()] or [ABSENT]
        name = f"{arrow(row, labels)}, pooled SDs"
        rows.append(Row((name, _limits(row), "", "", limits[0], ""), indent=True))
        own = left[left["term"] == f"{row['term']}_person_standardised"]
        for _, person in own[own["estimate"].notna()].iterrows():
            value = with_interval(person["estimate"], person["ci_low"], person["ci_high"])
            name = f"{arrow(row, labels)}, clients' own SDs"
            rows.append(Row((name, value, "", "", "", ""), indent=True))
    return [section("In within-client SDs"), *rows] if rows else []


def _limits(row: pd.Series) -> str:
    return with_interval(row["std_within"], row["std_within_low"], row["std_within_high"])


def _spreads(left: pd.DataFrame) -> list[Row]:
    kinds = left["kind"].isin(("standard_deviation", "correlation")) & left["estimate"].notna()
    rows = [
        Row((row["estimand"], _shown_spread(row), "", "", "", ""), indent=True)
        for _, row in left[kinds].iterrows()
    ]
    return [section("Spread within and between clients"), *rows] if rows else []


def _shown_spread(row: pd.Series) -> str:
    if row["kind"] == "correlation":
        return number(row["estimate"], 2, bounded=True)
    return number(row["estimate"], _digits(row))


def _between_clients(varying: pd.DataFrame) -> list[Row]:
    """How much effects differ between clients, and in how many they have the expected sign."""
    kinds = ("standard_deviation", "proportion", "correlation")
    shown = varying[varying["kind"].isin(kinds) & varying["estimate"].notna()]
    rows = []
    for _, row in shown.iterrows():
        bounded = row["kind"] == "correlation"
        value = with_interval(
            row["estimate"], row["ci_low"], row["ci_high"], digits_of(row), bounded
        )
        if row["kind"] == "proportion":
            value = with_interval(row["estimate"], row["ci_low"], row["ci_high"], 0)
        mark = "*" if row["status"] == "diagnostics_failed" else ""
        rows.append(Row((row["estimand"], "", "", "", value + mark, ""), indent=True))
    return [section("How effects differ between clients"), *rows] if rows else []


def digits_of(row: pd.Series) -> int:
    """Digits by the width of the interval."""
    return digits_for((row["ci_high"] - row["ci_low"]) / 4)


def _digits(row: pd.Series) -> int:
    """Two significant digits of a small number."""
    size = abs(row["estimate"])
    return 2 if size >= 0.1 or size == 0 else min(4, 1 - int(np.floor(np.log10(size))))


def _tests(left: pd.DataFrame, right: pd.DataFrame, labels: Mapping[str, str]) -> list[Row]:
    tests = left[left["units"].eq("chi-squared") & left["estimate"].notna()]
    rows = []
    for _, row in tests.iterrows():
        value = f"χ²({row['df']:.0f}) = {number(row['estimate'])}"
        rows.append(
            Row((_test_words(row, labels), value, "", p_value(row["p"]), "", ""), indent=True)
        )
    loo = right[right["term"].eq("elpd_loo_difference") & right["estimate"].notna()]
    for _, row in loo.iterrows():
        value = f"{number(row['estimate'])} (SE {number(row['se'])})"
        name = f"{row['estimand']}: {row['trend']}"
        rows.append(Row((name, "", "", "", value, ""), indent=True))
    radius = left[left["term"] == "spectral_radius"]
    for _, row in radius[radius["estimate"].notna()].iterrows():
        rows.append(Row((row["estimand"], number(row["estimate"]), "", "", "", ""), indent=True))
    return [section("Tests"), *rows] if rows else []


def _test_words(row: pd.Series, labels: Mapping[str, str]) -> str:
    if not str(row["term"]).startswith("lr_cross_lag_"):
        return str(row["estimand"])
    return f"Likelihood ratio: no effect {arrow(row, labels)}"


def _notes(left: pd.DataFrame, right: pd.DataFrame) -> tuple[str, ...]:
    both = pd.concat([left, right])
    used = both[both["n_obs"].notna()]
    notes = []
    if len(used):
        first = used.iloc[0]
        notes += [
            f"{sample_words(first)}; all series together. Outcome oriented so that higher is "
            "worse.",
            f"Order in time: {first['timing_order']}. Clock: {first['clock']}. Course over "
            f"sessions: {first['trend']}.",
            f"Data: {first['missing_rule']}.",
            *_nesting(left),
            "Effects are within clients, in raw points of the one per point of the other. SDs in "
            "which standardised effects are expressed are implied by the model.",
        ]
    refused = both.loc[both["status"] == "not_estimated", "reason"].unique()
    failed = both.loc[
        both["status"].eq("diagnostics_failed") & ~both["term"].str.contains("reliability"),
        "reason",
    ].unique()
    return (
        *notes,
        *(f"* Diagnostics failed: {reason}." for reason in failed),
        *(f"Not estimated: {str(reason).rstrip('.')}." for reason in refused),
    )


# Other estimators


def estimators_table(
    estimates: pd.DataFrame, analysis: str, label: str, labels: Mapping[str, str]
) -> ApaTable | None:
    """The same cross-lags by every estimator, with what is known of its bias."""
    own = estimates[estimates["analysis"] == analysis]
    lags = own[own["term"].isin(cross_lags(estimates, analysis)["term"])]
    if lags["estimator"].nunique() < 2:
        return None
    rows: list[Row] = []
    timed = timed_effects(own)
    for term, group in lags.groupby("term", sort=False):
        rows.append(section(arrow(group.iloc[0], labels)))
        for _, row in group.iterrows():
            rows.append(Row((row["estimator"], *_estimator_cells(row, own)), indent=True))
        for _, row in timed[timed["of"] == term].iterrows():
            name = f"{TIMED}, one {row['unit']} later"
            rows.append(Row((name, *_estimator_cells(row, own)), indent=True))
    columns = (
        Column("Estimator"), Column("Estimate [95% interval]"), Column("SE"),
        Column("Carry-over of the target"),
    )  # fmt: skip
    lags = pd.concat([lags, timed[estimates.columns]])
    named = lags.assign(estimator=lags["estimator"].replace(f"^{TIMED_FULL}.*", TIMED, regex=True))
    bias = named[named["known_bias"].ne("")].drop_duplicates("estimator")
    notes = (
        "Shortcuts stand here to show what they would have said; they are no results. Raw points "
        "per point, within clients.",
        *(f"{row['estimator']}: {row['known_bias']}." for _, row in bias.iterrows()),
        *(
            f"{row['estimator']}: {str(row['reason']).rstrip('.')}."
            for _, row in named[named["reason"].ne("")].drop_duplicates("estimator").iterrows()
        ),
    )
    title = title_of("Other Estimators", label, lags["level"])
    return ApaTable(f"dynamics_estimators_{analysis}", title, columns, tuple(rows), notes, lags)


def timed_effects(own: pd.DataFrame) -> pd.DataFrame:
    """What continuous time comes to after one unit of its clock, beside the other estimators.

    Returns
    -------
    DataFrame
        The rows, with ``of`` (the cross-lag they stand beside) and ``unit`` of the clock.
    """
    parts = own["term"].str.extract(r"^after_1_([a-z]+)_(cross_lag_\w+)$")
    return own.assign(unit=parts[0], of=parts[1])[parts[1].notna()]


def _estimator_cells(row: pd.Series, own: pd.DataFrame) -> tuple[str, str, str]:
    if not np.isfinite(row["estimate"]):
        return "not estimated", ABSENT, ABSENT
    stem = str(row["term"]).partition("cross_lag_")[0] + _OWN
    alike = (own["estimator"] == row["estimator"]) & (own["outcome"] == row["outcome"])
    carry = own[alike & own["term"].str.startswith(stem)]
    carried = number(carry["estimate"].iloc[0]) if len(carry) else ABSENT
    value, se, _ = _by_ml(row)
    return value, se, carried


# Reliability and phases


def reliability_grid_table(
    estimates: pd.DataFrame, analysis: str, label: str, labels: Mapping[str, str]
) -> ApaTable | None:
    """The cross-lags when the scores are taken to have some within-client reliability."""
    own = rows_by(estimates, analysis, ML)
    grid = own[own["term"].str.contains(r"_reliability(?:_own|_omega)?$")]
    if grid.empty:
        return None
    base = cross_lags(estimates, analysis)
    lines: dict[str, dict[str, pd.Series]] = {"no measurement error": {}}
    for _, row in base.iterrows():
        lines["no measurement error"][row["term"]] = row
    for _, row in grid.iterrows():
        given = str(row["estimand"]).partition("reliabilities taken as ")[2] or "assumed"
        plain, _, which = str(row["term"]).partition("_reliability")
        given = given.replace(" 0.", " .") + _OWN_RELIABILITY.get(which, "")
        lines.setdefault(given, {})[plain] = row
    rows = []
    for given, cells in lines.items():
        rows.append(Row((given, *(_assumed(cells.get(term)) for term in base["term"]))))
    columns = [Column("Within-client reliability")]
    columns += [Column(arrow(row, labels)) for _, row in base.iterrows()]
    notes = [
        "Error variances are (1 − reliability) times the squared pooled within-client SD. "
        "Estimates with [95% CI] in raw points per point."
    ]
    if grid["term"].str.endswith(tuple(_OWN_RELIABILITY)).any():
        notes.append(
            "Omega is the share of what the items have in common in deviations from the client's "
            "own level, which is the error this model needs. Rcn also counts lasting differences "
            "between items as error: it assumes more error than there is where items differ."
        )
    if grid["status"].ne("ok").any():
        notes.append(
            "Not usable: the data contradict so much measurement error, or it leaves the process "
            "nothing new at a session; the reasons stand under what was left out."
        )
    title = title_of("Measurement Error Assumed", label, grid["level"])
    return ApaTable(
        f"dynamics_reliability_{analysis}", title, tuple(columns), tuple(rows), tuple(notes), grid
    )


def _assumed(row: pd.Series | None) -> str:
    """An estimate under an assumption, or that the assumption did not hold."""
    if row is None or row["status"] != "ok":
        return "not usable"
    return _by_ml(row)[0]


def phases_table(
    estimates: pd.DataFrame, analysis: str, label: str, labels: Mapping[str, str]
) -> ApaTable | None:
    """The cross-lags in earlier and later sessions, and whether they differ."""
    own = rows_by(estimates, analysis, ML)
    phases = own[own["term"].str.contains(r"_phase_(?:1|2|difference)$")]
    if phases["estimate"].notna().sum() == 0:
        return None
    rows = []
    for stem in dict.fromkeys(phases["term"].str.replace(r"_phase_.*$", "", regex=True)):
        parts = {name: phases[phases["term"] == f"{stem}_phase_{name}"] for name in _PHASES}
        if any(part.empty for part in parts.values()):
            continue
        one = parts["1"].iloc[0]
        cells = [_by_ml(part.iloc[0])[0] for part in parts.values()]
        rows.append(Row((arrow(one, labels), *cells, p_value(parts["difference"].iloc[0]["p"]))))
    test = own[own["term"] == "lr_phases"]
    notes = ["Estimates with [95% CI] in raw points per point; p of the difference."]
    for _, row in test[test["estimate"].notna()].iterrows():
        notes.append(
            f"{row['estimand']}: χ²({row['df']:.0f}) = {number(row['estimate'])}, "
            f"{p_text(row['p'])}."
        )
    when_words = [_phase_words(phases, name) for name in ("1", "2")]
    columns = ("Effect", *when_words, "Later minus earlier", "p")
    return ApaTable(
        f"dynamics_phases_{analysis}",
        title_of("Earlier and Later Sessions", label, phases["level"]),
        tuple(Column(heading) for heading in columns), tuple(rows), tuple(notes), phases,
    )  # fmt: skip


_PHASES = ("1", "2", "difference")
_OWN_RELIABILITY = {"_omega": " (this study's omega)", "_own": " (this study's Rcn)"}


def _phase_words(phases: pd.DataFrame, name: str) -> str:
    words = phases.loc[phases["term"].str.endswith(f"_phase_{name}"), "estimand"]
    inside = str(words.iloc[0]).rpartition("(")[2].rstrip(")") if len(words) else f"phase {name}"
    return inside[:1].upper() + inside[1:]
