"""Whether the items of a scale point the way that its key says: reversed twice, or another form."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import scipy

from alliance.instruments import Instrument, named_by, similar_instruments
from alliance.problems import Problem, Severity
from alliance.validation.catalogue import tell
from alliance.validation.identifiers import origin_of
from alliance.validation.partial import published_id
from alliance.validation.showing import Look

FORMS_FOR_A_PATTERN = 30  # below this, correlations and shares of forms say little
STRAIGHT_SHARE = 0.10
SUSPICIOUS = 0.2  # correlation of negatively worded items with the others, after reversal
NORMAL_95 = 1.959964


def check_direction(look: Look, measure: str, values: pd.DataFrame, file: str) -> Iterable[Problem]:
    """Items worded the other way must run against the rest before reversal, with it after.

    Parameters
    ----------
    values : answers as given, one column per item that was found, named ``<measure>__<item>``.
    """
    instrument = look.instruments[look.study.measures[measure].instrument or ""]
    yield from _check_names(look, measure, values, instrument, file)
    complete = values.dropna()
    if instrument.reverse is None or len(complete) < FORMS_FOR_A_PATTERN or values.shape[1] < 3:
        return
    negative = [f"{measure}__{i}" for i in instrument.reverse if f"{measure}__{i}" in values]
    n_clients = look.raw.sessions.loc[complete.index, "client"].nunique()
    two_sided = 0 < len(negative) < values.shape[1]
    told: list[Problem] = []
    if two_sided:
        told += _check_correlations(look, measure, complete, negative, n_clients)
    yield from told or _check_consistency(look, measure, complete, negative, n_clients)
    if two_sided:
        yield from _check_straight_lines(look, measure, values, file)


def _check_names(
    look: Look, measure: str, values: pd.DataFrame, instrument: Instrument, file: str
) -> Iterable[Problem]:
    """Columns that bear the name of another instrument of the family: ``WAI-SR_01`` for a WAI-S."""
    named = _named_differently(look, measure, values)
    if named:
        first, last = (origin_of(look.raw, c)[1] for c in (values.columns[0], values.columns[-1]))
        where = f"measure '{measure}', columns '{first}' to '{last}'"
        found = f"instrument {_own_id(look, measure)}; the names fit {' or '.join(named)}"
        yield tell("OTHER_INSTRUMENT_NAMED", file, where, found, declared=instrument.name)


def _check_correlations(
    look: Look, measure: str, complete: pd.DataFrame, negative: list[str], n_clients: int
) -> list[Problem]:
    """Negatively worded items against the others, in the answers as they stand in the file."""
    positive = complete.drop(columns=negative).mean(axis=1)
    correlations = complete[negative].corrwith(positive).dropna()
    if correlations.empty:
        return []
    typical = float(correlations.median())
    already = look.study.measures[measure].items_already_reversed
    places = [origin_of(look.raw, name) for name in correlations.index]
    where = f"measure '{measure}', items " + ", ".join(f"'{column}'" for _, column in places)
    found = f"correlation of {typical:.2f} with the other items"
    if typical > SUSPICIOUS and not already:
        plain = _fisher(typical, n_clients)[0] > SUSPICIOUS
        severity: Severity = "error" if plain and already is None else "warning"
        code = "LOOKS_REVERSED"
    elif typical < -SUSPICIOUS and already:
        severity = "error" if _fisher(typical, n_clients)[1] < -SUSPICIOUS else "warning"
        code = "LOOKS_UNREVERSED"
    else:
        return []
    words = {"severity": severity, "really": _really(look, measure, complete)}
    return [tell(code, places[0][0], where, found, **words)]  # type: ignore[arg-type]


def _check_consistency(
    look: Look, measure: str, complete: pd.DataFrame, negative: list[str], n_clients: int
) -> list[Problem]:
    """Items that, reversed as the key says, run against each other are those of another scale."""
    scored = complete.copy()
    if not look.study.measures[measure].items_already_reversed:
        scored[negative] = -scored[negative]
    scored = scored.loc[:, scored.std() > 0]
    if scored.shape[1] < 3:
        return []
    total = scored.sum(axis=1)
    with_rest = pd.Series({item: scored[item].corr(total - scored[item]) for item in scored})
    covariance = np.cov(scored.to_numpy(dtype=float), rowvar=False)
    size = scored.shape[1]
    alpha = size / (size - 1) * (1 - np.trace(covariance) / covariance.sum())
    against, typical = int((with_rest < 0).sum()), float(with_rest.median())
    if typical >= 0 and alpha >= 0:
        return []
    plain = min(_fisher(typical, n_clients)[1], _highest_alpha(alpha, size, n_clients)) < 0
    severity: Severity = "error" if plain else "warning"
    file = origin_of(look.raw, complete.columns[0])[0]
    found = f"{against} of {size} items run against the others; Cronbach's alpha {alpha:.2f}"
    return [tell("ITEMS_DISAGREE", file, f"measure '{measure}'", found, severity=severity,
                 really=_really(look, measure, complete))]  # fmt: skip


def _fisher(correlation: float, n_clients: int) -> tuple[float, float]:
    """95 % interval of a correlation, as sure as the number of clients allows (not of forms)."""
    half = NORMAL_95 / np.sqrt(max(n_clients - 3, 1))
    middle = np.arctanh(np.clip(correlation, -0.999, 0.999))
    return float(np.tanh(middle - half)), float(np.tanh(middle + half))


def _highest_alpha(alpha: float, n_items: int, n_clients: int) -> float:
    """Upper end of Feldt's (1965) 95 % interval, as sure as the number of clients allows."""
    between = max(n_clients - 1, 1)
    return float(1 - (1 - alpha) * scipy.stats.f.ppf(0.025, between, between * (n_items - 1)))


def _really(look: Look, measure: str, values: pd.DataFrame) -> str:
    """``Is this really the WAI-S (wais_client)?``, with what else it might be."""
    own = _own_id(look, measure)
    named = _named_differently(look, measure, values)
    others = similar_instruments(own, look.known_instruments)
    text = f"Is this really {own}?"
    if named:
        return f"{text} The column names fit {' or '.join(named)}."
    return f"{text} Similar instruments: {', '.join(others)}." if others else text


def _own_id(look: Look, measure: str) -> str:
    return published_id(look.study, measure)


def _named_differently(look: Look, measure: str, values: pd.DataFrame) -> list[str]:
    """Known instruments whose whole name the columns bear, where they do not bear the own one's."""
    columns = [origin_of(look.raw, name)[1] for name in values.columns]
    named = named_by(columns, look.known_instruments)
    own = _own_id(look, measure)
    return [] if not named or own in named else named


def _check_straight_lines(
    look: Look, measure: str, values: pd.DataFrame, file: str
) -> Iterable[Problem]:
    complete = values.dropna()
    straight = complete.eq(complete.iloc[:, 0], axis=0).all(axis=1)
    already = look.study.measures[measure].items_already_reversed
    if straight.mean() > STRAIGHT_SHARE and not already:
        flawed = pd.Series(False, index=values.index)
        flawed[straight[straight].index] = True
        rows = look.rows(look.raw.sessions, flawed, file)
        found = f"{100 * straight.mean():.0f}% of {len(complete)} complete forms"
        yield tell("STRAIGHT_LINING", file, f"measure '{measure}', {rows}", found)
