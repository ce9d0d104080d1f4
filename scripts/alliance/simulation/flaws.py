"""Flaws planted on purpose, each written down, so that later stages can be seen to catch them.

No two flaws meet in one row, and the sessions that decide about a planted rupture are spared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

FLAW_COLUMNS = ("flaw", "client", "session", "column", "written")


@dataclass
class FlawedTable:
    """A sessions table that takes up flaws one after the other, keeping count.

    Attributes
    ----------
    frame : the table; its index keeps the place of each row. free : rows that may still be taken.
    planted : one record per flaw, columns FLAW_COLUMNS.
    """

    frame: pd.DataFrame
    rng: np.random.Generator
    client: str
    session: str
    free: set[int] = field(default_factory=set)
    planted: list[dict[str, object]] = field(default_factory=list)

    def take(self, count: int, allowed: Callable[[pd.DataFrame], pd.Series]) -> list[int]:
        """``count`` free rows that satisfy ``allowed``, no longer free afterwards."""
        candidates = sorted(self.free & set(self.frame.index[allowed(self.frame)]))
        if len(candidates) < count:
            raise ValueError(f"{count} rows are wanted for a flaw, {len(candidates)} are left")
        rows = sorted(int(row) for row in self.rng.choice(candidates, count, replace=False))
        self.free -= set(rows)
        return rows

    def note(self, flaw: str, row: int, column: str = "", written: object = "") -> None:
        """Write down one flaw."""
        at = self.frame.loc[row]
        self.planted.append(
            {
                "flaw": flaw,
                "client": at[self.client],
                "session": at[self.session],
                "column": column,
                "written": str(written),
            }
        )

    def overwrite(self, flaw: str, row: int, column: str, value: object) -> None:
        """Put a wrong entry into one cell and write it down."""
        self.frame.loc[row, column] = value
        self.note(flaw, row, column, "" if value is pd.NA else value)


def attended(frame: pd.DataFrame) -> pd.Series:
    """Rows of sessions that took place."""
    return frame["attendance"] == "attended"


def blank_forms(table: FlawedTable, columns: Sequence[str], name: str, count: int) -> None:
    """Leave a whole form empty."""
    for row in table.take(count, attended):
        table.frame.loc[row, list(columns)] = pd.NA
        table.note("missing_form", row, name)


def spoil_answers(
    table: FlawedTable, flaw: str, columns: Sequence[str], values: Sequence[object], count: int
) -> None:
    """Replace single answers, one per row, by one of ``values`` (pd.NA leaves them empty)."""
    for row in table.take(count, attended):
        column = str(table.rng.choice(list(columns)))
        value = values[int(table.rng.integers(len(values)))]
        table.overwrite(flaw, row, column, value)


def swap_dates(table: FlawedTable, date: str, count: int) -> None:
    """Exchange the dates of two neighbouring sessions of a client."""
    for row in table.take(count, _has_next(table)):
        pair = [row, row + 1]
        table.frame.loc[pair, date] = table.frame.loc[pair[::-1], date].to_numpy()
        table.note("dates_out_of_order", row, date, table.frame.loc[row, date])
        table.free.discard(row + 1)


def _has_next(table: FlawedTable) -> Callable[[pd.DataFrame], pd.Series]:
    def allowed(frame: pd.DataFrame) -> pd.Series:
        same = frame[table.client].eq(frame[table.client].shift(-1))
        next_is_free = pd.Series(frame.index + 1, index=frame.index).isin(table.free)
        return same & next_is_free & (frame[table.session] > 1)

    return allowed


def change_therapist(table: FlawedTable, therapist: str, count: int) -> None:
    """Give clients another therapist from their sixth session on."""
    names = sorted(table.frame[therapist].unique())

    def sixth_of_many(frame: pd.DataFrame) -> pd.Series:
        length = frame.groupby(table.client)[table.session].transform("max")
        return (frame[table.session] == 6) & (length >= 12)

    for row in table.take(count, sixth_of_many):
        own = table.frame.loc[row, therapist]
        other = str(table.rng.choice([name for name in names if name != own]))
        of_client = table.frame[table.client] == table.frame.loc[row, table.client]
        later = of_client & (table.frame[table.session] >= 6)
        table.frame.loc[later, therapist] = other
        table.note("second_therapist", row, therapist, other)


def cut_to_one_session(table: FlawedTable, clients: Sequence[str], count: int) -> None:
    """Keep only the first session of some of ``clients``."""
    chosen = sorted(str(name) for name in table.rng.choice(sorted(clients), count, replace=False))
    for name in chosen:
        of_client = table.frame[table.client] == name
        gone = table.frame.index[of_client & (table.frame[table.session] > 1)]
        table.frame = table.frame.drop(index=gone)
        table.free -= set(gone)
        first = int(table.frame.index[table.frame[table.client] == name][0])
        table.free.discard(first)
        table.note("one_session_only", first)


def duplicate_rows(table: FlawedTable, exact: int, conflicting: int, items: Sequence[str]) -> None:
    """Append copies of rows: identical ones, and ones with two answers gone and one changed."""
    copies = []
    for row in table.take(exact, attended):
        copies.append(table.frame.loc[[row]])
        table.note("exact_duplicate", row)
    for row in table.take(conflicting, _complete(items)):
        copy = table.frame.loc[[row]].copy()
        first, second, third = (str(c) for c in table.rng.choice(list(items), 3, replace=False))
        copy[[first, second]] = pd.NA
        old = int(copy[third].iloc[0])
        copy[third] = old + 1 if old < 3 else old - 1
        copies.append(copy)
        table.note("conflicting_duplicate", row, f"{first} {second} {third}")
    table.frame = pd.concat([table.frame, *copies], ignore_index=True)


def _complete(items: Sequence[str]) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda frame: attended(frame) & frame[list(items)].notna().all(axis=1)


def blank_client_entries(
    clients: pd.DataFrame, counts: dict[str, int], client: str, rng: np.random.Generator
) -> tuple[pd.DataFrame, list[dict[str, object]]]:
    """Empty cells in the clients table."""
    flawed, planted = clients.copy(), []
    for column, count in counts.items():
        rows = sorted(int(row) for row in rng.choice(len(clients), count, replace=False))
        flawed.loc[rows, column] = pd.NA
        planted += [
            {"flaw": "missing_client_entry", "client": clients.loc[row, client], "session": pd.NA,
             "column": column, "written": ""}
            for row in rows
        ]  # fmt: skip
    return flawed, planted


def shuffle(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Rows in random order."""
    return frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)


def planted_table(planted: Sequence[dict[str, object]]) -> pd.DataFrame:
    """All flaws in a stable order."""
    table = pd.DataFrame(list(planted), columns=list(FLAW_COLUMNS))
    table["session"] = table["session"].astype("Int64")
    return table.sort_values(list(FLAW_COLUMNS), ignore_index=True)
