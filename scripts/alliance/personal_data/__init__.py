"""What personal data looks like: the signs by which reading, validation and drafting refuse it."""

from alliance.personal_data.signs import (
    CONTENT_SIGNS,
    REFUSED_AS_KEYED_ID,
    identifying_kind,
    looks_like_date,
    looks_like_free_text,
    looks_like_person,
    looks_like_surname,
    name_looks_like,
)

__all__ = [
    "CONTENT_SIGNS",
    "REFUSED_AS_KEYED_ID",
    "identifying_kind",
    "looks_like_date",
    "looks_like_free_text",
    "looks_like_person",
    "looks_like_surname",
    "name_looks_like",
]
