"""How long each step took: a page beside the report, because times differ from run to run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from markupsafe import Markup

from alliance.report.page import render_page
from alliance.tables import ApaTable, Column, Row, table_html
from alliance.tables.format import number

# Column of Snakemake's benchmark files -> ours: seconds by the clock, of the processor, MiB.
MEASURED = {"s": "seconds", "cpu_time": "processor_seconds", "max_rss": "peak_memory_mib"}
COLUMNS = ("step", *MEASURED.values())


def run_times(benchmarks: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per step, the longest first.

    Parameters
    ----------
    benchmarks : name of a step -> its benchmark file as Snakemake writes it (the last row counts;
        ``NA`` or ``-`` where a step was too short to be measured).

    Returns
    -------
    DataFrame of ``COLUMNS``: seconds by the clock and of the processor, peak memory in MiB.
    """
    rows = [
        {"step": step} | {new: _value(table, old) for old, new in MEASURED.items()}
        for step, table in benchmarks.items()
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values(["seconds", "step"], ascending=[False, True], ignore_index=True)


def _value(table: pd.DataFrame, column: str) -> float:
    if column not in table or table.empty:
        return np.nan
    return float(pd.to_numeric(table[column], errors="coerce").iloc[-1])


def build_run_times(times: pd.DataFrame, title: str) -> str:
    """The whole page as text.

    Parameters
    ----------
    times : from :func:`run_times`. title : title of the study; it is escaped.
    """
    return render_page(
        "run_times.html",
        title=title,
        sentence=sentence(times),
        table=Markup(table_html(_table(times), "Table 1")),
    )


def sentence(times: pd.DataFrame) -> str:
    """The sum, the longest step and the highest peak in one sentence."""
    measured = times.dropna(subset=["seconds"])
    if measured.empty:
        return "No step was measured."
    longest = measured.iloc[0]
    words = (
        f"{len(measured)} steps took {number(measured['seconds'].sum(), 0)} s one after the other; "
        f"the longest, {longest['step']}, took {number(longest['seconds'], 0)} s"
    )
    peak = measured["peak_memory_mib"].max()
    return words + (f". No step used more than {number(peak, 0)} MiB." if peak > 0 else ".")


def _table(times: pd.DataFrame) -> ApaTable:
    rows = [
        Row((r.step, number(r.seconds, 1), number(r.processor_seconds, 1),
             number(r.peak_memory_mib, 0)))
        for r in times.itertuples()
    ]  # fmt: skip
    columns = (
        Column("Step"), Column("Clock (s)"), Column("Processor (s)"), Column("Peak memory (MiB)"),
    )  # fmt: skip
    notes = (
        "Times depend on the machine and on what else it does; steps run side by side where they "
        "can. Each step stands with its last run. – : too short to be measured.",
    )
    return ApaTable("run-times", "Time and Memory of Each Step", columns, tuple(rows), notes)
