"""The study's tables put together under the names of the data contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alliance.readers.raw import RawStudy, RawTable
from alliance.study import Study

JOIN_REPORT_COLUMNS: tuple[str, ...] = ()


def assemble(
    study: Study, instruments: Mapping[str, Any], tables: Mapping[str, RawTable]
) -> RawStudy:
    """Put the tables together (not written yet)."""
    raise NotImplementedError
