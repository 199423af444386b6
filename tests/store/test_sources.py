"""The fingerprint of sources moves with what can move a number, and with nothing else."""

import ast
import copy
import functools
import importlib
import re
import shutil
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from assay.claims.study import Experiment
from assay.core.errors import InputError
from assay.core.settings import canonical_json
from assay.runner.discovery import studies
from assay.runner.fingerprint import symbols
from assay.store import sources
from assay.store.sources import Sources, symbols_of

STUDY = '''"""A study: does it?

Paper   Somebody, 2020.
"""

from assay.claims.rules import Above
from assay.core.seeds import Seeds

from house.constants import RATE
from house.figures import PALETTE

SIZE = 20  # how many
UNUSED = 3
CLAIMS = (Above(0.5), "a sentence")
FIGURE = (PALETTE, UNUSED)
DEPENDS = SIZE * 2


def measure(settings, seeds):
    """Measure it."""
    from house.heavy import train

    text = """a text

    with a blank line"""
    words = "words.txt"
    return train(DEPENDS, RATE, text, words)


STUDY = (measure, CLAIMS, FIGURE)
'''
FILES = {
    "house/__init__.py": "",
    "house/study.py": STUDY,
    "house/constants.py": '"""Numbers."""\nRATE = 0.1\nOTHER = 2\n',
    "house/figures.py": "PALETTE = 'blue'\n",
    "house/heavy.py": "import numpy\nfrom . import inner\n\ndef train(*a):\n    return inner.step(a)\n",
    "house/inner.py": "def step(a):\n    return a\n",
    "house/unrelated.py": "X = 1\n",
    "house/words.txt": "one two\n",
    "house/other.txt": "three\n",
}
Digest = Callable[..., str]


@pytest.fixture
def digest(tmp_path: Path) -> Digest:
    """The digest of the package `house` after edits (path: old, new), computed afresh each time."""
    count = 0

    def compute(
        edits: dict[str, tuple[str, str]] | None = None,
        files: dict[str, str] = FILES,
        symbols: tuple[str, ...] = ("house.study:measure",),
    ) -> str:
        nonlocal count
        count += 1
        root = tmp_path / str(count)
        for name, text in files.items():
            old, new = (edits or {}).get(name, ("", ""))
            assert old in text
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text.replace(old, new, 1) if old else text)
        assay = Path(sources.__file__).parents[1]
        return Sources({"house": root / "house", "assay": assay}).digest(symbols)

    return compute


def test_the_same_in_every_checkout(digest: Digest) -> None:
    assert digest() == digest()
    assert len(digest()) == 16


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("house/study.py", "does it?", "does it really?"),
        ("house/study.py", "Measure it.", "Measure all of it, ü.\n\n    At length.\n    "),
        ("house/study.py", "  # how many", "  # how many there are"),
        ("house/study.py", "SIZE = 20  # how many", "SIZE = 20"),
        ("house/study.py", "UNUSED = 3", "UNUSED = 4"),
        ("house/study.py", "a sentence", "a better sentence"),
        ("house/study.py", "\n\n\ndef", "\n# why\n\n\n\ndef"),
        ("house/study.py", "(measure, CLAIMS, FIGURE)", "(measure, CLAIMS)"),
        ("house/figures.py", "blue", "green"),
        ("house/constants.py", "Numbers", "More numbers"),
        ("house/constants.py", "OTHER = 2", "OTHER = 3"),
        ("house/unrelated.py", "1", "2"),
        ("house/other.txt", "three", "four"),
    ],
)
def test_what_no_number_depends_on_may_be_edited(digest: Digest, name: str, old: str, new: str) -> None:
    assert digest({name: (old, new)}) == digest()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("house/__init__.py", "", "import os\nos.environ.clear()\n"),
        ("house/study.py", "SIZE = 20", "SIZE = 21"),
        ("house/study.py", "SIZE * 2", "SIZE * 3"),
        ("house/study.py", "return train(", "return -train("),
        ("house/study.py", "a text\n\n", "a text\n"),
        ("house/study.py", "def measure(settings, seeds)", "@print\ndef measure(settings, seeds)"),
        ("house/constants.py", "0.1", "0.2"),
        ("house/heavy.py", "inner.step(a)", "inner.step(a, a)"),
        ("house/inner.py", "return a", "return -a"),
        ("house/words.txt", "two", "three"),
    ],
)
def test_whatever_a_number_may_depend_on_moves_it(digest: Digest, name: str, old: str, new: str) -> None:
    edited = dict(FILES)
    edited[name] = FILES[name].replace(old, new, 1) if old else new
    assert digest(files=edited) != digest()


FOLDER = {
    "house/__init__.py": "",
    "house/study/__init__.py": '"""A study."""\nfrom house.study.arm import measure\nfrom house.study.claims import CLAIMS\n'
    "STUDY = (measure, CLAIMS)\n",
    "house/study/claims.py": "CLAIMS = ('a', 'b')\nMARGIN = 0.1\n",
    "house/study/arm.py": "from house.study.common import N_FACTS\n\ndef measure(s, seeds):\n    return N_FACTS\n",
    "house/study/common.py": "BASE = 2\nN_FACTS = BASE * 3\nUNUSED = 4\n",
    "house/study/other_arm.py": "def measure(s, seeds):\n    return 1\n",
}


@pytest.mark.parametrize(
    ("name", "old", "new", "same"),
    [
        ("house/study/claims.py", "'a'", "'A'", True),
        ("house/study/common.py", "UNUSED = 4", "UNUSED = 5", True),
        ("house/study/other_arm.py", "return 1", "return 2", True),
        ("house/study/common.py", "BASE = 2", "BASE = 3", False),
        ("house/study/arm.py", "return N_FACTS", "return -N_FACTS", False),
    ],
)
def test_a_study_in_a_folder(digest: Digest, name: str, old: str, new: str, same: bool) -> None:
    """Claims may be reworded, another arm's code edited; a constant of a sibling counts when it is used."""
    arm = {"files": FOLDER, "symbols": ("house.study.arm:measure",)}
    assert (digest({name: (old, new)}, **arm) == digest(**arm)) is same


def test_claims_that_code_uses_count(digest: Digest) -> None:
    used = FOLDER | {
        "house/study/arm.py": "from house.study.claims import MARGIN\n\ndef measure(s, seeds):\n    return MARGIN\n"
    }
    arm = {"files": used, "symbols": ("house.study.arm:measure",)}
    assert digest({"house/study/claims.py": ("0.1", "0.2")}, **arm) != digest(**arm)
    assert digest({"house/study/claims.py": ("'a'", "'A'")}, **arm) == digest(**arm)


def test_code_that_may_reach_any_name_lets_nothing_go(digest: Digest) -> None:
    reflecting = FILES | {"house/study.py": STUDY.replace("return train(", "return globals()['UNUSED'] + train(")}
    assert digest({"house/study.py": ("UNUSED = 3", "UNUSED = 4")}, files=reflecting) != digest(files=reflecting)


def test_the_version_of_the_assay_rooms_counts() -> None:
    """A study that uses Seeds depends on that room; the rooms that only declare and judge never count."""
    study = "assay.studies.games.off_switch_game.examples"
    importlib.import_module(study)
    found = set(Sources().reached([study]))
    assert {study, "assay.core.seeds", "assay.solvers.games.pairs"} <= found
    rooms = {name.split(".")[1] for name in found if name != "assay"}
    assert not rooms & {"audit", "claims", "cli", "models", "report", "runner", "store"}
    assert not {"assay.core.errors", "assay.core.progress", "assay.core.text", "assay.core.memory"} & found


def test_packages_of_others_may_be_loaded_or_not(digest: Digest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that has run another experiment has more packages loaded than its driver."""
    files = FILES | {"house/heavy.py": "from elsewhere import tools\n\ndef train(*a):\n    return tools.step(a)\n"}
    before = digest(files=files)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "tools.py").write_text("def step(a):\n    return a\n")
    loaded = types.ModuleType("elsewhere")
    loaded.__path__ = [str(tmp_path / "elsewhere")]
    monkeypatch.setitem(sys.modules, "elsewhere", loaded)
    assert digest(files=files) == before


def test_a_module_without_source_is_named(digest: Digest) -> None:
    with pytest.raises(InputError, match=r"module 'house\.nowhere' has none"):
        digest(symbols=("house.nowhere:measure",))
    with pytest.raises(InputError, match=r"study\.py"):
        digest(files=FILES | {"house/study.py": "def ("})


def test_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = sources.source_digest(["assay.core.seeds:Seeds"])
    monkeypatch.setattr(sources, "_imported", None)
    assert sources.source_digest(["assay.core.seeds:Seeds"]) == first
    assert len(first) == 16


class Tree:
    """A copy of Assay's own sources, and the digests of all experiments of all studies in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(Path(sources.__file__).parents[1], root, ignore=shutil.ignore_patterns("__pycache__"))
        self.symbols = {
            f"{study.slug}/{experiment.name}": symbols(experiment)
            for study in studies().studies.values()
            for experiment in study.experiments
            if experiment.has_runs
        }
        self.sources = Sources({"assay": root})
        self.before = {name: self.sources.digest(found) for name, found in self.symbols.items()}

    def files(self, *patterns: str) -> dict[Path, str]:
        """The text of each file."""
        return {path: path.read_text() for pattern in patterns for path in sorted(self.root.glob(pattern))}

    def stale(self, edits: dict[Path, str], symbols: Mapping[str, Sequence[str]] | None = None) -> set[str]:
        """The experiments whose stored runs would be stale after these edits; or of other code, which of it has changed."""
        kept = {path: path.read_text() for path in edits}
        assert edits
        edited = copy.copy(self.sources)
        try:
            for path, text in edits.items():
                assert text != kept[path]
                path.write_text(text)
                edited.forget(path)
            before = {name: self.sources.digest(found) for name, found in symbols.items()} if symbols else self.before
            return {name for name, found in (symbols or self.symbols).items() if edited.digest(found) != before[name]}
        finally:
            for path, text in kept.items():
                path.write_text(text)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree(tmp_path_factory.mktemp("tree") / "assay")


Choose = Callable[[ast.AST], list[ast.AST]]


def _reworded(text: str, choose: Choose) -> str:
    """The source with a comma added to every plain text below the nodes that are chosen."""
    found = {
        (inner.end_lineno, inner.end_col_offset)
        for node in ast.walk(ast.parse(text))
        for chosen in choose(node)
        for inner in _plain(chosen)
        if isinstance(inner.value, str)
    }
    lines = [line.encode() for line in text.split("\n")]
    for last, end in sorted(found, reverse=True):
        assert last is not None
        assert end is not None
        line, marks = lines[last - 1], 3 if lines[last - 1][:end].endswith(b'"""') else 1
        lines[last - 1] = line[: end - marks] + b"," + line[end - marks :]
    return b"\n".join(lines).decode()


def _plain(node: ast.AST) -> Iterator[ast.Constant]:
    if isinstance(node, ast.Constant):
        yield node
    elif not isinstance(node, ast.JoinedStr):
        for child in ast.iter_child_nodes(node):
            yield from _plain(child)


def _raised(node: ast.AST) -> list[ast.AST]:
    return [node.exc] if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) else []


def _claimed(node: ast.AST) -> list[ast.AST]:
    records = {"Arm", "Claim", "Control", "Estimand", "Experiment", "Figure", "Headline", "Paper"}
    said = {"at", "margin", "paper", "paper_value", "question", "says", "source", "title", "why"}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in records:
        return [keyword.value for keyword in node.keywords if keyword.arg in said]
    return []


def _documented(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
        return [node.body[0]]
    return []


def _progress(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("part", "progress"):
        return list(node.args)
    return []


@pytest.mark.parametrize(
    ("choose", "patterns"),
    [
        (_raised, ["models/decoder.py"]),
        (_raised, ["studies/**/*.py"]),
        (_raised, [f"{room}/**/*.py" for room in ("agents", "core", "instruments", "solvers", "training", "worlds")]),
        (_claimed, ["studies/**/*.py"]),
        (_documented, ["**/*.py"]),
        (_progress, ["**/*.py"]),
    ],
    ids=["errors of the decoder", "errors of studies", "errors of rooms", "claims", "docstrings", "progress"],
)
def test_rewording_stales_nothing(tree: Tree, choose: Choose, patterns: list[str]) -> None:
    reworded = {path: (text, _reworded(text, choose)) for path, text in tree.files(*patterns).items()}
    assert tree.stale({path: new for path, (old, new) in reworded.items() if new != old}) == set()


def test_a_comma_in_an_error_text_of_the_core_stales_nothing(tree: Tree) -> None:
    path = tree.root / "core" / "errors.py"
    assert tree.stale({path: path.read_text().replace("; did you mean", ", did you mean")}) == set()


@pytest.mark.parametrize("name", ["errors", "memory", "progress", "text"])
def test_rooms_that_never_count(tree: Tree, name: str) -> None:
    path = tree.root / "core" / f"{name}.py"
    assert tree.stale({path: path.read_text() + "\n\nEXTRA = 1\nprint(EXTRA)\n"}) == set()


def test_comments_and_the_rooms_above_stale_nothing(tree: Tree) -> None:
    edits = {path: text + "\n\n# The end.\n" for path, text in tree.files("**/*.py").items()}
    above = tree.files(*(f"{room}/**/*.py" for room in ("audit", "claims", "cli", "report", "runner")))
    edits |= {path: text + "\n\nEXTRA = print(1)\n" for path, text in above.items()}
    assert tree.stale(edits) == set()


def test_the_numbers_of_presets_stale_nothing(tree: Tree) -> None:
    def changed(text: str) -> str:
        calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
        lines = text.split("\n")
        for call in calls:
            for keyword in call.keywords if isinstance(call.func, ast.Name) and call.func.id == "Preset" else ():
                if keyword.arg == "n_runs" and isinstance(keyword.value, ast.Constant):
                    line, at = lines[keyword.value.lineno - 1], keyword.value.col_offset
                    lines[keyword.value.lineno - 1] = line[:at] + "1" + line[at:]
        return "\n".join(lines)

    edits = {path: (text, changed(text)) for path, text in tree.files("studies/**/*.py").items()}
    assert tree.stale({path: new for path, (old, new) in edits.items() if new != old}) == set()


def test_rewording_claims_keeps_what_is_memoised(tree: Tree) -> None:
    """Every function of a study that keeps something has the same digest when the claims say something else."""
    builders = [
        f"assay.{'.'.join(path.relative_to(tree.root).with_suffix('').parts)}:{node.name}"
        for path, text in tree.files("studies/**/*.py", "protocols/**/*.py").items()
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef) and re.search(r"\bmemoised(_json)?\(", ast.get_source_segment(text, node) or "")
    ]
    assert builders
    reworded = {path: (text, _reworded(text, _claimed)) for path, text in tree.files("studies/**/*.py").items()}
    assert (
        tree.stale(
            {path: new for path, (old, new) in reworded.items() if new != old}, {builder: [builder] for builder in builders}
        )
        == set()
    )


def test_a_changed_measure_stales_exactly_its_experiments(tree: Tree) -> None:
    """A statement added to a measured function of each study, one study after the other."""
    measured: dict[str, set[str]] = {}
    for study in studies().studies.values():
        for experiment in study.experiments:
            for function in set(symbols(experiment) if experiment.has_runs else ()) & set(_functions(experiment)):
                measured.setdefault(function, set()).add(f"{study.slug}/{experiment.name}")
    one_of_each = {min(names).partition("/")[0]: function for function, names in measured.items()}
    assert len(one_of_each) == len(studies().studies)
    for function in one_of_each.values():
        module, _, name = function.partition(":")
        path = tree.sources.path(module)
        assert path is not None
        lines = path.read_text().split("\n")
        node = next(one for one in ast.parse("\n".join(lines)).body if isinstance(one, ast.FunctionDef) and one.name == name)
        lines.insert(node.body[-1].lineno - 1, " " * node.body[-1].col_offset + "added = 1")
        assert tree.stale({path: "\n".join(lines)}) == measured[function], function


def _functions(experiment: Experiment) -> list[str]:
    given = [function for function in (experiment.measure, experiment.measure_many) if function is not None]
    return [name for function in given for name in ([function] if isinstance(function, str) else symbols_of(function))]


def test_a_constant_stales_the_experiments_that_use_it(tree: Tree) -> None:
    path = tree.root / "stats" / "units.py"
    uses = {name for name, found in tree.symbols.items() if "assay.stats.units" in tree.sources.reached(found)}
    assert tree.stale({path: path.read_text() + "\n\nprint(1)\n"}) >= uses


# Functions as they are found in a process.


def outer(number: int, held: Callable[..., object]) -> Callable[[], object]:
    def inner() -> object:
        return number, held

    return inner


def held() -> int:
    return 1


class CallMe:
    def __call__(self) -> int:
        return 1


def test_symbols_of_what_a_function_holds_on_to() -> None:
    here = __name__
    assert symbols_of(held) == [f"{here}:held"]
    assert symbols_of(outer(1, held)) == [f"{here}:held", f"{here}:outer"]
    assert symbols_of(functools.partial(outer, 1, held)) == [f"{here}:held", f"{here}:outer"]
    assert symbols_of(CallMe()) == [f"{here}:CallMe"]
    assert symbols_of(CallMe().__call__) == [f"{here}:CallMe"]
    assert symbols_of(functools.cache(held)) == [f"{here}:held"]
    assert symbols_of(outer(1, functools.partial(canonical_json, {}))) == [
        "assay.core.settings:canonical_json",
        f"{here}:outer",
    ]
    assert symbols_of(lambda: 1) == [f"{here}:test_symbols_of_what_a_function_holds_on_to"]
