"""Sudden gains and losses: the criteria, and what was found."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from alliance.study import SuddenGainsSpec
from alliance.tables.format import count, counted, interval, number, percent
from alliance.text.document import Passage, passage
from alliance.text.inputs import TextInputs

HEADING = "Sudden gains and losses"


def sudden_gains_methods(x: TextInputs) -> Passage | None:
    """The three criteria and the cut-off of each measure."""
    specs = x.study.sudden_gains
    if not specs:
        return None
    said = [
        "A change between two neighbouring sessions was called sudden when it was at least as "
        "large as a cut-off, at least a quarter of the score before it, and when the means of up "
        "to three sessions on each side differed by more than the critical value of *t* times "
        "their pooled SD [@tang1999]. Changes for the better are gains, for the worse losses; one "
        "is reversed when half of it or more was given back later.",
        *(f"{_what(x, spec)}: cut-off {spec.cutoff:g} points{_when(spec)}."
          for spec in specs.values()),
    ]  # fmt: skip
    return passage(HEADING, [" ".join(said)])


def _what(x: TextInputs, spec: SuddenGainsSpec) -> str:
    return f"{x.label(spec.measure)}{f', {spec.component}' if spec.component else ''}"


def _when(spec: SuddenGainsSpec) -> str:
    return "" if spec.sessions is None else f", sessions {spec.sessions[0]} to {spec.sessions[1]}"


def sudden_gains_results(x: TextInputs) -> Passage | None:
    """One sentence for gains and one for losses of each measure."""
    said = []
    for name, spec in x.study.sudden_gains.items():
        text = " ".join(gain_sentences(x.estimates[x.estimates["analysis"] == name]))
        said.append(f"*{_what(x, spec)}.* {text}" if text else "")
    return passage(HEADING, said)


def gain_sentences(own: pd.DataFrame) -> Iterator[str]:
    """How many sudden changes in how many clients, from the rows of one analysis."""
    if own.empty:
        return
    by = own.set_index("term")
    for what, many in (("gain", "gains"), ("loss", "losses")):
        some = by.loc[f"clients_with_{what}"]
        if some["status"] != "ok":
            yield f"Clients with a sudden {what}: not told ({some['reason']})."
            continue
        if some["estimate"] == 0:
            yield f"No sudden {what} was found in {counted(some['n_clients'], 'client')}."
            continue
        limits = interval(100 * some["ci_low"], 100 * some["ci_high"], 1)
        mean, sd = by.loc[f"{what}_size"], by.loc[f"{what}_size_sd"]
        spread = f" (SD {number(sd['estimate'])})" if sd["status"] == "ok" else ""
        yield (
            f"{counted(by.loc[many, 'estimate'], f'sudden {what}', f'sudden {many}')} "
            f"{_was(by.loc[many, 'estimate'])} found in "
            f"{count(some['estimate'] * some['n_clients'])} of "
            f"{counted(some['n_clients'], 'client')} ({percent(100 * some['estimate'])}, "
            f"95% CI {limits}), of {number(mean['estimate'])} points on average{spread}"
            f"{_several(by, what, many)}."
        )


def _several(by: pd.DataFrame, what: str, many: str) -> str:
    """Clients with more than one, and reversals; what may not be told is left out."""
    said = []
    several, back = by.loc[f"clients_with_several_{many}"], by.loc[f"reversed_{many}"]
    if several["status"] == "ok":
        clients = several["estimate"] * several["n_clients"]
        said.append(f"{counted(clients, 'client')} had more than one")
    if back["status"] == "ok":
        said.append(
            f"{count(back['estimate'])} of the {many} {_was(back['estimate'])} reversed later"
        )
    return f"; {', and '.join(said)}" if said else ""


def _was(number_of: float) -> str:
    return "was" if number_of == 1 else "were"
