"""Matrix games: textbook equilibria, other people's software, certificates checked from the payoffs, and Gambit's files."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from assay.core.errors import InputError
from assay.solvers.games.matrix import dominated, equilibria, maximin, pareto_cells, pure_equilibria, solve_matrix
from assay.solvers.games.summary import summary
from assay.worlds.games.files import parse_game
from assay.worlds.games.gambit_files import parse_gambit
from assay.worlds.games.matrix import MatrixGame


def game(mine: list[list[int]], theirs: list[list[int]]) -> MatrixGame:
    rows, columns = len(mine), len(mine[0])
    return MatrixGame(
        "g",
        ("Row", "Column"),
        (tuple(f"r{i}" for i in range(rows)), tuple(f"c{j}" for j in range(columns))),
        tuple(tuple((Fraction(mine[i][j]), Fraction(theirs[i][j])) for j in range(columns)) for i in range(rows)),
    )


def test_the_battle_of_the_sexes_has_three_equilibria() -> None:
    battle = game([[2, 0], [0, 1]], [[1, 0], [0, 2]])
    assert pure_equilibria(battle) == [(0, 0), (1, 1)]
    third = Fraction(1, 3)
    assert set(equilibria(battle)) == {((1, 0), (1, 0)), ((0, 1), (0, 1)), ((1 - third, third), (third, 1 - third))}
    assert pareto_cells(battle) == [(0, 0), (1, 1)]


def test_a_degenerate_game_has_all_its_extreme_equilibria() -> None:
    # The column player is indifferent wherever the row plays r0: a whole segment of equilibria, given by its ends.
    found = equilibria(game([[1, 1], [1, 0]], [[1, 1], [0, 0]]))
    assert set(found) == {((1, 0), (1, 0)), ((1, 0), (0, 1)), ((0, 1), (1, 0))}


def test_the_prisoners_dilemma_is_solved_by_dominance() -> None:
    found = solve_matrix(game([[3, 0], [5, 1]], [[3, 5], [0, 1]]))
    assert [entry["action"] for entry in found["dominated"]] == ["r0", "c0"]
    assert [entry["value"] for entry in found["maximin"]] == ["1", "1"]
    assert dominated([[Fraction(1), Fraction(0)], [Fraction(1), Fraction(1)]]) == [(0, 1, False)]


@pytest.mark.parametrize("seed", range(12))
def test_the_certificates_hold_and_nashpy_finds_nothing_else(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n = (2, 3) if seed % 2 else (3, 3)
    mine, theirs = (rng.integers(-5, 6, size=(m, n)).tolist() for _ in range(2))
    found = equilibria(game(mine, theirs))
    assert len(found) % 2 == 1 or seed  # generic games have an odd number; degenerate ones may not
    for x, y in found:
        rows = [sum(Fraction(mine[i][j]) * y[j] for j in range(n)) for i in range(m)]
        columns = [sum(Fraction(theirs[i][j]) * x[i] for i in range(m)) for j in range(n)]
        assert all(rows[i] == max(rows) for i in range(m) if x[i])
        assert all(columns[j] == max(columns) for j in range(n) if y[j])
        assert sum(x) == sum(y) == 1
    nashpy = pytest.importorskip("nashpy", reason="the extra 'games' brings nashpy")
    theirs_found = list(nashpy.Game(np.array(mine), np.array(theirs)).vertex_enumeration())
    ours = [np.array([float(p) for p in (*x, *y)]) for x, y in found]
    for x, y in theirs_found:
        assert any(np.allclose(np.concatenate([x, y]), mixed, atol=1e-6) for mixed in ours)


@pytest.mark.parametrize("seed", range(8))
def test_a_maximin_strategy_holds_against_every_reply(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = [[Fraction(int(x), 7) for x in row] for row in rng.integers(-20, 21, size=(4, 5))]
    value, own, other = maximin(table)
    assert sum(own) == sum(other) == 1
    assert min(*own, *other) >= 0
    assert min(sum(p * row[j] for p, row in zip(own, table, strict=True)) for j in range(5)) == value
    assert max(sum(a * q for a, q in zip(row, other, strict=True)) for row in table) == value


def test_too_many_supports_are_refused_and_say_how_to_go_on() -> None:
    with pytest.raises(InputError, match=r"candidate supports; at most 40,000 are tried.*--limit"):
        equilibria(game([[0] * 12] * 12, [[0] * 12] * 12))


POKER = """EFG 2 R "One-card poker" { "Ann" "Bob" }
c "" 1 "" { "red" 1/2 "black" 1/2 } 0
p "" 1 1 "red" { "raise" "fold" } 0
p "" 2 1 "raised" { "meet" "pass" } 0
t "" 1 "" { 2 -2 }
t "" 2 "" { 1 -1 }
t "" 3 "" { 1 -1 }
p "" 1 2 "black" { "raise" "fold" } 0
p "" 2 1 "raised" { "meet" "pass" } 0
t "" 4 "" { -2 2 }
t "" 2 "" { 1 -1 }
t "" 5 "" { -1 1 }
"""


def test_one_card_poker_has_its_published_equilibrium() -> None:
    # Myerson 1991, section 2.1: always raise on red, on black one time in three; meet two times in three; worth 1/3.
    found = summary(parse_game(POKER))
    assert [entry["value"] for entry in found["maximin"]] == ["1/3", "-1/3"]
    (only,) = found["equilibria"]
    assert only["strategies"] == [{"raise, raise": "1/3", "raise, fold": "2/3"}, {"meet": "2/3", "pass": "1/3"}]
    assert only["payoffs"] == ["1/3", "-1/3"]


def test_a_strategic_file_lists_the_first_players_strategies_fastest() -> None:
    plain = 'NFG 1 R "g" { "Row" "Column" } { 2 2 }\n\n3 4 5 0 0 5 1 1\n'
    named = (
        'NFG 1 R "g" { "Row" "Column" } { { "1" "2" } { "1" "2" } } "" '
        '{ { "" 3, 4 } { "" 5, 0 } { "" 0, 5 } { "" 1, 1 } } 1 2 3 4'
    )
    for text in (plain, named):
        found = parse_gambit(text)
        assert isinstance(found, MatrixGame)
        assert found.payoffs == (((3, 4), (0, 5)), ((5, 0), (1, 1)))


def test_a_common_payoff_strategic_file_is_a_team_problem() -> None:
    found = summary(parse_game('NFG 1 R "meet" { "A" "B" } { 2 2 }\n\n2 2 0 0 0 0 1 1\n'))
    assert (found["value"], found["n_optimal_pairs_on_path"]) == ("2", 1)


def test_openspiel_reads_the_same_tree() -> None:
    pyspiel = pytest.importorskip("pyspiel", reason="the extra 'games' brings OpenSpiel")
    played = pyspiel.load_efg_game(POKER.replace("1/2", "0.5").replace("2 -2", "2 -2"))
    table = pyspiel.extensive_to_matrix_game(played)
    ours = parse_gambit(POKER)
    assert isinstance(ours, MatrixGame)
    values = sorted(table.row_utility(i, j) for i, j in product(range(table.num_rows()), range(table.num_cols())))
    assert np.allclose(values, sorted(float(cell[0]) for row in ours.payoffs for cell in row))
