"""A small copy of the project in which tests may change anything and run the workflow."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[1]
N_CLIENTS = 60  # enough for every stage, small enough for seconds


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that run the workflow come first, so that no process ends alone with a long one."""
    long = {item.path for item in items if item.get_closest_marker("workflow")}
    items.sort(key=lambda item: item.path not in long)


@dataclass(frozen=True)
class Project:
    """A project folder of its own, with the study ``mini``: clients of the bundled clinic."""

    root: Path

    def snakemake(self, *arguments: str, timeout: float = 1800) -> subprocess.CompletedProcess[str]:
        """Run the workflow as a user does; output and errors are in ``stdout``."""
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.root,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )

    def planned(self) -> set[str]:
        """Rules that would run now."""
        done = self.snakemake("--dry-run")
        assert done.returncode == 0, done.stdout
        lines = done.stdout.splitlines()
        if any("Nothing to be done" in line for line in lines):
            return set()
        start = next(i for i, line in enumerate(lines) if line.startswith("job ")) + 2
        stop = next(i for i, line in enumerate(lines) if line.startswith("total"))
        return {line.split()[0] for line in lines[start:stop]} - {"all"}

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace the first ``old`` in a file; it must be there."""
        path = self.root / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def study(self, change: Callable[[dict], None], name: str = "mini") -> None:
        """Change the study file."""
        path = self.root / f"config/studies/{name}.yaml"
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        change(content)
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def results(self, *folders: str) -> dict[str, str]:
        """File -> checksum of everything under ``results/mini`` that must repeat to the byte."""
        base = self.root / "results/mini"
        once = {"logs", "benchmarks"}
        return {
            str(path.relative_to(base)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(base.rglob("*"))
            if path.is_file()
            and path.relative_to(base).parts[0] not in once
            and (not folders or path.relative_to(base).parts[0] in folders)
        }


def environment() -> dict[str, str]:
    """The environment of a user: nothing of this test run leaks in."""
    leaking = ("SNAKEMAKE_", "PYTHONPATH", "ALLIANCE_")
    return {k: v for k, v in os.environ.items() if not k.startswith(leaking)}


def copy_code(root: Path, compiled: Project | None = None) -> Project:
    """Code and configuration as they are, and what was compiled of the code so far.

    Compiling anew in every folder took almost half the time of a small study. A project that ran
    before (``compiled``) has compiled all of it; copies keep the time stamps by which Python and
    numba tell that what is compiled is up to date.
    """
    source = compiled.root if compiled else ROOT
    being_written = shutil.ignore_patterns("*.pyc.*", "*.tmp.*")
    for folder in ("workflow", "scripts", "config", "data/published"):
        shutil.copytree(source / folder, root / folder, ignore=being_written)
    for file in ("requirements.lock", "environment.yml"):
        shutil.copy(ROOT / file, root / file)
    return Project(root)


def copy_project(root: Path, compiled: Project | None = None) -> Project:
    """The same with the one small study ``mini``."""
    project = copy_code(root, compiled)
    write_mini_data(root / "data/mini")
    write_mini_study(root)
    return project


def write_mini_data(folder: Path) -> None:
    folder.mkdir(parents=True)
    clinic = ROOT / "data/simulated/clinic"
    clients = pd.read_csv(clinic / "clients.csv", dtype=str).sort_values("client_id")
    chosen = clients.head(N_CLIENTS)
    sessions = pd.read_csv(clinic / "sessions.csv", dtype=str)
    sessions = sessions[sessions["client_id"].isin(chosen["client_id"])]
    chosen.to_csv(folder / "clients.csv", index=False)
    sessions.to_csv(folder / "sessions.csv", index=False)


def write_mini_study(root: Path) -> None:
    content = yaml.safe_load((ROOT / "config/studies/clinic.yaml").read_text(encoding="utf-8"))
    content["id"], content["title"] = "mini", "A small study for tests"
    content["simulated"] = False
    content.pop("truth")
    for name, table in content["data"]["tables"].items():
        table["path"] = f"data/mini/{name}.csv"
    content["models"] = {"main": content["models"]["main"] | {"bayes": False}}
    content["ruptures"] = {"client_rated": content["ruptures"]["client_rated"]}
    content["ruptures"]["client_rated"]["rules"] = ["previous_drop", "own_mean"]
    content["ruptures"]["client_rated"] |= {"discrete_drops": False, "null_datasets": 100}
    content["dynamics"] = {"next_session": content["dynamics"]["next_session"] | {"bayes": False}}
    (root / "config/studies/mini.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    (root / "config/config.yaml").write_text(
        "studies: [mini]\neffort: draft\nfigure_formats: [png]\n"
    )


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A project nobody has run yet, its code compiled."""
    return copy_project(tmp_path / "project", finished)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that ran to its end once, for all processes of pytest-xdist: never changed."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with (folder / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "finished.mark").exists():
            return Project(folder / "finished")
        project = copy_project(folder / "finished")
        done = project.snakemake()
        assert done.returncode == 0, done.stdout
        (folder / "finished.mark").touch()
        return project


@pytest.fixture
def finished_copy(finished: Project, tmp_path: Path) -> Project:
    """A copy of a finished project, with everything Snakemake remembers of it."""
    shutil.copytree(finished.root, tmp_path / "project")
    return Project(tmp_path / "project")
