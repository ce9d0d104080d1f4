"""The page of `snakemake verify`: is this run the published one?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from alliance.published_run import headline, is_verified
from alliance.report.page import render_page
from alliance.tables import ApaTable, Column, Row, table_html
from alliance.tables.format import count, number

_PARTS = {"estimates": "Estimates", "figure": "Figure", "table": "Table"}
MOST_SHOWN = 200


@dataclass(frozen=True)
class VerifiedStudy:
    """One study: the comparison of every number, its summary, and ``run.yaml`` as published."""

    name: str
    comparison: pd.DataFrame
    parts: pd.DataFrame
    run: Mapping[str, Any]


def build_verification(
    studies: Sequence[VerifiedStudy], without: Sequence[str], software: Mapping[str, str]
) -> str:
    """The whole page as text.

    Parameters
    ----------
    without : studies of this run that have no reference values. software : versions of this run.
    """
    tables = [_study_tables(s, 2 * at) for at, s in enumerate(studies)]
    return render_page(
        "verify.html",
        verdict=_verdict(studies),
        studies=[
            {"name": s.name, "headline": headline(s.name, s.comparison), "tables": t}
            for s, t in zip(studies, tables, strict=True)
        ],
        without=list(without),
        versions=list(_versions(studies, software)),
    )


def _verdict(studies: Sequence[VerifiedStudy]) -> str:
    if not studies:
        return "Nothing was published, so nothing can be verified."
    if all(is_verified(s.comparison) for s in studies):
        return "Reproduced: every published number is obtained within its tolerance."
    return "Not reproduced: some published numbers differ or are missing."


def _study_tables(study: VerifiedStudy, before: int) -> list[tuple[str, Markup]]:
    """(title, table) of the parts of a study and of what is not reproduced."""
    tables = [_parts_table(study), _differences_table(study)]
    return [
        (table.title, Markup(table_html(table, f"Table {before + at}")))
        for at, table in enumerate(tables, 1)
        if table.rows
    ]


def _parts_table(study: VerifiedStudy) -> ApaTable:
    rows = [
        Row((
            f"{_PARTS[r.part]} {r.name}" if r.part != r.name else _PARTS[r.part],
            _part_verdict(r),
            count(r.n_reproduced), count(r.n_differs), count(r.n_missing), count(r.n_new),
            number(r.largest),
        ))
        for r in study.parts.itertuples()
    ]  # fmt: skip
    headings = (
        "Part", "Verdict", "reproduced", "differ", "missing", "new", "Largest difference",
    )  # fmt: skip
    spans = ("", "", *["Numbers and words"] * 4, "")
    notes = (
        "Largest difference: in units of the tolerance of the number, so 1 is just allowed. "
        "Tolerances: counts and words exactly; likelihood estimates a thousandth of the standard "
        "error; summaries of posterior draws four Monte Carlo errors.",
    )
    return ApaTable(
        f"parts-{study.name}", f"{study.name}: Figure by Figure and Table by Table",
        tuple(Column(h, s) for h, s in zip(headings, spans, strict=True)), tuple(rows), notes,
    )  # fmt: skip


def _part_verdict(r: Any) -> str:
    if r.n_differs or r.n_missing:
        return "not reproduced"
    return "reproduced" if r.n_reproduced else "new"


def _differences_table(study: VerifiedStudy) -> ApaTable:
    wrong = study.comparison[study.comparison["verdict"] != "reproduced"]
    rows = [_difference(r) for r in wrong.head(MOST_SHOWN).itertuples()]
    headings = ("Where", "Verdict", "Published", "This run", "Difference / tolerance")
    notes = ["New: not among the published numbers; it does not count against this run."]
    if len(wrong) > MOST_SHOWN:
        notes.append(f"The first {MOST_SHOWN} of {len(wrong):,}; the others stand in the file.")
    return ApaTable(
        f"differences-{study.name}", f"{study.name}: What Differs, Is Missing or New",
        tuple(Column(h) for h in headings), tuple(rows), tuple(notes),
    )  # fmt: skip


def _difference(r: Any) -> Row:
    where = ", ".join(t for t in (f"{r.part} {r.name}", r.row, r.column) if isinstance(t, str))
    ratio = abs(r.difference) / r.tolerance if r.tolerance > 0 else np.nan
    return Row((
        where, str(r.verdict), _shown(r.published), _shown(r.obtained), number(ratio, 1),
    ))  # fmt: skip


def _shown(value: object) -> str:
    return value if isinstance(value, str) else "–"


def _versions(
    studies: Sequence[VerifiedStudy], software: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Each software with the version of this run and, where it differs, that of the published."""
    for name, now in software.items():
        then = {str(s.run.get("versions", {}).get(name, "unknown")) for s in studies} - {now}
        yield name, f"{now} (published: {', '.join(sorted(then))})" if then else now
