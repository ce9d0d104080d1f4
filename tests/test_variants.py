"""Trend, components, moderators, raters, effect sizes: known truth, golden values, flawed data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alliance.estimates import to_frame
from alliance.estimation.attenuation import attenuation
from alliance.estimation.components import component_rows, helmert
from alliance.estimation.design import DESIGN_FORM, ModelDesign, build_design
from alliance.estimation.detrending import FORKS, own_lines, trend_rows
from alliance.estimation.effect_sizes import effect_rows
from alliance.estimation.moderators import holm, moderator_rows
from alliance.estimation.r_squared import explained_variance
from alliance.estimation.rater_comparison import client_influence, comparison_rows
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import LmmFit, contrast, fit_lmm
from alliance.estimation.row_maker import maker_of
from alliance.estimation.rows import corrected_rows, reml_rows
from alliance.estimation.terms import RowContext
from alliance.estimation.variance_rows import icc_interval
from alliance.study import Covariate, ModelSpec
from alliance.within_between import split_within_between

GOLDEN = Path(__file__).parent / "golden"
CONTEXT = RowContext(
    "main", "symptoms", "Symptoms", "points", "alliance", "Alliance", "point", known_bias="lagged"
)
COVARIATES = {
    "arm": Covariate(column="arm", type="category", label="Arm", reference="usual"),
    "severity": Covariate(column="severity", type="number", label="Severity"),
}


def spec(**keys: object) -> ModelSpec:
    base = {"label": "m", "outcome": "symptoms", "predictor": "alliance", "covariates": ["time"]}
    return ModelSpec(**(base | keys))


def study(
    seed: int = 1,
    n: int = 150,
    rows: tuple[int, int] = (6, 13),
    slope_by_arm: float = 0.0,
    slope_by_severity: float = 0.0,
    sd_slope: float = 0.3,
    component_effects: tuple[float, float, float] = (-0.3, -0.3, -0.3),
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Model frame, scored sessions and clients of a made-up study with known coefficients."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(*rows, n)
    client = np.repeat(np.arange(n), counts)
    arm = rng.integers(0, 2, n)
    severity = rng.normal(size=n)
    parts = 0.6 * rng.normal(size=(n, 3))[client] + 0.7 * rng.normal(size=(len(client), 1))
    parts = parts + 0.5 * rng.normal(size=(len(client), 3)) + rng.normal(size=(n, 1))[client]
    means = pd.DataFrame(parts).groupby(client).transform("mean").to_numpy()
    own = slope_by_arm * arm + slope_by_severity * severity + sd_slope * rng.normal(size=n)
    within = parts - means
    y = 10 + within @ np.array(component_effects) + own[client] * within.mean(axis=1)
    y += -0.8 * means.mean(axis=1) + rng.normal(size=n)[client] + rng.normal(size=len(client))
    names = [f"c{k:03d}" for k in range(n)]
    frame = pd.DataFrame(
        {
            "client": np.array(names)[client],
            "therapist": np.array([f"t{k % 25:02d}" for k in range(n)])[client],
            "session": np.concatenate([np.arange(c) for c in counts]),
            "predictor": parts.mean(axis=1),
            "outcome": y,
        }
    )
    frame["outcome_session"] = frame["session"] + 1
    frame["time"] = frame["session"].astype(float)
    sessions = frame[["client", "session"]].assign(
        **{f"alliance_{c}": parts[:, k] for k, c in enumerate(("goal", "task", "bond"))}
    )
    clients = pd.DataFrame(
        {"client": names, "arm": np.where(arm == 1, "new", "usual"), "severity": severity}
    )
    return split_within_between(frame, therapists=False), sessions, clients


def fitted(frame: pd.DataFrame, form: str = "hybrid", **keys: object) -> tuple[ModelDesign, LmmFit]:
    model = spec(**keys)
    design = build_design(frame, model, COVARIATES, DESIGN_FORM[form])
    assert isinstance(design, ModelDesign)
    fit = fit_lmm(design, model.likelihood)
    assert isinstance(fit, LmmFit)
    return design, fit


def table(rows: list) -> pd.DataFrame:
    return to_frame(rows).set_index(["analysis", "term"])


# Forms


def test_the_within_only_form_gives_the_within_effect_of_the_hybrid():
    frame, _, _ = study()
    _, hybrid = fitted(frame, covariates=[])
    _, within = fitted(frame, "within_only", covariates=[])
    assert within.coefficient("within") == pytest.approx(hybrid.coefficient("within"), abs=1e-6)


def test_the_contextual_effect_is_between_minus_within_with_the_same_interval():
    frame, _, _ = study()
    design, hybrid = fitted(frame)
    _, mundlak = fitted(frame, "contextual")
    weights = np.array([{"between": 1.0, "within": -1.0}.get(n, 0.0) for n in hybrid.names])
    found = contrast(hybrid, weights)
    at = mundlak.names.index("contextual")
    assert found.estimate == pytest.approx(mundlak.beta[at], abs=1e-6)
    assert found.se == pytest.approx(mundlak.se[at], rel=1e-5)
    rows = table(reml_rows(hybrid, design, CONTEXT, profile=False)).loc["main"]
    assert rows.loc["contextual", "ci_low"] == pytest.approx(found.ci_low)


def test_the_contextual_form_has_the_same_corrected_between_effect():
    frame, _, _ = study()
    rows = [
        table(corrected_rows(fit, maker_of(fit, design, CONTEXT))).loc["main"]
        for design, fit in (fitted(frame), fitted(frame, "contextual"))
    ]
    for term in ("attenuation", "between_corrected", "between_corrected_ar1"):
        assert rows[0].loc[term, "estimate"] == pytest.approx(rows[1].loc[term, "estimate"], 1e-6)


def test_the_contextual_form_tells_the_between_effects_too():
    frame, _, _ = study()
    for therapists, terms in (
        (False, ["between"]),
        (True, ["between", "between_therapist", "contextual_therapist"]),
    ):
        split = split_within_between(frame, therapists)
        found = [
            table(reml_rows(fit, design, CONTEXT, profile=False)).loc["main"]
            for design, fit in (
                fitted(split, therapists=therapists),
                fitted(split, "contextual", therapists=therapists),
            )
        ]
        for term in terms:
            for number in ("estimate", "se"):
                values = [rows.loc[term, number] for rows in found]
                assert values[0] == pytest.approx(values[1], rel=1e-4), (term, number)


@pytest.mark.parametrize(
    "keys",
    [
        {"form": "within_only", "random_slopes": ["within"]},
        {"form": "within_only", "therapists": True},
        {"form": "contextual", "moderators": ["arm"]},
        {"kind": "course", "predictor": None, "components": True},
    ],
)
def test_forms_that_cannot_be_are_refused_in_the_study_file(keys):
    with pytest.raises(ValueError, match=r"form|needs"):
        spec(**keys)


# Attenuation


def autocorrelated(seed: int, phi: float, tau: float = 0.6, n: int = 250) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(n):
        length = int(rng.integers(4, 14))
        moves = [rng.normal()]
        for _ in range(length - 1):
            moves.append(phi * moves[-1] + np.sqrt(1 - phi**2) * rng.normal())
        level = tau * rng.normal()
        rows += [(f"c{k:03d}", t, level + move) for t, move in enumerate(moves)]
    frame = pd.DataFrame(rows, columns=["client", "time", "predictor"])
    return frame.assign(outcome=frame["predictor"] + rng.normal(size=len(frame)), therapist=None)


@pytest.mark.parametrize("phi", [0.0, 0.5])
def test_reliability_of_means_with_autocorrelated_ratings(phi):
    """Mean over 20 studies beside the true value; jackknife beside the spread over studies."""
    found, plain, errors = [], [], []
    for seed in range(20):
        frame = split_within_between(autocorrelated(seed, phi), therapists=False)
        design, _ = fitted(frame, covariates=[])
        one = attenuation(design, ar1=True)
        assert one is not None
        found.append(one.reliability)
        errors.append(one.se)
        plain.append(attenuation(design).reliability)
    lengths = frame.groupby("client").size()
    error = np.mean(
        [
            np.power(phi, np.abs(np.subtract.outer(np.arange(t), np.arange(t)))).mean()
            for t in lengths
        ]
    )
    true = 0.36 / (0.36 + error)
    assert np.mean(found) == pytest.approx(true, abs=0.04)
    assert np.std(found) == pytest.approx(np.mean(errors), rel=0.45)
    if phi:
        assert np.mean(plain) > true + 0.2  # the simple version is far too good


def test_the_simple_reliability_is_that_of_the_design():
    for therapists in (False, True):
        frame, _, _ = study()
        frame = split_within_between(frame, therapists)
        design, _ = fitted(frame, therapists=therapists)
        found = attenuation(design)
        assert found.reliability == pytest.approx(design.predictor_reliability, rel=1e-9)
        left_out = []  # the jackknife, by leaving clients out of the frame
        for client in sorted(set(frame["client"]))[:3]:
            rest = split_within_between(frame[frame["client"] != client], therapists)
            less, _ = fitted(rest, therapists=therapists)
            left_out.append(less.predictor_reliability)
        assert np.ptp(left_out) < 20 * found.se


def test_two_ratings_each_do_not_tell_autocorrelation():
    frame, _, _ = study(rows=(2, 3))
    design, fit = fitted(frame)
    rows = table(corrected_rows(fit, maker_of(fit, design, CONTEXT))).loc["main"]
    assert rows.loc["attenuation", "status"] == "ok"
    assert rows.loc["attenuation_ar1", "status"] == "not_estimated"


# Explained variance and effect sizes


def test_explained_variance_agrees_with_the_formulas_on_lme4_fits():
    """tests/golden/r/r_squared.R: Rights & Sterba's formulas written anew on lme4 fits."""
    golden = json.loads((GOLDEN / "lmm" / "r_squared.json").read_text())
    frame = split_within_between(pd.read_csv(GOLDEN / "lmm" / "two_level.csv"), therapists=False)
    for name, slopes in (("intercept", []), ("slope", ["within"])):
        design, fit = fitted(frame, covariates=[], random_slopes=slopes)
        part = explained_variance(fit, design)
        for key, value in golden[name].items():
            assert getattr(part, key) == pytest.approx(value, rel=2e-4, abs=1e-8), (name, key)


def test_explained_variance_adds_up_and_knows_the_truth():
    frame, _, _ = study(n=600, sd_slope=0.0, component_effects=(-0.3, -0.3, -0.3))
    design, fit = fitted(frame, covariates=[])
    rows = table(effect_rows(fit, design, CONTEXT))["estimate"].loc["main"]
    total = rows[["r2_f1", "r2_f2", "r2_v", "r2_m"]].sum()
    part = explained_variance(fit, design)
    assert total + part.residual / part.total == pytest.approx(1)
    within = design.X[:, design.names.index("within")]
    true = 0.81 * np.var(within) / (0.81 * np.var(within) + 1)
    assert rows["r2_f1_within"] == pytest.approx(true, abs=0.03)


def test_person_standardised_effect_without_spread_of_slopes():
    """Same slope for all: the mean of slope times the ratio of own SDs, by hand."""
    frame, _, _ = study(sd_slope=0.0)
    design, fit = fitted(frame, covariates=[])
    row = table(effect_rows(fit, design, CONTEXT)).loc[("main", "within_person_sd")]
    own = frame.groupby("client")[["predictor", "outcome"]].std()
    by_hand = (fit.coefficient("within") * own["predictor"] / own["outcome"]).mean()
    assert row["estimate"] == pytest.approx(by_hand, rel=1e-6)
    assert row["ci_low"] < by_hand < row["ci_high"]


def test_interval_of_the_icc_holds_the_truth():
    held = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        frame, _, _ = study(seed=seed, n=80, component_effects=(0, 0, 0), sd_slope=0.0)
        level = dict(zip(sorted(set(frame["client"])), rng.normal(size=80), strict=True))
        frame["outcome"] = frame["client"].map(level) + rng.normal(size=len(frame))
        _, fit = fitted(frame, covariates=[])
        low, high = icc_interval(fit)
        held.append(low < 0.5 < high)
    assert sum(held) >= 25  # 28.5 expected


# Trend


def test_common_courses_alone_give_a_within_effect_that_session_effects_take_away():
    rng = np.random.default_rng(3)
    frame, _, _ = study(n=200, component_effects=(0, 0, 0), sd_slope=0.0)
    frame["predictor"] = 0.15 * frame["time"] + rng.normal(size=len(frame))
    frame["outcome"] = -0.15 * frame["time"] + rng.normal(size=len(frame))
    frame = split_within_between(frame, therapists=False)
    rows = table(trend_rows(frame, spec(), {}, CONTEXT))
    effect = {fork: rows.loc[(f"main.trend_{fork}", "within")] for fork in FORKS}
    assert effect["none"]["ci_high"] < -0.03
    for fork in ("session_effects", "random_time", "own_line"):
        assert effect[fork]["ci_low"] < 0 < effect[fork]["ci_high"], fork
        assert effect[fork]["trend"] == FORKS[fork]
    assert "known" in effect["own_line"]["known_bias"]


def test_own_lines_are_least_squares_lines():
    frame, _, _ = study(n=20)
    lines = own_lines(frame)
    one = lines[lines["client"] == "c003"]
    slope, level = np.polyfit(one["time"], one["predictor"], 1)
    residual = one["predictor"] - level - slope * one["time"]
    assert one["within"].to_numpy() == pytest.approx(residual.to_numpy())
    grand = level + slope * lines["time"].mean()
    other = lines[lines["client"] == "c004"]
    slope2, level2 = np.polyfit(other["time"], other["predictor"], 1)
    apart = grand - (level2 + slope2 * lines["time"].mean())
    assert one["between"].iloc[0] - other["between"].iloc[0] == pytest.approx(apart)


def test_trend_with_two_sessions_each_gives_reasons_not_numbers():
    frame, _, _ = study(rows=(2, 3))
    rows = table(trend_rows(frame, spec(random_slopes=["within"]), {}, CONTEXT))
    row = rows.loc[("main.trend_own_line", "within")]
    assert row["status"] == "not_estimated"
    assert "3 or more" in row["reason"]
    assert rows.loc[("main.trend_none", "within"), "status"] == "ok"


# Components


def test_components_find_their_coefficients_and_contrasts():
    frame, sessions, _ = study(n=500, component_effects=(-0.6, -0.2, 0.0), sd_slope=0.0)
    rows = table(component_rows(frame, sessions, spec(), ["goal", "task", "bond"], {}, CONTEXT))
    joint = rows.loc["main.components"]
    for term, true in {
        "within_goal": -0.6,
        "within_task": -0.2,
        "within_bond": 0.0,
        "within_goal_minus_task": -0.4,
        "within_bond_minus_task_goal": 0.4,
    }.items():
        assert abs(joint.loc[term, "estimate"] - true) < 3 * joint.loc[term, "se"], term
        assert joint.loc[term, "se"] < 0.1
    assert {"main.component_goal", "main.component_bond"} <= set(rows.index.get_level_values(0))
    assert joint.loc["vif_goal", "estimate"] > 1.5


def test_the_joint_model_is_the_regression_on_all_components():
    """Reparametrised as mean and contrasts, the coefficients are those of the plain model."""
    frame, sessions, _ = study(n=60)
    keys = ["goal", "task", "bond"]
    rows = table(component_rows(frame, sessions, spec(covariates=[]), keys, {}, CONTEXT))
    joint = rows.loc["main.components"]
    scores = sessions[[f"alliance_{c}" for c in keys]]
    moved = scores - scores.groupby(sessions["client"]).transform("mean")
    y = frame["outcome"] - frame.groupby("client")["outcome"].transform("mean")
    plain = np.linalg.lstsq(moved.to_numpy(), y.to_numpy(), rcond=None)[0]
    found = [joint.loc[f"within_{c}", "estimate"] for c in keys]
    assert found == pytest.approx(plain, abs=1e-6)
    inflation = np.diag(np.linalg.inv(np.corrcoef(moved.to_numpy(), rowvar=False)))
    assert [joint.loc[f"vif_{c}", "estimate"] for c in keys] == pytest.approx(inflation)


def test_contrasts_are_orthogonal():
    matrix = helmert(3)
    assert matrix @ matrix.T == pytest.approx(np.diag(np.diag(matrix @ matrix.T)))


def test_a_missing_component_and_a_double_one_give_reasons():
    frame, sessions, _ = study(n=60)
    rows = to_frame(component_rows(frame, sessions, spec(), ["insight"], {}, CONTEXT))
    assert (rows["status"] == "not_estimated").all()
    assert rows["reason"].str.contains("fewer than two scored subscales").all()
    sessions["alliance_task"] = sessions["alliance_goal"]
    found = component_rows(frame, sessions, spec(), ["goal", "task", "bond"], {}, CONTEXT)
    joint = table(found).loc["main.components"]
    assert joint["reason"].str.contains("collinear").all()


# Moderators


def test_moderators_find_what_was_planted_and_only_that():
    frame, _, clients = study(n=400, slope_by_arm=-0.6)
    model = spec(moderators=["arm", "severity", "own_mean", "time"])
    rows = table(moderator_rows(frame, clients, model, COVARIATES, CONTEXT))
    arm = rows.loc[("main.by_arm", "within:arm[new]")]
    assert abs(arm["estimate"] + 0.6) < 3 * arm["se"]
    assert rows.loc[("main.by_arm", "test_within"), "p_adjusted"] < 0.01
    usual = rows.loc[("main.by_arm", "slope_within@Arm is usual"), "estimate"]
    new = rows.loc[("main.by_arm", "slope_within@Arm is new"), "estimate"]
    assert new - usual == pytest.approx(arm["estimate"])
    assert rows.loc[("main.by_severity", "test_within"), "p"] > 0.01
    assert ("main.by_own_mean", "test_between") not in rows.index
    severity = rows.loc["main.by_severity"]
    steps = [severity.loc[t, "estimate"] for t in severity.index if t.startswith("slope_within")]
    assert steps[1] - steps[0] == pytest.approx(steps[2] - steps[1])


def test_moderation_agrees_with_lme4():
    """tests/golden/r/variants.R: Wald F and simple slopes from lme4's covariance matrix."""
    golden = json.loads((GOLDEN / "lmm" / "variants.json").read_text())
    frame = split_within_between(pd.read_csv(GOLDEN / "lmm" / "two_level.csv"), therapists=False)
    modality = Covariate(column="modality", type="category", label="Modality", reference="CBT")
    model = spec(moderators=["modality"], random_slopes=["within"])
    rows = table(moderator_rows(frame, frame, model, {"modality": modality}, CONTEXT))
    own = rows.loc["main.by_modality"]
    for part in ("within", "between"):
        assert own.loc[f"test_{part}", "estimate"] == pytest.approx(golden[part]["F"], rel=2e-3)
        assert own.loc[f"test_{part}", "units"].startswith(f"F({golden[part]['df1']},")
    for category in ("CBT", "psychodynamic"):
        row = own.loc[f"slope_within@Modality is {category}"]
        assert row["estimate"] == pytest.approx(golden[category]["estimate"], rel=1e-4)
        assert row["se"] == pytest.approx(golden[category]["se"], rel=1e-3)


def test_a_test_without_its_random_slope_rejects_too_often():
    """Why the slope is added by itself: 60 studies without moderation, slopes that differ."""
    rejected = {"always": 0, "without": 0}
    for seed in range(60):
        frame, _, clients = study(seed=seed, n=60, rows=(12, 20), sd_slope=0.8)
        rows = table(moderator_rows(frame, clients, spec(moderators=["arm"]), COVARIATES, CONTEXT))
        rejected["always"] += rows.loc[("main.by_arm", "test_within"), "p"] < 0.05
        both = frame.merge(clients, on="client")
        _, fit = fitted(both, covariates=["time", "arm", "within:arm"])
        at = fit.names.index("within:arm[new]")
        rejected["without"] += abs(fit.beta[at] / fit.se[at]) > 1.96
    assert rejected["always"] <= 8
    assert rejected["without"] >= 12


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.assign(arm=["rare"] + ["usual"] * (len(c) - 1)), "too few clients in 'rare'"),
        (lambda c: c.assign(arm="usual"), "same value in every row"),
        (lambda c: c.assign(arm=None), "client"),
    ],
    ids=["empty cell", "constant", "all missing"],
)
def test_moderators_that_cannot_be_tested(change, words):
    frame, _, clients = study(n=60)
    rows = to_frame(
        moderator_rows(frame, change(clients), spec(moderators=["arm"]), COVARIATES, CONTEXT)
    )
    assert list(rows["term"]) == ["test_within", "test_between"]
    assert (rows["status"] == "not_estimated").all()
    assert rows["reason"].str.contains(words).all()


def test_a_moderator_needs_series_long_enough_for_its_random_slope():
    frame, _, clients = study(n=60, rows=(2, 3))
    rows = moderator_rows(frame, clients, spec(moderators=["severity"]), COVARIATES, CONTEXT)
    assert to_frame(rows)["reason"].str.contains("random slope that the test needs").all()


# Two raters


def two_raters(seed: int = 1, n: int = 120, second: float = 0.5) -> tuple:
    frame, _, _ = study(seed=seed, n=n, sd_slope=0.0)
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=len(frame))
    other = frame.assign(predictor=second * frame["predictor"] + (1 - second) * noise)
    specs = (spec(), spec(predictor="therapist_view"))
    contexts = (CONTEXT, RowContext("second", "symptoms", "Symptoms", "points", "therapist_view"))
    return (frame, split_within_between(other, therapists=False)), specs, contexts


def test_the_same_rating_twice_differs_by_nothing():
    (frame, _), specs, contexts = two_raters()
    rows = table(comparison_rows((frame, frame), specs, contexts, {}))
    own = rows.loc["main.compared_with_second"]
    assert own.loc["within_difference", "estimate"] == pytest.approx(0, abs=1e-9)
    _, fit = fitted(frame)
    ratio = own.loc["within_first", "estimate"] / fit.coefficient("within")
    assert ratio == pytest.approx(
        np.sqrt(
            (frame["within"] ** 2).sum()
            / ((frame["outcome"] - frame.groupby("client")["outcome"].transform("mean")) ** 2).sum()
        )
    )


def test_the_standard_error_of_the_difference_is_that_of_a_jackknife():
    """Refits without one client at a time know nothing of the influence function."""
    frames, specs, contexts = two_raters(n=30)
    key = ("main.compared_with_second", "within_difference")
    row = table(comparison_rows(frames, specs, contexts, {})).loc[key]
    values = []
    for client in sorted(set(frames[0]["client"])):
        less = tuple(frame[frame["client"] != client] for frame in frames)
        values.append(table(comparison_rows(less, specs, contexts, {})).loc[key, "estimate"])
    jackknife = np.sqrt(29 / 30 * np.sum((np.array(values) - np.mean(values)) ** 2))
    assert row["se"] == pytest.approx(jackknife, rel=0.15)


def test_client_influence_of_a_random_intercept_model_sums_to_nothing():
    frame, _, _ = study()
    design, fit = fitted(frame)
    influence = client_influence(fit, design)
    assert np.abs(influence.sum(axis=0)).max() < 1e-5 * fit.se.max()
    robust = np.sqrt(np.diag(influence.T @ influence))
    assert robust == pytest.approx(fit.se, rel=0.25)


def test_raters_that_never_meet_are_not_compared():
    frames, specs, contexts = two_raters()
    later = frames[1].assign(outcome_session=frames[1]["outcome_session"] + 100)
    rows = to_frame(comparison_rows((frames[0], later), specs, contexts, {}))
    assert (rows["status"] == "not_estimated").all()
    assert rows["reason"].str.contains("fewer than 10 clients have both").all()


# Nothing of this falls over flawed data


@pytest.mark.parametrize("flaw", ["constant predictor", "constant outcome", "one client"])
def test_flawed_data_give_reason_rows(flaw):
    frame, sessions, clients = study(n=40)
    if flaw == "constant predictor":
        frame = split_within_between(frame.assign(predictor=3.0), therapists=False)
        sessions[["alliance_goal", "alliance_task", "alliance_bond"]] = 3.0
    elif flaw == "constant outcome":
        frame = frame.assign(outcome=1.0)
    else:
        frame = split_within_between(frame[frame["client"] == "c000"], therapists=False)
    model = spec(moderators=["arm", "own_mean"])
    second = RowContext("second", "symptoms", "Symptoms", "points", "other")
    rows = to_frame(
        [
            *trend_rows(frame, model, {}, CONTEXT),
            *component_rows(frame, sessions, model, ["goal", "task", "bond"], {}, CONTEXT),
            *moderator_rows(frame, clients, model, COVARIATES, CONTEXT),
            *comparison_rows((frame, frame), (model, model), (CONTEXT, second), {}),
        ]
    )
    assert len(rows) > 8
    assert (rows["status"] == "not_estimated").all()
    assert rows["reason"].str.len().min() > 20
    refusal = build_design(frame, model, {})
    assert isinstance(refusal, Refusal)
    assert effect_rows(refusal, refusal, CONTEXT) == []
