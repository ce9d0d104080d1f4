"""Explained variance of a multilevel model, level by level (Rights & Sterba 2019).

The model-implied variance of the outcome is split into parts that belong to fixed effects within
clients (f1), fixed effects between clients (f2), differences between clients in their slopes (v),
differences in their levels (m), therapists, and the residual (methods 1.10).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alliance.estimates import Estimate
from alliance.estimation.design import ModelDesign
from alliance.estimation.reml import LmmFit
from alliance.estimation.row_maker import RowMaker

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ExplainedVariance:
    """Parts of the model-implied variance of the outcome, in its squared units.

    Attributes
    ----------
    f1 : fixed effects, variation within clients. f2 : fixed effects, variation between clients.
    v : random slopes (variation of the slope times that of its predictor within clients).
    m : clients' levels at the means of the predictors. therapist : therapists' levels (and slopes).
    residual : session to session.
    """

    f1: float
    f2: float
    v: float
    m: float
    therapist: float
    residual: float

    @property
    def within(self) -> float:
        return self.f1 + self.v + self.residual

    @property
    def between(self) -> float:
        return self.f2 + self.m + self.therapist

    @property
    def total(self) -> float:
        return self.within + self.between


def explained_variance(fit: LmmFit, design: ModelDesign) -> ExplainedVariance:
    """The parts, from fixed effects, variance components and the variances of the predictors.

    Notes
    -----
    Each column is split into its client means and the deviations from them, so that columns that
    vary at both levels (session number) add to both. With predictors centred within clients these
    are the formulas of Rights & Sterba (2019, Psychological Methods 24, 309-338): f1 = g_w' Phi_w
    g_w, f2 = g_b' Phi_b g_b, v = tr(T Sigma_r), m = T_00. Variances have the denominator n - 1
    over rows, as in their R functions.
    """
    means = _client_means(design)
    moved = design.X - means
    random = design.client_columns
    T = fit.client_cov
    return ExplainedVariance(
        f1=_variance(moved @ fit.beta),
        f2=_variance(means @ fit.beta),
        v=float(np.sum(T * _covariance(moved[:, random]))) if random.size else 0.0,
        m=_level_variance(T, means[:, random]),
        therapist=_level_variance(fit.therapist_cov, design.X[:, design.therapist_columns]),
        residual=fit.sigma**2,
    )


def _level_variance(T: FloatArray, columns: FloatArray) -> float:
    """Variance of ``columns @ u`` for u with covariance T: the mean over rows of x' T x.

    ``E[x' T x] = mean(x)' T mean(x) + tr(T Cov(x))``; with an intercept alone it is T_00.
    """
    if not T.size:
        return 0.0
    at_mean = columns.mean(axis=0)
    return float(at_mean @ T @ at_mean + np.sum(T * _covariance(columns)))


def _client_means(design: ModelDesign) -> FloatArray:
    counts = np.bincount(design.client, minlength=design.n_clients)
    sums = [np.bincount(design.client, column, design.n_clients) for column in design.X.T]
    return (np.array(sums) / counts).T[design.client]


def _variance(values: FloatArray) -> float:
    return float(np.var(values, ddof=1))


def _covariance(columns: FloatArray) -> FloatArray:
    return np.atleast_2d(np.cov(columns, rowvar=False))


_TOTAL = "of the variance of {outcome} implied by the model"
_WITHIN = "of the variance of {outcome} within clients implied by the model"
_BETWEEN = "of the variance of {outcome} between clients implied by the model"
_F1 = "fixed effects, through differences within clients (f1)"
_F2 = "fixed effects, through differences between clients (f2)"
_V = "clients' different slopes (v)"
_M = "clients' different levels (m)"


def r_squared_rows(fit: LmmFit, maker: RowMaker) -> list[Estimate]:
    """Shares of the total, the within-client and the between-client variance; no intervals."""
    design = maker.design
    if design is None or design.form == "within":
        return []
    part = explained_variance(fit, design)
    shares = [
        ("r2_f1", part.f1 / part.total, "total", _F1, _TOTAL),
        ("r2_f2", part.f2 / part.total, "total", _F2, _TOTAL),
        ("r2_v", part.v / part.total, "total", _V, _TOTAL),
        ("r2_m", part.m / part.total, "total", _M, _TOTAL),
        ("r2_f1_within", part.f1 / part.within, "within_client", _F1, _WITHIN),
        ("r2_v_within", part.v / part.within, "within_client", _V, _WITHIN),
        ("r2_f2_between", part.f2 / part.between, "between_client", _F2, _BETWEEN),
        ("r2_m_between", part.m / part.between, "between_client", _M, _BETWEEN),
    ]
    if part.therapist or fit.therapist_cov.size:
        words = "therapists' different levels"
        shares.append(
            ("r2_therapist", part.therapist / part.total, "between_therapist", words, _TOTAL)
        )
    outcome = maker.context.outcome_label
    return [
        maker.row(
            term,
            "proportion",
            level=level,
            estimand=f"R2: share {base.format(outcome=outcome)}, explained by {words}",
            units="proportion",
            estimate=value,
        )
        for term, value, level, words, base in shares
    ]
