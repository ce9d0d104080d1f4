"""Sudden gains as an analysis of a study: rows, table, sentences, small cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from alliance.estimates import to_frame
from alliance.ruptures.gain_rows import GainAnalysis, gain_rows, gains_and_losses
from alliance.study import SuddenGainsSpec
from alliance.tables.sudden_gains import sudden_gains_table
from alliance.text.sudden_gains import gain_sentences

SPEC = SuddenGainsSpec(measure="mood", cutoff=7)
GAIN = [30, 31, 30, 20, 19, 20]  # 10 points for the better, kept
BACK = [30, 31, 30, 20, 19, 20, 30, 31, 30]  # given back: a gain, then a loss
TWO = [40, 41, 40, 30, 29, 30, 20, 19, 20]
STEADY = [30, 31, 30, 31, 30, 31]


def sessions(*series: list[int]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"client": f"c{client:02}", "session": session, "mood": float(score)}
            for client, scores in enumerate(series)
            for session, score in enumerate(scores, 1)
        ]
    )


def analysis(smallest_cell: int = 1) -> GainAnalysis:
    return GainAnalysis(
        "mood_gains", "mood", "Mood", "client", "", "points", "worse", smallest_cell, 7
    )


def rows_of(*series: list[int], smallest_cell: int = 1, higher_is: str = "worse") -> pd.DataFrame:
    found = gains_and_losses(sessions(*series), SPEC, higher_is)
    return to_frame(gain_rows(found, analysis(smallest_cell))).set_index("term", drop=False)


def test_counts_by_hand_in_both_directions():
    rows = rows_of(GAIN, BACK, TWO, STEADY)
    numbers = rows["estimate"]
    assert numbers["clients_with_gain"] == 3 / 4
    assert numbers["clients_with_several_gains"] == 1 / 4
    assert numbers["clients_with_reversed_gain"] == 1 / 4
    assert (numbers["gains"], numbers["reversed_gains"], numbers["gain_size"]) == (4, 1, 10)
    assert (numbers["clients_with_loss"], numbers["losses"]) == (1 / 4, 1)
    assert (rows["n_clients"] == 4).all()


def test_a_score_that_is_better_when_higher_turns_gains_and_losses():
    rows = rows_of(BACK, STEADY, higher_is="better")["estimate"]
    assert (rows["gains"], rows["losses"]) == (1, 1)
    only = rows_of(GAIN, STEADY, higher_is="better")["estimate"]
    assert (only["gains"], only["losses"]) == (0, 1)


def test_only_the_sessions_asked_for_are_searched():
    spec = SuddenGainsSpec(measure="mood", cutoff=7, sessions=(1, 3))
    found = gains_and_losses(sessions(GAIN), spec, "worse")
    assert found["gain"].gains.empty
    with pytest.raises(ValidationError, match="first, last"):
        SuddenGainsSpec(measure="mood", cutoff=7, sessions=(3, 1))


def test_nothing_found_is_a_zero_and_no_mean():
    rows = rows_of(STEADY, STEADY)
    assert (rows.loc["clients_with_gain", "estimate"], rows.loc["gains", "estimate"]) == (0, 0)
    assert rows.loc["gain_size", "status"] == "not_estimated"
    said = list(gain_sentences(rows))
    assert said[0] == "No sudden gain was found in 2 clients."


def test_numbers_of_few_clients_are_told_nowhere():
    """12 clients with a gain kept, 3 with one reversed, 2 with several; cells from five on."""
    rows = rows_of(*[GAIN] * 12, *[BACK] * 3, *[TWO] * 2, *[STEADY] * 9, smallest_cell=5)
    few = ["clients_with_several_gains", "clients_with_reversed_gain", "reversed_gains"]
    assert (rows.loc[few, "status"] == "not_estimated").all()
    assert rows.loc[few, "estimate"].isna().all()
    assert rows.loc["clients_with_gain", "estimate"] == 17 / 26
    lost = rows[rows["term"].str.contains("loss")]
    assert lost["estimate"].dropna().eq(0).all()  # nobody has several losses: no small cell
    assert np.isnan(lost.loc["losses", "estimate"])
    table = sudden_gains_table(rows.reset_index(drop=True), "mood_gains", "Mood", 7)
    cells = [cell for row in table.rows for cell in row.cells]
    told = " ".join([*cells, *table.notes, *gain_sentences(rows)])
    assert "17 of 26 clients" in told
    assert not any(f"{n} client" in told.replace("fewer than 5 clients", "") for n in (2, 3, 5))
    assert "were reversed" not in told


def test_without_scores_nothing_is_estimated():
    nobody = sessions(GAIN).assign(mood=np.nan).head(0)
    rows = to_frame(gain_rows(gains_and_losses(nobody, SPEC, "worse"), analysis()))
    assert (rows["status"] == "not_estimated").all()


def test_the_sentence_says_how_many_how_large_and_how_lasting():
    said = list(gain_sentences(rows_of(GAIN, BACK, TWO, STEADY)))
    assert said[0] == (
        "4 sudden gains were found in 3 of 4 clients (75.0%, 95% CI [30.1, 95.4]), of 10.00 points "
        "on average (SD 0.00); 1 client had more than one, and 1 of the gains was reversed later."
    )
    assert "1 sudden loss was found in 1 of 4 clients" in said[1]
