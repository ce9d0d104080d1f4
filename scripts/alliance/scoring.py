"""From answers to scores: reversal, missing answers, totals and subscales in the published metric.

Everything works on whole columns; one million sessions of twelve items take a few seconds. Scores
keep the direction of the published scale: nothing is flipped here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alliance.instruments import VERIFICATION_IN_WORDS, Instrument, refusal
from alliance.problems import Problem, StudyError
from alliance.study import Measure, Study

Metric = Literal["mean", "sum", "pomp"]
Array = NDArray[np.float64]

# Below this correlation with the rest of its scale an item runs against it.
AGAINST_THE_SCALE = -0.1
MIN_FORMS_FOR_CHECKS = 30


def item_columns(measure: str, instrument: Instrument) -> list[str]:
    """Names of the item columns of a measure in the sessions table, in item order."""
    return [f"{measure}__{i}" for i in instrument.items_of("total")]


def response_range(instrument: Instrument, measure: Measure | None) -> tuple[float, float]:
    """Lowest and highest answer of the form that was used: the study's, else the published."""
    declared = measure.response_range if measure else None
    low, high = declared or (instrument.response_min, instrument.response_max)
    return float(low), float(high)


def reversed_items(
    items: pd.DataFrame, instrument: Instrument, measure: Measure | None = None
) -> pd.DataFrame:
    """The answers with every item pointing the same way: ``low + high - answer`` where keyed.

    Parameters
    ----------
    items : (n, n_items) answers in item order; missing answers NA.

    Returns
    -------
    DataFrame
        (n, n_items) float64 with the index and columns of ``items``.

    Raises
    ------
    ValueError
        If the number of columns is wrong, the reversed items are not known, or an answer is
        outside the response range (such answers are set missing by cleaning, never scored).
    """
    if items.shape[1] != instrument.n_items:
        raise ValueError(f"{instrument.id} has {instrument.n_items} items, not {items.shape[1]}")
    if instrument.reverse is None:
        raise ValueError(f"{instrument.id}: the reversed items are not known")
    answers = items.to_numpy(dtype=float, na_value=np.nan, copy=True)
    low, high = response_range(instrument, measure)
    if ((answers < low) | (answers > high)).any():
        raise ValueError(f"{instrument.id}: answers outside {low:g} to {high:g}; clean them first")
    if not (measure and measure.items_already_reversed):
        keyed = [i - 1 for i in instrument.reverse]
        answers[:, keyed] = low + high - answers[:, keyed]
    return pd.DataFrame(answers, index=items.index, columns=items.columns)


def filled_items(keyed: pd.DataFrame, instrument: Instrument) -> pd.DataFrame:
    """Reversed answers with gaps filled by the mean of their subscale, rounded half up.

    The rule of the OQ-45 scoring sheet. A form with fewer than ``min_answered`` answers is invalid
    as a whole: all its answers become NA. Other instruments are returned as they are.
    """
    if instrument.missing_rule != "subscale_mean_rounded":
        return keyed
    answers = keyed.to_numpy(copy=True)
    enough = (~np.isnan(answers)).sum(axis=1) >= instrument.minimum_of("total")
    for members in instrument.subscales.values():
        columns = np.array(members) - 1
        part = answers[:, columns]
        answered = (~np.isnan(part)).sum(axis=1)
        mean = np.nansum(part, axis=1) / np.where(answered > 0, answered, np.nan)
        answers[:, columns] = np.where(np.isnan(part), round_half_up(mean)[:, None], part)
    answers[~enough] = np.nan
    return pd.DataFrame(answers, index=keyed.index, columns=keyed.columns)


def round_half_up(values: Array, decimals: int = 0) -> Array:
    """Round halves up, as people do: 2.5 becomes 3 (``round`` would give 2).

    A billionth is added first, so that a half that arithmetic made slightly smaller counts.
    """
    factor = 10.0**decimals
    return np.floor(values * factor + 0.5 + 1e-9) / factor


def score_measure(
    items: pd.DataFrame,
    instrument: Instrument,
    measure: Measure | None = None,
    metrics: Sequence[Metric] = (),
) -> pd.DataFrame:
    """Total and subscales of one measure, in the instrument's published metric.

    Parameters
    ----------
    items : (n, n_items) answers in item order, as given (not reversed), missing answers NA.
    measure : the study's declaration (response range, already reversed, unverified accepted).
    metrics : further columns ``{scale}_{metric}``: item ``mean``, ``sum`` of items, and ``pomp``,
        percent of maximum possible (0-100), which makes 5- and 7-point forms comparable.

    Returns
    -------
    DataFrame
        float64 columns ``total`` and one per subscale; NaN where too few items were answered.
        ``total`` is NaN throughout for an instrument without total; subscales that must not be
        scored are left out.

    Raises
    ------
    StudyError
        If neither total nor subscales may be scored, with the reason.
    """
    accept = bool(measure and measure.accept_unverified)
    refusals = {part: refusal(instrument, accept, part) for part in ("total", "subscales")}
    if all(refusals.values()):
        raise StudyError([_refused(instrument, refusals["total"])])
    keyed = filled_items(reversed_items(items, instrument, measure), instrument).to_numpy()
    scales = ["total", *([] if refusals["subscales"] else instrument.subscales)]
    means = {
        scale: np.full(len(items), np.nan)
        if scale == "total" and refusals["total"]
        else _item_mean(keyed, instrument.items_of(scale), instrument.minimum_of(scale))
        for scale in scales
    }
    columns = {scale: in_metric(means[scale], instrument, scale) for scale in scales}
    for metric in metrics:
        for scale in scales:
            columns[f"{scale}_{metric}"] = _in_other_metric(
                means[scale], len(instrument.items_of(scale)), metric,
                response_range(instrument, measure),
            )  # fmt: skip
    return pd.DataFrame(columns, index=items.index)


def in_metric(item_mean: Array, instrument: Instrument, scale: str) -> Array:
    """An item mean in the published metric of the scale: proration is this multiplication."""
    n_items, rule = len(instrument.items_of(scale)), instrument.rule_of(scale)
    if rule == "mean":
        return item_mean
    factor = {"sum": n_items, "mean_x10": 10, "sum_x4": 4 * n_items, "none": np.nan}
    # Sums of whole answers must stay whole: 7 items of mean 8/7 are 8, not 7.999999999999999.
    return np.round(item_mean * factor[rule], 10)


def _in_other_metric(
    item_mean: Array, n_items: int, metric: Metric, response: tuple[float, float]
) -> Array:
    low, high = response
    if metric == "mean":
        return item_mean
    if metric == "sum":
        return np.round(item_mean * n_items, 10)
    return 100 * (item_mean - low) / (high - low)


def _item_mean(keyed: Array, members: list[int], minimum: int) -> Array:
    part = keyed[:, np.array(members) - 1]
    present = ~np.isnan(part)
    answered = present.sum(axis=1)
    total = np.where(present, part, 0.0).sum(axis=1)
    return np.divide(
        total, answered, out=np.full(len(part), np.nan), where=answered >= max(minimum, 1)
    )


def score_sessions(
    sessions: pd.DataFrame, study: Study, instruments: Mapping[str, Instrument]
) -> tuple[pd.DataFrame, list[Problem]]:
    """The clean sessions with the scores of every measure.

    Parameters
    ----------
    sessions : clean table; items in ``{measure}__{i}``, scores made elsewhere in ``{measure}``.
    instruments : by id, at least those the study names.

    Returns
    -------
    (scored, notes)
        ``scored`` has ``{measure}`` and ``{measure}_{subscale}`` added (Float64), and those in
        the measure's further metrics, e.g. ``{measure}_pomp``. ``notes`` are
        warnings for the report: unverified or derived keys, subscales not scored, forms with too
        few answers.

    Raises
    ------
    StudyError
        With every measure that must not be scored.
    """
    columns: dict[str, pd.Series] = {}
    notes: list[Problem] = []
    refused: list[Problem] = []
    for name, measure in study.measures.items():
        if measure.items is None:
            continue
        instrument = instruments[str(measure.instrument)]
        items = sessions[item_columns(name, instrument)]
        try:
            scores = score_measure(items, instrument, measure, measure.further_metrics)
        except StudyError as error:
            refused.extend(_located(problem, study, name) for problem in error.problems)
            continue
        for scale in scores:
            column = name if scale == "total" else f"{name}_{scale.removeprefix('total_')}"
            columns[column] = scores[scale].astype("Float64")
        notes.extend(_notes(study, name, instrument, items, scores))
    if refused:
        raise StudyError(refused, "Scoring")
    kept = sessions.drop(columns=[c for c in columns if c in sessions.columns])
    return pd.concat([kept, pd.DataFrame(columns, index=sessions.index)], axis=1), notes


def scales_of(name: str, study: Study, instruments: Mapping[str, Instrument]) -> dict[str, str]:
    """Scales of a measure and their columns in the scored table, ``total`` first.

    A score made elsewhere, and an instrument whose subscales must not be scored, has only a total.
    """
    measure = study.measures[name]
    scales = {"total": name}
    if measure.items is not None:
        instrument = instruments[str(measure.instrument)]
        if not refusal(instrument, measure.accept_unverified, "subscales"):
            scales |= {scale: f"{name}_{scale}" for scale in instrument.subscales}
    return scales


def caseness(
    scores: pd.Series, instrument: Instrument, scale: str = "total", cutoff: float | None = None
) -> pd.Series:
    """Whether a score in the published metric is in the clinical range (or one of concern).

    Parameters
    ----------
    cutoff : another cut-off than the instrument's, same side.

    Returns
    -------
    Series of boolean, NA where the score is missing or no cut-off is known. Scores of visual
    analogue scales are compared after rounding to 0.1, to which their lines are read.
    """
    key = instrument.cutoff
    value = cutoff if cutoff is not None else _cutoff_of(instrument, scale)
    numbers = scores.to_numpy(dtype=float, na_value=np.nan)
    decimals = 1 if instrument.response_type == "visual_analogue" else 6
    numbers = round_half_up(numbers, decimals)
    if value is None:
        return pd.Series(pd.NA, index=scores.index, dtype="boolean")
    clinical = numbers < value if key.clinical_is == "below" else numbers >= value
    return pd.Series(clinical, index=scores.index, dtype="boolean").mask(np.isnan(numbers))


def _cutoff_of(instrument: Instrument, scale: str) -> float | None:
    key = instrument.cutoff
    return key.value if scale == "total" else key.subscales.get(scale)


def severity_band(scores: pd.Series, instrument: Instrument) -> pd.Series:
    """Name of the severity band of a total; ``below_lowest_band`` under the lowest one.

    Returns
    -------
    Series of str, NA where the score is missing or the instrument has no bands.
    """
    bands = sorted(instrument.cutoff.bands.items(), key=lambda band: band[1])
    numbers = scores.to_numpy(dtype=float, na_value=np.nan)
    if not bands:
        return pd.Series(pd.NA, index=scores.index, dtype="string")
    names = np.array(["below_lowest_band", *(name for name, _ in bands)], dtype=object)
    starts = np.array([start for _, start in bands])
    positions = np.searchsorted(starts, np.nan_to_num(round_half_up(numbers, 6)), side="right")
    return pd.Series(names[positions], index=scores.index, dtype="string").mask(np.isnan(numbers))


def item_flags(items: pd.DataFrame, instrument: Instrument) -> pd.DataFrame:
    """Which single answers are a concern of their own (SRS: below 9); all false without a rule."""
    limit = instrument.cutoff.item_flag_below
    answers = items.to_numpy(dtype=float, na_value=np.nan)
    flags = np.zeros(answers.shape, bool) if limit is None else answers < limit
    return pd.DataFrame(flags, index=items.index, columns=items.columns)


def scoring_checks(
    sessions: pd.DataFrame, study: Study, instruments: Mapping[str, Instrument]
) -> list[Problem]:
    """Signs that a form is not what the study says it is: warnings, not errors.

    Run it on the sessions as read, before cleaning sets answers outside the range missing. It
    looks for items that seem to be reversed already (or not at all), for one answer throughout
    a form, and for answers of a longer or shorter response format.
    """
    problems: list[Problem] = []
    for name, measure in study.measures.items():
        instrument = instruments.get(str(measure.instrument))
        if measure.items is None or instrument is None or instrument.n_items is None:
            continue
        columns = item_columns(name, instrument)
        if not set(columns) <= set(sessions.columns):
            continue
        answers = sessions[columns].apply(pd.to_numeric, errors="coerce")
        answers = answers.to_numpy(dtype=float, na_value=np.nan)
        problems += _check_range(answers, study, name, measure, instrument)
        low, high = response_range(instrument, measure)
        answers = np.where((answers >= low) & (answers <= high), answers, np.nan)
        problems += _check_direction(answers, study, name, measure, instrument)
        problems += _check_straight_lines(answers, study, name, instrument)
    return problems


def _check_range(
    answers: Array, study: Study, name: str, measure: Measure, instrument: Instrument
) -> Iterable[Problem]:
    """Another response format shows in at least 1 in 100 answers; typing errors are rarer."""
    low, high = response_range(instrument, measure)
    present = answers[~np.isnan(answers)]
    if len(present) < MIN_FORMS_FOR_CHECKS or instrument.response_type == "visual_analogue":
        return
    outside = (present > high) & (present <= high + 3) | (present < low) & (present >= low - 1)
    typical = present[(present >= low - 1) & (present <= high + 3)]
    found_low, found_high = typical.min(initial=np.inf), typical.max(initial=-np.inf)
    if outside.mean() >= 0.01:
        yield _warning(
            "RESPONSE_FORMAT", (study.id, name),
            f"{outside.mean():.0%} of the answers outside {low:g} to {high:g}; they run from "
            f"{found_low:g} to {found_high:g}",
            f"answers from {low:g} to {high:g}",
            f"If your form has other answers, write response_range: [{found_low:g}, "
            f"{found_high:g}]; if they are only coded from another first number, recode them.",
        )  # fmt: skip
    elif high - low >= 6 and len(present) >= 500 and found_high <= high - 2:
        yield _warning(
            "RESPONSE_FORMAT", (study.id, name),
            f"no answer above {found_high:g} among {len(present)}",
            f"answers up to {high:g}",
            f"If your form ends at {found_high:g}, write response_range: [{low:g}, "
            f"{found_high:g}].",
        )  # fmt: skip


def _check_direction(
    answers: Array, study: Study, name: str, measure: Measure, instrument: Instrument
) -> Iterable[Problem]:
    """Each item against the mean of the items that need no reversal (itself left out)."""
    reverse = set(instrument.reverse or [])
    plain = [i - 1 for i in instrument.items_of("total") if i not in reverse]
    already = measure.items_already_reversed
    against = {
        i
        for i in instrument.items_of("total")
        if _against(answers, i - 1, plain, flip=i in reverse and not already)
    }
    if against & reverse:
        found = f"{_items(against & reverse)} run against the scale after scoring"
        fix = (
            "They seem not to be reversed yet: set items_already_reversed: false."
            if already
            else "They seem to be reversed in the file: set items_already_reversed: true if so."
        )
        code = "NOT_REVERSED" if already else "ALREADY_REVERSED"
        yield _warning(code, (study.id, name), found, "items that agree with their scale", fix)
    if against - reverse:
        found = f"{_items(against - reverse)} run against the scale, but are not reversed items"
        fix = "Check the order of the item columns and whether the file reversed these items."
        yield _warning(
            "ITEM_AGAINST_SCALE", (study.id, name), found, "items that agree with their scale", fix
        )


def _against(answers: Array, item: int, plain: list[int], flip: bool) -> bool:
    rest = [i for i in plain if i != item]
    both = answers[:, [item, *rest]]
    both = both[~np.isnan(both).any(axis=1)]
    if len(both) < MIN_FORMS_FOR_CHECKS or not rest:
        return False
    own, others = both[:, 0], both[:, 1:].mean(axis=1)
    if own.std() == 0 or others.std() == 0:
        return False
    r = np.corrcoef(own, others)[0, 1]
    return bool((-r if flip else r) < AGAINST_THE_SCALE)


def _check_straight_lines(
    answers: Array, study: Study, name: str, instrument: Instrument
) -> Iterable[Problem]:
    """The same answer throughout contradicts itself where items are reversed."""
    complete = answers[~np.isnan(answers).any(axis=1)]
    if len(complete) < MIN_FORMS_FOR_CHECKS or (instrument.n_items or 0) < 4:
        return
    share = float((complete == complete[:, :1]).all(axis=1).mean())
    limit = 0.05 if instrument.reverse else 0.25
    if share >= limit:
        meaning = (
            "some items are worded the other way, so this contradicts itself unless the answer is "
            "the middle one"
            if instrument.reverse
            else "it may be a true ceiling, or answering without reading"
        )
        yield _warning(
            "STRAIGHT_LINING", (study.id, name),
            f"{share:.0%} of the complete forms hold one answer throughout",
            f"less than {limit:.0%}", f"Look at these forms: {meaning}.",
        )  # fmt: skip


def _items(numbers: Iterable[int]) -> str:
    listed = sorted(numbers)
    return f"{'item' if len(listed) == 1 else 'items'} {', '.join(map(str, listed))}"


def _notes(
    study: Study,
    name: str,
    instrument: Instrument,
    items: pd.DataFrame,
    scores: pd.DataFrame,
) -> Iterable[Problem]:
    measure = study.measures[name]
    part = refusal(instrument, measure.accept_unverified, "subscales")
    if part and (instrument.subscales or instrument.subscales_without_key):
        yield _warning(
            "SUBSCALES_NOT_SCORED", (study.id, name), part, "a verified key of the subscales",
            "Check the manual; accept_unverified: true scores what rests on memory alone.",
        )  # fmt: skip
    levels = {"total": instrument.verification}
    if not part and instrument.verification_subscales:
        levels["subscales"] = instrument.verification_subscales
    for what, level in levels.items():
        if level in ("memory_only", "derived_1_source"):
            code = "UNVERIFIED_KEY" if level == "memory_only" else "DERIVED_KEY"
            yield _warning(
                code, (study.id, name), f"{what}: {VERIFICATION_IN_WORDS[level]}",
                "a key read in a source", "Check the manual before publication.",
            )  # fmt: skip
    if instrument.total_rule == "none":
        yield _warning(
            "NO_TOTAL", (study.id, name), "an instrument without total score", "a total",
            "Use its subscales (component).",
        )  # fmt: skip
        return
    some = items.notna().any(axis=1)
    unscored = int((some & scores["total"].isna()).sum())
    if unscored:
        yield _warning(
            "TOO_FEW_ANSWERS", (study.id, name),
            f"{unscored} of {int(some.sum())} forms without total",
            f"at least {instrument.minimum_of('total')} of {instrument.n_items} answers",
            "These totals are missing; nothing was guessed.",
        )  # fmt: skip


def _refused(instrument: Instrument, reason: str) -> Problem:
    fix = (
        "Set accept_unverified: true for this measure if you have checked the key yourself "
        "(the report will say so), or verify it in config/instruments/ and change its status."
        if instrument.verification == "memory_only" and not instrument.not_scorable
        else "See the notes of the instrument's file; a score made elsewhere can be declared with "
        "`column`."
    )
    code = "UNVERIFIED_KEY" if instrument.verification == "memory_only" else "NOT_SCORABLE"
    if instrument.not_scorable:
        code = "NOT_SCORABLE"
    return Problem(
        code, "error", f"config/instruments/{instrument.id}.yaml", "", reason,
        "a key that can be scored", fix,
    )  # fmt: skip


def _located(problem: Problem, study: Study, name: str) -> Problem:
    found = f"{problem.file.split('/')[-1].removesuffix('.yaml')}: {problem.found}"
    return Problem(
        problem.code, problem.severity, f"config/studies/{study.id}.yaml",
        f"key measures.{name}.instrument", found, problem.expected, problem.fix,
    )  # fmt: skip


def _warning(code: str, place: tuple[str, str], found: str, expected: str, fix: str) -> Problem:
    study, measure = place
    file, where = f"config/studies/{study}.yaml", f"measure '{measure}'"
    return Problem(code, "warning", file, where, found, expected, fix)
