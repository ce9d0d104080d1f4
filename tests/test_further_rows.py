"""Rows about residuals, tests of variances and bootstrap; unsuitable data end in rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from test_reml import CONTEXT
from test_residuals import DESIGNS, FOLDER, MODALITY, design_of, frame_of, spec

from alliance.estimates import to_frame
from alliance.estimation.bayes_rows import bayes_rows
from alliance.estimation.bootstrap import parametric_bootstrap
from alliance.estimation.design import ModelDesign, build_design, for_independent_residuals
from alliance.estimation.further_rows import further_rows
from alliance.estimation.mixedlm import fit_mixedlm
from alliance.estimation.mixedlm_rows import mixedlm_rows
from alliance.estimation.profile_likelihood import profile_interval
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import fit_lmm
from alliance.estimation.rows import reml_rows
from alliance.within_between import split_within_between


def rows_of(key: str, bootstrap: int = 0, profile: bool = False) -> pd.DataFrame:
    design = design_of(key)
    fit = fit_lmm(design)
    rows = reml_rows(fit, design, CONTEXT, profile=profile)
    rows += further_rows(fit, design, CONTEXT, bootstrap, seed=3, profile=profile)
    return to_frame(rows).set_index("term")


def test_structure_of_the_residuals_has_rows_with_intervals_and_a_test():
    rows = rows_of("phases_both_reml", profile=True)
    rho = rows.loc["residual_correlation"]
    assert rho["level"] == "within_client"
    assert "one session apart" in rho["estimand"]
    assert 0 < rho["ci_low"] < rho["estimate"] < rho["ci_high"] < 1
    late = rows.loc["sd_residual[sessions from 8]"]
    assert "phase: sessions from 8" in late["estimand"]
    assert late["ci_high"] < rows.loc["sd_residual[sessions to 7]", "ci_low"]
    test = rows.loc["lr_residuals"]
    assert test["df"] == 2
    assert test["p"] == pytest.approx(stats.chi2.sf(test["estimate"], 2))
    assert test["estimate"] > 50


def test_random_effects_are_tested_against_the_model_without_them():
    rows = rows_of("therapist_slope_reml")
    design = design_of("therapist_slope_reml")
    name, keys = DESIGNS["therapist_slope_reml"]
    smaller = build_design(frame_of(name, True), spec(**(keys | {"therapist_slopes": []})), {})
    statistic = fit_lmm(smaller).deviance - fit_lmm(design).deviance
    row = rows.loc["lr_sd_therapist_within"]
    assert row["estimate"] == pytest.approx(statistic, abs=1e-6)
    assert row["p"] == pytest.approx(
        0.5 * stats.chi2.sf(statistic, 1) + 0.5 * stats.chi2.sf(statistic, 2)
    )
    assert "mixture of chi2(1) and chi2(2)" in row["estimand"]
    assert rows.loc["lr_sd_within", "level"] == "between_client"
    assert "lr_sd_therapist" not in rows.index


def test_slopes_of_therapists_have_rows_in_words():
    rows = rows_of("therapist_time_reml")
    assert rows.loc["sd_therapist_within", "level"] == "between_therapist"
    assert "SD between therapists" in rows.loc["sd_therapist_within", "estimand"]
    assert -1 <= rows.loc["cor_therapist_within_time", "estimate"] <= 1


def test_bootstrap_rows_by_client_and_by_therapist():
    rows = rows_of("therapist_time_reml", bootstrap=100)
    for unit in ("client", "therapist"):
        row = rows.loc[f"boot_{unit}_within"]
        assert row["kind"] == "bootstrap"
        assert f"by {unit} (100 resamples)" in row["interval"]
        assert row["estimate"] == rows.loc["within", "estimate"]
        assert 0.5 < row["se"] / rows.loc["within", "se"] < 2
        assert row["ci_low"] < row["estimate"] < row["ci_high"]
    again = rows_of("therapist_time_reml", bootstrap=100)
    assert again.loc["boot_therapist_within", "se"] == rows.loc["boot_therapist_within", "se"]


def test_without_enough_therapists_they_are_not_sampled_and_the_reason_is_told():
    frame = frame_of("gaps").assign(therapist="T1")
    design = build_design(frame, spec(), {})
    rows = to_frame(further_rows(fit_lmm(design), design, CONTEXT, 100, seed=1)).set_index("term")
    row = rows.loc["boot_therapist_within"]
    assert row["status"] == "not_estimated"
    assert "20 are needed" in row["reason"]
    assert rows.loc["boot_client_within", "status"] == "ok"


def test_bootstrap_standard_errors_are_those_of_the_sampling_distribution():
    """Against the spread of estimates over repeated studies from one population."""
    rng = np.random.default_rng(11)
    estimates, bootstrapped = [], []
    for study in range(25):
        client = np.repeat(np.arange(60), 6)
        x = rng.normal(size=360)
        y = 2 * rng.normal(size=60)[client] + x * (0.5 + 0.8 * rng.normal(size=60)[client])
        frame = pd.DataFrame({"client": client.astype(str), "predictor": x, "time": 0.0})
        frame["outcome"] = y + rng.normal(size=360)
        # the model leaves the random slope out, so its own standard error is too small
        design = build_design(split_within_between(frame, False), spec(covariates=[]), {})
        fit = fit_lmm(design)
        estimates.append(fit.coefficient("within"))
        if study < 3:
            rows = further_rows(fit, design, CONTEXT, 100, seed=study)
            found = next(row for row in rows if row.term == "boot_client_within")
            bootstrapped.append(found.se / fit.se[fit.names.index("within")])
            last = found.se
    assert np.std(estimates, ddof=1) / last == pytest.approx(1, abs=0.4)
    assert np.mean(bootstrapped) > 1.2


def test_parametric_bootstrap_covers_what_the_profile_covers():
    simple = build_design(frame_of("therapists", True), spec(therapists=True), {})
    fit = fit_lmm(simple)
    draws = parametric_bootstrap(fit, simple, 60, seed=2)
    for term, value in (("sd_intercept", fit.sd("intercept")), ("sd_residual", fit.sigma)):
        low, high = profile_interval(fit, term)
        assert draws[term].mean() == pytest.approx(value, rel=0.1)
        assert draws[term].std() == pytest.approx((high - low) / 3.92, rel=0.35)
    again = parametric_bootstrap(fit, simple, 3, seed=2)
    assert np.array_equal(again["sd_therapist"], draws["sd_therapist"][:3])


def test_without_a_profile_interval_the_fitted_model_is_drawn_from(monkeypatch):
    monkeypatch.setattr(
        "alliance.estimation.variance_rows.profile_interval", lambda fit, term: (0.0, np.inf)
    )
    design = design_of("gaps_ri_reml")
    plain = build_design(frame_of("gaps"), spec(), {})
    rows = to_frame(reml_rows(fit_lmm(plain), plain, CONTEXT)).set_index("term")
    row = rows.loc["sd_intercept"]
    assert "parametric bootstrap (200" in row["interval"]
    assert row["ci_low"] < row["estimate"] < row["ci_high"]
    structured = to_frame(reml_rows(fit_lmm(design), design, CONTEXT)).set_index("term")
    assert np.isnan(structured.loc["sd_intercept", "ci_high"])


# Degenerate data, end to end, by every estimator

OPTIONS = {
    "slope": {"random_slopes": ["within"]},
    "ar1": {"random_slopes": ["within"], "residuals": "ar1"},
    "by_phase": {"residuals": {"variance_by": "phase", "phases": [6]}},
    "moderated": {"covariates": ["time", "within:modality"], "random_slopes": ["within"]},
    "therapists": {"therapists": True, "therapist_slopes": ["within"], "bootstrap": 100},
}


def one_therapist(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(therapist="T1")


def two_sessions(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.groupby("client").head(2)


def single_sessions(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.groupby("client").head(1)


def constant_predictor(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(predictor=3.0)


def constant_within_clients(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(predictor=frame.groupby("client")["predictor"].transform("mean"))


def collinear(frame: pd.DataFrame) -> pd.DataFrame:
    """The predictor is the session number, so its within part is time's and more."""
    return frame.assign(predictor=frame["time"], outcome_session=frame["time"] + 1)


def no_variance_between(frame: pd.DataFrame) -> pd.DataFrame:
    means = frame.groupby("client")["outcome"].transform("mean")
    return frame.assign(outcome=frame["outcome"] - means)


def constant_outcome(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(outcome=7.0)


def exact_outcome(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(outcome=frame["predictor"] * 2 + frame["time"])


def empty_cell(frame: pd.DataFrame) -> pd.DataFrame:
    """The predictor moves only in clients of one modality."""
    still = frame["modality"] != "CBT"
    mean = frame.groupby("client")["predictor"].transform("mean")
    return frame.assign(predictor=frame["predictor"].where(~still, mean))


def three_clients(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["client"].isin(sorted(set(frame["client"]))[:3])]


CASES = (
    one_therapist,
    two_sessions,
    single_sessions,
    constant_predictor,
    constant_within_clients,
    collinear,
    no_variance_between,
    constant_outcome,
    exact_outcome,
    empty_cell,
    three_clients,
)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_degenerate_data_end_in_rows(case, option):
    model = spec(**OPTIONS[option])
    frame = pd.read_csv(FOLDER / "therapists.csv")
    frame = split_within_between(case(frame), model.therapists)
    design = build_design(frame, model, MODALITY)
    fit = design if isinstance(design, Refusal) else fit_lmm(design)
    rows = reml_rows(fit, design, CONTEXT) + further_rows(fit, design, CONTEXT, model.bootstrap)
    other = design if isinstance(design, Refusal) else _few_only(design)
    rows += mixedlm_rows(other, design, CONTEXT)
    twin = for_independent_residuals(design, "the Bayesian twin")
    if isinstance(twin, Refusal):
        rows += bayes_rows(twin, twin, CONTEXT)
    table = to_frame(rows)  # the contract: an ok row is a number, any other has its reason
    assert len(table)
    assert "within" in set(table["term"])
    assert (table.loc[table["status"] != "ok", "reason"].str.len() > 10).all()
    numbers = table.loc[table["status"] == "ok", ["estimate", "se"]].to_numpy()
    assert (np.abs(np.nan_to_num(numbers)) < 1e6).all(), "a number without meaning"
    if case in (constant_predictor, constant_outcome, constant_within_clients, single_sessions):
        assert (table["status"] == "not_estimated").all()


def _few_only(design: ModelDesign) -> object:
    """statsmodels, where it does not need minutes (its own tests are in test_reml.py)."""
    if design.n_therapists:
        return Refusal("not asked in this test, which would need minutes", "See test_reml.py.")
    return fit_mixedlm(design)
