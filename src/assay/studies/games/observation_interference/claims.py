"""What the hiding study asserts: exactly of small games and theorems, as findings of random games, sampling and learners."""

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.exact import Exact
from assay.claims.rules import Above, Below, Equals, Ordered

ROUNDING = 1e-12  # an exact rational is stored as its nearest float
DIGITS = 0.000_51  # a list of three decimals
ARITHMETIC = "rational arithmetic, stored as the nearest float"
COUNT = "the theorem allows no exception, and integer arithmetic makes none by rounding"
FORMULA = "the closed form, in rational arithmetic"
CURVE = "one evaluation of the payoffs, to rounding"


def _exact(
    name: str, says: str, rule: Equals | Above | Below, at: str, without: str, why: str = "", paper: str | float | None = None
) -> Exact:
    """A statement that holds by arithmetic or by a theorem; `without` says where the same number must not obey the rule."""
    reason = why or (COUNT if rule == Equals(0) else ARITHMETIC)
    return Exact(name, says, rule, why=f"{reason}. Without the cause it fails: {without}", at=at, paper=paper)


GAME_CHECKS = (
    _exact(
        "C1",
        "In the signalling game {value} optimal policies of A never hide.",
        Equals(0), "result 1 (the game is ours)",
        "if A may say one of three things for free, optimal policies that never hide exist",
        ARITHMETIC, "there are games in which every optimal pair interferes",
    ),
    _exact(
        "C1.value",
        "The optimum of the signalling game is worth {value} (17/8), as much as if H saw everything.",
        Equals(17 / 8, ROUNDING), "ours", "if hiding is forbidden it is 7/4",
    ),
    _exact(
        "C1.policies",
        "Exactly {value} of the 81 policies of A reach the optimum of the signalling game.",
        Equals(6), "ours", "with three free words many more do",
    ),
    _exact(
        "C1.equivalent",
        "In the signalling game hiding and showing pay the same in all states and for all choices of H: {value} exceptions.",
        Equals(0), "result 1 (the game is ours)", "the choices of H do not pay the same",
        "the world was built so", "although otherwise equivalent actions are there",
    ),
    _exact(
        "C1.telling",
        "In the signalling game {value} actions, both that hide, tell H strictly less than showing everything does.",
        Equals(2), "result 1, action level (wording reconstructed)", "showing tells as much as showing",
    ),
    _exact(
        "C1.signal",
        "Compared as whole policies, {value} optimal hiding rules of the signalling game tell H less than showing everything.",
        Equals(0), "result 1, policy level (wording reconstructed)",
        "policies that hide the same product whatever A saw are garblings of showing everything",
        "linear programs, verified in rational arithmetic", "optimal pairs without policy-level interference exist",
    ),
    _exact(
        "C1.talk",
        "In the signalling game A reaches {value} (17/8) with three free words and without hiding anything.",
        Equals(17 / 8, ROUNDING), "result 1 (the game is ours)", "with two words 33/16",
        paper="hiding is needed only to communicate",
    ),
    _exact(
        "C1.price",
        "Forbidding A to hide costs {value} (3/8) in the signalling game.",
        Equals(3 / 8, ROUNDING), "ours", "if A sees nothing, hiding can carry nothing and forbidding it costs nothing",
    ),
    _exact(
        "C4",
        "With a naive human hiding to ask pays exactly when the answer is worth more than 1: {value} exceptions among 16 "
        "stakes from 1/4 to 4.",
        Equals(0), "result 2 (the game is ours)", "with an optimal human hiding gains nothing at any stake",
        ARITHMETIC, "hiding can serve as a query",
    ),
    _exact(
        "C4.slope",
        "With a naive human the advantage of hiding to ask grows by {value} per unit of stake.",
        Equals(1 / 2, ROUNDING), "ours", "if she may also say one word, the price of never hiding does not grow",
    ),
    _exact(
        "C4.optimal",
        "With an optimal human forbidding A to hide in the query game costs {value} at most, over all stakes.",
        Equals(0, ROUNDING), "result 2", "a naive human", ARITHMETIC, "the incentive vanishes when H plays optimally",
    ),
    _exact(
        "C4.channel",
        "With one free word from H to A forbidding A to hide in the query game costs {value} at most, even if H is naive "
        "otherwise.",
        Equals(0, ROUNDING), "result 2", "a naive human without a channel", ARITHMETIC,
        "the incentive vanishes with a channel to state preferences",
    ),
    _exact(
        "C5",
        "Hiding from a moderately noisy human (beta = 0.8) raises the payoff of the noisy-chooser game by {value}.",
        Equals(0.079, DIGITS), "result 3 (the game is ours)", "a rational human: hiding gains nothing", CURVE,
        "hiding can improve a Boltzmann-rational human's choices",
    ),
    _exact(
        "C5.random",
        "Hiding from a nearly random human (beta = 0.1) changes the payoff of the noisy-chooser game by {value}.",
        Equals(-0.187, DIGITS), "ours", "the moderately noisy human gains", CURVE,
    ),
    _exact(
        "C5.limit",
        "Hiding from a nearly rational human (beta = 10) changes the payoff of the noisy-chooser game by {value}.",
        Equals(0, 1e-9), "result 3", "beta = 1", "the remaining chance of a wrong choice is below e^-30", 0,
    ),
    _exact(
        "C5.values",
        "Hidden minus shown is -.187, -.134, .039, .079, .057, .004 and 0 at beta .1, .3, .5, .8, 1, 2 and 5, to less than "
        "{bound}.",
        Below(DIGITS), "ours", "X in {2, 10} instead of {3, 9}", CURVE,
    ),
    _exact(
        "E1",
        "Where all values of X lie on the concave side of x/(1 + exp(-beta x)) hiding pays, on the convex side it costs: "
        "{value} exceptions among 4,000 random laws.",
        Equals(0), "ours (second-derivative test)", "laws that straddle the inflection", "Jensen's inequality",
    ),
    _exact(
        "C2",
        "In {value} of 150 random games every optimal pair lets A tell H strictly less than another policy of A would.",
        Equals(0), "result 1, policy level (wording reconstructed)",
        "policies that are best against a noisy human are all dominated in some games",
        "a Blackwell-maximal optimal policy exists in every finite game", 0,
    ),
    _exact(
        "C3",
        "An assistant that sees nothing gains by hiding from an optimal human in {value} random games.",
        Equals(0), "value of information; single-player control", "the same games with an informed assistant", paper=0,
    ),
    _exact(
        "E4",
        "A channel with a word for each of A's observations leaves a reason to hide in {value} random games.",
        Equals(0), "ours", "two words for three observations leave some",
    ),
)  # fmt: skip

PRODUCT_CHECKS = (
    _exact(
        "C6.zero",
        "An assistant that sees no R loses by hiding: at best it gains {value:.6g} (-1/110), with ten products.",
        Equals(-1 / 110, ROUNDING), "section 7 (model reconstructed)", "an assistant that sees all R's gains", FORMULA, 0,
    ),
    _exact(
        "C6",
        "The gain of the best hiding depth rises with the number of R's that A sees: by more than {bound} at each step from "
        "0 to 10 by twos.",
        Above(0.005), "section 7, figures (model reconstructed)", "as many products are hidden at random", FORMULA,
        "the incentive rises with private information",
    ),
    _exact(
        "C6.interior",
        "With 5, 10 and 20 products and full private information the best depth is neither none nor all but one.",
        Equals(1), "section 7 (model reconstructed)", "without private information it is none", FORMULA,
    ),
    _exact(
        "C6.values",
        "For ten products the gains at 0, 2, 4, 6, 8, 10 R's seen are 0, .014, .037, .075, .126 and .165, to less than "
        "{bound}.",
        Below(0.006), "ours (means of 30,000 trials of another program)", "as many products are hidden at random", FORMULA,
    ),
    _exact(
        "C7",
        "Hiding destroys information: each further product hidden changes the expected H of the chosen product by {value:.6g} "
        "(-1/110) or less, with ten products.",
        Equals(-1 / 110, ROUNDING), "section 7 (model reconstructed)",
        "H takes any visible product, so that nothing can be lost", FORMULA, "information is destroyed",
    ),
    _exact(
        "C7.conveyed",
        "Hiding conveys information: with every product hidden the expected R of the chosen product rises by more than "
        "{bound}.",
        Above(0.04), "section 7 (model reconstructed)", "as many products are hidden at random", "1/22 by the closed form",
        "it tells",
    ),
)  # fmt: skip

GAME_ESTIMANDS = (
    Estimand("reason", "games in which forbidding A to hide costs something", "share of games", 0, 1),
    Estimand(
        "dominated",
        "games in which every best policy of A tells H strictly less than another policy of A would",
        "share of games",
        0,
        1,
    ),
)

GAME_CLAIMS = (
    Claim(
        "C1.common",
        "With an optimal human more than {bound:.0%} of random games, in which what only A sees weighs half as much as the "
        "rest, give A a reason to hide.",
        "half/reason",
        Above(0.5),
        why="more than half is common; the paper shows that there are such games",
        at="result 1 (how common is ours)",
        negative=Arm("blind-half", "A sees nothing, in the same games"),
        positive=Arm("planted", "games near the signalling game, payoffs 20-fold and moved by up to 3"),
        paper="there are games in which every optimal pair interferes",
    ),
    Claim(
        "C1.words",
        "Two words from A to H do not make hiding needless in more than {bound:.0%} of random games with three things to tell.",
        "two-words/reason",
        Above(0.1),
        why="one game in ten",
        at="ours",
        negative=Arm("every-word", "a word for each thing to tell, in the same games"),
    ),
    Claim(
        "C8.naive",
        "With a naive human more than {bound:.0%} of random games give A a reason to hide: it steers her by what it lets "
        "her see.",
        "naive/reason",
        Above(0.5),
        why="more than half is common",
        at="ours",
        negative=Arm("naive-none", "nothing turns on what only A sees, in games drawn the same way"),
    ),
    Claim(
        "C5.common",
        "With a noisy human more than {bound:.0%} of random games give A a reason to hide even where nothing turns on what "
        "only A sees: hiding spares her mistakes.",
        "noisy-none/reason",
        Above(0.05),
        why="one game in twenty",
        at="ours",
        negative=Arm("none", "an optimal human in the same games"),
    ),
    Claim(
        "C5.dominated",
        "With a noisy human every best policy of A tells her strictly less than another would in more than {bound:.0%} of "
        "random games.",
        "noisy/dominated",
        Above(0.05),
        why="one game in twenty",
        at="ours",
        negative=Arm("optimal", "an optimal human in the same games"),
    ),
    Claim(
        "E3",
        "The more of the payoff turns on what only A sees, the more random games give it a reason to hide: their share "
        "rises by more than {margin} from a quarter to a half to all of the weight of the rest.",
        ("quarter/reason", "half/reason", "whole/reason"),
        Ordered(0.03),
        why="three games in a hundred a step",
        at="ours",
        negative=Arm(("blind-quarter", "blind-half", "blind-whole"), "A sees nothing, in the same games: no step"),
    ),
)

PRODUCT_ESTIMANDS = (
    Estimand(
        "adaptive_gain",
        "payoff of choosing the hiding depth by what A saw, minus that of the best fixed depth",
        "payoff",
        -2,
        2,
    ),
)

PRODUCT_CLAIMS = (
    Claim(
        "E5",
        "With ten products, choosing how many to hide by what A saw beats the best fixed number by more than {bound}.",
        "seeing/adaptive_gain",
        Above(0.005),
        why="a thirtieth of the gain of hiding",
        at="ours",
        negative=Arm("blind", "A sees no R: there is nothing to choose by"),
    ),
)

LEARNING_ESTIMANDS = (
    Estimand(
        "agreement",
        "learners that hide where every best policy hides and do not where none does, both kinds of case weighing the same",
        "share of learners",
        0,
        1,
    ),
)

LEARNING_CLAIMS = (
    Claim(
        "E6",
        "More than {bound:.0%} of learning assistants come to hide where every best policy hides, and stop where none does.",
        "trained/agreement",
        Above(0.9),
        why="one in ten learners may end at an inferior policy; always or never hiding agrees with theory in half of the cases",
        at="ours",
        negative=Arm("untrained", "the same learners before training"),
    ),
)
