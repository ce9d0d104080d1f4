"""How long the samplers run, by the name a user gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from alliance.estimation.diagnostics import DRAFT, REPORT, Limits

EffortName = Literal["draft", "standard", "final"]


@dataclass(frozen=True)
class Effort:
    """How long to sample."""

    chains: int
    draws: int
    tune: int
    limits: Limits


EFFORTS: Mapping[str, Effort] = {
    "draft": Effort(2, 500, 500, DRAFT),
    "standard": Effort(4, 1000, 1000, REPORT),
    "final": Effort(4, 5000, 2000, REPORT),
}
