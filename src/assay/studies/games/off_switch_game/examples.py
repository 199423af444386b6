"""The paper's games, solved exactly."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, doc

from assay.claims.study import Measurement, Table
from assay.core.seeds import Seeds
from assay.solvers.games.humans import Boltzmann, Human, Naive, Optimal, best_assistant
from assay.solvers.games.information import compare, coordinated_garbling_test
from assay.solvers.games.pairs import Solution, optimal_pairs, optimal_value
from assay.studies.games.off_switch_game.variants import (
    always_waiting_value,
    best_value,
    garbled,
    restricted_value,
    with_code_shown,
    with_coin,
)
from assay.worlds.games.off_switch import (
    OffSwitchGame,
    bounded_talk_game,
    file_deletion,
    file_deletion_three_versions,
    off_switch_from_table,
    uncoordinated_garbling_pair,
)


@dataclass(frozen=True)
class Settings:
    """What the exact examples need."""

    n_garblings: Annotated[int, Ge(1), doc("coordinated garblings drawn for the control of C5-example")] = 200


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """Solve every fixed game exactly, in a random order of its states and observations."""
    order = seeds("order")

    def solve(game: OffSwitchGame) -> Solution:
        return optimal_pairs(game.shuffled(order).team_form())

    g1, g5 = file_deletion(), file_deletion().with_channel(to_human=2)
    informed = with_code_shown(g1)
    coarse, fine = (file_deletion_three_versions(fine=fine) for fine in (False, True))
    coin = with_coin(coarse)
    first, second = uncoordinated_garbling_pair()
    g6 = [bounded_talk_game().with_channel(to_human=m) for m in (1, 2, 3)]
    changed = off_switch_from_table("changed", [[-2, 4, 3], [-2, -3, -1], [4, -2, 4]])
    found = {
        name: solve(game)
        for name, game in {"g1": g1, "g5": g5, "informed": informed, "coarse": coarse, "fine": fine, "coin": coin}.items()
    }
    found |= {"first": solve(first), "second": solve(second)} | {f"g6_{m + 1}": solve(game) for m, game in enumerate(g6)}
    talk = [Fraction(10, 9), Fraction(13, 9), Fraction(14, 9)]
    changed_values = [solve(changed.with_channel(to_human=m)).value for m in (1, 2, 3)]
    structures = [np.array(game.observe, dtype=object) for game in (first, second)]
    separation = coordinated_garbling_test(structures[1], structures[0])
    planted_games = [garbled(first, seeds(f"garbling {i}")) for i in range(settings.n_garblings)]
    planted = coordinated_garbling_test(np.array(planted_games[0].observe, dtype=object), structures[0])
    joint = [structure.reshape(len(structure), -1) for structure in structures]
    estimands = {
        "g1_value": found["g1"].value,
        "g1_informed_value": found["informed"].value,
        **_other_pairs(g1),
        "g1_always_wait": always_waiting_value(g1),
        "g5_always_wait": always_waiting_value(g5),
        "g1_acting_pairs": _share_acting(found["g1"], "L"),
        "g1_informed_acting_pairs": _share_acting(found["informed"], "L"),
        "g2_gain": found["fine"].value - found["coarse"].value,
        "g2_coin_gain": found["coin"].value - found["coarse"].value,
        "g2_waits_lost": waits_lost(found["coarse"], found["fine"]),
        "g2_coin_waits_lost": waits_lost(found["coarse"], found["coin"]),
        "g3_gain": found["second"].value - found["first"].value,
        "g3_coordinated_gain": max(optimal_value(game.team_form())[0] for game in planted_games) - found["first"].value,
        "g3_pairs": found["first"].n_pairs,
        "g3_garbled_pairs": found["second"].n_pairs,
        "g3_separation": separation.advantage,
        "g3_planted_separation": planted.advantage,
        "g3_order": compare(joint[0], joint[1]) == "finer",
        "g3_order_swapped": compare(joint[1], joint[0]) == "finer",
        "g6_waits_lost": waits_lost(found["g6_1"], found["g6_2"]),
        "g5_waits_lost": waits_lost(found["g1"], found["g5"]),
        "g6_values_off": max(abs(found[f"g6_{m + 1}"].value - talk[m]) for m in range(3)),
        "g6_changed_values_off": max(abs(value - target) for value, target in zip(changed_values, talk, strict=True)),
        "g5_value_waiting": found["g5"].value * (found["g5"].marked_sets == (frozenset({"L", "M"}),)),
        "g1_value_waiting": found["g1"].value * (found["g1"].marked_sets == (frozenset({"L", "M"}),)),
    }
    # A negative separation or loss would be a bug; a planted garbling separates by exactly 0, which must refute Above(0.5).
    plans = [
        ("A never asks", restricted_value(g1, waits=False)),
        ("A always waits", always_waiting_value(g1)),
        ("A acts on legacy code, waits on modern", found["g1"].value),
        ("A always waits and says which code", found["g5"].value),
    ]
    models: dict[str, Human] = {"optimal": Optimal(), "ignores being asked": Naive()}
    models |= {f"noisy, beta {b:g}": Boltzmann(b) for b in (0.3, 1.0, 3.0)}
    humans: Table = [
        {"game": label, "human": name, "value": best_assistant(game.team_form(), model).value}
        for label, game in (("two versions", g1), ("three, coarse", coarse), ("three, fine", fine), ("bounded talk", g6[0]))
        for name, model in models.items()
    ]
    channel: Table = [
        {"game": game.name, "messages": m, "value": float(solution.value), "waits_on": len(solution.marked_sets[0])}
        for game, name, sizes in ((g1, "g1", (1,)), (g5, "g5", (2,)), *((g, f"g6_{m + 1}", (m + 1,)) for m, g in enumerate(g6)))
        for m in sizes
        for solution in (found[name],)
    ]
    return Measurement(
        {name: float(value) for name, value in estimands.items()},
        tables={
            "plans": [{"plan": name, "payoff": float(value)} for name, value in plans],
            "humans": humans,
            "channel": channel,
            "prices": [
                {
                    "game": game.name,
                    "optimum": float(best_value(game)),
                    "always_waiting": float(always_waiting_value(game)),
                    "never_waiting": float(restricted_value(game, waits=False)),
                }
                for game in (g1, coarse, fine, first, second, g6[0])
            ],
        },
    )


def _other_pairs(game: OffSwitchGame) -> dict[str, int]:
    """How many pairs other than the paper's reach its value, and the value 1; by visiting all 36."""
    form = game.team_form()
    named = tuple(("act", "wait")["LM".index(o)] for o in form.assistant_observations)
    reply = tuple({"1.0": "OFF", "2.0": "ON"}[o] for o in form.human_observations)
    target = form.value([form.assistant_actions.index(a) for a in named], [form.human_actions.index(h) for h in reply])
    others = [
        form.value(assistant, human)
        for assistant in product(range(3), repeat=2)
        for human in product(range(2), repeat=2)
        if (tuple(form.assistant_actions[a] for a in assistant), tuple(form.human_actions[h] for h in human)) != (named, reply)
    ]
    return {
        "g1_other_pairs_at_named_value": sum(value >= target for value in others),
        "g1_other_pairs_at_1": sum(value >= 1 for value in others),
    }


def _share_acting(solution: Any, observation: str) -> Fraction:
    """Share of optimal pairs in which A acts when it sees `observation`."""
    form = solution.form
    o, act = form.assistant_observations.index(observation), form.assistant_actions.index("act")
    acting = sum(policies.n_pairs for policies in solution.policies if policies.assistant[o] == act)
    return Fraction(acting, solution.n_pairs)


def waits_lost(before: Any, after: Any) -> int:
    """How many observations the unique wait set loses; -1 where a set is not unique, not nested, or grows."""
    if len(before.marked_sets) != 1 or len(after.marked_sets) != 1:
        return -1
    (old,), (new,) = before.marked_sets, after.marked_sets
    return len(old - new) if new <= old else -1
