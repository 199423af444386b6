"""What the report draws of the experiments."""

from assay.claims.charts import Figure, Lines

IRREVERSIBLE_FIGURES = (
    Figure(
        "survival",
        title="Who is still on the ridge",
        caption="A walker climbs along a ridge. On either side of a hidden place there is one safe way to lean, only the "
        "mentor knows the place, and leaning the wrong way slips with a chance that grows with the distance to it: most "
        "slips lead back to the foot, three in a hundred are for ever. Learners that try things, and a coin, are lost; "
        "the walker that asks whenever nothing similar has been answered yet stays, and asks ever less.",
        chart=Lines(
            "survival",
            x="step",
            y="survival",
            by="agent",
            x_scale="log",
            x_label="steps walked",
            y_label="chance of still being there",
        ),
    ),
    Figure(
        "walker",
        title="The share of the run that is lost",
        caption="Expected share of the mentor's return that is lost, over the length of the run. Each length has its own "
        "settings, so every point is a fresh walk.",
        chart=Lines(
            "walker",
            x="rounds",
            y="lost_share",
            by="agent",
            x_scale="log",
            y_scale="log",
            x_label="steps T",
            y_label="share of return lost",
            markers=True,
        ),
        further=True,
    ),
)

ONLINE_FIGURES = (
    Figure(
        "regret",
        title="Risk falls with the length of the run, if both parts are there",
        caption="What playing cost beyond the mentor's own play, summed over the run. Without the distance test mistakes "
        "far from anything heard are played; without Hedge mistakes near the boundary never end, which shows from two "
        "dimensions on. The exact learner of a threshold makes none, and is not drawn.",
        chart=Lines(
            "regret",
            x="rounds",
            y="additive_regret",
            by="agent",
            panel="dimension",
            x_scale="log",
            y_scale="log",
            x_label="rounds T",
            y_label="chance of survival lost, summed",
            markers=True,
        ),
    ),
    Figure(
        "queries",
        title="It stops asking, more slowly in more dimensions",
        caption="Share of the rounds that the schedule does not force on which the full algorithm asks; dashed, the rate at "
        "which balls of its radius fill the cube.",
        chart=Lines(
            "queries",
            x="rounds",
            y="tested_rate",
            by="dimension",
            theory="test_bound",
            x_scale="log",
            y_scale="log",
            x_label="rounds T",
            y_label="share of unforced rounds asked",
            markers=True,
        ),
        names={"test_bound": "rate of filling"},
        further=True,
    ),
)

IMPOSSIBLE_FIGURES = (
    Figure(
        "impossible",
        title="Where nothing carries over, no budget saves the asker",
        caption="Each cell of the input has a safe action decided by its own coin, so answers help nowhere else. However "
        "many questions an asker may put, as long as they become a vanishing share of the rounds, its chance of survival "
        "falls with the length of the run, and so does the best that any asker could have. With as many questions a mentor "
        "who changes his mind only once is learnt without a loss.",
        chart=Lines(
            "survival",
            x="rounds",
            y="survival",
            by="asker",
            panel="budget",
            x_scale="log",
            x_label="rounds T",
            y_label="chance of survival",
            markers=True,
        ),
        names={
            "learnable, exact learner": "one threshold, exact learner",
            "bound for all": "coins, bound for any asker",
            "asks once a cell": "coins, asks once a cell",
        },
    ),
)

LOCAL_SAFETY_FIGURES = (
    Figure(
        "local",
        title="Who strays little loses little",
        caption="Agents that follow the mentor, except for a share of the time, in random decision processes with traps. "
        "Of all processes the one is drawn in which the loss comes nearest to its bound, the local risk: how far the "
        "agent's actions strayed in where they lead and what they pay, summed over its steps. No loss was ever above it.",
        chart=Lines(
            "local",
            x="share",
            y="lost_per_step",
            by="agent",
            theory="risk",
            x_scale="log",
            y_scale="log",
            x_label="share of the time it strays",
            y_label="return lost per step",
            markers=True,
        ),
        names={"risk": "the bound: its local risk"},
    ),
)

MISSPECIFIED_FIGURES = (
    Figure(
        "misspecified",
        title="Mishearing and crowding cost the guarantee; blindness costs a factor",
        caption="Regret over the length of the run in one dimension, with one assumption broken to the degree shown: the "
        "chance that the mentor is misheard, the share of every distance that the metric misses, the share of inputs moved "
        "close to the boundary. The numbers above each panel are these degrees.",
        chart=Lines(
            "misspecified",
            x="rounds",
            y="regret",
            by="degree",
            panel="assumption",
            x_scale="log",
            y_scale="log",
            x_label="rounds T",
            y_label="nats of survival lost",
            markers=True,
        ),
    ),
)
