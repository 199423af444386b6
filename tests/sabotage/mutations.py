"""Mutations of one line: which could be made in a study's files, and a draw of some of them with a fixed seed."""

import ast
import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["KINDS", "Mutation", "drawn", "fields_of", "literals_of", "mutations_of"]

KINDS = ("number", "boolean", "sign", "argument", "dropped", "switch")
# Records that say something and compute nothing: what stands in them is no setting of an arm.
_RECORDS = frozenset(
    {"Arm", "Claim", "Control", "Cost", "Departure", "Estimand", "Exact", "Experiment", "Figure", "Headline", "Heat", "Lines"}
    | {"Paper", "Points", "Preset", "Study", "TypeVar"}
)
_SAYING = frozenset({"part", "parts", "progress"})
_SIGNS: dict[type, tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.Lt: ("<", ">="),
    ast.LtE: ("<=", ">"),
    ast.Gt: (">", "<="),
    ast.GtE: (">=", "<"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
}


@dataclass(frozen=True)
class Mutation:
    """A change of one line of one file.

    Attributes:
        path: of the file, below the root of the source tree.
        line: its number.
        start, end: the bytes of the line that are replaced by `new`.
        kind: one of `KINDS`.
        before, after: the whole line, without its margins.
    """

    path: str
    line: int
    start: int
    end: int
    new: str
    kind: str
    before: str
    after: str

    def applied(self, text: str) -> str:
        """The file's text with the change."""
        lines = text.split("\n")
        lines[self.line - 1] = _replaced(lines[self.line - 1], self.start, self.end, self.new)
        return "\n".join(lines)

    def name(self, text: str) -> str:
        """Twelve hexadecimal digits that stay while the file stays."""
        return hashlib.sha256(repr((self, text)).encode()).hexdigest()[:12]


def drawn(candidates: Sequence[Mutation], count: int, seed: str, texts: Mapping[str, str]) -> list[Mutation]:
    """`count` of the candidates, the kinds in turn, the same for the same seed and candidates.

    Each kind's come in the order of a digest of seed and change, not of a shuffle: an edit elsewhere leaves the draw as it is,
    but where what is new comes early.

    Args:
        candidates: what could be made.
        count: how many.
        seed: of the draw.
        texts: the files by their paths; a mutation after which one is no Python any more is not drawn.
    """
    rng = random.Random(seed)
    piles: dict[str, list[tuple[str, Mutation]]] = {kind: [] for kind in KINDS}
    alike: Counter[tuple[str, ...]] = Counter()
    for one in candidates:
        change = (one.kind, one.path, one.before, one.after)
        alike[change] += 1  # the same line may stand twice
        piles[one.kind].append((hashlib.sha256(repr((seed, change, alike[change])).encode()).hexdigest(), one))
    for pile in piles.values():
        pile.sort(key=lambda entry: entry[0], reverse=True)
    found: list[Mutation] = []
    while len(found) < count and any(piles.values()):
        for kind in rng.sample(KINDS, len(KINDS)):
            while piles[kind] and len(found) < count:
                _, one = piles[kind].pop()
                if _is_python(one.applied(texts[one.path])):
                    found.append(one)
                    break
    return found


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def literals_of(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """The alternatives of every `Literal[...]` of texts in these sources."""
    found: dict[tuple[str, ...], None] = {}
    for text in texts:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("Literal"):
                parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
                values = tuple(part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))
                if len(values) > 1:
                    found[values] = None
    return list(found)


def fields_of(texts: Sequence[str]) -> dict[str, list[str]]:
    """For each field of a class in these sources, the fields of the same class and type."""
    found: dict[str, list[str]] = {}
    for text in texts:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                fields = [part for part in node.body if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)]
                kinds = {part.target.id: ast.unparse(part.annotation) for part in fields if isinstance(part.target, ast.Name)}
                for name, kind in kinds.items():
                    found.setdefault(name, []).extend(other for other, its in kinds.items() if other != name and its == kind)
    return found


def mutations_of(
    path: str, text: str, literals: Sequence[tuple[str, ...]], fields: Mapping[str, Sequence[str]]
) -> list[Mutation]:
    """Every mutation of a file, in its order; none in what only speaks (errors, docstrings, annotations, records, progress)."""
    tree, lines = ast.parse(text), text.split("\n")
    switches = {value: tuple(one for one in values if one != value) for values in literals for value in values}
    found: dict[tuple[int, int, int, str], Mutation] = {}
    for node, types in _code(tree, {}):
        for kind, line, start, end, new in _changes(node, lines, switches, fields, types):
            before = lines[line - 1]
            after = _replaced(before, start, end, new)
            if after != before:
                found[line, start, end, new] = Mutation(path, line, start, end, new, kind, before.strip(), after.strip())
    return [found[key] for key in sorted(found)]


def _code(node: ast.AST, types: Mapping[str, str]) -> Iterator[tuple[ast.AST, Mapping[str, str]]]:
    """The nodes that compute, each with the types of the arguments of the function around it."""
    if isinstance(node, (ast.Raise, ast.Assert, ast.Import, ast.ImportFrom)):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in (_RECORDS | _SAYING):
        return
    if isinstance(node, ast.keyword) and node.arg == "strict":  # of zip: a guard, which lets the same pass where it holds
        return
    if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("Literal"):  # a type is an annotation by a name
        return
    if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == "__all__" for one in node.targets):
        return
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        types = {one.arg: ast.unparse(one.annotation) for one in arguments if one.annotation is not None}
        inner: list[ast.AST] = [*node.args.defaults, *(one for one in node.args.kw_defaults if one is not None), *node.body]
    elif isinstance(node, ast.AnnAssign):
        inner = [node.value] if node.value is not None else []
    elif isinstance(node, ast.ClassDef):
        inner = list(node.body)
    elif isinstance(node, ast.JoinedStr):
        inner = []
    else:
        inner = list(ast.iter_child_nodes(node))
    yield node, types
    for child in inner:
        yield from _code(child, types)


_Change = tuple[str, int, int, int, str]  # kind, line, start, end, new


def _changes(
    node: ast.AST,
    lines: Sequence[str],
    switches: Mapping[str, Sequence[str]],
    fields: Mapping[str, Sequence[str]],
    types: Mapping[str, str],
) -> Iterator[_Change]:
    match node:
        case ast.Constant(value=bool()):
            yield "boolean", *_span(node), str(not node.value)
        case ast.Constant(value=int() | float()):
            yield "number", *_span(node), repr(node.value * 2 if node.value else 1)
            if node.value:
                yield "number", *_span(node), "0" if isinstance(node.value, int) else "0.0"
        case ast.Constant(value=str()) if node.lineno == node.end_lineno:
            for other in switches.get(node.value, ()):
                yield "switch", *_span(node), f'"{other}"'
        case ast.BinOp() if type(node.op) in _SIGNS:
            yield from _sign(node.left, node.op, node.right, lines)
        case ast.Compare() if len(node.ops) == 1 and type(node.ops[0]) in _SIGNS:
            yield from _sign(node.left, node.ops[0], node.comparators[0], lines)
        case ast.UnaryOp(op=ast.USub()) if node.lineno == node.operand.lineno:
            yield "sign", node.lineno, node.col_offset, node.operand.col_offset, ""
        case ast.Call():
            yield from _arguments(node, lines, fields, types)


def _sign(left: ast.expr, operator: ast.AST, right: ast.expr, lines: Sequence[str]) -> Iterator[_Change]:
    if left.end_lineno == right.lineno and left.end_col_offset is not None:
        old, new = _SIGNS[type(operator)]
        between = lines[right.lineno - 1].encode()[left.end_col_offset : right.col_offset].decode()
        if between.strip() == old:
            at = left.end_col_offset + between.index(old)
            yield "sign", right.lineno, at, at + len(old), new


def _arguments(
    call: ast.Call, lines: Sequence[str], fields: Mapping[str, Sequence[str]], types: Mapping[str, str]
) -> Iterator[_Change]:
    values = [*call.args, *(keyword.value for keyword in call.keywords)]
    for value in values:
        if isinstance(value, ast.Name) and value.id in types:
            for other in (name for name, kind in types.items() if kind == types[value.id] and name != value.id):
                yield "argument", *_span(value), other
        elif isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.lineno == value.end_lineno:
            for other in dict.fromkeys(fields.get(value.attr, ())):
                yield "argument", *_span(value), f"{value.value.id}.{other}"
    for keyword in call.keywords:
        if keyword.arg in (None, "strict") or keyword.end_lineno != keyword.lineno or keyword.end_col_offset is None:
            continue
        line = lines[keyword.lineno - 1].encode()
        start, end = keyword.col_offset, keyword.end_col_offset
        if line[end : end + 2] == b", ":
            yield "dropped", keyword.lineno, start, end + 2, ""
        elif line[:start].endswith(b", "):
            yield "dropped", keyword.lineno, start - 2, end, ""
        else:
            yield "dropped", keyword.lineno, start, end + (line[end : end + 1] == b","), ""


def _span(node: ast.expr) -> tuple[int, int, int]:
    assert node.end_col_offset is not None
    return node.lineno, node.col_offset, node.end_col_offset


def _replaced(line: str, start: int, end: int, new: str) -> str:
    whole = line.encode()
    return (whole[:start] + new.encode() + whole[end:]).decode()
