"""The paper's games and theorems: what the study reports of them is what can be worked out by hand or by visiting all pairs."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from assay.solvers.games.humans import Naive, best_assistant
from assay.solvers.games.pairs import optimal_pairs, optimal_value
from assay.studies.games.off_switch_game import STUDY, examples, shares, variants
from assay.studies.games.off_switch_game.settings import GameSettings
from assay.worlds.games.off_switch import OffSwitchGame, bounded_talk_game, file_deletion, file_deletion_three_versions

# Worked by hand from the paper's tables; where a game is ours, by visiting all pairs.
EXPECTED = {
    "file-deletion/value": Fraction(7, 4),
    "shown/value": Fraction(2),
    "file-deletion/rivals": 0,
    "of-always-waiting/rivals": 2,
    "file-deletion/always_waiting": 1,
    "one-bit/always_waiting": 2,
    "file-deletion/acting_on_legacy": 1,
    "shown/acting_on_legacy": 0,
    "full-version/gain": Fraction(1, 3),
    "coin/gain": 0,
    "full-version/waits_lost": 1,
    "coin/waits_lost": 0,
    "uncoordinated/gain": Fraction(1, 4),
    "coordinated/gain": 0,
    "a-bit-each/optimal_pairs": 2,
    "differ/optimal_pairs": 1,
    "uncoordinated/separation": 4,
    "coordinated/separation": 0,
    "a-bit-each/tells_more": 1,
    "differ/tells_more": 0,
    "bounded-talk/waits_lost": 1,
    "one-bit/waits_lost": -1,
    "bounded-talk/value_of_1": Fraction(10, 9),
    "bounded-talk/value_of_2": Fraction(13, 9),
    "bounded-talk/value_of_3": Fraction(14, 9),
    "changed/value_of_1": Fraction(11, 9),
    "changed/value_of_2": Fraction(14, 9),
    "changed/value_of_3": Fraction(5, 3),
    "one-bit/value_if_always_waiting": 2,
    "file-deletion/value_if_always_waiting": 0,
}


def test_the_examples_are_worth_what_the_paper_says() -> None:
    assert examples.numbers() == EXPECTED


def visit_all(act: tuple[tuple[int, ...], ...]) -> dict[tuple[tuple[str, ...], tuple[str, ...]], Fraction]:
    """The payoff of every pair of a game on the cells of a table, by nothing but its definition."""
    rows, columns = range(len(act)), range(len(act[0]))
    return {
        (assistant, human): sum(
            (
                Fraction(act[i][j], len(rows) * len(columns))
                for i, j in product(rows, columns)
                if assistant[j] == "act" or (assistant[j] == "wait" and human[i] == "ON")
            ),
            Fraction(0),
        )
        for assistant in product(("act", "wait", "off"), repeat=len(columns))
        for human in product(("OFF", "ON"), repeat=len(rows))
    }


@pytest.mark.parametrize(
    ("table", "game"),
    [
        (shares.FILE_DELETION, file_deletion()),
        (shares.THREE_VERSIONS, file_deletion_three_versions(fine=True)),
        (shares.BOUNDED_TALK, bounded_talk_game()),
    ],
    ids=["file deletion", "three versions", "bounded talk"],
)
def test_the_tables_games_are_planted_near_are_those_of_the_examples(
    table: tuple[tuple[int, ...], ...], game: OffSwitchGame
) -> None:
    assert max(visit_all(table).values()) == optimal_value(game.team_form())[0]
    assert [int(u) for u in game.act] == [u for row in table for u in row]


def test_the_named_pair_stands_alone_among_thirty_six() -> None:
    payoffs = visit_all(shares.FILE_DELETION)
    assert len(payoffs) == 36
    assert [pair for pair, value in payoffs.items() if value >= Fraction(7, 4)] == [(("act", "wait"), ("OFF", "ON"))]
    assert max(value for (assistant, _), value in payoffs.items() if set(assistant) == {"wait"}) == 1


def test_a_shuffled_example_is_the_same_example() -> None:
    """No answer hangs on the order in which states and observations are listed."""
    for game in (file_deletion(), file_deletion_three_versions(fine=True), bounded_talk_game()):
        first = optimal_pairs(game.team_form())
        for seed in range(5):
            again = optimal_pairs(game.shuffled(np.random.default_rng(seed)).team_form())
            assert (again.value, again.n_pairs, again.marked_sets) == (first.value, first.n_pairs, first.marked_sets)


def test_waits_lost_counts_nested_losses_only() -> None:
    before, after = (optimal_pairs(bounded_talk_game().with_channel(to_human=m).team_form()) for m in (1, 2))
    assert examples.waits_lost(before, after) == 1
    assert examples.waits_lost(after, before) == -1
    assert examples.waits_lost(before, before) == 0


def test_variants_of_the_file_deletion_game_are_worth_what_they_tell() -> None:
    game = file_deletion()
    assert optimal_value(variants.with_code_shown(game).team_form())[0] == 2
    assert optimal_value(variants.with_version_shown(game).team_form())[0] == 2
    assert optimal_value(variants.with_coin(game).team_form())[0] == Fraction(7, 4)
    assert variants.always_waiting_value(game) == 1
    assert variants.restricted_value(game, waits=False) == Fraction(1, 2)
    assert best_assistant(game.team_form(), Naive()).value == pytest.approx(7 / 4)


def test_every_exact_check_holds_and_fails_without_its_cause() -> None:
    found = examples.everything(4096)
    assert set(examples.NUMBERS) == {exact.name for exact in STUDY.exact}
    for exact in STUDY.exact:
        with_cause, without = examples.NUMBERS[exact.name]
        assert exact.judge(found[with_cause]) == "holds", (exact.sentence, found[with_cause])
        assert exact.judge(found[without]) == "fails", (exact.sentence, found[without])
    used = {name for pair in examples.NUMBERS.values() for name in pair}
    assert used == set(found), "a number that no check reads"


def test_checks_are_numbers_of_their_own_settings() -> None:
    settings = GameSettings(n_checked=512)
    expected = examples.everything(512)
    assert examples.check(settings) == {name: expected[number] for name, (number, _) in examples.NUMBERS.items()}


def test_figures_of_the_examples_are_drawn_from_their_values() -> None:
    tables = examples.tables()
    assert [row["payoff"] for row in tables["plans"]] == [0.5, 1.0, 1.75, 2.0]
    optimal = {row["game"]: float(row["value"]) for row in tables["humans"] if row["human"] == "optimal"}
    assert optimal == pytest.approx({"two versions": 7 / 4, "three, coarse": 1, "three, fine": 4 / 3, "bounded talk": 10 / 9})
    for row in tables["humans"]:
        assert float(row["value"]) <= optimal[row["game"]] + 1e-12
