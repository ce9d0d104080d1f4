"""Which columns are the items or the score of a rating scale, and of which one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd

from alliance.instruments import Instrument
from alliance.readers.raw import RawTable

NUMBER = re.compile(r"\d+")
SESSION_HINT = re.compile(
    r"(?:^|[^a-z])(?:s|t|w|m|v|ses|sess|session|sitzung|visit|week|woche|time|month|monat)_?$"
)
THERAPIST_ENDINGS = ("therapist", "thera", "ther", "th", "t")
FEWEST_ITEMS = 3
FEWEST_SESSIONS = 3
# Codes that files use for `no answer`; looked for outside the range of a scale only.
SENTINELS = (-1, -7, -8, -9, -77, -88, -98, -99, -999, -9999, 9, 77, 88, 97, 98, 99, 777, 888, 999,
             9999)  # fmt: skip
SHARE_IN_RANGE = 0.98
WORDS_BY_RANK = (
    ("never", "not at all", "nie", "gar nicht", "überhaupt nicht", "strongly disagree"),
    ("seldom", "rarely", "selten", "only occasionally", "several days", "a little"),
    ("occasionally", "sometimes", "manchmal", "more than half the days", "moderately"),
    ("fairly often", "often", "oft", "häufig", "nearly every day", "quite a bit"),
    ("very often", "sehr oft", "sehr häufig", "most or all the time", "extremely"),
    ("always", "immer", "strongly agree"),
)


@dataclass(frozen=True)
class ColumnGroup:
    """Columns whose names differ in a number only.

    Attributes
    ----------
    pattern : name with ``{item}`` and, in wide files, ``{session}``.
    columns : the columns.
    n_items : how many different items; 0 for a score.
    n_sessions : how many sessions, in wide files.
    sure : false when it was not plain which number is the session.
    """

    pattern: str
    columns: tuple[str, ...]
    n_items: int = 0
    n_sessions: int = 0
    sure: bool = True


@dataclass(frozen=True)
class Scale:
    """A group of columns, and the instrument it seems to be.

    Attributes
    ----------
    instrument : ``None`` when none fits.
    named : 2 when the columns bear the instrument's name, 1 when a part of it, 0 when neither.
    therapist : whether the therapist seems to have filled it in.
    others : further instruments that fit.
    response_range : lowest and highest answer where they are not the published ones.
    missing_codes : entries outside the range that look like codes.
    words : answers given in words.
    """

    group: ColumnGroup
    table: str
    instrument: Instrument | None = None
    named: int = 0
    therapist: bool = False
    others: tuple[str, ...] = ()
    response_range: tuple[int, int] | None = None
    missing_codes: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    observed: tuple[float, float] | None = None
    labels: Mapping[str, int] = field(default_factory=dict)


def item_groups(columns: list[str]) -> list[ColumnGroup]:
    """Groups such as ``wai_1 ... wai_12``, the largest first, each column in one group only."""
    groups = []
    for pattern, found in _by_pattern(columns).items():
        numbers = sorted(found)
        if len(numbers) >= FEWEST_ITEMS and numbers == list(range(1, len(numbers) + 1)):
            in_order = tuple(found[number] for number in numbers)
            groups.append(ColumnGroup(_written(pattern, "item", in_order), in_order, len(numbers)))
    return _without_overlap(groups)


def session_groups(columns: list[str]) -> list[ColumnGroup]:
    """Groups of a wide file: items by session (two numbers), or a score by session (one)."""
    return _without_overlap([*_items_by_session(columns), *_scores_by_session(columns)])


def _by_pattern(columns: list[str]) -> dict[tuple[str, str], dict[int, str]]:
    """Columns by the text before and after each of their numbers."""
    groups: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for column in columns:
        for number in NUMBER.finditer(column):
            around = (column[: number.start()], column[number.end() :])
            groups[around][int(number.group())] = column
    return groups


def _written(around: tuple[str, str], name: str, columns: tuple[str, ...]) -> str:
    before, after = around
    numbers = [column[len(before) : len(column) - len(after)] for column in columns]
    return f"{before}{{{name}{_padding(numbers)}}}{after}"


def _scores_by_session(columns: list[str]) -> list[ColumnGroup]:
    groups = []
    for around, found in _by_pattern(columns).items():
        hinted = SESSION_HINT.search(around[0].lower()) is not None
        if len(found) >= FEWEST_SESSIONS:
            in_order = tuple(found[number] for number in sorted(found))
            pattern = _written(around, "session", in_order)
            groups.append(ColumnGroup(pattern, in_order, 0, len(found), sure=hinted))
    return groups


def _items_by_session(columns: list[str]) -> list[ColumnGroup]:
    pairs: dict[tuple[str, str, str], dict[tuple[int, int], str]] = defaultdict(dict)
    for column in columns:
        numbers = list(NUMBER.finditer(column))
        for first, second in pairwise(numbers):
            around = (
                column[: first.start()],
                column[first.end() : second.start()],
                column[second.end() :],
            )
            pairs[around][int(first.group()), int(second.group())] = column
    groups = [_pair_group(around, found) for around, found in pairs.items()]
    return [group for group in groups if group is not None]


def _pair_group(
    around: tuple[str, str, str], found: dict[tuple[int, int], str]
) -> ColumnGroup | None:
    firsts, seconds = ({pair[position] for pair in found} for position in (0, 1))
    if len(firsts) < 2 or len(seconds) < 2 or len(found) < 0.8 * len(firsts) * len(seconds):
        return None
    first_is_session = SESSION_HINT.search(around[0].lower()) is not None
    second_is_session = SESSION_HINT.search(around[1].lower()) is not None
    sure = first_is_session != second_is_session
    session_first = first_is_session and not second_is_session
    names = ("session", "item") if session_first else ("item", "session")
    sizes = (len(firsts), len(seconds))
    columns = tuple(found[pair] for pair in sorted(found))
    pads = [_padding(_numbers_at(columns, around, position)) for position in (0, 1)]
    pattern = f"{around[0]}{{{names[0]}{pads[0]}}}{around[1]}{{{names[1]}{pads[1]}}}{around[2]}"
    return ColumnGroup(pattern, columns, sizes[session_first], sizes[not session_first], sure)


def _numbers_at(columns: tuple[str, ...], around: tuple[str, str, str], at: int) -> list[str]:
    first, middle, last = map(re.escape, around)
    shape = re.compile(f"{first}(\\d+){middle}(\\d+){last}")
    return [match.group(at + 1) for c in columns if (match := shape.fullmatch(c))]


def _padding(numbers: list[str]) -> str:
    """``:02d`` for numbers written 01, 02, ...; nothing for 1, 2, ..."""
    padded = any(len(number) > 1 and number[0] == "0" for number in numbers)
    return f":0{min(map(len, numbers))}d" if padded else ""


def _without_overlap(groups: list[ColumnGroup]) -> list[ColumnGroup]:
    kept: list[ColumnGroup] = []
    taken: set[str] = set()
    for group in sorted(groups, key=lambda g: (-bool(g.n_items), -len(g.columns), not g.sure)):
        if not taken & set(group.columns):
            kept.append(group)
            taken |= set(group.columns)
    return kept


def recognise(
    raw: RawTable, group: ColumnGroup, instruments: Mapping[str, Instrument]
) -> Scale | None:
    """The instrument that a group of columns seems to be.

    A scale with items needs an instrument of as many items whose answers (nearly) all lie in the
    range; a score one whose name is in the column's. ``None`` for a score that nothing speaks for.
    """
    values = raw.frame[list(group.columns)]
    words = _words(values)
    numbers = _numbers(values)
    fitting = [
        (rank, instrument)
        for instrument in instruments.values()
        if (rank := _fit(instrument, group, numbers, len(words))) is not None
    ]
    if not fitting:
        return _unknown(raw, group, numbers, words) if group.n_items else None
    best_rank, best = max(fitting, key=lambda pair: (pair[0], -len(pair[1].id)))
    others = tuple(i.id for rank, i in fitting if i is not best and rank[0] == best_rank[0])
    low, high = _range_of(best, group)
    codes = tuple(c for c in SENTINELS if not low <= c <= high and (numbers == c).any())
    range_differs = bool(group.n_items) and _share_inside(numbers, low, high) < SHARE_IN_RANGE
    observed = _observed(numbers, codes)
    return Scale(
        group, raw.name, best, named=best_rank[0], therapist=_by_therapist(best, group),
        others=others, missing_codes=codes, words=words, observed=observed,
        response_range=(int(observed[0]), int(observed[1])) if range_differs and observed else None,
        labels=_ranked(words, best.response_min),
    )  # fmt: skip


def _numbers(values: pd.DataFrame) -> np.ndarray:
    columns = [pd.to_numeric(values[column], errors="coerce") for column in values]
    return pd.concat(columns).dropna().to_numpy(dtype=float)


def _unknown(
    raw: RawTable, group: ColumnGroup, numbers: np.ndarray, words: tuple[str, ...]
) -> Scale:
    return Scale(group, raw.name, words=words, observed=_observed(numbers, SENTINELS))


def _observed(numbers: np.ndarray, codes: tuple[int, ...]) -> tuple[float, float] | None:
    answers = numbers[~np.isin(numbers, codes)]
    return (float(answers.min()), float(answers.max())) if len(answers) else None


def _range_of(instrument: Instrument, group: ColumnGroup) -> tuple[float, float]:
    if group.n_items:
        return instrument.response_min, instrument.response_max
    return instrument.score_range or (-np.inf, np.inf)


def _share_inside(numbers: np.ndarray, low: float, high: float) -> float:
    answers = numbers[((numbers >= low) & (numbers <= high)) | ~np.isin(numbers, SENTINELS)]
    return float(((answers >= low) & (answers <= high)).mean()) if len(answers) else 1.0


def _fit(
    instrument: Instrument, group: ColumnGroup, numbers: np.ndarray, n_words: int
) -> tuple[int, int, int, int] | None:
    """How well an instrument fits, to compare: name, rater, range used up, how well it is known."""
    if instrument.not_scorable:
        return None
    low, high = _range_of(instrument, group)
    named = _name_fits(instrument, group)
    inside = _share_inside(numbers, low, high) >= SHARE_IN_RANGE
    if not group.n_items and not (named and inside and len(numbers)):
        return None
    if group.n_items and (instrument.n_items != group.n_items or not (inside or named > 1)):
        return None
    if not len(numbers) and not n_words:
        return None
    rater = int(("therapist" in instrument.perspective) == _marked_therapist(group, instrument))
    used = n_words == high - low + 1 if n_words else inside and bool((numbers == high).any())
    known = int(instrument.verification.startswith("verified"))
    return (named, rater, int(used), known)


def _stem_words(group: ColumnGroup) -> list[str]:
    """The words of the pattern, digits kept: ``core10_{item}_s{session}`` gives core10.

    A single ``t`` is kept for items, where it stands for the therapist (``ARM5_T_{item}``) and not
    before the number of a session.
    """
    bare = re.sub(r"(?<![a-z])[a-z]?_?\{session[^}]*\}", " ", group.pattern.lower())
    words = re.split(r"[^a-z0-9]+", re.sub(r"\{[^}]*\}", " ", bare))
    return [word for word in words if len(word) > 1 or (word == "t" and group.n_items)]


def _name_fits(instrument: Instrument, group: ColumnGroup) -> int:
    """2 when the whole id is in the name (core10), 1 for its letters (core), 0 for neither."""
    whole = instrument.id.split("_")[0]
    letters = re.match(r"[a-z]+", instrument.id)
    base = letters.group() if letters else whole
    fits = 0
    words = _stem_words(group)
    if whole in ("".join(words[:n]) for n in range(1, len(words) + 1)):
        return 2  # also written with a hyphen or a blank: WAI-SR, CORE 10
    for word in words:
        plain = re.match(r"[a-z]*", word).group()  # type: ignore[union-attr]
        stems = {plain, *(_without_rater(plain))}
        if word == whole:
            return 2
        if any(len(s) > 1 and (base.startswith(s) or s.startswith(base)) for s in stems):
            fits = 1
    return fits


def _without_rater(word: str) -> list[str]:
    return [word.removesuffix(end) for end in THERAPIST_ENDINGS if word.endswith(end)]


def _marked_therapist(group: ColumnGroup, instrument: Instrument) -> bool:
    base = re.match(r"[a-z]{2,3}", instrument.id)
    start = base.group() if base else ""
    endings = {word.removeprefix(start) for word in _stem_words(group)}
    return bool(endings & set(THERAPIST_ENDINGS))


def _by_therapist(instrument: Instrument, group: ColumnGroup) -> bool:
    return instrument.perspective.startswith("therapist") or _marked_therapist(group, instrument)


def _words(values: pd.DataFrame) -> tuple[str, ...]:
    """Answers in words, when there are few different ones."""
    texts = {
        str(entry)
        for column in values
        if not pd.api.types.is_numeric_dtype(values[column].dtype)
        for entry in values[column].dropna().unique()
        if not NUMBER.fullmatch(str(entry))
    }
    return tuple(sorted(texts)) if len(texts) <= 12 else ()


def _ranked(words: tuple[str, ...], lowest: int) -> dict[str, int]:
    """Numbers for words whose order is well known; empty when one of them is not."""
    rank = {word: at for at, group in enumerate(WORDS_BY_RANK) for word in group}
    ranks = {word: rank.get(word.strip().casefold()) for word in words}
    if not words or None in ranks.values() or len(set(ranks.values())) < len(words):
        return {}
    order = sorted(words, key=lambda word: ranks[word] or 0)
    return {word: lowest + at for at, word in enumerate(order)}
