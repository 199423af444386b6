"""The same games in other people's software: OpenSpiel plays them out as extensive games, nashpy checks the equilibria."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from assay.solvers.games.pairs import optimal_pairs, person_by_person_optima
from assay.worlds.games.off_switch import (
    OffSwitchGame,
    file_deletion,
    file_deletion_three_versions,
    uncoordinated_garbling_pair,
)

GAMES = [file_deletion(), file_deletion_three_versions(fine=True), *uncoordinated_garbling_pair()]


def extensive_form(game: OffSwitchGame) -> str:
    """The game as OpenSpiel's .efg text: Nature draws state and observations, A moves, H moves if asked."""
    lines, outcome = [f'EFG 2 R "{game.name}" {{ "A" "H" }} ""'], 0
    branches = [
        (s, i, j, game.prior[s] * q)
        for s in range(len(game.states))
        for i, row in enumerate(game.observe[s])
        for j, q in enumerate(row)
        if q and game.prior[s]
    ]
    chances = " ".join(f'"{k}" {float(p)}' for k, (*_, p) in enumerate(branches))
    lines.append(f'c "root" 1 "draw" {{ {chances} }} 0')

    def leaf(value: Fraction) -> str:
        nonlocal outcome
        outcome += 1
        return f't "" {outcome} "" {{ {float(value)} {float(value)} }}'

    for s, i, j, _ in branches:
        lines.append(f'p "" 1 {j + 1} "A{j}" {{ "act" "off" "wait" }} 0')
        lines += [leaf(game.act[s]), leaf(game.off[s])]
        lines.append(f'p "" 2 {i + 1} "H{i}" {{ "OFF" "ON" }} 0')
        lines += [leaf(game.off[s]), leaf(game.act[s])]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("game", GAMES, ids=lambda game: game.name)
def test_openspiel_finds_the_same_values(game: OffSwitchGame) -> None:
    pyspiel = pytest.importorskip("pyspiel", reason="the extra 'games' brings OpenSpiel")
    played = pyspiel.load_efg_game(extensive_form(game))
    form = game.team_form()
    order = {"act": 0, "off": 1, "wait": 2}

    # Information states by player, as OpenSpiel names them, in the order of our observations.
    states: dict[int, dict[str, list[int]]] = {0: {}, 1: {}}

    def visit(state: object) -> None:
        if state.is_terminal():  # type: ignore[attr-defined]
            return
        if not state.is_chance_node():  # type: ignore[attr-defined]
            states[state.current_player()][state.information_state_string()] = state.legal_actions()  # type: ignore[attr-defined]
        for action in state.legal_actions():  # type: ignore[attr-defined]
            visit(state.child(action))  # type: ignore[attr-defined]

    visit(played.new_initial_state())
    keys = {
        (player, label): next(k for k in states[player] if k.endswith(label))
        for player, labels in ((0, [f"A{j}" for j in range(form.shape[0])]), (1, [f"H{i}" for i in range(form.shape[2])]))
        for label in labels
    }
    found = {}
    for assistant in product(range(3), repeat=form.shape[0]):
        for human in product(range(2), repeat=form.shape[2]):
            table = {}
            for j, a in enumerate(assistant):
                legal = states[0][keys[0, f"A{j}"]]
                table[keys[0, f"A{j}"]] = [(x, float(k == order[form.assistant_actions[a]])) for k, x in enumerate(legal)]
            for i, h in enumerate(human):
                legal = states[1][keys[1, f"H{i}"]]
                table[keys[1, f"H{i}"]] = [(x, float(k == h)) for k, x in enumerate(legal)]
            returns = pyspiel.expected_returns(played.new_initial_state(), pyspiel.TabularPolicy(table), -1, True)
            found[assistant, human] = returns[0]
            assert returns[0] == pytest.approx(float(form.value(assistant, human)), abs=1e-9)
    best = max(found.values())
    solution = optimal_pairs(form)
    assert best == pytest.approx(float(solution.value), abs=1e-9)
    assert {pair for pair, value in found.items() if value > best - 1e-9} == set(solution.pairs())


@pytest.mark.parametrize("game", GAMES[:1] + GAMES[2:], ids=lambda game: game.name)
def test_nashpy_confirms_that_our_pairs_are_equilibria(game: OffSwitchGame) -> None:
    nashpy = pytest.importorskip("nashpy", reason="the extra 'games' brings nashpy")
    form = game.team_form()
    rows, columns = list(product(range(3), repeat=form.shape[0])), list(product(range(2), repeat=form.shape[2]))
    payoff = np.array([[float(form.value(a, h)) for h in columns] for a in rows])
    bimatrix = nashpy.Game(payoff, payoff)

    def strategy(options: list[tuple[int, ...]], chosen: tuple[int, ...]) -> np.ndarray:
        return np.array([float(option == chosen) for option in options])

    optima = {(a, h) for _, a, h in person_by_person_optima(form)}
    for a in rows:
        for h in columns:
            stable = bimatrix.is_best_response(strategy(rows, a), strategy(columns, h))
            assert all(stable) == ((a, h) in optima)
    assert payoff.max() == pytest.approx(float(optimal_pairs(form).value))
