"""What the report draws of the two experiments."""

from assay.claims.charts import Bars, Figure, Line, Lines

__all__ = ["ACQUISITION_FIGURES", "LANGUAGE_MODEL_FIGURES"]

NAMES = {
    "paraphrase": "other words each time",
    "duplicate": "same words",
    "half": "same words, second half",
    "near": "another function word each time",
    "told": "in the words told",
    "held": "in words never told",
    "main": "network",
    "bigram": "table of word pairs",
    "effectivity": "effectivity, nats",
    "retainability": "retainability, share",
}
FORKS = {
    "main": "ten rounds, all forms",
    "swapped": "ten rounds, forms exchanged",
    "retold": "ten rounds, told on afterwards",
    "late": "late, after 2,500 steps",
    "early": "early, after 1,500 steps",
    "other-order": "late, other order",
    "slow": "late, slow plain steps",
    "silent": "late, attention set to zero",
    "seldom": "late, a quarter told half as often",
    "wide": "width 64, equal loss",
    "narrow": "width 32",
    "narrow, seldom": "width 32, told half as often",
    "wide features": "width 64, random features",
    "narrow features": "width 32, random features",
    "large-batch": "32 rows a step",
    "large-batch, retold": "32 rows, told on afterwards",
    "short-spacing": "late, a quarter of the threshold or less",
    "other-values": "late, another value each time",
    "long-spacing": "late, four times the threshold",
    "no-plain-steps": "late, no plain steps",
    "bigram": "table of word pairs",
}

ACQUISITION_FIGURES = (
    Figure(
        "course",
        "Told facts rise by jumps and are diluted",
        "Mean level of the facts of each group while they are told once a round: log P(value | subject) minus that after a "
        "subject never told, in the same words.",
        Lines("course", x="step", y="nats", by="group", panel="wording", x_label="steps", y_label="level, nats",
              lines=(Line(0.0, ""),)),
        names=NAMES,
    ),
    Figure(
        "kept",
        "What is left of a gain",
        "Share of the gain that is left by the number of steps since the last exposure, on plain pages.",
        Lines("kept", x="steps", y="share", by="group", panel="wording", x_label="steps since the last exposure",
              y_label="share of the gain", x_scale="log", lines=(Line(0.0, "nothing"),)),
        names=NAMES,
    ),
    Figure(
        "forks",
        "What a telling gives under other conditions",
        "Mean jump of an exposure in the words told, in each fork of the training.",
        Bars("forks", x="fork", y="jump", y_label="jump, nats", lines=(Line(0.0, "nothing"),)),
        names=FORKS,
    ),
    Figure(
        "paper",
        "The paper's numbers, of the network and of a table of word pairs",
        "Effectivity, and retainability half way through the plain steps, as in the paper: from log P as it is, in words never "
        "told. A table of word pairs cannot know whom a sentence is about. What it gains at this rate is next to nothing, and "
        "the share that it keeps of that is above one all the same.",
        Bars("paper", x="group", y="value", by="model", panel="number"),
        names=NAMES,
    ),
    Figure(
        "exposures",
        "First and later tellings",
        "Mean jump by the number of the exposure.",
        Lines("exposures", x="exposure", y="nats", by="group", panel="wording", x_label="exposure", y_label="jump, nats",
              markers=True, lines=(Line(0.0, ""),)),
        names=NAMES,
        further=True,
    ),
)  # fmt: skip

LANGUAGE_MODEL_FIGURES = (
    Figure(
        "lm-course",
        "A language model, four tellings",
        "Mean level of told facts of SmolLM2 around and after each exposure, by wording.",
        Lines("course", x="step", y="nats", by="wording", panel="group", x_label="steps", y_label="level, nats",
              lines=(Line(0.0, ""),), markers=True),
        names=NAMES,
        further=True,
    ),
)  # fmt: skip
