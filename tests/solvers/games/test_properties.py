"""Theorems about off-switch games, on random games in exact arithmetic; each with a case in which its condition fails."""

from fractions import Fraction
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.solvers.games.information import coordinated_garbling_test
from assay.solvers.games.pairs import optimal_pairs, optimal_value
from assay.studies.games.off_switch_game.random_games import coordinated_garbling, kernel_games, redundant_games
from assay.worlds.games.off_switch import OffSwitchGame, file_deletion, uncoordinated_garbling_pair
from assay.worlds.games.team import TeamForm

SEEDS = st.integers(0, 10**9)
SIZES = st.sampled_from([(2, 2), (2, 3), (3, 2), (3, 3)])
MANY = settings(max_examples=60)


def restricted_value(game: OffSwitchGame, actions: list[str]) -> Fraction:
    """The optimum when A may only use some of its actions, by visiting all pairs of those."""
    form = game.team_form()
    allowed = [form.assistant_actions.index(name) for name in actions]
    return max(
        form.value(assistant, human)
        for assistant in product(allowed, repeat=form.shape[0])
        for human in product(range(2), repeat=form.shape[2])
    )


@MANY
@given(seed=SEEDS, size=SIZES)
def test_an_assistant_that_sees_nothing_new_can_always_wait(seed: int, size: tuple[int, int]) -> None:
    game = redundant_games(1, 3, *size, rng=np.random.default_rng(seed)).game(0)
    assert restricted_value(game, ["wait"]) == optimal_value(game.team_form())[0]


@MANY
@given(seed=SEEDS, size=SIZES)
def test_a_human_who_sees_nothing_new_need_never_be_asked(seed: int, size: tuple[int, int]) -> None:
    game = redundant_games(1, 3, *size, rng=np.random.default_rng(seed), redundant="human").game(0)
    assert restricted_value(game, ["act", "off"]) == optimal_value(game.team_form())[0]


def test_private_information_on_both_sides_breaks_both() -> None:
    assert restricted_value(file_deletion(), ["wait"]) == 1 < Fraction(7, 4)
    assert restricted_value(file_deletion(), ["act", "off"]) == Fraction(1, 2) < Fraction(7, 4)


@MANY
@given(seed=SEEDS, size=SIZES)
def test_a_coordinated_garbling_never_helps(seed: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    games = kernel_games(1, 3, *size, rng=rng)
    coarse = coordinated_garbling(games, rng=rng).game(0)
    assert optimal_value(coarse.team_form())[0] <= optimal_value(games.game(0).team_form())[0]


@settings(max_examples=12)
@given(seed=SEEDS)
def test_the_program_recognises_coordinated_garblings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    games = kernel_games(1, 3, 2, 2, rng=rng)
    coarse, fine = (np.array(g.observe, dtype=object) for g in (coordinated_garbling(games, rng=rng).game(0), games.game(0)))
    assert coordinated_garbling_test(coarse, fine).holds


def test_an_uncoordinated_garbling_can_help() -> None:
    first, second = (optimal_value(game.team_form())[0] for game in uncoordinated_garbling_pair())
    assert (first, second) == (Fraction(3, 4), 1)


@MANY
@given(seed=SEEDS, size=SIZES)
def test_talk_never_hurts_and_full_talk_lets_the_assistant_always_wait(seed: int, size: tuple[int, int]) -> None:
    game = kernel_games(1, 3, *size, rng=np.random.default_rng(seed)).game(0)
    n = size[1]
    values = [optimal_value(game.with_channel(to_human=m).team_form())[0] for m in range(1, n + 1)]
    assert values == sorted(values)
    full = game.with_channel(to_human=n).team_form()
    waits = [a for a, marked in enumerate(full.marked) if marked]
    # Saying what it saw at every observation is one always-waiting policy; some H reply makes it optimal.
    best = max(sum(_replies(full, policy)) for policy in product(waits, repeat=full.shape[0]))
    assert best == values[-1] * full.denominator


def _replies(form: TeamForm, policy: tuple[int, ...]) -> list[int]:
    chosen = form.payoff[np.arange(form.shape[0]), np.asarray(policy)].sum(axis=0)
    return [int(x) for x in chosen.max(axis=1)]


@MANY
@given(seed=SEEDS, size=SIZES)
def test_stochastic_pairs_are_mixtures_of_deterministic_ones(seed: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    form = kernel_games(1, 3, *size, rng=rng).game(0).team_form()
    found = optimal_pairs(form)
    optimal = set(found.pairs())
    n_a, k_a, n_z, k_h = form.shape
    # Sparse rational policies: three tickets an observation.
    assistant = rng.multinomial(3, rng.dirichlet(np.full(k_a, 0.3)), size=n_a)
    human = rng.multinomial(3, rng.dirichlet(np.full(k_h, 0.3)), size=n_z)
    payoff = np.einsum("oazh,oa,zh->", form.payoff.astype(object), assistant.astype(object), human.astype(object))
    value = Fraction(int(payoff), 9 * form.denominator)
    assert value <= found.value
    mixture, outside = Fraction(0), Fraction(0)
    for pi_a in product(range(k_a), repeat=n_a):
        for pi_h in product(range(k_h), repeat=n_z):
            weight = Fraction(
                int(
                    np.prod([assistant[o, a] for o, a in enumerate(pi_a)]) * np.prod([human[z, h] for z, h in enumerate(pi_h)])
                ),
                3 ** (n_a + n_z),
            )
            if weight:
                mixture += weight * form.value(pi_a, pi_h)
                outside += weight * ((pi_a, pi_h) not in optimal)
    assert mixture == value
    assert (value == found.value) == (outside == 0)
