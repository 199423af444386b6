"""The fingerprint of sources moves with what can move a number, and with nothing else."""

import importlib
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.core.errors import InputError
from assay.store import sources

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
def digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Digest:
    """The digest of the package `house` after edits (path: old, new), computed afresh each time."""
    count = 0

    def compute(
        edits: dict[str, tuple[str, str]] | None = None,
        files: dict[str, str] = FILES,
        modules: tuple[str, ...] = ("house.study",),
        own: str = "house.study",
    ) -> str:
        nonlocal count
        count += 1
        root = tmp_path / str(count)
        for name, text in files.items():
            old, new = (edits or {}).get(name, ("", ""))
            assert old in text
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text.replace(old, new, 1) if old else text)
        package = types.ModuleType("house")
        package.__path__ = [str(root / "house")]
        package.__file__ = str(root / "house" / "__init__.py")
        monkeypatch.setitem(sys.modules, "house", package)
        for cached in (sources._digest, sources._source, sources._files_below):
            cached.cache_clear()
        return sources.source_digest(modules, own=own)

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
        ("house/unrelated.py", "1", "2"),
        ("house/other.txt", "three", "four"),
    ],
)
def test_what_no_number_depends_on_may_be_edited(digest: Digest, name: str, old: str, new: str) -> None:
    assert digest({name: (old, new)}) == digest()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("house/__init__.py", "", "import os\n"),
        ("house/study.py", "SIZE = 20", "SIZE = 21"),
        ("house/study.py", "SIZE * 2", "SIZE * 3"),
        ("house/study.py", "return train(", "return -train("),
        ("house/study.py", "a text\n\n", "a text\n"),
        ("house/study.py", "def measure(settings, seeds)", "@print\ndef measure(settings, seeds)"),
        ("house/constants.py", "0.1", "0.2"),
        ("house/constants.py", "OTHER = 2", "OTHER = 3"),  # a shared module counts as a whole
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
    arm = {"files": FOLDER, "modules": ("house.study.arm",), "own": "house.study"}
    assert (digest({name: (old, new)}, **arm) == digest(**arm)) is same


def test_claims_that_code_uses_count(digest: Digest) -> None:
    used = FOLDER | {
        "house/study/arm.py": "from house.study.claims import MARGIN\n\ndef measure(s, seeds):\n    return MARGIN\n"
    }
    arm = {"files": used, "modules": ("house.study.arm",), "own": "house.study"}
    assert digest({"house/study/claims.py": ("0.1", "0.2")}, **arm) != digest(**arm)
    assert digest({"house/study/claims.py": ("'a'", "'A'")}, **arm) == digest(**arm)


def test_code_that_may_reach_any_name_lets_nothing_go(digest: Digest) -> None:
    reflecting = FILES | {"house/study.py": STUDY.replace("return train(", "return globals()['UNUSED'] + train(")}
    assert digest({"house/study.py": ("UNUSED = 3", "UNUSED = 4")}, files=reflecting) != digest(files=reflecting)


def test_the_version_of_the_assay_rooms_counts(digest: Digest) -> None:
    """The study uses Seeds, so that room is part of it; the rooms that only declare and judge are not."""
    digest()
    found = set[str]()
    original = sources._path

    def spy(name: str) -> Path | None:
        path = original(name)
        found.update({name} if path else ())
        return path

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "_path", spy)
        digest(files=FILES | {"house/study.py": STUDY.replace("return train(", "Seeds\n    return train(")})
    assert "assay.core.seeds" in found
    assert not [name for name in found if name.startswith("assay.claims")]
    assert "numpy" not in found


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


def test_the_rooms_above_the_studies_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's face leads to the audit; a study must not be stale whenever the audit changes."""
    found = set[str]()
    original = sources._source

    def spy(path: Path, name: str) -> sources._Source:
        found.add(name)
        return original(path, name)

    monkeypatch.setattr(sources, "_source", spy)
    sources._digest.cache_clear()
    study = "assay.studies.games.off_switch_game.examples"
    importlib.import_module(study)
    sources.source_digest([study], own=study)
    assert {study, "assay", "assay.solvers.games.pairs"} <= found
    assert not [name for name in found if name.split(".")[1:2] in (["audit"], ["runner"], ["report"], ["cli"], ["models"])]


def test_a_module_without_source_is_named(digest: Digest) -> None:
    with pytest.raises(InputError, match=r"module 'house\.nowhere' has none"):
        digest(modules=("house.nowhere",))
    with pytest.raises(InputError, match=r"study\.py"):
        digest(files=FILES | {"house/study.py": "def ("})


def test_computed_once(digest: Digest, monkeypatch: pytest.MonkeyPatch) -> None:
    first = digest()
    monkeypatch.setattr(sources, "_path", None)
    assert sources.source_digest(("house.study",), own="house.study") == first
