"""Games as JSON files: one small documented form for off-switch, assistance and two-stage assistance games.

The form is described in docs/games.md. Numbers may be JSON numbers (taken as the decimals they spell) or texts such as "1/3".
"""

import json
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from assay.core.errors import InputError, unknown_name
from assay.worlds.games.assistance import AssistanceGame, TwoStageGame
from assay.worlds.games.off_switch import OffSwitchGame, check_names
from assay.worlds.games.rationals import exact, shown
from assay.worlds.games.team import MAX_EXACT_CELLS, refuse_above

__all__ = ["FORMAT", "Game", "document", "parse_game", "read_game", "write_game"]

FORMAT = "assay-game/1"
MAX_BYTES = 20_000_000
Game = OffSwitchGame | AssistanceGame | TwoStageGame
KINDS = {OffSwitchGame: "off-switch", AssistanceGame: "assistance", TwoStageGame: "two-stage-assistance"}


def read_game(path: str | Path) -> Game:
    """The game in a JSON file, validated.

    Raises:
        InputError: the file cannot be read, is no JSON, or does not describe a game; the message names the place.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(f"{path} must be a game file of at most {MAX_BYTES:,} bytes; it has {size:,}. Merge states")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} must be a readable game file; {error.strerror or error}. Check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be UTF-8 text; it is not at byte {error.start}. Save it as UTF-8") from error
    return parse_game(text, where=path.name)


def parse_game(text: str, *, where: str = "game") -> Game:
    """The game a JSON text describes, validated.

    Args:
        text: the document.
        where: what it is called in messages.

    Raises:
        InputError: as for `read_game`.
    """

    def constant(spelled: str) -> object:
        raise InputError(f"{where}: payoffs and probabilities must be finite; got {spelled}. An infinite payoff has no optimum")

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, value in pairs:
            if name in found:
                raise InputError(f"{where}: a key must appear once in an object; got '{name}' again. Remove one of them")
            found[name] = value
        return found

    try:
        found = json.loads(text, parse_float=_Decimal, parse_constant=constant, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where} must be JSON; line {error.lineno}, column {error.colno}: {error.msg}. Check commas and quotes"
        ) from error
    except (RecursionError, ValueError) as error:
        raise InputError(f"{where} must be JSON of ordinary depth and numbers; {error}. See docs/games.md") from error
    fields = _Fields(found, where)
    given = fields.text("format")
    if given != FORMAT:
        raise InputError(f"{where}: format must be '{FORMAT}'; got '{given}'. Add \"format\": \"{FORMAT}\"")
    kind = fields.text("kind")
    readers: dict[str, Callable[[_Fields, str], Game]] = {
        "off-switch": _off_switch,
        "assistance": _assistance,
        "two-stage-assistance": _two_stage,
    }
    if kind not in readers:
        see = f"Kinds are {', '.join(readers)}"
        raise InputError(f"{where}: {unknown_name('kind of game', kind, readers, see=see)}")
    game = readers[kind](fields, fields.text("name", where))
    fields.done()
    return game


def document(game: Game) -> dict[str, Any]:
    """The game as a JSON-ready mapping, the inverse of `parse_game`; rationals are written as texts."""
    head: dict[str, Any] = {"format": FORMAT, "kind": KINDS[type(game)], "name": game.name}
    if isinstance(game, OffSwitchGame):
        return head | {
            "human_observations": list(game.human_observations),
            "assistant_observations": list(game.assistant_observations),
            "messages": {"to_human": game.to_human, "to_assistant": game.to_assistant},
            "states": [
                {
                    "name": name,
                    "prior": _number(game.prior[s]),
                    "act": _number(game.act[s]),
                    "off": _number(game.off[s]),
                    "sees": [
                        [human, assistant, _number(game.observe[s][i][j])]
                        for i, human in enumerate(game.human_observations)
                        for j, assistant in enumerate(game.assistant_observations)
                        if game.observe[s][i][j]
                    ],
                }
                for s, name in enumerate(game.states)
            ],
        }
    first = game.first if isinstance(game, TwoStageGame) else game
    states = [
        {
            "name": name,
            "prior": _number(first.prior[s]),
            "assistant_sees": _law(first.assistant_observations, first.assistant_sees[s]),
            "human_sees": {
                action: _law(first.human_observations, first.human_sees[s][a])
                for a, action in enumerate(first.assistant_actions)
            },
            "reward": {
                action: dict(zip(first.human_actions, map(_number, first.reward[s][a]), strict=True))
                for a, action in enumerate(first.assistant_actions)
            },
        }
        for s, name in enumerate(first.states)
    ]
    head |= {
        "assistant_observations": list(first.assistant_observations),
        "assistant_actions": list(first.assistant_actions),
        "hiding_actions": [a for a, hides in zip(first.assistant_actions, first.hides, strict=True) if hides],
        "human_observations": list(first.human_observations),
        "human_actions": list(first.human_actions),
    }
    if isinstance(game, TwoStageGame):
        for row, rewards in zip(states, game.second_reward, strict=True):
            row["second_reward"] = dict(zip(game.second_actions, map(_number, rewards), strict=True))
        head |= {"second_actions": list(game.second_actions), "messages": {"to_assistant": game.to_assistant}}
    else:
        head["messages"] = {"to_human": first.to_human}
    return head | {"states": states}


def write_game(game: Game, path: str | Path) -> None:
    """Write the game as a JSON file that `read_game` reads back to an equal record."""
    Path(path).write_text(json.dumps(document(game), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


class _Decimal(str):
    """A JSON number as it was spelled, so that 0.1 is one tenth and not its nearest binary neighbour."""

    __slots__ = ()


class _Fields:
    """The keys of one JSON object: each is asked for by type, and those nobody asked for are an error."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise InputError(f"{where} must be a JSON object with named fields; got {_kind(value)}. See docs/games.md")
        self.value: Mapping[str, Any] = value
        self.where = where
        self.asked: list[str] = []

    def get(self, name: str, default: object = None) -> Any:
        self.asked.append(name)
        if name not in self.value:
            if default is not None:
                return default
            have = ", ".join(self.value) or "nothing"
            raise InputError(f"{self.where}: the field '{name}' must be given; the object has {have}. See docs/games.md")
        return self.value[name]

    def text(self, name: str, default: str | None = None) -> str:
        value = self.get(name, default)
        if not isinstance(value, str) or isinstance(value, _Decimal) or not value:
            raise InputError(f"{self.where}: {name} must be a non-empty text; got {value!r}")
        return value

    def names(self, name: str, default: list[str] | None = None) -> tuple[str, ...]:
        value = self.get(name, default)
        if not isinstance(value, list) or not all(isinstance(x, str) and not isinstance(x, _Decimal) for x in value):
            raise InputError(f"{self.where}: {name} must be a list of texts; got {_kind(value)}")
        if default is None:
            check_names(value, where=f"{self.where}: {name}")
        return tuple(value)

    def number(self, name: str, default: int | None = None) -> Fraction:
        return exact(self.get(name, default), where=f"{self.where}: {name}")

    def done(self) -> None:
        for name in self.value:
            if name not in self.asked:
                see = f"Fields here are {', '.join(self.asked)}"
                raise InputError(f"{self.where}: {unknown_name('field', name, self.asked, see=see)}")


def _messages(fields: _Fields, *directions: str) -> list[int]:
    found = _Fields(fields.get("messages", {}), f"{fields.where}: messages")
    counts = []
    for direction in directions:
        n = found.get(direction, 1)
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise InputError(f"{found.where}: {direction} must be a whole number of at least 1 (1 is silence); got {n!r}")
        counts.append(n)
    found.done()
    return counts


def _states(fields: _Fields) -> list[_Fields]:
    rows = fields.get("states")
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{fields.where}: states must be a non-empty list of objects; got {_kind(rows)}")
    found = []
    for i, row in enumerate(rows):
        state = _Fields(row, f"{fields.where}: states[{i}]")
        state.where = f"{fields.where}: state '{state.text('name')}'"
        found.append(state)
    return found


def _off_switch(fields: _Fields, name: str) -> OffSwitchGame:
    humans, assistants = fields.names("human_observations"), fields.names("assistant_observations")
    to_human, to_assistant = _messages(fields, "to_human", "to_assistant")
    states = _states(fields)
    cells = len(states) * len(humans) * len(assistants)
    refuse_above(MAX_EXACT_CELLS, cells, what=f"{fields.where}: the observation table", unit="cells")
    prior, act, off, observe = [], [], [], []
    for state in states:
        prior.append(state.number("prior"))
        act.append(state.number("act"))
        off.append(state.number("off", 0))
        table = [[Fraction(0)] * len(assistants) for _ in humans]
        entries = state.get("sees")
        if not isinstance(entries, list) or not entries:
            raise InputError(
                f"{state.where}: sees must be a non-empty list of [human, assistant, probability]; got {entries!r}"
            )
        for entry in entries:
            if not isinstance(entry, list) or len(entry) not in (2, 3):
                raise InputError(
                    f"{state.where}: an entry of sees must be [human, assistant] or [human, assistant, p]; got {entry!r}"
                )
            i = _index(entry[0], humans, f"{state.where}: sees", "human observation")
            j = _index(entry[1], assistants, f"{state.where}: sees", "assistant observation")
            table[i][j] += exact(entry[2] if len(entry) == 3 else 1, where=f"{state.where}: probability of {entry[:2]}")
        observe.append(tuple(tuple(row) for row in table))
        state.done()
    return OffSwitchGame(
        name,
        tuple(state.text("name") for state in states),
        tuple(prior),
        humans,
        assistants,
        tuple(observe),
        tuple(act),
        tuple(off),
        to_human,
        to_assistant,
    )


def _assistance(fields: _Fields, name: str) -> AssistanceGame:
    (to_human,) = _messages(fields, "to_human")
    states = _states(fields)
    game = _first_stage(fields, name, states, to_human)
    for state in states:
        state.done()
    return game


def _two_stage(fields: _Fields, name: str) -> TwoStageGame:
    (to_assistant,) = _messages(fields, "to_assistant")
    states = _states(fields)
    first = _first_stage(fields, name, states, 1)
    actions = fields.names("second_actions")
    rewards = tuple(
        _row(state.get("second_reward"), actions, f"{state.where}: second_reward", "second action") for state in states
    )
    for state in states:
        state.done()
    return TwoStageGame(first, actions, rewards, to_assistant)


def _first_stage(fields: _Fields, name: str, states: list[_Fields], to_human: int) -> AssistanceGame:
    assistants, humans = fields.names("assistant_observations"), fields.names("human_observations")
    actions, replies = fields.names("assistant_actions"), fields.names("human_actions")
    hiding = fields.names("hiding_actions", [])
    cells = len(states) * (len(assistants) + len(actions) * (len(humans) + len(replies)))
    refuse_above(MAX_EXACT_CELLS, cells, what=f"{fields.where}: the tables of observations and rewards", unit="cells")
    for action in hiding:
        _index(action, actions, f"{fields.where}: hiding_actions", "assistant action")
    prior, sees, signals, reward = [], [], [], []
    for state in states:
        prior.append(state.number("prior"))
        sees.append(_distribution(state.get("assistant_sees"), assistants, f"{state.where}: assistant_sees"))
        shown_, paid = (_by_action(state.get(what), actions, f"{state.where}: {what}") for what in ("human_sees", "reward"))
        signals.append(tuple(_distribution(law, humans, f"{state.where}: human_sees") for law in shown_))
        reward.append(tuple(_row(row, replies, f"{state.where}: reward", "human action") for row in paid))
    return AssistanceGame(
        name,
        tuple(state.text("name") for state in states),
        tuple(prior),
        assistants,
        tuple(sees),
        actions,
        tuple(action in hiding for action in actions),
        humans,
        tuple(signals),
        replies,
        tuple(reward),
        to_human,
    )


def _by_action(value: object, actions: Sequence[str], where: str) -> list[Any]:
    """One entry for every action of A; the key "*" speaks for those not named."""
    if not isinstance(value, dict):
        raise InputError(f'{where} must be an object with one entry an assistant action, or "*" for all; got {_kind(value)}')
    for key in value:
        if key != "*":
            _index(key, actions, where, "assistant action")
    entries = []
    for action in actions:
        if action not in value and "*" not in value:
            raise InputError(f"{where} must speak of the action '{action}'; it does not. Add it, or \"*\" for all others")
        entries.append(value.get(action, value.get("*")))
    return entries


def _distribution(value: object, names: Sequence[str], where: str) -> tuple[Fraction, ...]:
    """A law over `names`: one name for certainty, or an object of probabilities."""
    if isinstance(value, str) and not isinstance(value, _Decimal):
        chosen = _index(value, names, where, "observation")
        return tuple(Fraction(int(i == chosen)) for i in range(len(names)))
    if not isinstance(value, dict) or not value:
        raise InputError(f"{where} must be the name of an observation or an object of probabilities; got {_kind(value)}")
    law = [Fraction(0)] * len(names)
    for name, p in value.items():
        law[_index(name, names, where, "observation")] = exact(p, where=f"{where}: probability of '{name}'")
    return tuple(law)


def _row(value: object, names: Sequence[str], where: str, kind: str) -> tuple[Fraction, ...]:
    if not isinstance(value, dict):
        raise InputError(f"{where} must be an object with a number for each {kind}; got {_kind(value)}")
    for name in value:
        _index(name, names, where, kind)
    missing = [name for name in names if name not in value]
    if missing:
        raise InputError(f"{where} must give a number for every {kind}; '{missing[0]}' is missing. Add it (0 is a number)")
    return tuple(exact(value[name], where=f"{where}: {name}") for name in names)


def _index(name: object, names: Sequence[str], where: str, kind: str) -> int:
    if not isinstance(name, str) or isinstance(name, _Decimal) or name not in names:
        see = f"Declared are {', '.join(names)}"
        raise InputError(f"{where}: {unknown_name(kind, str(name), names, see=see)}")
    return names.index(name)


def _law(names: Sequence[str], row: Sequence[Fraction]) -> str | dict[str, int | str]:
    certain = [name for name, p in zip(names, row, strict=True) if p == 1]
    return certain[0] if certain else {name: _number(p) for name, p in zip(names, row, strict=True) if p}


def _number(value: Fraction) -> int | str:
    return int(value) if value.denominator == 1 else shown(value)


def _kind(value: object) -> str:
    if isinstance(value, _Decimal):
        return f"the number {value}"
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", int: "a number", type(None): "null"}
    shown_ = "" if isinstance(value, (dict, list)) or value is None else f" {value!r}"
    return names.get(type(value), type(value).__name__) + shown_
