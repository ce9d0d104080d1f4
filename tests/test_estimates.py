"""The contract of the estimates table: no number without meaning, no gap without a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alliance.estimates import COLUMNS, Estimate, read_estimates, to_frame, write_estimates

BASE = {
    "analysis": "main",
    "term": "within",
    "level": "within_client",
    "estimand": "difference",
    "estimator": "REML",
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimate": 1.0, "level": "session"}, "level"),
        ({"estimate": 1.0, "status": "fine"}, "status"),
        ({"status": "not_estimated"}, "reason"),
        ({"estimate": np.nan}, "finite"),
        ({"estimate": np.inf}, "finite"),
        ({"estimate": 1.0, "status": "not_estimated", "reason": "few clients"}, "must not hold"),
    ],
)
def test_rows_that_break_the_contract_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Estimate(**(BASE | changes))


def test_written_rows_come_back_the_same(tmp_path: Path) -> None:
    rows = [
        Estimate(**BASE, estimate=-0.1234567891, se=0.02, n_clients=240),
        Estimate(**BASE, status="not_estimated", reason="one client only"),
    ]
    frame = to_frame(rows)
    path = tmp_path / "estimates.csv"
    write_estimates(frame, str(path))
    again = read_estimates(str(path))
    assert list(again.columns) == list(COLUMNS)
    assert again["reason"].tolist() == ["", "one client only"]
    assert again["estimate"].iloc[0] == pytest.approx(-0.1234567891, abs=1e-10)
    write_estimates(again, str(tmp_path / "again.csv"))
    assert path.read_bytes() == (tmp_path / "again.csv").read_bytes()


def test_a_table_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="not an estimates table"):
        read_estimates(str(tmp_path / "other.csv"))
