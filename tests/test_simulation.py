"""The bundled studies: reproducible, calibrated, and with the planted structure really in them."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from alliance.cleaning import clean
from alliance.deidentification import deidentify
from alliance.instruments import load_instruments
from alliance.simulation import brief, clinic
from alliance.simulation.items import answer
from alliance.simulation.planted import PlantingPlan, plant_ruptures, what_can_be_seen
from alliance.simulation.population import fit_terms, population_truth, scored_tables
from alliance.simulation.process import innovations, simulate_process
from alliance.simulation.streams import stream
from alliance.study import load_study
from alliance.validation import validate

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data" / "simulated"
# Standard deviations of the estimates over 60 samples of 240 clients.
ERRORS_OF_A_STUDY = {"within": 0.22, "between": 0.55, "time": 0.022, "sd_residual": 0.053}
FORMS = {"wai": (12, 1, 5), "wait": (12, 1, 7), "core": (10, 0, 4)}


@pytest.fixture(scope="module")
def large() -> clinic.Drawn:
    """A large sample of the clinic, independent of the bundled one and of the population's."""
    return clinic.draw_clinic(99, 2400, 300)


@pytest.fixture(scope="module")
def scored(large):
    study, instruments = configured("clinic")
    return scored_tables(large, study, instruments)


@pytest.fixture(scope="module")
def sessions() -> pd.DataFrame:
    return pd.read_csv(DATA / "clinic" / "sessions.csv")


@pytest.fixture(scope="module")
def flaws() -> pd.DataFrame:
    return pd.read_csv(DATA / "clinic" / "flaws.csv")


def configured(name: str):
    study = load_study(ROOT / "config" / "studies" / f"{name}.yaml")
    used = sorted({str(measure.instrument) for measure in study.measures.values()})
    return study, load_instruments(ROOT / "config" / "instruments", used)


def truth_of(name: str) -> dict:
    return yaml.safe_load((DATA / name / "truth.yaml").read_text(encoding="utf-8"))


def items_of(form: str) -> list[str]:
    return [f"{form}_{i}" for i in range(1, FORMS[form][0] + 1)]


# Reproduction


@pytest.mark.parametrize("name", ["clinic", "brief"])
def test_the_documented_command_writes_the_committed_bytes(name, tmp_path):
    command = truth_of(name)["command"].split()
    assert command[:3] == ["python", "scripts/simulate_study.py", name]
    subprocess.run(
        [sys.executable, command[1], name, "--out", str(tmp_path)],
        cwd=ROOT, env={"PATH": "", "OMP_NUM_THREADS": "1"}, check=True,
    )  # fmt: skip
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in (DATA / name).iterdir()}
    assert made == committed


def test_files_are_small_and_plain():
    for path in DATA.rglob("*.*"):
        content = path.read_bytes()
        assert len(content) < 2_000_000
        assert b"\r" not in content
        assert path.name == "README.md" or not re.search(rb"(^|[\s:'\"])/\w", content)


def test_streams_differ_by_purpose_and_replication():
    draws = {
        float(stream(seed, purpose, number).random())
        for seed in (1, 2)
        for purpose in ("process", "items")
        for number in (0, 1)
    }
    assert len(draws) == 8
    assert stream(1, "items").random() == stream(1, "items").random()


# The process


def test_processes_are_stationary_with_variance_one():
    still = replace(
        clinic.PROCESS,
        sd_cross_lag=0.0, cross_lag_feedback=0.0, trend_alliance=0.0, trend_symptoms=0.0,
        trends=replace(clinic.PROCESS.trends, sd_alliance=0.0, sd_symptoms=0.0),
        clients=replace(clinic.PROCESS.clients, sd_alliance=0.0, sd_symptoms=0.0),
        therapists=replace(clinic.PROCESS.therapists, sd_alliance=0.0, sd_symptoms=0.0),
        ruptures=PlantingPlan(0.0, 0.0, (2.5, 4.5)),
    )  # fmt: skip
    latent = simulate_process(still, 20000, 10, stream(5, "test"))
    a, y = latent.alliance, latent.symptoms
    for session in (0, 1, 19):
        assert a[:, session].var() == pytest.approx(1, abs=0.04)
        assert y[:, session].var() == pytest.approx(1, abs=0.04)
        covariance = np.cov(a[:, session], y[:, session])[0, 1]
        assert covariance == pytest.approx(innovations(still).covariance, abs=0.04)


def test_structural_coefficients_are_recovered_from_the_latent_course():
    quiet = replace(
        clinic.PROCESS,
        clients=replace(clinic.PROCESS.clients, sd_alliance=0.0, sd_symptoms=0.0),
        therapists=replace(clinic.PROCESS.therapists, sd_alliance=0.0, sd_symptoms=0.0),
        trends=replace(clinic.PROCESS.trends, sd_alliance=0.0, sd_symptoms=0.0),
        trend_alliance=0.0, trend_symptoms=0.0,
    )  # fmt: skip
    latent = simulate_process(quiet, 6000, 10, stream(6, "test"))
    felt, y = latent.alliance, latent.symptoms
    own = felt - latent.deflection

    def coefficients(target, *columns):
        X = np.column_stack([column.ravel() for column in columns])
        return np.linalg.lstsq(X, target.ravel(), rcond=None)[0]

    forward = coefficients(y[:, 1:], y[:, :-1], felt[:, :-1])
    back = coefficients(own[:, 1:], own[:, :-1], y[:, 1:])
    assert forward == pytest.approx([quiet.phi_symptoms, quiet.cross_lag], abs=0.015)
    assert back == pytest.approx([quiet.phi_alliance, quiet.same_session], abs=0.015)


def test_feedback_moderates_the_cross_lag(large):
    arms = [large.latent.cross_lag[large.latent.feedback == arm].mean() for arm in (0, 1)]
    assert arms[1] - arms[0] == pytest.approx(clinic.PROCESS.cross_lag_feedback, abs=0.01)


def test_impossible_coefficients_are_refused():
    with pytest.raises(ValueError, match="no variance"):
        innovations(replace(clinic.PROCESS, phi_symptoms=0.99, cross_lag=-0.5))


def test_every_therapist_has_a_caseload():
    caseload = np.bincount(clinic.draw_clinic(clinic.SEED, 240, 30).latent.therapist)
    assert len(caseload) == 30
    assert caseload.min() >= 4


# Calibration


def test_clinic_matches_published_typical_values(scored, large):
    table, _ = scored
    scores = table["alliance_client"]
    assert 3.45 <= scores.mean() <= 3.65
    assert 0.6 <= scores.std() <= 0.9
    assert icc(table, "alliance_client") == pytest.approx(0.77, abs=0.03)
    assert icc(table, "symptoms") == pytest.approx(0.65, abs=0.03)
    assert (large.latent.ending == "dropout").mean() == pytest.approx(0.20, abs=0.03)


def icc(table: pd.DataFrame, measure: str) -> float:
    """Share of clients' variance from differences and squares, apart from the package's formula."""
    groups = table.groupby("client")[measure]
    rated_twice = groups.transform("size") > 1
    within = groups.var().mul(groups.size() - 1).sum() / (groups.size() - 1).sum()
    return float(1 - within / table.loc[rated_twice, measure].var())


def test_therapists_share_of_symptoms(scored):
    table, clients = scored
    means = table.groupby("client")["symptoms"].mean()
    therapist = clients.set_index("client")["therapist"].loc[means.index]
    groups = means.groupby(therapist)
    size = groups.size()
    within = groups.var().mul(size - 1).sum() / (size - 1).sum()
    between = groups.mean().var() - within * (1 / size).mean()
    assert between / table["symptoms"].var() == pytest.approx(0.06, abs=0.02)


def test_therapists_rate_the_alliance_lower(scored):
    table, _ = scored
    client = 100 * (table["alliance_client"] - 1) / 4
    therapist = 100 * (table["alliance_therapist"] - 12) / 72
    spread = np.sqrt((client.var() + therapist.var()) / 2)
    assert (therapist.mean() - client.mean()) / spread == pytest.approx(-0.46, abs=0.06)


def test_internal_consistency_and_ceiling(large):
    answers = {name: values[large.attended] for name, values in large.answers.items()}
    core = answers["symptoms"].copy()
    core[:, [1, 2]] = 4 - core[:, [1, 2]]
    assert alpha(answers["alliance_client"]) == pytest.approx(0.92, abs=0.025)
    assert alpha(core) == pytest.approx(0.87, abs=0.03)
    at_top = (answers["alliance_client"] == 5).mean()
    assert 0.10 <= at_top <= 0.25


def alpha(items: np.ndarray) -> float:
    k = items.shape[1]
    return k / (k - 1) * (1 - items.var(axis=0).sum() / items.sum(axis=1).var())


def test_reversed_items_run_against_their_scale(large):
    for measure, reversed_items in (("symptoms", (2, 3)), ("alliance_therapist", (4, 10))):
        items = large.answers[measure][large.attended]
        r = np.corrcoef(items.T)
        rest = [i for i in range(items.shape[1]) if i + 1 not in reversed_items]
        for number in reversed_items:
            assert r[number - 1, rest].max() < -0.1


def test_items_of_a_subscale_belong_together(large):
    items = large.answers["alliance_client"][large.attended]
    member = np.array(clinic.WAI_SR.subscales)
    r = np.corrcoef(items.T)
    same = member[:, None] == member[None, :]
    off_diagonal = ~np.eye(12, dtype=bool)
    assert r[same & off_diagonal].mean() > r[~same].mean() + 0.02


def test_subscales_are_those_of_the_instruments():
    instruments = load_instruments(
        ROOT / "config" / "instruments", ["waisr_client", "wais_therapist", "core10"]
    )
    for name, form in (
        ("waisr_client", clinic.WAI_SR),
        ("wais_therapist", clinic.WAI_S_THERAPIST),
        ("core10", clinic.CORE_10),
    ):
        instrument = instruments[name]
        members = {}
        for number, subscale in enumerate(form.subscales, start=1):
            members.setdefault(subscale, []).append(number)
        if instrument.subscales:  # the CORE-10's are not scored
            assert sorted(members.values()) == sorted(instrument.subscales.values())
        assert list(form.reversed_items) == instrument.reverse
        assert (form.low, form.high) == (instrument.response_min, instrument.response_max)


def test_drop_out_follows_low_alliance_and_high_symptoms(large):
    latent = large.latent
    first_a, first_y = latent.alliance[:, 0], latent.symptoms[:, 0]
    left = latent.ending == "dropout"
    assert first_a[left].mean() < first_a[~left].mean()
    assert first_y[left].mean() > first_y[~left].mean()


# Planted ruptures


def test_planted_shapes_and_what_can_be_seen():
    plan = PlantingPlan(0.2, 0.2, (2.0, 3.0))
    planned = np.full(500, 20)
    deflection, planted = plant_ruptures(plan, planned, 20, stream(3, "test"))
    assert planted["shape"].value_counts()["L"] == 100
    assert len(planted) == 200
    for row in planted.itertuples():
        course = deflection[row.client]
        assert (course[: row.onset - 1] == 0).all()
        assert course[row.onset - 1] < 0
        assert course.argmin() + 1 == row.nadir
        assert course.min() == pytest.approx(-row.depth)
        if row.shape == "L":
            assert (course[row.onset - 1 :] < 0).all()
        else:
            assert (course[row.onset - 1 : row.repair - 1] < 0).all()
            assert (course[row.repair - 1 :] == 0).all()
    untouched = np.setdiff1d(np.arange(500), planted["client"])
    assert (deflection[untouched] == 0).all()


def test_status_follows_from_the_last_session():
    planted = pd.DataFrame(
        {
            "client": [0, 1, 2, 3, 4],
            "shape": ["V", "V", "L", "L", "V"],
            "onset": [5, 5, 5, 5, 5],
            "nadir": [5, 5, 6, 5, 5],
            "repair": pd.array([7, 7, pd.NA, pd.NA, 7], dtype="Int64"),
            "depth": [3.0] * 5,
        }
    )
    seen = what_can_be_seen(planted, np.array([7, 6, 7, 8, 4]))
    assert seen["client"].tolist() == [0, 1, 2, 3]  # client 4 left before the onset
    assert seen["status"].tolist() == ["repaired", "indeterminate", "indeterminate", "unrepaired"]
    assert seen["repair"].isna().tolist() == [False, True, True, True]


def test_planted_ruptures_show_in_the_scores(sessions):
    ruptures = pd.read_csv(DATA / "clinic" / "ruptures.csv")
    assert ruptures["client"].is_unique
    answers = sessions[items_of("wai")].where(lambda x: (x >= 1) & (x <= 5))
    score = answers.mean(axis=1).groupby([sessions["client_id"], sessions["session_no"]]).first()
    drops, regained = [], []
    for row in ruptures.itertuples():
        course = score.loc[row.client]
        before = course[course.index < row.onset].mean()
        drops.append(before - course[row.nadir])
        if row.status == "repaired":
            regained.append(course[int(row.repair_session)] - course[row.nadir])
    assert not np.isnan(drops).any()
    assert np.mean(drops) == pytest.approx(ruptures["depth_points"].mean(), abs=0.15)
    assert np.mean(regained) > 0.6


def test_rupture_counts_are_those_of_the_truth_and_of_the_literature():
    for name in ("clinic", "brief"):
        truth = truth_of(name)
        ruptures = pd.read_csv(DATA / name / "ruptures.csv")
        counts = ruptures["status"].value_counts()
        for status in ("repaired", "unrepaired", "indeterminate"):
            assert truth["planted_ruptures"][status] == counts.get(status, 0)
    shares = pd.read_csv(DATA / "clinic" / "ruptures.csv")["status"].value_counts() / 240
    assert shares["repaired"] == pytest.approx(0.147, abs=0.04)
    assert shares["unrepaired"] == pytest.approx(0.107, abs=0.04)


def test_reported_ruptures_are_likelier_where_one_was_planted(sessions):
    ruptures = pd.read_csv(DATA / "clinic" / "ruptures.csv").set_index("client")["onset"]
    onset = sessions["client_id"].map(ruptures)
    reported = sessions["psq_rupture"]
    assert reported[sessions["session_no"] == onset].mean() > 0.4
    assert reported[onset.isna()].mean() < 0.08


# Flaws


def count_of(flaws: pd.DataFrame, kind: str) -> int:
    return int((flaws["flaw"] == kind).sum())


def test_flaws_are_counted_in_the_truth(flaws):
    for name, table in (("clinic", flaws), ("brief", pd.read_csv(DATA / "brief" / "flaws.csv"))):
        planted = dict(truth_of(name)["planted_flaws"])
        assert planted.pop("listed_in") == "flaws.csv"
        assert planted == table["flaw"].value_counts().to_dict()


def test_duplicates_in_the_file_are_those_planted(sessions, flaws):
    exact = sessions.duplicated()
    assert exact.sum() == count_of(flaws, "exact_duplicate")
    repeated = sessions[~exact].duplicated(["client_id", "session_no"], keep=False)
    conflicting = sessions[~exact][repeated]
    assert len(conflicting) == 2 * count_of(flaws, "conflicting_duplicate")
    answered = conflicting.notna().sum(axis=1).groupby(conflicting["client_id"])
    assert (answered.max() - answered.min() == 2).all()


def test_wrong_and_missing_answers_in_the_file_are_those_planted(sessions, flaws):
    once = sessions.drop_duplicates(["client_id", "session_no"], keep="first")
    impossible = codes = 0
    for form, (_, low, high) in FORMS.items():
        values = once[items_of(form)]
        code = values.isin([-9, 99])
        codes += int(code.to_numpy().sum())
        impossible += int((((values < low) | (values > high)) & ~code).to_numpy().sum())
    assert codes == count_of(flaws, "sentinel_code")
    assert impossible == count_of(flaws, "out_of_range")


def test_missing_forms_and_items_in_the_file_are_those_planted(sessions, flaws):
    unique = sessions.groupby(["client_id", "session_no"])
    assert (unique.size() <= 2).all()
    fullest = sessions.assign(n=sessions.notna().sum(axis=1)).sort_values("n", kind="stable")
    once = fullest.drop_duplicates(["client_id", "session_no"], keep="last")
    came = once[once["attendance"] == "attended"]
    forms = items = 0
    for form in FORMS:
        gaps = came[items_of(form)].isna()
        forms += int(gaps.all(axis=1).sum())
        items += int(gaps[~gaps.all(axis=1)].to_numpy().sum())
    forms += int(came["psq_rupture"].isna().sum())
    assert forms == count_of(flaws, "missing_form")
    assert items == count_of(flaws, "missing_item")


def test_sessions_not_attended_hold_no_forms(sessions):
    away = sessions[sessions["attendance"] != "attended"]
    assert len(away) > 200
    assert away[["psq_rupture", *(c for f in FORMS for c in items_of(f))]].isna().all(axis=None)
    first = sessions[sessions["session_no"] == 1]
    assert (first["attendance"] == "attended").all()


def test_dates_therapists_and_short_treatments_are_those_planted(sessions, flaws):
    ordered = sessions.drop_duplicates(["client_id", "session_no"])
    ordered = ordered.sort_values(["client_id", "session_no"])
    date = pd.to_datetime(ordered["session_date"])
    backwards = (date.groupby(ordered["client_id"]).diff().dt.days < 0).sum()
    assert backwards == count_of(flaws, "dates_out_of_order")
    therapists = sessions.groupby("client_id")["therapist_id"].nunique()
    assert (therapists == 2).sum() == count_of(flaws, "second_therapist")
    natural = truth_of("clinic")["sample"]["clients_with_one_session"]
    came = sessions[sessions["attendance"] == "attended"]
    one = (came.groupby("client_id")["session_no"].max() == 1).sum()
    assert one == natural + count_of(flaws, "one_session_only")


def test_rows_are_shuffled(sessions):
    position = sessions["client_id"].str[1:].astype(int).to_numpy()
    assert abs(np.corrcoef(np.arange(len(position)), position)[0, 1]) < 0.1


def test_flaws_spare_the_sessions_of_ruptures(flaws):
    ruptures = pd.read_csv(DATA / "clinic" / "ruptures.csv").set_index("client")
    once = flaws[flaws["client"].isin(ruptures.index) & flaws["session"].notna()]
    once = once[~once["flaw"].isin(["second_therapist"])]
    for row in once.itertuples():
        rupture = ruptures.loc[row.client]
        end = rupture["repair_session"]
        end = rupture["onset"] + 3 if pd.isna(end) else end
        assert not rupture["onset"] - 1 <= row.session <= end


def test_clients_table_is_complete_but_for_planted_gaps(sessions, flaws):
    clients = pd.read_csv(DATA / "clinic" / "clients.csv")
    assert clients["client_id"].is_unique
    assert set(clients["client_id"]) == set(sessions["client_id"])
    assert clients.isna().to_numpy().sum() == count_of(flaws, "missing_client_entry")
    change = clients["core10_referral"] - clients["core10_intake"]
    assert 0 < change.mean() < 3


def test_brief_is_wide_with_codes_and_early_stops():
    table = pd.read_csv(DATA / "brief" / "brief.csv")
    flaws = pd.read_csv(DATA / "brief" / "flaws.csv")
    assert table.shape == (120, 25)
    scores = table.drop(columns="id")
    assert (scores == -99).to_numpy().sum() == count_of(flaws, "sentinel_code")
    assert (scores > 40).to_numpy().sum() == count_of(flaws, "out_of_range")
    valid = scores.where((scores >= 0) & (scores <= 40))
    assert (valid.round(1) - valid).abs().max(axis=None) < 1e-9
    drawn = brief.draw_brief(brief.SEED, brief.N_CLIENTS)
    complete = brief.brief_table(drawn).set_index("id")
    gaps = table.set_index("id").loc[complete.index].isna() & complete.notna()
    assert gaps.to_numpy().sum() == count_of(flaws, "missing_form")
    assert (drawn.latent.last < 12).mean() > 0.3
    means = valid.filter(like="ors_").mean()
    assert means["ors_s12"] > means["ors_s1"]  # higher is better


@pytest.fixture(scope="module", params=["clinic", "brief"])
def treated(request):
    """A bundled study after validation, de-identification and cleaning."""
    study, instruments = configured(request.param)
    problems, raw = validate(study, instruments, ROOT, f"config/studies/{request.param}.yaml")
    hidden = deidentify(raw, study, None)
    return study, problems, clean(hidden.sessions, hidden.clients, study, instruments)


def test_flaws_are_warned_of_and_none_stops_the_study(treated):
    study, problems, _ = treated
    assert all(problem.severity == "warning" for problem in problems)
    expected = {"OUT_OF_RANGE"}
    if study.id == "clinic":
        expected |= {"EXACT_DUPLICATES", "CONFLICTING_DUPLICATES", "SEVERAL_THERAPISTS"}
        expected |= {"DATES_AGAINST_SESSIONS"}
    assert expected <= {problem.code for problem in problems}


def test_cleaning_catches_exactly_the_planted_flaws(treated):
    study, _, cleaned = treated
    planted = truth_of(study.id)["planted_flaws"]
    log = cleaned.log["rule"].value_counts()
    assert log["out_of_range"] == planted["out_of_range"]
    for rule, flaw in (
        ("exact_duplicates", "exact_duplicate"),
        ("conflicting_duplicates", "conflicting_duplicate"),
        ("dates_against_order", "dates_out_of_order"),
    ):
        assert log.get(rule, 0) == planted.get(flaw, 0)
    moved = cleaned.log.loc[cleaned.log["rule"] == "therapist_changes", "client"]
    assert moved.nunique() == planted.get("second_therapist", 0)
    sample = truth_of(study.id)["sample"]
    short = sample["clients_with_one_session"] + planted.get("one_session_only", 0)
    assert len(cleaned.clients) == sample["clients"] - short


def test_cleaning_restores_the_drawn_answers():
    """What is left after cleaning is what was drawn, answer by answer."""
    study, instruments = configured("clinic")
    _, raw = validate(study, instruments, ROOT, "config/studies/clinic.yaml")
    hidden = deidentify(raw, study, None)
    cleaned = clean(hidden.sessions, hidden.clients, study, instruments).sessions
    drawn = clinic.draw_clinic(clinic.SEED, clinic.N_CLIENTS, clinic.N_THERAPISTS)
    client = cleaned["client"].str[1:].astype(int).to_numpy() - 1
    session = cleaned["session"].astype(int).to_numpy() - 1
    for measure, answers in drawn.answers.items():
        columns = [f"{measure}__{i}" for i in range(1, answers.shape[2] + 1)]
        kept = cleaned[columns].to_numpy(dtype=float, na_value=np.nan)
        known = ~np.isnan(kept)
        assert known.mean() > 0.8
        assert (kept[known] == answers[client, session][known]).all()


# Truth


def test_estimands_name_every_term_of_every_model():
    for name in ("clinic", "brief"):
        study, _ = configured(name)
        estimands = truth_of(name)["estimands"]
        assert set(estimands) == set(study.models) | set(study.dynamics)
        for dynamic in study.dynamics:
            terms = estimands.pop(dynamic)
            crossed = {"cross_lag_alliance_outcome", "cross_lag_outcome_alliance"}
            assert crossed | {"autoregression_alliance", "autoregression_outcome"} <= set(terms)
            assert terms["cross_lag_alliance_outcome"]["value"] < 0
        for model, terms in estimands.items():
            wanted = {"within", "between", "time", "sd_intercept", "sd_within", "sd_residual"}
            if study.models[model].therapists:
                wanted |= {"between_therapist", "sd_therapist"}
            assert wanted <= set(terms)
            assert all(set(entry) == {"value", "mc_se"} for entry in terms.values())
            assert terms["within"]["value"] < 0
            assert terms["within"]["mc_se"] < 0.05 * abs(terms["within"]["value"])


def test_estimands_are_those_of_an_independent_sample(large, scored):
    study, instruments = configured("clinic")
    estimated = fit_terms(*scored, study, instruments, "main")
    truth = truth_of("clinic")["estimands"]["main"]
    for term, error in (
        ("within", 0.22),
        ("between", 0.55),
        ("time", 0.022),
        ("sd_residual", 0.053),
    ):
        assert abs(estimated[term] - truth[term]["value"]) < 4 * error / np.sqrt(10)


def test_population_truth_reports_samples_and_errors():
    study, instruments = configured("brief")
    truth = population_truth(
        study, instruments, lambda number: brief.draw_brief(1, 300, number), n_samples=2
    )
    assert truth["population_samples"] == {"samples": 2, "clients_each": 300}
    assert set(truth["population"]) == {"alliance", "distress", "clients"}
    assert truth["estimands"]["main"]["within"]["mc_se"] > 0


def test_bundled_study_agrees_with_its_truth():
    """The bundled sample estimates its estimands, within four of its own standard errors."""
    study, instruments = configured("clinic")
    drawn = clinic.draw_clinic(clinic.SEED, clinic.N_CLIENTS, clinic.N_THERAPISTS)
    estimated = fit_terms(*scored_tables(drawn, study, instruments), study, instruments, "main")
    truth = truth_of("clinic")["estimands"]["main"]
    for term, error in (
        ("within", 0.22),
        ("between", 0.55),
        ("time", 0.022),
        ("sd_residual", 0.053),
    ):
        assert abs(estimated[term] - truth[term]["value"]) < 4 * error


def test_answers_stay_on_the_form():
    latent = np.array([[-50.0, 0.0, 50.0]])
    answers = answer(clinic.CORE_10, latent, stream(1, "test"))
    keyed = answers.copy()
    keyed[..., [1, 2]] = 4 - keyed[..., [1, 2]]
    assert (keyed[0, 0] == 0).all()
    assert (keyed[0, 2] == 4).all()
    assert np.isin(answers, [0, 1, 2, 3, 4]).all()
