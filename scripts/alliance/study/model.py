"""What a study file may say, key by key.

Every key carries its description: ``config/README.md`` and the JSON schema for editors are made
from them (``workflow/schemas/study.schema.json``), so the three cannot disagree.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Number = int | float
FEWEST_NULL_DATASETS = 100


class Section(BaseModel):
    """A section of a study file; unknown keys are refused so that typing errors are seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Download(Section):
    """Where an openly licensed file can be had."""

    url: str = Field(description="Public address of the original file.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Checksum of the original file.")


class Table(Section):
    """One data file."""

    path: str = Field(description="The file, relative to the project's folder.")
    level: Literal["session", "client"] = Field(
        "session",
        description="One row per session (for `layout: wide`, one row per client holding all "
        "sessions) or one row per client.",
    )
    download: Download | None = Field(
        None, description="Used when `path` is absent: `snakemake download` fetches and checks it."
    )
    format: Literal["auto", "csv", "xlsx", "sav", "dta", "rds", "rdata", "parquet"] = Field(
        "auto", description="File format; `auto` goes by the ending of the name."
    )
    separator: str | None = Field(
        None,
        description="Text files: `,` `;` `tab` or `whitespace`; left out, it is worked out.",
    )
    decimal: Literal[".", ","] | None = Field(
        None, description="Text files: decimal mark; left out, it is worked out."
    )
    encoding: str | None = Field(
        None, description="Text files: e.g. `utf-8`, `latin-1`; left out, it is worked out."
    )
    sheet: str | int | None = Field(
        None, description="Excel: name or number (from 1) of the sheet."
    )
    object: str | None = Field(None, description="R: name of the data frame in an .RData file.")
    header: bool = Field(True, description="false when the first row holds data, not names.")
    column_names: list[str] | None = Field(
        None, description="The names, in order, when there is no header row."
    )
    client: str | None = Field(
        None, description="The client column of this file, if it is named otherwise here."
    )
    session: str | None = Field(
        None, description="The session column of this file, if it is named otherwise here."
    )

    @model_validator(mode="after")
    def _names_without_header(self) -> Table:
        if not self.header and not self.column_names:
            raise ValueError("header is false, so column_names must list the columns in order")
        return self


def _column_from_text(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


class Column(Section):
    """A column of your file; just its name, or its name with the meaning of its entries."""

    column: str = Field(description="Name of the column in your file.")
    labels: dict[str | int | float | bool, str | int | float | bool | None] | None = Field(
        None,
        description="What an entry means, `entry in the file: meaning`; `null` marks it missing.",
    )


ColumnRef = Annotated[Column, BeforeValidator(_column_from_text)]


class Columns(Section):
    """Which column of your files plays which part."""

    client: ColumnRef = Field(description="Client identifier (de-identified before ingest).")
    session: ColumnRef | None = Field(
        None, description="Session number; left out, sessions are numbered by date."
    )
    date: ColumnRef | None = Field(
        None, description="Date of the session; leaves the gate as days since the first session."
    )
    therapist: ColumnRef | None = Field(None, description="Therapist identifier, if known.")
    attendance: ColumnRef | None = Field(
        None,
        description="What became of the scheduled session; `labels` must map its entries to "
        "`attended`, `no_show`, `late_cancel` or `therapist_cancel`.",
    )
    ending: ColumnRef | None = Field(
        None,
        description="How treatment ended; `labels` map to `agreed`, `dropout`, `transfer`, "
        "`ongoing`.",
    )
    rupture_client: ColumnRef | None = Field(
        None, description="Client's post-session report of a rupture (1 yes, 0 no)."
    )
    rupture_client_intensity: ColumnRef | None = Field(
        None, description="Client: how tense the session was by the same form (1 to 5)."
    )
    rupture_client_resolution: ColumnRef | None = Field(
        None, description="Client: how far the rupture was resolved by the end (1 to 5)."
    )
    rupture_therapist: ColumnRef | None = Field(
        None, description="Therapist's post-session report of a rupture (1 yes, 0 no)."
    )
    rupture_therapist_intensity: ColumnRef | None = Field(
        None, description="Therapist: how tense the session was by the same form (1 to 5)."
    )
    rupture_therapist_resolution: ColumnRef | None = Field(
        None, description="Therapist: how far the rupture was resolved by the end (1 to 5)."
    )
    observer_withdrawal: ColumnRef | None = Field(
        None, description="Observer codes (3RS): number of withdrawal markers in the session."
    )
    observer_withdrawal_impact: ColumnRef | None = Field(
        None, description="Observer codes (3RS): impact of withdrawal on the alliance (1 to 5)."
    )
    observer_confrontation: ColumnRef | None = Field(
        None, description="Observer codes (3RS): number of confrontation markers in the session."
    )
    observer_confrontation_impact: ColumnRef | None = Field(
        None, description="Observer codes (3RS): impact of confrontation on the alliance (1 to 5)."
    )
    observer_resolution: ColumnRef | None = Field(
        None, description="Observer codes (3RS): how far ruptures were resolved (1 to 5)."
    )
    observer_contribution: ColumnRef | None = Field(
        None, description="Observer codes (3RS): what the therapist contributed to it (1 to 5)."
    )


class Wide(Section):
    """How a wide file names its sessions."""

    sessions: list[int] | None = Field(
        None, description="Session numbers to read; left out, every number found in the names."
    )


class Data(Section):
    """The files of the study."""

    layout: Literal["long", "wide"] = Field(
        "long",
        description="long: one row per session. wide: one row per client, sessions in columns "
        "whose names hold `{session}`.",
    )
    tables: dict[Identifier, Table] = Field(
        min_length=1, description="Your files, by a short name."
    )
    missing_codes: list[Number | str] = Field(
        default_factory=list,
        description="Entries that mean `no answer` in every file, e.g. -9, 99, 'NA'. Empty cells "
        "always do.",
    )
    wide: Wide = Field(default_factory=Wide, description="Only for `layout: wide`.")


class Timing(Section):
    """When in a session the forms are filled in: decides every lag (methods.md 0)."""

    alliance_when: Literal["pre", "post"] = Field(
        description="Alliance (or other process measure) rated before or after the session."
    )
    outcome_when: Literal["pre", "post"] = Field(
        description="Outcome rated before or after the session."
    )
    unit: Literal["session", "day", "week", "month"] = Field(
        "session", description="What one step of `session` is, for labels and slopes."
    )


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


def _correlation_from_text(value: Any) -> Any:
    return {"correlation": value} if isinstance(value, str) else value


class Residuals(Section):
    """How the residuals of a client's sessions belong together; `residuals: ar1` for short."""

    correlation: Literal["independent", "ar1"] = Field(
        "independent",
        description="ar1: correlation `rho ** gap` between sessions `gap` apart; missing sessions "
        "count.",
    )
    variance_by: str | None = Field(
        None,
        description="`phase`, or a covariate of type category: every category has a residual SD "
        "of its own.",
    )
    phases: list[int] = Field(
        default_factory=list,
        description="For `variance_by: phase`: last session of every phase but the last, e.g. "
        "[4, 10] for sessions to 4, 5 to 10, from 11.",
    )

    @model_validator(mode="after")
    def _phases_in_order(self) -> Residuals:
        if (self.variance_by == "phase") != bool(self.phases):
            raise ValueError("variance_by: phase and phases belong together")
        if self.phases != sorted(set(self.phases)):
            raise ValueError("phases must be in ascending order, each once")
        return self

    @property
    def simple(self) -> bool:
        """Independent and of one size, as by default."""
        return self.correlation == "independent" and self.variance_by is None


class ModelSpec(Section):
    """One multilevel model."""

    kind: Literal["within_between", "course"] = Field(
        "within_between",
        description="within_between: predictor split into within- and between-client parts. "
        "course: outcome over time only.",
    )
    label: str = Field(description="Name in figures, tables and text.")
    outcome: Identifier = Field(description="A measure with role outcome.")
    predictor: Identifier | None = Field(
        None, description="A measure with role alliance or process."
    )
    component: Identifier | None = Field(
        None, description="A subscale of the predictor (e.g. bond) instead of its total."
    )
    lag: Literal["forward", "same_session"] | int = Field(
        "forward",
        description="forward: the next outcome after the rating, by `timing`. same_session: the "
        "outcome of the same session number.",
    )
    covariates: list[str] = Field(
        default_factory=list,
        description="Fixed effects: `time` (session number from the first), covariates, and "
        "products such as `time:arm`.",
    )
    random_slopes: list[Literal["within", "time"]] = Field(
        default_factory=list, description="Client-level random slopes beside the intercept."
    )
    therapists: bool = Field(
        False,
        description="true: third level, between-client part split into between clients within "
        "therapist and between therapists, random therapist intercept.",
    )
    therapist_slopes: list[Literal["within", "between", "time"]] = Field(
        default_factory=list,
        description="Therapist-level random slopes beside the therapist intercept; only with "
        "`therapists: true`.",
    )
    residuals: Annotated[Residuals, BeforeValidator(_correlation_from_text)] = Field(
        default_factory=Residuals,
        description="Structure of the residuals: `independent`, `ar1`, or a section. Only REML "
        "and ML fits; with a structure the Bayesian twin and statsmodels have no such model.",
    )
    bootstrap: Annotated[int, Field(ge=0)] = Field(
        0,
        description="Resamples of the cluster bootstrap of the standard errors, by client and, "
        "where there are 20 therapists with 3 clients each, by therapist; 0 for none, else 100 or "
        "more.",
    )
    likelihood: Literal["REML", "ML"] = Field(
        "REML", description="Criterion of the frequentist fit."
    )
    form: Literal["hybrid", "contextual", "within_only"] = Field(
        "hybrid",
        description="hybrid: a within and a between effect. contextual: the within effect and the "
        "difference of the two (Mundlak). within_only: client fixed effects; no between effect, "
        "no Bayesian twin.",
    )
    components: bool = Field(
        False,
        description="true: also one model per subscale of the predictor (goal, task, bond), all "
        "subscales in one model, and contrasts between them.",
    )
    moderators: list[str] = Field(
        default_factory=list,
        description="Does the effect of the predictor differ by these? Client-level covariates, "
        "`time`, or `own_mean` (the client's own mean of the predictor). One model each, always "
        "with a random within slope; p values adjusted for their number (Holm).",
    )
    sensitivity_to_trend: bool | None = Field(
        None,
        description="Refit under four ways of taking the course over time out; left out: for the "
        "headline model only.",
    )
    compare_with: Identifier | None = Field(
        None,
        description="Another model with the same outcome and lag and another predictor (client's "
        "and therapist's rating): both standardised effects on the same rows, and their "
        "difference.",
    )
    bayes: bool = Field(True, description="Fit the Bayesian twin too.")
    headline: bool = Field(False, description="The main result of the study.")

    @model_validator(mode="after")
    def _predictor_where_needed(self) -> ModelSpec:
        if self.kind == "within_between" and self.predictor is None:
            raise ValueError("a within_between model needs a predictor")
        if self.kind == "course" and self.predictor is not None:
            raise ValueError("a course model has no predictor")
        if self.kind == "course" and {"within", "between"} & {
            *self.random_slopes, *self.therapist_slopes
        }:  # fmt: skip
            raise ValueError("a course model has no within or between part to let vary")
        if self.kind == "course" and self._variants():
            raise ValueError(f"{self._variants()} needs a predictor")
        if self.therapist_slopes and not self.therapists:
            raise ValueError("therapist_slopes need therapists: true")
        if 0 < self.bootstrap < 100:
            raise ValueError("bootstrap needs 100 resamples or more (0 for none)")
        return self

    @model_validator(mode="after")
    def _form_that_can_be(self) -> ModelSpec:
        if self.kind == "course" and self.form != "hybrid":
            raise ValueError("a course model has no within and between part; leave form out")
        if self.form == "within_only" and (self.random_slopes or self.therapists):
            raise ValueError("form within_only has neither random_slopes nor therapists")
        if self.form != "hybrid" and self._variants():
            raise ValueError(f"{self._variants()} needs form: hybrid")
        return self

    def _variants(self) -> str:
        """The first key that asks for more than the model itself; empty without any."""
        keys = ("components", "moderators", "compare_with", "sensitivity_to_trend")
        return next((key for key in keys if getattr(self, key)), "")


class AssociationSpec(Section):
    """The classic question: early alliance and the last outcome, between clients."""

    label: str = Field(description="Name in figures, tables and text.")
    predictor: Identifier = Field(description="A measure with role alliance or process.")
    component: Identifier | None = Field(
        None, description="A subscale of the predictor instead of its total."
    )
    outcome: Identifier = Field(description="A measure with role outcome.")
    sessions: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = Field(
        (3, 5), description="First and last session whose ratings are averaged."
    )
    baseline: Identifier | None = Field(
        None,
        description="Covariate with the outcome before treatment; left out, the client's first "
        "score up to the rating.",
    )
    covariates: list[str] = Field(
        default_factory=list, description="Client-level covariates held equal besides."
    )

    @model_validator(mode="after")
    def _in_order(self) -> AssociationSpec:
        if self.sessions[0] > self.sessions[1]:
            raise ValueError("sessions must be [first, last]")
        return self


class DynamicsSpec(Section):
    """One dynamic model: what a session's ratings predict at the next (random-intercept VAR)."""

    label: str = Field(description="Name in figures, tables and text.")
    alliance: Identifier = Field(description="A measure with role alliance or process.")
    outcome: Identifier = Field(description="A measure with role outcome.")
    further: list[Identifier] = Field(
        default_factory=list,
        description="Further measures modelled beside these two, e.g. the therapist's alliance.",
    )
    component: Identifier | None = Field(
        None, description="A subscale of the alliance (e.g. bond) instead of its total."
    )
    trend: Literal["none", "linear", "session_effects"] = Field(
        "session_effects",
        description="Course of the means: constant, linear, or free for each session.",
    )
    random_trend: bool = Field(
        True,
        description="Clients have linear courses of their own, so that parallel courses do not "
        "pass for effects; needs five sessions.",
    )
    phase_from: Annotated[int, Field(ge=2)] | None = Field(
        8, description="First session of the later phase, compared with the earlier one."
    )
    reliability: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        default_factory=lambda: [0.9, 0.8, 0.7],
        description="Within-client reliabilities to assume in turn; the study's own "
        "(within-client omega, and Rcn) are always tried where the scales have items.",
    )
    comparators: bool = Field(
        True, description="Show what usual shortcuts give, each with its known bias."
    )
    bootstrap: Annotated[int, Field(ge=0)] = Field(
        0,
        description="Replications of the bootstrap (by therapist from 20 therapists on, else by "
        "client); 0 for none, 1,000 for publication.",
    )
    bayes: bool = Field(True, description="Fit the Bayesian twin too.")
    compare_trends: bool = Field(
        False,
        description="Also sample the Bayesian twin without (or with) clients' own courses, and "
        "say which of the two predicts the scores of a client left out better (needs ``bayes``).",
    )
    random_dynamics: bool = Field(
        False,
        description="Let cross-lags, autoregressions and innovation variances differ between "
        "clients too (needs ``bayes``; one to several minutes).",
    )

    @property
    def series(self) -> dict[str, str]:
        """Name of each series in terms of estimates -> measure; the alliance first."""
        return {
            "alliance": self.alliance,
            "outcome": self.outcome,
            **{name: name for name in self.further},
        }

    @model_validator(mode="after")
    def _different_measures(self) -> DynamicsSpec:
        named = [self.alliance, self.outcome, *self.further]
        if len(set(named)) < len(named):
            raise ValueError("alliance, outcome and further must be different measures")
        if {"alliance", "outcome"} & set(self.further):
            raise ValueError("a measure of `further` cannot have the id alliance or outcome")
        return self


class RuptureSpec(Section):
    """Which ratings are searched for ruptures, by which rules, against which outcome."""

    measure: Identifier = Field(description="A measure with role alliance.")
    component: Identifier | None = Field(
        None, description="A subscale of the measure (goal, task, bond) instead of its total."
    )
    outcome: Identifier | None = Field(
        None, description="Outcome at the last session, for the client-level test."
    )
    rules: list[Identifier] = Field(
        min_length=1, description="Files of `config/ruptures/`, without their ending."
    )
    discrete_drops: bool = Field(
        False,
        description="true: a mixture with discrete drops is compared with heavy and skewed tails "
        "by leaving out clients; chances of a drop per session (a minute per 250 clients).",
    )
    null_datasets: Annotated[int, Field(ge=0)] = Field(
        1000,
        description="Data sets without ruptures, drawn from the study's own dynamic model, with "
        "which every rule and test is compared. 0: none; else at least 100, which p values need.",
    )

    @field_validator("null_datasets")
    @classmethod
    def _enough_for_p(cls, value: int) -> int:
        if 0 < value < FEWEST_NULL_DATASETS:
            raise ValueError(
                f"must be 0 (no comparison with noise) or at least {FEWEST_NULL_DATASETS}, below "
                "which no p value is given"
            )
        return value

    @property
    def score(self) -> str:
        """The column of the scored sessions that is searched."""
        return f"{self.measure}_{self.component}" if self.component else self.measure


class SuddenGainsSpec(Section):
    """Which scores are searched for sudden gains and losses (Tang & DeRubeis)."""

    measure: Identifier = Field(description="A measure of any role.")
    component: Identifier | None = Field(
        None, description="A subscale of the measure instead of its total."
    )
    cutoff: Annotated[float, Field(gt=0)] = Field(
        description="First criterion: smallest change between two neighbouring sessions, in points "
        "of the measure, for example its reliable change. The second (a quarter of the score "
        "before) and the third (up to three sessions on each side differ) are those of the "
        "publication."
    )
    sessions: tuple[int, int] | None = Field(
        None, description="First and last session that are searched; left out, all."
    )

    @property
    def score(self) -> str:
        """The column of the scored sessions that is searched."""
        return f"{self.measure}_{self.component}" if self.component else self.measure

    @model_validator(mode="after")
    def _in_order(self) -> SuddenGainsSpec:
        if self.sessions is not None and self.sessions[0] >= self.sessions[1]:
            raise ValueError("sessions must be [first, last]")
        return self


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
        spec = self.sudden_gains[name]
        label = self.measures[spec.measure].label
        return f"{label}, {spec.component.replace('_', ' ')}" if spec.component else label

    def rupture_label(self, name: str) -> str:
        """What a rupture analysis searches, for readers: the measure and its subscale."""
        spec = self.ruptures[name]
        label = self.measures[spec.measure].label
        return f"{label}, {spec.component.replace('_', ' ')}" if spec.component else label

    def measures_with_role(self, *roles: str) -> dict[str, Measure]:
        """The measures that play one of ``roles``, in the order of the file."""
        return {name: m for name, m in self.measures.items() if m.role in roles}
