"""REML and ML fits against lme4, lmerTest and nlme (tests/golden/r/lmm.R)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from alliance.estimation.design import ModelDesign, build_design, plain_design
from alliance.estimation.reml import fit_lmm
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
