"""The descriptive tables: known numbers, known correlations by level, nothing small shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from alliance.describe import (
    CEILING_COLUMNS,
    CORRELATION_COLUMNS,
    MEASURE_COLUMNS,
    MISSINGNESS_COLUMNS,
    SAMPLE_COLUMNS,
    TRAJECTORY_COLUMNS,
    ceiling_by_session,
    correlations_within_between,
    describe_measures,
    missingness,
    sample_table,
    trajectories,
    variance_parts,
)
from alliance.instruments import load_instruments
from alliance.small_cells import suppressed_cells
from alliance.study import Study, load_study
from alliance.within_between import pooled_within_sd

ROOT = Path(__file__).parents[1]
NO_BOOTSTRAP = {"n_bootstrap": 0}


def brief(smallest_cell: int = 5) -> Study:
    study = load_study(ROOT / "config" / "studies" / "brief.yaml")
    privacy = study.privacy.model_copy(update={"smallest_cell": smallest_cell})
    return study.model_copy(update={"privacy": privacy})


def clinic() -> Study:
    return load_study(ROOT / "config" / "studies" / "clinic.yaml")


def keys_of(study: Study):
    return load_instruments(
        ROOT / "config" / "instruments", [str(m.instrument) for m in study.measures.values()]
    )


def scored_table(n_clients: int = 60, n_sessions: int = 8, seed: int = 1) -> pd.DataFrame:
    """Alliance and distress: correlation +.5 between clients and -.4 within them."""
    rng = np.random.default_rng(seed)
    client = np.repeat(np.arange(n_clients), n_sessions)
    between = rng.multivariate_normal([0, 0], [[16, 8], [8, 16]], n_clients)[client]
    within = rng.multivariate_normal([0, 0], [[4, -1.6], [-1.6, 4]], len(client))
    values = 20 + between + within
    return pd.DataFrame(
        {
            "client": [f"c{i:03d}" for i in client],
            "session": pd.array(np.tile(np.arange(1, n_sessions + 1), n_clients), "Int64"),
            "attendance": "attended",
            "alliance": pd.array(values[:, 0], "Float64"),
            "distress": pd.array(values[:, 1], "Float64"),
        }
    )


def test_measures_have_the_columns_and_numbers_of_plain_formulas():
    scored, study = scored_table(), brief()
    table = describe_measures(scored, study, keys_of(study))
    assert list(table.columns) == list(MEASURE_COLUMNS)
    row = table.set_index("measure").loc["alliance"]
    values = scored["alliance"].astype(float)
    assert (row["n_sessions"], row["n_clients"]) == (480, 60)
    assert row["mean"] == pytest.approx(values.mean())
    assert row["sd_total"] == pytest.approx(values.std())
    assert row["sd_within"] == pytest.approx(pooled_within_sd(values, scored["client"]))
    assert row["verification"] == "scored_elsewhere"
    assert row["higher_is"] == "better"


def test_intraclass_correlation_equals_statsmodels_reml_when_unbalanced():
    scored = scored_table(n_clients=25)
    kept = np.random.default_rng(2).random(len(scored)) < 0.6
    part = scored[kept]
    fit = sm.MixedLM(
        part["alliance"].astype(float).to_numpy(),
        np.ones((len(part), 1)),
        part["client"].to_numpy(),
    ).fit(reml=True)
    between, within = float(np.asarray(fit.cov_re)[0, 0]), float(fit.scale)
    _, sd_between, icc = variance_parts(part["alliance"].to_numpy(float), part["client"])
    assert sd_between**2 == pytest.approx(between, rel=1e-4)
    assert icc == pytest.approx(between / (between + within), rel=1e-4)


def test_scales_that_are_scored_have_a_row_each():
    study = clinic()
    scored = scored_table(12, 3)
    for name in ("alliance_client", "alliance_therapist"):
        for scale in ("", "_task", "_bond", "_goal"):
            scored[name + scale] = 4.0
    scored["symptoms"] = scored["distress"]
    table = describe_measures(scored, study, keys_of(study))
    assert len(table) == 9
    bond = table[(table["measure"] == "alliance_therapist") & (table["scale"] == "bond")].iloc[0]
    assert bond["verification"] == "derived_1_source"
    assert bond["sd_within"] == 0


def test_ceiling_missing_and_autocorrelation():
    scored, study = scored_table(20, 5), brief()
    scored["alliance"] = 30.0
    scored.loc[scored["session"] == 1, "alliance"] = 40.0
    scored.loc[scored["session"] == 2, "alliance"] = pd.NA
    scored.loc[scored["session"] == 3, "attendance"] = "no_show"
    row = describe_measures(scored, study, keys_of(study)).set_index("measure").loc["alliance"]
    assert row["pct_ceiling"] == pytest.approx(25)
    assert row["pct_missing"] == pytest.approx(25)  # of the 4 attended sessions
    steps = scored_table(30, 6)
    steps["alliance"] = steps["session"].astype(float)
    lag1 = describe_measures(steps, study, keys_of(study)).set_index("measure").loc["alliance"]
    # Deviations -2.5 .. 2.5: sum of neighbours' products over the root of the sums of squares.
    d = np.arange(6) - 2.5
    expected = (d[1:] * d[:-1]).sum() / np.sqrt((d[1:] ** 2).sum() * (d[:-1] ** 2).sum())
    assert lag1["lag1_autocorrelation"] == pytest.approx(expected)


def test_neighbours_across_a_gap_are_no_pair():
    scored, study = scored_table(30, 6), brief()
    every_other = scored[scored["session"] % 2 == 1]
    row = describe_measures(every_other, study, keys_of(study)).iloc[0]
    assert np.isnan(row["lag1_autocorrelation"])


def test_correlations_differ_by_level_and_are_recovered():
    scored, study = scored_table(1500, 8), brief()
    table = correlations_within_between(scored, study, n_bootstrap=100)
    assert list(table.columns) == list(CORRELATION_COLUMNS)
    by_level = table.set_index("level")
    assert by_level.loc["within_client", "r"] == pytest.approx(-0.4, abs=0.02)
    assert by_level.loc["between_client", "r"] == pytest.approx(0.5, abs=0.05)
    # Client means carry some of the negative correlation within clients.
    assert by_level.loc["between_client", "r_client_means"] < by_level.loc["between_client", "r"]
    for _, row in table.iterrows():
        assert row["ci_low"] < row["r"] < row["ci_high"]


def test_correlations_equal_plain_formulas():
    scored = scored_table(40, 6)
    table = correlations_within_between(scored, brief(), **NO_BOOTSTRAP).set_index("level")
    values = scored[["alliance", "distress"]].astype(float)
    means = values.groupby(scored["client"]).transform("mean")
    assert table.loc["within_client", "r"] == pytest.approx((values - means).corr().iloc[0, 1])
    plain = values.groupby(scored["client"]).mean().corr().iloc[0, 1]
    assert table.loc["between_client", "r_client_means"] == pytest.approx(plain)
    within = (values - means).cov() * (len(values) - 1) / (len(values) - 40)
    latent = values.groupby(scored["client"]).mean().cov() - within / 6
    expected = latent.iloc[0, 1] / np.sqrt(latent.iloc[0, 0] * latent.iloc[1, 1])
    assert table.loc["between_client", "r"] == pytest.approx(expected)


def test_correlations_are_seeded():
    scored, study = scored_table(30, 5), brief()
    first = correlations_within_between(scored, study, 50)
    pd.testing.assert_frame_equal(first, correlations_within_between(scored, study, 50))
    other = correlations_within_between(scored, study, 50, seed=7)
    assert not first["ci_low"].equals(other["ci_low"])


def test_correlations_that_cannot_be_computed_have_a_reason():
    few = correlations_within_between(scored_table(6, 5), brief())
    assert few["r"].isna().all()
    assert few["reason"].str.contains("fewer than 10 clients").all()
    constant = scored_table(30, 5).assign(alliance=3.0)
    table = correlations_within_between(constant, brief())
    assert table["r"].isna().all()
    assert table["reason"].str.contains("no variance").all()


def test_missingness_counts_attended_sessions_only():
    scored = scored_table(20, 3)
    scored.loc[scored["session"] == 1, "attendance"] = ["no_show"] * 4 + ["attended"] * 16
    scored.loc[(scored["session"] == 1) & (scored["client"] >= "c012"), "alliance"] = pd.NA
    table = missingness(scored, brief())
    assert list(table.columns) == list(MISSINGNESS_COLUMNS)
    row = table[(table["measure"] == "alliance") & (table["session"] == 1)].iloc[0]
    assert (row["n_attended"], row["n_present"], row["pct_missing"]) == (16, 8, 50)


def test_missingness_does_not_tell_that_few_clients_lack_a_score():
    scored = scored_table(20, 3)
    few = (scored["session"] == 2) & (scored["client"] < "c003")
    scored.loc[few, "alliance"] = pd.NA
    table = missingness(scored, brief()).set_index(["measure", "session"])
    for measure in ("alliance", "distress"):
        assert pd.isna(table.loc[(measure, 2), "n_attended"])
        assert pd.isna(table.loc[(measure, 2), "pct_missing"])
        assert table.loc[(measure, 1), "pct_missing"] == 0
    assert table.loc[("alliance", 2), "n_present"] == 17
    loose = missingness(scored, brief(1)).set_index(["measure", "session"])
    assert loose.loc[("alliance", 2), "pct_missing"] == pytest.approx(15)


def test_shares_of_few_clients_are_not_shown():
    scored = scored_table(20, 3)
    scored["alliance"] = 20.0
    scored.loc[scored["client"] < "c003", "alliance"] = 40.0  # 9 sessions, but of 3 clients
    row = describe_measures(scored, brief(), keys_of(brief())).iloc[0]
    assert pd.isna(row["pct_ceiling"])
    assert row["pct_missing"] == 0
    row = describe_measures(scored, brief(1), keys_of(brief())).iloc[0]
    assert row["pct_ceiling"] == pytest.approx(15)


def test_trajectories_have_t_intervals_of_the_clients_still_there():
    scored = scored_table(20, 4)
    scored.loc[(scored["session"] == 4) & (scored["client"] >= "c009"), "alliance"] = pd.NA
    table = trajectories(scored, brief())
    assert list(table.columns) == list(TRAJECTORY_COLUMNS)
    row = table[(table["measure"] == "alliance") & (table["session"] == 4)].iloc[0]
    values = scored.loc[scored["session"] == 4, "alliance"].dropna().astype(float)
    assert row["n_clients"] == 9
    assert row["mean"] == pytest.approx(values.mean())
    # t(8) at .975 is 2.306
    assert row["ci_high"] - row["mean"] == pytest.approx(2.306004 * values.std() / 3)


def shown_counts(table: pd.DataFrame) -> set[int]:
    columns = [c for c in table if c in ("n", "n_clients", "n_present", "n_attended", "n_sessions")]
    return {int(v) for c in columns for v in table[c].dropna()}


def test_no_table_shows_a_small_cell():
    scored = scored_table(12, 6)
    scored = scored[(scored["session"] < 5) | (scored["client"] < "c003")]
    scored.loc[(scored["session"] == 3) & (scored["client"] > "c001"), "alliance"] = pd.NA
    study = brief()
    keys = keys_of(study)
    for table in (
        missingness(scored, study),
        trajectories(scored, study),
        ceiling_by_session(scored, study, keys),
        describe_measures(scored, study, keys),
        correlations_within_between(scored, study, **NO_BOOTSTRAP),
    ):
        assert len(table) > 0
        assert not shown_counts(table) & {1, 2, 3, 4}


def test_statistics_of_few_clients_are_not_shown():
    row = describe_measures(scored_table(4, 6), brief(), keys_of(brief())).iloc[0]
    assert pd.isna(row["n_clients"])
    assert pd.isna(row["mean"])


def test_ceiling_by_session():
    scored = scored_table(20, 3)
    scored["alliance"] = 20.0
    scored.loc[(scored["session"] == 2) & (scored["client"] < "c010"), "alliance"] = 40.0
    scored.loc[(scored["session"] == 3) & (scored["client"] < "c002"), "alliance"] = 40.0
    table = ceiling_by_session(scored, brief(), keys_of(brief()))
    assert list(table.columns) == list(CEILING_COLUMNS)
    alliance = table[table["measure"] == "alliance"].set_index("session")["pct_ceiling"]
    assert alliance[1] == 0
    assert alliance[2] == 50
    assert np.isnan(alliance[3])  # two clients


@pytest.mark.parametrize(
    ("counts", "hidden"),
    [
        ([40, 30, 20], set()),
        ([40, 30, 3], {2, 1}),  # 3 alone would follow from the total
        ([40, 2, 1], {1, 2, 0}),  # together still small
        ([40, 4, 3], {1, 2}),
        ([3], {0}),
        ([40, 0, 6], set()),
    ],
)
def test_suppressed_cells_cannot_be_worked_out(counts, hidden):
    assert suppressed_cells(counts, 5) == hidden


def clients_table() -> pd.DataFrame:
    n = 40
    return pd.DataFrame(
        {
            "client": [f"c{i:03d}" for i in range(n)],
            "therapist": [f"t{i % 4}" for i in range(n)],
            "modality": ["CBT"] * 20 + ["psychodynamic"] * 17 + ["DBT"] * 2 + [None],
            "age_group": ["18-25"] * 20 + ["26-40"] * 20,
            "feedback": ["feedback"] * 10 + ["no feedback"] * 30,
            "expectancy": pd.array([5.0] * 39 + [None], "Float64"),
            "intake": pd.array(np.arange(n, dtype=float), "Float64"),
            "ending": ["agreed"] * 30 + ["dropout"] * 10,
        }
    )


def test_sample_table_counts_and_suppresses():
    table = sample_table(clients_table(), scored_table(40, 5), clinic())
    assert list(table.columns) == list(SAMPLE_COLUMNS)
    modality = table[table["variable"] == "modality"].set_index("category")
    assert modality.loc["CBT", "n"] == 20
    assert modality.loc["CBT", "percent"] == 50
    assert not modality.loc["CBT", "suppressed"]
    # 2 DBT and 1 missing are hidden, and the next smallest with them: 3 together are small too.
    assert modality.loc[["DBT", "missing", "psychodynamic"], "n"].isna().all()
    assert modality.loc[["DBT", "missing", "psychodynamic"], "percent"].isna().all()
    feedback = table[table["variable"] == "feedback"]
    assert feedback["category"].tolist() == ["no feedback", "feedback"]
    single = table.set_index("variable")
    assert single.loc["clients", "n"] == 40
    assert single.loc["therapists", "n"] == 4
    assert single.loc["sessions_per_client", "mean"] == 5
    assert (single.loc["sessions_per_client", "n"], single.loc["intake", "mean"]) == (40, 19.5)
    assert np.isnan(single.loc["expectancy", "n"])  # of 40, one lacks it
    assert np.isfinite(single.loc["expectancy", "mean"])
    assert set(table["statistic"]) == {"n (%)", "mean (SD)"}
    assert table.loc[table["variable"] == "ending", "n"].tolist() == [30, 10]


def test_sample_table_of_few_clients_shows_no_number_of_them():
    table = sample_table(clients_table().head(3), scored_table(3, 5), clinic())
    of_clients = table[~table["variable"].isin(["therapists", "sessions"])]
    assert of_clients["n"].isna().all()
    assert of_clients["mean"].isna().all()
    assert of_clients["suppressed"].all()
