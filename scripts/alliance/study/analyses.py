"""Keys of a study file that say what is asked of the data: one section per kind of analysis."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from alliance.study.section import Identifier, Section

FEWEST_NULL_DATASETS = 100


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
