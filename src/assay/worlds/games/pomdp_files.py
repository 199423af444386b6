"""POMDP and Dec-POMDP files (Cassandra's format and its multi-agent form), read strictly and exactly.

A file has a preamble (`agents:`, `discount:`, `values:`, `states:`, `start:`, `actions:`, `observations:`) and statements:

    T: <action> : <state> : <next state> : p      the last colon may be missing with one agent
    T: <action> : <state>                         followed by a row of probabilities, or `uniform`
    T: <action>                                   followed by a matrix, or `uniform`, or `identity`

and likewise `O:` by action, next state and observation, and `R:` by action, state, next state and observation. Elements are
named or numbered from 0, `*` stands for all of them, and a later statement overrides an earlier one. A joint action is one
element an agent, `*`, or the number of the combination (the last agent's runs fastest). `#` begins a comment. With one agent
the partner H has a single action and a single observation. Rewards that depend on the observation are refused.
"""

import re
from fractions import Fraction
from itertools import product
from math import prod
from typing import NoReturn

import numpy as np

from assay.core.arrays import Exacts
from assay.core.errors import InputError, unknown_name
from assay.core.text import visible
from assay.worlds.games.rationals import exact
from assay.worlds.games.sequential import MAX_ENTRIES, SequentialGame
from assay.worlds.games.team import refuse_above

__all__ = ["parse_pomdp"]

PREAMBLE = ("agents", "discount", "values", "states", "start", "actions", "observations")
_HEAD = re.compile(
    r"\s*(agents|discount|values|states|start(?:\s+include|\s+exclude)?|actions|observations|[TOR]|[A-Za-z_]+)\s*:"
)
_NAME = re.compile(r"[A-Za-z_][\w.+-]*")
MAX_ELEMENTS = 100_000
Line = tuple[int, list[str]]


def parse_pomdp(text: str, *, where: str = "game") -> SequentialGame:
    """The game a `.pomdp` or `.dpomdp` text describes, validated.

    Raises:
        InputError: the text breaks the format, or uses a feature that has no place here; the message names the line.
    """
    return _Reader(text, where).game()


class _Block:
    """One entry of the preamble or one statement: where it begins, what stands on its line, and the lines below."""

    def __init__(self, kind: str, line: int, rest: str) -> None:
        self.kind, self.line, self.rest = kind, line, rest
        self.below: list[Line] = []


class _Reader:
    def __init__(self, text: str, where: str) -> None:
        self.where = where
        self.blocks = self._blocks(text)
        self.preamble: dict[str, _Block] = {}
        for block in self.blocks:
            if block.kind in ("T", "O", "R"):
                continue
            word = block.kind.split()[0]
            if word not in PREAMBLE:
                self._refuse(block.line, unknown_name("entry", block.kind, [*PREAMBLE, "T", "O", "R"], see="See docs/games.md"))
            if word in self.preamble:
                self._refuse(block.line, f"'{word}' must be given once; it is there already in line {self.preamble[word].line}")
            self.preamble[word] = block
        for word in ("discount", "states", "actions", "observations"):
            if word not in self.preamble:
                self._refuse(None, f"the entry '{word}:' must be given; it is missing")
        self.n_agents = self._agents()
        self.states = self._names("states")[0]
        self.actions = self._names("actions", of_agents=True)
        self.observations = self._names("observations", of_agents=True)
        self.n_joint = prod(map(len, self.actions))
        self.n_seen = prod(map(len, self.observations))
        n = len(self.states)
        refuse_above(MAX_ENTRIES, self.n_joint * n * (2 * n + self.n_seen), what=f"{where}: the tables", unit="entries")

    def game(self) -> SequentialGame:
        """The whole file as a game."""
        n = len(self.states)
        zero = Fraction(0)
        tables = {
            "T": np.full((self.n_joint, n, n), zero, dtype=object),
            "O": np.full((self.n_joint, n, self.n_seen), zero, dtype=object),
            "R": np.full((self.n_joint, n, n), zero, dtype=object),
        }
        for block in self.blocks:
            if block.kind in tables:
                self._apply(block, tables[block.kind])
        sign = self._sign()
        kept = tables["T"] * tables["R"]
        expected = kept.sum(axis=2) if n else kept
        k_a, k_h = len(self.actions[0]), len(self.actions[1]) if self.n_agents == 2 else 1
        n_x, n_y = len(self.observations[0]), len(self.observations[1]) if self.n_agents == 2 else 1
        return SequentialGame(
            self.where.rsplit(".", 1)[0],
            self.states,
            self.actions[0],
            self.actions[1] if self.n_agents == 2 else ("-",),
            self.observations[0],
            self.observations[1] if self.n_agents == 2 else ("-",),
            self._start(),
            np.ascontiguousarray(tables["T"].transpose(1, 0, 2)).reshape(n, k_a, k_h, n),
            tables["O"].reshape(k_a, k_h, n, n_x, n_y),
            np.ascontiguousarray((sign * expected).T).reshape(n, k_a, k_h),
            None,
            self._discount(),
        )

    def _refuse(self, line: int | None, says: str) -> NoReturn:
        at = self.where if line is None else f"{self.where}, line {line}"
        raise InputError(f"{at}: {says}")

    def _blocks(self, text: str) -> list[_Block]:
        blocks: list[_Block] = []
        for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
            line = raw.split("#", 1)[0].replace('"', " ")
            if not line.strip():
                continue
            head = _HEAD.match(line)
            if head:
                blocks.append(_Block(" ".join(head[1].split()), number, line[head.end() :]))
            elif blocks:
                blocks[-1].below.append((number, line.split()))
            else:
                self._refuse(
                    number, f"a file begins with its preamble ({', '.join(PREAMBLE)}); got '{visible(line.strip()[:40])}'"
                )
        if not blocks:
            self._refuse(None, "a POMDP file must hold a preamble and statements; it is empty")
        return blocks

    def _words(self, word: str) -> tuple[int, list[str], list[Line]]:
        block = self.preamble[word]
        return block.line, block.rest.split(), block.below

    def _agents(self) -> int:
        if "agents" not in self.preamble:
            return 1
        line, words, _ = self._words("agents")
        n = int(words[0]) if len(words) == 1 and words[0].isascii() and words[0].isdigit() and len(words[0]) < 6 else len(words)
        if n not in (1, 2):
            self._refuse(line, f"a game must have one or two agents; this one has {n}. Games of more are not solved here")
        return n

    def _discount(self) -> Fraction:
        line, words, below = self._words("discount")
        words = words + [word for _, more in below for word in more]
        if len(words) != 1:
            self._refuse(line, f"discount must be one number; got {len(words)} words")
        found = exact(words[0], where=f"{self.where}, line {line}: discount")
        if not 0 <= found <= 1:
            self._refuse(line, f"discount must lie in [0, 1]; got {visible(words[0])}")
        return found

    def _sign(self) -> int:
        if "values" not in self.preamble:
            return 1
        line, words, _ = self._words("values")
        if words not in (["reward"], ["cost"]):
            self._refuse(line, f"values must be 'reward' or 'cost'; got '{visible(' '.join(words))}'")
        return -1 if words == ["cost"] else 1

    def _names(self, word: str, *, of_agents: bool = False) -> list[tuple[str, ...]]:
        line, words, below = self._words(word)
        if of_agents and self.n_agents == 2:
            rows = [(line, words), *below] if words else below
            if len(rows) != 2:
                self._refuse(line, f"{word} must have one line for each of the 2 agents; got {len(rows)}")
        else:
            rows = [(line, words + [w for _, more in below for w in more])]
        return [self._listed(word, at, row) for at, row in rows]

    def _listed(self, word: str, line: int, words: list[str]) -> tuple[str, ...]:
        if len(words) == 1 and words[0].isascii() and words[0].isdigit():
            if len(words[0]) > 6 or not 1 <= int(words[0]) <= MAX_ELEMENTS:
                self._refuse(line, f"{word} must number 1 to {MAX_ELEMENTS:,} elements; got {words[0][:20]}")
            return tuple(str(i) for i in range(int(words[0])))
        if not words:
            self._refuse(line, f"{word} must be a number or a list of names; it is empty")
        for name in words:
            if not _NAME.fullmatch(name) or name in ("uniform", "identity", "include", "exclude"):
                self._refuse(line, f"{word}: a name must begin with a letter and be no keyword; got '{visible(name)}'")
        if len(set(words)) < len(words):
            twice = next(name for i, name in enumerate(words) if name in words[:i])
            self._refuse(line, f"{word} must be distinct; '{visible(twice)}' appears more than once")
        return tuple(words)

    def _place(self, token: str, names: tuple[str, ...], line: int, kind: str) -> list[int]:
        """The elements a token stands for: one by name or number, or all."""
        if token == "*":
            return list(range(len(names)))
        if token in names:
            return [names.index(token)]
        if token.isascii() and token.isdigit() and len(token) < 8:
            if int(token) >= len(names):
                self._refuse(
                    line, f"{kind} {token} must be below {len(names)}, the number of them; elements are numbered from 0"
                )
            return [int(token)]
        self._refuse(line, unknown_name(kind, visible(token), names[:2000], see=f"Declared are {', '.join(names[:20])}"))

    def _joint(self, tokens: list[str], names: list[tuple[str, ...]], line: int, kind: str) -> list[int]:
        """Numbers of the combinations that the tokens stand for."""
        if len(tokens) == 1 and len(names) > 1:
            sizes = tuple(str(i) for i in range(prod(map(len, names))))
            return self._place(tokens[0], sizes, line, f"joint {kind}")
        if len(tokens) != len(names):
            self._refuse(line, f"a joint {kind} must have one element for each of the {len(names)} agents; got {len(tokens)}")
        each = [self._place(token, own, line, kind) for token, own in zip(tokens, names, strict=True)]
        sizes_ = [len(own) for own in names]
        return [int(np.ravel_multi_index(combination, sizes_)) for combination in product(*each)]

    def _start(self) -> Exacts:
        n = len(self.states)
        uniform = np.array([Fraction(1, n)] * n, dtype=object)
        if "start" not in self.preamble:
            return uniform
        block = self.preamble["start"]
        words = block.rest.split() + [word for _, more in block.below for word in more]
        line, kind = block.line, block.kind
        if not words:
            self._refuse(line, "start must say where the game begins; it is empty")
        if kind in ("start include", "start exclude"):
            chosen = sorted({s for word in words for s in self._place(word, self.states, line, "state")})
            if kind == "start exclude":
                chosen = [s for s in range(n) if s not in chosen]
            if not chosen:
                self._refuse(line, "start must leave at least one state; it excludes them all")
            return np.array([Fraction(int(s in chosen), len(chosen)) for s in range(n)], dtype=object)
        if words == ["uniform"]:
            return uniform
        if len(words) == 1 and (n > 1 or words[0] in self.states):
            (s,) = self._place(words[0], self.states, line, "state") if words[0] != "*" else self._one_state(line)
            return np.array([Fraction(int(i == s)) for i in range(n)], dtype=object)
        return np.array(self._numbers(words, line, n, "start"), dtype=object)

    def _one_state(self, line: int) -> list[int]:
        self._refuse(line, "start must name one state, or be 'uniform'; got '*'")

    def _numbers(self, words: list[str], line: int, n: int, what: str) -> list[Fraction]:
        if len(words) != n:
            self._refuse(line, f"{what} must have {n} numbers; got {len(words)}")
        return [exact(word, where=f"{self.where}, line {line}: {what}") for word in words]

    def _apply(self, block: _Block, table: Exacts) -> None:
        """Write one statement into its table."""
        kind, line = block.kind, block.line
        fields = [part.split() for part in block.rest.split(":")]
        if fields and not fields[-1]:
            fields.pop()
        if not fields or any(not part for part in fields):
            self._refuse(line, f"a statement {kind}: must name an action and, between colons, what follows; a part is empty")
        n_names = {"T": 3, "O": 3, "R": 4}[kind]
        values = [word for _, words in block.below for word in words]
        if len(fields) > n_names + 1:
            self._refuse(line, f"a statement {kind}: must have at most {n_names} names and a number; got {len(fields)} parts")
        if len(fields) == n_names + 1 or (len(fields) > 1 and fields[-1][0] in ("uniform", "identity")):
            values = fields.pop() + values
        elif self.n_agents == 1 and len(fields[-1]) > 1:
            values, fields[-1] = fields[-1][1:] + values, fields[-1][:1]
        given = len(fields)
        a = self._joint(fields[0], self.actions, line, "action")
        s = self._place(*self._single(fields[1], line), line, "state") if given > 1 else list(range(len(self.states)))
        n, wide = len(self.states), self.n_seen if kind == "O" else len(self.states)
        if kind == "R":
            self._reward(fields, values, line, table, a, s)
            return
        if given == 3:
            to = (
                self._joint(fields[2], self.observations, line, "observation")
                if kind == "O"
                else self._place(*self._single(fields[2], line), line, "state")
            )
            table[np.ix_(a, s, to)] = self._numbers(values, line, 1, f"{kind}: a probability")[0]
        elif values == ["uniform"]:
            table[np.ix_(a, s)] = Fraction(1, wide)
        elif values == ["identity"]:
            if kind != "T" or given == 2:
                self._refuse(line, "'identity' stands for a whole matrix of next states; it has no place here")
            table[a] = np.array([[Fraction(int(i == j)) for j in range(n)] for i in range(n)], dtype=object)
        elif given == 2:
            table[np.ix_(a, s)] = np.array(self._numbers(values, line, wide, f"{kind}: a row"), dtype=object)
        else:
            matrix = self._numbers(values, line, n * wide, f"{kind}: a matrix of {n} by {wide}")
            table[a] = np.array(matrix, dtype=object).reshape(n, wide)

    def _single(self, tokens: list[str], line: int) -> tuple[str, tuple[str, ...]]:
        if len(tokens) != 1:
            self._refuse(line, f"a state must be one name, number or '*'; got '{visible(' '.join(tokens))}'")
        return tokens[0], self.states

    def _reward(self, fields: list[list[str]], values: list[str], line: int, table: Exacts, a: list[int], s: list[int]) -> None:
        """R by action, state, next state; what would differ by observation is refused."""
        n, given = len(self.states), len(fields)
        if given == 1:
            self._refuse(line, "a statement R: must name a state beside the action ('*' for all)")
        to = self._place(*self._single(fields[2], line), line, "state") if given > 2 else list(range(n))
        if given == 4:
            seen = self._joint(fields[3], self.observations, line, "observation")
            if len(seen) < self.n_seen:
                self._refuse(line, "rewards that depend on the observation have no place here; write '*' for the observation")
            table[np.ix_(a, s, to)] = self._numbers(values, line, 1, "R: a reward")[0]
            return
        rows = 1 if given == 3 else n
        numbers = np.array(self._numbers(values, line, rows * self.n_seen, "R: rewards by observation"), dtype=object)
        matrix = numbers.reshape(rows, self.n_seen)
        if any(len(set(row)) > 1 for row in matrix.tolist()):
            self._refuse(line, "rewards that depend on the observation have no place here; a row must repeat one number")
        if given == 3:
            table[np.ix_(a, s, to)] = matrix[0, 0]
        else:
            table[np.ix_(a, s)] = matrix[:, 0]
