"""Figures: drawn from the numbers saved beside them, stable in bytes, honest when empty."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from matplotlib.figure import Figure

from alliance import describe
from alliance.figures import (
    FIGURES,
    FORMATS,
    NotDrawn,
    figure_bytes,
    forest,
    headline_model,
    make_figure,
    missingness,
    numbers_csv,
    posterior,
    reliability,
    rupture_agreement,
    ruptures,
    slopes,
    trajectories,
    variance,
)
from alliance.figures import flow as flow_family
from alliance.figures.saving import MOST_ALT, spoken
from alliance.figures.style import (
    FULL_WIDTH_MM,
    LEVEL_COLOUR,
    MM_PER_INCH,
    SERIES,
    SINGLE_COLUMN_MM,
    bounded,
    settle,
    sheet,
)
from alliance.figures.thinning import thin_clients
from alliance.study import Study


@pytest.fixture(scope="module")
def inputs():
    return synthetic.figure_inputs()


@pytest.fixture(scope="module")
def drawn(inputs):
    return {name: make_figure(name, inputs) for name in FIGURES}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_with_numbers_and_words(drawn, name):
    figure = drawn[name]
    assert isinstance(figure.figure, Figure)
    assert len(figure.numbers) > 0
    assert figure.text.caption
    assert len(figure.text.alt) > 40
    assert "nan" not in (figure.text.caption + figure.text.alt).lower().split()


@pytest.mark.parametrize("name", FIGURES)
def test_alternative_texts_can_be_listened_to(drawn, name):
    assert len(drawn[name].text.alt) <= MOST_ALT


def test_an_alternative_text_says_how_much_it_leaves_to_the_numbers():
    parts = [f"Rule {n}: {'x' * 90}." for n in range(20)]
    alt = spoken("Points.", parts)
    assert len(alt) <= MOST_ALT
    assert alt.startswith("Points. Rule 0: ")
    told = alt.count("Rule ")
    assert alt.endswith(f" {20 - told} more in the numbers of the figure (CSV).")
    assert spoken("Points.", parts[:2]) == " ".join(["Points.", *parts[:2]])
    assert spoken("", ["y" * 900]) == "y" * 900  # one thing is never told by half


def test_the_text_of_repairs_tells_the_first_rule_the_range_and_the_field(drawn):
    figure = drawn["rupture_repair"]
    own = figure.numbers[figure.numbers["rule"] != "published"]
    apart = int(((own["ci_low"] > 0) | (own["ci_high"] < 0)).sum())
    assert f"All {len(own)} estimates under" in figure.text.alt
    low, high = own["estimate"].min(), own["estimate"].max()
    assert f"{low:.2f} to {high:.2f}; {apart or 'none'} with an interval" in figure.text.alt
    assert "Published, " in figure.text.alt


def test_measures_with_the_same_share_missing_do_not_hide_each_other():
    table = synthetic.missingness()
    labels = {name: name for name in table["measure"].unique()}
    numbers = missingness.numbers_missingness(table, labels).assign(pct_missing=4.0)
    above = missingness.draw_missingness(numbers).axes[0]
    marks = [tuple(line.get_xdata()) for line in above.get_lines() if line.get_marker() != "None"]
    assert len(set(marks)) == len(marks) == len(labels)


def test_every_column_of_examples_has_its_sessions_named(drawn):
    """Five clients are two rows, of which the second has one panel."""
    numbers = drawn["rupture_timelines"].numbers
    first = numbers[numbers["panel"] == numbers["panel"].iloc[0]]
    five = pd.concat([first.assign(panel=name, rating="One") for name in "ABCDE"])
    figure = ruptures.draw_rupture_timelines(five)
    panels = [axes for axes in figure.axes if axes.axison]
    assert len(panels) == 5
    named = {axes.get_subplotspec().colspan.start for axes in panels
             if axes.xaxis.get_tick_params()["labelbottom"]}  # fmt: skip
    assert named == {0, 1, 2, 3}


def test_long_alternative_texts_tell_the_range():
    """Nine scales in three levels, whatever their number: the CSV has every value."""
    table = pd.concat(
        [synthetic.reliability().assign(scale=f"part {n}") for n in range(30)], ignore_index=True
    )
    labels = {name: values[0] for name, values in synthetic.MEASURES.items()}
    numbers = reliability.numbers_reliability(table, labels)
    alt = reliability.describe_reliability(numbers).alt
    within = numbers[(numbers["level"] == "within_client") & (numbers["coefficient"] == "omega")]
    low, high = within["estimate"].min(), within["estimate"].max()
    assert len(alt) < 700
    assert re.search(rf"Within clients: omega {low:.2f} \([^)]*\).* to {high:.2f}", alt)
    assert f"Dot plot of {numbers['row'].nunique()} scales." in alt
    pairs = pd.DataFrame(
        {
            "level": "session", "kappa": np.linspace(-0.05, 0.9, 60), "row": 1, "column": 2,
            "row_label": [f"rule {n}" for n in range(60)], "column_label": "report",
        }
    )  # fmt: skip
    alt = rupture_agreement.describe_rupture_agreement(pairs, 2).alt
    assert "report and rule 59: 0.90." in alt
    assert "55 further pairs: -0.05 to 0.82." in alt
    assert "rule 3:" not in alt


def test_a_share_missing_that_is_the_same_everywhere_is_said_once():
    table = synthetic.missingness().query("measure == 'symptoms'")
    labels = {"symptoms": "Symptoms"}
    numbers = missingness.numbers_missingness(table.assign(pct_missing=0.04), labels)
    assert missingness.describe_missingness(numbers).alt.endswith("Symptoms: 0.0% missing.")
    numbers = missingness.numbers_missingness(table, labels)
    assert re.search(
        r"Symptoms: \d+\.\d% to \d+\.\d% missing\.", missingness.describe_missingness(numbers).alt
    )


def test_a_flow_without_losses_says_that_nothing_was_left_out():
    table = synthetic.flow()
    kept = table.assign(sessions_in=100, sessions_out=100, clients_in=20, clients_out=20)
    alt = flow_family.describe_data_flow(flow_family.numbers_data_flow(kept)).alt
    assert alt.endswith("were analysed, nothing was left out.")
    assert (
        "steps left something out"
        in flow_family.describe_data_flow(flow_family.numbers_data_flow(table)).alt
    )


@pytest.mark.parametrize("name", FIGURES)
def test_figures_have_journal_widths(drawn, name):
    width_mm = drawn[name].figure.get_size_inches()[0] * MM_PER_INCH
    assert SINGLE_COLUMN_MM - 0.1 <= width_mm <= FULL_WIDTH_MM + 0.1


@pytest.mark.parametrize("file_format", FORMATS)
def test_same_figure_same_bytes(inputs, drawn, file_format):
    figure_bytes(drawn["forest"].figure, "png")  # an earlier save must not move anything
    again = figure_bytes(make_figure("forest", inputs).figure, file_format)
    assert figure_bytes(drawn["forest"].figure, file_format) == again
    assert b"CreationDate" not in again
    assert b"dc:date" not in again


def laid_out(figure: Figure):
    """The figure as it will be saved, ready to be measured."""
    with sheet():
        settle(figure)
        figure.draw_without_rendering()
    return figure.canvas.get_renderer()


@pytest.mark.parametrize("name", FIGURES)
def test_no_texts_overlap_on_an_axis(drawn, name):
    renderer = laid_out(drawn[name].figure)
    for axes in (axes for axes in drawn[name].figure.axes if axes.axison):
        for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
            seen = [text for text in labels if text.get_text() and text.get_visible()]
            boxes = [text.get_window_extent(renderer) for text in seen]
            for first, second in pairwise(boxes):
                assert not first.overlaps(second), [text.get_text() for text in seen]


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_runs_out_of_the_figure(drawn, name):
    figure = drawn[name].figure
    renderer = laid_out(figure)
    width, height = figure.get_size_inches() * figure.dpi
    for axes in figure.axes:
        labels = [*axes.texts]
        if axes.axison:
            labels += [axes._left_title, axes.xaxis.label, axes.yaxis.label]
            low, high = sorted(axes.get_ylim())
            ticks = axes.get_yticklabels()
            labels += [text for text in ticks if low <= text.get_position()[1] <= high]
        for text in (text for text in labels if text.get_text()):
            box = text.get_window_extent(renderer)
            assert -1 < box.x0 <= box.x1 < width + 1, text.get_text()
            assert -1 < box.y0 <= box.y1 < height + 1, text.get_text()


def test_labels_stay_inside_where_ticks_follow_the_room():
    """Scores from 1.7 to 4.5 have ticks at halves in the final panel, at wholes before."""
    rows = pd.DataFrame({"session": [1.0, 2, 3, 4], "score": [3.5, 4.5, 1.7, 3.0]})
    panels = [
        rows.assign(panel=letter, label="none", rating="Alliance, client (WAI-SR)")
        for letter in "ABCDEFGH"
    ]
    numbers = pd.concat(panels).assign(rule="r", ruptured=False, nadir=False, repair=False)
    figure = ruptures.draw_rupture_timelines(numbers)
    renderer = laid_out(figure)
    assert any("." in tick.get_text() for tick in figure.axes[0].get_yticklabels())
    assert figure.axes[0].yaxis.label.get_window_extent(renderer).x0 > -1


def test_boxes_of_the_flow_hold_their_text(drawn):
    axes = drawn["data_flow"].figure.axes[0]
    renderer = laid_out(drawn["data_flow"].figure)
    boxes = [patch.get_window_extent(renderer) for patch in axes.patches]
    texts = [t.get_window_extent(renderer) for t in axes.texts if t.get_text()]
    for text in texts:
        assert any(
            b.x0 <= text.x0 and text.x1 <= b.x1 and b.y0 <= text.y0 and text.y1 <= b.y1
            for b in boxes
        )


def test_a_missing_table_gives_the_reason_and_a_card():
    inputs = synthetic.figure_inputs(
        rupture_sessions=None, rupture_episodes=None, rupture_clients=None, rupture_summary=None,
        draws=None, reliability=None,
    )  # fmt: skip
    for name in ("rupture_timelines", "rupture_rules", "posterior", "reliability"):
        figure = make_figure(name, inputs)
        assert isinstance(figure.figure, NotDrawn)
        assert figure.figure.reason in figure.text.alt
        assert figure.figure.reason in numbers_csv(figure.numbers)
        assert figure_bytes(figure.figure, "png").startswith(b"\x89PNG")


def test_empty_tables_are_not_drawn():
    inputs = synthetic.figure_inputs(
        trajectories=synthetic.trajectories().iloc[:0], flow=synthetic.flow().iloc[:0],
        estimates=synthetic.estimates().iloc[:0],
    )  # fmt: skip
    for name in ("trajectories", "data_flow", "forest", "within_between_slopes"):
        assert isinstance(make_figure(name, inputs).figure, NotDrawn)


def test_thinning_is_seeded_and_never_above_thirty():
    clients = pd.Series([f"C{i}" for i in range(10_000)])
    chosen = thin_clients(clients, seed=1)
    assert len(chosen) == 30 == len(set(chosen))
    assert chosen == thin_clients(clients.sample(frac=1, random_state=3), seed=1)
    assert chosen != thin_clients(clients, seed=2)
    with pytest.raises(ValueError, match="30"):
        thin_clients(clients, seed=1, most=31)


def test_single_clients_stay_below_thirty_in_figures(drawn):
    lines = drawn["trajectories"].numbers
    assert lines.loc[lines["series"] != "mean"].groupby("measure")["series"].nunique().max() <= 30
    slopes_drawn = drawn["within_between_slopes"].numbers
    single = slopes_drawn[slopes_drawn["element"] == "client"]
    assert single.groupby("level")["series"].nunique().max() <= 30
    for name in ("rupture_timelines", "drop_probabilities"):
        assert drawn[name].numbers["panel"].nunique() <= 26  # letters


BY_CLIENT = [
    name
    for name, spec in FIGURES.items()
    if {*spec.needs, *spec.uses} & {*synthetic.tables_by_client(6)}
]


@pytest.mark.parametrize("name", BY_CLIENT)
def test_no_figure_grows_with_the_number_of_clients(inputs, name):
    """Ten times the clients: as many lines in every panel, as many bytes, a table as long."""
    few = make_figure(name, inputs)
    many = make_figure(name, synthetic.figure_inputs(**synthetic.tables_by_client(600)))
    assert isinstance(many.figure, Figure)
    assert [len(panel.lines) for panel in many.figure.axes] == [
        len(panel.lines) for panel in few.figure.axes
    ]
    assert len(many.numbers) < 1.3 * len(few.numbers)
    sizes = [len(figure_bytes(figure.figure, "svg")) for figure in (few, many)]
    assert sizes[1] < 1.3 * sizes[0]


@pytest.mark.parametrize("n_clients", [12, 32])
def test_lines_of_almost_everybody_end_where_the_mean_does(n_clients):
    """Few clients are all drawn, or all but two: lines must not tell how few are left late."""
    few = synthetic.sessions(n_clients)
    means = describe.trajectories(few, synthetic.study())
    names = {name: name for name in ("alliance_client", "symptoms")}
    numbers = trajectories.numbers_trajectories(means, names, few, seed=1)
    last = means[means["measure"].isin(names)].groupby("measure")["session"].max()
    assert (last < few["session"].max()).all()
    assert numbers.groupby("measure")["session"].max().equals(last)
    drawn = numbers[numbers["series"] != "mean"].groupby("measure")["series"].nunique()
    assert (drawn == min(n_clients, 30)).all()
    caption = trajectories.describe_trajectories(numbers).caption
    words = (
        "12 clients"
        if n_clients == 12
        else ("30 clients (where there are more, drawn at random with a fixed seed)")
    )
    assert f"Thin lines: {words}, for illustration" in caption


def test_figures_of_single_clients_are_among_them():
    assert {"trajectories", "within_between_slopes", "rupture_timelines"} <= {*BY_CLIENT}


@pytest.mark.parametrize("name", BY_CLIENT)
def test_numbers_behind_figures_hold_no_pseudonym(drawn, name):
    """They are published with a study; C001 would lead back to the records of a client."""
    text = numbers_csv(drawn[name].numbers)
    assert not set(synthetic.sessions()["client"]) & set(re.findall(r"\w+", text))


def test_flow_numbers_hold_every_loss():
    numbers = flow_family.numbers_data_flow(synthetic.flow())
    read, used = (numbers[numbers["kind"] == kind].iloc[0] for kind in ("read", "analysed"))
    assert read["sessions"] - numbers["sessions_lost"].sum() == used["sessions"]
    assert read["clients"] - numbers["clients_lost"].sum() == used["clients"]
    assert (numbers["kind"] == "step").sum() == 4  # steps that removed nothing are not boxes


def test_flow_says_why_a_model_has_no_box_with_numbers(inputs):
    numbers = flow_family.numbers_data_flow(inputs.flow, inputs.estimates, inputs.model_labels)
    refused = numbers[(numbers["kind"] == "model") & numbers["sessions"].isna()]
    assert refused["reason"].tolist() == [
        "only 12 therapists treated three clients or more; 20 are needed"
    ]


def test_a_forest_in_which_nothing_was_estimated_has_no_scale(inputs):
    numbers = forest.numbers_forest(inputs.estimates, inputs.model_labels)
    study = numbers[numbers["panel"] == forest.STUDY].copy()
    assert len(forest.draw_forest(study).axes[0].get_xticks()) > 1
    study[["estimate", "ci_low", "ci_high"]] = np.nan
    empty = forest.draw_forest(study).axes[0]
    assert (len(empty.get_xticks()), empty.get_xlabel()) == (0, "")
    assert {text.get_text() for text in empty.texts} == {"not estimated"}


def test_forest_numbers_are_the_rows_of_the_estimates(inputs):
    numbers = forest.numbers_forest(inputs.estimates, inputs.model_labels)
    row = numbers[(numbers["level"] == "within_client") & (numbers["estimator"] == "REML")].iloc[0]
    source = inputs.estimates[
        (inputs.estimates["analysis"] == "main")
        & (inputs.estimates["term"] == "within")
        & (inputs.estimates["estimator"] == "REML")
    ].iloc[0]
    assert row["estimate"] == source["std_within"]
    assert (row["ci_low"], row["ci_high"]) == (
        source["std_within_low"], source["std_within_high"],
    )  # fmt: skip
    assert "MixedLM" not in set(numbers["estimator"])


def test_published_values_stay_in_their_own_panel(inputs):
    published = forest.published_rows(inputs.published)
    within = published[published["level"] == "within_client"]
    assert within["metric"].tolist() == ["raw points", "within-client SD", "within-client SD"]
    numbers = forest.numbers_forest(inputs.estimates, inputs.model_labels, published)
    study = numbers[numbers["panel"] == forest.STUDY]
    assert set(study["metric"]) == {"within-client SD"}
    assert 0.278 in numbers.loc[numbers["panel"] == forest.PUBLISHED, "estimate"].tolist()


def test_published_effects_are_named_by_author_and_year(inputs):
    """All alike, so that a reader finds the paper: no title, no effect without a year."""
    labels = forest.published_rows(inputs.published)["label"]
    assert len(labels) > 6
    for label in labels:
        assert re.fullmatch(
            r"[^:]+: [A-Z][\w-]+(?: [\w-]+)? (?:et al\. |& [\w-]+ )?\d{4}", label
        ), label
    assert "internet: Probst et al. 2019" in set(labels)


def test_published_effects_within_clients_stand_beside_models_of_their_kind_only(inputs):
    published = forest.published_rows(inputs.published)
    label = inputs.study.dynamics["next_session"].label
    arguments = (inputs.estimates, inputs.model_labels, published)
    numbers = forest.numbers_forest(*arguments, {"next_session": label})
    lagged = numbers[numbers["panel"] == forest.LAGGED]
    own = lagged[lagged["estimator"] != "published"]
    source = inputs.estimates
    source = source[(source["analysis"] == "next_session")]
    source = source[(source["term"] == "cross_lag_alliance_outcome")]
    by = source.set_index("estimator")["std_within"]
    assert own.set_index("estimator")["estimate"]["ML"] == by["Random-intercept VAR(1), ML"]
    field = lagged[lagged["estimator"] == "published"]
    assert sorted(field["estimate"]) == [-0.21, -0.16]
    assert field[["ci_low", "ci_high"]].isna().all().all()
    words = forest.describe_forest(numbers).caption
    assert "range (−0.21 to −0.16)" in words
    assert "must not be compared with the panel above" in words
    # Without a dynamic model there is nothing that they could honestly be held against.
    without = forest.numbers_forest(*arguments)
    assert forest.LAGGED not in set(without["panel"])
    assert "range (" not in forest.describe_forest(without).caption


def test_alliance_benchmarks_only_beside_alliance():
    content = synthetic.study().model_dump()
    for measure in content["measures"].values():
        measure["role"] = "process" if measure["role"] == "alliance" else measure["role"]
    content["ruptures"] = {}
    other = synthetic.figure_inputs(study=Study.model_validate(content))
    assert set(make_figure("forest", other).numbers["panel"]) == {forest.STUDY}


def test_a_flow_without_losses_is_a_narrow_figure():
    flow = synthetic.flow().iloc[[0, -1]].assign(sessions_in=9, sessions_out=9)
    figure = make_figure("data_flow", synthetic.figure_inputs(flow=flow, estimates=None)).figure
    assert figure.get_size_inches()[0] * MM_PER_INCH == pytest.approx(SINGLE_COLUMN_MM)


def test_variance_shares_add_to_one(inputs):
    numbers = variance.numbers_variance_decomposition(
        inputs.measures, inputs.estimates, inputs.model_labels
    )
    np.testing.assert_allclose(numbers.groupby("bar")["share"].sum(), 1)
    assert len(numbers["bar"].unique()) == 3  # totals, not subscales


def test_a_three_level_model_gives_a_bar_with_therapists(inputs):
    table = inputs.estimates
    extra = table[(table["analysis"] == "main") & (table["term"] == "sd_intercept")].assign(
        term="sd_therapist", level="between_therapist", estimate=1.0
    )
    numbers = variance.numbers_variance_decomposition(
        inputs.measures, pd.concat([table, extra]), inputs.model_labels
    )
    own = numbers[numbers["source"] == "model"]
    assert set(own["level"]) == {"within_client", "between_client", "between_therapist"}
    assert own["variance"].tolist() == pytest.approx([3.9**2, 4.9**2, 1.0])


def test_slope_lines_pass_through_the_estimate(inputs):
    numbers = slopes.numbers_within_between_slopes(inputs.estimates, None, "main", seed=1)
    end = numbers[(numbers["level"] == "within_client") & (numbers["x"] == 1)].iloc[0]
    assert end["y"] == pytest.approx(-1.21)
    assert end["y_low"] < end["y"] < end["y_high"]


def test_posterior_curve_is_a_density(inputs):
    numbers = posterior.numbers_posterior(
        inputs.draws, inputs.priors, inputs.estimates, {"main": "Main"}
    )
    for _, curve in numbers[numbers["curve"] == "posterior"].groupby("term"):
        assert np.trapezoid(curve["density"], curve["x"]) == pytest.approx(1, abs=0.01)
    with_prior = numbers.loc[numbers["curve"] == "prior", "term"].unique().tolist()
    assert with_prior == ["within", "between"]


def test_repair_is_the_first_rating_after_the_episode():
    tables = synthetic.ruptures()
    numbers = ruptures.numbers_rupture_timelines(
        tables["rupture_sessions"], tables["rupture_episodes"], tables["rupture_clients"],
        {"client_rated": ("Alliance", "mean_prior_study")},
    )  # fmt: skip
    repaired = numbers[numbers["label"] == "repaired"]
    for _, own in repaired.groupby("panel"):
        last_ruptured = own.loc[own["ruptured"], "session"].max()
        assert own.loc[own["repair"], "session"].tolist() == [last_ruptured + 1]


def test_labels_with_few_clients_give_no_example():
    tables = synthetic.ruptures()
    arguments = (tables["rupture_sessions"], tables["rupture_episodes"], tables["rupture_clients"])
    shown = {"client_rated": ("Alliance", "mean_prior_study")}
    numbers = ruptures.numbers_rupture_timelines(*arguments, shown, smallest_cell=12)
    assert set(numbers["label"]) == {"none"}


def test_rule_bars_add_to_a_hundred():
    numbers = ruptures.numbers_rupture_rules(synthetic.ruptures()["rupture_summary"])
    np.testing.assert_allclose(numbers.groupby("rule")["percent"].sum(), 100)


def test_rules_with_hidden_counts_have_no_bar():
    summary = synthetic.ruptures()["rupture_summary"].astype({"n_repaired": float})
    summary.loc[0, ["n_repaired", "pct_repaired"]] = np.nan
    numbers = ruptures.numbers_rupture_rules(summary)
    assert set(numbers["rule"]) == {"previous_drop", "own_mean"}


def test_colours_differ_in_grey():
    """Lightness of the colours that meet in one figure differs, so grey print can be read."""
    levels = [LEVEL_COLOUR[k] for k in ("within_client", "between_client", "between_therapist")]
    assert _smallest_gap(levels) > 0.12
    assert _smallest_gap([colour for colour, *_ in SERIES[:3]]) > 0.12
    assert len({(line, marker) for _, line, marker in SERIES}) == len(SERIES)


def _smallest_gap(colours: list[str]) -> float:
    grey = sorted(
        sum(
            w * int(c[i : i + 2], 16) / 255
            for w, i in zip((0.2126, 0.7152, 0.0722), (1, 3, 5), strict=True)
        )
        for c in colours
    )
    return min(b - a for a, b in pairwise(grey))


def test_correlations_have_no_zero_before_the_point():
    assert [bounded(x) for x in (0.841, -0.03, 1.0, 0.0, -0.001)] == [
        ".84", "−.03", "1.00", ".00", ".00",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["rupture_agreement", "rupture_repair", "forest", "reliability"])
def test_axes_of_correlations_have_none_either(drawn, name):
    figure = drawn[name].figure
    laid_out(figure)
    bounded_axes = [
        axis
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        if re.search("[Cc]orrelation|kappa|^Reliability", axis.label.get_text())
    ]
    assert bounded_axes
    for axis in bounded_axes:
        words = [text.get_text() for text in axis.get_ticklabels() if text.get_text()]
        assert len(words) > 2
        assert not [text for text in words if text.lstrip("−-").startswith("0.")]


def test_a_dollar_sign_in_a_label_is_text():
    rows = synthetic.trajectories()
    numbers = trajectories.numbers_trajectories(
        rows, {"symptoms": "Cost $x_1$ & <b>"}, None, seed=1
    )
    figure = trajectories.draw_trajectories(numbers)
    assert b"PNG" in figure_bytes(figure, "png")
    assert not figure.axes[0]._left_title.get_parse_math()


def test_headline_is_the_marked_model():
    assert headline_model(synthetic.study())[0] == "main"


def test_examples_of_several_ratings_are_chosen_by_rule():
    tables = synthetic.ruptures()
    parts = [tables[f"rupture_{part}"] for part in ("sessions", "episodes", "clients")]
    both = [pd.concat([part.assign(analysis=name) for name in ("one", "two")]) for part in parts]
    shown = {"one": ("First", "mean_prior_study"), "two": ("Second", "previous_drop")}
    numbers = ruptures.numbers_rupture_timelines(*both, shown)
    panels = numbers.drop_duplicates("panel").groupby("rating", sort=False).size()
    assert panels.to_dict() == {"First": 8, "Second": 4}
    again = ruptures.numbers_rupture_timelines(*[part.sample(frac=1) for part in both], shown)
    assert again["panel"].tolist() == numbers["panel"].tolist()
    assert again["score"].tolist() == numbers["score"].tolist()


def test_rules_of_several_ratings_have_bars_of_their_own():
    summary = synthetic.ruptures()["rupture_summary"]
    both = pd.concat([summary.assign(analysis=name) for name in ("one", "two")])
    numbers = ruptures.numbers_rupture_rules(both, {"one": "First", "two": "Second"})
    sums = numbers.groupby(["rating", "rule"])["percent"].sum()
    assert len(sums) == 6
    np.testing.assert_allclose(sums, 100)
    assert ruptures.draw_rupture_rules(numbers) is not None


def agreement(n_marks):
    marks = [("a/mean", "rule"), ("a/drop", "rule"), ("psq_client", "report")]
    marks += [(f"b/rule{i}", "rule") for i in range(n_marks - 3)]
    rows = [
        (one, two, one, two, kind_one, kind_two, level, 0.4 if level == "client" else 0.2, 0.3)
        for at, (one, kind_one) in enumerate(marks)
        for two, kind_two in marks[at + 1 :]
        for level in ("onset", "session", "client")
    ]
    names = ["mark_a", "mark_b", "label_a", "label_b", "kind_a", "kind_b", "level", "kappa",
             "jaccard"]  # fmt: skip
    extra = ["kappa_low", "kappa_high", "n"]
    return pd.DataFrame(rows, columns=names).assign(reason="", **dict.fromkeys(extra, np.nan))


def test_agreement_puts_sessions_below_and_clients_above_the_diagonal():
    numbers = rupture_agreement.numbers_rupture_agreement(agreement(4))
    below = numbers[numbers["row"] > numbers["column"]]
    above = numbers[numbers["row"] < numbers["column"]]
    assert (len(below), len(above)) == (6, 6)
    assert set(below["level"]) == {"session"}
    assert set(above["kappa"]) == {0.4}


def test_a_large_square_keeps_sources_and_first_rules():
    numbers = rupture_agreement.numbers_rupture_agreement(agreement(30))
    shown = set(numbers["row_label"])
    assert len(shown) == rupture_agreement.MOST_MARKS
    assert {"a/mean", "psq_client", "b/rule0"} <= shown
    words = rupture_agreement.describe_rupture_agreement(numbers, 30)
    assert "16 further rules" in words.caption


def test_agreement_without_numbers_is_not_drawn():
    nothing = agreement(3).assign(kappa=np.nan)
    numbers = rupture_agreement.numbers_rupture_agreement(nothing)
    assert isinstance(rupture_agreement.draw_rupture_agreement(numbers), NotDrawn)
