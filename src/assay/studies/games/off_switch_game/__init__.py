"""Off-switch game: does an assistant that shares our goals always let us decide?

Paper   Garber, Subramani, Luu, Bedaywi, Russell, Emmons 2024, "The Partially Observable Off-Switch Game", AAAI 2025,
        arXiv:2411.17749.
Scale   Theirs: definitions, theorems and examples of up to six states, worked by hand. Ours: every example in exact rational
        arithmetic, with all optimal pairs; each theorem on more than 100,000 random integer games; learners beside the optimum.

Departs D1  Theorems are tested on random games, which can refute them and never prove them. Payoffs and probabilities of random
            games are integers over a common denominator, so that "never" means never and not "to within rounding".
        D2  Each run solves the fixed games with states and observations listed in a new random order.
        D3  The bounded-channel example is ours (found by exhaustive search), since the paper's own payoffs were not at hand; so
            is the one-bit version of the File Deletion Game. Their claims say "ours" in the source.
        D4  The deference curve, the price of deference, learned policies and behavioural humans go beyond the paper.
        D5  The bonus that restores waiting is paid per unit of probability that A waits, in payoff units of the game.
        D6  The control of E2 was replaced after a first run; its margin was not touched. The first control, a fully informed
            human, did not remove the cause: an assistant that has stopped waiting teaches its human nothing, and 9 in 100
            learners end there. That game stays in the table of ends.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le, doc

from assay.claims.charts import Bars, Figure, Line, Lines
from assay.claims.rules import Above, Below, Equals, Ordered
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Study, Table
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.studies.games.off_switch_game.random_games import (
    OffSwitchBatch,
    cell_games,
    coordinated_garbling,
    kernel_games,
    redundant_games,
)
from assay.worlds.games.off_switch import (
    OffSwitchGame,
    bounded_talk_game,
    file_deletion,
    file_deletion_three_versions,
    off_switch_from_table,
    original_off_switch,
    uncoordinated_garbling_pair,
)

ROUNDING = 1e-12  # an exact rational is stored as its nearest float
EXACT = "exact: rational arithmetic, stored as the nearest float"
COUNT = "a count of exceptions: the theorem allows none, and integer arithmetic makes none by rounding"

FIXED_CLAIMS = (
    Claim(
        "C1",
        says="In the File Deletion Game the best pair of policies is worth 7/4.",
        source="Example 4.1, Table 1",
        estimand="g1_value",
        rule=Equals(7 / 4, ROUNDING),
        margin=EXACT,
        control=Control("H sees the kind of code as well: the value must be that of full information, 2", "g1_informed_value"),
        paper_value="7/4",
        summary="every",
    ),
    Claim(
        "C1-pair",
        says="Of the 36 pairs only this one is optimal: A acts on L and waits on M; H says OFF at 1.0 and ON at 2.0.",
        source="Example 4.1",
        estimand="g1_other_pairs_at_named_value",
        rule=Equals(0),
        margin=EXACT,
        control=Control(
            "count the other pairs that reach the best always-waiting value, 1: there are some", "g1_other_pairs_at_1"
        ),
        paper_value=0,
        summary="every",
    ),
    Claim(
        "C1-wait",
        says="If A must always wait, the best reply of H is worth 1.",
        source="Example 4.1",
        estimand="g1_always_wait",
        rule=Equals(1, ROUNDING),
        margin=EXACT,
        control=Control("A may send one bit along with waiting: always waiting becomes worth 2", "g5_always_wait"),
        paper_value="1",
        summary="every",
    ),
    Claim(
        "C2",
        says="With a perfectly rational human, A acts on its own in every optimal pair when it sees legacy code.",
        source="Example 4.1",
        estimand="g1_acting_pairs",
        rule=Equals(1, ROUNDING),
        margin="the share of optimal pairs in which A acts on L",
        control=Control(
            "H sees what A sees: waiting everywhere is optimal too, so the share falls below 1", "g1_informed_acting_pairs"
        ),
        paper_value="unilateral action is optimal",
        summary="every",
    ),
    Claim(
        "C4",
        says="Showing H the full version instead of its first digit raises the value by 1/3, from 1 to 4/3.",
        source="Example 4.10, Proposition 4.9",
        estimand="g2_gain",
        rule=Equals(1 / 3, ROUNDING),
        margin=EXACT,
        control=Control(
            "H is shown a coin flip beside the first digit, a refinement without information: no gain", "g2_coin_gain"
        ),
        paper_value="1 to 4/3",
        summary="every",
    ),
    Claim(
        "C4-wait",
        says="The same refinement makes A wait less: its only wait set shrinks strictly, from {A, B} to {B}.",
        source="Example 4.10, Proposition 4.9",
        estimand="g2_waits_lost",
        rule=Equals(1),
        margin="number of observations lost from the unique wait set; -1 where sets are not nested or not unique",
        control=Control("a coin flip beside the first digit: nothing is lost", "g2_coin_waits_lost"),
        paper_value="{A, B} to {B}",
        summary="every",
    ),
    Claim(
        "C5-example",
        says="A garbling that is not coordinated can raise the value: from 3/4 to 1 in Example A.13.",
        source="Example A.13",
        estimand="g3_gain",
        rule=Equals(1 / 4, ROUNDING),
        margin=EXACT,
        control=Control("the best of many random coordinated garblings of the same structure: no gain", "g3_coordinated_gain"),
        paper_value="3/4 to 1",
        summary="every",
    ),
    Claim(
        "C5-pairs",
        says="The first structure of Example A.13 has exactly two optimal pairs.",
        source="Example A.13",
        estimand="g3_pairs",
        rule=Equals(2),
        margin=EXACT,
        control=Control("the second structure has one", "g3_garbled_pairs"),
        paper_value=2,
        summary="every",
    ),
    Claim(
        "C5-test",
        says="A linear program proves that the second structure of Example A.13 is no coordinated garbling of the first.",
        source="Definitions 4.4 to 4.6, Example A.13; the program is ours",
        estimand="g3_separation",
        rule=Above(0.5),
        margin="payoff of a separating game with payoffs in [-1, 1], summed over four states; 0 for a coordinated garbling",
        control=Control("a planted coordinated garbling of the first structure: nothing separates", "g3_planted_separation"),
        summary="every",
    ),
    Claim(
        "C5-one-way",
        says="The second structure is a garbling of the first, and the first is none of the second.",
        source="Example A.13",
        estimand="g3_order",
        rule=Equals(1),
        margin="1 if the first tells strictly more in Blackwell's order, as joint signals",
        control=Control("the two structures swapped", "g3_order_swapped"),
        paper_value="a garbling, not a coordinated one",
        summary="every",
    ),
    Claim(
        "C7",
        says="Two messages can make A wait strictly less than silence: the only wait set falls from three observations to two.",
        source="section on communication; the game is ours",
        estimand="g6_waits_lost",
        rule=Equals(1),
        margin="number of observations lost from the unique wait set; -1 where sets are not nested or not unique",
        control=Control("in the File Deletion Game one bit makes A wait more, not less", "g5_waits_lost"),
        paper_value="bounded talk can make A defer less",
        summary="every",
    ),
    Claim(
        "C7-values",
        says="In that game 1, 2 and 3 messages are worth 10/9, 13/9 and 14/9.",
        source="ours",
        estimand="g6_values_off",
        rule=Equals(0, ROUNDING),
        margin="largest distance from the three values",
        control=Control("the same game with one payoff changed by 1: the values move", "g6_changed_values_off"),
        summary="every",
    ),
    Claim(
        "C7-bit",
        says="One bit from A to H brings the File Deletion Game to its first best, 2, with A waiting on both kinds of code.",
        source="ours",
        estimand="g5_value_waiting",
        rule=Equals(2, ROUNDING),
        margin="value of the unique wait set if that is {L, M}, else 0",
        control=Control("without the bit", "g1_value_waiting"),
        summary="every",
    ),
)

SWEEP_CLAIMS = (
    Claim(
        "C3",
        says="If A's observation is redundant given H's, some optimal pair always waits: no exception among random games.",
        source="Proposition 4.3",
        estimand="redundant_a_exceptions",
        rule=Equals(0),
        margin=COUNT,
        control=Control("A has private information: exceptions are common", "private_a_exceptions"),
        paper_value=0,
        summary="every",
    ),
    Claim(
        "C3-human",
        says="If H's observation is redundant given A's, some optimal pair never waits: no exception among random games.",
        source="Proposition 4.3",
        estimand="redundant_h_exceptions",
        rule=Equals(0),
        margin=COUNT,
        control=Control("H has private information: exceptions are common", "private_h_exceptions"),
        paper_value=0,
        summary="every",
    ),
    Claim(
        "C5",
        says="A random coordinated garbling never raises the optimal value.",
        source="Theorem 4.7, easy direction",
        estimand="garbling_gains",
        rule=Equals(0),
        margin=COUNT,
        control=Control(
            "garblings of the pair of observations, which two separate sides could not produce (Example A.13 among them): "
            "some raise it",
            "uncoordinated_gains",
        ),
        paper_value=0,
        summary="every",
    ),
    Claim(
        "C6",
        says="Cheap talk never lowers the optimal value, for 1, 2, ... messages from A to H.",
        source="section on communication",
        estimand="talk_losses",
        rule=Equals(0),
        margin=COUNT,
        control=Control(
            "instead of the optimum, the pair that best replies in turn reach from a random start: talk lowers some of them",
            "equilibrium_talk_losses",
        ),
        paper_value=0,
        summary="every",
    ),
    Claim(
        "C6-wait",
        says="With as many messages as A has observations, some optimal pair always waits.",
        source="section on communication, Proposition 4.3",
        estimand="full_talk_exceptions",
        rule=Equals(0),
        margin=COUNT,
        control=Control("one message fewer than that: exceptions occur", "short_talk_exceptions"),
        paper_value=0,
        summary="every",
    ),
    Claim(
        "C7-rare",
        says="Reversals are rare: in fewer than one random game in 10,000 do two messages strictly shrink the only wait set.",
        source="ours",
        estimand="reversal_share",
        rule=Below(1e-4),
        margin="one decade above the frequency of an earlier exhaustive search, which met 1 in about 330,000",
        control=Control("games in which two messages strictly grow the only wait set are more frequent", "growth_share"),
    ),
    Claim(
        "C8",
        says="No stochastic pair of policies earns more than the best deterministic pair.",
        source="Lemma A.5",
        estimand="stochastic_gains",
        rule=Equals(0),
        margin=COUNT,
        control=Control("H's choice may depend on what A saw, which no pair of separate policies allows", "informed_gains"),
        paper_value=0,
        summary="every",
    ),
    Claim(
        "C8-unique",
        says="Where one deterministic pair is the only optimum, no properly stochastic pair earns as much.",
        source="Corollary A.6",
        estimand="stochastic_ties",
        rule=Equals(0),
        margin=COUNT,
        control=Control("games with several optimal pairs: mixtures that earn as much exist", "tied_stochastic_ties"),
        paper_value=0,
        summary="every",
    ),
    Claim(
        "C9",
        says="With a fully informed human waiting beats deciding alone by exactly min(E[U; U >= 0], -E[U; U < 0]).",
        source="the original off-switch game, Hadfield-Menell et al. 2017",
        estimand="formula_misses",
        rule=Equals(0),
        margin=COUNT,
        control=Control("the human reads U with noise: the formula misses", "noisy_formula_misses"),
        paper_value=0,
        summary="every",
    ),
    Claim(
        "C9-sign",
        says="That advantage is zero exactly where U has one sign.",
        source="the original off-switch game, Hadfield-Menell et al. 2017",
        estimand="sign_misses",
        rule=Equals(0),
        margin=COUNT,
        control=Control("the human reads U with noise: two signs and no advantage occur together", "noisy_sign_misses"),
        paper_value=0,
        summary="every",
    ),
    Claim(
        "E1",
        says="Always waiting costs more, on average over random games, the narrower the channel from A to H.",
        source="ours",
        estimand=("price_full", "price_2", "price_1"),
        rule=Ordered(0.01),
        margin="one hundredth of the largest payoff",
        control=Control(
            "A sees nothing that H does not see: waiting costs nothing on any channel",
            ("redundant_price_full", "redundant_price_2", "redundant_price_1"),
        ),
    ),
)

LEARNING_CLAIMS = (
    Claim(
        "E2",
        says="Independent learners often end at an inferior pair: more than one in twenty in the File Deletion Game.",
        source="ours",
        estimand="g1_inferior",
        rule=Above(0.05),
        margin="a share a single trained pair would meet now and then",
        control=Control(
            "A sees the version too and can decide alone, so that nothing must be coordinated: hardly any", "alone_inferior"
        ),
    ),
    Claim(
        "E3",
        says="Where learners end, neither side gains by changing alone: 95 in 100 ends are person-by-person optima.",
        source="ours",
        estimand="stable_ends",
        rule=Above(0.95),
        margin="five in a hundred may still be on their way when training stops",
        control=Control("the same learners before training", "stable_starts"),
    ),
)


@dataclass(frozen=True)
class FixedSettings:
    """What the exact examples need."""

    n_garblings: Annotated[int, Ge(1), doc("coordinated garblings drawn for the control of C5-example")] = 200


@dataclass(frozen=True)
class SweepSettings:
    """Sizes of the random-game sweeps; every count is games in one run."""

    n_games: Annotated[int, Ge(64), doc("random games in each sweep")] = 16_384
    n_reversal_games: Annotated[int, Ge(64), doc("random games searched for reversals of deference")] = 131_072
    n_states: Annotated[int, Ge(2), Le(8), doc("states of games with random kernels")] = 4
    n_human: Annotated[int, Ge(2), Le(6), doc("H's observations")] = 3
    n_assistant: Annotated[int, Ge(3), Le(6), doc("A's observations")] = 4


@dataclass(frozen=True)
class LearningSettings:
    """Tabular policy gradient."""

    n_learners: Annotated[int, Ge(2), doc("independent pairs of learners a game and run")] = 200
    n_steps: Annotated[int, Ge(10), doc("steps of exact gradient ascent")] = 1500
    learning_rate: Annotated[float, doc("step size on logits, per unit of payoff")] = 3.0


# --- fixed games -------------------------------------------------------------------------------------------------------------


def measure_fixed(settings: FixedSettings, seeds: Seeds) -> Measurement:
    """Solve every fixed game exactly, in a random order of its states and observations."""
    from assay.solvers.games.humans import Boltzmann, Human, Naive, Optimal, best_assistant
    from assay.solvers.games.information import compare, coordinated_garbling_test
    from assay.solvers.games.pairs import Solution, optimal_pairs, optimal_value

    order = seeds("order")

    def solve(game: OffSwitchGame) -> Solution:
        return optimal_pairs(game.shuffled(order).team_form())

    g1, g5 = file_deletion(), file_deletion().with_channel(to_human=2)
    informed = _with_code_shown(g1)
    coarse, fine = (file_deletion_three_versions(fine=fine) for fine in (False, True))
    coin = _with_coin(coarse)
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
    planted_games = [_garbled(first, seeds(f"garbling {i}")) for i in range(settings.n_garblings)]
    planted = coordinated_garbling_test(np.array(planted_games[0].observe, dtype=object), structures[0])
    joint = [structure.reshape(len(structure), -1) for structure in structures]
    estimands = {
        "g1_value": found["g1"].value,
        "g1_informed_value": found["informed"].value,
        **_other_pairs(g1),
        "g1_always_wait": _always_wait(g1),
        "g5_always_wait": _always_wait(g5),
        "g1_acting_pairs": _share_acting(found["g1"], "L"),
        "g1_informed_acting_pairs": _share_acting(found["informed"], "L"),
        "g2_gain": found["fine"].value - found["coarse"].value,
        "g2_coin_gain": found["coin"].value - found["coarse"].value,
        "g2_waits_lost": _waits_lost(found["coarse"], found["fine"]),
        "g2_coin_waits_lost": _waits_lost(found["coarse"], found["coin"]),
        "g3_gain": found["second"].value - found["first"].value,
        "g3_coordinated_gain": max(optimal_value(game.team_form())[0] for game in planted_games) - found["first"].value,
        "g3_pairs": found["first"].n_pairs,
        "g3_garbled_pairs": found["second"].n_pairs,
        "g3_separation": separation.advantage,
        "g3_planted_separation": planted.advantage,
        "g3_order": compare(joint[0], joint[1]) == "finer",
        "g3_order_swapped": compare(joint[1], joint[0]) == "finer",
        "g6_waits_lost": _waits_lost(found["g6_1"], found["g6_2"]),
        "g5_waits_lost": _waits_lost(found["g1"], found["g5"]),
        "g6_values_off": max(abs(found[f"g6_{m + 1}"].value - talk[m]) for m in range(3)),
        "g6_changed_values_off": max(abs(value - target) for value, target in zip(changed_values, talk, strict=True)),
        "g5_value_waiting": found["g5"].value * (found["g5"].marked_sets == (frozenset({"L", "M"}),)),
        "g1_value_waiting": found["g1"].value * (found["g1"].marked_sets == (frozenset({"L", "M"}),)),
    }
    # A negative separation or loss would be a bug; a planted garbling separates by exactly 0, which must refute Above(0.5).
    plans = [
        ("A never asks", _restricted(g1, waits=False)),
        ("A always waits", _always_wait(g1)),
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
                    "optimum": float(_best(game)),
                    "always_waiting": float(_always_wait(game)),
                    "never_waiting": float(_restricted(game, waits=False)),
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


def _restricted(game: OffSwitchGame, *, waits: bool) -> Fraction:
    """The optimum when A may only wait, or may never wait."""
    from assay.solvers.games.pairs import human_best_responses

    form = game.team_form()
    allowed = [a for a, marked in enumerate(form.marked) if marked == waits]
    return max(human_best_responses(form, policy)[0] for policy in product(allowed, repeat=form.shape[0]))


def _always_wait(game: OffSwitchGame) -> Fraction:
    return _restricted(game, waits=True)


def _share_acting(solution: Any, observation: str) -> Fraction:
    """Share of optimal pairs in which A acts when it sees `observation`."""
    form = solution.form
    o, act = form.assistant_observations.index(observation), form.assistant_actions.index("act")
    acting = sum(policies.n_pairs for policies in solution.policies if policies.assistant[o] == act)
    return Fraction(acting, solution.n_pairs)


def _waits_lost(before: Any, after: Any) -> int:
    """How many observations the unique wait set loses; -1 where a set is not unique, not nested, or grows."""
    if len(before.marked_sets) != 1 or len(after.marked_sets) != 1:
        return -1
    (old,), (new,) = before.marked_sets, after.marked_sets
    return len(old - new) if new <= old else -1


def _with_code_shown(game: OffSwitchGame) -> OffSwitchGame:
    """The same game in which H sees A's observation too."""
    pairs = [(h, a) for h in game.human_observations for a in game.assistant_observations]
    observe = tuple(
        tuple(
            tuple(table[i][j] if game.assistant_observations[j] == a else Fraction(0) for j in range(len(table[i])))
            for h, a in pairs
            for i in (game.human_observations.index(h),)
        )
        for table in game.observe
    )
    return _with_human_observations(game, tuple(f"{h} {a}" for h, a in pairs), observe)


def _with_version_shown(game: OffSwitchGame) -> OffSwitchGame:
    """The same game in which A sees H's observation too, and can decide alone."""
    pairs = [(h, a) for h in range(len(game.human_observations)) for a in range(len(game.assistant_observations))]
    return replace(
        game,
        name=f"{game.name}, A sees both",
        assistant_observations=tuple(f"{game.human_observations[h]} {game.assistant_observations[a]}" for h, a in pairs),
        observe=tuple(
            tuple(tuple(table[h][a] if h == i else Fraction(0) for h, a in pairs) for i in range(len(game.human_observations)))
            for table in game.observe
        ),
    )


def _with_coin(game: OffSwitchGame) -> OffSwitchGame:
    """The same game in which H sees a fair coin beside her observation."""
    observe = tuple(tuple(tuple(p / 2 for p in row) for row in table for _ in range(2)) for table in game.observe)
    return _with_human_observations(
        game, tuple(f"{h} {c}" for h in game.human_observations for c in ("heads", "tails")), observe
    )


def _with_human_observations(
    game: OffSwitchGame, names: tuple[str, ...], observe: tuple[tuple[tuple[Fraction, ...], ...], ...]
) -> OffSwitchGame:
    return replace(game, human_observations=names, observe=observe)


def _garbled(game: OffSwitchGame, rng: np.random.Generator) -> OffSwitchGame:
    """The game seen through a random coordinated garbling."""
    n_h, n_a = len(game.human_observations), len(game.assistant_observations)
    weight = np.array([[1] * len(game.states)])
    observe = np.array([[[[int(p) for p in row] for row in table] for table in game.observe]])
    batch = OffSwitchBatch(weight, observe, np.array([[int(u) for u in game.act]]))
    assert observe.shape == (1, len(game.states), n_h, n_a)
    return coordinated_garbling(batch, rng=rng).game(0)


# --- random games ------------------------------------------------------------------------------------------------------------


def measure_sweeps(settings: SweepSettings, seeds: Seeds) -> Measurement:
    """Hold each theorem, and its control, against random integer games."""
    estimands: dict[str, float] = {}
    parts = (_redundancy, _garblings, _talk, _stochastic, _informed_human)
    for i, part in enumerate(parts):
        progress(i / (len(parts) + 2), part.__name__.strip("_"))
        estimands |= part(settings, seeds)
    progress(len(parts) / (len(parts) + 2), "signs")
    signs = _signs(settings, seeds)
    progress((len(parts) + 1) / (len(parts) + 2), "deference curve")
    prices, curves = _deference(settings, seeds)
    estimands |= {"reversal_share": signs["waits less"], "growth_share": signs["waits more"]}
    return Measurement(
        estimands | prices,
        tables=curves | {"signs": [{"change": change, "share": share} for change, share in signs.items()]},
    )


def _kernels(settings: SweepSettings, seeds: Seeds, name: str) -> OffSwitchBatch:
    sizes = (settings.n_states, settings.n_human, settings.n_assistant)
    return kernel_games(settings.n_games, *sizes, rng=seeds(name))


def _redundancy(settings: SweepSettings, seeds: Seeds) -> dict[str, float]:
    from assay.solvers.games.batches import wait_table

    sizes = (settings.n_games, settings.n_states, settings.n_human, settings.n_assistant)
    exceptions = {}
    for side, letter in (("assistant", "a"), ("human", "h")):
        redundant = redundant_games(*sizes, rng=seeds(f"redundant {side}"), redundant=side)
        for kind, batch in (("redundant", redundant), ("private", _kernels(settings, seeds, f"private {side}"))):
            table = wait_table(*batch.tables())
            forced = table.always if side == "assistant" else table.never
            exceptions[f"{kind}_{letter}_exceptions"] = float((forced < table.total.max(axis=1)).sum())
    return exceptions


def _garblings(settings: SweepSettings, seeds: Seeds) -> dict[str, float]:
    from assay.solvers.games.batches import optimal_values

    games = _kernels(settings, seeds, "garbled")
    values, _ = optimal_values(*games.tables())
    gains = {}
    for name, coordinated in (("garbling_gains", True), ("uncoordinated_gains", False)):
        coarse = coordinated_garbling(games, rng=seeds(name), coordinated=coordinated)
        garbled, _ = optimal_values(*coarse.tables())
        # Both are integers; cross-multiplied by the other's scale they compare exactly.
        gains[name] = float((garbled * games.scale > values * coarse.scale).sum())
    first, second = (_best(game) for game in uncoordinated_garbling_pair())
    gains["uncoordinated_gains"] += float(second > first)
    return gains


def _best(game: OffSwitchGame) -> Fraction:
    from assay.solvers.games.pairs import optimal_value

    return optimal_value(game.team_form())[0]


def _talk(settings: SweepSettings, seeds: Seeds) -> dict[str, float]:
    from assay.solvers.games.batches import alternating_values, channel_values, team_payoffs, wait_table

    games = _kernels(settings, seeds, "talk")
    on, off = games.tables()
    by_size = channel_values(wait_table(on, off), settings.n_assistant)
    best = np.stack([values.max(axis=1) for values in by_size])
    reached = []
    for n_messages in (1, 2):
        payoff = team_payoffs(on, off, n_messages)
        start = seeds(f"start {n_messages}").integers(0, 2, size=(settings.n_games, payoff.shape[3]))
        reached.append(alternating_values(payoff, start))
    return {
        "talk_losses": float((np.diff(best, axis=0) < 0).any(axis=0).sum()),
        "equilibrium_talk_losses": float((reached[1] < reached[0]).sum()),
        "full_talk_exceptions": float((by_size[-1][:, -1] < best[-1]).sum()),
        "short_talk_exceptions": float((by_size[-2][:, -1] < best[-2]).sum()),
    }


def _signs(settings: SweepSettings, seeds: Seeds) -> dict[str, float]:
    """Shares of 3 x 3 games with payoffs in [-4, 4] by what two messages do to the only wait set."""
    from assay.solvers.games.batches import channel_values, wait_table

    counts = {"waits less": 0, "waits more": 0, "waits on others": 0, "waits on the same": 0, "several optima": 0}
    rng, left = seeds("reversals"), settings.n_reversal_games
    while left:
        n = min(left, 16_384)
        silent, spoken = channel_values(wait_table(*cell_games(n, 3, 3, rng=rng).tables()), 2)
        sets, unique = [], np.ones(n, dtype=bool)
        for values in (silent, spoken):
            at_best = values == values.max(axis=1, keepdims=True)
            unique &= at_best.sum(axis=1) == 1
            sets.append(at_best.argmax(axis=1))
        before, after = sets
        moved, lost, won = unique & (before != after), before & ~after != 0, after & ~before != 0
        for change, found in (
            ("waits less", moved & ~won),
            ("waits more", moved & ~lost),
            ("waits on others", moved & lost & won),
            ("waits on the same", unique & ~moved),
            ("several optima", ~unique),
        ):
            counts[change] += int(found.sum())
        left -= n
    return {change: count / settings.n_reversal_games for change, count in counts.items()}


def _stochastic(settings: SweepSettings, seeds: Seeds) -> dict[str, float]:
    """Random stochastic pairs against all deterministic ones, in integers: policies in steps of a third."""
    from assay.solvers.games.batches import policies, team_payoffs

    rng, n, tickets = seeds("stochastic"), settings.n_games, 3
    games = cell_games(n, 2, 3, rng=rng)
    on, off = games.tables()
    payoff = team_payoffs(on, off)
    plans_a, plans_h = policies(3, 3), policies(2, 2)
    chosen = payoff[:, np.arange(3), plans_a].sum(axis=2)  # [game, A's policy, oH, h]
    pairs = chosen[:, :, np.arange(2), plans_h].sum(axis=3)  # [game, A's policy, H's policy]
    flat = pairs.reshape(n, -1)
    best = flat.max(axis=1)
    unique = (flat == best[:, None]).sum(axis=1) == 1
    one_a, one_h = (plans[i] for plans, i in zip((plans_a, plans_h), np.divmod(flat.argmax(axis=1), len(plans_h)), strict=True))
    gains = ties = tied_ties = 0
    for draw in ("anywhere", "near an optimal pair"):
        mixed_a, mixed_h = _tickets(rng, n, 3, 3, tickets), _tickets(rng, n, 2, 2, tickets)
        if draw != "anywhere":
            # One observation of A (or of H) randomises; the rest of the pair stays optimal.
            rows, where = np.arange(n), rng.integers(0, 5, size=n)
            pure_a, pure_h = tickets * np.eye(3, dtype=np.int64)[one_a], tickets * np.eye(2, dtype=np.int64)[one_h]
            at_a, at_h = np.minimum(where, 2), np.maximum(where - 3, 0)
            pure_a[rows[where < 3], at_a[where < 3]] = mixed_a[rows[where < 3], at_a[where < 3]]
            pure_h[rows[where >= 3], at_h[where >= 3]] = mixed_h[rows[where >= 3], at_h[where >= 3]]
            mixed_a, mixed_h = pure_a, pure_h
        earned = np.einsum("goazh,goa,gzh->g", payoff, mixed_a, mixed_h, optimize=True)
        target = best * tickets**2
        proper = (mixed_a.max(axis=2) < tickets).any(axis=1) | (mixed_h.max(axis=2) < tickets).any(axis=1)
        gains += int((earned > target).sum())
        ties += int((proper & unique & (earned == target)).sum())
        tied_ties += int((proper & ~unique & (earned == target)).sum())
    informed = np.maximum(on, off).sum(axis=(1, 2))
    return {
        "stochastic_gains": float(gains),
        "informed_gains": float((informed > best).sum()),
        "stochastic_ties": float(ties),
        "tied_stochastic_ties": float(tied_ties),
    }


def _tickets(rng: np.random.Generator, n: int, n_observations: int, n_actions: int, tickets: int) -> np.ndarray:
    """[game, observation, action]; random integer weights that sum to `tickets`."""
    chances = rng.dirichlet(np.full(n_actions, 0.5), size=(n, n_observations))
    return np.asarray(rng.multinomial(tickets, chances))


def _informed_human(settings: SweepSettings, seeds: Seeds) -> dict[str, float]:
    """The original off-switch game with random utilities and priors, and with a human who misreads them."""
    from assay.solvers.games.batches import wait_table

    rng, n, n_states, grain = seeds("informed"), settings.n_games, 5, 8
    # A third of the games has non-negative utilities only, so that one sign is common.
    low = np.where(rng.random(n) < 1 / 3, 0, -9)[:, None]
    utility = rng.integers(low, 10, size=(n, n_states))
    weight = 1 + rng.multinomial(20, np.full(n_states, 1 / n_states), size=n)
    value = weight * utility
    formula = np.minimum(np.where(value >= 0, value, 0).sum(axis=1), -np.where(value < 0, value, 0).sum(axis=1))
    two_signs = (utility > 0).any(axis=1) & (utility < 0).any(axis=1)
    misses = {}
    for name, right in (("", grain), ("noisy_", grain // 2)):
        wrong = (grain - right) // (n_states - 1)
        reading = wrong + (right - wrong) * np.eye(n_states, dtype=np.int64)  # [state, reading], out of `grain`
        on = np.einsum("gs,sh->gh", value, reading)[:, :, None]
        table = wait_table(on, np.zeros_like(on))
        advantage = table.always - table.never
        misses[f"{name}formula_misses"] = float((advantage != formula * reading[0].sum()).sum())
        misses[f"{name}sign_misses"] = float(((advantage > 0) != two_signs).sum())
    return misses


def _deference(settings: SweepSettings, seeds: Seeds) -> tuple[dict[str, float], dict[str, Table]]:
    """Value, waiting and the price of always waiting by channel size, over games with payoffs in [-1, 1]."""
    from assay.solvers.games.batches import channel_values, wait_table

    n, n_a, largest = settings.n_games, settings.n_assistant, 1000
    estimands: dict[str, float] = {}
    waiting: Table = []
    costs: Table = []
    private = cell_games(n, n_a, n_a, rng=seeds("curve"), largest=largest)
    redundant = redundant_games(n, settings.n_states, settings.n_human, n_a, rng=seeds("redundant curve"), largest=largest)
    for kind, games in (("private", private), ("redundant", redundant)):
        unit = games.scale * largest
        by_set = _set_mass(games)
        by_size = channel_values(wait_table(*games.tables()), n_a)
        for m, values in enumerate(by_size, start=1):
            best = values.max(axis=1)
            price = (best - values[:, -1]) / unit
            at_best = values == best[:, None]
            # Where several wait sets tie, the most and the least deferential of them.
            most = np.where(at_best, by_set, -1.0).max(axis=1)
            least = np.where(at_best, by_set, 2.0).min(axis=1)
            rest = 1 - by_set[:, :-1]
            shortfall = (values[:, :-1] - values[:, -1:]) / unit
            bonus = np.where(rest > 0, np.maximum(shortfall, 0) / np.where(rest > 0, rest, 1), 0).max(axis=1)
            prefix = "" if kind == "private" else "redundant_"
            name = {1: "1", 2: "2", n_a: "full"}.get(m)
            if name:
                estimands[f"{prefix}price_{name}"] = float(price.mean())
            where: dict[str, float | int | str | bool] = {"games": kind, "messages": m}
            waiting.append(
                where | {"most": float(most.mean()), "least": float(least.mean()), "value": float((best / unit).mean())}
            )
            costs += [
                where | {"quantity": quantity, "mean": float(x.mean())}
                for quantity, x in (("price of always waiting", price), ("bonus that restores waiting", bonus))
            ]
    return estimands, {"waiting": waiting, "costs": costs}


def _set_mass(games: OffSwitchBatch) -> np.ndarray:
    """[game, set]; probability that A sees an observation of the set."""
    seen = games.mass().sum(axis=1) / games.scale
    members = np.arange(2 ** seen.shape[1])[None, :] >> np.arange(seen.shape[1])[:, None] & 1
    return np.asarray(seen @ members)


# --- learners ----------------------------------------------------------------------------------------------------------------


def measure_learning(settings: LearningSettings, seeds: Seeds) -> Measurement:
    """Train independent softmax learners on the fixed games and see where they end."""
    from assay.agents.policy_gradient import train
    from assay.solvers.games.pairs import optimal_value, person_by_person_optima

    games = {
        "g1": file_deletion(),
        "g2 coarse": file_deletion_three_versions(fine=False),
        "g2 fine": file_deletion_three_versions(fine=True),
        "alone": _with_version_shown(file_deletion()),
        "g4": original_off_switch([3, -2, 1, -4]),
        "g5": replace(file_deletion(), name="File Deletion Game, one bit", to_human=2),
        "g6": bounded_talk_game(),
    }
    estimands: dict[str, float] = {}
    ends: Table = []
    curves: Table = []
    stable: list[bool] = []
    stable_at_first: list[bool] = []
    for name, game in games.items():
        form = game.team_form()
        best = optimal_value(form)[0]
        sizes = {"n_seeds": settings.n_learners, "learning_rate": settings.learning_rate}
        learned = train(form, rng=seeds(name), n_steps=settings.n_steps, **sizes)  # type: ignore[arg-type]
        untrained = train(form, rng=seeds(name), n_steps=1, **sizes)  # type: ignore[arg-type]
        values = [form.value(*pair) for pair in learned.greedy()]
        inferior = sum(value < best for value in values) / len(values)
        if name in ("g1", "alone"):
            estimands[f"{name}_inferior"] = inferior
        if form.shape[2] <= 4:
            optima = {(a, h) for _, a, h in person_by_person_optima(form)}
            stable += [pair in optima for pair in learned.greedy()]
            stable_at_first += [pair in optima for pair in untrained.greedy()]
        ends.append(
            {
                "game": game.name,
                "optimum": float(best),
                "at_the_optimum": 1 - inferior,
                "mean_value": float(learned.value.mean()),
            }
        )
        curves += [
            {"game": game.name, "step": int(step), "share_of_optimum": float(row.mean() / float(best))}
            for step, row in zip(learned.steps, learned.curve, strict=True)
        ]
    estimands |= {"stable_ends": float(np.mean(stable)), "stable_starts": float(np.mean(stable_at_first))}
    return Measurement(estimands, tables={"ends": ends, "learning": curves})


# --- the study ---------------------------------------------------------------------------------------------------------------

PLANS_FIGURE = Figure(
    "plans",
    title="Asking every time is not the best way to share a decision",
    caption=(
        "Deleting a file may be good or bad depending on the operating system, which only the human sees, and on the kind "
        "of code in it, which only the assistant sees. Both want the same. Each dot is the expected payoff of the best "
        "plan of its kind. An assistant that always waits for the human wastes what it knows; acting alone on one kind of "
        "code and waiting on the other does better, because being asked then tells the human which code it is. One bit of "
        "talk makes waiting best again."
    ),
    chart=Bars("plans", x="plan", y="payoff", y_label="expected payoff"),
)

GAMES = {"private": "both see something", "redundant": "H sees all that A sees"}

WAITING_FIGURE = Figure(
    "deference",
    title="On average talk makes an assistant wait more",
    caption=(
        "Random games in which human and assistant each see half of what matters, by the number of different messages the "
        "assistant can send when it waits. Drawn is the chance that the optimal assistant waits (the most deferential optimum "
        "where several tie). The average rises; single games can fall, as the bounded-talk game does."
    ),
    chart=Lines(
        "waiting",
        x="messages",
        y="most",
        by="games",
        x_label="messages the assistant can choose from",
        y_label="chance that A waits",
        markers=True,
    ),
    names=GAMES,
)

COSTS_FIGURE = Figure(
    "price-of-deference",
    title="A wider channel makes waiting cheap",
    caption=(
        "What it costs to force the assistant to always wait, and the bonus for waiting that would make it do so on its own, "
        "as shares of the largest payoff. Where the human sees all that the assistant sees, waiting costs nothing."
    ),
    chart=Lines(
        "costs",
        x="messages",
        y="mean",
        by="games",
        panel="quantity",
        x_label="messages the assistant can choose from",
        y_label="mean over games",
        markers=True,
    ),
    names=GAMES,
)

HUMANS_FIGURE = Figure(
    "humans",
    title="What the assistant achieves when the human is not rational",
    caption=(
        "Best expected payoff of an assistant that knows how its human behaves: rational, rational but ignoring what "
        "being asked tells her, or choosing noisily (beta is how strongly payoffs sway her)."
    ),
    chart=Bars("humans", x="human", y="value", panel="game", y_label="expected payoff"),
)

LEARNING_FIGURE = Figure(
    "learners",
    title="Two learners often settle for less",
    caption=(
        "Share of pairs of independent policy-gradient learners that end at the optimal pair. The others stop where "
        "neither side gains by changing alone, although both together could."
    ),
    chart=Bars("ends", x="game", y="at_the_optimum", y_label="share at the optimum", lines=(Line(1.0, "all"),)),
)

STUDY = Study(
    "off-switch-game",
    doc=__doc__,
    experiments=(
        Experiment(
            "fixed-games",
            question="Do the paper's games have the values and pairs it states?",
            claims=FIXED_CLAIMS,
            presets={"quick": Preset(FixedSettings(n_garblings=5), 2), "laptop": Preset(FixedSettings(), 8)},
            measure=measure_fixed,
            figures=(PLANS_FIGURE, HUMANS_FIGURE),
            cost="5 s of one core",
        ),
        Experiment(
            "random-games",
            question="Do the theorems hold in every one of many random games, and fail where their conditions do?",
            claims=SWEEP_CLAIMS,
            presets={
                "quick": Preset(SweepSettings(n_games=256, n_reversal_games=1024), 2),
                "laptop": Preset(SweepSettings(), 8),
                "paper": Preset(SweepSettings(n_games=131_072, n_reversal_games=1_048_576), 8),
            },
            measure=measure_sweeps,
            figures=(WAITING_FIGURE, COSTS_FIGURE),
            cost="17 s of one core",
        ),
        Experiment(
            "learners",
            question="Do independent learners find the optimal pair?",
            claims=LEARNING_CLAIMS,
            presets={
                "quick": Preset(LearningSettings(n_learners=8, n_steps=50), 2),
                "laptop": Preset(LearningSettings(), 8),
            },
            measure=measure_learning,
            figures=(LEARNING_FIGURE,),
            cost="18 s of one core",
        ),
    ),
)
