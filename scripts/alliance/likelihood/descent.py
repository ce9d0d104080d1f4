"""A bounded quasi-Newton descent for a handful of parameters.

Projected BFGS (Bertsekas 1982, SIAM Journal on Control and Optimization 20(2)) in plain numpy:
``scipy``'s L-BFGS-B calls a threaded linear algebra library on tiny matrices, which costs up to
thirty times the time of the criterion itself when the processor is shared.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Criterion = Callable[[FloatArray], tuple[float, FloatArray]]

_ARMIJO = 1e-4
_ROUNDING = 1e-13  # of a criterion that sums over thousands of clients
_LARGEST_FIRST_STEP = 0.5


def minimise(
    criterion: Criterion,
    start: FloatArray,
    lower: FloatArray,
    gain: float = 1e-8,
    max_steps: int = 200,
    inverse: FloatArray | None = None,
) -> tuple[FloatArray, float]:
    """Local minimum of a smooth function under lower bounds.

    Parameters
    ----------
    criterion : value and gradient. A value that is not finite is taken as too large.
    start, lower : (k,), ``lower`` may hold -inf.
    inverse : (k, k) first guess of the inverse Hessian, e.g. from a part of the data.
    gain : stop when the next step promises a smaller decrease than this.

    Returns
    -------
    (k,) point and the value there. Whether it is a minimum is for the caller to judge.
    """
    x = np.maximum(start, lower)
    value, gradient = criterion(x)
    for _ in range(max_steps):
        free = ~((x <= lower) & (gradient > 0))
        step = _direction(inverse, gradient, free)
        if -0.5 * float(gradient @ step) < max(gain, 10 * _ROUNDING * abs(value)):
            break
        found = _line_search(criterion, x, step, lower, value, gradient)
        if found is None:
            if inverse is None:
                break
            inverse = None  # once more, by steepest descent
            continue
        moved, value, after = found
        inverse = _update(inverse, moved - x, after - gradient)
        x, gradient = moved, after
    return x, value


def _direction(
    inverse: FloatArray | None, gradient: FloatArray, free: NDArray[np.bool_]
) -> FloatArray:
    """Descent direction in the variables that are not held at their bound."""
    step = np.zeros_like(gradient)
    if not free.any():
        return step
    if inverse is not None:
        step[free] = -inverse[np.ix_(free, free)] @ gradient[free]
        if gradient @ step < 0:
            return step
    steepest = gradient[free]
    step[free] = -steepest * (_LARGEST_FIRST_STEP / max(float(np.abs(steepest).max()), 1.0))
    return step


def _line_search(
    criterion: Criterion,
    x: FloatArray,
    step: FloatArray,
    lower: FloatArray,
    value: float,
    gradient: FloatArray,
) -> tuple[FloatArray, float, FloatArray] | None:
    """Backtracking along the projected path, with quadratic interpolation."""
    length = 1.0
    for _ in range(30):
        trial = np.maximum(x + length * step, lower)
        expected = float(gradient @ (trial - x))
        after, slope = criterion(trial)
        allowed = value + _ARMIJO * expected + _ROUNDING * abs(value)
        if np.isfinite(after) and after <= allowed:
            return trial, after, slope
        curve = after - value - expected
        shrink = -0.5 * expected / curve if np.isfinite(curve) and curve > 0 else 0.1
        length *= min(max(shrink, 0.1), 0.5)
    return None


def _update(inverse: FloatArray | None, s: FloatArray, y: FloatArray) -> FloatArray:
    """BFGS update of the inverse Hessian; skipped where the curvature is not positive."""
    sy = float(s @ y)
    if inverse is None:
        inverse = np.eye(len(s)) * (sy / float(y @ y) if sy > 0 else 1e-2)
    if sy <= 1e-10 * np.sqrt(float(s @ s) * float(y @ y)):
        return inverse
    left = np.eye(len(s)) - np.outer(s, y) / sy
    return left @ inverse @ left.T + np.outer(s, s) / sy
