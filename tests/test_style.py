"""Style and structure are part of the tests: linters, formatters, and the direction of imports."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from alliance.study.reference import schema_text, with_key_tables

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "scripts/alliance"
# The rooms of the package in the order of the flow: a room imports only rooms before it.
ROOMS = (
    "problems", "personal_data", "small_cells", "provenance", "machine_code", "running", "seeds",
    "study", "instruments", "readers", "validation",
    "deidentification", "cleaning", "scoring", "reliable_change", "reliability", "describe",
    "timing", "within_between", "stage_tables", "estimates", "ruptures", "likelihood", "estimation",
    "rupture_null", "verification", "published_draws", "published_run", "simulation", "drafting",
    "figures", "tables", "text", "report",
)  # fmt: skip


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("snakefmt", "--check", "workflow"),
        ("snakemake", "--lint"),
    ],
    ids=" ".join,
)
def test_linters_are_content(command: tuple[str, ...]) -> None:
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr


def imports(file: Path) -> set[str]:
    """Rooms of the package that a module imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = (
                [f"alliance.{alias.name}" for alias in node.names]
                if node.module == "alliance"
                else [node.module]
            )
        found |= {name.split(".")[1] for name in names if name.startswith("alliance.")}
    return found


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_module_stands_in_a_known_room() -> None:
    rooms = {room_of(file) for file in PACKAGE.rglob("*.py")} - {"__init__"}
    assert rooms <= set(ROOMS), rooms - set(ROOMS)


def test_nothing_is_imported_against_the_flow() -> None:
    wrong = [
        f"{file.relative_to(ROOT)} imports {room}"
        for file in PACKAGE.rglob("*.py")
        for room in imports(file)
        if room_of(file) != "__init__" and ROOMS.index(room) > ROOMS.index(room_of(file))
    ]
    assert not wrong, "\n".join(wrong)


def modules_imported(file: Path) -> set[str]:
    """Dotted names of the project modules that a module imports, for type checking or not."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    names = {node.module for node in froms}
    names |= {f"{node.module}.{alias.name}" for node in froms for alias in node.names}
    return {name for name in names if name.startswith("alliance.")}


def test_no_module_imports_itself_by_a_detour() -> None:
    files = {
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts): file
        for file in PACKAGE.rglob("*.py")
        if file.name != "__init__.py"
    }
    graph = {name: modules_imported(file) & set(files) for name, file in files.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_likelihood_knows_nothing_of_psychotherapy_and_figures_nothing_of_models() -> None:
    for file in (PACKAGE / "likelihood").rglob("*.py"):
        assert imports(file) <= {"likelihood"}, file.name
    for room in ("figures", "tables", "report"):
        for file in (PACKAGE / room).rglob("*.py"):
            forbidden = {"estimation", "likelihood", "ruptures", "rupture_null", "simulation"}
            assert not imports(file) & forbidden, file.name


def test_scripts_get_everything_from_their_rule() -> None:
    for file in (ROOT / "scripts").glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "snakemake.config" not in text, f"{file.name} reads the global configuration"
        assert "config.yaml" not in text, f"{file.name} reads the global configuration"


HEAVY = ("arviz", "numba", "openpyxl", "pymc", "pyreadr", "scipy.stats", "statsmodels", "xarray")


@pytest.mark.parametrize(
    "script", ["clean_sessions", "draw_figure", "write_report", "write_tables"]
)
def test_a_stage_loads_no_large_library_that_it_does_not_use(script: str) -> None:
    """Loading them takes longer than the work of these stages, of which a study has dozens."""
    tree = ast.parse((ROOT / f"scripts/{script}.py").read_text(encoding="utf-8"))
    lines = [ast.unparse(n) for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    code = [*lines, "import sys", f"print([name for name in {HEAVY} if name in sys.modules])"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "[]\n", done.stdout + done.stderr


def test_schema_and_key_tables_follow_the_typed_model() -> None:
    schema = (ROOT / "workflow/schemas/study.schema.json").read_text(encoding="utf-8")
    readme = (ROOT / "config/README.md").read_text(encoding="utf-8")
    assert schema == schema_text(), "run make schema"
    assert readme == with_key_tables(readme), "run make schema"
