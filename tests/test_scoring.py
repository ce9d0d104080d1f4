"""Scores against worked examples, and against a slow scorer written independently."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from alliance.instruments import Instrument, load_instrument
from alliance.problems import StudyError
from alliance.reliable_change import (
    change_limit,
    change_table,
    classify_change,
    clinically_significant,
    criterion_c,
    reliable_change_index,
)
from alliance.scoring import (
    caseness,
    filled_items,
    item_columns,
    item_flags,
    reversed_items,
    round_half_up,
    score_measure,
    score_sessions,
    scoring_checks,
    severity_band,
)
from alliance.study import Measure, Study, load_study

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "config" / "instruments"
GOLDEN = ROOT / "tests" / "golden" / "scoring_examples.yaml"
REFERENCE = ROOT.parent / "shared" / "reference" / "instrument_examples.yaml"


@cache
def key_of(name: str) -> Instrument:
    return load_instrument(FOLDER / f"{name}.yaml")


@cache
def raw_key(name: str) -> dict:
    """The file as plain YAML, for the independent scorer."""
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


def measure_of(name: str, **more) -> Measure:
    return Measure(role="outcome", label="x", instrument=name, items="i{item}", **more)


def table_of(rows: list[list[float | None]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[str(i + 1) for i in range(len(rows[0]))], dtype="Float64")


# --- worked examples -----------------------------------------------------------------------------


def scored_example(instrument: str, answers: list[float | None]) -> dict[str, object]:
    """Everything an example may expect, under the example's names."""
    key = key_of(instrument)
    items = table_of([answers])
    row = score_measure(items, key, measure_of(instrument), ("mean", "sum")).iloc[0]
    got: dict[str, object] = {str(name): value for name, value in row.items()}
    total = pd.Series([row["total"]])
    case = caseness(total, key).iloc[0]
    got |= {"clinical_score": row["total"], "clinical": case, "concern": case}
    got["band"] = severity_band(total, key).iloc[0]
    flags = item_flags(items, key).iloc[0]
    got["item_flags"] = [i + 1 for i, flag in enumerate(flags) if flag]
    before = reversed_items(items, key)
    after = filled_items(before, key)
    gaps = np.flatnonzero(before.isna().iloc[0] & after.notna().iloc[0])
    got["imputed"] = {int(i) + 1: after.iloc[0, i] for i in gaps}
    if key.reliable_change.value:
        earlier, limit = pd.Series([17.7]), key.reliable_change.value
        got["change_from_ors_1"] = row["total"] - 17.7
        got["reliable"] = classify_change(earlier, total, limit, str(key.higher_is)).iloc[0]
        got["clinically_significant"] = clinically_significant(earlier, total, limit, key).iloc[0]
    return got


def same(got: object, expected: object, tolerance: float) -> bool:
    if expected is None:
        return bool(pd.isna(got))
    if isinstance(expected, bool | str | list | dict):
        return got == expected
    return abs(float(got) - float(expected)) <= tolerance


def examples(path: Path, answers: str) -> list[tuple[str, str, list, dict, float]]:
    if not path.exists():
        return []
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    tolerance = content.get("tolerance", content.get("meta", {}).get("tolerance"))
    return [
        (e["id"], e["instrument"], e[answers], e["expected"], tolerance)
        for e in content["examples"]
    ]


COMMITTED = examples(GOLDEN, "answers")


@pytest.mark.parametrize(("name", "instrument", "answers", "expected", "tolerance"), COMMITTED)
def test_worked_example(name, instrument, answers, expected, tolerance):
    got = scored_example(instrument, answers)
    wrong = {
        what: (got[what], value)
        for what, value in expected.items()
        if not same(got[what], value, tolerance)
    }
    assert not wrong, name


def test_the_worked_examples_are_those_of_the_reference():
    if not REFERENCE.exists():
        pytest.skip("the reference examples are not on this machine")
    assert examples(REFERENCE, "raw") == COMMITTED
    assert len(COMMITTED) == 22


# --- an independent scorer: one form at a time, plain loops, reading the YAML itself --------------


def naive_scores(key: dict, answers: list[float | None], low: int, high: int) -> dict[str, float]:
    turned = []
    for number, answer in enumerate(answers, start=1):
        if answer is not None and number in key["reverse"]:
            answer = low + high - answer  # noqa: PLW2901
        turned.append(answer)
    given_total = [a for a in turned if a is not None]
    if key["missing_rule"] == "subscale_mean_rounded":
        if len(given_total) < key["min_answered"]:
            return dict.fromkeys(["total", *key["subscales"]], math.nan)
        scores = {}
        for scale, members in key["subscales"].items():
            seen = [turned[m - 1] for m in members if turned[m - 1] is not None]
            fill = math.floor(sum(seen) / len(seen) + 0.5)
            scores[scale] = sum(
                turned[m - 1] if turned[m - 1] is not None else fill for m in members
            )
        scores["total"] = sum(scores.values())
        return scores
    scores = {"total": naive_scale(turned, key["total_rule"], key.get("min_answered"))}
    if key.get("subscale_rule", "none") != "none":
        for scale, members in key["subscales"].items():
            needed = key.get("min_answered_subscale")
            needed = needed[scale] if isinstance(needed, dict) else needed
            part = [turned[m - 1] for m in members]
            scores[scale] = naive_scale(part, key["subscale_rule"], needed)
    return scores


def naive_scale(answers: list[float | None], rule: str, needed: int | None) -> float:
    seen = [a for a in answers if a is not None]
    needed = len(answers) if needed is None else min(needed, len(answers))
    if rule == "none" or len(seen) < needed:
        return math.nan
    mean = sum(seen) / len(seen)
    return {
        "sum": mean * len(answers),
        "mean": mean,
        "mean_x10": mean * 10,
        "sum_x4": mean * len(answers) * 4,
    }[rule]


SCORABLE = sorted(
    path.stem for path in FOLDER.glob("*.yaml") if not raw_key(path.stem).get("not_scorable")
)
WAI_FORMS = {"waisr_client", "waisr_therapist12", "waisrt_10"}


@st.composite
def forms(draw) -> tuple[str, list[list[float | None]], tuple[int, int]]:
    name = draw(st.sampled_from(SCORABLE))
    key = raw_key(name)
    low, high = key["response_min"], key["response_max"]
    if name in WAI_FORMS and draw(st.booleans()):
        high = 7
    answer = (
        st.integers(low * 10, high * 10).map(lambda tenths: tenths / 10)
        if key["response_type"] == "visual_analogue"
        else st.integers(low, high).map(float)
    )
    n_rows = draw(st.integers(1, 4))
    rows = []
    for _ in range(n_rows):
        row = draw(st.lists(answer, min_size=key["n_items"], max_size=key["n_items"]))
        gaps = draw(st.sets(st.integers(0, key["n_items"] - 1), max_size=6))
        rows.append([None if i in gaps else a for i, a in enumerate(row)])
    return name, rows, (low, high)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(forms())
def test_scores_equal_those_of_the_naive_scorer(form):
    name, rows, (low, high) = form
    measure = measure_of(name, accept_unverified=True, response_range=(low, high))
    got = score_measure(table_of(rows), key_of(name), measure)
    wanted = pd.DataFrame([naive_scores(raw_key(name), row, low, high) for row in rows])
    assert set(got.columns) == set(wanted.columns)
    np.testing.assert_allclose(got[wanted.columns].to_numpy(), wanted.to_numpy(float), atol=1e-9)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(forms())
def test_scores_stay_in_range_and_pomp_between_0_and_100(form):
    name, rows, response = form
    key, measure = (
        key_of(name),
        measure_of(name, accept_unverified=True, response_range=response),
    )
    got = score_measure(table_of(rows), key, measure, ("pomp",))
    for scale in ["total", *key.subscales]:
        bounds = key.range_of(scale, response)
        if bounds is None or scale not in got:
            continue
        present = got[scale].dropna()
        assert present.between(bounds[0] - 1e-9, bounds[1] + 1e-9).all()
        percent = (present - bounds[0]) / (bounds[1] - bounds[0]) * 100
        np.testing.assert_allclose(got.loc[present.index, f"{scale}_pomp"], percent, atol=1e-6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(forms())
def test_items_reversed_beforehand_give_the_same_scores(form):
    name, rows, response = form
    key = key_of(name)
    plain = measure_of(name, accept_unverified=True, response_range=response)
    before = measure_of(
        name, accept_unverified=True, response_range=response, items_already_reversed=True
    )
    turned = reversed_items(table_of(rows), key, plain)
    pd.testing.assert_frame_equal(
        score_measure(table_of(rows), key, plain), score_measure(turned, key, before)
    )


# --- single rules --------------------------------------------------------------------------------


def test_total_and_subscales_are_prorated_separately():
    """Two gaps in one subscale: its mean is refused, the total is scored from ten answers."""
    answers = [4.0] * 12
    answers[0] = answers[1] = None  # task is 1, 2, 10, 12
    row = score_measure(table_of([answers]), key_of("waisr_client")).iloc[0]
    assert np.isnan(row["task"])
    assert row["total"] == 4.0


def test_a_seven_point_form_is_scored_on_its_own_range():
    answers = table_of([[7.0] * 12])
    with pytest.raises(ValueError, match="outside 1 to 5"):
        score_measure(answers, key_of("waisr_client"))
    measure = measure_of("waisr_client", response_range=(1, 7))
    row = score_measure(answers, key_of("waisr_client"), measure, ("pomp",)).iloc[0]
    assert (row["total"], row["total_pomp"]) == (7.0, 100.0)


def test_reversal_uses_the_range_of_the_form():
    measure = measure_of("wais_client", response_range=(1, 5))
    turned = reversed_items(table_of([[2.0] * 12]), key_of("wais_client"), measure)
    assert turned.iloc[0].tolist() == [2, 2, 2, 4, 2, 2, 2, 2, 2, 4, 2, 2]


def test_a_wrong_number_of_items_is_refused():
    with pytest.raises(ValueError, match="12 items, not 11"):
        score_measure(table_of([[1.0] * 11]), key_of("waisr_client"))


@pytest.mark.parametrize("name", ["arm28", "oq30", "psq_rupture"])
def test_without_key_nothing_is_scored_whatever_is_accepted(name):
    key = key_of(name)
    with pytest.raises(StudyError, match="NOT_SCORABLE"):
        score_measure(
            table_of([[1.0] * key.n_items]), key, measure_of(name, accept_unverified=True)
        )


def test_a_key_from_memory_is_scored_only_with_consent():
    answers = table_of([[1.0] * 19])
    with pytest.raises(StudyError, match="accept_unverified: true"):
        score_measure(answers, key_of("haq2"), measure_of("haq2"))
    row = score_measure(answers, key_of("haq2"), measure_of("haq2", accept_unverified=True)).iloc[0]
    assert row["total"] == 14 * 1 + 5 * 6


def test_unverified_subscales_are_left_out_of_a_verified_total():
    answers = table_of([[4.0] * 12])
    assert list(score_measure(answers, key_of("tasc_r"), measure_of("tasc_r"))) == ["total"]
    consent = measure_of("tasc_r", accept_unverified=True)
    assert "bond" in score_measure(answers, key_of("tasc_r"), consent)


def test_rounding_is_half_up():
    values = np.array([0.5, 1.5, 2.5, 2.4999, 3.2])
    assert round_half_up(values).tolist() == [1, 2, 3, 2, 3]
    assert round_half_up(np.array([24.95, 24.94]), 1).tolist() == [25.0, 24.9]


def test_caseness_and_bands_without_a_rule_are_missing():
    scores = pd.Series([3.0, np.nan])
    assert caseness(scores, key_of("waisr_client")).isna().all()
    assert severity_band(scores, key_of("waisr_client")).isna().all()
    band = severity_band(pd.Series([5.9, 6, 25, np.nan]), key_of("core10"))
    assert band.fillna("-").tolist() == ["below_lowest_band", "low", "severe", "-"]


def test_lines_are_compared_as_read_to_a_tenth():
    assert caseness(pd.Series([24.96, 24.94]), key_of("ors")).tolist() == [False, True]


def test_caseness_of_subscales():
    scores = pd.Series([35.0, 36.0])
    assert caseness(scores, key_of("oq45"), "symptom_distress").tolist() == [False, True]


# --- whole studies -------------------------------------------------------------------------------


@cache
def clinic() -> Study:
    return load_study(ROOT / "config" / "studies" / "clinic.yaml")


def with_measure(study: Study, name: str, **change) -> Study:
    measure = study.measures[name].model_copy(update=change)
    return study.model_copy(update={"measures": {**study.measures, name: measure}})


def keys_for(study: Study) -> dict[str, Instrument]:
    return {m.instrument: key_of(m.instrument) for m in study.measures.values() if m.instrument}


def sessions_of(study: Study, n: int = 200, seed: int = 1) -> pd.DataFrame:
    """Forms with one true score each, negative items worded the other way."""
    rng = np.random.default_rng(seed)
    columns: dict[str, object] = {
        "client": [f"c{i // 5}" for i in range(n)],
        "session": [i % 5 + 1 for i in range(n)],
    }
    for name, measure in study.measures.items():
        key = keys_for(study)[str(measure.instrument)]
        low, high = measure.response_range or (key.response_min, key.response_max)
        middle, level = (low + high) / 2, rng.normal(0, (high - low) / 5, n)
        for i in range(1, key.n_items + 1):
            sign = -1 if i in key.reverse else 1
            answer = middle + sign * level + rng.normal(0, (high - low) / 8, n)
            columns[f"{name}__{i}"] = pd.array(np.clip(np.round(answer), low, high), "Float64")
    return pd.DataFrame(columns)


def test_score_sessions_adds_totals_and_subscales():
    study = clinic()
    sessions = sessions_of(study)
    sessions.loc[0:1, item_columns("symptoms", key_of("core10"))[:2]] = pd.NA
    scored, notes = score_sessions(sessions, study, keys_for(study))
    assert scored.columns[: len(sessions.columns)].tolist() == sessions.columns.tolist()
    added = set(scored.columns) - set(sessions.columns)
    scales = {"", "_task", "_bond", "_goal"}
    assert added == {
        *(f"alliance_client{s}" for s in scales),
        *(f"alliance_therapist{s}" for s in scales),
        "symptoms",
    }
    assert scored["symptoms"].isna().sum() == 2
    assert (scored[sorted(added)].dtypes == "Float64").all()
    few = next(n for n in notes if n.code == "TOO_FEW_ANSWERS")
    assert "2 of 200" in few.found
    assert {n.code for n in notes} == {"TOO_FEW_ANSWERS", "DERIVED_KEY"}
    assert all(n.severity == "warning" for n in notes)


def test_all_refusals_of_a_study_come_together():
    study = with_measure(clinic(), "alliance_client", instrument="brwai_16")
    study = with_measure(study, "alliance_therapist", instrument="haq2")
    sessions = sessions_of(clinic())
    for name, n in (("alliance_client", 16), ("alliance_therapist", 19)):
        for i in range(1, n + 1):
            sessions[f"{name}__{i}"] = 1.0
    with pytest.raises(StudyError) as error:
        score_sessions(sessions, study, keys_for(study))
    assert [p.code for p in error.value.problems] == ["NOT_SCORABLE", "UNVERIFIED_KEY"]
    assert "measures.alliance_client" in error.value.problems[0].where
    assert "brwai_16" in error.value.problems[0].found


def test_consent_is_told_in_the_notes():
    study = with_measure(clinic(), "alliance_therapist", instrument="haq2", accept_unverified=True)
    study = study.model_copy(
        update={"measures": {"alliance_therapist": study.measures["alliance_therapist"]}}
    )
    _, notes = score_sessions(sessions_of(study), study, keys_for(study))
    assert [n.code for n in notes] == ["UNVERIFIED_KEY"]


def test_no_warning_about_sound_forms():
    study = clinic()
    assert scoring_checks(sessions_of(study), study, keys_for(study)) == []


def test_items_reversed_in_the_file_are_noticed():
    study = clinic()
    sessions = sessions_of(study)
    for item in (4, 10):
        sessions[f"alliance_therapist__{item}"] = 8 - sessions[f"alliance_therapist__{item}"]
    (problem,) = scoring_checks(sessions, study, keys_for(study))
    assert problem.code == "ALREADY_REVERSED"
    assert "items 4, 10" in problem.found
    declared = with_measure(study, "alliance_therapist", items_already_reversed=True)
    assert scoring_checks(sessions, declared, keys_for(study)) == []


def test_a_wrong_claim_of_reversal_is_noticed():
    study = with_measure(clinic(), "symptoms", items_already_reversed=True)
    (problem,) = scoring_checks(sessions_of(study), study, keys_for(study))
    assert problem.code == "NOT_REVERSED"


def test_an_item_against_its_scale_is_noticed():
    study = clinic()
    sessions = sessions_of(study)
    sessions["alliance_client__7"] = 6 - sessions["alliance_client__7"]
    (problem,) = scoring_checks(sessions, study, keys_for(study))
    assert (problem.code, problem.where) == ("ITEM_AGAINST_SCALE", "measure 'alliance_client'")
    assert "item 7 " in problem.found


def test_straight_lines_are_noticed():
    study = clinic()
    sessions = sessions_of(study)
    sessions.loc[:30, item_columns("alliance_therapist", key_of("wais_therapist"))] = 7.0
    (problem,) = scoring_checks(sessions, study, keys_for(study))
    assert problem.code == "STRAIGHT_LINING"


def test_a_seven_point_form_declared_as_five_is_noticed():
    study = clinic()
    seven = with_measure(study, "alliance_client", response_range=(1, 7))
    (problem,) = scoring_checks(sessions_of(seven), study, keys_for(study))
    assert problem.code == "RESPONSE_FORMAT"
    assert "response_range: [1, 7]" in problem.fix


def test_a_five_point_form_declared_as_seven_is_noticed():
    study = clinic()
    seven = with_measure(study, "alliance_client", response_range=(1, 7))
    (problem,) = scoring_checks(sessions_of(study), seven, keys_for(study))
    assert problem.code == "RESPONSE_FORMAT"
    assert "response_range: [1, 5]" in problem.fix


def test_single_typing_errors_are_no_other_format():
    study = clinic()
    sessions = sessions_of(study)
    sessions.loc[3, "alliance_client__2"] = 55
    sessions.loc[4, "alliance_client__2"] = 6
    assert scoring_checks(sessions, study, keys_for(study)) == []


# --- reliable change -----------------------------------------------------------------------------


def test_reliable_change_index():
    """SD 10 and reliability .84: 1.96 x sqrt(2) x 10 x 0.4."""
    assert reliable_change_index(10, 0.84) == pytest.approx(11.0874, abs=1e-4)
    assert reliable_change_index(10, 1) == 0
    with pytest.raises(ValueError, match="between 0 and 1"):
        reliable_change_index(10, 1.2)
    with pytest.raises(ValueError, match="0 or more"):
        reliable_change_index(-1, 0.5)


def test_criterion_c_lies_nearer_the_narrower_group():
    assert criterion_c((20, 8), (10, 4)) == pytest.approx((4 * 20 + 8 * 10) / 12)


def test_published_limits_are_used_only_where_verified():
    assert change_limit(key_of("oq45"), 20, 0.9).origin == "published"
    core = change_limit(key_of("core10"), 7, 0.9)
    assert core.origin == "sample"
    assert core.points == pytest.approx(1.96 * math.sqrt(2) * 7 * math.sqrt(0.1))
    assert change_limit(key_of("core10"), 7, 0.9, accept_unverified=True).points == 6
    nothing = change_limit(None, float("nan"), 0.9)
    assert nothing.origin == "none"
    assert math.isnan(nothing.points)


def test_change_of_exactly_the_limit_is_reliable_in_both_directions():
    before = pd.Series([21.3, 26.3, 20.0, np.nan])
    after = pd.Series([26.3, 21.3, 24.9, 20.0])
    better = classify_change(before, after, 5, "better").astype(object)
    assert better.fillna("-").tolist() == ["improved", "deteriorated", "unchanged", "-"]
    worse = classify_change(before, after, 5, "worse").astype(object)
    assert worse.fillna("-").tolist() == ["deteriorated", "improved", "unchanged", "-"]


def change_study(smallest_cell: int) -> tuple[Study, pd.DataFrame]:
    study = clinic()
    study = study.model_copy(
        update={"privacy": study.privacy.model_copy(update={"smallest_cell": smallest_cell})}
    )
    ends = [2.0] * 10 + [19.0] * 10 + [30.0] * 3
    rows = [(f"c{i}", s, v) for i, end in enumerate(ends) for s, v in ((1, 20.0), (2, end))]
    rows.append(("alone", 1, 20.0))
    return study, pd.DataFrame(rows, columns=["client", "session", "symptoms"])


def test_change_table_counts_clients():
    study, scored = change_study(smallest_cell=1)
    study = with_measure(study, "symptoms", accept_unverified=True)
    row = change_table(scored, study, keys_for(study), {}).iloc[0]
    counts = row[["n_clients", "n_improved", "n_unchanged", "n_deteriorated", "n_recovered"]]
    assert counts.tolist() == [23, 10, 10, 3, 10]
    assert (row["limit"], row["cutoff"], row["suppressed"]) == (6, 11, False)


def test_change_table_hides_small_cells_and_what_they_follow_from():
    study, scored = change_study(smallest_cell=5)
    study = with_measure(study, "symptoms", accept_unverified=True)
    row = change_table(scored, study, keys_for(study), {}).iloc[0]
    assert row[["n_improved", "n_unchanged", "n_deteriorated"]].isna().all()
    assert row["n_clients"] == 23
    assert row["suppressed"]


def test_change_table_without_any_limit_says_so():
    study, scored = change_study(smallest_cell=1)
    row = change_table(scored, study, keys_for(study), {}).iloc[0]
    assert row["origin"] == "none"
    assert "no reliability" in row["note"]
    assert pd.isna(row["n_improved"])


def test_many_forms_score_like_the_few_they_repeat():
    study = clinic()
    small = sessions_of(study, 20_000)
    big = pd.concat([small] * 10, ignore_index=True)
    key = key_of("waisr_client")
    few = score_measure(small[item_columns("alliance_client", key)], key)
    scores = score_measure(big[item_columns("alliance_client", key)], key)
    assert scores["total"].notna().all()
    pd.testing.assert_frame_equal(scores, pd.concat([few] * 10, ignore_index=True))
