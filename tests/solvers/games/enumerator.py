"""Random game files and their values by enumeration of all plans; shares no code with the solvers or the readers.

Everything is worked out on the JSON document with fractions: a policy is a dictionary, and each outcome is followed.
A Boltzmann human is evaluated in decimals of eighty digits. Slow and plain on purpose.
"""

import decimal
import random
from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import Any

Document = dict[str, Any]
decimal.getcontext().prec = 120
KINDS = ("off-switch", "assistance", "human-first", "two-stage-assistance")
HUMANS = ("optimal", "naive", "boltzmann")


def payoff(rng: random.Random) -> Any:
    """A payoff of any size: small integers (ties), decimals, thirds, tiny and huge ones."""
    pick = rng.randrange(8)
    if pick < 3:
        return rng.randint(-3, 3)
    if pick == 3:
        return f"{rng.uniform(-5, 5):.6f}"
    if pick == 4:
        return f"{rng.randint(-9, 9)}/{rng.choice((3, 7, 11))}"
    if pick == 5:
        return f"{rng.randint(-9, 9)}e-25"
    if pick == 6:
        return rng.randint(-(10**18), 10**18)
    return 0


def law(rng: random.Random, names: list[str]) -> dict[str, str]:
    """A distribution, with zeros among its probabilities."""
    weights = [rng.choice((0, 0, 1, 1, 2, 5)) for _ in names]
    if not any(weights):
        weights[rng.randrange(len(names))] = 1
    return {name: f"{w}/{sum(weights)}" for name, w in zip(names, weights, strict=True) if w or rng.random() < 0.3}


def random_game(seed: int, kind: str) -> Document:
    """A small random game file."""
    rng = random.Random(f"{kind} {seed}")
    states = [f"s{i}" for i in range(rng.randint(1, 3))]
    prior = law(rng, states)
    seen_h, seen_a = [f"h{i}" for i in range(rng.randint(1, 2))], [f"a{i}" for i in range(rng.randint(1, 2))]
    game: Document = {"format": "assay-game/1", "kind": kind, "name": f"random {kind} {seed}"}
    game |= {"human_observations": seen_h, "assistant_observations": seen_a, "states": []}
    scale = payoff  # one payoff law a game would hide ties; sizes are mixed within games
    if kind == "off-switch":
        words = rng.choice(("to_human", "to_assistant"))
        game["messages"] = {words: rng.choice((1, 1, 2))}
        cost = rng.random() < 0.3
        for s in states:
            pairs = [f"{h} {a}" for h in seen_h for a in seen_a]
            sees = [[*pair.split(), p] for pair, p in law(rng, pairs).items()]
            row = {"name": s, "prior": prior.get(s, 0), "act": scale(rng), "off": scale(rng), "sees": sees}
            game["states"].append(row | ({"waiting_cost": rng.choice((0, "1/3", 1))} if cost else {}))
        actions = {"assistant": ["act", "wait", "off"], "human": ["OFF", "ON"]}
    else:
        acts, replies = [f"x{i}" for i in range(rng.randint(1, 2))], [f"y{i}" for i in range(rng.randint(1, 3))]
        game |= {"assistant_actions": acts, "human_actions": replies}
        if kind == "human-first":
            game |= {"kind": "assistance", "first": "human", "messages": {"to_assistant": rng.choice((1, 2))}}
        else:
            game["hiding_actions"] = [a for a in acts if rng.random() < 0.5]
            game["messages"] = {"to_assistant" if kind.startswith("two") else "to_human": rng.choice((1, 2))}
        second = ["k0", "k1"][: rng.randint(1, 2)]
        if kind.startswith("two"):
            game["second_actions"] = second
        for s in states:
            row: Document = {"name": s, "prior": prior.get(s, 0)}
            row["reward"] = {a: {h: scale(rng) for h in replies} for a in acts}
            if kind == "human-first":
                row |= {"human_sees": law(rng, seen_h), "assistant_sees": {h: law(rng, seen_a) for h in replies}}
            else:
                row |= {"assistant_sees": law(rng, seen_a), "human_sees": {a: law(rng, seen_h) for a in acts}}
            if kind.startswith("two"):
                how = rng.randrange(4)
                plain = {k: scale(rng) for k in second}
                row["second_reward"] = (
                    plain,
                    {a: {k: scale(rng) for k in second} for a in acts},
                    {h: {k: scale(rng) for k in second} for h in replies},
                    {a: {h: {k: scale(rng) for k in second} for h in replies} for a in acts},
                )[how]
            game["states"].append(row)
        actions = {"assistant": acts, "human": replies}
    if rng.random() < 0.2:
        game["legal"] = {
            side: {o: rng.sample(actions[side], rng.randint(1, len(actions[side]))) for o in names if rng.random() < 0.6}
            for side, names in (("assistant", seen_a), ("human", seen_h))
        }
    return game


def legal(game: Document, side: str, seen: str, actions: list[str]) -> list[str]:
    allowed = game.get("legal", {}).get(side, {}).get(seen)
    return [a for a in actions if allowed is None or a in allowed]


def outcomes(game: Document) -> Iterator[tuple[Fraction, Document, Any]]:
    """Every state and what both may come to see: probability, state, and how to read what each sees."""
    for state in game["states"]:
        p = Fraction(state["prior"])
        if not p:
            continue
        if game["kind"] == "off-switch":
            for human, assistant, *chance in state["sees"]:
                q = Fraction(chance[0] if chance else 1)
                if q:
                    yield p * q, state, (human, assistant)
        else:
            own = state["human_sees" if game.get("first") == "human" else "assistant_sees"]
            for seen, q in own.items():
                if Fraction(q):
                    yield p * Fraction(q), state, seen


class Enumerated:
    """A game's play as tables: cells[(what A sees, A's action, what H sees, H's action)] = payoff times probability.

    Words are part of what a side sees (as it hears them) and of its action (as it says them).
    """

    def __init__(self, game: Document) -> None:
        self.game = game
        kind, words = game["kind"], game.get("messages", {})
        self.to_h, self.to_a = words.get("to_human", 1), words.get("to_assistant", 1)
        self.human_first = game.get("first") == "human"
        self.cells: dict[tuple[Any, Any, Any, Any], Fraction] = {}
        self.asked: dict[tuple[Any, Any], dict[Any, Fraction]] = {}  # H's observation -> by (A sees, A does): probability
        acts = ["act", "wait", "off"] if kind == "off-switch" else game["assistant_actions"]
        replies = ["OFF", "ON"] if kind == "off-switch" else game["human_actions"]
        self.acts, self.replies = acts, replies
        self.seen_a = sorted({o for _, _, _, o in self._cases()})
        self.seen_h = sorted({z for _, _, z, _ in self._cases()})

    def _cases(self) -> list[tuple[Fraction, Document, Any, Any]]:
        """(probability, state, H sees, A sees) with what depends on an action spread over all actions."""
        found = []
        for p, state, seen in outcomes(self.game):
            if self.game["kind"] == "off-switch":
                found.append((p, state, seen[0], seen[1]))
            elif self.human_first:
                for rows in state["assistant_sees"].values():
                    found += [(p * Fraction(q), state, seen, o) for o, q in rows.items() if Fraction(q)]
            else:
                for rows in state["human_sees"].values():
                    found += [(p * Fraction(q), state, z, seen) for z, q in rows.items() if Fraction(q)]
        return found

    def plays(
        self, assistant: Any, human: Any, second: Any = None
    ) -> Iterator[tuple[Fraction, Fraction, tuple[Any, Any], Any]]:
        """Follow every outcome of a pair of policies: (probability, payoff, H's situation or None, A's situation).

        `assistant(o, heard)` gives (action, said); `human(z, heard)` gives {(action, said): probability}.
        """
        game = self.game
        for p, state, seen in outcomes(game):
            if game["kind"] == "off-switch":
                z, o = seen
                yield from self._off_switch(p, state, z, o, assistant, human)
            elif self.human_first:
                for (reply, said), q in human(seen, 0).items():
                    for o, r in state["assistant_sees"][reply].items():
                        if q and Fraction(r):
                            act, _ = assistant(o, said)
                            yield p * q * Fraction(r), Fraction(state["reward"][act][reply]), (seen, 0), (o, said)
            else:
                act, said = assistant(seen, 0)
                for z, r in state["human_sees"][act].items():
                    if not Fraction(r):
                        continue
                    for (reply, told), q in human(z, said).items():
                        paid = Fraction(state["reward"][act][reply])
                        if second is not None:
                            paid += self.second(state, act, reply, second(seen, act, reply, told))
                        yield p * Fraction(r) * q, paid, (z, said), (seen, 0)

    def _off_switch(self, p: Fraction, state: Document, z: str, o: str, assistant: Any, human: Any) -> Iterator[Any]:
        cost = Fraction(state.get("waiting_cost", self.game.get("waiting_cost", 0)))
        for (reply, told), q in human(z, None).items() if self.to_a > 1 else {(None, 0): Fraction(1)}.items():
            act, said = assistant(o, told)
            if act != "wait":
                yield p * q, Fraction(state["act"] if act == "act" else state.get("off", 0)), None, (o, told)
            elif self.to_a > 1:
                yield p * q, Fraction(state["act"] if reply == "ON" else state.get("off", 0)) - cost, (z, 0), (o, told)
            else:
                for (reply_, _), r in human(z, said).items():
                    yield (
                        p * q * r,
                        Fraction(state["act"] if reply_ == "ON" else state.get("off", 0)) - cost,
                        (z, said),
                        (o, told),
                    )

    def second(self, state: Document, act: str, reply: str, chosen: str) -> Fraction:
        """The second payoff, however the file gives it."""
        table = state["second_reward"]
        for key in (act, reply):
            if key in table and isinstance(table[key], dict):
                table = table[key]
        return Fraction(table[chosen])

    def value(self, assistant: Any, human: Any, second: Any = None) -> Fraction:
        return sum((p * paid for p, paid, _, _ in self.plays(assistant, human, second)), Fraction(0))

    def assistants(self, only: Any = None) -> Iterator[Any]:
        """Every policy of A: an action (and word) for everything it may see and hear."""
        heard = range(self.to_a) if self.game["kind"] != "two-stage-assistance" else range(1)
        spots = [(o, w) for o in self.seen_a for w in heard]
        menus = [
            [
                (a, m)
                for a in legal(self.game, "assistant", o, self.acts)
                if only is None or only(a)
                for m in (range(self.to_h) if a == "wait" or self.game["kind"] != "off-switch" else range(1))
            ]
            for o, _ in spots
        ]
        for choice in product(*menus):
            table = dict(zip(spots, choice, strict=True))
            yield lambda o, w, table=table: table[o, w]

    def humans(self, words_only: bool = False) -> Iterator[dict[Any, Any]]:
        """Every deterministic policy of H as {(observation, heard): (action, said)}; with `words_only`, what she says alone."""
        heard = range(self.to_h)
        spots = [(z, w) for z in self.seen_h for w in heard]
        menus = [
            [(h, m) for h in ([None] if words_only else legal(self.game, "human", z, self.replies)) for m in range(self.to_a)]
            for z, _ in spots
        ]
        for choice in product(*menus):
            yield dict(zip(spots, choice, strict=True))

    def as_human(self, table: dict[Any, Any]) -> Any:
        return lambda z, w: {table[z, w or 0]: Fraction(1)}


def best(game: Document, human: str, beta: str = "1", only: Any = None) -> Any:
    """The value of a game with a human, by visiting everything: a Fraction, or a Decimal for a noisy human."""
    play = Enumerated(game)
    if game["kind"] == "two-stage-assistance":
        return _two_stage(play, human, beta, only)
    if human == "optimal":
        return max(play.value(a, play.as_human(h)) for a in play.assistants(only) for h in play.humans())
    options: list[Any] = []
    for words in play.humans(words_only=True):
        if human == "naive":
            replies = _naive(play, words, only)
            options += [play.value(a, replies) for a in play.assistants(only)]
        else:
            options += [_noisy_value(play, a, words, beta) for a in play.assistants(only)]
    return max(options)


def _worth(play: Enumerated, assistant: Any, words: dict[Any, Any]) -> dict[Any, dict[str, Fraction]]:
    """{(z, heard): {action: payoff times probability where she is asked}} against one policy of A."""
    found: dict[Any, dict[str, Fraction]] = {}
    for h in play.replies:
        table = {spot: (h, said) for spot, (_, said) in words.items()}
        for p, paid, asked, _ in play.plays(assistant, play.as_human(table)):
            if asked is not None:
                found.setdefault(asked, dict.fromkeys(play.replies, Fraction(0)))[h] += p * paid
    return found


def _naive(play: Enumerated, words: dict[Any, Any], only: Any) -> Any:
    """Best replies to an A who acts at random among what is legal, whatever it sees; ties are split."""
    policies = list(play.assistants(only))
    total: dict[Any, dict[str, Fraction]] = {}
    for assistant in policies:
        for spot, row in _worth(play, assistant, words).items():
            mine = total.setdefault(spot, dict.fromkeys(play.replies, Fraction(0)))
            for h in play.replies:
                mine[h] += row[h]
    table = {}
    for z, w in words:
        row = total.get((z, w), dict.fromkeys(play.replies, Fraction(0)))
        allowed = legal(play.game, "human", z, play.replies)
        top = max(row[h] for h in allowed)
        chosen = [h for h in allowed if row[h] == top]
        table[z, w] = {(h, words[z, w][1]): Fraction(1, len(chosen)) for h in chosen}
    return lambda z, w: table[z, w or 0]


def _number(value: Fraction) -> decimal.Decimal:
    return decimal.Decimal(value.numerator) / decimal.Decimal(value.denominator)


def _noisy_row(row: dict[str, Fraction], mass: Fraction, allowed: list[str], beta: str) -> dict[str, decimal.Decimal]:
    if not mass:
        return {h: decimal.Decimal(1) / len(allowed) for h in allowed}
    top = max(row[h] for h in allowed)
    weights = {h: (-(_number((top - row[h]) / mass) * decimal.Decimal(beta))).exp() for h in allowed}
    return {h: w / sum(weights.values()) for h, w in weights.items()}


def _noisy_value(play: Enumerated, assistant: Any, words: dict[Any, Any], beta: str) -> decimal.Decimal:
    """The value of one policy of A against the noisy reply to it."""
    rows = _worth(play, assistant, words)
    masses: dict[Any, Fraction] = {}
    fixed = Fraction(0)
    table = {spot: (play.replies[0], said) for spot, (_, said) in words.items()}
    reference = play.as_human(table)
    if play.human_first:
        for p, _, seen in outcomes(play.game):
            masses[seen, 0] = masses.get((seen, 0), Fraction(0)) + p
    for p, paid, asked, _ in play.plays(assistant, reference):
        if asked is None:
            fixed += p * paid
        elif not play.human_first:
            masses[asked] = masses.get(asked, Fraction(0)) + p
    value = _number(fixed)
    for spot, row in rows.items():
        shares = _noisy_row(row, masses[spot], legal(play.game, "human", spot[0], play.replies), beta)
        value += sum(share * _number(row[h]) for h, share in shares.items())
    return value


def _two_stage(play: Enumerated, human: str, beta: str, only: Any) -> Any:
    """A two-stage game: A's second action may depend on what it saw, did, and saw H do and say."""
    game, second = play.game, play.game["second_actions"]
    if human == "optimal":
        behaviours = [{spot: {choice: Fraction(1)} for spot, choice in table.items()} for table in play.humans()]
    else:
        naive = _unaware(play, human, beta, only)
        behaviours = [
            {spot: {(h, said): share for h, share in naive[spot[0]].items()} for spot, (_, said) in table.items()}
            for table in play.humans(words_only=True)
        ]
    values = []
    for behaviour in behaviours:
        total: Any = 0
        for o in play.seen_a:
            worths = []
            for act in legal(game, "assistant", o, play.acts):
                if only is not None and not only(act):
                    continue
                now: Any = 0
                later: dict[Any, dict[str, Any]] = {}
                for p, state, seen in outcomes(game):
                    if seen != o:
                        continue
                    for z, r in state["human_sees"][act].items():
                        for (reply, told), share in behaviour[z, 0].items() if Fraction(r) else ():
                            weight = p * Fraction(r)
                            now = now + _times(share, weight * Fraction(state["reward"][act][reply]))
                            row = later.setdefault((reply, told), dict.fromkeys(second, 0))
                            for k in second:
                                row[k] = row[k] + _times(share, weight * play.second(state, act, reply, k))
                worths.append(now + sum(max(row.values()) for row in later.values()))
            total = total + max(worths)
        values.append(total)
    return max(values)


def _times(share: Any, amount: Fraction) -> Any:
    return share * _number(amount) if isinstance(share, decimal.Decimal) else share * amount


def _unaware(play: Enumerated, human: str, beta: str, only: Any) -> dict[str, dict[str, Any]]:
    """What a human who looks at the first payoff only and takes A's action to say nothing does at each observation."""
    found: dict[str, dict[str, Any]] = {}
    for z in play.seen_h:
        row, mass = dict.fromkeys(play.replies, Fraction(0)), Fraction(0)
        for p, state, seen in outcomes(play.game):
            acts = [a for a in legal(play.game, "assistant", seen, play.acts) if only is None or only(a)]
            for act in acts:
                q = p * Fraction(state["human_sees"][act].get(z, 0)) / len(acts)
                mass += q
                for h in play.replies:
                    row[h] += q * Fraction(state["reward"][act][h])
        allowed = legal(play.game, "human", z, play.replies)
        if human == "boltzmann":
            found[z] = _noisy_row(row, mass, allowed, beta)
        else:
            top = max(row[h] for h in allowed)
            chosen = [h for h in allowed if row[h] == top]
            found[z] = {h: Fraction(1, len(chosen)) for h in chosen}
    return found
