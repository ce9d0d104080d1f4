"""When estimators agree: the prior is allowed for, a wrong fit is not, whatever the sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from alliance.estimates import Estimate, to_frame
from alliance.estimation.agreement import compare_estimators, disagreements, tell_prior_weight


def row(estimator: str, estimate: float, se: float, n_clients: int = 100, df: float = 80.0):
    return Estimate(
        analysis="main",
        term="within",
        level="within_client",
        estimand="Within clients",
        estimator=estimator,
        estimate=estimate,
        se=se,
        df=df,
        n_clients=n_clients,
    )


def compared(*rows: Estimate, prior_sd: float | None = None) -> pd.DataFrame:
    priors = None
    if prior_sd is not None:
        priors = pd.DataFrame(
            {"analysis": ["main"], "term": ["within"], "mean": [0.0], "sd": [prior_sd]}
        )
    return compare_estimators(to_frame(rows), priors=priors)


def test_the_posterior_is_expected_where_the_prior_draws_it():
    """e = s: the mean of prior and data, and 1/sqrt(2) of the standard error."""
    pair = row("REML", -2.0, 1.0, df=np.nan), row("NUTS (PyMC)", -1.0, 0.71)
    found = compared(*pair, prior_sd=1.0).iloc[0]
    assert found["expected"] == pytest.approx(-1.0)
    assert found["expected_se"] == pytest.approx(np.sqrt(0.5))
    assert found["prior_weight"] == pytest.approx(0.5)
    assert found["verdict"] == "agrees"
    assert "50%" in found["remark"]
    without = compared(*pair).iloc[0]
    assert without["verdict"] == "disagrees"
    assert without["expected"] == -2.0


def test_a_fit_that_ignores_its_prior_or_shrinks_too_much_disagrees():
    reference = row("REML", -2.0, 1.0)
    for wrong in (-3.0, 0.5):
        assert disagreements(compared(reference, row("NUTS", wrong, 0.72), prior_sd=1.0))


def test_a_large_study_has_no_excuse():
    reference = row("REML", -0.50, 0.10, n_clients=300)
    assert not disagreements(compared(reference, row("NUTS", -0.48, 0.10, 300), prior_sd=2.0))
    assert disagreements(compared(reference, row("NUTS", -0.40, 0.10, 300), prior_sd=2.0))
    assert disagreements(compared(reference, row("NUTS", -0.50, 0.14, 300), prior_sd=2.0))


def test_few_clients_are_told_before_they_fail():
    reference = row("REML", -1.0, 0.5, n_clients=10, df=9)
    rough = compared(reference, row("NUTS", -0.6, 0.5, 10), prior_sd=3.0)
    assert rough["verdict"].tolist() == ["agrees roughly"]
    assert not disagreements(rough)
    assert disagreements(compared(reference, row("NUTS", 0.2, 0.5, 10), prior_sd=3.0))


def test_a_reference_on_the_boundary_is_compared_roughly():
    """There the posterior averages over the inside, e.g. over correlations that are not -1."""
    inside = row("REML", -1.0, 0.5)
    edge = replace(inside, converged="yes, on the boundary: the correlation is estimated as -1")
    other = row("NUTS", -0.7, 0.5)
    assert disagreements(compared(inside, other))
    assert compared(edge, other)["verdict"].tolist() == ["agrees roughly"]
    assert disagreements(compared(edge, row("NUTS", -0.3, 0.5)))


def test_few_degrees_of_freedom_widen_what_is_expected():
    reference = row("REML", -1.0, 0.5, n_clients=40, df=6)
    found = compared(reference, row("NUTS", -1.0, 0.61, 40), prior_sd=50.0).iloc[0]
    assert found["expected_se"] == pytest.approx(0.5 * np.sqrt(6 / 4), rel=1e-3)
    assert found["verdict"] == "agrees"


def test_coefficients_of_statsmodels_are_never_excused_by_few_clients():
    reference = row("REML", -1.0, 0.5, n_clients=10, df=9)
    told = disagreements(compared(reference, row("MixedLM (statsmodels)", -0.9, 0.5, 10)))
    assert len(told) == 1
    assert "main, within" in told[0]


def test_standard_errors_of_statsmodels_are_compared_roughly_with_few_clients():
    """Close to a boundary its Hessian is nearly singular; GLS at its own variances gives ours."""
    for n_clients, verdict in ((10, "agrees roughly"), (300, "disagrees")):
        reference = row("REML", -3.2, 1.0, n_clients)
        same = row("MixedLM (statsmodels)", -3.2, 1.45, n_clients)
        assert compared(reference, same)["verdict"].tolist() == [verdict]
    wider = row("MixedLM (statsmodels)", -3.2, 2.1, 10)
    assert disagreements(compared(row("REML", -3.2, 1.0, 10), wider))


def test_maximum_likelihood_is_a_reference_too():
    found = compared(row("ML", -1.0, 0.5), row("MixedLM (statsmodels)", -1.0, 0.5))
    assert found["reference"].tolist() == ["ML"]


def test_estimators_of_dynamic_models_are_not_held_to_each_other():
    """ML-SEM is not the ML fit of the same model; its comparators are biased on purpose."""
    rows = row("ML-SEM with predetermined predictor", 0.4, 0.05), row("OLS, detrended", 0.0, 0.04)
    assert compared(*rows).empty


def test_a_prior_that_the_data_contradict_is_told_in_the_estimates():
    rows = row("REML", -6.0, 1.0), row("NUTS (PyMC)", -3.0, 0.72)
    comparison = compared(*rows, prior_sd=1.0)
    assert "contradict" in comparison["remark"].iloc[0]
    table = tell_prior_weight(to_frame(rows), comparison)
    told = dict(zip(table["estimator"], table["known_bias"], strict=True))
    assert told["REML"] == ""
    assert "contradict" in told["NUTS (PyMC)"]
