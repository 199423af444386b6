"""The house: a room imports only from rooms below it, and the light rooms load nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "assay"
# Highest first, as in docs/architecture.md.
ROOMS = (
    "cli",
    "report",
    "audit",
    "runner",
    "studies",
    "agents",
    "instruments",
    "training",
    "solvers",
    "models",
    "worlds",
    "claims",
    "store",
    "stats",
    "core",
)
FILES = sorted(path for path in SOURCE.rglob("*.py") if path.parent != SOURCE)


def imported_modules(path: Path) -> set[str]:
    """Every `assay.*` module a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room; write assay.<room>"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "assay"}


def test_every_folder_is_a_room() -> None:
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_only_from_rooms_below(path: Path) -> None:
    room = path.relative_to(SOURCE).parts[0]
    allowed = set(ROOMS[ROOMS.index(room) :])
    for name in imported_modules(path):
        parts = name.split(".")
        assert len(parts) == 1 or parts[1] == "__version__" or parts[1] in allowed, f"{room} may not import {name}"


def test_worlds_are_numpy_only() -> None:
    for path in (SOURCE / "worlds").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:  # inside a function an optional simulator may be loaded
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            roots = {name.split(".")[0] for name in names}
            assert not roots & {"torch", "scipy", "sklearn", "transformers", "gymnasium", "mujoco"}, (
                f"{path.name} imports {roots}"
            )


def test_no_study_imports_another_study() -> None:
    studies = SOURCE / "studies"
    for path in studies.rglob("*.py"):
        own = path.relative_to(studies).parts[0].removesuffix(".py")
        for name in imported_modules(path):
            parts = name.split(".")
            assert parts[1:2] != ["studies"] or len(parts) < 3 or parts[2] == own, f"{path.name} imports {name}"


LIGHT = """
import sys
{code}
heavy = {{"torch", "matplotlib", "cvxpy", "transformers", "scipy", "ray", "gymnasium"}} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.parametrize(
    "code",
    [
        "import assay",
        "import assay.cli.main as m\ntry:\n    m.main(['--help'])\nexcept SystemExit:\n    pass",
        "from assay.runner.discovery import studies\nassert studies().studies",
    ],
    ids=["import assay", "assay --help", "loading every study"],
)
def test_nothing_heavy_is_loaded_by(code: str) -> None:
    subprocess.run([sys.executable, "-c", LIGHT.format(code=code)], check=True, capture_output=True, timeout=60)
