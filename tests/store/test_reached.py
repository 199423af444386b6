"""What code reaches counts for its digest, and nothing else: construct by construct, and over random programs."""

import importlib
import random
import re
import sys
from pathlib import Path

import pytest

from assay.store import sources
from assay.store.sources import Sources

ROOT = "def measure(s, seeds):\n    return {}\n"
ONE = "def f():\n    return 1\n"
# In each package the edit of the first `1` must move the digest of house.a:measure.
REACHED = {
    "a method of a class": {"a": "class World:\n    def size(self):\n        return 1\n" + ROOT.format("World().size()")},
    "a base class": {
        "a": "from house.b import Base\nclass A(Base):\n    pass\n" + ROOT.format("A().x"),
        "b": "class Base:\n    x = 1\n",
    },
    "an attribute of a module": {"a": "from house import b\n" + ROOT.format("b.f()"), "b": ONE},
    "a dotted import": {"a": "import house.b\n" + ROOT.format("house.b.f()"), "b": ONE},
    "a module under another name": {"a": "import house.b as c\n" + ROOT.format("c.f()"), "b": ONE},
    "a module handed over": {"a": "from house import b\n" + ROOT.format("getattr(b, s)()"), "b": ONE},
    "a relative import": {"a": "from .b import f\n" + ROOT.format("f()"), "b": ONE},
    "a name passed on": {"a": "from house.b import f\n" + ROOT.format("f()"), "b": "from house.c import f\n", "c": ONE},
    "a star import": {"a": "from house.b import *\n" + ROOT.format("f()"), "b": ONE},
    "a star import passed on": {"a": "from house.b import f\n" + ROOT.format("f()"), "b": "from house.c import *\n", "c": ONE},
    "a star import in a function": {"a": "from house.b import f\n" + ROOT.format("f()"), "b": "from .c import *\n", "c": ONE},
    "an import under a condition": {
        "a": "try:\n    from house.b import f\nexcept ImportError:\n    f = None\n" + ROOT.format("f()"),
        "b": ONE,
    },
    "a second definition": {
        "a": "def f():\n    return 0\nif True:\n    def f():\n        return 1\n" + ROOT.format("f()"),
    },
    "an import in a function": {"a": "def measure(s, seeds):\n    from house import b\n    return b.f()\n", "b": ONE},
    "a registry filled by decorators": {
        "a": "import house.b\nfrom house.c import KNOWN\n" + ROOT.format("KNOWN['f']()"),
        "b": "from house.c import register\n@register\n" + ONE,
        "c": "KNOWN = {}\ndef register(f):\n    KNOWN[f.__name__] = f\n    return f\n",
    },
    "a registry filled by decorators with arguments": {
        "a": "import house.b\nfrom house.c import KNOWN\n" + ROOT.format("KNOWN['f']()"),
        "b": "from house.c import called\n@called('f')\n" + ONE,
        "c": "KNOWN = {}\ndef called(n):\n    def enter(f):\n        KNOWN[n] = f\n        return f\n    return enter\n",
    },
    "a registry filled by a call whose value is kept": {
        "a": "import house.b\nfrom house.c import KNOWN\n" + ROOT.format("KNOWN"),
        "b": "from house.c import register\nX = register(1)\n",
        "c": "KNOWN = []\ndef register(x):\n    return enter(x)\ndef enter(x):\n    KNOWN.append(x)\n    return x\n",
    },
    "a registry filled by a function that is handed over": {
        "a": "import house.b\nfrom house.c import KNOWN\n" + ROOT.format("KNOWN"),
        "b": "from house.c import enter\nX = list(map(enter, [1]))\n",
        "c": "KNOWN = []\ndef enter(x):\n    KNOWN.append(x)\n",
    },
    "a registry filled by a method": {
        "a": "import house.b\nfrom house.c import KNOWN\n" + ROOT.format("KNOWN.found"),
        "b": "from house.c import KNOWN\n@KNOWN.register\n" + ONE,
        "c": "class K:\n    found = []\n    def register(self, f):\n        self.found.append(f)\n        return f\n"
        "KNOWN = K()\n",
    },
    "a registry filled by the making of objects": {
        "a": "import house.b\nfrom house.c import K\n" + ROOT.format("K.found"),
        "b": "from house.c import K\nX = K(1)\n",
        "c": "class K:\n    found = []\n    def __init__(self, x):\n        K.found.append(x)\n",
    },
    "a list that another module adds to": {
        "a": "import house.b\nfrom house.c import X\n" + ROOT.format("sum(X)"),
        "b": "from house.c import X\nX.append(1)\n",
        "c": "X = []\n",
    },
    "an item that is set": {"a": "X = {}\nX['a'] = 1\n" + ROOT.format("X['a']")},
    "an attribute that is set": {
        "a": "from house import b, c\n" + ROOT.format("c.X"),
        "b": "from house import c\nc.X = 1\n",
        "c": "X = 0\n",
    },
    "a loop": {"a": "X = []\nfor i in range(1):\n    X += [i]\n" + ROOT.format("sum(X)")},
    "a loop that binds": {"a": "for i in range(3):\n    X = i + 1\n" + ROOT.format("X")},
    "a with that binds": {"a": "import contextlib\nwith contextlib.suppress():\n    X = 1\n" + ROOT.format("X")},
    "a walrus": {"a": "Y = (X := 1)\n" + ROOT.format("X")},
    "subclasses that announce themselves": {
        "a": "import house.b\nfrom house.c import Base\n" + ROOT.format("Base.all"),
        "b": "from house.c import Base\nclass A(Base):\n    x = 1\n",
        "c": "class Base:\n    all = []\n    def __init_subclass__(cls):\n        Base.all.append(cls)\n",
    },
    "subclasses that are asked for": {
        "a": "import house.b\nfrom house.c import Base\n" + ROOT.format("Base.__subclasses__()[0].x"),
        "b": "from house.c import Base\nclass A(Base):\n    x = 1\n",
        "c": "class Base:\n    pass\n",
    },
    "a metaclass": {
        "a": "import house.b\nfrom house.c import FOUND\n" + ROOT.format("FOUND"),
        "b": "from house.c import Meta\nclass A(metaclass=Meta):\n    x = 1\n",
        "c": "FOUND = []\nclass Meta(type):\n    def __init__(cls, *a):\n        FOUND.append(cls)\n",
    },
    "globals": {"a": "X = 1\n" + ROOT.format("globals()[s]")},
    "a module by its name": {
        "a": "from importlib import import_module\n" + ROOT.format("import_module('house.b').f()"),
        "b": ONE,
    },
    "a function by its name": {"a": "PLACE = 'house.b:f'\n" + ROOT.format("PLACE"), "b": ONE},
    "a module whose name is put together": {
        "a": "import importlib\n" + ROOT.format("importlib.import_module(f'house.{s}').f()"),
        "b": ONE,
    },
    "an annotation": {
        "a": "from house.b import S\ndef measure(s: 'list[S]', seeds):\n    return s[0].x()\n",
        "b": "class S:\n    def x(self):\n        return 1\n",
    },
    "a default": {"a": "N = 1\ndef measure(s, seeds, n=N):\n    return n\n"},
    "a decorator": {"a": "def twice(f):\n    return lambda *a: 1 + f(*a)\n@twice\n" + ROOT.format("2")},
    "a global that is counted up": {
        "a": "N = 1\ndef up():\n    global N\n    N += 2\ndef measure(s, seeds):\n    up()\n    return 0\n"
    },
    "a package's own module": {"__init__": "X = 1\n", "a": "import house\n" + ROOT.format("house.X")},
    "code of a package that acts": {"__init__": "import os\nos.environ['X'] = '1'\n", "a": ROOT.format("0")},
    "code of an imported module that acts": {"a": "import house.b\n" + ROOT.format("0"), "b": "import os\nos.umask(1)\n"},
    "the condition of an error": {"a": "def measure(s, seeds):\n    if s > 1:\n        raise ValueError('too many')\n"},
    "a number in an error": {"a": "def measure(s, seeds):\n    raise Diverged(1)\n"},
    "words of an error that a handler reads": {
        "a": "def f():\n    raise ValueError('1')\n"
        "def measure(s, seeds):\n    try:\n        f()\n    except ValueError as error:\n        return float(str(error))\n"
    },
    "words of an error that a handler decides by": {
        "a": "def f():\n    raise KeyError('1')\ndef measure(s, seeds):\n    try:\n        f()\n"
        "    except LookupError as error:\n        if 'a' in error.args:\n            raise TypeError from error\n"
        "        raise\n"
    },
    "a value that a generator is stopped with": {"a": "def measure(s, seeds):\n    raise StopIteration('1')\n"},
    "an error that a function picks": {
        "a": "from house.b import pick\ndef measure(s, seeds):\n    raise pick('1')\n",
        "b": "def pick(x):\n    return ValueError(x)\n",
    },
    "a docstring that is read": {"a": "def f():\n    '''1'''\n" + ROOT.format("float(f.__doc__)")},
    "the docstring of a module that is read": {"a": "'''1'''\n" + ROOT.format("float(__doc__)")},
    "a text": {"a": ROOT.format("'1'")},
    "what is done in a part": {
        "a": "from assay.core.progress import part\ndef measure(s, seeds):\n    with part(0, 0.5):\n        return 1\n"
    },
    "items gone over": {"a": "from assay.core.progress import parts\n" + ROOT.format("sum(parts([1]))")},
    "another function called progress": {"a": "def progress(x):\n    return x\n" + ROOT.format("progress(1)")},
}
# In each package the edit of the first `1` must not.
SPARED = {
    "a function that nobody calls": {"a": ONE + ROOT.format("0")},
    "another attribute of a module": {
        "a": "from house import b\n" + ROOT.format("b.g()"),
        "b": ONE + "def g():\n    return 0\n",
    },
    "another name of a module": {
        "a": "from house.b import g\n" + ROOT.format("g()"),
        "b": "X = 1\ndef g():\n    return 0\n",
    },
    "a registry that nobody loads": {"a": ROOT.format("0"), "b": "X = []\nX.append(1)\n"},
    "a claim": {"a": "from assay.claims.rules import Above\nCLAIMS = [Above(1)]\n" + ROOT.format("0")},
    "an experiment of a function that changes a module": {
        "a": "from assay.claims.study import Study\nN = 0\n"
        "def measure(s, seeds):\n    global N\n    N += 2\n    return N\nSTUDY = Study('1', measure)\n",
    },
    "what only a type checker sees": {
        "a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.b import S\n"
        "def measure(s: 'S', seeds):\n    return s\n",
        "b": "S = 1\n",
    },
    "words of an error": {
        "a": "def measure(s, seeds):\n    if not s:\n        raise ValueError(f'1 {s} is too few' + 'b')\n",
    },
    "words of an error of the laboratory": {
        "a": "from assay.core.errors import InputError, unknown_name\n"
        "def measure(s, seeds):\n    raise InputError(unknown_name('1', s, [], see='it'))\n"
    },
    "words of an error of its own": {"a": "class Lost(ValueError):\n    pass\ndef measure(s, seeds):\n    raise Lost('1')\n"},
    "words of an error that is passed on": {
        "a": "def measure(s, seeds):\n    try:\n        raise ValueError('1')\n"
        "    except ValueError as error:\n        raise TypeError(f'no; {error}') from error\n"
    },
    "words of an error while others are read": {
        "a": "def measure(s, seeds):\n    try:\n        raise ValueError('1')\n"
        "    except OSError as error:\n        return error.errno\n"
    },
    "words of an assertion": {"a": "def measure(s, seeds):\n    assert s, '1'\n"},
    "a label": {
        "a": "from assay.core.progress import part, parts, progress\ndef measure(s, seeds):\n    with part(0, 0.5, '1'):\n"
        "        progress(s, f'{s} of')\n    return [x for x in parts(s, label=lambda x: f'{x} of')]\n"
    },
    "a label of parts": {
        "a": "from assay.core.progress import parts\n" + ROOT.format("sum(parts(s, label=lambda x: f'1 {x}'))")
    },
    "a share": {"a": "from assay.core.progress import progress as tell\ndef measure(s, seeds):\n    tell(0.1)\n"},
    "a docstring": {"a": "def measure(s, seeds):\n    '''1'''\n    return 0\n"},
    "words below a field": {"a": "class S:\n    x: int = 0\n    '''1'''\ndef measure(s: S, seeds):\n    return s\n"},
    "a comment": {"a": ROOT.format("0  # 1")},
}


def _digest(folder: Path, files: dict[str, str]) -> str:
    (folder / "house").mkdir(parents=True)
    for name, text in {"__init__": "", **files}.items():
        (folder / "house" / f"{name}.py").write_text(text)
    assay = Path(sources.__file__).parents[1]
    return Sources({"house": folder / "house", "assay": assay}).digest(["house.a:measure"])


def _both(folder: Path, files: dict[str, str]) -> tuple[str, str]:
    name = next(name for name, text in files.items() if "1" in text)
    return _digest(folder / "a", files), _digest(folder / "b", files | {name: files[name].replace("1", "7", 1)})


@pytest.mark.parametrize("files", REACHED.values(), ids=REACHED)
def test_what_is_reached_counts(tmp_path: Path, files: dict[str, str]) -> None:
    before, after = _both(tmp_path, files)
    assert before != after


@pytest.mark.parametrize("files", SPARED.values(), ids=SPARED)
def test_what_is_not_reached_does_not(tmp_path: Path, files: dict[str, str]) -> None:
    before, after = _both(tmp_path, files)
    assert before == after


def test_layout_does_not_count(tmp_path: Path) -> None:
    texts = ("0 + 0", "0  +  (0)", "(0 + \\\n    0)", "(\n        # why\n        0 + 0\n    )")
    assert len({_digest(tmp_path / str(i), {"a": ROOT.format(text)}) for i, text in enumerate(texts)}) == 1


def _program(rng: random.Random) -> dict[str, str]:
    """Modules whose functions, classes, lists and registries use those of earlier modules in many ways."""
    files = {
        "__init__": "",
        "registry": "KNOWN = {}\nADDED = [0]\n\ndef register(f):\n    KNOWN[f.__name__] = f\n    return f\n",
    }
    known: list[tuple[str, str, str]] = []  # module, name, how its number is had
    for index in range(4):
        module, head, body = f"m{index}", list[str](), list[str]()
        for number in range(rng.randint(2, 4)):
            name, terms, inside = f"n{index}_{number}", [str(rng.randint(100, 999))], list[str]()
            for other, symbol, form in rng.sample(known, min(len(known), rng.randint(0, 2))):
                if other == module:
                    terms.append(form.format(symbol))
                    continue
                way, line, text = rng.choice(
                    [
                        (head, f"from prog.{other} import {symbol}", symbol),
                        (head, f"from prog import {other}", f"{other}.{symbol}"),
                        (head, f"import prog.{other} as p_{other}", f"p_{other}.{symbol}"),
                        (inside, f"from prog.{other} import {symbol} as inner_{symbol}", f"inner_{symbol}"),
                        (head, f"from prog.{other} import *", symbol),
                        (head, f"import prog.{other}", f"getattr(prog.{other}, '{symbol}')"),
                    ]
                )
                way.append(line)
                terms.append(form.format(text))
            statement, form = _statement(rng, name, " + ".join(terms), inside, head)
            body.append(statement)
            known.append((module, name, form))
        files[module] = "\n".join([*dict.fromkeys(head), "", *body, ""])
    module, name, form = rng.choice(known)
    files["study"] = f"from prog.{module} import {name}\n\ndef measure():\n    return 1000 + {form.format(name)}\n"
    return files


def _statement(rng: random.Random, name: str, total: str, inside: list[str], head: list[str]) -> tuple[str, str]:
    """A statement that gives `total` a name, and how the number is had from it."""
    kind = 0 if inside else rng.randint(0, 6)
    if kind == 1:
        return f"{name} = {total}", "{}"
    if kind == 2:
        return f"class {name}:\n    size = 0\n    def get(self):\n        return {total}", "{}().get()"
    if kind == 3:
        head.append("from prog.registry import KNOWN, register")
        entry = f"@register\ndef {name}_entry():\n    return {total}\n"
        return f"{entry}\ndef {name}():\n    return KNOWN['{name}_entry']()", "{}()"
    if kind == 4:
        head.append("from prog.registry import ADDED")
        return f"ADDED.append({total})\n{name} = ADDED", rng.choice(["{}[1]", "sum({})"])
    if kind == 5:
        return f"{name} = []\nfor i in range(2):\n    {name}.append({total})", "{}[-1]"
    if kind == 6:
        return f"try:\n    import prog.nowhere\nexcept ImportError:\n    {name} = {total}", "{}"
    return "\n".join([f"def {name}():", *(f"    {line}" for line in inside), f"    return {total}"]), "{}()"


def _number(root: Path) -> object:
    for name in [name for name in sys.modules if name.partition(".")[0] == "prog"]:
        del sys.modules[name]
    importlib.invalidate_caches()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        return importlib.import_module("prog.study").measure()


@pytest.mark.parametrize("seed", range(30))
def test_whatever_changes_the_number_changes_the_digest(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    files, spared, moved = _program(random.Random(seed)), 0, 0

    def state(given: dict[str, str], folder: str) -> tuple[object, str]:
        root = tmp_path / folder
        (root / "prog").mkdir(parents=True)
        for name, text in given.items():
            (root / "prog" / f"{name}.py").write_text(text)
        return _number(root), Sources({"prog": root / "prog"}).digest(["prog.study:measure"])

    number, before = state(files, "before")
    places = [(name, found.span()) for name, text in files.items() for found in re.finditer(r"\b\d{3}\b", text)]
    for index, (name, (start, end)) in enumerate(places):
        other, after = state(files | {name: files[name][:start] + "7654321" + files[name][end:]}, str(index))
        assert number == other or before != after, f"{name}:\n{files[name]}"
        spared += before == after
        moved += number != other
    assert moved
    assert spared or moved > 3  # most programs have something that nobody reaches
