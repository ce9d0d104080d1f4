"""Model tables: estimators side by side, their agreement, and estimated beside true values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alliance.tables.apa import ApaTable, Column, Row, section
from alliance.tables.format import (
    ABSENT,
    counted,
    digits_for,
    direction,
    inside_sentence,
    number,
    p_value,
    with_interval,
)
from alliance.tables.titles import title_of, title_of_model

FREQUENTIST = ("REML", "ML", "Within")
BAYESIAN = ("NUTS",)
_SPANS = {"REML": "REML", "ML": "ML", "Within": "Client fixed effects"}
CHECK = ("MixedLM",)
TERM_WORDS: dict[str, str] = {
    "intercept": "Intercept",
    "within": "Within clients",
    "between": "Between clients",
    "between_therapist": "Between therapists",
    "time": "Time",
    "contextual": "Between minus within clients",
    "contextual_therapist": "Between therapists minus between clients",
    "between_corrected": "Between clients, corrected for unreliability",
    "attenuation": "Reliability of the client means",
    "between_corrected_ar1": "Between clients, corrected, predictor autocorrelated",
    "attenuation_ar1": "Reliability of the client means, predictor autocorrelated",
    "within_person_sd": "Within clients",
    "pct_expected_sign": "Clients in whom a higher predictor goes with a better outcome (%)",
    "r2_f1": "Of all variance: fixed effects within clients (f1)",
    "r2_f2": "Of all variance: fixed effects between clients (f2)",
    "r2_v": "Of all variance: clients' slopes (v)",
    "r2_m": "Of all variance: clients' levels (m)",
    "r2_therapist": "Of all variance: therapists' levels",
    "r2_f1_within": "Of variance within clients: fixed effects (f1)",
    "r2_v_within": "Of variance within clients: clients' slopes (v)",
    "r2_f2_between": "Of variance between clients: fixed effects (f2)",
    "r2_m_between": "Of variance between clients: clients' levels (m)",
    "sd_intercept": "SD of clients' levels",
    "sd_within": "SD of clients' within slopes",
    "sd_time": "SD of clients' slopes over time",
    "sd_therapist": "SD of therapists' levels",
    "sd_therapist_within": "SD of therapists' within slopes",
    "sd_therapist_between": "SD of therapists' between slopes",
    "sd_therapist_time": "SD of therapists' slopes over time",
    "sd_residual": "Residual SD",
    "residual_correlation": "Correlation of neighbouring residuals",
    "lr_sd_within": "Clients differ in their within slopes (χ²)",
    "lr_sd_time": "Clients differ in their slopes over time (χ²)",
    "lr_sd_therapist": "Therapists differ in the outcome (χ²)",
    "lr_sd_therapist_within": "Therapists differ in within slopes (χ²)",
    "lr_sd_therapist_between": "Therapists differ in between slopes (χ²)",
    "lr_sd_therapist_time": "Therapists differ in slopes over time (χ²)",
    "lr_residuals": "Residuals have the structure assumed (χ²)",
    "pct_same_sign": "Clients whose slope has the average sign (%)",
    "icc": "Intraclass correlation, clients",
    "icc_therapist": "Intraclass correlation, therapists",
    "deviance": "Deviance (−2 log-likelihood)",
}
_DERIVED = (
    "contextual",
    "contextual_therapist",
    "between_corrected",
    "attenuation",
    "between_corrected_ar1",
    "attenuation_ar1",
)
_DYNAMIC_TERMS = {
    "cross_lag_": "Cross-lag, {}",
    "autoregression_": "Carry-over, {}",
    "long_run_held_": "Long run, lastingly higher, {}",
    "long_run_equilibrium_": "Long run, more at every session, {}",
    "sd_within_": "SD within clients, {}",
}
_SECTIONS = (
    "Fixed effects",
    "Compared across levels",
    "Random effects",
    "Explained variance (R²)",
    "In each client's own SDs",
    "Residuals",
    "Likelihood-ratio tests",
    "Resampling whole clients or therapists",
    "Fit",
)


_FIRST = _SECTIONS[0]
_BOUNDED = ("proportion", "correlation")
_SECTION_OF = {  # how the name of a term begins -> where it stands; the first that fits
    "boot_": "Resampling whole clients or therapists",
    "lr_": "Likelihood-ratio tests",
    "residual_correlation": "Residuals",
    "sd_residual[": "Residuals",
    "r2_": "Explained variance (R²)",
    "within_person_sd": "In each client's own SDs",
    **dict.fromkeys(("sd_", "cor_", "icc", "var_", "pct_"), "Random effects"),
    "deviance": "Fit",
}
_DYNAMIC = "Random-intercept VAR(1), "


def family(estimator: str) -> str:
    """``NUTS`` of ``NUTS (PyMC, nutpie)`` and of the dynamic model's twin."""
    estimator = estimator.removeprefix(_DYNAMIC)
    return estimator.split(" ", maxsplit=1)[0] if estimator else ""


def rows_of(estimates: pd.DataFrame, analysis: str, families: Sequence[str]) -> pd.DataFrame:
    """The rows of one analysis made by one kind of estimator."""
    of_family = estimates["estimator"].map(family).isin(families)
    return estimates[(estimates["analysis"] == analysis) & of_family]


def term_words(term: str, estimand: str = "") -> str:
    """A short name for a term; terms of covariates keep their own words."""
    if term in TERM_WORDS:
        return TERM_WORDS[term]
    if term.startswith("boot_"):
        _, unit, effect = term.split("_", maxsplit=2)
        return f"{term_words(effect)}, bootstrap by {unit}"
    if term.startswith("cor_therapist_"):
        first, _, second = term.removeprefix("cor_therapist_").partition("_")
        return f"Correlation of therapists' {_effect(first)} and {_effect(second)}"
    for start, words in _DYNAMIC_TERMS.items():
        if term.startswith(start) and term.removeprefix(start).count("_") <= 1:
            return words.format(term.removeprefix(start).replace("_", " to "))
    if term.startswith("cor_"):
        first, _, second = term.removeprefix("cor_").partition("_")
        return f"Correlation of clients' {_effect(first)} and {_effect(second)}"
    return estimand or term


def _effect(name: str) -> str:
    """A random effect in words: ``levels``, ``within slopes``, ``slopes over time``."""
    return {"intercept": "levels", "time": "slopes over time"}.get(name, f"{name} slopes")


def model_table(estimates: pd.DataFrame, analysis: str, label: str) -> ApaTable:
    """One model: REML (or ML) and Bayesian estimates side by side.

    Parameters
    ----------
    estimates : estimates table. analysis : key of the model. label : its name for readers.
    """
    left = rows_of(estimates, analysis, FREQUENTIST)
    right = rows_of(estimates, analysis, BAYESIAN)
    both = pd.concat([left, right])
    columns = [Column("Term")]
    sides = [side for side in (left, right) if len(side)]
    for side in sides:
        bayes = side is right
        span = "Bayesian (NUTS)" if bayes else _SPANS[family(side["estimator"].iloc[0])]
        headings = ("Estimate [95% CrI]", "SD", "pd") if bayes else ("Estimate [95% CI]", "SE", "p")
        columns += [Column(heading, span) for heading in headings]
    rows = [*_term_rows(both, sides), *_standardised_rows(both, sides)]
    return ApaTable(
        f"model_{analysis}", title_of_model(label, both["level"]), tuple(columns), tuple(rows),
        _notes(both, left, right), both,
    )  # fmt: skip


def _term_rows(both: pd.DataFrame, sides: list[pd.DataFrame]) -> list[Row]:
    rows: list[Row] = []
    estimated = both[both["status"] != "not_estimated"]
    named = estimated.assign(section=estimated["term"].map(_section_of))
    for heading in _SECTIONS:
        own = named[named["section"] == heading].drop_duplicates("term")
        own = own[~own["term"].isin(_said_twice(both))]
        if len(own):
            rows.append(section(heading))
        for r in own.itertuples():
            found = [_found(side, r.term) for side in sides]
            digits = max((_decimals(one) for one in found if one is not None), default=2)
            cells = [cell for one in found for cell in _cells(one, digits)]
            rows.append(Row((term_words(r.term, r.estimand), *cells), indent=True))
    if not rows:
        rows.append(Row(("Not estimated", *[""] * (3 * len(sides)))))
    return rows


def _section_of(term: str) -> str:
    if term in _DERIVED:
        return "Compared across levels"
    return next((words for begin, words in _SECTION_OF.items() if term.startswith(begin)), _FIRST)


def _said_twice(both: pd.DataFrame) -> tuple[str, ...]:
    """The share with a better outcome, where that is the average sign and so the same share."""
    shares = [
        both.loc[(both["term"] == term) & both["estimate"].notna(), "estimate"].head(1)
        for term in ("pct_same_sign", "pct_expected_sign")
    ]
    if any(one.empty for one in shares) or shares[0].iloc[0] != shares[1].iloc[0]:
        return ()
    return ("pct_expected_sign",)


def _found(side: pd.DataFrame, term: str) -> pd.Series | None:
    own = side[(side["term"] == term) & (side["status"] != "not_estimated")]
    return own.iloc[0] if len(own) else None


def _decimals(r: pd.Series) -> int:
    """Decimals of an estimate; of a row all estimators get the most that one of them needs."""
    if r["units"] == "%" or r["term"] == "deviance":
        return 1
    return digits_for(r["se"], bounded=r["units"] in _BOUNDED)


def _cells(r: pd.Series | None, digits: int) -> tuple[str, str, str]:
    if r is None:
        return (ABSENT,) * 3
    bounded = r["units"] in _BOUNDED
    probability = direction(r["pd"]) if family(r["estimator"]) in BAYESIAN else p_value(r["p"])
    mark = "*" if r["status"] == "diagnostics_failed" else ""
    value = with_interval(r["estimate"], r["ci_low"], r["ci_high"], digits, bounded)
    return value + mark, number(r["se"], digits, bounded), probability


def _standardised_rows(both: pd.DataFrame, sides: list[pd.DataFrame]) -> list[Row]:
    standardised = both[both["std_within"].notna()].drop_duplicates("term")
    if standardised.empty:
        return []
    rows = [section("In within-client SDs of outcome and predictor")]
    for r in standardised.itertuples():
        cells: list[str] = []
        for side in sides:
            own = side[side["term"] == r.term]
            value = ABSENT
            if len(own):
                first = own.iloc[0]
                limits = first["std_within_low"], first["std_within_high"]
                value = with_interval(first["std_within"], *limits)
            cells += [value, "", ""]
        rows.append(Row((term_words(r.term, r.estimand), *cells), indent=True))
    return rows


def _notes(both: pd.DataFrame, left: pd.DataFrame, right: pd.DataFrame) -> tuple[str, ...]:
    notes = []
    used = both[both["n_obs"].notna() & (both["status"] != "not_estimated")]
    if len(used):
        notes.append(f"{sample_words(used.iloc[0])}. Outcome oriented so that higher is worse.")
        timing = [text for text in used["timing_order"].unique() if text]
        notes += [f"Order in time: {text}." for text in timing[:1]]
        notes += _unit_notes(used)
    intervals = [*_interval_notes(left, "Frequentist"), *_interval_notes(right, "Bayesian")]
    if len(right):
        intervals.append("CrI: credible interval; pd: posterior probability of the sign.")
    failed = both.loc[both["status"] == "diagnostics_failed", "reason"].unique()
    refused = both.loc[both["status"] == "not_estimated", "reason"].unique()
    return (
        *notes,
        *intervals,
        *_test_notes(left),
        *_explained_notes(left),
        *(f"* Diagnostics failed: {reason}." for reason in failed),
        *(f"Not estimated: {reason.rstrip('.')}." for reason in refused),
    )


_INTERVALS_OF = {  # how the name of a term begins -> whose intervals these are; the first that fits
    "attenuation": "reliability of client means",
    "between_corrected": "corrected coefficients",
    "icc": "intraclass correlation",
    "within_person_sd": "in each client's own SDs",
    "boot_": "resampled",
    **dict.fromkeys(("sd_", "cor_", "residual_correlation"), "SDs and correlations"),
}


def _interval_notes(side: pd.DataFrame, name: str) -> list[str]:
    """How the intervals were made: those of the coefficients first, then what differs from them."""
    own = side[side["interval"].ne("") & side["ci_low"].notna()]
    if own.empty:
        return []
    first = own["interval"].iloc[0]
    others: dict[str, list[str]] = {}
    for r in own[own["interval"] != first].itertuples():
        whose = next((w for start, w in _INTERVALS_OF.items() if r.term.startswith(start)), "")
        kind = str(r.interval).removeprefix("95% ")
        if r.term.startswith("boot_"):  # the name of the row says of whom
            kind = kind.partition(",")[0]
        of_kind = others.setdefault(kind, [])
        if whose and whose not in of_kind:
            of_kind.append(whose)
    more = [f"; {', '.join(whose)}: {kind}" for kind, whose in others.items() if whose]
    return [f"{name}: {first} intervals{''.join(more)}."]


def _test_notes(left: pd.DataFrame) -> list[str]:
    """Against which distribution a variance was tested, as its lowest value is the one tested."""
    found = left[left["term"].str.startswith("lr_sd_") & left["p"].notna()]
    used = [
        str(words).rpartition("(mixture of ")[2].removesuffix(")") for words in found["estimand"]
    ]
    used = list(dict.fromkeys(words.replace("chi2", "χ²") for words in used if "chi2" in words))
    if not used:
        return []
    return [
        f"Likelihood-ratio tests of variances: p from equal mixtures of {'; '.join(used)}, because "
        "zero is the smallest value that a variance can have."
    ]


def _explained_notes(left: pd.DataFrame) -> list[str]:
    if not left["term"].str.startswith("r2_").any():
        return []
    return ["R²: fixed effects are those of the predictor and of all covariates, such as time."]


def sample_words(row: pd.Series) -> str:
    """``2,190 observations of 228 clients (median 9 each), 30 therapists``."""
    words = f"{counted(row['n_obs'], 'observation')} of {counted(row['n_clients'], 'client')}"
    if np.isfinite(row["median_sessions"]):
        words += f" (median {number(row['median_sessions'], 0)} each)"
    if np.isfinite(row["n_therapists"]) and row["n_therapists"] > 0:
        words += f", {counted(row['n_therapists'], 'therapist')}"
    return words


def _unit_notes(used: pd.DataFrame) -> list[str]:
    """Which coefficients and SDs are in which units, one sentence.

    What is made of them (contrasts, resamples) is in the same units; tests and shares have none.
    """
    groups = []
    plain = used["kind"].isin(["fixed", "standard_deviation"]) & used["units"].ne("")
    for units, own in used[plain].groupby("units", sort=False):
        terms = [term_words(r.term, r.term) for r in own.drop_duplicates("term").itertuples()]
        if not str(units).startswith("own SDs"):  # the heading of these rows says so
            groups.append(f"{', '.join(terms)}: {units}")
    return [f"Units: {'; '.join(groups)}."] if groups else []


def triangulation_table(
    estimates: pd.DataFrame, models: dict[str, str], terms: Sequence[str] = ("within", "between")
) -> ApaTable | None:
    """The same coefficient by independent estimators, and how far apart they are.

    Differences are from REML (or ML) in its standard errors. None where there is no second
    estimator; one that no model was fitted by has no columns.
    """
    shown = estimates[estimates["analysis"].isin(list(models)) & estimates["term"].isin(terms)]
    others = _other_estimators(shown)
    if not others:
        return None
    rows, numbers = [], []
    for key, label in models.items():
        own = shown[shown["analysis"] == key]
        lines = [_triangle(own[own["term"] == term], label, term, others) for term in terms]
        lines = [line for line in lines if line is not None]
        if lines:
            rows += [section(label), *(row for row, _ in lines)]
            numbers += [record for _, record in lines]
    columns = [Column("Term"), Column("REML")]
    for name in others:
        columns += [Column("estimate", name), Column("difference ÷ SE", name)]
    explained = ["REML: this project's own engine", *(_OTHER_ESTIMATORS[name] for name in others)]
    notes = (
        f"{'; '.join(explained)}. Differences from REML, divided by its standard error.",
        *_other_models(estimates, models, terms),
        *_weighty_priors(estimates, models, terms),
    )
    count = "Two" if len(others) == 1 else "Three"
    title = title_of(f"The Same Coefficients by {count} Estimators", levels=shown["level"])
    return ApaTable(
        "triangulation", title, tuple(columns), tuple(rows), notes, pd.DataFrame(numbers),
    )  # fmt: skip


_OTHER_ESTIMATORS = {
    "MixedLM": "MixedLM: statsmodels, an independent fit of the same model",
    "NUTS": "NUTS: the Bayesian twin, drawn towards its prior where data are few",
}


def _other_estimators(shown: pd.DataFrame) -> list[str]:
    """Those besides REML that estimated anything."""
    found = {family(name) for name in shown.loc[shown["estimate"].notna(), "estimator"]}
    return [name for name in _OTHER_ESTIMATORS if name in found]


def _other_models(
    estimates: pd.DataFrame, models: dict[str, str], terms: Sequence[str]
) -> list[str]:
    """One sentence per model of which MixedLM could fit only a simpler form."""
    said = []
    shown = estimates[estimates["term"].isin(terms)]
    for key, label in models.items():
        check, engine = (
            {
                remark
                for text in rows_of(shown, key, names)["known_bias"]
                for remark in text.split("; ")
            }
            for names in (CHECK, FREQUENTIST)
        )
        only = sorted(check - engine - {""})
        if only and engine:
            said.append(f"MixedLM, {label}: {'; '.join(only)}.")
    return said


def _weighty_priors(
    estimates: pd.DataFrame, models: dict[str, str], terms: Sequence[str]
) -> list[str]:
    """One sentence per Bayesian estimate whose prior weighs much."""
    shown = estimates["analysis"].isin(models) & estimates["term"].isin(terms)
    told = estimates[shown & estimates["known_bias"].str.contains("the prior has", regex=False)]
    return [
        f"{models[row.analysis]}, {term_words(row.term).lower()}: {row.known_bias.split('; ')[-1]}."
        for row in told.itertuples()
    ]


def _triangle(
    own: pd.DataFrame, label: str, term: str, others: Sequence[str]
) -> tuple[Row, dict[str, object]] | None:
    usable = own[own["estimate"].notna()]
    by = {family(r.estimator): r for r in usable.itertuples()}
    base = by.get("REML") or by.get("ML")
    if base is None:
        return None
    digits = digits_for(base.se)
    record: dict[str, object] = {"model": label, "term": term, "reml": base.estimate}
    cells = [number(base.estimate, digits)]
    for name in others:
        other = by.get(name)
        value = other.estimate if other else float("nan")
        difference = (value - base.estimate) / base.se
        cells += [number(value, digits), number(difference)]
        record |= {name.lower(): value, f"{name.lower()}_difference_se": difference}
    return Row((term_words(term), *cells), indent=True), record


def diagnostics_table(estimates: pd.DataFrame, models: dict[str, str]) -> ApaTable:
    """Convergence of the Bayesian fits: one row per model, the worst value of its terms."""
    rows, numbers = [], []
    for key, label in models.items():
        own = rows_of(estimates, key, BAYESIAN)
        own = own[own["status"] != "not_estimated"]
        if own.empty:
            continue
        worst = {
            "rhat_max": own["rhat_max"].max(),
            "ess_min": own["ess_min"].min(),
            "divergences": own["divergences"].max(),
        }
        failed = (own["status"] == "diagnostics_failed").any()
        rows.append(
            Row((label, number(worst["rhat_max"], 3), number(worst["ess_min"], 0),
                 number(worst["divergences"], 0), "failed" if failed else "passed"))
        )  # fmt: skip
        numbers.append({"analysis": key, **worst, "failed": failed})
    columns = [Column(h) for h in ("Model", "Largest R-hat", "Smallest ESS", "Divergences", "Gate")]
    notes = (
        "R-hat compares chains (1 is ideal); ESS is the effective number of draws. A fit that "
        "fails the gate keeps its numbers, marked, and is not used for conclusions.",
    )
    return ApaTable(
        "diagnostics", "Convergence of the Bayesian Fits", tuple(columns), tuple(rows), notes,
        pd.DataFrame(numbers),
    )  # fmt: skip


def truth_table(estimates: pd.DataFrame, truth: pd.DataFrame, models: dict[str, str]) -> ApaTable:
    """Estimated beside true values of a simulated study.

    Parameters
    ----------
    truth : ``analysis, term, value, mc_se``: population values of what the models estimate.
    """
    rows: list[Row] = []
    numbers = []
    for key, label in models.items():
        own = truth[truth["analysis"] == key]
        if own.empty:
            continue
        rows.append(section(label))
        for t in own.itertuples():
            cells, record = _truth_cells(estimates, key, t)
            rows.append(Row((term_words(t.term), *cells), indent=True))
            numbers.append(record)
    columns = (
        Column("Term"), Column("True value"), Column("REML or ML [95% CI]"), Column("holds it"),
        Column("Bayesian [95% CrI]"), Column("holds it"),
    )  # fmt: skip
    notes = (
        "True value: what the same model gives in a very large population drawn from the same "
        "generator without flaws.",
        *_misses(pd.DataFrame(numbers)),
    )
    held = truth[["analysis", "term"]].merge(estimates[["analysis", "term", "level"]])
    title = title_of("Estimated and True Values", levels=held["level"])
    return ApaTable("truth", title, columns, tuple(rows), notes, pd.DataFrame(numbers))


def _misses(numbers: pd.DataFrame) -> tuple[str, ...]:
    """How many intervals do not hold their true value, of what, and why they come together."""
    said = []
    for name, words in (("reml", "intervals by REML or ML"), ("nuts", "Bayesian intervals")):
        if f"{name}_low" not in numbers:
            continue
        own = numbers[numbers[f"{name}_low"].notna() & numbers[f"{name}_high"].notna()]
        lost = own[~own["true"].between(own[f"{name}_low"], own[f"{name}_high"])]
        terms = list(dict.fromkeys(inside_sentence(term_words(term)) for term in lost["term"]))
        of_what = f" ({'; '.join(terms)})" if terms else ""
        said.append(f"{len(lost)} of {len(own)} {words}{of_what}")
    if not said:
        return ()
    return (
        f"Without their true value: {', and '.join(said)}. Of intervals from separate samples it "
        "would be about one in twenty. These come from one sample: models of the same clients and "
        "outcome share what is unusual about it, so that misses come together and say less than "
        "as many separate ones.",
    )


def _truth_cells(
    estimates: pd.DataFrame, analysis: str, true: object
) -> tuple[list[str], dict[str, object]]:
    record: dict[str, object] = {"analysis": analysis, "term": true.term, "true": true.value}
    cells: list[str] = []
    sides = {
        name: _found_estimate(rows_of(estimates, analysis, families), true.term)
        for families, name in ((FREQUENTIST, "reml"), (BAYESIAN, "nuts"))
    }
    digits = max((digits_for(r["se"]) for r in sides.values() if r is not None), default=2)
    for name, r in sides.items():
        if r is None:
            cells += ["not estimated", ABSENT]
            continue
        known = bool(np.isfinite(r["ci_low"]) and np.isfinite(r["ci_high"]))
        holds = bool(r["ci_low"] <= true.value <= r["ci_high"])
        cells += [
            with_interval(r["estimate"], r["ci_low"], r["ci_high"], digits),
            ("yes" if holds else "no") if known else ABSENT,
        ]
        record |= {name: r["estimate"], f"{name}_low": r["ci_low"], f"{name}_high": r["ci_high"]}
    return [number(true.value, digits), *cells], record


def _found_estimate(rows: pd.DataFrame, term: str) -> pd.Series | None:
    own = rows[(rows["term"] == term) & rows["estimate"].notna()]
    return own.iloc[0] if len(own) else None


def truth_frame(estimands: dict[str, dict[str, dict[str, float]]]) -> pd.DataFrame:
    """``estimands`` of a ``truth.yaml`` (terms as in the estimates) as a table."""
    rows = [
        (analysis, term, float(entry["value"]), float(entry.get("mc_se", float("nan"))))
        for analysis, terms in estimands.items()
        for term, entry in terms.items()
    ]
    return pd.DataFrame(rows, columns=["analysis", "term", "value", "mc_se"])
