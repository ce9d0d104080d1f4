"""What a user is told when something in a file is wrong: one record per problem, all at once."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a configuration or data file, in the words a user needs.

    Attributes
    ----------
    code : short stable name in capitals, e.g. ``MISSING_COLUMN``.
    severity : ``error`` stops the study, ``warning`` reaches the report.
    file : the file as the user knows it (as written in the study file), never an absolute path.
    where : line, row numbers, column or configuration key, e.g. ``column 'wai_3', rows 4, 17``.
    found : what is there. Never a client's record; a value only where it cannot identify anyone.
    expected : what should be there.
    fix : what to do about it.
    """

    code: str
    severity: Severity
    file: str
    where: str
    found: str
    expected: str
    fix: str

    def as_row(self) -> dict[str, str]:
        """The problem as one row of ``qc/validation.tsv``."""
        return asdict(self)

    def as_text(self) -> str:
        """The problem as the lines shown on screen."""
        head = f"{self.severity.upper()} {self.code}  {self.file}" + (
            f", {self.where}" if self.where else ""
        )
        lines = [("found", self.found), ("expected", self.expected), ("fix", self.fix)]
        return "\n".join([head, *(f"    {name + ':':<10}{text}" for name, text in lines if text)])


PROBLEM_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Problem))


class StudyError(Exception):
    """Raised with every problem found; printed without a stack trace by the scripts."""

    def __init__(self, problems: Sequence[Problem], title: str = "") -> None:
        self.problems = list(problems)
        self.title = title
        super().__init__(describe_problems(self.problems, title))


def describe_problems(problems: Iterable[Problem], title: str = "") -> str:
    """All problems as one text, errors first, with a count on top."""
    ordered = sorted(problems, key=lambda p: p.severity != "error")
    n_errors = sum(p.severity == "error" for p in ordered)
    count = f"{_plural(n_errors, 'error')}, {_plural(len(ordered) - n_errors, 'warning')}"
    return "\n\n".join([f"{title}: {count}" if title else count, *(p.as_text() for p in ordered)])


def read_problems(path: str | Path) -> list[Problem]:
    """The problems listed in a ``qc/validation.tsv``; none when it is not there."""
    if not Path(path).is_file():
        return []
    with Path(path).open(encoding="utf-8", newline="") as handle:
        return [Problem(**row) for row in csv.DictReader(handle, delimiter="\t")]  # type: ignore[arg-type]


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def suggest(word: str, known: Iterable[str]) -> str:
    """``Did you mean ...?`` for a likely typing error, else the empty string."""
    folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    return f"Did you mean '{folded[close[0]]}'?" if close else ""


def list_rows(rows: Sequence[int], shown: int = 8) -> str:
    """Row numbers as text, thinned: ``rows 2, 5, 9 and 14 more``."""
    numbers = ", ".join(str(row) for row in rows[:shown])
    more = f" and {len(rows) - shown} more" if len(rows) > shown else ""
    return f"{'row' if len(rows) == 1 else 'rows'} {numbers}{more}"


def suggest_family(word: str, known: Iterable[str]) -> str:
    """``Did you mean ...?`` for ids of instruments: all whose names begin alike.

    ``wai_sr`` means every form of the WAI-SR, which letters alone would not tell.
    """
    family = alike(word, known)
    if not family:
        return suggest(word, known)
    if len(family) == 1:
        return f"Did you mean '{family[0]}'?"
    return f"Did you mean one of {', '.join(family)}?"


def alike(word: str, known: Iterable[str], least: int = 3) -> list[str]:
    """Names that share the longest beginning with ``word``; punctuation and capitals aside."""
    plain = {name: _letters_and_digits(name) for name in known}
    wanted = _letters_and_digits(word)
    same = [name for name, text in plain.items() if text == wanted]
    shared = {name: _same_beginning(wanted, text) for name, text in plain.items()}
    longest = max(shared.values(), default=0)
    if same or longest < least:
        return same
    return sorted(name for name, length in shared.items() if length == longest)


def _same_beginning(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _letters_and_digits(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())
