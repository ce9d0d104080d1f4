"""The Bayesian twins of the models: priors, sampler, checks."""

from __future__ import annotations

from collections.abc import Iterator

from alliance.tables.format import counted, number
from alliance.tables.models import BAYESIAN, family
from alliance.text.bayes_words import bayes_sentences
from alliance.text.document import Passage, passage
from alliance.text.inputs import TextInputs
from alliance.text.words import listed

EFFORT = {
    "draft": "2 chains of 500 draws each after 500 tuning steps",
    "standard": "4 chains of 1,000 draws each after 1,000 tuning steps",
    "final": "4 chains of 5,000 draws each after 2,000 tuning steps",
}
DYNAMIC_TUNING = "500 in the dynamic models"  # from the maximum-likelihood fit; not in a draft
OWN_DYNAMICS = {
    "draft": "1,000 draws each after 500 tuning steps",
    "standard": "2,000 draws each after 1,000 tuning steps",
    "final": "5,000 draws each after 2,000 tuning steps",
}
GATE = {"draft": (1.05, 100), "standard": (1.01, 400), "final": (1.01, 400)}  # R-hat, ESS
LEAST_BFMI = 0.3
_SHOWN = ("within", "between", "time", "covariate", "moderator")


def bayes_methods(x: TextInputs) -> Passage | None:
    """Why, which priors, how sampled, which gate; nothing when no model asks for it."""
    if not any(spec.bayes for spec in x.study.models.values()):
        return None
    return passage("Bayesian models", [_model(), _priors(x), _sampling(x), _checks(x)])


def _model() -> str:
    return (
        "The same models were fitted with priors, so that uncertainty about variances is carried "
        "into every interval and the direction of an effect has a probability; reporting follows "
        "the Bayesian analysis reporting guidelines [@kruschke2021]. Random effects were "
        "integrated out analytically and recovered after sampling."
    )


def _priors(x: TextInputs) -> str:
    given = [
        f"{name} effects SD {number(float(x.priors[name]['sd']))}"
        for name in _SHOWN
        if isinstance(x.priors.get(name), dict) and "sd" in x.priors[name]
    ]
    if not given:
        return ""
    return (
        "Predictor, outcome and time were divided by their pooled within-client standard "
        "deviation. "
        f"Coefficients had normal priors around zero ({listed(given)}); standard deviations had "
        "half-normal priors and correlations LKJ priors. The reasons stand in config/priors.yaml."
    )


def _of_dynamic_models(x: TextInputs) -> str:
    """How their sampling differs; nothing where it does not."""
    asked = x.study.dynamics.values()
    said = []
    if x.effort != "draft" and any(spec.bayes for spec in asked):
        said.append(DYNAMIC_TUNING)
    own = OWN_DYNAMICS[x.effort]
    if any(spec.random_dynamics for spec in asked) and own not in EFFORT[x.effort]:
        said.append(f"{own} where clients have dynamics of their own")
    return f" ({'; '.join(said)})" if said else ""


def _sampling(x: TextInputs) -> str:
    version = x.versions
    pymc, nutpie, arviz = (version.get(name, "") for name in ("pymc", "nutpie", "arviz"))
    also = _of_dynamic_models(x)
    rhat, ess = GATE[x.effort]
    text = (
        f"Posteriors were drawn by the No-U-Turn sampler of nutpie {nutpie}".rstrip()
        + f" through PyMC {pymc}".rstrip()
        + f" [@abrilpla2023], {EFFORT[x.effort]}{also}, and summarised "
        + f"with ArviZ {arviz}".rstrip()
        + " [@kumar2019]. "
    )
    return text + (
        f"A fit counts only if every R-hat is at most {rhat:.2f}, every bulk and tail effective "
        f"sample size at least {ess} [@vehtari2021], no transition divergent and the energy "
        f"fraction (BFMI) at least {LEAST_BFMI}. Intervals (CrI) are 95% equal-tailed."
    )


def _checks(x: TextInputs) -> str:
    """Which checks were made, each named by the rows that it left."""
    made = set() if x.bayes_checks is None else set(x.bayes_checks["check"])
    steps = {
        "prior_predictive": "data drawn from the priors alone against what the scale allows",
        "posterior_predictive": "statistics of the outcome in replicated data against the observed",
        "leave_one_out": "the prediction of left-out clients by Pareto-smoothed importance "
        "sampling [@vehtari2017]",
        "prior_sensitivity": "the sensitivity to the priors by power-scaling [@kallioinen2024]",
        "decision": "the posterior probability of a practically zero effect",
        "bayes_factor": "the Bayes factor against no within-client effect over a range of priors",
    }
    said = [words for name, words in steps.items() if name in made]
    return f"Also examined were {listed(said)}." if said else ""


def bayes_results(x: TextInputs) -> Passage | None:
    """How the fits converged."""
    own = x.estimates[x.estimates["estimator"].map(family).isin(BAYESIAN)]
    own = own[own["status"] != "not_estimated"]
    if own.empty:
        return None
    return passage("Checks of the Bayesian fits", [*_convergence(x, own), " ".join(_findings(x))])


def _findings(x: TextInputs) -> list[str]:
    """What the checks of the main model say; nothing without them."""
    specs = list(x.study.models.items())
    chosen = [pair for pair in specs if pair[1].headline] or specs
    if x.bayes_checks is None or not chosen:
        return []
    key, spec = chosen[0]
    return bayes_sentences(x.bayes_checks, key, spec.label)


def _divergent(most: float) -> str:
    if most == 0:
        return "no divergent transition occurred"
    return f"{counted(most, 'divergent transition')} occurred in the worst fit"


def _convergence(x: TextInputs, own: object) -> Iterator[str]:
    failed = sorted(own.loc[own["status"] == "diagnostics_failed", "analysis"].unique())
    if own["rhat_max"].notna().any():
        yield (
            f"The largest R-hat of any parameter was {number(own['rhat_max'].max(), 3)} and the "
            f"smallest effective sample size {number(own['ess_min'].min(), 0)}; "
            f"{_divergent(own['divergences'].max())}."
        )
    if failed:
        specs = {**x.study.models, **x.study.dynamics}
        names = [specs[a].label if a in specs else a for a in failed]
        yield f"The diagnostics gate failed for: {'; '.join(names)}."
