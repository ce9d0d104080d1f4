"""Sentences on discrete drops and on repair beside the field, and the page of the validation."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alliance.report.rupture_further import discrete_drop_sentences, repair_sentences
from alliance.report.sentences import rule_definitions
from alliance.report.validation_ruptures import rupture_tables


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
    names = ["rule", "test", "term", "n_studies", "pct_nominal", "pct_null", "mean_estimate"]
    return pd.DataFrame([
        ("a", "client", "repaired_vs_none", n, 9.0, 5.0, 0.1),
        ("a", "landmark_6", "repaired_vs_none", n, 5.0, 7.0, 0.1),
        ("a", "landmark_8", "repaired_vs_none", n, 5.0, 5.0, 0.1),
        ("a", "noise", "prevalence", n, np.nan, 4.0, 10.0),
    ], columns=names)  # fmt: skip


def test_the_validation_page_tells_level_and_power_of_the_rupture_tests():
    ((sentence, table),) = rupture_tables({"no_ruptures": rejections(200)})
    assert sentence.startswith("200 studies without ruptures. 2 of 3 tests")
    assert "by 1.5 points (standard error). None is further" in sentence  # sqrt(.05 x .95 / 200)
    ((far, _),) = rupture_tables({"no_ruptures": rejections(1000)})  # 7 % is 2.9 errors of .69 off
    assert "twice that: a, landmark_6 repaired_vs_none: 7.0 % of 1,000." in far
    assert table[0] == ["Last outcome, clients by label", "200", "9.0", "5.0", "5.0 to 5.0"]
    assert table[1][:4] == ["Outcome after a landmark session", "400", "5.0", "6.0"]
    assert table[2] == ["Rates against noise", "200", "", "4.0", "4.0 to 4.0"]
    ((few, _),) = rupture_tables({"no_ruptures": rejections(4)})
    assert "Too few studies" in few
    ((power, _),) = rupture_tables({"planted_effect_0_5": rejections(200)})
    assert power.endswith("Shares are power.")


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
