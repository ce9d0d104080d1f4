"""The first draft of a study file: guessed right where it can be, marked where it cannot."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alliance.drafting import CHECK, draft_study, study_text
from alliance.drafting.draft import _short_label
from alliance.drafting.files import read_undeclared
from alliance.instruments import known_instruments, load_instruments
from alliance.readers import assemble, read_tables
from alliance.study import load_study

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
import start_study  # noqa: E402


@pytest.fixture
def project(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "instruments").symlink_to(ROOT / "config" / "instruments")
    return tmp_path


def draft(project, *files, name="mine"):
    paths = [str(project / file) for file in files]
    assert start_study.main(["--root", str(project), "--id", name, *paths]) == 0
    target = project / "config" / "studies" / f"{name}.yaml"
    return load_study(target), target.read_text(encoding="utf-8")


def assembled(project, study):
    ids = [m.instrument for m in study.measures.values() if m.instrument]
    instruments = load_instruments(ROOT / "config" / "instruments", ids)
    return assemble(study, instruments, read_tables(study, project))


def answers(seed, rows, columns, low, high):
    return np.random.default_rng(seed).integers(low, high + 1, (rows, columns))


def sessions_like_clinic(rows=60):
    frame = pd.DataFrame(
        {
            "client_id": np.repeat([f"C{n:03d}" for n in range(rows // 6)], 6),
            "session_no": np.tile(range(1, 7), rows // 6),
            "session_date": pd.date_range("2026-01-01", periods=rows).strftime("%d.%m.%Y"),
            "therapist_id": np.repeat(["T1", "T2"], rows // 2),
            "attendance": np.where(np.arange(rows) % 7 == 3, "no-show", "attended"),
            "psq_rupture": np.arange(rows) % 2,
        }
    )
    for stem, n_items, low, high in [("wai", 12, 1, 5), ("wait", 12, 1, 7), ("core", 10, 0, 4)]:
        names = [f"{stem}_{item}" for item in range(1, n_items + 1)]
        frame[names] = answers(len(stem), rows, n_items, low, high)
    frame.loc[[3, 9], "wai_1"] = -9
    frame["comment"] = "she told me at some length about her brother and the holidays they had"
    frame["email"] = "someone@example.org"
    return frame


def test_a_long_study_with_a_client_file(project):
    sessions_like_clinic().to_csv(project / "sessions.csv", index=False)
    people = pd.DataFrame(
        {
            "client_id": [f"C{n:03d}" for n in range(10)],
            "age_group": ["18-25", "26-40"] * 5,
            "arm": [0, 1] * 5,
            "ending": ["agreed", "dropped out"] * 5,
            "surname": ["Muster"] * 10,
        }
    )
    people.to_csv(project / "people.csv", index=False)
    study, text = draft(project, "sessions.csv", "people.csv")
    assert study.data.layout == "long"
    assert {n: t.level for n, t in study.data.tables.items()} == {
        "sessions": "session", "people": "client",
    }  # fmt: skip
    columns = study.columns
    assert (columns.client.column, columns.session.column) == ("client_id", "session_no")
    assert (columns.date.column, columns.therapist.column) == ("session_date", "therapist_id")
    assert columns.attendance.labels == {"attended": "attended", "no-show": "no_show"}
    assert columns.ending.labels == {"agreed": "agreed", "dropped out": "dropout"}
    assert columns.rupture_client.column == "psq_rupture"
    found = {m.instrument: (m.items, m.role, m.rater) for m in study.measures.values()}
    assert found == {
        "waisr_client": ("wai_{item}", "alliance", "client"),
        "wais_therapist": ("wait_{item}", "alliance", "therapist"),
        "core10": ("core_{item}", "outcome", "client"),
    }
    assert study.data.missing_codes == [-9]
    assert study.covariates["age_group"].quasi_identifier
    assert study.covariates["arm"].type == "category"
    assert study.models["main"].predictor == "waisr_client"
    assert study.models["main"].outcome == "core10"
    assert not {"surname", "email", "comment"} & {c.column for c in study.covariates.values()}
    assert "may identify a person" in text
    assert "Muster" not in text
    assert "example.org" not in text
    assert CHECK in text
    raw = assembled(project, study)
    assert len(raw.sessions) == 60
    assert raw.sessions["waisr_client__1"].isna().sum() == 2


def test_a_wide_file_of_totals_like_brief(project):
    frame = pd.DataFrame({"id": [f"B{n}" for n in range(20)]})
    for stem in ("srs", "ors"):
        names = [f"{stem}_s{s}" for s in range(1, 6)]
        frame[names] = answers(len(stem) + 1, 20, 5, 0, 40)
    frame["ors_s2"] = frame["ors_s2"].where(frame["ors_s2"] > 5, -99)
    frame.to_csv(project / "brief.csv", index=False, sep=";")
    study, _ = draft(project, "brief.csv")
    assert study.data.layout == "wide"
    found = {m.instrument: (m.column, m.role) for m in study.measures.values()}
    assert found == {
        "srs_v3": ("srs_s{session}", "alliance"),
        "ors": ("ors_s{session}", "outcome"),
    }
    assert len(assembled(project, study).sessions) == 100


def test_a_wide_file_with_an_unknown_process_measure_like_sgdata(project):
    frame = pd.DataFrame({"id": np.arange(1.0, 21.0)})
    for stem, high in (("bdi", 63), ("rq", 45)):
        names = [f"{stem}_s{s}" for s in range(4)] + [f"{stem}_fu1"]
        frame[names] = answers(high, 20, 5, 0, high)
    frame.to_csv(project / "sg.csv", index=False)
    study, text = draft(project, "sg.csv")
    assert study.measures["bdi2"].role == "outcome"
    assert "is it really this form (bdi2)?" in text  # the file may hold the first BDI
    assert study.measures["rq"].role == "process"
    assert study.measures["rq"].column == "rq_s{session}"
    assert "no known instrument has this name" in text
    assert study.covariates == {}
    assert study.models["main"].predictor == "rq"
    raw = assembled(project, study)
    assert sorted(raw.sessions["session"].unique()) == [0, 1, 2, 3]


def test_a_wide_workbook_of_items_in_words_on_its_second_sheet(project):
    words = np.array(["Seldom", "Sometimes", "Fairly often", "Very often", "Always"])
    frame = pd.DataFrame({"Klient": [f"K{n}" for n in range(15)]})
    for session in (1, 2, 3):
        names = [f"wai_{item:02d}_s{session}" for item in range(1, 13)]
        frame[names] = words[answers(session, 15, 12, 0, 4)]
        frame[f"phq9_s{session}"] = answers(session + 9, 15, 1, 0, 27)
    with pd.ExcelWriter(project / "x.xlsx") as book:
        pd.DataFrame({"about": ["read me"]}).to_excel(book, sheet_name="about", index=False)
        frame.to_excel(book, sheet_name="answers", index=False)
    study, text = draft(project, "x.xlsx")
    assert study.data.tables["x"].sheet == "answers"
    alliance = study.measures["waisr_client"]
    assert alliance.items == "wai_{item:02d}_s{session}"
    assert alliance.labels == {
        "Seldom": 1, "Sometimes": 2, "Fairly often": 3, "Very often": 4, "Always": 5,
    }  # fmt: skip
    assert study.measures["phq9"].column == "phq9_s{session}"
    assert "are these the numbers of the form?" in text
    raw = assembled(project, study)
    assert len(raw.sessions) == 45
    assert raw.sessions["waisr_client__12"].dtype == "Float64"


def test_a_seven_point_form_and_an_unknown_scale_are_marked(project):
    frame = pd.DataFrame({"id": np.repeat(range(8), 5), "session": np.tile(range(1, 6), 8)})
    frame[[f"phq9_{i}" for i in range(1, 10)]] = answers(1, 40, 9, 1, 4)
    frame[[f"mood_{i}" for i in range(1, 7)]] = answers(2, 40, 6, 0, 100)
    frame.to_csv(project / "x.csv", index=False)
    study, text = draft(project, "x.csv")
    assert study.measures["phq9"].response_range == (1, 4)
    assert "answers outside the published range" in text
    assert "6 columns mood_{item} look like items" in text


def test_no_header_no_names_still_gives_a_draft_that_loads(project):
    rows = [f"{client} {client + week} {week}" for client in (101, 103) for week in range(4)]
    (project / "x.dat").write_text("\n".join(rows))
    study, text = draft(project, "x.dat")
    assert study.data.tables["x"].column_names == ["column_1", "column_2", "column_3"]
    assert study.columns.session.column == "column_3"
    assert "is this the session?" in text
    assert "no known instrument was found" in text


def test_odd_column_names_are_quoted(project):
    frame = pd.DataFrame(
        {
            "Pat.-Nr.: #": np.repeat([1, 2, 3], 3),
            "Sitzung": [1, 2, 3] * 3,
            "PHQ9: Summe": [10, 9, 8] * 3,
            "Größe (cm)": np.repeat([170, 180, 165], 3),
            "on": np.repeat(["yes", "no", "no"], 3),
        }
    )
    frame.to_csv(project / "odd.csv", index=False, encoding="cp1252", sep=";")
    study, _ = draft(project, "odd.csv")
    assert study.columns.client.column == "Pat.-Nr.: #"
    assert study.columns.session.column == "Sitzung"
    assert study.measures["phq9"].column == "PHQ9: Summe"
    assert study.covariates["groesse_cm"].column == "Größe (cm)"
    assert len(assembled(project, study).sessions) == 9


def test_it_never_overwrites_and_tells_every_broken_file(project, capsys):
    (project / "x.csv").write_text("id,session,phq9\n1,1,3\n1,2,4\n")
    draft(project, "x.csv")
    before = (project / "config" / "studies" / "mine.yaml").read_bytes()
    arguments = ["--root", str(project), "--id", "mine", str(project / "x.csv")]
    assert start_study.main(arguments) == 1
    assert "STUDY_EXISTS" in capsys.readouterr().err
    assert (project / "config" / "studies" / "mine.yaml").read_bytes() == before
    (project / "empty.csv").write_text("")
    assert start_study.main(["--root", str(project), str(project / "empty.csv"), "no.xlsx"]) == 1
    told = capsys.readouterr().err
    assert "EMPTY_FILE" in told
    assert "MISSING_FILE" in told
    assert not (project / "config" / "studies" / "empty.yaml").exists()


def test_it_prints_the_next_command_and_no_record(project, capsys):
    sessions_like_clinic().to_csv(project / "sessions.csv", index=False)
    draft(project, "sessions.csv")
    told = capsys.readouterr().out
    assert "snakemake results/mine/report.html results/mine/manuscript/manuscript.docx" in told
    assert "ALLIANCE_PSEUDONYM_KEY" in told
    assert "C001" not in told


@pytest.mark.parametrize("name", ["clinic", "brief"])
def test_the_bundled_studies_are_recognised(project, name):
    folder = ROOT / "data" / "simulated" / name
    files = [f for f in ("sessions.csv", "clients.csv", "brief.csv") if (folder / f).is_file()]
    assert files
    for file in files:
        (project / file).write_bytes((folder / file).read_bytes())
    drafted, _ = draft(project, *files)
    shipped = load_study(ROOT / "config" / "studies" / f"{name}.yaml")
    assert drafted.data.layout == shipped.data.layout
    assert set(drafted.data.missing_codes) == set(shipped.data.missing_codes)
    assert {(m.instrument, m.items, m.column, m.role) for m in drafted.measures.values()} == {
        (m.instrument, m.items, m.column, m.role) for m in shipped.measures.values()
    }
    for part in ("client", "session", "date", "therapist", "attendance", "ending"):
        assert getattr(drafted.columns, part) == getattr(shipped.columns, part)
    mine, theirs = assembled(project, drafted), assembled(ROOT, shipped)
    assert len(mine.sessions) == len(theirs.sessions)
    assert mine.clients["client"].tolist() == theirs.clients["client"].tolist()


def test_a_name_with_a_hyphen_outranks_the_response_range(tmp_path):
    """A seven-point WAI-SR is still a WAI-SR, not the seven-point WAI-S."""
    rng = np.random.default_rng(3)
    rows = 300
    frame = pd.DataFrame({"Code": [f"P{i // 10}" for i in range(rows)]})
    frame["Sitzung"] = [i % 10 + 1 for i in range(rows)]
    for item in range(1, 13):
        frame[f"WAI-SR_{item:02d}"] = rng.integers(1, 8, rows)
    for item in range(1, 10):
        frame[f"PHQ9 item {item}"] = rng.integers(0, 4, rows)
    frame.to_csv(tmp_path / "clinic.csv", index=False)
    table = read_undeclared("clinic", str(tmp_path / "clinic.csv"), ROOT)
    folder = ROOT / "config/instruments"
    instruments = load_instruments(folder, known_instruments(folder))
    text = study_text(draft_study("clinic", {"clinic": table}, instruments))
    assert "instrument: waisr_client" in text
    assert "response_range: [1, 7]" in text
    assert "wais_client" not in text.split("instrument:")[1].splitlines()[0]


def test_one_file_per_rater_session_variables_and_attention_checks(project):
    """Two files with the same keys and the same item names; a note of the modality at each."""
    rows, rng = 120, np.random.default_rng(7)
    keys = {"client_id": np.repeat(np.arange(12), 10), "session": np.tile(range(1, 11), 12)}
    by_client, by_therapist = pd.DataFrame(keys), pd.DataFrame(keys)
    for frame, seed in ((by_client, 1), (by_therapist, 2)):
        frame[[f"wai_{item}" for item in range(1, 13)]] = answers(seed, rows, 12, 1, 5)
    by_client[[f"phq9_{item}" for item in range(1, 10)]] = answers(3, rows, 9, 0, 3)
    by_client["wai_check"] = np.where(np.arange(rows) % 17 == 3, 4, 2)
    by_client["minutes"] = rng.integers(40, 60, rows)
    by_client["room"] = rng.choice(["A", "B"], rows)
    by_client.to_csv(project / "client_forms.csv", index=False)
    by_therapist.to_csv(project / "therapist_forms.csv", index=False)
    study, text = draft(project, "client_forms.csv", "therapist_forms.csv")
    of_wai = {m.items: m.rater for m in study.measures.values() if "wai" in str(m.items)}
    assert of_wai == {
        "client_forms.wai_{item}": "client",
        "therapist_forms.wai_{item}": "therapist",
    }
    assert "is this the right file and rater?" in text
    checked = [m for m in study.measures.values() if m.attention_checks]
    assert [(m.items, m.attention_checks) for m in checked] == [
        ("client_forms.wai_{item}", {"wai_check": 2}),
    ]
    assert "is this the answer that was asked for?" in text
    assert {k: (c.level, c.type) for k, c in study.covariates.items()} == {
        "minutes": ("session", "number"),
        "room": ("session", "category"),
    }
    assert "does it vary between sessions?" in text
    raw = assembled(project, study)
    assert len(raw.sessions) == rows
    both = [f"{name}__1" for name, m in study.measures.items() if "wai" in str(m.items)]
    assert raw.sessions[both].notna().all().all()
    assert not raw.sessions[both[0]].equals(raw.sessions[both[1]])


def test_sheets_named_after_clients_are_drafted_by_number(project, capsys):
    rows = pd.DataFrame({"Klient-ID": [f"K{n}" for n in range(10)], "SRS 1": range(10)})
    with pd.ExcelWriter(project / "praxis.xlsx") as book:
        for n in range(1, 3):
            more = pd.concat([rows] * (3 - n))
            more.to_excel(book, sheet_name=f"{('Anna', 'Peter')[n - 1]} Muster", index=False)
        pd.DataFrame({"a": [1], "b": [2]}).to_excel(book, sheet_name="Frau Muster", index=False)
    study, text = draft(project, "praxis.xlsx")
    assert {name: table.sheet for name, table in study.data.tables.items()} == {
        "praxis": 1,
        "sheet_2": 2,
    }
    shown = capsys.readouterr()
    assert "without the client column, not used: sheet 3" in shown.out
    assert "Muster" not in text + shown.out + shown.err


def test_a_workbook_with_decimal_commas_as_text_and_a_sheet_of_clients(project, capsys):
    """Cells of text with a comma are answers; the clients' sheet is a file of its own."""
    rng, rows = np.random.default_rng(11), 80
    sessions = pd.DataFrame({"Klient-ID": np.repeat([f"K{n}" for n in range(10)], 8)})
    sessions["Name"] = "Anna Muster"
    sessions["Datum"] = pd.date_range("2024-01-01", periods=rows)
    for scale in ("SRS", "ORS"):
        for item in range(1, 5):
            marks = rng.uniform(0, 10, rows).round(1)
            sessions[f"{scale} {item}"] = [str(mark).replace(".", ",") for mark in marks]
    sessions.loc[[3, 40], "SRS 2"] = None
    sessions["Bemerkung"] = ["kam zu spät" if n % 20 == 0 else None for n in range(rows)]
    people = pd.DataFrame({"Klient-ID": [f"K{n}" for n in range(10)], "Behandlung": ["A", "B"] * 5})
    with pd.ExcelWriter(project / "praxis.xlsx") as book:
        sessions.to_excel(book, sheet_name="Sitzungen", index=False)
        people.to_excel(book, sheet_name="Klienten", index=False)
        pd.DataFrame({"a": [1], "b": [2]}).to_excel(book, sheet_name="Notizen", index=False)
    study, text = draft(project, "praxis.xlsx")
    assert {n: (t.sheet, t.level) for n, t in study.data.tables.items()} == {
        "praxis": ("Sitzungen", "session"),
        "klienten": ("Klienten", "client"),
    }
    assert "without the client column, not used: sheet 'Notizen'" in capsys.readouterr().out
    assert {(m.instrument, m.items, m.role) for m in study.measures.values()} == {
        ("srs_v3", "SRS {item}", "alliance"),
        ("ors", "ORS {item}", "outcome"),
    }
    assert study.covariates["behandlung"].type == "category"
    assert "Bemerkung (free text)" in text
    raw = assembled(project, study)
    assert len(raw.sessions) == rows
    assert raw.sessions["srs_v3__2"].isna().sum() == 2
    assert str(raw.sessions["srs_v3__2"].dtype) == "Float64"


def test_the_last_resort_is_never_a_column_of_free_text(project):
    frame = pd.DataFrame({"id": np.repeat(["a", "b"], 2), "session": [1, 2, 1, 2]})
    frame["state"] = ["bad", "good", "bad", "good"]
    frame["Bemerkung"] = ["kam zu spät", None, None, None]
    frame.to_csv(project / "x.csv", index=False)
    study, _ = draft(project, "x.csv")
    assert study.measures["outcome"].column == "state"


@pytest.mark.parametrize("layout", ["long", "wide"])
def test_both_raters_of_one_form_are_told_apart_by_p_and_t(project, layout):
    rows = 60
    frame = pd.DataFrame({"Code": [f"P{n // 6}" for n in range(rows)]})
    frame["Sitzung"] = [n % 6 for n in range(rows)]
    for rater in ("P", "T"):
        names = [f"ARM5_{rater}_{item}" for item in range(1, 6)]
        frame[names] = answers(ord(rater), rows, 5, 1, 7)
    frame["OQ45_ges"] = answers(1, rows, 1, 20, 120)[:, 0]
    end = ""
    if layout == "wide":
        frame = frame.pivot_table(index="Code", columns="Sitzung")
        frame.columns = [f"{column}_t{session}" for column, session in frame.columns]
        frame, end = frame.reset_index(), "_t{session}"
    frame.to_csv(project / "x.csv", index=False)
    study, text = draft(project, "x.csv")
    of_arm = {m.items: (name, m.rater) for name, m in study.measures.items() if m.items}
    assert of_arm == {
        f"ARM5_P_{{item}}{end}": ("arm5", "client"),
        f"ARM5_T_{{item}}{end}": ("arm5_therapist", "therapist"),
    }
    assert text.count("the file has this form more than once") == 2
    assert study.models["main"].predictor == "arm5"


def test_scandinavian_names(project):
    rows = 40
    frame = pd.DataFrame({"patnr": np.repeat(np.arange(1001, 1009), 5)})
    frame["vecka"] = np.tile(range(1, 6), 8)
    frame["beh_kod"] = np.repeat([1, 2, 3, 4], 10)
    frame["kön"] = np.repeat([0, 1], 20)
    frame["ålder"] = np.repeat(range(30, 38), 5)
    frame["phq9"] = answers(1, rows, 1, 0, 27)[:, 0]
    frame.to_csv(project / "x.csv", index=False)
    study, text = draft(project, "x.csv")
    assert study.columns.client.column == "patnr"
    assert "is this the client" not in text
    assert study.columns.therapist.column == "beh_kod"
    assert (study.columns.session.column, study.timing.unit) == ("vecka", "week")
    assert {name: c.quasi_identifier for name, c in study.covariates.items()} == {
        "koen": True, "alder": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("instrument", "label"),
    [
        ("waisr_client", "Alliance, client (WAI-SR)"),
        ("wais_therapist", "Alliance, therapist (WAI-S)"),
        ("waio", "Alliance, observer (WAI-O)"),
        ("srs_v3", "Alliance, client (SRS)"),
        ("phq9", "PHQ-9"),
        ("core10", "CORE-10"),
        ("oq45", "OQ-45.2"),
        ("scl90r_gsi", "Symptom Checklist-90-Revised"),
        ("wai36_client", "Alliance, client (Working Alliance Inventory)"),
    ],
)
def test_labels_are_short_enough_for_a_sentence(instrument, label):
    found = load_instruments(ROOT / "config" / "instruments", [instrument])[instrument]
    role = "alliance" if found.domain == "alliance" else "outcome"
    rater = next((r for r in ("therapist", "observer") if r in found.perspective), "client")
    assert _short_label(found, role, rater) == label


def test_spanish_names_with_accents(project):
    n = 60
    sessions = pd.DataFrame({"Código": np.repeat(range(500, 510), 6), "Sesión": [*range(1, 7)] * 10,
                             "SRS total": answers(1, n, 1, 20, 40)[:, 0],
                             "ORS total": answers(2, n, 1, 5, 35)[:, 0]})  # fmt: skip
    clients = pd.DataFrame({"Código": range(500, 510), "Terapeuta": ["T1", "T2"] * 5,
                            "Género": ["mujer", "varón"] * 5, "Edad": range(30, 40),
                            "Motivo del alta": ["abandono", "alta regular"] * 5,
                            "Teléfono": range(600100200, 600100210)})  # fmt: skip
    for name, frame in {"sesiones": sessions, "clientes": clients}.items():
        frame.to_csv(project / f"{name}.csv", sep=";", index=False, encoding="latin-1")
    study, text = draft(project, "sesiones.csv", "clientes.csv")
    columns = study.columns
    assert (columns.client.column, columns.session.column) == ("Código", "Sesión")
    assert columns.therapist.column == "Terapeuta"
    assert columns.ending.labels == {"abandono": "dropout", "alta regular": "agreed"}
    assert f"{CHECK} is this the" not in text
    assert study.covariates["edad"].quasi_identifier
    assert study.covariates["genero"].quasi_identifier
    assert "telefono" not in study.covariates
    assert "Teléfono (a telephone number)" in text


def test_an_outcome_after_treatment_is_no_covariate_like_others(project):
    sessions_like_clinic().to_csv(project / "sessions.csv", index=False)
    people = pd.DataFrame({"client_id": [f"C{n:03d}" for n in range(10)],
                           "BDI_vorher": range(20, 30), "BDI_nachher": range(10, 20)})  # fmt: skip
    people.to_csv(project / "people.csv", index=False)
    _, text = draft(project, "sessions.csv", "people.csv")
    marked = [line for line in text.splitlines() if "an outcome after treatment?" in line]
    assert len(marked) == 1
    assert "bdi_nachher" in marked[0]
    named = (ROOT / "config/README.md").read_text(encoding="utf-8")
    assert "## An outcome before and after treatment only" in named


def test_therapists_by_name_are_marked_before_the_first_run(project):
    frame = sessions_like_clinic()
    frame["therapist_id"] = np.repeat(["Anna Schmidt", "Peter Vogel"], 30)
    frame.to_csv(project / "sessions.csv", index=False)
    _, text = draft(project, "sessions.csv")
    assert f"  therapist: therapist_id  {CHECK} names or addresses stand in it" in text
    assert "Anna" not in text


def test_without_the_environment_one_sentence_says_what_to_type(tmp_path):
    """A Python without pandas: the likeliest first mistake."""
    (tmp_path / "pandas.py").write_text("raise ModuleNotFoundError(name='pandas')\n")
    command = [sys.executable, str(ROOT / "scripts/start_study.py"), "x.csv"]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "source .venv/bin/activate" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_file_takes_the_name_of_another(project):
    """The third file would be numbered as the second is called."""
    files = [project / name for name in ("wai.csv", "wai_3.csv", "later/wai.csv")]
    files[2].parent.mkdir()
    for file in files:
        sessions_like_clinic().to_csv(file, index=False)
    tables = start_study._read(files, project)
    assert {name: raw.file for name, raw in tables.items()} == {
        "wai": "wai.csv", "wai_3": "wai_3.csv", "wai_4": "later/wai.csv",
    }  # fmt: skip
    assert [raw.name for raw in tables.values()] == list(tables)


def test_a_draft_that_does_not_load_is_told_and_is_no_stack_trace(project, capsys, monkeypatch):
    (project / "x.csv").write_text("id,session,phq9\n1,1,3\n1,2,4\n")
    monkeypatch.setattr(start_study, "study_text", lambda draft: "study: 1\nunknown: 2\n")
    assert start_study.main(["--root", str(project), "--id", "mine", str(project / "x.csv")]) == 1
    told = capsys.readouterr().err
    assert "config/studies/mine.yaml was written but does not load" in told
    assert "unknown" in told
    assert "Traceback" not in told
