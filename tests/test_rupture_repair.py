"""Repair and last outcome as correlations, beside the published one: rows, figure, table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alliance.estimates import to_frame
from alliance.figures.rupture_repair import describe_rupture_repair, numbers_rupture_repair
from alliance.ruptures import PooledScale, RuptureRule, detect
from alliance.ruptures.outcome_tests import RuptureAnalysis, alliance_course
from alliance.ruptures.repair_correlation import all_repair_rows, repair_correlation_rows
from alliance.tables.rupture_repair import rupture_repair_table

PUBLISHED = pd.read_csv(Path(__file__).parent.parent / "data" / "published" / "effects.csv")
ANALYSIS = RuptureAnalysis("client_rated", "alliance", "client", "", "symptoms", "symptoms", "p")
RULE = RuptureRule(
    id="half", label="Half back", source="test", verified="project", scale="points",
    threshold=2.0, target="half_of_drop",
)  # fmt: skip
SHAPES = {
    "none": [10.0] * 8,
    "repaired": [10.0, 10, 5, 10, 10, 10, 10, 10],
    "unrepaired": [10.0, 10, 5, 5, 5, 5, 10, 10],
}


def study(sizes, gain=0.0, seed=1):
    """Scores and outcomes; clients with repaired ruptures end ``gain`` points better."""
    rng = np.random.default_rng(seed)
    groups = [name for name, n in sizes.items() for _ in range(n)]
    rows = [
        (f"c{i:03d}", session + 1, score + 0.3 * rng.normal())
        for i, name in enumerate(groups)
        for session, score in enumerate(SHAPES[name])
    ]
    baseline = rng.normal(20, 5, len(groups))
    last = 0.5 * baseline - gain * (np.array(groups) == "repaired") + rng.normal(0, 2, len(groups))
    names = [f"c{i:03d}" for i in range(len(groups))]
    outcomes = pd.DataFrame({"client": names, "baseline": baseline, "last": last})
    scores = pd.DataFrame(rows, columns=["client", "session", "score"])
    return detect(scores, RULE, PooledScale(2.0, 1.0)), outcomes


def residuals(y, columns):
    x = np.column_stack([np.ones(len(y)), *columns])
    return y - x @ np.linalg.lstsq(x, y, rcond=None)[0]


def test_the_correlation_is_that_of_the_residuals():
    found, outcomes = study({"none": 30, "repaired": 25, "unrepaired": 20}, gain=2.0)
    frame = outcomes.merge(found.clients, on="client").merge(alliance_course(found), on="client")
    frame = frame[frame["label"].isin(["repaired", "unrepaired"])]
    repaired = (frame["label"] == "repaired").to_numpy(dtype=float)
    held = {
        "r_repair_baseline[half]": [frame["baseline"]],
        "r_repair[half]": [frame["baseline"], frame["mean"], frame["slope"]],  # all rated 8 times
    }
    for row in repair_correlation_rows(found, RULE, outcomes, ANALYSIS):
        columns = held.pop(row.term)
        wanted = np.corrcoef(residuals(repaired, columns), residuals(frame["last"], columns))[0, 1]
        assert row.estimate == pytest.approx(wanted)
        assert row.ci_low < row.estimate < row.ci_high
        assert row.n_clients == 45
    assert not held


def test_clients_with_repair_that_end_better_have_a_negative_correlation():
    # Half the clients repaired, 4 points better, residual SD 2: r = -4 / sqrt(16 + 4 x 4) = -.71.
    found, outcomes = study({"none": 0, "repaired": 400, "unrepaired": 400}, gain=4.0)
    row = repair_correlation_rows(found, RULE, outcomes, ANALYSIS)[0]
    assert row.estimate == pytest.approx(-4 / np.sqrt(32), abs=0.03)
    assert row.ci_high < -0.6


def test_few_clients_are_refused():
    found, outcomes = study({"none": 30, "repaired": 25, "unrepaired": 9})
    rows = repair_correlation_rows(found, RULE, outcomes, ANALYSIS)
    assert [row.status for row in rows] == ["not_estimated"] * 2
    assert rows[0].reason == "fewer than 10 clients: unrepaired"


def test_sizes_that_would_tell_few_clients_are_not_shown():
    # 12 repaired and 11 unrepaired have outcomes, of 12 and 14: three are without; fewer than 5.
    found, outcomes = study({"none": 30, "repaired": 12, "unrepaired": 14})
    gone = found.clients.loc[found.clients["label"] == "unrepaired", "client"].head(3)
    outcomes.loc[outcomes["client"].isin(gone), "last"] = np.nan
    careful = RuptureAnalysis(**{**vars(ANALYSIS), "smallest_cell": 5})
    assert np.isnan(repair_correlation_rows(found, RULE, outcomes, careful)[0].n_clients)
    assert repair_correlation_rows(found, RULE, outcomes, ANALYSIS)[0].n_clients == 23


def test_figure_and_table_show_the_published_correlation_with_its_sign_turned():
    found, outcomes = study({"none": 30, "repaired": 25, "unrepaired": 20}, gain=2.0)
    rows = all_repair_rows({"half": found}, {"half": RULE}, outcomes, ANALYSIS, PUBLISHED)
    frame = to_frame(rows)
    ratings, labels = {"client_rated": "Alliance"}, {"half": "Half back"}
    numbers = numbers_rupture_repair(frame, ratings, labels)
    last = numbers.iloc[-1]
    assert (last["estimate"], last["ci_low"], last["ci_high"]) == (-0.29, -0.47, -0.10)
    assert len(numbers) == 3
    assert "Alliance, Half back, at equal baseline: -0." in describe_rupture_repair(numbers).alt
    table = rupture_repair_table(frame, ratings, labels)
    assert table is not None
    assert [len(row.cells) for row in table.rows if len(row.cells) > 1] == [6, 6]
    assert "Eubanks" in table.notes[-1]
    assert rupture_repair_table(frame.iloc[:0], ratings, labels) is None


def test_without_an_outcome_there_is_nothing_to_correlate():
    found, _ = study({"none": 5, "repaired": 5, "unrepaired": 5})
    assert all_repair_rows({"half": found}, {"half": RULE}, None, ANALYSIS, PUBLISHED) == []
