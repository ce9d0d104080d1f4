"""Sentences on ruptures: what was found, what noise alone gives, and whether the two differ."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from alliance.tables.format import (
    clients_or_why,
    counted,
    digits_for,
    interval,
    number,
    p_text,
    percent,
)

CLEAR = 0.05
WHO: dict[str, tuple[str, str]] = {
    "repaired_vs_none": ("Clients with repaired ruptures", "clients without ruptures"),
    "unrepaired_vs_none": ("Clients with unrepaired ruptures", "clients without ruptures"),
    "repaired_vs_unrepaired": (
        "Clients with repaired ruptures",
        "clients with unrepaired ruptures",
    ),
}
_NOT_HELD_AGAINST_NOISE = (
    "Ratings that vary by chance alone also give ruptures: in about 10% of clients by the "
    "calibrated rule, in more by most others. This share was not held against pure noise."
)
HELD_EQUAL = "at equal baseline, number of sessions, and mean and slope of the rating"
_TOO_NARROW = (
    "These intervals do not decide the question: linked courses of rating and outcome give such "
    "differences without any role of ruptures, more often than the intervals allow for."
)


def prevalence_sentences(own: pd.DataFrame, rule: str) -> Iterable[str]:
    """Clients with a rupture, and with a repair, beside what noise alone gives."""
    shares = {r["quantity"]: r for _, r in own[own["status"] == "ok"].iterrows()}
    had, repaired = shares.get("prevalence"), shares.get("repaired_share")
    if had is None:
        reasons = own.loc[own["quantity"] == "prevalence", "reason"].dropna()
        why = f" ({reasons.iloc[0]})" if len(reasons) else ""
        yield f"Under the rule '{rule}' no share of clients with a rupture can be given{why}."
        return
    yield (
        f"Under the rule '{rule}', {_share(had)} of {counted(had['n_clients'], 'client')} who "
        "could be evaluated had at least one rupture."
    )
    yield _against_noise(had) or _NOT_HELD_AGAINST_NOISE
    if repaired is not None:
        yield (
            f"Of the {counted(repaired['n_clients'], 'client')} whose ruptures could be followed "
            f"up, {_share(repaired)} had them repaired{_repairs_by_noise(repaired)}."
        )


def _share(row: pd.Series) -> str:
    limits = f"[{_percent(row['ci_low'])}, {_percent(row['ci_high'])}]"
    return f"{_percent(row['estimate'])} (95% CI {limits})"


def _percent(share: float) -> str:
    """Rounded as the tables round it: 0.575 is 57.5 %, not the 57.49... of binary numbers."""
    return percent(round(100 * share, 8), 0)


def _band(row: pd.Series) -> str:
    limits = f"[{_percent(row['null_low'])}, {_percent(row['null_high'])}]"
    return f"{_percent(row['null_mean'])} (95% band {limits})"


def _against_noise(row: pd.Series) -> str:
    """What null data sets give, and whether more was observed; empty without them."""
    if not np.isfinite(row["p_null"]):
        return ""
    text = (
        "Ratings that vary without any rupture give ruptures too: in "
        f"{counted(row['n_null'], 'data set')} drawn from the study's own dynamic model, the rule "
        f"flags {_band(row)} of clients on average"
    )
    if row["p_null"] >= CLEAR:
        return f"{text}; what was observed is within what noise gives ({_p(row)})."
    more = "more" if row["estimate"] > row["null_mean"] else "less"
    return f"{text}; observed was {more} than noise gives ({_p(row)})."


def _repairs_by_noise(row: pd.Series) -> str:
    if not np.isfinite(row["p_null"]):
        return ""
    return f"; noise alone gives {_band(row)}, {_p(row)}"


def _p(row: pd.Series) -> str:
    return p_text(row["p_null"]).replace("p ", "p (null) ", 1)


def contrast_sentences(own: pd.DataFrame) -> Iterable[str]:
    """Last outcome of clients by label, with the p that noise gives."""
    contrasts = own[own["kind"] == "contrast"]
    refused = contrasts[contrasts["status"] == "not_estimated"]
    held = HELD_EQUAL
    for _, row in contrasts.iterrows():
        who, than = WHO.get(row["quantity"], (row["quantity"], "the others"))
        if row["status"] == "not_estimated":
            if row["quantity"] == refused["quantity"].iloc[0]:
                yield _not_compared(refused)
            continue
        size = f"{number(abs(row['estimate']), _digits(row))} {row['units']} {_better(row)}"
        yield (
            f"{who} ended {size} than {than} (difference {_numbers(row)}; "
            f"{clients_or_why(row['n_clients'])}), {held}.{_difference_by_noise(row)}"
        )
        held = "with the same held equal"
    done = contrasts[contrasts["status"] == "ok"]
    if len(done) and done["p_null"].isna().any() and done["known_bias"].ne("").any():
        yield _TOO_NARROW


def _not_compared(refused: pd.DataFrame) -> str:
    """All comparisons that could not be made, in one sentence: most have one reason in common."""
    pairs: dict[str, list[str]] = {}
    for quantity in refused["quantity"]:
        who, than = WHO.get(quantity, (quantity, "the others"))
        pairs.setdefault(who, []).append(than)
    who, than = next(iter(pairs.items()))
    others = "".join(
        f", nor {further[:1].lower()}{further[1:]} with {' or '.join(with_whom)}"
        for further, with_whom in list(pairs.items())[1:]
    )
    reasons = [str(reason).strip().rstrip(".") for reason in refused["reason"]]
    return f"{who} could not be compared with {' or '.join(than)}{others}: {_together(reasons)}."


def _together(reasons: list[str]) -> str:
    """Reasons such as ``fewer than 10 clients: repaired, unrepaired`` as one, each part once."""
    parts: dict[str, list[str]] = {}
    for reason in reasons:
        head, _, tail = reason.partition(": ")
        told = parts.setdefault(head, [])
        told += [part for part in tail.split(", ") if part and part not in told]
    return "; ".join(f"{head}: {', '.join(told)}" if told else head for head, told in parts.items())


def _difference_by_noise(row: pd.Series) -> str:
    if not np.isfinite(row["p_null"]):
        return ""
    digits = _digits(row)
    band = interval(row["null_low"], row["null_high"], digits)
    return (
        f" Noise alone gives a difference of {number(row['null_mean'], digits)} on average "
        f"(95% band {band}); {_p(row)}{_after_holm(row)}."
    )


def _after_holm(row: pd.Series) -> str:
    """The same p adjusted for the three contrasts, where the study has it."""
    adjusted = p_text(row["p_adjusted"])
    return f" (after Holm for the comparisons of this rule: {adjusted})" if adjusted else ""


def sentence_on_number_of_tests(own: pd.DataFrame) -> Iterable[str]:
    """How many tests were made, so that the reader can tell what some of them are worth."""
    rows = own[(own["quantity"] == "n_tests") & (own["status"] == "ok")]
    for _, row in rows.iterrows():
        if row["estimate"] > 1:
            yield (
                f"In all, {counted(row['estimate'], 'test')} of ruptures against outcome and "
                "drop-out stand in this analysis, over all its rules; only the comparisons of the "
                "last outcome under the first rule are adjusted for their number, so that some of "
                "the others can fall below .05 by chance."
            )


def session_sentences(own: pd.DataFrame, rule: str) -> Iterable[str]:
    """The next outcome after the onset of a rupture, beyond the rating; nothing without a row."""
    rows = own[(own["quantity"] == "session_onset") & (own["status"] == "ok")]
    for _, row in rows.iterrows():
        size = f"{number(abs(row['estimate']), _digits(row))} {row['units']} {_better(row)}"
        p = _p(row) if np.isfinite(row["p_null"]) else f"{p_text(row['p'])}, not held against noise"
        yield (
            f"Within clients, after a session with the onset of a rupture (rule '{rule}') the next "
            f"outcome was {size} than expected from the rating itself, taken as a straight line "
            f"({_numbers(row)}; {p}{_of_clients(row)})."
        )


def _of_clients(row: pd.Series) -> str:
    """The number of clients where it may be shown."""
    n = row["n_clients"]
    return f"; {counted(n, 'client')}" if np.isfinite(n) else ""


def _numbers(row: pd.Series) -> str:
    digits = _digits(row)
    limits = interval(row["ci_low"], row["ci_high"], digits)
    return f"{number(row['estimate'], digits)}, 95% CI {limits}"


def rupture_verdict(own: pd.DataFrame) -> str:
    """A few words: by the null-calibrated p where there is one, else by the interval."""
    contrasts = own[(own["kind"] == "contrast") & (own["status"] == "ok")]
    if contrasts.empty:
        return "Counted, but not compared with outcome."
    calibrated = contrasts[contrasts["p_null"].notna()]
    if len(calibrated):
        adjusted = calibrated["p_adjusted"].fillna(calibrated["p_null"])
        if (adjusted >= CLEAR).all():
            return (
                "Not clear: no difference in the last outcome goes beyond what noise alone gives."
            )
        return "Possibly: a difference in the last outcome goes beyond noise; read with care."
    clear = contrasts[(contrasts["ci_low"] > 0) | (contrasts["ci_high"] < 0)]
    if clear.empty:
        return "Not clear: no difference in the last outcome stands out."
    return "Possibly: some groups end differently; read with care."


def _digits(row: pd.Series) -> int:
    return digits_for(row["se"])


def _better(row: pd.Series) -> str:
    """Outcomes are oriented so that higher is worse."""
    return "better" if row["estimate"] < 0 else "worse"


def _sentence(text: str) -> str:
    """With a capital and a full stop."""
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
