"""Priors of the dynamic models from ``config/priors.yaml``, and what figures show of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from alliance.estimation.dynamics_bayes import VarBayes, VarPriors
from alliance.estimation.dynamics_maker import term_name
from alliance.estimation.priors import DYNAMICS, check_entry, number_of
from alliance.estimation.refusal import Refusal
from alliance.problems import Problem, StudyError

NAMES: tuple[str, ...] = tuple(f.name for f in fields(VarPriors))


def var_priors_from_mapping(
    values: Mapping[str, Any], file: str = "config/priors.yaml"
) -> VarPriors:
    """Priors from the section ``dynamics`` of the file; keys left out keep their defaults.

    Parameters
    ----------
    values : content of the whole file.

    Raises
    ------
    StudyError
        With every unknown key, missing reason and impossible number.
    """
    given = values.get(DYNAMICS) or {}
    if not isinstance(given, Mapping):
        raise StudyError([_not_a_section(file)], "Priors")
    problems = [p for key, entry in given.items() for p in _check(str(key), entry, file)]
    if problems:
        raise StudyError(problems, "Priors")
    numbers: dict[str, Any] = {k: float(e[number_of(k)]) for k, e in given.items()}
    if "autoregression" in given:
        own = given["autoregression"]
        numbers["autoregression"] = (float(own["mean"]), float(own["sd"]))
    return VarPriors(**numbers)


def _check(key: str, entry: object, file: str) -> list[Problem]:
    others = ("mean",) if key == "autoregression" else ()
    problems = check_entry(key, entry, NAMES, number_of(key), file, f"{DYNAMICS}.", others)
    if others and not problems:
        mean = entry["mean"]  # type: ignore[index]
        if isinstance(mean, bool) or not isinstance(mean, int | float) or not -1 < mean < 1:
            where = f"key '{DYNAMICS}.{key}.mean'"
            problems.append(
                Problem(
                    "BAD_PRIOR",
                    "error",
                    file,
                    where,
                    repr(mean),
                    "a number between -1 and 1",
                    "An autoregression outside these limits is not stationary.",
                )
            )
    return problems


def _not_a_section(file: str) -> Problem:
    return Problem(
        "BAD_PRIOR", "error", file, f"key '{DYNAMICS}'", "no section", "priors with their reasons",
        "Write one prior per line below it, or remove it.",
    )  # fmt: skip


def draws_table(fitted: VarBayes | Refusal, analysis: str) -> pd.DataFrame:
    """``analysis, term, value``: draws of autoregressions and cross-lags, raw units."""
    empty = pd.DataFrame({"analysis": [], "term": [], "value": []})
    if isinstance(fitted, Refusal) or fitted.fit.layout.structure.n_phases > 1:
        return empty
    parts = [
        pd.DataFrame({"analysis": analysis, "term": term, "value": fitted.draws(term).ravel()})
        for _, term in _cells(fitted)
    ]
    return pd.concat(parts, ignore_index=True)


def priors_table(fitted: VarBayes | Refusal, priors: VarPriors, analysis: str) -> pd.DataFrame:
    """``analysis, term, mean, sd``: the normal priors of the same coefficients, raw units."""
    rows = []
    for (target, source), term in [] if isinstance(fitted, Refusal) else _cells(fitted):
        scale = fitted.fit.scale[target] / fitted.fit.scale[source]
        mean, sd = priors.autoregression if target == source else (0.0, priors.cross_lag)
        rows.append((analysis, term, mean, sd * scale))
    return pd.DataFrame(rows, columns=["analysis", "term", "mean", "sd"])


def _cells(fitted: VarBayes) -> list[tuple[tuple[int, int], str]]:
    """(target, source) of the free coefficients, and their terms."""
    return [
        ((int(target), int(source)), term_name(fitted.fit.names, int(target), int(source)))
        for target, source in np.argwhere(fitted.fit.layout.free)
    ]
