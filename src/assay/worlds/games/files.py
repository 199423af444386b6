"""Games as JSON files: one small documented form for every kind, and the files of the field by what they are.

The form is described in docs/games.md. Numbers may be JSON numbers (taken as the decimals they spell) or texts such as "1/3".
What cannot occur (states, observations of probability zero) is read, checked and left out, before any table is built.
"""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from assay.core.errors import InputError, unknown_name
from assay.core.text import visible
from assay.worlds.games.assistance import AssistanceGame, HumanFirstGame, TwoStageGame
from assay.worlds.games.fields import Fields, json_object
from assay.worlds.games.gambit_files import TreeGame, parse_gambit
from assay.worlds.games.matrix import MatrixGame, matrix_document, matrix_from
from assay.worlds.games.off_switch import OffSwitchGame
from assay.worlds.games.one_shot_files import OFF_SWITCH_ACTIONS, assistance_from, off_switch_from, two_stage_from
from assay.worlds.games.pomdp_files import parse_pomdp
from assay.worlds.games.rationals import shown
from assay.worlds.games.sequential import SequentialGame
from assay.worlds.games.sequential_files import sequential_document, sequential_from

__all__ = ["FORMAT", "Game", "document", "parse_game", "read_game", "read_text", "write_game"]

FORMAT = "assay-game/1"
MAX_BYTES = 20_000_000
OneShot = OffSwitchGame | AssistanceGame | HumanFirstGame | TreeGame
Game = OneShot | TwoStageGame | SequentialGame | MatrixGame
KINDS = {
    OffSwitchGame: "off-switch",
    AssistanceGame: "assistance",
    HumanFirstGame: "assistance",
    TwoStageGame: "two-stage-assistance",
    SequentialGame: "sequential",
    MatrixGame: "matrix",
}


def read_text(path: str | Path) -> tuple[str, str]:
    """The text of a game file and what to call it in messages; "-" is standard input.

    Raises:
        InputError: it cannot be read, is too large, or is no UTF-8 text.
    """
    if str(path) == "-":
        content, where = sys.stdin.buffer.read(MAX_BYTES + 1), "standard input"
    else:
        path, where = Path(path), visible(Path(path).name)
        try:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            says = getattr(error, "strerror", None) or error
            raise InputError(f"{visible(str(path))} must be a readable game file; {says}. Check the path") from error
    if len(content) > MAX_BYTES:
        raise InputError(f"{where} must be a game file of at most {MAX_BYTES:,} bytes; it has more. Merge states")
    try:
        return content.decode("utf-8-sig"), where
    except UnicodeDecodeError as error:
        raise InputError(f"{where} must be UTF-8 text; it is not at byte {error.start}. Save it as UTF-8") from error


def read_game(path: str | Path) -> Game:
    """The game in a file of ours, of Gambit (`.nfg`, `.efg`) or of the POMDP formats (`.pomdp`, `.dpomdp`), validated.

    Raises:
        InputError: the file cannot be read, is no JSON, or does not describe a game; the message names the place.
    """
    text, where = read_text(path)
    return parse_game(text, where=where)


def parse_game(text: str, *, where: str = "game") -> Game:
    """The game a text describes, validated; what it is, its first words tell.

    Args:
        text: the document.
        where: what it is called in messages.

    Raises:
        InputError: as for `read_game`.
    """
    other = _other_file(text, where)
    if other is not None:
        return other(text, where=where)
    fields = Fields(json_object(text.removeprefix("\ufeff"), where), where)
    given = fields.text("format")
    if given != FORMAT:
        raise InputError(f"{where}: format must be '{FORMAT}'; got '{visible(given)}'. Add \"format\": \"{FORMAT}\"")
    kind = fields.text("kind")
    readers: dict[str, Callable[[Fields, str], Game]] = {
        "off-switch": off_switch_from,
        "assistance": assistance_from,
        "two-stage-assistance": two_stage_from,
        "sequential": sequential_from,
        "matrix": matrix_from,
    }
    if kind not in readers:
        see = f"Kinds are {', '.join(readers)}"
        raise InputError(f"{where}: {unknown_name('kind of game', visible(kind), readers, see=see)}")
    game = readers[kind](fields, fields.text("name", where))
    fields.done(horizon=f"'{kind}' is played once; 'horizon' belongs to the kind 'sequential'")
    return game


def _other_file(text: str, where: str) -> Callable[..., Game] | None:
    """The reader of a file that is no JSON, by its first words; None where it may be JSON.

    Raises:
        InputError: it is nothing that could be a game.
    """
    start = text.lstrip("\ufeff \t\r\n")
    head = start[:200].lower()
    if not start:
        raise InputError(f"{where} must be a game; the file is empty. See docs/games.md, or `assay game template`")
    if start.startswith(("EFG ", "NFG ")):
        return parse_gambit
    if head.startswith(("<!doctype", "<html", "<?xml")):
        raise InputError(
            f"{where} must be a game; this is an HTML or XML page, perhaps a download's error page. Save the file itself"
        )
    if start.startswith(("{", "[", '"')):
        return None
    words = ("agents", "discount", "values", "states", "start", "actions", "observations")
    entries = {line.split(":")[0].strip() for line in start.splitlines()[:200] if ":" in line.split("#")[0]}
    return parse_pomdp if len(entries.intersection(words)) >= 2 else None


def document(game: Game) -> dict[str, Any]:
    """The game as a JSON-ready mapping, the inverse of `parse_game`; rationals are written as texts.

    Raises:
        InputError: the game is a tree from a Gambit file, whose form this is not.
    """
    kind = KINDS.get(type(game))
    if kind is None or isinstance(game, TreeGame):
        raise InputError(f"'{game.name}' comes from a Gambit file and has no JSON form. Keep the file it came from")
    head: dict[str, Any] = {"format": FORMAT, "kind": kind, "name": game.name}
    if isinstance(game, MatrixGame):
        return head | matrix_document(game)
    if isinstance(game, SequentialGame):
        return head | sequential_document(game)
    if isinstance(game, OffSwitchGame):
        return head | _off_switch_document(game)
    first = game.first if isinstance(game, TwoStageGame) else game
    acts = first.assistant_actions
    rows = [
        {
            "name": name,
            "prior": _number(first.prior[s]),
            **(
                {
                    "human_sees": _law(first.human_observations, first.human_sees[s]),
                    "assistant_sees": {
                        h: _law(first.assistant_observations, row)
                        for h, row in zip(first.human_actions, first.assistant_sees[s], strict=True)
                    },
                }
                if isinstance(first, HumanFirstGame)
                else {
                    "assistant_sees": _law(first.assistant_observations, first.assistant_sees[s]),
                    "human_sees": {
                        a: _law(first.human_observations, row) for a, row in zip(acts, first.human_sees[s], strict=True)
                    },
                }
            ),
            "reward": {a: _numbers(first.human_actions, row) for a, row in zip(acts, first.reward[s], strict=True)},
        }
        for s, name in enumerate(first.states)
    ]
    head |= {name: list(getattr(first, name)) for name in ("assistant_observations", "assistant_actions")}
    head |= {name: list(getattr(first, name)) for name in ("human_observations", "human_actions")}
    if isinstance(first, HumanFirstGame):
        head |= {"first": "human", "messages": {"to_assistant": first.to_assistant}}
    else:
        head["hiding_actions"] = [a for a, hides in zip(acts, first.hides, strict=True) if hides]
        head["messages"] = {"to_human": first.to_human}
    if isinstance(game, TwoStageGame):
        for row, table in zip(rows, game.second_reward, strict=True):
            row["second_reward"] = _second_document(game, table)
        head |= {"second_actions": list(game.second_actions), "messages": {"to_assistant": game.to_assistant}}
    head |= _legal_document(first, acts, first.human_actions)
    return head | {"states": rows}


def _off_switch_document(game: OffSwitchGame) -> dict[str, Any]:
    states = [
        {
            "name": name,
            "prior": _number(game.prior[s]),
            "act": _number(game.act[s]),
            "off": _number(game.off[s]),
            **({"waiting_cost": _number(game.waiting_cost[s])} if game.waiting_cost else {}),
            "sees": [
                [human, assistant, _number(game.observe[s][i][j])]
                for i, human in enumerate(game.human_observations)
                for j, assistant in enumerate(game.assistant_observations)
                if game.observe[s][i][j]
            ],
        }
        for s, name in enumerate(game.states)
    ]
    return {
        "human_observations": list(game.human_observations),
        "assistant_observations": list(game.assistant_observations),
        "messages": {"to_human": game.to_human, "to_assistant": game.to_assistant},
        **_legal_document(game, tuple(OFF_SWITCH_ACTIONS), ("OFF", "ON")),
        "states": states,
    }


def _legal_document(game: Any, acts: Sequence[str], replies: Sequence[str]) -> dict[str, Any]:
    found = {
        side: {name: [a for a, may in zip(names, row, strict=True) if may] for name, row in zip(seen, table, strict=True)}
        for side, names, seen, table in (
            ("assistant", acts, game.assistant_observations, game.legal_assistant),
            ("human", replies, game.human_observations, game.legal_human),
        )
        if table
    }
    return {"legal": found} if found else {}


def _second_document(game: TwoStageGame, table: Any) -> Any:
    """The second payoffs of a state, as simply as they allow."""
    if all(row == table[0][0] for by_human in table for row in by_human):
        return _numbers(game.second_actions, table[0][0])
    return {
        a: {h: _numbers(game.second_actions, row) for h, row in zip(game.first.human_actions, by_human, strict=True)}
        for a, by_human in zip(game.first.assistant_actions, table, strict=True)
    }


def write_game(game: Game, path: str | Path) -> None:
    """Write the game as a JSON file that `read_game` reads back to an equal record (what cannot occur is left out)."""
    Path(path).write_text(json.dumps(document(game), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _law(names: Sequence[str], row: Sequence[Fraction]) -> str | dict[str, int | str]:
    certain = [name for name, p in zip(names, row, strict=True) if p == 1]
    return certain[0] if certain else _numbers(*zip(*((n, p) for n, p in zip(names, row, strict=True) if p), strict=True))


def _numbers(names: Iterable[str], row: Iterable[Fraction]) -> dict[str, int | str]:
    return dict(zip(names, map(_number, row), strict=True))


def _number(value: Fraction) -> int | str:
    return int(value) if value.denominator == 1 else shown(value)
