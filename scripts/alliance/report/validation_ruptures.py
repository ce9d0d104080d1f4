"""The tests of ruptures on the page of `snakemake validate`: do they keep their level?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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


def rupture_tables(designs: Mapping[str, pd.DataFrame]) -> Iterable[tuple[str, list[list[str]]]]:
    """Sentence and rows of each design: level, tests, rejected by the nominal p and by the null.

    Parameters
    ----------
    designs : design -> ``simulation.rupture_studies.rejection_table``.
    """
    for name, table in designs.items():
        usable = table[table["n_studies"] > 0]
        n = int(usable["n_studies"].max()) if len(usable) else 0
        words = DESIGN_WORDS.get(name, name.replace("_", " "))
        rows = [
            [LEVELS[level], f"{own['n_studies'].sum():,.0f}", _pooled(own, "pct_nominal"),
             _pooled(own, "pct_null"), _range(own)]
            for level in LEVELS
            for own in [usable[usable["test"].map(level_of) == level]]
            if len(own)
        ]  # fmt: skip
        yield f"{n:,} studies {words}. {_verdict(name, usable, n)}".strip(), rows


def _verdict(design: str, table: pd.DataFrame, n: int) -> str:
    if design != SIZE_DESIGN:
        return "Shares are power."
    if n < ENOUGH:
        return "Too few studies to say whether the tests keep 5 %."
    tested = table[(table["n_studies"] >= ENOUGH) & (table["test"] != "noise")]
    inside = {p: tested[p].round(1).between(*TYPE_ONE) for p in ("pct_null", "pct_nominal")}
    error = 100 * np.sqrt(0.05 * 0.95 / tested["n_studies"])  # of a test that keeps 5 %
    clear = tested[(tested["pct_null"] - 5).abs() > 2 * error]
    said = (
        f"{int(inside['pct_null'].sum())} of {len(tested)} tests that were possible in at least "
        f"{ENOUGH} studies reject {TYPE_ONE[0]} to {TYPE_ONE[1]} % by the p against the null, "
        f"{int(inside['pct_nominal'].sum())} by the nominal p; chance alone moves a single share "
        f"by {error.median():.1f} points (standard error)."
    )
    outside = [
        f"{r.rule}, {r.test} {r.term}: {r.pct_null:.1f} % of {r.n_studies:,.0f}"
        for r in clear.itertuples()
    ]
    told = (
        f"Further from 5 % than twice that: {'; '.join(outside)}."
        if outside
        else ("None is further from 5 % than twice that.")
    )
    return f"{said} {told}"


def _pooled(own: pd.DataFrame, column: str) -> str:
    """Share of all tests of a level; empty where there is none."""
    known = own[own[column].notna()]
    if known.empty:
        return ""
    return f"{np.average(known[column], weights=known['n_studies']):.1f}"


def _range(own: pd.DataFrame) -> str:
    known = own.loc[own["n_studies"] >= ENOUGH, "pct_null"].dropna()
    return f"{known.min():.1f} to {known.max():.1f}" if len(known) else ""
