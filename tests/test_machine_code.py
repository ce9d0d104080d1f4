"""Kept machine code never outlives the code it was made of."""

import subprocess
import sys

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
