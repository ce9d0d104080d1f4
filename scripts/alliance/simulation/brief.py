"""The bundled study 'brief': totals of SRS and ORS, one row per client, no items or therapists."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alliance.simulation.drawn import Drawn
from alliance.simulation.flaws import planted_table, shuffle
from alliance.simulation.items import FloatArray, Form, answer
from alliance.simulation.planted import PlantingPlan, windows
from alliance.simulation.process import DropOut, Pair, Process, simulate_process
from alliance.simulation.streams import stream

SEED = 20261201
N_CLIENTS = 120

PROCESS = Process(
    n_sessions=12,
    planned=(6, 15),
    phi_alliance=0.30,
    phi_symptoms=0.40,
    cross_lag=-0.15,
    sd_cross_lag=0.05,
    cross_lag_feedback=0.0,
    same_session=-0.15,
    clients=Pair(1.6, 1.3, -0.30),
    therapists=Pair(0.0, 0.0),
    trend_alliance=0.06,
    trend_symptoms=-0.14,
    trends=Pair(0.03, 0.06, -0.2),
    pretreatment_change=0.0,
    drop_out=DropOut(-3.75, -0.35, 0.30),
    ruptures=PlantingPlan(0.15, 0.10, (2.5, 4.5)),
)
VISUAL_ANALOGUE = {
    "low": 0.0,
    "high": 10.0,
    "step": 0.1,
    "loadings": (1.0, 1.05, 1.05, 0.9),
    "subscales": (0, 0, 0, 0),
    "reversed_items": (),
    "sd_client_subscale": 0.0,
    "sd_session_subscale": 0.0,
}
SRS = Form(
    locations=(8.8, 8.4, 8.3, 8.6), points=0.65, sd_client_item=0.35, sd_session_item=0.6,
    **VISUAL_ANALOGUE,
)  # fmt: skip
ORS = Form(
    locations=(4.4, 5.0, 4.8, 4.5), points=-1.0, sd_client_item=0.7, sd_session_item=1.0,
    **VISUAL_ANALOGUE,
)  # fmt: skip

FLAWS = {"missing_form": 70, "sentinel_code": 15, "out_of_range": 3}
IMPOSSIBLE = (41.0, 45.5)
SENTINEL = -99


def draw_brief(seed: int, n_clients: int, replication: int = 0) -> Drawn:
    """One sample of the service, complete: every client present until the last session."""
    latent = simulate_process(PROCESS, n_clients, 1, stream(seed, "process", replication))
    rng = stream(seed, "items", replication)
    answers = {"alliance": answer(SRS, latent.alliance, rng)}
    answers["distress"] = answer(ORS, latent.symptoms, rng)
    came = np.arange(PROCESS.n_sessions) < latent.last[:, None]
    return Drawn(latent, answers, came, latent.last)


def brief_table(drawn: Drawn) -> pd.DataFrame:
    """The wide table before flaws are planted; sessions after the last are empty."""
    totals = {
        f"{name}_s{session + 1}": _totals(drawn, measure)[:, session]
        for name, measure in (("srs", "alliance"), ("ors", "distress"))
        for session in range(PROCESS.n_sessions)
    }
    return pd.DataFrame({"id": client_name(np.arange(len(drawn.scheduled))), **totals})


def client_name(position: np.ndarray) -> list[str]:
    return [f"B{number + 1:03d}" for number in position]


def _totals(drawn: Drawn, measure: str) -> FloatArray:
    totals = np.round(drawn.answers[measure].sum(axis=2), 1)
    return np.where(drawn.attended, totals, np.nan)


def flaw_brief(table: pd.DataFrame, drawn: Drawn, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table as it is written, and the table of flaws planted in it."""
    rng = stream(seed, "flaws")
    spared = windows(drawn.latent.ruptures, drawn.attended.shape)
    cells = [
        (int(row), int(session), name)
        for name in ("srs", "ors")
        for row, session in np.argwhere(drawn.attended & ~spared)
    ]
    flawed, planted = table.copy(), []
    order = iter(rng.permutation(len(cells)))
    entries = {"missing_form": [np.nan], "sentinel_code": [SENTINEL], "out_of_range": IMPOSSIBLE}
    for flaw, count in FLAWS.items():
        for _ in range(count):
            row, session, name = cells[next(order)]
            value = float(rng.choice(entries[flaw]))
            column = f"{name}_s{session + 1}"
            flawed.loc[row, column] = value
            written = "" if np.isnan(value) else f"{value:g}"
            planted.append(
                {"flaw": flaw, "client": table.loc[row, "id"], "session": session + 1,
                 "column": column, "written": written}
            )  # fmt: skip
    return shuffle(flawed, rng), planted_table(planted)
