"""What is claimed, of which numbers, and what is run to decide it."""

from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.exact import Exact
from assay.claims.paper import Cost
from assay.claims.rules import Above, Below, Equals
from assay.claims.study import Experiment, Preset
from assay.protocols.language_model import NEEDS, find_model
from assay.studies.knowledge.filtering_attention_storing_mlp.figures import (
    ACQUISITION_FIGURES,
    EXTRACTION_FIGURES,
    FINE_TUNING_FIGURES,
    LANGUAGE_MODEL_FIGURES,
)
from assay.studies.knowledge.filtering_attention_storing_mlp.settings import (
    AcquisitionSettings,
    ExtractionSettings,
    FineTuningSettings,
    LanguageModelSettings,
)

__all__ = ["ACQUISITION", "EXTRACTION", "FINE_TUNING", "LANGUAGE_MODEL"]

STORING = "Which part stores facts in pre-training, and can a question reach them yet?"
REACHING = "What lets a question reach facts that it was not taught on, and when are they got wrong?"
TUNING = "Is fine-tuning a rank-one trigger, and what does it overwrite?"
LANGUAGE = "Does a pretrained language model store and extract as the one-layer transformer does?"

ON_EXTRACTION = "theorem on extraction"
HALLUCINATION = "section 1 (hallucination)"
ON_LOW_RANK = "theorem on low-rank fine-tuning"
POPQA = "experiments on PopQA"
PERMUTED = "permuted values are right by accident only, and teach the form alone"

ACQUISITION = Experiment(
    "acquisition",
    question="Which part stores facts in pre-training, and can a question reach them without more?",
    family=STORING,
    estimands=(
        Estimand("told", "share of facts whose true value is the most probable output", "share of facts", 0, 1),
        Estimand("mlp_gain", "share of facts told when stated, with the MLP minus without", "share of facts", -1, 1),
        Estimand(
            "attention_on_fact", "attention of the last token on subject and relation together", "share of attention", 0, 1),
    ),
    claims=(
        Claim(
            "C1",
            "Next-token training on statements stores the facts: stated again, more than {bound:.0%} of them are completed "
            "rightly in every run.",
            "stated/told", Above(0.99), summary="every", why="'near-optimal'; one fact in a hundred",
            at="theorem on pre-training", paper="near-optimal loss",
            negative=Arm("stated-no-subject", "the same statements with noise in the subject's place"),
        ),
        Claim(
            "C2",
            "The MLP helps to store what no sum can: where types share their values, the share of statements completed after "
            "as many steps is higher with it than without by more than {bound}.",
            "shared/mlp_gain", Above(0.05), why="'may fail' gives the sign alone; a guess among 20 values is right as often",
            at="abstract (attention alone may fail to acquire)", paper="attention only may fail",
            negative=Arm("own", "types with values of their own, which a sum of subject and relation can tell"),
            positive=Arm("shared-even", "without the MLP and with attention held even there is nothing but a sum"),
        ),
        Claim(
            "C3",
            "Stored is not extractable: before any fine-tuning less than {bound} of the stored facts are told when asked, "
            "mean over question tokens drawn anew.",
            "asked/told", Below(0.3), why="well above chance within the type (0.05), far below what is stored (1)",
            at="section 1 (extraction needs fine-tuning)", paper="not extractable by the question alone",
            negative=Arm("stated", "the same facts in a wording of pre-training"),
            positive=Arm("asked-no-subject", "asked of nobody, no fact can be told"),
            null_passes="a bound from above: an untrained network tells nothing at all; its other half is C1, what is stored",
        ),
        Claim(
            "C10",
            "Attention filters: after pre-training the last token's attention on subject and relation is above {bound}.",
            "trained/attention_on_fact", Above(0.9), why="less than 0.1 is left for three noise tokens",
            at="title, theorem on pre-training", paper="attention picks the informative tokens",
            negative=Arm("untrained", "before pre-training about two fifths lie on two of five tokens"),
        ),
    ),
    nulls=(Arm("untrained", "the same networks before the first step"),),
    presets={
        "quick": Preset(
            AcquisitionSettings(
                n_subjects=12, n_values=4, d_model=8, pretrain_steps=20, pretrain_batch=32, n_templates=4, multiplicity=2,
                n_draws=1,
            ), 2),
        "laptop": Preset(AcquisitionSettings(), 8),
    },
    measure=f"{__package__}.acquisition:measure",
    figures=ACQUISITION_FIGURES,
    cost=Cost(5, cores=1),
)  # fmt: skip

EXTRACTION = Experiment(
    "extraction",
    question="How many subjects, wordings and templates does it take until a question reaches facts it was not taught on?",
    family=REACHING,
    estimands=(
        Estimand(
            "subjects_excess",
            "facts of other subjects told after true questions minus after questions with permuted values: after the largest "
            "fine-tuning set less after the smallest",
            "share of facts", -2, 2,
        ),
        Estimand(
            "untrue_rise", "facts of other subjects told after questions with permuted values: largest fine-tuning set minus "
            "smallest", "share of facts", -1, 1,
        ),
        Estimand(
            "wordings_excess",
            "facts of other subjects told after true questions minus after questions with permuted values: stored in several "
            "wordings less stored in one",
            "share of facts", -2, 2,
        ),
        Estimand(
            "collapse", "share of the variance of the logarithm of the extraction error that a falling function of "
            "N_f K² / |R|² explains", "share of variance", None, 1,
        ),
        Estimand(
            "coverage_slope", "slope of the log odds that a fact is told on the share of its wordings that fine-tuning covers",
            "times the odds", log="e",
        ),
        Estimand(
            "hallucinations_subjects",
            "facts of other subjects whose statement is still completed and that are told wrongly with a probability above one "
            "half when asked: smallest fine-tuning set minus largest",
            "share of facts", -1, 1,
        ),
        Estimand(
            "hallucinations_wordings", "such facts: stored in one wording minus stored in several", "share of facts", -1, 1,
        ),
        Estimand(
            "confident_errors_subjects", "facts of other subjects told wrongly with a probability above one half, stored or "
            "not: smallest fine-tuning set minus largest", "share of facts", -1, 1,
        ),
        Estimand(
            "confident_errors_wordings", "such facts: stored in one wording minus stored in several", "share of facts", -1, 1,
        ),
        Estimand("right_type", "share of wrong answers that are values of the type asked for", "share of errors", 0, 1),
        Estimand("extracted_1", "facts of other subjects told after the smallest fine-tuning set", "share of facts", 0, 1),
        Estimand("extracted_2", "the same after the middle fine-tuning set", "share of facts", 0, 1),
        Estimand("extracted_3", "the same after the largest fine-tuning set", "share of facts", 0, 1),
    ),
    claims=(
        Claim(
            "C4",
            "The more subjects are fine-tuned on, the more facts of the others are told, beyond what the form of questions "
            "does: what true values add to permuted ones is larger after 100 subjects than after 10 by more than {bound}.",
            "stored/subjects_excess", Above(0.05), why="chance within a type; " + PERMUTED,
            at=ON_EXTRACTION + " (N_f)", paper="error falls with N_f",
            negative=Arm("unstored", "the same of a network that was never pre-trained: there is nothing to extract"),
            positive=Arm("planted", "the larger fine-tuning set also holds half of the others"),
        ),
        Claim(
            "C4.untrue",
            "More questions reach more facts even if their answers are permuted among all subjects: after 100 subjects the "
            "share told of the others is higher than after 10 by more than {bound} in every run.",
            "stored/untrue_rise", Above(0.05), summary="every", why="one fact in twenty; seen where it was a control of C4",
            at="ours", negative=Arm("unstored", "the same of a network that was never pre-trained"),
        ),
        Claim(
            "C5",
            "Facts stated in four wordings rather than one are easier to ask for, beyond what the form of questions does: what "
            "true values add to permuted ones is larger by more than {bound}.",
            "stored/wordings_excess", Above(0.1), why="one fact in ten, twice what chance tells within a type; " + PERMUTED,
            at=ON_EXTRACTION + " (K)", paper="error falls with K",
            negative=Arm("unstored", "the same of networks that were never pre-trained"),
            positive=Arm("planted", "of the facts with four wordings, half of the others' are taught as well"),
        ),
        Claim(
            "C6",
            "One number decides: over all settings a falling function of N_f K² / |R|² explains more than {bound:.0%} of the "
            "variance of the logarithm of the extraction error.",
            "stored/collapse", Above(0.8), why="an isotonic fit, which may take any falling shape",
            at=ON_EXTRACTION + " (exponent of the bound)", paper="error ~ exp(-N_f K² log|R| / 2|R|²)",
            negative=Arm("dealt-anew", "the settings permuted among the errors"),
            positive=Arm(
                "planted", "errors as large as the bound itself, in as many facts as a run asks", power_only=True),
        ),
        Claim(
            "C7",
            "Coverage explains which facts are told: where fine-tuning covers a fact's wordings in part, the odds that it is "
            "told are more than {bound:.2g} times as high with all of them covered as with none.",
            "stored/coverage_slope", Above(0.1823215567939546), why="odds up by a fifth: a small effect, but not none",
            at="section 1 (relation covering)", paper="covering the relation templates suffices",
            negative=Arm("dealt-anew", "coverage permuted among the facts"),
            positive=Arm("planted", "the half of the others whose wordings are covered best is taught as well"),
        ),
        Claim(
            "C8",
            "Too few subjects make it hallucinate: fine-tuned on 10 of them rather than 100, it tells facts of the others that "
            "it still completes when stated wrongly and with a probability above one half more often, by a share of more than "
            "{bound}.",
            "stored/hallucinations_subjects", Above(0.1), why="one fact in ten", at=HALLUCINATION,
            paper="hallucination where N_f or K is small",
            negative=Arm("unstored", "networks that were never pre-trained complete no statement after either"),
            positive=Arm("planted", "the larger fine-tuning set also holds half of the others"),
        ),
        Claim(
            "C8.single",
            "A single wording makes it hallucinate: of facts stated in one rather than four, those of the others that it still "
            "completes when stated are told wrongly and with a probability above one half more often, by a share of more than "
            "{bound}.",
            "stored/hallucinations_wordings", Above(0.1), why="as C8", at=HALLUCINATION,
            paper="hallucination where N_f or K is small",
            negative=Arm("unstored", "networks that were never pre-trained do not know how many wordings there are"),
            positive=Arm("planted", "of the facts with four wordings, half of the others' are taught as well"),
        ),
        Claim(
            "C8.type",
            "Wrong answers about others after fine-tuning on 10 subjects are plausible: in every run more than {bound:.0%} are "
            "values of the type asked for.",
            "stored/right_type", Above(0.9), summary="every", why="a third by chance", at=HALLUCINATION,
            paper="plausible, wrong",
            negative=Arm("before", "before fine-tuning, when the question says nothing yet"),
            null_passes="the question's form is what fine-tuning teaches, with or without anything stored; the claim's other "
            "half, that few subjects make such errors more frequent, is C8",
        ),
    ),
    nulls=(Arm("nothing-stored", "the same fine-tunings of networks that were never pre-trained"),),
    measure_nulls=f"{__package__}.extraction:measure_nulls",
    presets={
        "quick": Preset(
            ExtractionSettings(
                n_subjects=40, n_values=4, d_model=8, pretrain_steps=20, pretrain_batch=32, finetune_steps=5,
                finetune_batch=16, n_draws=1, templates=(2, 8), multiplicities=(1, 2), subjects=(2, 4, 8), n_shuffles=3,
            ), 2),
        "laptop": Preset(ExtractionSettings(), 8),
    },
    measure=f"{__package__}.extraction:measure",
    figures=EXTRACTION_FIGURES,
    cost=Cost(13, cores=1),
)  # fmt: skip

FINE_TUNING = Experiment(
    "fine-tuning",
    question="Is fine-tuning a rank-one update that triggers what is stored, and what does it overwrite?",
    family=TUNING,
    estimands=(
        Estimand(
            "energy_along_question", "share of the squared gradient of the MLP's first matrix, before the first step on "
            "questions of one type, along what a question token puts into the attention's mix", "share of energy", 0, 1,
        ),
        Estimand("first_share", "share of that gradient's energy in its first singular value", "share of energy", 0, 1),
        Estimand(
            "excess_ratio", "facts of other subjects told after true questions minus after questions with permuted values, as "
            "a multiple of full fine-tuning's", "times",
        ),
        Estimand(
            "kept_more", "share of all facts still told when stated, minus that after full fine-tuning at a constant rate",
            "share of facts", -1, 1,
        ),
        Estimand(
            "extracted_more", "share of other subjects' facts told when asked, minus that after full fine-tuning at a constant "
            "rate", "share of facts", -1, 1,
        ),
        Estimand("path_ratio", "length of the weights' path, as a multiple of the constant rate's", "times", 0),
        Estimand("told", "share of other subjects' facts told when asked", "share of facts", 0, 1),
        Estimand("kept", "share of all facts told when stated", "share of facts", 0, 1),
    ),
    claims=(
        Claim(
            "C9",
            "The first step of fine-tuning is along the question: with one question token of five, more than {bound:.0%} of "
            "the energy of the MLP's gradient lies along what that token puts into the attention's mix.",
            "own-question/energy_along_question", Above(0.5), why="more than in all other directions together",
            at=ON_LOW_RANK, paper="dominated by a rank-one component aligned with the format's embedding",
            negative=Arm("other-question", "what the question token of another type puts into the mix"),
            positive=Arm("question-format", "questions in which four tokens of five are the question token"),
        ),
        Claim(
            "C9.low",
            "Updates of rank one suffice: what true questions let them tell beyond permuted ones is more than {bound} times "
            "what they let full fine-tuning tell.",
            "rank-1/excess_ratio", Above(0.9), why="nine tenths", at=ON_LOW_RANK + ", experiments",
            paper="low rank works as full",
            negative=Arm("unstored", "full fine-tuning of a network that was never pre-trained"),
            positive=Arm("rank-4", "updates of rank four, one more than there are question tokens"),
        ),
        Claim(
            "C11",
            "A decaying learning rate forgets less: on a path through the weights as long as a constant rate's, the share of "
            "facts still told when stated is higher by more than {bound}.",
            "decay/kept_more", Above(0.02), why="one fact in fifty", at="discussion of learning-rate schedules",
            paper="decay keeps more", given="a path as long as the constant rate's",
            negative=Arm("full-again", "a constant rate as well, on other questions about the same facts"),
            positive=Arm("decay-replay", "the same decay with a statement after every question"),
        ),
        Claim(
            "C11.rise",
            "A rising learning rate forgets less: on a path as long as a constant rate's, the share of facts still told when "
            "stated is higher by more than {bound} in every run.",
            "rise/kept_more", Above(0.02), summary="every", why="as C11; seen in a pilot at equal mean rate", at="ours",
            given="a path as long as the constant rate's",
            negative=Arm("decay", "a decaying rate on as long a path"),
        ),
        Claim(
            "C13",
            "Replaying a statement after every question keeps what was stored: more than {bound:.0%} of all facts are still "
            "told when stated in every run.",
            "replay/kept", Above(0.95), summary="every", why="one fact in twenty may go; without replay one in five does",
            at="ours",
            negative=Arm("replay-untrue", "statements replayed with values permuted among all subjects"),
        ),
    ),
    nulls=(Arm("unstored", "the same network, never pre-trained"),),
    exact=(
        Exact(
            "C12.keeps",
            "Whatever is done to the question tokens' embeddings, no logit of a statement changes: the largest change is "
            "{value}.",
            Equals(0.0), why="statements have no question token", at="ours",
        ),
    ),
    check=f"{__package__}.fine_tuning:check",
    presets={
        "quick": Preset(
            FineTuningSettings(
                n_subjects=40, n_values=4, d_model=8, pretrain_steps=20, pretrain_batch=32, finetune_steps=5,
                finetune_batch=16, n_draws=1, n_templates=4, multiplicity=2, n_taught=20,
            ), 2),
        "laptop": Preset(FineTuningSettings(), 12),
    },
    measure=f"{__package__}.fine_tuning:measure",
    figures=FINE_TUNING_FIGURES,
    cost=Cost(12, cores=1),
)  # fmt: skip

LANGUAGE_MODEL = Experiment(
    "language-model",
    question="Does a pretrained language model store and extract as the one-layer transformer does?",
    family=LANGUAGE,
    estimands=(
        Estimand("told", "facts of people never asked about in training whose true value is the likeliest of all candidates",
                 "share of facts", 0, 1),
        Estimand("more_wordings", "those facts told: read in several wordings minus read in one", "share of facts", -1, 1),
        Estimand("more_subjects", "those facts told, and so not told wrongly: asked about half of the people minus about few",
                 "share of facts", -1, 1),
    ),
    claims=(
        Claim(
            "C3.lm",
            "Stored is not extractable in a language model either: of facts read in several wordings it tells less than "
            "{bound} when asked, before any fine-tuning on questions.",
            "asked/told", Below(0.3), why="as C3", at=POPQA, paper="extraction needs fine-tuning", summary="clustered",
            negative=Arm("stated", "the same facts in a wording that was read"),
            positive=Arm("asked-after-lies", "the same copy once it is taught another value for each of these questions"),
            null_passes="a bound from above: a copy that read nothing tells nothing; its other half is what is stored, which "
            "the negative control shows",
        ),
        Claim(
            "C5.lm",
            "Facts read in several wordings rather than one, in as many sentences, are easier to ask a language model for: of "
            "people it was not fine-tuned on it tells more by a share of more than {bound}.",
            "asked/more_wordings", Above(0.15), why="one fact in seven", at=POPQA, paper="extraction rises with K",
            summary="clustered",
            negative=Arm("stated", "the same facts stated again, not asked for: both copies have stored them"),
            positive=Arm("planted", "the copy that read several wordings is fine-tuned on these very questions"),
        ),
        Claim(
            "C8.lm",
            "Too few people make a language model hallucinate: fine-tuned on one rather than six, it tells facts of the others "
            "wrongly more often, by a share of more than {bound}.",
            "read/more_subjects", Above(0.1), why="as C8", at=HALLUCINATION, paper="hallucination where N_f or K is small",
            summary="clustered",
            negative=Arm("unread", "the same fine-tunings of a copy that read nothing about these people"),
            positive=Arm("planted", "in place of the six, the others themselves are taught"),
        ),
    ),
    nulls=(Arm("unread", "a copy that read nothing about these people"),),
    presets={
        "quick": Preset(
            LanguageModelSettings(
                model="tiny", n_people=4, n_values=2, n_few=1, multiplicity=2, frozen=1, n_passes=1, n_lessons=2), 2),
        "laptop": Preset(LanguageModelSettings(), 10),
    },
    measure=f"{__package__}.language_model:measure",
    figures=LANGUAGE_MODEL_FIGURES,
    cost=Cost(11),
    needs=NEEDS,
    ready=find_model,
)  # fmt: skip
