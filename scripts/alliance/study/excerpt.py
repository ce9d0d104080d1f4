"""The part of a study file that one stage depends on, and nothing else.

A rule passes only these sections to its script, as text. Snakemake then reruns the rule when one
of them changes, and a script cannot read a key that its rule did not declare.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter

from alliance.study.model import Study


def write_excerpt(
    study: Study,
    *sections: str,
    labels: bool = True,
    only: Mapping[str, Iterable[str]] | None = None,
) -> str:
    """Sections of a study as Python literals (not JSON: keys of ``labels`` may be numbers).

    Parameters
    ----------
    sections : names of top-level keys of a study file.
    labels : False leaves names for display out, so that renaming a scale reruns no computation.
    only : section -> the entries of it to keep, e.g. ``{"models": ["main"]}``.

    Raises
    ------
    ValueError
        For a section that a study file does not have.
    """
    unknown = set(sections) - set(Study.model_fields)
    if unknown:
        raise ValueError(f"no such section of a study file: {', '.join(sorted(unknown))}")
    content = study.model_dump(mode="python", include=set(sections))
    for section, entries in (only or {}).items():
        content[section] = {name: content[section][name] for name in entries}
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


def parts_of_model(study: Study, model: str) -> dict[str, list[str]]:
    """The entries that one model depends on, for ``only`` of :func:`write_excerpt`."""
    spec = study.models[model]
    terms = {part for term in spec.covariates for part in term.split(":")}
    terms |= {spec.residuals.variance_by or ""}
    return {
        "models": [model],
        "measures": [name for name in study.measures if name in (spec.outcome, spec.predictor)],
        "covariates": [name for name in study.covariates if name in terms],
    }


def parts_of_variants(study: Study, model: str) -> dict[str, list[str]]:
    """The entries that the variants of one model depend on: moderators, the model compared with."""
    spec = study.models[model]
    parts = parts_of_model(study, model)
    named = {*parts["covariates"], *spec.moderators}
    wanted = set(parts["measures"])
    if spec.compare_with:
        parts["models"].append(spec.compare_with)
        wanted |= set(parts_of_model(study, spec.compare_with)["measures"])
    return parts | {
        "measures": [name for name in study.measures if name in wanted],
        "covariates": [name for name in study.covariates if name in named],
    }


def parts_of_association(study: Study, association: str) -> dict[str, list[str]]:
    """The entries that one association depends on, for ``only`` of :func:`write_excerpt`."""
    spec = study.associations[association]
    named = {spec.baseline, *spec.covariates}
    return {
        "associations": [association],
        "measures": [name for name in study.measures if name in (spec.outcome, spec.predictor)],
        "covariates": [name for name in study.covariates if name in named],
    }


def parts_of_dynamics(study: Study, dynamics: str) -> dict[str, list[str]]:
    """The entries that one dynamic model depends on, for ``only`` of :func:`write_excerpt`."""
    spec = study.dynamics[dynamics]
    return {
        "dynamics": [dynamics],
        "measures": [name for name in study.measures if name in spec.series.values()],
    }


def parts_of_gains(study: Study, gains: str) -> dict[str, list[str]]:
    """The entries that one search for sudden gains depends on."""
    return {"sudden_gains": [gains], "measures": [study.sudden_gains[gains].measure]}


def parts_of_rupture(study: Study, rupture: str) -> dict[str, list[str]]:
    """The entries that one rupture analysis depends on, for ``only`` of :func:`write_excerpt`."""
    spec = study.ruptures[rupture]
    return {
        "ruptures": [rupture],
        "measures": [name for name in study.measures if name in (spec.measure, spec.outcome)],
    }


def _replace_labels(content: dict[str, Any]) -> None:
    """Put each measure's own id in the place of its name for display."""
    for section in ("measures", "models", "associations", "dynamics"):
        for name, entry in content.get(section, {}).items():
            entry["label"] = name
    for name, entry in content.get("covariates", {}).items():
        entry["label"] = name
