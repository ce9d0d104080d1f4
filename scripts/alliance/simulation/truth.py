"""What is known about a simulated study, as it goes into ``truth.yaml`` and ``ruptures.csv``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
import yaml

from alliance.simulation.drawn import Drawn
from alliance.simulation.items import Form
from alliance.simulation.process import Process, innovations

GENERATOR_VERSION = 1


def rupture_table(drawn: Drawn, names: Sequence[str], points: float) -> pd.DataFrame:
    """The planted ruptures as they are written.

    Parameters
    ----------
    names : client id by position. points : score points per within-client SD, for the depth.
    """
    planted = drawn.latent.ruptures
    table = pd.DataFrame(
        {
            "client": [names[position] for position in planted["client"]],
            "shape": planted["shape"],
            "onset": planted["onset"],
            "nadir": planted["nadir"],
            "status": planted["status"],
            "repair_session": planted["repair"],
            "depth_within_sd": planted["depth"].round(2),
            "depth_points": (planted["depth"] * points).round(2),
        }
    )
    return table.sort_values("client", ignore_index=True)


def structure(process: Process, forms: Mapping[str, Form]) -> dict[str, object]:
    """The structural parameters, with the innovation variances that follow from them."""
    noise = innovations(process)
    return {
        "units": "within-client SDs (without ruptures and trends) and sessions",
        "process": _plain(_process_parameters(process)),
        "innovation_variances": {
            "alliance": round(noise.variance_alliance, 6),
            "symptoms": round(noise.variance_symptoms, 6),
        },
        "standardised_cross_lag": process.cross_lag,
        "therapist_share_of_stable_variance": {
            "alliance": _share(process.therapists.sd_alliance, process.clients.sd_alliance),
            "symptoms": _share(process.therapists.sd_symptoms, process.clients.sd_symptoms),
        },
        "forms": {name: _plain(asdict(form)) for name, form in forms.items()},
    }


def _process_parameters(process: Process) -> dict[str, object]:
    """All parameters; the ruptures' own effect only where there is one."""
    parameters = asdict(process)
    if not process.rupture_effect:
        del parameters["rupture_effect"]
    return parameters


def sample_summary(drawn: Drawn) -> dict[str, object]:
    """Counts of the drawn sample before flaws."""
    latent = drawn.latent
    inside = np.arange(drawn.attended.shape[1]) < drawn.scheduled[:, None]
    became = drawn.extra["attendance"][inside] if "attendance" in drawn.extra else []
    n_therapists = int(latent.therapist.max()) + 1
    return {
        "clients": int(latent.last.size),
        **({"therapists": n_therapists} if n_therapists > 1 else {}),
        "sessions_scheduled": int(drawn.scheduled.sum()),
        "sessions_attended": int(drawn.attended.sum()),
        "clients_with_one_session": int((drawn.attended.sum(axis=1) == 1).sum()),
        "not_attended": _counts([kind for kind in became if kind != "attended"]),
        "endings": _counts(latent.ending),
    }


def _counts(entries: Sequence[object]) -> dict[str, int]:
    names, counts = np.unique(np.asarray(entries, dtype=str), return_counts=True)
    return {str(name): int(count) for name, count in zip(names, counts, strict=True)}


def count_ruptures(ruptures: pd.DataFrame) -> dict[str, int]:
    """Planted ruptures by status."""
    counts = ruptures["status"].value_counts()
    return {name: int(counts.get(name, 0)) for name in ("repaired", "unrepaired", "indeterminate")}


def count_flaws(flaws: pd.DataFrame) -> dict[str, int]:
    """Planted flaws by kind."""
    return {
        str(name): int(count) for name, count in flaws["flaw"].value_counts().sort_index().items()
    }


def truth_text(truth: Mapping[str, object], command: str) -> str:
    """The truth as YAML, keys in the order given."""
    head = f"# Made by: {command}\n# data/simulated/README.md explains every key.\n"
    body = yaml.safe_dump(
        dict(truth), sort_keys=False, allow_unicode=True, width=100, default_flow_style=None
    )
    return head + body


def _share(upper: float, lower: float) -> float:
    total = upper**2 + lower**2
    return round(upper**2 / total, 4) if total else 0.0


def _plain(value: object) -> object:
    """Tuples as lists, recursively, so that YAML shows plain sequences."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value
