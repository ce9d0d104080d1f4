"""REML and ML fits against lme4, lmerTest and nlme (tests/golden/r/lmm.R)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from alliance.estimates import to_frame
from alliance.estimation.agreement import compare_estimators, disagreements
from alliance.estimation.bootstrap import cluster_bootstrap
from alliance.estimation.design import ModelDesign, build_design, plain_design
from alliance.estimation.mixedlm import MixedLmFit, fit_mixedlm
from alliance.estimation.mixedlm_rows import mixedlm_rows
from alliance.estimation.profile_likelihood import profile_interval
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import (
    LmmFit,
    client_effects,
    contrast,
    fit_lmm,
    likelihood_ratio,
)
from alliance.estimation.rows import reml_rows
from alliance.estimation.solving import descend, solve
from alliance.estimation.terms import RowContext, describe_term
from alliance.estimation.variance_rows import same_sign_percentage
from alliance.likelihood.profiled import prepare
from alliance.study import Covariate, ModelSpec
from alliance.within_between import split_within_between

GOLDEN = Path(__file__).parent / "golden" / "lmm"
SHARED = Path(__file__).parents[2] / "shared" / "data"
LME4 = json.loads((GOLDEN / "lme4.json").read_text())
COVARIATES = {
    "expectancy": Covariate(column="expectancy", type="number", label="Expectancy"),
    "modality": Covariate(column="modality", type="category", label="Modality", reference="CBT"),
}


def spec(**keys: object) -> ModelSpec:
    base = {"label": "m", "outcome": "symptoms", "predictor": "alliance", "covariates": ["time"]}
    return ModelSpec(**(base | keys))


def fixture_frame(name: str, therapists: bool = False) -> pd.DataFrame:
    return split_within_between(pd.read_csv(GOLDEN / f"{name}.csv"), therapists)


def fixture_design(name: str, form: str = "hybrid", **keys: object) -> ModelDesign:
    model = spec(**keys)
    built = build_design(fixture_frame(name, model.therapists), model, COVARIATES, form)
    assert isinstance(built, ModelDesign), built
    return built


SLOPE = {"random_slopes": ["within"]}
WITH_MODERATOR = ["time", "expectancy", "modality", "within:modality"]
SIMULATED = {
    "two_ri_reml": ("two_level", {}),
    "two_ri_ml": ("two_level", {}),
    "two_slope_reml": ("two_level", SLOPE),
    "two_slope_ml": ("two_level", SLOPE),
    "two_three_effects_reml": ("two_level", {"random_slopes": ["within", "time"]}),
    "two_covariates_reml": ("two_level", SLOPE | {"covariates": WITH_MODERATOR}),
    "two_contextual_reml": ("two_level", {"form": "contextual"}),
    "two_course_reml": (
        "two_level",
        {"kind": "course", "predictor": None, "random_slopes": ["time"]},
    ),
    "singular_slope_reml": ("singular", SLOPE),
    "singular_ri_ml": ("singular", {}),
    "zero_ri_reml": ("no_client_variance", {}),
    "zero_slope_ml": ("no_client_variance", SLOPE),
    "singular_correlation_reml": ("singular_slope", SLOPE),
    "three_ri_reml": ("three_level", {"therapists": True}),
    "three_slope_reml": ("three_level", SLOPE | {"therapists": True}),
    "three_slope_ml": ("three_level", SLOPE | {"therapists": True}),
    "single_session_reml": ("single_session", SLOPE),
}


def reisby(product: bool) -> ModelDesign:
    text = (SHARED / "reisby" / "riesby.dat.txt").read_bytes().rstrip(b"\x1a").decode()
    rows = [line.split() for line in text.splitlines() if line.strip()]
    frame = pd.DataFrame(rows).replace(".", np.nan).astype(float).dropna(subset=[1])
    names = ["intercept", "week"] + (["endogenous", "week:endogenous"] if product else [])
    columns = [np.ones(len(frame)), frame[3]]
    columns += [frame[4], frame[3] * frame[4]] if product else []
    return frame[1].to_numpy(), np.column_stack(columns), names, frame[0].to_numpy()


def split(values: pd.Series, client: pd.Series) -> tuple[pd.Series, pd.Series]:
    mean = values.groupby(client).transform("mean")
    return mean, values - mean


def published_design(key: str) -> ModelDesign:
    if not SHARED.exists():
        pytest.skip("the published data are not beside the project")
    if key.startswith("reisby"):
        y, X, names, client = reisby("endogenous" in key)
        random = ["intercept"] if "_ri_" in key else ["intercept", "week"]
        return plain_design(y, X, names, client, random=random)
    if key.startswith("plasma"):
        return plasma_design("split" in key)
    return {"wage_reml": wage_design, "sgdata_reml": sgdata_design, "refra_med_reml": trial_design}[
        key
    ]()


def plasma_design(parts: bool) -> ModelDesign:
    d = pd.read_csv(SHARED / "reisby" / "RIESBYT4.dat", sep=r"\s+", header=None)
    (bi, wi), (bd, wd) = split(d[6], d[0]), split(d[7], d[0])
    columns = [np.ones(len(d)), d[3], *([bi, bd, wi, wd] if parts else [d[6], d[7]])]
    names = ["intercept", "week", *(["bi", "bd", "wi", "wd"] if parts else ["lnimi", "lndmi"])]
    random = ["intercept", "week"]
    return plain_design(d[1], np.column_stack(columns), names, d[0].to_numpy(), random=random)


def wage_design() -> ModelDesign:
    d = pd.read_csv(SHARED / "wagedata" / "WageData.csv")
    parts = [split(d[name], d["id"]) for name in ("wks", "union", "ms", "occ")]
    columns = [np.ones(len(d)), *(w for _, w in parts), *(b for b, _ in parts), d["blk"], d["fem"]]
    names = ["intercept", *"abcdefgh", "blk", "fem"]
    return plain_design(d["lwage"], np.column_stack(columns), names, d["id"].to_numpy())


def sgdata_design() -> ModelDesign:
    d = pd.read_csv(SHARED / "sgdata" / "sgdata.csv")
    long = pd.concat(
        pd.DataFrame({"id": d["id"], "t": t, "bdi": d[f"bdi_s{t}"], "rq": d[f"rq_s{t}"]})
        for t in range(13)
    ).dropna()
    between, within = split(long["rq"], long["id"])
    X = np.column_stack([np.ones(len(long)), long["t"], within, between])
    names = ["intercept", "session", "within", "between"]
    return plain_design(long["bdi"], X, names, long["id"].to_numpy())


def trial_design() -> ModelDesign:
    d = pd.read_csv(SHARED / "refra_med" / "reframed_minimised.csv")
    d["month"] = pd.to_numeric(d["month"], errors="coerce")
    d = d[(d["month"] <= 12) & d["phq9"].notna()]
    owner = d["therapist"].where(d["therapist"].notna(), "alone " + d["patient"].astype(str))
    tau = (d["grp"] == "TAU").astype(float)
    X = np.column_stack([np.ones(len(d)), d["month"], tau, d["month"] * tau])
    names = ["intercept", "month", "tau", "month:tau"]
    return plain_design(
        d["phq9"],
        X,
        names,
        d["patient"].to_numpy(),
        random=["intercept", "month"],
        therapist=owner.to_numpy(),
    )


def design_of(key: str) -> ModelDesign:
    if key not in SIMULATED:
        return published_design(key)
    name, keys = SIMULATED[key]
    return fixture_design(name, **keys)


@pytest.mark.parametrize("key", sorted(LME4))
def test_agrees_with_lme4(key):
    golden = LME4[key]
    fit = fit_lmm(design_of(key), "REML" if golden["reml"] else "ML")
    assert fit.converged, fit.message
    assert fit.n_obs == golden["n"]
    beta, se = np.array(golden["beta"]), np.array(golden["se"])
    assert fit.deviance <= golden["deviance"] + 1e-6
    np.testing.assert_allclose((fit.beta - beta) / se, 0, atol=1e-3)
    np.testing.assert_allclose(fit.se, se, rtol=1e-3)
    np.testing.assert_allclose(fit.df, golden["df"], rtol=0.01)
    np.testing.assert_allclose(fit.sigma, golden["sigma"], rtol=1e-3)
    expected = np.atleast_2d(golden["client_cov"])
    size = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_array_less(np.abs(fit.client_cov - expected), 1e-3 * size + 1e-9)
    if "sd_therapist" in golden:
        sd = float(np.sqrt(fit.therapist_cov[0, 0]))
        assert sd == pytest.approx(golden["sd_therapist"], rel=1e-3, abs=1e-6)
    assert bool(fit.singular) == golden["singular"], fit.singular


@pytest.mark.parametrize("key", [key for key in sorted(LME4) if "nlme" in LME4[key]])
def test_agrees_with_nlme(key):
    golden = LME4[key]["nlme"]
    fit = fit_lmm(design_of(key), "REML" if LME4[key]["reml"] else "ML")
    np.testing.assert_allclose((fit.beta - golden["beta"]) / fit.se, 0, atol=2e-3)
    np.testing.assert_allclose(fit.sigma, golden["sigma"], rtol=2e-3)
    assert fit.deviance <= golden["deviance"] + 1e-6


PUBLISHED = {  # printed by Hedeker & Gibbons, panelr and others: estimate, half of the last digit
    "reisby_slope_ml": {"intercept": (23.577, 5e-4), "week": (-2.377, 5e-4)},
    "reisby_ri_reml": {"intercept": (23.55, 5e-3), "week": (-2.38, 5e-3)},
    "plasma_split_ml": {"bi": (-0.313, 5e-4), "bd": (-2.367, 5e-4), "wi": (2.444, 5e-4)},
    "wage_reml": {"a": (0.0011, 5e-5), "b": (0.0643, 5e-5), "blk": (-0.1452, 5e-5)},
    "sgdata_reml": {"within": (0.660, 5e-4), "between": (0.722, 5e-4)},
    "refra_med_reml": {"month": (-0.432, 1e-3), "month:tau": (0.145, 5e-4)},
}


@pytest.mark.parametrize("key", sorted(PUBLISHED))
def test_reproduces_published_numbers(key):
    fit = fit_lmm(published_design(key), "REML" if LME4[key]["reml"] else "ML")
    for name, (value, digit) in PUBLISHED[key].items():
        assert fit.coefficient(name) == pytest.approx(value, abs=digit * 1.001), name


def test_likelihood_ratio_of_within_equal_between_is_the_published_one():
    smaller, larger = (fit_lmm(published_design(k), "ML") for k in ("plasma_ml", "plasma_split_ml"))
    test = likelihood_ratio(larger, smaller)
    assert test.statistic == pytest.approx(3.08, abs=0.005)
    assert test.reference == "chi2(2)"


@pytest.mark.parametrize("key", ["two_ri_ml", "two_slope_ml"])
def test_profile_intervals_are_those_of_lme4(key):
    golden = LME4[key]["profile"]
    fit = fit_lmm(design_of(key), "ML")
    names = {"sd_(Intercept)|client": "sd_intercept", "sd_within|client": "sd_within"}
    names |= {"sigma": "sd_residual", "cor_within.(Intercept)|client": "cor_intercept_within"}
    for row, low, high in zip(golden["rows"], golden["low"], golden["high"], strict=True):
        found = profile_interval(fit, names[row])
        np.testing.assert_allclose(found, (low, high), rtol=3e-3, atol=1e-3)


def test_client_effects_are_those_of_lme4():
    design = design_of("two_slope_reml")
    effects = client_effects(fit_lmm(design), design)
    golden = LME4["two_slope_reml"]
    assert list(effects.ids) == golden["clients"]
    np.testing.assert_allclose(effects.totals[:, 1], golden["slopes"], atol=2e-3)
    np.testing.assert_allclose(effects.sd[:, 1], golden["slope_sd"], rtol=2e-3)


def test_client_effects_below_therapists_are_those_of_lme4():
    design = design_of("three_ri_reml")
    effects = client_effects(fit_lmm(design), design)
    golden = LME4["three_ri_reml"]
    order = [effects.ids.index(name) for name in golden["clients"]]
    np.testing.assert_allclose(effects.deviations[order, 0], golden["levels"], atol=2e-3)


# Equivalences


@pytest.mark.parametrize("name", ["two_level", "single_session", "singular"])
def test_within_only_estimate_equals_the_hybrid_within_effect(name):
    hybrid = fit_lmm(fixture_design(name, covariates=[]))
    within = fit_lmm(fixture_design(name, form="within", covariates=[]))
    assert within.coefficient("within") == pytest.approx(hybrid.coefficient("within"), abs=1e-6)
    assert within.names == ("within",)


def test_contextual_form_is_the_same_model():
    design = fixture_design("two_level", **SLOPE)
    hybrid = fit_lmm(fixture_design("two_level"))
    contextual = fit_lmm(fixture_design("two_level", form="contextual"))
    names = list(hybrid.names)
    weights = np.array([float(n == "between") - float(n == "within") for n in names])
    found = contrast(hybrid, weights)
    assert contextual.coefficient("contextual") == pytest.approx(found.estimate, abs=1e-6)
    assert contextual.se[names.index("between")] == pytest.approx(found.se, rel=1e-6)
    assert contextual.df[names.index("between")] == pytest.approx(found.df, rel=1e-3)
    assert design.n_clients == 70


def test_contextual_forms_agree_at_three_levels():
    hybrid = fit_lmm(fixture_design("three_level", therapists=True))
    contextual = fit_lmm(fixture_design("three_level", form="contextual", therapists=True))
    upper = hybrid.coefficient("between_therapist") - hybrid.coefficient("between")
    assert contextual.coefficient("contextual_therapist") == pytest.approx(upper, abs=1e-5)


@pytest.mark.parametrize("factor", [1e-4, 1e4])
def test_units_do_not_matter(factor):
    frame = fixture_frame("two_level")
    scaled = split_within_between(
        frame.assign(predictor=frame["predictor"] / factor, outcome=frame["outcome"] * factor),
        False,
    )
    plain = fit_lmm(fixture_design("two_level", **SLOPE))
    built = build_design(scaled, spec(**SLOPE), COVARIATES)
    assert isinstance(built, ModelDesign)
    other = fit_lmm(built)
    assert other.coefficient("within") == pytest.approx(
        plain.coefficient("within") * factor**2, rel=1e-5
    )
    np.testing.assert_allclose(other.df, plain.df, rtol=1e-3)
    assert other.converged


def test_order_of_rows_does_not_matter():
    frame = fixture_frame("three_level", True)
    model = spec(therapists=True, **SLOPE)
    shuffled = frame.sample(frac=1, random_state=1)
    first, second = (fit_lmm(build_design(f, model, COVARIATES)) for f in (frame, shuffled))
    np.testing.assert_allclose(first.beta, second.beta, rtol=1e-7)
    assert first.deviance == pytest.approx(second.deviance, abs=1e-8)


def test_a_zero_that_is_no_optimum_is_left():
    """Started at a zero slope variance, where the derivative vanishes, the fit finds its way."""
    fit = fit_lmm(design_of("two_slope_reml"))
    model = prepare(fit.statistics)
    _, found = descend(model, np.zeros(3), True)
    assert found.deviance == pytest.approx(fit.solution.at.deviance, abs=1e-5)


# Tests between models and resampling


def test_boundary_correction_halves_the_p_value_of_a_variance():
    flat = fit_lmm(design_of("two_ri_reml"))
    slope = fit_lmm(design_of("two_slope_reml"))
    test = likelihood_ratio(slope, flat)
    assert test.reference == "mixture of chi2(1) and chi2(2)"
    assert test.statistic == pytest.approx(flat.deviance - slope.deviance)
    expected = 0.5 * (stats.chi2.sf(test.statistic, 1) + stats.chi2.sf(test.statistic, 2))
    assert test.p == pytest.approx(expected)


def test_reml_fits_with_other_fixed_effects_are_not_compared():
    smaller = fit_lmm(fixture_design("two_level", covariates=[]))
    with pytest.raises(ValueError, match="REML"):
        likelihood_ratio(fit_lmm(design_of("two_ri_reml")), smaller)


def test_cluster_bootstrap_is_seeded_and_near_the_model_based_errors():
    design = design_of("three_ri_reml")
    fit = fit_lmm(design)
    by_client = cluster_bootstrap(fit, design, "client", 120, seed=4)
    again = cluster_bootstrap(fit, design, "client", 120, seed=4)
    assert np.array_equal(by_client.beta, again.beta)
    by_therapist = cluster_bootstrap(fit, design, "therapist", 120, seed=4)
    for found in (by_client, by_therapist):
        assert found.failed == 0
        np.testing.assert_array_less(np.abs(np.log(found.se() / fit.se)), 0.5)
        np.testing.assert_array_less(np.abs(found.beta.mean(axis=0) - fit.beta), 0.5 * fit.se)


def test_two_level_model_is_bootstrapped_by_therapist():
    design = fixture_design("three_level")
    assert design.therapist is None
    fit = fit_lmm(design)
    found = cluster_bootstrap(fit, design, "therapist", 60, seed=1)
    assert found.beta.shape == (60, 4)


# statsmodels, rows, agreement

CONTEXT = RowContext(
    analysis="main",
    outcome="symptoms",
    outcome_label="Symptoms (CORE-10)",
    outcome_units="CORE-10 points",
    predictor="alliance",
    predictor_label="Alliance (WAI-SR)",
    predictor_unit="WAI-SR point",
    seed=3,
)


@pytest.mark.parametrize(
    "key", ["two_ri_ml", "two_slope_reml", "zero_ri_reml", "three_ri_reml", "single_session_reml"]
)
def test_mixedlm_agrees(key):
    design = design_of(key)
    criterion = "REML" if LME4[key]["reml"] else "ML"
    fit, other = fit_lmm(design, criterion), fit_mixedlm(design, criterion)
    assert isinstance(other, MixedLmFit)
    assert other.converged
    np.testing.assert_allclose((other.beta - fit.beta) / fit.se, 0, atol=2e-3)
    np.testing.assert_allclose(other.sigma, fit.sigma, rtol=2e-3)


def rows_of(key: str) -> pd.DataFrame:
    design = design_of(key)
    return to_frame(reml_rows(fit_lmm(design), design, CONTEXT))


def test_rows_say_level_units_and_numbers():
    design = design_of("two_slope_reml")
    fit = fit_lmm(design)
    rows = rows_of("two_slope_reml").set_index("term")
    assert (rows["status"] == "ok").all()
    assert rows.loc["within", "level"] == "within_client"
    assert rows.loc["between", "level"] == "between_client"
    assert rows.loc["within", "units"] == "CORE-10 points per WAI-SR point"
    assert rows.loc["time", "units"] == "CORE-10 points per session"
    assert rows.loc["within", "estimate"] == pytest.approx(fit.coefficient("within"))
    ratio = design.sd_within_predictor / design.sd_within_outcome
    assert rows.loc["within", "std_within"] == pytest.approx(ratio * fit.coefficient("within"))
    assert rows["std_within"].notna().sum() == 1
    assert rows.loc["within", "sd_random_slope"] == pytest.approx(fit.sd("within"))
    gap = fit.coefficient("between") - fit.coefficient("within")
    assert rows.loc["contextual", "estimate"] == pytest.approx(gap)
    assert rows.loc["sd_intercept", "ci_low"] < fit.sd("intercept")
    assert fit.sd("intercept") < rows.loc["sd_intercept", "ci_high"]
    within, between = fit.coefficient("within"), fit.coefficient("between")
    reliability = rows.loc["attenuation", "estimate"]
    corrected = within + (between - within) / reliability
    assert rows.loc["between_corrected", "estimate"] == pytest.approx(corrected)
    assert rows.loc["icc", "estimate"] == pytest.approx(3.385248**2 / (3.385248**2 + 3.004306**2))


def test_therapist_rows():
    rows = rows_of("three_slope_reml").set_index("term")
    assert rows.loc["sd_therapist", "level"] == "between_therapist"
    assert rows.loc["between_therapist", "level"] == "between_therapist"
    assert "same therapist" in rows.loc["between", "estimand"]
    assert rows.loc["within", "n_therapists"] == 25
    assert {"contextual_therapist", "icc_therapist"} <= set(rows.index)


def test_a_correlation_with_a_zero_variance_has_no_number():
    design = design_of("zero_slope_ml")
    fit = replace(fit_lmm(design, "ML"), zero_sd=("intercept",))
    rows = to_frame(reml_rows(fit, design, CONTEXT)).set_index("term")
    assert "on the boundary" in rows.loc["within", "converged"]
    assert rows.loc["cor_intercept_within", "status"] == "not_estimated"
    assert "estimated as zero" in rows.loc["cor_intercept_within", "reason"]


def test_a_refusal_becomes_rows_with_the_reason():
    refusal = Refusal("the predictor never changes within a client", "Check the scoring.")
    rows = to_frame(reml_rows(refusal, refusal, CONTEXT))
    assert list(rows["term"]) == ["within", "between"]
    assert (rows["status"] == "not_estimated").all()
    assert rows["reason"].str.contains("never changes").all()
    assert rows["estimate"].isna().all()


def test_moderator_rows_name_the_categories():
    rows = rows_of("two_covariates_reml").set_index("term")
    row = rows.loc["within:modality[psychodynamic]"]
    assert row["level"] == "within_client"
    assert "Modality psychodynamic versus CBT" in row["estimand"]
    assert rows.loc["modality[systemic]", "level"] == "between_client"
    assert rows.loc["expectancy", "units"] == "CORE-10 points per unit of Expectancy"


def test_every_term_of_a_fit_can_be_described():
    design = design_of("three_slope_reml")
    for term in (*design.names, "sd_within", "cor_intercept_within", "icc", "between_corrected"):
        level, estimand, units = describe_term(term, design, CONTEXT)
        assert level
        assert estimand
        assert "{" not in estimand + units


def test_same_sign_percentage():
    assert same_sign_percentage(-1.0, 0.0) == 100
    assert same_sign_percentage(-1.0, 1.0) == pytest.approx(84.134, abs=1e-3)


def test_agreement_of_estimators_and_its_failure():
    design = design_of("two_slope_reml")
    rows = reml_rows(fit_lmm(design), design, CONTEXT)
    rows += mixedlm_rows(fit_mixedlm(design), design, CONTEXT)
    table = to_frame(rows)
    comparison = compare_estimators(table)
    assert list(comparison["term"]) == ["between", "intercept", "time", "within"]
    assert disagreements(comparison) == []
    wrong = table["estimator"].str.startswith("MixedLM") & (table["term"] == "within")
    table.loc[wrong, "estimate"] += 0.1 * table.loc[wrong, "se"]
    told = disagreements(compare_estimators(table))
    assert len(told) == 1
    assert "main, within" in told[0]


def test_correlated_slopes_below_therapists_are_marked_as_another_model():
    design = design_of("three_slope_reml")
    rows = reml_rows(fit_lmm(design), design, CONTEXT, profile=False)
    rows += mixedlm_rows(fit_mixedlm(design), design, CONTEXT)
    comparison = compare_estimators(to_frame(rows))
    assert comparison["remark"].str.contains("uncorrelated").all()
    assert disagreements(comparison) == []


def test_data_that_are_fitted_exactly_are_refused():
    """Every client on a straight line of its own: nothing is left for the residual."""
    rng = np.random.default_rng(5)
    client = np.repeat(np.arange(20), 6)
    x = rng.normal(size=120)
    y = rng.normal(size=20)[client] + rng.normal(size=20)[client] * x
    names = ["intercept", "within"]
    design = plain_design(y, np.column_stack([np.ones(120), x]), names, client, random=names)
    fit = fit_lmm(design)
    assert isinstance(fit, Refusal)
    rows = reml_rows(fit, design, CONTEXT)
    assert {row.status for row in rows} == {"not_estimated"}


def test_a_fit_that_did_not_converge_keeps_its_numbers_under_another_status():
    design = design_of("two_slope_reml")
    fit = replace(fit_lmm(design), converged=False, message="the deviance could still fall")
    rows = to_frame(reml_rows(fit, design, CONTEXT))
    assert set(rows["status"]) == {"diagnostics_failed"}
    assert rows["reason"].str.contains("could still fall").all()
    assert rows["estimate"].notna().all()


def test_sizes_of_fits():
    fit = fit_lmm(design_of("three_slope_reml"))
    assert isinstance(fit, LmmFit)
    assert fit.n_parameters == 5 + 3 + 1 + 1


@pytest.mark.parametrize("therapists", [False, True])
def test_a_large_study_started_from_a_part_of_it_ends_at_the_same_optimum(therapists):
    rng = np.random.default_rng(8)
    client = np.repeat(np.arange(620), 4)
    therapist = (client // 10) if therapists else None
    x = rng.normal(size=client.size)
    level, slope = rng.normal(size=(2, 620))
    y = 2 * level[client] + (0.5 + 0.3 * slope[client]) * x + rng.normal(size=client.size)
    y += rng.normal(size=62)[client // 10] if therapists else 0.0
    names = ["intercept", "within"]
    X = np.column_stack([np.ones(client.size), x])
    fit = fit_lmm(plain_design(y, X, names, client, random=names, therapist=therapist))
    direct = solve(prepare(fit.statistics), True, 3)
    assert fit.converged
    assert fit.solution.at.deviance == pytest.approx(direct.at.deviance, abs=1e-6)
    np.testing.assert_allclose(fit.solution.theta, direct.theta, atol=1e-4)
