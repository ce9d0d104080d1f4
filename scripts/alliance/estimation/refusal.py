"""Why a model is not estimated: a result like any other, shown with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """Why a model is not estimated, and what the user can do about it."""

    reason: str
    advice: str


class RefusedError(Exception):
    """Ends the making of a model wherever its refusal is found."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.refusal = Refusal(reason, advice)
