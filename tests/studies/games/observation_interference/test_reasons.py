"""Every share of random hiding games is what the exact solver says of each game, and every arm is what its name says."""

from fractions import Fraction

import numpy as np
import pytest

from assay.claims.claim import names
from assay.core.seeds import Seeds
from assay.runner.check import null_names
from assay.solvers.games.humans import Boltzmann, Naive, best_assistant, payoff_against
from assay.solvers.games.information import garbling_test
from assay.solvers.games.pairs import optimal_pairs, optimal_value
from assay.studies.games.observation_interference import STUDY, reasons
from assay.studies.games.observation_interference.random_hiding import HidingBatch, games_near_signalling, hiding_games
from assay.studies.games.observation_interference.settings import GameSettings
from assay.worlds.games.assistance import AssistanceGame

SMALL = GameSettings(n_games=14, n_compared=12)
SEED = 2


@pytest.fixture(scope="module")
def measured() -> dict[str, float]:
    return dict(reasons.measure(SMALL, Seeds(SEED)).estimands)


def drawn(weight: str) -> list[AssistanceGame]:
    games = hiding_games(SMALL.n_games, rng=Seeds(SEED)(f"weight {weight}"), n_private=3, relevance=reasons.WEIGHTS[weight])
    return [games.game(i) for i in range(SMALL.n_games)]


def value(game: AssistanceGame) -> Fraction:
    return optimal_value(game.team_form())[0]


def must_hide(game: AssistanceGame) -> bool:
    return value(game) > value(game.without_hiding())


def blind(game: AssistanceGame) -> AssistanceGame:
    """A sees nothing."""
    return AssistanceGame(
        **{
            **{name: getattr(game, name) for name in game.__dataclass_fields__},
            "assistant_observations": ("nothing",),
            "assistant_sees": tuple((Fraction(1),) for _ in game.states),
        }
    )


def share(found: list[bool]) -> float:
    return sum(found) / len(found)


@pytest.mark.parametrize("weight", ["none", "quarter", "half", "whole"])
def test_reasons_to_hide_are_those_of_the_exact_solver(measured: dict[str, float], weight: str) -> None:
    games = drawn(weight)
    assert measured[f"{weight}/reason"] == pytest.approx(share([must_hide(game) for game in games]))
    assert measured[f"blind-{weight}/reason"] == share([must_hide(blind(game)) for game in games]) == 0


@pytest.mark.parametrize(
    ("arm", "weight"), [("naive", "half"), ("naive-none", "none"), ("noisy", "half"), ("noisy-none", "none")]
)
def test_reasons_with_other_humans_are_those_of_the_exact_solver(measured: dict[str, float], arm: str, weight: str) -> None:
    human = Naive() if arm.startswith("naive") else Boltzmann(8 / 36)
    gains = []
    for game in drawn(weight):
        form = game.team_form()
        gains.append(best_assistant(form, human).value - payoff_against(form, (0, 0, 0), human) > 1e-9)
    assert measured[f"{arm}/reason"] == pytest.approx(share(gains))


@pytest.mark.parametrize(("arm", "words"), [("two-words", 2), ("every-word", 3)])
def test_words_instead_of_hiding_are_those_of_the_exact_solver(measured: dict[str, float], arm: str, words: int) -> None:
    short = [value(game) > value(game.without_hiding().with_channel(to_human=words)) for game in drawn("half")]
    assert measured[f"{arm}/reason"] == pytest.approx(share(short))


def test_a_blind_assistant_differs_from_a_seeing_one_in_what_it_sees_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HidingBatch, "uninformed", lambda games: games)
    found = reasons.measure(SMALL, Seeds(SEED)).estimands
    for weight in ("quarter", "half", "whole"):
        assert found[f"blind-{weight}/reason"] == pytest.approx(found[f"{weight}/reason"])
        assert found[f"{weight}/reason"] > 0


def test_planted_games_are_near_the_signalling_game(measured: dict[str, float]) -> None:
    exact = games_near_signalling(1, rng=np.random.default_rng(0), magnify=1, largest=0).game(0)
    solution = optimal_pairs(exact.team_form())
    assert (solution.value, len(solution.policies)) == (Fraction(17, 8), 6)
    moved = games_near_signalling(200, rng=np.random.default_rng(0))
    still = games_near_signalling(1, rng=np.random.default_rng(0), largest=0)
    assert abs(moved.reward - still.reward).max() == 3
    games = games_near_signalling(SMALL.n_games, rng=Seeds(SEED)("near signalling"))
    assert measured["planted/reason"] == share([must_hide(games.game(i)) for i in range(SMALL.n_games)]) == 1


def dominated_by_all_programs(games: HidingBatch, i: int, best: list[tuple[int, ...]]) -> bool:
    """Whether each of A's best policies is a strict garbling of some policy; every pair by linear program."""
    plans = [(a, b) for a in range(3) for b in range(3)]
    kernels = {plan: games.signals(i, plan) for plan in plans}
    return all(
        any(
            garbling_test(kernels[p], kernels[q]).holds and not garbling_test(kernels[q], kernels[p]).holds
            for q in plans
            if q != p
        )
        for p in best  # type: ignore[misc]
    )


def test_dominated_policies_are_those_of_all_linear_programs(measured: dict[str, float]) -> None:
    games = hiding_games(SMALL.n_compared, rng=Seeds(SEED)("compared"), n_private=2)
    found = {"optimal": [], "noisy": []}  # type: dict[str, list[bool]]
    for i in range(SMALL.n_compared):
        form = games.game(i).team_form()
        found["optimal"].append(dominated_by_all_programs(games, i, [p.assistant for p in optimal_pairs(form).policies]))
        noisy = best_assistant(form, Boltzmann(8 / 36)).assistants
        found["noisy"].append(dominated_by_all_programs(games, i, list(noisy)))
    for human, flags in found.items():
        assert measured[f"{human}/dominated"] == pytest.approx(share(flags))
    assert any(found["noisy"])
    assert not any(found["optimal"])


def test_no_claim_is_passed_by_games_in_which_hiding_cannot_pay() -> None:
    nulls = reasons.measure_nulls(SMALL, Seeds(SEED)).estimands
    experiment = STUDY.experiment("games")
    used = set()
    for claim in experiment.claims:
        for null in experiment.nulls:
            numbers = [nulls[name] for name in names(null_names(null, claim.estimand))]
            used |= set(names(null_names(null, claim.estimand)))
            assert claim.rule.distance(numbers[-1] - numbers[-2] if len(numbers) > 1 else numbers[0]) < 0
    assert used == set(nulls)


def test_counts_of_a_batch_are_those_of_the_exact_solver() -> None:
    games = hiding_games(6, rng=np.random.default_rng(4), n_private=3, relevance=2)
    found = reasons.count_reasons(games, 8.0, (2.0,))
    expected = dict.fromkeys(found, 0.0)
    unit = reasons.BASE_PAYOFF
    for i in range(6):
        game = games.game(i)
        form, plain = game.team_form(), game.without_hiding()
        best, silent = value(game), value(plain)
        expected["share, optimal human"] += best > silent
        expected["price, optimal human"] += float(best - silent) / unit
        for words in (2, 3):
            told = value(plain.with_channel(to_human=words))
            expected[f"share, optimal human, {words} words"] += best > told
            expected[f"price, optimal human, {words} words"] += float(max(best - told, Fraction(0))) / unit
        for case, human in (
            ("naive human", Naive()),
            ("noisy human", Boltzmann(8.0 / unit)),
            ("beta 2", Boltzmann(2.0 / unit)),
        ):
            gain = best_assistant(form, human).value - payoff_against(form, (0, 0, 0), human)
            expected[f"share, {case}"] += gain > 1e-9
            expected[f"price, {case}"] += gain / unit
        expected["share, A sees nothing"] += must_hide(blind(game))
    for name, number in expected.items():
        assert found[name] == pytest.approx(number, abs=1e-9), name


def test_tables_tell_the_same_shares(measured: dict[str, float]) -> None:
    tables = reasons.measure(SMALL, Seeds(SEED)).tables
    shares = {(row["relevance"], row["case"]): row["share"] for row in tables["incentive"]}
    for weight, quarters in reasons.WEIGHTS.items():
        assert shares[quarters / 4, "optimal human"] == measured[f"{weight}/reason"]
    assert shares[0.5, "naive human"] == measured["naive/reason"]
    assert shares[0.5, "optimal human, 2 words"] == measured["two-words/reason"]
    words = [row for row in tables["channels"] if row["relevance"] == 0.5]
    assert [row["words"] for row in words] == [1, 2, 3]
    assert sum(float(row["share"]) for row in words) == pytest.approx(1 - measured["every-word/reason"])
    assert words[0]["share"] == pytest.approx(1 - measured["half/reason"])
    noise = {row["beta"]: row["share"] for row in tables["noise"]}
    assert noise[8.0] == measured["noisy-none/reason"]
