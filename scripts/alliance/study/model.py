"""What a study file may say: its sections, whose keys stand in the modules beside this one.

Every key carries its description: ``config/README.md`` and the JSON schema for editors are made
from them (``workflow/schemas/study.schema.json``), so the three cannot disagree.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from alliance.study.analyses import (
    AssociationSpec,
    DynamicsSpec,
    ModelSpec,
    RuptureSpec,
    SuddenGainsSpec,
)
from alliance.study.data import Columns, Data, Timing
from alliance.study.handling import CleaningRules, PrivacyRules
from alliance.study.section import Identifier, Section
from alliance.study.variables import Covariate, Measure


class Study(Section):
    """One study, complete in itself."""

    id: Identifier = Field(description="Short name; results go to results/<id>/.")
    title: str = Field(description="Title of the report.")
    description: str = Field("", description="A few sentences for the report.")
    source: str = Field("", description="Where the data come from, with licence.")
    design: Literal["observational", "randomised"] = Field(
        "observational", description="Causal wording is never used unless this allows it."
    )
    simulated: bool = Field(False, description="true: the report says so.")
    truth: str | None = Field(None, description="truth.yaml of a simulated study.")
    seed: int = Field(20260101, description="All random numbers of the study follow from it.")
    data: Data = Field(description="The files.")
    columns: Columns = Field(description="Which column plays which part.")
    timing: Timing = Field(description="When the forms are filled in.")
    measures: dict[Identifier, Measure] = Field(min_length=1, description="The rating scales.")
    covariates: dict[Identifier, Covariate] = Field(
        default_factory=dict, description="Further variables."
    )
    cleaning: CleaningRules = Field(default_factory=CleaningRules, description="Flawed rows.")
    privacy: PrivacyRules = Field(default_factory=PrivacyRules, description="De-identification.")
    models: dict[Identifier, ModelSpec] = Field(
        default_factory=dict, description="The multilevel models."
    )
    associations: dict[Identifier, AssociationSpec] = Field(
        default_factory=dict,
        description="Early ratings and the last outcome, between clients, as correlations.",
    )
    dynamics: dict[Identifier, DynamicsSpec] = Field(
        default_factory=dict, description="The dynamic models, session to session."
    )
    ruptures: dict[Identifier, RuptureSpec] = Field(
        default_factory=dict, description="The rupture-repair analyses."
    )
    sudden_gains: dict[Identifier, SuddenGainsSpec] = Field(
        default_factory=dict, description="Sudden gains and losses, of any measure."
    )

    def gains_label(self, name: str) -> str:
        """What a search for sudden gains is about, for readers: the measure and its subscale."""
        return self._score_label(self.sudden_gains[name])

    def rupture_label(self, name: str) -> str:
        """What a rupture analysis searches, for readers: the measure and its subscale."""
        return self._score_label(self.ruptures[name])

    def _score_label(self, spec: RuptureSpec | SuddenGainsSpec) -> str:
        label = self.measures[spec.measure].label
        return f"{label}, {spec.component.replace('_', ' ')}" if spec.component else label

    def measures_with_role(self, *roles: str) -> dict[str, Measure]:
        """The measures that play one of ``roles``, in the order of the file."""
        return {name: m for name, m in self.measures.items() if m.role in roles}
