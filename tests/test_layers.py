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
    "api",
    "report",
    "audit",
    "runner",
    "studies",
    "protocols",
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
    for path in studies.rglob("*/*/*.py"):
        own = path.relative_to(studies).parts[:2]
        for name in imported_modules(path):
            parts = tuple(name.split("."))
            assert parts[1:2] != ("studies",) or parts[2:4] == own, f"{path.relative_to(studies)} imports {name}"


# The rule of two: a file in a general room serves at least two of {studies, audit, command line, game files}; what serves one
# study lies in its folder.
GENERAL = ("protocols", "agents", "instruments", "training", "solvers", "models", "worlds")
GAME_FILES = (  # what "game files" means: the command, its readers and its solvers
    "cli/game.py",
    "solvers/games/dec_pomdp.py",
    "solvers/games/matrix.py",
    "solvers/games/sequential.py",
    "solvers/games/summary.py",
    "worlds/games/dec_pomdp.py",
    "worlds/games/fields.py",
    "worlds/games/files.py",
    "worlds/games/gambit_files.py",
    "worlds/games/matrix.py",
    "worlds/games/one_shot_files.py",
    "worlds/games/pomdp_files.py",
    "worlds/games/sequential.py",
    "worlds/games/sequential_files.py",
    "worlds/games/templates.py",
)
SERVE_ONE = {
    "models/pretrained/adding.py": "brings into the cache what every study and the audit load",
    "models/pretrained/convert.py": "part of adding",
    "instruments/entity_index/coreference.py": "lment alone; of one piece with names and postings, which the audit uses",
    "instruments/ngrams.py": "planned: palimpsestic-membership's text alone, and facts' sentences in a log",
    "instruments/pass_at_k.py": "what grades files of answers; planned: rlvr-two-stage",
    "models/emulated.py": "the audit of a product as if it were a tuned model; planned: emulated-fine-tuning",
    "models/tables.py": "planned: the exact arm of emulated-fine-tuning, and what others of its kind enumerate",
    "solvers/policy_flows.py": "planned: rlvr-two-stage and suboptimal-on-policy-preference",
    "instruments/displacement.py": "the audit of a preference file; planned: likelihood-displacement",
    "training/preference.py": "the audit of a preference file; planned: the four studies of preferences",
    "training/reinforcement.py": "planned: rlvr-two-stage and suboptimal-on-policy-preference",
    "training/closed_sets.py": "planned: the language models of rlvr-two-stage and suboptimal-on-policy-preference",
    "instruments/probes.py": "planned: situated-theory-of-mind reads the other player's next move off activations",
}


def served_by(path: Path) -> str | None:
    """Which of the four a file belongs to: a study, the audit, the command line or the game files; None for a general room."""
    parts = path.relative_to(SOURCE).parts
    if "/".join(parts) in GAME_FILES:
        return "game files"
    if parts[0] == "studies":
        return "/".join(parts[1:3]) if len(parts) > 3 else None
    return parts[0] if parts[0] in ("audit", "cli") else None


def test_a_general_room_serves_at_least_two() -> None:
    modules = {"assay." + ".".join(path.relative_to(SOURCE).with_suffix("").parts): path for path in FILES}
    modules |= {name.removesuffix(".__init__"): path for name, path in modules.items() if name.endswith(".__init__")}
    imports = {path: {modules[name] for name in imported_modules(path) if name in modules} for path in FILES}
    serves: dict[Path, set[str]] = {path: set() for path in FILES}
    for path in FILES:
        if (who := served_by(path)) is None:
            continue
        waiting, seen = [path], set[Path]()
        while waiting:
            for found in imports[waiting.pop()] - seen:
                if found.relative_to(SOURCE).parts[0] in GENERAL:
                    seen.add(found)
                    waiting.append(found)
        for found in seen:
            serves[found].add(who)
    alone = {
        path.relative_to(SOURCE).as_posix(): who
        for path, who in serves.items()
        if path.relative_to(SOURCE).parts[0] in GENERAL
        and path.name != "__init__.py"
        and path.relative_to(SOURCE).as_posix() not in (*GAME_FILES, *SERVE_ONE)
        and len(who) < 2
    }
    assert not alone, f"these serve one study alone and lie in a general room: {alone}; move them into its folder"
    unneeded = [name for name in SERVE_ONE if len(serves[SOURCE / name]) > 1]
    assert not unneeded, f"exempted although they serve two: {unneeded}"


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
        "import assay.cli.main as m\ntry:\n    m.main(['--help'])\nexcept SystemExit:\n    assert 'numpy' not in sys.modules",
        "from assay.runner.discovery import studies\nassert studies().studies",
    ],
    ids=["import assay", "assay --help", "loading every study"],
)
def test_nothing_heavy_is_loaded_by(code: str) -> None:
    subprocess.run([sys.executable, "-c", LIGHT.format(code=code)], check=True, capture_output=True, timeout=60)


def test_no_two_files_import_each_other_in_a_circle() -> None:
    """Over imports at the top and inside functions; what only a type checker sees does not count."""
    modules = {"assay." + ".".join(path.relative_to(SOURCE).with_suffix("").parts): path for path in FILES}
    modules |= {name.removesuffix(".__init__"): path for name, path in modules.items() if name.endswith(".__init__")}
    imports = {path: {modules[name] for name in run_time_imports(path) if name in modules} - {path} for path in FILES}
    circles = set()
    for start in FILES:
        waiting, seen = [start], set[Path]()
        while waiting:
            for found in imports[waiting.pop()] - seen:
                seen.add(found)
                waiting.append(found)
        if start in seen:
            circles.add(start.relative_to(SOURCE).as_posix())
    assert not circles, f"these import each other: {sorted(circles)}"


def run_time_imports(path: Path) -> set[str]:
    """The `assay.*` modules that a file imports when it runs: by name; a name taken from a module counts as that module."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for part in node.body
        for inner in ast.walk(part)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                lies = SOURCE.joinpath(*inner.split(".")[1:])
                found.add(inner if lies.is_dir() or lies.with_suffix(".py").is_file() else node.module or "")
    return {name for name in found if name.split(".")[0] == "assay"}
