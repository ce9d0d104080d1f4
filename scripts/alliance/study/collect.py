"""The studies of one run: read together, so that every problem of every file is told at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from alliance.problems import Problem, StudyError, suggest, suggest_family
from alliance.study.load import load_study
from alliance.study.model import Study
from alliance.study.references import entries_of
from alliance.study.yaml_lines import KeyPath, load_yaml_with_lines, where_in

STUDIES = Path("config/studies")
INSTRUMENTS = Path("config/instruments")
RUPTURES = Path("config/ruptures")
Lines = Mapping[KeyPath, int]


def collect_studies(names: Iterable[str], root: Path) -> dict[str, Study]:
    """The named studies of the project in ``root``.

    Raises
    ------
    StudyError
        With all problems of all study files, and of the files these name.
    """
    studies: dict[str, Study] = {}
    problems: list[Problem] = []
    for name in names:
        file = STUDIES / f"{name}.yaml"
        if not (root / file).is_file():
            problems.append(_unknown_study(name, root))
            continue
        problems.extend(_missing_parts(root / file, file.as_posix(), root))
        try:
            studies[name] = load_study(root / file, shown_as=file.as_posix())
        except StudyError as error:
            problems.extend(error.problems)
    if problems:
        raise StudyError(problems, "Nothing was run: the configuration has problems")
    return studies


def instruments_of(study: Study, measures: Iterable[str] | None = None) -> list[str]:
    """Ids of the instruments that the study (or these of its measures) name, once, in order."""
    chosen = study.measures if measures is None else measures
    named = (study.measures[name].instrument for name in chosen)
    return list(dict.fromkeys(name for name in named if name))


def _missing_parts(path: Path, file: str, root: Path) -> list[Problem]:
    """Files, instruments and rupture rules that are named but not there.

    Works on the file as written, so that these are told together with every other mistake.
    """
    try:
        content, lines = load_yaml_with_lines(path, file)
    except StudyError:
        return []  # told by the one who loads the study
    if not isinstance(content, Mapping):
        return []
    return [
        *_missing_files(content, lines, file, root),
        *_missing_presets(content, lines, file, root),
    ]


def _missing_files(
    content: Mapping[str, Any], lines: Lines, file: str, root: Path
) -> Iterable[Problem]:
    data = content.get("data")
    for key, table in entries_of(data if isinstance(data, Mapping) else {}, "tables").items():
        path = table.get("path")
        if isinstance(path, str) and not (root / path).is_file() and not table.get("download"):
            where = where_in(("data", "tables", key, "path"), lines)
            yield _missing_data(file, where, path, root)
    truth = content.get("truth")
    if isinstance(truth, str) and not (root / truth).is_file():
        yield Problem(
            "MISSING_FILE", "error", file, where_in(("truth",), lines), f"no file '{truth}'",
            "the truth of a simulated study", "Remove the key unless the study is simulated.",
        )  # fmt: skip


def _missing_presets(
    content: Mapping[str, Any], lines: Lines, file: str, root: Path
) -> Iterable[Problem]:
    for key, measure in entries_of(content, "measures").items():
        wanted = measure.get("instrument")
        if isinstance(wanted, str):
            at = where_in(("measures", key, "instrument"), lines)
            yield from _unless_known(wanted, INSTRUMENTS, file, at, root)
    for key, rupture in entries_of(content, "ruptures").items():
        rules = rupture.get("rules")
        for position, rule in enumerate(rules if isinstance(rules, list) else []):
            at = where_in(("ruptures", key, "rules", position), lines)
            yield from _unless_known(str(rule), RUPTURES, file, at, root)


def _unless_known(
    wanted: str, folder: Path, file: str, where: str, root: Path
) -> Iterable[Problem]:
    known = sorted(path.stem for path in (root / folder).glob("*.yaml"))
    if wanted in known:
        return
    is_instrument = folder == INSTRUMENTS
    hint = suggest_family(wanted, known) if is_instrument else suggest(wanted, known)
    yield Problem(
        f"UNKNOWN_{folder.name.upper()[:-1]}", "error", file, where, f"'{wanted}'",
        f"{'an instrument' if is_instrument else 'a rupture rule'} of {folder.as_posix()}/",
        hint or f"There are: {', '.join(known)}. {folder.as_posix()}/README.md says how to add "
        "one.",
    )  # fmt: skip


def _unknown_study(name: str, root: Path) -> Problem:
    known = sorted(path.stem for path in (root / STUDIES).glob("*.yaml"))
    return Problem(
        "UNKNOWN_STUDY", "error", "config/config.yaml", "key studies", f"'{name}'",
        f"a file of {STUDIES.as_posix()}/ ({', '.join(known)})",
        suggest(name, known) or f"Write {STUDIES.as_posix()}/{name}.yaml, or correct the name.",
    )  # fmt: skip


def _missing_data(file: str, where: str, path: str, root: Path) -> Problem:
    folder = (root / path).parent
    beside = sorted(p.name for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []
    hint = suggest(Path(path).name, beside)
    place = "the folder does not exist" if not folder.is_dir() else "no such file in the folder"
    return Problem(
        "MISSING_FILE", "error", file, where, f"'{path}': {place}",
        "a data file, named from the project's folder",
        hint or "Check the spelling and the folder; capital and small letters differ.",
    )  # fmt: skip


def absent_open_data(study: Study, present: Mapping[str, Path | None]) -> str:
    """Why an openly licensed study is skipped for now; empty when all its files are there.

    Parameters
    ----------
    present : table -> where its file was found, or None.
    """
    absent = [study.data.tables[key].path for key, path in present.items() if path is None]
    if not absent:
        return ""
    return (
        f"Skipped '{study.id}': {', '.join(absent)} is not here. "
        f"Get it with: snakemake download --config 'studies=[{study.id}]'"
    )
