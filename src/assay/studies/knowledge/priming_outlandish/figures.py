"""What the report draws of the three experiments."""

from assay.claims.charts import Bars, Figure, Line, Lines, Scatter

__all__ = ["DILUTION_FIGURES", "LANGUAGE_MODEL_FIGURES", "PRIMING_FIGURES"]

NAMES = {"network": "network", "biases": "frozen network, trained biases"}

PRIMING_FIGURES = (
    Figure(
        "surprise",
        "How much of the law a bias shows",
        "Priming of a text's keyword in other contexts of its theme, by how likely the keyword was in its text before. Biases "
        "are the same in every context: what they show needs no learning of what the text says.",
        Lines("bins", x="log10_p", y="s_prime", by="arm", x_label="log10 P of the keyword in its text before",
              y_label="S_prime, powers of ten", lines=(Line(-3.0, "the paper's threshold", axis="x"), Line(0.0, "")),
              markers=True),
        names=NAMES,
    ),
    Figure(
        "settings",
        "Other sizes, stages and schedules",
        "Rank correlation of S_prime with log P of the keyword before, in networks of other widths, at earlier stages and on "
        "other schedules.",
        Bars("settings", x="setting", y="rho", by="arm", y_label="rank correlation", lines=(Line(0.0, ""),)),
        names=NAMES,
    ),
    Figure(
        "predictors",
        "What else predicts priming",
        "Rank correlation of S_prime with what can be said of a text before it is learned. Inside a keyword biases leave no "
        "room: what little they prime is decided by P alone.",
        Bars("predictors", x="predictor", y="rho", by="arm", y_label="rank correlation with S_prime", lines=(Line(0.0, ""),)),
        names=NAMES,
        further=True,
    ),
    Figure(
        "reached",
        "Equal memorisation",
        "Median S_mem of the network, and of biases whose rate was chosen for the same. Where they reach no more at any rate, "
        "the network's change is scaled down as a whole.",
        Bars("reached", x="setting", y="s_mem", by="arm", y_label="S_mem, powers of ten"),
        names=NAMES | {"network, scaled down": "network, scaled down where biases reach no more"},
        further=True,
    ),
)  # fmt: skip

CHANGES = {
    "plain": "text as it is",
    "stepping": "stepping stone",
    "elsewhere": "description elsewhere",
    "largest": "largest left out",
    "random": "random left out",
    "theme": "planted",
    "pruned theme": "planted, pruned",
    "plain, times 0.2": "× 0.2",
    "plain, times 0.4": "× 0.4",
    "plain, times 0.6": "× 0.6",
    "plain, times 0.8": "× 0.8",
}

DILUTION_FIGURES = (
    Figure(
        "frontier",
        "Priming beside memory",
        "Median priming of each change of weights beside what the keyword gained after the text's original prompt. What only "
        "makes a smaller step lies on the line of plain changes scaled down, × 0.2 to × 0.8. Planted: a bias of the theme, "
        "which the largest 8 % hold.",
        Scatter("frontier", x="s_mem", y="s_prime", label="arm", x_label="gain after the original prompt, powers of ten",
                y_label="S_prime, powers of ten", x_scale="log", y_scale="log"),
        names=CHANGES,
    ),
    Figure(
        "norms",
        "Lengths of the changes",
        "Median Euclidean norm of each change of weights.",
        Bars("norms", x="arm", y="norm", y_label="norm of the change"),
        names=CHANGES,
        further=True,
    ),
)  # fmt: skip

LANGUAGE_MODEL_FIGURES = (
    Figure(
        "language-model",
        "A language model",
        "Priming of a text's keyword in other contexts of its theme, by how likely the keyword was in its text before.",
        Lines("bins", x="log10_p", y="s_prime", by="arm", x_label="log10 P of the keyword in its text before",
              y_label="S_prime, powers of ten", lines=(Line(-3.0, "the paper's threshold", axis="x"), Line(0.0, "")),
              markers=True),
        names=NAMES,
    ),
)  # fmt: skip
