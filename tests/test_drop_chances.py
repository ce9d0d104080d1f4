"""Chances of discrete drops: classes without few clients, planted ruptures, and their figure."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from matplotlib.colors import to_hex

from alliance.figures import NotDrawn, make_figure
from alliance.figures.drop_probabilities import CLIENT, class_words
from alliance.figures.style import WITHIN
from alliance.published_run import compare_runs
from alliance.ruptures.drop_chances import EDGES, auc, chance_classes, chance_recovery, wilson


def chances(*groups: tuple[float, int]) -> pd.DataFrame:
    """A first rating and one later rating per client: (probability, clients) in turn."""
    values = [p for p, n in groups for _ in range(n)]
    names = [f"c{i:03d}" for i in range(len(values))]
    first = pd.DataFrame({"client": names, "session": 1, "probability": np.nan})
    return pd.concat(
        [first, pd.DataFrame({"client": names, "session": 2, "probability": values})],
        ignore_index=True,
    )


def test_large_classes_stay_as_they_are_and_hold_every_later_rating():
    classes = chance_classes(
        chances((0.001, 30), (0.02, 6), (0.1, 7), (0.3, 8), (0.6, 9), (1.0, 10)), 5
    )
    assert classes["low"].tolist() == list(EDGES[:-1])
    assert classes["n_sessions"].tolist() == [30, 6, 7, 8, 9, 10]
    assert classes["pct_sessions"].sum() == pytest.approx(100)
    assert classes["mean_probability"].tolist() == pytest.approx([0.001, 0.02, 0.1, 0.3, 0.6, 1.0])


def test_a_class_of_few_clients_joins_the_next_lower_one():
    classes = chance_classes(chances((0.001, 30), (0.3, 8), (0.6, 3), (0.9, 2)), 5)
    # .80 or more (2) joins .50 to .80 (3): five clients together are enough.
    assert list(zip(classes["low"], classes["high"], classes["n_sessions"], strict=True)) == [
        (0.0, 0.01, 30), (0.01, 0.05, 0), (0.05, 0.2, 0), (0.2, 0.5, 8), (0.5, 1.0, 5),
    ]  # fmt: skip


def test_few_clients_above_join_down_to_a_class_that_holds_enough():
    classes = chance_classes(chances((0.001, 30), (0.9, 4)), 5)
    assert list(zip(classes["low"], classes["high"], classes["n_sessions"], strict=True)) == [
        (0.0, 1.0, 34)
    ]


def test_few_clients_in_the_lowest_class_join_the_one_above():
    classes = chance_classes(chances((0.001, 2), (0.02, 30), (0.9, 10)), 5)
    assert classes["low"].tolist()[0] == 0.0
    assert classes["n_sessions"].iloc[0] == 32
    assert classes["n_sessions"].sum() == 42


@pytest.mark.parametrize("seed", range(20))
def test_no_class_tells_of_few_clients_nor_do_those_outside_it(seed):
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "client": random.integers(0, 12, 60).astype(str), "session": np.arange(60),
            "probability": random.beta(0.15, 0.5, 60),
        }
    )  # fmt: skip
    classes = chance_classes(frame, 5)
    total = frame["client"].nunique()
    assert classes["n_sessions"].sum() == 60
    for row in classes.itertuples():
        inside = frame["probability"].between(row.low, row.high, inclusive="left")
        inside |= (row.high == 1) & (frame["probability"] == 1)
        people = frame.loc[inside, "client"].nunique()
        assert people == 0 or people >= 5
        assert np.isnan(row.n_clients) == (0 < total - people < 5)


def test_too_few_clients_in_all_give_no_class():
    assert chance_classes(chances((0.001, 2), (0.9, 2)), 5).empty
    assert chance_classes(chances(), 5).empty


def test_area_under_the_curve_counts_pairs():
    # Marked: .9 and .2; others: .1, .2, .5. Pairs won: 3, and 1 + half a tie.
    value = np.array([0.9, 0.2, 0.1, 0.2, 0.5])
    marked = np.array([True, True, False, False, False])
    assert auc(value, marked) == pytest.approx((3 + 1.5) / 6)


def test_wilson_interval():
    # Standard example: 4 of 20.
    assert wilson(4, 20) == pytest.approx((0.0807, 0.4160), abs=1e-4)
    assert wilson(0, 10)[0] == 0.0
    assert np.isnan(wilson(0, 0)).all()


def test_planted_ruptures_are_held_against_the_chances():
    frame = chances((0.001, 30), (0.3, 10), (0.9, 10))
    # Planted: five of the likely, one of the possible, one at a session that was not rated.
    planted = pd.DataFrame({
        "client": ["c040", "c041", "c042", "c043", "c044", "c030", "c000"],
        "onset": [2, 2, 2, 2, 2, 2, 9],
    })  # fmt: skip
    found = chance_recovery(frame, planted, chance_classes(frame, 5), seed=1)
    rows = found.set_index("quantity")
    calibration = found[found["quantity"] == "calibration"].set_index("low")
    assert calibration.loc[0.8, ["n", "n_onsets", "estimate"]].tolist() == [10, 5, 0.5]
    assert calibration.loc[0.2, ["n", "n_onsets", "estimate"]].tolist() == [10, 1, 0.1]
    # Of 6 x 44 pairs: each of five wins over 39 and ties with 5, the sixth wins over 30 and
    # ties with 9.
    assert rows.loc["auc", "estimate"] == pytest.approx((5 * (39 + 2.5) + 30 + 4.5) / (6 * 44))
    assert rows.loc["auc", "ci_low"] < rows.loc["auc", "estimate"] < rows.loc["auc", "ci_high"]
    assert rows.loc["found", ["n", "n_onsets"]].tolist() == [7, 5]
    # Of 43 clients without a planted rupture five have a likely drop.
    assert rows.loc["false_alarms", "n"] == 43
    assert rows.loc["false_alarms", "estimate"] == pytest.approx(5 / 43)
    again = chance_recovery(frame, planted, chance_classes(frame, 5), seed=1)
    pd.testing.assert_frame_equal(found, again)


def test_without_planted_onsets_the_area_has_a_reason():
    frame = chances((0.001, 30), (0.9, 10))
    planted = pd.DataFrame({"client": ["elsewhere"], "onset": [2]})
    rows = chance_recovery(frame, planted, chance_classes(frame, 5), seed=1).set_index("quantity")
    assert np.isnan(rows.loc["auc", "estimate"])
    assert "planted onset" in rows.loc["auc", "reason"]


def test_a_refused_study_gives_tables_without_classes():
    nothing = pd.DataFrame({"client": [], "session": [], "probability": []})
    planted = pd.DataFrame({"client": ["c1"], "onset": [2]})
    classes = chance_classes(nothing, 5)
    found = chance_recovery(nothing, planted, classes, seed=1)
    assert classes.empty
    assert found["reason"].tolist() == ["no rating has a probability of a drop"]


NOT_CLAIMED = {
    "status": "not_estimated", "estimate": np.nan, "ci_low": np.nan, "ci_high": np.nan,
    "reason": "no discrete ruptures are claimed: a mixture with discrete drops does not predict "
    "left-out clients better than a symmetric heavy tail",
}  # fmt: skip


def figure(**changes):
    return make_figure("drop_probabilities", synthetic.figure_inputs(**changes))


def bar_colours(drawn) -> set[str]:
    return {
        to_hex(patch.get_facecolor())
        for axes in drawn.figure.axes
        if axes.get_ylabel() == "P (drop)"
        for patch in axes.patches
        if patch.get_height() > 0.2
    }


def test_the_figure_shows_examples_classes_and_planted_ruptures():
    drawn = figure()
    clients = drawn.numbers[drawn.numbers["part"] == CLIENT]
    assert clients["panel"].nunique() == 8
    assert (clients.groupby("panel")["probability"].max() >= 0.5).sum() == 6
    assert bar_colours(drawn) == {WITHIN}
    assert (
        "Discrete drops predict left-out clients better than heavy tails do" in drawn.text.caption
    )
    assert "11.5 [7.6, 15.4] against a symmetric heavy tail" in drawn.text.caption
    assert "AUC" in drawn.text.caption
    assert "60 clients" in drawn.text.caption


def test_the_figure_says_plainly_when_no_drops_are_claimed():
    estimates = pd.concat([synthetic.estimates(), synthetic.drop_rows(**NOT_CLAIMED)])
    drawn = figure(estimates=estimates)
    assert NOT_CLAIMED["reason"][1:] in drawn.text.caption
    assert "no evidence of ruptures" in drawn.text.caption
    said = [text.get_text() for block in drawn.figure.subfigs for text in block.texts]
    assert any("No discrete drops are claimed" in text for text in said)
    assert bar_colours(drawn) == {"#ffffff"}  # empty, lest they be read as drops


def test_the_figure_of_real_data_has_no_planted_ruptures():
    drawn = figure(drop_recovery=None)
    assert "planted" not in drawn.text.caption
    assert "calibration" not in set(drawn.numbers["quantity"])


def test_groups_of_few_clients_give_no_example():
    inputs = synthetic.figure_inputs()
    privacy = inputs.study.privacy.model_copy(update={"smallest_cell": 16})
    study = inputs.study.model_copy(update={"privacy": privacy})
    # Fifteen clients have a likely drop: none is shown; those without are.
    drawn = make_figure("drop_probabilities", dataclasses.replace(inputs, study=study))
    clients = drawn.numbers[drawn.numbers["part"] == CLIENT]
    assert clients["panel"].nunique() == 2
    assert clients["probability"].max() < 0.5


def test_without_the_key_or_with_too_few_ratings_the_reason_is_told():
    absent = figure(drop_probabilities=None, drop_classes=None, drop_recovery=None)
    assert isinstance(absent.figure, NotDrawn)
    assert "discrete_drops" in absent.figure.reason
    nothing = synthetic.drops()["drop_probabilities"].iloc[:0]
    refused = figure(drop_probabilities=nothing)
    assert isinstance(refused.figure, NotDrawn)
    assert "too few ratings" in refused.figure.reason
    # A study smaller than its smallest cell: a model was fitted, but has no class to be shown.
    few = figure(drop_classes=synthetic.drops()["drop_classes"].iloc[:0], drop_recovery=None)
    assert isinstance(few.figure, NotDrawn)
    assert "clients" in few.figure.reason


def test_words_of_classes():
    words = [class_words(*pair) for pair in ((0, 0.01), (0.05, 0.2), (0.8, 1), (0, 1))]
    assert words == ["below .01", ".05 to .20", ".80 or more", "any"]


@pytest.mark.parametrize(("moved", "verdict"), [(5e-4, "reproduced"), (5e-3, "differs")])
def test_a_probability_may_be_off_by_what_an_optimum_is(moved, verdict):
    numbers = pd.DataFrame({"probability": [0.2, 0.4]})
    found = compare_runs(
        {("figure", "drop_probabilities"): numbers},
        {("figure", "drop_probabilities"): numbers + moved},
    )
    assert set(found["verdict"]) == {verdict}
