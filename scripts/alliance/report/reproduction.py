"""The page of `snakemake reproduce`: how many of how many published numbers we obtain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from alliance.provenance import file_hash
from alliance.report.inputs import ReportFigure
from alliance.report.page import css_width, data_uri, render_page
from alliance.tables import table_html
from alliance.tables.format import counted
from alliance.tables.reproduction import reproduction_tables
from alliance.verification import ABSENT, EXPLAINED, FAILURES, OpenData, Tally, tally


@dataclass(frozen=True)
class DataFile:
    """A data set as the page names it; ``found`` says which file was read, ``sha256`` its sum."""

    title: str
    origin: str
    licence: str
    found: str
    sha256: str = ""


@dataclass(frozen=True)
class ReproductionInputs:
    """What the page shows.

    Attributes
    ----------
    comparison : table of :func:`alliance.verification.compare`. figure : its picture and words.
    files : the data sets. versions : software -> version.
    """

    comparison: pd.DataFrame
    figure: ReportFigure
    files: tuple[DataFile, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


def data_file(data: OpenData, path: Path | None) -> DataFile:
    """How the page names a data set; ``path`` is the file read, None where it is absent."""
    if path is None:
        found, checksum = "The data are not here.", ""
    else:
        checksum = file_hash(path)
        original = data.download is not None and checksum == data.download.sha256
        kind = "The original file" if original else "A copy, not the original file"
        found = f"{kind} was read, SHA-256"
    return DataFile(data.title, data.origin, data.licence, found, checksum)


def headline(counts: Tally) -> str:
    """The finding in one sentence: ``95 of 97 numbers are reproduced ...``."""
    numbers = counted(counts.expected, "number")
    verb = "is" if counts.reproduced == 1 else "are"
    return f"{counts.reproduced} of {numbers} {verb} reproduced to the digits printed."


def by_status(counts: Tally) -> str:
    """How many of the numbers stand in a publication, and how many come from other software."""
    others = counts.expected - counts.published
    reproduced = counts.reproduced - counts.published_reproduced
    return (
        f"Printed in a publication: {counts.published_reproduced} of {counts.published}. Computed "
        f"with R from the same data: {reproduced} of {others}."
    )


def rest_of(counts: Tally) -> list[str]:
    """What became of the other numbers, a sentence for each kind there is."""
    parts = [
        (counts.failed, "{} should be reproduced and {are} not."),
        (counts.explained, "{} {differ} for a known reason, given below."),
        (
            counts.absent,
            "{} could not be looked at, because the data are not here; "
            "snakemake download_published fetches them.",
        ),
        (
            counts.another_model,
            "{} of a fuller published model {stand} beside ours for orientation; {they are} not "
            "expected to match and not counted.",
        ),
    ]
    return [_sentence(count, words) for count, words in parts if count]


def _sentence(count: int, words: str) -> str:
    one = count == 1
    verbs = {
        "are": "is" if one else "are",
        "differ": "differs" if one else "differ",
        "stand": "stands" if one else "stand",
        "they are": "it is" if one else "they are",
    }
    return words.format(counted(count, "number"), **verbs)


def build_reproduction(inputs: ReproductionInputs) -> str:
    """The whole page as text. The same inputs give the same bytes."""
    counts = tally(inputs.comparison)
    png = inputs.figure.png or b""
    return render_page(
        "reproduce.html",
        headline=headline(counts),
        sentences=[by_status(counts), *rest_of(counts)],
        notable=_notable(inputs.comparison),
        figure=inputs.figure,
        source=data_uri(png),
        width=css_width(png),
        tables=[
            (table.title, Markup(table_html(table, f"Table {at}")))
            for at, table in enumerate(reproduction_tables(inputs.comparison), start=1)
        ],
        files=inputs.files,
        versions=list(inputs.versions.items()),
    )


def _notable(comparison: pd.DataFrame) -> list[str]:
    """Every number that is not reproduced though it was expected, with its reason."""
    chosen = comparison[comparison["expected"] & comparison["verdict"].isin([EXPLAINED, *FAILURES])]
    found = []
    for row in chosen.itertuples():
        value = f"{row.obtained:.6g} instead of {row.printed}"
        value = value if pd.notna(row.obtained) else f"not obtained, printed {row.printed}"
        reason = f": {row.note}" if row.note else ""
        title = row.model_title.rstrip(".")
        found.append(f"{row.data_title}. {title}. {row.quantity}: {value}{reason}.")
    return found + _absences(comparison)


def _absences(comparison: pd.DataFrame) -> list[str]:
    absent = comparison[comparison["verdict"] == ABSENT]
    return [
        f"{title}: the data are not here ({counted(len(own), 'number')})."
        for title, own in absent.groupby("data_title", sort=False)
    ]
