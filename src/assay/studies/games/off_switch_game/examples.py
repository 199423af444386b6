"""The paper's games, solved exactly."""

from fractions import Fraction
from itertools import product

import numpy as np

from assay.claims.study import Table
from assay.core.seeds import Seeds
from assay.solvers.games.humans import Boltzmann, Human, Naive, Optimal, best_assistant
from assay.solvers.games.information import compare, coordinated_garbling_test
from assay.solvers.games.pairs import Solution, optimal_pairs
from assay.studies.games.off_switch_game.settings import GameSettings
from assay.studies.games.off_switch_game.theorems import exceptions
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

N_GARBLINGS = 200  # coordinated garblings drawn beside the paper's uncoordinated one


# The number of each exact check, and the same number of a game without what it is about.
NUMBERS = {
    "C1": ("file-deletion/value", "shown/value"),
    "C1.pair": ("file-deletion/rivals", "of-always-waiting/rivals"),
    "C1.wait": ("file-deletion/always_waiting", "one-bit/always_waiting"),
    "C2": ("file-deletion/acting_on_legacy", "shown/acting_on_legacy"),
    "C4": ("full-version/gain", "coin/gain"),
    "C4.wait": ("full-version/waits_lost", "coin/waits_lost"),
    "C5.example": ("uncoordinated/gain", "coordinated/gain"),
    "C5.pairs": ("a-bit-each/optimal_pairs", "differ/optimal_pairs"),
    "C5.test": ("uncoordinated/separation", "coordinated/separation"),
    "C5.one-way": ("a-bit-each/tells_more", "differ/tells_more"),
    "C7": ("bounded-talk/waits_lost", "one-bit/waits_lost"),
    "C7.one": ("bounded-talk/value_of_1", "changed/value_of_1"),
    "C7.two": ("bounded-talk/value_of_2", "changed/value_of_2"),
    "C7.three": ("bounded-talk/value_of_3", "changed/value_of_3"),
    "C7.bit": ("one-bit/value_if_always_waiting", "file-deletion/value_if_always_waiting"),
    "C3": ("redundant-assistant/exceptions", "private-assistant/exceptions"),
    "C3.human": ("redundant-human/exceptions", "private-human/exceptions"),
    "C5": ("coordinated/gains", "joint/gains"),
    "C6": ("optimum/losses", "in-turn/losses"),
    "C6.wait": ("every-word/exceptions", "one-word-short/exceptions"),
    "C8": ("separate/mixture_gains", "joint/mixture_gains"),
    "C8.unique": ("one-optimum/mixture_ties", "several-optima/mixture_ties"),
    "C9": ("informed/formula_misses", "misreading/formula_misses"),
    "C9.sign": ("informed/sign_misses", "misreading/sign_misses"),
}


def check(settings: GameSettings) -> dict[str, float]:
    """The number of each exact check: of the paper's games, and exceptions to its theorems among random games."""
    found = everything(settings.n_checked)
    return {name: found[with_cause] for name, (with_cause, _) in NUMBERS.items()}


def everything(n_games: int) -> dict[str, float]:
    """The numbers of the examples and of the theorems, each also without its cause; `n_games` random games a theorem."""
    return {name: float(value) for name, value in numbers().items()} | exceptions(n_games, Seeds(0))


def numbers() -> dict[str, Fraction]:
    """What the examples are worth, exactly, each beside the same number of a game without what the example is about."""
    found = {name: optimal_pairs(game.team_form()) for name, game in _games().items()}
    first, second = uncoordinated_garbling_pair()
    structures = [np.array(game.observe, dtype=object) for game in (first, second)]
    garblings = [garbled(first, np.random.default_rng(i)) for i in range(N_GARBLINGS)]
    planted = coordinated_garbling_test(np.array(garblings[0].observe, dtype=object), structures[0])
    joint = [structure.reshape(len(structure), -1) for structure in structures]
    exact: dict[str, Fraction | int] = {
        "file-deletion/value": found["file-deletion"].value,
        "shown/value": found["shown"].value,
        **rivals(file_deletion()),
        "file-deletion/always_waiting": always_waiting_value(file_deletion()),
        "one-bit/always_waiting": always_waiting_value(file_deletion().with_channel(to_human=2)),
        "file-deletion/acting_on_legacy": share_acting(found["file-deletion"], "L"),
        "shown/acting_on_legacy": share_acting(found["shown"], "L"),
        "full-version/gain": found["full version"].value - found["first digit"].value,
        "coin/gain": found["coin"].value - found["first digit"].value,
        "full-version/waits_lost": waits_lost(found["first digit"], found["full version"]),
        "coin/waits_lost": waits_lost(found["first digit"], found["coin"]),
        "uncoordinated/gain": found["differ"].value - found["a bit each"].value,
        "coordinated/gain": max(best_value(game) for game in garblings) - found["a bit each"].value,
        "a-bit-each/optimal_pairs": found["a bit each"].n_pairs,
        "differ/optimal_pairs": found["differ"].n_pairs,
        "uncoordinated/separation": Fraction(coordinated_garbling_test(structures[1], structures[0]).advantage),
        "coordinated/separation": Fraction(planted.advantage),
        "a-bit-each/tells_more": compare(joint[0], joint[1]) == "finer",
        "differ/tells_more": compare(joint[1], joint[0]) == "finer",
        "bounded-talk/waits_lost": waits_lost(found["1 words"], found["2 words"]),
        "one-bit/waits_lost": waits_lost(found["file-deletion"], found["one bit"]),
        **{f"bounded-talk/value_of_{m}": found[f"{m} words"].value for m in (1, 2, 3)},
        **{f"changed/value_of_{m}": found[f"changed, {m} words"].value for m in (1, 2, 3)},
        "one-bit/value_if_always_waiting": value_if_waiting(found["one bit"], {"L", "M"}),
        "file-deletion/value_if_always_waiting": value_if_waiting(found["file-deletion"], {"L", "M"}),
    }
    return {name: Fraction(value) for name, value in exact.items()}


def _games() -> dict[str, OffSwitchGame]:
    """The paper's games, ours beside them, and those with the cause taken away."""
    coarse = file_deletion_three_versions(fine=False)
    first, second = uncoordinated_garbling_pair()
    changed = off_switch_from_table("changed", [[-2, 4, 3], [-2, -3, -1], [4, -2, 4]])
    return {
        "file-deletion": file_deletion(),
        "one bit": file_deletion().with_channel(to_human=2),
        "shown": with_code_shown(file_deletion()),
        "first digit": coarse,
        "full version": file_deletion_three_versions(fine=True),
        "coin": with_coin(coarse),
        "a bit each": first,
        "differ": second,
        **{f"{m} words": bounded_talk_game().with_channel(to_human=m) for m in (1, 2, 3)},
        **{f"changed, {m} words": changed.with_channel(to_human=m) for m in (1, 2, 3)},
    }


def tables() -> dict[str, Table]:
    """What the figures of the examples draw."""
    games = _games()
    g1, coarse, fine = (games[name] for name in ("file-deletion", "first digit", "full version"))
    plans = [
        ("A never asks", restricted_value(g1, waits=False)),
        ("A always waits", always_waiting_value(g1)),
        ("A acts on legacy code, waits on modern", best_value(g1)),
        ("A always waits and says which code", best_value(games["one bit"])),
    ]
    models: dict[str, Human] = {"optimal": Optimal(), "ignores being asked": Naive()}
    models |= {f"noisy, beta {b:g}": Boltzmann(b) for b in (0.3, 1.0, 3.0)}
    labelled = {"two versions": g1, "three, coarse": coarse, "three, fine": fine, "bounded talk": games["1 words"]}
    humans: Table = [
        {"game": label, "human": name, "value": best_assistant(game.team_form(), model).value}
        for label, game in labelled.items()
        for name, model in models.items()
    ]
    return {"plans": [{"plan": name, "payoff": float(value)} for name, value in plans], "humans": humans}


def rivals(game: OffSwitchGame) -> dict[str, int]:
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
        "file-deletion/rivals": sum(value >= target for value in others),
        "of-always-waiting/rivals": sum(value >= 1 for value in others),
    }


def share_acting(solution: Solution, observation: str) -> Fraction:
    """Share of optimal pairs in which A acts when it sees `observation`."""
    form = solution.form
    o, act = form.assistant_observations.index(observation), form.assistant_actions.index("act")
    acting = sum(policies.n_pairs for policies in solution.policies if policies.assistant[o] == act)
    return Fraction(acting, solution.n_pairs)


def waits_lost(before: Solution, after: Solution) -> int:
    """How many observations the unique wait set loses; -1 where a set is not unique, not nested, or grows."""
    if len(before.marked_sets) != 1 or len(after.marked_sets) != 1:
        return -1
    (old,), (new,) = before.marked_sets, after.marked_sets
    return len(old - new) if new <= old else -1


def value_if_waiting(solution: Solution, observations: set[str]) -> Fraction:
    """The value, if every optimal pair waits at exactly these observations; else 0."""
    return solution.value * (solution.marked_sets == (frozenset(observations),))
