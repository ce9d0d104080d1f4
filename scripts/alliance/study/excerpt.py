"""The part of a study file that one stage depends on, and nothing else.

A rule passes only these sections to its script, as text. Snakemake then reruns the rule when one
of them changes, and a script cannot read a key that its rule did not declare.
"""

from __future__ import annotations

import ast
from typing import Any

from pydantic import TypeAdapter

from alliance.study.model import Study


def write_excerpt(study: Study, *sections: str, labels: bool = True) -> str:
    """Sections of a study as Python literals; without ``labels`` names for display are left out.

    Literals, not JSON, because the keys of ``labels`` may be numbers.

    Raises
    ------
    ValueError
        For a section that a study file does not have.
    """
    unknown = set(sections) - set(Study.model_fields)
    if unknown:
        raise ValueError(f"no such section of a study file: {', '.join(sorted(unknown))}")
    content = study.model_dump(mode="python", include=set(sections))
    if not labels:
        _replace_labels(content)
    return repr(content)


def read_excerpt(text: str) -> Study:
    """The sections written by :func:`write_excerpt`; any other raises ``AttributeError``."""
    content = ast.literal_eval(text)
    sections = {
        name: TypeAdapter(Study.model_fields[name].annotation).validate_python(value)
        for name, value in content.items()
    }
    study = Study.model_construct(**sections)
    for name in set(Study.model_fields) - set(sections):
        study.__dict__.pop(name, None)
    return study


def _replace_labels(content: dict[str, Any]) -> None:
    """Put each measure's own id in the place of its name for display."""
    for section in ("measures", "models"):
        for name, entry in content.get(section, {}).items():
            entry["label"] = name
    for name, entry in content.get("covariates", {}).items():
        entry["label"] = name
