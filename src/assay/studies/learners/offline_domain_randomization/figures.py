"""What the report draws of the experiments."""

from assay.claims.charts import Bars, Figure, Lines

CONSISTENCY_FIGURES = (
    Figure(
        "consistency",
        title="More records, nearer the truth",
        caption="Distance of the fitted mean from the true stiffness and damping of a spring, in units of the search "
        "width, over the number of recorded transitions. A system that changes from step to step is followed on "
        "average; a spring held still never shows its damping.",
        chart=Lines(
            "consistency",
            x="records",
            y="error",
            by="law",
            x_scale="log",
            y_scale="log",
            x_label="recorded transitions N",
            y_label="distance from the truth",
            markers=True,
        ),
        names={
            "plain": "fitted",
            "changing": "system that changes",
            "still": "spring held still",
            "fixed-bonus": "fixed bonus",
            "growing-bonus": "growing bonus",
            "uniform": "uniform law",
        },
    ),
    Figure(
        "mass",
        title="How much of the law lies near the truth",
        caption="Share of the fitted law inside a small box around the true parameters. It goes to one, also with a fixed "
        "entropy bonus; a bonus that grows with the record keeps the law wide for ever.",
        chart=Lines(
            "consistency",
            x="records",
            y="mass",
            by="law",
            x_scale="log",
            x_label="recorded transitions N",
            y_label="mass near the truth",
            markers=True,
        ),
        further=True,
    ),
    Figure(
        "identifiability",
        title="What the record cannot tell, no record can",
        caption="Error of the fitted mass, stiffness and damping, in search widths. Without forces in the record only their "
        "ratios are visible, and the error stays.",
        chart=Lines(
            "identifiability",
            x="records",
            y="error",
            by="law",
            x_scale="log",
            y_scale="log",
            x_label="recorded transitions N",
            y_label="error in search widths",
            markers=True,
        ),
        names={"forced": "forces", "free": "no forces", "held": "no forces, at rest"},
        further=True,
    ),
)

GAP_FIGURES = (
    Figure(
        "losses",
        title="What not knowing the process costs",
        caption="Return lost on the real one of M random decision processes by the policy that is best under a law over them, "
        "exactly, by the law: uniform; fitted to thirty recorded transitions, or to fifteen for each candidate; nine tenths "
        "on the real one; fitted to a record of another.",
        chart=Lines(
            "losses",
            x="candidates",
            y="lost",
            by="law",
            x_scale="log",
            y_scale="log",
            x_label="candidate processes M",
            y_label="return lost",
            markers=True,
        ),
        names={
            "uniform": "uniform law",
            "fitted": "fitted, 30 records",
            "growing": "fitted, 15 M records",
            "informed": "nine tenths on the real one",
            "other": "fitted to another",
        },
    ),
    Figure(
        "bounds",
        title="How much a law that knows more can lose",
        caption="Random families of four decision processes, one of them real; the policy that is best under a law over "
        "them. Return it loses on the real one, over what it loses on average under the law, in the family where that is "
        "largest; dashed, the bound: one over the law's mass on the real process. Exact, over all histories.",
        chart=Lines(
            "masses",
            x="mass",
            y="worst",
            theory="bound",
            x_label="mass of the law on the real process",
            y_label="loss on it over average loss",
            markers=True,
        ),
        names={"bound": "bound"},
        further=True,
    ),
)

COLLAPSE_FIGURES = (
    Figure(
        "collapse",
        title="The bonus sets how wide the law stays",
        caption="Deviation of a law over one parameter, over the entropy bonus; dashed, the closed form, but no lower than the "
        "search looks. Where the simulator explains the record up to the noise floor of 0.01 only the bonus holds the law "
        "open; where it leaves more unexplained, that does.",
        chart=Lines(
            "collapse",
            x="bonus",
            y="deviation",
            by="residual",
            theory="expected",
            x_scale="symlog",
            y_scale="log",
            x_label="entropy bonus",
            y_label="fitted deviation",
            markers=True,
        ),
        names={
            "expected": "closed form",
            "0": "nothing unexplained",
            "0.005": "unexplained: 0.005",
            "0.02": "unexplained: 0.02",
        },
        further=True,
    ),
)

MISFIT_FIGURES = (
    Figure(
        "friction",
        title="A law that cannot explain widens; a point moves",
        caption="A real spring with friction, fitted by a simulator without. Left, how wide the fitted law of the damping "
        "is; right, how far the best single value is from the truth. Both in units of the search width.",
        chart=Bars("friction", x="fit", y="in_widths", by="system", x_label="", y_label="search widths"),
    ),
    Figure(
        "lengths",
        title="Longer blocks, but fewer of them",
        caption="Error of the fitted value over the number of recorded steps simulated open loop. Damping acts little in "
        "one step and more in many, but long blocks are few; a parameter that one step shows in full only loses records.",
        chart=Lines(
            "lengths",
            x="length",
            y="error",
            by="record",
            x_scale="log",
            y_scale="log",
            x_label="steps per block",
            y_label="error of the fitted value",
            markers=True,
        ),
        names={
            "damping": "damping, noisy sensor",
            "exact-starts": "damping, starts known",
            "visible": "offset that one step shows",
        },
        further=True,
    ),
)

TRANSFER_FIGURES = (
    Figure(
        "transfer",
        title="What a few recorded transitions buy",
        caption="A controller that balances a pole is trained on simulated cart-poles and then meets the real one. Each "
        "dot is what it costs there, by the law it was trained on. Trained on every conceivable cart-pole it is timid; "
        "trained on a law fitted to a hundred recorded transitions it is nearly as good as if it knew the truth. Left, after "
        "only four transitions, from a cart with friction that the simulator lacks, without and with an entropy bonus.",
        chart=Bars(
            "transfer",
            x="law",
            y="cost",
            panel="records",
            y_scale="log",
            y_label="cost per step",
        ),
        opens=True,
        names={
            "fitted": "fitted law",
            "fitted, bonus": "bonus",
            "fitted, ten times the bonus": "ten times the bonus",
            "uniform": "every cart-pole",
            "fitted to another system": "fitted to another",
        },
    ),
)

ENGINE_FIGURES = (
    Figure(
        "engine",
        title="A pendulum in a physics engine",
        caption="Cost on a real pendulum on a cart, whose rail has damping that the simulator lacks, of controllers trained on "
        "pendulums drawn from three laws: all in the bounds, fitted to twenty transitions of the real one, and fitted to "
        "another pendulum.",
        chart=Bars("costs", x="trained_on", y="cost", y_scale="log", y_label="cost per step"),
    ),
)
