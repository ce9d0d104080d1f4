"""Estimates on sources of ruptures: how often each tells of one, and how far two agree."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from alliance.estimates import Estimate

ANALYSIS = "rupture_sources"
UNVALIDATED = "Missed sessions and gaps are a proxy of withdrawal that nobody has validated."
SELECTED = "Only what both could evaluate is compared."
AGREEMENT_LEVELS: dict[str, tuple[str, str]] = {
    "onset": ("total", "sessions: the session starts a rupture"),
    "session": ("total", "sessions: the session lies in a rupture"),
    "client": ("client", "clients: any rupture"),
}


def source_rows(
    table: pd.DataFrame, marks: pd.DataFrame, n_resamples: int, seed: int
) -> list[Estimate]:
    """Share of sessions and of clients that each source marks.

    Parameters
    ----------
    table : of :func:`alliance.ruptures.source_tables.source_table`, small numbers hidden.
    marks : what it was made from, for the intervals of sessions (percentiles over resampled
        clients); those of clients are Wilson's.
    """
    rows = []
    for position, source in enumerate(table.itertuples()):
        rng = np.random.default_rng([seed, position])
        rows.append(_session_share(source, marks, n_resamples, rng))
        rows.append(_client_share(source))
    return rows


def _common(source: object) -> dict[str, object]:
    return {
        "analysis": ANALYSIS,
        "kind": "proportion",
        "rater": {"psq_client": "client", "psq_therapist": "therapist"}.get(source.source, ""),
        "known_bias": UNVALIDATED if source.kind == "behaviour" else "",
    }


def _session_share(
    source: object, marks: pd.DataFrame, n_resamples: int, rng: np.random.Generator
) -> Estimate:
    words = _common(source) | {
        "term": f"session_share[{source.source}]",
        "level": "total",
        "estimand": f"Share of sessions: {source.definition}",
        "units": "proportion of sessions",
        "estimator": "proportion",
        "missing_rule": "sessions of which the source says something",
    }
    if not np.isfinite(source.pct_sessions):
        reason = source.hidden or "the source says nothing of any session"
        return Estimate(**words, status="not_estimated", reason=reason)
    said = marks[marks[source.source].notna()]
    per_client = said[source.source].astype(float).groupby(said["client"]).agg(["sum", "size"])
    n = len(per_client)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples)
    marked, all_sessions = (weights @ per_client.to_numpy()).T
    low, high = np.quantile(marked / all_sessions, [0.025, 0.975])
    return Estimate(
        **words,
        n_obs=source.n_sessions,
        n_clients=source.n_clients,
        estimate=source.pct_sessions / 100,
        ci_low=float(low),
        ci_high=float(high),
        interval="95% percentile, clients resampled",
    )


def _client_share(source: object) -> Estimate:
    words = _common(source) | {
        "term": f"client_share[{source.source}]",
        "level": "client",
        "estimand": f"Share of clients with at least one session of which this is true: "
        f"{source.definition}",
        "units": "proportion of clients",
        "estimator": "proportion",
        "missing_rule": "clients of whom the source says something",
    }
    if not np.isfinite(source.pct_clients):
        reason = source.hidden or "the source says nothing of any client"
        return Estimate(**words, status="not_estimated", reason=reason)
    from statsmodels.stats.proportion import proportion_confint  # noqa: PLC0415, slow to load

    low, high = proportion_confint(source.n_clients_marked, source.n_clients, method="wilson")
    return Estimate(
        **words,
        n_obs=source.n_clients,
        n_clients=source.n_clients,
        estimate=source.pct_clients / 100,
        ci_low=float(low),
        ci_high=float(high),
        interval="95% Wilson",
    )


def agreement_rows(agreement: pd.DataFrame, shown: Collection[str]) -> list[Estimate]:
    """Cohen's kappa of every pair of the marks ``shown``, by onset, session and client.

    Parameters
    ----------
    agreement : of :func:`alliance.ruptures.marks.compare_marks`.
    """
    chosen = agreement[agreement["mark_a"].isin(shown) & agreement["mark_b"].isin(shown)]
    return [_kappa_row(pair) for pair in chosen.itertuples()]


def _kappa_row(pair: object) -> Estimate:
    level, unit = AGREEMENT_LEVELS[pair.level]
    words = {
        "analysis": ANALYSIS,
        "kind": "agreement",
        "term": f"kappa_{pair.level}[{pair.mark_a}, {pair.mark_b}]",
        "level": level,
        "estimand": f"Agreement beyond chance of '{pair.label_a}' and '{pair.label_b}', {unit}",
        "units": "Cohen's kappa",
        "estimator": "Cohen's kappa",
        "missing_rule": SELECTED,
    }
    if not np.isfinite(pair.kappa):
        reason = pair.reason or "one of the two marks everything or nothing"
        return Estimate(**words, status="not_estimated", reason=reason)
    return Estimate(
        **words,
        n_obs=pair.n,
        n_clients=pair.n_clients,
        estimate=pair.kappa,
        ci_low=pair.kappa_low,
        ci_high=pair.kappa_high,
        interval="95% percentile, clients resampled" if np.isfinite(pair.kappa_low) else "",
    )
