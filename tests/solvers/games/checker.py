"""An independent checker of the certificates that `assay game solve --json` prints; it shares no code with the solver.

It reads the game file and the printed solution as JSON, rebuilds the payoff table from the definition of the game, and confirms
that every policy of the certificate's side is covered exactly once, that no completion of a closed part earns more than the
part's bound, that every bound is below the value, and that exactly the attained policies earn the value against a best reply.
"""

from fractions import Fraction
from itertools import product
from typing import Any

Table = dict[tuple[str, str, str, str], Fraction]  # (A sees, A does, H sees, H does) -> payoff times probability


def payoff_table(game: dict[str, Any]) -> tuple[Table, list[list[str]]]:
    """Payoff of every cell and the names along its four axes, for games without messages."""
    table: Table = {}

    def add(key: tuple[str, str, str, str], amount: Fraction) -> None:
        table[key] = table.get(key, Fraction(0)) + amount

    if game["kind"] == "off-switch":
        axes = [game["assistant_observations"], ["act", "wait", "off"], game["human_observations"], ["OFF", "ON"]]
        for state in game["states"]:
            for human, assistant, *chance in state["sees"]:
                p = Fraction(state["prior"]) * Fraction(chance[0] if chance else 1)
                for reply in axes[3]:
                    for action in axes[1]:
                        goes_through = action == "act" or (action == "wait" and reply == "ON")
                        amount = Fraction(state["act"] if goes_through else state["off"])
                        add((assistant, action, human, reply), p * amount)
        return table, axes
    assert game["kind"] == "assistance"
    axes = [game[name] for name in ("assistant_observations", "assistant_actions", "human_observations", "human_actions")]
    for state in game["states"]:
        for seen, q in law(state["assistant_sees"]):
            for action in axes[1]:
                rewards = state["reward"].get(action, state["reward"].get("*"))
                for signal, r in law(state["human_sees"].get(action, state["human_sees"].get("*"))):
                    for reply in axes[3]:
                        add((seen, action, signal, reply), Fraction(state["prior"]) * q * r * Fraction(rewards[reply]))
    return table, axes


def law(entry: Any) -> list[tuple[str, Fraction]]:
    return [(entry, Fraction(1))] if isinstance(entry, str) else [(name, Fraction(p)) for name, p in entry.items()]


def best_reply_value(table: Table, axes: list[list[str]], side: str, policy: dict[str, str]) -> Fraction:
    """What the other side can reach against a policy, observation by observation."""
    total = Fraction(0)
    if side == "assistant":
        for z in axes[2]:
            total += max(sum(table.get((o, policy[o], z, h), Fraction(0)) for o in axes[0]) for h in axes[3])
    else:
        for o in axes[0]:
            total += max(sum(table.get((o, a, z, policy[z]), Fraction(0)) for z in axes[2]) for a in axes[1])
    return total


def two_stage_value(game: dict[str, Any], plan: dict[str, tuple[str, str]]) -> Fraction:
    """What A's best plan earns with a human who does and says `plan[what she sees]`; A's second action knows both."""
    total = Fraction(0)
    for o in game["assistant_observations"]:
        best = None
        for act in game["assistant_actions"]:
            now, later = Fraction(0), {}
            for state in game["states"]:
                for seen, q in law(state["assistant_sees"]):
                    for z, r in law(state["human_sees"].get(act, state["human_sees"].get("*"))) if seen == o else ():
                        p = Fraction(state["prior"]) * q * r
                        if not p:
                            continue
                        reply = plan[z][0]
                        now += p * Fraction(state["reward"].get(act, state["reward"].get("*"))[reply])
                        row = later.setdefault(plan[z], dict.fromkeys(game["second_actions"], Fraction(0)))
                        second = state["second_reward"]
                        for key in (act, reply):
                            second = second[key] if isinstance(second.get(key), dict) else second
                        for k in row:
                            row[k] += p * Fraction(second[k])
            worth = now + sum(max(row.values()) for row in later.values())
            best = worth if best is None else max(best, worth)
        total += best or Fraction(0)
    return total


def accepts_two_stage(game: dict[str, Any], found: dict[str, Any]) -> bool:
    """Whether the printed certificate of a two-stage game with an optimal human proves the printed value."""
    value, certificate = Fraction(found["value"]), found["certificate"]
    order, n_words = certificate["order"], game.get("messages", {}).get("to_assistant", 1)
    names = [(h if n_words == 1 else f"{h}, say {m + 1}", (h, str(m))) for h in game["human_actions"] for m in range(n_words)]
    meaning = dict(names)
    closed = [(tuple(part["first"]), Fraction(part["bound"])) for part in certificate["closed"]]
    attained = {tuple(policy) for policy in certificate["attained"]}
    if certificate["side"] != "human" or not attained or any(bound >= value for _, bound in closed):
        return False
    for policy in product(meaning, repeat=len(order)):
        covers = [bound for prefix, bound in closed if policy[: len(prefix)] == prefix]
        earned = two_stage_value(game, {z: meaning[name] for z, name in zip(order, policy, strict=True)})
        if policy in attained:
            if covers or earned != value:
                return False
        elif len(covers) != 1 or earned > covers[0]:
            return False
    return True


def accepts(game: dict[str, Any], found: dict[str, Any]) -> bool:
    """Whether the printed certificate proves the printed value."""
    if game["kind"] == "two-stage-assistance":
        return accepts_two_stage(game, found)
    table, axes = payoff_table(game)
    value, certificate = Fraction(found["value"]), found["certificate"]
    side, order = certificate["side"], certificate["order"]
    names, actions = (axes[0], axes[1]) if side == "assistant" else (axes[2], axes[3])
    if sorted(order) != sorted(names):
        return False
    closed = [(tuple(part["first"]), Fraction(part["bound"])) for part in certificate["closed"]]
    attained = {tuple(policy) for policy in certificate["attained"]}
    if not attained or any(bound >= value for _, bound in closed):
        return False
    for policy in product(actions, repeat=len(order)):
        covers = [bound for prefix, bound in closed if policy[: len(prefix)] == prefix]
        earned = best_reply_value(table, axes, side, dict(zip(order, policy, strict=True)))
        if policy in attained:
            if covers or earned != value:
                return False
        elif len(covers) != 1 or earned > covers[0]:
            return False
    return True
