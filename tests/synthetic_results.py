"""A small made-up set of result tables, as the stages would write them, for rendering tests.

The numbers are invented to exercise figures, tables and pages; nothing here is a result.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from synthetic_dynamics import dynamics_rows

from alliance.estimates import Estimate, to_frame
from alliance.figures import FigureInputs
from alliance.report import ReportInputs
from alliance.ruptures.drop_chances import chance_classes, chance_recovery
from alliance.study import Study

ROOT = Path(__file__).parent.parent
MEASURES = {
    "alliance_client": ("Alliance, client (WAI-SR)", "client", "alliance", "waisr_client"),
    "alliance_therapist": (
        "Alliance, therapist (WAI-S)",
        "therapist",
        "alliance",
        "wais_therapist",
    ),
    "symptoms": ("Symptoms (CORE-10)", "client", "outcome", "core10"),
}


def study(name: str = "clinic") -> Study:
    text = (ROOT / "config" / "studies" / f"{name}.yaml").read_text(encoding="utf-8")
    return Study.model_validate(yaml.safe_load(text))


def flow() -> pd.DataFrame:
    rows = [
        (1, "read", 3012, 3012, 240, 240, "everything in the files"),
        (2, "exact duplicates", 3012, 3004, 240, 240, "rows that repeat another row exactly"),
        (3, "conflicting duplicates", 3004, 2999, 240, 240,
         "several rows for one client and session: the most complete one is kept"),
        (4, "out of range", 2999, 2999, 240, 240, "answers outside the response range set missing"),
        (5, "not attended", 2999, 2741, 240, 240, "sessions that did not take place"),
        (6, "min_sessions", 2741, 2735, 240, 234, "clients with fewer than 2 attended sessions"),
        (7, "analysed", 2735, 2735, 234, 234, ""),
    ]  # fmt: skip
    names = ["order", "step", "sessions_in", "sessions_out", "clients_in", "clients_out", "reason"]
    return pd.DataFrame(rows, columns=names)


def measures() -> pd.DataFrame:
    numbers = {
        "alliance_client": (2600, 234, 3.55, 0.78, 0.42, 0.66, 0.71, 0.31, 1.0, 5.0, 4.9, 6.1),
        "alliance_therapist": (2580, 234, 5.02, 0.81, 0.51, 0.63, 0.60, 0.22, 1.8, 7.0, 5.7, 0.9),
        "symptoms": (2650, 234, 17.9, 7.2, 4.4, 5.8, 0.63, 0.35, 0.0, 40.0, 3.1, 0.2),
    }
    columns = ["n_sessions", "n_clients", "mean", "sd_total", "sd_within", "sd_between", "icc",
               "lag1_autocorrelation", "minimum", "maximum", "pct_missing",
               "pct_ceiling"]  # fmt: skip
    rows = [
        {"measure": key, "scale": scale, "label": label, "rater": rater, "role": role,
         "instrument": instrument, "verification": "verified_2plus",
         "higher_is": "worse" if key == "symptoms" else "better",
         **dict(zip(columns, numbers[key], strict=True))}
        for key, (label, rater, role, instrument) in MEASURES.items()
        for scale in (("total", "bond") if role == "alliance" else ("total",))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def correlations() -> pd.DataFrame:
    values = [
        ("alliance_client", "alliance_therapist", 0.31, 0.52),
        ("alliance_client", "symptoms", -0.12, -0.33),
        ("alliance_therapist", "symptoms", -0.08, -0.21),
    ]
    rows = [
        (a, b, level, r, r - 0.05, r + 0.05, 2560, 234)
        for a, b, within, between in values
        for level, r in (("within_client", within), ("between_client", between))
    ]
    return pd.DataFrame(rows, columns=["measure_a", "measure_b", "level", "r", "ci_low", "ci_high",
                                       "n_sessions", "n_clients"])  # fmt: skip


def missingness() -> pd.DataFrame:
    rows = [
        (measure, s, 234 - 8 * s, round((234 - 8 * s) * (0.97 - 0.004 * s * (k + 1))))
        for k, measure in enumerate(MEASURES)
        for s in range(1, 21)
    ]
    table = pd.DataFrame(rows, columns=["measure", "session", "n_attended", "n_present"])
    return table.assign(pct_missing=100 * (1 - table["n_present"] / table["n_attended"]))


def sessions(n_clients: int = 60, n_sessions: int = 20) -> pd.DataFrame:
    random = np.random.default_rng(7)
    parts = []
    for i in range(n_clients):
        length = int(random.integers(4, n_sessions + 1))
        t = np.arange(1, length + 1)
        alliance = 3.5 + random.normal(0, 0.6) + 0.01 * t + random.normal(0, 0.4, length)
        symptoms = 20 + random.normal(0, 5) - 0.3 * t - 1.2 * alliance + random.normal(0, 4, length)
        parts.append(pd.DataFrame({
            "client": f"C{i:03d}", "session": t, "alliance_client": alliance.clip(1, 5),
            "alliance_therapist": (alliance + 1.4 + random.normal(0, 0.4, length)).clip(1, 7),
            "symptoms": symptoms.clip(0, 40),
        }))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def trajectories() -> pd.DataFrame:
    long = sessions(234).melt(["client", "session"], var_name="measure")
    table = long.groupby(["measure", "session"])["value"].agg(["size", "mean", "std"])
    table = table.reset_index().rename(columns={"size": "n_clients", "std": "sd"})
    half = 1.96 * table["sd"] / np.sqrt(table["n_clients"])
    return table.assign(ci_low=table["mean"] - half, ci_high=table["mean"] + half)


def model_frame(n_clients: int = 60) -> pd.DataFrame:
    table = sessions(n_clients).rename(
        columns={"alliance_client": "predictor", "symptoms": "outcome"}
    )
    mean = table.groupby("client")["predictor"].transform("mean")
    return table.assign(
        within=table["predictor"] - mean, between=mean - mean.mean(), time=table["session"] - 1.0
    )


def reliability() -> pd.DataFrame:
    rows = []
    for measure, scale, shift in (
        ("alliance_client", "total", 0.0), ("alliance_client", "bond", -0.05),
        ("alliance_therapist", "total", -0.03), ("symptoms", "total", 0.02),
    ):  # fmt: skip
        for level, coefficient, value in (
            ("within_client", "omega", 0.78), ("within_client", "Rcn", 0.74),
            ("between_client", "omega", 0.95), ("between_client", "RkRn", 0.93),
            ("total", "alpha", 0.90),
        ):  # fmt: skip
            v = value + shift
            rows.append((measure, scale, "client", level, coefficient, v, v - 0.03, v + 0.02,
                         234, 2600, "ok", ""))  # fmt: skip
    rows.append(("symptoms", "total", "client", "between_client", "alpha", np.nan, np.nan, np.nan,
                 234, 2600, "not_estimated",
                 "a loading reached its boundary (Heywood case)"))  # fmt: skip
    names = ["measure", "scale", "rater", "level", "coefficient", "estimate", "ci_low", "ci_high",
             "n_clients", "n_sessions", "status", "reason"]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def sample() -> pd.DataFrame:
    rows = [
        ("modality", "Modality", "CBT", "n (%)", 92, 39.3, np.nan, np.nan, False),
        ("modality", "Modality", "psychodynamic", "n (%)", 80, 34.2, np.nan, np.nan, False),
        ("modality", "Modality", "DBT", "n (%)", 62, 26.5, np.nan, np.nan, False),
        ("age_group", "Age group", "18-25", "n (%)", 60, 25.6, np.nan, np.nan, False),
        ("age_group", "Age group", "80+", "n (%)", np.nan, np.nan, np.nan, np.nan, True),
        ("intake", "Symptoms at intake", "", "mean (SD)", 234, np.nan, 20.1, 6.3, False),
    ]
    names = ["variable", "label", "category", "statistic", "n", "percent", "mean", "sd",
             "suppressed"]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


_COMMON = {
    "predictor": "alliance_client", "outcome": "symptoms", "rater": "client", "lag": 1.0,
    "timing_order": "predictor after session t, outcome before session t+1",
    "clock": "session", "n_obs": 2190.0, "n_clients": 228.0, "median_sessions": 9.0,
}  # fmt: skip
_UNITS = "CORE-10 points per WAI-SR point"


def _fixed(
    analysis: str,
    term: str,
    level: str,
    estimator: str,
    b: float,
    se: float,
    std: float,
    **more: object,
) -> dict[str, object]:
    bayes = estimator.startswith("NUTS")
    row = {
        **_COMMON, "analysis": analysis, "term": term, "level": level, "estimator": estimator,
        "estimand": f"{term} of {analysis}", "units": _UNITS, "estimate": b, "se": se,
        "ci_low": b - 1.96 * se, "ci_high": b + 1.96 * se,
        "interval": "95% equal-tailed posterior" if bayes else "95% t (Satterthwaite)",
        "std_within": std, "std_within_low": std - 1.96 * se * abs(std / b),
        "std_within_high": std + 1.96 * se * abs(std / b),
    }  # fmt: skip
    row |= (
        {"pd": 0.999, "rhat_max": 1.003, "ess_min": 1810.0, "divergences": 0.0, "seed": 20261122.0}
        if bayes
        else {"p": 0.0004 if abs(b / se) > 3.5 else 0.21, "df": 190.0}
    )
    return row | more


def estimates() -> pd.DataFrame:
    rows = []
    for estimator, nudge in (
        ("REML", 0.0),
        ("MixedLM (statsmodels)", 0.0),
        ("NUTS (PyMC, nutpie)", 0.01),
    ):
        points, per_point = {"units": "CORE-10 points"}, {"units": "CORE-10 points per session"}
        therapist = {
            "rater": "therapist",
            "predictor": "alliance_therapist",
            "units": "CORE-10 points per WAI-S point",
        }
        within, between = ("within", "within_client"), ("between", "between_client")
        rows += [
            _fixed("main", "intercept", "total", estimator, 20.3, 0.5, np.nan, **points),
            _fixed("main", *within, estimator, -1.21 + nudge, 0.22, -0.116),
            _fixed("main", *between, estimator, -2.40 + nudge, 0.51, -0.23),
            _fixed("main", "contextual", "between_client", estimator, -1.19, 0.55, np.nan),
            _fixed("main", "time", "within_client", estimator, -0.31, 0.03, np.nan, **per_point),
            _fixed("therapist_rated", *within, estimator, -0.32 + nudge, 0.25, -0.037, **therapist),
            _fixed("therapist_rated", *between, estimator, -1.1, 0.48, -0.13, **therapist),
        ]  # fmt: skip
        if not estimator.startswith("Mixed"):
            rows += _variances(estimator)
    rows += _trend_rows()
    rows += [_refused("three_level", estimator) for estimator in ("REML", "NUTS (PyMC, nutpie)")]
    rows += [*dynamics_rows(), *_rupture_rows()]
    return to_frame(rows)


def _trend_rows() -> list[dict[str, object]]:
    """Within and between effects under two ways of taking the course out."""
    return [
        _fixed(f"main.trend_{fork}", term, level, "REML", value, 0.25, np.nan, trend=words)
        for fork, words, shift in (
            ("none", "none", -0.2),
            ("session_effects", "one common effect per session", 0.0),
        )
        for term, level, value in (
            ("within", "within_client", -1.2 + shift),
            ("between", "between_client", -2.4),
        )
    ]


def _variances(estimator: str) -> list[dict[str, object]]:
    parts = [("sd_intercept", 4.9), ("sd_within", 0.8), ("sd_residual", 3.9), ("icc", 0.61)]
    return [
        _fixed("main", term, "between_client" if term != "sd_residual" else "within_client",
               estimator, value, 0.12, np.nan, p=np.nan, pd=np.nan,
               kind="proportion" if term == "icc" else "standard_deviation",
               units="proportion" if term == "icc" else "CORE-10 points")
        for term, value in parts
    ]  # fmt: skip


def _refused(analysis: str, estimator: str) -> dict[str, object]:
    return {
        **_COMMON, "analysis": analysis, "term": "within", "level": "within_client",
        "estimator": estimator, "estimand": "within", "status": "not_estimated",
        "reason": "only 12 therapists treated three clients or more; 20 are needed",
    }  # fmt: skip


def _rupture_rows() -> list[dict[str, object]]:
    base = {"analysis": "client_rated", "level": "client", "predictor": "alliance_client",
            "outcome": "symptoms", "n_clients": 234.0, "n_obs": 234.0}  # fmt: skip
    contrasts = [("repaired_vs_none", -0.4, 1.1), ("unrepaired_vs_none", 3.1, 1.2)]
    rows: list[dict[str, object]] = [
        {**base, "kind": "proportion", "term": f"{term}[mean_prior_study]",
         "estimator": "proportion", "estimand": words,
         "units": "proportion of clients", "estimate": share,
         "ci_low": share - 0.06, "ci_high": share + 0.06, "interval": "95% Wilson", "outcome": ""}
        for term, words, share in (
            ("prevalence", "Share of clients with at least one rupture", 0.34),
            ("repaired_share", "Share of clients whose ruptures were repaired", 0.55),
        )
    ]  # fmt: skip
    for term, b, se in contrasts:
        rows.append({
            **base, "kind": "contrast", "term": f"{term}[mean_prior_study]",
            "estimator": "OLS (HC3)", "estimand": "Difference in the last outcome",
            "units": "CORE-10 points",
            "estimate": b, "se": se, "ci_low": b - 1.96 * se, "ci_high": b + 1.96 * se,
            "interval": "95% Wald (t)", "p": 0.03, "known_bias": "Nominal p and interval",
        })  # fmt: skip
    rows.append({
        **base, "kind": "contrast", "term": "repaired_vs_unrepaired[mean_prior_study]",
        "estimator": "OLS", "estimand": "Difference in the last outcome",
        "units": "CORE-10 points", "status": "not_estimated",
        "reason": "fewer than 10 clients: unrepaired (8)",
    })  # fmt: skip
    return rows


def repair_rows() -> pd.DataFrame:
    """Repair and last outcome as correlations, beside the published one."""
    base = {"analysis": "client_rated", "level": "client", "predictor": "alliance_client",
            "outcome": "symptoms", "n_clients": 140.0, "kind": "correlation"}  # fmt: skip
    return to_frame([
        Estimate(**base, term=term, estimand="Correlation of repair and last outcome",
                 estimator=by, units="correlation", estimate=r, ci_low=r - 0.18, ci_high=r + 0.18)
        for term, r, by in (
            ("r_repair_baseline[own_mean]", -0.21, "partial correlation"),
            ("r_repair[own_mean]", -0.05, "partial correlation"),
            ("r_repair_published", -0.29, "meta-analysis: Eubanks, Muran & Safran 2018"),
        )
    ])  # fmt: skip


def noise(summary: pd.DataFrame) -> pd.DataFrame:
    """Rates held against null data sets, as ``rupture_null.noise_table`` gives them."""
    rows = [
        (r.rule, r.label, "project", r.lookahead, quantity, "%", r.n_evaluable, observed, mean,
         0.8 * mean, 1.2 * mean, observed / mean, observed - mean, p, 1000, np.nan, "",
         "no error of measurement, trends of the clients' own")
        for r in summary.itertuples()
        for quantity, observed, mean, p in (
            ("prevalence", 34.0, 21.0, 0.004), ("repaired_share", 55.0, 60.0, 0.5),
            ("surge_prevalence", 18.0, 20.0, 0.4), ("asymmetry", 1.9, 1.1, 0.02),
        )
    ]  # fmt: skip
    return pd.DataFrame(
        rows,
        columns=["rule", "label", "verified", "lookahead", "quantity", "units", "n_clients",
                 "observed", "null_mean", "null_low", "null_high", "ratio", "excess", "p",
                 "n_null", "shuffled_mean", "reason", "null_model"],
    )  # fmt: skip


def ruptures(n_clients: int = 60) -> dict[str, pd.DataFrame]:
    rules = ("mean_prior_study", "previous_drop", "own_mean")
    scored = sessions(n_clients)
    session_rows, episode_rows, client_rows = [], [], []
    labels = ["none", "repaired", "unrepaired", "none", "indeterminate", "none"]
    for rule in rules:
        for i, (client, own) in enumerate(scored.groupby("client")):
            label = labels[i % 6] if len(own) > 3 else "not_evaluable"
            onset = int(own["session"].iloc[len(own) // 2])
            end = min(onset + 1, int(own["session"].max()) - 1)
            ruptured = label not in ("none", "not_evaluable")
            state = np.where(own["session"].between(onset, end) & ruptured, "ruptured", "intact")
            session_rows.append(pd.DataFrame({
                "rule": rule, "client": client, "session": own["session"],
                "score": own["alliance_client"], "state": state,
                "flag": (own["session"] == onset) & ruptured,
            }))  # fmt: skip
            if ruptured:
                episode_rows.append((rule, client, 1, onset, onset, end, label))
            client_rows.append((rule, client, label, len(own)))
    summary = [
        (rule, name, verified, ahead, 60, 58, 29, 50.0, 10, 50.0, 10, 9, 2.0, 1.3)
        for rule, name, verified, ahead in (
            ("mean_prior_study", "Below the mean of earlier sessions", "project", False),
            ("previous_drop", "Drop from the session before", "recalled", False),
            ("own_mean", "Below the own mean", "secondary", True),
        )
    ]
    names = ["rule", "label", "verified", "lookahead", "n_clients", "n_evaluable", "n_ruptured",
             "pct_ruptured", "n_repaired", "pct_repaired", "n_unrepaired", "n_indeterminate",
             "median_latency", "median_depth"]  # fmt: skip
    return {
        "rupture_sessions": pd.concat(session_rows, ignore_index=True),
        "rupture_episodes": pd.DataFrame(
            episode_rows, columns=["rule", "client", "episode", "onset", "nadir", "end", "status"]
        ),
        "rupture_clients": pd.DataFrame(
            client_rows, columns=["rule", "client", "label", "n_sessions"]
        ),
        "rupture_summary": pd.DataFrame(summary, columns=names),
        "rupture_noise": noise(pd.DataFrame(summary, columns=names)),
        "rupture_agreement": rupture_agreement(),
    }


def drops() -> dict[str, pd.DataFrame]:
    """Chances of discrete drops of every fourth client, one likely and one possible drop each."""
    own = sessions()[["client", "session"]].assign(analysis="client_rated")
    at = own.groupby("client").cumcount()
    marked = own["client"].map({c: i % 4 == 0 for i, c in enumerate(own["client"].unique())})
    chance = np.select([at == 0, marked & (at == 4), marked & (at == 7)], [np.nan, 0.9, 0.3], 0.004)
    probabilities = own.assign(probability=chance, supported=True)
    classes = chance_classes(probabilities, 5).assign(analysis="client_rated")
    planted = own[marked & (at == 4)].rename(columns={"session": "onset"})
    recovery = chance_recovery(probabilities, planted, classes, 1).assign(analysis="client_rated")
    return {
        "drop_probabilities": probabilities, "drop_classes": classes, "drop_recovery": recovery,
    }  # fmt: skip


def drop_rows(**changes: object) -> pd.DataFrame:
    """Rows of the comparison of discrete drops with heavy tails; keywords change the share."""
    common = {"analysis": "client_rated", "level": "within_client", "n_clients": 60}
    tails = [
        Estimate(**common, term=f"discrete_drops_vs_{name}", kind="fit", estimand="Difference",
                 estimator="ML, 5-fold cross-validation by client", units="log density",
                 estimate=estimate, se=2.0, ci_low=estimate - 3.92, ci_high=estimate + 3.92)
        for name, estimate in (("student", 11.5), ("skewed", 8.25))
    ]  # fmt: skip
    share = {"estimate": 0.03, "ci_low": 0.01, "ci_high": 0.05} | changes
    return to_frame([*tails, Estimate(
        **common, **share, term="drop_share", kind="fixed", estimand="Share", units="proportion",
        estimator="ML, contaminated Gaussian innovations",
    )])  # fmt: skip


def rupture_agreement() -> pd.DataFrame:
    marks = (
        ("client_rated/mean_prior_study", "Alliance: below the earlier mean", "rule"),
        ("client_rated/own_mean", "Alliance: below the own mean", "rule"),
        ("psq_client", "Client's report after the session", "report"),
    )
    rows = [
        (one, two, label_one, label_two, kind_one, kind_two, level, 400, 58, 40, 50, 20,
         0.29, 0.2, 0.4, 0.38, 0.25, 0.5, 1000, "")
        for at, (one, label_one, kind_one) in enumerate(marks)
        for two, label_two, kind_two in marks[at + 1 :]
        for level in ("onset", "session", "client")
    ]  # fmt: skip
    names = ["mark_a", "mark_b", "label_a", "label_b", "kind_a", "kind_b", "level", "n",
             "n_clients", "n_a", "n_b", "n_both", "jaccard", "jaccard_low", "jaccard_high",
             "kappa", "kappa_low", "kappa_high", "n_resamples", "reason"]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def draws() -> pd.DataFrame:
    random = np.random.default_rng(3)
    parts = [
        pd.DataFrame({"analysis": "main", "term": term, "value": random.normal(b, se, 4000)})
        for term, b, se in (("within", -1.2, 0.22), ("between", -2.4, 0.51), ("time", -0.31, 0.03))
    ]
    return pd.concat(parts, ignore_index=True)


def priors() -> pd.DataFrame:
    rows = [("main", "within", 0.0, 2.1), ("main", "between", 0.0, 2.1)]
    return pd.DataFrame(rows, columns=["analysis", "term", "mean", "sd"])


_PREDICTED = (  # statistic, words, units, observed, mean and SD of the replications
    ("icc", "Share of variance between clients (ICC)", "share", 0.55, 0.56, 0.03),
    ("sd_within", "SD within clients", "points", 4.3, 4.31, 0.1),
    ("sd_spread", "SD of clients' own SDs", "points", 1.5, 1.25, 0.08),
    ("autocorrelation", "Lag-1 autocorrelation within clients", "correlation", 0.2, -0.05, 0.04),
    ("trend", "Change per session", "points per session", -0.3, -0.31, 0.03),
    ("range_within", "Range within a client, mean", "points", 11.6, 11.9, 0.4),
    ("largest_fall", "Largest fall to the next session, mean", "points", 7.4, 8.3, 0.4),
    ("skewness", "Skewness within clients", "skewness", 0.02, 0.0, 0.07),
    ("beyond_scale", "Share of scores beyond the scale", "share of scores", 0.0, 0.006, 0.003),
)


def predictive() -> pd.DataFrame:
    random = np.random.default_rng(4)
    parts = []
    for name, _, _, observed, mean, sd in _PREDICTED:
        values = random.normal(mean, sd, 300)
        parts.append(pd.DataFrame({"statistic": name, "source": "posterior", "value": values}))
        parts.append(pd.DataFrame({"statistic": [name], "source": "observed", "value": observed}))
    return pd.concat(parts, ignore_index=True).assign(analysis="main")


def bayes_checks() -> pd.DataFrame:
    rows = [
        {"check": "posterior_predictive", "term": name, "words": words, "units": units,
         "observed": observed, "estimate": mean, "low": mean - 2 * sd, "high": mean + 2 * sd,
         "p": 0.01 if name == "sd_spread" else 0.4,
         "flag": "the model does not reproduce it" if name == "sd_spread" else ""}
        for name, words, units, observed, mean, sd in _PREDICTED
    ]  # fmt: skip
    table = pd.DataFrame(rows).assign(analysis="main", status="ok", reason="", se=np.nan)
    return table


def slopes() -> pd.DataFrame:
    median = np.linspace(-1.9, -0.4, 30)
    numbers = {"median": median, "low": median - 0.9, "high": median + 0.9}
    return pd.DataFrame({"analysis": "main", "position": np.arange(1, 31)} | numbers)


def published() -> pd.DataFrame:
    return pd.read_csv(ROOT / "data" / "published" / "effects.csv")


def validation() -> pd.DataFrame:
    rows = [
        ("OUT_OF_RANGE", "warning", "data/simulated/clinic/sessions.csv",
         "column 'wai_3', rows 44, 219 and 3 more", "6 entries outside 1 to 5", "1 to 5",
         "They are set missing; correct the file if they are typing errors."),
    ]  # fmt: skip
    return pd.DataFrame(
        rows, columns=["code", "severity", "file", "where", "found", "expected", "fix"]
    )


def cleaning_log() -> pd.DataFrame:
    rows = [
        (i, "out_of_range", f"C{i:03d}", 3, i, "wai_3", "9", "", "outside 1 to 5") for i in range(6)
    ]
    rows += [(9, "exact_duplicates", "C001", 2, 17, "", "", "", "repeats row 16")]
    names = [
        "order",
        "rule",
        "client",
        "session",
        "source_row",
        "column",
        "before",
        "after",
        "reason",
    ]
    return pd.DataFrame(rows, columns=names)


def truth() -> pd.DataFrame:
    rows = [
        ("main", "within", -1.15, 0.01), ("main", "between", -2.1, 0.02),
        ("main", "time", -0.3, 0.002),
        ("main", "sd_intercept", 4.8, 0.01), ("three_level", "within", -1.15, 0.01),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["analysis", "term", "value", "mc_se"])


def report_inputs(figures: tuple = (), **changes: object) -> ReportInputs:
    """The report of the made-up study; keywords replace its parts."""
    parts = {
        "study": study(), "estimates": estimates(), "figures": figures, "flow": flow(),
        "validation": validation(), "cleaning_log": cleaning_log(), "sample": sample(),
        "measures": measures(), "correlations": correlations(), "reliability": reliability(),
        "ruptures": {"client_rated": ruptures()["rupture_summary"]},
        "noise": {"client_rated": ruptures()["rupture_noise"]}, "truth": truth(),
        "versions": {"python": "3.12"}, "hashes": {"sessions.csv": "0" * 64},
        "citation": "How to cite this", "bayes_checks": bayes_checks(),
    }  # fmt: skip
    return ReportInputs(**(parts | changes))


def tables_by_client(n_clients: int) -> dict[str, pd.DataFrame]:
    """Every table of figures that has rows of single clients."""
    tables = {"sessions": sessions(n_clients), "frame": model_frame(n_clients)}
    tables |= ruptures(n_clients)
    return {name: table for name, table in tables.items() if "client" in table}


def figure_inputs(**changes: object) -> FigureInputs:
    """Everything that the figures of the made-up study are drawn from."""
    parts = {
        "study": study(), "flow": flow(), "measures": measures(), "missingness": missingness(),
        "trajectories": trajectories(), "reliability": reliability(), "sessions": sessions(),
        "estimates": pd.concat([estimates(), repair_rows(), drop_rows()], ignore_index=True),
        "frame": model_frame(), "draws": draws(), "priors": priors(),
        "published": published(), "predictive": predictive(), "bayes_checks": bayes_checks(),
        "slopes": slopes(), **ruptures(), **drops(),
    }  # fmt: skip
    return FigureInputs(**(parts | changes))
