"""How often each source tells of a rupture, and which components of the alliance fall together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from alliance.ruptures.result import RuptureResult
from alliance.ruptures.sources import CELLS, SOURCES
from alliance.small_cells import is_small, shown_counts, suppressed_cells

SOURCE_COLUMNS: tuple[str, ...] = (
    "source", "label", "kind", "definition", "n_sessions", "n_marked", "pct_sessions", "n_clients",
    "n_clients_marked", "pct_clients", "hidden",
)  # fmt: skip
DETAIL_COLUMNS: tuple[str, ...] = (
    "source", "quantity", "n", "n_clients", "mean", "sd", "hidden",
)  # fmt: skip
CELL_COLUMNS: tuple[str, ...] = ("cell", "n_sessions", "pct_sessions", "n_clients", "hidden")
COMPONENT_COLUMNS: tuple[str, ...] = (
    "analysis", "rule", "components", "label", "n_sessions", "pct_sessions", "n_clients", "hidden",
)  # fmt: skip
COMPONENT_WORDS: dict[str, str] = {
    "bond_only": "Bond only",
    "task_goal_only": "Task or goal only",
    "bond_and_task_goal": "Bond and task or goal",
    "total_only": "Total only, no component by itself",
}


def source_table(marks: pd.DataFrame, smallest_cell: int = 1) -> pd.DataFrame:
    """One row per source: sessions and clients that it tells of, and that it marks.

    Parameters
    ----------
    marks : of :func:`alliance.ruptures.sources.source_marks`.
    smallest_cell : numbers of fewer clients, and those that would tell them, are NaN; ``hidden``
        says so.
    """
    rows = [_source_row(name, marks, smallest_cell) for name in SOURCES if name in marks]
    return pd.DataFrame(rows, columns=list(SOURCE_COLUMNS))


def _source_row(name: str, marks: pd.DataFrame, smallest_cell: int) -> dict[str, object]:
    source = SOURCES[name]
    told = marks[marks[name].notna()]
    yes = told[name].astype(bool)
    n_told, n_marked = told["client"].nunique(), told.loc[yes, "client"].nunique()
    groups = {
        "marked": n_marked,
        "unmarked": n_told - n_marked,
        "untold": marks["client"].nunique() - n_told,
    }
    sums = {"told": {"marked", "unmarked"}, "marked": {"marked"}}
    shown = shown_counts(groups, sums, smallest_cell, given=[set(groups)])
    both = {"told", "marked"} <= shown
    marked = "marked" in shown
    return {
        "source": name, "label": source.label, "kind": source.kind,
        "definition": source.definition,
        "n_sessions": len(told), "n_marked": int(yes.sum()) if marked else np.nan,
        "pct_sessions": 100 * yes.mean() if marked and len(told) else np.nan,
        "n_clients": n_told if "told" in shown else np.nan,
        "n_clients_marked": n_marked if marked else np.nan,
        "pct_clients": 100 * n_marked / n_told if both and n_told else np.nan,
        "hidden": "" if both else f"numbers of fewer than {smallest_cell} clients are hidden",
    }  # fmt: skip


def detail_table(details: pd.DataFrame, smallest_cell: int = 1) -> pd.DataFrame:
    """Means of intensity, resolution and impact.

    Parameters
    ----------
    details : of :func:`alliance.ruptures.sources.report_details`.
    """
    rows = []
    for (source, quantity), own in details.groupby(["source", "quantity"], sort=False):
        n_clients = own["client"].nunique()
        row: dict[str, object] = {"source": source, "quantity": quantity}
        if is_small(n_clients, smallest_cell):
            rows.append({**row, "hidden": f"ratings of fewer than {smallest_cell} clients"})
            continue
        numbers = {"n": len(own), "n_clients": n_clients, "mean": own["value"].mean()}
        rows.append({**row, **numbers, "sd": own["value"].std(ddof=1), "hidden": ""})
    return pd.DataFrame(rows, columns=list(DETAIL_COLUMNS))


def cell_table(cells: pd.DataFrame, smallest_cell: int = 1) -> pd.DataFrame:
    """Sessions on which neither, one, or both of client and therapist reported a rupture.

    Parameters
    ----------
    cells : of :func:`alliance.ruptures.sources.report_cells`.
    """
    if cells.empty:
        return pd.DataFrame(columns=list(CELL_COLUMNS))
    return _counted(cells, "cell", list(CELLS), smallest_cell)[list(CELL_COLUMNS)]


def _counted(
    rows: pd.DataFrame, column: str, values: list[str], smallest_cell: int
) -> pd.DataFrame:
    """Sessions and clients per value; where few clients have one, a second is hidden too."""
    sessions = [int((rows[column] == value).sum()) for value in values]
    people = [rows.loc[rows[column] == value, "client"].nunique() for value in values]
    hidden = suppressed_cells(people, smallest_cell)
    why = f"a number of fewer than {smallest_cell} clients, or one that would tell it"
    return pd.DataFrame(
        {
            column: values,
            "n_sessions": [np.nan if i in hidden else n for i, n in enumerate(sessions)],
            "pct_sessions": [
                np.nan if i in hidden else 100 * n / max(len(rows), 1)
                for i, n in enumerate(sessions)
            ],
            "n_clients": [np.nan if i in hidden else n for i, n in enumerate(people)],
            "hidden": [why if i in hidden else "" for i in range(len(values))],
        }
    )


def fallen_components(
    total: RuptureResult, components: Mapping[str, RuptureResult]
) -> pd.DataFrame:
    """Which components lie in a rupture of their own where the total or one of them starts one.

    Drops of single components are named for what fell; they are no types of rupture such as
    withdrawal or confrontation, which scores cannot tell (methods specification 2.1).

    Parameters
    ----------
    total, components : one rule on the total and on each component; ``bond``, ``task``, ``goal``.

    Returns
    -------
    DataFrame
        ``client, session, components``: one of ``COMPONENT_WORDS``.
    """
    keys = ["client", "session"]
    grid = total.sessions[keys].assign(starts=total.sessions["flag"].to_numpy(dtype=bool))
    for name, result in components.items():
        own = result.sessions[keys].assign(
            **{
                name: (result.sessions["state"] == "ruptured").to_numpy(),
                "also": result.sessions["flag"].to_numpy(dtype=bool),
            }
        )
        grid = grid.merge(own, on=keys, how="outer")
        starts = [grid[part].astype("boolean").fillna(False) for part in ("starts", "also")]
        grid["starts"] = starts[0] | starts[1]
        grid = grid.drop(columns="also")
    grid = grid[grid["starts"].astype(bool)].sort_values(keys)
    low = grid[list(components)].astype("boolean").fillna(False).astype(bool)
    bond = low["bond"].to_numpy()
    rest = low.drop(columns="bond").any(axis=1).to_numpy()
    chosen = np.select(
        [bond & rest, bond, rest], ["bond_and_task_goal", "bond_only", "task_goal_only"],
        default="total_only",
    )  # fmt: skip
    return grid[keys].assign(components=chosen).reset_index(drop=True)


def component_table(
    fallen: pd.DataFrame, analysis: str, rule: str, smallest_cell: int = 1
) -> pd.DataFrame:
    """Onsets by the components that lie in a rupture: sessions, clients."""
    if fallen.empty:
        return pd.DataFrame(columns=list(COMPONENT_COLUMNS))
    table = _counted(fallen, "components", list(COMPONENT_WORDS), smallest_cell)
    table = table.assign(
        analysis=analysis, rule=rule, label=table["components"].map(COMPONENT_WORDS)
    )
    return table[list(COMPONENT_COLUMNS)]
