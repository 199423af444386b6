"""Game files that once went wrong, each with what `assay game solve` must say of it: a silent number, a crash, a refusal."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from assay.cli.game import app
from assay.core.errors import InputError

CASES = Path(__file__).parents[1] / "cases" / "games"


def solved(name: str, *options: str) -> dict[str, Any]:
    found = CliRunner().invoke(app, ["solve", str(CASES / name), "--json", *options], catch_exceptions=False)
    assert (found.exit_code, found.stderr) == (0, "")
    result: dict[str, Any] = json.loads(found.stdout)
    return result


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("naive-overflow-integers.json", ["--human", "naive"], {"value": "2000000000000000000"}),
        ("naive-overflow-idle-talk.json", ["--human", "naive"], {"value": "2050767485267/1000000000000"}),
        ("naive-sure-thing.json", ["--human", "naive"], {"value": "100000000000000001/2", "n_optimal_policies": 4}),
        ("naive-one-shot-not-exact.json", ["--human", "naive"], {"value": "1/3"}),
        ("always-waits-with-words.json", [], {"always_wait_value": "1", "price_of_always_wait": "1", "value": "2"}),
        ("boltzmann-huge-beta.json", ["--human", "boltzmann", "--beta", "1e308"], {"value": "1.75"}),
        (
            "boltzmann-no-price.json",
            ["--human", "boltzmann", "--beta", "1"],
            {"value": "5.98516426106", "never_hide_value": "5.92830591464", "price_of_never_hide": "0.0568583464185"},
        ),
        ("zero-probability-branch.json", [], {"value": "3/2", "n_optimal_pairs_on_path": 1, "wait_sets": [["x"]]}),
        ("unseen-observations-counted.json", [], {"value": "1"}),
        ("all-zero-one-shot.json", [], {"value": "0", "n_optimal_pairs": 118098, "all_listed": False}),
        ("crash-count-digits.json", [], {"value": "1"}),
        ("byte-order-mark.json", [], {"value": "7/4"}),
        ("two-stage-limit-ignored.json", ["--limit", "10000000"], {"value": "20/11"}),
        ("comment-field.json", [], {"value": "7/4"}),
        ("second-reward-by-first-action.json", [], {"value": "3/2", "never_hide_value": "1"}),
        ("control-characters-name.json", [], {"game": "\\x1b[31mred\\x07"}),
    ],
)
def test_a_file_is_solved(name: str, options: list[str], expected: dict[str, object]) -> None:
    found = solved(name, *options)
    assert {key: found[key] for key in expected} == expected


def test_a_naive_human_sure_of_the_payoff_is_never_shut_down() -> None:
    for policy in solved("naive-sure-thing.json", "--human", "naive")["optimal_policies"]:
        assert policy["assistant"]["small"] in ("act", "wait")


def test_control_characters_never_reach_a_terminal() -> None:
    found = CliRunner().invoke(app, ["solve", str(CASES / "control-characters-name.json")], catch_exceptions=False)
    assert found.stdout.startswith("\\x1b[31mred\\x07")


@pytest.mark.parametrize(("horizon", "value"), [("2", "-4"), ("3", "83053/16000"), ("4", "30737633/6400000")])
def test_two_doors_have_their_published_values(horizon: str, value: str) -> None:
    # -4, 5.1908125 and 4.80275515625: Oliehoek, Spaan and Vlassis 2008.
    assert solved("two-doors.dpomdp", "--horizon", horizon)["value"] == value


def test_a_gambit_tree_of_one_common_payoff_is_solved() -> None:
    assert solved("tiny-common-payoff.efg")["value"] == "2"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("crash-lone-surrogate-name.json", "half of a surrogate pair"),
        ("number-as-name.json", r"human_actions\[0\] is the number 0; names are texts"),
        ("number-in-sees.json", "0 is a number, and names are texts"),
        ("message-direction-assistance.json", "this kind has messages to H only"),
        ("negative-probability-cancels.json", "no negative probability; got -1/2"),
        ("empty-observation-name.json", r"human_observations\[0\] must be a non-empty text"),
        ("two-stage-limit-ignored.json", r"at most 2,000,000 policies; it has 4,194,304.*--limit"),
    ],
)
def test_a_file_is_refused_in_words(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(app, ["solve", str(CASES / name)], catch_exceptions=False)
