"""The reliability table of a study: every scale of every measure at every level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.instruments import Instrument
from alliance.reliability.coefficients import (
    COEFFICIENTS,
    Coefficient,
    refuse_all,
    scale_reliability,
)
from alliance.reliability.sums import ClientSums, client_sums
from alliance.scoring import item_columns, reversed_items, scales_of
from alliance.study import Measure, Study

Array = NDArray[np.float64]

COLUMNS = (
    "measure", "scale", "rater", "level", "coefficient", "estimate", "ci_low", "ci_high",
    "n_clients", "n_sessions", "status", "reason",
)  # fmt: skip


def reliability_table(
    sessions: pd.DataFrame,
    study: Study,
    instruments: Mapping[str, Instrument],
    n_bootstrap: int = 400,
    seed: int | None = None,
) -> pd.DataFrame:
    """Reliability of every scale of every measure at every level.

    Parameters
    ----------
    sessions : clean or scored sessions with item columns, ``client`` and ``session``.
    n_bootstrap : samples of clients for the intervals; 0: no intervals. seed : the study's if None.

    Returns
    -------
    DataFrame
        ``COLUMNS``: per scale nine rows (``COEFFICIENTS``). 95% bootstrap intervals. ``status``
        is ``ok``, ``diagnostics_failed`` (Heywood case, session variance of zero: the number is
        given, with the reason) or ``not_estimated``. Subscales that must not be scored are absent.
    """
    rows: list[dict[str, object]] = []
    for position, (name, measure) in enumerate(study.measures.items()):
        rng = np.random.default_rng([study.seed if seed is None else seed, position])
        if measure.items is None:
            results = refuse_all("scored elsewhere, without items")
            rows += _rows(name, "total", measure, results, (0, 0))
            continue
        instrument = instruments[str(measure.instrument)]
        forms = complete_forms(sessions, name, measure, instrument)
        counts = (int(forms["client"].nunique()), len(forms))
        weights = _resampled_clients(counts[0], n_bootstrap, rng)
        for scale in scales_of(name, study, instruments):
            if scale == "total" and instrument.total_rule == "none":
                continue
            sums = _scale_sums(forms, instrument.items_of(scale))
            rows += _rows(name, scale, measure, scale_reliability(sums, weights), counts)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def complete_forms(
    sessions: pd.DataFrame, name: str, measure: Measure, instrument: Instrument
) -> pd.DataFrame:
    """``client``, ``session`` and the reversed answers (columns 1..p) of forms without gaps."""
    keyed = reversed_items(sessions[item_columns(name, instrument)], instrument, measure)
    keyed.columns = instrument.items_of("total")
    forms = pd.concat([sessions[["client", "session"]], keyed], axis=1)
    return forms.dropna(ignore_index=True)


def _scale_sums(forms: pd.DataFrame, items: list[int]) -> ClientSums | None:
    if forms.empty:
        return None
    return client_sums(
        forms[items].to_numpy(float), forms["client"].to_numpy(), forms["session"].to_numpy(float)
    )


def _resampled_clients(n_clients: int, n_bootstrap: int, rng: np.random.Generator) -> Array:
    if n_clients == 0:
        return np.empty((n_bootstrap, 0))
    chances = np.full(n_clients, 1 / n_clients)
    return rng.multinomial(n_clients, chances, size=n_bootstrap).astype(float)


def _rows(
    name: str,
    scale: str,
    measure: Measure,
    results: Mapping[tuple[str, str], Coefficient],
    counts: tuple[int, int],
) -> Iterable[dict[str, object]]:
    for level, coefficient in COEFFICIENTS:
        r = results[level, coefficient]
        yield {
            "measure": name, "scale": scale, "rater": measure.rater, "level": level,
            "coefficient": coefficient, "estimate": r.estimate, "ci_low": r.ci_low,
            "ci_high": r.ci_high, "n_clients": counts[0], "n_sessions": counts[1],
            "status": r.status, "reason": r.reason,
        }  # fmt: skip
