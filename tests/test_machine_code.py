"""Kept machine code never outlives the code it was made of."""

import subprocess
import sys

import pytest
from numba.core.dispatcher import Dispatcher

from alliance.estimation.bayes_op import MarginalLogLikelihood
from alliance.estimation.dynamics_op import VarLogLikelihood
from alliance.estimation.random_dynamics_op import RandomDynamicsLogLikelihood
from alliance.machine_code import drop_outdated

CALLEE = "from numba import njit\n\n\n@njit(cache=True)\ndef part(x):\n    return x + {}\n"
CALLER = (
    "from callee import part\nfrom numba import njit\n\n\n"
    "@njit(cache=True)\ndef whole(x):\n    return 2.0 * part(x)\n"
)


def _computed(folder):
    command = [sys.executable, "-c", "from caller import whole; print(whole(1.0))"]
    run = subprocess.run(command, check=True, cwd=folder, capture_output=True, text=True)
    return float(run.stdout)


def test_an_edited_callee_in_another_file_is_compiled_into_its_caller(tmp_path):
    (tmp_path / "callee.py").write_text(CALLEE.format("1.0"))
    (tmp_path / "caller.py").write_text(CALLER)
    drop_outdated(tmp_path)
    assert _computed(tmp_path) == 4.0
    assert list(tmp_path.glob("__pycache__/caller.whole*.nbc"))
    (tmp_path / "callee.py").write_text(CALLEE.format("10.0"))
    assert drop_outdated(tmp_path)
    assert _computed(tmp_path) == 22.0


def test_machine_code_of_unchanged_modules_is_kept(tmp_path):
    (tmp_path / "callee.py").write_text(CALLEE.format("1.0"))
    (tmp_path / "plain.py").write_text("x = 1\n")
    assert drop_outdated(tmp_path)
    kept = tmp_path / "__pycache__" / "callee.part-5.py312.1.nbc"
    kept.write_bytes(b"")
    (tmp_path / "plain.py").write_text("x = 2\n")
    assert not drop_outdated(tmp_path)
    assert kept.exists()


def _files_of_called(function):
    """Files of a compiled function and of every compiled function that it calls."""
    seen, waiting = set(), [function]
    while waiting:
        called = waiting.pop()
        if isinstance(called, Dispatcher) and called not in seen:
            seen.add(called)
            code = called.py_func.__code__
            waiting.extend(called.py_func.__globals__.get(name) for name in code.co_names)
    return {function.py_func.__code__.co_filename for function in seen}


@pytest.mark.parametrize(
    "operation", [MarginalLogLikelihood, VarLogLikelihood, RandomDynamicsLogLikelihood]
)
def test_an_operation_names_every_file_that_its_machine_code_is_made_of(operation):
    files = _files_of_called(operation.function)
    assert len(files) > 2
    assert files <= set(operation.sources)
