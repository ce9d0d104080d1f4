"""Keys of a study file that say how the data are handled: flawed rows, and privacy."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from alliance.study.section import Section


class CleaningRules(Section):
    """What to do with flawed rows; every change is logged."""

    exact_duplicates: Literal["drop", "error"] = Field("drop", description="Identical rows.")
    conflicting_duplicates: Literal["keep_most_complete", "drop_all", "error"] = Field(
        "keep_most_complete", description="Rows for one client and session that differ."
    )
    out_of_range: Literal["missing", "error"] = Field(
        "missing", description="Answers outside the response range."
    )
    min_sessions: Annotated[int, Field(ge=1)] = Field(
        1, description="Clients with fewer attended sessions with data are left out."
    )
    therapist_changes: Literal["first", "most_sessions", "keep"] = Field(
        "first", description="Therapist of a client who had several."
    )


class PrivacyRules(Section):
    """The promise that nobody is recognised."""

    pseudonyms: Literal["keyed", "as_given"] = Field(
        "keyed",
        description="keyed: ids are replaced, with the key in the environment variable "
        "ALLIANCE_PSEUDONYM_KEY. as_given: the ids in the file are pseudonyms already.",
    )
    smallest_cell: Annotated[int, Field(ge=1)] = Field(
        5, description="Counts of clients below this are not shown."
    )
