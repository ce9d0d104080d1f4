"""Items that only check attention, and further metrics, from the file to the scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from alliance.cleaning import clean
from alliance.deidentification import deidentify
from alliance.instruments import load_instruments
from alliance.readers import assemble, read_tables
from alliance.scoring import score_sessions
from alliance.study import Study
from alliance.validation import validate

KEYS = load_instruments(Path(__file__).parents[1] / "config/instruments", ["phq9"])
PHQ = {
    "role": "outcome", "label": "Symptoms", "instrument": "phq9", "items": "phq_{item}",
    "attention_checks": {"check_a": 3, "check_b": 1}, "further_metrics": ["pomp", "mean"],
}  # fmt: skip


def study_of(**changes: object) -> Study:
    return Study.model_validate(
        {
            "id": "checks",
            "title": "checks",
            "data": {"tables": {"t": {"path": "t.csv"}}, "missing_codes": [-9]},
            "columns": {"client": "id", "session": "session"},
            "timing": {"alliance_when": "post", "outcome_when": "pre"},
            "privacy": {"pseudonyms": "as_given"},
            "measures": {"symptoms": PHQ | changes},
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sessions 1 to 5: passed, failed, unanswered, failed with an empty form, passed."""
    frame = pd.DataFrame({"id": "P01", "session": [1, 2, 3, 4, 5]})
    for item in range(1, 10):
        frame[f"phq_{item}"] = [1, 1, 1, -9, 3]
    frame["check_a"], frame["check_b"] = [3, 3, -9, 2, 3], [1, 0, -9, 1, 1]
    frame.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path


def test_a_failed_form_is_set_missing_and_logged(folder):
    study = study_of()
    safe = deidentify(assemble(study, KEYS, read_tables(study, folder)), study, None)
    cleaned = clean(safe.sessions, safe.clients, study, KEYS)
    scored, _ = score_sessions(cleaned.sessions, study, KEYS)
    assert scored["symptoms"].isna().tolist() == [False, True, False, True, False]
    assert scored["symptoms"].dropna().tolist() == [9, 9, 27]
    assert not [name for name in cleaned.sessions if "check" in name]
    log = cleaned.log[cleaned.log["rule"] == "attention_checks"]
    assert set(log["session"]) == {2}
    assert len(log) == 9
    assert "attention_checks" in set(cleaned.flow["step"])


def test_further_metrics_stand_beside_the_published_one(folder):
    study = study_of()
    safe = deidentify(assemble(study, KEYS, read_tables(study, folder)), study, None)
    cleaned = clean(safe.sessions, safe.clients, study, KEYS)
    scored, _ = score_sessions(cleaned.sessions, study, KEYS)
    last = scored.iloc[4]
    assert (last["symptoms"], last["symptoms_mean"], last["symptoms_pomp"]) == (27, 3, 100)
    assert scored["symptoms_pomp"].iloc[0] == pytest.approx(100 / 3)


def test_a_column_that_is_absent_is_told(folder):
    study = study_of(attention_checks={"chek_a": 3})
    problems, _ = validate(study, KEYS, folder, "checks.yaml")
    assert any("check_a" in p.fix and "attention_checks" in p.where for p in problems)


def test_words_in_a_check_are_no_silent_pass(folder):
    frame = pd.read_csv(folder / "t.csv").astype({"check_a": object})
    frame.loc[1, "check_a"] = "often"
    frame.to_csv(folder / "t.csv", index=False)
    problems, _ = validate(study_of(), KEYS, folder, "checks.yaml")
    assert any(p.severity == "error" and "check_a" in p.where for p in problems)


def test_scores_made_elsewhere_have_no_checks():
    with pytest.raises(ValidationError, match="need items"):
        study_of(items=None, column="y")


def test_without_checks_there_is_no_step(folder):
    study = study_of(attention_checks={})
    safe = deidentify(assemble(study, KEYS, read_tables(study, folder)), study, None)
    flow = clean(safe.sessions, safe.clients, study, KEYS).flow
    assert "attention_checks" not in set(flow["step"])
    assert np.isfinite(flow["sessions_out"]).all()
