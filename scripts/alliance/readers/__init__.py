"""Read the files of a study, whatever program wrote them, and put them together."""

from alliance.readers.assemble import JOIN_REPORT_COLUMNS, assemble, find_columns
from alliance.readers.raw import RawStudy, RawTable
from alliance.readers.read import read_table, read_tables
from alliance.readers.resolve import download, format_of, resolve_path

__all__ = [
    "JOIN_REPORT_COLUMNS",
    "RawStudy",
    "RawTable",
    "assemble",
    "download",
    "find_columns",
    "format_of",
    "read_table",
    "read_tables",
    "resolve_path",
]
