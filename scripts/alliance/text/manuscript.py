"""Methods and results of a study as text, from the branches really taken."""

from __future__ import annotations

from alliance.text import (
    bayes,
    dynamics,
    measures,
    models,
    ruptures,
    sample,
    software,
    sudden_gains,
    variants,
)
from alliance.text.document import Passage, TextDocument, with_references
from alliance.text.inputs import TextInputs
from alliance.text.references import (
    Reference,
    instrument_reference_table,
    methods_references,
)


def methods_text(x: TextInputs) -> TextDocument:
    """The methods section."""
    passages = [
        sample.participants_methods(x),
        measures.measures_methods(x),
        sample.preparation_methods(x),
        models.models_methods(x),
        variants.variants_methods(x),
        dynamics.dynamics_methods(x),
        dynamics.association_methods(x),
        bayes.bayes_methods(x),
        ruptures.ruptures_methods(x),
        sudden_gains.sudden_gains_methods(x),
        software.software_methods(x),
    ]
    return with_references(f"Methods: {x.study.title}", passages, known_references(x))


def results_text(x: TextInputs) -> TextDocument:
    """The results section."""
    passages = [
        sample.participants_results(x),
        measures.reliability_results(x),
        sample.change_results(x),
        *models.models_results(x),
        *variants.variants_results(x),
        *dynamics.dynamics_results(x),
        dynamics.association_results(x),
        bayes.bayes_results(x),
        ruptures.ruptures_results(x),
        sudden_gains.sudden_gains_results(x),
        models.limits(x),
    ]
    return with_references(f"Results: {x.study.title}", passages, known_references(x))


def whole_text(x: TextInputs) -> TextDocument:
    """Methods and results in one document."""
    methods, results = methods_text(x), results_text(x)
    passages = (Passage("Methods", level=1), *methods.passages,
                Passage("Results", level=1), *results.passages)  # fmt: skip
    return with_references(x.study.title, passages, known_references(x))


def known_references(x: TextInputs) -> dict[str, Reference]:
    """Everything that may be cited, by key."""
    return methods_references() | instrument_reference_table(
        {name: i for name, i in x.instruments.items() if i.references}
    )
