"""Off-switch game: does an assistant that shares our goals always let us decide?

Paper   Garber, Subramani, Luu, Bedaywi, Russell, Emmons 2024, "The Partially Observable Off-Switch Game", AAAI 2025,
        arXiv:2411.17749.
Scale   Theirs: definitions, theorems and examples of up to six states, worked by hand. Ours: every example in exact rational
        arithmetic, with all optimal pairs; each theorem on more than 100,000 random integer games; learners beside the optimum.

Departs D1  Theorems are tested on random games, which can refute them and never prove them. Payoffs and probabilities of random
            games are integers over a common denominator, so that "never" means never and not "to within rounding".
        D2  Each run solves the fixed games with states and observations listed in a new random order.
        D3  The bounded-channel example is ours (found by exhaustive search), since the paper's own payoffs were not at hand; so
            is the one-bit version of the File Deletion Game. Their claims say "ours" in the source.
        D4  The deference curve, the price of deference, learned policies and behavioural humans go beyond the paper.
        D5  The bonus that restores waiting is paid per unit of probability that A waits, in payoff units of the game.
        D6  The control of E2 was replaced after a first run; its margin was not touched. The first control, a fully informed
            human, did not remove the cause: an assistant that has stopped waiting teaches its human nothing, and 9 in 100
            learners end there. That game stays in the table of ends.
"""

from assay.claims.study import Experiment, Preset, Study
from assay.studies.games.off_switch_game import examples, learners, sweeps
from assay.studies.games.off_switch_game.claims import FIXED_CLAIMS, LEARNING_CLAIMS, SWEEP_CLAIMS
from assay.studies.games.off_switch_game.figures import (
    COSTS_FIGURE,
    HUMANS_FIGURE,
    LEARNING_FIGURE,
    PLANS_FIGURE,
    WAITING_FIGURE,
)

STUDY = Study(
    "off-switch-game",
    doc=__doc__,
    experiments=(
        Experiment(
            "fixed-games",
            question="Do the paper's games have the values and pairs it states?",
            claims=FIXED_CLAIMS,
            presets={"quick": Preset(examples.Settings(n_garblings=5), 2), "laptop": Preset(examples.Settings(), 8)},
            measure=examples.measure,
            figures=(PLANS_FIGURE, HUMANS_FIGURE),
            cost="5 s of one core",
        ),
        Experiment(
            "random-games",
            question="Do the theorems hold in every one of many random games, and fail where their conditions do?",
            claims=SWEEP_CLAIMS,
            presets={
                "quick": Preset(sweeps.Settings(n_games=256, n_reversal_games=1024), 2),
                "laptop": Preset(sweeps.Settings(), 8),
                "paper": Preset(sweeps.Settings(n_games=131_072, n_reversal_games=1_048_576), 8),
            },
            measure=sweeps.measure,
            figures=(WAITING_FIGURE, COSTS_FIGURE),
            cost="17 s of one core",
        ),
        Experiment(
            "learners",
            question="Do independent learners find the optimal pair?",
            claims=LEARNING_CLAIMS,
            presets={
                "quick": Preset(learners.Settings(n_learners=8, n_steps=50), 2),
                "laptop": Preset(learners.Settings(), 8),
            },
            measure=learners.measure,
            figures=(LEARNING_FIGURE,),
            cost="18 s of one core",
        ),
    ),
)
