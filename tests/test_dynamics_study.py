"""The dynamic models of a study file: from its keys to rows, tables, sentences and figures."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import synthetic_dynamics
import synthetic_results as synthetic
import yaml
from pydantic import ValidationError

from alliance.estimates import to_frame
from alliance.estimation.dynamics import VarFit, fit_var
from alliance.estimation.dynamics_layout import VarSpec
from alliance.estimation.dynamics_loo import trend_comparison
from alliance.estimation.dynamics_maker import ESTIMATOR, response_estimand
from alliance.estimation.dynamics_power import detectable_effect, power
from alliance.estimation.dynamics_priors import VarPriors, var_priors_from_mapping
from alliance.estimation.dynamics_series import VarSeries
from alliance.estimation.dynamics_study import (
    DynamicAnalysis,
    analysis_rows,
    dynamic_analysis,
    fit_for_sampling,
    own_reliabilities,
)
from alliance.figures import dynamics as figures
from alliance.problems import StudyError
from alliance.reliability import alpha, client_sums, covariances, generalizability
from alliance.report.dynamics import dynamic_questions, sensitivity_words
from alliance.simulation.recovery import Truth, simulate
from alliance.study import DynamicsSpec, Study, load_study, read_excerpt, write_excerpt
from alliance.study.excerpt import parts_of_dynamics
from alliance.tables.dynamics import (
    ML,
    RANDOM,
    dynamics_table,
    estimators_table,
    phases_table,
    reliability_grid_table,
)

ASKED = {"label": "Session to session", "alliance": "alliance", "outcome": "distress"}


def study(**changes: object) -> Study:
    """The bundled study 'brief' with other keys in its dynamic model."""
    text = (synthetic.ROOT / "config/studies/brief.yaml").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    content["dynamics"] = {"next_session": {**ASKED, **changes}}
    return Study.model_validate(content)


def scored(n: int, sessions: int, seed: int = 3) -> pd.DataFrame:
    """Scores of a random-intercept VAR, the ORS turned so that higher is better."""
    rng = np.random.default_rng(seed)
    scores = simulate(Truth(), n, sessions, rng)
    client, step = np.indices(scores.shape[:2]).reshape(2, -1)
    return pd.DataFrame(
        {
            "client": [f"C{number:03d}" for number in client],
            "session": step + 1,
            "alliance": scores[..., 0].ravel() + 30.0,
            "distress": 40.0 - (scores[..., 1].ravel() + 20.0),
        }
    )


def analysis_of(frame: pd.DataFrame, **changes: object) -> DynamicAnalysis:
    asked = study(**changes)
    instruments = {"ors": None, "srs_v3": None}
    asked = asked.model_copy(
        update={
            "measures": {
                "alliance": asked.measures["alliance"].model_copy(update={"instrument": None}),
                "distress": asked.measures["distress"].model_copy(
                    update={"instrument": None, "higher_is": "better", "range": (0, 40)}
                ),
            }
        }
    )
    clients = pd.DataFrame({"client": frame["client"].unique(), "therapist": None})
    return dynamic_analysis(asked, "next_session", instruments, frame, clients)


def rows_of(frame: pd.DataFrame, **changes: object) -> pd.DataFrame:
    return to_frame(analysis_rows(analysis_of(frame, **changes), seed=1))


# Keys


def test_series_are_named_alliance_outcome_and_the_further_measures():
    asked = DynamicsSpec(**ASKED, further=["alliance_therapist"])
    assert asked.series == {
        "alliance": "alliance", "outcome": "distress", "alliance_therapist": "alliance_therapist",
    }  # fmt: skip


def test_a_measure_cannot_be_named_twice():
    with pytest.raises(ValidationError, match="different measures"):
        DynamicsSpec(**(ASKED | {"outcome": "alliance"}))


def test_an_unknown_measure_is_told_with_its_line(tmp_path):
    text = (synthetic.ROOT / "config/studies/brief.yaml").read_text(encoding="utf-8")
    head, tail = text.split("dynamics:")
    path = tmp_path / "brief.yaml"
    path.write_text(head + "dynamics:" + tail.replace("outcome: distress", "outcome: distres", 1))
    with pytest.raises(StudyError) as caught:
        load_study(path)
    (problem,) = caught.value.problems
    assert problem.code == "UNKNOWN_NAME"
    assert "dynamics.next_session.outcome" in problem.where
    assert "distress" in problem.fix


def test_an_excerpt_holds_only_what_the_dynamic_model_needs():
    asked = synthetic.study()
    parts = parts_of_dynamics(asked, "next_session")
    text = write_excerpt(asked, "measures", "dynamics", only=parts)
    kept = read_excerpt(text)
    assert list(kept.dynamics) == ["next_session"]
    assert set(kept.measures) == {"alliance_client", "symptoms"}


# Rows


def test_effects_are_found_in_the_direction_higher_is_worse():
    table = rows_of(scored(150, 8), random_trend=False)
    own = table[table["estimator"] == ESTIMATOR].set_index("term")
    forward = own.loc["cross_lag_alliance_outcome"]
    assert forward["status"] == "ok"
    assert forward["lag"] == 1
    assert abs(forward["estimate"] - -0.10) < 4 * forward["se"]
    assert own.loc["cross_lag_outcome_alliance", "lag"] == 0
    least = own.loc["detectable_cross_lag_alliance_outcome", "estimate"]
    assert least == pytest.approx(2.8016 * forward["se"], rel=0.15)  # SDs are close to one
    assert own.loc["lr_cross_lag_alliance_outcome", "predictor"] == "alliance"
    tested = own.loc["lr_cross_lag_alliance_outcome", "estimand"]
    assert "cross_lag" not in tested  # measures are named, no keys of the program
    assert "no path from" in tested
    assert table["estimator"].nunique() >= 5


def test_comparators_can_be_left_out():
    table = rows_of(scored(40, 6), random_trend=False, comparators=False, phase_from=None)
    assert set(table["estimator"]) == {ESTIMATOR}


@pytest.mark.parametrize(
    ("frame", "changes", "advice"),
    [
        (scored(40, 2), {}, "multilevel model without lagged outcome"),
        (scored(40, 4), {}, "random_trend: false"),
        (scored(6, 10), {}, "fewer than 10 clients have all series at"),
        (scored(40, 6).assign(alliance=30.0), {}, "never changes within a client"),
    ],
)
def test_what_cannot_be_estimated_gives_a_reason_with_advice(frame, changes, advice):
    table = rows_of(frame, **changes)
    assert set(table["term"]) == {"cross_lag_alliance_outcome", "cross_lag_outcome_alliance"}
    assert (table["status"] == "not_estimated").all()
    assert table["reason"].str.contains(advice, regex=False).all()


def test_own_reliabilities_are_one_where_they_are_not_known():
    columns = ["measure", "scale", "level", "coefficient", "estimate"]
    known = [
        ("alliance", "total", "within_client", "Rcn", 0.7),
        ("alliance", "total", "within_client", "omega", 0.8),
        ("alliance", "total", "between_client", "omega", 0.9),
    ]
    asked = DynamicsSpec(**ASKED)
    found = own_reliabilities(asked, pd.DataFrame(known, columns=columns))
    assert found == {"reliability_omega": (0.8, 1.0), "reliability_own": (0.7, 1.0)}
    found = own_reliabilities(asked, pd.DataFrame(known[:1], columns=columns))
    assert found == {"reliability_own": (0.7, 1.0)}
    assert own_reliabilities(asked, pd.DataFrame([], columns=columns)) == {}


def test_lasting_item_differences_are_no_error_of_change():
    """True reliability of change .8; items differ a lot, for good: omega holds, Rcn does not."""
    rng = np.random.default_rng(5)
    scores = simulate(Truth(), 200, 12, rng)
    latent = scores - scores.mean(axis=1, keepdims=True)
    p, noise = 6, np.sqrt(6 * latent.var(axis=(0, 1)) * 0.25)
    lasting = 1.5 * rng.normal(size=(200, 1, p, 1))
    items = scores[:, :, None, :] + lasting + noise * rng.normal(size=(200, 12, p, 2))
    client, step = np.indices((200, 12)).reshape(2, -1)
    sums = client_sums(items[..., 1].reshape(-1, p), client, step.astype(float))
    omega = float(alpha(covariances(sums)["within_client"])[0])  # equal for parallel items
    rcn = generalizability(sums)["within_client", "Rcn"][0]
    assert omega == pytest.approx(0.8, abs=0.02)
    assert rcn < 0.7
    series = VarSeries(items.mean(axis=2), ("alliance", "outcome"), tuple(map(str, range(200))))
    spec = VarSpec((1, 0))
    plain, by_omega, by_rcn = (
        fit_var(series, replace(spec, reliability=r)) for r in (None, (0.8, omega), (0.8, rcn))
    )
    truth = Truth().coefficients[1][1]
    assert plain.coefficients[0, 1, 1] < truth - 0.05
    assert by_omega.coefficients[0, 1, 1] == pytest.approx(truth, abs=0.06)
    assert by_rcn.coefficients[0, 1, 1] > truth + 0.08


def test_a_variance_of_zero_at_the_first_session_leaves_intervals_finite():
    frame = scored(43, 13, seed=8)
    first = frame["session"] == 1
    frame.loc[first, "distress"] = 10.0 + 0.5 * frame.loc[first, "alliance"]
    table = rows_of(frame, random_trend=False, comparators=False, phase_from=None)
    row = table.set_index("term").loc["cross_lag_alliance_outcome"]
    assert 0 < row["std_within_high"] - row["std_within_low"] < 2


def test_power_is_that_of_a_normal_test():
    assert power(0.0, 1.0) == pytest.approx(0.05)
    assert power(detectable_effect(0.03), 0.03) == pytest.approx(0.80, abs=1e-4)


def test_a_fit_that_did_not_converge_is_not_sampled(monkeypatch):
    frame = scored(40, 6)
    asked = study(random_trend=False)
    clients = pd.DataFrame({"client": frame["client"].unique(), "therapist": None})
    measures = {
        name: m.model_copy(update={"instrument": None, "higher_is": "worse"})
        for name, m in asked.measures.items()
    }
    asked = asked.model_copy(update={"measures": measures})
    analysis = dynamic_analysis(asked, "next_session", {}, frame, clients)
    fit = fit_var(analysis.series, analysis.spec)
    assert isinstance(fit, VarFit)
    failed = replace(fit, converged=False, problems=("the fit did not converge",))
    monkeypatch.setattr("alliance.estimation.dynamics_study.fit_var", lambda *_: failed)
    assert "did not converge" in fit_for_sampling(analysis).reason


# Priors


def test_priors_of_the_dynamic_model_are_those_of_the_file():
    text = (synthetic.ROOT / "config/priors.yaml").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    assert var_priors_from_mapping(content) == VarPriors()
    content["dynamics"]["cross_lag"]["sd"] = 0.3
    assert var_priors_from_mapping(content).cross_lag == 0.3


def test_wrong_priors_are_told_all_at_once():
    wrong = {
        "cross_lags": {"sd": 0.2, "reason": "x"},
        "level": {"sd": -1, "reason": ""},
        "autoregression": {"mean": 1.5, "sd": 0.2, "reason": "x"},
    }
    with pytest.raises(StudyError) as caught:
        var_priors_from_mapping({"dynamics": wrong})
    places = [problem.where for problem in caught.value.problems]
    assert len(places) == 4
    assert "key 'dynamics.autoregression.mean'" in places


# What readers see


def test_the_name_of_the_estimator_is_the_same_in_rows_and_tables():
    assert ML == ESTIMATOR


def test_both_directions_are_answered_with_what_the_sample_can_show():
    estimates = to_frame(synthetic_dynamics.dynamics_rows())
    answers = dynamic_questions(estimates, synthetic.study())[:2]  # of the first model
    assert ["at the next session" in q for q, _, _ in answers] == [True, False]
    assert all(verdict.startswith("Yes") for _, verdict, _ in answers)
    said = " ".join(answers[0][2])
    assert "−1.50" in said
    assert "98% of them" in said


def test_what_a_small_sample_cannot_show_is_said():
    estimates = to_frame(synthetic_dynamics.dynamics_rows())
    weak = estimates["term"].str.startswith("power_")
    estimates.loc[weak, "estimate"] = 0.41
    (_, _, said), *_ = dynamic_questions(estimates, synthetic.study())
    assert "a slope of 0.10 (published ones are 0.05 to 0.21) is found in only 41%" in said[-1]
    below = sensitivity_words(estimates, synthetic.study())
    assert any("from the alliance to the outcome" in text and "41%" in text for text in below)


def test_how_clients_differ_is_shown_and_said():
    rows = synthetic_dynamics.dynamics_rows()
    between = {"estimator": RANDOM, "level": "between_client"}
    for lag in ("cross_lag_alliance_outcome", "cross_lag_outcome_alliance"):
        spread = {"kind": "standard_deviation", "ci_low": 0.1, "ci_high": 0.9}
        rows.append(synthetic_dynamics.row(f"sd_{lag}", 0.5, **(between | spread)))
        share = {"kind": "proportion", "units": "per cent", "ci_low": 61.0, "ci_high": 93.0}
        rows.append(synthetic_dynamics.row(f"share_{lag}", 78.0, **(between | share)))
    estimates = to_frame(rows)
    (_, _, forward), (_, _, reverse), *_ = dynamic_questions(estimates, synthetic.study())
    assert any("78% of clients (95% CrI [61, 93]) a higher rating goes" in s for s in forward)
    assert any("a worse outcome goes with a lower rating" in s for s in reverse)
    labels = {"alliance_client": "Alliance", "symptoms": "Symptoms"}
    table = dynamics_table(estimates, "next_session", "Dynamics", labels)
    (shown,) = (r.cells for r in table.rows if r.cells[0] == "share_cross_lag_alliance_outcome")
    assert shown[4] == "78 [61, 93]"
    failed = estimates.copy()
    failed.loc[failed["estimator"] == RANDOM, "status"] = "diagnostics_failed"
    failed.loc[failed["estimator"] == RANDOM, "reason"] = "R-hat 1.3"
    (_, _, forward), *_ = dynamic_questions(failed, synthetic.study())
    assert "How much it differs between clients is not known: R-hat 1.3." in forward


def test_a_refused_model_is_answered_with_its_reason():
    table = rows_of(scored(40, 2))
    (_, verdict, said), _ = dynamic_questions(table, study())
    assert verdict == "Not estimated."
    assert "ewer than 10 clients have all series at 5 or more sessions" in said[0]
    assert "40" not in said[0]  # how many there are may be few


def test_tables_show_no_number_of_a_failed_assumption():
    estimates = to_frame(synthetic_dynamics.dynamics_rows())
    labels = {"alliance_client": "Alliance", "symptoms": "Symptoms"}
    grid = reliability_grid_table(estimates, "next_session", "Dynamics", labels)
    assert grid.rows[-1].cells == ("Alliance .7, Symptoms .7", "not usable", "not usable")
    others = estimators_table(estimates, "next_session", "Dynamics", labels)
    assert any(note.startswith("Pooled OLS: levels") for note in others.notes)
    phases = phases_table(estimates, "next_session", "Dynamics", labels)
    assert [column.heading for column in phases.columns][1] == "Sessions before 8"
    assert phases.notes[1].endswith("χ²(4) = 6.00, p = .200.")


@pytest.mark.parametrize(
    ("therapists", "interval", "said"),
    [
        (np.nan, "", ""),
        (30.0, "", "the same therapist is ignored."),
        (30.0, "95% percentile, bootstrap of clients, 400 replications", "therapist is ignored."),
        (30.0, "95% percentile, bootstrap of therapists, 400 replications", "except in the boot"),
    ],
)
def test_the_table_says_what_its_intervals_make_of_therapists(therapists, interval, said):
    table = to_frame(synthetic_dynamics.dynamics_rows()).assign(n_therapists=therapists)
    if interval:
        own = table["term"].eq("cross_lag_alliance_outcome") & table["estimator"].eq(ML)
        more = table[own].assign(term="cross_lag_alliance_outcome_bootstrap", interval=interval)
        table = pd.concat([table, more])
    labels = {"alliance_client": "Alliance", "symptoms": "Symptoms"}
    made = dynamics_table(table, "next_session", "Dynamics", labels)
    notes = " ".join(made.notes)
    assert said in notes
    assert bool(said) == ("therapist" in notes)
    headings = [row.cells[0] for row in made.rows if row.section]
    assert any("bootstrap of" in heading for heading in headings) == bool(interval)


# Several series, several models


def test_a_further_series_is_asked_for_by_its_key():
    base = study()
    therapist = base.measures["alliance"].model_copy(
        update={"instrument": None, "rater": "therapist", "label": "Alliance, therapist"}
    )
    asked = study(further=["therapist_view"], phase_from=None, reliability=[])
    measures = {
        "alliance": asked.measures["alliance"].model_copy(update={"instrument": None}),
        "distress": asked.measures["distress"].model_copy(
            update={"instrument": None, "higher_is": "better", "range": (0, 40)}
        ),
        "therapist_view": therapist,
    }
    asked = asked.model_copy(update={"measures": measures})
    frame = scored(150, 8)
    noise = np.random.default_rng(1).normal(size=len(frame))
    frame["therapist_view"] = 10.0 + 0.5 * frame["alliance"] + noise
    clients = pd.DataFrame({"client": frame["client"].unique(), "therapist": None})
    analysis = dynamic_analysis(asked, "next_session", {}, frame, clients)
    assert analysis.spec.occasions == (1, 0, 1)  # both alliances after, the outcome before
    table = to_frame(analysis_rows(analysis, seed=1))
    own = table[table["estimator"] == ESTIMATOR].set_index("term")
    for source in ("alliance", "therapist_view"):
        assert own.loc[f"cross_lag_{source}_outcome", "status"] == "ok"
        assert own.loc[f"cross_lag_outcome_{source}", "lag"] == 0
    assert own.loc["cross_lag_therapist_view_outcome", "rater"] == "therapist"
    assert own.loc["cross_lag_alliance_therapist_view", "outcome"] == "therapist_view"
    labels = {key: measure.label for key, measure in asked.measures.items()}
    others = estimators_table(table, "next_session", "Dynamics", labels)
    carried = own.loc["autoregression_therapist_view", "estimate"]
    rows = [row.cells for row in others.rows]
    start = next(i for i, cells in enumerate(rows) if cells[0].endswith("→ Alliance, therapist"))
    assert rows[start + 1][-1] == f"{carried:.2f}".replace("-", "−")


def test_continuous_time_stands_beside_the_other_estimators():
    table = rows_of(scored(150, 8), random_trend=False)
    labels = {"alliance": "Alliance", "distress": "Distress"}
    others = estimators_table(table, "next_session", "Dynamics", labels)
    rows = [row.cells for row in others.rows if row.cells[0].startswith("Continuous time")]
    assert [cells[0] for cells in rows] == ["Continuous time, one session later"] * 2  # no dates
    curve = table.set_index("term").loc["after_1_session_cross_lag_alliance_outcome"]
    assert rows[0][1].startswith(f"{curve['estimate']:.3f}".replace("-", "−"))
    assert sum(note.startswith("Continuous time: both series") for note in others.notes) == 1


MEASURES = {"alliance_client": "Alliance", "symptoms": "Symptoms"}


def test_every_model_is_drawn_and_answered():
    estimates = to_frame(synthetic_dynamics.dynamics_rows())
    second = estimates.assign(analysis="other", estimate=estimates["estimate"] / 2)
    asked = synthetic.study()
    first = asked.dynamics["next_session"]
    models = {"next_session": first, "other": first.model_copy(update={"label": "Other"})}
    asked = asked.model_copy(update={"dynamics": models})
    both = pd.concat([estimates, second], ignore_index=True)
    questions = [question for question, *_ in dynamic_questions(both, asked)]
    assert len(set(questions)) == 4
    assert questions[2].endswith("(Other)")
    labels = {key: model.label for key, model in models.items()}
    for name in ("dynamics_paths", "impulse_responses", "dynamics_estimators"):
        numbers = getattr(figures, f"numbers_{name}")(both, labels, MEASURES)
        assert list(dict.fromkeys(numbers["model"])) == list(labels.values())
        picture = getattr(figures, f"draw_{name}")(numbers)
        assert len(picture.subfigs) == 2
        assert "Other: " in getattr(figures, f"describe_{name}")(numbers).alt
        alone = getattr(figures, f"draw_{name}")(numbers[numbers["model"] == "Other"])
        assert not alone.subfigs


@pytest.mark.parametrize(
    ("sessions", "words"),
    [(0, "y 0 sessions after x"), (1, "y 1 session after x"), (6, "y 6 sessions after x"),
     (None, "y 1 and more sessions after x")],
)  # fmt: skip
def test_a_response_counts_its_sessions_as_they_are_read(sessions, words):
    maker = SimpleNamespace(labels=lambda to, by: [SimpleNamespace(label="yx"[i]) for i in (0, 1)])
    assert f"{words} was one point higher" in response_estimand(maker, 0, 1, sessions)


def test_a_comparison_of_courses_that_cannot_be_made_says_why():
    refused = fit_for_sampling(analysis_of(scored(40, 2)))
    context = analysis_of(scored(40, 8)).context
    (row,) = trend_comparison(refused, VarPriors(), "draft", context, seed=1)
    assert row.term == "elpd_loo_difference"
    assert row.status == "not_estimated"
    assert "ewer than 10 clients" in row.reason
