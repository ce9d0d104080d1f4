"""The same models by statsmodels ``MixedLM``: an independent check of the fixed effects.

statsmodels judges variances by their absolute size and stops at zero variances without notice, so
columns are brought to size one first, several optimisers are run, the best likelihood is kept, and
a coefficient of exactly zero (statsmodels issue 10239) is refused.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError
from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

from alliance.estimation.design import ModelDesign, for_independent_residuals
from alliance.estimation.refusal import Refusal

FloatArray = NDArray[np.float64]
OPTIMISERS: tuple[str, ...] = ("lbfgs", "bfgs", "powell")
_SAME = 1e-4  # log-likelihoods closer than this are the same optimum


@dataclass(frozen=True)
class MixedLmFit:
    """Fixed effects by statsmodels, in the units and order of the design.

    Attributes
    ----------
    log_likelihood : of the scaled data, only comparable between optimisers.
    optimiser : the one that found the best likelihood.
    model : in words, where statsmodels cannot fit the design's model exactly.
    """

    beta: FloatArray
    se: FloatArray
    sigma: float
    log_likelihood: float
    converged: bool
    optimiser: str
    message: str
    model: str = ""


def fit_mixedlm(
    design: ModelDesign, criterion: str = "REML", max_clients: int | None = None
) -> MixedLmFit | Refusal:
    """Fit the design by statsmodels.

    Parameters
    ----------
    max_clients : refuse larger studies (statsmodels needs about 5 s per 1,000 clients).

    Notes
    -----
    With therapists, statsmodels takes client effects as variance components: level and slope of a
    client are then uncorrelated, which ``model`` says.
    """
    if design.form == "within":
        return Refusal("statsmodels has no within-only form", "Compare with the hybrid form.")
    able = for_independent_residuals(design, "statsmodels")
    if isinstance(able, Refusal):
        return able
    if max_clients is not None and design.n_clients > max_clients:
        return Refusal(
            f"statsmodels is too slow for {design.n_clients} clients",
            "Raise max_clients to run the check all the same.",
        )
    columns = np.sqrt(np.einsum("ij,ij->j", design.X, design.X) / design.n_obs)
    centre = float(design.y.mean()) if "intercept" in design.names else 0.0
    size = float(np.std(design.y))
    model = _model(design, design.X / columns, (design.y - centre) / size)
    fits = _all_fits(model, criterion == "REML")
    if not fits:
        return Refusal("every optimiser of statsmodels failed", "Rely on the REML estimate.")
    return _in_units(design, fits, columns, centre, size)


def _model(design: ModelDesign, X: FloatArray, y: FloatArray) -> MixedLM:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Z = X[:, design.client_columns]
        if design.therapist is None:
            return MixedLM(y, X, groups=design.client, exog_re=Z)
        upper = X[:, design.therapist_columns]
        parts = _client_components(design, Z)
        return MixedLM(y, X, groups=design.therapist, exog_re=upper, exog_vc=parts)


def _client_components(design: ModelDesign, Z: FloatArray) -> VCSpec:
    """Client level and slopes within therapists as independent variance components."""
    assert design.therapist is not None
    therapists = range(design.n_therapists)
    rows = [np.flatnonzero(design.therapist == code) for code in therapists]
    names, matrices = [], []
    for k in range(Z.shape[1]):
        per_therapist, labels = [], []
        for index in rows:
            clients, codes = np.unique(design.client[index], return_inverse=True)
            matrix = np.zeros((len(index), len(clients)))
            matrix[np.arange(len(index)), codes] = Z[index, k]
            per_therapist.append(matrix)
            labels.append([str(c) for c in clients])
        names.append((f"client_{k}", labels))
        matrices.append(per_therapist)
    return VCSpec([n for n, _ in names], [labels for _, labels in names], matrices)


def _all_fits(model: MixedLM, reml: bool) -> list[tuple[str, object, str]]:
    """(optimiser, result, warnings) of every optimiser that came to an end.

    Powell's method is slow and only asked when the gradient methods disagree or fail.
    """
    found: list[tuple[str, object, str]] = []
    for name in OPTIMISERS:
        if name == "powell" and _agree(found):
            break
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                result = model.fit(reml=reml, method=[name], maxiter=500)
            except (LinAlgError, np.linalg.LinAlgError, ValueError):
                continue
        if np.isfinite(result.llf):
            found.append((name, result, "; ".join(sorted({str(w.message) for w in told}))))
    return found


def _agree(found: list[tuple[str, object, str]]) -> bool:
    values = [result.llf for _, result, _ in found if result.converged]  # type: ignore[attr-defined]
    return len(values) >= 2 and max(values) - min(values) < _SAME


def _in_units(
    design: ModelDesign,
    fits: list[tuple[str, object, str]],
    columns: FloatArray,
    centre: float,
    size: float,
) -> MixedLmFit | Refusal:
    optimiser, result, told = max(fits, key=lambda entry: entry[1].llf)  # type: ignore[attr-defined]
    scaled = np.asarray(result.fe_params, dtype=np.float64)  # type: ignore[attr-defined]
    se = np.asarray(result.bse_fe, dtype=np.float64)  # type: ignore[attr-defined]
    if (scaled == 0).any() or not np.isfinite(se).all() or (se <= 0).any():
        return Refusal(
            "statsmodels returned a coefficient of exactly zero or no standard error",
            "A known fault at zero variances; rely on the REML estimate.",
        )
    beta = scaled * size / columns
    if centre:
        beta[design.names.index("intercept")] += centre
    converged = any(
        entry.converged and entry.llf > result.llf - _SAME  # type: ignore[attr-defined]
        for _, entry, _ in fits
    )
    apart = design.therapist is not None and len(design.client_columns) > 1
    return MixedLmFit(
        beta=beta,
        se=se * size / columns,
        sigma=float(np.sqrt(result.scale)) * size,  # type: ignore[attr-defined]
        log_likelihood=float(result.llf),  # type: ignore[attr-defined]
        converged=converged,
        optimiser=optimiser,
        message="converged" if converged else f"no optimiser converged ({told})",
        model="client level and slope taken as uncorrelated" if apart else "",
    )
