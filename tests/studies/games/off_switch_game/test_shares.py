"""Every share of random games is what the exact solver says of each game, and every arm is what its name says."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from assay.claims.estimand import name_of
from assay.core.seeds import Seeds
from assay.solvers.games.humans import Naive, best_assistant
from assay.solvers.games.pairs import optimal_pairs, optimal_value
from assay.studies.games.off_switch_game import STUDY, arms, shares, variants
from assay.studies.games.off_switch_game.random_games import cell_games
from assay.studies.games.off_switch_game.settings import GameSettings
from assay.worlds.games.off_switch import OffSwitchGame, off_switch_from_table

SMALL = GameSettings(n_games=64, n_talks=72, n_human=3, n_assistant=3, largest=9)
SEED = 3
Games = list[OffSwitchGame]


@pytest.fixture(scope="module")
def measured() -> dict[str, float]:
    return dict(shares.measure(SMALL, Seeds(SEED)).estimands)


def drawn(name: str, n: int) -> Games:
    """The games of one stream of the run, as exact records."""
    batch = cell_games(n, SMALL.n_human, SMALL.n_assistant, rng=Seeds(SEED)(name), largest=SMALL.largest)
    return [batch.game(i) for i in range(n)]


def planted(table: tuple[tuple[int, ...], ...], name: str) -> Games:
    """Games near an example: each payoff 20-fold and moved by at most 4, drawn as the run draws them."""
    moves = Seeds(SEED)(name).integers(-4, 5, size=(SMALL.n_games, len(table) * len(table[0])))
    tables = 20 * np.array(table) + moves.reshape(SMALL.n_games, len(table), -1)
    return [off_switch_from_table(f"near {i}", one.tolist()) for i, one in enumerate(tables)]


def first_two_alike(game: OffSwitchGame) -> OffSwitchGame:
    """H cannot tell her first two observations apart."""
    return OffSwitchGame(
        name=game.name,
        states=game.states,
        prior=game.prior,
        human_observations=game.human_observations[1:],
        assistant_observations=game.assistant_observations,
        observe=tuple((tuple(p + q for p, q in zip(table[0], table[1], strict=True)), *table[2:]) for table in game.observe),
        act=game.act,
        off=game.off,
    )


def payoffs(games: Games, scale: int = 1) -> np.ndarray:
    """[game, human observation, assistant observation]; payoff of going through, times `scale`, a state weighing one."""
    exact = np.array([game.through()[0] * len(game.states) * scale for game in games])
    assert all(payoff == int(payoff) for payoff in exact.flat)
    return exact.astype(np.int64)


def value(game: OffSwitchGame) -> Fraction:
    return optimal_value(game.team_form())[0]


def share(games: Games, holds: Callable[[OffSwitchGame], bool]) -> float:
    return sum(holds(game) for game in games) / len(games)


def change(before: OffSwitchGame, after: OffSwitchGame) -> str:
    """What happens to the only wait set."""
    old, new = (optimal_pairs(game.team_form()).marked_sets for game in (before, after))
    if len(old) > 1 or len(new) > 1:
        return "several"
    return "less" if new[0] < old[0] else "more" if new[0] > old[0] else "neither"


def changed(pairs: list[tuple[OffSwitchGame, OffSwitchGame]], *kinds: str) -> list[float]:
    found = [change(*pair) for pair in pairs]
    return [found.count(kind) / len(found) for kind in kinds]


def acts_alone(game: OffSwitchGame) -> bool:
    return variants.always_waiting_value(game) < value(game)


def test_acting_alone_is_counted_as_the_exact_solver_would(measured: dict[str, float]) -> None:
    games = drawn("games", SMALL.n_games)
    assert measured["private/acts_alone"] == share(games, acts_alone)
    assert measured["shown/acts_alone"] == share([variants.with_code_shown(g) for g in games], acts_alone) == 0
    near = planted(shares.FILE_DELETION, "near File Deletion")
    assert measured["planted/acts_alone"] == share(near, acts_alone)
    assert measured["planted/acts_alone"] > 0.9


def test_the_unaware_human_is_the_naive_one_of_the_exact_solver(measured: dict[str, float]) -> None:
    games = drawn("games", SMALL.n_games)
    losses = [float(value(g)) - best_assistant(g.team_form(), Naive()).value for g in games]
    assert measured["private/unaware_loss"] == pytest.approx(np.mean(losses) / SMALL.largest)
    assert measured["private/unaware_loss"] > 0
    assert measured["shown/unaware_loss"] == pytest.approx(0, abs=1e-12)


def test_no_claim_is_passed_by_games_in_which_nothing_can_be_lost() -> None:
    nulls = shares.measure_nulls(SMALL, Seeds(SEED)).estimands
    experiment = STUDY.experiment("games")
    assert set(nulls) == {f"{null.name}/{estimand.name}" for null in experiment.nulls for estimand in experiment.estimands}
    for claim in experiment.claims:
        for null in experiment.nulls:
            assert claim.rule.distance(nulls[f"{null.name}/{name_of(str(claim.estimand))}"]) < 0
    harmless = [replace(game, act=tuple(abs(u) for u in game.act)) for game in drawn("null games", SMALL.n_games)]
    assert share(harmless, acts_alone) == nulls["harmless/acts_alone"] == 0


def test_telling_two_observations_apart_is_counted_as_the_exact_solver_would(measured: dict[str, float]) -> None:
    fine = drawn("refined", SMALL.n_talks)
    less, more = changed([(first_two_alike(g), g) for g in fine], "less", "more")
    assert measured["finer/refining_waits_less"] == less > 0
    assert measured["finer/refining_net"] == pytest.approx(more - less)
    coarse = [first_two_alike(g) for g in fine]
    assert changed([(g, variants.with_coin(g)) for g in coarse], "less", "more") == [0, 0]
    assert measured["coin/refining_waits_less"] == measured["coin/refining_net"] == 0
    near = planted(shares.THREE_VERSIONS, "near three versions")
    assert measured["planted/refining_waits_less"] == changed([(first_two_alike(g), g) for g in near], "less")[0]
    assert measured["planted/refining_waits_less"] > 0.9


def test_talk_is_counted_as_the_exact_solver_would(measured: dict[str, float]) -> None:
    games = drawn("talk", SMALL.n_talks)
    for arm, words in (("two-words", 2), ("every-word", SMALL.n_assistant)):
        less, more = changed([(g, g.with_channel(to_human=words)) for g in games], "less", "more")
        assert measured[f"{arm}/talking_waits_less"] == less
        assert measured[f"{arm}/talking_waits_more"] == more
    assert measured["every-word/talking_waits_less"] == 0
    assert measured["two-words/talking_waits_more"] > 0
    assert measured["jammed/talking_waits_less"] == measured["jammed/talking_waits_more"] == 0
    near = planted(shares.BOUNDED_TALK, "near bounded talk")
    assert measured["planted/talking_waits_less"] == changed([(g, g.with_channel(to_human=2)) for g in near], "less")[0]
    assert measured["planted/talking_waits_less"] > 0.9


def test_the_price_of_always_waiting_is_the_exact_one(measured: dict[str, float]) -> None:
    games = drawn("talk", SMALL.n_talks)

    def price(words: int) -> float:
        told = [g.with_channel(to_human=words) for g in games]
        return float(np.mean([float(value(g) - variants.always_waiting_value(g)) for g in told])) / SMALL.largest

    assert measured["two-words/price_cut"] == pytest.approx(price(1) - price(2))
    assert measured["two-words/price_cut"] > 0
    assert measured["jammed/price_cut"] == pytest.approx(0, abs=1e-12)


def test_every_arm_holds_the_games_its_name_says() -> None:
    deference = shares.deference_games(SMALL, Seeds(SEED))
    games = drawn("games", SMALL.n_games)
    assert np.array_equal(deference["private"], payoffs(games))
    assert np.array_equal(deference["shown"], payoffs([variants.with_code_shown(g) for g in games]))
    assert np.array_equal(deference["planted"], payoffs(planted(shares.FILE_DELETION, "near File Deletion")))
    refined = shares.refined_games(SMALL, Seeds(SEED))
    fine = drawn("refined", SMALL.n_talks)
    coarse = [first_two_alike(g) for g in fine]
    three = planted(shares.THREE_VERSIONS, "near three versions")
    for arm, (before, after) in {
        "finer": (payoffs(coarse), payoffs(fine)),
        "coin": (payoffs(coarse), payoffs([variants.with_coin(g) for g in coarse], scale=2)),
        "planted": (payoffs([first_two_alike(g) for g in three]), payoffs(three)),
    }.items():
        assert np.array_equal(refined[arm][0], before), arm
        assert np.array_equal(refined[arm][1], after), arm
    spoken = shares.spoken_games(SMALL, Seeds(SEED))
    talk, near = payoffs(drawn("talk", SMALL.n_talks)), payoffs(planted(shares.BOUNDED_TALK, "near bounded talk"))
    coins = payoffs([variants.with_coin(g) for g in drawn("talk", SMALL.n_talks)], scale=2)
    for name, (first, then, words) in {
        "two-words": (talk, talk, 2),
        "every-word": (talk, talk, SMALL.n_assistant),
        "jammed": (talk, coins, 1),
        "planted": (near, near, 2),
    }.items():
        assert np.array_equal(spoken[name][0], first), name
        assert np.array_equal(spoken[name][1], then), name
        assert spoken[name][2] == words, name


VIEWS: list[Any] = [
    pytest.param(arms.shown_to_human, variants.with_code_shown, 1, id="shown to human"),
    pytest.param(arms.with_coin, variants.with_coin, 2, id="coin"),
    pytest.param(arms.alike_in_two_rows, first_two_alike, 1, id="alike"),
]


@pytest.mark.parametrize(("on_tables", "on_records", "scale"), VIEWS)
def test_an_arm_changes_the_games_as_its_name_says_and_nothing_else(
    on_tables: Callable[[np.ndarray], np.ndarray], on_records: Callable[[OffSwitchGame], OffSwitchGame], scale: int
) -> None:
    """On tables and on exact records the same observations and payoffs come out."""
    batch = cell_games(6, 3, 2, rng=np.random.default_rng(0))
    tables = on_tables(batch.tables()[0])
    for i in range(6):
        record = on_records(batch.game(i)).through()[0]
        assert np.array_equal(tables[i], record * batch.scale * scale)


def test_games_near_an_example_are_the_example_where_nothing_moves() -> None:
    batch = arms.near(shares.FILE_DELETION, 3, rng=np.random.default_rng(0), magnify=1, largest=0)
    assert [value(batch.game(i)) for i in range(3)] == [Fraction(7, 4)] * 3
    moved = arms.near(shares.FILE_DELETION, 200, rng=np.random.default_rng(0))
    distance = abs(moved.act - 20 * np.array(shares.FILE_DELETION).ravel())
    assert distance.max() == 4
    assert distance.min() == 0


def test_shares_by_change_sum_to_one_and_find_each_kind() -> None:
    # Sets as bits over two observations; 9 marks the optimal ones.
    before = np.array([[0, 0, 0, 9], [0, 9, 0, 0], [0, 9, 0, 0], [0, 9, 0, 0], [0, 9, 9, 0]])
    after = np.array([[0, 9, 0, 0], [0, 0, 0, 9], [0, 0, 9, 0], [0, 9, 0, 0], [0, 9, 0, 0]])
    assert arms.changes(before, after) == dict.fromkeys(
        ("waits less", "waits more", "waits on others", "waits on the same", "several optima"), 0.2
    )


def test_the_curve_ends_where_the_human_knows_all() -> None:
    tables = shares.measure(SMALL, Seeds(SEED)).tables
    curve = {(row["games"], row["messages"]): row for row in tables["waiting"]}
    costs = {(row["games"], row["messages"], row["quantity"]): float(row["mean"]) for row in tables["costs"]}
    everything, words = curve["shown", 1], SMALL.n_assistant
    assert curve["private", words]["value"] == pytest.approx(everything["value"])
    assert curve["private", words]["most"] == everything["most"] == 1
    assert costs["private", words, "price of always waiting"] == costs["shown", 1, "price of always waiting"] == 0
    rising = [float(curve["private", m]["value"]) for m in range(1, words + 1)]
    assert rising == sorted(rising)
    # The bonus is paid per unit of waiting, of which at most one is missing: it is never below the price.
    assert costs["private", 1, "bonus that restores waiting"] >= costs["private", 1, "price of always waiting"] > 0
    games = drawn("curve", SMALL.n_games)
    assert curve["private", 1]["value"] == pytest.approx(np.mean([float(value(g)) for g in games]) / SMALL.largest)
    prices = [float(value(g) - variants.always_waiting_value(g)) for g in games]
    assert costs["private", 1, "price of always waiting"] == pytest.approx(np.mean(prices) / SMALL.largest)
    mass = [max(len(s) for s in optimal_pairs(g.team_form()).marked_sets) / SMALL.n_assistant for g in games]
    assert curve["private", 1]["most"] == pytest.approx(np.mean(mass))
    # The least bonus a unit of waiting at which always waiting is worth as much as any other set of observations to wait on.
    least, unit = [], SMALL.n_human * SMALL.n_assistant * SMALL.largest
    for *others, always in arms.silent_values(shares._games(SMALL, Seeds(SEED), "curve")).tolist():
        missing = [1 - bin(one).count("1") / SMALL.n_assistant for one in range(len(others))]
        least.append(max(0.0, *((worth - always) / unit / share for worth, share in zip(others, missing, strict=True))))
    assert costs["private", 1, "bonus that restores waiting"] == pytest.approx(np.mean(least))
