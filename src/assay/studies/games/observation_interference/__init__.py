"""Observation interference: would an assistant that shares our goals hide things from us?

Three small games and the paper's model of product selection are solved exactly; how often there is a reason to hide gets
measured on random games, and whether learners find it, with policy gradients.
"""

from assay.claims.claim import Arm
from assay.claims.paper import Cost, Departure, Example, Headline, Paper
from assay.claims.study import Experiment, Preset, Study
from assay.studies.games.observation_interference import claims, figures
from assay.studies.games.observation_interference.settings import GameSettings, LearnerSettings, ProductSettings

HOW_COMMON = "When, and how often, is there a reason to hide?"
TRADE = "What does hiding trade when it communicates?"
LEARNING = "Does a learning assistant come to hide exactly where it pays?"

STUDY = Study(
    "observation-interference",
    title="Observation interference: would an assistant that shares our goals hide things from us?",
    paper=Paper(
        "Emmons, Oesterheld, Conitzer and Russell",
        2024,
        "Observation Interference in Partially Observable Assistance Games",
        "ICML 2025, arXiv:2412.17797",
        headlines=(
            Headline(
                "An optimal assistant must sometimes hide something, although the human plays optimally and equivalent "
                "actions that hide nothing are there.",
                ("C1", "C1.value", "C1.equivalent", "C1.telling", "C1.common"),
            ),
            Headline(
                "Compared as whole policies the paradox dissolves: information is worth nothing or more to a team too.",
                ("C1.signal", "C2", "C3"),
            ),
            Headline(
                "If the human decides by immediate outcomes, hiding can be a way of asking for her preferences.",
                ("C4", "C4.slope", "C8.naive"),
            ),
            Headline(
                "That incentive goes away if she plays optimally or can state her preferences.",
                ("C4.optimal", "C4.channel"),
            ),
            Headline(
                "If she is Boltzmann-rational, the assistant can have a reason to hide.",
                ("C5", "C5.random", "C5.limit", "E1", "C5.common", "C5.dominated"),
            ),
            Headline(
                "Hiding tells what the assistant knows and destroys what the human would see; the more it knows, the more "
                "it hides.",
                ("C6", "C6.zero", "C6.interior", "C7", "C7.conveyed", "E3", "E5"),
            ),
        ),
    ),
    example=Example(
        (
            (
                "two products, two qualities of each",
                "A buyer sees one quality of each product, her *assistant* the other. Both want the best product bought.",
            ),
            (
                "cover what she sees of a product",
                "The assistant cannot talk, but it can *hide* something from her: *observation interference*.",
            ),
            (
                "show everything: worth 7/4",
                "She goes by what she sees, and nothing tells her what the assistant knows.",
            ),
            (
                "cover the one it thinks less of: worth 17/8",
                "What is covered tells her what the assistant saw: hiding is a way of *speaking*.",
            ),
            (
                "show everything, and say one of three words: 17/8",
                "Who may talk need not hide.",
            ),
            (
                "a buyer who goes by looks, or errs at random",
                "Two other reasons to hide: to *ask* for her taste, which her choice then gives away, and to "
                "*spare* her mistakes.",
            ),
        )
    ),
    scale="Theirs: theorems by example, and a product-selection model with 30,000 trials a setting. Ours: three small games "
    "solved in exact arithmetic, random games, and the product model in closed form and with the same 30,000 trials.",
    departures=(
        Departure(
            "D1",
            "The paper's own examples are not among the checks: of its text only the abstract, the opening and the sentence "
            "that describes the product model could be had. The three small games tell its three results with stories and "
            "numbers of our own, and their checks say so.",
        ),
        Departure(
            "D2",
            "Action-level interference is read as: the same effect on the state and on what A sees, and a less informative "
            "signal to H. Policy-level interference compares everything H learns, hidden state and A's observations "
            "included.",
        ),
        Departure(
            "D3",
            "In the query game the attribute is common or divisive with equal chances and A sees which; values are stated "
            "given the common case, in which alone hiding asks a question.",
        ),
        Departure(
            "D4",
            "Of the product model the paper's text gives d products with attributes H_i and R_i, drawn independently from "
            "one uniform law, and 30,000 trials; the range [0, 1], the rule (hide the products with the lowest expected R) "
            "and the closed forms are our reconstruction of section 7. What has a closed form is an exact check; that the "
            "simulation agrees with it is tested with the code.",
        ),
        Departure("D5", "The naive human takes A's action to be independent of what A saw, so that blanks tell her nothing."),
        Departure(
            "D6",
            "In random games the noisy human has beta = 8 per largest base payoff. A first look at beta = 2 had found no "
            "game in which hiding spares her mistakes: differences of payoffs stay on the convex side of E1 there. No "
            "margin was touched, and "
            'the table "noise" has a grid of betas.',
        ),
        Departure("D7", "Random games, the price of not hiding, choosing the depth and learned policies go beyond the paper."),
        Departure(
            "D8",
            "E6 weighs cases where theory says hide and cases where it says show the same; before, seven of ten cases said "
            "hide, so that an assistant that always hides agreed in seven of ten.",
        ),
    ),
    experiments=(
        Experiment(
            "games",
            question="Does hiding pay as a signal, as a query and as a crutch, and how often is there a reason to hide?",
            exact=claims.GAME_CHECKS,
            check=f"{__name__}.checks:check_games",
            claims=claims.GAME_CLAIMS,
            estimands=claims.GAME_ESTIMANDS,
            nulls=(
                Arm("none", "nothing turns on what only A sees, and H is optimal"),
                Arm("blind", "A sees nothing, and H is optimal"),
            ),
            measure_nulls=f"{__name__}.reasons:measure_nulls",
            presets={
                "quick": Preset(GameSettings(n_games=64, n_compared=4, n_checked=256), 2),
                "laptop": Preset(GameSettings(), 16),
                "paper": Preset(GameSettings(n_games=16_384, n_compared=1000, n_checked=131_072), 16),
            },
            measure=f"{__name__}.reasons:measure",
            figures=(figures.PLANS, figures.STAKES, figures.BETAS, figures.INCENTIVE, figures.CHANNELS),
            cost=Cost(1.7, cores=1),
            family=HOW_COMMON,
        ),
        Experiment(
            "product-selection",
            question="What does hiding trade when it communicates?",
            exact=claims.PRODUCT_CHECKS,
            check=f"{__name__}.checks:check_products",
            claims=claims.PRODUCT_CLAIMS,
            estimands=claims.PRODUCT_ESTIMANDS,
            nulls=(Arm("blind", "A sees no R"),),
            presets={
                "quick": Preset(ProductSettings(n_trials=500, n_products=(2, 5, 10)), 2),
                "laptop": Preset(ProductSettings(), 12),
            },
            measure=f"{__name__}.selection:measure",
            figures=(figures.GAINS, figures.TRADE),
            cost=Cost(0.5, cores=1, memory=0.1),
            family=TRADE,
        ),
        Experiment(
            "learners",
            question="Does a learning assistant come to hide exactly where it pays?",
            claims=claims.LEARNING_CLAIMS,
            estimands=claims.LEARNING_ESTIMANDS,
            nulls=(
                Arm("untrained", "the learners before training"),
                Arm("always-hides", "an assistant that hides something whatever it sees"),
                Arm("never-hides", "an assistant that shows everything"),
            ),
            measure_nulls=f"{__name__}.learners:measure_nulls",
            presets={
                "quick": Preset(LearnerSettings(n_learners=4, n_steps=50), 2),
                "laptop": Preset(LearnerSettings(), 12),
            },
            measure=f"{__name__}.learners:measure",
            figures=(figures.LEARNERS,),
            cost=Cost(1.3, cores=1),
            family=LEARNING,
        ),
    ),
    version=2,
    first_seed=100,
)
