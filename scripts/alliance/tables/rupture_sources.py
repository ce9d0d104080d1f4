"""Tables of ruptures by source: how often, in which cells, which components, which agreement."""

from __future__ import annotations

import pandas as pd

from alliance.tables.apa import ApaTable, Column, Row, section
from alliance.tables.format import ABSENT, count, number, percent, with_interval

CELL_WORDS: dict[str, str] = {
    "none": "Neither", "client_only": "Client only", "therapist_only": "Therapist only",
    "both": "Both",
}  # fmt: skip
KIND_WORDS: dict[str, str] = {
    "report": "Reports after the session", "observer": "Observer codes", "behaviour": "Behaviour",
}  # fmt: skip


def sources_table(sources: pd.DataFrame, cells: pd.DataFrame | None = None) -> ApaTable:
    """How often each source tells of a rupture; the four cells of two reports below."""
    rows: list[Row] = []
    for kind, own in sources.groupby("kind", sort=False):
        rows.append(section(KIND_WORDS.get(str(kind), str(kind))))
        for r in own.itertuples():
            rows.append(
                Row((str(r.label), count(r.n_sessions), count(r.n_marked), percent(r.pct_sessions),
                     count(r.n_clients), count(r.n_clients_marked), percent(r.pct_clients)),
                    indent=True)
            )  # fmt: skip
    if cells is not None and len(cells):
        rows.append(section("Client and therapist on the same session"))
        for r in cells.itertuples():
            rows.append(
                Row((CELL_WORDS.get(str(r.cell), str(r.cell)), ABSENT, count(r.n_sessions),
                     percent(r.pct_sessions), ABSENT, count(r.n_clients), ABSENT), indent=True)
            )  # fmt: skip
    headings = (
        ("Source", ""), ("evaluable", "Sessions"), ("marked", "Sessions"), ("%", "Sessions"),
        ("evaluable", "Clients"), ("marked", "Clients"), ("%", "Clients"),
    )  # fmt: skip
    defined = "; ".join(f"{r.label}: {r.definition}" for r in sources.itertuples())
    notes = [
        f"These are no alliance scores and never inferred from them. {defined}.",
        "Missed sessions and gaps are a proxy of withdrawal that nobody has validated.",
    ]
    if sources["hidden"].fillna("").ne("").any():
        notes.append("Numbers of few clients, and those that would tell them, are left out.")
    return ApaTable(
        "rupture_sources", "Ruptures by Other Sources Than Ratings",
        tuple(Column(*h) for h in headings), tuple(rows), tuple(notes), sources,
    )  # fmt: skip


_QUANTITY_WORDS: dict[str, str] = {
    "intensity": "Intensity of the rupture (1 to 5)",
    "resolution": "How far it was resolved (1 to 5)",
    "withdrawal_impact": "Impact on the alliance (1 to 5)",
    "confrontation_impact": "Impact on the alliance (1 to 5)",
    "contribution": "Contribution of the therapist (1 to 5)",
}
_ALL_CODES = "Observer: the whole session"


def source_details_table(details: pd.DataFrame, labels: dict[str, str]) -> ApaTable | None:
    """Intensity, resolution and impact as rated; None where nothing was rated.

    Parameters
    ----------
    details : ``ruptures.source_tables.DETAIL_COLUMNS``. labels : source -> its name.
    """
    if details.empty:
        return None
    rows: list[Row] = []
    for source, own in details.groupby("source", sort=False):
        rows.append(section(labels.get(str(source), _ALL_CODES)))
        rows += [
            Row((_QUANTITY_WORDS.get(str(r.quantity), str(r.quantity)), count(r.n),
                 count(r.n_clients), number(r.mean), number(r.sd)), indent=True)
            for r in own.itertuples()
        ]  # fmt: skip
    columns = (
        Column("Rating"), Column("Sessions"), Column("Clients"), Column("Mean"), Column("SD"),
    )  # fmt: skip
    notes = (
        "Of reports, only sessions in which the same form reports a rupture. SD over sessions, "
        "within and between clients together. A dash: few clients.",
    )
    return ApaTable(
        "rupture_details", "Intensity, Resolution and Impact of Ruptures as Rated", columns,
        tuple(rows), notes, details,
    )  # fmt: skip


def source_agreement_table(agreement: pd.DataFrame) -> ApaTable | None:
    """Agreement of the first rule of each rating with the other ratings and sources."""
    first = _first_rules(agreement)
    chosen = agreement[
        agreement["mark_a"].isin(first)
        & (agreement["mark_b"].isin(first) | (agreement["kind_b"] != "rule"))
        & agreement["level"].isin(["session", "client"])
    ]
    if chosen.empty:
        return None
    rows: list[Row] = []
    for _, own in chosen.groupby("mark_a", sort=False):
        rows.append(section(str(own["label_a"].iloc[0])))
        for _, pair in own.groupby("mark_b", sort=False):
            by_level = pair.set_index("level")
            cells = [
                _coefficient(by_level.loc[level], part)
                for level in ("session", "client")
                for part in ("jaccard", "kappa")
            ]
            rows.append(Row((str(pair["label_b"].iloc[0]), *cells), indent=True))
    headings = (
        ("Compared with", ""), ("Jaccard", "Sessions [95% CI]"), ("kappa", "Sessions [95% CI]"),
        ("Jaccard", "Clients [95% CI]"), ("kappa", "Clients [95% CI]"),
    )  # fmt: skip
    notes = (
        "Jaccard: marked by both, of those marked by either. Kappa: Cohen's, agreement beyond "
        "chance. Percentile intervals, clients resampled. Sessions: in a rupture by the rule. "
        "A dash: few clients in some cell, or not defined.",
    )
    return ApaTable(
        "rupture_agreement", "Agreement on Ruptures", tuple(Column(*h) for h in headings),
        tuple(rows), notes, chosen,
    )  # fmt: skip


def _first_rules(agreement: pd.DataFrame) -> list[str]:
    """The first rule of each rating."""
    marks = pd.concat(
        [
            agreement[[f"mark_{end}", f"kind_{end}"]].set_axis(["mark", "kind"], axis=1)
            for end in ("a", "b")
        ]
    ).drop_duplicates()
    rules = marks.loc[marks["kind"] == "rule", "mark"]
    return rules.groupby(rules.str.partition("/")[0], sort=False).first().tolist()


def _coefficient(row: pd.Series, part: str) -> str:
    if pd.isna(row[part]):
        return ABSENT
    if pd.isna(row[f"{part}_low"]):
        return number(row[part])
    return with_interval(row[part], row[f"{part}_low"], row[f"{part}_high"], 2, bounded=True)


def fallen_components_table(components: pd.DataFrame, labels: dict[str, str]) -> ApaTable | None:
    """Which components fell where the total or one of them started a rupture.

    Parameters
    ----------
    labels : rupture analysis -> what it searches.
    """
    if components.empty:
        return None
    rows: list[Row] = []
    for analysis, own in components.groupby("analysis", sort=False):
        rows.append(section(labels.get(str(analysis), str(analysis))))
        rows += [
            Row((str(r.label), count(r.n_sessions), percent(r.pct_sessions), count(r.n_clients)),
                indent=True)
            for r in own.itertuples()
        ]  # fmt: skip
    columns = (
        Column("What fell"), Column("Onsets"), Column("% of onsets"), Column("Clients"),
    )  # fmt: skip
    notes = (
        "The first rule of the rating applied to the total and to bond, task and goal by "
        "themselves; onsets of any of them. What fell is no type of rupture: withdrawal and "
        "confrontation cannot be told from scores. A dash: few clients.",
    )
    return ApaTable(
        "rupture_components", "Components of the Alliance in Ruptures", columns, tuple(rows),
        notes, components,
    )  # fmt: skip
