"""Early ratings and the last outcome: the frame, partial correlations, known truth, flawed data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from alliance.estimates import to_frame
from alliance.estimation.association import (
    AssociationContext,
    _version,
    association_frame,
    association_rows,
    partial_correlation,
)
from alliance.study import AssociationSpec, Covariate, Timing

CONTEXT = AssociationContext(
    "early", "alliance", "Alliance", "point", "symptoms", "Symptoms", "points", "client", "total",
    "alliance", "code",
)  # fmt: skip
POST_PRE = Timing(alliance_when="post", outcome_when="pre")
PRE_POST = Timing(alliance_when="pre", outcome_when="post")
WORSE = ("worse", (0.0, 40.0))
PUBLISHED = pd.read_csv(Path(__file__).parents[1] / "data/published/effects.csv")
COVARIATES = {
    "intake": Covariate(column="intake", type="number"),
    "site": Covariate(column="site", type="category"),
}


def spec(**keys: object) -> AssociationSpec:
    base = {"label": "Early", "predictor": "alliance", "outcome": "symptoms"}
    return AssociationSpec(**(base | keys))


def sessions_of(**series: tuple[list, list]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """client -> (alliance by session from 1, symptoms by session from 1)."""
    parts = [
        pd.DataFrame({"client": c, "session": range(1, len(a) + 1), "alliance": a, "symptoms": y})
        for c, (a, y) in series.items()
    ]
    clients = pd.DataFrame({"client": list(series), "therapist": None, "intake": 30.0})
    return pd.concat(parts, ignore_index=True), clients


def test_the_frame_follows_the_timing():
    """Symptoms of session 5 come before the alliance of session 5, or after it."""
    sessions, clients = sessions_of(a=([1, 1, 2, 3, 4, 9, 9], [20, 19, 18, 17, 16, 15, 14]))
    row = association_frame(sessions, clients, spec(), POST_PRE, WORSE).iloc[0]
    assert (row["alliance"], row["baseline"], row["prior"], row["last"]) == (3, 20, 16, 14)
    row = association_frame(sessions, clients, spec(), PRE_POST, WORSE).iloc[0]
    assert (row["prior"], row["last"]) == (17, 14)
    row = association_frame(sessions, clients, spec(baseline="intake"), POST_PRE, WORSE).iloc[0]
    assert row["baseline"] == 30


def test_clients_without_a_later_outcome_or_an_early_rating_are_left_out():
    nan = np.nan
    sessions, clients = sessions_of(
        ended=([1, 2, 3, 4, 5], [9, 8, 7, 6, 5]),
        late=([nan, nan, nan, nan, nan, 3.0], [9, 8, 7, 6, 5, 4]),
        used=([nan, nan, 3.0, nan, nan, nan], [9, 8, 7, nan, 5, 4]),
    )
    frame = association_frame(sessions, clients, spec(), POST_PRE, WORSE)
    assert list(frame["client"]) == ["used"]
    assert list(frame[["prior", "last"]].iloc[0]) == [7, 4]


def test_an_outcome_that_is_better_when_higher_is_turned_with_its_baseline():
    sessions, clients = sessions_of(a=([1, 1, 2, 3, 4, 9, 9], [20, 19, 18, 17, 16, 15, 14]))
    keys = spec(baseline="intake")
    row = association_frame(sessions, clients, keys, POST_PRE, ("better", (0.0, 40.0))).iloc[0]
    assert (row["baseline"], row["prior"], row["last"]) == (10, 24, 26)


def test_partial_correlation_is_that_of_residuals_and_of_the_t_test():
    rng = np.random.default_rng(1)
    held = rng.normal(size=(80, 2))
    x = held @ [0.5, 0.2] + rng.normal(size=80)
    y = -0.3 * x + held @ [0.4, 0.1] + rng.normal(size=80)
    found = partial_correlation(x, y, held)
    a, b = (v - np.column_stack([np.ones(80), held]) @ np.linalg.lstsq(
        np.column_stack([np.ones(80), held]), v, rcond=None)[0] for v in (x, y))  # fmt: skip
    r = float(np.corrcoef(a, b)[0, 1])
    assert found.r == pytest.approx(r)
    t = r * np.sqrt(76 / (1 - r**2))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), 76))
    half = stats.norm.ppf(0.975) / np.sqrt(80 - 2 - 3)
    assert found.r_low == pytest.approx(np.tanh(np.arctanh(r) - half))


GOLDEN = Path(__file__).parent / "golden" / "lmm"


def one_row_per_client(file: str, *columns: str) -> pd.DataFrame:
    """First rating x, last outcome y, mean of the first two outcomes z, as in variants.R."""
    by = pd.read_csv(GOLDEN / file).sort_values(["client", "time"]).groupby("client")
    held = by["outcome"].apply(lambda y: y.iloc[:2].mean() if len(y) > 1 else np.nan)
    one = pd.DataFrame({"x": by["predictor"].first(), "y": by["outcome"].last(), "z": held})
    return one.assign(**{name: by[name].first() for name in columns})


def test_partial_correlation_agrees_with_lm_of_r():
    """tests/golden/r/variants.R, on one row per client of the golden data."""
    golden = json.loads((GOLDEN / "variants.json").read_text())["partial"]
    one = one_row_per_client("two_level.csv").dropna()
    assert len(one) == golden["n"]
    x, y, z = (one[name].to_numpy() for name in ("x", "y", "z"))
    found = partial_correlation(x, y, z[:, None])
    assert found.r == pytest.approx(golden["r"], rel=1e-8)
    assert found.slope == pytest.approx(golden["slope"], rel=1e-8)
    assert found.slope_se == pytest.approx(golden["se"], rel=1e-8)
    assert found.p == pytest.approx(golden["p"], rel=1e-6)


def test_intervals_robust_by_therapist_hold_the_truth_where_ordinary_ones_do_not():
    """Both variables differ between therapists; 300 studies, true correlation zero."""
    rng = np.random.default_rng(7)
    cluster = np.repeat(np.arange(30), 8)
    held = {"ordinary": 0, "robust": 0}
    for _ in range(300):
        x, y = (rng.normal(size=30)[cluster] + rng.normal(size=240) for _ in range(2))
        nothing = np.zeros((240, 0))
        for name, codes in (("ordinary", None), ("robust", cluster)):
            found = partial_correlation(x, y, nothing, codes)
            held[name] += found.r_low < 0 < found.r_high
    assert held["robust"] >= 272  # 285 expected; 272 is 3.4 standard errors below
    assert held["ordinary"] <= 255


@pytest.mark.parametrize("case", ["robust", "robust_few"])
def test_errors_robust_by_therapist_agree_with_clubsandwich_of_r(case):
    """tests/golden/r/variants.R: CR2 and Satterthwaite; in the second case df are 1.98 of 7."""
    golden = json.loads((GOLDEN / "variants.json").read_text())[case]
    one = one_row_per_client("three_level.csv", "therapist").dropna()
    if case == "robust_few":
        one = one[one["therapist"] <= "T11"]
        one["therapist"] = one["therapist"].mask(one["therapist"] <= "T05", "T00")
    assert len(one) == golden["n"]
    x, y, z = (one[name].to_numpy() for name in ("x", "y", "z"))
    found = partial_correlation(x, y, z[:, None], pd.factorize(one["therapist"])[0])
    assert found.slope == pytest.approx(golden["slope"], rel=1e-8)
    assert found.slope_se == pytest.approx(golden["se"], rel=1e-8)
    assert found.df == pytest.approx(golden["df"], rel=1e-8)
    assert found.p == pytest.approx(golden["p"], rel=1e-8)


def test_robust_intervals_hold_with_a_dozen_therapists_of_very_uneven_panels():
    """300 studies, true correlation zero; 288 and 289 hold it, with CR1 errors 276."""
    rng = np.random.default_rng(11)
    held = {"r": 0, "slope": 0}
    for _ in range(300):
        cluster = np.repeat(np.arange(12), 1 + rng.negative_binomial(1, 1 / 6, size=12))
        x, y = (0.4 * rng.normal(size=12)[cluster] + rng.normal(size=len(cluster)) for _ in "xy")
        found = partial_correlation(x, y, np.zeros((len(cluster), 0)), cluster)
        held["r"] += found.r_low < 0 < found.r_high
        held["slope"] += found.p > 0.05
    assert min(held.values()) > 276


def made_up(n: int = 240, seed: int = 1, prior: float = 0.0) -> pd.DataFrame:
    """Client table with a true partial correlation of -.3 at equal baseline."""
    rng = np.random.default_rng(seed)
    baseline = rng.normal(20, 5, n)
    change = rng.normal(2, 3, n)
    alliance = 3 - 0.02 * baseline + prior * change + 0.6 * rng.normal(size=n)
    e = rng.normal(size=n)
    u = (alliance - 3 + 0.02 * baseline - prior * change) / 0.6
    last = 5 + 0.4 * baseline - change * bool(prior) + 4 * (-0.3 * u + np.sqrt(1 - 0.09) * e)
    return pd.DataFrame(
        {
            "client": [f"c{k:03d}" for k in range(n)],
            "therapist": [f"t{k % 30:02d}" for k in range(n)],
            "alliance": alliance,
            "baseline": baseline,
            "prior": baseline - change,
            "last": last,
            "site": np.where(rng.random(n) < 0.5, "north", "south"),
        }
    )


def rows_of(frame: pd.DataFrame, **keys: object) -> pd.DataFrame:
    rows = association_rows(frame, spec(**keys), COVARIATES, CONTEXT, PUBLISHED)
    return to_frame(rows).set_index("term")


def test_the_planted_correlation_is_found_beside_the_published_one():
    rows = rows_of(made_up(n=2000), covariates=["site"])
    assert rows.loc["r_baseline", "estimate"] == pytest.approx(-0.3, abs=0.06)
    assert rows.loc["r_prior_change", "ci_low"] < -0.3 < rows.loc["r_prior_change", "ci_high"]
    assert rows.loc["r_published", "estimate"] == -0.278
    assert tuple(rows.loc["r_published", ["ci_low", "ci_high"]]) == (-0.299, -0.256)
    assert rows.loc["slope_baseline", "units"] == "points per point"
    slopes = rows.loc[["slope_within_therapist", "slope_between_therapists"]]
    assert (slopes["status"] == "ok").all()
    true = -0.3 * 4 / 0.6
    assert (abs(slopes["estimate"] - true) < 3 * slopes["se"]).all()


def test_a_variance_of_therapists_that_is_nearly_zero_is_found():
    """Values of lmerTest 3.1-3: the SD of therapists, 0.09, is a fortieth of the residual SD."""
    rows = rows_of(made_up(n=2000))
    between, within = (
        rows.loc[f"slope_{term}"] for term in ("between_therapists", "within_therapist")
    )
    assert (between["converged"], between["status"]) == ("yes", "ok")
    assert between["estimate"] == pytest.approx(-3.5475505, rel=1e-6)
    assert between["se"] == pytest.approx(1.3161024, rel=1e-5)
    assert between["df"] == pytest.approx(27.81378, rel=1e-3)
    assert within["se"] == pytest.approx(0.14213358, rel=1e-6)
    assert within["df"] == pytest.approx(1969.495, rel=1e-3)


def test_a_slope_between_therapists_has_no_more_degrees_of_freedom_than_therapists():
    """By seed the variance of 30 therapists without any effect is estimated as zero or not."""
    seen = set()
    for seed in range(1, 7):
        rows = rows_of(made_up(seed=seed))
        between, within = (
            rows.loc[f"slope_{term}"] for term in ("between_therapists", "within_therapist")
        )
        zero = str(between["converged"]).startswith("yes, on the boundary")
        seen.add(zero)
        assert between["df"] <= 28
        if zero:
            assert (between["df"], between["interval"]) == (28, "95% t, df of therapists")
            assert within["df"] > 200
        half = stats.t.ppf(0.975, between["df"]) * between["se"]
        assert between["ci_high"] - between["estimate"] == pytest.approx(half)
        t = abs(between["estimate"]) / between["se"]
        assert between["p"] == pytest.approx(2 * stats.t.sf(t, between["df"]))
    assert seen == {True, False}


def test_clients_without_a_known_therapist_are_no_therapists():
    """They stand alone in robust errors, but neither make few therapists many nor count as some."""
    frame = made_up()
    unknown = frame["client"].isin(frame["client"].iloc[:60])
    few = frame.assign(therapist=[f"t{k % 4}" for k in range(len(frame))])
    few.loc[unknown, "therapist"] = None
    row = rows_of(few).loc["r"]
    assert row["interval"].endswith("ordinary")
    assert np.isnan(row["n_therapists"])
    many = frame.assign(therapist=frame["therapist"].mask(unknown))
    row = rows_of(many).loc["r"]
    assert row["interval"].endswith("robust by therapist")
    assert row["n_therapists"] == 30
    assert 30 < row["df"] < 30 + 60 - 1


def test_improvement_before_the_rating_is_taken_out_by_prior_change():
    rows = rows_of(made_up(n=1500, prior=0.3))
    without, with_change = rows.loc["r_baseline"], rows.loc["r_prior_change"]
    assert without["estimate"] < with_change["estimate"] - 0.2
    assert with_change["estimate"] == pytest.approx(-0.3, abs=0.08)
    assert "improvement up to the rating" in without["known_bias"]


def test_one_therapist_and_none():
    rows = rows_of(made_up().assign(therapist="t1"))
    assert rows.loc["r_baseline", "interval"] == "95% Fisher z, ordinary"
    assert rows.loc["slope_between_therapists", "status"] == "not_estimated"
    assert "20 therapists" in rows.loc["slope_between_therapists", "reason"]
    rows = rows_of(made_up().assign(therapist=None))
    assert "slope_between_therapists" not in rows.index
    assert rows.loc["r_baseline", "status"] == "ok"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.head(12), "fewer than 20 clients"),
        (lambda f: f.assign(alliance=3.0), "same early rating"),
        (lambda f: f.assign(last=3.0), "same last outcome"),
        (lambda f: f.assign(baseline=np.nan), "fewer than 20 clients"),
    ],
    ids=["few", "constant rating", "constant outcome", "no baseline"],
)
def test_flawed_data_give_reasons(change, words):
    rows = rows_of(change(made_up())).drop(index="r_published")
    assert (rows["status"] == "not_estimated").all()
    assert rows["reason"].str.contains(words).all()


def test_a_rating_that_the_baseline_explains_away():
    frame = made_up()
    rows = rows_of(frame.assign(alliance=2 * frame["baseline"]))
    assert rows.loc["r", "status"] == "ok"
    assert rows.loc["r_baseline", "status"] == "not_estimated"
    assert rows.loc["slope_within_therapist", "status"] == "not_estimated"


def test_an_outcome_before_and_after_treatment_only():
    """The design of most trials: nothing is known of the outcome while the alliance is rated."""
    frame = made_up().assign(prior=np.nan)
    rows = {
        r.term: r for r in association_rows(frame, spec(baseline="intake"), COVARIATES, CONTEXT)
    }
    whole = {r.term: r for r in association_rows(made_up(), spec(), COVARIATES, CONTEXT)}
    for term in ("r", "r_baseline", "slope_baseline"):
        assert rows[term].estimate == pytest.approx(whole[term].estimate)
    assert rows["r_prior_change"].status == "not_estimated"
    assert "between the baseline and the rating" in rows["r_prior_change"].reason
    without_baseline = association_rows(frame, spec(), COVARIATES, CONTEXT)
    assert {r.status for r in without_baseline} == {"not_estimated"}


@pytest.mark.parametrize(
    ("keys", "held"), [({}, "first {}"), ({"baseline": "intake"}, "{} before treatment")]
)
def test_a_first_score_is_not_called_before_treatment(keys, held):
    """Without a declared baseline the first score is held equal, which may be of any session."""
    rows = association_rows(made_up(), spec(**keys), COVARIATES, CONTEXT, PUBLISHED)
    adjusted = [r.estimand for r in rows if r.term in ("r_baseline", "r_prior_change")]
    assert len(adjusted) == 2
    assert all(
        f"at equal {held.format(CONTEXT.outcome_label)}" in estimand for estimand in adjusted
    )
    assert not any("before treatment" in e for e in adjusted if not keys)


def test_no_published_correlation_beside_something_that_is_no_alliance():
    other = AssociationContext(**(vars(CONTEXT) | {"role": "process"}))
    rows = association_rows(made_up(), spec(), COVARIATES, other, PUBLISHED)
    assert "r_published" not in {row.term for row in rows}


def test_sessions_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="first, last"):
        spec(sessions=(5, 3))


@pytest.mark.parametrize(("n", "status"), [(6, "not_estimated"), (7, "ok")])
def test_too_few_clients_for_what_is_held_equal_are_refused(n, status):
    """Fisher's standard error is 1 / sqrt(n - k - 3)."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({
        "client": [f"c{i}" for i in range(n)], "therapist": None,
        "alliance": rng.normal(size=n), "last": rng.normal(size=n),
    })  # fmt: skip
    rows = to_frame(_version(frame, rng.normal(size=(n, 3)), "r_baseline", spec(), CONTEXT))
    assert set(rows["status"]) == {status}
    if status == "ok":
        assert rows["ci_low"].notna().all()
    else:
        assert rows["reason"].str.contains("too few clients to hold 3 variables").all()
