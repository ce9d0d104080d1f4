"""The tests of ruptures on the page of `snakemake validate`: do they keep their level?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

TYPE_ONE = (3.6, 6.4)  # percent, for nominal 5
SIZE_DESIGN = "no_ruptures"
ENOUGH = 100  # studies below which a share of rejections says little
DESIGN_WORDS: dict[str, str] = {
    SIZE_DESIGN: "without ruptures",
    "planted_no_effect": "with planted ruptures that act through the rating alone",
    "planted_effect_0_5": "with planted ruptures; an open one adds half an SD to the next symptoms",
}
MEANING: dict[str, str] = {
    "planted_no_effect": "Ruptures have no effect of their own here, so that shares of the tests "
    "against outcome and drop-out are size, those of the rates against noise are power.",
    "planted_effect_0_5": "Shares of the tests against outcome and of the rates against noise are "
    "power; on drop-out ruptures act through the symptoms only, which that test holds equal.",
}
SHARES: tuple[str, ...] = ("pct_nominal", "pct_null", "pct_attainable", "pct_null_randomised")
LEVELS: dict[str, str] = {
    "client": "Last outcome, clients by label",
    "landmark": "Outcome after a landmark session",
    "session": "Next outcome, within clients",
    "drop_out": "Drop-out",
    "noise": "Rates against noise",
}


def level_of(test: str) -> str:
    """``landmark`` of ``landmark_8``."""
    return "landmark" if test.startswith("landmark") else test


LEVEL_HEADINGS = (
    "Level", "Tests", "Nominal p, %", "p against the null, %", "Attainable, %",
    "Randomised ranks, %", "Lowest to highest, %",
)  # fmt: skip
TEST_HEADINGS = (
    "Test", "Studies", "Mean estimate", "Nominal p, %", "p against the null, %",
    "Attainable, %", "Randomised ranks, %",
)  # fmt: skip
EXPLAINED = (
    "Studies of 240 clients from the generator of the bundled clinic (items, ceiling, missed "
    "sessions, therapists, trends, drop-out), not from the null model. Each is tested against null "
    "data sets of its own; shares of tests with p at most .05, over rules and comparisons. The p "
    "against the null has as many values as there are null data sets in which a test was possible: "
    "with 119 it can reject 5% of the time, with 100 to 118 only 3.4 to 4.0% (attainable), with "
    "the 1,000 of a real study 5.0%. Randomised ranks are without these steps and tell the size "
    "of the test itself. Lowest and highest, p against the null: of single tests that were "
    "possible in 100 studies.\n"
)


@dataclass(frozen=True)
class RuptureDesign:
    """One design on the page: a sentence, rows by level and rows by test (``*_HEADINGS``).

    ``fewest`` : studies in which a test of the last was possible.
    """

    name: str
    sentence: str
    levels: list[list[str]]
    tests: list[list[str]]
    fewest: int


def rupture_designs(designs: Mapping[str, pd.DataFrame]) -> Iterable[RuptureDesign]:
    """What the page says of each design.

    Parameters
    ----------
    designs : design -> ``simulation.rupture_studies.rejection_table``; shares that an older run
        did not record stay empty.
    """
    for name, given in designs.items():
        table = given.reindex(columns=[*given, *(c for c in SHARES if c not in given)])
        usable = table[table["n_studies"] > 0]
        n = int(usable["n_studies"].max()) if len(usable) else 0
        words = DESIGN_WORDS.get(name, name.replace("_", " "))
        levels = [
            [LEVELS[level], f"{own['n_studies'].sum():,.0f}",
             *(_pooled(own, column) for column in SHARES), _range(own)]
            for level in LEVELS
            for own in [usable[usable["test"].map(level_of) == level]]
            if len(own)
        ]  # fmt: skip
        fewest = min(n, ENOUGH)
        tests = [_test_row(r) for r in usable[usable["n_studies"] >= fewest].itertuples()]
        sentence = f"{n:,} studies {words}. {_verdict(name, usable, n)}".strip()
        yield RuptureDesign(name, sentence, levels, tests, fewest)


def _test_row(r: Any) -> list[str]:
    shares = [_one_digit(getattr(r, column)) for column in SHARES]
    words = f"`{r.rule}`: {f'{r.test}, {r.term}'.replace('_', ' ')}"
    return [words, f"{r.n_studies:,.0f}", f"{r.mean_estimate:.3g}", *shares]


def _one_digit(value: float) -> str:
    return f"{value:.1f}" if np.isfinite(value) else ""


def _verdict(design: str, table: pd.DataFrame, n: int) -> str:
    if design != SIZE_DESIGN:
        return MEANING.get(design, "Shares are power.")
    if n < ENOUGH:
        return "Too few studies to say whether the tests keep 5%."
    tested = table[(table["n_studies"] >= ENOUGH) & (table["test"] != "noise")]
    inside = {p: int(tested[p].round(1).between(*TYPE_ONE).sum()) for p in SHARES}
    known = tested["pct_null_randomised"].notna().any()
    randomised = f"{inside['pct_null_randomised']} by randomised ranks, " if known else ""
    error = 100 * np.sqrt(0.05 * 0.95 / tested["n_studies"])  # of a test that keeps 5%
    said = (
        f"{inside['pct_null']} of {len(tested)} tests that were possible in at least "
        f"{ENOUGH} studies reject {TYPE_ONE[0]} to {TYPE_ONE[1]}% by the p against the null, "
        f"{randomised}{inside['pct_nominal']} by the nominal p; chance alone moves a single share "
        f"by {error.median():.1f} points (standard error)."
    )
    return f"{said} {_far(tested, error)}"


def _far(tested: pd.DataFrame, error: pd.Series) -> str:
    """Tests whose size differs from 5% by more than chance."""
    outside = [
        f"{r.rule}, {r.test} {r.term}: {r.pct_null:.1f}% of {r.n_studies:,.0f}"
        + (
            f" (attainable {r.pct_attainable:.1f}%, randomised ranks {r.pct_null_randomised:.1f}%)"
            if np.isfinite(r.pct_null_randomised)
            else ""
        )
        for r in tested[(tested["pct_null"] - 5).abs() > 2 * error].itertuples()
    ]
    if not outside:
        return "None is further from 5% than twice that."
    return f"Further from 5% than twice that: {'; '.join(outside)}."


def _pooled(own: pd.DataFrame, column: str) -> str:
    """Share of all tests of a level; empty where there is none."""
    known = own[own[column].notna()]
    if known.empty:
        return ""
    return f"{np.average(known[column], weights=known['n_studies']):.1f}"


def _range(own: pd.DataFrame) -> str:
    known = own.loc[own["n_studies"] >= ENOUGH, "pct_null"].dropna()
    return f"{known.min():.1f} to {known.max():.1f}" if len(known) else ""
