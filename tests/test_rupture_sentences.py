"""Sentences on discrete drops and on repair beside the field, and the page of the validation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alliance.figures.drop_probabilities import describe_drop_probabilities
from alliance.report.rupture_further import discrete_drop_sentences, repair_sentences
from alliance.report.validation_ruptures import LEVEL_HEADINGS, TEST_HEADINGS, rupture_designs
from alliance.tables.ruptures import rule_definitions


def rows(*entries: dict[str, object]) -> pd.DataFrame:
    base = {"status": "ok", "reason": "", "kind": "fit", "units": "points", "n_clients": 200.0,
            "estimator": "", "rule": "", "ci_low": np.nan, "ci_high": np.nan}  # fmt: skip
    return pd.DataFrame([{**base, **entry} for entry in entries])


COMPARED = (
    {"quantity": "discrete_drops_vs_student", "estimate": 27.19, "ci_low": 14.93, "ci_high": 39.4},
    {"quantity": "discrete_drops_vs_skewed", "estimate": 16.3, "ci_low": 5.2, "ci_high": 27.4},
)


def test_supported_drops_are_told_with_their_share_and_size():
    own = rows(
        *COMPARED,
        {"quantity": "drop_share", "estimate": 0.0204, "ci_low": 0.0127, "ci_high": 0.0323},
        {"quantity": "drop_size", "estimate": 1.023, "ci_low": 0.885, "ci_high": 1.176},
    )
    (said,) = discrete_drop_sentences(own)
    assert "27.2 [14.9, 39.4] against a symmetric heavy tail" in said
    assert "A drop precedes 2.0% of ratings after the first (95% CI [1.3%, 3.2%])" in said
    assert "1.023 points (95% CI [0.885, 1.176]) on average" in said
    title = describe_drop_probabilities(pd.DataFrame(), {}).title
    assert f"Figure '{title}' shows how likely" in said


def test_unsupported_drops_give_the_reason_and_no_size():
    why = "no discrete ruptures are claimed: a skewed tail predicts as well"
    absent = {"status": "not_estimated", "reason": why, "estimate": np.nan}
    own = rows(*COMPARED, *({"quantity": q, **absent} for q in ("drop_share", "drop_size")))
    (said,) = discrete_drop_sentences(own)
    assert said.startswith(f"Session by session, {why} (difference in log")
    assert "on average" not in said
    assert list(discrete_drop_sentences(own.iloc[:0])) == []


def test_repair_stands_beside_the_published_correlation():
    own = rows(
        {"quantity": "r_repair_baseline", "rule": "first", "kind": "correlation",
         "estimate": -0.21, "ci_low": -0.53, "ci_high": 0.19},
        {"quantity": "r_repair_published", "kind": "correlation", "estimate": -0.29,
         "ci_low": -0.47, "ci_high": -0.10, "estimator": "meta-analysis: Someone 2018"},
    )  # fmt: skip
    (said,) = repair_sentences(own, "first")
    assert "r = −.21, 95% CI [−.53, .19]" in said
    assert "r = −.29, 95% CI [−.47, −.10] (Someone 2018;" in said
    assert list(repair_sentences(own, "second")) == []


def rejections(n: int) -> pd.DataFrame:
    names = ["rule", "test", "term", "n_studies", "pct_nominal", "pct_null", "pct_attainable",
             "pct_null_randomised", "mean_estimate"]  # fmt: skip
    return pd.DataFrame([
        ("a", "client", "repaired_vs_none", n, 9.0, 5.0, 5.0, 5.2, 0.1),
        ("a", "landmark_6", "repaired_vs_none", n, 5.0, 7.0, 5.0, 6.9, 0.1),
        ("a", "landmark_8", "repaired_vs_none", n, 5.0, 3.5, 3.6, 5.1, 0.1),
        ("a", "noise", "prevalence", n, np.nan, 4.0, 5.0, 4.6, 10.0),
    ], columns=names)  # fmt: skip


def test_the_validation_page_tells_level_and_power_of_the_rupture_tests():
    (told,) = rupture_designs({"no_ruptures": rejections(200)})
    assert told.sentence.startswith("200 studies without ruptures. 1 of 3 tests")
    assert "null, 2 by randomised ranks, 2 by the nominal p" in told.sentence
    assert "by 1.5 points (standard error). None is further" in told.sentence  # sqrt(.05x.95/200)
    (far,) = rupture_designs({"no_ruptures": rejections(1000)})  # 7% is 2.9 errors of .69 off
    assert (
        "twice that: a, landmark_6 repaired_vs_none: 7.0% of 1,000 (attainable 5.0%, randomised "
        "ranks 6.9%); a, landmark_8"
    ) in far.sentence
    assert told.levels[0] == [
        "Last outcome, clients by label", "200", "9.0", "5.0", "5.0", "5.2", "5.0 to 5.0",
    ]  # fmt: skip
    assert told.levels[1][:4] == ["Outcome after a landmark session", "400", "5.0", "5.2"]
    assert told.levels[2][2:] == ["", "4.0", "5.0", "4.6", "4.0 to 4.0"]
    assert told.tests[2] == [
        "`a`: landmark 8, repaired vs none", "200", "0.1", "5.0", "3.5", "3.6", "5.1",
    ]  # fmt: skip
    assert {len(row) for row in told.tests} == {len(TEST_HEADINGS)}
    assert {len(row) for row in told.levels} == {len(LEVEL_HEADINGS)}
    older = rejections(1000).drop(columns=["pct_attainable", "pct_null_randomised"])
    (old,) = rupture_designs({"no_ruptures": older})
    assert "null, 2 by the nominal p" in old.sentence
    assert "landmark_6 repaired_vs_none: 7.0% of 1,000; a," in old.sentence
    assert old.tests[2][-2:] == ["", ""]
    (few,) = rupture_designs({"no_ruptures": rejections(4)})
    assert "Too few studies" in few.sentence
    assert len(few.tests) == 4  # what there is


@pytest.mark.parametrize(
    ("design", "words"),
    [
        ("planted_no_effect", "against outcome and drop-out are size, those of the rates"),
        ("planted_effect_0_5", "of the rates against noise are power"),
    ],
)
def test_shares_with_planted_ruptures_are_called_size_or_power(design, words):
    (told,) = rupture_designs({design: rejections(200)})
    assert words in told.sentence


def test_a_rule_is_defined_once_and_by_its_threshold_for_other_ratings():
    first = "A session is a rupture when the rating lies at least 1.99 to 3.87 times the SD of x."
    second = first.replace("1.99 to 3.87", "2.00 to 3.88")
    other = "A session is a rupture when the rating lies at least 2 points below y."

    def summary(*definitions: tuple[str, str]) -> pd.DataFrame:
        return pd.DataFrame(definitions, columns=["label", "definition"]).assign(rule="r")

    told = list(
        rule_definitions(
            {"a": summary(("Calibrated", first), ("Other", other)),
             "b": summary(("Calibrated", second), ("Other", other))},
            {"a": "Total", "b": "Bond"},
        )
    )  # fmt: skip
    assert told == [
        f"Calibrated (Total): {first}",
        f"Other: {other}",
        "Calibrated (Bond): the same with at least 2.00 to 3.88 times the unit.",
    ]
