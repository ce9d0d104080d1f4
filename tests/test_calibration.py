"""Calibration of the estimators, small: a first tier of what `snakemake validate` does in full."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alliance.estimation.priors import Priors
from alliance.simulation import reml_calibration, sbc
from alliance.simulation.multilevel import NULL, Truth, draw_design, draw_outcome
from alliance.simulation.reml_calibration import PROFILED, Found

ROOT = Path(__file__).parents[1]


def uniform(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, sbc.N_RANKS, n)


def summary_of(ranks: np.ndarray) -> pd.Series:
    found = sbc.Ranks({"x": ranks}, np.zeros(ranks.size, dtype=np.int64))
    return sbc.summarise("m", found, 1).iloc[0]


def test_rank_is_the_number_of_draws_below():
    assert sbc.rank(np.array([0.1, 0.5, 0.9]), 0.6) == 2


def test_uniform_ranks_pass_and_wrong_ones_do_not():
    good = summary_of(uniform(1000))
    assert good["ecdf_p"] > 0.05
    assert good["coverage_50"] == pytest.approx(50, abs=5)
    shifted = summary_of(np.minimum(uniform(1000) + 8, 99))
    assert shifted["ecdf_p"] < 0.01
    assert shifted["mean_rank_z"] > 5
    rng = np.random.default_rng(3)
    too_wide = summary_of((rng.beta(1.6, 1.6, 1000) * 100).astype(int))
    assert too_wide["ecdf_p"] < 0.01
    assert too_wide["coverage_50"] > 55


def test_the_band_holds_nineteen_of_twenty_uniform_samples():
    band = sbc.bands(400, seed=2)
    share = (band["rank"] + 1) / sbc.N_RANKS
    inside = 0
    for k in range(400):
        counts = np.bincount(uniform(400, seed=k), minlength=sbc.N_RANKS)
        ecdf = np.cumsum(counts)[:-1] / 400 - share
        inside += bool(((ecdf >= band["low"] - 1e-12) & (ecdf <= band["high"] + 1e-12)).all())
    assert 0.91 < inside / 400 < 0.985


def test_a_few_fits_of_the_two_level_model_and_of_a_wrong_one(monkeypatch):
    size = replace(sbc.SIZES[0], clients=20)
    prepared = sbc.prepare(size, np.random.default_rng(1))
    right = sbc.calibrate(size, 40, seed=1, prepared=prepared)
    table = sbc.summarise(size.name, right, 1)
    assert set(table["quantity"]) >= {"within", "sd_within", "cor_intercept_within", sbc.LIKELIHOOD}
    assert table["ecdf_p"].min() * len(table) > 0.01
    drawn = sbc.draw_from_priors
    wide = replace(Priors(), sd_residual=4.0)  # drawn from other priors than those of the model
    monkeypatch.setattr(sbc, "draw_from_priors", lambda d, _, n, rng: drawn(d, wide, n, rng))
    found = sbc.calibrate(size, 40, seed=1, prepared=prepared)
    wrong = sbc.summarise(size.name, found, 1).set_index("quantity")
    assert wrong.loc["sd_residual", "ecdf_p"] < 0.001


def test_simulated_outcomes_have_the_parameters_of_the_truth():
    size = replace(reml_calibration.SIZES[2], clients=3000, therapists=300)
    rng = np.random.default_rng(1)
    design = draw_outcome(draw_design(size, rng), Truth(), rng)
    fit = reml_calibration.fit_lmm(design)
    for name in ("within", "between", "between_therapist", "time"):
        assert abs(fit.coefficient(name) - Truth().value(name)) < 4 * fit.se[fit.names.index(name)]
    assert fit.sd("intercept") == pytest.approx(1.2, abs=0.06)
    assert fit.sd("within") == pytest.approx(0.2, abs=0.04)
    assert fit.sigma == pytest.approx(1.0, abs=0.02)
    assert NULL.value("contextual") == 0.0


def test_a_few_studies_of_reml_are_covered():
    table = reml_calibration.calibrate(reml_calibration.SIZES[1], 60, seed=5, n_profiled=3)
    assert set(table["truth"]) == {"effects", "no_effects"}
    fixed = table[table["term"].isin(["within", "between", "time"])]
    assert fixed["coverage"].between(84, 100).all()
    assert (table["not_converged"] <= 3).all()
    profiled = table[(table["truth"] == "effects") & table["term"].isin(PROFILED)]
    assert (profiled["intervals"] == 3).all()


def test_summary_of_coverage_and_rejection_by_hand():
    def found(k: int, low: float, high: float) -> Found:
        return Found("s", "no_effects", k, "within", 0.0, (low + high) / 2, 1.0, 9.0, low, high)

    rows = [found(0, -1, 1), found(1, 0.5, 2), found(2, -3, 1), found(3, -2, -1)]
    row = reml_calibration.summarise(rows).iloc[0]
    assert row["coverage"] == 50.0
    assert row["rejected"] == 50.0
    assert row["bias"] == pytest.approx((0 + 1.25 - 1 - 1.5) / 4)


def test_published_page_is_made_of_the_committed_tables():
    path = ROOT / "benchmarks/calibration/publish.py"
    spec = importlib.util.spec_from_file_location("publish", path)
    publish = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(publish)
    page = publish.page()
    assert (ROOT / "docs/validation.md").read_text(encoding="utf-8") == page, f"run {path.name}"
    assert "nan" not in page
    table = pd.read_csv(ROOT / "benchmarks/calibration/sbc.csv")
    assert (table["fits"] >= 1000).all()
    assert set(table["model"]) == {"two_level", "three_level"}
