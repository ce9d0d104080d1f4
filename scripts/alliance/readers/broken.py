"""What a file really is, told by its first bytes, when its reader cannot make sense of it."""

from __future__ import annotations

from pathlib import Path

from alliance.problems import Problem

# First bytes, the kind in words, and the formats that may begin so.
SIGNATURES: tuple[tuple[bytes, str, tuple[str, ...]], ...] = (
    (b"PAR1", "a Parquet file", ("parquet",)),
    (b"$FL2", "an SPSS file (.sav)", ("sav",)),
    (b"$FL3", "a compressed SPSS file (.zsav)", ("sav",)),
    (b"<stata_dta>", "a Stata file (.dta)", ("dta",)),
    (b"PK\x03\x04", "an Excel workbook (.xlsx) or another zip file", ("xlsx",)),
    (b"\x1f\x8b", "a compressed file (of R, or gzip)", ("rds", "rdata")),
    (b"BZh", "a compressed file (of R, or bzip2)", ("rds", "rdata")),
    (b"\xfd7zXZ", "a compressed file (of R, or xz)", ("rds", "rdata")),
    (b"RDX", "an R workspace (.RData)", ("rdata",)),
    (b"RDA", "an R workspace (.RData)", ("rdata",)),
    (b"%PDF", "a PDF document", ()),
    (b"SQLite format 3", "a database", ()),
    (b"{\\rtf", "a word-processor document", ()),
)
MARKS_OF_TEXT = (b"<stata_dta>", b"%PDF", b"{\\rtf")
OLE = b"\xd0\xcf\x11\xe0"
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
PROTECTED = "a password-protected workbook"
TEXT = ("a text file", ("csv",))
EMPTY = "an empty file"
SNIFFED_BYTES = 512


def kind_of(path: Path) -> tuple[str, tuple[str, ...]]:
    """The kind of file in words and its formats; nothing when the first bytes tell nothing."""
    with path.open("rb") as file:
        start = file.read(SNIFFED_BYTES)
    if not start:
        return EMPTY, ()
    if start.startswith(OLE):
        protected = ENCRYPTED in path.read_bytes()
        return PROTECTED if protected else "an old Excel workbook (.xls)", ()
    is_text = _is_text(start)  # a csv file may begin with a column called PAR1
    known = (
        (words, formats)
        for mark, words, formats in SIGNATURES
        if start.startswith(mark) and (mark in MARKS_OF_TEXT or not is_text)
    )
    return next(known, TEXT if is_text else ("", ()))


def _is_text(start: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\r\n" for byte in start)


def unreadable(file: str, path: Path, format_name: str, expected: str) -> Problem:
    """The problem of a file that is not what its name says, or is damaged or protected.

    Parameters
    ----------
    file : name as written in the study file.
    path : where it is.
    format_name : format that it should have.
    expected : what its reader reads, in words.
    """
    kind, formats = kind_of(path)
    if kind == EMPTY:
        return Problem("EMPTY_FILE", "error", file, "", kind, expected, "Export the data again.")
    if kind == PROTECTED:
        return Problem(
            "PASSWORD_PROTECTED", "error", file, "", kind, f"{expected} without password",
            "Open it, remove the password (File, Info, Protect Workbook) and save a copy.",
        )  # fmt: skip
    if kind and format_name not in formats:
        return Problem(
            "WRONG_FORMAT", "error", file, "", kind, expected,
            "The ending of the name does not fit the content: rename the file, declare "
            "`format`, or export it again.",
        )  # fmt: skip
    return Problem(
        "UNREADABLE_FILE", "error", file, "", "a damaged or incomplete file", expected,
        "Open it in the program it comes from and save it again.",
    )  # fmt: skip
