"""Scales that measure change within clients badly: said in the rows and in the report."""

from __future__ import annotations

import pandas as pd
import pytest
import synthetic_results as synthetic

from alliance.estimation.exploratory import label_exploratory
from alliance.report import sentences

LABELS = {"alliance_client": "Alliance", "symptoms": "Symptoms"}


def reliability(**within: float) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"measure": name, "scale": "total", "level": "within_client", "coefficient": "omega",
             "estimate": value}
            for name, value in within.items()
        ]
    )  # fmt: skip


def main_rows(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["analysis"] == "main"].set_index("term")


def test_within_rows_of_a_weak_scale_are_exploratory():
    before = synthetic.estimates()
    after = main_rows(label_exploratory(before, reliability(alliance_client=0.55), LABELS))
    within = after.loc[["within"], "known_bias"]
    assert within.str.startswith("exploratory: reliability within clients below 0.60").all()
    assert within.str.contains("(Alliance)", regex=False).all()
    assert not after.loc[["between"], "known_bias"].str.contains("exploratory").any()
    kept = main_rows(before).loc[["within"], "known_bias"]
    assert [new.endswith(old) for new, old in zip(within, kept, strict=True)] == [True] * len(kept)


@pytest.mark.parametrize("values", [{"alliance_client": 0.60, "symptoms": 0.8}, {}])
def test_a_sound_or_unknown_scale_changes_nothing(values):
    before = synthetic.estimates()
    known = reliability(**values) if values else reliability(other=0.9)
    pd.testing.assert_frame_equal(label_exploratory(before, known, LABELS), before)


def test_a_weak_outcome_counts_too():
    after = label_exploratory(synthetic.estimates(), reliability(symptoms=0.2), LABELS)
    assert main_rows(after).loc[["within"], "known_bias"].str.contains("Symptoms").all()


def test_the_report_says_so():
    study, weak = synthetic.study(), reliability(alliance_client=0.55)
    table = label_exploratory(synthetic.estimates(), weak, LABELS)
    answer = sentences.model_answer(table, study, "main", "within")
    assert any("This within-client result is exploratory" in text for text in answer.sentences)
    plain = sentences.model_answer(synthetic.estimates(), study, "main", "within")
    assert not any("exploratory" in text for text in plain.sentences)


def test_reliable_change_in_words():
    row = {
        "measure": "symptoms", "limit": 6.0, "origin": "published", "note": "6 points (checked)",
        "cutoff": 11.0, "n_clients": 60, "n_improved": 20, "n_unchanged": 30, "n_deteriorated": 10,
        "n_clinical_before": 50, "n_recovered": 15, "suppressed": False,
    }  # fmt: skip
    said = sentences.change_sentences(pd.DataFrame([row]), LABELS)
    assert said == [
        "Symptoms: from the first to the last score, 20 clients got reliably better, 10 clients "
        "reliably worse and 30 clients neither (limit 6.0 points, as published: 6 points "
        "(checked)). Of 50 clients in the clinical range at first (cut-off 11.0), 15 clients also "
        "left it."
    ]
    hidden = row | {"n_improved": float("nan")}
    assert (
        "one of the numbers is too small"
        in sentences.change_sentences(pd.DataFrame([hidden]), LABELS)[0]
    )
    none = row | {"limit": float("nan"), "note": "no reliability"}
    assert "no limit" in sentences.change_sentences(pd.DataFrame([none]), LABELS)[0]


def test_ceiling_in_words():
    table = pd.DataFrame({"measure": ["a", "a", "b"], "session": [1, 8, 1],
                          "n_clients": 50, "pct_ceiling": [16.0, 22.0, 3.0]})  # fmt: skip
    (said,) = sentences.ceiling_sentences(table, {"a": "Alliance"})
    assert said.startswith("Alliance: up to 22% of clients gave the highest possible score")
    assert "(session 8)" in said
