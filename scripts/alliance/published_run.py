"""A run of a study held against the reference values that were published with it.

`snakemake publish` keeps the estimates, the numbers behind each figure and the numbers of each
table of a run; `snakemake verify` compares a later run with them, number by number. How far a
number may be off depends on how it was made:

- Counts and words: not at all.
- Maximum likelihood and everything computed from it: a thousandth of the standard error, where
  optimisers and processors may differ, and of a p value what follows from that; without a standard
  error, one part in ten thousand. That holds for null data sets too: their draws are seeded.
- Posterior draws: another version or machine may draw otherwise, so a summary may differ by Monte
  Carlo error, four standard errors of the difference of two runs of the same effective size
  (Vehtari et al., 2021, Bayesian Analysis 16, 667-718): for a mean sqrt(2) SD / sqrt(ESS); for a
  limit of a 95% interval 2.67 times as much, as the density of a normal distribution is low there.
  Tables and figures of draws have rules of their own (:mod:`alliance.published_draws`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from alliance.problems import Problem
from alliance.published_draws import (
    LEAST_ESS,
    LIMIT_FACTOR,
    MC_ERRORS,
    SUMMARISED,
    Summary,
    allowed_in_check,
    allowed_in_row,
    is_table_of_checks,
    on_the_logarithm,
)

Verdict = Literal["reproduced", "differs", "missing", "new"]
Part = Literal["estimates", "figure", "table"]

KEYS = [
    "analysis", "term", "level", "estimator", "kind", "predictor", "outcome", "component", "lag",
    "clock", "trend",
]  # fmt: skip
NUMBERS = (
    "estimate", "se", "ci_low", "ci_high", "p", "p_adjusted", "p_null", "null_mean", "null_low",
    "null_high", "pd", "std_within", "std_within_low", "std_within_high", "sd_random_slope",
    "pct_clients_same_sign", "n_obs", "n_clients", "n_therapists",
    "reliability_assumed",  # a study's own is estimated: its last digits may move
)  # fmt: skip
WORDS = ("status", "units")
SAMPLED_WORDS = ("NUTS", "posterior", "Bayes")
SAMPLED_COLUMNS = ("nuts", "rhat", "ess", "pd", "elpd", "divergences", "pareto")
NOT_COMPARED = ("code_hash", "seed", "rhat_max", "ess_min")

PUBLISHED_COLUMNS: tuple[str, ...] = (
    *KEYS, *WORDS, *NUMBERS, "ess_min",
)  # fmt: skip
OF_DRAWS = ("client_slopes",)  # every number is of posterior draws, and no word of a row says so
OF_SINGLE_CLIENTS = ("trajectories", "rupture_timelines", "drop_probabilities")
MOST_SHOWN = 20

OF_SE = 1e-3
RELATIVE = 1e-4
FLOOR = 1e-9
PROBABILITIES = ("probability", "mean_probability")
OF_PROBABILITY = 1e-3  # at an optimum, which is known to a small part of its standard error
OF_SAMPLED = 0.05  # numbers of draws without an interval: five hundredths of themselves


@dataclass(frozen=True)
class Comparison:
    """One number (or word) of a published run beside the same one of this run.

    Attributes
    ----------
    part, name : where it stands, e.g. ``figure``, ``forest``. row, column : which cell.
    tolerance : largest allowed difference; 0 for counts. difference : obtained - published.
    """

    part: Part
    name: str
    row: str
    column: str
    published: str
    obtained: str
    difference: float
    tolerance: float
    verdict: Verdict


COLUMNS = tuple(Comparison.__dataclass_fields__)


def is_sampled(estimator: str) -> bool:
    """Whether an estimator summarises posterior draws."""
    return any(word in estimator for word in SAMPLED_WORDS)


def tolerance_of(row: pd.Series, column: str) -> float:
    """How far one number of a row of the estimates may be off (see the module's text)."""
    if column.startswith("n_"):
        return 0.0
    value, se = float(row[column]), float(row["se"])
    if column == "reliability_assumed":
        return RELATIVE * abs(value)
    if is_sampled(str(row["estimator"])):
        return _monte_carlo(row, column)
    if column in ("estimate", "se", "ci_low", "ci_high") and np.isfinite(se) and se > 0:
        return OF_SE * se
    if column == "p" and 0.0 < value < 1.0:
        return max(_moved_p(value), RELATIVE * value, FLOOR)
    return max(RELATIVE * abs(value), _of_width(row, column), FLOOR)


def _of_width(row: pd.Series, column: str) -> float:
    """What a number near zero may be off by, from the width of its interval; 0 without one."""
    if column.startswith("std_within"):
        width = OF_SE * _span(row, "std_within_low", "std_within_high") / 3.92
    elif column == "sd_random_slope":
        width = OF_SE * row["se"]
    elif column.startswith("null_"):
        width = RELATIVE * _span(row, "null_low", "null_high")
    else:
        return 0.0
    return float(width) if np.isfinite(width) else 0.0


def _span(row: pd.Series, low: str, high: str) -> float:
    """Width of an interval; NaN where a run published before it was kept does not have it."""
    return float(row.get(high, np.nan)) - float(row.get(low, np.nan))


def _moved_p(p: float) -> float:
    """How far p moves when estimate and standard error do as far as they may (normal tails)."""
    z = float(stats.norm.isf(p / 2))
    return float(2 * stats.norm.pdf(z) * OF_SE * (1 + z))


def _monte_carlo(row: pd.Series, column: str) -> float:
    ess = row["ess_min"] if np.isfinite(row["ess_min"]) else LEAST_ESS
    sd = row["se"] if np.isfinite(row["se"]) else abs(row["ci_high"] - row["ci_low"]) / 3.92
    if not np.isfinite(sd):
        return OF_SAMPLED * abs(float(row[column]))
    errors = MC_ERRORS * np.sqrt(2.0) / np.sqrt(max(ess, 1.0))
    error = errors * sd
    if column.startswith("std_within"):
        width = _span(row, "std_within_low", "std_within_high")
        if not np.isfinite(width):
            return OF_SAMPLED
        return float(errors * width / 3.92 * (1.0 if column == "std_within" else LIMIT_FACTOR))
    if column == "pd":  # a share of draws; at most as exact as one draw in all
        share = float(row["pd"])
        return float(max(errors * np.sqrt(share * (1.0 - share)), MC_ERRORS / ess))
    if column in ("sd_random_slope", "pct_clients_same_sign"):
        return OF_SAMPLED * abs(float(row[column]))
    return float(error * (LIMIT_FACTOR if column in ("ci_low", "ci_high") else 1.0))


def compare_runs(
    published: Mapping[tuple[Part, str], pd.DataFrame],
    obtained: Mapping[tuple[Part, str], pd.DataFrame],
) -> pd.DataFrame:
    """Every number of two runs side by side.

    Parameters
    ----------
    published, obtained : (part, name) -> table, e.g. ``("figure", "forest")``.

    Returns
    -------
    DataFrame
        Columns of :class:`Comparison`; parts in the order of ``published``, then what is new.
    """
    found: list[Comparison] = []
    for (part, name), table in published.items():
        own = obtained.get((part, name))
        if own is None:
            found.append(_whole(part, name, "missing"))
        elif set(KEYS) <= set(table.columns):
            found += compare_estimates(part, name, table, own)
        elif (summarise := _summary_of(table)) is not None and _summary_of(own) is not None:
            found += compare_tables(part, name, _words_of(table), _words_of(own))
            found += compare_summaries(part, name, summarise(table), summarise(own))
        else:
            found += compare_tables(part, name, table, own)
    found += [_whole(part, name, "new") for part, name in obtained if (part, name) not in published]
    return pd.DataFrame([asdict(c) for c in found], columns=list(COLUMNS))


def _whole(part: Part, name: str, verdict: Verdict) -> Comparison:
    return Comparison(part, name, "", "", "", "", float("nan"), float("nan"), verdict)


def compare_estimates(
    part: Part, name: str, published: pd.DataFrame, obtained: pd.DataFrame
) -> Iterator[Comparison]:
    """Tables with the columns of the estimates, matched row by row by what they estimate."""
    left, right = _by_key(published), _by_key(obtained)
    for key, row in left.items():
        words = _row_words(row)
        if key not in right:
            yield _row(part, name, words, "missing")
            continue
        yield from _compare_row(part, name, words, row, right[key])
    for key, row in right.items():
        if key not in left:
            yield _row(part, name, _row_words(row), "new")


def _by_key(table: pd.DataFrame) -> dict[tuple[object, ...], pd.Series]:
    """Rows by what they estimate; rows that say the same are told apart by their order."""
    plain = table[KEYS].astype(object).fillna("").astype(str)  # no NaN, which equals nothing
    again = plain.groupby(KEYS).cumcount()
    keys = [(*values, n) for values, n in zip(plain.itertuples(index=False), again, strict=True)]
    return dict(zip(keys, (row for _, row in table.iterrows()), strict=True))


def _row_words(row: pd.Series) -> str:
    extra = [str(row[name]) for name in ("component", "trend") if isinstance(row[name], str)]
    return " / ".join([row["analysis"], row["term"], str(row["estimator"]), *filter(None, extra)])


def _row(part: Part, name: str, words: str, verdict: Verdict) -> Comparison:
    return Comparison(part, name, words, "", "", "", float("nan"), float("nan"), verdict)


def _compare_row(
    part: Part, name: str, words: str, published: pd.Series, obtained: pd.Series
) -> Iterator[Comparison]:
    for column in WORDS:
        yield _word(part, name, words, column, published[column], obtained[column])
    for column in NUMBERS:
        if column not in published.index:
            if column in obtained.index and pd.notna(obtained[column]):
                now = f"{obtained[column]:.10g}"
                yield Comparison(part, name, words, column, "", now, np.nan, np.nan, "new")
            continue
        if pd.isna(published[column]) and pd.isna(obtained[column]):
            continue
        allowed = tolerance_of(published, column)
        yield _number(part, name, words, column, published[column], obtained[column], allowed)


def compare_tables(
    part: Part, name: str, published: pd.DataFrame, obtained: pd.DataFrame
) -> Iterator[Comparison]:
    """Any other table, cell by cell; rows keep their order."""
    for column in published.columns.difference(obtained.columns, sort=False):
        yield Comparison(part, name, "", column, "", "", np.nan, np.nan, "missing")
    for column in obtained.columns.difference(published.columns, sort=False):
        yield Comparison(part, name, "", column, "", "", np.nan, np.nan, "new")
    if len(published) != len(obtained):
        n = (str(len(published)), str(len(obtained)))
        yield Comparison(part, name, "", "number of rows", *n, np.nan, 0.0, "differs")
        return
    sampled = _sampled_rows(published) | (name in OF_DRAWS)
    for column in published.columns.intersection(obtained.columns, sort=False):
        if column not in NOT_COMPARED:
            yield from _compare_column(part, name, column, published, obtained, sampled)


def _summary_of(table: pd.DataFrame) -> Callable[[pd.DataFrame], Iterator[Summary]] | None:
    """How a figure is summarised whose bins or grid lie where the draws do; None for others."""
    found = [rule for columns, rule in SUMMARISED.items() if columns <= set(table.columns)]
    return found[0] if found else None


def _words_of(table: pd.DataFrame) -> pd.DataFrame:
    """What a figure says beside its numbers, once each."""
    words = table.select_dtypes(exclude="number").drop_duplicates(ignore_index=True)
    return words.astype(object)


def compare_summaries(
    part: Part, name: str, published: Iterable[Summary], obtained: Iterable[Summary]
) -> Iterator[Comparison]:
    """Figures by the numbers that stand for their histograms and curves."""
    left, right = ({(s.row, s.column): s for s in side} for side in (published, obtained))
    for (row, column), before in left.items():
        now = right[row, column].value if (row, column) in right else np.nan
        yield _number(part, name, row, column, before.value, now, before.tolerance)
    for row, column in right.keys() - left.keys():
        now = f"{right[row, column].value:.10g}"
        yield Comparison(part, name, row, column, "", now, np.nan, np.nan, "new")


def _sampled_rows(table: pd.DataFrame) -> pd.Series:
    """Rows whose words say that they come from draws."""
    words = table.select_dtypes(exclude="number").astype(object).fillna("").astype(str)
    pattern = "|".join(SAMPLED_WORDS)
    found = [words[name].str.contains(pattern) for name in words]
    return pd.concat(found, axis=1).any(axis=1) if found else pd.Series(False, table.index)


def _compare_column(
    part: Part,
    name: str,
    column: str,
    published: pd.DataFrame,
    obtained: pd.DataFrame,
    sampled: pd.Series,
) -> Iterator[Comparison]:
    numeric = all(_is_numeric(table[column]) for table in (published, obtained))
    drawn = any(column.startswith(word) for word in SAMPLED_COLUMNS)
    spread = float(np.ptp(published[column].dropna())) if numeric and len(published) else 0.0
    checks = is_table_of_checks(published.columns)
    pairs = zip(published[column], obtained[column], sampled, strict=True)
    for at, (before, now, by_row) in enumerate(pairs):
        where = _place(published, at)
        if not numeric:
            yield _word(part, name, where, column, before, now)
        elif pd.isna(before) and pd.isna(now):
            continue
        elif checks:
            yield _check(part, name, where, published, at, column, now)
        else:
            draws = drawn or by_row
            row = published.iloc[at]
            allowed = _allowed_of_draws(row, column) if draws else _allowed(before, spread, column)
            yield _number(part, name, where, column, before, now, allowed)


def _check(
    part: Part, name: str, where: str, published: pd.DataFrame, at: int, column: str, now: float
) -> Comparison:
    """A number of the table of checks; Bayes factors by their logarithm."""
    before, allowed = published[column].iloc[at], allowed_in_check(published, at, column)
    if not on_the_logarithm(published["check"].iloc[at], column):
        return _number(part, name, where, column, before, now, allowed)
    logs = np.log([before, now])
    return _number(part, name, where, f"logarithm of {column}", logs[0], logs[1], allowed)


def _is_numeric(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _allowed_of_draws(row: pd.Series, column: str) -> float:
    if column.startswith("n_"):
        return 0.0
    return OF_PROBABILITY if column in PROBABILITIES else allowed_in_row(row, column)


def _allowed(value: float, spread: float, column: str) -> float:
    if column.startswith("n_"):
        return 0.0
    size = 0.0 if pd.isna(value) else abs(value)
    if column in PROBABILITIES:
        return OF_PROBABILITY
    return max(RELATIVE * size, RELATIVE * 1e-2 * spread, FLOOR)


def _place(table: pd.DataFrame, at: int) -> str:
    """The words of a row, or its number."""
    words = [str(v) for v in table.iloc[at] if isinstance(v, str) and v][:3]
    return f"row {at + 1}" + (f" ({' / '.join(words)})" if words else "")


def _word(part: Part, name: str, row: str, column: str, before: object, now: object) -> Comparison:
    same = (pd.isna(before) and pd.isna(now)) or str(before) == str(now)
    verdict: Verdict = "reproduced" if same else "differs"
    return Comparison(
        part, name, row, column, str(before), str(now), 0.0 if same else np.nan, 0.0, verdict
    )


def _number(
    part: Part,
    name: str,
    row: str,
    column: str,
    before: float,
    now: float,
    allowed: float,
) -> Comparison:
    difference = float(now) - float(before)
    close = np.isfinite(difference) and abs(difference) <= allowed
    return Comparison(
        part, name, row, column, f"{before:.10g}", f"{now:.10g}", difference, allowed,
        "reproduced" if close else "missing" if pd.isna(now) else "differs",
    )  # fmt: skip


def summarise_comparison(comparison: pd.DataFrame) -> pd.DataFrame:
    """One line per estimates file, figure and table.

    Returns
    -------
    DataFrame
        ``part, name, n, n_reproduced, n_differs, n_missing, n_new, largest`` with ``largest`` the
        largest difference in units of its tolerance, of numbers that may differ at all.
    """
    rows = []
    for (part, name), own in comparison.groupby(["part", "name"], sort=False):
        counts = own["verdict"].value_counts()
        soft = own[own["tolerance"] > 0]
        ratio = (soft["difference"].abs() / soft["tolerance"]).max() if len(soft) else np.nan
        rows.append(
            {
                "part": part, "name": name, "n": len(own),
                **{f"n_{v}": int(counts.get(v, 0))
                   for v in ("reproduced", "differs", "missing", "new")},
                "largest": ratio,
            }
        )  # fmt: skip
    names = ["part", "name", "n", "n_reproduced", "n_differs", "n_missing", "n_new", "largest"]
    return pd.DataFrame(rows, columns=names)


def is_verified(comparison: pd.DataFrame) -> bool:
    """Whether nothing differs and nothing is missing; what is new does no harm."""
    return len(comparison) > 0 and not comparison["verdict"].isin(["differs", "missing"]).any()


def may_be_published(figure: str, simulated: bool) -> bool:
    """Figures with lines of single clients are published of simulated studies only."""
    return simulated or figure not in OF_SINGLE_CLIENTS


def read_run(folder: Path, figures: str, tables: str) -> dict[tuple[Part, str], pd.DataFrame]:
    """The estimates, figures and tables of a folder, as :func:`compare_runs` takes them."""
    run: dict[tuple[Part, str], pd.DataFrame] = {}
    if (folder / "estimates.csv").is_file():
        run["estimates", "estimates"] = _read(folder / "estimates.csv")
    for part, place in (("figure", figures), ("table", tables)):
        for path in sorted((folder / place).glob("*.csv")):
            run[part, path.stem] = _read(path)  # type: ignore[index]
    return run


def _read(path: Path) -> pd.DataFrame:
    """A table; a column that holds words keeps its empty words."""
    frame = pd.read_csv(path) if path.stat().st_size > 1 else pd.DataFrame()
    words = [name for name in KEYS + list(WORDS) if name in frame and frame[name].dtype == object]
    return frame.fillna(dict.fromkeys(words, ""))


def headline(study: str, comparison: pd.DataFrame) -> str:
    """``clinic: 5,120 of 5,121 published numbers and words are reproduced.``"""
    old = comparison[comparison["verdict"] != "new"]
    same = int((old["verdict"] == "reproduced").sum())
    return f"{study}: {same:,} of {len(old):,} published numbers and words are reproduced."


def failures(study: str, comparison: pd.DataFrame, page: str) -> list[Problem]:
    """What differs or is missing, the first of many one by one."""
    wrong = comparison[comparison["verdict"].isin(["differs", "missing"])]
    problems = [_problem(study, row) for row in wrong.head(MOST_SHOWN).itertuples()]
    more = len(wrong) - MOST_SHOWN
    if more > 0:
        problems.append(
            Problem(
                "NOT_REPRODUCED", "error", f"results/{study}/", "", f"{more:,} further differences",
                "the published numbers", f"See {page}.",
            )
        )  # fmt: skip
    return problems


def _problem(study: str, row: object) -> Problem:
    where = ", ".join(t for t in (_text(row.row), _text(row.column)) if t)
    file = f"data/published/{study}/: {row.part} {row.name}"
    if row.verdict == "missing":
        return Problem(
            "MISSING_RESULT", "error", file, where, "this run does not have it",
            "the published number", "Was the study file changed? Then publish again.",
        )  # fmt: skip
    return Problem(
        "NOT_REPRODUCED", "error", file, where, _difference(row),
        f"{row.published}" + (f" within {row.tolerance:.2g}" if row.tolerance > 0 else ""),
        "Other data, configuration, versions or code than in the published run; the page says "
        "which versions differ.",
    )  # fmt: skip


def _difference(row: object) -> str:
    if not row.tolerance > 0 or not np.isfinite(row.difference):
        return f"{row.obtained}"
    return f"{row.obtained} ({abs(row.difference) / row.tolerance:.1f} times the tolerance)"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
