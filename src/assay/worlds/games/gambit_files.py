"""Gambit's files, read strictly: strategic games (`.nfg`) and extensive games (`.efg`).

Two players with one common payoff who move at most once each become a `TreeGame`, solved like an assistance game: the first
player is A, the second H. Two players with payoffs of their own become a `MatrixGame` over their strategies. Everything else is
refused by the feature that stands in the way.
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from math import prod
from typing import NoReturn

import numpy as np

from assay.core.errors import InputError
from assay.core.text import visible
from assay.worlds.games.matrix import MatrixGame
from assay.worlds.games.rationals import check_kernel, exact
from assay.worlds.games.team import TeamForm, integers, refuse_above

__all__ = ["TreeGame", "parse_gambit"]

MAX_STRATEGIES = 5_000
MAX_NODES = 200_000
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|([{},])|([^\s{},"]+)')


@dataclass(frozen=True, eq=False)
class TreeGame:
    """A common-payoff game tree of two players who move at most once on every path, in reduced form.

    Attributes:
        name: for tables.
        form: the reduced form; observations are information sets.
    """

    name: str
    form: TeamForm
    legal_assistant: tuple[tuple[bool, ...], ...] = field(default=())
    legal_human: tuple[tuple[bool, ...], ...] = field(default=())

    def team_form(self) -> TeamForm:
        """The reduced form."""
        return self.form

    def shape(self) -> tuple[int, int, int, int]:
        """Counts of A's observations and actions, H's observations and actions."""
        return self.form.shape


def parse_gambit(text: str, *, where: str = "game") -> TreeGame | MatrixGame:
    """The game a Gambit text describes.

    Raises:
        InputError: the text breaks the format or has a feature that is not solved here; the message names the line.
    """
    reader = _Tokens(text.removeprefix("\ufeff"), where)
    kind = reader.take()
    reader.expect("1" if kind == "NFG" else "2", f"the version of an {kind} file must be {'1' if kind == 'NFG' else '2'}")
    if reader.take() not in ("R", "D"):
        reader.refuse("numbers must be rational ('R') or decimal ('D')")
    name = reader.text("the title") or where.rsplit(".", 1)[0]
    players = reader.texts("the players")
    if len(players) > 2:
        reader.refuse(
            f"games of two players are solved here; this one has {len(players)}: {', '.join(map(visible, players[:5]))}"
        )
    if not players:
        reader.refuse("a game must have players; it has none")
    players = [player.strip() or f"player {i + 1}" for i, player in enumerate(players)]
    if len(players) == 2 and players[0] == players[1]:
        reader.refuse(f"players must be distinct; both are called '{visible(players[0])}'")
    return _strategic(reader, name, players) if kind == "NFG" else _extensive(reader, name, players)


class _Tokens:
    """The words of a file, one after the other, with their lines."""

    def __init__(self, text: str, where: str) -> None:
        self.where, self.line, self.at = where, 1, 0
        self.words: list[tuple[str, bool, int]] = []
        line, end = 1, 0
        for found in _TOKEN.finditer(text):
            between = text[end : found.start()]
            if between.strip():
                raise InputError(f"{where}, line {line}: a quotation mark is never closed. Close it")
            line += between.count("\n")
            quoted = found[1] is not None
            self.words.append((re.sub(r"\\(.)", r"\1", found[1]) if quoted else found[0], quoted, line))
            line += found[0].count("\n")
            end = found.end()
        if text[end:].strip():
            raise InputError(f"{where}, line {line}: a quotation mark is never closed. Close it")

    def refuse(self, says: str) -> NoReturn:
        raise InputError(f"{self.where}, line {self.line}: {says}")

    def peek(self) -> str | None:
        """The next word that is no quoted text; None at the end, '' before a quoted text."""
        while self.at < len(self.words) and self.words[self.at][:2] == (",", False):
            self.at += 1
        if self.at >= len(self.words):
            return None
        word, quoted, self.line = self.words[self.at]
        return "" if quoted else word

    def take(self) -> str:
        if self.peek() is None:
            self.refuse("the file ends too early")
        word, _, self.line = self.words[self.at]
        self.at += 1
        return word

    def expect(self, word: str, says: str) -> None:
        if self.peek() != word:
            self.refuse(f"{says}; got '{visible(self.take()[:40]) if self.peek() is not None else 'the end'}'")
        self.take()

    def text(self, what: str) -> str:
        if self.peek() != "":
            self.refuse(f"{what} must be a text in quotation marks; got '{visible((self.peek() or 'the end')[:40])}'")
        return self.take()

    def texts(self, what: str) -> list[str]:
        self.expect("{", f"{what} must stand in braces")
        found = []
        while self.peek() != "}":
            found.append(self.text(what))
        self.take()
        return found

    def number(self, what: str) -> Fraction:
        if self.peek() in (None, "", "{", "}"):
            self.refuse(f"{what} must be a number")
        return exact(self.take(), where=f"{self.where}, line {self.line}: {what}")

    def whole(self, what: str) -> int:
        word = self.take()
        if not (word.isascii() and word.isdigit() and len(word) < 7):
            self.refuse(f"{what} must be a whole number; got '{visible(word[:40])}'")
        return int(word)


def _distinct(names: list[str]) -> tuple[str, ...]:
    """The names, numbered where they are empty or repeated."""
    found: list[str] = []
    for i, name in enumerate(names):
        clean = name.strip() or str(i + 1)
        found.append(clean if clean not in found else f"{clean} ({i + 1})")
    return tuple(found)


def _strategic(reader: _Tokens, name: str, players: list[str]) -> TreeGame | MatrixGame:
    if len(players) != 2:
        reader.refuse(f"a strategic game must have two players; this one has {len(players)}")
    reader.expect("{", "the strategies must stand in braces")
    strategies: list[tuple[str, ...]] = []
    while reader.peek() != "}":
        if reader.peek() == "{":
            strategies.append(_distinct(reader.texts("the strategies")))
        else:
            n = reader.whole("the number of strategies")
            strategies.append(tuple(str(i + 1) for i in range(min(n, MAX_STRATEGIES + 1))))
    reader.take()
    if len(strategies) != 2 or not all(strategies):
        reader.refuse(f"each of the two players must have strategies; got {len(strategies)} lists")
    refuse_above(MAX_STRATEGIES**2 // 25, prod(map(len, strategies)), what=f"{reader.where}: the game", unit="cells")
    if reader.peek() == "":
        reader.take()  # a comment
    cells = prod(map(len, strategies))
    if reader.peek() == "{":
        outcomes = [(Fraction(0), Fraction(0))]
        reader.take()
        while reader.peek() != "}":
            reader.expect("{", "an outcome must stand in braces")
            reader.text("an outcome's name")
            outcomes.append((reader.number("a payoff"), reader.number("a payoff")))
            reader.expect("}", "an outcome has one payoff for each of the two players")
        reader.take()
        table = []
        for _ in range(cells):
            k = reader.whole("the number of an outcome")
            if k >= len(outcomes):
                reader.refuse(f"outcome {k} must be one of the {len(outcomes) - 1} listed")
            table.append(outcomes[k])
    else:
        table = [(reader.number("a payoff"), reader.number("a payoff")) for _ in range(cells)]
    if reader.peek() is not None:
        reader.refuse(f"a game of {len(strategies[0])} by {len(strategies[1])} strategies has {cells} cells; the file goes on")
    rows, columns = strategies
    payoffs = tuple(tuple(table[i + j * len(rows)] for j in range(len(columns))) for i in range(len(rows)))
    game = MatrixGame(name, (players[0], players[1]), (rows, columns), payoffs)
    if all(a == b for row in payoffs for a, b in row):
        tree = _Tree(reader.where)
        tree.info[0], tree.info[1] = {1: ("", rows)}, {1: ("", columns)}
        tree.leaves = [
            (Fraction(1), payoffs[i][j], ((0, 1, i), (1, 1, j))) for i in range(len(rows)) for j in range(len(columns))
        ]
        return tree.team(name, players)
    return game


Move = tuple[int, int, int]  # player, information set, action


class _Tree:
    """What a game tree comes to: the paths, with their probability and payoffs, and the information sets."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.info: list[dict[int, tuple[str, tuple[str, ...]]]] = [{}, {}]
        self.leaves: list[tuple[Fraction, tuple[Fraction, ...], tuple[Move, ...]]] = []
        self.before: dict[tuple[int, int], tuple[Move, ...]] = {}

    def team(self, name: str, players: list[str]) -> TreeGame:
        """The reduced form of a common-payoff tree in which both move at most once on every path."""
        orders = {tuple(move[0] for move in moves) for _, _, moves in self.leaves}
        if (0, 1) in orders and (1, 0) in orders:
            raise InputError(
                f"{self.where}: whoever moves first must do so on every path; here it varies. This is not solved here"
            )
        met = {move[:2] for _, _, moves in self.leaves for move in moves}
        for player, info in enumerate(self.info):  # what chance never leads to does not count
            self.info[player] = {key: entry for key, entry in info.items() if (player, key) in met}
        places = [{key: i for i, key in enumerate(sorted(info))} for info in self.info]
        labels, acts, legal = [], [], []
        for player in (0, 1):
            info = self.info[player] or {0: ("never asked", ("-",))}
            names = _distinct([info[key][0] or f"set {key}" for key in sorted(info)])
            actions = tuple(dict.fromkeys(a for key in sorted(info) for a in info[key][1]))
            labels.append(names)
            acts.append(actions)
            legal.append(tuple(tuple(a in info[key][1] for a in actions) for key in sorted(info)))
        shape = tuple(len(x) for pair in zip(labels, acts, strict=True) for x in pair)
        refuse_above(2_000_000, prod(shape), what=f"{self.where}: the payoff table", unit="cells")
        payoff = np.full(shape, Fraction(0), dtype=object)
        mass = np.full(shape[:3], Fraction(0), dtype=object)
        human_first = (1, 0) in orders
        reach = [[0] * len(acts[1]) for _ in labels[1]]
        for p, paid, moves in self.leaves:
            at: list[tuple[int, int] | None] = [None, None]
            for player, key, action in moves:
                at[player] = places[player][key], acts[player].index(self.info[player][key][1][action])
            (o, a), (z, h) = at[0] or (0, None), at[1] or (0, None)
            # A path that leaves a side unasked is booked once, whatever that side would do.
            payoff[o, slice(None) if a is None else a, z, slice(None) if h is None else h] += p * paid[0]
            if h is not None and human_first:
                mass[0, :, z] += p / prod(len(self.info[player][key][1]) for player, key, _ in moves)
                if a is not None:
                    reach[z][h] |= 1 << o
            elif h is not None:
                mass[o, slice(None) if a is None else a, z] += p / len(self.info[1][moves[-1][1]][1])
        numbers, denominator = integers(payoff)
        masses, mass_denominator = integers(mass)
        form = TeamForm(
            numbers,
            denominator,
            masses,
            mass_denominator,
            labels[0],
            acts[0],
            labels[1],
            acts[1],
            (False,) * len(acts[0]),
            "",
            name,
            legal_assistant=() if all(map(all, legal[0])) else legal[0],
            legal_human=() if all(map(all, legal[1])) else legal[1],
            human_reach=tuple(map(tuple, reach)) if human_first else (),
        )
        return TreeGame(name, form, form.legal_assistant, form.legal_human)

    def matrix(self, name: str, players: list[str]) -> MatrixGame:
        """The strategic form: a strategy is an action for every information set."""
        lists = []
        for info in self.info:
            sizes = [len(actions) for _, actions in info.values()]
            refuse_above(MAX_STRATEGIES, prod(sizes), what=f"{self.where}: each player", unit="strategies")
            lists.append(list(product(*(range(n) for n in sizes))))
        refuse_above(200_000, len(lists[0]) * len(lists[1]), what=f"{self.where}: the strategic form", unit="cells")
        places = [{key: i for i, key in enumerate(info)} for info in self.info]
        names = [
            _distinct(
                [
                    ", ".join(actions[k] for (_, actions), k in zip(info.values(), strategy, strict=True)) or "-"
                    for strategy in own
                ]
            )
            for info, own in zip(self.info, lists, strict=True)
        ]
        payoffs = []
        for row in lists[0]:
            cells = []
            for column in lists[1]:
                totals = [Fraction(0), Fraction(0)]
                for p, paid, moves in self.leaves:
                    if all((row, column)[player][places[player][key]] == action for player, key, action in moves):
                        totals = [totals[0] + p * paid[0], totals[1] + p * paid[1]]
                cells.append((totals[0], totals[1]))
            payoffs.append(tuple(cells))
        return MatrixGame(name, (players[0], players[1]), (names[0], names[1]), tuple(payoffs))


def _extensive(reader: _Tokens, name: str, players: list[str]) -> TreeGame | MatrixGame:
    n = len(players)
    if reader.peek() == "":
        reader.take()  # a comment
    tree = _Tree(reader.where)
    outcomes: dict[int, tuple[Fraction, ...]] = {0: (Fraction(0),) * n}
    chance: dict[int, tuple[tuple[str, ...], tuple[Fraction, ...]]] = {}
    nothing = (Fraction(0),) * n
    stack: list[tuple[Fraction, tuple[Fraction, ...], tuple[Move, ...]]] = [(Fraction(1), nothing, ())]
    nodes = 0
    while stack:
        p, paid, moves = stack.pop()
        nodes += 1
        if nodes > MAX_NODES:
            reader.refuse(f"a tree must have at most {MAX_NODES:,} nodes; this one has more")
        kind = reader.take()
        if kind not in ("c", "p", "t"):
            reader.refuse(f"a node must begin with c, p or t; got '{visible(kind[:40])}'")
        reader.text("a node's name")
        player = reader.whole("a node's player") - 1 if kind == "p" else -1
        if kind == "p" and not 0 <= player < n:
            reader.refuse(f"a node's player must be one of the {n}; got {player + 1}")
        if kind == "t":
            paid = _outcome(reader, outcomes, paid, n)
            if p:
                tree.leaves.append((p, paid, moves))
            continue
        key = reader.whole("an information set")
        label, actions, chances = _information_set(reader, kind)
        if kind == "c":
            known = chance.setdefault(key, (actions, chances))
            actions, chances = known if not actions else (actions, chances)
            if (actions, chances) != known:
                reader.refuse(f"chance's information set {key} must have the same moves everywhere; it has others")
        else:
            before = tree.info[player].setdefault(key, (label, actions))
            label, actions = before if not actions else (label or before[0], actions)
            if actions != before[1]:
                reader.refuse(f"information set {key} of {visible(players[player])} must have the same actions everywhere")
            own = tuple(move for move in moves if move[0] == player)
            if tree.before.setdefault((player, key), own) != own:
                reader.refuse(
                    f"imperfect recall is not solved here: in information set {key} {visible(players[player])} has forgotten "
                    "what it did or knew before"
                )
        if not actions:
            reader.refuse("a node that is no end must have moves; it has none")
        paid = _outcome(reader, outcomes, paid, n)
        for k in reversed(range(len(actions))):
            stack.append((p * chances[k], paid, moves) if kind == "c" else (p, paid, (*moves, (player, key, k))))
    if reader.peek() is not None:
        reader.refuse("the tree is complete here; the file goes on")
    if n == 1:
        tree.leaves = [(p, paid * 2, moves) for p, paid, moves in tree.leaves]
        players = [*players, "nobody"]
    common = all(paid[0] == paid[1] for _, paid, _ in tree.leaves)
    once = all(len({player for player, _, _ in moves}) == len(moves) for _, _, moves in tree.leaves)
    return tree.team(name, players) if common and once else tree.matrix(name, players)


def _information_set(reader: _Tokens, kind: str) -> tuple[str, tuple[str, ...], tuple[Fraction, ...]]:
    """Label, moves and, for chance, probabilities; all empty where the file refers to an earlier set by number alone."""
    if reader.peek() != "":
        return "", (), ()
    label = reader.text("an information set's name")
    reader.expect("{", "the moves must stand in braces")
    names, chances = [], []
    while reader.peek() != "}":
        names.append(reader.text("a move"))
        if kind == "c":
            chances.append(reader.number("a probability"))
    reader.take()
    if kind == "c":
        check_kernel(chances, where=f"{reader.where}, line {reader.line}: chance's moves")
    return label.strip(), _distinct(names), tuple(chances)


def _outcome(
    reader: _Tokens, outcomes: dict[int, tuple[Fraction, ...]], paid: tuple[Fraction, ...], n: int
) -> tuple[Fraction, ...]:
    """What has been paid once this node's outcome is added."""
    key = reader.whole("an outcome")
    if reader.peek() == "":
        reader.text("an outcome's name")
        reader.expect("{", "payoffs must stand in braces")
        found = tuple(reader.number("a payoff") for _ in range(n))
        reader.expect("}", f"an outcome must have one payoff for each of the {n} players")
        if outcomes.setdefault(key, found) != found and key:
            reader.refuse(f"outcome {key} must have the same payoffs everywhere; it has others")
    elif key not in outcomes:
        reader.refuse(f"outcome {key} must have payoffs where it is first named")
    return tuple(a + b for a, b in zip(paid, outcomes[key], strict=True))
