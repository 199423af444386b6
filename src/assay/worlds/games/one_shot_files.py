"""One-shot and two-stage games as JSON: the file kinds `off-switch`, `assistance` and `two-stage-assistance`.

What cannot occur (states, observations of probability zero) is read, checked and left out, before any table is built.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from assay.core.errors import InputError
from assay.core.text import visible
from assay.worlds.games.assistance import AssistanceGame, HumanFirstGame, TwoStageGame
from assay.worlds.games.fields import Fields, index, kind_of, law
from assay.worlds.games.off_switch import OffSwitchGame
from assay.worlds.games.rationals import check_kernel, exact, shown
from assay.worlds.games.team import MAX_EXACT_CELLS, Legal, refuse_above

__all__ = ["OFF_SWITCH_ACTIONS", "assistance_from", "off_switch_from", "two_stage_from"]

MAX_WORDS = 1_000
Sparse = dict[int, Fraction]
OFF_SWITCH_ACTIONS = {"act": 0, "wait": 1, "off": 2}
ONE_WAY = {
    "to_human": "this kind has messages to A only ('to_assistant')",
    "to_assistant": "this kind has messages to H only ('to_human')",
}


def _messages(fields: Fields, *directions: str) -> list[int]:
    found = Fields(fields.get("messages", {}), f"{fields.where}: messages")
    counts = [found.whole(direction, 1, why=" (1 is silence)") for direction in directions]
    for direction, n in zip(directions, counts, strict=True):
        refuse_above(MAX_WORDS, n, what=f"{found.where}: {direction}", unit="messages")
    found.done(**{name: says for name, says in ONE_WAY.items() if name not in directions})
    return counts


def _legal(fields: Fields, sides: Mapping[str, tuple[tuple[str, ...], Mapping[str, int]]]) -> dict[str, dict[str, list[bool]]]:
    """By side and observation, which actions are legal; observations not named are left out."""
    if not fields.has("legal"):
        return {}
    given = Fields(fields.get("legal"), f"{fields.where}: legal")
    found: dict[str, dict[str, list[bool]]] = {}
    for side, (observations, actions) in sides.items():
        places = {name: i for i, name in enumerate(observations)}
        table = given.get(side, {})
        where = f"{given.where}: {side}"
        if not isinstance(table, dict):
            raise InputError(f"{where} must be an object: observation to the list of its legal actions; got {kind_of(table)}")
        found[side] = {}
        for seen, allowed in table.items():
            index(seen, places, where, f"{side} observation")
            if not isinstance(allowed, list) or not allowed:
                raise InputError(f"{where}: '{visible(seen)}' must have a non-empty list of actions; got {kind_of(allowed)}")
            chosen = {index(name, actions, where, f"{side} action") for name in allowed}
            found[side][seen] = [i in chosen for i in range(len(actions))]
    given.done()
    return found


def _legal_table(found: Mapping[str, list[bool]], observations: Sequence[str], n_actions: int) -> Legal:
    """The table over the observations that occur; empty where everything is legal."""
    rows = tuple(tuple(found.get(name, [True] * n_actions)) for name in observations)
    return () if all(all(row) for row in rows) else rows


def off_switch_from(fields: Fields, name: str) -> OffSwitchGame:
    """The game a JSON object of kind `off-switch` describes."""
    humans, assistants = fields.names("human_observations"), fields.names("assistant_observations")
    by_name = [{n: i for i, n in enumerate(names)} for names in (humans, assistants)]
    to_human, to_assistant = _messages(fields, "to_human", "to_assistant")
    legal = _legal(fields, {"assistant": (assistants, OFF_SWITCH_ACTIONS), "human": (humans, {"OFF": 0, "ON": 1})})
    overall_cost = fields.number("waiting_cost", 0)
    states, live = fields.objects("states"), []
    for state in states:
        prior = state.number("prior")
        paid = state.number("act"), state.number("off", 0)
        cost = state.number("waiting_cost") if state.has("waiting_cost") else overall_cost
        sees = _pairs(state, by_name[0], by_name[1])
        state.done()
        live.append((state.text("name"), prior, *paid, cost, sees))
    check_kernel([prior for _, prior, *_ in live], where=f"{name}: the prior")
    live = [row for row in live if row[1]]
    kept = [sorted({pair[side] for *_, sees in live for pair in sees}) for side in (0, 1)]
    cells = len(live) * len(kept[0]) * len(kept[1])
    refuse_above(MAX_EXACT_CELLS, cells, what=f"{fields.where}: the observation table", unit="cells")
    zero = Fraction(0)
    observe = tuple(tuple(tuple(sees.get((i, j), zero) for j in kept[1]) for i in kept[0]) for *_, sees in live)
    costs = tuple(row[4] for row in live)
    seen_h, seen_a = tuple(humans[i] for i in kept[0]), tuple(assistants[j] for j in kept[1])
    return OffSwitchGame(
        name,
        tuple(row[0] for row in live),
        tuple(row[1] for row in live),
        seen_h,
        seen_a,
        observe,
        tuple(row[2] for row in live),
        tuple(row[3] for row in live),
        to_human,
        to_assistant,
        costs if any(costs) else (),
        _legal_table(legal.get("assistant", {}), seen_a, 3),
        _legal_table(legal.get("human", {}), seen_h, 2),
    )


def _pairs(state: Fields, humans: Mapping[str, int], assistants: Mapping[str, int]) -> dict[tuple[int, int], Fraction]:
    """The law of what both see in a state, from a list of [human, assistant, probability]."""
    entries = state.get("sees")
    if not isinstance(entries, list) or not entries:
        raise InputError(
            f"{state.where}: sees must be a non-empty list of [human, assistant, probability]; got {kind_of(entries)}"
        )
    table: dict[tuple[int, int], Fraction] = {}
    for entry in entries:
        if not isinstance(entry, list) or len(entry) not in (2, 3):
            raise InputError(
                f"{state.where}: an entry of sees must be [human, assistant] or [human, assistant, p]; "
                f"got {kind_of(entry)}{f' of {len(entry)}' if isinstance(entry, list) else ''}"
            )
        human, assistant = entry[0], entry[1]
        swapped = all(isinstance(x, str) for x in (human, assistant)) and human in assistants and assistant in humans
        if swapped and human not in humans and assistant not in assistants:
            raise InputError(
                f"{state.where}: an entry of sees is [human, assistant]; '{visible(human)}' is the assistant's. "
                "Exchange the two"
            )
        i = index(human, humans, f"{state.where}: sees", "human observation")
        j = index(assistant, assistants, f"{state.where}: sees", "assistant observation")
        p = exact(entry[2] if len(entry) == 3 else 1, where=f"{state.where}: probability of {visible(str(entry[:2]))}")
        _refuse_negative(p, state.where)
        if p:
            table[i, j] = table.get((i, j), Fraction(0)) + p
    check_kernel(list(table.values()), where=f"{state.where}: the probabilities of sees")
    return table


def _refuse_negative(p: Fraction, where: str) -> None:
    if p < 0:
        raise InputError(f"{where} must hold no negative probability; got {shown(p)}. Correct that entry")


def assistance_from(fields: Fields, name: str) -> AssistanceGame | HumanFirstGame:
    """The game a JSON object of kind `assistance` describes, whoever moves first."""
    mover = fields.text("first", "assistant")
    if mover not in ("assistant", "human"):
        raise InputError(f"{fields.where}: first must be 'assistant' or 'human', whoever moves first; got '{visible(mover)}'")
    if mover == "human":
        (to_assistant,) = _messages(fields, "to_assistant")
        read = _Stage(fields, fields.objects("states"), human_first=True)
        return read.human_first(name, to_assistant)
    (to_human,) = _messages(fields, "to_human")
    read = _Stage(fields, fields.objects("states"))
    return read.game(name, to_human)


def two_stage_from(fields: Fields, name: str) -> TwoStageGame:
    """The game a JSON object of kind `two-stage-assistance` describes."""
    (to_assistant,) = _messages(fields, "to_assistant")
    states = fields.objects("states")
    second = fields.names("second_actions")
    read = _Stage(fields, states, finish=False)
    acts, replies = read.assistant_actions, read.human_actions
    cells = len(states) * len(acts) * len(replies) * len(second)
    refuse_above(MAX_EXACT_CELLS, cells, what=f"{fields.where}: the table of second payoffs", unit="cells")
    by_name = {n: i for i, n in enumerate(second)}
    rewards = [_second(state.get("second_reward"), acts, replies, by_name, f"{state.where}: second_reward") for state in states]
    for state in states:
        state.done()
    return TwoStageGame(read.game(name, 1), second, tuple(rewards[s] for s in read.live), to_assistant)


class _Stage:
    """One stage of an assistance game as read: sparse laws and payoffs, before what cannot occur is left out."""

    def __init__(self, fields: Fields, states: list[Fields], *, human_first: bool = False, finish: bool = True) -> None:
        self.where = fields.where
        self.assistants, self.humans = fields.names("assistant_observations"), fields.names("human_observations")
        self.assistant_actions, self.human_actions = fields.names("assistant_actions"), fields.names("human_actions")
        by_name = [
            {n: i for i, n in enumerate(x)} for x in (self.assistants, self.humans, self.assistant_actions, self.human_actions)
        ]
        assistants, humans, acts, replies = by_name
        if human_first:
            self.hiding: set[int] = set()
        else:
            hiding = fields.names("hiding_actions", [])
            self.hiding = {index(action, acts, f"{fields.where}: hiding_actions", "assistant action") for action in hiding}
        cells = len(states) * len(acts) * len(replies)
        refuse_above(MAX_EXACT_CELLS, cells, what=f"{fields.where}: the table of rewards", unit="cells")
        self.legal = _legal(fields, {"assistant": (self.assistants, acts), "human": (self.humans, replies)})
        self.states, self.prior = tuple(state.text("name") for state in states), []
        self.own: list[Sparse] = []  # what the side that moves first sees, by state
        self.after: list[list[Sparse]] = []  # what the other sees, by state and first mover's action
        self.reward: list[tuple[tuple[Fraction, ...], ...]] = []
        own, other = ("human", "assistant") if human_first else ("assistant", "human")
        lead = replies if human_first else acts
        for state in states:
            self.prior.append(state.number("prior"))
            where = f"{state.where}: {own}_sees"
            self.own.append(_kernel(law(state.get(f"{own}_sees"), humans if human_first else assistants, where), where))
            where = f"{state.where}: {other}_sees"
            self.after.append(
                [
                    _kernel(law(given, assistants if human_first else humans, where), where)
                    for given in _by_action(state.get(f"{other}_sees"), lead, where, f"{own} action")
                ]
            )
            where = f"{state.where}: reward"
            paid = _by_action(state.get("reward"), acts, where, "assistant action")
            self.reward.append(tuple(_row(row, replies, where, "human action") for row in paid))
            if finish:
                state.done(second_reward="'second_reward' belongs to the kind 'two-stage-assistance'")
        check_kernel(self.prior, where=f"{fields.where}: the prior")
        self.live = [s for s, p in enumerate(self.prior) if p]

    def _kept(self) -> tuple[list[int], list[int]]:
        own = sorted({o for s in self.live for o in self.own[s]})
        after = sorted({o for s in self.live for rows in self.after[s] for o in rows})
        cells = len(self.live) * (len(own) + len(self.after[0]) * len(after))
        refuse_above(MAX_EXACT_CELLS, cells, what=f"{self.where}: the tables of observations", unit="cells")
        return own, after

    def game(self, name: str, to_human: int) -> AssistanceGame:
        own, after = self._kept()
        seen_a, seen_h = tuple(self.assistants[o] for o in own), tuple(self.humans[z] for z in after)
        return AssistanceGame(
            name,
            tuple(self.states[s] for s in self.live),
            tuple(self.prior[s] for s in self.live),
            seen_a,
            tuple(_dense(self.own[s], own) for s in self.live),
            self.assistant_actions,
            tuple(a in self.hiding for a in range(len(self.assistant_actions))),
            seen_h,
            tuple(tuple(_dense(row, after) for row in self.after[s]) for s in self.live),
            self.human_actions,
            tuple(self.reward[s] for s in self.live),
            to_human,
            _legal_table(self.legal.get("assistant", {}), seen_a, len(self.assistant_actions)),
            _legal_table(self.legal.get("human", {}), seen_h, len(self.human_actions)),
        )

    def human_first(self, name: str, to_assistant: int) -> HumanFirstGame:
        own, after = self._kept()
        seen_h, seen_a = tuple(self.humans[z] for z in own), tuple(self.assistants[o] for o in after)
        return HumanFirstGame(
            name,
            tuple(self.states[s] for s in self.live),
            tuple(self.prior[s] for s in self.live),
            seen_h,
            tuple(_dense(self.own[s], own) for s in self.live),
            self.human_actions,
            seen_a,
            tuple(tuple(_dense(row, after) for row in self.after[s]) for s in self.live),
            self.assistant_actions,
            tuple(self.reward[s] for s in self.live),
            to_assistant,
            _legal_table(self.legal.get("assistant", {}), seen_a, len(self.assistant_actions)),
            _legal_table(self.legal.get("human", {}), seen_h, len(self.human_actions)),
        )


def _dense(row: Sparse, kept: Sequence[int]) -> tuple[Fraction, ...]:
    zero = Fraction(0)
    return tuple(row.get(i, zero) for i in kept)


def _kernel(row: Sparse, where: str) -> Sparse:
    check_kernel(list(row.values()), where=where)
    return {i: p for i, p in row.items() if p}


def _by_action(value: object, actions: Mapping[str, int], where: str, kind: str) -> list[Any]:
    """One entry for every action; the key "*" speaks for those not named."""
    if not isinstance(value, dict):
        raise InputError(f'{where} must be an object with one entry for each {kind}, or "*" for all; got {kind_of(value)}')
    for key in value:
        if key != "*" or "*" in actions:
            index(key, actions, where, kind)
    for action in actions:
        if action not in value and "*" not in value:
            raise InputError(
                f"{where} must speak of the action '{visible(action)}'; it does not. Add it, or \"*\" for all others"
            )
    return [value.get(action, value.get("*")) for action in actions]


def _second(
    value: object, acts: Sequence[str], replies: Sequence[str], second: Mapping[str, int], where: str
) -> tuple[tuple[tuple[Fraction, ...], ...], ...]:
    """Second payoffs [first action][human action][second action]: by second action alone, or also by either earlier action."""
    if not isinstance(value, dict):
        raise InputError(f"{where} must be an object with a number for each second action; got {kind_of(value)}")
    if not any(isinstance(entry, dict) for entry in value.values()):
        return ((_row(value, second, where, "second action"),) * len(replies),) * len(acts)
    by_act, by_reply = ({n: i for i, n in enumerate(names)} for names in (acts, replies))
    if not all(key in by_act for key in value if key != "*") and all(key in by_reply for key in value if key != "*"):
        rows = tuple(_row(row, second, where, "second action") for row in _by_action(value, by_reply, where, "human action"))
        return (rows,) * len(acts)
    found = []
    for entry in _by_action(value, by_act, where, "first action"):
        if isinstance(entry, dict) and any(isinstance(inner, dict) for inner in entry.values()):
            inner = _by_action(entry, by_reply, where, "human action")
            found.append(tuple(_row(row, second, where, "second action") for row in inner))
        else:
            found.append((_row(entry, second, where, "second action"),) * len(replies))
    return tuple(found)


def _row(value: object, names: Mapping[str, int], where: str, kind: str) -> tuple[Fraction, ...]:
    if not isinstance(value, dict):
        raise InputError(f"{where} must be an object with a number for each {kind}; got {kind_of(value)}")
    for name in value:
        index(name, names, where, kind)
    missing = [name for name in names if name not in value]
    if missing:
        raise InputError(
            f"{where} must give a number for every {kind}; '{visible(missing[0])}' is missing. Add it (0 is a number)"
        )
    return tuple(exact(value[name], where=f"{where}: {visible(name)}") for name in names)
