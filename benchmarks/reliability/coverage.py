"""Coverage of the 95% intervals of reliability: percentile bootstrap against others, same samples.

    PYTHONPATH=scripts python benchmarks/reliability/coverage.py [replications] [clients]

Clients are resampled as the workflow does (400 bootstrap samples). Answers follow a two-level
one-factor model with known loadings, so every coefficient has a known value.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from alliance.reliability import (
    alpha,
    client_sums,
    covariances,
    fit_one_factor,
    generalizability,
    omega_many,
)

SESSIONS, N_BOOTSTRAP, SEED = 8, 400, 20261122
LOADINGS_BETWEEN = np.array([0.8, 0.7, 0.6, 0.8, 0.5, 0.7])
LOADINGS_WITHIN = np.array([0.5, 0.6, 0.4, 0.5, 0.6, 0.4])
UNIQUE_BETWEEN, UNIQUE_WITHIN = 0.10, 0.40
HERE = Path(__file__).parent


def drawn(rng: np.random.Generator, n_clients: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Answers (rows, items), client and session of every row."""
    p, rows = len(LOADINGS_WITHIN), n_clients * SESSIONS
    client = np.repeat(np.arange(n_clients), SESSIONS)
    between = rng.normal(size=(n_clients, 1)) * LOADINGS_BETWEEN
    between += rng.normal(0, np.sqrt(UNIQUE_BETWEEN), (n_clients, p))
    within = rng.normal(size=(rows, 1)) * LOADINGS_WITHIN
    within += rng.normal(0, np.sqrt(UNIQUE_WITHIN), (rows, p))
    return between[client] + within, client, np.tile(np.arange(1.0, SESSIONS + 1), n_clients)


def truth() -> dict[tuple[str, str], float]:
    """The values that the coefficients estimate."""
    p = len(LOADINGS_WITHIN)
    cov_b = np.outer(LOADINGS_BETWEEN, LOADINGS_BETWEEN) + UNIQUE_BETWEEN * np.eye(p)
    cov_w = np.outer(LOADINGS_WITHIN, LOADINGS_WITHIN) + UNIQUE_WITHIN * np.eye(p)
    levels = {"total": cov_b + cov_w, "between_client": cov_b, "within_client": cov_w}
    values = {(level, "alpha"): float(alpha(cov)) for level, cov in levels.items()}
    values |= {(lv, "omega"): fit_one_factor(cov).omega for lv, cov in levels.items()}
    # Lasting differences between items count as error here, as in psych::mlr.
    everything = cov_b + cov_w
    mean = everything.mean()
    error = (np.trace(everything) - p * mean) / (p - 1)
    client, form = cov_b.mean(), cov_w.mean()
    session = max(form - error / p, 0.0)
    values["within_client", "Rcn"] = session / (session + error / p)
    values["within_client", "Rcn_detrended"] = max(1 - error / p / form, 0.0)
    noise = (session + error / p) / SESSIONS
    values["between_client", "RkRn"] = client / (client + noise)
    return values


def intervals(estimate: float, many: np.ndarray, n_clients: int) -> dict[str, tuple[float, float]]:
    """Every kind of interval from one bootstrap distribution."""
    good = many[np.isfinite(many)]
    found = {"percentile": tuple(np.quantile(good, [0.025, 0.975]))}
    shift = 2 * stats.norm.ppf(np.clip((good < estimate).mean(), 0.005, 0.995))
    ends = stats.norm.cdf(shift + stats.norm.ppf([0.025, 0.975]))
    found["bias_corrected"] = tuple(np.quantile(good, ends))
    # log(1 - r): the scale on which Feldt's and Hakstian & Whalen's intervals are symmetric.
    middle, spread = np.log1p(-min(estimate, 0.9999)), np.log1p(-np.minimum(good, 0.9999))
    half = (
        stats.t.ppf(0.975, n_clients - 1)
        * spread.std(ddof=1)
        * np.sqrt(n_clients / (n_clients - 1))
    )
    found["log_t"] = (-np.expm1(middle + half), -np.expm1(middle - half))
    # Basic on that scale, turned round the estimate, with the bias taken off.
    centre = 2 * middle - spread.mean()
    found["log_t_unbiased"] = (-np.expm1(centre + half), -np.expm1(centre - half))
    return found


def one_sample(rng: np.random.Generator, n_clients: int) -> list[dict[str, object]]:
    sums = client_sums(*drawn(rng, n_clients))
    chances = np.full(n_clients, 1 / n_clients)
    weights = rng.multinomial(n_clients, chances, size=N_BOOTSTRAP).astype(float)
    at, again = covariances(sums), covariances(sums, weights)
    both: dict[tuple[str, str], tuple[float, np.ndarray]] = {}
    for level in at:
        one, many = at[level][0], again[level]
        both[level, "alpha"] = float(alpha(one)), alpha(many)
        if (np.diag(one) > 0).all():
            fit = fit_one_factor(one)
            both[level, "omega"] = fit.omega, omega_many(many, fit)
    repeated = generalizability(sums, weights)
    both |= {k: (float(v[0]), repeated[k]) for k, v in generalizability(sums).items()}
    known = truth()
    return [
        {"level": key[0], "coefficient": key[1], "interval": kind,
         "covered": low <= known[key] <= high, "below": known[key] > high,
         "above": known[key] < low, "width": high - low, "bias": estimate - known[key]}
        for key, (estimate, many) in both.items()
        for kind, (low, high) in intervals(estimate, many, n_clients).items()
    ]  # fmt: skip


def main(replications: int = 500, n_clients: int = 60) -> None:
    """Write ``coverage_<clients>.csv``: a row per coefficient and kind of interval."""
    rows: list[dict[str, object]] = []
    for replication in range(replications):
        rows += one_sample(np.random.default_rng([SEED, n_clients, replication]), n_clients)
    by = ["level", "coefficient", "interval"]
    table = pd.DataFrame(rows).groupby(by, sort=False).mean().round(3)
    table = table.assign(replications=replications, clients=n_clients).reset_index()
    table.to_csv(HERE / f"coverage_{n_clients}.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:3]))
