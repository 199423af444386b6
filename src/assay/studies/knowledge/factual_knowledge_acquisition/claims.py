"""What is claimed, of which numbers, and what is run to decide it."""

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.exact import Exact
from assay.claims.paper import Cost
from assay.claims.rules import Above, Below, Equals, Ordered, Within
from assay.claims.study import Experiment, Preset
from assay.protocols.language_model import NEEDS, find_model
from assay.studies.knowledge.factual_knowledge_acquisition import bounds
from assay.studies.knowledge.factual_knowledge_acquisition.figures import ACQUISITION_FIGURES, LANGUAGE_MODEL_FIGURES
from assay.studies.knowledge.factual_knowledge_acquisition.settings import AcquisitionSettings, LanguageModelSettings

__all__ = ["ACQUISITION", "LANGUAGE_MODEL"]

RISING = "How does the log-probability of a fact move when it is told, and what else it depends on?"
LANGUAGE = "Does a pretrained language model acquire told facts as the paper's models do?"

LEVEL = "log P(value | subject) minus log P(same value | a subject never told)"
JUMP = "level 5 to 12 steps after an exposure minus in the five states up to it"
PLANTED = "put into the levels of subjects that are never told"
NO_SUBJECT = "no subject can enter a table of word pairs: nothing jumps there, and a share or ratio of jumps does not exist"
NEAR = Arm("near", "the paraphrases differ from one another in one function word only")
RETOLD = Arm("retold", "the paraphrased passages are told again every 100 plain steps, which is counted as plain")
MATCHED = Estimand("matched_jump", f"mean {JUMP}, of facts paired by log P before within 0.3 nats", "nats")
JUMPED = Estimand("jump", f"mean {JUMP}, in a wording that no passage uses; the level is {LEVEL}", "nats")
IN_ORDER = ("never/matched_jump", "held-out/matched_jump", "told/matched_jump")


def _planted(what: str) -> Arm:
    return Arm("planted", f"{what}, {PLANTED}", power_only=True)


BIGRAM = Arm(
    "bigram", "a table of word pairs, u[word] + B[word before, word], trained on the same batches",
    lacks=("fall", "decay_gap", "growth", "stage", "keep_gap", "batch_gap", "climb_low", "climb_high"), why=NO_SUBJECT,
)  # fmt: skip

ACQUISITION = Experiment(
    "acquisition",
    question="How does a told fact rise and fade in a small network, and on what does it depend?",
    family=RISING,
    estimands=(
        JUMPED,
        Estimand("fall", "share of the jump that is gone by the five states up to the next exposure", "share of the jump"),
        Estimand(
            "shape", "error with which a line in log time, fitted to the first quarter of the plain steps, predicts what is "
            "left of the gain in the rest, minus that of the better of floored exponential and floored power law", "nats",
        ),
        MATCHED,
        Estimand("jump_gap", f"{JUMP}, of duplicates minus of the arm's facts, in the words told", "nats"),
        Estimand(
            "decay_gap", "fall of the kept share of the gain for every factor 10 in steps since the last exposure, of the "
            "arm's facts minus of duplicates at the same gain", "share of the gain",
        ),
        Estimand(
            "level_gap", "level at the end of the plain steps less that before the first exposure, in a wording that no "
            "passage uses, of the arm's facts minus of duplicates", "nats",
        ),
        Estimand("growth", "jump at width 64 over jump at width 32, of facts paired by log P before", "times", log="e"),
        Estimand("stage", "jump over that of the fork it is compared with, of facts paired by log P before", "times", log="e"),
        Estimand("keep_gap", "share of the gain kept after half of the plain steps minus that of the other fork",
                 "share of the gain"),
        Estimand(
            "batch_gap", "fall of the kept share of the gain for every factor 10 in tokens at 8 rows a step minus that of the "
            "other fork", "share of the gain",
        ),
        Estimand("climb_low", "rise of the level before an exposure, from one to the next, at a quarter of the threshold "
                 "or the rounds' spacing",
                 "share of a jump"),
        Estimand("climb_high", "the same at four times the threshold", "share of a jump"),
    ),
    claims=(
        Claim(
            "C1.rise",
            "Each exposure raises a fact: from five states before to 5 to 12 steps after it the level in a wording that no "
            "passage uses rises by more than {bound} nats.",
            "both/jump", Above(bounds.RISE), why="a tenth more probable", at="section 4.1, figure 2", paper="rises each time",
            negative=Arm("dealt", "values are dealt out anew among the items"),
            positive=_planted("a rise of twice the bound at each exposure"),
        ),
        Claim(
            "C1.fall",
            "A raised fact is diluted before it is told again: more than {bound:.0%} of the jump is gone by the five states up "
            "to the next exposure.",
            "both/fall", Above(bounds.FALL), why="a fifth of what was gained", at="section 4.1, figure 2",
            paper="falls between exposures",
            negative=Arm("planted-staying", f"jumps of this run's size that stay, {PLANTED}"),
            positive=Arm("planted-falling", f"jumps of this run's size that lose twice the bound, {PLANTED}", power_only=True),
        ),
        Claim(
            "C2.shape",
            "What is kept of a gain falls as a line in the logarithm of time: fitted early, the line predicts later times "
            "better than floored exponential and power law do, its error minus theirs is below {bound} nats.",
            "both/shape", Below(-bounds.SHAPE), why="the pilot's spread over runs", at="section 4.3, figure 4",
            paper="R² above 0.8",
            negative=Arm("planted-floored", f"a gain that falls exponentially to a third of itself, {PLANTED}"),
            positive=Arm("planted-line", f"a gain that falls as a line in log time, {PLANTED}", power_only=True),
        ),
        Claim(
            "C3.order",
            "Facts told again in the same words rise most in these words, less in other words, and least where the subject is "
            "never told: the jumps rise in this order, each step by more than {margin} nats at equal probability before.",
            IN_ORDER, Ordered(bounds.ORDER), why="the pilot's spread over runs, and as C1.rise", at="section 4.1, figure 2",
            paper="memorisation above semantic generalisation",
            negative=Arm(("dealt-never", "dealt-held-out", "dealt-told"), "values are dealt out anew among the items"),
            positive=Arm(
                ("seldom-never", "seldom-held-out", "seldom-told"),
                "instead of other words and the same, facts told at every second exposure only, and at each",
            ),
        ),
        Claim(
            "C4.jump",
            "Told in the same words each time a fact jumps more in the words told than a paraphrased one, by more than {bound} "
            "nats.",
            "paraphrase/jump_gap", Above(bounds.TOLD), why="the pilot's spread over runs", at="section 4.2, figure 3",
            paper="larger for duplicates",
            negative=NEAR,
            positive=Arm("seldom", "the arm's facts are told at every second exposure only"),
        ),
        Claim(
            "C4.decay",
            "Paraphrased facts are forgotten more slowly than duplicates of the same gain: the share that falls off for every "
            "factor 10 in steps is smaller, the difference below {bound}.",
            "paraphrase/decay_gap", Below(-bounds.DECAY), why="the pilot's spread over runs", at="section 4.3, table 2",
            paper="slower with paraphrases", given="a gain of ten tellings above that of five",
            negative=NEAR, positive=RETOLD,
        ),
        Claim(
            "C4.dedup",
            "Of equally many tokens paraphrases leave more than duplicates: at the end of the plain steps the level in a "
            "wording that no passage uses is higher by more than {bound} nats.",
            "paraphrase/level_gap", Above(bounds.DEDUP), why="as C1.rise", at="section 5", paper="deduplication helps",
            negative=NEAR, positive=RETOLD,
        ),
        Claim(
            "C5",
            "Wider networks acquire more of a telling: at equal background loss, each width at its best rate, the jump at "
            "width 64 is more than {bound:.3f} times that at width 32.",
            "width/growth", Above(bounds.WIDTH), why="a quarter more for four times the weights", at="section 4.2, figure 3",
            paper="larger for 7B than for 1B", given="background losses within 0.05 nats a token",
            negative=Arm("random-features", "only the read-outs learn, up to background losses that are equal on average"),
            positive=Arm("narrow-seldom", "at width 32 passages are told at every second exposure only"),
        ),
        Claim(
            "C6",
            "How much a telling gives does not depend on how long the network was trained before: after five thirds of the "
            "steps the jump is {low:.3f} to {high:.3f} times as large, at equal probability before.",
            "late/stage", Within(-bounds.STAGE, bounds.STAGE), why="a quarter more or less", at="section 4.2, figure 3",
            paper="no growth from early to late",
            negative=Arm("silent", "in the late fork the output of attention is set to zero"),
            positive=Arm("other-order", "another late fork, pages and tellings in another order, in the early one's place"),
        ),
        Claim(
            "C6.keep",
            "How long a gain is kept does not depend on how long the network was trained before: the share kept after 500 "
            "plain steps differs by at most {margin}.",
            "late/keep_gap", Within(-bounds.KEPT, bounds.KEPT), why="a tenth of the gain", at="section 4.3, table 2",
            paper="no difference at a constant rate", given="a gain in both forks",
            negative=Arm("slow", "in the late fork the plain steps have a tenth of the rate"),
            positive=Arm("other-order", "another late fork, pages and tellings in another order, in the early one's place"),
        ),
        Claim(
            "C7.decay",
            "Small batches forget faster: with 8 rows a step the share that falls off for every factor 10 in tokens is larger "
            "than with 32 by more than {bound}.",
            "large-batch/batch_gap", Above(bounds.BATCH), why="the pilot's spread over runs", at="section 4.4, figure 5",
            paper="faster at batch 128 than at 2,048",
            negative=Arm("other-order", "8 rows again, with pages and tellings in another order, in the place of 32"),
            positive=Arm("large-batch-retold", "with 32 rows the passages are told again every 100 plain steps"),
        ),
        Claim(
            "C8.low",
            "A fact told more often than its threshold accumulates: at a quarter of it or less the level before an exposure "
            "climbs by more than {bound} of a jump an exposure.",
            "short-spacing/climb_low", Above(bounds.CLIMB), why="ten exposures then leave two jumps", at="section 4.4",
            paper="argued from the fit", given="a threshold of 16 steps or more",
            negative=Arm("other-values", "another value of the relation is told each time"),
            positive=_planted("jumps of which twice the bound stays"),
        ),
        Claim(
            "C8.high",
            "A fact told less often than its threshold never accumulates: at four times it the level before an exposure "
            "changes by at most {margin} of a jump an exposure.",
            "long-spacing/climb_high", Within(-bounds.STILL, bounds.STILL), why="half of what C8.low asks", at="section 4.4",
            paper="argued from the fit", given="a threshold of 16 to 100 steps",
            negative=Arm("no-plain-steps", "the plain steps between the rounds are left out"),
        ),
    ),
    nulls=(BIGRAM,),
    exact=(
        Exact(
            "X.bigram", "The largest level of a table of word pairs that is told passages is {value} nats.", Equals(0, 1e-6),
            why="both prompts end with the same word", at="ours", unit="nats",
        ),
        Exact(
            "X.product", "In a small step of SGD a passage adds to log P the product of the gradients times rate over batch: "
            "the slope is {value}.", Equals(1, 0.02), why="first order of Taylor's series", at="ours",
        ),
        Exact(
            "X.fit", "A line in log time explains more than {bound} of the variance of exponential, power-law, floored falls.",
            Above(0.8), why="every smooth fall over 1,500 steps is nearly a line in log time", at="section 4.3",
            paper="R² above 0.8", unit="share of variance",
        ),
        Exact(
            "X.families", "C2's comparison finds {low} or more of planted lines, floored exponentials too.", Within(0.95, 1),
            why="noise of two hundredths of the gain", at="ours", unit="share of simulations",
        ),
    ),
    check=f"{__package__}.exact:check",
    presets={
        "quick": Preset(
            AcquisitionSettings(
                n_entities=80, vocabulary=260, n_chunks=300, n_fresh=16, per_group=2, d_model=16, n_layers=1, late=40, early=20,
                rounds=4, spacing=34, plain=40, d_narrow=8, equal=30, features=10, narrow_features=20, large_batch=16,
            ), 2),
        "laptop": Preset(AcquisitionSettings(), 12),
    },
    measure_many=f"{__package__}.acquisition:measure_many",
    batch=4,
    figures=ACQUISITION_FIGURES,
    cost=Cost(27, cores=1),
)  # fmt: skip

LANGUAGE_MODEL = Experiment(
    "language-model",
    question="How do told facts rise in a pretrained language model?",
    family=LANGUAGE,
    estimands=(
        Estimand("jump", f"mean level 6 and 10 steps after an exposure minus before, in words never told; the level is {LEVEL}",
                 "nats"),
        Estimand("matched_jump", "the same of duplicates that are paired by log P before within 0.3 nats", "nats"),
    ),
    claims=(
        Claim(
            "C1.rise.lm",
            "In a language model each exposure raises a fact: from before to 6 to 10 steps after it the level in words never "
            "told rises by more than {bound} nats.",
            "both/jump", Above(bounds.RISE), why="as C1.rise", at="section 4.1, figure 2", paper="rises each time",
            negative=Arm("dealt", "values are dealt out anew among the items"),
            positive=_planted("a rise of twice the bound at each exposure"),
        ),
        Claim(
            "C3.order.lm",
            "In a language model facts told again in the same words rise most in these words, less in other words, and least "
            "where the subject is never told: the jumps rise in this order, each step by more than {margin} nats at equal "
            "probability before.",
            IN_ORDER, Ordered(bounds.ORDER), why="as C3.order", at="section 4.1, figure 2",
            paper="memorisation above semantic generalisation",
            negative=Arm(("dealt-never", "dealt-held-out", "dealt-told"), "values are dealt out anew among the items"),
            positive=Arm(
                ("planted-never", "planted-held-out", "planted-told"), f"steps of twice the margin, {PLANTED}", power_only=True
            ),
        ),
    ),
    nulls=(Arm("untold", "subjects that are never told, in the place of those that are"),),
    presets={
        "quick": Preset(
            LanguageModelSettings(model="tiny", blocks=2, exposures=2, spacing=24, plain=12, batch=3, layers=(), fewest=1), 2),
        "laptop": Preset(LanguageModelSettings(), 8),
    },
    measure=f"{__package__}.language_model:measure",
    ready=find_model,
    needs=NEEDS,
    figures=LANGUAGE_MODEL_FIGURES,
    cost=Cost(24, cores=1),
)  # fmt: skip
