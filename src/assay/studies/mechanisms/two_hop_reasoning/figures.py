"""The study's figures."""

from assay.claims.charts import Bars, Figure, Line, Lines, Scatter

TIME = "steps, in units of the steps to the jump"

SYMBOLIC_FIGURES = (
    Figure(
        "phases",
        "Guess among the ends, then know",
        "The network first learns that the answer is the end of some chain and stays at one in five; then the three "
        "attention patterns and the right answer jump together. Each run's time is measured in its own jump.",
        Lines("phases", x="time", y="value", by="measure", x_label=TIME, y_label="probability, or attention weight",
              lines=(Line(0.2, "one in five"), Line(1.0, "jump", axis="x"))),
        names={"target": "right end", "ends": "all ends", "middle": "sources and bridges", "parent": "layer 1: child to parent",
               "bridge": "layer 2: query to bridge", "end": "layer 3: query to end"},
    ),
    Figure(
        "causes",
        "What the answer needs",
        "Accuracy of the trained network with the attention of some rows made uniform: those of the sequential query above, "
        "all others of a layer below.",
        Bars("cuts", x="cut", y="accuracy", y_label="accuracy", lines=(Line(0.2, "one in five"),)),
    ),
    Figure(
        "gates-against-network",
        "Both gates together say the answer",
        "The right end's share of the probability of all ends, as answered with attention of layers 1 and 2 mixed with uniform "
        "attention, against what each model says of it from the mixed attention; only mixtures that nothing was fitted on.",
        Scatter("mixtures", x="said", y="answered", label="mixture", by="model", diagonal=True, x_label="said",
                y_label="answered"),
        further=True,
    ),
)  # fmt: skip

DEPTH_FIGURES = (
    Figure(
        "depth",
        "Three layers, not two",
        "Mean accuracy over starts of networks of one, two and three layers of the same width, with the same data, steps and "
        "stopping; a start that has solved the task stays where it was.",
        Lines("depth", x="step", y="accuracy", by="network", x_label="step", y_label="accuracy",
              lines=(Line(0.2, "one in five"),)),
        names={"three-layers": "three layers", "two-layers": "two layers", "one-layer": "one layer",
               "two-layers-more-heads": "two layers, more heads"},
    ),
)  # fmt: skip

GATES_FIGURES = (
        Figure(
            "gates",
            "Three gates wait, one does not",
            "Mean loss of the three-parameter model over random starts, without its guessing route, and of one gate alone. "
            "Each start has its cliff at a step of its own, so that the mean falls in stairs.",
            Lines("loss", x="step", y="loss", by="model", x_label="step", y_label="loss (nats)", x_scale="log"),
        ),
    )  # fmt: skip

LANGUAGE_MODEL_FIGURES = (
    Figure(
        "probabilities",
        "Which name comes next",
        "Probability of the right end, of each other end and of the asked chain's bridge as the next name, with one to five "
        "chains of new names, before and after fine-tuning on two chains.",
        Lines(
            "probabilities",
            x="chains",
            y="probability",
            by="what",
            panel="when",
            x_label="chains in the prompt",
            y_label="probability of the whole name",
            markers=True,
        ),
        {"before": "before fine-tuning", "after": "after fine-tuning on two chains"},
        further=True,
    ),
    Figure(
        "accuracy",
        "Two chains taught, up to five asked",
        "How often the right end is the likeliest of the ends, on new names: before fine-tuning and after it, with premises in "
        "order, in any order, and with cut chains that cannot be followed. Dashed: one in k.",
        Lines(
            "accuracy",
            x="chains",
            y="accuracy",
            by="condition",
            theory="guessing",
            x_label="chains in the prompt",
            y_label="accuracy among the ends",
            markers=True,
            lines=(Line(2.0, "trained on", axis="x"),),
        ),
        {"before": "before", "after": "after, in order", "any": "after, in any order", "cut": "after, chains cut"},
    ),
)
