"""Sudden gains: published counts on openly licensed data, and the criteria by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alliance.ruptures.sudden_gains import describe_gains, find_sudden_gains

DATA = Path(__file__).parent.parent.parent / "shared" / "data" / "sgdata" / "sgdata.csv"


def series(*scores, first=1):
    return pd.DataFrame(
        {"client": "a", "session": range(first, first + len(scores)), "score": scores}
    )


def gains_after(*scores, **keys):
    return find_sudden_gains(series(*scores), **{"cutoff": 7, **keys}).gains


def test_published_counts_of_the_suddengains_tutorial():
    if not DATA.exists():
        pytest.skip("the shared copy of sgdata.csv is not here")
    wide = pd.read_csv(DATA)
    columns = {f"bdi_s{session}": session for session in range(1, 13)}
    scores = wide.rename(columns=columns | {"id": "client"}).melt(
        id_vars="client", value_vars=list(columns.values()), var_name="session", value_name="score"
    )
    found = find_sudden_gains(scores, cutoff=7)
    described = describe_gains(found)
    assert described["n_clients"] == 43
    assert described["n_gains"] == 24
    assert described["n_clients_with_gain"] == 15
    assert described["n_clients_with_several"] == 8
    assert described["n_reversed"] == 4
    assert described["pct_clients_with_gain"] == pytest.approx(34.88, abs=0.005)
    assert described["mean_magnitude"] == pytest.approx(11.00, abs=0.005)
    assert described["sd_magnitude"] == pytest.approx(3.43, abs=0.005)


def test_a_plain_gain():
    found = gains_after(30, 31, 30, 20, 19, 20)
    row = found.iloc[0]
    assert len(found) == 1
    assert row[["before_session", "after_session", "magnitude"]].tolist() == [3, 4, 10]
    assert (row["mean_before"], row["reversed"]) == (pytest.approx(91 / 3), False)


def test_first_criterion_at_its_boundary():
    assert len(gains_after(20, 20, 20, 13, 13, 13)) == 1
    assert len(gains_after(20, 20, 20, 13.1, 13.1, 13.1)) == 0


def test_second_criterion_is_a_share_of_the_score_before():
    assert len(gains_after(40, 40, 40, 30, 30, 30)) == 1
    assert len(gains_after(41, 41, 41, 31, 31, 31)) == 0
    assert len(gains_after(41, 41, 41, 31, 31, 31, share=0.2)) == 1


def test_third_criterion_by_hand():
    # Means 20 and 10 with SDs 4 and 2: pooled SD sqrt(10) = 3.162; 2.776 x 3.162 = 8.78 < 10.
    assert len(gains_after(16, 24, 20, 12, 8, 10)) == 1
    # SDs 5 and 2: pooled SD sqrt(14.5) = 3.808; 2.776 x 3.808 = 10.57 > 10.
    assert len(gains_after(15, 25, 20, 12, 8, 10)) == 0


def test_critical_value_follows_the_scores_present():
    # Means 20 and 10; SDs 4 and (two values) 2.83. Pooled SD sqrt((32 + 8) / 3) = 3.651;
    # t with 3 degrees of freedom 3.182: 11.62 > 10. With df 4 (2.776: 10.14) also no, with a
    # smaller spread yes.
    assert len(gains_after(16, 24, 20, 12, 8)) == 0
    assert len(gains_after(18, 22, 20, 12, 8)) == 1  # sqrt(16 / 3) x 3.182 = 7.35 < 10


def test_each_side_needs_two_scores():
    assert len(gains_after(30, 20, 20, 20)) == 0
    assert len(gains_after(30, 30, 20)) == 0
    assert len(gains_after(np.nan, 30, 20, 20)) == 0
    assert len(gains_after(30, 30, 20, 20)) == 1


def test_neighbours_must_both_be_there():
    assert len(gains_after(30, 30, 30, np.nan, 20, 20, 20)) == 0
    gap = series(30, 30, 30, 20, 20, 20).assign(session=[1, 2, 3, 5, 6, 7])
    assert len(find_sudden_gains(gap, cutoff=7).gains) == 0


def test_reversal_at_half_of_the_gain():
    assert gains_after(30, 30, 30, 20, 20, 20, 25)["reversed"].tolist() == [True]
    assert gains_after(30, 30, 30, 20, 20, 20, 24.9)["reversed"].tolist() == [False]


def test_losses_and_measures_that_are_better_when_higher():
    rising = (10, 10, 10, 20, 20, 20, 14)
    assert len(gains_after(*rising)) == 0
    found = gains_after(*rising, direction="increase")
    assert found[["magnitude", "reversed"]].to_numpy().tolist() == [[10, True]]


def test_counts_per_client_keep_everyone():
    both = pd.concat([series(30, 30, 30, 20, 20, 20), series(5, 5, np.nan).assign(client="b")])
    found = find_sudden_gains(both, cutoff=7)
    assert found.clients.to_numpy().tolist() == [["a", 6, 1, 0], ["b", 2, 0, 0]]
    nothing = describe_gains(find_sudden_gains(series(1, 1, 1), cutoff=7))
    assert (nothing["n_gains"], nothing["n_reversed"]) == (0, 0)
    assert np.isnan(nothing["mean_magnitude"])


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="cut-off"):
        gains_after(1, 2, cutoff=0)
    with pytest.raises(ValueError, match="share"):
        gains_after(1, 2, share=1)
    twice = pd.concat([series(1), series(1)])
    with pytest.raises(ValueError, match="two rows"):
        find_sudden_gains(twice, cutoff=7)
