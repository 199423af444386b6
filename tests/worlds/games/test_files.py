"""Game files: what is written is read back, and what cannot be a game is refused with the place and the remedy."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.core.errors import InputError
from assay.solvers.games.summary import summary
from assay.studies.games.observation_interference.random_hiding import hiding_games
from assay.studies.games.off_switch_game.random_games import kernel_games
from assay.worlds.games.assistance import HumanFirstGame, blurred_choice, hiding_as_query, hiding_as_signal
from assay.worlds.games.files import Game, document, parse_game, read_game, write_game
from assay.worlds.games.off_switch import (
    bounded_talk_game,
    file_deletion,
    off_switch_from_table,
    original_off_switch,
    uncoordinated_garbling_pair,
)


def human_first_game() -> HumanFirstGame:
    """H knows the state and speaks by what she does: A sees it through noise."""
    noisy = (Fraction(3, 4), Fraction(1, 4))
    return HumanFirstGame(
        "H first",
        ("left", "right"),
        (Fraction(1, 3), Fraction(2, 3)),
        ("l", "r"),
        ((Fraction(1), Fraction(0)), (Fraction(0), Fraction(1))),
        ("point left", "point right"),
        ("looks left", "looks right"),
        ((noisy, noisy[::-1]), (noisy, noisy[::-1])),
        ("go left", "go right", "stay"),
        (
            ((Fraction(3), Fraction(2)), (Fraction(-1), Fraction(0)), (Fraction(0), Fraction(0))),
            ((Fraction(-2), Fraction(-1)), (Fraction(1), Fraction(1)), (Fraction(0), Fraction(0))),
        ),
    )


def second_by_everything() -> tuple[tuple[tuple[tuple[Fraction, ...], ...], ...], ...]:
    return tuple(
        tuple(tuple(tuple(Fraction(s + 2 * a - h * k) for k in range(2)) for h in range(2)) for a in range(2)) for s in range(4)
    )


EXAMPLES = Path(__file__).parents[3] / "examples"
GAMES: list[Game] = [
    file_deletion(),
    file_deletion().with_channel(to_human=3),
    bounded_talk_game().with_channel(to_assistant=2),
    *uncoordinated_garbling_pair(),
    hiding_as_signal(),
    hiding_as_signal().with_channel(to_human=2),
    hiding_as_query("5/2").with_channel(to_assistant=2),
    blurred_choice(["1/3", -2]),
    replace(file_deletion(), waiting_cost=(Fraction(1, 3),) * 4),
    replace(
        file_deletion(), legal_assistant=((True, True, False), (True, False, True)), legal_human=((True, True), (False, True))
    ),
    human_first_game(),
    human_first_game().with_channel(to_assistant=2),
    replace(hiding_as_query(2), second_reward=second_by_everything()),
]
RANDOM: list[Game] = [
    *(kernel_games(3, 3, 2, 4, rng=np.random.default_rng(0)).game(i) for i in range(3)),
    hiding_games(1, rng=np.random.default_rng(0)).game(0),
]


@pytest.mark.parametrize("game", GAMES, ids=lambda game: game.name)
def test_a_written_game_is_read_back_equal(game: Game, tmp_path: Path) -> None:
    write_game(game, tmp_path / "game.json")
    assert read_game(tmp_path / "game.json") == game


@pytest.mark.parametrize("game", RANDOM, ids=lambda game: game.name)
def test_what_cannot_occur_is_left_out_on_the_way(game: Game) -> None:
    once = parse_game(json.dumps(document(game)))
    assert parse_game(json.dumps(document(once))) == once
    assert summary(once)["value"] == summary(game)["value"]


def test_numpy_arrays_make_games_too() -> None:
    table = np.array([[3, -5], [-1, 5]])
    assert off_switch_from_table("g", table) == off_switch_from_table("g", table.tolist())
    assert off_switch_from_table("g", table / 10) == off_switch_from_table("g", [["0.3", "-0.5"], ["-0.1", "0.5"]])
    assert original_off_switch(np.array([1, 2**62]), np.array([0.25, 0.75])).act[1] * 4 == 2**64


def test_the_examples_are_the_built_in_games() -> None:
    built = file_deletion()
    example = read_game(EXAMPLES / "file-deletion-game.json")
    assert (example.act, example.observe, example.prior) == (built.act, built.observe, built.prior)  # type: ignore[union-attr]
    assert read_game(EXAMPLES / "hiding-as-signal-game.json") == hiding_as_signal()
    assert read_game(EXAMPLES / "hiding-as-query-game.json").first.reward is not None  # type: ignore[union-attr]


def test_decimals_are_the_decimals_they_spell() -> None:
    text = json.dumps(document(file_deletion())).replace('"prior": "1/4"', '"prior": 0.25').replace('"act": 3', '"act": 0.1')
    game = parse_game(text)
    assert game.act[0] * 10 == 1  # type: ignore[union-attr]


def edited(**changes: Any) -> str:
    return json.dumps(document(file_deletion()) | changes)


def edited_state(**changes: Any) -> str:
    found = document(file_deletion())
    found["states"][0] |= changes
    return json.dumps(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "must be JSON; line 1"),
        ("[]", "must be a JSON object"),
        ("[" * 200_000, "must be JSON"),
        ('{"format": "assay-game/1", "format": "assay-game/1"}', "a key must appear once"),
        (edited(format="assay-game/2"), "format must be 'assay-game/1'"),
        (edited(kind="off-swtich"), "did you mean 'off-switch'"),
        (edited(human_observation=["x"]), "unknown field 'human_observation'; did you mean 'human_observations'"),
        (edited(human_observations=[]), "it is empty"),
        (edited(human_observations=["1.0", 2]), r"human_observations\[1\] is the number 2; names are texts"),
        (edited(states=[]), "non-empty list"),
        (edited(messages={"to_human": 0}), "at least 1"),
        (edited(messages={"to_human": True}), "whole number"),
        (edited(messages={"to_humans": 2}), "did you mean 'to_human'"),
        (edited_state(prior="1/3"), "prior must sum to exactly 1; it sums to 13/12"),
        (edited_state(prior=-0.25), "negative"),
        (edited_state(sees=[["1.0", "L", "2/3"]]), "sum to exactly 1; it sums to 2/3"),
        (edited_state(sees=[["1.0", "K"]]), "unknown assistant observation 'K'"),
        (edited_state(sees=[["1.0"]]), "an entry of sees"),
        (edited_state(sees=[]), "non-empty list"),
        (edited_state(act="a lot"), "act must be a finite number"),
        (edited_state(act=None), "act must be a finite number"),
        (edited_state(act=float("inf")), "must be finite; got Infinity"),
        (edited_state(act=float("nan")), "must be finite; got NaN"),
        (edited_state(act=0).replace('"act": 0', '"act": 1e400000000'), "act must be a finite number"),
        (edited_state(name=""), "name must be a non-empty text"),
    ],
)
def test_what_is_no_game_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_game(text, where="mine.json")


def test_an_absurd_file_is_refused_before_its_tables_are_built() -> None:
    names = [f"o{i}" for i in range(200)]
    states = [{"name": name, "prior": "1/200", "act": 1, "sees": [[name, name]]} for name in names]
    with pytest.raises(InputError, match="at most 2,000,000 cells; it would hold 8,000,000"):
        parse_game(edited(human_observations=names, assistant_observations=names, states=states))


def test_names_that_never_occur_cost_nothing() -> None:
    names = [f"o{i}" for i in range(1400)]
    game = parse_game(edited(human_observations=["1.0", "2.0", *names], assistant_observations=["L", "M", *names]))
    assert game == file_deletion()


def edited_assistance(**changes: Any) -> str:
    found = document(hiding_as_signal())
    found["states"][0] |= changes
    return json.dumps(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (edited_assistance(human_sees={"show": "00"}), "must speak of the action 'hide 1'"),
        (edited_assistance(human_sees={"*": "33"}), "unknown observation '33'"),
        (edited_assistance(human_sees={"*": {"00": 0.5}}), "sum to exactly 1; it sums to 1/2"),
        (edited_assistance(human_sees={"*": 3}), "name of an observation or an object"),
        (edited_assistance(reward={"*": {"pick 1": 1}}), "'pick 2' is missing"),
        (edited_assistance(reward={"burn": {}}), "unknown assistant action 'burn'"),
        (edited_assistance(reward=3), "one entry for each assistant action"),
        (edited_assistance(assistant_sees={}), "name of an observation or an object"),
        (json.dumps(document(hiding_as_signal()) | {"hiding_actions": ["veil"]}), "unknown assistant action 'veil'"),
    ],
)
def test_what_is_no_assistance_game_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_game(text)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json must be a readable game file"):
        read_game(tmp_path / "none.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_game(tmp_path / "bytes.json")
