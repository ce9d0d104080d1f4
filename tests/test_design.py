"""Designs from model frames, and the refusals that degenerate data must meet."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from alliance.estimates import to_frame
from alliance.estimation.design import ModelDesign, build_design
from alliance.estimation.mixedlm import fit_mixedlm
from alliance.estimation.mixedlm_rows import mixedlm_rows
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import fit_lmm
from alliance.estimation.rows import reml_rows
from alliance.estimation.terms import RowContext
from alliance.study import Covariate, ModelSpec
from alliance.within_between import pooled_within_sd, split_within_between

COVARIATES = {
    "expectancy": Covariate(column="expectancy", type="number", label="Expectancy"),
    "arm": Covariate(column="arm", type="category", label="Arm", reference="TAU"),
    "site": Covariate(column="site", type="category", label="Site"),
    "mood": Covariate(column="mood", type="number", level="session", label="Mood"),
}
CONTEXT = RowContext("main", "y", "Symptoms", "points", "x", "Alliance", "point")


def spec(**keys: object) -> ModelSpec:
    base = {"label": "m", "outcome": "y", "predictor": "x", "covariates": ["time"]}
    return ModelSpec(**(base | keys))


def raw_frame(n_clients: int = 40, sessions: int = 5, n_therapists: int = 8) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    client = np.repeat(np.arange(n_clients), sessions)
    n = client.size
    predictor = 3 + rng.normal(size=n_clients)[client] * 0.5 + rng.normal(size=n) * 0.4
    frame = pd.DataFrame(
        {
            "client": [f"C{c:03d}" for c in client],
            "therapist": [f"T{c % n_therapists}" for c in client],
            "time": np.tile(np.arange(sessions, dtype=float), n_clients),
            "predictor": predictor,
            "expectancy": rng.normal(size=n_clients)[client],
            "arm": np.where(client % 2 == 0, "TAU", "new"),
            "site": np.array(["north", "south", "west"])[client % 3],
            "mood": rng.normal(size=n),
        }
    )
    level = rng.normal(size=n_clients)[client]
    frame["outcome"] = 15 - predictor + 2 * level + rng.normal(size=n) * 1.5
    return frame


def built(frame: pd.DataFrame, form: str = "hybrid", **keys: object) -> ModelDesign:
    model = spec(**keys)
    design = build_design(split_within_between(frame, model.therapists), model, COVARIATES, form)
    assert isinstance(design, ModelDesign), design
    return design


def refused(frame: pd.DataFrame, **keys: object) -> Refusal:
    model = spec(**keys)
    refusal = build_design(split_within_between(frame, model.therapists), model, COVARIATES)
    assert isinstance(refusal, Refusal)
    assert refusal.reason
    assert refusal.advice
    rows = to_frame(
        [*reml_rows(refusal, refusal, CONTEXT), *mixedlm_rows(refusal, refusal, CONTEXT)]
    )
    assert (rows["status"] == "not_estimated").all()
    return refusal


def test_names_codes_and_facts():
    frame = raw_frame()
    design = built(frame, random_slopes=["within", "time"])
    assert design.names == ("intercept", "within", "between", "time")
    assert design.random_names == ("intercept", "within", "time")
    assert (design.n_obs, design.n_clients, design.n_therapists) == (200, 40, 0)
    assert design.median_sessions == 5
    assert design.column_levels == ("total", "within_client", "between_client", "within_client")
    expected = pooled_within_sd(frame["predictor"], frame["client"])
    assert design.sd_within_predictor == pytest.approx(expected)
    expected = pooled_within_sd(frame["outcome"], frame["client"])
    assert design.sd_within_outcome == pytest.approx(expected)
    assert design.therapist is None
    assert len(np.unique(design.therapist_of_client)) == 8


def test_reliability_of_client_means_is_that_of_one_way_analysis_of_variance():
    """Balanced data: lambda = 1 - MS_within / MS_between."""
    frame = raw_frame()
    design = built(frame)
    means = frame.groupby("client")["predictor"].mean()
    within = pooled_within_sd(frame["predictor"], frame["client"]) ** 2
    expected = 1 - within / (5 * means.var(ddof=1))
    assert design.predictor_reliability == pytest.approx(expected)


def test_continuous_covariates_are_centred_and_categories_have_the_declared_reference():
    frame = raw_frame()
    design = built(frame, covariates=["time", "expectancy", "mood", "arm", "site"])
    assert design.names[4:] == (
        "expectancy", "mood", "arm[new]", "site[south]", "site[west]",
    )  # fmt: skip
    one_per_client = np.unique(design.client, return_index=True)[1]
    assert design.X[one_per_client, 4].mean() == pytest.approx(0, abs=1e-12)
    assert design.X[:, 5].mean() == pytest.approx(0, abs=1e-12)
    assert design.labels["arm[new]"] == "Arm new versus TAU"
    assert design.column_levels[4:6] == ("between_client", "total")


def test_reference_defaults_to_the_most_frequent_category():
    frame = raw_frame()
    frame["site"] = np.where(frame["client"] < "C008", "north", "south")
    assert "site[north]" in built(frame, covariates=["site"]).names


def test_products_bring_their_main_effects():
    design = built(raw_frame(), covariates=["time:arm", "within:expectancy"])
    assert design.names == (
        "intercept", "within", "between", "time", "arm[new]", "expectancy", "time:arm[new]",
        "within:expectancy",
    )  # fmt: skip
    expected = design.X[:, design.names.index("time")] * design.X[:, design.names.index("arm[new]")]
    np.testing.assert_array_equal(design.X[:, 6], expected)
    assert design.column_levels[-1] == "within_client"


def test_course_models_have_time_and_no_predictor():
    design = built(
        raw_frame(), kind="course", predictor=None, covariates=[], random_slopes=["time"]
    )
    assert design.names == ("intercept", "time")
    assert design.random_names == ("intercept", "time")
    assert np.isnan(design.sd_within_predictor)


def test_rows_without_a_covariate_are_left_out_counted_and_the_rest_centred_anew():
    frame = raw_frame()
    gaps = split_within_between(frame, False)
    gaps.loc[[3, 4, 50], "mood"] = np.nan
    design = build_design(gaps, spec(covariates=["mood"]), COVARIATES)
    assert design.n_obs == 197
    assert "3 rows (0 clients)" in design.notes[0]
    sums = np.bincount(design.client, design.X[:, 1])
    np.testing.assert_allclose(sums, 0, atol=1e-12)


def test_clients_without_a_therapist_stand_alone():
    frame = raw_frame(80, 4, 22)
    frame.loc[frame["client"] < "C003", "therapist"] = None
    design = built(frame, therapists=True)
    assert design.n_therapists == 22 + 3
    owner = design.therapist_of_client
    assert len(set(owner[:3])) == 3
    assert not set(owner[:3]) & set(owner[3:])


def test_contextual_and_within_only_forms():
    frame = raw_frame(80, 4, 22)
    contextual = built(frame, "contextual", therapists=True)
    assert contextual.names[:4] == ("intercept", "within", "contextual", "contextual_therapist")
    within = built(frame, "within", covariates=["time", "expectancy"], random_slopes=["within"])
    assert within.names == ("within", "time")
    assert {term for term, _ in within.dropped} == {
        "intercept", "between", "expectancy", "random slope of within",
    }  # fmt: skip


# Degenerate data


def test_one_client():
    assert "too few clients have a row for the model" in refused(raw_frame(1)).reason


def test_an_empty_frame():
    frame = split_within_between(raw_frame(), False).iloc[:0]
    assert isinstance(build_design(frame, spec(), COVARIATES), Refusal)


def test_one_session_each():
    assert "too few clients have two or more rows" in refused(raw_frame(40, 1)).reason


@pytest.mark.parametrize(("once", "twice"), [(3, 0), (3, 1), (40, 1)])
def test_a_refusal_tells_no_number_of_few_clients(once, twice):
    """Neither how many clients have repeated sessions nor of how many."""
    frame = raw_frame(once + twice, 2)
    kept = frame[(frame["time"] == 0) | (frame["client"] < f"C{twice:03d}")]
    assert kept["client"].nunique() == once + twice
    reason = refused(kept).reason
    assert re.findall(r"\d+", reason) == ["2"], reason  # of the rule, not of the data
    assert "at least 2 are needed" in reason


def test_a_constant_predictor():
    assert "same value in every row" in refused(raw_frame().assign(predictor=3.0)).reason


def test_a_predictor_constant_within_clients():
    frame = raw_frame()
    frame["predictor"] = frame.groupby("client")["predictor"].transform("mean")
    assert "never changes within a client" in refused(frame).reason


def test_a_predictor_without_between_part():
    frame = raw_frame()
    frame["predictor"] -= frame.groupby("client")["predictor"].transform("mean")
    assert "no between-client part" in refused(frame).reason


def test_a_constant_outcome():
    assert "same value" in refused(raw_frame().assign(outcome=5.0)).reason


def test_an_outcome_copied_over_the_sessions():
    frame = raw_frame()
    frame["outcome"] = frame.groupby("client")["outcome"].transform("first")
    assert "never changes within a client" in refused(frame).reason


def test_an_outcome_computed_from_the_predictor():
    frame = raw_frame()
    frame["outcome"] = 20 - 2 * frame["predictor"]
    assert "exact linear function" in refused(frame, covariates=[]).reason


def test_collinear_within_part_and_time():
    frame = raw_frame()
    frame["predictor"] = 2 * frame["time"] + frame.groupby("client")["predictor"].transform("mean")
    reason = refused(frame).reason
    assert "within" in reason
    assert "time" in reason
    assert "collinear" in reason


def test_collinear_covariate_and_client_mean():
    frame = raw_frame()
    frame["expectancy"] = frame.groupby("client")["predictor"].transform("mean")
    reason = refused(frame, covariates=["expectancy"]).reason
    assert "between" in reason
    assert "expectancy" in reason


def test_too_few_clients_for_the_effects_between_them():
    assert "too few" in refused(raw_frame(3, 6), covariates=["expectancy", "time"]).reason


def test_a_tiny_category():
    frame = raw_frame()
    frame.loc[frame["client"] == "C000", "site"] = "home"
    refusal = refused(frame, covariates=["site"])
    assert "too few clients in 'home'; at least 3" in refusal.reason
    assert "Merge" in refusal.advice


def test_an_interaction_with_an_empty_cell():
    frame = raw_frame()
    frame.loc[frame["arm"] == "new", "site"] = "north"
    reason = refused(frame, covariates=["arm:site"]).reason
    assert "arm[new]:site[south]" in reason
    assert "fewer than 3 clients" in reason


def test_a_reference_category_that_nobody_has():
    frame = raw_frame()
    frame["arm"] = np.where(frame["site"] == "north", "new", "other")
    assert "'TAU'" in refused(frame, covariates=["arm"]).reason


def test_a_covariate_with_one_value_is_left_out_and_told():
    frame = raw_frame().assign(expectancy=5.0, site="north")
    design = built(frame, covariates=["expectancy", "site", "within:site"])
    assert design.names == ("intercept", "within", "between")
    assert [term for term, _ in design.dropped] == ["expectancy", "site", "within:site"]
    rows = to_frame(reml_rows(fit_lmm(design), design, CONTEXT, profile=False)).set_index("term")
    assert rows.loc["expectancy", "status"] == "not_estimated"
    assert "same value" in rows.loc["expectancy", "reason"]


@pytest.mark.parametrize("n_therapists", [1, 8])
def test_few_therapists(n_therapists):
    refusal = refused(raw_frame(n_therapists=n_therapists), therapists=True)
    assert "need 20" in refusal.reason
    assert "two-level" in refusal.advice


def test_two_sessions_each_carry_no_random_slope():
    design = built(raw_frame(40, 2), random_slopes=["within"], covariates=[])
    assert design.random_names == ("intercept",)
    rows = to_frame(reml_rows(fit_lmm(design), design, CONTEXT)).set_index("term")
    assert "3 or more rows" in rows.loc["sd_within", "reason"]
    assert rows.loc["within", "status"] == "ok"


@pytest.mark.parametrize("seed", range(30))
def test_small_random_studies_give_rows_or_reasons(seed):
    """Whatever the data: finite numbers or a reason, never a crash."""
    rng = np.random.default_rng(seed)
    frame = raw_frame(int(rng.integers(2, 12)), int(rng.integers(1, 5)))
    frame = frame[rng.random(len(frame)) < 0.8]
    frame["outcome"] = frame["outcome"].round(int(rng.integers(-1, 2)))
    frame["predictor"] = frame["predictor"].round()
    if frame.empty:
        return
    model = spec(random_slopes=["within"], covariates=["time", "arm"])
    design = build_design(split_within_between(frame, False), model, COVARIATES)
    fit = design if isinstance(design, Refusal) else fit_lmm(design)
    other = design if isinstance(design, Refusal) else fit_mixedlm(design)
    rows = to_frame(reml_rows(fit, design, CONTEXT) + mixedlm_rows(other, design, CONTEXT))
    ok = rows["status"] == "ok"
    assert np.isfinite(rows.loc[ok, "estimate"]).all()
    assert (rows.loc[~ok, "reason"] != "").all()
    assert (rows.loc[ok & (rows["kind"] == "fixed"), "se"] > 0).all()
