"""What the analyses were run with, and how to run them again."""

from __future__ import annotations

from alliance.text.document import Passage, passage
from alliance.text.inputs import TextInputs
from alliance.text.words import listed

SHOWN = {
    "python": "Python", "pandas": "pandas", "numpy": "NumPy", "scipy": "SciPy",
    "statsmodels": "statsmodels",
}  # fmt: skip


def software_methods(x: TextInputs) -> Passage | None:
    """Versions, seed, reproducibility."""
    others = [f"{shown} {x.versions[n]}" for n, shown in SHOWN.items() if x.versions.get(n)]
    text = (
        "All steps from the raw files to this text ran as one Snakemake workflow "
        f"{x.versions.get('snakemake', '')}".rstrip()
        + " [@molder2021]"
    )
    text += f" with {listed(others)}" if others else ""
    return passage(
        "Software and reproducibility",
        [
            f"{text}. The seed of all random numbers is {x.study.seed}; the same data, "
            "configuration and locked software give the same numbers. The numbers in this text "
            "are filled in from the table of estimates of the run."
        ],
    )
