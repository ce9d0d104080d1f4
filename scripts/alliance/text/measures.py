"""The instruments, how they were scored, and how reliable the scores are."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alliance.instruments import VERIFICATION_IN_WORDS, Instrument
from alliance.study import Measure
from alliance.tables.format import interval, number
from alliance.text.document import Passage, passage
from alliance.text.inputs import TextInputs
from alliance.text.references import instrument_references
from alliance.text.words import listed

_RATERS = {
    "client": "Rated by the client", "therapist": "Rated by the therapist",
    "observer": "Rated by an observer", "none": "A measured value, not a rating",
}  # fmt: skip
_TOTALS = {
    "sum": "the sum of the items", "mean": "the mean of the items",
    "mean_x10": "ten times the mean of the items", "sum_x4": "four times the sum of the items",
}  # fmt: skip
_MISSING = {
    "prorate": "missing answers were replaced by the mean of the other answers on the same form",
    "subscale_mean_rounded": "missing answers were replaced by the rounded mean of the subscale",
    "complete_only": "forms with a missing answer were not scored",
}


def measures_methods(x: TextInputs) -> Passage | None:
    """One paragraph per measure, and how reliability is estimated."""
    cited = instrument_references(x.instruments)
    said = [_measure(x, m, cited) for m in x.study.measures.values()]
    return passage("Measures", [*said, _reliability_methods(x)])


def _measure(x: TextInputs, measure: Measure, cited: dict[str, list[str]]) -> str:
    head = f"*{measure.label}.* {_RATERS[measure.rater]}"
    key = x.instruments.get(measure.instrument or "")
    if key is None:
        direction = f"; higher scores are {measure.higher_is}" if measure.higher_is else ""
        return f"{head}; the score was computed before these analyses{direction}."
    citation = "".join(f" [@{name}]" for name in cited[key.id])
    by = ", by the" if measure.rater == "none" else " on the"
    text = f"{head}{by} {key.name}{citation}"
    if measure.items is None:
        return f"{text}; the score was computed before; higher scores are {key.higher_is}."
    return f"{text}: {_scoring(measure, key)}"


def _scoring(measure: Measure, key: Instrument) -> str:
    low, high = measure.response_range or (key.response_min, key.response_max)
    parts = [f"{key.n_items} items, answered from {low} to {high}"]
    if (low, high) != (key.response_min, key.response_max):
        parts[0] += f" (the published form: {key.response_min} to {key.response_max})"
    if key.total_rule in _TOTALS:
        parts.append(f"scored as {_TOTALS[key.total_rule]}; higher scores are {key.higher_is}")
    sentences = [f"{'; '.join(parts)}."]
    if key.missing_rule in _MISSING and key.min_answered < key.n_items:
        sentences.append(
            f"Forms with at least {key.min_answered} of {key.n_items} answers were scored; "
            f"{_MISSING[key.missing_rule]}."
        )
    if key.verification not in ("verified_2plus", "verified_1"):
        words = VERIFICATION_IN_WORDS[key.verification]
        sentences.append(f"Scoring{'' if words.startswith('key ') else ':'} {words}.")
    return " ".join(sentences)


def reliability_estimated(x: TextInputs) -> bool:
    """Whether any reliability could be estimated; scores without items have none."""
    return x.reliability is not None and bool((x.reliability["status"] == "ok").any())


def _reliability_methods(x: TextInputs) -> str:
    if not reliability_estimated(x):
        return ""
    return (
        "Reliability was estimated at the level at which a score is used: omega and alpha from the "
        "covariance matrices of the items within and between clients [@geldhof2014], and the "
        "reliability of change within clients (Rcn) and of clients' means (RkRn) from variance "
        "components [@cranford2006]."
    )


def reliability_results(x: TextInputs) -> Passage | None:
    """Within- and between-client reliability of each total score."""
    if not reliability_estimated(x):
        return None
    said = [_reliability_sentence(x, name) for name in x.study.measures]
    where = x.table("reliability")
    return passage(
        "Reliability", [" ".join([*filter(None, said), f"See {where}." if where else ""])]
    )


def _reliability_sentence(x: TextInputs, measure: str) -> str:
    own = x.reliability
    own = own[(own["measure"] == measure) & (own["scale"] == "total") & (own["status"] == "ok")]
    parts = [
        text
        for level, coefficient, words in (
            ("within_client", "omega", "within-client omega"),
            ("within_client", "Rcn", "reliability of change"),
            ("between_client", "omega", "between-client omega"),
        )
        if (text := _coefficient(own, level, coefficient, words))
    ]
    return f"{x.label(measure)}: {listed(parts)}." if parts else ""


def _coefficient(own: pd.DataFrame, level: str, coefficient: str, words: str) -> str:
    row = own[(own["level"] == level) & (own["coefficient"] == coefficient)]
    if row.empty or not np.isfinite(row["estimate"].iloc[0]):
        return ""
    r = row.iloc[0]
    limits = interval(r["ci_low"], r["ci_high"], bounded=True)
    known = f" {limits}" if limits.startswith("[") else ""
    return f"{words} {number(r['estimate'], bounded=True)}{known}"
