"""What a study's models estimate in its population, in the metric in which it is scored.

A hybrid model without lagged outcome has an estimand of its own, which the structural parameters do
not give directly. It is obtained by fitting the very model of the study file to large samples from
the generator, without flaws; their spread gives the Monte Carlo standard error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from alliance.estimation.design import build_design
from alliance.estimation.dynamics_effects import held_effects, within_sd
from alliance.estimation.dynamics_maker import term_name
from alliance.estimation.dynamics_study import dynamic_analysis, fit_for_sampling
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import LmmFit, fit_lmm
from alliance.instruments import Instrument
from alliance.scoring import score_measure
from alliance.simulation.drawn import Drawn
from alliance.simulation.items import FloatArray
from alliance.study import Measure, ModelSpec, Study
from alliance.within_between import model_frame, pooled_within_sd

N_SAMPLES = 10
DIGITS, DIGITS_OF_SMALL = 4, 5  # a cross-lag in items' points can be small
Draw = Callable[[int], Drawn]
Numbers = dict[str, float]


def population_truth(
    study: Study, instruments: Mapping[str, Instrument], draw: Draw, n_samples: int = N_SAMPLES
) -> dict[str, object]:
    """Population values for ``truth.yaml``.

    Parameters
    ----------
    draw : gives the large sample with the number 1, 2, ...; independent of the study's own sample.

    Returns
    -------
    dict
        ``population_samples`` (how many, of how many clients), ``population`` (measure -> mean,
        SDs, ICC, and the drop-out rate) and ``estimands`` (model -> term -> ``value, mc_se``), the
        terms named as in the estimates table.
    """
    described: list[dict[str, Numbers]] = []
    fitted: list[dict[str, Numbers]] = []
    moved: list[dict[str, Numbers]] = []
    n_clients = 0
    for number in range(1, n_samples + 1):
        drawn = draw(number)
        n_clients = int(drawn.latent.last.size)
        sessions, clients = scored_tables(drawn, study, instruments)
        described.append(_describe(drawn, sessions, study))
        fitted.append(
            {name: fit_terms(sessions, clients, study, instruments, name) for name in study.models}
        )
        moved.append(
            {
                name: dynamic_terms(sessions, clients, study, instruments, name)
                for name in study.dynamics
            }
        )
    return {
        "population_samples": {"samples": n_samples, "clients_each": n_clients},
        "population": _summarise(described),
        "estimands": _summarise(fitted) | _summarise(moved, DIGITS_OF_SMALL),
    }


def scored_tables(
    drawn: Drawn, study: Study, instruments: Mapping[str, Instrument]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scored sessions and clients of a drawn sample, as the pipeline would have them."""
    client, column = np.nonzero(drawn.attended)
    names = [f"C{number:06d}" for number in range(len(drawn.scheduled))]
    sessions = pd.DataFrame({"client": np.array(names)[client], "session": column + 1})
    for name, measure in study.measures.items():
        answers = drawn.answers[name][client, column]
        sessions[name] = _score(answers, measure, instruments[str(measure.instrument)])
    therapists = [f"T{number:05d}" for number in drawn.latent.therapist]
    return sessions, pd.DataFrame({"client": names, "therapist": therapists})


def _score(answers: FloatArray, measure: Measure, instrument: Instrument) -> FloatArray:
    """Total by the instrument's key, or the plain total where the study has no items."""
    if measure.items is None:
        return np.round(answers.sum(axis=1), 1)
    return score_measure(pd.DataFrame(answers), instrument, measure)["total"].to_numpy()


def fit_terms(
    sessions: pd.DataFrame,
    clients: pd.DataFrame,
    study: Study,
    instruments: Mapping[str, Instrument],
    model: str,
) -> Numbers:
    """Terms of one model of the study file, fitted to scored tables."""
    spec = study.models[model]
    fit = _fit(_frame(sessions, clients, study, instruments, spec), spec, study)
    terms = dict(zip(fit.names, map(float, fit.beta), strict=True))
    terms |= {f"sd_{effect}": fit.sd(effect) for effect in fit.random_names}
    if fit.therapist_cov.size:
        terms["sd_therapist"] = float(np.sqrt(fit.therapist_cov[0, 0]))
    return terms | {"sd_residual": float(fit.sigma)}


def dynamic_terms(
    sessions: pd.DataFrame,
    clients: pd.DataFrame,
    study: Study,
    instruments: Mapping[str, Instrument],
    dynamics: str,
) -> Numbers:
    """Coefficients and lasting effects of one dynamic model, fitted to scored tables.

    Sessions that were attended are counted, as in the study: a missed appointment is no step.
    """
    attended = sessions.assign(session=sessions.groupby("client").cumcount() + 1)
    analysis = dynamic_analysis(study, dynamics, instruments, attended, clients)
    fit = fit_for_sampling(analysis)
    if isinstance(fit, Refusal):
        raise ValueError(f"the population model cannot be fitted: {fit.reason}")
    held = held_effects(fit.coefficients)[0]
    terms: Numbers = {}
    for target, source in np.ndindex(held.shape):
        terms[term_name(fit.names, target, source)] = float(fit.coefficients[0, target, source])
    for target, source in zip(*np.nonzero(~np.isnan(held)), strict=True):
        name = f"long_run_held_{fit.names[source]}_{fit.names[target]}"
        terms[name] = float(held[target, source])
    sds = dict(zip(fit.names, within_sd(fit), strict=True))
    return terms | {f"sd_within_{name}": float(sd) for name, sd in sds.items()}


def _frame(
    sessions: pd.DataFrame,
    clients: pd.DataFrame,
    study: Study,
    instruments: Mapping[str, Instrument],
    spec: ModelSpec,
) -> pd.DataFrame:
    outcome = study.measures[spec.outcome]
    instrument = instruments[str(outcome.instrument)]
    direction = outcome.higher_is or instrument.higher_is
    score_range = outcome.range or instrument.score_range
    return model_frame(
        sessions, clients, spec, study.timing, [], (str(direction), tuple(map(float, score_range)))
    )


def _fit(frame: pd.DataFrame, spec: ModelSpec, study: Study) -> LmmFit:
    design = build_design(frame, spec, study.covariates)
    if isinstance(design, Refusal):
        raise ValueError(f"the population model cannot be fitted: {design.reason}")
    fit = fit_lmm(design, spec.likelihood)
    if not fit.converged:
        raise ValueError(f"the population model did not converge: {fit.message}")
    return fit


def _describe(drawn: Drawn, sessions: pd.DataFrame, study: Study) -> dict[str, Numbers]:
    described = {name: _moments(sessions[name], sessions["client"]) for name in study.measures}
    rate = float((drawn.latent.ending == "dropout").mean())
    return {**described, "clients": {"drop_out": rate}}


def _moments(scores: pd.Series, client: pd.Series) -> Numbers:
    """Mean, SDs and ICC (one-way analysis of variance for unequal numbers of sessions)."""
    groups = scores.groupby(client)
    rows, means = groups.size().to_numpy(dtype=float), groups.mean().to_numpy()
    sd_within = pooled_within_sd(scores, client)
    mean_square = float((rows * (means - scores.mean()) ** 2).sum() / (rows.size - 1))
    typical = (rows.sum() - (rows**2).sum() / rows.sum()) / (rows.size - 1)
    variance = max((mean_square - sd_within**2) / typical, 0.0)
    return {
        "mean": float(scores.mean()),
        "sd_total": float(scores.std()),
        "sd_within": sd_within,
        "sd_between": float(np.sqrt(variance)),
        "icc": float(variance / (variance + sd_within**2)),
    }


def _summarise(
    samples: list[dict[str, Numbers]], digits: int = DIGITS
) -> dict[str, dict[str, Numbers]]:
    """Mean over the samples and its standard error, rounded to be the same on every machine."""
    summary: dict[str, dict[str, Numbers]] = {}
    for group, terms in samples[0].items():
        values = {term: np.array([sample[group][term] for sample in samples]) for term in terms}
        summary[group] = {
            term: {
                "value": round(float(drawn.mean()), digits),
                "mc_se": round(float(drawn.std(ddof=1) / np.sqrt(drawn.size)), digits),
            }
            for term, drawn in values.items()
        }
    return summary
