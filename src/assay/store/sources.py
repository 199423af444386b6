"""What version of the code computed something: a digest over the statements that could have changed the numbers.

Starting from the functions that compute, every top-level statement (function, class, assignment) is taken that they reach by
name, in Assay and in their own package, through imports at the top and inside functions; so are the data files that those
statements name. A statement that does more than bind names (a call, a loop, a decorator or class that enters itself somewhere)
counts wherever its module is loaded. Where it cannot be told what is reached, the whole module counts.

Never counted are comments, docstrings and layout; the words of errors that are raised; what progress says; and the rooms that
declare, judge, keep and show. Claims, presets and figures are reached by no function that computes, so they can be reworded
without making a row stale (a claim has a digest of its own, settings are part of a run's address). Packages of others are not
read; their versions stand in a run's environment.
"""

import ast
import dataclasses
import functools
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import FunctionType, MethodType, ModuleType

from assay.core import errors
from assay.core.errors import AssayError, InputError
from assay.store.statements import EVERYTHING, PROGRESS, Module, Statement, ancestors, enters, read_module

__all__ = ["Sources", "source_digest", "symbols_of"]

_NEVER = (
    "assay.api",
    "assay.audit",
    "assay.claims",
    "assay.cli",
    "assay.core.errors",
    "assay.core.memory",
    PROGRESS,
    "assay.core.text",
    "assay.report",
    "assay.runner",
    "assay.store",
)
_WINGS = "assay.studies"  # the package around all studies, which computes nothing itself
_CODE = (FunctionType, MethodType, functools.partial)
_DEEPEST = 4  # how far functions are looked for in what a function holds on to


def source_digest(symbols: Iterable[str]) -> str:
    """Sixteen hexadecimal digits over the sources of `symbols` and of whatever they reach in their packages and in Assay.

    The same in every checkout of the same sources. Computed once per process.

    Args:
        symbols: "package.module:function" (or a class or value), or "package.module" for all of it.

    Raises:
        InputError: a module's source is not a readable Python file.
    """
    return _digest(tuple(sorted(set(symbols))))


@functools.cache
def _digest(symbols: tuple[str, ...]) -> str:
    return _imported().digest(symbols)


@functools.cache
def _imported() -> "Sources":
    return Sources()


def symbols_of(function: object) -> list[str]:
    """What `source_digest` starts from for a function: its name, and those of all functions and classes that it holds on to.

    Seen are the parts of a partial function, a closure's variables, defaults, what a decorator wraps, a method's object.
    """
    found: set[str] = set()
    seen: set[int] = set()
    waiting = [(function, 0)]
    while waiting:
        one, depth = waiting.pop()
        if id(one) in seen or depth > _DEEPEST:
            continue
        seen.add(id(one))
        inner: list[object] = []
        if isinstance(one, functools.partial):
            inner = [one.func, *one.args, *one.keywords.values()]
        elif isinstance(one, MethodType):
            inner = [one.__func__, one.__self__]
        elif isinstance(one, ModuleType):
            found.add(one.__name__)
        elif isinstance(one, FunctionType):
            found.add(_symbol(one))
            for cell in one.__closure__ or ():
                try:
                    inner.append(cell.cell_contents)
                except ValueError:  # not filled yet
                    continue
            inner += [*(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).values(), getattr(one, "__wrapped__", None)]
        elif isinstance(one, type):
            found.add(_symbol(one))
        elif isinstance(one, Mapping):
            inner = [*one.keys(), *one.values()] if len(one) <= 1000 else []
        elif isinstance(one, (tuple, list, set, frozenset)):
            inner = list(one) if len(one) <= 1000 else []
        elif hasattr(one, "__wrapped__"):  # a cache
            inner = [one.__wrapped__]
        elif type(one).__module__ != "builtins":
            inner = [type(one)]
            if callable(one):
                inner += [part for part in getattr(one, "__dict__", {}).values() if isinstance(part, _CODE)]
        waiting += [(part, depth + 1) for part in inner if part is not None]
    packages = {"assay", *(name.partition(".")[0] for name in _modules_of(function))}
    return sorted(name for name in found if name.partition(":")[0].partition(".")[0] in packages)


def _modules_of(function: object) -> Iterator[str]:
    """The modules of a function and, of a partial function, of its parts: their packages are read, those of others not."""
    if isinstance(function, functools.partial):
        for part in (function.func, *function.args, *function.keywords.values()):
            yield from _modules_of(part)
    elif callable(function):
        yield str(getattr(function, "__module__", None) or type(function).__module__)


def _symbol(one: Callable[..., object]) -> str:
    name = one.__qualname__.partition(".")[0]
    return f"{one.__module__}:{name}" if name.isidentifier() else one.__module__


class Sources:
    """The modules of some packages, read when they are needed.

    Args:
        folders: where a top-level package lies; None for where it was imported from.
    """

    def __init__(self, folders: Mapping[str, Path] | None = None) -> None:
        self._folders = folders
        self._modules: dict[str, Module | None] = {}
        self._paths: dict[str, Path | None] = {}
        self._harmless: dict[object, set[Statement]] = {}

    def forget(self, path: Path) -> None:
        """Read a file again when it is next needed, because it was edited."""
        self._modules = {name: module for name, module in self._modules.items() if module is None or module.path != path}
        self._harmless = {}

    def digest(self, symbols: Iterable[str]) -> str:
        """See `source_digest`."""
        return self._closure(symbols).digest()

    def reached(self, symbols: Iterable[str]) -> dict[str, list[Statement]]:
        """The statements that count, by module, in their order."""
        return self._closure(symbols).kept

    def _closure(self, symbols: Iterable[str]) -> "_Closure":
        closure = _Closure(self, symbols)
        closure.follow()
        return closure

    def harmless(self, packages: Iterable[str], never: Iterable[str]) -> set[Statement]:
        """Statements known to reach nothing that changes a module, if these packages are followed and these rooms are not."""
        return self._harmless.setdefault((frozenset(packages), frozenset(never)), set())

    def module(self, name: str) -> Module | None:
        """The module of that name; None if none lies there."""
        if name not in self._modules:
            path = self.path(name)
            self._modules[name] = None if path is None else read_module(path, name)
        return self._modules[name]

    def path(self, name: str) -> Path | None:
        """The file of a module, found below its top-level package without importing anything; None if it is not a module."""
        if name not in self._paths:
            self._paths[name] = self._look_for(name)
        return self._paths[name]

    def _look_for(self, name: str) -> Path | None:
        top, *rest = name.split(".")
        if self._folders is not None:
            folder = self._folders.get(top)
            places = [] if folder is None else [str(folder)]
            file: str | None = None if folder is None else str(folder / "__init__.py")
        else:
            root = sys.modules.get(top)
            places, file = list(getattr(root, "__path__", [])), getattr(root, "__file__", None)
        if not rest:
            return Path(file) if file and file.endswith(".py") else None
        for place in places:
            package = Path(place).joinpath(*rest)
            for candidate in (package / "__init__.py", package.with_name(package.name + ".py")):
                if candidate.is_file():
                    return candidate
        return None

    def below(self, package: str) -> list[str]:
        """The modules of a package, those of its packages included."""
        path = self.path(package)
        if path is None or path.name != "__init__.py":
            return []
        inner = [file.relative_to(path.parent).with_suffix("").parts for file in path.parent.rglob("*.py")]
        return sorted(".".join([package, *(part for part in parts if part != "__init__")]) for parts in inner)


@dataclasses.dataclass(frozen=True)
class _Want:
    """Something that code means by a dotted name: of a module, this (`*`: all of it)."""

    module: str
    path: str


class _Closure:
    """What is reached from some symbols."""

    def __init__(self, sources: Sources, symbols: Iterable[str]) -> None:
        self._sources = sources
        self._roots = [_Want(name, symbol or EVERYTHING) for name, _, symbol in (text.partition(":") for text in symbols)]
        self._packages = {"assay", *(root.module.partition(".")[0] for root in self._roots)}
        # Whoever computes in one of the rooms that else declare and show (the audit) is followed there.
        self._never = tuple(room for room in _NEVER if not any(_lies_in(root.module, [room]) for root in self._roots))
        self._wanted: set[_Want] = set()
        self._waiting: list[_Want] = []
        self._loaded: set[str] = set()
        self._kept: dict[str, set[Statement]] = {}
        self._lists_subclasses = False

    @property
    def kept(self) -> dict[str, list[Statement]]:
        """The statements that count, by module, in their order."""
        return {name: sorted(found, key=lambda one: one.place) for name, found in sorted(self._kept.items())}

    def follow(self) -> None:
        """Collect all that is reached."""
        for root in self._roots:
            if self._module(root.module) is None:
                raise InputError(
                    f"the source of a study must be a readable Python file; module '{root.module}' has none. "
                    "Install it unpacked"
                )
        self._waiting = list(self._roots)
        while self._waiting:
            want = self._waiting.pop()
            if want not in self._wanted:
                self._wanted.add(want)
                self._load(want.module)
                if (module := self._module(want.module)) is not None:
                    for statement in self._meant(want):
                        self._keep(module, statement)
                    self._waiting += self._further(want)
            if not self._waiting:
                self._keep_subclasses()

    def digest(self) -> str:
        """Sixteen hexadecimal digits over it."""
        statements = [statement for found in self._kept.values() for statement in found]
        docstrings = any(statement.reads_docstrings for statement in statements)
        looked_at = frozenset[str]().union(*(statement.reads_errors for statement in statements))
        worded = frozenset(
            name for one in statements for name in one.raised if looked_at and self._may_be(name, looked_at, statements)
        )
        worded |= {name for one in statements for name in one.raised if not self._is_error(name, statements)}
        whole = hashlib.sha256()
        for name, found in self.kept.items():
            module = self._module(name)
            assert module is not None
            inner = "".join(one.digest(docstrings=docstrings, worded=worded) for one in found)
            whole.update(f"{name}\0{inner}\0".encode())
            for file in _data_files(module, found):
                whole.update(f"{file.name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
        return whole.hexdigest()[:16]

    # Errors, by the names of their classes

    def _is_error(self, name: str, statements: Iterable[Statement]) -> bool:
        """Whether a class is known to be an error and nothing else, whose words only a handler could look at."""
        found = self._ancestors(name, statements)
        return found is not None and "Exception" in found and not found & {"StopIteration", "StopAsyncIteration"}

    def _may_be(self, name: str, looked_at: frozenset[str], statements: Iterable[Statement]) -> bool:
        found = self._ancestors(name, statements)
        return found is None or bool(found & looked_at)

    def _ancestors(self, name: str, statements: Iterable[Statement]) -> frozenset[str] | None:
        known = getattr(errors, name, None)
        if isinstance(known, type) and issubclass(known, AssayError):
            return frozenset(kind.__name__ for kind in known.__mro__)
        if (own := ancestors(name)) is not None:
            return own
        found: set[str] = {name}
        classes = [one for one in statements if name in one.binds and one.bases]
        for one in classes:
            for base in one.bases:
                above = self._ancestors(base.rpartition(".")[2], statements) if base != name else None
                if above is None:
                    return None
                found |= above
        return frozenset(found) if classes else None

    # Walking

    def _module(self, name: str) -> Module | None:
        if name.partition(".")[0] not in self._packages or name == _WINGS or _lies_in(name, self._never):
            return None
        return self._sources.module(name)

    def _load(self, name: str) -> None:
        """What happens when a module is imported: its packages and its own imports are loaded, and what acts counts."""
        waiting = [name]
        while waiting:
            name = waiting.pop()
            if name in self._loaded:
                continue
            self._loaded.add(name)
            waiting += [name.rpartition(".")[0]] if "." in name else []
            module = self._module(name)
            if module is None:
                continue
            for statement in module.statements:
                for one in statement.imports:
                    waiting += [one.module, f"{one.module}.{one.attribute}"] if one.attribute else [one.module]
                if statement.acts or self._acts(module, statement):
                    self._keep(module, statement)

    def _keep(self, module: Module, statement: Statement) -> None:
        kept = self._kept.setdefault(module.name, set())
        if statement not in kept:
            kept.add(statement)
            self._waiting += self._wants(module, statement)
            self._lists_subclasses = self._lists_subclasses or "__subclasses__" in statement.names

    def _keep_subclasses(self) -> None:
        """Every class that inherits, where code asks which there are."""
        for name in list(self._loaded) if self._lists_subclasses else ():
            if (module := self._module(name)) is not None:
                for statement in module.statements:
                    if statement.bases:
                        self._keep(module, statement)

    def _meant(self, want: _Want) -> list[Statement]:
        """The statements of its module that a want speaks of."""
        module = self._module(want.module)
        if module is None:
            return []
        head = want.path.partition(".")[0]
        everything = [one for one in module.statements if one.binds != {"__doc__"}]
        if head == EVERYTHING:
            return everything
        if head in module.binding:
            return module.binding[head]
        if head in ("__name__", "__package__", "__doc__") or self._sources.path(f"{module.name}.{head}") is not None:
            return []
        if any(self._binds(star, head) for star in module.stars):
            return [one for one in module.statements if any(name.bound == EVERYTHING for name in one.imports)]
        return module.binding.get("__getattr__", everything)

    def _further(self, want: _Want) -> Iterator[_Want]:
        """What a want means in other modules: where its module imports it from, or a module below."""
        module = self._module(want.module)
        if module is None:
            return
        head, _, tail = want.path.partition(".")
        if head == EVERYTHING:  # what it imports is had by name, except all names at once
            yield from (_Want(star, EVERYTHING) for star in module.stars)
            return
        bound = module.binding.get(head, [])
        for statement in bound:
            for one in statement.imports:
                if one.head == head:
                    yield _Want(*one.wants(want.path))
        if self._sources.path(f"{module.name}.{head}") is not None:
            yield _Want(f"{module.name}.{head}", tail or EVERYTHING)
        elif head == "__path__":
            yield from (_Want(name, EVERYTHING) for name in self._sources.below(module.name))
        elif not bound:
            yield from (_Want(star, want.path) for star in module.stars if self._binds(star, head))

    def _wants(self, module: Module, statement: Statement) -> Iterator[_Want]:
        """What a statement needs."""
        used = set()
        for chain in statement.chains:
            head = chain.partition(".")[0]
            if head in module.binding:
                yield _Want(module.name, chain)
            else:
                yield from (_Want(star, chain) for star in module.stars if self._binds(star, head))
            for one in statement.local_imports:
                if one.head == head:
                    used.add(one)
                    yield _Want(*one.wants(chain))
        for one in statement.local_imports:
            if one not in used:
                yield _Want(one.module, one.attribute or EVERYTHING)
        if statement.reflects:
            yield _Want(module.name, EVERYTHING)
        for text in statement.strings:
            name, _, symbol = text.partition(":")
            if "." in name and name.partition(".")[0] in self._packages and _is_dotted(name) and self._sources.path(name):
                yield _Want(name, symbol or EVERYTHING)
        for package in statement.packages_by_name:
            if package.partition(".")[0] in self._packages:
                yield from (_Want(name, EVERYTHING) for name in self._sources.below(package))

    def _binds(self, module: str, name: str) -> bool:
        """Whether a module has a name, by itself or through star imports."""
        waiting, seen = [module], set[str]()
        while waiting:
            one = waiting.pop()
            if one in seen or (found := self._module(one)) is None:
                continue
            seen.add(one)
            if name in found.binding:
                return True
            waiting += found.stars
        return False

    # What acts when it is loaded

    def _acts(self, module: Module, statement: Statement) -> bool:
        """Whether a statement that binds a name may also change something that others see."""
        for called, handed in statement.called_at_load:
            foreign = self._is_foreign(module, called)
            if foreign and not handed:
                if "register" in called.rpartition(".")[2] and not called.startswith("atexit"):
                    return True
                continue
            if self._is_spared(module, called):
                continue
            for chain in (handed or called,) if foreign else (called, handed):
                head, _, method = chain.rpartition(".")
                if head and enters(method) and not self._is_foreign(module, chain) and self._has(module, chain):
                    return True
                if chain and self._has(module, chain) and self._changes(module, chain):
                    return True
        if any(not self._is_foreign(module, chain) for chain in statement.metaclass):
            return True
        return any(self._watches(module, base) for base in statement.bases)

    def _has(self, module: Module, chain: str) -> bool:
        """Whether a chain begins with a name of the module (and not a local one or one of Python's own)."""
        head = chain.partition(".")[0]
        return head in module.binding or any(self._binds(star, head) for star in module.stars)

    def _is_foreign(self, module: Module, chain: str) -> bool:
        """Whether a chain begins with what is imported from packages of others."""
        bound = module.binding.get(chain.partition(".")[0], [])
        found = [one for statement in bound for one in statement.imports]
        return bool(found) and all(one.module.partition(".")[0] not in self._packages for one in found)

    def _is_spared(self, module: Module, chain: str) -> bool:
        """Whether a chain begins with what a room that never counts declares: such records hold functions, and call none."""
        bound = module.binding.get(chain.partition(".")[0], [])
        found = [one for statement in bound for one in statement.imports]
        return bool(found) and all(_lies_in(f"{one.module}.{one.attribute}", self._never) for one in found)

    def _changes(self, module: Module, chain: str) -> bool:
        """Whether what a chain means reaches code that changes something at the top of a module."""
        harmless = self._sources.harmless(self._packages, self._never)
        seen: set[_Want] = set()
        passed: set[Statement] = set()
        waiting = [_Want(module.name, chain)]
        while waiting:
            want = waiting.pop()
            if want in seen or (found := self._module(want.module)) is None:
                continue
            seen.add(want)
            for statement in self._meant(want):
                if statement in harmless or statement in passed:
                    continue
                if self._mutates(found, statement):
                    return True
                passed.add(statement)
                waiting += self._wants(found, statement)
            waiting += self._further(want)
        harmless |= passed
        return False

    def _mutates(self, module: Module, statement: Statement) -> bool:
        loops = (ast.For, ast.While, ast.AugAssign, ast.Expr, ast.Delete)  # done once and for all, whoever uses the names
        if _is_import(statement) or (isinstance(statement.node, loops) and not statement.defines):
            return False
        return any(
            chain.partition(".")[0] == "cls"
            or (self._has(module, chain) and not self._is_foreign(module, chain) and not self._is_spared(module, chain))
            for chain in statement.changed
        )

    def _watches(self, module: Module, base: str) -> bool:
        """Whether making a subclass of what a chain means runs code of these packages."""
        seen: set[_Want] = set()
        waiting = [_Want(module.name, base)] if self._has(module, base) else []
        while waiting:
            want = waiting.pop()
            if want in seen or (found := self._module(want.module)) is None:
                continue
            seen.add(want)
            for statement in self._meant(want):
                if statement.watches_subclasses:
                    return True
                waiting += [_Want(found.name, above) for above in statement.bases if self._has(found, above)]
            waiting += self._further(want)
        return False


def _lies_in(module: str, rooms: Iterable[str]) -> bool:
    return any(module == room or module.startswith(room + ".") for room in rooms)


def _is_import(statement: Statement) -> bool:
    return isinstance(statement.node, (ast.Import, ast.ImportFrom))


def _is_dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _data_files(module: Module, statements: Iterable[Statement]) -> list[Path]:
    """Files near the module whose names the statements mention: word lists and tables that numbers depend on."""
    texts = frozenset[str]().union(*(statement.strings for statement in statements))
    named = {text.rsplit("/", 1)[-1] for text in texts if "." in text and len(text) < 200}
    return [file for file in _files_below(module.path.parent) if file.name in named] if named else []


@functools.cache
def _files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.*") if path.suffix not in (".py", ".pyc") and path.is_file())
