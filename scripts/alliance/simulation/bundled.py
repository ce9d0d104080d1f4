"""The files of the bundled studies, name by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from alliance.instruments import Instrument
from alliance.simulation import brief, clinic
from alliance.simulation.drawn import Drawn
from alliance.simulation.population import population_truth
from alliance.simulation.truth import (
    GENERATOR_VERSION,
    count_flaws,
    count_ruptures,
    rupture_table,
    sample_summary,
    structure,
    truth_text,
)
from alliance.study import Study

Population = Mapping[str, object]
POPULATION_CLIENTS, POPULATION_THERAPISTS = 2000, 250  # of each sample, eight to one as in 'clinic'


def clinic_files(population: Population) -> dict[str, str]:
    """Text of every file of ``data/simulated/clinic``; ``population`` goes into the truth."""
    drawn = clinic.draw_clinic(clinic.SEED, clinic.N_CLIENTS, clinic.N_THERAPISTS)
    tables = clinic.clinic_tables(drawn, clinic.SEED)
    sessions, clients, flaws = clinic.flaw_clinic(*tables, drawn, clinic.SEED)
    names = clinic.client_name(np.arange(clinic.N_CLIENTS))
    ruptures = rupture_table(drawn, names, clinic.WAI_SR.points)
    forms = {"waisr": clinic.WAI_SR, "wais_t": clinic.WAI_S_THERAPIST, "core10": clinic.CORE_10}
    truth = {
        **_head("clinic", clinic.SEED),
        "structure": {
            **structure(clinic.PROCESS, forms),
            "therapist_view": clinic.THERAPIST_VIEW,
            "attendance": clinic.ATTENDANCE,
            "rupture_question": clinic.REPORTED,
            "expectancy": clinic.EXPECTANCY,
            "modality_effect": 0.0,
        },
        **_planted(sample_summary(drawn), ruptures, flaws),
        **population,
    }
    return {
        "sessions.csv": csv_text(sessions),
        "clients.csv": csv_text(clients),
        "ruptures.csv": csv_text(ruptures),
        "flaws.csv": csv_text(flaws),
        "truth.yaml": truth_text(truth, command("clinic")),
    }


def brief_files(population: Population) -> dict[str, str]:
    """Text of every file of ``data/simulated/brief``."""
    drawn = brief.draw_brief(brief.SEED, brief.N_CLIENTS)
    table, flaws = brief.flaw_brief(brief.brief_table(drawn), drawn, brief.SEED)
    names = brief.client_name(np.arange(brief.N_CLIENTS))
    ruptures = rupture_table(drawn, names, brief.SRS.points * sum(brief.SRS.loadings))
    truth = {
        **_head("brief", brief.SEED),
        "structure": structure(brief.PROCESS, {"srs": brief.SRS, "ors": brief.ORS}),
        **_planted(sample_summary(drawn), ruptures, flaws),
        **population,
    }
    return {
        "brief.csv": csv_text(table),
        "ruptures.csv": csv_text(ruptures),
        "flaws.csv": csv_text(flaws),
        "truth.yaml": truth_text(truth, command("brief")),
    }


STUDIES: dict[str, Callable[[Population], dict[str, str]]] = {
    "clinic": clinic_files,
    "brief": brief_files,
}


def study_files(study: Study, instruments: Mapping[str, Instrument]) -> dict[str, str]:
    """Text of every file of a bundled study, by name.

    Parameters
    ----------
    study : the study file of ``clinic`` or ``brief``; its models define the estimands.
    instruments : at least those the study names.
    """
    population = population_truth(study, instruments, _DRAWS[study.id])
    return STUDIES[study.id](population)


def _large_clinic(number: int) -> Drawn:
    return clinic.draw_clinic(clinic.SEED, POPULATION_CLIENTS, POPULATION_THERAPISTS, number)


def _large_brief(number: int) -> Drawn:
    return brief.draw_brief(brief.SEED, POPULATION_CLIENTS, number)


_DRAWS: dict[str, Callable[[int], Drawn]] = {"clinic": _large_clinic, "brief": _large_brief}


def command(study: str) -> str:
    """The command that makes the files of a study, run from the project's folder."""
    return f"python scripts/simulate_study.py {study} --out data/simulated/{study}"


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV with the same bytes on every system."""
    return table.to_csv(index=False, lineterminator="\n", float_format="%.10g")


def _head(study: str, seed: int) -> dict[str, object]:
    return {
        "study": study,
        "simulated": True,
        "generator_version": GENERATOR_VERSION,
        "seed": seed,
        "command": command(study),
    }


def _planted(
    sample: dict[str, object], ruptures: pd.DataFrame, flaws: pd.DataFrame
) -> dict[str, object]:
    return {
        "sample": sample,
        "planted_ruptures": {**count_ruptures(ruptures), "listed_in": "ruptures.csv"},
        "planted_flaws": {**count_flaws(flaws), "listed_in": "flaws.csv"},
    }
