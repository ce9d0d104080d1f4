"""Reliable and clinically significant change of single clients (Jacobson & Truax, 1991).

A change is reliable when it is larger than measurement error alone would make in 95 of 100 clients
who did not change; it is clinically significant when it also crosses the cut-off between the
clinical and the normal range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from alliance.instruments import VERIFICATION_IN_WORDS, Instrument, ReliableChange
from alliance.scoring import caseness
from alliance.study import Measure, Study

VERIFIED = ("verified_2plus", "verified_1")
CATEGORIES = ("improved", "unchanged", "deteriorated")
# Differences of decimal scores (26.3 - 21.3) must reach a limit of 5 in spite of binary fractions.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class ChangeLimit:
    """How large a change must be to be reliable.

    Attributes
    ----------
    points : in the published metric of the instrument; NaN if there is none.
    origin : ``published``, ``sample`` or ``none``.
    reason : where it comes from, or why there is none.
    """

    points: float
    origin: Literal["published", "sample", "none"]
    reason: str


def reliable_change_index(sd: float, reliability: float, z: float = 1.96) -> float:
    """Smallest reliable change: ``z * sqrt(2) * SD * sqrt(1 - reliability)``.

    Parameters
    ----------
    sd : standard deviation before treatment. reliability : of the score, in [0, 1].

    Raises
    ------
    ValueError
        If ``sd`` is negative or ``reliability`` outside [0, 1].
    """
    if not sd >= 0:
        raise ValueError(f"the standard deviation must be 0 or more, not {sd}")
    if not 0 <= reliability <= 1:
        raise ValueError(f"a reliability lies between 0 and 1, not {reliability}")
    return float(z * np.sqrt(2) * sd * np.sqrt(1 - reliability))


def criterion_c(clinical: tuple[float, float], normal: tuple[float, float]) -> float:
    """Cut-off between two groups given as (mean, SD), weighted by the other group's SD.

    Jacobson & Truax's criterion c: ``(SD_n * M_c + SD_c * M_n) / (SD_c + SD_n)``.
    """
    (mean_clinical, sd_clinical), (mean_normal, sd_normal) = clinical, normal
    return (sd_normal * mean_clinical + sd_clinical * mean_normal) / (sd_clinical + sd_normal)


def change_limit(
    instrument: Instrument | None,
    sd_before: float,
    reliability: float,
    accept_unverified: bool = False,
) -> ChangeLimit:
    """The published limit of the total where it was verified, else one from the sample.

    Parameters
    ----------
    sd_before : sample SD of the total at the first session. reliability : of the total, e.g. omega.
    """
    if instrument is not None:
        key = instrument.reliable_change
        if key.value is not None and (key.verification in VERIFIED or accept_unverified):
            return ChangeLimit(key.value, "published", _published(key))
    if not (np.isfinite(sd_before) and np.isfinite(reliability) and 0 <= reliability <= 1):
        return ChangeLimit(
            float("nan"), "none", "no verified published limit, and no reliability in this sample"
        )
    points = reliable_change_index(sd_before, reliability)
    return ChangeLimit(
        points,
        "sample",
        f"1.96 × √2 × SD × √(1 − r), with SD = {sd_before:.2f} of first scores and reliability "
        f"r = {reliability:.3f}".replace(" 0.", " ."),
    )


def _published(key: ReliableChange) -> str:
    words = VERIFICATION_IN_WORDS[key.verification].replace("key ", "value ")
    return f"{key.value:g} points; {words}"


def classify_change(before: pd.Series, after: pd.Series, limit: float, higher_is: str) -> pd.Series:
    """``improved``, ``unchanged`` or ``deteriorated``; NA where a score or the limit is missing.

    A change of exactly the limit counts as reliable, as published limits are read.
    """
    sign = {"better": 1.0, "worse": -1.0}[higher_is]
    gain = sign * _numbers(after - before)
    codes = np.where(gain >= limit - TOLERANCE, 0, np.where(gain <= -limit + TOLERANCE, 2, 1))
    codes = np.where(np.isnan(gain) | np.isnan(limit), -1, codes)
    return pd.Series(pd.Categorical.from_codes(codes, list(CATEGORIES)), index=before.index)


def clinically_significant(
    before: pd.Series, after: pd.Series, limit: float, instrument: Instrument
) -> pd.Series:
    """Reliably improved and from the clinical into the normal range (``recovered``).

    Returns
    -------
    Series of boolean; NA where a score, the limit or the cut-off is missing.
    """
    direction = instrument.higher_is
    if direction is None:
        raise ValueError(f"{instrument.id} has no single direction")
    change = classify_change(before, after, limit, direction)
    improved = (change == "improved").astype("boolean").mask(change.isna())
    return improved & caseness(before, instrument) & ~caseness(after, instrument)


def _numbers(values: pd.Series) -> np.ndarray:
    return values.to_numpy(dtype=float, na_value=np.nan)


CHANGE_COLUMNS = (
    "measure", "limit", "origin", "note", "cutoff", "n_clients", "n_improved", "n_unchanged",
    "n_deteriorated", "n_clinical_before", "n_recovered", "suppressed",
)  # fmt: skip


def change_table(
    scored: pd.DataFrame,
    study: Study,
    instruments: Mapping[str, Instrument],
    reliability: Mapping[str, float],
) -> pd.DataFrame:
    """How many clients changed reliably from their first to their last score, by outcome.

    Parameters
    ----------
    scored : scored sessions. reliability : of the total by measure (e.g. total omega), for limits
        from the sample; measures that are absent have no such limit.

    Returns
    -------
    DataFrame
        ``CHANGE_COLUMNS``, one row per outcome. Clients need two scores. Published limits and
        cut-offs are used where they were verified (or the measure accepts unverified keys) and
        the published response format was used. Counts of 1 to ``smallest_cell - 1`` are NA, and so
        are counts that would show such a count by subtraction.
    """
    rows = []
    for name, measure in study.measures_with_role("outcome").items():
        key = _applicable_key(measure, instruments)
        direction = measure.higher_is or (key.higher_is if key else None)
        if direction is None:
            direction = instruments[str(measure.instrument)].higher_is
        pairs = first_and_last(scored, name)
        sd = float(pairs["before"].std())
        limit = change_limit(
            key, sd, reliability.get(name, float("nan")), measure.accept_unverified
        )
        counts = _change_counts(pairs, limit.points, str(direction))
        cutoff = _cutoff(key, measure.accept_unverified)
        cases = _case_counts(pairs, limit.points, key) if key and np.isfinite(cutoff) else {}
        rows.append(
            {"measure": name, "limit": limit.points, "origin": limit.origin, "note": limit.reason,
             "cutoff": cutoff, **_hide_small(counts, cases, study.privacy.smallest_cell)}
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(CHANGE_COLUMNS))


def first_and_last(scored: pd.DataFrame, measure: str) -> pd.DataFrame:
    """First and last score of every client with two: columns ``before``, ``after``."""
    present = scored.loc[scored[measure].notna(), ["client", "session", measure]]
    groups = present.sort_values(["client", "session"]).groupby("client")[measure]
    pairs = pd.DataFrame({"before": groups.first(), "after": groups.last()})
    return pairs[groups.size() > 1].astype(float)


def _applicable_key(measure: Measure, instruments: Mapping[str, Instrument]) -> Instrument | None:
    """The key, unless the form had other answers: its limits hold for the published form only."""
    key = instruments.get(str(measure.instrument))
    if key is None or measure.response_range in (None, (key.response_min, key.response_max)):
        return key
    return None


def _cutoff(key: Instrument | None, accept_unverified: bool) -> float:
    if key is None or key.cutoff.value is None:
        return float("nan")
    usable = accept_unverified or key.cutoff.verification in VERIFIED
    return key.cutoff.value if usable else float("nan")


def _change_counts(pairs: pd.DataFrame, limit: float, higher_is: str) -> dict[str, int]:
    if not np.isfinite(limit):
        return {"n_clients": len(pairs)}
    change = classify_change(pairs["before"], pairs["after"], limit, higher_is)
    return {"n_clients": len(pairs), **{f"n_{c}": int((change == c).sum()) for c in CATEGORIES}}


def _case_counts(pairs: pd.DataFrame, limit: float, key: Instrument) -> dict[str, int]:
    counts = {"n_clinical_before": int(caseness(pairs["before"], key).sum())}
    if np.isfinite(limit):
        moved = clinically_significant(pairs["before"], pairs["after"], limit, key)
        counts["n_recovered"] = int(moved.sum())
    return counts


def _hide_small(
    change: dict[str, int], cases: dict[str, int], smallest_cell: int
) -> dict[str, object]:
    """Hide small counts, and counts that would show a small one by subtraction.

    The three categories of change add up to all clients, so they are hidden together; the clients
    outside the clinical range and the improved who did not recover follow from the counts shown.
    """
    everyone = change["n_clients"]
    wholes = {"n_clinical_before": everyone, "n_recovered": change.get("n_improved", everyone)}

    def small(*counts: int) -> bool:
        return any(0 < count < smallest_cell for count in counts)

    hide_change = small(*change.values())
    hidden = {name for name in change if hide_change and name != "n_clients"}
    hidden |= {name for name, n in cases.items() if small(n, wholes[name] - n)}
    hidden |= {"n_clients"} if small(everyone) else set()
    counts = {name: pd.NA if name in hidden else n for name, n in (change | cases).items()}
    return {**counts, "suppressed": bool(hidden)}
