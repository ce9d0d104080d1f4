"""The tables that describe a study before anything is modelled.

Every number names its level. Counts of clients below the study's smallest cell are left out or
hidden, together with those from which they could be worked out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

from alliance.instruments import Instrument
from alliance.reliability import client_sums, covariances, one_way_reml
from alliance.scoring import response_range, scales_of
from alliance.small_cells import is_small, suppressed_cells
from alliance.study import Covariate, Measure, Study

Array = NDArray[np.float64]

MEASURE_COLUMNS = (
    "measure", "scale", "label", "rater", "role", "instrument", "verification", "higher_is",
    "n_sessions", "n_clients", "mean", "sd_total", "sd_within", "sd_between", "icc",
    "lag1_autocorrelation", "minimum", "maximum", "pct_missing", "pct_ceiling",
)  # fmt: skip
CORRELATION_COLUMNS = (
    "measure_a", "measure_b", "level", "r", "ci_low", "ci_high", "n_sessions", "n_clients",
    "r_client_means", "reason",
)  # fmt: skip
MISSINGNESS_COLUMNS = ("measure", "session", "n_attended", "n_present", "pct_missing")
SAMPLE_COLUMNS = (
    "variable", "label", "category", "statistic", "n", "percent", "mean", "sd", "suppressed",
)  # fmt: skip
TRAJECTORY_COLUMNS = ("measure", "session", "n_clients", "mean", "sd", "ci_low", "ci_high")
CEILING_COLUMNS = ("measure", "session", "n_clients", "pct_ceiling")
MIN_CLIENTS = 10
SCORED_ELSEWHERE = "scored_elsewhere"


# --- measures ------------------------------------------------------------------------------------


def describe_measures(
    scored: pd.DataFrame, study: Study, instruments: Mapping[str, Instrument]
) -> pd.DataFrame:
    """One row per scale: level, spread within and between clients, ceiling, missing forms.

    Returns
    -------
    DataFrame
        ``MEASURE_COLUMNS``. ``sd_within`` is the pooled within-client SD; ``sd_between`` and
        ``icc`` come from the REML one-way model (clients as random groups), so that the noise of
        client means does not count as difference between clients. ``lag1_autocorrelation`` is the
        correlation of deviations from the client's mean between neighbouring sessions (biased
        downward by about 1/T in short treatments). ``pct_missing`` is of attended sessions,
        ``pct_ceiling`` of the scores at the highest possible score. Statistics of fewer clients
        than the smallest cell are NA, and so are shares of which they follow.
    """
    rows = []
    for name, measure in study.measures.items():
        for scale, column in scales_of(name, study, instruments).items():
            instrument = instruments.get(str(measure.instrument))
            rows.append(
                {"measure": name, "scale": scale, "label": measure.label, "rater": measure.rater,
                 "role": measure.role, "instrument": measure.instrument or "",
                 "verification": _verification(measure, instrument, scale),
                 "higher_is": measure.higher_is or (instrument.higher_is if instrument else ""),
                 **_statistics(scored, column, highest_score(measure, instrument, scale),
                               study.privacy.smallest_cell)}
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(MEASURE_COLUMNS))


def _verification(measure: Measure, instrument: Instrument | None, scale: str) -> str:
    if measure.items is None or instrument is None:
        return SCORED_ELSEWHERE
    if scale == "total":
        return instrument.verification
    return str(instrument.verification_subscales)


def highest_score(measure: Measure, instrument: Instrument | None, scale: str) -> float:
    """Highest possible score of ``scale`` (``total`` or a subscale); NaN where it is not known."""
    if measure.range is not None:
        return float(measure.range[1])
    if instrument is None:
        return float("nan")
    bounds = instrument.range_of(scale, response_range(instrument, measure))
    return bounds[1] if bounds else float("nan")


def _statistics(
    scored: pd.DataFrame, column: str, highest: float, smallest_cell: int
) -> dict[str, object]:
    present = _present(scored, column)
    values = present[column].to_numpy(float)
    n_clients = present["client"].nunique()
    counts = {"n_sessions": len(present), "n_clients": n_clients}
    if n_clients < smallest_cell:
        return dict.fromkeys(counts, pd.NA) if n_clients else counts
    within, between, icc = variance_parts(values, present["client"])
    return counts | {
        "mean": values.mean(),
        "sd_total": values.std(ddof=1),
        "sd_within": within,
        "sd_between": between,
        "icc": icc,
        "lag1_autocorrelation": _lag1(present, column),
        "minimum": values.min(),
        "maximum": values.max(),
        "pct_missing": _told_share(_missing(scored, column), smallest_cell),
        "pct_ceiling": (
            _told_share(present.assign(marked=values >= highest - 1e-9), smallest_cell)
            if np.isfinite(highest)
            else np.nan
        ),
    }


def _present(scored: pd.DataFrame, column: str) -> pd.DataFrame:
    rows = scored.loc[scored[column].notna(), ["client", "session", column]]
    return rows.astype({column: float}).sort_values(["client", "session"], ignore_index=True)


def _attended(scored: pd.DataFrame) -> pd.Series:
    if "attendance" not in scored:
        return pd.Series(True, index=scored.index)
    return scored["attendance"].eq("attended").fillna(False).astype(bool)


def _missing(scored: pd.DataFrame, column: str) -> pd.DataFrame:
    rows = scored.loc[_attended(scored), ["client", column]]
    return rows.assign(marked=rows[column].isna())


def _told_share(rows: pd.DataFrame, smallest_cell: int) -> float:
    """Percentage of marked sessions; NaN where they are of few clients, or the others are."""
    people = rows.groupby("marked")["client"].nunique()
    if rows.empty or any(is_small(n, smallest_cell) for n in people):
        return float("nan")
    return 100 * float(rows["marked"].mean())


def variance_parts(values: Array, client: pd.Series) -> tuple[float, float, float]:
    """Pooled within-client SD, between-client SD and intraclass correlation.

    The last two by REML on the one-way random effects model, unbalanced as it is; NaN without
    repeated measures.
    """
    groups = pd.Series(values).groupby(client.to_numpy())
    n, means = groups.size().to_numpy(float), groups.mean().to_numpy()
    # A Series of every client's own would take thirty times as long as the sums themselves.
    squares = np.array([np.square(v - v.mean()).sum() for v in _by_group(values, groups.ngroup())])
    degrees = n.sum() - len(n)
    if degrees <= 0:
        return float("nan"), float("nan"), float("nan")
    pooled = float(np.sqrt(squares.sum() / degrees))
    between, within = (float(part[0]) for part in one_way_reml(n, means, squares))
    return pooled, float(np.sqrt(between)), between / (between + within)


def _by_group(values: Array, group: pd.Series) -> list[Array]:
    """The values of each group, in the order of the groups' numbers 0, 1, ..."""
    codes = group.to_numpy()
    order = np.argsort(codes, kind="stable")
    return np.split(values[order], np.flatnonzero(np.diff(codes[order])) + 1)


def _lag1(present: pd.DataFrame, column: str) -> float:
    deviation = present[column] - present.groupby("client")[column].transform("mean")
    neighbours = (present["client"] == present["client"].shift()) & (
        present["session"] - present["session"].shift() == 1
    )
    now, before = deviation[neighbours].to_numpy(), deviation.shift()[neighbours].to_numpy()
    scale = np.sqrt((now**2).sum() * (before**2).sum())
    return float((now * before).sum() / scale) if scale > 0 else float("nan")


# --- correlations --------------------------------------------------------------------------------


def correlations_within_between(
    scored: pd.DataFrame, study: Study, n_bootstrap: int = 400, seed: int | None = None
) -> pd.DataFrame:
    """Correlations of all pairs of measures within and between clients.

    Pairs of scores of the same session number; no order in time is implied.

    Returns
    -------
    DataFrame
        ``CORRELATION_COLUMNS``. ``within_client``: from the pooled within-client covariance.
        ``between_client``: from the latent covariance ``(S_b - S_w) / c``, free of the sampling
        error of client means; beside it, ``r_client_means`` is the plain correlation of client
        means. 95% percentile intervals from resampled clients. What cannot be computed has a
        ``reason``.
    """
    rows: list[dict[str, object]] = []
    names = list(study.measures)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    for position, (a, b) in enumerate(pairs):
        rng = np.random.default_rng([study.seed if seed is None else seed, position])
        both = scored.loc[scored[a].notna() & scored[b].notna(), ["client", "session", a, b]]
        for row in _correlation_rows(both, a, b, n_bootstrap, rng):
            hidden = is_small(int(row["n_clients"]), study.privacy.smallest_cell)
            small = {"n_sessions": pd.NA, "n_clients": pd.NA} if hidden else {}
            rows.append({"measure_a": a, "measure_b": b, **row, **small})
    return pd.DataFrame(rows, columns=list(CORRELATION_COLUMNS))


def _correlation_rows(
    both: pd.DataFrame, a: str, b: str, n_bootstrap: int, rng: np.random.Generator
) -> Iterable[dict[str, object]]:
    counts = {"n_sessions": len(both), "n_clients": both["client"].nunique()}
    repeated = int((both.groupby("client").size() >= 2).sum())
    levels = ("within_client", "between_client")
    if repeated < MIN_CLIENTS:
        reason = f"fewer than {MIN_CLIENTS} clients with both scores in two sessions"
        yield from ({"level": level, **counts, "reason": reason} for level in levels)
        return
    sums = client_sums(
        both[[a, b]].to_numpy(float), both["client"].to_numpy(), both["session"].to_numpy(float)
    )
    chances = np.full(len(sums.n), 1 / len(sums.n))
    weights = rng.multinomial(len(sums.n), chances, size=n_bootstrap).astype(float)
    sample, resampled = covariances(sums), covariances(sums, weights)
    for level in levels:
        r = float(_correlation(sample[level])[0])
        row: dict[str, object] = {"level": level, "r": r, **counts, "reason": ""}
        row |= _interval(_correlation(resampled[level]))
        if level == "between_client":
            row["r_client_means"] = _plain_correlation(sums.means)
        if not np.isfinite(r):
            row["reason"] = "no variance of one of the two at this level"
        elif abs(r) > 1:
            row |= {"r": np.nan, "ci_low": np.nan, "ci_high": np.nan}
            row["reason"] = "latent correlation beyond 1: too little variance between clients"
        yield row


def _correlation(covariance: Array) -> Array:
    """Correlation of each (B, 2, 2); NaN where a variance is not positive."""
    product = covariance[:, 0, 0] * covariance[:, 1, 1]
    positive = (covariance[:, 0, 0] > 1e-12) & (covariance[:, 1, 1] > 1e-12)
    root = np.sqrt(np.where(positive, product, np.nan))
    return covariance[:, 0, 1] / root


def _plain_correlation(means: Array) -> float:
    if (means.std(axis=0) < 1e-12).any():
        return float("nan")
    return float(np.corrcoef(means.T)[0, 1])


def _interval(many: Array) -> dict[str, float]:
    """Percentile interval, cut at 1; none when over a tenth of the samples gave no number."""
    good = many[np.isfinite(many)]
    if len(many) == 0 or len(good) < 0.9 * len(many):
        return {"ci_low": np.nan, "ci_high": np.nan}
    low, high = np.clip(np.quantile(good, [0.025, 0.975]), -1, 1)
    return {"ci_low": float(low), "ci_high": float(high)}


# --- sessions ------------------------------------------------------------------------------------


def missingness(scored: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Attended sessions with and without a score, by measure and session number.

    Returns
    -------
    DataFrame
        ``MISSINGNESS_COLUMNS``; sessions attended by fewer clients than the smallest cell are left
        out, and ``n_present`` below it is NA. As the means of scores go with their number,
        ``n_attended`` and ``pct_missing`` are NA (for all measures) at a session where few clients
        lack the score of one measure.
    """
    smallest = study.privacy.smallest_cell
    attended = scored[_attended(scored)]
    size = attended.groupby("session").size()
    size = size[size >= smallest].astype("Int64")
    present = pd.DataFrame(
        {name: attended[name].notna().groupby(attended["session"]).sum() for name in study.measures}
    ).loc[size.index]
    absent = present.rsub(size, axis=0)
    told = size.mask(_small(absent, smallest).any(axis=1))
    rows = []
    for name in study.measures:
        hidden = _small(present[name], smallest) | _small(absent[name], smallest)
        table = pd.DataFrame({"n_attended": told})
        table["n_present"] = present[name].astype("Int64").mask(_small(present[name], smallest))
        table["pct_missing"] = (100 * absent[name] / size).astype(float).mask(hidden | told.isna())
        rows.append(table.rename_axis("session").reset_index().assign(measure=name))
    return pd.concat(rows, ignore_index=True)[list(MISSINGNESS_COLUMNS)]


def _small(counts: pd.DataFrame | pd.Series, smallest_cell: int) -> pd.DataFrame | pd.Series:
    """Where counts are above zero and below the smallest cell."""
    return ((counts > 0) & (counts < smallest_cell)).astype(bool)


def trajectories(scored: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Mean of every measure by session number, of the clients still there, with 95% t interval.

    Sessions with fewer clients than the smallest cell are left out.
    """
    rows = [_trajectory(scored, name, study.privacy.smallest_cell) for name in study.measures]
    return pd.concat(rows, ignore_index=True)[list(TRAJECTORY_COLUMNS)]


def _trajectory(scored: pd.DataFrame, name: str, smallest_cell: int) -> pd.DataFrame:
    groups = _present(scored, name).groupby("session")[name]
    table = pd.DataFrame({"n_clients": groups.size(), "mean": groups.mean(), "sd": groups.std()})
    table = table[table["n_clients"] >= smallest_cell].reset_index()
    n = table["n_clients"].to_numpy(float)
    half = scipy.stats.t.ppf(0.975, np.maximum(n - 1, 1)) * table["sd"] / np.sqrt(n)
    return table.assign(measure=name, ci_low=table["mean"] - half, ci_high=table["mean"] + half)


def ceiling_by_session(
    scored: pd.DataFrame, study: Study, instruments: Mapping[str, Instrument]
) -> pd.DataFrame:
    """Share of clients at the highest possible total, by measure and session number.

    Returns
    -------
    DataFrame
        ``CEILING_COLUMNS``; NA where it would show fewer clients than the smallest cell. Measures
        whose highest score is not known are left out.
    """
    smallest = study.privacy.smallest_cell
    tables = [pd.DataFrame(columns=list(CEILING_COLUMNS))]
    for name, measure in study.measures.items():
        highest = highest_score(measure, instruments.get(str(measure.instrument)), "total")
        if not np.isfinite(highest):
            continue
        present = _present(scored, name)
        groups = (present[name] >= highest - 1e-9).groupby(present["session"])
        table = pd.DataFrame({"n_clients": groups.size(), "top": groups.sum()})
        table = table[table["n_clients"] >= smallest].reset_index()
        share = 100 * table["top"] / table["n_clients"]
        hidden = _small(table["top"], smallest) | _small(
            table["n_clients"] - table["top"], smallest
        )
        tables.append(table.assign(measure=name, pct_ceiling=share.mask(hidden)))
    filled = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(filled, ignore_index=True)[list(CEILING_COLUMNS)]


# --- the sample ----------------------------------------------------------------------------------


def sample_table(clients: pd.DataFrame, sessions: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Who took part: clients, therapists, sessions, covariates, endings.

    Returns
    -------
    DataFrame
        ``SAMPLE_COLUMNS``. Categories with fewer clients than the smallest cell are suppressed,
        and so many more, smallest first, that the hidden ones cannot be worked out from the rest.
    """
    smallest = study.privacy.smallest_cell
    attended = sessions[_attended(sessions)]
    rows = [_count_row("clients", "Clients", len(clients), smallest)]
    if "therapist" in clients and clients["therapist"].notna().any():
        n_therapists = int(clients["therapist"].nunique())
        rows.append(_count_row("therapists", "Therapists", n_therapists, 1))
    rows.append(_count_row("sessions", "Attended sessions", len(attended), 1))
    per_client = attended.groupby("client").size().reindex(clients["client"], fill_value=0)
    label = "Attended sessions per client"
    rows.append(_number_row("sessions_per_client", label, per_client, smallest))
    for name, covariate in study.covariates.items():
        rows += _covariate_rows(name, covariate, clients, attended, smallest)
    if "ending" in clients and clients["ending"].notna().any():
        rows += _category_rows(
            "ending", "End of treatment", clients["ending"], clients["client"], [], smallest
        )
    return pd.DataFrame(rows, columns=list(SAMPLE_COLUMNS))


def _covariate_rows(
    name: str,
    covariate: Covariate,
    clients: pd.DataFrame,
    attended: pd.DataFrame,
    smallest_cell: int,
) -> list[dict[str, object]]:
    """Client-level covariates count clients; session-level ones count sessions and say so."""
    frame = clients if covariate.level == "client" else attended
    label = covariate.label or name
    label = label if covariate.level == "client" else f"{label} (sessions)"
    if name not in frame:
        return []
    if covariate.type == "number":
        return [_number_row(name, label, frame[name], smallest_cell)]
    order = [str(v) for v in (covariate.labels or {}).values()]
    return _category_rows(name, label, frame[name], frame["client"], order, smallest_cell)


def _count_row(variable: str, label: str, n: int, smallest_cell: int) -> dict[str, object]:
    hidden = is_small(n, smallest_cell)
    return {
        "variable": variable, "label": label, "category": "", "statistic": "n (%)",
        "n": pd.NA if hidden else n, "suppressed": hidden,
    }  # fmt: skip


def _number_row(
    variable: str, label: str, values: pd.Series, smallest_cell: int
) -> dict[str, object]:
    present = values.dropna().to_numpy(float)
    row: dict[str, object] = {
        "variable": variable, "label": label, "category": "", "statistic": "mean (SD)",
        "suppressed": 0 < len(present) < smallest_cell,
    }  # fmt: skip
    if row["suppressed"] or len(present) == 0:
        return row | {"n": pd.NA if row["suppressed"] else 0}
    sd = present.std(ddof=1) if len(present) > 1 else np.nan
    without = is_small(len(values) - len(present), smallest_cell)  # clients that lack it
    return row | {"n": np.nan if without else len(present), "mean": present.mean(), "sd": sd}


def _category_rows(
    variable: str,
    label: str,
    values: pd.Series,
    client: pd.Series,
    order: list[str],
    smallest_cell: int,
) -> list[dict[str, object]]:
    named = values.astype("string").fillna("missing")
    found = sorted(set(named) - {"missing"})
    categories = [c for c in order if c in found] + [c for c in found if c not in order]
    categories += ["missing"] if (named == "missing").any() else []
    counts = [int((named == c).sum()) for c in categories]
    people = [int(client[named == c].nunique()) for c in categories]
    hidden = suppressed_cells(people, smallest_cell)
    return [
        {
            "variable": variable, "label": label, "category": category, "statistic": "n (%)",
            "n": pd.NA if i in hidden else n,
            "percent": np.nan if i in hidden else 100 * n / len(named), "suppressed": i in hidden,
        }
        for i, (category, n) in enumerate(zip(categories, counts, strict=True))
    ]  # fmt: skip
