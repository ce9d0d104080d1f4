"""The report of one study: one HTML page that needs no network, no script and no other file."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from alliance.figures.registry import headline_model
from alliance.instruments import VERIFICATION_IN_WORDS, Instrument
from alliance.report import dynamics, sentences
from alliance.report.inputs import ReportFigure, ReportInputs
from alliance.report.page import css_width, data_uri, render_page
from alliance.small_cells import is_small, step_words
from alliance.study import Measure
from alliance.tables import ApaTable, TableInputs, make_tables, table_html
from alliance.tables.format import counted
from alliance.tables.models import BAYESIAN, family
from alliance.tables.ruptures import rule_definitions
from alliance.text.bayes_words import bayes_sentences
from alliance.text.sudden_gains import gain_sentences
from alliance.timing import occasions_in_words

_RATERS = {
    "client": "rated by client", "therapist": "rated by therapist",
    "observer": "rated by observer", "none": "not rated",
}  # fmt: skip
MOST_ROWS = 24  # of a table that stands open; the table of the main model always does


@dataclass(frozen=True)
class Item:
    """A figure or a table as placed on the page; a folded one opens at a click."""

    label: str
    html: str = ""
    figure: ReportFigure | None = None
    source: str = ""
    title: str = ""
    width: int = 0
    folded: bool = False
    rows: int = 0


@dataclass(frozen=True)
class Section:
    """One section: heading, paragraphs and items. ``id`` is its anchor."""

    id: str
    heading: str
    paragraphs: tuple[str, ...] = ()
    bullets: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()
    after: tuple[str, ...] = ()


def build_report(inputs: ReportInputs) -> str:
    """The whole page as text. The same inputs give the same bytes."""
    numbering = _Numbering(inputs)
    answers = sentences.study_answers(
        inputs.estimates,
        inputs.study,
        rule_labels(inputs),
        sentences.rules_in_brief(inputs.ruptures),
    )
    return render_page(
        "report.html",
        study=inputs.study,
        data_sentence=sentences.data_sentence(inputs.flow, inputs.study.privacy.smallest_cell),
        truth_sentence=sentences.truth_sentence(inputs.truth),
        answers=answers,
        n_first=sentences.first_screen(answers),
        sections=_sections(inputs, numbering),
        provenance=_provenance(inputs),
    )


def rule_labels(inputs: ReportInputs) -> dict[str, str]:
    """Rupture rule, or other source of ruptures -> its name for readers."""
    sources = inputs.rupture_sources.get("sources")
    named = {} if sources is None else zip(sources["source"], sources["label"], strict=True)
    return dict(named) | {
        str(row.rule): str(row.label)
        for summary in inputs.ruptures.values()
        for row in summary.itertuples()
    }


def _wanted(figure: ReportFigure) -> bool:
    """Whether it is drawn, or was asked for: what nobody asked for was not left out."""
    return figure.png is not None or not figure.reason.startswith(NOT_ASKED_FOR)


class _Numbering:
    """Figures numbered as the sections ask for them; tables by their place among all tables.

    So that a table has one number in the report, in ``tables/`` and in the manuscript.
    """

    def __init__(self, inputs: ReportInputs) -> None:
        self._figures = {figure.name: figure for figure in inputs.figures}
        self._tables = make_tables(_table_inputs(inputs))
        self._numbers = {name: at for at, name in enumerate(self._tables, 1)}
        self._n_figures = 0
        model = headline_model(inputs.study)
        self._headline = f"model_{model[0]}" if model else ""

    def figures(self, *names: str) -> tuple[Item, ...]:
        found = [self._figures[name] for name in names if name in self._figures]
        return tuple(self._figure(figure) for figure in found if _wanted(figure))

    def _figure(self, figure: ReportFigure) -> Item:
        if figure.png is None:
            return Item("", figure=figure, title=figure.title)
        self._n_figures += 1
        label, width = f"Figure {self._n_figures}", css_width(figure.png)
        return Item(
            label, figure=figure, source=data_uri(figure.png), title=figure.title, width=width
        )

    def tables(self, *starts: str) -> tuple[Item, ...]:
        """The tables whose name is, or begins with, one of ``starts``."""
        chosen = [
            table
            for start in starts
            for name, table in self._tables.items()
            if name == start or (start.endswith("_") and name.startswith(start))
        ]
        return tuple(self._table(table) for table in chosen)

    def _table(self, table: ApaTable) -> Item:
        label = f"Table {self._numbers[table.name]}"
        html = Markup(table_html(table, label))
        folded = len(table.rows) > MOST_ROWS and table.name != self._headline
        return Item(label, html=html, title=table.title, folded=folded, rows=len(table.rows))


def _table_inputs(x: ReportInputs) -> TableInputs:
    return TableInputs(
        x.study, x.estimates, x.flow, x.sample, x.measures, x.correlations, x.reliability,
        x.ruptures, x.truth, x.recoveries, x.bayes_checks, x.noise, x.rupture_sources,
    )  # fmt: skip


def _sections(x: ReportInputs, place: _Numbering) -> list[Section]:
    """The sections in order; the order of these calls numbers the figures."""
    flow = place.figures("data_flow") + place.tables("flow")
    sections = [
        Section("flow", "Data flow", items=flow),
        _quality(x, place),
        _instruments(x, place),
        _descriptives(x, place),
        _models(x, place),
        *_variants(place),
        *_associations(x, place),
        _bayes(x, place),
        _dynamics(x, place),
        _ruptures(x, place),
        *_sudden_gains(x, place),
    ]
    if x.truth is not None and len(x.truth):
        truth = place.tables("truth", "recovery_")
        words = (_TRUTH_EXPLAINED,)
        sections.append(Section("truth", "Estimated and true values", words, items=truth))
    return [*sections, _left_out(x)]


def _instruments(x: ReportInputs, place: _Numbering) -> Section:
    items = place.figures("reliability") + place.tables("reliability")
    heading, lines = "Instruments and reliability", tuple(_instrument_lines(x))
    return Section("instruments", heading, _instrument_words(x), lines, items)


def _descriptives(x: ReportInputs, place: _Numbering) -> Section:
    labels = {name: measure.label for name, measure in x.study.measures.items()}
    said = [
        *sentences.change_sentences(x.change, labels),
        *sentences.ceiling_sentences(x.ceiling, labels),
    ]
    items = place.tables("sample", "descriptives")
    items += place.figures("trajectories", "variance_decomposition")
    heading = "Sample and descriptives"
    return Section("descriptives", heading, items=items, after=tuple(said))


def _models(x: ReportInputs, place: _Numbering) -> Section:
    items = place.figures("within_between_slopes", "forest")
    items += place.tables("model_", "triangulation")
    split = any(model.kind == "within_between" for model in x.study.models.values())
    words = (_LEVELS_EXPLAINED if split else _COURSE_EXPLAINED) if items else "No model was fitted."
    return Section("models", "Within and between clients", (words,), items=items)


def _variants(place: _Numbering) -> list[Section]:
    """Further questions to the models, if any was asked."""
    drawn = place.figures("trend_sensitivity")
    items = place.tables("trend_", "components_", "moderators_", "raters_")
    if not items:
        return []
    asked = [words for start, words in _VARIANTS_ASKED.items() if place.tables(start)]
    words = " ".join([*asked, _VARIANTS_EXPLAINED])
    return [Section("variants", "Sensitivity and further questions", (words,), (), drawn + items)]


def _associations(x: ReportInputs, place: _Numbering) -> list[Section]:
    items = place.tables("association_")
    if not x.study.associations:
        return []
    return [Section("early", "Early ratings and the last outcome", (_EARLY_EXPLAINED,), (), items)]


def _bayes(x: ReportInputs, place: _Numbering) -> Section:
    if not any(family(name) in BAYESIAN for name in x.estimates["estimator"].unique()):
        return Section("bayes", "Bayesian models", ("No Bayesian model was fitted.",))
    items = place.figures("posterior") + place.tables("diagnostics")
    bullets: list[str] = []
    checked = () if x.bayes_checks is None else tuple(x.bayes_checks["analysis"].unique())
    model = headline_model(x.study)
    key = model[0] if model else next(iter(x.study.models), "")
    if key in checked:
        items += place.figures("predictive_checks", "client_slopes")
        items += place.tables(f"bayes_checks_{key}")
        bullets = bayes_sentences(x.bayes_checks, key, x.study.models[key].label)
    others = _OTHER_CHECKS if key in checked and len(checked) > 1 else ""
    words = f"{_BAYES_EXPLAINED}{others}"
    return Section("bayes", "Bayesian models", (words,), tuple(bullets), items)


def _dynamics(x: ReportInputs, place: _Numbering) -> Section:
    items = place.figures("dynamics_paths", "impulse_responses") if x.study.dynamics else ()
    items += place.tables("dynamics_")
    items += place.figures("dynamics_estimators") if x.study.dynamics else ()
    words = dynamics.section_words(x.estimates, x.study)
    after = dynamics.sensitivity_words(x.estimates, x.study)
    return Section("dynamics", "From session to session", words, items=items, after=after)


def _ruptures(x: ReportInputs, place: _Numbering) -> Section:
    items = place.figures(
        "rupture_rules", "rupture_noise", "rupture_timelines", "drop_probabilities"
    )
    items += place.tables(
        "ruptures_", "rupture_noise_", "rupture_outcome_", "rupture_landmark_",
        "rupture_session_", "rupture_hazard_",
    )  # fmt: skip
    items += place.figures("rupture_repair") + place.tables("rupture_repair")
    items += place.tables(
        "rupture_components", "rupture_sources", "rupture_details", "rupture_source_outcomes"
    )
    items += place.figures("rupture_agreement") + place.tables("rupture_agreement")
    words = _RUPTURES_EXPLAINED if x.study.ruptures else _NO_RUPTURES
    labels = {name: x.study.rupture_label(name) for name in x.study.ruptures}
    defined = tuple(rule_definitions(x.ruptures, labels))
    return Section("ruptures", "Ruptures and repairs", (words,), defined, items=items)


def _sudden_gains(x: ReportInputs, place: _Numbering) -> list[Section]:
    if not x.study.sudden_gains:
        return []
    said = [
        f"{x.study.gains_label(name)}, changes of at least {spec.cutoff:g} points that stand out: "
        f"{' '.join(gain_sentences(rows))}"
        for name, spec in x.study.sudden_gains.items()
        if len(rows := x.estimates[x.estimates["analysis"] == name])
    ]
    items = place.tables("sudden_gains_")
    return [Section("sudden_gains", "Sudden gains and losses", tuple(said), (), items)]


_LEVELS_EXPLAINED = (
    "Within clients compares a client with the same client at another time: does the outcome "
    "differ when the predictor is above the client's own mean? Between clients compares clients "
    "with each other. The two can differ in size and sign, so each number names its level. All "
    "outcomes are oriented so that higher is worse; a negative coefficient goes with a better "
    "outcome. None of this shows by itself what brings a change about."
)
_COURSE_EXPLAINED = (
    "The models describe the course of the outcome over time. They have no predictor that varies "
    "from session to session, so nothing is divided into within and between clients. All outcomes "
    "are oriented so that higher is worse; a negative coefficient goes with a better outcome."
)
_VARIANTS_ASKED = {  # how the name of a table begins -> the question it answers
    "trend_": "Does the finding depend on how the course of treatment is taken out?",
    "components_": "Which component of the rating goes with the outcome?",
    "moderators_": "Does it differ between kinds of clients?",
    "raters_": "Does it differ between raters?",
}
_VARIANTS_EXPLAINED = "Each answer is a model above with one thing changed."
_EARLY_EXPLAINED = (
    "The classic question, one row per client: do clients with higher ratings in early sessions "
    "have better last scores? Improvement before the rating can raise both, so the association is "
    "given without and with the change up to the rating."
)
_BAYES_EXPLAINED = (
    "The same models, fitted with priors and with random effects integrated out. Estimates beside "
    "REML stand in the model tables above; their intervals are equal-tailed."
)
_OTHER_CHECKS = " The checks below are of the main model; tables/ holds those of the others."
_RUPTURES_EXPLAINED = (
    "A rupture is called by a declared rule on the ratings; different rules call different "
    "sessions. Shares are of clients with enough ratings."
)
NOT_ASKED_FOR = "the study file asks for no "
_NO_RUPTURES = "The study file asks for no rupture analysis."
_TRUTH_EXPLAINED = (
    "The data were drawn from a known process, so the estimates can be held against what they "
    "should find."
)


def _quality(x: ReportInputs, place: _Numbering) -> Section:
    problems = [frame for frame in (x.validation, x.scoring_notes) if frame is not None]
    warnings = [
        sentences.without_few(_problem_words(row), x.study.privacy.smallest_cell)
        for frame in problems
        for row in frame[frame["severity"] == "warning"].itertuples()
    ]
    after = [*_cleaning_words(x.cleaning_log, x.study.privacy.smallest_cell), *x.extra_notes]
    if warnings:
        after.insert(0, _WHERE_ROWS)
    return Section(
        "quality", "Data quality", (sentences.validation_sentence(x.validation, x.scoring_notes),),
        tuple(warnings), place.figures("missingness"), tuple(after),
    )  # fmt: skip


_WHERE_ROWS = (
    "Which rows, and numbers of few clients, stand in the tables under qc/, which are for those "
    "who may see the data."
)


def _problem_words(row: object) -> str:
    place = ", ".join(text for text in (str(row.file), str(row.where)) if text and text != "nan")
    expected = f" (expected: {row.expected})" if str(row.expected) not in ("", "nan") else ""
    return f"{place}: {row.found}{expected}"


def _cleaning_words(log: pd.DataFrame | None, smallest_cell: int) -> list[str]:
    """How many changes each cleaning rule made."""
    if log is None:
        return ["No cleaning log was found."]
    if log.empty:
        return ["Cleaning changed nothing."]
    parts = [
        f"{step_words(str(rule)).lower()}: {counted(len(own), 'change')} in "
        f"{_clients(own['client'].nunique(), smallest_cell)}"
        for rule, own in log.groupby("rule", sort=False)
    ]
    return [f"Cleaning made {counted(len(log), 'change')}, each logged: {'; '.join(parts)}."]


def _clients(n: int, smallest_cell: int) -> str:
    few = is_small(n, smallest_cell)
    return f"fewer than {smallest_cell} clients" if few else counted(n, "client")


def _instrument_words(x: ReportInputs) -> tuple[str, ...]:
    """When the forms are filled in; with outcomes only, no lag follows from it."""
    only_outcomes = all(measure.role == "outcome" for measure in x.study.measures.values())
    return () if only_outcomes else (occasions_in_words(x.study.timing),)


def _instrument_lines(x: ReportInputs) -> list[str]:
    """One line per measure: instrument, rater, direction, how sure the scoring key is."""
    lines = []
    for measure in x.study.measures.values():
        key = x.instruments.get(measure.instrument or "")
        parts = [f"{measure.label}: {_RATERS[measure.rater]}"]
        if key is None:
            parts.append("a score computed elsewhere" if measure.column else "instrument unknown")
        else:
            parts += [key.name, *_form_words(measure, key), VERIFICATION_IN_WORDS[key.verification]]
        direction = measure.higher_is or (key.higher_is if key else None)
        parts += [f"higher is {direction}"] if direction else []
        lines.append("; ".join(parts) + ".")
    return lines


_METRICS = {
    "sum": "total is the sum of the items", "mean": "total is the mean of the items",
    "mean_x10": "total is ten times the mean of the items",
    "sum_x4": "total is four times the sum of the items", "none": "no total",
}  # fmt: skip


def _form_words(measure: Measure, key: Instrument) -> list[str]:
    """How the form was answered, where it differs from the published one, and the metric."""
    if measure.items is None:
        return ["total computed elsewhere"]
    published = (key.response_min, key.response_max)
    low, high = measure.response_range or published
    form = f"{key.n_items} items answered from {low:g} to {high:g}"
    if (low, high) != published:
        form += f" (published form: {published[0]:g} to {published[1]:g})"
    return [form, _METRICS[key.total_rule]]


def _left_out(x: ReportInputs) -> Section:
    absent = [
        f"Figure '{figure.title}': {figure.reason}."
        for figure in x.figures
        if figure.png is None and _wanted(figure)
    ]
    bullets = [
        *sentences.left_out(x.estimates, x.study, rule_labels(x)),
        *sentences.absent_bayes(x.study, x.estimates),
        *absent,
    ]
    words = () if bullets else ("Nothing that the study file asks for was left out.",)
    return Section("left-out", "What was left out, and why", words, tuple(bullets))


def _provenance(x: ReportInputs) -> dict[str, object]:
    """Seed, versions and hashes as lists of name and value, and where the run times stand."""
    code = sorted({str(h) for h in x.estimates["code_hash"] if isinstance(h, str) and h})
    return {
        "seed": str(x.study.seed),
        "code": ", ".join(code),
        "versions": list(x.versions.items()),
        "hashes": list(x.hashes.items()),
        "run_times": x.run_times,
        "citation": x.citation,
        "source": x.study.source,
    }
