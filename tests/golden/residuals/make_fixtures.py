"""Simulate the csv files that residuals.R and tests/test_residuals.py read; they are committed.

Usage: python tests/golden/residuals/make_fixtures.py
"""

from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
MODALITIES = ("CBT", "psychodynamic", "systemic")


def simulate(
    rng: np.random.Generator,
    panel: list[int],
    rho: float,
    relative: dict[str, float],
    slopes: tuple[float, float],
    later: float = 1.0,
) -> pd.DataFrame:
    """Clients of therapists with gaps between sessions and serially correlated residuals.

    ``relative``: residual SD by modality; ``later``: factor from session 8 on; ``slopes``: SD of
    the slopes of clients and of therapists.
    """
    rows = []
    client = 0
    for therapist, size in enumerate(panel):
        upper, upper_slope = rng.normal(0, [2.0, slopes[1]])
        for _ in range(size):
            client += 1
            level, slope = rng.normal(0, [2.5, slopes[0]])
            modality = MODALITIES[client % 3]
            mean = 3.5 + rng.normal(0, 0.5)
            sessions = np.sort(rng.choice(np.arange(1, 15), rng.integers(2, 10), replace=False))
            e = 0.0
            for k, session in enumerate(sessions):
                kept = rho ** int(session - sessions[k - 1]) if k else 0.0
                e = kept * e + np.sqrt(1 - kept**2) * rng.normal()
                x = round(mean + rng.normal(0, 0.6), 3)
                size_e = 3 * relative[modality] * (later if session >= 8 else 1.0)
                y = 20 - 0.4 * (session - 1) + (-1.2 + slope + upper_slope) * (x - mean)
                y += upper + level - 2 * (mean - 3.5) + size_e * e
                head = [f"C{client:03d}", f"T{therapist:02d}", session, session - 1]
                rows.append([*head, x, modality, round(y, 3)])
    names = ["client", "therapist", "outcome_session", "time", "predictor", "modality", "outcome"]
    return pd.DataFrame(rows, columns=names)


def main() -> None:
    rng = np.random.default_rng(20261123)
    same = dict.fromkeys(MODALITIES, 1.0)
    other = {"CBT": 1.0, "psychodynamic": 1.7, "systemic": 0.6}
    files = {
        "gaps": simulate(rng, [1] * 70, 0.55, same, (1.2, 0)),
        "negative": simulate(rng, [1] * 60, -0.4, same, (1.0, 0)),
        "unequal": simulate(rng, [1] * 75, 0.0, other, (1.2, 0)),
        "phases": simulate(rng, [1] * 70, 0.4, same, (1.0, 0), later=0.5),
        "therapists": simulate(rng, [5, 4, 6, 3, 7] * 5, 0.45, same, (1.0, 1.5)),
    }
    for name, frame in files.items():
        frame.to_csv(HERE / f"{name}.csv", index=False)


if __name__ == "__main__":
    main()
