"""Made-up rows of a dynamic model, for what renders them; numbers are invented."""

from __future__ import annotations

import numpy as np

ML, NUTS = "Random-intercept VAR(1), ML", "Random-intercept VAR(1), NUTS"
OTHERS = {
    "ML-SEM with predetermined predictor": "none as long as clients differ in level only",
    "Pooled OLS": "levels of clients are left in",
}
CELLS = {  # term -> estimate, se, predictor, outcome, lag, standardised
    "cross_lag_alliance_outcome": (-1.5, 0.21, "alliance_client", "symptoms", 1.0, -0.15),
    "cross_lag_outcome_alliance": (-0.0105, 0.002, "symptoms", "alliance_client", 0.0, -0.11),
    "autoregression_alliance": (0.36, 0.024, "alliance_client", "alliance_client", 1.0, 0.36),
    "autoregression_outcome": (0.32, 0.023, "symptoms", "symptoms", 1.0, 0.32),
}


def row(term: str, estimate: float, se: float = np.nan, **more: object) -> dict[str, object]:
    """One row of the dynamic model ``next_session``."""
    values: dict[str, object] = {
        "analysis": "next_session", "term": term, "level": "within_client", "estimand": term,
        "estimator": ML, "estimate": estimate, "se": se, "ci_low": estimate - 1.96 * se,
        "ci_high": estimate + 1.96 * se, "n_obs": 5800.0, "n_clients": 232.0, "units": "points",
        "timing_order": "outcome before, alliance after session", "clock": "attended session",
        "trend": "free mean for each session; clients' own lines",
    }  # fmt: skip
    return values | more


def cell(term: str, estimator: str, **more: object) -> dict[str, object]:
    """A cross-lag or autoregression by one estimator."""
    estimate, se, predictor, outcome, lag, std = CELLS[term]
    ends = {"predictor": predictor, "outcome": outcome, "lag": lag}
    scaled = {"std_within": std, "std_within_low": std - 0.04, "std_within_high": std + 0.04}
    return row(term, estimate, se, estimator=estimator, p=1e-4, **(ends | scaled | more))


def dynamics_rows() -> list[dict[str, object]]:
    """Model, twin, shortcuts, responses, phases and assumed reliabilities."""
    rows = [cell(term, ML) for term in CELLS]
    rows += [cell(term, NUTS, pd=0.999, rhat_max=1.0, ess_min=900.0) for term in CELLS]
    for estimator, bias in OTHERS.items():
        rows += [cell(term, estimator, known_bias=bias) for term in CELLS]
    for way, (source, target) in {
        "alliance_outcome": ("alliance_client", "symptoms"),
        "outcome_alliance": ("symptoms", "alliance_client"),
    }.items():
        ends = {"predictor": source, "outcome": target, "kind": "contrast"}
        for h in range(1 if way == "alliance_outcome" else 0, 7):
            for by in (ML, NUTS):
                rows.append(
                    row(f"response_{way}_{h}", -(0.5**h), 0.1, estimator=by, lag=float(h), **ends)
                )
        rows.append(row(f"long_run_held_{way}", -2.2, 0.3, **ends))
        lag = f"cross_lag_{way}"
        rows.append(row(f"detectable_{lag}", 0.07, **(ends | {"kind": "fit"})))
        rows.append(row(f"power_{lag}", 0.98, **(ends | {"kind": "fit"})))
        taken = "; reliabilities taken as Alliance 0.7, Symptoms 0.7"
        failed = {"status": "diagnostics_failed", "reason": "the data contradict so much error"}
        rows.append(
            row(f"{lag}_reliability", -9.0, 0.2, **(ends | failed | {"kind": "fixed"}))
            | {"estimand": lag + taken}
        )
        for phase, words in (("1", "sessions before 8"), ("2", "sessions from 8 on")):
            rows.append(
                row(f"{lag}_phase_{phase}", -1.4, 0.3, **(ends | {"kind": "fixed"}))
                | {"estimand": f"{lag} ({words})"}
            )
        rows.append(row(f"{lag}_phase_difference", 0.1, 0.4, p=0.8, **ends))
    test = {"kind": "fit", "units": "chi-squared", "df": 4.0, "p": 0.2}
    return [*rows, row("lr_phases", 6.0, **test), row("lr_random_trend", 27.0, **test)]
