"""Write the balanced fixture and the one with missing scores (run from the project's folder)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
N_CLIENTS, N_SESSIONS = 200, 5


def simulate(rng: np.random.Generator) -> np.ndarray:
    """(n, T, 2): alliance after, symptoms before the session, with levels, trends and course."""
    level = rng.multivariate_normal([0, 0], [[1.0, -0.4], [-0.4, 1.2]], N_CLIENTS)
    slope = rng.multivariate_normal([0.1, -0.2], [[0.04, -0.01], [-0.01, 0.05]], N_CLIENTS)
    a, y = rng.normal(size=(2, N_CLIENTS))
    scores = np.empty((N_CLIENTS, N_SESSIONS, 2))
    for t in range(N_SESSIONS):
        y = 0.4 * y - 0.2 * a + 0.9 * rng.normal(size=N_CLIENTS)
        a = 0.3 * a - 0.15 * y + 0.8 * rng.normal(size=N_CLIENTS)
        scores[:, t] = level + slope * (t - 2) + np.column_stack([a, y])
    return scores * [4.0, 6.0] + [50.0, 20.0]


def to_frame(scores: np.ndarray) -> pd.DataFrame:
    columns = [f"{name}{t + 1}" for name in ("a", "y") for t in range(N_SESSIONS)]
    return pd.DataFrame(np.moveaxis(scores, 2, 1).reshape(len(scores), -1), columns=columns)


def main() -> None:
    rng = np.random.default_rng(20261122)
    scores = np.round(simulate(rng), 2)
    to_frame(scores).to_csv(HERE / "balanced.csv", index=False)
    scores[rng.random(scores.shape) < 0.08] = np.nan
    for client, last in enumerate(rng.integers(2, 9, N_CLIENTS)):
        scores[client, last:] = np.nan
    to_frame(scores).to_csv(HERE / "missing.csv", index=False)


if __name__ == "__main__":
    main()
