"""What a result depends on besides its data: the code that made it and the versions it ran with.

Snakemake does not see the modules that a script imports. Every rule therefore carries the hash of
the syntax tree of its script and of all project modules reached by its imports: an edited
statement reruns what depends on it, an edited comment, docstring or line break reruns nothing.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = "alliance"


@dataclass(frozen=True)
class _Module:
    """Dotted names that a module imports, and its code without comments and docstrings."""

    imports: tuple[str, ...]
    syntax: str


def code_hash(script: str | Path, lock: str | Path | None = None) -> str:
    """Sixteen hexadecimal digits over a script, what it imports, and the locked versions.

    Parameters
    ----------
    script : a script beside the package folder.
    lock : the lock file; its text (without comments) enters the hash when it is given.
    """
    script = Path(script).resolve()
    digest = hashlib.sha256()
    for file in sorted(_reached_from(script)):
        digest.update(file.relative_to(script.parent).as_posix().encode())
        digest.update(_read(file).syntax.encode())
    if lock is not None:
        digest.update(_without_comments(Path(lock)).encode())
    return digest.hexdigest()[:16]


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python and of ``packages`` as installed."""
    installed = {name: importlib.metadata.version(name) for name in packages}
    return {"python": platform.python_version(), **installed}


def _reached_from(script: Path) -> set[Path]:
    """The script and every project module that its imports reach."""
    root = script.parent
    reached: set[Path] = set()
    waiting = [script]
    while waiting:
        file = waiting.pop()
        if file not in reached:
            reached.add(file)
            waiting.extend(_imports_of(file, root))
    return reached


@cache
def _imports_of(file: Path, root: Path) -> tuple[Path, ...]:
    found: list[Path] = []
    for name in _read(file).imports:
        if name.split(".")[0] == PACKAGE:
            found.extend(_files_of(name, root))
    return tuple(found)


@cache
def _read(file: Path) -> _Module:
    """What a hash needs of a module; it is parsed once for all scripts that reach it."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imports = tuple(dict.fromkeys(_imported_names(tree)))
    for node in _statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _drop_docstring(node)
    return _Module(imports, ast.unparse(tree))  # the same in every version of Python


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Every statement at any depth: a tenth of all nodes, the others are expressions."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting.extend(getattr(node, block, ()))
        yield node


def _imported_names(tree: ast.Module) -> Iterator[str]:
    """Dotted names of imports; of ``from a import b`` both ``a`` and ``a.b``."""
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError("relative imports are not followed; write the full name")
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def _files_of(name: str, root: Path) -> tuple[Path, ...]:
    """The module file of a dotted name, and the ``__init__`` of every package on the way."""
    parts = name.split(".")
    places = [root.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    files = [f for place in places for f in (place / "__init__.py", place.with_suffix(".py"))]
    return tuple(file for file in files if file.is_file())


def _drop_docstring(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> None:
    first = node.body[0] if node.body else None
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        node.body = node.body[1:] or [ast.Pass()]


def _without_comments(file: Path) -> str:
    lines = (line.split("#")[0].rstrip() for line in file.read_text("utf-8").splitlines())
    return "\n".join(line for line in lines if line)
