"""Published numbers against ours: do we obtain, from the original data, what others printed?

A number is reproduced when ours, rounded as it was printed, is the printed one: the tolerance is
half a unit of its last digit, and nothing at all for counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from alliance.estimation.published import Obtained, PublishedModel
from alliance.problems import Problem, StudyError, suggest
from alliance.readers import read_table
from alliance.study import Study, Table, load_yaml_with_lines, resolve_path
from alliance.study.data import Data

REPRODUCED = "reproduced"
EXPLAINED = "differs, explained"
DIFFERS = "differs"
NOT_OBTAINED = "not obtained"
ANOTHER_MODEL = "another model"
ABSENT = "data not here"
FAILURES = (DIFFERS, NOT_OBTAINED)
COLUMNS = (
    "data", "data_title", "model", "model_title", "key", "quantity", "printed", "published",
    "obtained", "difference", "tolerance", "expected", "verdict", "status", "source", "note",
)  # fmt: skip
STATUS_IN_WORDS = {
    "published": "published",
    "fitted": "computed with R",
    "published and fitted": "published",
}


class _Section(BaseModel):
    """A section of the file; unknown keys are refused so that typing errors are seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OpenData(Table):
    """A data file as in a study file, with what a reader of the results wants to know of it."""

    title: str
    origin: str
    licence: str


class Explained(_Section):
    """A number known to differ: by how much it may, and why."""

    within: float = Field(gt=0)
    because: str


class PrintedNumbers(_Section):
    """Numbers printed by one source about one model, as text: their digits are the tolerance."""

    model: str
    source: str
    status: Literal["published", "fitted", "published and fitted"]
    printed: dict[str, str]
    explained: dict[str, Explained] = Field(default_factory=dict)
    another_model: str = ""


class Benchmarks(_Section):
    """``data/published/benchmarks.yaml``."""

    sources: dict[str, str]
    data: dict[str, OpenData]
    models: dict[str, PublishedModel]
    numbers: list[PrintedNumbers]

    @model_validator(mode="after")
    def _names_exist(self) -> Benchmarks:
        earlier: set[str] = set()
        for name, model in self.models.items():
            _require(model.data, self.data, f"data of model {name}")
            smaller = getattr(model, "compared_with", None)
            if smaller is not None:
                _require(smaller, earlier, f"compared_with of model {name} (models above it)")
            earlier.add(name)
        for block in self.numbers:
            _require(block.model, self.models, "model of a block of numbers")
            _require(block.source, self.sources, f"source of numbers of {block.model}")
            for key in block.explained:
                _require(key, block.printed, f"explained numbers of {block.model}")
            for key, printed in block.printed.items():
                _check_number(key, printed)
        return self


def _require(name: str, known: Mapping[str, object] | set[str], where: str) -> None:
    if name not in known:
        raise ValueError(f"{where}: '{name}' is not described. {suggest(name, known)}".strip())


def _check_number(key: str, printed: str) -> None:
    try:
        float(printed)
    except ValueError:
        raise ValueError(f"{key}: '{printed}' is not a number") from None


def read_benchmarks(path: str | Path) -> Benchmarks:
    """The published numbers and the models they come from.

    Raises
    ------
    StudyError
        With every key that is unknown, missing or of the wrong kind.
    """
    content, lines = load_yaml_with_lines(path)
    try:
        return Benchmarks.model_validate(content)
    except ValidationError as error:
        raise StudyError([_problem(e, path, lines) for e in error.errors()]) from None


def _problem(error: Any, path: str | Path, lines: Mapping[Any, int]) -> Problem:
    place = ".".join(str(part) for part in error["loc"])
    line = lines.get(tuple(error["loc"]))
    where = ", ".join([f"line {line}"] * bool(line) + [f"key {place}"] * bool(place))
    fix = "The comment at the top of the file says what each key means."
    return Problem("BENCHMARKS", "error", Path(path).name, where, error["msg"], "", fix)


def open_data_as_study(data: Mapping[str, OpenData]) -> Study:
    """The open data files as the data section of a study, which is what can be downloaded."""
    tables = {
        name: Table(**{key: getattr(entry, key) for key in Table.model_fields})
        for name, entry in data.items()
    }
    return Study.model_construct(data=Data.model_construct(tables=tables))


def read_open_data(benchmarks: Benchmarks, root: Path) -> dict[str, pd.DataFrame | None]:
    """Rows of every data set, None where it is not here.

    Parameters
    ----------
    root : folder of the project, which relative paths start from.

    Raises
    ------
    StudyError
        With the problems of files that are here but cannot be read.
    """
    frames: dict[str, pd.DataFrame | None] = {}
    problems: list[Problem] = []
    for name, entry in benchmarks.data.items():
        frames[name] = None
        if resolve_path(entry, root) is None:
            continue
        try:
            frames[name] = read_table(name, entry, root).frame
        except StudyError as error:
            problems += error.problems
    if problems:
        raise StudyError(problems, "The published data")
    return frames


def read_comparison(path: str | Path) -> pd.DataFrame:
    """The table that :func:`compare` made, as written to a file."""
    text = dict.fromkeys(
        [c for c in COLUMNS if c not in ("published", "obtained", "difference", "tolerance")], str
    )
    frame = pd.read_csv(path, dtype=text | {"expected": bool}, keep_default_na=False,
                        na_values={"obtained": [""], "difference": [""]})  # fmt: skip
    return frame[list(COLUMNS)]


# Comparison


def tolerance_of(printed: str, is_count: bool = False) -> float:
    """Half a unit of the last digit printed; 0 for counts.

    >>> tolerance_of("-2.377")
    0.0005
    """
    if is_count:
        return 0.0
    return float(Decimal(5).scaleb(Decimal(printed).as_tuple().exponent - 1))


def is_count(key: str) -> bool:
    """Whether a quantity is a number of rows, clients, gains or degrees of freedom."""
    return key.startswith("n_") or key.endswith("_df")


def verdict_of(printed: str, obtained: float, is_count: bool = False) -> str:
    """``reproduced`` when ``obtained`` rounds to what is printed, else ``differs``.

    A number exactly half-way between two printed ones may be rounded either way; the last bits of
    a binary fraction do not decide.
    """
    limit = tolerance_of(printed, is_count)
    near = abs(obtained - float(printed)) <= limit + 1e-9 * max(limit, 1e-3 * abs(float(printed)))
    return REPRODUCED if near else DIFFERS


def compare(benchmarks: Benchmarks, obtained: Mapping[str, Obtained]) -> pd.DataFrame:
    """One row per printed number, in the order of the file.

    Parameters
    ----------
    obtained : model -> what it gave (:func:`alliance.estimation.published.obtain`).

    Returns
    -------
    DataFrame
        ``COLUMNS``; ``published`` is ``printed`` as a number, ``difference`` is obtained minus
        published, ``expected`` is false for numbers of another model, ``note`` says why a number
        differs, is absent or need not match.
    """
    rows = [
        _row(benchmarks, block, key, printed, obtained[block.model])
        for block in benchmarks.numbers
        for key, printed in block.printed.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(
    benchmarks: Benchmarks, block: PrintedNumbers, key: str, printed: str, obtained: Obtained
) -> dict[str, object]:
    model = benchmarks.models[block.model]
    value = obtained.numbers.get(key, math.nan)
    verdict, note = _judge(block, key, printed, obtained)
    return {
        "data": model.data,
        "data_title": benchmarks.data[model.data].title,
        "model": block.model,
        "model_title": model.title,
        "key": key,
        "quantity": quantity_in_words(key, model.labels),
        "printed": printed,
        "published": float(printed),
        "obtained": value,
        "difference": value - float(printed),
        "tolerance": tolerance_of(printed, is_count(key)),
        "expected": not block.another_model,
        "verdict": verdict,
        "status": STATUS_IN_WORDS[block.status],
        "source": benchmarks.sources[block.source],
        "note": note,
    }


def _judge(block: PrintedNumbers, key: str, printed: str, obtained: Obtained) -> tuple[str, str]:
    """Verdict and note of one number."""
    if obtained.absent:
        return ABSENT, obtained.reason
    if key not in obtained.numbers:
        return NOT_OBTAINED, obtained.reason or "the model as described gives no such number"
    if block.another_model:
        return ANOTHER_MODEL, block.another_model
    value = obtained.numbers[key]
    verdict = verdict_of(printed, value, is_count(key))
    known = block.explained.get(key)
    if verdict == DIFFERS and known is not None and abs(value - float(printed)) <= known.within:
        return EXPLAINED, known.because
    return verdict, ""


@dataclass(frozen=True)
class Tally:
    """How many numbers there are of each kind.

    Attributes
    ----------
    expected : numbers that should be reproduced: all but those of another model.
    reproduced, explained, failed, absent : of these; they add up to ``expected``.
    published, published_reproduced : numbers that a publication prints, of those expected; the
        others were computed with R from the same file.
    another_model : numbers shown for comparison only.
    """

    expected: int
    reproduced: int
    explained: int
    failed: int
    absent: int
    published: int
    published_reproduced: int
    another_model: int


def tally(comparison: pd.DataFrame) -> Tally:
    """Count the verdicts of the numbers that should be reproduced."""
    counted = comparison[comparison["expected"]]
    verdicts = counted["verdict"]
    printed = counted["status"] == STATUS_IN_WORDS["published"]
    return Tally(
        expected=len(counted),
        reproduced=int((verdicts == REPRODUCED).sum()),
        explained=int((verdicts == EXPLAINED).sum()),
        failed=int(verdicts.isin(FAILURES).sum()),
        absent=int((verdicts == ABSENT).sum()),
        published=int(printed.sum()),
        published_reproduced=int((verdicts[printed] == REPRODUCED).sum()),
        another_model=int((comparison["verdict"] == ANOTHER_MODEL).sum()),
    )


def failures(comparison: pd.DataFrame, page: str) -> list[Problem]:
    """One problem per number that should be reproduced and is not; ``page`` is where it stands."""
    wrong = comparison[comparison["verdict"].isin(FAILURES)]
    return [
        Problem(
            "NOT_REPRODUCED",
            "error",
            page,
            f"{row.model_title}: {row.quantity}",
            f"{row.obtained:.6g}" if np.isfinite(row.obtained) else row.note,
            f"{row.printed} ({row.source})",
            "Look for what changed: the data, the description of the model, or the estimator.",
        )
        for row in wrong.itertuples()
    ]


# Words

_OF_ONE = {
    "n_rows": "rows",
    "n_clients": "clients",
    "deviance": "-2 log-likelihood",
    "aic": "AIC",
    "icc": "intraclass correlation",
    "likelihood_ratio": "likelihood ratio, chi-square",
    "likelihood_ratio_df": "likelihood ratio, degrees of freedom",
    "n_gains": "sudden gains",
    "n_clients_with_gain": "clients with a gain",
    "pct_clients_with_gain": "clients with a gain, %",
    "n_clients_with_several": "clients with several gains",
    "pct_clients_with_several": "clients with several gains, %",
    "n_reversed": "gains reversed",
    "mean_magnitude": "magnitude, mean",
    "sd_magnitude": "magnitude, SD",
}
_OF_TERM = {
    "b": "{}",
    "se": "{}, SE",
    "ci_low": "{}, 95% CI from",
    "ci_high": "{}, 95% CI to",
    "variance": "variance of {}",
    "sd": "SD of {}",
    "covariance": "covariance of {}",
}


def quantity_in_words(key: str, labels: Mapping[str, str]) -> str:
    """``se(week)`` as readers say it: ``week, SE``; ``labels`` names terms."""
    kind, _, rest = key.partition("(")
    if not rest:
        return _OF_ONE.get(key, key)
    term = rest.removesuffix(")")
    words = _OF_TERM.get(kind)
    return words.format(labels.get(term, term)) if words else key
