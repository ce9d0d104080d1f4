"""Does the bundled study 'clinic' miss its truth by chance? Many samples from its generator.

Usage, from the project's folder: python benchmarks/dynamics/clinic_samples.py [SAMPLES]

Writes, beside this script, ``clinic_samples.csv`` (coefficients of the dynamic model in samples as
large as the bundled one, fitted as the study file asks) and ``clinic_reliability.csv`` (what the
model finds in large samples when it assumes each coefficient of reliability).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from alliance.estimation.dynamics import VarFit, fit_var  # noqa: E402
from alliance.estimation.dynamics_effects import coefficients  # noqa: E402
from alliance.estimation.dynamics_maker import term_name  # noqa: E402
from alliance.estimation.dynamics_study import dynamic_analysis  # noqa: E402
from alliance.estimation.refusal import Refusal  # noqa: E402
from alliance.instruments import load_instruments  # noqa: E402
from alliance.reliability import (  # noqa: E402
    alpha,
    client_sums,
    covariances,
    generalizability,
)
from alliance.simulation import clinic  # noqa: E402
from alliance.simulation.drawn import Drawn  # noqa: E402
from alliance.simulation.items import Form  # noqa: E402
from alliance.simulation.population import scored_tables  # noqa: E402
from alliance.study import instruments_of, load_study  # noqa: E402

HERE = Path(__file__).parent
ANALYSIS = "next_session"
BUNDLED, FIRST, LARGE = 0, 1001, (1, 2, 3, 4)  # numbers of samples; 1 to 10 make the truth
STUDY = load_study(ROOT / "config/studies/clinic.yaml")
INSTRUMENTS = load_instruments(ROOT / "config/instruments", instruments_of(STUDY))


def fitted(drawn: Drawn) -> VarFit:
    """The model of the study file, fitted to a sample without flaws."""
    sessions, clients = scored_tables(drawn, STUDY, INSTRUMENTS)
    sessions = sessions.assign(session=sessions.groupby("client").cumcount() + 1)
    analysis = dynamic_analysis(STUDY, ANALYSIS, INSTRUMENTS, sessions, clients)
    if isinstance(analysis.series, Refusal):
        raise RuntimeError(analysis.series.reason)
    fit = fit_var(analysis.series, analysis.spec)
    if isinstance(fit, Refusal) or fit.problems:
        raise RuntimeError("a sample could not be fitted")
    return fit


def cells() -> Iterator[tuple[str, tuple[int, int, int]]]:
    for target, source in np.ndindex(2, 2):
        yield term_name(("alliance", "outcome"), target, source), (0, target, source)


def samples(n: int) -> pd.DataFrame:
    """Spread and coverage over samples of the size of the bundled one."""
    path = ROOT / "data/simulated/clinic/truth.yaml"
    truth = yaml.safe_load(path.read_text(encoding="utf-8"))["estimands"][ANALYSIS]
    found = []
    for number in [BUNDLED, *range(FIRST, FIRST + n)]:
        drawn = clinic.draw_clinic(clinic.SEED, clinic.N_CLIENTS, clinic.N_THERAPISTS, number)
        effects = coefficients(fitted(drawn))
        found.append([effects.estimate, effects.se, effects.low, effects.high])
    rows = []
    for term, cell in cells():
        estimate, se, low, high = np.array(found)[(slice(None), slice(None), *cell)].T
        true, own, others = truth[term]["value"], estimate[0], estimate[1:]
        as_far = np.abs(others - true) >= abs(own - true)
        rows.append({
            "term": term, "truth": true, "truth_mc_se": truth[term]["mc_se"], "samples": n,
            "mean": others.mean(), "mean_mc_se": others.std(ddof=1) / np.sqrt(n),
            "sd": others.std(ddof=1), "mean_se": se[1:].mean(),
            "coverage": ((low[1:] <= true) & (true <= high[1:])).mean(),
            "bundled": own, "pct_as_far_from_truth": 100 * as_far.mean(),
        })  # fmt: skip
    return pd.DataFrame(rows)


def reliabilities() -> pd.DataFrame:
    """Coefficients under each assumed reliability, in samples of 2,000 clients."""
    rows = []
    for number in LARGE:
        drawn = clinic.draw_clinic(clinic.SEED, 2000, 250, number)
        fit = fitted(drawn)
        known = [
            of_form(drawn, "alliance_client", clinic.WAI_SR, drawn.latent.alliance),
            of_form(drawn, "symptoms", clinic.CORE_10, drawn.latent.symptoms),
        ]
        for name in ("none", *known[0]):
            reliability = None if name == "none" else tuple(form[name] for form in known)
            again = fit_var(fit.series, replace(fit.spec, reliability=reliability))
            row: dict[str, object] = {"sample": number, "assumed": name}
            row |= {"alliance": 1.0, "symptoms": 1.0}
            if reliability:
                row |= dict(zip(("alliance", "symptoms"), reliability, strict=True))
            row |= {term: again.coefficients[cell] for term, cell in cells()}
            row["log_likelihood_gain"] = again.log_likelihood - fit.log_likelihood
            rows.append(row)
    return pd.DataFrame(rows)


def of_form(drawn: Drawn, measure: str, form: Form, latent: np.ndarray) -> dict[str, float]:
    """Squared within-client correlation with the latent level, alpha and Rcn of the total."""
    client, column = np.nonzero(drawn.attended)
    answers = drawn.answers[measure][client, column].copy()
    turned = np.array(form.reversed_items, dtype=int) - 1
    answers[:, turned] = form.low + form.high - answers[:, turned]
    sums = client_sums(answers, client, column.astype(float))
    both = pd.DataFrame({"total": answers.sum(axis=1), "latent": latent[client, column]})
    within = both - both.groupby(client).transform("mean")
    return {
        "true": float(within.corr().loc["total", "latent"] ** 2),
        "alpha": float(alpha(covariances(sums)["within_client"])[0]),
        "Rcn": float(generalizability(sums)["within_client", "Rcn"][0]),
    }


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    tables = {"clinic_samples": samples(n), "clinic_reliability": reliabilities()}
    for name, table in tables.items():
        path = HERE / f"{name}.csv"
        table.to_csv(path, index=False, float_format="%.5g", lineterminator="\n")


if __name__ == "__main__":
    main()
