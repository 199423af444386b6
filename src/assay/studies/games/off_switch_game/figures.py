"""What the report draws of the off-switch study."""

from assay.claims.charts import Bars, Figure, Line, Lines

PLANS = Figure(
    "plans",
    title="Asking every time is not the best way to share a decision",
    caption=(
        "Deleting a file may be good or bad depending on the operating system, which only the human sees, and on the kind "
        "of code in it, which only the assistant sees. Both want the same. Each dot is the expected payoff of the best "
        "plan of its kind. An assistant that always waits for the human wastes what it knows; acting alone on one kind of "
        "code and waiting on the other does better, because being asked then tells the human which code it is. One bit of "
        "talk makes waiting best again."
    ),
    chart=Bars("plans", x="plan", y="payoff", y_label="expected payoff"),
)


GAMES = {"private": "both see something", "shown": "H sees all that A sees"}


WAITING = Figure(
    "deference",
    title="On average talk makes an assistant wait more",
    caption=(
        "Random games in which human and assistant each see half of what matters, by the number of different messages the "
        "assistant can send when it waits. Drawn is the chance that the optimal assistant waits (the most deferential optimum "
        "where several tie). The average rises; single games can fall, as the bounded-talk game does."
    ),
    chart=Lines(
        "waiting",
        x="messages",
        y="most",
        by="games",
        x_label="messages the assistant can choose from",
        y_label="chance that A waits",
        markers=True,
    ),
    names=GAMES,
)


COSTS = Figure(
    "price-of-deference",
    title="A wider channel makes waiting cheap",
    caption=(
        "What it costs to force the assistant to always wait, and the bonus for waiting that would make it do so on its own, "
        "as shares of the largest payoff. Where the human sees all that the assistant sees, waiting costs nothing."
    ),
    chart=Lines(
        "costs",
        x="messages",
        y="mean",
        by="games",
        panel="quantity",
        x_label="messages the assistant can choose from",
        y_label="mean over games",
        markers=True,
    ),
    names=GAMES,
)


HUMANS = Figure(
    "humans",
    title="What the assistant achieves when the human is not rational",
    caption=(
        "Best expected payoff of an assistant that knows how its human behaves: rational, rational but ignoring what "
        "being asked tells her, or choosing noisily (beta is how strongly payoffs sway her)."
    ),
    chart=Bars("humans", x="human", y="value", panel="game", y_label="expected payoff"),
)


LEARNING = Figure(
    "learners",
    title="Two learners often settle for less",
    caption=(
        "Share of pairs of independent policy-gradient learners that end at the optimal pair. The others stop where "
        "neither side gains by changing alone, although both together could."
    ),
    chart=Bars("ends", x="game", y="at_the_optimum", y_label="share at the optimum", lines=(Line(1.0, "all"),)),
)
