"""A text before it has a format: sections of paragraphs, with citations as ``[@key]``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from alliance.text.references import Reference, cited_keys


@dataclass(frozen=True)
class Passage:
    """A heading and its paragraphs; ``*words*`` are set in italics, ``bullets`` as a list."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    bullets: tuple[str, ...] = ()
    level: int = 2


@dataclass(frozen=True)
class TextDocument:
    """A whole text. ``references``: those that it cites, in the order of the list."""

    title: str
    passages: tuple[Passage, ...]
    references: tuple[Reference, ...] = ()


def passage(
    heading: str, paragraphs: Iterable[str], bullets: Iterable[str] = (), level: int = 2
) -> Passage | None:
    """A passage of what is not empty; None when nothing is left to say."""
    said = tuple(text for text in paragraphs if text)
    points = tuple(text for text in bullets if text)
    return Passage(heading, said, points, level) if said or points else None


def with_references(
    title: str, passages: Iterable[Passage | None], known: Mapping[str, Reference]
) -> TextDocument:
    """The document with the references that it cites, by author and year.

    Raises
    ------
    ValueError
        For a citation that ``known`` does not hold.
    """
    kept = tuple(part for part in passages if part is not None)
    keys = cited_keys(text for part in kept for text in (*part.paragraphs, *part.bullets))
    absent = [key for key in keys if key not in known]
    if absent:
        raise ValueError(f"cited but not among the references: {', '.join(absent)}")
    return TextDocument(title, kept, tuple(sorted((known[k] for k in keys), key=lambda r: r.text)))
