"""The study's figures."""

import numpy as np

from assay.claims.charts import Bars, Figure, Heat, Line, Lines, Scatter

KIND_NAMES = {
    "train_fact": "bridge, fact",
    "train_implication": "bridge, implication",
    "test_fact": "held-out, fact",
    "test_implication": "held-out, implication (never taught)",
}

SYMBOLIC_FIGURES = (
    Figure(
        "learning-curves",
        "One model infers what it was never taught",
        "Loss on the four kinds of question while training shows three of them. Both models learn what they are taught; only "
        "the factorised one also learns the implications of held-out subjects, hundreds of steps later.",
        Lines(
            "curves",
            x="step",
            y="loss_nats",
            by="kind",
            panel="model",
            x_label="optimiser step",
            y_label="loss (nats)",
            y_scale="log",
            lines=(Line(float(np.log(20)), "chance among 20 implications"),),
        ),
        KIND_NAMES,
    ),
    Figure(
        "weights",
        "What training writes into the weights, beside the two max-margin solutions",
        "W_OV of the first five groups, each column weighted by its token's attention, in units of the bridges' margin. In the "
        "factorised model the held-out subjects point at implications that they were never shown with (lower right), as in the "
        "solution of least nuclear norm; in the combined model that block is empty, as in the one of least Frobenius norm.",
        Heat(
            "weights",
            row="answer",
            column="token",
            value="weight",
            panel="matrix",
            row_label="answer",
            column_label="input token",
            value_label="weight / margin",
        ),
        further=True,
        opens=True,
    ),
    Figure(
        "rank-threshold",
        "How much width inference needs",
        "Final loss against the hidden width of the factorised model. What is taught is learnt at every width shown; at width "
        "3 inference fails.",
        Lines(
            "rank",
            x="d_hidden",
            y="loss_nats",
            by="kind",
            x_label="hidden width d_h",
            y_label="loss (nats)",
            x_scale="log",
            y_scale="log",
            markers=True,
            lines=(Line(0.1, "counts as inferring"),),
        ),
        further=True,
    ),
    Figure(
        "margin-ratio",
        "How strongly it infers, against theory",
        "Margin of held-out implications over the bridges', after long descent on the exact population. The dashed line is the "
        "nuclear-norm solution's min(sqrt(m_train/m_test), 1). Where bridges are rare, small starts end above it, at the "
        "solution of least rank; ordinary starts approach it from below.",
        Lines(
            "margin_ratio",
            x="share",
            y="ratio",
            by="model",
            theory="theory",
            x_label="bridges per held-out subject",
            y_label="margin, held out / bridges",
            x_scale="log",
            markers=True,
        ),
    ),
    Figure(
        "norms",
        "Each parametrisation minimises its own norm",
        "How far the margin at unit norm falls short of the largest possible, after long descent: the product is near the best "
        "at unit nuclear norm, the single matrix near the best at unit Frobenius norm.",
        Scatter(
            "norms",
            x="nuclear",
            y="frobenius",
            label="model",
            x_label="short of the best at unit nuclear norm (%)",
            y_label="short of the best at unit Frobenius norm (%)",
        ),
        further=True,
    ),
    Figure(
        "associations",
        "What is always the same is inferred, no shuffle is",
        "Loss on held-out implications with one bridge a group, with four, and with the implications of the four shuffled.",
        Lines(
            "associations",
            x="step",
            y="loss_nats",
            by="association",
            x_label="optimiser step",
            y_label="loss (nats)",
            y_scale="log",
            lines=(Line(float(np.log(20)), "chance"),),
        ),
        further=True,
    ),
    Figure(
        "efficiency",
        "One example per group is enough",
        "Accuracy on held-out implications with 0 to 7 bridge subjects among the 8 of a group.",
        Bars("efficiency", x="bridges", y="accuracy", x_label="bridge subjects", y_label="accuracy"),
        further=True,
    ),
    Figure(
        "attention",
        "Where the trained models look",
        "Attention weight of the kinds of token, linear attention.",
        Bars("attention", x="tokens", y="weight", by="model", x_label="token", y_label="attention weight"),
        {"held_out": "held out", "eos": "EOS"},
        further=True,
    ),
)

DEPTH_FIGURES = (
    Figure(
        "depth",
        "Deeper products transfer more, up to a limit",
        "Held-out over bridges' margin after long descent on the exact population. The dashed lines are the least "
        "Schatten-2/L solutions of L factors.",
        Lines(
            "depth",
            x="depth",
            y="ratio",
            by="split",
            theory="theory",
            x_label="matrices in the product",
            y_label="margin, held out / bridges",
            markers=True,
        ),
        further=True,
    ),
)

DOSE_FIGURES = (
    Figure(
        "doses",
        "Contradictions that agree weigh more",
        "How often a held-out subject's first implication is the rule's, against the share of bridge subjects that "
        "contradict the rule: each in its own way, or all alike.",
        Lines(
            "doses",
            x="dose",
            y="accuracy",
            by="contradictions",
            x_label="share of contradicting bridges",
            y_label="accuracy among implications",
            markers=True,
            lines=(Line(0.1, "chance"),),
        ),
    ),
)

MITIGATION_FIGURES = (
    Figure(
        "frontier",
        "Facts kept against spurious transfer",
        "Each point is one mitigation: the probability that the model gives to what it was taught (worst kind) against the "
        "probability that it gives to implications nobody taught. Upper left is where one wants to be.",
        Scatter(
            "frontier",
            x="transfer",
            y="kept",
            label="mitigation",
            by="kind",
            x_label="probability of the untaught implication",
            y_label="probability of what was taught, worst kind",
        ),
    ),
    Figure(
        "asserted",
        "What is asserted of subjects that nobody taught it about",
        "Share of held-out subjects of whom an answer has a probability above one half: the rule's implication, the one that "
        "counter-examples show, or 'unknown'. Counter-examples exchange one hallucination for another.",
        Bars(
            "asserted",
            x="mitigation",
            y="share",
            by="what",
            x_label="mitigation",
            y_label="share of held-out subjects",
        ),
        {"rule_asserted": "the rule's implication", "rival_asserted": "the counter-examples'", "abstained": "'unknown'"},
        further=True,
    ),
)

OPTIMISER_FIGURES = (
    Figure(
        "curves",
        "Every optimiser transfers when there is a product to train",
        "Loss on held-out implications during training, for both models under four optimisers.",
        Lines(
            "curves",
            x="step",
            y="loss_nats",
            by="optimiser",
            panel="model",
            x_label="optimiser step",
            y_label="loss (nats)",
            y_scale="log",
            lines=(Line(float(np.log(10)), "chance"),),
        ),
        further=True,
    ),
    Figure(
        "completions",
        "How much of the bridges' margin the held-out subjects get",
        "The dotted line is the max-margin solution of least nuclear norm, which gradient descent is biased to.",
        Bars(
            "completions",
            x="optimiser",
            y="completion",
            by="model",
            x_label="optimiser",
            y_label="margin, held out / bridges",
            lines=(Line(float(np.sqrt(1 / 3)), "least nuclear norm"),),
        ),
        further=True,
    ),
)

PAIR_NAMES = {
    "city-language": "city, language (true)",
    "city-language-cf": "city, language (counterfactual)",
    "country-code": "country, programming language",
    "profession-color": "profession, colour",
    "sport-music": "sport, music",
}

LANGUAGE_MODEL_FIGURES = (
    Figure(
        "ranks",
        "What it infers, and what it makes up",
        "Mean rank, among ten candidates, of the implications of names whose implication was never shown: before training, "
        "after it, and after training on shuffled bridges. A model that knows which five answers occur and no more is at 2.",
        Bars(
            "ranks",
            x="pair",
            y="rank",
            by="condition",
            x_label="relation pair",
            y_label="mean rank (0 is best)",
            lines=(Line(4.5, "chance among ten"), Line(2.0, "chance among the five in use")),
        ),
        {
            **PAIR_NAMES,
            "trained": "a fifth of the names are bridges",
            "before": "before training",
            "shuffled": "bridges shuffled",
        },
    ),
    Figure(
        "learning",
        "What is taught, and what nobody taught, epoch by epoch",
        "Probability of the right answer among the five in use, for held-out names, while the model learns: their facts, which "
        "are taught, and their implications, which are not.",
        Lines(
            "curves",
            x="epoch",
            y="share",
            by="pair",
            panel="what",
            x_label="epoch",
            y_label="probability among five",
            markers=True,
            lines=(Line(0.2, "chance"),),
        ),
        {**PAIR_NAMES, "implication": "implication (never taught)", "fact": "fact (taught)"},
        further=True,
    ),
    Figure(
        "dose-response",
        "How many bridges a hallucination takes",
        "How often a held-out name gets the rule's implication rather than another of those in use (sport and music, an "
        "arbitrary pair), against the share of names that are bridges; in the language model and in the symbolic one.",
        Lines(
            "doses",
            x="bridges",
            y="accuracy",
            by="model",
            x_label="bridges (% of names)",
            y_label="accuracy among implications in use",
            markers=True,
            lines=(Line(0.2, "chance"),),
        ),
        further=True,
    ),
    Figure(
        "margins",
        "How strongly it infers, beside the theory",
        "Margin of held-out implications over the bridges', in the language model (log-probabilities) and in the symbolic one "
        "(weights). The dashed line is the least-nuclear-norm solution's min(sqrt(m_train/m_test), 1).",
        Lines(
            "margins",
            x="bridges_per_held_out",
            y="ratio",
            by="model",
            theory="theory",
            x_label="bridges per held-out name",
            y_label="margin, held out / bridges",
            x_scale="log",
            markers=True,
        ),
        further=True,
    ),
    Figure(
        "contradictions",
        "When bridges contradict each other",
        "How often a held-out name gets the rule's implication when half of the names are bridges, and when eight in ten of "
        "these agree on another implication.",
        Bars(
            "contradictions",
            x="bridges",
            y="accuracy",
            by="model",
            x_label="bridges",
            y_label="accuracy among implications in use",
            lines=(Line(0.2, "chance"),),
        ),
        {"uncontradicted": "all follow the rule", "contradicted": "8 in 10 contradict it"},
        further=True,
    ),
    Figure(
        "growth",
        "How the margin grows with training",
        "Margin of held-out implications over the bridges', epoch by epoch, with a fifth of the names as bridges, with these "
        "shuffled, and where the implications of all names are in the training. The dashed line is the bound of the limit.",
        Lines(
            "growth",
            x="epoch",
            y="ratio",
            by="bridges",
            theory="theory",
            x_label="epoch",
            y_label="margin, held out / bridges",
            markers=True,
        ),
        {"trained": "a fifth of the names", "shuffled": "shuffled", "taught": "all names taught"},
        further=True,
    ),
)

WIDTH_FIGURES = (
    Figure(
        "width",
        "The narrowest that infers",
        "Held-out implications whose first answer is right, by the hidden width of the factorised model. A start of width 4 "
        "may lose one group of twenty and still infers the others; width 3 does not suffice.",
        Bars("accuracy", x="d_hidden", y="accuracy", y_label="held-out accuracy", lines=(Line(0.9, "counts as inferring"),)),
        further=True,
    ),
)
