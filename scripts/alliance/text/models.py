"""The multilevel models: what was fitted, and what was found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alliance.study import ModelSpec, Residuals
from alliance.tables.format import (
    ABSENT,
    counted,
    digits_for,
    interval,
    number,
    p_value,
    percent,
    share_words,
    with_interval,
)
from alliance.tables.models import BAYESIAN, FREQUENTIST, rows_of, sample_words
from alliance.text.document import Passage, passage
from alliance.text.inputs import TextInputs
from alliance.text.words import first_ok, listed, sentence, statistics
from alliance.timing import lag_rule

FEW_DF = 4.0  # below it intervals by t are too wide and the approximation itself is poor
_LEVELS = {
    "within": "Within clients", "between": "Between clients",
    "between_therapist": "Between therapists",
}  # fmt: skip


def models_methods(x: TextInputs) -> Passage | None:
    """One paragraph on the split, one per model, one on estimation."""
    specs = x.study.models
    if not specs:
        return None
    split = any(spec.kind == "within_between" for spec in specs.values())
    return passage(
        "Multilevel models",
        [
            _SPLIT if split else "",
            *(_model(x, spec) for spec in specs.values()),
            _estimation(x),
            _details(x),
            _standardised(x),
        ],
    )


_SPLIT = (
    "Each predictor was split into the client's mean and the deviation of the session from that "
    "mean, so that differences between clients and changes within a client have coefficients of "
    "their own [@curran2011; @mundlak1978]. Their difference is reported as the contextual effect, "
    "and the between-client coefficient also corrected for the unreliability of client means "
    "[@ludtke2008]. Outcomes were oriented so that higher is worse."
)


def _model(x: TextInputs, spec: ModelSpec) -> str:
    outcome = x.label(spec.outcome)
    levels = "three-level" if spec.therapists else "two-level"
    nested = "sessions in clients in therapists" if spec.therapists else "sessions in clients"
    random = ["intercepts", *(f"slopes of {_slope(name)}" for name in spec.random_slopes)]
    adjusted = [name.replace("_", " ").replace(":", " x ") for name in spec.covariates]
    if spec.kind == "course":
        head = f"*{spec.label}.* A {levels} model ({nested}) of {outcome} over time"
    else:
        order = lag_rule(x.study.timing, spec.lag).order
        head = (
            f"*{spec.label}.* A {levels} model ({nested}) of {outcome} on {_predictor(x, spec)} "
            f"({order}; pairs across a missing session were not formed)"
        )
    text = f"{head}, with random {listed(random)} for clients"
    text += " and random intercepts for therapists" if spec.therapists else ""
    text += f", adjusted for {listed(adjusted)}" if adjusted else ""
    return f"{text}."


def _slope(name: str) -> str:
    return {"within": "the within-client effect", "time": "time"}[name]


def _predictor(x: TextInputs, spec: ModelSpec) -> str:
    part = f" ({spec.component.replace('_', ' ')})" if spec.component else ""
    return f"{x.label(spec.predictor or spec.outcome)}{part}"


def _not_rated(x: TextInputs, spec: ModelSpec) -> bool:
    """Whether the predictor is nobody's rating, such as a blood level."""
    return spec.predictor is not None and x.study.measures[spec.predictor].rater == "none"


def _estimation(x: TextInputs) -> str:
    criteria = list(dict.fromkeys(spec.likelihood for spec in x.study.models.values()))
    words = {
        "REML": "restricted maximum likelihood (REML) [@patterson1971]",
        "ML": "maximum likelihood (ML)",
    }
    text = (
        f"Models were fitted by {listed([words[name] for name in criteria])}, with the random "
        "effects integrated out exactly"
    )
    kinds = x.estimates.loc[x.estimates["kind"] == "fixed", "interval"]
    if kinds.str.contains("Satterthwaite").any():
        text += ", and tested with Satterthwaite degrees of freedom [@satterthwaite1946]"
    return (
        f"{text}. The same models were fitted independently with statsmodels [@seabold2010]"
        f"{_simpler(x)}; the run stops if the two disagree."
    )


def _simpler(x: TextInputs) -> str:
    """Where statsmodels fitted a simpler form."""
    own = x.estimates[x.estimates["estimator"].str.startswith("MixedLM")]
    if not own["known_bias"].str.contains("uncorrelated").any():
        return ""
    return " (in models with therapists, clients' levels and slopes taken as uncorrelated)"


def _details(x: TextInputs) -> str:
    """What a reader needs to fit the same models: centring, time, residuals, kinds of intervals."""
    specs = x.study.models.values()
    own = x.estimates[x.estimates["analysis"].isin(list(x.study.models))]
    said = []
    if any(spec.kind == "within_between" for spec in specs):
        said.append("Client means were centred at their average over clients.")
    if any("time" in (*spec.covariates, *spec.random_slopes) for spec in specs):
        said.append(f"Time was counted in {x.study.timing.unit}s from the first.")
    if any(spec.random_slopes for spec in specs):
        said.append("Random effects of clients were free to correlate.")
    if all(spec.residuals == Residuals() for spec in specs):
        said.append("Residuals were taken as independent and of one variance.")
    if own["interval"].eq(_PROFILE).any():
        said.append(
            "Intervals of standard deviations and correlations are from the profile likelihood."
        )
    if own["term"].str.startswith("lr_sd_").any():
        said.append(
            "Variances were tested by likelihood ratio against an equal mixture of chi-squared "
            "distributions, because zero is the smallest value that they can have."
        )
    return " ".join([*said, "Tests are two-sided, intervals 95%."])


_PROFILE = "95% profile likelihood"


def _standardised(x: TextInputs) -> str:
    if not x.estimates["std_within"].notna().any():
        return ""
    return (
        "Standardised within-client coefficients are in pooled within-client standard deviations "
        "of outcome and predictor."
    )


def models_results(x: TextInputs) -> list[Passage | None]:
    """A heading, and one passage per model."""
    found = [_result(x, name, spec) for name, spec in x.study.models.items()]
    return [Passage("Multilevel models"), *found] if found else []


def _result(x: TextInputs, name: str, spec: ModelSpec) -> Passage | None:
    own = rows_of(x.estimates, name, FREQUENTIST)
    refused = own[own["status"] == "not_estimated"]
    done = own[own["status"] != "not_estimated"]
    if done.empty:
        reason = refused["reason"].iloc[0] if len(refused) else "there is no row of estimates"
        return passage(spec.label, [sentence(f"Not estimated: {reason}")], level=3)
    where = x.table(f"model_{name}")
    first = f"Data: {sample_words(done.iloc[0])}{f'; {where}' if where else ''}."
    terms = ("within", "between", "between_therapist") if spec.predictor else ("time",)
    found = [_effect(x, name, spec, term) for term in terms]
    rest = [*_spread(done, spec), *_compared(done), *_checks(x, name), *_singular(done)]
    return passage(spec.label, [" ".join([first, *filter(None, found)]), " ".join(rest)], level=3)


def _effect(x: TextInputs, name: str, spec: ModelSpec, term: str) -> str:
    row = first_ok(x.estimates, name, term, FREQUENTIST)
    if row is None:
        return ""
    outcome, units = x.label(spec.outcome), str(row["units"])
    points, _, per = units.partition(" per ")
    size = f"{number(abs(row['estimate']), digits_for(row['se']))} {points}"
    sign = x.change_of(spec.outcome, row["estimate"])
    value = "value" if _not_rated(x, spec) else "rating"
    if term == "time" or spec.predictor is None:
        text = f"{outcome} was {size} {sign} with each further {per}"
    elif term == "within":
        concurrent = lag_rule(x.study.timing, spec.lag).concurrent
        verb = "went with" if concurrent else "predicted"
        text = (
            f"{_LEVELS[term]}, a {value} of {_predictor(x, spec)} one {per} above the client's own "
            f"mean {verb} {outcome} {size} {sign}"
        )
    else:
        text = f"{_LEVELS[term]}, a mean {value} one {per} higher went with {outcome} {size} {sign}"
    inside = "; its interval includes zero" if row["ci_low"] <= 0 <= row["ci_high"] else ""
    if row["df"] < FEW_DF:
        inside = f"; an interval on {number(row['df'], 1)} degrees of freedom answers nothing"
    std = _std(row)
    return f"{text} ({statistics(row)}{std}{inside})."


def _std(row: pd.Series) -> str:
    if not np.isfinite(row["std_within"]):
        return ""
    value = with_interval(row["std_within"], row["std_within_low"], row["std_within_high"])
    return f"; standardised {value}"


@dataclass(frozen=True)
class SlopeSpread:
    """How much clients differ in a slope, as a frequentist fit has it.

    Attributes
    ----------
    sd : its standard deviation, with its interval in ``limits`` (empty without one). p : of the
        likelihood-ratio test that it is zero; NaN where there is none. share : words for the share
        of clients with the average sign, by a normal distribution of slopes; may be empty.
    """

    sd: str
    limits: str
    p: float
    share: str

    @property
    def unclear(self) -> bool:
        """Whether the test does not tell the slopes apart, so that no share can be named."""
        return bool(np.isfinite(self.p) and self.p >= _ALPHA)


_ALPHA = 0.05


def slope_spread(rows: pd.DataFrame) -> SlopeSpread | None:
    """The spread of the within-client slopes; None without random slopes.

    Parameters
    ----------
    rows : of one model, by one kind of estimator.
    """
    own = rows[(rows["term"] == "within") & rows["sd_random_slope"].notna()]
    if own.empty:
        return None
    found = rows[(rows["term"] == "sd_within") & rows["ci_low"].notna()]
    limits = f"95% CI {interval(*found.iloc[0][['ci_low', 'ci_high']])}" if len(found) else ""
    test = rows.loc[rows["term"] == "lr_sd_within", "p"]
    share = own.iloc[0]["pct_clients_same_sign"]
    return SlopeSpread(
        number(own.iloc[0]["sd_random_slope"]),
        limits,
        float(test.iloc[0]) if len(test) else np.nan,
        share_words(share / 100) if np.isfinite(share) else "",
    )


def _spread(done: pd.DataFrame, spec: ModelSpec) -> Iterator[str]:
    found = slope_spread(done)
    if found is not None:
        yield _slopes(found)
    icc = done[(done["term"] == "icc") & done["estimate"].notna()]
    if len(icc):
        value = with_interval(*icc.iloc[0][["estimate", "ci_low", "ci_high"]], bounded=True)
        yield f"The residual intraclass correlation of clients was {value}."
    explained = [
        f"{percent(100 * rows.iloc[0]['estimate'])} of the variance {level} clients"
        for term, level in (("r2_f1_within", "within"), ("r2_f2_between", "between"))
        if len(rows := done[(done["term"] == term) & done["estimate"].notna()])
    ]
    if explained:
        held = [name.replace("_", " ").replace(":", " x ") for name in spec.covariates]
        what = [*(["the predictor"] if spec.predictor else []), *held]
        together = " together" if len(what) > 1 else ""
        yield sentence(f"{listed(what)}{together} explained {listed(explained)}")


def _slopes(found: SlopeSpread) -> str:
    p = p_value(found.p)
    test = "" if p == ABSENT else f"likelihood-ratio *p* {p if p[0] in '<>' else f'= {p}'}"
    known = ", ".join(filter(None, [found.limits, test]))
    text = f"The standard deviation of clients' slopes was {found.sd}"
    text += f" ({known})" if known else ""
    if found.unclear:
        return f"{text}; whether clients differ in their slopes is not clear."
    if found.share:
        text += (
            f"; if slopes are normally distributed, {found.share} of clients have one of the "
            "average sign"
        )
    return f"{text}."


def _compared(done: pd.DataFrame) -> Iterator[str]:
    for term, words in (
        ("contextual", "The between-client minus the within-client coefficient was"),
        ("between_corrected", "Corrected for unreliability, the between-client coefficient was"),
    ):
        row = done[(done["term"] == term) & (done["status"] == "ok")]
        if len(row):
            yield f"{words} {statistics(row.iloc[0])}.".replace("was *b* = ", "was ")


def _checks(x: TextInputs, name: str) -> Iterator[str]:
    twin = first_ok(x.estimates, name, "within", BAYESIAN)
    if twin is None:
        return
    if twin["status"] == "diagnostics_failed":
        yield sentence(f"The Bayesian twin failed its diagnostics ({twin['reason']})")
        return
    yield f"The Bayesian twin gave {statistics(twin)}."


def _singular(done: pd.DataFrame) -> Iterator[str]:
    for reason in done.loc[done["reason"] != "", "reason"].unique():
        yield sentence(f"Note on the fit: {reason}")


def limits(x: TextInputs) -> Passage | None:
    """What is known to bias an estimate, and what was left out."""
    done = x.estimates[x.estimates["status"] != "not_estimated"]
    done = done[~done["estimator"].str.startswith(COMPARED_ONLY)]
    atoms = done[["estimator", "known_bias"]].assign(bias=done["known_bias"].str.split("; "))
    biased = atoms.explode("bias").query("bias != ''").groupby("bias", sort=False)["estimator"]
    known = _without_repeats({str(text): list(own.unique()) for text, own in biased})
    bullets = [
        *(f"*{sentence(listed(names))}* {sentence(text)}" for text, names in known.items()),
        *_refused(x.estimates[x.estimates["status"] == "not_estimated"]),
    ]
    words = ["Known limits of the estimates above, as recorded with them:"] if bullets else []
    shortcuts = x.estimates["estimator"].str.startswith(COMPARED_ONLY)
    if words and (shortcuts & x.estimates["known_bias"].ne("")).any():
        words[0] = (
            "What is known of the bias of the other estimators of the dynamic models stands under "
            "their tables. " + words[0]
        )
    return passage("Limits and what was not estimated", words, bullets)


COMPARED_ONLY = (
    "ML-SEM",
    "Pooled OLS",
    "Person-mean-centred OLS",
    "OLS after person-wise detrending",
    "Continuous-time",
)


def _without_repeats(known: dict[str, list[str]]) -> dict[str, list[str]]:
    """The limits with their estimators; one that only adds a remark to another goes with that."""
    shortest: dict[str, list[str]] = {}
    for text in sorted(known, key=len):
        first = next((one for one in shortest if text.startswith(one.rstrip("."))), text)
        names = [name.partition(" (")[0] for name in known[text]]
        shortest[first] = list(dict.fromkeys([*shortest.get(first, []), *names]))
    return {text: shortest[text] for text in known if text in shortest}


def _refused(refused: pd.DataFrame) -> Iterator[str]:
    """How many quantities were not estimated, by reason, without which group and what to do."""
    short = refused["reason"].map(_short)
    for reason, n in short.groupby(short, sort=False).size().items():
        yield sentence(f"{counted(n, 'quantity', 'quantities')} {reason}")


def _short(reason: str) -> str:
    if reason.startswith("would tell"):
        return f"not shown, as this {reason}"
    first = reason.partition(". ")[0]
    if _TOO_FEW.match(first):
        first = first.partition(":")[0]
    return f"not estimated: {first}"


_TOO_FEW = re.compile(r"fewer than \d+ clients:")
