"""Where the data files of a study are: the user's own, or the downloaded copy of open data."""

from __future__ import annotations

from pathlib import Path

from alliance.study.data import Download, Table
from alliance.study.model import Study

EXTERNAL_FOLDER = "data/external"


def downloaded_name(source: Download) -> str:
    """Name of the downloaded copy; the checksum in it tells versions apart."""
    return f"{source.sha256[:12]}-{source.url.rstrip('/').rsplit('/', 1)[-1]}"


def resolve_path(table: Table, root: Path) -> Path | None:
    """The file of ``table``: the user's own, else its downloaded copy, else ``None``.

    Parameters
    ----------
    table : section of the study file.
    root : folder of the project, which relative paths start from.
    """
    own = Path(root) / table.path
    if own.is_file():
        return own
    if table.download is None:
        return None
    copy = Path(root) / EXTERNAL_FOLDER / downloaded_name(table.download)
    return copy if copy.is_file() else None


def data_files(study: Study, root: Path) -> dict[str, Path | None]:
    """Table -> its file, or None where open data have not been downloaded yet."""
    return {name: resolve_path(table, root) for name, table in study.data.tables.items()}
