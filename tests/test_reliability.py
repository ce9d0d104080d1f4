"""Reliability against R (psych, lme4, lavaan), against itself, and where it must refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alliance.instruments import load_instruments
from alliance.reliability import (
    COEFFICIENTS,
    COLUMNS,
    ClientSums,
    alpha,
    client_sums,
    coefficient_of,
    components,
    covariances,
    fit_one_factor,
    generalizability,
    is_exploratory,
    omega_many,
    one_way_reml,
    reliability_table,
    scale_reliability,
)
from alliance.study import Study, load_study

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden" / "reliability"
NO_BOOTSTRAP = np.empty((0, 1))


def fixture(name: str) -> ClientSums:
    data = pd.read_csv(GOLDEN / f"{name}.csv")
    items = data.filter(like="item").to_numpy(float)
    return client_sums(items, data["client"].to_numpy(), data["session"].to_numpy(float))


def golden(name: str) -> dict[tuple[str, str, str], float]:
    table = pd.read_csv(GOLDEN / "golden.csv")
    table = table[table["fixture"] == name]
    keys = zip(table["level"], table["coefficient"], table["by"].str.split(",").str[0], strict=True)
    return dict(zip(keys, table["estimate"], strict=True))


def ours(name: str) -> dict[tuple[str, str], float]:
    sums = fixture(name)
    weights = np.empty((0, len(sums.n)))
    return {key: row.estimate for key, row in scale_reliability(sums, weights).items()}


@pytest.mark.parametrize("name", ["balanced", "unbalanced"])
@pytest.mark.parametrize("level", ["total", "within_client", "between_client"])
def test_alpha_and_omega_equal_those_of_r(name, level):
    want, got = golden(name), ours(name)
    assert got[level, "alpha"] == pytest.approx(want[level, "alpha", "psych::alpha"], abs=1e-9)
    assert got[level, "omega"] == pytest.approx(want[level, "omega", "lavaan::cfa"], abs=2e-6)
    assert got[level, "omega"] == pytest.approx(want[level, "omega", "psych::fa"], abs=2e-6)


@pytest.mark.parametrize("name", ["balanced", "unbalanced"])
def test_components_equal_reml_on_item_long_data(name):
    want, got = golden(name), components(fixture(name))
    assert got.client[0] == pytest.approx(want["variance", "client", "lme4::lmer"], rel=2e-6)
    assert got.session[0] == pytest.approx(want["variance", "session", "lme4::lmer"], rel=2e-6)
    assert got.error[0] == pytest.approx(want["variance", "residual", "lme4::lmer"], rel=2e-6)


@pytest.mark.parametrize("name", ["balanced", "unbalanced"])
def test_rcn_equals_psych(name):
    want = golden(name)["psych", "Rcn", "psych::mlr"]
    assert ours(name)["within_client", "Rcn"] == pytest.approx(want, abs=2e-6)


def test_rkrn_equals_psych_when_balanced():
    want = golden("balanced")["psych", "RkRn", "psych::mlr"]
    assert ours("balanced")["between_client", "RkRn"] == pytest.approx(want, abs=2e-6)


def test_rkrn_uses_the_harmonic_mean_of_sessions_when_unbalanced():
    """psych takes the number of distinct sessions (12), which only the longest treatments reach."""
    want = golden("unbalanced")
    got = ours("unbalanced")["between_client", "RkRn"]
    assert got == pytest.approx(want["between_client", "RkRn", "lme4::lmer"], abs=2e-6)
    assert got < want["psych", "RkRn", "psych::mlr"]


@pytest.mark.parametrize("name", ["balanced", "unbalanced"])
def test_one_way_reml_equals_lme4(name):
    sums, want = fixture(name), golden(name)
    means = (sums.means + sums.centre).mean(axis=1)
    between, within = one_way_reml(sums.n, means, sums.within.sum(axis=(1, 2)) / 25)
    assert between[0] == pytest.approx(want["score", "variance_between", "lme4::lmer"], rel=2e-6)
    assert within[0] == pytest.approx(want["score", "variance_within", "lme4::lmer"], rel=2e-6)


def test_one_way_reml_is_anova_when_balanced():
    rng = np.random.default_rng(3)
    y = rng.normal(size=(25, 1)) + rng.normal(size=(25, 7))
    within = y.var(axis=1, ddof=1).mean()
    between = y.mean(axis=1).var(ddof=1) - within / 7
    squares = ((y - y.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    got = one_way_reml(np.full(25, 7.0), y.mean(axis=1), squares)
    assert got[0][0] == pytest.approx(between, rel=1e-6)
    assert got[1][0] == pytest.approx(within, rel=1e-6)


def test_one_way_reml_without_differences_between_groups_is_zero():
    n, squares = np.full(20, 5.0), np.full(20, 4.0)
    between, within = one_way_reml(n, np.zeros(20), squares)
    assert between[0] == 0
    assert within[0] == pytest.approx(80 / 99)


def test_one_way_reml_without_repetition_is_missing():
    between, within = one_way_reml(np.ones(20), np.arange(20.0), np.zeros(20))
    assert np.isnan(between[0])
    assert np.isnan(within[0])


def test_a_weight_of_two_is_the_same_client_twice():
    data = pd.read_csv(GOLDEN / "unbalanced.csv")
    items = [c for c in data if c.startswith("item")]
    weights = np.ones((1, data["client"].nunique()))
    weights[0, :3] = [2, 0, 2]
    again = data[data["client"].isin([1, 3])].assign(client=lambda d: d["client"] + 1000)
    copied = pd.concat([data[data["client"] != 2], again])
    want = client_sums(
        copied[items].to_numpy(float), copied["client"].to_numpy(), copied["session"].to_numpy()
    )
    got = fixture("unbalanced")
    for level, matrix in covariances(want).items():
        np.testing.assert_allclose(covariances(got, weights)[level], matrix, atol=1e-10)
    for key, value in generalizability(want).items():
        np.testing.assert_allclose(generalizability(got, weights)[key], value, atol=1e-6)


def test_latent_covariance_by_the_plain_formula():
    data = pd.read_csv(GOLDEN / "unbalanced.csv")
    items = data.filter(like="item")
    groups = items.groupby(data["client"])
    n, total, g = groups.size().to_numpy(), len(data), data["client"].nunique()
    deviations = items - groups.transform("mean")
    within = deviations.T @ deviations / (total - g)
    shift = groups.mean() - items.mean()
    plain = (shift.T * n) @ shift / (g - 1)
    latent = (plain - within) / ((total - (n**2).sum() / total) / (g - 1))
    got = covariances(fixture("unbalanced"))
    np.testing.assert_allclose(got["within_client"][0], within, atol=1e-10)
    np.testing.assert_allclose(got["between_client"][0], latent, atol=1e-10)
    np.testing.assert_allclose(got["total"][0], items.cov(), atol=1e-10)


def one_factor_covariance(loadings: list[float], unique: list[float]) -> np.ndarray:
    return np.outer(loadings, loadings) + np.diag(unique)


def test_one_factor_recovers_an_exact_structure():
    covariance = one_factor_covariance([1.0, 0.8, 0.5, 1.2], [0.5, 1.0, 0.7, 0.2])
    fit = fit_one_factor(covariance)
    np.testing.assert_allclose(np.abs(fit.loadings), [1.0, 0.8, 0.5, 1.2], atol=1e-5)
    assert fit.omega == pytest.approx(3.5**2 / (3.5**2 + 2.4), abs=1e-6)
    assert not fit.heywood


def test_omega_of_many_equals_omega_of_each():
    rng = np.random.default_rng(5)
    base = one_factor_covariance([1.0, 0.8, 0.5, 1.2, 0.9], [0.5, 1.0, 0.7, 0.4, 0.6])
    many = np.stack([np.cov(rng.multivariate_normal(np.zeros(5), base, 80).T) for _ in range(20)])
    each = [fit_one_factor(s).omega for s in many]
    np.testing.assert_allclose(omega_many(many, fit_one_factor(base)), each, atol=1e-5)


def test_alpha_by_hand():
    covariance = np.array([[2.0, 1.0], [1.0, 2.0]])
    assert alpha(covariance) == pytest.approx(2 * (1 - 4 / 6))


def simulate(
    n_clients: int, n_sessions: int, p: int, seed: int, trend: float = 0.0
) -> pd.DataFrame:
    """Client variance 1, session variance .5, error variance 1."""
    rng = np.random.default_rng(seed)
    client = np.repeat(np.arange(n_clients), n_sessions)
    session = np.tile(np.arange(1, n_sessions + 1), n_clients)
    level = rng.normal(0, 1, n_clients)[client] + rng.normal(0, np.sqrt(0.5), len(client))
    level += trend * session
    items = level[:, None] + rng.normal(0, 1, (len(client), p))
    frame = pd.DataFrame(items, columns=[f"item{j + 1}" for j in range(p)])
    return frame.assign(client=client, session=session)


def sums_of(frame: pd.DataFrame) -> ClientSums:
    items = frame.filter(like="item").to_numpy(float)
    return client_sums(items, frame["client"].to_numpy(), frame["session"].to_numpy(float))


def test_known_reliabilities_are_recovered():
    rows = scale_reliability(sums_of(simulate(600, 10, 5, 8)), NO_BOOTSTRAP[:, [0] * 600])
    assert rows["within_client", "Rcn"].estimate == pytest.approx(0.5 / 0.7, abs=0.02)
    assert rows["within_client", "omega"].estimate == pytest.approx(0.5 / 0.7, abs=0.02)
    assert rows["within_client", "Rcn_detrended"].estimate == pytest.approx(0.5 / 0.7, abs=0.02)
    assert rows["between_client", "RkRn"].estimate == pytest.approx(1 / 1.07, abs=0.02)
    assert rows["between_client", "omega"].estimate > 0.98


def test_a_common_trend_inflates_rcn_but_not_the_detrended_one():
    plain = generalizability(sums_of(simulate(400, 10, 5, 8)))
    rising = generalizability(sums_of(simulate(400, 10, 5, 8, trend=0.3)))
    rcn, detrended = ("within_client", "Rcn"), ("within_client", "Rcn_detrended")
    assert rising[rcn][0] > plain[rcn][0] + 0.05
    assert rising[detrended][0] == pytest.approx(plain[detrended][0], abs=1e-6)


def test_intervals_contain_the_estimate_and_narrow_with_clients():
    def width(n_clients: int) -> float:
        weights = np.random.default_rng(1).multinomial(
            n_clients, np.full(n_clients, 1 / n_clients), 200
        )
        row = scale_reliability(sums_of(simulate(n_clients, 6, 4, 2)), weights.astype(float))
        for one in row.values():
            assert one.ci_low < one.estimate < one.ci_high
        return row["within_client", "omega"].ci_high - row["within_client", "omega"].ci_low

    assert width(400) < 0.6 * width(50)


def test_a_heywood_case_is_flagged_and_keeps_its_number():
    # An item that the factor explains more than fully: r12 r13 / r23 = 1.6 > 1.
    covariance = np.array([[1, 0.8, 0.8], [0.8, 1, 0.4], [0.8, 0.4, 1]])
    assert fit_one_factor(covariance).heywood


def reasons(frame: pd.DataFrame) -> dict[tuple[str, str], tuple[str, str]]:
    weights = np.ones((0, frame["client"].nunique()))
    rows = scale_reliability(sums_of(frame), weights)
    return {key: (row.status, row.reason) for key, row in rows.items()}


def test_two_items_have_alpha_but_no_omega():
    got = reasons(simulate(40, 5, 2, 1))
    assert got["total", "alpha"] == ("ok", "")
    assert got["total", "omega"] == ("not_estimated", "one factor needs three items")


def test_one_item_few_clients_and_no_form_are_refused_with_the_reason():
    assert "single item" in reasons(simulate(40, 5, 1, 1))["total", "alpha"][1]
    assert "5 clients with two" in reasons(simulate(5, 5, 4, 1))["total", "alpha"][1]
    assert "0 clients with two" in reasons(simulate(40, 1, 4, 1))["within_client", "Rcn"][1]
    nothing = scale_reliability(None, NO_BOOTSTRAP)
    assert {row.reason for row in nothing.values()} == {"no complete form"}
    assert set(nothing) == set(COEFFICIENTS)


def test_an_item_without_variance_refuses_omega():
    frame = simulate(40, 5, 4, 1)
    frame["item2"] = 3.0
    got = reasons(frame)
    assert got["within_client", "omega"] == (
        "not_estimated",
        "no positive variance of 1 of 4 items at this level",
    )


def test_no_session_variance_is_told():
    """Answers that differ within clients by item noise only, and negatively: Rcn is zero."""
    frame = simulate(60, 6, 4, 4)
    noise = np.random.default_rng(1).normal(size=len(frame))
    for j, sign in enumerate([1, -1, 1, -1]):
        frame[f"item{j + 1}"] = frame["client"] * 0.05 + sign * noise
    status, reason = reasons(frame)["within_client", "Rcn"]
    assert (status, reason) == ("diagnostics_failed", "a variance component was estimated as zero")


# --- whole studies -------------------------------------------------------------------------------


def clinic() -> Study:
    return load_study(ROOT / "config" / "studies" / "clinic.yaml")


def study_sessions(study: Study, n_clients: int, n_sessions: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    client = np.repeat(np.arange(n_clients), n_sessions)
    frame = pd.DataFrame(
        {
            "client": [f"c{i:04d}" for i in client],
            "session": np.tile(np.arange(1, n_sessions + 1), n_clients),
        }
    )
    keys = load_instruments(
        ROOT / "config" / "instruments", [str(m.instrument) for m in study.measures.values()]
    )
    columns: dict[str, object] = {}
    for name, measure in study.measures.items():
        key = keys[str(measure.instrument)]
        low, high = key.response_min, key.response_max
        width = high - low
        level = rng.normal(0, 0.2, n_clients)[client] + rng.normal(0, 0.12, len(client))
        for i in range(1, key.n_items + 1):
            sign = -1 if i in key.reverse else 1
            own = rng.normal(0, 0.08, n_clients)[client] + rng.normal(0, 0.15, len(client))
            answer = (low + high) / 2 + width * (sign * level + own)
            values = np.clip(np.round(answer), low, high)
            values[rng.random(len(client)) < 0.01] = np.nan
            columns[f"{name}__{i}"] = pd.array(values, dtype="Float64")
    return pd.concat([frame, pd.DataFrame(columns)], axis=1)


def test_a_study_of_the_size_of_the_clinic_is_reproducible():
    study = clinic()
    keys = load_instruments(
        ROOT / "config" / "instruments", [str(m.instrument) for m in study.measures.values()]
    )
    sessions = study_sessions(study, 240, 20, 6)
    table = reliability_table(sessions, study, keys)
    assert list(table.columns) == list(COLUMNS)
    assert set(zip(table["measure"], table["scale"], strict=True)) == {
        *(
            (f"alliance_{r}", s)
            for r in ("client", "therapist")
            for s in ("total", "task", "bond", "goal")
        ),
        ("symptoms", "total"),
    }
    assert (table["status"] == "ok").all()
    assert (table["ci_low"] < table["estimate"]).all()
    assert (table["ci_high"] > table["estimate"]).all()
    # The order of rows in the file must not matter, nor a second run.
    shuffled = sessions.sample(frac=1, random_state=1).reset_index(drop=True)
    small = {"n_bootstrap": 20}
    first = reliability_table(sessions, study, keys, **small)
    pd.testing.assert_frame_equal(first, reliability_table(sessions, study, keys, **small))
    pd.testing.assert_frame_equal(first, reliability_table(shuffled, study, keys, **small))


def test_scores_made_elsewhere_get_rows_with_the_reason():
    study = load_study(ROOT / "config" / "studies" / "brief.yaml")
    table = reliability_table(pd.DataFrame({"client": ["a"], "session": [1]}), study, {})
    assert len(table) == 2 * len(COEFFICIENTS)
    assert set(table["reason"]) == {"scored elsewhere, without items"}
    assert not is_exploratory(table, "alliance")


def test_low_within_reliability_is_labelled_exploratory():
    rows = [
        {
            "measure": "m",
            "scale": "total",
            "level": "within_client",
            "coefficient": c,
            "estimate": e,
        }
        for c, e in (("omega", 0.59), ("Rcn", 0.7))
    ]
    table = pd.DataFrame(rows)
    assert is_exploratory(table, "m")
    assert coefficient_of(table, "m", "within_client", "Rcn") == 0.7
    table.loc[0, "estimate"] = np.nan
    assert not is_exploratory(table, "m")
