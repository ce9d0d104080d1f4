"""One and the same study, in the formats people have it in, gives one and the same scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from alliance.cleaning import clean
from alliance.deidentification import deidentify
from alliance.instruments import load_instruments
from alliance.readers import assemble, read_tables
from alliance.scoring import score_sessions
from alliance.study import Study

ROOT = Path(__file__).parents[1]
KEYS = load_instruments(ROOT / "config/instruments", ["waisr_client", "phq9"])
AGREE = {1: "seldom", 2: "sometimes", 3: "fairly often", 4: "very often", 5: "always"}
OFTEN = {0: "not at all", 1: "several days", 2: "more than half the days", 3: "nearly every day"}
WAI = [f"wai_{item}" for item in range(1, 13)]
PHQ = [f"phq_{item}" for item in range(1, 10)]
WORDS = dict.fromkeys(WAI, AGREE) | dict.fromkeys(PHQ, OFTEN)
REFUSED = 88  # the code for an answer that was refused


@pytest.fixture(scope="module")
def answers() -> pd.DataFrame:
    """The study: 8 clients, 5 sessions, some forms incomplete, a score with decimals."""
    rng = np.random.default_rng(7)
    client, session = np.repeat(np.arange(1, 9), 5), np.tile(np.arange(1, 6), 8)
    frame = pd.DataFrame({"id": [f"K{c:02d}" for c in client], "session": session})
    frame[WAI] = rng.integers(1, 6, (40, 12)).astype(float)
    frame[PHQ] = rng.integers(0, 4, (40, 9)).astype(float)
    missing = rng.random((40, 21)) < 0.08
    missing[3], missing[17, 12:] = True, True  # whole forms
    frame[[*WAI, *PHQ]] = frame[[*WAI, *PHQ]].mask(missing)
    frame["mood"] = np.round(rng.uniform(0, 10, 40), 1)
    return frame


def wide_xlsx(frame: pd.DataFrame, path: Path) -> None:
    """One row per client; every answer in words, refusals too."""
    said = frame.copy()
    for column, words in WORDS.items():
        said[column] = said[column].map(lambda x, words=words: words.get(x, "refused"))
    table = said.pivot(index="id", columns="session")  # noqa: PD010
    table.columns = [f"{name}_s{session}" for name, session in table.columns]
    table.reset_index().to_excel(path, index=False)


def long_csv(frame: pd.DataFrame, path: Path) -> None:
    """Semicolons and decimal commas, in the encoding of older programs."""
    frame.fillna(-9).to_csv(path, index=False, sep=";", decimal=",", encoding="latin-1")


def spss(frame: pd.DataFrame, path: Path) -> None:
    """Value labels; the code of refused answers is user-missing."""
    pyreadstat.write_sav(
        frame.fillna(REFUSED), path, variable_value_labels=WORDS,
        missing_ranges={name: [REFUSED] for name in WORDS},
    )  # fmt: skip


def stata(frame: pd.DataFrame, path: Path) -> None:
    """Refused answers are .a"""
    coded = frame.astype(dict.fromkeys(WORDS, object))
    for name in WORDS:
        coded[name] = coded[name].map(lambda x: "a" if pd.isna(x) else x)
    pyreadstat.write_dta(coded, path, missing_user_values={name: ["a"] for name in WORDS})


def parquet(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path, index=False)


FORMATS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    "wide.xlsx": wide_xlsx, "long.csv": long_csv, "x.sav": spss, "x.dta": stata,
    "x.parquet": parquet,
}  # fmt: skip


def study_in(name: str) -> Study:
    wide = name.startswith("wide")
    end = "_s{session}" if wide else ""

    def words(labels: dict[int, str]) -> dict[str, int]:
        return {text: number for number, text in labels.items()} if wide else {}

    codes = {"wide.xlsx": ["refused"], "long.csv": [-9]}
    return Study.model_validate(
        {
            "id": "formats",
            "title": "formats",
            "data": {"layout": "wide" if wide else "long", "tables": {"answers": {"path": name}},
                     "missing_codes": codes.get(name, [])},
            "columns": {"client": "id"} if wide else {"client": "id", "session": "session"},
            "timing": {"alliance_when": "post", "outcome_when": "pre"},
            "privacy": {"pseudonyms": "keyed"},
            "measures": {
                "alliance": {"role": "alliance", "label": "Alliance", "instrument": "waisr_client",
                             "items": "wai_{item}" + end, "labels": words(AGREE) or None},
                "symptoms": {"role": "outcome", "label": "Symptoms", "instrument": "phq9",
                             "items": "phq_{item}" + end, "labels": words(OFTEN) or None},
                "mood": {"role": "outcome", "label": "Mood", "column": "mood" + end,
                         "range": [0, 10], "higher_is": "better"},
            },
        }
    )  # fmt: skip


def scores_of(name: str, folder: Path) -> pd.DataFrame:
    """As the workflow does it: read, de-identify, clean, score."""
    study = study_in(name)
    raw = assemble(study, KEYS, read_tables(study, folder))
    safe = deidentify(raw, study, b"a key of sixteen letters")
    cleaned = clean(safe.sessions, safe.clients, study, KEYS)
    scored, _ = score_sessions(cleaned.sessions, study, KEYS)
    return scored.drop(columns="source_row")


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "x.parquet"])
def test_the_format_does_not_change_the_scores(answers, tmp_path, name):
    for file in ("x.parquet", name):
        FORMATS[file](answers, tmp_path / file)
    plain, other = scores_of("x.parquet", tmp_path), scores_of(name, tmp_path)
    both = [column for column in plain if column in other]
    assert {"alliance", "alliance_bond", "symptoms", "mood"} <= set(both)
    pd.testing.assert_frame_equal(plain[both], other[both])


def test_scores_are_those_of_the_answers(answers, tmp_path):
    """The common result is not commonly wrong: complete forms by hand."""
    parquet(answers, tmp_path / "x.parquet")
    scored = scores_of("x.parquet", tmp_path)
    assert scored["alliance"].notna().sum() > 20
    assert scored["symptoms"].isna().any()
    complete = answers[answers[PHQ].notna().all(axis=1)]
    assert sorted(scored.loc[scored[[f"symptoms__{i}" for i in range(1, 10)]].notna().all(axis=1),
                             "symptoms"]) == sorted(complete[PHQ].sum(axis=1))  # fmt: skip
