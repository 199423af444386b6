"""What the report draws of the three experiments."""

from assay.claims.charts import Bars, Figure, Line, Lines

__all__ = ["LANGUAGE_MODEL_FIGURES", "SMALL_FIGURES", "TEXT_FIGURES"]

MODELS = {
    "alice": "Alice's",
    "another-start": "her order, other first weights",
    "small-batch-slow": "her order, few texts a step, lower rate",
    "small-batch-fast": "her order, few texts a step, higher rate",
    "large-batch-slow": "her order, many texts a step, lower rate",
    "large-batch-fast": "her order, many texts a step, higher rate",
    "decayed": "her order, rate falls to zero",
    "fine-tuned": "Alice's, fine-tuned",
    "distilled": "distilled from Alice's",
    "independent": "another order",
    "independent-fine-tuned": "another order, fine-tuned",
    "independent-distilled": "distilled from another order's",
}

SMALL_FIGURES = (
    Figure(
        "deciles",
        "What was written last lies on top",
        "Mean loss of Alice's texts under each model, less that of a model of another shuffle, by tenth of her order. A model "
        "that has nothing to do with her order is flat.",
        Lines("deciles", x="tenth", y="nats", by="model", x_label="tenth of her order", y_label="nats a word, from the mean",
              lines=(Line(0.0, ""),), markers=True),
        names=MODELS,
    ),
    Figure(
        "models",
        "Who remembers the order",
        "Rank correlation of each model's loss, less the reference's, with the order in which Alice saw her texts.",
        Bars("models", x="model", y="rho", y_label="rank correlation with Alice's order", lines=(Line(0.0, "no memory"),)),
        names=MODELS,
    ),
    Figure(
        "by-n",
        "The reference buys texts",
        "-log10 of the p-value by how many of Alice's texts are asked. It grows with their number for any rank correlation but "
        "zero; how fast is what the reference decides.",
        Lines("by_n", x="texts", y="minus_log10_p", by="model", x_label="texts asked", y_label="-log10 p", x_scale="log",
              lines=(Line(3.0, "p = 0.001"),), markers=True),
    ),
    Figure(
        "fine-tuning",
        "Fine-tuning writes over it",
        "Rank correlation of Alice's model with her order after fine-tuning on other texts, by their number and by the rate.",
        Lines("fine_tuning", x="texts", y="rho", by="rate", x_label="other texts", y_label="rank correlation with her order",
              markers=True),
        further=True,
    ),
)  # fmt: skip

WRITERS = {
    "alice": "Alice's model",
    "copied": "Alice's, every second sentence a copy",
    "independent": "another shuffle's model",
}

TEXT_FIGURES = (
    Figure(
        "tokens",
        "Retraining in other orders needs few words, counting sequences many",
        "-log10 of the p-value of two tests by how many words of a model's own texts they read.",
        Lines("tokens", x="words", y="minus_log10_p", by="writer", panel="test", x_label="words read", y_label="-log10 p",
              x_scale="log", lines=(Line(1.30103, "p = 0.05"),), markers=True),
        names=WRITERS,
    ),
    Figure(
        "phases",
        "A longer last phase",
        "How far Alice's model stands out among models retrained on the last phase in other orders, in likelihood of a "
        "writer's "
        "texts, as a t statistic, by the phase's share of training.",
        Lines("phases", x="share", y="t", by="writer", x_label="last phase, as a share of training", y_label="t", markers=True),
        names=WRITERS,
        further=True,
    ),
)  # fmt: skip

LANGUAGE_MODEL_FIGURES = (
    Figure(
        "deciles",
        "A language model, one pass",
        "Mean loss of a token of Alice's texts under each copy, less that of a copy of another shuffle, by tenth of her order.",
        Lines("deciles", x="tenth", y="nats", by="model", x_label="tenth of her order", y_label="nats a token, from the mean",
              lines=(Line(0.0, ""),), markers=True),
        names=MODELS,
    ),
)  # fmt: skip
