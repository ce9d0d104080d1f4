"""Share of rupture-free clients that rules flag: python benchmarks/ruptures/false_alarms.py.

Writes ``false_alarms.csv``: the calibrated rule in 1,000 simulated studies of 240 clients at each
length; and ``definitions.csv``: three rules of the table in methods specification 2.3 under other
definitions of the rule, to find which definition its numbers belong to.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
sys.path.insert(0, str(ROOT / "scripts"))

from alliance.rupture_null.scanning import scan  # noqa: E402
from alliance.ruptures import load_rules  # noqa: E402
from alliance.ruptures.calibration import NoiseModel, noise_scale, simulate_noise  # noqa: E402

RULES = load_rules(ROOT / "config/ruptures")
LENGTHS = (8, 16, 30)
N_STUDIES, N_CLIENTS = 1_000, 240
SEED = 20261122


def labels(name: str, length: int, n_clients: int, model: NoiseModel, seed: int) -> np.ndarray:
    """Codes of the labels of ``n_clients`` rupture-free clients."""
    scores = simulate_noise(model, n_clients, length, np.random.default_rng([seed, length]))
    start = np.arange(0, len(scores) + 1, length)
    session, score = scores["session"].to_numpy(float), scores["score"].to_numpy()
    return scan(start, session, score, RULES[name], noise_scale(model)).label


def false_alarms() -> pd.DataFrame:
    """Percent of clients flagged, over studies."""
    rows = []
    for length in LENGTHS:
        for phi in (0.0, 0.3, 0.5):
            model = NoiseModel(autoregression=phi)
            found = labels("mean_prior", length, N_STUDIES * N_CLIENTS, model, SEED)
            shares = 100 * (found > 0).reshape(N_STUDIES, N_CLIENTS).mean(axis=1)
            low, high = np.quantile(shares, [0.025, 0.975])
            rows.append((length, phi, N_STUDIES, shares.mean(), low, high))
    names = ["sessions", "autoregression", "n_studies", "pct_flagged", "low", "high"]
    return pd.DataFrame(rows, columns=names)


# Definitions: first flag of a client, by arrays (n clients, T sessions).


def own_mean(x: np.ndarray, k: float, ddof: int) -> np.ndarray:
    """Flags of sessions ``k`` own SDs below the client's own mean."""
    return x <= x.mean(axis=1, keepdims=True) - k * x.std(axis=1, ddof=ddof, keepdims=True)


def moving_range(x: np.ndarray, width: float) -> np.ndarray:
    """Flags below the lower limit of an individuals chart."""
    mean_range = np.abs(np.diff(x, axis=1)).mean(axis=1, keepdims=True)
    return x < x.mean(axis=1, keepdims=True) - width * mean_range


def mean_prior(x: np.ndarray, k: float, ddof: int, first: int, floor: float) -> np.ndarray:
    """Flags ``k`` SDs of all earlier scores below their mean, from session ``first`` on."""
    flags = np.zeros(x.shape, dtype=bool)
    for t in range(first - 1, x.shape[1]):
        earlier = x[:, :t]
        unit = np.maximum(earlier.std(axis=1, ddof=ddof), floor)
        flags[:, t] = earlier.mean(axis=1) - x[:, t] >= k * unit
    return flags


def definitions() -> pd.DataFrame:
    """Percent of clients with a flag under variants of three rules."""
    model = NoiseModel()
    s_w = noise_scale(model).sd_within
    rows = []
    for length in LENGTHS:
        rng = np.random.default_rng([SEED, length, 2])
        x = simulate_noise(model, 40_000, length, rng)["score"].to_numpy().reshape(-1, length)
        variants = {
            ("own mean - 1.5 SD", "SD with n - 1"): own_mean(x, 1.5, 1),
            ("own mean - 1.5 SD", "SD with n"): own_mean(x, 1.5, 0),
            ("own mean - 2 SD", "SD with n - 1"): own_mean(x, 2.0, 1),
            ("own mean - 2 SD", "SD with n"): own_mean(x, 2.0, 0),
            ("XmR 2 sigma", "2/3 of 2.66 mean ranges"): moving_range(x, 2 * 2.66 / 3),
            ("XmR 3 sigma", "2.66 mean ranges"): moving_range(x, 2.66),
            ("prior mean - 2 SD", "from session 4, SD n - 1"): mean_prior(x, 2.0, 1, 4, 0.0),
            ("prior mean - 2 SD", "from session 4, SD n - 1, floor s_w/2"): mean_prior(
                x, 2.0, 1, 4, 0.5 * s_w
            ),
            (
                "prior mean - 2 SD",
                "from session 4, SD n - 1, floor s_w/2 of the sample",
            ): mean_prior(x, 2.0, 1, 4, 0.5 * np.sqrt(x.var(axis=1, ddof=1).mean())),
            ("prior mean - 2 SD", "from session 5, SD n - 1"): mean_prior(x, 2.0, 1, 5, 0.0),
            ("prior mean - 2 SD", "from session 5, SD n - 1, floor s_w/2"): mean_prior(
                x, 2.0, 1, 5, 0.5 * s_w
            ),
            ("prior mean - 2 SD", "from session 6, SD n - 1, floor s_w/2"): mean_prior(
                x, 2.0, 1, 6, 0.5 * s_w
            ),
        }
        for (rule, definition), flags in variants.items():
            not_first = flags.copy()
            not_first[:, 0] = False
            not_last = not_first.copy()
            not_last[:, -1] = False
            rows.append(
                (rule, definition, length, *(100 * f.any(axis=1).mean()
                                             for f in (flags, not_first, not_last)))
            )  # fmt: skip
    names = ["rule", "definition", "sessions", "any_session", "not_first", "not_first_or_last"]
    return pd.DataFrame(rows, columns=names)


if __name__ == "__main__":
    for name, table in (("false_alarms", false_alarms()), ("definitions", definitions())):
        table.to_csv(HERE / f"{name}.csv", index=False, float_format="%.3g", lineterminator="\n")
        print(table.to_string())
