"""Where something stands and what may be shown of it; never an entry that could identify."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from alliance.personal_data import identifying_kind, looks_like_surname
from alliance.problems import list_rows
from alliance.readers.raw import RawStudy
from alliance.study import Study
from alliance.validation.identifiers import origin_of, row_numbers

if TYPE_CHECKING:
    from alliance.instruments import Instrument

SHOWN = 8
SHOWN_DIGITS = 5
# Words that questionnaires and data files use; anything else in letters stays hidden.
KNOWN_WORDS = frozenset(
    """
    na n/a nan none null missing unknown refused skipped blank k.a. k.a ka keine angabe fehlt
    fehlend unbekannt nie never rarely seldom selten sometimes manchmal occasionally gelegentlich
    often oft very sehr haeufig häufig always immer yes no ja nein true false wahr falsch
    agree disagree strongly somewhat neither stimme zu nicht ueberhaupt überhaupt voll trifft
    not at all a little moderately quite bit lot extremely half of the time most
    attended present cancelled canceled no-show noshow dna late show absent rescheduled
    erschienen abgesagt completed dropout dropped out ended planned transferred ongoing
    """.split()  # noqa: SIM905  a list of a hundred strings would not be readable
)


@dataclass(frozen=True)
class Look:
    """What the checks of values look at.

    Attributes
    ----------
    study, instruments : what was declared.
    raw : the assembled tables.
    study_file : the study file as the user knows it.
    known_instruments : ids of all instruments that there are, for suggestions.
    """

    study: Study
    instruments: Mapping[str, Instrument]
    raw: RawStudy
    study_file: str
    known_instruments: tuple[str, ...] = ()

    def frame_with(self, name: str) -> pd.DataFrame | None:
        """The table that holds a column, the client table first; None if neither does."""
        frames = (self.raw.clients, self.raw.sessions)
        return next((frame for frame in frames if name in frame), None)

    def place(self, frame: pd.DataFrame, name: str, mask: pd.Series) -> tuple[str, str]:
        """File and ``column 'wai_3', rows 4, 17 and 9 more`` of the marked rows."""
        file, column = origin_of(self.raw, name)
        return file, f"column '{column}', {self.rows(frame, mask, file)}"

    def rows(self, frame: pd.DataFrame, mask: pd.Series, file: str = "") -> str:
        """The marked rows in words, as a spreadsheet numbers them."""
        index = frame.index[mask.to_numpy(dtype=bool)]
        if self.study.data.layout == "wide" and "session" in frame:
            return _rows_and_sessions(frame.loc[index])
        numbers = row_numbers(frame, index)
        holder = self._file_of_rows(frame, index)
        of_file = f" of {holder}" if file and holder and holder != file else ""
        return list_rows(numbers, SHOWN) + of_file

    def _file_of_rows(self, frame: pd.DataFrame, index: pd.Index) -> str:
        if "source_table" not in frame or index.empty:
            return ""
        names = frame.loc[index, "source_table"].dropna().unique()
        return self.raw.files().get(str(names[0]), "") if len(names) == 1 else ""


def _rows_and_sessions(rows: pd.DataFrame) -> str:
    pairs = rows[["source_row", "session"]].dropna().sort_values(["source_row", "session"])
    shown = [f"row {row} session {session}" for row, session in pairs.head(SHOWN).to_numpy()]
    more = f" and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
    return ", ".join(shown) + more


def show_numbers(values: pd.Series) -> str:
    """Different numbers, smallest first, thinned: ``6, 7 and 3 other values``.

    Of a long number, which may be that of a person, only the length is shown.
    """
    distinct = sorted(float(value) for value in values.dropna().unique())
    words = list(dict.fromkeys(show_number(value) for value in distinct))
    more = len(words) - SHOWN
    return ", ".join(words[:SHOWN]) + (f" and {more} other values" if more > 0 else "")


def show_number(value: float) -> str:
    """A number of up to five digits before the point, else how many digits it has."""
    if abs(value) >= 10**SHOWN_DIGITS:
        return f"a number of {len(str(int(abs(value))))} digits"
    return f"{value:.7g}"


def show_entries(values: pd.Series) -> str:
    """Entries that cannot identify anybody; the others are counted only.

    Shown are short entries without letters and words that questionnaires use.
    """
    distinct = sorted(values.dropna().astype("str").str.strip().unique())
    safe = [text for text in distinct if _is_harmless(text)]
    return _listed(safe, len(distinct) - len(safe))


def show_codes(values: pd.Series, rarely: int = 3) -> str:
    """Entries of a column of categories: frequent ones are shown, rare ones counted.

    A category that fewer than ``rarely`` rows hold might belong to one person.
    """
    texts = values.dropna().astype("str").str.strip()
    counts = texts.value_counts()
    safe = sorted(
        text for text, count in counts.items()
        if _is_harmless(text) or (count >= rarely and not _is_personal(text) and len(text) <= 30)
    )  # fmt: skip
    return _listed(safe, len(counts) - len(safe))


def _listed(safe: list[str], hidden: int) -> str:
    shown = ", ".join(f"'{text}'" for text in safe[:SHOWN])
    rest = hidden + max(0, len(safe) - SHOWN)
    if not rest:
        return shown
    others = f"{rest} {'entry' if rest == 1 else 'entries'} not shown here"
    return f"{shown} and {others}" if shown else others


def _is_harmless(text: str) -> bool:
    if identifying_kind(text) or len(text) > 30:
        return False
    if not any(c.isalpha() for c in text):
        return sum(c.isdigit() for c in text) <= SHOWN_DIGITS
    return all(word in KNOWN_WORDS for word in text.lower().split())


def _is_personal(text: str) -> bool:
    return bool(identifying_kind(text)) or (looks_like_surname(text) and " " in text)
