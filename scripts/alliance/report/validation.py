"""The numbers of `snakemake validate` as a page: are the estimators calibrated?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from alliance.report.validation_ruptures import (
    EXPLAINED,
    LEVEL_HEADINGS,
    TEST_HEADINGS,
    rupture_designs,
)

COVERAGE = (93.5, 96.5)  # percent, for nominal 95
TYPE_ONE = (3.6, 6.4)  # percent, for nominal 5
ENOUGH_FITS = 1000


@dataclass(frozen=True)
class ValidationInputs:
    """The tables of the calibration.

    Attributes
    ----------
    sbc : ``simulation.sbc.summarise`` of all models. reml : ``reml_calibration.summarise`` of all
        sizes. dynamics : ``simulation.recovery.summarise``.
    models, sizes : names of models of the first, of sizes of the second -> what they are.
    note : what readers must know about the run, Markdown.
    ruptures : design -> ``rupture_studies.rejection_table``.
    """

    sbc: pd.DataFrame
    reml: pd.DataFrame
    dynamics: pd.DataFrame
    models: Mapping[str, str]
    sizes: Mapping[str, str]
    note: str = ""
    ruptures: Mapping[str, pd.DataFrame] = field(default_factory=dict)


def validation_page(x: ValidationInputs, figure: str) -> str:
    """The page as Markdown; ``figure`` is the file of the picture, beside the page."""
    parts = [
        "# Are the estimators calibrated?\n",
        "Generated from tables that `snakemake validate` writes; not edited by hand. Simulated "
        "studies of known truth, default priors, seeds fixed. The numbers are given whatever they "
        "are.\n",
        *([x.note] if x.note else []),
        *_sbc(x, figure),
        *_reml(x),
        *_dynamics(x.dynamics),
        *_ruptures(x.ruptures),
    ]
    return "\n".join(parts) + "\n"


def _sbc(x: ValidationInputs, figure: str) -> Iterable[str]:
    yield "## Bayesian models: simulation-based calibration\n"
    yield (
        "Parameters are drawn from the priors, an outcome from the parameters, and the posterior "
        "is sampled by one chain (1,000 tuning steps, every 20th of 1,980 draws kept; for the "
        "dynamic model 500 and every 10th of 990). If all is "
        "right the rank of the true value among the 99 draws is uniform. ECDF p: of the largest "
        "deviation of the ranks' ECDF (simultaneous over ranks); mean rank z: positive where true "
        "values lie above the posterior; coverage: of central 50, 80 and 94% intervals. Units "
        "and predictors are those of one fixed design; fits with divergences are kept.\n"
    )
    yield f"![ECDF of the ranks minus the uniform one, 95% band for one quantity]({figure})\n"
    for model, own in x.sbc.groupby("model", sort=False):
        yield f"### {_capital(x.models[str(model)])}: {_whole(own['fits'].iloc[0])} fits\n"
        yield _sbc_sentence(own)
        yield _table(
            ("Quantity", "ECDF p", "Chi-square p", "Mean rank z", "50%", "80%", "94%"),
            [
                (
                    f"`{r.quantity}`", _fixed(r.ecdf_p, 3), _fixed(r.chi2_p, 3),
                    _fixed(r.mean_rank_z, 2), _fixed(r.coverage_50, 1), _fixed(r.coverage_80, 1),
                    _fixed(r.coverage_94, 1),
                )
                for r in own.itertuples()
            ],
        )  # fmt: skip


def _sbc_sentence(own: pd.DataFrame) -> str:
    low, n = int((own["ecdf_p"] < 0.05).sum()), len(own)
    smallest = min(1.0, float(own["ecdf_p"].min()) * n)
    verdict = "No sign of miscalibration" if smallest >= 0.05 else "The ranks are not uniform"
    return (
        f"{verdict}: {low} of {n} ECDF p values are below .05 ({0.05 * n:.1f} expected); the "
        f"smallest, times their number, is {smallest:.2f}. {_whole(own['divergent_fits'].iloc[0])} "
        f"fits had a divergent transition.{_what_fits_show(int(own['fits'].iloc[0]))}\n"
    )


def _what_fits_show(n_fits: int) -> str:
    """How well coverages are known where fits are few."""
    if n_fits >= ENOUGH_FITS:
        return ""
    known = [200.0 * np.sqrt(p * (1 - p) / n_fits) for p in (0.5, 0.94)]
    return (
        f" {_whole(n_fits)} fits show only larger deviations: a coverage of 50% is known to "
        f"{known[0]:.0f} points, one of 94% to {known[1]:.0f}."
    )


_NAMES = {
    "intercept": "Intercept", "within": "Within clients", "between": "Between clients",
    "between_therapist": "Between therapists", "time": "Time",
    "contextual": "Between minus within", "sd_intercept": "SD of clients' levels",
    "sd_within": "SD of clients' slopes", "sd_therapist": "SD of therapists",
    "sd_residual": "Residual SD",
}  # fmt: skip


def _reml(x: ValidationInputs) -> Iterable[str]:
    yield "## REML: bias, coverage, type-I error\n"
    yield (
        "The outcome is drawn from the fitted model (Gaussian) with new predictors in each study; "
        "intervals are Satterthwaite t intervals for fixed effects and profile-likelihood "
        "intervals for standard deviations. In residual SDs; predictors vary by 1 within clients. "
        "Coverage is of nominal 95% intervals; type-I error is the share of studies without any "
        "effect in which p < .05. Fits that did not converge are counted and left out.\n"
    )
    yield _reml_sentence(x.reml)
    for size, own in x.reml.groupby("size", sort=False):
        truth = own[own["truth"] == "effects"].set_index("term")
        null = own[own["truth"] == "no_effects"].set_index("term")
        n, lost = truth["studies"].iloc[0], own["not_converged"].max()
        yield f"### {_capital(x.sizes[str(size)])}: {_whole(n)} studies with and without effects\n"
        if lost:
            yield f"Not converged: at most {_whole(lost)} of {_whole(n)} studies.\n"
        rows = []
        for r in truth.itertuples():
            of_null = r.Index in null.index and not r.Index.startswith("sd_")
            error = f"{null.loc[r.Index, 'rejected']:.1f}" if of_null else ""
            rows.append((
                _NAMES.get(r.Index, r.Index), _fixed(r.true, 2),
                f"{r.bias:+.4f} ({r.bias_mc_se:.4f})", _fixed(r.sd, 3), _fixed(r.mean_se, 3),
                f"{r.coverage:.1f} ({r.coverage_mc_se:.1f})", error,
            ))  # fmt: skip
        headings = (
            "Term", "True", "Bias (MC SE)", "SD of estimates", "Mean SE", "Coverage, % (MC SE)",
            "Type-I error, %",
        )  # fmt: skip
        yield _table(headings, rows)


def _reml_sentence(reml: pd.DataFrame) -> str:
    fixed = reml[~reml["term"].str.startswith("sd_")]
    inside = fixed["coverage"].between(*COVERAGE)
    null = fixed[fixed["truth"] == "no_effects"]
    errors = null["rejected"].between(*TYPE_ONE)
    missed = [
        f"{_NAMES.get(r.term, r.term).lower()} ({r.size}, {r.truth}), {what} {value:.2f}%"
        for rows, what, column in (
            (fixed[~inside], "coverage", "coverage"),
            (null[~errors & inside[null.index]], "type-I error", "rejected"),
        )
        for r, value in zip(rows.itertuples(name="R"), rows[column], strict=True)
    ]
    text = (
        f"Fixed effects: coverage between {fixed['coverage'].min():.1f} and "
        f"{fixed['coverage'].max():.1f}%, {int(inside.sum())} of {len(fixed)} within "
        f"{COVERAGE[0]} to {COVERAGE[1]}%; type-I error between {null['rejected'].min():.1f} and "
        f"{null['rejected'].max():.1f}%, {int(errors.sum())} of {len(null)} within {TYPE_ONE[0]} "
        f"to {TYPE_ONE[1]}%."
    )
    return text + (f" Outside: {'; '.join(missed)}.\n" if missed else "\n")


def _dynamics(dynamics: pd.DataFrame) -> Iterable[str]:
    yield "## Dynamic model: the cross-lag from alliance to symptoms\n"
    own = dynamics[
        (dynamics["term"] == "cross_lag_alliance_outcome")
        & (dynamics["estimator"] == "RI-VAR (ML)")
    ]
    yield (
        f"Random-intercept VAR, {_whole(own['replications'].min())} samples of "
        f"{_whole(own['n_clients'].iloc[0])} clients per design.\n"
    )
    yield _table(
        ("Condition", "Sessions", "True", "Bias (MC SE)", "Coverage, % (MC SE)", "Power, %"),
        [
            (
                str(r.condition).replace("_", " "), str(r.n_sessions), _fixed(r.truth, 2),
                f"{r.bias:+.4f} ({r.bias_mc_se:.4f})",
                f"{100 * r.coverage:.1f} ({100 * r.coverage_mc_se:.1f})", _fixed(100 * r.power, 0),
            )
            for r in own.itertuples()
        ],
    )  # fmt: skip
    yield from _lasting(dynamics)


_LASTING = {
    "long_run_held_alliance_outcome": "Held one unit higher",
    "long_run_equilibrium_alliance_outcome": "Pushed at every session",
    "response_alliance_outcome_3": "Three sessions later",
    "response_alliance_outcome_6": "Six sessions later",
}


def _lasting(dynamics: pd.DataFrame) -> Iterable[str]:
    """Coverage of what the rows derive from the coefficients; nothing where it was not checked."""
    own = dynamics[(dynamics["estimator"] == "RI-VAR (ML)") & dynamics["term"].isin(_LASTING)]
    if own.empty:
        return
    yield "### Long-run effects and responses, alliance to symptoms\n"
    yield (
        "Percentile intervals of normal draws of the coefficients. A response some sessions later "
        "is a power of the autoregression: where that is estimated too small, so is the response.\n"
    )
    yield _table(
        (
            "Condition", "Sessions", "Samples", "Effect", "True", "Bias (MC SE)",
            "Coverage, % (MC SE)",
        ),
        [
            (
                str(r.condition).replace("_", " "), str(r.n_sessions), _whole(r.replications),
                _LASTING[str(r.term)], _fixed(r.truth, 3),
                f"{r.bias:+.4f} ({r.bias_mc_se:.4f})",
                f"{100 * r.coverage:.1f} ({100 * r.coverage_mc_se:.1f})",
            )
            for r in own.itertuples()
        ],
    )  # fmt: skip


def _ruptures(designs: Mapping[str, pd.DataFrame]) -> Iterable[str]:
    """Size and power of the tests of ruptures; nothing where they were not tried."""
    if not designs:
        return
    yield "## Ruptures: do the tests keep their level?\n"
    yield EXPLAINED
    for design in rupture_designs(designs):
        yield f"### {design.name.replace('_', ' ').capitalize()}\n"
        yield f"{design.sentence}\n"
        yield _table(LEVEL_HEADINGS, design.levels)
        yield f"Single tests that were possible in at least {design.fewest} studies:\n"
        yield _table(TEST_HEADINGS, design.tests)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(headings)} |", f"|---|{'---:|' * (len(headings) - 1)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _fixed(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else ""


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
