"""What every section of a study file is, and the types its keys share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NAME_PATTERN = r"^[a-z][a-z0-9_]*$"
Identifier = Annotated[str, Field(pattern=NAME_PATTERN)]
Number = int | float


class Section(BaseModel):
    """A section of a study file; unknown keys are refused so that typing errors are seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)
