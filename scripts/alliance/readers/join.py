"""Tables joined on client and session, or on client; what did not match is counted."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from alliance.problems import Problem, list_rows
from alliance.readers.answers import as_id
from alliance.readers.convert import Sheet

SOURCE = ["source_row", "source_table"]


@dataclass(frozen=True)
class Joined:
    """A joined frame and how many rows of the table on the right found a partner.

    Attributes
    ----------
    matched, only_here, only_elsewhere : rows of the right table with a partner, without one, and
        rows of the left table without one.
    n_duplicates : rows of the right table left out because they repeat another one exactly.
    """

    frame: pd.DataFrame
    matched: int
    only_here: int
    only_elsewhere: int
    n_duplicates: int
    problems: list[Problem]


def join_sessions(left: pd.DataFrame, right: Sheet, keys: list[str]) -> Joined:
    """All rows of both, joined where ``keys`` agree.

    Rows without a key match nothing and are kept. Where a key stands twice in both tables it is
    not known which rows belong together: exact repetitions on the right are left out, others
    are a problem.
    """
    left_key, frame = _key(left, keys), right.frame
    right_key = _key(frame, keys)
    twice_left = set(left_key[left_key.duplicated() & left_key.notna()])
    frame, right_key, n_duplicates = _without_repetitions(frame, right_key, twice_left)
    still_twice = right_key.isin(twice_left) & right_key.duplicated(keep=False) & right_key.notna()
    problems = []
    if still_twice.any():
        rows = [int(row) for row in frame.loc[still_twice, "source_row"]]
        problems.append(_ambiguous_join(right.file, keys, rows))
        frame, right_key = frame.loc[~still_twice], right_key[~still_twice]
    has_partner = right_key.isin(left_key.dropna())
    joined, more = _merge(left, left_key, frame, right_key, keys, right.file)
    only = frame.loc[~has_partner]
    complete = pd.concat([joined, only], ignore_index=True) if len(only) else joined
    only_elsewhere = int((~left_key.isin(right_key.dropna())).sum())
    return Joined(
        complete, int(has_partner.sum()), len(only), only_elsewhere, n_duplicates,
        [*problems, *more],
    )  # fmt: skip


def join_clients(left: pd.DataFrame | None, right: Sheet) -> Joined:
    """Client tables joined on client; a client twice with different entries is a problem."""
    frame = right.frame.loc[right.frame["client"].notna()]
    variables = [column for column in frame.columns if column not in SOURCE]
    repeated = frame.duplicated(variables)
    frame = frame.loc[~repeated]
    twice = frame["client"].duplicated(keep=False)
    rows = [int(row) for row in frame.loc[twice, "source_row"]]
    problems = [_client_twice(right.file, rows)] if rows else []
    frame = frame.drop_duplicates("client").drop(columns="source_table")
    if left is None:
        return Joined(frame.reset_index(drop=True), len(frame), 0, 0, int(repeated.sum()), problems)
    in_left, in_right = frame["client"].isin(left["client"]), left["client"].isin(frame["client"])
    merged = left.merge(frame.drop(columns="source_row"), on="client", how="left")
    complete = pd.concat([merged, frame.loc[~in_left]], ignore_index=True)
    return Joined(
        complete, int(in_left.sum()), int((~in_left).sum()), int((~in_right).sum()),
        int(repeated.sum()), problems,
    )  # fmt: skip


def _key(frame: pd.DataFrame, keys: list[str]) -> pd.Series:
    """One text per row from its keys, NA where one of them is absent."""
    parts = [_as_text(frame[key]) for key in keys]
    text = parts[0].str.cat(parts[1:], sep="\x1f") if len(parts) > 1 else parts[0]
    return text.where(frame[keys].notna().all(axis=1))


def _as_text(values: pd.Series) -> pd.Series:
    """Session 1 is the same whether its column holds whole numbers only or also a 1.5."""
    if values.dtype == object or pd.api.types.is_float_dtype(values.dtype):
        return values.map(as_id, na_action="ignore").astype("str")
    return values.astype("str")


def _without_repetitions(
    frame: pd.DataFrame, key: pd.Series, wanted: set[str]
) -> tuple[pd.DataFrame, pd.Series, int]:
    if not wanted:
        return frame, key, 0
    columns = [column for column in frame.columns if column not in SOURCE]
    repeated = frame.duplicated(columns) & key.isin(wanted)
    return frame.loc[~repeated], key[~repeated], int(repeated.sum())


def _merge(
    left: pd.DataFrame,
    left_key: pd.Series,
    right: pd.DataFrame,
    right_key: pd.Series,
    keys: list[str],
    file: str,
) -> tuple[pd.DataFrame, list[Problem]]:
    """Left rows with their partners; what both tables hold is completed from the right."""
    shared = [c for c in right.columns if c in left.columns and c not in (*keys, *SOURCE)]
    other = right.drop(columns=[*keys, *SOURCE]).rename(columns={c: f"{c}\x1f" for c in shared})
    merged = left.assign(**{"\x1fkey": left_key}).merge(
        other.assign(**{"\x1fkey": right_key}).loc[right_key.notna()],
        on="\x1fkey", how="left", sort=False,
    )  # fmt: skip
    problems = []
    for column in shared:
        mine, theirs = merged[column], merged[f"{column}\x1f"]
        differ = mine.notna() & theirs.notna() & (mine.astype("str") != theirs.astype("str"))
        if differ.any():
            rows = [int(row) for row in merged.loc[differ, "source_row"]]
            problems.append(_conflict(file, column, rows))
        merged[column] = mine.where(mine.notna(), theirs)
    return merged.drop(columns=["\x1fkey", *(f"{column}\x1f" for column in shared)]), problems


def _ambiguous_join(file: str, keys: list[str], rows: list[int]) -> Problem:
    on = " and ".join(keys)
    return Problem(
        "AMBIGUOUS_JOIN", "error", file, list_rows(rows),
        f"the same {on} several times, here and in another file",
        f"each {on} once in at least one of the files",
        "Keep one of these rows: it cannot be known which rows of the two files belong together.",
    )  # fmt: skip


def _client_twice(file: str, rows: list[int]) -> Problem:
    return Problem(
        "CLIENT_TWICE", "error", file, list_rows(rows), "the same client with different entries",
        "one row per client", "Keep one of these rows, or declare level: session for the file.",
    )  # fmt: skip


def _conflict(file: str, column: str, rows: list[int]) -> Problem:
    return Problem(
        "FILES_DISAGREE", "warning", file, f"{column}, {list_rows(rows)} of the first file",
        f"another {column} than in the first file", "the same entry in both files",
        "The entry of the file that is listed first in data.tables was used; correct the other.",
    )  # fmt: skip
