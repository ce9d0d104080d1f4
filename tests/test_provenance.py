"""A changed statement changes the hash of every script that reaches it; a comment does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from alliance.provenance import code_hash

MODULE = '''"""Module."""
from alliance.deep import depth


def width() -> int:
    """One."""
    return depth() + 1
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    package = tmp_path / "alliance"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "wide.py").write_text(MODULE)
    (package / "deep.py").write_text("def depth():\n    return 1\n")
    (package / "other.py").write_text("def other():\n    return 1\n")
    (tmp_path / "run.py").write_text("from alliance.wide import width\n\nwidth()\n")
    (tmp_path / "lock.txt").write_text("numpy==1\n")
    return tmp_path


def hash_after(project: Path, file: str, text: str) -> tuple[str, str]:
    """The hash before and after one file is rewritten, each computed without the cache."""
    before = fresh_hash(project)
    (project / file).write_text(text)
    return before, fresh_hash(project)


def fresh_hash(project: Path) -> str:
    from alliance import provenance  # noqa: PLC0415

    provenance._read.cache_clear()
    provenance._imports_of.cache_clear()
    return code_hash(project / "run.py", project / "lock.txt")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("run.py", "from alliance.wide import width\n\nwidth() + 1\n"),
        ("alliance/wide.py", MODULE.replace("+ 1", "+ 2")),
        ("alliance/deep.py", "def depth():\n    return 2\n"),
        ("alliance/__init__.py", "x = 1\n"),
        ("lock.txt", "numpy==2\n"),
    ],
)
def test_an_edit_changes_the_hash(project: Path, file: str, text: str) -> None:
    before, after = hash_after(project, file, text)
    assert before != after


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("run.py", "# why\nfrom alliance.wide import width\n\n\nwidth()  # so\n"),
        ("alliance/wide.py", MODULE.replace("One.", "Another docstring.")),
        ("alliance/other.py", "def other():\n    return 2\n"),
        ("lock.txt", "# made today\nnumpy==1\n"),
    ],
)
def test_comments_docstrings_and_unused_modules_do_not(project: Path, file: str, text: str) -> None:
    before, after = hash_after(project, file, text)
    assert before == after


def test_relative_imports_are_refused_because_they_would_be_missed(project: Path) -> None:
    (project / "alliance" / "wide.py").write_text("from .deep import depth\n")
    with pytest.raises(ValueError, match="relative imports"):
        fresh_hash(project)
