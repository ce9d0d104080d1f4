"""Look at data files and write a first draft of their study file: start_study.py FILE..."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

try:
    from alliance.deidentification import KEY_VARIABLE
    from alliance.drafting import CHECK, draft_study, study_text
    from alliance.drafting.draft import slug
    from alliance.drafting.files import further_sheets, read_undeclared
    from alliance.instruments import known_instruments, load_instruments
    from alliance.problems import Problem, StudyError
    from alliance.readers import RawTable
    from alliance.study import load_study
except ModuleNotFoundError as error:
    sys.exit(
        f"The environment is not active (no package '{error.name}'). Type `source "
        ".venv/bin/activate` in the project's folder, or `make setup` if there is no folder .venv; "
        "with conda `conda activate alliance-outcome`. Then type the command again."
    )

MAKE_KEY = "python3 -c 'import secrets; print(secrets.token_hex(32))'"
ROOT = Path(__file__).resolve().parents[1]
DOES_NOT_LOAD = (
    "The draft {file} was written but does not load; that is a mistake of this program, not of "
    "your data. Mend these lines of it, or delete it and name fewer files:"
)


def main(arguments: list[str] | None = None) -> int:
    """Write ``config/studies/<id>.yaml`` and say what to do next; 1 when that is not possible."""
    options = _options().parse_args(arguments)
    root = options.root.resolve()
    study_id = slug(options.id or options.files[0].stem)
    target = root / "config" / "studies" / f"{study_id}.yaml"
    try:
        if target.exists():
            raise StudyError([_exists(target.relative_to(root))])
        tables = _read(options.files, root)
        folder = root / "config" / "instruments"
        instruments = load_instruments(folder, known_instruments(folder))
        text = study_text(draft_study(study_id, tables, instruments))
    except StudyError as error:
        print(error, file=sys.stderr)
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    try:
        load_study(target)
    except StudyError as error:
        print(f"{DOES_NOT_LOAD.format(file=target.relative_to(root))}\n{error}", file=sys.stderr)
        return 1
    _tell(target.relative_to(root), text, tables)
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="your data files")
    parser.add_argument("--id", help="short name of the study; left out, that of the first file")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    return parser


def _read(files: list[Path], root: Path) -> dict[str, RawTable]:
    """Every file under a short name of its own; the problems of all files at once."""
    tables: dict[str, RawTable] = {}
    problems: list[Problem] = []
    for file in files:
        name = _free(slug(file.stem), tables)
        try:
            tables[name] = read_undeclared(name, _from_root(file, root), root)
        except StudyError as error:
            problems += error.problems
            continue
        sheets, left = further_sheets(tables[name], root)
        if left:
            tables[name].notes.append(f"without the client column, not used: {', '.join(left)}")
        for sheet in sheets:
            own = _free(slug(sheet.name), tables)
            tables[own] = replace(sheet, name=own)
    if problems:
        raise StudyError(problems, "The data files")
    return tables


def _free(name: str, taken: dict[str, RawTable]) -> str:
    numbered = (f"{name}_{number}" for number in count(len(taken) + 1))
    return next(one for one in chain([name], numbered) if one not in taken)


def _from_root(file: Path, root: Path) -> str:
    """The file as a study file writes it: relative where it lies in or beside the project."""
    relative = os.path.relpath(file.resolve(), root)
    return str(file.resolve()) if relative.count("..") > 1 else Path(relative).as_posix()


def _tell(target: Path, text: str, tables: dict[str, RawTable]) -> None:
    for table in tables.values():
        rows, columns = table.frame.shape
        print(f"{table.file}: {rows} rows, {columns} columns; {'; '.join(table.notes)}")
    print(f"\nWritten: {target}")
    print(f"Look at the {text.count(CHECK)} lines marked '{CHECK}', then run")
    if "pseudonyms: keyed" in text:
        print(f'\n    export {KEY_VARIABLE}="$({MAKE_KEY})"    # keep it, tell nobody', end="")
    results = f"results/{target.stem}"
    print(f"\n    {_snakemake()} {results}/report.html {results}/manuscript/manuscript.docx\n")


def _snakemake() -> str:
    """Snakemake as this Python has it: of the project's environment, or on the path."""
    beside = Path(sys.executable).with_name("snakemake")
    inside = beside.is_relative_to(Path.cwd())
    return beside.relative_to(Path.cwd()).as_posix() if inside else "snakemake"


def _exists(target: Path) -> Problem:
    return Problem(
        "STUDY_EXISTS", "error", str(target), "", "a study file of that name",
        "a name that is still free", "Choose another name with --id, or delete the file first.",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
