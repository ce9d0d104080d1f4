"""Reports of ruptures that are no alliance scores: who made them, and which entries they allow.

They stand in columns of their own and are never inferred from scores (methods specification 2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["yes_no", "rating", "count"]
LOWEST_RATING, HIGHEST_RATING = 1, 5  # Post-Session Questionnaire and 3RS


@dataclass(frozen=True)
class RuptureReport:
    """One column of rupture reports.

    Attributes
    ----------
    source : ``client``, ``therapist`` (questionnaires after the session) or ``observer``.
    kind : ``yes_no`` (1, 0), ``rating`` (1 to 5) or ``count`` (0, 1, 2, ...).
    occurrence : the column that says whether there was a rupture at all; empty if it is that one
        or if the entry makes sense without.
    """

    source: Literal["client", "therapist", "observer"]
    kind: Kind
    occurrence: str = ""


RUPTURE_REPORTS: dict[str, RuptureReport] = {
    "rupture_client": RuptureReport("client", "yes_no"),
    "rupture_client_intensity": RuptureReport("client", "rating"),
    "rupture_client_resolution": RuptureReport("client", "rating", "rupture_client"),
    "rupture_therapist": RuptureReport("therapist", "yes_no"),
    "rupture_therapist_intensity": RuptureReport("therapist", "rating"),
    "rupture_therapist_resolution": RuptureReport("therapist", "rating", "rupture_therapist"),
    "observer_withdrawal": RuptureReport("observer", "count"),
    "observer_withdrawal_impact": RuptureReport("observer", "rating"),
    "observer_confrontation": RuptureReport("observer", "count"),
    "observer_confrontation_impact": RuptureReport("observer", "rating"),
    "observer_resolution": RuptureReport("observer", "rating"),
    "observer_contribution": RuptureReport("observer", "rating"),
}
