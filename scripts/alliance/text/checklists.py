"""Reporting checklists, filled in from the run; what was not done is said to be not done.

BARG: Kruschke (2021, Nature Human Behaviour 5, 1282-1291), its steps in our own words. The list of
what reviewers of alliance studies ask stands in the methods specification of this project.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from alliance.tables.format import counted, number
from alliance.tables.models import BAYESIAN, family
from alliance.tables.rupture_source_outcomes import ANALYSIS as SOURCES
from alliance.text.document import Passage, TextDocument, with_references
from alliance.text.inputs import TextInputs
from alliance.text.manuscript import known_references
from alliance.text.measures import reliability_estimated

DONE, PARTLY, NOT_DONE, NOT_APPLICABLE = "Done", "Partly", "Not done", "Does not apply"


def checklists_text(x: TextInputs) -> TextDocument:
    """Both lists as one document."""
    passages = [
        Passage("What reviewers of alliance studies ask", (), tuple(_lines(_reviewers(x)))),
        Passage(
            "Bayesian analysis reporting guidelines",
            ("After Kruschke [@kruschke2021], in this project's words.",),
            tuple(_lines(_barg(x))),
        ),
    ]
    return with_references(f"Checklists: {x.study.title}", passages, known_references(x))


def _lines(points: Iterable[tuple[str, str, str]]) -> Iterable[str]:
    for question, state, where in points:
        yield f"{question}: *{state}*. {where}".rstrip()


def _state(done: bool) -> str:
    return DONE if done else NOT_DONE


def _has(x: TextInputs, **wanted: str) -> bool:
    """Whether some row that holds a number has a column beginning with each of these words."""
    rows = x.estimates[x.estimates["status"] == "ok"]
    for column, start in wanted.items():
        rows = rows[rows[column].str.startswith(start)]
    return len(rows) > 0


def _reviewers(x: TextInputs) -> list[tuple[str, str, str]]:
    study, rows = x.study, x.estimates
    slopes = any("within" in spec.random_slopes for spec in study.models.values())
    therapists = any(spec.therapists for spec in study.models.values())
    ranges = rows["sd_random_slope"].notna().any()
    dynamic = _has(x, estimator="Random-intercept VAR")
    reverse = rows["term"].eq("cross_lag_outcome_alliance").any()
    return [
        ("Within- and between-client effects kept apart and named in every table",
         _state(_has(x, term="within") and _has(x, term="between")),
         "Column level of estimates.csv; model tables."),
        ("Dynamic effects free of centring bias", _state(dynamic),
         "Rows of the random-intercept vector autoregression." if dynamic
         else "The within-client coefficients do not condition on the earlier outcome."),
        ("Random slopes and differences between clients", _state(slopes and ranges),
         "SD of slopes and share of clients with the average sign."),
        ("Reverse path and earlier change", _state(reverse),
         "Reverse effect beside the forward effect." if reverse
         else "No model of the reverse path was asked for."),
        ("Standardised within-client coefficient with its interval, for pooling",
         _state(rows["std_within"].notna().any()), "Columns std_within, std_within_low and _high."),
        ("Spacing of measurements and missed sessions", DONE,
         "Lags follow the declared timing; pairs across a missing session are not formed."),
        ("Reliability of change within clients and of client means",
         _state(reliability_estimated(x)),
         "Reliability table." if reliability_estimated(x)
         else "Scores without items, or on too few clients, have no reliability of their own."),
        ("Therapists", _state(therapists),
         "Third level with therapist effects." if therapists
         else "No three-level model was asked for."),
        ("Ruptures held against noise and against other sources",
         _ruptures_state(x), _ruptures_words(x)),
        ("No causal wording", DONE, "Texts say predicts, goes with or differs; the design is "
         f"{study.design}."),
        ("Drop-out", _state(rows["term"].str.startswith("drop_out").any()),
         "Numbers at each step stand in the flow table."),
        ("Pre-registration", NOT_DONE, "[Authors: register the study file before looking at the "
         "outcome; it is complete in itself.]"),
        ("Open code and material", DONE, "One workflow, locked software, a simulated study beside "
         "the real data."),
    ]  # fmt: skip


def _ruptures_state(x: TextInputs) -> str:
    if not x.study.ruptures:
        return NOT_APPLICABLE
    against_noise = x.estimates["p_null"].notna().any()
    return DONE if against_noise and _other_sources(x) else PARTLY


def _other_sources(x: TextInputs) -> bool:
    """Whether reports, codes or behaviour stand beside the ratings, and not only rules."""
    return _has(x, analysis=SOURCES)


def _ruptures_words(x: TextInputs) -> str:
    if not x.study.ruptures:
        return "No rupture analysis was asked for."
    n = max(len(spec.rules) for spec in x.study.ruptures.values())
    words = f"{counted(n, 'rule')} side by side, with the verification of their wording"
    if not x.estimates["p_null"].notna().any():
        words += "; not held against noise"
    return f"{words}{'' if _other_sources(x) else '; no other source than ratings'}."


def _barg(x: TextInputs) -> list[tuple[str, str, str]]:
    own = x.estimates[x.estimates["estimator"].map(family).isin(BAYESIAN)]
    done = own[own["status"] != "not_estimated"]
    if done.empty:
        return [("Bayesian models", NOT_APPLICABLE, "None was fitted in this run.")]
    return [
        ("Goals and why Bayesian", DONE, "Methods, Bayesian models."),
        ("Data, likelihood and parameters", DONE, "Methods; the same likelihood as REML."),
        ("Priors with reasons", DONE, "config/priors.yaml and the figure of prior and posterior."),
        ("Prior predictive check", *_checked(x, "prior_predictive")),
        ("Sampler, version, seed", DONE, f"{done['estimator'].iloc[0]}; seed in estimates.csv."),
        ("Convergence", _converged(done),
         f"Largest R-hat {number(done['rhat_max'].max(), 3)}, smallest effective sample size "
         f"{number(done['ess_min'].min(), 0)}."),
        ("Posterior summaries with named intervals", DONE, "95% equal-tailed, with the probability "
         "of the sign."),
        ("Posterior predictive check", *_checked(x, "posterior_predictive")),
        ("Sensitivity to the prior", *_checked(x, "prior_sensitivity")),
        ("Region of practical equivalence", *_checked(x, "decision")),
        ("Bayes factor with its sweep of priors", *_checked(x, "bayes_factor")),
        ("Model comparison", *_checked(x, "comparison", "leave_one_out")),
        ("Reproducible", DONE, "Seed, locked software and code hash stand with every row; draws "
         "are kept as NetCDF."),
    ]  # fmt: skip


def _checked(x: TextInputs, *checks: str) -> tuple[str, str]:
    """State of a check by the rows that it left in the table of Bayesian checks."""
    rows = x.bayes_checks
    own = rows[rows["check"].isin(checks) & (rows["status"] == "ok")] if rows is not None else None
    if own is None or own.empty:
        return NOT_DONE, "No row of it in this run."
    names = [x.study.models[key].label for key in own["analysis"].unique() if key in x.study.models]
    return DONE, f"Table of Bayesian checks of: {'; '.join(names)}."


def _converged(done: pd.DataFrame) -> str:
    return PARTLY if (done["status"] == "diagnostics_failed").any() else DONE
