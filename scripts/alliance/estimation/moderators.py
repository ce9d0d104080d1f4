"""Does the effect of the predictor differ by a third variable? Within and between clients.

Each moderator Z has a model of its own: the model of the study file with Z, ``within x Z`` and
``between x Z``, and always a random slope of the within part: without it, a test of ``within x Z``
takes the clients' own differences in slope for evidence and rejects far too often (methods 1.11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from alliance.estimates import Estimate
from alliance.estimation.design import ModelDesign, build_design
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import Contrast, LmmFit, contrast, fit_lmm
from alliance.estimation.row_maker import RowMaker, maker_of
from alliance.estimation.terms import RowContext
from alliance.study import Covariate, ModelSpec

FloatArray = NDArray[np.float64]
OWN_MEAN = "own_mean"
_INTERVAL = "95% t, Satterthwaite"


@dataclass(frozen=True)
class _Moderated:
    """One moderator: its model, fitted or refused."""

    name: str
    context: RowContext
    design: ModelDesign | Refusal
    fit: LmmFit | Refusal


def moderator_rows(
    frame: pd.DataFrame,
    clients: pd.DataFrame,
    spec: ModelSpec,
    covariates: Mapping[str, Covariate],
    context: RowContext,
    smallest_cell: int = 3,
) -> list[Estimate]:
    """Interactions, their tests with Holm-adjusted p, and simple slopes, for every moderator.

    Parameters
    ----------
    frame : ``within_between.model_frame`` of the model. clients : client table with the moderators.
    smallest_cell : clients that a category needs.

    Returns
    -------
    Rows of the analyses ``<model>.by_<moderator>``.
    """
    fitted = [
        _fit(frame, clients, spec, covariates, name, context, smallest_cell)
        for name in spec.moderators
    ]
    rows: list[Estimate] = []
    for one in fitted:
        label = moderator_label(one.name, covariates, context)
        rows += _refused(one, label) if isinstance(one.fit, Refusal) else _rows(one, label)
    return _holm(rows)


def moderator_label(name: str, covariates: Mapping[str, Covariate], context: RowContext) -> str:
    """The name of a moderator for readers."""
    if name == OWN_MEAN:
        return f"the client's own mean of {context.predictor_label}"
    if name == "time":
        return f"{context.time_unit} number"
    return covariates[name].label or name


def _fit(
    frame: pd.DataFrame,
    clients: pd.DataFrame,
    spec: ModelSpec,
    covariates: Mapping[str, Covariate],
    name: str,
    context: RowContext,
    smallest_cell: int,
) -> _Moderated:
    own = replace(context, analysis=f"{context.analysis}.by_{name}")
    if name in covariates and name not in frame.columns:
        frame = frame.merge(clients[["client", name]], on="client", how="left", validate="m:1")
    design = build_design(
        frame, moderated(spec, name), covariates, smallest_cell=max(smallest_cell, 3)
    )
    if not isinstance(design, Refusal):
        design = _fit_to_test(design, name)
    fit = design if isinstance(design, Refusal) else fit_lmm(design, spec.likelihood)
    return _Moderated(name, own, design, fit)


def moderated(spec: ModelSpec, name: str) -> ModelSpec:
    """The model with the moderator's main effect and products, and a random within slope."""
    products = ["within:between"] if name == OWN_MEAN else [f"within:{name}", f"between:{name}"]
    main = [] if name == OWN_MEAN else [name]
    terms = list(dict.fromkeys([*spec.covariates, *main, *products]))
    slopes = list(dict.fromkeys(["within", *spec.random_slopes]))
    return spec.model_copy(update={"covariates": terms, "random_slopes": slopes})


def _fit_to_test(design: ModelDesign, name: str) -> ModelDesign | Refusal:
    """Refuse a test without its random slope, or without its interaction."""
    for term, reason in design.dropped:
        if term == "random slope of within":
            return Refusal(
                f"the random slope that the test needs cannot be estimated: {reason}",
                "The moderation of a within-client effect needs more clients with three sessions.",
            )
        if term == name:
            return Refusal(f"the moderator {reason}", "Leave it out of `moderators`.")
    return design


def _rows(one: _Moderated, label: str) -> list[Estimate]:
    assert isinstance(one.design, ModelDesign)
    assert isinstance(one.fit, LmmFit)
    maker = maker_of(one.fit, one.design, one.context)
    rows: list[Estimate] = []
    for part in ("within", "between"):
        terms = interaction_terms(one.fit.names, part, one.name)
        if not terms:
            continue
        for term in terms:
            found = contrast(one.fit, weights_of(one.fit, {term: 1.0}))
            rows.append(maker.inference(term, "fixed", found, _INTERVAL))
        rows.append(_joint_row(one.fit, maker, part, terms, label))
        rows += _simple_slopes(one, maker, part, terms, label)
    return rows


def interaction_terms(names: Sequence[str], part: str, moderator: str) -> list[str]:
    """Columns of the product of ``within`` or ``between`` with the moderator."""
    if moderator == OWN_MEAN:
        return ["within:between"] if part == "within" else []
    start = f"{part}:{moderator}"
    return [name for name in names if name == start or name.startswith(f"{start}[")]


def weights_of(fit: LmmFit, given: Mapping[str, float]) -> FloatArray:
    """A combination of coefficients by their names."""
    return np.array([given.get(name, 0.0) for name in fit.names])


def _joint_row(fit: LmmFit, maker: RowMaker, part: str, terms: list[str], label: str) -> Estimate:
    """All products of one moderator together: Wald F with the smallest Satterthwaite df."""
    at = [fit.names.index(term) for term in terms]
    beta, vcov = fit.beta[at], fit.vcov[np.ix_(at, at)]
    statistic = float(beta @ np.linalg.solve(vcov, beta)) / len(at)
    df = min(contrast(fit, weights_of(fit, {term: 1.0})).df for term in terms)
    return maker.row(
        f"test_{part}",
        "test",
        level=_LEVEL[part],
        estimand=_QUESTION.format(where=_WHERE[part], label=label),
        units=f"F({len(at)}, {df:.0f})",
        estimate=statistic,
        df=df,
        p=float(stats.f.sf(statistic, len(at), df)),
    )


_QUESTION = "Does the effect {where} differ by {label}? F test of all its products"
_WHERE = {"within": "within clients", "between": "between clients"}
_LEVEL = {"within": "within_client", "between": "between_client"}


def _simple_slopes(
    one: _Moderated, maker: RowMaker, part: str, terms: list[str], label: str
) -> list[Estimate]:
    """The effect in each category, or at the mean and one SD below and above it."""
    assert isinstance(one.fit, LmmFit)
    rows = []
    units = f"{one.context.outcome_units} per {one.context.predictor_unit}"
    for where, given in _places(one, part, terms, label):
        found: Contrast = contrast(one.fit, weights_of(one.fit, {part: 1.0} | given))
        words = {
            "level": _LEVEL[part],
            "estimand": f"Effect {_WHERE[part]} of {one.context.predictor_label} on "
            f"{one.context.outcome_label} where {where}",
            "units": units,
        }
        rows.append(maker.inference(f"slope_{part}@{where}", "contrast", found, _INTERVAL, **words))
    return rows


def _places(
    one: _Moderated, part: str, terms: list[str], label: str
) -> list[tuple[str, dict[str, float]]]:
    assert isinstance(one.design, ModelDesign)
    categories = [term for term in terms if term.endswith("]")]
    if categories:
        first = one.design.labels.get(categories[0].partition(":")[2], "")
        reference = first.rpartition(" versus ")[2]
        named = [(t[t.index("[") + 1 : -1], {t: 1.0}) for t in categories]
        return [(f"{label} is {where}", at) for where, at in [(reference, {}), *named]]
    values = _moderator_values(one.design, one.name)
    centre, sd = float(values.mean()), float(np.std(values, ddof=1))
    names = {-1: "one SD below average", 0: "average", 1: "one SD above average"}
    return [
        (f"{label} is {words}", {terms[0]: centre + step * sd}) for step, words in names.items()
    ]


def _moderator_values(design: ModelDesign, name: str) -> FloatArray:
    """Values of a continuous moderator: one per client, for time one per row."""
    column = design.X[:, design.names.index("between" if name == OWN_MEAN else name)]
    if name == "time":
        return column
    counts = np.bincount(design.client, minlength=design.n_clients)
    return np.bincount(design.client, column, design.n_clients) / counts


def _refused(one: _Moderated, label: str) -> list[Estimate]:
    assert isinstance(one.fit, Refusal)
    design = None if isinstance(one.design, Refusal) else one.design
    maker = RowMaker(design, one.context, one.context.estimator, ("", "ok", ""))
    parts = ["within"] if one.name == OWN_MEAN else ["within", "between"]
    return [
        maker.row(
            f"test_{part}",
            "test",
            level=_LEVEL[part],
            estimand=_QUESTION.format(where=_WHERE[part], label=label),
            units="",
            status="not_estimated",
            reason=f"{one.fit.reason}. {one.fit.advice}",
        )
        for part in parts
    ]


def _holm(rows: list[Estimate]) -> list[Estimate]:
    """Adjusted p of the tests: those within clients are one family, those between another."""
    for term in ("test_within", "test_between"):
        family = [k for k, row in enumerate(rows) if row.term == term and np.isfinite(row.p)]
        adjusted = holm([rows[k].p for k in family])
        for k, value in zip(family, adjusted, strict=True):
            rows[k] = replace(rows[k], p_adjusted=value)
    return rows


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjustment: the k-th smallest of m times (m - k + 1), never falling.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    raised = [p[at] * (len(p) - rank) for rank, at in enumerate(order)]
    steps = np.minimum(np.maximum.accumulate(raised), 1.0) if raised else []
    adjusted = dict(zip(order, steps, strict=True))
    return [float(adjusted[k]) for k in range(len(p))]
