"""Games of several steps as JSON: the file kind `sequential`."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from assay.core.arrays import Exacts
from assay.core.errors import InputError
from assay.worlds.games.fields import Fields, index, kind_of, law
from assay.worlds.games.rationals import check_kernel, exact, shown
from assay.worlds.games.sequential import MAX_ENTRIES, SequentialGame
from assay.worlds.games.team import refuse_above

__all__ = ["sequential_document", "sequential_from"]

Places = Mapping[str, int]


def sequential_from(fields: Fields, name: str) -> SequentialGame:
    """The game a JSON object of kind `sequential` describes."""
    acts, replies = fields.names("assistant_actions"), fields.names("human_actions", ["-"])
    seen_a, seen_h = fields.names("assistant_observations"), fields.names("human_observations", ["-"])
    horizon = fields.whole("horizon") if fields.has("horizon") else None
    discount = fields.number("discount", 1)
    rows = fields.objects("states")
    states = tuple(row.text("name") for row in rows)
    n, k_a, k_h, n_x, n_y = map(len, (states, acts, replies, seen_a, seen_h))
    refuse_above(MAX_ENTRIES, k_a * k_h * n * (n + n_x * n_y), what=f"{fields.where}: the tables", unit="entries")
    by_name = [{x: i for i, x in enumerate(names)} for names in (states, acts, replies, seen_a, seen_h)]
    places, by_act, by_reply, by_a, by_h = by_name
    zero = Fraction(0)
    start = np.array([row.number("prior") for row in rows], dtype=object)
    check_kernel(list(start), where=f"{fields.where}: the prior")
    transition = np.full((n, k_a, k_h, n), zero, dtype=object)
    observation = np.full((k_a, k_h, n, n_x, n_y), zero, dtype=object)
    reward = np.full((n, k_a, k_h), zero, dtype=object)
    first = np.full((n, n_x, n_y), zero, dtype=object) if any("first" in row.value for row in rows) else None
    for s, row in enumerate(rows):
        for (a, h), given in _joint(row.get("next"), by_act, by_reply, f"{row.where}: next").items():
            for to, p in law(given, places, f"{row.where}: next", "state").items():
                transition[s, a, h, to] = p
        for (a, h), given in _joint(row.get("sees"), by_act, by_reply, f"{row.where}: sees").items():
            _sees(given, by_h, by_a, f"{row.where}: sees", observation[a, h, s])
        for (a, h), given in _joint(row.get("reward"), by_act, by_reply, f"{row.where}: reward").items():
            reward[s, a, h] = exact(given, where=f"{row.where}: reward")
        if first is not None:
            _sees(row.get("first"), by_h, by_a, f"{row.where}: first", first[s])
        row.done()
    return SequentialGame(
        name, states, acts, replies, seen_a, seen_h, start, transition, observation, reward, first, discount, horizon
    )


def _joint(value: object, acts: Places, replies: Places, where: str) -> dict[tuple[int, int], Any]:
    """An entry for every pair of actions: by A's action and then H's, either level "*" for all others, or one for all."""
    found = {}
    for a, by_reply in _level(value, acts, where, "assistant action"):
        for h, entry in _level(by_reply, replies, where, "human action"):
            found[a, h] = entry
    return found


def _level(value: object, names: Places, where: str, kind: str) -> list[tuple[int, Any]]:
    if not isinstance(value, dict) or not any(key == "*" or key in names for key in value):
        return [(i, value) for i in names.values()]
    for key in value:
        if key != "*":
            index(key, names, where, kind)
    missing = [name for name in names if name not in value]
    if missing and "*" not in value:
        raise InputError(f"{where} must speak of the action '{missing[0]}'; it does not. Add it, or \"*\" for all others")
    return [(i, value.get(name, value.get("*"))) for name, i in names.items()]


def _sees(value: object, humans: Places, assistants: Places, where: str, table: Exacts) -> None:
    """Fill [A's observation, H's observation] from a list of [human, assistant, probability]."""
    if not isinstance(value, list) or not value:
        raise InputError(f"{where} must be a non-empty list of [human, assistant, probability]; got {kind_of(value)}")
    for entry in value:
        if not isinstance(entry, list) or len(entry) not in (2, 3):
            raise InputError(f"{where}: an entry must be [human, assistant] or [human, assistant, p]; got {kind_of(entry)}")
        y = index(entry[0], humans, where, "human observation")
        x = index(entry[1], assistants, where, "assistant observation")
        p = exact(entry[2] if len(entry) == 3 else 1, where=f"{where}: a probability")
        if p < 0:
            raise InputError(f"{where} must hold no negative probability; got {shown(p)}. Correct that entry")
        table[x, y] += p


def sequential_document(game: SequentialGame) -> dict[str, Any]:
    """The fields of a game of several steps for JSON."""

    def seen(table: Exacts) -> list[list[str | int]]:
        return [
            [game.human_observations[y], game.assistant_observations[x], _number(Fraction(table[x, y]))]
            for x, y in zip(*np.nonzero(table), strict=True)
        ]

    def joint(entry: Any) -> dict[str, dict[str, Any]]:
        return {
            act: {reply: entry(a, h) for h, reply in enumerate(game.human_actions)}
            for a, act in enumerate(game.assistant_actions)
        }

    states = []
    for s, name in enumerate(game.states):
        prior: Fraction = game.start.tolist()[s]
        row: dict[str, Any] = {"name": name, "prior": _number(prior)}
        if game.first is not None:
            row["first"] = seen(game.first[s])
        row["next"] = joint(
            lambda a, h, s=s: {game.states[to]: _number(p) for to, p in enumerate(game.transition[s, a, h].tolist()) if p}
        )
        row["sees"] = joint(lambda a, h, s=s: seen(game.observation[a, h, s]))
        row["reward"] = joint(lambda a, h, s=s: _number(game.reward[s].tolist()[a][h]))
        states.append(row)
    head = {
        "assistant_actions": list(game.assistant_actions),
        "human_actions": list(game.human_actions),
        "assistant_observations": list(game.assistant_observations),
        "human_observations": list(game.human_observations),
        "discount": _number(game.discount),
    }
    return head | ({} if game.horizon is None else {"horizon": game.horizon}) | {"states": states}


def _number(value: Fraction) -> int | str:
    return int(value) if value.denominator == 1 else shown(value)
