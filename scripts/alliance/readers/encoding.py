"""From the bytes of a text file to its text: encodings, byte-order marks, end-of-file marks."""

from __future__ import annotations

import codecs

import charset_normalizer

BYTE_ORDER_MARKS: tuple[tuple[bytes, str, str], ...] = (
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with byte-order mark"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
# Tried only where many letters are foreign: from a few accents the code page cannot be told, and
# Western Windows files (cp1252) are by far the most frequent.
CODE_PAGES = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "shift_jis",
              "gb18030", "big5", "euc_kr")  # fmt: skip
SAMPLE_BYTES = 200_000
FEWEST_FOREIGN = 0.4
DOS_END_OF_FILE = b"\x1a"


def decode(content: bytes, encoding: str | None) -> tuple[str, list[str]]:
    """The text of a file, and how it was decoded.

    Parameters
    ----------
    content : the bytes of the file.
    encoding : the declared encoding; ``None`` works it out.

    Raises
    ------
    UnicodeError, LookupError
        When the declared encoding does not fit, or does not exist.
    """
    content, notes = _without_end_of_file_mark(content)
    if encoding is not None:
        return content.decode(_with_mark(content, encoding)), [*notes, f"encoding {encoding}"]
    codec, words = _work_out(content)
    return content.decode(codec), [*notes, f"encoding {words}"]


def _without_end_of_file_mark(content: bytes) -> tuple[bytes, list[str]]:
    stripped = content.rstrip(DOS_END_OF_FILE)
    if len(stripped) == len(content):
        return content, []
    return stripped, ["end-of-file mark of old DOS programs (byte 1A) left out"]


def _with_mark(content: bytes, encoding: str) -> str:
    is_utf8 = encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    return "utf-8-sig" if is_utf8 and content.startswith(codecs.BOM_UTF8) else encoding


def _work_out(content: bytes) -> tuple[str, str]:
    """Codec, and its name for the user."""
    for mark, codec, words in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return codec, words
    unmarked = _utf16_without_mark(content)
    if unmarked:
        return unmarked, f"{unmarked.upper()} without byte-order mark"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        codec = _code_page(content)
        return codec, f"{codec} (worked out: check accents; `encoding` declares another)"
    return "utf-8", "ASCII" if content.isascii() else "UTF-8"


def _utf16_without_mark(content: bytes) -> str | None:
    """In Western UTF-16 every second byte is zero."""
    sample = content[:2000]
    if len(sample) < 4 or 0 not in sample:
        return None
    zeros_even, zeros_odd = sample[::2].count(0), sample[1::2].count(0)
    if zeros_odd > 0.8 * len(sample[1::2]) and zeros_even == 0:
        return "utf-16-le"
    return "utf-16-be" if zeros_even > 0.8 * len(sample[::2]) and zeros_odd == 0 else None


def _code_page(content: bytes) -> str:
    """Western unless the text is mostly in another alphabet, where there is enough to go by."""
    sample = content[:SAMPLE_BYTES]
    foreign = sum(byte > 127 for byte in sample)
    letters = foreign + sum(chr(byte).isalpha() for byte in sample if byte < 128)
    if foreign < FEWEST_FOREIGN * letters:
        return _first_that_decodes(content)
    best = charset_normalizer.from_bytes(sample, cp_isolation=list(CODE_PAGES)).best()
    if best is not None and _decodes(content, best.encoding):
        return best.encoding
    return _first_that_decodes(content)


def _decodes(content: bytes, codec: str) -> bool:
    try:
        content.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _first_that_decodes(content: bytes) -> str:
    return "cp1252" if _decodes(content, "cp1252") else "latin-1"
