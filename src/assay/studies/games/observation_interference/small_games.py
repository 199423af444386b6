"""Three small games, one for each of the paper's results, solved exactly. Their stories and numbers are ours."""

from fractions import Fraction
from itertools import pairwise

import numpy as np

from assay.claims.study import Table
from assay.solvers.games.humans import Boltzmann, Human, Naive, Optimal, payoff_against
from assay.solvers.games.information import garbling_test
from assay.solvers.games.pairs import Solution, optimal_pairs
from assay.solvers.games.two_stage import solve_two_stage
from assay.worlds.games.assistance import AssistanceGame, TwoStageGame, blurred_choice, hiding_as_query, hiding_as_signal

STAKES = tuple(Fraction(k, 4) for k in range(1, 17))  # worth of serving the right type, 1/4 to 4
# Hidden minus shown in the noisy-chooser game, X in {3, 9}, to three decimals; computed for this laboratory, not the paper's.
BLURRED = {0.1: -0.187, 0.3: -0.134, 0.5: 0.039, 0.8: 0.079, 1.0: 0.057, 2.0: 0.004, 5.0: 0.0}
OPTIONS = (3, 9)  # what X may be worth
OTHER_OPTIONS = (2, 10)
INFLECTION = 2.39935728  # |u| at which x / (1 + exp(-beta x)) turns from convex to concave, u = beta x: u tanh(u/2) = 2
N_LAWS = 2000  # random laws of X in the curvature test


def numbers() -> dict[str, float]:
    """What the small games are worth, each number beside the same one of a game without what it is about."""
    return signalling() | query() | noisy() | curvature_misses(N_LAWS, np.random.default_rng(0))


def tables() -> dict[str, Table]:
    """What the figures of the small games draw."""
    return {"plans": _plans(), "stakes": _stakes(), "betas": _betas()}


def solve(game: AssistanceGame) -> Solution:
    """Every optimal pair."""
    return optimal_pairs(game.team_form())


def signalling() -> dict[str, float]:
    """Result 1: hiding can be a way of speaking."""
    game, uninformed = hiding_as_signal(), hiding_as_signal(assistant_informed=False)
    plain = game.without_hiding()
    best, silent, spoken = solve(game), solve(plain), solve(game.with_channel(to_human=3))
    everywhere = [game.signal([a] * len(game.assistant_observations)) for a in range(len(game.assistant_actions))]
    shown = everywhere[game.hides.index(False)]
    strict = [garbling_test(k, shown).holds and not garbling_test(shown, k).holds for k in everywhere]
    found = {
        "signalling/value": best.value,
        "shown/value": silent.value,
        "signalling/showing_optima": showing(best),
        "talking/showing_optima": showing(spoken),
        "signalling/optima": len(best.policies),
        "talking/optima": len(spoken.policies),
        "three-words/shown_value": solve(plain.with_channel(to_human=3)).value,
        "two-words/shown_value": solve(plain.with_channel(to_human=2)).value,
        "signalling/price": best.value - silent.value,
        "blind/price": solve(uninformed).value - solve(uninformed.without_hiding()).value,
        # Action by action: hiding pays as showing does, and tells strictly less.
        "hiding/unequal_payoffs": sum(len({rewards[a] for a in range(len(rewards))}) > 1 for rewards in game.reward),
        "choosing/unequal_payoffs": sum(len(set(rewards[0])) > 1 for rewards in game.reward),
        "hiding/less_telling": sum(strict[a] for a, hides in enumerate(game.hides) if hides),
        "showing/less_telling": sum(strict[a] for a, hides in enumerate(game.hides) if not hides),
        # Policy by policy: which item is hidden tells H what A saw.
        "optimal/garblings": sum(garbling_test(game.signal(p.assistant), shown).holds for p in best.policies),
        "same-everywhere/garblings": sum(
            garbling_test(kernel, shown).holds for kernel, hides in zip(everywhere, game.hides, strict=True) if hides
        ),
    }
    return {name: float(value) for name, value in found.items()}


def showing(solution: Solution) -> int:
    """How many optimal policies of A never hide."""
    return sum(not any(solution.form.marked[a] for a in policies.assistant) for policies in solution.policies)


def advantage_of_asking(stake: Fraction) -> Fraction:
    """With a naive human and an attribute on which she may be torn: payoff if it is hidden minus payoff if it is shown."""
    game = hiding_as_query(stake)
    shown, hidden = solve_two_stage(game, Naive()).by_action[game.first.assistant_observations.index("common")]
    return Fraction(hidden) - Fraction(shown)


def price_of_showing(stake: Fraction, human: Human, words: int) -> Fraction:
    """What it costs to forbid A to hide in the query game, if H may say one of `words` things first."""
    told: TwoStageGame = hiding_as_query(stake).with_channel(to_assistant=words)
    free, plain = (Fraction(solve_two_stage(game, human).value) for game in (told, told.without_hiding()))
    return free - plain


CASES: dict[str, tuple[str, Human, int]] = {
    "naive": ("naive human", Naive(), 1),
    "optimal": ("optimal human", Optimal(), 1),
    "word": ("naive human with one word", Naive(), 2),
}


def query() -> dict[str, float]:
    """Result 2: hiding can be a way of asking."""
    advantages = [advantage_of_asking(stake) for stake in STAKES]
    prices = {name: [price_of_showing(k, human, words) for k in STAKES] for name, (_, human, words) in CASES.items()}
    naive = [(a > 0) != (k > 1) or (a < 0) != (k < 1) for a, k in zip(advantages, STAKES, strict=True)]
    optimal = [(a > 0) != (k > 1) for a, k in zip(prices["optimal"], STAKES, strict=True)]
    return {
        "naive/sign_misses": float(sum(naive)),
        "optimal/sign_misses": float(sum(optimal)),
        "naive/slope": _slope(advantages),
        "word/slope": _slope(prices["word"]),
        **{f"{name}/largest_price": float(max(found)) for name, found in prices.items()},
    }


def _slope(values: list[Fraction]) -> float:
    """The slope per unit of stake, if it is the same between all neighbours; else nan."""
    slopes = {4 * (later - earlier) for earlier, later in pairwise(values)}
    return float(slopes.pop()) if len(slopes) == 1 else float("nan")


def effect(values: tuple[int, ...], human: Human) -> float:
    """In the noisy-chooser game: expected payoff with X hidden minus with X shown."""
    game = blurred_choice(values)
    form, hide = game.team_form(), game.assistant_actions.index("hide")
    return payoff_against(form, (hide,), human) - payoff_against(form, (1 - hide,), human)


def noisy() -> dict[str, float]:
    """Result 3: hiding can spare a noisy human her mistakes."""
    return {
        "middling/effect": effect(OPTIONS, Boltzmann(0.8)),
        "nearly-random/effect": effect(OPTIONS, Boltzmann(0.1)),
        "nearly-rational/effect": effect(OPTIONS, Boltzmann(10.0)),
        "rational/effect": effect(OPTIONS, Optimal()),
        "beta-1/effect": effect(OPTIONS, Boltzmann(1.0)),
        "listed/distance": max(abs(effect(OPTIONS, Boltzmann(b)) - value) for b, value in BLURRED.items()),
        "other-options/distance": max(abs(effect(OTHER_OPTIONS, Boltzmann(b)) - value) for b, value in BLURRED.items()),
    }


def curvature_misses(n_laws: int, rng: np.random.Generator) -> dict[str, float]:
    """How often the sign of the effect is not that of the curvature, for laws on one side of the inflection and across it."""
    beta = np.exp(rng.uniform(np.log(0.1), np.log(3), size=n_laws))
    misses = {}
    for name, low, high, sign in (
        ("convex", -0.999 * INFLECTION, 0.999 * INFLECTION, -1),
        ("concave", 1.001 * INFLECTION, 4 * INFLECTION, 1),
        ("straddling", -INFLECTION, 4 * INFLECTION, 1),
    ):
        x = rng.uniform(low, high, size=(n_laws, 3)) / beta[:, None]
        p = rng.dirichlet(np.ones(3), size=n_laws)
        mean = (p * x).sum(axis=1)
        hidden = mean / (1 + np.exp(-beta * mean))
        shown = (p * x / (1 + np.exp(-beta[:, None] * x))).sum(axis=1)
        # Rounding leaves the sign open where the effect is below 1e-12; such laws count for neither side.
        change = np.where(abs(hidden - shown) < 1e-12, 0.0, hidden - shown)
        misses[name] = float((change * sign < 0).sum())
    return {"one-side/sign_errors": misses["convex"] + misses["concave"], "straddling/sign_errors": misses["straddling"]}


def _plans() -> Table:
    game = hiding_as_signal()
    plain = game.without_hiding()
    full = sum(p * max(rewards[0]) for p, rewards in zip(game.prior, game.reward, strict=True))
    return [
        {"plan": name, "payoff": float(value)}
        for name, value in (
            ("A shows everything", solve(plain).value),
            ("A shows everything, says one of two words", solve(plain.with_channel(to_human=2)).value),
            ("A hides a product where that tells something", solve(game).value),
            ("A shows everything, says one of three words", solve(plain.with_channel(to_human=3)).value),
            ("both know everything", full),
        )
    ]


def _stakes() -> Table:
    return [
        {"stake": float(stake), "human": label, "price": float(price_of_showing(stake, human, words))}
        for stake in STAKES
        for label, human, words in CASES.values()
    ]


def _betas() -> Table:
    return [
        {"beta": float(beta), "law": f"X is {low} or {high}", "effect": effect((low, high), Boltzmann(float(beta)))}
        for low, high in ((3, 9), (1, 3), (5, 7))
        for beta in np.geomspace(0.05, 10, 25)
    ]
