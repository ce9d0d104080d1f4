"""Structured residuals and slopes of therapists against nlme and lme4 (golden/r/residuals.R)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from alliance.estimation.design import ModelDesign, build_design, plain_design
from alliance.estimation.mixedlm import MixedLmFit, fit_mixedlm
from alliance.estimation.profile_likelihood import profile_interval
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import fit_lmm
from alliance.estimation.residual_design import ResidualDesign
from alliance.estimation.solving import solve
from alliance.likelihood.profiled import prepare
from alliance.likelihood.residuals import StructuredModel, criterion_at, structured_rows
from alliance.likelihood.statistics import accumulate, client_places
from alliance.study import Covariate, ModelSpec
from alliance.within_between import split_within_between

FOLDER = Path(__file__).parent / "golden" / "residuals"
GOLDEN = json.loads((FOLDER / "golden.json").read_text())
MODALITY = {"modality": Covariate(column="modality", type="category", label="Modality")}
SLOPE = {"random_slopes": ["within"]}
BY_PHASE = {"correlation": "ar1", "variance_by": "phase", "phases": [7]}
THREE = SLOPE | {"therapists": True}
DESIGNS = {
    "gaps_ri_reml": ("gaps", {"residuals": "ar1"}),
    "gaps_slope_reml": ("gaps", SLOPE | {"residuals": "ar1"}),
    "gaps_continuous_ml": ("gaps", SLOPE | {"residuals": "ar1"}),
    "negative_ri_reml": ("negative", {"residuals": "ar1"}),
    "unequal_slope_reml": ("unequal", SLOPE | {"residuals": {"variance_by": "modality"}}),
    "unequal_slope_ml": ("unequal", SLOPE | {"residuals": {"variance_by": "modality"}}),
    "phases_both_reml": ("phases", {"residuals": BY_PHASE}),
    "therapists_reml": ("therapists", THREE | {"residuals": "ar1"}),
    "therapist_slope_reml": ("therapists", THREE | {"therapist_slopes": ["within"]}),
    "therapist_slope_ml": ("therapists", THREE | {"therapist_slopes": ["within"]}),
    "therapist_time_reml": (
        "therapists",
        {"therapists": True, "therapist_slopes": ["within", "time"]},
    ),
}
STRUCTURED = [key for key in DESIGNS if "therapist_" not in key]


def spec(**keys: object) -> ModelSpec:
    base = {"label": "m", "outcome": "y", "predictor": "x", "covariates": ["time"]}
    return ModelSpec(**(base | keys))


def frame_of(name: str, therapists: bool = False) -> pd.DataFrame:
    return split_within_between(pd.read_csv(FOLDER / f"{name}.csv"), therapists)


def design_of(key: str) -> ModelDesign:
    name, keys = DESIGNS[key]
    model = spec(**keys)
    built = build_design(frame_of(name, model.therapists), model, MODALITY)
    assert isinstance(built, ModelDesign), built
    return built


@pytest.fixture(scope="module")
def fits() -> dict:
    return {key: fit_lmm(design_of(key), GOLDEN[key]["method"]) for key in DESIGNS}


@pytest.mark.parametrize("key", sorted(DESIGNS))
def test_agrees_with_nlme_and_lme4(key, fits):
    golden, fit = GOLDEN[key], fits[key]
    assert fit.converged, fit.message
    assert fit.n_obs == golden["n"]
    assert golden["deviance"] - 1e-4 <= fit.deviance <= golden["deviance"] + 1e-6
    beta, se = np.array(golden["beta"]), np.array(golden["se"])
    np.testing.assert_allclose((fit.beta - beta) / se, 0, atol=1e-3)
    np.testing.assert_allclose(fit.se, se, rtol=1e-3)
    if "df" in golden:
        np.testing.assert_allclose(fit.df, golden["df"], rtol=0.01)
    if "client_sd" in golden:
        np.testing.assert_allclose(
            np.sqrt(np.diag(fit.client_cov)), np.atleast_1d(golden["client_sd"]), rtol=1e-2
        )  # flat in one design, where nlme stops a little earlier
    if "therapist_cov" in golden:
        expected = np.array(golden["therapist_cov"])
        size = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        np.testing.assert_array_less(np.abs(fit.therapist_cov - expected), 2e-3 * size)
        assert bool(fit.singular) == golden["singular"]


@pytest.mark.parametrize("key", STRUCTURED)
def test_structure_of_the_residuals_is_that_of_nlme(key, fits):
    golden, found = GOLDEN[key], fits[key].residuals
    if "rho" in golden:
        assert found.rho == pytest.approx(golden["rho"], abs=1e-3)
    if "residual_sd" in golden:
        expected = [value for _, value in sorted(golden["residual_sd"].items())]
        np.testing.assert_allclose(found.sd, expected, rtol=1e-3)
    else:
        assert fits[key].sigma == pytest.approx(golden["sigma"], rel=1e-3)
    assert found.independent_deviance == pytest.approx(golden["independent"], abs=1e-4)


def test_interval_of_the_correlation_is_where_the_profile_of_nlme_crosses(fits):
    golden = GOLDEN["gaps_ri_reml"]
    low, high = profile_interval(fits["gaps_ri_reml"], "residual_correlation")
    assert low == pytest.approx(golden["rho_low"], abs=1e-3)
    assert high == pytest.approx(golden["rho_high"], abs=1e-3)


def test_intervals_of_residual_sds_hold_their_estimates(fits):
    fit = fits["unequal_slope_reml"]
    for k, sd in enumerate(fit.residuals.sd):
        low, high = profile_interval(fit, f"sd_residual[{k}]")
        assert 0.8 * sd < low < sd < high < 1.3 * sd


def test_profiles_of_therapists_slopes_cross_at_the_quantile(fits):
    """At the limit the deviance, minimised over the rest, is 3.84 above the minimum."""
    fit = fits["therapist_slope_ml"]
    low, high = profile_interval(fit, "sd_therapist_within")
    sd = float(np.sqrt(fit.therapist_cov[1, 1]))
    assert 0 <= low < sd < high
    wide = profile_interval(fit, "sd_therapist_within", level=0.99)
    assert wide[0] <= low
    assert wide[1] > high


# The likelihood itself


def dense_deviance(data: dict, psi: np.ndarray, reml: bool) -> float:
    """The deviance from the whole covariance matrix, written down without any shortcut."""
    X, y, client, therapist = data["X"], data["y"], data["client"], data["therapist"]
    group, position = data["group"], data["position"]
    n, Z = len(y), X[:, :2]
    L, M = np.zeros((2, 2)), np.zeros((2, 2))
    L[np.tril_indices(2)], M[np.tril_indices(2)] = psi[:3], psi[3:6]
    free = np.exp(np.append(0.0, psi[7:]))
    sd = free / np.sqrt(np.bincount(group) / n @ free**2)
    same = client[:, None] == client
    V = same * (Z @ L @ L.T @ Z.T) + (therapist[:, None] == therapist) * (Z @ M @ M.T @ Z.T)
    apart = np.abs(position[:, None] - position)
    V = V + same * np.tanh(psi[6]) ** apart * np.outer(sd[group], sd[group])
    inverse = np.linalg.inv(V)
    information = X.T @ inverse @ X
    residual = y - X @ np.linalg.solve(information, X.T @ inverse @ y)
    freedom = n - X.shape[1] * reml
    deviance = freedom * (np.log(2 * np.pi * (residual @ inverse @ residual) / freedom) + 1)
    deviance += np.linalg.slogdet(V)[1]
    return deviance + reml * np.linalg.slogdet(information)[1]


def small_data(seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 8, 40)
    client = np.repeat(np.arange(40), sizes)
    n = client.size
    position = np.concatenate([np.sort(rng.choice(14, t, replace=False)) for t in sizes])
    X = np.column_stack([np.ones(n), rng.normal(size=n), rng.normal(size=n)])
    y = rng.normal(size=40)[client] + X[:, 1] * rng.normal(size=40)[client] + rng.normal(size=n)
    group = rng.integers(0, 3, n)
    shuffled = rng.permutation(n)
    made = {"X": X, "y": y, "client": client, "therapist": client // 4, "position": position}
    return {name: values[shuffled] for name, values in (made | {"group": group}).items()}


def model_of(data: dict) -> StructuredModel:
    two = np.array([0, 1])
    X, y, client, therapist = data["X"], data["y"], data["client"], data["therapist"]
    statistics = accumulate(X, y, client, two, therapist, two)
    rows = structured_rows(
        statistics,
        np.column_stack([X, y]),
        client_places(client, therapist)[0],
        data["position"],
        data["group"],
    )
    return StructuredModel(rows, two, two)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("rho", [-0.6, 0.0, 0.4, 0.9])
def test_criterion_and_gradient_are_those_of_the_whole_covariance_matrix(reml, rho):
    data = small_data()
    model = model_of(data)
    psi = np.array([0.8, 0.2, 0.4, 0.5, 0.1, 0.3, np.arctanh(rho), 0.3, -0.2])
    at = criterion_at(model, psi, reml)
    assert at.deviance == pytest.approx(dense_deviance(data, psi, reml), abs=1e-8)
    steps = 1e-5 * np.eye(len(psi))
    slopes = [
        (dense_deviance(data, psi + h, reml) - dense_deviance(data, psi - h, reml)) / 2e-5
        for h in steps
    ]
    np.testing.assert_allclose(at.gradient, slopes, atol=1e-5, rtol=1e-5)


def test_without_structure_it_is_the_independent_model():
    data = small_data(3)
    model = model_of(data)
    theta = np.array([0.8, 0.2, 0.4, 0.5, 0.1, 0.3])
    plain = criterion_at(prepare(model.source.template), theta)
    assert criterion_at(model, np.append(theta, np.zeros(3))).deviance == pytest.approx(
        plain.deviance, abs=1e-9
    )


def test_degrees_of_freedom_follow_from_the_curvature_in_all_parameters(fits):
    """Satterthwaite from the dense likelihood, by differences in another parameterisation."""
    design, fit = design_of("gaps_ri_reml"), fits["gaps_ri_reml"]
    X, y, client = design.X, design.y, design.client
    position = design.residuals.position
    same = client[:, None] == client
    apart = np.abs(position[:, None] - position)

    def pieces(values: np.ndarray) -> tuple[float, np.ndarray]:
        level, sigma, rho = values
        V = same * (level**2 + sigma**2 * rho**apart)
        inverse = np.linalg.inv(V)
        information = X.T @ inverse @ X
        residual = y - X @ np.linalg.solve(information, X.T @ inverse @ y)
        deviance = np.linalg.slogdet(V)[1] + np.linalg.slogdet(information)[1]
        return deviance + residual @ inverse @ residual, np.linalg.inv(information)

    at = np.array([fit.sd("intercept"), fit.sigma, fit.residuals.rho])
    h = 1e-3 * at
    k = range(3)
    steps = np.diag(h)

    def second(a: int, b: int) -> float:
        signs = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
        total = sum(s * pieces(at + p * steps[a] + q * steps[b])[0] for p, q, s in signs)
        return total / (4 * h[a] * h[b])

    hessian = np.array([[second(a, b) for b in k] for a in k])
    slopes = np.array(
        [(pieces(at + steps[a])[1] - pieces(at - steps[a])[1]) / (2 * h[a]) for a in k]
    )
    variances = np.diag(pieces(at)[1])
    by_term = np.einsum("kaa->ak", slopes)
    spread = 2 * np.einsum("ak,kl,al->a", by_term, np.linalg.inv(hessian), by_term)
    np.testing.assert_allclose(fit.df, 2 * variances**2 / spread, rtol=0.01)


def test_every_start_ends_at_the_same_optimum(fits):
    fit = fits["phases_both_reml"]
    model = StructuredModel(
        fit.residuals.rows, fit.statistics.client_columns, fit.statistics.therapist_columns
    )
    deviances = [
        solve(model, True, 1, known=np.array([level])).at.deviance for level in (0.01, 0.5, 3.0)
    ]
    np.testing.assert_allclose(deviances, fit.solution.at.deviance, atol=1e-5)


def test_order_of_rows_and_units_do_not_matter():
    frame = frame_of("gaps")
    model = spec(residuals="ar1", **SLOPE)
    scaled = split_within_between(
        frame.assign(outcome=frame["outcome"] * 1e4, predictor=frame["predictor"] / 1e3), False
    )
    first, shuffled, other = (
        fit_lmm(build_design(f, model, {})) for f in (frame, frame.sample(frac=1), scaled)
    )
    assert shuffled.deviance == pytest.approx(first.deviance, abs=1e-7)
    assert other.residuals.rho == pytest.approx(first.residuals.rho, abs=1e-5)
    np.testing.assert_allclose(shuffled.beta, first.beta, rtol=1e-6)
    np.testing.assert_allclose(other.df, first.df, rtol=1e-3)


# Data that cannot carry the structure


def dropped_of(frame: pd.DataFrame, **keys: object) -> tuple[ModelDesign, dict[str, str]]:
    model = spec(**keys)
    built = build_design(split_within_between(frame, model.therapists), model, MODALITY)
    assert isinstance(built, ModelDesign), built
    return built, dict(built.dropped)


def test_two_sessions_each_carry_no_serial_correlation():
    frame = frame_of("gaps")
    design, dropped = dropped_of(frame.groupby("client").head(2), residuals="ar1")
    assert design.residuals is None
    assert "3 or more rows" in dropped["residual correlation"]


def test_rows_with_one_session_number_carry_no_serial_correlation():
    frame = frame_of("gaps").assign(outcome_session=1)
    _, dropped = dropped_of(frame, residuals="ar1")
    assert "same session number" in dropped["residual correlation"]


def test_equal_gaps_are_the_step_of_the_correlation():
    frame = frame_of("gaps")
    doubled = frame.assign(outcome_session=frame["outcome_session"] * 4)
    design, _ = dropped_of(doubled, residuals="ar1")
    assert design.residuals.step == 4
    plain, doubled_fit = (fit_lmm(dropped_of(f, residuals="ar1")[0]) for f in (frame, doubled))
    assert doubled_fit.residuals.rho == pytest.approx(plain.residuals.rho, abs=1e-6)


def test_residual_sds_of_small_or_single_categories_are_left_out_and_named():
    frame = frame_of("unequal")
    one = frame[frame["modality"] == "CBT"]
    _, dropped = dropped_of(one, residuals={"variance_by": "modality"})
    assert "one category" in dropped["residual SD by modality"]
    few = pd.concat([one, frame[frame["modality"] != "CBT"].iloc[:9]])
    _, dropped = dropped_of(few, residuals={"variance_by": "modality"})
    reason = dropped["residual SD by modality"]
    assert "psychodynamic" in reason
    assert not any(f" {k} clients" in reason for k in (1, 2))


def test_a_category_without_residual_variance_is_refused():
    frame = frame_of("unequal")
    flat = frame["modality"] == "systemic"
    frame.loc[flat, "outcome"] = 10.0 + frame.loc[flat, "time"]
    design, _ = dropped_of(frame, residuals={"variance_by": "modality"})
    fit = fit_lmm(design)
    assert isinstance(fit, Refusal)
    assert "one category" in fit.reason


def test_a_correlation_without_a_random_level_to_tell_it_from_is_found_at_its_truth():
    """Long series, no client differences: the level is zero and the correlation the truth."""
    rng = np.random.default_rng(4)
    clients, sessions = 60, 15
    e = np.empty((clients, sessions))
    e[:, 0] = rng.normal(size=clients)
    for t in range(1, sessions):
        e[:, t] = 0.6 * e[:, t - 1] + 0.8 * rng.normal(size=clients)
    client = np.repeat(np.arange(clients), sessions)
    position = np.tile(np.arange(sessions), clients)
    structure = ResidualDesign(position, 1, True, np.zeros(client.size, dtype=np.int64), ("all",))
    X = np.column_stack([np.ones(client.size), rng.normal(size=client.size)])
    design = plain_design(e.ravel(), X, ["intercept", "within"], client, residuals=structure)
    fit = fit_lmm(design)
    assert fit.converged, fit.message
    assert fit.residuals.rho == pytest.approx(0.6, abs=0.08)
    assert fit.sd("intercept") < 0.45
    statistic = fit.residuals.independent_deviance - fit.deviance
    assert stats.chi2.sf(statistic, 1) < 1e-6


def test_few_therapists_with_variation_carry_no_slope():
    frame = frame_of("therapists", True)
    still = frame["therapist"] > "T05"
    frame.loc[still, "predictor"] = (
        frame.loc[still].groupby("client")["predictor"].transform("mean")
    )
    _, dropped = dropped_of(frame, therapists=True, therapist_slopes=["within"])
    assert "10 are needed" in dropped["therapist slope of within"]


def test_a_slope_that_does_not_differ_between_therapists_is_named():
    rng = np.random.default_rng(1)
    frame = frame_of("therapists", True)
    noise = rng.normal(size=len(frame))
    design, _ = dropped_of(
        frame.assign(outcome=noise), therapists=True, therapist_slopes=["within"]
    )
    fit = fit_lmm(design)
    assert fit.converged, fit.message
    assert any("therapists" in words for words in fit.singular), fit.singular


def test_statsmodels_checks_slopes_of_therapists_and_refuses_structured_residuals(fits):
    refused = fit_mixedlm(design_of("gaps_ri_reml"))
    assert isinstance(refused, Refusal)
    assert "correlated" in refused.reason
    key = "therapist_time_reml"
    other = fit_mixedlm(design_of(key))
    assert isinstance(other, MixedLmFit)
    np.testing.assert_allclose((other.beta - fits[key].beta) / fits[key].se, 0, atol=0.01)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"residuals": {"variance_by": "phase"}}, "belong together"),
        ({"residuals": {"variance_by": "phase", "phases": [9, 4]}}, "ascending"),
        ({"therapist_slopes": ["within"]}, "therapists: true"),
        ({"bootstrap": 20}, "100"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(keys, words):
    with pytest.raises(ValueError, match=words):
        spec(**keys)
