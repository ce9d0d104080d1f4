"""Keys of a study file that say what was measured: rating scales and covariates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from alliance.study.section import Identifier, Number, Section


class Measure(Section):
    """One rating scale of the study: its items, or a score computed elsewhere."""

    role: Literal["alliance", "process", "outcome"] = Field(
        description="alliance or another process measure (predictors), or outcome."
    )
    rater: Literal["client", "therapist", "observer", "none"] = Field(
        "client", description="Who filled it in."
    )
    label: str = Field(description="Name in figures, tables and text.")
    instrument: Identifier | None = Field(
        None, description="A file of `config/instruments/`, without its ending."
    )
    items: str | list[str] | None = Field(
        None,
        description="Item columns: a pattern with `{item}` (and `{session}` in wide files), e.g. "
        "`wai_{item}` or `wai_{item:02d}`, or the list of columns in item order.",
    )
    column: str | None = Field(
        None, description="Column of a score computed elsewhere (`{session}` in wide files)."
    )
    response_range: tuple[int, int] | None = Field(
        None, description="Lowest and highest answer of your form where it differs, e.g. [1, 7]."
    )
    range: tuple[Number, Number] | None = Field(
        None, description="Lowest and highest possible score, for `column`."
    )
    higher_is: Literal["better", "worse"] | None = Field(
        None, description="Direction of the score; taken from the instrument where there is one."
    )
    labels: dict[str, int] | None = Field(
        None, description="Numbers for answers given in words, e.g. `{Never: 1, Always: 5}`."
    )
    items_already_reversed: bool | None = Field(
        None,
        description="true when negatively worded items were reversed before; false says that you "
        "have looked and they were not.",
    )
    attention_checks: dict[str, Number] = Field(
        default_factory=dict,
        description="Items that only check attention, `column: the answer asked for` "
        "(`{session}` in wide files). A form with another answer is set to missing and logged.",
    )
    further_metrics: list[Literal["mean", "sum", "pomp"]] = Field(
        default_factory=list,
        description="Further columns of scored data beside the published metric: item mean, sum, "
        "percent of maximum possible (`pomp`, 0-100: makes 5- and 7-point forms comparable).",
    )
    accept_unverified: bool = Field(
        False,
        description="Score an instrument whose key rests on memory alone; the report says so.",
    )

    @model_validator(mode="after")
    def _items_or_score(self) -> Measure:
        if (self.items is None) == (self.column is None):
            raise ValueError("give either items (and instrument) or column (a score)")
        if self.items is not None and self.instrument is None:
            raise ValueError("items need an instrument to be scored by")
        if self.items is None and (self.attention_checks or self.further_metrics):
            raise ValueError("attention_checks and further_metrics need items")
        if self.column is not None and self.instrument is None and self.higher_is is None:
            raise ValueError("a score without instrument needs higher_is: better or worse")
        return self


class Covariate(Section):
    """A further variable."""

    column: str = Field(description="Name of the column in your file.")
    level: Literal["client", "session"] = Field(
        "client", description="Varies between or within clients."
    )
    type: Literal["number", "category"] = Field(description="number or category.")
    label: str | None = Field(None, description="Name in figures, tables and text.")
    labels: dict[str | int | float | bool, str] | None = Field(
        None, description="Names of the categories, `entry in the file: name`."
    )
    reference: str | None = Field(None, description="Category the others are compared with.")
    quasi_identifier: bool = Field(
        False, description="Could help to recognise a person (age group, sex, region)."
    )
