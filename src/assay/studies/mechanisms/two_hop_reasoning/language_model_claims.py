"""What is claimed of a pretrained language model, and what is run to decide it."""

import math

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.paper import Cost
from assay.claims.rules import Above, Below
from assay.claims.study import Experiment, Preset
from assay.protocols.language_model import NEEDS, find_model
from assay.studies.mechanisms.two_hop_reasoning.figures import LANGUAGE_MODEL_FIGURES
from assay.studies.mechanisms.two_hop_reasoning.settings import ModelSettings

MODELS = "Do pretrained language models guess among the ends, and does fine-tuning teach them to follow chains?"

CUT = "the second premises speak of other bridges: no source leads to an end, and only place and order could tell"
NO_HEADS = "it is no network and has no heads"
RUN = "split of the names, fine-tuning and draw of prompts"

LANGUAGE_MODEL = Experiment(
    "language-model",
    question="Does a pretrained language model guess among the ends, and does a short fine-tuning teach it to follow chains?",
    family=MODELS,
    estimands=(
        Estimand("right", "questions whose right end is the likeliest of the ends, of all sources", "share of questions", 0, 1),
        Estimand(
            "log_ratio", "probability of the right end over the mean probability of another (geometric mean over questions)",
            "times", log="e",
        ),
        Estimand("right_end", "probability of the right end, as a whole name", "probability", 0, 1),
        Estimand("each_other_end", "mean probability of another end", "probability", 0, 1),
        Estimand("own_bridge", "probability of the asked chain's bridge", "probability", 0, 1),
        Estimand("ends", "probability of all ends together", "probability", 0, 1),
        Estimand(
            "end_margin",
            "attention from the last token on the asked end above that on the mean other end, of the twentieth of heads "
            "in which it is largest on the other half of the prompts; minus the same heads' in cut prompts", "", -2, 2,
        ),
        Estimand(
            "right_first", "questions answered right by the first token, with some heads' attention uniform in the question",
            "share of questions", 0, 1,
        ),
    ),
    nulls=(
        Arm(
            "constant", "an answer that does not depend on the question: the same probability for every end",
            why=NO_HEADS, lacks=("end_margin", "right_first"),
        ),
        Arm(
            "place", "an answer by place: the first source has the first end, and so on; it follows nothing",
            why=NO_HEADS, lacks=("end_margin", "right_first"),
        ),
        Arm("untrained", "a small random model, asked the same"),
    ),
    measure_nulls=f"{__package__}.language_model:measure_nulls",
    claims=(
        Claim(
            "C7.before.lm",
            "Before fine-tuning the right one of two ends is hardly likelier than the other: its probability is less than "
            "{bound} times as large.",
            "before-2/log_ratio", Below(math.log(1.5)), summary="clustered", run_is=RUN,
            why="above every model of the paper", at="section 3, figure of next-token probabilities",
            paper="0.29/0.27, 0.39/0.36 and 0.36/0.32 for three models of 7 to 8 billion parameters",
            negative=Arm("after-2", "the same prompts after fine-tuning"),
            null_passes="constant, place, untrained: the claim is of a lack, which they share; its other half is C7.after.lm",
        ),
        Claim(
            "C7.after.lm",
            "After fine-tuning on prompts of two chains the model answers prompts of two chains of new names: it is right in "
            "more than {bound:.0%} of questions.",
            "after-2/right", Above(0.95), summary="clustered", run_is=RUN,
            why="'near-perfect'; the paper tests two chains on the prompts that were trained on",
            at="section 3 (fine-tuning)", paper="near-perfect",
            negative=Arm("cut-2", CUT),
        ),
        Claim(
            "C7.length.lm",
            "Fine-tuned on prompts of two chains, the model answers prompts of three to five chains: it is right in more than "
            "{bound:.0%} of questions.",
            "after-more/right", Above(0.9), summary="clustered", run_is=RUN, why="'near-perfect', a little less far",
            at="section 3 (fine-tuning transfers to more chains)", paper="near-perfect",
            negative=Arm("cut-more", CUT),
        ),
        Claim(
            "C7.order.lm",
            "What was learnt follows names, not places: fine-tuned on chains told in order, in each run the model is right in "
            "more than {bound:.0%} of questions when the premises of two chains stand in any order.",
            "any-2/right", Above(0.75), summary="every", run_is=RUN, why="half-way from guessing to knowing",
            at="ours", paper="a chain's first premise always stands before its second",
            negative=Arm("cut-2", CUT),
        ),
        Claim(
            "C7.wording.lm",
            "What was learnt is more than the wordings: in each run the model is right in more than {bound:.0%} of questions "
            "about two chains in wordings that were held out.",
            "wording-2/right", Above(0.75), summary="every", run_is=RUN, why="half-way from guessing to knowing",
            at="ours", paper="the templates are the same in training and test",
            negative=Arm("wording-before-2", "the same prompts before fine-tuning"),
        ),
        Claim(
            "C9.reads.lm",
            "In a fine-tuned model attention reads the path: heads chosen on half of the prompts give the asked chain's end "
            "more attention from the last token than another end, on the other half, by {bound} more than the same heads do "
            "where no path leads to an end.",
            "path/end_margin", Above(0.1), summary="clustered", run_is=RUN, why="a tenth of a head's attention",
            at="ours", paper="the mechanism of the small transformer is said to be that of large models",
            negative=Arm("before", "the same model before fine-tuning, which guesses among the ends; heads chosen likewise"),
        ),
        Claim(
            "C9.cut.lm",
            "A fine-tuned model needs the heads that look from the question at the bridge: with the twentieth of heads that do "
            "so most made uniform it is right in less than {bound:.0%} of questions about two chains.",
            "bridge-heads/right_first", Below(0.75), summary="clustered", run_is=RUN,
            why="half-way from knowing to guessing", at="ours",
            paper="the mechanism of the small transformer is said to be that of large models",
            negative=Arm("other-heads", "as many other heads of the same layers made uniform"),
            null_passes="untrained: who knows nothing has nothing to lose; its other half is C7.after.lm, and the arm `whole`, "
            "the same first tokens without a cut",
        ),
    ),
    presets={
        "quick": Preset(ModelSettings(model="tiny", n_training=4, batch_size=2, n_asked=2), 2),
        "laptop": Preset(ModelSettings(), 8),
        "paper": Preset(
            ModelSettings(n_training=1_000, n_epochs=3, batch_size=16, learning_rate=2e-4, n_asked=200, precision="float32"), 8
        ),
    },
    measure=f"{__package__}.language_model:measure",
    needs={**NEEDS, "peft": "lm"},
    ready=find_model,
    cost=Cost(16, work=lambda settings: settings.n_training * settings.n_epochs + 5 * settings.n_asked),
    figures=LANGUAGE_MODEL_FIGURES,
)  # fmt: skip
