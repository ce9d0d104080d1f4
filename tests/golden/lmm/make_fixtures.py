"""Simulate the csv files that lmm.R and tests/test_reml.py read. Run once; the files are committed.

Usage: python tests/golden/lmm/make_fixtures.py
"""

from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
HEADER = ["client", "therapist", "session", "time", "predictor", "expectancy", "modality"]


def simulate(
    rng: np.random.Generator,
    panel: list[int],
    sessions: list[int],
    sd: tuple[float, float, float, float],
    correlation: float = -0.4,
) -> pd.DataFrame:
    """Clients of therapists; ``sd`` of therapist, client level, client slope and residual."""
    rows = []
    client = 0
    for therapist, size in enumerate(panel):
        upper = rng.normal(0, sd[0])
        upper_x = rng.normal(0, 0.25)
        for _ in range(size):
            client += 1
            z = rng.normal(size=2)
            level = sd[1] * z[0]
            slope = sd[2] * (correlation * z[0] + np.sqrt(1 - correlation**2) * z[1])
            mean = 3.5 + upper_x + rng.normal(0, 0.5)
            expectancy = round(6 + rng.normal(0, 2), 2)
            modality = rng.choice(["CBT", "psychodynamic", "systemic"], p=[0.5, 0.3, 0.2])
            for t in range(sessions[client % len(sessions)]):
                x = round(mean + 0.04 * t + rng.normal(0, 0.4), 3)
                y = 20 - 0.5 * t + (-1.2 + slope) * (x - mean) - 2.0 * (mean - 3.5)
                y += upper + level - 0.3 * (expectancy - 6) + rng.normal(0, sd[3])
                person = f"C{client:03d}"
                head = [person, f"T{therapist:02d}", t + 1, t, x, expectancy, modality]
                rows.append([*head, round(y, 3)])
    return pd.DataFrame(rows, columns=[*HEADER, "outcome"])


def main() -> None:
    rng = np.random.default_rng(20261122)
    unbalanced = [2, 12, 5, 8, 3, 10, 6]
    files = {
        "two_level": simulate(rng, [1] * 70, unbalanced, (0, 4, 1.5, 3)),
        "singular": simulate(rng, [1] * 40, [6, 5, 7], (0, 0.0, 0.0, 3)),
        "singular_slope": simulate(rng, [1] * 50, [4, 6], (0, 4, 0.05, 3)),
        "three_level": simulate(rng, [5, 4, 6, 3, 7] * 5, [1, 6, 4, 8, 2, 5], (2, 4, 1.5, 3)),
        "single_session": simulate(rng, [1] * 80, [1, 1, 6, 1, 4, 3], (0, 4, 1.5, 3)),
    }
    flat = simulate(rng, [1] * 40, [6, 5, 7], (0, 2, 0.0, 3))
    means = flat.groupby("client")["outcome"].transform("mean")
    flat["outcome"] = (flat["outcome"] - means + means.mean()).round(3)
    files["no_client_variance"] = flat
    for name, frame in files.items():
        frame.to_csv(HERE / f"{name}.csv", index=False)


if __name__ == "__main__":
    main()
