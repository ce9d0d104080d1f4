"""What a file really is, told by its first bytes, when its reader cannot make sense of it."""

from __future__ import annotations

from pathlib import Path

from alliance.problems import Problem

SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "a Parquet file"),
    (b"$FL2", "an SPSS file (.sav)"),
    (b"$FL3", "a compressed SPSS file (.zsav)"),
    (b"<stata_dta>", "a Stata file (.dta)"),
    (b"PK\x03\x04", "an Excel workbook or another zip file"),
    (b"%PDF", "a PDF document"),
    (b"RDX", "an R workspace (.RData)"),
    (b"RDA", "an R workspace (.RData)"),
    (b"SQLite format 3", "a database"),
    (b"{\\rtf", "a word-processor document"),
)
OLE = b"\xd0\xcf\x11\xe0"
GZIP = b"\x1f\x8b"
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
SNIFFED_BYTES = 65_536


def kind_of(path: Path) -> str:
    """The kind of file in words; the empty string when the first bytes tell nothing."""
    with path.open("rb") as file:
        start = file.read(SNIFFED_BYTES)
    if not start:
        return "an empty file"
    if start.startswith(OLE):
        protected = ENCRYPTED in path.read_bytes()
        return "a password-protected workbook" if protected else "an old Excel workbook (.xls)"
    if start.startswith(GZIP):
        return "a compressed file (R or gzip)"
    return next((words for mark, words in SIGNATURES if start.startswith(mark)), "")


def unreadable(file: str, path: Path, expected: str) -> Problem:
    """The problem of a file that is not what its name says, or is damaged or protected.

    Parameters
    ----------
    file : name as written in the study file.
    path : where it is.
    expected : what its reader reads, in words.
    """
    kind = kind_of(path)
    if kind == "an empty file":
        return Problem("EMPTY_FILE", "error", file, "", kind, expected, "Export the data again.")
    if "password" in kind:
        return Problem(
            "PASSWORD_PROTECTED", "error", file, "", kind, f"{expected} without password",
            "Open it, remove the password (File, Info, Protect Workbook) and save a copy.",
        )  # fmt: skip
    if kind and kind.split()[-1].strip("().") not in expected:
        return Problem(
            "WRONG_FORMAT", "error", file, "", kind, expected,
            "The ending of the name does not fit the content: rename the file, declare "
            "`format`, or export it again.",
        )  # fmt: skip
    return Problem(
        "UNREADABLE_FILE", "error", file, "", "a damaged or incomplete file", expected,
        "Open it in the program it comes from and save it again.",
    )  # fmt: skip
