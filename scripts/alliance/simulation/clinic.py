"""The bundled study 'clinic': item-level forms of clients and therapists in a simulated clinic.

Calibrated to published typical values; ``data/simulated/README.md`` lists targets and what was
obtained.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.simulation.drawn import Drawn
from alliance.simulation.flaws import (
    FlawedTable,
    blank_client_entries,
    blank_forms,
    change_therapist,
    cut_to_one_session,
    duplicate_rows,
    planted_table,
    shuffle,
    spoil_answers,
    swap_dates,
)
from alliance.simulation.items import FloatArray, Form, answer
from alliance.simulation.planted import PlantingPlan, windows
from alliance.simulation.process import DropOut, Latent, Pair, Process, simulate_process
from alliance.simulation.streams import stream

SEED = 20261122
N_CLIENTS, N_THERAPISTS = 240, 30

PROCESS = Process(
    n_sessions=20,
    planned=(8, 26),
    phi_alliance=0.35,
    phi_symptoms=0.40,
    cross_lag=-0.15,
    sd_cross_lag=0.06,
    cross_lag_feedback=-0.06,
    same_session=-0.15,
    clients=Pair(2.15, 1.38, -0.35),
    therapists=Pair(0.6, 0.58, -0.35),
    trend_alliance=0.035,
    trend_symptoms=-0.10,
    trends=Pair(0.03, 0.05, -0.2),
    pretreatment_change=0.4,
    drop_out=DropOut(-4.25, -0.35, 0.30),
    ruptures=PlantingPlan(0.18, 0.13, (2.5, 4.5)),
)

WAI_SR = Form(
    low=1, high=5, step=1,
    locations=(3.52, 3.32, 3.82, 3.32, 3.92, 3.42, 3.82, 3.52, 3.92, 3.22, 3.42, 3.42),
    loadings=(1.0, 1.1, 0.9, 1.0, 0.9, 1.0, 1.0, 1.1, 0.9, 1.1, 1.0, 1.0),
    points=0.29, subscales=(0, 0, 1, 2, 1, 2, 1, 2, 1, 0, 2, 0), reversed_items=(),
    sd_client_subscale=0.20, sd_client_item=0.45,
    sd_session_subscale=0.08, sd_session_item=0.40,
)  # fmt: skip
WAI_S_THERAPIST = Form(
    low=1, high=7, step=1,
    locations=(4.15, 4.25, 4.65, 4.15, 4.75, 4.05, 4.65, 4.15, 4.75, 4.05, 4.15, 4.25),
    loadings=(1.0, 1.1, 0.9, 1.0, 0.9, 1.0, 1.0, 1.1, 0.9, 1.0, 1.0, 1.0),
    points=0.44, subscales=(0, 0, 1, 2, 1, 2, 1, 0, 1, 2, 2, 0), reversed_items=(4, 10),
    sd_client_subscale=0.20, sd_client_item=0.35,
    sd_session_subscale=0.10, sd_session_item=0.55,
)  # fmt: skip
CORE_10 = Form(
    low=0, high=4, step=1,
    locations=(2.5, 2.1, 2.2, 1.9, 2.0, 0.7, 2.4, 2.2, 2.2, 2.0),
    loadings=(1.1, 0.9, 1.0, 1.0, 1.1, 0.7, 1.1, 1.2, 1.1, 0.9),
    points=0.31, subscales=(0, 1, 1, 1, 0, 2, 0, 0, 0, 0), reversed_items=(2, 3),
    sd_client_subscale=0.15, sd_client_item=0.50,
    sd_session_subscale=0.05, sd_session_item=0.50,
)  # fmt: skip

# The therapist sees the same alliance, attenuated, with a leniency and a view of the dyad of their
# own and with noise per session; all in within-client SDs of the client's alliance.
THERAPIST_VIEW = {
    "of_stable": 0.45,
    "of_change": 0.50,
    "sd_leniency": 0.7,
    "sd_dyad": 1.1,
    "sd_session": 0.8,
}
ATTENDANCE = {"no-show": 0.045, "cancelled late": 0.045, "cancelled by therapist": 0.02}
LAST_NO_SHOW = 0.6  # share of drop-outs whose file ends with a no-show
REPORTED = {"at_onset": 0.6, "while_open": 0.35, "otherwise": 0.05}
MODALITIES = {"CBT": 0.45, "psychodynamic": 0.35, "DBT": 0.20}
AGE_GROUPS = {"18-25": 0.22, "26-40": 0.38, "41-60": 0.30, "61+": 0.10}
EXPECTANCY = {"mean": 6.2, "sd": 1.8, "r_stable_alliance": 0.30}

FLAWS = {
    "one_session_only": 2,
    "second_therapist": 3,
    "dates_out_of_order": 4,
    "missing_form": {"wai": 110, "wait": 190, "core": 80},
    "missing_psq": 60,
    "out_of_range": 5,  # per form, as the two below
    "sentinel_code": 20,
    "missing_item": 70,
    "exact_duplicate": 8,
    "conflicting_duplicate": 5,
    "clients": {"expectancy": 6, "core10_referral": 9, "core10_intake": 4},
}
IMPOSSIBLE = {"wai": (0, 6), "wait": (0, 8), "core": (5, 7)}


def draw_clinic(seed: int, n_clients: int, n_therapists: int, replication: int = 0) -> Drawn:
    """One sample of the clinic, complete: no form or answer is missing where a client came."""
    latent = simulate_process(
        PROCESS, n_clients, n_therapists, stream(seed, "process", replication)
    )
    rng = stream(seed, "items", replication)
    symptoms = answer(CORE_10, np.column_stack([latent.before, latent.symptoms]), rng)
    answers = {
        "alliance_client": answer(WAI_SR, latent.alliance, rng),
        "alliance_therapist": answer(
            WAI_S_THERAPIST,
            therapist_view(latent, stream(seed, "therapist view", replication)),
            rng,
        ),
        "symptoms": symptoms[:, 2:],
    }
    came, became, scheduled = draw_attendance(latent, stream(seed, "attendance", replication))
    return Drawn(latent, answers, came, scheduled, symptoms[:, :2], {"attendance": became})


def therapist_view(latent: Latent, rng: np.random.Generator) -> FloatArray:
    """(n, n_sessions) the alliance as therapists see it."""
    n, n_sessions = latent.alliance.shape
    view = THERAPIST_VIEW
    leniency = view["sd_leniency"] * rng.standard_normal(int(latent.therapist.max()) + 1)
    dyad = view["sd_dyad"] * rng.standard_normal(n)
    stable = view["of_stable"] * latent.stable_alliance + leniency[latent.therapist] + dyad
    change = view["of_change"] * (latent.alliance - latent.stable_alliance[:, None])
    return stable[:, None] + change + view["sd_session"] * rng.standard_normal((n, n_sessions))


def draw_attendance(
    latent: Latent, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.str_], NDArray[np.int64]]:
    """Who came, what became of each scheduled session, how many were scheduled.

    First and last session and those that decide about a planted rupture are always attended.
    """
    n, n_sessions = latent.alliance.shape
    session = np.arange(1, n_sessions + 1)
    kinds = ["attended", *ATTENDANCE]
    shares = [1 - sum(ATTENDANCE.values()), *ATTENDANCE.values()]
    became = rng.choice(kinds, size=(n, n_sessions), p=shares)
    always = windows(latent.ruptures, (n, n_sessions))
    always |= (session == 1) | (session == latent.last[:, None])
    became = np.where(always, "attended", became)
    after = session > latent.last[:, None]
    became = np.where(after, "no-show", became)
    stays_away = (latent.ending == "dropout") & (latent.last < n_sessions)
    scheduled = latent.last + (stays_away & (rng.random(n) < LAST_NO_SHOW))
    return (became == "attended") & ~after, became, scheduled


def clinic_tables(drawn: Drawn, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The sessions and clients tables with the columns of the files, before flaws are planted."""
    rng = stream(seed, "tables")
    return _sessions(drawn, rng), _clients(drawn, rng)


def client_name(position: NDArray[np.int64]) -> list[str]:
    return [f"C{number + 1:03d}" for number in position]


def therapist_name(position: NDArray[np.int64]) -> list[str]:
    return [f"T{number + 1:02d}" for number in position]


def _sessions(drawn: Drawn, rng: np.random.Generator) -> pd.DataFrame:
    latent = drawn.latent
    n, n_sessions = latent.alliance.shape
    reported = _reported_ruptures(latent, rng)
    dates = _dates(n, n_sessions, rng)
    client, column = np.nonzero(np.arange(n_sessions) < drawn.scheduled[:, None])
    came = drawn.attended[client, column]
    table = pd.DataFrame(
        {
            "client_id": client_name(client),
            "therapist_id": therapist_name(latent.therapist[client]),
            "session_no": column + 1,
            "session_date": dates[client, column].astype(str),
            "attendance": drawn.extra["attendance"][client, column],
            "psq_rupture": pd.array(reported[client, column], dtype="Int64"),
        }
    )
    table.loc[~came, "psq_rupture"] = pd.NA
    forms = (("wai", "alliance_client"), ("wait", "alliance_therapist"), ("core", "symptoms"))
    for prefix, measure in forms:
        answers = drawn.answers[measure][client, column].astype(int)
        names = [f"{prefix}_{item}" for item in range(1, answers.shape[1] + 1)]
        items = pd.DataFrame(answers, columns=names).astype("Int64")
        items.loc[~came] = pd.NA
        table = pd.concat([table, items], axis=1)
    return table


def _reported_ruptures(latent: Latent, rng: np.random.Generator) -> NDArray[np.int64]:
    """Answers to the rupture question after each session: imperfect view of the planted ones."""
    chance = np.where(latent.deflection < 0, REPORTED["while_open"], REPORTED["otherwise"])
    planted = latent.ruptures
    chance[planted["client"], planted["onset"].to_numpy(dtype=int) - 1] = REPORTED["at_onset"]
    return (rng.random(chance.shape) < chance).astype(int)


def _dates(n: int, n_sessions: int, rng: np.random.Generator) -> NDArray[np.datetime64]:
    """Weekly sessions on the client's weekday, now and then put off by a week."""
    first_monday = np.datetime64("2023-01-09")
    start = 7 * rng.integers(0, 72, n) + rng.integers(0, 5, n)
    weeks = 1 + (rng.random((n, n_sessions)) < 0.05)
    weeks[:, 0] = 0
    return first_monday + (start[:, None] + 7 * weeks.cumsum(axis=1)).astype("timedelta64[D]")


def _clients(drawn: Drawn, rng: np.random.Generator) -> pd.DataFrame:
    latent = drawn.latent
    n = latent.last.size
    stable = latent.stable_alliance / np.hypot(
        PROCESS.clients.sd_alliance, PROCESS.therapists.sd_alliance
    )
    r = EXPECTANCY["r_stable_alliance"]
    standing = r * stable + np.sqrt(1 - r**2) * rng.standard_normal(n)
    expectancy = np.rint(EXPECTANCY["mean"] + EXPECTANCY["sd"] * standing)
    totals = core_total(drawn.before) if drawn.before is not None else np.empty((n, 2))
    words = {"agreed": "agreed", "dropout": "dropped out", "ongoing": "still in treatment"}
    table = pd.DataFrame(
        {
            "client_id": client_name(np.arange(n)),
            "modality": rng.choice(list(MODALITIES), n, p=list(MODALITIES.values())),
            "age_group": rng.choice(list(AGE_GROUPS), n, p=list(AGE_GROUPS.values())),
            "feedback": latent.feedback,
            "expectancy": np.clip(expectancy, 0, 10),
            "core10_referral": totals[:, 0],
            "core10_intake": totals[:, 1],
            "ending": [words[ending] for ending in latent.ending],
        }
    )
    counts = ["expectancy", "core10_referral", "core10_intake"]
    return table.astype(dict.fromkeys(counts, "Int64"))


def core_total(answers: FloatArray) -> FloatArray:
    """Sum of the ten answers, reversed items turned back (complete forms)."""
    turned = answers.copy()
    reversed_items = np.array(CORE_10.reversed_items) - 1
    turned[..., reversed_items] = CORE_10.low + CORE_10.high - turned[..., reversed_items]
    return turned.sum(axis=-1)


def flaw_clinic(
    sessions: pd.DataFrame, clients: pd.DataFrame, drawn: Drawn, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The two tables as they are written, and the table of flaws planted in them."""
    rng = stream(seed, "flaws")
    forms = {
        name: [c for c in sessions.columns if c.startswith(f"{name}_")]
        for name in ("wai", "wait", "core")
    }
    table = FlawedTable(sessions, rng, "client_id", "session_no", set(map(int, sessions.index)))
    table.free -= _rows_about_ruptures(sessions, drawn)
    cut_to_one_session(table, _unremarkable_dropouts(drawn), FLAWS["one_session_only"])
    change_therapist(table, "therapist_id", FLAWS["second_therapist"])
    swap_dates(table, "session_date", FLAWS["dates_out_of_order"])
    for name, count in FLAWS["missing_form"].items():
        blank_forms(table, forms[name], name, count)
    spoil_answers(table, "missing_form", ["psq_rupture"], [pd.NA], FLAWS["missing_psq"])
    for name, values in IMPOSSIBLE.items():
        spoil_answers(table, "out_of_range", forms[name], values, FLAWS["out_of_range"])
        spoil_answers(table, "sentinel_code", forms[name], [-9, 99], FLAWS["sentinel_code"])
        spoil_answers(table, "missing_item", forms[name], [pd.NA], FLAWS["missing_item"])
    every_item = [column for columns in forms.values() for column in columns]
    duplicate_rows(table, FLAWS["exact_duplicate"], FLAWS["conflicting_duplicate"], every_item)
    flawed, planted = blank_client_entries(clients, FLAWS["clients"], "client_id", rng)
    return (
        shuffle(table.frame, rng),
        shuffle(flawed, rng),
        planted_table([*table.planted, *planted]),
    )


def _rows_about_ruptures(sessions: pd.DataFrame, drawn: Drawn) -> set[int]:
    spared = windows(drawn.latent.ruptures, drawn.attended.shape)
    client = sessions["client_id"].str[1:].astype(int) - 1
    inside = spared[client, sessions["session_no"] - 1]
    return {int(row) for row in sessions.index[inside]}


def _unremarkable_dropouts(drawn: Drawn) -> list[str]:
    """Drop-outs with several sessions and without a planted rupture."""
    latent = drawn.latent
    plain = (latent.ending == "dropout") & (latent.last >= 2)
    plain[latent.ruptures["client"].to_numpy(dtype=int)] = False
    return client_name(np.flatnonzero(plain))
