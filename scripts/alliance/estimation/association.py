"""Early alliance and the last outcome, between clients: the question of most published studies.

The mean rating of a few early sessions is related to the client's last outcome score, as partial
correlations at equal outcome before treatment, without and with the change up to the rating
(methods 1.15), beside the pooled correlation of the field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from alliance.estimates import Estimate
from alliance.estimation.cluster_robust import cr2
from alliance.estimation.design import MIN_THERAPISTS, plain_design
from alliance.estimation.design_groups import MIN_CLIENTS_PER_THERAPIST
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import LmmFit, contrast, fit_lmm
from alliance.study import AssociationSpec, Covariate, Timing
from alliance.within_between import orient

FloatArray = NDArray[np.float64]
MIN_CLIENTS = 20
# Therapists for errors that are robust by therapist. With 10 to 30 of very uneven panels and
# intraclass correlations of 0 to .4, they reject 3.8 to 6.3 % of true null hypotheses at 5 %.
FEWEST_CLUSTERS = 10
PUBLISHED = "fluckiger2018"
_ADJUSTMENTS: dict[str, str] = {
    "r": "not adjusted",
    "r_baseline": "at equal {outcome} before treatment",
    "r_prior_change": "at equal {outcome} before treatment and equal change up to the rating",
}


@dataclass(frozen=True)
class AssociationContext:
    """Words and keys that all rows of one association share."""

    analysis: str
    predictor: str
    predictor_label: str
    predictor_unit: str
    outcome: str
    outcome_label: str
    outcome_units: str
    rater: str
    component: str
    role: str
    code_hash: str


def association_frame(
    sessions: pd.DataFrame,
    clients: pd.DataFrame,
    spec: AssociationSpec,
    timing: Timing,
    outcome_direction: tuple[str, tuple[float, float]],
) -> pd.DataFrame:
    """One row per client with an early rating and a later outcome.

    Parameters
    ----------
    sessions, clients : scored tables. outcome_direction : ``(higher_is, score_range)`` of the
        outcome, for :func:`alliance.within_between.orient`; ``last`` is higher when worse. A
        ``baseline`` covariate is taken to be in the same metric and is turned with it.

    Returns
    -------
    DataFrame
        ``client, therapist, alliance, baseline, prior, last`` and the covariates: mean rating of
        the declared sessions; outcome before treatment; outcome last known before or at the last
        of these ratings; last outcome after them. Which outcome comes after a rating follows from
        ``timing``.
    """
    name = f"{spec.predictor}_{spec.component}" if spec.component else spec.predictor
    low, high = spec.sessions
    early = sessions[sessions["session"].between(low, high) & sessions[name].notna()]
    rated = early.groupby("client").agg(alliance=(name, "mean"), rated=("session", "max"))
    scores = sessions.loc[sessions[spec.outcome].notna(), ["client", "session", spec.outcome]]
    scores = scores.assign(**{spec.outcome: orient(scores[spec.outcome], *outcome_direction)})
    scores = scores.merge(rated["rated"], left_on="client", right_index=True).sort_values(
        ["client", "session"]
    )
    # With alliance before and outcome after the session, the outcome of the same session is later.
    later_from = 0 if (timing.alliance_when, timing.outcome_when) == ("pre", "post") else 1
    after = scores["session"] >= scores["rated"] + later_from
    before = scores[~after].groupby("client")[spec.outcome]
    table = rated.drop(columns="rated").assign(
        first=before.first(),
        prior=before.last(),
        last=scores[after].groupby("client")[spec.outcome].last(),
    )
    wanted = [n for n in (spec.baseline, *spec.covariates) if n]
    table = table.reset_index().merge(
        clients[["client", "therapist", *dict.fromkeys(wanted)]], on="client", how="left"
    )
    table["baseline"] = (
        orient(table[spec.baseline], *outcome_direction) if spec.baseline else table["first"]
    )
    kept = ["client", "therapist", "alliance", "baseline", "prior", "last", *spec.covariates]
    return table.dropna(subset=["alliance", "last"])[kept].reset_index(drop=True)


def association_rows(
    frame: pd.DataFrame,
    spec: AssociationSpec,
    covariates: Mapping[str, Covariate],
    context: AssociationContext,
    published: pd.DataFrame | None = None,
) -> list[Estimate]:
    """Partial correlations, raw slopes, the two-level version, and the pooled correlation.

    Parameters
    ----------
    frame : :func:`association_frame`. published : ``data/published/effects.csv``; its pooled
        correlation is repeated with the sign turned (there higher outcome scores are better).

    Notes
    -----
    Every version uses the same clients: those with all variables of the fullest one.
    """
    complete = _complete(frame, spec, covariates)
    rows: list[Estimate] = []
    if isinstance(complete, Refusal):
        rows += [_absent(context, term, spec, complete) for term in _ADJUSTMENTS]
    else:
        for term, held in _held_equal(complete, spec, covariates).items():
            rows += _version(complete, held, term, spec, context)
        rows += _levels(complete, spec, covariates, context)
    return rows + _published_rows(published, context)


def _complete(
    frame: pd.DataFrame, spec: AssociationSpec, covariates: Mapping[str, Covariate]
) -> pd.DataFrame | Refusal:
    used = ["alliance", "baseline", "prior", "last", *spec.covariates]
    kept = frame.dropna(subset=used).reset_index(drop=True)
    low, high = spec.sessions
    if len(kept) < MIN_CLIENTS:
        return Refusal(
            f"fewer than {MIN_CLIENTS} clients have a rating in sessions {low} to {high}, an "
            "outcome before it and one after it",
            "Choose other `sessions`, or look at how often ratings are missing.",
        )
    for name, what in (("alliance", "early rating"), ("last", "last outcome")):
        if np.ptp(kept[name].to_numpy(dtype=np.float64)) == 0:
            return Refusal(f"every client has the same {what}", "Check the scoring.")
    return kept


def _held_equal(
    frame: pd.DataFrame, spec: AssociationSpec, covariates: Mapping[str, Covariate]
) -> dict[str, FloatArray]:
    """Columns that each version holds equal, without those that say nothing new."""
    numbers = [frame[["baseline"]]]
    for name in spec.covariates:
        if covariates[name].type == "category":
            numbers.append(pd.get_dummies(frame[name].astype(str), drop_first=True))
        else:
            numbers.append(frame[[name]])
    adjusted = pd.concat(numbers, axis=1).to_numpy(dtype=np.float64)
    change = (frame["baseline"] - frame["prior"]).to_numpy(dtype=np.float64)[:, None]
    return {
        "r": np.zeros((len(frame), 0)),
        "r_baseline": adjusted,
        "r_prior_change": np.hstack([adjusted, change]),
    }


@dataclass(frozen=True)
class PartialCorrelation:
    """A partial correlation and the slope that belongs to it, with intervals.

    ``n_held`` columns were held equal; ``clusters`` groups are independent of each other.
    """

    r: float
    r_low: float
    r_high: float
    slope: float
    slope_se: float
    df: float
    p: float
    n_held: int
    clusters: int


def partial_correlation(
    x: FloatArray, y: FloatArray, held: FloatArray, cluster: NDArray[np.int64] | None = None
) -> PartialCorrelation | None:
    """Partial correlation of x and y; None where the columns held equal leave nothing of either.

    More than k + 3 clients are needed, of which Fisher's standard error is made.

    Parameters
    ----------
    x, y : (n,). held : (n, k). cluster : (n,) codes of therapists, None without.

    Notes
    -----
    Interval by Fisher's z. Without clusters its standard error is 1 / sqrt(n - k - 3). With
    clusters it is made of the sums over clusters of each client's influence on r, ``x y - r (x^2
    + y^2) / 2`` in standardised residuals, which for r = 0 are the scores of the slope; it is made
    larger for few clusters as that of the slope is. The slope has ordinary or cluster-robust
    errors (CR2, Satterthwaite degrees of freedom: `cluster_robust.cr2`) accordingly.
    """
    base = np.column_stack([np.ones(len(x)), held])
    a, b = (value - base @ np.linalg.lstsq(base, value, rcond=None)[0] for value in (x, y))
    if a.std() <= 1e-9 * x.std() or b.std() <= 1e-9 * y.std():
        return None
    n, k = len(x), int(np.linalg.matrix_rank(base)) - 1
    r = float(a @ b / np.sqrt((a @ a) * (b @ b)))
    slope = float(a @ b / (a @ a))
    residual = b - slope * a
    if cluster is None:
        z_se, df, reference = 1 / np.sqrt(n - k - 3), n - k - 2.0, stats.norm
        half = float(reference.ppf(0.975)) * z_se
        se = float(np.sqrt(residual @ residual / df / (a @ a)))
        clusters = n
    else:
        u, v = a / a.std(), b / b.std()
        moves = u * v - r * (u**2 + v**2) / 2
        clusters = int(cluster.max()) + 1
        robust = cr2(a, _orthonormal(base), residual, cluster)
        total = np.bincount(cluster, moves)
        z_se = float(np.sqrt(total @ total)) / n / (1 - r**2) * robust.inflation
        df, se = robust.df, robust.se
        half = float(stats.t.ppf(0.975, df)) * z_se
    z = np.arctanh(r)
    p = float(2 * stats.t.sf(abs(slope) / se, df))
    low, high = float(np.tanh(z - half)), float(np.tanh(z + half))
    return PartialCorrelation(r, low, high, slope, se, df, p, k, clusters)


def _orthonormal(columns: FloatArray) -> FloatArray:
    """A basis of the columns, also where they depend on each other."""
    lengths = np.linalg.norm(columns, axis=0)
    u, size, _ = np.linalg.svd(columns / np.where(lengths > 0, lengths, 1), full_matrices=False)
    return u[:, size > 1e-10 * size[0]]


def _clusters(frame: pd.DataFrame) -> NDArray[np.int64] | None:
    """Therapist codes, a client without a known therapist alone; None where few are known."""
    if frame["therapist"].nunique() < FEWEST_CLUSTERS:
        return None
    group = frame["therapist"].fillna("alone: " + frame["client"].astype(str))
    return pd.factorize(group, sort=True)[0].astype(np.int64)


def _version(
    frame: pd.DataFrame,
    held: FloatArray,
    term: str,
    spec: AssociationSpec,
    context: AssociationContext,
) -> Iterator[Estimate]:
    """The correlation of one version, and its slope in raw points."""
    x, y = (frame[name].to_numpy(dtype=np.float64) for name in ("alliance", "last"))
    cluster = _clusters(frame)
    n_held = int(np.linalg.matrix_rank(np.column_stack([np.ones(len(x)), held]))) - 1
    if len(x) <= n_held + 3:
        reason = f"too few clients to hold {n_held} variables equal"
        advice = f"At least {n_held + 4} are needed: hold fewer variables equal."
        yield _absent(context, term, spec, Refusal(reason, advice))
        return
    found = partial_correlation(x, y, held, cluster)
    if found is None:
        reason = "what is held equal leaves no variation in the rating or the last outcome"
        yield _absent(context, term, spec, Refusal(reason, "Check the variables."))
        return
    base = _base(context, term, spec) | {
        "n_obs": len(frame),
        "n_clients": len(frame),
        "n_therapists": np.nan if cluster is None else frame["therapist"].nunique(),
    }
    robust = "ordinary" if cluster is None else "robust by therapist"
    yield Estimate(
        **base,
        units="correlation",
        kind="correlation",
        estimate=found.r,
        ci_low=found.r_low,
        ci_high=found.r_high,
        df=found.df,
        p=found.p,
        interval=f"95% Fisher z, {robust}",
    )
    half = float(stats.t.ppf(0.975, found.df)) * found.slope_se
    words = {
        "term": term.replace("r", "slope", 1),
        "estimand": base["estimand"].replace("Correlation of", "Slope of the last outcome on", 1),
    }
    yield Estimate(
        **(base | words),
        units=f"{context.outcome_units} per {context.predictor_unit}",
        kind="contrast",
        estimate=found.slope,
        se=found.slope_se,
        ci_low=found.slope - half,
        ci_high=found.slope + half,
        df=found.df,
        p=found.p,
        interval=f"95% t, {robust}",
    )


def _base(context: AssociationContext, term: str, spec: AssociationSpec) -> dict[str, object]:
    low, high = spec.sessions
    adjusted = _ADJUSTMENTS[term].format(outcome=context.outcome_label)
    if spec.covariates and term != "r":
        adjusted += f" and {', '.join(spec.covariates)}"
    when = f"session {low}" if low == high else f"sessions {low} to {high}"
    return {
        "analysis": context.analysis,
        "term": term,
        "level": "between_client",
        "estimand": f"Correlation of {context.predictor_label} (mean of {when}) and the last "
        f"{context.outcome_label}, {adjusted}",
        "estimator": "least squares",
        "predictor": context.predictor,
        "outcome": context.outcome,
        "rater": context.rater,
        "component": context.component,
        "timing_order": f"predictor in {when}, outcome at the client's last later session",
        "missing_rule": "clients with all variables",
        "known_bias": _bias(term),
        "code_hash": context.code_hash,
    }


def _bias(term: str) -> str:
    """What the version leaves open."""
    staying = "only clients still in treatment after the rating are in it"
    return {
        "r": f"{staying}; severity before treatment and early change are part of it",
        "r_baseline": f"{staying}; improvement up to the rating is part of it",
        "r_prior_change": staying,
    }[term]


def _absent(
    context: AssociationContext, term: str, spec: AssociationSpec, refusal: Refusal
) -> Estimate:
    return Estimate(
        **_base(context, term, spec),
        units="correlation",
        kind="correlation",
        status="not_estimated",
        reason=f"{refusal.reason}. {refusal.advice}",
    )


# Between clients of the same therapist, and between therapists


def _levels(
    frame: pd.DataFrame,
    spec: AssociationSpec,
    covariates: Mapping[str, Covariate],
    context: AssociationContext,
) -> list[Estimate]:
    """The baseline-adjusted slope split by therapist (Baldwin, Wampold & Imel 2007)."""
    base = _base(context, "r_baseline", spec) | {
        "estimator": "REML",
        "units": f"{context.outcome_units} per {context.predictor_unit}",
        "kind": "contrast",
    }
    words = {
        "slope_within_therapist": (
            "between_client",
            f"Between clients of the same therapist: slope of the last {context.outcome_label} on "
            f"early {context.predictor_label}, at equal {context.outcome_label} before treatment",
        ),
        "slope_between_therapists": (
            "between_therapist",
            f"Between therapists: slope of the last {context.outcome_label} on the therapist's "
            f"mean early {context.predictor_label}, at equal {context.outcome_label} before "
            "treatment",
        ),
    }
    if frame["therapist"].isna().all():
        return []  # nothing was asked for: the study has no therapists
    found = _two_level(frame, spec, covariates)
    rows = []
    for column, (term, (level, estimand)) in zip(("x", "x_mean"), words.items(), strict=True):
        shared = base | {"term": term, "level": level, "estimand": estimand}
        if isinstance(found, Refusal):
            reason = f"{found.reason}. {found.advice}"
            rows.append(Estimate(**shared, status="not_estimated", reason=reason))
            continue
        fit, n_clients, n_therapists = found
        weights = np.array([float(name == column) for name in fit.names])
        most = n_therapists - 2.0 if column == "x_mean" else np.inf
        rows.append(
            Estimate(
                **shared,
                n_obs=n_clients,
                n_clients=n_clients,
                n_therapists=n_therapists,
                **_slope(fit, weights, most),
            )
        )
    return rows


def _slope(fit: LmmFit, weights: FloatArray, most: float) -> dict[str, object]:
    """A slope with its interval, on ``most`` degrees of freedom or fewer.

    Satterthwaite's degrees of freedom are those of clients where the variance of therapists is
    estimated as zero. A slope between therapists then has as many as there are therapists, less
    intercept and slope ("between-within", Schluchter & Elashoff 1990, Journal of Statistical
    Computation and Simulation 37, 69-87).
    """
    effect = contrast(fit, weights)
    df = min(effect.df, most)
    words = "95% t, Satterthwaite" if effect.df <= most else "95% t, df of therapists"
    half = float(stats.t.ppf(0.975, df)) * effect.se
    boundary = f", on the boundary: {'; '.join(fit.singular)}" if fit.singular else ""
    found: dict[str, object] = {
        "estimate": effect.estimate,
        "se": effect.se,
        "df": df if np.isfinite(df) else np.nan,
        "ci_low": effect.estimate - half,
        "ci_high": effect.estimate + half,
        "p": float(2.0 * stats.t.sf(abs(effect.estimate) / effect.se, df)),
        "interval": words,
        "converged": f"yes{boundary}" if fit.converged else "no",
    }
    if fit.converged:
        return found
    failed = f"the fit did not converge: {fit.message}"
    return found | {"status": "diagnostics_failed", "reason": failed}


def _two_level(
    frame: pd.DataFrame, spec: AssociationSpec, covariates: Mapping[str, Covariate]
) -> tuple[LmmFit, int, int] | Refusal:
    known = frame[frame["therapist"].notna()].reset_index(drop=True)
    panels = known["therapist"].value_counts()
    if int((panels >= MIN_CLIENTS_PER_THERAPIST).sum()) < MIN_THERAPISTS:
        return Refusal(
            f"fewer than {MIN_THERAPISTS} therapists have {MIN_CLIENTS_PER_THERAPIST} or more "
            "clients in this analysis",
            "The slope over all clients stands above.",
        )
    held = _held_equal(known, spec, covariates)["r_baseline"]
    mean = known.groupby("therapist")["alliance"].transform("mean")
    centre = known.drop_duplicates("therapist").index
    columns = [
        np.ones(len(known)),
        (known["alliance"] - mean).to_numpy(dtype=np.float64),
        (mean - mean[centre].mean()).to_numpy(dtype=np.float64),
        *(held - held.mean(axis=0)).T,
    ]
    names = ["intercept", "x", "x_mean", *(f"held{k}" for k in range(held.shape[1]))]
    X = np.column_stack(columns)
    if np.linalg.matrix_rank(X) < X.shape[1]:
        return Refusal("what is held equal says the same as the rating", "Check the variables.")
    design = plain_design(
        known["last"].to_numpy(dtype=np.float64), X, names, known["therapist"].to_numpy()
    )
    fit = fit_lmm(design)
    if isinstance(fit, Refusal):
        return fit
    return fit, len(known), known["therapist"].nunique()


# The field


def _published_rows(
    published: pd.DataFrame | None, context: AssociationContext
) -> Sequence[Estimate]:
    """The pooled correlation, sign turned so that higher outcome scores are worse as here."""
    if published is None or context.role != "alliance":
        return []
    own = published[published["id"] == PUBLISHED]
    rows = []
    for entry in own.itertuples():
        rows.append(
            Estimate(
                analysis=context.analysis,
                term="r_published",
                level="between_client",
                estimand="Published: correlation of alliance and outcome pooled over "
                f"{int(entry.k)} studies, sign turned so that a higher outcome is worse",
                estimator=f"meta-analysis: {entry.source}",
                kind="correlation",
                units="correlation",
                estimate=-float(entry.estimate),
                ci_low=-float(entry.ci_high),
                ci_high=-float(entry.ci_low),
                interval="95%, as published",
                known_bias="other clients, raters, measures and adjustments: for orientation only",
                code_hash=context.code_hash,
            )
        )
    return rows
