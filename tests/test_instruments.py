"""Instrument files: all load, say how sure they are, and refuse what is not known."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from alliance.instruments import (
    Instrument,
    known_instruments,
    load_instrument,
    load_instruments,
    refusal,
)
from alliance.problems import StudyError

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "config" / "instruments"
REFERENCE = ROOT.parent / "shared" / "reference" / "instruments.yaml"
EVERY = known_instruments(FOLDER)

NO_KEY = {"arm12", "arm28", "brwai_16", "calpas12", "calpas_p24", "ctas_r", "oq30", "yoq30"}
NOT_SUMMED = {"psq_rupture", "threers"}
FROM_MEMORY = {
    "haq2", "iip32_barkham", "softa_s", "stts_r", "waio", "waisr_therapist12", "waisrt_10",
}  # fmt: skip

MINIMAL = {
    "id": "mini", "name": "Mini", "domain": "outcome", "perspective": "client", "n_items": 4,
    "response_min": 0, "response_max": 3, "reverse": [2], "total_rule": "sum",
    "higher_is": "worse", "verification": "verified_1", "references": [],
}  # fmt: skip


def test_there_are_38_instruments():
    assert len(EVERY) == 38


@pytest.mark.parametrize("name", EVERY)
def test_every_file_loads_and_cites_a_publication(name):
    instrument = load_instrument(FOLDER / f"{name}.yaml")
    assert instrument.references
    assert instrument.id == name
    assert (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").startswith("# ")


def test_what_has_no_key_refuses_even_when_unverified_keys_are_accepted():
    refused = {n for n, key in load_instruments(FOLDER, EVERY).items() if refusal(key, True)}
    # The STTS-R has no total, only subscales.
    assert refused == NO_KEY | NOT_SUMMED | {"stts_r"}


def test_what_rests_on_memory_needs_consent():
    keys = load_instruments(FOLDER, EVERY)
    from_memory = {n for n, k in keys.items() if not k.not_scorable and "memory" in k.verification}
    assert from_memory == FROM_MEMORY
    for name in FROM_MEMORY - {"stts_r"}:
        assert "memory alone" in refusal(keys[name], accept_unverified=False)
        assert refusal(keys[name], accept_unverified=True) == ""


def test_total_and_subscales_are_refused_separately():
    tasc = load_instrument(FOLDER / "tasc_r.yaml")
    assert refusal(tasc, False) == ""
    assert "memory alone" in refusal(tasc, False, "subscales")
    assert refusal(tasc, True, "subscales") == ""
    barkham = load_instrument(FOLDER / "iip32_barkham.yaml")
    assert refusal(barkham, True, "subscales")


def test_keys_agree_with_the_reference():
    if not REFERENCE.exists():
        pytest.skip("the reference keys are not on this machine")
    reference = yaml.safe_load(REFERENCE.read_text(encoding="utf-8"))["instruments"]
    keys = load_instruments(FOLDER, EVERY)
    assert {entry["id"] for entry in reference} == set(keys)
    for entry in reference:
        key = keys[entry["id"]]
        assert key.reverse == entry["reverse"], key.id
        assert key.n_items == entry["items"], key.id
        assert (key.response_min, key.response_max) == (
            entry["response_min"],
            entry["response_max"],
        ), key.id
        assert key.verification == entry["confidence"], key.id
        theirs = {n.lower(): v for n, v in entry["subscales"].items() if isinstance(v, list)}
        for scale, items in key.subscales.items():
            assert items == theirs.get(scale, [13]), (key.id, scale)
        if entry["total_range"] and key.score_range:
            assert list(key.score_range) == entry["total_range"], key.id
        if entry["higher_is"] in ("better", "worse"):
            assert key.higher_is == entry["higher_is"], key.id


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("waisr_client", (1, 5)),
        ("wais_client", (12, 84)),
        ("core10", (0, 40)),
        ("who5", (0, 100)),
        ("srs_v3", (0, 40)),
        ("stts_r", None),
    ],
)
def test_score_range(name, expected):
    assert load_instrument(FOLDER / f"{name}.yaml").score_range == expected


def test_score_range_follows_the_form_that_was_used():
    key = load_instrument(FOLDER / "waisr_client.yaml")
    assert key.range_of("total", (1, 7)) == (1, 7)
    assert key.range_of("bond") == (1, 5)
    assert load_instrument(FOLDER / "wais_client.yaml").range_of("bond", (1, 5)) == (4, 20)


def test_unknown_instruments_are_all_told_with_a_suggestion():
    with pytest.raises(StudyError) as error:
        load_instruments(FOLDER, ["waisr_cleint", "core10", "nothing_like_it"])
    assert len(error.value.problems) == 2
    text = str(error.value)
    assert "Did you mean 'waisr_client'?" in text
    assert "nothing_like_it" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reverse": [5]}, "there are 4 items"),
        ({"subscales": {"a": [1, 1]}}, "an item twice"),
        ({"reverse": None}, "not_scorable must say why"),
        ({"total_rule": "none"}, "neither total_rule nor subscale_rule"),
        ({"missing_rule": "subscale_mean_rounded"}, "every item in exactly one subscale"),
        ({"response_max": 0}, "response_min must be below"),
        ({"higher_is": None}, "better or worse"),
        ({"subscales": {"total": [1]}}, "must not be called total"),
        ({"subscale_rule": "sum"}, "subscale_rule needs subscales"),
        ({"n_items": None}, "n_items is null"),
    ],
)
def test_inconsistent_keys_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        Instrument.model_validate(MINIMAL | change)


def write(folder: Path, content: str | dict, name: str = "mini") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_a_file_a_user_added_loads(tmp_path):
    key = load_instrument(write(tmp_path, MINIMAL))
    assert key.score_range == (0, 12)
    assert key.minimum_of("total") == 4


def test_a_misspelt_key_gets_a_suggestion_and_a_line(tmp_path):
    content = "# comment\nrevers: [2]\n" + yaml.safe_dump(MINIMAL)
    with pytest.raises(StudyError) as error:
        load_instrument(write(tmp_path, content))
    problem = error.value.problems[0]
    assert (problem.code, problem.where) == ("UNKNOWN_KEY", "line 2, key revers")
    assert "Did you mean 'reverse'?" in problem.fix
    assert not problem.file.startswith("/")


def test_the_id_must_be_the_name_of_the_file(tmp_path):
    with pytest.raises(StudyError, match="INSTRUMENT_ID"):
        load_instrument(write(tmp_path, MINIMAL, "other"))


def test_problems_of_several_files_come_together(tmp_path):
    write(tmp_path, MINIMAL | {"reverse": [9]})
    write(tmp_path, "id: [", "broken")
    with pytest.raises(StudyError) as error:
        load_instruments(tmp_path, ["mini", "broken", "absent"])
    assert {p.code for p in error.value.problems} == {
        "WRONG_INSTRUMENT",
        "NOT_YAML",
        "UNKNOWN_INSTRUMENT",
    }
