"""What the report draws of the hiding study."""

from assay.claims.charts import Bars, Figure, Line, Lines

PLANS = Figure(
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


STAKES = Figure(
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


BETAS = Figure(
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


INCENTIVE = Figure(
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


CHANNELS = Figure(
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


TRADE = Figure(
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


GAINS = Figure(
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


LEARNERS = Figure(
    "learners",
    title="Learners find out when to hide",
    caption=(
        "Share of learning assistants whose final policy hides something, by game and by the human they were trained "
        "with: where hiding tells her something, where there is nothing to tell, with two products, and where it spares a "
        "noisy human her mistakes. Shares between 0 and 1 stand where hiding and showing are equally good."
    ),
    chart=Bars("learners", x="human", y="hides_trained", panel="game", y_label="share that hides"),
)
