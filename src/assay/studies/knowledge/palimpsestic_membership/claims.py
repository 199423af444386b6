"""What is claimed, of which numbers, and what is run to decide it."""

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.exact import Exact
from assay.claims.paper import Cost
from assay.claims.rules import Above, Below, Within
from assay.claims.study import Experiment, Preset
from assay.protocols.language_model import NEEDS, find_model
from assay.studies.knowledge.palimpsestic_membership.figures import LANGUAGE_MODEL_FIGURES, SMALL_FIGURES, TEXT_FIGURES
from assay.studies.knowledge.palimpsestic_membership.settings import LanguageModelSettings, SmallSettings, TextSettings

__all__ = ["LANGUAGE_MODEL", "SMALL", "TEXT"]

ASKING = "Do a model's losses tell in which order it was trained, and what is left of it in models made from it?"
READING = "Do a model's texts alone tell in which order it was trained?"
LANGUAGE = "Do a pretrained language model's losses tell in which order it read short texts?"

QUERY = "section on the query setting"
OBSERVING = "section on the observational setting"
TINY_STORIES = "TinyStories experiments"
LESS = "the loss of each of Alice's texts, less that under a model of another shuffle of them"

TURNS = "; mean over two models that play her part in turn, the other one being the independent one"
RHO = Estimand("rho", f"rank correlation of {LESS}, with the step at which she saw it{TURNS}", "", -1, 1)
GAIN = Estimand(
    "reference_gain",
    f"size of the rank correlation with the order with the reference's loss taken off, minus its size without{TURNS}",
    "", -1, 1,
)  # fmt: skip
INDEPENDENT = Arm("independent", "a model of another shuffle of the same texts in the place of Alice's")
ORDERS = "; the mean over Alice's order and 19 further ones that nobody was trained in"
UNTOLD = Arm("independent", INDEPENDENT.says + ORDERS)
PLANTED = Arm("planted", "an imprint of the order put into the losses of a model that knows nothing of it", power_only=True)

ANY_LOSS = "every assignment of steps to texts is equally likely, so the test is a permutation test whatever the losses are"


def _valid(name: str, what: str) -> Exact:
    return Exact(
        name,
        f"Over random orders of a bigram learner's texts, three in ten of which stand twice, a share of {{low}} to {{high}} of "
        f"the p-values is at most 0.05 {what}.",
        Within(0.03, 0.07), why=ANY_LOSS, at="section on exactness", paper="exact p-values", unit="share of orders",
    )  # fmt: skip


SMALL = Experiment(
    "small",
    question="Does the loss on Alice's texts tell when her model saw them, and does it still after fine-tuning or distilling?",
    family=ASKING,
    estimands=(
        RHO,
        GAIN,
        Estimand("weaker", f"rank correlation with the order minus that of Alice's own model{TURNS}", "", -2, 2),
        Estimand(
            "batch_gap", "size of the rank correlation with the order minus that of Alice's own model; of another batch at her "
            "final loss on texts that none has seen, on the line between two models of different rates", "", -1, 1,
        ),
        Estimand(
            "scores_gain",
            f"z of a rank test whose scores were learned on a rehearsal with another shuffle, minus Spearman's z{TURNS}",
            "standard deviations",
        ),
    ),
    claims=(
        Claim(
            "C1",
            "Later texts are remembered better: the rank correlation of loss, less that of a model of another shuffle, with "
            "Alice's order is below {bound} for her model.",
            "alice/rho", Below(-0.02), why="an eighth of what the paper's small models show after two passes",
            at=QUERY, paper="-0.165 after 2 passes, -0.36 after 10",
            negative=INDEPENDENT, positive=PLANTED,
        ),
        Claim(
            "C3",
            "A reference raises the signal: taking off the loss under a model of another shuffle makes the rank correlation of "
            "loss with Alice's order larger by more than {bound}.",
            "alice/reference_gain", Above(0.02), why="as much as C1 asks of the correlation itself", at=QUERY,
            paper="p = 0.21 without, 8e-20 with a reference",
            negative=Arm("permuted", "the reference's losses are permuted among the texts"), positive=PLANTED,
        ),
        Claim(
            "C5",
            "The order survives fine-tuning: after fine-tuning on 2,000 other texts at a tenth of the rate the rank "
            "correlation "
            "of loss, less the reference's, with Alice's order is below {bound}.",
            "fine-tuned/rho", Below(-0.02), why="as C1", at=QUERY, paper="p at most 1e-8 for most fine-tuned models",
            negative=Arm("independent-fine-tuned", "the model of another shuffle, fine-tuned likewise"), positive=PLANTED,
            related="C5 asks a model made from Alice's; planting is into losses, and so the same for both",
        ),
        Claim(
            "C6.there",
            "A model distilled from texts that Alice's model wrote still shows her order: the rank correlation of its loss, "
            "less "
            "the reference's, is below {bound}.",
            "distilled/rho", Below(-0.01), why="the paper's -0.015 is near; half of what C1 asks", at=TINY_STORIES,
            paper=-0.015,
            negative=Arm("independent-distilled", "a model distilled from the model of another shuffle"),
            positive=Arm(
                "planted-distilled", "a correlation twice the bound, put into the losses of the negative control",
                power_only=True,
            ),
        ),
        Claim(
            "C6.weaker",
            "Distilling weakens the memory of the order: the distilled model's rank correlation with it is closer to zero than "
            "that of Alice's own model by more than {bound}.",
            "distilled/weaker", Above(0.02), why="as much as C1 asks of the correlation itself", at=TINY_STORIES,
            paper="-0.015 against -0.36",
            negative=Arm("another-start", "a model trained in Alice's order from other first weights"),
            positive=Arm(
                "planted-distilled",
                "a correlation closer to zero than Alice's by twice the bound, put into the losses of a model distilled from "
                "that of another shuffle",
                power_only=True,
            ),
        ),
        Claim(
            "C8.small",
            "Half as many texts a step leave the memory of the order as it is: at equal texts and equal final loss the rank "
            "correlation's size changes by at most {margin}.",
            "small-batch/batch_gap", Within(-0.03, 0.03),
            why="a fifth of what the paper's small models show after two passes, -0.165",
            at="ablation of the batch size", paper="p hardly changes from 1 to 64",
            given="a rank correlation above 0.05 in size at final losses within 0.05 nats a word",
            negative=Arm("decayed", "the rate falls to zero over the second half, so that the end is not remembered more"),
            positive=Arm("another-start", "Alice's order and batch from other first weights"),
            related="C8.large is about more texts a step; both are compared with the same controls",
        ),
        Claim(
            "C8.large",
            "Four times as many texts a step leave the memory of the order as it is: at equal texts and equal final loss the "
            "rank correlation's size changes by at most {margin}.",
            "large-batch/batch_gap", Within(-0.03, 0.03),
            why="a fifth of what the paper's small models show after two passes, -0.165",
            at="ablation of the batch size", paper="p hardly changes from 1 to 64",
            given="a rank correlation above 0.05 in size at final losses within 0.05 nats a word",
            negative=Arm("decayed", "the rate falls to zero over the second half, so that the end is not remembered more"),
            positive=Arm("another-start", "Alice's order and batch from other first weights"),
            related="C8.small is about fewer texts a step; both are compared with the same controls",
        ),
        Claim(
            "scores",
            "Scores that fit how memory falls off with time see more: learned on a rehearsal with another shuffle they give "
            "Alice's model a z higher than Spearman's by more than {bound}.",
            "alice/scores_gain", Above(0.5), why="half a standard deviation: a fifth fewer texts at z = 5", at="ours",
            negative=Arm("another-shuffle", "scores learned on the rehearsal's losses with an order that is not its own"),
        ),
    ),
    nulls=(INDEPENDENT,),
    exact=(
        _valid("V.alone", "without a reference"),
        _valid("V.shuffle", "with a reference of another shuffle"),
        _valid("V.data", "with a reference trained on other texts"),
        _valid("V.garbage", "with random numbers as the reference"),
    ),
    check=f"{__package__}.exact:check",
    presets={
        "quick": Preset(
            SmallSettings(
                n_texts=160, length=16, n_words=100, n_patterns=4, d_model=16, n_layers=1, n_other=40, n_written=80,
            ), 2),
        "laptop": Preset(SmallSettings(), 12),
    },
    measure=f"{__package__}.small:measure",
    figures=SMALL_FIGURES,
    cost=Cost(18, cores=1),
)  # fmt: skip

TEXT = Experiment(
    "text",
    question="Do texts that Alice's model wrote tell in which order it was trained?",
    family=READING,
    estimands=(
        Estimand(
            "tokens_ratio", "words of a writer's texts from which on counting word sequences by step gives p of at most 0.05, "
            "over those at which retraining the last tenth in 19 other orders does (t with 18 degrees of freedom); a test that "
            "never does counts the most that was read", "times as many words", log="10",
        ),
        Estimand(
            "z_growth", "t statistic of Alice's model among models retrained on the last phase, in likelihood of the writer's "
            "texts: last 10 % of training minus last 1 %", "",
        ),
    ),
    claims=(
        Claim(
            "C7",
            "From texts alone, retraining the last phase in other orders needs fewer words than counting word sequences by "
            "step: "
            "the ratio is above {bound:.0f}.",
            "alice/tokens_ratio", Above(1.0), why="hundreds against hundreds of thousands in the paper; an order of magnitude",
            at=OBSERVING, paper="about 320 against several hundred thousand tokens",
            negative=Arm(
                "copied",
                "every second sentence of a text is copied from a text of Alice's last phase, which counting finds as well",
            ),
        ),
        Claim(
            "C9",
            "A longer last phase tells more: retrained in other orders, the last 10 % of training set Alice's model further "
            "apart than the last 1 % do, by a t statistic more than {bound} higher.",
            "alice/z_growth", Above(2.0), why="two such statistics of nothing differ by 1.5",
            at=OBSERVING, paper="z grows with the phase",
            negative=Arm("independent", "texts that a model of another shuffle wrote"),
        ),
    ),
    nulls=(Arm("independent", "texts that a model of another shuffle wrote"),),
    presets={
        "quick": Preset(
            TextSettings(
                n_texts=160, length=16, n_words=100, n_patterns=4, d_model=16, n_layers=1, n_reshuffles=4, phases=(0.1, 0.3),
                n_scored=16, n_counted=32,
            ), 2),
        "laptop": Preset(TextSettings(), 12),
    },
    measure=f"{__package__}.text:measure",
    figures=TEXT_FIGURES,
    cost=Cost(9, cores=1),
)  # fmt: skip

LANGUAGE_MODEL = Experiment(
    "language-model",
    question="Does a pretrained language model's loss on short texts tell when it read them?",
    family=LANGUAGE,
    estimands=(RHO, GAIN),
    claims=(
        Claim(
            "C1.lm",
            "A language model that read 600 short texts once remembers the later ones better: the rank correlation of loss, "
            "less "
            "that of a copy of another shuffle, with the order is below {bound}.",
            "alice/rho", Below(-0.02), why="as C1", at=QUERY, paper="p at most 1e-8 for most models",
            negative=UNTOLD, positive=PLANTED,
        ),
        Claim(
            "C3.lm",
            "For a language model, too, a reference raises the signal: taking off the loss under a copy of another shuffle "
            "makes "
            "the rank correlation of loss with the order larger by more than {bound}.",
            "alice/reference_gain", Above(0.02), why="as C3", at=QUERY, paper="p = 0.21 without, 8e-20 with a reference",
            negative=Arm("permuted", "the reference's losses are permuted among the texts"), positive=PLANTED,
        ),
        Claim(
            "C5.lm",
            "In a language model the order survives fine-tuning: after 300 other texts at a tenth of the rate the rank "
            "correlation of loss, less the reference's, with the order is below {bound}.",
            "fine-tuned/rho", Below(-0.02), why="as C5", at=QUERY, paper="p at most 1e-8 for most fine-tuned models",
            negative=Arm("independent-fine-tuned", f"the copy of another shuffle, fine-tuned likewise{ORDERS}"),
            positive=PLANTED,
        ),
    ),
    nulls=(UNTOLD,),
    presets={
        "quick": Preset(LanguageModelSettings(model="tiny", n_texts=24, n_other=8, layers=()), 2),
        "laptop": Preset(LanguageModelSettings(), 8),
    },
    first_seed=100,
    measure=f"{__package__}.language_model:measure",
    ready=find_model,
    needs=NEEDS,
    figures=LANGUAGE_MODEL_FIGURES,
    cost=Cost(72, cores=1),
)  # fmt: skip
