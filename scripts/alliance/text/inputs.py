"""What the text of a manuscript is filled from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from alliance.instruments import Instrument
from alliance.stage_tables import fill_words
from alliance.study import Study

if TYPE_CHECKING:
    from alliance.ruptures import RuptureRule


@dataclass(frozen=True)
class TextInputs:
    """Everything a sentence may be filled from; a table that does not exist is None.

    Attributes
    ----------
    study : the study file. instruments : id -> scoring key. rules : id -> rupture rule.
    estimates : the tidy table. flow, sample, measures, reliability, change, triangulation : stage
        tables. ruptures : key of each rupture analysis -> its summary. bayes_checks : of models.
    priors : content of ``config/priors.yaml``. effort : sampler effort of the run.
    versions : software -> version. numbers : table name -> its number in ``tables.docx``.
    """

    study: Study
    estimates: pd.DataFrame
    instruments: Mapping[str, Instrument] = field(default_factory=dict)
    rules: Mapping[str, RuptureRule] = field(default_factory=dict)
    flow: pd.DataFrame | None = None
    sample: pd.DataFrame | None = None
    measures: pd.DataFrame | None = None
    reliability: pd.DataFrame | None = None
    change: pd.DataFrame | None = None
    triangulation: pd.DataFrame | None = None
    bayes_checks: pd.DataFrame | None = None
    ruptures: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    priors: Mapping[str, Any] = field(default_factory=dict)
    effort: str = "standard"
    versions: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, pd.DataFrame):
                object.__setattr__(self, name, fill_words(value))

    def label(self, measure: str) -> str:
        """The name of a measure for readers."""
        return self.study.measures[measure].label

    def change_of(self, measure: str, coefficient: float) -> str:
        """``lower`` or ``higher``; ``better`` or ``worse`` for a score that was turned round.

        Coefficients take outcomes as higher is worse, so that "lower" would mislead readers of a
        scale on which a higher score is better.
        """
        spec = self.study.measures[measure]
        key = self.instruments.get(spec.instrument or "")
        turned = (spec.higher_is or (key.higher_is if key else None)) == "better"
        below, above = ("better", "worse") if turned else ("lower", "higher")
        return below if coefficient < 0 else above

    def table(self, name: str) -> str:
        """``Table 5``, or nothing when there is no such table."""
        return f"Table {self.numbers[name]}" if name in self.numbers else ""
