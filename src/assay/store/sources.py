"""What version of the code computed something: a digest over the sources that could have changed the numbers.

Starting from the modules that compute, every module of Assay and of their own package that they import is followed, also
imports inside functions, and data files that a module names. Not followed are `assay.claims` and `assay.store`, which declare,
judge and keep, and the rooms above the studies, which the package's face leads to: none decides a number of a run. Packages of
others are not read; their versions stand in a run's environment.

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

_NOT_FOLLOWED = ("assay.audit", "assay.claims", "assay.cli", "assay.report", "assay.runner", "assay.store")
_REFLECTION = {"globals", "locals", "vars", "eval", "exec"}  # may reach any name, so nothing is spare beside them
_EVERYTHING = "*"
_Span = tuple[tuple[int, int], tuple[int, int]]


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
class _Visit:
    """One module on the way: its source, the names that others want of it, and the statements kept of it."""

    source: "_Source"
    wanted: set[str] = field(default_factory=set)
    kept: "Sequence[_Statement]" = ()


@functools.cache
def _digest(modules: tuple[str, ...], own: str) -> str:
    packages = {"assay", *(name.partition(".")[0] for name in modules)}
    visits: dict[str, _Visit] = {}
    waiting = [(name, "") for name in modules]  # a module, and a name that is wanted of it
    while waiting:
        name, wanted = waiting.pop()
        if name.partition(".")[0] not in packages or name.startswith(_NOT_FOLLOWED) or (path := _path(name)) is None:
            continue
        first, visit = name not in visits, visits.setdefault(name, _Visit(_source(path, name)))
        if wanted in visit.wanted:
            continue
        visit.wanted.add(wanted)
        if own and (name == own or name.startswith(own + ".")):
            visit.kept = _needed(visit.source.statements, visit.wanted)
        elif first:
            visit.kept = visit.source.statements
        else:
            continue  # kept as a whole, and followed already
        waiting += [pair for statement in visit.kept for pair in statement.imports]
        waiting += [(name.rpartition(".")[0], "")] if "." in name else []
    for name in modules:
        if name not in visits:
            raise InputError(
                f"the source of a study must be a readable Python file; module '{name}' has none. Install it unpacked"
            )
    whole = hashlib.sha256()
    for name, visit in sorted(visits.items()):
        whole.update(f"{name}\0{''.join(statement.text for statement in visit.kept)}\0".encode())
        for file in _data_files(visit):
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


# Reading one module


@dataclass(frozen=True)
class _Statement:
    """A top-level statement: what counts of its text, and how it hangs together with others.

    Attributes:
        text: without comments, docstrings and blank lines (those inside a text stay).
        binds: names it binds, where it does nothing else: a plain assignment or `from` import; None for any other.
        uses: names it reads.
        imports: (module, name wanted of it), absolute.
        strings: texts in it.
    """

    text: str
    binds: frozenset[str] | None
    uses: frozenset[str]
    imports: tuple[tuple[str, str], ...]
    strings: frozenset[str]


@dataclass(frozen=True)
class _Source:
    folder: Path
    statements: tuple[_Statement, ...]


@functools.cache
def _source(path: Path, name: str) -> _Source:
    try:
        with tokenize.open(path) as file:
            text = file.read()
        tree = ast.parse(text)
        comments = [
            (token.start, token.end)
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.COMMENT
        ]
    except (OSError, SyntaxError, UnicodeDecodeError, tokenize.TokenError) as error:
        raise InputError(f"the source of a study must be a readable Python file; {path}: {error}") from error
    lines = text.split("\n")
    docstrings = list(_docstrings(tree, lines))
    for start, end in [*comments, *docstrings]:
        _blank(lines, start, end)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    without_text = {start[0] for start, _ in docstrings}
    return _Source(path.parent, tuple(part for node in tree.body for part in _statements(node, lines, without_text, package)))


def _docstrings(tree: ast.Module, lines: Sequence[str]) -> Iterator[_Span]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                last = first.end_lineno or first.lineno
                before = lines[last - 1].encode()[: first.end_col_offset]  # the parser counts bytes
                yield (first.lineno, first.col_offset), (last, len(before.decode()))


def _blank(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> None:
    (first, left), (last, right) = start, end
    for number in range(first, last + 1):
        line = lines[number - 1]
        lines[number - 1] = (line[:left] if number == first else "") + (line[right:] if number == last else "")


def _statements(node: ast.stmt, lines: Sequence[str], without_text: set[int], package: str) -> Iterator[_Statement]:
    """The statement; a `from` import as one for each name, since each can be wanted alone."""
    if isinstance(node, ast.ImportFrom):
        for alias in node.names:
            bound = alias.asname or alias.name
            binds = None if bound == _EVERYTHING else frozenset({bound})
            found = tuple(_imported(node, package, alias))
            yield _Statement(f"from {found} as {bound}\n", binds, frozenset(), found, frozenset())
        return
    uses, strings, inside = set[str](), set[str](), set[int]()
    imports: list[tuple[str, str]] = []
    for child in ast.walk(node):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load):
            uses.add(child.id)
        elif isinstance(child, ast.AugAssign) and isinstance(child.target, ast.Name):
            uses.add(child.target.id)
        elif isinstance(child, ast.Import):
            imports += [(alias.name, _EVERYTHING) for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            imports += [pair for alias in child.names for pair in _imported(child, package, alias)]
        elif isinstance(child, (ast.Constant, ast.JoinedStr)):
            if child.lineno not in without_text:
                inside |= set(range(child.lineno, child.end_lineno or child.lineno))
            if isinstance(child, ast.Constant) and isinstance(child.value, str):
                strings.add(child.value)
                uses |= {child.value} if child.value.isidentifier() else set()  # an annotation written as a text
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
    text = ""
    for number in range(first, (node.end_lineno or first) + 1):
        line = lines[number - 1]
        if number in inside or line.strip():
            text += (line if number in inside else line.rstrip()) + "\n"
    yield _Statement(text, _binds(node), frozenset(uses), tuple(imports), frozenset(strings))


def _imported(node: ast.ImportFrom, package: str, alias: ast.alias) -> Iterator[tuple[str, str]]:
    base = node.module or ""
    if node.level:
        parts = package.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
    inner = f"{base}.{alias.name}"
    # Of other packages nothing is followed, and whether they are loaded by now must not show.
    followed = base.partition(".")[0] in ("assay", package.partition(".")[0])
    if followed and alias.name != _EVERYTHING and _path(inner) is not None:
        yield inner, _EVERYTHING
    else:
        yield base, alias.name


def _binds(node: ast.stmt) -> frozenset[str] | None:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    parts = [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
    names = frozenset(part.id for part in parts if isinstance(part, ast.Name))
    return names if parts and len(names) == len(parts) else None


# Choosing


def _needed(statements: Sequence[_Statement], wanted: set[str]) -> list[_Statement]:
    """The statements that can matter: all but those that only bind names which nothing needed uses."""
    if _EVERYTHING in wanted or any(statement.uses & _REFLECTION for statement in statements):
        return list(statements)
    needed = {index for index, statement in enumerate(statements) if statement.binds is None}
    used = wanted.union(*(statements[index].uses for index in needed))
    while more := {i for i, s in enumerate(statements) if i not in needed and s.binds is not None and s.binds & used}:
        needed |= more
        used = used.union(*(statements[index].uses for index in more))
    return [statements[index] for index in sorted(needed)]


def _data_files(visit: _Visit) -> list[Path]:
    """Files near the module whose names it mentions: word lists and tables that its numbers depend on."""
    texts = frozenset[str]().union(*(statement.strings for statement in visit.kept))
    named = {text.rsplit("/", 1)[-1] for text in texts if "." in text and len(text) < 200}
    return [file for file in _files_below(visit.source.folder) if file.name in named] if named else []


@functools.cache
def _files_below(folder: Path) -> Sequence[Path]:
    return sorted(path for path in folder.rglob("*.*") if path.suffix not in (".py", ".pyc") and path.is_file())
