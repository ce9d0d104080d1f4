"""Machine code that numba keeps between runs, and when it is out of date.

Numba keeps compiled functions beside their source and compiles anew when that file changes. It does
not look at functions of other files that went into them: after an update of the project a kept
function could silently compute what an older callee did. What was kept is therefore dropped
whenever any compiled module differs from those it was made of.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

MARK = "compiled_from.txt"


def drop_outdated(package: Path) -> bool:
    """Delete kept machine code unless every compiled module is as it was; True if deleted.

    Parameters
    ----------
    package : folder of the modules. The hash of what was compiled stays in its ``__pycache__``.
    """
    mark = package / "__pycache__" / MARK
    now = _hash_of_compiled(package)
    if mark.is_file() and mark.read_text(encoding="utf-8") == now:
        return False
    for kept in package.rglob("__pycache__/*.nb[ic]"):
        kept.unlink(missing_ok=True)
    mark.parent.mkdir(exist_ok=True)
    mark.write_text(now, encoding="utf-8")
    return True


def _hash_of_compiled(package: Path) -> str:
    digest = hashlib.sha256()
    for module in sorted(package.rglob("*.py")):
        code = module.read_bytes()
        if b"njit" in code:
            digest.update(module.relative_to(package).as_posix().encode())
            digest.update(code)
    return digest.hexdigest()
