"""`assay game solve`: what it prints for people and for programs, and how it refuses."""

import json
import re
import sys
from html import escape
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assay.cli.game import Kind, app
from assay.core.errors import InputError, UsageError
from assay.solvers.games.pairs import DEFAULT_LIMIT
from assay.worlds.games.files import read_game
from assay.worlds.games.templates import TEMPLATES

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
    doors, told = tmp_path / "doors.json", re.findall(r'```text title="doors.json --horizon 2"\n(.*?)```', page, re.S)
    doors.write_text(CliRunner().invoke(app, ["template", "sequential"], catch_exceptions=False).stdout)
    checked = CliRunner().invoke(app, ["check", str(doors)], catch_exceptions=False)
    assert "2 states, 3 by 3 actions, 2 by 2 observations, discount 1, 3 steps" in checked.stdout
    assert [run(doors, "--horizon", "2")] == told
    assert "4.80275515625" in run(EXAMPLES / "two-doors.dpomdp", "--horizon", "4")
    for name, source in re.findall(r'```json title="(.*?)"\n(.*?)```', page, re.S):
        (tmp_path / name).write_text(source)
        assert json.loads(run(tmp_path / name, "--json"))["value"] == "3/10"  # clouds: ON, 0.8/3 * 2 - 1/6; clear: OFF, -0.2/3
    (python,) = re.findall(r"```python\n(.*?)```", page, re.S)
    exec(compile(python, "docs/games.md", "exec"), {})
    for name in re.findall(r"`(examples/[\w-]+\.json)`", page):
        assert (EXAMPLES.parent / name).exists()


@pytest.mark.parametrize(("horizon", "value"), [("1", "-1"), ("2", "-2"), ("3", "2.72"), ("4", "2.42125")])
def test_the_tiger_has_its_undiscounted_values(horizon: str, value: str) -> None:
    found = json.loads(run(EXAMPLES / "tiger.pomdp", "--horizon", horizon, "--discount", "1", "--json"))
    assert found["value_decimal"] == value
    assert found["human_policy"] is None
    assert f"value  {value}" in run(EXAMPLES / "tiger.pomdp", "--horizon", horizon, "--discount", "1")


@pytest.mark.parametrize("kind", [kind.value for kind in Kind])
def test_a_template_is_in_order_and_solved_and_has_a_page(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(CliRunner().invoke(app, ["template", kind], catch_exceptions=False).stdout)
    assert f"kind '{kind}', in order" in CliRunner().invoke(app, ["check", str(path)], catch_exceptions=False).stdout
    assert run(path, "--out", tmp_path / "page").strip() == str(tmp_path / "page" / "index.html")
    page = (tmp_path / "page" / "index.html").read_text()
    game = json.loads(path.read_text())
    name = escape(game["name"]).replace("&#x27;", "&#39;")
    assert f'<h1 dir="auto">{name}</h1>' in page
    assert "<script" not in page
    assert json.loads((tmp_path / "page" / "solution.json").read_text()) == json.loads(run(path, "--json"))
    assert read_game(tmp_path / "page" / "game.json").name == game["name"]
    assert (tmp_path / "page" / "table.tex").read_text().startswith(r"\begin{tabular}")


@pytest.mark.parametrize(("human", "says"), [("optimal", "point, say 1"), ("naive", "point, saying 1")])
def test_where_h_moves_first_she_comes_first_and_what_a_cannot_see_is_said(human: str, says: str, tmp_path: Path) -> None:
    sees = {"point": "saw it", "turn": "saw nothing"}
    states = [
        {
            "name": room,
            "prior": "1/2",
            "human_sees": f"cold in {room}",
            "assistant_sees": sees,
            "reward": {f"heat {other}": {"point": 3 if other == room else -1, "turn": -2} for other in "KS"},
        }
        for room in "KS"
    ]
    game = {
        "format": "assay-game/1",
        "kind": "assistance",
        "first": "human",
        "human_observations": ["cold in K", "cold in S"],
        "human_actions": ["point", "turn"],
        "assistant_observations": ["saw it", "saw nothing"],
        "assistant_actions": ["heat K", "heat S"],
        "messages": {"to_assistant": 2},
        "states": states,
    }
    path = tmp_path / "rooms.json"
    path.write_text(json.dumps(game))
    text = run(path, "--human", human)
    assert text.index("H on cold in K") < text.index("A on saw it")
    assert "shown once" in text
    assert "best without words (costs 2)" in text
    found = json.loads(run(path, "--human", human, "--json"))
    unseen = found if human == "naive" else found["optimal_policies"][0]
    assert unseen["assistant_unreached"] == ["saw nothing, told 1", "saw nothing, told 2"]
    run(path, "--human", human, "--out", tmp_path / "page")
    page = (tmp_path / "page" / "index.html").read_text()
    assert page.index("What H does") < page.index("What A does")
    assert page.count("(not reached)") == 2
    assert says in page
    assert "H can say one of 2 words to A" in page


def test_the_page_of_a_hostile_name_shows_it_as_text(tmp_path: Path) -> None:
    game = json.loads(GAME.read_text()) | {"name": "<script>alert(1)</script>\u001b[31m"}
    (tmp_path / "mine.json").write_text(json.dumps(game))
    run(tmp_path / "mine.json", "--out", tmp_path / "page")
    page = (tmp_path / "page" / "index.html").read_text()
    assert "<script" not in page
    assert "\u001b" not in page


def test_the_schema_accepts_the_templates_and_refuses_what_is_misspelled() -> None:
    form = json.loads(CliRunner().invoke(app, ["schema"], catch_exceptions=False).stdout)
    by_kind = {entry["title"]: entry for entry in form["oneOf"]}
    for kind, game in TEMPLATES.items():
        entry = by_kind[kind]
        assert set(entry["required"]) <= set(game) <= set(entry["properties"])
        for state in game.get("states", []):
            item = entry["properties"]["states"]["items"]
            assert set(item["required"]) <= set(state) <= set(item["properties"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--horizon", "2"], "go with games of several steps; this is of kind 'off-switch'"),
        (["--discount", "1"], "go with games of several steps"),
    ],
)
def test_steps_go_with_games_of_several(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(GAME, *arguments)


def test_other_humans_have_no_place_in_games_of_several_steps() -> None:
    with pytest.raises(UsageError, match="--human naive has no place"):
        run(EXAMPLES / "tiger.pomdp", "--horizon", "2", "--human", "naive")
    with pytest.raises(UsageError, match="--discount must lie in"):
        run(EXAMPLES / "tiger.pomdp", "--horizon", "2", "--discount", "2")
