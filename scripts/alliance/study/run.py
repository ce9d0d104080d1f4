"""``config/config.yaml``: which studies to run, and how much sampling effort to spend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from alliance.problems import StudyError
from alliance.study.section import Identifier, Section
from alliance.study.wrong_keys import problem_from


class RunConfig(Section):
    """The keys of ``config/config.yaml``."""

    studies: list[Identifier] = Field(
        min_length=1, description="Studies to run: files of config/studies/, without their ending."
    )
    effort: Literal["draft", "standard", "final"] = Field(
        "standard",
        description="Sampling effort of the Bayesian models. draft: 2 x 500 draws, for a first "
        "look. standard: 4 x 1,000. final: 4 x 5,000, for publication.",
    )
    figure_formats: list[Literal["png", "svg", "pdf"]] = Field(
        ["png", "svg", "pdf"], description="Formats in which every figure is saved; png always is."
    )
    validation: Literal["quick", "full"] = Field(
        "full",
        description="For `snakemake validate`. full: thousands of simulated studies, some "
        "hours on two cores. quick: twenty of each, to see that it works.",
    )


def read_run_config(content: Mapping[str, Any], name: str) -> RunConfig:
    """The checked keys of ``content``, the configuration as Snakemake merged it.

    Raises
    ------
    StudyError
        With every problem at once.
    """
    try:
        return RunConfig.model_validate(dict(content))
    except ValidationError as error:
        problems = [problem_from(e, name, {}, RunConfig) for e in error.errors()]
        raise StudyError(problems, name) from None
