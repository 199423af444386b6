"""What version of the code computed something: a digest over the sources that could have changed the numbers.

Starting from the modules that compute, every module of Assay and of their own package that they import is followed, also
imports inside functions, and data files that a module names. Not followed are `assay.claims` and `assay.store`: they declare,
judge and keep, and decide no number of a run. Packages of others are not read; their versions stand in a run's environment.

Comments, docstrings and blank lines do not count. In a study's own file or folder, neither do top-level assignments that no
function or class uses: claims, figures and presets can be reworded without making a row stale (a claim has a digest of its own,
settings are part of a run's address).
"""

import ast
import functools
import hashlib
import io
import sys
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assay.core.errors import InputError

__all__ = ["source_digest"]

_NOT_FOLLOWED = ("assay.claims", "assay.store")
_REFLECTION = {"globals", "locals", "vars", "eval", "exec"}  # may reach any name, so nothing is spare beside them
_EVERYTHING = "*"


def source_digest(modules: Iterable[str], *, own: str = "") -> str:
    """Sixteen hexadecimal digits over the sources of `modules` and of what they import from their package and Assay.

    The same in every checkout of the same sources. Computed once per process.

    Args:
        modules: the modules that compute; imported already.
        own: the study's module; in it and below it, assignments that no code uses are left out.

    Raises:
        InputError: a module's source is not a readable Python file.
    """
    return _digest(tuple(sorted(set(modules))), own)


@dataclass
class _Module:
    """One source on the way: what others want of it, and what of it is kept."""

    name: str
    path: Path
    text: str
    tree: ast.Module
    wanted: set[str] = field(default_factory=set)
    kept: list[ast.stmt] = field(default_factory=list)


@functools.cache
def _digest(modules: tuple[str, ...], own: str) -> str:
    packages = {"assay", *(name.partition(".")[0] for name in modules)}
    found: dict[str, _Module] = {}
    waiting: list[tuple[str, str]] = [(name, "") for name in modules]  # a module, and a name that is wanted of it
    while waiting:
        name, wanted = waiting.pop()
        if name.partition(".")[0] not in packages or name.startswith(_NOT_FOLLOWED) or (path := _path(name)) is None:
            continue
        module = found.get(name)
        if module is None:
            text, tree = _parsed(path)
            module = found[name] = _Module(name, path, text, tree)
            waiting += [(name.rpartition(".")[0], "")] if "." in name else []
        elif wanted in module.wanted:
            continue
        module.wanted.add(wanted)
        shakes = bool(own) and (name == own or name.startswith(own + "."))
        module.kept = _kept(tree=module.tree, wanted=module.wanted) if shakes else module.tree.body
        waiting += [(name, part) for name, part in _imports(module) if part not in getattr(found.get(name), "wanted", ())]
    for name in modules:
        if name not in found:
            raise InputError(
                f"the source of a study must be a readable Python file; module '{name}' has none. Install it unpacked"
            )
    whole = hashlib.sha256()
    for name, module in sorted(found.items()):
        whole.update(f"{name}\0{_essence(module)}\0".encode())
        for file in _data_files(module):
            whole.update(f"{file.name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    return whole.hexdigest()[:16]


def _path(name: str) -> Path | None:
    """The file of a module, found below its top-level package without importing anything; None if it is not a module."""
    top, *rest = name.split(".")
    root = sys.modules.get(top)
    if root is None:
        return None
    if not rest:
        file = getattr(root, "__file__", None)
        return Path(file) if file and file.endswith(".py") else None
    for place in getattr(root, "__path__", []):
        package = Path(place).joinpath(*rest)
        for candidate in (package / "__init__.py", package.with_name(package.name + ".py")):
            if candidate.is_file():
                return candidate
    return None


@functools.cache
def _parsed(path: Path) -> tuple[str, ast.Module]:
    try:
        with tokenize.open(path) as file:
            text = file.read()
        return text, ast.parse(text)
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise InputError(f"the source of a study must be a readable Python file; {path}: {error}") from error


# What is kept of a study's own module


def _kept(tree: ast.Module, wanted: set[str]) -> list[ast.stmt]:
    """The top-level statements that can matter: all but assignments and imports whose names nothing kept uses."""
    if _EVERYTHING in wanted or any(isinstance(node, ast.Name) and node.id in _REFLECTION for node in ast.walk(tree)):
        return tree.body
    spare = [statement for statement in tree.body if _bound(statement) is not None]
    kept = [statement for statement in tree.body if _bound(statement) is None]
    used = set(wanted) | {name for statement in kept for name in _loaded(statement)}
    while needed := [statement for statement in spare if used & (_bound(statement) or set())]:
        spare = [statement for statement in spare if statement not in needed]
        kept += needed
        used |= {name for statement in needed for name in _loaded(statement)}
    # An import brings in only the names that are used, so that `from .claims import CLAIMS` alone wants nothing.
    trimmed = [_trimmed(statement, used) if isinstance(statement, ast.ImportFrom) else statement for statement in kept]
    return sorted(trimmed, key=lambda statement: statement.lineno)


def _bound(statement: ast.stmt) -> set[str] | None:
    """The names that a plain top-level assignment or `from` import binds; None for any other statement."""
    if isinstance(statement, ast.ImportFrom):
        names = {alias.asname or alias.name for alias in statement.names}
        return None if _EVERYTHING in names else names
    targets = (
        statement.targets
        if isinstance(statement, ast.Assign)
        else [statement.target]
        if isinstance(statement, ast.AnnAssign)
        else []
    )
    parts = [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
    if parts and all(isinstance(part, ast.Name) for part in parts):
        return {part.id for part in parts if isinstance(part, ast.Name)}
    return None


def _loaded(statement: ast.stmt) -> Iterator[str]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value  # an annotation written as a text


def _trimmed(statement: ast.ImportFrom, used: set[str]) -> ast.ImportFrom:
    names = [alias for alias in statement.names if (alias.asname or alias.name) in used or alias.name == _EVERYTHING]
    return ast.copy_location(ast.ImportFrom(statement.module, names, statement.level), statement)


def _imports(module: _Module) -> Iterator[tuple[str, str]]:
    """Every (module, name wanted of it) that the kept statements import, relative imports resolved."""
    package = module.name if module.path.name == "__init__.py" else module.name.rpartition(".")[0]
    for statement in module.kept:
        for node in ast.walk(statement):
            if isinstance(node, ast.Import):
                yield from ((alias.name, _EVERYTHING) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    parts = package.split(".")
                    base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
                for alias in node.names:
                    inner = f"{base}.{alias.name}"
                    if alias.name != _EVERYTHING and _path(inner) is not None:
                        yield inner, _EVERYTHING
                    else:
                        yield base, alias.name


# What of a kept statement counts


def _essence(module: _Module) -> str:
    """The kept source without comments, docstrings and blank lines (those inside a text stay)."""
    lines = module.text.split("\n")
    docstrings = list(_docstrings(module))
    for start, end in [*_comments(module.path), *docstrings]:
        _blank(lines, start, end)
    first_lines = {start[0] for start, _ in docstrings}
    shielded: set[int] = set()
    for statement in module.kept:
        for node in ast.walk(statement):
            if isinstance(node, (ast.Constant, ast.JoinedStr)) and node.lineno not in first_lines:
                shielded |= set(range(node.lineno, node.end_lineno or node.lineno))
    out = []
    for statement in module.kept:
        if isinstance(statement, ast.ImportFrom):
            out.append(ast.unparse(statement))
            continue
        first = min([statement.lineno, *(node.lineno for node in getattr(statement, "decorator_list", []))])
        for number in range(first, (statement.end_lineno or first) + 1):
            line = lines[number - 1]
            if number in shielded or line.strip():
                out.append(line.rstrip() if number not in shielded else line)
    return "\n".join(out)


def _docstrings(module: _Module) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    lines = module.text.split("\n")
    for node in ast.walk(module.tree):
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and ast.get_docstring(node, clean=False) is not None
        ):
            text = node.body[0]
            last = text.end_lineno or text.lineno
            before = lines[last - 1].encode()[: text.end_col_offset]  # the parser counts bytes
            yield (text.lineno, text.col_offset), (last, len(before.decode()))


@functools.cache
def _comments(path: Path) -> Sequence[tuple[tuple[int, int], tuple[int, int]]]:
    text, _ = _parsed(path)
    return [
        (token.start, token.end)
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    ]


def _blank(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> None:
    (first, left), (last, right) = start, end
    for number in range(first, last + 1):
        line = lines[number - 1]
        lines[number - 1] = (line[:left] if number == first else "") + (line[right:] if number == last else "")


def _data_files(module: _Module) -> list[Path]:
    """Files near the module whose names it mentions: word lists and tables that its numbers depend on."""
    texts = {
        node.value
        for statement in module.kept
        for node in ast.walk(statement)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    named = {text.rsplit("/", 1)[-1] for text in texts if "." in text and len(text) < 200}
    return [file for file in _files_below(module.path.parent) if file.name in named] if named else []


@functools.cache
def _files_below(folder: Path) -> Sequence[Path]:
    return sorted(path for path in folder.rglob("*.*") if path.suffix not in (".py", ".pyc") and path.is_file())
