"""What the report draws of the experiments."""

from assay.claims.charts import Bars, Figure, Line, Lines

READINGS = {
    "ic": "in context (new classes)",
    "iw": "in weights",
    "twin_iw": "in weights, cannot look up",
    "twin_ic": "in context, cannot look up",
}


GRID_FIGURES = (
    Figure(
        "grid",
        "The data decide",
        "Accuracy by the number of classes (K), of copies of a class in the context (B) and the noise inside a class (eps): "
        "on new classes, where only the context can tell, at the end; on independent sequences, where only the weights can, "
        "beside a twin that cannot look up, at the end, and with bursts of 2 when each class has been asked equally often.",
        Bars("cells", x="cell", y="accuracy", by="evaluation", y_label="accuracy"),
        names=READINGS,
    ),
)  # fmt: skip


REMEMBERING_FIGURES = (
    Figure(
        "remembering",
        "What looking up takes from remembering",
        "Accuracy by how often each class has been asked, with few and with many classes in bursts of 2, beside twins whose "
        "contexts show random labels. With many classes the network looks up and remembers nothing, and its twin remembers.",
        Lines("course", x="questions", y="accuracy", by="network", panel="evaluation", x_label="questions about each class",
              y_label="accuracy"),
        names=READINGS,
        further=True,
    ),
)  # fmt: skip


EMERGENCE_FIGURES = (
    Figure(
        "emergence",
        "A slow phase, then a jump",
        "Accuracy on new classes stays between one in 32 and one in 8 while the network learns that the answer is some label "
        "of the context; then both attention patterns of the induction head rise and accuracy follows.",
        Lines("curves", x="step", y="value", by="measure", x_label="step", y_label="accuracy, probability or attention",
              x_scale="log", lines=(Line(1 / 8, "one in N"),)),
        names={"ic": "accuracy on new classes", "context_labels": "probability of the context's labels",
               "previous_item": "layer 1: label to its item", "target_label": "layer 2: query to its label"},
    ),
    Figure(
        "cuts",
        "Cutting the circuit",
        "Accuracy on new classes after training with parts of the attention made uniform. The rows of the two steps of the "
        "induction head are needed, others are not.",
        Bars("cuts", x="cut", y="accuracy", y_label="accuracy on new classes", lines=(Line(1 / 8, "one in N"),)),
        further=True,
    ),
    Figure(
        "order",
        "What rises before accuracy",
        "Steps by which both attention patterns, the probability of the context's labels and another accuracy (labels shifted) "
        "are ahead of accuracy, all read when 10, 25 and 50% of their rise are done; the probability of the context's labels "
        "also where there is only guessing to learn.",
        Bars("order", x="share", y="lead", by="measure", x_label="share of the rise", y_label="steps before accuracy",
             lines=(Line(0.0, "together"),)),
        further=True,
    ),
)  # fmt: skip


SKEW_FIGURES = (
    Figure(
        "skew",
        "Skew lets both live",
        "With equal frequencies half of the sequences can only be remembered, and the network remembers. With a steep law "
        "the frequent classes are remembered and the rest is looked up; asked about all classes equally often it "
        "remembers little.",
        Bars("skew", x="exponent", y="accuracy", by="evaluation", x_label="exponent of the class frequencies",
             y_label="accuracy"),
        names={"ic": "in context", "iw": "in weights, as frequent as trained", "iw_uniform": "in weights, all classes alike",
               "constant": "best constant answer"},
    ),
)  # fmt: skip


MINIMAL_FIGURES = (
    Figure(
        "two-parameters",
        "Two numbers suffice for the trade",
        "Accuracy of the two-parameter model by classes (K), burst (B) and noise (eps). Many classes, bursts or noise: looked "
        "up; else remembered. With both numbers held at zero it can only guess among the context's labels.",
        Bars("cells", x="cell", y="accuracy", by="reading", y_label="accuracy"),
        names={
            "ic": "in context",
            "iw": "in weights",
            "held_ic": "in context, both numbers held at zero",
            "held_iw": "in weights, both numbers held at zero",
        },
        further=True,
    ),
    Figure(
        "two-parameters-course",
        "Both numbers grow together",
        "Accuracy on new classes and the two attention logits during training on mostly new classes.",
        Lines("curves", x="step", y="value", by="measure", x_label="step", y_label="accuracy, or logit", x_scale="log"),
        names={"ic": "accuracy on new classes", "beta_1": "layer 1: previous token", "alpha": "layer 2: match"},
    ),
    Figure(
        "two-parameters-rates",
        "The jump needs fast numbers",
        "Accuracy on new classes when the two numbers move as fast as the classifier's weights, and 3 and 10 times as fast.",
        Lines("rates", x="step", y="accuracy", by="rate", x_label="step", y_label="accuracy", x_scale="log"),
        further=True,
    ),
)


GATES_FIGURES = (
    Figure(
        "gates",
        "Each gate lengthens the plateau",
        "Loss of one, two and three nested gates under plain gradient descent from small random starts.",
        Lines(
            "loss",
            x="step",
            y="loss",
            by="gates",
            x_label="step",
            y_label="loss (nats)",
            x_scale="log",
            lines=(Line(0.0, "solved"),),
        ),
        names={"1": "one gate", "2": "two gates", "3": "three gates"},
    ),
)


FIDELITY_FIGURES = (
    Figure(
        "sgd",
        "The paper's optimiser",
        "Accuracies of one network trained by plain SGD at ten times the paper's rate, for three tenths of the paper's way.",
        Lines(
            "course",
            x="step",
            y="accuracy",
            by="evaluation",
            x_label="step",
            y_label="accuracy",
            x_scale="log",
            lines=(Line(0.25, "one of the context's 4 labels"),),
        ),
        names={"ic": "new classes", "ic2": "labels shifted", "iw": "in weights"},
        further=True,
    ),
)
