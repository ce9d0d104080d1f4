"""Sudden gains and losses of a study as rows of estimates; numbers of few clients are not told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from alliance.estimates import Estimate
from alliance.instruments import Instrument, scale_name
from alliance.ruptures.sudden_gains import SuddenGains, find_sudden_gains
from alliance.small_cells import shown_counts
from alliance.study import Measure, SuddenGainsSpec
from alliance.within_between import direction

BY_CHANCE = (
    "Scores that vary by chance alone also give changes that meet the criteria; not compared with "
    "noise."
)
# Who is counted: clients without a change, with one, with several, and whether one was reversed.
_GROUPS = ("none", "one_kept", "one_reversed", "several_kept", "several_reversed")
_SUMS: dict[str, tuple[str, ...]] = {
    "all": _GROUPS,
    "with": _GROUPS[1:],
    "several": _GROUPS[3:],
    "reversed": ("one_reversed", "several_reversed"),
}
_ESTIMATOR = "Tang-DeRubeis criteria"


@dataclass(frozen=True)
class GainAnalysis:
    """Names that the rows of one entry under ``sudden_gains`` carry."""

    id: str
    measure: str
    label: str
    rater: str
    component: str
    units: str
    higher_is: str
    smallest_cell: int
    cutoff: float


def gain_analysis(
    name: str,
    spec: SuddenGainsSpec,
    measure: Measure,
    instrument: Instrument | None,
    smallest_cell: int,
) -> GainAnalysis:
    """The names and units of one entry under ``sudden_gains``."""
    known = {} if instrument is None else {measure.instrument or "": instrument}
    higher_is, _ = direction(measure, instrument)
    return GainAnalysis(
        name, spec.measure, measure.label, measure.rater, spec.component or "",
        f"{scale_name(measure, known)} points", higher_is, smallest_cell, spec.cutoff,
    )  # fmt: skip


def gains_and_losses(
    sessions: pd.DataFrame, spec: SuddenGainsSpec, higher_is: str
) -> dict[str, SuddenGains]:
    """Changes for the better (``gain``) and for the worse (``loss``), by the same criteria.

    Parameters
    ----------
    sessions : scored sessions; those outside ``spec.sessions`` are left out.
    higher_is : ``better`` or ``worse``, of the measure.
    """
    scores = sessions[["client", "session"]].assign(score=sessions[spec.score].astype(float))
    scores = scores[scores["session"].notna()]
    if spec.sessions is not None:
        scores = scores[scores["session"].between(*spec.sessions)]
    ways = ("increase", "decrease") if higher_is == "better" else ("decrease", "increase")
    return {
        what: find_sudden_gains(scores, spec.cutoff, way)
        for what, way in zip(("gain", "loss"), ways, strict=True)
    }


def gain_rows(found: dict[str, SuddenGains], analysis: GainAnalysis) -> list[Estimate]:
    """Seven rows for gains and as many for losses."""
    return [row for what in found for row in _rows(found[what], what, analysis)]


def _rows(found: SuddenGains, what: str, analysis: GainAnalysis) -> list[Estimate]:
    groups = _groups(found.clients)
    shown = shown_counts(groups, _SUMS, analysis.smallest_cell)
    counts = {name: sum(groups[g] for g in members) for name, members in _SUMS.items()}
    many = _plural(what)
    sizes, back = found.gains["magnitude"].astype(float), found.gains["reversed"]
    row = _Maker(analysis, counts, shown)
    return [
        row.share("with", f"clients_with_{what}", f"clients with at least one sudden {what}"),
        row.share("several", f"clients_with_several_{many}", f"clients with several sudden {many}"),
        row.share(
            "reversed", f"clients_with_reversed_{what}",
            f"clients with a sudden {what} of which half or more was given back later",
        ),
        row.number("with", many, f"Number of sudden {many}", len(found.gains), many, "count"),
        row.number(
            "reversed", f"reversed_{many}",
            f"Number of sudden {many} of which half or more was given back later",
            int(back.sum()), many, "count",
        ),
        row.number(
            "with", f"{what}_size", f"Mean size of the sudden {many}", sizes.mean(),
            analysis.units, "mean",
        ),
        row.number(
            "with", f"{what}_size_sd", f"SD of the sizes of the sudden {many}", sizes.std(ddof=1),
            analysis.units, "standard_deviation",
        ),
    ]  # fmt: skip


def _plural(what: str) -> str:
    return "losses" if what == "loss" else f"{what}s"


def _groups(clients: pd.DataFrame) -> dict[str, int]:
    """Clients by number of changes and whether one was reversed."""
    many = np.minimum(clients["n_gains"], 2)
    back = np.where(clients["n_reversed"] > 0, "reversed", "kept")
    names = np.where(many == 0, "none", np.where(many == 1, "one_", "several_").astype(object))
    names = np.where(many == 0, names, names + back)
    counts = pd.Series(names).value_counts()
    return {name: int(counts.get(name, 0)) for name in _GROUPS}


@dataclass(frozen=True)
class _Maker:
    """Makes rows of one direction; a number that would tell few clients is not given."""

    analysis: GainAnalysis
    counts: dict[str, int]
    shown: set[str]

    def _common(self, term: str, estimand: str) -> dict[str, Any]:
        a = self.analysis
        return {
            "analysis": a.id, "term": term, "level": "client", "estimator": _ESTIMATOR,
            "estimand": f"{estimand}, {a.label} (cut-off {a.cutoff:g} points)",
            "predictor": a.measure, "rater": a.rater, "component": a.component,
            "known_bias": BY_CHANCE,
            "n_clients": self.counts["all"] if "all" in self.shown else np.nan,
        }  # fmt: skip

    def _refused(self, common: dict[str, Any], needed: str) -> str:
        if self.counts["all"] == 0:
            return "no client has a score"
        if not {"all", needed} <= self.shown:
            return f"would tell a number of fewer than {self.analysis.smallest_cell} clients"
        return ""

    def share(self, counted: str, term: str, who: str) -> Estimate:
        common = self._common(term, f"Share of {who}") | {
            "kind": "proportion", "units": "proportion of clients",
        }  # fmt: skip
        why = self._refused(common, counted)
        if why:
            return Estimate(**common, status="not_estimated", reason=why)
        part, whole = self.counts[counted], self.counts["all"]
        low, high = proportion_confint(part, whole, method="wilson")
        return Estimate(
            **common, estimate=part / whole, ci_low=low, ci_high=high, interval="95% Wilson"
        )

    def number(
        self, counted: str, term: str, estimand: str, value: float, units: str, kind: str
    ) -> Estimate:
        common = self._common(term, estimand) | {"kind": kind, "units": units}
        why = self._refused(common, counted)
        if not why and not np.isfinite(value):
            why = "too few such changes were found"
        if why:
            return Estimate(**common, status="not_estimated", reason=why)
        return Estimate(**common, estimate=float(value))
