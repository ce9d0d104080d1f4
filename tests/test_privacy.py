"""Planted identifiers, and groups of few clients, through the whole workflow: nothing comes out."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
import subprocess
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conftest import Project, copy_project, environment

pytestmark = pytest.mark.workflow

FEW = 3  # clients of a rare modality
KEY = "correct-horse-battery-staple-7"
FIRST = ("Annegret", "Björn", "Chrysanthe", "Dieudonné", "Eleonore", "Friederike", "Gottlieb")
LAST = ("Quellenhoff", "Winterfeldt", "Ziegenspeck", "Oberkirch", "Jablonowski")
NOTE = "Called her sister in Tuebingen about the divorce"


def planted_name(number: int) -> str:
    return f"{FIRST[number % len(FIRST)]} {LAST[number // len(FIRST) % len(LAST)]}{number}"


def plant(project: Project, named: bool) -> set[str]:
    """Identifying ids, and columns nobody declared; returns every string that must not come out.

    The ids are names of persons (``named``) or record numbers of a hospital; names stand in a
    column of their own in any case.
    """
    folder = project.root / "data/mini"
    clients = pd.read_csv(folder / "clients.csv", dtype=str)
    sessions = pd.read_csv(folder / "sessions.csv", dtype=str)
    given = clients["client_id"]
    n = np.arange(len(clients))
    full = [planted_name(i) for i in n]
    numbers = [f"77204419{i:04d}" for i in 37 * n + 1111]
    names = dict(zip(given, full if named else numbers, strict=True))
    therapists = sorted(set(sessions["therapist_id"].dropna()))
    staff = [f"Dr. Hollerbach{i}" if named else f"993077{i:05d}" for i in range(len(therapists))]
    doctors = dict(zip(therapists, staff, strict=True))
    personal = pd.DataFrame(
        {
            "full_name": full,
            "e_mail": [f"person{i}@postfach-muster.example" for i in n],
            "telephone": [f"+49 7071 55512{i:02d}" for i in n],
            "birth_date": [f"19{50 + i % 50}-03-{1 + i % 28:02d}" for i in n],
            "street": [f"Gartenstrasse {i + 100}, 72074 Tuebingen" for i in n],
            "insurance_no": [f"A{123456780 + i}" for i in n],
        }
    )
    for table in (clients, sessions):
        table["client_id"] = table["client_id"].map(names)
        if "therapist_id" in table:
            table["therapist_id"] = table["therapist_id"].map(doctors)
    sessions["remarks"] = [f"{NOTE}, visit {i}" for i in range(len(sessions))]
    dates = set(sessions["session_date"].dropna())
    pd.concat([clients, personal], axis=1).to_csv(folder / "clients.csv", index=False)
    sessions.to_csv(folder / "sessions.csv", index=False)
    project.study(lambda study: study["privacy"].update(pseudonyms="keyed"))
    secret = {
        NOTE,
        *names.values(),
        *staff,
        "Hollerbach",
        "postfach-muster",
        "Gartenstrasse",
        KEY,
        *FIRST,
        *LAST,
        *dates,
    }
    return (
        secret
        | set(personal["telephone"])
        | set(personal["insurance_no"])
        | set(personal["birth_date"])
    )


def run(project: Project, key: str | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "snakemake"],
        cwd=project.root,
        env=environment() | ({"ALLIANCE_PSEUDONYM_KEY": key} if key else {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def contents(path: Path) -> bytes:
    """The bytes of a file and, of a compressed table, all its entries as text."""
    raw = path.read_bytes()
    if path.suffix == ".parquet":
        text = io.StringIO()
        pd.read_parquet(path).to_csv(text)
        raw += text.getvalue().encode()
    if path.suffix == ".json":
        raw += json.dumps(json.loads(raw), ensure_ascii=False).encode()
    if zipfile.is_zipfile(path):  # .docx, .xlsx, .zip
        with zipfile.ZipFile(path) as archive:
            raw += b"\n".join(archive.read(name) for name in archive.namelist())
    if path.suffix == ".nc":
        raw += _text_of_posterior(path)
    for packed in re.findall(rb"base64,([A-Za-z0-9+/=]{40,})", raw):
        raw += base64.b64decode(packed)
    return raw + _unpacked_words_of_pictures(raw)


def _text_of_posterior(path: Path) -> bytes:
    """Names, attributes and labels of every group: HDF5 may hold them compressed."""
    tree = xr.open_datatree(path)
    parts = [f"{group.path} {group.attrs}" for group in tree.subtree]
    for group in tree.subtree:
        parts += [f"{name} {variable.attrs}" for name, variable in group.variables.items()]
        parts += [
            str(c.to_numpy().tolist()) for c in group.coords.values() if c.dtype.kind in "OUS"
        ]
    tree.close()
    return "\n".join(parts).encode()


def _unpacked_words_of_pictures(raw: bytes) -> bytes:
    """Compressed text in PNG pictures and in PDF streams."""
    found = []
    for start in (at.end() for at in re.finditer(rb"stream\r?\n|zTXt[^\0]*\0\0", raw)):
        with contextlib.suppress(zlib.error):
            found.append(zlib.decompressobj().decompress(raw[start:]))
    return b"\n".join(found)


def test_the_search_looks_into_packed_files(tmp_path):
    word = "Quellenhoff"
    with zipfile.ZipFile(tmp_path / "x.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", f"<w:t>{word}</w:t>" * 50)
    xr.Dataset({"a": ("client", [1.0])}, coords={"client": [word]}).to_netcdf(tmp_path / "x.nc")
    pd.DataFrame({"a": [word] * 9}).to_parquet(tmp_path / "x.parquet")
    packed = base64.b64encode(b"x" * 40 + word.encode()).decode()
    (tmp_path / "x.html").write_text(f'<img src="data:image/png;base64,{packed}">')
    (tmp_path / "x.pdf").write_bytes(b"stream\n" + zlib.compress(word.encode()))
    (tmp_path / "x.json").write_text(json.dumps({"a": word + "ü"}))
    for path in tmp_path.iterdir():
        assert word.encode() in contents(path), path.name


def written(project: Project) -> list[Path]:
    folders = [project.root / "results", project.root / ".snakemake"]
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def leaks(project: Project, screen: str, secret: set[str]) -> set[tuple[str, str]]:
    """Where a secret stands, in capitals or not: all in lower case is searched six times faster."""
    words = sorted(word.encode().lower() for word in secret)
    pattern = re.compile(b"|".join(map(re.escape, words)))
    found = {("screen", hit.decode()) for hit in pattern.findall(screen.encode().lower())}
    for path in written(project):
        hits = pattern.findall(contents(path).lower())
        found |= {(str(path.relative_to(project.root)), hit.decode()) for hit in hits}
    return found


def test_the_search_finds_what_was_planted_in_capitals_or_not(project):
    page = project.root / "results/page.html"
    page.parent.mkdir()
    page.write_text("<b>QUELLENHOFF</b> and björn", encoding="utf-8")
    told = {("results/page.html", "quellenhoff"), ("results/page.html", "björn")}
    assert leaks(project, "", {"Quellenhoff", "Björn"}) == told
    assert leaks(project, "Dr. hollerbach", {"Hollerbach"}) == {("screen", "hollerbach")}


def test_names_as_ids_are_refused_and_stand_in_no_byte(finished, tmp_path):
    project = copy_project(tmp_path / "project", finished)
    secret = plant(project, named=True)
    done = run(project, KEY)
    assert done.returncode != 0
    told = pd.read_csv(project.root / "results/mini/qc/validation.tsv", sep="\t")
    assert told.loc[told["severity"] == "error", "code"].tolist() == ["NAMES_FOUND"] * 2
    assert leaks(project, done.stdout, secret) == set()


@dataclass(frozen=True)
class Planted:
    """A finished project with planted identifiers, what must not come out, and the screen."""

    project: Project
    secret: set[str]
    screen: str


@pytest.fixture(scope="module")
def planted(finished, tmp_path_factory) -> Planted:
    """One run for both questions: identifying ids, and three clients of a rare modality."""
    project = copy_project(tmp_path_factory.mktemp("planted") / "project", finished)
    path = project.root / "data/mini/clients.csv"
    clients = pd.read_csv(path, dtype=str)
    clients.loc[: FEW - 1, "modality"] = "hypnosis"
    clients.to_csv(path, index=False)
    secret = plant(project, named=False)
    done = run(project, KEY)
    assert done.returncode == 0, done.stdout
    return Planted(project, secret, done.stdout)


def test_planted_identifiers_are_in_no_byte_of_what_is_written(planted):
    project, secret = planted.project, planted.secret
    suffixes = {path.suffix for path in written(project)}
    assert {".parquet", ".csv", ".tsv", ".html", ".log", ".json", ".docx"} <= suffixes
    assert leaks(project, planted.screen, secret) == set()
    scored = pd.read_parquet(project.root / "results/mini/data/scored/sessions.parquet")
    assert scored["client"].str.fullmatch(r"C[A-Z2-7]{8,}").all()
    # The search would find them: the same names stand in the user's own file.
    own = (project.root / "data/mini/clients.csv").read_bytes()
    assert all(word.encode() in own for word in (*FIRST, *LAST))


def test_pseudonyms_stay_in_the_tables_of_records(planted):
    """What people read and pass on leads back to nobody's records, not even by pseudonym."""
    results = planted.project.root / "results/mini"
    scored = pd.read_parquet(results / "data/scored/sessions.parquet")
    pseudonyms = {name.encode() for name in scored["client"].unique()}
    read = [
        path
        for path in results.rglob("*")
        if path.is_file() and path.relative_to(results).parts[0] not in ("data", "qc", "bayes")
    ]
    assert {"trajectories.csv", "report.html", "manuscript.docx"} <= {path.name for path in read}
    found = {path.name: pseudonyms & words(path) for path in read}
    assert {name: told for name, told in found.items() if told} == {}
    assert pseudonyms <= words(results / "data/scored/sessions.parquet")  # the search finds them


def words(path: Path) -> set[bytes]:
    """Every word in a file, also in what it holds compressed."""
    return set(re.findall(rb"\w+", contents(path)))


@pytest.mark.parametrize("key", [None, "short"])
def test_without_a_key_nothing_is_let_in_and_nothing_told(finished, tmp_path, key):
    project = copy_project(tmp_path / "project", finished)
    secret = plant(project, named=False)
    done = run(project, key)
    assert done.returncode != 0
    assert "ALLIANCE_PSEUDONYM_KEY" in done.stdout
    assert leaks(project, done.stdout, secret - {KEY}) == set()
    assert not list((project.root / "results").rglob("*.parquet"))


# --- groups of few clients ---------------------------------------------------------------------


@pytest.fixture
def with_few(planted) -> Project:
    """The finished project with three clients of a rare modality."""
    return planted.project


def table(project: Project, name: str) -> pd.DataFrame:
    return pd.read_csv(project.root / "results/mini" / name)


def test_a_category_of_few_clients_is_counted_nowhere(with_few):
    sample = table(with_few, "tables/sample.csv")
    rare = sample[sample["category"] == "hypnosis"]
    assert rare["suppressed"].all()
    assert rare["n"].isna().all()
    own = sample[sample["variable"] == "modality"]
    assert own["n"].isna().sum() >= 2  # else the total would tell it
    page = (with_few.root / "results/mini/report.html").read_text(encoding="utf-8")
    row = re.search(r"<tr>(?:(?!</tr>).)*hypnosis.*?</tr>", page, re.DOTALL)
    assert row is not None
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row[0])
    assert "not shown" in cells
    assert str(FEW) not in cells


COUNTS = re.compile(r"n(_clients|_evaluable|_ruptured|_repaired|_unrepaired|_indeterminate|_none|"
                    r"_no_variance|_not_evaluable|_improved|_unchanged|_deteriorated|_recovered|"
                    r"_clinical_before|_a|_b|_both|_attended|_present)?|clients(_in|_out|_lost)?"
                    )  # fmt: skip


def shown_tables(project: Project) -> list[Path]:
    base = project.root / "results/mini"
    return [base / "estimates.csv", *(base / "tables").rglob("*.csv"),
            *(base / "figures").glob("*.csv")]  # fmt: skip


def test_no_count_of_few_clients_in_tables_estimates_and_figures(with_few):
    checked = 0
    for path in shown_tables(with_few):
        frame = pd.read_csv(path)
        if "series" in frame:  # lines of single clients, drawn as such
            frame = frame[frame["series"] == "mean"]
        if "variable" in frame:  # therapists are not clients
            frame = frame[frame["variable"] != "therapists"]
        for name in filter(COUNTS.fullmatch, frame.columns):
            values = pd.to_numeric(frame[name], errors="coerce").dropna()
            checked += len(values)
            assert not values.between(1, 4).any(), f"{path.name}: {name}"
    assert checked > 100


def test_no_sentence_tells_a_number_of_few_clients(with_few):
    base = with_few.root / "results/mini"
    pages = [base / "report.html", *(base / "tables").rglob("*.html"), base / "estimates.csv",
             *(base / "figures").glob("*.json")]  # fmt: skip
    for path in pages:
        text = re.sub(r"<[^>]*>", " ", path.read_text(encoding="utf-8"))
        found = re.findall(r"(?<![\w.,])[1-4] clients?\b", text)
        assert not found, f"{path.name}: {found}"
        assert not re.findall(r"\b(?:none|repaired|unrepaired) \(?[1-4]\b", text), path.name


def test_complements_of_few_clients_are_hidden_in_ruptures(with_few):
    for path in (with_few.root / "results/mini/tables/ruptures").rglob("*.csv"):
        table = pd.read_csv(path)
        if not {"n_clients", "n_evaluable", "n_ruptured"} <= set(table.columns):
            continue
        for row in table.itertuples():
            for whole, part in (
                (row.n_clients, row.n_evaluable), (row.n_evaluable, row.n_ruptured),
            ):  # fmt: skip
                if np.isfinite(whole) and np.isfinite(part):
                    assert not 0 < whole - part < 5
