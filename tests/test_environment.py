"""One source of dependencies: pyproject.toml; the lock and environment.yml follow it."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
# The same software under another name on conda-forge, and what an extra of pip stands for there.
CONDA_NAMES = {"matplotlib": "matplotlib-base"}
CONDA_EXTRAS = {"pygments"}


def declared() -> dict[str, Requirement]:
    lines = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["test"]]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def locked() -> dict[str, list[str]]:
    versions: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", LOCK, flags=re.MULTILINE):
        versions.setdefault(canonicalize_name(name), []).append(version)
    return versions


def conda() -> dict[str, SpecifierSet]:
    content = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert all(isinstance(line, str) for line in content["dependencies"]), "no pip section"
    pairs = [re.match(r"([a-z0-9-]+)(.*)", line).groups() for line in content["dependencies"]]
    return {name: SpecifierSet(versions) for name, versions in pairs}


@pytest.mark.parametrize("name", sorted(declared()))
def test_the_lock_holds_each_dependency_in_a_declared_version(name: str) -> None:
    versions = locked().get(name, [])
    assert versions, f"{name} is not locked: run make lock"
    assert all(declared()[name].specifier.contains(v) for v in versions), versions


def test_every_locked_package_has_hashes_and_no_address() -> None:
    blocks = re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.MULTILINE)
    packages = [block for block in blocks if "==" in block.splitlines()[0:1].__str__()]
    assert len(packages) > 50
    assert all("--hash=sha256:" in block for block in packages)
    assert not re.search(r"https?://|--(extra-)?index|--find-links|file:", LOCK)


def test_environment_yml_declares_the_same_software_in_the_same_ranges() -> None:
    ours = {CONDA_NAMES.get(name, name): r.specifier for name, r in declared().items()}
    ours["python"] = SpecifierSet(PROJECT["project"]["requires-python"])
    theirs = conda()
    assert set(theirs) - CONDA_EXTRAS == set(ours)
    assert {name: theirs[name] for name in ours} == ours


def test_the_tests_run_in_the_locked_versions() -> None:
    from importlib import metadata  # noqa: PLC0415

    wrong = {
        name: metadata.version(name)
        for name in declared()
        if metadata.version(name) not in locked()[name]
    }
    assert not wrong, f"installed versions differ from the lock: {wrong}"


def find_python(path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(ROOT / ".ci/find-python")],
        env={"PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def fake_python(folder: Path, name: str, status: int, version: str) -> Path:
    folder.mkdir(exist_ok=True)
    script = folder / name
    script.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}" && exit 0\nexit {status}\n'
    )
    script.chmod(0o755)
    return script


def test_a_suitable_interpreter_on_the_path_is_found(tmp_path: Path) -> None:
    fake_python(tmp_path / "bin", "python3", 1, "Python 3.11.2")
    good = fake_python(tmp_path / "bin", "python3.13", 0, "Python 3.13.0")
    assert find_python(str(tmp_path / "bin")).stdout.strip() == str(good)


@pytest.mark.parametrize("version", ["Python 3.11.2", ""])
def test_a_missing_or_old_interpreter_gives_one_sentence_with_the_remedy(
    tmp_path: Path, version: str
) -> None:
    if version:
        fake_python(tmp_path / "bin", "python3", 1, version)
    done = find_python(str(tmp_path / "bin"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert (version or "no Python 3") in done.stderr
    assert "3.12 or 3.13" in done.stderr
    assert "install" in done.stderr


def test_uv_is_asked_where_there_is_no_interpreter(tmp_path: Path) -> None:
    good = fake_python(tmp_path / "elsewhere", "python3.12", 0, "Python 3.12.9")
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text(f"#!/bin/sh\necho {good}\n")
    uv.chmod(0o755)
    assert find_python(str(tmp_path / "bin")).stdout.strip() == str(good)


def test_a_named_interpreter_that_does_not_serve_is_named_in_the_sentence(tmp_path: Path) -> None:
    done = find_python(os.environ["PATH"], PYTHON=str(tmp_path / "none"))
    assert done.returncode == 1
    assert str(tmp_path / "none") in done.stderr
