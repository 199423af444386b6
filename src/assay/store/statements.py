"""One module read as a row of top-level statements: what each binds, needs and does, and what of its text counts."""

import ast
import builtins
import hashlib
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from assay.core.errors import InputError

__all__ = ["EVERYTHING", "PROGRESS", "Import", "Module", "Statement", "ancestors", "enters", "read_module"]

EVERYTHING = "*"
PROGRESS = "assay.core.progress"
_REFLECTION = frozenset({"eval", "exec", "globals", "locals", "vars"})  # may reach any name of their module
_BY_NAME = frozenset({"import_module", "__import__", "resolve_name"})
_READS_DOCSTRINGS = frozenset({"__doc__", "getdoc", "getsource", "getsourcelines", "getcomments"})
_ENTERING = frozenset(  # methods that change their object
    "add append appendleft clear discard extend insert pop popitem remove reverse setdefault sort update".split()  # noqa: SIM905
)
_NOT_CALLED_BACK = frozenset({"partial", "field", "TypeVar", "NewType", "cast"})  # take functions and do not call them
_LOCAL = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Import:
    """A name bound by an import: to a module, or to what a module calls `attribute`."""

    bound: str
    module: str
    attribute: str = ""

    def wants(self, chain: str) -> tuple[str, str]:
        """The module, and what of it is meant, by a dotted text in the code that begins with the name (`np.linalg.norm`)."""
        if self.attribute:
            return self.module, self.attribute + chain[len(self.bound) :]
        if chain == self.bound or chain.startswith(self.bound + "."):
            return self.module, chain[len(self.bound) + 1 :] or EVERYTHING
        top = self.bound.partition(".")[0]  # `import a.b` binds `a`, and another part of it is meant
        return top, chain[len(top) + 1 :] or EVERYTHING

    @property
    def head(self) -> str:
        """The name that it binds."""
        return self.bound.partition(".")[0]


@dataclass(frozen=True)
class Module:
    """A module's name, file, statements, which of them bind a name, and the modules it imports all names of."""

    name: str
    path: Path
    statements: "tuple[Statement, ...]"
    binding: "dict[str, list[Statement]]"
    stars: tuple[str, ...]

    @property
    def package(self) -> str:
        """The package that relative imports start from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


def read_module(path: Path, name: str) -> Module:
    """The module in a file.

    Raises:
        InputError: it is not a readable Python file.
    """
    try:
        with tokenize.open(path) as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"the source of a study must be a readable Python file; {path}: {error}") from error
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    nodes = [part for index, node in enumerate(tree.body) for part in _split(node, first=index == 0)]
    progress: dict[str, str] = {}
    for node in _walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == PROGRESS:
            progress |= {alias.asname or alias.name: alias.name for alias in node.names}
    statements = tuple(Statement(node, package, index, progress) for index, node in enumerate(nodes))
    binding: dict[str, list[Statement]] = {}
    for statement in statements:
        for bound in statement.binds:
            binding.setdefault(bound, []).append(statement)
    stars = tuple(one.module for statement in statements for one in statement.imports if one.bound == EVERYTHING)
    return Module(name, path, statements, binding, stars)


def _split(node: ast.stmt, *, first: bool) -> Iterator[ast.stmt]:
    """The statement; an import as one for each name, since each can be wanted alone. What only a type checker sees goes."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
            if isinstance(node, ast.Import):
                yield ast.Import([alias])
            else:
                yield ast.ImportFrom(node.module, [alias], node.level)
    elif isinstance(node, ast.If) and _name(node.test) == "TYPE_CHECKING":
        for part in node.orelse:
            yield from _split(part, first=False)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        if first and isinstance(node.value.value, str):  # code can ask for the module's docstring
            yield ast.Assign([ast.Name("__doc__", ast.Store())], node.value)
    elif not isinstance(node, ast.Pass):
        yield node


class Statement:
    """A top-level statement.

    Attributes:
        node: its tree.
        place: its index in the module.
        binds: the names that it binds in the module.
        imports: the imports that bind some of them; one that binds everything is a star import.
        acts: whether it does more than bind names, so that it counts wherever its module is loaded.
    """

    def __init__(self, node: ast.stmt, package: str, place: int, progress: dict[str, str]) -> None:
        self.node, self.place = node, place
        self._package, self._progress = package, progress
        self.binds: set[str] = set()
        self.acts = False
        found: list[Import] = []
        self._bind(node, found)
        self.imports = tuple(found)
        self.binds.discard(EVERYTHING)

    def _bind(self, node: ast.stmt, found: list[Import]) -> None:
        match node:
            case ast.Import() | ast.ImportFrom():
                new = list(imports_of(node, self._package))
                found += new
                self.binds |= {one.bound.partition(".")[0] for one in new}
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self.binds.add(node.name)
            case ast.Assign() | ast.AnnAssign():
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    self._bind_target(target)
                self.acts = self.acts or "_" in self.binds  # what is thrown away was done for its effect
            case ast.If() | ast.Try() | ast.TryStar():
                for part in _bodies(node):
                    self._bind(part, found)
            case ast.Pass() | ast.Raise() | ast.Global():
                pass
            case ast.Expr(value=ast.Constant()):
                pass
            case _:  # a call, a loop, `with`, `del`, `+=`: all may change something
                self.acts = True
                for inner in _walk(node):
                    if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                        self.binds.add(inner.id)
                    elif isinstance(inner, (ast.Import, ast.ImportFrom)):
                        self._bind(inner, found)
                    elif isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                        self.binds.add(inner.name)
        for inner in _walk(node) if not isinstance(node, (*_LOCAL, ast.ClassDef)) else ():
            if isinstance(inner, ast.NamedExpr):
                self._bind_target(inner.target)

    def _bind_target(self, target: ast.expr) -> None:
        match target:
            case ast.Name():
                self.binds.add(target.id)
            case ast.Tuple() | ast.List():
                for part in target.elts:
                    self._bind_target(part)
            case ast.Starred():
                self._bind_target(target.value)
            case _:  # an item or an attribute of something
                self.acts = True

    @cached_property
    def _nodes(self) -> list[ast.AST]:
        return list(_walk(self.node))

    # What it needs

    @cached_property
    def local_imports(self) -> tuple[Import, ...]:
        """Imports inside functions and classes."""
        inner = [node for node in self._nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
        found = [one for node in inner for one in imports_of(node, self._package)]
        return tuple(one for one in found if one not in self.imports)

    @cached_property
    def chains(self) -> frozenset[str]:
        """Names that it reads or changes, each with the attributes that follow (`np.linalg.norm`); local ones as well."""
        found = set(_chains(self.node))
        for text in self._annotations():
            try:
                found |= set(_chains(ast.parse(text, mode="eval")))
            except (SyntaxError, ValueError):
                continue  # a shape
        return frozenset(found)

    def _annotations(self) -> Iterator[str]:
        for node in self._nodes:
            written = getattr(node, "annotation", None) or getattr(node, "returns", None)
            for inner in _walk(written) if written is not None else ():
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    yield inner.value

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name and attribute in it."""
        inner = self._nodes
        return frozenset(
            node.id if isinstance(node, ast.Name) else node.attr
            for node in inner
            if isinstance(node, (ast.Name, ast.Attribute))
        )

    @cached_property
    def reflects(self) -> bool:
        """Whether it may reach any name of its module."""
        heads = {chain.partition(".")[0] for chain in self.chains}
        return bool(heads & _REFLECTION or "__globals__" in self.names) or any(
            chain.startswith("sys.modules") for chain in self.chains
        )

    @cached_property
    def strings(self) -> frozenset[str]:
        """Texts in it that are no docstrings."""
        spare = {id(node) for node in _docstrings(self._nodes)}
        return frozenset(
            node.value
            for node in self._nodes
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in spare
        )

    @cached_property
    def packages_by_name(self) -> frozenset[str]:
        """Beginnings of module names that are put together when it runs: `import_module(f"assay.worlds.{name}")`."""
        found = set()
        for node in self._nodes:
            if isinstance(node, ast.Call) and _name(node.func) in _BY_NAME:
                inner = [part for argument in node.args for part in _walk(argument)]
                texts = [part.value for part in inner if isinstance(part, ast.Constant) and isinstance(part.value, str)]
                found |= {text.rstrip(".") for text in texts if text.endswith(".")}
        return frozenset(found)

    @cached_property
    def reads_docstrings(self) -> bool:
        """Whether docstrings or source text may decide what it does."""
        return bool(self.names & _READS_DOCSTRINGS) and self.binds != {"__doc__"}

    @cached_property
    def reads_errors(self) -> frozenset[str]:
        """The classes of errors whose content decides something here: caught, looked at, and not merely passed on."""
        found: set[str] = set()
        for node in self._nodes:
            if isinstance(node, ast.ExceptHandler) and node.name and _looks_at(node):
                kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                found |= {_name(kind) or "BaseException" for kind in kinds if kind is not None}
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name in ("__exit__", "__aexit__"):
                taken = {argument.arg for argument in [*node.args.args[2:], node.args.vararg] if argument is not None}
                used = {inner.id for inner in _walk(node) if isinstance(inner, ast.Name)}
                found |= {"BaseException"} if taken & used else set()
        if self.names & {"exc_info", "last_value", "format_exc", "exception"}:
            found.add("BaseException")
        return frozenset(found)

    # What it does when its module is loaded

    @cached_property
    def called_at_load(self) -> frozenset[tuple[str, str]]:
        """What is called when the statement is carried out, decorators included, each beside a thing handed to it ("")."""
        found: set[tuple[str, str]] = set()
        for node in self._at_load(self.node):
            if isinstance(node, ast.Call):
                chain = _chain(node.func)
                for called in [chain] if chain else _chains(node.func):
                    found.add((called, ""))
                    if _name(node.func) not in _NOT_CALLED_BACK:
                        found |= {(called, handed) for handed in self._handed_over(node)}
            for decorator in getattr(node, "decorator_list", []):
                found |= {(chain, "") for chain in _chains(decorator)}
        return frozenset(found)

    @staticmethod
    def _handed_over(call: ast.Call) -> Iterator[str]:
        for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
            if isinstance(argument, ast.Lambda):
                yield from _chains(argument)
            elif chain := _chain(argument):
                yield chain

    def _at_load(self, node: ast.AST) -> Iterator[ast.AST]:
        """The parts that are carried out at once: not the bodies of functions."""
        yield node
        if isinstance(node, _LOCAL):
            arguments = node.args
            inner: list[ast.AST] = [*arguments.defaults, *(one for one in arguments.kw_defaults if one is not None)]
            inner += getattr(node, "decorator_list", [])
        else:
            inner = list(ast.iter_child_nodes(node))
        for child in inner:
            yield from self._at_load(child)

    @cached_property
    def changed(self) -> frozenset[str]:
        """Names and chains of which an item, an attribute or the content may be changed when its code runs."""
        found: set[str] = set()
        for node in self._nodes:
            if isinstance(node, ast.Global):
                found |= set(node.names)
            elif isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, (ast.Store, ast.Del)):
                found |= {chain} if (chain := _chain(node.value)) else set()
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if enters(node.func.attr):
                    found |= {chain} if (chain := _chain(node.func.value)) else set()
            elif isinstance(node, ast.Call) and _name(node.func) in ("setattr", "delattr") and node.args:
                found |= {chain} if (chain := _chain(node.args[0])) else set()
            elif isinstance(node, ast.AugAssign):
                found |= {chain} if (chain := _chain(node.target)) else set()
        return frozenset(found)

    @cached_property
    def defines(self) -> bool:
        """Whether there is a function or class in it."""
        return any(isinstance(node, (*_LOCAL, ast.ClassDef)) for node in self._nodes)

    @cached_property
    def bases(self) -> frozenset[str]:
        """Of a class: what it inherits from, as chains."""
        nodes = self.node.bases if isinstance(self.node, ast.ClassDef) else []
        return frozenset(chain for node in nodes for chain in _chains(node))

    @cached_property
    def watches_subclasses(self) -> bool:
        """Of a class: whether making a subclass runs code."""
        if not isinstance(self.node, ast.ClassDef):
            return False
        own = {node.name for node in self.node.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
        return "__init_subclass__" in own or bool(self.metaclass)

    @cached_property
    def metaclass(self) -> frozenset[str]:
        """Of a class: its metaclass, as chains."""
        keywords = self.node.keywords if isinstance(self.node, ast.ClassDef) else []
        return frozenset(chain for keyword in keywords if keyword.arg == "metaclass" for chain in _chains(keyword.value))

    # What of its text counts

    @cached_property
    def raised(self) -> frozenset[str]:
        """The classes of errors that it raises with words."""
        calls = [_call(node) for node in self._nodes if isinstance(node, ast.Raise)]
        found = {_name(call.func) for call in calls if call is not None}
        return frozenset(name or "" for name in found) | (
            {"AssertionError"} if any(isinstance(node, ast.Assert) for node in self._nodes) else frozenset()
        )

    def digest(self, *, docstrings: bool, worded: frozenset[str]) -> str:
        """Hexadecimal digits over what counts; docstrings, and the words of the errors in `worded`, only where asked for."""
        key = (docstrings, worded & self.raised)
        if key not in self._digests:
            spare = set() if docstrings else {id(node) for node in _docstrings(self._nodes)}
            for node in self._nodes:
                spare |= self._wordless(node, key[1])
            spelled: list[str] = []
            _spell(self.node, spare, spelled)
            self._digests[key] = hashlib.sha256("".join(spelled).encode("utf-8", "surrogatepass")).hexdigest()
        return self._digests[key]

    @cached_property
    def _digests(self) -> dict[tuple[bool, frozenset[str]], str]:
        return {}

    def _wordless(self, node: ast.AST, worded: frozenset[str]) -> set[int]:
        """The constants below a node that say something to a person and nothing to the code."""
        if isinstance(node, ast.Raise) and (call := _call(node)):
            if (_name(call.func) or "") in worded:
                return set()
            return _texts([*call.args, *(keyword.value for keyword in call.keywords)])
        if isinstance(node, ast.Assert) and node.msg is not None and "AssertionError" not in worded:
            return _texts([node.msg])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            said = self._progress.get(node.func.id)
            if said in ("progress", "part"):
                values = [*node.args, *(keyword.value for keyword in node.keywords)]
                return _texts(values) | {id(one) for one in values if isinstance(one, ast.Constant)}
            if said == "parts":
                return _texts([keyword.value for keyword in node.keywords if keyword.arg == "label"])
        return set()


def enters(method: str) -> bool:
    """Whether a method of this name changes its object."""
    return method in _ENTERING or "register" in method


def imports_of(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[Import]:
    """What an import statement binds, with absolute names."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.asname or alias.name, alias.name)
        return
    base = node.module or ""
    if node.level:
        parts = package.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
    for alias in node.names:
        yield Import(alias.asname or alias.name, base, alias.name)


def _bodies(node: ast.If | ast.Try | ast.TryStar) -> Iterator[ast.stmt]:
    yield from node.body
    yield from node.orelse
    if not isinstance(node, ast.If):
        yield from node.finalbody
        for handler in node.handlers:
            yield from handler.body


def _call(node: ast.Raise) -> ast.Call | None:
    return node.exc if isinstance(node.exc, ast.Call) else None


def _name(node: ast.AST | None) -> str | None:
    """The last part of a name, with or without dots."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """As `ast.walk`, without what holds nothing."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        for name in one._fields:
            value = getattr(one, name, None)
            if isinstance(value, list):
                waiting += [item for item in value if isinstance(item, ast.AST)]
            elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
                waiting.append(value)


def _chain(node: ast.AST) -> str | None:
    """`a.b.c` of such an expression; of any other that begins with a name (`a.b[0].c`, `a().b`) as far as it goes."""
    parts: list[str] = []
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Subscript):
            parts.clear()
            node = node.value
        elif isinstance(node, ast.Call):
            parts.clear()
            node = node.func
        else:
            return None
    return ".".join([node.id, *reversed(parts)])


def _chains(node: ast.AST) -> Iterator[str]:
    waiting = [node]
    while waiting:
        one = waiting.pop()
        inner, parts = one, list[str]()
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            yield ".".join([inner.id, *reversed(parts)])
        elif isinstance(inner, ast.Global):
            yield from inner.names
        else:
            waiting += ast.iter_child_nodes(inner)


def _looks_at(handler: ast.ExceptHandler) -> bool:
    """Whether what a handler does depends on the content of the error: it is used, and not only in an error raised in turn."""
    inner = [node for part in handler.body for node in _walk(part)]
    if not any(isinstance(node, ast.Name) and node.id == handler.name for node in inner):
        return False
    leaves = any(isinstance(node, (ast.Return, ast.Break, ast.Continue, ast.Yield, ast.YieldFrom)) for node in inner)
    decides = any(
        isinstance(used, ast.Name) and used.id == handler.name
        for node in inner
        if isinstance(node, (ast.If, ast.IfExp, ast.While, ast.Match))
        for used in _walk(node.subject if isinstance(node, ast.Match) else node.test)
    )
    return leaves or decides or not isinstance(handler.body[-1], ast.Raise)


def _docstrings(nodes: Iterable[ast.AST]) -> Iterator[ast.Constant]:
    for node in nodes:
        if isinstance(node, _DOCUMENTED):
            for part in node.body:  # also what stands below a field
                if isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant):
                    yield part.value


def _texts(nodes: Sequence[ast.AST]) -> set[int]:
    return {
        id(inner) for node in nodes for inner in _walk(node) if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
    }


_SPARE_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_ignores"})


def _spell(node: ast.AST, spare: set[int], out: list[str]) -> None:
    """Add a spelling of the tree that does not depend on layout; `spare` constants are left out."""
    if id(node) in spare:
        out.append("''")
        return
    out.append(f"{type(node).__name__}(")
    for name in node._fields:
        value = getattr(node, name, None)
        if name in _SPARE_FIELDS or (value is None and not isinstance(node, ast.Constant)) or value == []:
            continue
        if isinstance(value, ast.AST):
            out.append(f" {name}=")
            _spell(value, spare, out)
        elif isinstance(value, list):
            parts = [item for item in value if not _is_spare(item, spare)]
            out.append(f" {name}=[" if parts else "")
            for item in parts:
                if isinstance(item, ast.AST):
                    _spell(item, spare, out)
                else:
                    out.append(repr(item))
                out.append(",")
            out.append("]" if parts else "")
        else:
            out.append(f" {name}={type(value).__name__}{value!r}")
    out.append(")")


def _is_spare(item: object, spare: set[int]) -> bool:
    """Whether an item of a list goes without a trace: a docstring, or the words between the values of an f-string."""
    return id(item.value if isinstance(item, ast.Expr) else item) in spare


def ancestors(name: str) -> frozenset[str] | None:
    """The classes that an error of Python's own is one of, by name; None if it is none."""
    found = getattr(builtins, name, None)
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        return None
    return frozenset(kind.__name__ for kind in found.__mro__)
