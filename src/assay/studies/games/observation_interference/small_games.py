"""Three small games, one for each of the paper's results, solved exactly."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le, doc

from assay.claims.study import Measurement, Table
from assay.core.seeds import Seeds
from assay.solvers.games.dec_pomdp import solve_dec_pomdp
from assay.solvers.games.humans import Boltzmann, Human, Naive, Optimal, payoff_against
from assay.solvers.games.information import garbling_test
from assay.solvers.games.pairs import Solution, human_best_responses, optimal_pairs, optimal_value
from assay.solvers.games.two_stage import solve_two_stage
from assay.studies.games.observation_interference.products import product_game
from assay.worlds.games.assistance import AssistanceGame, blurred_choice, hiding_as_query, hiding_as_signal
from assay.worlds.games.dec_pomdp import two_stage_as_dec_pomdp

STAKES = tuple(Fraction(k, 4) for k in range(1, 17))  # worth of serving the right type, 1/4 to 4
# Hidden minus shown in the noisy-chooser game, X in {3, 9}, to three decimals; computed for this laboratory, not the paper's.
BLURRED = {0.1: -0.187, 0.3: -0.134, 0.5: 0.039, 0.8: 0.079, 1.0: 0.057, 2.0: 0.004, 5.0: 0.0}
INFLECTION = 2.39935728  # |u| at which x / (1 + exp(-beta x)) turns from convex to concave, u = beta x: u tanh(u/2) = 2


@dataclass(frozen=True)
class Settings:
    """What the exact examples need."""

    n_laws: Annotated[int, Ge(4), doc("random laws of X in the curvature test")] = 2000
    levels: Annotated[int, Ge(2), Le(4), doc("finest grid of the exactly solved product games")] = 4


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """Solve the three small games exactly, listed in a random order."""
    signal, plans = _signalling(seeds)
    query, stakes = _query()
    noisy, betas = _noisy(settings, seeds)
    return Measurement(
        {name: float(value) for name, value in (signal | query | noisy).items()},
        tables={"plans": plans, "stakes": stakes, "betas": betas, "exact_products": _exact_products(settings.levels)},
    )


def _signalling(seeds: Seeds) -> tuple[dict[str, Any], Table]:
    order = seeds("order")
    game, uninformed = hiding_as_signal().shuffled(order), hiding_as_signal(assistant_informed=False).shuffled(order)
    plain = game.without_hiding()

    def solve(chosen: AssistanceGame) -> Solution:
        return optimal_pairs(chosen.team_form())

    best, silent = solve(game), solve(plain)
    talk = [solve(plain.with_channel(to_human=m)).value for m in (2, 3)]
    spoken = solve(game.with_channel(to_human=3))
    shown = game.signal([game.hides.index(False)] * len(game.assistant_observations))
    blind = [game.signal([a] * len(game.assistant_observations)) for a, hides in enumerate(game.hides) if hides]
    estimands = {
        "p1_value": best.value,
        "p1_plain_value": silent.value,
        "p1_plain_two": talk[0],
        "p1_plain_three": talk[1],
        "p1_price": best.value - silent.value,
        "p1_uninformed_price": solve(uninformed).value - solve(uninformed.without_hiding()).value,
        "p1_optima": len(best.policies),
        "p1_talk_optima": len(spoken.policies),
        "p1_showing_optima": _showing(best),
        "p1_talk_showing_optima": _showing(spoken),
        "p1_garbling_optima": sum(garbling_test(game.signal(p.assistant), shown).holds for p in best.policies),
        "p1_blind_garblings": sum(garbling_test(kernel, shown).holds for kernel in blind),
    }
    full = sum(p * max(rewards[0]) for p, rewards in zip(game.prior, game.reward, strict=True))
    plans: Table = [
        {"plan": name, "payoff": float(value)}
        for name, value in (
            ("A shows everything", silent.value),
            ("A shows everything, says one of two words", talk[0]),
            ("A hides a product where that tells something", best.value),
            ("A shows everything, says one of three words", talk[1]),
            ("both know everything", full),
        )
    ]
    return estimands, plans


def _showing(solution: Any) -> int:
    """How many optimal policies of A never hide."""
    return sum(not any(solution.form.marked[a] for a in policies.assistant) for policies in solution.policies)


def _query() -> tuple[dict[str, Any], Table]:
    rows: Table = []
    advantages: list[Fraction] = []
    prices: dict[str, list[Fraction]] = {"naive": [], "optimal": [], "talk": []}
    gaps, short_gaps = [], []
    for stake in STAKES:
        game = hiding_as_query(stake)
        common = game.first.assistant_observations.index("common")
        shown, hidden = (Fraction(v) for v in solve_two_stage(game, Naive()).by_action[common])
        advantages.append(hidden - shown)
        cases: tuple[tuple[str, str, Human, int], ...] = (
            ("naive", "naive human", Naive(), 1),
            ("optimal", "optimal human", Optimal(), 1),
            ("talk", "naive human with one word", Naive(), 2),
        )
        for name, label, human, words in cases:
            told = game.with_channel(to_assistant=words)
            free, plain = (Fraction(solve_two_stage(g, human).value) for g in (told, told.without_hiding()))
            prices[name].append(free - plain)
            rows.append({"stake": float(stake), "human": label, "value": float(free), "price": float(free - plain)})
        for version in (game, game.without_hiding()):
            exact = float(solve_two_stage(version, Optimal()).value)
            steps = two_stage_as_dec_pomdp(version)
            gaps.append(abs(solve_dec_pomdp(steps, 3).value - exact))
            short_gaps.append(abs(solve_dec_pomdp(steps, 2).value - exact))
    slopes = [4 * (later - earlier) for earlier, later in pairwise(advantages)]
    talk_slopes = [4 * (later - earlier) for earlier, later in pairwise(prices["talk"])]
    return {
        "p2_sign_misses": sum((a > 0) != (k > 1) or (a < 0) != (k < 1) for a, k in zip(advantages, STAKES, strict=True)),
        "p2_optimal_sign_misses": sum((a > 0) != (k > 1) for a, k in zip(prices["optimal"], STAKES, strict=True)),
        "p2_slope": slopes[0] if min(slopes) == max(slopes) else float("nan"),
        "p2_talk_slope": talk_slopes[0] if min(talk_slopes) == max(talk_slopes) else float("nan"),
        "p2_optimal_price": max(prices["optimal"]),
        "p2_naive_price": max(prices["naive"]),
        "p2_talk_price": max(prices["talk"]),
        "p2_planner_gap": max(gaps),
        "p2_short_planner_gap": max(short_gaps),
    }, rows


def _noisy(settings: Settings, seeds: Seeds) -> tuple[dict[str, float], Table]:
    def effect(values: tuple[int, ...], human: Human) -> float:
        """Expected payoff with X hidden minus with X shown."""
        game = blurred_choice(values)
        form, hide = game.team_form(), game.assistant_actions.index("hide")
        return payoff_against(form, (hide,), human) - payoff_against(form, (1 - hide,), human)

    estimands = {
        "p3_peak": effect((3, 9), Boltzmann(0.8)),
        "p3_low": effect((3, 9), Boltzmann(0.1)),
        "p3_middle": effect((3, 9), Boltzmann(1.0)),
        "p3_limit": effect((3, 9), Boltzmann(10.0)),
        "p3_rational": effect((3, 9), Optimal()),
        "p3_values_off": max(abs(effect((3, 9), Boltzmann(b)) - value) for b, value in BLURRED.items()),
        "p3_other_values_off": max(abs(effect((2, 10), Boltzmann(b)) - value) for b, value in BLURRED.items()),
    }
    betas: Table = [
        {"beta": float(beta), "law": f"X is {low} or {high}", "effect": effect((low, high), Boltzmann(float(beta)))}
        for low, high in ((3, 9), (1, 3), (5, 7))
        for beta in np.geomspace(0.05, 10, 25)
    ]
    return estimands | curvature_misses(settings.n_laws, seeds("laws")), betas


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
        effect = np.where(abs(hidden - shown) < 1e-12, 0.0, hidden - shown)
        misses[name] = int((effect * sign < 0).sum())
    return {"map_misses": misses["convex"] + misses["concave"], "map_straddling_misses": misses["straddling"]}


def _exact_products(finest: int) -> Table:
    """Two products on a grid: the depth rule against the optimum over all hiding rules and replies, exactly."""
    rows: Table = []
    for levels in range(2, finest + 1):
        game = product_game(2, levels)
        form = game.team_form()
        lower = tuple(
            game.assistant_actions.index(f"hide {1 if first <= second else 2}")
            for first, second in (name.split(".") for name in game.assistant_observations)
        )
        differing = tuple(
            action if name.split(".")[0] != name.split(".")[1] else game.assistant_actions.index("show all")
            for action, name in zip(lower, game.assistant_observations, strict=True)
        )
        for rule, value in (
            ("shows everything", human_best_responses(form, (0,) * form.shape[0])[0]),
            ("always hides the product with the lower R", human_best_responses(form, lower)[0]),
            ("hides it where the R's differ", human_best_responses(form, differing)[0]),
            ("optimum", optimal_value(form, limit=40_000_000)[0]),
        ):
            rows.append({"levels": levels, "rule": rule, "payoff": float(value), "exactly": str(value)})
    return rows
