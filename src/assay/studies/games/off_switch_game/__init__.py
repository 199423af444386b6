"""Off-switch game: does an assistant that shares our goals always let us decide?

The paper's examples and theorems are checked exactly; how common what they show is gets measured on random games, and whether
learners find the optimum, with independent policy gradients.
"""

from assay.claims.claim import Arm
from assay.claims.paper import Cost, Departure, Example, Headline, Paper
from assay.claims.study import Experiment, Preset, Study
from assay.studies.games.off_switch_game import claims, figures
from assay.studies.games.off_switch_game.settings import GameSettings, LearnerSettings

HOW_COMMON = "How common among games is what the paper's examples show?"
LEARNING = "Do learners find the optimal pair?"

STUDY = Study(
    "off-switch-game",
    title="Off-switch game: does an assistant that shares our goals always let us decide?",
    paper=Paper(
        "Garber, Subramani, Luu, Bedaywi, Russell and Emmons",
        2024,
        "The Partially Observable Off-Switch Game",
        "AAAI 2025, arXiv:2411.17749",
        headlines=(
            Headline(
                "If the human knows all that the assistant knows, an optimal assistant always waits for her.",
                ("C9", "C9.sign", "C3"),
            ),
            Headline(
                "If she does not, an optimal assistant sometimes acts without asking, although she is perfectly rational.",
                ("C1", "C1.pair", "C1.wait", "C2", "C2.common"),
            ),
            Headline(
                "More information or more communication never lowers what the two achieve together.",
                ("C5", "C5.example", "C6", "C4"),
            ),
            Headline(
                "More information for the human, or a little talk, can make the assistant wait less.",
                ("C4.wait", "C4.common", "C4.net", "C7", "C7.common", "C7.more"),
            ),
            Headline(
                "So payoff has to be weighed against the incentive to leave the decision to the human.",
                ("E1", "E4"),
            ),
        ),
    ),
    example=Example(
        (
            (
                "a file, a version, a kind of code",
                "Should the file be deleted? The human alone sees the *version* (1.0 or 2.0), the assistant alone"
                " the *code* (legacy or modern). Both want the same payoff.",
            ),
            (
                "1.0: +3 legacy, −5 modern   2.0: −1, +5",
                "What deleting pays in the four equally likely cases; leaving the file pays 0.",
            ),
            (
                "act, off, or wait",
                "The assistant deletes, leaves it, or *waits*: then the human decides, *ON* or *OFF*.",
            ),
            (
                "always wait: worth 1",
                "She knows the version alone, and lets it delete at 2.0: what the assistant knows is lost.",
            ),
            (
                "act on legacy, wait on modern: worth 7/4",
                "Better for both: that she is asked at all tells her that the code is modern. So the best "
                "assistant does not always wait.",
            ),
            (
                "wait, and say which code: worth 2",
                "With one *bit* of talk waiting is best again.",
            ),
        )
    ),
    scale="Theirs: definitions, theorems and examples of up to six states, worked by hand. Ours: every example in exact "
    "rational arithmetic, with all optimal pairs; each theorem on 16,384 random integer games; shares of random games of "
    "four by four observations; learners beside the optimum.",
    departures=(
        Departure(
            "D1",
            "Theorems are tested on random games, which can refute them and never prove them. Payoffs and probabilities of "
            "random games are integers over a common denominator, so that none means none and not none to within rounding. "
            "They are exact checks and take no part in the tally, as the examples are.",
        ),
        Departure(
            "D2",
            "How common the examples are is ours: games on the cells of a four by four table, all cells equally likely, H "
            "seeing the row and A the column, payoffs independent integers in [-99, 99], of which few tie.",
        ),
        Departure(
            "D3",
            "The bounded-channel example is ours (found by exhaustive search), since the paper's own payoffs could not be "
            "had; so is the one-bit version of the File Deletion Game. Their checks say so.",
        ),
        Departure(
            "D4",
            "The price of always waiting, the human who ignores what being asked tells her, and learned "
            "policies go beyond the paper.",
        ),
        Departure(
            "D5",
            "In the figures, the bonus that restores waiting is paid per unit of probability that A waits, as a share of the "
            "largest payoff.",
        ),
        Departure(
            "D6",
            "The first control of E2, a fully informed human, did not flip: an assistant that has stopped waiting teaches "
            "its human nothing, and 9 in 100 learners end there. It had been exchanged for another (A sees both). It is a "
            "finding of its own now (E2.informed), and E2 is stated as the excess over it, on fresh seeds.",
        ),
        Departure(
            "D7",
            "Earlier a claim said that reversals by talk are rarer than one game in 10,000. That was so of three by three "
            "games with payoffs in [-4, 4], two thirds of which have several optimal wait sets and cannot count; where few "
            "tie, reversals are thirty times as common (C7.common), and the claim is withdrawn.",
        ),
    ),
    experiments=(
        Experiment(
            "games",
            question="What are the paper's examples worth, and how common among games is what they show?",
            exact=claims.EXACT_CHECKS,
            check=f"{__name__}.examples:check",
            claims=claims.SHARE_CLAIMS,
            estimands=claims.SHARE_ESTIMANDS,
            nulls=(
                Arm("shared", "H sees all that A sees: waiting loses nothing"),
                Arm("harmless", "no action ever does harm: there is nothing to decide"),
            ),
            measure_nulls=f"{__name__}.shares:measure_nulls",
            presets={
                "quick": Preset(GameSettings(n_games=256, n_talks=2048, n_checked=512), 2),
                "laptop": Preset(GameSettings(), 32),
            },
            measure=f"{__name__}.shares:measure",
            figures=(figures.PLANS, figures.WAITING, figures.COSTS, figures.HUMANS),
            cost=Cost(0.4, cores=1, memory=0.1),
            family=HOW_COMMON,
        ),
        Experiment(
            "learners",
            question="Do independent learners find the optimal pair?",
            claims=claims.LEARNING_CLAIMS,
            estimands=claims.LEARNING_ESTIMANDS,
            nulls=(Arm("untrained", "the learners before training"),),
            measure_nulls=f"{__name__}.learners:measure_nulls",
            presets={
                "quick": Preset(LearnerSettings(n_learners=8, n_steps=50), 2),
                "laptop": Preset(LearnerSettings(), 16),
            },
            measure=f"{__name__}.learners:measure",
            figures=(figures.LEARNING,),
            cost=Cost(1.1, cores=1),
            family=LEARNING,
        ),
    ),
    version=2,
    first_seed=100,
)
