"""Rupture rules: every edge case by hand, properties, and an independent slow implementation."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from alliance.estimates import to_frame
from alliance.problems import StudyError
from alliance.ruptures import (
    PooledScale,
    RuptureRule,
    agreement_matrix,
    client_outcome_rows,
    detect,
    detect_all,
    load_rules,
    pooled_scale,
    prevalence_rows,
    sensitivity,
    summarise,
)
from alliance.ruptures.agreement import pair_agreement
from alliance.ruptures.calibration import (
    NoiseModel,
    calibrated_thresholds,
    noise_scale,
    simulate_noise,
)
from alliance.ruptures.outcome_tests import RuptureAnalysis, alliance_course, first_and_last

FOLDER = Path(__file__).parent.parent / "config" / "ruptures"
RULES = load_rules(FOLDER)
RUNNABLE = {name: rule for name, rule in RULES.items() if not rule.refuses}
PROSPECTIVE = {name: rule for name, rule in RUNNABLE.items() if not rule.lookahead}
SCALE = PooledScale(2.0, 1.0, 0.75, 0.9)
ANALYSIS = RuptureAnalysis("client_rated", "alliance", "client", "symptoms", "symptoms", "points")


def rule(**keys):
    defaults = {"id": "test", "label": "test", "source": "test", "verified": "project"}
    return RuptureRule(**{**defaults, "scale": "points", "threshold": 2.0, **keys})


def table(*series, sessions=None):
    rows = [
        (f"c{number}", session, score)
        for number, scores in enumerate(series)
        for session, score in zip(sessions or range(1, len(scores) + 1), scores, strict=True)
    ]
    return pd.DataFrame(rows, columns=["client", "session", "score"])


def one(scores, asked, sessions=None, pooled=SCALE):
    return detect(table(scores, sessions=sessions), asked, pooled)


def states(result):
    return result.sessions["state"].tolist()


def label(result):
    return result.clients["label"].tolist()


# --- the algorithm by hand ---------------------------------------------------------------------


def test_planted_v_with_onset_nadir_and_latency():
    found = one([10, 10, 7, 10, 10], rule())
    episode = found.episodes.iloc[0]
    assert len(found.episodes) == 1
    assert episode[["onset", "nadir", "end", "duration", "latency"]].tolist() == [3, 3, 3, 1, 1]
    assert (episode["pre_score"], episode["depth"], episode["area"]) == (10, 3, 3)
    assert (episode["shape"], episode["status"]) == ("V", "repaired")
    assert states(found) == ["not_evaluable", "intact", "ruptured", "intact", "intact"]
    assert found.sessions["flag"].tolist() == [False, False, True, False, False]
    assert label(found) == ["repaired"]


def test_planted_u_is_one_episode():
    found = one([10, 10, 7, 7, 7, 10, 10], rule())
    episode = found.episodes.iloc[0]
    assert len(found.episodes) == 1
    assert episode[["onset", "nadir", "end", "duration", "latency"]].tolist() == [3, 3, 5, 3, 3]
    assert (episode["area"], episode["shape"], episode["status"]) == (9, "U", "repaired")


def test_decline_over_several_sessions():
    episode = one([10, 10, 8, 6, 3, 10], rule()).episodes.iloc[0]
    assert episode[["onset", "nadir", "latency", "depth"]].tolist() == [3, 5, 3, 7]
    assert (episode["area"], episode["shape"]) == (2 + 4 + 7, "decline")


def test_an_unrepaired_episode_ends_with_its_horizon_and_a_second_drop_is_a_rupture():
    asked = rule(scale="points", threshold=2.0, horizon=3)
    found = one([5, 5, 5, 3, 3, 3, 3, 3, 3, 1, 3, 3, 3], asked)
    columns = ["onset", "end", "duration", "area", "status", "shape"]
    assert found.episodes[columns].to_numpy().tolist() == [
        [4, 7, 4, 8, "unrepaired", "L"],
        [10, 10, 1, 2, "repaired", "V"],
    ]
    assert np.isnan(found.episodes["latency"][0])  # the return never came
    assert states(found)[7:9] == ["intact", "intact"]  # their baseline again
    assert found.sessions["reference"].tolist()[7:10] == [3, 3, 3]


def test_the_first_session_behind_the_horizon_can_be_a_rupture():
    found = one([5, 5, 3, 3, 3, 3, 1, 3], rule(scale="points", threshold=2.0, horizon=3))
    assert found.episodes["onset"].tolist() == [3, 7]


def test_staying_low_behind_the_horizon_is_no_second_rupture():
    """Against an earlier mean each low rating lies below the line: one stretch, one rupture."""
    asked = rule(reference="mean_prior", scale="points", threshold=2.0, t_min=4, horizon=3)
    found = one([5, 5, 5, 5, 2, 2, 2, 2, 2, 2], asked)
    assert found.episodes["onset"].tolist() == [5]
    assert states(found)[5:] == ["ruptured"] * 3 + ["intact"] * 2
    assert found.sessions["reference"].tolist()[8:] == [5, (4 * 5 + 2) / 5]  # back in the baseline
    # A break in it, and the next fall is one of its own (mean of 5, 5, 5, 5, 2, 4: 4.33).
    broken = one([5, 5, 5, 5, 2, 2, 2, 2, 2, 4, 2], asked)
    assert broken.episodes["onset"].tolist() == [5, 11]


def test_late_return_is_unrepaired_with_its_latency():
    episode = one([10, 10, 7, 7, 7, 7, 10, 10], rule(horizon=3)).episodes.iloc[0]
    assert (episode["status"], episode["latency"], episode["shape"]) == ("unrepaired", 4, "U")


@pytest.mark.parametrize(
    ("later", "status", "shape"),
    [(0, "indeterminate", "open"), (2, "indeterminate", "open"), (3, "unrepaired", "L")],
)
def test_right_censored_is_never_unrepaired(later, status, shape):
    found = one([10, 10, 7] + [7] * later, rule(horizon=3))
    assert found.episodes["status"].tolist() == [status]
    assert found.episodes["shape"].tolist() == [shape]
    assert np.isnan(found.episodes["latency"].iloc[0])
    assert label(found) == [status]


def test_return_at_the_last_session_of_the_horizon_is_repair():
    episode = one([10, 10, 7, 7, 7, 10], rule(horizon=3)).episodes.iloc[0]
    assert (episode["status"], episode["latency"]) == ("repaired", 3)


def test_without_a_horizon_a_rupture_is_repaired_or_indeterminate():
    without = rule(horizon=None)
    assert one([10, 7, 7, 7, 7, 7, 10], without).episodes["status"].tolist() == ["repaired"]
    open_end = one([10, 7, 7, 7, 7, 7], without)
    assert open_end.episodes["status"].tolist() == ["indeterminate"]
    assert np.isnan(summarise(open_end, without)["pct_repaired"])


def test_sessions_of_an_episode_leave_the_baseline():
    # Baseline 10, 10, 10; the low sessions 4, 4 must not pull the mean down: 7.9 is a rupture
    # below 10 - 2 = 8. With the low sessions in the mean (8) it would not be.
    prior = rule(reference="mean_prior", t_min=4)
    found = one([10, 10, 10, 4, 4, 10, 7.9, 10], prior)
    assert found.episodes["onset"].tolist() == [4, 7]
    assert found.sessions["reference"].iloc[6] == pytest.approx(10)


def test_the_session_of_return_joins_the_baseline():
    found = one([10, 10, 10, 4, 14, 10], rule(reference="mean_prior", t_min=4))
    assert found.sessions["reference"].iloc[5] == pytest.approx(44 / 4)


def test_reference_and_scale_are_frozen_during_an_episode():
    found = one([10, 10, 7, 6, 10], rule())
    assert found.sessions["reference"].tolist()[2:] == [10, 10, 10]
    assert found.sessions["deviation"].tolist()[2:] == [3, 4, 0]
    assert found.sessions["episode"].tolist()[2:4] == [1, 1]
    assert found.sessions["episode"].isna().tolist() == [True, True, False, False, True]


def test_sustained_return():
    twice = rule(sustained=2)
    brief = one([10, 10, 7, 10, 7, 7, 7, 7], twice)
    assert brief.episodes["status"].tolist() == ["unrepaired"]
    lasting = one([10, 10, 7, 10, 10, 10], twice).episodes.iloc[0]
    assert (lasting["status"], lasting["latency"]) == ("repaired", 2)


def test_slow_decline_is_not_repaired_by_staying_low():
    # Mean of 10, 10, 10, 8.1 is 9.5; 7.4 is a rupture. The session before was 8.1, so 7.9 would
    # pass 8.1 - .25 if the line of the rupture itself (9.525 - 2 = 7.525) were not regained too.
    prior = rule(reference="mean_prior", t_min=4, target_margin=0.75, target_margin_of="sd_within")
    found = one([10, 10, 10, 8.1, 7.4, 7.5, 7.5, 7.5], prior)
    assert found.episodes["status"].tolist() == ["unrepaired"]
    assert one([10, 10, 10, 8.1, 7.4, 7.6], prior).episodes["status"].tolist() == ["repaired"]


def test_half_of_drop_and_margins():
    half = rule(target="half_of_drop")
    assert one([10, 10, 6, 8], half).episodes["status"].tolist() == ["repaired"]
    assert one([10, 10, 6, 7.9], half).episodes["status"].tolist() == ["indeterminate"]
    margin = rule(scale="sd_total", threshold=1.0, target_margin=0.25)  # S = 2: margin .5
    assert one([10, 10, 7, 9.5], margin).episodes["status"].tolist() == ["repaired"]
    assert one([10, 10, 7, 9.4], margin).episodes["status"].tolist() == ["indeterminate"]
    within = rule(scale="sd_total", threshold=1.0, target_margin=0.25, target_margin_of="sd_within")
    assert one([10, 10, 7, 9.75], within).episodes["status"].tolist() == ["repaired"]
    assert one([10, 10, 7, 9.5], within).episodes["status"].tolist() == ["indeterminate"]


# --- edge cases of methods 2.1 -----------------------------------------------------------------


def test_first_session_is_no_rupture_however_low():
    found = one([1, 10, 10, 10], rule())
    assert len(found.episodes) == 0
    assert label(found) == ["none"]


def test_mean_prior_starts_at_the_fourth_rating():
    found = one([10, 1, 10, 1], rule(reference="mean_prior", t_min=4))
    assert found.sessions["flag"].tolist() == [False, False, False, True]
    with pytest.raises(ValueError, match="t_min must be at least 4"):
        rule(reference="mean_prior", t_min=3)


def test_own_rules_need_five_ratings_and_charts_eight():
    own = rule(
        reference="person_mean", scale="sd_own", threshold=1.5, min_sessions=5, lookahead=True
    )
    assert label(one([10, 10, 10, 1], own)) == ["not_evaluable"]
    assert label(one([10, 10, 10, 10, 1], own)) == ["indeterminate"]
    with pytest.raises(ValueError, match="at least 5"):
        rule(reference="person_mean", lookahead=True)
    with pytest.raises(ValueError, match="at least 8"):
        rule(reference="person_mean", scale="moving_range", min_sessions=5, lookahead=True)


def test_a_trend_line_needs_five_ratings():
    line = rule(reference="trend_line", min_sessions=5, lookahead=True)
    assert label(one([10, 10, 10, 1], line)) == ["not_evaluable"]
    # Line through 10, 10, 10, 10, 5: 9 at the third rating, falling by 1; the last lies at 7.
    found = one([10, 10, 10, 10, 5], line)
    assert found.sessions["reference"].tolist()[1:] == pytest.approx([10, 9, 8, 7])
    assert found.sessions["flag"].tolist() == [False, False, False, False, True]
    with pytest.raises(ValueError, match="at least 5"):
        rule(reference="trend_line", min_sessions=4, lookahead=True)


def test_missing_ratings_do_not_count_towards_the_first_evaluated_one():
    # Session 5 is the fourth with a rating: the drop there is looked at, that at session 4 is not.
    prior = rule(reference="mean_prior", t_min=4)
    found = one([10, np.nan, 10, 1, 1], prior)
    assert found.sessions["session"].tolist() == [1, 3, 4, 5]
    assert found.sessions["flag"].tolist() == [False, False, False, True]
    assert found.sessions["reference"].iloc[3] == pytest.approx(7)  # mean of 10, 10 and 1


def test_a_chart_of_a_client_who_never_varies_has_no_limits():
    chart = rule(
        reference="person_mean", scale="moving_range", threshold=3.0, min_sessions=8, lookahead=True
    )
    assert label(one([5] * 8, chart)) == ["no_variance"]
    # Ranges 0, 0, 0, 4, 4, 0, 0: mean 8/7, unit 8/7/1.128 = 1.013; mean 4.5, the low one 3.5 below.
    found = one([5, 5, 5, 5, 1, 5, 5, 5], chart)
    assert found.sessions["scale"].iloc[4] == pytest.approx(8 / 7 / 1.128)
    assert found.sessions["flag"].tolist()[4]
    assert found.sessions["flag"].sum() == 1


def test_no_variance_stays_in_the_denominator():
    own = rule(reference="person_mean", scale="sd_own", min_sessions=5, lookahead=True)
    found = detect(table([5] * 6, [10, 10, 10, 10, 1, 10], [5] * 3), own, SCALE)
    assert label(found) == ["no_variance", "repaired", "not_evaluable"]
    summary = summarise(found, own)
    assert (summary["n_evaluable"], summary["n_no_variance"], summary["n_not_evaluable"]) == (
        2,
        1,
        1,
    )
    assert set(states(found)[:6]) == {"not_evaluable", "no_variance"}


def test_no_variance_of_repeated_decimals():
    own = rule(reference="person_mean", scale="sd_own", min_sessions=5, lookahead=True)
    assert label(one([0.1 + 0.2, 0.3, 0.3, 0.3, 0.3], own)) == ["no_variance"]


def test_floor_makes_a_steady_client_evaluable():
    prior = {"reference": "mean_prior", "scale": "sd_own_prior", "t_min": 4, "threshold": 2.0}
    steady = [10, 10, 10, 9.5, 8.9]
    bare = one(steady, rule(**prior))
    assert states(bare)[3] == "no_variance"
    floored = one(steady, rule(**prior, scale_floor=0.5))  # unit .5, so a drop of 1
    assert floored.sessions["flag"].tolist() == [False, False, False, False, False]
    assert floored.sessions["scale"].tolist()[3:] == [0.5, 0.5]
    assert one([10, 10, 10, 9], rule(**prior, scale_floor=0.5)).sessions["flag"].tolist()[-1]


def test_stricter_of_own_and_sample_sd():
    gumz = RULES["gumz2012"]
    assert one([10, 10, 10, 8.5, 10, 10], gumz).sessions["flag"].sum() == 0  # sample SD 2 rules
    assert one([10, 10, 10, 8, 10, 10], gumz).sessions["flag"].tolist()[3]


def test_missing_rating_is_no_rupture():
    found = one([10, np.nan, 10, 10], rule())
    assert found.clients[["label", "n_sessions"]].to_numpy().tolist() == [["none", 3]]


def test_drop_across_a_gap_is_marked_and_not_counted():
    seen = [1, 2, 4, 5]
    found = one([10, 10, 5, 5], rule(), seen)
    assert states(found) == ["not_evaluable", "intact", "gap", "intact"]
    assert found.sessions["deviation"].iloc[2] == 5
    assert label(found) == ["none"]
    assert one([10, 10, 5, 5], rule(on_gap="allow"), seen).sessions["flag"].tolist()[2]
    missing = one([10, 10, np.nan, 5, 5], rule())
    assert states(missing)[2] == "gap"


def test_gaps_do_not_matter_to_other_references():
    found = one([10, 10, 10, 5], rule(reference="mean_prior", t_min=4), [1, 2, 3, 9])
    assert found.sessions["flag"].tolist()[-1]


def test_return_after_a_gap_is_a_return():
    found = one([10, 10, 5, 10], rule(), [1, 2, 3, 6])
    assert found.episodes[["status", "latency"]].to_numpy().tolist() == [["repaired", 1]]


def test_horizon_counts_rated_sessions():
    found = one([10, 10, 5, 5, 5, 5], rule(horizon=3), [1, 2, 3, 7, 11, 15])
    assert found.episodes["status"].tolist() == ["unrepaired"]


def test_ties_and_rounding():
    tenth = rule(threshold=0.3)
    assert one([1.0, 1.0, 0.7], tenth).sessions["flag"].tolist()[-1]  # 1 - .7 < .3 in binary
    back = rule(threshold=0.2)
    assert one([0.3, 0.3, 0.0, 0.1 + 0.2], back).episodes["status"].tolist() == ["repaired"]
    assert one([0.1 + 0.2, 0.1 + 0.2, 0.0, 0.3], back).episodes["status"].tolist() == ["repaired"]


def test_the_tolerance_of_ties_is_no_slack():
    # A drop that is short of 2 points by less than 1e-9 is one of 2 points; by 1e-8 it is not.
    assert one([10, 10, 8 + 5e-10], rule()).sessions["flag"].tolist()[-1]
    assert not one([10, 10, 8 + 1e-8], rule()).sessions["flag"].any()
    # So for the return to 10.
    assert one([10, 10, 7, 10 - 5e-10], rule()).episodes["status"].tolist() == ["repaired"]
    assert one([10, 10, 7, 10 - 1e-8], rule()).episodes["status"].tolist() == ["indeterminate"]


def test_share_of_ratings_at_the_ceiling():
    # Two of ten ratings are 14 of 14 possible points, by two clients; nobody at 15.
    scores = table([14, 10, 10, 10, 10], [10, 14, 10, 10, 10])
    found = detect(scores, rule(), pooled_scale(scores, ceiling=14))
    assert summarise(found, rule())["pct_ceiling"] == 20
    assert np.isnan(summarise(found, rule(), smallest_cell=5)["pct_ceiling"])  # of two clients
    assert (
        summarise(detect(scores, rule(), pooled_scale(scores, ceiling=15)), rule(), 5)[
            "pct_ceiling"
        ]
        == 0
    )
    assert np.isnan(summarise(detect(scores, rule(), SCALE), rule())["pct_ceiling"])  # not known


def test_previous_rating_rules_start_at_the_second_rating():
    # The first rating has none before it; the second is a drop of 3.
    found = one([10, 7, 10], rule())
    assert states(found) == ["not_evaluable", "ruptured", "intact"]
    with pytest.raises(ValueError, match="greater than or equal to 2"):
        rule(t_min=1)


def test_rules_evaluate_from_their_own_first_session_on():
    # t_min 4: the drop at the second rating is not looked at, that at the fourth is.
    found = one([10, 5, 10, 5, 10], rule(t_min=4))
    assert states(found) == ["not_evaluable"] * 3 + ["ruptured", "intact"]


def test_absolute_floor_in_points():
    assert one([10, 10, 7.5], rule(minimum_drop=3)).sessions["flag"].sum() == 0
    assert one([10, 10, 7], rule(minimum_drop=3)).sessions["flag"].sum() == 1


def test_client_labels_by_worst_or_last_episode():
    series = [10, 10, 5, 5, 5, 5, 10, 10, 5, 10, 10]  # unrepaired, then repaired
    assert label(one(series, rule())) == ["unrepaired"]
    assert label(one(series, rule(client_label="last_episode"))) == ["repaired"]
    both = [10, 10, 5, 10, 10, 5]  # repaired, then indeterminate
    found = one(both, rule())
    assert label(found) == ["repaired"]
    assert found.clients[["n_ruptures", "n_repaired", "n_indeterminate"]].to_numpy().tolist() == [
        [2, 1, 1]
    ]
    assert label(one(both, rule(client_label="last_episode"))) == ["indeterminate"]


def test_references_by_hand():
    scores = [4.0, 8.0, 6.0, 6.0, 1.0]
    best = one(scores, rule(reference="max_prior"))
    assert best.sessions["reference"].tolist()[1:4] == [4, 8, 8]
    own = rule(reference="person_mean", scale="sd_own", min_sessions=5, lookahead=True)
    found = one(scores, own)
    assert found.sessions["reference"].tolist()[1:] == pytest.approx([5.0] * 4)
    assert found.sessions["scale"].iloc[1] == pytest.approx(np.std(scores, ddof=1))
    trend = rule(reference="trend_line", scale="sd_own", min_sessions=5, lookahead=True)
    line = np.polyfit([1, 2, 3, 4, 5], scores, 1)
    found = one(scores, trend)
    assert found.sessions["reference"].iloc[3] == pytest.approx(np.polyval(line, 4))
    residual = np.asarray(scores) - np.polyval(line, [1, 2, 3, 4, 5])
    assert found.sessions["scale"].iloc[3] == pytest.approx(np.sqrt((residual**2).sum() / 3))


def test_scales_by_hand():
    long = [5.0, 7, 5, 7, 5, 7, 5, 7]
    chart = rule(
        reference="person_mean",
        scale="moving_range",
        threshold=3.0,
        min_sessions=8,
        lookahead=True,
    )
    assert one(long, chart).sessions["scale"].iloc[3] == pytest.approx(2 / 1.128)
    rci = one(long, rule(scale="sem_difference")).sessions["scale"].iloc[3]
    assert rci == pytest.approx(1.0 * np.sqrt(2) * np.sqrt(1 - 0.75))
    total = one(long, rule(scale="sem_difference_total")).sessions["scale"].iloc[3]
    assert total == pytest.approx(2.0 * np.sqrt(2) * np.sqrt(1 - 0.9))


def chart(*run_rules):
    """Own mean minus 99 SDs: only the run rules can give a signal."""
    return rule(
        reference="person_mean", scale="moving_range", threshold=99.0, min_sessions=8,
        target="person_mean", lookahead=True, run_rules=run_rules,
    )  # fmt: skip


def test_eight_ratings_in_a_row_below_the_mean():
    # Mean 6.5: ratings 2 to 9 lie below it, the eighth of them is session 9.
    series = [15.0, *[5.0] * 8, 10, 10, 5, 5, 5]
    assert one(series, chart()).sessions["flag"].sum() == 0
    found = one(series, chart("eight_on_one_side"))
    assert found.sessions.loc[found.sessions["flag"], "session"].tolist() == [9]
    assert found.episodes[["status", "latency"]].to_numpy().tolist() == [["repaired", 1]]
    seven = [15.0, *[5.0] * 7, 10, 10, 5, 5, 5]
    assert one(seven, chart("eight_on_one_side")).sessions["flag"].sum() == 0


def test_a_rating_at_the_mean_breaks_the_run():
    series = [10.0, *[4.0] * 4, 6.0, *[4.0] * 4, 14, 10]
    assert np.mean(series) == 6
    assert one(series, chart("eight_on_one_side")).sessions["flag"].sum() == 0


def test_two_of_three_beyond_two_sigma():
    # Moving ranges 0 x 9, 9, 1, 8, 0 x 5: mean 18 / 17, sigma .939; mean of 18 ratings 9.06.
    series = [10.0] * 10 + [1.0, 2.0] + [10.0] * 6
    found = one(series, chart("two_of_three"))
    assert found.sessions.loc[found.sessions["flag"], "session"].tolist() == [12]
    # One rating between them still counts, two do not.
    apart = one([10.0] * 10 + [1.0, 10.0, 2.0] + [10.0] * 6, chart("two_of_three"))
    assert apart.sessions.loc[apart.sessions["flag"], "session"].tolist() == [13]
    far = one([10.0] * 10 + [1.0, 10.0, 10.0, 2.0] + [10.0] * 6, chart("two_of_three"))
    assert far.sessions["flag"].sum() == 0


def test_run_rules_only_for_control_charts():
    with pytest.raises(ValueError, match="run_rules need reference: person_mean"):
        rule(run_rules=("two_of_three",))


def test_pooled_scale_by_hand():
    pooled = pooled_scale(table([1, 3], [5, 5, 8]), ceiling=8)
    assert pooled.sd_within == pytest.approx(np.sqrt((2 + 6) / 3))
    assert pooled.sd_total == pytest.approx(np.std([1, 3, 5, 5, 8], ddof=1))
    found = detect(table([1, 3], [5, 5, 8]), rule(), pooled)
    assert found.pct_ceiling == pytest.approx(20)


# --- an independent slow implementation --------------------------------------------------------


def slow_unit(asked, pooled, own, prior):
    """The unit of a drop; ``own`` all scores with their reference line, ``prior`` the baseline."""
    scores, line, degrees = own
    n = len(scores)
    if asked.scale == "sd_own":
        gone = sum((x - y) ** 2 for x, y in zip(scores, line, strict=True))
        unit = (gone / (n - degrees)) ** 0.5
    elif asked.scale == "moving_range":
        unit = sum(abs(a - b) for a, b in pairwise(scores)) / (n - 1) / 1.128
    elif asked.scale == "sd_own_prior":
        unit = float(np.std(prior, ddof=1)) if len(prior) > 1 else None
    else:
        unit = {
            "sd_total": pooled.sd_total,
            "sd_within": pooled.sd_within,
            "points": 1.0,
            "sem_difference": pooled.sd_within * (2 * (1 - pooled.reliability_within)) ** 0.5,
            "sem_difference_total": pooled.sd_total * (2 * (1 - pooled.reliability_total)) ** 0.5,
        }[asked.scale]
    floor = asked.scale_floor * getattr(pooled, asked.scale_floor_of)
    return None if unit is None else max(unit, floor)


def slow_threshold(asked, n):
    if not isinstance(asked.threshold, dict):
        return asked.threshold
    lengths = sorted(asked.threshold)
    if n <= lengths[0]:
        return asked.threshold[lengths[0]]
    for low, high in pairwise(lengths):
        if n <= high:
            part = (np.log(n) - np.log(low)) / (np.log(high) - np.log(low))
            return (1 - part) * asked.threshold[low] + part * asked.threshold[high]
    return asked.threshold[lengths[-1]]


def slow_signal(asked, run, centre, sigma):
    beyond = [x <= centre - 2 * sigma + 1e-9 for x in run]
    eight = len(run) >= 8 and all(x < centre - 1e-9 for x in run[-8:])
    return ("eight_on_one_side" in asked.run_rules and eight) or (
        "two_of_three" in asked.run_rules and beyond[-1] and sum(beyond[-3:]) >= 2
    )


def slow_horizon(asked, days, t):
    """The last session within the horizon of an onset, and whether ratings reach its end."""
    n = len(days)
    if asked.horizon_unit == "weeks":
        within = [r for r in range(t, n) if days[r] <= days[t] + 7 * asked.horizon]
        return max(within), days[-1] >= days[t] + 7 * asked.horizon
    limit = float("inf") if asked.horizon is None else asked.horizon
    return t + limit, n - 1 - t >= limit


def slow(asked, pooled, sessions, scores, days=None):
    """Flags and episodes of one client, by looking at whole lists again at every session."""
    n = len(scores)
    if n < asked.min_sessions:
        return [], []
    mean = sum(scores) / n
    if asked.reference == "trend_line":
        line, degrees = list(np.polyval(np.polyfit(sessions, scores, 1), sessions)), 2
    else:
        line, degrees = [mean] * n, 1
    k = slow_threshold(asked, n)
    baseline, flags, episodes, t, fresh = [], [], [], 0, 0
    low_stretch = False  # still below the line of an episode that was not repaired in time
    returns = -1  # when such an episode returns at last: no run rule until then
    while t < n:
        reference = None
        if t + 1 >= asked.t_min:
            reference = {
                "previous": lambda t=t: scores[t - 1],
                "max_prior": lambda: max(baseline),
                "mean_prior": lambda: sum(baseline) / len(baseline),
            }.get(asked.reference, lambda t=t: line[t])()
        unit = slow_unit(asked, pooled, (scores, line, degrees), baseline)
        across = asked.reference == "previous" and asked.on_gap == "exclude"
        gap = across and t > 0 and sessions[t] - sessions[t - 1] > 1
        usable = reference is not None and unit is not None and unit > 1e-9 and not gap
        drop = max(k * unit, asked.minimum_drop) if usable else None
        runs = usable and t > returns and t >= fresh
        signal = runs and slow_signal(asked, scores[fresh : t + 1], reference, unit)
        fell = usable and (signal or reference - scores[t] >= drop - 1e-9)
        low_stretch = low_stretch and (fell or not usable) and asked.reference != "previous"
        if not fell or low_stretch:
            baseline.append(scores[t])
            t += 1
            continue
        flags.append(sessions[t])
        if t < returns:  # an older episode has not returned before this one: it never does
            episodes[-1] = (*episodes[-1][:4], None, episodes[-1][5])
        margin = asked.target_margin * (
            unit if asked.target_margin_of == "scale" else pooled.sd_within
        )
        aim = {
            "pre_rupture": max(scores[t - 1] - margin, reference - drop + 2e-9),
            "person_mean": mean - margin,
            "half_of_drop": (reference + scores[t]) / 2 - margin,
        }[asked.target]
        back = [x >= aim - 1e-9 for x in scores]
        closing = next(
            (
                r
                for r in range(t + 1, n)
                if r - asked.sustained >= t and all(back[r - asked.sustained + 1 : r + 1])
            ),
            None,
        )
        latency = None if closing is None else closing - t
        last, watched = slow_horizon(asked, days or sessions, t)
        in_time = closing is not None and closing <= last
        status = "repaired" if in_time else "unrepaired" if watched else "indeterminate"
        stop = min(n if closing is None else closing, last + 1, n)
        low = scores[t:stop]
        nadir = sessions[t + low.index(min(low))]
        depth = (reference - min(low)) / unit
        episodes.append((sessions[t], nadir, sessions[stop - 1], status, latency, depth))
        if in_time:
            baseline.append(scores[closing])
            returns, t, fresh = -1, stop + 1, stop + 1
            continue
        returns = n if closing is None else closing
        low_stretch = scores[stop - 1] <= reference - drop + 1e-9
        t, fresh = stop, returns + 1
    return flags, episodes


scores_of_client = st.lists(
    st.one_of(st.none(), st.integers(0, 14).map(lambda x: x / 2)), min_size=1, max_size=24
)


# Every reference, scale, target and edge rule once; presets that differ in a number are left out.
KINDS = {
    **{name: RUNNABLE[name] for name in ("mean_prior", "previous_drop", "own_mean", "own_trend")},
    **{name: RUNNABLE[name] for name in ("gumz2012", "xmr_2sigma", "strauss2006", "rci_total")},
    "xmr_runs": RUNNABLE["xmr_runs"],
    "best_sustained": rule(reference="max_prior", scale="sd_within", sustained=2, threshold=1.0),
    "gap_half": rule(on_gap="allow", target="half_of_drop", horizon=1, threshold=1.0),
    "floor_points": rule(scale="sem_difference", threshold=1.0, minimum_drop=2.0, sustained=3),
    "later": rule(
        reference="mean_prior",
        scale="sd_own_prior",
        t_min=6,
        threshold=1.5,
        target="person_mean",
        target_margin=0.5,
        lookahead=True,
    ),
}


@pytest.mark.parametrize("name", sorted(KINDS))
@settings(max_examples=60, deadline=None, derandomize=True)
@given(series=st.lists(scores_of_client, min_size=1, max_size=4))
def test_engine_equals_the_slow_implementation(name, series):
    asked = KINDS[name]
    pooled = PooledScale(2.5, 1.5, 0.7, 0.9)
    found = detect(table(*series), asked, pooled)
    for number, scores in enumerate(series):
        rated = [(t + 1, x) for t, x in enumerate(scores) if x is not None]
        expected = slow(asked, pooled, *map(list, zip(*rated, strict=True))) if rated else ([], [])
        assert_found(found, f"c{number}", *expected)


def assert_found(found, client, flags, episodes):
    mine = found.sessions[found.sessions["client"] == client]
    assert mine.loc[mine["flag"], "session"].tolist() == flags
    rows = found.episodes[found.episodes["client"] == client]
    columns = ["onset", "nadir", "end", "status"]
    assert rows[columns].to_numpy().tolist() == [list(e[:4]) for e in episodes]
    latencies = [None if np.isnan(x) else x for x in rows["latency"]]
    assert latencies == [e[4] for e in episodes]
    assert rows["depth"].tolist() == pytest.approx([e[5] for e in episodes])


WEEKLY = [name for name in KINDS if KINDS[name].horizon is not None]
gaps_in_days = st.lists(st.integers(0, 30), min_size=24, max_size=24)


@pytest.mark.parametrize("name", WEEKLY)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(scores=scores_of_client, gaps=gaps_in_days)
def test_a_horizon_in_weeks_equals_the_slow_implementation(name, scores, gaps):
    asked = KINDS[name].model_copy(update={"horizon_unit": "weeks"})
    pooled = PooledScale(2.5, 1.5, 0.7, 0.9)
    day = np.cumsum(gaps)[: len(scores)].tolist()
    rated = [(t + 1, x, day[t]) for t, x in enumerate(scores) if x is not None]
    assume(rated)
    found = detect(table(scores).assign(day=day), asked, pooled)
    assert_found(found, "c0", *slow(asked, pooled, *map(list, zip(*rated, strict=True))))


# --- properties --------------------------------------------------------------------------------

complete = st.lists(st.integers(0, 20).map(float), min_size=2, max_size=25)


@pytest.mark.parametrize("name", sorted(PROSPECTIVE))
@settings(max_examples=25, deadline=None, derandomize=True)
@given(past=complete, future=complete)
def test_the_future_never_changes_a_prospective_flag(name, past, future):
    short = one(past, PROSPECTIVE[name])
    long = one(past + future, PROSPECTIVE[name])
    columns = ["reference", "scale", "flag", "state"]
    expected = short.sessions[columns]
    pd.testing.assert_frame_equal(long.sessions[columns].head(len(past)), expected)


def test_later_sessions_reach_a_prospective_flag_only_through_the_sd_of_the_sample():
    """Rules in units of the sample are prospective given its SDs, which pool all sessions."""
    past, calm = [10.0, 9, 10, 8, 10], [10.0, 9, 10, 9, 10]
    wild = [2.0, 18, 2, 18, 2]
    asked = RULES["previous_drop"]
    studies = [table(past + future, past + future) for future in (calm, wild)]
    pooled = [pooled_scale(scores) for scores in studies]

    def flags(scores, known):
        found = detect(scores, asked, known).sessions
        return found.loc[found["session"] <= len(past), "flag"].tolist()

    assert flags(studies[0], pooled[0]) == flags(studies[1], pooled[0])  # the same SDs
    assert any(flags(studies[0], pooled[0]))
    assert not any(flags(studies[1], pooled[1]))  # wider SDs, from later sessions alone


@settings(max_examples=60, deadline=None, derandomize=True)
@given(past=complete, futures=st.tuples(complete, complete))
def test_later_scores_never_change_a_flag_of_the_calibrated_rule(past, futures):
    length = min(len(future) for future in futures)
    flags = [
        one(past + future[:length], RULES["mean_prior"]).sessions["flag"].head(len(past)).tolist()
        for future in futures
    ]
    assert flags[0] == flags[1]


def test_a_lookahead_rule_is_changed_by_the_future():
    own = RULES["own_mean"]
    past = [10.0, 10, 10, 8, 10, 10]
    assert one(past, own).sessions["flag"].iloc[3]
    assert not one([*past, 1, 1, 1], own).sessions["flag"].iloc[3]


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"gap_half"}))  # that one is in points
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    series=st.lists(complete, min_size=2, max_size=4),
    shift=st.integers(-20, 20),
    factor=st.sampled_from([0.25, 2.0, 16.0]),
)
def test_shift_and_scale_of_the_study_change_nothing(name, series, shift, factor):
    scores = table(*series)
    moved = scores.assign(score=factor * scores["score"] + shift)
    pooled = pooled_scale(scores, 0.75, 0.9)
    assume(pooled.sd_within > 0)
    asked = KINDS[name].model_copy(update={"minimum_drop": 0.0})  # in points: not scale-free
    first = detect(scores, asked, pooled)
    second = detect(moved, asked, pooled_scale(moved, 0.75, 0.9))
    assert first.sessions["flag"].tolist() == second.sessions["flag"].tolist()
    assert first.clients["label"].tolist() == second.clients["label"].tolist()


@pytest.mark.parametrize("name", ["own_mean", "own_mean_prior", "xmr", "own_trend", "stiles2004"])
@settings(max_examples=30, deadline=None, derandomize=True)
@given(scores=complete, shift=st.integers(-20, 20), factor=st.sampled_from([0.25, 2.0, 16.0]))
def test_scale_free_rules_ignore_the_units_of_one_client(name, scores, shift, factor):
    moved = [factor * score + shift for score in scores]
    columns = ["flag", "state"]
    first, second = (one(x, RULES[name]).sessions[columns] for x in (scores, moved))
    pd.testing.assert_frame_equal(first, second)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(series=st.lists(complete, min_size=2, max_size=5), seed=st.integers(0, 99))
def test_order_of_rows_is_irrelevant(series, seed):
    scores = table(*series)
    shuffled = scores.sample(frac=1, random_state=seed)
    first, second = (detect(x, RULES["previous_drop"], SCALE) for x in (scores, shuffled))
    pd.testing.assert_frame_equal(first.sessions, second.sessions)
    pd.testing.assert_frame_equal(first.episodes, second.episodes)


@pytest.mark.parametrize("name", sorted(RUNNABLE))
def test_a_deep_planted_rupture_is_found_by_every_rule(name):
    # A calm client with one V of 8 units at session 12; charts see it too.
    calm = [20.0, 20.3, 19.8, 20.1, 19.9, 20.2, 20.0, 19.7, 20.1, 20.0, 20.2]
    found = one([*calm, 12.0, 20.3, 20.4, 20.2, 20.4], RUNNABLE[name])
    deepest = found.episodes.loc[found.episodes["depth"].idxmax()]
    assert deepest[["onset", "nadir", "latency"]].tolist() == [12, 12, 1]
    assert (deepest["shape"], deepest["status"]) == ("V", "repaired")


def test_readme_explains_every_key_and_lists_every_preset():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for key in RuptureRule.model_fields:
        assert f"| `{key}` |" in text
    for name in RULES:
        assert f"`{name}`" in text


# --- rules as data -----------------------------------------------------------------------------


def test_every_preset_is_sound_and_named_as_its_file():
    assert set(RULES) == {path.stem for path in FOLDER.glob("*.yaml")}
    published = {"stiles2004", "strauss2006", "mclaughlin2014", "stevens2007", "gumz2012", "xmr"}
    published |= {"lipner2022_k2", "holmqvist2018", "haugen2017", "rci", "srs_youth"}
    assert published <= set(RULES)
    for preset in RULES.values():
        assert preset.refuses or preset.lookahead == preset.uses_future
        assert preset.note or preset.refuses


def test_rules_that_are_not_known_refuse_with_a_reason():
    refusing = {name for name, preset in RULES.items() if preset.refuses}
    assert refusing == {
        "chen2018",
        "holmqvist2018",
        "srs_youth",
        "zlotnick2020",
    }
    found = one([10, 5, 10], RULES["holmqvist2018"])
    assert "not found" in found.refused
    summary = summarise(found, RULES["holmqvist2018"])
    assert np.isnan(summary["n_ruptured"])
    assert "not found" in summary["reason"]
    rows = prevalence_rows(found, RULES["holmqvist2018"], ANALYSIS)
    assert {row.status for row in rows} == {"not_estimated"}


@pytest.mark.parametrize(
    ("name", "stands_in"), [("haugen2017", "previous_drop"), ("lipsitz_odess2022", "own_mean")]
)
def test_rules_of_a_known_family_run_as_recalled(name, stands_in):
    assert RULES[name].verified == "recalled"
    assert "not found" in RULES[name].note
    scores = [10, 10, 9, 3, 10, 9, 10, 10]
    mine, other = (one(scores, RULES[rule]).sessions["flag"] for rule in (name, stands_in))
    assert mine.any()
    assert mine.tolist() == other.tolist()


def test_a_rule_that_needs_an_unknown_reliability_says_so():
    found = one([10, 5, 10], RULES["rci"], pooled=PooledScale(2.0, 1.0))
    assert "reliability" in found.refused


def test_problems_of_rule_files_come_all_at_once(tmp_path):
    good = (FOLDER / "previous_drop.yaml").read_text()
    (tmp_path / "one.yaml").write_text(good.replace("previous_drop", "one") + "treshold: 2\n")
    (tmp_path / "two.yaml").write_text(good.replace("sd_within", "sd_withn"))
    (tmp_path / "three.yaml").write_text(good)
    (tmp_path / "four.yaml").write_text("a: [")
    (tmp_path / "five.yaml").write_text(good.replace("lookahead: false", "lookahead: true"))
    with pytest.raises(StudyError) as caught:
        load_rules(tmp_path, ["one", "two", "three", "four", "five", "tow"])
    text = str(caught.value)
    assert len(caught.value.problems) == 6
    assert "Did you mean 'threshold'?" in text
    assert "Did you mean 'two'?" in text
    assert "sd_withn" in text
    assert "lookahead must be false" in text
    assert str(tmp_path) not in text


def test_thresholds_by_length():
    by_length = rule(threshold={4: 1.0, 16: 3.0}, lookahead=True)
    lengths = np.array([1, 4, 8, 16, 99])
    assert by_length.thresholds(lengths) == pytest.approx([1, 1, 2, 3, 3])


def test_wrong_scores_are_refused():
    good = table([1, 2])
    for bad, message in [
        (good.drop(columns="score"), "no score"),
        (good.assign(session=[1, 1]), "two rows"),
        (good.assign(session=[1, np.nan]), "session number"),
        (good.assign(score=[1, np.inf]), "infinite"),
    ]:
        with pytest.raises(ValueError, match=message):
            detect(bad, rule(), SCALE)


def test_clients_without_ratings_are_kept():
    found = detect(table([np.nan, np.nan], [10, 5, 10]), rule(), SCALE)
    assert found.clients[["client", "label", "n_sessions"]].to_numpy().tolist() == [
        ["c0", "not_evaluable", 0],
        ["c1", "repaired", 3],
    ]


SESSION_COLUMNS = "rule, client, session, score, reference, scale, deviation, flag, state, episode"
EPISODE_COLUMNS = (
    "rule, client, episode, onset, nadir, end, pre_score, depth, duration, area, latency, "
    "latency_weeks, shape, status"
)
CLIENT_COLUMNS = (
    "rule, client, label, n_sessions, n_ruptures, n_repaired, n_unrepaired, n_indeterminate"
)
SUMMARY_COLUMNS = (
    "rule, label, verified, lookahead, n_clients, n_evaluable, n_ruptured, pct_ruptured, "
    "n_repaired, pct_repaired, n_unrepaired, n_indeterminate, median_latency, median_depth"
)


def test_scored_tables_with_nullable_columns_survive_parquet(tmp_path):
    scores = table([10, np.nan, 5, 5], [10, 10, 5, 10]).astype(
        {"client": "string", "session": "Int64", "score": "Float64"}
    )
    found = detect(scores, rule(on_gap="allow"), pooled_scale(scores))
    for part in (found.sessions, found.episodes, found.clients):
        part.to_parquet(tmp_path / "part.parquet")
        again = pd.read_parquet(tmp_path / "part.parquet")
        assert again.astype(str).equals(part.astype(str))
    assert found.sessions["flag"].sum() == 2


def test_columns_are_those_of_the_contract():
    found = one([10, 5, 10], rule())
    assert ", ".join(found.sessions.columns) == SESSION_COLUMNS
    assert ", ".join(found.episodes.columns) == EPISODE_COLUMNS
    assert ", ".join(found.clients.columns) == CLIENT_COLUMNS
    assert ", ".join(summarise(found, rule())).startswith(SUMMARY_COLUMNS)


# --- noise: what rules give without ruptures ---------------------------------------------------


def rate(scores, asked, pooled):
    return summarise(detect(scores, asked, pooled), asked)["pct_ruptured"]


@pytest.mark.parametrize(("length", "rates"), [(8, (44, 75, 30, 55)), (16, (60, 89, 43, 72))])
def test_noise_gives_the_rates_of_the_methods_table(length, rates):
    """Methods 2.3: an independent simulation of the same noise with other code."""
    scores = simulate_noise(NoiseModel(), 6000, length, np.random.default_rng(3))
    pooled = pooled_scale(scores, 0.75)
    asked = [
        rule(scale="sd_total", threshold=1.0),
        rule(scale="sd_within", threshold=1.0),
        rule(scale="sd_within", threshold=2.0),
        rule(scale="sem_difference", threshold=1.96),
    ]
    assert [rate(scores, one_rule, pooled) for one_rule in asked] == pytest.approx(rates, abs=2.5)


@pytest.mark.parametrize("length", [8, 14, 16, 30])
def test_calibrated_rule_flags_a_tenth_of_rupture_free_clients(length):
    scores = simulate_noise(NoiseModel(), 12000, length, np.random.default_rng(length))
    pooled = pooled_scale(scores)
    assert rate(scores, RULES["mean_prior"], pooled) == pytest.approx(10, abs=1.0)


def test_calibration_finds_the_threshold_in_the_file():
    table_found = calibrated_thresholds(RULES["mean_prior_fixed"], [16], n_clients=20_000, seed=8)
    assert table_found[16] == pytest.approx(RULES["mean_prior"].threshold[16], abs=0.05)
    with pytest.raises(ValueError, match="minimum_drop"):
        calibrated_thresholds(rule(minimum_drop=1.0), [16])


def test_noise_has_the_declared_scale():
    model = NoiseModel(sd_spread=0.2)
    scores = simulate_noise(model, 4000, 40, np.random.default_rng(5))
    expected, found = noise_scale(model), pooled_scale(scores)
    assert found.sd_total == pytest.approx(expected.sd_total, rel=0.02)
    assert found.sd_within == pytest.approx(expected.sd_within, rel=0.02)


def test_sensitivity_to_planted_ruptures_by_hand():
    scores = table(
        [10, 10, 5, 10, 10, 10], [10, 10, 10, 5, 10, 10], [10] * 6, [10, 5, 10, 5, 10, 9]
    )
    planted = pd.DataFrame({"client": ["c0", "c1", "c1", "gone"], "onset": [4, 1, 5, 2]})
    found = sensitivity(detect(scores, rule(), SCALE), planted)
    # c0: flag 3 claims 4. c1: flag 4 claims 5, nothing near 1. c2: clean. c3: two false alarms.
    assert (found["n_planted"], found["n_found"], found["sensitivity"]) == (3, 2, 2 / 3)
    assert (found["n_rupture_free"], found["false_alarms_per_client"]) == (2, 1.0)
    assert (found["pct_clients_alarmed"], found["n_unrated"]) == (50, 0)


def test_a_flag_claims_only_one_planted_rupture():
    planted = pd.DataFrame({"client": ["c0", "c0", "c0"], "onset": [2, 4, 9]})
    found = sensitivity(one([10, 10, 5, 10, 10], rule()), planted)
    assert (found["n_found"], found["n_unrated"]) == (1, 1)


# --- agreement ---------------------------------------------------------------------------------


def test_agreement_by_hand():
    marked_a = np.array([True, True, False, False, False])
    marked_b = np.array([True, False, True, False, False])
    found = pair_agreement(marked_a, marked_b)
    assert (found["n_both"], found["jaccard"]) == (1, pytest.approx(1 / 3))
    chance = 0.4 * 0.4 + 0.6 * 0.6
    assert found["kappa"] == pytest.approx((0.6 - chance) / (1 - chance))
    none = pair_agreement(~np.ones(3, bool), ~np.ones(3, bool))
    assert np.isnan(none["jaccard"])
    assert np.isnan(none["kappa"])


def test_agreement_matrix_of_rules():
    scores = table([10, 10, 5, 10, 10], [10, 10, 8, 10, 10], [10] * 5, [10])
    strict, loose = rule(id="strict", threshold=4.0), rule(id="loose", threshold=2.0)
    results = detect_all(
        scores, {"strict": strict, "loose": loose, "chen": RULES["chen2018"]}, SCALE
    )
    matrix = agreement_matrix(results).set_index(["rule_a", "rule_b", "level"])
    clients = matrix.loc[("strict", "loose", "client")]
    assert clients[["n", "n_a", "n_b", "n_both"]].tolist() == [3, 1, 2, 1]
    assert clients["jaccard"] == 0.5
    assert matrix.loc[("strict", "loose", "onset"), "n"] == 12
    assert "not found" in matrix.loc[("loose", "chen2018", "client"), "reason"]
    with pytest.raises(ValueError, match="same scores"):
        agreement_matrix({"a": one([1, 2], strict), "b": one([1, 3], loose)})


# --- outcome -----------------------------------------------------------------------------------


HALF_BACK = rule(target="half_of_drop")  # tells the planted groups apart in spite of noise


def outcome_study(n_per_group, effect, seed=1, therapists=None):
    """Clients with repaired, unrepaired and no ruptures whose outcome has known group effects."""
    rng = np.random.default_rng(seed)
    shapes = {
        "none": [10.0] * 8,
        "repaired": [10, 10, 5, 10, 10, 10, 10, 10],
        "unrepaired": [10, 10, 5, 5, 5, 5, 10, 10],
    }
    series, groups = [], []
    for group, shape in shapes.items():
        for _ in range(n_per_group[group]):
            series.append(list(np.asarray(shape) + 0.3 * rng.normal(size=8)))
            groups.append(group)
    n = len(series)
    baseline = rng.normal(20, 5, n)
    last = 0.5 * baseline + np.array([effect[g] for g in groups]) + rng.normal(0, 2, n)
    outcomes = pd.DataFrame(
        {"client": [f"c{i}" for i in range(n)], "baseline": baseline, "last": last}
    )
    if therapists:
        outcomes["therapist"] = [f"t{i % therapists}" for i in range(n)]
    return table(*series), outcomes


def test_contrasts_recover_known_differences():
    scores, outcomes = outcome_study(
        {"none": 400, "repaired": 400, "unrepaired": 400},
        {"none": 0.0, "repaired": -1.0, "unrepaired": 2.0},
    )
    found = detect(scores, HALF_BACK, SCALE)
    rows = {row.term: row for row in client_outcome_rows(found, HALF_BACK, outcomes, ANALYSIS)}
    assert list(rows) == [
        "repaired_vs_none[test]",
        "unrepaired_vs_none[test]",
        "repaired_vs_unrepaired[test]",
    ]
    first, second, third = rows.values()
    for row, truth in zip(rows.values(), (-1, 2, -3), strict=True):
        assert row.status == "ok"
        assert abs(row.estimate - truth) < 4 * row.se
        assert "can reject too often" in row.known_bias
    assert third.estimate == pytest.approx(first.estimate - second.estimate)
    assert first.n_clients == 1200
    assert "HC3" in first.estimator


def test_contrasts_equal_a_regression_written_out():
    scores, outcomes = outcome_study(
        {"none": 30, "repaired": 25, "unrepaired": 20},
        {"none": 0, "repaired": 0, "unrepaired": 1},
        seed=4,
    )
    scores = scores[~((scores["client"].str[-1] == "3") & (scores["session"] > 6))]
    found = detect(scores, HALF_BACK, SCALE)
    row = client_outcome_rows(found, HALF_BACK, outcomes, ANALYSIS)[2]
    frame = outcomes.merge(found.clients, on="client").merge(alliance_course(found), on="client")
    group = frame["label"].astype(str)
    X = np.column_stack(
        [
            np.ones(len(frame)),
            frame["baseline"],
            group == "repaired",
            group == "unrepaired",
            np.log(frame["n_rated"]),
            frame["mean"],
            frame["slope"],
        ]
    ).astype(float)
    y = frame["last"].to_numpy()
    inverse = np.linalg.inv(X.T @ X)
    beta = inverse @ X.T @ y
    leverage = np.einsum("ij,jk,ik->i", X, inverse, X)
    scaled = X * ((y - X @ beta) / (1 - leverage))[:, None]
    covariance = inverse @ scaled.T @ scaled @ inverse
    contrast = np.array([0, 0, 1, -1, 0, 0, 0])
    assert row.estimate == pytest.approx(beta @ contrast)
    assert row.se == pytest.approx(np.sqrt(contrast @ covariance @ contrast))
    assert row.df == len(frame) - 7


def test_therapists_give_cluster_robust_errors():
    sizes = {"none": 60, "repaired": 60, "unrepaired": 60}
    effect = {"none": 0, "repaired": 0, "unrepaired": 0}
    few, many = (
        client_outcome_rows(detect(scores, HALF_BACK, SCALE), HALF_BACK, outcomes, ANALYSIS)[0]
        for scores, outcomes in (outcome_study(sizes, effect, therapists=n) for n in (19, 25))
    )
    assert ("HC3" in few.estimator, few.n_therapists) == (True, 19)
    assert ("therapist" in many.estimator, many.df) == (True, 24)


def test_small_cells_are_refused_with_a_reason():
    scores, outcomes = outcome_study(
        {"none": 40, "repaired": 40, "unrepaired": 9},
        {"none": 0, "repaired": 0, "unrepaired": 0},
    )
    rows = client_outcome_rows(detect(scores, HALF_BACK, SCALE), HALF_BACK, outcomes, ANALYSIS)
    assert [row.status for row in rows] == ["ok", "not_estimated", "not_estimated"]
    assert "unrepaired (9)" in rows[1].reason
    assert rows[0].n_clients == 80
    assert "unrepaired 9" in rows[0].missing_rule
    frame = to_frame(rows)
    assert frame["estimate"].isna().tolist() == [False, True, True]


def test_refused_rules_give_contrast_rows_with_the_reason():
    preset = RULES["chen2018"]
    scores, outcomes = outcome_study(
        {"none": 2, "repaired": 2, "unrepaired": 2}, {"none": 0, "repaired": 0, "unrepaired": 0}
    )
    rows = client_outcome_rows(detect(scores, preset, SCALE), preset, outcomes, ANALYSIS)
    assert [row.status for row in rows] == ["not_estimated"] * 3


def test_prevalence_rows_by_hand():
    scores = table(*[[10, 10, 5, 10]] * 3, [10, 10, 5, 5, 5, 5], [10, 5], *[[10] * 4] * 5, [10])
    found = detect(scores, rule(), SCALE)
    rows = prevalence_rows(found, rule(), ANALYSIS)
    assert [(row.estimate, row.n_clients) for row in rows] == [(0.5, 10), (0.75, 4), (0.2, 5)]
    low, high = rows[0].ci_low, rows[0].ci_high
    z = 1.959963984540054
    half = z * np.sqrt(0.25 / 10 + z**2 / 400) / (1 + z**2 / 10)
    assert (low, high) == (pytest.approx(0.5 - half), pytest.approx(0.5 + half))
    assert {row.level for row in rows} == {"client"}
    nobody = prevalence_rows(detect(table([10] * 4), rule(), SCALE), rule(), ANALYSIS)
    assert [row.status for row in nobody] == ["ok", "not_estimated", "not_estimated"]
    endless = rule(horizon=None)
    share = prevalence_rows(detect(scores, endless, SCALE), endless, ANALYSIS)[1]
    assert "no limit" in share.reason


def test_first_and_last_outcome_and_course():
    sessions = pd.DataFrame(
        {
            "client": ["a", "a", "a", "b", "c"],
            "session": [2, 1, 3, 1, 1],
            "symptoms": [15.0, 20.0, np.nan, 9.0, np.nan],
        }
    )
    found = first_and_last(sessions, "symptoms").set_index("client")
    assert found.loc["a"].tolist() == [20, 15]
    assert np.isnan(found.loc["b", "last"])
    assert "c" not in found.index
    course = alliance_course(one([1.0, 4.0, 5.0], rule())).iloc[0]
    assert course[["n_rated", "mean", "slope"]].tolist() == pytest.approx([3, 10 / 3, 2])
