"""What the off-switch study asserts: exactly of the paper's games and theorems, as findings of random games and learners."""

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.exact import Exact
from assay.claims.rules import Above, Equals

ROUNDING = 1e-12  # an exact rational is stored as its nearest float
ARITHMETIC = "rational arithmetic, stored as the nearest float"
COUNT = "the theorem allows no exception, and integer arithmetic makes none by rounding"


def _exact(name: str, says: str, rule: Equals | Above, at: str, without: str, paper: str | float | None = None) -> Exact:
    """A statement that holds by arithmetic or by a theorem; `without` says where the same number must not obey the rule."""
    reason = COUNT if rule == Equals(0) else ARITHMETIC
    return Exact(name, says, rule, why=f"{reason}. Without the cause it fails: {without}", at=at, paper=paper)


EXACT_CHECKS = (
    _exact(
        "C1",
        "In the File Deletion Game the best pair of policies is worth {value} (7/4).",
        Equals(7 / 4, ROUNDING), "Example 4.1, Table 1",
        "H sees the kind of code as well: the value of full information, 2", "7/4",
    ),
    _exact(
        "C1.pair",
        "In the File Deletion Game {value} of the 35 other pairs earn as much as this one: A acts on legacy code and waits on "
        "modern code; H says OFF at 1.0 and ON at 2.0.",
        Equals(0), "Example 4.1",
        "other pairs that earn as much as always waiting, 1: there are some", 0,
    ),
    _exact(
        "C1.wait",
        "If A must always wait in the File Deletion Game, the best reply of H is worth {value}.",
        Equals(1, ROUNDING), "Example 4.1",
        "A may send one bit along with waiting: always waiting becomes worth 2", "1",
    ),
    _exact(
        "C2",
        "In the File Deletion Game, with a perfectly rational human, A acts on its own on legacy code in a share {value} of "
        "the optimal pairs: in all.",
        Equals(1, ROUNDING), "Example 4.1",
        "H sees what A sees: waiting everywhere is optimal too", "unilateral action is optimal",
    ),
    _exact(
        "C4",
        "In the three-version File Deletion Game, showing H the full version instead of its first digit raises the value by "
        "{value:.6g} (1/3).",
        Equals(1 / 3, ROUNDING), "Example 4.10, Proposition 4.9",
        "H is shown a coin flip beside the first digit, a refinement without information: no gain", "1 to 4/3",
    ),
    _exact(
        "C4.wait",
        "In the three-version File Deletion Game, showing H the full version takes {value} observation out of A's only wait "
        "set: A waits less.",
        Equals(1), "Example 4.10, Proposition 4.9",
        "a coin flip beside the first digit: nothing is lost", "{A, B} to {B}",
    ),
    _exact(
        "C5.example",
        "A garbling that is not coordinated can raise the value: by {value} in Example A.13.",
        Equals(1 / 4, ROUNDING), "Example A.13",
        "the best of 200 random coordinated garblings of the same structure: no gain", "3/4 to 1",
    ),
    _exact(
        "C5.pairs",
        "With a bit for each side, Example A.13 has exactly {value} optimal pairs.",
        Equals(2), "Example A.13",
        "where H sees whether the bits differ there is one", 2,
    ),
    _exact(
        "C5.test",
        "A linear program proves that the second structure of Example A.13 is no coordinated garbling of the first: a game "
        "with payoffs in [-1, 1] separates them by more than {bound}.",
        Above(0.5), "Definitions 4.4 to 4.6, Example A.13; the program is ours",
        "a coordinated garbling of the first structure: nothing separates",
    ),
    _exact(
        "C5.one-way",
        "In Example A.13 the second structure is a garbling of the first, and the first is none of the second.",
        Equals(1), "Example A.13",
        "the two structures swapped", "a garbling, not a coordinated one",
    ),
    _exact(
        "C7",
        "Two words can make A wait strictly less than silence: in the bounded-talk game they take {value} observation out "
        "of its only wait set.",
        Equals(1), "section on communication; the game is ours",
        "in the File Deletion Game one bit makes A wait more, not less", "bounded talk can make A defer less",
    ),
    _exact(
        "C7.one",
        "Without talk the bounded-talk game is worth {value:.6g} (10/9).",
        Equals(10 / 9, ROUNDING), "ours", "one payoff is larger by 1: the value moves",
    ),
    _exact(
        "C7.two",
        "With two words the bounded-talk game is worth {value:.6g} (13/9).",
        Equals(13 / 9, ROUNDING), "ours", "one payoff is larger by 1: the value moves",
    ),
    _exact(
        "C7.three",
        "With three words the bounded-talk game is worth {value:.6g} (14/9).",
        Equals(14 / 9, ROUNDING), "ours", "one payoff is larger by 1: the value moves",
    ),
    _exact(
        "C7.bit",
        "One bit from A to H brings the File Deletion Game to its first best, {value}, with A waiting on both kinds of code.",
        Equals(2, ROUNDING), "ours", "without the bit",
    ),
    _exact(
        "C3",
        "If A's observation is redundant given H's, some optimal pair always waits: {value} exceptions among random games.",
        Equals(0), "Proposition 4.3",
        "A has private information: exceptions are common", 0,
    ),
    _exact(
        "C3.human",
        "If H's observation is redundant given A's, some optimal pair never waits: {value} exceptions among random games.",
        Equals(0), "Proposition 4.3",
        "H has private information: exceptions are common", 0,
    ),
    _exact(
        "C5",
        "A coordinated garbling of what the sides see raises the optimal value in {value} random games.",
        Equals(0), "Theorem 4.7, easy direction",
        "garblings of the pair of observations, which two sides could not make apart: some raise it", 0,
    ),
    _exact(
        "C6",
        "One more word from A to H lowers the optimal value in {value} random games.",
        Equals(0), "section on communication",
        "instead of the optimum, what best replies in turn reach from a random start: a word lowers it in some", 0,
    ),
    _exact(
        "C6.wait",
        "With as many words as A has observations some optimal pair always waits: {value} exceptions among random games.",
        Equals(0), "section on communication, Proposition 4.3",
        "one word fewer than that: exceptions occur", 0,
    ),
    _exact(
        "C8",
        "Of random stochastic pairs of policies {value} earn more than the best deterministic pair.",
        Equals(0), "Lemma A.5",
        "H's choice may depend on what A saw, which no pair of separate policies allows", 0,
    ),
    _exact(
        "C8.unique",
        "Where one deterministic pair is the only optimum, {value} properly stochastic pairs earn as much.",
        Equals(0), "Corollary A.6",
        "games with several optimal pairs: mixtures that earn as much exist", 0,
    ),
    _exact(
        "C9",
        "With a fully informed human waiting beats deciding alone by exactly min(E[U; U >= 0], -E[U; U < 0]): {value} "
        "exceptions.",
        Equals(0), "the original off-switch game, Hadfield-Menell et al. 2017",
        "the human reads U with noise: the formula misses", 0,
    ),
    _exact(
        "C9.sign",
        "With a fully informed human waiting pays exactly where U takes both signs: {value} exceptions.",
        Equals(0), "the original off-switch game, Hadfield-Menell et al. 2017",
        "the human reads U with noise: two signs and no advantage occur together", 0,
    ),
)  # fmt: skip

SHARE_ESTIMANDS = (
    Estimand("acts_alone", "games in which every optimal pair sometimes decides without H", "share of games", 0, 1),
    Estimand("unaware_loss", "value lost to a human who ignores that being asked tells her something, over the largest payoff",
             "share of the largest payoff", 0, 2),
    Estimand("refining_waits_less", "games whose only wait set shrinks strictly when two of H's observations are told apart",
             "share of games", 0, 1),
    Estimand("refining_net", "games whose only wait set grows when two of H's observations are told apart, minus those whose "
             "only wait set shrinks", "share of games", -1, 1),
    Estimand("talking_waits_less", "games whose only wait set shrinks strictly when A may say more than silence",
             "share of games", 0, 1),
    Estimand("talking_waits_more", "games whose only wait set grows strictly when A may say more than silence",
             "share of games", 0, 1),
    Estimand("price_cut", "by how much the channel lowers what always waiting costs, over the largest payoff",
             "share of the largest payoff", -1, 1),
)  # fmt: skip

NO_PRIVACY = "H is shown what A sees, in the same games: A has no private information, and nothing is lost by waiting"

SHARE_CLAIMS = (
    Claim(
        "C2.common",
        "In more than {bound:.0%} of random games in which each side sees half of what matters, every optimal pair "
        "sometimes acts or shuts down without asking.",
        "private/acts_alone",
        Above(0.5),
        why="more than half is common; the paper shows one game",
        at="Example 4.1 (how common is ours)",
        negative=Arm("shown", NO_PRIVACY),
        positive=Arm("planted", "games near the File Deletion Game, payoffs 20-fold and moved by up to 4"),
        paper="unilateral action can be optimal",
    ),
    Claim(
        "C4.common",
        "Telling two of H's observations apart makes A wait strictly less in more than {bound:.0%} of random games.",
        "finer/refining_waits_less",
        Above(0.01),
        why="one game in a hundred would be met in practice; the paper shows one game",
        at="Proposition 4.9 (how common is ours)",
        negative=Arm("coin", "H is shown a coin flip instead of what tells the two apart: nothing shrinks"),
        positive=Arm("planted", "games near the three-version File Deletion Game, payoffs 20-fold and moved by up to 4"),
        paper="more information for H can make A wait less",
    ),
    Claim(
        "C4.net",
        "Telling two of H's observations apart makes A wait more in more random games than it makes A wait less: the "
        "difference is above {bound:.0%} of games.",
        "finer/refining_net",
        Above(0.02),
        why="two games in a hundred; a reversal that were as common as its opposite would be the rule and not the exception",
        at="ours",
        negative=Arm("coin", "H is shown a coin flip instead: neither grows nor shrinks"),
    ),
    Claim(
        "C7.common",
        "Two words from A to H make A wait strictly less in more than {bound:.1%} of random games.",
        "two-words/talking_waits_less",
        Above(0.001),
        why="one game in a thousand; the paper shows one game",
        at="abstract and section on communication (how common is ours)",
        negative=Arm(
            "every-word", "a word for each of A's observations: talk is no longer bounded, and always waiting is optimal"
        ),
        positive=Arm("planted", "games near the bounded-talk game, payoffs 20-fold and moved by up to 4"),
        paper="bounded talk can make A defer less",
    ),
    Claim(
        "C7.more",
        "Two words from A to H make A wait strictly more in more than {bound:.0%} of random games.",
        "two-words/talking_waits_more",
        Above(0.5),
        why="more than half is most",
        at="ours",
        negative=Arm("jammed", "the second word reaches H as a coin flip: nothing grows"),
    ),
    Claim(
        "E1",
        "Two words from A to H lower what always waiting costs by more than {bound} of the largest payoff, on average over "
        "random games.",
        "two-words/price_cut",
        Above(0.01),
        why="one hundredth of the largest payoff",
        at="ours",
        negative=Arm("jammed", "the second word reaches H as a coin flip: waiting costs as much as before"),
    ),
    Claim(
        "E4",
        "A human who ignores that being asked tells her something costs the pair more than {bound} of the largest payoff, on "
        "average over random games, although A knows that she does.",
        "private/unaware_loss",
        Above(0.01),
        why="one hundredth of the largest payoff",
        at="ours",
        negative=Arm("shown", "H sees what A sees, so that being asked tells her nothing: ignoring it costs nothing"),
    ),
)

LEARNING_ESTIMANDS = (
    Estimand("inferior_excess", "learners that end below the optimum, minus those that do where H sees everything",
             "share of learners", -1, 1),
    Estimand("inferior", "learners that end below the optimum", "share of learners", 0, 1),
    Estimand("stable", "ends from which neither side gains by changing alone, over seven games", "share of ends", 0, 1),
)  # fmt: skip

LEARNING_CLAIMS = (
    Claim(
        "E2",
        "In the File Deletion Game more independent learners end at an inferior pair than where H sees everything: the "
        "excess is above {bound:.0%} of learners.",
        "two-sided/inferior_excess",
        Above(0.05),
        why="one learner in twenty, as before the claim was restated as an excess (D6)",
        at="ours",
        negative=Arm("alone", "A sees the version too and can decide alone: hardly any ends at an inferior pair"),
    ),
    Claim(
        "E2.informed",
        "Even where the human sees everything more than {bound:.0%} of independent learners end at an inferior pair.",
        "informed/inferior",
        Above(0.05),
        why="one learner in twenty",
        at="ours",
        null_passes="untrained: the claim is of a lack, and who has not learned lacks it too; its other half is E3: those that "
        "learn come to rest, and fail where neither side gains alone",
        negative=Arm("alone", "A sees everything and can decide alone"),
    ),
    Claim(
        "E3",
        "Where independent learners end, neither side gains by changing alone: more than {bound:.0%} of ends are "
        "person-by-person optima.",
        "trained/stable",
        Above(0.95),
        why="five in a hundred may still be on their way when training stops",
        at="ours",
        negative=Arm("untrained", "the same learners before training"),
    ),
)
