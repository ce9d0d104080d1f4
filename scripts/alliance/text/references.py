"""References: from one line in APA style to citations, BibTeX and CSL-JSON."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from alliance.instruments import Instrument

_FILE = Path(__file__).parent / "references.yaml"
_PARTS = re.compile(r"^(?P<authors>.+?) \((?P<year>[^()]+)\)\. (?P<rest>.+)$", re.DOTALL)
_TITLE = re.compile(r"^(?P<title>.+?[.?!])(?: (?P<place>.+))?$", re.DOTALL)
_JOURNAL = re.compile(
    r"^(?P<container>.+?), (?:(?P<volume>\d+)(?:\((?P<issue>[^)]+)\))?, )?(?P<pages>e?\d[\w-]*)\.?$"
)
_DOI = re.compile(r"\s*https://doi\.org/(?P<doi>\S+)$")
_AUTHOR = re.compile(r"(?P<family>[^,]+), (?P<given>(?:[^,\s]+\.?-?\s?)+?)(?:, (?:& )?| & |,? ?$)")
_CITATION = re.compile(r"\[(@[\w-]+(?:; @[\w-]+)*)\]")


@dataclass(frozen=True)
class Reference:
    """One reference; ``text`` is the line in APA style, the rest is read from it.

    Attributes
    ----------
    authors : (family, given) pairs. place : journal with volume and pages, or publisher.
    """

    key: str
    text: str
    authors: tuple[tuple[str, str], ...]
    year: str
    title: str
    place: str = ""
    container: str = ""
    volume: str = ""
    issue: str = ""
    pages: str = ""
    doi: str = ""


def methods_references() -> dict[str, Reference]:
    """The references of ``references.yaml``, by key."""
    lines = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return {key: read_reference(key, text) for key, text in lines.items()}


def instrument_references(instruments: Mapping[str, Instrument]) -> dict[str, list[str]]:
    """Instrument id -> keys under which :func:`instrument_reference_table` lists its references."""
    return {
        name: [_key_of(text) for text in instrument.references[:1]]
        for name, instrument in instruments.items()
    }


def instrument_reference_table(instruments: Mapping[str, Instrument]) -> dict[str, Reference]:
    """The first reference of every instrument, by key."""
    first = [text for i in instruments.values() for text in i.references[:1]]
    return {_key_of(text): read_reference(_key_of(text), text) for text in first}


def read_reference(key: str, text: str) -> Reference:
    """Take a line in APA style apart; a line in another style is cited by its first words."""
    text = " ".join(text.split())
    parts = _PARTS.match(text)
    if parts is None:
        return Reference(key, text, ((text.split(",")[0][:60], ""),), "n.d.", text)
    found = _DOI.search(parts["rest"])
    doi = found["doi"] if found else ""
    title = _TITLE.match(_DOI.sub("", parts["rest"]))
    place = (title["place"] or "").strip()
    journal = _JOURNAL.match(place)
    more = {k: v or "" for k, v in journal.groupdict().items()} if journal else {}
    return Reference(
        key, text, _authors(parts["authors"]), parts["year"], title["title"].rstrip("."),
        place.rstrip("."), doi=doi, **more,
    )  # fmt: skip


def citation(reference: Reference) -> str:
    """``Hatcher & Gillaspy, 2006``; from three authors on, the first and *et al.*"""
    families = [family for family, _ in reference.authors]
    if len(families) == 1:
        who = families[0]
    elif len(families) == 2:
        who = " & ".join(families)
    else:
        who = f"{families[0]} et al."
    return f"{who}, {reference.year}"


def cited_keys(texts: Iterable[str]) -> list[str]:
    """Keys of ``[@key; @other]`` in the texts, once each, in alphabetical order."""
    groups = (found[1] for text in texts for found in _CITATION.finditer(text))
    return sorted({key.removeprefix("@") for group in groups for key in group.split("; ")})


def with_citations(text: str, references: Mapping[str, Reference]) -> str:
    """``[@key]`` written out as ``(Author, year)``."""

    def written(found: re.Match[str]) -> str:
        keys = [key.removeprefix("@") for key in found[1].split("; ")]
        return f"({'; '.join(citation(references[key]) for key in keys)})"

    return _CITATION.sub(written, text)


def bibtex(references: Iterable[Reference]) -> str:
    """The references as a .bib file."""
    return "\n".join(_entry(reference) for reference in references)


def csl_json(references: Iterable[Reference]) -> str:
    """The references as CSL-JSON, which Zotero, pandoc and Word add-ins read."""
    items = [_csl_item(reference) for reference in references]
    return json.dumps(items, ensure_ascii=False, indent=2) + "\n"


def _authors(text: str) -> tuple[tuple[str, str], ...]:
    found = tuple((m["family"].strip(), m["given"].strip()) for m in _AUTHOR.finditer(text))
    return found or ((text, ""),)


def _key_of(text: str) -> str:
    """``hatcher2006development``: first author, year, first long word of the title."""
    reference = read_reference("", text)
    word = next((w for w in reference.title.split() if len(_plain(w)) > 3), "")
    year = reference.year if reference.year.isdigit() else "nd"
    return f"{_plain(reference.authors[0][0])}{year}{_plain(word)}"


def _plain(text: str) -> str:
    """Small letters without accents."""
    bare = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z]", "", bare.lower())


def _fields(reference: Reference) -> dict[str, str]:
    return {
        "author": " and ".join(", ".join(filter(None, pair)) for pair in reference.authors),
        "year": reference.year,
        "title": f"{{{reference.title}}}",
        "journal": reference.container,
        "volume": reference.volume,
        "number": reference.issue,
        "pages": reference.pages.replace("-", "--"),
        "howpublished": "" if reference.container else reference.place,
        "doi": reference.doi,
    }


def _entry(reference: Reference) -> str:
    kind = "article" if reference.container else "misc"
    lines = [f"  {name} = {{{value}}}," for name, value in _fields(reference).items() if value]
    return "\n".join([f"@{kind}{{{reference.key},", *lines, "}"]) + "\n"


def _issued(year: str) -> dict[str, object]:
    return {"date-parts": [[int(year)]]} if year.isdigit() else {"literal": year}


def _csl_item(reference: Reference) -> dict[str, object]:
    authors = [
        {"family": family, "given": given} if given else {"literal": family}
        for family, given in reference.authors
    ]
    item = {
        "id": reference.key,
        "type": "article-journal" if reference.container else "book",
        "author": authors,
        "issued": _issued(reference.year),
        "title": reference.title,
        "container-title": reference.container,
        "publisher": "" if reference.container else reference.place,
        "volume": reference.volume,
        "issue": reference.issue,
        "page": reference.pages,
        "DOI": reference.doi,
    }
    return {name: value for name, value in item.items() if value}
