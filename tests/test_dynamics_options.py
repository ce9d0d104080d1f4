"""What a study file may ask of the Bayesian dynamic model besides, by the workflow itself."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml
from conftest import Project, copy_project

from alliance.estimation.random_dynamics_rows import ESTIMATOR

pytestmark = pytest.mark.workflow
ESTIMATES = "results/mini/estimates/dynamics_bayes/next_session.csv"


def ask(content: dict) -> None:
    """Only the dynamic model, with both options; a linear course has few parameters to sample."""
    content["dynamics"]["next_session"] |= {
        "bayes": True, "compare_trends": True, "random_dynamics": True, "trend": "linear",
        "comparators": False, "bootstrap": 0, "reliability": [], "phase_from": None,
    }  # fmt: skip


@pytest.fixture(scope="module")
def sampled(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Rows of the small study (draft effort), as the workflow wrote them."""
    project = copy_project(tmp_path_factory.mktemp("options") / "project", finished)
    return rows_of(project)


def rows_of(project: Project) -> pd.DataFrame:
    project.study(ask)
    done = project.snakemake(ESTIMATES, timeout=3000)
    assert done.returncode == 0, done.stdout
    assert yaml.safe_load((project.root / "config/config.yaml").read_text())["effort"] == "draft"
    return pd.read_csv(project.root / ESTIMATES)


def test_trends_are_compared_or_the_reason_is_told(sampled: pd.DataFrame):
    row = sampled[sampled["term"] == "elpd_loo_difference"].squeeze()
    assert row["estimand"].startswith("Model 1 minus model 2 in predicting a new client")
    if row["status"] == "not_estimated":
        gate = ("effective sample size", "R-hat", "divergent", "BFMI")
        assert any(words in row["reason"] for words in gate), row["reason"]
        return
    each = sampled[sampled["term"].str.fullmatch("elpd_loo_[12]")].set_index("term")
    gain = each.loc["elpd_loo_1", "estimate"] - each.loc["elpd_loo_2", "estimate"]
    assert row["estimate"] == pytest.approx(gain, abs=1e-6)
    assert row["trend"] == " against ".join(each["trend"])
    assert each["trend"].str.contains("clients' own lines").tolist() == [True, False]


def test_effects_may_differ_between_clients(sampled: pd.DataFrame):
    own = sampled[sampled["estimator"] == ESTIMATOR].set_index("term")
    for term in ("cross_lag_alliance_outcome", "cross_lag_outcome_alliance"):
        assert own.loc[term, "ci_low"] < own.loc[term, "estimate"] < own.loc[term, "ci_high"]
        assert own.loc[f"sd_{term}", "ci_low"] > 0
        assert 0 <= own.loc[f"share_{term}", "estimate"] <= 100
    assert (own["status"].eq("ok") == own["reason"].isna()).all()
    plain = sampled[sampled["estimator"] == "Random-intercept VAR(1), NUTS"].set_index("term")
    one, other = plain.loc["autoregression_outcome"], own.loc["autoregression_outcome"]
    assert abs(other["estimate"] - one["estimate"]) < 3 * one["se"]
