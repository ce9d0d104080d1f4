"""Effect sizes of one fit: person-standardised effect, share with the expected sign, R2."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from alliance.estimates import Estimate
from alliance.estimation.design import ModelDesign
from alliance.estimation.dynamics_effects import LEAST_OWN_SD
from alliance.estimation.r_squared import r_squared_rows
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import LmmFit, client_effects
from alliance.estimation.row_maker import RowMaker, maker_of
from alliance.estimation.terms import RowContext

FloatArray = NDArray[np.float64]
MIN_ROWS = 3  # a client's own SD needs them
MIN_CLIENTS = 10


def effect_rows(
    fit: LmmFit | Refusal, design: ModelDesign | Refusal, context: RowContext
) -> list[Estimate]:
    """R2, person-standardised within effect, share of clients with the expected sign.

    A model that was refused has no such rows: its main effects give the reason.
    """
    if isinstance(design, Refusal) or isinstance(fit, Refusal) or not context.predictor:
        return []
    maker = maker_of(fit, design, context)
    rows = r_squared_rows(fit, maker)
    if design.form != "within":
        rows += [person_standardised_row(fit, design, maker), *_expected_sign(fit, maker)]
    return rows


def person_standardised_row(fit: LmmFit, design: ModelDesign, maker: RowMaker) -> Estimate:
    """Mean over clients of slope_i SD_i(predictor) / SD_i(outcome) (methods 1.9).

    The slopes are the clients' own predicted slopes (the average one without random slopes); SDs
    are those of the client's rows. Clients with fewer than three rows or without variation have no
    SD of their own and are left out, and so are those whose outcome hardly varies. The standard
    error adds that of the average slope to the spread of the ratios between clients (delta method;
    clients as the sample).
    """
    estimand = (
        f"Within clients, each in own SDs: mean over clients of the difference in "
        f"{maker.context.outcome_label} (own SDs) per own SD of {maker.context.predictor_label}"
    )
    words = {
        "level": "within_client",
        "estimand": estimand,
        "units": "own SDs of the outcome per own SD of the predictor",
    }
    ratio, usable = own_sd_ratio(design)
    if usable.sum() < MIN_CLIENTS:
        reason = (
            f"fewer than {MIN_CLIENTS} clients have {MIN_ROWS} or more sessions with variation "
            "in both"
        )
        return maker.row(
            "within_person_sd", "fixed", **words, status="not_estimated", reason=reason
        )
    slopes = _client_slopes(fit, design)
    values = (slopes * ratio)[usable]
    se_slope = float(fit.se[fit.names.index("within")])
    average = float(ratio[usable].mean())
    spread = float(np.var(values, ddof=1)) / values.size
    se = float(np.hypot(average * se_slope, np.sqrt(spread)))
    estimate, half = float(values.mean()), float(stats.norm.ppf(0.975)) * se
    return maker.row(
        "within_person_sd",
        "fixed",
        **words,
        estimate=estimate,
        se=se,
        ci_low=estimate - half,
        ci_high=estimate + half,
        interval="95% Wald, delta method",
        n_obs=int(usable[design.client].sum()),
        n_clients=int(usable.sum()),
    )


def own_sd_ratio(design: ModelDesign) -> tuple[FloatArray, NDArray[np.bool_]]:
    """SD_i(predictor) / SD_i(outcome) per client, and which clients have both.

    The floor of the outcome's SD is that of :func:`dynamics_effects.own_ratios`, for its reasons.
    """
    rows = np.bincount(design.client, minlength=design.n_clients)
    x = _own_sd(design.X[:, design.names.index("within")], design)
    y = _own_sd(design.y, design)
    usable = (rows >= MIN_ROWS) & (x > 0) & (y > 0)
    if usable.any():
        usable &= y >= LEAST_OWN_SD * np.median(y[usable])
    return np.where(usable, x / np.where(y > 0, y, 1.0), 0.0), usable


def _own_sd(values: FloatArray, design: ModelDesign) -> FloatArray:
    rows = np.bincount(design.client, minlength=design.n_clients)
    mean = np.bincount(design.client, values, design.n_clients) / rows
    squares = np.bincount(design.client, (values - mean[design.client]) ** 2, design.n_clients)
    sd = np.sqrt(squares / np.maximum(rows - 1, 1))
    return np.where(sd > 1e-10 * np.std(values), sd, 0.0)


def _client_slopes(fit: LmmFit, design: ModelDesign) -> FloatArray:
    if "within" not in fit.random_names:
        return np.full(design.n_clients, fit.coefficient("within"))
    effects = client_effects(fit, design)
    return effects.totals[:, effects.names.index("within")]


def _expected_sign(fit: LmmFit, maker: RowMaker) -> list[Estimate]:
    """Share of clients with a negative slope: a higher rating goes with a better outcome."""
    if "within" not in fit.random_names or fit.sd("within") == 0:
        return []
    share = 100 * float(stats.norm.cdf(-fit.coefficient("within") / fit.sd("within")))
    words = (
        f"Percentage of clients in whom a higher {maker.context.predictor_label} goes with a "
        f"better {maker.context.outcome_label} (normal distribution of slopes assumed)"
    )
    return [
        maker.row(
            "pct_expected_sign",
            "proportion",
            level="between_client",
            estimand=words,
            units="%",
            estimate=share,
        )
    ]
