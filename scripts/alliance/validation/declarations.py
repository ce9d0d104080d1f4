"""Checks of the study file against the instruments, before any data file is opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from alliance.instruments import Instrument, refusal
from alliance.problems import Problem, list_rows, suggest, suggest_family
from alliance.study import Measure, Study
from alliance.validation.catalogue import tell


def check_declarations(
    study: Study, instruments: Mapping[str, Instrument], study_file: str
) -> list[Problem]:
    """Everything the study file says about measures that cannot be as it is said."""
    return [
        *_check_roles(study, study_file),
        *(
            problem
            for name, measure in study.measures.items()
            for problem in _check_measure(name, measure, instruments, study_file)
        ),
        *_check_components(study, instruments, study_file),
    ]


def check_marks(lines: Sequence[int], study_file: str) -> list[Problem]:
    """Marks that were left in a drafted study file.

    Parameters
    ----------
    lines : numbers of the marked lines, from 1.
    """
    if not lines:
        return []
    listed = list_rows(lines).replace("row", "line", 1)
    count = f"{len(lines)} {'line' if len(lines) == 1 else 'lines'} marked CHECK"
    return [tell("DRAFT_MARKS", study_file, listed, count)]


def _check_roles(study: Study, file: str) -> Iterable[Problem]:
    if not study.measures_with_role("outcome"):
        yield tell("NO_OUTCOME", file, "key measures", "no measure with role outcome")
    if not study.measures_with_role("alliance", "process"):
        yield tell("NO_ALLIANCE", file, "key measures", "outcomes only")


def _check_measure(
    name: str, measure: Measure, instruments: Mapping[str, Instrument], file: str
) -> Iterable[Problem]:
    key = f"key measures.{name}"
    for word in ("response_range", "range"):
        limits = getattr(measure, word)
        if limits is not None and limits[0] >= limits[1]:
            yield tell(
                "RESPONSE_RANGE_REVERSED", file, f"{key}.{word}", f"[{limits[0]:g}, {limits[1]:g}]"
            )
    if measure.instrument is None:
        return
    if measure.instrument not in instruments:
        hint = suggest_family(measure.instrument, instruments)
        yield tell(
            "INSTRUMENT_NOT_LOADED", file, f"{key}.instrument", f"'{measure.instrument}'", hint=hint
        )
        return
    yield from _check_against(key, measure, instruments[measure.instrument], file)


def _check_against(
    key: str, measure: Measure, instrument: Instrument, file: str
) -> Iterable[Problem]:
    if measure.items is not None:
        yield from _check_items(key, measure, instrument, file)
    if measure.higher_is and instrument.higher_is and measure.higher_is != instrument.higher_is:
        yield tell(
            "DIRECTION_CONTRADICTS", file, f"{key}.higher_is", measure.higher_is,
            instrument_says=instrument.higher_is,
        )  # fmt: skip
    known = ("client", "therapist", "observer")
    perspective = instrument.perspective
    if measure.rater in known and perspective in known and measure.rater != perspective:
        yield tell(
            "RATER_CONTRADICTS", file, f"{key}.rater", measure.rater, perspective=perspective
        )


def _check_items(
    key: str, measure: Measure, instrument: Instrument, file: str
) -> Iterable[Problem]:
    reason = refusal(instrument, measure.accept_unverified)
    if reason and refusal(instrument, measure.accept_unverified, "subscales"):
        could = instrument.verification == "memory_only" and not instrument.not_scorable
        advice = (
            "If it is right, set accept_unverified: true for this measure; the report says so."
            if could
            else "If the total was computed elsewhere, declare it with column instead of items."
        )
        yield tell("INSTRUMENT_REFUSES", file, f"{key}.instrument", reason, advice=advice)
    low, high = measure.response_range or (instrument.response_min, instrument.response_max)
    outside = [n for n in (measure.labels or {}).values() if not low <= n <= high]
    if outside:
        numbers = ", ".join(str(n) for n in sorted(set(outside)))
        yield tell("LABELS_OUT_OF_RANGE", file, f"{key}.labels", numbers, low=low, high=high)


def _check_components(
    study: Study, instruments: Mapping[str, Instrument], file: str
) -> Iterable[Problem]:
    asked = [
        *((f"models.{n}", m.predictor, m.component) for n, m in study.models.items()),
        *((f"dynamics.{n}", d.alliance, d.component) for n, d in study.dynamics.items()),
        *((f"ruptures.{n}", r.measure, r.component) for n, r in study.ruptures.items()),
        *((f"sudden_gains.{n}", g.measure, g.component) for n, g in study.sudden_gains.items()),
    ]
    for key, measure, component in asked:
        if component is None or measure is None:
            continue
        predictor = study.measures[measure]
        instrument = instruments.get(predictor.instrument or "")
        known = sorted(instrument.subscales) if instrument and predictor.items else []
        if component not in known:
            fix = suggest(component, known) or "Leave component out to use the total score."
            yield tell(
                "UNKNOWN_COMPONENT", file, f"key {key}.component", f"'{component}'",
                known=", ".join(known) or "none (the measure has no subscales)", hint=fix,
            )  # fmt: skip
