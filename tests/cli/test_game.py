"""`assay game solve`: what it prints for people and for programs, and how it refuses."""

import json
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assay.cli.game import app
from assay.core.errors import InputError, UsageError
from assay.solvers.games.pairs import DEFAULT_LIMIT

sys.path.insert(0, str(Path(__file__).parents[1] / "solvers" / "games"))

from checker import accepts

EXAMPLES = Path(__file__).parents[2] / "examples"
GAME = EXAMPLES / "file-deletion-game.json"


def run(*arguments: str | Path) -> str:
    found = CliRunner().invoke(app, ["solve", *map(str, arguments)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def test_the_file_deletion_game_is_solved_and_certified() -> None:
    text = run(GAME)
    assert "value  7/4" in text
    assert "1 optimal pair\n" in text
    assert "A waits on  {M}" in text
    assert "3 bounds close all other policies" in text
    found = json.loads(run(GAME, "--json"))
    assert found["value"] == "7/4"
    assert found["optimal_pairs"] == [{"assistant": {"L": "act", "M": "wait"}, "human": {"1.0": "OFF", "2.0": "ON"}}]
    assert found["wait_sets"] == [["M"]]
    assert (found["always_wait_value"], found["price_of_always_wait"]) == ("1", "3/4")
    assert accepts(json.loads(GAME.read_text()), found)


def test_the_assistance_examples_are_solved() -> None:
    found = json.loads(run(EXAMPLES / "hiding-as-signal-game.json", "--json"))
    assert (found["value"], found["never_hide_value"], found["price_of_never_hide"]) == ("17/8", "7/4", "3/8")
    assert "hides on" in run(EXAMPLES / "hiding-as-signal-game.json")
    found = json.loads(run(EXAMPLES / "hiding-as-query-game.json", "--json"))
    assert found["price_of_never_hide"] == "0"
    naive = json.loads(run(EXAMPLES / "hiding-as-query-game.json", "--human", "naive", "--json"))
    assert (naive["value"], naive["price_of_never_hide"]) == ("21/4", "3/4")
    assert "policies of H attain the value" in run(EXAMPLES / "hiding-as-query-game.json")


def test_behavioural_humans_can_be_asked_for() -> None:
    assert "boltzmann human" in run(GAME, "--human", "boltzmann", "--beta", "2")
    assert json.loads(run(GAME, "--human", "naive", "--json"))["human_reply"]["2.0"] == {"ON": "1"}


@pytest.mark.parametrize("arguments", [["--human", "boltzmann"], ["--beta", "2"], ["--human", "naive", "--beta", "1"]])
def test_a_temperature_goes_with_a_noisy_human_only(arguments: list[str]) -> None:
    with pytest.raises(UsageError, match="--beta goes with"):
        run(GAME, *arguments)


def test_long_answers_are_cut_and_say_so(tmp_path: Path) -> None:
    rows = [{"name": f"s{j}", "prior": "1/4", "act": 0, "sees": [["h", f"a{j}"]]} for j in range(4)]
    game = {
        "format": "assay-game/1",
        "kind": "off-switch",
        "human_observations": ["h"],
        "assistant_observations": [f"a{j}" for j in range(4)],
        "states": rows,
    }
    (tmp_path / "tie.json").write_text(json.dumps(game))
    text = run(tmp_path / "tie.json")
    assert "more; --json prints all" in text
    assert "every policy of H attains the value" in text
    assert json.loads(run(tmp_path / "tie.json", "--json"))["n_optimal_pairs"] == 162


def test_a_limit_is_a_limit() -> None:
    with pytest.raises(InputError, match="at most 1 policies"):
        run(GAME, "--limit", "1")


def test_help_shows_examples_and_the_limit_in_force() -> None:
    found = CliRunner().invoke(app, ["solve", "--help"])
    assert f"{DEFAULT_LIMIT:,}" in found.stdout
    assert "assay game solve examples/file-deletion-game.json" in found.stdout


def test_the_page_on_games_is_true(tmp_path: Path) -> None:
    page = (EXAMPLES.parent / "docs" / "games.md").read_text()
    for name, source in re.findall(r'```json title="(.*?)"\n(.*?)```', page, re.S):
        (tmp_path / name).write_text(source)
        assert json.loads(run(tmp_path / name, "--json"))["value"] == "3/10"  # clouds: ON, 0.8/3 * 2 - 1/6; clear: OFF, -0.2/3
    (python,) = re.findall(r"```python\n(.*?)```", page, re.S)
    exec(compile(python, "docs/games.md", "exec"), {})
    for name in re.findall(r"`(examples/[\w-]+\.json)`", page):
        assert (EXAMPLES.parent / name).exists()
