"""The split into levels: sums, means, directions, and the pooled SD."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alliance.study import ModelSpec, Timing
from alliance.within_between import model_frame, orient, pooled_within_sd, split_within_between

TIMING = Timing(alliance_when="post", outcome_when="pre")


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    sizes = draw(st.lists(st.integers(1, 6), min_size=2, max_size=8))
    clients = [f"C{i}" for i, size in enumerate(sizes) for _ in range(size)]
    values = draw(st.lists(st.floats(-100, 100), min_size=len(clients), max_size=len(clients)))
    therapist_of = {f"C{i}": draw(st.sampled_from(["T1", "T2", None])) for i in range(len(sizes))}
    return pd.DataFrame(
        {
            "client": clients,
            "therapist": pd.array([therapist_of[c] for c in clients], dtype="string"),
            "predictor": values,
        }
    )


@given(frames())
def test_within_parts_sum_to_zero_in_every_client_and_parts_add_up(frame: pd.DataFrame) -> None:
    for therapists in (False, True):
        parts = split_within_between(frame, therapists)
        sums = parts.groupby("client")["within"].sum()
        np.testing.assert_allclose(sums, 0, atol=1e-9)
        whole = parts["within"] + parts["between"] + parts.get("between_therapist", 0.0)
        constant = parts["predictor"] - whole
        np.testing.assert_allclose(constant, constant.iloc[0], atol=1e-9)


@given(frames())
def test_with_therapists_between_parts_sum_to_zero_over_the_clients_of_each(
    frame: pd.DataFrame,
) -> None:
    parts = split_within_between(frame, therapists=True).drop_duplicates("client")
    group = parts["therapist"].fillna("alone: " + parts["client"])
    np.testing.assert_allclose(parts.groupby(group)["between"].sum(), 0, atol=1e-9)


def test_pooled_within_sd_by_hand() -> None:
    values = pd.Series([1.0, 3.0, 10.0, 10.0, 13.0, 5.0, np.nan])
    client = pd.Series(["a", "a", "b", "b", "b", "c", "c"])
    # a: 1 + 1; b: 1 + 1 + 4; c: one value. Degrees of freedom 1 + 2 + 0.
    assert pooled_within_sd(values, client) == pytest.approx(np.sqrt(8 / 3))


def test_pooled_within_sd_without_repeated_values_is_unknown() -> None:
    assert np.isnan(pooled_within_sd(pd.Series([1.0, 2.0]), pd.Series(["a", "b"])))


def test_orient_turns_only_scales_on_which_higher_is_better() -> None:
    score = pd.Series([0.0, 10.0, 40.0])
    assert orient(score, "better", (0, 40)).tolist() == [40.0, 30.0, 0.0]
    assert orient(score, "worse", (0, 40)).tolist() == [0.0, 10.0, 40.0]
    with pytest.raises(ValueError, match="better"):
        orient(score, "up", (0, 40))


def sessions_and_clients() -> tuple[pd.DataFrame, pd.DataFrame]:
    sessions = pd.DataFrame(
        {
            "client": ["a"] * 3 + ["b"] * 3,
            "session": [1, 2, 3] * 2,
            "alliance": [3.0, 4.0, 5.0, 2.0, 2.0, 4.0],
            "alliance_bond": [1.0, 1.0, 2.0, 2.0, 3.0, 3.0],
            "symptoms": [20.0, 18.0, 10.0, 30.0, 28.0, 26.0],
            "sleep": [7.0, None, 5.0, 8.0, 8.0, 8.0],
        }
    )
    clients = pd.DataFrame({"client": ["a", "b"], "therapist": ["T1", "T2"], "arm": ["x", "y"]})
    return sessions, clients


def spec(**changes: object) -> ModelSpec:
    base = {"label": "m", "outcome": "symptoms", "predictor": "alliance"}
    return ModelSpec.model_validate(base | changes)


def test_model_frame_pairs_centres_and_joins() -> None:
    sessions, clients = sessions_and_clients()
    frame = model_frame(sessions, clients, spec(), TIMING, ["arm"], ("worse", (0, 40)))
    assert frame["predictor"].tolist() == [3.0, 4.0, 2.0, 2.0]
    assert frame["outcome"].tolist() == [18.0, 10.0, 28.0, 26.0]
    assert frame["within"].tolist() == [-0.5, 0.5, 0.0, 0.0]
    assert frame["between"].tolist() == [0.75, 0.75, -0.75, -0.75]
    assert frame["time"].tolist() == [1.0, 2.0, 1.0, 2.0]
    assert frame["arm"].tolist() == ["x", "x", "y", "y"]


def test_a_component_takes_the_place_of_the_total() -> None:
    sessions, clients = sessions_and_clients()
    frame = model_frame(sessions, clients, spec(component="bond"), TIMING, [], ("worse", (0, 40)))
    assert frame["predictor"].tolist() == [1.0, 1.0, 2.0, 3.0]


def test_rows_without_a_covariate_are_left_out_before_centring() -> None:
    sessions, clients = sessions_and_clients()
    frame = model_frame(sessions, clients, spec(), TIMING, ["sleep"], ("worse", (0, 40)))
    assert frame["session"].tolist() == [1, 1, 2]
    assert frame.loc[frame["client"] == "a", "within"].tolist() == [0.0]


def test_a_course_has_outcome_and_time_only() -> None:
    sessions, clients = sessions_and_clients()
    course = ModelSpec(kind="course", label="c", outcome="symptoms")
    frame = model_frame(sessions, clients, course, TIMING, [], ("better", (0, 40)))
    assert "within" not in frame
    assert frame["outcome"].tolist() == [20.0, 22.0, 30.0, 10.0, 12.0, 14.0]
    assert frame["time"].tolist() == [0.0, 1.0, 2.0] * 2
