"""POMDP and Dec-POMDP files: many spellings of one game are one game, and the first steps of its play are followed exactly."""

from fractions import Fraction

import numpy as np
import pytest

from assay.core.errors import InputError
from assay.worlds.games.files import document, parse_game
from assay.worlds.games.pomdp_files import parse_pomdp
from assay.worlds.games.sequential import SequentialGame

HEAD = "discount: 0.9\nvalues: reward\nstates: dry wet\nactions: wait go\nobservations: sun rain\n"
PLAIN = """start: 0.75 0.25
T: wait : dry : dry : 1
T: wait : wet : wet : 1
T: go : dry : dry : 0.5
T: go : dry : wet : 0.5
T: go : wet : dry : 0.5
T: go : wet : wet : 0.5
O: wait : dry : sun : 0.8
O: wait : dry : rain : 0.2
O: wait : wet : sun : 0.3
O: wait : wet : rain : 0.7
O: go : dry : sun : 1/2
O: go : dry : rain : 1/2
O: go : wet : sun : 1/2
O: go : wet : rain : 1/2
R: wait : dry : * : * : -1
R: wait : wet : * : * : -1
R: go : dry : dry : * : 4
R: go : dry : wet : * : 2
R: go : wet : dry : * : 0
R: go : wet : wet : * : 0
"""
SHORT = """start: 0.75 0.25
T: wait
identity
T: go
uniform
O: 0
0.8 0.2
0.3 0.7
O: go : *
uniform   # the same everywhere
R: * : * : * : * -1
R: go : dry : dry : * 4
R: go : 0 : 1 : * 2.0
R: go : wet : * : * 0
"""
ROWS = """start:
0.75 0.25
T: wait : dry
1 0
T: wait : wet
0 1
T: go : * : * 0.5
O: wait : dry
0.8 0.2
O: wait : wet
0.3 0.7
O: go
0.5 0.5
0.5 0.5
R: wait : * : * : * -1
R: go : dry
4 4
2 2
R: go : wet : *
0 0
"""


def same(one: SequentialGame, other: SequentialGame) -> bool:
    tables = ("start", "transition", "observation", "reward")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in tables)


@pytest.mark.parametrize("text", [SHORT, ROWS, PLAIN.replace("go", "1").replace("wet", "1 ").replace("sun", "0")])
def test_many_spellings_are_one_game(text: str) -> None:
    plain = parse_pomdp(HEAD + PLAIN, where="weather.pomdp")
    assert (plain.name, plain.human_actions, plain.discount) == ("weather", ("-",), Fraction(9, 10))
    assert plain.reward[0, 1, 0] == 3  # half of 4 and half of 2
    assert same(plain, parse_pomdp(HEAD + text))


def test_costs_are_rewards_turned_round() -> None:
    costs = parse_pomdp(HEAD.replace("reward", "cost") + PLAIN)
    assert (costs.reward == -parse_pomdp(HEAD + PLAIN).reward).all()


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("start: uniform", [Fraction(1, 2)] * 2),
        ("start: wet", [0, 1]),
        ("start: 1", [0, 1]),
        ("start include: dry", [1, 0]),
        ("start exclude: dry", [0, 1]),
        ("", [Fraction(1, 2)] * 2),
    ],
)
def test_where_a_game_starts(start: str, expected: list[Fraction]) -> None:
    assert list(parse_pomdp(HEAD + PLAIN.replace("start: 0.75 0.25", start)).start) == expected


def test_joint_elements_are_named_numbered_or_counted() -> None:
    head = "agents: 2\ndiscount: 1\nvalues: reward\nstates: 2\nstart: 0\nactions:\na b\n3\nobservations:\nx y\nx y\n"
    body = "T: * :\nidentity\nO: * :\nuniform\n"
    named = parse_pomdp(head + body + "R: b 2 : 1 : * : * : 5\nR: a * : * : * : * : 1\n")
    counted = parse_pomdp(
        head + body + "R: 5 : 1 : * : * : 5\nR: 0 : * : * : * : 1\nR: 1 : * : * : * : 1\nR: 2 : * : * : * : 1\n"
    )
    assert same(named, counted)
    assert named.reward[1, 1, 2] == 5
    assert named.reward[0, 0].tolist() == [1, 1, 1]


def test_a_game_of_several_steps_is_written_and_read_back() -> None:
    import json

    game = parse_pomdp(HEAD + PLAIN, where="weather.pomdp")
    again = parse_game(json.dumps(document(game)))
    assert isinstance(again, SequentialGame)
    assert same(game, again)


def test_a_value_follows_every_history() -> None:
    game = parse_pomdp(HEAD + PLAIN)
    # Wait, then go if the sun was seen: -1 + 0.9 * 3 * P(dry, sun).
    policy = {(0,): 0, (0, 0): 1, (0, 1): 0}
    always = {history: 0 for history in policy}
    dry, sun_dry, sun_wet = Fraction(3, 4), Fraction(4, 5), Fraction(3, 10)
    sun = dry * sun_dry + (1 - dry) * sun_wet
    assert game.value(2, policy, always) == -1 + Fraction(9, 10) * (3 * dry * sun_dry - (1 - sun))
    assert game.value(2, policy, always, Fraction(0)) == -1


def test_a_rounded_third_is_refused_and_says_how_to_write_it() -> None:
    with pytest.raises(InputError, match=r'after .go. in state .dry.*too little: rounding.*"1/3"'):
        parse_pomdp(HEAD + PLAIN.replace("T: go : dry : dry : 0.5", "T: go : dry : dry : 0.4999"))
