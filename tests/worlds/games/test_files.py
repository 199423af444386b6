"""Game files: what is written is read back, and what cannot be a game is refused with the place and the remedy."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.core.errors import InputError
from assay.studies.games.observation_interference.random_hiding import hiding_games
from assay.studies.games.off_switch_game.random_games import kernel_games
from assay.worlds.games.assistance import blurred_choice, hiding_as_query, hiding_as_signal
from assay.worlds.games.files import Game, document, parse_game, read_game, write_game
from assay.worlds.games.off_switch import bounded_talk_game, file_deletion, uncoordinated_garbling_pair

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
    *(kernel_games(3, 3, 2, 4, rng=np.random.default_rng(0)).game(i) for i in range(3)),
    hiding_games(1, rng=np.random.default_rng(0)).game(0),
]


@pytest.mark.parametrize("game", GAMES, ids=lambda game: game.name)
def test_a_written_game_is_read_back_equal(game: Game, tmp_path: Path) -> None:
    write_game(game, tmp_path / "game.json")
    assert read_game(tmp_path / "game.json") == game


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
        (edited(human_observations=["1.0", 2]), "must be a list of texts"),
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
    names = [f"o{i}" for i in range(1500)]
    with pytest.raises(InputError, match="at most 2,000,000 cells; it would hold 9,000,000"):
        parse_game(edited(human_observations=names, assistant_observations=names))


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
        (edited_assistance(reward=3), "one entry an assistant action"),
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
