"""Observation interference: would an assistant that shares our goals hide things from us?

Paper   Emmons, Oesterheld, Conitzer, Russell 2024, "Observation Interference in Partially Observable Assistance Games",
        ICML 2025, arXiv:2412.17797.
Scale   Theirs: theorems by example, and a product-selection model with 30,000 trials a setting. Ours: three small games solved
        in exact arithmetic, more than 100,000 random games, and the product model in closed form, exactly on a grid, and with
        the same 30,000 trials.

Departs D1  The three small games tell the paper's three results with stories and numbers of our own: the paper's were not at
            hand. Values marked "ours" in a claim's source are these games', not the paper's.
        D2  Action-level interference is read as: the same effect on the state and on what A sees, and a less informative signal
            to H. Policy-level interference compares everything H learns, hidden state and A's observations included.
        D3  In the query game the attribute is common or divisive with equal chances and A sees which; values are stated given
            the common case, in which alone hiding asks a question.
        D4  The product model's attribute laws (uniform on [0, 1]), the rule (hide the products with the lowest expected R) and
            its closed forms are our reconstruction of section 7.
        D5  The naive human takes A's action to be independent of what A saw, so that blanks tell her nothing.
        D6  In random games the noisy human has beta = 8 per largest base payoff. A first look at beta = 2 had found no game in
            which hiding spares her mistakes: differences of payoffs stay on the convex side of E1 there. No margin was touched,
            and the table "noise" has a grid of betas.
        D7  Random games, the price of non-interference and learned policies go beyond the paper.
"""

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le, doc

from assay.claims.charts import Bars, Figure, Line, Lines
from assay.claims.rules import Above, Below, Equals, Ordered, Within
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Study, Table
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.studies.games.observation_interference.products import (
    best_depth,
    expected_payoff,
    informed_reply_gain,
    product_game,
    simulate,
)
from assay.studies.games.observation_interference.random_hiding import SHOW, HidingBatch, hiding_games
from assay.worlds.games.assistance import AssistanceGame, blurred_choice, hiding_as_query, hiding_as_signal

ROUNDING = 1e-12  # an exact rational is stored as its nearest float
EXACT = "exact: rational arithmetic, stored as the nearest float"
COUNT = "a count of exceptions: the theorem allows none, and integer arithmetic makes none by rounding"
STAKES = tuple(Fraction(k, 4) for k in range(1, 17))  # worth of serving the right type, 1/4 to 4
# Hidden minus shown in the noisy-chooser game, X in {3, 9}, to three decimals; computed for this laboratory, not the paper's.
BLURRED = {0.1: -0.187, 0.3: -0.134, 0.5: 0.039, 0.8: 0.079, 1.0: 0.057, 2.0: 0.004, 5.0: 0.0}
# Gain of the best hiding depth for ten products by how many R's A sees; 30,000 trials each, computed for this laboratory.
PRODUCT_GAINS = {0: 0.0, 2: 0.014, 4: 0.037, 6: 0.075, 8: 0.126, 10: 0.165}
RELEVANCES = (0, 1, 2, 4)  # quarters of the payoff that turn on what only A sees
BETAS = (0.5, 2.0, 8.0, 32.0)  # of noisy humans, per largest base payoff
BASE_PAYOFF = 36.0  # largest payoff of the part that does not
INFLECTION = 2.39935728  # |u| at which x / (1 + exp(-beta x)) turns from convex to concave, u = beta x: u tanh(u/2) = 2

FIXED_CLAIMS = (
    Claim(
        "C1",
        says="In the signalling game every optimal policy of A hides something.",
        source="result 1 (the game is ours)",
        estimand="p1_showing_optima",
        rule=Equals(0),
        margin="number of optimal A-policies that never hide",
        control=Control(
            "A may say one of three things for free: optimal policies that never hide exist", "p1_talk_showing_optima"
        ),
        paper_value="there are games in which every optimal pair interferes",
        summary="every",
    ),
    Claim(
        "C1-value",
        says="The optimum is worth 17/8, as much as if H saw everything.",
        source="ours",
        estimand="p1_value",
        rule=Equals(17 / 8, ROUNDING),
        margin=EXACT,
        control=Control("hiding is forbidden: 7/4", "p1_plain_value"),
        summary="every",
    ),
    Claim(
        "C1-policies",
        says="Exactly 6 of the 81 policies of A reach it.",
        source="ours",
        estimand="p1_optima",
        rule=Equals(6),
        margin=EXACT,
        control=Control("A may say one of three things for free: many more do", "p1_talk_optima"),
        summary="every",
    ),
    Claim(
        "C1-talk",
        says="With three free messages A reaches 17/8 without hiding anything.",
        source="result 1 (the game is ours)",
        estimand="p1_plain_three",
        rule=Equals(17 / 8, ROUNDING),
        margin=EXACT,
        control=Control("with two messages it cannot: 33/16", "p1_plain_two"),
        paper_value="hiding is needed only to communicate",
        summary="every",
    ),
    Claim(
        "C1-signal",
        says="At the level of policies the paradox dissolves: no optimal hiding rule tells H less than showing everything.",
        source="result 1, policy-level interference",
        estimand="p1_garbling_optima",
        rule=Equals(0),
        margin="number of optimal A-policies whose signal is a garbling of showing everything, by linear program",
        control=Control("policies that hide the same product whatever A saw are garblings", "p1_blind_garblings"),
        paper_value="optimal pairs without policy-level interference exist",
        summary="every",
    ),
    Claim(
        "C1-price",
        says="The price of forbidding A to hide is 3/8 in this game.",
        source="ours",
        estimand="p1_price",
        rule=Equals(3 / 8, ROUNDING),
        margin=EXACT,
        control=Control("A sees nothing, so that hiding can carry nothing: forbidding it costs nothing", "p1_uninformed_price"),
        summary="every",
    ),
    Claim(
        "C4",
        says="With a naive human hiding to ask pays exactly when the answer is worth more than 1.",
        source="result 2 (the game is ours)",
        estimand="p2_sign_misses",
        rule=Equals(0),
        margin="stakes on a grid of 16, from 1/4 to 4, at which the sign of the advantage is not that of K - 1",
        control=Control("an optimal human: hiding gains nothing at any stake, so the signs differ", "p2_optimal_sign_misses"),
        paper_value="hiding can serve as a query",
        summary="every",
    ),
    Claim(
        "C4-slope",
        says="The advantage of asking grows by 1/2 per unit of stake.",
        source="ours",
        estimand="p2_slope",
        rule=Equals(1 / 2, ROUNDING),
        margin=EXACT + "; the largest and the smallest slope between neighbouring stakes agree",
        control=Control(
            "a naive human who may also say one word: the slope of the price of never hiding is 0", "p2_talk_slope"
        ),
        summary="every",
    ),
    Claim(
        "C4-optimal",
        says="With an optimal human forbidding A to hide costs nothing, at any stake.",
        source="result 2",
        estimand="p2_optimal_price",
        rule=Equals(0, ROUNDING),
        margin="largest price of never hiding over the stakes",
        control=Control("a naive human", "p2_naive_price"),
        paper_value="the incentive vanishes when H plays optimally",
        summary="every",
    ),
    Claim(
        "C4-channel",
        says="With one free word from H to A forbidding A to hide costs nothing, even if H is naive otherwise.",
        source="result 2",
        estimand="p2_talk_price",
        rule=Equals(0, ROUNDING),
        margin="largest price of never hiding over the stakes",
        control=Control("a naive human without a channel", "p2_naive_price"),
        paper_value="the incentive vanishes with a channel to state preferences",
        summary="every",
    ),
    Claim(
        "C5",
        says="Hiding from a moderately noisy human (beta = 0.8) raises the expected payoff.",
        source="result 3 (the game is ours)",
        estimand="p3_peak",
        rule=Above(0.05),
        margin="half a percent of the larger option's payoff; ours gives 0.079",
        control=Control("a rational human: hiding gains nothing", "p3_rational"),
        paper_value="hiding can improve a Boltzmann-rational human's choices",
        summary="every",
    ),
    Claim(
        "C5-random",
        says="Hiding from a nearly random human (beta = 0.1) lowers it.",
        source="ours",
        estimand="p3_low",
        rule=Below(-0.05),
        margin="as for C5",
        control=Control("the moderately noisy human", "p3_peak"),
        summary="every",
    ),
    Claim(
        "C5-values",
        says="Hidden minus shown is -.187, -.134, .039, .079, .057, .004 and 0 at beta .1, .3, .5, .8, 1, 2 and 5.",
        source="ours",
        estimand="p3_values_off",
        rule=Below(0.000_51),
        margin="largest distance from the list, which has three decimals",
        control=Control("X in {2, 10} instead of {3, 9}: the list does not fit", "p3_other_values_off"),
        summary="every",
    ),
    Claim(
        "C5-limit",
        says="The effect vanishes as the human becomes rational.",
        source="result 3",
        estimand="p3_limit",
        rule=Equals(0, 1e-9),
        margin="at beta = 10 the remaining chance of a wrong choice is below e^-30",
        control=Control("beta = 1", "p3_middle"),
        paper_value="0",
        summary="every",
    ),
    Claim(
        "E1",
        says="Where all values of X lie on the concave side of x/(1 + exp(-beta x)) hiding pays, on the convex side it costs.",
        source="ours (second-derivative test)",
        estimand="map_misses",
        rule=Equals(0),
        margin="random laws of X and beta at which the sign of the effect is not that of the curvature",
        control=Control(
            "laws that straddle the inflection: the test decides nothing and is often wrong", "map_straddling_misses"
        ),
        summary="every",
    ),
    Claim(
        "E2",
        says="Backward induction over beliefs and Dec-POMDP dynamic programming agree on the query game at every stake.",
        source="ours",
        estimand="p2_planner_gap",
        rule=Below(1e-9),
        margin="largest distance over stakes, with and without hiding; floating point",
        control=Control("the last of the three steps is cut off: the values differ", "p2_short_planner_gap"),
        summary="every",
    ),
)

SWEEP_CLAIMS = (
    Claim(
        "C2",
        says="Every random game has an optimal pair in which no other policy of A tells H strictly more.",
        source="result 1, policy level (wording reconstructed)",
        estimand="dominated_optima",
        rule=Equals(0),
        margin="games in which each optimal A-policy's signal is a strict garbling of another's, by linear program",
        control=Control(
            "the policies that are best against a noisy human: in some games all are dominated", "dominated_noisy_optima"
        ),
        paper_value=0,
        summary="every",
    ),
    Claim(
        "C3",
        says="An assistant that sees nothing never gains by hiding from an optimal human.",
        source="value of information; single-player control",
        estimand="uninformed_gains",
        rule=Equals(0),
        margin=COUNT,
        control=Control("the same games with an informed assistant: hiding often pays", "informed_gains"),
        paper_value=0,
        summary="every",
    ),
    Claim(
        "C8",
        says="With an optimal human most random games give A a reason to hide.",
        source="generic frequency (no number in the paper)",
        estimand="share_optimal",
        rule=Above(0.5),
        margin="most means more than half",
        control=Control("what A sees does not matter for payoffs: no game does", "share_optimal_irrelevant"),
    ),
    Claim(
        "C8-naive",
        says="So do they with a naive human, whose choices A steers by what it lets her see.",
        source="generic frequency (no number in the paper)",
        estimand="share_naive",
        rule=Above(0.5),
        margin="most means more than half",
        control=Control("what A sees does not matter for payoffs: no game does", "share_naive_irrelevant"),
    ),
    Claim(
        "C8-noisy",
        says="With a noisy human many games do so even where what A sees does not matter: hiding spares her mistakes.",
        source="result 3, generic frequency (no number in the paper)",
        estimand="share_noisy_irrelevant",
        rule=Above(0.05),
        margin="one game in twenty",
        control=Control("an optimal human in the same games", "share_optimal_irrelevant"),
    ),
    Claim(
        "E3",
        says="The more of the payoff turns on what only A sees, the more games give it a reason to hide.",
        source="section 7's trend, on random games; ours",
        estimand=("share_r0", "share_r1", "share_r2", "share_r4"),
        rule=Ordered(0.03),
        margin="three games in a hundred a step",
        control=Control("A sees nothing: no step", ("uninformed_r0", "uninformed_r1", "uninformed_r2", "uninformed_r4")),
    ),
    Claim(
        "E4",
        says="A channel with a message for each of A's observations removes every reason to hide.",
        source="ours",
        estimand="full_channel_prices",
        rule=Equals(0),
        margin=COUNT,
        control=Control("two messages for three observations: some reason stays in some games", "one_bit_prices"),
        summary="every",
    ),
)

PRODUCT_CLAIMS = (
    Claim(
        "C6-zero",
        says="An assistant that sees no R gains nothing by hiding any number of products.",
        source="section 7",
        estimand="best_gain_0",
        rule=Below(0.0),
        margin="the largest gain of any depth above 0; hiding one of ten costs 1/110 in expectation",
        control=Control("an assistant that sees all R's", "best_gain_10"),
        paper_value=0,
    ),
    Claim(
        "C6",
        says="The gain of the best depth rises with the number of R's that A sees.",
        source="section 7, figures",
        estimand=tuple(f"gain_{k}" for k in PRODUCT_GAINS),
        rule=Ordered(0.005),
        margin="a third of the smallest step of the closed form, 0.014",
        control=Control("as many products are hidden at random", tuple(f"random_gain_{k}" for k in PRODUCT_GAINS)),
        paper_value="the incentive rises with private information",
    ),
    Claim(
        "C6-interior",
        says="With 5, 10 or 20 products and full private information the best depth is neither none nor all but one.",
        source="section 7",
        estimand="interior",
        rule=Equals(1),
        margin="1 if it holds at all three sizes, judged by the simulated payoffs",
        control=Control("without private information it is none", "interior_blind"),
        summary="every",
    ),
    Claim(
        "C6-closed",
        says="The closed form m/(m+1) + E[R | visible] gives the simulated payoffs.",
        source="ours",
        estimand="closed_form_error",
        rule=Within(-0.001, 0.001),
        margin="mean over all sizes, k and depths; the standard error of one 30,000-trial mean is 0.002",
        control=Control("the closed form for one R fewer", "closed_form_error_k1"),
    ),
    Claim(
        "C6-values",
        says="For ten products the gains at k = 0, 2, 4, 6, 8, 10 are 0, .014, .037, .075, .126, .165.",
        source="ours",
        estimand="values_off",
        rule=Below(0.006),
        margin="both sides are 30,000-trial means; four standard errors of their largest difference",
        control=Control("as many products are hidden at random", "random_values_off"),
    ),
    Claim(
        "C7",
        says="Hiding destroys information: the H of the chosen product falls with every product hidden.",
        source="section 7",
        estimand="h_step",
        rule=Below(0.0),
        margin="the largest step from one depth to the next, ten products, all R's seen",
        control=Control("H takes any visible product, so that nothing can be lost", "h_random_step"),
        paper_value="information is destroyed",
    ),
    Claim(
        "C7-conveyed",
        says="And conveys it: the R of the chosen product rises with every product hidden.",
        source="section 7",
        estimand="r_step",
        rule=Above(0.0),
        margin="the smallest step from one depth to the next, ten products, all R's seen",
        control=Control("as many products are hidden at random", "r_random_step"),
        paper_value="it tells",
    ),
    Claim(
        "E5",
        says="Choosing the depth by what A saw beats the best fixed depth.",
        source="ours",
        estimand="adaptive_gain",
        rule=Above(0.005),
        margin="a thirtieth of the gain of hiding",
        control=Control("A sees no R: there is nothing to choose by", "adaptive_gain_blind"),
    ),
)

LEARNING_CLAIMS = (
    Claim(
        "E6",
        says="A learning assistant comes to hide where every optimal policy hides, and stops where none does.",
        source="ours",
        estimand="agreement",
        rule=Above(0.9),
        margin="one in ten learners may end at an inferior policy",
        control=Control("the same learners before training", "agreement_untrained", rule=Below(0.9)),
    ),
)


@dataclass(frozen=True)
class FixedSettings:
    """What the exact examples need."""

    n_laws: Annotated[int, Ge(4), doc("random laws of X in the curvature test")] = 2000
    levels: Annotated[int, Ge(2), Le(4), doc("finest grid of the exactly solved product games")] = 4


@dataclass(frozen=True)
class SweepSettings:
    """Sizes of the random-game sweeps; every count is games in one run."""

    n_games: Annotated[int, Ge(64), doc("random games in each sweep")] = 16_384
    n_blackwell_games: Annotated[int, Ge(4), doc("random games whose signals are compared by linear programs")] = 150
    n_private: Annotated[int, Ge(3), Le(4), doc("values of what only A sees")] = 3
    beta: Annotated[float, Gt(0), doc("inverse temperature of the noisy human, per largest base payoff")] = 8.0


@dataclass(frozen=True)
class ProductSettings:
    """The product model."""

    n_trials: Annotated[int, Ge(100), doc("independent draws a setting; the paper's number")] = 30_000
    n_products: Annotated[tuple[int, ...], doc("numbers of products; 5 or more, and 10 among them")] = (2, 5, 10, 20)


@dataclass(frozen=True)
class LearningSettings:
    """Tabular policy gradient for A against models of the human."""

    n_learners: Annotated[int, Ge(2), doc("independent learners a game, human and run")] = 30
    n_steps: Annotated[int, Ge(10), doc("steps of exact gradient ascent")] = 1500
    learning_rate: Annotated[float, Gt(0), doc("step size on logits, per unit of payoff")] = 4.0


# --- fixed games -------------------------------------------------------------------------------------------------------------


def measure_fixed(settings: FixedSettings, seeds: Seeds) -> Measurement:
    """Solve the three small games exactly, listed in a random order."""
    signal, plans = _signalling(seeds)
    query, stakes = _query()
    noisy, betas = _noisy(settings, seeds)
    return Measurement(
        {name: float(value) for name, value in (signal | query | noisy).items()},
        tables={"plans": plans, "stakes": stakes, "betas": betas, "exact_products": _exact_products(settings.levels)},
    )


def _signalling(seeds: Seeds) -> tuple[dict[str, Any], Table]:
    from assay.solvers.games.information import garbling_test
    from assay.solvers.games.pairs import Solution, optimal_pairs

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
    from assay.solvers.games.dec_pomdp import solve_dec_pomdp
    from assay.solvers.games.humans import Human, Naive, Optimal
    from assay.solvers.games.two_stage import solve_two_stage
    from assay.worlds.games.dec_pomdp import two_stage_as_dec_pomdp

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


def _noisy(settings: FixedSettings, seeds: Seeds) -> tuple[dict[str, float], Table]:
    from assay.solvers.games.humans import Boltzmann, Human, Optimal, payoff_against

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
    return estimands | _curvature(settings.n_laws, seeds("laws")), betas


def _curvature(n_laws: int, rng: np.random.Generator) -> dict[str, float]:
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
    from assay.solvers.games.pairs import human_best_responses, optimal_value

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


# --- random games ------------------------------------------------------------------------------------------------------------


def measure_sweeps(settings: SweepSettings, seeds: Seeds) -> Measurement:
    """Frequencies and theorems on random hiding games."""
    shares, tables = _incentives(settings, seeds)
    return Measurement(shares | _domination(settings, seeds), tables=tables)


def _incentives(settings: SweepSettings, seeds: Seeds) -> tuple[dict[str, float], dict[str, Table]]:
    """Shares of games with a reason to hide, by human and by how much turns on what A sees; prices and channels."""
    estimands: dict[str, float] = {}
    rows: Table = []
    noise: Table = []
    channels: Table = []
    n = settings.n_games // len(RELEVANCES)
    totals: dict[str, float] = defaultdict(float)
    for step, relevance in enumerate(RELEVANCES):
        progress(step / len(RELEVANCES) / 2, "reasons to hide")
        rng, left = seeds(f"relevance {relevance}"), n
        sums: dict[str, float] = defaultdict(float)
        while left:
            part = min(left, 1024)
            games = hiding_games(part, rng=rng, n_private=settings.n_private, relevance=relevance)
            for name, amount in _counts(games, settings.beta, BETAS if relevance == 0 else ()).items():
                sums[name] += amount
                totals[name] += amount
            left -= part
        estimands[f"share_r{relevance}"] = sums["share, optimal human"] / n
        estimands[f"uninformed_r{relevance}"] = sums["share, A sees nothing"] / n
        for human in ("optimal", "naive", "noisy"):
            if relevance in (0, 2):
                estimands[f"share_{human}{'_irrelevant' if relevance == 0 else ''}"] = sums[f"share, {human} human"] / n
        words = [f"optimal human, {m} words" for m in range(2, settings.n_private + 1)]
        for case in ("optimal human", "naive human", "noisy human", *words):
            rows.append(
                {
                    "relevance": relevance / 4,
                    "case": case,
                    "share": sums[f"share, {case}"] / n,
                    "price": sums[f"price, {case}"] / n,
                }
            )
        # The cheapest channel that makes hiding needless: one word is silence.
        short = [1.0, *(sums[f"share, {case}"] / n for case in ("optimal human", *words))]
        channels += [
            {"relevance": relevance / 4, "words": m + 1, "share": short[m] - short[m + 1]} for m in range(settings.n_private)
        ]
        if relevance == 0:
            noise = [{"beta": beta, "share": sums[f"share, beta {beta:g}"] / n} for beta in BETAS]
    return estimands | {
        "uninformed_gains": totals["share, A sees nothing"],
        "informed_gains": totals["share, optimal human"],
        "full_channel_prices": totals[f"share, optimal human, {settings.n_private} words"],
        "one_bit_prices": totals["share, optimal human, 2 words"],
    }, {"incentive": rows, "noise": noise, "channels": channels}


def _counts(games: HidingBatch, beta: float, grid: tuple[float, ...]) -> dict[str, float]:
    """Over a batch: how many games give a reason to hide, and the summed price of forbidding it, case by case.

    Args:
        games: the batch.
        beta: of the noisy human.
        grid: further values of beta to count at.
    """
    from assay.solvers.games.batches import assistance_values, boltzmann_values, naive_values, policies

    payoff, unit, n_o = games.payoff(), games.scale * BASE_PAYOFF, games.n_assistant
    hiding = policies(n_o, 3)
    show = int(np.flatnonzero((hiding == SHOW).all(axis=1))[0])
    values = {
        "optimal human": assistance_values(payoff, hiding),
        "naive human": naive_values(payoff, hiding),
        "noisy human": boltzmann_values(payoff, games.mass(), hiding, beta=beta / BASE_PAYOFF),
    }
    values |= {f"beta {b:g}": boltzmann_values(payoff, games.mass(), hiding, beta=b / BASE_PAYOFF) for b in grid}
    found = {}
    for case, value in values.items():
        gain = value.max(axis=1) - value[:, show]
        # Integers for the optimal human; elsewhere a gain within rounding is none.
        found[f"share, {case}"] = float((gain > (0 if case == "optimal human" else 1e-9 * unit)).sum())
        found[f"price, {case}"] = float(gain.sum() / unit)
    # Nothing is hidden and A says one of n words: what is still missing to the optimum with hiding.
    shown, best = payoff[:, :, SHOW], values["optimal human"].max(axis=1)
    for n_words in range(2, n_o + 1):
        told = [
            sum(shown[:, plan == word].sum(axis=1).max(axis=2).sum(axis=1) for word in range(n_words))
            for plan in policies(n_o, n_words)
        ]
        reached = np.max(told, axis=0)
        found[f"share, optimal human, {n_words} words"] = float((best > reached).sum())
        found[f"price, optimal human, {n_words} words"] = float(np.maximum(best - reached, 0).sum() / unit)
    alone = assistance_values(games.uninformed().payoff(), policies(1, 3))
    found["share, A sees nothing"] = float((alone.max(axis=1) > alone[:, SHOW]).sum())
    return found


def _domination(settings: SweepSettings, seeds: Seeds) -> dict[str, float]:
    """Games in which every best policy of A is strictly less informative than another, for an optimal and a noisy human."""
    from assay.solvers.games.batches import assistance_values, boltzmann_values, policies

    games = hiding_games(settings.n_blackwell_games, rng=seeds("blackwell"), n_private=2)
    plans = policies(2, 3)
    values = {
        "dominated_optima": assistance_values(games.payoff(), plans),
        "dominated_noisy_optima": boltzmann_values(games.payoff(), games.mass(), plans, beta=settings.beta / BASE_PAYOFF),
    }
    problems = seeds("problems").standard_normal((48, 8, 3))
    counts = {name: 0 for name in values}
    for i in range(settings.n_blackwell_games):
        progress(0.5 + 0.5 * i / settings.n_blackwell_games, "Blackwell")
        kernels = [games.signals(i, plan) for plan in plans.tolist()]
        floats = [kernel.astype(float) for kernel in kernels]
        known: dict[int, bool] = {}
        for name, value in values.items():
            tolerance = 0 if name == "dominated_optima" else 1e-9 * abs(value[i]).max()
            best = np.flatnonzero(value[i] >= value[i].max() - tolerance)
            for p in best.tolist():
                if p not in known:
                    known[p] = any(_strictly_below(p, q, kernels, floats, problems) for q in range(len(plans)) if q != p)
            counts[name] += all(known[p] for p in best.tolist())
    return {name: float(count) for name, count in counts.items()}


def _strictly_below(p: int, q: int, kernels: list[Any], floats: list[Any], problems: Any) -> bool:
    """Whether signal p is a strict garbling of signal q; random decision problems rule most pairs out before any program."""
    from assay.solvers.games.information import garbling_test, may_be_garbling

    if not may_be_garbling(floats[p], floats[q], problems=problems):
        return False
    return garbling_test(kernels[p], kernels[q]).holds and not garbling_test(kernels[q], kernels[p]).holds


# --- product selection -------------------------------------------------------------------------------------------------------


def measure_products(settings: ProductSettings, seeds: Seeds) -> Measurement:
    """Simulate the product model at every size, amount of private information and depth, beside its closed form."""
    rows: Table = []
    errors, errors_k1 = [], []
    found = {}
    for size, d in enumerate(settings.n_products):
        progress(size / len(settings.n_products), f"{d} products")
        for k in range(0, d + 1, 1 if d <= 10 else 4):
            trials = simulate(d, k, settings.n_trials, rng=seeds(f"products {d}, seen {k}"))
            found[d, k] = trials
            for depth in range(d):
                exact = float(expected_payoff(d, k, d - depth))
                errors.append(trials.payoff[depth] - exact)
                if k:
                    errors_k1.append(trials.payoff[depth] - float(expected_payoff(d, k - 1, d - depth)))
                rows.append(
                    {
                        "products": d,
                        "seen": k,
                        "depth": depth,
                        "payoff": float(trials.payoff[depth]),
                        "exact": exact,
                        "kept": float(trials.h[depth]),
                        "conveyed": float(trials.r[depth]),
                        "free_choice": float(trials.informed[depth] - trials.payoff[depth]),
                        "free_choice_exact": float(informed_reply_gain(d, k, d - depth)),
                    }
                )
    gains = {k: _gain(found[10, k], best_depth(10, k)[0]) for k in PRODUCT_GAINS}
    random_gains = {k: _random_gain(found[10, k], best_depth(10, k)[0]) for k in PRODUCT_GAINS}
    ten, blind = found[10, 10], found[10, 0]
    large = [d for d in settings.n_products if d >= 5]
    estimands = {
        "best_gain_0": float((blind.payoff[1:] - blind.payoff[0]).max()),
        "best_gain_10": float((ten.payoff[1:] - ten.payoff[0]).max()),
        **{f"gain_{k}": gain for k, gain in gains.items()},
        **{f"random_gain_{k}": gain for k, gain in random_gains.items()},
        "interior": float(all(0 < int(found[d, d].payoff.argmax()) < d - 1 for d in large)),
        "interior_blind": float(all(0 < int(found[d, 0].payoff.argmax()) < d - 1 for d in large)),
        "closed_form_error": float(np.mean(errors)),
        "closed_form_error_k1": float(np.mean(errors_k1)),
        "values_off": max(abs(gains[k] - value) for k, value in PRODUCT_GAINS.items()),
        "random_values_off": max(abs(random_gains[k] - value) for k, value in PRODUCT_GAINS.items()),
        "h_step": float(np.diff(ten.h).max()),
        "h_random_step": float(np.diff(ten.h_random).max()),
        "r_step": float(np.diff(ten.r).min()),
        "r_random_step": float(np.diff(ten.r_random).min()),
        "adaptive_gain": float(ten.adaptive - ten.payoff.max()),
        "adaptive_gain_blind": float(blind.adaptive - blind.payoff.max()),
    }
    trade: Table = [
        {"depth": depth, "part": part, "payoff": float(values[depth])}
        for part, values in (("information kept", ten.h), ("information conveyed", ten.r))
        for depth in range(10)
    ]
    return Measurement(estimands, tables={"products": rows, "trade": trade, "gains": _gain_rows(found)})


def _gain(trials: Any, depth: int) -> float:
    """Gain of a depth over hiding nothing, in the same draws."""
    return float(trials.payoff[depth] - trials.payoff[0])


def _random_gain(trials: Any, depth: int) -> float:
    """Gain of hiding as many products at random, in the same draws."""
    return float(trials.h[depth] + trials.r_random[depth] - trials.payoff[0])


def _gain_rows(found: dict[tuple[int, int], Any]) -> Table:
    rows: Table = []
    for (d, k), trials in found.items():
        depth, exact = best_depth(d, k)
        rows.append({"products": d, "seen_share": k / d, "depth": depth, "gain": _gain(trials, depth), "exact": float(exact)})
    return rows


# --- learners ----------------------------------------------------------------------------------------------------------------


def measure_learning(settings: LearningSettings, seeds: Seeds) -> Measurement:
    """Train A against models of the human and ask whether it hides exactly where the optimum does."""
    from assay.agents.policy_gradient import train
    from assay.solvers.games.humans import Boltzmann, Human, Naive, Optimal, best_assistant

    humans: dict[str, Human] = {
        "optimal": Optimal(),
        "naive": Naive(),
        "noisy, beta 1": Boltzmann(1.0),
        "noisy, beta 0.1": Boltzmann(0.1),
    }
    games = (hiding_as_signal(), hiding_as_signal(assistant_informed=False), product_game(2, 2), blurred_choice((3, 9)))
    rows: Table = []
    agreements: list[bool] = []
    untrained: list[bool] = []
    for game in games:
        form = game.team_form()
        for name, human in humans.items():
            best = best_assistant(form, human)
            hides = {any(form.marked[a] for a in policy) for policy in best.assistants}
            stream = f"{game.name}, {name}"
            shares = []
            for n_steps, kept in ((settings.n_steps, agreements), (1, untrained)):
                learned = train(
                    form,
                    rng=seeds(stream),
                    n_seeds=settings.n_learners,
                    n_steps=n_steps,
                    learning_rate=settings.learning_rate,
                    human=human,
                )
                ends = [any(form.marked[a] for a in assistant) for assistant, _ in learned.greedy()]
                shares.append(float(np.mean(ends)))
                # Where optimal policies of both kinds tie, theory says nothing.
                if len(hides) == 1:
                    kept += [end in hides for end in ends]
            rows.append(
                {
                    "game": game.name,
                    "human": name,
                    "theory": "hides" if hides == {True} else "shows" if hides == {False} else "either",
                    "hides_trained": shares[0],
                    "hides_untrained": shares[1],
                }
            )
    return Measurement(
        {"agreement": float(np.mean(agreements)), "agreement_untrained": float(np.mean(untrained))}, tables={"learners": rows}
    )


# --- the study ---------------------------------------------------------------------------------------------------------------

PLANS_FIGURE = Figure(
    "plans",
    title="Hiding can be a way of speaking",
    caption=(
        "A buyer sees one quality of each of two products, her assistant the other; both want the best product bought. "
        "The assistant cannot talk, but it can cover up what she sees of a product. Covering the product it thinks less "
        "of tells her what it knows, and she chooses better than if she saw everything. Three words would do the same "
        "without hiding; two would not."
    ),
    chart=Bars("plans", x="plan", y="payoff", y_label="expected payoff"),
)

STAKES_FIGURE = Figure(
    "stakes",
    title="Hiding can be a way of asking",
    caption=(
        "What it costs to forbid the assistant to hide, by how much it is worth to learn what the human likes. If she "
        "chooses by immediate outcomes alone, hiding a fact makes her choice give away her taste, and that pays once the "
        "answer is worth more than 1. A human who plans along, or who can say one word, makes it unnecessary."
    ),
    chart=Lines(
        "stakes",
        x="stake",
        y="price",
        by="human",
        x_label="worth of knowing her type, K",
        y_label="price of never hiding",
        lines=(Line(1.0, "K = 1", axis="x"),),
    ),
    further=True,
)

BETAS_FIGURE = Figure(
    "betas",
    title="Hiding can spare a noisy human her mistakes",
    caption=(
        "Expected payoff with the option's worth X hidden minus with X shown, by how strongly payoffs sway her choice. "
        "Above zero, hiding helps: a human who errs more often when the option looks poor is spared that look. Below, the "
        "information was worth more. A rational human (far right) is hurt by neither."
    ),
    chart=Lines(
        "betas",
        x="beta",
        y="effect",
        by="law",
        x_scale="log",
        x_label="beta (0: random, large: rational)",
        y_label="gain from hiding",
        lines=(Line(0.0, "none"),),
    ),
    further=True,
)

INCENTIVE_FIGURE = Figure(
    "incentive",
    title="How often there is a reason to hide",
    caption=(
        "Share of random games in which forbidding the assistant to hide costs something, by how much of the payoff turns "
        "on what only the assistant sees, for three models of the human and for an assistant that may also talk."
    ),
    chart=Lines(
        "incentive",
        x="relevance",
        y="share",
        by="case",
        x_label="weight of what only the assistant sees",
        y_label="share of games",
        markers=True,
    ),
)

CHANNELS_FIGURE = Figure(
    "channels",
    title="A few words make hiding needless",
    caption=(
        "How many different words the assistant must be able to say, in random games, before forbidding it to hide costs "
        "nothing. One word is silence: no channel is needed."
    ),
    chart=Lines(
        "channels",
        x="relevance",
        y="share",
        by="words",
        x_label="weight of what only the assistant sees",
        y_label="share of games",
        markers=True,
    ),
    names={"words": "words needed"},
    further=True,
)

TRADE_FIGURE = Figure(
    "trade",
    title="What hiding costs and what it tells",
    caption=(
        "Ten products. The assistant hides those it thinks least of; the human takes the best-looking of the rest. With "
        "every product hidden she loses choice (information kept) and gains the assistant's advice (information "
        "conveyed)."
    ),
    chart=Lines(
        "trade",
        x="depth",
        y="payoff",
        by="part",
        x_label="products hidden",
        y_label="expected quality of the product taken",
        markers=True,
    ),
)

GAINS_FIGURE = Figure(
    "gains",
    title="The more the assistant knows, the more hiding pays",
    caption=(
        "Gain of hiding the best number of products over showing all, by the share of products the assistant has looked "
        "into; the number of products stands beside each line. Dashed: the closed form."
    ),
    chart=Lines(
        "gains",
        x="seen_share",
        y="gain",
        by="products",
        theory="exact",
        x_label="share of products looked into",
        y_label="gain in expected payoff",
        markers=True,
    ),
)

LEARNERS_FIGURE = Figure(
    "learners",
    title="Learners find out when to hide",
    caption=(
        "Share of learning assistants whose final policy hides something, by game and by the human they were trained "
        "with: where hiding tells her something, where there is nothing to tell, with two products, and where it spares a "
        "noisy human her mistakes. Shares between 0 and 1 stand where hiding and showing are equally good."
    ),
    chart=Bars("learners", x="human", y="hides_trained", panel="game", y_label="share that hides"),
    names={
        "Hiding as signalling": "hiding tells",
        "Hiding as signalling, A uninformed": "nothing to tell",
        "Product selection, 2 products, 2 levels": "two products",
        "Hiding from a noisy chooser": "hiding spares",
    },
)

STUDY = Study(
    "observation-interference",
    doc=__doc__,
    experiments=(
        Experiment(
            "fixed-games",
            question="Does hiding pay as a signal, as a query and as a crutch, and what makes it unnecessary?",
            claims=FIXED_CLAIMS,
            presets={"quick": Preset(FixedSettings(n_laws=50, levels=2), 2), "laptop": Preset(FixedSettings(), 4)},
            measure=measure_fixed,
            figures=(PLANS_FIGURE, STAKES_FIGURE, BETAS_FIGURE),
            cost="8 s of one core",
        ),
        Experiment(
            "random-games",
            question="How often is there a reason to hide, and does it ever lie at the level of whole policies?",
            claims=SWEEP_CLAIMS,
            presets={
                "quick": Preset(SweepSettings(n_games=256, n_blackwell_games=4), 2),
                "laptop": Preset(SweepSettings(), 8),
                "paper": Preset(SweepSettings(n_games=65_536, n_blackwell_games=1000), 8),
            },
            measure=measure_sweeps,
            figures=(INCENTIVE_FIGURE, CHANNELS_FIGURE),
            cost="47 s of one core",
        ),
        Experiment(
            "product-selection",
            question="What does hiding trade when it communicates?",
            claims=PRODUCT_CLAIMS,
            presets={
                "quick": Preset(ProductSettings(n_trials=500, n_products=(2, 5, 10)), 2),
                "laptop": Preset(ProductSettings(), 8),
            },
            measure=measure_products,
            figures=(GAINS_FIGURE, TRADE_FIGURE),
            cost="21 s of one core",
        ),
        Experiment(
            "learners",
            question="Does a learning assistant come to hide exactly where it pays?",
            claims=LEARNING_CLAIMS,
            presets={
                "quick": Preset(LearningSettings(n_learners=4, n_steps=50), 2),
                "laptop": Preset(LearningSettings(), 6),
            },
            measure=measure_learning,
            figures=(LEARNERS_FIGURE,),
            cost="24 s of one core",
        ),
    ),
)
