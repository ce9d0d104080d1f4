"""The studies of one run: read together, so that every problem of every file is told at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from alliance.problems import Problem, StudyError, suggest
from alliance.study.load import load_study
from alliance.study.model import Study

STUDIES = Path("config/studies")
INSTRUMENTS = Path("config/instruments")
RUPTURES = Path("config/ruptures")


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
        try:
            if not (root / file).is_file():
                raise StudyError([_unknown_study(name, root)])
            studies[name] = load_study(root / file, shown_as=file.as_posix())
            problems.extend(_missing_parts(studies[name], file.as_posix(), root))
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


def _missing_parts(study: Study, file: str, root: Path) -> Iterable[Problem]:
    for key, table in study.data.tables.items():
        if not (root / table.path).is_file() and table.download is None:
            yield _missing_data(file, key, table.path, root)
    for key, measure in study.measures.items():
        if measure.instrument:
            at = f"key measures.{key}.instrument"
            yield from _unless_known(measure.instrument, INSTRUMENTS, file, at, root)
    for key, rupture in study.ruptures.items():
        for rule in rupture.rules:
            yield from _unless_known(rule, RUPTURES, file, f"key ruptures.{key}.rules", root)
    if study.truth and not (root / study.truth).is_file():
        yield Problem(
            "MISSING_FILE", "error", file, "key truth", f"no file '{study.truth}'",
            "the truth of a simulated study", "Remove the key unless the study is simulated.",
        )  # fmt: skip


def _unless_known(
    wanted: str, folder: Path, file: str, where: str, root: Path
) -> Iterable[Problem]:
    known = sorted(path.stem for path in (root / folder).glob("*.yaml"))
    if wanted not in known:
        kind = "an instrument" if folder == INSTRUMENTS else "a rupture rule"
        yield Problem(
            f"UNKNOWN_{folder.name.upper()[:-1]}", "error", file, where, f"'{wanted}'",
            f"{kind} of {folder.as_posix()}/",
            suggest(wanted, known) or f"There are: {', '.join(known)}. "
            f"{folder.as_posix()}/README.md says how to add one.",
        )  # fmt: skip


def _unknown_study(name: str, root: Path) -> Problem:
    known = sorted(path.stem for path in (root / STUDIES).glob("*.yaml"))
    return Problem(
        "UNKNOWN_STUDY", "error", "config/config.yaml", "key studies", f"'{name}'",
        f"a file of {STUDIES.as_posix()}/ ({', '.join(known)})",
        suggest(name, known) or f"Write {STUDIES.as_posix()}/{name}.yaml, or correct the name.",
    )  # fmt: skip


def _missing_data(file: str, key: str, path: str, root: Path) -> Problem:
    folder = (root / path).parent
    beside = sorted(p.name for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []
    hint = suggest(Path(path).name, beside)
    place = "the folder does not exist" if not folder.is_dir() else "no such file in the folder"
    return Problem(
        "MISSING_FILE", "error", file, f"key data.tables.{key}.path", f"'{path}': {place}",
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
