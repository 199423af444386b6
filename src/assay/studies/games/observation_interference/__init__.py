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

from assay.claims.study import Experiment, Preset, Study
from assay.studies.games.observation_interference import learners, selection, small_games, sweeps
from assay.studies.games.observation_interference.claims import FIXED_CLAIMS, LEARNING_CLAIMS, PRODUCT_CLAIMS, SWEEP_CLAIMS
from assay.studies.games.observation_interference.figures import (
    BETAS_FIGURE,
    CHANNELS_FIGURE,
    GAINS_FIGURE,
    INCENTIVE_FIGURE,
    LEARNERS_FIGURE,
    PLANS_FIGURE,
    STAKES_FIGURE,
    TRADE_FIGURE,
)

STUDY = Study(
    "observation-interference",
    doc=__doc__,
    experiments=(
        Experiment(
            "fixed-games",
            question="Does hiding pay as a signal, as a query and as a crutch, and what makes it unnecessary?",
            claims=FIXED_CLAIMS,
            presets={
                "quick": Preset(small_games.Settings(n_laws=50, levels=2), 2),
                "laptop": Preset(small_games.Settings(), 4),
            },
            measure=small_games.measure,
            figures=(PLANS_FIGURE, STAKES_FIGURE, BETAS_FIGURE),
            cost="8 s of one core",
        ),
        Experiment(
            "random-games",
            question="How often is there a reason to hide, and does it ever lie at the level of whole policies?",
            claims=SWEEP_CLAIMS,
            presets={
                "quick": Preset(sweeps.Settings(n_games=256, n_blackwell_games=4), 2),
                "laptop": Preset(sweeps.Settings(), 8),
                "paper": Preset(sweeps.Settings(n_games=65_536, n_blackwell_games=1000), 8),
            },
            measure=sweeps.measure,
            figures=(INCENTIVE_FIGURE, CHANNELS_FIGURE),
            cost="47 s of one core",
        ),
        Experiment(
            "product-selection",
            question="What does hiding trade when it communicates?",
            claims=PRODUCT_CLAIMS,
            presets={
                "quick": Preset(selection.Settings(n_trials=500, n_products=(2, 5, 10)), 2),
                "laptop": Preset(selection.Settings(), 8),
            },
            measure=selection.measure,
            figures=(GAINS_FIGURE, TRADE_FIGURE),
            cost="21 s of one core",
        ),
        Experiment(
            "learners",
            question="Does a learning assistant come to hide exactly where it pays?",
            claims=LEARNING_CLAIMS,
            presets={
                "quick": Preset(learners.Settings(n_learners=4, n_steps=50), 2),
                "laptop": Preset(learners.Settings(), 6),
            },
            measure=learners.measure,
            figures=(LEARNERS_FIGURE,),
            cost="24 s of one core",
        ),
    ),
)
