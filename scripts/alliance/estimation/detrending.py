"""Does the within-client effect depend on how the course over time is taken out? (methods 1.2).

Alliance tends to rise and symptoms to fall over treatment, so that two common courses alone give a
within-client association. The same model is refitted under four ways of taking courses out, on the
same rows as far as possible.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.estimates import Estimate
from alliance.estimation.columns import two_level, with_columns
from alliance.estimation.design import ModelDesign, build_design
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import fit_lmm
from alliance.estimation.rows import reml_rows
from alliance.estimation.terms import RowContext
from alliance.study import Covariate, ModelSpec
from alliance.within_between import split_within_between

FloatArray = NDArray[np.float64]
FORKS: dict[str, str] = {
    "none": "none",
    "session_effects": "one common effect per session",
    "random_time": "linear, varying between clients (outcome)",
    "own_line": "predictor as deviations from each client's own line",
}
OWN_LINE_BIAS = (
    "the client's own line takes part of the effect out together with the trend, and is badly "
    "known for short treatments"
)
MIN_CLIENTS_PER_SESSION = 10
MIN_ROWS_FOR_LINE = 3
_SHOWN = ("within", "between", "between_therapist", "sd_within")


@dataclass(frozen=True)
class _Prepared:
    frame: pd.DataFrame
    spec: ModelSpec
    sessions: bool = False


def trend_rows(
    frame: pd.DataFrame,
    spec: ModelSpec,
    covariates: Mapping[str, Covariate],
    context: RowContext,
) -> list[Estimate]:
    """The effects of the predictor under each way of taking the course over time out.

    Parameters
    ----------
    frame : ``within_between.model_frame`` of the model.

    Returns
    -------
    Rows of the analyses ``<model>.trend_<fork>``, with the fork in words in ``trend``.
    """
    complete = _complete(frame, spec, covariates)
    rows: list[Estimate] = []
    for fork, words in FORKS.items():
        own = replace(
            context,
            analysis=f"{context.analysis}.trend_{fork}",
            trend=words,
            known_bias="; ".join(
                filter(None, [context.known_bias, OWN_LINE_BIAS if fork == "own_line" else ""])
            ),
        )
        rows += _fork_rows(_prepare(fork, complete, spec), covariates, own)
    return rows


def _complete(
    frame: pd.DataFrame, spec: ModelSpec, covariates: Mapping[str, Covariate]
) -> pd.DataFrame:
    """Rows complete in every variable of the model, centred on them."""
    factors = {part for term in spec.covariates for part in term.split(":")}
    used = ["outcome", "predictor", "time", *(name for name in covariates if name in factors)]
    return split_within_between(frame.dropna(subset=used), spec.therapists)


def _fork_rows(
    prepared: _Prepared | Refusal, covariates: Mapping[str, Covariate], context: RowContext
) -> list[Estimate]:
    if isinstance(prepared, Refusal):
        return reml_rows(prepared, prepared, context, profile=False)
    design = build_design(prepared.frame, prepared.spec, covariates)
    if prepared.sessions and not isinstance(design, Refusal):
        design = _with_session_effects(design, prepared.frame)
    fit = design
    if not isinstance(design, Refusal):
        fit = fit_lmm(design, prepared.spec.likelihood)
    rows = reml_rows(fit, design, context, profile=False)
    return [row for row in rows if row.term in _SHOWN]


def _prepare(fork: str, frame: pd.DataFrame, spec: ModelSpec) -> _Prepared | Refusal:
    timeless = [term for term in spec.covariates if "time" not in term.split(":")]
    slopes = [name for name in spec.random_slopes if name != "time"]
    if fork in ("none", "session_effects"):
        bare = spec.model_copy(update={"covariates": timeless, "random_slopes": slopes})
        return _Prepared(frame, bare, fork == "session_effects")
    timed = list(dict.fromkeys(["time", *spec.covariates]))
    if fork == "random_time":
        update = {"covariates": timed, "random_slopes": [*slopes, "time"]}
        return _Prepared(frame, spec.model_copy(update=update))
    lines = own_lines(frame)
    if lines["client"].nunique() < 2:
        return Refusal(
            f"fewer than 2 clients have {MIN_ROWS_FOR_LINE} or more rated sessions",
            "A line per client needs longer series.",
        )
    update = {"covariates": timed, "random_slopes": slopes}
    return _Prepared(lines, two_level(spec).model_copy(update=update))


def own_lines(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with each client's least-squares line as the between part, residuals as within.

    Curran & Bauer (2011): ``between`` is the value of the client's line at the mean time of all
    rows, centred over clients; ``within`` is the residual. Clients with fewer than three rows have
    no residual worth the name and are left out.
    """
    rows = frame.groupby("client")["time"].transform("size")
    kept = frame[rows >= MIN_ROWS_FOR_LINE].copy()
    grouped = kept.groupby("client")
    time = kept["time"] - grouped["time"].transform("mean")
    mean = grouped["predictor"].transform("mean")
    moved = kept["predictor"] - mean
    slope = (time * moved).groupby(kept["client"]).transform("sum") / (time**2).groupby(
        kept["client"]
    ).transform("sum")
    at_origin = mean + slope * (kept["time"].mean() - grouped["time"].transform("mean"))
    one_each = at_origin[~kept["client"].duplicated()]
    return kept.assign(within=moved - slope * time, between=at_origin - one_each.mean())


def _with_session_effects(design: ModelDesign, frame: pd.DataFrame) -> ModelDesign | Refusal:
    return with_columns(design, dict(_session_columns(frame)))


def _session_columns(frame: pd.DataFrame) -> Iterator[tuple[str, tuple[FloatArray, str]]]:
    """A 0/1 column per session that enough clients reached, and a line for what lies beyond."""
    time = frame["time"].to_numpy(dtype=np.float64)
    reached = frame.groupby("time")["client"].nunique().sort_index()
    common = []
    for moment, clients in reached.items():
        if clients < MIN_CLIENTS_PER_SESSION:
            break
        common.append(float(moment))
    for moment in common[1:]:  # the first is the reference
        yield f"session[{moment:g}]", ((time == moment).astype(float), "within_client")
    last = common[-1] if common else float(reached.index.min())
    beyond = np.where(time > last, time - last, 0.0)
    if (beyond > 0).any():
        yield "session_later", ((time > last).astype(float), "within_client")
        if np.ptp(beyond[beyond > 0]) > 0:
            yield "session_later_slope", (beyond, "within_client")
