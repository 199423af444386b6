"""Optimal pairs: values derived by hand, all ties, certificates an independent checker accepts, and brute force."""

import copy
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checker import accepts
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.errors import InputError
from assay.solvers.games.humans import Naive
from assay.solvers.games.pairs import (
    alternating_best_response,
    assistant_best_responses,
    brute_force,
    human_best_responses,
    optimal_pairs,
    optimal_value,
    person_by_person_optima,
)
from assay.solvers.games.summary import summary
from assay.studies.games.observation_interference.random_hiding import hiding_games
from assay.studies.games.off_switch_game.random_games import kernel_games
from assay.worlds.games.assistance import hiding_as_query, hiding_as_signal
from assay.worlds.games.files import document, parse_game
from assay.worlds.games.off_switch import (
    OffSwitchGame,
    bounded_talk_game,
    file_deletion,
    file_deletion_three_versions,
    off_switch_from_table,
    original_off_switch,
    uncoordinated_garbling_pair,
)

EXAMPLES = Path(__file__).parents[3] / "examples"
FIRST, SECOND = uncoordinated_garbling_pair()
COARSE, FINE = (file_deletion_three_versions(fine=fine) for fine in (False, True))


def named(game: OffSwitchGame) -> list[tuple[dict[str, str], dict[str, str]]]:
    """All optimal pairs with the names of observations and actions."""
    form = game.team_form()
    return [
        (
            {o: form.assistant_actions[a] for o, a in zip(form.assistant_observations, assistant, strict=True)},
            {o: form.human_actions[h] for o, h in zip(form.human_observations, human, strict=True)},
        )
        for assistant, human in optimal_pairs(form).pairs()
    ]


@pytest.mark.parametrize(
    ("game", "value", "n_pairs", "wait_sets"),
    [
        # Example 4.1: act on L (3 - 1)/4, wait on M and say ON at 2.0 only 5/4.
        (file_deletion(), "7/4", 1, [{"M"}]),
        # Example 4.10: 2.0 is good whatever the code, (3 + 3)/6.
        (COARSE, "1", 1, [{"A", "B"}]),
        (FINE, "4/3", 1, [{"B"}]),
        # Example A.13 and its uncoordinated garbling.
        (FIRST, "3/4", 2, [{"0"}, {"1"}]),
        (SECOND, "1", 1, [{"nothing"}]),
        # Ours: one bit of talk in the File Deletion Game reaches the first best, (3 + 5)/4, either message naming either code.
        (file_deletion().with_channel(to_human=2), "2", 2, [{"L", "M"}]),
        (bounded_talk_game(), "10/9", 1, [{"0", "1", "2"}]),
        (bounded_talk_game().with_channel(to_human=2), "13/9", 2, [{"0", "1"}]),
        (bounded_talk_game().with_channel(to_human=3), "14/9", 6, [{"0", "1", "2"}]),
    ],
)
def test_fixed_games_have_the_values_derived_by_hand(
    game: OffSwitchGame, value: str, n_pairs: int, wait_sets: list[set[str]]
) -> None:
    found = optimal_pairs(game.team_form())
    assert found.value == Fraction(value)
    assert found.n_pairs == found.n_pairs_on_path == n_pairs
    assert [set(names) for names in found.marked_sets] == wait_sets


def test_the_file_deletion_game_has_the_pair_of_the_paper() -> None:
    assert named(file_deletion()) == [({"L": "act", "M": "wait"}, {"1.0": "OFF", "2.0": "ON"})]


def test_always_waiting_in_the_file_deletion_game_pays_what_the_table_says() -> None:
    form = file_deletion().team_form()
    # H on (1.0, 2.0): ON/ON (3 - 5 - 1 + 5)/4, ON/OFF (3 - 5)/4, OFF/ON (5 - 1)/4, OFF/OFF 0.
    values = [form.value((1, 1), human) for human in ((1, 1), (1, 0), (0, 1), (0, 0))]
    assert values == [Fraction(1, 2), Fraction(-1, 2), Fraction(1), Fraction(0)]


def test_the_three_version_game_pays_what_each_human_policy_allows() -> None:
    form = FINE.team_form()
    values = [assistant_best_responses(form, (first, second, 1))[0] for first in (1, 0) for second in (1, 0)]
    assert values == [Fraction(1, 2), Fraction(5, 6), Fraction(4, 3), Fraction(1)]
    coarse = COARSE.team_form()
    acting = max(
        human_best_responses(coarse, (a, b))[0]
        for a in range(3)
        for b in range(3)
        if "act" in (coarse.assistant_actions[a], coarse.assistant_actions[b])
    )
    assert acting == Fraction(5, 6)


def test_waiting_for_an_informed_human_is_worth_the_smaller_of_what_either_error_costs() -> None:
    for utilities in ([3, -2, 1], [3, 1, 2], [-1, -2], [5, -5], [0, 0]):
        form = original_off_switch(utilities).team_form()
        good = sum((Fraction(u) for u in utilities if u > 0), Fraction(0)) / len(utilities)
        bad = -sum((Fraction(u) for u in utilities if u < 0), Fraction(0)) / len(utilities)
        wait = human_best_responses(form, (1,))[0]
        alone = max(human_best_responses(form, (a,))[0] for a in (0, 2))
        assert wait - alone == min(good, bad) >= 0
        assert wait == optimal_value(form)[0]


def test_hiding_is_optimal_everywhere_in_the_signalling_game() -> None:
    game = hiding_as_signal()
    found = optimal_pairs(game.team_form())
    assert (found.value, len(found.policies)) == (Fraction(17, 8), 6)
    assert all(names for names in found.marked_sets)
    plain = game.without_hiding()
    assert optimal_pairs(plain.team_form()).value == Fraction(7, 4)
    assert [optimal_value(plain.with_channel(to_human=m).team_form())[0] for m in (2, 3)] == [Fraction(33, 16), Fraction(17, 8)]


def test_every_tie_is_reported() -> None:
    game = off_switch_from_table("nothing matters", [[0, 0]])
    found = optimal_pairs(game.team_form())
    assert found.value == 0
    assert found.n_pairs == 3**2 * 2**1
    assert len(set(found.pairs())) == 18
    assert found.certificate.closed == ()


def test_ties_beyond_listing_are_counted_and_valued() -> None:
    form = off_switch_from_table("nothing matters", [[0] * 10]).team_form()
    found = optimal_pairs(form, listed=5)
    assert (found.value, found.certificate.closed, found.complete, len(found.policies)) == (0, (), False, 5)
    assert found.n_pairs == 2 * 3**10
    assert found.n_pairs_on_path == 2 * 3**10 - 2**10  # a policy that never waits leaves H no choice
    many = off_switch_from_table("nothing matters", [[0] * 400]).team_form()
    assert optimal_pairs(many).n_pairs == 2 * 3**400


def test_an_absurd_search_is_refused_with_its_predicted_cost() -> None:
    game = off_switch_from_table("large", np.random.default_rng(0).integers(-9, 10, size=(24, 24)).tolist())
    with pytest.raises(InputError, match=r"at most 2,000,000 policies; it has 16,777,216, up to 2 minutes of search"):
        optimal_pairs(game.team_form())


def test_payoffs_beyond_64_bits_stay_exact() -> None:
    huge = 10**40
    form = off_switch_from_table("huge", [[huge + 3, -5 * huge], [-huge, 5 * huge + 1]]).team_form()
    assert form.payoff.dtype == object
    assert optimal_pairs(form).value == Fraction((huge + 3 - huge) + 5 * huge + 1, 4)


@pytest.mark.parametrize("seed", range(12))
def test_branch_and_bound_agrees_with_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = [(2, 3), (3, 2), (4, 2), (2, 4)][seed % 4]
    game = kernel_games(1, 3, *shape, rng=rng, largest=2).game(0)  # small payoffs, so that ties are common
    form = game.team_form()
    value, pairs = brute_force(form)
    found = optimal_pairs(form)
    assert found.value == value
    assert sorted(found.pairs()) == sorted(pairs)
    assert found.n_pairs == len(pairs)


@pytest.mark.parametrize("name", ["file-deletion-game", "hiding-as-signal-game"])
def test_the_checker_accepts_the_certificates_of_the_examples(name: str) -> None:
    text = (EXAMPLES / f"{name}.json").read_text()
    assert accepts(json.loads(text), json.loads(json.dumps(summary(parse_game(text)))))


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), shape=st.sampled_from([(2, 3), (3, 3), (4, 2), (5, 2)]))
def test_the_checker_accepts_every_certificate(seed: int, shape: tuple[int, int]) -> None:
    game = kernel_games(1, 3, *shape, rng=np.random.default_rng(seed)).game(0)
    assert accepts(document(game), summary(game))


def test_the_checker_accepts_certificates_of_hiding_games() -> None:
    batch = hiding_games(4, rng=np.random.default_rng(5), n_private=3, n_theta=1)
    for i in range(4):
        assert accepts(document(batch.game(i)), summary(batch.game(i)))


def tampered(found: dict[str, Any], how: str) -> dict[str, Any]:
    bad = copy.deepcopy(found)
    certificate = bad["certificate"]
    if how == "value":
        bad["value"] = "2"
    elif how == "bound":
        certificate["closed"][0]["bound"] = "-100"
    elif how == "gap":
        del certificate["closed"][-1]
    elif how == "nothing attained":
        certificate["closed"].append({"first": certificate["attained"].pop(), "bound": "0"})
    elif how == "closed at the value":
        certificate["closed"][0]["bound"] = bad["value"]
    elif how == "wrong order":
        certificate["order"] = certificate["order"][:1]
    return bad


@pytest.mark.parametrize("how", ["value", "bound", "gap", "nothing attained", "closed at the value", "wrong order"])
def test_the_checker_rejects_what_was_tampered_with(how: str) -> None:
    game = document(file_deletion())
    found = summary(file_deletion())
    assert accepts(game, found)
    assert not accepts(game, tampered(found, how))


def test_best_replies_in_turn_end_where_neither_side_gains_alone() -> None:
    form = file_deletion().team_form()
    optima = person_by_person_optima(form)
    assert optima[0][0] == Fraction(7, 4)
    assert optima[-1][0] < Fraction(7, 4)  # an equilibrium need not be the optimum
    for human in ((0, 0), (0, 1), (1, 0), (1, 1)):
        value, assistant, reply = alternating_best_response(form, human)
        assert (value, assistant, reply) in optima


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_alternating_best_response_never_beats_the_optimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    form = kernel_games(1, 3, 3, 3, rng=rng).game(0).team_form()
    value, assistant, human = alternating_best_response(form, rng.integers(0, 2, size=3).tolist())
    assert value == form.value(assistant, human) <= optimal_value(form)[0]
    assert assistant_best_responses(form, human)[0] == value == human_best_responses(form, assistant)[0]


@pytest.mark.parametrize("words", [1, 2])
@pytest.mark.parametrize("stake", ["1/2", 1, 3])
def test_the_checker_accepts_certificates_of_two_stages(stake: int | str, words: int) -> None:
    game = hiding_as_query(stake).with_channel(to_assistant=words)
    found = summary(game)
    assert found["certificate"]["closed"]
    assert accepts(document(game), found)
    worse = copy.deepcopy(found)
    worse["certificate"]["closed"][0]["bound"] = "-100"
    assert not accepts(document(game), worse)


def test_the_certificate_with_a_naive_human_adds_up() -> None:
    found = summary(file_deletion(), Naive())
    worth = found["certificate"]["worth"]
    assert sum(max(Fraction(x) for x in row.values()) for row in worth.values()) == Fraction(found["value"])
