"""All figures of a study, in the order of the report: which tables each needs, and how it is made.

The workflow makes one job per entry; the report shows them in this order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd

from alliance.figures import (
    client_slopes,
    drop_probabilities,
    dynamics,
    flow,
    forest,
    missingness,
    posterior,
    predictive,
    reliability,
    rupture_agreement,
    rupture_noise,
    rupture_repair,
    ruptures,
    slopes,
    trajectories,
    trend,
    variance,
)
from alliance.figures.saving import Drawn, FigureText, NotDrawn
from alliance.stage_tables import fill_words
from alliance.study import ModelSpec, Study


@dataclass(frozen=True)
class FigureInputs:
    """The tables of one study; a table that does not exist is None.

    Attributes
    ----------
    study : the study file. Every other attribute is the table of that name in the contract;
    ``sessions`` is the scored table, ``frame`` the model frame of :func:`headline_model`,
    ``draws`` and ``priors`` as :func:`alliance.figures.posterior.numbers_posterior` wants them,
    ``published`` is ``data/published/effects.csv``.
    """

    study: Study
    flow: pd.DataFrame | None = None
    measures: pd.DataFrame | None = None
    missingness: pd.DataFrame | None = None
    trajectories: pd.DataFrame | None = None
    reliability: pd.DataFrame | None = None
    sessions: pd.DataFrame | None = None
    estimates: pd.DataFrame | None = None
    frame: pd.DataFrame | None = None
    rupture_sessions: pd.DataFrame | None = None
    rupture_episodes: pd.DataFrame | None = None
    rupture_clients: pd.DataFrame | None = None
    rupture_summary: pd.DataFrame | None = None
    rupture_noise: pd.DataFrame | None = None
    rupture_agreement: pd.DataFrame | None = None
    drop_probabilities: pd.DataFrame | None = None
    drop_classes: pd.DataFrame | None = None
    drop_recovery: pd.DataFrame | None = None
    draws: pd.DataFrame | None = None
    priors: pd.DataFrame | None = None
    bayes_checks: pd.DataFrame | None = None
    predictive: pd.DataFrame | None = None
    slopes: pd.DataFrame | None = None
    published: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, pd.DataFrame):
                object.__setattr__(self, name, fill_words(value))

    @property
    def labels(self) -> dict[str, str]:
        """Measure -> its name for readers."""
        return {name: measure.label for name, measure in self.study.measures.items()}

    @property
    def model_labels(self) -> dict[str, str]:
        """Model -> its name for readers."""
        return {name: model.label for name, model in self.study.models.items()}


@dataclass(frozen=True)
class FigureSpec:
    """One figure.

    Attributes
    ----------
    needs : names of tables in :class:`FigureInputs` without which it cannot be drawn.
    uses : further tables that are drawn if they are there.
    section : section of the report. absent : why it is missing when a needed table is.
    """

    name: str
    title: str
    section: str
    needs: tuple[str, ...]
    absent: str
    make: Callable[[FigureInputs], Drawn] = field(repr=False)
    uses: tuple[str, ...] = ()


def headline_model(study: Study) -> tuple[str, ModelSpec] | None:
    """The main within/between model: the one marked headline, else the first."""
    candidates = [(n, m) for n, m in study.models.items() if m.kind == "within_between"]
    marked = [(name, model) for name, model in candidates if model.headline]
    return (marked or candidates or [None])[0]


def make_figure(name: str, inputs: FigureInputs) -> Drawn:
    """Draw one figure by its name, or say why it is not drawn.

    Raises
    ------
    KeyError
        For a name that is not in ``FIGURES``.
    """
    spec = FIGURES[name]
    missing = [need for need in spec.needs if getattr(inputs, need) is None]
    if missing:
        return _not_drawn(spec, spec.absent)
    drawn = spec.make(inputs)
    return _not_drawn(spec, drawn.figure.reason) if isinstance(drawn.figure, NotDrawn) else drawn


def _not_drawn(spec: FigureSpec, reason: str) -> Drawn:
    text = FigureText(spec.title, reason, f"Not drawn: {reason}")
    return Drawn(spec.name, NotDrawn(reason), pd.DataFrame({"not_drawn": [reason]}), text)


def _data_flow(x: FigureInputs) -> Drawn:
    numbers = flow.numbers_data_flow(
        x.flow, x.estimates, x.model_labels, x.study.privacy.smallest_cell
    )
    return Drawn(
        "data_flow", flow.draw_data_flow(numbers), numbers, flow.describe_data_flow(numbers)
    )


def _trajectories(x: FigureInputs) -> Drawn:
    numbers = trajectories.numbers_trajectories(x.trajectories, x.labels, x.sessions, x.study.seed)
    picture = trajectories.draw_trajectories(numbers, x.study.timing.unit)
    return Drawn("trajectories", picture, numbers, trajectories.describe_trajectories(numbers))


def _variance(x: FigureInputs) -> Drawn:
    numbers = variance.numbers_variance_decomposition(x.measures, x.estimates, x.model_labels)
    picture = variance.draw_variance_decomposition(numbers)
    words = variance.describe_variance_decomposition(numbers)
    return Drawn("variance_decomposition", picture, numbers, words)


def _slopes(x: FigureInputs) -> Drawn:
    chosen = headline_model(x.study)
    if chosen is None:
        reason = NotDrawn("the study file has no within/between model")
        return Drawn("within_between_slopes", reason, pd.DataFrame(), FigureText("", "", ""))
    key, model = chosen
    numbers = slopes.numbers_within_between_slopes(x.estimates, x.frame, key, x.study.seed)
    picture = slopes.draw_within_between_slopes(
        numbers, x.labels[str(model.predictor)], x.labels[model.outcome]
    )
    words = slopes.describe_within_between_slopes(numbers, x.estimates, key)
    return Drawn("within_between_slopes", picture, numbers, words)


def _forest(x: FigureInputs) -> Drawn:
    alliance = x.study.measures_with_role("alliance")
    concerned = any(model.predictor in alliance for model in x.study.models.values())
    shown = x.published is not None and concerned
    published = forest.published_rows(x.published) if shown else None
    dynamics = {
        name: model.label for name, model in x.study.dynamics.items() if model.alliance in alliance
    }
    numbers = forest.numbers_forest(x.estimates, x.model_labels, published, dynamics)
    return Drawn("forest", forest.draw_forest(numbers), numbers, forest.describe_forest(numbers))


def _trend(x: FigureInputs) -> Drawn:
    numbers = trend.numbers_trend_sensitivity(x.estimates, x.model_labels)
    picture = trend.draw_trend_sensitivity(numbers)
    words = trend.describe_trend_sensitivity(numbers)
    return Drawn("trend_sensitivity", picture, numbers, words)


def _posterior(x: FigureInputs) -> Drawn:
    headline = headline_model(x.study)
    analyses = {headline[0]: headline[1].label} if headline else x.model_labels
    priors = (
        x.priors
        if x.priors is not None
        else pd.DataFrame(columns=["analysis", "term", "mean", "sd"])
    )
    numbers = posterior.numbers_posterior(x.draws, priors, x.estimates, analyses)
    words = posterior.describe_posterior(numbers, x.estimates)
    return Drawn("posterior", posterior.draw_posterior(numbers), numbers, words)


def _bayesian_model(x: FigureInputs) -> tuple[str, str]:
    """Key and label of the model whose Bayesian twin is shown."""
    headline = headline_model(x.study)
    return (headline[0], headline[1].label) if headline else next(iter(x.model_labels.items()))


def _predictive(x: FigureInputs) -> Drawn:
    numbers = predictive.numbers_predictive(x.predictive, x.bayes_checks)
    words = predictive.describe_predictive(x.bayes_checks, _bayesian_model(x)[1])
    return Drawn("predictive_checks", predictive.draw_predictive(numbers), numbers, words)


def _client_slopes(x: FigureInputs) -> Drawn:
    key, label = _bayesian_model(x)
    numbers = client_slopes.numbers_client_slopes(x.slopes, x.estimates, key)
    words = client_slopes.describe_client_slopes(numbers, x.estimates, key, label)
    return Drawn("client_slopes", client_slopes.draw_client_slopes(numbers), numbers, words)


def _dynamics(name: str) -> Callable[[FigureInputs], Drawn]:
    """Makes one of the figures of the dynamic models of the study file, one below the other."""

    def make(x: FigureInputs) -> Drawn:
        if not x.study.dynamics:
            reason = NotDrawn(_NO_DYNAMICS)
            return Drawn(name, reason, pd.DataFrame(), FigureText("", "", ""))
        models = {key: model.label for key, model in x.study.dynamics.items()}
        numbers = getattr(dynamics, f"numbers_{name}")(x.estimates, models, x.labels)
        picture = getattr(dynamics, f"draw_{name}")(numbers)
        return Drawn(name, picture, numbers, getattr(dynamics, f"describe_{name}")(numbers))

    return make


def _rule_names(x: FigureInputs) -> dict[str, str]:
    """Rule -> its name for readers."""
    summary = x.rupture_summary if x.rupture_summary is not None else pd.DataFrame()
    return dict(zip(summary["rule"], summary["label"], strict=True)) if len(summary) else {}


def _timelines(x: FigureInputs) -> Drawn:
    first = {
        name: (x.study.rupture_label(name), spec.rules[0])
        for name, spec in x.study.ruptures.items()
    }
    numbers = ruptures.numbers_rupture_timelines(
        x.rupture_sessions, x.rupture_episodes, x.rupture_clients, first,
        smallest_cell=x.study.privacy.smallest_cell,
    )  # fmt: skip
    labels = _rule_names(x)
    picture = ruptures.draw_rupture_timelines(numbers)
    words = ruptures.describe_rupture_timelines(numbers, labels)
    return Drawn("rupture_timelines", picture, numbers, words)


def _rules(x: FigureInputs) -> Drawn:
    ratings = {name: x.study.rupture_label(name) for name in x.study.ruptures}
    numbers = ruptures.numbers_rupture_rules(x.rupture_summary, ratings)
    picture = ruptures.draw_rupture_rules(numbers)
    return Drawn("rupture_rules", picture, numbers, ruptures.describe_rupture_rules(numbers))


def _noise(x: FigureInputs) -> Drawn:
    ratings = {name: x.study.rupture_label(name) for name in x.study.ruptures}
    numbers = rupture_noise.numbers_rupture_noise(x.rupture_noise, ratings)
    picture = rupture_noise.draw_rupture_noise(numbers)
    return Drawn("rupture_noise", picture, numbers, rupture_noise.describe_rupture_noise(numbers))


def _repair(x: FigureInputs) -> Drawn:
    ratings = {name: x.study.rupture_label(name) for name in x.study.ruptures}
    summary = x.rupture_summary
    labels = (
        dict(zip(summary["rule"], summary["label"], strict=True)) if summary is not None else {}
    )
    numbers = rupture_repair.numbers_rupture_repair(x.estimates, ratings, labels)
    picture = rupture_repair.draw_rupture_repair(numbers)
    words = rupture_repair.describe_rupture_repair(numbers)
    return Drawn("rupture_repair", picture, numbers, words)


def _rupture_agreement(x: FigureInputs) -> Drawn:
    table = x.rupture_agreement
    numbers = rupture_agreement.numbers_rupture_agreement(table)
    n_marks = len(set(table["mark_a"]) | set(table["mark_b"]))
    picture = rupture_agreement.draw_rupture_agreement(numbers)
    words = rupture_agreement.describe_rupture_agreement(numbers, n_marks)
    return Drawn("rupture_agreement", picture, numbers, words)


def _drops(x: FigureInputs) -> Drawn:
    first = {
        name: (x.study.rupture_label(name), spec.rules[0])
        for name, spec in x.study.ruptures.items()
    }
    numbers = drop_probabilities.numbers_drop_probabilities(
        x.drop_probabilities, x.drop_classes, x.estimates, x.rupture_sessions, first,
        x.drop_recovery, smallest_cell=x.study.privacy.smallest_cell,
    )  # fmt: skip
    picture = drop_probabilities.draw_drop_probabilities(numbers)
    words = drop_probabilities.describe_drop_probabilities(numbers, _rule_names(x))
    return Drawn("drop_probabilities", picture, numbers, words)


def _missingness(x: FigureInputs) -> Drawn:
    numbers = missingness.numbers_missingness(x.missingness, x.labels)
    picture = missingness.draw_missingness(numbers, x.study.timing.unit)
    return Drawn("missingness", picture, numbers, missingness.describe_missingness(numbers))


def _reliability(x: FigureInputs) -> Drawn:
    numbers = reliability.numbers_reliability(x.reliability, x.labels)
    picture = reliability.draw_reliability(numbers)
    return Drawn("reliability", picture, numbers, reliability.describe_reliability(numbers))


_NO_DYNAMICS = "the study file asks for no dynamic model"
_NO_RUPTURES = "the study file asks for no rupture analysis"
_NO_DROPS = "the study file asks for no discrete drops (`discrete_drops: true`)"
_SPECS: tuple[FigureSpec, ...] = (
    FigureSpec(
        "data_flow", "Data flow", "flow", ("flow",), "there is no table of the data flow",
        _data_flow, ("estimates",),
    ),
    FigureSpec(
        "missingness", "Missing scores", "quality", ("missingness",),
        "there is no table of missing scores", _missingness,
    ),
    FigureSpec(
        "reliability", "Reliability within and between clients", "instruments", ("reliability",),
        "no measure of the study has items", _reliability,
    ),
    FigureSpec(
        "trajectories", "Course over sessions", "descriptives", ("trajectories",),
        "there is no table of means per session", _trajectories, ("sessions",),
    ),
    FigureSpec(
        "variance_decomposition", "Where the variance lies", "descriptives",
        ("measures", "estimates"), "there is no table of the measures", _variance,
    ),
    FigureSpec(
        "within_between_slopes", "The same question at each level", "models", ("estimates",),
        "no model was fitted", _slopes, ("frame",),
    ),
    FigureSpec(
        "forest", "Effects within clients, all models", "models", ("estimates",),
        "no model was fitted", _forest, ("published",),
    ),
    FigureSpec(
        "trend_sensitivity", "Sensitivity to trend", "variants", ("estimates",),
        "no model was fitted", _trend,
    ),
    FigureSpec(
        "posterior", "What the Bayesian models say", "bayes", ("estimates", "draws"),
        "no model was fitted with Bayesian methods", _posterior, ("priors",),
    ),
    FigureSpec(
        "predictive_checks", "Does the model reproduce the data?", "bayes",
        ("predictive", "bayes_checks"), "no model was fitted with Bayesian methods", _predictive,
    ),
    FigureSpec(
        "client_slopes", "How much do clients differ?", "bayes", ("slopes", "estimates"),
        "no model was fitted with Bayesian methods", _client_slopes,
    ),
    FigureSpec(
        "dynamics_paths", "From session to session", "dynamics", ("estimates",), _NO_DYNAMICS,
        _dynamics("dynamics_paths"),
    ),
    FigureSpec(
        "impulse_responses", "What is left of a deviation over six sessions", "dynamics",
        ("estimates",), _NO_DYNAMICS, _dynamics("impulse_responses"),
    ),
    FigureSpec(
        "dynamics_estimators", "The same effects by other estimators", "dynamics",
        ("estimates",), _NO_DYNAMICS, _dynamics("dynamics_estimators"),
    ),
    FigureSpec(
        "rupture_rules", "Ruptures under different rules", "ruptures",
        ("rupture_summary",), _NO_RUPTURES, _rules,
    ),
    FigureSpec(
        "rupture_noise", "Ruptures and what noise alone gives", "ruptures",
        ("rupture_noise",), _NO_RUPTURES, _noise,
    ),
    FigureSpec(
        "rupture_repair", "Repair and last outcome, beside the field", "ruptures",
        ("estimates", "rupture_summary"), _NO_RUPTURES, _repair,
    ),
    FigureSpec(
        "rupture_agreement", "Do rules, reports and behaviour agree on ruptures?", "ruptures",
        ("rupture_agreement",), _NO_RUPTURES, _rupture_agreement,
    ),
    FigureSpec(
        "rupture_timelines", "Example clients and their ruptures", "ruptures",
        ("rupture_sessions", "rupture_episodes", "rupture_clients"), _NO_RUPTURES, _timelines,
        ("rupture_summary",),
    ),
    FigureSpec(
        "drop_probabilities", "How likely is each session a discrete drop?", "ruptures",
        ("drop_probabilities", "drop_classes", "estimates", "rupture_sessions"), _NO_DROPS, _drops,
        ("drop_recovery", "rupture_summary"),
    ),
)  # fmt: skip
FIGURES: dict[str, FigureSpec] = {spec.name: spec for spec in _SPECS}
